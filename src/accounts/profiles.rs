//! The use-cases of profiles: reading, changing, and what a change of the address means for it.

use std::sync::Arc;

use super::claims::{AttributeName, Subject};
use super::directory::User;
use super::profile::{MOST_ATTRIBUTES, ProfileRecord};
use super::records::{ProfileRow, SubjectRecord, UserRecord};
use super::users::{AccountError, Accounts, Also, TRIES};
use crate::kernel::ids::UserId;
use crate::store::{Batch, CommitError, StoreError, Versioned};

/// Rows of a profile that are read at most: claims, address, attributes.
const MOST_ROWS: usize = 2 + MOST_ATTRIBUTES;
/// What follows the user id in the row of the address.
const ADDRESS: &[u8] = b"a";
/// What follows the user id in the row of an attribute, before its name.
const ATTRIBUTE: &[u8] = b"x";

/// Who stands for the address of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouch {
    /// Its owner: a new address is not verified, the old one stays what it was.
    Owner,
    /// An administrator: a new address is verified, the old one stays what it was.
    Administrator,
    /// An administrator, who says whether the address is verified, new or old.
    Says(bool),
}

/// A profile as it was read, to be changed.
struct Seen {
    claims: Option<Versioned<ProfileRow>>,
    profile: ProfileRecord,
}

fn row(id: UserId, part: &[u8], name: &str) -> Vec<u8> {
    [id.as_bytes().as_slice(), part, name.as_bytes()].concat()
}

impl Accounts {
    /// Returns the profile of a user, `None` if nothing of it was ever set. `email_verified` in it speaks of the address
    /// of the user record.
    pub fn profile(&self, id: &UserId) -> Result<Option<ProfileRecord>, AccountError> {
        let seen = self.see_profile(*id)?;
        Ok(seen.claims.is_some().then_some(seen.profile))
    }

    fn see_profile(&self, id: UserId) -> Result<Seen, StoreError> {
        const DAMAGED: StoreError = StoreError::Corrupt { table: "profile" };
        let mut seen = Seen { claims: None, profile: ProfileRecord::default() };
        for (row, found) in self.store.scan::<ProfileRow>(id.as_bytes(), None, MOST_ROWS)? {
            let part = row.strip_prefix(id.as_bytes().as_slice()).ok_or(DAMAGED)?;
            match (part, &found.value) {
                ([], ProfileRow::Claims(claims)) => {
                    seen.profile = ProfileRecord::clone(claims);
                    seen.claims = Some(found);
                }
                (b"a", ProfileRow::Address(address)) => seen.profile.address = (**address).clone(),
                ([b'x', name @ ..], ProfileRow::Attribute(value)) => {
                    let name =
                        std::str::from_utf8(name).ok().and_then(|name| AttributeName::parse(name).ok());
                    seen.profile.attributes.insert(name.ok_or(DAMAGED)?, value.clone());
                }
                _ => return Err(DAMAGED),
            }
        }
        Ok(seen)
    }

    /// Changes the profile of a user in one commit and returns it. `change` edits it in the light of the user record;
    /// `also` adds what belongs to the same commit, such as the audit event. Both run again if someone else changed user or
    /// profile at the same moment. Nothing is written if nothing is different.
    ///
    /// # Errors
    /// `NotFound`, `SubjectTaken`, `TooManyAttributes`, `NoEmail`, or what `change` says.
    pub async fn change_profile(
        &self,
        id: UserId,
        change: impl Fn(&mut ProfileRecord, &UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<ProfileRecord, AccountError> {
        self.change_profile_by(id, &change, &also).await
    }

    async fn change_profile_by(
        &self,
        id: UserId,
        change: &(dyn Fn(&mut ProfileRecord, &UserRecord) -> Result<(), AccountError> + Send + Sync),
        also: &Also<'_>,
    ) -> Result<ProfileRecord, AccountError> {
        for _ in 0..TRIES {
            let user = self.record(&id)?;
            let seen = self.see_profile(id)?;
            let mut changed = seen.profile.clone();
            change(&mut changed, &user.value)?;
            if changed == seen.profile {
                return Ok(changed);
            }
            if changed.email_verified && user.value.email.is_none() {
                return Err(AccountError::NoEmail);
            }
            let mut batch = self.store.batch();
            // The user must still be there, and the address the one that was vouched for.
            batch.require(id.as_bytes(), &user);
            self.stage_profile(&mut batch, id, &seen, &mut changed)?;
            also(&mut batch, &user.value);
            match self.store.commit(batch).await {
                Err(CommitError::Conflict) => {}
                other => return other.map(|()| changed).map_err(AccountError::from),
            }
        }
        Err(AccountError::Commit(CommitError::Conflict))
    }

    /// Adds the profile of a user who is made in the same batch.
    ///
    /// # Errors
    /// `SubjectTaken`, `TooManyAttributes`.
    pub fn stage_new_profile(
        &self,
        batch: &mut Batch,
        id: UserId,
        mut profile: ProfileRecord,
    ) -> Result<(), AccountError> {
        let nothing = Seen { claims: None, profile: ProfileRecord::default() };
        self.stage_profile(batch, id, &nothing, &mut profile)
    }

    fn stage_profile(
        &self,
        batch: &mut Batch,
        id: UserId,
        seen: &Seen,
        changed: &mut ProfileRecord,
    ) -> Result<(), AccountError> {
        if changed.attributes.len() > MOST_ATTRIBUTES {
            return Err(AccountError::TooManyAttributes);
        }
        if let Some(subject) = changed.subject.as_ref().filter(|_| changed.subject != seen.profile.subject) {
            self.stage_subject(batch, id, subject)?;
        }
        if changed.address != seen.profile.address {
            let row = row(id, ADDRESS, "");
            match changed.address.is_empty() {
                true => batch.remove::<ProfileRow>(&row),
                false => batch.put(&row, &ProfileRow::Address(Box::new(changed.address.clone()))),
            };
        }
        for name in seen.profile.attributes.keys().filter(|name| !changed.attributes.contains_key(name)) {
            batch.remove::<ProfileRow>(&row(id, ATTRIBUTE, name.as_str()));
        }
        for (name, value) in &changed.attributes {
            if seen.profile.attributes.get(name) != Some(value) {
                batch.put(&row(id, ATTRIBUTE, name.as_str()), &ProfileRow::Attribute(value.clone()));
            }
        }
        changed.updated_at = self.clock.now();
        changed.revision = seen.profile.revision.saturating_add(1);
        let claims = ProfileRow::Claims(Box::new(changed.clone()));
        match &seen.claims {
            Some(before) => batch.replace(id.as_bytes(), before, &claims),
            None => batch.insert_new(id.as_bytes(), &claims),
        };
        Ok(())
    }

    /// Gives a subject to a user, for good: nobody else can ever have it (OA-19).
    fn stage_subject(&self, batch: &mut Batch, id: UserId, subject: &Subject) -> Result<(), AccountError> {
        let row = subject.as_str().as_bytes();
        match self.store.get::<SubjectRecord>(row)? {
            None => batch.insert_new(row, &SubjectRecord { user: id }),
            Some(own) if own.value.user == id => batch.require(row, &own),
            Some(_) => return Err(AccountError::SubjectTaken),
        };
        Ok(())
    }

    /// Adds to a change of a user what it means for the profile: whether the address counts as verified, and when name or
    /// address were last changed.
    pub(super) fn stage_vouch(
        &self,
        batch: &mut Batch,
        id: UserId,
        vouch: Vouch,
        (before, after): (&UserRecord, &UserRecord),
    ) -> Result<(), AccountError> {
        let is_new = before.email != after.email;
        let is_known_otherwise =
            is_new || before.display_name != after.display_name || before.username != after.username;
        if !is_known_otherwise && !matches!(vouch, Vouch::Says(_)) {
            return Ok(());
        }
        let seen = self.see_profile(id)?;
        let mut changed = seen.profile.clone();
        changed.email_verified = match vouch {
            Vouch::Says(true) if after.email.is_none() => return Err(AccountError::NoEmail),
            Vouch::Says(is_verified) => is_verified,
            Vouch::Administrator if is_new => after.email.is_some(),
            Vouch::Owner if is_new => false,
            Vouch::Administrator | Vouch::Owner => changed.email_verified,
        };
        if !is_known_otherwise && changed == seen.profile {
            return Ok(());
        }
        self.stage_profile(batch, id, &seen, &mut changed)
    }

    /// Adds the end of a profile to the deletion of its user. The row of the subject stays (PRI-03).
    pub(super) fn stage_forget_profile(&self, batch: &mut Batch, id: UserId) -> Result<(), AccountError> {
        let seen = self.see_profile(id)?;
        match &seen.claims {
            Some(claims) => batch.take(id.as_bytes(), claims),
            None => batch.require_absent::<ProfileRow>(id.as_bytes()),
        };
        batch.remove::<ProfileRow>(&row(id, ADDRESS, ""));
        for name in seen.profile.attributes.keys() {
            batch.remove::<ProfileRow>(&row(id, ATTRIBUTE, name.as_str()));
        }
        Ok(())
    }

    /// Returns the `sub` that apps know a user by: the imported subject, or else the user id.
    pub fn subject(&self, id: &UserId) -> Result<String, AccountError> {
        let claims = self.store.get::<ProfileRow>(id.as_bytes())?;
        let subject = claims.and_then(|claims| match claims.value {
            ProfileRow::Claims(claims) => claims.subject,
            _ => None,
        });
        Ok(subject.map_or_else(|| id.to_string(), String::from))
    }

    /// Finds the user whom apps know by this `sub`. A subject that somebody had before, or the id of somebody who has an
    /// imported subject, finds nobody.
    pub fn user_by_subject(&self, subject: &str) -> Result<Option<Arc<User>>, AccountError> {
        let id = match UserId::parse(subject) {
            Some(id) => Some(id),
            None if subject.is_empty() => None,
            None => self.store.get::<SubjectRecord>(subject.as_bytes())?.map(|found| found.value.user),
        };
        let Some(user) = id.and_then(|id| self.user(&id)) else { return Ok(None) };
        Ok((self.subject(&user.id)? == subject).then_some(user))
    }

    /// Tells whether a text is or was the `sub` of a user, so that nothing else may be called so (RFC 9700 section 4.15).
    pub fn is_subject(&self, text: &str) -> Result<bool, AccountError> {
        let is_imported = !text.is_empty() && self.store.get::<SubjectRecord>(text.as_bytes())?.is_some();
        Ok(is_imported || UserId::parse(text).is_some())
    }
}
