//! Browsers that are in the wizard: in memory, few, short-lived. Losing them in a restart means to type the setup code
//! again or, once there is an owner, to sign in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;

use crate::crypto::mac::sha256;
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::random::Random;
use crate::kernel::secret::{SecretKey, SecretText};
use crate::kernel::time::Timestamp;

/// How long a browser may pause.
pub(super) const IDLE: Duration = Duration::from_secs(1800);
/// How long the wizard may take in all.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
/// The most browsers at once; the one that paused longest makes room (RES-03). Each of them knew the setup code or
/// was signed in as the owner.
const MOST: usize = 32;

/// Recovery codes that were shown and not yet typed back.
#[derive(Clone)]
pub(super) struct PendingCodes {
    pub(super) codes: Arc<Vec<SecretText>>,
    /// Which one is asked for, from 1.
    pub(super) ask_for: usize,
}

/// One browser in the wizard.
#[derive(Clone)]
pub(super) struct Wizard {
    /// The hash of the setup code that let it in; a code that is renewed takes its browsers out, until there is an owner.
    pub(super) code: Option<[u8; 32]>,
    /// The owner, once this browser made or was the owner.
    pub(super) owner: Option<UserId>,
    /// The ordinary session of the same browser, if it has one.
    pub(super) session: Option<SessionId>,
    /// Plain HTTP was accepted explicitly.
    pub(super) accepts_insecure: bool,
    /// Codes to keep.
    pub(super) codes: Option<PendingCodes>,
    /// This browser finished the setup and may look at the summary.
    pub(super) may_see_summary: bool,
    /// An administrator does steps again after the setup.
    pub(super) is_resumed: bool,
    /// When it came in; the owner ending all sessions ends this one too.
    pub(super) started_at: Timestamp,
    idle_until: Duration,
    ends_at: Duration,
}

impl Wizard {
    pub(super) fn new(owner: Option<UserId>, session: Option<SessionId>, now: Timestamp) -> Self {
        Wizard {
            code: None,
            owner,
            session,
            accepts_insecure: false,
            codes: None,
            may_see_summary: false,
            is_resumed: false,
            started_at: now,
            idle_until: Duration::ZERO,
            ends_at: Duration::ZERO,
        }
    }

    fn is_alive(&self, now: Duration) -> bool {
        now < self.idle_until && now < self.ends_at
    }
}

/// All browsers in the wizard, by the hash of their cookie.
pub(super) struct Wizards {
    live: Mutex<HashMap<[u8; 32], Wizard>>,
    csrf_key: SecretKey,
}

impl Wizards {
    pub(super) fn new(random: &Random) -> Self {
        Wizards { live: Mutex::default(), csrf_key: SecretKey::new(random.bytes()) }
    }

    /// Lets a browser in and returns its cookie, 256 bits.
    pub(super) fn insert(&self, random: &Random, mut wizard: Wizard, now: Duration) -> SecretText {
        let token = BASE64URL_NOPAD.encode(&random.bytes::<32>());
        wizard.idle_until = now + IDLE;
        wizard.ends_at = now + LONGEST;
        let mut live = self.live.lock();
        live.retain(|_, other| other.is_alive(now));
        if live.len() >= MOST
            && let Some(oldest) = live.iter().min_by_key(|(_, other)| other.idle_until).map(|(key, _)| *key)
        {
            live.remove(&oldest);
        }
        live.insert(sha256(token.as_bytes()), wizard);
        SecretText::new(token)
    }

    /// Finds a browser by its cookie, and lets it stay for another while.
    pub(super) fn find(&self, token: &str, now: Duration) -> Option<Wizard> {
        let mut live = self.live.lock();
        let wizard = live.get_mut(&sha256(token.as_bytes())).filter(|wizard| wizard.is_alive(now))?;
        wizard.idle_until = now + IDLE;
        Some(wizard.clone())
    }

    /// Changes what is known of a browser.
    pub(super) fn update(&self, token: &str, change: impl FnOnce(&mut Wizard)) {
        if let Some(wizard) = self.live.lock().get_mut(&sha256(token.as_bytes())) {
            change(wizard);
        }
    }

    /// Returns the token that forms of this browser carry (WEB-02).
    pub(super) fn csrf_token(&self, token: &str, random: &Random) -> String {
        crate::http::csrf::token(self.csrf_key.expose(), &sha256(token.as_bytes()), &random.bytes())
    }

    /// Checks the token that a form carried.
    pub(super) fn is_csrf_token(&self, token: &str, presented: &str) -> bool {
        crate::http::csrf::verify(self.csrf_key.expose(), &sha256(token.as_bytes()), presented).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wizard() -> Wizard {
        Wizard::new(None, None, Timestamp::ZERO)
    }

    #[test]
    fn a_browser_stays_while_it_is_busy_and_not_for_ever() {
        let wizards = Wizards::new(&Random::os());
        let token = wizards.insert(&Random::os(), wizard(), Duration::ZERO);
        let mut now = Duration::ZERO;
        while now + IDLE < LONGEST {
            now += IDLE - Duration::from_secs(1);
            assert!(wizards.find(token.expose(), now).is_some(), "{now:?}");
        }
        assert!(wizards.find(token.expose(), LONGEST).is_none());
        let idle = wizards.insert(&Random::os(), wizard(), now);
        assert!(wizards.find(idle.expose(), now + IDLE).is_none());
        assert!(wizards.find("", now).is_none());
    }

    /// RES-03: the table is bounded.
    #[test]
    fn the_browser_that_paused_longest_makes_room() {
        let wizards = Wizards::new(&Random::os());
        let first = wizards.insert(&Random::os(), wizard(), Duration::ZERO);
        for _ in 0..MOST {
            wizards.insert(&Random::os(), wizard(), Duration::from_secs(1));
        }
        assert_eq!(wizards.live.lock().len(), MOST);
        assert!(wizards.find(first.expose(), Duration::from_secs(1)).is_none());
    }

    /// WEB-02: a form of one browser is worth nothing in another.
    #[test]
    fn a_form_belongs_to_one_browser() {
        let wizards = Wizards::new(&Random::os());
        let token = wizards.csrf_token("a", &Random::os());
        assert!(wizards.is_csrf_token("a", &token) && !wizards.is_csrf_token("b", &token));
        assert!(!wizards.is_csrf_token("a", ""));
    }
}
