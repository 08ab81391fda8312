//! Putting a rewritten store in the place of the old one so that a crash at any moment leaves one of the two, whole.
//!
//! The new store is built in `store.new`. A marker file is the decision: without it `store.new` is unfinished work
//! and is removed; with it the two renames are carried out, now or at the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{self, INSTANCE, STORE, STORE_NEW, STORE_PROVEN, SWAP_MARKER};
use crate::kernel::ids::InstanceId;
use crate::kernel::time::Timestamp;

/// Where the store that is replaced goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// Into the quarantine, for good.
    Keep,
    /// Away: the new one was compared with it record by record.
    Remove,
}

const STORE_OLD: &str = "store.old";
const STORE_RETRY: &str = "store.retry";

/// Decides for `store.new`, which must be closed, and carries it out. Returns where the old store is kept.
pub(super) fn commit(
    dir: &Path,
    old: Old,
    instance: InstanceId,
    now: Timestamp,
) -> io::Result<Option<PathBuf>> {
    directory::sync_tree(&dir.join(STORE_NEW))?;
    let place = match old {
        Old::Keep => directory::quarantine_place(dir, STORE, now)?,
        Old::Remove => dir.join(STORE_OLD),
    };
    let relative = place.strip_prefix(dir).map_err(io::Error::other)?.display().to_string();
    directory::write_file(&dir.join(SWAP_MARKER), format!("{relative}\n{instance}\n").as_bytes())?;
    resume(dir)?;
    Ok((old == Old::Keep).then_some(place).filter(|place| place.exists()))
}

/// Finishes what a crash interrupted, and removes unfinished work. Nobody may have the store open.
pub(super) fn resume(dir: &Path) -> io::Result<()> {
    let (store, new, marker) = (dir.join(STORE), dir.join(STORE_NEW), dir.join(SWAP_MARKER));
    let decision = match fs::read_to_string(&marker) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let proven = dir.join(STORE_PROVEN);
            if directory::exists(&proven)? && !directory::exists(&store)? {
                directory::rename(&proven, &store)?;
            }
            for unfinished in [new, dir.join(STORE_OLD), dir.join(STORE_RETRY), proven] {
                directory::remove_tree(&unfinished)?;
            }
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut lines = decision.lines();
    let (Some(old), Some(instance)) = (lines.next(), lines.next().and_then(InstanceId::parse)) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", marker.display())));
    };
    if directory::exists(&new)? {
        if directory::exists(&store)? {
            directory::rename(&store, &dir.join(old))?;
        }
        directory::rename(&new, &store)?;
    }
    directory::write_file(&dir.join(INSTANCE), format!("{instance}\n").as_bytes())?;
    fs::remove_file(&marker)?;
    directory::sync_dir(dir)?;
    directory::remove_tree(&dir.join(STORE_OLD))
}
