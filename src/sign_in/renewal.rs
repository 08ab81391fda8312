//! What a sensitive change does to the caller's own session: a new one takes its place in the same commit (SES-02).

use std::sync::Arc;

use super::pending::PendingSignIn;
use super::{SignIn, SignInError, Visit, devices};
use crate::accounts::{Status, User};
use crate::http::{Problem, Reply};
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::sessions::{Factors, Principal, StartedSession, Successor};
use crate::store::Batch;
use crate::words::{Said, Words};

/// A session in place of the caller's own. Its secrets are good once the batch is on disk.
pub struct Renewal {
    /// The new session.
    pub started: StartedSession,
    /// The new value of the known-device cookie.
    pub device: String,
}

/// Leads to the second factor: to prove it, or to have one first.
pub fn second_factor_first(caller: &Principal) -> Reply {
    if caller.user.has_second_factor() { step_up_first("/") } else { Reply::see_other("/account/totp") }
}

/// Sends a browser to confirm who is there, and then to the path `next` of ours.
pub fn step_up_first(next: &str) -> Reply {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    Reply::see_other(&format!("/step-up?{query}"))
}

impl SignIn {
    /// Refuses a sensitive change unless the caller proved every factor within the last ten minutes (ADM-01, OTP-08).
    ///
    /// # Errors
    /// 403 `step_up_required`.
    pub fn require_fresh(&self, principal: &Principal) -> Result<(), Problem> {
        if self.is_fresh(principal) {
            return Ok(());
        }
        Err(Problem::forbidden("step_up_required", Said::of(Words::errors_step_up_first)))
    }

    /// Adds a new session in place of the caller's to `batch`. `factors` is all that has been proven, `authenticated_at`
    /// when; the batch ends the sessions begun at or before `ended`. Stages nothing if it fails.
    pub fn stage_renewal(
        &self,
        batch: &mut Batch,
        principal: &Principal,
        factors: Factors,
        authenticated_at: Timestamp,
        ended: Timestamp,
        visit: &Visit<'_>,
    ) -> Result<Renewal, Problem> {
        let successor = Successor {
            factors,
            authenticated_at,
            ended,
            label: visit.label.to_owned(),
            place: self.audit.place(visit.ip),
        };
        let started = self.sessions.stage_successor(batch, principal, successor)?;
        let device =
            devices::remember(&self.device_key, visit.device, &principal.user.id, started.started_at);
        Ok(Renewal { started, device })
    }

    /// Adds the end of everything that speaks for a user to `batch`, except what is to follow: sessions, one-time
    /// links, app tokens and, once it is on disk, waiting sign-ins (PWD-09, REF-07).
    pub fn stage_end_everything(&self, batch: &mut Batch, user: UserId) {
        self.stage_end_everything_but(batch, user, None);
        self.sessions.stage_end_app_tokens(batch, user);
    }

    /// Like [`SignIn::stage_end_everything`], but spares app tokens, and a session or the stay that goes on because the
    /// batch has put another session in its place.
    pub fn stage_end_everything_but(&self, batch: &mut Batch, user: UserId, spared: Option<SessionId>) {
        self.sessions.stage_end_all(batch, &user, spared);
        self.accounts.stage_withdraw_links(batch, user);
        let sign_in = self.clone();
        batch.after(move || sign_in.pending.forget(&user));
    }

    /// Returns the user of a waiting sign-in if what it proved still holds: the account is active, and nothing ended
    /// its sessions since (PWD-09, GEN-02).
    pub(super) fn still_waiting(&self, waiting: &PendingSignIn) -> Option<Arc<User>> {
        let user = self.accounts.user(&waiting.user)?;
        (user.is_active() && user.not_before == waiting.epoch).then_some(user)
    }

    /// Lets the commit conflict unless the account is as it was when `user` was read, before its password was proven:
    /// a password that changes in the meantime opens nothing, and a second factor that was set up or became a duty in
    /// the meantime is not left out (GEN-03, PWD-09).
    pub(super) fn stage_still_as_proven(&self, batch: &mut Batch, user: &User) -> Result<(), SignInError> {
        let seen = self.accounts.record(&user.id)?;
        let policy = self.accounts.second_factor_policy();
        let now = &seen.value;
        let is_duty_new =
            !now.has_second_factor() && policy.requires(now.role) && !policy.requires(user.role);
        let is_second_factor_new = now.has_second_factor() != user.has_second_factor();
        let has_changed = now.not_before != user.not_before || is_second_factor_new;
        if has_changed || is_duty_new || now.status != Status::Active {
            return Err(SignInError::NothingPending);
        }
        batch.require(user.id.as_bytes(), &seen);
        Ok(())
    }

    /// Returns the session that the browser held so far: a new sign-in takes its place (SES-02, SES-03). Also one that
    /// was idle too long, because its refresh token could wake it.
    pub(super) fn former(&self, visit: &Visit<'_>) -> Option<SessionId> {
        visit.session.and_then(|cookie| self.sessions.session_of_cookie(cookie))
    }

    /// Takes what the user is to be told at this sign-in (OTP-11). `is_free` is false if the batch changes the user
    /// already; the next sign-in then tells it again.
    pub(super) fn stage_tell(
        &self,
        batch: &mut Batch,
        user: &User,
        is_free: bool,
    ) -> Result<Option<Said>, SignInError> {
        let seen = self.accounts.record(&user.id)?;
        let notice = seen.value.notice.as_deref().map(crate::accounts::told::Told::said);
        if notice.is_some() && is_free {
            let mut told = seen.value.clone();
            told.notice = None;
            self.accounts.stage_change(batch, user.id, &seen, told);
        }
        Ok(notice)
    }
}
