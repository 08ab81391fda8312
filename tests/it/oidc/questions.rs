//! The authorization endpoint between the app and the person: what is asked, by whom, and what cannot be slipped in.

use std::time::Duration;

use super::steps::*;
use super::*;

fn post(browser: &mut Client, path: &str, origin: &str, site: &str, fields: &[(&str, &str)]) -> Answer {
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin), ("Sec-Fetch-Site", site)];
    browser.send("POST", path, &headers, query(fields).as_bytes())
}

/// WEB-01, OA-14: a page of another site, or of another session, agrees to nothing.
#[test]
fn another_site_cannot_agree_for_the_person() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let mut browser = provider.ada();
    let page = provider.authorize(&mut browser, &app, &[]).expect(200);
    let field = |name: &str| unescape(&page.input(name).unwrap());
    let (csrf, request, question) = (field("csrf"), field("request"), field("question"));
    let foreign = provider.ada().get("/device").expect(200).input("csrf").unwrap();
    let agree = |browser: &mut Client, csrf: &str, origin: &str, site: &str| {
        let fields =
            [("csrf", csrf), ("request", &*request), ("question", &*question), ("decision", "allow")];
        post(browser, "/oauth2/consent", origin, site, &fields)
    };
    for (csrf, origin, site) in [
        (&*csrf, "https://evil.example", "cross-site"),
        (&csrf, "https://app.example.org", "cross-site"),
        (&csrf, "http://notes.home.localhost", "same-site"),
        (&csrf, "null", "cross-site"),
        ("", ORIGIN, "same-origin"),
        ("x", ORIGIN, "same-origin"),
        (&foreign, ORIGIN, "same-origin"),
    ] {
        agree(&mut browser, csrf, origin, site).expect(403);
    }
    let mut nobody = provider.browser();
    assert!(agree(&mut nobody, &csrf, ORIGIN, "same-origin").status >= 400);
    // Nor does an address.
    let path =
        format!("{}&decision=allow&question={}&csrf={csrf}", provider.authorize_path(&app, &[]), "openid");
    browser.get(&path).expect(200);
    assert_eq!(browser.get("/oauth2/consent").status, 405);
    let answer = provider.redirect(&mut browser, &app, &[("prompt", "none")]);
    assert_eq!(answer.get("error"), Some("consent_required"));
    agree(&mut browser, &csrf, ORIGIN, "same-origin").expect(303);
}

/// OA-14: the answer is to the question on the page; whoever changes the request afterwards is asked again.
#[test]
fn consent_covers_what_the_page_showed_and_nothing_else() {
    let provider = Provider::start();
    let api = "https://api.example.org";
    let app = provider.add_app(json!({ "consent": "once", "audiences": [api] }));
    let other = provider.add_app(json!({ "consent": "once", "name": "Evil" }));
    let mut browser = provider.ada();
    let page = provider.authorize(&mut browser, &app, &[("scope", "openid email")]).expect(200);
    let field = |name: &str| unescape(&page.input(name).unwrap());
    let (csrf, question) = (field("csrf"), field("question"));
    let path = |app: &App, extra: &[(&str, &str)]| {
        provider.authorize_path(app, extra).split_once('?').unwrap().1.to_owned()
    };
    for request in [
        path(&app, &[("scope", "openid email groups")]),
        path(&app, &[("scope", "openid email offline_access")]),
        path(&app, &[("scope", "openid email"), ("resource", api)]),
        path(&app, &[("scope", "openid")]),
        path(&app, &[])
            + "&claims=%7B%22userinfo%22%3A%7B%22phone_number%22%3Anull%2C%22groups%22%3Anull%7D%7D",
    ] {
        let fields =
            [("csrf", &*csrf), ("request", &request), ("question", &question), ("decision", "allow")];
        let answer = browser.form("/oauth2/consent", &fields).expect(200);
        assert!(answer.text().contains("consent-allow"), "asked again: {request}");
    }
    for (request, question) in [
        (path(&app, &[("scope", "openid email"), ("redirect_uri", "https://evil.example/")]), &question),
        (path(&app, &[("scope", "openid email"), ("client_id", "evil")]), &question),
        (String::new(), &question),
    ] {
        let fields = [("csrf", &*csrf), ("request", &request), ("question", question), ("decision", "allow")];
        let answer = browser.form("/oauth2/consent", &fields).expect(400);
        assert!(answer.header("location").is_none());
    }
    // No decision, or a strange one, is no.
    for decision in ["", "yes", "ALLOW", "deny"] {
        let request = path(&app, &[("scope", "openid email")]);
        let fields =
            [("csrf", &*csrf), ("request", &request), ("question", &question), ("decision", decision)];
        let answer = browser.form("/oauth2/consent", &fields).expect(303);
        assert_eq!(Redirect::of(answer.header("location").unwrap()).get("error"), Some("access_denied"));
    }
    let answer = provider.redirect(&mut browser, &app, &[("scope", "openid email"), ("prompt", "none")]);
    assert_eq!(answer.get("error"), Some("consent_required"));
    decide(&mut browser, &page, "allow").expect(303);
    for (app, scope, is_asked) in [
        (&app, "openid email", false),
        (&app, "email openid", false),
        (&app, "openid", true),
        (&app, "openid email groups", true),
        (&other, "openid email", true),
    ] {
        let answer = provider.redirect(&mut browser, app, &[("scope", scope), ("prompt", "none")]);
        assert_eq!(answer.get("error"), is_asked.then_some("consent_required"), "{scope}");
    }
    assert!(
        provider
            .authorize(&mut browser, &app, &[("scope", "openid email"), ("prompt", "consent")])
            .expect(200)
            .text()
            .contains("consent-allow")
    );
}

/// OA-14: the mark "I asked at that moment" is ours alone and belongs to one request.
#[test]
fn the_mark_of_a_request_cannot_be_forged_or_moved() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut stranger = provider.browser();
    // An attacker has a mark from before the person signed in.
    let mark_of = |answer: Answer| {
        let page = answer.expect(303).header("location").unwrap().to_owned();
        Redirect::of(Redirect::of(&page).get("rd").unwrap()).get("doorward_asked_at").unwrap().to_owned()
    };
    let old = mark_of(provider.authorize(&mut stranger, &app, &[("prompt", "login"), ("state", "mine")]));
    let plain = mark_of(provider.authorize(&mut stranger, &app, &[]));
    provider.server.clock.advance(Duration::from_secs(10));
    let mut browser = provider.ada();
    provider.server.clock.advance(Duration::from_secs(10));
    let (millis, mac) = old.split_once('.').unwrap();
    let later = format!("{}.{mac}", millis.parse::<u64>().unwrap() + 1);
    for mark in [
        &*old,
        &plain,
        &later,
        &format!("{millis}."),
        &format!("{millis}.AAAA"),
        millis,
        "0.",
        "99999999999999999999999.x",
        "-1.x",
        "",
        &format!("{millis}.{}", "A".repeat(43)),
    ] {
        for (name, value) in
            [("prompt", "login"), ("max_age", "5"), ("max_age", "0"), ("prompt", "select_account")]
        {
            let extra = [(name, value), ("state", "theirs"), ("doorward_asked_at", mark)];
            let answer = provider.authorize(&mut browser, &app, &extra).expect(303);
            let to = answer.header("location").unwrap();
            assert!(to.starts_with("/signin?"), "{mark} {name}: {to}");
        }
    }
    // Twice is not once; and what an app pushes is no mark at all.
    let path =
        provider.authorize_path(&app, &[("prompt", "login"), ("state", "mine"), ("doorward_asked_at", &old)]);
    let twice = format!("{path}&doorward_asked_at={old}");
    assert!(browser.get(&twice).header("location").unwrap().starts_with("/signin?"));
    let uri = provider.push(&app, &[("prompt", "login"), ("state", "mine"), ("doorward_asked_at", &old)]);
    let pushed = format!("/oauth2/authorize?{}", query(&[("client_id", &app.id), ("request_uri", &uri)]));
    assert!(browser.get(&pushed).expect(303).header("location").unwrap().starts_with("/signin?"));
    // It is good for the request it was made for, as long as somebody may take to sign in.
    Redirect::of(browser.get(&path).expect(303).header("location").unwrap()).code();
    provider.server.clock.advance(Duration::from_secs(3600));
    let mut browser = provider.ada();
    assert!(browser.get(&path).expect(303).header("location").unwrap().starts_with("/signin?"));
}

/// The stay goes on through a step-up and a new sign-in of the same person, and so do the tokens; it ends with anything
/// else, and so do they.
#[test]
fn tokens_live_as_long_as_the_stay() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    provider.server.add_user("bob", Role::Member, &[]);
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[("scope", "openid offline_access")]);
    let lives = || provider.is_active(&app, text(&tokens, "access_token"));
    provider.server.clock.advance(Duration::from_secs(1));
    let csrf = browser.get("/step-up").expect(200).input("csrf").unwrap();
    browser.form("/step-up", &[("csrf", &csrf), ("password", PASSWORD)]).expect(303);
    assert!(lives());
    let code = provider.redirect(&mut browser, &app, &[]).code();
    provider.sign_in(&mut browser, "/signin?again=1", "ada");
    assert!(lives());
    let again = provider.exchange(&app, &code, &[]).expect(200).json();
    let sid = |tokens: &Value| claims(text(tokens, "id_token"))["sid"].clone();
    assert_eq!(sid(&again), sid(&tokens), "one stay, one sid");
    let code = provider.redirect(&mut browser, &app, &[]).code();
    provider.sign_in(&mut browser, "/signin?again=1", "bob");
    assert!(!lives());
    assert!(!provider.is_active(&app, text(&again, "access_token")));
    assert_eq!(error_of(&provider.exchange(&app, &code, &[]).expect(400)), "invalid_grant");
    assert_eq!(
        error_of(&provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(400)),
        "invalid_grant"
    );
}

/// WEB-09: what an app sends comes back in the form, escaped, and leads nowhere else.
#[test]
fn the_page_that_posts_the_answer_escapes_everything() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "name": "<script>alert(1)</script>", "consent": "once" }));
    let mut browser = provider.ada();
    let state = "\"><script>alert(1)</script>'&amp;\u{1f600}";
    let extra = [("response_mode", "form_post"), ("state", state), ("prompt", "none")];
    let page = provider.authorize(&mut browser, &app, &extra).expect(200);
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    assert!(page.input("state").is_some_and(|value| !value.contains('<') && value.contains("&#60;")));
    assert!(page.text().contains(&format!("action=\"{CALLBACK}\"")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("location").is_none());
    let page = provider.authorize(&mut browser, &app, &[("state", state)]).expect(200);
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    decide(&mut browser, &page, "allow").expect(303);
    let answer = provider.redirect(&mut browser, &app, &[("state", state)]);
    assert_eq!(answer.get("state"), Some(state));
    let page = provider.authorize(&mut browser, &app, &[("response_mode", "form_post")]).expect(200);
    let code = page.input("code").unwrap();
    provider.exchange(&app, &code, &[]).expect(200);
}

/// RFC 6749 section 4.1.2.1: whatever was sent, a description holds only what may stand in one.
#[test]
fn descriptions_hold_only_what_may_stand_in_one() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    for (name, value) in [
        ("prompt", "\"\\\r\n\u{e4}"),
        ("response_type", "\"\\"),
        ("claims", "{\"\\"),
        ("scope", "\"\\"),
        ("max_age", "\"\\"),
        ("resource", "\"\\"),
        ("code_challenge_method", "\"\\"),
        ("dpop_jkt", "\"\\"),
        ("response_mode", "\"\\"),
        ("id_token_hint", "\"\\"),
        ("registration", "\"\\"),
        ("request", "\"\\"),
    ] {
        let answer = provider.authorize(&mut browser, &app, &[(name, value)]).expect(303);
        let answer = Redirect::of(answer.header("location").unwrap());
        let allowed = ["error", "error_description", "state", "iss"];
        assert!(answer.params.keys().all(|name| allowed.contains(&name.as_str())), "{answer:?}");
        let description = answer.get("error_description").unwrap_or_default();
        let is_plain = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(description.bytes().all(is_plain), "{name}: {description}");
    }
    let twice = query(&[("\"\\\u{e4}", "1"), ("\"\\\u{e4}", "2")]);
    let answer = browser.get(&format!("{}&{twice}", provider.authorize_path(&app, &[]))).expect(303);
    let answer = Redirect::of(answer.header("location").unwrap());
    assert!(!answer.get("error_description").unwrap().contains(['"', '\\']), "{answer:?}");
}

/// OA-11: a pushed request is good once, for its client, for a minute; nothing beside it counts.
#[test]
fn a_pushed_request_stands_alone_and_is_answered_once() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let other = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let path = |app: &App, uri: &str, extra: &[(&str, &str)]| {
        let pairs = [&[("client_id", &*app.id), ("request_uri", uri)], extra].concat();
        format!("/oauth2/authorize?{}", query(&pairs))
    };
    let uri = provider.push(&app, &[]);
    browser.get(&path(&other, &uri, &[])).expect(400);
    let beside = [
        ("scope", "openid groups"),
        ("redirect_uri", "https://evil.example"),
        ("state", "evil"),
        ("prompt", "none"),
    ];
    let page = browser.get(&path(&app, &uri, &beside)).expect(200);
    assert_eq!(unescape(&page.input("question").unwrap()), "openid");
    // Refused is answered too.
    let answer = decide(&mut browser, &page, "deny").expect(303);
    let answer = Redirect::of(answer.header("location").unwrap());
    assert_eq!((answer.get("error"), answer.get("state")), (Some("access_denied"), Some("the-state")));
    browser.get(&path(&app, &uri, &[])).expect(400);
    decide(&mut browser, &page, "allow").expect(400);
    let uri = provider.push(&app, &[]);
    let page = browser.get(&path(&app, &uri, &[])).expect(200);
    decide(&mut browser, &page, "allow").expect(303);
    for browser in [&mut browser, &mut provider.browser()] {
        browser.get(&path(&app, &uri, &[])).expect(400);
    }
    let uri = provider.push(&app, &[]);
    provider.server.clock.advance(Duration::from_secs(60));
    browser.get(&path(&app, &uri, &[])).expect(400);
    for (name, value) in [
        ("request_uri", &*uri),
        ("request", "x"),
        ("redirect_uri", "https://evil.example"),
        ("response_type", "token"),
    ] {
        let mut fields = vec![("response_type", "code"), ("redirect_uri", CALLBACK), ("scope", "openid")];
        fields.retain(|(own, _)| *own != name);
        fields.push((name, value));
        provider.post_as(&app, "/oauth2/par", &fields).expect(400);
    }
    let uri = format!("{ORIGIN}/oauth2/authorize");
    for uri in ["https://app.example.org/request.jwt", "http://127.0.0.1:1/x", "file:///etc/passwd", &uri] {
        let answer = provider.redirect(&mut browser, &app, &[("request_uri", uri)]);
        assert_eq!(answer.get("error"), Some("request_uri_not_supported"));
    }
}

/// RES-03, LIM-01: whoever knows the name of a public client can push in its name, but not without end.
#[test]
fn requests_in_the_name_of_a_public_client_are_limited() {
    let provider = Provider::start();
    let public = provider.add_app(json!({ "kind": "public", "auth_method": "none" }));
    let challenge = challenge(VERIFIER);
    let fields = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
    ];
    for _ in 0..120 {
        provider.post_as(&public, "/oauth2/par", &fields).expect(201);
    }
    let answer = provider.post_as(&public, "/oauth2/par", &fields).expect(429);
    assert!(answer.header("retry-after").is_some());
    provider.push(&provider.add_app(json!({})), &[]);
}
