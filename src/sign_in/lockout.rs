//! Who may try to sign in: reserved attempts per account and place, growing delays per account, and suspensions of an
//! account for a place, which are durable (LIM-01 to LIM-09).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

use super::suspensions::{Handle, Suspensions};
use super::tally::{About, Counted, Tally};
use crate::crypto::mac::hmac_sha256;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretKey;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::limits::{Key, Limits, Rule};
use crate::store::{Batch, CommitError, Record, Store, StoreError, Table};

/// So many failures in a row for one account, from wherever, before attempts from unknown devices are delayed.
pub(super) const FREE_FAILURES: u32 = 10;
/// The longest delay between two attempts on one account.
const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// So many failures in a row and only a known device, a link or an administrator helps (LIM-05).
pub(super) const MOST_FAILURES: u32 = 100;
/// What an account that has reached them is told to wait, though nothing but the help above ends that wait.
const NO_END: Duration = Duration::from_secs(24 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns after how long without a failure so many in a row are forgotten. What has earned a delay outlives a pause, or
/// a patient guesser would begin anew every day (LIM-05). Names that are nobody's are kept as long (ENU-01).
fn kept_for(count: u32) -> Duration {
    match count {
        ..FREE_FAILURES => DAY,
        FREE_FAILURES..MOST_FAILURES => DAY * 30,
        MOST_FAILURES.. => DAY * 3650,
    }
}

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

/// All of it. Cheap to clone.
#[derive(Clone)]
pub struct Lockout(Arc<Inner>);

struct Inner {
    key: SecretKey,
    limits: Arc<Limits>,
    rules: Rules,
    suspensions: Suspensions,
    tally: Tally,
    /// How many attempts from unknown devices on each account are being judged.
    judged: Mutex<HashMap<Subject, u32>>,
}

/// An attempt on an account that is being judged; it ends when this is dropped.
pub struct Judged {
    lockout: Lockout,
    subject: Subject,
}

impl Drop for Judged {
    fn drop(&mut self) {
        let mut judged = self.lockout.0.judged.lock();
        if let Some(count) = judged.get_mut(&self.subject) {
            *count -= 1;
            if *count == 0 {
                judged.remove(&self.subject);
            }
        }
    }
}

/// Why an attempt may not be judged now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// The account has earned a delay of which so much is left.
    Delayed(Duration),
    /// Others are being judged, and if they fail there will be a delay.
    Busy,
}

/// What failures lead to.
pub struct Rules {
    /// So many attempts on one account from one place may be judged at a time.
    pub sign_in: Rule,
    /// So many on one account from one place suspend it there.
    pub suspend: Rule,
    /// So many second factors of one account have to wait.
    pub second_factor: Rule,
}

impl Lockout {
    /// Reads live suspensions and failures from the store.
    pub fn open(
        store: &Store,
        key: SecretKey,
        clock: SharedClock,
        limits: Arc<Limits>,
        rules: Rules,
    ) -> Result<Self, StoreError> {
        let suspensions = Suspensions::open(store, clock.clone(), rules.suspend.window)?;
        let tally = Tally::open(store, clock)?;
        let lockout =
            Lockout(Arc::new(Inner { key, limits, rules, suspensions, tally, judged: Mutex::default() }));
        lockout.charge_the_limits();
        Ok(lockout)
    }

    /// Fills the counters in memory with the failures before the start (LIM-09). Their windows begin anew, and it takes
    /// one more failure to suspend anybody.
    fn charge_the_limits(&self) {
        let Inner { limits, rules, tally, .. } = &*self.0;
        for (counted, count) in tally.all() {
            let (rule, most) = if counted.is_about(About::Place) {
                (&rules.suspend, rules.suspend.limit.saturating_sub(1))
            } else if counted.is_about(About::SecondFactor) {
                (&rules.second_factor, rules.second_factor.limit)
            } else {
                continue;
            };
            let key = limits.key(rule, counted.as_bytes());
            for _ in 0..count.min(most) {
                let _ = limits.record(rule, &key);
            }
        }
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

    /// Returns what stands for a subject at a place.
    pub(super) fn handle(&self, subject: Subject, place: &[u8]) -> Handle {
        let mac = hmac_sha256(self.0.key.expose(), &[b"suspension", &subject.0, place]);
        mac.first_chunk::<16>().copied().unwrap_or_default()
    }

    /// Returns until when this subject is suspended for this place.
    pub fn suspended_until(&self, subject: Subject, place: &[u8]) -> Option<Timestamp> {
        self.0.suspensions.until(&self.handle(subject, place))
    }

    /// Returns how long attempts on this subject have to wait whatever place they come from (LIM-04, LIM-05).
    pub fn delay(&self, subject: Subject) -> Option<Duration> {
        let (count, waited) = self.0.tally.get(Counted::new(About::Account, subject.0))?;
        if count >= MOST_FAILURES {
            return Some(NO_END);
        }
        delay_after(count).checked_sub(waited).filter(|wait| !wait.is_zero())
    }

    /// Tells whether attempts on this account from unknown devices have to wait.
    pub fn is_delayed(&self, user: UserId) -> bool {
        self.delay(self.subject(Some(user), "")).is_some()
    }

    /// Lets an attempt on this subject be judged. Those that are being judged count as failures until they are known to
    /// be none, so that guesses from many places at the same moment earn the delay that they would earn one by one
    /// (LIM-03, LIM-04).
    pub fn begin(&self, subject: Subject) -> Result<Judged, NotNow> {
        let mut judged = self.0.judged.lock();
        if let Some(wait) = self.delay(subject) {
            return Err(NotNow::Delayed(wait));
        }
        let failed = self.0.tally.get(Counted::new(About::Account, subject.0)).map_or(0, |(count, _)| count);
        let under_way = judged.get(&subject).copied().unwrap_or(0);
        if under_way > 0 && !delay_after(failed.saturating_add(under_way)).is_zero() {
            return Err(NotNow::Busy);
        }
        *judged.entry(subject).or_insert(0) += 1;
        Ok(Judged { lockout: self.clone(), subject })
    }

    /// Counts a failure against the subject, from wherever and at this place. Tells whether it is the one that
    /// suspends the subject for the place.
    pub fn note_failure(&self, subject: Subject, place: &[u8]) -> bool {
        let Inner { limits, rules, tally, .. } = &*self.0;
        tally.note(Counted::new(About::Account, subject.0), kept_for);
        let counted = Counted::new(About::Place, self.handle(subject, place));
        tally.note(counted, |_| rules.suspend.window);
        limits.record(&rules.suspend, &limits.key(&rules.suspend, counted.as_bytes())).remaining == 0
    }

    /// Forgets the failures of a subject that has signed in from this place (LIM-11).
    pub fn forgive(&self, subject: Subject, place: &[u8]) {
        self.0.tally.forget(Counted::new(About::Account, subject.0));
        self.forgive_place(self.handle(subject, place));
    }

    fn forgive_place(&self, handle: Handle) {
        let Inner { limits, rules, tally, .. } = &*self.0;
        let counted = Counted::new(About::Place, handle);
        tally.forget(counted);
        limits.clear(&rules.suspend, &limits.key(&rules.suspend, counted.as_bytes()));
        limits.clear(&rules.sign_in, &limits.key(&rules.sign_in, &handle));
    }

    fn second_factor_of(&self, user: UserId) -> Counted {
        Counted::new(About::SecondFactor, self.subject(Some(user), "").0)
    }

    /// Returns the key of the counter of a user's second factors (OTP-06).
    pub fn second_factor_key(&self, user: UserId) -> Key {
        self.0.limits.key(&self.0.rules.second_factor, self.second_factor_of(user).as_bytes())
    }

    /// Remembers over a restart that a second factor was wrong.
    pub fn note_second_factor(&self, user: UserId) {
        let window = self.0.rules.second_factor.window;
        self.0.tally.note(self.second_factor_of(user), |_| window);
    }

    /// Forgets the wrong second factors of a user who has signed in.
    pub fn forgive_second_factor(&self, user: UserId) {
        self.0.tally.forget(self.second_factor_of(user));
    }

    /// Writes down the failures since the last time. Run every minute and before a clean stop.
    pub async fn save(&self, store: &Store) -> Result<(), CommitError> {
        self.0.tally.save(store).await
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
        // Names that are nobody's have rows too, or a restart would tell them from the others (ENU-01).
        batch.put(&handle, &record);
        batch.expire::<SuspensionRecord>(&handle, until);
        let lockout = self.clone();
        batch.after(move || {
            lockout.0.suspensions.insert(handle, record);
        });
    }

    /// Suspends without the store, for a disk that takes no writes.
    pub fn suspend_in_memory(&self, subject: Subject, user: Option<UserId>, place: &[u8], until: Timestamp) {
        let record = SuspensionRecord { user, until, place: String::new() };
        self.0.suspensions.insert(self.handle(subject, place), record);
    }

    /// Returns the live suspensions of a user.
    pub fn of_user(&self, user: &UserId) -> Vec<SuspensionView> {
        let mut views = Vec::new();
        self.0.suspensions.for_each(|handle, record, until| {
            if record.user.as_ref() == Some(user) {
                let handle = data_encoding::BASE64URL_NOPAD.encode(handle);
                views.push(SuspensionView { handle, place: record.place.clone(), until });
            }
        });
        views
    }

    /// Tells whether the user is suspended anywhere.
    pub fn is_suspended_anywhere(&self, user: &UserId) -> bool {
        !self.of_user(user).is_empty()
    }

    /// Returns the users that are suspended somewhere.
    pub fn suspended_users(&self) -> HashSet<UserId> {
        self.0.suspensions.users()
    }

    /// Adds the end of the suspensions of a user to `batch`: all of them, or the one with this handle. Failures are
    /// forgotten too. Returns how many end.
    pub fn stage_lift(&self, batch: &mut Batch, user: UserId, only: Option<&str>) -> usize {
        let handles: Vec<Handle> = self
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
            lockout.0.tally.forget(Counted::new(About::Account, subject.0));
            for handle in handles {
                lockout.0.suspensions.remove(&handle);
                lockout.forgive_place(handle);
            }
        });
        count
    }

    /// Returns how many suspensions there are.
    pub fn len(&self) -> usize {
        self.0.suspensions.len()
    }

    /// Tells whether nobody is suspended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops ended suspensions. Run every minute.
    pub async fn sweep(&self, store: &Store) -> Result<(), CommitError> {
        self.0.suspensions.settle(store).await
    }
}

/// Returns the pause that so many failures in a row earn.
fn delay_after(count: u32) -> Duration {
    if count < FREE_FAILURES {
        return Duration::ZERO;
    }
    if count >= MOST_FAILURES {
        return NO_END;
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
        assert_eq!(delay_after(100), NO_END);
        for count in 1..200 {
            assert!(delay_after(count) >= delay_after(count - 1));
        }
    }
}
