//! Every line of the contract: what is read, what is refused, and every cell of the table of answers.

use std::net::IpAddr;

use super::super::tests::{fixed, user, with_rules, with_rules_at};
use super::*;
use crate::http::address::Client;
use crate::kernel::ids::{RequestId, SessionId};
use crate::sessions::{Factors, Level, Principal, SessionKind};
use crate::site::Fixed;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

const AUTH_REQUEST: &[(&str, &str)] = &[
    ("x-original-url", "https://photos.home.example/a?b"),
    ("x-original-method", "GET"),
    ("accept", "text/html"),
];
const FORWARD_AUTH: &[(&str, &str)] = &[
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "photos.home.example"),
    ("x-forwarded-uri", "/a?b"),
    ("x-forwarded-method", "GET"),
    ("accept", "text/html"),
];

fn lines(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::AuthRequest => AUTH_REQUEST,
        Dialect::ForwardAuth => FORWARD_AUTH,
    }
}

const BOTH: [Dialect; 2] = [Dialect::AuthRequest, Dialect::ForwardAuth];

fn parse(dialect: Dialect, headers: &HeaderMap) -> Result<Inquiry<'_>, Refusal> {
    match dialect {
        Dialect::AuthRequest => parse_auth_request(headers),
        Dialect::ForwardAuth => parse_forward_auth(headers),
    }
}

/// Replaces one header; an empty value removes it.
fn but(dialect: Dialect, name: &str, value: &str) -> HeaderMap {
    let mut map = headers(lines(dialect));
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    map.remove(&name);
    if !value.is_empty() {
        map.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn request(headers: HeaderMap, peer: &str) -> Request {
    let peer: IpAddr = peer.parse().unwrap();
    Request {
        method: Method::GET,
        uri: "/api/authz/x".parse().unwrap(),
        headers,
        body: Bytes::new(),
        client: Client { ip: peer, peer, is_trusted_peer: false, is_https: false, host: None },
        id: RequestId([0; 16]),
        now: Timestamp::from_secs(1_800_000_000),
        params: Vec::new(),
    }
}

fn principal(name: &str, groups: &[&str], factors: Factors) -> Principal {
    Principal {
        user: user(name, groups),
        session: SessionId([1; 16]),
        sid: SessionId([1; 16]),
        kind: SessionKind::Web,
        factors,
        authenticated_at: Timestamp::from_secs(1_800_000_000),
    }
}

fn header_of<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
}

fn has_identity(reply: &Reply) -> bool {
    ["remote-user", "remote-groups", "remote-name", "remote-email"]
        .iter()
        .any(|name| reply.headers.contains_key(*name))
}

#[test]
fn both_dialects_read_the_same_request() {
    for dialect in BOTH {
        let map = headers(lines(dialect));
        let inquiry = parse(dialect, &map).unwrap();
        assert_eq!(inquiry.host, "photos.home.example");
        assert_eq!(inquiry.path.as_deref(), Ok("/a"));
        assert_eq!((inquiry.method, expects_page(&map)), ("GET", true));
        assert_eq!(inquiry.url(), "https://photos.home.example/a?b");
    }
}

#[test]
fn hosts_and_default_ports_have_one_form() {
    for (authority, scheme, url) in [
        ("Photos.HOME.example.", "https", "https://photos.home.example/a?b"),
        ("photos.home.example:443", "https", "https://photos.home.example/a?b"),
        ("photos.home.example:8443", "https", "https://photos.home.example:8443/a?b"),
        ("photos.home.example:80", "http", "http://photos.home.example/a?b"),
        ("photos.home.example:443", "http", "http://photos.home.example:443/a?b"),
        ("photos.home.example", "wss", "https://photos.home.example/a?b"),
    ] {
        let map = but(Dialect::AuthRequest, "x-original-url", &format!("{scheme}://{authority}/a?b"));
        let inquiry = parse_auth_request(&map).unwrap();
        assert_eq!((&*inquiry.host, inquiry.url()), ("photos.home.example", url.to_owned()));
        let mut map = but(Dialect::ForwardAuth, "x-forwarded-host", authority);
        map.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
        assert_eq!(parse_forward_auth(&map).unwrap().url(), url);
    }
}

/// FWD-05: what is missing or not understood is refused by every dialect, and never answered with 200.
#[tokio::test]
async fn missing_and_invalid_headers_are_refused() {
    let access = with_rules("bypass domain=*.home.example").await;
    let long = "A".repeat(21);
    for (dialect, name, values) in [
        (
            Dialect::AuthRequest,
            "x-original-url",
            &[
                "",
                "/a",
                "photos.home.example/a",
                "//photos.home.example/",
                "https://",
                "https:///a",
                "https://photos.home.example",
                "https://photos.home.example?x",
                "ftp://photos.home.example/",
                "HTTPS://photos.home.example/",
                "https://u:p@photos.home.example/",
                "https://u@photos.home.example/",
                "https://photos.home.example:/",
                "https://photos.home.example:99999/",
                "https://photos.home.example:1:2/",
                "https://[::1]/",
                "https://a b/",
                "https://photos.home.example/a b",
                "https://photos home.example/",
                "https://photos%2ehome.example/",
                "https://photos..home.example/",
                "https://photos.home.example\\x/",
                "https:/photos.home.example/",
                "https://photos.home.example#/",
                "https://phötos.home.example/",
            ][..],
        ),
        (Dialect::AuthRequest, "x-original-method", &["", "get", "GE T", "GET1", "GET,POST", &long]),
        (Dialect::ForwardAuth, "x-forwarded-proto", &["", "ftp", "HTTPS", "https,http", "https:"]),
        (
            Dialect::ForwardAuth,
            "x-forwarded-host",
            &[
                "",
                "a/b",
                "u@photos.home.example",
                "photos.home.example,b.home.example",
                "[::1]",
                "a:b",
                "https://photos.home.example",
            ],
        ),
        (
            Dialect::ForwardAuth,
            "x-forwarded-uri",
            &["", "a", "*", "https://photos.home.example/", "/a b", "?a"],
        ),
        (Dialect::ForwardAuth, "x-forwarded-method", &["", "get", "G\tT", &long]),
    ] {
        for value in values {
            let map = but(dialect, name, value);
            assert!(parse(dialect, &map).is_err(), "{name}: {value}");
            let reply = decide(&access, &request(map, "127.0.0.1"), dialect, |_| None).unwrap();
            let expected = if dialect == Dialect::AuthRequest { 401 } else { 400 };
            assert_eq!(reply.status, expected, "{name}: {value}");
            assert!(!has_identity(&reply));
        }
    }
}

/// FWD-04: a header that came twice, or that holds two values, is refused.
#[test]
fn doubled_headers_are_refused() {
    for dialect in BOTH {
        for (name, value) in lines(dialect) {
            if *name == "accept" {
                continue;
            }
            let mut map = headers(lines(dialect));
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
            assert!(matches!(parse(dialect, &map), Err(Refusal::Doubled(_))), "{name}");
            for joined in [format!("{value}, {value}"), format!("{value},{value}")] {
                // After a query, a comma is part of it.
                if joined.contains('?') && !joined.contains(", ") {
                    continue;
                }
                assert!(
                    matches!(parse(dialect, &but(dialect, name, &joined)), Err(Refusal::Doubled(_))),
                    "{name}: {joined}"
                );
            }
        }
    }
    for (dialect, name, value) in [
        (Dialect::AuthRequest, "x-original-url", "https://a.home.example/x,https://b.home.example/y"),
        (Dialect::ForwardAuth, "x-forwarded-uri", "/public/x,/admin"),
    ] {
        assert!(matches!(parse(dialect, &but(dialect, name, value)), Err(Refusal::Doubled(_))), "{value}");
    }
    let map = but(Dialect::AuthRequest, "x-original-url", "https://photos.home.example/a,b?c=d,e");
    assert_eq!(parse_auth_request(&map).unwrap().path.as_deref(), Ok("/a,b"));
}

/// FWD-04: a dialect does not see the headers of the other one, whatever they hold.
#[test]
fn each_dialect_ignores_the_headers_of_the_other() {
    for (dialect, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let mut map = headers(lines(dialect));
        for (name, _) in lines(other).iter().filter(|(name, _)| *name != "accept") {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name.clone(), HeaderValue::from_static("evil.home.example"));
            map.append(name, HeaderValue::from_static("evil"));
        }
        map.append("x-forwarded-server", HeaderValue::from_static("evil.home.example"));
        map.append("x_original_url", HeaderValue::from_static("https://evil.home.example/"));
        assert_eq!(parse(dialect, &map).unwrap().url(), "https://photos.home.example/a?b");
        let foreign = headers(lines(other));
        assert!(matches!(parse(dialect, &foreign), Err(Refusal::Missing(_))));
    }
}

/// FWD-06: rules see the canonical path; what has none is known to be ambiguous.
#[test]
fn paths_are_canonical_or_ambiguous() {
    for (raw, path) in [
        ("/public/../admin?x=/../y", Some("/admin")),
        ("//admin", Some("/admin")),
        ("/%61dmin", Some("/admin")),
        ("/a%2fb", None),
        ("/a;b", None),
        ("/a%252e", None),
        ("/a#b", None),
        ("/a\\b", None),
        ("/ä", Some("/ä")),
    ] {
        let url = format!("https://photos.home.example{raw}");
        let map = but(Dialect::AuthRequest, "x-original-url", &url);
        assert_eq!(parse_auth_request(&map).unwrap().path.as_deref().ok(), path, "{raw}");
        let map = but(Dialect::ForwardAuth, "x-forwarded-uri", raw);
        assert_eq!(parse_forward_auth(&map).unwrap().path.as_deref().ok(), path, "{raw}");
    }
}

/// FWD-03: strangers are not answered, and the log tells what to do; this machine and trusted proxies are.
#[tokio::test]
async fn only_trusted_peers_are_answered() {
    let access = with_rules("bypass domain=*.home.example").await;
    for dialect in BOTH {
        let ask = |peer: &str, is_trusted_peer: bool| {
            let mut request = request(headers(lines(dialect)), peer);
            request.client.is_trusted_peer = is_trusted_peer;
            decide(&access, &request, dialect, |_| None).unwrap()
        };
        for (peer, is_trusted, status) in [
            ("192.0.2.1", false, 403),
            ("192.0.2.1", true, 200),
            ("127.0.0.1", false, 200),
            ("::1", false, 200),
        ] {
            let reply = ask(peer, is_trusted);
            assert_eq!(reply.status, status, "{peer} {is_trusted}");
            assert_eq!(has_identity(&reply), status == 200);
        }
    }
    assert!(Refusal::UntrustedPeer.to_string().contains("server.trusted_proxies"));
}

#[tokio::test]
async fn hosts_outside_the_protected_domain_and_the_portal_are_refused() {
    let access = with_rules("bypass domain=*.home.example,home.example,*.other.example,*.evil").await;
    for (host, is_known) in [
        ("photos.home.example", true),
        ("home.example", true),
        ("a.b.home.example:8443", true),
        ("auth.home.example", false),
        ("AUTH.home.example.", false),
        ("auth.home.example:8443", false),
        ("photos.other.example", false),
        ("home.example.evil", false),
        ("192.168.1.5", false),
    ] {
        for (dialect, name, value, refused) in [
            (Dialect::AuthRequest, "x-original-url", format!("https://{host}/"), 403),
            (Dialect::ForwardAuth, "x-forwarded-host", host.to_owned(), 400),
        ] {
            let reply = decide(&access, &request(but(dialect, name, &value), "127.0.0.1"), dialect, |_| None)
                .unwrap();
            assert_eq!(reply.status, if is_known { 200 } else { refused }, "{host}");
        }
    }
    let access =
        with_rules_at(Fixed { protected_domain: None, ..fixed() }, "bypass domain=*.home.example").await;
    for dialect in BOTH {
        let reply =
            decide(&access, &request(headers(lines(dialect)), "127.0.0.1"), dialect, |_| None).unwrap();
        assert_ne!(reply.status, 200, "forward-auth is switched off");
    }
}

#[tokio::test]
async fn plain_http_is_refused_except_in_a_lab_and_below_localhost() {
    let ask = async |fixed: Fixed, url: &str| {
        let access = with_rules_at(fixed, "bypass domain=*.home.example,*.home.localhost").await;
        let map = but(Dialect::AuthRequest, "x-original-url", url);
        decide(&access, &request(map, "127.0.0.1"), Dialect::AuthRequest, |_| None).unwrap().status.as_u16()
    };
    assert_eq!(ask(fixed(), "http://photos.home.example/").await, 403);
    let lab = Fixed { insecure_http: true, ..fixed() };
    assert_eq!(ask(lab, "http://photos.home.example/").await, 200);
    let local = Fixed {
        public_origin: Some("http://auth.home.localhost:8080".into()),
        protected_domain: Some("home.localhost".into()),
        ..fixed()
    };
    assert_eq!(ask(local.clone(), "http://photos.home.localhost:8080/").await, 200);
    assert_eq!(ask(local, "http://auth.home.localhost:8080/").await, 403);
}

#[test]
fn allowed_callers_are_named_by_four_headers() {
    let map = headers(AUTH_REQUEST);
    let inquiry = parse_auth_request(&map).unwrap();
    let ada = user("ada", &["family", "admins"]);
    for dialect in BOTH {
        let reply = answer(dialect, &inquiry, &map, Outcome::Allow, Some(&ada), "https://auth.home.example");
        assert_eq!(reply.status, 200);
        assert_eq!(header_of(&reply, "remote-user"), Some("ada"));
        assert_eq!(header_of(&reply, "remote-groups"), Some("family,admins"));
        assert_eq!(header_of(&reply, "remote-name"), Some("Ada Lovelace"));
        assert_eq!(header_of(&reply, "remote-email"), Some("ada@example.org"));
        assert!(reply.body.is_empty());
    }
    let mut other = (*ada).clone();
    other.display_name = crate::kernel::text::DisplayName::parse("Zoë 李").unwrap();
    other.email = None;
    other.groups = Box::new([]);
    let reply = answer(Dialect::ForwardAuth, &inquiry, &map, Outcome::Allow, Some(&other), "");
    assert_eq!(header_of(&reply, "remote-name"), Some("Zoë 李"));
    assert_eq!(header_of(&reply, "remote-groups"), Some(""));
    assert_eq!(header_of(&reply, "remote-email"), Some(""));
}

/// FWD-08: an anonymous 200 carries the four headers, empty; a denial carries none.
#[test]
fn the_identity_headers_are_never_missing_from_a_200() {
    let map = headers(AUTH_REQUEST);
    let inquiry = parse_auth_request(&map).unwrap();
    let ada = user("ada", &[]);
    for dialect in BOTH {
        let reply = answer(dialect, &inquiry, &map, Outcome::Allow, None, "https://auth.home.example");
        for name in ["remote-user", "remote-groups", "remote-name", "remote-email"] {
            assert_eq!(header_of(&reply, name), Some(""), "{name}");
        }
        for outcome in [Outcome::Forbidden, Outcome::NeedSignIn { level: Level::OneFactor }] {
            assert!(!has_identity(&answer(
                dialect,
                &inquiry,
                &map,
                outcome,
                Some(&ada),
                "https://auth.home.example"
            )));
        }
    }
}

/// Every cell of the table of answers.
#[test]
fn every_kind_of_request_gets_its_answer() {
    const HTML: &[(&str, &str)] = &[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    const ANY: &[(&str, &str)] = &[("accept", "*/*")];
    const LATE_ANY: &[(&str, &str)] = &[("accept", "application/json, text/plain, */*")];
    const LATE_HTML: &[(&str, &str)] = &[("accept", "application/xhtml+xml, text/html;q=0.9")];
    const JSON: &[(&str, &str)] = &[("accept", "application/json")];
    const XHR: &[(&str, &str)] = &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")];
    let sign_in = Outcome::NeedSignIn { level: Level::OneFactor };
    for (extra, method, outcome, forward, request) in [
        (HTML, "GET", Outcome::Allow, 200, 200),
        (JSON, "POST", Outcome::Allow, 200, 200),
        (XHR, "GET", Outcome::Allow, 200, 200),
        (HTML, "GET", Outcome::Forbidden, 403, 403),
        (JSON, "POST", Outcome::Forbidden, 403, 403),
        (XHR, "GET", Outcome::Forbidden, 403, 403),
        (HTML, "GET", sign_in, 302, 401),
        (HTML, "HEAD", sign_in, 302, 401),
        (HTML, "OPTIONS", sign_in, 302, 401),
        (HTML, "POST", sign_in, 303, 401),
        (HTML, "PUT", sign_in, 303, 401),
        (HTML, "DELETE", sign_in, 303, 401),
        (HTML, "PROPFIND", sign_in, 303, 401),
        (ANY, "GET", sign_in, 302, 401),
        (ANY, "POST", sign_in, 303, 401),
        (LATE_HTML, "GET", sign_in, 302, 401),
        (LATE_ANY, "GET", sign_in, 401, 401),
        (JSON, "GET", sign_in, 401, 401),
        (JSON, "POST", sign_in, 401, 401),
        (XHR, "GET", sign_in, 401, 401),
        (XHR, "POST", sign_in, 401, 401),
        (&[], "GET", sign_in, 401, 401),
    ] {
        for (dialect, status) in [(Dialect::ForwardAuth, forward), (Dialect::AuthRequest, request)] {
            let mut map = headers(lines(dialect));
            map.remove(header::ACCEPT);
            map.extend(headers(extra));
            let name = if dialect == Dialect::AuthRequest { &X_ORIGINAL_METHOD } else { &X_FORWARDED_METHOD };
            map.insert(name, HeaderValue::from_static(method));
            let inquiry = parse(dialect, &map).unwrap();
            let reply = answer(dialect, &inquiry, &map, outcome, None, "https://auth.home.example");
            assert_eq!(reply.status, status, "{dialect:?} {method} {extra:?} {outcome:?}");
            let location = format!(
                "https://auth.home.example/?rd=https%3A%2F%2Fphotos.home.example%2Fa%3Fb&rm={method}"
            );
            let expected = (outcome == sign_in).then_some(location.as_str());
            assert_eq!(header_of(&reply, "location"), expected);
            assert!(!reply.headers.contains_key(header::WWW_AUTHENTICATE));
        }
    }
}

#[test]
fn a_return_address_cannot_break_out_of_its_parameter() {
    let url = "https://photos.home.example/a&rm=X#'\"<script>%0d%0a?x=1&y=ä+b";
    let map = but(Dialect::AuthRequest, "x-original-url", url);
    let inquiry = parse_auth_request(&map).unwrap();
    let reply = answer(
        Dialect::AuthRequest,
        &inquiry,
        &map,
        Outcome::NeedSignIn { level: Level::OneFactor },
        None,
        "https://auth.home.example",
    );
    let location = header_of(&reply, "location").unwrap();
    let query = location.strip_prefix("https://auth.home.example/?").unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs, [("rd".to_owned(), url.to_owned()), ("rm".to_owned(), "GET".to_owned())]);
    assert!(!std::str::from_utf8(&reply.body).unwrap().contains("<script>"));
}

/// GEN-01, SES-11: only the forward-auth cookie counts, and only one of it; `Authorization` is the app's own.
#[tokio::test]
async fn the_caller_is_who_the_one_cookie_says() {
    let access = with_rules(
        "allow one_factor domain=photos.home.example group=family\nallow two_factor domain=bank.home.example",
    )
    .await;
    let known = |cookie: &str| match cookie {
        "ada-one" => Some(principal("ada", &["family"], Factors::PASSWORD)),
        "ada-two" => Some(principal("ada", &["family"], Factors::PASSWORD.with(Factors::TOTP))),
        "eve-two" => Some(principal("eve", &[], Factors::PASSWORD.with(Factors::TOTP))),
        _ => None,
    };
    for (host, extra, status) in [
        ("photos", &[("cookie", "__Secure-dw_fa=ada-one")][..], 200),
        ("photos", &[("cookie", "a=b; __Secure-dw_fa=ada-two; c=d")], 200),
        ("photos", &[("cookie", "__Secure-dw_fa=ada-one"), ("authorization", "Token abc")], 200),
        ("photos", &[("cookie", "__Secure-dw_fa=ada-one"), ("authorization", "Bearer x.y.z")], 200),
        ("photos", &[("authorization", "Basic YWRhOngK")], 401),
        ("photos", &[], 401),
        ("photos", &[("cookie", "__Secure-dw_fa=unknown")], 401),
        ("photos", &[("cookie", "__Host-dw=ada-one")], 401),
        ("photos", &[("cookie", "dw_fa=ada-one")], 401),
        ("photos", &[("cookie", "__Secure-dw_fa=ada-one; __Secure-dw_fa=ada-one")], 401),
        ("photos", &[("cookie", "__Secure-dw_fa=ada-one"), ("cookie", "__Secure-dw_fa=eve-two")], 401),
        ("photos", &[("cookie", "__Secure-dw_fa=eve-two")], 403),
        ("bank", &[("cookie", "__Secure-dw_fa=ada-one")], 401),
        ("bank", &[("cookie", "__Secure-dw_fa=ada-two")], 200),
        ("bank", &[("cookie", "__Secure-dw_fa=eve-two")], 200),
    ] {
        let mut map = but(Dialect::AuthRequest, "x-original-url", &format!("https://{host}.home.example/"));
        for (name, value) in extra {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        let request = request(map, "127.0.0.1");
        let identify = |_: &str| request.cookie("__Secure-dw_fa").ok().flatten().and_then(known);
        let reply = decide(&access, &request, Dialect::AuthRequest, identify).unwrap();
        assert_eq!(reply.status, status, "{host} {extra:?}");
        assert!(!reply.headers.contains_key(header::SET_COOKIE), "the session slides on the server alone");
    }
}

#[test]
fn complaints_are_logged_once_a_minute_for_each_kind() {
    let complaints = Complaints::default();
    let at = |secs: u64| Timestamp::from_secs(1_800_000_000 + secs);
    assert!(complaints.is_due(Refusal::UntrustedPeer, at(0)));
    assert!(!complaints.is_due(Refusal::UntrustedPeer, at(59)));
    assert!(complaints.is_due(Refusal::Missing("x"), at(59)));
    assert!(complaints.is_due(Refusal::UntrustedPeer, at(60)));
    assert!(complaints.is_due(Refusal::UntrustedPeer, at(10)), "the clock was set back");
}
