//! Mistakes 1 to 8: of requests and codes.

use std::time::Duration;

use super::*;
use crate::harness::in_parallel;

/// OA-05.
#[test]
fn mistake_01_pkce_checked_only_if_a_verifier_is_present() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let challenge = challenge(VERIFIER);
    let code = provider.redirect(&mut browser, &app, &with_challenge(&challenge)).code();
    refused(provider.exchange(&app, &code, &[]), "invalid_grant");
    refused(provider.exchange(&app, &code, &[("code_verifier", "")]), "invalid_grant");
    refused(provider.exchange(&app, &code, &[("code_verifier", &challenge)]), "invalid_grant");
    refused(provider.exchange(&app, &code, &[("code_verifier", &VERIFIER[..42])]), "invalid_grant");
    refused(provider.exchange(&app, &code, &[("code_verifier", &format!("{VERIFIER} "))]), "invalid_grant");
    provider.exchange(&app, &code, &[("code_verifier", VERIFIER)]).expect(200);
    // The other way round: somebody took the challenge out of the request.
    let code = provider.redirect(&mut browser, &app, &[]).code();
    refused(provider.exchange(&app, &code, &[("code_verifier", VERIFIER)]), "invalid_grant");
    let strict = provider.add_app(json!({ "pkce": "required" }));
    let answer = provider.redirect(&mut browser, &strict, &[]);
    assert_eq!(answer.get("error"), Some("invalid_request"));
}

/// OA-05.
#[test]
fn mistake_02_unknown_and_plain_challenge_methods() {
    let provider = Provider::start();
    let mut browser = provider.ada();
    let challenge = challenge(VERIFIER);
    for pkce in ["optional", "required"] {
        let app = provider.add_app(json!({ "pkce": pkce }));
        for (challenge, method) in [
            (&*challenge, "plain"),
            (VERIFIER, "plain"),
            (&challenge, "s256"),
            (&challenge, "S512"),
            (&challenge, "none"),
            (&challenge, "S256 plain"),
            (&challenge, ""),
            ("", "S256"),
            ("short", "S256"),
            (&challenge[..42], "S256"),
        ] {
            let extra = [("code_challenge", challenge), ("code_challenge_method", method)];
            let answer = provider.redirect(&mut browser, &app, &extra);
            assert_eq!(answer.get("error"), Some("invalid_request"), "{challenge} {method}");
            assert_eq!(answer.get("code"), None);
        }
    }
    let document = provider.browser().get("/.well-known/openid-configuration").json();
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
}

/// OA-04: each condition alone is enough.
#[test]
fn mistake_03_conditions_joined_by_and() {
    let provider = Provider::start();
    let (app, other) = (provider.add_app(json!({})), provider.add_app(json!({})));
    let mut browser = provider.ada();
    let challenge = challenge(VERIFIER);
    let mut code = || provider.redirect(&mut browser, &app, &with_challenge(&challenge)).code();
    let right = [("code_verifier", VERIFIER)];
    let elsewhere = [("code_verifier", VERIFIER), ("redirect_uri", "https://app.example.org/other")];
    let send = |app: &App, code: &str, extra: &[(&str, &str)]| {
        let mut fields = vec![("grant_type", "authorization_code"), ("code", code)];
        fields.extend_from_slice(extra);
        if !extra.iter().any(|(name, _)| *name == "redirect_uri") {
            fields.push(("redirect_uri", CALLBACK));
        }
        provider.post_as(app, "/oauth2/token", &fields)
    };
    let fresh = code();
    refused(send(&other, &fresh, &right), "invalid_grant");
    refused(send(&app, &fresh, &elsewhere), "invalid_grant");
    refused(send(&app, &fresh, &[("code_verifier", &"y".repeat(43))]), "invalid_grant");
    refused(send(&app, &format!("{fresh}A"), &right), "invalid_grant");
    refused(send(&app, &fresh[..42], &right), "invalid_grant");
    refused(send(&app, &fresh.to_ascii_lowercase(), &right), "invalid_grant");
    let late = code();
    provider.server.clock.advance(Duration::from_secs(59));
    send(&app, &fresh, &right).expect(200);
    provider.server.clock.advance(Duration::from_secs(1));
    refused(send(&app, &late, &right), "invalid_grant");
    refused(send(&other, &late, &elsewhere), "invalid_grant");
}

/// OA-01, OA-02.
#[test]
fn mistake_04_redirect_uris_by_prefix_or_pattern() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "redirect_uris": [CALLBACK, "https://app.example.org/"] }));
    let mut browser = provider.ada();
    for uri in [
        "https://app.example.org",
        "https://app.example.org/callback/",
        "https://app.example.org/callback/../evil",
        "https://app.example.org/callback%2f..%2fevil",
        "https://app.example.org/callback?evil",
        "https://app.example.org/callback#evil",
        "https://app.example.org/callback%00",
        "https://app.example.org/callback\r\nX-Evil: 1",
        "https://app.example.org@evil.example/callback",
        "https://app.example.org:443/callback",
        "https://app.example.org.evil.example/callback",
        "https://appxexample.org/callback",
        "https://evil.example/https://app.example.org/callback",
        "https://evil.example\\@app.example.org/callback",
        "HTTPS://APP.EXAMPLE.ORG/callback",
        "http://app.example.org/callback",
        "//app.example.org/callback",
        "/callback",
        "javascript:alert(1)//https://app.example.org/callback",
        " https://app.example.org/callback",
        "https://app.example.org/callback ",
        "https://*.example.org/callback",
    ] {
        let answer = provider.authorize(&mut browser, &app, &[("redirect_uri", uri)]);
        must_stay_here(&answer, uri);
        let fields = [("response_type", "code"), ("redirect_uri", uri), ("scope", "openid")];
        refused(provider.post_as(&app, "/oauth2/par", &fields), "invalid_request");
    }
    for uri in
        ["https://*.example.org/", "https://app.example.org/*", "JaVaScRiPt:alert(1)", "data:text/html,x"]
    {
        let body = json!({ "name": "Evil", "redirect_uris": [uri] });
        provider.admin().post("/api/v1/admin/clients", body).expect(422);
    }
}

/// OA-03: whatever else is wrong with the request.
#[test]
fn mistake_05_redirecting_errors_before_the_redirect_uri_is_known() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let off = provider.add_app(json!({ "is_disabled": true }));
    let somewhere = ("redirect_uri", "https://evil.example/callback");
    let twice = "&redirect_uri=https%3A%2F%2Fevil.example%2Fcallback";
    let errors: [&[(&str, &str)]; 14] = [
        &[],
        &[("prompt", "none")],
        &[("prompt", "none login")],
        &[("prompt", "evil")],
        &[("response_type", "")],
        &[("response_type", "token")],
        &[("response_mode", "form_post")],
        &[("response_mode", "fragment")],
        &[("response_mode", "evil")],
        &[("scope", "\u{1}")],
        &[("request", "evil")],
        &[("request_uri", "https://evil.example/request")],
        &[("code_challenge_method", "plain")],
        &[("max_age", "-1")],
    ];
    for mut browser in [provider.browser(), provider.ada()] {
        for error in errors {
            let with = |extra: (&'static str, &'static str)| [error, &[extra]].concat();
            must_stay_here(&provider.authorize(&mut browser, &app, &with(somewhere)), "another address");
            must_stay_here(&provider.authorize(&mut browser, &app, &with(("redirect_uri", ""))), "none");
            let path = provider.authorize_path(&app, error);
            must_stay_here(&browser.get(&format!("{path}{twice}")), "two addresses");
            must_stay_here(&provider.authorize(&mut browser, &app, &with(("client_id", "evil"))), "unknown");
            must_stay_here(&provider.authorize(&mut browser, &app, &with(("client_id", ""))), "no client");
            must_stay_here(&browser.get(&format!("{path}&client_id={}", app.id)), "two clients");
            must_stay_here(&browser.get(&path.replacen(&app.id, "%00", 1)), "a client id that is none");
            must_stay_here(&provider.authorize(&mut browser, &off, error), "switched off");
            // The same by POST.
            let body = path.split_once('?').unwrap().1.replacen("app.example.org", "evil.example", 1);
            let headers =
                [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "https://evil.example")];
            let answer = browser.clone().send("POST", "/oauth2/authorize", &headers, body.as_bytes());
            let next = answer.expect(303).header("location").unwrap().to_owned();
            assert!(next.starts_with("/oauth2/authorize?"), "{next}");
            must_stay_here(&browser.get(&next), "by POST");
        }
    }
    let foreign = provider.push(&provider.add_app(json!({})), &[]);
    for uri in [&*foreign, "urn:ietf:params:oauth:request_uri:x", "urn:ietf:params:oauth:request_uri:"] {
        let path = format!("/oauth2/authorize?{}", query(&[("client_id", &app.id), ("request_uri", uri)]));
        must_stay_here(&provider.browser().get(&path), uri);
    }
}

/// OA-08.
#[test]
fn mistake_06_duplicate_parameters() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "audiences": ["https://api.example.org", "https://b.example.org"] }));
    let mut browser = provider.ada();
    for (name, value) in [
        ("scope", "openid email"),
        ("state", "other"),
        ("nonce", "other"),
        ("response_type", "code"),
        ("response_mode", "query"),
        ("prompt", "none"),
        ("code_challenge", "x"),
        ("anything", "x"),
    ] {
        let twice = query(&[(name, value), (name, value)]);
        let path = format!("{}&{twice}", provider.authorize_path(&app, &[]));
        let answer = browser.get(&path).expect(303);
        let answer = Redirect::of(answer.header("location").unwrap());
        assert_eq!((answer.get("error"), answer.get("code")), (Some("invalid_request"), None), "{name}");
        assert_eq!(answer.to, CALLBACK);
    }
    let both = [("resource", "https://api.example.org")];
    let path = provider.authorize_path(&app, &both) + "&resource=https%3A%2F%2Fb.example.org";
    assert!(Redirect::of(browser.get(&path).expect(303).header("location").unwrap()).get("code").is_some());
    let code = provider.redirect(&mut browser, &app, &[]).code();
    for (name, value) in [
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("grant_type", "authorization_code"),
        ("grant_type", "client_credentials"),
        ("redirect_uri", "https://evil.example"),
    ] {
        refused(provider.exchange(&app, &code, &[(name, value)]), "invalid_request");
    }
    let token = provider.exchange(&app, &code, &[]).expect(200).json();
    let token = text(&token, "access_token");
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        refused(provider.post_as(&app, path, &[("token", token), ("token", "x")]), "invalid_request");
        let path = format!("{path}?token={token}");
        refused(provider.post_as(&app, &path, &[("token", token)]), "invalid_request");
    }
    provider.userinfo(token).expect(200);
    let at = format!("/oauth2/userinfo?access_token={token}");
    provider.browser().get_json(&at).expect(401);
    let body = query(&[("access_token", token)]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    provider.browser().send("POST", "/oauth2/userinfo", &headers, body.as_bytes()).expect(200);
    let mut both = provider.browser().with_bearer(token);
    refused(both.send("POST", "/oauth2/userinfo", &headers, body.as_bytes()), "invalid_request");
}

/// GEN-03. The matrix of refusals tries a hundred uses of everything; here of a code, and of a refresh token by two
/// clients of which one stole it.
#[test]
fn mistake_07_single_use_objects_that_are_checked_and_then_deleted() {
    let provider = std::sync::Arc::new(Provider::start());
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    for _ in 0..5 {
        let code = provider.redirect(&mut browser, &app, &[OFFLINE]).code();
        let (all, it) = (provider.clone(), app.clone());
        let answers = in_parallel(20, move |_| all.exchange(&it, &code, &[]));
        let won: Vec<Value> =
            answers.iter().filter(|answer| answer.status == 200).map(Answer::json).collect();
        assert!(won.len() <= 1, "{} of 20", won.len());
        for tokens in won {
            provider.userinfo(text(&tokens, "access_token")).expect(401);
        }
    }
}

/// OA-04.
#[test]
fn mistake_08_reuse_of_a_code_leaves_its_tokens_alive() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    for pause in [0, 30, 3600] {
        let code = provider.redirect(&mut browser, &app, &[OFFLINE]).code();
        let tokens = provider.exchange(&app, &code, &[]).expect(200).json();
        let newer = provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(200).json();
        provider.server.clock.advance(Duration::from_secs(pause));
        refused(provider.exchange(&app, &code, &[]), "invalid_grant");
        for token in
            [text(&tokens, "access_token"), text(&newer, "access_token"), text(&newer, "refresh_token")]
        {
            assert!(!provider.is_active(&app, token), "after {pause} s");
        }
        provider.userinfo(text(&newer, "access_token")).expect(401);
        refused(provider.refresh(&app, text(&newer, "refresh_token"), &[]), "invalid_grant");
    }
}
