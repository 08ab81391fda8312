//! The calls of Authelia's own API that bookmarks, scripts and status pages make.

use doorward::accounts::users::SecondFactorPolicy;
use serde_json::json;

use super::portal::ELSEWHERE;
use super::*;
use crate::harness::PASSWORD;

const APP: &str = "https://photos.home.example/album";

fn first_factor(client: &mut Client, name: &str, password: &str, target: Option<&str>) -> Answer {
    let mut body = json!({ "username": name, "password": password, "keepMeLoggedIn": false });
    if let Some(target) = target {
        body["targetURL"] = target.into();
        body["requestMethod"] = "GET".into();
    }
    client.post("/api/firstfactor", body)
}

fn state(client: &mut Client) -> serde_json::Value {
    let document = client.get_json("/api/state").expect(200).json();
    assert_eq!(document["status"], "OK");
    document["data"].clone()
}

#[test]
fn status_pages_are_answered() {
    let server = start();
    let mut client = browser(&server);
    assert_eq!(client.get_json("/api/health").expect(200).json(), json!({"status": "OK"}));
    assert_eq!(client.get("/api/health").expect(200).json(), json!({"status": "OK"}));
    let head = client.send("HEAD", "/api/health", &[], b"").expect(200);
    assert!(head.body.is_empty());
    // By any name and over plain HTTP, as a status page of the same network asks.
    server.client().send("GET", "/api/health", &[("Host", "10.0.0.5:9091")], b"").expect(200);
    let offer = client.get_json("/api/configuration").expect(200).json();
    assert_eq!(offer["data"]["available_methods"], json!(["totp"]));
    assert_eq!(state(&mut client)["authentication_level"], 0);
    assert_eq!(state(&mut client)["username"], "");
}

#[test]
fn a_script_signs_in_and_out() {
    let server = start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = browser(&server);
    let answer = first_factor(&mut client, "ada", PASSWORD, Some(APP)).expect(200);
    assert_eq!(answer.json(), json!({"status": "OK", "data": {"redirect": APP}}));
    let cookie = client.cookie("__Secure-dw_fa").unwrap();
    for by in ALL {
        ask(&server, by, &visit("GET", "photos.home.example", "/").of(&cookie)).expect(200);
    }
    let who = state(&mut client);
    assert_eq!((&who["username"], &who["authentication_level"]), (&"ada".into(), &1.into()));
    let safe =
        |client: &mut Client, uri: &str| client.post("/api/checks/safe-redirection", json!({ "uri": uri }));
    for (uri, ok) in [(APP, true), (PORTAL, true), ("https://evil.example/", false), ("/", false)] {
        let answer = safe(&mut client, uri).expect(200).json();
        assert_eq!(answer, json!({"status": "OK", "data": {"ok": ok}}), "{uri}");
    }
    let answer = client.post("/api/logout", json!({ "targetURL": APP })).expect(200);
    assert_eq!(answer.json(), json!({"status": "OK", "data": {"safeTargetURL": true}}));
    assert!(client.cookie("__Host-dw").is_none());
    for by in ALL {
        let denied = visit("GET", "photos.home.example", "/").of(&cookie);
        assert_ne!(ask(&server, by, &denied).status, 200);
    }
    assert_eq!(state(&mut client)["authentication_level"], 0);
    assert_eq!(safe(&mut client, APP).expect(401).json()["status"], "KO");
    // Signing out twice is no mistake, and a target is not needed.
    let answer = client.post("/api/logout", json!({})).expect(200);
    assert_eq!(answer.json()["data"]["safeTargetURL"], false);
    let answer = first_factor(&mut client, "ada", PASSWORD, None).expect(200);
    assert_eq!(answer.json(), json!({"status": "OK"}));
}

#[test]
fn the_second_factor_has_a_call_of_its_own() {
    let server = start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let bank = "https://bank.home.example/";
    let mut client = browser(&server);
    let answer = first_factor(&mut client, "ada", PASSWORD, Some(bank)).expect(200);
    assert_eq!(answer.json(), json!({"status": "OK"}), "nothing to go to yet");
    assert!(client.cookie("__Host-dw").is_none() && client.cookie("__Secure-dw_fa").is_none());
    assert_eq!(state(&mut client)["authentication_level"], 0);
    let wrong = client.post("/api/secondfactor/totp", json!({ "token": "000000" })).expect(401).json();
    assert_eq!(wrong["status"], "KO");
    let code = authenticator.code();
    let answer =
        client.post("/api/secondfactor/totp", json!({ "token": code, "targetURL": bank })).expect(200);
    assert_eq!(answer.json(), json!({"status": "OK", "data": {"redirect": bank}}));
    assert_eq!(state(&mut client)["authentication_level"], 2);
    let cookie = client.cookie("__Secure-dw_fa").unwrap();
    ask(&server, By::ForwardAuth, &visit("GET", "bank.home.example", "/").of(&cookie)).expect(200);
    // Once is once (OTP-05).
    client.post("/api/secondfactor/totp", json!({ "token": code })).expect(401);
    browser(&server).post("/api/secondfactor/totp", json!({ "token": "123456" })).expect(401);
}

#[test]
fn an_account_that_must_have_a_second_factor_is_told_so() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let answer = first_factor(&mut client, "ada", PASSWORD, None).expect(403);
    assert_eq!(answer.json()["status"], "KO");
    assert!(client.cookies.is_empty());
}

/// WEB-11, Authelia GHSA-36f2-fcrx-fp4j: what is no address of ours is not called safe, and not led to.
#[test]
fn no_call_leads_elsewhere() {
    let server = start();
    server.add_user("ada", Role::Member, &[]);
    for address in ELSEWHERE {
        let mut client = browser(&server);
        let answer = first_factor(&mut client, "ada", PASSWORD, Some(address)).expect(200).json();
        assert_eq!(answer, json!({"status": "OK"}), "{address:?}");
        let answer =
            client.post("/api/checks/safe-redirection", json!({ "uri": address })).expect(200).json();
        assert_eq!(answer["data"]["ok"], false, "{address:?}");
        let answer = client.post("/api/logout", json!({ "targetURL": address })).expect(200).json();
        assert_eq!(answer["data"]["safeTargetURL"], false, "{address:?}");
    }
}

/// LIM-02, LIM-04, SES-13: the same limits as every other way in, counted together, and from our own pages alone.
#[test]
fn the_calls_are_no_way_around_the_limits() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    for round in 0..5 {
        let answer = if round % 2 == 0 {
            first_factor(&mut client, "ada", "wrong", None)
        } else {
            client.post("/api/v1/auth/login/web", json!({"username": "ada", "password": "wrong"}))
        };
        assert_eq!(answer.status, 401);
        if round == 0 {
            assert_eq!(answer.json()["status"], "KO");
            assert!(answer.json()["message"].is_string());
        }
    }
    let answer = first_factor(&mut client, "ada", PASSWORD, None);
    assert!(matches!(answer.status, 403 | 429), "{}", answer.text());
    assert_eq!(answer.json()["status"], "KO");
    assert!(answer.header("retry-after").is_some() && client.cookie("dw").is_none());
    for (name, value) in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        let mut foreign = server.client().with_header(name, value);
        for path in
            ["/api/firstfactor", "/api/secondfactor/totp", "/api/logout", "/api/checks/safe-redirection"]
        {
            assert_eq!(foreign.post(path, json!({})).expect(403).code(), "csrf", "{path}");
        }
    }
    // Neither a form nor anything but the known fields.
    server.client().form("/api/firstfactor", &[("username", "ada"), ("password", PASSWORD)]).expect(415);
    let body = json!({"username": "ada", "password": PASSWORD, "admin": true});
    server.client().post("/api/firstfactor", body).expect(400);
}
