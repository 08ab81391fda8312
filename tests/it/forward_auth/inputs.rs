//! What each endpoint reads, what it is blind to, and what it refuses (FWD-04 to FWD-06).

use super::*;
use crate::harness::exchange;

/// The headers of every family, saying that all is well at an open app.
const FOREIGN: [(&str, &str); 6] = [
    ("X-Original-URL", "https://open.home.example/"),
    ("X-Original-Method", "GET"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "open.home.example"),
    ("X-Forwarded-Uri", "/"),
    ("X-Forwarded-Method", "GET"),
];

fn own_headers(by: By) -> &'static [&'static str] {
    match by {
        By::AuthRequest => &["X-Original-URL", "X-Original-Method"],
        By::ForwardAuth | By::LegacyForwarded => {
            &["X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Method"]
        }
        By::ExtAuthz => &["X-Forwarded-Proto"],
        // It takes both families, and refuses two that contradict each other.
        By::LegacyUrl => &[
            "X-Original-URL",
            "X-Original-Method",
            "X-Forwarded-Host",
            "X-Forwarded-Uri",
            "X-Forwarded-Method",
        ],
    }
}

/// FWD-04: the headers of another proxy's family are ignored, not refused, whatever they hold.
#[test]
fn the_headers_of_another_family_change_nothing() {
    let server = start();
    let ada = person(&server, "ada", &[], Factors::PASSWORD);
    for by in ALL {
        let closed = visit("GET", "photos.home.example", "/a");
        for (name, value) in FOREIGN.into_iter().filter(|(name, _)| !own_headers(by).contains(name)) {
            // The old endpoint reads this family first if it is there.
            if by == By::LegacyForwarded && name == "X-Original-URL" {
                continue;
            }
            for value in [value, "open.home.example, evil.example", "nonsense", "\u{e9}"] {
                let answer = ask(&server, by, &closed.clone().with(name, value));
                assert_eq!(
                    answer.header("location").map(str::to_owned),
                    Some(way_in(&closed)),
                    "{by:?} {name}"
                );
                ask(&server, by, &closed.clone().with(name, value).of(&ada)).expect(200);
            }
        }
        for name in ["X-Real-IP", "Forwarded", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Server"] {
            let answer = ask(&server, by, &closed.clone().with(name, "open.home.example"));
            assert_eq!(answer.header("location").map(str::to_owned), Some(way_in(&closed)), "{by:?} {name}");
        }
    }
}

/// FWD-04: a header of the own family that came twice, or was joined by a proxy that appends, is refused.
#[test]
fn a_doubled_header_of_the_own_family_is_refused() {
    let server = start();
    for by in ALL {
        let open = visit("GET", "open.home.example", "/");
        ask(&server, by, &open).expect(200);
        let bad = refused(by);
        for name in own_headers(by) {
            let (_, value) = FOREIGN.iter().find(|(foreign, _)| foreign == name).unwrap();
            // Sent beside the one that the proxy sets.
            if by != By::LegacyUrl || matches!(*name, "X-Original-URL" | "X-Forwarded-Method") {
                let mut twice = open.clone();
                twice.headers.push((name, value));
                ask(&server, by, &twice).expect(bad);
            }
        }
    }
    let joined = [
        ("/api/authz/auth-request", "X-Original-Method", "GET, GET", 401),
        (
            "/api/authz/auth-request",
            "X-Original-URL",
            "https://open.home.example/, https://open.home.example/",
            401,
        ),
        ("/api/authz/forward-auth", "X-Forwarded-Host", "open.home.example, photos.home.example", 400),
        ("/api/authz/forward-auth", "X-Forwarded-Host", "open.home.example,photos.home.example", 400),
        ("/api/authz/forward-auth", "X-Forwarded-Proto", "https,http", 400),
        ("/api/authz/forward-auth", "X-Forwarded-Uri", "/share/,/admin", 400),
        ("/api/authz/forward-auth", "X-Forwarded-Method", "GET,POST", 400),
        ("/api/authz/ext-authz/", "X-Forwarded-Proto", "https, https", 400),
        ("/api/authz/ext-authz/", "Host", "open.home.example,photos.home.example", 400),
        ("/api/verify", "X-Forwarded-Host", "open.home.example, photos.home.example", 401),
        ("/api/verify", "X-Original-URL", "https://open.home.example/,https://photos.home.example/", 401),
    ];
    for (path, name, value, status) in joined {
        let mut headers: Vec<(&str, &str)> = FOREIGN.to_vec();
        headers.push(("Host", "open.home.example"));
        headers.retain(|(own, _)| *own != name);
        headers.push((name, value));
        let answer = server.client().send("GET", path, &headers, b"").expect(status);
        assert_eq!(identity(&answer), NONE, "{path} {name}: {value}");
    }
}

/// The status by which a dialect says that it was not understood.
fn refused(by: By) -> u16 {
    match by {
        By::AuthRequest | By::LegacyUrl | By::LegacyForwarded => 401,
        By::ForwardAuth | By::ExtAuthz => 400,
    }
}

/// FWD-05: what is missing or not understood is never a permit, although everything is open here.
#[test]
fn what_is_missing_or_not_understood_is_refused() {
    let server = start();
    server.set_rules(&["bypass domain=*.home.example,home.example"]);
    for by in ALL {
        ask(&server, by, &visit("GET", "open.home.example", "/")).expect(200);
        let bad = refused(by);
        for method in ["get", "G-T", "A1"] {
            ask(&server, by, &visit(method, "open.home.example", "/")).expect(bad);
        }
        let unknown = if by == By::AuthRequest { 403 } else { bad };
        for host in ["elsewhere.example", "home.example.evil", "auth.home.example", "10.0.0.1"] {
            let answer = ask(&server, by, &visit("GET", host, "/")).expect(unknown);
            assert_eq!(answer.header("location"), None, "{by:?} {host}");
        }
        for host in ["open..home.example", "-open.home.example", "open.home.example:", "a:b:1", "[::1]"] {
            assert_eq!(ask(&server, by, &visit("GET", host, "/")).status, bad, "{by:?} {host}");
        }
        // One name in another form is the same name.
        for host in
            ["OPEN.Home.Example", "open.home.example.", "open.home.example:443", "open.home.example:8443"]
        {
            ask(&server, by, &visit("GET", host, "/")).expect(200);
        }
    }
    let without = |path: &str, missing: &str| {
        let mut headers: Vec<(&str, &str)> = FOREIGN.to_vec();
        headers.push(("Host", "open.home.example"));
        headers.retain(|(name, _)| *name != missing);
        if missing == "X-Original-URL" && path == "/api/verify" {
            headers.retain(|(name, _)| *name != "X-Forwarded-Host");
        }
        server.client().send("GET", path, &headers, b"").status
    };
    for (path, missing, status) in [
        ("/api/authz/auth-request", "X-Original-URL", 401),
        ("/api/authz/auth-request", "X-Original-Method", 401),
        ("/api/authz/forward-auth", "X-Forwarded-Host", 400),
        ("/api/authz/forward-auth", "X-Forwarded-Uri", 400),
        ("/api/authz/forward-auth", "X-Forwarded-Method", 400),
        // Without a word of it the scheme is the one of the question itself, which is plain HTTP.
        ("/api/authz/forward-auth", "X-Forwarded-Proto", 400),
        ("/api/authz/ext-authz/", "X-Forwarded-Proto", 400),
        // It does with less: the method is that of the question.
        ("/api/verify", "X-Forwarded-Method", 200),
        ("/api/verify", "X-Original-URL", 401),
    ] {
        assert_eq!(without(path, missing), status, "{path} without {missing}");
    }
    // Plain HTTP would show the cookie on the way.
    for (path, status) in [("/api/authz/auth-request", 403), ("/api/verify", 401)] {
        let headers = [("X-Original-URL", "http://open.home.example/"), ("X-Original-Method", "GET")];
        server.client().send("GET", path, &headers, b"").expect(status);
    }
    let headers = [("X-Forwarded-Proto", "http"), ("Host", "open.home.example")];
    server.client().send("GET", "/api/authz/ext-authz/", &headers, b"").expect(400);
}

/// FWD-06: tricks in a path are judged by what they lead to, behind our own path too.
#[test]
fn tricks_in_a_path_open_nothing() {
    let server = start();
    for by in ALL {
        ask(&server, by, &visit("GET", "photos.home.example", "/share/x")).expect(200);
        for target in [
            "/share/../x",
            "/share/%2e%2e/x",
            "/share/..%2fx",
            "/share/%252e%252e/x",
            "/share/x;/../../y",
            "/share%2fx",
            "/x?/share/",
            "/SHARE/x",
            "//x/share/",
            "/share/./../x",
            // Whether `..` takes an empty segment or the one before it, servers do not agree.
            "/x//../share/x",
            "/x//%2e%2e/share/x",
            "/x//a/../../share/x",
            "/share/%00",
            "/api/authz/ext-authz/share/x",
        ] {
            let answer = ask(&server, by, &visit("GET", "photos.home.example", target));
            assert!(matches!(answer.status, 302 | 401 | 403), "{by:?} {target}: {}", answer.status);
            assert_eq!(identity(&answer), NONE, "{by:?} {target}");
        }
    }
}

/// The old endpoint: a client that reaches a proxy of one family cannot answer for it with the other.
#[test]
fn the_old_endpoint_is_not_talked_over_by_the_client() {
    let server = start();
    // Traefik sets the one family; the client adds the other.
    let mut forged = visit("GET", "photos.home.example", "/");
    forged.headers.push(("X-Original-URL", "https://open.home.example/"));
    let answer = ask(&server, By::LegacyForwarded, &forged).expect(401);
    assert_eq!((answer.header("location"), identity(&answer)), (None, NONE));
    forged.headers.pop();
    forged.headers.push(("X-Original-URL", "https://photos.home.example/share/"));
    ask(&server, By::LegacyForwarded, &forged).expect(401);
    // What nginx recipes of old send says one thing twice.
    let mut both = visit("GET", "open.home.example", "/a?b");
    both.headers.push(("X-Original-URL", "https://open.home.example/a?b"));
    ask(&server, By::LegacyForwarded, &both).expect(200);
}

/// nginx asks by GET whatever the browser does, and hands on what the client says of the method, unless its recipe sets
/// that very header.
#[test]
fn the_old_endpoint_is_told_the_method_beside_the_address() {
    let server = start();
    let ask = |headers: &[(&str, &str)]| {
        let mut all = vec![("X-Original-URL", "https://forms.home.example/send"), ("Accept", "text/html")];
        all.extend(headers);
        server.client().send("GET", "/api/verify", &all, b"")
    };
    ask(&[("X-Original-Method", "GET")]).expect(200);
    ask(&[("X-Original-Method", "GET"), ("X-Forwarded-Method", "GET")]).expect(200);
    ask(&[("X-Original-Method", "POST")]).expect(401);
    ask(&[("X-Original-Method", "POST"), ("X-Forwarded-Method", "GET")]).expect(401);
    ask(&[("X-Original-Method", "GET"), ("X-Forwarded-Method", "POST")]).expect(401);
    ask(&[("X-Original-Method", "get")]).expect(401);
}

/// FWD-05: proxies ask by GET whatever the browser does. Where they do not say the method, a rule for GET is no rule for
/// everything; rules that do not look at it decide as ever.
#[test]
fn a_method_that_nobody_said_is_not_taken_for_get() {
    let server = start();
    let ada = person(&server, "ada", &["family"], two_factors());
    let cookie = format!("__Secure-dw_fa={ada}");
    let ask = |by: &str, url: &str, cookie: &str| {
        let headers = [("X-Original-URL", url), ("Cookie", cookie), ("Accept", "text/html")];
        server.client().send(by, "/api/verify?rd=https://auth.home.example", &headers, b"")
    };
    for by in ["GET", "HEAD"] {
        for cookie in ["", &cookie] {
            let answer = ask(by, "https://forms.home.example/send", cookie).expect(403);
            assert_eq!(identity(&answer), NONE);
        }
        ask(by, "https://family.home.example/", &cookie).expect(200);
        let way = ask(by, "https://family.home.example/", "").expect(302);
        let wanted = format!("{PORTAL}/?rd=https%3A%2F%2Ffamily.home.example%2F");
        assert_eq!(way.header("location"), Some(&*wanted));
    }
    // Envoy asks by the method itself.
    ask("POST", "https://forms.home.example/send", "").expect(303);
    ask("POST", "https://forms.home.example/send", &cookie).expect(200);
}

/// Envoy may send the app's body along. It is neither read nor waited for, whatever its head says of it.
#[test]
fn a_body_is_neither_read_nor_waited_for() {
    let server = start();
    for (path, host) in [("/api/authz/ext-authz//upload", "open.home.example"), ("/api/verify", "localhost")]
    {
        for framing in [
            "Content-Length: 100000000000",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Content-Length: 0",
        ] {
            for method in ["POST", "PUT", "PROPFIND", "GET", "DELETE"] {
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\
                     X-Original-URL: https://open.home.example/upload\r\nContent-Encoding: gzip\r\n{framing}\r\n\r\n"
                );
                let answer = exchange(server.address, head.as_bytes()).expect(200);
                assert_eq!(identity(&answer), NOBODY, "{method} {framing}");
            }
        }
    }
}

/// Who asks by the app's own host is no visitor of a foreign host; everything else still is (WEB-12).
#[test]
fn only_the_endpoints_of_proxies_are_reached_by_other_names() {
    let server = start();
    for host in ["open.home.example", "doorward:9091", "10.0.0.5", "authelia"] {
        let headers =
            [("Host", host), ("X-Original-URL", "https://open.home.example/"), ("X-Original-Method", "GET")];
        server.client().send("GET", "/api/authz/auth-request", &headers, b"").expect(200);
        for path in ["/signin", "/api/state", "/api/configuration", "/api/authz/other", "/api/authz"] {
            let status = server.client().send("GET", path, &[("Host", host)], b"").status;
            assert!(matches!(status, 404 | 421), "{host} {path}: {status}");
        }
        server.client().send("GET", "/api/health", &[("Host", host)], b"").expect(200);
    }
}
