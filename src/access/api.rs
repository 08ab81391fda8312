//! The rules as JSON: what `/api/v1/admin/rules` takes and gives. The handlers stand with the other admin routes.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::changes::{Change, changes};
use super::domain::DomainPattern;
use super::drafts::Seen;
use super::explain::{Explanation, explain};
use super::forward_auth::{admit, parse_url};
use super::matcher::{Caller, Outcome};
use super::rule_words::sentence;
use super::rules::{Policy, Rule, RuleError, RuleParts, build_all, shadowed};
use super::{Access, ChangeError, Inquiry, asked};
use crate::accounts::User;
use crate::audit::Event;
use crate::http::Problem;
use crate::sessions::Level;
use crate::words::{Said, Words, english_only, said};

/// A rule as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleDto {
    /// Its place in the list, from 1.
    pub number: usize,
    /// What it says.
    #[serde(flatten)]
    pub parts: RuleParts,
    /// What it says in words.
    pub sentence: String,
    /// What it says as one line, as the CLI takes it.
    pub line: String,
}

/// All rules, as the API shows them.
#[derive(Clone, Debug, Serialize)]
pub struct RulesDto {
    /// To be sent back with a change.
    pub version: u64,
    /// The rules in order.
    pub rules: Vec<RuleDto>,
    /// Sentences about rules that never decide.
    pub warnings: Vec<String>,
}

/// A new list, as the API takes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutRulesDto {
    /// The version that the change was made for.
    pub version: u64,
    /// The rules in order.
    pub rules: Vec<RuleParts>,
}

/// The draft, as the API shows it. Where none is open, it shows the list in force, from which a change would start.
#[derive(Clone, Debug, Serialize)]
pub struct DraftDto {
    /// Whether a draft is open.
    pub is_open: bool,
    /// To be sent back with a change of the draft.
    pub version: u64,
    /// The version of the list in force that the draft began with; to be sent back as well.
    pub based_on: u64,
    /// Whether that list is still in force, so that the draft can be put in force.
    pub is_current: bool,
    /// The rules in order.
    pub rules: Vec<RuleDto>,
    /// Sentences about rules that would never decide.
    pub warnings: Vec<String>,
    /// How it differs from the list in force.
    pub changes: Vec<ChangeDto>,
}

/// One difference between the draft and the list in force.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeDto {
    /// `added`, `removed` or `moved`.
    pub change: &'static str,
    /// Its number in the list in force, unless it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// Its number in the draft, unless it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<usize>,
    /// What the rule says, as the CLI takes it.
    pub line: String,
}

/// Returns how the draft differs from the list in force; nothing if there is none.
pub fn draft_changes(access: &Access) -> Vec<ChangeDto> {
    let (Some(draft), list) = (access.draft(), access.list()) else { return Vec::new() };
    let (old, new) = (list.rules(), draft.rules());
    let line = |rules: &[Rule], number: usize| {
        rules.get(number.wrapping_sub(1)).map(ToString::to_string).unwrap_or_default()
    };
    let show = |change: Change| match change {
        Change::Added(to) => ChangeDto { change: "added", from: None, to: Some(to), line: line(new, to) },
        Change::Removed(from) => {
            ChangeDto { change: "removed", from: Some(from), to: None, line: line(old, from) }
        }
        Change::Moved { from, to } => {
            ChangeDto { change: "moved", from: Some(from), to: Some(to), line: line(new, to) }
        }
    };
    changes(old, new).into_iter().map(show).collect()
}

/// A new draft, as the API takes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutDraftDto {
    /// The version of the draft that was looked at.
    pub version: u64,
    /// The version of the list in force that it is based on: the draft's own, or the newest, once that was looked at.
    pub based_on: u64,
    /// The rules in order.
    pub rules: Vec<RuleParts>,
}

/// Names a draft that is to be put in force.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyDraftDto {
    /// The version of the draft that was looked at.
    pub version: u64,
}

/// A question to the rules, as the test box asks it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckDto {
    /// The address to open, with `https://` in front or without.
    pub url: String,
    /// The request method; GET if left out.
    #[serde(default)]
    pub method: Option<String>,
    /// Who opens it, a username; nobody who is signed in if left out.
    #[serde(default)]
    pub username: Option<String>,
    /// The OAuth client that opens it, alone or for that person; none if left out.
    #[serde(default)]
    pub client: Option<String>,
    /// What has been proven; one factor if left out.
    #[serde(default)]
    pub level: Option<Level>,
    /// Where the request comes from; if left out, nobody knows, as with a proxy that does not tell, and a rule that
    /// looks at it refuses.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Whether to ask the draft instead of the list in force.
    #[serde(default)]
    pub draft: bool,
}

/// The answer of the test box.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedDto {
    /// `allow`, `sign_in` or `forbidden`.
    pub outcome: &'static str,
    /// The level to sign in at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The number of the rule that decided; none if no rule matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The answer in words.
    pub sentence: String,
    /// For each rule up to the one that decided: why it did or did not match.
    pub trail: Vec<String>,
}

/// Returns the list.
pub fn list_rules(access: &Access) -> RulesDto {
    let list = access.list();
    let rules = list.rules();
    RulesDto {
        version: list.version(),
        rules: shown(rules),
        warnings: warnings(access, rules, Words::ENGLISH),
    }
}

fn shown(rules: &[Rule]) -> Vec<RuleDto> {
    let show = |(number, rule): (usize, &Rule)| RuleDto {
        number,
        parts: rule.parts(),
        sentence: sentence(rule, Words::ENGLISH),
        line: rule.to_string(),
    };
    (1..).zip(rules).map(show).collect()
}

/// Returns the draft, or what one would start from.
pub fn show_draft(access: &Access) -> DraftDto {
    let (draft, list) = (access.draft(), access.list());
    let Seen { version, based_on } = access.draft_state();
    let rules = draft.as_ref().map_or_else(|| list.rules(), |draft| draft.rules());
    DraftDto {
        is_open: draft.is_some(),
        version,
        based_on,
        is_current: based_on == list.version(),
        rules: shown(rules),
        warnings: warnings(access, rules, Words::ENGLISH),
        changes: draft_changes(access),
    }
}

/// Replaces the draft, or opens one.
///
/// # Errors
/// 409 if the draft was changed, or is based on a list that is not in force; 422 with the number of the rule at fault.
pub async fn put_draft(access: &Access, new: &PutDraftDto, event: Event) -> Result<DraftDto, Problem> {
    let rules = build_all(&new.rules).map_err(|(number, error)| unsound(number, error))?;
    let seen = Seen { version: new.version, based_on: new.based_on };
    access.put_draft(rules, seen, event).await?;
    Ok(show_draft(access))
}

/// Most sentences of warning about a list.
const MOST_WARNINGS: usize = 30;

/// Returns sentences about rules that can never decide or match more than was meant, the first thirty of them.
pub fn warnings(access: &Access, rules: &[Rule], t: Words) -> Vec<String> {
    let mut warnings = all_warnings(access, rules, t);
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(t.rules_warn_more(more));
    }
    warnings
}

fn all_warnings(access: &Access, rules: &[Rule], t: Words) -> Vec<String> {
    let mut warnings: Vec<String> =
        shadowed(rules).into_iter().map(|(late, early)| t.rules_warn_shadowed(early, late)).collect();
    for (number, rule) in (1..).zip(rules) {
        warnings.extend(loose_patterns(rule, number, t));
    }
    let site = &access.shared.site;
    let Some(parents) = site.domain_names() else { return warnings };
    for (number, rule) in (1..).zip(rules) {
        let is_reached = rule.domains().iter().any(|domain| match domain {
            DomainPattern::Exact(host) => site.is_protected_host(host),
            DomainPattern::Below(above) | DomainPattern::OfUser(above) | DomainPattern::OfGroup(above) => {
                site.has_apps_below(above)
            }
        });
        if !is_reached && rule.host_patterns().is_empty() {
            warnings.push(t.rules_warn_no_app(&parents, number));
        }
    }
    warnings
}

/// Says which expressions of a rule that lets people in may match more than was meant.
fn loose_patterns(rule: &Rule, number: usize, t: Words) -> impl Iterator<Item = String> {
    let lets_in = rule.policy() != Policy::Deny;
    let hosts = rule.host_patterns().iter().filter(|pattern| !pattern.is_anchored_at_both_ends());
    let hosts = hosts.map(move |pattern| t.rules_warn_loose_host(number, pattern.as_str()));
    let targets = rule.resources().iter().filter(|pattern| !pattern.is_anchored_at_start());
    let targets = targets.map(move |pattern| t.rules_warn_loose_target(number, pattern.as_str()));
    hosts.chain(targets).filter(move |_| lets_in)
}

/// Replaces the list.
///
/// # Errors
/// 409 if the version is not the current one; 422 with the number of the rule at fault.
pub async fn put_rules(access: &Access, new: &PutRulesDto, event: Event) -> Result<RulesDto, Problem> {
    let rules = build_all(&new.rules).map_err(|(number, error)| unsound(number, error))?;
    access.replace_all(rules, new.version, event).await?;
    Ok(list_rules(access))
}

fn unsound(number: usize, error: RuleError) -> Problem {
    let sentence = english_only(format!("Rule {number}: {}", error.sentence));
    Problem::from(ChangeError::Unsound(RuleError { sentence, ..error })).with_member("rule", number)
}

/// Tells what would happen, in the language of the reader. `user` is the account that `question.username` names, if it names one that exists.
///
/// # Errors
/// 422 if the address is none or the account does not exist; 404 if the draft is asked and there is none.
pub fn check_rules(
    access: &Access,
    question: &CheckDto,
    user: Option<&Arc<User>>,
    t: Words,
) -> Result<CheckedDto, Problem> {
    if let (Some(name), None) = (&question.username, user) {
        let name = name.clone();
        let why = said(move |t| t.rules_no_account(&name));
        return Err(Problem::unprocessable("username", "no_such_user", why));
    }
    let mut url = question.url.trim().to_owned();
    if !url.contains("://") {
        url.insert_str(0, "https://");
    }
    if url.matches('/').count() == 2 {
        url.push('/');
    }
    let method = question.method.as_deref().unwrap_or("GET").trim().to_ascii_uppercase();
    let inquiry = parse_url(&url, &method)
        .map_err(|_| Problem::unprocessable("url", "no_url", Said::of(Words::rules_no_url)))?;
    if let Some(sentence) = out_of_reach(access, &inquiry, t) {
        return Ok(CheckedDto { outcome: "forbidden", level: None, rule: None, sentence, trail: Vec::new() });
    }
    let level = question.level.unwrap_or(Level::OneFactor);
    let client = question.client.as_deref();
    let caller = (user.is_some() || client.is_some()).then(|| Caller {
        username: user.map_or("", |user| user.username.as_str()),
        groups: user.map_or(&[], |user| &user.groups),
        level,
        client,
    });
    let who = match (user, client) {
        (Some(user), _) => user.display_name.to_string(),
        (None, Some(client)) => t.rules_a_program(client),
        (None, None) => t.rules_a_stranger().to_owned(),
    };
    let asked = asked(&inquiry, question.address);
    let explained = if question.draft {
        let draft = access.draft().ok_or(ChangeError::NoDraft)?;
        explain(&draft.matcher, asked, caller, &who, t)
    } else {
        explain(&access.list().matcher, asked, caller, &who, t)
    };
    let (outcome, level) = match explained.outcome {
        Outcome::Allow => ("allow", None),
        Outcome::NeedSignIn { level } => ("sign_in", Some(level)),
        Outcome::Forbidden => ("forbidden", None),
    };
    let Explanation { rule, sentence, trail, .. } = explained;
    Ok(CheckedDto { outcome, level, rule, sentence, trail })
}

/// Says why no rule is asked about the address, if so.
fn out_of_reach(access: &Access, inquiry: &Inquiry<'_>, t: Words) -> Option<String> {
    let site = &access.shared.site;
    admit(inquiry, site).err()?;
    Some(match site.domain_names() {
        Some(domains) => t.rules_reach_domains(domains),
        None => t.rules_reach_none().to_owned(),
    })
}
