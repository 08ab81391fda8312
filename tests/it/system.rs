//! Overview, audit export, settings, keys, backups and the text for support: as API, as pages, and from the command line.

use std::time::Duration;

use doorward::accounts::records::Role;
use doorward::accounts::users::SecondFactorPolicy;
use doorward::audit::{Event, Kind};
use doorward::config::{Settings, Sources};
use doorward::metrics::Sample;
use doorward::operations::system::certificate::Certificate;
use doorward::operations::system::settings::SettingsReport;
use doorward::operations::system::warnings;
use doorward::store::{RawBatch, Table, Write};
use serde_json::{Value, json};

use crate::admin::{later, login, refuses};
use crate::harness::{Answer, Client, PASSWORD, Server, until};
use crate::my_account::{browser, events, program};
use crate::outgoing::{Host, say, tls};
use crate::trouble::program::Installation;

const ADMIN: &str = "/api/v1/admin";

fn step_up(client: &mut Client) {
    client.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
}

/// Returns the CSRF token of a page.
#[track_caller]
fn token(client: &mut Client, page: &str) -> String {
    client.get(page).expect(200).input("csrf").expect("a form")
}

#[track_caller]
fn leads_to(answer: Answer, path: &str) {
    let answer = answer.expect(303);
    assert_eq!(answer.header("location"), Some(path));
}

fn get(client: &mut Client, path: &str) -> Value {
    client.get_json(&format!("{ADMIN}/{path}")).expect(200).json()
}

#[test]
fn the_overview_counts_what_happened() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("mia", Role::Member, &[]);
    let mut olga = browser(&server, "olga");
    for _ in 0..5 {
        login(&server, "mia", "wrong-password-every-time");
    }
    server.block_on(server.app().audit.flush()).unwrap();
    let seen = get(&mut olga, "overview");
    assert_eq!((&seen["people"], &seen["sign_ins"], &seen["paused"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(seen["refused"], json!(5), "{seen}");
    let hours = seen["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    assert_eq!((&hours[23]["succeeded"], &hours[23]["refused"]), (&json!(1), &json!(5)));
    let page = olga.get("/admin").expect(200).text();
    assert!(page.contains("Refused in 24 hours") && page.contains("id=\"step-second-admin\""), "{page}");
    // The same after a restart; and the next day it is over.
    let server = server.restart();
    let mut olga = browser(&server, "olga");
    assert_eq!(get(&mut olga, "overview")["refused"], json!(5));
    server.clock.advance(Duration::from_secs(86_400));
    let mut olga = browser(&server, "olga");
    assert_eq!(get(&mut olga, "overview")["refused"], json!(0));
}

#[test]
fn the_list_of_open_steps_is_put_away() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    assert!(get(&mut olga, "overview")["steps"].as_array().unwrap().contains(&json!("second-admin")));
    let csrf = token(&mut olga, "/admin");
    leads_to(olga.form("/admin/checklist/hide", &[("csrf", &csrf)]), "/admin");
    assert_eq!(get(&mut olga, "overview")["steps"], json!([]));
    let page = olga.get("/admin").expect(200).text();
    assert!(!page.contains("id=\"checklist\""), "{page}");
}

/// A server whose audit log cannot be written says so once, and not what follows from it.
#[test]
fn warnings_name_what_they_depend_on() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    server.app().audit.note(Event::refused(Kind::RefreshReused));
    server.block_on(server.app().audit.flush()).unwrap();
    let seen = get(&mut olga, "overview");
    let warnings = seen["warnings"].as_array().unwrap();
    let found = warnings.iter().find(|warning| warning["code"] == "tokens_reused").unwrap();
    assert_eq!((&found["severity"], &found["number"]), (&json!("warning"), &json!(1)));
    let page = olga.get("/admin/system").expect(200).text();
    assert!(
        page.contains("id=\"warning-tokens_reused\"") && page.contains("/admin/audit?kind=refresh.reused")
    );
}

/// Damage that nobody stumbled over is found by the check after the start and by every snapshot, and told to administrators
/// and to Prometheus until it is gone.
#[test]
fn damage_in_the_store_is_told() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let row = Table::PASSWORD.key(b"spoiled");
    let commit = |server: &Server, write: Write| {
        let batch = RawBatch { preconditions: Vec::new(), writes: vec![write], after: Vec::new() };
        server.block_on(server.app().store().engine().commit(batch)).unwrap();
    };
    let is_told = |olga: &mut Client| {
        let seen = get(olga, "overview");
        seen["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "store_damaged")
    };
    let mut olga = browser(&server, "olga");
    commit(&server, Write::Put(row.clone(), b"no envelope".to_vec()));
    assert!(!is_told(&mut olga));
    let made = olga.post(&format!("{ADMIN}/backups"), json!({})).expect(201).json();
    assert_eq!(made["is_complete"], false, "{made}");
    assert!(is_told(&mut olga));
    let page = olga.get("/admin/system").expect(200).text();
    assert!(page.contains("Damaged records are missing"), "{page}");
    let server = server.restart_with(|options| options.metrics_listen = Some("127.0.0.1:0".parse().unwrap()));
    let metrics = || {
        let text = server.metrics_client().get("/metrics").expect(200).text();
        let line = text.lines().find(|line| line.starts_with("doorward_store_integrity_errors "));
        line.map(|line| line.rsplit(' ').next().unwrap().to_owned())
    };
    until("the check is done", || metrics().as_deref() == Some("1"));
    std::fs::remove_dir_all(server.dir.0.join("snapshots")).unwrap();
    let mut olga = browser(&server, "olga");
    assert!(is_told(&mut olga), "without a snapshot too");
    commit(&server, Write::Remove(row));
    let server = server.restart();
    let mut olga = browser(&server, "olga");
    assert!(!is_told(&mut olga));
    let made = olga.post(&format!("{ADMIN}/backups"), json!({})).expect(201).json();
    assert_eq!(made["is_complete"], true, "{made}");
}

/// The export holds what the filter shows, and nothing in it is a formula (OWASP, CSV injection).
#[test]
fn the_log_is_exported_for_spreadsheets() {
    let server = Server::start();
    let olga = server.add_user("olga", Role::Owner, &[]);
    let name = doorward::kernel::text::Username::parse("olga").unwrap();
    let evil = "=HYPERLINK(\"https://evil.example\",\"click\")";
    server.app().audit.note(Event::refused(Kind::AccessDenied).by(olga, &name).on(evil));
    server.app().audit.note(Event::refused(Kind::AccessDenied).by(olga, &name).on("photos.home.localhost"));
    server.block_on(server.app().audit.flush()).unwrap();
    let mut olga = browser(&server, "olga");
    let file = olga.get(&format!("{ADMIN}/audit/export?format=csv&kind=access.")).expect(200);
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(file.header("content-disposition").unwrap().contains("doorward-audit.csv"));
    let text = file.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.starts_with("at,sequence,kind,"));
    assert!(text.contains(",\"'=HYPERLINK(\"\"https://evil.example\"\""), "{text}");
    for line in text.lines().skip(1) {
        assert!(!line.contains(",=") && !line.contains(",\"="), "{line}");
    }
    let one = get(&mut olga, "audit?app=photos.home.localhost");
    assert_eq!(one["events"].as_array().unwrap().len(), 1);
    refuses(olga.get_json(&format!("{ADMIN}/audit/export?format=xls")), 422, "invalid_value");
    assert_eq!(events(&server, "audit.exported", "olga"), 1);
    let page = olga.get("/admin/audit?app=photos.home.localhost").expect(200).text();
    assert!(page.contains("<option value=\"photos.home.localhost\" selected>"), "{page}");
    let file = olga.get("/admin/audit/export?app=photos.home.localhost&format=csv").expect(200).text();
    assert_eq!(file.lines().count(), 2);
    later(&server);
    leads_to(
        olga.get("/admin/audit/export?kind=access.&format=csv"),
        "/step-up?next=%2Fadmin%2Faudit%3Fkind%3Daccess.",
    );
}

/// An export is sent while it is read, so it is whole however long the log is.
#[test]
fn an_export_of_a_long_log_is_whole() {
    const EVENTS: usize = 21_000;
    let server = Server::start();
    let id = server.add_user("olga", Role::Owner, &[]);
    let name = doorward::kernel::text::Username::parse("olga").unwrap();
    server.block_on(async {
        for first in (0..EVENTS).step_by(500) {
            let mut batch = server.app().store().batch();
            for number in first..EVENTS.min(first + 500) {
                let event = Event::succeeded(Kind::RuleChanged).by(id, &name).on(format!("rule {number}"));
                server.app().audit.write(&mut batch, event);
            }
            server.app().store().commit(batch).await.unwrap();
        }
    });
    let mut olga = browser(&server, "olga");
    for (path, format, lines) in [
        (format!("{ADMIN}/audit/export"), "csv", EVENTS + 1),
        ("/admin/audit/export".into(), "jsonl", EVENTS),
    ] {
        let file = olga.get(&format!("{path}?format={format}&kind=rule.")).expect(200);
        assert_eq!(file.header("link"), None);
        let text = file.text();
        assert_eq!(text.lines().count(), lines);
        let head = text.lines().filter(|line| line.starts_with("at,sequence")).count();
        assert_eq!(head, lines - EVENTS);
        assert!(text.contains("rule 20999") && text.contains("rule 0"));
    }
    assert_eq!(events(&server, "audit.exported", "olga"), 2);
}

/// Where the certificate ends is seen at the public address itself; one that has ended is told, whatever else is well.
#[test]
fn the_certificate_of_the_public_address_is_looked_at() {
    let look = |certificate: &str, authority: Option<&str>| {
        let host = Host::start_tls_as(certificate, say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        let server = Server::start_with(|options| {
            options.site.public_origin = Some(format!("https://localhost:{}", host.address.port()));
            options.outgoing.ca_file = authority.map(tls);
        });
        let system = &server.app().system;
        assert_eq!(system.certificate(), None);
        let seen = server.block_on(system.look_at_certificate());
        assert_eq!(system.certificate().as_ref(), Some(&seen));
        let warned = warnings::examine(&system.facts());
        (seen, warned.iter().any(|warning| warning.code.as_str() == "certificate_ended"))
    };
    let end = doorward::kernel::time::Timestamp::of_civil_date(2120, 1, 1);
    assert_eq!(look("server.pem", Some("ca.pem")), (Certificate::Good(end), false));
    assert_eq!(look("expired.pem", Some("expired-ca.pem")), (Certificate::Ended, true));
    let (unknown, is_warned) = look("server.pem", None);
    assert!(matches!(unknown, Certificate::NotBelieved(_)) && !is_warned, "{unknown:?}");
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    assert_eq!(server.app().system.certificate(), Some(Certificate::None));
    let page = browser(&server, "olga").get("/admin/system").expect(200).text();
    assert!(page.contains("none: the address has no HTTPS"), "{page}");
}

const CANARY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2FuYXJ5Y2FuYXJ5$Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E";

fn report(listen: &str) -> SettingsReport {
    let flag = |key: &str, value: &str| ("--set".to_owned(), key.to_owned(), value.to_owned());
    let load = |listen: &str| {
        let flags = vec![
            flag("bootstrap.owner", "canary-owner"),
            flag("bootstrap.password_hash", CANARY),
            flag("server.listen", listen),
            flag("protect.domain", "canary-domain.example"),
            flag("data.directory", "/canary/path"),
            flag("limits.suspend_after", "7"),
        ];
        let sources = Sources { flags, ..Sources::default() };
        Settings::load(&sources).unwrap().shown_all()
    };
    let now = load("127.0.0.1:9999");
    SettingsReport { running: load(listen), read_again: Some(std::sync::Arc::new(move || Ok(now.clone()))) }
}

/// Settings tell their origin and never a secret; what waits for a restart is told.
#[test]
fn settings_are_shown_with_their_origin_and_without_secrets() {
    let server = Server::start_with(|options| options.settings = report("127.0.0.1:8080"));
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    let seen = get(&mut olga, "settings");
    let of = |key: &str| {
        let found = seen["settings"].as_array().unwrap().iter().find(|one| one["key"] == key);
        found.unwrap_or_else(|| panic!("{key}")).clone()
    };
    assert_eq!(of("limits.suspend_after")["value"], "7");
    assert_eq!(of("limits.suspend_after")["origin"], "flag --set");
    assert_eq!(of("session.idle_minutes")["origin"], "default");
    assert_eq!(of("instance.name")["origin"], "store");
    assert_eq!(of("bootstrap.password_hash")["value"], "••••••••");
    assert_eq!(seen["restart"]["changed"], json!(["server.listen"]));
    let page = olga.get("/admin/system/settings").expect(200).text();
    assert!(page.contains("flag --set") && page.contains("id=\"restart\""), "{page}");
    for text in [seen.to_string(), page] {
        assert!(!text.contains("argon2id$v=19"), "{text}");
    }
}

/// The text for support is made of numbers and words of ours: whatever people typed is not in it (AUD-04, PRI-04).
#[test]
fn the_text_for_support_names_nobody_and_nothing() {
    let server = Server::start_with(|options| options.settings = report("127.0.0.1:8080"));
    server.add_user("canary-olga", Role::Owner, &["canary-group"]);
    let mut olga = browser(&server, "canary-olga");
    olga.json("PATCH", &format!("{ADMIN}/settings"), &json!({"instance_name": "Canary House"})).expect(204);
    let app = json!({"name": "Canary App", "redirect_uris": ["https://canary-app.example/callback"]});
    olga.post(&format!("{ADMIN}/clients"), app).expect(201);
    server.set_rules(&[
        "bypass domain=canary-host.home.localhost",
        "deny domain=b.home.localhost user=canary-olga",
    ]);
    login(&server, "canary-name-that-is-nobodys", "canary-password-that-is-wrong");
    server.block_on(server.app().audit.flush()).unwrap();
    let text = olga.get(&format!("{ADMIN}/support")).expect(200).text();
    let page = olga.get("/admin/system/support").expect(200).text();
    assert!(text.contains("people: 1") && text.contains("limits.suspend_after = 7 (flag)"), "{text}");
    assert!(text.contains("sign_in.failed: 0 1"), "{text}");
    let main = page.split("<pre").nth(1).unwrap().split("</pre>").next().unwrap();
    let directory = server.dir.0.to_str().unwrap();
    for seen in [text.as_str(), main] {
        let lower = seen.to_lowercase();
        for secret in ["canary", "127.0.0.1", "localhost", "argon2id$", "@", "olga", directory] {
            assert!(!lower.contains(secret), "{secret} is in:\n{seen}");
        }
    }
}

#[test]
fn the_installation_is_given_another_name() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    let csrf = token(&mut olga, "/admin/system");
    let rename = |name| [("csrf", csrf.as_str()), ("instance_name", name)];
    let page = olga.form("/admin/system/name", &rename("")).expect(422).text();
    assert!(page.contains("id=\"instance_name-error\""), "{page}");
    leads_to(olga.form("/admin/system/name", &rename("Haus <b>7</b>")), "/admin/system?done=saved");
    let page = olga.get("/admin").expect(200).text();
    assert!(page.contains("Haus &#60;b&#62;7&#60;/b&#62;"), "{page}");
    refuses(
        olga.json("PATCH", &format!("{ADMIN}/settings"), &json!({"instance_name": "x".repeat(65)})),
        422,
        "invalid_value",
    );
    assert_eq!(events(&server, "setting.changed", "olga"), 1);
}

/// ADM-01, BAK-01, INP-08: a snapshot is made on request, is listed, leaves the house only after a fresh proof, and no
/// name leads elsewhere.
#[test]
fn backups_are_made_listed_and_fetched() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    assert_eq!(get(&mut olga, "backups"), json!({"backups": []}));
    let made = olga.post(&format!("{ADMIN}/backups"), json!({})).expect(201).json();
    assert_eq!(made["reason"], "asked");
    let name = made["name"].as_str().unwrap().to_owned();
    let csrf = token(&mut olga, "/admin/system");
    server.clock.advance(Duration::from_secs(2));
    leads_to(olga.form("/admin/system/backups", &[("csrf", &csrf)]), "/admin/system?done=taken");
    assert_eq!(get(&mut olga, "backups")["backups"].as_array().unwrap().len(), 2);
    let file = olga.get(&format!("{ADMIN}/backups/{name}")).expect(200);
    let disk = std::fs::read(server.dir.0.join("snapshots").join(&name)).unwrap();
    assert_eq!(file.body, disk);
    assert!(file.header("content-disposition").unwrap().starts_with("attachment; filename=\"doorward-"));
    std::fs::write(server.dir.0.join("snapshots/notes.doorward-export"), "x").unwrap();
    for bad in ["..%2Fmaster.key", "%2e%2e%2finstance-id", "notes.doorward-export", "x", "..%5Clock"] {
        olga.get(&format!("{ADMIN}/backups/{bad}")).expect(404);
    }
    assert_eq!(events(&server, "store.exported", "olga"), 3);
    later(&server);
    refuses(olga.get_json(&format!("{ADMIN}/backups/{name}")), 403, "step_up_required");
    leads_to(olga.get(&format!("/admin/system/backups/{name}")), "/step-up?next=%2Fadmin%2Fsystem");
    // There is an end to what a browser may pile up.
    for number in 0.. {
        server.clock.advance(Duration::from_secs(1));
        let answer = olga.post(&format!("{ADMIN}/backups"), json!({}));
        if answer.status == 409 {
            break;
        }
        answer.expect(201);
        assert!(number < 30);
    }
}

/// RES-01: who asks while another copy is made is told to wait, and not that it was too often.
#[test]
fn one_copy_at_a_time_is_no_limit_of_attempts() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = browser(&server, "olga");
    let csrf = token(&mut olga, "/admin/system");
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let copies = server.app().setup.copies();
        scope.spawn(|| {
            let work = copies.work(move || (begun.send(()).is_ok(), wait.recv().is_ok()));
            assert_eq!(server.block_on(work).unwrap(), (true, true));
        });
        has_begun.recv().unwrap();
        let page = olga.form("/admin/system/backups", &[("csrf", &csrf)]).expect(503).text();
        go.send(()).unwrap();
        assert!(page.contains("Another backup is being made") && !page.contains("Too many"), "{page}");
    });
    leads_to(olga.form("/admin/system/backups", &[("csrf", &csrf)]), "/admin/system?done=taken");
}

/// ADM-01, TOK-15: both kinds of keys are replaced from the page, after a fresh proof.
#[test]
fn keys_are_replaced_from_the_page() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.block_on(server.app().every_minute()).unwrap();
    let mut olga = browser(&server, "olga");
    let before = get(&mut olga, "keys");
    assert!(!before.to_string().contains("\"d\""), "{before}");
    assert_eq!(before["tokens"][0]["phase"], "signing");
    let csrf = token(&mut olga, "/admin/system");
    later(&server);
    leads_to(
        olga.form("/admin/system/keys", &[("csrf", &csrf), ("which", "tokens")]),
        "/step-up?next=%2Fadmin%2Fsystem",
    );
    refuses(olga.post(&format!("{ADMIN}/keys/apps/rotate"), json!({})), 403, "step_up_required");
    let mut olga = browser(&server, "olga");
    let csrf = token(&mut olga, "/admin/system");
    for which in ["tokens", "apps"] {
        let answer = olga.form("/admin/system/keys", &[("csrf", &csrf), ("which", which)]);
        leads_to(answer, "/admin/system?done=replaced");
    }
    olga.form("/admin/system/keys", &[("csrf", &csrf), ("which", "x")]).expect(400);
    let after = get(&mut olga, "keys");
    for group in ["tokens", "apps"] {
        assert_eq!(after[group].as_array().unwrap().len(), 1, "{after}");
        assert_ne!(before[group][0]["kid"], after[group][0]["kid"]);
    }
    assert_eq!(events(&server, "keys.rotated", "olga"), 2);
    let mut robot = program(&server, "olga", None);
    step_up(&mut robot);
    robot.post(&format!("{ADMIN}/keys/apps/rotate"), json!({})).expect(200);
}

/// Whoever sets up a proxy sees what arrives, without what proves who they are.
#[test]
fn whoami_hides_what_proves_who_one_is() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    server.add_user("mia", Role::Member, &[]);
    let mut olga = browser(&server, "olga")
        .with_header("X-Forwarded-For", "203.0.113.9")
        .with_header("X-Strange", "<b>bold</b>")
        .with_header("Cf-Access-Jwt-Assertion", "canary-jwt")
        .with_header("X-Amzn-Oidc-Data", "canary-oidc")
        .with_header("X-Auth-Request-Redirect", "canary-auth")
        .with_header("X-Pomerium-Signature", "canary-signature");
    let cookie = olga.cookies.iter().find(|(name, _)| name.contains("dw")).unwrap().1.clone();
    let page = olga.get("/whoami").expect(200).text();
    assert!(page.contains("203.0.113.9") && page.contains("127.0.0.1"), "{page}");
    assert!(page.contains("&#60;b&#62;bold") && !page.contains("<b>bold"), "{page}");
    let seen = olga.get_json(&format!("{ADMIN}/whoami")).expect(200).text();
    let mut robot = program(&server, "olga", None);
    let bearer = robot.bearer.clone().unwrap();
    let told = robot.get_json(&format!("{ADMIN}/whoami")).expect(200).text();
    for text in [&page, &seen, &told] {
        for secret in [cookie.as_str(), &bearer, "canary-"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    browser(&server, "mia").get("/whoami").expect(403);
    server.client().get("/whoami").expect(303);
}

/// What the pages and the API do, the command line does: beside a running server.
#[test]
fn the_command_line_does_the_same() {
    let mut installation = Installation::new();
    installation.settings.push("accounts.second_factor=optional".to_owned());
    let server = installation.serve();
    server.sign_in().expect(200);
    installation.run(["config", "set", "instance.name", "Linden Street"]).succeed();
    assert_eq!(installation.run(["config", "set", "server.listen", "x"]).code, Some(1));
    let taken = installation.run(["store", "snapshots", "--take"]).succeed().out;
    assert!(taken.contains("asked.doorward-export") && taken.contains("verified"), "{taken}");
    let status = installation.run(["keys", "status"]).succeed().out;
    assert!(status.contains("EdDSA") && status.contains("signs"), "{status}");
    let listed = installation.run(["audit", "list", "--kind", "setting."]).succeed().out;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains("to=Linden Street") && listed.contains("(cli)"), "{listed}");
    let file = installation.dir.0.join("audit.csv");
    let file = file.to_str().unwrap();
    installation.run(["audit", "export", file, "--format", "csv"]).succeed();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.starts_with("at,sequence,") && text.contains("\"setting.changed\""), "{text}");
    let lines = installation.run(["audit", "export", "-", "--kind", "audit."]).succeed().out;
    assert!(lines.contains("\"kind\":\"audit.exported\""), "{lines}");
    let support = installation.run(["doctor", "--support"]).succeed().out;
    assert!(support.starts_with("doorward ") && !support.contains("Linden"), "{support}");
    server.stop();
}

/// Every value of a label can be counted: what no route answers, files, and what the server refuses by itself too.
#[test]
fn metrics_count_every_answer() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    let ada = server.add_user("ada", Role::Member, &[]);
    server.enrol_totp(ada);
    let counted = |line: &str| {
        let text = server.app().metrics.render(Sample::default(), 0);
        let found = text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse::<u64>().ok());
        found.unwrap_or_else(|| panic!("no {line} in {text}"))
    };
    let requests = |route: &str, class: &str| {
        counted(&format!("doorward_http_requests_total{{route=\"{route}\",status=\"{class}\"}}"))
    };
    let mut client = server.client();
    client.get("/nothing").expect(404);
    client.send("PATCH", "/signin", &[], b"").expect(405);
    assert_eq!(requests("unknown", "4xx"), 2);
    let page = client.get("/signin").expect(200).text();
    let name = page.split('"').find(|part| part.starts_with("/assets/")).unwrap().to_owned();
    client.get(&name).expect(200);
    client.get("/assets/nothing").expect(404);
    assert_eq!((requests("asset", "2xx"), requests("asset", "4xx")), (1, 1));
    let before = requests("sign_in", "4xx");
    let sent = client.send("POST", "/api/v1/auth/login/api", &[], &[b' '; 20_000]);
    sent.expect(413);
    assert_eq!(requests("sign_in", "4xx"), before + 1);
    client.post("/api/v1/auth/login/api", json!({"username": "ada", "password": PASSWORD})).expect(200);
    assert_eq!(counted("doorward_sign_ins_total{result=\"second_factor_wanted\"}"), 1);
}
