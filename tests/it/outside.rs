//! The doctor's look from outside, as far as it goes without a proxy; tests/proxies/doctor has real ones.

use doorward::accounts::records::Role;
use serde_json::json;

use crate::admin::refuses;
use crate::harness::Server;
use crate::my_account::{browser, program};

const LOOK: &str = "/api/v1/admin/doctor";

#[test]
fn only_hosts_of_this_installation_are_looked_at() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = program(&server, "olga", None);
    for host in ["", "example.org", "169.254.169.254", "localhost", "auth.home.example@example.org", "a b"] {
        refuses(olga.post(LOOK, json!({ "host": host })), 422, "invalid_value");
    }
    refuses(olga.post(LOOK, json!({ "host": "x", "proxy": "squid" })), 422, "invalid_value");
    let mut window = browser(&server, "olga");
    window.get("/admin/doctor").expect(200);
}

/// LIM-01: each look is two dozen requests.
#[test]
fn an_administrator_looks_a_few_times_a_minute() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = program(&server, "olga", None);
    for _ in 0..10 {
        olga.post(LOOK, json!({ "host": "example.org" })).expect(422);
    }
    refuses(olga.post(LOOK, json!({ "host": "example.org" })), 429, "rate_limited");
}

/// The path of the doctor's visits is nothing while no look is under way.
#[test]
fn a_visit_of_nobody_is_not_noted() {
    let server = Server::start();
    server.client().get("/doorward-probe-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/0").expect(404);
}
