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

/// A rule of the draft. Row: position (u32 BE, from 0).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DraftRuleRecord(pub(super) RuleRecord);

impl Record for DraftRuleRecord {
    const TABLE: Table = Table::ACCESS_DRAFT;
    // It holds a whole rule: a new version of that one is a new version here.
    const VERSION: u8 = RuleRecord::VERSION;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        RuleRecord::upgrade(version, body).map(DraftRuleRecord)
    }
}

/// The draft as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DraftRecord {
    /// Counts the changes of all drafts.
    pub(super) version: u64,
    /// The version of the list in force that it began with.
    pub(super) based_on: u64,
    /// How many rules there are.
    pub(super) count: u32,
    /// Whether there is one; the record stays for its version.
    pub(super) is_open: bool,
}

impl DraftRecord {
    /// Its row.
    pub(super) const ROW: &'static [u8] = b"access_draft";
}

impl Record for DraftRecord {
    const TABLE: Table = Table::META;
    const VERSION: u8 = 1;
}

#[cfg(test)]
impl Record for RuleRecord1 {
    const TABLE: Table = Table::ACCESS_RULE;
    const VERSION: u8 = 1;
}

/// Returns the row that version 1 kept of a rule which has no more than that knew.
#[cfg(test)]
pub(super) fn old_row(rule: &Rule) -> impl Record + use<> {
    let RuleParts { domains, path, methods, groups, users, note, .. } = rule.parts();
    RuleRecord1 { domains, path, methods, groups, users, policy: rule.policy(), note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;

    #[test]
    fn a_rule_of_version_1_is_still_read() {
        let old = RuleRecord1 {
            domains: vec!["a.example".into(), "*.b.example".into()],
            path: Some("^/api/".into()),
            methods: vec!["GET".into()],
            groups: vec!["family".into()],
            users: vec!["ada".into()],
            policy: Policy::TwoFactor,
            note: "why".into(),
        };
        let body = postcard::to_allocvec(&old).unwrap();
        let rule = Rule::try_from(RuleRecord::upgrade(1, &body).unwrap()).unwrap();
        let line = "allow two_factor domain=a.example,*.b.example path=^/api/ method=GET group=family user=ada # why";
        assert_eq!(rule, parse_line(line).unwrap());
        assert!(
            RuleRecord::upgrade(1, &[&body[..], &[0]].concat()).is_none_or(|record| record.note == "why")
        );
        assert!(RuleRecord::upgrade(0, &body).is_none() && RuleRecord::upgrade(3, &body).is_none());
        assert!(RuleRecord::upgrade(1, &body[..9]).is_none());
        let draft = DraftRuleRecord::upgrade(1, &body).unwrap();
        assert_eq!(Rule::try_from(draft.0).unwrap(), rule);
    }

    #[test]
    fn every_part_of_a_rule_is_stored() {
        let line = "allow one_factor domain={user}.a.example host~=^b resource=^/c query=k==v and=!t network=10.0.0.0/8 \
                    client=backup subject=user:ada+group:dev programs=basic # note";
        let rule = parse_line(line).unwrap();
        let body = postcard::to_allocvec(&RuleRecord::from(&rule)).unwrap();
        let back: RuleRecord = postcard::from_bytes(&body).unwrap();
        assert_eq!(Rule::try_from(back).unwrap(), rule);
    }
}
