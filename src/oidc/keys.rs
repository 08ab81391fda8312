//! The keys that sign what apps verify: id_tokens, logout tokens, userinfo. One ring for each algorithm; RS256 always,
//! the others only while a client uses them, because some apps stop at a key of a kind they do not know.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use serde_json::{Value, json};

use super::Oidc;
use super::client::ClientSettings;
use super::clients::AddError;
use super::error::OAuthError;
use super::records::OidcKeyRecord;
use crate::crypto::key_ring::{KeyFacts, KeyRing, Plan, RingKey, Schedule};
use crate::crypto::signing::{self, KeyError, PrivateKey, PublicKey, SigningAlgorithm, StoredKey};
use crate::kernel::time::Timestamp;
use crate::store::{Batch, CommitError, Store, StoreError};

type Rings = BTreeMap<SigningAlgorithm, KeyRing<PrivateKey>>;

/// All rings, and what was made of them.
pub(super) struct Keys {
    rings: ArcSwap<Rings>,
    schedule: Schedule,
    /// Held while keys are made: it takes seconds, and two at once would make two.
    maker: tokio::sync::Mutex<()>,
}

impl Keys {
    pub(super) fn load(store: &Store, schedule: Schedule) -> Result<Self, StoreError> {
        let mut keys: BTreeMap<SigningAlgorithm, Vec<RingKey<PrivateKey>>> = BTreeMap::new();
        store.for_each::<OidcKeyRecord>(|_, record| {
            let key = record.0.to_ring().map_err(|_| StoreError::Corrupt { table: "oidc_key" })?;
            keys.entry(record.0.algorithm()).or_default().push(key);
            Ok(())
        })?;
        let rings = keys.into_iter().map(|(algorithm, keys)| (algorithm, KeyRing::new(keys))).collect();
        Ok(Keys { rings: ArcSwap::from_pointee(rings), schedule, maker: tokio::sync::Mutex::default() })
    }

    fn apply(&self, algorithm: SigningAlgorithm, plan: &Plan<PrivateKey>) {
        self.rings.rcu(|rings| {
            let mut rings = Rings::clone(rings);
            rings.entry(algorithm).or_default().apply(plan.clone());
            rings
        });
    }

    /// Finds one of our keys, the retired ones that are still kept too.
    pub(super) fn find(&self, kid: &str) -> Option<PublicKey> {
        self.rings.load().values().find_map(|ring| ring.find(kid))
    }

    fn signer(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<PrivateKey> {
        self.rings.load().get(&algorithm).and_then(|ring| ring.signing_key(now).cloned())
    }
}

impl Oidc {
    /// Signs `claims` for a client that takes `algorithm`.
    ///
    /// # Errors
    /// `server_error` if there is no key, which cannot be: adding the client made one.
    pub(super) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        typ: Option<&str>,
        claims: &impl Serialize,
    ) -> Result<String, OAuthError> {
        let key = self.keys.signer(algorithm, self.clock.now());
        let key = key.ok_or_else(|| OAuthError::server_error("there is no signing key of that kind"))?;
        signing::sign_compact(&key, typ, claims).map_err(|error| OAuthError::server_error(error.to_string()))
    }

    /// Returns the public keys (RFC 7517): RSA first, for apps that take the first; other kinds only while some client
    /// uses them.
    pub fn public_keys(&self) -> Value {
        let rings = self.keys.rings.load();
        let used = self.used_algorithms();
        let keys: Vec<Value> = SigningAlgorithm::ALL
            .into_iter()
            .filter(|algorithm| used.contains(algorithm))
            .filter_map(|algorithm| rings.get(&algorithm))
            .flat_map(|ring| ring.keys().iter().map(|key| key.key().public_jwk()))
            .collect();
        json!({ "keys": keys })
    }

    /// Tells of every key what it does now, by algorithm, oldest first; those that no client needs any more too.
    pub fn key_facts(&self) -> Vec<(SigningAlgorithm, KeyFacts)> {
        let (rings, now) = (self.keys.rings.load(), self.clock.now());
        rings
            .iter()
            .flat_map(|(algorithm, ring)| ring.facts(now).into_iter().map(|facts| (*algorithm, facts)))
            .collect()
    }

    /// Returns the algorithms that some client uses; RS256 always (OIDC Core section 15.1).
    pub(super) fn used_algorithms(&self) -> Vec<SigningAlgorithm> {
        let clients = self.clients();
        let is_used = |algorithm: &SigningAlgorithm| {
            *algorithm == SigningAlgorithm::Rs256
                || clients.iter().any(|client| needed_by(&client.settings).contains(algorithm))
        };
        SigningAlgorithm::ALL.into_iter().filter(is_used).collect()
    }

    /// Makes the keys that a client will need, before it is there.
    pub(super) async fn need_keys(&self, settings: &ClientSettings) -> Result<(), AddError> {
        for algorithm in needed_by(settings) {
            if self.keys.signer(algorithm, self.clock.now()).is_none() {
                self.rotate_ring(algorithm).await?;
            }
        }
        Ok(())
    }

    /// Makes, publishes and retires keys as the schedule wants; makes the first RSA key if there is none. Run every
    /// minute.
    pub(super) async fn keep_keys(&self) -> Result<(), CommitError> {
        for algorithm in self.used_algorithms() {
            self.rotate_ring(algorithm).await?;
        }
        Ok(())
    }

    async fn rotate_ring(&self, algorithm: SigningAlgorithm) -> Result<(), CommitError> {
        let _maker = self.keys.maker.lock().await;
        let now = self.clock.now();
        let ring = self.keys.rings.load().get(&algorithm).cloned().unwrap_or_default();
        let fresh = match ring.next_start(now, &self.keys.schedule) {
            Some(_) => Some(self.make_key(algorithm).await?),
            None => None,
        };
        let plan = ring.plan_with(now, &self.keys.schedule, fresh);
        self.carry_out(algorithm, plan, |_| {}).await
    }

    /// Replaces every key at once, for keys that became known to others (TOK-15). Apps fetch the new ones when they meet
    /// a name that they do not know. Keys of a kind that no client uses at the moment go without a successor: they would
    /// sign again for the next client that wants that kind.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn replace_keys(&self, also: impl Fn(&mut Batch)) -> Result<(), CommitError> {
        let used = self.used_algorithms();
        for algorithm in SigningAlgorithm::ALL {
            let _maker = self.keys.maker.lock().await;
            let fresh = if used.contains(&algorithm) { Some(self.make_key(algorithm).await?) } else { None };
            let ring = self.keys.rings.load().get(&algorithm).cloned().unwrap_or_default();
            let plan = ring.plan_replacement(self.clock.now(), fresh);
            self.carry_out(algorithm, plan, &also).await?;
        }
        Ok(())
    }

    /// Tells whether there is a key of this name, signing or not.
    pub fn has_key(&self, kid: &str) -> bool {
        self.keys.find(kid).is_some()
    }

    /// Takes a key that was made elsewhere; it signs from now on.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn adopt_key(&self, key: PrivateKey, also: impl FnOnce(&mut Batch)) -> Result<(), CommitError> {
        let _maker = self.keys.maker.lock().await;
        let (algorithm, now) = (key.algorithm(), self.clock.now());
        // Two that come in the same moment sign in the order in which they came.
        let ring = self.keys.rings.load().get(&algorithm).cloned().unwrap_or_default();
        let newest = ring.keys().iter().map(RingKey::activates).filter(|start| *start <= now).max();
        let start = newest.map_or(now, |newest| now.max(newest.plus(Duration::from_millis(1))));
        let plan = Plan { add: vec![RingKey::new(key, now, start)], remove: Vec::new() };
        self.carry_out(algorithm, plan, also).await
    }

    /// Makes a key on a thread where nothing waits for it.
    async fn make_key(&self, algorithm: SigningAlgorithm) -> Result<PrivateKey, CommitError> {
        let random = self.random.clone();
        let failed = |why: String| CommitError::Store(StoreError::Failed(why));
        let (done, made) = tokio::sync::oneshot::channel();
        // Nobody may be waiting any more when it is done.
        let work = move || drop(done.send(PrivateKey::generate(algorithm, &random)));
        let thread = std::thread::Builder::new().name("key-maker".to_owned()).spawn(work);
        thread.map_err(|error| failed(error.to_string()))?;
        let made = made.await.map_err(|error| failed(error.to_string()))?;
        made.map_err(|error: KeyError| failed(error.to_string()))
    }

    async fn carry_out(
        &self,
        algorithm: SigningAlgorithm,
        plan: Plan<PrivateKey>,
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), CommitError> {
        if plan.is_empty() {
            return Ok(());
        }
        let mut batch = self.store.batch();
        for kid in &plan.remove {
            batch.remove::<OidcKeyRecord>(kid.as_bytes());
        }
        for key in &plan.add {
            batch.put(key.kid().as_bytes(), &OidcKeyRecord(StoredKey::from_ring(key)));
        }
        also(&mut batch);
        let room = self.clone();
        batch.after(move || {
            room.keys.apply(algorithm, &plan);
            room.touch_documents();
        });
        self.store.commit(batch).await
    }
}

/// Returns the algorithms that a client needs.
fn needed_by(settings: &ClientSettings) -> Vec<SigningAlgorithm> {
    let mut needed = vec![settings.id_token_alg];
    needed.extend(settings.userinfo_alg);
    needed.dedup();
    needed
}
