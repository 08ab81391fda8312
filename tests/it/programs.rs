//! Programs and mobile apps behind forward-auth, over real HTTP: app tokens, passwords in `Basic`, access tokens of OAuth
//! clients; attacks on each of them first.

use std::time::Duration;

use data_encoding::BASE64;
use doorward::access::{Rule, RuleParts};
use doorward::accounts::records::{PasswordRecord, Role};
use doorward::accounts::users::SecondFactorPolicy;
use doorward::audit::{Event, Kind};
use doorward::kernel::ids::UserId;
use doorward::sessions::app_tokens::records::AppTokenRow;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD, Server, in_parallel, lift_limits};
use crate::my_account::{browser, events, program};
use crate::oidc::{Provider, text};

const PHOTOS: &str = "http://photos.home.localhost/";
const DAV: &str = "http://dav.home.localhost/";
const BANK: &str = "http://bank.home.localhost/";
const CHALLENGE: &str = "Basic realm=\"Authorization Required\"";
const WRONG: &str = "wrong password 123";

fn rule(value: Value) -> Rule {
    Rule::build(&serde_json::from_value::<RuleParts>(value).unwrap()).unwrap()
}

fn set_rules(server: &Server, rules: Vec<Value>) {
    let access = &server.app().access;
    let event = Event::succeeded(Kind::RuleChanged).by_system("test");
    let rules = rules.into_iter().map(rule).collect();
    server.block_on(access.replace_all(rules, access.list().version(), event)).unwrap();
}

/// Rules of most tests: a family app, a corner of it that is open, one that reads passwords in a part of it, one that
/// wants two factors.
fn rules() -> Vec<Value> {
    vec![
        json!({"domains": ["photos.home.localhost"], "path": "^/share/", "policy": "bypass"}),
        json!({"domains": ["photos.home.localhost"], "groups": ["family"], "policy": "one_factor"}),
        json!({"domains": ["dav.home.localhost"], "path": "^/web/", "policy": "one_factor"}),
        json!({"domains": ["dav.home.localhost"], "policy": "one_factor", "programs": ["basic"]}),
        json!({"domains": ["bank.home.localhost"], "policy": "two_factor"}),
    ]
}

fn start() -> Server {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut doorward::app::Options)) -> Server {
    let server = Server::start_with(change);
    set_rules(&server, rules());
    server
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{name}:{password}").as_bytes()))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Asks as nginx does about a GET of `url`, for a program that sends this `Authorization`.
fn ask(client: &Client, authorization: &str, url: &str) -> Answer {
    let headers = [("X-Original-URL", url), ("X-Original-Method", "GET"), ("Authorization", authorization)];
    client.clone().send("GET", "/api/authz/auth-request", &headers, b"")
}

fn ask_from(server: &Server, ip: &str, authorization: &str, url: &str) -> Answer {
    ask(&server.client().with_header("X-Forwarded-For", ip), authorization, url)
}

/// Asks as Traefik and Caddy do about `host`, for a program.
fn ask_forward(client: &Client, authorization: &str, host: &str) -> Answer {
    let headers = [
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", "/"),
        ("X-Forwarded-Method", "GET"),
        ("Authorization", authorization),
    ];
    client.clone().send("GET", "/api/authz/forward-auth", &headers, b"")
}

#[track_caller]
fn refused(answer: Answer) {
    let answer = answer.expect(401);
    assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
    assert_eq!(answer.header("location"), None, "a program follows no redirect");
    assert_eq!(answer.header("remote-user"), None);
}

#[track_caller]
fn named(answer: Answer, name: &str) {
    let answer = answer.expect(200);
    assert_eq!(answer.header("remote-user"), Some(name));
    assert_eq!(answer.header("set-cookie"), None);
}

/// Makes an app token by the API; returns its handle and the token.
fn make(owner: &mut Client, wish: Value) -> (String, String) {
    let made = owner.post("/api/v1/users/me/app-tokens", wish).expect(201).json();
    (text(&made, "id").to_owned(), text(&made, "token").to_owned())
}

fn token_of(server: &Server, name: &str) -> String {
    make(&mut program(server, name, None), json!({"name": "Phone"})).1
}

fn admin(server: &Server) -> Client {
    server.add_user("boss", Role::Owner, &[]);
    program(server, "boss", None)
}

// -- app tokens

#[test]
fn an_app_token_lets_its_owner_pass_as_bearer_and_as_password() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let token = token_of(&server, "ada");
    assert!(token.starts_with("dwa_") && token.len() == 56, "{token}");
    let nobody = server.client();
    for authorization in [
        bearer(&token),
        format!("bearer  {token}"),
        basic("ada", &token),
        basic("ADA", &token),
        basic("", &token),
    ] {
        named(ask(&nobody, &authorization, PHOTOS), "ada");
        named(ask_forward(&nobody, &authorization, "photos.home.localhost"), "ada");
    }
    // Where no rule reads passwords, a token needs no leave; where two factors are wanted, one is not enough.
    refused(ask(&nobody, &bearer(&token), BANK));
    ask(&nobody, &bearer(&token), "http://other.home.localhost/").expect(403);
}

/// TOK-13: compared whole, and worth nothing anywhere else.
#[test]
fn what_is_nearly_an_app_token_opens_nothing_and_a_real_one_nothing_of_ours() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    server.add_user("eve", Role::Member, &["family"]);
    let token = token_of(&server, "ada");
    let nobody = server.client();
    let last = if token.ends_with('a') { "b" } else { "a" };
    for bad in [
        token[..token.len() - 1].to_owned(),
        format!("{token}a"),
        format!("{}{last}", &token[..token.len() - 1]),
        token.replacen("dwa_", "dwa_a", 1),
        format!("dwa_{}", token[4..].to_uppercase()),
        format!("dwa_{}", "a".repeat(52)),
        "dwa_".to_owned(),
    ] {
        refused(ask(&nobody, &bearer(&bad), PHOTOS));
        refused(ask(&nobody, &basic("ada", &bad), PHOTOS));
    }
    for name in ["eve", "ada2", "ada@example.org "] {
        refused(ask(&nobody, &basic(name, &token), PHOTOS));
    }
    // The account and administration take no app token, as bearer or in a cookie.
    for path in ["/api/v1/users/me", "/api/v1/users/me/app-tokens", "/api/v1/sessions", "/api/v1/admin/users"]
    {
        server.client().with_bearer(&token).get_json(path).expect(401);
        let mut client = server.client();
        client.cookies = ["dw", "dw_fa"].map(|name| (name.to_owned(), token.clone())).to_vec();
        client.get_json(path).expect(401);
        let mut client = server.client().with_header("Authorization", &basic("ada", &token));
        client.get_json(path).expect(401);
    }
    let mut client = server.client();
    client.post("/api/v1/auth/login/api", json!({"username": "ada", "password": token})).expect(401);
}

/// A token for one app is of no use to whoever runs another one.
#[test]
fn an_app_token_opens_its_own_hosts_and_no_others() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let mut ada = program(&server, "ada", None);
    let (_, one) = make(&mut ada, json!({"name": "DAV", "hosts": ["DAV.home.localhost."]}));
    server.clock.advance(Duration::from_secs(1));
    let (_, below) = make(&mut ada, json!({"name": "All", "hosts": ["*.home.localhost"]}));
    let nobody = server.client();
    named(ask(&nobody, &bearer(&one), DAV), "ada");
    refused(ask(&nobody, &bearer(&one), PHOTOS));
    refused(ask(&nobody, &basic("ada", &one), PHOTOS));
    named(ask(&nobody, &bearer(&below), DAV), "ada");
    named(ask(&nobody, &bearer(&below), PHOTOS), "ada");
    let listed = ada.get_json("/api/v1/users/me/app-tokens").expect(200).json();
    let used: Vec<_> = listed["app_tokens"].as_array().unwrap().iter().collect();
    assert_eq!(used[1]["hosts"], json!(["dav.home.localhost"]));
    assert!(used.iter().all(|token| token["last_used"].is_string()));
    assert!(!listed.to_string().contains("dwa_"), "it is shown once");
}

#[test]
fn a_revoked_token_is_refused_at_the_next_request_and_after_a_restart() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    server.add_user("eve", Role::Member, &["family"]);
    let (mut ada, mut eve) = (program(&server, "ada", None), program(&server, "eve", None));
    let (id, token) = make(&mut ada, json!({"name": "Phone"}));
    let (_, other) = make(&mut ada, json!({"name": "NAS"}));
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
    let path = format!("/api/v1/users/me/app-tokens/{id}");
    assert_eq!(eve.json("DELETE", &path, &json!({})).expect(404).code(), "not_found");
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
    ada.json("DELETE", &path, &json!({})).expect(204);
    refused(ask(&server.client(), &bearer(&token), PHOTOS));
    ada.json("DELETE", &path, &json!({})).expect(404);
    assert_eq!(events(&server, "app_token.made", "ada"), 2);
    assert_eq!(events(&server, "app_token.revoked", "ada"), 1);
    let server = server.restart();
    refused(ask(&server.client(), &bearer(&token), PHOTOS));
    named(ask(&server.client(), &bearer(&other), PHOTOS), "ada");
}

#[test]
fn an_expired_token_is_refused_and_listed_for_some_days() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let (_, token) = make(&mut program(&server, "ada", None), json!({"name": "Trip", "expires_in_days": 2}));
    server.clock.advance(Duration::from_secs(2 * 86_400 - 1));
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
    server.clock.advance(Duration::from_secs(1));
    refused(ask(&server.client(), &bearer(&token), PHOTOS));
    let server = server.restart();
    refused(ask(&server.client(), &bearer(&token), PHOTOS));
    let count = |server: &Server| {
        let listed = program(server, "ada", None).get_json("/api/v1/users/me/app-tokens").expect(200).json();
        listed["app_tokens"].as_array().unwrap().len()
    };
    assert_eq!(count(&server), 1);
    server.clock.advance(Duration::from_secs(7 * 86_400));
    server.block_on(server.app().every_minute()).unwrap();
    assert_eq!(count(&server), 0);
}

/// GEN-02, REF-07: whatever ends everything that speaks for a person ends the tokens too, for good.
#[test]
fn app_tokens_end_with_what_they_stand_on() {
    let server = start();
    let mut boss = admin(&server);
    let people = ["disabled", "deleted", "reset", "relinked", "promoted", "changed", "enrolled", "signedout"];
    let mut made: Vec<(&str, UserId, String)> = Vec::new();
    for name in people {
        let id = server.add_user(name, Role::Member, &["family"]);
        if name == "reset" {
            let (authenticator, _) = server.enrol_totp(id);
            let code = authenticator.next_code();
            let token = make(&mut program(&server, name, Some(&code)), json!({"name": "x"})).1;
            named(ask(&server.client(), &bearer(&token), BANK), name);
            made.push((name, id, token));
            continue;
        }
        made.push((name, id, token_of(&server, name)));
    }
    for (name, _, token) in &made {
        named(ask(&server.client(), &bearer(token), PHOTOS), name);
    }
    for (name, id, _) in &made {
        let path = format!("/api/v1/admin/users/{id}");
        boss.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).expect(204);
        match *name {
            "disabled" => {
                boss.post(&format!("{path}/disable"), json!({})).expect(204);
                refused(ask(&server.client(), &bearer(&made[0].2), PHOTOS));
                boss.post(&format!("{path}/enable"), json!({})).expect(204);
            }
            "deleted" => drop(boss.json("DELETE", &path, &json!({})).expect(204)),
            "reset" => drop(boss.post(&format!("{path}/reset-second-factor"), json!({})).expect(204)),
            "relinked" => {
                let link = boss.post(&format!("{path}/link"), json!({})).expect(201).json();
                let url = text(&link, "url").to_owned();
                let page = url.strip_prefix(crate::harness::ORIGIN).unwrap();
                let mut browser = server.client();
                browser.get(page).expect(200);
                let done = browser.form(page, &[("password", "walnut-harbor-eleven-comet")]);
                assert!(matches!(done.status, 200 | 303), "{}", done.text());
            }
            "signedout" => drop(boss.post(&format!("{path}/sign-out"), json!({})).expect(204)),
            "promoted" => drop(boss.json("PATCH", &path, &json!({"role": "admin"})).expect(200)),
            "changed" => {
                let body =
                    json!({"current_password": PASSWORD, "new_password": "walnut-harbor-eleven-comet"});
                program(&server, name, None).post("/api/v1/users/me/password", body).expect(200);
            }
            _ => {
                let mut own = program(&server, name, None);
                let begun = own.post("/api/v1/users/me/totp", json!({})).expect(201).json();
                let secret = text(&begun, "secret").to_owned();
                let app = crate::harness::Authenticator::new(&secret, server.clock.clone());
                own.post("/api/v1/users/me/totp/confirm", json!({"otp": app.code()})).expect(200);
            }
        }
    }
    for (name, _, token) in &made {
        let answer = ask(&server.client(), &bearer(token), PHOTOS);
        assert_eq!(answer.status, 401, "{name}");
        refused(answer);
    }
    let server = server.restart();
    for (_, _, token) in &made {
        refused(ask(&server.client(), &bearer(token), PHOTOS));
    }
    let left = server.app().store().scan::<AppTokenRow>(&[], None, 10).unwrap();
    assert!(left.is_empty(), "nothing stays behind");
}

/// Signing oneself out is about browsers, also everywhere.
#[test]
fn app_tokens_outlive_sessions() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let token = token_of(&server, "ada");
    let mut desk = browser(&server, "ada");
    desk.post("/api/v1/auth/logout/all", json!({})).expect(204);
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
}

/// LIM-06: while sign-in is suspended at a place, nothing that stands for the account passes there; elsewhere it does.
#[test]
fn a_suspension_holds_for_tokens_at_its_place_and_after_a_restart() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let token = token_of(&server, "ada");
    let (here, there) = ("203.0.113.7", "198.51.100.9");
    named(ask_from(&server, here, &bearer(&token), PHOTOS), "ada");
    for number in 0..5 {
        refused(ask_from(&server, here, &basic("ada", &format!("{WRONG}{number}")), DAV));
    }
    refused(ask_from(&server, here, &bearer(&token), PHOTOS));
    refused(ask_from(&server, here, &basic("ada", PASSWORD), DAV));
    named(ask_from(&server, there, &bearer(&token), PHOTOS), "ada");
    let server = server.restart();
    refused(ask_from(&server, here, &bearer(&token), PHOTOS));
    named(ask_from(&server, there, &bearer(&token), PHOTOS), "ada");
}

#[test]
fn a_token_proves_what_its_owner_had_proven() {
    let server = start();
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut owner = program(&server, "ada", Some(&authenticator.next_code()));
    let (_, token) = make(&mut owner, json!({"name": "Bank"}));
    named(ask(&server.client(), &bearer(&token), BANK), "ada");
    named(ask(&server.client(), &basic("ada", &token), BANK), "ada");
    let listed = owner.get_json("/api/v1/users/me/app-tokens").expect(200).json();
    assert_eq!(listed["app_tokens"][0]["level"], "two_factor");
}

#[test]
fn making_a_token_needs_a_fresh_proof_and_there_are_at_most_a_hundred() {
    let server = start_with(lift_limits);
    server.add_user("ada", Role::Member, &[]);
    let mut ada = program(&server, "ada", None);
    for bad in [
        json!({"name": ""}),
        json!({"name": "x", "hosts": ["https://photos.home.localhost"]}),
        json!({"name": "x", "expires_in_days": 0}),
    ] {
        ada.post("/api/v1/users/me/app-tokens", bad).expect(422);
    }
    let unknown = json!({"name": "x", "level": "two_factor"});
    assert_eq!(ada.post("/api/v1/users/me/app-tokens", unknown).expect(400).code(), "unknown_field");
    for number in 0..100 {
        make(&mut ada, json!({"name": format!("Token {number}")}));
    }
    let full = ada.post("/api/v1/users/me/app-tokens", json!({"name": "x"})).expect(409);
    assert_eq!(full.code(), "too_many_app_tokens");
    server.clock.advance(Duration::from_secs(601));
    let late = ada.post("/api/v1/users/me/app-tokens", json!({"name": "x"})).expect(403);
    assert_eq!(late.code(), "step_up_required");
    server.client().post("/api/v1/users/me/app-tokens", json!({"name": "x"})).expect(401);
}

/// A token that is made in the moment in which all of them end does not stay behind.
#[test]
fn no_token_slips_through_while_the_account_is_disabled() {
    let server = start_with(lift_limits);
    let mut boss = admin(&server);
    for round in 0..4 {
        let name = format!("ada{round}");
        let ada = server.add_user(&name, Role::Member, &["family"]);
        let owner = program(&server, &name, None);
        let path = format!("/api/v1/admin/users/{ada}");
        let (disable, actor) = (format!("{path}/disable"), boss.clone());
        let answers = in_parallel(4, move |index| {
            if index == 0 {
                actor.clone().post(&disable, json!({}))
            } else {
                owner.clone().post("/api/v1/users/me/app-tokens", json!({"name": "x"}))
            }
        });
        boss.post(&format!("{path}/enable"), json!({})).expect(204);
        for made in answers.iter().filter(|answer| answer.status == 201) {
            refused(ask(&server.client(), &bearer(text(&made.json(), "token")), PHOTOS));
        }
    }
}

#[test]
fn administrators_see_and_revoke_tokens_of_others_and_make_none() {
    let server = start();
    let mut boss = admin(&server);
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let token = token_of(&server, "ada");
    let path = format!("/api/v1/admin/users/{ada}/app-tokens");
    let listed = boss.get_json(&path).expect(200).json();
    let id = text(&listed["app_tokens"][0], "id").to_owned();
    boss.post(&path, json!({"name": "x"})).expect(405);
    program(&server, "ada", None).get_json(&path).expect(403);
    boss.json("DELETE", &format!("{path}/AAAAAAAAAAAAAAAAAAAAAA"), &json!({})).expect(404);
    boss.json("DELETE", &format!("{path}/{id}"), &json!({})).expect(204);
    refused(ask(&server.client(), &bearer(&token), PHOTOS));
    assert_eq!(events(&server, "app_token.revoked", "ada"), 1);
    // An administrator has no power over an owner.
    server.add_user("vice", Role::Admin, &[]);
    let (own, _) = make(&mut boss, json!({"name": "x"}));
    let owner = server.app().accounts.resolve("boss").unwrap().unwrap().id;
    let mut vice = program(&server, "vice", None);
    let answer = vice.json("DELETE", &format!("/api/v1/admin/users/{owner}/app-tokens/{own}"), &json!({}));
    assert_eq!(answer.expect(403).code(), "owner_only");
}

#[test]
fn the_page_makes_shows_once_and_revokes_without_scripts() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let mut ada = browser(&server, "ada");
    ada.headers.clear();
    let page = ada.get("/account/app-tokens").expect(200);
    let csrf = page.input("csrf").unwrap();
    let bad = [("csrf", &*csrf), ("name", "<b>Phone"), ("hosts", "https://x"), ("expires_in_days", "90")];
    let answer = ada.form("/account/app-tokens", &bad).expect(422);
    assert!(answer.text().contains("is no host") && answer.text().contains("&#60;b&#62;Phone"));
    let good = [
        ("csrf", &*csrf),
        ("name", "Phone"),
        ("hosts", "photos.home.localhost\r\n*.dav.home.localhost"),
        ("expires_in_days", "90"),
    ];
    let shown = ada.form("/account/app-tokens", &good).expect(200).text();
    let at = shown.find("dwa_").expect("the token is shown");
    let token = shown[at..at + 56].to_owned();
    named(ask(&server.client(), &basic("ada", &token), PHOTOS), "ada");
    let page = ada.get("/account/app-tokens").expect(200);
    assert!(!page.text().contains("dwa_") && page.text().contains("*.dav.home.localhost"));
    let handle = page.input("handle").unwrap();
    let answer = ada.form("/account/app-tokens/revoke", &[("csrf", &csrf), ("handle", &handle)]).expect(303);
    assert_eq!(answer.header("location"), Some("/account/app-tokens?done=revoked"));
    refused(ask(&server.client(), &basic("ada", &token), PHOTOS));
    ada.form("/account/app-tokens", &[("csrf", "x"), ("name", "Phone")]).expect(403);
    server.clock.advance(Duration::from_secs(601));
    let page = ada.get("/account/app-tokens").expect(200);
    assert!(page.text().contains("/step-up?next=/account/app-tokens"));
    let late = ada.form("/account/app-tokens", &good).expect(303);
    assert!(late.header("location").unwrap().starts_with("/step-up?next="));
}

#[test]
fn the_last_use_is_written_at_most_once_an_hour() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let token = token_of(&server, "ada");
    let sweep = |server: &Server| server.block_on(server.app().every_minute()).unwrap();
    let last_used = |server: &Server| {
        let listed = program(server, "ada", None).get_json("/api/v1/users/me/app-tokens").expect(200).json();
        listed["app_tokens"][0]["last_used"].as_str().map(str::to_owned)
    };
    assert_eq!(last_used(&server), None);
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
    sweep(&server);
    let first = last_used(&server).unwrap();
    server.clock.advance(Duration::from_secs(1800));
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
    assert_ne!(last_used(&server).unwrap(), first, "memory knows better");
    let server = server.restart();
    assert_eq!(last_used(&server).unwrap(), first, "half an hour is not written");
    server.clock.advance(Duration::from_secs(1801));
    named(ask(&server.client(), &bearer(&token), PHOTOS), "ada");
    let server = server.restart();
    assert_ne!(last_used(&server).unwrap(), first);
}

// -- what is not for us

#[test]
fn what_is_not_for_us_leaves_the_cookie_to_decide() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let (ada, nobody) = (browser(&server, "ada"), server.client());
    for foreign in [
        "Token abc",
        "Token dwa_abc",
        "Digest username=\"ada\"",
        "Bearer abc",
        "Bearer a.b.c",
        "Bearer eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL290aGVyIn0.c2ln",
        "Bearer two words",
        "Negotiate TlRM",
        "Basic",
        // No rule of this host reads passwords, so they are for the app.
        &basic("ada", WRONG),
        "Basic !!!!",
    ] {
        named(ask(&ada, foreign, PHOTOS), "ada");
        let answer = ask(&nobody, foreign, PHOTOS).expect(401);
        assert!(
            answer.header("location").is_some() && answer.header("www-authenticate").is_none(),
            "{foreign}"
        );
        ask_forward(&nobody, foreign, "photos.home.localhost");
    }
    let twice = ada.clone().with_header("Authorization", "Bearer dwa_x");
    named(ask(&twice.with_header("Authorization", "Bearer dwa_y"), "", PHOTOS), "ada");
    // It says nothing about the account, and counts nothing.
    assert_eq!(events(&server, "sign_in.failed", "ada"), 0);
}

/// What is recognisably ours and wrong is refused, also beside a good cookie; but what is open is open.
#[test]
fn what_is_ours_and_wrong_is_refused_except_where_everybody_passes() {
    let server = start();
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let (desk, nobody) = (browser(&server, "ada"), server.client());
    let own = server.access_token(ada);
    for wrong in [&bearer(&format!("dwa_{}", "a".repeat(52))), &bearer(&own)] {
        refused(ask(&desk, wrong, PHOTOS));
        refused(ask(&nobody, wrong, PHOTOS));
        let open = ask(&nobody, wrong, "http://photos.home.localhost/share/x").expect(200);
        assert_eq!(open.header("remote-user"), Some(""));
    }
    refused(ask(&desk, &basic("ada", WRONG), DAV));
}

#[test]
fn a_websocket_opens_with_a_cookie_or_a_token() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let (desk, token) = (browser(&server, "ada"), token_of(&server, "ada"));
    let upgrade = |client: Client| {
        client
            .with_header("Upgrade", "websocket")
            .with_header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .with_header("Sec-WebSocket-Version", "13")
    };
    let url = "ws://photos.home.localhost/live";
    let headers = [("X-Original-URL", url), ("X-Original-Method", "GET"), ("Connection", "upgrade")];
    named(upgrade(desk.clone()).send("GET", "/api/authz/auth-request", &headers, b""), "ada");
    named(ask(&upgrade(server.client()), &bearer(&token), url), "ada");
    ask(&upgrade(server.client()), "Token x", url).expect(401);
    named(ask_forward(&upgrade(server.client()), &bearer(&token), "photos.home.localhost"), "ada");
}

// -- passwords

#[test]
fn a_password_opens_where_the_rule_says_so() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let nobody = server.client();
    for name in ["ada", "Ada", "ada@example.org"] {
        named(ask(&nobody, &basic(name, PASSWORD), DAV), "ada");
        named(ask_forward(&nobody, &basic(name, PASSWORD), "dav.home.localhost"), "ada");
    }
    refused(ask(&nobody, &basic("ada", WRONG), DAV));
    refused(ask(&nobody, "Basic !!!!", DAV));
    // Elsewhere it is not read at all.
    for url in [PHOTOS, BANK, "http://dav.home.localhost/web/"] {
        let answer = ask(&nobody, &basic("ada", PASSWORD), url).expect(401);
        assert!(answer.header("location").is_some() && answer.header("www-authenticate").is_none());
    }
    named(ask(&browser(&server, "ada"), &basic("ada", PASSWORD), "http://dav.home.localhost/web/"), "ada");
    assert_eq!(events(&server, "program.signed_in", "ada"), 1);
}

/// Which rule decides depends on who it is: where another one decides for the person, the header was for the app.
#[test]
fn a_password_counts_only_under_the_rule_that_decides_for_its_owner() {
    let server = Server::start();
    set_rules(
        &server,
        vec![
            json!({"domains": ["dav.home.localhost"], "groups": ["robots"], "policy": "one_factor", "programs": ["basic"]}),
            json!({"domains": ["dav.home.localhost"], "groups": ["family"], "policy": "one_factor"}),
        ],
    );
    server.add_user("ada", Role::Member, &["family"]);
    server.add_user("robot", Role::Member, &["robots"]);
    let nobody = server.client();
    named(ask(&nobody, &basic("robot", PASSWORD), DAV), "robot");
    let answer = ask(&nobody, &basic("ada", PASSWORD), DAV).expect(401);
    assert!(answer.header("location").is_some());
    named(ask(&browser(&server, "ada"), &basic("ada", PASSWORD), DAV), "ada");
}

/// The second factor is not to be had by asking elsewhere: not for who has one, and not for who must have one.
#[test]
fn an_account_that_a_password_alone_does_not_open_is_not_opened_by_it() {
    let server = start_with(|options| options.second_factor = SecondFactorPolicy::Admins);
    let ada = server.add_user("ada", Role::Member, &[]);
    server.add_user("vice", Role::Admin, &[]);
    let bob = server.add_user("bob", Role::Member, &[]);
    server.enrol_totp(ada);
    server.disable(bob);
    for name in ["ada", "vice", "bob", "nobody"] {
        for password in [PASSWORD, WRONG, PASSWORD] {
            refused(ask(&server.client(), &basic(name, password), DAV));
        }
    }
    assert_eq!(events(&server, "program.refused", "ada"), 1, "a right password is told of, once");
}

/// LIM-03, LIM-04: guesses through a reverse proxy count like guesses at the sign-in page, for the place that the proxy
/// saw; a forged header changes nothing, and the owner's own devices and places go on.
#[test]
fn guessing_through_a_proxy_is_limited_and_locks_no_owner_out() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    let mut desk = browser(&server, "ada");
    let place = "203.0.113.7";
    for number in 0..5 {
        // What stands left of the proxy's own entry was made up by the client.
        let forged = format!("198.51.100.{number}, {place}");
        refused(ask_from(&server, &forged, &basic("ada", &format!("{WRONG}{number}")), DAV));
    }
    assert_eq!(events(&server, "sign_in.suspended", "ada"), 1);
    refused(ask_from(&server, place, &basic("ada", PASSWORD), DAV));
    refused(ask_from(&server, &format!("192.0.2.1, {place}"), &basic("ada@example.org", PASSWORD), DAV));
    let login = |ip: &str, client: &Client| {
        let body = json!({"username": "ada", "password": PASSWORD});
        client.clone().with_header("X-Forwarded-For", ip).post("/api/v1/auth/login/web", body).status
    };
    assert_eq!(login(place, &server.client()), 429, "the sign-in page knows of it");
    desk.get("/account").expect(200);
    assert_eq!(login(place, &desk), 200, "a known device goes on");
    named(ask_from(&server, "192.0.2.1", &basic("ada", PASSWORD), DAV), "ada");
    // Names that are nobody's are counted alike (LIM-07).
    for number in 0..6 {
        refused(ask_from(&server, "192.0.2.9", &basic("nobody", &format!("{WRONG}{number}")), DAV));
    }
    // nginx never hears anything but 200, 401 and 403.
    for number in 0..3 {
        refused(ask_from(&server, place, &basic("ada", &format!("{WRONG}-{number}")), DAV));
    }
}

/// LIM-03: of guesses at the same moment no more are judged than one by one.
#[test]
fn parallel_guesses_do_not_slip_past_the_limit() {
    let server = start();
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let place = "203.0.113.7";
    let client = server.client().with_header("X-Forwarded-For", place);
    let answers =
        in_parallel(12, move |number| ask(&client, &basic("ada", &format!("{WRONG}{number}")), DAV).status);
    assert!(answers.iter().all(|status| matches!(status, 401 | 403)), "{answers:?}");
    assert!(events(&server, "sign_in.failed", "ada") <= 5);
    for number in 20..25 {
        refused(ask_from(&server, place, &basic("ada", &format!("{WRONG}{number}")), DAV));
    }
    assert_eq!(events(&server, "sign_in.failed", "ada"), 5);
    assert!(server.app().sign_in.lockout().is_suspended_anywhere(&ada));
}

/// A program with an old password comes back every minute. It is told no each time, and locks nobody out.
#[test]
fn the_same_wrong_password_counts_once() {
    let server = start();
    server.add_user("ada", Role::Member, &["family"]);
    for _ in 0..20 {
        refused(ask(&server.client(), &basic("ada", WRONG), DAV));
        refused(ask(&server.client(), &basic("nobody", WRONG), DAV));
    }
    assert_eq!(events(&server, "sign_in.failed", "ada"), 1);
    named(ask(&server.client(), &basic("ada", PASSWORD), DAV), "ada");
    // Somebody comes to be called so.
    server.add_user_with("nobody", Role::Member, &[], WRONG);
    named(ask(&server.client(), &basic("nobody", WRONG), DAV), "nobody");
}

/// A right password is hashed once in ten minutes, and never outlives what makes it right.
#[test]
fn a_right_password_is_remembered_for_ten_minutes_and_dies_with_any_change() {
    let server = start();
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let right = basic("ada", PASSWORD);
    named(ask(&server.client(), &right, DAV), "ada");
    // Whoever looks at the stored hash from here on finds none.
    let stored = server.app().store().get::<PasswordRecord>(ada.as_bytes()).unwrap().unwrap();
    let put = |phc: Option<String>| {
        let mut batch = server.app().store().batch();
        match phc {
            Some(phc) => batch.put(ada.as_bytes(), &PasswordRecord { phc }),
            None => batch.remove::<PasswordRecord>(ada.as_bytes()),
        };
        server.block_on(server.app().store().commit(batch)).unwrap();
    };
    put(None);
    server.clock.advance(Duration::from_secs(599));
    named(ask(&server.client(), &right, DAV), "ada");
    refused(ask(&server.client(), &basic("ada", "plum-anchor-violet-sevent"), DAV));
    put(Some(stored.value.phc.clone()));
    named(ask(&server.client(), &basic("ada@example.org", PASSWORD), DAV), "ada");
    put(None);
    server.clock.advance(Duration::from_secs(1));
    refused(ask(&server.client(), &right, DAV));
}

#[test]
fn a_remembered_password_dies_with_the_password_the_account_and_the_first_authenticator() {
    let server = start();
    let mut boss = admin(&server);
    let ada = server.add_user("ada", Role::Member, &["family"]);
    let right = basic("ada", PASSWORD);
    named(ask(&server.client(), &right, DAV), "ada");
    let path = format!("/api/v1/admin/users/{ada}");
    boss.post(&format!("{path}/disable"), json!({})).expect(204);
    refused(ask(&server.client(), &right, DAV));
    boss.post(&format!("{path}/enable"), json!({})).expect(204);
    named(ask(&server.client(), &right, DAV), "ada");
    let body = json!({"current_password": PASSWORD, "new_password": "walnut-harbor-eleven-comet"});
    program(&server, "ada", None).post("/api/v1/users/me/password", body).expect(200);
    refused(ask(&server.client(), &right, DAV));
    let new = basic("ada", "walnut-harbor-eleven-comet");
    named(ask(&server.client(), &new, DAV), "ada");
    server.enrol_totp(ada);
    refused(ask(&server.client(), &new, DAV));
    refused(ask_forward(&server.client(), &new, "dav.home.localhost"));
}

/// RES-01: a full hash queue is 403 for nginx, which makes a 500 of anything else, and 503 for the others.
#[test]
fn nobody_waits_for_ever_when_many_passwords_come_at_once() {
    let server = start_with(|options| {
        lift_limits(options);
        options.hashing.threads = 1;
        options.hashing.queue_per_thread = 2;
        // All have come before one is through.
        (options.hashing.memory_kib, options.hashing.passes) = (19_456, 10);
    });
    let client = server.client();
    let nginx = client.clone();
    let answers =
        in_parallel(16, move |number| ask(&nginx, &basic(&format!("a{number}"), WRONG), DAV).status);
    assert!(answers.iter().all(|status| matches!(status, 401 | 403)), "{answers:?}");
    assert!(answers.contains(&403), "{answers:?}");
    let answers = in_parallel(16, move |number| {
        ask_forward(&client, &basic(&format!("b{number}"), WRONG), "dav.home.localhost")
    });
    for answer in &answers {
        assert!(matches!(answer.status, 401 | 503), "{}", answer.status);
        assert_eq!(answer.status == 503, answer.header("retry-after").is_some());
    }
    assert!(answers.iter().any(|answer| answer.status == 503));
}

// -- access tokens of OAuth clients

const APP: &str = "http://photos.home.localhost";
const SCOPE: &str = "doorward.forward_auth";

fn machine(provider: &Provider, app: &crate::oidc::App, resource: &str) -> String {
    let fields = [("grant_type", "client_credentials"), ("resource", resource)];
    let answer = provider.post_as(app, "/oauth2/token", &fields).expect(200).json();
    text(&answer, "access_token").to_owned()
}

#[test]
fn an_access_token_opens_the_app_that_it_is_meant_for() {
    let provider = Provider::start();
    let settings = json!({
        "audiences": [APP, "http://dav.home.localhost"],
        "grants": ["authorization_code", "client_credentials"],
        "scopes": ["openid", SCOPE],
    });
    let app = provider.add_app(settings);
    let mut all = rules();
    all.insert(0, json!({"domains": ["photos.home.localhost"], "clients": [app.id], "policy": "one_factor"}));
    set_rules(&provider.server, all);
    let nobody = provider.server.client();
    // The client acts for itself: it is let in as nobody.
    let token = machine(&provider, &app, APP);
    let answer = ask(&nobody, &bearer(&token), PHOTOS).expect(200);
    assert_eq!(answer.header("remote-user"), Some(""));
    refused(ask(&nobody, &bearer(&token), DAV));
    // A person lets it act for them.
    let scope = format!("openid {SCOPE}");
    let tokens = provider.tokens(&app, &[("scope", &scope), ("resource", "http://dav.home.localhost")]);
    let token = text(&tokens, "access_token");
    named(ask(&nobody, &bearer(token), DAV), "ada");
    refused(ask(&nobody, &bearer(token), PHOTOS));
    refused(ask(&nobody, &bearer(&format!("{token}A")), DAV));
    // An id_token is for its client alone.
    let answer = ask(&nobody, &bearer(text(&tokens, "id_token")), DAV).expect(401);
    assert!(answer.header("location").is_some());
    provider.server.disable(provider.ada);
    refused(ask(&nobody, &bearer(token), DAV));
}

#[test]
fn an_access_token_without_the_scope_or_the_audience_opens_nothing() {
    let provider = Provider::start();
    set_rules(&provider.server, vec![json!({"domains": ["*.home.localhost"], "policy": "one_factor"})]);
    let nobody = provider.server.client();
    let grants = json!(["authorization_code", "client_credentials"]);
    let plain = provider.add_app(json!({ "audiences": [APP], "grants": grants }));
    refused(ask(&nobody, &bearer(&machine(&provider, &plain, APP)), PHOTOS));
    for scope in [SCOPE, "authelia.bearer.authz"] {
        let settings = json!({
            "audiences": [APP, "http://photos.home.localhost/albums", "https://photos.home.localhost"],
            "grants": grants,
            "scopes": ["openid", scope],
        });
        let app = provider.add_app(settings);
        let token = machine(&provider, &app, APP);
        ask(&nobody, &bearer(&token), PHOTOS).expect(200);
        for other in ["http://photos.home.localhost/albums", "https://photos.home.localhost"] {
            refused(ask(&nobody, &bearer(&machine(&provider, &app, other)), PHOTOS));
        }
        // What the client loses, its tokens lose at once.
        provider.change_app(&app, json!({ "audiences": [] }));
        refused(ask(&nobody, &bearer(&token), PHOTOS));
        provider.change_app(&app, json!({ "audiences": [APP], "scopes": ["openid"] }));
        refused(ask(&nobody, &bearer(&token), PHOTOS));
    }
}
