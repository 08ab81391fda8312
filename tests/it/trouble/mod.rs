//! What goes wrong around Doorward: a full disk, a wrong clock, a damaged store, a signal. What it does then, and the
//! way back.

mod damage;
mod examined;
mod full_disk;
pub(crate) mod program;
mod stopping;

use std::sync::Arc;
use std::time::Duration;

use doorward::accounts::records::Role;
use doorward::kernel::time::{TestClock, Timestamp};
use serde_json::json;

use crate::harness::{Answer, Client, PASSWORD, Server};

const RULE: &str = "allow one_factor domain=app.home.localhost";
const DAY: Duration = Duration::from_secs(86_400);

fn sign_in(client: &mut Client, password: &str) -> Answer {
    client.post("/api/v1/auth/login/api", json!({"username": "ada", "password": password}))
}

fn refresh(server: &Server, token: &str) -> Answer {
    server.client().post("/api/v1/auth/refresh/api", json!({ "refresh_token": token }))
}

fn text(answer: &Answer, name: &str) -> String {
    answer.json()[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", answer.text())).to_owned()
}

/// Returns a browser that has signed in.
fn browser(server: &Server) -> Client {
    let mut browser = server.client();
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    browser
}

/// Asks as a reverse proxy would, with the forward-auth cookie of `browser`.
fn ask(server: &Server, browser: &Client) -> Answer {
    let mut proxy = server
        .client()
        .with_header("X-Original-URL", "https://app.home.localhost/")
        .with_header("X-Original-Method", "GET");
    proxy.cookies.push(("dw_fa".to_owned(), browser.cookie("dw_fa").unwrap()));
    proxy.get("/api/authz/auth-request")
}

/// Returns the reason that `/readyz` gives for `check`, if that is what is wrong.
fn unready(server: &Server, check: &str) -> String {
    let answer = server.client().get_json("/readyz").expect(503);
    server.client().get_json("/healthz").expect(200);
    let document = answer.json();
    let checks = document["checks"].as_array().unwrap();
    let bad: Vec<_> = checks.iter().filter(|one| one["ok"] == false).collect();
    assert_eq!(bad.len(), 1, "{document}");
    assert_eq!(bad[0]["name"], check, "{document}");
    bad[0]["reason"].as_str().unwrap().to_owned()
}

/// FAIL-02: with a full disk every write answers 503 and changes nothing, reads and forward-auth go on, and once
/// there is room everything works again without a restart.
#[test]
fn a_full_disk_refuses_writes_whole_and_answers_reads() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    server.set_rules(&[RULE]);
    let browser = browser(&server);
    let tokens = sign_in(&mut server.client(), PASSWORD).expect(200);
    let (access, refresh_token) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));

    server.app().engine().set_free_space_floor(u64::MAX);
    let register = || {
        let body = json!({"username": "bob", "password": PASSWORD});
        server.client().post("/api/v1/users", body)
    };
    let logout = || server.client().with_bearer(&access).post("/api/v1/auth/logout", json!({}));
    for answer in
        [refresh(&server, &refresh_token), register(), logout(), sign_in(&mut server.client(), PASSWORD)]
    {
        let answer = answer.expect(503);
        assert_eq!(answer.code(), "store_unavailable");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.text().contains("Nothing was changed"), "{}", answer.text());
    }
    assert_eq!(unready(&server, "store"), "the disk is almost full");
    ask(&server, &browser).expect(200);
    server.client().get("/signin").expect(200);
    browser.clone().get("/signout").expect(200);
    let valid = server.client().post("/api/v1/auth/validate", json!({"token": access})).expect(200);
    assert_eq!(valid.json()["active"], true, "the sign-out did not happen");

    server.app().engine().set_free_space_floor(0);
    server.client().get_json("/readyz").expect(200);
    let renewed = refresh(&server, &refresh_token).expect(200);
    refresh(&server, &text(&renewed, "refresh_token")).expect(200);
    register().expect(201);
    logout().expect(204);
    sign_in(&mut server.client(), PASSWORD).expect(200);
}

/// FAIL-02, LIM-09: who fails too often is shut out also while that cannot be written down, and stays so afterwards.
#[test]
fn a_full_disk_does_not_open_the_door_to_guessing() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    server.app().engine().set_free_space_floor(u64::MAX);
    let mut guesser = server.client().with_header("X-Forwarded-For", "203.0.113.7");
    for _ in 0..5 {
        let answer = sign_in(&mut guesser, "wrong password 123").expect(401);
        assert_eq!(answer.code(), "invalid_credentials");
    }
    assert_eq!(sign_in(&mut guesser, PASSWORD).expect(429).code(), "suspended");
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(sign_in(&mut guesser, PASSWORD).expect(429).code(), "suspended");
    server.app().engine().set_free_space_floor(0);
    assert_eq!(sign_in(&mut guesser, PASSWORD).expect(429).code(), "suspended");
    sign_in(&mut server.client().with_header("X-Forwarded-For", "203.0.113.8"), PASSWORD).expect(200);
}

/// FAIL-03: a machine without a battery starts in the past. Nobody signs in until its clock is right, because
/// sessions made then would outlive their end. Who is signed in waits as well, because nobody can tell how long the
/// session was idle; and no restart is needed.
#[test]
fn a_clock_behind_the_mark_stops_sign_in_until_it_is_right() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    server.set_rules(&[RULE]);
    let mut remembered = server.client();
    let form = [("username", "ada"), ("password", PASSWORD), ("remember", "on")];
    remembered.form("/signin", &form).expect(303);
    let tokens = sign_in(&mut server.client(), PASSWORD).expect(200);
    let refresh_token = text(&tokens, "refresh_token");
    let ended = sign_in(&mut server.client(), PASSWORD).expect(200);
    let bearer = server.client().with_bearer(&text(&ended, "access_token"));
    bearer.clone().post("/api/v1/auth/logout", json!({})).expect(204);

    let right = server.clock.clone();
    let behind = TestClock::at(Timestamp::from_secs(1_800_000_000 - 86_400));
    let server = stop_and_start(server, behind.clone());
    assert!(unready(&server, "clock").contains("clock"));
    let refused = sign_in(&mut server.client(), PASSWORD).expect(503);
    assert_eq!(refused.code(), "clock_behind");
    assert!(refused.text().contains("doorward doctor"), "{}", refused.text());
    assert_eq!(refresh(&server, &refresh_token).expect(503).code(), "clock_behind");
    let page = server.client().form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(503);
    assert!(page.text().contains("clock"), "{}", page.text());
    ask(&server, &remembered).expect(401);
    let dead = server.client().post("/api/v1/auth/validate", json!({"token": text(&ended, "access_token")}));
    assert_eq!(dead.expect(200).json()["active"], false, "an ended session does not come back");

    behind.advance(DAY);
    assert!(behind_is_right(&behind, &right));
    server.client().get_json("/readyz").expect(200);
    refresh(&server, &refresh_token).expect(200);
    sign_in(&mut server.client(), PASSWORD).expect(200);
    ask(&server, &remembered).expect(200);
}

/// FAIL-03: before the date of the program itself there is no need for a mark.
#[test]
fn a_clock_before_the_program_was_made_signs_nobody_in() {
    let clock = TestClock::at(Timestamp::from_secs(86_400));
    let server = Server::start_at(Arc::new(crate::harness::TempDir::new()), clock.clone(), |_| {});
    server.add_user("ada", Role::Member, &[]);
    assert_eq!(sign_in(&mut server.client(), PASSWORD).expect(503).code(), "clock_behind");
    clock.advance(Duration::from_secs(1_800_000_000));
    sign_in(&mut server.client(), PASSWORD).expect(200);
}

fn behind_is_right(behind: &TestClock, right: &TestClock) -> bool {
    use doorward::kernel::time::Clock;
    behind.now() >= right.now()
}

fn stop_and_start(server: Server, clock: Arc<TestClock>) -> Server {
    let dir = server.dir.clone();
    drop(server);
    Server::start_at(dir, clock, |_| {})
}
