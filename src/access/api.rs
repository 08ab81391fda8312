//! The rules as JSON: what `/api/v1/admin/rules` takes and gives. The handlers stand with the other admin routes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::domain::{DomainPattern, is_below};
use super::forward_auth::{admit, parse_url};
use super::matcher::{Caller, Judgment, Outcome};
use super::rule_text::sentence;
use super::rules::{Rule, RuleError, RuleParts, build_all, shadowed};
use super::{Access, ChangeError, asked};
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

/// A question to the rules, as the test box asks it.
#[derive(Clone, Debug, Deserialize)]
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
    /// What that person has proven; one factor if left out.
    #[serde(default)]
    pub level: Option<Level>,
    /// Where the request comes from; no network of a rule if left out.
    #[serde(default)]
    pub address: Option<IpAddr>,
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
    /// For each rule up to the one that decided: why it did not match.
    pub trail: Vec<String>,
}

/// Returns the list.
pub fn list_rules(access: &Access) -> RulesDto {
    let list = access.list();
    let rules = (1..).zip(list.rules()).map(|(number, rule)| RuleDto {
        number,
        parts: rule.parts(),
        sentence: sentence(rule),
        line: rule.to_string(),
    });
    RulesDto { version: list.version(), rules: rules.collect(), warnings: warnings(access, list.rules()) }
}

/// Returns sentences about rules that can never decide.
pub fn warnings(access: &Access, rules: &[Rule]) -> Vec<String> {
    let mut warnings: Vec<String> = shadowed(rules)
        .into_iter()
        .map(|(late, early)| {
            format!("Rule {late} never decides: rule {early} comes first and always matches.")
        })
        .collect();
    let site = &access.shared.site;
    let Some(parent) = site.protected_domain() else { return warnings };
    for (number, rule) in (1..).zip(rules) {
        let is_reached = rule.domains().iter().any(|domain| match domain {
            DomainPattern::Exact(host) => site.is_protected_host(host),
            DomainPattern::Below(above) | DomainPattern::OfUser(above) | DomainPattern::OfGroup(above) => {
                **above == *parent || is_below(above, &parent) || is_below(&parent, above)
            }
        });
        if !is_reached && rule.host_patterns().is_empty() {
            warnings.push(format!("Rule {number} never decides: it names no app below {parent}."));
        }
    }
    warnings
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
/// 422 if the address is none, lies outside the protected domain, or the account does not exist.
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
    let site = &access.shared.site;
    if admit(&inquiry, site).is_err() {
        let sentence = match site.protected_domain() {
            Some(parent) => format!(
                "Doorward keeps out everything that is not an app below {parent} reached over HTTPS, whatever the rules say."
            ),
            None => {
                "No domain is protected yet, so nothing is let through, whatever the rules say.".to_owned()
            }
        };
        return Ok(CheckedDto { outcome: "forbidden", level: None, rule: None, sentence, trail: Vec::new() });
    }
    let caller = user.map(|user| Caller {
        username: user.username.as_str(),
        groups: &user.groups,
        level: question.level.unwrap_or(Level::OneFactor),
        client: None,
    });
    let list = access.list();
    let asked = asked(&inquiry, question.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let decision = list.matcher.decide(asked, caller);
    let trail = (1..).zip(list.matcher.trail(asked, caller)).filter_map(explain).collect();
    let (outcome, level) = match decision.outcome {
        Outcome::Allow => ("allow", None),
        Outcome::NeedSignIn { level } => ("sign_in", Some(level)),
        Outcome::Forbidden => ("forbidden", None),
    };
    let rule = decision.rule.map(|index| index + 1);
    let who = user.map_or("Someone who is not signed in", |user| user.display_name.as_str());
    Ok(CheckedDto { outcome, level, rule, sentence: in_words(who, decision.outcome, rule), trail })
}

fn in_words(who: &str, outcome: Outcome, rule: Option<usize>) -> String {
    let what = match outcome {
        Outcome::Allow => "gets in",
        Outcome::NeedSignIn { level: Level::OneFactor } => "is asked to sign in",
        Outcome::NeedSignIn { level: Level::TwoFactor } => "is asked to sign in with two factors",
        Outcome::Forbidden => "is kept out",
    };
    match rule {
        Some(number) => format!("{who} {what}, by rule {number}."),
        None => format!("{who} {what}, because no rule matches."),
    }
}

fn explain((number, judgment): (usize, Judgment)) -> Option<String> {
    let reason = match judgment {
        Judgment::Decides(_) => return None,
        Judgment::OtherHost => "is for other domains",
        Judgment::OtherNameInHost => "is for the domains of other people",
        Judgment::OtherNetwork => "is for other networks",
        Judgment::OtherResource => "is for other addresses",
        Judgment::OtherQuery => "is for other queries",
        Judgment::AmbiguousQuery => {
            "has a condition on the query, and this query could be read in two ways, so it is refused"
        }
        Judgment::OtherMethod => "is for other request methods",
        Judgment::OtherPeople => "is for other people",
        Judgment::OtherPath => "is for other paths",
        Judgment::AmbiguousPath => "has a path, and this path could be read in two ways, so it is refused",
    };
    Some(format!("Rule {number} {reason}."))
}
