//! Attacks on the brakes themselves: full tables, guesses at the same moment, set clocks, and what the answers tell.

use std::time::Duration;

use doorward::accounts::records::{Role, TotpRecord};
use doorward::accounts::users::SecondFactorPolicy;
use doorward::kernel::ids::UserId;
use doorward::kernel::time::{Clock as _, Timestamp};
use doorward::sign_in::lockout::SuspensionRecord;
use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, PASSWORD, Server, in_parallel, lift_limits, until};
use crate::my_account::{browser_with, events, program};

const WRONG: &str = "wrong password 123";

fn login(server: &Server, ip: &str, name: &str, password: &str) -> Answer {
    let mut client = server.client().with_header("X-Forwarded-For", ip);
    client.post("/api/v1/auth/login/api", json!({"username": name, "password": password}))
}

fn fail(server: &Server, ip: &str, name: &str) -> Answer {
    let answer = login(server, ip, name, WRONG).expect(401);
    assert_eq!(answer.code(), "invalid_credentials");
    answer
}

/// Counts failures of an account, each at a place of its own.
fn failures_of(server: &Server, user: UserId, count: u32) {
    let lockout = server.app().sign_in.lockout();
    for place in 0..count {
        lockout.note_failure(lockout.subject(Some(user), ""), &place.to_be_bytes());
    }
}

fn step_clock(server: &Server, hours: i64) {
    let millis = server.clock.now().as_millis().saturating_add_signed(hours * 3_600_000);
    server.clock.set_wall(Timestamp::from_millis(millis));
}

fn rows(server: &Server) -> usize {
    server.app().store().scan::<SuspensionRecord>(&[], None, 100_000).unwrap().len()
}

/// LIM-10: who fills the table of failures with names that are nobody's switches no brake off: a new failure makes room
/// among what matters least, and what has earned a delay keeps it.
#[test]
fn a_full_table_of_failures_switches_no_brake_off() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let eve = server.add_user("eve", Role::Member, &[]);
    failures_of(&server, eve, 14);
    let lockout = server.app().sign_in.lockout();
    for number in 0..70_000_u32 {
        lockout.note_failure(lockout.subject(None, &format!("nobody{number}")), b"one place");
    }
    assert_eq!(login(&server, "192.0.2.1", "eve", PASSWORD).expect(429).code(), "rate_limited");
    for place in 0..10 {
        fail(&server, &format!("198.51.100.{place}"), "ada");
    }
    assert!(lockout.delay(lockout.subject(Some(ada), "")).is_some());
    assert_eq!(login(&server, "192.0.2.1", "ada", PASSWORD).expect(429).code(), "rate_limited");
}

/// LIM-03, LIM-04: of guesses at one account from many places at the same moment no more are judged than one by one.
#[test]
fn parallel_places_do_not_slip_past_the_delay_of_an_account() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    failures_of(&server, ada, 14);
    server.clock.advance(Duration::from_secs(60));
    let client = server.client();
    let guess = move |index: usize, password: &str| {
        let mut client = client.clone().with_header("X-Forwarded-For", &format!("198.51.100.{index}"));
        client.post("/api/v1/auth/login/api", json!({"username": "ada", "password": password})).status
    };
    let wrong = guess.clone();
    let answers = in_parallel(8, move |index| wrong(index, WRONG));
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
    // Right ones wait for each other and all get in.
    server.clock.advance(Duration::from_secs(120));
    let answers = in_parallel(8, move |index| guess(index, PASSWORD));
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
}

/// LIM-05: after a hundred failures in a row, in however many days and processes, a password alone opens nothing: only a
/// known device or an unlock helps.
#[test]
fn a_hundred_failures_in_a_row_need_a_known_device_or_an_unlock() {
    let server = Server::start();
    let (ada, eve) = (server.add_user("ada", Role::Member, &[]), server.add_user("eve", Role::Member, &[]));
    let mut known = server.client();
    known.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    known.cookies.retain(|(name, _)| name == "dw_device");
    for user in [ada, eve] {
        failures_of(&server, user, 60);
    }
    // A pause of a day begins nothing anew.
    server.clock.advance(Duration::from_secs(25 * 3600));
    for user in [ada, eve] {
        failures_of(&server, user, 40);
    }
    let mut server = server;
    for _ in 0..2 {
        assert_eq!(login(&server, "192.0.2.1", "ada", PASSWORD).expect(429).code(), "rate_limited");
        server.clock.advance(Duration::from_secs(25 * 3600));
        server.block_on(server.app().sign_in.sweep()).unwrap();
        assert_eq!(login(&server, "192.0.2.1", "ada", PASSWORD).expect(429).code(), "rate_limited");
        server = server.restart();
    }
    known.address = server.address;
    known.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    login(&server, "192.0.2.1", "ada", PASSWORD).expect(200);
    let app = server.app();
    let mut batch = app.store().batch();
    app.sign_in.lockout().stage_lift(&mut batch, eve, None);
    server.block_on(app.store().commit(batch)).unwrap();
    login(&server, "192.0.2.1", "eve", PASSWORD).expect(200);
}

/// RES-03: names that are nobody's fill neither memory nor disk with suspensions, and free nobody.
#[test]
fn suspensions_of_nobody_are_few() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    for _ in 0..5 {
        fail(&server, "203.0.113.7", "ada");
    }
    let app = server.app();
    let lockout = app.sign_in.lockout();
    let until = server.clock.now().plus(Duration::from_secs(50_000));
    for hundred in 0..200 {
        let mut batch = app.store().batch();
        for number in 0..100 {
            let subject = lockout.subject(None, &format!("nobody{hundred}.{number}"));
            lockout.stage_suspend(&mut batch, subject, None, b"one place", String::new(), until);
        }
        server.block_on(app.store().commit(batch)).unwrap();
    }
    server.block_on(app.sign_in.sweep()).unwrap();
    assert!(lockout.len() < 17_000, "{}", lockout.len());
    assert!(rows(&server) < 17_000, "{}", rows(&server));
    assert_eq!(login(&server, "203.0.113.7", "ada", PASSWORD).expect(429).code(), "suspended");
    // The newest is there, also after a restart.
    let server = server.restart();
    let lockout = server.app().sign_in.lockout();
    assert!(lockout.suspended_until(lockout.subject(None, "nobody199.99"), b"one place").is_some());
    assert_eq!(login(&server, "203.0.113.7", "ada", PASSWORD).expect(429).code(), "suspended");
}

/// LIM-09: setting the clock of the machine forward frees nobody, not even after a restart, and setting it back makes no
/// suspension longer.
#[test]
fn a_step_of_the_clock_neither_frees_nor_extends_a_suspension() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    for _ in 0..5 {
        fail(&server, "203.0.113.7", "ada");
    }
    step_clock(&server, 13);
    let refused = login(&server, "203.0.113.7", "ada", PASSWORD).expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("suspended", Some("43200")));
    server.block_on(server.app().sign_in.sweep()).unwrap();
    let server = server.restart();
    assert_eq!(login(&server, "203.0.113.7", "ada", PASSWORD).expect(429).code(), "suspended");
    assert_eq!(rows(&server), 1);
    step_clock(&server, -24);
    let lockout = server.app().sign_in.lockout();
    assert_eq!(lockout.len(), 1);
    server.clock.advance(Duration::from_secs(12 * 3600 + 1));
    assert_ne!(login(&server, "203.0.113.7", "ada", PASSWORD).code(), "suspended");
    server.block_on(server.app().sign_in.sweep()).unwrap();
    assert!(server.app().sign_in.lockout().is_empty());
}

/// ENU-01: two attempts do not tell that a name and an e-mail address belong together.
#[test]
fn a_refusal_does_not_join_a_name_and_an_address() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut told = Vec::new();
    for names in [["ada", "ada@example.org"], ["nobody", "nobody@example.org"]] {
        for name in names {
            let answer = fail(&server, "203.0.113.7", name);
            told.push(["ratelimit", "ratelimit-policy"].map(|field| answer.header(field).map(str::to_owned)));
        }
    }
    assert_eq!(told[..2], told[2..]);
    // Whoever is suspended is told for how long.
    for _ in 0..3 {
        fail(&server, "203.0.113.7", "ada");
    }
    assert_eq!(
        login(&server, "203.0.113.7", "ada", PASSWORD).expect(429).header("retry-after"),
        Some("43200")
    );
    let mut browser = server.client().with_header("X-Forwarded-For", "203.0.113.7");
    browser.headers.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
    let page = browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(429);
    assert!(page.text().contains("data-countdown"), "{}", page.text());
}

/// OTP-06: wrong codes at the same moment are all counted.
#[test]
fn parallel_wrong_codes_are_all_counted() {
    const GUESSES: usize = 12;
    let server = Server::start_with(lift_limits);
    let ada = server.add_user("ada", Role::Member, &[]);
    server.enrol_totp(ada);
    let waiting: Vec<Value> = (0..GUESSES)
        .map(|_| login(&server, "203.0.113.7", "ada", PASSWORD).expect(200).json()["pending_token"].clone())
        .collect();
    let client = server.client();
    let answers = in_parallel(GUESSES, move |index| {
        let body = json!({"pending_token": waiting[index], "otp": "000000"});
        client.clone().post("/api/v1/auth/mfa/api", body).status
    });
    assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    let record = server.app().store().get::<TotpRecord>(ada.as_bytes()).unwrap().unwrap();
    assert_eq!(record.value.failures as usize, GUESSES);
}

/// Signs somebody in and changes the account while the password is being judged; the answer must open nothing.
#[track_caller]
fn change_during_a_sign_in(policy: SecondFactorPolicy, change: impl Fn(&Server, UserId)) {
    let server = Server::start_with(|options| {
        lift_limits(options);
        (options.hashing.passes, options.hashing.memory_kib) = (10, 65_536);
        options.second_factor = policy;
    });
    // Where the machine was so busy that the password was judged before the change was written, there was no race.
    let is_met = (0..10).any(|round| {
        let name = format!("ada{round}");
        let user = server.add_user(&name, Role::Member, &[]);
        let mut client = server.client();
        let done = server.app().hashing().done;
        let waiting = std::thread::spawn(move || {
            client.post("/api/v1/auth/login/api", json!({"username": name, "password": PASSWORD}))
        });
        // In the middle of the hashing.
        until("the password is judged", || {
            let hasher = server.app().hashing();
            hasher.running > 0 || hasher.done > done
        });
        change(&server, user);
        let is_met = server.app().hashing().done == done;
        let answer = waiting.join().unwrap();
        assert!(!is_met || answer.json().get("access_token").is_none(), "{}", answer.text());
        is_met
    });
    assert!(is_met, "the race was never met");
}

/// GEN-03: a second factor that is confirmed while a password is being judged is asked for.
#[test]
fn a_second_factor_confirmed_during_a_sign_in_is_asked_for() {
    change_during_a_sign_in(SecondFactorPolicy::Optional, |server, user| _ = server.enrol_totp(user));
}

/// GEN-03: the same for a role that must have a second factor.
#[test]
fn a_role_given_during_a_sign_in_brings_its_policy() {
    change_during_a_sign_in(SecondFactorPolicy::Admins, |server, user| {
        let change = server.app().accounts.change(
            user,
            |record| {
                record.role = Role::Admin;
                Ok(())
            },
            |_, _| {},
        );
        server.block_on(change).unwrap();
    });
}

/// AUD-01: a recovery code that is spent in a step-up is told, in a browser and by the API.
#[test]
fn a_recovery_code_of_a_step_up_is_told() {
    let server = Server::start_with(lift_limits);
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, codes) = server.enrol_totp(ada);
    let mut client = program(&server, "ada", Some(&authenticator.code()));
    client.post("/api/v1/auth/step-up", json!({"password": PASSWORD, "otp": codes[0]})).expect(204);
    assert_eq!(events(&server, "recovery_code.used", "ada"), 1);
    let mut browser = browser_with(&server, "ada", PASSWORD, Some(&authenticator.next_code()));
    browser.post("/api/v1/auth/step-up", json!({"password": PASSWORD, "otp": codes[1]})).expect(200);
    assert_eq!(events(&server, "recovery_code.used", "ada"), 2);
}

/// AUD-01: wrong codes of an enrolment that a sign-in demands are told.
#[test]
fn wrong_codes_of_a_forced_enrolment_are_told() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    server.add_user("ada", Role::Member, &[]);
    let begun = login(&server, "203.0.113.7", "ada", PASSWORD).expect(200).json();
    let body = json!({"pending_token": begun["pending_token"], "otp": "000000"});
    let app = Authenticator::new(begun["totp"]["secret"].as_str().unwrap(), server.clock.clone());
    assert_ne!(app.code(), "000000");
    server.client().post("/api/v1/auth/mfa/api", body).expect(401);
    assert_eq!(events(&server, "sign_in.second_factor_failed", "ada"), 1);
}

/// AUD-01, AUD-06: attempts that are turned away are told, once a minute for a place and account.
#[test]
fn limited_attempts_are_told_once_a_minute() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    failures_of(&server, ada, 18);
    for _ in 0..3 {
        login(&server, "203.0.113.7", "ada", PASSWORD).expect(429);
    }
    assert_eq!(events(&server, "sign_in.limited", "ada"), 1);
    login(&server, "203.0.113.8", "ada", PASSWORD).expect(429);
    assert_eq!(events(&server, "sign_in.limited", "ada"), 2);
    server.clock.advance(Duration::from_secs(61));
    login(&server, "203.0.113.7", "ada", PASSWORD).expect(429);
    assert_eq!(events(&server, "sign_in.limited", "ada"), 3);
}

/// LIM-05: an administrator unlocks an account with a hundred failures, also if it is suspended nowhere.
#[test]
fn an_administrator_unlocks_an_account_that_is_suspended_nowhere() {
    let server = Server::start_with(lift_limits);
    server.add_user("olga", Role::Owner, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let path = format!("/api/v1/admin/users/{ada}/lift");
    olga.post(&path, json!({})).expect(404);
    failures_of(&server, ada, 100);
    assert_eq!(login(&server, "192.0.2.1", "ada", PASSWORD).expect(429).code(), "rate_limited");
    olga.post(&path, json!({})).expect(204);
    login(&server, "192.0.2.1", "ada", PASSWORD).expect(200);
    assert_eq!(events(&server, "suspension.lifted", "ada"), 1);
}
