//! Attacks that other sign-in servers fell to, tried over real HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward::accounts::enrolment::Asker;
use doorward::accounts::links::RESET_LIFETIME;
use doorward::accounts::records::{LinkPurpose, Role};
use doorward::accounts::users::SecondFactorPolicy;
use doorward::kernel::ids::UserId;
use doorward::routes::{Action, Forgery, Method2, ROUTES, Route};
use serde_json::json;

use crate::callers::{WebSession, code_of, content_type, knock, needs_sign_in, path_of, takes_json};
use crate::harness::{Answer, Client, ORIGIN, PASSWORD, Server, in_parallel};

fn sign_in(client: &mut Client, name: &str) -> Answer {
    client.form("/signin", &[("username", name), ("password", PASSWORD)])
}

fn is_signed_in(server: &Server, cookie: &str) -> bool {
    let mut client = server.client();
    client.cookies.push(("dw".to_owned(), cookie.to_owned()));
    client.get("/account").status == 200
}

fn name_of(route: &Route) -> String {
    format!("{} {}", route.method.as_str(), route.path)
}

/// SES-01, SES-02: a cookie that stood in the browser before the sign-in is never the session afterwards.
#[test]
fn a_cookie_from_before_the_sign_in_is_never_adopted() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mallory = server.add_user("mallory", Role::Member, &[]);
    let planted = server.web_session(mallory).cookie;
    let ended = {
        let session = server.web_session(ada);
        session.client(&server).post("/api/v1/auth/logout", json!({})).expect(204);
        session.cookie
    };
    for before in ["x", &"A".repeat(64), &planted, &ended] {
        let mut victim = server.client();
        victim.cookies.push(("dw".to_owned(), before.to_owned()));
        sign_in(&mut victim, "ada").expect(303);
        let after = victim.cookie("dw").unwrap();
        assert_ne!(after, before);
        assert!(is_signed_in(&server, &after));
        if before == planted {
            assert!(!is_signed_in(&server, before), "SES-03: the session that was there before is over");
        } else {
            assert!(!is_signed_in(&server, before));
        }
    }
}

/// SES-02, SES-03: signing in again, as oneself or as somebody else, ends the session that was there; the second factor
/// and the step-up give new ids too.
#[test]
fn every_sign_in_of_a_browser_makes_a_new_session_and_ends_the_old_one() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let bob = server.add_user("bob", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(bob);
    let mut browser = server.client();
    sign_in(&mut browser, "ada").expect(303);
    let first = browser.cookie("dw").unwrap();
    sign_in(&mut browser, "ada").expect(303);
    let second = browser.cookie("dw").unwrap();
    assert!(!is_signed_in(&server, &first) && is_signed_in(&server, &second));
    sign_in(&mut browser, "bob").expect(303);
    browser.form("/signin/second-factor", &[("code", &authenticator.code())]).expect(303);
    let third = browser.cookie("dw").unwrap();
    assert!(!is_signed_in(&server, &second) && is_signed_in(&server, &third));
    let csrf = browser.get("/step-up").expect(200).input("csrf").unwrap();
    let code = authenticator.next_code();
    browser.form("/step-up", &[("csrf", &csrf), ("password", PASSWORD), ("code", &code)]).expect(303);
    let fourth = browser.cookie("dw").unwrap();
    assert!(!is_signed_in(&server, &third) && is_signed_in(&server, &fourth));
    let body = json!({"username": "ada", "password": PASSWORD});
    browser.post("/api/v1/auth/login/web", body).expect(200);
    assert!(!is_signed_in(&server, &fourth) && is_signed_in(&server, &browser.cookie("dw").unwrap()));
}

/// SES-11: two cookies of one name are refused on every route that reads one, whichever of them is the good one.
#[test]
fn two_cookies_of_one_name_are_refused() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    for route in ROUTES.iter().filter(|route| needs_sign_in(route)) {
        for other in ["evil", session.cookie.as_str()] {
            for turned in [false, true] {
                let mut client = session.client(&server);
                client.cookies.push(("dw".to_owned(), other.to_owned()));
                if turned {
                    client.cookies.reverse();
                }
                let answer = knock(&mut client, route);
                assert_eq!(
                    (answer.status, code_of(&answer)),
                    (400, "ambiguous_cookie".to_owned()),
                    "{}",
                    name_of(route)
                );
            }
        }
    }
    // In two headers as well, and for the other cookies where they are read.
    let mut client = session.client(&server).with_header("Cookie", "dw=evil");
    assert_eq!(client.get_json("/api/v1/users/me").expect(400).code(), "ambiguous_cookie");
    for (name, path, body) in [
        ("dw_device", "/api/v1/auth/login/web", json!({"username": "ada", "password": "x"})),
        ("dw_pending", "/api/v1/auth/mfa/web", json!({"otp": "000000"})),
        ("dw_refresh", "/api/v1/auth/refresh/web", json!({})),
    ] {
        let mut client = server.client();
        client.cookies = vec![(name.to_owned(), "a".to_owned()), (name.to_owned(), "b".to_owned())];
        assert_eq!(client.post(path, body).expect(400).code(), "ambiguous_cookie", "{name}");
    }
    server.set_rules(&["allow one_factor domain=app.home.localhost"]);
    for route in ROUTES.iter().filter(|route| matches!(route.action, Action::Proxy(_))) {
        let mut client = server.client();
        client.cookies.push(("dw_fa".to_owned(), session.app_cookie.clone()));
        // What is for programs reads no cookie at all.
        let is_basic = matches!(route.action, Action::Proxy(endpoint) if endpoint.is_basic);
        let expected = if is_basic { 401 } else { 200 };
        assert_eq!(knock(&mut client, route).status, expected, "{}", route.path);
        client.cookies.push(("dw_fa".to_owned(), "evil".to_owned()));
        let status = knock(&mut client, route).status;
        assert!((400..500).contains(&status), "{} {status}", route.path);
    }
}

/// SES-08: once the sign-out is answered, no request that was under way brings the session back.
#[test]
fn a_sign_out_wins_against_fifty_racing_requests() {
    let server = Server::start_with(|options| options.api_rule.limit = 1_000_000);
    let ada = server.add_user("ada", Role::Member, &[]);
    let body = json!({"username": "ada", "password": PASSWORD});
    for round in 0..3 {
        let session = server.web_session(ada);
        let mut browser = server.client();
        let answer = browser.post("/api/v1/auth/login/web", body.clone()).expect(200).json();
        browser.headers.push(("X-CSRF-Token".to_owned(), answer["csrf_token"].as_str().unwrap().to_owned()));
        let program = server.client().post("/api/v1/auth/login/api", body.clone()).expect(200).json();
        let refresh = program["refresh_token"].as_str().unwrap().to_owned();
        let access = program["access_token"].as_str().unwrap().to_owned();
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, sessions) = (is_over.clone(), (session.client(&server), browser.clone(), server.client()));
        let (web, token) = (refresh.clone(), access.clone());
        let found = in_parallel(50, move |index| {
            let (plain, browser, client) = &sessions;
            let mut secrets = Vec::new();
            match index {
                0 => {
                    std::thread::sleep(Duration::from_millis(5));
                    plain.clone().post("/api/v1/auth/logout", json!({})).expect(204);
                    // Ends the browser, whose cookie changes with every refresh, and the program.
                    client.clone().with_bearer(&token).post("/api/v1/auth/logout/all", json!({})).expect(204);
                    over.store(true, Ordering::SeqCst);
                }
                _ => loop {
                    let is_last = over.load(Ordering::SeqCst);
                    let status = match index % 3 {
                        0 => plain.clone().get("/account").status,
                        1 => {
                            let mut browser = browser.clone();
                            let answer = browser.post("/api/v1/auth/refresh/web", json!({}));
                            secrets.extend(browser.cookie("dw").filter(|_| answer.status == 200));
                            answer.status
                        }
                        _ => {
                            let body = json!({"refresh_token": web});
                            let answer = client.clone().post("/api/v1/auth/refresh/api", body);
                            if answer.status == 200 {
                                let tokens = answer.json();
                                secrets.push(tokens["refresh_token"].as_str().unwrap().to_owned());
                                secrets.push(tokens["access_token"].as_str().unwrap().to_owned());
                            }
                            answer.status
                        }
                    };
                    if is_last {
                        assert_ne!(status, 200, "round {round}, thread {index}: alive after the sign-out");
                        break;
                    }
                },
            }
            secrets
        });
        for secret in found.into_iter().flatten().chain([refresh, access]) {
            assert!(!is_signed_in(&server, &secret));
            assert_eq!(server.client().with_bearer(&secret).get_json("/api/v1/users/me").status, 401);
            let body = json!({"refresh_token": secret});
            assert_eq!(server.client().post("/api/v1/auth/refresh/api", body).status, 401);
        }
        assert!(!is_signed_in(&server, &session.cookie));
    }
    assert_eq!(server.app().sessions.live_count(), 0);
}

fn reset_link(server: &Server, user: UserId) -> String {
    let link = server.app().accounts.make_link(LinkPurpose::ResetPassword(user), RESET_LIFETIME, |_| {});
    server.block_on(link).unwrap()
}

/// PWD-09, PWD-12, REF-07: a reset ends sessions, refresh families and sign-ins that wait for their code, signs nobody in
/// and skips no second factor.
#[test]
fn a_password_reset_ends_everything_and_skips_nothing() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let session = server.web_session(ada);
    let access = server.access_token(ada);
    let login = json!({"username": "ada", "password": PASSWORD});
    let mut thief = server.client();
    let pending = thief.post("/api/v1/auth/login/api", login.clone()).expect(200).json();
    let mut web_thief = server.client();
    sign_in(&mut web_thief, "ada").expect(303);
    let link = reset_link(&server, ada);
    let other_link = reset_link(&server, ada);
    server.clock.advance(Duration::from_secs(1));
    let mut owner = server.client();
    let path = format!("/link/{link}");
    // No other site learns the link. With `no-referrer` browsers would hide the origin of our own form from us as well.
    assert!(owner.get(&path).expect(200).header("referrer-policy") == Some("same-origin"));
    owner.form(&path, &[("password", "a-brand-new-pass-phrase")]).expect(200);
    assert!(owner.cookie("dw").is_none(), "a reset signs nobody in");
    assert!(!is_signed_in(&server, &session.cookie));
    server.client().with_bearer(&access).get_json("/api/v1/users/me").expect(401);
    let body = json!({"pending_token": pending["pending_token"], "otp": authenticator.code()});
    assert_eq!(thief.post("/api/v1/auth/mfa/api", body).expect(401).code(), "sign_in_expired");
    let answer = web_thief.form("/signin/second-factor", &[("code", &authenticator.code())]).expect(303);
    assert_eq!(answer.header("location"), Some("/signin"));
    owner.form(&path, &[("password", "another-new-pass-phrase")]).expect(410);
    owner.form(&format!("/link/{other_link}"), &[("password", "another-new-pass-phrase")]).expect(410);
    server.client().post("/api/v1/auth/login/api", login).expect(401);
    let login = json!({"username": "ada", "password": "a-brand-new-pass-phrase"});
    let answer = owner.post("/api/v1/auth/login/api", login).expect(200).json();
    assert_eq!(answer["status"], "mfa_required");
}

/// GEN-02, GEN-03, PWD-09: a password that is changed while it is being judged, or while its sign-in waits, opens nothing.
#[test]
fn a_sign_in_that_began_with_the_old_password_does_not_outlive_it() {
    let server = Server::start_with(|options| {
        options.sign_in.sign_in.limit = 10_000;
        options.sign_in.place.limit = 10_000;
        options.sign_in.suspend.limit = 10_000;
    });
    let ada = server.add_user("ada", Role::Member, &[]);
    let new = "a-brand-new-pass-phrase";
    let app = server.app().clone();
    let phc = server.block_on(app.accounts.hash_password(
        &doorward::kernel::secret::SecretText::new(new.to_owned()),
        doorward::crypto::password::Ticket::default(),
    ));
    let phc = phc.unwrap_or_else(|_| panic!("hashed"));
    let client = server.client();
    let thieves = std::thread::spawn(move || {
        in_parallel(24, move |_| {
            let body = json!({"username": "ada", "password": PASSWORD});
            let answer = client.clone().post("/api/v1/auth/login/api", body);
            (answer.status == 200).then(|| answer.json()["access_token"].as_str().unwrap().to_owned())
        })
    });
    server.until_hashing();
    let change =
        app.accounts.set_password(ada, &phc, |batch, _| app.sign_in.stage_end_everything(batch, ada));
    server.block_on(change).unwrap();
    let stolen: Vec<String> = thieves.join().unwrap().into_iter().flatten().collect();
    for token in &stolen {
        server.client().with_bearer(token).get_json("/api/v1/users/me").expect(401);
    }
    // A session that began while the change was being written is dead too, though it is swept up later.
    let left = server.app().sessions.list(&ada).unwrap().len();
    assert_eq!(left, 0, "{} got in before the change", stolen.len());
}

/// OTP-02, OTP-08: who has only the password and began before the owner enrolled cannot put another app in its place.
#[test]
fn a_waiting_enrolment_does_not_replace_a_second_factor() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut thief = server.client();
    let mut web_thief = server.client();
    let login = json!({"username": "ada", "password": PASSWORD});
    let waiting = thief.post("/api/v1/auth/login/api", login).expect(200).json();
    assert_eq!(waiting["status"], "mfa_enrolment_required");
    sign_in(&mut web_thief, "ada").expect(303);
    let (authenticator, _) = server.enrol_totp(ada);
    // What waited with the password alone has ended with the enrolment (REF-07): by the page, which would show a new
    // secret, …
    let page = web_thief.clone().get("/signin/enrol").expect(303).text();
    assert!(!page.contains("otpauth:"), "{page}");
    // … and by the API, with a secret that was begun behind the owner's back.
    let asker = Asker::waiting_sign_in(waiting["pending_token"].as_str().unwrap());
    let begun = server.block_on(server.app().accounts.begin_totp(ada, asker, "Test")).unwrap();
    let other = crate::harness::Authenticator::new(&begun.secret_base32, server.clock.clone());
    let body = json!({"pending_token": waiting["pending_token"], "otp": other.code()});
    assert_eq!(thief.post("/api/v1/auth/mfa/api", body).expect(401).code(), "sign_in_expired");
    web_thief.form("/signin/enrol", &[("code", &other.code())]);
    assert!(web_thief.cookie("dw").is_none());
    // The owner's app still works.
    let mut owner = server.client();
    sign_in(&mut owner, "ada").expect(303);
    owner.form("/signin/second-factor", &[("code", &authenticator.next_code())]).expect(303);
    assert!(owner.cookie("dw").is_some());
}

/// GEN-03, PWD-11: of a hundred uses of one link at the same moment one sets the password.
#[test]
fn of_a_hundred_parallel_uses_of_a_reset_link_one_succeeds() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let path = format!("/link/{}", reset_link(&server, ada));
    let client = server.client();
    let answers = in_parallel(100, move |index| {
        let password = format!("pass-phrase-number-{index}-of-many");
        client.clone().form(&path, &[("password", &password)]).status
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 410 | 429 | 503)), "{answers:?}");
}

/// GEN-03: and of a hundred uses of one invitation one makes an account.
#[test]
fn of_a_hundred_parallel_uses_of_an_invitation_one_succeeds() {
    let server = Server::start_with(|options| {
        options.registration = doorward::sign_in::registration::Policy::Invitation;
        options.sign_in.registration.limit = 1000;
    });
    let purpose = LinkPurpose::Invite { role: Role::Member, groups: Vec::new() };
    let link = server.app().accounts.make_link(purpose, Duration::from_secs(3600), |_| {});
    let invitation = server.block_on(link).unwrap();
    let before = server.app().accounts.directory().len();
    let client = server.client();
    let answers = in_parallel(100, move |index| {
        let body = json!({"username": format!("new{index}"), "password": PASSWORD, "invitation": invitation});
        client.clone().post("/api/v1/users", body).status
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(server.app().accounts.directory().len(), before + 1);
}

/// LIM-04: who fails on purpose locks out only their own place; live sessions and other places go on.
#[test]
fn a_stranger_cannot_lock_anybody_out() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let session = server.web_session(ada);
    let login = |ip: &str, password: &str| {
        let mut client = server.client().with_header("X-Forwarded-For", ip);
        client.post("/api/v1/auth/login/api", json!({"username": "ada", "password": password})).status
    };
    for _ in 0..8 {
        login("198.51.100.7", "wrong-password-of-a-stranger");
    }
    assert_eq!(login("198.51.100.7", PASSWORD), 429);
    assert_eq!(login("203.0.113.80", PASSWORD), 200);
    assert!(is_signed_in(&server, &session.cookie));
    // One v6 customer has many addresses and is one place.
    for host in 1..=5 {
        login(&format!("2001:db8:7::{host}"), "wrong-password-of-a-stranger");
    }
    assert_eq!(login("2001:db8:7::99", PASSWORD), 429);
    assert_eq!(login("2001:db8:8::1", PASSWORD), 200);
}

/// WEB-11: whatever stands in `rd` or `next`, nobody is sent to a foreign place, and no page leads there.
#[test]
fn nobody_is_sent_elsewhere() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let session = server.web_session(ada);
    let own = |location: &str| {
        let base = url::Url::parse("http://localhost/x").unwrap();
        let url = base.join(location).unwrap();
        let host = url.host_str().unwrap_or_default().to_owned();
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && (host == "localhost" || host.ends_with(".home.localhost") || host == "home.localhost")
    };
    for evil in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https://evil.example",
        "http://evil.example/?home.localhost",
        "https://evil.example#.home.localhost",
        "https://evil.example\\.home.localhost",
        "https://app.home.localhost@evil.example",
        "https://app.home.localhost:x@evil.example",
        "https://evil.example%2f.home.localhost",
        "https://app.home.localhost.evil.example",
        "https://evilhome.localhost",
        "https://user@app.home.localhost",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        " https://evil.example",
        "https://evil.example\r\nSet-Cookie: x=y",
        "/\r\nLocation: https://evil.example",
        "/..//evil.example",
        "/%2e%2e//evil.example",
        "//localhost@evil.example",
        "http://localhost:81/",
        "ftp://app.home.localhost/",
        "http://[::1]/",
        "\u{2028}//evil.example",
        "\"><script>alert(1)</script>",
    ] {
        let query: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        let mut anonymous = server.client();
        let mut answers = Vec::new();
        for path in ["/signin", "/signout", "/", "/step-up", "/register"] {
            for name in ["rd", "next", "return_to", "redirect_uri", "url"] {
                answers.push(anonymous.get(&format!("{path}?{name}={query}")));
                answers.push(session.client(&server).get(&format!("{path}?{name}={query}")));
                let two = format!("{path}?level=two_factor&{name}={query}&{name}=/account");
                answers.push(session.client(&server).get(&two));
            }
        }
        let mut browser = server.client();
        answers.push(browser.form("/signin", &[("username", "ada"), ("password", PASSWORD), ("rd", evil)]));
        answers.push(browser.form("/signin/recovery-codes", &[("rd", evil)]));
        let csrf = browser.get("/step-up").input("csrf").unwrap();
        answers.push(browser.form("/step-up", &[("csrf", &csrf), ("password", PASSWORD), ("next", evil)]));
        let csrf = browser.get("/step-up").input("csrf").unwrap();
        answers.push(browser.form("/signout", &[("csrf", &csrf), ("rd", evil)]));
        for answer in answers {
            assert!(answer.status < 500, "{evil:?} {}", answer.text());
            assert!(answer.header("location").is_none_or(own), "{evil:?} {:?}", answer.header("location"));
            assert_eq!(
                answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("location")).count() / 2,
                0
            );
            let policy = answer.header("content-security-policy").unwrap();
            assert!(!policy.contains("evil"), "{evil:?} {policy}");
            let page = answer.text();
            assert!(!page.contains("<script>alert"), "{evil:?}");
            for attribute in ["href=\"", "action=\"", "src=\""] {
                for target in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let target = target.replace("&amp;", "&");
                    let is_inner = target.starts_with('#') || target.starts_with("otpauth:");
                    assert!(is_inner || own(&target), "{evil:?} leads to {target:?}");
                }
            }
        }
    }
}

/// WEB-01, WEB-02, WEB-03: every route that a cookie opens and that changes something asks where the request comes from
/// and for the token of this very session.
#[test]
fn every_write_with_a_cookie_is_protected_from_forgery() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Admin);
    let bob = server.add_bare_user("bob", Role::Admin);
    let (session, other) = (server.web_session(ada), server.web_session(bob));
    let older = server.web_session(ada);
    for route in ROUTES.iter().filter(|route| route.method != Method2::Get) {
        let name = name_of(route);
        let sends = |headers: &[(&str, &str)], csrf: Option<&str>| {
            let mut client = server.client();
            client.cookies.push(("dw".to_owned(), session.cookie.clone()));
            let mut all = vec![("Accept", "application/json"), ("Content-Type", content_type(route))];
            all.extend(headers);
            all.extend(csrf.map(|csrf| ("X-CSRF-Token", csrf)));
            let body: &[u8] = if takes_json(route) { b"{}" } else { b"" };
            client.send(route.method.as_str(), &path_of(route), &all, body)
        };
        let foreign: [&[(&str, &str)]; 11] = [
            &[],
            &[("Origin", "null")],
            &[("Origin", "https://evil.example")],
            &[("Origin", "https://localhost")],
            &[("Origin", "http://localhost:81")],
            &[("Origin", "http://localhost/")],
            &[("Origin", "http://app.home.localhost")],
            &[("Origin", ORIGIN), ("Sec-Fetch-Site", "same-site")],
            &[("Origin", ORIGIN), ("Sec-Fetch-Site", "cross-site")],
            &[("Origin", ORIGIN), ("Sec-Fetch-Site", "none")],
            &[("Referer", "http://localhost/account")],
        ];
        match route.forgery {
            // Apps send people here with forms of their own, which only lead to a question; the answer to that question
            // is judged by the handler.
            Forgery::None if route.path == "/logout" => {
                let mut tried: Vec<_> = foreign.map(|headers| (headers, session.csrf.as_str())).to_vec();
                let own: &[(&str, &str)] = &[("Origin", ORIGIN), ("Sec-Fetch-Site", "same-origin")];
                tried.extend([(own, ""), (own, other.csrf.as_str()), (own, older.csrf.as_str())]);
                for (headers, csrf) in tried {
                    let mut client = server.client();
                    client.cookies.push(("dw".to_owned(), session.cookie.clone()));
                    let mut all = vec![("Accept", "application/json"), ("Content-Type", content_type(route))];
                    all.extend(headers);
                    let body = format!("confirmed=yes&csrf={csrf}");
                    let answer = client.send("POST", route.path, &all, body.as_bytes());
                    assert_eq!((answer.status, code_of(&answer)), (403, "csrf".to_owned()), "{headers:?}");
                    assert!(answer.header("set-cookie").is_none());
                }
            }
            Forgery::None => {
                let is_free_of_cookies = matches!(route.action, Action::Open(_) | Action::Proxy(_));
                assert!(is_free_of_cookies, "{name} reads a cookie and asks for nothing");
                let answer = sends(&[("Origin", "https://evil.example")], None);
                assert!(answer.header("set-cookie").is_none(), "{name} sets cookies for anybody");
            }
            Forgery::Origin | Forgery::Session => {
                for headers in foreign {
                    let answer = sends(headers, Some(&session.csrf));
                    assert_eq!(
                        (answer.status, code_of(&answer)),
                        (403, "csrf".to_owned()),
                        "{name} {headers:?}"
                    );
                    assert!(answer.header("set-cookie").is_none());
                }
            }
        }
        if needs_sign_in(route) {
            assert_eq!(route.forgery, Forgery::Session, "{name}");
            let own = [("Origin", ORIGIN), ("Sec-Fetch-Site", "same-origin")];
            let wrong = [
                None,
                Some(""),
                Some(other.csrf.as_str()),
                Some(older.csrf.as_str()),
                Some(session.cookie.as_str()),
                Some(&session.csrf[1..]),
                Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ];
            for token in wrong {
                let answer = sends(&own, token);
                assert_eq!((answer.status, code_of(&answer)), (403, "csrf".to_owned()), "{name} {token:?}");
            }
        }
        assert!(is_signed_in(&server, &session.cookie), "{name}");
    }
    // AUD-01: it is told, once a minute and not for each of the hundreds above.
    server.block_on(server.app().audit.flush()).unwrap();
    let events = server.app().audit.part(&doorward::audit::Filter::default(), None, 200).unwrap().rows;
    assert_eq!(events.iter().filter(|event| event.kind == "request.forged").count(), 1);
}

/// WEB-04: GET changes nothing, whatever it is told to pass for.
#[test]
fn reading_changes_nothing() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    let count = || server.app().store().engine().scan(b"", None, 100_000).unwrap();
    server.block_on(server.app().audit.flush()).unwrap();
    let before = count();
    let events = || server.app().audit.part(&doorward::audit::Filter::default(), None, 200).unwrap().rows;
    let last = events().first().map_or(0, |row| row.sequence);
    for route in ROUTES {
        for (name, value) in
            [("X-HTTP-Method-Override", "DELETE"), ("X-Method-Override", "POST"), ("X-HTTP-Method", "DELETE")]
        {
            let mut client = session.client(&server).with_header(name, value);
            for query in ["", "?_method=DELETE", "?_method=POST&scope=everywhere"] {
                for method in ["GET", "HEAD", "OPTIONS"] {
                    let headers = [("Accept", "text/html"), ("Origin", ORIGIN)];
                    let answer = client.send(method, &format!("{}{query}", path_of(route)), &headers, b"");
                    assert!(
                        answer.status < 500 || route.path == "/readyz",
                        "{} {}",
                        name_of(route),
                        answer.text()
                    );
                }
            }
        }
    }
    assert!(is_signed_in(&server, &session.cookie));
    // Refusals are noted. The page that offers an authenticator app begins a secret that displaces nothing (OTP-02), and
    // the one that offers a passkey draws, once, the bytes by which authenticators will know the account (PK-05).
    for row in events().iter().filter(|row| row.sequence > last) {
        let is_read = row.kind.ends_with("refused")
            || ["access.denied", "audit.exported", "account.exported", "store.exported"]
                .contains(&&*row.kind);
        assert!(is_read, "{} was done by reading", row.kind);
    }
    let tables = [b'a', b'A', b'T', b'h', b'x'];
    // The server writes down what time it is now and then, whether anybody reads or not.
    let is_own = |key: &[u8]| tables.contains(&key[0]) || key == b"mclock" || key == b"mprogress";
    let written: Vec<_> =
        count().into_iter().filter(|pair| !before.contains(pair) && !is_own(&pair.0)).collect();
    let shown: Vec<_> = written.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect();
    assert!(written.is_empty(), "rows were written by reading: {shown:?}");
}

/// WEB-12: a host that is not ours is answered 421 on every route but those that proxies reach by an inner name.
#[test]
fn foreign_hosts_are_misdirected() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session = server.web_session(ada);
    for route in ROUTES {
        let is_inner = matches!(route.action, Action::Proxy(_))
            || matches!(route.path, "/healthz" | "/readyz" | "/api/health");
        // The setup has a rule of its own (SET-03), and here it is over: there is nothing.
        if is_inner || route.path.starts_with("/setup") {
            continue;
        }
        for (name, value) in [
            ("Host", "evil.example"),
            ("Host", "localhost.evil.example"),
            ("Host", "localhost:81"),
            ("Host", "app.home.localhost"),
            ("Host", "127.0.0.1"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Host", "localhost, evil.example"),
        ] {
            let mut client = session.client(&server).with_header(name, value);
            let answer = knock(&mut client, route);
            assert_eq!(answer.status, 421, "{} {name}: {value} {}", name_of(route), answer.text());
            assert!(answer.header("location").is_none() && answer.header("set-cookie").is_none());
        }
    }
    assert!(is_signed_in(&server, &session.cookie));
}

/// RES-03: visitors who are nobody leave nothing behind, neither in memory nor on disk.
#[test]
fn anonymous_visitors_leave_nothing_behind() {
    let server = Server::start_with(|options| options.api_rule.limit = 1_000_000);
    server.add_bare_user("keeper", Role::Admin);
    let rows = || server.app().store().engine().scan(b"", None, 1_000_000).unwrap().len();
    server.block_on(server.app().audit.flush()).unwrap();
    let before = rows();
    for round in 0..40 {
        for path in [
            "/signin",
            "/register",
            "/signout",
            "/",
            "/account",
            "/link/none",
            "/api/v1/users/me",
            "/nothing",
        ] {
            let mut client = server.client().with_header("X-Forwarded-For", &format!("203.0.113.{round}"));
            for (name, value) in
                [("dw", "A".repeat(64)), ("dw_pending", format!("p{round}")), ("dw_device", "x".into())]
            {
                client.cookies.push((name.to_owned(), value));
            }
            let answer = client.get(path);
            let sets =
                answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).count();
            assert_eq!(sets, 0, "{path} gives a visitor a cookie");
        }
    }
    assert_eq!(rows(), before);
    assert_eq!(server.app().sessions.live_count(), 0);
}

/// ENU-02: names can be asked after only as often as one may register, and what is wrong with a password is said first.
#[test]
fn registration_tells_names_to_nobody_in_bulk() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let mut ask = |name: &str| {
        let body = json!({"username": name, "password": PASSWORD});
        client.post("/api/v1/users", body).status
    };
    let statuses = [ask("ada"), ask("ada"), ask("ada"), ask("ada"), ask("nobody")];
    assert_eq!(statuses, [409, 409, 409, 429, 429]);
}

/// SES-05: the cookie that apps see opens nothing at Doorward, and the other way round.
#[test]
fn the_cookie_that_apps_see_opens_nothing_here() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Admin);
    let session: WebSession = server.web_session(ada);
    server.set_rules(&["allow one_factor domain=app.home.localhost"]);
    for name in ["dw", "dw_pending", "dw_device", "dw_refresh"] {
        for route in ROUTES.iter().filter(|route| needs_sign_in(route)) {
            let mut client = session.client(&server);
            client.cookies = vec![(name.to_owned(), session.app_cookie.clone())];
            let answer = knock(&mut client, route);
            assert!(matches!(answer.status, 303 | 401), "{name} {}: {}", name_of(route), answer.status);
        }
    }
    let mut bearer = server.client().with_bearer(&session.app_cookie);
    bearer.get_json("/api/v1/users/me").expect(401);
    // Ending the session ends it for the apps too (SES-08).
    session.client(&server).post("/api/v1/auth/logout", json!({})).expect(204);
    for route in ROUTES.iter().filter(|route| matches!(route.action, Action::Proxy(_))) {
        let mut client = server.client();
        client.cookies.push(("dw_fa".to_owned(), session.app_cookie.clone()));
        assert_eq!(knock(&mut client, route).status, 401);
    }
}
