//! Twenty-five mistakes that OpenID providers made, each tried here.

use std::time::Duration;

use doorward::crypto::signing::sign_compact;

use super::steps::*;
use super::*;
use crate::harness::in_parallel;

const OFFLINE: (&str, &str) = ("scope", "openid email offline_access");

fn rsa_key() -> PrivateKey {
    PrivateKey::from_pem(include_str!("rsa-key.pem")).unwrap()
}

fn with_challenge<'a>(challenge: &'a str) -> [(&'a str, &'a str); 3] {
    [OFFLINE, ("code_challenge", challenge), ("code_challenge_method", "S256")]
}

#[track_caller]
fn refused(answer: Answer, error: &str) {
    let answer = answer.expect(400);
    assert_eq!(error_of(&answer), error, "{}", answer.text());
}

/// The page that an app's mistake is shown on: no redirect, no trace of where it wanted to lead.
#[track_caller]
fn must_stay_here(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert!(answer.header("location").is_none(), "{what}");
    let text = answer.text();
    assert!(!text.contains("evil") && !text.contains("<form"), "{what}: {text}");
}

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

/// GEN-02, TOK-11.
#[test]
fn mistake_09_access_tokens_that_outlive_what_they_stand_on() {
    let mut provider = Provider::start();
    let app = provider.add_app(json!({}));
    let revoke = |provider: &Provider, _: &mut Client, token: &str| {
        provider.post_as(&app, "/oauth2/revoke", &[("token", token)]).expect(200);
    };
    let sign_out = |_: &Provider, browser: &mut Client, _: &str| {
        let csrf = browser.get("/logout").expect(200).input("csrf").unwrap();
        browser.form("/logout", &[("csrf", &csrf), ("confirmed", "yes")]).expect(200);
    };
    let disable = |provider: &Provider, _: &mut Client, _: &str| {
        let path = format!("/api/v1/admin/users/{}/disable", provider.ada);
        provider.warden().post(&path, json!({})).expect(204);
    };
    let ways: [&dyn Fn(&Provider, &mut Client, &str); 3] = [&revoke, &sign_out, &disable];
    for way in ways {
        let mut browser = provider.ada();
        let tokens = provider.tokens_in(&mut browser, &app, &[]);
        let token = text(&tokens, "access_token").to_owned();
        assert!(provider.is_active(&app, &token));
        // Twice, so that it is answered from what is remembered.
        provider.userinfo(&token).expect(200);
        way(&provider, &mut browser, &token);
        let dead = |provider: &Provider| {
            provider.userinfo(&token).expect(401);
            let answer = provider.post_as(&app, "/oauth2/introspect", &[("token", &token)]).expect(200);
            assert_eq!(answer.json(), json!({ "active": false }));
        };
        dead(&provider);
        provider = provider.restart();
        dead(&provider);
    }
}

/// REF-07.
#[test]
fn mistake_10_refresh_tokens_that_outlive_the_end_of_the_session() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[OFFLINE]);
    let newer = provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(200).json();
    let other = provider.tokens(&app, &[OFFLINE]);
    let csrf = browser.get("/logout").expect(200).input("csrf").unwrap();
    browser.form("/logout", &[("csrf", &csrf), ("confirmed", "yes")]).expect(200);
    for token in [text(&tokens, "refresh_token"), text(&newer, "refresh_token")] {
        refused(provider.refresh(&app, token, &[]), "invalid_grant");
    }
    let other = provider.refresh(&app, text(&other, "refresh_token"), &[]).expect(200).json();
    let provider = provider.restart();
    refused(provider.refresh(&app, text(&newer, "refresh_token"), &[]), "invalid_grant");
    provider.refresh(&app, text(&other, "refresh_token"), &[]).expect(200);
}

/// REF-01 to REF-05, REF-08.
#[test]
fn mistake_11_refresh_tokens_without_owner_or_memory() {
    let provider = Provider::start();
    let (app, other) = (provider.add_app(json!({})), provider.add_app(json!({})));
    let mut browser = provider.ada();
    let first = provider.tokens_in(&mut browser, &app, &[OFFLINE]);
    let first = text(&first, "refresh_token");
    // A stranger gets nothing and breaks nothing.
    for _ in 0..3 {
        refused(provider.refresh(&other, first, &[]), "invalid_grant");
    }
    let answer = provider.post_form(
        "/oauth2/token",
        &[("grant_type", "refresh_token"), ("refresh_token", first), ("client_id", &app.id)],
        None,
    );
    assert_eq!(error_of(&answer.expect(401)), "invalid_client");
    refused(
        provider.refresh(&app, first, &[("scope", "openid email groups offline_access")]),
        "invalid_scope",
    );
    let narrow = provider.refresh(&app, first, &[("scope", "openid")]).expect(200).json();
    assert_eq!(narrow["scope"], "openid");
    assert!(provider.userinfo(text(&narrow, "access_token")).expect(200).json().get("email").is_none());
    // A lost answer may be asked for again, for a moment, and is the same.
    let again = provider.refresh(&app, first, &[]).expect(200).json();
    assert_eq!(again["refresh_token"], narrow["refresh_token"]);
    let second = text(&again, "refresh_token");
    let third = provider.refresh(&app, second, &[]).expect(200).json();
    let third = text(&third, "refresh_token");
    // The first one again: somebody else has it. Everything ends.
    refused(provider.refresh(&app, first, &[]), "invalid_grant");
    refused(provider.refresh(&app, third, &[]), "invalid_grant");
    assert!(!provider.is_active(&app, text(&again, "access_token")));
    let late = provider.tokens_in(&mut browser, &app, &[OFFLINE]);
    let late = text(&late, "refresh_token");
    let next = provider.refresh(&app, late, &[]).expect(200).json();
    provider.server.clock.advance(Duration::from_secs(10));
    refused(provider.refresh(&app, late, &[]), "invalid_grant");
    refused(provider.refresh(&app, text(&next, "refresh_token"), &[]), "invalid_grant");
}

/// OA-18.
#[test]
fn mistake_12_device_codes_of_any_client_and_codes_that_can_be_guessed() {
    let provider = Provider::start();
    let settings = json!({ "grants": ALL_GRANTS });
    let (app, other) = (provider.add_app(settings.clone()), provider.add_app(settings));
    let mut browser = provider.ada();
    let device = provider.device(&app, &[("scope", "openid")]);
    let code = text(&device, "user_code");
    assert_eq!(code.len(), 9, "{code}");
    assert!(
        code.bytes().filter(|byte| *byte != b'-').all(|byte| b"BCDFGHJKLMNPQRSTVWXZ".contains(&byte)),
        "{code}"
    );
    refused(provider.poll(&other, &device), "invalid_grant");
    refused(provider.poll(&app, &device), "authorization_pending");
    decide_device(&mut browser, &device, "allow").expect(200);
    provider.server.clock.advance(Duration::from_secs(6));
    refused(provider.poll(&other, &device), "invalid_grant");
    provider.poll(&app, &device).expect(200);
    for _ in 0..10 {
        browser.get("/device?user_code=BBBB-BBBB").expect(422);
    }
    // The right one is refused too: guessing leads nowhere.
    let device = provider.device(&app, &[("scope", "openid")]);
    let path = format!("/device?{}", query(&[("user_code", text(&device, "user_code"))]));
    let answer = browser.get(&path).expect(422);
    assert!(answer.text().contains("too many wrong codes"), "{}", answer.text());
}

/// OA-09, OA-10: an assertion of nobody, or one where another method was registered. (Assertions that verify are tried
/// where they are built.)
#[test]
fn mistake_13_client_assertions_that_prove_nothing() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "grants": ALL_GRANTS }));
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let claims = json!({ "iss": app.id, "sub": app.id, "aud": ORIGIN, "jti": "1", "iat": 1_800_000_000, "exp": 1_800_000_060 });
    let signed = sign_compact(&rsa_key(), None, &claims).unwrap();
    let unsigned = format!(
        "{}.{}.",
        BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#),
        BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
    );
    for assertion in [&*signed, &unsigned, "x", "a.b.c", "..", app.secret.as_deref().unwrap()] {
        for kind in [kind, "", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"] {
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_assertion", assertion),
                ("client_assertion_type", kind),
            ];
            for id in [None, Some(("client_id", &*app.id))] {
                let fields: Vec<_> = fields.iter().copied().chain(id).collect();
                let answer = provider.post_form("/oauth2/token", &fields, None).expect(401);
                assert_eq!(error_of(&answer), "invalid_client");
            }
            refused(provider.post_as(&app, "/oauth2/token", &fields), "invalid_request");
        }
    }
}

/// TOK-04, TOK-12.
#[test]
fn mistake_14_tokens_of_one_kind_that_pass_for_another() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "userinfo_alg": "RS256" }));
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[OFFLINE]);
    let (access, id, refresh) =
        (text(&tokens, "access_token"), text(&tokens, "id_token"), text(&tokens, "refresh_token"));
    let own = provider.server.access_token(provider.ada);
    let userinfo = provider.userinfo(access).expect(200).text();
    for token in [id, refresh, &own, &userinfo] {
        provider.userinfo(token).expect(401);
    }
    for token in [id, &own, &userinfo] {
        assert!(!provider.is_active(&app, token));
        refused(provider.refresh(&app, token, &[]), "invalid_grant");
    }
    refused(provider.refresh(&app, access, &[]), "invalid_grant");
    let forged = |typ: Option<&str>| {
        let claims = json!({
            "iss": ORIGIN, "sub": provider.ada.to_string(), "aud": app.id, "sid": "x", "jti": "x",
            "iat": 1_800_000_000_u64, "exp": 1_800_003_600_u64,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        sign_compact(&rsa_key(), typ, &claims).unwrap()
    };
    let (logout, at) = (forged(Some("logout+jwt")), forged(Some("at+jwt")));
    for token in [access, refresh, &own, &userinfo, &logout, &at] {
        let answer = provider.redirect(&mut browser, &app, &[("prompt", "none"), ("id_token_hint", token)]);
        assert_eq!(answer.get("error"), Some("invalid_request"), "{token}");
        let path =
            format!("/logout?{}", query(&[("id_token_hint", token), ("post_logout_redirect_uri", GOODBYE)]));
        must_stay_here(&browser.get(&path), token);
    }
    provider.redirect(&mut browser, &app, &[("prompt", "none"), ("id_token_hint", id)]).code();
    for token in [access, id, refresh, &userinfo] {
        provider.server.client().with_bearer(token).get_json("/api/v1/users/me").expect(401);
        let answer =
            provider.server.client().post("/api/v1/auth/validate", json!({ "token": token })).expect(200);
        assert_eq!(answer.json()["active"], false);
    }
}

/// TOK-01 to TOK-03.
#[test]
fn mistake_15_the_token_says_how_it_is_to_be_verified() {
    use hmac::{Hmac, KeyInit, Mac};
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[]);
    let keys = provider.browser().get("/jwks.json").json();
    let public = keys["keys"][0].to_string();
    for honest in [text(&tokens, "id_token"), text(&tokens, "access_token")] {
        let payload = honest.split('.').nth(1).unwrap();
        let kid = header(honest)["kid"].as_str().unwrap().to_owned();
        let typ = header(honest)["typ"].clone();
        let with = |alg: &str, extra: Value| {
            let mut head = json!({ "alg": alg, "kid": kid });
            if typ.is_string() {
                head["typ"] = typ.clone();
            }
            head.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            format!("{}.{payload}", BASE64URL_NOPAD.encode(head.to_string().as_bytes()))
        };
        let by_hmac = |secret: &[u8]| {
            let signed = with("HS256", json!({}));
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
            mac.update(signed.as_bytes());
            format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()))
        };
        let signature = honest.split('.').nth(2).unwrap();
        let mut forged = vec![
            format!("{}.", with("none", json!({}))),
            format!("{}.{signature}", with("none", json!({}))),
            format!("{}.", with("NONE", json!({}))),
            by_hmac(public.as_bytes()),
            by_hmac(keys["keys"][0]["n"].as_str().unwrap_or("x").as_bytes()),
            by_hmac(app.secret.as_deref().unwrap().as_bytes()),
        ];
        for extra in [
            json!({ "jwk": keys["keys"][0] }),
            json!({ "jku": "https://evil.example/jwks.json" }),
            json!({ "x5u": "https://evil.example/key.pem" }),
            json!({ "crit": ["exp"] }),
            json!({ "kid": "../../x" }),
            json!({ "alg": "EdDSA" }),
            json!({ "alg": "RS256", "b64": false }),
        ] {
            forged.push(format!("{}.{signature}", with(header(honest)["alg"].as_str().unwrap(), extra)));
        }
        for token in forged.iter().filter(|token| *token != honest) {
            provider.userinfo(token).expect(401);
            assert!(!provider.is_active(&app, token), "{token}");
            let answer =
                provider.redirect(&mut browser, &app, &[("prompt", "none"), ("id_token_hint", token)]);
            assert_eq!(answer.get("error"), Some("invalid_request"), "{token}");
        }
    }
}

#[test]
fn mistake_16_clients_that_know_rs256_alone_are_left_out() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let modern = provider.add_app(json!({ "id_token_alg": "EdDSA" }));
    assert_eq!(header(text(&provider.tokens(&app, &[]), "id_token"))["alg"], "RS256");
    assert_eq!(header(text(&provider.tokens(&modern, &[]), "id_token"))["alg"], "EdDSA");
    let document = provider.browser().get("/.well-known/openid-configuration").json();
    let listed = document["id_token_signing_alg_values_supported"].as_array().unwrap();
    assert!(listed.contains(&json!("RS256")) && listed.contains(&json!("EdDSA")), "{listed:?}");
    assert!(listed.iter().all(|name| ["RS256", "ES256", "EdDSA"].contains(&name.as_str().unwrap())));
    let keys = provider.browser().get("/jwks.json").json();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys[0]["kty"], "RSA", "for those that take the first");
    for key in keys {
        assert_eq!(key["use"], "sig");
        assert!(key["alg"].is_string() && key["kid"].is_string());
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(key.get(private).is_none(), "TOK-15: {key}");
        }
    }
}

/// TOK-13, PWD-10: what the store holds opens nothing.
#[test]
fn mistake_17_secrets_in_the_store_in_clear() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "grants": ALL_GRANTS }));
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[OFFLINE]);
    let code = provider.redirect(&mut browser, &app, &[]).code();
    let device = provider.device(&app, &[("scope", "openid")]);
    let pushed = provider.push(&app, &[]);
    let secrets = [
        app.secret.clone().unwrap(),
        text(&tokens, "refresh_token").to_owned(),
        text(&tokens, "access_token").to_owned(),
        code,
        text(&device, "device_code").to_owned(),
        pushed.rsplit(':').next().unwrap().to_owned(),
    ];
    let dir = provider.server.dir.clone();
    drop(provider);
    let mut left = vec![dir.0.clone()];
    let mut read = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        read += bytes.len();
        for secret in &secrets {
            for shape in
                [secret.as_bytes().to_vec(), BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap_or_default()]
            {
                let is_there = shape.len() > 8 && bytes.windows(shape.len()).any(|window| window == shape);
                assert!(!is_there, "{secret} lies in {}", path.display());
            }
        }
    }
    assert!(read > 1000);
}

/// OA-09.
#[test]
fn mistake_18_client_credentials_in_odd_shapes_or_in_two_places() {
    let provider = Provider::start();
    let grants = json!(["authorization_code", "client_credentials"]);
    let app = provider.add_app(json!({ "id": "a.b~c_d-e", "grants": grants }));
    let by_basic = provider.add_app(json!({ "grants": grants, "auth_method": "client_secret_basic" }));
    let by_post = provider.add_app(json!({ "grants": grants, "auth_method": "client_secret_post" }));
    let public = provider.add_app(json!({ "kind": "public", "auth_method": "none" }));
    let grant = ("grant_type", "client_credentials");
    let send =
        |fields: &[(&str, &str)], header: Option<&str>| provider.post_form("/oauth2/token", fields, header);
    let secret = |app: &App| app.secret.clone().unwrap();
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let header =
        |id: &str, secret: &str| format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()));
    send(&[grant], Some(&header(&app.id, &secret(&app)))).expect(200);
    send(&[grant], Some(&header(&encoded(&app.id), &encoded(&secret(&app))))).expect(200);
    send(&[grant, ("client_id", &app.id), ("client_secret", &secret(&app))], None).expect(200);
    send(&[grant, ("client_id", &app.id)], Some(&header(&app.id, &secret(&app)))).expect(200);
    send(&[grant], Some(&header(&by_basic.id, &secret(&by_basic)))).expect(200);
    send(&[grant, ("client_id", &by_post.id), ("client_secret", &secret(&by_post))], None).expect(200);
    let wrong = |fields: &[(&str, &str)], header: Option<&str>| {
        let answer = send(fields, header).expect(401);
        assert_eq!(error_of(&answer), "invalid_client");
        // RFC 6749 section 5.2: a challenge for whoever tried the header, and for nobody else.
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.is_some_and(|value| value.starts_with("Basic")), header.is_some());
    };
    wrong(&[grant], None);
    wrong(&[grant, ("client_id", &app.id)], None);
    wrong(&[grant, ("client_id", &app.id), ("client_secret", "")], None);
    wrong(&[grant], Some(&header(&app.id, "")));
    wrong(&[grant], Some(&header("", &secret(&app))));
    wrong(&[grant], Some(&header(&app.id, &secret(&app)[1..])));
    wrong(&[grant], Some(&header(&app.id, &secret(&by_basic))));
    wrong(&[grant], Some(&header(&app.id, &secret(&app).to_ascii_uppercase())));
    wrong(&[grant], Some(&format!("Bearer {}", secret(&app))));
    wrong(&[grant], Some("Basic"));
    wrong(&[grant], Some("Basic %%%"));
    wrong(&[grant, ("client_id", &by_post.id)], Some(&header(&app.id, &secret(&app))));
    wrong(&[grant], Some(&header(&by_post.id, &secret(&by_post))));
    wrong(&[grant, ("client_id", &by_basic.id), ("client_secret", &secret(&by_basic))], None);
    wrong(&[grant, ("client_id", &public.id), ("client_secret", "x")], None);
    wrong(&[grant], Some(&header(&public.id, "")));
    let two = send(&[grant, ("client_secret", &secret(&app))], Some(&header(&app.id, &secret(&app))));
    refused(two, "invalid_request");
    let two = send(&[grant, ("client_assertion", "x")], Some(&header(&app.id, &secret(&app))));
    refused(two, "invalid_request");
    let body = query(&[grant]);
    let basic = header(&app.id, &secret(&app));
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", &*basic)];
    let mut twice = provider.browser().with_bearer("x");
    assert!(twice.send("POST", "/oauth2/token", &headers, body.as_bytes()).status >= 400);
}

/// OA-14.
#[test]
fn mistake_19_prompts_and_ages_that_are_only_half_obeyed() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let state = "aB3-._~".repeat(18);
    let mut browser = provider.browser();
    let extra = [("prompt", "none"), ("state", &*state)];
    let answer = provider.redirect(&mut browser, &app, &extra);
    assert_eq!((answer.get("error"), answer.get("state")), (Some("login_required"), Some(&*state)));
    let mut browser = provider.ada();
    let answer = provider.redirect(&mut browser, &app, &extra);
    assert_eq!((answer.get("error"), answer.get("state")), (Some("consent_required"), Some(&*state)));
    let first = agree(&mut browser, &provider.authorize_path(&app, &[]));
    let first = provider.exchange(&app, &first.code(), &[]).expect(200).json();
    let silent = provider.redirect(&mut browser, &app, &extra);
    let silent = provider.exchange(&app, &silent.code(), &[]).expect(200).json();
    let time = |tokens: &Value| claims(text(tokens, "id_token"))["auth_time"].as_u64().unwrap();
    assert_eq!(time(&first), time(&silent));
    provider.server.clock.advance(Duration::from_secs(5));
    for again in [("prompt", "login"), ("max_age", "0"), ("max_age", "3"), ("prompt", "select_account")] {
        let path = provider.authorize_path(&app, &[again]);
        let answer = browser.get(&path).expect(303);
        let page = answer.header("location").unwrap().to_owned();
        assert!(page.starts_with("/signin?rd="), "{again:?}: {page}");
        // Coming back without having signed in is no answer, with or without the mark.
        let back = Redirect::of(&page).get("rd").unwrap().to_owned();
        for path in [&path, &back] {
            let answer = browser.get(path).expect(303);
            assert!(answer.header("location").unwrap().starts_with("/signin"), "{again:?}");
        }
        let answer = provider.sign_in(&mut browser, &page, "ada");
        let back = answer.header("location").unwrap().to_owned();
        let answer = browser.get(back.strip_prefix(ORIGIN).unwrap_or(&back)).expect(303);
        let code = Redirect::of(answer.header("location").unwrap()).code();
        let tokens = provider.exchange(&app, &code, &[]).expect(200).json();
        assert!(time(&tokens) > time(&first), "{again:?}");
        provider.server.clock.advance(Duration::from_secs(5));
    }
    let answer = provider.redirect(&mut browser, &app, &[("prompt", "none"), ("max_age", "1")]);
    assert_eq!(answer.get("error"), Some("login_required"));
    provider.redirect(&mut browser, &app, &[("prompt", "none"), ("max_age", "10000")]).code();
    for bad in ["none login", "login none", "none none", "everything"] {
        let answer = provider.redirect(&mut browser, &app, &[("prompt", bad)]);
        assert_eq!(answer.get("error"), Some("invalid_request"), "{bad}");
    }
    // Who has a second factor proves it again too.
    let (authenticator, _) = provider.server.enrol_totp(provider.ada);
    let mut browser = provider.browser();
    let page = provider.authorize(&mut browser, &app, &[("prompt", "login")]).expect(303);
    let page = page.header("location").unwrap().to_owned();
    let answer = provider.sign_in(&mut browser, &page, "ada");
    assert!(answer.header("location").unwrap().starts_with("/signin/second-factor"));
    let answer = provider.redirect(&mut browser, &app, &[("prompt", "none")]);
    assert_eq!(answer.get("error"), Some("login_required"), "half signed in is not signed in");
    let _code = authenticator.code();
}

/// OA-17, WEB-04.
#[test]
fn mistake_20_logging_out_by_a_link_and_redirects_to_anywhere() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let other = provider.add_app(json!({ "post_logout_redirect_uris": ["https://other.example.org/bye"] }));
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[]);
    let hint = text(&tokens, "id_token").to_owned();
    let visit =
        |browser: &mut Client, pairs: &[(&str, &str)]| browser.get(&format!("/logout?{}", query(pairs)));
    let (hinted, home) = (("id_token_hint", &*hint), ("post_logout_redirect_uri", GOODBYE));
    // A link asks, and does nothing.
    for pairs in [
        &[][..],
        &[hinted],
        &[hinted, home],
        &[("confirmed", "yes"), hinted, home],
        &[("client_id", &app.id)],
    ] {
        assert!(visit(&mut browser, pairs).expect(200).text().contains("sign-out-confirm"));
        assert!(provider.is_active(&app, text(&tokens, "access_token")));
    }
    let claims_of_hint = claims(&hint);
    let unsigned = format!(
        "{}.{}.",
        BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#),
        BASE64URL_NOPAD.encode(claims_of_hint.to_string().as_bytes())
    );
    for (what, pairs) in [
        ("no hint", &[home][..]),
        ("a query more", &[hinted, ("post_logout_redirect_uri", "https://app.example.org/goodbye?evil")]),
        ("a path more", &[hinted, ("post_logout_redirect_uri", "https://app.example.org/goodbye/evil")]),
        ("another host", &[hinted, ("post_logout_redirect_uri", "https://evil.example/goodbye")]),
        ("of another client", &[hinted, ("post_logout_redirect_uri", "https://other.example.org/bye")]),
        ("of the redirect URIs", &[hinted, ("post_logout_redirect_uri", CALLBACK)]),
        ("a hint without signature", &[("id_token_hint", &*unsigned), home]),
        ("no hint at all", &[("id_token_hint", "evil"), home]),
        ("a hint of another client", &[hinted, home, ("client_id", &other.id)]),
        ("an unknown client", &[("client_id", "evil"), home]),
    ] {
        for mut browser in [browser.clone(), provider.browser()] {
            must_stay_here(&visit(&mut browser, pairs), what);
        }
        // The form that another site posts, and one that pretends to be confirmed.
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "https://evil.example")];
        let answer =
            provider.browser().send("POST", "/logout", &headers, query(pairs).as_bytes()).expect(303);
        assert!(answer.header("location").unwrap().starts_with("/logout?"), "{what}");
        let wish = query(pairs);
        let body = query(&[("confirmed", "yes"), ("request", &wish)]);
        let answer = provider.browser().send("POST", "/logout", &headers, body.as_bytes());
        assert!(answer.header("location").is_none(), "{what}: {answer:?}");
    }
    // A forged confirmation does nothing.
    let csrf = browser.get("/logout").expect(200).input("csrf").unwrap();
    let wrong = provider.ada().get("/logout").expect(200).input("csrf").unwrap();
    for (csrf, origin) in
        [("", ORIGIN), ("x", ORIGIN), (&*wrong, ORIGIN), (&*csrf, "https://evil.example"), (&*csrf, "null")]
    {
        let body = query(&[("csrf", csrf), ("confirmed", "yes")]);
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin)];
        browser.send("POST", "/logout", &headers, body.as_bytes()).expect(403);
    }
    assert!(provider.is_active(&app, text(&tokens, "access_token")));
    // What comes twice leads nowhere.
    let answer = visit(&mut provider.browser(), &[hinted, home, home]).expect(200);
    assert!(answer.text().contains("You are signed out"));
    // An old hint is as good as a new one.
    provider.server.clock.advance(Duration::from_secs(4000));
    let answer = visit(&mut provider.browser(), &[hinted, home, ("state", "a&b=c")]).expect(303);
    assert_eq!(answer.header("location"), Some("https://app.example.org/goodbye?state=a%26b%3Dc"));
}

/// OA-12, OA-20: where logout tokens may be sent. (What they say is tried where they are sent.)
#[test]
fn mistake_21_logout_tokens_to_anywhere() {
    let provider = Provider::start();
    for uri in [
        "ftp://app.example.org/logout",
        "file:///etc/passwd",
        "gopher://app.example.org/",
        "javascript:alert(1)",
        "https://user:password@app.example.org/logout",
        "https://app.example.org/logout#fragment",
        "/logout",
        "",
    ] {
        let body = json!({ "name": "X", "redirect_uris": [CALLBACK], "backchannel_logout_uri": uri });
        provider.admin().post("/api/v1/admin/clients", body).expect(422);
    }
    let document = provider.browser().get("/.well-known/openid-configuration").json();
    assert_eq!(document["backchannel_logout_supported"], true);
    assert_eq!(document["backchannel_logout_session_supported"], true);
    let app = provider.add_app(json!({ "backchannel_logout_uri": "https://app.example.org/logout" }));
    let sid = claims(text(&provider.tokens(&app, &[]), "id_token"))["sid"].clone();
    assert!(sid.is_string(), "apps find the session again by it");
}

/// OA-07, SES-12.
#[test]
fn mistake_22_details_of_http() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "grants": ALL_GRANTS }));
    let mut browser = provider.browser();
    let page = provider.authorize(&mut browser, &app, &[]).expect(303);
    let page = page.header("location").unwrap().to_owned();
    // 303: the browser does not send the password on (expected by the helper).
    provider.sign_in(&mut browser, &page, "ada");
    let code = provider.redirect(&mut browser, &app, &[OFFLINE]).code();
    let answers = [
        provider.exchange(&app, &code, &[]),
        provider.exchange(&app, &code, &[]),
        provider.exchange(&App { secret: Some("x".to_owned()), ..app.clone() }, &code, &[]),
        provider.post_form(
            "/oauth2/token",
            &[("grant_type", "\"\\<b>\u{e4}")],
            Some(&basic(&app.id, app.secret.as_deref().unwrap())),
        ),
        provider.post_as(&app, "/oauth2/token", &[]),
        provider.post_as(&app, "/oauth2/introspect", &[]),
        provider.post_as(&app, "/oauth2/revoke", &[("token", "x")]),
        provider.post_as(&app, "/oauth2/par", &[("x\"\\", "1"), ("x\"\\", "2")]),
        provider.post_as(&app, "/oauth2/device_authorization", &[("scope", "\"")]),
        provider.userinfo("x"),
        provider.browser().get_json("/oauth2/userinfo"),
        provider.browser().send("POST", "/oauth2/token", &[("Content-Type", "application/json")], b"{}"),
    ];
    for answer in answers {
        assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")), "{answer:?}");
        if answer.body.is_empty() {
            continue;
        }
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        let body = answer.json();
        assert_eq!(answer.status == 200, body.get("error").is_none(), "{body}");
        if let Some(description) = body["error_description"].as_str() {
            let is_plain = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(description.bytes().all(is_plain), "{description}");
        }
        if answer.header("www-authenticate").is_some() {
            assert_eq!(answer.status, 401, "{body}");
        }
        assert!(body.as_object().unwrap().values().all(|value| !value.is_null()), "{body}");
    }
    for (path, method) in [
        ("/oauth2/token", "GET"),
        ("/oauth2/par", "GET"),
        ("/oauth2/introspect", "GET"),
        ("/oauth2/revoke", "PUT"),
    ] {
        provider.browser().send(method, path, &[], b"").expect(405);
    }
    let tokens = provider.tokens(&app, &[("scope", "openid profile email")]);
    let userinfo = provider.userinfo(text(&tokens, "access_token")).expect(200).json();
    assert!(userinfo["email_verified"].is_boolean(), "{userinfo}");
    assert!(userinfo.get("updated_at").is_none_or(Value::is_u64), "{userinfo}");
    for value in userinfo
        .as_object()
        .unwrap()
        .values()
        .chain(claims(text(&tokens, "id_token")).as_object().unwrap().values())
    {
        assert!(!value.is_null() && value != "", "{userinfo}");
    }
}

/// WEB-12.
#[test]
fn mistake_23_an_issuer_that_follows_the_request() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let document = provider.browser().get("/.well-known/openid-configuration").expect(200).json();
    assert_eq!(document["issuer"], ORIGIN);
    for (name, value) in document.as_object().unwrap() {
        if name.ends_with("_endpoint") || name.ends_with("_uri") {
            assert!(value.as_str().unwrap().starts_with(&format!("{ORIGIN}/")), "{name}: {value}");
        }
    }
    for (name, value) in [
        ("Host", "evil.example"),
        ("Host", "localhost.evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Forwarded-Proto", "https"),
        ("X-Original-Host", "evil.example"),
    ] {
        for path in
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks.json"]
        {
            let answer = provider.browser().with_header(name, value).get_json(path);
            assert!(!answer.text().contains("evil"), "{name}: {value}: {}", answer.text());
            assert!(
                answer.status == 421 || !path.contains("well-known") || answer.json()["issuer"] == ORIGIN
            );
        }
        let mut browser = provider.ada().with_header(name, value);
        let answer = provider.authorize(&mut browser, &app, &[]);
        if answer.status == 303 && answer.header("location").unwrap().contains("code=") {
            assert_eq!(
                Redirect::of(answer.header("location").unwrap()).get("iss"),
                Some(ORIGIN),
                "{name}: {value}"
            );
        }
    }
    let tokens = provider.tokens(&app, &[]);
    assert_eq!(claims(text(&tokens, "id_token"))["iss"], ORIGIN);
    assert_eq!(claims(text(&tokens, "access_token"))["iss"], ORIGIN);
}

/// WEB-07, SES-04.
#[test]
fn mistake_24_policies_and_cookies_that_get_in_the_way() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let mut browser = provider.ada();
    let policy = |answer: &Answer| {
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        let actions =
            policy.split(';').find(|part| part.trim().starts_with("form-action")).unwrap().to_owned();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        actions
    };
    let page = provider.authorize(&mut browser, &app, &[]).expect(200);
    assert!(policy(&page).contains("https://app.example.org"), "the consent leads to the app");
    let page = provider
        .authorize(&mut browser, &app, &[("response_mode", "form_post"), ("prompt", "none")])
        .expect(200);
    assert!(policy(&page).contains("https://app.example.org"));
    assert!(page.text().contains("consent_required"));
    let mut stranger = provider.browser();
    let page = provider.authorize(&mut stranger, &app, &[]).expect(303);
    let page = stranger.get(page.header("location").unwrap()).expect(200);
    assert!(policy(&page).contains("https://app.example.org"), "so does the sign-in");
    assert!(!policy(&stranger.get("/signin").expect(200)).contains("app.example.org"));
    let answer = stranger.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let session = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let session = session.map(|(_, value)| value).find(|value| value.starts_with("dw=")).unwrap();
    assert!(session.contains("SameSite=Lax") && session.contains("HttpOnly"), "{session}");
    // What another site posts comes back as a GET, with the cookie.
    let path = provider.authorize_path(&app, &[]);
    let body = path.split_once('?').unwrap().1;
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://app.example.org"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    let answer = provider.browser().send("POST", "/oauth2/authorize", &headers, body.as_bytes()).expect(303);
    browser.get(answer.header("location").unwrap()).expect(200);
}

/// OA-01, OA-02, OA-19.
#[test]
fn mistake_25_loopback_ports_and_other_odds_and_ends() {
    let provider = Provider::start();
    let uris =
        json!(["http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb", "org.example.app:/cb"]);
    let native = provider.add_app(
        json!({ "kind": "public", "auth_method": "none", "is_native": true, "redirect_uris": uris }),
    );
    let web = provider.add_app(json!({ "redirect_uris": uris }));
    let mut browser = provider.ada();
    let challenge = challenge(VERIFIER);
    let mut visit = |app: &App, uri: &str| {
        let extra =
            [("redirect_uri", uri), ("code_challenge", &*challenge), ("code_challenge_method", "S256")];
        provider.authorize(&mut browser, app, &extra)
    };
    for uri in [
        "http://127.0.0.1:51234/cb",
        "http://[::1]:51234/cb",
        "http://127.0.0.1/cb",
        "http://localhost/cb",
        "org.example.app:/cb",
    ] {
        let answer = visit(&native, uri).expect(303);
        assert!(answer.header("location").unwrap().starts_with(&format!("{uri}?code=")), "{uri}");
    }
    for uri in [
        "http://localhost:51234/cb",
        "http://127.0.0.1:51234/other",
        "http://127.0.0.1:51234/cb?evil",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:1@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.1:51234/cb",
        "http://0.0.0.0:51234/cb",
        "https://127.0.0.1:51234/cb",
        "org.example.app:/evil",
        "org.example.app://evil/cb",
    ] {
        must_stay_here(&visit(&native, uri), uri);
    }
    for uri in ["http://127.0.0.1:51234/cb", "http://[::1]:51234/cb", "http://localhost:51234/cb"] {
        must_stay_here(&visit(&web, uri), uri);
    }
    // The port is part of what the code is bound to.
    let answer = visit(&native, "http://127.0.0.1:51234/cb").expect(303);
    let code = Redirect::of(answer.header("location").unwrap()).code();
    let exchange = |uri: &str| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ];
        provider.post_as(&native, "/oauth2/token", &fields)
    };
    refused(exchange("http://127.0.0.1:51235/cb"), "invalid_grant");
    refused(exchange("http://127.0.0.1/cb"), "invalid_grant");
    let tokens = exchange("http://127.0.0.1:51234/cb").expect(200).json();
    let token = text(&tokens, "access_token");
    let answer =
        provider.browser().with_bearer(token).send("POST", "/oauth2/userinfo", &[], b"").expect(200).json();
    let sub = text(&answer, "sub");
    assert!(!sub.contains("ada") && !sub.contains('@') && sub.len() <= 255, "{sub}");
    assert_eq!(answer["sub"], claims(text(&tokens, "id_token"))["sub"]);
}
