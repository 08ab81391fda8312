//! Sign-ins that wait for a second factor: in memory, bounded, short-lived, single use (OTP-07). Losing them in a
//! restart only means to type the password again.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use std::collections::HashMap;

use crate::accounts::User;
use crate::crypto::mac::sha256;
use crate::kernel::ids::UserId;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::sessions::SessionKind;

/// How long a sign-in may wait.
pub const LIFETIME: Duration = Duration::from_secs(300);
/// So many wrong codes kill a waiting sign-in (OTP-06).
pub const MOST_FAILURES: u32 = 5;
/// The most sign-ins of one user that wait at once; nobody pushes others out of the table.
const MOST_OF_ONE_USER: usize = 128;
/// The most sign-ins that wait at once; beyond it the oldest dies (RES-03).
const MOST_WAITING: usize = 8192;

/// What comes after the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A code of the enrolled second factor.
    SecondFactor,
    /// The account must have a second factor and has none yet: enrol one now.
    Enrolment,
}

/// A sign-in whose password was right.
#[derive(Clone, Debug)]
pub struct PendingSignIn {
    /// Whose.
    pub user: UserId,
    /// Browser or program.
    pub kind: SessionKind,
    /// What is missing.
    pub wanted: Wanted,
    /// Whether "remember me" was chosen.
    pub is_remembered: bool,
    /// Where to go afterwards, already checked.
    pub return_to: Option<String>,
    /// Wrong codes so far.
    pub failures: u32,
    /// The end of all sessions of the user as it stood when the password was proven; once it moves, this is void.
    pub epoch: Timestamp,
    expires_at: Duration,
}

impl PendingSignIn {
    /// Makes a waiting sign-in that dies `LIFETIME` after `now` (monotonic).
    pub fn new(
        user: &User,
        kind: SessionKind,
        wanted: Wanted,
        is_remembered: bool,
        return_to: Option<String>,
        now: Duration,
    ) -> Self {
        PendingSignIn {
            user: user.id,
            epoch: user.not_before,
            kind,
            wanted,
            is_remembered,
            return_to,
            failures: 0,
            expires_at: now + LIFETIME,
        }
    }
}

/// The table of waiting sign-ins.
#[derive(Default)]
pub struct PendingTable {
    waiting: Mutex<HashMap<[u8; 32], PendingSignIn>>,
}

impl PendingTable {
    /// Adds a sign-in and returns its token, 256 bits, known to this browser or program alone.
    pub fn insert(&self, random: &Random, pending: PendingSignIn, now: Duration) -> SecretText {
        let token = BASE64URL_NOPAD.encode(&random.bytes::<32>());
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST_WAITING {
            waiting.retain(|_, other| other.expires_at > now);
        }
        let of_this_user = waiting.values().filter(|other| other.user == pending.user).count();
        let is_greedy = of_this_user >= MOST_OF_ONE_USER;
        if is_greedy || waiting.len() >= MOST_WAITING {
            let oldest = waiting
                .iter()
                .filter(|(_, other)| !is_greedy || other.user == pending.user)
                .min_by_key(|(_, other)| other.expires_at)
                .map(|(key, _)| *key);
            oldest.and_then(|key| waiting.remove(&key));
        }
        waiting.insert(sha256(token.as_bytes()), pending);
        SecretText::new(token)
    }

    /// Takes a sign-in out: while one request judges its code, no other can (GEN-03).
    pub fn take(&self, token: &str, now: Duration) -> Option<PendingSignIn> {
        let pending = self.waiting.lock().remove(&sha256(token.as_bytes()))?;
        (pending.expires_at > now).then_some(pending)
    }

    /// Looks at a sign-in without taking it, to show its page.
    pub fn peek(&self, token: &str, now: Duration) -> Option<PendingSignIn> {
        let waiting = self.waiting.lock();
        waiting.get(&sha256(token.as_bytes())).filter(|pending| pending.expires_at > now).cloned()
    }

    /// Puts a sign-in back under its token, with its old deadline: failure does not renew it (OTP-07).
    pub fn put_back(&self, token: &str, pending: PendingSignIn) {
        self.waiting.lock().insert(sha256(token.as_bytes()), pending);
    }

    /// Drops every waiting sign-in of a user: what it proved no longer holds (PWD-09).
    pub fn forget(&self, user: &UserId) {
        self.waiting.lock().retain(|_, pending| pending.user != *user);
    }

    /// Drops what has expired. Run every minute.
    pub fn sweep(&self, now: Duration) {
        self.waiting.lock().retain(|_, pending| pending.expires_at > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(user: u16, now: Duration) -> PendingSignIn {
        let mut id = [1; 16];
        id[..2].copy_from_slice(&user.to_be_bytes());
        PendingSignIn {
            user: UserId(id),
            kind: SessionKind::Web,
            wanted: Wanted::SecondFactor,
            is_remembered: false,
            return_to: None,
            failures: 0,
            epoch: Timestamp::ZERO,
            expires_at: now + LIFETIME,
        }
    }

    /// OTP-07, GEN-03: taken once, dead after five minutes, a put-back does not renew it.
    #[test]
    fn a_waiting_sign_in_is_single_use_and_short_lived() {
        let table = PendingTable::default();
        let token = table.insert(&Random::os(), pending(0, Duration::ZERO), Duration::ZERO);
        let taken = table.take(token.expose(), Duration::from_secs(10)).unwrap();
        assert!(table.take(token.expose(), Duration::from_secs(10)).is_none());
        table.put_back(token.expose(), taken);
        assert!(table.take(token.expose(), LIFETIME).is_none());
    }

    /// RES-03: the table is bounded.
    #[test]
    fn the_oldest_makes_room() {
        let table = PendingTable::default();
        let first = table.insert(&Random::os(), pending(0, Duration::ZERO), Duration::ZERO);
        for user in 1..=MOST_WAITING as u16 {
            table.insert(&Random::os(), pending(user, Duration::from_secs(1)), Duration::from_secs(1));
        }
        assert!(table.waiting.lock().len() <= MOST_WAITING);
        assert!(table.peek(first.expose(), Duration::from_secs(1)).is_none());
    }

    /// RES-03: who knows one password cannot push the sign-ins of others out of the table.
    #[test]
    fn one_user_makes_room_among_their_own() {
        let table = PendingTable::default();
        let other = table.insert(&Random::os(), pending(7, Duration::ZERO), Duration::ZERO);
        let first = table.insert(&Random::os(), pending(8, Duration::ZERO), Duration::ZERO);
        for _ in 0..1000 {
            table.insert(&Random::os(), pending(8, Duration::from_secs(1)), Duration::from_secs(1));
        }
        assert_eq!(table.waiting.lock().len(), MOST_OF_ONE_USER + 1);
        assert!(table.peek(other.expose(), Duration::from_secs(1)).is_some());
        assert!(table.peek(first.expose(), Duration::from_secs(1)).is_none());
    }
}
