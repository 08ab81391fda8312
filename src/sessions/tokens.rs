//! Access tokens: signing, verification with a cache of verified ones, and the ring of signing keys.
//!
//! Verifying an Ed25519 signature costs as much as a hundred cache hits, so a token that was verified once is
//! remembered by the end of its signature. A hit still checks expiry here, and session, user and revocation in `Sessions`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use data_encoding::BASE64URL_NOPAD;
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Sessions;
use super::principal::Factors;
use crate::accounts::User;
use crate::crypto::jws::{self, Expected, SigningKey, TokenError};
use crate::crypto::key_ring::{KeyFacts, KeyRing, Plan, RingKey, RingKeyRecord, Schedule};
use crate::http::Problem;
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::random::Random;
use crate::kernel::secret::SecretText;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::metrics::{Metrics, TokenFault};
use crate::site::Site;
use crate::store::{Batch, CommitError, Record, Store, StoreError, Table};
use crate::words::english_only;

/// The `typ` of an access token (RFC 9068 section 2.1).
pub const ACCESS_TYPE: &str = "at+jwt";
/// The `client_id` of tokens that Doorward's own API issues.
const OWN_CLIENT: &str = "doorward";
/// What an access token may do.
const SCOPE: &str = "account";

/// The claims of an access token (RFC 9068 section 2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Issuer: the public origin.
    pub iss: String,
    /// Subject: the user id.
    pub sub: String,
    /// Audience: the API of this instance.
    pub aud: String,
    /// Expiry, seconds since the epoch.
    pub exp: u64,
    /// Issued at, seconds since the epoch.
    pub iat: u64,
    /// Token id.
    pub jti: String,
    /// Session id.
    pub sid: String,
    /// The client it was issued to.
    pub client_id: String,
    /// What it may do.
    pub scope: String,
    /// The username at the time of issue.
    pub preferred_username: String,
    /// The factors proven (RFC 8176).
    pub amr: Vec<String>,
    /// When they were proven, seconds since the epoch.
    pub auth_time: u64,
}

/// What a token is issued for.
pub(super) struct Grant<'a> {
    pub(super) user: &'a User,
    pub(super) session: SessionId,
    pub(super) factors: Factors,
    pub(super) authenticated_at: Timestamp,
    pub(super) issued_at: Timestamp,
    pub(super) jti: [u8; 16],
}

/// Tokens as the API answers them.
pub struct IssuedTokens {
    /// The access token.
    pub access_token: SecretText,
    /// Its life.
    pub expires_in: Duration,
    /// The refresh token.
    pub refresh_token: Option<SecretText>,
    /// Its life unless it is used.
    pub refresh_expires_in: Option<Duration>,
}

/// A token whose signature and claims have been verified.
#[derive(Debug)]
pub struct Verified {
    /// The claims.
    pub claims: AccessClaims,
    /// The claims as JSON, as `validate` shows them.
    pub shown: Box<RawValue>,
    /// The session.
    pub session: SessionId,
    /// The user.
    pub user: UserId,
    /// The token itself, so that only the very same one counts as verified.
    token: Box<str>,
}

impl Verified {
    /// Finds a token among the verified ones: the end of its signature, which differs from token to token. `None` if
    /// it is too short to be one.
    fn key(token: &str) -> Option<[u8; 32]> {
        token.as_bytes().last_chunk().copied()
    }
}

/// Why a token was refused; the client branches on the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Not a token at all.
    Malformed,
    /// Not signed by a key of ours.
    BadSignature,
    /// Signed by us for something else, or with claims that cannot be.
    InvalidClaims,
    /// Too old: refresh.
    Expired,
    /// Its session was ended: sign in again.
    Revoked,
}

impl TokenRefusal {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            TokenRefusal::Malformed => "token_malformed",
            TokenRefusal::BadSignature => "token_bad_signature",
            TokenRefusal::InvalidClaims => "token_invalid_claims",
            TokenRefusal::Expired => "token_expired",
            TokenRefusal::Revoked => "token_revoked",
        }
    }

    /// Counts the refusal.
    pub fn count(self, metrics: &Metrics) {
        match self {
            TokenRefusal::Expired => metrics.token_expired(),
            TokenRefusal::Malformed => metrics.token_invalid(TokenFault::Malformed),
            TokenRefusal::BadSignature => metrics.token_invalid(TokenFault::BadSignature),
            TokenRefusal::InvalidClaims => metrics.token_invalid(TokenFault::Misplaced),
            TokenRefusal::Revoked => metrics.token_invalid(TokenFault::Revoked),
        }
    }

    /// Returns a sentence that says what to do.
    pub fn detail(self) -> &'static str {
        match self {
            TokenRefusal::Malformed => "This is not an access token. Sign in again.",
            TokenRefusal::BadSignature => "This token was not signed here. Sign in again.",
            TokenRefusal::InvalidClaims => "This token is not meant for this. Sign in again.",
            TokenRefusal::Expired => "This access token has expired. Use the refresh token to get a new one.",
            TokenRefusal::Revoked => "This session has ended. Sign in again.",
        }
    }
}

impl From<TokenError> for TokenRefusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => TokenRefusal::Malformed,
            TokenError::BadSignature => TokenRefusal::BadSignature,
            TokenError::Expired => TokenRefusal::Expired,
            _ => TokenRefusal::InvalidClaims,
        }
    }
}

impl From<TokenRefusal> for Problem {
    fn from(refusal: TokenRefusal) -> Self {
        // RFC 6750 section 3.1.
        let challenge = http::HeaderValue::from_static("Bearer error=\"invalid_token\"");
        Problem::unauthorized(refusal.code(), english_only(refusal.detail()))
            .with_header(http::header::WWW_AUTHENTICATE, challenge)
    }
}

/// A signing key in the store. Row: key id.
#[derive(Clone, Serialize, Deserialize)]
pub struct SigningKeyRecord(RingKeyRecord);

impl Record for SigningKeyRecord {
    const TABLE: Table = Table::SIGNING_KEY;
    const VERSION: u8 = 1;
}

/// Signing and verification of access tokens.
pub struct Tokens {
    ring: ArcSwap<KeyRing<SigningKey>>,
    site: Site,
    /// Counts the changes of the ring.
    changes: AtomicU64,
    verified: Cache<[u8; 32], Arc<Verified>>,
    lifetime: Duration,
    schedule: Schedule,
    clock: SharedClock,
    random: Random,
    metrics: Arc<Metrics>,
}

/// Returns the audience of our own API under an origin.
fn audience(origin: &str) -> String {
    format!("{origin}/api")
}

impl Tokens {
    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// Reads the ring from the store; `cache_entries` bounds the cache of verified tokens.
    #[expect(clippy::too_many_arguments, reason = "the composition root names every part once")]
    pub fn open(
        store: &Store,
        clock: SharedClock,
        random: Random,
        metrics: Arc<Metrics>,
        site: Site,
        lifetime: Duration,
        schedule: Schedule,
        cache_entries: usize,
    ) -> Result<Self, StoreError> {
        jws::install();
        let keys = store.scan::<SigningKeyRecord>(&[], None, 1000)?;
        let keys = keys.iter().map(|(_, found)| RingKey::from_record(&found.value.0)).collect();
        let ring = KeyRing::new(keys);
        Ok(Tokens {
            ring: ArcSwap::from_pointee(ring),
            site,
            changes: AtomicU64::new(0),
            verified: Cache::new(cache_entries),
            lifetime,
            schedule,
            clock,
            random,
            metrics,
        })
    }

    /// Signs an access token of an app: same keys, other claims.
    pub fn sign(&self, claims: &impl Serialize) -> Result<SecretText, Problem> {
        let started = self.clock.monotonic();
        let token = self.sign_as(ACCESS_TYPE, claims)?;
        self.metrics.token_created(self.clock.monotonic().saturating_sub(started));
        Ok(token)
    }

    /// Signs a token of another kind than access tokens, so that it can never pass for one (TOK-04).
    pub fn sign_as(&self, kind: &str, claims: &impl Serialize) -> Result<SecretText, Problem> {
        let ring = self.ring.load();
        let key = ring
            .signing_key(self.clock.now())
            .ok_or_else(|| Problem::internal("there is no signing key; run `doorward keys rotate`"))?;
        let token = jws::sign(key, kind, claims).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(SecretText::new(token))
    }

    /// Verifies signature, issuer and times of an access token of an app that is meant for an audience which
    /// `is_audience` accepts. Never one of our own API's (TOK-12).
    pub fn check<C: DeserializeOwned>(
        &self,
        token: &str,
        is_audience: impl Fn(&str) -> bool,
        max_lifetime: Duration,
        now: Timestamp,
    ) -> Result<C, TokenRefusal> {
        let ring = self.ring.load();
        let origin = self.site.origin().text;
        let own = audience(&origin);
        let expected = Expected {
            typ: ACCESS_TYPE,
            issuer: &origin,
            audience: "",
            now,
            leeway: jws::LEEWAY,
            max_lifetime,
        };
        Ok(jws::verify_for(
            token,
            |kid| ring.find(kid),
            &expected,
            |audience| audience != own && is_audience(audience),
        )?)
    }

    /// Counts the changes of the keys: what was verified under another number has to be verified again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn issue(&self, grant: &Grant<'_>) -> Result<SecretText, Problem> {
        let origin = self.site.origin().text;
        let claims = AccessClaims {
            aud: audience(&origin),
            iss: origin,
            sub: grant.user.id.to_string(),
            exp: grant.issued_at.plus(self.lifetime).as_secs(),
            iat: grant.issued_at.as_secs(),
            jti: BASE64URL_NOPAD.encode(&grant.jti),
            sid: grant.session.to_string(),
            client_id: OWN_CLIENT.to_owned(),
            scope: SCOPE.to_owned(),
            preferred_username: grant.user.username.as_str().to_owned(),
            amr: grant.factors.amr().into_iter().map(str::to_owned).collect(),
            auth_time: grant.authenticated_at.as_secs(),
        };
        self.sign(&claims)
    }

    /// Verifies signature and claims; whether the session still lives is for the caller to ask.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, TokenRefusal> {
        let key = Verified::key(token).ok_or(TokenRefusal::Malformed)?;
        if let Some(verified) = self.verified.get(&key).filter(|verified| *verified.token == *token) {
            if now.as_secs() >= verified.claims.exp {
                self.verified.remove(&key);
                return Err(TokenRefusal::Expired);
            }
            // The public origin may have changed since the token was verified.
            if !self.site.is_origin(&verified.claims.iss) {
                return Err(TokenRefusal::InvalidClaims);
            }
            return Ok(verified);
        }
        let ring = self.ring.load_full();
        let origin = self.site.origin().text;
        let audience = audience(&origin);
        let expected = Expected {
            typ: ACCESS_TYPE,
            issuer: &origin,
            audience: &audience,
            now,
            leeway: jws::LEEWAY,
            max_lifetime: self.lifetime,
        };
        let claims: AccessClaims = jws::verify(token, |kid| ring.find(kid), &expected)?;
        // Issuer and verifier share one clock, so nothing lives past its end, remembered or not.
        if now.as_secs() >= claims.exp {
            return Err(TokenRefusal::Expired);
        }
        let session = SessionId::parse(&claims.sid).ok_or(TokenRefusal::InvalidClaims)?;
        let user = UserId::parse(&claims.sub).ok_or(TokenRefusal::InvalidClaims)?;
        if claims.client_id != OWN_CLIENT || claims.scope != SCOPE {
            return Err(TokenRefusal::InvalidClaims);
        }
        let shown = to_raw_value(&claims).map_err(|_| TokenRefusal::InvalidClaims)?;
        let verified = Arc::new(Verified { claims, shown, session, user, token: token.into() });
        self.verified.insert(key, verified.clone());
        // If the keys changed meanwhile, the cache was perhaps cleared before this token came in: its key may be gone,
        // so the token is judged once more by the present keys (TOK-15). Keys change before the cache is cleared.
        if !Arc::ptr_eq(&ring, &self.ring.load_full()) {
            self.verified.remove(&key);
            return self.verify(token, now);
        }
        Ok(verified)
    }

    /// Tells whether there is a key to sign with.
    pub fn has_signing_key(&self) -> bool {
        self.ring.load().signing_key(self.clock.now()).is_some()
    }

    /// Tells of every key what it does now, oldest first.
    pub fn key_facts(&self) -> Vec<KeyFacts> {
        self.ring.load().facts(self.clock.now())
    }

    /// Returns the public keys as a JWK set (RFC 7517), for resource servers that verify tokens themselves.
    pub fn public_keys(&self) -> serde_json::Value {
        self.ring.load().public_jwks()
    }

    /// Puts a change of the keys in force. Two at once (the schedule and an administrator) both count.
    fn apply(&self, plan: &Plan<SigningKey>) {
        self.ring.rcu(|ring| {
            let mut ring = KeyRing::clone(ring);
            ring.apply(plan.clone());
            ring
        });
        self.changes.fetch_add(1, Ordering::Release);
        self.verified.clear();
    }
}

impl Sessions {
    /// Makes, publishes and retires keys of access tokens as the schedule wants. Run at start and every hour.
    ///
    /// # Errors
    /// As [`crate::store::Store::commit`].
    pub async fn keep_key_schedule(&self) -> Result<(), CommitError> {
        let tokens = self.tokens();
        let make = || SigningKey::random(&tokens.random);
        let plan = tokens.ring.load().plan_rotation(tokens.clock.now(), &tokens.schedule, make);
        self.change_keys(plan, |_| {}).await
    }

    /// Replaces every key of access tokens at once, for a key that became known to others: every access token is void
    /// after it, and clients get new ones with their refresh tokens (TOK-15). `also` adds the audit event to the same
    /// commit.
    ///
    /// # Errors
    /// As [`crate::store::Store::commit`].
    pub async fn replace_keys(&self, also: impl FnOnce(&mut Batch)) -> Result<(), CommitError> {
        let tokens = self.tokens();
        let fresh = SigningKey::random(&tokens.random);
        let plan = tokens.ring.load().plan_replacement(tokens.clock.now(), Some(fresh));
        self.change_keys(plan, also).await
    }

    async fn change_keys(
        &self,
        plan: Plan<SigningKey>,
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), CommitError> {
        if plan.is_empty() {
            return Ok(());
        }
        let mut batch = self.0.store.batch();
        for kid in &plan.remove {
            batch.remove::<SigningKeyRecord>(kid.as_bytes());
        }
        for key in &plan.add {
            batch.put(key.kid().as_bytes(), &SigningKeyRecord(key.to_record()));
        }
        also(&mut batch);
        let sessions = self.clone();
        batch.after(move || sessions.tokens().apply(&plan));
        self.0.store.commit(batch).await
    }
}
