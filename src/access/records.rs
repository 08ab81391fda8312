//! What the store keeps of access rules.

use serde::{Deserialize, Serialize};

use super::query::QueryParts;
use super::rules::{Policy, Rule, RuleError, RuleParts};
use crate::store::{Record, Table};

/// A rule. Row: position (u32 BE, from 0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RuleRecord {
    domains: Vec<String>,
    domain_regex: Vec<String>,
    path: Option<String>,
    resources: Vec<String>,
    query: Vec<Vec<QueryParts>>,
    methods: Vec<String>,
    networks: Vec<String>,
    groups: Vec<String>,
    users: Vec<String>,
    clients: Vec<String>,
    subjects: Vec<Vec<String>>,
    programs: Vec<String>,
    policy: Policy,
    note: String,
}

/// What version 1 kept.
#[derive(Serialize, Deserialize)]
struct RuleRecord1 {
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
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        let RuleRecord1 { domains, path, methods, groups, users, policy, note } =
            postcard::from_bytes(body).ok().filter(|_| version == 1)?;
        Some(RuleRecord {
            domains,
            domain_regex: Vec::new(),
            path,
            resources: Vec::new(),
            query: Vec::new(),
            methods,
            networks: Vec::new(),
            groups,
            users,
            clients: Vec::new(),
            subjects: Vec::new(),
            programs: Vec::new(),
            policy,
            note,
        })
    }
}

impl From<&Rule> for RuleRecord {
    fn from(rule: &Rule) -> Self {
        let parts = rule.parts();
        RuleRecord {
            domains: parts.domains,
            domain_regex: parts.domain_regex,
            path: parts.path,
            resources: parts.resources,
            query: parts.query,
            methods: parts.methods,
            networks: parts.networks,
            groups: parts.groups,
            users: parts.users,
            clients: parts.clients,
            subjects: parts.subjects,
            programs: parts.programs,
            policy: rule.policy(),
            note: parts.note,
        }
    }
}

impl TryFrom<RuleRecord> for Rule {
    type Error = RuleError;

    fn try_from(record: RuleRecord) -> Result<Self, RuleError> {
        Rule::build(&RuleParts {
            domains: record.domains,
            domain_regex: record.domain_regex,
            path: record.path,
            resources: record.resources,
            query: record.query,
            methods: record.methods,
            networks: record.networks,
            groups: record.groups,
            users: record.users,
            clients: record.clients,
            subjects: record.subjects,
            programs: record.programs,
            policy: record.policy.as_str().to_owned(),
            note: record.note,
        })
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
