//! The high-water mark of the wall clock. A machine without a battery clock starts in the past after a power cut;
//! tokens issued then would outlive their revocation, so none are issued until the clock is right (FAIL-03).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::meta::{self, ClockHighWater};
use super::{CommitError, Store, StoreError};
use crate::kernel::time::Timestamp;

/// How far the clock may stand behind the mark: NTP steps back by less than this in normal operation.
pub const TOLERANCE: Duration = Duration::from_secs(120);
/// How often [`ClockMark::persist`] is worth calling.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// No machine that runs this program has an earlier date: 2026-01-01T00:00:00Z.
pub const EARLIEST: Timestamp = Timestamp::from_secs(1_767_225_600);

/// The latest moment the wall clock showed, in memory and in the store.
#[derive(Debug)]
pub struct ClockMark {
    millis: AtomicU64,
}

impl ClockMark {
    /// Reads the mark that the last process left.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let at = meta::read::<ClockHighWater>(store)?.map_or(Timestamp::ZERO, |mark| mark.at);
        Ok(ClockMark { millis: AtomicU64::new(at.as_millis()) })
    }

    /// Returns the mark.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// Returns whether the clock stands before [`EARLIEST`], or further behind the mark than [`TOLERANCE`]. While it
    /// does, no token may be issued. Takes a few nanoseconds.
    pub fn is_clock_behind(&self, now: Timestamp) -> bool {
        now < EARLIEST || now.plus(TOLERANCE) < self.at()
    }

    /// Moves the mark forward to `now` and stores it; does nothing while the clock is behind it. To be called every
    /// [`INTERVAL`] and before a clean stop.
    ///
    /// # Errors
    /// As [`Store::commit`]; the mark in memory has moved all the same.
    pub async fn persist(&self, store: &Store, now: Timestamp) -> Result<(), CommitError> {
        if self.millis.fetch_max(now.as_millis(), Ordering::Relaxed) >= now.as_millis() {
            return Ok(());
        }
        self.write(store, now).await
    }

    /// Takes `now` as the truth even if it lies before the mark: for an administrator who knows that the clock once
    /// ran ahead.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn reset(&self, store: &Store, now: Timestamp) -> Result<(), CommitError> {
        self.write(store, now).await?;
        self.millis.store(now.as_millis(), Ordering::Relaxed);
        Ok(())
    }

    async fn write(&self, store: &Store, at: Timestamp) -> Result<(), CommitError> {
        let mut batch = store.batch();
        meta::put(&mut batch, &ClockHighWater { at });
        store.commit(batch).await
    }
}
