//! Browser sessions, refresh token families, access tokens and revocation; and the one function that decides who a
//! caller is: [`Sessions::admit`], which every way in ends at (GEN-01).

pub mod app_tokens;
pub mod cookies;
mod ending;
mod forward;
pub mod handoff;
pub mod labels;
mod lasting;
mod live;
pub mod principal;
pub mod records;
pub mod refresh;
mod refreshing;
mod succession;
pub mod tokens;

pub use ending::{EndReason, EndedSession, OnEnd};
pub use forward::{ForwardCookie, Scope};
pub use principal::{Factors, Level, Principal};
pub use records::SessionKind;
pub use refreshing::{RefreshRefusal, Refreshed};
pub use succession::Successor;
pub use tokens::{IssuedTokens, TokenRefusal, Verified};

use crate::words::{Said, Words};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use parking_lot::RwLock;

use crate::accounts::Accounts;
use crate::audit::Audit;
use crate::crypto::keys::MasterKey;
use crate::crypto::mac::sha256;
use crate::http::Problem;
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::random::Random;
use crate::kernel::secret::{SecretKey, SecretText, ct_eq};
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::clock_mark::ClockMark;
use crate::store::{Batch, Store, StoreError, Versioned};

use app_tokens::live::LiveAppTokens;
use live::{Live, LiveSessions};
use records::{RevokedRecord, SessionRecord, SignedInRecord};
use tokens::Tokens;

/// The most live sessions of all users (RES-03); beyond it nobody new can sign in.
const MOST_IN_ALL: usize = 200_000;

/// How long things live.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    /// The longest pause of a browser session.
    pub idle: Duration,
    /// The longest life of a browser session.
    pub absolute: Duration,
    /// Both of them with "remember me".
    pub remembered: Duration,
    /// The life of an access token.
    pub access_token: Duration,
    /// The longest pause between two refreshes.
    pub refresh: Duration,
    /// The longest life of a refresh family.
    pub refresh_absolute: Duration,
    /// The window in which a spent refresh token gets the same answer again.
    pub refresh_grace: Duration,
}

/// What a new session is made of.
pub struct NewSession {
    /// Whose it is.
    pub user: UserId,
    /// Browser or program.
    pub kind: SessionKind,
    /// What was proven.
    pub factors: Factors,
    /// The browser or program as it named itself.
    pub label: String,
    /// A pseudonym of the address.
    pub place: String,
    /// Whether "remember me" was chosen.
    pub is_remembered: bool,
    /// Whether a refresh token is wanted.
    pub with_refresh: bool,
    /// The session that the browser held so far; it ends in the same commit (SES-02, SES-03). If it speaks for the same
    /// user, the signed-in stay goes on under its `sid`; if not, its stay has ended.
    pub in_place_of: Option<SessionId>,
}

/// The secrets of a new session, shown once.
pub struct StartedSession {
    /// The session.
    pub id: SessionId,
    /// The signed-in stay that it belongs to, as [`Principal::sid`].
    pub sid: SessionId,
    /// The value of the browser cookie.
    pub cookie: Option<SecretText>,
    /// The value of the forward-auth cookie for our own domain.
    pub forward_cookie: Option<SecretText>,
    /// The refresh token.
    pub refresh_token: Option<SecretText>,
    /// How long the browser should keep the cookie; `None` until it closes.
    pub cookie_max_age: Option<Duration>,
    /// When the session began.
    pub started_at: Timestamp,
    record: SessionRecord,
}

impl StartedSession {
    /// Returns how long the browser should keep the refresh cookie.
    pub fn refresh_max_age(&self) -> Option<Duration> {
        self.record.refresh.as_ref().map(|family| family.expires_at.since(self.started_at))
    }
}

/// A session as its owner sees it.
pub struct SessionView {
    /// The handle; not a secret.
    pub id: SessionId,
    /// Browser or program.
    pub kind: SessionKind,
    /// The browser or program as it named itself.
    pub label: String,
    /// A pseudonym of the address it started from.
    pub place: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last used.
    pub last_seen: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// What was proven.
    pub factors: Factors,
}

/// The use-cases of sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    store: Store,
    accounts: Accounts,
    audit: Audit,
    clock: SharedClock,
    random: Random,
    lifetimes: Lifetimes,
    live: LiveSessions,
    app_tokens: LiveAppTokens,
    tokens: Tokens,
    refresh_key: SecretKey,
    csrf_key: SecretKey,
    /// Sessions at or before this moment are dead for everyone (after a restore).
    not_before: Timestamp,
    clock_mark: Arc<ClockMark>,
    on_end: RwLock<Vec<Arc<dyn OnEnd>>>,
}

impl Sessions {
    /// Reads live sessions, revocations and signing keys from the store.
    #[expect(clippy::too_many_arguments, reason = "the composition root names every part once")]
    pub fn open(
        store: Store,
        accounts: Accounts,
        audit: Audit,
        clock: SharedClock,
        random: Random,
        master: &MasterKey,
        lifetimes: Lifetimes,
        tokens: Tokens,
        not_before: Timestamp,
        clock_mark: Arc<ClockMark>,
    ) -> Result<Self, StoreError> {
        let live = LiveSessions::new();
        // Also those that ended while nobody was looking: the first sweep tells what is to be told of them.
        for_each::<SessionRecord>(&store, |id, record| live.put(id, record))?;
        for_each::<RevokedRecord>(&store, |id, record| live.revoke(id, record.until))?;
        let app_tokens = app_tokens::load(&store)?;
        Ok(Sessions(Arc::new(Inner {
            store,
            accounts,
            audit,
            clock,
            random,
            lifetimes,
            live,
            app_tokens,
            tokens,
            refresh_key: master.derive("refresh token"),
            csrf_key: master.derive("csrf token"),
            not_before,
            clock_mark,
            on_end: RwLock::default(),
        })))
    }

    /// Decides whether a live session speaks for an active user: the one gate of every way in (GEN-01, GEN-02).
    fn admit(&self, id: SessionId, live: &Live) -> Option<Principal> {
        let user = self.0.accounts.user(&live.user)?;
        let is_alive =
            user.is_active() && live.started_at > user.not_before && live.started_at > self.0.not_before;
        is_alive.then_some(Principal {
            user,
            session: id,
            sid: live.sid,
            kind: live.kind,
            factors: live.factors,
            authenticated_at: live.authenticated_at,
        })
    }

    /// Returns the moment at or before which everything is dead for everyone: a restored store forgets what was revoked
    /// after its snapshot.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Adds to `batch` that the caller's session still lives: it conflicts if the session ends meanwhile (SES-08).
    ///
    /// # Errors
    /// 401 `not_signed_in` if it has ended already.
    pub fn stage_require_live(&self, batch: &mut Batch, principal: &Principal) -> Result<(), Problem> {
        let found = self.record(&principal.session)?;
        let seen = found
            .ok_or_else(|| Problem::unauthorized("not_signed_in", Said::of(Words::errors_sign_in_first)))?;
        batch.require(principal.session.as_bytes(), &seen);
        Ok(())
    }

    /// Tells whether the policy demands more of the user than the session proved: it was made stricter since, or the
    /// session is the one in which the owner is still setting up. Such a session leads to a second factor, or out.
    pub fn falls_short(&self, principal: &Principal) -> bool {
        let policy = self.0.accounts.second_factor_policy();
        policy.requires(principal.user.role) && principal.level() < Level::TwoFactor
    }

    /// Identifies the caller by the value of the browser cookie, and slides the session.
    pub fn identify_cookie(&self, value: &str, now: Timestamp) -> Option<Principal> {
        let (id, secret) = parse_cookie(value)?;
        let live = self.0.live.get(&id)?;
        self.admit_secret(id, &live, &secret, live.cookie_hash.as_ref()?, now)
    }

    /// Returns the session that a browser cookie proves, whether it still opens anything or not. To end it.
    pub fn session_of_cookie(&self, value: &str) -> Option<SessionId> {
        let (id, secret) = parse_cookie(value)?;
        let live = self.0.live.get(&id)?;
        ct_eq(&sha256(secret), live.cookie_hash.as_ref()?).then_some(id)
    }

    /// Identifies the caller by an access token.
    pub fn identify_bearer(&self, token: &str, now: Timestamp) -> Result<Principal, TokenRefusal> {
        let verified = self.0.tokens.verify(token, now)?;
        self.admit_token(&verified, now)
    }

    /// Verifies an access token as a resource server would, including revocation.
    pub fn validate(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, TokenRefusal> {
        let verified = self.0.tokens.verify(token, now)?;
        self.admit_token(&verified, now)?;
        Ok(verified)
    }

    fn admit_token(&self, verified: &Verified, now: Timestamp) -> Result<Principal, TokenRefusal> {
        let live = self.0.live.get(&verified.session).ok_or(TokenRefusal::Revoked)?;
        if self.0.live.is_revoked(&verified.session) || live.kind != SessionKind::Api || live.ends_at <= now {
            return Err(TokenRefusal::Revoked);
        }
        let principal = self.admit(verified.session, &live).ok_or(TokenRefusal::Revoked)?;
        if principal.user.id != verified.user {
            return Err(TokenRefusal::InvalidClaims);
        }
        live.touch(now);
        Ok(principal)
    }

    /// Returns the CSRF token of a session (WEB-01): an HMAC that only this session's pages and answers carry.
    pub fn csrf_token(&self, session: &SessionId) -> String {
        crate::http::csrf::token(self.0.csrf_key.expose(), session.as_bytes(), &self.0.random.bytes())
    }

    /// Checks a CSRF token against a session.
    pub fn is_csrf_token(&self, session: &SessionId, presented: &str) -> bool {
        crate::http::csrf::verify(self.0.csrf_key.expose(), session.as_bytes(), presented).is_ok()
    }

    /// Adds a new session to `batch`. The secrets are good once the batch is on disk.
    pub fn stage_start(&self, batch: &mut Batch, new: NewSession) -> Result<StartedSession, Problem> {
        self.stage_start_after(batch, new, Timestamp::ZERO, None)
    }

    /// Like [`Sessions::stage_start`], for a batch that ends all sessions begun at or before `ended`, and for factors
    /// that were proven at `authenticated_at`. Stages nothing if it fails.
    pub fn stage_start_after(
        &self,
        batch: &mut Batch,
        new: NewSession,
        ended: Timestamp,
        authenticated_at: Option<Timestamp>,
    ) -> Result<StartedSession, Problem> {
        self.refuse_while_clock_is_behind()?;
        if self.0.live.len() >= MOST_IN_ALL {
            return Err(Problem::unavailable(
                "too_many_sessions",
                Said::of(Words::errors_too_busy),
                Duration::from_secs(60),
            ));
        }
        let inner = &self.0;
        let id = SessionId::random(&inner.random);
        let user = inner.accounts.user(&new.user).ok_or_else(Problem::not_found)?;
        // A session must be younger than the moment that ended all earlier ones, even within one millisecond.
        let dead_until = user.not_before.max(inner.not_before).max(ended).plus(Duration::from_millis(1));
        let now = inner.clock.now().max(dead_until);
        let is_web = new.kind == SessionKind::Web;
        let (idle, absolute) = match (is_web, new.is_remembered) {
            (true, true) => (inner.lifetimes.remembered, inner.lifetimes.remembered),
            (true, false) => (inner.lifetimes.idle, inner.lifetimes.absolute),
            // A program has no cookie: its session lives as long as its refresh family.
            (false, _) => (inner.lifetimes.access_token, inner.lifetimes.access_token),
        };
        let secret = zeroize::Zeroizing::new(inner.random.bytes::<32>());
        let forward_seed = inner.random.bytes::<32>();
        let cookie = is_web.then(|| cookie_value(id, &secret));
        let forward_cookie = if is_web { self.own_forward_value(id, &forward_seed) } else { None };
        let (refresh_token, family) = if new.with_refresh {
            let (family, token) = refresh::start(
                &inner.refresh_key,
                id.as_bytes(),
                &inner.random.bytes(),
                now,
                inner.lifetimes.refresh,
                inner.lifetimes.refresh_absolute,
            );
            (Some(token), Some(family))
        } else {
            (None, None)
        };
        let former = new.in_place_of.map(|former| self.record(&former)).transpose()?.flatten();
        let last = inner.store.get::<SignedInRecord>(new.user.as_bytes())?.map(|last| last.value);
        let stay = self.stage_in_place_of(batch, &new);
        let sid = stay.unwrap_or(id);
        let before = if stay.is_some() {
            former.and_then(|former| former.value.before)
        } else {
            let signed_in = SignedInRecord { at: now, place: new.place.clone() };
            batch.put(new.user.as_bytes(), &signed_in);
            last
        };
        let record = SessionRecord {
            user: new.user,
            kind: new.kind,
            started_at: now,
            authenticated_at: authenticated_at.unwrap_or(now),
            factors: new.factors,
            cookie_hash: is_web.then(|| sha256(secret.as_slice())),
            forward_seed: is_web.then_some(forward_seed),
            refresh: family,
            last_seen: now,
            idle_ms: u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
            expires_at: now.plus(absolute),
            label: new.label.chars().filter(|character| !character.is_control()).take(120).collect(),
            place: new.place,
            is_remembered: new.is_remembered,
            sid: (sid != id).then_some(sid),
            before,
        };
        batch.insert_new(id.as_bytes(), &record);
        batch.expire::<SessionRecord>(id.as_bytes(), record.ends_at());
        self.stage_room_for_one_more(batch, &new.user);
        let (sessions, kept) = (self.clone(), record.clone());
        batch.after(move || sessions.0.live.put(id, &kept));
        let cookie_max_age = new.is_remembered.then_some(absolute);
        Ok(StartedSession {
            id,
            sid,
            cookie,
            forward_cookie,
            refresh_token,
            cookie_max_age,
            started_at: now,
            record,
        })
    }

    /// A clock that stands before what the store has seen would make sessions that outlive their revocation (FAIL-03).
    fn refuse_while_clock_is_behind(&self) -> Result<(), Problem> {
        if !self.0.clock_mark.is_clock_behind(self.0.clock.now()) {
            return Ok(());
        }
        Err(Problem::unavailable(
            "clock_behind",
            Said::of(Words::errors_clock_behind),
            Duration::from_secs(60),
        ))
    }

    /// Signs the access token of a session that was just committed.
    pub fn issue(&self, started: &StartedSession) -> Result<IssuedTokens, Problem> {
        let user = self.0.accounts.user(&started.record.user).ok_or_else(Problem::not_found)?;
        let access = self.0.tokens.issue(&tokens::Grant {
            user: &user,
            session: started.id,
            factors: started.record.factors,
            authenticated_at: started.record.authenticated_at,
            issued_at: started.started_at,
            jti: self.0.random.bytes(),
        })?;
        let refresh_expires_in =
            started.record.refresh.as_ref().map(|f| f.expires_at.since(started.started_at));
        Ok(IssuedTokens {
            access_token: access,
            expires_in: self.0.lifetimes.access_token,
            refresh_token: started.refresh_token.clone(),
            refresh_expires_in,
        })
    }

    /// Lists the live sessions of a user, most recently used first.
    pub fn list(&self, user: &UserId) -> Result<Vec<SessionView>, StoreError> {
        let now = self.0.clock.now();
        let mut views = Vec::new();
        for id in self.0.live.of_user(user) {
            let Some(live) = self.0.live.get(&id) else { continue };
            if live.is_over(now) || self.admit(id, &live).is_none() {
                continue;
            }
            let Some(found) = self.record(&id)? else { continue };
            let record = found.value;
            views.push(SessionView {
                id,
                kind: record.kind,
                label: record.label.clone(),
                place: record.place.clone(),
                started_at: record.started_at,
                last_seen: live.last_seen(),
                ends_at: record.ends_at(),
                factors: record.factors,
            });
        }
        views.sort_unstable_by_key(|view| std::cmp::Reverse(view.last_seen));
        Ok(views)
    }

    /// Tells whose session this is, if it is live.
    pub fn owner(&self, id: &SessionId) -> Option<UserId> {
        self.0.live.get(id).map(|live| live.user)
    }

    /// Tells what was proven in this session and when, if it is live.
    pub fn proof(&self, id: &SessionId) -> Option<(Factors, Timestamp)> {
        self.0.live.get(id).map(|live| (live.factors, live.authenticated_at))
    }

    /// Records that the user proved factors again in this session; the new moment counts for step-up. For API
    /// sessions; a browser gets a new session instead (SES-02).
    pub fn stage_step_up(&self, batch: &mut Batch, id: SessionId, factors: Factors) -> Result<(), Problem> {
        let seen = self.record(&id)?.ok_or_else(Problem::not_found)?;
        let mut record = seen.value.clone();
        record.authenticated_at = self.0.clock.now();
        record.factors = record.factors.with(factors);
        batch.replace(id.as_bytes(), &seen, &record);
        let sessions = self.clone();
        batch.after(move || sessions.0.live.put(id, &record));
        Ok(())
    }

    fn record(&self, id: &SessionId) -> Result<Option<Versioned<SessionRecord>>, StoreError> {
        self.0.store.get(id.as_bytes())
    }

    /// Returns when and from where the person of a session signed in before it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn signed_in_before(&self, id: &SessionId) -> Result<Option<SignedInRecord>, StoreError> {
        Ok(self.record(id)?.and_then(|found| found.value.before))
    }

    /// Adds to `batch` that nothing is known of the sign-ins of a user who goes.
    pub fn stage_forget_sign_ins(&self, batch: &mut Batch, user: &UserId) {
        batch.remove::<SignedInRecord>(user.as_bytes());
    }

    /// Returns for how many days "remember me" keeps a browser signed in.
    pub fn remembered_days(&self) -> u64 {
        self.0.lifetimes.remembered.as_secs() / 86_400
    }

    /// Tells whether "remember me" was chosen for a session.
    pub fn is_remembered(&self, id: &SessionId) -> bool {
        self.record(id).ok().flatten().is_some_and(|found| found.value.is_remembered)
    }

    /// The tokens of this instance: keys and verification.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Returns how many sessions are live.
    pub fn live_count(&self) -> usize {
        self.0.live.len()
    }
}

/// Writes a cookie value: session id and secret. The id finds the session, the secret proves it.
fn cookie_value(id: SessionId, secret: &[u8; 32]) -> SecretText {
    let mut value = zeroize::Zeroizing::new([0_u8; 48]);
    let (head, tail) = value.split_at_mut(16);
    head.copy_from_slice(id.as_bytes());
    tail.copy_from_slice(secret);
    SecretText::new(BASE64URL_NOPAD.encode(value.as_slice()))
}

/// Returns the session that a refresh token names, without judging the token.
pub fn refresh_session(token: &str) -> Option<SessionId> {
    refresh::named_session(token)
}

fn parse_cookie(value: &str) -> Option<(SessionId, [u8; 32])> {
    if value.len() != 64 {
        return None;
    }
    let mut bytes = [0_u8; 48];
    let written = BASE64URL_NOPAD.decode_mut(value.as_bytes(), &mut bytes).ok()?;
    if written != 48 {
        return None;
    }
    let (id, secret) = bytes.split_first_chunk::<16>()?;
    Some((SessionId(*id), secret.try_into().ok()?))
}

fn for_each<R: crate::store::Record>(
    store: &Store,
    mut visit: impl FnMut(SessionId, &R),
) -> Result<(), StoreError> {
    store.for_each::<R>(|row, record| {
        let id = SessionId::from_slice(row).ok_or(StoreError::Corrupt { table: R::TABLE.name })?;
        visit(id, &record);
        Ok(())
    })
}
