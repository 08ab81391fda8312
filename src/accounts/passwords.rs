//! Passwords: what is acceptable, proving one, setting one.

use std::time::Duration;

use super::profiles::Vouch;
use super::records::{ForeignPasswordRecord, PasswordRecord, Role, UserRecord};
use super::users::{AccountError, Accounts, Also};
use super::wording::of_password;
use crate::crypto::foreign::ForeignHash;
use crate::crypto::password::{Busy, Ticket, Verdict};
use crate::crypto::password_policy::{self, PolicyError, Strength};
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::store::{Batch, CommitError, StoreError, Versioned};
use crate::words::{Said, Words};

/// The shortest password when it is the only factor, in code points (PWD-01).
pub const MINIMUM_ALONE: usize = 15;
/// The shortest password when the account must also pass a second factor, in code points (PWD-01).
pub const MINIMUM_WITH_SECOND_FACTOR: usize = 8;

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Problem::unavailable("busy", Said::of(Words::accounts_busy), busy.retry_after)
    }
}

impl Accounts {
    /// Returns the shortest password that a user with this role may have.
    pub fn minimum_password_length(&self, role: Role) -> usize {
        if self.second_factor.requires(role) { MINIMUM_WITH_SECOND_FACTOR } else { MINIMUM_ALONE }
    }

    /// Checks a new password: length, blocklist, and words that an attacker would try first (PWD-04).
    pub fn check_password(
        &self,
        password: &SecretText,
        role: Role,
        username: &str,
        email: Option<&str>,
    ) -> Result<Strength, PolicyError> {
        let place = self.site.as_ref().map(|site| [site.origin().host, site.name().to_lowercase()]);
        let words = self.context_words.iter().chain(place.iter().flatten());
        let mut context: Vec<&str> = words.map(String::as_str).collect();
        context.push(username);
        if let Some((local, _)) = email.and_then(|email| email.split_once('@')) {
            context.push(local);
        }
        password_policy::check(password.expose(), self.minimum_password_length(role), &context)
    }

    /// Hashes a password that passed [`Accounts::check_password`].
    pub async fn hash_password(&self, password: &SecretText, ticket: Ticket) -> Result<String, Busy> {
        self.hasher.hash(password, ticket).await
    }

    /// Proves a password; `name` is what was typed. An unknown user costs the same time and is simply wrong (ENU-01). While
    /// some people still have a hash from elsewhere, which takes its own time, so do as many of the names that are
    /// nobody's, always the same ones.
    pub async fn verify_password(
        &self,
        user: Option<UserId>,
        name: &str,
        password: &SecretText,
        ticket: Ticket,
    ) -> Result<PasswordProof, PasswordFault> {
        let stored = match user {
            Some(id) => self.store.get::<PasswordRecord>(id.as_bytes())?,
            None => None,
        };
        let verdict = match (&stored, user) {
            (Some(stored), _) => self.hasher.verify(password, Some(&stored.value.phc), ticket).await?,
            (None, Some(id)) if self.foreign.has(&id) => {
                return self.verify_foreign_password(id, password, ticket).await;
            }
            (None, _) => match self.foreign.decoy(name, self.directory.len()) {
                Some(decoy) => self.hasher.verify_foreign(password, &decoy, ticket).await?,
                None => self.hasher.verify(password, None, ticket).await?,
            },
        };
        Ok(match (verdict, stored) {
            (Verdict::Correct { needs_rehash }, Some(stored)) => {
                PasswordProof::Correct { outdated: needs_rehash.then_some(Outdated::Own(stored)) }
            }
            _ => PasswordProof::Wrong,
        })
    }

    async fn verify_foreign_password(
        &self,
        user: UserId,
        password: &SecretText,
        ticket: Ticket,
    ) -> Result<PasswordProof, PasswordFault> {
        let stored = self.store.get::<ForeignPasswordRecord>(user.as_bytes())?;
        let hash = stored.as_ref().and_then(|stored| ForeignHash::parse(&stored.value.digest).ok());
        let verdict = match hash {
            Some(hash) => self.hasher.verify_foreign(password, &hash, ticket).await?,
            None => self.hasher.verify(password, None, ticket).await?,
        };
        Ok(match (verdict, stored) {
            (Verdict::Correct { needs_rehash }, Some(stored)) => {
                PasswordProof::Correct { outdated: needs_rehash.then_some(Outdated::Foreign(stored)) }
            }
            _ => PasswordProof::Wrong,
        })
    }

    /// Compares a secret that is no person's with a hash from elsewhere, on the same threads and in the same queue.
    pub async fn verify_foreign_secret(
        &self,
        secret: &SecretText,
        stored: &ForeignHash,
        ticket: Ticket,
    ) -> Result<bool, Busy> {
        let verdict = self.hasher.verify_foreign(secret, stored, ticket).await?;
        Ok(matches!(verdict, Verdict::Correct { .. }))
    }

    /// Hashes again with today's parameters after a successful sign-in (PWD-06), in place of the very hash that the password
    /// was found right against; one from elsewhere goes in the same commit. Losing the race to another change is fine: that
    /// change is newer.
    pub async fn rehash_password(
        &self,
        user: UserId,
        password: &SecretText,
        outdated: Outdated,
        ticket: Ticket,
    ) {
        let Ok(phc) = self.hasher.hash(password, ticket).await else { return };
        let mut batch = self.store.batch();
        match &outdated {
            Outdated::Own(seen) => {
                batch.replace(user.as_bytes(), seen, &PasswordRecord { phc });
                self.stage_forget_foreign(&mut batch, user);
            }
            Outdated::Foreign(seen) => {
                batch.insert_new(user.as_bytes(), &PasswordRecord { phc });
                batch.take(user.as_bytes(), seen);
                self.after_foreign(&mut batch, user);
            }
        }
        if let Err(error) = self.store.commit(batch).await {
            tracing::warn!(%error, "a password could not be rehashed");
        }
    }

    /// Sets a password hash and ends every session of the user, in one commit (PWD-09).
    pub async fn set_password(
        &self,
        user: UserId,
        phc: &str,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        self.set_password_by(user, phc, &also).await
    }

    async fn set_password_by(&self, user: UserId, phc: &str, also: &Also<'_>) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.change_by(
            user,
            Vouch::Owner,
            &|record| {
                record.password_changed_at = Some(now);
                record.not_before = end_of_sessions(record.not_before, self.clock.now());
                Ok(())
            },
            &|batch, record| {
                batch.put(user.as_bytes(), &PasswordRecord { phc: phc.to_owned() });
                self.stage_forget_foreign(batch, user);
                also(batch, record);
            },
        )
        .await
    }
}

/// Returns the moment at or before which all sessions are dead. It always moves forward, even if the clock stands or goes
/// back: the session that followed the last such moment began a millisecond after it. `now` is to be read with `before`,
/// or a session of the meantime would be younger.
pub fn end_of_sessions(before: Timestamp, now: Timestamp) -> Timestamp {
    before.plus(Duration::from_millis(1)).max(now)
}

/// A hash that a password was found right against, and that should be made anew.
pub enum Outdated {
    /// Ours, with older parameters.
    Own(Versioned<PasswordRecord>),
    /// One from elsewhere.
    Foreign(Versioned<ForeignPasswordRecord>),
}

/// What proving a password came to.
pub enum PasswordProof {
    /// It is right.
    Correct {
        /// The hash, if it was made with older parameters.
        outdated: Option<Outdated>,
    },
    /// It is wrong, or there is no such user.
    Wrong,
}

/// Why a password could not be proven at all.
#[derive(Debug)]
pub enum PasswordFault {
    /// The hashing queue is full.
    Busy(Busy),
    /// The store failed.
    Store(StoreError),
}

impl From<Busy> for PasswordFault {
    fn from(busy: Busy) -> Self {
        PasswordFault::Busy(busy)
    }
}

impl From<StoreError> for PasswordFault {
    fn from(error: StoreError) -> Self {
        PasswordFault::Store(error)
    }
}

impl From<PasswordFault> for Problem {
    fn from(fault: PasswordFault) -> Self {
        match fault {
            PasswordFault::Busy(busy) => busy.into(),
            PasswordFault::Store(error) => CommitError::Store(error).into(),
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        Problem::unprocessable("password", error.code(), of_password(&error))
    }
}
