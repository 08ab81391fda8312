//! Groups: those that were made, and those that somebody is in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Admin;
use crate::audit::Kind;
use crate::http::Problem;
use crate::kernel::text::GroupName;
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::Visit;
use crate::store::{CommitError, Record, Table};

/// The most groups that are kept without members.
const MOST_GROUPS: usize = 1000;

/// A group that was made. Row: its name. A group that somebody is in exists without one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupRecord {
    /// When it was made.
    pub created_at: Timestamp,
}

impl Record for GroupRecord {
    const TABLE: Table = Table::GROUP;
    const VERSION: u8 = 1;
}

/// A group as administrators see it.
#[derive(Clone, Debug, Serialize)]
pub struct GroupView {
    /// The name.
    pub name: GroupName,
    /// How many people are in it.
    pub members: usize,
    /// How many access rules name it.
    pub rules: usize,
}

impl Admin {
    /// Lists all groups by name.
    pub fn list_groups(&self) -> Result<Vec<GroupView>, Problem> {
        let mut counts: BTreeMap<GroupName, (usize, usize)> = BTreeMap::new();
        for (row, _) in self.store.scan::<GroupRecord>(&[], None, MOST_GROUPS)? {
            let name = std::str::from_utf8(&row).ok().and_then(|name| GroupName::parse(name).ok());
            counts.entry(name.ok_or_else(|| Problem::internal("a group has no name"))?).or_default();
        }
        for user in self.accounts.directory().list(|user| !user.groups.is_empty()) {
            for group in &user.groups {
                counts.entry(group.clone()).or_default().0 += 1;
            }
        }
        for rule in self.access.list().rules() {
            for group in rule.named_groups().collect::<BTreeSet<_>>() {
                if let Some((_, rules)) = counts.get_mut(group) {
                    *rules += 1;
                }
            }
        }
        let view = |(name, (members, rules))| GroupView { name, members, rules };
        Ok(counts.into_iter().map(view).collect())
    }

    /// Makes a group that nobody is in yet.
    ///
    /// # Errors
    /// 409 `group_exists`, `too_many_groups`.
    pub async fn create_group(
        &self,
        actor: &Principal,
        name: &GroupName,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let exists = || Problem::conflict("group_exists", "There is a group of this name.");
        let groups = self.list_groups()?;
        if groups.iter().any(|group| group.name == *name) {
            return Err(exists());
        }
        if groups.len() >= MOST_GROUPS {
            return Err(Problem::conflict(
                "too_many_groups",
                format!("There are {MOST_GROUPS} groups already; delete one first."),
            ));
        }
        let mut batch = self.store.batch();
        batch.insert_new(name.as_str().as_bytes(), &GroupRecord { created_at: self.clock.now() });
        self.audit.write(&mut batch, self.event(Kind::GroupCreated, actor, visit).on(name));
        match self.store.commit(batch).await {
            Err(CommitError::Conflict) => Err(exists()),
            other => Ok(other?),
        }
    }

    /// Deletes a group that nobody is in and no rule names.
    ///
    /// # Errors
    /// 404, 409 `group_in_use`.
    pub async fn delete_group(
        &self,
        actor: &Principal,
        name: &GroupName,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let groups = self.list_groups()?;
        let group = groups.iter().find(|group| group.name == *name).ok_or_else(Problem::not_found)?;
        if group.members + group.rules > 0 {
            return Err(Problem::conflict(
                "group_in_use",
                format!(
                    "The group is in use (people: {}, access rules: {}). Change these first.",
                    group.members, group.rules
                ),
            ));
        }
        let mut batch = self.store.batch();
        batch.remove::<GroupRecord>(name.as_str().as_bytes());
        self.audit.write(&mut batch, self.event(Kind::GroupDeleted, actor, visit).on(name));
        Ok(self.store.commit(batch).await?)
    }
}
