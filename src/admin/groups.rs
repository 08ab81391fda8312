//! Groups: those that were made, and those that somebody is in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Admin;
use super::authority::Deed;
use super::by::By;
use super::people::{listed, require_role};
use crate::access::{Rule, RuleList};
use crate::accounts::User;
use crate::accounts::links::OpenLink;
use crate::accounts::records::LinkPurpose;
use crate::audit::Kind;
use crate::http::Problem;
use crate::kernel::text::GroupName;
use crate::kernel::time::Timestamp;
use crate::store::{CommitError, Record, StoreError, Table};
use crate::words::{Said, Words, said};

/// The most groups that are kept without members.
const MOST_GROUPS: usize = 1000;
/// The most people that are renamed along with their group, because that is one commit.
const MOST_RENAMED: usize = 1000;

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
    /// How many apps are only for it and others named beside it.
    pub apps: usize,
}

fn exists() -> Problem {
    Problem::conflict("group_exists", Said::of(Words::groups_exists))
}

fn too_large() -> Problem {
    Problem::conflict("group_too_large", said(|t| t.groups_too_large(MOST_RENAMED)))
}

impl Admin {
    /// Lists all groups by name.
    pub fn list_groups(&self) -> Result<Vec<GroupView>, Problem> {
        let mut views: BTreeMap<GroupName, GroupView> = BTreeMap::new();
        let view = |name: &GroupName, members| GroupView { name: name.clone(), members, rules: 0, apps: 0 };
        for (row, _) in self.store.scan::<GroupRecord>(&[], None, MOST_GROUPS)? {
            let name = std::str::from_utf8(&row).ok().and_then(|name| GroupName::parse(name).ok());
            let name = name.ok_or_else(|| Problem::internal("a group has no name"))?;
            views.insert(name.clone(), view(&name, 0));
        }
        for (name, members) in self.accounts.directory().groups() {
            views.insert(name.clone(), view(&name, members));
        }
        for rule in self.access.list().rules() {
            for group in rule.named_groups().collect::<BTreeSet<_>>() {
                if let Some(view) = views.get_mut(group) {
                    view.rules += 1;
                }
            }
        }
        for client in self.oidc.clients() {
            for group in &client.settings.groups {
                if let Some(view) = views.get_mut(group) {
                    view.apps += 1;
                }
            }
        }
        Ok(views.into_values().collect())
    }

    /// Returns one group.
    ///
    /// # Errors
    /// 404 if nobody made it and nobody is in it.
    pub fn group(&self, name: &GroupName) -> Result<GroupView, Problem> {
        let found = self.list_groups()?.into_iter().find(|group| group.name == *name);
        found.ok_or_else(Problem::not_found)
    }

    /// Makes a group that nobody is in yet.
    ///
    /// # Errors
    /// 409 `group_exists`, `too_many_groups`.
    pub async fn create_group(&self, by: By<'_>, name: &GroupName) -> Result<(), Problem> {
        let groups = self.list_groups()?;
        if groups.iter().any(|group| group.name == *name) {
            return Err(exists());
        }
        if groups.len() >= MOST_GROUPS {
            return Err(Problem::conflict("too_many_groups", said(|t| t.groups_too_many(MOST_GROUPS))));
        }
        let mut batch = self.store.batch();
        batch.insert_new(name.as_str().as_bytes(), &GroupRecord { created_at: self.clock.now() });
        self.audit.write(&mut batch, by.event(Kind::GroupCreated).on(name));
        match self.store.commit(batch).await {
            Err(CommitError::Conflict) => Err(exists()),
            other => Ok(other?),
        }
    }

    /// Deletes a group that nobody is in and no rule or app names.
    ///
    /// # Errors
    /// 404, 409 `group_in_use`.
    pub async fn delete_group(&self, by: By<'_>, name: &GroupName) -> Result<(), Problem> {
        let group = self.group(name)?;
        if group.members + group.rules + group.apps > 0 {
            let GroupView { members, rules, apps, .. } = group;
            let sentence = said(move |t| t.groups_in_use(apps, members, rules));
            return Err(Problem::conflict("group_in_use", sentence));
        }
        let mut batch = self.store.batch();
        batch.remove::<GroupRecord>(name.as_str().as_bytes());
        self.audit.write(&mut batch, by.event(Kind::GroupDeleted).on(name));
        Ok(self.store.commit(batch).await?)
    }

    /// Gives a group another name, and with it everyone and everything that names it: people, open invitations, access
    /// rules and apps, in one commit. Nobody gains or loses anything by it here; apps learn the new name. A draft of the
    /// rules would not follow, nor would a host or path that is opened to the group of that name.
    ///
    /// # Errors
    /// 404, 409 `group_exists`, `draft_open`, `group_in_address`, `group_too_large`.
    pub async fn rename_group(&self, by: By<'_>, from: &GroupName, to: &GroupName) -> Result<(), Problem> {
        let group = self.group(from)?;
        if from == to {
            return Ok(());
        }
        let list = self.access.list();
        if self.is_group_known(&list, to)? {
            return Err(exists());
        }
        let is_drafted = self.access.draft().is_some_and(|draft| {
            group.rules > 0
                || draft.rules().iter().flat_map(Rule::named_groups).any(|name| name == from || name == to)
        });
        if is_drafted {
            return Err(Problem::conflict("draft_open", Said::of(Words::groups_draft_open)));
        }
        if list.rules().iter().any(Rule::has_group_in_address) {
            return Err(Problem::conflict("group_in_address", Said::of(Words::groups_in_address)));
        }
        if group.members > MOST_RENAMED {
            return Err(too_large());
        }
        let mut batch = self.store.batch();
        for user in self.accounts.directory().list(|user| user.groups.contains(from)) {
            let seen = self.accounts.record(&user.id)?;
            let mut changed = seen.value.clone();
            changed.groups.retain(|group| group != from && group != to);
            changed.groups.push(to.clone());
            changed.groups.sort_unstable();
            self.accounts.stage_change(&mut batch, user.id, &seen, changed);
        }
        batch.remove::<GroupRecord>(from.as_str().as_bytes());
        batch.put(to.as_str().as_bytes(), &GroupRecord { created_at: self.clock.now() });
        self.accounts.stage_rename_group_in_links(&mut batch, from, to)?;
        self.access.stage_rename_group(&mut batch, from, to, by.event(Kind::RuleChanged))?;
        self.oidc.stage_rename_group(&mut batch, from, to)?;
        let event = by.event(Kind::GroupRenamed).on(to).detail("from", from);
        self.audit.write(&mut batch, event.detail("members", group.members));
        match self.store.commit(batch).await {
            Err(CommitError::Store(StoreError::TooLarge { .. })) => Err(too_large()),
            other => Ok(other?),
        }
    }

    /// Tells whether a name means something already, also while nobody is in a group of that name: a rule, an app or an open
    /// invitation knows it, or there is one.
    fn is_group_known(&self, list: &RuleList, name: &GroupName) -> Result<bool, Problem> {
        let is_invited_to = |link: &OpenLink| match &link.record.purpose {
            LinkPurpose::Invite { groups, .. } => groups.contains(name),
            LinkPurpose::ResetPassword(_) => false,
        };
        Ok(list.rules().iter().flat_map(Rule::named_groups).any(|own| own == name)
            || self.oidc.clients().iter().any(|client| client.settings.groups.contains(name))
            || self.accounts.open_links()?.iter().any(is_invited_to)
            || self.list_groups()?.iter().any(|group| group.name == *name))
    }

    /// Puts a person into a group that exists. Nothing happens if they are in it.
    ///
    /// # Errors
    /// 404, `owner_only`.
    pub async fn put_in_group(&self, by: By<'_>, target: &User, name: &GroupName) -> Result<(), Problem> {
        self.group(name)?;
        self.edit_groups(by, target, |groups| groups.push(name.clone())).await
    }

    /// Takes a person out of a group.
    ///
    /// # Errors
    /// 404 if they are not in it, `owner_only`.
    pub async fn take_out_of_group(
        &self,
        by: By<'_>,
        target: &User,
        name: &GroupName,
    ) -> Result<(), Problem> {
        if !target.groups.contains(name) {
            return Err(Problem::not_found());
        }
        self.edit_groups(by, target, |groups| groups.retain(|group| group != name)).await
    }

    async fn edit_groups(
        &self,
        by: By<'_>,
        target: &User,
        edit: impl Fn(&mut Vec<GroupName>) + Send + Sync,
    ) -> Result<(), Problem> {
        by.require(target, Deed::Profile)?;
        if by.is(target.id) {
            by.require_fresh(self)?;
        }
        let mut wanted = target.groups.to_vec();
        edit(&mut wanted);
        wanted.sort_unstable();
        wanted.dedup();
        if wanted == target.groups.to_vec() {
            return Ok(());
        }
        self.accounts
            .change(
                target.id,
                |record| {
                    require_role(record, target)?;
                    edit(&mut record.groups);
                    Ok(())
                },
                |batch, record| {
                    let event = by.event(Kind::UserGroupsChanged).on_user(target.id, &record.username);
                    self.audit.write(batch, event.detail("groups", listed(&record.groups)));
                },
            )
            .await?;
        Ok(())
    }
}
