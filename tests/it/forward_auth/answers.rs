//! The table of answers: outcome, kind of client, method and `Authorization`, for every way to ask.

use super::*;

/// What a visit comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// 200, and who it is.
    Known,
    /// 200, and nobody.
    Unknown,
    /// 403.
    Forbidden,
    /// Sign in, or prove more.
    SignIn,
}

/// The kinds of client, by what they send.
const PAGE: &[(&str, &str)] = &[("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
const LATE_PAGE: &[(&str, &str)] = &[("Accept", "application/xhtml+xml, text/html;q=0.9")];
const ANYTHING: &[(&str, &str)] = &[("Accept", "*/*")];
const NOTHING: &[(&str, &str)] = &[];
const JSON: &[(&str, &str)] = &[("Accept", "application/json")];
const SCRIPT: &[(&str, &str)] = &[("Accept", "application/json, text/plain, */*")];
const XHR: &[(&str, &str)] = &[("Accept", "text/html"), ("X-Requested-With", "XMLHttpRequest")];
const XHR_LOWER: &[(&str, &str)] = &[("Accept", "*/*"), ("X-Requested-With", "xmlhttprequest")];

const BROWSERS: [&[(&str, &str)]; 3] = [PAGE, LATE_PAGE, ANYTHING];
const PROGRAMS: [&[(&str, &str)]; 5] = [NOTHING, JSON, SCRIPT, XHR, XHR_LOWER];

/// Methods, and how a browser is led away from each.
const METHODS: [(&str, u16); 8] = [
    ("GET", 302),
    ("HEAD", 302),
    ("OPTIONS", 302),
    ("POST", 303),
    ("PUT", 303),
    ("DELETE", 303),
    ("PATCH", 303),
    ("PROPFIND", 303),
];

/// What an app's own client may send; none of it is for us.
const AUTHORIZATIONS: [&str; 4] = ["", "Token abc", "Bearer app.s-own", "Digest username=\"ada\""];

fn look(by: By, visit: &Visit<'_>, answer: &Answer, outcome: Outcome, redirect: Option<u16>) {
    let what = format!("{by:?} {visit:?}");
    let status = match (outcome, by, redirect) {
        (Outcome::Known | Outcome::Unknown, ..) => 200,
        (Outcome::Forbidden, ..) => 403,
        (Outcome::SignIn, By::AuthRequest, _) | (Outcome::SignIn, _, None) => 401,
        (Outcome::SignIn, _, Some(status)) => status,
    };
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let location = (outcome == Outcome::SignIn).then(|| way_in(visit));
    assert_eq!(answer.header("location").map(str::to_owned), location, "{what}");
    let known = [Some("ada"), Some("family,readers"), Some("ada Person"), Some("ada@example.org")];
    let expected = match outcome {
        Outcome::Known => known,
        Outcome::Unknown => NOBODY,
        Outcome::Forbidden | Outcome::SignIn => NONE,
    };
    assert_eq!(identity(answer), expected, "{what}");
    assert_eq!(answer.header("www-authenticate"), None, "{what}");
    assert_eq!(answer.header("set-cookie"), None, "{what}: the session slides on the server alone");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert!(status != 200 || answer.body.is_empty(), "{what}");
    // A HEAD of the app is a HEAD of ours only where the proxy asks by the app's method.
    if status > 300 && !(by == By::ExtAuthz && visit.method == "HEAD") {
        let has_link = answer.text().contains("<a href=\"https://auth.home.example/?rd=");
        assert_eq!(has_link, outcome == Outcome::SignIn, "{what}: {}", answer.text());
    }
}

/// Section 2.2 and 2.3, every cell: dialect x method x client x outcome x Authorization. FWD-08: a 200 has the four
/// headers, a denial none. FWD-07: nothing passes for its method or its client.
#[test]
fn every_cell_of_the_table_of_answers() {
    let server = start();
    let one = person(&server, "ada", &["family", "readers"], Factors::PASSWORD);
    let eve = person(&server, "eve", &[], two_factors());
    let ada = server.app().accounts.resolve("ada").unwrap().expect("she is there").id;
    let two = server.web_session_with(ada, two_factors()).app_cookie;
    // The app, who visits it, and what that comes to.
    let visits = [
        ("open.home.example", None, Outcome::Unknown),
        ("open.home.example", Some(&one), Outcome::Known),
        ("photos.home.example", Some(&one), Outcome::Known),
        ("photos.home.example", Some(&two), Outcome::Known),
        ("family.home.example", Some(&one), Outcome::Known),
        ("bank.home.example", Some(&two), Outcome::Known),
        ("closed.home.example", None, Outcome::Forbidden),
        ("closed.home.example", Some(&two), Outcome::Forbidden),
        ("family.home.example", Some(&eve), Outcome::Forbidden),
        ("elsewhere.home.example", None, Outcome::Forbidden),
        ("elsewhere.home.example", Some(&two), Outcome::Forbidden),
        ("photos.home.example", None, Outcome::SignIn),
        ("family.home.example", None, Outcome::SignIn),
        ("bank.home.example", None, Outcome::SignIn),
        ("bank.home.example", Some(&one), Outcome::SignIn),
    ];
    let mut cells = 0;
    for by in ALL {
        for (method, redirect) in METHODS {
            for (host, cookie, outcome) in visits {
                let clients = BROWSERS.map(|headers| (headers, Some(redirect)));
                let programs = PROGRAMS.map(|headers| (headers, None));
                for (index, (headers, redirect)) in clients.into_iter().chain(programs).enumerate() {
                    let authorization = AUTHORIZATIONS[(index + cells) % AUTHORIZATIONS.len()];
                    let mut visit = visit(method, host, "/a/b?year=2026&x=/y");
                    visit.headers = headers.to_vec();
                    visit = visit.with("Authorization", authorization);
                    visit.cookie = cookie.cloned();
                    look(by, &visit, &ask(&server, by, &visit), outcome, redirect);
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, ALL.len() * METHODS.len() * visits.len() * 8);
    // Every kind of client with every kind of header, where it might matter.
    for by in ALL {
        for authorization in AUTHORIZATIONS {
            for (headers, redirect) in [(PAGE, Some(302)), (JSON, None)] {
                for (cookie, outcome) in [(None, Outcome::SignIn), (Some(&one), Outcome::Known)] {
                    let mut visit = visit("GET", "photos.home.example", "/");
                    visit.headers = headers.to_vec();
                    visit = visit.with("Authorization", authorization);
                    visit.cookie = cookie.cloned();
                    look(by, &visit, &ask(&server, by, &visit), outcome, redirect);
                }
            }
        }
    }
}

/// The last row of the table: what is for us and wrong is refused with a challenge and without a way to a page, whatever
/// the client and the cookie it has besides. `bypass` wins even then, and a denial stays one.
#[test]
fn a_wrong_credential_is_refused_with_a_challenge() {
    use data_encoding::BASE64;
    let server = start();
    let ada = person(&server, "ada", &["family", "readers"], two_factors());
    let with_basic = serde_json::from_value::<doorward::access::RuleParts>(serde_json::json!({
        "domains": ["dav.home.example"], "policy": "one_factor", "programs": ["basic"],
    }));
    let mut rules = server.app().access.list().rules().to_vec();
    rules.push(doorward::access::Rule::build(&with_basic.unwrap()).unwrap());
    let lines = rules.len();
    let event = doorward::audit::Event::succeeded(doorward::audit::Kind::RuleChanged).by_system("test");
    let access = &server.app().access;
    server.block_on(access.replace_all(rules, access.list().version(), event)).unwrap();
    assert_eq!(access.list().rules().len(), lines);
    let basic = |password: &str| format!("Basic {}", BASE64.encode(format!("ada:{password}").as_bytes()));
    let wrong = [basic("wrong password"), "Basic !!!".to_owned(), format!("Bearer dwa_{}", "A".repeat(43))];
    let right = basic(crate::harness::PASSWORD);
    for by in ALL {
        for (method, _) in METHODS {
            for headers in [PAGE, ANYTHING, NOTHING, JSON, XHR] {
                for (index, credential) in wrong.iter().enumerate() {
                    for cookie in [None, Some(&ada)] {
                        let visit = |host| {
                            let mut visit = visit(method, host, "/a");
                            visit.headers = headers.to_vec();
                            visit.cookie = cookie.cloned();
                            visit.with("Authorization", credential)
                        };
                        let answer = ask(&server, by, &visit("dav.home.example")).expect(401);
                        let challenge = answer.header("www-authenticate");
                        assert_eq!(
                            challenge,
                            Some("Basic realm=\"Authorization Required\""),
                            "{by:?} {method}"
                        );
                        assert_eq!((answer.header("location"), identity(&answer)), (None, NONE));
                        // Only where the rules read passwords is a password for us; a token of ours always is.
                        let status = ask(&server, by, &visit("family.home.example")).status;
                        let is_by_cookie = index < 2 && cookie.is_some();
                        assert_eq!(status == 200, is_by_cookie, "{by:?} {method} {credential} {cookie:?}");
                        ask(&server, by, &visit("open.home.example")).expect(200);
                        ask(&server, by, &visit("closed.home.example")).expect(403);
                    }
                }
            }
        }
        let mut known = visit("GET", "dav.home.example", "/a").with("Authorization", &right);
        look(by, &known, &ask(&server, by, &known), Outcome::Known, None);
        // Where no rule reads passwords the header is the app's own, and the cookie decides.
        known.host = "bank.home.example";
        look(by, &known, &ask(&server, by, &known), Outcome::SignIn, Some(302));
    }
}

/// A WebSocket's request is a request: the headers of the upgrade change nothing, and `wss` is https.
#[test]
fn websockets_are_asked_about_like_everything_else() {
    let server = start();
    let ada = person(&server, "ada", &["family", "readers"], Factors::PASSWORD);
    for by in ALL {
        let socket = |connection| {
            visit("GET", "photos.home.example", "/socket?room=1")
                .with("Accept", "")
                .with("Connection", connection)
                .with("Upgrade", "websocket")
                .with("Sec-WebSocket-Version", "13")
                .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        };
        for connection in ["Upgrade", "close, Upgrade"] {
            let known = socket(connection).of(&ada);
            look(by, &known, &ask(&server, by, &known), Outcome::Known, None);
            let nobody = socket(connection);
            look(by, &nobody, &ask(&server, by, &nobody), Outcome::SignIn, None);
        }
    }
    let cookie = format!("__Secure-dw_fa={ada}");
    let url = "wss://photos.home.example/socket";
    let headers = [("X-Original-URL", url), ("X-Original-Method", "GET"), ("Cookie", cookie.as_str())];
    server.client().send("GET", "/api/authz/auth-request", &headers, b"").expect(200);
}

/// The old endpoint leads nowhere unless the proxy says where: a bare 401.
#[test]
fn the_old_endpoint_without_a_portal_only_says_no() {
    let server = start();
    for by in [By::LegacyUrl, By::LegacyForwarded] {
        for path in ["/api/verify", "/api/verify/", "/api/verify/anything/at?all=1", "/api/verify?rd="] {
            for method in ["GET", "POST"] {
                let answer =
                    ask_at(&server, by, path, &visit(method, "photos.home.example", "/")).expect(401);
                assert_eq!(answer.header("location"), None);
                assert_eq!(answer.header("www-authenticate"), None);
                ask_at(&server, by, path, &visit(method, "open.home.example", "/")).expect(200);
                ask_at(&server, by, path, &visit(method, "closed.home.example", "/")).expect(403);
            }
        }
    }
}

/// What is for programs reads no cookie, and asks for a name and a password where others lead to a page.
#[test]
fn what_is_for_programs_asks_for_a_password() {
    let server = start();
    let ada = person(&server, "ada", &[], Factors::PASSWORD);
    for (by, path) in [
        (By::AuthRequest, "/api/authz/auth-request/basic"),
        (By::ForwardAuth, "/api/authz/forward-auth/basic"),
        (By::LegacyUrl, "/api/verify?auth=basic"),
        (By::LegacyForwarded, "/api/verify?rd=https://auth.home.example&auth=basic"),
    ] {
        for authorization in ["", "Token abc"] {
            let visit = |host| visit("GET", host, "/").with("Authorization", authorization).of(&ada);
            let answer = ask_at(&server, by, path, &visit("photos.home.example")).expect(401);
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Authorization Required\""));
            assert_eq!(answer.header("location"), None);
            assert_eq!(identity(&answer), NONE);
            let answer = ask_at(&server, by, path, &visit("open.home.example")).expect(200);
            assert_eq!(identity(&answer), NOBODY, "no cookie was read");
            ask_at(&server, by, path, &visit("closed.home.example")).expect(403);
        }
    }
}

/// HEAD is GET without a body, also where the proxy itself asks so.
#[test]
fn a_proxy_may_ask_by_head() {
    let server = start();
    for path in ["/api/authz/auth-request", "/api/authz/forward-auth", "/api/verify"] {
        let headers = [
            ("X-Original-URL", "https://photos.home.example/"),
            ("X-Original-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "photos.home.example"),
            ("X-Forwarded-Uri", "/"),
            ("X-Forwarded-Method", "GET"),
            ("Accept", "text/html"),
        ];
        let (get, head) = (
            server.client().send("GET", path, &headers, b""),
            server.client().send("HEAD", path, &headers, b""),
        );
        assert_eq!((head.status, head.header("location")), (get.status, get.header("location")), "{path}");
        assert!(head.body.is_empty());
        // These two are asked by no other method.
        let post = server.client().send("POST", path, &headers, b"").status;
        assert_eq!(post == 405, path != "/api/verify", "{path}: {post}");
    }
}
