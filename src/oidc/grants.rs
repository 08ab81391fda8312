//! Grants: what people let apps do, alive for as long as the session they were given in, or for as long as the app
//! refreshes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::Oidc;
use super::client::{Client, ClientId, ConsentMode};
use super::my_apps::LiveSignIn;
use super::records::{GrantRecord, Permission, UsedOnceRecord};
use crate::accounts::User;
use crate::audit::{Event, Kind, Outcome};
use crate::crypto::mac::sha256;
use crate::kernel::ids::{GrantId, IdMap, SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::sessions::{EndReason, EndedSession, Level, OnEnd};
use crate::store::{Batch, CommitError, Store, StoreError};

/// The most grants of one person at one app; the oldest makes room (REF-10).
const MOST_PER_USER_AND_CLIENT: usize = 20;
/// The most grants of all (RES-03).
const MOST_IN_ALL: usize = 200_000;
/// How long it is remembered that a session ended: a grant that was being written in that moment does not come back to
/// life at the next start.
const ENDED_FOR: Duration = Duration::from_secs(3600);

/// Where it is remembered that a stay ended. Not the row of a session: one that another took the place of ends alone.
fn ended_row(sid: &SessionId) -> [u8; 32] {
    sha256([b"stay ended ".as_slice(), sid.as_bytes()].concat())
}

struct Live {
    permission: Arc<Permission>,
    until: Timestamp,
    /// When the app last used it, by its tokens being renewed.
    used_at: Timestamp,
    /// Whether it outlives the session where that runs out (`offline_access`).
    is_offline: bool,
}

#[derive(Default)]
struct Index {
    grants: IdMap<GrantId, Live>,
    by_sid: IdMap<SessionId, Vec<GrantId>>,
    by_user: IdMap<UserId, Vec<GrantId>>,
    by_client: HashMap<ClientId, Vec<GrantId>>,
    /// Grants in the store that must never live: they were being written when what they stand on ended.
    given_up: Vec<GrantId>,
}

/// All live grants in memory.
pub(super) struct LiveGrants(RwLock<Index>);

impl LiveGrants {
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let mut index = Index::default();
        let mut records = Vec::new();
        store.for_each::<GrantRecord>(|row, record| {
            let id = GrantId::from_slice(row).ok_or(StoreError::Corrupt { table: "grant" })?;
            records.push((id, record));
            Ok(())
        })?;
        for (id, record) in records {
            if store.get::<UsedOnceRecord>(&ended_row(&record.permission.sid))?.is_none() {
                index.put(id, &record);
            } else {
                index.given_up.push(id);
            }
        }
        Ok(LiveGrants(RwLock::new(index)))
    }

    /// Returns what a grant covers, if it lives.
    pub(super) fn get(&self, id: &GrantId, now: Timestamp) -> Option<Arc<Permission>> {
        self.0.read().grants.get(id).filter(|live| live.until > now).map(|live| live.permission.clone())
    }

    pub(super) fn of_client(&self, client: &ClientId) -> Vec<GrantId> {
        self.0.read().by_client.get(client).cloned().unwrap_or_default()
    }

    pub(super) fn of_user_and_client(&self, user: &UserId, client: &ClientId) -> Vec<GrantId> {
        let index = self.0.read();
        let ids = index.by_user.get(user).into_iter().flatten();
        ids.filter(|id| index.grants.get(*id).is_some_and(|live| live.permission.client == *client))
            .copied()
            .collect()
    }

    /// Returns what a person lets a client do at the moment, once for each grant.
    pub(super) fn permissions_of(&self, user: &UserId, client: &ClientId) -> Vec<Arc<Permission>> {
        let index = self.0.read();
        let lives = index.by_user.get(user).into_iter().flatten().filter_map(|id| index.grants.get(id));
        lives.map(|live| &live.permission).filter(|own| own.client == *client).cloned().collect()
    }

    /// Returns the grants of a person that are alive at `now`.
    pub(super) fn of_user(&self, user: &UserId, now: Timestamp) -> Vec<LiveSignIn> {
        let index = self.0.read();
        let lives = index.by_user.get(user).into_iter().flatten().filter_map(|id| index.grants.get(id));
        lives
            .filter(|live| live.until > now)
            .map(|live| LiveSignIn {
                client: live.permission.client.clone(),
                scopes: live.permission.scopes.clone(),
                given_at: live.permission.given_at,
                used_at: live.used_at,
                is_offline: live.is_offline,
            })
            .collect()
    }

    fn all(&self) -> Vec<(GrantId, Arc<Permission>)> {
        self.0.read().grants.iter().map(|(id, live)| (*id, live.permission.clone())).collect()
    }

    /// Returns the grants of a session, each with its app and whether it is an offline one.
    fn of_sid(&self, sid: &SessionId) -> Vec<(GrantId, Arc<Permission>, bool)> {
        let index = self.0.read();
        let ids = index.by_sid.get(sid).into_iter().flatten();
        ids.filter_map(|id| index.grants.get(id).map(|live| (*id, live.permission.clone(), live.is_offline)))
            .collect()
    }

    fn put(&self, id: GrantId, record: &GrantRecord) {
        self.0.write().put(id, record);
    }

    fn remove(&self, id: &GrantId) {
        self.0.write().remove(id);
    }

    /// Lets a grant live no more whose row is in the store; the next sweep takes the row away.
    pub(super) fn give_up(&self, id: GrantId) {
        let mut index = self.0.write();
        index.remove(&id);
        index.given_up.push(id);
    }
}

impl Index {
    fn put(&mut self, id: GrantId, record: &GrantRecord) {
        let permission = &record.permission;
        let live = Live {
            permission: Arc::new(permission.clone()),
            until: record.until,
            used_at: record.refresh.as_ref().map_or(permission.given_at, |family| family.rotated_at),
            is_offline: record.refresh.is_some(),
        };
        if self.grants.insert(id, live).is_none() {
            self.by_sid.entry(permission.sid).or_default().push(id);
            self.by_user.entry(permission.user).or_default().push(id);
            self.by_client.entry(permission.client.clone()).or_default().push(id);
        }
    }

    fn remove(&mut self, id: &GrantId) {
        fn drop_from<K: std::hash::Hash + Eq, S: std::hash::BuildHasher>(
            map: &mut HashMap<K, Vec<GrantId>, S>,
            key: &K,
            id: &GrantId,
        ) {
            if let Some(ids) = map.get_mut(key) {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    map.remove(key);
                }
            }
        }
        let Some(live) = self.grants.remove(id) else { return };
        drop_from(&mut self.by_sid, &live.permission.sid, id);
        drop_from(&mut self.by_user, &live.permission.user, id);
        drop_from(&mut self.by_client, &live.permission.client, id);
    }
}

impl Oidc {
    /// Decides whether what a person gave to an app still stands (GEN-01, GEN-02, OA-15): the account is active, nothing
    /// ended its sessions since, the app admits the person, and what was proven is enough.
    pub(super) fn admit(&self, permission: &Permission, client: &Client) -> Option<Arc<User>> {
        let user = self.accounts.user(&permission.user)?;
        let given_at = permission.given_at;
        let is_alive =
            user.is_active() && given_at > user.not_before && given_at > self.sessions.not_before();
        let level = permission.factors.level();
        let falls_short =
            self.accounts.second_factor_policy().requires(user.role) && level < Level::TwoFactor;
        let is_enough = level >= client.settings.level && !falls_short;
        // An app that was removed and added again under the same name is another one.
        let is_alive = is_alive && given_at >= client.created_at;
        (is_alive && is_enough && client.id == permission.client && client.admits(&user)).then_some(user)
    }

    /// Gives up grants that nobody agrees to any more. Those that were being written at the moment when consent was taken
    /// back are dead in memory at once, but their rows wait for the next sweep, and a restart may come before it (OA-14).
    pub(super) fn give_up_unagreed(&self) -> Result<(), StoreError> {
        for (id, permission) in self.grants.all() {
            // What belongs to no client is refused anyway, and swept.
            let Some(client) = self.client(permission.client.as_str()) else { continue };
            if client.consent() != ConsentMode::Skip && !self.agrees_at_all(&permission.user, &client.id)? {
                self.grants.give_up(id);
            }
        }
        Ok(())
    }

    /// Tells whether there is room for one more grant.
    pub(super) fn has_room_for_grant(&self) -> bool {
        self.grants.0.read().grants.len() < MOST_IN_ALL
    }

    /// Adds a grant to `batch`; it lives from the moment of the commit, unless its session ended before that.
    pub(super) fn stage_grant(&self, batch: &mut Batch, id: GrantId, record: &GrantRecord) {
        batch.insert_new(id.as_bytes(), record).expire::<GrantRecord>(id.as_bytes(), record.until);
        let permission = &record.permission;
        let mut others = self.grants.of_user_and_client(&permission.user, &permission.client);
        let surplus = (others.len() + 1).saturating_sub(MOST_PER_USER_AND_CLIENT);
        others.truncate(surplus);
        for oldest in others {
            self.stage_end_grant(batch, oldest);
        }
        let (room, kept) = (self.clone(), record.clone());
        batch.after(move || {
            if room.sessions.is_signed_in(&kept.permission.user, &kept.permission.sid, room.clock.now()) {
                room.grants.put(id, &kept);
            } else {
                room.grants.give_up(id);
            }
        });
    }

    /// Adds the new state of a grant to `batch`, which must require the one before.
    pub(super) fn stage_grant_change(&self, batch: &mut Batch, id: GrantId, record: GrantRecord) {
        batch.put(id.as_bytes(), &record).expire::<GrantRecord>(id.as_bytes(), record.until);
        let room = self.clone();
        batch.after(move || {
            if room.grants.get(&id, Timestamp::ZERO).is_some() {
                room.grants.put(id, &record);
            }
        });
    }

    /// Adds the end of a grant to `batch`: its tokens are refused from the moment of the commit.
    pub(super) fn stage_end_grant(&self, batch: &mut Batch, id: GrantId) {
        batch.remove::<GrantRecord>(id.as_bytes());
        let room = self.clone();
        batch.after(move || room.grants.remove(&id));
    }

    /// Ends a grant because something that may be used once was used twice (OA-04, REF-04).
    pub(super) async fn end_reused(&self, id: GrantId, what: &'static str) -> Result<(), CommitError> {
        // From the store: a grant of this very moment is not in memory yet.
        let found = self.store.get::<GrantRecord>(id.as_bytes()).map_err(CommitError::Store)?;
        let Some(permission) = found.map(|found| found.value.permission) else { return Ok(()) };
        let mut batch = self.store.batch();
        self.stage_end_grant(&mut batch, id);
        let mut event = Event::new(Kind::AppTokenReused, Outcome::Refused)
            .on(permission.client.as_str())
            .detail("what", what);
        if let Some(user) = self.accounts.user(&permission.user) {
            event = event.on_user(user.id, &user.username);
        }
        self.audit.write(&mut batch, event);
        self.store.commit(batch).await
    }

    /// Removes the rows of grants that were written at the very moment at which what they rest on ended.
    pub(crate) async fn forget_given_up(&self) -> Result<(), CommitError> {
        let given_up = self.grants.0.read().given_up.clone();
        for chunk in given_up.chunks(200) {
            let mut batch = self.store.batch();
            for id in chunk {
                batch.remove::<GrantRecord>(id.as_bytes());
            }
            self.store.commit(batch).await?;
            self.grants.0.write().given_up.retain(|id| !chunk.contains(id));
        }
        Ok(())
    }

    /// Removes grants that are over, or whose person or app does not stand behind them any more, and tells the apps.
    pub(super) async fn sweep_grants(&self, now: Timestamp) -> Result<(), CommitError> {
        self.forget_given_up().await?;
        let mut over = Vec::new();
        for (id, live) in &self.grants.0.read().grants {
            let client = self.client(live.permission.client.as_str());
            let stands = client.is_some_and(|client| self.admit(&live.permission, &client).is_some());
            if live.until <= now || !stands {
                over.push((*id, live.permission.clone(), live.until > now));
            }
        }
        for chunk in over.chunks(200) {
            let mut batch = self.store.batch();
            for (id, permission, is_news) in chunk {
                self.stage_end_grant(&mut batch, *id);
                if *is_news {
                    self.stage_tell(&mut batch, permission);
                }
            }
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}

/// Grants end with the session they were given in, in the same commit (REF-07, SES-08). One that the app may use while
/// nobody is there outlives a session that only ran out.
impl OnEnd for Oidc {
    fn told(&self, sid: &SessionId) -> Vec<String> {
        let clients = self.grants.of_sid(sid).into_iter();
        let clients = clients.filter_map(|(_, permission, _)| self.client(permission.client.as_str()));
        let wanting = clients.filter(|client| client.settings.backchannel_logout_uri.is_some());
        wanting.map(|client| client.settings.name.clone()).collect()
    }

    fn stage(&self, batch: &mut Batch, ended: &EndedSession) {
        let mut told = Vec::new();
        for (id, permission, is_offline) in self.grants.of_sid(&ended.sid) {
            if ended.reason == EndReason::Expired && is_offline {
                continue;
            }
            self.stage_end_grant(batch, id);
            // One notice for each app, however many tokens it has.
            if !told.contains(&permission.client) {
                self.stage_tell(batch, &permission);
                told.push(permission.client.clone());
            }
        }
        if ended.reason == EndReason::Expired {
            return;
        }
        let (row, until) = (ended_row(&ended.sid), self.clock.now().plus(ENDED_FOR));
        batch.put(&row, &UsedOnceRecord { until }).expire::<UsedOnceRecord>(&row, until);
        let (room, sid) = (self.clone(), ended.sid);
        batch.after(move || {
            // What was committed after the grants were listed above.
            for (id, _, _) in room.grants.of_sid(&sid) {
                room.grants.give_up(id);
            }
        });
    }
}
