//! `doorward user` as an administrator types it, beside a running server.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::harness::{PASSWORD, TempDir, until};
use crate::trouble::program::{Installation, Outcome, Process, give, is_root, skip};

/// Returns the path of the link that a command printed.
fn path_of(outcome: &Outcome) -> String {
    let line =
        outcome.out.lines().find(|line| line.contains("/link/")).unwrap_or_else(|| panic!("{outcome:?}"));
    line[line.find("/link/").unwrap()..].to_owned()
}

#[track_caller]
fn answers(server: &Process, link: &str, status: u16) {
    server.client().get(link).expect(status);
}

/// PWD-09, PWD-11: a new link withdraws the earlier ones, and whatever ends a person's sessions ends their links: the one
/// who can read an old mail or terminal is not let in again.
#[test]
fn what_ends_the_sessions_ends_the_links_too() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=http://localhost".to_owned());
    let server = installation.serve();
    let invitation = path_of(&installation.run(["user", "add", "bob"]).succeed());
    answers(&server, &invitation, 200);
    let link = || path_of(&installation.run(["user", "link", "bob"]).succeed());
    let second = link();
    answers(&server, &invitation, 410);
    answers(&server, &second, 200);
    installation.type_in(["user", "passwd", "bob"], PASSWORD).succeed();
    answers(&server, &second, 410);
    let third = link();
    assert!(installation.run(["user", "reset-2fa", "bob"]).err.contains("no second factor to reset"));
    installation.run(["user", "change", "bob", "--role", "admin"]).succeed();
    answers(&server, &third, 410);
    let fourth = link();
    installation.run(["user", "disable", "bob"]).succeed();
    installation.run(["user", "enable", "bob"]).succeed();
    answers(&server, &fourth, 410);
    server.stop();
}

/// KEY-05: keys and passwords in memory reach no core file, and no other process of the same user reads them.
#[test]
fn the_memory_of_the_server_is_its_own() {
    const NOBODY: u32 = 65_534;
    let mut installation = Installation::new();
    if is_root() {
        if std::process::Command::new("setpriv").arg("--version").output().is_err() {
            return skip("setpriv is not installed");
        }
        // /proc tells apart who may trace a process only if that is not root.
        give(&installation.dir.0, NOBODY);
        installation.uid = Some(NOBODY);
    }
    let server = installation.serve();
    let process = std::path::PathBuf::from(format!("/proc/{}", server.id()));
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "{line}");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(process.join("environ")).unwrap());
    assert_eq!(owner, 0, "the process may be traced and dumped");
    server.stop();
}

/// AUD-01: what leaves the store as a whole, and what comes into it, is written down.
#[test]
fn exports_and_imports_are_events() {
    let mut installation = Installation::new();
    installation.settings.push("accounts.second_factor=optional".to_owned());
    let file = installation.dir.0.join("all.jsonl");
    let file = file.to_str().unwrap();
    installation.run(["store", "export", file]).succeed();
    installation.run(["store", "import", "--replace", file]).succeed();
    let server = installation.serve();
    let token = server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut ada = server.client().with_bearer(&token);
    let events = ada.get_json("/api/v1/admin/audit?limit=200").expect(200).text();
    for kind in ["store.exported", "store.imported"] {
        assert!(events.contains(kind), "{kind}: {events}");
    }
    server.stop();
}

/// `doorward domain`, beside a running server and without one.
#[test]
fn domains_are_protected_from_the_command_line() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=https://auth.home.example".to_owned());
    let server = installation.serve();
    assert_eq!(installation.run(["domain", "list"]).succeed().out, "No domain is protected yet.\n");
    let all = installation.run(["domain", "add", "Home.Example"]).succeed().out;
    assert_eq!(all, "home.example\n");
    installation.run(["domain", "add", "third.example", "--cookie", "host"]).succeed();
    for wrong in [
        ["domain", "add", "co.uk"].as_slice(),
        &["domain", "add", "home.example"],
        &["domain", "add", "other.example"],
        &["domain", "add", "other.example", "--cookie", "both"],
        &["domain", "remove", "other.example"],
    ] {
        let outcome = installation.run(wrong.iter().copied());
        assert!(outcome.code != Some(0) && !outcome.err.is_empty(), "{wrong:?}: {outcome:?}");
    }
    server.stop();
    let line = ["domain", "add", "other.example", "--portal", "auth.other.example"];
    let all = installation.run(line).succeed().out;
    assert_eq!(all, "home.example\nthird.example cookie=host\nother.example portal=auth.other.example\n");
    let left = installation.run(["domain", "remove", "home.example"]).succeed().out;
    assert!(!left.contains("home.example"), "{left}");
}

/// FAIL-04: a command in the wrong directory makes no new installation, nor anything else.
#[test]
fn a_command_makes_no_installation() {
    let dir = TempDir::new();
    let data = dir.0.join("data");
    let installation = Installation::bare(dir, data);
    let named = |name: &str| installation.dir.0.join(name).to_str().unwrap().to_owned();
    let (file, users) = (named("all.jsonl"), named("users"));
    std::fs::write(&users, "mia:$2a$10$UdLYoJ5lgPsC0RKqYH/jMua7zIn0g9kPqWmhYayJYLaZQ/FTmH2/u\n").unwrap();
    let commands: [&[&str]; 12] = [
        &["user", "list"],
        &["user", "add", "eve"],
        &["group", "list"],
        &["rules", "export"],
        &["config", "set", "instance.name", "Linden Street"],
        &["import", "tinyauth", &users, "--apply"],
        &["proxy-snippet", "nginx", "--host", "photos.home.example"],
        &["store", "check"],
        &["store", "compact"],
        &["store", "snapshots", "--take"],
        &["store", "export", &file],
        &["store", "fetch", "20261126T050000Z-asked.doorward-export", &file],
    ];
    for is_there in [false, true] {
        for words in commands {
            let outcome = installation.run(words.iter().copied());
            let place = installation.data.to_str().unwrap();
            let is_told = outcome.err.contains(&format!("There is no Doorward in {place}"));
            assert!(
                outcome.code == Some(1) && is_told && outcome.err.contains("--data"),
                "{words:?}: {outcome:?}"
            );
            let made = std::fs::read_dir(&installation.data).map(|entries| entries.count());
            assert_eq!(made.ok(), is_there.then_some(0), "{words:?}");
        }
        let _ = std::fs::create_dir(&installation.data);
        std::fs::set_permissions(&installation.data, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
    }
    // An import needs the key of the installation that it comes from, and makes none.
    std::fs::write(&file, "x").unwrap();
    let outcome = installation.run(["store", "import", &file]);
    assert!(outcome.code == Some(1) && outcome.err.contains("key"), "{outcome:?}");
    assert_eq!(std::fs::read_dir(&installation.data).unwrap().count(), 0);
}

/// A first start that was refused can be tried again: what it left is not taken for an installation that lost its data.
#[test]
fn a_first_start_that_was_refused_can_be_tried_again() {
    let dir = TempDir::new();
    let data = dir.0.join("data");
    let installation = Installation::bare(dir, data);
    let mode = |bits| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(bits);
        std::fs::set_permissions(&installation.data, permissions).unwrap();
    };
    std::fs::create_dir(&installation.data).unwrap();
    mode(0o755);
    let refused = installation.refuse_to_serve().err;
    assert!(refused.contains("chmod 700"), "{refused}");
    assert_eq!(std::fs::read_dir(&installation.data).unwrap().count(), 0);
    mode(0o700);
    installation.serve().stop();
    // Killed with the key made and the store half made.
    std::fs::remove_dir_all(installation.data.join("store")).unwrap();
    std::fs::remove_file(installation.data.join("instance-id")).unwrap();
    let _ = std::fs::remove_dir_all(installation.data.join("snapshots"));
    let refused = installation.refuse_to_serve().err;
    assert!(refused.contains("belongs to an installation"), "a store that was lost: {refused}");
    std::fs::create_dir(installation.data.join("store")).unwrap();
    for name in ["first-start", "store/conf", "store/db"] {
        std::fs::write(installation.data.join(name), "x").unwrap();
    }
    installation.serve().stop();
    assert!(!installation.data.join("first-start").exists());
    installation.serve().stop();
}

/// App tokens from the machine itself: printed once, refused as soon as they are removed.
#[test]
fn app_tokens_are_made_listed_and_removed_by_command() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=http://auth.home.localhost".to_owned());
    installation.settings.push("protect.domain=home.localhost".to_owned());
    let server = installation.serve();
    installation.type_in(["user", "add", "bob", "--password-stdin"], PASSWORD).succeed();
    installation.run(["rules", "add", "allow", "one_factor", "domain=dav.home.localhost"]).succeed();
    let made = ["user", "app-token", "add", "bob", "NAS sync", "--host", "*.home.localhost", "--days", "30"];
    let made = installation.run(made).succeed().out;
    let token = made.lines().next().unwrap().to_owned();
    assert!(token.starts_with("dwa_"), "{made}");
    let ask = || {
        let headers = [
            ("X-Original-URL", "http://dav.home.localhost/"),
            ("X-Original-Method", "GET"),
            ("Authorization", &*format!("Bearer {token}")),
        ];
        server.client().send("GET", "/api/authz/auth-request", &headers, b"").status
    };
    assert_eq!(ask(), 200);
    let listed = installation.run(["user", "app-token", "list", "bob"]).succeed().out;
    assert!(listed.contains("NAS sync\t*.home.localhost\tone_factor\texpires 20"), "{listed}");
    assert!(!listed.contains("dwa_"));
    let handle = listed.split('\t').next().unwrap();
    installation.run(["user", "app-token", "remove", "bob", handle]).succeed();
    assert_eq!(ask(), 401);
    assert_ne!(installation.run(["user", "app-token", "remove", "bob", handle]).code, Some(0));
    server.stop();
}

/// `rules check` says which rule decides and why the others do not; what `export` writes, `apply` reads.
#[test]
fn rules_are_explained_exported_and_applied_from_the_command_line() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=https://auth.home.example".to_owned());
    installation.settings.push("protect.domain=home.example".to_owned());
    let file = installation.dir.0.join("rules.txt");
    let file = file.to_str().unwrap();
    let server = installation.serve();
    installation.run(["user", "add", "mia", "--name", "Mia", "--group", "family"]).succeed();
    for rule in [
        &["bypass", "domain=photos.home.example", "path=^/share/", "method=GET"][..],
        &["deny", "domain=photos.home.example", "network=203.0.113.0/24", "#", "not", "from", "there"],
        &["allow", "one_factor", "domain=wiki.home.example", "user=bob"],
        &[
            "allow",
            "two_factor",
            "domain=photos.home.example",
            "resource=^/a b",
            "subject=user:mia+group:family",
        ],
    ] {
        let words = ["rules", "add"].into_iter().chain(rule.iter().copied());
        installation.run(words).succeed();
    }
    let check = |more: &[&str]| {
        let words =
            ["rules", "check", "--host", "photos.home.example"].into_iter().chain(more.iter().copied());
        installation.run(words)
    };
    let outcome =
        check(&["--user", "mia", "--path", "/a%20b", "--method", "POST", "--address", "192.168.1.5"])
            .succeed();
    assert_eq!(
        outcome.out,
        "Rule 1 is for GET, and this is POST.\n\
         Rule 2 is for requests from 203.0.113.0/24, and this one comes from 192.168.1.5.\n\
         Rule 3 is for other hosts than photos.home.example.\n\
         Rule 4 fits and asks for two factors, and Mia has proven one.\n\
         Mia is asked to sign in with two factors, by rule 4.\n"
    );
    let blind = check(&["--user", "mia", "--path", "/other"]).succeed().out;
    assert!(
        blind.contains("nobody said where this one comes from") && blind.contains("X-Forwarded-For"),
        "{blind}"
    );
    assert!(blind.ends_with("Mia is kept out, by rule 2.\n"), "{blind}");
    let outcome =
        check(&["--user", "mia", "--two-factor", "--path", "/other", "--address", "192.168.1.5"]).succeed();
    assert_eq!(
        outcome.out,
        "Rule 1 is for paths that match ^/share/, and /other does not.\n\
         Rule 2 is for requests from 203.0.113.0/24, and this one comes from 192.168.1.5.\n\
         Rule 3 is for other hosts than photos.home.example.\n\
         Rule 4 is for a path and query that match ^/a b, and /other does not.\n\
         Mia is kept out, because no rule matches.\n"
    );
    let outcome = check(&["--path", "/share/%2e%2e%2fx", "--address", "203.0.113.9"]).succeed();
    assert!(
        outcome.out.starts_with("Rule 1 looks at the path, and this path could be read in two ways"),
        "{outcome:?}"
    );
    assert!(outcome.out.ends_with("Someone who is not signed in is kept out, by rule 1.\n"), "{outcome:?}");
    for (more, why) in
        [(&["--user", "nobody"][..], "There is no account “nobody”."), (&["--draft"], "There is no draft")]
    {
        let outcome = check(more);
        assert!(outcome.code != Some(0) && outcome.err.contains(why), "{outcome:?}");
    }
    let before = installation.run(["rules", "list"]).succeed().out;
    installation.run(["rules", "export", file]).succeed();
    installation.run(["rules", "remove", "2"]).succeed();
    installation.run(["rules", "add", "--before", "1", "deny", "domain=x.home.example"]).succeed();
    installation.run(["rules", "apply", file]).succeed();
    assert_eq!(installation.run(["rules", "list"]).succeed().out, before);
    assert_eq!(installation.run(["rules", "export"]).succeed().out, std::fs::read_to_string(file).unwrap());
    server.stop();
    assert_eq!(installation.run(["rules", "list"]).succeed().out, before, "also without a server");
}

/// `rules change` and `rules move` name a rule by its number and touch no other, beside a server and without one.
#[test]
fn rules_are_changed_and_moved_from_the_command_line() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=https://auth.home.example".to_owned());
    installation.settings.push("protect.domain=home.example".to_owned());
    let rules = |outcome: &Outcome| -> Vec<String> {
        let numbered = outcome.out.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        numbered.map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
    };
    let rule = |host: &str| format!("allow one_factor domain={host}.home.example");
    let run = |line: &str| installation.run(line.split(' '));
    let server = installation.serve();
    for host in ["a", "b", "c"] {
        run(&format!("rules add {}", rule(host))).succeed();
    }
    let closed = "deny domain=b.home.example network=10.0.0.0/8 # not from there";
    let seen = rules(&run(&format!("rules change 2 {closed}")).succeed());
    assert_eq!(seen, [rule("a"), closed.to_owned(), rule("c")]);
    let seen = rules(&run("rules move 3 up").succeed());
    assert_eq!(seen, [rule("a"), rule("c"), closed.to_owned()]);
    let seen = rules(&run("rules move 1 down").succeed());
    assert_eq!(seen, [rule("c"), rule("a"), closed.to_owned()]);
    // Beyond the ends there is no place.
    for line in ["rules move 1 up", "rules move 3 down"] {
        assert_eq!(rules(&run(line).succeed()), [rule("c"), rule("a"), closed.to_owned()], "{line}");
    }
    for (line, said) in [
        ("rules change 0 deny domain=x.home.example", "There is no rule 0."),
        ("rules change 4 deny domain=x.home.example", "There is no rule 4."),
        ("rules change 1 bypass domain=x.home.example user=ada", "A bypass rule lets everyone in"),
        ("rules change 1 deny host=x.home.example", "host"),
        ("rules change 1", "WORDS"),
        ("rules change one deny domain=x.home.example", "invalid value"),
        ("rules move 4 up", "There is no rule 4."),
        ("rules move 0 down", "There is no rule 0."),
        ("rules move 1 sideways", "possible values: up, down"),
    ] {
        let outcome = run(line);
        assert!(outcome.code != Some(0) && outcome.err.contains(said), "{line}: {outcome:?}");
    }
    assert_eq!(rules(&run("rules list").succeed()), [rule("c"), rule("a"), closed.to_owned()]);
    let events = run("audit list --kind rule.changed").succeed().out;
    assert!(events.lines().count() >= 6 && events.lines().all(|line| line.contains("cli")), "{events}");
    server.stop();
    let seen = rules(&run("rules move 2 up").succeed());
    assert_eq!(seen, [rule("a"), rule("c"), closed.to_owned()], "without a server");
    let seen = rules(&run(&format!("rules change 3 {}", rule("d"))).succeed());
    assert_eq!(seen, [rule("a"), rule("c"), rule("d")], "without a server");
}

/// What the running server alone can read is had beside it too: a copy of everything, and a snapshot. Nothing is written
/// over, and nothing is left behind.
#[test]
fn copies_are_taken_beside_a_running_server() {
    let installation = Installation::new();
    let server = installation.serve();
    let path = |name: &str| installation.dir.0.join(name).to_str().unwrap().to_owned();
    let (all, one) = (path("all.jsonl"), path("one.jsonl"));
    let said = installation.run(["store", "export", &all]).succeed().out;
    assert!(said.contains("records written to") && said.contains("and verified"), "{said}");
    let twice = installation.run(["store", "export", &all]);
    let takes_another =
        |outcome: &Outcome| outcome.err.contains("exists") && outcome.err.contains("another file");
    assert!(twice.code == Some(1) && takes_another(&twice), "{twice:?}");
    let printed = installation.run(["store", "export", "-"]).succeed().out;
    assert_eq!(printed.lines().next().unwrap().contains("doorward"), read(&all).contains("doorward"));
    let listed = installation.run(["store", "snapshots", "--take"]).succeed().out;
    let name = listed.split("  ").next().unwrap().rsplit('/').next().unwrap();
    installation.run(["store", "fetch", name, &one]).succeed();
    let kept = installation.data.join("snapshots").join(name);
    assert_eq!(read(&one), read(kept.to_str().unwrap()));
    assert!(takes_another(&installation.run(["store", "fetch", name, &one])));
    for wrong in ["../master.key", "nonsense", ""] {
        let outcome = installation.run(["store", "fetch", wrong, "-"]);
        assert!(outcome.code != Some(0) && outcome.out.is_empty(), "{wrong}: {outcome:?}");
    }
    for file in [&all, &one] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(left_behind(&installation).is_empty());
    server.stop();
    // Without a server the snapshot is there too, and what was exported takes the place of everything.
    assert_eq!(installation.run(["store", "fetch", name, "-"]).succeed().out, read(&one));
    installation.run(["store", "import", "--replace", &all]).succeed();
    assert!(installation.run(["user", "list"]).succeed().out.contains("ada"));
}

/// Returns the copies that a command has not taken from the data directory, and those that are half written.
fn left_behind(installation: &Installation) -> Vec<String> {
    let names = |place: &std::path::Path| {
        let entries = std::fs::read_dir(place).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut left = names(&installation.data);
    left.retain(|name| name.starts_with("export-") || name.starts_with("handed-out-"));
    left.extend(
        names(&installation.data.join("snapshots")).into_iter().filter(|name| name.ends_with(".tmp")),
    );
    left
}

/// A command that is ended while the server makes its copy leaves none; and what a killed server left is gone after the
/// next start. What somebody put there under a name of their own stays.
#[test]
fn no_copy_is_left_behind() {
    let installation = Installation::new();
    let server = installation.serve();
    let mut stream = UnixStream::connect(installation.data.join("control.sock")).unwrap();
    stream.write_all(b"\"ExportStore\"\n").unwrap();
    drop(stream);
    let all = installation.dir.0.join("all.jsonl");
    // One copy is made at a time, so that one is done once this is.
    until("the first copy is done", || {
        installation.run(["store", "export", all.to_str().unwrap()]).code == Some(0)
    });
    until("nothing is left", || left_behind(&installation).is_empty());
    server.stop();

    let snapshots = installation.data.join("snapshots");
    std::fs::create_dir_all(&snapshots).unwrap();
    let killed = [
        installation.data.join("handed-out-1800000000000.tmp"),
        installation.data.join("handed-out-1800000000001"),
        snapshots.join("20261126T050000Z-daily.doorward-export.tmp"),
    ];
    let own = [
        installation.data.join("export-1800000000"),
        installation.data.join("handed-out-notes.tmp"),
        snapshots.join("mine.tmp"),
    ];
    for file in killed.iter().chain(&own) {
        std::fs::write(file, "x").unwrap();
    }
    installation.serve().stop();
    assert!(killed.iter().all(|file| !file.exists()) && own.iter().all(|file| file.exists()));
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap()
}

/// The list of open steps is put away from the command line as well, and by no other value.
#[test]
fn the_checklist_is_put_away_by_command() {
    let mut installation = Installation::new();
    installation.settings.push("accounts.second_factor=optional".to_owned());
    let server = installation.serve();
    let token = server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut ada = server.client().with_bearer(&token);
    let mut open = || {
        let list = ada.get_json("/api/v1/admin/checklist").expect(200).json();
        list["open"].as_array().unwrap().len()
    };
    assert!(open() > 0);
    for wrong in ["shown", "", "Hidden"] {
        let outcome = installation.run(["config", "set", "checklist", wrong]);
        assert!(outcome.code != Some(0) && outcome.err.contains("its value is hidden"), "{outcome:?}");
    }
    assert!(open() > 0);
    installation.run(["config", "set", "checklist", "hidden"]).succeed();
    assert_eq!(open(), 0);
    server.stop();
}
