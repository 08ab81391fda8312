//! Answers that take long to send, and the power of who asked for them.

use super::records::SessionKind;
use super::{Principal, Sessions};
use crate::http::{Problem, Reply};
use crate::kernel::ids::SessionId;
use crate::words::{Said, Words};

impl Sessions {
    /// Sends `reply` only as long as the administrator who asked for it is one, and signed in: what is on its way when
    /// that ends is broken off (GEN-02).
    ///
    /// # Errors
    /// 401 `not_signed_in` if that is over already.
    pub fn only_for_admin(&self, caller: &Principal, reply: Reply) -> Result<Reply, Problem> {
        let (sessions, session) = (self.clone(), caller.session);
        let check = move || {
            let is_admin = sessions.still(&session).is_some_and(|caller| caller.user.role.is_admin());
            let gone = || Problem::unauthorized("not_signed_in", Said::of(Words::errors_sign_in_first));
            is_admin.then_some(()).ok_or_else(gone)
        };
        check()?;
        Ok(reply.as_long_as(check))
    }

    /// Returns who a session speaks for now; `None` once it speaks for nobody.
    fn still(&self, id: &SessionId) -> Option<Principal> {
        let (now, live) = (self.0.clock.now(), self.0.live.get(id)?);
        let is_alive = match live.kind {
            SessionKind::Web => live.is_fresh(now),
            SessionKind::Api => !self.0.live.is_revoked(id) && live.ends_at > now,
        };
        if is_alive { self.admit(*id, &live) } else { None }
    }
}
