//! Opening sled's files without trusting them. sled panics on damage, can hang, and takes a half-written snapshot of
//! its page table for the newest one; every such snapshot can be derived again from the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::directory;
use crate::kernel::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct SledSettings {
    pub(super) cache_bytes: u64,
    pub(super) segment_bytes: usize,
    pub(super) timeout: Duration,
}

/// How often the lock of a store that was closed a moment ago is tried again; sled lets go of it late.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Opens the sled store `dir/store`, making it if it is missing.
///
/// # Errors
/// Says in words why it does not open, after a second try without sled's snapshots. Whatever was moved lies in the
/// quarantine.
pub(super) fn open(dir: &Path, settings: &SledSettings, now: Timestamp) -> Result<sled::Db, String> {
    let path = dir.join(directory::STORE);
    let text = |error: std::io::Error| error.to_string();
    if directory::exists(&path).map_err(text)? {
        set_aside_half_written_snapshots(dir, &path, now).map_err(text)?;
    } else {
        directory::make_dir(&path).map_err(text)?;
    }
    let first = match try_open(&path, settings) {
        Ok(db) => {
            directory::sync_tree(&path).map_err(text)?;
            return Ok(db);
        }
        Err(Refusal::Hangs(why)) => return Err(why),
        Err(Refusal::Refused(why)) => why,
    };
    if !has_snapshots(&path).map_err(text)? {
        return Err(first);
    }
    tracing::error!(why = first, "the store did not open; trying without sled's snapshots");
    retry_without_snapshots(dir, &path, settings, now)
        .map_err(|second| format!("{first}; without sled's snapshots: {second}"))
}

/// Opens a fresh sled store at `path`, which must be an empty directory.
pub(super) fn open_new(path: &Path, settings: &SledSettings) -> Result<sled::Db, String> {
    try_open(path, settings).map_err(Refusal::text)
}

/// Opens a copy without snapshots first, and puts it in the place of the original only if that works: a failed open
/// may leave a thread behind that still holds the original.
fn retry_without_snapshots(
    dir: &Path,
    path: &Path,
    settings: &SledSettings,
    now: Timestamp,
) -> Result<sled::Db, String> {
    let text = |error: std::io::Error| error.to_string();
    let copy = dir.join("store.retry");
    directory::remove_tree(&copy).map_err(text)?;
    directory::copy_tree(path, &copy, &|name| name.starts_with("snap.")).map_err(text)?;
    match try_open(&copy, settings) {
        Ok(db) => drop(db),
        Err(refusal) => {
            // Left in place it would fill the disk, one copy a restart.
            directory::remove_tree(&copy).map_err(text)?;
            return Err(refusal.text());
        }
    }
    directory::sync_tree(&copy).map_err(text)?;
    // A crash from here on leaves the store, or the proven copy, which the next start puts in its place.
    let proven = dir.join(directory::STORE_PROVEN);
    directory::rename(&copy, &proven).map_err(text)?;
    let damaged = directory::quarantine(dir, path, now).map_err(text)?;
    directory::rename(&proven, path).map_err(text)?;
    tracing::warn!(kept = %damaged.display(), "the store opened without sled's snapshots; the damaged one was kept");
    let db = try_open(path, settings).map_err(Refusal::text)?;
    directory::sync_tree(path).map_err(text)?;
    Ok(db)
}

enum Refusal {
    Refused(String),
    Hangs(String),
}

impl Refusal {
    fn text(self) -> String {
        match self {
            Refusal::Refused(why) | Refusal::Hangs(why) => why,
        }
    }
}

fn try_open(path: &Path, settings: &SledSettings) -> Result<sled::Db, Refusal> {
    let mut tries = 0;
    loop {
        match open_in_a_thread(path, settings) {
            Err(Refusal::Refused(why)) if why.contains("could not acquire lock") && tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

fn open_in_a_thread(path: &Path, settings: &SledSettings) -> Result<sled::Db, Refusal> {
    let config = sled::Config::default()
        .path(path)
        .cache_capacity(settings.cache_bytes)
        .segment_size(settings.segment_bytes)
        .flush_every_ms(Some(500));
    let (done, opened) = channel();
    let opening = std::thread::Builder::new().name("store-open".to_owned()).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| config.open().map_err(|error| error.to_string())));
        let result =
            result.unwrap_or_else(|panic| Err(format!("sled panicked: {}", directory::panic_text(&*panic))));
        // Nobody waits any more after the timeout; the database is dropped then.
        let _ = done.send(result);
    });
    if let Err(error) = opening {
        return Err(Refusal::Refused(error.to_string()));
    }
    match opened.recv_timeout(settings.timeout) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(why)) => Err(Refusal::Refused(why)),
        Err(RecvTimeoutError::Timeout) => {
            Err(Refusal::Hangs(format!("it did not open within {} s", settings.timeout.as_secs())))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Refusal::Refused("the opening thread died".to_owned())),
    }
}

fn snapshot_names(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("snap.")) {
            names.push(entry.path());
        }
    }
    Ok(names)
}

fn has_snapshots(path: &Path) -> std::io::Result<bool> {
    Ok(!snapshot_names(path)?.is_empty())
}

fn set_aside_half_written_snapshots(dir: &Path, path: &Path, now: Timestamp) -> std::io::Result<()> {
    for snapshot in snapshot_names(path)? {
        if snapshot.extension().is_some_and(|extension| extension == "generating") {
            let place = directory::quarantine(dir, &snapshot, now)?;
            tracing::warn!(kept = %place.display(), "sled left a half-written snapshot of its page table; it was set aside");
        }
    }
    Ok(())
}
