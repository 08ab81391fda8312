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
