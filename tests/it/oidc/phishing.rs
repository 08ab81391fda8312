//! The level of phishing resistance (`phr`): a passkey, said where it was asked for and reached (OA-14).

use doorward::sessions::Factors;
use serde_json::json;

use super::*;
use crate::passkeys::options_of;
use crate::software_key::SoftwareKey;

const ESSENTIAL: &str = r#"{"id_token":{"acr":{"essential":true,"values":["phr"]}}}"#;

#[test]
fn phishing_resistance_is_said_where_it_was_asked_for_and_reached() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let (one, two) = ("urn:doorward:1fa", "urn:doorward:2fa");
    let password = Factors::PASSWORD;
    for (factors, asked, said) in [
        (Factors::PASSKEY_UV, "phr", "phr"),
        (password.with(Factors::PASSKEY), "unknown phr urn:doorward:2fa", "phr"),
        // In the order of preference.
        (Factors::PASSKEY_UV, "urn:doorward:2fa phr", two),
        (Factors::PASSKEY_UV, "", two),
        // Nothing says more than was proven.
        (password.with(Factors::TOTP), "phr", two),
        (password, "phr", one),
    ] {
        let session = provider.server.web_session_with(provider.ada, factors);
        let mut browser = session.client(&provider.server);
        let wish = [("acr_values", asked), ("scope", "openid offline_access")];
        let tokens = provider.tokens_in(&mut browser, &app, &wish);
        let acr = |tokens: &Value, name: &str| claims(text(tokens, name))["acr"].clone();
        assert_eq!(acr(&tokens, "id_token"), said, "{asked}");
        assert_eq!(acr(&tokens, "access_token"), said, "{asked}");
        // REF-08: a refresh says what the sign-in was.
        let again = provider.refresh(&app, text(&tokens, "refresh_token"), &[]).expect(200).json();
        assert_eq!(acr(&again, "access_token"), said, "{asked}");
    }
    let metadata = provider.server.client().get_json("/.well-known/openid-configuration").expect(200).json();
    assert!(metadata["acr_values_supported"].as_array().unwrap().contains(&json!("phr")));
}

/// Whoever has a passkey is asked for it; whoever has none, or will not, is told to the app.
#[test]
fn an_app_that_cannot_do_without_gets_it_or_is_told() {
    let provider = Provider::start();
    let app = provider.add_app(json!({}));
    let two = || {
        let factors = Factors::PASSWORD.with(Factors::TOTP);
        provider.server.web_session_with(provider.ada, factors).client(&provider.server)
    };
    let wish = [("claims", ESSENTIAL)];
    let refused = provider.redirect(&mut two(), &app, &wish);
    assert_eq!(refused.get("error"), Some("unmet_authentication_requirements"));
    let mut program = provider.server.client().with_bearer(&provider.server.access_token(provider.ada));
    let options = program.post("/api/v1/users/me/passkeys/options", json!({})).expect(200).json();
    let mut key = SoftwareKey::new();
    let body = json!({"name": "Phone", "credential": key.create(&options)});
    program.post("/api/v1/users/me/passkeys", body).expect(201);
    provider.server.clock.advance(std::time::Duration::from_secs(1));
    let quiet = provider.redirect(&mut two(), &app, &[("claims", ESSENTIAL), ("prompt", "none")]);
    assert_eq!(quiet.get("error"), Some("login_required"));
    let mut browser = two();
    let step_up = provider.authorize(&mut browser, &app, &wish).expect(303);
    let step_up = step_up.header("location").unwrap().to_owned();
    assert!(step_up.starts_with("/step-up?next="), "{step_up}");
    let page = browser.get(&step_up).expect(200);
    let (csrf, next) = (page.input("csrf").unwrap(), unescape(&page.input("next").unwrap()));
    let proof = key.get(&options_of(&page)).to_string();
    let fields = [("csrf", &*csrf), ("next", &next), ("password", ""), ("code", ""), ("credential", &proof)];
    let onward = browser.form("/step-up", &fields).expect(303).header("location").unwrap().to_owned();
    let back = browser.get(onward.strip_prefix(ORIGIN).unwrap_or(&onward)).expect(303);
    let redirect = Redirect::of(back.header("location").unwrap());
    let tokens = provider.exchange(&app, &redirect.code(), &[]).expect(200).json();
    let id_token = claims(text(&tokens, "id_token"));
    assert_eq!((&id_token["acr"], &id_token["amr"]), (&json!("phr"), &json!(["hwk", "user", "mfa"])));
}
