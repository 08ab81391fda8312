//! `oidcc-rp-initiated-logout-certification-test-plan` and `oidcc-backchannel-rp-initiated-logout-certification-test-plan`.

use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::signing::{PrivateKey, SigningAlgorithm};
use doorward::kernel::random::Random;
use serde_json::{Value, json};
use url::Url;

use super::suite::browser::{Page, Visit, with_query};
use super::suite::{ISSUER, Mode, POST_LOGOUT, Suite, Tokens, checks, keys};
use crate::harness::until;
use crate::outgoing::Host;

/// What the second authorization is refused with when nobody is signed in any more.
const MUST_ASK: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];

/// Checks metadata and signs in. Returns the tokens.
fn sign_in(suite: &mut Suite) -> Tokens {
    let endpoint = suite.metadata["end_session_endpoint"].as_str().expect("end_session_endpoint");
    assert_eq!(Url::parse(endpoint).unwrap().scheme(), "https");
    assert!(endpoint.starts_with(ISSUER));
    let state = suite.fresh(128);
    let request = suite.request().with("state", &state);
    suite.flow(&request)
}

/// Leads the browser to the end of the session with these parameters.
fn log_out(suite: &mut Suite, params: &[(&str, &str)]) -> Visit {
    let endpoint = suite.metadata["end_session_endpoint"].as_str().unwrap().to_owned();
    let pairs: Vec<(String, String)> =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    suite.browser.get(&if pairs.is_empty() { endpoint } else { with_query(&endpoint, &pairs) })
}

/// Asks for a second authorization that must show nothing, and returns whether somebody is still signed in.
fn is_signed_in(suite: &mut Suite) -> bool {
    let request = suite.request().with("prompt", "none");
    let visit = suite.visit(&request);
    assert_eq!(visit.pages, []);
    if visit.at_app().query.contains_key("code") {
        return true;
    }
    suite.error(&visit, &request, &MUST_ASK);
    false
}

/// The person is asked, the browser goes where the app wished with nothing but the state, and the session is over.
fn logs_out_and_returns(suite: &mut Suite, state: Option<&str>) {
    let tokens = sign_in(suite);
    let mut params =
        vec![("id_token_hint", tokens.text("id_token")), ("post_logout_redirect_uri", POST_LOGOUT)];
    params.extend(state.map(|state| ("state", state)));
    let visit = log_out(suite, &params);
    assert_eq!(visit.pages, [Page::SignOut]);
    let arrival = visit.at_app();
    assert_eq!((arrival.method, arrival.to.as_str()), ("GET", POST_LOGOUT));
    assert_eq!(arrival.query.get("state").map(String::as_str), state);
    assert_eq!(arrival.query.len(), usize::from(state.is_some()), "{arrival:?}");
    assert!(!is_signed_in(suite));
    let answer = suite.caller().with_bearer(tokens.access_token()).get_json("/oauth2/userinfo");
    assert_eq!(answer.status, 401, "tokens of the session end with it");
}

/// OA-17: a page says what is wrong with `words`, the app is not returned to, and nobody is signed out.
fn stays_here(suite: &mut Suite, params: &[(&str, &str)], words: &str) {
    let visit = log_out(suite, params);
    assert_eq!(visit.pages, []);
    checks::error_page(visit.at_page(), words);
    assert!(is_signed_in(suite), "a refused wish signs nobody out");
}

/// The person is asked and told that they are signed out.
fn logs_out_here(suite: &mut Suite, params: &[(&str, &str)]) {
    let visit = log_out(suite, params);
    assert_eq!(visit.pages, [Page::SignOut]);
    let page = visit.at_page();
    assert_eq!(page.status, 200);
    assert!(page.text().contains("You are signed out"), "{}", page.text());
    assert!(!is_signed_in(suite));
}

fn start() -> Suite {
    Suite::start(Mode::Default)
}

#[test]
fn oidcc_rp_initiated_logout_discovery_endpoint_verification() {
    let suite = start();
    for (name, value) in suite.metadata.as_object().unwrap() {
        if name.ends_with("_endpoint") {
            assert_eq!(Url::parse(value.as_str().unwrap()).unwrap().scheme(), "https", "{name}");
        }
    }
    assert!(suite.metadata["end_session_endpoint"].is_string());
}

#[test]
fn oidcc_rp_initiated_logout() {
    let mut suite = start();
    let state = suite.fresh(50);
    logs_out_and_returns(&mut suite, Some(&state));
}

#[test]
fn oidcc_rp_initiated_logout_no_state() {
    logs_out_and_returns(&mut start(), None);
}

#[test]
fn oidcc_rp_initiated_logout_bad_post_logout_redirect_uri() {
    let mut suite = start();
    let tokens = sign_in(&mut suite);
    let (bad, state) = (format!("{POST_LOGOUT}/{}", suite.fresh(10)), suite.fresh(50));
    let hint = tokens.text("id_token");
    let params = [("id_token_hint", hint), ("post_logout_redirect_uri", &bad), ("state", &state)];
    stays_here(&mut suite, &params, "not registered");
}

#[test]
fn oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri() {
    let mut suite = start();
    let tokens = sign_in(&mut suite);
    let (bad, state) = (format!("{POST_LOGOUT}?foo=bar"), suite.fresh(50));
    let hint = tokens.text("id_token");
    let params = [("id_token_hint", hint), ("post_logout_redirect_uri", &bad), ("state", &state)];
    stays_here(&mut suite, &params, "not registered");
}

/// Goes to the end of the session with a hint made of the claims of the true one.
fn with_forged_hint(forge: impl FnOnce(&Value) -> String) {
    let mut suite = start();
    let tokens = sign_in(&mut suite);
    let (hint, state) = (forge(&tokens.id_token), suite.fresh(50));
    let params =
        [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", POST_LOGOUT), ("state", &state)];
    stays_here(&mut suite, &params, "id_token_hint");
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// The signature is taken off and the algorithm is `none`.
#[test]
fn oidcc_rp_initiated_logout_modified_id_token_hint() {
    with_forged_hint(|claims| format!("{}.", unsigned(&json!({ "alg": "none" }), claims)));
}

/// Somebody else signed it, under a name of their own or of ours.
#[test]
fn oidcc_rp_initiated_logout_bad_id_token_hint() {
    with_forged_hint(|claims| {
        let ours = PrivateKey::from_pem(include_str!("rsa-key.pem")).unwrap();
        let signature = BASE64URL_NOPAD.encode(&[7; 256]);
        format!("{}.{signature}", unsigned(&json!({ "alg": "RS256", "kid": ours.kid() }), claims))
    });
    with_forged_hint(|claims| {
        let key = PrivateKey::generate(SigningAlgorithm::Es256, &Random::os()).unwrap();
        let signed = unsigned(&json!({ "alg": "ES256", "kid": key.kid() }), claims);
        let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    });
}

#[test]
fn oidcc_rp_initiated_logout_no_id_token_hint() {
    let mut suite = start();
    sign_in(&mut suite);
    let state = suite.fresh(50);
    let params = [("post_logout_redirect_uri", POST_LOGOUT), ("state", &state)];
    stays_here(&mut suite, &params, "does not say which app it is");
}

#[test]
fn oidcc_rp_initiated_logout_no_params() {
    let mut suite = start();
    sign_in(&mut suite);
    logs_out_here(&mut suite, &[]);
}

#[test]
fn oidcc_rp_initiated_logout_no_post_logout_redirect_uri() {
    let mut suite = start();
    let tokens = sign_in(&mut suite);
    let state = suite.fresh(50);
    logs_out_here(&mut suite, &[("id_token_hint", tokens.text("id_token")), ("state", &state)]);
}

#[test]
fn oidcc_rp_initiated_logout_only_state() {
    let mut suite = start();
    sign_in(&mut suite);
    let state = suite.fresh(50);
    logs_out_here(&mut suite, &[("state", &state)]);
}

/// A provider that may call the app, and the app, which takes what it is sent.
fn start_with_receiver() -> (Suite, Host) {
    let host = Host::start_tls(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let uri = format!("https://127.0.0.1:{}/test/a/doorward/backchannel_logout", host.address.port());
    let settings = json!({ "backchannel_logout_uri": uri });
    let suite = Suite::start_with(Mode::Default, settings, |options| {
        options.outgoing.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
        options.outgoing.ca_file = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls/ca.pem"));
    });
    (suite, host)
}

#[test]
fn oidcc_backchannel_logout_discovery_endpoint_verification() {
    let suite = start();
    assert_eq!(suite.metadata["backchannel_logout_supported"], true);
    assert_eq!(suite.metadata["backchannel_logout_session_supported"], true);
    assert!(suite.metadata["end_session_endpoint"].is_string());
}

#[test]
fn oidcc_backchannel_rp_initiated_logout() {
    let (mut suite, host) = start_with_receiver();
    let tokens = sign_in(&mut suite);
    assert_eq!(host.count(), 0);
    let (hint, state) = (tokens.text("id_token").to_owned(), suite.fresh(50));
    let params =
        [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", POST_LOGOUT), ("state", &state)];
    let visit = log_out(&mut suite, &params);
    let arrival = visit.at_app();
    assert_eq!(arrival.to, POST_LOGOUT);
    assert_eq!(arrival.query.get("state"), Some(&state));
    until("the app is told", || host.count() > 0);
    let asked = host.asked.lock().clone();
    assert_eq!(asked.len(), 1, "told once");
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /test/a/doorward/backchannel_logout HTTP/1.1\r\n"), "{head}");
    let is_form = |line: &str| line.to_lowercase() == "content-type: application/x-www-form-urlencoded";
    assert!(head.lines().any(is_form), "{head}");
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let [(name, token)] = &fields[..] else { panic!("more than the token: {fields:?}") };
    assert_eq!(name, "logout_token");
    check_logout_token(&suite, token, &tokens);
    assert!(!is_signed_in(&mut suite));
}

/// OA-20: a logout token is sound, of a kind of its own, and speaks of the session of the id_token.
fn check_logout_token(suite: &Suite, token: &str, tokens: &Tokens) {
    let (header, claims) = keys::verify(token, &suite.keys);
    assert_eq!(header["alg"], crate::oidc::header(tokens.text("id_token"))["alg"]);
    assert_eq!(header["typ"], "logout+jwt");
    let now = suite.now().as_secs();
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["aud"] == suite.app.id.as_str() || checks::has(&claims["aud"], &suite.app.id));
    let (issued, ends) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(issued <= now && issued + 86_400 >= now);
    assert!(ends > now && ends <= issued + 120);
    assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
    assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
    assert_eq!(claims["sub"], tokens.id_token["sub"]);
    assert!(claims["sid"].is_string());
    assert_eq!(claims["sid"], tokens.id_token["sid"]);
    assert_eq!(claims.get("nonce"), None);
}
