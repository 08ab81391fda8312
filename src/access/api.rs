//! The rules as JSON: what `/api/v1/admin/rules` takes and gives. The handlers stand with the other admin routes.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
    RulesDto { version: list.version(), rules: shown(rules), warnings: warnings(access, rules) }
}

fn shown(rules: &[Rule]) -> Vec<RuleDto> {
    let show = |(number, rule): (usize, &Rule)| RuleDto {
        number,
        parts: rule.parts(),
        sentence: sentence(rule),
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
        warnings: warnings(access, rules),
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
pub fn warnings(access: &Access, rules: &[Rule]) -> Vec<String> {
    let mut warnings = all_warnings(access, rules);
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(format!("There is more to say about these rules: {more} further warnings."));
    }
    warnings
}

fn all_warnings(access: &Access, rules: &[Rule]) -> Vec<String> {
    let mut warnings: Vec<String> = shadowed(rules)
        .into_iter()
        .map(|(late, early)| {
            format!("Rule {late} never decides: rule {early} comes first and always matches.")
        })
        .collect();
    for (number, rule) in (1..).zip(rules) {
        warnings.extend(loose_patterns(rule).map(|text| format!("Rule {number} {text}")));
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
            warnings.push(format!("Rule {number} never decides: it names no app below {parents}."));
        }
    }
    warnings
}

/// Says which expressions of a rule that lets people in may match more than was meant.
fn loose_patterns(rule: &Rule) -> impl Iterator<Item = String> {
    let lets_in = rule.policy() != Policy::Deny;
    let hosts =
        rule.host_patterns().iter().filter(|pattern| !pattern.is_anchored_at_both_ends()).map(|pattern| {
            format!(
                "lets people in to every host that has something like {} in it; ^ and $ would pin it down.",
                pattern.as_str()
            )
        });
    let resources = rule.resources().iter().filter(|pattern| !pattern.is_anchored_at_start()).map(|pattern| {
        format!("lets people in to every address that has something like {} in it, also in the query; ^ would pin it down.", pattern.as_str())
    });
    hosts.chain(resources).filter(move |_| lets_in)
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
    let sentence = format!("Rule {number}: {}", error.sentence);
    Problem::from(ChangeError::Unsound(RuleError { sentence, ..error })).with_member("rule", number)
}

/// Tells what would happen. `user` is the account that `question.username` names, if it names one that exists.
///
/// # Errors
/// 422 if the address is none or the account does not exist; 404 if the draft is asked and there is none.
pub fn check_rules(
    access: &Access,
    question: &CheckDto,
    user: Option<&Arc<User>>,
) -> Result<CheckedDto, Problem> {
    if let (Some(name), None) = (&question.username, user) {
        return Err(Problem::unprocessable(
            "username",
            "no_such_user",
            format!("There is no account “{name}”."),
        ));
    }
    let mut url = question.url.trim().to_owned();
    if !url.contains("://") {
        url.insert_str(0, "https://");
    }
    if url.matches('/').count() == 2 {
        url.push('/');
    }
    let method = question.method.as_deref().unwrap_or("GET").trim().to_ascii_uppercase();
    let inquiry = parse_url(&url, &method).map_err(|_| {
        Problem::unprocessable("url", "no_url", "Give an address such as https://photos.home.example/albums.")
    })?;
    if let Some(sentence) = out_of_reach(access, &inquiry) {
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
        (None, Some(client)) => format!("The program {client}"),
        (None, None) => "Someone who is not signed in".to_owned(),
    };
    let asked = asked(&inquiry, question.address);
    let explained = if question.draft {
        let draft = access.draft().ok_or(ChangeError::NoDraft)?;
        explain(&draft.matcher, asked, caller, &who)
    } else {
        explain(&access.list().matcher, asked, caller, &who)
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
fn out_of_reach(access: &Access, inquiry: &Inquiry<'_>) -> Option<String> {
    let site = &access.shared.site;
    admit(inquiry, site).err()?;
    Some(match site.domain_names() {
        Some(parents) => format!(
            "Doorward keeps out everything that is not an app below {parents} reached over HTTPS, whatever the rules say."
        ),
        None => "No domain is protected yet, so nothing is let through, whatever the rules say.".to_owned(),
    })
}
