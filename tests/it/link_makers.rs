//! One-time links of an administrator who is none any more: they open nothing (GEN-02).

use doorward::accounts::records::Role;
use serde_json::{Value, json};

use crate::harness::{Client, ORIGIN, Server, lift_limits};

/// A link of each kind that administrators make, each for a way back in.
fn links(server: &Server, admin: &mut Client, victim: &str) -> Vec<String> {
    let made = |answer: Value| answer["url"].as_str().unwrap().strip_prefix(ORIGIN).unwrap().to_owned();
    let invite = json!({"role": "admin", "groups": []});
    let invited = json!({"username": format!("{victim}-new"), "display_name": "New", "role": "admin"});
    let id = server.app().accounts.resolve(victim).unwrap().unwrap().id;
    let reset = format!("/api/v1/admin/users/{id}/link");
    let new = admin.post("/api/v1/admin/users", invited).expect(201).json();
    vec![
        made(admin.post("/api/v1/admin/invites", invite).expect(201).json()),
        made(admin.post(&reset, json!({})).expect(201).json()),
        made(new["link"].clone()),
    ]
}

/// Whether a link shows its form, or leads to the one for a new account.
fn is_alive(server: &Server, link: &str) -> bool {
    let answer = server.client().get(link);
    assert!(matches!(answer.status, 200 | 303 | 410), "{}", answer.text());
    answer.status != 410
}

#[test]
fn links_of_an_administrator_die_with_their_power() {
    for fate in ["disabled", "demoted", "deleted", "nothing"] {
        let server = Server::start_with(lift_limits);
        let owner = server.add_user("olga", Role::Owner, &[]);
        let mallory = server.add_user("mallory", Role::Admin, &[]);
        server.add_user("victim", Role::Member, &[]);
        let mut admin = server.client().with_bearer(&server.access_token(mallory));
        let made = links(&server, &mut admin, "victim");
        for link in &made {
            assert!(is_alive(&server, link), "{link}");
        }
        let mut olga = server.client().with_bearer(&server.access_token(owner));
        let path = format!("/api/v1/admin/users/{mallory}");
        match fate {
            "disabled" => drop(olga.post(&format!("{path}/disable"), json!({})).expect(204)),
            "demoted" => drop(olga.json("PATCH", &path, &json!({"role": "member"})).expect(200)),
            "deleted" => drop(olga.json("DELETE", &path, &json!({})).expect(204)),
            _ => {}
        }
        for link in &made {
            assert_eq!(is_alive(&server, link), fate == "nothing", "{fate} {link}");
        }
        let listed = olga.get_json("/api/v1/admin/invites").expect(200).json();
        let count = listed.as_object().unwrap().values().find_map(Value::as_array).unwrap().len();
        assert_eq!(count > 0, fate == "nothing", "{listed}");
        if fate != "nothing" {
            let body =
                [("username", "back"), ("display_name", ""), ("password", "walnut-harbor-eleven-comet")];
            assert!(server.client().form(&made[0], &body).status >= 400);
            server.client().form(&made[1], &body).expect(410);
            assert!(server.app().accounts.resolve("back").unwrap().is_none());
        }
    }
}

/// What the owner made, or somebody at the machine, is not touched by what becomes of others.
#[test]
fn links_of_others_stay() {
    let server = Server::start_with(lift_limits);
    let owner = server.add_user("olga", Role::Owner, &[]);
    let mallory = server.add_user("mallory", Role::Admin, &[]);
    server.add_user("victim", Role::Member, &[]);
    let mut olga = server.client().with_bearer(&server.access_token(owner));
    let made = links(&server, &mut olga, "victim");
    olga.post(&format!("/api/v1/admin/users/{mallory}/disable"), json!({})).expect(204);
    for link in &made {
        assert!(is_alive(&server, link), "{link}");
    }
}

/// Renaming a group gives nobody anything: not into a name that a rule knows while nobody is in that group.
#[test]
fn a_group_takes_no_name_that_a_rule_knows() {
    let server = Server::start_with(lift_limits);
    let owner = server.add_user("olga", Role::Owner, &[]);
    server.add_user("mia", Role::Member, &["family"]);
    server.set_rules(&["allow one_factor domain=bank.home.localhost group=treasurers"]);
    let mut olga = server.client().with_bearer(&server.access_token(owner));
    let path = "/api/v1/admin/groups/family";
    let taken = olga.json("PATCH", path, &json!({"name": "treasurers"})).expect(409);
    assert_eq!(taken.code(), "group_exists");
    assert!(olga.json("PATCH", path, &json!({"name": "relatives"})).status < 300);
}
