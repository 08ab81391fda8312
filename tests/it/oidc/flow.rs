//! The flow from end to end.

use serde_json::json;

use super::*;

#[test]
fn a_person_signs_in_to_an_app_and_the_app_learns_who_it_is() {
    let provider = Provider::start();
    let app = provider.add_app(json!({ "claims_in_id_token": false }));
    let mut browser = provider.browser();
    let answer =
        provider.authorize(&mut browser, &app, &[("scope", "openid email offline_access")]).expect(303);
    let page = answer.header("location").unwrap().to_owned();
    assert!(page.starts_with("/signin?rd=%2Foauth2%2Fauthorize"), "{page}");
    let back = provider.sign_in(&mut browser, &page, "ada");
    let back = back.header("location").unwrap().to_owned();
    let answer = browser.get(back.strip_prefix(ORIGIN).unwrap_or(&back)).expect(303);
    let redirect = Redirect::of(answer.header("location").unwrap());
    assert_eq!(redirect.to, CALLBACK);
    assert_eq!(redirect.get("state"), Some("the-state"));
    let answer = provider.exchange(&app, &redirect.code(), &[]).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "Bearer");
    let id_token = claims(text(&tokens, "id_token"));
    assert_eq!(id_token["iss"], ORIGIN);
    assert_eq!(id_token["aud"], app.id.as_str());
    assert_eq!(id_token["nonce"], "the-nonce");
    assert_eq!(id_token["sub"], provider.ada.to_string());
    assert_eq!(header(text(&tokens, "id_token"))["alg"], "RS256");
    let userinfo = provider.userinfo(text(&tokens, "access_token")).expect(200).json();
    assert_eq!(userinfo["sub"], id_token["sub"]);
    assert_eq!(userinfo["email"], "ada@example.org");
    assert!(userinfo.get("name").is_none());
    let refreshed = provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(200).json();
    assert_ne!(refreshed["refresh_token"], tokens["refresh_token"]);
    assert_eq!(claims(text(&refreshed, "id_token"))["sub"], id_token["sub"]);
    provider.userinfo(text(&refreshed, "access_token")).expect(200);
}

/// OA-04: a second use of a code is refused and takes back what the first gave.
#[test]
fn a_code_is_good_once() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let code = provider.redirect(&mut browser, &app, &[("scope", "openid offline_access")]).code();
    let tokens = provider.exchange(&app, &code, &[]).expect(200).json();
    provider.userinfo(text(&tokens, "access_token")).expect(200);
    assert_eq!(provider.exchange(&app, &code, &[]).expect(400).json()["error"], "invalid_grant");
    provider.userinfo(text(&tokens, "access_token")).expect(401);
    assert_eq!(
        provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(400).json()["error"],
        "invalid_grant"
    );
}

#[test]
fn signing_out_ends_what_apps_were_given() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let mut browser = provider.ada();
    let tokens = provider.tokens_in(&mut browser, &app, &[("scope", "openid offline_access")]);
    let hint = text(&tokens, "id_token").to_owned();
    let wish = query(&[("id_token_hint", &hint), ("post_logout_redirect_uri", GOODBYE), ("state", "bye")]);
    let page = browser.get(&format!("/logout?{wish}")).expect(200);
    assert!(page.text().contains("sign-out-confirm"));
    provider.userinfo(text(&tokens, "access_token")).expect(200);
    let (csrf, request) = (page.input("csrf").unwrap(), unescape(&page.input("request").unwrap()));
    let answer =
        browser.form("/logout", &[("csrf", &csrf), ("confirmed", "yes"), ("request", &request)]).expect(303);
    assert_eq!(answer.header("location"), Some("https://app.example.org/goodbye?state=bye"));
    provider.userinfo(text(&tokens, "access_token")).expect(401);
    provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(400);
    let answer = provider.redirect(&mut browser, &app, &[("prompt", "none")]);
    assert_eq!(answer.get("error"), Some("login_required"));
}

/// OA-14: a grant that was being written at the moment when consent was taken back is dead at the next start as well.
#[test]
fn a_grant_that_nobody_agrees_to_does_not_come_back_to_life() {
    use doorward::oidc::records::GrantRecord;
    let provider = Provider::start();
    let app = provider.add_app(json!({ "consent": "once" }));
    let mut browser = provider.ada();
    let path = provider.authorize_path(&app, &[("scope", "openid offline_access")]);
    let code = steps::agree(&mut browser, &path).code();
    let tokens = provider.exchange(&app, &code, &[]).expect(200).json();
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let store = provider.server.app().store().clone();
    let written = store.scan::<GrantRecord>(&[], None, 10).unwrap();
    let mut person = provider.server.web_session(provider.ada).client(&provider.server);
    person.json("DELETE", &format!("/api/v1/users/me/consents/{}", app.id), &json!({})).expect(204);
    provider.userinfo(access).expect(401);
    // As if the disk had got it a moment later.
    let mut batch = store.batch();
    for (row, record) in &written {
        batch.insert_new(row, &record.value);
    }
    provider.server.block_on(store.commit(batch)).unwrap();
    drop(store);
    let provider = provider.restart();
    provider.userinfo(access).expect(401);
    provider.refresh(&app, refresh, &[]).expect(400);
    provider.server.block_on(provider.server.app().every_minute()).unwrap();
    let left = provider.server.app().store().scan::<GrantRecord>(&[], None, 10).unwrap();
    assert!(left.is_empty(), "the row stays behind");
}
