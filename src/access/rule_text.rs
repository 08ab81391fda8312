//! Rules in words: one line for the CLI and for files, and a sentence for people. Pure.
//!
//! ```text
//! allow two_factor domain=grafana.home.example path=^/api/ group=family,admins user=ada # dashboards
//! allow one_factor domain=*.home.example
//! bypass domain=photos.home.example path=^/share/ method=GET,HEAD
//! deny domain=*.home.example group=guests
//! ```

use std::fmt;

use super::rules::{Policy, Rule, RuleError, RuleParts};

/// Parses one line. `allow` is followed by `one_factor` or `two_factor`; the other verbs stand alone. Values of
/// `domain`, `method`, `group` and `user` may be separated by commas or repeated; what follows ` #` is the note.
pub fn parse_line(line: &str) -> Result<Rule, RuleError> {
    let (body, note) = split_note(line);
    let mut words = body.split_whitespace();
    let policy = match words.next() {
        Some("allow") => match words.next().and_then(Policy::parse) {
            Some(policy @ (Policy::OneFactor | Policy::TwoFactor)) => policy,
            _ => return Err(fault("policy", "After allow comes one_factor or two_factor.")),
        },
        Some("bypass") => Policy::Bypass,
        Some("deny") => Policy::Deny,
        _ => {
            return Err(fault(
                "policy",
                "A rule begins with allow one_factor, allow two_factor, bypass or deny.",
            ));
        }
    };
    let mut parts =
        RuleParts { policy: policy.as_str().to_owned(), note: note.to_owned(), ..RuleParts::default() };
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(fault("rule", format!("“{word}” is not understood; write it as key=value.")));
        };
        let list = match key {
            "domain" => &mut parts.domains,
            "method" => &mut parts.methods,
            "group" => &mut parts.groups,
            "user" => &mut parts.users,
            "path" if parts.path.is_none() => {
                parts.path = Some(value.to_owned());
                continue;
            }
            "path" => return Err(fault("path", "A rule has at most one path; join two as ^(/a|/b).")),
            _ => {
                return Err(fault(
                    "rule",
                    format!("“{key}” is no part of a rule. There are: domain, path, method, group, user."),
                ));
            }
        };
        list.extend(value.split(',').map(str::to_owned));
    }
    Rule::build(&parts)
}

/// Parses a file of rules: one line each; empty lines and lines that begin with `#` are skipped. The error tells
/// the number of the line.
pub fn parse_file(text: &str) -> Result<Vec<Rule>, (usize, RuleError)> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        rules.push(parse_line(line).map_err(|error| (index + 1, error))?);
    }
    super::rules::check_size(&rules).map_err(|error| (text.lines().count(), error))?;
    Ok(rules)
}

/// A `#` begins the note only after a space: it may stand inside a path pattern.
fn split_note(line: &str) -> (&str, &str) {
    let start = line.match_indices('#').map(|(at, _)| at).find(|at| {
        line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    });
    match start.and_then(|at| line.split_at_checked(at)) {
        Some((body, note)) => (body, note.trim_start_matches('#').trim()),
        None => (line, ""),
    }
}

fn fault(field: &'static str, sentence: impl Into<String>) -> RuleError {
    RuleError { field, sentence: sentence.into() }
}

impl fmt::Display for Rule {
    /// Writes the line that [`parse_line`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.policy() {
            Policy::Bypass => "bypass",
            Policy::OneFactor => "allow one_factor",
            Policy::TwoFactor => "allow two_factor",
            Policy::Deny => "deny",
        })?;
        write_list(f, "domain", self.domains())?;
        if let Some(path) = self.path() {
            write!(f, " path={}", path.as_str())?;
        }
        write_list(f, "method", self.methods())?;
        write_list(f, "group", self.groups())?;
        write_list(f, "user", self.users())?;
        if !self.note().is_empty() {
            write!(f, " # {}", self.note())?;
        }
        Ok(())
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, key: &str, values: &[impl fmt::Display]) -> fmt::Result {
    for (index, value) in values.iter().enumerate() {
        if index == 0 {
            write!(f, " {key}={value}")?;
        } else {
            write!(f, ",{value}")?;
        }
    }
    Ok(())
}

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
    let mut sentence = Sentence(Vec::new());
    match (rule.policy(), rule.is_about_people()) {
        (Policy::Bypass, _) => sentence.words("Anyone may open "),
        (Policy::Deny, false) => sentence.words("Nobody may open "),
        (Policy::Deny, true) => {
            sentence.people(rule);
            sentence.words(" may not open ");
        }
        (_, false) => sentence.words("Everyone may open "),
        (_, true) => {
            sentence.people(rule);
            sentence.words(" may open ");
        }
    }
    sentence.values(rule.domains(), " or ");
    if let Some(path) = rule.path() {
        sentence.words(" where the path matches ");
        sentence.value(path.as_str());
    }
    if !rule.methods().is_empty() {
        sentence.words(" by ");
        sentence.values(rule.methods(), " or ");
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
    sentence.words(".");
    sentence.0
}

/// Says the rule as one plain sentence.
pub fn sentence(rule: &Rule) -> String {
    pieces(rule).into_iter().map(|piece| piece.text).collect()
}

struct Sentence(Vec<Piece>);

impl Sentence {
    fn words(&mut self, text: &str) {
        self.0.push(Piece { text: text.to_owned(), is_value: false });
    }

    fn value(&mut self, text: &str) {
        self.0.push(Piece { text: text.to_owned(), is_value: true });
    }

    fn values(&mut self, values: &[impl fmt::Display], last: &str) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.words(if index + 1 == values.len() { last } else { ", " });
            }
            self.value(&value.to_string());
        }
    }

    fn people(&mut self, rule: &Rule) {
        if !rule.groups().is_empty() {
            self.words("People in ");
            self.values(rule.groups(), " or ");
        }
        if !rule.users().is_empty() {
            if !rule.groups().is_empty() {
                self.words(", and ");
            }
            self.values(rule.users(), " and ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        for line in [
            "allow two_factor domain=grafana.home.example path=^/api/ group=family user=ada",
            "allow one_factor domain=a.example,*.b.example method=GET,HEAD group=family,admins user=ada,bob # a note # here",
            "bypass domain=photos.home.example path=^/share#x=1/",
            "deny domain=*.home.example",
            r"deny domain=a.example path=^/a\x20b\.c$",
        ] {
            assert_eq!(parse_line(line).unwrap().to_string(), line);
        }
        let spread =
            parse_line("  allow   one_factor domain=a.example  domain=B.example group=x group=y  #note ")
                .unwrap();
        assert_eq!(spread.to_string(), "allow one_factor domain=a.example,b.example group=x,y # note");
    }

    #[test]
    fn lines_that_are_not_understood_are_refused_with_a_sentence() {
        for bad in [
            "",
            "allow",
            "allow domain=a.example",
            "allow bypass domain=a.example",
            "allow deny domain=a.example",
            "permit domain=a.example",
            "deny",
            "# deny domain=a.example",
            "deny domain=",
            "deny domain=a.example,",
            "deny a.example",
            "deny domain=a.example colour=red",
            "deny domain=a.example path=^/a path=^/b",
            "deny domain=a.example path=/a",
            "deny domain=a.example group=",
            "bypass domain=a.example user=ada",
        ] {
            let error = parse_line(bad).unwrap_err();
            assert!(error.sentence.ends_with('.'), "{bad}: {error}");
        }
    }

    #[test]
    fn files_skip_remarks_and_tell_the_line() {
        let rules = parse_file("# ours\n\n  bypass domain=a.example\ndeny domain=b.example\n").unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(parse_file("deny domain=a.example\n\nnonsense\n").unwrap_err().0, 3);
    }

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
