//! Passkeys: records of them, and what they may become (PK-04, PK-06, PK-08). Whether a signature is right is judged by
//! [`crate::crypto::webauthn`], which ceremony it belongs to by the room above.

use super::passwords::end_of_sessions;
use super::records::{
    ForeignPasswordRecord, PasskeyHandleRecord, PasskeyOwnerRecord, PasskeyRecord, PasswordRecord,
    RecoveryCodeRecord, TotpRecord, UserRecord,
};
use super::users::{AccountError, Accounts};
use crate::crypto::mac::sha256;
use crate::crypto::recovery_code;
use crate::crypto::webauthn::Report;
use crate::http::Problem;
use crate::kernel::ids::{PasskeyId, UserId};
use crate::kernel::text::is_deceptive;
use crate::store::{Batch, CommitError, StoreError, Versioned};
use crate::words::said;

/// The most passkeys of one account.
pub const MOST_PASSKEYS: usize = 20;
/// The longest name of a passkey, in characters.
pub const LONGEST_NAME: usize = 64;
/// The most ways to reach an authenticator that are kept.
const MOST_TRANSPORTS: usize = 6;

/// A passkey as it was read.
pub struct Passkey {
    /// Its handle.
    pub id: PasskeyId,
    /// What is kept of it.
    pub seen: Versioned<PasskeyRecord>,
}

/// A passkey that was judged and is not kept yet.
pub struct NewPasskey {
    /// What is to be kept of it.
    pub record: PasskeyRecord,
    /// What the authenticator knows the user by (PK-05).
    pub handle: Vec<u8>,
}

/// What the counter of a used passkey tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// It grew, or the authenticator does not count.
    Sound,
    /// It did not grow: there may be a copy of the passkey. A signal, no refusal (PK-06).
    Regressed,
}

/// Returns the handle of a credential.
pub fn passkey_id(credential: &[u8]) -> PasskeyId {
    PasskeyId(sha256(credential).first_chunk().copied().unwrap_or_default())
}

/// Takes the name of a passkey: one line of text that people can read.
///
/// # Errors
/// 422 on `name`.
pub fn parse_name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(is_deceptive) {
        let sentence = said(|t| t.account_passkey_name_refused(LONGEST_NAME));
        return Err(Problem::unprocessable("name", "invalid_value", sentence));
    }
    Ok(name.to_owned())
}

/// Returns what a browser said about reaching an authenticator, as far as the standard knows it.
pub fn known_transports(said: &[String]) -> Vec<String> {
    const KNOWN: [&str; 6] = ["ble", "hybrid", "internal", "nfc", "smart-card", "usb"];
    let is_known = |own: &&String| KNOWN.contains(&own.as_str());
    let mut known: Vec<String> = said.iter().filter(is_known).take(MOST_TRANSPORTS).cloned().collect();
    known.sort_unstable();
    known.dedup();
    known
}

fn row(user: UserId, id: PasskeyId) -> Vec<u8> {
    [user.as_bytes().as_slice(), id.as_bytes()].concat()
}

impl Accounts {
    /// Returns the passkeys of a user, the oldest first.
    pub fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, StoreError> {
        let rows = self.store.scan::<PasskeyRecord>(user.as_bytes(), None, MOST_PASSKEYS * 2)?;
        let mut found: Vec<Passkey> = rows
            .into_iter()
            .filter_map(|(row, seen)| {
                let id = row.get(user.as_bytes().len()..).and_then(PasskeyId::from_slice)?;
                Some(Passkey { id, seen })
            })
            .collect();
        found.sort_unstable_by_key(|passkey| (passkey.seen.value.created_at, passkey.id));
        Ok(found)
    }

    /// Returns one passkey of a user.
    pub fn passkey(&self, user: UserId, id: PasskeyId) -> Result<Option<Passkey>, StoreError> {
        let seen = self.store.get::<PasskeyRecord>(&row(user, id))?;
        Ok(seen.map(|seen| Passkey { id, seen }))
    }

    /// Finds a credential and its owner, whoever that is.
    pub fn find_passkey(&self, credential: &[u8]) -> Result<Option<(UserId, Passkey)>, StoreError> {
        let id = passkey_id(credential);
        let Some(owner) = self.store.get::<PasskeyOwnerRecord>(id.as_bytes())? else { return Ok(None) };
        let user = owner.value.user;
        let found = self.passkey(user, id)?;
        let is_it = |passkey: &Passkey| passkey.seen.value.credential == credential;
        Ok(found.filter(is_it).map(|passkey| (user, passkey)))
    }

    /// Returns what authenticators know a user by, if one does: it is kept from the first passkey on.
    pub fn passkey_handle(&self, user: UserId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.store.get::<PasskeyHandleRecord>(user.as_bytes())?.map(|found| found.value.handle))
    }

    /// Adds a passkey, and ends every session of the user in the same commit (REF-07). The first second factor of an
    /// account brings ten recovery codes, returned once. `admit` looks at the account as the commit finds it, and may refuse.
    ///
    /// # Errors
    /// [`AccountError::PasskeyKnown`], [`AccountError::TooManyPasskeys`], and what `admit` says.
    pub async fn add_passkey(
        &self,
        user: UserId,
        NewPasskey { record, handle }: &NewPasskey,
        admit: impl Fn(&UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<Vec<String>, AccountError> {
        let id = passkey_id(&record.credential);
        if self.store.get::<PasskeyOwnerRecord>(id.as_bytes())?.is_some() {
            return Err(AccountError::PasskeyKnown);
        }
        let needs_codes = !self.record(&user)?.value.has_second_factor();
        let codes = if needs_codes { recovery_code::generate(&self.random) } else { Vec::new() };
        let count = u8::try_from(codes.len()).unwrap_or(u8::MAX);
        let old = self.recovery_rows(user)?;
        self.change(
            user,
            |own| {
                admit(own)?;
                if usize::from(own.passkeys) >= MOST_PASSKEYS {
                    return Err(AccountError::TooManyPasskeys);
                }
                if own.has_second_factor() == needs_codes {
                    return Err(AccountError::Commit(CommitError::Conflict));
                }
                own.passkeys += 1;
                if needs_codes {
                    own.recovery_codes_left = count;
                }
                own.not_before = end_of_sessions(own.not_before, self.clock.now());
                Ok(())
            },
            |batch, own| {
                batch.insert_new(id.as_bytes(), &PasskeyOwnerRecord { user });
                batch.insert_new(&row(user, id), record);
                self.stage_passkey_handle(batch, user, handle);
                if needs_codes {
                    self.stage_recovery_set(batch, user, &old, &codes);
                }
                also(batch, own);
            },
        )
        .await?;
        Ok(codes)
    }

    /// Keeps what an authenticator knows the user by. Every one is told the same.
    fn stage_passkey_handle(&self, batch: &mut Batch, user: UserId, handle: &[u8]) {
        match self.store.get::<PasskeyHandleRecord>(user.as_bytes()) {
            Ok(None) => {
                batch.insert_new(user.as_bytes(), &PasskeyHandleRecord { handle: handle.to_vec() });
            }
            Ok(Some(seen)) if seen.value.handle == handle => {
                batch.require(user.as_bytes(), &seen);
            }
            Ok(Some(_)) => {
                batch.conflict();
            }
            Err(error) => {
                batch.fail(error);
            }
        }
    }

    /// Gives a passkey another name.
    ///
    /// # Errors
    /// [`AccountError::NotFound`]
    pub async fn rename_passkey(
        &self,
        user: UserId,
        id: PasskeyId,
        name: &str,
        also: impl Fn(&mut Batch) + Send + Sync,
    ) -> Result<(), AccountError> {
        for _ in 0..super::users::TRIES {
            let found = self.passkey(user, id)?.ok_or(AccountError::NotFound)?;
            let renamed = PasskeyRecord { name: name.to_owned(), ..found.seen.value.clone() };
            let mut batch = self.store.batch();
            batch.replace(&row(user, id), &found.seen, &renamed);
            also(&mut batch);
            match self.store.commit(batch).await {
                Err(CommitError::Conflict) => {}
                other => return other.map_err(AccountError::from),
            }
        }
        Err(AccountError::Commit(CommitError::Conflict))
    }

    /// Removes a passkey, and ends every session of the user in the same commit (REF-07). With the last second factor the
    /// recovery codes go, because they would stand for nothing. `notice` is what the owner is told at the next sign-in, if
    /// somebody else did it.
    ///
    /// # Errors
    /// [`AccountError::NotFound`]; [`AccountError::LastCredential`] if nothing else opens the account (PK-08);
    /// [`AccountError::SecondFactorRequired`] if the account would lack a second factor that it must have.
    pub async fn remove_passkey(
        &self,
        user: UserId,
        id: PasskeyId,
        notice: Option<&str>,
        may: impl Fn(&UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        let old = self.recovery_rows(user)?;
        self.change(
            user,
            |own| {
                may(own)?;
                self.passkey(user, id)?.ok_or(AccountError::NotFound)?;
                own.passkeys = own.passkeys.saturating_sub(1);
                if own.passkeys == 0 && !self.has_password(user)? {
                    return Err(AccountError::LastCredential);
                }
                if !own.has_second_factor() {
                    if self.second_factor.requires(own.role) {
                        return Err(AccountError::SecondFactorRequired);
                    }
                    own.recovery_codes_left = 0;
                }
                if let Some(notice) = notice {
                    own.notice = Some(notice.to_owned());
                }
                own.not_before = end_of_sessions(own.not_before, self.clock.now());
                Ok(())
            },
            |batch, own| {
                batch.remove::<PasskeyRecord>(&row(user, id));
                batch.remove::<PasskeyOwnerRecord>(id.as_bytes());
                if !own.has_second_factor() {
                    for code in &old {
                        batch.remove::<RecoveryCodeRecord>(code);
                    }
                }
                also(batch, own);
            },
        )
        .await
    }

    /// Takes every second factor of a user away: authenticator app, passkeys and recovery codes, and ends every session,
    /// in one commit. For a person who lost them all.
    pub async fn reset_second_factor(
        &self,
        user: UserId,
        change: impl Fn(&mut UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        let old = self.recovery_rows(user)?;
        self.change(
            user,
            |own| {
                own.has_totp = false;
                own.passkeys = 0;
                own.recovery_codes_left = 0;
                own.not_before = end_of_sessions(own.not_before, self.clock.now());
                change(own)
            },
            |batch, own| {
                batch.remove::<TotpRecord>(user.as_bytes());
                self.stage_forget_waiting(batch, user);
                self.stage_forget_passkeys(batch, user);
                for code in &old {
                    batch.remove::<RecoveryCodeRecord>(code);
                }
                also(batch, own);
            },
        )
        .await
    }

    /// Adds the end of all passkeys of a user to `batch`. A passkey that is added at the same moment lets it conflict,
    /// because both change the user.
    pub(super) fn stage_forget_passkeys(&self, batch: &mut Batch, user: UserId) {
        match self.passkeys(user) {
            Ok(found) => {
                for passkey in found {
                    batch.remove::<PasskeyRecord>(&row(user, passkey.id));
                    batch.remove::<PasskeyOwnerRecord>(passkey.id.as_bytes());
                }
            }
            Err(error) => {
                batch.fail(error);
            }
        }
    }

    /// Writes down that a passkey was used. `None` if the report contradicts what is known of it: whether it may be copied
    /// never changes (PK-04). If the batch conflicts, the passkey was used, changed or removed meanwhile.
    pub fn stage_passkey_use(
        &self,
        batch: &mut Batch,
        user: UserId,
        passkey: &Passkey,
        report: &Report,
    ) -> Option<Counter> {
        let before = &passkey.seen.value;
        if report.is_backup_eligible != before.is_backup_eligible {
            return None;
        }
        let counts = report.counter != 0 || before.counter != 0;
        let is_sound = !counts || report.counter > before.counter;
        let used = PasskeyRecord {
            counter: before.counter.max(report.counter),
            last_used: Some(self.clock.now()),
            is_backed_up: report.is_backed_up,
            is_user_verified: before.is_user_verified || report.is_user_verified,
            ..before.clone()
        };
        batch.replace(&row(user, passkey.id), &passkey.seen, &used);
        Some(if is_sound { Counter::Sound } else { Counter::Regressed })
    }

    fn has_password(&self, user: UserId) -> Result<bool, StoreError> {
        let is_own = self.store.get::<PasswordRecord>(user.as_bytes())?.is_some();
        Ok(is_own || self.store.get::<ForeignPasswordRecord>(user.as_bytes())?.is_some())
    }
}
