//! Mistakes 9 to 18: of tokens, and of those who ask for them.

use std::time::Duration;

use doorward::crypto::signing::sign_compact;

use super::*;

/// What takes the ground away from an access token.
type Way<'a> = dyn Fn(&Provider, &mut Client, &str) + 'a;

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
    let ways: [&Way<'_>; 3] = [&revoke, &sign_out, &disable];
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
