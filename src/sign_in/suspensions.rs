//! The suspensions that hold now, in memory. While the process runs the monotonic clock alone says when one ends, so that
//! a step of the wall clock neither frees nor extends it (LIM-09); their rows carry them over a restart.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::lockout::SuspensionRecord;
use crate::kernel::ids::UserId;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{CommitError, Store, StoreError};

/// A keyed hash of subject and place.
pub(super) type Handle = [u8; 16];

/// The most suspensions of accounts at once (RES-03); beyond it the one that ends soonest makes room.
const MOST_OF_USERS: usize = 65_536;
/// The most suspensions of names that are nobody's. They never take the room of the others.
const MOST_OF_NOBODY: usize = 16_384;
/// A row that says another end than memory does by more than this is written again.
const TOLERANCE: Duration = Duration::from_secs(60);
/// The most rows of one commit.
const MOST_IN_A_BATCH: usize = 500;

struct Held {
    record: SuspensionRecord,
    /// When it ends, on the monotonic clock.
    ends: Duration,
}

#[derive(Default)]
struct Table {
    held: HashMap<Handle, Held>,
    /// The rows of those that made room, by when they would have ended.
    stale: Vec<(Handle, Timestamp)>,
}

/// All of them.
pub(super) struct Suspensions {
    clock: SharedClock,
    table: Mutex<Table>,
}

impl Suspensions {
    /// Reads what the last process wrote. None lasts longer than `longest` from now on, whatever the clock was then.
    pub(super) fn open(store: &Store, clock: SharedClock, longest: Duration) -> Result<Self, StoreError> {
        let suspensions = Suspensions { clock, table: Mutex::default() };
        let now = suspensions.clock.now();
        store.for_each::<SuspensionRecord>(|row, mut record| {
            if let Ok(handle) = Handle::try_from(row)
                && record.until > now
            {
                record.until = record.until.min(now.plus(longest));
                suspensions.insert(handle, record);
            }
            Ok(())
        })?;
        Ok(suspensions)
    }

    /// Holds a suspension that ends as its record says.
    pub(super) fn insert(&self, handle: Handle, record: SuspensionRecord) {
        let ends = self.clock.monotonic() + record.until.since(self.clock.now());
        let mut table = self.table.lock();
        if !table.held.contains_key(&handle) {
            table.make_room(record.user.is_none());
        }
        table.held.insert(handle, Held { record, ends });
    }

    /// Ends a suspension.
    pub(super) fn remove(&self, handle: &Handle) {
        self.table.lock().held.remove(handle);
    }

    /// Returns until when this one holds, by the wall clock as it goes now.
    pub(super) fn until(&self, handle: &Handle) -> Option<Timestamp> {
        let left = self.table.lock().held.get(handle)?.ends.saturating_sub(self.clock.monotonic());
        (!left.is_zero()).then(|| self.clock.now().plus(left))
    }

    /// Shows every one that holds to `see`: handle, record, and until when.
    pub(super) fn for_each(&self, mut see: impl FnMut(&Handle, &SuspensionRecord, Timestamp)) {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        for (handle, held) in self.table.lock().held.iter().filter(|(_, held)| held.ends > monotonic) {
            see(handle, &held.record, now.plus(held.ends - monotonic));
        }
    }

    /// Returns the users that are suspended somewhere.
    pub(super) fn users(&self) -> std::collections::HashSet<UserId> {
        let mut users = std::collections::HashSet::new();
        self.for_each(|_, record, _| users.extend(record.user));
        users
    }

    /// Returns how many are held.
    pub(super) fn len(&self) -> usize {
        self.table.lock().held.len()
    }

    /// Drops those that are over, writes the rows of the others again if the wall clock was set since, and removes the
    /// rows that are over or made room. Run every minute.
    pub(super) async fn settle(&self, store: &Store) -> Result<(), CommitError> {
        let monotonic = self.clock.monotonic();
        self.table.lock().held.retain(|_, held| held.ends > monotonic);
        self.remove_stale(store).await?;
        loop {
            let moved = self.moved();
            if moved.is_empty() {
                break;
            }
            let mut batch = store.batch();
            for (handle, record) in &moved {
                batch.put(handle, record);
                batch.expire::<SuspensionRecord>(handle, record.until);
            }
            store.commit(batch).await?;
            let mut table = self.table.lock();
            for (handle, record) in moved {
                if let Some(held) = table.held.get_mut(&handle) {
                    held.record.until = record.until;
                }
            }
        }
        let now = self.clock.now();
        while store.purge::<SuspensionRecord>(now, MOST_IN_A_BATCH).await? == MOST_IN_A_BATCH {}
        Ok(())
    }

    async fn remove_stale(&self, store: &Store) -> Result<(), CommitError> {
        loop {
            let mut batch = store.batch();
            let some: Vec<(Handle, Timestamp)> = {
                let mut table = self.table.lock();
                let kept = table.stale.len().saturating_sub(MOST_IN_A_BATCH);
                let some = table.stale.split_off(kept);
                for (handle, until) in some.iter().filter(|(handle, _)| !table.held.contains_key(handle)) {
                    batch.remove::<SuspensionRecord>(handle);
                    batch.unexpire::<SuspensionRecord>(handle, *until);
                }
                some
            };
            if some.is_empty() {
                return Ok(());
            }
            if let Err(error) = store.commit(batch).await {
                self.table.lock().stale.extend(some);
                return Err(error);
            }
        }
    }

    /// Returns some of those whose rows say another end than the clock does now.
    fn moved(&self) -> Vec<(Handle, SuspensionRecord)> {
        let mut moved = Vec::new();
        self.for_each(|handle, record, until| {
            let difference = until.since(record.until).max(record.until.since(until));
            if difference > TOLERANCE && moved.len() < MOST_IN_A_BATCH {
                moved.push((*handle, SuspensionRecord { until, ..record.clone() }));
            }
        });
        moved
    }
}

impl Table {
    /// Ends what ends soonest, of users or of nobody, if there are too many of them for one more.
    fn make_room(&mut self, of_nobody: bool) {
        let most = if of_nobody { MOST_OF_NOBODY } else { MOST_OF_USERS };
        if self.held.len() < most {
            return;
        }
        let same = || self.held.iter().filter(|(_, held)| held.record.user.is_none() == of_nobody);
        if same().count() < most {
            return;
        }
        let Some(soonest) = same().min_by_key(|(_, held)| held.ends).map(|(handle, _)| *handle) else {
            return;
        };
        if let Some(ended) = self.held.remove(&soonest) {
            self.stale.push((soonest, ended.record.until));
        }
    }
}
