//! A store that does not open: the program names the newest verified snapshot and the command that restores it, and
//! exactly that command brings everybody back (FAIL-04).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::program::{Installation, Outcome, give, is_root, skip};
use crate::harness::{PASSWORD, TempDir};

const NOBODY: u32 = 65_534;

/// Takes a snapshot of an installation with some people, and returns its path as `doorward store snapshots` shows it.
fn take_snapshot(installation: &Installation) -> String {
    for name in ["bob", "eve"] {
        installation.run(["user", "add", name]).succeed();
    }
    let listed = installation.run(["store", "snapshots", "--take"]).succeed().out;
    let line = listed.lines().next().unwrap();
    assert!(line.contains("verified"), "{line}");
    line.split("  ").next().unwrap().to_owned()
}

/// The server must refuse and name `snapshot`. Runs the command it prints, and then everything is as before.
#[track_caller]
fn must_be_restored_by_the_printed_command(installation: &Installation, snapshot: &str) -> Outcome {
    let refused = installation.refuse_to_serve();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("The newest verified snapshot was made at"), "{}", refused.err);
    let (_, command) = refused.err.rsplit_once("To restore it: ").expect(&refused.err);
    let command = command.trim();
    assert!(command.ends_with(snapshot), "{command}");
    let restored = installation.run_line(command).succeed();
    assert!(restored.out.contains("the former store is kept in"), "{}", restored.out);
    let process = installation.serve();
    let people = installation.run(["user", "list"]).succeed().out;
    let names: Vec<_> = people.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["ada", "bob", "eve"], "{people}");
    let answer = process.sign_in().expect(200);
    assert_eq!(answer.json()["status"], "mfa_enrolment_required", "an owner as before");
    process.stop();
    refused
}

fn database(installation: &Installation) -> PathBuf {
    installation.data.join("store/db")
}

/// FAIL-04: sled itself would go on with what is left: with fewer people, or with nobody.
#[test]
fn a_truncated_store_is_restored_by_the_printed_command() {
    let installation = Installation::new();
    let snapshot = take_snapshot(&installation);
    for percent in [95, 70, 20] {
        let bytes = fs::read(database(&installation)).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let db = fs::OpenOptions::new().write(true).open(database(&installation)).unwrap();
        db.set_len((used * percent / 100) as u64).unwrap();
        must_be_restored_by_the_printed_command(&installation, &snapshot);
    }
}

/// FAIL-04: an older copy opens without a fault, and would forget who was shut out.
#[test]
fn a_store_that_went_back_in_time_does_not_let_disabled_people_in() {
    let installation = Installation::new();
    installation.run(["user", "add", "eve"]).succeed();
    let (store, older) = (installation.data.join("store"), installation.dir.0.join("older"));
    let copied = std::process::Command::new("cp").arg("-a").arg(&store).arg(&older).status().unwrap();
    assert!(copied.success());
    installation.run(["user", "disable", "eve"]).succeed();
    fs::rename(&store, installation.dir.0.join("newer")).unwrap();
    fs::rename(&older, &store).unwrap();
    let refused = installation.refuse_to_serve();
    assert!(refused.err.contains("has lost its newest records"), "{}", refused.err);
    assert_eq!(installation.run(["user", "list"]).code, Some(1), "commands refuse as well");
    // Whoever did this on purpose can have it, in the way that the refusal names.
    let progress = installation.data.join("progress");
    assert!(refused.err.contains(&format!("remove the file {}", progress.display())), "{}", refused.err);
    fs::remove_file(progress).unwrap();
    installation.serve().stop();
    assert!(installation.run(["user", "list"]).succeed().out.contains("eve\tmember\tactive"));
}

/// FAIL-04
#[test]
fn a_store_with_flipped_bytes_is_restored_by_the_printed_command() {
    let installation = Installation::new();
    let snapshot = take_snapshot(&installation);
    let mut bytes = fs::read(database(&installation)).unwrap();
    for byte in bytes.iter_mut().skip(64).step_by(61) {
        *byte ^= 0x20;
    }
    fs::write(database(&installation), bytes).unwrap();
    must_be_restored_by_the_printed_command(&installation, &snapshot);
}

/// FAIL-04: the store of another installation, copied here by mistake.
#[test]
fn a_foreign_store_is_refused_and_replaced_by_the_printed_command() {
    let installation = Installation::new();
    let snapshot = take_snapshot(&installation);
    let id = installation.data.join("instance-id");
    let own = fs::read_to_string(&id).unwrap();
    let foreign: String = own.chars().map(|one| if one == 'A' { 'B' } else { 'A' }).take(22).collect();
    fs::write(&id, format!("{foreign}\n")).unwrap();
    let refused = must_be_restored_by_the_printed_command(&installation, &snapshot);
    assert!(refused.err.contains("belongs to another installation"), "{}", refused.err);
    assert_eq!(fs::read_to_string(&id).unwrap(), own, "the id is that of the snapshot");
}

/// FAIL-04: a store that vanished is no reason to begin anew.
#[test]
fn a_missing_store_is_restored_by_the_printed_command() {
    let installation = Installation::new();
    let snapshot = take_snapshot(&installation);
    fs::rename(installation.data.join("store"), installation.dir.0.join("elsewhere")).unwrap();
    let refused = installation.refuse_to_serve();
    assert!(refused.err.contains("does not start with an empty store"), "{}", refused.err);
    let (_, command) = refused.err.rsplit_once("To restore it: ").expect(&refused.err);
    assert!(command.trim().ends_with(&snapshot), "{command}");
    installation.run_line(command.trim()).succeed();
    let process = installation.serve();
    process.sign_in().expect(200);
    process.stop();
}

/// FAIL-04: files that belong to somebody else, as after a restore by root.
#[test]
fn an_unreadable_store_says_whom_it_belongs_to_and_how_to_go_on() {
    if !is_root() {
        return skip("only root can run Doorward as somebody else");
    }
    if std::process::Command::new("setpriv").arg("--version").output().is_err() {
        return skip("setpriv is not installed");
    }
    let dir = TempDir::new();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.0.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    give(&data, NOBODY);
    let installation = Installation::at(dir, data, Some(NOBODY));
    let snapshot = take_snapshot(&installation);
    give(&database(&installation), 0);
    fs::set_permissions(database(&installation), fs::Permissions::from_mode(0o600)).unwrap();
    let refused = must_be_restored_by_the_printed_command(&installation, &snapshot);
    assert!(refused.err.contains("store"), "{}", refused.err);
}

/// FAIL-04, KEY-02: without its key a store does not open, and no other key is made.
#[test]
fn a_store_without_its_key_does_not_start() {
    let installation = Installation::new();
    let key = installation.data.join("master.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let refused = installation.refuse_to_serve();
    assert!(refused.err.contains("master.key"), "{}", refused.err);
    assert!(!key.exists());
    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let process = installation.serve();
    let body = serde_json::json!({"username": "ada", "password": PASSWORD});
    process.client().post("/api/v1/auth/login/api", body).expect(200);
    process.stop();
}
