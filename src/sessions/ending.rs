//! How sessions end: on purpose or because their time is up, for everybody who has to know.
//!
//! Apps know a signed-in stay, not a session: a step-up or a new sign-in of the same person puts a new session in the
//! place of the old one, and the stay goes on under its `sid`. When a stay ends, [`OnEnd`] adds what follows from it to
//! the very commit that ends it.

use std::sync::Arc;
use std::time::Duration;

use super::live::Live;
use super::records::{RevokedRecord, SessionRecord};
use super::{NewSession, Sessions};
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::store::{Batch, CommitError};

/// The most live sessions of one user; the oldest makes room (REF-10).
const MOST_PER_USER: usize = 50;
/// How far the stored `last_seen` may lag behind.
const LAST_SEEN_LAG: Duration = Duration::from_secs(60);
/// How many sessions that ran out are ended in one commit.
const ENDED_AT_ONCE: usize = 50;
/// How many last uses are written in one commit.
const WRITTEN_AT_ONCE: usize = 200;

/// Why a signed-in stay is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody ended it: by signing out, by changing what it stood on, by signing in as somebody else.
    Ended,
    /// It was idle too long, or as old as it may get.
    Expired,
}

/// A signed-in stay that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// The stay, as [`super::Principal::sid`].
    pub sid: SessionId,
    /// Whose it was. The account may be gone once the commit is on disk.
    pub user: UserId,
    /// Why it is over.
    pub reason: EndReason,
}

/// What has to follow when a signed-in stay ends.
pub trait OnEnd: Send + Sync {
    /// Adds to `batch` what follows from the end of a stay; the batch ends it. Called once for a stay in a batch, also
    /// for stays of programs, which no app knows of. A batch that fails may be staged again from the start, and two
    /// requests that end a stay at the very same moment may both commit, so what is staged must bear to be there twice.
    /// Must not wait.
    fn stage(&self, batch: &mut Batch, ended: &EndedSession);

    /// Returns the names of the apps that will be told when this stay ends.
    fn told(&self, _sid: &SessionId) -> Vec<String> {
        Vec::new()
    }
}

impl Sessions {
    /// Registers what has to follow when a stay ends, beside what was registered before. At the start, before the first
    /// request.
    pub fn add_on_end(&self, hook: Arc<dyn OnEnd>) {
        self.0.on_end.write().push(hook);
    }

    /// Returns the names of the apps that will be told when the stay `sid` ends, or every stay of the user: sorted, each
    /// once.
    pub fn apps_told(&self, user: &UserId, sid: Option<&SessionId>) -> Vec<String> {
        let stays = match sid {
            Some(sid) => vec![*sid],
            None => {
                let ids = self.0.live.of_user(user).into_iter();
                ids.filter_map(|id| self.0.live.get(&id)).map(|live| live.sid).collect()
            }
        };
        let hooks = self.0.on_end.read().clone();
        let mut names: Vec<String> =
            hooks.iter().flat_map(|hook| stays.iter().flat_map(|sid| hook.told(sid))).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Tells whether a signed-in stay of the user goes on: a session of it is alive, if only by its refresh token.
    pub fn is_signed_in(&self, user: &UserId, sid: &SessionId, now: Timestamp) -> bool {
        let is_alive = |id: &SessionId, live: &Live| !live.is_over(now) && self.admit(*id, live).is_some();
        self.stay(user, sid).iter().any(|(id, live)| is_alive(id, live))
    }

    /// Returns the live sessions of a stay: usually one, more if a browser signed in twice at the same moment.
    fn stay(&self, user: &UserId, sid: &SessionId) -> Vec<(SessionId, Arc<Live>)> {
        let ids = self.0.live.of_user(user).into_iter();
        let found = ids.filter_map(|id| self.0.live.get(&id).map(|live| (id, live)));
        found.filter(|(_, live)| live.sid == *sid).collect()
    }

    /// Adds the end of a session and of its whole stay to `batch`: its cookies and tokens are refused from the moment of
    /// the commit, also after a restart (TOK-11). What the batch ends already is left alone.
    pub fn stage_end(&self, batch: &mut Batch, id: SessionId) {
        let Some(live) = self.0.live.get(&id) else {
            self.stage_drop(batch, id);
            return;
        };
        let mut has_ended = false;
        for (member, _) in self.stay(&live.user, &live.sid) {
            has_ended |= self.stage_drop(batch, member);
        }
        if has_ended {
            self.tell(batch, EndedSession { sid: live.sid, user: live.user, reason: EndReason::Ended });
        }
    }

    /// Adds the end of every session of a user except `spared` to `batch`. The stay of `spared` goes on, also if the
    /// batch has put another session in its place.
    pub fn stage_end_all(&self, batch: &mut Batch, user: &UserId, spared: Option<SessionId>) -> usize {
        let kept = spared.and_then(|id| self.0.live.get(&id)).map(|live| live.sid);
        let mut ended = 0;
        for id in self.0.live.of_user(user).into_iter().filter(|id| Some(*id) != spared) {
            let Some(live) = self.0.live.get(&id) else { continue };
            if kept == Some(live.sid) {
                self.stage_drop(batch, id);
            } else {
                self.stage_end(batch, id);
            }
            ended += 1;
        }
        ended
    }

    /// Ends the session that the new one takes the place of. Returns the `sid` of the stay that goes on, if one does.
    pub(super) fn stage_in_place_of(&self, batch: &mut Batch, new: &NewSession) -> Option<SessionId> {
        let former = new.in_place_of?;
        let live = self.0.live.get(&former)?;
        if live.user != new.user || self.admit(former, &live).is_none() {
            self.stage_end(batch, former);
            return None;
        }
        self.stage_drop(batch, former);
        Some(live.sid)
    }

    pub(super) fn stage_room_for_one_more(&self, batch: &mut Batch, user: &UserId) {
        let ids = self.0.live.of_user(user).into_iter();
        let staying = ids.filter(|id| !batch.removes::<SessionRecord>(id.as_bytes()));
        let mut by_age: Vec<_> =
            staying.filter_map(|id| self.0.live.get(&id).map(|live| (live.last_seen(), id))).collect();
        by_age.sort_unstable();
        let surplus = (by_age.len() + 1).saturating_sub(MOST_PER_USER);
        for (_, id) in by_age.into_iter().take(surplus) {
            self.stage_end(batch, id);
        }
    }

    /// Adds the end of one session to `batch`, whatever becomes of its stay. Tells whether the batch did not end it yet.
    fn stage_drop(&self, batch: &mut Batch, id: SessionId) -> bool {
        if batch.removes::<SessionRecord>(id.as_bytes()) {
            return false;
        }
        let until = self.0.clock.now().plus(self.0.lifetimes.access_token).plus(Duration::from_secs(60));
        batch.remove::<SessionRecord>(id.as_bytes());
        batch.put(id.as_bytes(), &RevokedRecord { until });
        batch.expire::<RevokedRecord>(id.as_bytes(), until);
        let sessions = self.clone();
        batch.after(move || {
            sessions.0.live.revoke(id, until);
            sessions.0.live.remove(&id);
        });
        true
    }

    fn tell(&self, batch: &mut Batch, ended: EndedSession) {
        // Cloned, so that a hook may ask anything of us.
        let hooks = self.0.on_end.read().clone();
        for hook in hooks {
            hook.stage(batch, &ended);
        }
    }

    /// Ends sessions whose time is up or whose account is gone, and writes down when live ones were last used. Run every
    /// minute.
    ///
    /// # Errors
    /// As [`crate::store::Store::commit`]; the next sweep does the rest.
    pub async fn sweep(&self) -> Result<(), CommitError> {
        let lag = u64::try_from(LAST_SEEN_LAG.as_millis()).unwrap_or(u64::MAX);
        let now = self.0.clock.now();
        let (over, unwritten) =
            self.0.live.sweep(now, lag, |live| live.is_over(now) || self.is_dead_for_good(live));
        for chunk in over.chunks(ENDED_AT_ONCE) {
            if !self.end_what_is_over(chunk, now).await? {
                // One of them was used or ended meanwhile; each of the others is over all the same.
                for id in chunk {
                    self.end_what_is_over(std::slice::from_ref(id), now).await?;
                }
            }
        }
        for chunk in unwritten.chunks(WRITTEN_AT_ONCE) {
            if !self.write_last_uses(chunk).await? {
                // One of them was refreshed or ended meanwhile.
                for one in chunk {
                    self.write_last_uses(std::slice::from_ref(one)).await?;
                }
            }
        }
        self.sweep_app_tokens(now).await?;
        while self.0.store.purge::<SessionRecord>(now, 500).await? == 500 {}
        while self.0.store.purge::<RevokedRecord>(now, 500).await? == 500 {}
        Ok(())
    }

    /// Writes down when sessions were last used, in one commit. Tells whether nothing came in between.
    async fn write_last_uses(&self, used: &[(SessionId, Arc<Live>)]) -> Result<bool, CommitError> {
        let mut batch = self.0.store.batch();
        for (id, live) in used {
            let Some(seen) = self.record(id).map_err(CommitError::Store)? else { continue };
            let mut record = seen.value.clone();
            record.last_seen = live.last_seen().max(record.last_seen);
            batch.replace(id.as_bytes(), &seen, &record);
            let live = live.clone();
            batch.after(move || live.note_written(record.last_seen));
        }
        self.commit_unless_changed(batch).await
    }

    /// Commits, and tells whether nothing came in between.
    async fn commit_unless_changed(&self, batch: Batch) -> Result<bool, CommitError> {
        match self.0.store.commit(batch).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells whether the account is gone, or everything that began when the session did was ended. A disabled account
    /// alone may be enabled again.
    fn is_dead_for_good(&self, live: &Live) -> bool {
        let user = self.0.accounts.user(&live.user);
        user.is_none_or(|user| live.started_at <= user.not_before) || live.started_at <= self.0.not_before
    }

    /// Ends sessions that are over, in one commit with what follows. Tells whether nothing came in between.
    async fn end_what_is_over(&self, ids: &[SessionId], now: Timestamp) -> Result<bool, CommitError> {
        let mut batch = self.0.store.batch();
        for id in ids {
            let Some(live) = self.0.live.get(id) else { continue };
            if let Some(seen) = self.record(id).map_err(CommitError::Store)? {
                batch.take(id.as_bytes(), &seen);
            }
            let stay = self.stay(&live.user, &live.sid);
            let goes_on = |(id, other): &(SessionId, Arc<Live>)| {
                !batch.removes::<SessionRecord>(id.as_bytes())
                    && !other.is_over(now)
                    && !self.is_dead_for_good(other)
            };
            if !stay.iter().any(goes_on) {
                let reason = if live.is_over(now) { EndReason::Expired } else { EndReason::Ended };
                self.tell(&mut batch, EndedSession { sid: live.sid, user: live.user, reason });
            }
            let (sessions, id) = (self.clone(), *id);
            batch.after(move || sessions.0.live.remove(&id));
        }
        self.commit_unless_changed(batch).await
    }
}
