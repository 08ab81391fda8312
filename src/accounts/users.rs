//! Making, finding, changing and deleting users.

use std::sync::Arc;

use super::directory::{Directory, User};
use super::imported::ForeignPasswords;
use super::passkeys::MOST_PASSKEYS;
use super::profile::MOST_ATTRIBUTES;
use super::profiles::Vouch;
use super::records::{
    EmailRecord, PasskeyHandleRecord, PasswordRecord, RecoveryCodeRecord, Role, Status, TotpRecord,
    UserRecord, UsernameRecord,
};
use crate::crypto::password::PasswordHasher;
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretKey;
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::kernel::time::{SharedClock, Timestamp};
use crate::site::Site;
use crate::store::{Batch, CommitError, Store, StoreError, Versioned};
use crate::words::{Said, Words, said};

/// How many times a change is tried again when someone else changed the same user at the same moment.
pub(super) const TRIES: usize = 5;

/// Who must have a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactorPolicy {
    /// Nobody must; everyone may.
    Optional,
    /// Owners and admins must.
    Admins,
    /// Everyone must.
    Everyone,
}

impl SecondFactorPolicy {
    /// Tells whether a user with this role must have a second factor.
    pub fn requires(self, role: Role) -> bool {
        match self {
            SecondFactorPolicy::Optional => false,
            SecondFactorPolicy::Admins => role.is_admin(),
            SecondFactorPolicy::Everyone => true,
        }
    }
}

/// Why a use-case of this room refused.
#[derive(Debug)]
pub enum AccountError {
    /// There is no such user.
    NotFound,
    /// Someone has that username.
    UsernameTaken,
    /// Someone who was deleted had that username (PRI-03).
    UsernameUsedBefore,
    /// Someone has that e-mail address.
    EmailTaken,
    /// It would leave nobody who can administer (ADM-03).
    LastAdmin,
    /// Another authenticator app was confirmed while this one waited (OTP-02).
    EnrolledElsewhere,
    /// It would leave no owner (ADM-03).
    LastOwner,
    /// Another user has or had that subject (OA-19).
    SubjectTaken,
    /// There are too many custom attributes.
    TooManyAttributes,
    /// Somebody has that passkey, perhaps the same person (PK-04).
    PasskeyKnown,
    /// There are too many passkeys.
    TooManyPasskeys,
    /// Nothing else opens the account (PK-08).
    LastCredential,
    /// The account must have a second factor.
    SecondFactorRequired,
    /// There is no e-mail address that could be verified.
    NoEmail,
    /// What was proven of the account does not hold any more (GEN-03).
    ProofIsVoid,
    /// The store refused.
    Commit(CommitError),
}

impl From<CommitError> for AccountError {
    fn from(error: CommitError) -> Self {
        AccountError::Commit(error)
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        AccountError::Commit(CommitError::Store(error))
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        let conflict = |code, say: fn(Words) -> &'static str| Problem::conflict(code, Said::of(say));
        match error {
            AccountError::NotFound => Problem::not_found(),
            AccountError::UsernameTaken => conflict("username_taken", Words::accounts_username_taken),
            AccountError::UsernameUsedBefore => {
                conflict("username_used_before", Words::accounts_username_used_before)
            }
            AccountError::EmailTaken => conflict("email_taken", Words::accounts_email_taken),
            AccountError::LastAdmin => conflict("last_admin", Words::accounts_last_admin),
            AccountError::EnrolledElsewhere => {
                conflict("enrolled_elsewhere", Words::accounts_enrolled_elsewhere)
            }
            AccountError::LastOwner => conflict("last_owner", Words::accounts_last_owner),
            AccountError::SubjectTaken => conflict("subject_taken", Words::accounts_subject_taken),
            AccountError::TooManyAttributes => Problem::unprocessable(
                "attributes",
                "too_many_attributes",
                said(|t| t.accounts_too_many_attributes(MOST_ATTRIBUTES)),
            ),
            AccountError::PasskeyKnown => conflict("passkey_known", Words::accounts_passkey_known),
            AccountError::TooManyPasskeys => {
                Problem::conflict("too_many_passkeys", said(|t| t.accounts_too_many_passkeys(MOST_PASSKEYS)))
            }
            AccountError::LastCredential => conflict("last_credential", Words::accounts_last_credential),
            AccountError::SecondFactorRequired => {
                conflict("second_factor_required", Words::accounts_factor_required)
            }
            AccountError::NoEmail => {
                Problem::unprocessable("email_verified", "no_email", Said::of(Words::accounts_no_email))
            }
            AccountError::ProofIsVoid => {
                Problem::unauthorized("sign_in_expired", Said::of(Words::accounts_proof_is_void))
            }
            AccountError::Commit(error) => error.into(),
        }
    }
}

/// What a new user starts with.
pub struct NewUser {
    /// The sign-in name.
    pub username: Username,
    /// The name shown.
    pub display_name: DisplayName,
    /// The address, if any.
    pub email: Option<Email>,
    /// The groups.
    pub groups: Vec<GroupName>,
    /// The role.
    pub role: Role,
    /// argon2id in PHC format; `None` for a user who sets the password through a link.
    pub password_hash: Option<String>,
}

/// The use-cases of users. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) store: Store,
    pub(super) directory: Directory,
    pub(super) hasher: PasswordHasher,
    /// Who still has a password hash from elsewhere.
    pub(super) foreign: ForeignPasswords,
    pub(super) clock: SharedClock,
    pub(super) random: Random,
    pub(super) second_factor: SecondFactorPolicy,
    /// Words that a password may not consist of, beyond the user's own: the product.
    pub(super) context_words: Arc<[String]>,
    /// Its name and host are such words too, as they are when a password is chosen.
    pub(super) site: Option<Site>,
    /// Held while an administrator or owner goes, so that two cannot both be the last but one (ADM-03).
    farewell: Arc<tokio::sync::Mutex<()>>,
}

/// What edits a user.
pub(super) type Change<'a> = dyn Fn(&mut UserRecord) -> Result<(), AccountError> + Send + Sync + 'a;
/// What allows a deed, looking at the user to whom it is done.
type May<'a> = dyn Fn(&UserRecord) -> Result<(), AccountError> + Send + Sync + 'a;
/// What belongs to the same commit as a change of a user.
pub(super) type Also<'a> = dyn Fn(&mut Batch, &UserRecord) + Send + Sync + 'a;

impl Accounts {
    /// Reads the directory from the store.
    pub fn open(
        store: Store,
        hasher: PasswordHasher,
        clock: SharedClock,
        random: Random,
        second_factor: SecondFactorPolicy,
        context_words: Vec<String>,
    ) -> Result<Self, StoreError> {
        let directory = Directory::load(&store)?;
        let foreign = ForeignPasswords::load(&store, &random)?;
        let context_words = context_words.into();
        let farewell = Arc::default();
        let site = None;
        Ok(Accounts {
            store,
            directory,
            hasher,
            foreign,
            clock,
            random,
            second_factor,
            context_words,
            site,
            farewell,
        })
    }

    /// Chooses by `key` which names that are nobody's look like somebody who has not signed in since the move (ENU-01).
    #[must_use]
    pub fn with_decoys(self, key: SecretKey) -> Self {
        self.foreign.set_key(key);
        self
    }

    /// Refuses passwords that consist of the name or host of this installation (PWD-04).
    #[must_use]
    pub fn with_site(mut self, site: Site) -> Self {
        self.site = Some(site);
        self
    }

    /// All users in memory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The policy for second factors.
    pub fn second_factor_policy(&self) -> SecondFactorPolicy {
        self.second_factor
    }

    /// Returns the user as the directory has it.
    pub fn user(&self, id: &UserId) -> Option<Arc<User>> {
        self.directory.get(id)
    }

    /// Finds a user by username or e-mail address, whichever way it is spelled (LIM-02).
    pub fn resolve(&self, name: &str) -> Result<Option<Arc<User>>, StoreError> {
        let name = name.trim();
        let id = if name.contains('@') {
            let Ok(email) = Email::parse(name) else { return Ok(None) };
            self.store.get::<EmailRecord>(email_row(&email).as_bytes())?.map(|found| found.value.user)
        } else {
            let Ok(username) = Username::parse(name) else { return Ok(None) };
            self.store.get::<UsernameRecord>(username.as_str().as_bytes())?.map(|found| found.value.user)
        };
        Ok(id.and_then(|id| self.directory.get(&id)))
    }

    /// Reads the record of a user.
    pub fn record(&self, id: &UserId) -> Result<Versioned<UserRecord>, AccountError> {
        self.store.get::<UserRecord>(id.as_bytes())?.ok_or(AccountError::NotFound)
    }

    /// Adds a new user to `batch` and returns the id. The commit conflicts if the name or address is taken meanwhile. The
    /// name of somebody who was deleted counts as taken (PRI-03).
    pub fn stage_create(&self, batch: &mut Batch, new: NewUser) -> Result<UserId, AccountError> {
        self.stage_create_knowingly(batch, new, false).map_err(|error| match error {
            AccountError::UsernameUsedBefore => AccountError::UsernameTaken,
            other => other,
        })
    }

    /// Like [`Accounts::stage_create`] for an administrator, who learns whether somebody who was deleted had the name,
    /// and may give it away all the same.
    pub fn stage_create_knowingly(
        &self,
        batch: &mut Batch,
        new: NewUser,
        reuse_username: bool,
    ) -> Result<UserId, AccountError> {
        let id = UserId::random(&self.random);
        let now = self.clock.now();
        let record = UserRecord {
            username: new.username,
            display_name: new.display_name,
            email: new.email,
            groups: new.groups,
            role: new.role,
            status: Status::Active,
            not_before: Timestamp::ZERO,
            created_at: now,
            password_changed_at: new.password_hash.as_ref().map(|_| now),
            has_totp: false,
            recovery_codes_left: 0,
            notice: None,
            passkeys: 0,
        };
        self.stage_record(batch, id, record, reuse_username)?;
        if let Some(phc) = new.password_hash {
            batch.insert_new(id.as_bytes(), &PasswordRecord { phc });
        }
        Ok(id)
    }

    /// Adds the record of a new user and the rows that lead to it.
    pub(super) fn stage_record(
        &self,
        batch: &mut Batch,
        id: UserId,
        mut record: UserRecord,
        reuse_username: bool,
    ) -> Result<(), AccountError> {
        let taken = |row: Option<UserId>| row.is_some_and(|id| self.directory.get(&id).is_some());
        let row = record.username.as_str().as_bytes();
        let by_name = self.store.get::<UsernameRecord>(row)?;
        if taken(by_name.as_ref().map(|found| found.value.user)) {
            return Err(AccountError::UsernameTaken);
        }
        match &by_name {
            None => batch.insert_new(row, &UsernameRecord { user: id }),
            Some(former) if reuse_username => batch.replace(row, former, &UsernameRecord { user: id }),
            Some(_) => return Err(AccountError::UsernameUsedBefore),
        };
        if let Some(email) = &record.email {
            let row = email_row(email);
            let by_email = self.store.get::<EmailRecord>(row.as_bytes())?;
            if taken(by_email.map(|found| found.value.user)) {
                return Err(AccountError::EmailTaken);
            }
            batch.insert_new(row.as_bytes(), &EmailRecord { user: id });
        }
        record.groups = sorted(record.groups);
        batch.insert_new(id.as_bytes(), &record);
        let directory = self.directory.clone();
        batch.after(move || directory.put(id, record));
        Ok(())
    }

    /// Adds a change of `seen` to `batch`; the commit conflicts if someone else changed the user meanwhile.
    pub fn stage_change(
        &self,
        batch: &mut Batch,
        id: UserId,
        seen: &Versioned<UserRecord>,
        changed: UserRecord,
    ) {
        batch.replace(id.as_bytes(), seen, &changed);
        let directory = self.directory.clone();
        batch.after(move || directory.put(id, changed));
    }

    /// Changes a user in one commit. `change` edits the record; `also` adds what belongs to the same commit, such as
    /// the audit event. Both run again if someone else changed the user at the same moment. An address that is new
    /// counts as typed by its owner ([`Vouch::Owner`]).
    pub async fn change(
        &self,
        id: UserId,
        change: impl Fn(&mut UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        self.change_by(id, Vouch::Owner, &change, &also).await
    }

    /// Like [`Accounts::change`]; `vouch` tells whether the address counts as verified afterwards.
    ///
    /// # Errors
    /// As [`Accounts::change`]; [`AccountError::NoEmail`] if there is no address to vouch for.
    pub async fn change_vouching(
        &self,
        id: UserId,
        vouch: Vouch,
        change: impl Fn(&mut UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        self.change_by(id, vouch, &change, &also).await
    }

    /// [`Accounts::change_vouching`], compiled once for all that call it.
    pub(super) async fn change_by(
        &self,
        id: UserId,
        vouch: Vouch,
        change: &Change<'_>,
        also: &Also<'_>,
    ) -> Result<(), AccountError> {
        for _ in 0..TRIES {
            let seen = self.record(&id)?;
            let mut changed = seen.value.clone();
            change(&mut changed)?;
            changed.groups = sorted(changed.groups);
            let _farewell = self.refuse_to_lose_the_last(&seen.value, Some(&changed)).await?;
            let mut batch = self.store.batch();
            self.stage_email_move(&mut batch, id, seen.value.email.as_ref(), changed.email.as_ref())?;
            self.stage_vouch(&mut batch, id, vouch, (&seen.value, &changed))?;
            also(&mut batch, &changed);
            self.stage_change(&mut batch, id, &seen, changed);
            match self.store.commit(batch).await {
                Err(CommitError::Conflict) => {}
                other => return other.map_err(AccountError::from),
            }
        }
        Err(AccountError::Commit(CommitError::Conflict))
    }

    /// Deletes a user with all factors and the profile in one commit. The id never returns, and the rows of the username
    /// and of an imported subject stay, pointing at nobody, so that a stranger does not take over what rules and apps give
    /// to them (PRI-03). Sessions die with the directory entry: the check of every request finds no user.
    pub async fn delete(
        &self,
        id: UserId,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        self.delete_by(id, &|_| Ok(()), &also).await
    }

    /// Like [`Accounts::delete`], if `may` says so of the record that is deleted.
    ///
    /// # Errors
    /// As [`Accounts::delete`], or what `may` says.
    pub async fn delete_if(
        &self,
        id: UserId,
        may: impl Fn(&UserRecord) -> Result<(), AccountError> + Send + Sync,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<(), AccountError> {
        self.delete_by(id, &may, &also).await
    }

    async fn delete_by(&self, id: UserId, may: &May<'_>, also: &Also<'_>) -> Result<(), AccountError> {
        for _ in 0..TRIES {
            let seen = self.record(&id)?;
            may(&seen.value)?;
            let _farewell = self.refuse_to_lose_the_last(&seen.value, None).await?;
            let mut batch = self.store.batch();
            batch.take(id.as_bytes(), &seen);
            if let Some(email) = &seen.value.email {
                batch.remove::<EmailRecord>(email_row(email).as_bytes());
            }
            batch.remove::<PasswordRecord>(id.as_bytes());
            self.stage_forget_foreign(&mut batch, id);
            batch.remove::<TotpRecord>(id.as_bytes());
            self.stage_forget_waiting(&mut batch, id);
            self.stage_forget_passkeys(&mut batch, id);
            batch.remove::<PasskeyHandleRecord>(id.as_bytes());
            self.stage_forget_profile(&mut batch, id)?;
            for (row, _) in self.store.scan::<RecoveryCodeRecord>(id.as_bytes(), None, 100)? {
                batch.remove::<RecoveryCodeRecord>(&row);
            }
            also(&mut batch, &seen.value);
            let directory = self.directory.clone();
            batch.after(move || directory.remove(&id));
            match self.store.commit(batch).await {
                Err(CommitError::Conflict) => {}
                other => return other.map_err(AccountError::from),
            }
        }
        Err(AccountError::Commit(CommitError::Conflict))
    }

    /// Refuses a change after which nobody could administer, or nobody would be owner; who was only invited cannot sign in
    /// and does not count. If an administrator or owner goes,
    /// the answer is to be held until the change is on disk: the next farewell then counts without them.
    async fn refuse_to_lose_the_last(
        &self,
        before: &UserRecord,
        after: Option<&UserRecord>,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, AccountError> {
        let goes = |least: Role| {
            let counts = |record: &UserRecord| {
                record.role >= least && record.status == Status::Active && record.has_credential()
            };
            counts(before) && !after.is_some_and(counts)
        };
        if !goes(Role::Owner) && !goes(Role::Admin) {
            return Ok(None);
        }
        let farewell = self.farewell.lock().await;
        let left =
            |least: Role| self.directory.count_active(|user| user.role >= least && user.has_credential());
        let is_last = |least: Role| goes(least) && left(least) <= 1;
        if is_last(Role::Admin) {
            return Err(AccountError::LastAdmin);
        }
        if is_last(Role::Owner) {
            return Err(AccountError::LastOwner);
        }
        Ok(Some(farewell))
    }

    fn stage_email_move(
        &self,
        batch: &mut Batch,
        id: UserId,
        before: Option<&Email>,
        after: Option<&Email>,
    ) -> Result<(), AccountError> {
        let (before, after) = (before.map(email_row), after.map(email_row));
        if before == after {
            return Ok(());
        }
        if let Some(row) = before {
            batch.remove::<EmailRecord>(row.as_bytes());
        }
        if let Some(row) = after {
            if self.store.get::<EmailRecord>(row.as_bytes())?.is_some() {
                return Err(AccountError::EmailTaken);
            }
            batch.insert_new(row.as_bytes(), &EmailRecord { user: id });
        }
        Ok(())
    }
}

/// The index row of an address: two spellings that differ in case are the same mailbox for us.
fn email_row(email: &Email) -> String {
    email.as_str().to_ascii_lowercase()
}

fn sorted(mut groups: Vec<GroupName>) -> Vec<GroupName> {
    groups.sort_unstable();
    groups.dedup();
    groups
}
