//! Scripts of other origins (WEB-06).

use super::*;

const SPA: &str = "https://spa.example.org";
const ENDPOINTS: [&str; 4] = ["/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke", "/oauth2/par"];

fn allowed(answer: &Answer) -> Option<&str> {
    assert!(answer.header("access-control-allow-credentials").is_none(), "never with cookies");
    answer.header("access-control-allow-origin")
}

fn ask(provider: &Provider, method: &str, path: &str, origin: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization, content-type, x-evil"),
    ];
    provider.browser().send(method, path, &headers, b"")
}

/// WEB-06: the origins that clients registered, to the letter, and nobody else's.
#[test]
fn answers_are_for_scripts_of_registered_origins_alone() {
    let provider = Provider::start();
    provider.add_app(json!({ "cors_origins": [SPA] }));
    let public = ["https://public.example.org/callback", "org.example.app:/callback"];
    provider.add_app(json!({ "kind": "public", "auth_method": "none", "redirect_uris": public }));
    for path in ENDPOINTS {
        for origin in [SPA, "https://public.example.org"] {
            for method in ["POST", "OPTIONS"] {
                let answer = ask(&provider, method, path, origin);
                assert_eq!(allowed(&answer), Some(origin), "{method} {path}");
                assert!(answer.header("vary").is_some_and(|vary| vary.to_lowercase().contains("origin")));
            }
            let answer = ask(&provider, "OPTIONS", path, origin).expect(204);
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
            let headers = answer.header("access-control-allow-headers").unwrap().to_lowercase();
            assert!(headers.contains("authorization") && !headers.contains("evil") && !headers.contains('*'));
        }
        for origin in [
            "https://evil.example",
            "null",
            "",
            "*",
            "https://spa.example.org.evil.example",
            "https://evil-spa.example.org",
            "https://sub.spa.example.org",
            "https://spa.example.org:444",
            "http://spa.example.org",
            "HTTPS://SPA.EXAMPLE.ORG",
            "https://spa.example.org/",
            "https://app.example.org",
            "org.example.app://",
            ORIGIN,
        ] {
            for method in ["POST", "OPTIONS"] {
                let answer = ask(&provider, method, path, origin);
                assert_eq!(allowed(&answer), None, "{method} {path} for {origin}");
                assert!(answer.header("access-control-allow-methods").is_none());
                assert!(answer.header("vary").is_some_and(|vary| vary.to_lowercase().contains("origin")));
            }
        }
    }
    let mut twice =
        provider.browser().with_header("Origin", SPA).with_header("Origin", "https://evil.example");
    assert_eq!(allowed(&twice.send("POST", "/oauth2/token", &[], b"")), None);
}

/// WEB-06: pages, and endpoints of servers, are for no script; public documents are for every one.
#[test]
fn pages_answer_no_script_and_public_documents_answer_all() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "cors_origins": [SPA, "https://app.example.org"] }));
    let mut browser = provider.ada();
    for origin in [SPA, "https://app.example.org", "https://evil.example"] {
        let authorize = provider.authorize_path(&app, &[]);
        for path in [&*authorize, "/oauth2/authorize", "/device", "/logout", "/signin", "/api/v1/users/me"] {
            let answer = browser.clone().with_header("Origin", origin).get(path);
            assert_eq!(allowed(&answer), None, "{path}");
            assert_eq!(allowed(&ask(&provider, "OPTIONS", path, origin)), None, "{path}");
        }
        for path in ["/oauth2/introspect", "/oauth2/device_authorization", "/oauth2/consent"] {
            assert_eq!(allowed(&ask(&provider, "POST", path, origin)), None, "{path}");
            assert_eq!(allowed(&ask(&provider, "OPTIONS", path, origin)), None, "{path}");
        }
        for path in
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks.json"]
        {
            let answer = browser.clone().with_header("Origin", origin).get(path).expect(200);
            assert_eq!(allowed(&answer), Some("*"), "{path}");
        }
    }
    browser.cookies.clear();
    for bad in
        ["*", "https://*.example.org", "https://spa.example.org/", "null", "spa.example.org", "javascript:x"]
    {
        let body = json!({ "name": "X", "redirect_uris": [CALLBACK], "cors_origins": [bad] });
        provider.admin().post("/api/v1/admin/clients", body).expect(422);
    }
}
