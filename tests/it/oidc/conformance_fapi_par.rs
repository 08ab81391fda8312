//! `fapi2-security-profile-final-test-plan`, second part: pushed requests, what they may hold, and the assertions by which
//! clients prove themselves.

use doorward::crypto::signing::{PrivateKey, SigningAlgorithm};
use serde_json::{Value, json};

use super::suite::browser::with_query;
use super::suite::fapi::{Draft, Fapi, PAR, TOKEN, reference, register, short};
use super::suite::{CALLBACK, ISSUER, Request, checks};
use super::{VERIFIER, challenge};

/// What an assertion is refused with.
const BAD_CLIENT: [&str; 2] = ["invalid_client", "invalid_request"];

/// Pushes a changed request; it is refused at once.
fn push_fails(change: impl FnOnce(Request) -> Request, allowed: &[&str]) {
    let mut fapi = Fapi::start();
    let request = change(fapi.request());
    checks::refusal(&fapi.push(&request), 400, allowed);
}

#[test]
fn fapi2_security_profile_final_ensure_request_object_without_redirect_uri_fails() {
    push_fails(|request| request.without("redirect_uri"), &["invalid_request", "invalid_request_object"]);
}

#[test]
fn fapi2_security_profile_final_ensure_redirect_uri_in_authorization_request() {
    push_fails(|request| request.without("redirect_uri"), &["invalid_request"]);
    // In the address alone it is of no use either.
    let mut fapi = Fapi::start();
    let request = fapi.request();
    let visit = fapi.suite.visit(&request.without("redirect_uri"));
    checks::error_page(visit.at_page(), "redirect_uri");
}

/// An unregistered address may be allowed at this endpoint; here it is not.
#[test]
fn fapi2_security_profile_final_plain_fapi_tolerate_unregistered_redirect_uri() {
    let other = format!("{CALLBACK}/another");
    push_fails(|request| request.with("redirect_uri", &other), &["invalid_request"]);
}

#[test]
fn fapi2_security_profile_final_ensure_unsigned_authorization_request_without_using_par_fails() {
    let mut fapi = Fapi::start();
    let request = fapi.request();
    let visit = fapi.suite.visit(&request);
    assert_eq!(visit.pages, []);
    fapi.suite.error(&visit, &request, &["invalid_request", "invalid_request_object"]);
}

const BAD_TYPE: [&str; 3] = ["unsupported_response_type", "unauthorized_client", "invalid_request"];

#[test]
fn fapi2_security_profile_final_ensure_response_type_code_idtoken_fails() {
    push_fails(|request| request.with("response_type", "code id_token"), &BAD_TYPE);
}

#[test]
fn fapi2_security_profile_final_ensure_response_type_token_fails() {
    push_fails(|request| request.with("response_type", "token"), &BAD_TYPE);
}

/// Pushes a sound request with a changed assertion.
fn push_with(change: impl FnOnce(&mut Draft, u64)) -> crate::harness::Answer {
    let mut fapi = Fapi::start();
    let (rp, now) = (fapi.first.clone(), fapi.suite.now().as_secs());
    let mut assertion = fapi.assertion(&rp);
    change(&mut assertion, now);
    fapi.push_with(&assertion.sign(&rp.key))
}

/// The same at the token endpoint, with a code that is good.
fn exchange_with(change: impl FnOnce(&mut Draft, u64)) -> crate::harness::Answer {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    let mut assertion = fapi.assertion(&rp);
    change(&mut assertion, fapi.suite.now().as_secs());
    let proof = fapi.proof(&rp.dpop, "POST", TOKEN, None).sign(&rp.dpop);
    fapi.post_with(&assertion.sign(&rp.key), TOKEN, &code_fields(&code), Some(&proof))
}

fn code_fields(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// OA-10: the client has a key for RS256 and may not use it.
#[test]
fn fapi2_security_profile_final_ensure_signed_client_assertion_with_rs256_fails() {
    let mut fapi = Fapi::start();
    let rsa = PrivateKey::from_pem(include_str!("rsa-key.pem")).unwrap();
    let mut jwk = rsa.public_jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let mut rp = register(&fapi.suite, "Third", SigningAlgorithm::Es256, json!([jwk]));
    let request = fapi.request_of(&rp.app);
    reference(&fapi.push_as(&rp, &request, None));
    rp.key = rsa;
    checks::refusal(&fapi.push_as(&rp, &request, None), 401, &["invalid_client"]);
}

#[test]
fn fapi2_security_profile_final_ensure_client_assertion_in_token_endpoint() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    let proof = fapi.proof(&rp.dpop, "POST", TOKEN, None).sign(&rp.dpop);
    let mut fields = code_fields(&code).to_vec();
    fields.push(("client_id", &rp.app.id));
    let answer = fapi.suite.post(TOKEN, &fields, &[("DPoP", &proof)]);
    checks::refusal(&answer, 401, &["invalid_client"]);
}

#[test]
fn fapi2_security_profile_final_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails() {
    let answer = exchange_with(|assertion, now| assertion.claims["exp"] = json!(now - 300));
    checks::refusal(&answer, 401, &["invalid_client"]);
}

#[test]
fn fapi2_security_profile_final_ensure_client_assertion_with_wrong_aud_fails() {
    let answer = exchange_with(|assertion, _| assertion.claims["aud"] = json!("https://other.example.org"));
    checks::refusal(&answer, 401, &["invalid_client"]);
}

#[test]
fn fapi2_security_profile_final_ensure_client_assertion_with_no_sub_fails() {
    let answer = exchange_with(|assertion, _| assertion.remove("sub"));
    checks::refusal(&answer, 401, &["invalid_client"]);
}

#[test]
fn fapi2_security_profile_final_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let reference = reference(&fapi.push(&request));
    let path = with_query("/oauth2/authorize", &short(&rp.app, &reference).0);
    // The person sees the page for signing in and goes away; later the app is opened once more.
    let page = fapi.suite.browser.look(&path);
    assert!(page.text().contains("id=\"sign-in\""), "{}", page.text());
    let visit = fapi.visit(&rp.app, &reference);
    let code = fapi.suite.code(&visit, &request);
    let answer = fapi.exchange(&rp, &code);
    fapi.check_tokens(&answer, &request);
}

/// OA-11
#[test]
fn fapi2_security_profile_final_par_attempt_reuse_request_uri() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let reference = reference(&fapi.push(&request));
    let visit = fapi.visit(&rp.app, &reference);
    fapi.suite.code(&visit, &request);
    let visit = fapi.visit(&rp.app, &reference);
    checks::error_page(visit.at_page(), "request_uri");
}

#[test]
fn fapi2_security_profile_final_par_attempt_to_use_expired_request_uri() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let answer = fapi.push(&request);
    fapi.suite.wait(answer.json()["expires_in"].as_u64().unwrap() + 1);
    let visit = fapi.visit(&rp.app, &reference(&answer));
    checks::error_page(visit.at_page(), "request_uri");
}

#[test]
fn fapi2_security_profile_final_par_attempt_to_use_request_uri_for_different_client() {
    let mut fapi = Fapi::start();
    let other = fapi.second.app.clone();
    let request = fapi.request();
    let reference = reference(&fapi.push(&request));
    let visit = fapi.visit(&other, &reference);
    checks::error_page(visit.at_page(), "request_uri");
}

#[test]
fn fapi2_security_profile_final_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted() {
    let answer = push_with(|assertion, now| {
        assertion.claims["nbf"] = json!(now + 8);
        assertion.claims["iat"] = json!(now + 8);
    });
    reference(&answer);
}

#[test]
fn fapi2_security_profile_final_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails() {
    let answer = push_with(|assertion, now| {
        assertion.claims["nbf"] = json!(now + 70);
        assertion.claims["iat"] = json!(now + 70);
        assertion.claims["exp"] = json!(now + 130);
    });
    checks::refusal(&answer, 401, &["invalid_client"]);
}

#[test]
fn fapi2_security_profile_final_par_authorization_request_containing_request_uri_form_param() {
    let uri = "urn:ietf:params:oauth:request_uri:bwc4JK-ESC0w8acc191e-Y1LTC2";
    push_fails(|request| request.with("request_uri", uri), &["invalid_request"]);
}

#[test]
fn fapi2_security_profile_final_par_attempt_invalid_http_method() {
    let mut fapi = Fapi::start();
    let request = fapi.request();
    for method in ["GET", "PUT"] {
        let answer = fapi.suite.caller().send(method, &with_query(PAR, &request.0), &[], b"");
        assert_eq!(answer.status, 405, "{method}: {}", answer.text());
        assert!(answer.header("allow").is_some_and(|allowed| allowed.contains("POST")));
    }
}

#[test]
fn fapi2_security_profile_final_par_without_duplicate_parameters() {
    let mut fapi = Fapi::start();
    let request = fapi.request();
    fapi.flow(&request);
}

#[test]
fn fapi2_security_profile_final_par_ensure_pkce_required() {
    let without = |request: Request| request.without("code_challenge").without("code_challenge_method");
    push_fails(without, &["invalid_request"]);
}

#[test]
fn fapi2_security_profile_final_par_plain_pkce_rejected() {
    let plain =
        |request: Request| request.with("code_challenge", VERIFIER).with("code_challenge_method", "plain");
    push_fails(plain, &["invalid_request"]);
    push_fails(|request| request.without("code_challenge_method"), &["invalid_request"]);
}

/// Exchanges a good code with a verifier.
fn exchange_with_verifier(verifier: &str) {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    let proof = fapi.proof(&rp.dpop, "POST", TOKEN, None).sign(&rp.dpop);
    let answer = fapi.exchange_with(&rp, &code, verifier, Some(&proof));
    checks::refusal(&answer, 400, &["invalid_grant"]);
}

#[test]
fn fapi2_security_profile_final_ensure_pkce_code_verifier_required() {
    exchange_with_verifier("");
}

#[test]
fn fapi2_security_profile_final_incorrect_pkce_code_verifier_rejected() {
    exchange_with_verifier(&challenge(VERIFIER));
}

/// OA-10: the audience is our name as a text and nothing else.
fn push_for(audience: Value) {
    let answer = push_with(|assertion, _| assertion.claims["aud"] = audience);
    checks::refusal(&answer, 401, &BAD_CLIENT);
}

#[test]
fn fapi2_security_profile_final_par_test_array_as_audience_fails() {
    push_for(json!([ISSUER]));
    push_for(json!([ISSUER, "https://other.example.org"]));
}

#[test]
fn fapi2_security_profile_final_par_test_par_endpoint_url_as_audience_fails() {
    push_for(json!(format!("{ISSUER}{PAR}")));
}

#[test]
fn fapi2_security_profile_final_par_test_token_endpoint_url_as_audience_fails() {
    push_for(json!(format!("{ISSUER}{TOKEN}")));
}
