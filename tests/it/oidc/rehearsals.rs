//! An administrator tries a sign-in to an app: it shows every step, and is of no use for anything else.

use doorward::accounts::records::Role;

use super::*;

/// A browser of an administrator who has just signed in.
fn admin(provider: &Provider, name: &str) -> Client {
    provider.server.add_user(name, Role::Admin, &[]);
    let mut browser = provider.browser();
    provider.sign_in(&mut browser, "/signin", name);
    browser
}

fn page(app: &App) -> String {
    format!("/admin/apps/{}/test", app.id)
}

/// Presses the button; returns the address that the browser goes to.
#[track_caller]
fn begin(browser: &mut Client, app: &App) -> String {
    let csrf = browser.get(&page(app)).expect(200).input("csrf").unwrap();
    let answer = browser.form(&page(app), &[("csrf", &csrf), ("redirect_uri", CALLBACK)]).expect(303);
    let there = answer.header("location").unwrap().to_owned();
    assert!(there.starts_with("/oauth2/authorize?"), "{there}");
    there
}

/// Begins, and goes on to where the answer is taken; returns that address.
#[track_caller]
fn answered(browser: &mut Client, app: &App) -> String {
    let there = begin(browser, app);
    let answer = browser.get(&there).expect(303);
    answer.header("location").unwrap().to_owned()
}

#[test]
fn every_step_is_shown_and_everything_is_taken_back() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "pkce": "required", "claims_in_id_token": true }));
    let mut browser = admin(&provider, "warden");
    let before = browser.get(&page(&app)).expect(200).text();
    assert!(!before.contains("id=\"result\""), "{before}");
    let done = answered(&mut browser, &app);
    assert!(done.starts_with(&format!("/admin/apps/{}/test/done?code=", app.id)), "to nobody but us: {done}");
    let code = Redirect::of(&done).code();
    let end = browser.get(&done).expect(303);
    assert_eq!(end.header("location"), Some(&*format!("{}#result", page(&app))));
    let text = browser.get(&page(&app)).expect(200).text();
    for part in [
        "Every step went well",
        "Request accepted",
        CALLBACK,
        "As warden",
        "Token exchange",
        "access_token (",
        "id_token (",
        "refresh_token (",
        "ID token verified",
        "Signed with RS256",
        "Userinfo",
        "All of them are refused now",
        "warden@example.org",
        "preferred_username",
    ] {
        assert!(unescape(&text).contains(part), "{part}: {text}");
    }
    // Nothing that could be used is on the page.
    assert!(!text.contains(&code) && !text.contains("eyJ"), "{text}");
    // The code is used, and was of no use to the app at any time.
    let refused = provider.exchange(&app, &code, &[]).expect(400).json();
    assert_eq!(refused["error"], "invalid_grant");
    // It counts as no use of the app, and says in the log what it was.
    assert!(browser.get("/admin/apps").expect(200).text().contains("Nobody has signed in to it yet"));
    let log = provider.admin().get_json("/api/v1/admin/audit?limit=50").expect(200).text();
    assert!(log.contains("app.signed_in") && log.contains("[\"by\",\"test\"]"), "{log}");
}

/// The answer goes to the page of the rehearsal and nowhere else, whatever the request says.
#[test]
fn a_rehearsal_is_no_open_redirect() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let other = provider.add_app(json!({ "name": "Other" }));
    let mut browser = admin(&provider, "warden");
    let there = begin(&mut browser, &app);
    let evil = form_urlencoded::byte_serialize(b"https://evil.example/").collect::<String>();
    let callback = form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>();
    let to = |from: &str, into: &str| {
        assert!(there.contains(from), "{from} in {there}");
        there.replacen(from, into, 1)
    };
    for changed in [
        to(&callback, &evil),
        to(&format!("client_id={}", app.id), &format!("client_id={}", other.id)),
        to("&state=", "&state=x"),
        to("&nonce=", "&nonce=x"),
        to("code_challenge=", "code_challenge=x"),
        to("doorward_rehearsal=", "doorward_rehearsal=x"),
        format!("{there}&doorward_rehearsal=y"),
        to("&state=", "&x="),
    ] {
        let answer = browser.get(&changed);
        assert!(
            matches!(answer.status, 400) && answer.header("location").is_none(),
            "{changed}: {}",
            answer.status
        );
    }
    // A form that the browser would post elsewhere is no way out either.
    let done = browser.get(&format!("{there}&response_mode=form_post")).expect(303);
    assert!(done.header("location").unwrap().starts_with(&page(&app)));
}

/// A link to a rehearsal is worth nothing to anybody else: not to another administrator, not to a person who is led to
/// it, not to somebody without a session, and not to the same person in another browser.
#[test]
fn nobody_else_can_be_made_to_sign_in_for_it() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = admin(&provider, "warden");
    let mut second = admin(&provider, "other-warden");
    let there = begin(&mut browser, &app);
    let mut again = provider.browser();
    provider.sign_in(&mut again, "/signin", "warden");
    for stranger in [&mut provider.ada(), &mut second, &mut provider.browser(), &mut again] {
        let answer = stranger.get(&there);
        assert!(answer.status == 400 && answer.header("location").is_none(), "{}", answer.status);
        assert!(answer.text().contains("This test is over"), "{}", answer.text());
    }
    let done = answered(&mut browser, &app);
    for (stranger, status) in
        [(&mut provider.ada(), 403), (&mut second, 400), (&mut provider.browser(), 303), (&mut again, 400)]
    {
        let answer = stranger.get(&done);
        assert_eq!(answer.status, status);
        assert!(!answer.header("location").unwrap_or_default().starts_with(&page(&app)), "{answer:?}");
        assert!(!stranger.get(&page(&app)).text().contains("id=\"result\""));
    }
    // The one who began it can still end it.
    browser.get(&done).expect(303);
    assert!(browser.get(&page(&app)).text().contains("Every step went well"));
}

/// GEN-03: a ticket gives one code, and the answer counts once. A page that is loaded again is no theft.
#[test]
fn a_ticket_is_good_once_and_not_for_long() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = admin(&provider, "warden");
    let there = begin(&mut browser, &app);
    let done = browser.get(&there).expect(303).header("location").unwrap().to_owned();
    browser.get(&there).expect(400);
    browser.get(&done).expect(303);
    browser.get(&done).expect(400);
    assert!(browser.get(&page(&app)).text().contains("Every step went well"), "what came of it stays");
    let log = provider.admin().get_json("/api/v1/admin/audit?limit=50").expect(200).text();
    assert!(!log.contains("app.token_reused"), "{log}");

    let late = begin(&mut browser, &app);
    provider.server.clock.advance(std::time::Duration::from_secs(601));
    browser.get(&late).expect(400);
}

/// Codes of real sign-ins are not taken, whosever they are, and the app cannot take the code of a rehearsal.
#[test]
fn only_codes_of_the_rehearsal_count() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = admin(&provider, "warden");
    let ticket = Redirect::of(&begin(&mut browser, &app)).get("state").unwrap().to_owned();
    let own = provider.redirect(&mut browser, &app, &[]).code();
    let of_ada = provider.redirect(&mut provider.ada(), &app, &[]).code();
    for code in [&own, &of_ada, "nonsense"] {
        let query = query(&[("code", code), ("state", &ticket), ("iss", ORIGIN)]);
        browser.get(&format!("{}/done?{query}", page(&app))).expect(400);
        assert!(!browser.get(&page(&app)).text().contains("id=\"result\""));
    }
    // They were not used up by the attempt.
    provider.exchange(&app, &own, &[]).expect(200);
    provider.exchange(&app, &of_ada, &[]).expect(200);

    let done = Redirect::of(&answered(&mut browser, &app));
    for verifier in [None, Some(VERIFIER), done.get("state")] {
        let fields: Vec<(&str, &str)> =
            verifier.iter().map(|verifier| ("code_verifier", *verifier)).collect();
        assert_eq!(
            provider.exchange(&app, &done.code(), &fields).expect(400).json()["error"],
            "invalid_grant"
        );
    }
    // Another issuer's answer is none.
    let query = query(&[
        ("code", &done.code()),
        ("state", done.get("state").unwrap()),
        ("iss", "https://evil.example"),
    ]);
    browser.get(&format!("{}/done?{query}", page(&app))).expect(400);
}

/// The question is the real one, and the answer is not remembered.
#[test]
fn what_was_agreed_to_in_a_rehearsal_is_not_kept() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let mut browser = admin(&provider, "warden");
    for (decision, said) in [("allow", "Every step went well"), ("deny", "You said no")] {
        let there = begin(&mut browser, &app);
        let asked = browser.get(&there).expect(200);
        let field = |name: &str| unescape(&asked.input(name).unwrap());
        let fields = [
            ("csrf", field("csrf")),
            ("request", field("request")),
            ("question", field("question")),
            ("decision", decision.to_owned()),
        ];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = browser.form("/oauth2/consent", &fields).expect(303);
        let done = answer.header("location").unwrap().to_owned();
        assert!(done.starts_with(&page(&app)), "{done}");
        browser.get(&done).expect(303);
        let text = browser.get(&page(&app)).expect(200).text();
        assert!(text.contains(said), "{said}: {text}");
    }
    let asked = provider.authorize(&mut browser, &app, &[]).expect(200).text();
    assert!(asked.contains("consent-allow"), "{asked}");
    let kept = browser.get_json("/api/v1/users/me/consents").expect(200).json();
    assert_eq!(kept["consents"].as_array().map(Vec::len), Some(0), "{kept}");
}

#[test]
fn a_rehearsal_tells_why_somebody_may_not_use_the_app() {
    let provider = Provider::start();
    provider.admin().json("PUT", "/api/v1/admin/groups/family", &json!({}));
    let app = provider.add_app(json!({ "groups": ["family"] }));
    let mut browser = admin(&provider, "warden");
    let there = begin(&mut browser, &app);
    let page_of_refusal = browser.get(&there).expect(403).text();
    let back = page_of_refusal.split("href=\"").find(|part| part.contains("/test/done")).unwrap();
    let back = unescape(back.split('"').next().unwrap());
    browser.get(&back).expect(303);
    let text = browser.get(&page(&app)).expect(200).text();
    assert!(text.contains("is not open to your account") && text.contains("did not come through"), "{text}");
}

/// ADM: only administrators, and apps that have keys of their own say so.
#[test]
fn who_may_not_and_what_cannot() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut ada = provider.ada();
    assert_eq!(ada.get(&page(&app)).status, 403);
    let mut browser = admin(&provider, "warden");
    let csrf = browser.get(&page(&app)).expect(200).input("csrf").unwrap();
    for uri in ["", "https://evil.example/", CALLBACK.trim_end_matches('k')] {
        browser.form(&page(&app), &[("csrf", &csrf), ("redirect_uri", uri)]).expect(422);
    }
    assert_eq!(browser.form(&page(&app), &[("redirect_uri", CALLBACK)]).status, 403, "WEB-01");
    provider.change_app(&app, json!({ "dpop": "required" }));
    assert!(browser.get(&page(&app)).expect(200).text().contains("DPoP"));
    browser.form(&page(&app), &[("csrf", &csrf), ("redirect_uri", CALLBACK)]).expect(422);
    provider.change_app(&app, json!({ "dpop": "optional", "is_disabled": true }));
    assert!(browser.get(&page(&app)).expect(200).text().contains("switched off"));
}

/// What a person would be told, without a sign-in: as page and as JSON, the same.
#[test]
fn claims_can_be_looked_at_before_anybody_signs_in() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "claims_in_id_token": false, "groups": ["printers"] }));
    let path = format!("/api/v1/admin/clients/{}/claims", app.id);
    let told =
        provider.admin().get_json(&format!("{path}?username=ada&scope=openid+email+pets")).expect(200).json();
    assert_eq!(told["scope"], "email openid");
    assert_eq!(told["is_admitted"], false);
    assert_eq!(told["userinfo"]["email"], "ada@example.org");
    assert_eq!(told["userinfo"]["sub"], told["id_token"]["sub"]);
    assert!(told["id_token"].get("email").is_none() && told["userinfo"].get("name").is_none(), "{told}");
    provider.change_app(&app, json!({ "groups": [] }));
    let all = provider.admin().get_json(&format!("{path}?username=ada")).expect(200).json();
    assert_eq!(all["is_admitted"], true);
    // The very same as a sign-in tells.
    let real = provider.tokens(&app, &[("scope", "openid profile email groups")]);
    assert_eq!(provider.userinfo(text(&real, "access_token")).expect(200).json(), all["userinfo"]);
    provider.admin().get_json(&format!("{path}?username=nobody")).expect(422);
    assert_eq!(provider.ada().get_json(&format!("{path}?username=boss")).status, 403);

    let mut browser = admin(&provider, "warden");
    let page = format!("/admin/apps/{}/claims", app.id);
    let shown = browser.get(&format!("{page}?user=ada&scope=openid&scope=email")).expect(200).text();
    assert!(shown.contains("ada@example.org") && !shown.contains("preferred_username"), "{shown}");
    assert!(browser.get(&format!("{page}?user=nobody")).expect(422).text().contains("id=\"user-error\""));
}
