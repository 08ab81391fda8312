//! Who may try to sign in: reserved attempts per account and place, growing delays per account, and suspensions of an
//! account for a place, which are durable (LIM-01 to LIM-09).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

use crate::crypto::mac::hmac_sha256;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretKey;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{Batch, Record, Store, StoreError, Table};

/// So many failures in a row for one account, from wherever, before attempts from unknown devices are delayed.
const FREE_FAILURES: u32 = 10;
/// The longest delay between two attempts on one account.
const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// So many failures in a row and only a known device, a link or an administrator helps (LIM-05).
const MOST_FAILURES: u32 = 100;
/// The most accounts whose failures are counted at once (RES-03).
const MOST_ACCOUNTS: usize = 65_536;
/// A count is forgotten after this long without a failure.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What attempts are counted against: an account as resolved, or a name that is nobody's (LIM-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject([u8; 16]);

impl Subject {
    /// Returns the bytes, as part of a counter's key.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A suspension. Row: keyed hash of subject and place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuspensionRecord {
    /// Whose it is, if the name is somebody's.
    pub user: Option<UserId>,
    /// When it ends.
    pub until: Timestamp,
    /// A pseudonym of the place, for the administrator.
    pub place: String,
}

impl Record for SuspensionRecord {
    const TABLE: Table = Table::SUSPENSION;
    const VERSION: u8 = 1;

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

/// A suspension as an administrator sees it.
#[derive(Clone, Debug)]
pub struct SuspensionView {
    /// The handle for lifting it.
    pub handle: String,
    /// A pseudonym of the place.
    pub place: String,
    /// When it ends by itself.
    pub until: Timestamp,
}

struct Failures {
    count: u32,
    last: Duration,
}

/// All of it. Cheap to clone.
#[derive(Clone)]
pub struct Lockout(Arc<Inner>);

struct Inner {
    key: SecretKey,
    clock: SharedClock,
    suspensions: Mutex<HashMap<[u8; 16], SuspensionRecord>>,
    failures: Mutex<HashMap<Subject, Failures>>,
}

impl Lockout {
    /// Reads live suspensions from the store.
    pub fn open(store: &Store, key: SecretKey, clock: SharedClock) -> Result<Self, StoreError> {
        let mut suspensions = HashMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = store.scan::<SuspensionRecord>(&[], after.as_deref(), 4096)?;
            for (row, found) in &page {
                if let Ok(handle) = <[u8; 16]>::try_from(row.as_slice()) {
                    suspensions.insert(handle, found.value.clone());
                }
            }
            match page.last() {
                Some((row, _)) if page.len() == 4096 => after = Some(row.clone()),
                _ => break,
            }
        }
        let (suspensions, failures) = (Mutex::new(suspensions), Mutex::default());
        Ok(Lockout(Arc::new(Inner { key, clock, suspensions, failures })))
    }

    /// Returns what attempts on this name are counted against: the account if there is one, whichever way it was
    /// spelled (LIM-02), else the name itself.
    pub fn subject(&self, user: Option<UserId>, name: &str) -> Subject {
        let folded = name.trim().to_lowercase();
        let mac = match user {
            Some(id) => hmac_sha256(self.0.key.expose(), &[b"user", id.as_bytes()]),
            None => hmac_sha256(self.0.key.expose(), &[b"name", folded.as_bytes()]),
        };
        Subject(mac.first_chunk::<16>().copied().unwrap_or_default())
    }

    fn handle(&self, subject: Subject, place: &[u8]) -> [u8; 16] {
        let mac = hmac_sha256(self.0.key.expose(), &[b"suspension", &subject.0, place]);
        mac.first_chunk::<16>().copied().unwrap_or_default()
    }

    /// Returns until when this subject is suspended for this place.
    pub fn suspended_until(&self, subject: Subject, place: &[u8]) -> Option<Timestamp> {
        let until = self.0.suspensions.lock().get(&self.handle(subject, place))?.until;
        (until > self.0.clock.now()).then_some(until)
    }

    /// Returns how long attempts on this subject have to wait whatever place they come from (LIM-04, LIM-05).
    pub fn delay(&self, subject: Subject) -> Option<Duration> {
        let failures = self.0.failures.lock();
        let failures = failures.get(&subject)?;
        let waited = self.0.clock.monotonic().saturating_sub(failures.last);
        delay_after(failures.count).checked_sub(waited).filter(|wait| !wait.is_zero())
    }

    /// Counts a failure against the subject.
    pub fn note_failure(&self, subject: Subject) {
        let now = self.0.clock.monotonic();
        let mut failures = self.0.failures.lock();
        if failures.len() >= MOST_ACCOUNTS && !failures.contains_key(&subject) {
            failures.retain(|_, entry| now.saturating_sub(entry.last) < FORGET_AFTER);
            if failures.len() >= MOST_ACCOUNTS {
                return;
            }
        }
        let entry = failures.entry(subject).or_insert(Failures { count: 0, last: now });
        if now.saturating_sub(entry.last) >= FORGET_AFTER {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
    }

    /// Forgets the failures of a subject that has signed in.
    pub fn forgive(&self, subject: Subject) {
        self.0.failures.lock().remove(&subject);
    }

    /// Adds a suspension to `batch`; it holds from the commit on, and after a restart (LIM-09).
    pub fn stage_suspend(
        &self,
        batch: &mut Batch,
        subject: Subject,
        user: Option<UserId>,
        place: &[u8],
        place_name: String,
        until: Timestamp,
    ) {
        let handle = self.handle(subject, place);
        let record = SuspensionRecord { user, until, place: place_name };
        batch.put(&handle, &record);
        batch.expire::<SuspensionRecord>(&handle, until);
        let lockout = self.clone();
        batch.after(move || {
            lockout.0.suspensions.lock().insert(handle, record);
        });
    }

    /// Suspends without the store, for a disk that takes no writes.
    pub fn suspend_in_memory(&self, subject: Subject, user: Option<UserId>, place: &[u8], until: Timestamp) {
        let record = SuspensionRecord { user, until, place: String::new() };
        self.0.suspensions.lock().insert(self.handle(subject, place), record);
    }

    /// Returns the live suspensions of a user.
    pub fn of_user(&self, user: &UserId) -> Vec<SuspensionView> {
        let now = self.0.clock.now();
        let suspensions = self.0.suspensions.lock();
        suspensions
            .iter()
            .filter(|(_, record)| record.user.as_ref() == Some(user) && record.until > now)
            .map(|(handle, record)| SuspensionView {
                handle: data_encoding::BASE64URL_NOPAD.encode(handle),
                place: record.place.clone(),
                until: record.until,
            })
            .collect()
    }

    /// Tells whether the user is suspended anywhere.
    pub fn is_suspended_anywhere(&self, user: &UserId) -> bool {
        !self.of_user(user).is_empty()
    }

    /// Returns the users that are suspended somewhere.
    pub fn suspended_users(&self) -> HashSet<UserId> {
        let now = self.0.clock.now();
        let suspensions = self.0.suspensions.lock();
        suspensions.values().filter(|record| record.until > now).filter_map(|record| record.user).collect()
    }

    /// Adds the end of the suspensions of a user to `batch`: all of them, or the one with this handle. Failures are
    /// forgotten too. Returns how many end.
    pub fn stage_lift(&self, batch: &mut Batch, user: UserId, only: Option<&str>) -> usize {
        let handles: Vec<[u8; 16]> = self
            .of_user(&user)
            .into_iter()
            .filter(|view| only.is_none_or(|wanted| wanted == view.handle))
            .filter_map(|view| {
                data_encoding::BASE64URL_NOPAD.decode(view.handle.as_bytes()).ok()?.try_into().ok()
            })
            .collect();
        for handle in &handles {
            batch.remove::<SuspensionRecord>(handle);
        }
        let (lockout, subject, count) = (self.clone(), self.subject(Some(user), ""), handles.len());
        batch.after(move || {
            let mut suspensions = lockout.0.suspensions.lock();
            for handle in &handles {
                suspensions.remove(handle);
            }
            drop(suspensions);
            lockout.forgive(subject);
        });
        count
    }

    /// Returns how many suspensions there are.
    pub fn len(&self) -> usize {
        self.0.suspensions.lock().len()
    }

    /// Tells whether nobody is suspended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops ended suspensions from memory. Run every minute.
    pub fn sweep(&self) {
        let now = self.0.clock.now();
        self.0.suspensions.lock().retain(|_, record| record.until > now);
        let monotonic = self.0.clock.monotonic();
        self.0.failures.lock().retain(|_, entry| monotonic.saturating_sub(entry.last) < FORGET_AFTER);
    }
}

/// Returns the pause that so many failures in a row earn.
fn delay_after(count: u32) -> Duration {
    if count < FREE_FAILURES {
        return Duration::ZERO;
    }
    if count >= MOST_FAILURES {
        return FORGET_AFTER;
    }
    let doublings = (count - FREE_FAILURES).min(16);
    Duration::from_secs(1 << doublings).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LIM-04, LIM-05: the delay grows and is capped; at a hundred in a row a password alone no longer helps.
    #[test]
    fn delays_grow_to_a_cap() {
        assert_eq!(delay_after(9), Duration::ZERO);
        assert_eq!(delay_after(10), Duration::from_secs(1));
        assert_eq!(delay_after(14), Duration::from_secs(16));
        assert_eq!(delay_after(60), LONGEST_DELAY);
        assert_eq!(delay_after(100), FORGET_AFTER);
        for count in 1..200 {
            assert!(delay_after(count) >= delay_after(count - 1));
        }
    }
}
