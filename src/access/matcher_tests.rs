//! The matcher against examples and against a second, naive reading of the rules.

use super::*;
use crate::access::rule_text::{parse_file, parse_line};

const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ONE: Level = Level::OneFactor;
const TWO: Level = Level::TwoFactor;
const SIGN_IN_ONE: Outcome = Outcome::NeedSignIn { level: ONE };
const SIGN_IN_TWO: Outcome = Outcome::NeedSignIn { level: TWO };

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| GroupName::parse(name).unwrap()).collect()
}

fn get<'a>(host: &'a str, path: &'a str) -> Asked<'a> {
    Asked { host, path: Some(path), query: None, method: "GET", address: ANYWHERE }
}

fn decision(outcome: Outcome, rule: Option<usize>) -> Decision {
    Decision { outcome, rule, allows_basic: false }
}

fn matcher(text: &str) -> Matcher {
    Matcher::new(parse_file(text).unwrap())
}

#[test]
fn what_no_rule_matches_is_refused() {
    let empty = matcher("");
    assert_eq!(empty.decide(get("a.example", "/"), None), decision(Outcome::Forbidden, None));
    let other = matcher("bypass domain=a.example\nbypass domain=*.b.example");
    for host in ["b.example", "example", "xa.example", "a.example.evil", "x.a.example", "xb.example"] {
        assert_eq!(other.decide(get(host, "/"), None).outcome, Outcome::Forbidden, "{host}");
    }
}

#[test]
fn the_first_matching_rule_decides() {
    let rules = matcher(
        "bypass domain=photos.home.example path=^/share/\n\
         deny domain=photos.home.example path=^/admin\n\
         allow one_factor domain=*.home.example",
    );
    assert_eq!(rules.decide(get("photos.home.example", "/share/x"), None).outcome, Outcome::Allow);
    assert_eq!(rules.decide(get("photos.home.example", "/admin"), None).outcome, Outcome::Forbidden);
    assert_eq!(rules.decide(get("photos.home.example", "/"), None), decision(SIGN_IN_ONE, Some(2)));
    assert_eq!(rules.decide(get("x.y.home.example", "/share/x"), None).outcome, SIGN_IN_ONE);
}

#[test]
fn levels_are_reached_or_asked_for() {
    let rules = matcher("allow one_factor domain=a.example\nallow two_factor domain=b.example");
    let none = groups(&[]);
    let one = Caller { username: "ada", groups: &none, level: ONE, client: None };
    let two = Caller { level: TWO, ..one };
    for (host, caller, outcome) in [
        ("a.example", None, SIGN_IN_ONE),
        ("a.example", Some(one), Outcome::Allow),
        ("a.example", Some(two), Outcome::Allow),
        ("b.example", None, SIGN_IN_TWO),
        ("b.example", Some(one), SIGN_IN_TWO),
        ("b.example", Some(two), Outcome::Allow),
    ] {
        assert_eq!(rules.decide(get(host, "/"), caller).outcome, outcome, "{host} {caller:?}");
    }
}

#[test]
fn a_person_is_meant_by_group_or_by_name() {
    let rules = matcher("allow one_factor domain=a.example group=family,admins user=bob");
    let (family, guests) = (groups(&["guests", "family"]), groups(&["guests"]));
    for (username, own, outcome) in [
        ("ada", &family, Outcome::Allow),
        ("bob", &guests, Outcome::Allow),
        ("ada", &guests, Outcome::Forbidden),
        ("bobby", &guests, Outcome::Forbidden),
    ] {
        let caller = Caller { username, groups: own, level: ONE, client: None };
        assert_eq!(rules.decide(get("a.example", "/"), Some(caller)).outcome, outcome, "{username}");
    }
}

#[test]
fn someone_outside_the_named_groups_falls_through_to_the_next_rule_and_then_to_the_refusal() {
    let rules = matcher(
        "allow one_factor domain=a.example group=family\n\
         allow two_factor domain=a.example group=friends",
    );
    let (friends, nobody) = (groups(&["friends"]), groups(&[]));
    let friend = Caller { username: "eve", groups: &friends, level: ONE, client: None };
    assert_eq!(rules.decide(get("a.example", "/"), Some(friend)), decision(SIGN_IN_TWO, Some(1)));
    let stranger = Caller { groups: &nobody, ..friend };
    let refused = decision(Outcome::Forbidden, None);
    assert_eq!(rules.decide(get("a.example", "/"), Some(stranger)), refused);
}

#[test]
fn an_anonymous_caller_is_asked_to_sign_in_at_a_rule_about_people_even_if_a_later_rule_would_let_anyone_in() {
    for (line, outcome) in [
        ("allow one_factor domain=a.example group=family", SIGN_IN_ONE),
        ("allow two_factor domain=a.example user=ada", SIGN_IN_TWO),
        ("deny domain=a.example group=guests", SIGN_IN_ONE),
    ] {
        let rules = matcher(&format!("{line}\nbypass domain=a.example"));
        assert_eq!(rules.decide(get("a.example", "/"), None), decision(outcome, Some(0)), "{line}");
        let with_path = matcher(&format!("{line} path=^/x\nbypass domain=a.example"));
        assert_eq!(with_path.decide(get("a.example", "/y"), None).outcome, Outcome::Allow, "{line}");
    }
    let denied = matcher("deny domain=a.example\nbypass domain=a.example");
    assert_eq!(denied.decide(get("a.example", "/"), None).outcome, Outcome::Forbidden);
}

/// FWD-06: an ambiguous path is refused as soon as a path rule would have to be judged, whatever the rule decides.
#[test]
fn an_ambiguous_path_is_refused_where_a_path_rule_exists() {
    let ambiguous = Asked { path: None, ..get("a.example", "/") };
    let none = groups(&[]);
    let ada = Some(Caller { username: "ada", groups: &none, level: TWO, client: None });
    for line in [
        "bypass domain=a.example path=^/",
        "deny domain=*.example path=^/admin",
        "allow one_factor domain=a.example path=^/x user=ada",
    ] {
        let rules = matcher(&format!("{line}\nallow one_factor domain=a.example"));
        for caller in [None, ada] {
            let decided = rules.decide(ambiguous, caller);
            assert_eq!(decided, decision(Outcome::Forbidden, Some(0)), "{line} {caller:?}");
        }
    }
    let plain = matcher("allow one_factor domain=a.example\ndeny domain=a.example path=^/admin");
    assert_eq!(
        plain.decide(ambiguous, ada).outcome,
        Outcome::Allow,
        "the path plays no part before the first rule"
    );
    let others = matcher("deny domain=a.example path=^/x user=bob\nallow one_factor domain=a.example");
    assert_eq!(
        others.decide(ambiguous, ada).outcome,
        Outcome::Allow,
        "a rule for others does not look at the path"
    );
}

/// FWD-07: OPTIONS is a method like any other.
#[test]
fn methods_are_conditions_and_none_is_special() {
    let rules = matcher("bypass domain=a.example method=GET,HEAD\nallow one_factor domain=a.example");
    for (method, outcome) in
        [("GET", Outcome::Allow), ("HEAD", Outcome::Allow), ("OPTIONS", SIGN_IN_ONE), ("POST", SIGN_IN_ONE)]
    {
        let asked = Asked { method, ..get("a.example", "/") };
        assert_eq!(rules.decide(asked, None).outcome, outcome, "{method}");
    }
}

#[test]
fn the_trail_ends_at_the_rule_that_decides() {
    let rules = matcher(
        "deny domain=b.example\nbypass domain=a.example method=POST\nbypass domain=a.example path=^/x\n\
         allow one_factor domain=a.example user=bob\nallow one_factor domain=a.example\ndeny domain=a.example",
    );
    let none = groups(&[]);
    let ada = Caller { username: "ada", groups: &none, level: ONE, client: None };
    assert_eq!(
        rules.trail(get("a.example", "/"), Some(ada)),
        [
            Judgment::OtherHost,
            Judgment::OtherMethod,
            Judgment::OtherPath,
            Judgment::OtherPeople,
            Judgment::Decides(Outcome::Allow)
        ]
    );
}

/// A small repeatable generator (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn some<'a>(&mut self, from: &[&'a str], most: usize) -> Vec<&'a str> {
        (0..self.below(most + 1)).map(|_| *self.pick(from)).collect()
    }
}

const HOSTS: &[&str] = &[
    "home.example",
    "a.home.example",
    "b.home.example",
    "x.a.home.example",
    "y.x.a.home.example",
    "ahome.example",
    "example",
    "other.test",
    "a.other.test",
    "q.a.other.test",
];
const PATTERNS: &[&str] = &[
    "home.example",
    "a.home.example",
    "x.a.home.example",
    "*.home.example",
    "*.a.home.example",
    "*.x.a.home.example",
    "*.example",
    "other.test",
    "*.other.test",
    "*.test",
    "*.a.other.test",
];
const PATHS: &[Option<&str>] = &[
    None,
    Some("/"),
    Some("/api"),
    Some("/api/"),
    Some("/api/x"),
    Some("/admin"),
    Some("/x/api/"),
    Some("/b/"),
];
const METHODS: &[&str] = &["GET", "POST", "OPTIONS"];
const GROUPS: &[&str] = &["family", "friends", "admins"];
const USERS: &[&str] = &["ada", "bob", "eve"];

type PathTest = (&'static str, fn(&str) -> bool);
const PATH_TESTS: &[PathTest] = &[
    ("^/", |_| true),
    ("^/api/", |path| path.starts_with("/api/")),
    ("^/api$", |path| path == "/api"),
    ("^/admin|/b/", |path| path.starts_with("/admin") || path.starts_with("/b/")),
];

/// A rule as plain data, read by `naive` without any code of the matcher.
struct Plain {
    patterns: Vec<&'static str>,
    path: Option<PathTest>,
    methods: Vec<&'static str>,
    groups: Vec<&'static str>,
    users: Vec<&'static str>,
    policy: &'static str,
}

impl Plain {
    fn throw(dice: &mut Dice) -> Plain {
        let policy = *dice.pick(&["bypass", "deny", "one", "two"]);
        let has_people = policy != "bypass" && dice.below(2) == 0;
        Plain {
            patterns: (0..=dice.below(3)).map(|_| *dice.pick(PATTERNS)).collect(),
            path: (dice.below(3) == 0).then(|| *dice.pick(PATH_TESTS)),
            methods: if dice.below(4) == 0 { dice.some(METHODS, 2) } else { Vec::new() },
            groups: if has_people { dice.some(GROUPS, 2) } else { Vec::new() },
            users: if has_people { dice.some(USERS, 2) } else { Vec::new() },
            policy,
        }
    }

    fn line(&self) -> String {
        let verb = match self.policy {
            "one" => "allow one_factor",
            "two" => "allow two_factor",
            other => other,
        };
        let mut line = format!("{verb} domain={}", self.patterns.join(","));
        if let Some((pattern, _)) = self.path {
            line += &format!(" path={pattern}");
        }
        for (key, values) in [("method", &self.methods), ("group", &self.groups), ("user", &self.users)] {
            for value in values {
                line += &format!(" {key}={value}");
            }
        }
        line
    }
}

struct PlainCaller {
    name: &'static str,
    groups: Vec<&'static str>,
    is_two: bool,
}

fn naive(
    rules: &[Plain],
    host: &str,
    path: Option<&str>,
    method: &str,
    caller: Option<&PlainCaller>,
) -> (&'static str, Option<usize>) {
    for (index, rule) in rules.iter().enumerate() {
        let names_host = rule.patterns.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(dotted) => host.ends_with(dotted),
            None => host == *pattern,
        });
        let names_people = !rule.groups.is_empty() || !rule.users.is_empty();
        let is_one_of_them = caller.is_some_and(|caller| {
            rule.users.contains(&caller.name) || rule.groups.iter().any(|group| caller.groups.contains(group))
        });
        if !names_host
            || (!rule.methods.is_empty() && !rule.methods.contains(&method))
            || (names_people && caller.is_some() && !is_one_of_them)
        {
            continue;
        }
        match (rule.path, path) {
            (Some(_), None) => return ("no", Some(index)),
            (Some((_, test)), Some(path)) if !test(path) => continue,
            _ => {}
        }
        let answer = match (rule.policy, caller) {
            ("bypass", _) => "yes",
            ("deny", None) if names_people => "one",
            ("deny", _) => "no",
            (level, None) => level,
            ("two", Some(caller)) if !caller.is_two => "two",
            _ => "yes",
        };
        return (answer, Some(index));
    }
    ("no", None)
}

/// Compares with the naive reading; `DOORWARD_PROPERTY_CASES` raises the number of cases from 100,000.
#[test]
fn the_matcher_decides_as_a_naive_reading_of_the_rules_does() {
    let cases: usize =
        std::env::var("DOORWARD_PROPERTY_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..cases.div_ceil(200) {
        let plain: Vec<Plain> = (0..dice.below(9)).map(|_| Plain::throw(&mut dice)).collect();
        let rules = plain.iter().map(|rule| parse_line(&rule.line()).unwrap()).collect();
        let matcher = Matcher::new(rules);
        let lines: Vec<String> = plain.iter().map(Plain::line).collect();
        for _ in 0..200 {
            let (host, path, method) = (*dice.pick(HOSTS), *dice.pick(PATHS), *dice.pick(METHODS));
            let caller = (dice.below(3) > 0).then(|| PlainCaller {
                name: dice.pick::<&str>(USERS),
                groups: dice.some(GROUPS, 2),
                is_two: dice.below(2) == 0,
            });
            let own = caller.as_ref().map(|caller| groups(&caller.groups)).unwrap_or_default();
            let decision = matcher.decide(
                Asked { path, method, ..get(host, "/") },
                caller.as_ref().map(|caller| Caller {
                    username: caller.name,
                    groups: &own,
                    level: if caller.is_two { TWO } else { ONE },
                    client: None,
                }),
            );
            let outcome = match decision.outcome {
                Outcome::Allow => "yes",
                Outcome::Forbidden => "no",
                Outcome::NeedSignIn { level: ONE } => "one",
                Outcome::NeedSignIn { level: TWO } => "two",
            };
            let expected = naive(&plain, host, path, method, caller.as_ref());
            assert_eq!((outcome, decision.rule), expected, "{host} {path:?} {method} under {lines:#?}");
            *seen.entry(outcome).or_insert(0_usize) += 1;
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count > cases / 100), "lopsided cases: {seen:?}");
}
