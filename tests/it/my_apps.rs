//! What people see of themself beyond factors and sessions: the apps they may open, those that have access to their
//! account, and the export of what is kept about them.

use std::time::Duration;

use doorward::accounts::records::Role;
use doorward::sessions::Factors;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD, Server};
use crate::my_account::{browser, events};
use crate::oidc::steps::agree;
use crate::oidc::{App, CALLBACK, Provider, text};

const APPS: &str = "/api/v1/users/me/apps";
const OFFLINE: &str = "openid email offline_access";

/// Takes a signed-in browser to an app, agreeing where asked; returns the tokens of the app.
fn open_app(provider: &Provider, browser: &mut Client, app: &App, scope: &str) -> Value {
    let code = agree(browser, &provider.authorize_path(app, &[("scope", scope)])).code();
    provider.exchange(app, &code, &[]).expect(200).json()
}

fn listed(browser: &mut Client) -> Vec<Value> {
    browser.get_json(APPS).expect(200).json()["apps"].as_array().unwrap().clone()
}

fn delete(browser: &mut Client, app: &str) -> Answer {
    browser.json("DELETE", &format!("{APPS}/{app}"), &json!({}))
}

#[test]
fn an_app_whose_access_is_taken_back_is_out_at_once_and_has_to_ask_again() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once", "name": "Grafana" }));
    let mut person = provider.person("mia");
    assert!(listed(&mut person.browser).is_empty());
    let tokens = open_app(&provider, &mut person.browser, &app, OFFLINE);
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    provider.userinfo(access).expect(200);
    let rows = listed(&mut person.browser);
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["client"], &rows[0]["name"]), (&json!(app.id), &json!("Grafana")));
    assert_eq!(rows[0]["scopes"], json!(["email", "offline_access", "openid"]));
    assert_eq!((&rows[0]["sign_ins"], &rows[0]["offline"]), (&json!(1), &json!(true)));
    assert!(rows[0]["last_used"].is_string() && rows[0]["since"].is_string());
    // What happened names the app as people know it, to them and to administrators.
    provider.server.block_on(provider.server.app().audit.flush()).unwrap();
    let activity = person.browser.get("/account/activity").expect(200).text();
    assert!(activity.contains("Grafana") && !activity.contains(&app.id), "{activity}");
    provider.server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&provider.server, "olga");
    let log = olga.get(&format!("/admin/audit?kind=app.&app={}", app.id)).expect(200).text();
    assert!(log.contains("Grafana</strong>"), "{log}");
    let mia = olga.get(&format!("/admin/people/{}", person.id)).expect(200).text();
    assert!(mia.contains("(Grafana)"), "{mia}");
    delete(&mut person.browser, &app.id).expect(204);
    provider.userinfo(access).expect(401);
    provider.refresh(&app, refresh, &[]).expect(400);
    assert!(listed(&mut person.browser).is_empty());
    assert_eq!(events(&provider.server, "app.consent_revoked", "mia"), 1);
    let again = provider.authorize(&mut person.browser, &app, &[("scope", OFFLINE)]).expect(200);
    assert!(again.text().contains("consent-allow"), "it has to ask");
    delete(&mut person.browser, &app.id).expect(404);
    assert_eq!(events(&provider.server, "app.consent_revoked", "mia"), 1, "nothing happened");
}

/// An app of the house asks nobody, and its access can be taken back all the same.
#[test]
fn access_without_consent_is_seen_and_ends_too() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "skip" }));
    let mut person = provider.person("mia");
    let tokens = open_app(&provider, &mut person.browser, &app, OFFLINE);
    assert_eq!(listed(&mut person.browser).len(), 1);
    delete(&mut person.browser, &app.id).expect(204);
    provider.userinfo(text(&tokens, "access_token")).expect(401);
    provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(400);
}

/// ENU-04, GEN-05: nobody touches what somebody else allowed, and nobody learns of it.
#[test]
fn what_somebody_else_allowed_stays() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let (mut mia, mut eve) = (provider.person("mia"), provider.person("eve"));
    let tokens = open_app(&provider, &mut mia.browser, &app, OFFLINE);
    assert!(listed(&mut eve.browser).is_empty());
    for wrong in [app.id.as_str(), "no-such-app", "a%20b", "%2e%2e"] {
        delete(&mut eve.browser, wrong).expect(404);
    }
    provider.userinfo(text(&tokens, "access_token")).expect(200);
    // Without the token of the session nothing is taken back either (WEB-01).
    let mut forged = mia.browser.clone();
    forged.headers.retain(|(name, _)| name != "X-CSRF-Token");
    delete(&mut forged, &app.id).expect(403);
    forged.form("/account/apps/revoke", &[("client", &app.id)]).expect(403);
    provider.userinfo(text(&tokens, "access_token")).expect(200);
}

#[test]
fn the_pages_say_which_apps_have_access_and_take_it_back() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once", "name": "Notes <of> us" }));
    let mut person = provider.person("mia");
    assert!(person.browser.get("/account/apps").expect(200).text().contains("No app has access"));
    open_app(&provider, &mut person.browser, &app, OFFLINE);
    let page = person.browser.get("/account/apps").expect(200);
    assert!(page.text().contains("Notes &#60;of&#62; us"), "{}", page.text());
    assert!(page.text().contains("Your e-mail address"), "scopes in words");
    assert_eq!(page.input("client").as_deref(), Some(app.id.as_str()));
    assert!(person.browser.get("/account/sessions").expect(200).text().contains("Apps that stay signed in"));
    assert!(person.browser.get("/account/security").expect(200).text().contains("1 app has access"));
    let revoke = |browser: &mut Client, client: &str| {
        let answer = browser.form("/account/apps/revoke", &[("client", client)]).expect(303);
        answer.header("location").unwrap().to_owned()
    };
    assert_eq!(revoke(&mut person.browser, &app.id), "/account/apps?done=revoked");
    assert_eq!(revoke(&mut person.browser, &app.id), "/account/apps");
    assert_eq!(revoke(&mut person.browser, "../x"), "/account/apps");
    assert!(person.browser.get("/account/apps").expect(200).text().contains("No app has access"));
}

fn tiles(browser: &mut Client, path: &str) -> String {
    let page = browser.get(path).expect(200).text();
    let start = page.find("id=\"apps\"").map_or(page.len(), |at| at);
    page[start..].split("</ul>").next().unwrap_or_default().to_owned()
}

/// OA-13, OA-15: the home shows what a person may open, and nothing that would turn them away.
#[test]
fn the_home_shows_the_apps_that_open_and_no_other() {
    let provider = Provider::start_with(|options| options.oidc.registration = true);
    provider.server.set_rules(&[
        "allow one_factor domain=photos.home.localhost group=friends",
        "allow one_factor domain=office.home.localhost group=staff",
        "allow two_factor domain=bank.home.localhost",
        "deny domain=wiki.home.localhost",
        "allow one_factor domain=*.home.localhost group=staff",
    ]);
    let at =
        |name: &str, host: &str| json!({ "name": name, "redirect_uris": [format!("https://{host}/cb")] });
    let with = |mut settings: Value, key: &str, value: Value| {
        settings[key] = value;
        settings
    };
    provider.add_app(at("Grafana", "metrics.example.org"));
    provider.add_app(at("Wiki", "wiki.home.localhost"));
    provider.add_app(at("Immich", "photos.home.localhost"));
    provider.add_app(with(at("Payroll", "pay.example.org"), "groups", json!(["staff"])));
    provider.add_app(with(at("Switched off", "off.example.org"), "is_disabled", json!(true)));
    provider.add_app(with(at("On the phone", "phone.example.org"), "is_native", json!(true)));
    let begun = with(
        at("Begins elsewhere", "a.example.org"),
        "initiate_login_uri",
        json!("https://b.example.org/go"),
    );
    provider.add_app(begun);
    let initial = provider.admin().post("/api/v1/admin/registration-tokens", json!({})).expect(201).json();
    let mut registering = provider.server.client().with_bearer(text(&initial, "token"));
    let metadata = json!({ "client_name": "Free money", "redirect_uris": [CALLBACK] });
    let registered = registering.post("/oauth2/register", metadata).expect(201).json();

    let mut person = provider.person("mia");
    let shown = tiles(&mut person.browser, "/");
    for name in ["Grafana", "Immich", "Bank", "Begins elsewhere"] {
        assert_eq!(shown.matches(&format!(">{name}</a>")).count(), 1, "{name}: {shown}");
    }
    for name in ["Wiki", "Payroll", "Switched off", "On the phone", "Free money", "Office", "Photos"] {
        assert!(!shown.contains(name), "{name}: {shown}");
    }
    assert!(shown.contains("https://metrics.example.org/\""), "{shown}");
    assert!(shown.contains("https://b.example.org/go?iss="), "{shown}");
    let bank = shown.split("<li").find(|tile| tile.contains(">Bank<")).unwrap();
    assert!(bank.contains("asks for a second factor"), "{bank}");
    // One that registered itself is there for those who let it in.
    let app = App {
        id: text(&registered, "client_id").to_owned(),
        secret: Some(text(&registered, "client_secret").to_owned()),
    };
    open_app(&provider, &mut person.browser, &app, "openid");
    assert!(tiles(&mut person.browser, "/").contains("Free money"));
    // Whoever loses the group loses the tile in the same moment.
    provider
        .warden()
        .json("PATCH", &format!("/api/v1/admin/users/{}", person.id), &json!({"groups": []}))
        .expect(200);
    let mut again = provider.server.web_session_with(person.id, Factors::PASSWORD).client(&provider.server);
    assert!(tiles(&mut again, "/").contains("Grafana") && !tiles(&mut again, "/").contains("Immich"));
}

#[test]
fn many_apps_can_be_searched() {
    let provider = Provider::start();
    let mut person = provider.person("mia");
    assert!(person.browser.get("/").expect(200).text().contains("No apps yet"));
    for number in 1..=9 {
        let host = format!("https://app{number}.example.org/cb");
        provider.add_app(json!({ "name": format!("Tool {number}"), "redirect_uris": [host] }));
    }
    assert!(person.browser.get("/").expect(200).text().contains("role=\"search\""));
    let shown = tiles(&mut person.browser, "/?q=APP7+tool");
    assert!(shown.contains("Tool 7") && !shown.contains("Tool 1"), "{shown}");
    let none = person.browser.get("/?q=%3Cscript%3E").expect(200).text();
    assert!(none.contains("“&#60;script&#62;”") && none.contains("id=\"no-apps\""), "{none}");
}

/// GEN-07: everything that is kept about a person, and no secret of it; behind a fresh proof, and told.
#[test]
fn the_export_holds_everything_and_no_secret() {
    let provider = Provider::start();
    let server = &provider.server;
    let app = provider.add_app(json!({ "consent": "once", "name": "Grafana" }));
    let (authenticator, codes) = server.enrol_totp(provider.ada);
    let mut ada = server.client();
    let login = json!({"username": "ada", "password": PASSWORD, "otp": authenticator.code()});
    let answer = ada.post("/api/v1/auth/login/web", login).expect(200).json();
    let mut ada = ada.with_header("X-CSRF-Token", text(&answer, "csrf_token"));
    let tokens = open_app(&provider, &mut ada, &app, OFFLINE);
    let made = ada.post("/api/v1/users/me/app-tokens", json!({ "name": "Backup" })).expect(201).json();
    ada.json("PATCH", "/api/v1/users/me/profile", &json!({ "nickname": "Lovelace" })).expect(200);
    server.add_user("bob", Role::Member, &[]);

    let document = ada.get_json("/api/v1/users/me/export").expect(200).json();
    assert_eq!(document["format"], "doorward.account/1");
    assert_eq!(document["account"]["username"], "ada");
    assert_eq!(document["profile"]["nickname"], "Lovelace");
    assert_eq!(document["factors"]["recovery_codes_left"], 10);
    assert!(document["factors"]["totp"]["created_at"].is_string());
    assert_eq!(document["apps"][0]["name"], "Grafana");
    assert_eq!(document["app_tokens"][0]["name"], "Backup");
    assert_eq!(document["sessions"].as_array().unwrap().len(), 1);
    let kinds: Vec<&str> =
        document["activity"].as_array().unwrap().iter().map(|event| text(event, "kind")).collect();
    assert!(kinds.contains(&"app_token.made") && kinds.contains(&"sign_in.succeeded"), "{kinds:?}");
    assert_eq!(document["activity_is_complete"], true);
    let whole = document.to_string();
    let cookie = ada.cookie("dw").unwrap();
    let mut secrets =
        vec![PASSWORD, "argon2", cookie.as_str(), text(&made, "token"), text(&tokens, "refresh_token")];
    secrets.extend(codes.iter().map(String::as_str));
    for secret in secrets {
        assert!(!whole.contains(secret), "{secret}");
    }
    for key in ["digest", "secret", "hash", "salt", "public_key", "credential"] {
        assert!(!whole.contains(&format!("\"{key}")), "{key}: {whole}");
    }
    assert!(!whole.contains("bob"), "nobody else is in it");
    assert_eq!(events(server, "account.exported", "ada"), 1);

    let file = ada.form("/account/export", &[]).expect(200);
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"doorward-ada.json\""));
    assert_eq!(file.header("content-type"), Some("application/json"));
    assert_eq!(file.header("cache-control"), Some("no-store"));
    assert_eq!(file.json()["account"]["username"], "ada");
    assert_eq!(events(server, "account.exported", "ada"), 2);

    server.clock.advance(Duration::from_secs(601));
    let refused = ada.get_json("/api/v1/users/me/export").expect(403);
    assert_eq!(refused.code(), "step_up_required");
    let answer = ada.form("/account/export", &[]).expect(303);
    assert_eq!(answer.header("location"), Some("/step-up?next=%2Faccount%2Fexport"));
    assert!(ada.get("/account/export").expect(200).text().contains("id=\"confirm\""));
    assert_eq!(events(server, "account.exported", "ada"), 2, "nothing was handed out");
}

/// REF-05: programs that signed in by the API stand in the list of sessions, and end from there.
#[test]
fn a_program_is_listed_as_such_and_can_be_ended() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let login = json!({"username": "ada", "password": PASSWORD});
    let mut program = server.client().with_header("User-Agent", "my-backup/2.0");
    let tokens = program.post("/api/v1/auth/login/api", login).expect(200).json();
    let mut desk = server.web_session(ada).client(&server);
    let page = desk.get("/account/sessions").expect(200);
    let programs = page.text().split("id=\"programs\"").nth(1).unwrap().to_owned();
    assert!(programs.contains("my-backup"), "{programs}");
    let handle = page.input("handle").unwrap();
    desk.form("/account/sessions/end", &[("handle", &handle)]).expect(303);
    server
        .client()
        .post("/api/v1/auth/refresh/api", json!({"refresh_token": tokens["refresh_token"]}))
        .expect(401);
    assert!(!desk.get("/account/sessions").expect(200).text().contains("my-backup"));
}

/// Pages speak the visitor's language; the API speaks English to everybody.
#[test]
fn the_account_speaks_german_to_who_reads_it() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut ada = server.web_session(ada).client(&server).with_header("Accept-Language", "de-AT,en;q=0.5");
    for (path, text) in [
        ("/", "Hallo, ada Person"),
        ("/account", "Wie andere Sie sehen"),
        ("/account/security", "Könnte besser sein"),
        ("/account/apps", "Keine App hat Zugriff"),
        ("/account/sessions", "Dieses Gerät"),
        ("/account/export", "Herunterladen"),
        ("/account/delete", "Was verloren geht"),
        ("/account/app-tokens", "Neues Token"),
    ] {
        let page = ada.get(path).expect(200).text();
        assert!(page.contains(text) && page.contains("<html lang=\"de\""), "{path}: {page}");
    }
    let refused = ada.form("/account", &[("display_name", ""), ("email", "")]).expect(422).text();
    assert!(refused.contains("Ein Anzeigename hat 1 bis 100 Zeichen."), "{refused}");
    let answer = ada.json("PATCH", "/api/v1/users/me", &json!({ "display_name": "" })).expect(422).json();
    assert_eq!(answer["detail"], "A display name has 1 to 100 characters.");
    let short = [("current_password", PASSWORD), ("new_password", "short")];
    let refused = ada.form("/account/password", &short).expect(422).text();
    assert!(refused.contains("mindestens 15 Zeichen"), "{refused}");
}
