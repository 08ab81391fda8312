//! Every user in memory, without secrets: what the check of each request needs, read from the store at start and
//! changed in the same step as the commit that changes the record (GEN-02).

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
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
    pub groups: Arc<[GroupName]>,
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

    /// Tells whether there is anything to sign in with; who was only invited has nothing yet.
    pub fn has_credential(&self) -> bool {
        self.password_changed_at.is_some() || self.passkeys > 0
    }

    /// Tells whether the user may sign in.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// `groups` takes the place of those of the record.
    fn from_record(id: UserId, record: UserRecord, groups: Arc<[GroupName]>) -> Self {
        User {
            id,
            username: record.username,
            display_name: record.display_name,
            email: record.email,
            groups,
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

/// How many users are looked at before the lock is given back for a moment.
const CHUNK: usize = 512;

/// A user in the order of usernames.
struct ByName(Arc<User>);

impl Borrow<Username> for ByName {
    fn borrow(&self) -> &Username {
        &self.0.username
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.username == other.0.username
    }
}

impl Eq for ByName {}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.username.cmp(&other.0.username)
    }
}

#[derive(Default)]
struct People {
    by_id: IdMap<UserId, Arc<User>>,
    by_name: BTreeSet<ByName>,
    /// The sets of groups that people are in, with how many share each; nobody's are forgotten. There are far fewer of
    /// them than people.
    sets: BTreeMap<Arc<[GroupName]>, usize>,
}

impl People {
    /// Makes a user who shares the set of groups with those who are in the same.
    fn admit(&mut self, id: UserId, mut record: UserRecord) -> Arc<User> {
        let groups = std::mem::take(&mut record.groups);
        let groups = match self.sets.get_key_value(groups.as_slice()) {
            Some((shared, _)) => shared.clone(),
            None => groups.into(),
        };
        *self.sets.entry(groups.clone()).or_default() += 1;
        Arc::new(User::from_record(id, record, groups))
    }

    fn put(&mut self, id: UserId, record: UserRecord) {
        self.remove(&id);
        let user = self.admit(id, record);
        self.by_name.replace(ByName(user.clone()));
        self.by_id.insert(id, user);
    }

    fn remove(&mut self, id: &UserId) {
        let Some(former) = self.by_id.remove(id) else { return };
        // A name that was given away meanwhile belongs to somebody else.
        if self.by_name.get(&former.username).is_some_and(|entry| entry.0.id == *id) {
            self.by_name.remove(&former.username);
        }
        if let Some(count) = self.sets.get_mut(&former.groups) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sets.remove(&former.groups);
            }
        }
    }
}

/// All users by id and by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Directory {
    people: Arc<RwLock<People>>,
}

impl Directory {
    /// Reads every user.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let mut people = People::default();
        let mut users = Vec::new();
        store.for_each::<UserRecord>(|row, record| {
            let id = UserId::from_slice(row).ok_or(StoreError::Corrupt { table: "user" })?;
            users.push(people.admit(id, record));
            Ok(())
        })?;
        // Built at once from all of them: sorted once, and without room to spare.
        people.by_id = users.iter().map(|user| (user.id, user.clone())).collect();
        people.by_name = users.into_iter().map(ByName).collect();
        Ok(Directory { people: Arc::new(RwLock::new(people)) })
    }

    /// Returns the user with this id.
    pub fn get(&self, id: &UserId) -> Option<Arc<User>> {
        self.people.read().by_id.get(id).cloned()
    }

    /// Returns how many users there are.
    pub fn len(&self) -> usize {
        self.people.read().by_id.len()
    }

    /// Tells whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.people.read().by_id.is_empty()
    }

    /// Returns the active users that satisfy `is_wanted`, for small questions such as "is there another admin".
    pub fn count_active(&self, is_wanted: impl Fn(&User) -> bool) -> usize {
        self.people.read().by_id.values().filter(|user| user.is_active() && is_wanted(user)).count()
    }

    /// Returns all users that satisfy `is_wanted`, sorted by username.
    pub fn list(&self, is_wanted: impl Fn(&User) -> bool) -> Vec<Arc<User>> {
        let people = self.people.read();
        people.by_name.iter().map(|entry| &entry.0).filter(|user| is_wanted(user)).cloned().collect()
    }

    /// Shows users to `see` in the order of their usernames, those after `after`, until it has seen enough. Whoever
    /// changes meanwhile may be shown as before or after it; nobody else waits long.
    pub fn walk(&self, after: Option<&Username>, mut see: impl FnMut(&Arc<User>) -> ControlFlow<()>) {
        let mut after = after.cloned();
        loop {
            let people = self.people.read();
            let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut last = None;
            let mut count = 0;
            for entry in people.by_name.range::<Username, _>((start, Bound::Unbounded)).take(CHUNK) {
                if see(&entry.0).is_break() {
                    return;
                }
                count += 1;
                last = Some(&entry.0.username);
            }
            if count < CHUNK {
                return;
            }
            let last = last.cloned();
            drop(people);
            after = last;
        }
    }

    /// Shows users to `see` against the order of their usernames, from `last` on, until it has seen enough.
    pub fn walk_back(&self, last: &Username, mut see: impl FnMut(&Arc<User>) -> ControlFlow<()>) {
        let mut end = Bound::Included(last.clone());
        loop {
            let people = self.people.read();
            let range = people.by_name.range::<Username, _>((Bound::Unbounded, end.as_ref()));
            let mut first = None;
            let mut count = 0;
            for entry in range.rev().take(CHUNK) {
                if see(&entry.0).is_break() {
                    return;
                }
                count += 1;
                first = Some(&entry.0.username);
            }
            let Some(first) = first.filter(|_| count == CHUNK).cloned() else { return };
            drop(people);
            end = Bound::Excluded(first);
        }
    }

    /// Returns every group that somebody is in, with how many are.
    pub fn groups(&self) -> BTreeMap<GroupName, usize> {
        let sets: Vec<_> = self.people.read().sets.iter().map(|(set, count)| (set.clone(), *count)).collect();
        let mut members = BTreeMap::new();
        for (set, count) in &sets {
            for group in set.iter() {
                *members.entry(group.clone()).or_default() += count;
            }
        }
        members
    }

    /// Puts the newest state of a user; called from a commit's `after` hook.
    pub(super) fn put(&self, id: UserId, record: UserRecord) {
        self.people.write().put(id, record);
    }

    /// Forgets a user; called from a commit's `after` hook.
    pub(super) fn remove(&self, id: &UserId) {
        self.people.write().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, groups: &[&str]) -> UserRecord {
        UserRecord {
            username: Username::parse(name).unwrap(),
            display_name: DisplayName::parse(name).unwrap(),
            email: None,
            groups: groups.iter().map(|group| GroupName::parse(group).unwrap()).collect(),
            role: Role::Member,
            status: Status::Active,
            not_before: Timestamp::ZERO,
            created_at: Timestamp::ZERO,
            password_changed_at: None,
            has_totp: false,
            recovery_codes_left: 0,
            notice: None,
            passkeys: 0,
        }
    }

    fn id(number: u16) -> UserId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        UserId(bytes)
    }

    fn names(directory: &Directory, after: Option<&str>) -> Vec<String> {
        let after = after.map(|name| Username::parse(name).unwrap());
        let mut names = Vec::new();
        directory.walk(after.as_ref(), |user| {
            names.push(user.username.to_string());
            ControlFlow::Continue(())
        });
        names
    }

    #[test]
    fn a_walk_shows_everyone_once_by_name() {
        let directory = Directory::default();
        // More than are looked at in one go, and exactly twice as many.
        for count in [1300_u16, 1024] {
            for number in 0..count {
                directory.put(id(number), record(&format!("u{:05}", number.reverse_bits()), &[]));
            }
            let found = names(&directory, None);
            assert!(found.len() == directory.len() && found.is_sorted_by(|a, b| a < b));
            assert_eq!(names(&directory, Some(&found[700])), found[701..]);
            assert!(names(&directory, found.last().map(String::as_str)).is_empty());
            for last in [0, 511, 512, 700] {
                let last = Username::parse(&found[last]).unwrap();
                let mut back = Vec::new();
                directory.walk_back(&last, |user| {
                    back.push(user.username.to_string());
                    ControlFlow::Continue(())
                });
                back.reverse();
                let expected: Vec<&String> =
                    found.iter().take_while(|name| name.as_str() <= last.as_str()).collect();
                assert!(back.iter().eq(expected), "{last}");
            }
            (0..count).for_each(|number| directory.remove(&id(number)));
            assert!(directory.is_empty() && names(&directory, None).is_empty());
        }
    }

    #[test]
    fn members_are_counted_as_they_come_and_go() {
        let directory = Directory::default();
        let counts = || -> Vec<(String, usize)> {
            directory.groups().into_iter().map(|(name, count)| (name.to_string(), count)).collect()
        };
        directory.put(id(1), record("ann", &["a", "b"]));
        directory.put(id(2), record("bob", &["b"]));
        assert_eq!(counts(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        directory.put(id(1), record("ann", &["b"]));
        assert_eq!(counts(), [("b".to_owned(), 2)]);
        // Somebody gets the name of somebody who was deleted.
        directory.put(id(3), record("bob", &["b"]));
        directory.remove(&id(2));
        assert_eq!(
            (counts(), names(&directory, None)),
            (vec![("b".to_owned(), 2)], vec!["ann".into(), "bob".into()])
        );
        directory.remove(&id(1));
        directory.remove(&id(3));
        assert!(counts().is_empty());
    }

    #[test]
    fn people_share_sets_of_groups_and_sets_of_nobody_are_forgotten() {
        let directory = Directory::default();
        let groups = |number| directory.get(&id(number)).unwrap().groups.clone();
        let sets = || directory.people.read().sets.len();
        directory.put(id(1), record("ann", &["a", "b"]));
        directory.put(id(2), record("bob", &["a", "b"]));
        directory.put(id(3), record("cid", &["a"]));
        assert!(Arc::ptr_eq(&groups(1), &groups(2)) && sets() == 2);
        // The same again, and another one.
        directory.put(id(2), record("bob", &["a", "b"]));
        directory.put(id(3), record("cid", &["c"]));
        assert!(Arc::ptr_eq(&groups(1), &groups(2)) && sets() == 2);
        directory.put(id(3), record("cid", &["a", "b"]));
        assert!(Arc::ptr_eq(&groups(1), &groups(3)) && sets() == 1);
        let last = Arc::downgrade(&groups(1));
        (1..=3).for_each(|number| directory.remove(&id(number)));
        assert!(sets() == 0 && last.upgrade().is_none());
    }
}
