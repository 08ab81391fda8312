//! App tokens in memory, found by the hash of the token: what the check of each request reads. Filled from the store at
//! start, changed in the same step as the commit that changes a token; a token that is not in here is dead.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::records::AppTokenRecord;
use crate::kernel::ids::{AppTokenId, IdMap, UserId};
use crate::kernel::secret::ct_eq;
use crate::kernel::time::Timestamp;
use crate::sessions::Factors;

/// An app token as every request sees it.
pub struct AppToken {
    /// The handle; not a secret.
    pub id: AppTokenId,
    /// Whose it is.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: Box<str>,
    /// The hosts that it opens, each `host` or `*.parent`; none: every app that its owner may open.
    pub hosts: Box<[Box<str>]>,
    /// What its owner had proven when making it.
    pub factors: Factors,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it dies by itself.
    pub expires_at: Option<Timestamp>,
    digest: [u8; 32],
    /// In milliseconds; 0 is never.
    last_used: AtomicU64,
    /// What the store has as `last_used`; the sweep writes when they drift apart.
    stored_last_used: AtomicU64,
}

impl AppToken {
    fn new(owner: UserId, id: AppTokenId, record: &AppTokenRecord) -> Self {
        let last_used = record.last_used.map_or(0, Timestamp::as_millis);
        AppToken {
            id,
            owner,
            name: record.name.as_str().into(),
            hosts: record.hosts.iter().map(|host| host.as_str().into()).collect(),
            factors: record.factors,
            created_at: record.created_at,
            expires_at: record.expires_at,
            digest: record.digest,
            last_used: AtomicU64::new(last_used),
            stored_last_used: AtomicU64::new(last_used),
        }
    }

    /// Returns when the token was last used.
    pub fn last_used(&self) -> Option<Timestamp> {
        let millis = self.last_used.load(Ordering::Relaxed);
        (millis > 0).then(|| Timestamp::from_millis(millis))
    }

    /// Remembers a use; at most one write a second, so that parallel requests do not fight for the cache line.
    pub(super) fn touch(&self, now: Timestamp) {
        if now.as_millis() > self.last_used.load(Ordering::Relaxed).saturating_add(1000) {
            self.last_used.fetch_max(now.as_millis(), Ordering::Relaxed);
        }
    }

    /// Tells whether the store does not know the newest use and its own is more than `lag` milliseconds older.
    fn is_unwritten(&self, lag: u64) -> bool {
        let used = self.last_used.load(Ordering::Relaxed);
        let stored = self.stored_last_used.load(Ordering::Relaxed);
        used > 0 && (stored == 0 || used > stored.saturating_add(lag))
    }

    /// Remembers which use the store knows now.
    pub(super) fn note_written(&self, last_used: Timestamp) {
        self.stored_last_used.fetch_max(last_used.as_millis(), Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Index {
    by_digest: HashMap<[u8; 32], Arc<AppToken>>,
    by_owner: IdMap<UserId, Vec<Arc<AppToken>>>,
}

/// All live app tokens.
#[derive(Default)]
pub(in crate::sessions) struct LiveAppTokens(RwLock<Index>);

impl LiveAppTokens {
    /// Finds a token by its hash.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Arc<AppToken>> {
        self.0.read().by_digest.get(digest).filter(|token| ct_eq(&token.digest, digest)).cloned()
    }

    pub(super) fn put(&self, owner: UserId, id: AppTokenId, record: &AppTokenRecord) {
        let token = Arc::new(AppToken::new(owner, id, record));
        let mut index = self.0.write();
        if index.by_digest.insert(record.digest, token.clone()).is_none() {
            index.by_owner.entry(owner).or_default().push(token);
        }
    }

    pub(super) fn remove(&self, owner: &UserId, id: &AppTokenId) {
        let mut index = self.0.write();
        let Some(tokens) = index.by_owner.get_mut(owner) else { return };
        let gone: Vec<_> = tokens.extract_if(.., |token| token.id == *id).collect();
        if tokens.is_empty() {
            index.by_owner.remove(owner);
        }
        for token in gone {
            index.by_digest.remove(&token.digest);
        }
    }

    pub(super) fn remove_all_of(&self, owner: &UserId) {
        let mut index = self.0.write();
        for token in index.by_owner.remove(owner).unwrap_or_default() {
            index.by_digest.remove(&token.digest);
        }
    }

    pub(super) fn of_owner(&self, owner: &UserId) -> Vec<Arc<AppToken>> {
        self.0.read().by_owner.get(owner).cloned().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.read().by_digest.len()
    }

    /// Returns the tokens that `is_over`, and of the others those whose last use is to be written.
    pub(super) fn sweep(
        &self,
        lag: u64,
        is_over: impl Fn(&AppToken) -> bool,
    ) -> (Vec<Arc<AppToken>>, Vec<Arc<AppToken>>) {
        let index = self.0.read();
        let (mut over, mut unwritten) = (Vec::new(), Vec::new());
        for token in index.by_digest.values() {
            if is_over(token) {
                over.push(token.clone());
            } else if token.is_unwritten(lag) {
                unwritten.push(token.clone());
            }
        }
        (over, unwritten)
    }
}
