//! Names and passwords that were judged lately, so that a program which sends them with every request does not have them
//! hashed each time.
//!
//! Kept under a MAC with a key of this process alone; neither name nor password can be found in memory. An entry says of
//! which state of which account it is true, and every change of password, factors or status makes another state: so an
//! entry dies with it at once, without anybody having to find it.

use std::time::Duration;

use quick_cache::sync::Cache;

use crate::accounts::User;
use crate::crypto::mac::hmac_sha256;
use crate::kernel::ids::UserId;
use crate::kernel::random::Random;
use crate::kernel::secret::{SecretKey, SecretText};
use crate::kernel::time::Timestamp;

/// The longest time for which a right password is taken for right.
const RIGHT_FOR: Duration = Duration::from_secs(600);
/// The most right and the most wrong ones. Guesses do not push the right ones out.
const MOST_RIGHT: usize = 4096;
const MOST_WRONG: usize = 4096;

/// A state of an account, as far as its password is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) user: UserId,
    /// Moves with every change of the password, of a factor, of the role, and when the account is disabled.
    not_before: Timestamp,
    password_changed_at: Option<Timestamp>,
    has_second_factor: bool,
    is_active: bool,
}

impl State {
    pub(super) fn of(user: &User) -> State {
        State {
            user: user.id,
            not_before: user.not_before,
            password_changed_at: user.password_changed_at,
            has_second_factor: user.has_second_factor(),
            is_active: user.is_active(),
        }
    }
}

/// A name with a password, unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tag([u8; 32]);

/// What is known.
pub(super) struct Verified {
    key: SecretKey,
    right: Cache<Tag, (State, Duration)>,
    /// Wrong ones, with the account that the name belonged to, if it belonged to one. A guess that is repeated tells
    /// nobody anything new, so it is neither hashed nor counted again: a forgotten program with an old password would
    /// lock its owner out all by itself.
    wrong: Cache<Tag, Option<State>>,
}

impl Verified {
    pub(super) fn new(random: &Random) -> Verified {
        let key = SecretKey::new(random.bytes());
        Verified { key, right: Cache::new(MOST_RIGHT), wrong: Cache::new(MOST_WRONG) }
    }

    /// Returns what stands for a name, whichever way its letters are written (LIM-02), and a password.
    pub(super) fn tag(&self, name: &str, password: &SecretText) -> Tag {
        let folded = name.trim().to_lowercase();
        Tag(hmac_sha256(self.key.expose(), &[folded.as_bytes(), password.expose().as_bytes()]))
    }

    /// Returns the state of the account whose password this is, if it was found to be at most ten minutes ago.
    pub(super) fn right(&self, tag: &Tag, monotonic: Duration) -> Option<State> {
        let (state, since) = self.right.get(tag)?;
        if monotonic.saturating_sub(since) < RIGHT_FOR {
            return Some(state);
        }
        self.right.remove(tag);
        None
    }

    pub(super) fn put_right(&self, tag: Tag, state: State, monotonic: Duration) {
        self.right.insert(tag, (state, monotonic));
    }

    /// Returns for which account, or for nobody, this was wrong, if it is remembered.
    pub(super) fn wrong(&self, tag: &Tag) -> Option<Option<State>> {
        self.wrong.get(tag)
    }

    pub(super) fn put_wrong(&self, tag: Tag, state: Option<State>) {
        self.wrong.insert(tag, state);
    }

    pub(super) fn forget(&self, tag: &Tag) {
        self.right.remove(tag);
        self.wrong.remove(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(user: u8) -> State {
        State {
            user: UserId([user; 16]),
            not_before: Timestamp::ZERO,
            password_changed_at: None,
            has_second_factor: false,
            is_active: true,
        }
    }

    #[test]
    fn a_right_password_is_remembered_for_ten_minutes_and_under_its_own_name_alone() {
        let verified = Verified::new(&Random::os());
        let password = SecretText::new("plum".to_owned());
        let tag = verified.tag(" Ada", &password);
        assert_eq!(tag, verified.tag("ada", &password));
        assert_ne!(tag, verified.tag("adap", &SecretText::new("lum".to_owned())));
        assert_ne!(
            tag,
            Verified::new(&Random::os()).tag("ada", &password),
            "each process has a key of its own"
        );
        let at = Duration::from_secs(5);
        verified.put_right(tag, state(1), at);
        assert_eq!(verified.right(&tag, at + RIGHT_FOR - Duration::from_millis(1)), Some(state(1)));
        assert_eq!(verified.right(&verified.tag("bob", &password), at), None);
        assert_eq!(verified.right(&tag, at + RIGHT_FOR), None);
        assert_eq!(verified.right(&tag, at), None, "it is gone for good");
    }

    /// RES-03: a flood of guesses takes no more room, and leaves what is right alone.
    #[test]
    fn guesses_do_not_push_right_passwords_out() {
        let verified = Verified::new(&Random::os());
        let tag = verified.tag("ada", &SecretText::new("plum".to_owned()));
        verified.put_right(tag, state(1), Duration::ZERO);
        for guess in 0..3 * MOST_WRONG {
            verified.put_wrong(verified.tag("ada", &SecretText::new(guess.to_string())), Some(state(1)));
        }
        assert!(verified.wrong.len() <= MOST_WRONG);
        assert!(verified.right(&tag, Duration::ZERO).is_some());
    }
}
