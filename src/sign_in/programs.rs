//! Passwords that programs send with every request, because they know no session. They are judged like those of people,
//! under the same limits and the same lockout, and open only accounts that a password alone opens.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{SignIn, SignInError, Visit};
use crate::accounts::User;
use crate::audit::{Event, Kind};
use crate::kernel::secret::SecretText;
use crate::limits::{Place, Rule};

/// How often it is told that a program signed in to an account from a place.
const TOLD_OF_PROGRAM: Rule = Rule::new("told-of-program", 1, Duration::from_secs(24 * 3600));
/// When to try again if nothing says when.
const A_MOMENT: Duration = Duration::from_secs(5);

/// Why a program's password opened nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramRefusal {
    /// Unknown name, wrong password, or an account that a password alone does not open. As long as the account stays
    /// what it is, this password never will.
    Wrong,
    /// The limits or the lockout turned it away, or the account changed meanwhile.
    NotNow,
    /// There is no room for one more password to be hashed, or the store does not answer.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

impl SignIn {
    /// Tells whether a password alone signs this user in.
    pub fn password_suffices(&self, user: &User) -> bool {
        user.is_active()
            && !user.has_second_factor()
            && !self.accounts.second_factor_policy().requires(user.role)
    }

    /// Tells whether sign-in to this account is suspended at the place of this visit.
    pub fn is_suspended_here(&self, user: &User, visit: &Visit<'_>) -> bool {
        if self.lockout.is_empty() {
            return false;
        }
        let subject = self.lockout.subject(Some(user.id), "");
        self.lockout.suspended_until(subject, &Place::of(visit.ip).to_bytes()).is_some()
    }

    /// Judges the name and password of a program, under the limits and the lockout of a sign-in (LIM-02, LIM-03, LIM-04).
    /// A right one clears no failures: programs come so often that a guesser would never be delayed. The user returned is
    /// as the account was before the password was looked at, and still is.
    ///
    /// # Errors
    /// [`ProgramRefusal`].
    pub async fn prove_program(
        &self,
        name: &str,
        password: &SecretText,
        visit: &Visit<'_>,
    ) -> Result<Arc<User>, ProgramRefusal> {
        let user = self.accounts.resolve(name).map_err(|error| refusal(&error.into()))?;
        let proven =
            self.prove_password(user, name, password, visit).await.map_err(|error| refusal(&error))?;
        if !self.password_suffices(&proven) {
            let event = Event::refused(Kind::ProgramRefused).on_user(proven.id, &proven.username);
            self.audit.note(event.from(visit.ip).request(visit.request));
            return Err(ProgramRefusal::Wrong);
        }
        let now = self.accounts.user(&proven.id);
        let is_same = |now: &Arc<User>| now.not_before == proven.not_before && self.password_suffices(now);
        if !now.as_ref().is_some_and(is_same) {
            return Err(ProgramRefusal::NotNow);
        }
        let place = Place::of(visit.ip).to_bytes();
        let key =
            self.limits.key(&TOLD_OF_PROGRAM, &[proven.id.as_bytes().as_slice(), place.as_slice()].concat());
        if self.limits.acquire(&TOLD_OF_PROGRAM, &key).allowed {
            let event = Event::succeeded(Kind::ProgramSignedIn).by(proven.id, &proven.username);
            let event = event.detail("device", visit.label);
            self.audit.note(event.from(visit.ip).request(visit.request));
        }
        Ok(proven)
    }
}

fn refusal(error: &SignInError) -> ProgramRefusal {
    match error {
        SignInError::Wrong => ProgramRefusal::Wrong,
        SignInError::Problem(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            ProgramRefusal::Busy { retry_after: problem.retry_after.unwrap_or(A_MOMENT) }
        }
        SignInError::Commit(error) => {
            tracing::warn!(%error, "the password of a program could not be judged");
            ProgramRefusal::Busy { retry_after: A_MOMENT }
        }
        _ => ProgramRefusal::NotNow,
    }
}
