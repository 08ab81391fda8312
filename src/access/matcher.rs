//! Which rule decides a request. Pure, compiled once for each list of rules, immutable.
//!
//! The steps, exactly. Only rules whose domains name the host are looked at, in order; for each of them:
//!
//! 1. The rule has methods and the request's is not among them: the rule does not match.
//! 2. The rule names people, the caller is known and is not one of them: the rule does not match.
//! 3. The rule has a path condition. If the path of the request is ambiguous (it has no canonical form, FWD-06):
//!    **refused**, because nobody can tell what the app would make of it. If the pattern does not match the path: the
//!    rule does not match.
//! 4. The rule names people and nobody is signed in: **sign-in needed**, at the level of the rule (at one factor for
//!    `deny`). The rule is not skipped: after sign-in it may be the one that decides, so neither a later `bypass` nor
//!    the default may decide before that is known.
//! 5. The rule matches and decides. `bypass`: allowed. `deny`: refused, signed in or not. `one_factor`, `two_factor`:
//!    allowed if the caller has proven that much, else sign-in needed at that level.
//!
//! If no rule matches: **refused**. So a signed-in person outside the named groups falls through to the next rules
//! and in the end to the refusal, never to another sign-in page.

use std::collections::HashMap;

use super::domain::DomainPattern;
use super::rules::{Policy, Rule};
use crate::kernel::text::GroupName;
use crate::sessions::Level;

/// What is asked for, in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host in normal form ([`super::domain::normal_host`]).
    pub host: &'a str,
    /// The canonical path; `None` if the path is ambiguous.
    pub path: Option<&'a str>,
    /// The request method, upper case.
    pub method: &'a str,
}

/// A signed-in person, as far as rules look at them.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The username.
    pub username: &'a str,
    /// The groups as the directory has them now.
    pub groups: &'a [GroupName],
    /// What the session has proven.
    pub level: Level,
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
}

/// What one rule makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgment {
    /// None of its domains names the host.
    OtherHost,
    /// It is for other methods.
    OtherMethod,
    /// It is for other people.
    OtherPeople,
    /// It is for other paths.
    OtherPath,
    /// It has a path condition and the path is ambiguous: refused.
    AmbiguousPath,
    /// It decides.
    Decides(Outcome),
}

/// Returns what `rule`, one of whose domains names the host, makes of the request.
fn judge(rule: &Rule, asked: Asked<'_>, caller: Option<Caller<'_>>) -> Judgment {
    if !rule.methods().is_empty() && !rule.methods().iter().any(|method| **method == *asked.method) {
        return Judgment::OtherMethod;
    }
    let is_about_people = rule.is_about_people();
    if let Some(caller) = caller
        && is_about_people
        && !is_meant(rule, caller)
    {
        return Judgment::OtherPeople;
    }
    if let Some(pattern) = rule.path() {
        match asked.path {
            None => return Judgment::AmbiguousPath,
            Some(path) if !pattern.matches(path) => return Judgment::OtherPath,
            Some(_) => {}
        }
    }
    Judgment::Decides(decide(rule.policy(), is_about_people, caller))
}

fn decide(policy: Policy, is_about_people: bool, caller: Option<Caller<'_>>) -> Outcome {
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

fn is_meant(rule: &Rule, caller: Caller<'_>) -> bool {
    rule.groups().iter().any(|group| caller.groups.contains(group))
        || rule.users().iter().any(|user| user.as_str() == caller.username)
}

/// Where the candidates of a host stand in `Matcher::candidates`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

/// A list of rules, compiled. Finding the candidates of a host takes one hash look-up for an exact host and one for
/// each label above it otherwise, however many rules there are; nothing is allocated while deciding.
#[derive(Debug, Default)]
pub struct Matcher {
    rules: Vec<Rule>,
    /// For each host that a rule names exactly: every rule that names it, exactly or by a parent, in order.
    exact: HashMap<Box<str>, Span>,
    /// For each parent that a rule names: every rule that names hosts below it, by it or by a parent of it, in order.
    below: HashMap<Box<str>, Span>,
    candidates: Vec<u32>,
}

impl Matcher {
    /// Compiles `rules`, in their order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut matcher = Matcher { rules, ..Matcher::default() };
        let patterns: Vec<DomainPattern> =
            matcher.rules.iter().flat_map(|rule| rule.domains().iter().cloned()).collect();
        for pattern in patterns {
            let (DomainPattern::Exact(name) | DomainPattern::Below(name)) = &pattern;
            let is_known = match &pattern {
                DomainPattern::Exact(_) => matcher.exact.contains_key(name),
                DomainPattern::Below(_) => matcher.below.contains_key(name),
            };
            if is_known {
                continue;
            }
            let start = matcher.candidates.len();
            let naming = (0_u32..)
                .zip(&matcher.rules)
                .filter(|(_, rule)| rule.domains().iter().any(|own| own.covers(&pattern)));
            let naming: Vec<u32> = naming.map(|(index, _)| index).collect();
            matcher.candidates.extend(naming);
            let span = Span { start, end: matcher.candidates.len() };
            match pattern {
                DomainPattern::Exact(host) => matcher.exact.insert(host, span),
                DomainPattern::Below(parent) => matcher.below.insert(parent, span),
            };
        }
        matcher
    }

    /// Returns the rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn candidates(&self, host: &str) -> &[u32] {
        let span = self.exact.get(host).or_else(|| {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(span) = self.below.get(parent) {
                    return Some(span);
                }
                rest = parent;
            }
            None
        });
        span.and_then(|span| self.candidates.get(span.start..span.end)).unwrap_or(&[])
    }

    /// Decides a request; `caller` is who is signed in, if anyone.
    pub fn decide(&self, asked: Asked<'_>, caller: Option<Caller<'_>>) -> Decision {
        for index in self.candidates(asked.host) {
            let index = *index as usize;
            let Some(rule) = self.rules.get(index) else { continue };
            match judge(rule, asked, caller) {
                Judgment::Decides(outcome) => return Decision { outcome, rule: Some(index) },
                Judgment::AmbiguousPath => {
                    return Decision { outcome: Outcome::Forbidden, rule: Some(index) };
                }
                _ => {}
            }
        }
        Decision { outcome: Outcome::Forbidden, rule: None }
    }

    /// Tells what every rule makes of a request up to the one that decides, for the test box.
    pub fn trail(&self, asked: Asked<'_>, caller: Option<Caller<'_>>) -> Vec<Judgment> {
        let mut trail = Vec::new();
        for rule in &self.rules {
            let judgment = if rule.domains().iter().any(|domain| domain.names(asked.host)) {
                judge(rule, asked, caller)
            } else {
                Judgment::OtherHost
            };
            trail.push(judgment);
            if matches!(judgment, Judgment::Decides(_) | Judgment::AmbiguousPath) {
                break;
            }
        }
        trail
    }
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
