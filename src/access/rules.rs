//! Access rules: what one says, and when one is sound. Pure.
//!
//! A rule has conditions of four kinds: **domains**, a **path**, **methods** and **people** (groups and users). Across
//! kinds all conditions must hold (and); within a kind one is enough (or): a person is meant if they are in one of
//! the groups *or* one of the named users. A kind that is left out puts no condition; domains cannot be left out.
//! Rules are read in order, the first one that matches decides, and what no rule matches is refused (see
//! [`super::matcher`] for the exact order of steps).

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::domain::DomainPattern;
use crate::kernel::text::{GroupName, Username};

/// Most rules in a list.
pub const MOST_RULES: usize = 500;
/// Most domain patterns in all rules together; bounds the memory of the matcher.
pub const MOST_DOMAINS: usize = 2000;
/// Most bytes of a rule as one line, so that it fits a stored value.
const LONGEST_RULE: usize = 2500;
/// Most bytes of a path pattern.
const LONGEST_PATH: usize = 500;
/// Most characters of a note.
const LONGEST_NOTE: usize = 200;
/// Most bytes of a compiled pattern.
const LARGEST_PATTERN: usize = 256 * 1024;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The field at fault: `domains`, `path`, `methods`, `groups`, `users`, `policy`, `note` or `rule`.
    pub field: &'static str,
    /// A sentence for the person who wrote the rule.
    pub sentence: String,
}

impl RuleError {
    pub(super) fn new(field: &'static str, sentence: impl Into<String>) -> Self {
        RuleError { field, sentence: sentence.into() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// A rule as texts: the shape of the API, of forms and of parsed lines, not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleParts {
    /// Hosts: `photos.home.example` or `*.home.example`.
    pub domains: Vec<String>,
    /// A regular expression for the canonical path, beginning with `^`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Request methods, upper case.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Groups, one of which a person must be in (or be one of `users`).
    #[serde(default)]
    pub groups: Vec<String>,
    /// Usernames.
    #[serde(default)]
    pub users: Vec<String>,
    /// `bypass`, `one_factor`, `two_factor` or `deny`.
    pub policy: String,
    /// A remark for the next admin.
    #[serde(default)]
    pub note: String,
}

/// A path pattern: a regular expression that must match from the first character of the canonical path on (FWD-06).
/// Matching takes time linear in the path, whatever the pattern.
#[derive(Clone, Debug)]
pub struct PathPattern {
    source: Box<str>,
    compiled: Regex,
}

impl PathPattern {
    /// Compiles `source`, which begins with `^`. The error is a sentence.
    pub fn parse(source: &str) -> Result<Self, String> {
        if !source.starts_with('^') {
            return Err(format!(
                "A path pattern begins with ^ and matches from the start of the path, as in ^/api/. “{source}” does not."
            ));
        }
        if source.len() > LONGEST_PATH {
            return Err(format!("A path pattern has at most {LONGEST_PATH} characters."));
        }
        if source.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err("A path pattern holds no space; write \\x20 for one.".into());
        }
        // The group anchors every alternative: in `^/a|/b` the second would otherwise match anywhere.
        let compiled = RegexBuilder::new(&format!(r"\A(?:{source})"))
            .size_limit(LARGEST_PATTERN)
            .dfa_size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| format!("“{source}” is no regular expression: {}.", reason(&error)))?;
        // A pattern that closes the group early would escape the anchor.
        RegexBuilder::new(source)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| format!("“{source}” is no regular expression: {}.", reason(&error)))?;
        Ok(PathPattern { source: source.into(), compiled })
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Tells whether the pattern matches the canonical path `path`.
    pub fn matches(&self, path: &str) -> bool {
        self.compiled.is_match(path)
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for PathPattern {}

/// Returns the last line of the error, which is the reason; the lines before draw the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').to_owned()
}

/// A sound rule. Made only by [`Rule::build`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    domains: Vec<DomainPattern>,
    path: Option<PathPattern>,
    methods: Vec<Box<str>>,
    groups: Vec<GroupName>,
    users: Vec<Username>,
    policy: Policy,
    note: Box<str>,
}

impl Rule {
    /// Checks the parts of a rule. Doubles are dropped; the order of domains, groups and users is kept.
    pub fn build(parts: &RuleParts) -> Result<Rule, RuleError> {
        let policy = Policy::parse(&parts.policy).ok_or_else(|| {
            RuleError::new("policy", "A rule decides one of: bypass, one_factor, two_factor, deny.")
        })?;
        let domains = each_once(&parts.domains, "domains", DomainPattern::parse)?;
        if domains.is_empty() {
            return Err(RuleError::new(
                "domains",
                "A rule needs at least one domain, such as photos.home.example.",
            ));
        }
        let path = match parts.path.as_deref() {
            None | Some("") => None,
            Some(source) => Some(PathPattern::parse(source).map_err(|text| RuleError::new("path", text))?),
        };
        let methods = each_once(&parts.methods, "methods", method)?;
        let groups = each_once(&parts.groups, "groups", |text| {
            GroupName::parse(text).map_err(|error| format!("“{text}”: {error}"))
        })?;
        let users = each_once(&parts.users, "users", |text| {
            Username::parse(text).map_err(|error| format!("“{text}”: {error}"))
        })?;
        if policy == Policy::Bypass && !(groups.is_empty() && users.is_empty()) {
            return Err(RuleError::new(
                "policy",
                "A bypass rule lets everyone in without asking who they are, so it cannot name groups or users. Use one_factor instead.",
            ));
        }
        let note = parts.note.trim();
        if note.chars().count() > LONGEST_NOTE || note.chars().any(char::is_control) {
            return Err(RuleError::new("note", "A note is one line of at most 200 characters."));
        }
        let rule = Rule { domains, path, methods, groups, users, policy, note: note.into() };
        if rule.to_string().len() > LONGEST_RULE {
            return Err(RuleError::new("rule", "This rule is too long; split it into several."));
        }
        Ok(rule)
    }

    /// Returns the rule as texts.
    pub fn parts(&self) -> RuleParts {
        RuleParts {
            domains: self.domains.iter().map(ToString::to_string).collect(),
            path: self.path.as_ref().map(|path| path.as_str().to_owned()),
            methods: self.methods.iter().map(|method| method.to_string()).collect(),
            groups: self.groups.iter().map(|group| group.as_str().to_owned()).collect(),
            users: self.users.iter().map(|user| user.as_str().to_owned()).collect(),
            policy: self.policy.as_str().to_owned(),
            note: self.note.to_string(),
        }
    }

    /// Returns the hosts it is for.
    pub fn domains(&self) -> &[DomainPattern] {
        &self.domains
    }

    /// Returns the path condition, if any.
    pub fn path(&self) -> Option<&PathPattern> {
        self.path.as_ref()
    }

    /// Returns the methods it is for; empty means every method.
    pub fn methods(&self) -> &[Box<str>] {
        &self.methods
    }

    /// Returns the groups it is for.
    pub fn groups(&self) -> &[GroupName] {
        &self.groups
    }

    /// Returns the users it is for.
    pub fn users(&self) -> &[Username] {
        &self.users
    }

    /// Returns what it decides.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns the remark.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Tells whether the rule names people, so that it can only be judged once the caller is known.
    pub fn is_about_people(&self) -> bool {
        !(self.groups.is_empty() && self.users.is_empty())
    }

    /// Tells whether a request that `other` matches is always matched by this rule too, as far as that can be told
    /// without comparing expressions: a rule after such a one never decides.
    pub fn covers(&self, other: &Rule) -> bool {
        let hosts = other.domains.iter().all(|theirs| self.domains.iter().any(|own| own.covers(theirs)));
        let path = self.path.is_none() || self.path == other.path;
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|method| self.methods.contains(method)));
        let people = !self.is_about_people()
            || (other.is_about_people()
                && other.groups.iter().all(|group| self.groups.contains(group))
                && other.users.iter().all(|user| self.users.contains(user)));
        hosts && path && methods && people
    }
}

fn method(text: &str) -> Result<Box<str>, String> {
    let upper = text.to_ascii_uppercase();
    let is_method =
        !upper.is_empty() && upper.len() <= 20 && upper.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_method {
        Ok(upper.into())
    } else {
        Err(format!("“{text}” is no request method, such as GET or POST."))
    }
}

fn each_once<T: PartialEq>(
    texts: &[String],
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
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

/// Checks a whole list: its size, and which rules can never decide. The first error names the number of its rule.
pub fn build_all(parts: &[RuleParts]) -> Result<Vec<Rule>, (usize, RuleError)> {
    let rules = parts
        .iter()
        .enumerate()
        .map(|(index, parts)| Rule::build(parts).map_err(|error| (index + 1, error)))
        .collect::<Result<Vec<_>, _>>()?;
    check_size(&rules).map_err(|error| (rules.len(), error))?;
    Ok(rules)
}

/// Checks that a list is within its bounds.
pub fn check_size(rules: &[Rule]) -> Result<(), RuleError> {
    if rules.len() > MOST_RULES {
        return Err(RuleError::new("rule", format!("There can be at most {MOST_RULES} rules.")));
    }
    if rules.iter().map(|rule| rule.domains.len()).sum::<usize>() > MOST_DOMAINS {
        return Err(RuleError::new(
            "domains",
            format!("All rules together can name at most {MOST_DOMAINS} domains."),
        ));
    }
    Ok(())
}

/// Returns a sentence for each rule that can never decide because an earlier one always does: its number, the
/// number of the earlier rule.
pub fn shadowed(rules: &[Rule]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if let Some(earlier) = rules.iter().take(index).position(|earlier| earlier.covers(rule)) {
            found.push((index + 1, earlier + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(policy: &str, domain: &str) -> RuleParts {
        RuleParts { domains: vec![domain.into()], policy: policy.into(), ..RuleParts::default() }
    }

    /// FWD-06: every alternative of a path pattern is anchored at the start of the path.
    #[test]
    fn every_alternative_of_a_path_is_anchored() {
        let pattern = PathPattern::parse("^/a|/b").unwrap();
        assert!(pattern.matches("/a") && pattern.matches("/b/x") && !pattern.matches("/x/b"));
        let pattern = PathPattern::parse("^/(api|feed)/$").unwrap();
        assert!(pattern.matches("/api/") && !pattern.matches("/api/x") && !pattern.matches("/x/api/"));
        let pattern = PathPattern::parse("^/größe").unwrap();
        assert!(pattern.matches("/größer"));
    }

    #[test]
    fn bad_paths_are_refused_with_a_sentence() {
        for bad in [
            "/api",
            "api",
            "^(",
            "^/a)|(/b",
            "^/a b",
            "^/a\n",
            "^/\\8",
            &format!("^{}", "a".repeat(600)),
            "^(a{99999}){9999}",
        ] {
            let sentence = PathPattern::parse(bad).unwrap_err();
            assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{bad}: {sentence}");
        }
    }

    #[test]
    fn bad_rules_name_the_field() {
        let ok = parts("one_factor", "a.example");
        assert!(Rule::build(&ok).is_ok());
        for (bad, field) in [
            (RuleParts { policy: "allow".into(), ..ok.clone() }, "policy"),
            (RuleParts { domains: vec![], ..ok.clone() }, "domains"),
            (RuleParts { domains: vec!["a b".into()], ..ok.clone() }, "domains"),
            (RuleParts { path: Some("/x".into()), ..ok.clone() }, "path"),
            (RuleParts { methods: vec!["G T".into()], ..ok.clone() }, "methods"),
            (RuleParts { groups: vec!["a,b".into()], ..ok.clone() }, "groups"),
            (RuleParts { users: vec!["a b".into()], ..ok.clone() }, "users"),
            (RuleParts { policy: "bypass".into(), users: vec!["ada".into()], ..ok.clone() }, "policy"),
            (RuleParts { note: "x".repeat(201), ..ok.clone() }, "note"),
            (RuleParts { note: "a\nb".into(), ..ok.clone() }, "note"),
            (
                RuleParts { domains: (0..300).map(|n| format!("host-{n}.example")).collect(), ..ok.clone() },
                "rule",
            ),
        ] {
            let error = Rule::build(&bad).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(error.sentence.ends_with('.'), "{error}");
        }
    }

    #[test]
    fn parts_come_back_folded_and_each_once() {
        let given = RuleParts {
            domains: vec!["A.Example.".into(), "a.example".into(), "*.B.example".into()],
            path: Some("^/x".into()),
            methods: vec!["get".into(), "GET".into()],
            groups: vec!["Family".into()],
            users: vec!["Ada".into()],
            policy: "two_factor".into(),
            note: " hi ".into(),
        };
        let parts = Rule::build(&given).unwrap().parts();
        assert_eq!(parts.domains, ["a.example", "*.b.example"]);
        assert_eq!(
            (parts.methods, parts.groups, parts.users),
            (vec!["GET".into()], vec!["family".into()], vec!["ada".into()])
        );
        assert_eq!(parts.note, "hi");
    }

    #[test]
    fn lists_are_bounded() {
        let many = vec![parts("deny", "a.example"); MOST_RULES + 1];
        assert_eq!(build_all(&many).unwrap_err().1.field, "rule");
        let wide =
            RuleParts { domains: (0..50).map(|n| format!("h{n}.example")).collect(), ..parts("deny", "x") };
        assert_eq!(build_all(&vec![wide; 41]).unwrap_err().1.field, "domains");
        assert_eq!(build_all(&[parts("deny", "a.example"), parts("deny", "")]).unwrap_err().0, 2);
    }

    #[test]
    fn a_rule_behind_a_wider_one_is_told() {
        let rules = build_all(&[
            RuleParts { groups: vec!["family".into()], ..parts("one_factor", "*.home.example") },
            RuleParts { users: vec!["ada".into()], ..parts("one_factor", "a.home.example") },
            parts("one_factor", "*.home.example"),
            RuleParts { path: Some("^/api".into()), ..parts("bypass", "a.home.example") },
            parts("deny", "home.example"),
        ])
        .unwrap();
        assert_eq!(shadowed(&rules), [(4, 3)]);
    }
}
