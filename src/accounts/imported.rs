//! People who come from another sign-in server, and the password hashes they bring.

use std::sync::Arc;

use parking_lot::RwLock;

use super::profile::ProfileRecord;
use super::records::{ForeignPasswordRecord, Role, Status, TotpRecord, UserRecord};
use super::users::{AccountError, Accounts};
use crate::crypto::foreign::ForeignHash;
use crate::crypto::mac::hmac_sha256;
use crate::crypto::totp::TotpKey;
use crate::kernel::ids::UserId;
use crate::kernel::random::Random;
use crate::kernel::secret::{Secret, SecretKey};
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::kernel::time::Timestamp;
use crate::store::{Batch, Store, StoreError};

/// Somebody as another server knew them, checked.
pub struct ImportedUser {
    /// The sign-in name.
    pub username: Username,
    /// The name shown.
    pub display_name: DisplayName,
    /// The address, if any.
    pub email: Option<Email>,
    /// The groups.
    pub groups: Vec<GroupName>,
    /// Whether the account was disabled there.
    pub is_disabled: bool,
    /// A hash that [`ForeignHash::parse`] takes.
    pub password: Option<String>,
    /// The authenticator app.
    pub totp: Option<TotpKey>,
    /// Claims, attributes and the `sub` that apps know.
    pub profile: ProfileRecord,
}

impl Accounts {
    /// Adds somebody who comes from elsewhere to `batch`, as a member, with everything they bring; returns the new id.
    ///
    /// # Errors
    /// As [`Accounts::stage_create_knowingly`], and `SubjectTaken`, `TooManyAttributes`.
    pub fn stage_import(&self, batch: &mut Batch, user: ImportedUser) -> Result<UserId, AccountError> {
        let id = UserId::random(&self.random);
        let now = self.clock.now();
        let record = UserRecord {
            username: user.username,
            display_name: user.display_name,
            email: user.email,
            groups: user.groups,
            role: Role::Member,
            status: if user.is_disabled { Status::Disabled } else { Status::Active },
            not_before: Timestamp::ZERO,
            created_at: now,
            password_changed_at: user.password.as_ref().map(|_| now),
            has_totp: user.totp.is_some(),
            recovery_codes_left: 0,
            notice: None,
            passkeys: 0,
        };
        self.stage_record(batch, id, record, false)?;
        if user.profile != ProfileRecord::default() {
            self.stage_new_profile(batch, id, user.profile)?;
        }
        if let Some(key) = &user.totp {
            batch.insert_new(id.as_bytes(), &TotpRecord::new(key, 0, now));
        }
        if let Some(digest) = user.password
            && let Ok(hash) = ForeignHash::parse(&digest)
        {
            batch.insert_new(id.as_bytes(), &ForeignPasswordRecord { digest });
            let foreign = self.foreign.clone();
            batch.after(move || foreign.put(id, &hash));
        }
        Ok(id)
    }

    /// Adds the end of a hash from elsewhere to `batch`, if there is one.
    pub(super) fn stage_forget_foreign(&self, batch: &mut Batch, user: UserId) {
        if self.foreign.has(&user) {
            batch.remove::<ForeignPasswordRecord>(user.as_bytes());
            self.after_foreign(batch, user);
        }
    }

    pub(super) fn after_foreign(&self, batch: &mut Batch, user: UserId) {
        let foreign = self.foreign.clone();
        batch.after(move || foreign.remove(&user));
    }

    /// Returns how many people have not signed in since they came from elsewhere.
    pub fn foreign_passwords(&self) -> usize {
        self.foreign.0.read().costs.len()
    }
}

/// Who still has a hash from elsewhere, and what it costs. Clones share it.
#[derive(Clone)]
pub(super) struct ForeignPasswords(Arc<RwLock<Inner>>);

struct Inner {
    costs: Vec<(UserId, ForeignHash)>,
    key: SecretKey,
}

impl ForeignPasswords {
    pub(super) fn load(store: &Store, random: &Random) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Corrupt { table: "foreign_password" };
        let mut costs = Vec::new();
        store.for_each::<ForeignPasswordRecord>(|row, record| {
            let id = row.try_into().map(UserId).map_err(|_| DAMAGED)?;
            costs.push((id, ForeignHash::parse(&record.digest).map_err(|_| DAMAGED)?.decoy()));
            Ok(())
        })?;
        let key = Secret::new(random.bytes());
        Ok(ForeignPasswords(Arc::new(RwLock::new(Inner { costs, key }))))
    }

    pub(super) fn set_key(&self, key: SecretKey) {
        self.0.write().key = key;
    }

    pub(super) fn has(&self, user: &UserId) -> bool {
        self.0.read().costs.iter().any(|(own, _)| own == user)
    }

    fn put(&self, user: UserId, hash: &ForeignHash) {
        self.0.write().costs.push((user, hash.decoy()));
    }

    fn remove(&self, user: &UserId) {
        self.0.write().costs.retain(|(own, _)| own != user);
    }

    /// Returns the work of somebody's foreign hash for a name that is nobody's, for as many of such names as there are
    /// people with one among `people`. The same name always gets the same, or asking twice would tell.
    pub(super) fn decoy(&self, name: &str, people: usize) -> Option<ForeignHash> {
        let inner = self.0.read();
        if inner.costs.is_empty() {
            return None;
        }
        let mac = hmac_sha256(inner.key.expose(), &[name.trim().to_lowercase().as_bytes()]);
        let number = mac.first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        let place = number % u64::try_from(people.max(inner.costs.len())).unwrap_or(1).max(1);
        inner.costs.get(usize::try_from(place).ok()?).map(|(_, hash)| hash.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ENU-01: names that are nobody's cost what people cost, in the same proportion and always the same.
    #[test]
    fn as_many_strangers_as_people_look_as_if_they_had_not_signed_in_yet() {
        let hash =
            ForeignHash::parse("$2b$04$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam").unwrap();
        let key = Secret::new([7; 32]);
        let foreign = ForeignPasswords(Arc::new(RwLock::new(Inner { costs: Vec::new(), key })));
        assert!(foreign.decoy("nobody", 100).is_none(), "nobody came from elsewhere");
        for number in 0..25 {
            foreign.put(UserId([number; 16]), &hash);
        }
        let is_slow = |name: &str| foreign.decoy(name, 100).is_some();
        let slow = (0..1000).filter(|number| is_slow(&format!("name{number}"))).count();
        assert!((200..300).contains(&slow), "{slow} of 1000");
        for number in 0..100 {
            let name = format!("name{number}");
            assert_eq!(is_slow(&name), is_slow(&name.to_uppercase()), "one name, one time");
        }
        for number in 0..25 {
            foreign.remove(&UserId([number; 16]));
        }
        assert!(foreign.decoy("nobody", 100).is_none());
    }
}
