//! Rules in words, for people. Pure.

use super::domain::DomainPattern;
use super::query::{QueryTest, Test};
use super::rules::{Policy, Rule, network_text};
use super::subjects::Subject;

/// A piece of a sentence; a page may set values apart from the words around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether it is a value of the rule (a name, a pattern, a level) and not a word of ours.
    pub is_value: bool,
}

/// Says the rule as a sentence, such as “People in *family* may open *photos.home.example* with *one factor*.”
pub fn pieces(rule: &Rule) -> Vec<Piece> {
    let mut sentence = Sentence::default();
    match (rule.policy(), rule.names_people()) {
        (Policy::Bypass, _) => sentence.words("Anyone may open "),
        (Policy::Deny, false) => sentence.words("Nobody may open "),
        (Policy::Deny, true) => {
            sentence.people(rule, true);
            sentence.words(" may not open ");
        }
        (_, false) => sentence.words("Everyone may open "),
        (_, true) => {
            sentence.people(rule, true);
            sentence.words(" may open ");
        }
    }
    sentence.hosts(rule);
    sentence.addresses(rule);
    if !rule.methods().is_empty() {
        sentence.words(" by ");
        sentence.values(rule.methods(), " or ");
    }
    if !rule.networks().is_empty() {
        sentence.words(" from ");
        let networks: Vec<String> = rule.networks().iter().map(|network| network_text(*network)).collect();
        sentence.values(&networks, " or ");
    }
    match rule.policy() {
        Policy::Bypass => {
            sentence.words(" ");
            sentence.value("without signing in");
        }
        Policy::OneFactor => {
            sentence.words(" with ");
            sentence.value("one factor");
        }
        Policy::TwoFactor => {
            sentence.words(" with ");
            sentence.value("two factors");
        }
        Policy::Deny => {}
    }
    if rule.allows_basic() {
        sentence.words("; programs may send ");
        sentence.value("a password in every request");
    }
    sentence.words(".");
    sentence.0
}

/// Says the rule as one plain sentence.
pub fn sentence(rule: &Rule) -> String {
    joined(pieces(rule))
}

/// Says whom the rule names: “people in family, and ada”.
pub fn people(rule: &Rule) -> String {
    let mut sentence = Sentence::default();
    sentence.people(rule, false);
    joined(sentence.0)
}

/// Says which paths and queries the rule is for: “where the path matches ^/api/”.
pub fn addresses(rule: &Rule) -> String {
    let mut sentence = Sentence::default();
    sentence.addresses(rule);
    joined(sentence.0).trim().to_owned()
}

/// Joins values as in “a, b or c”.
pub fn listed(values: &[impl std::fmt::Display], last: &str) -> String {
    let mut sentence = Sentence::default();
    sentence.values(values, last);
    joined(sentence.0)
}

fn joined(pieces: Vec<Piece>) -> String {
    pieces.into_iter().map(|piece| piece.text).collect()
}

#[derive(Default)]
struct Sentence(Vec<Piece>);

impl Sentence {
    fn words(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.0.push(Piece { text: text.to_owned(), is_value: false });
    }

    fn value(&mut self, text: &str) {
        self.0.push(Piece { text: text.to_owned(), is_value: true });
    }

    fn values(&mut self, values: &[impl std::fmt::Display], last: &str) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.words(if index + 1 == values.len() { last } else { ", " });
            }
            self.value(&value.to_string());
        }
    }

    fn hosts(&mut self, rule: &Rule) {
        let all = rule.domains().len() + rule.host_patterns().len();
        let mut said = 0;
        let mut join = |sentence: &mut Sentence| {
            if said > 0 {
                sentence.words(if said + 1 == all { " or " } else { ", " });
            }
            said += 1;
        };
        for domain in rule.domains() {
            join(self);
            match domain {
                DomainPattern::OfUser(_) => self.words("their own "),
                DomainPattern::OfGroup(_) => self.words("their groups’ "),
                DomainPattern::Exact(_) | DomainPattern::Below(_) => {}
            }
            self.value(&domain.to_string());
        }
        for pattern in rule.host_patterns() {
            join(self);
            self.words(if pattern.is_about_people() { "their own hosts like " } else { "hosts like " });
            self.value(pattern.as_str());
        }
    }

    fn addresses(&mut self, rule: &Rule) {
        let mut link = " where ";
        if let Some(path) = rule.path() {
            self.words(link);
            self.words("the path matches ");
            self.value(path.as_str());
            link = " and ";
        }
        if !rule.resources().is_empty() {
            self.words(link);
            self.words("path and query match ");
            let sources: Vec<&str> = rule.resources().iter().map(|pattern| pattern.as_str()).collect();
            self.values(&sources, " or ");
            link = " and ";
        }
        for (index, list) in rule.query().iter().enumerate() {
            self.words(if index == 0 { link } else { ", or " });
            for (index, test) in list.iter().enumerate() {
                if index > 0 {
                    self.words(" and ");
                }
                self.test(test);
            }
        }
    }

    fn test(&mut self, test: &QueryTest) {
        self.words("the parameter ");
        self.value(test.key());
        let (words, value) = match test.test() {
            Test::Equal(value) => (" is ", Some(&**value)),
            Test::NotEqual(value) => (" is not ", Some(&**value)),
            Test::Present => (" is there", None),
            Test::Absent => (" is missing", None),
            Test::Pattern(pattern) => (" matches ", Some(pattern.as_str())),
            Test::NotPattern(pattern) => (" does not match ", Some(pattern.as_str())),
        };
        self.words(words);
        match value {
            Some("") => self.value("empty"),
            Some(value) => self.value(value),
            None => {}
        }
    }

    fn people(&mut self, rule: &Rule, is_start: bool) {
        let start = self.0.len();
        // Words at the start of a sentence have a capital letter; names stay as they are.
        let say = |sentence: &mut Sentence, capital: &'static str, small: &'static str| {
            let is_first = sentence.0.len() == start;
            if !is_first {
                sentence.words(", and ");
            }
            sentence.words(if is_first && is_start { capital } else { small });
        };
        if !rule.groups().is_empty() {
            say(self, "People in ", "people in ");
            self.values(rule.groups(), " or ");
        }
        if !rule.users().is_empty() {
            say(self, "", "");
            self.values(rule.users(), " and ");
        }
        if !rule.clients().is_empty() {
            if rule.clients().len() == 1 {
                say(self, "The program ", "the program ");
            } else {
                say(self, "The programs ", "the programs ");
            }
            self.values(rule.clients(), " and ");
        }
        for list in rule.subjects() {
            say(self, "Whoever is ", "whoever is ");
            for (index, subject) in list.iter().enumerate() {
                if index > 0 {
                    self.words(" and ");
                }
                match subject {
                    Subject::User(name) => self.value(name.as_str()),
                    Subject::Group(name) => {
                        self.words("in ");
                        self.value(name.as_str());
                    }
                    Subject::Client(id) => {
                        self.words("the program ");
                        self.value(id.as_str());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;

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
            assert_eq!(sentence(&parse_line(line).unwrap()), expected);
        }
        let values: Vec<_> = pieces(&parse_line("deny domain=a.example group=guests").unwrap())
            .into_iter()
            .filter(|piece| piece.is_value)
            .map(|piece| piece.text)
            .collect();
        assert_eq!(values, ["guests", "a.example"]);
    }
}
