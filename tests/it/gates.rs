//! What a change of the account must end: the sessions, tokens and links of whoever else holds some.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use doorward::accounts::profile::Edit;
use doorward::accounts::records::{Role, Status, UserRecord};
use doorward::accounts::users::{AccountError, SecondFactorPolicy};
use doorward::admin::by::By;
use doorward::admin::people::PersonChange;
use doorward::kernel::text::GroupName;
use doorward::kernel::time::Clock;
use doorward::site::Setting;
use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, Client, ORIGIN, PASSWORD, Server};
use crate::my_account::{browser, browser_with, events, program};

/// A thief who signed in with the password alone, in a browser and as a program.
struct Thief {
    browser: Client,
    program: Client,
    refresh_token: Value,
}

impl Thief {
    fn sign_in(server: &Server, name: &str, otp: Option<&str>) -> Thief {
        let mut body = json!({"username": name, "password": PASSWORD});
        if let Some(otp) = otp {
            body["otp"] = otp.into();
        }
        let tokens = server.client().post("/api/v1/auth/login/api", body).expect(200).json();
        let program = server.client().with_bearer(tokens["access_token"].as_str().unwrap());
        // One code opens one session: the browser comes by another way.
        let browser = match otp {
            None => browser(server, name),
            Some(_) => {
                let user = server.app().accounts.resolve(name).unwrap().unwrap().id;
                server.web_session(user).client(server)
            }
        };
        Thief { browser, program, refresh_token: tokens["refresh_token"].clone() }
    }

    #[track_caller]
    fn is_in(&mut self) {
        self.browser.get_json("/api/v1/users/me").expect(200);
        self.program.get_json("/api/v1/users/me").expect(200);
    }

    #[track_caller]
    fn is_out(&mut self, server: &Server) {
        assert_eq!(self.browser.get_json("/api/v1/users/me").status, 401, "the browser");
        assert_eq!(self.program.get_json("/api/v1/users/me").status, 401, "the access token");
        let body = json!({"refresh_token": self.refresh_token});
        assert_eq!(server.client().post("/api/v1/auth/refresh/api", body).status, 401, "the refresh token");
    }
}

/// Takes over what an answer gives in place of the session that asked.
fn adopt(client: &mut Client, answer: &Answer) {
    let answer = answer.json();
    if let Some(token) = answer["csrf_token"].as_str() {
        client.headers.retain(|(name, _)| name != "x-csrf-token");
        client.headers.push(("x-csrf-token".to_owned(), token.to_owned()));
    }
    if let Some(token) = answer["access_token"].as_str() {
        client.bearer = Some(token.to_owned());
    }
}

fn enrol(server: &Server, client: &mut Client) -> (Authenticator, Answer) {
    let begun = client.post("/api/v1/users/me/totp", json!({})).expect(201).json();
    let authenticator = Authenticator::new(begun["secret"].as_str().unwrap(), server.clock.clone());
    let body = json!({"otp": authenticator.code()});
    let answer = client.post("/api/v1/users/me/totp/confirm", body).expect(200);
    (authenticator, answer)
}

/// REF-07, PWD-09: who got in with the password alone is out once the owner adds, replaces or removes the app, or makes
/// new recovery codes; the owner goes on in a new session.
#[test]
fn every_change_of_the_second_factor_ends_all_other_sessions() {
    for is_browser in [true, false] {
        let server = Server::start();
        server.add_user("ada", Role::Member, &[]);
        let mut owner = match is_browser {
            true => browser(&server, "ada"),
            false => program(&server, "ada", None),
        };
        let mut thief = Thief::sign_in(&server, "ada", None);
        thief.is_in();
        let before = (owner.cookie("dw"), owner.bearer.clone());
        let (authenticator, answer) = enrol(&server, &mut owner);
        adopt(&mut owner, &answer);
        assert_ne!((owner.cookie("dw"), owner.bearer.clone()), before, "SES-02");
        thief.is_out(&server);
        owner.get_json("/api/v1/users/me").expect(200);

        let mut thief = Thief::sign_in(&server, "ada", Some(&authenticator.next_code()));
        thief.is_in();
        let codes = owner.post("/api/v1/users/me/recovery-codes", json!({})).expect(200);
        adopt(&mut owner, &codes);
        thief.is_out(&server);

        let mut thief = Thief::sign_in(&server, "ada", Some(&authenticator.next_code()));
        thief.is_in();
        let (authenticator, answer) = enrol(&server, &mut owner);
        adopt(&mut owner, &answer);
        thief.is_out(&server);

        let mut thief = Thief::sign_in(&server, "ada", Some(&authenticator.next_code()));
        thief.is_in();
        let removed = owner.json("DELETE", "/api/v1/users/me/totp", &json!({})).expect(200);
        assert_eq!(removed.json()["status"], "removed");
        adopt(&mut owner, &removed);
        thief.is_out(&server);
        let me = owner.get_json("/api/v1/users/me").expect(200).json();
        assert_eq!(me["second_factor"], false);
    }
}

/// REF-07: the same by the pages, whose answer carries the new session.
#[test]
fn the_pages_of_the_second_factor_end_all_other_sessions_too() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut owner = browser_with(&server, "ada", PASSWORD, Some(&authenticator.code()));
    owner.headers.clear();
    for path in ["/account/recovery-codes", "/account/totp/remove"] {
        let mut thief = Thief::sign_in(&server, "ada", Some(&authenticator.next_code()));
        let token = owner.get("/account/security").expect(200).input("csrf").unwrap();
        let answer = owner.form(path, &[("csrf", &token)]);
        assert!(answer.status == 200 || answer.status == 303, "{path}: {}", answer.status);
        thief.is_out(&server);
        owner.get("/account/security").expect(200);
    }
}

/// SES-02: nothing that is wrong ends anything.
#[test]
fn a_refused_change_of_the_second_factor_ends_nothing() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut owner = browser(&server, "ada");
    let mut other = browser(&server, "ada");
    owner.post("/api/v1/users/me/totp", json!({})).expect(201);
    owner.post("/api/v1/users/me/totp/confirm", json!({"otp": "000000"})).expect(422);
    owner.json("DELETE", "/api/v1/users/me/totp", &json!({})).expect(409);
    server.clock.advance(Duration::from_secs(601));
    owner.post("/api/v1/users/me/recovery-codes", json!({})).expect(403);
    other.get_json("/api/v1/users/me").expect(200);
    assert_eq!(server.app().sessions.list(&ada).unwrap().len(), 2);
}

/// PWD-09, ADM-01: a link that an administrator made for a member does not take over the owner she becomes.
#[test]
fn a_link_from_before_a_role_change_is_dead() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("ada", Role::Admin, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    let mut olga = program(&server, "olga", None);
    let path = format!("/api/v1/admin/users/{mia}");
    let link = ada.post(&format!("{path}/link"), json!({})).expect(201).json();
    let link = link["url"].as_str().unwrap().strip_prefix(ORIGIN).unwrap().to_owned();
    server.client().get(&link).expect(200);
    olga.json("PATCH", &path, &json!({"role": "owner"})).expect(200);
    server.client().get(&link).expect(410);
    server.client().form(&link, &[("password", "a-brand-new-pass-phrase")]).expect(410);
    program(&server, "mia", None);
}

/// How often a race has to be met, and how often it is tried on a machine so busy that the change is through before.
const ROUNDS: u32 = 3;
const MOST_ROUNDS: u32 = 30;

/// SES-08, SES-09: a change of the account that was under way when everything ended mints no session that survives it.
#[test]
fn a_change_under_way_does_not_outlive_the_sign_out_everywhere() {
    let server = Server::start_with(|options| options.sign_in.sign_in.limit = 10_000);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut refused = 0;
    for round in 0..MOST_ROUNDS {
        let desk = browser(&server, "ada");
        let mut phone = program(&server, "ada", None);
        let mut racer = desk.clone();
        let change = std::thread::spawn(move || {
            let body = json!({"current_password": PASSWORD, "new_password": PASSWORD});
            (racer.post("/api/v1/users/me/password", body), racer)
        });
        server.until_hashing();
        let ended = phone.post("/api/v1/auth/logout/all", json!({})).status;
        let (changed, mut racer) = change.join().unwrap();
        if ended == 204 {
            let alive = server.app().sessions.list(&ada).unwrap().len();
            assert_eq!(alive, 0, "round {round}: {}", changed.text());
            racer.get_json("/api/v1/users/me").expect(401);
        }
        if changed.status == 401 {
            assert_eq!(changed.code(), "not_signed_in");
            refused += 1;
        }
        server.clock.advance(Duration::from_secs(1));
        if refused == ROUNDS {
            break;
        }
    }
    assert!(refused > 0, "the race was never met");
}

/// SES-08: neither does one that was under way when just its own session ended.
#[test]
fn a_change_under_way_needs_its_own_session_to_the_end() {
    let server = Server::start_with(|options| options.sign_in.sign_in.limit = 10_000);
    server.add_user("ada", Role::Member, &[]);
    let mut refused = 0;
    for _ in 0..MOST_ROUNDS {
        let mut desk = browser(&server, "ada");
        let mut racer = desk.clone();
        let change = std::thread::spawn(move || {
            let body = json!({"current_password": PASSWORD, "new_password": PASSWORD});
            (racer.post("/api/v1/users/me/password", body), racer)
        });
        server.until_hashing();
        let ended = desk.post("/api/v1/auth/logout", json!({})).status;
        let (changed, mut racer) = change.join().unwrap();
        if ended == 204 && changed.status == 401 {
            refused += 1;
            racer.get_json("/api/v1/users/me").expect(401);
            browser(&server, "ada");
        }
        server.clock.advance(Duration::from_secs(1));
        if refused == ROUNDS {
            break;
        }
    }
    assert!(refused > 0, "the race was never met");
}

/// Starts over the same data with a stricter policy.
fn tightened(server: Server, policy: SecondFactorPolicy) -> Server {
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    Server::start_at(dir, clock, |options| options.second_factor = policy)
}

/// GEN-02: once a second factor is demanded, a session of one factor reaches nothing but the way to a second one, and the
/// way out.
#[test]
fn a_session_of_one_factor_falls_short_once_two_are_demanded() {
    let server = Server::start();
    server.add_user("ada", Role::Admin, &[]);
    server.add_user("mia", Role::Member, &[]);
    let mut desk = browser(&server, "ada");
    let mut script = program(&server, "ada", None);
    let mut mia = browser(&server, "mia");
    desk.get("/admin/people").expect(200);
    let server = tightened(server, SecondFactorPolicy::Admins);
    for client in [&mut desk, &mut script, &mut mia] {
        client.address = server.address;
    }
    mia.get("/account").expect(200);
    for path in ["/", "/admin", "/admin/people", "/account", "/account/security", "/account/sessions"] {
        let answer = desk.get(path).expect(303);
        assert_eq!(answer.header("location"), Some("/account/totp"), "{path}");
    }
    for path in ["/api/v1/admin/users", "/api/v1/users/me", "/api/v1/sessions"] {
        for client in [&mut desk, &mut script] {
            assert_eq!(client.get_json(path).expect(403).code(), "second_factor_required", "{path}");
        }
    }
    let body = json!({"username": "eve", "display_name": "Eve", "role": "admin"});
    assert_eq!(desk.post("/api/v1/admin/users", body).expect(403).code(), "second_factor_required");
    let token = desk.get("/account/totp").expect(200).input("csrf").unwrap();
    let write = desk.form("/admin/people/new", &[("csrf", &token), ("username", "eve")]);
    assert_eq!(write.status, 403);
    // The way to a second factor, and then everything is open again.
    let (authenticator, answer) = enrol(&server, &mut desk);
    adopt(&mut desk, &answer);
    desk.get("/admin/people").expect(200);
    script.get_json("/api/v1/users/me").expect(401);
    // The way out.
    let code = authenticator.next_code();
    let mut other = browser_with(&server, "ada", PASSWORD, Some(&code));
    other.post("/api/v1/auth/logout", json!({})).expect(204);
    let server = tightened(server, SecondFactorPolicy::Everyone);
    mia.address = server.address;
    assert_eq!(mia.get("/account").expect(303).header("location"), Some("/account/totp"));
    mia.post("/api/v1/auth/logout/all", json!({})).expect(204);
}

/// ADM-03: of two owners who go at the same moment one stays, whichever way they go.
#[test]
fn two_owners_who_go_at_once_leave_one() {
    for way in ["delete", "demote", "disable"] {
        let server = Server::start();
        let ids = ["olga", "otto"].map(|name| server.add_user(name, Role::Owner, &[]));
        server.add_user("ada", Role::Admin, &[]);
        let barrier = Arc::new(Barrier::new(2));
        let threads = [0, 1].map(|index| {
            let (barrier, session) = (barrier.clone(), server.web_session(ids[index]));
            let mut client = session.client(&server);
            let other = format!("/api/v1/admin/users/{}", ids[1 - index]);
            std::thread::spawn(move || {
                barrier.wait();
                match way {
                    "delete" => client.json("DELETE", "/api/v1/users/me", &json!({})),
                    "demote" => client.json("PATCH", &other, &json!({"role": "member"})),
                    _ => client.post(&format!("{other}/disable"), json!({})),
                }
            })
        });
        let answers = threads.map(|thread| thread.join().unwrap());
        let owners = server.app().accounts.directory().count_active(|user| user.role == Role::Owner);
        assert_eq!(owners, 1, "{way}: {:?}", answers.map(|answer| (answer.status, answer.text())));
    }
}

/// ADM-03: nor does the last one go by the command of an administrator of the machine.
#[test]
fn the_last_owner_is_not_disabled_while_there_are_admins() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    server.add_user("ada", Role::Admin, &[]);
    let accounts = &server.app().accounts;
    let end = |change: fn(&mut UserRecord)| {
        server.block_on(accounts.change(
            olga,
            move |record| {
                change(record);
                Ok(())
            },
            |_, _| {},
        ))
    };
    assert!(matches!(end(|record| record.status = Status::Disabled), Err(AccountError::LastOwner)));
    assert!(matches!(end(|record| record.role = Role::Admin), Err(AccountError::LastOwner)));
    assert!(matches!(server.block_on(accounts.delete(olga, |_, _| {})), Err(AccountError::LastOwner)));
    server.add_user("otto", Role::Owner, &[]);
    end(|record| record.role = Role::Admin).unwrap();
}

/// ADM-01: what an admin may do is judged by the role that somebody has when it is done: who was made an owner between
/// the question and the deed is out of reach.
#[test]
fn a_deed_does_not_hit_somebody_who_was_promoted_meanwhile() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &["family"]);
    server.enrol_totp(mia);
    let app = server.app();
    let (accounts, admin) = (&app.accounts, &app.admin);
    let edit = |change: fn(&mut UserRecord)| {
        let change = move |record: &mut UserRecord| {
            change(record);
            Ok(())
        };
        server.block_on(accounts.change(mia, change, |_, _| {})).unwrap();
    };
    let seen = accounts.user(&mia).unwrap();
    edit(|record| record.role = Role::Owner);
    let family = GroupName::parse("family").unwrap();
    let name = PersonChange { display_name: Some(seen.display_name.clone()), ..PersonChange::default() };
    let claim = [Edit::parse("given_name", Some("Mia")).unwrap()];
    let by = By::Machine;
    for (deed, result) in [
        ("disable", server.block_on(admin.disable_person(by, &seen, ""))),
        ("enable", server.block_on(admin.enable_person(by, &seen))),
        ("sign out", server.block_on(admin.sign_person_out(by, &seen))),
        ("change", server.block_on(admin.change_person(by, &seen, name))),
        ("groups", server.block_on(admin.take_out_of_group(by, &seen, &family))),
        ("claims", server.block_on(admin.change_claims(by, &seen, &claim)).map(|_| ())),
        ("second factor", server.block_on(admin.reset_second_factor(by, &seen))),
        ("link", server.block_on(admin.make_person_link(by, &seen)).map(|_| ())),
        ("delete", server.block_on(admin.delete_person(by, &seen))),
    ] {
        assert_eq!(result.unwrap_err().status, 409, "{deed}");
    }
    let user = accounts.user(&mia).unwrap();
    assert!(user.is_active() && user.has_totp && user.is_in("family"));
    // What is written down is what changed, so it has to be about the person as they were looked at.
    edit(|record| record.role = Role::Member);
    let seen = accounts.user(&mia).unwrap();
    edit(|record| record.groups.clear());
    let same = PersonChange { groups: Some(seen.groups.to_vec()), ..PersonChange::default() };
    let refused = server.block_on(admin.change_person(by, &seen, same.clone())).unwrap_err();
    assert_eq!(refused.code, "conflict");
    let seen = accounts.user(&mia).unwrap();
    server.block_on(admin.change_person(by, &seen, same)).unwrap();
    assert_eq!(events(&server, "user.groups_changed", "mia"), 1);
}

/// SES-03: whoever signs in ends the session that the browser held, also one that was idle too long: its refresh token
/// would bring the other person back. A cookie whose secret is wrong ends nothing.
#[test]
fn a_sign_in_ends_the_idle_session_of_somebody_else_too() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    server.add_user("bob", Role::Member, &[]);
    let mut shared = browser(&server, "ada");
    let mut copy = shared.clone();
    let mut bystander = browser(&server, "ada");
    server.clock.advance(Duration::from_secs(31 * 60));
    shared.get_json("/api/v1/users/me").expect(401);
    let mut forged = server.client();
    let cookie = bystander.cookie("dw").unwrap();
    let last = if cookie.ends_with('A') { 'B' } else { 'A' };
    forged.cookies.push(("dw".to_owned(), format!("{}{last}", &cookie[..cookie.len() - 1])));
    forged.form("/signin", &[("username", "bob"), ("password", PASSWORD)]).expect(303);
    shared.headers.clear();
    shared.form("/signin", &[("username", "bob"), ("password", PASSWORD)]).expect(303);
    assert_eq!(shared.cookie("dw_refresh"), None, "the refresh token of the one before goes");
    assert_eq!(copy.post("/api/v1/auth/refresh/web", json!({})).status, 401, "and is dead");
    bystander.post("/api/v1/auth/refresh/web", json!({})).expect(200);
}

/// FAIL-03, SES-07: a clock that is set back wakes no session that was idle too long, and leaves nothing fresh.
#[test]
fn a_clock_that_is_set_back_wakes_no_session() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut desk = browser(&server, "ada");
    let begun = server.clock.now();
    server.clock.advance(Duration::from_secs(29 * 60));
    desk.get_json("/api/v1/users/me").expect(200);
    server.clock.advance(Duration::from_secs(31 * 60));
    desk.get_json("/api/v1/users/me").expect(401);
    server.clock.set_wall(begun);
    desk.get_json("/api/v1/users/me").expect(401);
    desk.json("DELETE", "/api/v1/sessions", &json!({})).expect(401);
    // What NTP does is no such thing.
    let mut other = browser(&server, "ada");
    server.clock.set_wall(begun.minus(Duration::from_secs(100)));
    other.get_json("/api/v1/users/me").expect(200);
}

/// PWD-04: the words that a password may not consist of follow the name and address of the installation.
#[test]
fn the_address_that_the_wizard_set_is_no_password() {
    let server = Server::start_with(|options| options.site.public_origin = None);
    server.add_user("ada", Role::Member, &[]);
    let mut ada = browser(&server, "ada");
    let site = &server.app().site;
    let mut batch = server.app().store().batch();
    site.stage_set(&mut batch, Setting::PublicOrigin, "http://foxglove-lantern.localhost");
    site.stage_set(&mut batch, Setting::InstanceName, "Marigold Harbour House");
    server.block_on(server.app().store().commit(batch)).unwrap();
    ada = ada.with_header("Host", "foxglove-lantern.localhost");
    for word in ["foxglove-lantern.localhost", "marigold harbour house"] {
        let body = json!({"current_password": PASSWORD, "new_password": word});
        let answer = ada.send(
            "POST",
            "/api/v1/users/me/password",
            &[("Content-Type", "application/json"), ("Origin", "http://foxglove-lantern.localhost")],
            body.to_string().as_bytes(),
        );
        assert_eq!(answer.expect(422).code(), "password_contextual", "{word}");
    }
}

/// PRI-03: the name of somebody who was deleted stays theirs: rules and apps know people by it. A stranger does not get
/// it; an administrator may give it away knowingly.
#[test]
fn the_name_of_a_deleted_person_is_not_taken_over() {
    let server = Server::start();
    server.set_rules(&["allow one_factor user=ada domain=app.home.localhost"]);
    let ada = server.add_user("ada", Role::Member, &[]);
    server.add_user("olga", Role::Owner, &[]);
    program(&server, "ada", None).json("DELETE", "/api/v1/users/me", &json!({})).expect(204);
    let body = json!({"username": "ada", "display_name": "A", "password": PASSWORD});
    let taken = server.client().post("/api/v1/users", body).expect(409);
    assert_eq!(taken.code(), "username_taken", "a stranger learns nothing more");
    assert!(server.app().accounts.resolve("ada").unwrap().is_none());
    server
        .client()
        .post("/api/v1/auth/login/api", json!({"username": "ada", "password": PASSWORD}))
        .expect(401);

    let mut olga = program(&server, "olga", None);
    let mut body = json!({"username": "ada", "display_name": "Ada"});
    let refused = olga.post("/api/v1/admin/users", body.clone()).expect(409);
    assert_eq!(refused.code(), "username_used_before");
    assert!(refused.text().contains("reuse_username"), "{}", refused.text());
    body["reuse_username"] = true.into();
    let made = olga.post("/api/v1/admin/users", body.clone()).expect(201).json();
    assert_ne!(made["user"]["id"], ada.to_string());
    assert_eq!(olga.post("/api/v1/admin/users", body).expect(409).code(), "username_taken");
}

/// PRI-03: the page asks once more.
#[test]
fn the_page_for_a_new_person_warns_of_a_name_that_somebody_had() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Member);
    server.add_user("olga", Role::Owner, &[]);
    server.block_on(server.app().accounts.delete(ada, |_, _| {})).unwrap();
    let mut olga = browser(&server, "olga");
    olga.headers.clear();
    let page = olga.get("/admin/people/new").expect(200);
    assert!(page.input("reuse_username").is_none());
    let token = page.input("csrf").unwrap();
    let fields = [("csrf", token.as_str()), ("username", "ada"), ("role", "member")];
    let warned = olga.form("/admin/people/new", &fields).expect(409);
    assert!(warned.text().contains("had this username"), "{}", warned.text());
    assert_eq!(warned.input("reuse_username").as_deref(), Some("yes"));
    let fields = [&fields[..], &[("reuse_username", "yes")]].concat();
    olga.form("/admin/people/new", &fields).expect(201);
}

/// AUD-01: the life of a one-time link is written down: made, withdrawn by a newer one, used.
#[test]
fn what_becomes_of_a_link_is_an_event() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let path = format!("/api/v1/admin/users/{mia}/link");
    olga.post(&path, json!({})).expect(201);
    assert_eq!(events(&server, "link.withdrawn", "mia"), 0);
    let link = olga.post(&path, json!({})).expect(201).json();
    assert_eq!((events(&server, "link.withdrawn", "mia"), events(&server, "link.used", "mia")), (1, 0));
    let link = link["url"].as_str().unwrap().strip_prefix(ORIGIN).unwrap();
    server.client().form(link, &[("password", "a-brand-new-pass-phrase")]).expect(200);
    assert_eq!((events(&server, "link.withdrawn", "mia"), events(&server, "link.used", "mia")), (1, 1));
}

/// AUD-01: who tries the administration without being an administrator is written down.
#[test]
fn a_refused_administrative_request_is_an_event() {
    let server = Server::start();
    server.add_user("mia", Role::Member, &[]);
    let mut mia = browser(&server, "mia");
    mia.get_json("/api/v1/admin/users").expect(403);
    mia.get("/admin/people").expect(403);
    assert_eq!(events(&server, "admin.refused", "mia"), 2);
}

/// AUD-06, RES-04: but not as often as somebody likes to, or one member's script fills the log and the disk.
#[test]
fn a_member_does_not_fill_the_log_with_refusals() {
    let server = Server::start();
    let mia = server.add_bare_user("mia", Role::Member);
    let mut browser = server.web_session(mia).client(&server);
    for _ in 0..200 {
        browser.get("/admin/people").expect(403);
    }
    assert_eq!(events(&server, "admin.refused", "mia"), 5);
    server.clock.advance(Duration::from_secs(60));
    browser.get("/admin/people").expect(403);
    assert_eq!(events(&server, "admin.refused", "mia"), 6, "and a minute later it is news again");
}

/// LIM-01, RES-04: whoever tries bad tokens is counted like whoever brings none, apart from them, and told to wait.
#[test]
fn bad_tokens_do_not_escape_the_limit_of_strangers() {
    let server = Server::start_with(|options| options.api_rule.limit = 20);
    let ada = server.add_bare_user("ada", Role::Member);
    let good = server.access_token(ada);
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let mut forger = server.client().with_bearer(&forged);
    for _ in 0..20 {
        let refused = forger.get_json("/api/v1/users/me").expect(401);
        assert_eq!(refused.code(), "token_bad_signature");
    }
    let answer = forger.get_json("/api/v1/users/me").expect(429);
    assert!(answer.header("retry-after").is_some() && answer.header("ratelimit").is_some());
    // One program with an old token keeps no other of its place from asking for a new one.
    let body = json!({"refresh_token": "x".repeat(43)});
    let refresh = server.client().post("/api/v1/auth/refresh/api", body);
    assert_ne!(refresh.status, 429, "{}", refresh.text());
    // Who brings a good one from the same place has a count of their own.
    let mut ada = server.client().with_bearer(&good);
    for _ in 0..20 {
        ada.get_json("/api/v1/users/me").expect(200);
    }
    ada.get_json("/api/v1/users/me").expect(429);
}

/// LIM-01: a refusal was counted like any answer, and says so.
#[test]
fn a_refusal_tells_what_is_left() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Member);
    let mut ada = server.client().with_bearer(&server.access_token(ada));
    let answers = [
        ada.json("PATCH", "/api/v1/users/me", &json!({"display_name": ""})).expect(422),
        ada.get_json("/api/v1/admin/users").expect(403),
        ada.get_json("/api/v1/users/me").expect(200),
        server.client().get_json("/api/v1/users/me").expect(401),
    ];
    for answer in answers {
        assert!(answer.header("ratelimit").is_some(), "{} {:?}", answer.status, answer.headers);
        assert!(answer.header("ratelimit-policy").is_some(), "{}", answer.status);
    }
}

/// AUD-01, FAIL-03: a clock that was moved is written down, and one that runs is not.
#[test]
fn a_step_of_the_clock_is_written_down() {
    let server = Server::start();
    let steps = || {
        server.block_on(server.app().every_minute()).unwrap();
        server.block_on(server.app().audit.flush()).unwrap();
        let rows = server.app().audit.part(&doorward::audit::Filter::default(), None, 200).unwrap().rows;
        rows.iter().filter(|row| row.kind == "clock.stepped").count()
    };
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(steps(), 0);
    server.clock.set_wall(server.clock.now().plus(Duration::from_secs(86_400)));
    assert_eq!(steps(), 1);
    assert_eq!(steps(), 1, "once for a step");
    server.clock.set_wall(server.clock.now().minus(Duration::from_secs(3600)));
    assert_eq!(steps(), 2);
}
