//! The data directory: who may read it, who owns it now, and moves inside it that survive a power cut.
//!
//! ```text
//! lock                 held by the one process that uses the directory
//! instance-id          the installation that the store must belong to
//! progress             how far the store must have come at least
//! first-start          only until the first start has made its store
//! store/               the engine's files
//! snapshots/           verified exports
//! handed-out-*         copies that a command takes along at once
//! quarantine/          whatever was moved out of the way; nothing is ever deleted from here by Doorward
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::kernel::time::Timestamp;

pub(super) const STORE: &str = "store";
pub(super) const STORE_NEW: &str = "store.new";
pub(super) const SWAP_MARKER: &str = "store.swap";
pub(super) const INSTANCE: &str = "instance-id";
pub(super) const PROGRESS: &str = "progress";
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const QUARANTINE: &str = "quarantine";
const LOCK: &str = "lock";

/// Returns the bytes an unprivileged process may still write where `dir` lies; `None` if the system does not say.
pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Returns the words of a caught panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no words".to_owned()
    }
}

/// The exclusive right to use a data directory, given back when dropped or when the process ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// Why the lock was not taken.
pub(super) enum LockError {
    /// Another process has it; its id, if it wrote it.
    Taken(String),
    Io(io::Error),
}

impl DirectoryLock {
    pub(super) fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(LockError::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Taken(
                    fs::read_to_string(&path).unwrap_or_default().trim().to_owned(),
                ));
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        file.set_len(0).map_err(LockError::Io)?;
        writeln!(file, "{}", std::process::id()).map_err(LockError::Io)?;
        Ok(DirectoryLock { _file: file })
    }
}

/// Makes `dir` with mode 0700 if it is missing, and refuses one that others may enter (KEY-02).
///
/// # Errors
/// The sentence for the administrator, with the command to run.
pub(super) fn prepare(dir: &Path) -> Result<(), String> {
    match fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => Err(format!("{} is not a directory.", dir.display())),
        Ok(meta) if meta.mode() & 0o077 != 0 => Err(format!(
            "The data directory {dir} can be read or changed by other users of this machine (mode {mode:04o}). \
             Run: chmod 700 {dir}",
            dir = dir.display(),
            mode = meta.mode() & 0o7777
        )),
        Ok(_) => match fs::read_dir(dir) {
            Ok(_) => Ok(()),
            Err(error) => Err(unreadable(dir, &error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_dir(dir)
            .map_err(|error| format!("The data directory {} cannot be made: {error}.", dir.display())),
        Err(error) => Err(unreadable(dir, &error)),
    }
}

/// Says that `path` cannot be read and what to run.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    format!(
        "{path} cannot be used by the user that runs Doorward: {error}. Run as root: chown -R {user} {path}",
        path = path.display(),
        user = rustix::process::geteuid().as_raw()
    )
}

/// Makes `dir` and what leads to it, for us alone; no error if it is there.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    sync_parent(dir)
}

/// Returns whether something is at `path`; a lack of permission is an error, never a "no" (FAIL-04).
pub(super) fn exists(path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Forces a directory's entries to disk.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Forces every file of `dir`, the directory and its parent to disk.
pub(super) fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => sync_tree(&path)?,
            Ok(kind) if kind.is_file() => match File::open(&path).and_then(|file| file.sync_all()) {
                // sled removes an old snapshot while it runs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            },
            _ => {}
        }
    }
    sync_dir(dir)?;
    sync_parent(dir)
}

/// Renames, and forces both directories to disk.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)?;
    sync_parent(from)
}

/// Writes a whole small file so that a power cut leaves the old or the new one (BAK-01).
pub(super) fn write_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    rename(&temporary, path)
}

/// Moves `path` into the quarantine and returns where it went.
pub(super) fn quarantine(dir: &Path, path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed");
    let place = quarantine_place(dir, name, now)?;
    rename(path, &place)?;
    Ok(place)
}

/// Returns a free name in the quarantine for something called `name`.
pub(super) fn quarantine_place(dir: &Path, name: &str, now: Timestamp) -> io::Result<PathBuf> {
    let quarantine = dir.join(QUARANTINE);
    make_dir(&quarantine)?;
    let stamp = stamp(now);
    for number in 0..u32::MAX {
        let place = quarantine.join(format!("{stamp}-{number}-{name}"));
        if !exists(&place)? {
            return Ok(place);
        }
    }
    Err(io::Error::other("the quarantine is full"))
}

/// Returns `YYYYMMDDTHHMMSSZ` (ISO 8601 basic format), which sorts by time and is sound in a file name.
pub(super) fn stamp(at: Timestamp) -> String {
    at.to_rfc3339().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// Copies the plain files and directories of `from` to the new directory `to`, except names that `leave_out` matches.
pub(super) fn copy_tree(from: &Path, to: &Path, leave_out: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(leave_out) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &to.join(&name), leave_out)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// Removes a directory that Doorward made for work in progress; no error if it is not there.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
