//! Administration by pages: every form, what it leads to, and what it says when it is refused.

use doorward::accounts::records::Role;
use serde_json::json;

use crate::admin::{later, login};
use crate::harness::{Answer, Client, Server};
use crate::my_account::{browser, events, program};

#[track_caller]
fn leads_to(answer: Answer, location: &str) {
    let answer = answer.expect(303);
    assert_eq!(answer.header("location"), Some(location));
}

/// Opens a page and returns the browser's token for its forms.
fn token(client: &mut Client, path: &str) -> String {
    client.headers.clear();
    client.get(path).expect(200).input("csrf").unwrap()
}

#[test]
fn the_pages_add_a_person_and_show_the_link_once() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["family"]);
    let mut olga = browser(&server, "olga");
    let csrf = token(&mut olga, "/admin/people/new");
    let bad = [("csrf", csrf.as_str()), ("username", "a b"), ("role", "member"), ("display_name", "Ben")];
    let page = olga.form("/admin/people/new", &bad).expect(422).text();
    assert!(page.contains("A username holds only") && page.contains("value=\"Ben\""));
    let fields = [
        ("csrf", csrf.as_str()),
        ("username", "ben"),
        ("display_name", "Ben <b>"),
        ("role", "member"),
        ("group", "family"),
        ("group", "kids"),
        ("new_group", "cinema"),
    ];
    let page = olga.form("/admin/people/new", &fields).expect(201).text();
    assert!(page.contains("http://localhost/link/") && page.contains("Ben &#60;b&#62;"), "{page}");
    let ben = server.app().accounts.resolve("ben").unwrap().unwrap();
    let groups: Vec<&str> = ben.groups.iter().map(|group| group.as_str()).collect();
    assert_eq!(groups, ["cinema", "family", "kids"]);
    let page = olga.get(&format!("/admin/people/{}", ben.id)).expect(200).text();
    assert!(!page.contains("/link/"), "shown once");
    assert!(page.contains("Invited") && page.contains("A user was created."));
    let list = olga.get("/admin/people?q=ben").expect(200).text();
    assert!(list.contains("1 person") && list.contains("Invited"));
    let taken = [("csrf", csrf.as_str()), ("username", "ben"), ("role", "member")];
    assert!(olga.form("/admin/people/new", &taken).expect(409).text().contains("already has this username"));
}

#[test]
fn the_pages_change_help_and_remove_a_person() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &["family"]);
    server.enrol_totp(mia);
    let mut olga = browser(&server, "olga");
    let url = format!("/admin/people/{mia}");
    let csrf = token(&mut olga, &url);
    let post = |client: &mut Client, deed: &str, more: &[(&str, &str)]| {
        let revision = client.get(&url).expect(200).input("revision").unwrap();
        let fields: Vec<(&str, &str)> = [("csrf", csrf.as_str()), ("revision", revision.as_str())]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        client.form(&format!("/admin/people/{mia}/{deed}"), &fields)
    };
    let profile = [("display_name", "Mia M."), ("email", ""), ("role", "admin"), ("group", "kids")];
    leads_to(post(&mut olga, "profile", &profile), &format!("{url}?done=saved"));
    assert!(olga.get(&format!("{url}?done=saved")).expect(200).text().contains("Saved."));
    let user = server.app().accounts.user(&mia).unwrap();
    assert_eq!((user.role, user.display_name.as_str(), user.email.is_none()), (Role::Admin, "Mia M.", true));
    let bad = [("display_name", ""), ("email", ""), ("role", "admin")];
    assert!(post(&mut olga, "profile", &bad).expect(422).text().contains("A display name has"));
    let bad = [("display_name", "M"), ("email", "olga@example.org"), ("role", "admin")];
    assert!(post(&mut olga, "profile", &bad).expect(409).text().contains("already has this e-mail"));
    let link = post(&mut olga, "link", &[]).expect(200).text();
    assert!(link.contains("Link for a new password for Mia M.") && link.contains("/link/"));
    leads_to(post(&mut olga, "reset-second-factor", &[]), &format!("{url}?done=reset"));
    let again = post(&mut olga, "reset-second-factor", &[]).expect(409).text();
    assert!(again.contains("no second factor to reset"));
    leads_to(post(&mut olga, "sign-out", &[]), &format!("{url}?done=signed-out"));
    leads_to(post(&mut olga, "disable", &[]), &format!("{url}?done=disabled"));
    assert!(olga.get("/admin/people?filter=disabled").expect(200).text().contains("Mia M."));
    leads_to(post(&mut olga, "enable", &[]), &format!("{url}?done=enabled"));
    assert!(post(&mut olga, "lift", &[("handle", "gone")]).expect(404).text().contains("is not paused"));
    later(&server);
    let step_up = format!("/step-up?next=%2Fadmin%2Fpeople%2F{mia}");
    for deed in ["delete", "link", "reset-second-factor"] {
        leads_to(post(&mut olga, deed, &[]), &step_up);
    }
    assert!(server.app().accounts.user(&mia).is_some());
}

#[test]
fn the_page_of_an_owner_says_why_it_cannot_be_changed() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    server.add_user("adam", Role::Admin, &[]);
    let mut adam = browser(&server, "adam");
    let url = format!("/admin/people/{olga}");
    let csrf = token(&mut adam, &url);
    assert!(adam.get(&url).expect(200).text().contains("Only an owner can change the account of an owner."));
    let refused = adam.form(&format!("{url}/disable"), &[("csrf", &csrf)]).expect(403).text();
    assert!(refused.contains("Only an owner can change"));
    adam.get("/admin/people/AAAAAAAAAAAAAAAAAAAAAA").expect(404);
    adam.get("/admin").expect(200);
}

#[test]
fn the_pages_add_edit_move_try_and_remove_rules() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &["family"]);
    let mut olga = browser(&server, "olga");
    let csrf = token(&mut olga, "/admin/rules/new");
    let add = |client: &mut Client, more: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> =
            [("csrf", csrf.as_str())].into_iter().chain(more.iter().copied()).collect();
        client.form("/admin/rules/new", &fields)
    };
    let nobody = [("domains", "a.home.localhost"), ("who", "some"), ("policy", "one_factor")];
    assert!(add(&mut olga, &nobody).expect(422).text().contains("Choose a group or name a person."));
    let bad = [("domains", "a.home.localhost"), ("who", "everyone"), ("policy", "deny"), ("paths", "api")];
    assert!(add(&mut olga, &bad).expect(422).text().contains("begins with ^"));
    let first = [
        ("domains", "photos.home.localhost\r\npics.home.localhost"),
        ("who", "some"),
        ("group", "family"),
        ("group", "kids"),
        ("users", "mia ben"),
        ("method", "GET"),
        ("method", "HEAD"),
        ("paths", "^/a\r\n^/b"),
        ("policy", "one_factor"),
    ];
    leads_to(add(&mut olga, &first), "/admin/rules?done=drafted");
    leads_to(
        add(&mut olga, &[("domains", "*.home.localhost"), ("who", "everyone"), ("policy", "deny")]),
        "/admin/rules?done=drafted",
    );
    let access = &server.app().access;
    assert!(access.list().rules().is_empty(), "nothing is in force yet");
    let line = access.draft().unwrap().rules()[0].to_string();
    assert_eq!(
        line,
        "allow one_factor domain=photos.home.localhost,pics.home.localhost path=^(?:(?:/a)|(?:/b)) method=GET,HEAD group=family,kids user=mia,ben"
    );
    let list = olga.get("/admin/rules").expect(200).text();
    assert!(list.contains("/admin/rules/2.0-1") && list.contains("<strong>photos.home.localhost</strong>"));
    assert!(
        list.contains("This is a draft") && list.matches("<span class=\"badge ok\">New</span>").count() == 2,
        "{list}"
    );
    let live = olga.get("/admin/rules?show=live").expect(200).text();
    assert!(
        live.contains("There is a draft")
            && live.contains("No rules yet")
            && !live.contains("/admin/rules/2.0-1")
    );
    let form = olga.get("/admin/rules/2.0-1").expect(200).text();
    assert!(form.contains("value=\"mia ben\""));
    leads_to(olga.get("/admin/rules/1.0-1"), "/admin/rules?done=stale");
    olga.get("/admin/rules/2.0-9").expect(404);
    olga.get("/admin/rules/nonsense").expect(404);
    leads_to(
        olga.form("/admin/rules/2.0-2/move", &[("csrf", &csrf), ("direction", "up")]),
        "/admin/rules?done=drafted",
    );
    // A form from before the move hits nothing.
    leads_to(olga.form("/admin/rules/2.0-1/remove", &[("csrf", &csrf)]), "/admin/rules?done=stale");
    let edit =
        [("csrf", csrf.as_str()), ("domains", "x.home.localhost"), ("who", "everyone"), ("policy", "bypass")];
    leads_to(olga.form("/admin/rules/3.0-1", &edit), "/admin/rules?done=drafted");
    let tried = olga.get("/admin/rules?user=&address=https://x.home.localhost/").expect(200).text();
    assert!(tried.contains("gets in, by rule 1") && tried.contains("Decided the test"), "{tried}");
    assert!(tried.contains("By the rules in force") && tried.contains("because no rule matches"), "{tried}");
    assert!(tried.contains("Rule 1 fits and lets everyone in."), "{tried}");
    let wrong = olga.get("/admin/rules?user=nobody&address=x.home.localhost&from=here").expect(200).text();
    assert!(wrong.contains("There is no account") || wrong.contains("Give an address such as 192.168.1.5."));
    leads_to(olga.form("/admin/rules/4.0-2/remove", &[("csrf", &csrf)]), "/admin/rules?done=drafted");
    assert_eq!(events(&server, "rule.changed", "olga"), 0);
    assert_eq!(events(&server, "rule.drafted", "olga"), 5);
    let apply = |client: &mut Client, version: &str| {
        client.form("/admin/rules/draft/apply", &[("csrf", &csrf), ("version", version)])
    };
    leads_to(apply(&mut olga, "4"), "/admin/rules?done=stale");
    leads_to(apply(&mut olga, "5"), "/admin/rules?done=applied");
    leads_to(apply(&mut olga, "5"), "/admin/rules?done=stale");
    assert_eq!(access.list().rules()[0].to_string(), "bypass domain=x.home.localhost");
    assert_eq!(events(&server, "rule.changed", "olga"), 1);
    leads_to(olga.form("/admin/rules/6.1-1/remove", &[("csrf", &csrf)]), "/admin/rules?done=drafted");
    let discard = [("csrf", csrf.as_str()), ("version", "7")];
    leads_to(olga.form("/admin/rules/draft/discard", &discard), "/admin/rules?done=discarded");
    assert_eq!(access.list().rules().len(), 1);
}

#[test]
fn a_draft_is_not_put_in_force_over_a_list_that_was_changed_meanwhile() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    let csrf = token(&mut olga, "/admin/rules/new");
    let rule = [("csrf", &*csrf), ("domains", "a.home.localhost"), ("who", "everyone"), ("policy", "bypass")];
    leads_to(olga.form("/admin/rules/new", &rule), "/admin/rules?done=drafted");
    server.set_rules(&["deny domain=a.home.localhost"]);
    let page = olga.get("/admin/rules").expect(200).text();
    assert!(page.contains("id=\"outdated\"") && !page.contains("id=\"apply\""), "{page}");
    let apply = [("csrf", &*csrf), ("version", "1")];
    leads_to(olga.form("/admin/rules/draft/apply", &apply), "/admin/rules?done=stale");
    assert_eq!(server.app().access.list().rules()[0].to_string(), "deny domain=a.home.localhost");
}

#[test]
fn the_audit_page_filters_and_exports() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    login(&server, "olga", "wrong-password-every-time").expect(401);
    events(&server, "", "olga");
    let page = olga.get("/admin/audit").expect(200).text();
    assert!(page.contains("Signed in.") && page.contains("Events, last 24 hours"));
    let page = olga.get("/admin/audit?kind=sign_in.&outcome=refused&who=olga").expect(200).text();
    assert!(page.contains("A sign-in was refused.") && !page.contains("Signed in."));
    assert!(page.contains("/admin/audit/export?who=olga&#38;kind=sign_in.&#38;outcome=refused"), "{page}");
    let wrong = olga.get("/admin/audit?from=never").expect(422).text();
    assert!(wrong.contains("A moment is a day"));
    let export = olga.get("/admin/audit/export?kind=sign_in.").expect(200);
    assert!(export.text().lines().count() >= 2);
    later(&server);
    leads_to(
        olga.get("/admin/audit/export?kind=sign_in."),
        "/step-up?next=%2Fadmin%2Faudit%3Fkind%3Dsign_in.",
    );
}

/// ADM-03: whatever an admin does to an owner on the pages is refused before it is looked for, also what stands there one
/// by one, and also by way of groups.
#[test]
fn no_page_reaches_an_owner() {
    let server = Server::start();
    let olga = server.add_bare_user("olga", Role::Owner);
    let adam = server.add_bare_user("adam", Role::Admin);
    let session = server.web_session(olga);
    let mut browser = server.web_session(adam).client(&server);
    browser.form("/admin/groups", &[("name", "family")]).expect(303);
    let handle = session.id.to_string();
    let deeds: [(&str, &[(&str, &str)]); 12] = [
        ("profile", &[("display_name", "Gone"), ("email", ""), ("role", "member")]),
        ("claims", &[("claim", "given_name"), ("value", "Gone")]),
        ("disable", &[("reason", "x")]),
        ("enable", &[]),
        ("reset-second-factor", &[]),
        ("link", &[]),
        ("sign-out", &[]),
        ("session", &[("handle", &handle)]),
        ("passkey", &[("handle", &handle)]),
        ("app-token", &[("handle", &handle)]),
        ("consent", &[("handle", "photos")]),
        ("delete", &[]),
    ];
    for (deed, fields) in deeds {
        let answer = browser.form(&format!("/admin/people/{olga}/{deed}"), fields);
        assert!(matches!(answer.status, 403 | 422), "{deed}: {} {}", answer.status, answer.text());
    }
    let joined = browser.form("/admin/groups/family/join", &[("username", "olga")]);
    assert!(matches!(joined.status, 403 | 422), "{} {}", joined.status, joined.text());
    let user = server.app().accounts.user(&olga).unwrap();
    assert_eq!((user.role, user.is_active(), user.groups.len()), (Role::Owner, true, 0));
    assert_eq!(user.display_name.as_str(), "olga");
    session.client(&server).get("/account").expect(200);
}

/// A form holds everything, so one from before somebody else changed something would undo that: it is refused.
#[test]
fn an_old_form_undoes_nothing() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mia = server.add_user("mia", Role::Member, &["family", "staff"]);
    let (mut olga, mut api) = (browser(&server, "olga"), program(&server, "olga", None));
    let revision =
        |client: &mut Client, url: &str| client.get(url).expect(200).input("revision").unwrap_or_default();

    let url = format!("/admin/people/{mia}");
    let old = revision(&mut olga, &url);
    let save = |client: &mut Client, revision: &str| {
        let fields = [
            ("display_name", "Mia"),
            ("email", "mia@example.org"),
            ("role", "member"),
            ("group", "family"),
            ("group", "staff"),
            ("revision", revision),
        ];
        client.form(&format!("{url}/profile"), &fields)
    };
    api.json("PATCH", &format!("/api/v1/admin/users/{mia}"), &json!({"groups": ["family"]})).expect(200);
    leads_to(save(&mut olga, &old), &format!("{url}?done=stale"));
    leads_to(save(&mut olga, ""), &format!("{url}?done=stale"));
    assert!(!server.app().accounts.user(&mia).unwrap().is_in("staff"));
    let page = olga.get(&format!("{url}?done=stale")).expect(200).text();
    assert!(page.contains("Someone else changed this meanwhile"), "{page}");
    let now = revision(&mut olga, &url);
    leads_to(save(&mut olga, &now), &format!("{url}?done=saved"));

    let body = json!({"id": "photos", "name": "Photos", "redirect_uris": ["https://photos.example.org/cb"],
        "groups": ["family", "staff"]});
    api.post("/api/v1/admin/clients", body).expect(201);
    let url = "/admin/apps/photos";
    let old = revision(&mut olga, url);
    let save = |client: &mut Client, revision: &str| {
        let fields = [
            ("name", "Pictures"),
            ("redirect_uris", "https://photos.example.org/cb"),
            ("scopes", "openid"),
            ("who", "some"),
            ("group", "family"),
            ("group", "staff"),
            ("level", "one_factor"),
            ("revision", revision),
        ];
        client.form(url, &fields)
    };
    let fewer = json!({"groups": ["family"]});
    api.json("PATCH", "/api/v1/admin/clients/photos", &fewer).expect(200);
    leads_to(save(&mut olga, &old), &format!("{url}?done=stale"));
    leads_to(save(&mut olga, ""), &format!("{url}?done=stale"));
    assert_eq!(server.app().oidc.client("photos").unwrap().settings.groups.len(), 1);
    let page = olga.get(&format!("{url}?done=stale")).expect(200).text();
    assert!(page.contains("Someone else changed this meanwhile"), "{page}");
    let now = revision(&mut olga, url);
    leads_to(save(&mut olga, &now), &format!("{url}?done=saved"));
}

/// What is not said is not permitted: a form that does not say whom something is for makes it for nobody.
#[test]
fn a_form_that_does_not_say_who_is_refused() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let (mut olga, mut api) = (browser(&server, "olga"), program(&server, "olga", None));
    let body = json!({"id": "photos", "name": "Photos", "redirect_uris": ["https://photos.example.org/cb"],
        "groups": ["family"]});
    api.post("/api/v1/admin/clients", body).expect(201);
    let url = "/admin/apps/photos";
    let revision = olga.get(url).expect(200).input("revision").unwrap_or_default();
    for who in [None, Some(""), Some("somebody")] {
        let mut rule = vec![("domains", "a.home.localhost"), ("policy", "one_factor")];
        let mut new =
            vec![("name", "New"), ("redirect_uris", "https://n.example.org/cb"), ("kind", "confidential")];
        let mut own = vec![
            ("name", "Photos"),
            ("redirect_uris", "https://photos.example.org/cb"),
            ("scopes", "openid"),
            ("level", "one_factor"),
            ("revision", revision.as_str()),
        ];
        for form in [&mut rule, &mut new, &mut own] {
            form.extend(who.map(|who| ("who", who)));
        }
        for (form, action) in
            [(rule, "/admin/rules/new"), (new, "/admin/apps/new/openid-connect"), (own, url)]
        {
            let answer = olga.form(action, &form);
            assert_eq!(answer.status, 422, "{action} {who:?}: {}", answer.text());
            assert!(answer.text().contains("id=\"who-error\""), "{action}: {}", answer.text());
        }
    }
    assert!(server.app().access.draft().is_none());
    assert_eq!(server.app().oidc.clients().len(), 1);
    assert_eq!(server.app().oidc.client("photos").unwrap().settings.groups.len(), 1);
}
