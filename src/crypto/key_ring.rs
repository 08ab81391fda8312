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
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// One key with its times.
#[derive(Clone, Debug)]
pub struct RingKey {
    key: SigningKey,
    public: VerifyingKey,
    created: Timestamp,
    activates: Timestamp,
}

impl RingKey {
    /// Makes a fresh key.
    pub fn random(random: &Random, created: Timestamp, activates: Timestamp) -> Self {
        Self::new(SigningKey::random(random), created, activates)
    }

    fn new(key: SigningKey, created: Timestamp, activates: Timestamp) -> Self {
        RingKey { public: key.verifying_key(), key, created, activates }
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

    /// Returns what the store keeps. It holds the private key: seal it.
    pub fn to_record(&self) -> RingKeyRecord {
        RingKeyRecord { created: self.created, activates: self.activates, seed: *self.key.expose_seed() }
    }

    /// Takes what the store kept. The name of the key follows from the key.
    pub fn from_record(record: &RingKeyRecord) -> Self {
        Self::new(SigningKey::from_seed(&record.seed), record.created, record.activates)
    }
}

/// A key as it is stored, sealed. It holds the private key and must reach nothing but the store.
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
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Keys to add.
    pub add: Vec<RingKey>,
    /// Names of keys to destroy.
    pub remove: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// All keys of an installation, in the order in which they sign.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

impl KeyRing {
    /// Takes the keys in any order.
    pub fn new(keys: Vec<RingKey>) -> Self {
        let mut ring = KeyRing { keys };
        ring.sort();
        ring
    }

    fn sort(&mut self) {
        self.keys.sort_by(|a, b| (a.activates, a.kid()).cmp(&(b.activates, b.kid())));
    }

    /// Returns the keys, oldest first.
    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// Returns the one key that signs at `now`: the last that has started, or the first of all if the clock says
    /// that none has. `None` only if the ring is empty.
    pub fn signing_key(&self, now: Timestamp) -> Option<&SigningKey> {
        self.signing_index(now).and_then(|index| self.keys.get(index)).map(|key| &key.key)
    }

    fn signing_index(&self, now: Timestamp) -> Option<usize> {
        let started = self.keys.partition_point(|key| key.activates <= now);
        (!self.keys.is_empty()).then(|| started.saturating_sub(1))
    }

    /// Returns the public key named `kid`.
    pub fn find(&self, kid: &str) -> Option<VerifyingKey> {
        self.keys.iter().find(|key| key.kid() == kid).map(|key| key.public)
    }

    /// Returns what to change at `now`. The present and coming keys are never removed.
    pub fn plan_rotation(&self, now: Timestamp, schedule: &Schedule, random: &Random) -> Plan {
        let mut plan = Plan::default();
        match self.keys.last() {
            None => plan.add.push(RingKey::random(random, now, now)),
            Some(newest) => {
                let ends = newest.activates.plus(schedule.rotate_every);
                if now >= ends.minus(schedule.publish_ahead) {
                    // A server that was off for months still publishes first and signs later.
                    let starts = ends.max(now.plus(schedule.publish_ahead));
                    plan.add.push(RingKey::random(random, now, starts));
                }
            }
        }
        for pair in self.keys.windows(2) {
            if let [old, successor] = pair
                && now >= successor.activates.plus(schedule.keep_after)
            {
                plan.remove.push(old.kid().to_owned());
            }
        }
        plan
    }

    /// Returns the plan for a key that became known to others: a new key signs at once, and all others go. Every
    /// token issued so far is void after it.
    pub fn plan_replacement(&self, now: Timestamp, random: &Random) -> Plan {
        Plan {
            add: vec![RingKey::random(random, now, now)],
            remove: self.keys.iter().map(|key| key.kid().to_owned()).collect(),
        }
    }

    /// Carries a plan out, after it was stored.
    pub fn apply(&mut self, plan: Plan) {
        self.keys.retain(|key| !plan.remove.iter().any(|kid| kid == key.kid()));
        self.keys.extend(plan.add);
        self.sort();
    }

    /// Returns the public set (RFC 7517 section 5): past, present and coming keys, without private parts.
    pub fn public_jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().map(|key| key.public.to_jwk()).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(days: u32) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).plus(DAY * days)
    }

    fn schedule() -> Schedule {
        Schedule { rotate_every: DAY * 90, publish_ahead: DAY, keep_after: DAY * 2 }
    }

    fn rotate(ring: &mut KeyRing, now: Timestamp) -> Plan {
        let plan = ring.plan_rotation(now, &schedule(), &Random::os());
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

    /// TOK-15: an emergency leaves one key that signs at once and none that was there before.
    #[test]
    fn a_replacement_voids_every_older_key() {
        let mut ring = KeyRing::default();
        rotate(&mut ring, day(0));
        rotate(&mut ring, day(89));
        let old: Vec<String> = ring.keys().iter().map(|key| key.kid().to_owned()).collect();
        ring.apply(ring.plan_replacement(day(89), &Random::os()));
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
        let key = RingKey::random(&Random::os(), day(1), day(2));
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
