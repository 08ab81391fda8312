//! Which rule decides a request. Pure, compiled once for each list of rules, immutable.
//!
//! The steps, exactly. Only rules that name the host are looked at, in order; for each of them:
//!
//! 1. Methods and networks: the request's must be among them. Where it is not known what the method is or where the
//!    request comes from, none is ruled out yet.
//! 2. The rule lists people, the caller is known and is not one of them: the rule does not match.
//! 3. The host carries a name (`{user}.`, the group `User` of an expression), the caller is known and it is not theirs:
//!    the rule does not match.
//! 4. The rule has a condition on the query, the path, or both (resources). What has no single reading (a path without a
//!    canonical form, FWD-06; a query that servers read in different ways) is **refused**, because nobody can tell what
//!    the app would make of it. If a condition does not hold: the rule does not match. A rule by network whose other
//!    conditions hold **refuses** as well, if it is not known where the request comes from, and one by method, if that is
//!    not known.
//! 5. The rule is about people and nobody is signed in: **sign-in needed**, at the level of the rule (at one factor for
//!    `deny`). The rule is not skipped: after sign-in it may be the one that decides, so neither a later `bypass` nor
//!    the default may decide before that is known.
//! 6. The rule matches and decides. `bypass`: allowed. `deny`: refused, signed in or not. `one_factor`, `two_factor`:
//!    allowed if the caller has proven that much, else sign-in needed at that level.
//!
//! If no rule matches: **refused**. So a signed-in person outside the named groups falls through to the next rules
//! and in the end to the refusal, never to another sign-in page.

use std::cell::OnceCell;
use std::net::IpAddr;

use super::host_index::HostIndex;
use super::query::{self, QueryTest};
use super::rules::{Policy, Rule};
use crate::kernel::text::GroupName;
use crate::sessions::{Level, Principal};

/// What is asked for, in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host in normal form ([`super::domain::normal_host`]).
    pub host: &'a str,
    /// The canonical path; `None` if the path is ambiguous.
    pub path: Option<&'a str>,
    /// The query as it was sent, without the `?`.
    pub query: Option<&'a str>,
    /// The request method, upper case; `None` if the proxy does not tell.
    pub method: Option<&'a str>,
    /// Where the request comes from; `None` if no trusted proxy tells.
    pub address: Option<IpAddr>,
}

/// Who asks, as far as rules look at them: a person, a program that acts for one, or a program alone.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The username; empty for a program without a person.
    pub username: &'a str,
    /// The groups as the directory has them now.
    pub groups: &'a [GroupName],
    /// What has been proven.
    pub level: Level,
    /// The OAuth client that shows a token of its own, or of a person.
    pub client: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// Returns the person who is signed in.
    pub fn person(principal: &'a Principal) -> Self {
        Caller {
            username: principal.user.username.as_str(),
            groups: &principal.user.groups,
            level: principal.level(),
            client: None,
        }
    }

    /// Tells whether the caller is the person of this name, whatever the case of its letters.
    pub fn is_named(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.username.as_bytes().eq_ignore_ascii_case(name)
    }

    /// Tells whether the caller is in the group of this name, whatever the case of its letters.
    pub fn is_in_group(&self, name: &[u8]) -> bool {
        self.groups.iter().any(|group| group.as_str().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// What happens to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passes.
    Allow,
    /// It passes once the person has signed in at this level.
    NeedSignIn {
        /// The level to reach.
        level: Level,
    },
    /// It does not pass.
    Forbidden,
}

/// A decision and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens to the request.
    pub outcome: Outcome,
    /// The index of the rule that decided, from 0; `None` is the default refusal.
    pub rule: Option<usize>,
    /// Whether that rule reads a password in `Authorization: Basic`.
    pub allows_basic: bool,
    /// What it was refused for, if that was not known.
    pub lacking: Option<Lacking>,
}

/// What nobody said of a request although a rule looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Where it comes from.
    Address,
    /// Its method.
    Method,
}

/// What one rule makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgment {
    /// None of its domains names the host.
    OtherHost,
    /// The host carries the name of somebody else.
    OtherNameInHost,
    /// It is for other methods.
    OtherMethod,
    /// It is for other networks.
    OtherNetwork,
    /// It is for other people.
    OtherPeople,
    /// It is for other paths.
    OtherPath,
    /// It is for other addresses (resources).
    OtherResource,
    /// It is for other queries.
    OtherQuery,
    /// It has a condition on the path and the path is ambiguous: refused.
    AmbiguousPath,
    /// It has a condition on the query and the query is ambiguous: refused.
    AmbiguousQuery,
    /// It has a condition on the network or the method, and nobody knows it: refused.
    Unknown(Lacking),
    /// It decides.
    Decides(Outcome),
}

impl Judgment {
    /// Returns what happens to the request, if this rule decides it.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Judgment::Decides(outcome) => Some(outcome),
            Judgment::AmbiguousPath | Judgment::AmbiguousQuery | Judgment::Unknown(_) => {
                Some(Outcome::Forbidden)
            }
            _ => None,
        }
    }
}

/// A request while it is judged: what several rules need is made once.
struct Request<'a> {
    asked: Asked<'a>,
    caller: Option<Caller<'a>>,
    address: Option<IpAddr>,
    query: &'a str,
    target: OnceCell<String>,
    is_query_sound: OnceCell<bool>,
}

impl<'a> Request<'a> {
    fn new(asked: Asked<'a>, caller: Option<Caller<'a>>) -> Self {
        Request {
            asked,
            caller,
            address: asked.address.map(|address| address.to_canonical()),
            query: asked.query.unwrap_or_default(),
            target: OnceCell::new(),
            is_query_sound: OnceCell::new(),
        }
    }

    /// Returns what resources are compared with: the canonical path, and the query behind it if there is one.
    fn target(&self, path: &'a str) -> &str {
        if self.query.is_empty() {
            return path;
        }
        self.target.get_or_init(|| [path, "?", self.query].concat())
    }

    fn is_query_sound(&self) -> bool {
        *self.is_query_sound.get_or_init(|| query::is_sound(self.query))
    }

    /// Returns what `rule` makes of the request.
    fn judge(&self, rule: &Rule) -> Judgment {
        let is_by = |asked: &str| rule.methods().iter().any(|method| **method == *asked);
        if !rule.methods().is_empty() && self.asked.method.is_some_and(|asked| !is_by(asked)) {
            return Judgment::OtherMethod;
        }
        let is_from = |address: IpAddr| rule.networks().iter().any(|own| own.contains(&address));
        if !rule.networks().is_empty() && self.address.is_some_and(|address| !is_from(address)) {
            return Judgment::OtherNetwork;
        }
        let caller = self.caller.as_ref();
        if rule.names_people() && caller.is_some_and(|caller| !is_meant(rule, caller)) {
            return Judgment::OtherPeople;
        }
        if !self.is_host_meant(rule) {
            return Judgment::OtherNameInHost;
        }
        self.judge_address(rule)
            .unwrap_or_else(|| Judgment::Decides(decide(rule.policy(), rule.is_about_people(), caller)))
    }

    fn is_host_meant(&self, rule: &Rule) -> bool {
        // The index has looked at plain names.
        if !rule.is_about_people() && rule.host_patterns().is_empty() {
            return true;
        }
        let (host, caller) = (self.asked.host, self.caller.as_ref());
        rule.domains().iter().any(|domain| domain.names_for(host, caller))
            || rule.host_patterns().iter().any(|pattern| pattern.matches(host, caller))
    }

    /// Returns why the rule does not match by its conditions on path and query, or why nobody can tell, if so. What
    /// surely does not match is left alone, however ambiguous the rest is.
    fn judge_address(&self, rule: &Rule) -> Option<Judgment> {
        if let (Some(pattern), Some(path)) = (rule.path(), self.asked.path)
            && !pattern.matches(path)
        {
            return Some(Judgment::OtherPath);
        }
        if let (false, Some(path)) = (rule.resources().is_empty(), self.asked.path) {
            let target = self.target(path);
            if !rule.resources().iter().any(|pattern| pattern.matches(target, self.caller.as_ref())) {
                return Some(Judgment::OtherResource);
            }
        }
        if !rule.query().is_empty() {
            if !self.is_query_sound() {
                return Some(Judgment::AmbiguousQuery);
            }
            let holds = |list: &Vec<QueryTest>| list.iter().all(|test| test.holds(self.query));
            if !rule.query().iter().any(holds) {
                return Some(Judgment::OtherQuery);
            }
        }
        let is_about_path = rule.path().is_some() || !rule.resources().is_empty();
        if is_about_path && self.asked.path.is_none() {
            return Some(Judgment::AmbiguousPath);
        }
        if !rule.networks().is_empty() && self.address.is_none() {
            return Some(Judgment::Unknown(Lacking::Address));
        }
        let is_method_unknown = !rule.methods().is_empty() && self.asked.method.is_none();
        is_method_unknown.then_some(Judgment::Unknown(Lacking::Method))
    }
}

fn decide(policy: Policy, is_about_people: bool, caller: Option<&Caller<'_>>) -> Outcome {
    let needed = match policy {
        Policy::Bypass => return Outcome::Allow,
        Policy::Deny if is_about_people && caller.is_none() => Level::OneFactor,
        Policy::Deny => return Outcome::Forbidden,
        Policy::OneFactor => Level::OneFactor,
        Policy::TwoFactor => Level::TwoFactor,
    };
    match caller {
        Some(caller) if caller.level >= needed => Outcome::Allow,
        _ => Outcome::NeedSignIn { level: needed },
    }
}

fn is_meant(rule: &Rule, caller: &Caller<'_>) -> bool {
    rule.groups().iter().any(|group| caller.groups.contains(group))
        || rule.users().iter().any(|user| user.as_str() == caller.username)
        || caller.client.is_some_and(|id| rule.clients().iter().any(|client| client.as_str() == id))
        || rule.subjects().iter().any(|list| list.iter().all(|subject| subject.means(caller)))
}

/// A list of rules, compiled. Which rules name a host is found by one hash look-up for the host and one for each label
/// above it, however many rules there are, and where rules name hosts by expressions, by one pass of all of these at
/// once. Nothing is allocated for a rule while deciding.
#[derive(Debug, Default)]
pub struct Matcher {
    rules: Vec<Rule>,
    index: HostIndex,
}

impl Matcher {
    /// Compiles `rules`, in their order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Matcher { index: HostIndex::new(&rules), rules }
    }

    /// Returns the rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Decides a request; `caller` is who asks, if anyone is known.
    pub fn decide(&self, asked: Asked<'_>, caller: Option<Caller<'_>>) -> Decision {
        let request = Request::new(asked, caller);
        let mut decision =
            Decision { outcome: Outcome::Forbidden, rule: None, allows_basic: false, lacking: None };
        // Each source has its rules in order; the first rule of all that decides is the one that counts.
        self.index.each_source(asked.host, |candidates| {
            for index in candidates {
                let index = *index as usize;
                if decision.rule.is_some_and(|first| first <= index) {
                    break;
                }
                let Some(rule) = self.rules.get(index) else { continue };
                let judgment = request.judge(rule);
                if let Some(outcome) = judgment.outcome() {
                    decision = Decision {
                        outcome,
                        rule: Some(index),
                        allows_basic: rule.allows_basic(),
                        lacking: match judgment {
                            Judgment::Unknown(lacking) => Some(lacking),
                            _ => None,
                        },
                    };
                    break;
                }
            }
            decision.rule
        });
        decision
    }

    /// Tells whether a rule that reads passwords may come to decide this request, for one person or another. Looks at no
    /// person: who asks is not known before the password is.
    pub fn may_read_basic(&self, asked: Asked<'_>) -> bool {
        let request = Request::new(asked, None);
        let mut candidates: Vec<u32> = Vec::new();
        self.index.each_source(asked.host, |more| {
            candidates.extend_from_slice(more);
            // All of them may come to decide.
            None
        });
        candidates.sort_unstable();
        candidates.dedup();
        for index in candidates {
            let Some(rule) = self.rules.get(index as usize) else { continue };
            match request.judge(rule) {
                Judgment::Decides(Outcome::NeedSignIn { .. }) if rule.allows_basic() => return true,
                // Whoever it is not for comes to the next one.
                judgment if judgment.outcome().is_some() && !rule.is_about_people() => return false,
                _ => {}
            }
        }
        false
    }

    /// Tells what every rule makes of a request up to the one that decides, for the test box.
    pub fn trail(&self, asked: Asked<'_>, caller: Option<Caller<'_>>) -> Vec<Judgment> {
        let request = Request::new(asked, caller);
        let mut trail = Vec::new();
        for rule in &self.rules {
            let names_host = rule.domains().iter().any(|domain| domain.names(asked.host))
                || rule.host_patterns().iter().any(|pattern| pattern.matches(asked.host, None));
            let judgment = if names_host { request.judge(rule) } else { Judgment::OtherHost };
            trail.push(judgment);
            if judgment.outcome().is_some() {
                break;
            }
        }
        trail
    }
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "reference_tests.rs"]
mod reference_tests;

#[cfg(test)]
#[path = "authelia_tests.rs"]
mod authelia_tests;
