//! Signing in, over real HTTP: web and API, second factor, refresh, reuse, limits, suspension.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use doorward::accounts::ProfileRecord;
use doorward::accounts::imported::ImportedUser;
use doorward::accounts::passwords::PasswordProof;
use doorward::accounts::records::Role;
use doorward::crypto::password::Ticket;
use doorward::kernel::secret::SecretText;
use doorward::kernel::text::{DisplayName, Username};
use doorward::kernel::time::Clock;
use doorward::sessions::SessionKind;
use serde_json::json;

use crate::harness::{Answer, Authenticator, Client, PASSWORD, Server, in_parallel};

fn login_api(client: &mut Client, name: &str, password: &str) -> Answer {
    client.post("/api/v1/auth/login/api", json!({"username": name, "password": password}))
}

fn tokens(answer: &Answer) -> (String, String) {
    let document = answer.json();
    let text = |name: &str| document[name].as_str().unwrap_or_else(|| panic!("{document}")).to_owned();
    (text("access_token"), text("refresh_token"))
}

/// Signs a user with TOTP in and returns access and refresh token.
fn sign_in_api(server: &Server, name: &str, code: &str) -> (String, String) {
    let mut client = server.client();
    let pending = login_api(&mut client, name, PASSWORD).expect(200).json();
    assert_eq!(pending["status"], "mfa_required", "{pending}");
    let answer =
        client.post("/api/v1/auth/mfa/api", json!({"pending_token": pending["pending_token"], "otp": code}));
    tokens(&answer.expect(200))
}

#[test]
fn a_program_registers_enrols_signs_in_reads_refreshes_and_signs_out() {
    let server = Server::start();
    let mut client = server.client();
    let body = json!({"username": "ada", "password": PASSWORD, "display_name": "Ada Lovelace"});
    let registered = client.post("/api/v1/users", body).expect(201).json();
    assert!(registered["totp"]["otpauth_uri"].as_str().unwrap().starts_with("otpauth://totp/"));
    assert!(registered["totp"]["qr_svg"].as_str().unwrap().starts_with("<svg"));
    let (access, refresh) = tokens(&login_api(&mut client, "Ada", PASSWORD).expect(200));
    let me = server.client().with_bearer(&access).get_json("/api/v1/sessions");
    assert!(me.status == 200 || me.status == 404, "{}", me.text());
    let answer = client.post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).expect(200);
    let (access, refresh) = tokens(&answer);
    let valid = client.post("/api/v1/auth/validate", json!({"token": access})).expect(200).json();
    assert_eq!(valid["active"], true);
    assert_eq!(valid["claims"]["preferred_username"], "ada");
    server.client().with_bearer(&access).post("/api/v1/auth/logout/all", json!({})).expect(204);
    let dead = client.post("/api/v1/auth/validate", json!({"token": access})).expect(200).json();
    assert_eq!(dead["code"], "token_revoked");
    let answer = client.post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).expect(401);
    assert_eq!(answer.code(), "refresh_invalid");
}

/// PWD-06, PWD-09: an old password that was being proven while a new one was set does not come back with its new hash.
#[test]
fn an_old_password_does_not_come_back_over_a_new_one() {
    let server = Server::start();
    let (app, ticket) = (server.app(), Ticket { place: 0, is_known_device: false });
    let old = SecretText::new("an old password of some length".to_owned());
    let new = SecretText::new("a new password of some length".to_owned());
    let hash = |password| server.block_on(app.accounts.hash_password(password, ticket)).unwrap();
    // A hash from elsewhere is made anew at the first sign-in.
    let imported = ImportedUser {
        username: Username::parse("ada").unwrap(),
        display_name: DisplayName::parse("Ada").unwrap(),
        email: None,
        groups: Vec::new(),
        is_disabled: false,
        // Of `openssl passwd -6`.
        password: Some(
            "$6$abcdefghijklmnop$26yebpN58Yg4RGMCw71enk4ypCRuCHgA27HiIbtiEdWHtzfXastBq.P9O3AeNh7s9GtvTns6Ba.IcyoPEvDe./"
                .to_owned(),
        ),
        totp: None,
        profile: ProfileRecord::default(),
    };
    let mut batch = app.store().batch();
    let id = app.accounts.stage_import(&mut batch, imported).unwrap();
    server.block_on(app.store().commit(batch)).unwrap();
    let prove =
        |password| server.block_on(app.accounts.verify_password(Some(id), "ada", password, ticket)).unwrap();
    let PasswordProof::Correct { outdated: Some(outdated) } = prove(&old) else { panic!("not outdated") };
    server.block_on(app.accounts.set_password(id, &hash(&new), |_, _| {})).unwrap();
    server.block_on(app.accounts.rehash_password(id, &old, outdated, ticket));
    assert!(matches!(prove(&old), PasswordProof::Wrong), "the old password is back");
    assert!(matches!(prove(&new), PasswordProof::Correct { outdated: None }));
}

/// GEN-01: a pending sign-in reaches only the second-factor routes.
#[test]
fn a_second_factor_is_asked_for_and_a_pending_token_is_worth_nothing_else() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut client = server.client();
    let pending = login_api(&mut client, "ada", PASSWORD).expect(200).json();
    assert_eq!(pending["status"], "mfa_required");
    let token = pending["pending_token"].as_str().unwrap();
    let answer = server.client().with_bearer(token).post("/api/v1/auth/logout", json!({})).expect(401);
    assert_eq!(answer.code(), "token_malformed");
    let mut thief = server.client();
    thief.cookies.push(("dw".to_owned(), token.to_owned()));
    thief.post("/api/v1/auth/logout", json!({})).expect(401);
    // The web flow does not take the token of the API flow.
    thief.cookies = vec![("dw_pending".to_owned(), token.to_owned())];
    thief.post("/api/v1/auth/mfa/web", json!({"otp": authenticator.code()})).expect(401);
    let mut signed_in = server.client();
    let body = json!({"pending_token": token, "otp": authenticator.code()});
    signed_in.post("/api/v1/auth/mfa/api", body.clone()).expect(200);
    assert_eq!(signed_in.post("/api/v1/auth/mfa/api", body).expect(401).code(), "sign_in_expired");
}

/// OTP-04, OTP-05: a code works once on every path, and a replay looks like a wrong code.
#[test]
fn a_totp_code_works_once() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let code = authenticator.code();
    sign_in_api(&server, "ada", &code);
    let mut client = server.client();
    let pending = login_api(&mut client, "ada", PASSWORD).json()["pending_token"].clone();
    let replay =
        client.post("/api/v1/auth/mfa/api", json!({"pending_token": pending, "otp": code})).expect(401);
    let wrong =
        client.post("/api/v1/auth/mfa/api", json!({"pending_token": pending, "otp": "000000"})).expect(401);
    assert_eq!(replay.code(), wrong.code());
    assert_eq!(replay.code(), "invalid_code");
}

/// Uses one code for a hundred waiting sign-ins of `ada` at the same moment, and tells how many got in.
fn a_hundred_parallel_uses(code: impl FnOnce(Authenticator, Vec<String>) -> String) -> usize {
    let server = Server::start_with(|options| {
        options.sign_in.totp.limit = 1000;
        options.sign_in.totp_hour.limit = 1000;
    });
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, codes) = server.enrol_totp(ada);
    let code = code(authenticator, codes);
    let pending: Vec<_> = (0..100)
        .map(|_| login_api(&mut server.client(), "ada", PASSWORD).expect(200).json()["pending_token"].clone())
        .collect();
    let client = server.client();
    let answers = in_parallel(100, move |index| {
        let body = json!({"pending_token": pending[index], "otp": code});
        client.clone().post("/api/v1/auth/mfa/api", body).status
    });
    assert!(answers.iter().all(|status| matches!(status, 200 | 401)), "{answers:?}");
    answers.iter().filter(|status| **status == 200).count()
}

/// GEN-03, OTP-04: a hundred parallel uses of one TOTP code give one session.
#[test]
fn of_a_hundred_parallel_uses_of_a_totp_code_one_succeeds() {
    assert_eq!(a_hundred_parallel_uses(|authenticator, _| authenticator.code()), 1);
}

/// GEN-03, OTP-09: a hundred parallel uses of one recovery code give one session.
#[test]
fn of_a_hundred_parallel_uses_of_a_recovery_code_one_succeeds() {
    assert_eq!(a_hundred_parallel_uses(|_, codes| codes[3].clone()), 1);
}

/// REF-02, REF-03: in the grace window a hundred parallel uses get one and the same successor.
#[test]
fn of_a_hundred_parallel_refreshes_all_get_the_same_successor() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let (_, refresh) = tokens(&login_api(&mut server.client(), "ada", PASSWORD));
    let client = server.client();
    let answers = in_parallel(100, move |_| {
        let answer =
            client.clone().post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).expect(200);
        tokens(&answer)
    });
    assert!(answers.iter().all(|pair| *pair == answers[0]));
}

/// GEN-03, REF-02: without a grace window exactly one of a hundred succeeds, and the family is revoked.
#[test]
fn of_a_hundred_parallel_refreshes_without_grace_one_succeeds() {
    let server = Server::start_with(|options| options.lifetimes.refresh_grace = Duration::ZERO);
    server.add_user("ada", Role::Member, &[]);
    let (_, refresh) = tokens(&login_api(&mut server.client(), "ada", PASSWORD));
    let client = server.client();
    let answers = in_parallel(100, move |_| {
        client.clone().post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).status
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
}

/// REF-04: a spent token ends the session of whoever holds the newest one, on disk.
#[test]
fn reusing_a_rotated_refresh_token_revokes_its_family() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let (_, first) = tokens(&login_api(&mut client, "ada", PASSWORD));
    let mut refresh = |token: &str| client.post("/api/v1/auth/refresh/api", json!({"refresh_token": token}));
    let (_, second) = tokens(&refresh(&first).expect(200));
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(tokens(&refresh(&first).expect(200)).1, second, "within the grace window: the same again");
    server.clock.advance(Duration::from_secs(6));
    assert_eq!(refresh(&first).expect(401).code(), "refresh_reused");
    assert_eq!(refresh(&second).expect(401).code(), "refresh_invalid");
    let server = server.restart();
    let answer = server.client().post("/api/v1/auth/refresh/api", json!({"refresh_token": second}));
    assert_eq!(answer.expect(401).code(), "refresh_invalid");
}

/// REF-01: a stranger's guess does not harm the family.
#[test]
fn a_guessed_refresh_token_harms_nobody() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let (_, refresh) = tokens(&login_api(&mut client, "ada", PASSWORD));
    let mut guess = refresh.clone().into_bytes();
    for index in [30, 50, 85] {
        guess[index] = if guess[index] == b'A' { b'B' } else { b'A' };
    }
    let guess = String::from_utf8(guess).unwrap();
    client.post("/api/v1/auth/refresh/api", json!({"refresh_token": guess})).expect(401);
    client.post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).expect(200);
}

/// LIM-04, LIM-09, LIM-06: five failures from one place suspend the account there for twelve hours, also after a
/// restart, and the right password answers the same.
#[test]
fn five_failures_suspend_the_account_for_that_place_and_a_restart_changes_nothing() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let from = |server: &Server, ip: &str| server.client().with_header("X-Forwarded-For", ip);
    for _ in 0..5 {
        let answer = login_api(&mut from(&server, "203.0.113.7"), "ada", "wrong password 123").expect(401);
        assert_eq!(answer.code(), "invalid_credentials");
    }
    let answer = login_api(&mut from(&server, "203.0.113.7"), "ada", PASSWORD).expect(429);
    assert_eq!(answer.code(), "suspended");
    assert!(answer.header("retry-after").is_some());
    // Another spelling of the name, the e-mail address, and the web flow are the same account (LIM-02).
    for name in ["ADA", " ada ", "ada@example.org"] {
        assert_eq!(
            login_api(&mut from(&server, "203.0.113.7"), name, PASSWORD).code(),
            "suspended",
            "{name}"
        );
    }
    login_api(&mut from(&server, "203.0.113.8"), "ada", PASSWORD).expect(200);
    let server = server.restart();
    assert_eq!(login_api(&mut from(&server, "203.0.113.7"), "ada", PASSWORD).code(), "suspended");
    server.clock.advance(Duration::from_secs(12 * 3600 + 1));
    login_api(&mut from(&server, "203.0.113.7"), "ada", PASSWORD).expect(200);
}

/// LIM-04: a browser that has signed in before is not locked out by a stranger behind the same address.
#[test]
fn a_known_device_is_exempt_from_the_suspension_of_its_place() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut known = server.client();
    known.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    known.cookies.retain(|(name, _)| name == "dw_device");
    assert_eq!(known.cookies.len(), 1);
    for _ in 0..5 {
        login_api(&mut server.client(), "ada", "wrong password 123").expect(401);
    }
    login_api(&mut server.client(), "ada", PASSWORD).expect(429);
    known.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
}

/// FWD-01: headers from a peer that is no trusted proxy change nothing.
#[test]
fn a_forged_forwarded_address_dodges_no_limit() {
    let server = Server::start_with(|options| options.site.trusted_proxies.clear());
    server.add_user("ada", Role::Member, &[]);
    for attempt in 0..5 {
        let mut client = server.client().with_header("X-Forwarded-For", &format!("198.51.100.{attempt}"));
        login_api(&mut client, "ada", "wrong password 123").expect(401);
    }
    let mut client = server.client().with_header("X-Forwarded-For", "198.51.100.77");
    login_api(&mut client, "ada", PASSWORD).expect(429);
    // Behind a trusted proxy the rightmost untrusted hop counts, whatever the client put before it (FWD-02).
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    for attempt in 0..5 {
        let chain = format!("198.51.100.{attempt}, 203.0.113.9");
        let mut client = server.client().with_header("X-Forwarded-For", &chain);
        login_api(&mut client, "ada", "wrong password 123").expect(401);
    }
    let mut client = server.client().with_header("X-Forwarded-For", "198.51.100.99, 203.0.113.9");
    login_api(&mut client, "ada", PASSWORD).expect(429);
}

/// LIM-03: a hundred parallel wrong passwords are hashed no more often than the limit says.
#[test]
fn parallel_guesses_do_not_slip_past_the_limit() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let client = server.client();
    let answers = in_parallel(100, move |index| {
        login_api(&mut client.clone(), "ada", &format!("wrong password {index}")).status
    });
    let judged = answers.iter().filter(|status| **status == 401).count();
    assert!(judged <= 5, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 401 | 429 | 503)), "{answers:?}");
}

/// ENU-01: known and unknown names, right and wrong, disabled: the same answer.
#[test]
fn unknown_names_answer_like_wrong_passwords() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let bob = server.add_user("bob", Role::Member, &[]);
    let disable = server.app().accounts.change(
        bob,
        |record| {
            record.status = doorward::accounts::Status::Disabled;
            Ok(())
        },
        |_, _| {},
    );
    server.block_on(disable).unwrap();
    let mut shapes = Vec::new();
    for (name, password) in [("ada", "wrong password 123"), ("nobody", PASSWORD), ("bob", PASSWORD)] {
        let answer = login_api(&mut server.client(), name, password).expect(401);
        let mut document = answer.json();
        document["request_id"] = json!(null);
        let mut headers: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
        headers.sort();
        let limit = answer.header("ratelimit").map(str::to_owned);
        shapes.push((document, headers, limit));
    }
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[0], shapes[2]);
}

/// ENU-01: and they take the same time, measured over the real socket.
#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn unknown_names_take_the_same_time() {
    let server = Server::start_with(|options| {
        options.sign_in.sign_in.limit = 1000;
        options.sign_in.suspend.limit = 1000;
        options.sign_in.place.limit = 10_000;
    });
    for index in 0..8 {
        server.add_user(&format!("known{index}"), Role::Member, &[]);
    }
    let mut best = [f64::MAX; 2];
    // The quickest runs tell the work apart from the noise of a busy machine; there it takes more of them.
    for round in 0..200 {
        for (kind, best) in ["known", "stranger"].into_iter().zip(&mut best) {
            let started = Instant::now();
            let name = format!("{kind}{}", round % 8);
            login_api(&mut server.client(), &name, "wrong password 123").expect(401);
            *best = best.min(started.elapsed().as_secs_f64());
        }
        if round >= 12 && (0.7..1.5).contains(&(best[0] / best[1])) {
            return;
        }
    }
    panic!("known names take {} s, unknown ones {} s", best[0], best[1]);
}

#[test]
fn the_web_flow_gives_cookies_and_a_csrf_token_and_needs_it_for_every_change() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut client = server.client();
    let pending =
        client.post("/api/v1/auth/login/web", json!({"username": "ada", "password": PASSWORD})).expect(200);
    assert_eq!(pending.json()["status"], "mfa_required");
    assert!(pending.json().get("pending_token").is_none(), "the cookie carries it");
    let answer = client.post("/api/v1/auth/mfa/web", json!({"otp": authenticator.code()})).expect(200);
    let csrf = answer.json()["csrf_token"].as_str().unwrap().to_owned();
    assert!(answer.json().get("access_token").is_none());
    let cookie = answer.headers.iter().find(|(_, value)| value.starts_with("dw=")).unwrap();
    assert!(
        cookie.1.contains("HttpOnly") && cookie.1.contains("SameSite=Lax") && cookie.1.contains("Path=/")
    );
    assert!(client.cookie("dw_pending").is_none());
    // WEB-01, WEB-02, WEB-03: no token, another session's token, the cookie echoed, a foreign or missing origin.
    let logout = |client: &Client, headers: &[(&str, &str)]| {
        client.clone().send("POST", "/api/v1/auth/logout", headers, b"").status
    };
    let session = client.cookie("dw").unwrap();
    let origin = ("Origin", crate::harness::ORIGIN);
    assert_eq!(logout(&client, &[origin]), 403);
    assert_eq!(logout(&client, &[origin, ("X-CSRF-Token", &session)]), 403);
    assert_eq!(logout(&client, &[("X-CSRF-Token", &csrf)]), 403);
    assert_eq!(logout(&client, &[("Origin", "null"), ("X-CSRF-Token", &csrf)]), 403);
    assert_eq!(logout(&client, &[("Origin", "http://localhost:81"), ("X-CSRF-Token", &csrf)]), 403);
    assert_eq!(
        logout(&client, &[origin, ("Sec-Fetch-Site", "same-site"), ("X-CSRF-Token", &csrf)]),
        403,
        "protected apps are siblings"
    );
    assert_eq!(logout(&client, &[origin, ("Sec-Fetch-Site", "same-origin"), ("X-CSRF-Token", &csrf)]), 204);
    assert_eq!(logout(&client, &[origin, ("X-CSRF-Token", &csrf)]), 401);
}

#[test]
fn the_refresh_cookie_renews_a_web_session_and_needs_the_csrf_token() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let answer = client.post("/api/v1/auth/login/web", json!({"username": "ada", "password": PASSWORD}));
    let csrf = answer.expect(200).json()["csrf_token"].as_str().unwrap().to_owned();
    client.post("/api/v1/auth/refresh/web", json!({})).expect(403);
    let before = client.cookie("dw").unwrap();
    client.headers.push(("X-CSRF-Token".to_owned(), csrf));
    client.post("/api/v1/auth/refresh/web", json!({})).expect(200);
    let after = client.cookie("dw").unwrap();
    assert_ne!(before, after, "SES-02: a new secret");
    let mut old = server.client();
    old.cookies.push(("dw".to_owned(), before));
    old.post("/api/v1/auth/logout", json!({})).expect(401);
    client.post("/api/v1/auth/logout", json!({})).expect(204);
}

#[test]
fn a_person_signs_in_with_the_forms_and_no_script() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, codes) = server.enrol_totp(ada);
    let mut client = server.client();
    client.get("/signin?rd=%2Faccount").expect(200);
    let answer = client
        .form("/signin", &[("username", "ada"), ("password", PASSWORD), ("rd", "/account")])
        .expect(303);
    assert_eq!(answer.header("location"), Some("/signin/second-factor"));
    client.get("/signin/second-factor").expect(200);
    client.form("/signin/second-factor", &[("code", "000000")]).expect(401);
    let answer = client.form("/signin/second-factor", &[("code", &authenticator.code())]).expect(303);
    assert_eq!(answer.header("location"), Some("http://localhost/account"));
    let page = client.get("/signout").expect(200);
    let csrf = page.input("csrf").unwrap();
    client.form("/signout", &[("csrf", "wrong")]).expect(403);
    client.form("/signout", &[("csrf", &csrf), ("scope", "here")]).expect(200);
    assert!(client.cookie("dw").is_none());
    // And with a recovery code.
    client.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    client.get("/signin/recovery").expect(200);
    client.form("/signin/recovery", &[("recovery_code", &codes[0].to_uppercase())]).expect(303);
}

/// SES-06: no sign-in over plain HTTP from another machine.
#[test]
fn plain_http_from_another_machine_is_refused() {
    let server = Server::start();
    let mut client = server
        .client()
        .with_header("X-Forwarded-For", "203.0.113.5")
        .with_header("X-Forwarded-Proto", "http");
    let page = client.get("/signin").expect(403);
    assert!(page.text().contains("not encrypted"));
    server.add_user("ada", Role::Member, &[]);
    for path in [
        "/api/v1/auth/login/api",
        "/api/v1/auth/login/web",
        "/api/v1/auth/mfa/api",
        "/api/v1/auth/refresh/api",
    ] {
        let answer = client.post(path, json!({"username": "ada", "password": PASSWORD})).expect(403);
        assert_eq!(answer.code(), "insecure_connection", "{path}");
    }
    // The table decides, so that no route is forgotten: what signs nobody in is named one by one.
    let fine: Vec<_> = doorward::routes::ROUTES
        .iter()
        .filter(|route| route.is_plain_http_fine && !route.path.starts_with("/setup"))
        .map(|route| route.path)
        .collect();
    assert_eq!(
        fine,
        [
            "/api/v1/auth/validate",
            "/api/v1/keys",
            "/preferences",
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
            "/jwks.json",
            "/api/authz/auth-request",
            "/api/authz/auth-request/basic",
            "/api/authz/forward-auth",
            "/api/authz/forward-auth/basic",
            "/api/authz/ext-authz",
            "/api/authz/ext-authz/",
            "/api/authz/ext-authz/{*path}",
            "/api/verify",
            "/api/verify/",
            "/api/verify/{*path}",
        ]
    );
    let mut client = server.client().with_header("X-Forwarded-For", "203.0.113.5");
    client.get("/signin").expect(200);
}

/// OTP-06: five wrong codes kill the waiting sign-in.
#[test]
fn too_many_wrong_codes_ask_for_the_password_again() {
    let server = Server::start_with(|options| {
        options.sign_in.totp.limit = 100;
        options.sign_in.totp_hour.limit = 100;
    });
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    let mut client = server.client();
    let pending = login_api(&mut client, "ada", PASSWORD).json()["pending_token"].clone();
    for attempt in 1..=5 {
        let answer = client
            .post("/api/v1/auth/mfa/api", json!({"pending_token": pending, "otp": "000000"}))
            .expect(401);
        assert_eq!(answer.code(), if attempt < 5 { "invalid_code" } else { "too_many_codes" });
    }
    let body = json!({"pending_token": pending, "otp": authenticator.code()});
    assert_eq!(client.post("/api/v1/auth/mfa/api", body).expect(401).code(), "sign_in_expired");
}

/// TOK-11, SES-09, GEN-02: disabling a user is in force at the next request on every path.
#[test]
fn a_disabled_user_is_out_at_once() {
    let server = Server::start();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let (access, refresh) = tokens(&login_api(&mut client, "ada", PASSWORD));
    let mut browser = server.client();
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let change = server.app().accounts.change(
        ada,
        |record| {
            record.status = doorward::accounts::Status::Disabled;
            Ok(())
        },
        |_, _| {},
    );
    server.block_on(change).unwrap();
    let dead = client.post("/api/v1/auth/validate", json!({"token": access})).json();
    assert_eq!(dead["code"], "token_revoked");
    client.post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).expect(401);
    server.client().with_bearer(&access).post("/api/v1/auth/logout", json!({})).expect(401);
    server.set_rules(&["allow one_factor domain=app.home.localhost user=ada"]);
    let fa = browser.cookie("dw_fa").unwrap();
    let mut proxy = server
        .client()
        .with_header("X-Original-URL", "https://app.home.localhost/")
        .with_header("X-Original-Method", "GET");
    proxy.cookies.push(("dw_fa".to_owned(), fa));
    proxy.get("/api/authz/auth-request").expect(401);
    let answer = browser.get("/signout").expect(200);
    assert!(answer.input("csrf").is_none());
}

/// TOK-15: after an emergency rotation no old token is accepted, not even one that was being verified meanwhile.
#[test]
fn no_token_outlives_the_replacement_of_its_key() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client();
    let (access, mut refresh) = tokens(&login_api(&mut client, "ada", PASSWORD));
    let mut issued = vec![access];
    for _ in 0..60 {
        let answer = client.post("/api/v1/auth/refresh/api", json!({"refresh_token": refresh})).expect(200);
        let (access, next) = tokens(&answer);
        issued.push(access);
        refresh = next;
    }
    let issued = Arc::new(issued);
    let barrier = Arc::new(Barrier::new(4));
    let now = doorward::kernel::time::Clock::now(&*server.clock);
    let verifying: Vec<_> = (0..3)
        .map(|_| {
            let (app, issued, barrier) = (server.app().clone(), issued.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                for token in issued.iter() {
                    let _ = app.sessions.validate(token, now);
                }
            })
        })
        .collect();
    barrier.wait();
    server.block_on(server.app().sessions.replace_keys(|_| {})).unwrap();
    for thread in verifying {
        thread.join().unwrap();
    }
    for token in issued.iter() {
        let refusal = server.app().sessions.validate(token, now).unwrap_err();
        assert_eq!(refusal.code(), "token_bad_signature");
    }
}

/// SES-07: when a session was last used is on disk within a minute or two, also if another one of the same commit changed
/// meanwhile: what the disk does not know is gone with the next restart.
#[test]
fn a_last_use_is_written_though_another_session_changes_meanwhile() {
    let server = Server::start();
    let ada = server.add_bare_user("ada", Role::Member);
    let [first, second] = [(); 2].map(|()| server.web_session(ada));
    server.clock.advance(Duration::from_secs(300));
    let used = server.clock.now();
    for session in [&first, &second] {
        session.client(&server).get_json("/api/v1/users/me").expect(200);
    }
    let app = server.app();
    let (release, held) = std::sync::mpsc::channel::<()>();
    server.block_on(async {
        // The writer is held, so that a refresh of one session waits in front of what the sweep writes.
        let mut batch = app.store().batch();
        app.site.stage_set(&mut batch, doorward::site::Setting::InstanceName, "Busy");
        batch.after(move || {
            let _ = held.recv();
        });
        let mut busy = std::pin::pin!(app.store().commit(batch));
        begin(busy.as_mut()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut refresh = std::pin::pin!(app.sessions.refresh(&first.refresh, SessionKind::Web));
        begin(refresh.as_mut()).await;
        let mut sweep = std::pin::pin!(app.sessions.sweep());
        begin(sweep.as_mut()).await;
        release.send(()).unwrap();
        busy.await.unwrap();
        assert!(refresh.await.is_ok());
        sweep.await.unwrap();
    });
    let server = server.restart();
    let views = server.app().sessions.list(&ada).unwrap();
    assert_eq!(views.len(), 2);
    for view in views {
        assert_eq!(view.last_seen, used, "{}", if view.id == first.id { "refreshed" } else { "the other" });
    }
}

/// Lets a future do what it does before it first waits.
async fn begin<F: Future>(mut future: std::pin::Pin<&mut F>) {
    std::future::poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}
