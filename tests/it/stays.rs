//! The signed-in stay that apps know: what carries it on, and that its end is told once, whatever ends it.

use std::sync::Arc;
use std::time::Duration;

use doorward::accounts::links::RESET_LIFETIME;
use doorward::accounts::records::{LinkPurpose, Role};
use doorward::kernel::ids::{SessionId, UserId};
use doorward::sessions::{EndReason, EndedSession, Factors, OnEnd, Principal};
use doorward::store::Batch;
use parking_lot::Mutex;
use serde_json::json;

use crate::callers::WebSession;
use crate::harness::{Authenticator, Client, PASSWORD, Server, lift_limits};
use crate::my_account::browser;

/// Remembers the ends that reached the disk.
#[derive(Default)]
struct Ends(Arc<Mutex<Vec<EndedSession>>>);

impl OnEnd for Ends {
    fn stage(&self, batch: &mut Batch, ended: &EndedSession) {
        let (told, ended) = (self.0.clone(), *ended);
        batch.after(move || told.lock().push(ended));
    }
}

impl Ends {
    fn watch(server: &Server) -> Arc<Ends> {
        let ends = Arc::new(Ends::default());
        server.app().sessions.add_on_end(ends.clone());
        ends
    }

    fn take(&self) -> Vec<EndedSession> {
        std::mem::take(&mut self.0.lock())
    }
}

fn start() -> (Server, Arc<Ends>) {
    let server = Server::start_with(lift_limits);
    let ends = Ends::watch(&server);
    (server, ends)
}

fn ended(sid: SessionId, user: UserId) -> EndedSession {
    EndedSession { sid, user, reason: EndReason::Ended }
}

fn expired(sid: SessionId, user: UserId) -> EndedSession {
    EndedSession { sid, user, reason: EndReason::Expired }
}

fn who(server: &Server, cookie: &str) -> Principal {
    let app = server.app();
    app.sessions.identify_cookie(cookie, app.now()).expect("a live session")
}

fn sid_of(server: &Server, client: &Client) -> SessionId {
    who(server, &client.cookie("dw").unwrap()).sid
}

fn sign_in(client: &mut Client, name: &str) {
    client.form("/signin", &[("username", name), ("password", PASSWORD)]).expect(303);
}

fn step_up(client: &mut Client) {
    let csrf = client.get("/step-up").expect(200).input("csrf").unwrap();
    client.form("/step-up", &[("csrf", &csrf), ("password", PASSWORD)]).expect(303);
}

/// What ends the session of `user`; an administrator is at hand.
type Way = fn(&Server, UserId, &WebSession, &mut Client);

fn refresh_twice(server: &Server, cookie: &str) {
    let app = server.app();
    let first = cookie.to_owned();
    let refresh = || server.block_on(app.sessions.refresh(&first, doorward::sessions::SessionKind::Web));
    assert!(refresh().is_ok());
    server.clock.advance(Duration::from_secs(11));
    assert!(refresh().is_err(), "spent");
}

const WAYS: &[(&str, Way)] = &[
    ("sign-out", |server, _, session, _| {
        session.client(server).post("/api/v1/auth/logout", json!({})).expect(204);
    }),
    ("sign-out everywhere", |server, _, session, _| {
        session.client(server).post("/api/v1/auth/logout/all", json!({})).expect(204);
    }),
    ("ended from the list", |server, user, session, _| {
        let path = format!("/api/v1/sessions/{}", session.id);
        server.web_session(user).client(server).json("DELETE", &path, &json!({})).expect(204);
    }),
    ("ended with all others", |server, user, _, _| {
        let other = server.web_session(user);
        let answer = other.client(server).json("DELETE", "/api/v1/sessions", &json!({}));
        assert!(answer.status < 300, "{}", answer.text());
    }),
    ("another password from elsewhere", |server, user, _, _| {
        let body = json!({"new_password": "walnut-harbor-eleven-comet"});
        let mut other = server.web_session(user).client(server);
        other.post("/api/v1/users/me/password", body).expect(200);
    }),
    ("a second factor from elsewhere", |server, user, _, _| {
        let mut other = server.web_session(user).client(server);
        let begun = other.post("/api/v1/users/me/totp", json!({})).expect(201).json();
        let secret = begun["secret"].as_str().unwrap_or_else(|| panic!("{begun}"));
        let code = Authenticator::new(secret, server.clock.clone()).code();
        other.post("/api/v1/users/me/totp/confirm", json!({"otp": code})).expect(200);
    }),
    ("a password set by a link", |server, user, _, _| {
        let link = server.app().accounts.make_link(LinkPurpose::ResetPassword(user), RESET_LIFETIME, |_| {});
        let path = format!("/link/{}", server.block_on(link).unwrap());
        server.client().form(&path, &[("password", "walnut-harbor-eleven-comet")]).expect(200);
    }),
    ("deleted by its owner", |server, _, session, _| {
        session.client(server).json("DELETE", "/api/v1/users/me", &json!({})).expect(204);
    }),
    ("signed out by an administrator", |_, user, _, admin| {
        admin.post(&format!("/api/v1/admin/users/{user}/sign-out"), json!({})).expect(204);
    }),
    ("disabled", |_, user, _, admin| {
        admin.post(&format!("/api/v1/admin/users/{user}/disable"), json!({})).expect(204);
    }),
    ("another role", |_, user, _, admin| {
        let path = format!("/api/v1/admin/users/{user}");
        admin.json("PATCH", &path, &json!({"role": "admin"})).expect(200);
    }),
    ("deleted", |_, user, _, admin| {
        admin.json("DELETE", &format!("/api/v1/admin/users/{user}"), &json!({})).expect(204);
    }),
    ("somebody else signs in in this browser", |server, _, session, _| {
        sign_in(&mut session.client(server), "else");
    }),
    ("a spent refresh token", |server, _, session, _| refresh_twice(server, &session.refresh)),
    ("room for one more", |server, user, _, _| {
        for _ in 0..50 {
            server.clock.advance(Duration::from_secs(1));
            server.web_session(user);
        }
    }),
];

/// SES-03, SES-08, SES-09, REF-04, REF-07, REF-10: whatever ends a stay tells it once, in the commit that ends it.
#[test]
fn every_way_to_end_a_stay_tells_it_once() {
    let (server, ends) = start();
    server.add_user("else", Role::Member, &[]);
    let boss = server.add_bare_user("boss", Role::Owner);
    for (index, (way, end)) in WAYS.iter().enumerate() {
        let user = server.add_user(&format!("person{index}"), Role::Member, &[]);
        let session = server.web_session(user);
        let mut admin = server.web_session(boss).client(&server);
        let sid = who(&server, &session.cookie).sid;
        assert_eq!(sid, session.id);
        ends.take();
        end(&server, user, &session, &mut admin);
        assert_eq!(ends.take(), vec![ended(sid, user)], "{way}");
        assert!(!server.app().sessions.is_signed_in(&user, &sid, server.app().now()), "{way}");
        server.block_on(server.app().sessions.sweep()).unwrap();
        assert_eq!(ends.take(), Vec::new(), "{way}: told again");
    }
}

/// SES-02: a step-up, a changed password and another sign-in of the same person give new sessions of the same stay.
#[test]
fn the_same_person_in_the_same_browser_stays() {
    let (server, ends) = start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut browser = server.client();
    sign_in(&mut browser, "ada");
    let (sid, mut last) = (sid_of(&server, &browser), browser.cookie("dw").unwrap());
    let ways: [fn(&mut Client); 4] = [
        step_up,
        |browser| sign_in(browser, "ada"),
        |browser| {
            let body = json!({"username": "ada", "password": PASSWORD});
            browser.post("/api/v1/auth/login/web", body).expect(200);
        },
        step_up,
    ];
    for change in ways {
        change(&mut browser);
        let cookie = browser.cookie("dw").unwrap();
        assert_ne!(cookie, last);
        assert_eq!(sid_of(&server, &browser), sid);
        last = cookie;
    }
    let principal = who(&server, &last);
    assert_ne!(principal.session, sid);
    let mut desk =
        browser.clone().with_header("x-csrf-token", &server.app().sessions.csrf_token(&principal.session));
    let body = json!({"current_password": PASSWORD, "new_password": "walnut-harbor-eleven-comet"});
    desk.post("/api/v1/users/me/password", body).expect(200);
    assert_eq!(sid_of(&server, &desk), sid);
    assert_eq!(ends.take(), Vec::new());
    // Also after a restart, which reads it from the store.
    let cookie = desk.cookie("dw").unwrap();
    let server = server.restart();
    let ends = Ends::watch(&server);
    assert_eq!(who(&server, &cookie).sid, sid);
    assert!(server.app().sessions.is_signed_in(&ada, &sid, server.app().now()));
    let csrf = server.app().sessions.csrf_token(&who(&server, &cookie).session);
    let mut desk = server.client().with_header("x-csrf-token", &csrf);
    desk.cookies.push(("dw".to_owned(), cookie));
    desk.post("/api/v1/auth/logout", json!({})).expect(204);
    assert_eq!(ends.take(), vec![ended(sid, ada)]);
}

/// SES-03: another person starts another stay, and what the first one had is over.
#[test]
fn another_person_in_the_same_browser_does_not_take_the_stay_over() {
    let (server, ends) = start();
    let ada = server.add_user("ada", Role::Member, &[]);
    server.add_user("bob", Role::Member, &[]);
    let mut browser = server.client();
    sign_in(&mut browser, "ada");
    let sid = sid_of(&server, &browser);
    sign_in(&mut browser, "bob");
    assert_ne!(sid_of(&server, &browser), sid);
    assert_eq!(ends.take(), vec![ended(sid, ada)]);
    let second = sid_of(&server, &browser);
    sign_in(&mut browser, "ada");
    assert!(![sid, second].contains(&sid_of(&server, &browser)), "a stay that is over does not come back");
}

/// SES-02: two sign-ins with one former cookie share its stay; the stay ends with both of them.
#[test]
fn a_browser_that_signs_in_twice_at_once_has_one_stay_and_one_end() {
    let (server, ends) = start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut browser = server.client();
    sign_in(&mut browser, "ada");
    let sid = sid_of(&server, &browser);
    let session = who(&server, &browser.cookie("dw").unwrap()).session;
    let app = server.app();
    let started = |_| {
        let new = doorward::sessions::NewSession {
            user: ada,
            kind: doorward::sessions::SessionKind::Web,
            factors: Factors::PASSWORD,
            label: "tab".to_owned(),
            place: "here".to_owned(),
            is_remembered: false,
            with_refresh: false,
            in_place_of: Some(session),
        };
        let mut batch = app.store().batch();
        let started =
            app.sessions.stage_start(&mut batch, new).unwrap_or_else(|problem| panic!("{problem:?}"));
        (batch, started)
    };
    let [first, second] = [0, 1].map(started);
    server.block_on(app.store().commit(first.0)).unwrap();
    server.block_on(app.store().commit(second.0)).unwrap();
    let cookie =
        |started: &doorward::sessions::StartedSession| started.cookie.as_ref().unwrap().expose().clone();
    assert_eq!([first.1.sid, second.1.sid], [sid, sid]);
    assert_eq!(ends.take(), Vec::new());
    let mut batch = app.store().batch();
    app.sessions.stage_end(&mut batch, first.1.id);
    server.block_on(app.store().commit(batch)).unwrap();
    assert_eq!(ends.take(), vec![ended(sid, ada)]);
    assert!(app.sessions.identify_cookie(&cookie(&second.1), app.now()).is_none(), "no orphan stays behind");
}

/// How often a race has to be met, and how often it is tried.
const ROUNDS: u32 = 3;
const MOST_ROUNDS: u32 = 30;

/// SES-08: a step-up that is under way when its session ends is refused, and gives no session in place of the dead one.
#[test]
fn a_step_up_under_way_wakes_no_session_that_ended() {
    let (server, _) = start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut refused = 0;
    for _ in 0..MOST_ROUNDS {
        let mut desk = browser(&server, "ada");
        let mut racer = desk.clone();
        let proving = std::thread::spawn(move || {
            (racer.post("/api/v1/auth/step-up", json!({"password": PASSWORD})), racer)
        });
        server.until_hashing();
        let ended = desk.post("/api/v1/auth/logout", json!({})).status;
        let (proven, mut racer) = proving.join().unwrap();
        if ended == 204 {
            assert_eq!(
                server.app().sessions.list(&ada).unwrap().len(),
                0,
                "{} {}",
                proven.status,
                proven.text()
            );
            racer.get_json("/api/v1/users/me").expect(401);
            assert_eq!(proven.status, 401, "{}", proven.text());
            refused += 1;
        } else {
            racer.post("/api/v1/auth/logout", json!({})).expect(204);
        }
        server.clock.advance(Duration::from_secs(1));
        if refused == ROUNDS {
            break;
        }
    }
    assert!(refused > 0, "the race was never met");
}

/// SES-07: what runs out is told by the next sweep, once; a session that a refresh token can wake has not run out.
#[test]
fn a_stay_that_runs_out_is_told_by_the_sweep() {
    let (server, ends) = start();
    server.add_user("ada", Role::Member, &[]);
    let bob = server.add_bare_user("bob", Role::Member);
    let sweep = || server.block_on(server.app().sessions.sweep()).unwrap();
    let mut page = server.client();
    sign_in(&mut page, "ada");
    let mut program = browser(&server, "ada");
    let (idle, awake) = (who(&server, &page.cookie("dw").unwrap()), sid_of(&server, &program));
    let woken = server.web_session(bob);
    server.clock.advance(Duration::from_secs(29 * 60));
    page.get("/account").expect(200);
    program.get_json("/api/v1/users/me").expect(200);
    server.clock.advance(Duration::from_secs(29 * 60));
    sweep();
    assert_eq!(ends.take(), Vec::new());
    server.clock.advance(Duration::from_secs(60 + 1));
    sweep();
    assert_eq!(ends.take(), vec![expired(idle.sid, idle.user.id)]);
    sweep();
    assert_eq!(ends.take(), Vec::new());
    assert!(server.app().sessions.is_signed_in(&idle.user.id, &awake, server.app().now()));
    server.clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
    sweep();
    let mut told = ends.take();
    told.sort_by_key(|ended| ended.user != bob);
    assert_eq!(told, vec![expired(woken.id, bob), expired(awake, idle.user.id)]);
    assert_eq!(server.app().sessions.live_count(), 0);
}

/// What ran out while Doorward stood still, and what died without being ended, is told by the first sweep.
#[test]
fn a_stay_that_ended_unseen_is_told_after_the_start() {
    let (server, _) = start();
    let (ada, bob) = (server.add_bare_user("ada", Role::Member), server.add_bare_user("bob", Role::Member));
    let (first, second) = (server.web_session(ada), server.web_session(bob));
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let server = Server::start_at(dir, clock, lift_limits);
    let third = server.web_session(bob);
    let ends = Ends::watch(&server);
    server.clock.advance(Duration::from_secs(1));
    let everywhere = |record: &mut doorward::accounts::records::UserRecord| {
        record.not_before = server.app().now();
        Ok(())
    };
    server.block_on(server.app().accounts.change(bob, everywhere, |_, _| {})).unwrap();
    server.block_on(server.app().sessions.sweep()).unwrap();
    let mut told = ends.take();
    told.sort_by_key(|ended| [first.id, second.id, third.id].iter().position(|id| *id == ended.sid));
    assert_eq!(told, vec![expired(first.id, ada), expired(second.id, bob), ended(third.id, bob)]);
}
