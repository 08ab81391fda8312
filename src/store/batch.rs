//! A batch of typed records.

use std::sync::Arc;

use super::envelope::{self, Versioned};
use super::tables;
use super::{CommitError, Precondition, RawBatch, Record, StoreError, Write};
use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// Preconditions and typed writes that will apply all or nothing.
pub struct Batch {
    raw: RawBatch,
    fault: Option<StoreError>,
    is_void: bool,
    sealer: Arc<Sealer>,
    random: Random,
}

impl Batch {
    pub(super) fn new(sealer: Arc<Sealer>, random: Random) -> Self {
        Batch { raw: RawBatch::default(), fault: None, is_void: false, sealer, random }
    }

    /// Writes `record` at `row`, which must not exist yet.
    pub fn insert_new<R: Record>(&mut self, row: &[u8], record: &R) -> &mut Self {
        self.raw.preconditions.push(Precondition::Absent(R::TABLE.key(row)));
        self.put(row, record)
    }

    /// Writes `record` at `row`, whatever is there.
    pub fn put<R: Record>(&mut self, row: &[u8], record: &R) -> &mut Self {
        match envelope::close(&self.sealer, &self.random, row, record) {
            Ok(value) => self.raw.writes.push(Write::Put(R::TABLE.key(row), value)),
            Err(fault) => self.fault = Some(fault),
        }
        self
    }

    /// Writes `record` at `row`, which must still hold what was read as `seen`.
    pub fn replace<R: Record>(&mut self, row: &[u8], seen: &Versioned<R>, record: &R) -> &mut Self {
        self.require(row, seen);
        self.put(row, record)
    }

    /// Requires that `row` still holds what was read as `seen`.
    pub fn require<R: Record>(&mut self, row: &[u8], seen: &Versioned<R>) -> &mut Self {
        self.raw.preconditions.push(Precondition::Equals(R::TABLE.key(row), seen.raw.clone()));
        self
    }

    /// Requires that `row` does not exist.
    pub fn require_absent<R: Record>(&mut self, row: &[u8]) -> &mut Self {
        self.raw.preconditions.push(Precondition::Absent(R::TABLE.key(row)));
        self
    }

    /// Removes `row`, whether it exists or not.
    pub fn remove<R: Record>(&mut self, row: &[u8]) -> &mut Self {
        self.raw.writes.push(Write::Remove(R::TABLE.key(row)));
        self
    }

    /// Tells whether the batch removes `row` so far.
    pub fn removes<R: Record>(&self, row: &[u8]) -> bool {
        let key = R::TABLE.key(row);
        self.raw.writes.iter().any(|write| matches!(write, Write::Remove(removed) if *removed == key))
    }

    /// Removes `row`, which must still hold what was read as `seen`: this consumes a single-use record (GEN-03).
    pub fn take<R: Record>(&mut self, row: &[u8], seen: &Versioned<R>) -> &mut Self {
        self.require(row, seen);
        self.remove::<R>(row)
    }

    /// Adds the expiry index row by which [`super::Store::purge`] will find `row`.
    pub fn expire<R: Record>(&mut self, row: &[u8], at: Timestamp) -> &mut Self {
        self.raw.writes.push(Write::Put(tables::expiry_key(R::TABLE, at, row), Vec::new()));
        self
    }

    /// Removes the expiry index row that [`Batch::expire`] added, of a row that is removed before its time.
    pub fn unexpire<R: Record>(&mut self, row: &[u8], at: Timestamp) -> &mut Self {
        self.raw.writes.push(Write::Remove(tables::expiry_key(R::TABLE, at, row)));
        self
    }

    /// Lets the commit fail with `fault`: what belongs into the batch could not be read.
    pub fn fail(&mut self, fault: StoreError) -> &mut Self {
        self.fault = Some(fault);
        self
    }

    /// Lets the commit conflict: a row that the batch was to build on is gone already.
    pub fn conflict(&mut self) -> &mut Self {
        self.is_void = true;
        self
    }

    /// Runs `update` after the batch is on disk, in commit order, before the commit is answered.
    pub fn after(&mut self, update: impl FnOnce() + Send + 'static) -> &mut Self {
        self.raw.after.push(Box::new(update));
        self
    }

    pub(super) fn into_raw(self) -> Result<RawBatch, CommitError> {
        match self.fault {
            Some(fault) => Err(CommitError::Store(fault)),
            None if self.is_void => Err(CommitError::Conflict),
            None => Ok(self.raw),
        }
    }
}
