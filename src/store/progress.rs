//! A number that grows in the store, and beside it in a file, to notice when the store went back in time.
//!
//! sled takes a log whose end is missing or damaged for one that was never written further, and goes on without a
//! word: disabled people are enabled again, spent tokens are good again, or there is nobody at all. The number in the
//! file is written after the same number is on disk in the store, so a store that is behind it has lost records.

use std::io;
use std::path::{Path, PathBuf};

use super::directory::{self, PROGRESS};
use super::meta::{self, Progress};
use super::{Batch, CommitError, Store, StoreError, wait};

/// Returns where the number is written down.
pub fn file(dir: &Path) -> PathBuf {
    dir.join(PROGRESS)
}

/// Returns the number in the file of `dir`; `None` if the file is missing or holds none.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn written(dir: &Path) -> io::Result<Option<u64>> {
    match std::fs::read_to_string(file(dir)) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the number that the store of `dir` must have reached; zero if nobody wrote one down.
pub(super) fn expected(dir: &Path) -> io::Result<u64> {
    let written = written(dir)?;
    let file = file(dir);
    if written.is_none() && directory::exists(&file)? {
        tracing::warn!(file = %file.display(), "this file does not hold a number; it is written anew");
    }
    Ok(written.unwrap_or(0))
}

/// Returns the number that the store has reached.
///
/// # Errors
/// As [`Store::get`].
pub fn reached(store: &Store) -> Result<u64, StoreError> {
    Ok(meta::read::<Progress>(store)?.map_or(0, |progress| progress.count))
}

/// Adds the next number to `batch`, and returns it for [`note`].
pub(super) fn stage(store: &Store, batch: &mut Batch) -> Result<u64, StoreError> {
    let count = reached(store)?.saturating_add(1);
    meta::put(batch, &Progress { count });
    Ok(count)
}

/// Writes a number down that is on disk in the store. Without it the file is behind, which harms nobody.
pub(super) fn note(dir: &Path, count: u64) {
    if let Err(error) = directory::write_file(&dir.join(PROGRESS), format!("{count}\n").as_bytes()) {
        tracing::warn!(%error, "the progress of the store was not written down");
    }
}

/// Goes one further, in the store and then in the file.
pub(super) fn advance(store: &Store, dir: &Path) -> Result<(), CommitError> {
    let mut batch = store.batch();
    let count = stage(store, &mut batch)?;
    wait(store.commit(batch))?;
    note(dir, count);
    Ok(())
}
