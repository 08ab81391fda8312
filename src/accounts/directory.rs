//! Every user in memory, without secrets: what the check of each request needs, read from the store at start and
//! changed in the same step as the commit that changes the record (GEN-02).

use std::sync::Arc;

use parking_lot::RwLock;

use super::records::{Role, Status, UserRecord};
use crate::kernel::ids::{IdMap, UserId};
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::kernel::time::Timestamp;
use crate::store::{Store, StoreError};

/// A user as every request sees it.
#[derive(Clone, Debug)]
pub struct User {
    /// The id, `sub` in tokens.
    pub id: UserId,
    /// The sign-in name.
    pub username: Username,
    /// The name shown.
    pub display_name: DisplayName,
    /// The address, if any.
    pub email: Option<Email>,
    /// The groups.
    pub groups: Box<[GroupName]>,
    /// The role.
    pub role: Role,
    /// Active or not.
    pub status: Status,
    /// Sessions begun before this moment are dead.
    pub not_before: Timestamp,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the password was last set.
    pub password_changed_at: Option<Timestamp>,
    /// Whether an authenticator app is enrolled.
    pub has_totp: bool,
    /// How many passkeys there are.
    pub passkeys: u8,
    /// How many recovery codes are left.
    pub recovery_codes_left: u8,
}

impl User {
    /// Tells whether the user is a member of `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own.as_str() == group)
    }

    /// Tells whether the password alone does not suffice: there is an authenticator app or a passkey.
    pub fn has_second_factor(&self) -> bool {
        self.has_totp || self.passkeys > 0
    }

    /// Tells whether the user may sign in.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    pub(super) fn from_record(id: UserId, record: &UserRecord) -> Self {
        User {
            id,
            username: record.username.clone(),
            display_name: record.display_name.clone(),
            email: record.email.clone(),
            groups: record.groups.clone().into_boxed_slice(),
            role: record.role,
            status: record.status,
            not_before: record.not_before,
            created_at: record.created_at,
            password_changed_at: record.password_changed_at,
            has_totp: record.has_totp,
            passkeys: record.passkeys,
            recovery_codes_left: record.recovery_codes_left,
        }
    }
}

/// All users by id. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory {
    users: Arc<RwLock<IdMap<UserId, Arc<User>>>>,
}

impl Directory {
    /// Reads every user.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let mut users = IdMap::default();
        store.for_each::<UserRecord>(|row, record| {
            let id = UserId::from_slice(row).ok_or(StoreError::Corrupt { table: "user" })?;
            users.insert(id, Arc::new(User::from_record(id, &record)));
            Ok(())
        })?;
        users.shrink_to_fit();
        Ok(Directory { users: Arc::new(RwLock::new(users)) })
    }

    /// Returns the user with this id.
    pub fn get(&self, id: &UserId) -> Option<Arc<User>> {
        self.users.read().get(id).cloned()
    }

    /// Returns how many users there are.
    pub fn len(&self) -> usize {
        self.users.read().len()
    }

    /// Tells whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.users.read().is_empty()
    }

    /// Returns the active users that satisfy `is_wanted`, for small questions such as "is there another admin".
    pub fn count_active(&self, is_wanted: impl Fn(&User) -> bool) -> usize {
        self.users.read().values().filter(|user| user.is_active() && is_wanted(user)).count()
    }

    /// Returns all users that satisfy `is_wanted`, sorted by username.
    pub fn list(&self, is_wanted: impl Fn(&User) -> bool) -> Vec<Arc<User>> {
        let mut found: Vec<_> = self.users.read().values().filter(|user| is_wanted(user)).cloned().collect();
        found.sort_by(|a, b| a.username.cmp(&b.username));
        found
    }

    /// Puts the newest state of a user; called from a commit's `after` hook.
    pub(super) fn put(&self, id: UserId, record: &UserRecord) {
        self.users.write().insert(id, Arc::new(User::from_record(id, record)));
    }

    /// Forgets a user; called from a commit's `after` hook.
    pub(super) fn remove(&self, id: &UserId) {
        self.users.write().remove(id);
    }
}
