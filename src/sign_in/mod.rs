//! The sign-in state machine, the same for pages, the web API and the token API: password, then a second factor where
//! the account has one or must have one, then a session. Also step-up, registration and one-time links.
//!
//! Every attempt passes [`SignIn::prove_password`] or [`SignIn::prove_second_factor`], which hold the limits; every
//! success ends in `complete`, whose commit consumes what was proven and grants the session in one step (GEN-03).

pub mod api;
pub mod authelia_api;
pub mod ceremonies;
mod destinations;
pub mod devices;
mod enrolling;
mod errors;
pub mod frames;
mod hops;
pub mod join_pages;
pub mod lockout;
pub mod pages;
pub mod passkeys;
pub mod pending;
mod programs;
mod proving;
pub mod registration;
mod renewal;
mod step_up;
pub mod step_up_pages;
mod suspensions;
pub mod tally;

pub use destinations::{Destination, Destinations};
pub use enrolling::Ending;
pub use errors::SignInError;
pub use programs::ProgramRefusal;
pub use renewal::{Renewal, second_factor_first, step_up_first};
pub use step_up::{FRESH_FOR, Proofs};

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;

use crate::accounts::passwords::end_of_sessions;
use crate::accounts::{Accounts, User};
use crate::audit::{Audit, Event, Kind, Outcome};
use crate::crypto::keys::MasterKey;
use crate::kernel::ids::{RequestId, SessionId, UserId};
use crate::kernel::random::Random;
use crate::kernel::secret::{SecretKey, SecretText};
use crate::kernel::time::SharedClock;
use crate::limits::{Key, Limits, Rule};
use crate::metrics::{Metrics, SignIn as SignInResult};
use crate::sessions::{Factors, NewSession, Principal, SessionKind, Sessions, StartedSession};
use crate::site::Site;
use crate::store::{Batch, CommitError, Store, StoreError};
use crate::words::Said;

use ceremonies::{Ceremony, Credential};
use lockout::Lockout;
use pending::{PendingSignIn, PendingTable, Wanted};

/// The rules that attempts are counted by.
#[derive(Clone, Debug)]
pub struct SignInRules {
    /// Attempts on one account from one place.
    pub sign_in: Rule,
    /// Failures from one place, whatever the names.
    pub place: Rule,
    /// Failures on one account from one place until it is suspended there, and for how long.
    pub suspend: Rule,
    /// Second factors of one account.
    pub totp: Rule,
    /// Second factors of one account in an hour (OTP-06).
    pub totp_hour: Rule,
    /// Registrations from one place.
    pub registration: Rule,
}

/// Who is knocking, as far as the connection tells.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// The request.
    pub request: RequestId,
    /// The browser or program as it names itself.
    pub label: &'a str,
    /// The known-device cookie.
    pub device: Option<&'a str>,
    /// The session cookie that the browser holds so far.
    pub session: Option<&'a str>,
    /// Whether the answer can tell the person what an administrator did (OTP-11); else it waits for one that can.
    pub can_tell: bool,
}

/// What was typed, and what is wanted.
pub struct Attempt<'a> {
    /// Username or e-mail address.
    pub name: &'a str,
    /// The password.
    pub password: &'a SecretText,
    /// A second factor sent along, if any.
    pub code: Option<&'a str>,
    /// Browser or program.
    pub kind: SessionKind,
    /// Whether "remember me" was chosen.
    pub is_remembered: bool,
    /// Whether a refresh token is wanted.
    pub with_refresh: bool,
    /// Where to go afterwards, already checked.
    pub return_to: Option<String>,
}

/// What comes after the password.
#[derive(Clone, Copy)]
pub enum Second<'a> {
    /// A code of an authenticator app, or a recovery code.
    Code(&'a str),
    /// What a passkey answered.
    Passkey(&'a Credential),
}

impl Second<'_> {
    fn wrong(self) -> SignInError {
        match self {
            Second::Code(_) => SignInError::WrongCode,
            Second::Passkey(_) => SignInError::WrongPasskey,
        }
    }
}

/// What an attempt came to.
pub enum Step {
    /// Signed in.
    SignedIn(Box<SignedIn>),
    /// The password was right; this token stands for it for five minutes.
    Pending {
        /// The opaque token.
        token: SecretText,
        /// What is missing.
        wanted: Wanted,
    },
}

/// A completed sign-in.
pub struct SignedIn {
    /// Who.
    pub user: Arc<User>,
    /// The new session and its secrets.
    pub started: StartedSession,
    /// The new value of the known-device cookie.
    pub device: String,
    /// Where to go.
    pub return_to: Option<String>,
    /// How many recovery codes are left, if one was just used.
    pub recovery_codes_left: Option<u8>,
    /// Something the user should be told, such as an administrator's reset (OTP-11).
    pub notice: Option<Said>,
}

/// The use-cases of signing in. Cheap to clone.
#[derive(Clone)]
pub struct SignIn(Arc<Inner>);

/// What [`SignIn`] is made of, shared by its faces in this crate.
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) site: Site,
    pub(crate) audit: Audit,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: SharedClock,
    pub(crate) random: Random,
    pub(crate) rules: SignInRules,
    pub(crate) lockout: Lockout,
    pub(crate) pending: PendingTable,
    /// How many attempts of each account and place are being judged right now.
    judged: Mutex<HashMap<Key, u32>>,
    pub(crate) registration: registration::Policy,
    /// Set once, by a room above, when everything is opened.
    destinations: RwLock<Vec<Arc<dyn Destinations>>>,
    device_key: SecretKey,
    /// Makes challenges, and knows them again.
    passkey_key: SecretKey,
    /// Makes what authenticators will know people by.
    handle_key: SecretKey,
}

/// The parts that signing in is made of.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Users.
    pub accounts: Accounts,
    /// Sessions.
    pub sessions: Sessions,
    /// The installation.
    pub site: Site,
    /// Events.
    pub audit: Audit,
    /// Counters.
    pub limits: Arc<Limits>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub random: Random,
    /// Rules.
    pub rules: SignInRules,
    /// Who may register.
    pub registration: registration::Policy,
}

impl std::ops::Deref for SignIn {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl SignIn {
    /// Reads suspensions and failures from the store.
    pub fn open(parts: Parts, master: &MasterKey) -> Result<Self, StoreError> {
        let rules = lockout::Rules {
            sign_in: parts.rules.sign_in,
            suspend: parts.rules.suspend,
            second_factor: parts.rules.totp_hour,
        };
        let (key, limits) = (master.derive("lockout"), parts.limits.clone());
        let lockout = Lockout::open(&parts.store, key, parts.clock.clone(), limits, rules)?;
        Ok(SignIn(Arc::new(Inner {
            store: parts.store,
            accounts: parts.accounts,
            sessions: parts.sessions,
            site: parts.site,
            audit: parts.audit,
            limits: parts.limits,
            metrics: parts.metrics,
            clock: parts.clock,
            random: parts.random,
            rules: parts.rules,
            lockout,
            pending: PendingTable::default(),
            judged: Mutex::default(),
            registration: parts.registration,
            destinations: RwLock::default(),
            device_key: master.derive("known device"),
            passkey_key: master.derive("passkey challenge"),
            handle_key: master.derive("passkey handle"),
        })))
    }

    /// Judges a password and, if it came along, the second factor.
    pub async fn attempt(&self, attempt: Attempt<'_>, visit: &Visit<'_>) -> Result<Step, SignInError> {
        let user = self.accounts.resolve(attempt.name)?;
        let user = self.prove_password(user, attempt.name, attempt.password, visit).await?;
        let wanted = if user.has_second_factor() {
            Wanted::SecondFactor
        } else if self.accounts.second_factor_policy().requires(user.role) {
            Wanted::Enrolment
        } else {
            let done = Completion {
                kind: attempt.kind,
                in_place_of: None,
                factors: Factors::PASSWORD,
                is_remembered: attempt.is_remembered,
                with_refresh: attempt.with_refresh,
                return_to: attempt.return_to,
                recovery_codes_left: None,
            };
            let signed_in = self.complete(&user, done, self.store.batch(), visit).await?;
            return Ok(Step::SignedIn(Box::new(signed_in)));
        };
        let now = self.clock.monotonic();
        let waiting =
            PendingSignIn::new(&user, attempt.kind, wanted, attempt.is_remembered, attempt.return_to, now);
        let token = self.pending.insert(&self.random, waiting, now);
        match (attempt.code, wanted) {
            (Some(code), Wanted::SecondFactor) => {
                let second = Second::Code(code);
                let signed_in =
                    self.finish(token.expose(), second, attempt.kind, attempt.with_refresh, visit).await?;
                Ok(Step::SignedIn(Box::new(signed_in)))
            }
            _ => {
                self.metrics.sign_in(SignInResult::SecondFactorWanted);
                Ok(Step::Pending { token, wanted })
            }
        }
    }

    /// Judges the second factor of a waiting sign-in.
    pub async fn finish(
        &self,
        token: &str,
        second: Second<'_>,
        kind: SessionKind,
        with_refresh: bool,
        visit: &Visit<'_>,
    ) -> Result<SignedIn, SignInError> {
        let now = self.clock.monotonic();
        let mut waiting = self.pending.take(token, now).ok_or(SignInError::NothingPending)?;
        if waiting.kind != kind || waiting.wanted != Wanted::SecondFactor {
            self.pending.put_back(token, waiting);
            return Err(SignInError::NothingPending);
        }
        // The account may have been disabled while its owner looked for the phone (GEN-02).
        let user = self.still_waiting(&waiting);
        let Some(user) = user else { return Err(SignInError::NothingPending) };
        let mut batch = self.store.batch();
        let proven = match second {
            Second::Code(code) => self.prove_second_factor(&mut batch, &user, code, visit).await,
            Second::Passkey(credential) => {
                let ceremony = Ceremony::SecondFactor(user.id, token);
                let proven = self.prove_passkey(&mut batch, &user, &ceremony, credential, visit);
                proven.map(|factors| (factors, None))
            }
        };
        let result = match proven {
            Ok((factors, recovery_codes_left)) => {
                let done = Completion {
                    kind,
                    in_place_of: None,
                    factors: Factors::PASSWORD.with(factors),
                    is_remembered: waiting.is_remembered,
                    with_refresh,
                    return_to: waiting.return_to.clone(),
                    recovery_codes_left,
                };
                self.complete(&user, done, batch, visit).await
            }
            Err(error) => Err(error),
        };
        match result {
            Err(SignInError::Commit(CommitError::Conflict)) => {
                // Someone used this very code a moment earlier: it is a replay, and answers like a wrong one (OTP-05).
                waiting.failures += 1;
                Err(self.put_back_or_kill(token, waiting, second.wrong()))
            }
            Err(error @ (SignInError::WrongCode | SignInError::WrongPasskey)) => {
                waiting.failures += 1;
                Err(self.put_back_or_kill(token, waiting, error))
            }
            Err(error) => Err(self.put_back_or_kill(token, waiting, error)),
            Ok(signed_in) => Ok(signed_in),
        }
    }

    fn put_back_or_kill(&self, token: &str, waiting: PendingSignIn, error: SignInError) -> SignInError {
        if waiting.failures >= pending::MOST_FAILURES {
            return SignInError::TooManyCodes;
        }
        self.pending.put_back(token, waiting);
        error
    }

    /// Grants the session: one commit with whatever `batch` consumes and with the audit event.
    async fn complete(
        &self,
        user: &Arc<User>,
        done: Completion,
        mut batch: Batch,
        visit: &Visit<'_>,
    ) -> Result<SignedIn, SignInError> {
        let is_web = done.kind == SessionKind::Web;
        let started = self.sessions.stage_start(
            &mut batch,
            NewSession {
                user: user.id,
                kind: done.kind,
                factors: done.factors,
                label: visit.label.to_owned(),
                place: self.audit.place(visit.ip),
                is_remembered: done.is_remembered,
                with_refresh: done.with_refresh,
                in_place_of: done.in_place_of.or_else(|| self.former(visit).filter(|_| is_web)),
            },
        )?;
        let event = |kind| {
            Event::new(kind, Outcome::Succeeded)
                .by(user.id, &user.username)
                .from(visit.ip)
                .request(visit.request)
        };
        let amr = done.factors.amr().join(" ");
        self.audit.write(&mut batch, event(Kind::SignInSucceeded).detail("factors", amr));
        if done.recovery_codes_left.is_some() {
            self.audit.write(&mut batch, event(Kind::RecoveryCodeUsed));
        }
        let known = visit
            .device
            .and_then(|cookie| devices::proves(&self.device_key, cookie, &user.id, user.not_before));
        if known.is_none() && is_web {
            self.audit.write(&mut batch, event(Kind::NewDevice).detail("device", visit.label));
        }
        let notice =
            self.stage_tell(&mut batch, user, visit.can_tell && done.recovery_codes_left.is_none())?;
        self.stage_still_as_proven(&mut batch, user)?;
        self.store.commit(batch).await?;
        self.forget_failures(user, visit);
        self.metrics.sign_in(SignInResult::Succeeded);
        let device = devices::remember(&self.device_key, visit.device, &user.id, started.started_at);
        let (return_to, recovery_codes_left) = (done.return_to, done.recovery_codes_left);
        Ok(SignedIn { user: user.clone(), started, device, return_to, recovery_codes_left, notice })
    }

    /// Signs the session out: it is dead on every path once this returns (SES-08).
    pub async fn sign_out(&self, principal: &Principal, visit: &Visit<'_>) -> Result<(), CommitError> {
        let mut batch = self.store.batch();
        self.sessions.stage_end(&mut batch, principal.session);
        let user = &principal.user;
        let event = Event::new(Kind::SessionEnded, Outcome::Succeeded).by(user.id, &user.username);
        self.audit.write(&mut batch, event.from(visit.ip).request(visit.request));
        self.store.commit(batch).await
    }

    /// Signs the user out everywhere by moving the moment before which sessions are dead (SES-09).
    pub async fn sign_out_everywhere(
        &self,
        principal: &Principal,
        visit: &Visit<'_>,
    ) -> Result<(), SignInError> {
        let user = principal.user.id;
        self.accounts
            .change(
                user,
                |record| {
                    record.not_before = end_of_sessions(record.not_before, self.clock.now());
                    Ok(())
                },
                |batch, record| {
                    self.sessions.stage_end_all(batch, &user, None);
                    let event =
                        Event::new(Kind::AllSessionsEnded, Outcome::Succeeded).by(user, &record.username);
                    self.audit.write(batch, event.from(visit.ip).request(visit.request));
                },
            )
            .await
            .map_err(SignInError::from)
    }

    /// The suspensions, for administrators and the CLI.
    pub fn lockout(&self) -> &Lockout {
        &self.lockout
    }

    /// Returns the user of a waiting sign-in, to show its page.
    pub fn waiting(&self, token: &str) -> Option<(PendingSignIn, Arc<User>)> {
        let waiting = self.pending.peek(token, self.clock.monotonic())?;
        let user = self.still_waiting(&waiting)?;
        Some((waiting, user))
    }

    /// Drops what has expired. Run every minute.
    pub async fn sweep(&self) -> Result<(), CommitError> {
        self.pending.sweep(self.clock.monotonic());
        self.lockout.sweep(&self.store).await?;
        self.save().await
    }

    /// Writes down the failures that suspend nobody yet. Run every minute and before a clean stop (LIM-09).
    pub async fn save(&self) -> Result<(), CommitError> {
        self.lockout.save(&self.store).await
    }

    /// Tells whether this is the id of an active user; for paths that carry an id.
    pub fn active_user(&self, id: &UserId) -> Option<Arc<User>> {
        self.accounts.user(id).filter(|user| user.is_active())
    }
}

struct Completion {
    kind: SessionKind,
    /// The session that is stepped up; a sign-in takes the place of the one whose cookie the browser holds.
    in_place_of: Option<SessionId>,
    factors: Factors,
    is_remembered: bool,
    with_refresh: bool,
    return_to: Option<String>,
    recovery_codes_left: Option<u8>,
}
