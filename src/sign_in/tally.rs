//! Failures that suspend nobody yet. They are counted in memory and written down once a minute and at a stop, so that a
//! restart frees no guesser, and a flood of failures costs no write each (LIM-05, LIM-09, RES-04).

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::lockout::{FREE_FAILURES, MOST_FAILURES};
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{CommitError, Record, Store, StoreError, Table};

/// The most counts at once (RES-03); beyond it those that matter least make room (LIM-10).
const MOST: usize = 131_072;
/// So many make room at once, so that a flood does not search the table for each.
const ROOM: usize = MOST / 16;
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

    fn is_live(&self, monotonic: Duration) -> bool {
        self.age(monotonic) < self.keep_for
    }

    /// Counts one more, or the first one if the others are forgotten.
    fn count(&mut self, monotonic: Duration, keep_for: impl Fn(u32) -> Duration) {
        let count = if self.is_live(monotonic) { self.count.saturating_add(1) } else { 1 };
        let keep_for = keep_for(count);
        *self = Failures { count, keep_for, has_row: self.has_row, ..Failures::none(monotonic) };
    }

    fn none(monotonic: Duration) -> Failures {
        Failures {
            count: 0,
            last: monotonic,
            before: Duration::ZERO,
            keep_for: Duration::ZERO,
            is_written: false,
            has_row: false,
        }
    }
}

#[derive(Default)]
struct Counts {
    live: HashMap<Counted, Failures>,
    /// Rows of counts that were forgotten.
    stale: HashSet<Counted>,
    /// What all accounts share that found no room, because everything in the table has earned its place.
    overflow: Option<Failures>,
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

    /// Counts a failure. So many failures are forgotten `keep_for` them after the last one.
    pub(super) fn note(&self, counted: Counted, keep_for: impl Fn(u32) -> Duration) {
        let monotonic = self.clock.monotonic();
        let mut counts = self.counts.lock();
        if counts.live.len() >= MOST && !counts.live.contains_key(&counted) {
            counts.make_room(monotonic);
            if counts.live.len() >= MOST {
                if counted.is_about(About::Account) {
                    counts.note_overflow(monotonic, keep_for);
                }
                return;
            }
        }
        counts.live.entry(counted).or_insert(Failures::none(monotonic)).count(monotonic, keep_for);
    }

    /// Returns how many failures there were, and how long ago the latest was.
    pub(super) fn get(&self, counted: Counted) -> Option<(u32, Duration)> {
        let monotonic = self.clock.monotonic();
        let counts = self.counts.lock();
        let failures = match counts.live.get(&counted) {
            Some(failures) => Some(failures),
            // Nobody knows how often those failed that found no room: they share the stricter count.
            None if counts.live.len() >= MOST => counts.overflow.as_ref(),
            None => None,
        };
        let failures = failures.filter(|failures| failures.is_live(monotonic))?;
        Some((failures.count, failures.age(monotonic)))
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
        let live = counts.live.iter().filter(|(_, failures)| failures.is_live(monotonic));
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
        let Counts { live, stale, .. } = &mut *counts;
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
        self.live.retain(|_, failures| failures.is_live(monotonic));
    }

    /// Forgets what is over, and if that is nothing, the counts that matter least: the fewest failures, and of these
    /// the oldest. An account that has earned a delay stays, and so do second factors, which nobody counts up who does
    /// not know a password.
    fn make_room(&mut self, monotonic: Duration) {
        self.forget_old(monotonic);
        if self.live.len() < MOST {
            return;
        }
        let matters = |counted: &Counted, failures: &Failures| {
            counted.is_about(About::SecondFactor)
                || (counted.is_about(About::Account) && failures.count >= FREE_FAILURES)
        };
        let mut others: Vec<_> = self
            .live
            .iter()
            .filter(|(counted, failures)| !matters(counted, failures))
            .map(|(counted, failures)| (failures.count, Reverse(failures.age(monotonic)), *counted))
            .collect();
        if others.len() > ROOM {
            others.select_nth_unstable_by_key(ROOM, |(count, age, _)| (*count, *age));
            others.truncate(ROOM);
        }
        for (_, _, counted) in others {
            if self.live.remove(&counted).is_some_and(|failures| failures.has_row) {
                self.stale.insert(counted);
            }
        }
    }

    fn note_overflow(&mut self, monotonic: Duration, keep_for: impl Fn(u32) -> Duration) {
        let shared = self.overflow.get_or_insert(Failures::none(monotonic));
        shared.count(monotonic, keep_for);
        // It delays from the first one on, and never longer than one account would be delayed by others' failures.
        shared.count = shared.count.clamp(FREE_FAILURES, MOST_FAILURES - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::TestClock;

    fn counted(about: About, number: usize) -> Counted {
        Counted::new(about, (number as u128).to_be_bytes())
    }

    /// LIM-10, RES-03: what has earned a delay never makes room; if there is nothing else, newcomers share a stricter
    /// count.
    #[test]
    fn hot_counts_never_make_room_and_what_finds_none_is_delayed_at_once() {
        let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
        let tally = Tally { clock: clock.clone(), counts: Mutex::default() };
        let day = |_| Duration::from_secs(86_400);
        let hot = Failures { count: FREE_FAILURES, keep_for: day(0), ..Failures::none(Duration::ZERO) };
        let cold = Failures { count: 1, ..hot };
        for number in 0..MOST - 1 {
            tally.counts.lock().live.insert(counted(About::Account, number), hot);
        }
        tally.counts.lock().live.insert(counted(About::Place, 0), cold);
        // The only cold one makes room.
        tally.note(counted(About::Account, MOST), day);
        assert_eq!(tally.get(counted(About::Place, 0)), None);
        assert_eq!(tally.get(counted(About::Account, MOST)).unwrap().0, 1);
        tally.counts.lock().live.insert(counted(About::Account, MOST), hot);
        tally.note(counted(About::Account, MOST + 1), day);
        assert_eq!(tally.counts.lock().live.len(), MOST);
        let (count, age) = tally.get(counted(About::Account, MOST + 1)).unwrap();
        assert_eq!((count, age), (FREE_FAILURES, Duration::ZERO));
        for _ in 0..200 {
            tally.note(counted(About::Account, MOST + 2), day);
        }
        assert_eq!(tally.get(counted(About::Account, MOST + 3)).unwrap().0, MOST_FAILURES - 1);
        clock.advance(day(0));
        assert_eq!(tally.get(counted(About::Account, MOST + 3)), None);
    }
}
