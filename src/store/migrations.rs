//! Steps from one schema to the next.

use std::path::Path;

use super::meta::{self, Schema};
use super::snapshots::{self, Reason};
use super::{RawBatch, Store, Table, Write, wait};
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
pub(super) const ALL: &[Migration] =
    &[Migration { to: 2, title: "events lie newest first", run: turn_events_round }];

/// Rows of events counted up until schema 2: time in ms (u64 BE), sequence (u64 BE). Since then both are complements.
fn turn_events_round(store: &Store) -> Result<u64, String> {
    const PAGE: usize = 256;
    let engine = store.engine();
    let mut moved = 0;
    loop {
        // A time of old begins with this byte for two million years, its complement never does.
        let page = engine.scan(&Table::AUDIT.key(&[0]), None, PAGE).map_err(|error| error.to_string())?;
        if page.is_empty() {
            return Ok(moved);
        }
        let mut batch = RawBatch::default();
        for (key, value) in page {
            let row: Vec<u8> = Table::AUDIT.row(&key).unwrap_or_default().iter().map(|byte| !byte).collect();
            batch.writes.push(Write::Put(Table::AUDIT.key(&row), value));
            batch.writes.push(Write::Remove(key));
            moved += 1;
        }
        wait(engine.commit(batch)).map_err(|error| error.to_string())?;
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::keys::MasterKey;
    use crate::crypto::sealed::Sealer;
    use crate::kernel::random::Random;
    use crate::store::{MemoryEngine, StoreError};

    fn store() -> Store {
        let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([1; 32])));
        Store::new(Arc::new(MemoryEngine::default()), sealer, Random::os())
    }

    fn begin(store: &Store) {
        let mut batch = store.batch();
        meta::put(&mut batch, &Schema { version: 1, app: "1.0.0".to_owned() });
        let id = crate::kernel::ids::InstanceId([1; 16]);
        meta::put(&mut batch, &meta::Instance { id, created: Timestamp::ZERO });
        wait(store.commit(batch)).unwrap();
    }

    fn add(store: &Store, row: &[u8]) -> Result<u64, String> {
        let key = Table::SETTING.key(row);
        let count = store.engine().get(&key).map_err(|error: StoreError| error.to_string())?;
        let next = count.map_or(1, |count| count.first().copied().unwrap_or(0) + 1);
        let batch = super::super::RawBatch {
            writes: vec![super::super::Write::Put(Table::AUDIT.key(row), vec![next])],
            ..Default::default()
        };
        wait(store.engine().commit(batch)).map_err(|error| error.to_string())?;
        Ok(1)
    }

    #[test]
    fn events_of_old_are_turned_round_once() {
        let store = store();
        let row = |at: u64, sequence: u64| [at.to_be_bytes(), sequence.to_be_bytes()].concat();
        let old: Vec<(Vec<u8>, Vec<u8>)> =
            (0..600_u64).map(|n| (row(1_790_000_000_000 + n / 3, n), vec![n as u8, 7])).collect();
        let put = |(row, value): &(Vec<u8>, Vec<u8>)| Write::Put(Table::AUDIT.key(row), value.clone());
        let batch = RawBatch { writes: old.iter().map(put).collect(), ..Default::default() };
        wait(store.engine().commit(batch)).unwrap();
        assert_eq!(turn_events_round(&store), Ok(600));
        let now = store.engine().scan(&Table::AUDIT.key(&[]), None, 1000).unwrap();
        let expected: Vec<(Vec<u8>, Vec<u8>)> = old
            .iter()
            .rev()
            .map(|(row, value)| {
                (Table::AUDIT.key(&row.iter().map(|byte| !byte).collect::<Vec<u8>>()), value.clone())
            })
            .collect();
        assert_eq!(now, expected, "newest first, with their values");
        assert_eq!(turn_events_round(&store), Ok(0));
    }

    const TO_2: Migration = Migration { to: 2, title: "second", run: |store| add(store, b"second") };
    const TO_3: Migration = Migration { to: 3, title: "third", run: |store| add(store, b"third") };
    const BROKEN: Migration = Migration { to: 3, title: "third", run: |_| Err("a full disk".to_owned()) };

    #[test]
    fn migrations_run_once_in_order_after_a_snapshot_and_go_on_where_they_failed() {
        let dir = std::env::temp_dir().join(format!("doorward-migrations-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let store = store();
        assert!(run(&store, &dir, &[TO_2], Timestamp::ZERO).is_err(), "a store without a schema");
        begin(&store);
        let version = |store: &Store| meta::read::<Schema>(store).unwrap().unwrap().version;
        let snapshots = || snapshots::list(&dir, None).unwrap().len();
        run(&store, &dir, &[], Timestamp::ZERO).unwrap();
        assert_eq!((version(&store), snapshots()), (1, 0));

        let error = run(&store, &dir, &[TO_2, BROKEN], Timestamp::ZERO).unwrap_err();
        assert!(error.contains("third: a full disk"), "{error}");
        assert_eq!((version(&store), snapshots()), (2, 1));

        run(&store, &dir, &[TO_2, TO_3], Timestamp::ZERO).unwrap();
        assert_eq!((version(&store), snapshots()), (3, 2));
        run(&store, &dir, &[TO_2, TO_3], Timestamp::ZERO).unwrap();
        assert_eq!((version(&store), snapshots()), (3, 2));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
