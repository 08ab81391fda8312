//! Moving here from Authelia with a folder as it is found in the wild. `make.py` beside this file made it: every hash in
//! it is the work of another program.

mod command;

use std::path::PathBuf;
use std::time::Duration;

use doorward::accounts::records::{ForeignPasswordRecord, PasswordRecord, Role};
use doorward::audit::Kind;
use doorward::crypto::totp::{TotpAlgorithm, TotpKey};
use doorward::import::carry::{Rooms, Wishes, carry};
use doorward::import::{Line, Outcome, SourceFile, authelia};
use doorward::kernel::time::Clock;
use doorward::oidc::client::ConsentMode;
use serde_json::json;

use crate::harness::{Answer, Client, PASSWORD, Server, lift_limits};
use crate::oidc::{App, Provider, claims, header};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/import/authelia")
}

fn files() -> Vec<SourceFile> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|path| SourceFile {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: std::fs::read_to_string(path).unwrap(),
        })
        .collect()
}

fn import(server: &Server, is_applied: bool) -> Vec<Line> {
    import_files(server, &files(), is_applied)
}

fn import_files(server: &Server, files: &[SourceFile], is_applied: bool) -> Vec<Line> {
    let secret = |named: &str| std::fs::read_to_string(folder().join(named.strip_prefix("/config/")?)).ok();
    carry_over(server, authelia::read(files, &secret).without_doubles(), is_applied)
}

fn carry_over(server: &Server, found: doorward::import::Found, is_applied: bool) -> Vec<Line> {
    let app = server.app();
    let rooms = Rooms {
        accounts: &app.accounts,
        access: &app.access,
        oidc: &app.oidc,
        site: &app.site,
        audit: &app.audit,
        store: app.store(),
    };
    let wishes = Wishes { is_applied, replaces_rules: false };
    server.block_on(carry(&rooms, found, wishes, "authelia")).unwrap()
}

fn moved() -> Server {
    let server = Server::start_with(lift_limits);
    import(&server, true);
    server
}

/// Types name and password into the sign-in page.
fn type_password(server: &Server, name: &str, password: &str) -> (Client, Answer) {
    let mut client = server.client();
    let answer = client.form("/signin", &[("username", name), ("password", password)]);
    (client, answer)
}

#[track_caller]
fn signs_in(server: &Server, name: &str) -> Client {
    let (client, answer) = type_password(server, name, PASSWORD);
    let location = answer.header("location").unwrap_or_default().to_owned();
    assert!(
        answer.status == 303 && !location.contains("second-factor"),
        "{name}: {} {location}",
        answer.status
    );
    client
}

/// The key of an authenticator app, as `make.py` knows it.
fn key(name: &str, length: usize, algorithm: TotpAlgorithm, digits: u8, period: u32) -> TotpKey {
    let seed: Vec<u8> = name.bytes().cycle().take(length).collect();
    TotpKey::build(&seed, algorithm, digits, period).unwrap()
}

const PEOPLE: [&str; 8] = ["ada", "fritz", "gina", "hans", "ida", "nora", "Karla", "karla"];

/// PWD-06: whatever made the hash, the old password opens the account once more, and argon2id of ours takes its place.
#[test]
fn people_sign_in_with_their_old_passwords_and_get_new_hashes() {
    let mut server = moved();
    // Whoever has not signed in yet is known after a restart as well.
    server = server.restart();
    for name in PEOPLE {
        let id = server.app().accounts.resolve(name).unwrap().unwrap().id;
        let stored = |server: &Server| {
            let store = server.app().store();
            (
                store.get::<PasswordRecord>(id.as_bytes()).unwrap().map(|found| found.value.phc),
                store.get::<ForeignPasswordRecord>(id.as_bytes()).unwrap().is_some(),
            )
        };
        let before = server.app().accounts.foreign_passwords();
        let is_first = stored(&server).1;
        let (_, refused) = type_password(&server, name, "plum-anchor-violet-seventx");
        assert_eq!(refused.status, 401, "{name}");
        assert_eq!(stored(&server).1, is_first, "a wrong password changes nothing");
        signs_in(&server, name);
        let (phc, is_foreign) = stored(&server);
        assert!(
            phc.as_deref().is_some_and(|phc| phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1")),
            "{name}"
        );
        assert!(!is_foreign, "{name}");
        assert_eq!(server.app().accounts.foreign_passwords(), before - usize::from(is_first));
        signs_in(&server, name);
    }
}

/// All hashes, six and eight digits, steps of 30 and 60 seconds.
#[test]
fn authenticator_apps_go_on_making_codes() {
    let server = moved();
    for (name, key) in [
        ("bea", key("bea", 20, TotpAlgorithm::Sha1, 6, 30)),
        ("carl", key("carl", 32, TotpAlgorithm::Sha256, 8, 30)),
        ("dora", key("dora", 64, TotpAlgorithm::Sha512, 6, 60)),
        ("emil", key("emil", 32, TotpAlgorithm::Sha512, 8, 30)),
    ] {
        let (mut client, answer) = type_password(&server, name, PASSWORD);
        assert_eq!(answer.header("location"), Some("/signin/second-factor"), "{name}");
        let page = client.get("/signin/second-factor").expect(200).text();
        let length = format!("data-otp=\"{}\"", key.digits());
        assert!(page.contains(&length), "{name}: the page asks for the right number of digits");
        let code = key.code_at(key.step_at(server.clock.now()));
        let turned: String = code.chars().map(|digit| if digit == '9' { '0' } else { '9' }).collect();
        for wrong in [&turned, &code[1..], &format!("{code}0")] {
            client.form("/signin/second-factor", &[("code", wrong)]).expect(401);
        }
        let answer = client.form("/signin/second-factor", &[("code", &code)]);
        assert_eq!(answer.status, 303, "{name}: {}", answer.text());
        assert!(client.cookie("dw").is_some());
        // OTP-04: once is once.
        let (mut again, _) = type_password(&server, name, PASSWORD);
        again.form("/signin/second-factor", &[("code", &code)]).expect(401);
        server.clock.advance(Duration::from_secs(120));
    }
}

#[test]
fn who_could_not_sign_in_there_cannot_here() {
    let server = moved();
    // Disabled; no hash that can be read or is worth its cost; names that cannot be told apart; no name of ours.
    for name in ["jan", "lena", "mara", "otto", "Otto", "p@home.example", "nobody"] {
        let (client, answer) = type_password(&server, name, PASSWORD);
        assert_eq!(answer.status, 401, "{name}");
        assert!(client.cookie("dw").is_none());
    }
    let jan = server.app().accounts.resolve("jan").unwrap().unwrap();
    assert!(!jan.is_active());
    let karla = server.app().accounts.resolve("karla").unwrap().unwrap();
    assert!(karla.groups.is_empty(), "her Dev is another group than the dev of the others");
    let nora = server.app().accounts.resolve("nora").unwrap().unwrap();
    assert_eq!(nora.groups.len(), 1, "a group with a comma is two groups to an app");
}

fn ask(client: &Client, url: &str, method: &str) -> u16 {
    let headers = [
        ("X-Original-URL", url),
        ("X-Original-Method", method),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Accept", "text/html"),
    ];
    client.clone().send("GET", "/api/authz/auth-request", &headers, b"").status
}

/// Each row as Authelia decides it, by its documentation.
#[test]
fn rules_decide_as_they_did() {
    let server = moved();
    let nobody = server.client();
    let ada = signs_in(&server, "ada");
    let fritz = signs_in(&server, "fritz");
    let two_factors = |name: &str, key: &TotpKey| {
        let (mut client, _) = type_password(&server, name, PASSWORD);
        let code = key.code_at(key.step_at(server.clock.now()));
        client.form("/signin/second-factor", &[("code", &code)]).expect(303);
        client
    };
    let bea = two_factors("bea", &key("bea", 20, TotpAlgorithm::Sha1, 6, 30));
    let emil = two_factors("emil", &key("emil", 32, TotpAlgorithm::Sha512, 8, 30));
    for (who, client, host, target, method, status) in [
        ("nobody", &nobody, "public", "/", "GET", 200),
        ("nobody", &nobody, "secret", "/", "GET", 401),
        ("ada", &ada, "secret", "/", "GET", 200),
        ("bea", &bea, "secret", "/", "GET", 403),
        ("emil", &emil, "secret", "/", "GET", 200),
        ("fritz", &fritz, "secret", "/", "GET", 403),
        ("nobody", &nobody, "bank", "/", "GET", 401),
        ("ada", &ada, "bank", "/", "GET", 401),
        ("bea", &bea, "bank", "/", "GET", 200),
        ("nobody", &nobody, "api", "/hooks/new?x=1", "POST", 200),
        ("nobody", &nobody, "api", "/hooks/new", "GET", 401),
        ("nobody", &nobody, "api", "/hooksy", "POST", 401),
        ("fritz", &fritz, "api", "/", "GET", 200),
        ("fritz", &fritz, "a.tools", "/", "GET", 200),
        ("ada", &ada, "ada.people", "/", "GET", 200),
        ("ada", &ada, "bea.people", "/", "GET", 403),
        ("nobody", &nobody, "search", "/?token=1&mode=open", "GET", 200),
        ("nobody", &nobody, "search", "/?token=1&mode=shut", "GET", 403),
        ("nobody", &nobody, "search", "/?mode=open", "GET", 403),
        ("ada", &ada, "elsewhere", "/", "GET", 403),
    ] {
        let url = format!("http://{host}.home.localhost{target}");
        assert_eq!(ask(client, &url, method), status, "{who} {method} {url}");
    }
}

/// Carries over these rules, with the people of the file of users in the folder.
fn moved_with(access_control: &str, more_people: &str) -> (Server, Vec<Line>) {
    let server = Server::start_with(lift_limits);
    let people = std::fs::read_to_string(folder().join("users_database.yml")).unwrap();
    let file = |name: &str, text: String| SourceFile { name: name.to_owned(), text };
    let files = [
        file("configuration.yml", access_control.to_owned()),
        file("users_database.yml", format!("{people}{more_people}")),
    ];
    let lines = import_files(&server, &files, true);
    (server, lines)
}

/// A condition with an empty value asks for that value, and not for any.
#[test]
fn an_empty_value_in_a_query_stays_one() {
    let (server, _) = moved_with(
        "access_control:\n  rules:\n  - domain: search.home.localhost\n    policy: bypass\n    query:\n\
         \x20   - - {key: mode, value: ''}\n\
         \x20 - domain: [any.home.localhost]\n    policy: bypass\n    query: [[{key: mode, value: null}]]\n",
        "",
    );
    for (host, target, status) in [
        ("search", "/", 200),
        ("search", "/?mode=", 200),
        ("search", "/?mode=admin", 403),
        ("any", "/?mode=admin", 200),
        ("any", "/", 403),
    ] {
        let url = format!("http://{host}.home.localhost{target}");
        assert_eq!(ask(&server.client(), &url, "GET"), status, "{url}");
    }
}

/// A network without addresses lets nobody in, and not everybody.
#[test]
fn an_empty_network_opens_nothing() {
    let (server, lines) = moved_with(
        "definitions: {network: {lan: []}}\n\
         access_control: {rules: [{domain: secret.home.localhost, policy: bypass, networks: [lan]}]}\n",
        "",
    );
    assert_eq!(ask(&server.client(), "http://secret.home.localhost/", "GET"), 403);
    assert!(
        lines.iter().any(|line| line.kind == "rules" && line.outcome == Outcome::NotCarried),
        "{lines:#?}"
    );
}

/// `\w`, `\d` and `\b` know ASCII alone there, so a rule must not open more here.
#[test]
fn expressions_mean_the_same_letters() {
    let (server, _) = moved_with(
        "access_control:\n  rules:\n\
         \x20 - {domain: public.home.localhost, policy: deny, resources: ['^/admin\\b']}\n\
         \x20 - {domain: public.home.localhost, policy: bypass, resources: ['^/s/\\w+$', '^/n/\\d+$', '^/ä/.+$', '^/admin']}\n",
        "",
    );
    for (target, status) in [
        ("/s/abc_9", 200),
        ("/s/%C3%A4", 403),
        ("/n/12", 200),
        ("/n/%D9%A3", 403),
        ("/%C3%A4/%C3%B6", 200),
        ("/admin/x", 403),
        ("/admin%C3%A4", 403),
        ("/adminx", 200),
    ] {
        let url = format!("http://public.home.localhost{target}");
        assert_eq!(ask(&server.client(), &url, "GET"), status, "{url}");
    }
}

/// Capitals tell groups and people apart there and not here: nobody is meant by a rule who was not.
#[test]
fn names_in_other_capitals_give_no_rights() {
    let hash = "$2b$04$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam";
    let eve = format!("  eve: {{displayname: Eve, password: '{hash}', groups: [DEV, club]}}\n");
    for (subject, expected) in [
        ("group:dev", None),
        ("group:Club", Some(Outcome::NotCarried)),
        ("user:Eve", Some(Outcome::NotCarried)),
    ] {
        let rule = format!(
            "access_control: {{rules: [{{domain: secret.home.localhost, policy: one_factor, subject: '{subject}'}}]}}\n"
        );
        let (server, lines) = moved_with(&rule, &eve);
        let told = lines.iter().find(|line| line.kind == "rules").map(|line| line.outcome);
        assert_eq!(told, expected, "{subject}: {lines:#?}");
        let eve = server.app().accounts.resolve("eve").unwrap().unwrap();
        let session = server.web_session_with(eve.id, doorward::sessions::Factors::PASSWORD);
        let mut client = server.client();
        client.cookies.push(("dw_fa".to_owned(), session.app_cookie));
        assert_eq!(ask(&client, "http://secret.home.localhost/", "GET"), 403, "{subject}");
        let groups: Vec<&str> = eve.groups.iter().map(|group| group.as_str()).collect();
        assert!(!groups.contains(&"dev"), "DEV is not the dev of the others");
        assert_eq!(outcome(&lines, "group", "eve"), Outcome::NotCarried);
    }
}

/// OTP-10: whoever had to show a code there does not get in without one here.
#[test]
fn a_password_without_its_second_factor_opens_nothing() {
    let server = Server::start_with(lift_limits);
    let hash = "$2b$04$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam";
    // A seed of 80 bits, which is not taken here.
    let text = format!("mia:{hash}:JBSWY3DPEHPK3PXP\nnils:{hash}\n");
    let file = SourceFile { name: "users".to_owned(), text };
    let lines = carry_over(&server, doorward::import::tinyauth::read(&file), true);
    assert_eq!(outcome(&lines, "user", "mia"), Outcome::Carried);
    let stored = |name: &str| {
        let user = server.app().accounts.resolve(name).unwrap().unwrap();
        server.app().store().get::<ForeignPasswordRecord>(user.id.as_bytes()).unwrap().is_some()
    };
    assert!(stored("nils") && !stored("mia"));
    let told = &lines.iter().find(|line| line.name == "mia").unwrap().why;
    assert!(told.contains("doorward user link mia"), "{told}");
}

/// OA-19: apps keep their secrets and know people by the `sub` they always had.
#[test]
fn apps_sign_people_in_with_their_old_secrets_and_subjects() {
    let provider = Provider::over(Server::start_with(lift_limits));
    provider.server.clock.advance(Duration::from_secs(1));
    import(&provider.server, true);
    let oidc = &provider.server.app().oidc;
    for (id, secret, alg) in [("grafana", "insecure_secret", "RS256"), ("wiki", "insecure secret+2", "ES256")]
    {
        let app = App { id: id.to_owned(), secret: Some(secret.to_owned()) };
        let mut browser = provider.browser();
        // The wiki is for groups that gina is not in.
        let name = if id == "grafana" { "gina" } else { "fritz" };
        provider.sign_in(&mut browser, "/signin", name);
        let code = provider.redirect(&mut browser, &app, &[]).code();
        let wrong = App { secret: Some("insecure_secre".to_owned()), ..app.clone() };
        provider.exchange(&wrong, &code, &[]).expect(401);
        assert!(!oidc.client(id).unwrap().knows_secret(&doorward::crypto::mac::sha256(secret)));
        let code = provider.redirect(&mut browser, &app, &[]).code();
        let tokens = provider.exchange(&app, &code, &[]).expect(200).json();
        let token = tokens["id_token"].as_str().unwrap();
        assert_eq!(header(token)["alg"], alg);
        if id == "grafana" {
            assert_eq!(claims(token)["sub"], "5b1a6c1e-6f3b-4c5d-8f3e-0a7d1b2c3d4e");
        }
        // The key that signs is the one that came along.
        let pem = if alg == "RS256" { "rsa.pem" } else { "ec.pem" };
        let pem = std::fs::read_to_string(folder().join("secrets").join(pem)).unwrap();
        let key = doorward::crypto::signing::PrivateKey::from_pem(&pem).unwrap();
        assert_eq!(header(token)["kid"], key.kid());
        assert!(oidc.public_keys().to_string().contains(key.kid()));
        // From the first use on it is a SHA-256, and still the one secret.
        let client = oidc.client(id).unwrap();
        assert!(client.knows_secret(&doorward::crypto::mac::sha256(secret)));
        assert_eq!(client.secret_count(), 1);
    }
    let odd = oidc.client("odd").unwrap();
    assert!(odd.settings.is_disabled && odd.knows_secret(&doorward::crypto::mac::sha256("an-open-secret")));
    let mut gina = provider.browser();
    provider.sign_in(&mut gina, "/signin", "gina");
    let wiki = App { id: "wiki".to_owned(), secret: None };
    let refused = provider.authorize(&mut gina, &wiki, &[]);
    assert!(!refused.header("location").unwrap_or_default().contains("code="), "gina is not of the staff");
}

#[track_caller]
fn outcome(lines: &[Line], kind: &str, name: &str) -> Outcome {
    let found = lines.iter().find(|line| line.kind == kind && line.name == name);
    found.unwrap_or_else(|| panic!("{kind} {name} is not told of: {lines:#?}")).outcome
}

#[test]
fn the_report_tells_everything_and_a_second_run_changes_nothing() {
    let server = Server::start_with(lift_limits);
    server.add_user("hans", Role::Member, &[]);
    let planned = import(&server, false);
    assert_eq!(server.app().accounts.directory().list(|_| true).len(), 1, "a dry run writes nothing");
    assert!(server.app().oidc.clients().is_empty() && server.app().access.list().rules().is_empty());
    let done = import(&server, true);
    assert_eq!(planned, done, "the plan is what is done");
    for (kind, name, expected) in [
        ("user", "ada", Outcome::Carried),
        ("user", "hans", Outcome::AlreadyHere),
        ("user", "lena", Outcome::Carried),
        ("user", "Otto", Outcome::NotCarried),
        ("user", "otto", Outcome::NotCarried),
        ("user", "p@home.example", Outcome::NotCarried),
        ("app", "grafana", Outcome::Carried),
        ("app", "dear", Outcome::Carried),
        ("key", "main", Outcome::Carried),
        ("key", "small", Outcome::NotCarried),
        ("domain", "home.localhost", Outcome::AlreadyHere),
        ("subject", "gina", Outcome::NotCarried),
        ("passkey", "ada: Key on the ring", Outcome::NotCarried),
        ("setting", "storage", Outcome::NotCarried),
        ("setting", "totp", Outcome::NotCarried),
        ("template", "secret \"/config/secrets/session\"", Outcome::NotCarried),
    ] {
        assert_eq!(outcome(&done, kind, name), expected, "{kind} {name}");
    }
    assert_eq!(done.iter().filter(|line| line.kind == "rule").count(), 8);
    // AUD-01: an event for each.
    let boss = server.add_user("boss", Role::Owner, &[]);
    let _ = boss;
    let token =
        server.client().post("/api/v1/auth/login/api", json!({"username": "boss", "password": PASSWORD}));
    let token = token.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut admin = server.client().with_bearer(&token);
    let count = |admin: &mut Client, kind: Kind| {
        let path = format!("/api/v1/admin/audit?limit=200&kind={}", kind.name());
        admin.get_json(&path).expect(200).text().matches("\"(import)\"").count()
            + admin.get_json(&path).expect(200).text().matches("\"import\"").count()
    };
    let people = done.iter().filter(|line| line.kind == "user" && line.outcome == Outcome::Carried).count();
    assert_eq!(count(&mut admin, Kind::UserCreated), people);
    assert_eq!(count(&mut admin, Kind::AppAdded), 5);
    assert_eq!(count(&mut admin, Kind::KeysRotated), 2);
    assert_eq!(count(&mut admin, Kind::RuleChanged), 1);
    assert_eq!(count(&mut admin, Kind::TotpEnrolled), 4);

    let version = server.app().access.list().version();
    let again = import(&server, true);
    assert!(again.iter().all(|line| line.outcome != Outcome::Carried), "{again:#?}");
    assert_eq!(server.app().access.list().version(), version);
    assert_eq!(count(&mut admin, Kind::UserCreated), people);
    // Rules of somebody's own are never mixed with those that come along.
    server.set_rules(&["deny domain=*.home.localhost"]);
    let third = import(&server, true);
    assert_eq!(outcome(&third, "rules", "all"), Outcome::Conflict);
    assert_eq!(server.app().access.list().rules().len(), 1);
}

fn read_configuration(text: &str) -> doorward::import::Found {
    let file = SourceFile { name: "configuration.yml".to_owned(), text: text.to_owned() };
    authelia::read(&[file], &|_| None)
}

/// A refusal for a value that nobody could read never holds: the list is kept back.
#[test]
fn a_rule_with_a_template_that_cannot_be_read_keeps_all_of_them_back() {
    let template = "{{ env \"X\" }}";
    for part in [
        format!("domain: '{template}'"),
        format!("domain: x.home.example, resources: ['{template}']"),
        format!("domain: x.home.example, methods: ['{template}']"),
        format!("domain: x.home.example, subject: ['{template}']"),
        format!("domain: x.home.example, query: [[{{key: token, value: '{template}'}}]]"),
        format!("domain: x.home.example, query: [[{{operator: present, key: 'a-{template}'}}]]"),
    ] {
        let found = read_configuration(&format!(
            "access_control:\n  rules:\n  - {{{part}, policy: deny}}\n  - {{domain: '*.home.example', policy: bypass}}\n"
        ));
        assert!(found.rules.is_empty(), "{part}");
        assert!(found.lines.iter().any(|line| line.kind == "rules"), "{part}: {:?}", found.lines);
    }
}

/// The file that cannot be read may hold the rules that refuse.
#[test]
fn a_file_that_cannot_be_read_keeps_the_rules_back() {
    let rules = "access_control:\n  rules:\n  - {domain: '*.home.example', policy: bypass}\n";
    for other in ["a: [", "{{ if true }}", "text"] {
        let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
        for (first, second) in [(rules, other), (other, rules)] {
            let files = [file("a.yml", first), file("b.yml", second)];
            let found = authelia::read(&files, &|_| None);
            assert!(found.rules.is_empty(), "{other}");
            assert!(found.lines.iter().any(|line| line.kind == "rules"), "{other}: {:?}", found.lines);
        }
    }
}

/// Who was asked each time there is asked each time here.
#[test]
fn apps_ask_as_often_as_they_did() {
    let consents = |more: &str| {
        let found = read_configuration(&format!(
            "identity_providers: {{oidc: {{clients: [{{client_id: a, client_secret: x, redirect_uris: 'https://a.example/cb'{more}}}]}}}}"
        ));
        let app = &found.clients[0];
        (app.settings.consent, app.notes.len())
    };
    for (more, expected) in [
        ("", (ConsentMode::Always, 0)),
        (", consent_mode: auto", (ConsentMode::Always, 0)),
        (", consent_mode: explicit, pre_configured_consent_duration: 1M", (ConsentMode::Always, 0)),
        (", pre_configured_consent_duration: 1M", (ConsentMode::Once, 1)),
        (", consent_mode: auto, pre_configured_consent_duration: 1M", (ConsentMode::Once, 1)),
        (", consent_mode: pre-configured", (ConsentMode::Once, 1)),
        (", consent_mode: implicit", (ConsentMode::Skip, 0)),
        (", consent_mode: nonsense", (ConsentMode::Always, 0)),
    ] {
        assert_eq!(consents(more), expected, "{more}");
    }
}
