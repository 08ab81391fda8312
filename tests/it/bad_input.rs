//! Input that nobody sends by accident, to every route: never a 500, never a permit, and always an answer in the form
//! that the route promises (GEN-05, INP-02 to INP-05, WEB-05).

use std::time::Duration;

use doorward::access::{Dialect, Endpoint};
use doorward::accounts::records::Role;
use doorward::routes::{Action, Face, Method2, ROUTES, Route};
use serde_json::json;

use crate::callers::{WebSession, content_type, needs_admin, path_of, takes_json};
use crate::harness::{Answer, Client, ORIGIN, Server, exchange, lift_limits};
use crate::my_account::events;

fn server() -> Server {
    let server = Server::start_with(lift_limits);
    server.add_bare_user("keeper", Role::Admin);
    server
}

/// Checks that an answer is a refusal in the right form.
#[track_caller]
fn refused(what: &str, route: &Route, is_page: bool, answer: &Answer) {
    let name = format!("{what}: {} {}", route.method.as_str(), route.path);
    assert!((400..500).contains(&answer.status), "{name} answers {}: {}", answer.status, answer.text());
    well_formed(&name, shown_as(route, is_page), answer);
}

/// Returns the face that a refusal shows to somebody who asks for a page, or for data.
fn shown_as(route: &Route, is_page: bool) -> Face {
    match route.face {
        Face::Page if !is_page => Face::Api,
        face => face,
    }
}

#[track_caller]
fn well_formed(name: &str, face: Face, answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    if face == Face::OAuth {
        assert_eq!(kind, "application/json", "{name} {}", answer.text());
        let error = answer.json();
        for field in ["error", "error_description"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {field}");
        }
    } else if face == Face::Page {
        assert_eq!(kind, "text/html; charset=utf-8", "{name}");
        assert!(
            answer.text().contains("<!doctype html>") || answer.text().contains("<!DOCTYPE html>"),
            "{name}"
        );
    } else {
        assert_eq!(kind, "application/problem+json", "{name} {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status, "{name}");
        for field in ["code", "detail", "title"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {field}");
        }
        // What the parser of heads refuses never became a request, so it has no id.
        let needs_id = !matches!(
            problem["code"].as_str(),
            Some("malformed_request" | "uri_too_long" | "headers_too_large")
        );
        assert!(!needs_id || problem["request_id"].as_str().is_some_and(|id| id.len() == 22), "{name}");
    }
}

fn writes() -> impl Iterator<Item = &'static Route> {
    // Proxies send the body of somebody else's request along, and nobody reads it.
    ROUTES.iter().filter(|route| route.method != Method2::Get && !matches!(route.action, Action::Proxy(_)))
}

/// A request of an administrator's browser that only its body can spoil.
fn send(
    server: &Server,
    session: &WebSession,
    route: &Route,
    kind: &str,
    body: &[u8],
    accept: &str,
) -> Answer {
    let headers = [
        ("Content-Type", kind),
        ("Accept", accept),
        ("Origin", ORIGIN),
        ("Sec-Fetch-Site", "same-origin"),
        ("X-CSRF-Token", &session.csrf),
    ];
    let mut client = server.client();
    client.cookies.push(("dw".to_owned(), session.cookie.clone()));
    client.send(route.method.as_str(), &path_of(route), &headers, body)
}

/// Bodies that are no sound JSON at all.
fn broken_json() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    vec![
        ("nothing", Vec::new()),
        ("a space", b" ".to_vec()),
        ("half an object", b"{".to_vec()),
        ("half a text", b"{\"username\":\"a".to_vec()),
        ("trailing garbage", b"{} x".to_vec()),
        ("two documents", b"{}{}".to_vec()),
        ("a NUL behind", b"{}\0".to_vec()),
        ("a trailing comma", b"{\"username\":\"a\",}".to_vec()),
        ("single quotes", b"{'username':'a'}".to_vec()),
        ("a comment", b"{}//".to_vec()),
        ("a BOM", b"\xef\xbb\xbf{}".to_vec()),
        ("UTF-16", b"{\0}\0".to_vec()),
        ("bytes that are not UTF-8", b"{\"username\":\"\xff\xfe\"}".to_vec()),
        ("half a surrogate", b"{\"username\":\"\\ud800\"}".to_vec()),
        ("a control character", b"{\"username\":\"a\nb\"}".to_vec()),
        ("a key twice", b"{\"username\":\"a\",\"username\":\"b\"}".to_vec()),
        ("a key twice, escaped", b"{\"username\":\"a\",\"user\\u006eame\":\"b\"}".to_vec()),
        ("a deep key twice", b"{\"x\":[{\"y\":1,\"y\":2}]}".to_vec()),
        ("deep lists", nested("[", "]", 17)),
        ("very deep lists", nested("[", "]", 4000)),
        ("deep objects", nested("{\"x\":", "}", 17)),
        ("a number without end", b"{\"x\":1e999}".to_vec()),
        ("NaN", b"{\"x\":NaN}".to_vec()),
        ("a form", b"username=a&password=b".to_vec()),
        (
            "XML",
            b"<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]><x>&y;</x>"
                .to_vec(),
        ),
    ]
}

/// INP-05: no JSON route takes a body with two readings, and none trips over one.
#[test]
fn broken_json_is_refused_everywhere() {
    let server = server();
    let admin = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(admin);
    for route in writes().filter(|route| route.face == Face::Api) {
        let takes_body = takes_a_body(&server, route);
        for (what, body) in broken_json() {
            if !takes_body && session_of(&server, &session).is_none() {
                break;
            }
            let session = server.web_session(admin);
            let answer = send(&server, &session, route, "application/json", &body, "application/json");
            if takes_body {
                refused(what, route, false, &answer);
            } else {
                assert!(answer.status < 500, "{what}: {} {}", route.path, answer.text());
            }
        }
    }
}

fn session_of<'a>(server: &Server, session: &'a WebSession) -> Option<&'a WebSession> {
    server.app().sessions.owner(&session.id).map(|_| session)
}

/// Tells whether a route reads its body: it refuses one of the wrong type.
fn takes_a_body(server: &Server, route: &Route) -> bool {
    server.clock.advance(std::time::Duration::from_millis(1));
    let admin =
        server.add_bare_user(&format!("probe-{}", server.app().accounts.directory().len()), Role::Admin);
    let session = server.web_session(admin);
    let answer = send(server, &session, route, "text/plain", b"x", "application/json");
    assert!(answer.status < 500, "{} {}", route.path, answer.text());
    answer.status == 415
}

/// INP-05, ADM-02: documents of the wrong shape are refused by every route that reads one.
#[test]
fn documents_of_the_wrong_shape_are_refused_everywhere() {
    let server = server();
    let admin = server.add_bare_user("ada", Role::Admin);
    for route in writes().filter(|route| route.face == Face::Api) {
        if !takes_a_body(&server, route) {
            continue;
        }
        let session = server.web_session(admin);
        for (what, body) in [
            ("null", json!(null)),
            ("a list", json!([])),
            ("a list of objects", json!([{}])),
            ("text", json!("x")),
            ("a number", json!(1)),
            ("true", json!(true)),
            ("an unknown key", json!({"is_admin": true})),
            ("a prototype", json!({"__proto__": {"role": "admin"}})),
            ("an empty key", json!({"": ""})),
        ] {
            let body = serde_json::to_vec(&body).unwrap();
            let answer = send(&server, &session, route, "application/json", &body, "application/json");
            refused(what, route, false, &answer);
        }
        // Every field that the route knows, with a value of every wrong type.
        for field in [
            "username",
            "password",
            "otp",
            "code",
            "token",
            "refresh_token",
            "pending_token",
            "display_name",
            "email",
            "role",
            "groups",
            "rules",
            "name",
            "current_password",
            "new_password",
        ] {
            for value in [
                json!(null),
                json!(1),
                json!(-1.5),
                json!(true),
                json!([1]),
                json!({"a": 1}),
                json!(u64::MAX),
                json!("x".repeat(10_000)),
                json!("\u{0}"),
                json!("\u{202e}\u{200b}"),
            ] {
                let body = serde_json::to_vec(&json!({ field: value })).unwrap();
                let answer = send(&server, &session, route, "application/json", &body, "application/json");
                let is_taken = answer.status < 300 && field != "token";
                assert!(answer.status < 500, "{field} {value}: {} {}", route.path, answer.text());
                // `null` stands for an absent field where it may be absent.
                assert!(
                    !is_taken || value.is_null() || value == "\u{202e}\u{200b}",
                    "{} takes {field} {value}",
                    route.path
                );
            }
        }
    }
}

/// WEB-05, INP-02: only the one content type, without compression, of at most 16 KiB.
#[test]
fn bodies_of_the_wrong_kind_are_refused_everywhere() {
    let server = server();
    let admin = server.add_bare_user("ada", Role::Admin);
    for route in writes() {
        let session = server.web_session(admin);
        let name = format!("{} {}", route.method.as_str(), route.path);
        if route.is_upload {
            // Who may not upload is told so before anything is read (RES-04).
            let answer = send(&server, &session, route, "multipart/form-data; boundary=x", &[b' '; 64], "");
            assert_eq!(answer.status, 404, "{name} {}", answer.text());
            continue;
        }
        for accept in ["application/json", "text/html"] {
            let is_page = accept == "text/html";
            let large = vec![b' '; route.body + 1];
            let answer = send(&server, &session, route, content_type(route), &large, accept);
            assert_eq!(answer.status, 413, "{name} {}", answer.text());
            refused("too large", route, is_page, &answer);
            let mut client = session.client(&server).with_header("Content-Encoding", "gzip");
            let answer =
                client.send(route.method.as_str(), &path_of(route), &[("Accept", accept)], b"\x1f\x8b\x08");
            assert_eq!(answer.status, 415, "{name}");
            refused("compressed", route, is_page, &answer);
        }
        if takes_a_body(&server, route) {
            for kind in [
                "",
                "text/plain",
                "multipart/form-data; boundary=x",
                "application/json; charset=utf-16",
                "application/jsonx",
                "application/json, text/plain",
                "application/x-www-form-urlencoded; charset=latin1",
            ] {
                let answer = send(&server, &session, route, kind, b"{}", "application/json");
                assert_eq!(answer.status, 415, "{name} as {kind}: {}", answer.text());
            }
        }
    }
}

/// RES-04: who may not send a large body is told so before any of it is read, so strangers hold no place where large ones
/// are read.
#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn large_bodies_of_strangers_are_not_waited_for() {
    let server = server();
    let mia = server.add_bare_user("mia", Role::Member);
    let member = server.web_session(mia);
    let large = |route: &&Route| route.body > 64 * 1024 && !route.is_upload;
    assert!(ROUTES.iter().filter(large).count() > 3);
    for route in ROUTES.iter().filter(large) {
        assert!(needs_admin(route), "strangers may not send so much: {}", route.path);
        let head = |more: &str| {
            format!(
                "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{more}\r\n",
                route.method.as_str(),
                path_of(route),
                route.body
            )
        };
        let cookie = format!("Cookie: dw={}\r\n", member.cookie);
        let own = format!("{cookie}Origin: {ORIGIN}\r\nX-CSRF-Token: {}\r\n", member.csrf);
        let begun = std::time::Instant::now();
        let stranger = exchange(server.address, head("").as_bytes());
        assert_eq!((stranger.status, stranger.code().as_str()), (401, "not_signed_in"), "{}", route.path);
        let forged = exchange(server.address, head("Authorization: Bearer a.b.c\r\n").as_bytes());
        assert_eq!((forged.status, forged.code().as_str()), (401, "token_malformed"), "{}", route.path);
        let member = exchange(server.address, head(&own).as_bytes());
        assert_eq!((member.status, member.code().as_str()), (403, "not_allowed"), "{}", route.path);
        for answer in [stranger, forged, member] {
            assert_eq!(answer.header("connection"), Some("close"));
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "{}: {:?}", route.path, begun.elapsed());
    }
    assert!(events(&server, "admin.refused", "mia") > 0);
}

/// RES-04: nor do the places of what strangers may send, such as forms, keep an administrator from a long list of rules.
#[test]
fn strangers_with_long_forms_keep_nobody_from_sending_a_large_body() {
    let server = server();
    let ada = server.add_bare_user("ada", Role::Admin);
    let head = "POST /signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 32000\r\n\r\nusername=";
    let held: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(server.address).unwrap();
            std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let rules = format!("{{\"rules\": [], \"padding\": \"{}\"}}", "x".repeat(40_000));
    let mut ada = server.client().with_bearer(&server.access_token(ada));
    let answer =
        ada.send("PUT", "/api/v1/admin/rules", &[("Content-Type", "application/json")], rules.as_bytes());
    assert_eq!(answer.expect(400).code(), "unknown_field", "it was read");
    drop(held);
}

/// INP-05: forms with two readings are refused by every page that reads one.
#[test]
fn broken_forms_are_refused_everywhere() {
    let server = server();
    let admin = server.add_bare_user("ada", Role::Admin);
    let many: Vec<String> = (0..65).map(|number| format!("f{number}=1")).collect();
    for route in writes().filter(|route| route.face == Face::Page) {
        let takes_body = takes_a_body(&server, route);
        for (what, body) in [
            ("a field twice", b"password=a&password=b".to_vec()),
            ("a field twice, escaped", b"password=a&p%61ssword=b".to_vec()),
            ("bytes that are not UTF-8", b"username=%ff%fe".to_vec()),
            ("raw bytes", b"username=\xff".to_vec()),
            ("a bad name", b"%ff=x".to_vec()),
            ("too many fields", many.join("&").into_bytes()),
        ] {
            let session = server.web_session(admin);
            let answer = send(&server, &session, route, content_type(route), &body, "text/html");
            assert!(answer.status < 500, "{what}: {} {}", route.path, answer.text());
            // Pages of a sign-in that nobody has begun lead to its start before they read anything.
            let is_start = answer.header("location") == Some("/signin");
            if takes_body && !is_start {
                refused(what, route, true, &answer);
            }
        }
        for body in [
            "%",
            "a=%",
            "a=%2",
            "a=%zz",
            "=",
            "&&&",
            "a",
            "=a",
            "+",
            "a=b=c",
            "csrf=x&csrf",
            "username=%00&password=%00",
        ] {
            let session = server.web_session(admin);
            let answer = send(&server, &session, route, content_type(route), body.as_bytes(), "text/html");
            assert!(answer.status < 500, "{body}: {} {}", route.path, answer.text());
        }
    }
}

/// GEN-05: credentials that cannot be read are nobody's, on every route that asks for some.
#[test]
fn broken_credentials_open_nothing() {
    let server = server();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    let good = session.cookie.as_str();
    let access = server.access_token(ada);
    let cookies = [
        String::new(),
        "x".to_owned(),
        good[1..].to_owned(),
        format!("{good}A"),
        good.to_uppercase(),
        format!("{good}="),
        format!("\"{good}\""),
        format!("{good}%20"),
        format!("{good} x"),
        "A".repeat(64),
        "-".repeat(64),
        "!".repeat(64),
        "é".repeat(32),
        "A".repeat(4000),
        format!("{}{}", &good[..22], "A".repeat(42)),
        format!("{good},{good}"),
        "null".to_owned(),
        "[object Object]".to_owned(),
        "../../etc/passwd".to_owned(),
        access.clone(),
    ];
    let authorizations = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "bearer".to_owned(),
        format!("Bearer{access}"),
        format!("Token {access}"),
        format!("Basic {access}"),
        "Basic YWRhOnBhc3N3b3Jk".to_owned(),
        format!("Bearer {access}x"),
        format!("Bearer {access}, Bearer {access}"),
        format!("Bearer \"{access}\""),
        format!("Bearer token={access}"),
        format!("Negotiate {access}"),
        format!("Bearer {good}"),
        "Bearer null".to_owned(),
        "Bearer undefined".to_owned(),
        "Bearer é".to_owned(),
        format!("Bearer {}", "A".repeat(9000)),
        access.clone(),
    ];
    for route in ROUTES.iter().filter(|route| crate::callers::needs_sign_in(route)) {
        let name = format!("{} {}", route.method.as_str(), route.path);
        let ask = |client: &mut Client| {
            let headers =
                [("Accept", "application/json"), ("Origin", ORIGIN), ("Content-Type", content_type(route))];
            let has_body = takes_json(route) && route.method != Method2::Get;
            let body: &[u8] = if has_body { b"{}" } else { b"" };
            client.send(route.method.as_str(), &path_of(route), &headers, body)
        };
        let is_refused = |answer: &Answer| {
            matches!(answer.status, 400 | 401 | 403)
                || (answer.status == 303
                    && answer.header("location").is_some_and(|to| to.starts_with("/signin?rd=")))
        };
        for cookie in &cookies {
            let mut client = server.client().with_header("X-CSRF-Token", &session.csrf);
            client.cookies.push(("dw".to_owned(), cookie.clone()));
            let answer = ask(&mut client);
            // A space ends a value that is good up to there only if the parser cuts it; ours refuses the whole.
            assert!(is_refused(&answer), "{name} cookie {cookie:?}: {} {}", answer.status, answer.text());
        }
        for value in &authorizations {
            let answer = ask(&mut server.client().with_header("Authorization", value));
            assert!(is_refused(&answer), "{name} {value:?}: {} {}", answer.status, answer.text());
        }
        let mut twice = server.client().with_bearer(&access);
        twice.headers.push(("Authorization".to_owned(), format!("Bearer {access}")));
        assert!(is_refused(&ask(&mut twice)), "{name}: two Authorization headers");
        // Where people put tokens by mistake, or attackers hope that we look.
        for path in ["?access_token=", "?token=", "?jwt=", "?dw="] {
            let path = format!("{}{path}{access}", path_of(route));
            let answer =
                server.client().send(route.method.as_str(), &path, &[("Accept", "application/json")], b"");
            assert!(is_refused(&answer) || answer.status == 415, "{name} {path}: {}", answer.status);
        }
    }
}

/// GEN-05, FWD-05, FWD-06: a reverse proxy that asks nonsense is never told yes.
#[test]
fn nonsense_from_a_proxy_is_never_a_permit() {
    let server = server();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    server.set_rules(&[
        "deny domain=app.home.localhost path=^/admin",
        "allow one_factor domain=app.home.localhost",
    ]);
    let ask = |route: &Route, headers: &[(&str, &str)]| {
        let mut client = server.client();
        client.cookies.push(("dw_fa".to_owned(), session.app_cookie.clone()));
        client.send("GET", route.path, headers, b"").status
    };
    let long = format!("https://app.home.localhost/{}", "a".repeat(7000));
    // The other two dialects have the same nonsense in `forward_auth`: one asks by its path, one does with less.
    let by_headers = [Endpoint::new(Dialect::AuthRequest), Endpoint::new(Dialect::ForwardAuth)];
    let is_by_headers =
        |route: &&Route| matches!(route.action, Action::Proxy(endpoint) if by_headers.contains(&endpoint));
    for route in ROUTES.iter().filter(is_by_headers) {
        let is_nginx = route.path.ends_with("auth-request");
        for url in [
            "",
            "app.home.localhost/",
            "//app.home.localhost/",
            "https://",
            "https:///x",
            "https://app.home.localhost",
            "https://app.home.localhost@evil.example/",
            "https://user@app.home.localhost/",
            "https://app.home.localhost:x/",
            "https://app.home.localhost:99999/",
            "https://app.home.localhost%2f/",
            "https://app.home.localhost,evil.example/",
            "https://app.home.localhost/admin",
            "https://app.home.localhost//admin",
            "https://app.home.localhost/./admin",
            "https://app.home.localhost/x/../admin",
            "https://app.home.localhost/%61dmin",
            "https://app.home.localhost/x/%2e%2e/admin",
            "https://app.home.localhost/x%2f..%2fadmin",
            "https://app.home.localhost/%2561dmin",
            "https://app.home.localhost/admin%00",
            "https://app.home.localhost/x\\..\\admin",
            "https://app.home.localhost/;/admin",
            "https://evil.example/",
            "https://localhost/",
            "https://home.localhost.evil.example/",
            "ftp://app.home.localhost/",
            "javascript:alert(1)",
            "https://app.home.localhost/ x",
            "https://[::1]/",
        ] {
            let Some((scheme, rest)) = url.split_once("://").or(is_nginx.then_some(("", url))) else {
                continue;
            };
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let headers: Vec<(&str, &str)> = if is_nginx {
                vec![("X-Original-URL", url), ("X-Original-Method", "GET")]
            } else {
                vec![
                    ("X-Forwarded-Proto", scheme),
                    ("X-Forwarded-Host", host),
                    ("X-Forwarded-Uri", path),
                    ("X-Forwarded-Method", "GET"),
                ]
            };
            let status = ask(route, &headers);
            assert!((300..500).contains(&status), "{} {url:?}: {status}", route.path);
        }
        let good: Vec<(&str, &str)> = if is_nginx {
            vec![("X-Original-URL", "https://app.home.localhost/"), ("X-Original-Method", "GET")]
        } else {
            vec![
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.home.localhost"),
                ("X-Forwarded-Uri", "/"),
                ("X-Forwarded-Method", "GET"),
            ]
        };
        assert_eq!(ask(route, &good), 200, "the control");
        for (index, (name, value)) in good.iter().enumerate() {
            let mut without = good.clone();
            without.remove(index);
            // Without a word of the scheme it is plain HTTP, which an app below localhost may be reached by.
            if *name != "X-Forwarded-Proto" {
                assert!((300..500).contains(&ask(route, &without)), "{} without {name}", route.path);
            }
            let mut twice = good.clone();
            twice.push((name, value));
            assert!((300..500).contains(&ask(route, &twice)), "{} with {name} twice", route.path);
            for bad in ["", " ", ",", "\u{e9}", "x y", &long] {
                let mut broken = good.clone();
                broken[index].1 = bad;
                // A long path is a path; everything else is nonsense.
                let is_path = bad == long && matches!(*name, "X-Original-URL" | "X-Forwarded-Uri");
                assert!(
                    is_path || (300..500).contains(&ask(route, &broken)),
                    "{} {name}: {bad:.20}",
                    route.path
                );
            }
        }
        // OPTIONS, a health check's name and the like open nothing (FWD-07).
        for (name, value) in [
            ("User-Agent", "kube-probe/1.0"),
            ("X-Original-Method", "OPTIONS"),
            ("X-Forwarded-Method", "OPTIONS"),
        ] {
            let mut headers = good.clone();
            headers.retain(|(own, _)| *own != name);
            headers.push((name, value));
            let status = server.client().send("GET", route.path, &headers, b"").status;
            assert!((300..500).contains(&status), "{} {name}: {value} {status}", route.path);
        }
    }
}

/// WEB-13, INP-04: other spellings of a path, a query or a method reach no other route and break nothing.
#[test]
fn odd_paths_methods_and_queries_break_nothing() {
    let server = server();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    for route in ROUTES {
        let path = path_of(route);
        let is_root = path == "/";
        for odd in [
            format!("/{path}"),
            format!("{path}/"),
            format!("{path}//"),
            format!("/.{path}"),
            format!("/x/..{path}"),
            format!("/%2e{path}"),
            path.replacen('/', "/%2f", 1),
            path.to_uppercase(),
            format!("{path}%00"),
            format!("{path}%20"),
            format!("{path};x=y"),
            format!("{path}.json"),
        ] {
            if is_root && (odd == "/" || odd == "//") {
                continue;
            }
            let answer = server.client().send("GET", &odd, &[("Accept", "application/json")], b"");
            let is_link = route.path.contains('{');
            let is_refused = (400..500).contains(&answer.status);
            // A `{name}` takes any segment; whether it names something is the handler's business.
            assert!(
                is_refused || is_link || odd.to_lowercase() == path || answer.status == 303,
                "{odd}: {}",
                answer.status
            );
            assert!(answer.status < 500, "{odd}: {}", answer.text());
        }
        for query in [
            "?",
            "?&&&",
            "?=",
            "?%",
            "?%ff=%ff",
            "?rd",
            "?rd=%00",
            "?rd=%ff",
            "?cursor=%ff&limit=-1",
            "?limit=99999999999999999999",
            "?limit=0",
            "?before=x",
            "?from=x&to=y&kind=%27",
            "?q=%E2%80%AE",
            "?page=0&page=1",
        ] {
            if route.method != Method2::Get || matches!(route.action, Action::Proxy(_)) {
                continue;
            }
            for accept in ["application/json", "text/html"] {
                let mut client = session.client(&server);
                let answer = client.send("GET", &format!("{path}{query}"), &[("Accept", accept)], b"");
                assert!(answer.status < 500, "{path}{query}: {}", answer.text());
            }
        }
        for method in ["PUT", "PATCH", "DELETE", "PROPFIND", "LINK", "get", "Post", "X"] {
            let is_same = |other: &Route| other.method == Method2::Any || other.method.as_str() == method;
            let is_other = !ROUTES.iter().any(|other| other.path == route.path && is_same(other));
            if is_other {
                let mut client = session.client(&server);
                let answer =
                    client.send(method, &path, &[("Accept", "application/json"), ("Origin", ORIGIN)], b"");
                assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
                assert!(
                    answer.header("allow").is_some_and(|allow| allow.contains(route.method.as_str())),
                    "{path}"
                );
                well_formed(&path, shown_as(route, false), &answer);
            }
        }
    }
}

/// INP-03, INP-09: noise in headers is one refusal or none of our business, and the next visitor is served.
#[test]
fn noise_in_headers_breaks_nothing() {
    let server = server();
    for (name, value) in [
        ("Accept", "\u{e9}".repeat(100)),
        ("Accept", ",;q=,*/*;q=x".to_owned()),
        ("Accept-Encoding", "gzip;q=nan, \u{e9}".to_owned()),
        ("User-Agent", String::new()),
        ("User-Agent", "\u{202e}<script>alert(1)</script>".repeat(50)),
        ("Cookie", ";;;=;a;=b;dw;dw_theme=\u{e9}".to_owned()),
        ("Cookie", "a=b; ".repeat(2000)),
        ("Origin", "\u{e9}".to_owned()),
        ("Referer", "javascript:alert(1)".to_owned()),
        ("X-Forwarded-For", ",".repeat(500)),
        ("X-Forwarded-For", "1.1.1.1, ".repeat(400)),
        ("X-Forwarded-Proto", "https\u{e9}".to_owned()),
        ("Forwarded", "for=\"[::1]:\"".to_owned()),
        ("Range", "bytes=0-0,1-1,-1".to_owned()),
        ("If-None-Match", "*".to_owned()),
        ("If-Modified-Since", "yesterday".to_owned()),
        ("Upgrade", "h2c".to_owned()),
        ("X-Request-Id", "\u{e9}".to_owned()),
        ("Content-Language", "x".repeat(8000)),
        ("Sec-Fetch-Site", "\u{e9}".to_owned()),
    ] {
        for path in
            ["/signin", "/register", "/account", "/api/v1/users/me", "/api/v1/keys", "/healthz", "/nothing"]
        {
            let answer = server.client().with_header(name, &value).get_json(path);
            assert!(answer.status < 500, "{name}: {value:.40} {path} {}", answer.text());
        }
        let body = json!({"username": "ada", "password": "x"});
        let answer = server.client().with_header(name, &value).post("/api/v1/auth/login/web", body);
        assert!((400..500).contains(&answer.status), "{name}: {value:.40} {}", answer.text());
    }
    for text in ["GET\r\n\r\n", "\0\0\r\n\r\n", "\x16\x03\x01\x02\0\x01\r\n\r\n", "SSH-2.0-x\r\n\r\n"] {
        assert_eq!(exchange(server.address, text.as_bytes()).status, 400, "{text:?}");
    }
    server.client().get("/signin").expect(200);
}
