//! Every line of the contract: what is read, what is refused, and what the answers hold. The table of answers over real
//! HTTP is in `tests/it/forward_auth`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};

use super::answer::{self, expects_page};
use super::check::check_with;
use super::identity::identity_headers;
use super::inquiry::{Inquiry, Question, Refusal, parse_url, read};
use super::notes::Complaints;
use super::{Dialect, Endpoint};
use crate::access::Access;
use crate::access::tests::{fixed, user, with_rules, with_rules_at};
use crate::http::address::Client;
use crate::http::{Reply, Request, RequestHeaders};
use crate::kernel::ids::{RequestId, SessionId};
use crate::kernel::time::Timestamp;
use crate::sessions::cookies::Cookie;
use crate::sessions::{Factors, Principal, Scope, SessionKind};
use crate::site::Fixed;

fn headers(lines: &[(&str, &str)]) -> RequestHeaders {
    lines.iter().copied().collect()
}

fn add(headers: &mut RequestHeaders, name: &str, value: &str) {
    *headers = headers.iter().chain([(name, value.as_bytes())]).collect();
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
const EXT_AUTHZ: &[(&str, &str)] =
    &[("x-forwarded-proto", "https"), ("host", "photos.home.example"), ("accept", "text/html")];
const LEGACY: &[(&str, &str)] =
    &[("x-original-url", "https://photos.home.example/a?b"), ("accept", "text/html")];

fn lines(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::AuthRequest => AUTH_REQUEST,
        Dialect::ForwardAuth => FORWARD_AUTH,
        Dialect::ExtAuthz => EXT_AUTHZ,
        Dialect::Legacy => LEGACY,
    }
}

fn target(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::AuthRequest => "/api/authz/auth-request",
        Dialect::ForwardAuth => "/api/authz/forward-auth",
        Dialect::ExtAuthz => "/api/authz/ext-authz//a?b",
        Dialect::Legacy => "/api/verify",
    }
}

const BOTH: [Dialect; 2] = [Dialect::AuthRequest, Dialect::ForwardAuth];
const ALL: [Dialect; 4] = [Dialect::AuthRequest, Dialect::ForwardAuth, Dialect::ExtAuthz, Dialect::Legacy];

fn parse(dialect: Dialect, headers: &RequestHeaders) -> Result<Inquiry<'_>, Refusal> {
    read(dialect, Question { headers, method: "GET", target: target(dialect) })
}

fn parse_auth_request(headers: &RequestHeaders) -> Result<Inquiry<'_>, Refusal> {
    parse(Dialect::AuthRequest, headers)
}

fn parse_forward_auth(headers: &RequestHeaders) -> Result<Inquiry<'_>, Refusal> {
    parse(Dialect::ForwardAuth, headers)
}

/// Replaces one header; an empty value removes it.
fn but(dialect: Dialect, name: &str, value: &str) -> RequestHeaders {
    let others = lines(dialect).iter().copied().filter(|(other, _)| *other != name);
    others.chain([(name, value)].into_iter().filter(|(_, value)| !value.is_empty())).collect()
}

fn request(dialect: Dialect, headers: RequestHeaders, peer: &str) -> Request {
    let peer: IpAddr = peer.parse().unwrap();
    Request {
        method: Method::GET,
        uri: target(dialect).parse().unwrap(),
        headers,
        body: Bytes::new(),
        client: Client {
            ip: peer,
            forwarded: None,
            peer,
            is_trusted_peer: false,
            is_https: false,
            host: None,
        },
        id: RequestId([0; 16]),
        now: Timestamp::from_secs(1_800_000_000),
        params: Vec::new(),
    }
}

/// Asks at the endpoint of a dialect; `identify` knows people by the value of the cookie.
fn decide(
    access: &Access,
    request: &Request,
    dialect: Dialect,
    identify: impl FnOnce(&str) -> Option<Principal>,
) -> Reply {
    let by_cookie = |_: Scope<'_>| {
        let cookie = Cookie::ForwardAuth.read(&access.shared.site, request).ok().flatten()?;
        identify(cookie)
    };
    check_with(access, None, request, Endpoint::new(dialect), by_cookie).expect("nothing to wait for")
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
    reply.header(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
}

fn has_identity(reply: &Reply) -> bool {
    ["remote-user", "remote-groups", "remote-name", "remote-email"]
        .iter()
        .any(|name| reply.header(name).is_some())
}

#[test]
fn all_dialects_read_the_same_request() {
    for dialect in ALL {
        let map = headers(lines(dialect));
        let inquiry = parse(dialect, &map).unwrap();
        assert_eq!(inquiry.host, "photos.home.example");
        assert_eq!(inquiry.path.as_deref(), Ok("/a"));
        // The lines of the old endpoint do not say it, and the proxy asks by GET.
        let method = Some("GET").filter(|_| dialect != Dialect::Legacy);
        assert_eq!((inquiry.method, expects_page(&map)), (method, true));
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
        let map = headers(&[
            ("x-forwarded-proto", scheme),
            ("x-forwarded-host", authority),
            ("x-forwarded-uri", "/a?b"),
            ("x-forwarded-method", "GET"),
        ]);
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
        (Dialect::ForwardAuth, "x-forwarded-proto", &["ftp", "HTTPS", "https,http", "https:"]),
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
            let reply = decide(&access, &request(dialect, map, "127.0.0.1"), dialect, |_| None);
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
            add(&mut map, name, value);
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
            add(&mut map, name, "evil.home.example");
            add(&mut map, name, "evil");
        }
        add(&mut map, "x-forwarded-server", "evil.home.example");
        add(&mut map, "x_original_url", "https://evil.home.example/");
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
    for dialect in ALL {
        let ask = |peer: &str, is_trusted_peer: bool| {
            let mut request = request(dialect, headers(lines(dialect)), peer);
            request.client.is_trusted_peer = is_trusted_peer;
            decide(&access, &request, dialect, |_| None)
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
            let reply =
                decide(&access, &request(dialect, but(dialect, name, &value), "127.0.0.1"), dialect, |_| {
                    None
                });
            assert_eq!(reply.status, if is_known { 200 } else { refused }, "{host}");
        }
    }
    let access =
        with_rules_at(Fixed { protected_domain: None, ..fixed() }, "bypass domain=*.home.example").await;
    for dialect in BOTH {
        let reply =
            decide(&access, &request(dialect, headers(lines(dialect)), "127.0.0.1"), dialect, |_| None);
        assert_ne!(reply.status, 200, "forward-auth is switched off");
    }
}

#[tokio::test]
async fn plain_http_is_refused_except_in_a_lab_and_below_localhost() {
    let ask = async |fixed: Fixed, url: &str| {
        let access = with_rules_at(fixed, "bypass domain=*.home.example,*.home.localhost").await;
        let map = but(Dialect::AuthRequest, "x-original-url", url);
        let request = request(Dialect::AuthRequest, map, "127.0.0.1");
        decide(&access, &request, Dialect::AuthRequest, |_| None).status.as_u16()
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
    let ada = user("ada", &["family", "admins"]);
    let reply = answer::allowed(Arc::new(identity_headers(Some(&ada))));
    assert_eq!(reply.status, 200);
    assert_eq!(header_of(&reply, "remote-user"), Some("ada"));
    assert_eq!(header_of(&reply, "remote-groups"), Some("family,admins"));
    assert_eq!(header_of(&reply, "remote-name"), Some("Ada Lovelace"));
    assert_eq!(header_of(&reply, "remote-email"), Some("ada@example.org"));
    assert!(reply.body.is_empty());
    let mut other = (*ada).clone();
    other.display_name = crate::kernel::text::DisplayName::parse("Zoë 李").unwrap();
    other.email = None;
    other.groups = std::sync::Arc::default();
    let reply = answer::allowed(Arc::new(identity_headers(Some(&other))));
    assert_eq!(header_of(&reply, "remote-name"), Some("Zoë 李"));
    assert_eq!(header_of(&reply, "remote-groups"), Some(""));
    assert_eq!(header_of(&reply, "remote-email"), Some(""));
}

/// FWD-08: an anonymous 200 carries the four headers, empty; a denial carries none.
#[test]
fn the_identity_headers_are_never_missing_from_a_200() {
    let reply = answer::allowed(Arc::new(identity_headers(None)));
    for name in ["remote-user", "remote-groups", "remote-name", "remote-email"] {
        assert_eq!(header_of(&reply, name), Some(""), "{name}");
    }
    let map = headers(AUTH_REQUEST);
    let inquiry = parse_auth_request(&map).unwrap();
    for dialect in ALL {
        for portal in [Some("https://auth.home.example/"), None] {
            assert!(!has_identity(&answer::to_sign_in(dialect, &inquiry, &map, portal)));
        }
    }
    assert!(
        !has_identity(&answer::forbidden(crate::words::Words::ENGLISH))
            && !has_identity(&answer::challenge())
    );
}

/// What counts as a browser that wants a page, and which status leads it to the sign-in.
#[test]
fn a_redirect_is_for_those_who_want_a_page() {
    const HTML: &[(&str, &str)] = &[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    const ANY: &[(&str, &str)] = &[("accept", "*/*")];
    const LATE_ANY: &[(&str, &str)] = &[("accept", "application/json, text/plain, */*")];
    const LATE_HTML: &[(&str, &str)] = &[("accept", "application/xhtml+xml, text/html;q=0.9")];
    const JSON: &[(&str, &str)] = &[("accept", "application/json")];
    const XHR: &[(&str, &str)] = &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")];
    for (extra, method, status) in [
        (HTML, "GET", 302),
        (HTML, "HEAD", 302),
        (HTML, "OPTIONS", 302),
        (HTML, "POST", 303),
        (HTML, "PROPFIND", 303),
        (ANY, "GET", 302),
        (ANY, "POST", 303),
        (LATE_HTML, "GET", 302),
        (LATE_ANY, "GET", 401),
        (JSON, "GET", 401),
        (JSON, "POST", 401),
        (XHR, "GET", 401),
        (XHR, "POST", 401),
        (&[], "GET", 401),
    ] {
        let map = headers(extra);
        let inquiry = parse_url("https://photos.home.example/a?b", method).unwrap();
        for dialect in ALL {
            let reply = answer::to_sign_in(dialect, &inquiry, &map, Some("https://auth.home.example/"));
            let status = if dialect == Dialect::AuthRequest { 401 } else { status };
            assert_eq!(reply.status, status, "{dialect:?} {method} {extra:?}");
            let location = format!(
                "https://auth.home.example/?rd=https%3A%2F%2Fphotos.home.example%2Fa%3Fb&rm={method}"
            );
            assert_eq!(header_of(&reply, "location"), Some(&*location));
            assert!(!reply.headers.contains_key(header::WWW_AUTHENTICATE));
        }
    }
}

#[test]
fn a_return_address_cannot_break_out_of_its_parameter() {
    let url = "https://photos.home.example/a&rm=X#'\"<script>%0d%0a?x=1&y=ä+b";
    let map = but(Dialect::AuthRequest, "x-original-url", url);
    let inquiry = parse_auth_request(&map).unwrap();
    let portal = Some("https://auth.home.example/");
    let reply = answer::to_sign_in(Dialect::AuthRequest, &inquiry, &map, portal);
    let location = header_of(&reply, "location").unwrap();
    let query = location.strip_prefix("https://auth.home.example/?").unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs, [("rd".to_owned(), url.to_owned()), ("rm".to_owned(), "GET".to_owned())]);
    assert!(!std::str::from_utf8(&reply.body).unwrap().contains("<script>"));
}

/// What lies behind our own path is the app's, whichever way the proxy joins the two.
#[test]
fn the_path_of_an_app_stands_behind_our_own() {
    let map = headers(EXT_AUTHZ);
    for (target, url) in [
        ("/api/authz/ext-authz", Ok("https://photos.home.example/")),
        ("/api/authz/ext-authz/", Ok("https://photos.home.example/")),
        ("/api/authz/ext-authz//", Ok("https://photos.home.example/")),
        ("/api/authz/ext-authz?a=b", Ok("https://photos.home.example/?a=b")),
        ("/api/authz/ext-authz/?a=b", Ok("https://photos.home.example/?a=b")),
        ("/api/authz/ext-authz/a/b?c=/d?e", Ok("https://photos.home.example/a/b?c=/d?e")),
        ("/api/authz/ext-authz//a/b?c", Ok("https://photos.home.example/a/b?c")),
        (
            "/api/authz/ext-authz//api/authz/ext-authz/x",
            Ok("https://photos.home.example/api/authz/ext-authz/x"),
        ),
        ("/api/authz/ext-authzx", Err(Refusal::Invalid("path"))),
        ("/api/authz/ext%2Dauthz/x", Err(Refusal::Invalid("path"))),
        ("/elsewhere", Err(Refusal::Invalid("path"))),
    ] {
        let question = Question { headers: &map, method: "PROPFIND", target };
        let found = read(Dialect::ExtAuthz, question).map(|inquiry| inquiry.url());
        assert_eq!(found, url.map(str::to_owned), "{target}");
    }
    for (raw, path) in [
        ("/api/authz/ext-authz//public/../admin?x", Some("/admin")),
        ("/api/authz/ext-authz///admin", Some("/admin")),
        ("/api/authz/ext-authz/../../admin", Some("/admin")),
        ("/api/authz/ext-authz/%61dmin", Some("/admin")),
        ("/api/authz/ext-authz/a%2fb", None),
        ("/api/authz/ext-authz/a;b", None),
    ] {
        let question = Question { headers: &map, method: "GET", target: raw };
        let inquiry = read(Dialect::ExtAuthz, question).unwrap();
        assert_eq!(inquiry.path.as_deref().ok(), path, "{raw}");
    }
    for method in ["get", "", "A-B", "X1"] {
        let question = Question { headers: &map, method, target: target(Dialect::ExtAuthz) };
        assert_eq!(read(Dialect::ExtAuthz, question), Err(Refusal::Invalid("method")), "{method}");
    }
}

/// The old endpoint takes `X-Original-URL` before `X-Forwarded-*`. Either may be the client's own, so two that
/// contradict each other are refused.
#[test]
fn the_old_endpoint_reads_either_family_and_refuses_a_contradiction() {
    let ask = |lines: &[(&str, &str)], method: &str| {
        let map = headers(lines);
        let question = Question { headers: &map, method, target: "/api/verify" };
        read(Dialect::Legacy, question)
            .map(|inquiry| format!("{} {}", inquiry.method.unwrap_or("?"), inquiry.url()))
    };
    const URL: (&str, &str) = ("x-original-url", "https://photos.home.example/a?b");
    const PROTO: (&str, &str) = ("x-forwarded-proto", "https");
    const HOST: (&str, &str) = ("x-forwarded-host", "photos.home.example");
    const URI: (&str, &str) = ("x-forwarded-uri", "/a?b");
    const POST: (&str, &str) = ("x-forwarded-method", "POST");
    let url = "https://photos.home.example/a?b";
    // A question by GET says nothing of the method that it is about.
    assert_eq!(ask(&[URL], "GET"), Ok(format!("? {url}")));
    assert_eq!(ask(&[URL], "HEAD"), Ok(format!("? {url}")));
    assert_eq!(ask(&[URL], "POST"), Ok(format!("POST {url}")));
    assert_eq!(ask(&[URL, POST], "GET"), Ok(format!("POST {url}")));
    assert_eq!(ask(&[PROTO, HOST, URI], "DELETE"), Ok(format!("DELETE {url}")));
    assert_eq!(ask(&[URL, PROTO, HOST, URI, POST], "GET"), Ok(format!("POST {url}")));
    assert_eq!(ask(&[URL, ("x-forwarded-host", "PHOTOS.home.example.:443")], "GET"), Ok(format!("? {url}")));
    assert_eq!(ask(&[URL, ("x-forwarded-proto", "http")], "GET"), Ok(format!("? {url}")));
    for (extra, refusal) in [
        (("x-forwarded-host", "public.home.example"), Refusal::Contradicts("x-forwarded-host")),
        (("x-forwarded-host", "[::1]"), Refusal::Contradicts("x-forwarded-host")),
        (("x-forwarded-uri", "/public/"), Refusal::Contradicts("x-forwarded-uri")),
        (("x-forwarded-host", "a.home.example, b.home.example"), Refusal::Doubled("x-forwarded-host")),
        (("x-forwarded-method", "post"), Refusal::Invalid("x-forwarded-method")),
        (("x-original-url", "https://evil.home.example/"), Refusal::Doubled("x-original-url")),
    ] {
        assert_eq!(ask(&[URL, extra], "GET"), Err(refusal), "{extra:?}");
    }
    assert_eq!(ask(&[PROTO, URI], "GET"), Err(Refusal::Missing("x-forwarded-host")));
    assert_eq!(ask(&[PROTO, HOST], "GET"), Err(Refusal::Missing("x-forwarded-uri")));
    assert_eq!(ask(&[], "GET"), Err(Refusal::Missing("x-forwarded-host")));
}

/// Without a word of the scheme it is the one that we are asked by ourselves, which is plain.
#[test]
fn a_missing_scheme_is_plain_http() {
    for dialect in [Dialect::ForwardAuth, Dialect::ExtAuthz] {
        let map = but(dialect, "x-forwarded-proto", "");
        assert!(!parse(dialect, &map).unwrap().is_secure);
    }
}

/// Which status says that a question was no good: nginx knows three, the old endpoint is asked by nginx too.
#[test]
fn refusals_have_the_status_of_their_dialect() {
    for (dialect, is_plain, missing, unknown) in [
        (Dialect::AuthRequest, true, 401, 403),
        (Dialect::AuthRequest, false, 400, 400),
        (Dialect::ForwardAuth, true, 400, 400),
        (Dialect::ExtAuthz, true, 400, 400),
        (Dialect::Legacy, true, 401, 401),
    ] {
        let status = |refusal: Refusal| refusal.status(dialect, is_plain);
        assert_eq!(status(Refusal::Missing("x")), missing, "{dialect:?}");
        assert_eq!(status(Refusal::ForeignPortal), missing, "{dialect:?}");
        assert_eq!(status(Refusal::UnknownHost), unknown, "{dialect:?}");
        assert_eq!(status(Refusal::UntrustedPeer), StatusCode::FORBIDDEN, "{dialect:?}");
    }
}

/// GEN-01, SES-11: only the forward-auth cookie counts, and only one of it; `Authorization` is the app's own.
#[tokio::test]
async fn the_caller_is_who_the_one_cookie_says() {
    let access = with_rules(
        "allow one_factor domain=photos.home.example group=family\nallow two_factor domain=bank.home.example",
    )
    .await;
    let identify = |value: &str| match value {
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
            add(&mut map, name, value);
        }
        let reply =
            decide(&access, &request(Dialect::AuthRequest, map, "127.0.0.1"), Dialect::AuthRequest, identify);
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
