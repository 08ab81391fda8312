//! Which rules name a host. Pure, made once for each list of rules.

use std::collections::HashMap;
use std::sync::Arc;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::domain::{DomainPattern, split_at_byte};
use super::rules::Rule;

/// Most bytes of all expressions for hosts, compiled as one. Beyond that they are tried one after the other.
const LARGEST_SET: usize = 8 * 1024 * 1024;

/// Where the rules of a name stand in `HostIndex::numbers`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

/// The rules that name a host, by host.
#[derive(Debug, Default)]
pub(super) struct HostIndex {
    /// The rules that name a host exactly.
    exact: Names,
    /// The rules that name hosts below a parent.
    below: Names,
    /// Indexes of rules; those of each name stand together, in order.
    numbers: Vec<u32>,
    patterns: HostPatterns,
}

/// Names of hosts. Most that are asked for are none of them, which their length alone nearly always tells.
#[derive(Debug, Default)]
struct Names {
    table: HashMap<Arc<str>, Span>,
    /// Whether there is a name of so many bytes; the last place is for all longer ones.
    lengths: Vec<bool>,
}

impl Names {
    const LONGEST: usize = 63;

    fn get(&self, name: &str) -> Option<&Span> {
        let length = name.len().min(Self::LONGEST);
        if self.lengths.get(length).copied().unwrap_or_default() { self.table.get(name) } else { None }
    }
}

impl FromIterator<(Arc<str>, Span)> for Names {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Span)>>(names: I) -> Self {
        let table: HashMap<_, _> = names.into_iter().collect();
        let mut lengths = vec![false; Self::LONGEST + 1];
        for name in table.keys() {
            if let Some(place) = lengths.get_mut(name.len().min(Self::LONGEST)) {
                *place = true;
            }
        }
        Names { table, lengths }
    }
}

/// The rules that name hosts by expressions.
#[derive(Debug, Default)]
struct HostPatterns {
    /// The rules, in order.
    all: Vec<u32>,
    /// For each expression, the rule it belongs to, in order.
    owners: Vec<u32>,
    /// All expressions as one; none if that became too large.
    set: Option<RegexSet>,
}

impl HostIndex {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let (mut exact, mut below) = (HashMap::new(), HashMap::new());
        for (number, rule) in (0_u32..).zip(rules) {
            for domain in rule.domains() {
                let table: &mut HashMap<&Arc<str>, Vec<u32>> = match domain {
                    DomainPattern::Exact(_) => &mut exact,
                    DomainPattern::Below(_) | DomainPattern::OfUser(_) | DomainPattern::OfGroup(_) => {
                        &mut below
                    }
                };
                let naming = table.entry(domain.name()).or_default();
                if naming.last() != Some(&number) {
                    naming.push(number);
                }
            }
        }
        let mut numbers = Vec::new();
        // Never so many: the domains of all rules are bounded.
        let place = |numbers: &Vec<u32>| u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let mut lay_out = |table: HashMap<&Arc<str>, Vec<u32>>| {
            table
                .into_iter()
                .map(|(name, naming)| {
                    let start = place(&numbers);
                    numbers.extend(naming);
                    (name.clone(), Span { start, end: place(&numbers) })
                })
                .collect()
        };
        let (exact, below) = (lay_out(exact), lay_out(below));
        HostIndex { exact, below, numbers, patterns: HostPatterns::new(rules) }
    }

    /// Hands `visit` every list of rules that name `host`, each in the order of the rules. A rule may be in several
    /// lists, and one that names hosts by a caller or an expression may turn out not to name this one. `visit` answers
    /// with the first rule that decides so far: expressions of later rules are not tried.
    pub(super) fn each_source(&self, host: &str, mut visit: impl FnMut(&[u32]) -> Option<usize>) {
        let mut decided = None;
        let mut show = |span: &Span| {
            decided = visit(self.numbers.get(span.start as usize..span.end as usize).unwrap_or_default())
        };
        if let Some(span) = self.exact.get(host) {
            show(span);
        }
        if !self.below.table.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = split_at_byte(rest, b'.') {
                if let Some(span) = self.below.get(parent) {
                    show(span);
                }
                rest = parent;
            }
        }
        let first = self.patterns.owners.first().map(|owner| *owner as usize);
        if first.is_some_and(|first| decided.is_none_or(|decided| first < decided)) {
            self.patterns.show(host, visit);
        }
    }
}

impl HostPatterns {
    fn new(rules: &[Rule]) -> Self {
        let numbered = || {
            (0_u32..).zip(rules).flat_map(|(number, rule)| {
                rule.host_patterns().iter().map(move |pattern| (number, pattern.as_str()))
            })
        };
        let owners: Vec<u32> = numbered().map(|(number, _)| number).collect();
        if owners.is_empty() {
            return HostPatterns::default();
        }
        let mut all = owners.clone();
        all.dedup();
        let sources = numbered().map(|(_, source)| source);
        let set = RegexSetBuilder::new(sources).unicode(false).size_limit(LARGEST_SET).build().ok();
        HostPatterns { all, owners, set }
    }

    fn show(&self, host: &str, mut visit: impl FnMut(&[u32]) -> Option<usize>) {
        let Some(set) = &self.set else {
            visit(&self.all);
            return;
        };
        for index in &set.matches(host.as_bytes()) {
            if let Some(owner) = self.owners.get(index) {
                visit(std::slice::from_ref(owner));
            }
        }
    }
}
