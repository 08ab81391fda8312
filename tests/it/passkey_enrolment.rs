//! A passkey in place of an authenticator app, where a sign-in demands a second factor before it goes on; attacks first.

use doorward::accounts::records::{Role, UserRecord};
use doorward::accounts::users::SecondFactorPolicy;
use doorward::audit::Filter;
use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, PASSWORD, Server, in_parallel, lift_limits};
use crate::passkeys::{events, options_of, sign_in};
use crate::software_key::{PRESENT, SoftwareKey};

const MFA: &str = "/api/v1/auth/mfa/api";

fn server() -> Server {
    let server = Server::start_with(|options| {
        lift_limits(options);
        options.second_factor = SecondFactorPolicy::Everyone;
    });
    server.add_user("ada", Role::Member, &[]);
    server.add_user("bob", Role::Member, &[]);
    server
}

/// The password is right, and a second factor has to be set up.
fn begin(server: &Server, name: &str) -> Value {
    let body = json!({"username": name, "password": PASSWORD});
    let answer = server.client().post("/api/v1/auth/login/api", body).expect(200).json();
    assert_eq!(answer["status"], "mfa_enrolment_required");
    answer
}

fn finish(server: &Server, waiting: &Value, credential: &Value) -> Answer {
    let body = json!({"pending_token": waiting["pending_token"], "passkey": credential});
    server.client().post(MFA, body)
}

/// PK-01, OTP-02: the challenge belongs to one waiting sign-in of one account, and answers nothing else.
#[test]
fn a_passkey_is_set_up_by_the_sign_in_that_was_asked_for_it() {
    let server = server();
    let (ada, again, bob) = (begin(&server, "ada"), begin(&server, "ada"), begin(&server, "bob"));
    let made = |of: &Value| SoftwareKey::new().create(&of["passkey_options"]);
    for (waiting, credential) in [(&ada, made(&again)), (&ada, made(&bob)), (&bob, made(&ada))] {
        assert_eq!(finish(&server, waiting, &credential).expect(401).code(), "invalid_passkey");
    }
    // A lie about where it was made is refused here as everywhere.
    let mut liar = SoftwareKey::new();
    liar.origin = "https://evil.example".to_owned();
    finish(&server, &again, &liar.create(&again["passkey_options"])).expect(401);
    // A session registers with a challenge of its own.
    let mut key = SoftwareKey::new();
    let answer = finish(&server, &bob, &key.create(&bob["passkey_options"])).expect(200).json();
    let mut bobs = server.client().with_bearer(answer["access_token"].as_str().unwrap());
    let body = json!({"name": "x", "credential": made(&ada)});
    assert_eq!(bobs.post("/api/v1/users/me/passkeys", body).expect(422).code(), "invalid_passkey");
    let options = bobs.post("/api/v1/users/me/passkeys/options", json!({})).expect(200).json();
    finish(&server, &ada, &SoftwareKey::new().create(&options)).expect(401);
    // Somebody else's passkey is nobody's second one.
    let mut copy = SoftwareKey::new();
    copy.id = key.id.clone();
    let taken = finish(&server, &ada, &copy.create(&ada["passkey_options"])).expect(409);
    assert_eq!(taken.code(), "passkey_known");
    assert_eq!(events(&server, "passkey.added"), 1);
}

/// GEN-03, REF-07: of everything that waits one sets up the first factor; it ends all others, and all sessions.
#[test]
fn of_many_that_wait_one_sets_up_the_first_factor() {
    let server = server();
    let waiting: Vec<Value> = (0..8).map(|_| begin(&server, "ada")).collect();
    let app = begin(&server, "ada");
    let bodies: Vec<Value> = waiting
        .iter()
        .map(|one| {
            let credential = SoftwareKey::new().create(&one["passkey_options"]);
            json!({"pending_token": one["pending_token"], "passkey": credential})
        })
        .collect();
    let client = server.client();
    let answers = in_parallel(8, move |index| client.clone().post(MFA, bodies[index].clone()).status);
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    let secret = app["totp"]["secret"].as_str().unwrap();
    let code = Authenticator::new(secret, server.clock.clone()).code();
    let late = json!({"pending_token": app["pending_token"], "otp": code});
    assert_ne!(server.client().post(MFA, late).status, 200);
    assert_eq!(events(&server, "passkey.added"), 1);
}

/// PWD-09: what was proven with a password that was reset meanwhile sets up nothing.
#[test]
fn a_password_that_was_reset_meanwhile_sets_up_nothing() {
    let server = server();
    let ada = begin(&server, "ada");
    let id = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let later = |record: &mut UserRecord| {
        record.not_before = record.not_before.plus(std::time::Duration::from_secs(1));
        Ok(())
    };
    server.block_on(server.app().accounts.change(id, later, |_, _| {})).unwrap();
    let credential = SoftwareKey::new().create(&ada["passkey_options"]);
    assert_eq!(finish(&server, &ada, &credential).expect(401).code(), "sign_in_expired");
    assert_eq!(events(&server, "passkey.added"), 0);
}

/// OTP-06: five refusals, and the password has to be typed again.
#[test]
fn a_waiting_sign_in_ends_after_five_refusals() {
    let server = server();
    let ada = begin(&server, "ada");
    for _ in 0..4 {
        assert_eq!(finish(&server, &ada, &nonsense()).expect(401).code(), "invalid_passkey");
    }
    assert_eq!(finish(&server, &ada, &nonsense()).expect(401).code(), "too_many_codes");
    let credential = SoftwareKey::new().create(&ada["passkey_options"]);
    assert_eq!(finish(&server, &ada, &credential).expect(401).code(), "sign_in_expired");
}

fn nonsense() -> Value {
    json!({"rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "AAAA"}})
}

/// A key that was only touched stands beside the password; one that made sure who is there is two factors by itself.
#[test]
fn it_signs_in_and_brings_recovery_codes() {
    let server = server();
    for (name, flags, amr) in [("ada", PRESENT, "pwd hwk mfa"), ("bob", PRESENT | 4, "pwd hwk user mfa")] {
        let waiting = begin(&server, name);
        let mut key = SoftwareKey::new();
        key.flags = flags;
        let answer = finish(&server, &waiting, &key.create(&waiting["passkey_options"])).expect(200).json();
        assert_eq!(answer["recovery_codes"].as_array().unwrap().len(), 10);
        let mut client = server.client().with_bearer(answer["access_token"].as_str().unwrap());
        let sessions = client.get_json("/api/v1/sessions").expect(200).json();
        let factors: Vec<&str> = sessions["sessions"][0]["factors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f.as_str().unwrap())
            .collect();
        assert_eq!(factors.join(" "), amr);
        sign_in(&server, &key).expect(if flags == PRESENT { 401 } else { 200 });
    }
}

/// The page offers both, and shows the recovery codes of either.
#[test]
fn the_page_offers_a_passkey_beside_the_app() {
    let server = server();
    let mut browser = server.client();
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let page = browser.get("/signin/enrol").expect(200);
    assert!(page.text().contains("otpauth://"), "the app is offered as well");
    browser.form("/signin/enrol", &[("credential", "nonsense")]).expect(401);
    let made = SoftwareKey::new().create(&options_of(&page)).to_string();
    let codes = browser.form("/signin/enrol", &[("credential", &made)]).expect(200).text();
    assert!(codes.contains("recovery codes"), "{codes}");
    let page = browser.get("/account/security").expect(200).text();
    assert!(page.contains("/account/passkeys/remove"), "{page}");
    // Where browsers refuse passkeys none is offered.
    let numbers = Server::start_with(|options| {
        options.second_factor = SecondFactorPolicy::Everyone;
        options.site.public_origin = Some("http://127.0.0.1".to_owned());
    });
    numbers.add_user("ada", Role::Member, &[]);
    let mut browser =
        numbers.client().with_header("Host", "127.0.0.1").with_header("Origin", "http://127.0.0.1");
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let page = browser.get("/signin/enrol").expect(200).text();
    assert!(page.contains("otpauth://") && !page.contains("data-passkey"), "{page}");
}

/// WEB-04, PK-05: asking for a passkey writes nothing; what the authenticator is told is kept with the first passkey.
#[test]
fn asking_for_a_passkey_writes_nothing() {
    let server = Server::start();
    let id = server.add_user("ada", Role::Member, &[]);
    let mut browser = server.client();
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let handle = |server: &Server| server.app().accounts.passkey_handle(id).unwrap();
    let one = options_of(&browser.get("/account/passkeys").expect(200));
    let two = options_of(&browser.get("/account/passkeys").expect(200));
    assert_eq!(handle(&server), None);
    assert_eq!(one["user"]["id"], two["user"]["id"]);
    assert_ne!(one["challenge"], two["challenge"]);
    let mut key = SoftwareKey::new();
    let made = key.create(&two).to_string();
    let csrf = browser.get("/account/passkeys").expect(200).input("csrf").unwrap();
    browser
        .form("/account/passkeys", &[("csrf", &csrf), ("name", "Phone"), ("credential", &made)])
        .expect(200);
    assert_eq!(handle(&server), Some(key.handle.clone()));
    let three = options_of(&browser.get("/account/passkeys").expect(200));
    assert_eq!(three["user"]["id"], two["user"]["id"]);
    assert_eq!(key.handle.len(), 64);
}

/// OTP-11, AUD-01: taking every second factor away is an event of its own, whatever there was.
#[test]
fn a_reset_of_the_second_factor_is_told_as_such() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let olga = server.add_user("olga", Role::Admin, &[]);
    let mut key = SoftwareKey::new();
    let mut adas = server.client().with_bearer(&server.access_token(ada));
    let options = adas.post("/api/v1/users/me/passkeys/options", json!({})).expect(200).json();
    let body = json!({"name": "Phone", "credential": key.create(&options)});
    adas.post("/api/v1/users/me/passkeys", body).expect(201);
    let mut olgas = server.client().with_bearer(&server.access_token(olga));
    olgas.post(&format!("/api/v1/admin/users/{ada}/reset-second-factor"), json!({})).expect(204);
    sign_in(&server, &key).expect(401);
    assert_eq!((events(&server, "second_factor.reset"), events(&server, "totp.removed")), (1, 0));
    let filter = Filter { kind_prefix: Some("second_factor.".to_owned()), ..Filter::default() };
    assert_eq!(server.app().audit.part(&filter, None, 10).unwrap().rows.len(), 1);
}
