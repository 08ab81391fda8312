//! Administration by API: who may do what to whom, what it ends, and what is written down.

use std::time::Duration;

use doorward::accounts::records::{Role, Status};
use doorward::accounts::users::{AccountError, SecondFactorPolicy};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD, Server};
use crate::my_account::{browser, events, program};

const USERS: &str = "/api/v1/admin/users";
const NEW_PASSWORD: &str = "walnut-harbor-eleven-comet";

fn path(id: impl std::fmt::Display, deed: &str) -> String {
    if deed.is_empty() { format!("{USERS}/{id}") } else { format!("{USERS}/{id}/{deed}") }
}

pub(crate) fn later(server: &Server) {
    server.clock.advance(Duration::from_secs(601));
}

fn step_up(client: &mut Client) {
    client.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
}

#[track_caller]
pub(crate) fn refuses(answer: Answer, status: u16, code: &str) {
    let answer = answer.expect(status);
    assert_eq!(answer.code(), code);
}

pub(crate) fn login(server: &Server, name: &str, password: &str) -> Answer {
    server.client().post("/api/v1/auth/login/api", json!({"username": name, "password": password}))
}

/// GEN-06, ADM-01: nothing of the administration answers a member or nobody, by reading or by writing.
#[test]
fn members_reach_nothing_of_the_administration() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    server.add_user("mia", Role::Member, &[]);
    let mut mia = program(&server, "mia", None);
    let mut window = browser(&server, "mia");
    let mut calls: Vec<(&str, String)> = vec![
        ("GET", USERS.to_owned()),
        ("POST", USERS.to_owned()),
        ("GET", path(olga, "")),
        ("PATCH", path(olga, "")),
        ("DELETE", path(olga, "")),
    ];
    for deed in ["disable", "enable", "link", "reset-second-factor", "sign-out", "lift"] {
        calls.push(("POST", path(olga, deed)));
    }
    for (method, path) in [
        ("GET", "groups"),
        ("POST", "groups"),
        ("DELETE", "groups/x"),
        ("GET", "rules"),
        ("PUT", "rules"),
        ("POST", "rules/check"),
        ("GET", "audit"),
        ("GET", "audit/export"),
        ("POST", "keys/rotate"),
    ] {
        calls.push((method, format!("/api/v1/admin/{path}")));
    }
    for (method, path) in calls {
        let call = |client: &mut Client| match method {
            "GET" => client.get_json(&path),
            _ => client.json(method, &path, &json!({})),
        };
        refuses(call(&mut mia), 403, "not_allowed");
        call(&mut server.client()).expect(401);
    }
    for page in ["/admin", "/admin/people", "/admin/people/new", "/admin/rules", "/admin/audit"] {
        window.get(page).expect(403);
    }
    window.form("/admin/people/new", &[("username", "eve"), ("role", "owner")]).expect(403);
}

/// PWD-11: an admin gives a link and no password; the person chooses one, once.
#[test]
fn a_new_person_chooses_a_password_by_a_link_that_works_once() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = program(&server, "olga", None);
    let body = json!({"username": "Ben", "email": "ben@example.org", "groups": ["family"], "password": "x"});
    refuses(olga.post(USERS, body), 400, "unknown_field");
    let body = json!({"username": "Ben", "email": "ben@example.org", "groups": ["family"]});
    let made = olga.post(USERS, body.clone()).expect(201).json();
    assert_eq!(made["user"]["username"], "ben");
    assert_eq!(made["user"]["role"], "member");
    let url = made["link"]["url"].as_str().unwrap();
    let link = url.strip_prefix("http://localhost").unwrap();
    refuses(login(&server, "ben", PASSWORD), 401, "invalid_credentials");
    assert!(server.client().get(link).expect(200).text().contains("Welcome"));
    server.client().form(link, &[("password", NEW_PASSWORD)]).expect(200);
    server.client().form(link, &[("password", PASSWORD)]).expect(410);
    login(&server, "ben", NEW_PASSWORD).expect(200);
    refuses(olga.post(USERS, body), 409, "username_taken");
    let other = json!({"username": "ben2", "email": "BEN@example.org"});
    refuses(olga.post(USERS, other), 409, "email_taken");
    refuses(olga.post(USERS, json!({"username": "no spaces"})), 422, "invalid_value");
    assert_eq!(events(&server, "user.created", "ben"), 1);
    assert_eq!(events(&server, "link.created", "ben"), 1);
}

/// ADM-01: power is given only after a fresh proof, and none above the own.
#[test]
fn power_is_given_after_a_fresh_proof_and_never_above_the_own() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("adam", Role::Admin, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut adam = program(&server, "adam", None);
    refuses(adam.post(USERS, json!({"username": "eve", "role": "owner"})), 403, "role_above_own");
    refuses(adam.json("PATCH", &path(mia, ""), &json!({"role": "owner"})), 403, "role_above_own");
    later(&server);
    refuses(adam.post(USERS, json!({"username": "eve", "role": "admin"})), 403, "step_up_required");
    refuses(adam.json("PATCH", &path(mia, ""), &json!({"role": "admin"})), 403, "step_up_required");
    adam.post(USERS, json!({"username": "tom"})).expect(201);
    let mut phone = program(&server, "mia", None);
    adam.json("PATCH", &path(mia, ""), &json!({"groups": ["b", "a"], "display_name": "Mia"})).expect(200);
    phone.get_json("/api/v1/users/me").expect(200);
    step_up(&mut adam);
    let raised = adam.json("PATCH", &path(mia, ""), &json!({"role": "admin"})).expect(200).json();
    assert_eq!((&raised["role"], &raised["groups"]), (&json!("admin"), &json!(["a", "b"])));
    phone.get_json("/api/v1/users/me").expect(401);
    assert_eq!(events(&server, "user.role_changed", "mia"), 1);
    assert_eq!(events(&server, "user.groups_changed", "mia"), 1);
    assert_eq!(events(&server, "user.changed", "mia"), 1);
    refuses(adam.json("PATCH", &path(mia, ""), &json!({"password": "x"})), 400, "unknown_field");
    refuses(adam.json("PATCH", &path(mia, ""), &json!({"status": "disabled"})), 400, "unknown_field");
    refuses(adam.json("PATCH", &path("x", ""), &json!({})), 404, "not_found");
}

/// ADM-01: rules decide who gets in, so a list goes into force after a fresh proof, whichever way; drafting stays free.
#[test]
fn rules_go_into_force_after_a_fresh_proof() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let (mut olga, mut window) = (program(&server, "olga", None), browser(&server, "olga"));
    let rule = json!({"domains": ["a.home.localhost"], "policy": "bypass"});
    later(&server);
    let put = json!({"version": 0, "rules": [rule]});
    refuses(olga.json("PUT", "/api/v1/admin/rules", &put), 403, "step_up_required");
    let draft = json!({"version": 0, "based_on": 0, "rules": [rule]});
    olga.json("PUT", "/api/v1/admin/rules/draft", &draft).expect(200);
    let apply = "/api/v1/admin/rules/draft/apply";
    refuses(olga.post(apply, json!({"version": 1})), 403, "step_up_required");
    let answer = window.form("/admin/rules/draft/apply", &[("version", "1")]).expect(303);
    assert_eq!(answer.header("location"), Some("/step-up?next=%2Fadmin%2Frules"));
    assert!(server.app().access.list().rules().is_empty());
    step_up(&mut olga);
    olga.post(apply, json!({"version": 1})).expect(200);
}

/// ADM-01: rules and apps open to groups, so who puts themselves into one takes power. Groups of others are everyday work.
#[test]
fn nobody_changes_their_own_groups_without_a_fresh_proof() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["staff"]);
    let adam = server.add_user("adam", Role::Admin, &["family"]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut client = program(&server, "adam", None);
    later(&server);
    let staff = "/api/v1/admin/groups/staff/members";
    let more = json!({"groups": ["family", "staff"]});
    refuses(client.json("PATCH", &path(adam, ""), &more), 403, "step_up_required");
    refuses(client.json("PUT", &format!("{staff}/{adam}"), &json!({})), 403, "step_up_required");
    client.json("PATCH", &path(adam, ""), &json!({"groups": ["family"]})).expect(200);
    client.json("PUT", &format!("{staff}/{mia}"), &json!({})).expect(204);
    step_up(&mut client);
    client.json("PATCH", &path(adam, ""), &more).expect(200);
}

/// Nobody gains or loses anything by a new name: what cannot follow it, or would be given away by it, keeps the old one.
#[test]
fn a_group_is_not_renamed_where_somebody_would_gain_or_lose_by_it() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["kids"]);
    let mut olga = program(&server, "olga", None);
    let rename =
        |olga: &mut Client| olga.json("PATCH", "/api/v1/admin/groups/kids", &json!({"name": "children"}));
    // A draft may name the old name, or the new one, though no rule in force does.
    for (version, group) in [(0, "kids"), (2, "children")] {
        let rule = json!({"domains": ["a.home.localhost"], "groups": [group], "policy": "one_factor"});
        let draft = json!({"version": version, "based_on": 0, "rules": [rule]});
        olga.json("PUT", "/api/v1/admin/rules/draft", &draft).expect(200);
        refuses(rename(&mut olga), 409, "draft_open");
        olga.json("DELETE", "/api/v1/admin/rules/draft", &json!({})).expect(204);
    }
    // Hosts and paths would have to be renamed with it.
    for rule in [
        "allow one_factor domain={group}.home.localhost",
        r"allow one_factor host~=^(?P<Group>\w+)\.home\.localhost$",
        "allow one_factor domain=a.home.localhost resource=^/(?P<Group>[a-z]+)/",
    ] {
        server.set_rules(&[rule]);
        refuses(rename(&mut olga), 409, "group_in_address");
    }
    server.set_rules(&["allow one_factor domain={user}.home.localhost"]);
    // Whoever takes the invitation would be in the group.
    let body = json!({"note": "Grandma", "groups": ["children"]});
    let invite = olga.post("/api/v1/admin/invites", body).expect(201);
    refuses(rename(&mut olga), 409, "group_exists");
    let handle = olga.get_json("/api/v1/admin/invites").json()["invites"][0]["handle"].clone();
    let handle = handle.as_str().unwrap_or_else(|| panic!("{}", invite.text()));
    olga.json("DELETE", &format!("/api/v1/admin/invites/{handle}"), &json!({})).expect(204);
    rename(&mut olga).expect(200);
}

/// ADM-03: who was only invited cannot sign in, so the last one who can does not go.
#[test]
fn an_owner_who_was_only_invited_is_no_owner_left() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    let mut client = program(&server, "olga", None);
    let otto = json!({"username": "otto", "role": "owner"});
    let otto = client.post(USERS, otto).expect(201).json()["link"]["url"].as_str().unwrap().to_owned();
    refuses(client.json("DELETE", "/api/v1/users/me", &json!({})), 409, "last_owner");
    let accounts = &server.app().accounts;
    assert!(matches!(server.block_on(accounts.delete(olga, |_, _| {})), Err(AccountError::LastAdmin)));
    let link = otto.strip_prefix("http://localhost").unwrap();
    server.client().form(link, &[("password", NEW_PASSWORD)]).expect(200);
    client.json("DELETE", "/api/v1/users/me", &json!({})).expect(204);
}

/// ADM-01, ADM-03: an admin has no power over an owner; nobody takes away their own.
#[test]
fn owners_are_out_of_reach_and_nobody_disables_themselves() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    server.enrol_totp(olga);
    let adam = server.add_user("adam", Role::Admin, &[]);
    let mut client = program(&server, "adam", None);
    for deed in ["disable", "enable", "link", "reset-second-factor", "sign-out"] {
        refuses(client.post(&path(olga, deed), json!({})), 403, "owner_only");
    }
    refuses(client.json("PATCH", &path(olga, ""), &json!({"email": ""})), 403, "owner_only");
    refuses(client.json("DELETE", &path(olga, ""), &json!({})), 403, "owner_only");
    for deed in ["disable", "enable", "link", "reset-second-factor"] {
        refuses(client.post(&path(adam, deed), json!({})), 403, "own_account");
    }
    refuses(client.json("PATCH", &path(adam, ""), &json!({"role": "member"})), 403, "own_account");
    refuses(client.json("DELETE", &path(adam, ""), &json!({})), 403, "own_account");
    assert_eq!(server.app().accounts.user(&olga).unwrap().status, Status::Active);
}

/// ADM-03: however two admins send each other away, one stays.
#[test]
fn two_admins_who_disable_each_other_leave_one() {
    for _ in 0..5 {
        let server = Server::start();
        let (ann, bea) = (server.add_user("ann", Role::Admin, &[]), server.add_user("bea", Role::Admin, &[]));
        let clients = [(program(&server, "ann", None), bea), (program(&server, "bea", None), ann)];
        let threads: Vec<_> = clients
            .into_iter()
            .map(|(mut client, other)| {
                std::thread::spawn(move || client.post(&path(other, "disable"), json!({})).status)
            })
            .collect();
        let statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let active = server.app().accounts.directory().count_active(|user| user.role.is_admin());
        assert_eq!(active, 1, "{statuses:?}");
    }
}

/// GEN-02: a disabled person is out everywhere at once, and stays out of old sessions when enabled again.
#[test]
fn disabling_ends_everything_at_once() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let link = olga.post(&path(mia, "link"), json!({})).expect(201).json();
    let tokens = login(&server, "mia", PASSWORD).expect(200).json();
    let mut phone = server.client().with_bearer(tokens["access_token"].as_str().unwrap());
    let mut desk = browser(&server, "mia");
    olga.post(&path(mia, "disable"), json!({})).expect(204);
    phone.get_json("/api/v1/users/me").expect(401);
    desk.get_json("/api/v1/users/me").expect(401);
    login(&server, "mia", PASSWORD).expect(401);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    server.client().post("/api/v1/auth/refresh/api", refresh).expect(401);
    let link = link["url"].as_str().unwrap().strip_prefix("http://localhost").unwrap().to_owned();
    server.client().get(&link).expect(410);
    olga.post(&path(mia, "enable"), json!({})).expect(204);
    phone.get_json("/api/v1/users/me").expect(401);
    login(&server, "mia", PASSWORD).expect(200);
    let counts = [events(&server, "user.disabled", "mia"), events(&server, "user.enabled", "mia")];
    assert_eq!(counts, [1, 1]);
}

/// OTP-11: a reset is for a fresh admin, ends every session, and is told at the next sign-in, once.
#[test]
fn a_reset_second_factor_is_told_to_the_person() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    refuses(olga.post(&path(mia, "reset-second-factor"), json!({})), 409, "no_second_factor");
    let (authenticator, _) = server.enrol_totp(mia);
    let mut phone = program(&server, "mia", Some(&authenticator.code()));
    later(&server);
    refuses(olga.post(&path(mia, "reset-second-factor"), json!({})), 403, "step_up_required");
    step_up(&mut olga);
    olga.post(&path(mia, "reset-second-factor"), json!({})).expect(204);
    phone.get_json("/api/v1/users/me").expect(401);
    assert_eq!(events(&server, "second_factor.reset", "mia"), 1);
    // An answer that has no place for it leaves it for the next one.
    let body = json!({"username": "mia", "password": PASSWORD});
    server.client().post("/api/firstfactor", body).expect(200);
    let mut desk = server.client();
    let page = desk.form("/signin", &[("username", "mia"), ("password", PASSWORD)]).expect(200).text();
    assert!(page.contains("olga Person removed your second factor"), "{page}");
    desk.get("/account").expect(200);
    assert_eq!(login(&server, "mia", PASSWORD).expect(200).json()["notice"], Value::Null);
}

/// PWD-12: a link skips no second factor; a new one ends the old one.
#[test]
fn a_new_link_ends_the_old_one_and_skips_no_factor() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    server.enrol_totp(mia);
    let mut olga = program(&server, "olga", None);
    let mut make = || {
        let answer = olga.post(&path(mia, "link"), json!({})).expect(201).json();
        answer["url"].as_str().unwrap().strip_prefix("http://localhost").unwrap().to_owned()
    };
    let (first, second) = (make(), make());
    server.client().get(&first).expect(410);
    server.client().form(&second, &[("password", NEW_PASSWORD)]).expect(200);
    assert_eq!(login(&server, "mia", NEW_PASSWORD).expect(200).json()["status"], "mfa_required");
    later(&server);
    refuses(olga.post(&path(mia, "link"), json!({})), 403, "step_up_required");
}

#[test]
fn sessions_end_suspensions_lift_and_people_go() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let mut phone = program(&server, "mia", None);
    olga.post(&path(mia, "sign-out"), json!({})).expect(204);
    phone.get_json("/api/v1/users/me").expect(401);
    for _ in 0..5 {
        login(&server, "mia", "wrong-password-every-time").expect(401);
    }
    refuses(login(&server, "mia", PASSWORD), 429, "suspended");
    let found = olga.get_json(&format!("{USERS}?filter=suspended")).expect(200).json();
    assert_eq!((&found["total"], &found["users"][0]["username"]), (&json!(1), &json!("mia")));
    let detail = olga.get_json(&path(mia, "")).expect(200).json();
    assert!(!detail.to_string().contains("argon2"), "GEN-07");
    let handle = detail["suspensions"][0]["handle"].as_str().unwrap();
    refuses(olga.post(&path(mia, "lift"), json!({"handle": "nonsense"})), 404, "not_found");
    olga.post(&path(mia, "lift"), json!({"handle": handle})).expect(204);
    refuses(olga.post(&path(mia, "lift"), json!({})), 404, "not_found");
    // At once: the attempts that led to it count no more.
    login(&server, "mia", PASSWORD).expect(200);
    later(&server);
    refuses(olga.json("DELETE", &path(mia, ""), &json!({})), 403, "step_up_required");
    step_up(&mut olga);
    olga.json("DELETE", &path(mia, ""), &json!({})).expect(204);
    olga.get_json(&path(mia, "")).expect(404);
    login(&server, "mia", PASSWORD).expect(401);
    for kind in ["session.all_ended", "suspension.lifted", "user.deleted"] {
        assert_eq!(events(&server, kind, "mia"), 1, "{kind}");
    }
    refuses(olga.post(USERS, json!({"username": "mia"})), 409, "username_used_before");
    olga.post(USERS, json!({"username": "mia", "reuse_username": true})).expect(201);
}

/// INP-07: pages have 1 to 200 rows, and a foreign cursor is the first page.
#[test]
fn people_are_found_filtered_and_paged() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = program(&server, "olga", None);
    for number in 0..5 {
        let name = format!("kid{number}");
        olga.post(USERS, json!({"username": name, "groups": ["kids"]})).expect(201);
    }
    let mut names: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = olga.get_json(&format!("{USERS}?q=KIDS&limit=2&cursor={cursor}")).expect(200).json();
        assert_eq!(page["total"], 5);
        let rows = page["users"].as_array().unwrap();
        names.extend(rows.iter().map(|row| row["username"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(names, ["kid0", "kid1", "kid2", "kid3", "kid4"]);
    assert_eq!(olga.get_json(&format!("{USERS}?filter=admins")).json()["total"], 1);
    assert_eq!(olga.get_json(&format!("{USERS}?cursor=@@@&limit=1")).json()["users"][0]["username"], "kid0");
    for bad in ["limit=0", "limit=201", "filter=nonsense"] {
        refuses(olga.get_json(&format!("{USERS}?{bad}")), 422, "invalid_value");
    }
}

#[test]
fn groups_are_made_listed_and_deleted_when_nobody_uses_them() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["family"]);
    server.set_rules(&["allow one_factor domain=a.home.localhost group=kids"]);
    let mut olga = program(&server, "olga", None);
    let groups = "/api/v1/admin/groups";
    for name in ["kids", "guests"] {
        olga.post(groups, json!({"name": name})).expect(201);
    }
    refuses(olga.post(groups, json!({"name": "guests"})), 409, "group_exists");
    refuses(olga.post(groups, json!({"name": "family"})), 409, "group_exists");
    refuses(olga.post(groups, json!({"name": "a,b"})), 422, "invalid_value");
    let listed = olga.get_json(groups).expect(200).json();
    assert_eq!(
        listed["groups"],
        json!([
            {"name": "family", "members": 1, "rules": 0, "apps": 0},
            {"name": "guests", "members": 0, "rules": 0, "apps": 0},
            {"name": "kids", "members": 0, "rules": 1, "apps": 0},
        ])
    );
    let mut delete = |name: &str| olga.json("DELETE", &format!("{groups}/{name}"), &json!({}));
    refuses(delete("family"), 409, "group_in_use");
    refuses(delete("kids"), 409, "group_in_use");
    refuses(delete("nobody"), 404, "not_found");
    delete("guests").expect(204);
    assert_eq!(events(&server, "group.", "olga"), 3);
}

#[test]
fn rules_are_read_replaced_and_tried() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["family"]);
    let mut olga = program(&server, "olga", None);
    let rules = "/api/v1/admin/rules";
    let version = olga.get_json(rules).expect(200).json()["version"].clone();
    let new = json!([{"domains": ["photos.home.localhost"], "groups": ["family"], "policy": "one_factor"}]);
    let put = olga.json("PUT", rules, &json!({"version": version, "rules": new})).expect(200).json();
    assert_eq!(put["rules"].as_array().unwrap().len(), 1);
    refuses(olga.json("PUT", rules, &json!({"version": version, "rules": []})), 409, "rules_changed");
    let bad = json!({"version": put["version"], "rules": [{"domains": [], "policy": "deny"}]});
    refuses(olga.json("PUT", rules, &bad), 422, "unsound_rule");
    let check = "/api/v1/admin/rules/check";
    let asked = json!({"url": "photos.home.localhost", "username": "olga"});
    let answer = olga.post(check, asked).expect(200).json();
    assert_eq!((&answer["outcome"], &answer["rule"]), (&json!("allow"), &json!(1)));
    olga.post(check, json!({"url": "photos.home.localhost", "username": "nobody"})).expect(422);
    assert_eq!(events(&server, "rule.changed", "olga"), 1);
}

#[test]
fn a_draft_of_the_rules_is_kept_tried_applied_and_discarded() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["family"]);
    let mut olga = program(&server, "olga", None);
    let (url, check) = ("/api/v1/admin/rules/draft", "/api/v1/admin/rules/check");
    let start = olga.get_json(url).expect(200).json();
    assert_eq!((&start["is_open"], &start["rules"]), (&json!(false), &json!([])));
    let asked = json!({"url": "a.home.localhost", "username": "olga", "address": "10.1.2.3", "draft": true});
    refuses(olga.post(check, asked.clone()), 404, "no_draft");
    let rules =
        json!([{"domains": ["a.home.localhost"], "networks": ["10.0.0.0/8"], "policy": "one_factor"}]);
    let put = |version: &serde_json::Value, based_on: &serde_json::Value| json!({"version": version, "based_on": based_on, "rules": rules});
    let body = put(&start["version"], &start["based_on"]);
    let draft = olga.json("PUT", url, &body).expect(200).json();
    assert_eq!((&draft["is_open"], &draft["is_current"]), (&json!(true), &json!(true)));
    refuses(olga.json("PUT", url, &body), 409, "rules_changed");
    let answer = olga.post(check, asked.clone()).expect(200).json();
    assert_eq!(
        (&answer["outcome"], &answer["trail"][0]),
        (&json!("allow"), &json!("Rule 1 fits, and olga Person has proven enough."))
    );
    let live = json!({"url": "a.home.localhost", "username": "olga", "address": "10.1.2.3"});
    assert_eq!(olga.post(check, live).expect(200).json()["outcome"], "forbidden");
    let apply = "/api/v1/admin/rules/draft/apply";
    refuses(olga.post(apply, json!({"version": 0})), 409, "rules_changed");
    let list = olga.post(apply, json!({"version": draft["version"]})).expect(200).json();
    assert_eq!((list["rules"].as_array().unwrap().len(), &list["version"]), (1, &json!(1)));
    refuses(olga.post(apply, json!({"version": draft["version"]})), 404, "no_draft");
    let start = olga.get_json(url).expect(200).json();
    olga.json("PUT", url, &put(&start["version"], &start["based_on"])).expect(200);
    refuses(olga.json("DELETE", &format!("{url}?version=1"), &json!({})), 409, "rules_changed");
    olga.json("DELETE", url, &json!({})).expect(204);
    refuses(olga.json("DELETE", url, &json!({})), 404, "no_draft");
    assert_eq!((events(&server, "rule.changed", "olga"), events(&server, "rule.drafted", "olga")), (1, 3));
}

/// A thousand rules for ten thousand hosts come in as one list, and as a draft.
#[test]
fn the_largest_list_comes_in_through_the_api() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = program(&server, "olga", None);
    let rule = |number: usize| {
        let hosts: Vec<String> = (0..10).map(|host| format!("app-{number}-{host}.home.localhost")).collect();
        json!({"domains": hosts, "networks": ["192.168.0.0/16"], "policy": "one_factor"})
    };
    let rules: Vec<_> = (0..1000).map(rule).collect();
    let put =
        olga.json("PUT", "/api/v1/admin/rules", &json!({"version": 0, "rules": rules})).expect(200).json();
    assert_eq!(put["rules"].as_array().unwrap().len(), 1000);
    let start = olga.get_json("/api/v1/admin/rules/draft").expect(200).json();
    let reversed: Vec<_> = rules.iter().rev().collect();
    let body = json!({"version": start["version"], "based_on": start["based_on"], "rules": reversed});
    let draft = olga.json("PUT", "/api/v1/admin/rules/draft", &body).expect(200).json();
    olga.post("/api/v1/admin/rules/draft/apply", json!({"version": draft["version"]})).expect(200);
    let decided = olga
        .post(
            "/api/v1/admin/rules/check",
            json!({"url": "app-999-9.home.localhost", "address": "192.168.7.7"}),
        )
        .json();
    assert_eq!((&decided["rule"], &decided["outcome"]), (&json!(1), &json!("sign_in")), "{decided}");
}

/// AUD-01, ADM-01: the log is read by questions; its export is for a fresh admin and is itself an event.
#[test]
fn the_log_is_read_and_exported() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("mia", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    program(&server, "mia", None);
    login(&server, "mia", "wrong-password-every-time").expect(401);
    assert_eq!(events(&server, "sign_in.failed", "mia"), 1);
    let log = "/api/v1/admin/audit";
    let refused = olga.get_json(&format!("{log}?who=mia&outcome=refused")).expect(200).json();
    let rows = refused["events"].as_array().unwrap();
    assert!(rows.len() == 1 && rows[0]["kind"] == "sign_in.failed", "{refused}");
    assert!(!refused.to_string().contains("127.0.0.1"), "PRI-01: no address is stored");
    let today = doorward::kernel::time::Clock::now(&*server.clock).to_rfc3339();
    let day = &today[..10];
    let some = olga.get_json(&format!("{log}?from={day}&to={day}&limit=1")).expect(200).json();
    assert_eq!(some["events"].as_array().unwrap().len(), 1);
    let cursor = some["next_cursor"].as_str().unwrap();
    olga.get_json(&format!("{log}?cursor={cursor}")).expect(200);
    let none = olga.get_json(&format!("{log}?from=2099-01-01")).expect(200).json();
    assert_eq!(none["events"], json!([]));
    for bad in ["from=yesterday", "outcome=ok", "who=a%20b", "limit=0"] {
        refuses(olga.get_json(&format!("{log}?{bad}")), 422, "invalid_value");
    }
    let export = olga.get_json(&format!("{log}/export?who=mia")).expect(200);
    assert!(export.header("content-disposition").unwrap().contains("doorward-audit.jsonl"));
    let lines = export.text();
    assert!(!lines.is_empty());
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert!(row["actor"] == "mia" || row["user"] == "mia", "{line}");
    }
    assert_eq!(events(&server, "audit.exported", "olga"), 1);
    later(&server);
    refuses(olga.get_json(&format!("{log}/export")), 403, "step_up_required");
}

/// TOK-15, ADM-01: after an emergency rotation no old access token is good, and refresh tokens give new ones.
#[test]
fn rotated_keys_void_every_access_token() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let tokens = login(&server, "olga", PASSWORD).expect(200).json();
    let access = tokens["access_token"].as_str().unwrap();
    let mut olga = server.client().with_bearer(access);
    later(&server);
    refuses(olga.post("/api/v1/admin/keys/rotate", json!({})), 403, "step_up_required");
    step_up(&mut olga);
    let keys = olga.post("/api/v1/admin/keys/rotate", json!({})).expect(200).json();
    assert!(!keys["keys"].as_array().unwrap().is_empty());
    refuses(olga.get_json("/api/v1/users/me"), 401, "token_bad_signature");
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let renewed = server.client().post("/api/v1/auth/refresh/api", refresh).expect(200).json();
    let access = renewed["access_token"].as_str().unwrap();
    server.client().with_bearer(access).get_json("/api/v1/users/me").expect(200);
    assert_eq!(events(&server, "keys.rotated", "olga"), 1);
}

/// A promoted person has to prove what the new role asks for before it counts.
#[test]
fn a_new_admin_signs_in_again_and_enrols_where_admins_must() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Admins);
    let olga = server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(olga);
    let mut phone = program(&server, "mia", None);
    let mut olga = program(&server, "olga", Some(&authenticator.code()));
    olga.json("PATCH", &path(mia, ""), &json!({"role": "admin"})).expect(200);
    phone.get_json(USERS).expect(401);
    assert_eq!(login(&server, "mia", PASSWORD).expect(200).json()["status"], "mfa_enrolment_required");
}

#[test]
fn keys_are_rotated_again_and_again_and_new_tokens_are_good_at_once() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut desk = browser(&server, "olga");
    for _ in 0..3 {
        desk.post("/api/v1/admin/keys/rotate", json!({})).expect(200);
        server.clock.advance(Duration::from_secs(200));
        let mut olga = program(&server, "olga", None);
        olga.get_json("/api/v1/users/me").expect(200);
        olga.post("/api/v1/admin/keys/rotate", json!({})).expect(200);
        refuses(olga.get_json("/api/v1/users/me"), 401, "token_bad_signature");
    }
}
