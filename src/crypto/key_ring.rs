//! The signing keys of an installation through time. Pure state: the caller stores the records and publishes the set.
//!
//! A key is published before it signs, so that everybody who caches the public set knows it in time; it signs until
//! its successor starts; and it stays published until the last token it signed has expired (TOK-15).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::jws::{SigningKey, VerifyingKey};
use crate::kernel::time::Timestamp;

/// A kind of key that a ring can hold.
pub trait RingMember: Clone {
    /// What verifies the signatures of such a key.
    type Public;

    /// Returns the name of the key.
    fn kid(&self) -> &str;

    /// Returns the public half.
    fn public(&self) -> Self::Public;

    /// Returns the public half as published (RFC 7517).
    fn public_jwk(&self) -> Value;
}

impl RingMember for SigningKey {
    type Public = VerifyingKey;

    fn kid(&self) -> &str {
        SigningKey::kid(self)
    }

    fn public(&self) -> VerifyingKey {
        self.verifying_key()
    }

    fn public_jwk(&self) -> Value {
        self.verifying_key().to_jwk()
    }
}

/// One key with its times.
#[derive(Clone, Debug)]
pub struct RingKey<K> {
    key: K,
    created: Timestamp,
    activates: Timestamp,
}

impl<K: RingMember> RingKey<K> {
    /// Puts a key and its times together.
    pub fn new(key: K, created: Timestamp, activates: Timestamp) -> Self {
        RingKey { key, created, activates }
    }

    /// Returns the key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the name of the key.
    pub fn kid(&self) -> &str {
        self.key.kid()
    }

    /// Returns when the key was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Returns when the key starts to sign.
    pub fn activates(&self) -> Timestamp {
        self.activates
    }
}

impl RingKey<SigningKey> {
    /// Returns what the store keeps. It holds the private key: seal it.
    pub fn to_record(&self) -> RingKeyRecord {
        RingKeyRecord { created: self.created, activates: self.activates, seed: *self.key.expose_seed() }
    }

    /// Takes what the store kept. The name of the key follows from the key.
    pub fn from_record(record: &RingKeyRecord) -> Self {
        Self::new(SigningKey::from_seed(&record.seed), record.created, record.activates)
    }
}

/// A key of the API's tokens as it is stored, sealed. It holds the private key and must reach nothing but the store.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct RingKeyRecord {
    #[zeroize(skip)]
    created: Timestamp,
    #[zeroize(skip)]
    activates: Timestamp,
    seed: [u8; 32],
}

impl fmt::Debug for RingKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingKeyRecord")
    }
}

/// When keys change.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// How long a key signs.
    pub rotate_every: Duration,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
    /// How long a key stays published after it signed for the last time: the longest life of a token.
    pub keep_after: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Schedule { rotate_every: HOUR * 24 * 90, publish_ahead: HOUR * 24, keep_after: HOUR * 24 }
    }
}

/// What has to change in a ring. Store it, then [`KeyRing::apply`] it.
#[derive(Clone, Debug)]
pub struct Plan<K> {
    /// Keys to add.
    pub add: Vec<RingKey<K>>,
    /// Names of keys to destroy.
    pub remove: Vec<String>,
}

impl<K> Plan<K> {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// What a key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is published and signs later.
    Coming,
    /// It signs.
    Signing,
    /// It signs no more; what it signed is still verified.
    Retired,
}

/// What may be told of a key: no secret and no public part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyFacts {
    /// The name of the key.
    pub kid: String,
    /// What it does.
    pub phase: Phase,
    /// When it was made.
    pub created: Timestamp,
    /// When it starts, or started, to sign.
    pub activates: Timestamp,
}

/// All keys of an installation, in the order in which they sign.
#[derive(Clone, Debug)]
pub struct KeyRing<K> {
    keys: Vec<RingKey<K>>,
}

impl<K> Default for KeyRing<K> {
    fn default() -> Self {
        KeyRing { keys: Vec::new() }
    }
}

impl<K: RingMember> KeyRing<K> {
    /// Takes the keys in any order.
    pub fn new(keys: Vec<RingKey<K>>) -> Self {
        let mut ring = KeyRing { keys };
        ring.sort();
        ring
    }

    fn sort(&mut self) {
        self.keys.sort_unstable_by(|a, b| (a.activates, a.kid()).cmp(&(b.activates, b.kid())));
    }

    /// Returns the keys, oldest first.
    pub fn keys(&self) -> &[RingKey<K>] {
        &self.keys
    }

    /// Returns the one key that signs at `now`: the last that has started, or the first of all if the clock says
    /// that none has. `None` only if the ring is empty.
    pub fn signing_key(&self, now: Timestamp) -> Option<&K> {
        self.signing_index(now).and_then(|index| self.keys.get(index)).map(|key| &key.key)
    }

    fn signing_index(&self, now: Timestamp) -> Option<usize> {
        let started = self.keys.partition_point(|key| key.activates <= now);
        (!self.keys.is_empty()).then(|| started.saturating_sub(1))
    }

    /// Tells of every key what it does at `now`, oldest first.
    pub fn facts(&self, now: Timestamp) -> Vec<KeyFacts> {
        let signing = self.signing_index(now);
        let phase = |index: usize| match signing {
            Some(signing) if index < signing => Phase::Retired,
            Some(signing) if index == signing => Phase::Signing,
            _ => Phase::Coming,
        };
        let facts = |(index, key): (usize, &RingKey<K>)| KeyFacts {
            kid: key.kid().to_owned(),
            phase: phase(index),
            created: key.created,
            activates: key.activates,
        };
        self.keys.iter().enumerate().map(facts).collect()
    }

    /// Returns the public key named `kid`.
    pub fn find(&self, kid: &str) -> Option<K::Public> {
        self.keys.iter().find(|key| key.kid() == kid).map(|key| key.key.public())
    }

    /// Tells whether a key must be made at `now`, and when it is to start signing.
    pub fn next_start(&self, now: Timestamp, schedule: &Schedule) -> Option<Timestamp> {
        let Some(newest) = self.keys.last() else { return Some(now) };
        let ends = newest.activates.plus(schedule.rotate_every);
        // A server that was off for months still publishes first and signs later.
        (now >= ends.minus(schedule.publish_ahead)).then(|| ends.max(now.plus(schedule.publish_ahead)))
    }

    /// Returns what to change at `now`; `make` is called if a key is needed. The present and coming keys are never
    /// removed.
    pub fn plan_rotation(&self, now: Timestamp, schedule: &Schedule, make: impl FnOnce() -> K) -> Plan<K> {
        self.plan_with(now, schedule, self.next_start(now, schedule).map(|_| make()))
    }

    /// Returns what to change at `now`, like [`KeyRing::plan_rotation`], with a key made beforehand: making one may
    /// take seconds, so ask [`KeyRing::next_start`] first and make it where nobody waits. `fresh` is dropped if no
    /// key is needed any more; if one is needed and there is none, the plan only removes.
    pub fn plan_with(&self, now: Timestamp, schedule: &Schedule, fresh: Option<K>) -> Plan<K> {
        let start = self.next_start(now, schedule);
        let add = start.zip(fresh).map(|(start, key)| RingKey::new(key, now, start)).into_iter().collect();
        let mut remove = Vec::new();
        for pair in self.keys.windows(2) {
            if let [old, successor] = pair
                && now >= successor.activates.plus(schedule.keep_after)
            {
                remove.push(old.kid().to_owned());
            }
        }
        Plan { add, remove }
    }

    /// Returns the plan for a key that became known to others: `fresh` signs at once, if there is one, and all others
    /// go. Every token issued so far is void after it.
    pub fn plan_replacement(&self, now: Timestamp, fresh: Option<K>) -> Plan<K> {
        Plan {
            add: fresh.into_iter().map(|key| RingKey::new(key, now, now)).collect(),
            remove: self.keys.iter().map(|key| key.kid().to_owned()).collect(),
        }
    }

    /// Carries a plan out, after it was stored. A key that is added once more takes the place of itself, as its row does
    /// in the store: names in a set are distinct (RFC 7517 section 4.5).
    pub fn apply(&mut self, plan: Plan<K>) {
        let is_over = |kid: &str| {
            plan.remove.iter().any(|removed| removed == kid) || plan.add.iter().any(|key| key.kid() == kid)
        };
        self.keys.retain(|key| !is_over(key.kid()));
        self.keys.extend(plan.add);
        self.sort();
    }

    /// Returns the public set (RFC 7517 section 5): past, present and coming keys, without private parts.
    pub fn public_jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().map(|key| key.key.public_jwk()).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::random::Random;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(days: u32) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).plus(DAY * days)
    }

    fn schedule() -> Schedule {
        Schedule { rotate_every: DAY * 90, publish_ahead: DAY, keep_after: DAY * 2 }
    }

    fn fresh() -> SigningKey {
        SigningKey::random(&Random::os())
    }

    fn rotate(ring: &mut KeyRing<SigningKey>, now: Timestamp) -> Plan<SigningKey> {
        let plan = ring.plan_rotation(now, &schedule(), fresh);
        ring.apply(plan.clone());
        plan
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after_it_signed() {
        let mut ring = KeyRing::default();
        assert!(ring.signing_key(day(0)).is_none());
        let first = rotate(&mut ring, day(0)).add[0].kid().to_owned();
        assert_eq!(ring.signing_key(day(0)).unwrap().kid(), first);
        assert!(rotate(&mut ring, day(88)).is_empty());
        let second = rotate(&mut ring, day(89)).add[0].kid().to_owned();
        assert!(rotate(&mut ring, day(89)).is_empty(), "planning twice adds one key");
        assert_eq!(ring.signing_key(day(89)).unwrap().kid(), first);
        assert!(ring.find(&second).is_some());
        assert_eq!(ring.signing_key(day(90)).unwrap().kid(), second);
        assert!(rotate(&mut ring, day(91)).is_empty());
        assert!(ring.find(&first).is_some());
        assert_eq!(rotate(&mut ring, day(92)).remove, [first.as_str()]);
        assert!(ring.find(&first).is_none());
    }

    #[test]
    fn a_key_made_beforehand_is_taken_only_if_one_is_due() {
        let mut ring = KeyRing::default();
        assert_eq!(ring.next_start(day(0), &schedule()), Some(day(0)));
        let key = fresh();
        ring.apply(ring.plan_with(day(0), &schedule(), Some(key.clone())));
        assert_eq!(ring.signing_key(day(0)).unwrap().kid(), key.kid());
        assert_eq!(ring.next_start(day(88), &schedule()), None);
        assert!(ring.plan_with(day(88), &schedule(), Some(fresh())).is_empty());
        assert_eq!(ring.next_start(day(89), &schedule()), Some(day(90)));
        assert!(ring.plan_with(day(89), &schedule(), None).is_empty());
        assert_eq!(ring.next_start(day(400), &schedule()), Some(day(401)), "published first");
        assert!(ring.plan_rotation(day(88), &schedule(), || unreachable!("no key is due")).is_empty());
    }

    #[test]
    fn a_key_that_is_added_twice_is_there_once() {
        let mut ring = KeyRing::default();
        let key = fresh();
        for day in [day(0), day(1)] {
            ring.apply(Plan { add: vec![RingKey::new(key.clone(), day, day)], remove: Vec::new() });
        }
        assert_eq!(ring.keys().len(), 1);
        assert_eq!(ring.keys()[0].activates, day(1));
    }

    /// TOK-15: an emergency leaves one key that signs at once and none that was there before.
    #[test]
    fn a_replacement_voids_every_older_key() {
        let mut ring = KeyRing::default();
        rotate(&mut ring, day(0));
        rotate(&mut ring, day(89));
        let old: Vec<String> = ring.keys().iter().map(|key| key.kid().to_owned()).collect();
        ring.apply(ring.plan_replacement(day(89), Some(fresh())));
        assert_eq!(ring.keys().len(), 1);
        assert!(old.iter().all(|kid| ring.find(kid).is_none()));
        assert_eq!(ring.signing_key(day(89)).unwrap().kid(), ring.keys()[0].kid());
    }

    #[test]
    fn a_clock_before_every_key_still_finds_one_to_sign_with() {
        let mut ring = KeyRing::default();
        rotate(&mut ring, day(10));
        rotate(&mut ring, day(99));
        assert_eq!(ring.signing_key(Timestamp::ZERO).unwrap().kid(), ring.keys()[0].kid());
    }

    /// TOK-15: the published set holds no private part.
    #[test]
    fn the_public_set_has_exactly_the_public_members() {
        let mut ring = KeyRing::default();
        rotate(&mut ring, day(0));
        let jwks = ring.public_jwks();
        let names: Vec<&str> = jwks["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
        assert!(!format!("{ring:?}").contains("seed"));
    }

    #[test]
    fn a_key_survives_its_record() {
        let key = RingKey::new(fresh(), day(1), day(2));
        let bytes = postcard::to_allocvec(&key.to_record()).unwrap();
        let back = RingKey::from_record(&postcard::from_bytes(&bytes).unwrap());
        assert_eq!((back.kid(), back.created, back.activates), (key.kid(), day(1), day(2)));
        assert_eq!(format!("{:?}", key.to_record()), "RingKeyRecord");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// TOK-15: whenever rotation runs, exactly one key signs at any moment, and a token verifies for its whole life.
        #[test]
        fn every_token_verifies_until_it_expires(pauses in proptest::collection::vec(0_u64..60 * 86_400, 1..40)) {
            let mut ring = KeyRing::default();
            let mut now = day(0);
            rotate(&mut ring, now);
            let mut tokens: Vec<(String, Timestamp)> = Vec::new();
            for pause in pauses {
                now = now.plus(Duration::from_secs(pause));
                tokens.retain(|(_, expires)| *expires > now);
                rotate(&mut ring, now);
                for (kid, _) in &tokens {
                    prop_assert!(ring.find(kid).is_some());
                }
                let signing = ring.signing_key(now).unwrap().kid().to_owned();
                let newest_started = ring.keys().iter().rfind(|key| key.activates() <= now).unwrap();
                prop_assert_eq!(&signing, newest_started.kid());
                tokens.push((signing, now.plus(schedule().keep_after)));
                prop_assert!(ring.keys().len() <= 4);
            }
        }
    }
}
