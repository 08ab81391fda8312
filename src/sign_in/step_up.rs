//! Proving again who is there, before a sensitive change: password and second factor, or a passkey in place of both.

use std::time::Duration;

use super::ceremonies::{Ceremony, Credential};
use super::{Completion, SignIn, SignInError, SignedIn, Visit};
use crate::accounts::User;
use crate::audit::{Event, Kind, Outcome};
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::sessions::{Factors, Level, Principal, SessionKind};
use crate::store::CommitError;
use crate::store::clock_mark::TOLERANCE;
use crate::words::{Said, Words};

/// How long a proof counts as fresh for sensitive changes (ADM-01).
pub const FRESH_FOR: Duration = Duration::from_secs(600);

/// What proves again who is there.
#[derive(Clone, Copy, Default)]
pub struct Proofs<'a> {
    /// The password; not needed beside a passkey that makes sure who is there.
    pub password: Option<&'a SecretText>,
    /// A code, where there is a second factor.
    pub code: Option<&'a str>,
    /// What a passkey answered.
    pub passkey: Option<&'a Credential>,
}

impl SignIn {
    /// Tells whether the caller proved every factor of the account within the last ten minutes (OTP-08, PK-07).
    pub fn is_fresh(&self, principal: &Principal) -> bool {
        self.is_proof_fresh(&principal.user, principal.factors, principal.authenticated_at)
    }

    /// Tells whether `factors` are every factor of the account, proven within the last ten minutes.
    pub fn is_proof_fresh(&self, user: &User, factors: Factors, at: Timestamp) -> bool {
        let now = self.clock.now();
        // A clock that was set back cannot tell how long ago that was (FAIL-03).
        let is_recent = now.since(at) <= FRESH_FOR && at <= now.plus(TOLERANCE);
        let is_two_factor = factors.level() == Level::TwoFactor;
        let is_enough = factors.has(Factors::PASSWORD) && !user.has_second_factor();
        is_recent && (is_two_factor || is_enough)
    }

    /// Proves the password of a signed-in user again, under the same limits as a sign-in.
    pub async fn confirm_password(
        &self,
        principal: &Principal,
        password: &SecretText,
        visit: &Visit<'_>,
    ) -> Result<(), SignInError> {
        let user = principal.user.clone();
        let name = user.username.as_str().to_owned();
        self.prove_password(Some(user), &name, password, visit).await.map(|_| ())
    }

    /// Steps up: proves password and, where there is one, the second factor again; or a passkey that makes sure who is
    /// there, in place of both. A browser gets a new session in place of the old one (SES-02); a program keeps its tokens,
    /// whose session now counts as fresh.
    pub async fn step_up(
        &self,
        principal: &Principal,
        proofs: Proofs<'_>,
        visit: &Visit<'_>,
    ) -> Result<Option<SignedIn>, SignInError> {
        let result = self.try_step_up(principal, proofs, visit).await;
        if let Err(SignInError::Wrong | SignInError::WrongCode | SignInError::WrongPasskey) = &result {
            let user = &principal.user;
            let event = Event::new(Kind::StepUpFailed, Outcome::Refused).by(user.id, &user.username);
            self.audit.note(event.from(visit.ip).request(visit.request));
        }
        result
    }

    async fn try_step_up(
        &self,
        principal: &Principal,
        proofs: Proofs<'_>,
        visit: &Visit<'_>,
    ) -> Result<Option<SignedIn>, SignInError> {
        let wrong = if proofs.passkey.is_some() { SignInError::WrongPasskey } else { SignInError::WrongCode };
        let mut batch = self.store.batch();
        let mut factors = Factors::NONE;
        if let Some(passkey) = proofs.passkey {
            let ceremony = Ceremony::StepUp(principal.user.id, principal.session);
            self.refuse_suspended(&principal.user, visit)?;
            factors = self.prove_passkey(&mut batch, &principal.user, &ceremony, passkey, visit)?;
        }
        if !factors.has(Factors::PASSKEY_UV) {
            self.confirm_password(principal, proofs.password.ok_or_else(password_missing)?, visit).await?;
            factors = factors.with(Factors::PASSWORD);
        }
        let user = self.accounts.user(&principal.user.id);
        let user = user.filter(|user| user.not_before == principal.user.not_before);
        let user = user.ok_or(SignInError::NothingPending)?;
        let mut recovery_codes_left = None;
        if user.has_second_factor() && factors.level() != Level::TwoFactor {
            let code = proofs.code.unwrap_or_default();
            let (second, left) = self.prove_second_factor(&mut batch, &user, code, visit).await?;
            factors = factors.with(second);
            recovery_codes_left = left;
        }
        // A session that ended while its factors were judged stays dead (SES-08).
        self.sessions.stage_require_live(&mut batch, principal)?;
        let event = |kind| {
            let event = Event::new(kind, Outcome::Succeeded).by(user.id, &user.username);
            event.from(visit.ip).request(visit.request)
        };
        self.audit.write(&mut batch, event(Kind::StepUpSucceeded));
        if principal.kind == SessionKind::Api {
            if recovery_codes_left.is_some() {
                self.audit.write(&mut batch, event(Kind::RecoveryCodeUsed));
            }
            self.sessions.stage_step_up(&mut batch, principal.session, factors)?;
            return match self.store.commit(batch).await {
                Ok(()) => Ok(None),
                Err(CommitError::Conflict) => Err(wrong),
                Err(error) => Err(error.into()),
            };
        }
        let with_refresh = self.sessions.has_refresh(&principal.session);
        let done = Completion {
            kind: SessionKind::Web,
            in_place_of: Some(principal.session),
            factors,
            is_remembered: self.sessions.is_remembered(&principal.session),
            with_refresh,
            return_to: None,
            recovery_codes_left,
        };
        match self.complete(&user, done, batch, visit).await {
            Err(SignInError::Commit(CommitError::Conflict)) => Err(wrong),
            other => other.map(Some),
        }
    }
}

fn password_missing() -> SignInError {
    Problem::unprocessable("password", "missing_field", Said::of(Words::signin_send_proof)).into()
}
