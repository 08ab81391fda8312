//! A session that takes the place of another, in the commit of a sensitive change (SES-02).

use super::records::SessionRecord;
use super::{Factors, NewSession, Principal, Sessions, StartedSession};
use crate::http::Problem;
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::store::{Batch, Versioned};
use crate::words::{Said, Words};

/// What a session that takes the place of the caller's is made of.
pub struct Successor {
    /// What has been proven, before and now.
    pub factors: Factors,
    /// When it was proven; a renewal makes nothing look fresher than it is (OTP-08).
    pub authenticated_at: Timestamp,
    /// The batch ends the sessions begun at or before this moment.
    pub ended: Timestamp,
    /// The browser or program as it names itself.
    pub label: String,
    /// A pseudonym of the address.
    pub place: String,
}

impl Sessions {
    /// Adds the end of the caller's session and the start of the one in its place to `batch`. "Remember me" and the
    /// refresh token carry over, and the signed-in stay goes on. The commit conflicts if the session ends meanwhile: what was under way when somebody
    /// signed out everywhere must not bring a session back (SES-08, SES-09). Stages nothing if it fails.
    ///
    /// # Errors
    /// 401 `not_signed_in` if the session has ended; 503 if there is no room or the clock is wrong.
    pub fn stage_successor(
        &self,
        batch: &mut Batch,
        principal: &Principal,
        successor: Successor,
    ) -> Result<StartedSession, Problem> {
        let live = self.0.live.get(&principal.session);
        let is_alive = live.is_some_and(|live| self.admit(principal.session, &live).is_some());
        let before = self.carried(&principal.session)?.filter(|_| is_alive);
        let before = before.ok_or_else(|| {
            Problem::unauthorized("not_signed_in", Said::of(Words::errors_signed_out_meanwhile))
        })?;
        let new = NewSession {
            user: principal.user.id,
            kind: principal.kind,
            factors: successor.factors,
            label: successor.label,
            place: successor.place,
            is_remembered: before.value.is_remembered,
            with_refresh: before.value.refresh.is_some(),
            in_place_of: Some(principal.session),
        };
        let authenticated_at = Some(successor.authenticated_at);
        let started = self.stage_start_after(batch, new, successor.ended, authenticated_at)?;
        batch.require(principal.session.as_bytes(), &before);
        Ok(started)
    }

    /// Tells whether a session has a refresh token.
    pub fn has_refresh(&self, id: &SessionId) -> bool {
        self.carried(id).ok().flatten().is_some_and(|found| found.value.refresh.is_some())
    }

    fn carried(&self, id: &SessionId) -> Result<Option<Versioned<SessionRecord>>, Problem> {
        Ok(self.record(id)?)
    }

    /// Returns when a live session of the user was last used.
    pub fn last_seen(&self, user: &UserId) -> Option<Timestamp> {
        let ids = self.0.live.of_user(user);
        ids.iter().filter_map(|id| self.0.live.get(id).map(|live| live.last_seen())).max()
    }
}
