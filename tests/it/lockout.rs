//! Attacks on the brakes themselves: full tables, guesses at the same moment, set clocks, and what the answers tell.

use doorward::accounts::records::Role;
use doorward::kernel::ids::UserId;
use serde_json::json;

use crate::harness::{Answer, PASSWORD, Server};

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
