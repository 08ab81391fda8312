//! Mistakes 19 to 25: of pages and of HTTP.

use std::time::Duration;

use super::*;

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
