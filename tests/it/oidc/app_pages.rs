//! The pages on which administrators keep apps.

use doorward::accounts::records::Role;

use super::*;

/// A browser of an administrator who has just signed in.
fn admin(provider: &Provider) -> Client {
    provider.server.add_user("warden-of-apps", Role::Admin, &[]);
    let mut browser = provider.browser();
    provider.sign_in(&mut browser, "/signin", "warden-of-apps");
    browser
}

/// Sends the form of a page with its own CSRF token.
fn submit(browser: &mut Client, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = browser.get(page).expect(200).input("csrf").unwrap();
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend_from_slice(fields);
    browser.form(action, &all)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before}: {text}")) + before.len();
    &text[start..start + text[start..].find(after).unwrap()]
}

#[test]
fn an_administrator_adds_an_app_keeps_it_and_removes_it() {
    let provider = Provider::start();
    let mut browser = admin(&provider);
    let wrong = submit(
        &mut browser,
        "/admin/apps/new/openid-connect",
        "/admin/apps/new/openid-connect",
        &[("name", ""), ("redirect_uris", "javascript:alert(1)"), ("kind", "confidential")],
    );
    let text = wrong.expect(422).text();
    assert!(text.contains("id=\"name-error\"") && text.contains("id=\"redirect_uris-error\""), "{text}");

    let fields = [("name", "Grafana"), ("redirect_uris", CALLBACK), ("kind", "confidential")];
    let added =
        submit(&mut browser, "/admin/apps/new/openid-connect", "/admin/apps/new/openid-connect", &fields)
            .expect(200)
            .text();
    let secret = unescape(between(&added, "aria-label=\"The client secret\">", "</pre>"));
    let id = between(&added, "href=\"/admin/apps/", "\"").to_owned();
    let url = format!("/admin/apps/{id}");
    assert!(!browser.get(&url).expect(200).text().contains(&secret), "shown once");
    assert!(browser.get("/admin/apps").expect(200).text().contains("Grafana"));

    // What was typed is in force: another redirect address, no question, no PKCE.
    let other = "https://app.example.org/other";
    let settings = [
        ("name", "Grafana"),
        ("redirect_uris", "https://app.example.org/callback\r\nhttps://app.example.org/other"),
        ("post_logout_redirect_uris", GOODBYE),
        ("backchannel_logout_uri", ""),
        ("scopes", "openid email"),
        ("level", "one_factor"),
        ("consent", "skip"),
        ("auth_method", "client_secret_basic"),
        ("id_token_alg", "EdDSA"),
    ];
    let saved = submit(&mut browser, &url, &url, &settings).expect(303);
    assert_eq!(saved.header("location"), Some(&*format!("{url}?done=saved")));
    let app = App { id: id.clone(), secret: Some(secret) };
    let redirect = provider.redirect(&mut provider.ada(), &app, &[("redirect_uri", other)]);
    let fields = [("grant_type", "authorization_code"), ("code", &*redirect.code()), ("redirect_uri", other)];
    let tokens = provider.post_as(&app, "/oauth2/token", &fields).expect(200).json();
    assert_eq!(header(super::text(&tokens, "id_token"))["alg"], "EdDSA");

    let mut bad = settings;
    bad[4] = ("scopes", "openid nonsense");
    let refused = submit(&mut browser, &url, &url, &bad).expect(422).text();
    assert!(
        refused.contains("There is no scope nonsense") && refused.contains("nonsense openid"),
        "{refused}"
    );

    // A second secret, and the first taken away.
    let page = submit(&mut browser, &url, &format!("{url}/secret"), &[]).expect(200).text();
    let second = unescape(between(&page, "aria-label=\"The client secret\">", "</pre>"));
    let renewed = App { secret: Some(second), ..app.clone() };
    let ask = |app: &App| provider.post_as(app, "/oauth2/introspect", &[("token", "x")]).status;
    assert_eq!((ask(&app), ask(&renewed)), (200, 200));
    submit(&mut browser, &url, &format!("{url}/drop-secret"), &[]).expect(303);
    assert_eq!((ask(&app), ask(&renewed)), (401, 200));

    submit(&mut browser, &url, &format!("{url}/switch"), &[("to", "off")]).expect(303);
    assert_eq!(ask(&renewed), 401);
    submit(&mut browser, &url, &format!("{url}/switch"), &[("to", "on")]).expect(303);
    assert_eq!(ask(&renewed), 200);
    submit(&mut browser, &url, &format!("{url}/remove"), &[]).expect(303);
    browser.get(&url).expect(404);
    assert_eq!(ask(&renewed), 401);
}

/// ADM-01: a secret, a switch or a new app needs a fresh proof.
#[test]
fn what_gives_power_over_an_app_needs_a_fresh_proof() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = admin(&provider);
    provider.server.clock.advance(std::time::Duration::from_secs(660));
    let url = format!("/admin/apps/{}", app.id);
    let fields = [("name", "Grafana"), ("redirect_uris", CALLBACK), ("kind", "confidential")];
    for action in
        ["/admin/apps/new/openid-connect".to_owned(), "/admin/apps/new/grafana".to_owned(), url.clone()]
            .into_iter()
            .chain(["secret", "drop-secret", "switch", "remove"].map(|what| format!("{url}/{what}")))
    {
        let answer = submit(&mut browser, &url, &action, &fields).expect(303);
        assert!(answer.header("location").unwrap().starts_with("/step-up"), "{action}");
    }
    browser.get(&url).expect(200);
}

/// An app that proves itself by secret and has none, because it proved itself by a key before, can be given one.
#[test]
fn an_app_without_a_secret_can_be_given_one() {
    let provider = Provider::start();
    let key = PrivateKey::generate(
        doorward::crypto::signing::SigningAlgorithm::Es256,
        &doorward::kernel::random::Random::os(),
    );
    let keys = json!({ "keys": [key.unwrap().public_jwk()] });
    let app = provider
        .add_app(json!({ "auth_method": "private_key_jwt", "jwks": keys, "grants": steps::ALL_GRANTS }));
    let mut browser = admin(&provider);
    let url = format!("/admin/apps/{}", app.id);
    assert!(!browser.get(&url).expect(200).text().contains("id=\"new-secret\""));
    provider.change_app(&app, json!({ "auth_method": "any" }));
    let page = browser.get(&url).expect(200).text();
    assert!(page.contains("id=\"new-secret\"") && page.contains("There is none yet"), "{page}");
    let shown = submit(&mut browser, &url, &format!("{url}/secret"), &[]).expect(200).text();
    let secret = unescape(between(&shown, "aria-label=\"The client secret\">", "</pre>"));
    let app = App { secret: Some(secret), ..app };
    provider.post_as(&app, "/oauth2/token", &[("grant_type", "client_credentials")]).expect(200);
}
