//! Live sessions in memory: what the check of each request reads. Filled from the store at start, changed in the same
//! step as the commit that changes a session; a session that is not in here is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::forward::Derived;
use super::principal::Factors;
use super::records::{SessionKind, SessionRecord};
use crate::kernel::ids::{IdMap, SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::store::clock_mark::TOLERANCE;

const SHARDS: usize = 16;

/// One live session.
pub(super) struct Live {
    pub(super) user: UserId,
    pub(super) sid: SessionId,
    pub(super) kind: SessionKind,
    pub(super) started_at: Timestamp,
    pub(super) authenticated_at: Timestamp,
    pub(super) factors: Factors,
    pub(super) cookie_hash: Option<[u8; 32]>,
    pub(super) forward_seed: Option<[u8; 32]>,
    pub(super) derived: Derived,
    pub(super) idle_ms: u64,
    pub(super) expires_at: Timestamp,
    pub(super) ends_at: Timestamp,
    has_refresh: bool,
    last_seen: AtomicU64,
    /// What the store has as `last_seen`; the sweep writes when they drift apart.
    stored_last_seen: AtomicU64,
}

impl Live {
    fn from_record(id: SessionId, record: &SessionRecord, last_seen: Timestamp) -> Self {
        Live {
            user: record.user,
            sid: record.sid.unwrap_or(id),
            kind: record.kind,
            started_at: record.started_at,
            authenticated_at: record.authenticated_at,
            factors: record.factors,
            cookie_hash: record.cookie_hash,
            forward_seed: record.forward_seed,
            derived: Derived::default(),
            idle_ms: record.idle_ms,
            expires_at: record.expires_at,
            ends_at: record.ends_at(),
            has_refresh: record.refresh.is_some(),
            last_seen: AtomicU64::new(last_seen.as_millis()),
            stored_last_seen: AtomicU64::new(record.last_seen.as_millis()),
        }
    }

    /// Returns when the session was last used.
    pub(super) fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Slides the session; at most one write a second so that parallel requests do not fight for the cache line.
    pub(super) fn touch(&self, now: Timestamp) {
        if now.as_millis() > self.last_seen.load(Ordering::Relaxed).saturating_add(1000) {
            self.last_seen.fetch_max(now.as_millis(), Ordering::Relaxed);
        }
    }

    /// Tells whether a cookie of this session is within its idle and absolute limits (SES-07). A clock that stands
    /// before the last use cannot tell how long ago that was: a session that was idle too long must not wake (FAIL-03).
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        let last_seen = self.last_seen.load(Ordering::Relaxed);
        let idle_until = last_seen.saturating_add(self.idle_ms);
        let is_past = last_seen <= now.plus(TOLERANCE).as_millis();
        is_past && now < self.expires_at && now.as_millis() < idle_until
    }

    /// Tells whether nothing of the session can come alive again: its time is up, or it was idle too long and has no
    /// refresh token that could wake it. A program's session has no pauses.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let idle_until = self.last_seen.load(Ordering::Relaxed).saturating_add(self.idle_ms);
        let can_be_idle = self.kind == SessionKind::Web && !self.has_refresh;
        self.ends_at <= now || (can_be_idle && idle_until <= now.as_millis())
    }

    /// Tells whether the store is more than `lag_ms` behind the newest use.
    fn is_unwritten(&self, lag_ms: u64) -> bool {
        let stored = self.stored_last_seen.load(Ordering::Relaxed);
        self.last_seen.load(Ordering::Relaxed) > stored.saturating_add(lag_ms)
    }

    /// Remembers which use the store knows now.
    pub(super) fn note_written(&self, last_seen: Timestamp) {
        self.stored_last_seen.fetch_max(last_seen.as_millis(), Ordering::Relaxed);
    }
}

/// All live sessions.
pub(super) struct LiveSessions {
    shards: [RwLock<IdMap<SessionId, Arc<Live>>>; SHARDS],
    by_user: RwLock<IdMap<UserId, Vec<SessionId>>>,
    revoked: RwLock<IdMap<SessionId, Timestamp>>,
}

impl LiveSessions {
    pub(super) fn new() -> Self {
        LiveSessions {
            shards: std::array::from_fn(|_| RwLock::default()),
            by_user: RwLock::default(),
            revoked: RwLock::default(),
        }
    }

    fn shard(&self, id: &SessionId) -> &RwLock<IdMap<SessionId, Arc<Live>>> {
        let [first, ..] = id.as_bytes();
        let [shard, ..] = &self.shards;
        self.shards.get(usize::from(*first) % SHARDS).unwrap_or(shard)
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<Arc<Live>> {
        self.shard(id).read().get(id).cloned()
    }

    /// Puts the newest state; keeps the newer of the known and the recorded last use.
    pub(super) fn put(&self, id: SessionId, record: &SessionRecord) {
        let mut shard = self.shard(&id).write();
        let known = shard.get(&id).map_or(Timestamp::ZERO, |live| live.last_seen());
        let is_new =
            shard.insert(id, Arc::new(Live::from_record(id, record, record.last_seen.max(known)))).is_none();
        drop(shard);
        if is_new {
            self.by_user.write().entry(record.user).or_default().push(id);
        }
    }

    pub(super) fn remove(&self, id: &SessionId) {
        let Some(live) = self.shard(id).write().remove(id) else { return };
        let mut by_user = self.by_user.write();
        if let Some(ids) = by_user.get_mut(&live.user) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                by_user.remove(&live.user);
            }
        }
    }

    pub(super) fn of_user(&self, user: &UserId) -> Vec<SessionId> {
        self.by_user.read().get(user).cloned().unwrap_or_default()
    }

    pub(super) fn revoke(&self, id: SessionId, until: Timestamp) {
        self.revoked.write().insert(id, until);
    }

    pub(super) fn is_revoked(&self, id: &SessionId) -> bool {
        self.revoked.read().contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Returns the sessions that `is_over` picks, and of the others those whose last use the store does not know yet.
    /// Forgets revocations that have served their time.
    pub(super) fn sweep(
        &self,
        now: Timestamp,
        lag_ms: u64,
        is_over: impl Fn(&Live) -> bool,
    ) -> (Vec<SessionId>, Vec<(SessionId, Arc<Live>)>) {
        let mut over = Vec::new();
        let mut unwritten = Vec::new();
        for shard in &self.shards {
            for (id, live) in shard.read().iter() {
                if is_over(live) {
                    over.push(*id);
                } else if live.is_unwritten(lag_ms) {
                    unwritten.push((*id, live.clone()));
                }
            }
        }
        self.revoked.write().retain(|_, until| *until > now);
        (over, unwritten)
    }
}
