//! The matcher against examples. `reference_tests` compares it with a second reading of the rules.

use super::*;
use crate::access::rule_text::parse_file;

const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ONE: Level = Level::OneFactor;
const TWO: Level = Level::TwoFactor;
const SIGN_IN_ONE: Outcome = Outcome::NeedSignIn { level: ONE };
const SIGN_IN_TWO: Outcome = Outcome::NeedSignIn { level: TWO };

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| GroupName::parse(name).unwrap()).collect()
}

fn get<'a>(host: &'a str, path: &'a str) -> Asked<'a> {
    Asked { host, path: Some(path), query: None, method: Some("GET"), address: Some(ANYWHERE) }
}

fn decision(outcome: Outcome, rule: Option<usize>) -> Decision {
    Decision { outcome, rule, allows_basic: false, lacking: None }
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

/// FWD-01: nobody is in a network, and nobody outside of it, while it is not known where they are.
#[test]
fn an_unknown_address_is_refused_where_a_rule_by_network_would_have_to_be_judged() {
    let unknown = Asked { address: None, ..get("a.example", "/y") };
    let none = groups(&[]);
    let ada = Some(Caller { username: "ada", groups: &none, level: TWO, client: None });
    for line in [
        "bypass domain=a.example network=127.0.0.0/8",
        "bypass domain=a.example network=0.0.0.0/1,128.0.0.0/1,::/1,8000::/1",
        "deny domain=*.example network=203.0.113.0/24",
        "allow one_factor domain=a.example network=::1 user=ada",
        "allow two_factor domain=a.example network=10.0.0.0/8 path=^/y",
    ] {
        let rules = matcher(&format!("{line}\nbypass domain=a.example"));
        for caller in [None, ada] {
            let refused =
                Decision { lacking: Some(Lacking::Address), ..decision(Outcome::Forbidden, Some(0)) };
            assert_eq!(rules.decide(unknown, caller), refused, "{line} {caller:?}");
            assert_eq!(rules.trail(unknown, caller), [Judgment::Unknown(Lacking::Address)], "{line}");
        }
    }
    for line in [
        "deny domain=a.example network=10.0.0.0/8 method=POST",
        "deny domain=a.example network=10.0.0.0/8 path=^/x",
        "deny domain=a.example network=10.0.0.0/8 user=bob",
        "deny domain=b.example network=10.0.0.0/8",
    ] {
        let rules = matcher(&format!("{line}\nallow one_factor domain=a.example"));
        assert_eq!(rules.decide(unknown, ada), decision(Outcome::Allow, Some(1)), "{line}");
    }
}

/// FWD-05: a method that nobody said is not GET.
#[test]
fn an_unknown_method_is_refused_where_a_rule_by_method_would_have_to_be_judged() {
    let unknown = Asked { method: None, ..get("a.example", "/y") };
    for line in ["bypass domain=a.example method=GET", "deny domain=*.example method=POST path=^/y"] {
        let rules = matcher(&format!("{line}\nbypass domain=a.example"));
        let refused = Decision { lacking: Some(Lacking::Method), ..decision(Outcome::Forbidden, Some(0)) };
        assert_eq!(rules.decide(unknown, None), refused, "{line}");
    }
    let rules = matcher("deny domain=a.example method=POST path=^/x\nbypass domain=a.example");
    assert_eq!(rules.decide(unknown, None), decision(Outcome::Allow, Some(1)));
}

/// FWD-07: OPTIONS is a method like any other.
#[test]
fn methods_are_conditions_and_none_is_special() {
    let rules = matcher("bypass domain=a.example method=GET,HEAD\nallow one_factor domain=a.example");
    for (method, outcome) in
        [("GET", Outcome::Allow), ("HEAD", Outcome::Allow), ("OPTIONS", SIGN_IN_ONE), ("POST", SIGN_IN_ONE)]
    {
        let asked = Asked { method: Some(method), ..get("a.example", "/") };
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

/// FWD-06: what is read in two ways refuses only where it matters.
#[test]
fn what_surely_does_not_match_is_left_alone_however_ambiguous_the_rest_is() {
    let rules = matcher(
        "bypass domain=a.example path=^/x query=k\nbypass domain=a.example resource=^/y\ndeny domain=a.example query=k==v",
    );
    let ask = |path, query| Asked { path, query, ..get("a.example", "") };
    for (path, query, rule) in [
        (Some("/z"), Some("k=%"), Some(2)),
        (Some("/z"), Some("x"), None),
        (None, Some("x"), Some(1)),
        (None, Some("k"), Some(0)),
        (Some("/x"), Some(";"), Some(0)),
        (Some("/y"), Some(";"), Some(1)),
    ] {
        let decided = rules.decide(ask(path, query), None);
        assert_eq!(decided.rule, rule, "{path:?} {query:?}");
        assert_eq!(decided.outcome == Outcome::Allow, path == Some("/y"), "{path:?} {query:?}");
    }
}

/// A program without a person has no name and is in no group, so nothing that names people is for it.
#[test]
fn programs_are_meant_by_their_id_alone() {
    let rules = matcher(
        "allow one_factor domain=a.example client=backup\n\
         allow one_factor domain=b.example subject=oauth2:client:backup+user:ada\n\
         allow one_factor domain={user}.c.example,{group}.c.example\n\
         allow one_factor domain=d.example",
    );
    let own = groups(&["dev"]);
    let backup = Caller { username: "", groups: &[], level: ONE, client: Some("backup") };
    let other = Caller { client: Some("Backup"), ..backup };
    let for_ada = Caller { username: "ada", groups: &own, ..backup };
    for (host, caller, outcome) in [
        ("a.example", backup, Outcome::Allow),
        ("a.example", other, Outcome::Forbidden),
        ("a.example", for_ada, Outcome::Allow),
        ("b.example", backup, Outcome::Forbidden),
        ("b.example", for_ada, Outcome::Allow),
        ("backup.c.example", backup, Outcome::Forbidden),
        ("dev.c.example", for_ada, Outcome::Allow),
        ("d.example", other, Outcome::Allow),
    ] {
        assert_eq!(rules.decide(get(host, "/"), Some(caller)).outcome, outcome, "{host} {caller:?}");
    }
}

#[test]
fn the_decision_tells_whether_a_password_is_read() {
    let rules =
        matcher("allow one_factor domain=a.example programs=basic\nallow one_factor domain=b.example");
    assert!(rules.decide(get("a.example", "/"), None).allows_basic);
    assert!(!rules.decide(get("b.example", "/"), None).allows_basic);
    assert!(!rules.decide(get("c.example", "/"), None).allows_basic);
}

/// The number of rules plays no part: of a thousand, one is looked at.
#[test]
fn of_a_thousand_rules_for_ten_thousand_hosts_one_is_looked_at() {
    let mut text = String::new();
    for number in 0..999 {
        let hosts: Vec<String> = (0..10).map(|host| format!("h{host}.app{number}.home.example")).collect();
        text += &format!("allow one_factor domain={} path=^/api/ group=g{number}\n", hosts.join(","));
    }
    text += "deny host~=^x[0-9]\\.other\\.test$";
    let rules = matcher(&text);
    let looked_at = |host: &str| {
        let mut count = 0;
        rules.index.each_source(host, |candidates| {
            count += candidates.len();
            None
        });
        count
    };
    assert_eq!(looked_at("h3.app517.home.example"), 1);
    assert_eq!(looked_at("x3.other.test"), 1);
    assert_eq!(looked_at("unknown.home.example"), 0);
    let asked = get("h3.app517.home.example", "/api/");
    assert_eq!(rules.decide(asked, None), decision(SIGN_IN_ONE, Some(517)));
}
