//! Where a sign-in leads: our own pages, what lies behind them, and what links may prefill.

use std::sync::Arc;

use doorward::accounts::records::Role;
use doorward::accounts::users::SecondFactorPolicy;
use doorward::sign_in::{Destination, Destinations};

use crate::harness::{Answer, Client, ORIGIN, PASSWORD, Server};
use crate::my_account::browser;

/// An authorization endpoint, as far as the pages of signing in can tell.
struct Apps;

impl Destinations for Apps {
    fn describe(&self, target: &url::Url) -> Option<Destination> {
        (target.path() == "/oauth2/authorize").then(|| Destination {
            name: "Grafana <b>".to_owned(),
            form_targets: vec![
                "https://grafana.example.org".to_owned(),
                "app.immich:".to_owned(),
                "http://127.0.0.1:1234".to_owned(),
                "https://evil.example; script-src *".to_owned(),
            ],
        })
    }
}

const TARGET: &str = "/oauth2/authorize?client_id=grafana&state=a%20b";
const FORM_ACTION: &str = "form-action 'self' http://localhost https://grafana.example.org app.immich: http://127.0.0.1:1234; base-uri";

fn encoded(rd: &str) -> String {
    form_urlencoded::byte_serialize(rd.as_bytes()).collect()
}

fn server() -> Server {
    let server = Server::start();
    server.app().sign_in.add_destinations(Arc::new(Apps));
    server
}

/// WEB-07: the page names the app and lets its form lead there, and nothing else.
#[track_caller]
fn tells_of_the_app(answer: &Answer) {
    let text = answer.text();
    assert!(text.contains("Grafana &#60;b&#62;") || text.contains("Grafana &lt;b&gt;"), "{text}");
    leads_to_the_app(answer);
}

#[track_caller]
fn leads_to_the_app(answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains(FORM_ACTION) && !policy.contains("evil"), "{policy}");
}

#[track_caller]
fn location(answer: Answer) -> String {
    answer.expect(303).header("location").unwrap().to_owned()
}

fn type_password(client: &mut Client, name: &str, rd: &str) -> Answer {
    client.form("/signin", &[("username", name), ("password", PASSWORD), ("rd", rd)])
}

/// WEB-11: from the form straight to a path of our own.
#[test]
fn a_sign_in_leads_straight_to_a_path_of_our_own() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = server.client();
    let page = ada.get(&format!("/signin?rd={}", encoded(TARGET))).expect(200);
    tells_of_the_app(&page);
    let rd = page.input("rd").unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(rd, format!("{ORIGIN}{TARGET}"));
    tells_of_the_app(
        &ada.form("/signin", &[("username", "ada"), ("password", "wrong"), ("rd", &rd)]).expect(401),
    );
    assert_eq!(location(type_password(&mut ada, "ada", &rd)), format!("{ORIGIN}{TARGET}"));
    // And whoever is signed in goes there at once, not over the portal.
    assert_eq!(location(ada.get(&format!("/signin?rd={}", encoded(TARGET)))), TARGET);
    assert_eq!(location(ada.get("/signin?rd=%2Faccount")), "/account");
    assert_eq!(
        location(ada.get(&format!("/signin?rd={}", encoded("http://localhost/account?x=y")))),
        "/account?x=y"
    );
    // Anything else goes over the portal, which judges it.
    assert_eq!(location(ada.get("/signin")), "/");
    for elsewhere in
        ["https://evil.example/", "//evil.example/", "/..//evil.example", "https://app.home.localhost/"]
    {
        let to = location(ada.get(&format!("/signin?rd={}", encoded(elsewhere))));
        assert!(to.starts_with("/?rd="), "{elsewhere}: {to}");
    }
}

#[test]
fn the_second_factor_and_the_recovery_code_tell_of_the_app() {
    let server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut client = server.client();
    assert_eq!(location(type_password(&mut client, "ada", TARGET)), "/signin/second-factor");
    tells_of_the_app(&client.get("/signin/second-factor").expect(200));
    tells_of_the_app(&client.get("/signin/recovery").expect(200));
    tells_of_the_app(&client.form("/signin/second-factor", &[("code", "000000")]).expect(401));
    let code = authenticator.code();
    assert_eq!(
        location(client.form("/signin/second-factor", &[("code", &code)])),
        format!("{ORIGIN}{TARGET}")
    );
}

#[test]
fn the_enrolment_tells_of_the_app() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    server.app().sign_in.add_destinations(Arc::new(Apps));
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    assert_eq!(location(type_password(&mut client, "ada", TARGET)), "/signin/enrol");
    let page = client.get("/signin/enrol").expect(200);
    tells_of_the_app(&page);
    let text = page.text();
    let secret = text.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let code = crate::harness::Authenticator::new(secret, server.clock.clone()).code();
    let codes = client.form("/signin/enrol", &[("code", &code)]).expect(200);
    leads_to_the_app(&codes);
    let rd = codes.input("rd").unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let to = location(client.form("/signin/recovery-codes", &[("rd", &rd), ("saved", "yes")]));
    assert_eq!(to, format!("{ORIGIN}{TARGET}"));
}

#[test]
fn the_step_up_tells_of_the_app_and_leads_there() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = browser(&server, "ada");
    let page = ada.get(&format!("/step-up?next={}", encoded(TARGET))).expect(200);
    tells_of_the_app(&page);
    let csrf = page.input("csrf").unwrap();
    let wrong = [("csrf", csrf.as_str()), ("password", "wrong"), ("next", TARGET)];
    tells_of_the_app(&ada.form("/step-up", &wrong).expect(401));
    let right = [("csrf", csrf.as_str()), ("password", PASSWORD), ("next", TARGET)];
    assert_eq!(location(ada.form("/step-up", &right)), TARGET);
    let plain = ada.get("/step-up").expect(200);
    assert!(plain.header("content-security-policy").unwrap().contains("form-action 'self';"));
    assert!(plain.text().contains("This change is sensitive"));
    // WEB-11: it leads nowhere else.
    let other = ada.get(&format!("/step-up?next={}", encoded("https://app.home.localhost/"))).expect(200);
    assert_eq!(other.input("next").as_deref(), Some("/account/security"));
}

/// SES-02, SES-03: signing in again shows the form although somebody is signed in, as the same person or as another, and
/// the new session takes the place of the old one.
#[test]
fn signing_in_again_takes_the_place_of_the_session() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    server.add_user("bob", Role::Member, &[]);
    let mut client = browser(&server, "ada");
    client.headers.clear();
    for (name, again) in [("ada", "again=1"), ("bob", "again=1")] {
        let old = client.cookie("dw").unwrap();
        let page = client.get(&format!("/signin?{again}&rd={}", encoded(TARGET))).expect(200);
        tells_of_the_app(&page);
        assert_eq!(client.cookie("dw").as_ref(), Some(&old), "looking at the form ends nothing");
        client.form("/signin", &[("username", name), ("password", "wrong")]).expect(401);
        client.get("/account").expect(200);
        assert_eq!(location(type_password(&mut client, name, TARGET)), format!("{ORIGIN}{TARGET}"));
        let me = client.get_json("/api/v1/users/me").expect(200).json();
        assert_eq!(me["username"], name);
        let mut thief = server.client();
        thief.cookies.push(("dw".to_owned(), old));
        thief.get_json("/api/v1/users/me").expect(401);
    }
    for not_again in ["again=0", "again=", "again=true"] {
        client.get(&format!("/signin?{not_again}")).expect(303);
    }
}

/// INP-06: a link prefills the name, and nothing that deceives or does not fit.
#[test]
fn a_link_prefills_the_name() {
    let server = server();
    let hinted = |hint: &str| {
        let page = server.client().get(&format!("/signin?login_hint={}", encoded(hint))).expect(200);
        page.input("username").unwrap()
    };
    assert_eq!(hinted("ada@example.org"), "ada@example.org");
    let quoted = hinted("\"><script>alert(1)</script>");
    assert!(!quoted.contains('<') && quoted.contains("script"), "{quoted}");
    assert_eq!(hinted(&"a".repeat(256)), "a".repeat(256));
    for bad in [&"a".repeat(257), "a\nb", "a\0", "a\u{202e}b", "a\u{200b}"] {
        assert_eq!(hinted(bad), "", "{bad:?}");
    }
}

/// A long authorization request survives the way over the sign-in, also where every character of it is escaped.
#[test]
fn a_long_target_survives() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    for value in ["a".repeat(8000), "%2F".repeat(2600)] {
        let target = format!("/oauth2/authorize?client_id=grafana&x={value}");
        let mut ada = server.client();
        let page = ada.get(&format!("/signin?rd={}", encoded(&target))).expect(200);
        tells_of_the_app(&page);
        assert_eq!(location(type_password(&mut ada, "ada", &target)), format!("{ORIGIN}{target}"));
        assert_eq!(location(ada.get(&format!("/signin?rd={}", encoded(&target)))), target);
    }
}

/// The pages hold the ids that tests of other people's programs rely on.
#[test]
fn forms_and_buttons_have_stable_ids() {
    let server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut client = server.client();
    let has = |answer: &Answer, ids: &[&str]| {
        for id in ids {
            assert_eq!(answer.text().matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
    };
    has(&client.get("/signin").expect(200), &["sign-in", "sign-in-submit", "username", "password"]);
    type_password(&mut client, "ada", "/").expect(303);
    has(&client.get("/signin/second-factor").expect(200), &["second-factor", "second-factor-submit", "code"]);
    client.form("/signin/second-factor", &[("code", &authenticator.code())]).expect(303);
    let page = client.get("/signout").expect(200);
    has(&page, &["sign-out-confirm"]);
    let csrf = page.input("csrf").unwrap();
    let out = client.form("/signout", &[("csrf", &csrf), ("scope", "here")]).expect(200);
    assert!(out.text().contains("You are signed out"));
}

/// Without a room that knows destinations our own addresses are just pages.
#[test]
fn without_destinations_our_own_addresses_are_pages() {
    let server = Server::start();
    let page = server.client().get(&format!("/signin?rd={}", encoded(TARGET))).expect(200);
    assert!(!page.text().contains("continue-to"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("form-action 'self' http://localhost; base-uri")
    );
}
