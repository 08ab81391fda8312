//! Apps that register themselves (RFC 7591, RFC 7592, OA-13).

use serde_json::{Value, json};

use super::steps::agree;
use super::*;
use crate::harness::{in_parallel, until};
use crate::outgoing::{Host, say};

fn provider() -> Provider {
    Provider::start_with(|options| options.oidc.registration = true)
}

fn token(provider: &Provider, uses: u32) -> String {
    let answer =
        provider.admin().post("/api/v1/admin/registration-tokens", json!({ "uses": uses })).expect(201);
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn register(provider: &Provider, token: &str, metadata: &Value) -> Answer {
    provider.server.client().with_bearer(token).json("POST", "/oauth2/register", metadata)
}

fn metadata() -> Value {
    json!({ "client_name": "Some tool", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"] })
}

/// OA-13: off by default, and then without a token of an administrator nobody registers.
#[test]
fn nobody_registers_without_being_asked() {
    let off = Provider::start();
    let unused = token(&off, 1);
    register(&off, &unused, &metadata()).expect(403);
    let discovery = off.browser().get_json("/.well-known/openid-configuration").json();
    assert!(discovery.get("registration_endpoint").is_none());
    let provider = provider();
    provider.server.client().json("POST", "/oauth2/register", &metadata()).expect(401);
    for wrong in ["x", "", &token(&off, 1)] {
        register(&provider, wrong, &metadata()).expect(401);
    }
    let dropped = token(&provider, 5);
    provider.admin().json("DELETE", "/api/v1/admin/registration-tokens", &json!({})).expect(204);
    register(&provider, &dropped, &metadata()).expect(401);
    let late = token(&provider, 5);
    provider.server.clock.advance(std::time::Duration::from_secs(86_400));
    register(&provider, &late, &metadata()).expect(401);
}

#[test]
fn an_app_registers_signs_somebody_in_and_leaves_again() {
    let provider = provider();
    let answer = register(&provider, &token(&provider, 1), &metadata()).expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let registered = answer.json();
    assert_eq!(registered["client_secret_expires_at"], 0);
    let app = app_of(&registered);
    let mut browser = provider.ada();
    // OA-13: whoever registered itself is never let through without asking.
    let page = provider.authorize(&mut browser, &app, &[]).expect(200).text();
    assert!(page.contains("consent-allow") && page.contains("registered itself"), "{page}");
    provider.change_app(&app, json!({ "consent": "skip" }));
    assert!(provider.authorize(&mut browser, &app, &[]).expect(200).text().contains("consent-allow"));

    let uri = text(&registered, "registration_client_uri");
    let path = uri.strip_prefix(ORIGIN).unwrap();
    let mut manager = provider.server.client().with_bearer(text(&registered, "registration_access_token"));
    assert_eq!(manager.get_json(path).expect(200).json()["client_name"], "Some tool");
    let mut changed = metadata();
    changed["client_id"] = app.id.as_str().into();
    changed["client_name"] = "Another name".into();
    changed["initiate_login_uri"] = "https://app.example.org/login".into();
    let shown = manager.json("PUT", path, &changed).expect(200).json();
    assert_eq!(shown["client_name"], "Another name");
    assert_eq!(shown["initiate_login_uri"], "https://app.example.org/login");
    for stranger in ["x", &token(&provider, 1)] {
        provider.server.client().with_bearer(stranger).get_json(path).expect(401);
    }
    manager.json("DELETE", path, &json!({})).expect(204);
    manager.get_json(path).expect(401);
    provider.authorize(&mut browser, &app, &[]).expect(400);
}

/// GEN-03: a token for one app registers one app, however many ask at once.
#[test]
fn a_token_registers_as_many_apps_as_it_says() {
    let provider = std::sync::Arc::new(provider());
    let (one, shared) = (token(&provider, 1), provider.clone());
    let answers = in_parallel(8, move |_| register(&shared, &one, &metadata()).status);
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    let three = token(&provider, 3);
    for expected in [201, 201, 201, 401] {
        register(&provider, &three, &metadata()).expect(expected);
    }
}

/// OA-02, OA-12: what is refused, and by which name.
#[test]
fn refused_metadata_says_what_is_wrong() {
    let provider = provider();
    let token = token(&provider, 100);
    let with = |name: &str, value: Value| {
        let mut metadata = metadata();
        metadata[name] = value;
        let answer = register(&provider, &token, &metadata).expect(400).json();
        text(&answer, "error").to_owned()
    };
    for uri in [
        "https://app.example.org/cb#fragment",
        "https://*.example.org/cb",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "someapp://cb",
        "/callback",
    ] {
        assert_eq!(with("redirect_uris", json!([uri])), "invalid_redirect_uri", "{uri}");
    }
    for (name, value) in [
        ("jwks_uri", json!("https://app.example.org/jwks")),
        ("sector_identifier_uri", json!("https://app.example.org/sector")),
        ("response_types", json!(["token"])),
        ("grant_types", json!(["password"])),
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
        ("token_endpoint_auth_method", json!("any")),
        ("subject_type", json!("pairwise")),
        ("initiate_login_uri", json!("http://app.example.org/login")),
        ("id_token_signed_response_alg", json!("none")),
        ("id_token_encrypted_response_enc", json!("A128CBC-HS256")),
        ("scope", json!("openid nonsense")),
        ("redirect_uris", json!("not a list")),
    ] {
        assert_eq!(with(name, value.clone()), "invalid_client_metadata", "{name} {value}");
    }
}

/// OA-14: a claim by name that no scope of the app covered when the person was asked is not told later, when the app, or
/// an administrator, has widened its scopes.
#[test]
fn a_claim_named_before_the_scope_was_is_never_told() {
    let provider = provider();
    let mut narrow = metadata();
    narrow["scope"] = "openid".into();
    let registered = register(&provider, &token(&provider, 1), &narrow).expect(201).json();
    let app = app_of(&registered);
    let names = r#"{"userinfo":{"groups":null,"name":null},"id_token":{"groups":null}}"#;
    let mut browser = provider.ada();
    let path = provider.authorize_path(&app, &[("claims", names)]);
    let code = agree(&mut browser, &path).code();
    let access = provider.exchange(&app, &code, &[]).expect(200).json();
    let path = text(&registered, "registration_client_uri").strip_prefix(ORIGIN).unwrap();
    let mut manager = provider.server.client().with_bearer(text(&registered, "registration_access_token"));
    let mut wide = metadata();
    wide["client_id"] = app.id.as_str().into();
    wide["scope"] = "openid profile groups".into();
    manager.json("PUT", path, &wide).expect(200);
    for _ in 0..2 {
        let told = provider.userinfo(text(&access, "access_token")).expect(200).json();
        assert_eq!(told, json!({ "sub": provider.ada.to_string() }));
        provider.change_app(&app, json!({ "scopes": ["openid", "profile", "groups"] }));
    }
    // Who is asked for them now, with the names of the scopes, tells them.
    let code = agree(&mut browser, &provider.authorize_path(&app, &[("claims", names)])).code();
    let access = provider.exchange(&app, &code, &[]).expect(200).json();
    let told = provider.userinfo(text(&access, "access_token")).expect(200).json();
    assert_eq!(told["groups"], json!(["family"]));
}

fn app_of(registered: &Value) -> App {
    App {
        id: text(registered, "client_id").to_owned(),
        secret: registered["client_secret"].as_str().map(str::to_owned),
    }
}

/// OA-12: the networks that an administrator opened for apps of the house are not for those that registered themselves.
#[test]
fn an_app_that_registered_itself_reaches_no_allowed_network() {
    use doorward::oidc::backchannel::LogoutNotice;
    let provider = Provider::start_with(|options| {
        options.oidc.registration = true;
        options.outgoing.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let host = Host::start(say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let at = |path: &str| format!("http://{}/{path}", host.address);
    let mut metadata = metadata();
    metadata["backchannel_logout_uri"] = at("stranger").into();
    let stranger = app_of(&register(&provider, &token(&provider, 1), &metadata).expect(201).json());
    let own = provider.add_app(json!({ "backchannel_logout_uri": at("own") }));
    let mut browser = provider.ada();
    let code = agree(&mut browser, &provider.authorize_path(&stranger, &[])).code();
    provider.exchange(&stranger, &code, &[]).expect(200);
    provider.tokens_in(&mut browser, &own, &[]);
    let csrf = browser.get("/signout").expect(200).input("csrf").unwrap();
    browser.form("/signout", &[("csrf", &csrf)]).expect(200);
    until("the app of the house is told", || host.count() > 0);
    let store = provider.server.app().store().clone();
    until("the other one was tried", || {
        let notices = store.scan::<LogoutNotice>(&[], None, 10).unwrap();
        notices.iter().any(|(_, notice)| notice.value.client_id == stranger.id && notice.value.attempts > 0)
    });
    let asked = host.asked.lock().clone();
    assert!(asked.len() == 1 && asked[0].starts_with("POST /own "), "{asked:?}");
}

/// OA-13: what an administrator decided about an app that registered itself stays, whatever the app says of itself.
#[test]
fn an_app_takes_back_nothing_that_an_administrator_decided() {
    let provider = provider();
    let registered = register(&provider, &token(&provider, 1), &metadata()).expect(201).json();
    let app = app_of(&registered);
    let decided = json!({
        "scopes": ["openid"], "grants": ["authorization_code"], "claims_in_id_token": true,
        "launch_url": "https://tool.example.org/start", "initials": "ZZ",
    });
    provider.change_app(&app, decided.clone());
    let mut again = metadata();
    again["client_id"] = app.id.as_str().into();
    again["client_name"] = "Another name".into();
    again["scope"] = "openid profile email groups offline_access".into();
    let path = text(&registered, "registration_client_uri").strip_prefix(ORIGIN).unwrap();
    let mut manager = provider.server.client().with_bearer(text(&registered, "registration_access_token"));
    let shown = manager.json("PUT", path, &again).expect(200).json();
    assert_eq!((&shown["scope"], &shown["grant_types"]), (&json!("openid"), &decided["grants"]));
    let client = provider.admin().get_json(&format!("/api/v1/admin/clients/{}", app.id)).expect(200).json();
    assert_eq!(client["name"], "Another name");
    for (name, value) in decided.as_object().unwrap() {
        assert_eq!(&client[name], value, "{name}: {client}");
    }
}

/// RFC 7592 section 2.2: an app that changes to a secret is told one, once.
#[test]
fn an_app_that_changes_to_a_secret_is_given_one() {
    let provider = provider();
    let mut public = metadata();
    public["token_endpoint_auth_method"] = "none".into();
    let registered = register(&provider, &token(&provider, 1), &public).expect(201).json();
    assert!(registered.get("client_secret").is_none());
    let path = text(&registered, "registration_client_uri").strip_prefix(ORIGIN).unwrap();
    let mut manager = provider.server.client().with_bearer(text(&registered, "registration_access_token"));
    let mut again = metadata();
    again["client_id"] = registered["client_id"].clone();
    again["token_endpoint_auth_method"] = "client_secret_basic".into();
    let answer = manager.json("PUT", path, &again).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let app = app_of(&answer.json());
    assert_eq!(answer.json()["client_secret_expires_at"], 0);
    let challenge = challenge(VERIFIER);
    let pkce = [("code_challenge", &*challenge), ("code_challenge_method", "S256")];
    let code = agree(&mut provider.ada(), &provider.authorize_path(&app, &pkce)).code();
    provider.exchange(&app, &code, &[("code_verifier", VERIFIER)]).expect(200);
    assert!(manager.json("PUT", path, &again).expect(200).json().get("client_secret").is_none(), "once");
}
