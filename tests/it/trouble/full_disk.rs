//! A file system that is really full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::program::{Installation, Process, is_root, skip};
use doorward::kernel::time::SystemClock;

use crate::harness::{Answer, PATIENCE, TempDir};

/// A file system of its own in memory, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(dir: &Path, mebibytes: u32) -> Option<Disk> {
        let place = dir.join("disk");
        fs::create_dir(&place).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=0700"), "tmpfs"]);
        let mounted = command.arg(&place).output().ok()?;
        mounted.status.success().then_some(Disk(place))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves so many bytes free.
    fn fill_up_to(&self, left: usize) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.filler()).unwrap();
        let mut chunk = vec![1; 1 << 20];
        while !chunk.is_empty() {
            if file.write_all(&chunk).is_err() {
                chunk.truncate(chunk.len() / 2);
            }
        }
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(left as u64)).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Returns a directory, and a disk of its own in it.
fn disk() -> Option<(TempDir, Disk)> {
    if !is_root() {
        skip("mounting a file system needs root");
        return None;
    }
    let dir = TempDir::new();
    let Some(disk) = Disk::mount(&dir.0, 96) else {
        skip("no file system can be mounted here");
        return None;
    };
    Some((dir, disk))
}

/// Returns an installation on a disk of its own, with the floor that is the default or the one given.
fn on_a_disk(floor: &str) -> Option<(Installation, Disk)> {
    let (dir, disk) = disk()?;
    let data = disk.0.join("data");
    let mut installation = Installation::at(dir, data, None);
    installation.settings.push(format!("data.free_space_floor_mib={floor}"));
    installation.settings.push("accounts.registration=open".to_owned());
    installation.settings.push("accounts.second_factor=optional".to_owned());
    installation.settings.push("limits.api=100000/1h".to_owned());
    Some((installation, disk))
}

fn refresh(process: &Process, token: &str) -> Answer {
    process.client().post("/api/v1/auth/refresh/api", json!({ "refresh_token": token }))
}

fn refresh_token(answer: &Answer) -> String {
    answer.json()["refresh_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

fn until_ready(process: &Process) -> Duration {
    let begun = SystemClock::shared();
    while process.client().get_json("/readyz").status != 200 {
        assert!(begun.monotonic() < PATIENCE, "it does not get ready again");
        std::thread::sleep(Duration::from_millis(50));
    }
    begun.monotonic()
}

/// FAIL-02: a disk that fills up to the last byte stops writes before the store can be hurt, and nothing else; a
/// removed file is enough to go on.
#[test]
fn a_disk_filled_to_the_last_byte_costs_nothing_but_time() {
    let Some((installation, disk)) = on_a_disk("auto") else { return };
    let process = installation.serve();
    let token = refresh_token(&process.sign_in().expect(200));
    disk.fill_up_to(0);
    for _ in 0..20 {
        let answer = refresh(&process, &token).expect(503);
        assert_eq!(answer.code(), "store_unavailable");
    }
    process.client().get_json("/readyz").expect(503);
    process.client().get_json("/healthz").expect(200);
    process.client().get("/signin").expect(200);
    disk.make_room();
    assert!(until_ready(&process) < Duration::from_secs(3));
    let token = refresh_token(&refresh(&process, &token).expect(200));
    process.stop();
    // And started while the disk is full, it serves what it can.
    disk.fill_up_to(4 << 20);
    let process = installation.serve();
    assert_eq!(refresh(&process, &token).expect(503).code(), "store_unavailable");
    process.client().get("/signin").expect(200);
    disk.make_room();
    until_ready(&process);
    refresh(&process, &token).expect(200);
    process.stop();
    installation.run(["store", "check"]).succeed();
}

/// FAIL-01, FAIL-02: without a floor the store itself meets the full disk. It stops with a code of its own instead of
/// going on with half a store, and after a start with room everything acknowledged is there.
#[test]
fn without_a_floor_a_full_disk_ends_the_process_and_loses_nothing() {
    let Some((installation, disk)) = on_a_disk("0") else { return };
    let mut process = installation.serve();
    let mut token = refresh_token(&process.sign_in().expect(200));
    disk.fill_up_to(0);
    let mut last = 200;
    // The log has room in its last segment for a while.
    for _ in 0..20_000 {
        let Some(answer) = try_refresh(&process, &token) else { break };
        last = answer.status;
        if answer.status != 200 {
            break;
        }
        token = refresh_token(&answer);
    }
    assert_eq!(process.wait().code(), Some(70), "last answer {last}: {}", process.log());
    disk.make_room();
    let process = installation.serve();
    let again = refresh(&process, &token).expect(200);
    refresh(&process, &refresh_token(&again)).expect(200);
    process.stop();
    installation.run(["store", "check"]).succeed();
}

/// As [`refresh`], or `None` once nobody answers.
fn try_refresh(process: &Process, token: &str) -> Option<Answer> {
    let process = std::panic::AssertUnwindSafe(process);
    std::panic::catch_unwind(|| refresh(&process, token)).ok()
}

/// FAIL-02, KEY-02: a first start that finds no room makes nothing that the next one would take for an installation,
/// whether the room is missed before the key is made or only by the store itself.
#[test]
fn a_first_start_on_a_full_disk_can_be_tried_again() {
    for (floor, left) in [("auto", 8 << 20), ("0", 300 << 10), ("0", 16 << 10), ("0", 0)] {
        let Some((dir, disk)) = disk() else { return };
        let data = disk.0.join("data");
        let mut installation = Installation::bare(dir, data);
        installation.settings = vec![format!("data.free_space_floor_mib={floor}")];
        disk.fill_up_to(left);
        let outcome = installation.refuse_to_serve();
        assert!(!outcome.err.contains("belongs to an installation"), "{floor} {left}: {}", outcome.err);
        for name in ["master.key", "store", "instance-id"] {
            assert!(!installation.data.join(name).exists(), "{floor} {left}: {name} is left");
        }
        disk.make_room();
        installation.serve().stop();
    }
}
