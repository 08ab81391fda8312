//! Where people are sent to sign in, and where they are sent back to: nowhere but Doorward and the protected apps
//! (WEB-11).

use super::*;
use crate::harness::PASSWORD;

/// Addresses that lead elsewhere, or that some parser takes for one that does.
pub(super) const ELSEWHERE: &[&str] = &[
    "https://evil.example/",
    "http://photos.home.example/",
    "https://home.example.evil.example/",
    "https://evilhome.example/",
    "https://photos.home.example.evil.example/",
    "https://photos.home.example@evil.example/",
    "https://user@photos.home.example/",
    "https://user:password@photos.home.example/",
    "https://photos.home.example:443@evil.example/",
    "https://evil.example\\.home.example/",
    "https://evil.example%2f.home.example/",
    "https://evil.example%00.home.example/",
    "https://photos.home.example%2eevil.example/",
    "https:\\\\evil.example/",
    "https:/\\evil.example/",
    "https:///evil.example/",
    "https:evil.example",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "/\t/evil.example/",
    "\t//evil.example/",
    "\\/evil.example/",
    "/..//evil.example/",
    "https://photos.home.example\t.evil.example/",
    "https://photos.home.example\r\nX: y/",
    " https://photos.home.example/",
    "https://photos.home.example /",
    "https://evil\u{3002}example/",
    "https://evil.example\u{2215}.home.example/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://2130706433/",
    "https://localhost/",
    "ftp://photos.home.example/",
    "wss://photos.home.example/",
    "javascript:alert(1)",
    "javascript://photos.home.example/%0aalert(1)",
    "data:text/html,x",
    "photos.home.example",
    "evil.example",
    "?https://photos.home.example/",
];

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn sign_in(server: &Server, name: &str) -> Client {
    let mut client = browser(server);
    let answer = client.form("/signin", &[("username", name), ("password", PASSWORD)]).expect(303);
    assert_eq!(answer.header("location"), Some("/"));
    client
}

/// An operator may name another address of the portal, below the domain of the app; nobody can name one elsewhere.
#[test]
fn a_proxy_may_name_another_address_of_the_portal() {
    let server = start();
    let denied = visit("GET", "photos.home.example", "/a?b");
    let rest = "?rd=https%3A%2F%2Fphotos.home.example%2Fa%3Fb&rm=GET";
    let ask_naming = |by: By, address: &str| -> Answer {
        match by {
            By::AuthRequest => {
                let path = format!("/api/authz/auth-request?authelia_url={}", encoded(address));
                ask_at(&server, by, &path, &denied)
            }
            By::ForwardAuth => {
                let path = format!("/api/authz/forward-auth?x=y&authelia_url={}", encoded(address));
                ask_at(&server, by, &path, &denied)
            }
            By::ExtAuthz => ask(&server, by, &denied.clone().with("X-Authelia-URL", address)),
            By::LegacyUrl => ask_at(&server, by, &format!("/api/verify?rd={}", encoded(address)), &denied),
            By::LegacyForwarded => {
                ask_at(&server, by, "/api/verify", &denied.clone().with("X-Authelia-URL", address))
            }
        }
    };
    for by in ALL {
        let status = if by == By::AuthRequest { 401 } else { 302 };
        for (address, base) in [
            (PORTAL, "https://auth.home.example/"),
            ("https://auth.home.example/", "https://auth.home.example/"),
            ("https://login.home.example", "https://login.home.example/"),
            ("https://Login.Home.Example:8443/authelia/", "https://login.home.example:8443/authelia/"),
            ("https://home.example/authelia?x=y#z", "https://home.example/authelia"),
        ] {
            let answer = ask_naming(by, address).expect(status);
            assert_eq!(answer.header("location"), Some(&*format!("{base}{rest}")), "{by:?} {address}");
        }
        for address in ELSEWHERE.iter().chain(&["/", "/signin"]) {
            let is_header = matches!(by, By::ExtAuthz | By::LegacyForwarded);
            // No such header reaches anybody.
            if is_header && (address.contains(['\r', '\n']) || address.trim() != *address) {
                continue;
            }
            let answer = ask_naming(by, address);
            let location = answer.header("location").map(str::to_owned);
            match by {
                // nginx can be told nothing; people are sent to the address that is known to be right.
                By::AuthRequest => {
                    assert_eq!((answer.status, location), (401, Some(way_in(&denied))), "{address}")
                }
                By::ForwardAuth | By::ExtAuthz => {
                    assert_eq!((answer.status, location), (400, None), "{by:?} {address}")
                }
                By::LegacyUrl | By::LegacyForwarded => {
                    assert_eq!((answer.status, location), (401, None), "{by:?} {address}");
                }
            }
        }
    }
    // Named twice: one of the two is not the operator's.
    let path =
        format!("/api/authz/forward-auth?authelia_url={PORTAL}&authelia_url=https://login.home.example");
    ask_at(&server, By::ForwardAuth, &path, &denied).expect(400);
    // The query behind the path is the app's, and names nothing.
    let answer = ask(
        &server,
        By::ExtAuthz,
        &visit("GET", "photos.home.example", "/?authelia_url=https://login.home.example"),
    );
    assert!(answer.header("location").unwrap().starts_with("https://auth.home.example/?rd="));
}

/// The way there and back: denied, signed in, back at the app with what it asked for.
#[test]
fn a_visitor_signs_in_and_comes_back() {
    let server = start();
    server.add_user("ada", Role::Member, &[]);
    for by in ALL {
        let denied = visit("GET", "photos.home.example", "/album?year=2026&x=/y");
        let answer = ask(&server, by, &denied);
        let way = answer.header("location").unwrap().strip_prefix(PORTAL).unwrap().to_owned();
        let mut ada = browser(&server);
        let sign_in = ada.get(&way).expect(303).header("location").unwrap().to_owned();
        let page = ada.get(&sign_in).expect(200);
        assert!(page.text().contains("photos.home.example"), "{}", page.text());
        let rd = page.input("rd").unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let fields = [("username", "ada"), ("password", PASSWORD), ("rd", &rd)];
        let back = ada.form("/signin", &fields).expect(303).header("location").unwrap().to_owned();
        assert_eq!(back, denied.url());
        let cookie = ada.cookie("__Secure-dw_fa").unwrap();
        assert_eq!(
            ask(&server, by, &denied.clone().of(&cookie)).expect(200).header("remote-user"),
            Some("ada")
        );
        // Whoever is signed in already goes straight back.
        let answer = ada.get(&way).expect(303);
        assert_eq!(answer.header("location"), Some(&*denied.url()));
    }
}

/// `rm` says what the person wanted to do: the level that the rules ask for that method is reached before they come back.
#[test]
fn the_portal_looks_again_at_what_the_method_needs() {
    let server = start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let session = server.web_session_with(ada, Factors::PASSWORD);
    let one = || {
        let mut client = browser(&server);
        client.cookies.push(("__Host-dw".to_owned(), session.cookie.clone()));
        client
    };
    let form = "https://forms.home.example/send";
    let there = |rm: &str| one().get(&format!("/?rd={}{rm}", encoded(form))).expect(303);
    for rm in ["", "&rm=GET", "&rm=", "&rm=get", "&rm=P%20Q"] {
        assert_eq!(there(rm).header("location"), Some(form), "{rm}");
    }
    for rm in ["&rm=POST", "&rm=DELETE", "&rm=HEAD"] {
        let location = there(rm).header("location").unwrap().to_owned();
        assert!(location.starts_with("/step-up?next="), "{rm}: {location}");
    }
    // Not signed in at all: the sign-in leads over the portal, which looks again.
    let mut bob = browser(&server);
    let way = format!("/?rd={}&rm=POST", encoded(form));
    let sign_in = bob.get(&way).expect(303).header("location").unwrap().to_owned();
    let page = bob.get(&sign_in).expect(200);
    assert!(page.text().contains("forms.home.example"), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("form-action 'self' https://auth.home.example https://forms.home.example;"),
        "{policy}"
    );
    server.add_user("bob", Role::Member, &[]);
    let rd = page.input("rd").unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let fields = [("username", "bob"), ("password", PASSWORD), ("rd", &rd)];
    let onward = bob.form("/signin", &fields).expect(303).header("location").unwrap().to_owned();
    assert_eq!(onward, format!("{PORTAL}{way}"));
    let page = bob.get(&way).expect(403).text();
    assert!(page.contains("/account/totp"), "he has no second factor: {page}");
    // With the factor proven the way is free.
    let mut client = one();
    let step = there("&rm=POST").header("location").unwrap().to_owned();
    let page = client.get(&step).expect(200);
    let (csrf, next) = (
        page.input("csrf").unwrap(),
        page.input("next").unwrap().replace("&#38;", "&").replace("&amp;", "&"),
    );
    let code = authenticator.next_code();
    let fields = [("csrf", &*csrf), ("next", &next), ("password", PASSWORD), ("code", &code)];
    let onward = client.form("/step-up", &fields).expect(303).header("location").unwrap().to_owned();
    assert_eq!(client.get(&onward).expect(303).header("location"), Some(form));
    let cookie = client.cookie("__Secure-dw_fa").unwrap();
    for by in ALL {
        ask(&server, by, &visit("POST", "forms.home.example", "/send").of(&cookie)).expect(200);
    }
}

/// WEB-11: no page, no sign-in and no sign-out leads to an address elsewhere.
#[test]
fn nobody_is_sent_elsewhere() {
    let server = start();
    server.add_user("ada", Role::Member, &[]);
    let is_ours = |location: &str| {
        let inside = location.starts_with('/') && !location.starts_with("//") && !location.contains('\\');
        inside || location == "https://auth.home.example/"
    };
    for address in ELSEWHERE {
        let rd = encoded(address);
        let mut ada = sign_in(&server, "ada");
        for path in [format!("/?rd={rd}"), format!("/?rd={rd}&rm=POST"), format!("/signin?rd={rd}")] {
            for client in [&mut ada, &mut browser(&server)] {
                let answer = client.get(&path);
                assert!(matches!(answer.status, 200 | 303), "{path}: {}", answer.status);
                assert!(
                    answer.header("location").is_none_or(is_ours),
                    "{path}: {:?}",
                    answer.header("location")
                );
            }
        }
        let fields = [("username", "ada"), ("password", PASSWORD), ("rd", *address)];
        // A form with control characters is refused as a whole.
        let answer = browser(&server).form("/signin", &fields);
        assert!(matches!(answer.status, 303 | 400 | 422), "{address:?}: {}", answer.text());
        assert!(
            answer.header("location").is_none_or(is_ours),
            "{address:?}: {:?}",
            answer.header("location")
        );
        // Signing out: the question, its answer, and the page for those who are signed out already.
        let page = ada.get(&format!("/logout?rd={rd}")).expect(200);
        let csrf = page.input("csrf").unwrap();
        let request = page.input("request").unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let fields = [("confirmed", "yes"), ("csrf", &*csrf), ("request", &*request)];
        let answer = ada.form("/logout", &fields).expect(200);
        assert_eq!(answer.header("location"), None, "{address:?}");
        let answer = ada.get(&format!("/logout?rd={rd}")).expect(200);
        assert_eq!(answer.header("location"), None, "{address:?}");
    }
}

/// `/logout?rd=` asks, signs out, and leads to an app of ours.
#[test]
fn a_sign_out_leads_back_to_an_app() {
    let server = start();
    server.add_user("ada", Role::Member, &[]);
    let app = "https://photos.home.example/bye?x=y";
    let path = format!("/logout?rd={}", encoded(app));
    let mut ada = sign_in(&server, "ada");
    let page = ada.get(&path).expect(200);
    assert!(page.header("content-security-policy").unwrap().contains("https://photos.home.example"));
    ada.get("/account").expect(200);
    let csrf = page.input("csrf").unwrap();
    let request = page.input("request").unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let answer =
        ada.form("/logout", &[("confirmed", "yes"), ("csrf", &*csrf), ("request", &*request)]).expect(303);
    assert_eq!(answer.header("location"), Some(app));
    assert!(ada.cookie("__Host-dw").is_none() && ada.cookie("__Secure-dw_fa").is_none());
    ada.get("/account").expect(303);
    // Nothing is left to ask.
    assert_eq!(ada.get(&path).expect(303).header("location"), Some(app));
    let twice = format!("{path}&rd={}", encoded("https://bank.home.example/"));
    assert_eq!(ada.get(&twice).expect(200).header("location"), None);
}
