//! Profile claims by API and command line: who may change what, who vouches for what, and what is written down.

use doorward::accounts::profile::Edit;
use doorward::accounts::records::Role;
use doorward::kernel::ids::UserId;
use serde_json::{Value, json};

use crate::admin::{later, refuses};
use crate::harness::{Client, PASSWORD, Server, in_parallel};
use crate::my_account::{browser, events, program};
use crate::trouble::program::Installation;

const OWN: &str = "/api/v1/users/me/profile";
const USERS: &str = "/api/v1/admin/users";

fn of(id: UserId) -> String {
    format!("{USERS}/{id}/profile")
}

fn patch(client: &mut Client, path: &str, body: Value) -> crate::harness::Answer {
    client.json("PATCH", path, &body)
}

fn is_verified(server: &Server, id: UserId) -> bool {
    server.app().accounts.profile(&id).unwrap().is_some_and(|profile| profile.email_verified)
}

#[test]
fn a_person_reads_and_changes_the_own_claims() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    let empty = ada.get_json(OWN).expect(200).json();
    assert_eq!(empty["given_name"], Value::Null);
    assert_eq!(empty["attributes"], json!({}));
    assert_eq!(empty["updated_at"], Value::Null);
    let body = json!({
        "given_name": "Ada", "birthdate": "1815-12-10", "locale": "en_GB", "picture": "https://example.org/a.png",
        "address": {"locality": "London", "country": "UK"},
    });
    let changed = patch(&mut ada, OWN, body).expect(200).json();
    assert_eq!((&changed["locale"], &changed["given_name"]), (&json!("en-GB"), &json!("Ada")));
    assert!(changed["updated_at"].is_string());
    let body = json!({"given_name": null, "address": {"country": null, "region": "England"}});
    patch(&mut ada, OWN, body).expect(200);
    let shown = ada.get_json(OWN).expect(200).json();
    assert_eq!(shown["given_name"], Value::Null);
    assert_eq!(shown["address"], json!({"locality": "London", "region": "England"}));
    assert_eq!(shown["birthdate"], "1815-12-10");
    assert_eq!(events(&server, "user.changed", "ada"), 2);
    patch(&mut ada, OWN, json!({"birthdate": "1815-12-10"})).expect(200);
    assert_eq!(events(&server, "user.changed", "ada"), 2, "nothing changed");
    refuses(patch(&mut ada, OWN, json!({"given_name": "a\u{202e}b"})), 422, "invalid_value");
    refuses(patch(&mut ada, OWN, json!({"picture": "http://example.org/a.png"})), 422, "invalid_value");
    // And it survives a restart and a browser sees the same.
    let server = server.restart();
    assert_eq!(browser(&server, "ada").get_json(OWN).expect(200).json(), shown);
}

/// OA-19, ADM-02: nobody vouches for themselves, gives themselves attributes, or becomes somebody else.
#[test]
fn nobody_vouches_for_themselves() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let olga = server.add_user("olga", Role::Owner, &[]);
    for name in ["ada", "olga"] {
        let mut client = program(&server, name, None);
        for (claim, value) in [
            ("email_verified", json!(true)),
            ("phone_number_verified", json!(true)),
            ("attributes", json!({"role": "admin"})),
            ("attributes", Value::Null),
            ("subject", json!("somebody-else")),
            ("subject", Value::Null),
        ] {
            let answer = patch(&mut client, OWN, json!({"nickname": "x", claim: value})).expect(422);
            assert_eq!(answer.code(), "not_yours");
            assert!(answer.json()["detail"].as_str().unwrap().contains(claim));
        }
        for claim in
            ["sub", "iss", "groups", "role", "email", "name", "preferred_username", "updated_at", "revision"]
        {
            refuses(patch(&mut client, OWN, json!({claim: "x"})), 400, "unknown_field");
        }
        refuses(
            patch(&mut client, "/api/v1/users/me", json!({"email_verified": true})),
            400,
            "unknown_field",
        );
    }
    for id in [ada, olga] {
        assert!(server.app().accounts.profile(&id).unwrap().is_none(), "nothing of a refused change is kept");
    }
}

/// OA-19: an address that an administrator entered is verified, one that its owner typed is not.
#[test]
fn an_address_is_verified_by_whoever_enters_it() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let mut me = program(&server, "ada", None);
    let person = format!("{USERS}/{ada}");
    assert!(!is_verified(&server, ada));
    patch(&mut olga, &person, json!({"email": "a@example.org"})).expect(200);
    assert!(is_verified(&server, ada));
    patch(&mut me, "/api/v1/users/me", json!({"display_name": "Ada L."})).expect(200);
    assert!(is_verified(&server, ada), "the address is the same");
    patch(&mut me, "/api/v1/users/me", json!({"email": "b@example.org"})).expect(200);
    assert!(!is_verified(&server, ada));
    patch(&mut olga, &person, json!({"display_name": "Ada"})).expect(200);
    assert!(!is_verified(&server, ada), "the administrator did not look at the address");
    let shown = patch(&mut olga, &person, json!({"email_verified": true})).expect(200).json();
    assert_eq!(shown["email_verified"], true);
    assert!(is_verified(&server, ada));
    patch(&mut olga, &person, json!({"email": "c@example.org", "email_verified": false})).expect(200);
    assert!(!is_verified(&server, ada));
    patch(&mut olga, &of(ada), json!({"email_verified": true})).expect(200);
    assert!(is_verified(&server, ada));
    patch(&mut me, "/api/v1/users/me", json!({"email": ""})).expect(200);
    assert!(!is_verified(&server, ada), "there is no address");
    refuses(patch(&mut olga, &of(ada), json!({"email_verified": true})), 422, "no_email");
    refuses(patch(&mut olga, &person, json!({"email_verified": true})), 422, "no_email");
    // New people, by the API and by the page.
    let made = olga.post(USERS, json!({"username": "ben", "email": "ben@example.org"})).expect(201).json();
    assert_eq!(made["user"]["email_verified"], true);
    let body = json!({"username": "cat", "email": "cat@example.org", "email_verified": false});
    assert_eq!(olga.post(USERS, body).expect(201).json()["user"]["email_verified"], false);
    let mut window = browser(&server, "olga");
    let revision = window.get(&format!("/admin/people/{ada}")).expect(200).input("revision").unwrap();
    let form = [
        ("display_name", "Ada"),
        ("email", "d@example.org"),
        ("role", "member"),
        ("revision", revision.as_str()),
    ];
    window.form(&format!("/admin/people/{ada}/profile"), &form).expect(303);
    assert!(is_verified(&server, ada));
    // Whoever registers types the address.
    let body = json!({"username": "dan", "password": PASSWORD, "email": "dan@example.org"});
    server.client().post("/api/v1/users", body).expect(201);
    let dan = server.app().accounts.resolve("dan").unwrap().unwrap().id;
    assert!(!is_verified(&server, dan));
}

/// OA-19: a number that its owner changes is not verified any more; another number needs a fresh proof.
#[test]
fn another_number_needs_a_proof_and_is_not_verified() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let mut me = program(&server, "ada", None);
    let body = json!({"phone_number": "+44 20 1234 5678", "phone_number_verified": true});
    let shown = patch(&mut olga, &of(ada), body).expect(200).json();
    assert_eq!(
        (&shown["phone_number"], &shown["phone_number_verified"]),
        (&json!("+442012345678"), &json!(true))
    );
    later(&server);
    patch(&mut me, OWN, json!({"phone_number": "+44 (20) 12345678", "nickname": "A"})).expect(200);
    refuses(patch(&mut me, OWN, json!({"phone_number": "+442012345679"})), 403, "step_up_required");
    refuses(patch(&mut me, OWN, json!({"phone_number": null})), 403, "step_up_required");
    me.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
    let shown = patch(&mut me, OWN, json!({"phone_number": "+442012345679"})).expect(200).json();
    assert_eq!(shown["phone_number_verified"], false);
}

/// ADM-01, ADM-02: administrators change the claims of members and of nobody above them.
#[test]
fn administrators_change_the_claims_of_others() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    let adam = server.add_user("adam", Role::Admin, &[]);
    let mia = server.add_user("mia", Role::Member, &[]);
    let mut client = program(&server, "adam", None);
    let attributes = json!({"attributes": {"quota": "5", "immich_role": "user"}, "given_name": "Mia"});
    let shown = patch(&mut client, &of(mia), attributes).expect(200).json();
    assert_eq!(shown["attributes"], json!({"quota": "5", "immich_role": "user"}));
    patch(&mut client, &of(mia), json!({"attributes": {"quota": null, "x": "y"}})).expect(200);
    let shown = client.get_json(&of(mia)).expect(200).json();
    assert_eq!(shown["attributes"], json!({"immich_role": "user", "x": "y"}));
    assert_eq!(program(&server, "mia", None).get_json(OWN).expect(200).json(), shown);
    assert_eq!(events(&server, "user.changed", "mia"), 2);
    refuses(patch(&mut client, &of(olga), json!({"given_name": "x"})), 403, "owner_only");
    refuses(patch(&mut client, &of(mia), json!({"attributes": {"sub": "x"}})), 422, "invalid_value");
    let mut member = program(&server, "mia", None);
    refuses(member.get_json(&of(mia)), 403, "not_allowed");
    refuses(patch(&mut member, &of(mia), json!({"email_verified": true})), 403, "not_allowed");
    refuses(patch(&mut client, &of(UserId([9; 16])), json!({})), 404, "not_found");
    later(&server);
    patch(&mut client, &of(mia), json!({"phone_number": "+4930123456"})).expect(200);
    refuses(patch(&mut client, &of(mia), json!({"subject": "legacy"})), 403, "step_up_required");
    for own in [
        json!({"email_verified": true}),
        json!({"attributes": {"a": "b"}}),
        json!({"phone_number": "+4930123456"}),
    ] {
        refuses(patch(&mut client, &of(adam), own), 403, "step_up_required");
    }
    refuses(
        patch(&mut client, &format!("{USERS}/{adam}"), json!({"email_verified": true})),
        403,
        "step_up_required",
    );
}

/// A person has as many attributes as there may be, of any length there may be, and not one more.
#[test]
fn attributes_are_bounded() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let long = "李".repeat(1024);
    let all: serde_json::Map<_, _> = (0..32).map(|index| (format!("a{index}"), json!(long))).collect();
    let shown = patch(&mut olga, &of(ada), json!({"attributes": all})).expect(200).json();
    assert_eq!(shown["attributes"].as_object().unwrap().len(), 32);
    assert_eq!(olga.get_json(&of(ada)).expect(200).json(), shown);
    refuses(patch(&mut olga, &of(ada), json!({"attributes": {"b": "x"}})), 422, "too_many_attributes");
    patch(&mut olga, &of(ada), json!({"attributes": {"b": "x", "a0": null}})).expect(200);
    let shown = patch(&mut olga, &of(ada), json!({"attributes": null})).expect(200).json();
    assert_eq!(shown["attributes"], json!({}));
    assert!(server.app().accounts.profile(&ada).unwrap().unwrap().attributes.is_empty());
}

/// OA-19, PRI-03: a subject belongs to one person for good: not to a second one, not after a change, not after a deletion.
#[test]
fn a_subject_is_never_given_twice() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let bob = server.add_user("bob", Role::Member, &[]);
    let mut olga = program(&server, "olga", None);
    let app = server.app().clone();
    assert_eq!(app.accounts.subject(&ada).unwrap(), ada.to_string());
    let found = |sub: &str| app.accounts.user_by_subject(sub).unwrap().map(|user| user.id);
    assert_eq!(found(&ada.to_string()), Some(ada));
    patch(&mut olga, &of(ada), json!({"subject": "legacy-1"})).expect(200);
    assert_eq!(app.accounts.subject(&ada).unwrap(), "legacy-1");
    assert_eq!(
        (found("legacy-1"), found(&ada.to_string()), found("legacy-2"), found("")),
        (Some(ada), None, None, None)
    );
    refuses(patch(&mut olga, &of(bob), json!({"subject": "legacy-1"})), 409, "subject_taken");
    refuses(patch(&mut olga, &of(bob), json!({"subject": ada.to_string()})), 422, "invalid_value");
    patch(&mut olga, &of(ada), json!({"subject": "legacy-2"})).expect(200);
    assert_eq!((found("legacy-1"), found("legacy-2")), (None, Some(ada)));
    refuses(patch(&mut olga, &of(bob), json!({"subject": "legacy-1"})), 409, "subject_taken");
    patch(&mut olga, &of(ada), json!({"subject": null})).expect(200);
    assert_eq!(app.accounts.subject(&ada).unwrap(), ada.to_string());
    patch(&mut olga, &of(ada), json!({"subject": "legacy-1"})).expect(200);
    olga.json("DELETE", &format!("{USERS}/{ada}"), &json!({})).expect(204);
    assert!(app.accounts.profile(&ada).unwrap().is_none());
    assert_eq!(found("legacy-1"), None);
    for old in ["legacy-1", "legacy-2"] {
        refuses(patch(&mut olga, &of(bob), json!({"subject": old})), 409, "subject_taken");
        assert!(app.accounts.is_subject(old).unwrap());
    }
    assert!(!app.accounts.is_subject("grafana").unwrap());
}

/// OA-19, GEN-03: of many who are given one subject at the same moment one gets it.
#[test]
fn of_many_who_are_given_one_subject_one_gets_it() {
    let server = Server::start();
    let users: Vec<_> =
        (0..8).map(|index| server.add_bare_user(&format!("u{index}"), Role::Member)).collect();
    let (app, handle) = (server.app().clone(), server.block_on(async { tokio::runtime::Handle::current() }));
    let given = in_parallel(8, move |index| {
        let edits = [Edit::parse("subject", Some("legacy")).unwrap()];
        let change = app.accounts.change_profile(
            users[index],
            |profile, _| {
                profile.apply(&edits);
                Ok(())
            },
            |_, _| {},
        );
        handle.block_on(change).is_ok()
    });
    assert_eq!(given.iter().filter(|is_given| **is_given).count(), 1);
}

/// GEN-03: attributes that many set at the same moment are all there, or refused; their bound holds.
#[test]
fn parallel_changes_lose_nothing() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Member);
    let (app, handle) = (server.app().clone(), server.block_on(async { tokio::runtime::Handle::current() }));
    let done = in_parallel(6, move |index| {
        let edits = [Edit::parse(&format!("attributes.a{index}"), Some("x")).unwrap()];
        let change = app.accounts.change_profile(
            ada,
            |profile, _| {
                profile.apply(&edits);
                Ok(())
            },
            |_, _| {},
        );
        handle.block_on(change).is_ok()
    });
    let kept = server.app().accounts.profile(&ada).unwrap().unwrap();
    assert_eq!(kept.attributes.len(), done.iter().filter(|is_done| **is_done).count());
    assert_eq!(kept.revision, kept.attributes.len() as u64);
}

/// PRI-03: a deleted person leaves no claim behind.
#[test]
fn a_deleted_person_leaves_no_claims() {
    use doorward::accounts::records::ProfileRow;
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut client = program(&server, "olga", None);
    let body = json!({
        "given_name": "Ada", "address": {"country": "UK"}, "attributes": {"a": "b", "c": "d"}, "phone_number": "+442012345678"
    });
    patch(&mut client, &of(ada), body).expect(200);
    patch(&mut client, &of(olga), json!({"given_name": "Olga"})).expect(200);
    let rows = || server.app().store().scan::<ProfileRow>(&[], None, 100).unwrap().len();
    assert_eq!(rows(), 5);
    let mut ada = program(&server, "ada", None);
    ada.json("DELETE", "/api/v1/users/me", &json!({})).expect(204);
    assert_eq!(rows(), 1);
}

#[test]
fn the_command_line_shows_and_changes_claims_of_a_running_server() {
    let mut installation = Installation::new();
    installation.settings.push("accounts.second_factor=optional".to_owned());
    let server = installation.serve();
    installation.run(["user", "add", "bob", "--email", "bob@example.org"]).succeed();
    let shown = installation.run(["user", "profile", "bob"]).succeed().out;
    assert!(shown.contains("email_verified=true"), "{shown}");
    let changed = installation
        .run([
            "user",
            "profile",
            "bob",
            "--claim",
            "given_name=Bob",
            "--claim",
            "address.locality=Oslo",
            "--claim",
            "attributes.quota=5=6",
            "--claim",
            "subject=legacy",
            "--claim",
            "email_verified=false",
        ])
        .succeed();
    let lines: Vec<&str> = changed.out.lines().collect();
    let expected = [
        "given_name=Bob",
        "address.locality=Oslo",
        "attributes.quota=5=6",
        "subject=legacy",
        "phone_number_verified=false",
        "email_verified=false",
    ];
    assert_eq!(lines, expected);
    let after = installation
        .run(["user", "profile", "bob", "--unset", "given_name", "--unset", "attributes"])
        .succeed();
    assert!(!after.out.contains("given_name") && !after.out.contains("quota"), "{after:?}");
    for (bad, said) in [
        ("given_name", "given_name=Ada"),
        ("sub=x", "There is no claim"),
        ("attributes.iss=x", "reserved"),
        ("birthdate=x", "birthday"),
    ] {
        let outcome = installation.run(["user", "profile", "bob", "--claim", bad]);
        assert!(outcome.code != Some(0) && outcome.err.contains(said), "{outcome:?}");
    }
    server.stop();
}
