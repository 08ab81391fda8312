//! What a sensitive change does to the caller's own session: a new one takes its place in the same commit (SES-02).

use super::{SignIn, Visit, devices};
use crate::http::{Problem, Reply};
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::sessions::{Factors, Principal, StartedSession, Successor};
use crate::store::Batch;

/// A session in place of the caller's own. Its secrets are good once the batch is on disk.
pub struct Renewal {
    /// The new session.
    pub started: StartedSession,
    /// The new value of the known-device cookie.
    pub device: String,
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
        Err(Problem::forbidden(
            "step_up_required",
            "Confirm who you are first: POST your password, and your code if you have one, to /api/v1/auth/step-up. \
             Then send this again within ten minutes.",
        ))
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
    /// links and, once it is on disk, waiting sign-ins (PWD-09).
    pub fn stage_end_everything(&self, batch: &mut Batch, user: UserId) {
        self.sessions.stage_end_all(batch, &user, None);
        self.accounts.stage_withdraw_links(batch, user);
        let sign_in = self.clone();
        batch.after(move || sign_in.pending.forget(&user));
    }
}
