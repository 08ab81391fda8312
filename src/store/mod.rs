//! The store: an ordered key-value engine behind one narrow trait, and typed tables on top of it.
//!
//! An engine offers `get`, `scan` and `commit(batch)`. A batch is a list of preconditions and writes that apply all
//! or nothing; `commit` answers only after the data is on disk (FAIL-01). Single-use objects, uniqueness and
//! rotation are preconditions (GEN-03). Everything above speaks [`Store`], which turns records into sealed or
//! checksummed envelopes.

mod batch;
mod beginning;
mod check;
pub mod clock_mark;
mod directory;
mod durability;
mod engine;
mod envelope;
pub mod export;
mod guarded;
mod keeper;
pub mod leftovers;
mod memory;
pub mod meta;
mod migrations;
mod open;
pub mod progress;
mod restore;
mod sled_engine;
pub mod snapshots;
pub mod staged;
mod swap;
mod tables;
mod writer;

pub use batch::Batch;
pub use beginning::begin;
pub use check::{BackgroundCheck, CheckReport, check_now};
pub use durability::syncs;
pub use engine::{
    CommitError, CommitFuture, Engine, Pair, Precondition, RawBatch, Snapshot, StoreError, Write,
};
pub use envelope::Versioned;
pub use keeper::Keeper;
pub use memory::MemoryEngine;
pub use open::{OpenError, OpenSettings, Opened, Refusal, has_data, open};
pub use restore::{CompactReport, ImportOptions, ImportReport, compact, import};
pub use sled_engine::{EngineStats, SledEngine};
pub use tables::{Protection, TABLES, Table};
pub use writer::OnFailure;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// A typed value of one table.
pub trait Record: Serialize + DeserializeOwned {
    /// The table it lives in.
    const TABLE: Table;
    /// The schema version that `Serialize` writes (postcard).
    const VERSION: u8;

    /// Reads a value that an older version wrote; `None` refuses it.
    fn upgrade(_version: u8, _body: &[u8]) -> Option<Self> {
        None
    }

    /// Returns when the record may be purged; `None` keeps it for ever. Must be `Some` for a record that is put
    /// with [`Batch::expire`].
    fn expires_at(&self) -> Option<Timestamp> {
        None
    }
}

/// A record with its row.
pub type Row<R> = (Vec<u8>, Versioned<R>);

/// Typed access to an engine. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    sealer: Arc<Sealer>,
    random: Random,
}

impl Store {
    /// Joins an engine with the key that seals secret tables.
    pub fn new(engine: Arc<dyn Engine>, sealer: Arc<Sealer>, random: Random) -> Self {
        Store { engine, sealer, random }
    }

    /// Returns the record at `row`, or `None`.
    pub fn get<R: Record>(&self, row: &[u8]) -> Result<Option<Versioned<R>>, StoreError> {
        let key = R::TABLE.key(row);
        match self.engine.get(&key)? {
            Some(raw) => envelope::open(&self.sealer, row, raw).map(Some),
            None => Ok(None),
        }
    }

    /// Returns at most `limit` records whose row starts with `prefix`, in row order, starting after the row `after`.
    pub fn scan<R: Record>(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row<R>>, StoreError> {
        let prefix = R::TABLE.key(prefix);
        let after = after.map(|row| R::TABLE.key(row));
        let mut found = Vec::new();
        for (key, raw) in self.engine.scan(&prefix, after.as_deref(), limit)? {
            let row = R::TABLE.row(&key).ok_or(StoreError::Corrupt { table: R::TABLE.name })?.to_vec();
            let record = envelope::open(&self.sealer, &row, raw)?;
            found.push((row, record));
        }
        Ok(found)
    }

    /// Shows every record of a table to `visit`, in row order: for the start, which reads whole tables into memory. Pages
    /// are small, and a record is gone before the next is read, so that little is left behind between what stays.
    ///
    /// # Errors
    /// As [`Store::scan`], or what `visit` says.
    pub fn for_each<R: Record>(
        &self,
        mut visit: impl FnMut(&[u8], R) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        const PAGE: usize = 128;
        let prefix = R::TABLE.key(&[]);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.engine.scan(&prefix, after.as_deref(), PAGE)?;
            let is_last = page.len() < PAGE;
            for (key, raw) in page {
                let row = R::TABLE.row(&key).ok_or(StoreError::Corrupt { table: R::TABLE.name })?;
                visit(row, envelope::open(&self.sealer, row, raw)?.value)?;
                after = Some(key);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Starts a batch that is committed with [`Store::commit`].
    pub fn batch(&self) -> Batch {
        Batch::new(self.sealer.clone(), self.random.clone())
    }

    /// Applies a batch all or nothing, and answers after it is on disk. The hooks of [`Batch::after`] have run by then.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.engine.commit(batch.into_raw()?).await
    }

    /// Deletes up to `limit` records of `R`'s table that expired before `now`, with their index rows.
    /// Returns how many index rows were visited; fewer than `limit` means the table is clean.
    pub async fn purge<R: Record>(&self, now: Timestamp, limit: usize) -> Result<usize, CommitError> {
        let prefix = tables::expiry_prefix(R::TABLE);
        let mut raw = RawBatch::default();
        let mut visited = 0;
        for (index_key, _) in self.engine.scan(&prefix, None, limit).map_err(CommitError::Store)? {
            let Some((at, row)) = tables::split_expiry_key(&index_key) else { continue };
            if at > now {
                break;
            }
            visited += 1;
            let key = R::TABLE.key(row);
            raw.writes.push(Write::Remove(index_key.clone()));
            let Some(stored) = self.engine.get(&key).map_err(CommitError::Store)? else { continue };
            // A damaged record stays for the check to report; it must not hold up the purge of the others.
            let Ok(record) = envelope::open::<R>(&self.sealer, row, stored.clone()) else { continue };
            raw.preconditions.push(Precondition::Equals(key.clone(), stored));
            match record.value.expires_at() {
                // A record that slid forward since it was indexed gets an index row at its new expiry.
                Some(later) if later > now => {
                    raw.writes.push(Write::Put(tables::expiry_key(R::TABLE, later, row), Vec::new()))
                }
                _ => raw.writes.push(Write::Remove(key)),
            }
        }
        if visited > 0 {
            self.engine.commit(raw).await?;
        }
        Ok(visited)
    }

    /// The key that seals secret tables, for checks of whole stores.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Returns the fingerprint of the master key that seals this store.
    pub fn key_fingerprint(&self) -> &str {
        self.sealer.key_fingerprint()
    }

    /// The engine below, for export, import and checks.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }
}

/// Blocks the calling thread until `future` is done. For threads outside the async runtime: start, end, command line.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
