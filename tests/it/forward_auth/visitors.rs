//! Where a visitor comes from, for rules by network (FWD-01, FWD-02): only ever what a trusted proxy says. Whoever asks
//! here is a proxy, so the other end of the connection is nobody's address.

use std::time::Duration;

use doorward::audit::{Filter, LARGEST_PAGE};

use super::*;
use crate::harness::PASSWORD;

/// Rules that look at the network, and beside them one that does not.
const BY_NETWORK: &[&str] = &[
    "bypass domain=open.home.example network=127.0.0.0/8,::1",
    "deny domain=closed.home.example network=203.0.113.0/24",
    "bypass domain=closed.home.example",
    "allow one_factor domain=photos.home.example network=127.0.0.0/8",
    "allow one_factor domain=dav.home.example network=127.0.0.0/8 programs=basic",
    "bypass domain=forms.home.example method=POST network=127.0.0.0/8",
    "bypass domain=forms.home.example path=^/a network=127.0.0.0/8",
    "allow one_factor domain=forms.home.example group=family network=127.0.0.0/8",
    "allow two_factor domain=forms.home.example",
    "allow one_factor domain=family.home.example",
];

fn start_by_network(is_trusted: bool) -> Server {
    let server = start_changed(|options| {
        if !is_trusted {
            options.site.trusted_proxies.clear();
        }
    });
    server.set_rules(BY_NETWORK);
    server
}

/// What a visitor may send along, or a proxy that is set up badly.
const FORGED: [(&str, &str); 6] = [
    ("Accept", "text/html"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Real-IP", "127.0.0.1"),
    ("Forwarded", "for=127.0.0.1"),
    ("CF-Connecting-IP", "127.0.0.1"),
];

#[track_caller]
fn expect_refused(answer: Answer) {
    let answer = answer.expect(403);
    assert_eq!(identity(&answer), NONE);
    assert_eq!(answer.header("location"), None);
}

/// A proxy on this machine that nobody trusts has the whole world behind it, and the world is not at 127.0.0.1.
#[test]
fn visitors_of_an_untrusted_proxy_on_this_machine_are_not_at_its_address() {
    let server = start_by_network(false);
    let ada = person(&server, "ada", &[], two_factors());
    for by in ALL {
        for (name, value) in FORGED {
            for host in ["open.home.example", "closed.home.example", "photos.home.example"] {
                let asked = visit("GET", host, "/").with(name, value);
                expect_refused(ask(&server, by, &asked));
                expect_refused(ask(&server, by, &asked.of(&ada)));
            }
        }
        // Rules that do not look at it decide as ever, also behind rules by network that surely are for others.
        let family = visit("GET", "family.home.example", "/");
        assert_eq!(ask(&server, by, &family).header("location").map(str::to_owned), Some(way_in(&family)));
        ask(&server, by, &family.of(&ada)).expect(200);
        ask(&server, by, &visit("GET", "forms.home.example", "/b").of(&ada)).expect(200);
        expect_refused(ask(&server, by, &visit("GET", "forms.home.example", "/a").of(&ada)));
    }
}

/// A trusted proxy that names nobody, or somebody who cannot be read, says nothing of its visitors either.
#[test]
fn visitors_whom_a_trusted_proxy_does_not_name_are_not_at_its_address() {
    let server = start_by_network(true);
    let ada = person(&server, "ada", &[], two_factors());
    let unreadable = ["unknown", "127.0.0.1, _hidden", "127.0.0.1,", "999.1.1.1"];
    for by in ALL {
        for host in ["open.home.example", "closed.home.example", "photos.home.example"] {
            let asked = visit("GET", host, "/");
            expect_refused(ask(&server, by, &asked));
            for value in unreadable {
                expect_refused(ask(&server, by, &asked.clone().with("X-Forwarded-For", value).of(&ada)));
            }
        }
    }
}

/// Whom it names is judged by that, wherever the proxy itself is.
#[test]
fn visitors_whom_a_trusted_proxy_names_are_judged_by_that() {
    let server = start_by_network(true);
    let ada = person(&server, "ada", &[], Factors::PASSWORD);
    for by in ALL {
        let from = |host, address| visit("GET", host, "/").with("X-Forwarded-For", address);
        ask(&server, by, &from("open.home.example", "127.0.0.1")).expect(200);
        ask(&server, by, &from("open.home.example", "127.0.0.1, 127.0.0.1")).expect(200);
        let outside = ask(&server, by, &from("open.home.example", "192.0.2.7"));
        assert_eq!(identity(&outside), NONE);
        assert_ne!(outside.status, 200);
        // What a visitor sends along stands further left, and is not read.
        let forged = ask(&server, by, &from("open.home.example", "127.0.0.1, 192.0.2.7"));
        assert_ne!(forged.status, 200);
        expect_refused(ask(&server, by, &from("closed.home.example", "203.0.113.9").of(&ada)));
        ask(&server, by, &from("closed.home.example", "192.0.2.7")).expect(200);
        ask(&server, by, &from("photos.home.example", "127.0.0.1").of(&ada)).expect(200);
        expect_refused(ask(&server, by, &from("photos.home.example", "192.0.2.7").of(&ada)));
    }
}

/// A password in `Authorization` is read only where a rule for the visitor's network says so.
#[test]
fn no_password_is_read_for_a_network_that_nobody_named() {
    let right = format!("Basic {}", data_encoding::BASE64.encode(format!("ada:{PASSWORD}").as_bytes()));
    for is_trusted in [false, true] {
        let server = start_by_network(is_trusted);
        server.add_user("ada", Role::Member, &[]);
        for by in ALL {
            let asked = visit("GET", "dav.home.example", "/").with("Authorization", &right);
            expect_refused(ask(&server, by, &asked));
            let named = ask(&server, by, &asked.with("X-Forwarded-For", "127.0.0.1"));
            assert_eq!(named.status, if is_trusted { 200 } else { 403 }, "{by:?}");
        }
    }
}

/// The page of apps shows what the gate would open.
#[test]
fn our_own_pages_know_no_more_of_a_visitor_than_the_gate() {
    for (is_trusted, forwarded, is_shown) in [
        (false, "127.0.0.1", false),
        (true, "", false),
        (true, "127.0.0.9", false),
        (true, "127.0.0.1", true),
    ] {
        let server = Server::start_with(|options| {
            if !is_trusted {
                options.site.trusted_proxies.clear();
            }
        });
        server.set_rules(&[
            "allow one_factor domain=photos.home.localhost network=127.0.0.1",
            "allow one_factor domain=family.home.localhost",
        ]);
        let id = server.add_user("ada", Role::Member, &[]);
        let mut ada = server.web_session_with(id, two_factors()).client(&server);
        if !forwarded.is_empty() {
            ada.headers.push(("X-Forwarded-For".to_owned(), forwarded.to_owned()));
        }
        let page = ada.get("/").expect(200).text();
        assert!(page.contains("family.home.localhost"));
        assert_eq!(page.contains("photos.home.localhost"), is_shown, "{is_trusted} {forwarded}");
    }
}

/// AUD-06: who asks chooses the host, so one cookie must not be able to fill the audit log by asking for ever new ones.
#[test]
fn one_person_cannot_fill_the_audit_log_with_refusals() {
    let server = start();
    let eve = person(&server, "eve", &[], Factors::PASSWORD);
    let denials = || {
        server.block_on(server.app().audit.flush()).unwrap();
        let filter = Filter { kind_prefix: Some("access.denied".to_owned()), ..Filter::default() };
        server.app().audit.part(&filter, None, LARGEST_PAGE).unwrap().rows
    };
    for number in 0..500 {
        let host = format!("host-{number}.home.example");
        ask(&server, By::ForwardAuth, &visit("GET", &host, "/").of(&eve)).expect(403);
    }
    assert_eq!(denials().len(), 30);
    // Somebody else is told of all the same, and the next event tells how many were left out.
    let olga = person(&server, "olga", &[], Factors::PASSWORD);
    ask(&server, By::ForwardAuth, &visit("GET", "family.home.example", "/").of(&olga)).expect(403);
    server.clock.advance(Duration::from_secs(61));
    ask(&server, By::ForwardAuth, &visit("GET", "host-7.home.example", "/").of(&eve)).expect(403);
    let denials = denials();
    assert_eq!(denials.len(), 32);
    let left_out = &denials[0].details.iter().find(|(key, _)| key == "left_out").unwrap().1;
    assert_eq!(left_out, "470");
}
