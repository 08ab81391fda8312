//! Conditions on the query of an address. Pure.
//!
//! As Authelia reads them: a parameter counts with its first value, decoded (`+` is a space), and one that is absent
//! reads as empty. Where we depart: a query that servers read in different ways (an escape that is none, a `;`, a `#`) has no
//! reading here, so that a rule which asks for it refuses.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::patterns::ValuePattern;
use crate::words::{Said, Words, said};

/// Most bytes of a key or a value.
const LONGEST_TEXT: usize = 500;

/// A condition on the query as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryParts {
    /// `equal`, `not equal`, `present`, `absent`, `pattern` or `not pattern`; if empty, `equal` where there is a value and
    /// `present` where there is none.
    #[serde(default)]
    pub operator: String,
    /// The name of the parameter.
    pub key: String,
    /// What it is compared with; empty for `present` and `absent`.
    #[serde(default)]
    pub value: String,
}

impl QueryParts {
    /// Tells whether it holds an expression.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(self.operator.as_str(), "pattern" | "not pattern")
    }
}

/// What is asked of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The value is this one.
    Equal(Box<str>),
    /// The value is another one.
    NotEqual(Box<str>),
    /// The parameter is there.
    Present,
    /// The parameter is not there.
    Absent,
    /// The expression matches the value.
    Pattern(ValuePattern),
    /// The expression does not match the value.
    NotPattern(ValuePattern),
}

/// A condition on one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryTest {
    key: Box<str>,
    test: Test,
}

impl QueryTest {
    /// Checks the parts of a condition. The error is a sentence.
    pub fn build(parts: &QueryParts) -> Result<Self, Said> {
        let QueryParts { operator, key, value } = parts;
        let is_text = |text: &str| text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
        if key.is_empty() || !is_text(key) || !is_text(value) {
            return Err(Said::of(Words::access_query_key));
        }
        let operator = match (operator.as_str(), value.is_empty()) {
            ("", true) => "present",
            ("", false) => "equal",
            (operator, _) => operator,
        };
        let test = match operator {
            "equal" => Test::Equal(value.as_str().into()),
            "not equal" => Test::NotEqual(value.as_str().into()),
            "present" | "absent" if !value.is_empty() => {
                let (operator, key) = (operator.to_owned(), key.clone());
                return Err(said(move |t| t.access_query_no_value(&key, &operator)));
            }
            "present" => Test::Present,
            "absent" => Test::Absent,
            "pattern" => Test::Pattern(ValuePattern::parse(value)?),
            "not pattern" => Test::NotPattern(ValuePattern::parse(value)?),
            _ => return Err(Said::of(Words::access_query_operator)),
        };
        Ok(QueryTest { key: key.as_str().into(), test })
    }

    /// Returns the condition as texts.
    pub fn parts(&self) -> QueryParts {
        let (operator, value) = match &self.test {
            Test::Equal(value) => ("equal", &**value),
            Test::NotEqual(value) => ("not equal", &**value),
            Test::Present => ("present", ""),
            Test::Absent => ("absent", ""),
            Test::Pattern(pattern) => ("pattern", pattern.as_str()),
            Test::NotPattern(pattern) => ("not pattern", pattern.as_str()),
        };
        QueryParts { operator: operator.into(), key: self.key.to_string(), value: value.into() }
    }

    /// Tells whether it holds an expression.
    pub fn is_pattern(&self) -> bool {
        matches!(self.test, Test::Pattern(_) | Test::NotPattern(_))
    }

    /// Returns the name of the parameter.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns what is asked of it.
    pub fn test(&self) -> &Test {
        &self.test
    }

    /// Tells whether the condition holds for a sound query (see [`is_sound`]), without the `?`.
    pub fn holds(&self, query: &str) -> bool {
        let found = first_value(query, &self.key);
        let value = found.as_deref().unwrap_or_default();
        match &self.test {
            Test::Equal(wanted) => value == wanted.as_bytes(),
            Test::NotEqual(unwanted) => value != unwanted.as_bytes(),
            Test::Present => found.is_some(),
            Test::Absent => found.is_none(),
            Test::Pattern(pattern) => pattern.matches(value),
            Test::NotPattern(pattern) => !pattern.matches(value),
        }
    }
}

/// Tells whether every server reads the query alike: no `;`, which once separated parameters, no `#`, where a browser's
/// address would end, and every `%` begins an escape.
pub fn is_sound(query: &str) -> bool {
    let mut rest = query.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b';' | b'#', _) => return false,
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'%', _) => return false,
            _ => tail,
        };
    }
    true
}

fn first_value<'a>(query: &'a str, key: &str) -> Option<Cow<'a, [u8]>> {
    query.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decode(name) == *key.as_bytes()).then(|| decode(value))
    })
}

/// Decodes the form encoding (WHATWG URL section 5.1) of a sound text.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let spaced: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(percent_encoding::percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(operator: &str, key: &str, value: &str) -> QueryTest {
        QueryTest::build(&QueryParts { operator: operator.into(), key: key.into(), value: value.into() })
            .unwrap()
    }

    #[test]
    fn parameters_count_with_their_first_decoded_value() {
        for (query, test, holds) in [
            ("k=v", test("equal", "k", "v"), true),
            ("k=v&k=w", test("equal", "k", "w"), false),
            ("a=1&k=v%20w", test("equal", "k", "v w"), true),
            ("k=v+w", test("equal", "k", "v w"), true),
            ("%6b=v", test("equal", "k", "v"), true),
            ("", test("equal", "k", ""), true),
            ("k", test("equal", "k", ""), true),
            ("", test("equal", "k", "v"), false),
            ("", test("not equal", "k", "v"), true),
            ("k=v", test("not equal", "k", "v"), false),
            ("k", test("present", "k", ""), true),
            ("k=", test("present", "k", ""), true),
            ("kk=", test("present", "k", ""), false),
            ("K=", test("present", "k", ""), false),
            ("", test("present", "k", ""), false),
            ("", test("absent", "k", ""), true),
            ("&&k&&", test("absent", "k", ""), false),
            ("k=abc123", test("pattern", "k", "c1"), true),
            ("k=abc", test("pattern", "k", "^(abc123|zyx789)$"), false),
            ("", test("pattern", "k", "^$"), true),
            ("", test("not pattern", "k", "^(1|2)$"), true),
            ("k=2", test("not pattern", "k", "^(1|2)$"), false),
            ("k=a=b", test("equal", "k", "a=b"), true),
            ("k=%ff", test("equal", "k", "\u{fffd}"), false),
        ] {
            assert_eq!(test.holds(query), holds, "?{query} {test:?}");
        }
    }

    /// FWD-06: what servers read in different ways has no reading here.
    #[test]
    fn queries_that_are_read_in_two_ways_are_told() {
        for sound in ["", "k=v&w", "k=%41+b", "k=a%26b"] {
            assert!(is_sound(sound), "{sound}");
        }
        for odd in ["a;k=v", "k=%", "k=%4", "k=100%&x", "%zz", "k=v#x", "#", "k=raw#&y=1"] {
            assert!(!is_sound(odd), "{odd}");
        }
    }

    #[test]
    fn conditions_that_are_not_understood_are_refused_with_a_sentence() {
        for (operator, key, value) in [
            ("equals", "k", "v"),
            ("equal", "", "v"),
            ("equal", "k", "a\nb"),
            ("present", "k", "v"),
            ("pattern", "k", "("),
            ("pattern", "k", ""),
            ("not pattern", "k", &"x".repeat(600)),
        ] {
            let parts = QueryParts { operator: operator.into(), key: key.into(), value: value.into() };
            let sentence = QueryTest::build(&parts).unwrap_err().english();
            assert!(sentence.ends_with('.'), "{sentence}");
        }
    }
}
