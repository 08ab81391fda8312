//! Why a request is decided as it is, in plain sentences. Pure.

use super::matcher::{Asked, Caller, Judgment, Lacking, Matcher, Outcome};
use super::rule_words::{addresses, listed, people};
use super::rules::{Rule, network_text};
use crate::sessions::Level;

/// What would happen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Explanation {
    /// What happens to the request.
    pub outcome: Outcome,
    /// The number of the rule that decided, from 1; none if no rule matched.
    pub rule: Option<usize>,
    /// The answer in words.
    pub sentence: String,
    /// What every rule that was looked at made of the request, in order.
    pub trail: Vec<String>,
}

/// Explains what `matcher` decides. `who` begins the answer, as in “Ada Lovelace”.
pub(super) fn explain(
    matcher: &Matcher,
    asked: Asked<'_>,
    caller: Option<Caller<'_>>,
    who: &str,
) -> Explanation {
    let decision = matcher.decide(asked, caller);
    let rule = decision.rule.map(|index| index + 1);
    let request = Request { asked, caller, who };
    let trail = request.trail(matcher);
    Explanation { outcome: decision.outcome, rule, sentence: in_words(who, decision.outcome, rule), trail }
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

struct Request<'a> {
    asked: Asked<'a>,
    caller: Option<Caller<'a>>,
    who: &'a str,
}

impl Request<'_> {
    fn trail(&self, matcher: &Matcher) -> Vec<String> {
        let mut sentences = Vec::new();
        // Rules for other hosts, which nobody wants to read one by one.
        let mut others = None;
        let judged = matcher.trail(self.asked, self.caller);
        for ((number, rule), judgment) in (1..).zip(matcher.rules()).zip(judged) {
            if judgment == Judgment::OtherHost {
                others = Some(others.map_or((number, number), |(first, _)| (first, number)));
                continue;
            }
            sentences.extend(others.take().map(|span| self.other_hosts(span)));
            sentences.push(format!("Rule {number} {}.", self.reason(rule, judgment)));
        }
        sentences.extend(others.map(|span| self.other_hosts(span)));
        sentences
    }

    fn other_hosts(&self, (first, last): (usize, usize)) -> String {
        let host = self.asked.host;
        if first == last {
            format!("Rule {first} is for other hosts than {host}.")
        } else {
            format!("Rules {first} to {last} are for other hosts than {host}.")
        }
    }

    /// Says what follows “Rule 3 ”.
    fn reason(&self, rule: &Rule, judgment: Judgment) -> String {
        let who = self.who;
        match judgment {
            Judgment::OtherHost => format!("is for other hosts than {}", self.asked.host),
            Judgment::OtherNameInHost => {
                format!(
                    "is for hosts with one’s own name in them, and {} is not one of {who}",
                    self.asked.host
                )
            }
            Judgment::OtherMethod => {
                format!("is for {}, and this is {}", listed(rule.methods(), " or "), self.asked.method.unwrap_or_default())
            }
            Judgment::OtherNetwork => {
                let networks: Vec<String> =
                    rule.networks().iter().map(|network| network_text(*network)).collect();
                let networks = listed(&networks, " or ");
                let from = self.asked.address.map_or_else(|| "elsewhere".to_owned(), |from| from.to_string());
                format!("is for requests from {networks}, and this one comes from {from}")
            }
            Judgment::Unknown(Lacking::Method) => {
                "looks at the method, and nobody said it, so it is refused".into()
            }
            Judgment::Unknown(Lacking::Address) => {
                "looks at where requests come from, and nobody said where this one comes from, so it is refused. In this test, \
                 give an address; in practice, the reverse proxy must be one of server.trusted_proxies and set X-Forwarded-For"
                    .into()
            }
            Judgment::OtherPeople => format!("is for {}, and {who} is not among them", people(rule)),
            Judgment::OtherPath => {
                let pattern = rule.path().map_or("", |path| path.as_str());
                format!("is for paths that match {pattern}, and {} does not", self.path())
            }
            Judgment::OtherResource => {
                let sources: Vec<&str> = rule.resources().iter().map(|pattern| pattern.as_str()).collect();
                let has_name = rule.resources().iter().any(|pattern| pattern.is_about_people());
                let name = if has_name { " for this person" } else { "" };
                format!(
                    "is for a path and query that match {}, and {} does not{name}",
                    listed(&sources, " or "),
                    self.target()
                )
            }
            Judgment::OtherQuery => {
                let query = match self.asked.query {
                    None | Some("") => "there is no query".to_owned(),
                    Some(query) => format!("the query is ?{query}"),
                };
                format!("holds only {}, and {query}", addresses(rule))
            }
            Judgment::AmbiguousPath => {
                "looks at the path, and this path could be read in two ways, so it is refused".into()
            }
            Judgment::AmbiguousQuery => {
                "looks at the query, and this query could be read in two ways, so it is refused".into()
            }
            Judgment::Decides(outcome) => self.decides(rule, outcome),
        }
    }

    fn decides(&self, rule: &Rule, outcome: Outcome) -> String {
        let who = self.who;
        match (outcome, self.caller) {
            (Outcome::Allow, None) => "fits and lets everyone in".into(),
            (Outcome::Allow, Some(_)) => format!("fits, and {who} has proven enough"),
            (Outcome::NeedSignIn { .. }, None) if rule.is_about_people() => {
                "fits as far as can be told, but it is about people and nobody is signed in, so they sign in first".into()
            }
            (Outcome::NeedSignIn { level: Level::OneFactor }, _) => "fits and asks for one factor".into(),
            (Outcome::NeedSignIn { level: Level::TwoFactor }, None) => "fits and asks for two factors".into(),
            (Outcome::NeedSignIn { level: Level::TwoFactor }, Some(_)) => {
                format!("fits and asks for two factors, and {who} has proven one")
            }
            (Outcome::Forbidden, _) => "fits and refuses".into(),
        }
    }

    fn path(&self) -> &str {
        self.asked.path.unwrap_or("this path")
    }

    fn target(&self) -> String {
        match self.asked.query {
            None | Some("") => self.path().to_owned(),
            Some(query) => format!("{}?{query}", self.path()),
        }
    }
}
