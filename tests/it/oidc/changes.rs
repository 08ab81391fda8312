//! What administrators decide about apps while others write too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::harness::in_parallel;

/// OA-13, OA-15: an app that writes its own registration over and over does not switch itself on again.
#[test]
fn an_app_cannot_undo_what_an_administrator_decides_at_the_same_moment() {
    let provider = Provider::start_with(|options| options.oidc.registration = true);
    let answer =
        provider.admin().post("/api/v1/admin/registration-tokens", json!({ "uses": 50 })).expect(201);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let metadata = json!({ "client_name": "Some tool", "redirect_uris": [CALLBACK] });
    for _ in 0..15 {
        let mut newcomer = provider.server.client().with_bearer(&token);
        let registered = newcomer.json("POST", "/oauth2/register", &metadata).expect(201).json();
        let id = text(&registered, "client_id").to_owned();
        let path = format!("/oauth2/register/{id}");
        let manager = provider.server.client().with_bearer(text(&registered, "registration_access_token"));
        let mut again = metadata.clone();
        again["client_id"] = id.as_str().into();
        let is_over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (mut manager, path, again, is_over) =
                    (manager.clone(), path.clone(), again.clone(), is_over.clone());
                std::thread::spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        manager.json("PUT", &path, &again);
                    }
                })
            })
            .collect();
        let settings = json!({ "is_disabled": true, "groups": ["staff"], "pkce": "required", "cors_origins": ["https://a.example.org"] });
        let path = format!("/api/v1/admin/clients/{id}");
        let mut admin = provider.admin();
        while admin.json("PATCH", &path, &settings).status != 200 {}
        std::thread::sleep(std::time::Duration::from_millis(20));
        is_over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.join().unwrap();
        }
        let client = admin.get_json(&path).expect(200).json();
        for (name, value) in settings.as_object().unwrap() {
            assert_eq!(&client[name], value, "{name}: {client}");
        }
    }
}

/// Two administrators who change different things at once either both succeed or learn that they did not.
#[test]
fn no_change_of_an_app_is_lost() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let path = format!("/api/v1/admin/clients/{}", app.id);
    for round in 0..15 {
        let changes = [
            json!({ "name": format!("Name {round}") }),
            json!({ "is_disabled": round % 2 == 0 }),
            json!({ "access_token_seconds": 100 + round }),
        ];
        let (admin, at, all) = (provider.admin(), path.clone(), changes.clone());
        let answers = in_parallel(3, move |index| admin.clone().json("PATCH", &at, &all[index]).status);
        let secret = format!("{path}/secret");
        let client = provider.admin().get_json(&path).expect(200).json();
        for (change, status) in changes.iter().zip(&answers) {
            assert!(matches!(status, 200 | 409), "{status}");
            for (name, value) in change.as_object().unwrap().iter().filter(|_| *status == 200) {
                assert_eq!(&client[name], value, "round {round}: {answers:?}");
            }
        }
        assert!(answers.contains(&200));
        provider.admin().post(&secret, json!({})).expect(201);
    }
    let seen = provider.admin().get_json(&path).expect(200).json();
    let provider = provider.restart();
    let mut kept = provider.warden().get_json(&path).expect(200).json();
    kept["created_at"] = seen["created_at"].clone();
    assert_eq!(kept, seen, "memory and store agree");
}

/// AUD-06: somebody who may not use an app can be told so all day without filling the journal.
#[test]
fn being_refused_over_and_over_is_one_event() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "groups": ["staff"] }));
    let mut browser = provider.ada();
    for _ in 0..30 {
        let answer = provider.authorize(&mut browser, &app, &[]).expect(403);
        assert!(answer.text().contains("Not for this account"));
    }
    assert_eq!(crate::my_account::events(&provider.server, "app.refused", "ada"), 1);
}

/// TOK-15: an emergency replacement takes the keys along that no app uses at the moment: they would sign for the next one.
#[test]
fn replacing_the_keys_leaves_none_of_the_old_ones() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "id_token_alg": "ES256" }));
    let kid_of = |tokens: &Value| header(text(tokens, "id_token"))["kid"].as_str().unwrap().to_owned();
    let leaked = kid_of(&provider.tokens(&app, &[]));
    provider.change_app(&app, json!({ "id_token_alg": "RS256" }));
    let oidc = &provider.server.app().oidc;
    provider.server.block_on(oidc.replace_keys(|_| {})).unwrap();
    assert!(!oidc.has_key(&leaked));
    provider.change_app(&app, json!({ "id_token_alg": "ES256" }));
    assert_ne!(kid_of(&provider.tokens(&app, &[])), leaked);
    let published = provider.browser().get_json("/jwks.json").expect(200).text();
    assert!(!published.contains(&leaked), "{published}");
    let provider = provider.restart();
    assert!(!provider.server.app().oidc.has_key(&leaked));
}

/// A scope that is there can be changed when there may be no more of them.
#[test]
fn a_scope_can_be_changed_among_as_many_as_there_may_be() {
    let provider = Provider::start();
    let put = |name: &str, claim: &str| {
        let path = format!("/api/v1/admin/scopes/{name}");
        provider.admin().json("PUT", &path, &json!({ "claims": { claim: claim } })).status
    };
    for number in 0..100 {
        assert_eq!(put(&format!("scope-{number}"), "badge"), 204);
    }
    assert_eq!(put("scope-100", "badge"), 409);
    assert_eq!(put("scope-99", "floor"), 204);
    let shown = provider.admin().get_json("/api/v1/admin/scopes").expect(200).text();
    assert!(shown.contains("floor") && !shown.contains("scope-100"), "{shown}");
}

/// An app that everybody agreed to can be removed, and one that is added under its name later starts with nothing.
#[test]
fn an_app_that_many_agreed_to_can_be_removed() {
    use doorward::oidc::records::ConsentRecord;
    let provider = Provider::start();
    provider.add_app(json!({ "id": "popular" }));
    let store = provider.server.app().store().clone();
    let agree = |client: &str, people: u64| {
        let numbers: Vec<u64> = (0..people).collect();
        for chunk in numbers.chunks(1000) {
            let mut batch = store.batch();
            for number in chunk {
                let row = [&u128::from(*number).to_be_bytes()[..], client.as_bytes()].concat();
                batch.put(&row, &ConsentRecord { sets: vec![[7; 32]], ..ConsentRecord::default() });
            }
            provider.server.block_on(store.commit(batch)).unwrap();
        }
    };
    let left = || store.scan::<ConsentRecord>(&[], None, 30_000).unwrap().len();
    agree("popular", 20_000);
    agree("other", 1);
    provider.admin().json("DELETE", "/api/v1/admin/clients/popular", &json!({})).expect(204);
    assert_eq!(left(), 1);
    // As if a stop had come in between.
    agree("popular", 3);
    provider.add_app(json!({ "id": "popular" }));
    assert_eq!(left(), 1);
}
