//! Access rules: what one says, and when one is sound. Pure.
//!
//! A rule has conditions of several kinds: **hosts**, **methods**, **networks**, **people** (users, groups, programs,
//! or several of them at once), the **path**, the address with its query (**resources**) and single **query**
//! parameters. Across kinds all conditions must hold (and); within a kind one is enough (or). A kind that is left out
//! puts no condition; hosts cannot be left out. Rules are read in order, the first one that matches decides, and what
//! no rule matches is refused (see [`super::matcher`] for the exact order of steps).

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::domain::DomainPattern;
use super::patterns::{NamedPattern, PathPattern};
use super::query::{QueryParts, QueryTest};
use super::subjects::{ClientName, Subject, refused_name};
use crate::kernel::text::{GroupName, Username};
use crate::words::{Said, Words, said};

/// Most rules in a list.
pub const MOST_RULES: usize = 1000;
/// Most domains in all rules together; bounds the memory of the matcher.
pub const MOST_DOMAINS: usize = 10_000;
/// Most regular expressions in all rules together; bounds the memory of the matcher.
pub const MOST_PATTERNS: usize = 2000;
/// Most bytes of all rules as lines, so that a list fits one commit.
pub const MOST_TEXT: usize = 400_000;
/// Most bytes of a rule as one line, so that it fits a stored value.
const LONGEST_RULE: usize = 2500;
/// Most characters of a note.
const LONGEST_NOTE: usize = 200;

/// What a rule that matches decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Anyone may pass, signed in or not.
    Bypass,
    /// A signed-in person may pass.
    OneFactor,
    /// A person who proved two factors may pass.
    TwoFactor,
    /// Nobody may pass.
    Deny,
}

impl Policy {
    /// Returns the name used in the API, in imports and in the text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Bypass => "bypass",
            Policy::OneFactor => "one_factor",
            Policy::TwoFactor => "two_factor",
            Policy::Deny => "deny",
        }
    }

    /// Parses the name used in the API, in imports and in the text form.
    pub fn parse(text: &str) -> Option<Policy> {
        match text {
            "bypass" => Some(Policy::Bypass),
            "one_factor" => Some(Policy::OneFactor),
            "two_factor" => Some(Policy::TwoFactor),
            "deny" => Some(Policy::Deny),
            _ => None,
        }
    }
}

/// Why a rule was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleError {
    /// The field of [`RuleParts`] at fault, or `rule`.
    pub field: &'static str,
    /// A sentence for the person who wrote the rule.
    pub sentence: Said,
}

impl RuleError {
    pub(super) fn new(field: &'static str, sentence: Said) -> Self {
        RuleError { field, sentence }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence.fmt(f)
    }
}

/// A rule as texts: the shape of the API, of forms and of parsed lines, not yet checked. It needs a domain or a domain
/// pattern and a policy; everything else may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleParts {
    /// Hosts: `photos.home.example`, `*.home.example`, `{user}.home.example` or `{group}.home.example`.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Regular expressions for hosts, unanchored; the groups `User` and `Group` must name the caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain_regex: Vec<String>,
    /// A regular expression for the canonical path, beginning with `^`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Regular expressions for the canonical path, followed by `?` and the raw query if there is one; unanchored, one
    /// must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Conditions on the query: one of the lists must hold as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Vec<QueryParts>>,
    /// Request methods, upper case.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Networks that the request comes from: `10.0.0.0/8` or `192.168.1.5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Groups; everyone in one of them is meant.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Usernames; each of them is meant.
    #[serde(default)]
    pub users: Vec<String>,
    /// Ids of OAuth clients; each of them is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Lists of `user:ada`, `group:dev`, `oauth2:client:backup`; who is all of one list is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Vec<String>>,
    /// What programs may prove themselves with beyond tokens: `basic`, a password in every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// `bypass`, `one_factor`, `two_factor` or `deny`.
    pub policy: String,
    /// A remark for the next admin.
    #[serde(default)]
    pub note: String,
}

/// A sound rule. Made only by [`Rule::build`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    domains: Vec<DomainPattern>,
    host_patterns: Vec<NamedPattern>,
    path: Option<PathPattern>,
    resources: Vec<NamedPattern>,
    query: Vec<Vec<QueryTest>>,
    methods: Vec<Box<str>>,
    networks: Vec<IpNet>,
    groups: Vec<GroupName>,
    users: Vec<Username>,
    clients: Vec<ClientName>,
    subjects: Vec<Vec<Subject>>,
    allows_basic: bool,
    is_about_people: bool,
    policy: Policy,
    note: Box<str>,
}

impl Rule {
    /// Checks the parts of a rule. Doubles are dropped, lists with one subject join the users, groups and clients; the
    /// order of everything else is kept.
    pub fn build(parts: &RuleParts) -> Result<Rule, RuleError> {
        // Before anything is compiled: as one line the rule would only be longer.
        if parts.text_length() > LONGEST_RULE {
            return Err(RuleError::new("rule", Said::of(Words::rules_too_long)));
        }
        let policy = Policy::parse(&parts.policy)
            .ok_or_else(|| RuleError::new("policy", Said::of(Words::rules_bad_policy)))?;
        let path = match parts.path.as_deref() {
            None | Some("") => None,
            Some(source) => Some(PathPattern::parse(source).map_err(|text| RuleError::new("path", text))?),
        };
        let mut rule = Rule {
            domains: each_once(&parts.domains, "domains", DomainPattern::parse)?,
            host_patterns: each_once(&parts.domain_regex, "domain_regex", NamedPattern::parse_host)?,
            path,
            resources: each_once(&parts.resources, "resources", NamedPattern::parse_resource)?,
            query: each_list(&parts.query, "query", QueryTest::build)?,
            methods: each_once(&parts.methods, "methods", method)?,
            networks: each_once(&parts.networks, "networks", network)?,
            groups: each_once(&parts.groups, "groups", |text| {
                GroupName::parse(text).map_err(|error| refused_name(text, error))
            })?,
            users: each_once(&parts.users, "users", |text| {
                Username::parse(text).map_err(|error| refused_name(text, error))
            })?,
            clients: each_once(&parts.clients, "clients", ClientName::parse)?,
            subjects: each_list(&parts.subjects, "subjects", |text| Subject::parse(text))?,
            allows_basic: allows_basic(&parts.programs)?,
            is_about_people: false,
            policy,
            note: parts.note.trim().into(),
        };
        rule.sort_out_single_subjects();
        rule.is_about_people = rule.names_people() || rule.has_names_in_addresses();
        rule.check()?;
        Ok(rule)
    }

    /// A list with one subject says the same as the plain lists, and is kept there.
    fn sort_out_single_subjects(&mut self) {
        for list in std::mem::take(&mut self.subjects) {
            match list.as_slice() {
                [Subject::User(name)] => add_once(&mut self.users, name),
                [Subject::Group(name)] => add_once(&mut self.groups, name),
                [Subject::Client(id)] => add_once(&mut self.clients, id),
                _ => self.subjects.push(list),
            }
        }
    }

    /// Checks what holds between the parts.
    fn check(&self) -> Result<(), RuleError> {
        if self.domains.is_empty() && self.host_patterns.is_empty() {
            return Err(RuleError::new("domains", Said::of(Words::rules_needs_host)));
        }
        if self.policy == Policy::Bypass && self.is_about_people() {
            return Err(RuleError::new("policy", said(|t| t.rules_bypass_people("{group}", "{user}"))));
        }
        if self.allows_basic && self.policy != Policy::OneFactor {
            return Err(RuleError::new("programs", Said::of(Words::rules_basic_level)));
        }
        if self.note.chars().count() > LONGEST_NOTE || self.note.chars().any(char::is_control) {
            return Err(RuleError::new("note", Said::of(Words::rules_bad_note)));
        }
        if self.to_string().len() > LONGEST_RULE {
            return Err(RuleError::new("rule", Said::of(Words::rules_too_long)));
        }
        Ok(())
    }

    /// Returns the rule as texts.
    pub fn parts(&self) -> RuleParts {
        let texts = |lists: &[Vec<Subject>]| {
            lists.iter().map(|list| list.iter().map(ToString::to_string).collect()).collect()
        };
        RuleParts {
            domains: self.domains.iter().map(ToString::to_string).collect(),
            domain_regex: self.host_patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            path: self.path.as_ref().map(|path| path.as_str().to_owned()),
            resources: self.resources.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            query: self.query.iter().map(|list| list.iter().map(QueryTest::parts).collect()).collect(),
            methods: self.methods.iter().map(|method| method.to_string()).collect(),
            networks: self.networks.iter().map(|network| network_text(*network)).collect(),
            groups: self.groups.iter().map(|group| group.as_str().to_owned()).collect(),
            users: self.users.iter().map(|user| user.as_str().to_owned()).collect(),
            clients: self.clients.iter().map(|client| client.as_str().to_owned()).collect(),
            subjects: texts(&self.subjects),
            programs: if self.allows_basic { vec![BASIC.to_owned()] } else { Vec::new() },
            policy: self.policy.as_str().to_owned(),
            note: self.note.to_string(),
        }
    }

    /// Returns the hosts it is for, beside those of [`Rule::host_patterns`].
    pub fn domains(&self) -> &[DomainPattern] {
        &self.domains
    }

    /// Returns the expressions for the hosts it is for.
    pub fn host_patterns(&self) -> &[NamedPattern] {
        &self.host_patterns
    }

    /// Returns the path condition, if any.
    pub fn path(&self) -> Option<&PathPattern> {
        self.path.as_ref()
    }

    /// Returns the expressions for the path with the query, one of which must match; empty means every address.
    pub fn resources(&self) -> &[NamedPattern] {
        &self.resources
    }

    /// Returns the conditions on the query, one list of which must hold; empty means every query.
    pub fn query(&self) -> &[Vec<QueryTest>] {
        &self.query
    }

    /// Returns the methods it is for; empty means every method.
    pub fn methods(&self) -> &[Box<str>] {
        &self.methods
    }

    /// Returns the networks it is for; empty means every address.
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// Returns the groups it is for.
    pub fn groups(&self) -> &[GroupName] {
        &self.groups
    }

    /// Returns the users it is for.
    pub fn users(&self) -> &[Username] {
        &self.users
    }

    /// Returns the OAuth clients it is for.
    pub fn clients(&self) -> &[ClientName] {
        &self.clients
    }

    /// Returns the lists of subjects it is for: who is all of one list is meant.
    pub fn subjects(&self) -> &[Vec<Subject>] {
        &self.subjects
    }

    /// Tells whether a password in `Authorization: Basic` is read where this rule decides.
    pub fn allows_basic(&self) -> bool {
        self.allows_basic
    }

    /// Returns what it decides.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns the remark.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Returns every group that the rule names, alone or together with others; one may come twice.
    pub fn named_groups(&self) -> impl Iterator<Item = &GroupName> {
        let together = self.subjects.iter().flatten().filter_map(|subject| match subject {
            Subject::Group(name) => Some(name),
            _ => None,
        });
        self.groups.iter().chain(together)
    }

    /// Tells whether the rule lists whom it is for.
    pub fn names_people(&self) -> bool {
        !(self.groups.is_empty()
            && self.users.is_empty()
            && self.clients.is_empty()
            && self.subjects.is_empty())
    }

    /// Tells whether the rule is about people, by naming them or by a host or path that holds a name, so that it can
    /// only be judged once the caller is known.
    pub fn is_about_people(&self) -> bool {
        self.is_about_people
    }

    /// Tells whether the name of a group stands in a host or path that the rule is for (`{group}.`, `(?P<Group>…)`).
    pub fn has_group_in_address(&self) -> bool {
        self.domains.iter().any(|domain| matches!(domain, DomainPattern::OfGroup(_)))
            || self.host_patterns.iter().chain(&self.resources).any(NamedPattern::is_about_groups)
    }

    fn has_names_in_addresses(&self) -> bool {
        self.domains.iter().any(DomainPattern::is_about_people)
            || self.host_patterns.iter().any(NamedPattern::is_about_people)
            || self.resources.iter().any(NamedPattern::is_about_people)
    }

    /// Tells whether a request that `other` matches is always matched by this rule too, as far as that can be told
    /// without comparing expressions: a rule after such a one never decides.
    pub fn covers(&self, other: &Rule) -> bool {
        fn within<T: PartialEq>(own: &[T], theirs: &[T]) -> bool {
            own.is_empty() || (!theirs.is_empty() && theirs.iter().all(|one| own.contains(one)))
        }
        let people = !self.names_people()
            || (other.names_people()
                && other.groups.iter().all(|group| self.groups.contains(group))
                && other.users.iter().all(|user| self.users.contains(user))
                && other.clients.iter().all(|client| self.clients.contains(client))
                && other.subjects.iter().all(|list| self.subjects.contains(list)));
        people
            && within(&self.methods, &other.methods)
            && within(&self.networks, &other.networks)
            && (self.path.is_none() || self.path == other.path)
            && within(&self.resources, &other.resources)
            && within(&self.query, &other.query)
            && other.host_patterns.iter().all(|theirs| self.host_patterns.contains(theirs))
            && other.domains.iter().all(|theirs| self.domains.iter().any(|own| own.covers(theirs)))
    }

    fn patterns(&self) -> usize {
        let in_query = self.query.iter().flatten().filter(|test| test.is_pattern()).count();
        self.host_patterns.len() + usize::from(self.path.is_some()) + self.resources.len() + in_query
    }
}

/// The one thing that `programs` may hold.
const BASIC: &str = "basic";

fn allows_basic(programs: &[String]) -> Result<bool, RuleError> {
    if programs.iter().all(|program| program == BASIC) {
        Ok(!programs.is_empty())
    } else {
        Err(RuleError::new("programs", Said::of(Words::rules_bad_programs)))
    }
}

fn network(text: &str) -> Result<IpNet, Said> {
    let text = text.trim();
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let typed = text.to_owned();
    let network = network.map_err(|_| said(move |t| t.access_bad_network(&typed)))?;
    // Addresses are compared in their plain form, so that a network of mapped ones would never match.
    let mapped = match network {
        IpNet::V6(wide) if wide.prefix_len() >= 96 => {
            let inner = wide.addr().to_ipv4_mapped();
            inner.and_then(|address| Ipv4Net::new(address, wide.prefix_len() - 96).ok()).map(IpNet::V4)
        }
        _ => None,
    };
    Ok(mapped.unwrap_or(network).trunc())
}

/// Writes a network; one address without a prefix length.
pub(super) fn network_text(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn add_once<T: PartialEq + Clone>(list: &mut Vec<T>, value: &T) {
    if !list.contains(value) {
        list.push(value.clone());
    }
}

fn method(text: &str) -> Result<Box<str>, Said> {
    let upper = text.to_ascii_uppercase();
    let is_method =
        !upper.is_empty() && upper.len() <= 20 && upper.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_method {
        Ok(upper.into())
    } else {
        let typed = text.to_owned();
        Err(said(move |t| t.access_bad_method(&typed)))
    }
}

fn each_once<T: PartialEq>(
    texts: &[String],
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, Said>,
) -> Result<Vec<T>, RuleError> {
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        let value = parse(text).map_err(|sentence| RuleError::new(field, sentence))?;
        if !found.contains(&value) {
            found.push(value);
        }
    }
    Ok(found)
}

/// Builds the lists of a condition that holds if all of one list does. An empty list would always hold.
fn each_list<P, T: PartialEq>(
    lists: &[Vec<P>],
    field: &'static str,
    build: impl Fn(&P) -> Result<T, Said>,
) -> Result<Vec<Vec<T>>, RuleError> {
    let mut found: Vec<Vec<T>> = Vec::with_capacity(lists.len());
    for list in lists {
        let mut built = Vec::with_capacity(list.len());
        for parts in list {
            let value = build(parts).map_err(|sentence| RuleError::new(field, sentence))?;
            if !built.contains(&value) {
                built.push(value);
            }
        }
        if built.is_empty() {
            return Err(RuleError::new(field, Said::of(Words::rules_empty_list)));
        }
        if !found.contains(&built) {
            found.push(built);
        }
    }
    Ok(found)
}

/// Checks a whole list: its size, and which rules can never decide. The first error names the number of its rule.
pub fn build_all(parts: &[RuleParts]) -> Result<Vec<Rule>, (usize, RuleError)> {
    // Before anything is compiled, which is what costs.
    let too_large = if parts.len() > MOST_RULES {
        Some(too_many_rules())
    } else if parts.iter().map(RuleParts::patterns).sum::<usize>() > MOST_PATTERNS {
        Some(too_many_patterns())
    } else {
        None
    };
    if let Some(error) = too_large {
        return Err((parts.len(), error));
    }
    let rules = parts
        .iter()
        .enumerate()
        .map(|(index, parts)| Rule::build(parts).map_err(|error| (index + 1, error)))
        .collect::<Result<Vec<_>, _>>()?;
    check_size(&rules).map_err(|error| (rules.len(), error))?;
    Ok(rules)
}

fn too_many_rules() -> RuleError {
    RuleError::new("rule", said(|t| t.rules_most_rules(MOST_RULES)))
}

fn too_many_patterns() -> RuleError {
    RuleError::new("rule", said(|t| t.rules_most_patterns(MOST_PATTERNS)))
}

/// Checks that a list is within its bounds.
pub fn check_size(rules: &[Rule]) -> Result<(), RuleError> {
    if rules.len() > MOST_RULES {
        return Err(too_many_rules());
    }
    if rules.iter().map(|rule| rule.domains.len()).sum::<usize>() > MOST_DOMAINS {
        return Err(RuleError::new("domains", said(|t| t.rules_most_domains(MOST_DOMAINS))));
    }
    if rules.iter().map(|rule| rule.to_string().len()).sum::<usize>() > MOST_TEXT {
        return Err(RuleError::new("rule", said(|t| t.rules_most_text(MOST_TEXT / 1000))));
    }
    if rules.iter().map(Rule::patterns).sum::<usize>() > MOST_PATTERNS {
        return Err(too_many_patterns());
    }
    Ok(())
}

/// Returns, for each rule that can never decide because an earlier one always does, its number and the number of the
/// earlier rule.
pub fn shadowed(rules: &[Rule]) -> Vec<(usize, usize)> {
    let mut naming: HashMap<Name<'_>, Vec<usize>> = HashMap::new();
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        // A rule that covers this one names its first host, so only few have to be compared.
        let first = names(rule).next();
        let earlier = first.into_iter().flat_map(wider).filter_map(|name| naming.get(&name)).flatten();
        let covering = earlier.filter(|at| rules.get(**at).is_some_and(|earlier| earlier.covers(rule))).min();
        if let Some(covering) = covering {
            found.push((index + 1, covering + 1));
        }
        for name in names(rule) {
            naming.entry(name).or_default().push(index);
        }
    }
    found
}

/// What a rule names hosts by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name<'a> {
    Host(&'a str),
    Below(&'a str),
    OfUser(&'a str),
    OfGroup(&'a str),
    Like(&'a str),
}

fn names(rule: &Rule) -> impl Iterator<Item = Name<'_>> {
    let plain = rule.domains.iter().map(|domain| match domain {
        DomainPattern::Exact(host) => Name::Host(host),
        DomainPattern::Below(parent) => Name::Below(parent),
        DomainPattern::OfUser(parent) => Name::OfUser(parent),
        DomainPattern::OfGroup(parent) => Name::OfGroup(parent),
    });
    plain.chain(rule.host_patterns.iter().map(|pattern| Name::Like(pattern.as_str())))
}

/// Returns everything by which a rule can name all hosts that `name` names.
fn wider(name: Name<'_>) -> impl Iterator<Item = Name<'_>> {
    let start = match name {
        Name::Host(host) => host.split_once('.').map(|(_, parent)| parent),
        Name::Below(parent) | Name::OfUser(parent) | Name::OfGroup(parent) => Some(parent),
        Name::Like(_) => None,
    };
    let parents = std::iter::successors(start, |parent| parent.split_once('.').map(|(_, above)| above));
    std::iter::once(name).chain(parents.map(Name::Below))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
