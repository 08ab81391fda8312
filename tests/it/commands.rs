//! `doorward user` as an administrator types it, beside a running server.

use crate::harness::PASSWORD;
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
    assert!(twice.code == Some(1) && twice.err.contains("exists"), "{twice:?}");
    let printed = installation.run(["store", "export", "-"]).succeed().out;
    assert_eq!(printed.lines().next().unwrap().contains("doorward"), read(&all).contains("doorward"));
    let listed = installation.run(["store", "snapshots", "--take"]).succeed().out;
    let name = listed.split("  ").next().unwrap().rsplit('/').next().unwrap();
    installation.run(["store", "fetch", name, &one]).succeed();
    let kept = installation.data.join("snapshots").join(name);
    assert_eq!(read(&one), read(kept.to_str().unwrap()));
    assert!(installation.run(["store", "fetch", name, &one]).err.contains("exists"));
    for wrong in ["../master.key", "nonsense", ""] {
        let outcome = installation.run(["store", "fetch", wrong, "-"]);
        assert!(outcome.code != Some(0) && outcome.out.is_empty(), "{wrong}: {outcome:?}");
    }
    for file in [&all, &one] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let left = std::fs::read_dir(&installation.data).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with("export-")));
    server.stop();
    // Without a server the snapshot is there too, and what was exported takes the place of everything.
    assert_eq!(installation.run(["store", "fetch", name, "-"]).succeed().out, read(&one));
    installation.run(["store", "import", "--replace", &all]).succeed();
    assert!(installation.run(["user", "list"]).succeed().out.contains("ada"));
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
