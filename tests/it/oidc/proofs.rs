//! Proofs by key: assertions of clients (RFC 7523) and DPoP (RFC 9449), used twice, by others, and left out.

use std::cell::Cell;
use std::sync::Arc;

use doorward::crypto::signing::SigningAlgorithm;
use doorward::kernel::random::Random;
use doorward::kernel::time::Clock;

use super::steps::*;
use super::*;
use crate::harness::in_parallel;

fn new_key() -> PrivateKey {
    PrivateKey::generate(SigningAlgorithm::Es256, &Random::os()).unwrap()
}

fn bare(key: &PrivateKey) -> Value {
    let mut jwk = key.public_jwk();
    for name in ["use", "alg", "kid"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    jwk
}

fn sign(key: &PrivateKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).unwrap()))
}

/// Somebody who holds a key.
struct Holder {
    key: PrivateKey,
    made: Cell<u32>,
}

impl Holder {
    fn new() -> Holder {
        Holder { key: new_key(), made: Cell::new(0) }
    }

    fn jti(&self) -> String {
        self.made.set(self.made.get() + 1);
        format!("{}-{}", self.key.kid(), self.made.get())
    }

    fn assertion(&self, provider: &Provider, id: &str, change: Value) -> String {
        let now = provider.server.clock.now().as_secs();
        let mut claims =
            json!({ "iss": id, "sub": id, "aud": ORIGIN, "jti": self.jti(), "iat": now, "exp": now + 60 });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        sign(&self.key, &json!({ "alg": "ES256", "kid": self.key.kid() }), &claims)
    }

    fn proof(&self, provider: &Provider, method: &str, path: &str, token: Option<&str>) -> String {
        self.proof_with(provider, method, path, token, None)
    }

    fn proof_with(
        &self,
        provider: &Provider,
        method: &str,
        path: &str,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> String {
        let now = provider.server.clock.now().as_secs();
        let mut claims =
            json!({ "jti": self.jti(), "htm": method, "htu": format!("{ORIGIN}{path}"), "iat": now });
        if let Some(token) = token {
            claims["ath"] = BASE64URL_NOPAD.encode(&sha256(token)).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        sign(&self.key, &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": bare(&self.key) }), &claims)
    }
}

const TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

fn key_client(provider: &Provider, holder: &Holder) -> App {
    let app = provider.add_app(json!({
        "auth_method": "private_key_jwt",
        "jwks": { "keys": [holder.key.public_jwk()] },
        "grants": ALL_GRANTS,
    }));
    assert_eq!(app.secret, None);
    app
}

fn prove(provider: &Provider, assertion: &str, extra: &[(&str, &str)]) -> Answer {
    let fields =
        [&[("grant_type", "client_credentials"), ("client_assertion", assertion), TYPE], extra].concat();
    provider.post_form("/oauth2/token", &fields, None)
}

#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!((answer.status, &*error_of(answer)), (401, "invalid_client"), "{}", answer.text());
}

/// OA-10, GEN-03: an assertion proves its client once, also of a hundred at the same moment, and after a restart.
#[test]
fn an_assertion_is_good_once() {
    let provider = Arc::new(Provider::start());
    let holder = Holder::new();
    let app = key_client(&provider, &holder);
    let assertion = holder.assertion(&provider, &app.id, json!({}));
    let (all, it) = (provider.clone(), assertion.clone());
    let answers = in_parallel(100, move |_| prove(&all, &it, &[]).status);
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1);
    assert!(answers.iter().all(|status| matches!(status, 200 | 401)), "{answers:?}");
    // Whatever the endpoint.
    for path in [
        "/oauth2/par",
        "/oauth2/introspect",
        "/oauth2/revoke",
        "/oauth2/device_authorization",
        "/api/oidc/token",
    ] {
        refused(&provider.post_form(path, &[("client_assertion", &assertion), TYPE, ("token", "x")], None));
    }
    let provider = Arc::into_inner(provider).unwrap().restart();
    refused(&prove(&provider, &assertion, &[]));
    prove(&provider, &holder.assertion(&provider, &app.id, json!({})), &[]).expect(200);
}

/// OA-10: made by the client, for us, for now.
#[test]
fn an_assertion_is_of_its_client_and_for_us() {
    let provider = Provider::start();
    let (holder, stranger) = (Holder::new(), Holder::new());
    let app = key_client(&provider, &holder);
    let other = key_client(&provider, &stranger);
    let now = provider.server.clock.now().as_secs();
    for change in [
        json!({ "iss": other.id }),
        json!({ "sub": other.id }),
        json!({ "sub": null }),
        json!({ "iss": null }),
        json!({ "aud": null }),
        json!({ "aud": "https://evil.example" }),
        json!({ "aud": [ORIGIN, "https://evil.example"] }),
        json!({ "aud": ["https://evil.example"] }),
        json!({ "aud": format!("{ORIGIN}/") }),
        json!({ "aud": format!("{ORIGIN}/oauth2/par") }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "exp": null }),
        json!({ "exp": now - 11 }),
        json!({ "exp": now + 3600 }),
        json!({ "exp": (now + 60).to_string() }),
        json!({ "iat": now + 120 }),
        json!({ "nbf": now + 120 }),
    ] {
        refused(&prove(&provider, &holder.assertion(&provider, &app.id, change.clone()), &[]));
    }
    // Signed by somebody else, in the name of somebody else, or with another name beside it.
    refused(&prove(&provider, &stranger.assertion(&provider, &app.id, json!({})), &[]));
    refused(&prove(&provider, &holder.assertion(&provider, &other.id, json!({})), &[]));
    let sound = || holder.assertion(&provider, &app.id, json!({}));
    refused(&prove(&provider, &sound(), &[("client_id", &other.id)]));
    refused(&provider.post_form(
        "/oauth2/token",
        &[("grant_type", "client_credentials"), ("client_id", &app.id)],
        None,
    ));
    refused(&prove(&provider, "x", &[("client_id", &app.id)]));
    let fields = [("grant_type", "client_credentials"), ("client_assertion", &*sound()), TYPE];
    let two = provider.post_form("/oauth2/token", &fields, Some(&basic(&app.id, "x")));
    assert_eq!(error_of(&two.expect(400)), "invalid_request");
    prove(&provider, &sound(), &[("client_id", &app.id)]).expect(200);
    provider.change_app(&app, json!({ "is_disabled": true }));
    refused(&prove(&provider, &sound(), &[]));
}

fn public(provider: &Provider) -> App {
    provider.add_app(json!({ "kind": "public", "auth_method": "none" }))
}

fn send(provider: &Provider, app: &App, fields: &[(&str, &str)], proofs: &[&str]) -> Answer {
    let mut client = provider.server.client();
    for proof in proofs {
        client = client.with_header("DPoP", proof);
    }
    let fields = [fields, &[("client_id", &*app.id)]].concat();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    client.send("POST", "/oauth2/token", &headers, query(&fields).as_bytes())
}

fn code_of(provider: &Provider, app: &App, extra: &[(&str, &str)]) -> String {
    let challenge = challenge(VERIFIER);
    let pkce = [
        ("scope", "openid offline_access"),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
    ];
    provider.redirect(&mut provider.ada(), app, &[&pkce, extra].concat()).code()
}

fn exchange_fields(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// RFC 9449 sections 5, 7 and 10: what is bound to a key is worth nothing without it, on every way.
#[test]
fn what_is_bound_to_a_key_needs_the_key() {
    let provider = Provider::start();
    let app = public(&provider);
    let (holder, thief) = (Holder::new(), Holder::new());
    let at_token = |holder: &Holder| holder.proof(&provider, "POST", "/oauth2/token", None);
    let error = |answer: &Answer| (answer.status / 100, error_of(answer));
    // The code.
    let code = code_of(&provider, &app, &[("dpop_jkt", holder.key.kid())]);
    let fields = exchange_fields(&code);
    assert_eq!(error(&send(&provider, &app, &fields, &[])), (4, "invalid_grant".to_owned()));
    assert_eq!(error(&send(&provider, &app, &fields, &[&at_token(&thief)])), (4, "invalid_grant".to_owned()));
    let twice = [&*at_token(&holder), &at_token(&holder)];
    assert_eq!(error(&send(&provider, &app, &fields, &twice)), (4, "invalid_dpop_proof".to_owned()));
    let tokens = send(&provider, &app, &fields, &[&at_token(&holder)]).expect(200).json();
    assert_eq!(tokens["token_type"], "DPoP");
    // The refresh token.
    let refresh = text(&tokens, "refresh_token").to_owned();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &*refresh)];
    assert_eq!(error(&send(&provider, &app, &fields, &[])), (4, "invalid_grant".to_owned()));
    assert_eq!(error(&send(&provider, &app, &fields, &[&at_token(&thief)])), (4, "invalid_grant".to_owned()));
    let newer = send(&provider, &app, &fields, &[&at_token(&holder)]).expect(200).json();
    // The answer that was lost comes again to the holder alone.
    assert_eq!(error(&send(&provider, &app, &fields, &[])), (4, "invalid_grant".to_owned()));
    assert_eq!(error(&send(&provider, &app, &fields, &[&at_token(&thief)])), (4, "invalid_grant".to_owned()));
    // The access token.
    let token = text(&newer, "access_token");
    let ask = |scheme: &str, proof: Option<String>| {
        let mut client = provider.server.client().with_header("Authorization", &format!("{scheme} {token}"));
        if let Some(proof) = proof {
            client = client.with_header("DPoP", &proof);
        }
        client.get_json("/oauth2/userinfo").status
    };
    let proof =
        |holder: &Holder, token: Option<&str>| holder.proof(&provider, "GET", "/oauth2/userinfo", token);
    assert_eq!(ask("DPoP", Some(proof(&holder, Some(token)))), 200);
    for (scheme, proof) in [
        ("Bearer", None),
        ("Bearer", Some(proof(&holder, Some(token)))),
        ("DPoP", None),
        ("DPoP", Some(proof(&thief, Some(token)))),
        ("DPoP", Some(proof(&holder, None))),
        ("DPoP", Some(proof(&holder, Some("other")))),
        ("DPoP", Some(holder.proof(&provider, "POST", "/oauth2/userinfo", Some(token)))),
        ("DPoP", Some(holder.proof(&provider, "GET", "/oauth2/token", Some(token)))),
        ("DPoP", Some("x".to_owned())),
    ] {
        let status = ask(scheme, proof);
        assert!(matches!(status, 400 | 401), "{scheme}: {status}");
    }
    let body = query(&[("access_token", token)]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    provider.browser().send("POST", "/oauth2/userinfo", &headers, body.as_bytes()).expect(401);
}

/// RFC 9449 section 11.1: a proof is good once, also of a hundred at the same moment, and after a restart.
#[test]
fn a_dpop_proof_is_good_once() {
    let provider = Arc::new(Provider::start());
    let app = public(&provider);
    let holder = Holder::new();
    let tokens = {
        let code = code_of(&provider, &app, &[]);
        let proof = holder.proof(&provider, "POST", "/oauth2/token", None);
        send(&provider, &app, &exchange_fields(&code), &[&proof]).expect(200).json()
    };
    let token = text(&tokens, "access_token").to_owned();
    let proof = holder.proof(&provider, "GET", "/oauth2/userinfo", Some(&token));
    let ask = |provider: &Provider, token: &str, proof: &str| {
        let client = provider.server.client().with_header("Authorization", &format!("DPoP {token}"));
        client.with_header("DPoP", proof).get_json("/oauth2/userinfo").status
    };
    let (all, it, shown) = (provider.clone(), token.clone(), proof.clone());
    let answers = in_parallel(100, move |_| ask(&all, &it, &shown));
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1);
    let provider = Arc::into_inner(provider).unwrap();
    provider.server.clock.advance(std::time::Duration::from_secs(2));
    let provider = provider.restart();
    assert_ne!(ask(&provider, &token, &proof), 200, "seen by the process before");
    let fresh = holder.proof(&provider, "GET", "/oauth2/userinfo", Some(&token));
    assert_eq!(ask(&provider, &token, &fresh), 200);
    // A client that must send proofs gets nothing without.
    provider
        .warden()
        .json("PATCH", &format!("/api/v1/admin/clients/{}", app.id), &json!({ "dpop": "required" }))
        .expect(200);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    assert_eq!(error_of(&send(&provider, &app, &fields, &[]).expect(400)), "invalid_request");
}

/// RFC 9449 sections 8 and 9: where the owner wants nonces, a proof without a fresh one of ours is sent back with one, at
/// the token endpoint and at userinfo.
#[test]
fn proofs_hold_a_fresh_nonce_where_that_is_wanted() {
    let provider = Provider::start_with(|options| options.oidc.dpop_nonce = true);
    let app = provider.add_app(json!({ "grants": ALL_GRANTS }));
    let holder = Holder::new();
    let send = |code: &str, nonce: Option<&str>| {
        let proof = holder.proof_with(&provider, "POST", "/oauth2/token", None, nonce);
        let fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        let basic = basic(&app.id, app.secret.as_deref().unwrap());
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Authorization", &*basic),
            ("DPoP", &*proof),
        ];
        provider.browser().send("POST", "/oauth2/token", &headers, query(&fields).as_bytes())
    };
    let code = provider.redirect(&mut provider.ada(), &app, &[]).code();
    let asked = send(&code, None).expect(400);
    assert_eq!(error_of(&asked), "use_dpop_nonce");
    let nonce = asked.header("dpop-nonce").unwrap().to_owned();
    assert_eq!(error_of(&send(&code, Some("made-up")).expect(400)), "use_dpop_nonce");
    let tokens = send(&code, Some(&nonce)).expect(200).json();
    let access = text(&tokens, "access_token");
    let look = |nonce: Option<&str>| {
        let proof = holder.proof_with(&provider, "GET", "/oauth2/userinfo", Some(access), nonce);
        let authorization = format!("DPoP {access}");
        let headers = [("Authorization", &*authorization), ("DPoP", &*proof)];
        provider.browser().send("GET", "/oauth2/userinfo", &headers, b"")
    };
    let asked = look(None).expect(401);
    assert!(asked.header("www-authenticate").unwrap().contains("use_dpop_nonce"));
    assert!(asked.header("dpop-nonce").is_some());
    look(Some(&nonce)).expect(200);
    // Good for the five minutes after those in which it was handed out, and no longer.
    provider.server.clock.advance(std::time::Duration::from_secs(300));
    look(Some(&nonce)).expect(200);
    provider.server.clock.advance(std::time::Duration::from_secs(300));
    look(Some(&nonce)).expect(401);
}

/// LIM-01, RES-03: anybody may send proofs in the name of a client that proves nothing; from one place that ends soon, and
/// other clients go on.
#[test]
fn proofs_in_the_name_of_a_client_that_proves_nothing_are_limited() {
    let provider = Provider::start();
    let (app, other) = (public(&provider), public(&provider));
    let holder = Holder::new();
    let ask = |app: &App| {
        let proof = holder.proof(&provider, "POST", "/oauth2/token", None);
        send(&provider, app, &[("grant_type", "nonsense")], &[&proof])
    };
    for _ in 0..300 {
        assert_eq!(error_of(&ask(&app).expect(400)), "unsupported_grant_type");
    }
    for app in [&app, &other] {
        let answer = ask(app).expect(429);
        assert_eq!(error_of(&answer), "temporarily_unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    send(&provider, &app, &[("grant_type", "nonsense")], &[]).expect(400);
    let own = provider.add_app(json!({ "grants": ALL_GRANTS }));
    let proof = holder.proof(&provider, "POST", "/oauth2/token", None);
    let basic = basic(&own.id, own.secret.as_deref().unwrap());
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Authorization", &*basic),
        ("DPoP", &*proof),
    ];
    let body = query(&[("grant_type", "client_credentials")]);
    provider.browser().send("POST", "/oauth2/token", &headers, body.as_bytes()).expect(200);
}

/// AUD-01, AUD-06: who does not prove to be a client leaves a trace, and going on all day leaves no more of them.
#[test]
fn a_client_that_did_not_prove_itself_is_written_down_once_a_minute() {
    use doorward::audit::Filter;
    let provider = Provider::start();
    let holder = Holder::new();
    let (app, key_app) = (provider.add_app(json!({})), key_client(&provider, &holder));
    let count = |target: Option<&str>| {
        let server = &provider.server;
        server.block_on(server.app().audit.flush()).unwrap();
        let kind_prefix = Some("app.not_proven".to_owned());
        let filter = Filter { kind_prefix, target: target.map(str::to_owned), ..Filter::default() };
        server.app().audit.part(&filter, None, 200).unwrap().rows.len()
    };
    for _ in 0..5 {
        let fields = [("grant_type", "client_credentials")];
        for id in [&app.id, "unheard-of", "another"] {
            refused(&provider.post_form("/oauth2/token", &fields, Some(&basic(id, "wrong"))));
        }
        refused(&prove(&provider, &Holder::new().assertion(&provider, &key_app.id, json!({})), &[]));
    }
    assert_eq!((count(Some(&app.id)), count(Some(&key_app.id)), count(None)), (1, 1, 3));
    provider.server.clock.advance(std::time::Duration::from_secs(60));
    refused(&provider.post_form("/oauth2/revoke", &[("token", "x")], Some(&basic(&app.id, "wrong"))));
    assert_eq!(count(Some(&app.id)), 2);
}
