//! What the store knows about itself: rows of the table `meta`, one type each.

use serde::{Deserialize, Serialize};

use super::{Batch, CommitError, Record, Store, StoreError, Table};
use crate::kernel::ids::InstanceId;
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// The schema that this program reads and writes. Raised together with a migration.
pub const SCHEMA_VERSION: u32 = 2;
/// The first schema there was; every migration from it is known.
pub(super) const OLDEST_SCHEMA: u32 = 1;

/// A record that exists once.
pub trait Single: Record {
    /// Its row.
    const ROW: &'static [u8];
}

macro_rules! single {
    ($type:ident, $table:ident, $row:literal) => {
        impl Record for $type {
            const TABLE: Table = Table::$table;
            const VERSION: u8 = 1;
        }
        impl Single for $type {
            const ROW: &'static [u8] = $row;
        }
    };
}

/// The schema that the store is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Compared with [`SCHEMA_VERSION`].
    pub version: u32,
    /// The version of the program that wrote it.
    pub app: String,
}
single!(Schema, META, b"schema");

/// The installation that the store belongs to. The same id stands in the file `instance-id` beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The id.
    pub id: InstanceId,
    /// When the store was made.
    pub created: Timestamp,
}
single!(Instance, META, b"instance");

/// Sessions, tokens and links made before `at` are refused: the store was restored then (BAK-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotBefore {
    /// The moment of the restore.
    pub at: Timestamp,
}
single!(NotBefore, META, b"not_before");

/// The latest moment the wall clock ever showed (FAIL-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockHighWater {
    /// That moment.
    pub at: Timestamp,
}
single!(ClockHighWater, META, b"clock");

/// Whether the last process that had the store closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanStop {
    /// True between a close and the next open.
    pub is_clean: bool,
    /// When the flag was set.
    pub at: Timestamp,
}
single!(CleanStop, META, b"clean_stop");

/// How far the store has come; the same number, or a smaller one, stands in the file `progress` beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) count: u64,
}
single!(Progress, META, b"progress");

/// How much there is in the store, as the last check of everything counted it. It stands only in a store so large on disk
/// that a start may compact it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Of all keys and values.
    pub(super) bytes: u64,
}
single!(Contents, META, b"contents");

/// A sealed value that opens only with the master key of this store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Canary {
    noise: [u8; 16],
}
single!(Canary, CANARY, b"");

impl Canary {
    pub(super) fn new(random: &Random) -> Self {
        Canary { noise: random.bytes() }
    }
}

/// Reads a record that exists once.
///
/// # Errors
/// As [`Store::get`].
pub fn read<S: Single>(store: &Store) -> Result<Option<S>, StoreError> {
    Ok(store.get::<S>(S::ROW)?.map(|found| found.value))
}

/// Adds a record that exists once to a batch.
pub fn put<S: Single>(batch: &mut Batch, record: &S) {
    batch.put(S::ROW, record);
}

/// Returns the moment before which sessions, tokens and links are refused; the epoch if the store was never restored.
///
/// # Errors
/// As [`Store::get`].
pub fn not_before(store: &Store) -> Result<Timestamp, StoreError> {
    Ok(read::<NotBefore>(store)?.map_or(Timestamp::ZERO, |record| record.at))
}

/// Refuses from now on what was issued before `at`, for example after a suspected theft of keys.
///
/// # Errors
/// As [`Store::commit`].
pub async fn refuse_before(store: &Store, at: Timestamp) -> Result<(), CommitError> {
    let mut batch = store.batch();
    put(&mut batch, &NotBefore { at });
    store.commit(batch).await
}
