//! A list that is being worked on beside the one in force: tried out, then put in force as a whole, or dropped.

use std::sync::Arc;

use super::changes::{Change, changes};
use super::edits::Edit;
use super::matcher::Matcher;
use super::records::{DraftRecord, DraftRuleRecord, ListRecord, RuleRecord};
use super::rules::{self, Rule};
use super::{Access, ChangeError, RuleList};
use crate::audit::Event;
use crate::store::{Batch, CommitError, Store, StoreError, Versioned};

/// The draft as it is kept in memory.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Counts the changes of drafts; it never goes back, so that no form of an earlier draft fits a later one.
    version: u64,
    open: Option<Arc<Draft>>,
}

/// A draft of the list.
#[derive(Debug)]
pub struct Draft {
    version: u64,
    based_on: u64,
    pub(super) matcher: Matcher,
}

impl Draft {
    /// Returns the version, which a change of the draft must name.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the version of the list in force that the draft began with.
    pub fn based_on(&self) -> u64 {
        self.based_on
    }

    /// Returns the rules in order.
    pub fn rules(&self) -> &[Rule] {
        self.matcher.rules()
    }
}

/// What a change of a draft was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The version of the draft, or the number of the last one if none was open.
    pub version: u64,
    /// The version of the list in force that it is based on.
    pub based_on: u64,
}

impl Desk {
    /// Reads the draft. One that cannot be read is dropped: nothing of it is in force.
    pub(super) fn load(store: &Store) -> Result<Desk, StoreError> {
        let Some(stored) = store.get::<DraftRecord>(DraftRecord::ROW)? else { return Ok(Desk::default()) };
        let DraftRecord { version, based_on, count, is_open } = stored.value;
        if !is_open {
            return Ok(Desk { version, open: None });
        }
        let open = match read_rules(store, count) {
            Some(rules) => Some(Arc::new(Draft { version, based_on, matcher: Matcher::new(rules) })),
            None => {
                tracing::warn!(
                    "the draft of the access rules could not be read and was dropped; the rules in force are not touched"
                );
                None
            }
        };
        Ok(Desk { version, open })
    }
}

fn read_rules(store: &Store, count: u32) -> Option<Vec<Rule>> {
    let found = store.scan::<DraftRuleRecord>(&[], None, rules::MOST_RULES + 1).ok()?;
    let mut rules = Vec::with_capacity(found.len());
    for (position, (row, record)) in (0_u32..).zip(found) {
        if row != position.to_be_bytes() {
            return None;
        }
        rules.push(Rule::try_from(record.value.0).ok()?);
    }
    (u32::try_from(rules.len()) == Ok(count)).then_some(rules)
}

impl Access {
    /// Returns the draft, if one is open.
    pub fn draft(&self) -> Option<Arc<Draft>> {
        self.shared.desk.load().open.clone()
    }

    /// Returns what a change of the draft has to name now; where none is open, the change opens one on the list in
    /// force.
    pub fn draft_state(&self) -> Seen {
        let desk = self.shared.desk.load();
        let based_on = desk.open.as_ref().map_or_else(|| self.list().version(), |draft| draft.based_on);
        Seen { version: desk.version, based_on }
    }

    /// Replaces the draft, or opens one; returns its version. `event` becomes part of the same commit. A draft may be
    /// brought up to date by naming the version of the list in force.
    ///
    /// # Errors
    /// [`ChangeError::Stale`] if the draft is not the one that was seen, or a new one is not based on the list in force;
    /// and the others of [`ChangeError`].
    pub async fn put_draft(&self, rules: Vec<Rule>, seen: Seen, event: Event) -> Result<u64, ChangeError> {
        rules::check_size(&rules).map_err(ChangeError::Unsound)?;
        let now = self.draft_state();
        let is_current = seen.based_on == now.based_on || seen.based_on == self.list().version();
        if seen.version != now.version || !is_current {
            return Err(ChangeError::Stale);
        }
        let count = u32::try_from(rules.len()).unwrap_or(u32::MAX);
        let version = seen.version.saturating_add(1);
        let record = DraftRecord { version, based_on: seen.based_on, count, is_open: true };
        let (mut batch, old) = self.open_batch(seen.version, &record)?;
        for (position, rule) in (0_u32..).zip(&rules) {
            batch.put(&position.to_be_bytes(), &DraftRuleRecord(RuleRecord::from(rule)));
        }
        remove_rows(&mut batch, count, old);
        let event = event.detail("rules", count).detail("draft", version);
        self.shared.audit.write(&mut batch, event);
        let draft = Draft { version, based_on: seen.based_on, matcher: Matcher::new(rules) };
        self.commit_desk(batch, Desk { version, open: Some(Arc::new(draft)) }).await?;
        Ok(version)
    }

    /// Changes one rule of the draft. Where none is open, the list in force is the start of one.
    ///
    /// # Errors
    /// As for [`Access::put_draft`].
    pub async fn edit_draft(&self, edit: Edit, seen: Seen, event: Event) -> Result<u64, ChangeError> {
        let (draft, list);
        let old = match self.draft() {
            Some(open) if open.version == seen.version => {
                draft = open;
                draft.rules()
            }
            Some(_) => return Err(ChangeError::Stale),
            None => {
                list = self.list_at(seen.based_on)?;
                list.rules()
            }
        };
        let (rules, rule) = edit.apply(old)?;
        if rules == old {
            return Ok(seen.version);
        }
        self.put_draft(rules, seen, event.on(&rule)).await
    }

    /// Drops the draft that has version `seen`.
    ///
    /// # Errors
    /// [`ChangeError::NoDraft`], [`ChangeError::Stale`], or the store refused.
    pub async fn discard_draft(&self, seen: u64, event: Event) -> Result<(), ChangeError> {
        self.draft_at(seen)?;
        let (mut batch, version) = self.close_batch(seen)?;
        self.shared.audit.write(&mut batch, event.detail("draft", seen));
        self.commit_desk(batch, Desk { version, open: None }).await
    }

    /// Puts the draft that has version `seen` in force, as a whole and at once; returns the new version of the list.
    ///
    /// # Errors
    /// [`ChangeError::Stale`] also if the list in force is no longer the one that the draft began with.
    pub async fn apply_draft(&self, seen: u64, event: Event) -> Result<u64, ChangeError> {
        let draft = self.draft_at(seen)?;
        let (mut batch, version) = self.close_batch(seen)?;
        let list = self.write_list(&mut batch, draft.rules().to_vec(), draft.based_on, event)?;
        let new = list.version;
        let shared = self.shared.clone();
        batch.after(move || shared.list.store(list));
        self.commit_desk(batch, Desk { version, open: None }).await?;
        Ok(new)
    }

    fn draft_at(&self, seen: u64) -> Result<Arc<Draft>, ChangeError> {
        let draft = self.draft().ok_or(ChangeError::NoDraft)?;
        if draft.version == seen { Ok(draft) } else { Err(ChangeError::Stale) }
    }

    /// Begins a batch that writes `record` over the draft of version `seen`; tells how many rows that one has.
    fn open_batch(&self, seen: u64, record: &DraftRecord) -> Result<(Batch, u32), ChangeError> {
        let store = &self.shared.store;
        let stored: Option<Versioned<DraftRecord>> = store.get(DraftRecord::ROW)?;
        let old = stored.as_ref().map_or_else(DraftRecord::default, |stored| stored.value);
        if old.version != seen {
            return Err(ChangeError::Stale);
        }
        let mut batch = store.batch();
        match &stored {
            Some(stored) => batch.replace(DraftRecord::ROW, stored, record),
            None => batch.insert_new(DraftRecord::ROW, record),
        };
        Ok((batch, old.count))
    }

    fn close_batch(&self, seen: u64) -> Result<(Batch, u64), ChangeError> {
        let version = seen.saturating_add(1);
        let record = DraftRecord { version, ..DraftRecord::default() };
        let (mut batch, old) = self.open_batch(seen, &record)?;
        remove_rows(&mut batch, 0, old);
        Ok((batch, version))
    }

    async fn commit_desk(&self, mut batch: Batch, desk: Desk) -> Result<(), ChangeError> {
        let shared = self.shared.clone();
        batch.after(move || shared.desk.store(Arc::new(desk)));
        match self.shared.store.commit(batch).await {
            Ok(()) => Ok(()),
            Err(CommitError::Conflict) => Err(ChangeError::Stale),
            Err(error) => Err(ChangeError::Commit(error)),
        }
    }

    /// Adds a new list to a batch, in the place of the one with version `seen`.
    pub(super) fn write_list(
        &self,
        batch: &mut Batch,
        rules: Vec<Rule>,
        seen: u64,
        event: Event,
    ) -> Result<Arc<RuleList>, ChangeError> {
        rules::check_size(&rules).map_err(ChangeError::Unsound)?;
        let stored = self.shared.store.get::<ListRecord>(ListRecord::ROW)?;
        let old = stored.as_ref().map_or_else(ListRecord::default, |list| list.value);
        if old.version != seen {
            return Err(ChangeError::Stale);
        }
        let count = u32::try_from(rules.len()).unwrap_or(u32::MAX);
        let new = ListRecord { version: seen.saturating_add(1), count };
        match &stored {
            Some(stored) => batch.replace(ListRecord::ROW, stored, &new),
            None => batch.insert_new(ListRecord::ROW, &new),
        };
        // Rules that stay in their place need no new row.
        let current = self.list();
        let event = with_changes(event, current.rules(), &rules);
        let kept = if current.version == seen { current.rules() } else { &[] };
        for (position, rule) in rules.iter().enumerate() {
            if kept.get(position) != Some(rule)
                && let Ok(row) = u32::try_from(position)
            {
                batch.put(&row.to_be_bytes(), &RuleRecord::from(rule));
            }
        }
        for position in count..old.count {
            batch.remove::<RuleRecord>(&position.to_be_bytes());
        }
        self.shared.audit.write(batch, event.detail("rules", count).detail("version", new.version));
        Ok(Arc::new(RuleList::new(new.version, rules)))
    }
}

/// Adds to an event which rules came, went and moved, the first few of each.
fn with_changes(event: Event, old: &[Rule], new: &[Rule]) -> Event {
    const FEW: usize = 3;
    let (mut added, mut removed, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes(old, new) {
        let (into, rules, number) = match change {
            Change::Added(to) => (&mut added, new, to),
            Change::Removed(from) => (&mut removed, old, from),
            Change::Moved { to, .. } => (&mut moved, new, to),
        };
        let rule = number.checked_sub(1).and_then(|index| rules.get(index));
        if into.len() < FEW
            && let Some(rule) = rule
        {
            into.push(rule.to_string());
        }
    }
    let all = [("added", added), ("removed", removed), ("moved", moved)];
    let some = all.into_iter().filter(|(_, lines)| !lines.is_empty());
    some.fold(event, |event, (key, lines)| event.detail(key, lines.join("; ")))
}

fn remove_rows(batch: &mut Batch, from: u32, to: u32) {
    for position in from..to {
        batch.remove::<DraftRuleRecord>(&position.to_be_bytes());
    }
}
