//! Why a request is decided as it is, in plain sentences. Pure.

use super::matcher::{Asked, Caller, Judgment, Lacking, Matcher, Outcome};
use super::rule_words::{listed, people, place_of};
use super::rules::{Rule, network_text};
use crate::sessions::Level;
use crate::words::Words;

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

/// Explains what `matcher` decides. `who` begins the answer, as in “Ada Lovelace”; `t` is the language of the reader.
pub(super) fn explain(
    matcher: &Matcher,
    asked: Asked<'_>,
    caller: Option<Caller<'_>>,
    who: &str,
    t: Words,
) -> Explanation {
    let decision = matcher.decide(asked, caller);
    let rule = decision.rule.map(|index| index + 1);
    let request = Request { asked, caller, who, t };
    let trail = request.trail(matcher);
    Explanation { outcome: decision.outcome, rule, sentence: in_words(who, decision.outcome, rule, t), trail }
}

fn in_words(who: &str, outcome: Outcome, rule: Option<usize>, t: Words) -> String {
    let what = match outcome {
        Outcome::Allow => t.rules_gets_in(who),
        Outcome::NeedSignIn { level: Level::OneFactor } => t.rules_asked_one(who),
        Outcome::NeedSignIn { level: Level::TwoFactor } => t.rules_asked_two(who),
        Outcome::Forbidden => t.rules_kept_out(who),
    };
    match rule {
        Some(number) => t.rules_by_rule(number, what),
        None => t.rules_by_none(what),
    }
}

struct Request<'a> {
    asked: Asked<'a>,
    caller: Option<Caller<'a>>,
    who: &'a str,
    t: Words,
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
            sentences.push(self.t.rules_reason(number, self.reason(rule, judgment)));
        }
        sentences.extend(others.map(|span| self.other_hosts(span)));
        sentences
    }

    fn other_hosts(&self, (first, last): (usize, usize)) -> String {
        let (t, host) = (self.t, self.asked.host);
        if first == last {
            t.rules_reason(first, t.rules_why_host(host))
        } else {
            t.rules_other_hosts(first, host, last)
        }
    }

    /// Says what follows “Rule 3 ”.
    fn reason(&self, rule: &Rule, judgment: Judgment) -> String {
        let (t, who, asked) = (self.t, self.who, &self.asked);
        match judgment {
            Judgment::OtherHost => t.rules_why_host(asked.host),
            Judgment::OtherNameInHost => t.rules_why_own_host(asked.host, who),
            Judgment::OtherMethod => {
                t.rules_why_method(asked.method.unwrap_or_default(), listed(rule.methods(), t.rules_or()))
            }
            Judgment::OtherNetwork => {
                let networks: Vec<String> =
                    rule.networks().iter().map(|network| network_text(*network)).collect();
                let from =
                    asked.address.map_or_else(|| t.rules_elsewhere().to_owned(), |from| from.to_string());
                t.rules_why_network(from, listed(&networks, t.rules_or()))
            }
            Judgment::Unknown(Lacking::Method) => t.rules_why_unknown_method().to_owned(),
            Judgment::Unknown(Lacking::Address) => t.rules_why_unknown().to_owned(),
            Judgment::OtherPeople => t.rules_why_people(people(rule, t), who),
            Judgment::OtherPath => {
                t.rules_why_path(self.path(), rule.path().map_or("", |path| path.as_str()))
            }
            Judgment::OtherResource => {
                let sources: Vec<&str> = rule.resources().iter().map(|pattern| pattern.as_str()).collect();
                let sources = listed(&sources, t.rules_or());
                if rule.resources().iter().any(|pattern| pattern.is_about_people()) {
                    t.rules_why_target_person(sources, self.target())
                } else {
                    t.rules_why_target(sources, self.target())
                }
            }
            Judgment::OtherQuery => match asked.query {
                None | Some("") => t.rules_why_no_query(place_of(rule, t)),
                Some(query) => t.rules_why_query(place_of(rule, t), query),
            },
            Judgment::AmbiguousPath => t.rules_why_odd_path().to_owned(),
            Judgment::AmbiguousQuery => t.rules_why_odd_query().to_owned(),
            Judgment::Decides(outcome) => self.decides(rule, outcome),
        }
    }

    fn decides(&self, rule: &Rule, outcome: Outcome) -> String {
        let t = self.t;
        let text = match (outcome, self.caller) {
            (Outcome::Allow, None) => t.rules_fits_all(),
            (Outcome::Allow, Some(_)) => return t.rules_fits_enough(self.who),
            (Outcome::NeedSignIn { .. }, None) if rule.is_about_people() => t.rules_fits_people(),
            (Outcome::NeedSignIn { level: Level::OneFactor }, _) => t.rules_fits_one(),
            (Outcome::NeedSignIn { level: Level::TwoFactor }, None) => t.rules_fits_two(),
            (Outcome::NeedSignIn { level: Level::TwoFactor }, Some(_)) => {
                return t.rules_fits_two_of_one(self.who);
            }
            (Outcome::Forbidden, _) => t.rules_fits_refuses(),
        };
        text.to_owned()
    }

    fn path(&self) -> &str {
        self.asked.path.unwrap_or(self.t.rules_this_path())
    }

    fn target(&self) -> String {
        match self.asked.query {
            None | Some("") => self.path().to_owned(),
            Some(query) => format!("{}?{query}", self.path()),
        }
    }
}
