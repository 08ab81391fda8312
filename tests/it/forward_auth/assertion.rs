//! `Remote-Assertion`, verified as an app would: with the published key and nothing else of ours.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use std::time::Duration;

use super::*;

fn start_with_assertion() -> Server {
    start_with(ForwardAuthSettings { assertion: true, ..Default::default() })
}

/// Verifies a token by the published keys and returns header and claims.
fn verified(server: &Server, token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
    let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
    let keys = browser(server).get_json("/api/v1/keys").expect(200).json();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let public: [u8; 32] = decode(key["x"].as_str().unwrap()).try_into().unwrap();
    let signature = Signature::from_slice(&decode(parts[2])).unwrap();
    VerifyingKey::from_bytes(&public)
        .unwrap()
        .verify_strict(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature)
        .unwrap();
    (header, serde_json::from_slice(&decode(parts[1])).unwrap())
}

/// FWD-10: who asks, for one app, for half a minute.
#[test]
fn an_app_can_verify_who_asks() {
    let server = start_with_assertion();
    let cookie = person(&server, "ada", &["family", "readers"], two_factors());
    let ada = server.app().accounts.resolve("ada").unwrap().unwrap().id.to_string();
    for by in ALL {
        let answer = ask(&server, by, &visit("GET", "bank.home.example:8443", "/").of(&cookie)).expect(200);
        assert_eq!(answer.header("remote-user"), Some("ada"));
        let (header, claims) = verified(&server, answer.header("remote-assertion").unwrap());
        assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"remote-assertion+jwt".into()));
        let now = doorward::kernel::time::Clock::now(&*server.clock).as_secs();
        let expected = serde_json::json!({
            "iss": PORTAL,
            "aud": "https://bank.home.example:8443",
            "sub": ada,
            "preferred_username": "ada",
            "name": "ada Person",
            "email": "ada@example.org",
            "groups": ["family", "readers"],
            "amr": ["pwd", "otp", "mfa"],
            "iat": now,
            "exp": now + 30,
        });
        assert_eq!(claims, expected, "{by:?}");
        let other = ask(&server, by, &visit("GET", "photos.home.example", "/").of(&cookie)).expect(200);
        let (_, claims) = verified(&server, other.header("remote-assertion").unwrap());
        assert_eq!(claims["aud"], "https://photos.home.example", "one app's is worth nothing at another");
    }
}

/// It is handed out again for a quarter of a minute at most, and never after anything it says has changed.
#[test]
fn an_assertion_is_fresh_and_true() {
    let server = start_with_assertion();
    let cookie = person(&server, "ada", &["family"], Factors::PASSWORD);
    let ada = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let get = |cookie: &str| {
        let answer = ask(&server, By::ForwardAuth, &visit("GET", "photos.home.example", "/").of(cookie));
        answer.expect(200).header("remote-assertion").unwrap().to_owned()
    };
    let first = get(&cookie);
    server.clock.advance(Duration::from_secs(14));
    assert_eq!(get(&cookie), first, "signing is dear");
    server.clock.advance(Duration::from_secs(1));
    let second = get(&cookie);
    assert_ne!(second, first);
    // Another session of the same person that has proven more.
    let both = get(&server.web_session_with(ada, two_factors()).app_cookie);
    assert_eq!(verified(&server, &both).1["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
    assert_eq!(get(&cookie), second);
    let change = server.app().accounts.change(
        ada,
        |record| {
            record.groups = Vec::new();
            Ok(())
        },
        |_, _| {},
    );
    server.block_on(change).unwrap();
    assert_eq!(verified(&server, &get(&cookie)).1["groups"], serde_json::json!([]));
    let before = get(&cookie);
    server.block_on(server.app().sessions.replace_keys(|_| {})).unwrap();
    assert_ne!(get(&cookie), before, "by a key that is gone");
    verified(&server, &get(&cookie));
}

/// FWD-08: nobody is asserted by an empty header, so that no copy of a client's gets through; a denial has none; and it is
/// off unless asked for.
#[test]
fn nobody_is_asserted_by_an_empty_header() {
    let server = start_with_assertion();
    for by in ALL {
        let answer = ask(&server, by, &visit("GET", "open.home.example", "/")).expect(200);
        assert_eq!(answer.header("remote-assertion"), Some(""));
        for host in ["photos.home.example", "closed.home.example"] {
            assert_eq!(ask(&server, by, &visit("GET", host, "/")).header("remote-assertion"), None);
        }
    }
    let plain = start();
    let cookie = person(&plain, "ada", &[], Factors::PASSWORD);
    let answer =
        ask(&plain, By::AuthRequest, &visit("GET", "photos.home.example", "/").of(&cookie)).expect(200);
    assert_eq!(answer.header("remote-assertion"), None);
}

/// TOK-04: it opens nothing here.
#[test]
fn an_assertion_is_no_access_token() {
    let server = start_with_assertion();
    let cookie = person(&server, "ada", &[], Factors::PASSWORD);
    let answer =
        ask(&server, By::AuthRequest, &visit("GET", "photos.home.example", "/").of(&cookie)).expect(200);
    let token = answer.header("remote-assertion").unwrap();
    browser(&server).with_bearer(token).get_json("/api/v1/users/me").expect(401);
    browser(&server).with_bearer(token).get_json("/oauth2/userinfo").expect(401);
}
