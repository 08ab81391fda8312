//! Groups that get another name in the rules.

use super::rules::{Rule, RuleError};
use super::{Access, ChangeError};
use crate::audit::Event;
use crate::kernel::text::GroupName;
use crate::store::Batch;

impl Access {
    /// Adds to `batch` that every rule in force that names the group `from` names `to` instead. Adds nothing, not even
    /// `event`, if none does.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn stage_rename_group(
        &self,
        batch: &mut Batch,
        from: &GroupName,
        to: &GroupName,
        event: Event,
    ) -> Result<(), ChangeError> {
        let list = self.list();
        if !list.rules().iter().any(|rule| rule.named_groups().any(|name| name == from)) {
            return Ok(());
        }
        let renamed: Result<Vec<Rule>, RuleError> =
            list.rules().iter().map(|rule| renamed(rule, from, to)).collect();
        let new = self.write_list(batch, renamed.map_err(ChangeError::Unsound)?, list.version(), event)?;
        let shared = self.shared.clone();
        batch.after(move || shared.list.store(new));
        Ok(())
    }
}

fn renamed(rule: &Rule, from: &GroupName, to: &GroupName) -> Result<Rule, RuleError> {
    let mut parts = rule.parts();
    let (alone, among) = (from.as_str(), format!("group:{from}"));
    for group in parts.groups.iter_mut().filter(|group| *group == alone) {
        to.as_str().clone_into(group);
    }
    for subject in parts.subjects.iter_mut().flatten().filter(|subject| **subject == among) {
        *subject = format!("group:{to}");
    }
    Rule::build(&parts)
}
