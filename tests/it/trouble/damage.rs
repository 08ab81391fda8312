//! A store that does not open: the program names the newest verified snapshot and the command that restores it, and
//! exactly that command brings everybody back (FAIL-04).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward::crypto::keys::MasterKey;
use doorward::crypto::sealed::Sealer;
use doorward::kernel::random::Random;
use doorward::kernel::time::SystemClock;
use doorward::store::{self, Engine, OpenSettings, RawBatch, Table, Write, wait};

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

/// Returns an installation that runs as another user, as the service does; `None` where that cannot be done.
pub(super) fn of_nobody() -> Option<Installation> {
    if !is_root() {
        skip("only root can run Doorward as somebody else");
        return None;
    }
    if std::process::Command::new("setpriv").arg("--version").output().is_err() {
        skip("setpriv is not installed");
        return None;
    }
    let dir = TempDir::new();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.0.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    give(&data, NOBODY);
    Some(Installation::at(dir, data, Some(NOBODY)))
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
    let Some(installation) = of_nobody() else { return };
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

/// Returns whom everything in a directory belongs to, the directory too.
fn owners(path: &Path, found: &mut Vec<(PathBuf, u32)>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    found.push((path.to_owned(), metadata.uid()));
    if metadata.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| owners(&entry.unwrap().path(), found));
    }
}

/// Whatever root runs beside a stopped service leaves nothing that the service cannot open. The data lies behind a directory
/// that is closed to the service's user outside of its own view, as `/var/lib/private` is.
#[test]
fn commands_of_root_leave_the_data_to_the_service() {
    let Some(mut installation) = of_nobody() else { return };
    let root = installation.dir.0.clone();
    let file = root.join("all");
    let file = file.to_str().unwrap();
    let enter = |mode: u32| fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
    fs::remove_file(installation.data.join("progress")).unwrap();
    (installation.uid, _) = (None, enter(0o700));
    installation.run(["user", "add", "bob"]).succeed();
    installation.run(["store", "snapshots", "--take"]).succeed();
    installation.run(["store", "export", file]).succeed();
    installation.run(["store", "compact"]).succeed();
    installation.run(["store", "import", "--replace", file]).succeed();
    installation.run(["doctor"]);
    let mut found = Vec::new();
    owners(&installation.data, &mut found);
    found.retain(|(_, owner)| *owner != NOBODY);
    assert!(found.is_empty(), "{found:?}");
    let export = fs::metadata(file).unwrap();
    assert_eq!((export.uid(), export.mode() & 0o777), (0, 0o600), "what root asked for is root's");
    (installation.uid, _) = (Some(NOBODY), enter(0o755));
    let process = installation.serve();
    process.sign_in().expect(200);
    assert!(installation.run(["user", "list"]).succeed().out.contains("bob"));
    process.stop();
}

/// Writes a value that fails its check into a table.
fn spoil(installation: &Installation, table: Table) {
    let key = fs::read_to_string(installation.data.join("master.key")).unwrap();
    let sealer = Arc::new(Sealer::new(&MasterKey::parse_file(&key).unwrap()));
    let mut settings = OpenSettings::new(&installation.data);
    settings.free_space_floor = Some(0);
    let opened = store::open(&settings, &sealer, &Random::os(), &SystemClock::shared()).unwrap();
    let writes = vec![Write::Put(table.key(b"spoiled"), b"no envelope".to_vec())];
    wait(opened.engine.commit(RawBatch { preconditions: Vec::new(), writes, after: Vec::new() })).unwrap();
    opened.close();
}

/// FAIL-04: a damaged record that is read at the start. The refusal names the commands that keep all others, and the
/// snapshot.
#[test]
fn damaged_records_are_left_out_by_the_printed_commands() {
    let installation = Installation::new();
    let snapshot = take_snapshot(&installation);
    for table in [Table::SESSION, Table::USER, Table::CLIENT] {
        spoil(&installation, table);
        let refused = installation.refuse_to_serve();
        assert!(refused.err.contains(table.name) && refused.err.contains(&snapshot), "{refused:?}");
        let commands: Vec<_> = refused.err.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert_eq!(commands.len(), 2, "{refused:?}");
        for command in commands {
            installation.run_line(command).succeed();
        }
        let process = installation.serve();
        process.sign_in().expect(200);
        assert_eq!(installation.run(["user", "list"]).succeed().out.lines().count(), 3);
        process.stop();
    }
}
