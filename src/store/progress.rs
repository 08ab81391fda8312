//! A number that grows in the store, and beside it in a file, to notice when the store went back in time.
//!
//! sled takes a log whose end is missing or damaged for one that was never written further, and goes on without a
//! word: disabled people are enabled again, spent tokens are good again, or there is nobody at all. The number in the
//! file is written after the same number is on disk in the store, so a store that is behind it has lost records.

use std::io;
use std::path::Path;

use super::directory::{self, PROGRESS};
use super::meta::{self, Progress};
use super::{Batch, CommitError, Store, StoreError, wait};

/// Returns the number that the store of `dir` must have reached; zero if nobody wrote one down.
pub(super) fn expected(dir: &Path) -> io::Result<u64> {
    let file = dir.join(PROGRESS);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().parse().unwrap_or_else(|_| {
            tracing::warn!(file = %file.display(), "this file does not hold a number; it is written anew");
            0
        })),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Returns the number that the store has reached.
pub(super) fn reached(store: &Store) -> Result<u64, StoreError> {
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
