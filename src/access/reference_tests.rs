//! The matcher against a second, plain reading of the rules that shares no code with it: lists of generated rules, and
//! generated requests for each. What expressions and queries mean is told by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::access::rule_text::parse_line;
use crate::kernel::text::GroupName;

/// A small repeatable generator (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn some<T: Copy>(&mut self, from: &[T], most: usize) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }
}

const HOSTS: &[&str] = &[
    "home.example",
    "a.home.example",
    "b.home.example",
    "ada.home.example",
    "bob.home.example",
    "family.home.example",
    "x.a.home.example",
    "ada.a.home.example",
    "y.x.a.home.example",
    "ahome.example",
    "example",
    "other.test",
    "a.other.test",
    "team-family.other.test",
    "team-dev.other.test",
    "q.a.other.test",
];
const DOMAINS: &[&str] = &[
    "home.example",
    "a.home.example",
    "x.a.home.example",
    "ada.home.example",
    "*.home.example",
    "*.a.home.example",
    "*.x.a.home.example",
    "*.example",
    "other.test",
    "*.other.test",
    "*.test",
    "*.a.other.test",
    "{user}.home.example",
    "{user}.a.home.example",
    "{group}.home.example",
];

/// What an expression finds: nothing, or a match that names a user, a group, or nobody.
type Found<'a> = Option<(Option<&'a str>, Option<&'a str>)>;
type Expression = (&'static str, fn(&str) -> Found<'_>);
/// A condition as it is written, and what it says of a text.
type Test = (&'static str, fn(&str) -> bool);

fn is_word(text: &&str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

const HOST_EXPRESSIONS: &[Expression] = &[
    (r"^(?P<User>\w+)\.home\.example$", |host| {
        host.strip_suffix(".home.example").filter(is_word).map(|head| (Some(head), None))
    }),
    (r"^team-(?P<Group>\w+)\.other\.test$", |host| {
        host.strip_prefix("team-")?.strip_suffix(".other.test").filter(is_word).map(|head| (None, Some(head)))
    }),
    (r"^[ab]\.home\.example$", |host| {
        matches!(host, "a.home.example" | "b.home.example").then_some((None, None))
    }),
    (r"\.test$", |host| host.ends_with(".test").then_some((None, None))),
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
    Some("/u/ada/x"),
    Some("/u/BOB/"),
];
const PATH_EXPRESSIONS: &[Test] = &[
    ("^/", |_| true),
    ("^/api/", |path| path.starts_with("/api/")),
    ("^/api$", |path| path == "/api"),
    ("^/admin|/b/", |path| path.starts_with("/admin") || path.starts_with("/b/")),
];
const RESOURCES: &[Expression] = &[
    (r"^/api([/?].*)?$", |target| {
        let rest = target.strip_prefix("/api")?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((None, None))
    }),
    ("^/u/(?P<User>[a-zA-Z]+)/", |target| {
        let (name, _) = target.strip_prefix("/u/")?.split_once('/')?;
        (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic())).then_some((Some(name), None))
    }),
    ("admin", |target| target.contains("admin").then_some((None, None))),
    (r"\?.*debug", |target| target.split_once('?')?.1.contains("debug").then_some((None, None))),
];

/// A query as it is sent, and how it is read; nothing if it is read in different ways.
type Query = (Option<&'static str>, Option<&'static [(&'static str, &'static str)]>);
const QUERIES: &[Query] = &[
    (None, Some(&[])),
    (Some(""), Some(&[])),
    (Some("mode=raw"), Some(&[("mode", "raw")])),
    (Some("debug&mode=raw"), Some(&[("debug", ""), ("mode", "raw")])),
    (Some("mode=x&mode=raw"), Some(&[("mode", "x"), ("mode", "raw")])),
    (Some("m%6Fde=r%61w"), Some(&[("mode", "raw")])),
    (Some("mode=a+b"), Some(&[("mode", "a b")])),
    (Some("token=abc123&x=admin"), Some(&[("token", "abc123"), ("x", "admin")])),
    (Some("token=xabc123"), Some(&[("token", "xabc123")])),
    (Some("mode=raw;debug"), None),
    (Some("mode=raw&x=%zz"), None),
];
/// A condition on the query as it is written, its key, and what it says of the first value.
type Condition = (&'static str, &'static str, fn(Option<&str>) -> bool);
const CONDITIONS: &[Condition] = &[
    ("mode==raw", "mode", |value| value == Some("raw")),
    ("mode!=raw", "mode", |value| value != Some("raw")),
    ("\"mode==a b\"", "mode", |value| value == Some("a b")),
    ("mode==", "mode", |value| matches!(value, None | Some(""))),
    ("debug", "debug", |value| value.is_some()),
    ("!debug", "debug", |value| value.is_none()),
    ("token~=^(abc123|zyx789)$", "token", |value| matches!(value, Some("abc123" | "zyx789"))),
    ("token!~abc", "token", |value| !value.is_some_and(|value| value.contains("abc"))),
];

const METHODS: &[&str] = &["GET", "POST", "OPTIONS"];
/// Methods as they are asked by; nothing if nobody says.
const ASKED_BY: &[Option<&str>] = &[Some("GET"), Some("POST"), Some("OPTIONS"), None];
const NETWORKS: &[Test] = &[
    ("10.0.0.0/8", |address| matches!(address, "10.1.2.3" | "::ffff:10.9.9.9")),
    ("192.168.1.5", |address| address == "192.168.1.5"),
    ("fd00::/8", |address| address == "fd12::1"),
    ("::ffff:192.168.0.0/112", |address| matches!(address, "192.168.1.5" | "192.168.1.6")),
];
/// Where requests come from; nothing if nobody knows.
const ADDRESSES: &[Option<&str>] = &[
    Some("10.1.2.3"),
    Some("192.168.1.5"),
    Some("192.168.1.6"),
    Some("fd12::1"),
    Some("2001:db8::1"),
    Some("::ffff:10.9.9.9"),
    None,
];
const GROUPS: &[&str] = &["family", "dev", "admins"];
const USERS: &[&str] = &["ada", "bob", "eve"];
const CLIENTS: &[&str] = &["backup", "sync"];
const SUBJECTS: &[&str] =
    &["user:ada", "user:bob", "group:family", "group:dev", "group:admins", "oauth2:client:backup"];

/// A rule as plain data.
struct Plain {
    domains: Vec<&'static str>,
    host_expressions: Vec<Expression>,
    path: Option<Test>,
    resources: Vec<Expression>,
    query: Vec<Vec<Condition>>,
    methods: Vec<&'static str>,
    networks: Vec<Test>,
    groups: Vec<&'static str>,
    users: Vec<&'static str>,
    clients: Vec<&'static str>,
    subjects: Vec<Vec<&'static str>>,
    policy: &'static str,
}

impl Plain {
    fn throw(dice: &mut Dice) -> Plain {
        let policy = dice.pick(&["bypass", "deny", "one", "two"]);
        let may_name = policy != "bypass";
        let has_people = may_name && dice.one_in(2);
        let mut domains = dice.some(DOMAINS, 3);
        let mut host_expressions = if dice.one_in(5) { dice.some(HOST_EXPRESSIONS, 2) } else { Vec::new() };
        let mut resources = if dice.one_in(4) { dice.some(RESOURCES, 2) } else { Vec::new() };
        if !may_name {
            domains.retain(|domain| !domain.contains('{'));
            host_expressions.retain(|(source, _)| !source.contains("?P<"));
            resources.retain(|(source, _)| !source.contains("?P<"));
        }
        if domains.is_empty() && host_expressions.is_empty() {
            domains.push("*.home.example");
        }
        let mut lists = |chance: usize| if dice.one_in(chance) { 1 + dice.below(2) } else { 0 };
        let (queries, subjects) = (lists(5), if has_people { lists(2) } else { 0 });
        Plain {
            domains,
            host_expressions,
            path: dice.one_in(4).then(|| dice.pick(PATH_EXPRESSIONS)),
            resources,
            query: (0..queries)
                .map(|_| (0..=dice.below(2)).map(|_| dice.pick(CONDITIONS)).collect())
                .collect(),
            methods: if dice.one_in(4) { dice.some(METHODS, 2) } else { Vec::new() },
            networks: if dice.one_in(4) { dice.some(NETWORKS, 2) } else { Vec::new() },
            groups: if has_people { dice.some(GROUPS, 2) } else { Vec::new() },
            users: if has_people { dice.some(USERS, 2) } else { Vec::new() },
            clients: if has_people { dice.some(CLIENTS, 1) } else { Vec::new() },
            subjects: (0..subjects)
                .map(|_| (0..=dice.below(2)).map(|_| dice.pick(SUBJECTS)).collect())
                .collect(),
            policy,
        }
    }

    fn line(&self) -> String {
        let mut line = match self.policy {
            "one" => "allow one_factor".to_owned(),
            "two" => "allow two_factor".to_owned(),
            other => other.to_owned(),
        };
        let mut add = |key: &str, value: &str| line += &format!(" {key}={value}");
        self.domains.iter().for_each(|domain| add("domain", domain));
        self.host_expressions.iter().for_each(|(source, _)| add("host~", source));
        self.path.iter().for_each(|(source, _)| add("path", source));
        self.resources.iter().for_each(|(source, _)| add("resource", source));
        for list in &self.query {
            for (index, (text, ..)) in list.iter().enumerate() {
                add(if index == 0 { "query" } else { "and" }, text);
            }
        }
        self.methods.iter().for_each(|method| add("method", method));
        self.networks.iter().for_each(|(network, _)| add("network", network));
        self.groups.iter().for_each(|group| add("group", group));
        self.users.iter().for_each(|user| add("user", user));
        self.clients.iter().for_each(|client| add("client", client));
        self.subjects.iter().for_each(|list| add("subject", &list.join("+")));
        line
    }

    fn has_people(&self) -> bool {
        !(self.groups.is_empty()
            && self.users.is_empty()
            && self.clients.is_empty()
            && self.subjects.is_empty())
    }

    fn depends_on_people(&self) -> bool {
        self.has_people()
            || self.domains.iter().any(|domain| domain.contains('{'))
            || self.host_expressions.iter().chain(&self.resources).any(|(source, _)| source.contains("?P<"))
    }
}

struct PlainCaller {
    name: &'static str,
    groups: Vec<&'static str>,
    client: Option<&'static str>,
    is_two: bool,
}

impl PlainCaller {
    fn throw(dice: &mut Dice) -> PlainCaller {
        let is_program = dice.one_in(6);
        PlainCaller {
            name: if is_program { "" } else { dice.pick(USERS) },
            groups: if is_program { Vec::new() } else { dice.some(GROUPS, 2) },
            client: (is_program || dice.one_in(6)).then(|| dice.pick(CLIENTS)),
            is_two: dice.one_in(2),
        }
    }

    fn is(&self, subject: &str) -> bool {
        match subject.rsplit_once(':') {
            Some(("user", name)) => self.name == name,
            Some(("group", name)) => self.groups.contains(&name),
            Some((_, id)) => self.client == Some(id),
            None => unreachable!(),
        }
    }

    fn has_names(&self, (user, group): (Option<&str>, Option<&str>)) -> bool {
        user.is_none_or(|user| self.name == user.to_lowercase())
            && group.is_none_or(|group| self.groups.contains(&&*group.to_lowercase()))
    }
}

#[derive(Clone, Copy)]
struct PlainRequest {
    host: &'static str,
    path: Option<&'static str>,
    query: Query,
    method: Option<&'static str>,
    address: Option<&'static str>,
}

/// What a condition on an address comes to.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Yes,
    No,
    NobodyCanTell,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Verdict::Yes } else { Verdict::No }
    }
}

impl PlainRequest {
    fn throw(dice: &mut Dice) -> PlainRequest {
        PlainRequest {
            host: dice.pick(HOSTS),
            path: dice.pick(PATHS),
            query: dice.pick(QUERIES),
            method: dice.pick(ASKED_BY),
            address: dice.pick(ADDRESSES),
        }
    }

    fn is_to(&self, rule: &Plain, caller: Option<&PlainCaller>) -> bool {
        let host = self.host;
        let by_domain = rule.domains.iter().any(|domain| {
            if let Some(suffix) = domain.strip_prefix('*') {
                host.ends_with(suffix)
            } else if let Some(suffix) = domain.strip_prefix("{user}") {
                let name = host.strip_suffix(suffix);
                name.is_some_and(|name| caller.is_none_or(|caller| caller.has_names((Some(name), None))))
            } else if let Some(suffix) = domain.strip_prefix("{group}") {
                let name = host.strip_suffix(suffix);
                name.is_some_and(|name| caller.is_none_or(|caller| caller.has_names((None, Some(name)))))
            } else {
                host == *domain
            }
        });
        by_domain || finds(&rule.host_expressions, host, caller)
    }

    fn by_method(&self, rule: &Plain) -> Verdict {
        if rule.methods.is_empty() {
            return Verdict::Yes;
        }
        let Some(method) = self.method else { return Verdict::NobodyCanTell };
        rule.methods.contains(&method).into()
    }

    fn by_network(&self, rule: &Plain) -> Verdict {
        if rule.networks.is_empty() {
            return Verdict::Yes;
        }
        let Some(address) = self.address else { return Verdict::NobodyCanTell };
        rule.networks.iter().any(|(_, test)| test(address)).into()
    }

    fn by_path(&self, rule: &Plain) -> Verdict {
        match (rule.path, self.path) {
            (None, _) => Verdict::Yes,
            (Some(_), None) => Verdict::NobodyCanTell,
            (Some((_, test)), Some(path)) => test(path).into(),
        }
    }

    fn by_resource(&self, rule: &Plain, caller: Option<&PlainCaller>) -> Verdict {
        if rule.resources.is_empty() {
            return Verdict::Yes;
        }
        let Some(path) = self.path else { return Verdict::NobodyCanTell };
        let target = match self.query.0 {
            None | Some("") => path.to_owned(),
            Some(query) => format!("{path}?{query}"),
        };
        finds(&rule.resources, &target, caller).into()
    }

    fn by_query(&self, rule: &Plain) -> Verdict {
        if rule.query.is_empty() {
            return Verdict::Yes;
        }
        let Some(pairs) = self.query.1 else { return Verdict::NobodyCanTell };
        let holds = |(_, key, test): &Condition| {
            test(pairs.iter().find(|(name, _)| name == key).map(|(_, value)| *value))
        };
        rule.query.iter().any(|list| list.iter().all(holds)).into()
    }
}

fn finds(expressions: &[Expression], text: &str, caller: Option<&PlainCaller>) -> bool {
    expressions
        .iter()
        .any(|(_, find)| find(text).is_some_and(|names| caller.is_none_or(|caller| caller.has_names(names))))
}

fn reference(
    rules: &[Plain],
    request: &PlainRequest,
    caller: Option<&PlainCaller>,
) -> (&'static str, Option<usize>) {
    for (index, rule) in rules.iter().enumerate() {
        let by_people = !rule.has_people()
            || caller.is_none_or(|caller| {
                rule.users.contains(&caller.name)
                    || rule.groups.iter().any(|group| caller.groups.contains(group))
                    || caller.client.is_some_and(|client| rule.clients.contains(&client))
                    || rule.subjects.iter().any(|list| list.iter().all(|subject| caller.is(subject)))
            });
        let fits = by_people && request.is_to(rule, caller);
        let by_rest = [
            request.by_method(rule),
            request.by_network(rule),
            request.by_path(rule),
            request.by_resource(rule, caller),
            request.by_query(rule),
        ];
        if !fits || by_rest.contains(&Verdict::No) {
            continue;
        }
        if by_rest.contains(&Verdict::NobodyCanTell) {
            return ("no", Some(index));
        }
        let answer = match (rule.policy, caller) {
            ("bypass", _) => "yes",
            ("deny", None) if rule.depends_on_people() => "one",
            ("deny", _) => "no",
            (level, None) => level,
            ("two", Some(caller)) if !caller.is_two => "two",
            _ => "yes",
        };
        return (answer, Some(index));
    }
    ("no", None)
}

/// Compares one request, and returns what came out.
fn compare(
    matcher: &Matcher,
    plain: &[Plain],
    request: &PlainRequest,
    caller: Option<&PlainCaller>,
) -> &'static str {
    let own: Vec<GroupName> = caller
        .iter()
        .flat_map(|caller| &caller.groups)
        .map(|group| GroupName::parse(group).unwrap())
        .collect();
    let asked = Asked {
        host: request.host,
        path: request.path,
        query: request.query.0,
        method: request.method,
        address: request.address.map(|address| address.parse::<IpAddr>().unwrap()),
    };
    let as_caller = caller.map(|caller| Caller {
        username: caller.name,
        groups: &own,
        level: if caller.is_two { Level::TwoFactor } else { Level::OneFactor },
        client: caller.client,
    });
    let decision = matcher.decide(asked, as_caller);
    let outcome = match decision.outcome {
        Outcome::Allow => "yes",
        Outcome::Forbidden => "no",
        Outcome::NeedSignIn { level: Level::OneFactor } => "one",
        Outcome::NeedSignIn { level: Level::TwoFactor } => "two",
    };
    let expected = reference(plain, request, caller);
    if (outcome, decision.rule) != expected {
        let lines: Vec<String> = plain.iter().map(Plain::line).collect();
        panic!(
            "{outcome} by {:?}, not {expected:?}: {asked:?} {as_caller:?} under {lines:#?}",
            decision.rule
        );
    }
    outcome
}

fn compare_many(seed: u64, lists: usize, rules: usize, requests: usize) -> BTreeMap<&'static str, usize> {
    let mut dice = Dice(seed);
    let mut seen = BTreeMap::new();
    for _ in 0..lists {
        let plain: Vec<Plain> = (0..dice.below(rules)).map(|_| Plain::throw(&mut dice)).collect();
        let matcher = Matcher::new(plain.iter().map(|rule| parse_line(&rule.line()).unwrap()).collect());
        for _ in 0..requests {
            let request = PlainRequest::throw(&mut dice);
            let caller = (!dice.one_in(3)).then(|| PlainCaller::throw(&mut dice));
            *seen.entry(compare(&matcher, &plain, &request, caller.as_ref())).or_default() += 1;
        }
    }
    seen
}

/// A million requests, 500 for each of 2,000 lists of up to 11 rules. `DOORWARD_PROPERTY_LISTS` raises the lists.
#[test]
fn the_matcher_decides_as_a_plain_reading_of_the_rules_does() {
    const REQUESTS: usize = 500;
    const SEEDS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];
    let lists = std::env::var("DOORWARD_PROPERTY_LISTS").ok().and_then(|text| text.parse().ok());
    let lists = lists.unwrap_or(2000_usize).div_ceil(SEEDS.len());
    let mut seen = BTreeMap::new();
    std::thread::scope(|scope| {
        let halves = SEEDS.map(|seed| scope.spawn(move || compare_many(seed, lists, 12, REQUESTS)));
        for (outcome, count) in halves.into_iter().flat_map(|half| half.join().unwrap()) {
            *seen.entry(outcome).or_insert(0_usize) += count;
        }
    });
    let cases: usize = seen.values().sum();
    assert_eq!(cases, lists * SEEDS.len() * REQUESTS);
    assert!(seen.len() == 4 && seen.values().all(|count| *count > cases / 50), "lopsided cases: {seen:?}");
}

/// Long lists, where the order of the sources in the index matters most.
#[test]
fn long_lists_are_decided_as_a_plain_reading_does() {
    let seen = compare_many(0xbf58_476d_1ce4_e5b9, 20, 400, 500);
    assert_eq!(seen.values().sum::<usize>(), 10_000);
}
