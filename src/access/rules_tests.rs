//! When a rule, and a list of rules, is sound.

use super::*;

fn parts(policy: &str, domain: &str) -> RuleParts {
    RuleParts { domains: vec![domain.into()], policy: policy.into(), ..RuleParts::default() }
}

#[test]
fn bad_rules_name_the_field() {
    let ok = parts("one_factor", "a.example");
    assert!(Rule::build(&ok).is_ok());
    for (bad, field) in [
        (RuleParts { policy: "allow".into(), ..ok.clone() }, "policy"),
        (RuleParts { domains: vec![], ..ok.clone() }, "domains"),
        (RuleParts { domains: vec!["a b".into()], ..ok.clone() }, "domains"),
        (RuleParts { path: Some("/x".into()), ..ok.clone() }, "path"),
        (RuleParts { methods: vec!["G T".into()], ..ok.clone() }, "methods"),
        (RuleParts { groups: vec!["a,b".into()], ..ok.clone() }, "groups"),
        (RuleParts { users: vec!["a b".into()], ..ok.clone() }, "users"),
        (RuleParts { policy: "bypass".into(), users: vec!["ada".into()], ..ok.clone() }, "policy"),
        (RuleParts { note: "x".repeat(201), ..ok.clone() }, "note"),
        (RuleParts { note: "a\nb".into(), ..ok.clone() }, "note"),
        (
            RuleParts { domains: (0..300).map(|n| format!("host-{n}.example")).collect(), ..ok.clone() },
            "rule",
        ),
    ] {
        let error = Rule::build(&bad).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.sentence.english().ends_with('.'), "{error}");
    }
}

#[test]
fn the_new_parts_are_judged_too() {
    let ok = parts("one_factor", "a.example");
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let test = |operator: &str| QueryParts { operator: operator.into(), key: "k".into(), value: "v".into() };
    for (bad, field) in [
        (RuleParts { domains: list(&["{name}.a.example"]), ..ok.clone() }, "domains"),
        (RuleParts { domains: list(&["a.{user}.example"]), ..ok.clone() }, "domains"),
        (RuleParts { domains: list(&["{user}."]), ..ok.clone() }, "domains"),
        (RuleParts { domain_regex: list(&["("]), ..ok.clone() }, "domain_regex"),
        (RuleParts { domain_regex: list(&[""]), ..ok.clone() }, "domain_regex"),
        (RuleParts { resources: list(&["*/x"]), ..ok.clone() }, "resources"),
        (RuleParts { query: vec![vec![]], ..ok.clone() }, "query"),
        (RuleParts { query: vec![vec![test("like")]], ..ok.clone() }, "query"),
        (RuleParts { networks: list(&["10.0.0.0/40"]), ..ok.clone() }, "networks"),
        (RuleParts { networks: list(&["internal"]), ..ok.clone() }, "networks"),
        (RuleParts { clients: list(&["a b"]), ..ok.clone() }, "clients"),
        (RuleParts { subjects: vec![vec![]], ..ok.clone() }, "subjects"),
        (RuleParts { subjects: vec![list(&["ada"])], ..ok.clone() }, "subjects"),
        (RuleParts { programs: list(&["digest"]), ..ok.clone() }, "programs"),
        (RuleParts { programs: list(&["basic"]), policy: "two_factor".into(), ..ok.clone() }, "programs"),
        (RuleParts { clients: list(&["x"]), policy: "bypass".into(), ..ok.clone() }, "policy"),
        (
            RuleParts { domains: list(&["{group}.a.example"]), policy: "bypass".into(), ..ok.clone() },
            "policy",
        ),
    ] {
        let error = Rule::build(&bad).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.sentence.english().ends_with('.'), "{error}");
    }
}

#[test]
fn parts_that_say_the_same_are_one_rule() {
    let ok = parts("one_factor", "a.example");
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let spread = RuleParts {
        subjects: vec![list(&["user:Ada"]), list(&["group:dev", "group:dev"]), list(&["oauth2:client:x"])],
        networks: list(&["10.1.2.3/8", "10.0.0.0/8", "::ffff:10.0.0.0/104", "192.168.1.5/32"]),
        ..ok.clone()
    };
    let plain = RuleParts {
        users: list(&["ada"]),
        groups: list(&["dev"]),
        clients: list(&["x"]),
        networks: list(&["10.0.0.0/8", "192.168.1.5"]),
        ..ok
    };
    assert_eq!(Rule::build(&spread).unwrap(), Rule::build(&plain).unwrap());
    assert_eq!(Rule::build(&spread).unwrap().parts(), plain);
}

#[test]
fn parts_come_back_folded_and_each_once() {
    let given = RuleParts {
        domains: vec!["A.Example.".into(), "a.example".into(), "*.B.example".into()],
        path: Some("^/x".into()),
        methods: vec!["get".into(), "GET".into()],
        groups: vec!["Family".into()],
        users: vec!["Ada".into()],
        policy: "two_factor".into(),
        note: " hi ".into(),
        ..RuleParts::default()
    };
    let parts = Rule::build(&given).unwrap().parts();
    assert_eq!(parts.domains, ["a.example", "*.b.example"]);
    assert_eq!(
        (parts.methods, parts.groups, parts.users),
        (vec!["GET".into()], vec!["family".into()], vec!["ada".into()])
    );
    assert_eq!(parts.note, "hi");
}

#[test]
fn lists_are_bounded() {
    let many = vec![parts("deny", "a.example"); MOST_RULES + 1];
    assert_eq!(build_all(&many).unwrap_err().1.field, "rule");
    let wide =
        RuleParts { domains: (0..50).map(|n| format!("h{n}.example")).collect(), ..parts("deny", "x") };
    assert_eq!(build_all(&vec![wide; 201]).unwrap_err().1.field, "domains");
    assert_eq!(build_all(&[parts("deny", "a.example"), parts("deny", "")]).unwrap_err().0, 2);
    let long = RuleParts { note: "x".repeat(200), resources: vec!["y".repeat(500)], ..parts("deny", "x") };
    let error = build_all(&vec![long; 600]).unwrap_err().1;
    assert_eq!(error.to_string(), "All rules together can hold at most 400 kB of text.");
    let patterned = RuleParts { resources: ["a", "b", "c"].map(str::to_owned).into(), ..parts("deny", "x") };
    assert!(build_all(&vec![patterned.clone(); 600]).is_ok());
    let error = build_all(&vec![patterned; 700]).unwrap_err().1;
    assert_eq!(error.to_string(), "All rules together can hold at most 2000 regular expressions.");
}

#[test]
fn a_rule_behind_a_wider_one_is_told() {
    let rules = build_all(&[
        RuleParts { groups: vec!["family".into()], ..parts("one_factor", "*.home.example") },
        RuleParts { users: vec!["ada".into()], ..parts("one_factor", "a.home.example") },
        parts("one_factor", "*.home.example"),
        RuleParts { path: Some("^/api".into()), ..parts("bypass", "a.home.example") },
        parts("deny", "home.example"),
    ])
    .unwrap();
    assert_eq!(shadowed(&rules), [(4, 3)]);
    let line = |text: &str| crate::access::rule_text::parse_line(text).unwrap();
    let rules = [
        "deny domain={user}.a.example",
        "deny domain=x.a.example",
        "deny host~=^a host~=^b",
        "deny host~=^b query=k",
        "deny host~=^b domain=z.example",
        "deny domain=*.a.example network=10.0.0.0/8,::1",
        "deny domain={group}.b.a.example network=::1 method=GET",
        "deny domain=*.b.a.example",
        "deny domain=q.b.a.example subject=user:ada+group:dev",
    ]
    .map(line);
    assert_eq!(shadowed(&rules), [(4, 3), (7, 6), (9, 8)]);
}

/// Compiling is what costs, so what is too much is told before it: the last part of each of these is unsound, and is not
/// looked at.
#[test]
fn bounds_are_judged_before_anything_is_compiled() {
    let unsound = parts("deny", "");
    let told = |mut many: Vec<RuleParts>| {
        many.push(unsound.clone());
        build_all(&many).unwrap_err().1.sentence
    };
    assert_eq!(told(vec![parts("deny", "a.example"); MOST_RULES]), said(|t| t.rules_most_rules(MOST_RULES)));
    let patterned = RuleParts {
        domain_regex: (0..100).map(|n| format!("a{n}")).collect(),
        path: Some("^/".into()),
        ..parts("deny", "a.example")
    };
    assert_eq!(told(vec![patterned; 20]), said(|t| t.rules_most_patterns(MOST_PATTERNS)));
    // What is written twice is counted twice here: it costs twice.
    let long = RuleParts { resources: vec!["(".into(); LONGEST_RULE + 1], ..parts("deny", "a.example") };
    assert_eq!(Rule::build(&long).unwrap_err().sentence, Said::of(Words::rules_too_long));
}
