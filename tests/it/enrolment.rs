//! A secret that waits for its first code belongs to whoever asked for it.

use doorward::accounts::enrolment::Asker;
use doorward::accounts::records::{PendingTotpRecord, Role};
use doorward::accounts::users::{AccountError, SecondFactorPolicy};
use doorward::kernel::ids::{SessionId, UserId};
use doorward::kernel::time::{Clock as _, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, Client, PASSWORD, Server, in_parallel};

fn server() -> Server {
    Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone)
}

/// Signs in by the API and returns the waiting sign-in with its secret.
fn begin(server: &Server) -> (Value, Authenticator) {
    let body = json!({"username": "ada", "password": PASSWORD});
    let answer = server.client().post("/api/v1/auth/login/api", body).expect(200).json();
    assert_eq!(answer["status"], "mfa_enrolment_required");
    let secret = answer["totp"]["secret"].as_str().unwrap().to_owned();
    (answer["pending_token"].clone(), Authenticator::new(&secret, server.clock.clone()))
}

fn confirm(server: &Server, token: &Value, code: &str) -> Answer {
    server.client().post("/api/v1/auth/mfa/api", json!({"pending_token": token, "otp": code}))
}

/// Signs in by the pages and returns the browser with the secret it is shown.
fn begin_in_browser(server: &Server) -> (Client, String) {
    let mut client = server.client();
    client.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let secret = shown(&client.get("/signin/enrol").expect(200));
    (client, secret)
}

fn shown(page: &Answer) -> String {
    let text = page.text();
    let rest = text.split("secret=").nth(1).unwrap_or_else(|| panic!("no secret: {text}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// OTP-01, OTP-02: who knows only the password learns nothing of the secret that the owner is enrolling, and cannot
/// take it or confirm it.
#[test]
fn two_sign_ins_that_wait_have_two_secrets() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let (owner, owners_app) = begin(&server);
    let (thief, thiefs_app) = begin(&server);
    assert_ne!(owners_app.code(), thiefs_app.code(), "the thief was shown the owner's secret");
    assert_eq!(confirm(&server, &thief, &owners_app.code()).expect(401).code(), "invalid_code");
    assert_eq!(confirm(&server, &owner, &thiefs_app.code()).expect(401).code(), "invalid_code");
    confirm(&server, &owner, &owners_app.code()).expect(200);
}

/// OTP-02: the same for browsers; each is shown its own secret again.
#[test]
fn two_browsers_that_wait_have_two_secrets() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let (mut owner, owners) = begin_in_browser(&server);
    let (mut thief, thiefs) = begin_in_browser(&server);
    assert_ne!(owners, thiefs);
    assert_eq!(shown(&owner.get("/signin/enrol").expect(200)), owners);
    let code = Authenticator::new(&owners, server.clock.clone()).code();
    let wrong = thief.form("/signin/enrol", &[("code", &code)]).expect(401);
    assert_eq!(shown(&wrong), thiefs);
    owner.form("/signin/enrol", &[("code", &code)]).expect(200);
    assert!(owner.cookie("dw").is_some());
    // The other one is told, and is shown no secret any more.
    for answer in [thief.get("/signin/enrol"), thief.form("/signin/enrol", &[("code", &code)])] {
        let text = answer.text();
        assert!(!text.contains("secret="), "{text}");
    }
    assert!(thief.cookie("dw").is_none());
}

/// GEN-03, OTP-02, REF-07: of many that wait the first confirmation wins, and ends every other one.
#[test]
fn of_many_waiting_secrets_one_is_confirmed() {
    let server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let waiting: Vec<_> = (0..24).map(|_| begin(&server)).collect();
    let client = server.client();
    let answers = in_parallel(waiting.len(), move |index| {
        let (token, app) = &waiting[index];
        let body = json!({"pending_token": token, "otp": app.code()});
        let answer = client.clone().post("/api/v1/auth/mfa/api", body);
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    });
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1, "{answers:?}");
    let told = |(status, code): &&(u16, String)| {
        matches!((status, code.as_str()), (409, "enrolled_elsewhere") | (401, "sign_in_expired"))
    };
    assert_eq!(answers.iter().filter(told).count(), 23, "{answers:?}");
    assert!(server.app().accounts.user(&ada).unwrap().has_totp);
}

/// OTP-02: a secret belongs to the session that asked, and a confirmed one lets the others die.
#[test]
fn a_session_confirms_its_own_secret_alone() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let begin = || {
        let body = json!({"username": "ada", "password": PASSWORD});
        let tokens = server.client().post("/api/v1/auth/login/api", body).expect(200).json();
        let mut client = server.client().with_bearer(tokens["access_token"].as_str().unwrap());
        let begun = client.post("/api/v1/users/me/totp", json!({})).expect(201).json();
        let secret = begun["totp"]["secret"].as_str().or(begun["secret"].as_str()).unwrap().to_owned();
        (client, Authenticator::new(&secret, server.clock.clone()))
    };
    let (mut one, app_of_one) = begin();
    let (mut other, app_of_other) = begin();
    let path = "/api/v1/users/me/totp/confirm";
    one.post(path, json!({"otp": app_of_other.code()})).expect(422);
    other.post(path, json!({"otp": app_of_one.code()})).expect(422);
    one.post(path, json!({"otp": app_of_one.code()})).expect(200);
    // The other one has proven the password alone: it has ended (REF-07).
    let late = other.post(path, json!({"otp": app_of_other.code()}));
    assert_eq!(late.expect(401).code(), "token_revoked");
}

/// OTP-02: of two sessions that replace the app at once the second one is told that it came too late.
#[test]
fn the_second_of_two_replacements_is_told() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    server.enrol_totp(ada);
    let enrolment = |index: u8| {
        let asker = Asker::session(&SessionId([index; 16]));
        let begun = server.block_on(server.app().accounts.begin_totp(ada, asker, "Test")).unwrap();
        (asker, Authenticator::new(&begun.secret_base32, server.clock.clone()).code())
    };
    let ((one, code_of_one), (other, code_of_other)) = (enrolment(1), enrolment(2));
    let confirm =
        |asker, code: &str| server.block_on(server.app().accounts.confirm_totp(ada, asker, code, |_, _| {}));
    assert!(confirm(one, &code_of_one).unwrap().is_some());
    assert!(matches!(confirm(other, &code_of_other), Err(AccountError::EnrolledElsewhere)));
}

/// The secret that a registration answers with stays good for the first code, whichever way its owner goes on.
#[test]
fn the_secret_of_a_registration_is_confirmed_by_the_first_sign_in() {
    let server = server();
    let body = json!({"username": "ada", "password": PASSWORD});
    let registered = server.client().post("/api/v1/users", body).expect(201).json();
    let app = Authenticator::new(registered["totp"]["secret"].as_str().unwrap(), server.clock.clone());
    let (waiting, _) = begin(&server);
    confirm(&server, &waiting, &app.code()).expect(200);
}

/// OTP-02: an unconfirmed secret dies in ten minutes.
#[test]
fn an_unconfirmed_secret_dies_in_ten_minutes() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let session = server.web_session(ada);
    let mut client = session.client(&server);
    client.headers.clear();
    let page = client.get("/account/totp").expect(200);
    let (csrf, secret) = (page.input("csrf").unwrap(), shown(&page));
    server.clock.advance(std::time::Duration::from_secs(590));
    assert_eq!(shown(&client.get("/account/totp").expect(200)), secret);
    let app = Authenticator::new(&secret, server.clock.clone());
    server.clock.advance(std::time::Duration::from_secs(11));
    let late = client.form("/account/totp", &[("csrf", &csrf), ("code", &app.code())]);
    assert_ne!(late.status, 200);
    assert!(!server.app().accounts.user(&ada).unwrap().has_totp);
}

/// RES-03, OTP-02: there are never many of one account, they do not outlive its second factor, and they are purged.
#[test]
fn unconfirmed_secrets_of_one_account_are_few() {
    let server = Server::start();
    let (ada, eve) = (server.add_bare_user("ada", Role::Member), server.add_bare_user("eve", Role::Member));
    let begin = |user, index: u32| {
        let asker = Asker::waiting_sign_in(&index.to_string());
        server.block_on(server.app().accounts.begin_totp(user, asker, "Test")).unwrap()
    };
    let waiting = |user: UserId| {
        server.app().store().scan::<PendingTotpRecord>(user.as_bytes(), None, 1000).unwrap().len()
    };
    begin(eve, 0);
    for index in 0..100 {
        begin(ada, index);
    }
    assert_eq!((waiting(ada), waiting(eve)), (64, 1));
    let removed = server.app().accounts.remove_totp(ada, |_, _| {});
    server.block_on(removed).unwrap();
    assert_eq!((waiting(ada), waiting(eve)), (0, 1));
    server.clock.advance(std::time::Duration::from_secs(600));
    let now = doorward::kernel::time::Clock::now(&*server.clock);
    server.block_on(server.app().store().purge::<PendingTotpRecord>(now, 500)).unwrap();
    assert_eq!(waiting(eve), 0);
}

/// GEN-03, PWD-09: who signed in with the old password does not confirm an authenticator app over a reset, whichever way
/// the two meet.
#[test]
fn an_enrolment_is_not_confirmed_over_a_reset() {
    let server = Server::start_with(|options| {
        crate::harness::lift_limits(options);
        options.second_factor = SecondFactorPolicy::Everyone;
    });
    let ada = server.add_user("ada", Role::Member, &[]);
    for round in 0..25_u64 {
        let (token, app) = begin(&server);
        let (client, code) = (server.client(), app.code());
        let thief = std::thread::spawn(move || {
            let body = json!({"pending_token": token, "otp": code});
            client.clone().post("/api/v1/auth/mfa/api", body).status
        });
        std::thread::sleep(std::time::Duration::from_micros(round * 400));
        let doorward = server.app();
        server.clock.advance(std::time::Duration::from_secs(1));
        let was_enrolled = std::sync::atomic::AtomicBool::new(false);
        let phc = doorward.store().get::<doorward::accounts::records::PasswordRecord>(ada.as_bytes());
        let phc = phc.unwrap().unwrap().value.phc;
        let reset = doorward.accounts.set_password(ada, &phc, |batch, record| {
            was_enrolled.store(record.has_totp, std::sync::atomic::Ordering::SeqCst);
            doorward.sign_in.stage_end_everything(batch, ada);
        });
        server.block_on(reset).unwrap();
        let status = thief.join().unwrap();
        let is_enrolled = doorward.accounts.user(&ada).unwrap().has_totp;
        let was_enrolled = was_enrolled.into_inner();
        assert_eq!(is_enrolled, was_enrolled, "round {round}: enrolled over the reset ({status})");
        assert!(doorward.sessions.list(&ada).unwrap().is_empty(), "round {round}: {status}");
        if is_enrolled {
            server.block_on(doorward.accounts.reset_second_factor(ada, |_| Ok(()), |_, _| {})).unwrap();
        }
    }
}

/// GEN-03, PWD-09: the same without a race, also for an account that was disabled.
#[test]
fn a_void_proof_confirms_nothing() {
    let server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let accounts = &server.app().accounts;
    let enrolment = |index: u8, epoch| {
        let asker = Asker::waiting_sign_in(&index.to_string()).as_of(epoch);
        let begun = server.block_on(accounts.begin_totp(ada, asker, "Test")).unwrap();
        (asker, Authenticator::new(&begun.secret_base32, server.clock.clone()).code())
    };
    let epoch = || accounts.user(&ada).unwrap().not_before;
    let (old, code_of_old) = enrolment(1, epoch());
    server.block_on(accounts.set_password(ada, "$argon2id$", |_, _| {})).unwrap();
    let (new, code_of_new) = enrolment(2, epoch());
    let confirm = |asker, code: &str| server.block_on(accounts.confirm_totp(ada, asker, code, |_, _| {}));
    assert!(matches!(confirm(old, &code_of_old), Err(AccountError::ProofIsVoid)));
    server.disable(ada);
    assert!(matches!(confirm(new, &code_of_new), Err(AccountError::ProofIsVoid)));
    assert!(!accounts.user(&ada).unwrap().has_totp);
}

/// OTP-10: recovery codes that were made are shown, also where no session can begin; the factor is in use by then.
#[test]
fn codes_are_shown_even_if_no_session_can_begin() {
    let server = server();
    for is_page in [false, true] {
        let name = if is_page { "bob" } else { "ada" };
        let id = server.add_user(name, Role::Member, &[]);
        let mut client = server.client();
        let (token, secret) = if is_page {
            client.form("/signin", &[("username", name), ("password", PASSWORD)]).expect(303);
            (Value::Null, shown(&client.get("/signin/enrol").expect(200)))
        } else {
            let body = json!({"username": name, "password": PASSWORD});
            let answer = client.post("/api/v1/auth/login/api", body).expect(200).json();
            (answer["pending_token"].clone(), answer["totp"]["secret"].as_str().unwrap().to_owned())
        };
        let right = server.clock.now();
        server.clock.set_wall(Timestamp::from_secs(right.as_secs() - 86_400));
        let code = Authenticator::new(&secret, server.clock.clone()).code();
        if is_page {
            let page = client.form("/signin/enrol", &[("code", &code)]).expect(200).text();
            assert_eq!(page.matches("<li><code>").count(), 10, "{page}");
            assert!(client.cookie("dw").is_none());
        } else {
            let answer = confirm(&server, &token, &code).expect(200).json();
            assert_eq!(answer["recovery_codes"].as_array().unwrap().len(), 10, "{answer}");
            assert_eq!((&answer["status"], &answer["access_token"]), (&json!("enrolled"), &Value::Null));
        }
        assert!(server.app().accounts.user(&id).unwrap().has_totp);
        server.clock.set_wall(right);
    }
}
