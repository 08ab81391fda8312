//! The second factor in use: TOTP and recovery codes.

use super::passwords::end_of_sessions;
use super::records::{RecoveryCodeRecord, TotpRecord, UserRecord};
use super::users::{AccountError, Accounts};
use crate::crypto::recovery_code;
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::store::{Batch, CommitError, StoreError, Versioned};

/// So many wrong second factors in a row, ever, and the factor is refused until an administrator resets it (OTP-06).
pub const MOST_CONSECUTIVE_FAILURES: u32 = 100;

/// An authenticator app in use, without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpState {
    /// When it was confirmed.
    pub confirmed_at: Timestamp,
    /// When a code was last accepted after that, to half a minute.
    pub last_used: Option<Timestamp>,
}

/// A proof of a second factor that will be consumed by the commit of the batch it was staged in (GEN-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// A TOTP code.
    Totp,
    /// A recovery code; so many are left after it.
    Recovery {
        /// How many codes are left.
        left: u8,
    },
}

impl Accounts {
    /// Tells since when an authenticator app is in use; `None` if there is none.
    pub fn totp_state(&self, user: UserId) -> Result<Option<TotpState>, StoreError> {
        let Some(found) = self.store.get::<TotpRecord>(user.as_bytes())? else { return Ok(None) };
        let confirmed_at = found.value.confirmed_at;
        let period = u64::from(found.value.period);
        let used = Timestamp::from_secs(found.value.last_step.saturating_mul(period));
        let last_used = (used > confirmed_at).then_some(used);
        Ok(Some(TotpState { confirmed_at, last_used }))
    }

    /// Returns how many digits the codes of a user have; six if there is no authenticator app.
    pub fn totp_digits(&self, user: UserId) -> Result<u8, StoreError> {
        Ok(self.store.get::<TotpRecord>(user.as_bytes())?.map_or(6, |found| found.value.digits))
    }

    /// Removes the authenticator app, and the recovery codes unless a passkey still needs them, and ends every session of
    /// the user, in one commit (REF-07). The caller has stepped up (OTP-08).
    pub async fn remove_totp(
        &self,
        user: UserId,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        let old = self.recovery_rows(user)?;
        self.change(
            user,
            |record| {
                record.has_totp = false;
                if !record.has_second_factor() {
                    if self.second_factor.requires(record.role) {
                        return Err(AccountError::SecondFactorRequired);
                    }
                    record.recovery_codes_left = 0;
                }
                record.not_before = end_of_sessions(record.not_before, self.clock.now());
                Ok(())
            },
            |batch, record| {
                batch.remove::<TotpRecord>(user.as_bytes());
                self.stage_forget_waiting(batch, user);
                if !record.has_second_factor() {
                    for row in &old {
                        batch.remove::<RecoveryCodeRecord>(row);
                    }
                }
                also(batch, record);
            },
        )
        .await
    }

    /// Replaces all recovery codes; the old set and every session of the user die in the same commit (OTP-09, REF-07).
    /// Returns the new ones, shown once.
    pub async fn renew_recovery_codes(
        &self,
        user: UserId,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<Vec<String>, AccountError> {
        let codes = recovery_code::generate(&self.random);
        let old = self.recovery_rows(user)?;
        let count = u8::try_from(codes.len()).unwrap_or(u8::MAX);
        self.change(
            user,
            |record| {
                record.recovery_codes_left = count;
                record.not_before = end_of_sessions(record.not_before, self.clock.now());
                Ok(())
            },
            |batch, record| {
                self.stage_recovery_set(batch, user, &old, &codes);
                also(batch, record);
            },
        )
        .await?;
        Ok(codes)
    }

    /// Checks a TOTP or recovery code and stages its consumption. `None` means wrong, replayed or not enrolled, which
    /// look the same (OTP-05). If the batch then conflicts, someone else used the code first.
    pub fn stage_second_factor(
        &self,
        batch: &mut Batch,
        user: UserId,
        code: &str,
    ) -> Result<Option<SecondFactor>, StoreError> {
        if let Some(normalized) = recovery_code::normalize(code) {
            return self.stage_recovery_code(batch, user, &normalized);
        }
        let Some(stored) = self.store.get::<TotpRecord>(user.as_bytes())? else { return Ok(None) };
        if stored.value.failures >= MOST_CONSECUTIVE_FAILURES {
            return Ok(None);
        }
        let key = stored.value.key();
        let step = key.and_then(|key| key.verify(code, self.clock.now(), Some(stored.value.last_step)));
        let Some(step) = step else { return Ok(None) };
        let mut used = stored.value.clone();
        used.last_step = step;
        used.failures = 0;
        batch.replace(user.as_bytes(), &stored, &used);
        Ok(Some(SecondFactor::Totp))
    }

    /// Counts a wrong second factor. The count is durable and is reset by a right code alone; at a hundred in a row
    /// only an administrator's reset helps (OTP-06).
    pub async fn note_second_factor_failure(&self, user: UserId) -> Result<(), CommitError> {
        loop {
            let Some(seen) = self.store.get::<TotpRecord>(user.as_bytes())? else { return Ok(()) };
            let mut counted = seen.value.clone();
            counted.failures = counted.failures.saturating_add(1);
            let mut batch = self.store.batch();
            batch.replace(user.as_bytes(), &seen, &counted);
            match self.store.commit(batch).await {
                // A parallel attempt was counted first or succeeded; this one counts all the same. Of all that try again
                // one gets through each time, so this ends.
                Err(CommitError::Conflict) => {}
                other => return other,
            }
        }
    }

    fn stage_recovery_code(
        &self,
        batch: &mut Batch,
        user: UserId,
        normalized: &str,
    ) -> Result<Option<SecondFactor>, StoreError> {
        let row = recovery_row(user, normalized);
        let Some(code) = self.store.get::<RecoveryCodeRecord>(&row)? else { return Ok(None) };
        let Some(seen): Option<Versioned<UserRecord>> = self.store.get(user.as_bytes())? else {
            return Ok(None);
        };
        batch.take(&row, &code);
        let mut changed = seen.value.clone();
        changed.recovery_codes_left = changed.recovery_codes_left.saturating_sub(1);
        let left = changed.recovery_codes_left;
        self.stage_change(batch, user, &seen, changed);
        Ok(Some(SecondFactor::Recovery { left }))
    }

    pub(super) fn recovery_rows(&self, user: UserId) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.store.scan::<RecoveryCodeRecord>(user.as_bytes(), None, 100)?;
        Ok(rows.into_iter().map(|(row, _)| row).collect())
    }

    pub(super) fn stage_recovery_set(
        &self,
        batch: &mut Batch,
        user: UserId,
        old: &[Vec<u8>],
        codes: &[String],
    ) {
        for row in old {
            batch.remove::<RecoveryCodeRecord>(row);
        }
        let created_at = self.clock.now();
        for code in codes.iter().filter_map(|code| recovery_code::normalize(code)) {
            batch.put(&recovery_row(user, &code), &RecoveryCodeRecord { created_at });
        }
    }
}

fn recovery_row(user: UserId, normalized: &str) -> Vec<u8> {
    let mut row = user.as_bytes().to_vec();
    row.extend_from_slice(&recovery_code::digest(user.as_bytes(), normalized));
    row
}
