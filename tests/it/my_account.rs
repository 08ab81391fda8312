//! One's own account, by API and by pages: every change, every refusal, and what it ends.

use std::time::{Duration, Instant};

use doorward::accounts::records::Role;
use doorward::accounts::users::{AccountError, SecondFactorPolicy};
use doorward::audit::{Event, Filter, Kind as What};
use doorward::sessions::records::SignedInRecord;
use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, Client, PASSWORD, Server};

const NEW_PASSWORD: &str = "walnut-harbor-eleven-comet";

/// Signs in a browser by the web API; its CSRF token goes along with every request.
pub(crate) fn browser(server: &Server, name: &str) -> Client {
    browser_with(server, name, PASSWORD, None)
}

pub(crate) fn browser_with(server: &Server, name: &str, password: &str, otp: Option<&str>) -> Client {
    let mut client = server.client();
    let mut body = json!({"username": name, "password": password});
    if let Some(otp) = otp {
        body["otp"] = otp.into();
    }
    let answer = client.post("/api/v1/auth/login/web", body).expect(200).json();
    assert_eq!(answer["status"], "signed_in", "{answer}");
    client.with_header("x-csrf-token", answer["csrf_token"].as_str().unwrap())
}

/// Signs in a program.
pub(crate) fn program(server: &Server, name: &str, otp: Option<&str>) -> Client {
    let mut body = json!({"username": name, "password": PASSWORD});
    if let Some(otp) = otp {
        body["otp"] = otp.into();
    }
    let answer = server.client().post("/api/v1/auth/login/api", body).expect(200).json();
    server.client().with_bearer(answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")))
}

/// Returns how many audit events of this kind there are on or by `name`.
pub(crate) fn events(server: &Server, kind: &str, name: &str) -> usize {
    let app = server.app();
    server.block_on(app.audit.flush()).unwrap();
    let filter =
        Filter { kind_prefix: Some(kind.to_owned()), name: Some(name.to_owned()), ..Filter::default() };
    app.audit.part(&filter, None, 200).unwrap().rows.len()
}

fn adopt(client: &mut Client, answer: &Answer) {
    let token = answer.json()["csrf_token"].as_str().unwrap().to_owned();
    client.headers.retain(|(name, _)| name != "x-csrf-token");
    client.headers.push(("x-csrf-token".to_owned(), token));
}

fn later(server: &Server) {
    server.clock.advance(Duration::from_secs(601));
}

#[track_caller]
fn refuses(answer: Answer, status: u16, code: &str) {
    let answer = answer.expect(status);
    assert_eq!(answer.code(), code);
}

#[track_caller]
fn leads_to(answer: Answer, location: &str) {
    let answer = answer.expect(303);
    assert_eq!(answer.header("location"), Some(location));
}

#[test]
fn nobody_else_gets_to_the_account() {
    let server = Server::start();
    server.client().get_json("/api/v1/users/me").expect(401);
    leads_to(server.client().get("/account/security"), "/signin?rd=%2Faccount%2Fsecurity");
    leads_to(server.client().get("/"), "/signin");
}

#[test]
fn a_person_reads_and_changes_the_own_profile() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &["family"]);
    server.add_user("bob", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    let me = ada.get_json("/api/v1/users/me").expect(200).json();
    assert_eq!(
        (&me["username"], &me["role"], &me["groups"]),
        (&json!("ada"), &json!("member"), &json!(["family"]))
    );
    assert!(!me.to_string().contains("argon2"), "no hash leaves (GEN-07)");
    let changed =
        ada.json("PATCH", "/api/v1/users/me", &json!({"display_name": "Ada L.", "email": ""})).expect(200);
    assert_eq!(changed.json()["display_name"], "Ada L.");
    assert_eq!(changed.json()["email"], Value::Null);
    let taken = ada.json("PATCH", "/api/v1/users/me", &json!({"email": "bob@example.org"}));
    refuses(taken, 409, "email_taken");
    refuses(ada.json("PATCH", "/api/v1/users/me", &json!({"email": "no address"})), 422, "invalid_value");
    assert_eq!(events(&server, "user.changed", "ada"), 1);
}

/// ADM-02: role, groups and state are not one's own to set.
#[test]
fn nobody_raises_themselves() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    for body in [
        json!({"role": "owner"}),
        json!({"groups": ["admins"]}),
        json!({"username": "root"}),
        json!({"status": "active"}),
    ] {
        refuses(ada.json("PATCH", "/api/v1/users/me", &body), 400, "unknown_field");
    }
}

#[test]
fn another_address_needs_a_fresh_proof_and_another_name_does_not() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    later(&server);
    ada.json("PATCH", "/api/v1/users/me", &json!({"display_name": "A"})).expect(200);
    let body = json!({"email": "new@example.org"});
    refuses(ada.json("PATCH", "/api/v1/users/me", &body), 403, "step_up_required");
    ada.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
    ada.json("PATCH", "/api/v1/users/me", &body).expect(200);
}

/// PWD-09: every other session, token and waiting sign-in ends with the old password.
#[test]
fn a_new_password_ends_everything_else_and_the_caller_goes_on() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut desk = browser(&server, "ada");
    let old_cookie = desk.cookie("dw").unwrap();
    let mut phone = browser(&server, "ada");
    let tokens = server
        .client()
        .post("/api/v1/auth/login/api", json!({"username": "ada", "password": PASSWORD}))
        .json();
    let wrong = json!({"current_password": "not-this-one-at-all", "new_password": NEW_PASSWORD});
    refuses(desk.post("/api/v1/users/me/password", wrong), 422, "wrong_password");
    let weak = json!({"current_password": PASSWORD, "new_password": "fourteen-chars"});
    desk.post("/api/v1/users/me/password", weak).expect(422);
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    let changed = desk.post("/api/v1/users/me/password", body).expect(200);
    assert_ne!(desk.cookie("dw").unwrap(), old_cookie, "SES-02");
    adopt(&mut desk, &changed);
    desk.get_json("/api/v1/users/me").expect(200);
    phone.get_json("/api/v1/users/me").expect(401);
    let mut thief = server.client();
    thief.cookies.push(("dw".to_owned(), old_cookie));
    thief.get_json("/api/v1/users/me").expect(401);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    server.client().post("/api/v1/auth/refresh/api", refresh).expect(401);
    let old = json!({"username": "ada", "password": PASSWORD});
    server.client().post("/api/v1/auth/login/api", old).expect(401);
    browser_with(&server, "ada", NEW_PASSWORD, None);
    assert_eq!(events(&server, "password.changed", "ada"), 1);
    assert_eq!(server.app().sessions.list(&ada).unwrap().len(), 2);
}

#[test]
fn a_program_gets_new_tokens_with_a_new_password() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    let changed = ada.post("/api/v1/users/me/password", body).expect(200).json();
    ada.get_json("/api/v1/users/me").expect(401);
    let access = changed["access_token"].as_str().unwrap();
    server.client().with_bearer(access).get_json("/api/v1/users/me").expect(200);
    let refresh = json!({"refresh_token": changed["refresh_token"]});
    server.client().post("/api/v1/auth/refresh/api", refresh).expect(200);
}

/// PWD-09: without the current password only a fresh proof of all factors changes it.
#[test]
fn a_password_changes_by_the_current_one_or_a_fresh_proof() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    later(&server);
    let body = json!({"new_password": NEW_PASSWORD});
    refuses(ada.post("/api/v1/users/me/password", body.clone()), 403, "step_up_required");
    ada.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
    ada.post("/api/v1/users/me/password", body).expect(200);
}

/// OTP-08: the password alone does not make a session fresh enough to take the second factor away.
#[test]
fn a_new_password_does_not_stand_for_the_second_factor() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut desk = browser_with(&server, "ada", PASSWORD, Some(&authenticator.code()));
    later(&server);
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    let changed = desk.post("/api/v1/users/me/password", body).expect(200);
    adopt(&mut desk, &changed);
    refuses(desk.json("DELETE", "/api/v1/users/me/totp", &json!({})), 403, "step_up_required");
}

/// OTP-01, OTP-02: enrolment needs a fresh proof and a valid first code; the codes are shown once.
#[test]
fn an_authenticator_app_is_added_with_its_first_code() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    later(&server);
    refuses(ada.post("/api/v1/users/me/totp", json!({})), 403, "step_up_required");
    ada.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
    let begun = ada.post("/api/v1/users/me/totp", json!({})).expect(201).json();
    assert!(begun["qr_svg"].as_str().unwrap().starts_with("<svg"));
    let confirm = "/api/v1/users/me/totp/confirm";
    refuses(ada.post(confirm, json!({"otp": "000000"})), 422, "invalid_code");
    assert_eq!(ada.get_json("/api/v1/users/me").json()["second_factor"], false);
    let authenticator = Authenticator::new(begun["secret"].as_str().unwrap(), server.clock.clone());
    let confirmed = ada.post(confirm, json!({"otp": authenticator.code()})).expect(200).json();
    assert_eq!(confirmed["recovery_codes"].as_array().unwrap().len(), 10);
    ada.bearer = Some(confirmed["access_token"].as_str().unwrap().to_owned());
    refuses(ada.post(confirm, json!({"otp": authenticator.code()})), 422, "invalid_code");
    let me = ada.get_json("/api/v1/users/me").json();
    assert_eq!((&me["second_factor"], &me["recovery_codes_left"]), (&json!(true), &json!(10)));
    assert_eq!(events(&server, "totp.enrolled", "ada"), 1);
    // The session that proved both is fresh with two factors.
    ada.post("/api/v1/users/me/recovery-codes", json!({})).expect(200);
}

/// OTP-08, OTP-09: removing the app and making new codes need both factors; the old codes die.
#[test]
fn the_second_factor_goes_only_with_both_factors_proven() {
    let server = Server::start();
    let id = server.add_user("ada", Role::Member, &[]);
    let (authenticator, old_codes) = server.enrol_totp(id);
    let mut ada = program(&server, "ada", Some(&authenticator.code()));
    let codes = ada.post("/api/v1/users/me/recovery-codes", json!({})).expect(200).json();
    ada.bearer = Some(codes["access_token"].as_str().unwrap().to_owned());
    let login = json!({"username": "ada", "password": PASSWORD, "otp": old_codes[0]});
    server.client().post("/api/v1/auth/login/api", login).expect(401);
    let login = json!({"username": "ada", "password": PASSWORD, "otp": codes["recovery_codes"][0]});
    server.client().post("/api/v1/auth/login/api", login).expect(200);
    later(&server);
    refuses(ada.json("DELETE", "/api/v1/users/me/totp", &json!({})), 403, "step_up_required");
    refuses(ada.post("/api/v1/auth/step-up", json!({"password": PASSWORD})), 401, "invalid_code");
    let both = json!({"password": PASSWORD, "otp": authenticator.next_code()});
    ada.post("/api/v1/auth/step-up", both).expect(204);
    let removed = ada.json("DELETE", "/api/v1/users/me/totp", &json!({})).expect(200).json();
    ada.bearer = Some(removed["access_token"].as_str().unwrap().to_owned());
    refuses(ada.json("DELETE", "/api/v1/users/me/totp", &json!({})), 409, "no_second_factor");
    refuses(ada.post("/api/v1/users/me/recovery-codes", json!({})), 409, "no_second_factor");
    assert_eq!(events(&server, "totp.removed", "ada"), 1);
}

#[test]
fn a_required_second_factor_stays() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    let id = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(id);
    let mut ada = program(&server, "ada", Some(&authenticator.code()));
    refuses(ada.json("DELETE", "/api/v1/users/me/totp", &json!({})), 409, "second_factor_required");
    // Also where the other factor goes at the same moment, after that was asked: the commit itself judges.
    let removed = server.block_on(server.app().accounts.remove_totp(id, |_, _| {}));
    assert!(matches!(removed, Err(AccountError::SecondFactorRequired)), "{removed:?}");
}

/// RES-01: the page that everybody opens first says when the person signed in before, and reads no log for it.
#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn the_home_knows_the_sign_in_before_without_the_log() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut first = browser(&server, "ada");
    assert!(!first.get("/").expect(200).text().contains("Last sign-in"));
    server.clock.advance(Duration::from_secs(3600));
    let mut second = browser(&server, "ada");
    for home in [second.get("/"), second.get("/")] {
        assert!(home.expect(200).text().contains("2027-01-15T08:00:00Z"));
    }
    // A step-up is no sign-in.
    let stepped = second.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(200);
    adopt(&mut second, &stepped);
    let app = server.app();
    for round in 0..10 {
        let mut batch = app.store().batch();
        for number in 0..1000 {
            let event = Event::succeeded(What::SignInFailed).detail("number", round * 1000 + number);
            app.audit.write(&mut batch, event);
        }
        server.block_on(app.store().commit(batch)).unwrap();
    }
    let time = |path: &str, client: &mut Client| {
        let begun = Instant::now();
        let answer = client.get(path).expect(200);
        (begun.elapsed(), answer)
    };
    let looks: Vec<_> = (0..5).map(|_| time("/", &mut second)).collect();
    assert!(
        looks.iter().all(|(_, home)| home.text().contains("2027-01-15T08:00:00Z")),
        "{}",
        looks[0].1.text()
    );
    let quickest = looks.iter().map(|(took, _)| *took).min().unwrap();
    let (activity, _) = time("/account/activity", &mut second);
    assert!(quickest * 4 < activity, "{quickest:?}, and the log takes {activity:?}");
    // Who goes leaves no trace of it.
    second.json("DELETE", "/api/v1/users/me", &json!({})).expect(204);
    assert!(app.store().get::<SignedInRecord>(ada.as_bytes()).unwrap().is_none());
}

/// SES-02: "remember me" outlives a step-up, whichever way it is asked for.
#[test]
fn a_step_up_keeps_a_remembered_session() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut desk = server.client();
    let body = json!({"username": "ada", "password": PASSWORD, "remember": true});
    let answer = desk.post("/api/v1/auth/login/web", body).expect(200);
    assert!(answer.headers.iter().any(|(_, value)| value.starts_with("dw=") && value.contains("Max-Age=")));
    let mut desk = desk.with_header("x-csrf-token", answer.json()["csrf_token"].as_str().unwrap());
    let stepped = desk.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(200);
    let cookie = stepped.headers.iter().find(|(_, value)| value.starts_with("dw=")).unwrap();
    assert!(cookie.1.contains("Max-Age="), "{}", cookie.1);
}

/// SES-10, ENU-04: one's own sessions end by handle; a foreign one looks like a missing one.
#[test]
fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let bob = server.add_user("bob", Role::Member, &[]);
    let mut desk = browser(&server, "ada");
    let mut phone = browser(&server, "ada");
    browser(&server, "bob");
    let foreign = server.app().sessions.list(&bob).unwrap()[0].id.to_string();
    let listed = desk.get_json("/api/v1/sessions").expect(200).json();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0]["is_current"], true);
    let other = sessions[1]["handle"].as_str().unwrap().to_owned();
    let end = |client: &mut Client, handle: &str| {
        client.json("DELETE", &format!("/api/v1/sessions/{handle}"), &json!({}))
    };
    refuses(end(&mut desk, &foreign), 404, "not_found");
    refuses(end(&mut desk, "AAAAAAAAAAAAAAAAAAAAAA"), 404, "not_found");
    refuses(end(&mut desk, "x"), 404, "not_found");
    later(&server);
    refuses(end(&mut desk, &other), 403, "step_up_required");
    let stepped = desk.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(200);
    adopt(&mut desk, &stepped);
    phone.get_json("/api/v1/users/me").expect(200);
    end(&mut desk, &other).expect(204);
    phone.get_json("/api/v1/users/me").expect(401);
    assert_eq!(events(&server, "session.ended", "ada"), 1);
    let mut third = browser(&server, "ada");
    let ended = desk.json("DELETE", "/api/v1/sessions", &json!({})).expect(200).json();
    assert_eq!(ended["ended"], 1);
    third.get_json("/api/v1/users/me").expect(401);
    desk.get_json("/api/v1/users/me").expect(200);
}

/// PRI-03: nothing of a deleted account signs in, and its sessions are dead.
#[test]
fn a_person_deletes_the_own_account_after_a_fresh_proof() {
    let server = Server::start();
    let id = server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    later(&server);
    refuses(ada.json("DELETE", "/api/v1/users/me", &json!({})), 403, "step_up_required");
    ada.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
    ada.json("DELETE", "/api/v1/users/me", &json!({})).expect(204);
    ada.get_json("/api/v1/users/me").expect(401);
    assert!(server.app().accounts.user(&id).is_none());
    let login = json!({"username": "ada", "password": PASSWORD});
    server.client().post("/api/v1/auth/login/api", login).expect(401);
    assert_eq!(events(&server, "user.deleted", "ada"), 1);
}

/// ADM-03: the last owner and the last administrator stay.
#[test]
fn the_last_owner_and_the_last_admin_cannot_leave() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("ada", Role::Admin, &[]);
    let mut olga = program(&server, "olga", None);
    refuses(olga.json("DELETE", "/api/v1/users/me", &json!({})), 409, "last_owner");
    let server = Server::start();
    server.add_user("ada", Role::Admin, &[]);
    let mut ada = program(&server, "ada", None);
    refuses(ada.json("DELETE", "/api/v1/users/me", &json!({})), 409, "last_admin");
}

#[test]
fn the_own_activity_is_paged_and_holds_nothing_of_others() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    server.add_user("bob", Role::Member, &[]);
    browser(&server, "bob");
    let mut ada = program(&server, "ada", None);
    for name in ["A", "B", "C"] {
        ada.json("PATCH", "/api/v1/users/me", &json!({"display_name": name})).expect(200);
    }
    let first = ada.get_json("/api/v1/users/me/activity?limit=2").expect(200).json();
    assert_eq!(first["events"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = ada.get_json(&format!("/api/v1/users/me/activity?limit=200&cursor={cursor}")).json();
    assert!(second["events"].as_array().unwrap().iter().all(|event| event["by"] == "ada"), "{second}");
    for limit in ["0", "201", "x", "-1"] {
        let answer = ada.get_json(&format!("/api/v1/users/me/activity?limit={limit}"));
        refuses(answer, 422, "invalid_value");
    }
}

/// WEB-01, WEB-02: a page's form counts only with the token of its own session.
#[test]
fn forms_need_the_token_of_their_session() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = browser(&server, "ada");
    ada.headers.clear();
    let token = ada.get("/account").expect(200).input("csrf").unwrap();
    let fields = [("display_name", "Eve"), ("email", "")];
    ada.form("/account", &fields).expect(403);
    let mut bob = browser(&server, "ada");
    bob.headers.clear();
    bob.form("/account", &[("csrf", &token), ("display_name", "Eve"), ("email", "")]).expect(403);
    leads_to(
        ada.form("/account", &[("csrf", &token), ("display_name", "Ada"), ("email", "")]),
        "/account?done=saved",
    );
    assert!(ada.get("/account?done=saved").expect(200).text().contains("Saved."));
}

#[test]
fn every_page_of_the_account_shows_and_works() {
    let server = Server::start();
    server.set_rules(&[
        "allow one_factor domain=photos.home.localhost",
        "deny domain=cellar.home.localhost",
        "allow two_factor domain=*.home.localhost",
    ]);
    server.add_user("ada", Role::Member, &["family"]);
    let mut ada = browser(&server, "ada");
    let home = ada.get("/").expect(200).text();
    assert!(home.contains("https://photos.home.localhost/") && !home.contains("cellar"), "{home}");
    for (path, text) in [
        ("/account", "ada@example.org"),
        ("/account/security", "Add an authenticator app"),
        ("/account/sessions", "This device"),
        ("/account/activity", "You signed in."),
        ("/account/delete", "Type ada to confirm"),
        ("/account/totp", "Code from the app"),
    ] {
        let page = ada.get(path).expect(200).text();
        assert!(page.contains(text), "{path}: {page}");
    }
    let bad = ada.form("/account", &[("display_name", ""), ("email", "x")]).expect(422).text();
    assert!(bad.contains("A display name has 1 to 100 characters."));
    ada.form("/account/delete", &[("confirm_username", "eve")]).expect(422);
    let fields = [("current_password", "wrong"), ("new_password", NEW_PASSWORD)];
    let wrong = ada.form("/account/password", &fields).expect(422).text();
    assert!(wrong.contains("That is not your current password."));
    let fields = [("current_password", PASSWORD), ("new_password", "short")];
    ada.form("/account/password", &fields).expect(422);
}

/// SES-02: the page flow of enrolment gives a new session that stands on two factors.
#[test]
fn the_pages_add_an_app_show_codes_once_and_remove_it() {
    let server = Server::start();
    let id = server.add_user("ada", Role::Member, &[]);
    let mut ada = browser(&server, "ada");
    ada.headers.clear();
    let page = ada.get("/account/totp").expect(200);
    let token = page.input("csrf").unwrap();
    let text = page.text();
    let at = text.find("otpauth://").unwrap();
    let secret = text[at..].split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let authenticator = Authenticator::new(&secret, server.clock.clone());
    let wrong = ada.form("/account/totp", &[("csrf", &token), ("code", "000000")]).expect(422).text();
    assert!(wrong.contains(&secret), "the same secret is shown again");
    let before = ada.cookie("dw").unwrap();
    let codes = ada.form("/account/totp", &[("csrf", &token), ("code", &authenticator.code())]).expect(200);
    assert!(codes.text().contains("shown only now"));
    assert_ne!(ada.cookie("dw").unwrap(), before);
    let token = ada.get("/account/security").expect(200).input("csrf").unwrap();
    ada.form("/account/recovery-codes", &[("csrf", &token)]).expect(200);
    let token = ada.get("/account/security").expect(200).input("csrf").unwrap();
    later(&server);
    leads_to(ada.form("/account/totp/remove", &[("csrf", &token)]), "/step-up?next=%2Faccount%2Fsecurity");
    let page = ada.get("/step-up?next=/account/security").expect(200);
    let fields = [
        ("csrf", page.input("csrf").unwrap()),
        ("next", "/account/security".to_owned()),
        ("password", PASSWORD.to_owned()),
        ("code", authenticator.next_code()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
    leads_to(ada.form("/step-up", &fields), "/account/security");
    let token = ada.get("/account/security").expect(200).input("csrf").unwrap();
    let done = ada.form("/account/totp/remove", &[("csrf", &token)]);
    leads_to(done, "/account/security?done=totp-removed");
    assert!(!server.app().accounts.user(&id).unwrap().has_totp);
}

#[test]
fn the_pages_change_the_password_and_end_sessions() {
    let server = Server::start();
    let id = server.add_user("ada", Role::Member, &[]);
    let mut ada = browser(&server, "ada");
    browser(&server, "ada");
    ada.headers.clear();
    let token = ada.get("/account/sessions").expect(200).input("csrf").unwrap();
    let other = ada.get("/account/sessions").input("handle").unwrap();
    let end = ada.form("/account/sessions/end", &[("csrf", &token), ("handle", &other)]);
    leads_to(end, "/account/sessions?done=ended");
    let others = ada.form("/account/sessions/end-others", &[("csrf", &token)]);
    leads_to(others, "/account/sessions?done=others-ended");
    assert_eq!(server.app().sessions.list(&id).unwrap().len(), 1);
    let fields = [("csrf", token.as_str()), ("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    leads_to(ada.form("/account/password", &fields), "/account/security?done=password");
    ada.get("/account/security?done=password").expect(200);
    let token = ada.get("/account/delete").expect(200).input("csrf").unwrap();
    let gone = ada.form("/account/delete", &[("csrf", &token), ("confirm_username", "ada")]).expect(200);
    assert!(gone.text().contains("signed out everywhere"));
    assert!(ada.cookie("dw").is_none());
    assert!(server.app().accounts.user(&id).is_none());
}

/// RES-04: one browser cannot fill the disk with events; looking stays free.
#[test]
fn one_browser_changes_only_so_much_at_a_time() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = browser(&server, "ada");
    let mut refused = 0;
    for number in 0..310 {
        let name = json!({"display_name": format!("Ada {number}")});
        let answer = ada.json("PATCH", "/api/v1/users/me", &name);
        refused += usize::from(answer.status == 429);
    }
    assert!((5..=15).contains(&refused), "{refused}");
    ada.get("/api/v1/users/me").expect(200);
    server.clock.advance(Duration::from_secs(300));
    ada.json("PATCH", "/api/v1/users/me", &json!({"display_name": "Ada"})).expect(200);
}
