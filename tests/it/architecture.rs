//! The house rules that a compiler does not know (invariants 1 and 10 of src/README.md), read from the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, lowest first. A room may use only rooms before it; those above all may use everything.
const ORDER: &[&str] = &[
    "words",
    "kernel",
    "config",
    "crypto",
    "store",
    "limits",
    "metrics",
    "http",
    "site",
    "views",
    "audit",
    "accounts",
    "sessions",
    "access",
    "sign_in",
    "my_account",
    "programs",
    "oidc",
    "admin",
    "setup",
    "operations",
    "import",
];
const ABOVE_ALL: &[&str] = &["routes", "app", "cli", "front"];

/// The longest file that is still one idea.
const MOST_LINES: usize = 800;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![below.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the rooms that a line names: `crate::room::...`, also in `use crate::{a::..., b::...}` on one line.
fn rooms_named(line: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let is_word = line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let rest = &line[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
        };
        if is_word {
            continue;
        }
        match rest.strip_prefix('{') {
            Some(list) => named.extend(list.split(',').map(|part| word(part.trim_start()))),
            None => named.push(word(rest)),
        }
    }
    named
}

/// Invariant 1: foundations import no capability, and capabilities import only rooms below them.
#[test]
fn rooms_use_only_the_rooms_below_them() {
    let place = |room: &str| ORDER.iter().position(|name| *name == room);
    let mut wrong = Vec::new();
    for (path, text) in sources(&root().join("src")) {
        let room = room_of(&path);
        if ["lib", "main", "build", "core", "fast", "small"].contains(&room.as_str())
            || ABOVE_ALL.contains(&room.as_str())
        {
            continue;
        }
        let own = place(&room).unwrap_or_else(|| panic!("{} is in no known room", path.display()));
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for named in rooms_named(code) {
                if ABOVE_ALL.contains(&named.as_str()) || place(&named).is_some_and(|other| other > own) {
                    wrong.push(format!("{}:{}: {room} uses {named}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_room() {
    let map = fs::read_to_string(root().join("src/README.md")).unwrap();
    let rooms: BTreeSet<String> =
        sources(&root().join("src")).iter().map(|(path, _)| room_of(path)).collect();
    for room in rooms
        .iter()
        .filter(|room| !["lib", "main", "build", "core", "fast", "small"].contains(&room.as_str()))
    {
        let is_named = ["", ".rs", "/"].iter().any(|end| map.contains(&format!("`{room}{end}`")));
        assert!(is_named, "src/README.md does not name the room {room}");
    }
    for room in ORDER {
        assert!(rooms.contains(*room), "there is no room {room}");
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in sources(&root().join("src")) {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines and wants another room", path.display());
    }
}

/// Invariant 10: one file may hold unsafe code.
#[test]
fn only_the_durability_shim_is_unsafe() {
    for (path, text) in sources(&root().join("src")) {
        let starts = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("];
        let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        let is_unsafe = text.lines().any(|line| starts.iter().any(|start| code(line).contains(start)));
        if is_unsafe {
            assert!(path.ends_with("src/store/durability.rs"), "{} holds unsafe code", path.display());
        }
    }
}

/// What an earlier version wrote is read: each record with more than one version has a test beside it for each earlier one.
#[test]
fn every_earlier_version_of_a_record_is_read_by_a_test() {
    let mut count = 0;
    for (path, text) in sources(&root().join("src")) {
        let mut record = "";
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("impl Record for ") {
                record = rest.split([' ', '<']).next().unwrap_or_default();
            }
            let version = line.strip_prefix("const VERSION: u8 = ").and_then(|rest| rest.strip_suffix(';'));
            let Some(Ok(version)) = version.map(str::parse::<u8>).filter(|_| !record.is_empty()) else {
                continue;
            };
            for earlier in 1..version {
                let call = format!("{record}::upgrade({earlier}, ");
                assert!(text.contains(&call), "{}: no test calls {call}…)", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 8, "only {count} were found");
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_undone() {
    // Split, so that this file does not find itself.
    let marks = [
        concat!("#[ign", "ore"),
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
    ];
    for below in ["src", "tests"] {
        for (path, text) in sources(&root().join(below)) {
            for mark in marks {
                assert!(!text.contains(mark), "{} contains {mark}", path.display());
            }
        }
    }
}
