//! Devices without a browser (OA-18, RFC 8628).

use std::time::Duration;

use super::steps::*;
use super::*;
use crate::harness::in_parallel;

fn start() -> (Provider, App) {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "grants": ALL_GRANTS, "consent": "once" }));
    (provider, app)
}

#[track_caller]
fn says(provider: &Provider, app: &App, device: &Value, error: &str) {
    let answer = provider.poll(app, device);
    assert_eq!((answer.status, &*error_of(&answer)), (400, error), "{}", answer.text());
}

/// RFC 8628 section 3.5: each time it asks too soon, it has to wait five seconds longer, also after the person said yes.
#[test]
fn a_device_that_asks_too_often_has_to_wait_longer_and_longer() {
    let (provider, app) = start();
    let device = provider.device(&app, &[("scope", "openid")]);
    assert_eq!(device["interval"], 5);
    let wait = |seconds| provider.server.clock.advance(Duration::from_secs(seconds));
    says(&provider, &app, &device, "authorization_pending");
    wait(5);
    says(&provider, &app, &device, "authorization_pending");
    wait(4);
    says(&provider, &app, &device, "slow_down");
    wait(9);
    says(&provider, &app, &device, "slow_down");
    let mut browser = provider.ada();
    decide_device(&mut browser, &device, "allow").expect(200);
    wait(14);
    says(&provider, &app, &device, "slow_down");
    wait(20);
    provider.poll(&app, &device).expect(200);
    wait(20);
    says(&provider, &app, &device, "invalid_grant");
}

/// A stranger neither learns the state of a device nor slows it down.
#[test]
fn a_device_code_belongs_to_its_client() {
    let (provider, app) = start();
    let other = provider.add_app(json!({ "grants": ALL_GRANTS }));
    let without = provider.add_app(json!({}));
    let device = provider.device(&app, &[("scope", "openid")]);
    for _ in 0..5 {
        says(&provider, &other, &device, "invalid_grant");
    }
    says(&provider, &without, &device, "unauthorized_client");
    let answer = provider.post_as(&without, "/oauth2/device_authorization", &[("scope", "openid")]);
    assert_eq!(error_of(&answer.expect(400)), "unauthorized_client");
    says(&provider, &app, &device, "authorization_pending");
    let code = text(&device, "device_code");
    for guess in [&code[1..], &format!("{code}A"), &code.to_ascii_uppercase(), text(&device, "user_code")] {
        says(&provider, &app, &json!({ "device_code": guess }), "invalid_grant");
    }
}

#[test]
fn a_device_that_was_refused_or_waited_too_long_gets_nothing() {
    let (provider, app) = start();
    let mut browser = provider.ada();
    let refused = provider.device(&app, &[("scope", "openid")]);
    decide_device(&mut browser, &refused, "deny").expect(200);
    says(&provider, &app, &refused, "access_denied");
    // Once decided, it is decided: the code is known no more.
    let csrf = browser.get("/device").expect(200).input("csrf").unwrap();
    let fields = [("csrf", &*csrf), ("user_code", text(&refused, "user_code")), ("decision", "allow")];
    browser.form("/device", &fields).expect(422);
    provider.server.clock.advance(Duration::from_secs(6));
    says(&provider, &app, &refused, "access_denied");
    let late = provider.device(&app, &[("scope", "openid")]);
    provider.server.clock.advance(Duration::from_secs(600));
    says(&provider, &app, &late, "expired_token");
    let path = format!("/device?{}", query(&[("user_code", text(&late, "user_code"))]));
    browser.get(&path).expect(422);
}

/// LIM-03: of a hundred wrong codes at the same moment no more are looked at than the limit says.
#[test]
fn wrong_codes_are_limited_also_at_once() {
    let (provider, app) = start();
    let device = provider.device(&app, &[("scope", "openid")]);
    let mut browser = provider.ada();
    // Right ones do not count.
    let right = format!("/device?{}", query(&[("user_code", text(&device, "user_code"))]));
    for _ in 0..15 {
        browser.get(&right).expect(200);
    }
    let guesser = browser.clone();
    let answers = in_parallel(100, move |_| guesser.clone().get("/device?user_code=BBBB-BBBB"));
    let looked_at = answers.iter().filter(|answer| answer.text().contains("is not known")).count();
    assert_eq!(looked_at, 10);
    assert!(browser.get(&right).expect(422).text().contains("too many wrong codes"));
    // Everybody else goes on.
    let mut other = provider.person("grace").browser;
    decide_device(&mut other, &device, "allow").expect(200);
    provider.poll(&app, &device).expect(200);
}

/// WEB-01: the page that lets a device in cannot be used from another site, nor from another session.
#[test]
fn another_site_cannot_let_a_device_in() {
    let (provider, app) = start();
    let device = provider.device(&app, &[("scope", "openid")]);
    let code = text(&device, "user_code");
    let mut browser = provider.ada();
    let csrf = browser.get("/device").expect(200).input("csrf").unwrap();
    let foreign = provider.ada().get("/device").expect(200).input("csrf").unwrap();
    for (csrf, origin, site) in [
        (&*csrf, "https://evil.example", "cross-site"),
        (&csrf, "http://notes.home.localhost", "same-site"),
        (&csrf, "null", "cross-site"),
        ("", ORIGIN, "same-origin"),
        (&foreign, ORIGIN, "same-origin"),
    ] {
        let body = query(&[("csrf", csrf), ("user_code", code), ("decision", "allow")]);
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", origin),
            ("Sec-Fetch-Site", site),
        ];
        browser.send("POST", "/device", &headers, body.as_bytes()).expect(403);
    }
    browser.get(&format!("/device?{}", query(&[("user_code", code), ("decision", "allow")]))).expect(200);
    says(&provider, &app, &device, "authorization_pending");
    let mut nobody = provider.browser();
    let answer = nobody.get(&format!("/device?{}", query(&[("user_code", code)]))).expect(303);
    assert!(answer.header("location").unwrap().starts_with("/signin?rd="));
}

/// OA-15, OA-18: who may not use the app cannot let a device in to it, nor without the factor that it wants.
#[test]
fn a_device_gets_in_only_with_somebody_who_may() {
    let (provider, app) = start();
    let mut ada = provider.ada();
    for settings in [
        json!({ "groups": ["staff"] }),
        json!({ "groups": [], "level": "two_factor" }),
        json!({ "level": "one_factor", "is_disabled": true }),
    ] {
        let device = provider.device(&app, &[("scope", "openid")]);
        provider.change_app(&app, settings);
        let code = text(&device, "user_code");
        let page = ada.get(&format!("/device?{}", query(&[("user_code", code)])));
        assert_ne!(page.status, 200, "{}", page.text());
        let csrf = ada.get("/device").expect(200).input("csrf").unwrap();
        let answer = ada.form("/device", &[("csrf", &csrf), ("user_code", code), ("decision", "allow")]);
        assert!(!answer.text().contains("is signed in"), "{}", answer.text());
        provider.server.clock.advance(Duration::from_secs(6));
        assert_ne!(provider.poll(&app, &device).status, 200);
        provider.change_app(&app, json!({ "groups": [], "level": "one_factor", "is_disabled": false }));
    }
    let answer = provider.post_as(&app, "/oauth2/device_authorization", &[("scope", "address")]);
    assert_eq!(error_of(&answer.expect(400)), "invalid_scope");
    let answer = provider.post_as(&app, "/oauth2/device_authorization", &[("resource", "https://x.example")]);
    assert_eq!(error_of(&answer.expect(400)), "invalid_target");
}

/// RES-03: nobody fills the store with waiting devices.
#[test]
fn a_client_starts_only_so_many_devices_from_one_place() {
    let (provider, app) = start();
    for _ in 0..60 {
        provider.device(&app, &[("scope", "openid")]);
    }
    let answer = provider.post_as(&app, "/oauth2/device_authorization", &[("scope", "openid")]).expect(429);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(error_of(&answer), "temporarily_unavailable");
}

/// OA-13, RFC 8707: the page tells what the consent page tells: where the app would act, and that nobody vouches for it.
#[test]
fn the_page_tells_where_the_app_would_act_and_who_vouches_for_it() {
    let provider = Provider::start_with(|options| options.oidc.registration = true);
    let token = provider.admin().post("/api/v1/admin/registration-tokens", json!({ "uses": 1 })).expect(201);
    let mut newcomer = provider.server.client().with_bearer(token.json()["token"].as_str().unwrap());
    let metadata = json!({ "client_name": "Some tool", "grant_types": [DEVICE] });
    let registered = newcomer.json("POST", "/oauth2/register", &metadata).expect(201).json();
    let stranger = App {
        id: text(&registered, "client_id").to_owned(),
        secret: Some(text(&registered, "client_secret").to_owned()),
    };
    let own = provider.add_app(json!({ "grants": ALL_GRANTS, "consent": "once" }));
    let api = "https://api.example.org/v1";
    for (app, is_stranger) in [(&stranger, true), (&own, false)] {
        provider.change_app(app, json!({ "audiences": [api] }));
        let device = provider.device(app, &[("scope", "openid"), ("resource", api)]);
        let code = text(&device, "user_code");
        let page =
            provider.ada().get(&format!("/device?{}", query(&[("user_code", code)]))).expect(200).text();
        assert!(page.contains(api), "{page}");
        assert_eq!(page.contains("registered itself"), is_stranger, "{page}");
    }
}
