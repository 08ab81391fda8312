//! Rules as lines, for the CLI and for files. Pure.
//!
//! ```text
//! allow two_factor domain=grafana.home.example path=^/api/ group=family,admins user=ada # dashboards
//! allow one_factor domain=*.home.example network=192.168.1.0/24 programs=basic
//! bypass domain=photos.home.example resource=^/share/ resource="^/a b$" method=GET,HEAD
//! allow one_factor host~=^(?P<User>\w+)\.home\.example$ subject=group:dev+group:admins client=backup
//! deny domain={user}.home.example query=mode==raw and=!token query=debug
//! ```
//!
//! Values with spaces stand in double quotes; a quote inside is written twice. `query` begins a list of conditions, and
//! `and` adds one that must hold as well: `key==value`, `key!=value`, `key~=pattern`, `key!~pattern`, `key` (present),
//! `!key` (absent). The signs `% = ! ~` in a key are percent-encoded.

use std::fmt::{self, Write as _};

use super::query::{QueryParts, QueryTest, Test};
use super::rules::{Policy, Rule, RuleError, RuleParts, network_text};
use crate::words::{Said, Words, english_only, said};

/// Parses one line. `allow` is followed by `one_factor` or `two_factor`; the other verbs stand alone. Every key may be
/// repeated except `path`; values of `domain`, `method`, `network`, `group`, `user`, `client`, `subject` and `programs`
/// may also be separated by commas. What follows ` #` is the note.
pub fn parse_line(line: &str) -> Result<Rule, RuleError> {
    parse_parts(line).and_then(|parts| Rule::build(&parts))
}

fn parse_parts(line: &str) -> Result<RuleParts, RuleError> {
    let (words, note) = split(line)?;
    let mut words = words.iter().map(String::as_str);
    let policy = match words.next() {
        Some("allow") => match words.next().and_then(Policy::parse) {
            Some(policy @ (Policy::OneFactor | Policy::TwoFactor)) => policy,
            _ => return Err(fault("policy", english_only("After allow comes one_factor or two_factor."))),
        },
        Some("bypass") => Policy::Bypass,
        Some("deny") => Policy::Deny,
        _ => {
            return Err(fault(
                "policy",
                english_only("A rule begins with allow one_factor, allow two_factor, bypass or deny."),
            ));
        }
    };
    let mut parts =
        RuleParts { policy: policy.as_str().to_owned(), note: note.to_owned(), ..RuleParts::default() };
    for word in words {
        add_word(&mut parts, word)?;
    }
    Ok(parts)
}

const KEYS: &str =
    "domain, host~, path, resource, query, and, method, network, group, user, client, subject, programs";

fn add_word(parts: &mut RuleParts, word: &str) -> Result<(), RuleError> {
    let Some((key, value)) = word.split_once('=') else {
        return Err(fault(
            "rule",
            english_only(format!("“{word}” is not understood; write it as key=value.")),
        ));
    };
    let list = match key {
        "domain" => &mut parts.domains,
        "method" => &mut parts.methods,
        "network" => &mut parts.networks,
        "group" => &mut parts.groups,
        "user" => &mut parts.users,
        "client" => &mut parts.clients,
        "programs" => &mut parts.programs,
        "subject" => {
            let all_of = |list: &str| list.split('+').map(str::to_owned).collect();
            parts.subjects.extend(value.split(',').map(all_of));
            return Ok(());
        }
        "host~" => {
            parts.domain_regex.push(value.to_owned());
            return Ok(());
        }
        "resource" => {
            parts.resources.push(value.to_owned());
            return Ok(());
        }
        "query" => {
            parts.query.push(vec![parse_test(value)?]);
            return Ok(());
        }
        "and" => {
            let Some(last) = parts.query.last_mut() else {
                return Err(fault("query", english_only("Before and= comes query=.")));
            };
            last.push(parse_test(value)?);
            return Ok(());
        }
        "path" if parts.path.is_none() => {
            parts.path = Some(value.to_owned());
            return Ok(());
        }
        "path" => {
            return Err(fault("path", english_only("A rule has at most one path; join two as ^(/a|/b).")));
        }
        _ => {
            return Err(fault(
                "rule",
                english_only(format!("“{key}” is no part of a rule. There are: {KEYS}.")),
            ));
        }
    };
    list.extend(value.split(',').map(str::to_owned));
    Ok(())
}

/// The signs between key and value, with the operators they stand for.
const SIGNS: [(&str, &str); 4] =
    [("==", "equal"), ("!=", "not equal"), ("~=", "pattern"), ("!~", "not pattern")];

fn parse_test(text: &str) -> Result<QueryParts, RuleError> {
    let first = SIGNS.iter().filter_map(|(sign, operator)| Some((text.find(sign)?, sign, operator))).min();
    let (key, operator, value) = match first {
        Some((at, sign, operator)) => {
            let (key, rest) = text.split_at_checked(at).unwrap_or_default();
            (key, *operator, rest.strip_prefix(sign).unwrap_or_default())
        }
        None => match text.strip_prefix('!') {
            Some(key) => (key, "absent", ""),
            None => (text, "present", ""),
        },
    };
    if key.contains(['=', '!', '~']) {
        let typed = text.to_owned();
        return Err(fault("query", said(move |t| t.access_query_sign(&typed))));
    }
    let key = percent_encoding::percent_decode_str(key).decode_utf8().map_err(|_| {
        let typed = key.to_owned();
        fault("query", said(move |t| t.access_query_name(&typed)))
    })?;
    Ok(QueryParts { operator: operator.to_owned(), key: key.into_owned(), value: value.to_owned() })
}

/// Parses conditions on the query that must hold together, such as `mode==raw and !token`. A condition with spaces
/// stands in double quotes.
pub fn parse_tests(line: &str) -> Result<Vec<QueryParts>, RuleError> {
    let mut tests = Vec::new();
    let mut rest = line.trim();
    loop {
        let (text, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                unquote(quoted).ok_or_else(|| fault("query", Said::of(Words::access_query_quotes)))?
            }
            None => {
                let bare = rest.split_whitespace().next().unwrap_or_default();
                (bare.to_owned(), rest.get(bare.len()..).unwrap_or_default())
            }
        };
        tests.push(parse_test(&text)?);
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(tests);
        }
        rest = after
            .strip_prefix("and")
            .filter(|next| next.starts_with(char::is_whitespace))
            .ok_or_else(|| fault("query", Said::of(Words::access_query_and)))?;
        rest = rest.trim_start();
    }
}

/// Writes what [`parse_tests`] reads.
pub fn join_tests(tests: &[QueryTest]) -> String {
    let quoted = tests.iter().map(|test| {
        let text = test_text(test.key(), test.test());
        if text.starts_with('"') || text == "and" || text.contains(char::is_whitespace) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    });
    quoted.collect::<Vec<_>>().join(" and ")
}

/// Splits a line into its words, without the quotes around values, and the note. A `#` begins the note only after a
/// space: it may stand inside a pattern.
fn split(line: &str) -> Result<(Vec<String>, &str), RuleError> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = line.trim();
    loop {
        if let Some(note) = rest.strip_prefix('#') {
            return Ok((words, note.trim()));
        }
        if rest.is_empty() {
            return Ok((words, ""));
        }
        let bare = rest.split_whitespace().next().unwrap_or_default();
        let (word, after) = match bare.split_once("=\"") {
            // The first sign after a key opens the quotes; one further on belongs to the value.
            Some((key, _)) if !key.contains('=') => {
                let quoted = rest.get(key.len() + 2..).unwrap_or_default();
                let (value, after) = unquote(quoted).ok_or_else(|| {
                    let sentence =
                        format!("The quotes after {key}= are not closed, or something follows them.");
                    fault("rule", english_only(sentence))
                })?;
                (format!("{key}={value}"), after)
            }
            _ => (bare.to_owned(), rest.get(bare.len()..).unwrap_or_default()),
        };
        words.push(word);
        rest = after.trim_start();
    }
}

/// Reads a quoted value up to its closing quote; what follows must be a space or nothing.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (piece, after) = rest.split_once('"')?;
        value.push_str(piece);
        match after.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None if after.is_empty() || after.starts_with(char::is_whitespace) => {
                return Some((value, after));
            }
            None => return None,
        }
    }
}

/// Joins the words that a shell handed over, whose quotes it has taken away, to a line.
pub fn join_words(words: &[String]) -> String {
    if let [line] = words {
        return line.clone();
    }
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        match word.split_once('=') {
            Some((key, value))
                if word.contains(char::is_whitespace) && !key.contains(char::is_whitespace) =>
            {
                line.push_str(key);
                let _ = write_value(&mut line, value);
            }
            _ => line.push_str(word),
        }
    }
    line
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

/// Writes the file that [`parse_file`] reads.
pub fn write_file(rules: &[Rule]) -> String {
    let mut text = String::from(
        "# Access rules of Doorward, read from the top: the first that fits decides, and what fits none is refused.\n",
    );
    for rule in rules {
        let _ = writeln!(text, "{rule}");
    }
    text
}

fn fault(field: &'static str, sentence: Said) -> RuleError {
    RuleError { field, sentence }
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
        for pattern in self.host_patterns() {
            f.write_str(" host~")?;
            write_value(f, pattern.as_str())?;
        }
        if let Some(path) = self.path() {
            f.write_str(" path")?;
            write_value(f, path.as_str())?;
        }
        for pattern in self.resources() {
            f.write_str(" resource")?;
            write_value(f, pattern.as_str())?;
        }
        for list in self.query() {
            for (index, test) in list.iter().enumerate() {
                f.write_str(if index == 0 { " query" } else { " and" })?;
                write_value(f, &test_text(test.key(), test.test()))?;
            }
        }
        write_list(f, "method", self.methods())?;
        let networks: Vec<String> = self.networks().iter().map(|network| network_text(*network)).collect();
        write_list(f, "network", &networks)?;
        write_list(f, "group", self.groups())?;
        write_list(f, "user", self.users())?;
        write_list(f, "client", self.clients())?;
        let lists = self
            .subjects()
            .iter()
            .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"));
        write_list(f, "subject", &lists.collect::<Vec<_>>())?;
        if self.allows_basic() {
            f.write_str(" programs=basic")?;
        }
        if !self.note().is_empty() {
            write!(f, " # {}", self.note())?;
        }
        Ok(())
    }
}

fn test_text(key: &str, test: &Test) -> String {
    let mut encoded = String::with_capacity(key.len());
    for character in key.chars() {
        match character {
            '%' => encoded.push_str("%25"),
            '=' => encoded.push_str("%3D"),
            '!' => encoded.push_str("%21"),
            '~' => encoded.push_str("%7E"),
            other => encoded.push(other),
        }
    }
    match test {
        Test::Equal(value) => format!("{encoded}=={value}"),
        Test::NotEqual(value) => format!("{encoded}!={value}"),
        Test::Present => encoded,
        Test::Absent => format!("!{encoded}"),
        Test::Pattern(pattern) => format!("{encoded}~={}", pattern.as_str()),
        Test::NotPattern(pattern) => format!("{encoded}!~{}", pattern.as_str()),
    }
}

/// Writes `=` and a value, in quotes if it would be read as something else without.
fn write_value(f: &mut impl fmt::Write, value: &str) -> fmt::Result {
    if value.starts_with('"') || value.contains(char::is_whitespace) {
        write!(f, "=\"{}\"", value.replace('"', "\"\""))
    } else {
        write!(f, "={value}")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        for line in [
            "allow two_factor domain=grafana.home.example path=^/api/ group=family user=ada",
            "allow one_factor domain={user}.a.example,{group}.b.example host~=^x{1,3}$ host~=^y resource=^/a,b \
             resource=\"a \"\"b\"\" \" query=mode==raw and=!token and=a~=^x query=debug query=%3D%21!= network=10.0.0.0/8,::1 \
             client=backup,b#c subject=user:ada+group:dev,group:x+oauth2:client:y programs=basic # # odd",
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
            "deny domain=a.example resource=\"^/a b",
            "deny domain=a.example resource=\"^/a\"b",
            "deny domain=a.example and=k",
            "deny domain=a.example query=k=v",
            "deny domain=a.example query=!!k",
            "deny domain=a.example query=!k==v and=",
            "deny domain=a.example subject=ada",
            "deny domain=a.example subject=user:ada+",
            "deny domain=a.example network=10.0.0.0/33",
            "deny domain=a.example programs=digest",
            "deny domain=a.example programs=basic",
            "deny domain=a.example host~=(",
            "bypass domain={user}.home.example",
            "bypass host~=^(?P<Group>x)$",
            "deny domain=a.example path=/a",
            "deny domain=a.example group=",
            "bypass domain=a.example user=ada",
        ] {
            let error = parse_line(bad).unwrap_err();
            assert!(error.sentence.english().ends_with('.'), "{bad}: {error}");
        }
    }

    #[test]
    fn files_skip_remarks_and_tell_the_line() {
        let rules = parse_file("# ours\n\n  bypass domain=a.example\ndeny domain=b.example\n").unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(parse_file("deny domain=a.example\n\nnonsense\n").unwrap_err().0, 3);
    }

    /// Texts with everything that could be mistaken for the syntax of a line.
    fn odd_text() -> impl Strategy<Value = String> {
        const SIGNS: &[&str] = &[
            "a", "b", "0", " ", "\"", "\"\"", "#", " #", "=", "==", "!=", "~=", "!~", "!", ",", "+", "%",
            "%20", "&", "é", "\u{2028}", "/", "'",
        ];
        prop::collection::vec(prop::sample::select(SIGNS), 1..8).prop_map(|pieces| pieces.concat())
    }

    fn odd_pattern() -> impl Strategy<Value = String> {
        (
            prop::sample::select(
                &["", "^", "^/", r"\d{1,3}", "(?P<User>a)", "(a|b)", r"\x20", "[^ \"]*"][..],
            ),
            odd_text(),
        )
            .prop_map(|(pattern, text)| format!("{pattern}{}", regex::escape(&text)))
    }

    fn some<T: std::fmt::Debug + Clone + 'static>(
        values: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Vec<T>> {
        prop::collection::vec(values, 0..3)
    }

    fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::sample::select(values).prop_map(str::to_owned)
    }

    fn parts() -> impl Strategy<Value = RuleParts> {
        let hosts =
            one_of(&["a.example", "*.b.example", "{user}.c.example", "{group}.d.example", "E.example."]);
        let operator = one_of(&["equal", "not equal", "present", "absent", "pattern", "not pattern"]);
        let test = (operator, odd_text(), odd_text()).prop_map(|(operator, key, value)| {
            let value = match operator.as_str() {
                "present" | "absent" => String::new(),
                "pattern" | "not pattern" => regex::escape(&value),
                _ => value,
            };
            QueryParts { operator, key, value }
        });
        let subject = one_of(&["user:ada", "user:bob", "group:dev", "group:x.y", "oauth2:client:b#c"]);
        let addresses = (
            some(hosts),
            some(odd_pattern()),
            prop::option::of(one_of(&["^/api/", "^/a=\"b\"", "^/x#y", "^/a|,/b"])),
            some(odd_pattern()),
            some(prop::collection::vec(test, 1..3)),
            some(one_of(&["GET", "post"])),
            some(one_of(&["10.0.0.0/8", "192.168.1.5", "fd00::/8", "::ffff:10.1.2.3"])),
        );
        let people = (
            some(one_of(&["family", "dev"])),
            some(one_of(&["ada", "Bob"])),
            some(one_of(&["backup", "#x", "a=b"])),
            some(prop::collection::vec(subject, 1..4)),
            some(one_of(&["basic"])),
        );
        let policy = one_of(&["bypass", "one_factor", "one_factor", "one_factor", "two_factor", "deny"]);
        (addresses, people, policy, prop::option::of(odd_text())).prop_map(
            |(addresses, people, policy, note)| {
                let (domains, domain_regex, path, resources, query, methods, networks) = addresses;
                let (groups, users, clients, subjects, programs) = people;
                RuleParts {
                    domains,
                    domain_regex,
                    path,
                    resources,
                    query,
                    methods,
                    networks,
                    groups,
                    users,
                    clients,
                    subjects,
                    programs,
                    policy,
                    note: note.unwrap_or_default(),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]
        #[test]
        fn every_sound_rule_comes_back_from_its_line_and_from_its_parts(parts in parts()) {
            let Ok(rule) = Rule::build(&parts) else { return Err(TestCaseError::reject("not sound")) };
            let line = rule.to_string();
            prop_assert_eq!(&parse_line(&line).map_err(|error| error.sentence), &Ok(rule.clone()), "{}", line);
            for list in rule.query() {
                let tests = parse_tests(&join_tests(list)).map_err(|error| TestCaseError::fail(error.sentence.english()))?;
                prop_assert_eq!(tests, list.iter().map(QueryTest::parts).collect::<Vec<_>>());
            }
            prop_assert_eq!(Rule::build(&rule.parts()), Ok(rule.clone()));
            prop_assert_eq!(&*parse_file(&write_file(std::slice::from_ref(&rule))).unwrap(), &[rule]);
        }
    }

    #[test]
    fn words_from_a_shell_get_their_quotes_back() {
        let words =
            |words: &[&str]| join_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            words(&["deny", "domain=a.example", "resource=^/a b", "# a = b"]),
            "deny domain=a.example resource=\"^/a b\" # a = b"
        );
        assert_eq!(words(&["deny domain=a.example path=^/x"]), "deny domain=a.example path=^/x");
    }
}
