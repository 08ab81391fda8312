//! Steps from one schema to the next.

use std::path::Path;

use super::meta::{self, Schema};
use super::snapshots::{self, Reason};
use super::{Store, wait};
use crate::kernel::time::Timestamp;

/// One step. It may be interrupted and run again, so it must not mind records that are already in the new form.
pub(super) struct Migration {
    /// The schema after the step.
    pub(super) to: u32,
    /// What it does, for the log.
    pub(super) title: &'static str,
    /// Does it, and returns how many records changed.
    pub(super) run: fn(&Store) -> Result<u64, String>,
}

/// Every step there is, in order.
pub(super) const ALL: &[Migration] = &[];

/// Takes a snapshot and runs the steps that the store still needs.
///
/// # Errors
/// Says in words which step failed. The steps before it are done.
pub(super) fn run(store: &Store, dir: &Path, all: &[Migration], now: Timestamp) -> Result<(), String> {
    let Some(schema) = meta::read::<Schema>(store).map_err(|error| error.to_string())? else {
        return Err("the store does not name its schema".to_owned());
    };
    let mut needed = all.iter().filter(|migration| migration.to > schema.version).peekable();
    if needed.peek().is_none() {
        return Ok(());
    }
    snapshots::take(store, dir, Reason::Precaution, now)
        .map_err(|error| format!("the snapshot before it: {error}"))?;
    for migration in needed {
        let changed = (migration.run)(store).map_err(|error| format!("{}: {error}", migration.title))?;
        let mut batch = store.batch();
        meta::put(&mut batch, &Schema { version: migration.to, app: env!("CARGO_PKG_VERSION").to_owned() });
        wait(store.commit(batch)).map_err(|error| format!("{}: {error}", migration.title))?;
        tracing::info!(to = migration.to, changed, "{}", migration.title);
    }
    Ok(())
}
