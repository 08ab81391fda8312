//! Proving a password or a second factor, under every limit. Slots are reserved before anything is judged and given back
//! when it was right, so parallel guesses do not slip past (LIM-03).

use std::sync::Arc;
use std::time::Duration;

use super::ceremonies::{Ceremony, Credential};
use super::lockout::{Judged, NotNow, Subject};
use super::{SignIn, SignInError, SignInResult, Visit, devices};
use crate::accounts::User;
use crate::accounts::passwords::{PasswordFault, PasswordProof};
use crate::accounts::totp::SecondFactor;
use crate::audit::{Event, Kind, Outcome};
use crate::crypto::password::Ticket;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::limits::{Key, Place, PlaceReservation, Reservation, Rule, Verdict};
use crate::sessions::Factors;
use crate::store::Batch;
use crate::words::{Said, Words};

/// How often an attempt asks whether others are done, and how long it waits in between.
const TURNS: u32 = 100;
const TURN: Duration = Duration::from_millis(50);

/// The longest password that is looked at, in bytes (PWD-02).
const LONGEST_PASSWORD: usize = 1024;

/// How often it is told that attempts on an account from one place are turned away.
const TOLD: Rule = Rule::new("told", 1, Duration::from_secs(60));

/// What stands for an attempt while it is judged: the counters it reserved.
struct Reserved {
    slot: Reservation,
    place_slot: PlaceReservation,
    _turn: Turn,
    _judged: Option<Judged>,
}

/// An attempt that is being judged; it ends when this is dropped, also if the client goes away meanwhile.
struct Turn {
    sign_in: SignIn,
    key: Key,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut judged = self.sign_in.judged.lock();
        if let Some(count) = judged.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                judged.remove(&self.key);
            }
        }
    }
}

/// What the attempts of one account from one place (or one known device) are counted under.
struct Scope {
    subject: Subject,
    place: Vec<u8>,
    is_known_device: bool,
}

impl SignIn {
    /// Judges a password under all limits. The counters are reserved before the hash runs, so that parallel guesses
    /// do not slip past them (LIM-03), and given back when the password is right.
    pub(super) async fn prove_password(
        &self,
        user: Option<Arc<User>>,
        name: &str,
        password: &SecretText,
        visit: &Visit<'_>,
    ) -> Result<Arc<User>, SignInError> {
        // No account can have such a password, so this tells nothing; and it is never hashed (PWD-02).
        if password.expose().len() > LONGEST_PASSWORD {
            return Err(
                Problem::bad_request("password_too_long", Said::of(Words::errors_password_long)).into()
            );
        }
        let scope = self.scope(user.as_deref(), name, visit);
        let reserved = match self.reserve(&scope, visit).await {
            Ok(reserved) => reserved,
            Err(refused) => {
                self.note_turned_away(user.as_deref(), &scope, visit);
                return Err(refused);
            }
        };
        let ticket = Ticket {
            place: self.limits.place_hash(Place::of(visit.ip)),
            is_known_device: scope.is_known_device,
        };
        let id = user.as_ref().map(|user| user.id);
        let proof = match self.accounts.verify_password(id, name, password, ticket).await {
            Ok(proof) => proof,
            Err(fault) => {
                if matches!(fault, PasswordFault::Busy(_)) {
                    self.metrics.sign_in(SignInResult::Busy);
                }
                self.give_back(&scope, reserved);
                return Err(fault.into());
            }
        };
        match (proof, user) {
            (PasswordProof::Correct { outdated }, Some(user)) if user.is_active() => {
                self.give_back(&scope, reserved);
                if let Some(outdated) = outdated {
                    self.accounts.rehash_password(user.id, password, outdated, ticket).await;
                }
                Ok(user)
            }
            (_, user) => Err(self.refuse_password(user.as_deref(), &scope, visit).await),
        }
    }

    fn scope(&self, user: Option<&User>, name: &str, visit: &Visit<'_>) -> Scope {
        let device = user
            .zip(visit.device)
            .and_then(|(user, cookie)| devices::proves(&self.device_key, cookie, &user.id, user.not_before));
        let place = match device {
            Some(device) => [b"device".as_slice(), &device].concat(),
            None => Place::of(visit.ip).to_bytes().to_vec(),
        };
        let subject = self.lockout.subject(user.map(|user| user.id), name);
        Scope { subject, place, is_known_device: device.is_some() }
    }

    /// Tells that an attempt was turned away, once a minute for an account and place: a flood must not fill the log
    /// (AUD-01, AUD-06).
    fn note_turned_away(&self, user: Option<&User>, scope: &Scope, visit: &Visit<'_>) {
        let key = self.pair_key(&TOLD, scope);
        if self.limits.peek(&TOLD, &key).allowed && self.limits.record(&TOLD, &key).allowed {
            self.audit.note(self.refusal(Kind::SignInLimited, user, visit));
        }
    }

    async fn reserve(&self, scope: &Scope, visit: &Visit<'_>) -> Result<Reserved, SignInError> {
        if let Some(until) = self.lockout.suspended_until(scope.subject, &scope.place) {
            self.metrics.sign_in(SignInResult::Suspended);
            return Err(SignInError::Suspended { until, now: self.clock.now() });
        }
        if !scope.is_known_device
            && let Some(wait) = self.lockout.delay(scope.subject)
        {
            return Err(self.delayed(wait));
        }
        let rule = &self.rules.sign_in;
        let key = self.pair_key(rule, scope);
        let (verdict, turn) = self.acquire_in_turn(rule, key).await;
        let Some(turn) = turn else { return Err(self.limited(rule, verdict)) };
        let judged = match self.begin_in_turn(scope).await {
            Ok(judged) => judged,
            Err(refused) => {
                self.limits.release(rule, &key, verdict.reservation);
                return Err(refused);
            }
        };
        let place = self.limits.acquire_place(&self.rules.place, visit.ip, b"");
        if !place.verdict.allowed {
            self.limits.release(rule, &key, verdict.reservation);
            return Err(self.limited(&self.rules.place, place.verdict));
        }
        Ok(Reserved {
            slot: verdict.reservation,
            place_slot: place.reservation,
            _turn: turn,
            _judged: judged,
        })
    }

    /// Reserves a slot. If all are taken by attempts still being judged, waits for them: many right passwords at once
    /// all get in, and many wrong ones still hash no more often than the limit says (LIM-03).
    async fn acquire_in_turn(&self, rule: &Rule, key: Key) -> (Verdict, Option<Turn>) {
        for _ in 0..TURNS {
            let verdict = self.limits.acquire(rule, &key);
            {
                let mut judged = self.judged.lock();
                if verdict.allowed {
                    *judged.entry(key).or_insert(0) += 1;
                    return (verdict, Some(Turn { sign_in: self.clone(), key }));
                }
                if !judged.contains_key(&key) {
                    return (verdict, None);
                }
            }
            tokio::time::sleep(TURN).await;
        }
        (self.limits.peek(rule, &key), None)
    }

    /// Lets an attempt from an unknown device be judged, when those are done that may earn the account a delay.
    async fn begin_in_turn(&self, scope: &Scope) -> Result<Option<Judged>, SignInError> {
        if scope.is_known_device {
            return Ok(None);
        }
        for _ in 0..TURNS {
            match self.lockout.begin(scope.subject) {
                Ok(judged) => return Ok(Some(judged)),
                Err(NotNow::Delayed(wait)) => return Err(self.delayed(wait)),
                Err(NotNow::Busy) => tokio::time::sleep(TURN).await,
            }
        }
        Err(self.delayed(TURN * TURNS))
    }

    fn delayed(&self, wait: Duration) -> SignInError {
        self.metrics.sign_in(SignInResult::Limited);
        SignInError::Delayed { wait }
    }

    pub(super) fn limited(&self, rule: &Rule, verdict: Verdict) -> SignInError {
        self.metrics.sign_in(SignInResult::Limited);
        self.metrics.rate_limited(rule.name);
        SignInError::Limited { policy: rule.name, verdict }
    }

    fn pair_key(&self, rule: &Rule, scope: &Scope) -> Key {
        self.limits.key(rule, &self.lockout.handle(scope.subject, &scope.place))
    }

    fn give_back(&self, scope: &Scope, reserved: Reserved) {
        let rule = &self.rules.sign_in;
        let key = self.pair_key(rule, scope);
        self.limits.release(rule, &key, reserved.slot);
        self.limits.release_place(&self.rules.place, reserved.place_slot);
    }

    /// A wrong password: the reserved slots stay taken, and the fifth from one place suspends the account there.
    async fn refuse_password(&self, user: Option<&User>, scope: &Scope, visit: &Visit<'_>) -> SignInError {
        self.metrics.sign_in(SignInResult::Refused);
        if self.lockout.note_failure(scope.subject, &scope.place) {
            self.suspend(user, scope, visit).await;
        }
        self.audit.note(self.refusal(Kind::SignInFailed, user, visit));
        SignInError::Wrong
    }

    pub(super) fn refusal(&self, kind: Kind, user: Option<&User>, visit: &Visit<'_>) -> Event {
        let event = Event::new(kind, Outcome::Refused).from(visit.ip).request(visit.request);
        match user {
            Some(user) => event.on_user(user.id, &user.username),
            None => event,
        }
    }

    async fn suspend(&self, user: Option<&User>, scope: &Scope, visit: &Visit<'_>) {
        let until = self.clock.now().plus(self.rules.suspend.window);
        let mut batch = self.store.batch();
        let place_name = self.audit.place(visit.ip);
        let id = user.map(|user| user.id);
        self.lockout.stage_suspend(&mut batch, scope.subject, id, &scope.place, place_name, until);
        self.audit.write(&mut batch, self.refusal(Kind::SignInSuspended, user, visit));
        self.metrics.locked_out();
        if let Err(error) = self.store.commit(batch).await {
            // The counter in memory still refuses (FAIL-02): a full disk does not open the door.
            tracing::warn!(%error, "a suspension could not be written down");
            self.lockout.suspend_in_memory(scope.subject, id, &scope.place, until);
        }
    }

    /// Judges a second factor under its limits and stages its consumption in `batch`.
    pub(super) async fn prove_second_factor(
        &self,
        batch: &mut Batch,
        user: &User,
        code: &str,
        visit: &Visit<'_>,
    ) -> Result<(Factors, Option<u8>), SignInError> {
        let mut slots = Vec::with_capacity(2);
        let of_the_hour = self.lockout.second_factor_key(user.id);
        let of_minutes = self.limits.key(&self.rules.totp, user.id.as_bytes());
        for (rule, key) in [(&self.rules.totp, of_minutes), (&self.rules.totp_hour, of_the_hour)] {
            let verdict = self.limits.acquire(rule, &key);
            if !verdict.allowed {
                self.note_turned_away(Some(user), &self.scope(Some(user), "", visit), visit);
                return Err(self.limited(rule, verdict));
            }
            slots.push((rule, key, verdict.reservation));
        }
        match self.accounts.stage_second_factor(batch, user.id, code)? {
            Some(factor) => {
                for (rule, key, slot) in slots {
                    self.limits.release(rule, &key, slot);
                }
                Ok(match factor {
                    SecondFactor::Totp => (Factors::TOTP, None),
                    SecondFactor::Recovery { left } => (Factors::RECOVERY, Some(left)),
                })
            }
            None => {
                self.metrics.sign_in(SignInResult::SecondFactorRefused);
                self.lockout.note_second_factor(user.id);
                self.accounts.note_second_factor_failure(user.id).await?;
                self.audit.note(self.refusal(Kind::SecondFactorFailed, Some(user), visit));
                Err(SignInError::WrongCode)
            }
        }
    }

    /// Judges a passkey of this user beside what was proven already, and stages its consumption in `batch`. Signatures
    /// cannot be guessed, so only the place is counted.
    pub(super) fn prove_passkey(
        &self,
        batch: &mut Batch,
        user: &User,
        ceremony: &Ceremony<'_>,
        credential: &Credential,
        visit: &Visit<'_>,
    ) -> Result<Factors, SignInError> {
        let place = self.limits.acquire_place(&self.rules.place, visit.ip, b"");
        if !place.verdict.allowed {
            return Err(self.limited(&self.rules.place, place.verdict));
        }
        match self.stage_passkey(batch, ceremony, credential, visit) {
            Ok(proven) => {
                self.limits.release_place(&self.rules.place, place.reservation);
                Ok(proven.factors)
            }
            Err(error) => {
                self.metrics.sign_in(SignInResult::SecondFactorRefused);
                let event = self.refusal(Kind::SecondFactorFailed, Some(user), visit);
                self.audit.note(event.detail("by", "passkey"));
                Err(error)
            }
        }
    }

    /// Refuses an account that is suspended where this visit comes from.
    pub(super) fn refuse_suspended(&self, user: &User, visit: &Visit<'_>) -> Result<(), SignInError> {
        let scope = self.scope(Some(user), "", visit);
        match self.lockout.suspended_until(scope.subject, &scope.place) {
            Some(until) => {
                self.metrics.sign_in(SignInResult::Suspended);
                Err(SignInError::Suspended { until, now: self.clock.now() })
            }
            None => Ok(()),
        }
    }

    /// A complete sign-in clears the counters of this account for this place (LIM-11).
    pub(super) fn forget_failures(&self, user: &User, visit: &Visit<'_>) {
        let scope = self.scope(Some(user), "", visit);
        self.lockout.forgive(scope.subject, &scope.place);
        self.lockout.forgive_second_factor(user.id);
        self.limits.clear(&self.rules.totp, &self.limits.key(&self.rules.totp, user.id.as_bytes()));
    }
}
