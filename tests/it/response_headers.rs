//! What every response carries, and nothing else: each route and each kind of refusal, header by header (WEB-06 to
//! WEB-08, SES-12).

use doorward::accounts::records::Role;
use doorward::routes::{Action, Face, Method2, ROUTES};
use serde_json::json;

use crate::callers::{knock, path_of};
use crate::harness::{Answer, PASSWORD, Server, exchange};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What every page has, with its exact value.
const ALWAYS: [(&str, &str); 8] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-robots-tag", "noindex, nofollow"),
    (
        "permissions-policy",
        "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
         magnetometer=(), microphone=(), midi=(), payment=(), usb=(), \
         publickey-credentials-create=(self), publickey-credentials-get=(self)",
    ),
];

/// What data has: an answer that is no page is not guessed at, framed, embedded or run.
const DATA: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "fullscreen=()"),
];

const DATA_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a response may have beyond that, and with which status; an empty list allows every status.
const ALLOWED: [(&str, &[u16]); 21] = [
    ("date", &[]),
    ("connection", &[]),
    ("content-length", &[]),
    // Of what is made while it is sent.
    ("transfer-encoding", &[200]),
    ("content-type", &[]),
    ("cache-control", &[]),
    ("content-security-policy", &[]),
    ("set-cookie", &[]),
    ("location", &[201, 302, 303]),
    ("allow", &[405]),
    ("accept", &[415]),
    ("accept-encoding", &[415]),
    ("www-authenticate", &[401]),
    ("retry-after", &[429, 503]),
    ("ratelimit", &[]),
    ("ratelimit-policy", &[]),
    ("clear-site-data", &[200, 204, 303]),
    ("vary", &[]),
    ("content-encoding", &[200]),
    ("content-disposition", &[200]),
    ("pragma", &[200]),
];

/// What public documents have beyond that: everybody may read them, from everywhere, and ask whether they changed.
const PUBLIC: [&str; 3] = ["access-control-allow-origin", "cross-origin-resource-policy", "etag"];

#[derive(Default, Clone, Copy)]
struct Expect<'a> {
    is_https: bool,
    /// `Cache-Control`, if it is not `no-store`.
    cache: Option<&'a str>,
    /// The policy, if it is not the plain one.
    policy: Option<&'a str>,
    /// Whether `Remote-*` headers for a proxy belong to it.
    is_proxy: bool,
    /// Whether it is a document that scripts of every origin may read.
    is_public: bool,
}

#[track_caller]
fn check(what: &str, answer: &Answer, expect: Expect<'_>) {
    let all = |name: &str| -> Vec<&str> {
        let fits = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        answer.headers.iter().filter(fits).map(|(_, value)| value.as_str()).collect()
    };
    // What permits goes to the proxy alone, which reads the identity out of it.
    let is_permit = expect.is_proxy && answer.status == 200;
    let is_page = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let is_short = !is_page && all("permissions-policy") == ["fullscreen=()"];
    let set: &[(&str, &str)] = match (is_permit, is_short) {
        (true, _) => &[],
        (_, true) => &DATA,
        _ => &ALWAYS,
    };
    for (name, value) in set.iter().filter(|(name, _)| !(expect.is_public && PUBLIC.contains(name))) {
        assert_eq!(all(name), [*value], "{what}: {name}");
    }
    if expect.is_public {
        assert_eq!(all("access-control-allow-origin"), ["*"], "{what}");
        assert_eq!(all("cross-origin-resource-policy"), ["cross-origin"], "{what}");
        assert!(answer.header("etag").is_some_and(|tag| tag.starts_with('"')), "{what}");
    }
    let policy = if is_short { DATA_POLICY } else { POLICY };
    if !is_permit {
        assert_eq!(all("content-security-policy"), [expect.policy.unwrap_or(policy)], "{what}");
    }
    assert_eq!(all("cache-control"), [expect.cache.unwrap_or("no-store")], "{what}");
    let hsts = all("strict-transport-security");
    assert_eq!(hsts.as_slice(), if expect.is_https { &["max-age=31536000"][..] } else { &[] }, "{what}");
    for (name, value) in &answer.headers {
        let name = name.to_ascii_lowercase();
        let is_always = ALWAYS.iter().any(|(own, _)| *own == name) || name == "strict-transport-security";
        let is_allowed = ALLOWED.iter().any(|(own, statuses)| {
            *own == name && (statuses.is_empty() || statuses.contains(&answer.status))
        });
        let is_identity = expect.is_proxy && name.starts_with("remote-");
        let is_public = expect.is_public && PUBLIC.contains(&name.as_str());
        assert!(
            is_always || is_allowed || is_identity || is_public,
            "{what}: {} with {name}: {value}",
            answer.status
        );
        // Each scheme that a token may come with is a challenge of its own (RFC 9110 section 11.6.1).
        let may_repeat = matches!(name.as_str(), "set-cookie" | "www-authenticate");
        let is_single = may_repeat || all(&name).len() == 1;
        assert!(is_single, "{what}: {name} is there more than once");
        assert!(!value.to_lowercase().contains("doorward/"), "{what}: {name} tells a version");
    }
    for cookie in all("set-cookie") {
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite="), "{what}: {cookie}");
        assert!(!expect.is_https || cookie.contains("; Secure"), "{what}: {cookie}");
    }
    if answer.body.is_empty() {
        return;
    }
    let kind = answer.header("content-type").unwrap_or_default();
    let is_known = [
        "application/json",
        "application/problem+json",
        "text/html; charset=utf-8",
        "application/x-ndjson",
        "text/csv; charset=utf-8",
        "text/plain; charset=utf-8",
    ];
    assert!(expect.cache.is_some() || is_known.contains(&kind), "{what}: {kind}");
}

fn secure_server() -> Server {
    Server::start_with(|options| {
        options.site.public_origin = Some("https://auth.home.localhost".to_owned());
        options.site.default_origin = "https://auth.home.localhost".to_owned();
        options.api_rule.limit = 1_000_000;
    })
}

/// WEB-07, WEB-08, SES-12: every route, anonymous and as an administrator, over http and https.
#[test]
fn every_route_has_every_header_and_no_other() {
    for is_https in [false, true] {
        let server = if is_https {
            secure_server()
        } else {
            Server::start_with(|options| options.api_rule.limit = 1_000_000)
        };
        server.add_bare_user("keeper", Role::Admin);
        for (index, route) in ROUTES.iter().enumerate() {
            let admin = server.add_bare_user(&format!("admin{index}"), Role::Admin);
            let session = server.web_session(admin);
            for accept in ["application/json", "text/html"] {
                for is_admin in [false, true] {
                    let mut client = server.client();
                    if is_admin {
                        client = session.client(&server);
                        if is_https {
                            client.cookies = vec![("__Host-dw".to_owned(), session.cookie.clone())];
                        }
                    }
                    client = client.with_header("Accept", accept);
                    let is_proxy = matches!(route.action, Action::Proxy(_));
                    if is_https {
                        client = client.with_header("Host", "auth.home.localhost");
                        client = client.with_header("Origin", "https://auth.home.localhost");
                        if !is_proxy {
                            client = client.with_header("X-Forwarded-Proto", "https");
                        }
                    }
                    let answer = knock(&mut client, route);
                    let what = format!("{} {} {accept} {}", route.method.as_str(), route.path, answer.status);
                    let is_public = matches!(route.action, Action::Document(_));
                    let cache = match route.path {
                        "/api/v1/keys" => Some("public, max-age=300"),
                        _ if is_public => Some("public, max-age=600"),
                        _ => None,
                    };
                    // What a proxy hands on speaks for another host, which decides about HSTS itself.
                    let expect =
                        Expect { is_https: is_https && !is_proxy, cache, is_proxy, policy: None, is_public };
                    let policy = answer.header("content-security-policy").unwrap_or(POLICY);
                    if [POLICY, DATA_POLICY].contains(&policy) {
                        check(&what, &answer, expect);
                    } else {
                        // The setup and few others lead a form or a script elsewhere; the rest of the policy stays.
                        assert!(route.path.starts_with("/setup"), "{what}: {policy}");
                        check(&what, &answer, Expect { policy: Some(policy), ..expect });
                    }
                }
            }
        }
    }
}

/// WEB-08: and every refusal, whoever makes it: the parser, the table, the guard, the limits or the handler.
#[test]
fn every_refusal_has_every_header_and_no_other() {
    let server = Server::start_with(|options| options.api_rule.limit = 20);
    let ada = server.add_user("ada", Role::Member, &[]);
    let session = server.web_session(ada);
    let raw = |text: &str| exchange(server.address, text.as_bytes());
    let mut seen = std::collections::BTreeSet::new();
    let mut look = |what: &str, status: u16, answer: Answer| {
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        check(what, &answer, Expect::default());
        seen.insert(status);
    };
    for (what, status, text) in [
        ("bare LF", 400, "GET / HTTP/1.1\nHost: localhost\n\n".to_owned()),
        ("no host", 400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("two lengths", 400, "POST /signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned()),
        ("TRACE", 405, "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("CONNECT", 405, "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n".to_owned()),
        ("long target", 414, format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(17_000))),
        ("many headers", 431, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(101))),
        ("HTTP/3", 505, "GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned()),
        ("chunks that are none", 400, "POST /api/v1/auth/validate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned()),
    ] {
        look(what, status, raw(&text));
    }
    let json = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let mut client = server.client();
    for accept in ["application/json", "text/html"] {
        let html = [("Accept", accept)];
        look("nothing there", 404, client.send("GET", "/nothing", &html, b""));
        look("nothing there", 404, client.send("GET", "/api/nothing", &html, b""));
        look("wrong method", 405, client.send("DELETE", "/signin", &html, b""));
        look("unknown method", 405, client.send("BREW", "/signin", &html, b""));
        look("options", 405, client.send("OPTIONS", "/api/v1/auth/login/api", &html, b""));
        let mut lost = server.client().with_header("Host", "evil.example");
        look("foreign host", 421, lost.send("GET", "/signin", &html, b""));
        look("foreign host", 421, lost.send("GET", "/api/v1/users/me", &html, b""));
        let big = vec![b'x'; 33 * 1024];
        look("too large", 413, client.send("POST", "/signin", &html, &big));
        look(
            "no form",
            415,
            client.send("POST", "/signin", &[html[0], ("Origin", crate::harness::ORIGIN)], b"x"),
        );
        let packed = [html[0], ("Content-Encoding", "gzip")];
        look("compressed", 415, client.send("POST", "/signin", &packed, b"x"));
        look("no token", 403, session.client(&server).send("POST", "/signout", &html, b""));
    }
    look("no json", 415, client.send("POST", "/api/v1/auth/validate", &[], b"{}"));
    look("bad json", 400, client.send("POST", "/api/v1/auth/validate", &json, b"{"));
    look("missing field", 422, client.send("POST", "/api/v1/auth/validate", &json, b"{}"));
    look("nobody", 401, client.get_json("/api/v1/users/me"));
    let login = json!({"username": "ada", "password": "wrong-password-123"});
    look("wrong password", 401, client.post("/api/v1/auth/login/api", login.clone()));
    look("two credentials", 400, session.client(&server).with_bearer("x").get_json("/api/v1/users/me"));
    look("link gone", 410, client.get("/link/none"));
    for _ in 0..30 {
        client.post("/api/v1/auth/login/api", login.clone());
        client.get_json("/api/v1/keys");
    }
    look("limited inside", 429, client.post("/api/v1/auth/login/api", login));
    look("limited by the table", 429, client.get_json("/api/v1/users/me"));
    let form = [("username", "ada"), ("password", PASSWORD)];
    look("limited page", 429, client.form("/signin", &form));
    for status in [400, 401, 403, 404, 405, 410, 413, 414, 415, 421, 422, 429, 431, 505] {
        assert!(seen.contains(&status), "{status}");
    }
}

/// WEB-13: files are ours by exact name, cached for ever, with the same protection.
#[test]
fn assets_are_immutable_and_protected() {
    let server = Server::start();
    let mut client = server.client();
    let page = client.get("/signin").text();
    let names: Vec<&str> =
        page.split('"').filter(|part| part.starts_with("/assets/")).map(|name| name.trim()).collect();
    assert!(!names.is_empty());
    for name in names {
        for encoding in ["gzip", "identity"] {
            let answer = server.client().with_header("Accept-Encoding", encoding).get(name).expect(200);
            check(
                name,
                &answer,
                Expect { cache: Some("public, max-age=31536000, immutable"), ..Expect::default() },
            );
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        }
        for gone in [format!("{name}x"), format!("{name}/"), format!("/assets/..{name}"), name.to_uppercase()]
        {
            check(&gone, &client.get(&gone).expect(404), Expect::default());
        }
        let answer = client.send("POST", name, &[], b"").expect(405);
        check("POST", &answer, Expect::default());
    }
    for path in
        ["/assets/", "/assets", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets//etc/passwd"]
    {
        check(path, &client.get(path).expect(404), Expect::default());
    }
}

/// WEB-07: a sign-in that leads to an app lets its form go there and nowhere else.
#[test]
fn a_page_that_leads_to_an_app_names_it_and_no_other() {
    let server = Server::start();
    let answer = server.client().get("/signin?rd=https%3A%2F%2Fapp.home.localhost%2Fx").expect(200);
    let policy = POLICY.replace("form-action 'self'", "form-action 'self' https://app.home.localhost");
    check("rd", &answer, Expect { policy: Some(&policy), ..Expect::default() });
    let answer = server.client().get("/signin?rd=https%3A%2F%2Fevil.example%2Fx").expect(200);
    check("rd", &answer, Expect::default());
}

/// WEB-06: no origin but our own is ever allowed to read anything but public documents, and no preflight is answered with
/// permission.
#[test]
fn nobody_else_may_read_across_origins() {
    let server = Server::start_with(|options| options.api_rule.limit = 1_000_000);
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    for route in ROUTES.iter().filter(|route| route.face != Face::Page || route.method == Method2::Get) {
        for origin in ["https://evil.example", "null", "http://localhost", "http://app.home.localhost"] {
            for method in ["GET", "OPTIONS"] {
                let headers = [
                    ("Origin", origin),
                    ("Access-Control-Request-Method", "POST"),
                    ("Access-Control-Request-Headers", "authorization, content-type"),
                    ("Accept", "application/json"),
                ];
                let answer = session.client(&server).send(method, &path_of(route), &headers, b"");
                let grants =
                    answer.headers.iter().find(|(name, _)| name.to_lowercase().starts_with("access-control"));
                let is_public = matches!(route.action, Action::Document(_)) && method == "GET";
                let is_fine = match grants {
                    Some((name, value)) => is_public && name == "access-control-allow-origin" && value == "*",
                    None => !is_public,
                };
                assert!(is_fine, "{method} {} for {origin}: {grants:?}", route.path);
                assert!(answer.header("access-control-allow-credentials").is_none(), "{}", route.path);
            }
        }
    }
}
