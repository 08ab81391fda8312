//! Failures that suspend nobody yet. They are counted in memory and written down once a minute and at a stop, so that a
//! restart frees no guesser, and a flood of failures costs no write each (LIM-05, LIM-09, RES-04).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{CommitError, Record, Store, StoreError, Table};

/// The most counts at once (RES-03); a new one then has to wait until others are forgotten.
const MOST: usize = 131_072;
/// The most rows of one commit.
const MOST_IN_A_BATCH: usize = 500;

/// What failures are counted against: a keyed hash, so that a row names neither person nor place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counted([u8; 17]);

/// What a count is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum About {
    /// An account, from wherever.
    Account = b'a',
    /// An account at one place.
    Place = b'p',
    /// The second factor of an account.
    SecondFactor = b's',
}

impl Counted {
    pub(super) fn new(about: About, digest: [u8; 16]) -> Counted {
        let mut row = [0; 17];
        let (kind, rest) = row.split_at_mut(1);
        kind.fill(about as u8);
        rest.copy_from_slice(&digest);
        Counted(row)
    }

    /// Returns the bytes, as part of a counter's key.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_about(&self, about: About) -> bool {
        self.0.first() == Some(&(about as u8))
    }
}

/// A count. Row: what it is about, keyed hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureRecord {
    /// Failures in a row.
    pub count: u32,
    /// The latest of them.
    pub last: Timestamp,
    /// When it is forgotten.
    pub until: Timestamp,
}

impl Record for FailureRecord {
    const TABLE: Table = Table::FAILURE;
    const VERSION: u8 = 1;

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    /// The latest one on the monotonic clock, or the start of the process.
    last: Duration,
    /// How long before the start of the process the latest one was.
    before: Duration,
    keep_for: Duration,
    /// Whether the newest count is on disk.
    is_written: bool,
    /// Whether any count is.
    has_row: bool,
}

impl Failures {
    /// Returns how long ago the latest one was. A clock that is set changes nothing of it while the process runs.
    fn age(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_sub(self.last) + self.before
    }
}

#[derive(Default)]
struct Counts {
    live: HashMap<Counted, Failures>,
    /// Rows of counts that were forgotten.
    stale: HashSet<Counted>,
}

/// All counts.
pub(super) struct Tally {
    clock: SharedClock,
    counts: Mutex<Counts>,
}

impl Tally {
    /// Reads what the last process wrote down.
    pub(super) fn open(store: &Store, clock: SharedClock) -> Result<Tally, StoreError> {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let mut counts = Counts::default();
        store.for_each::<FailureRecord>(|row, FailureRecord { count, last, until }| {
            if let Ok(counted) = <[u8; 17]>::try_from(row)
                && until > now
                && counts.live.len() < MOST
            {
                let (before, keep_for) = (now.since(last), until.since(last));
                let last = monotonic;
                let failures = Failures { count, last, before, keep_for, is_written: true, has_row: true };
                counts.live.insert(Counted(counted), failures);
            }
            Ok(())
        })?;
        Ok(Tally { clock, counts: Mutex::new(counts) })
    }

    /// Counts a failure, and forgets it `keep_for` after the last one that follows.
    pub(super) fn note(&self, counted: Counted, keep_for: Duration) {
        let monotonic = self.clock.monotonic();
        let mut counts = self.counts.lock();
        if counts.live.len() >= MOST && !counts.live.contains_key(&counted) {
            counts.forget_old(monotonic);
            if counts.live.len() >= MOST {
                return;
            }
        }
        let before = Duration::ZERO;
        let fresh =
            Failures { count: 0, last: monotonic, before, keep_for, is_written: false, has_row: false };
        let failures = counts.live.entry(counted).or_insert(fresh);
        let count = if failures.age(monotonic) < failures.keep_for { failures.count } else { 0 };
        *failures = Failures { count: count.saturating_add(1), has_row: failures.has_row, ..fresh };
    }

    /// Returns how many failures there were, and how long ago the latest was.
    pub(super) fn get(&self, counted: Counted) -> Option<(u32, Duration)> {
        let counts = self.counts.lock();
        let failures = counts.live.get(&counted)?;
        Some((failures.count, failures.age(self.clock.monotonic())))
    }

    /// Forgets a count.
    pub(super) fn forget(&self, counted: Counted) {
        let mut counts = self.counts.lock();
        if counts.live.remove(&counted).is_some_and(|failures| failures.has_row) {
            counts.stale.insert(counted);
        }
    }

    /// Returns every count that is not forgotten.
    pub(super) fn all(&self) -> Vec<(Counted, u32)> {
        let monotonic = self.clock.monotonic();
        let counts = self.counts.lock();
        let live = counts.live.iter().filter(|(_, failures)| failures.age(monotonic) < failures.keep_for);
        live.map(|(counted, failures)| (*counted, failures.count)).collect()
    }

    /// Writes down what changed since the last time. Run every minute and before a clean stop.
    pub(super) async fn save(&self, store: &Store) -> Result<(), CommitError> {
        let now = self.clock.now();
        while store.purge::<FailureRecord>(now, MOST_IN_A_BATCH).await? == MOST_IN_A_BATCH {}
        loop {
            let changes = self.changes(now);
            if changes.is_empty() {
                return Ok(());
            }
            let mut batch = store.batch();
            for (counted, record) in &changes {
                match record {
                    Some(record) => {
                        batch.put(&counted.0, record);
                        batch.expire::<FailureRecord>(&counted.0, record.until);
                    }
                    None => {
                        batch.remove::<FailureRecord>(&counted.0);
                    }
                }
            }
            if let Err(error) = store.commit(batch).await {
                self.put_back(&changes);
                return Err(error);
            }
        }
    }

    /// Takes the changes for one commit.
    fn changes(&self, now: Timestamp) -> Vec<(Counted, Option<FailureRecord>)> {
        let monotonic = self.clock.monotonic();
        let mut counts = self.counts.lock();
        counts.forget_old(monotonic);
        let Counts { live, stale } = &mut *counts;
        let stale: Vec<Counted> = stale.extract_if(|_| true).take(MOST_IN_A_BATCH).collect();
        let mut changes: Vec<_> = stale
            .into_iter()
            .filter(|counted| !live.contains_key(counted))
            .map(|counted| (counted, None))
            .collect();
        let unwritten = live.iter_mut().filter(|(_, failures)| !failures.is_written);
        for (counted, failures) in unwritten.take(MOST_IN_A_BATCH) {
            (failures.is_written, failures.has_row) = (true, true);
            let last = now.minus(failures.age(monotonic));
            let record = FailureRecord { count: failures.count, last, until: last.plus(failures.keep_for) };
            changes.push((*counted, Some(record)));
        }
        changes
    }

    /// Remembers that these changes are not on disk.
    fn put_back(&self, changes: &[(Counted, Option<FailureRecord>)]) {
        let mut counts = self.counts.lock();
        for (counted, record) in changes {
            match (record, counts.live.get_mut(counted)) {
                (Some(_), Some(failures)) => failures.is_written = false,
                (Some(_), None) => {}
                (None, _) => {
                    counts.stale.insert(*counted);
                }
            }
        }
    }
}

impl Counts {
    fn forget_old(&mut self, monotonic: Duration) {
        // Their rows end by themselves.
        self.live.retain(|_, failures| failures.age(monotonic) < failures.keep_for);
    }
}
