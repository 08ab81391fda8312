//! Rules in words, for people, in the language of the reader. Pure.
//!
//! Languages order a sentence each in its own way, so the order stands in the texts: a sentence has places for people,
//! hosts and conditions, and each of them is a phrase with places of its own. Values of the rule go through all of them
//! between two marks that no text holds; in the end the marks tell values from words.

use super::domain::DomainPattern;
use super::query::{QueryTest, Test};
use super::rules::{Policy, Rule, network_text};
use super::subjects::Subject;
use crate::words::Words;

/// Marks the begin and the end of a value: two characters for private use (Unicode section 23.5).
const BEGIN: char = '\u{e000}';
const END: char = '\u{e001}';

/// A piece of a sentence; a page may set values apart from the words around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether it is a value of the rule (a name, a pattern, a level) and not a word of ours.
    pub is_value: bool,
}

/// Says the rule as a sentence, such as “People in *family* may open *photos.home.example* with *one factor*.”
pub fn pieces(rule: &Rule, t: Words) -> Vec<Piece> {
    let (hosts, place) = (hosts(rule, t), place(rule, t));
    let by = match rule.methods() {
        [] => String::new(),
        methods => t.rules_by(values(methods, t.rules_or())),
    };
    let networks: Vec<String> = rule.networks().iter().map(|network| network_text(*network)).collect();
    let from =
        if networks.is_empty() { String::new() } else { t.rules_from(values(&networks, t.rules_or())) };
    let also = if rule.allows_basic() { t.rules_also(value(t.rules_basic())) } else { String::new() };
    let people = capital(&marked_people(rule, t));
    let level = value(match rule.policy() {
        Policy::TwoFactor => t.rules_level_two(),
        Policy::OneFactor => t.rules_level_one(),
        Policy::Bypass | Policy::Deny => t.rules_level_none(),
    });
    let marked = match (rule.policy(), rule.names_people(), is_one(rule)) {
        (Policy::Bypass, _, _) => t.rules_bypass(also, by, from, hosts, level, place),
        (Policy::Deny, false, _) => t.rules_nobody(also, by, from, hosts, place),
        (Policy::Deny, true, true) => t.rules_one_may_not(also, by, from, hosts, people, place),
        (Policy::Deny, true, false) => t.rules_some_may_not(also, by, from, hosts, people, place),
        (_, false, _) => t.rules_everyone(also, by, from, hosts, level, place),
        (_, true, true) => t.rules_one_may(also, by, from, hosts, level, people, place),
        (_, true, false) => t.rules_some_may(also, by, from, hosts, level, people, place),
    };
    split(&marked)
}

/// Says the rule as one plain sentence.
pub fn sentence(rule: &Rule, t: Words) -> String {
    joined(&pieces(rule, t))
}

/// Says whom the rule names: “people in family, and ada”.
pub fn people(rule: &Rule, t: Words) -> String {
    plain(marked_people(rule, t).trim_end_matches(','))
}

/// Says which paths and queries the rule is for: “ where the path matches ^/api/”.
pub fn place_of(rule: &Rule, t: Words) -> String {
    plain(&place(rule, t))
}

/// Joins values as in “a, b or c”.
pub fn listed(names: &[impl std::fmt::Display], last: &str) -> String {
    plain(&values(names, last))
}

/// Marks a value.
fn value(text: impl std::fmt::Display) -> String {
    let text: String = text.to_string().chars().filter(|c| ![BEGIN, END].contains(c)).collect();
    format!("{BEGIN}{text}{END}")
}

/// Joins values as in “a, b or c”.
fn values(names: &[impl std::fmt::Display], last: &str) -> String {
    join(&names.iter().map(value).collect::<Vec<_>>(), last)
}

/// Joins phrases as in “a, b or c”.
fn join(phrases: &[String], last: &str) -> String {
    match phrases {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{}{last}{end}", first.join(", ")),
    }
}

/// Gives the sentence a capital letter, unless it begins with a value: names stay as they are.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn split(marked: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, part) in marked.split([BEGIN, END]).enumerate() {
        if !part.is_empty() {
            pieces.push(Piece { text: part.to_owned(), is_value: index % 2 == 1 });
        }
    }
    pieces
}

fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

fn plain(marked: &str) -> String {
    joined(&split(marked))
}

fn hosts(rule: &Rule, t: Words) -> String {
    let domains = rule.domains().iter().map(|domain| match domain {
        DomainPattern::OfUser(_) => t.rules_own_host(value(domain)),
        DomainPattern::OfGroup(_) => t.rules_group_host(value(domain)),
        DomainPattern::Exact(_) | DomainPattern::Below(_) => value(domain),
    });
    let patterns = rule.host_patterns().iter().map(|pattern| {
        let host = value(pattern.as_str());
        if pattern.is_about_people() { t.rules_own_hosts_like(host) } else { t.rules_hosts_like(host) }
    });
    join(&domains.chain(patterns).collect::<Vec<_>>(), t.rules_or())
}

fn place(rule: &Rule, t: Words) -> String {
    let mut conditions: Vec<String> = Vec::new();
    if let Some(path) = rule.path() {
        conditions.push(t.rules_path_matches(value(path.as_str())));
    }
    if !rule.resources().is_empty() {
        let sources: Vec<&str> = rule.resources().iter().map(|pattern| pattern.as_str()).collect();
        conditions.push(t.rules_target_matches(values(&sources, t.rules_or())));
    }
    let lists = rule
        .query()
        .iter()
        .map(|list| list.iter().map(|test| query_test(test, t)).collect::<Vec<_>>().join(t.rules_and()));
    let query = lists.collect::<Vec<_>>().join(t.rules_or_else());
    if !query.is_empty() {
        conditions.push(query);
    }
    if conditions.is_empty() { String::new() } else { t.rules_place(conditions.join(t.rules_and())) }
}

fn query_test(test: &QueryTest, t: Words) -> String {
    let key = value(test.key());
    let shown = |text: &str| value(if text.is_empty() { t.rules_empty_value() } else { text });
    match test.test() {
        Test::Equal(text) => t.rules_is(key, shown(text)),
        Test::NotEqual(text) => t.rules_is_not(key, shown(text)),
        Test::Present => t.rules_is_there(key),
        Test::Absent => t.rules_is_missing(key),
        Test::Pattern(pattern) => t.rules_matches(key, shown(pattern.as_str())),
        Test::NotPattern(pattern) => t.rules_matches_not(key, shown(pattern.as_str())),
    }
}

/// Tells whether the people of the rule are one person or program, as far as the sentence goes.
fn is_one(rule: &Rule) -> bool {
    let singles = rule.users().len() + rule.clients().len() + rule.subjects().len();
    rule.groups().is_empty() && singles == 1
}

fn marked_people(rule: &Rule, t: Words) -> String {
    let mut phrases = Vec::new();
    if !rule.groups().is_empty() {
        phrases.push(t.rules_in_groups(values(rule.groups(), t.rules_or())));
    }
    if !rule.users().is_empty() {
        phrases.push(values(rule.users(), t.rules_and()));
    }
    match rule.clients() {
        [] => {}
        [one] => phrases.push(t.rules_one_program(value(one))),
        several => phrases.push(t.rules_programs(values(several, t.rules_and()))),
    }
    for list in rule.subjects() {
        let subjects = list.iter().map(|subject| match subject {
            Subject::User(name) => value(name.as_str()),
            Subject::Group(name) => t.rules_is_in(value(name.as_str())),
            Subject::Client(id) => t.rules_is_program(value(id.as_str())),
        });
        phrases.push(t.rules_whoever(subjects.collect::<Vec<_>>().join(t.rules_and())));
    }
    phrases.join(t.rules_and_people())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;
    use crate::words::Lang;

    #[test]
    fn sentences_are_plain() {
        for (line, expected) in [
            (
                "allow one_factor domain=photos.home.example group=family",
                "People in family may open photos.home.example with one factor.",
            ),
            (
                "allow two_factor domain=a.example,b.example group=x,y user=ada,bob",
                "People in x or y, and ada and bob may open a.example or b.example with two factors.",
            ),
            ("allow one_factor domain=*.home.example", "Everyone may open *.home.example with one factor."),
            (
                "bypass domain=a.example path=^/share/ method=GET,HEAD",
                "Anyone may open a.example where the path matches ^/share/ by GET or HEAD without signing in.",
            ),
            ("deny domain=a.example", "Nobody may open a.example."),
            ("deny domain=a.example user=bob", "bob may not open a.example."),
            (
                "allow one_factor domain={user}.home.example,{group}.home.example programs=basic",
                "Everyone may open their own {user}.home.example or their groups’ {group}.home.example with one factor; programs may send a password in every request.",
            ),
            (
                "allow one_factor domain=a.example host~=^b\\d$ client=backup subject=user:ada+group:dev network=10.0.0.0/8,192.168.1.5",
                "The program backup, and whoever is ada and in dev may open a.example or hosts like ^b\\d$ from 10.0.0.0/8 or 192.168.1.5 with one factor.",
            ),
            (
                "bypass domain=a.example path=^/x resource=^/y resource=z query=k==v and=!t query=d!~^1",
                "Anyone may open a.example where the path matches ^/x and path and query match ^/y or z and the parameter k is v and the parameter t is missing, or the parameter d does not match ^1 without signing in.",
            ),
        ] {
            assert_eq!(sentence(&parse_line(line).unwrap(), Words::ENGLISH), expected);
        }
        let values: Vec<_> =
            pieces(&parse_line("deny domain=a.example group=guests").unwrap(), Words::ENGLISH)
                .into_iter()
                .filter(|piece| piece.is_value)
                .map(|piece| piece.text)
                .collect();
        assert_eq!(values, ["guests", "a.example"]);
    }

    #[test]
    fn sentences_in_german_are_ordered_as_german_is() {
        for (line, expected) in [
            (
                "allow one_factor domain=fotos.home.example group=familie",
                "Mitglieder von familie dürfen fotos.home.example mit einem Faktor öffnen.",
            ),
            (
                "allow two_factor domain=a.example,b.example group=x,y user=ada,bob",
                "Mitglieder von x oder y sowie ada und bob dürfen a.example oder b.example mit zwei Faktoren öffnen.",
            ),
            (
                "allow one_factor domain=*.home.example",
                "Alle Angemeldeten dürfen *.home.example mit einem Faktor öffnen.",
            ),
            (
                "bypass domain=a.example path=^/share/ method=GET,HEAD network=10.0.0.0/8",
                "Alle dürfen a.example per GET oder HEAD aus 10.0.0.0/8 ohne Anmeldung öffnen, wenn der Pfad zu ^/share/ passt.",
            ),
            ("deny domain=a.example", "Niemand darf a.example öffnen."),
            ("deny domain=a.example user=bob", "bob darf a.example nicht öffnen."),
            (
                "allow one_factor domain=a.example client=backup programs=basic",
                "Das Programm backup darf a.example mit einem Faktor öffnen; Programme dürfen bei jeder Anfrage ein Passwort senden.",
            ),
            (
                "allow one_factor domain=a.example subject=user:ada+group:dev",
                "Wer zugleich ada und Mitglied von dev ist, darf a.example mit einem Faktor öffnen.",
            ),
        ] {
            assert_eq!(sentence(&parse_line(line).unwrap(), Words::of(Lang::De)), expected);
        }
    }

    /// A value cannot pass for words, whatever it holds.
    #[test]
    fn values_hold_no_marks() {
        let marked = format!("{}{}", value("a\u{e001}b\u{e000}c"), "d");
        let pieces: Vec<(String, bool)> =
            split(&marked).into_iter().map(|piece| (piece.text, piece.is_value)).collect();
        assert_eq!(pieces, [("abc".to_owned(), true), ("d".to_owned(), false)]);
    }
}
