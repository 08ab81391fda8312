//! The second factor that a sign-in demands before it goes on: an authenticator app or a passkey, set up on the way.

use std::sync::Arc;

use parking_lot::Mutex;

use super::ceremonies::{Ceremony, Credential};
use super::pending::{PendingSignIn, Wanted};
use super::{Completion, SignIn, SignInError, SignedIn, Visit};
use crate::accounts::User;
use crate::accounts::enrolment::Asker;
use crate::accounts::passkeys::parse_name;
use crate::accounts::records::{Status, UserRecord};
use crate::accounts::users::AccountError;
use crate::audit::{Event, Kind, Outcome};
use crate::kernel::time::Timestamp;
use crate::sessions::labels::device_name;
use crate::sessions::{Factors, SessionKind};
use crate::store::Batch;
use crate::words::Words;

/// How a sign-in with a new second factor is to end.
#[derive(Clone, Copy)]
pub struct Ending {
    /// Browser or program.
    pub kind: SessionKind,
    /// Whether a refresh token is wanted.
    pub with_refresh: bool,
}

impl SignIn {
    /// Confirms the authenticator app that a waiting sign-in demands, and signs in. Returns the new recovery codes too; they
    /// are there, and nobody has seen them, even if no session could begin.
    pub async fn finish_enrolment(
        &self,
        token: &str,
        code: &str,
        ending: Ending,
        visit: &Visit<'_>,
    ) -> Result<(Option<SignedIn>, Vec<String>), SignInError> {
        let (mut waiting, user) = self.take_enrolling(token, ending.kind)?;
        let asker = Asker::waiting_sign_in(token).as_of(waiting.epoch);
        let moved = Mutex::new(user.not_before);
        let also = |batch: &mut Batch, record: &UserRecord| {
            *moved.lock() = record.not_before;
            self.stage_enrolled(batch, &user, Kind::TotpEnrolled, visit);
        };
        let codes = match self.accounts.confirm_totp(user.id, asker, code, also).await {
            Ok(Some(codes)) => codes,
            Ok(None) => {
                self.audit.note(self.refusal(Kind::SecondFactorFailed, Some(&user), visit));
                waiting.failures += 1;
                return Err(self.put_back_or_kill(token, waiting, SignInError::WrongCode));
            }
            Err(error) => return Err(self.put_back_or_kill(token, waiting, error.into())),
        };
        let user = User { has_totp: true, ..as_changed(&user, moved.into_inner()) };
        let factors = Factors::PASSWORD.with(Factors::TOTP);
        Ok((self.go_on(user, waiting, factors, ending, visit).await, codes))
    }

    /// Adds the passkey that a waiting sign-in demands, named after the device, and signs in; the rest is as with an
    /// authenticator app.
    pub async fn finish_passkey_enrolment(
        &self,
        token: &str,
        credential: &Credential,
        ending: Ending,
        visit: &Visit<'_>,
    ) -> Result<(Option<SignedIn>, Vec<String>), SignInError> {
        let (mut waiting, user) = self.take_enrolling(token, ending.kind)?;
        let name =
            parse_name(&device_name(visit.label, Words::ENGLISH)).unwrap_or_else(|_| "Passkey".to_owned());
        let Ok(judged) = self.judge_new_passkey(&Ceremony::Enrol(user.id, token), credential, &name) else {
            waiting.failures += 1;
            return Err(self.put_back_or_kill(token, waiting, SignInError::WrongPasskey));
        };
        let epoch = waiting.epoch;
        let admit = |record: &UserRecord| {
            if record.has_second_factor() {
                return Err(AccountError::EnrolledElsewhere);
            }
            let is_as_proven = record.not_before == epoch && record.status == Status::Active;
            if is_as_proven { Ok(()) } else { Err(AccountError::ProofIsVoid) }
        };
        let moved = Mutex::new(user.not_before);
        let also = |batch: &mut Batch, record: &UserRecord| {
            *moved.lock() = record.not_before;
            judged.stage(batch);
            self.stage_enrolled(batch, &user, Kind::PasskeyAdded, visit);
        };
        let codes = match self.accounts.add_passkey(user.id, &judged.new, admit, also).await {
            Ok(codes) => codes,
            Err(AccountError::PasskeyKnown) => {
                waiting.failures += 1;
                return Err(self.put_back_or_kill(token, waiting, AccountError::PasskeyKnown.into()));
            }
            Err(error) => return Err(self.put_back_or_kill(token, waiting, error.into())),
        };
        let user = User { passkeys: 1, ..as_changed(&user, moved.into_inner()) };
        let factors = Factors::PASSWORD.with(judged.factors());
        Ok((self.go_on(user, waiting, factors, ending, visit).await, codes))
    }

    fn take_enrolling(
        &self,
        token: &str,
        kind: SessionKind,
    ) -> Result<(PendingSignIn, Arc<User>), SignInError> {
        let now = self.clock.monotonic();
        let waiting = self.pending.take(token, now).ok_or(SignInError::NothingPending)?;
        if waiting.kind != kind || waiting.wanted != Wanted::Enrolment {
            self.pending.put_back(token, waiting);
            return Err(SignInError::NothingPending);
        }
        let user = self.still_waiting(&waiting).ok_or(SignInError::NothingPending)?;
        if user.has_second_factor() {
            return Err(SignInError::EnrolledElsewhere);
        }
        Ok((waiting, user))
    }

    fn stage_enrolled(&self, batch: &mut Batch, user: &User, kind: Kind, visit: &Visit<'_>) {
        self.stage_end_everything(batch, user.id);
        let event = Event::new(kind, Outcome::Succeeded).by(user.id, &user.username);
        self.audit.write(batch, event.from(visit.ip).request(visit.request));
    }

    /// Begins the session. The factor is on disk already, so a refusal is no reason to keep its recovery codes back.
    async fn go_on(
        &self,
        user: User,
        waiting: PendingSignIn,
        factors: Factors,
        ending: Ending,
        visit: &Visit<'_>,
    ) -> Option<SignedIn> {
        let done = Completion {
            kind: ending.kind,
            in_place_of: None,
            factors,
            is_remembered: waiting.is_remembered,
            with_refresh: ending.with_refresh,
            return_to: waiting.return_to,
            recovery_codes_left: None,
        };
        let signed_in = self.complete(&Arc::new(user), done, self.store.batch(), visit).await;
        signed_in
            .inspect_err(|error| {
                tracing::warn!(?error, "no session could begin after a second factor was set up")
            })
            .ok()
    }
}

/// Returns the user as they were first read and then changed by the enrolment alone, so that the commit of the session
/// still sees whether anything else ended it meanwhile.
fn as_changed(user: &User, not_before: Timestamp) -> User {
    User { not_before, ..user.clone() }
}
