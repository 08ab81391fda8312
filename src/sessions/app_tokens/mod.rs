//! App tokens: long-lived secrets that people give to programs which cannot follow a redirect, so that reverse proxies
//! let them pass. They open apps behind forward-auth and nothing of Doorward itself.
//!
//! A token is as alive as its owner: it ends with whatever ends everything that speaks for a person (REF-07), in the same
//! commit, and is refused while the account is not active (GEN-02).

pub(super) mod live;
pub mod records;

use crate::words::{Said, Words, said};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

pub use live::AppToken;

use super::{Factors, Sessions};
use crate::accounts::User;
use crate::crypto::mac::sha256;
use crate::http::Problem;
use crate::kernel::ids::{AppTokenId, UserId};
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::store::clock_mark::TOLERANCE;
use crate::store::{Batch, CommitError, Store, StoreError};

use live::LiveAppTokens;
use records::{AppTokenRecord, AppTokenRow};

/// What every app token begins with, so that people and scanners of leaks know one when they see it.
pub const PREFIX: &str = "dwa_";
/// How many characters of base32 follow: 256 bits.
const SECRET_LENGTH: usize = 52;
/// The most tokens of one person.
pub const MOST_PER_USER: usize = 100;
/// The most tokens of all (RES-03).
const MOST_IN_ALL: usize = 100_000;
/// How far the stored last use may lag.
const LAST_USED_LAG: Duration = Duration::from_secs(3600);
/// How long an expired token is still listed, so that its owner sees why a program stopped working.
const SHOWN_AFTER: Duration = Duration::from_secs(7 * 86_400);
/// The most rows of one commit.
const MOST_IN_A_BATCH: usize = 200;

/// What a new app token is made of. Everything has been checked.
pub struct NewAppToken {
    /// Whose it is.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The hosts that it opens, each `host` or `*.parent`; none: every app that its owner may open.
    pub hosts: Vec<String>,
    /// What its owner has proven.
    pub factors: Factors,
    /// When it dies by itself.
    pub expires_at: Option<Timestamp>,
}

/// A new app token, shown once.
pub struct MadeAppToken {
    /// The handle.
    pub id: AppTokenId,
    /// The token itself.
    pub token: SecretText,
}

/// Whom a good app token speaks for.
pub struct AppTokenCaller {
    /// The owner as the directory has them now.
    pub user: Arc<User>,
    /// The token.
    pub token: Arc<AppToken>,
}

/// Reads all tokens from the store.
pub(super) fn load(store: &Store) -> Result<LiveAppTokens, StoreError> {
    let tokens = LiveAppTokens::default();
    let damaged = StoreError::Corrupt { table: "app_token" };
    store.for_each::<AppTokenRow>(|row, record| {
        match (record, split_row(row)) {
            (AppTokenRow::Set { .. }, Some((_, None))) => {}
            (AppTokenRow::Token(record), Some((owner, Some(id)))) => tokens.put(owner, id, &record),
            _ => return Err(damaged.clone()),
        }
        Ok(())
    })?;
    Ok(tokens)
}

fn token_row(owner: &UserId, id: &AppTokenId) -> [u8; 32] {
    let mut row = [0; 32];
    let (head, tail) = row.split_at_mut(16);
    head.copy_from_slice(owner.as_bytes());
    tail.copy_from_slice(id.as_bytes());
    row
}

fn split_row(row: &[u8]) -> Option<(UserId, Option<AppTokenId>)> {
    let (owner, rest) = row.split_first_chunk::<16>()?;
    let id = if rest.is_empty() { None } else { Some(AppTokenId::from_slice(rest)?) };
    Some((UserId(*owner), id))
}

/// Tells whether a text has the form of an app token. Only then is it hashed.
fn is_token(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|secret| {
        secret.len() == SECRET_LENGTH && secret.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

impl Sessions {
    /// Decides whom an app token speaks for (GEN-01): it is known and not over, its owner is active, and `is_open` says
    /// yes to the hosts that it opens. Only then it counts as used.
    pub fn identify_app_token(
        &self,
        token: &str,
        now: Timestamp,
        is_open: impl FnOnce(&[Box<str>]) -> bool,
    ) -> Option<AppTokenCaller> {
        if !is_token(token) {
            return None;
        }
        let token = self.0.app_tokens.find(&sha256(token))?;
        // A clock that stands before the beginning cannot tell when the end is (FAIL-03).
        let is_begun = token.created_at <= now.plus(TOLERANCE);
        let is_over = token.expires_at.is_some_and(|end| end <= now) || token.created_at <= self.not_before();
        if !is_begun || is_over || !is_open(&token.hosts) {
            return None;
        }
        let user = self.0.accounts.user(&token.owner).filter(|user| user.is_active())?;
        token.touch(now);
        Some(AppTokenCaller { user, token })
    }

    /// Returns the app tokens of a user, the newest first; expired ones for some days.
    pub fn app_tokens_of(&self, user: &UserId) -> Vec<Arc<AppToken>> {
        let mut tokens = self.0.app_tokens.of_owner(user);
        tokens.retain(|token| token.created_at > self.not_before());
        tokens.sort_unstable_by_key(|token| std::cmp::Reverse((token.created_at, token.id)));
        tokens
    }

    /// Adds a new app token to `batch`. The secret is good once the batch is on disk. The batch conflicts if another
    /// token is made, or all are ended, at the same moment.
    ///
    /// # Errors
    /// 409 `too_many_app_tokens`, 503 if there are too many in all, or the store cannot be read.
    pub fn stage_app_token(&self, batch: &mut Batch, new: NewAppToken) -> Result<MadeAppToken, Problem> {
        let inner = &self.0;
        if inner.app_tokens.of_owner(&new.owner).len() >= MOST_PER_USER {
            return Err(Problem::conflict(
                "too_many_app_tokens",
                said(|t| t.errors_app_tokens_full(MOST_PER_USER)),
            ));
        }
        if inner.app_tokens.len() >= MOST_IN_ALL {
            return Err(Problem::unavailable(
                "too_many_app_tokens",
                Said::of(Words::errors_app_tokens_full_here),
                Duration::from_secs(3600),
            ));
        }
        let secret = Zeroizing::new(inner.random.bytes::<32>());
        let mut text = Zeroizing::new(BASE32_NOPAD.encode(secret.as_slice()));
        text.make_ascii_lowercase();
        let token = SecretText::new(format!("{PREFIX}{}", text.as_str()));
        let id = AppTokenId::random(&inner.random);
        let owner = new.owner;
        let record = AppTokenRecord {
            digest: sha256(token.expose()),
            name: new.name,
            hosts: new.hosts,
            factors: new.factors,
            created_at: inner.clock.now().max(inner.not_before.plus(Duration::from_millis(1))),
            expires_at: new.expires_at,
            last_used: None,
        };
        let set = |made| AppTokenRow::Set { made };
        match inner.store.get::<AppTokenRow>(owner.as_bytes())? {
            None => batch.insert_new(owner.as_bytes(), &set(1)),
            Some(seen) => {
                let AppTokenRow::Set { made } = seen.value else {
                    return Err(StoreError::Corrupt { table: "app_token" }.into());
                };
                batch.replace(owner.as_bytes(), &seen, &set(made.saturating_add(1)))
            }
        };
        batch.insert_new(&token_row(&owner, &id), &AppTokenRow::Token(Box::new(record.clone())));
        let sessions = self.clone();
        batch.after(move || sessions.0.app_tokens.put(owner, id, &record));
        Ok(MadeAppToken { id, token })
    }

    /// Adds the end of one app token of a user to `batch`: it is refused from the moment of the commit. `None` if the
    /// user has no such token.
    pub fn stage_end_app_token(
        &self,
        batch: &mut Batch,
        owner: &UserId,
        id: &AppTokenId,
    ) -> Option<Arc<AppToken>> {
        let token = self.0.app_tokens.of_owner(owner).into_iter().find(|token| token.id == *id)?;
        batch.remove::<AppTokenRow>(&token_row(owner, id));
        let (sessions, owner, id) = (self.clone(), *owner, *id);
        batch.after(move || sessions.0.app_tokens.remove(&owner, &id));
        Some(token)
    }

    /// Adds the end of every app token of a user to `batch`. It conflicts if one is made at the same moment.
    pub fn stage_end_app_tokens(&self, batch: &mut Batch, owner: UserId) {
        let store = &self.0.store;
        let rows = match store.get::<AppTokenRow>(owner.as_bytes()) {
            Ok(None) => {
                batch.require_absent::<AppTokenRow>(owner.as_bytes());
                return;
            }
            Ok(Some(seen)) => {
                batch.take(owner.as_bytes(), &seen);
                // More than may be there, so that a surplus goes too.
                store.scan::<AppTokenRow>(owner.as_bytes(), None, MOST_PER_USER * 2)
            }
            Err(fault) => Err(fault),
        };
        match rows {
            Ok(rows) => rows.iter().filter(|(row, _)| row.len() > 16).for_each(|(row, _)| {
                batch.remove::<AppTokenRow>(row);
            }),
            Err(fault) => {
                batch.fail(fault);
            }
        }
        let sessions = self.clone();
        batch.after(move || sessions.0.app_tokens.remove_all_of(&owner));
    }

    /// Removes app tokens that expired some days ago or whose owner is gone, and writes down when live ones were last
    /// used, at most once an hour each.
    pub(super) async fn sweep_app_tokens(&self, now: Timestamp) -> Result<(), CommitError> {
        let lag = u64::try_from(LAST_USED_LAG.as_millis()).unwrap_or(u64::MAX);
        let (over, unwritten) = self.0.app_tokens.sweep(lag, |token| {
            token.expires_at.is_some_and(|end| end.plus(SHOWN_AFTER) <= now)
                || token.created_at <= self.not_before()
                || self.0.accounts.user(&token.owner).is_none()
        });
        for chunk in over.chunks(MOST_IN_A_BATCH) {
            let mut batch = self.0.store.batch();
            for token in chunk {
                self.stage_end_app_token(&mut batch, &token.owner, &token.id);
            }
            self.0.store.commit(batch).await?;
        }
        for token in unwritten {
            let row = token_row(&token.owner, &token.id);
            let Some(seen) = self.0.store.get::<AppTokenRow>(&row)? else { continue };
            let AppTokenRow::Token(record) = &seen.value else { continue };
            let Some(last_used) = token.last_used() else { continue };
            let record = AppTokenRecord { last_used: Some(last_used), ..AppTokenRecord::clone(record) };
            let mut batch = self.0.store.batch();
            batch.replace(&row, &seen, &AppTokenRow::Token(Box::new(record)));
            batch.after(move || token.note_written(last_used));
            match self.0.store.commit(batch).await {
                // It was revoked meanwhile.
                Ok(()) | Err(CommitError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TOK-13: compared whole; nothing is folded, cut or padded.
    #[test]
    fn a_token_has_exactly_one_form() {
        let token = format!("{PREFIX}{}", "a2".repeat(26));
        assert!(is_token(&token));
        for bad in [
            "",
            PREFIX,
            &token[..token.len() - 1],
            &format!("{token}a"),
            &token.to_uppercase(),
            &token.replace("dwa_", "dwb_"),
            &token.replace('2', "1"),
            &token.replace('2', "-"),
            &format!(" {token}"),
        ] {
            assert!(!is_token(bad), "{bad}");
        }
    }

    #[test]
    fn rows_name_owner_and_token_and_nothing_else() {
        let (owner, id) = (UserId([1; 16]), AppTokenId([2; 16]));
        assert_eq!(split_row(&token_row(&owner, &id)), Some((owner, Some(id))));
        assert_eq!(split_row(owner.as_bytes()), Some((owner, None)));
        for bad in [15, 17, 31, 33] {
            assert_eq!(split_row(&vec![1; bad]), None, "{bad}");
        }
    }
}
