//! The list of rules in store and memory, and the JSON about it.

use std::sync::Arc;

use super::api::{CheckDto, PutRulesDto, check_rules, list_rules, put_rules};
use super::rule_text::{parse_file, parse_line};
use super::*;
use crate::accounts::{Role, Status, User};
use crate::audit::{DEFAULT_RETENTION, Kind};
use crate::crypto::keys::MasterKey;
use crate::crypto::sealed::Sealer;
use crate::kernel::ids::UserId;
use crate::kernel::random::Random;
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::kernel::time::{TestClock, Timestamp};
use crate::site::Fixed;
use crate::store::MemoryEngine;
use crate::words::Words;

const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

pub(super) fn fixed() -> Fixed {
    Fixed {
        public_origin: Some("https://auth.home.example".into()),
        protected_domain: Some("home.example".into()),
        default_origin: "http://localhost:8080".into(),
        ..Fixed::default()
    }
}

fn site(store: &Store) -> Site {
    Site::open(store, fixed()).unwrap()
}

pub(super) fn store() -> Store {
    let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([7; 32])));
    Store::new(Arc::new(MemoryEngine::default()), sealer, Random::os())
}

pub(super) fn audit(store: &Store) -> Audit {
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    Audit::open(store.clone(), clock, Random::os(), DEFAULT_RETENTION).unwrap()
}

pub(super) fn open(store: &Store) -> Access {
    Access::load(store.clone(), audit(store), site(store), ForwardAuthSettings::default()).unwrap()
}

pub(super) fn event() -> Event {
    Event::succeeded(Kind::RuleChanged).by_system("cli")
}

pub(super) fn user(name: &str, groups: &[&str]) -> Arc<User> {
    Arc::new(User {
        id: UserId([name.len() as u8; 16]),
        username: Username::parse(name).unwrap(),
        display_name: DisplayName::parse("Ada Lovelace").unwrap(),
        email: Some(Email::parse("ada@example.org").unwrap()),
        groups: groups.iter().map(|group| GroupName::parse(group).unwrap()).collect(),
        role: Role::Member,
        status: Status::Active,
        not_before: Timestamp::ZERO,
        has_totp: false,
        passkeys: 0,
        created_at: Timestamp::ZERO,
        password_changed_at: None,
        recovery_codes_left: 0,
    })
}

pub(super) async fn with_rules(text: &str) -> Access {
    with_rules_at(fixed(), text).await
}

pub(super) async fn with_rules_at(fixed: Fixed, text: &str) -> Access {
    let store = store();
    let access = Access::load(
        store.clone(),
        audit(&store),
        Site::open(&store, fixed).unwrap(),
        ForwardAuthSettings::default(),
    )
    .unwrap();
    access.replace_all(parse_file(text).unwrap(), 0, event()).await.unwrap();
    access
}

fn lines(access: &Access) -> Vec<String> {
    access.list().rules().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn changes_are_seen_by_every_clone_and_after_a_restart() {
    let store = store();
    let access = open(&store);
    let clone = access.clone();
    assert_eq!((clone.list().version(), clone.list().rules().len()), (0, 0));
    let rules = parse_file("bypass domain=a.home.example\ndeny domain=b.home.example # why\n").unwrap();
    assert_eq!(access.replace_all(rules, 0, event()).await.unwrap(), 1);
    let expected = ["bypass domain=a.home.example", "deny domain=b.home.example # why"];
    assert_eq!(lines(&clone), expected);
    assert_eq!(lines(&open(&store)), expected);
    access.replace_all(parse_file("deny domain=c.home.example").unwrap(), 1, event()).await.unwrap();
    assert_eq!(lines(&open(&store)), ["deny domain=c.home.example"]);
    access.replace_all(Vec::new(), 2, event()).await.unwrap();
    let reopened = open(&store);
    assert_eq!((reopened.list().version(), reopened.list().rules().len()), (3, 0));
}

#[tokio::test]
async fn single_rules_are_added_changed_moved_and_removed() {
    let access = open(&store());
    let rule = |host: &str| parse_line(&format!("deny domain={host}.example")).unwrap();
    let hosts = |access: &Access| {
        access
            .list()
            .rules()
            .iter()
            .map(|rule| rule.domains()[0].to_string()[..1].to_owned())
            .collect::<String>()
    };
    access.edit(Edit::Add(rule("b"), None), 0, event()).await.unwrap();
    access.edit(Edit::Add(rule("d"), Some(2)), 1, event()).await.unwrap();
    access.edit(Edit::Add(rule("a"), Some(1)), 2, event()).await.unwrap();
    assert_eq!(hosts(&access), "abd");
    access.edit(Edit::Change(3, rule("c")), 3, event()).await.unwrap();
    access.edit(Edit::Move(3, Step::Up), 4, event()).await.unwrap();
    assert_eq!(hosts(&access), "acb");
    assert_eq!(access.edit(Edit::Move(1, Step::Up), 5, event()).await.unwrap(), 5, "already first");
    access.edit(Edit::Move(1, Step::Down), 5, event()).await.unwrap();
    access.edit(Edit::Remove(2), 6, event()).await.unwrap();
    assert_eq!(hosts(&access), "cb");
    for number in [0, 3] {
        assert!(matches!(
            access.edit(Edit::Remove(number), 7, event()).await,
            Err(ChangeError::NoSuchRule(_))
        ));
        assert!(matches!(
            access.edit(Edit::Move(number, Step::Up), 7, event()).await,
            Err(ChangeError::NoSuchRule(_))
        ));
        assert!(matches!(
            access.edit(Edit::Change(number, rule("x")), 7, event()).await,
            Err(ChangeError::NoSuchRule(_))
        ));
    }
    assert!(matches!(
        access.edit(Edit::Add(rule("x"), Some(4)), 7, event()).await,
        Err(ChangeError::NoSuchRule(4))
    ));
}

#[tokio::test]
async fn of_two_changes_to_the_same_version_one_wins() {
    let store = store();
    let access = open(&store);
    let rules = |text: &str| parse_file(text).unwrap();
    let (one, two) = tokio::join!(
        access.replace_all(rules("deny domain=a.example\ndeny domain=b.example"), 0, event()),
        access.replace_all(rules("deny domain=c.example"), 0, event()),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!(matches!(access.edit(Edit::Remove(1), 0, event()).await, Err(ChangeError::Stale)));
    assert_eq!(lines(&access), lines(&open(&store)));
}

/// FAIL-04: rules that cannot be read stop the start instead of being skipped.
#[tokio::test]
async fn damaged_rules_are_never_skipped() {
    let store = store();
    let access = open(&store);
    access
        .replace_all(parse_file("deny domain=a.example\nbypass domain=*.example").unwrap(), 0, event())
        .await
        .unwrap();
    let mut batch = store.batch();
    batch.remove::<RuleRecord>(&0_u32.to_be_bytes());
    store.commit(batch).await.unwrap();
    assert!(
        Access::load(store.clone(), audit(&store), site(&store), ForwardAuthSettings::default()).is_err()
    );
    let mut batch = store.batch();
    batch.remove::<RuleRecord>(&1_u32.to_be_bytes());
    store.commit(batch).await.unwrap();
    assert!(
        Access::load(store.clone(), audit(&store), site(&store), ForwardAuthSettings::default()).is_err()
    );
}

/// An installation from before has rules of version 1, and they stay in force.
#[tokio::test]
async fn rules_from_before_are_read_and_stay_in_force() {
    let store = store();
    let access = open(&store);
    let rules =
        parse_file("allow two_factor domain=a.home.example path=^/x group=family user=ada # why").unwrap();
    access.replace_all(rules, 0, event()).await.unwrap();
    let old = records::old_row(&access.list().rules()[0]);
    let mut batch = store.batch();
    batch.put(&0_u32.to_be_bytes(), &old);
    store.commit(batch).await.unwrap();
    assert_eq!(lines(&open(&store)), lines(&access));
}

#[tokio::test]
async fn a_draft_changes_nothing_until_it_is_put_in_force_as_a_whole() {
    let store = store();
    let access = open(&store);
    let rules = |text: &str| parse_file(text).unwrap();
    access.replace_all(rules("deny domain=a.home.example"), 0, event()).await.unwrap();
    let start = access.draft_state();
    assert_eq!(start, Seen { version: 0, based_on: 1 });
    let add = Edit::Add(parse_line("bypass domain=b.home.example").unwrap(), Some(1));
    let version = access.edit_draft(add, start, event()).await.unwrap();
    assert_eq!((version, lines(&access).len()), (1, 1));
    let draft = access.draft().unwrap();
    assert_eq!((draft.version(), draft.based_on(), draft.rules().len()), (1, 1, 2));
    let again = open(&store);
    assert_eq!(again.draft().unwrap().rules(), draft.rules(), "it is kept");
    let seen = access.draft_state();
    access.edit_draft(Edit::Move(1, Step::Down), seen, event()).await.unwrap();
    let stale = access.edit_draft(Edit::Remove(1), seen, event()).await;
    assert!(matches!(stale, Err(ChangeError::Stale)), "{stale:?}");
    assert!(matches!(access.apply_draft(1, event()).await, Err(ChangeError::Stale)));
    assert_eq!(access.apply_draft(2, event()).await.unwrap(), 2);
    assert!(access.draft().is_none() && open(&store).draft().is_none());
    let expected = ["deny domain=a.home.example", "bypass domain=b.home.example"];
    assert_eq!(
        (lines(&access), lines(&open(&store))),
        (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
    );
    assert!(matches!(access.apply_draft(2, event()).await, Err(ChangeError::NoDraft)));
    assert!(matches!(access.edit_draft(Edit::Remove(1), seen, event()).await, Err(ChangeError::Stale)));
}

#[tokio::test]
async fn a_draft_of_a_list_that_was_changed_meanwhile_is_not_put_in_force() {
    let store = store();
    let access = open(&store);
    let rules = |text: &str| parse_file(text).unwrap();
    access.put_draft(rules("bypass domain=a.home.example"), access.draft_state(), event()).await.unwrap();
    access.replace_all(rules("deny domain=b.home.example"), 0, event()).await.unwrap();
    assert!(matches!(access.apply_draft(1, event()).await, Err(ChangeError::Stale)));
    assert_eq!(lines(&access), ["deny domain=b.home.example"]);
    // Somebody looked at both lists and says so.
    let seen = Seen { version: 1, based_on: 1 };
    access.put_draft(rules("bypass domain=a.home.example"), seen, event()).await.unwrap();
    access.apply_draft(2, event()).await.unwrap();
    assert_eq!(lines(&access), ["bypass domain=a.home.example"]);
    access.put_draft(rules(""), access.draft_state(), event()).await.unwrap();
    assert!(matches!(access.discard_draft(3, event()).await, Err(ChangeError::Stale)));
    access.discard_draft(access.draft_state().version, event()).await.unwrap();
    assert!(matches!(access.discard_draft(5, event()).await, Err(ChangeError::NoDraft)));
    let based_on_the_past = Seen { based_on: 1, ..access.draft_state() };
    assert!(matches!(access.put_draft(rules(""), based_on_the_past, event()).await, Err(ChangeError::Stale)));
    assert!(open(&store).draft().is_none());
}

/// Of two who put drafts in force at the same moment, and of a draft and a change of the list, one wins.
#[tokio::test]
async fn drafts_and_changes_at_the_same_moment_never_mix() {
    let store = store();
    let access = open(&store);
    let rules = |text: &str| parse_file(text).unwrap();
    access
        .put_draft(
            rules("bypass domain=a.home.example\ndeny domain=b.home.example"),
            access.draft_state(),
            event(),
        )
        .await
        .unwrap();
    let (one, two, other) = tokio::join!(
        access.apply_draft(1, event()),
        access.apply_draft(1, event()),
        access.replace_all(rules("deny domain=c.home.example"), 0, event()),
    );
    assert_eq!([one.is_ok(), two.is_ok(), other.is_ok()].iter().filter(|won| **won).count(), 1);
    assert_eq!(lines(&access), lines(&open(&store)));
}

#[tokio::test]
async fn a_damaged_draft_is_dropped_and_the_rules_in_force_stay() {
    let store = store();
    let access = open(&store);
    access.replace_all(parse_file("deny domain=a.home.example").unwrap(), 0, event()).await.unwrap();
    access
        .put_draft(
            parse_file("deny domain=a.home.example\ndeny domain=b.home.example").unwrap(),
            access.draft_state(),
            event(),
        )
        .await
        .unwrap();
    let mut batch = store.batch();
    batch.remove::<records::DraftRuleRecord>(&0_u32.to_be_bytes());
    store.commit(batch).await.unwrap();
    let reopened = open(&store);
    assert!(reopened.draft().is_none());
    assert_eq!(lines(&reopened), ["deny domain=a.home.example"]);
    reopened.put_draft(Vec::new(), reopened.draft_state(), event()).await.unwrap();
    assert_eq!(open(&store).draft().unwrap().rules().len(), 0);
}

#[tokio::test]
async fn return_addresses_are_pages_of_protected_apps() {
    let access = with_rules("allow two_factor domain=*.home.example").await;
    let decided =
        access.decide_return("https://photos.home.example/a?b=c", None, Some(ANYWHERE), None).unwrap();
    assert_eq!(decided.outcome, Outcome::NeedSignIn { level: crate::sessions::Level::TwoFactor });
    for bad in [
        "https://photos.home.example.evil/",
        "https://evilhome.example/",
        "http://photos.home.example/",
        "//x.home.example/",
        "/",
        "",
        "javascript:alert(1)",
        "https://auth.home.example/",
        "https://u@photos.home.example/",
        "https://photos.home.example\\@evil/",
        "https://evil\\.home.example/",
        "https://photos.home.example",
        "https:/x.home.example/",
        "https://evil/@photos.home.example/",
        "https://photos.home.example/\nx",
        "https://photos.home.example:x/",
    ] {
        assert!(access.decide_return(bad, None, Some(ANYWHERE), None).is_none(), "{bad}");
    }
}

#[tokio::test]
async fn the_list_as_json_comes_back_as_it_was() {
    let access =
        with_rules("allow one_factor domain=*.home.example group=family\nbypass domain=x.other.example")
            .await;
    let shown = serde_json::to_value(list_rules(&access)).unwrap();
    assert_eq!(shown["rules"][0]["sentence"], "People in family may open *.home.example with one factor.");
    assert_eq!(shown["rules"][0]["number"], 1);
    assert_eq!(shown["warnings"][0], "Rule 2 never decides: it names no app below home.example.");
    let body = r#"{"version":1,"rules":[{"domains":["a.home.example"],"policy":"bypass"},{"domains":["a.home.example"],"path":"^/x","policy":"deny"}]}"#;
    let new: PutRulesDto = serde_json::from_str(body).unwrap();
    let shown = put_rules(&access, &new, event()).await.unwrap();
    assert_eq!(shown.version, 2);
    assert_eq!(shown.warnings, ["Rule 2 never decides: rule 1 comes first and always matches."]);
    assert_eq!(put_rules(&access, &new, event()).await.unwrap_err().code, "rules_changed");
    let mut bad = new.clone();
    bad.version = 2;
    bad.rules[1].path = Some("x".into());
    let problem = put_rules(&access, &bad, event()).await.unwrap_err();
    assert_eq!((problem.code, problem.members["rule"].as_u64()), ("unsound_rule", Some(2)));
    assert!(problem.detail.english().starts_with("Rule 2: "), "{}", problem.detail);
    assert!(
        serde_json::from_str::<PutRulesDto>(
            r#"{"version":1,"rules":[{"domains":[],"policy":"deny","x":1}]}"#
        )
        .is_err()
    );
}

#[tokio::test]
async fn the_test_box_tells_what_happens_and_why() {
    let access = with_rules(
        "bypass domain=photos.home.example path=^/share/\nallow two_factor domain=*.home.example group=family",
    )
    .await;
    let (ada, eve) = (user("ada", &["family"]), user("eve", &[]));
    let ask = |url: &str, user: Option<&Arc<User>>, level| {
        let question = CheckDto {
            url: url.into(),
            username: user.map(|user| user.username.to_string()),
            level,
            ..CheckDto::default()
        };
        check_rules(&access, &question, user, Words::ENGLISH)
    };
    let two = Some(crate::sessions::Level::TwoFactor);
    for (url, user, level, outcome, rule, sentence) in [
        (
            "photos.home.example/share/1",
            None,
            None,
            "allow",
            Some(1),
            "Someone who is not signed in gets in, by rule 1.",
        ),
        (
            "https://photos.home.example",
            None,
            None,
            "sign_in",
            Some(2),
            "Someone who is not signed in is asked to sign in with two factors, by rule 2.",
        ),
        (
            "photos.home.example",
            Some(&ada),
            None,
            "sign_in",
            Some(2),
            "Ada Lovelace is asked to sign in with two factors, by rule 2.",
        ),
        ("photos.home.example", Some(&ada), two, "allow", Some(2), "Ada Lovelace gets in, by rule 2."),
        (
            "photos.home.example",
            Some(&eve),
            two,
            "forbidden",
            None,
            "Ada Lovelace is kept out, because no rule matches.",
        ),
    ] {
        let answer = ask(url, user, level).unwrap();
        assert_eq!(
            (answer.outcome, answer.rule, answer.sentence.as_str()),
            (outcome, rule, sentence),
            "{url}"
        );
    }
    assert_eq!(
        ask("photos.home.example/a", Some(&ada), two).unwrap().trail,
        [
            "Rule 1 is for paths that match ^/share/, and /a does not.",
            "Rule 2 fits, and Ada Lovelace has proven enough.",
        ]
    );
    assert_eq!(ask("https://elsewhere.example/", None, None).unwrap().outcome, "forbidden");
    let by_network = with_rules("bypass domain=*.home.example network=10.0.0.0/8").await;
    let from = |address: Option<&str>| {
        let address = address.map(|address| address.parse().unwrap());
        let question = CheckDto { url: "a.home.example".into(), address, ..CheckDto::default() };
        let answer = check_rules(&by_network, &question, None, Words::ENGLISH).unwrap();
        (answer.outcome, answer.rule, answer.trail.concat())
    };
    assert_eq!(from(Some("10.1.2.3")).0, "allow");
    assert!(from(Some("192.0.2.1")).2.ends_with("10.0.0.0/8, and this one comes from 192.0.2.1."));
    let (outcome, rule, why) = from(None);
    assert_eq!((outcome, rule), ("forbidden", Some(1)));
    assert!(why.contains("give an address") && why.contains("server.trusted_proxies"), "{why}");
    assert_eq!(ask("ftp://photos.home.example/", None, None).unwrap_err().status, 422);
    let unknown =
        CheckDto { url: "a.home.example".into(), username: Some("nobody".into()), ..CheckDto::default() };
    assert_eq!(check_rules(&access, &unknown, None, Words::ENGLISH).unwrap_err().code, "no_such_user");
}
