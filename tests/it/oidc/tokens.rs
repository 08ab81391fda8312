//! What a token is good for, for whom, and until when: introspection, revocation, and the doors it must not open.

use std::sync::Arc;
use std::time::Duration;

use doorward::sessions::Factors;

use super::steps::*;
use super::*;
use crate::harness::in_parallel;

const API: &str = "https://api.example.org";
const OFFLINE: (&str, &str) = ("scope", "openid email offline_access");

fn tokens_of(tokens: &Value) -> [String; 2] {
    ["access_token", "refresh_token"].map(|name| text(tokens, name).to_owned())
}

/// OA-16: what is unknown, over, broken, revoked or somebody else's looks alike, to the byte.
#[test]
fn introspection_tells_a_client_nothing_about_tokens_of_others() {
    let provider = Provider::start();
    let (app, other) = (provider.add_app(json!({})), provider.add_app(json!({})));
    let tokens = provider.tokens(&app, &[OFFLINE]);
    let [access, refresh] = tokens_of(&tokens);
    for token in [&access, &refresh] {
        let seen = provider.post_as(&app, "/oauth2/introspect", &[("token", token)]).expect(200).json();
        assert_eq!((&seen["active"], &seen["client_id"]), (&json!(true), &json!(app.id)));
        // A wrong hint about its kind changes nothing (RFC 7662 section 2.1).
        for hint in ["access_token", "refresh_token", "nonsense"] {
            let fields = [("token", token.as_str()), ("token_type_hint", hint)];
            assert_eq!(
                provider.post_as(&app, "/oauth2/introspect", &fields).expect(200).json()["active"],
                true
            );
        }
    }
    let revoked = tokens_of(&provider.tokens(&app, &[OFFLINE]));
    provider.post_as(&app, "/oauth2/revoke", &[("token", &revoked[1])]).expect(200);
    let own = provider.server.access_token(provider.ada);
    let strangers = [access.clone(), refresh.clone()].map(|token| (&other, token));
    let mine = [
        revoked[0].clone(),
        revoked[1].clone(),
        own,
        text(&tokens, "id_token").to_owned(),
        app.secret.clone().unwrap(),
        access[..access.len() - 1].to_owned(),
        format!("{access}A"),
        "x".to_owned(),
        "a.b.c".to_owned(),
        "\u{0}".to_owned(),
        "x".repeat(9000),
    ]
    .map(|token| (&app, token));
    for (client, token) in strangers.into_iter().chain(mine) {
        let answer = provider.post_as(client, "/oauth2/introspect", &[("token", &token)]).expect(200);
        assert_eq!(answer.text(), r#"{"active":false}"#, "{token}");
    }
    provider.server.clock.advance(Duration::from_secs(31 * 60));
    let answer = provider.post_as(&app, "/oauth2/introspect", &[("token", &access)]).expect(200);
    assert_eq!(answer.text(), r#"{"active":false}"#, "expired");
}

/// OA-16: nobody asks in the name of a public client, which proves nothing.
#[test]
fn introspection_needs_a_client_that_proves_itself() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let public = provider.add_app(json!({ "kind": "public", "auth_method": "none" }));
    let mut browser = provider.ada();
    let challenge = challenge(VERIFIER);
    let extra = [("code_challenge", &*challenge), ("code_challenge_method", "S256")];
    let code = provider.redirect(&mut browser, &public, &extra).code();
    let tokens = provider.exchange(&public, &code, &[("code_verifier", VERIFIER)]).expect(200).json();
    let token = text(&tokens, "access_token");
    let ask = |fields: &[(&str, &str)], header: Option<&str>| {
        let answer = provider.post_form("/oauth2/introspect", fields, header);
        assert_eq!((answer.status, &*error_of(&answer)), (401, "invalid_client"), "{}", answer.text());
    };
    ask(&[("token", token)], None);
    ask(&[("token", token), ("client_id", &public.id)], None);
    ask(&[("token", token), ("client_id", &public.id), ("client_secret", "x")], None);
    ask(&[("token", token), ("client_id", &app.id)], None);
    ask(&[("token", token)], Some(&basic(&app.id, "x")));
    ask(&[("token", token)], Some(&format!("Bearer {token}")));
    assert_eq!(provider.userinfo(token).expect(200).json()["sub"], provider.ada.to_string());
}

/// OA-16, RFC 7009: a refresh token takes its grant along, an access token goes alone, and those of others stay.
#[test]
fn revocation_ends_what_is_the_clients_own_and_nothing_else() {
    let provider = Provider::start();
    let (app, other) = (provider.add_app(json!({})), provider.add_app(json!({})));
    let public = provider.add_app(json!({ "kind": "public", "auth_method": "none" }));
    let first = tokens_of(&provider.tokens(&app, &[OFFLINE]));
    let second = tokens_of(&provider.tokens(&app, &[OFFLINE]));
    let revoke = |client: &App, token: &str| {
        let answer = provider.post_as(client, "/oauth2/revoke", &[("token", token)]).expect(200);
        assert!(answer.body.is_empty());
    };
    for token in first.iter().chain(&second) {
        revoke(&other, token);
        revoke(&public, token);
        revoke(&app, &token[..token.len() - 1]);
        revoke(&app, &format!("{token}A"));
    }
    revoke(&app, "x");
    for fields in [&[("token", &*first[1])][..], &[("token", &first[1]), ("client_id", &app.id)]] {
        let answer = provider.post_form("/oauth2/revoke", fields, None);
        assert_eq!(error_of(&answer.expect(401)), "invalid_client");
    }
    for token in first.iter().chain(&second) {
        assert!(provider.is_active(&app, token));
    }
    revoke(&app, &first[0]);
    assert!(!provider.is_active(&app, &first[0]) && provider.is_active(&app, &first[1]));
    provider.userinfo(&first[0]).expect(401);
    let newer = tokens_of(&provider.refresh(&app, &first[1], &[]).expect(200).json());
    provider.userinfo(&newer[0]).expect(200);
    // A spent token of the family ends it as well as the newest.
    revoke(&app, &first[1]);
    for token in first.iter().chain(&newer) {
        assert!(!provider.is_active(&app, token));
    }
    assert_eq!(error_of(&provider.refresh(&app, &newer[1], &[]).expect(400)), "invalid_grant");
    assert!(provider.is_active(&app, &second[0]) && provider.is_active(&app, &second[1]));
    let provider = provider.restart();
    assert!(!provider.is_active(&app, &newer[0]) && provider.is_active(&app, &second[1]));
}

/// TOK-12, OA-16, RFC 8707: a token for an API opens that API alone, and only the client it was given to may ask about it.
#[test]
fn a_token_for_an_api_is_good_there_alone() {
    let provider = Provider::start();
    let api = json!({ "audiences": [API], "grants": ALL_GRANTS });
    let (app, neighbour) = (provider.add_app(api.clone()), provider.add_app(api));
    let stranger = provider.add_app(json!({}));
    let tokens = provider.tokens(&app, &[OFFLINE, ("resource", API)]);
    let token = text(&tokens, "access_token").to_owned();
    assert_eq!(claims(&token)["aud"], API);
    assert!(provider.is_active(&app, &token));
    assert!(!provider.is_active(&neighbour, &token) && !provider.is_active(&stranger, &token));
    provider.userinfo(&token).expect(401);
    // Of several resources one is named, and never one that was not agreed to.
    let machine = [("grant_type", "client_credentials"), ("resource", API)];
    let token = provider.post_as(&app, "/oauth2/token", &machine).expect(200).json();
    let machine = text(&token, "access_token");
    assert_eq!((&claims(machine)["aud"], &claims(machine)["sub"]), (&json!(API), &json!(app.id)));
    provider.userinfo(machine).expect(401);
    assert!(provider.is_active(&app, machine) && !provider.is_active(&neighbour, machine));
    // Once the app has lost the API, what it was given for it is void.
    provider.change_app(&app, json!({ "audiences": [] }));
    let old = text(&tokens, "access_token");
    assert!(!provider.is_active(&app, old) && !provider.is_active(&app, machine));
    let refused = provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(400);
    assert_eq!(error_of(&refused), "invalid_target");
}

/// TOK-12: an app cannot get a token for our own API, whatever an administrator registered.
#[test]
fn no_token_of_an_app_opens_our_own_api_or_forward_auth() {
    let provider = Provider::start();
    provider.server.set_rules(&["allow one_factor domain=notes.home.localhost"]);
    let own = [format!("{ORIGIN}/api"), ORIGIN.to_owned(), format!("{ORIGIN}/oauth2"), format!("{ORIGIN}/")];
    let app = provider.add_app(json!({ "audiences": own, "grants": ALL_GRANTS }));
    let mut browser = provider.ada();
    let mut tokens = Vec::new();
    for resource in own.iter().map(String::as_str).chain([""]) {
        let answer = provider.tokens_in(
            &mut browser,
            &app,
            &[("scope", "openid profile email"), ("resource", resource)],
        );
        tokens.push(text(&answer, "access_token").to_owned());
        tokens.push(text(&answer, "id_token").to_owned());
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend([("resource", resource)].into_iter().filter(|(_, value)| !value.is_empty()));
        let answer = provider.post_as(&app, "/oauth2/token", &fields).expect(200).json();
        tokens.push(text(&answer, "access_token").to_owned());
    }
    for token in &tokens {
        for path in
            ["/api/v1/users/me", "/api/v1/sessions", "/api/v1/admin/users", "/api/v1/users/me/consents"]
        {
            let answer = provider.server.client().with_bearer(token).get_json(path);
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        }
        let answer =
            provider.server.client().post("/api/v1/auth/validate", json!({ "token": token })).expect(200);
        assert_eq!(answer.json()["active"], false);
        for bearer in [true, false] {
            let mut proxy = provider.server.client();
            if bearer {
                proxy = proxy.with_bearer(token);
            } else {
                proxy.cookies = ["dw", "dw_app"].map(|name| (name.to_owned(), token.clone())).to_vec();
            }
            let headers = [("X-Original-URL", "http://notes.home.localhost/"), ("X-Original-Method", "GET")];
            let answer = proxy.send("GET", "/api/authz/auth-request", &headers, b"");
            assert_eq!(answer.status, 401, "{}", answer.text());
            assert!(answer.header("remote-user").is_none_or(str::is_empty));
        }
    }
    // And the other way round.
    let own = provider.server.access_token(provider.ada);
    provider.server.client().with_bearer(&own).get_json("/api/v1/users/me").expect(200);
    provider.userinfo(&own).expect(401);
    assert!(!provider.is_active(&app, &own));
    provider.post_as(&app, "/oauth2/revoke", &[("token", &own)]).expect(200);
    let mut program = provider.server.client().with_bearer(&own);
    program.get_json("/api/v1/users/me").expect(200);
    // A program that is signed in is no browser that is: no code comes of its token.
    let answer = provider.authorize(&mut program, &app, &[("prompt", "none")]).expect(303);
    assert_eq!(Redirect::of(answer.header("location").unwrap()).get("error"), Some("login_required"));
}

/// A client that acts for itself has no person, and nothing of one.
#[test]
fn a_token_of_the_client_itself_shows_nobody_and_lives_as_long_as_the_client() {
    let provider = Provider::start();
    let settings = json!({ "id": "job", "grants": ALL_GRANTS });
    let app = provider.add_app(settings.clone());
    let ask = |app: &App| {
        let answer = provider.post_as(app, "/oauth2/token", &[("grant_type", "client_credentials")]);
        let answer = answer.expect(200).json();
        assert!(answer.get("refresh_token").is_none() && answer.get("id_token").is_none(), "{answer}");
        text(&answer, "access_token").to_owned()
    };
    for scope in ["openid", "email", "offline_access", "groups openid"] {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        assert_eq!(error_of(&provider.post_as(&app, "/oauth2/token", &fields).expect(400)), "invalid_scope");
    }
    let token = ask(&app);
    provider.userinfo(&token).expect(403);
    let seen = provider.post_as(&app, "/oauth2/introspect", &[("token", &token)]).expect(200).json();
    assert_eq!((&seen["active"], &seen["sub"]), (&json!(true), &json!("job")));
    assert!(seen.get("username").is_none());
    provider.change_app(&app, json!({ "is_disabled": true }));
    provider.userinfo(&token).expect(401);
    provider.change_app(&app, json!({ "is_disabled": false }));
    assert!(provider.is_active(&app, &token));
    provider.change_app(&app, json!({ "grants": ["authorization_code"] }));
    assert!(!provider.is_active(&app, &token));
    provider.change_app(&app, json!({ "grants": ALL_GRANTS }));
    provider.admin().json("DELETE", "/api/v1/admin/clients/job", &json!({})).expect(204);
    provider.userinfo(&token).expect(401);
    provider.server.clock.advance(Duration::from_secs(1));
    // Another app of the same name is another app.
    let app = provider.add_app(settings);
    assert!(!provider.is_active(&app, &token));
    assert!(provider.is_active(&app, &ask(&app)));
}

/// OA-15: what an app may no longer ask for, its older tokens do not show any more.
#[test]
fn a_scope_that_is_taken_away_is_gone_from_userinfo() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let tokens = provider.tokens(&app, &[("scope", "openid email groups")]);
    let token = text(&tokens, "access_token");
    let seen = provider.userinfo(token).expect(200).json();
    assert!(seen.get("email").is_some() && seen.get("groups").is_some());
    provider.change_app(&app, json!({ "scopes": ["openid", "groups"] }));
    let seen = provider.userinfo(token).expect(200).json();
    assert!(seen.get("email").is_none() && seen.get("groups").is_some(), "{seen}");
    let seen = provider.post_as(&app, "/oauth2/introspect", &[("token", token)]).expect(200).json();
    assert_eq!(seen["scope"], "groups openid");
    provider.change_app(&app, json!({ "scopes": ["groups"] }));
    provider.userinfo(token).expect(403);
}

/// What is tried while a hundred codes are being exchanged.
fn end_amid_exchanges(end: fn(&Provider, &App, &mut Person)) {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "id": "amid", "consent": "once" }));
    let mut person = provider.person("grace");
    let request = provider.authorize_path(&app, &[OFFLINE]);
    let codes: Vec<String> = (0..100).map(|_| agree(&mut person.browser, &request).code()).collect();
    let started = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (provider, person) = (Arc::new(provider), Arc::new(parking_lot::Mutex::new(person)));
    let answers = {
        let (provider, app, person) = (provider.clone(), app.clone(), person.clone());
        in_parallel(101, move |index| {
            if index < 100 {
                started.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                return Some(provider.exchange(&app, &codes[index], &[]));
            }
            while started.load(std::sync::atomic::Ordering::SeqCst) < 50 {
                std::thread::yield_now();
            }
            end(&provider, &app, &mut person.lock());
            None
        })
    };
    let mut provider = Arc::into_inner(provider).expect("every thread is over");
    let issued: Vec<[String; 2]> = answers
        .into_iter()
        .flatten()
        .filter(|answer| answer.status == 200)
        .map(|answer| tokens_of(&answer.json()))
        .collect();
    let none_lives = |provider: &Provider, when: &str| {
        for [access, refresh] in &issued {
            provider.userinfo(access).expect(401);
            assert_eq!(provider.refresh(&app, refresh, &[]).status / 100, 4, "{when}");
            assert!(!provider.is_active(&app, refresh) && !provider.is_active(&app, access), "{when}");
        }
    };
    none_lives(&provider, "at once");
    provider = provider.restart();
    none_lives(&provider, "after a restart");
    // What was remembered of the end is forgotten by now, and nothing comes back to life.
    provider.server.clock.advance(Duration::from_secs(2 * 3600));
    provider.server.block_on(provider.server.app().every_minute()).unwrap();
    provider = provider.restart();
    none_lives(&provider, "after the sweep and a restart");
    let left =
        provider.server.app().store().scan::<doorward::oidc::records::GrantRecord>(&[], None, 1000).unwrap();
    assert_eq!(left.len(), 0, "no row is left behind");
}

/// SES-08, REF-07.
#[test]
fn signing_out_amid_a_hundred_exchanges_leaves_no_live_token() {
    end_amid_exchanges(|_, _, person| {
        person.browser.post("/api/v1/auth/logout", json!({})).expect(204);
    });
}

/// OA-14.
#[test]
fn taking_consent_back_amid_a_hundred_exchanges_leaves_no_live_token() {
    end_amid_exchanges(|provider, app, person| {
        let mut other =
            provider.server.web_session_with(person.id, Factors::PASSWORD).client(&provider.server);
        other.json("DELETE", &format!("/api/v1/users/me/consents/{}", app.id), &json!({})).expect(204);
    });
}

/// REF-07.
#[test]
fn removing_the_app_amid_a_hundred_exchanges_leaves_no_live_token() {
    end_amid_exchanges(|provider, app, _| {
        provider
            .warden()
            .json("DELETE", &format!("/api/v1/admin/clients/{}", app.id), &json!({}))
            .expect(204);
    });
}

/// OA-04, OA-19: an app that is added under the name of one that was removed inherits nothing, also where nobody is ever
/// asked.
#[test]
fn an_app_of_the_same_name_inherits_nothing() {
    let provider = Provider::start();
    let settings = json!({ "id": "wiki", "grants": ALL_GRANTS, "consent": "skip" });
    let app = provider.add_app(settings.clone());
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[OFFLINE]);
    let code = provider.redirect(&mut browser, &app, &[]).code();
    let device = provider.device(&app, &[("scope", "openid")]);
    decide_device(&mut browser, &device, "allow").expect(200);
    provider.admin().json("DELETE", "/api/v1/admin/clients/wiki", &json!({})).expect(204);
    provider.server.clock.advance(Duration::from_millis(1));
    let heir = provider.add_app(settings);
    assert_eq!(error_of(&provider.exchange(&heir, &code, &[]).expect(400)), "invalid_grant");
    assert_eq!(error_of(&provider.poll(&heir, &device).expect(400)), "invalid_grant");
    let refresh = text(&tokens, "refresh_token");
    assert_eq!(error_of(&provider.refresh(&heir, refresh, &[]).expect(400)), "invalid_grant");
    provider.userinfo(text(&tokens, "access_token")).expect(401);
    let answer = provider.exchange(&app, &code, &[]).expect(401);
    assert_eq!(error_of(&answer), "invalid_client", "nor is the old secret good");
}

/// REF-07: proving oneself again puts a new session in the place of the old one, and what apps hold goes on, also after a
/// stop a minute later.
#[test]
fn proving_oneself_again_leaves_apps_signed_in_after_a_restart() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let [access, refresh] = tokens_of(&provider.tokens_in(&mut browser, &app, &[OFFLINE]));
    provider.server.clock.advance(Duration::from_secs(2));
    let csrf = browser.get("/step-up").expect(200).input("csrf").unwrap();
    browser.form("/step-up", &[("csrf", &csrf), ("password", crate::harness::PASSWORD)]).expect(303);
    assert!(provider.is_active(&app, &access));
    let provider = provider.restart();
    assert!(provider.is_active(&app, &access));
    provider.refresh(&app, &refresh, &[]).expect(200);
    // Signing out ends them, also in that very minute.
    let mut browser = provider.ada();
    let [access, refresh] = tokens_of(&provider.tokens_in(&mut browser, &app, &[OFFLINE]));
    let csrf = browser.get("/signout").expect(200).input("csrf").unwrap();
    browser.form("/signout", &[("csrf", &csrf)]).expect(200);
    let provider = provider.restart();
    assert!(!provider.is_active(&app, &access));
    provider.refresh(&app, &refresh, &[]).expect(400);
}
