//! Forward-auth and access rules over real HTTP: what a reverse proxy is told about real sessions.

use std::time::Duration;

use doorward::access::Outcome;
use doorward::accounts::records::Role;
use doorward::kernel::ids::UserId;
use doorward::kernel::text::GroupName;
use doorward::sessions::Level;
use serde_json::json;

use crate::harness::{Answer, Client, ORIGIN, PASSWORD, Server, exchange};

const APP: &str = "http://photos.home.localhost";

/// Rules of most tests: a family app, one for everyone, one that wants two factors, an open corner.
const RULES: &[&str] = &[
    "bypass domain=photos.home.localhost path=^/share/",
    "allow one_factor domain=photos.home.localhost group=family",
    "allow one_factor domain=notes.home.localhost",
    "allow two_factor domain=bank.home.localhost",
];

fn with_rules() -> Server {
    let server = Server::start();
    server.set_rules(RULES);
    server
}

/// Signs in through the web API; the client keeps the cookies.
fn sign_in(server: &Server, name: &str) -> Client {
    let mut client = server.client();
    client.post("/api/v1/auth/login/web", json!({"username": name, "password": PASSWORD})).expect(200);
    client
}

/// Asks as nginx does about `url`, with the cookies of `client`.
fn ask_nginx(client: &Client, url: &str) -> Answer {
    let headers = [("X-Original-URL", url), ("X-Original-Method", "GET"), ("Accept", "text/html")];
    client.clone().send("GET", "/api/authz/auth-request", &headers, b"")
}

/// Asks as Traefik and Caddy do about `host` and `target`.
fn ask_forward(client: &Client, host: &str, target: &str, method: &str) -> Answer {
    let headers = [
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", target),
        ("X-Forwarded-Method", method),
        ("Accept", "text/html,*/*;q=0.8"),
    ];
    client.clone().send("GET", "/api/authz/forward-auth", &headers, b"")
}

fn identity(answer: &Answer) -> [Option<&str>; 4] {
    ["remote-user", "remote-groups", "remote-name", "remote-email"].map(|name| answer.header(name))
}

const NOBODY: [Option<&str>; 4] = [Some(""), Some(""), Some(""), Some("")];
const NONE: [Option<&str>; 4] = [None, None, None, None];

#[test]
fn an_anonymous_visitor_is_sent_to_sign_in_and_back() {
    let server = with_rules();
    let nobody = server.client();
    let location = format!("{ORIGIN}/?rd=http%3A%2F%2Fphotos.home.localhost%2Falbum%3Fyear%3D2026&rm=GET");
    let answer = ask_nginx(&nobody, &format!("{APP}/album?year=2026")).expect(401);
    assert_eq!(answer.header("location"), Some(&*location));
    assert_eq!(identity(&answer), NONE);
    let answer = ask_forward(&nobody, "photos.home.localhost", "/album?year=2026", "GET").expect(302);
    assert_eq!(answer.header("location"), Some(&*location));
    assert_eq!(identity(&answer), NONE);
    let answer = ask_forward(&nobody, "photos.home.localhost", "/album", "POST").expect(303);
    assert!(answer.header("location").unwrap().ends_with("&rm=POST"));
}

#[test]
fn a_member_of_the_group_passes_and_is_named_and_others_are_refused() {
    let server = with_rules();
    server.add_user("ada", Role::Member, &["family", "readers"]);
    server.add_user("eve", Role::Member, &["guests"]);
    let (ada, eve) = (sign_in(&server, "ada"), sign_in(&server, "eve"));
    for answer in [
        ask_nginx(&ada, &format!("{APP}/")),
        ask_forward(&ada, "photos.home.localhost", "/", "GET"),
        ask_forward(&ada, "photos.home.localhost", "/", "DELETE"),
    ] {
        let answer = answer.expect(200);
        let known = [Some("ada"), Some("family,readers"), Some("ada Person"), Some("ada@example.org")];
        assert_eq!(identity(&answer), known);
        assert_eq!(answer.header("set-cookie"), None, "the session slides on the server alone");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(identity(&ask_nginx(&eve, &format!("{APP}/")).expect(403)), NONE);
    ask_forward(&eve, "photos.home.localhost", "/", "GET").expect(403);
    ask_nginx(&eve, "http://notes.home.localhost/").expect(200);
    ask_nginx(&ada, "http://unknown.home.localhost/").expect(403);
}

/// FWD-08: who passes unknown is named nobody, in so many words.
#[test]
fn a_bypass_names_nobody_or_the_one_who_is_signed_in() {
    let server = with_rules();
    server.add_user("ada", Role::Member, &[]);
    let answer = ask_nginx(&server.client(), &format!("{APP}/share/x")).expect(200);
    assert_eq!(identity(&answer), NOBODY);
    let answer = ask_nginx(&sign_in(&server, "ada"), &format!("{APP}/share/x")).expect(200);
    assert_eq!(answer.header("remote-user"), Some("ada"));
    for path in ["/share/../x", "/share/%2e%2e/x", "/share/..%2fx", "/x?/share/", "/SHARE/"] {
        let answer = ask_nginx(&server.client(), &format!("{APP}{path}"));
        assert!(matches!(answer.status, 401 | 403), "{path}: {}", answer.status);
    }
}

#[test]
fn an_app_that_wants_two_factors_asks_for_the_second() {
    let server = with_rules();
    let (ada, bob) = (server.add_user("ada", Role::Member, &[]), server.add_user("bob", Role::Member, &[]));
    let one = sign_in(&server, "bob");
    let bank = "http://bank.home.localhost/";
    let location = ask_nginx(&one, bank).expect(401).header("location").unwrap().to_owned();
    let path = location.strip_prefix(ORIGIN).unwrap();
    let page = one.clone().get(path).expect(403).text();
    assert!(page.contains("href=\"/account/totp\""), "{page}");
    // Bob enrols, which ends his session; one of one factor, as there were before, leads to proving the second.
    let (code_of_bob, _) = server.enrol_totp(bob);
    let location = one.clone().get(path).expect(303).header("location").unwrap().to_owned();
    assert!(location.starts_with("/signin?rd="), "{location}");
    let one = server.web_session_with(bob, doorward::sessions::Factors::PASSWORD).client(&server);
    let step_up = one.clone().get(path).expect(303).header("location").unwrap().to_owned();
    let mut browser = one.clone();
    let page = browser.get(&step_up).expect(200);
    let (csrf, next) = (page.input("csrf").unwrap(), page.input("next").unwrap().replace("&amp;", "&"));
    let code = code_of_bob.next_code();
    let fields = [("csrf", &*csrf), ("next", &next), ("password", PASSWORD), ("code", &code)];
    let onward = browser.form("/step-up", &fields).expect(303).header("location").unwrap().to_owned();
    let back = browser.get(&onward).expect(303);
    assert_eq!(back.header("location"), Some(bank));
    ask_nginx(&browser, bank).expect(200);
    let decided = server
        .app()
        .access
        .decide_return(bank, None, Some(std::net::Ipv4Addr::LOCALHOST.into()), None)
        .unwrap();
    assert_eq!(decided.outcome, Outcome::NeedSignIn { level: Level::TwoFactor });
    let (authenticator, _) = server.enrol_totp(ada);
    let mut client = server.client();
    let login = json!({"username": "ada", "password": PASSWORD, "otp": authenticator.next_code()});
    client.post("/api/v1/auth/login/web", login).expect(200);
    ask_nginx(&client, bank).expect(200);
}

/// TOK-11, SES-08: a signed-out session is refused at once, and after a restart.
#[test]
fn signing_out_closes_every_app_at_once_and_for_good() {
    let server = with_rules();
    server.add_user("ada", Role::Member, &["family"]);
    let (mut here, mut there) = (sign_in(&server, "ada"), sign_in(&server, "ada"));
    let copies = (here.clone(), there.clone());
    ask_nginx(&here, &format!("{APP}/")).expect(200);
    let csrf = csrf_of(&server, &mut here);
    here.clone().with_header("X-CSRF-Token", &csrf).post("/api/v1/auth/logout", json!({})).expect(204);
    ask_nginx(&copies.0, &format!("{APP}/")).expect(401);
    ask_nginx(&there, &format!("{APP}/")).expect(200);
    let csrf = csrf_of(&server, &mut there);
    there.clone().with_header("X-CSRF-Token", &csrf).post("/api/v1/auth/logout/all", json!({})).expect(204);
    ask_nginx(&copies.1, &format!("{APP}/")).expect(401);
    let server = server.restart();
    for copy in [copies.0, copies.1] {
        let copy = Client { address: server.address, ..copy };
        ask_nginx(&copy, &format!("{APP}/")).expect(401);
    }
}

/// Returns the CSRF token of the client's session.
fn csrf_of(server: &Server, client: &mut Client) -> String {
    let cookie = client.cookie("dw").unwrap();
    let app = server.app();
    let now = doorward::kernel::time::Clock::now(&*server.clock);
    let principal = app.sessions.identify_cookie(&cookie, now).unwrap();
    app.sessions.csrf_token(&principal.session)
}

#[test]
fn a_restart_changes_nothing_for_those_who_are_signed_in() {
    let server = with_rules();
    server.add_user("ada", Role::Member, &["family"]);
    let ada = sign_in(&server, "ada");
    let server = server.restart();
    let ada = Client { address: server.address, ..ada };
    ask_nginx(&ada, &format!("{APP}/")).expect(200);
    ask_nginx(&server.client(), &format!("{APP}/")).expect(401);
}

/// GEN-02: groups and account state are those of this moment, not of the sign-in.
#[test]
fn losing_the_group_or_the_account_closes_the_app_at_once() {
    let server = with_rules();
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let client = sign_in(&server, "ada");
    let change = |groups: &[&str], status| change_user(&server, ada, groups, status);
    ask_nginx(&client, &format!("{APP}/")).expect(200);
    change(&["friends"], doorward::accounts::Status::Active);
    ask_nginx(&client, &format!("{APP}/")).expect(403);
    let answer = ask_nginx(&client, "http://notes.home.localhost/").expect(200);
    assert_eq!(answer.header("remote-groups"), Some("friends"));
    change(&["family"], doorward::accounts::Status::Disabled);
    ask_nginx(&client, &format!("{APP}/")).expect(401);
}

fn change_user(server: &Server, user: UserId, groups: &[&str], status: doorward::accounts::Status) {
    let accounts = &server.app().accounts;
    let seen = accounts.record(&user).unwrap();
    let mut record = seen.value.clone();
    record.groups = groups.iter().map(|group| GroupName::parse(group).unwrap()).collect();
    record.status = status;
    let mut batch = server.app().store().batch();
    accounts.stage_change(&mut batch, user, &seen, record);
    server.block_on(server.app().store().commit(batch)).unwrap();
}

/// SES-05: the cookie that every app sees opens nothing at Doorward itself, and Doorward's own opens no app.
#[test]
fn the_forward_auth_cookie_and_the_portal_cookie_are_worth_nothing_in_each_others_place() {
    let server = with_rules();
    server.add_user("ada", Role::Admin, &["family"]);
    let client = sign_in(&server, "ada");
    let (own, forward) = (client.cookie("dw").unwrap(), client.cookie("dw_fa").unwrap());
    assert_ne!(own, forward);
    let with = |name: &str, value: &str| Client {
        cookies: vec![(name.to_owned(), value.to_owned())],
        ..server.client()
    };
    ask_nginx(&with("dw_fa", &forward), &format!("{APP}/")).expect(200);
    ask_nginx(&with("dw_fa", &own), &format!("{APP}/")).expect(401);
    ask_nginx(&with("dw", &own), &format!("{APP}/")).expect(401);
    for (name, value) in [("dw", &forward), ("dw_fa", &forward)] {
        let mut client = with(name, value);
        assert_eq!(client.post("/api/v1/auth/logout", json!({})).status, 401, "{name}");
    }
    let both = Client {
        cookies: vec![("dw_fa".to_owned(), forward.clone()), ("dw_fa".to_owned(), forward)],
        ..server.client()
    };
    ask_nginx(&both, &format!("{APP}/")).expect(401);
}

/// SES-07: using an app keeps the session alive; leaving it alone ends it; the absolute limit holds all the same.
#[test]
fn using_an_app_slides_the_session_and_a_pause_ends_it() {
    let server = with_rules();
    server.add_user("ada", Role::Member, &["family"]);
    let (busy, idle) = (sign_in(&server, "ada"), sign_in(&server, "ada"));
    for _ in 0..4 {
        server.clock.advance(Duration::from_secs(20 * 60));
        ask_nginx(&busy, &format!("{APP}/")).expect(200);
    }
    ask_nginx(&idle, &format!("{APP}/")).expect(401);
    for _ in 0..67 {
        server.clock.advance(Duration::from_secs(20 * 60));
        ask_nginx(&busy, &format!("{APP}/")).expect(200);
    }
    server.clock.advance(Duration::from_secs(20 * 60));
    ask_nginx(&busy, &format!("{APP}/")).expect(401);
}

/// Decision 11: nginx turns everything but 200, 401 and 403 into a 500. LIM-01: forward-auth is never rate limited.
#[test]
fn the_nginx_endpoint_answers_200_401_or_403_whatever_it_is_asked() {
    let server = with_rules();
    let long = format!("{APP}/{}", "a".repeat(6000));
    let questions: &[&[(&str, &str)]] = &[
        &[],
        &[("X-Original-URL", "nonsense"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", ""), ("X-Original-Method", "")],
        &[("X-Original-URL", "http://[::1]/"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", &long), ("X-Original-Method", "GET")],
        &[("X-Original-URL", "http://photos.home.localhost/%zz%00%ff"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", "http://photos.home.localhost/"), ("X-Original-Method", "get it")],
        &[("X-Original-URL", "http://elsewhere.example/"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", "http://a/"), ("X-Original-URL", "http://b/"), ("X-Original-Method", "GET")],
        &[
            ("X-Original-URL", "http://photos.home.localhost/"),
            ("X-Original-Method", "GET"),
            ("Authorization", "Basic !!"),
        ],
        &[
            ("X-Original-URL", "http://photos.home.localhost/"),
            ("X-Original-Method", "GET"),
            ("Cookie", "dw_fa=\"x\"; dw_fa"),
        ],
        &[
            ("X-Original-URL", "http://photos.home.localhost/"),
            ("X-Original-Method", "GET"),
            ("Host", "127.0.0.1:9091"),
        ],
        &[
            ("X-Original-URL", "http://photos.home.localhost/"),
            ("X-Original-Method", "GET"),
            ("Host", "authelia"),
        ],
    ];
    for method in ["GET", "HEAD"] {
        for question in questions {
            let mut head = format!("{method} /api/authz/auth-request HTTP/1.1\r\nConnection: close\r\n");
            if !question.iter().any(|(name, _)| *name == "Host") {
                head.push_str("Host: localhost\r\n");
            }
            for (name, value) in *question {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let answer = exchange(server.address, format!("{head}\r\n").as_bytes());
            assert!(matches!(answer.status, 401 | 403), "{question:?}: {}", answer.status);
            assert_eq!(identity(&answer), NONE);
            assert!(method == "GET" || answer.body.is_empty());
        }
    }
    for _ in 0..300 {
        ask_nginx(&server.client(), &format!("{APP}/share/")).expect(200);
    }
}

/// FWD-05: the other proxies show our answer to people, so it says what kind of mistake it was; it is never a 200.
#[test]
fn the_forward_auth_endpoint_refuses_what_it_does_not_understand() {
    let server = with_rules();
    let nobody = server.client();
    ask_forward(&nobody, "", "/share/", "GET").expect(400);
    ask_forward(&nobody, "photos.home.localhost, notes.home.localhost", "/share/", "GET").expect(400);
    ask_forward(&nobody, "photos.home.localhost", "share/", "GET").expect(400);
    ask_forward(&nobody, "photos.home.localhost", "/share/", "get").expect(400);
    ask_forward(&nobody, "elsewhere.example", "/share/", "GET").expect(400);
    ask_forward(&nobody, "localhost", "/share/", "GET").expect(400);
    ask_forward(&nobody, "photos.home.localhost", "/share/", "GET").expect(200);
}

#[test]
fn a_change_of_the_rules_is_in_force_at_once_and_after_a_restart() {
    let server = with_rules();
    server.add_user("ada", Role::Member, &["family"]);
    let ada = sign_in(&server, "ada");
    ask_nginx(&ada, &format!("{APP}/")).expect(200);
    server.set_rules(&["deny domain=*.home.localhost user=ada", "bypass domain=*.home.localhost"]);
    ask_nginx(&ada, &format!("{APP}/")).expect(403);
    let server = server.restart();
    let ada = Client { address: server.address, ..ada };
    ask_nginx(&ada, &format!("{APP}/")).expect(403);
    server.set_rules(&[]);
    ask_nginx(&ada, &format!("{APP}/")).expect(403);
}

/// A rule change is in force at the next request, on the same connection and in both directions.
#[test]
fn a_rule_change_is_in_force_at_the_next_request() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = crate::my_account::program(&server, "olga", None);
    let stranger = server.client();
    let url = "http://wiki.home.localhost/";
    for round in 0..20 {
        ask_nginx(&stranger, url).expect(403);
        let version = server.app().access.list().version();
        let open =
            json!({"version": version, "rules": [{"domains": ["wiki.home.localhost"], "policy": "bypass"}]});
        olga.json("PUT", "/api/v1/admin/rules", &open).expect(200);
        ask_nginx(&stranger, url).expect(200);
        let seen = server.app().access.draft_state();
        let closed = json!({"version": seen.version, "based_on": seen.based_on, "rules": []});
        let draft = olga.json("PUT", "/api/v1/admin/rules/draft", &closed).expect(200).json();
        ask_nginx(&stranger, url).expect(200);
        olga.post("/api/v1/admin/rules/draft/apply", json!({"version": draft["version"]})).expect(200);
        assert_eq!(server.app().access.list().rules().len(), 0, "round {round}");
    }
}

/// Rules see the query and where the request comes from, as trusted proxies tell it.
#[test]
fn query_networks_and_names_in_hosts_decide_over_http() {
    let server = Server::start();
    server.set_rules(&[
        "bypass domain=a.home.localhost query=key==secret",
        "bypass domain=b.home.localhost resource=^/api/x$",
        "bypass domain=c.home.localhost network=203.0.113.0/24",
        "allow one_factor domain={user}.home.localhost",
    ]);
    server.add_user("ada", Role::Member, &[]);
    let (nobody, ada) = (server.client(), sign_in(&server, "ada"));
    ask_nginx(&nobody, "http://a.home.localhost/?key=secret").expect(200);
    ask_nginx(&nobody, "http://a.home.localhost/?x=1&key=%73ecret").expect(200);
    ask_nginx(&nobody, "http://a.home.localhost/?key=secret&%").expect(403);
    ask_nginx(&nobody, "http://a.home.localhost/?key=other").expect(401);
    ask_nginx(&ada, "http://a.home.localhost/?key=other").expect(403);
    ask_nginx(&nobody, "http://b.home.localhost/api/x").expect(200);
    ask_nginx(&nobody, "http://b.home.localhost/api/x?y").expect(401);
    ask_nginx(&nobody, "http://b.home.localhost/api%2fx").expect(403);
    let from = |address: &str| server.client().with_header("X-Forwarded-For", address);
    ask_nginx(&from("203.0.113.9"), "https://c.home.localhost/").expect(200);
    ask_nginx(&from("203.0.114.9"), "https://c.home.localhost/").expect(401);
    ask_nginx(&nobody, "https://c.home.localhost/").expect(403);
    ask_nginx(&ada, "http://ada.home.localhost/").expect(200);
    ask_nginx(&ada, "http://bob.home.localhost/").expect(403);
    ask_nginx(&nobody, "http://ada.home.localhost/").expect(401);
}
