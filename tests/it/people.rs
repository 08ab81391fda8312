//! Looking after people: invitations, groups, lists, and what speaks for a person.

use doorward::accounts::records::Role;
use doorward::admin::people_search::{Found, Order, Place, Search};
use serde_json::json;

use crate::admin::refuses;
use crate::harness::{Client, Server};
use crate::my_account::{browser, events, program};

const INVITES: &str = "/api/v1/admin/invites";
const NEW_PASSWORD: &str = "walnut-harbor-eleven-comet";

fn link_of(answer: &serde_json::Value) -> String {
    answer["url"].as_str().unwrap().strip_prefix("http://localhost/link/").unwrap().to_owned()
}

fn register(server: &Server, name: &str, invitation: &str) -> crate::harness::Answer {
    let fields = [("username", name), ("password", NEW_PASSWORD), ("invitation", invitation)];
    server.client().form("/register", &fields)
}

/// PWD-11, ADM-01: an invitation gives what was chosen beforehand, once, and nobody invites above themselves.
#[test]
fn an_invitation_gives_role_and_groups_once() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("adam", Role::Admin, &[]);
    let mut adam = program(&server, "adam", None);
    refuses(adam.post(INVITES, json!({"role": "owner"})), 403, "role_above_own");
    refuses(adam.post(INVITES, json!({"days": 0})), 422, "invalid_value");
    refuses(adam.post(INVITES, json!({"groups": ["a,b"]})), 422, "invalid_value");
    let made = adam.post(INVITES, json!({"groups": ["family"], "note": "Gran"})).expect(201).json();
    let listed = adam.get_json(INVITES).expect(200).text();
    assert!(listed.contains("Gran") && !listed.contains(&link_of(&made)), "no secret is listed: {listed}");
    register(&server, "gran", &link_of(&made)).expect(201);
    register(&server, "eve", &link_of(&made)).expect(410);
    let gran = server.app().accounts.resolve("gran").unwrap().unwrap();
    assert_eq!((gran.role, gran.is_in("family")), (Role::Member, true));
    assert_eq!(adam.get_json(INVITES).expect(200).json()["invites"], json!([]));
}

/// ADM-01: what an owner handed out, an admin cannot take back; what is withdrawn opens nothing.
#[test]
fn links_are_withdrawn_by_whoever_could_make_them() {
    let server = Server::start();
    let olga_id = server.add_user("olga", Role::Owner, &[]);
    server.add_user("otto", Role::Owner, &[]);
    server.add_user("adam", Role::Admin, &[]);
    let (mut olga, mut adam) = (program(&server, "olga", None), program(&server, "adam", None));
    let made = olga.post(INVITES, json!({"role": "owner"})).expect(201).json();
    let handle = |client: &mut Client| {
        let listed = client.get_json(INVITES).expect(200).json();
        listed["invites"][0]["handle"].as_str().unwrap().to_owned()
    };
    let path = format!("{INVITES}/{}", handle(&mut adam));
    refuses(adam.json("DELETE", &path, &json!({})), 403, "role_above_own");
    olga.json("DELETE", &path, &json!({})).expect(204);
    refuses(olga.json("DELETE", &path, &json!({})), 404, "not_found");
    register(&server, "eve", &link_of(&made)).expect(410);
    let mut otto = program(&server, "otto", None);
    otto.post(&format!("/api/v1/admin/users/{olga_id}/link"), json!({})).expect(201);
    let path = format!("{INVITES}/{}", handle(&mut adam));
    refuses(adam.json("DELETE", &path, &json!({})), 403, "owner_only");
    otto.json("DELETE", &path, &json!({})).expect(204);
}

/// A group that gets another name takes people, rules, apps and invitations along, so that nobody gains or loses anything.
#[test]
fn a_renamed_group_takes_everything_along() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("mia", Role::Member, &["family", "zoo"]);
    server.set_rules(&[
        "allow one_factor domain=a.home.localhost group=family",
        "allow one_factor domain=b.home.localhost group=zoo",
    ]);
    let mut olga = program(&server, "olga", None);
    let app = json!({"id": "app", "name": "App", "redirect_uris": ["https://app.example.org/cb"], "groups": ["family"]});
    olga.post("/api/v1/admin/clients", app).expect(201);
    let made = olga.post(INVITES, json!({"groups": ["family"]})).expect(201).json();
    let groups = "/api/v1/admin/groups";
    let rename = |client: &mut Client, from: &str, to: &str| {
        client.json("PATCH", &format!("{groups}/{from}"), &json!({"name": to}))
    };
    refuses(rename(&mut olga, "family", "zoo"), 409, "group_exists");
    refuses(rename(&mut olga, "nobodys", "kin"), 404, "not_found");
    refuses(rename(&mut olga, "family", "a b"), 422, "invalid_value");
    let renamed = rename(&mut olga, "family", "kin").expect(200).json();
    assert_eq!(renamed, json!({"name": "kin", "members": 1, "rules": 1, "apps": 1}));
    let listed = olga.get_json(groups).expect(200).text();
    assert!(!listed.contains("family"), "{listed}");
    let mia = server.app().accounts.resolve("mia").unwrap().unwrap();
    assert_eq!(mia.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["kin", "zoo"]);
    let asked = json!({"url": "a.home.localhost", "username": "mia"});
    let answer = olga.post("/api/v1/admin/rules/check", asked).expect(200).json();
    assert_eq!((&answer["outcome"], &answer["rule"]), (&json!("allow"), &json!(1)));
    assert_eq!(olga.get_json("/api/v1/admin/clients/app").json()["groups"], json!(["kin"]));
    register(&server, "gran", &link_of(&made)).expect(201);
    assert!(server.app().accounts.resolve("gran").unwrap().unwrap().is_in("kin"));
    assert_eq!(events(&server, "group.renamed", "olga"), 1);
    let draft = olga.get_json("/api/v1/admin/rules/draft").json();
    let body = json!({"version": draft["version"], "based_on": draft["based_on"], "rules": []});
    olga.json("PUT", "/api/v1/admin/rules/draft", &body).expect(200);
    refuses(rename(&mut olga, "kin", "family"), 409, "draft_open");
    let server = server.restart();
    assert!(server.app().accounts.resolve("mia").unwrap().unwrap().is_in("kin"), "also after a restart");
    assert!(server.app().access.list().rules()[0].to_string().contains("kin"));
}

/// Whatever the order, going through the pages shows everyone once.
#[test]
fn people_are_listed_once_in_every_order() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    for number in 0..7 {
        server.clock.advance(std::time::Duration::from_secs(60));
        server.add_user(&format!("kid{number}"), Role::Member, &["kids"]);
    }
    let mut olga = program(&server, "olga", None);
    for (sort, first) in [("", "kid0"), ("newest", "kid6"), ("seen", "olga")] {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/admin/users?limit=3&sort={sort}&cursor={cursor}");
            let page = olga.get_json(&path).expect(200).json();
            assert_eq!(page["total"], 8);
            for row in page["users"].as_array().unwrap() {
                names.push(row["username"].as_str().unwrap().to_owned());
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!(names[0], first, "{sort}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 8, "{sort}: {names:?}");
    }
    let kids = olga.get_json("/api/v1/admin/users?group=kids&limit=1").expect(200).json();
    assert_eq!(kids["total"], 7);
    refuses(olga.get_json("/api/v1/admin/users?sort=nonsense"), 422, "invalid_value");
}

/// LIM-05: an account that has to wait everywhere is found, shown and freed on the page, though no place is paused.
#[test]
fn a_delay_everywhere_is_shown_and_lifted() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let lockout = server.app().sign_in.lockout();
    let subject = lockout.subject(Some(mia), "");
    for place in 0..20_u8 {
        lockout.note_failure(subject, &[place]);
    }
    assert!(lockout.is_delayed(mia));
    let mut olga = browser(&server, "olga");
    olga.headers.clear();
    let list = olga.get("/admin/people?filter=suspended").expect(200).text();
    assert!(list.contains("mia Person") && !list.contains("olga Person</a>"), "{list}");
    let url = format!("/admin/people/{mia}");
    let page = olga.get(&url).expect(200);
    assert!(page.text().contains("id=\"delayed\""));
    let csrf = page.input("csrf").unwrap();
    olga.form(&format!("{url}/lift"), &[("csrf", &csrf)]).expect(303);
    assert!(!server.app().sign_in.lockout().is_delayed(mia));
    let again = olga.form(&format!("{url}/lift"), &[("csrf", &csrf)]).expect(404).text();
    assert!(again.contains("is not paused"), "{again}");
}

/// The page says since when, by whom and why an account is disabled; markup in a reason stays text.
#[test]
fn the_reason_of_a_disabled_account_is_shown() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut olga = browser(&server, "olga");
    let disable = format!("/api/v1/admin/users/{mia}/disable");
    refuses(olga.post(&disable, json!({"reason": "x".repeat(201)})), 422, "invalid_value");
    refuses(olga.post(&disable, json!({"reason": "a\u{202e}b"})), 422, "invalid_value");
    olga.post(&disable, json!({"reason": "moved <b>out</b>"})).expect(204);
    let page = olga.get(&format!("/admin/people/{mia}")).expect(200).text();
    assert!(page.contains("by olga. Reason: moved &#60;b&#62;out"), "{page}");
}

/// Whoever leafs through a list forwards and back sees the same pages, in every order.
#[test]
fn a_list_of_people_is_leafed_through_in_both_directions() {
    let server = Server::start();
    for number in 0..7 {
        let groups: &[&str] = if number % 3 == 0 { &["family"] } else { &["guests"] };
        server.add_user(&format!("user{number}"), Role::Member, groups);
        server.clock.advance(std::time::Duration::from_secs(u64::from(number == 3)));
    }
    let admin = &server.app().admin;
    for (q, order) in [("", ""), ("guests", ""), ("", "newest"), ("guests", "newest"), ("", "seen")] {
        let order = Order::parse(order).unwrap();
        let page = |after: Option<Place>| {
            admin.find_people(&Search { q: q.to_owned(), order, after, ..Search::default() }, 2)
        };
        let names = |found: &Found| -> Vec<String> {
            found.people.iter().map(|user| user.username.to_string()).collect()
        };
        let mut found = page(None);
        assert_eq!(found.before, None);
        let mut forwards = vec![names(&found)];
        while let Some(next) = found.next.take() {
            found = page(Some(next));
            forwards.push(names(&found));
        }
        assert_eq!(forwards.concat().len(), if q.is_empty() { 7 } else { 4 });
        for expected in forwards.iter().rev().skip(1) {
            let before = found.before.take();
            found = page(before);
            assert_eq!(names(&found), *expected, "{q} {order:?}");
        }
        assert_eq!(found.before, None, "{q} {order:?}");
    }
}
