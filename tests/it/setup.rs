//! The first start, over real HTTP: the claim, the wizard from end to end, and what is left of it afterwards.

use std::sync::Arc;
use std::time::Duration;

use doorward::accounts::users::SecondFactorPolicy;
use doorward::app::Options;
use doorward::kernel::time::{Clock, TestClock, Timestamp};
use doorward::setup::claim;

use crate::harness::{Answer, Authenticator, Client, PASSWORD, Server, TempDir};
use crate::software_key::SoftwareKey;

/// A Doorward that nobody has configured or claimed.
fn new() -> Server {
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    Server::start_unclaimed(Arc::new(TempDir::new()), clock, unconfigured)
}

fn unconfigured(options: &mut Options) {
    options.site.public_origin = None;
    options.site.protected_domain = None;
    options.site.trusted_proxies.clear();
    options.second_factor = SecondFactorPolicy::Admins;
}

fn token(server: &Server) -> String {
    claim::read(&server.dir.0).unwrap().expect("a setup token").expose().to_owned()
}

/// A browser that typed the setup code.
fn claimed(server: &Server) -> Client {
    let mut client = server.client();
    let answer = client.form("/setup", &[("token", &token(server))]).expect(303);
    assert_eq!(answer.header("location"), Some("/setup"));
    client
}

/// Opens `path` and sends its form with the CSRF field.
#[track_caller]
fn fill(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let page = client.get(path).expect(200);
    let csrf = page.input("csrf").expect("a csrf field");
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend_from_slice(fields);
    client.form(path, &all)
}

#[track_caller]
fn leads_to(answer: Answer, path: &str) {
    let answer = answer.expect(303);
    assert_eq!(answer.header("location"), Some(path));
}

const OWNER: [(&str, &str); 4] =
    [("username", "ada"), ("display_name", "Ada Lovelace"), ("email", ""), ("password", PASSWORD)];

/// Walks to the second factor.
fn owned(server: &Server) -> Client {
    let mut client = claimed(server);
    leads_to(fill(&mut client, "/setup/welcome", &[("instance_name", "Linden Street")]), "/setup/owner");
    leads_to(fill(&mut client, "/setup/owner", &OWNER), "/setup/address");
    client
}

/// Returns the codes of the recovery page and which one is asked for.
fn codes_of(page: &Answer) -> (Vec<String>, usize) {
    let text = page.text();
    let codes: Vec<String> = text
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split("</code>").next().unwrap().to_owned())
        .collect();
    let asked = text.split("Type code number ").nth(1).unwrap();
    let asked = asked.chars().take_while(char::is_ascii_digit).collect::<String>();
    (codes, asked.parse().unwrap())
}

fn secret_of(page: &Answer) -> String {
    let text = page.text();
    let rest = text.split("secret=").nth(1).unwrap();
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[test]
fn the_wizard_leads_from_the_code_to_a_protected_app_and_closes_behind_itself() {
    let server = new();
    let mut client = owned(&server);
    // The owner has an ordinary session of one factor, which opens the rest of Doorward.
    let first_session = client.cookie("dw").expect("a session");
    let fields = [("origin", "http://localhost"), ("cookie_domain", ""), ("action", "check")];
    let looked = fill(&mut client, "/setup/address", &fields).expect(200);
    assert!(looked.text().contains("You are on this machine itself"));
    let fields = [
        ("origin", "http://doorward.home.localhost"),
        ("cookie_domain", "home.localhost"),
        ("action", "save"),
    ];
    leads_to(fill(&mut client, "/setup/address", &fields), "/setup/second-factor");

    let page = client.get("/setup/second-factor").expect(200);
    assert!(!page.text().contains("Do this later"), "the owner must have a second factor");
    let authenticator = Authenticator::new(&secret_of(&page), server.clock.clone());
    let wrong = fill(&mut client, "/setup/second-factor", &[("code", "000000"), ("action", "skip")]);
    assert!(wrong.expect(422).text().contains("not accepted"));
    let code = authenticator.code();
    let confirmed = fill(&mut client, "/setup/second-factor", &[("code", &code), ("action", "confirm")]);
    leads_to(confirmed, "/setup/recovery-codes");
    // SES-02: two factors begin a new session, and the old one is dead.
    let second_session = client.cookie("dw").expect("a session");
    assert_ne!(first_session, second_session);
    let mut old = server.client();
    old.cookies.push(("dw".to_owned(), first_session));
    old = old.with_header("Host", "doorward.home.localhost");
    assert_eq!(old.get("/step-up").expect(303).header("location"), Some("/signin?rd=%2Fstep-up"));
    old.cookies = vec![("dw".to_owned(), second_session)];
    old.get("/step-up").expect(200);

    // The codes stay until one was typed back, whatever else is opened.
    leads_to(client.get("/setup/protect"), "/setup/recovery-codes");
    let (codes, asked) = codes_of(&client.get("/setup/recovery-codes").expect(200));
    assert_eq!(codes.len(), 10);
    let other = &codes[asked % 10];
    fill(&mut client, "/setup/recovery-codes", &[("saved", "yes"), ("typed", other)]).expect(422);
    fill(&mut client, "/setup/recovery-codes", &[("typed", &codes[asked - 1])]).expect(422);
    let typed = codes[asked - 1].to_uppercase().replace('-', " ");
    let kept = fill(&mut client, "/setup/recovery-codes", &[("saved", "yes"), ("typed", &typed)]);
    leads_to(kept, "/setup/protect");
    leads_to(client.get("/setup/recovery-codes"), "/setup/protect");

    let fields = [("app_host", "photos.home.localhost"), ("who", "everyone"), ("action", "save")];
    leads_to(fill(&mut client, "/setup/protect", &fields), "/setup/protect");
    let page = client.get("/setup/protect").expect(200).text();
    assert!(page.contains("auth_request") && page.contains("photos.home.localhost"));
    let result = "/setup/protect?proxy=nginx&test=1";
    leads_to(fill(&mut client, "/setup/protect", &[("action", "test")]), &format!("{result}#test-result"));
    let tested = client.get(result).expect(200).text();
    assert!(tested.contains("Nothing has arrived yet"));
    let seen =
        |client: &mut Client| client.get_json("/setup/seen?app").expect(200).json()["seen"].to_string();
    let before = seen(&mut client);
    assert!(tested.contains(before.trim_matches('"')), "the page says what it has seen");
    ask(&server).expect(401);
    assert_ne!(seen(&mut client), before, "the script is told that something is new");
    server.client().get_json("/setup/seen?app").expect(404);
    let tested = client.get(result).expect(200).text();
    assert!(tested.contains("A question about photos.home.localhost arrived."));
    assert!(tested.contains("was sent to the sign-in page"), "{tested}");
    doorward_plays_the_app(&server, &mut client);

    leads_to(fill(&mut client, "/setup/protect", &[("action", "finish")]), "/setup/done");
    let done = client.get("/setup/done").expect(200).text();
    assert!(done.contains("Linden Street") && done.contains("photos.home.localhost"));
    // SET-01, SET-02: gone for everybody, also after a restart; only this browser may still look at the summary.
    let is_gone = |server: &Server, client: &mut Client| {
        for path in ["/setup", "/setup/welcome", "/setup/owner", "/setup/protect", "/setup/probe/x"] {
            client.get(path).expect(404);
        }
        server.client().with_header("Host", "photos.home.localhost").get("/setup/echo").expect(404);
        server.client().form("/setup", &[("token", "x")]).expect(404);
        server.client().get("/setup/done").expect(404);
    };
    is_gone(&server, &mut client);
    assert!(!claim::path(&server.dir.0).exists());
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    let server = Server::start_unclaimed(dir, clock, unconfigured);
    client.address = server.address;
    is_gone(&server, &mut client);
    client.get("/setup/done").expect(404);
}

/// For the live test Doorward takes the place of the first app: under its host alone, and with what the proxy hands on.
fn doorward_plays_the_app(server: &Server, client: &mut Client) {
    let page = client.get("/setup/protect?proxy=nginx&app=echo").expect(200).text();
    assert!(page.contains("proxy_pass http://127.0.0.1:") && !page.contains("127.0.0.1:3000"), "{page}");
    client.get("/setup/echo").expect(404);
    for other in ["films.home.localhost", "doorward.home.localhost"] {
        server.client().with_header("Host", other).get("/setup/echo").expect(404);
    }
    let app = || server.client().with_header("Host", "photos.home.localhost:8443");
    leads_to(app().get("/"), "/setup/echo");
    assert!(app().get("/setup/echo").expect(200).text().contains("no name came along"));
    let mut tested = || client.get("/setup/protect?proxy=nginx&app=echo&test=1").expect(200).text();
    assert!(tested().contains("no name came along"));
    let page = app().with_header("Remote-User", "ana<b>").get("/setup/echo").expect(200).text();
    assert!(page.contains("ana&#60;b&#62;"), "{page}");
    assert!(tested().contains("The test page was told: ana&#60;b&#62;."));
    for (name, came_through, sentence) in [
        ("ana", false, "and it did not come through"),
        ("doorward-made-up", true, "and it came through: anybody could claim to be you"),
    ] {
        let mut page = app().with_header("Remote-User", name).with_header("Sec-Fetch-Site", "same-origin");
        assert_eq!(page.get_json("/setup/echo?forged").expect(200).json()["came_through"], came_through);
        assert!(tested().contains(sentence), "{name}");
    }
    // Only the script of the page itself tries: whoever else asks, by hand or by another page, changes nothing.
    for site in [None, Some("none"), Some("cross-site"), Some("same-site")] {
        let mut stranger = app();
        stranger.headers.extend(site.map(|site| ("Sec-Fetch-Site".to_owned(), site.to_owned())));
        stranger.get_json("/setup/echo?forged").expect(200);
        assert!(tested().contains("and it came through"), "{site:?}");
    }
}

/// Asks as nginx would about somebody who is not signed in.
fn ask(server: &Server) -> Answer {
    let headers = [
        ("X-Original-URL", "http://photos.home.localhost/"),
        ("X-Original-Method", "GET"),
        ("Accept", "text/html"),
    ];
    server.client().send("GET", "/api/authz/auth-request", &headers, b"")
}

/// SET-01: an unclaimed instance serves the setup, its assets and health, and tells no proxy yes.
#[test]
fn an_unclaimed_instance_serves_nothing_but_setup_and_health() {
    let server = new();
    server.set_rules(&["bypass domain=photos.home.localhost"]);
    let mut client = server.client();
    client.get_json("/healthz").expect(200);
    client.get_json("/readyz").expect(200);
    client.get("/setup").expect(200);
    for path in ["/signin", "/register", "/signout", "/link/abc"] {
        leads_to(client.get(path), "/setup");
    }
    let answer = client.get_json("/api/v1/keys").expect(503);
    assert_eq!(answer.code(), "setup_required");
    assert!(answer.header("retry-after").is_some());
    client.post("/api/v1/users", serde_json::json!({"username": "eve", "password": PASSWORD})).expect(503);
    client.form("/signin", &[("username", "eve"), ("password", PASSWORD)]).expect(503);
    ask(&server).expect(403);
    let headers = [
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "photos.home.localhost"),
        ("X-Forwarded-Uri", "/"),
        ("X-Forwarded-Method", "GET"),
        ("Accept", "text/html"),
    ];
    client.send("GET", "/api/authz/forward-auth", &headers, b"").expect(503);
}

/// SET-01: nobody gets anywhere without the code, and five wrong ones make the place wait.
#[test]
fn the_wizard_opens_with_the_code_alone() {
    let server = new();
    let mut client = server.client();
    for path in ["/setup/welcome", "/setup/owner", "/setup/address", "/setup/second-factor", "/setup/done"] {
        leads_to(client.get(path), "/setup");
        if path != "/setup/done" {
            leads_to(client.form(path, &OWNER), "/setup");
        }
    }
    client.cookies.push(("dw_setup".to_owned(), "guess".to_owned()));
    leads_to(client.get("/setup/owner"), "/setup");
    client.cookies.clear();
    for _ in 0..5 {
        client.form("/setup", &[("token", "wrong")]).expect(422);
    }
    let answer = client.form("/setup", &[("token", &token(&server))]).expect(429);
    assert!(answer.header("retry-after").is_some());
    server.clock.advance(Duration::from_secs(61));
    let answer = client.form("/setup", &[("token", &token(&server))]).expect(303);
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["dw_setup=", "Path=/setup", "HttpOnly", "SameSite=Strict", "Max-Age=1800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    server.clock.advance(Duration::from_secs(1801));
    leads_to(client.get("/setup/welcome"), "/setup");
}

/// SET-03: names that may point here by DNS rebinding are not answered, and forms come from the wizard's own pages.
#[test]
fn foreign_hosts_and_foreign_forms_are_refused() {
    let server = new();
    for host in ["evil.example", "auth.home.example", "localhost.evil.example", "192.168.1.5.evil.example"] {
        let mut client = server.client().with_header("Host", host);
        assert!(client.get("/setup").expect(421).text().contains("does not know the name"), "{host}");
        client.form("/setup", &[("token", &token(&server))]).expect(421);
    }
    for host in ["localhost", "localhost:8080", "127.0.0.1", "192.168.1.5:8080", "[fd00::1]:8080"] {
        server.client().with_header("Host", host).get("/setup").expect(200);
    }
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:8080"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "none"),
    ] {
        let mut client = server.client().with_header(name, value);
        client.form("/setup", &[("token", &token(&server))]).expect(403);
    }
    let mut client = claimed(&server);
    client.form("/setup/welcome", &[("instance_name", "Home")]).expect(403);
    client.form("/setup/welcome", &[("instance_name", "Home"), ("csrf", "x")]).expect(403);
    let csrf = claimed(&server).get("/setup/welcome").input("csrf").unwrap();
    client.form("/setup/welcome", &[("instance_name", "Home"), ("csrf", &csrf)]).expect(403);
    fill(&mut client, "/setup/welcome", &[("instance_name", "Home")]).expect(303);
}

/// The configured origin is known from the start (SET-03).
#[test]
fn a_configured_address_is_answered() {
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    let server = Server::start_unclaimed(Arc::new(TempDir::new()), clock, |options| {
        unconfigured(options);
        options.site.public_origin = Some("https://auth.home.example".to_owned());
    });
    server.client().with_header("Host", "auth.home.example").get("/setup").expect(200);
    server.client().with_header("Host", "evil.example").get("/setup").expect(421);
}

/// Over plain HTTP from another machine the address comes before the password, and going on must be a decision.
#[test]
fn an_insecure_visit_is_warned_and_must_be_accepted() {
    let server = new();
    let host = "192.168.1.5:8080";
    let mut client =
        server.client().with_header("Host", host).with_header("Origin", "http://192.168.1.5:8080");
    let page = client.get("/setup").expect(200).text();
    assert!(page.contains("ssh -L 8080:localhost:") && page.contains("192.168.1.5"), "{page}");
    client.form("/setup", &[("token", &token(&server))]).expect(303);
    leads_to(fill(&mut client, "/setup/welcome", &[("instance_name", "Home")]), "/setup/address");
    leads_to(client.get("/setup/owner"), "/setup/address");
    let fields =
        [("origin", "https://auth.home.example"), ("cookie_domain", "home.example"), ("action", "save")];
    let refused = fill(&mut client, "/setup/address", &fields).expect(422);
    assert!(refused.text().contains("accept_insecure-error"));
    let accepted = [&fields[..], &[("accept_insecure", "yes")]].concat();
    leads_to(fill(&mut client, "/setup/address", &accepted), "/setup/owner");
    leads_to(fill(&mut client, "/setup/owner", &OWNER), "/setup/second-factor");
    // SES-06: no ordinary session begins over plain HTTP from another machine; the wizard's own goes on.
    assert!(client.cookie("dw").is_none() && client.cookie("__Host-dw").is_none());
    client.get("/setup/second-factor").expect(200);
}

/// SET-02: whoever comes second is told who was first.
#[test]
fn the_loser_of_the_race_is_told() {
    let server = new();
    let mut late = claimed(&server);
    fill(&mut late, "/setup/welcome", &[("instance_name", "Home")]).expect(303);
    let csrf = late.get("/setup/owner").input("csrf").unwrap();
    let _first = owned(&server);
    let mut fields = vec![("csrf", csrf.as_str())];
    fields.extend_from_slice(&OWNER);
    let answer = late.form("/setup/owner", &fields).expect(409);
    assert!(
        answer.text().contains("15 Jan 2027") && answer.text().contains("127.0.0.1"),
        "{}",
        answer.text()
    );
    late.get("/setup").expect(409);
    late.get("/setup/address").expect(409);
}

/// After a restart or in another browser the owner signs in and goes on; nobody else gets in.
#[test]
fn the_owner_takes_the_wizard_up_again_by_signing_in() {
    let server = new();
    let _gone = owned(&server);
    let mut client = server.client();
    leads_to(client.get("/setup"), "/signin?rd=%2Fsetup");
    leads_to(client.get("/setup/address"), "/setup");
    // The policy asks the owner for a second factor on the way.
    leads_to(
        client.form("/signin", &[("username", "ada"), ("password", PASSWORD), ("rd", "/setup")]),
        "/signin/enrol",
    );
    let page = client.get("/signin/enrol").expect(200);
    let authenticator = Authenticator::new(&secret_of(&page), server.clock.clone());
    client.form("/signin/enrol", &[("code", &authenticator.code())]).expect(200);
    leads_to(client.get("/setup"), "/setup");
    leads_to(client.get("/setup"), "/setup/address");
    let fields = [("origin", "http://localhost"), ("cookie_domain", ""), ("action", "save")];
    leads_to(fill(&mut client, "/setup/address", &fields), "/setup/protect");
    let member = server.add_user("mallory", doorward::accounts::records::Role::Admin, &[]);
    let session = server.web_session(member);
    let mut other = server.client();
    other.cookies.push(("dw".to_owned(), session.cookie.clone()));
    other.get("/setup").expect(404);
    // OTP-08: a session of long ago does not bring a thief to the step that adds second factors.
    let owner = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let mut thief = server.client();
    thief.cookies.push(("dw".to_owned(), server.web_session(owner).cookie.clone()));
    server.clock.advance(Duration::from_secs(601));
    leads_to(thief.get("/setup"), "/step-up?next=%2Fsetup");
    leads_to(thief.get("/setup/second-factor"), "/setup");
    // Signing out everywhere ends the wizard too.
    server.clock.advance(Duration::from_secs(1));
    let now = server.clock.now();
    let end = server.app().accounts.change(
        owner,
        |record| {
            record.not_before = now;
            Ok(())
        },
        |_, _| {},
    );
    server.block_on(end).unwrap();
    leads_to(client.get("/setup/protect"), "/setup");
}

/// The wizard believes a proxy only after it was told so (SET-03).
#[test]
fn a_proxy_is_trusted_by_decision() {
    let server = new();
    let mut client = owned(&server).with_header("X-Forwarded-For", "192.168.1.77");
    let page = client.get("/setup/address").expect(200).text();
    assert!(page.contains("Is this your reverse proxy?") && page.contains("127.0.0.1"));
    leads_to(fill(&mut client, "/setup/address", &[("action", "trust-proxy")]), "/setup/address");
    let page = client.get("/setup/address").expect(200).text();
    assert!(page.contains("through your reverse proxy at"), "{page}");
    assert!(server.app().site.trusted_proxies().contains("127.0.0.1".parse().unwrap()));
    assert!(!server.app().site.trusted_proxies().contains("127.0.0.2".parse().unwrap()));
}

/// The probe of the public address is noticed, and its page may fetch from there and nowhere else.
#[test]
fn a_probe_tells_what_arrived() {
    let server = new();
    let mut client = owned(&server);
    let fields = [("origin", "http://auth.home.localhost"), ("cookie_domain", ""), ("action", "check")];
    let page = fill(&mut client, "/setup/address", &fields).expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src 'self' http://auth.home.localhost;"), "{policy}");
    let text = page.text();
    let nonce = text.split("/setup/probe/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut elsewhere = server.client().with_header("Host", "auth.home.localhost");
    elsewhere.get_json("/setup/probe/unknown").expect(204);
    let answer = elsewhere.get_json(&format!("/setup/probe/{nonce}")).expect(204);
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    let page = fill(&mut client, "/setup/address", &fields).expect(200).text();
    assert!(page.contains("A request for auth.home.localhost arrived here."));
    assert!(page.contains("Continue at http://auth.home.localhost/setup"), "{page}");
    // Whoever follows the link sees that it arrived, and nothing of this place.
    let page = elsewhere.get(&format!("/setup/probe/{nonce}")).expect(200).text();
    assert!(page.contains("It arrived") && !page.contains("Linden Street"), "{page}");
}

/// What a person typed wrong is shown beside the field, with everything else still there.
#[test]
fn wrong_input_is_explained_where_it_was_typed() {
    let server = new();
    let mut client = claimed(&server);
    fill(&mut client, "/setup/welcome", &[("instance_name", " ")]).expect(422);
    fill(&mut client, "/setup/welcome", &[("instance_name", "Home")]).expect(303);
    let fields =
        [("username", "Ada L"), ("display_name", "Ada"), ("email", "ada@home.example"), ("password", "x")];
    let page = fill(&mut client, "/setup/owner", &fields).expect(422);
    assert_eq!(page.input("display_name").as_deref(), Some("Ada"));
    assert!(page.text().contains("username-error") && !page.text().contains("value=\"x\""));
    let fields = [("username", "ada"), ("display_name", ""), ("email", ""), ("password", "password1")];
    let page = fill(&mut client, "/setup/owner", &fields).expect(422);
    assert!(page.text().contains("password-error"));
    fill(&mut client, "/setup/owner", &OWNER).expect(303);
    let fields = [("origin", "auth.home.example"), ("cookie_domain", "home.example"), ("action", "save")];
    let page = fill(&mut client, "/setup/address", &fields).expect(422);
    assert!(page.text().contains("origin-error"));
    // A finished step cannot be done twice.
    leads_to(client.get("/setup/owner"), "/setup/address");
}

/// SES-08: who signs out in the middle of the wizard is out of it as well, and so is a copy of its cookie.
#[test]
fn signing_out_ends_the_wizard_of_the_same_browser() {
    let server = new();
    let mut client = owned(&server);
    client.get("/setup/address").expect(200);
    let mut copy = client.clone();
    let owner = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let session = server.app().sessions.list(&owner).unwrap()[0].id;
    let token = server.app().sessions.csrf_token(&session);
    client = client.with_header("X-CSRF-Token", &token);
    client.post("/api/v1/auth/logout", serde_json::json!({})).expect(204);
    assert_eq!(client.cookie("dw_setup"), None);
    leads_to(copy.get("/setup/address"), "/setup");
    leads_to(fill_blindly(&mut copy, "/setup/second-factor"), "/setup");
}

fn fill_blindly(client: &mut Client, path: &str) -> Answer {
    client.form(path, &[("code", "000000"), ("action", "confirm")])
}

/// SET-02: an installation whose users came by the command line is claimed for good, also when they all left.
#[test]
fn an_installation_that_had_users_never_opens_its_setup() {
    let server = new();
    let mia = server.add_bare_user("mia", doorward::accounts::records::Role::Member);
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    let server = Server::start_unclaimed(dir.clone(), clock.clone(), |_| {});
    leads_to(server.client().get("/"), "/signin");
    server.block_on(server.app().accounts.delete(mia, |_, _| {})).unwrap();
    drop(server);
    let server = Server::start_unclaimed(dir.clone(), clock, |_| {});
    leads_to(server.client().get("/"), "/signin");
    server.client().get("/setup").expect(404);
    assert!(!dir.0.join("setup-token").exists());
}

/// The owner's passkey is the second factor, made in the wizard; one made for somebody else's wizard is worth nothing.
#[test]
fn the_second_factor_may_be_a_passkey() {
    let server = new();
    let mut client = owned(&server);
    let fields = [("origin", "http://localhost"), ("cookie_domain", ""), ("action", "save")];
    leads_to(fill(&mut client, "/setup/address", &fields), "/setup/second-factor");
    let options = |page: &Answer| -> serde_json::Value {
        let text = page.text();
        let options = text.split("data-options=\"").nth(1).unwrap().split('"').next().unwrap();
        serde_json::from_str(&options.replace("&#34;", "\"").replace("&quot;", "\"")).unwrap()
    };
    let page = client.get("/setup/second-factor").expect(200);
    let mut key = SoftwareKey::new();
    let credential = key.create(&options(&page)).to_string();
    fill_at(&mut client, "/setup/passkey", &[("name", "Key"), ("credential", "{}")]).expect(422);
    let spoiled = credential.replace("clientDataJSON", "clientData");
    fill_at(&mut client, "/setup/passkey", &[("name", "Key"), ("credential", &spoiled)]).expect(422);
    let nameless = fill_at(&mut client, "/setup/passkey", &[("name", ""), ("credential", &credential)]);
    assert!(nameless.expect(422).text().contains("name-error"));
    let first_session = client.cookie("dw").expect("a session");
    let added = fill_at(&mut client, "/setup/passkey", &[("name", "Key"), ("credential", &credential)]);
    leads_to(added, "/setup/recovery-codes");
    assert_ne!(client.cookie("dw").expect("a session"), first_session, "SES-02");
    // The challenge is used up, and so is the step.
    let again = client.form(
        "/setup/passkey",
        &[("csrf", &page.input("csrf").unwrap()), ("name", "Key"), ("credential", &credential)],
    );
    leads_to(again, "/setup/recovery-codes");
    let (codes, asked) = codes_of(&client.get("/setup/recovery-codes").expect(200));
    assert_eq!(codes.len(), 10);
    let kept = fill(&mut client, "/setup/recovery-codes", &[("saved", "yes"), ("typed", &codes[asked - 1])]);
    leads_to(kept, "/setup/protect");
    leads_to(fill(&mut client, "/setup/protect", &[("action", "skip")]), "/setup/done");
    assert!(client.get("/setup/done").expect(200).text().contains("Passkey"));
    crate::passkeys::sign_in(&server, &key).expect(200);
}

/// Fills the form on the page of the second factor that goes to `path`.
#[track_caller]
fn fill_at(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.get("/setup/second-factor").expect(200).input("csrf").expect("a csrf field");
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend_from_slice(fields);
    client.form(path, &all)
}

/// What was skipped stands in the list of open steps, and can be done from there by whoever proves all factors; the pages
/// of the setup stay closed for everybody else.
#[test]
fn skipped_steps_are_listed_and_can_be_done_later() {
    let server = new();
    let mut client = owned(&server);
    leads_to(fill(&mut client, "/setup/address", &[("action", "skip")]), "/setup/second-factor");
    let page = client.get("/setup/second-factor").expect(200);
    let authenticator = Authenticator::new(&secret_of(&page), server.clock.clone());
    let code = authenticator.code();
    leads_to(
        fill(&mut client, "/setup/second-factor", &[("code", &code), ("action", "confirm")]),
        "/setup/recovery-codes",
    );
    let (codes, asked) = codes_of(&client.get("/setup/recovery-codes").expect(200));
    fill(&mut client, "/setup/recovery-codes", &[("saved", "yes"), ("typed", &codes[asked - 1])]).expect(303);
    leads_to(fill(&mut client, "/setup/protect", &[("action", "skip")]), "/setup/done");
    let open = |client: &mut Client| -> Vec<String> {
        let steps = client.get_json("/api/v1/admin/checklist").expect(200).json();
        steps["open"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["code"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(open(&mut client), ["address", "first-app", "backup"]);
    client.get("/setup/address").expect(404);
    server.client().get("/admin/setup/address").expect(303);
    client.get("/admin/setup/owner").expect(404);
    leads_to(client.get("/admin/setup/address"), "/setup/address");
    let fields = [("origin", "http://localhost"), ("cookie_domain", ""), ("action", "save")];
    leads_to(fill(&mut client, "/setup/address", &fields), "/admin");
    client.get("/setup/owner").expect(404);
    client.get("/setup/second-factor").expect(404);
    // The wizard knows of one domain, and drops no other.
    let domains = |value: &str| {
        let mut batch = server.app().store().batch();
        server.app().site.stage_set(&mut batch, doorward::site::Setting::ProtectedDomain, value);
        server.block_on(server.app().store().commit(batch)).unwrap();
    };
    let protected = || {
        let listed = server.app().site.protected_domains();
        listed.iter().map(|own| own.domain.clone()).collect::<Vec<_>>()
    };
    domains("home.example,third.example cookie=host");
    for domain in ["", "other.example", "third.example"] {
        leads_to(client.get("/admin/setup/address"), "/setup/address");
        let fields = [("origin", "https://auth.home.example"), ("cookie_domain", domain), ("action", "save")];
        let refused = fill(&mut client, "/setup/address", &fields).expect(422).text();
        assert!(refused.contains("id=\"cookie_domain-error\""), "{domain}: {refused}");
        assert_eq!(protected(), ["home.example", "third.example"], "{domain}");
    }
    domains("");
    // ADM-01: the wizard outlives the proof that opened it, and changes nothing without one.
    leads_to(client.get("/admin/setup/address"), "/setup/address");
    server.clock.advance(Duration::from_secs(601));
    let fields = [("origin", "http://other.localhost"), ("cookie_domain", ""), ("action", "save")];
    leads_to(fill(&mut client, "/setup/address", &fields), "/admin/setup/address");
    assert_eq!(server.app().site.origin().text, "http://localhost");
    // A backup takes a fresh proof, and is what the command line would read.
    assert!(
        client.get("/admin/setup/address").expect(303).header("location").unwrap().starts_with("/step-up")
    );
    assert!(client.get("/admin/backup").expect(303).header("location").unwrap().starts_with("/step-up"));
}
