//! The regular expressions of rules: for paths, for addresses with their query, for hosts. Pure. Matching takes time
//! linear in the text, whatever the expression.

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};

use super::matcher::Caller;
use crate::words::{Said, Words, said};

/// Most bytes of an expression.
const LONGEST_PATTERN: usize = 500;
/// Most bytes of a compiled expression.
const LARGEST_PATTERN: usize = 256 * 1024;
/// The named group that holds a username.
const USER_GROUP: &str = "User";
/// The named group that holds the name of a group.
const GROUP_GROUP: &str = "Group";

/// How an expression reads its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// Host names: nothing but ASCII, so `\w` is small and quick.
    Ascii,
    /// Paths and queries: `.` and classes know every letter, `\w`, `\d`, `\s` and `\b` those of ASCII, as in Go. Where an
    /// expression needs more of Unicode than is built in (`(?i)`), it is read as ASCII.
    Unicode,
}

/// Writes `\w`, `\d`, `\s` and `\b` so that they stand for ASCII alone, as they do in Go. A rule that comes from there must
/// not mean more here.
fn with_ascii_classes(source: &str) -> String {
    let mut written = String::with_capacity(source.len() + 16);
    let mut rest = source.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            written.push(character);
            continue;
        }
        match rest.next() {
            Some('w') => written.push_str("[0-9A-Za-z_]"),
            Some('W') => written.push_str("[^0-9A-Za-z_]"),
            Some('d') => written.push_str("[0-9]"),
            Some('D') => written.push_str("[^0-9]"),
            Some('s') => written.push_str(r"[\t\n\f\r ]"),
            Some('S') => written.push_str(r"[^\t\n\f\r ]"),
            Some(edge @ ('b' | 'B')) if !rest.as_str().starts_with('{') => {
                written.extend(["(?-u:\\", edge.encode_utf8(&mut [0; 4]), ")"]);
            }
            Some(other) => written.extend(['\\', other]),
            None => written.push('\\'),
        }
    }
    written
}

fn build(source: &str, alphabet: Alphabet) -> Result<Regex, regex::Error> {
    let written = match alphabet {
        Alphabet::Ascii => Cow::Borrowed(source),
        Alphabet::Unicode => Cow::Owned(with_ascii_classes(source)),
    };
    let with = |unicode| {
        RegexBuilder::new(&written)
            .unicode(unicode)
            .size_limit(LARGEST_PATTERN)
            .dfa_size_limit(LARGEST_PATTERN)
            .build()
    };
    match alphabet {
        Alphabet::Ascii => with(false),
        Alphabet::Unicode => with(true).or_else(|error| with(false).map_err(|_| error)),
    }
}

/// What an expression is for, as in “A path pattern”.
type What = fn(Words) -> &'static str;

/// Checks what holds for every expression and compiles it. `what` names it in the sentence of an error.
fn compile(source: &str, what: What, alphabet: Alphabet) -> Result<Regex, Said> {
    if source.is_empty() {
        return Err(said(move |t| t.access_pattern_empty(what(t))));
    }
    if source.len() > LONGEST_PATTERN {
        return Err(said(move |t| t.access_pattern_long(LONGEST_PATTERN, what(t))));
    }
    if source.chars().any(char::is_control) {
        return Err(said(move |t| t.access_pattern_control(what(t))));
    }
    build(source, alphabet).map_err(|error| not_regular(source, &error))
}

/// Reasons of the parser that are said in every language.
const REASONS: [What; 14] = [
    Words::access_regex_class_open,
    Words::access_regex_escape_end,
    Words::access_regex_escape_unknown,
    Words::access_regex_flag_unknown,
    Words::access_regex_group_closed,
    Words::access_regex_group_open,
    Words::access_regex_look_around,
    Words::access_regex_back_reference,
    Words::access_regex_repeat_nothing,
    Words::access_regex_range,
    Words::access_regex_repeat_range,
    Words::access_regex_repeat_open,
    Words::access_regex_group_name,
    Words::access_regex_group_twice,
];

fn not_regular(source: &str, error: &regex::Error) -> Said {
    let (source, why) = (source.to_owned(), reason(error));
    let known = REASONS.into_iter().find(|say| say(Words::ENGLISH) == why);
    said(move |t| match known {
        Some(say) => t.access_pattern_wrong_why(&source, say(t)),
        None if t == Words::ENGLISH => t.access_pattern_wrong_why(&source, &why),
        None => t.access_pattern_wrong(&source),
    })
}

/// Returns the last line of the error, which is the reason; the lines before draw the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').to_owned()
}

/// Tells whether an expression has alternatives outside of every group, each of which would need an anchor of its own.
fn has_alternatives(source: &str) -> bool {
    let (mut depth, mut is_class, mut is_escaped) = (0_u32, false, false);
    for byte in source.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b']' => is_class = false,
            _ if is_class => {}
            b'[' => is_class = true,
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// A path pattern: a regular expression that must match from the first character of the canonical path on (FWD-06).
#[derive(Clone, Debug)]
pub struct PathPattern {
    source: Box<str>,
    compiled: Regex,
}

impl PathPattern {
    /// Compiles `source`, which begins with `^`. The error is a sentence.
    pub fn parse(source: &str) -> Result<Self, Said> {
        if !source.starts_with('^') {
            let source = source.to_owned();
            return Err(said(move |t| t.access_path_start(&source)));
        }
        if source.chars().any(char::is_whitespace) {
            return Err(Said::of(Words::access_path_space));
        }
        // A pattern that closes the group early would escape the anchor, so it must stand alone as well.
        compile(source, Words::access_what_path, Alphabet::Unicode)?;
        // The group anchors every alternative: in `^/a|/b` the second would otherwise match anywhere.
        let compiled = build(&format!(r"\A(?:{source})"), Alphabet::Unicode)
            .map_err(|error| not_regular(source, &error))?;
        Ok(PathPattern { source: source.into(), compiled })
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Tells whether the pattern matches the canonical path `path`.
    pub fn matches(&self, path: &str) -> bool {
        self.compiled.is_match(path.as_bytes())
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for PathPattern {}

/// An expression that may match anywhere in its text, and whose named groups `User` and `Group` must name the caller,
/// as in `^(?P<User>\w+)\.home\.example$`. Letters are folded for that comparison.
#[derive(Clone, Debug)]
pub struct NamedPattern {
    source: Box<str>,
    compiled: Regex,
    user: Option<usize>,
    group: Option<usize>,
}

impl PartialEq for NamedPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for NamedPattern {}

impl NamedPattern {
    /// Compiles an expression for hosts. The error is a sentence.
    pub fn parse_host(source: &str) -> Result<Self, Said> {
        Self::parse(source, Words::access_what_host, Alphabet::Ascii)
    }

    /// Compiles an expression for the canonical path with the query. The error is a sentence.
    pub fn parse_resource(source: &str) -> Result<Self, Said> {
        Self::parse(source, Words::access_what_resource, Alphabet::Unicode)
    }

    fn parse(source: &str, what: What, alphabet: Alphabet) -> Result<Self, Said> {
        let compiled = compile(source, what, alphabet)?;
        let named = |wanted| compiled.capture_names().position(|name| name == Some(wanted));
        let (user, group) = (named(USER_GROUP), named(GROUP_GROUP));
        Ok(NamedPattern { source: source.into(), compiled, user, group })
    }

    /// Returns the expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Tells whether it plainly matches from the start of the text on.
    pub fn is_anchored_at_start(&self) -> bool {
        self.source.starts_with('^') && !has_alternatives(&self.source)
    }

    /// Tells whether it plainly matches nothing but the whole text.
    pub fn is_anchored_at_both_ends(&self) -> bool {
        self.is_anchored_at_start() && self.source.ends_with('$') && !self.source.ends_with("\\$")
    }

    /// Tells whether the expression names people, so that it can only be judged once the caller is known.
    pub fn is_about_people(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    /// Tells whether the expression holds the name of a group.
    pub fn is_about_groups(&self) -> bool {
        self.group.is_some()
    }

    /// Tells whether the expression matches `text` and, if it names people, `caller`. Nobody who is signed in could be
    /// anyone.
    pub fn matches(&self, text: &str, caller: Option<&Caller<'_>>) -> bool {
        let (Some(caller), true) = (caller, self.is_about_people()) else {
            return self.compiled.is_match(text.as_bytes());
        };
        let Some(captures) = self.compiled.captures(text.as_bytes()) else { return false };
        let held = |index: usize| captures.get(index).map_or(&[][..], |held| held.as_bytes());
        let is_user = self.user.is_none_or(|index| caller.is_named(held(index)));
        let is_member = self.group.is_none_or(|index| caller.is_in_group(held(index)));
        is_user && is_member
    }
}

/// An expression for the value of a query parameter; it may match anywhere in it.
#[derive(Clone, Debug)]
pub struct ValuePattern {
    source: Box<str>,
    compiled: Regex,
}

impl PartialEq for ValuePattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for ValuePattern {}

impl ValuePattern {
    /// Compiles `source`. The error is a sentence.
    pub fn parse(source: &str) -> Result<Self, Said> {
        let compiled = compile(source, Words::access_what_query, Alphabet::Unicode)?;
        Ok(ValuePattern { source: source.into(), compiled })
    }

    /// Returns the expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Tells whether the expression matches the decoded value.
    pub fn matches(&self, value: &[u8]) -> bool {
        self.compiled.is_match(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FWD-06: every alternative of a path pattern is anchored at the start of the path.
    #[test]
    fn every_alternative_of_a_path_is_anchored() {
        let pattern = PathPattern::parse("^/a|/b").unwrap();
        assert!(pattern.matches("/a") && pattern.matches("/b/x") && !pattern.matches("/x/b"));
        let pattern = PathPattern::parse("^/(api|feed)/$").unwrap();
        assert!(pattern.matches("/api/") && !pattern.matches("/api/x") && !pattern.matches("/x/api/"));
        let pattern = PathPattern::parse("^/größe").unwrap();
        assert!(pattern.matches("/größer"));
    }

    #[test]
    fn bad_paths_are_refused_with_a_sentence() {
        for bad in [
            "/api",
            "api",
            "^(",
            "^/a)|(/b",
            "^/a b",
            "^/a\n",
            "^/\\8",
            &format!("^{}", "a".repeat(600)),
            "^(a{99999}){9999}",
        ] {
            let sentence = PathPattern::parse(bad).unwrap_err().english();
            assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{bad}: {sentence}");
        }
    }

    /// The parser says its reasons in English; those that it says most often are known here.
    #[test]
    fn reasons_are_said_in_german() {
        let german = Words::of(crate::words::Lang::De);
        for bad in [
            "^[",
            "^a\\",
            "^\\8",
            "^\\y",
            "^(?y)",
            "^)",
            "^(",
            "^(?=a)",
            "^(a)\\1",
            "^(*)",
            "^[b-a]",
            "^a{2,1}",
            "^a{2",
            "^(?P<>a)",
            "^(?P<a>b)(?P<a>c)",
        ] {
            let refused = PathPattern::parse(bad).unwrap_err();
            let known = REASONS.iter().any(|say| refused.in_words(german).contains(say(german)));
            assert!(known, "{bad}: {refused}");
        }
        let odd = PathPattern::parse("^(a{99999}){9999}").unwrap_err();
        assert_eq!(odd.in_words(german), "„^(a{99999}){9999}“ ist kein regulärer Ausdruck.");
    }

    #[test]
    fn loose_expressions_are_told_apart() {
        let host = |source| NamedPattern::parse_host(source).unwrap();
        for tight in ["^a$", "^(a|b)$", r"^a[|]b\|c$", "^(?P<User>x|y)$"] {
            assert!(host(tight).is_anchored_at_both_ends(), "{tight}");
        }
        for loose in ["a", "^a", "a$", "^a|b$", r"^a\$", "^(a)|(b)$"] {
            assert!(!host(loose).is_anchored_at_both_ends(), "{loose}");
        }
    }

    /// The names in an address must be the caller's, whatever the case of their letters; an empty one is nobody's.
    #[test]
    fn named_groups_name_the_caller() {
        let groups = [crate::kernel::text::GroupName::parse("dev").unwrap()];
        let caller = |username| Caller {
            username,
            groups: &groups,
            level: crate::sessions::Level::OneFactor,
            client: Some("x"),
        };
        let user = NamedPattern::parse_host(r"^(?P<User>\w*)\.home\.example$").unwrap();
        let both = NamedPattern::parse_resource(r"^/(?<Group>[^/]+)/(?P<User>\w+)(/|$)").unwrap();
        assert!(user.is_about_people() && both.is_about_people());
        assert!(user.matches("ada.home.example", Some(&caller("ada"))));
        assert!(user.matches("ada.home.example", None), "it could be anyone");
        assert!(!user.matches("bob.home.example", Some(&caller("ada"))));
        assert!(!user.matches(".home.example", Some(&caller(""))), "a program has no name");
        assert!(both.matches("/DEV/Ada/x", Some(&caller("ada"))));
        assert!(!both.matches("/ops/ada/x", Some(&caller("ada"))));
        let optional = NamedPattern::parse_host("^(?P<User>x)?y").unwrap();
        assert!(!optional.matches("y", Some(&caller(""))) && optional.matches("y", None));
    }

    /// Classes by a letter know ASCII alone, wherever they stand; everything else knows every letter.
    #[test]
    fn classes_by_a_letter_are_ascii() {
        for (source, target, matches) in [
            (r"^/\w+$", "/ab_9", true),
            (r"^/\w+$", "/ä", false),
            (r"^/[\w-]+$", "/a-b", true),
            (r"^/[\w-]+$", "/ä-b", false),
            (r"^/[^\w]$", "/ä", true),
            (r"^/\W$", "/ä", true),
            (r"^/\d{2}$", "/12", true),
            (r"^/\d+$", "/٣", false),
            (r"^/a\sb$", "/a b", true),
            (r"^/a\sb$", "/a\u{2003}b", false),
            (r"^/admin\b", "/adminä", true),
            (r"^/admin\b", "/admins", false),
            (r"^/\\w$", r"/\w", true),
            (r"^/.$", "/ä", true),
            (r"^/[ä-ü]\w$", "/öx", true),
        ] {
            let pattern = NamedPattern::parse_resource(source).unwrap();
            assert_eq!(pattern.matches(target, None), matches, "{source} {target}");
            assert_eq!(pattern.as_str(), source);
        }
    }

    /// What Go's expressions can do and ours cannot with all of Unicode is read as ASCII.
    #[test]
    fn ignoring_case_works() {
        let pattern = NamedPattern::parse_resource("(?i)^/API/").unwrap();
        assert!(pattern.matches("/api/x", None) && !pattern.matches("/app/", None));
        assert!(PathPattern::parse("^(?i)/admin").unwrap().matches("/ADMIN/x"));
        assert!(NamedPattern::parse_host(r"(?i)^A\.b$").unwrap().matches("a.b", None));
        assert!(ValuePattern::parse("(?i)yes").unwrap().matches(b"YES"));
    }
}
