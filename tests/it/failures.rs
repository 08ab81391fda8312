//! Failures that suspend nobody yet outlive a restart, so that stopping the server frees no guesser (LIM-05, LIM-09,
//! OTP-06).

use std::time::Duration;

use doorward::accounts::records::Role;
use doorward::sign_in::tally::FailureRecord;
use serde_json::json;

use crate::harness::{Answer, PASSWORD, Server};

fn login(server: &Server, ip: &str, name: &str, password: &str) -> Answer {
    let mut client = server.client().with_header("X-Forwarded-For", ip);
    client.post("/api/v1/auth/login/api", json!({"username": name, "password": password}))
}

fn fail(server: &Server, ip: &str, name: &str) {
    assert_eq!(login(server, ip, name, "wrong password 123").expect(401).code(), "invalid_credentials");
}

fn rows(server: &Server) -> usize {
    server.app().store().scan::<FailureRecord>(&[], None, 1000).unwrap().len()
}

/// LIM-04, LIM-09: four failures before a restart and one after it suspend the account for that place; also for a
/// name that is nobody's (LIM-07).
#[test]
fn failures_below_the_threshold_outlive_a_restart() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    for name in ["ada", "nobody"] {
        for _ in 0..4 {
            fail(&server, "203.0.113.7", name);
        }
    }
    fail(&server, "203.0.113.8", "ada");
    let server = server.restart();
    for name in ["ada", "nobody"] {
        fail(&server, "203.0.113.7", name);
        let refused = login(&server, "203.0.113.7", name, PASSWORD).expect(429);
        assert_eq!(refused.code(), "suspended", "{name}");
    }
    // Another place has its own count, and a success clears it.
    login(&server, "203.0.113.8", "ada", PASSWORD).expect(200);
    let server = server.restart();
    for _ in 0..4 {
        fail(&server, "203.0.113.8", "ada");
    }
    login(&server, "203.0.113.8", "ada", PASSWORD).expect(200);
}

/// LIM-05: the delay that an account has earned from everywhere does not end with a restart, and goes on growing.
#[test]
fn the_delay_of_an_account_outlives_a_restart() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    for place in 0..12 {
        server.clock.advance(Duration::from_secs(60));
        fail(&server, &format!("198.51.100.{place}"), "ada");
    }
    login(&server, "192.0.2.1", "ada", PASSWORD).expect(429);
    let server = server.restart();
    assert_eq!(login(&server, "192.0.2.1", "ada", PASSWORD).expect(429).code(), "rate_limited");
    // What was waited before the restart counts.
    server.clock.advance(Duration::from_secs(3));
    let server = server.restart();
    server.clock.advance(Duration::from_secs(2));
    login(&server, "192.0.2.1", "ada", PASSWORD).expect(200);
}

/// OTP-06: ten wrong codes in an hour are ten, also with a restart in between.
#[test]
fn wrong_codes_outlive_a_restart() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let guess = |server: &Server| {
        server.clock.advance(Duration::from_secs(150));
        let pending = login(server, "203.0.113.7", "ada", PASSWORD).expect(200).json();
        let body = json!({"pending_token": pending["pending_token"], "otp": "000000"});
        server.client().post("/api/v1/auth/mfa/api", body)
    };
    for _ in 0..10 {
        assert_eq!(guess(&server).expect(401).code(), "invalid_code");
    }
    let server = server.restart();
    assert_eq!(guess(&server).expect(429).code(), "rate_limited");
    // An hour after the last of them the right code is good.
    server.clock.advance(Duration::from_secs(3600));
    let pending = login(&server, "203.0.113.7", "ada", PASSWORD).expect(200).json();
    let body = json!({"pending_token": pending["pending_token"], "otp": authenticator.next_code()});
    server.client().post("/api/v1/auth/mfa/api", body).expect(200);
}

/// RES-04: failures are written once a minute, not one by one, and a success or a day removes them.
#[test]
fn failures_are_written_once_a_minute_and_removed() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    fail(&server, "203.0.113.7", "ada");
    fail(&server, "203.0.113.7", "nobody");
    assert_eq!(rows(&server), 0);
    server.block_on(server.app().sign_in.sweep()).unwrap();
    // One for the account and one for the account at that place.
    assert_eq!(rows(&server), 4);
    login(&server, "203.0.113.7", "ada", PASSWORD).expect(200);
    server.block_on(server.app().sign_in.sweep()).unwrap();
    assert_eq!(rows(&server), 2);
    server.clock.advance(Duration::from_secs(25 * 3600));
    server.block_on(server.app().sign_in.sweep()).unwrap();
    assert_eq!(rows(&server), 0);
}

/// LIM-04: an administrator who lifts a suspension gives all attempts back, not one.
#[test]
fn a_lifted_suspension_does_not_come_back_with_the_next_failure() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    for _ in 0..5 {
        fail(&server, "203.0.113.7", "ada");
    }
    assert_eq!(login(&server, "203.0.113.7", "ada", PASSWORD).expect(429).code(), "suspended");
    let app = server.app();
    let mut batch = app.store().batch();
    assert_eq!(app.sign_in.lockout().stage_lift(&mut batch, ada, None), 1);
    server.block_on(app.store().commit(batch)).unwrap();
    server.clock.advance(Duration::from_secs(301));
    fail(&server, "203.0.113.7", "ada");
    login(&server, "203.0.113.7", "ada", PASSWORD).expect(200);
}
