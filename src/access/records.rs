//! What the store keeps of access rules.

use serde::{Deserialize, Serialize};

use super::rules::{Policy, Rule, RuleError, RuleParts};
use crate::store::{Record, Table};

/// A rule. Row: position (u32 BE, from 0).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RuleRecord {
    domains: Vec<String>,
    path: Option<String>,
    methods: Vec<String>,
    groups: Vec<String>,
    users: Vec<String>,
    policy: Policy,
    note: String,
}

impl Record for RuleRecord {
    const TABLE: Table = Table::ACCESS_RULE;
    const VERSION: u8 = 1;
}

impl From<&Rule> for RuleRecord {
    fn from(rule: &Rule) -> Self {
        let RuleParts { domains, path, methods, groups, users, policy: _, note } = rule.parts();
        RuleRecord { domains, path, methods, groups, users, policy: rule.policy(), note }
    }
}

impl TryFrom<RuleRecord> for Rule {
    type Error = RuleError;

    fn try_from(record: RuleRecord) -> Result<Self, RuleError> {
        let RuleRecord { domains, path, methods, groups, users, policy, note } = record;
        let policy = policy.as_str().to_owned();
        Rule::build(&RuleParts { domains, path, methods, groups, users, policy, note })
    }
}

/// The list as a whole; every change replaces it, so that two admins cannot mix their changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListRecord {
    /// Counts changes; 0 is the empty list of a new installation.
    pub(super) version: u64,
    /// How many rules there are.
    pub(super) count: u32,
}

impl ListRecord {
    /// Its row.
    pub(super) const ROW: &'static [u8] = b"access_rules";
}

impl Record for ListRecord {
    const TABLE: Table = Table::META;
    const VERSION: u8 = 1;
}
