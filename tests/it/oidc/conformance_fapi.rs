//! `fapi2-security-profile-final-test-plan` for `plain_fapi`, `openid_connect`, `private_key_jwt` and `dpop`: the flow
//! and the tokens. What the plan does with clients' assertions and pushed requests is in `conformance_fapi_par`.

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::signing::SigningAlgorithm;
use serde_json::{Value, json};
use url::Url;

use super::suite::browser::Page;
use super::suite::fapi::{Draft, Fapi, PAR, Rp, TOKEN, USERINFO, new_key, reference, short, thumbprint};
use super::suite::{ISSUER, Request, Tokens, checks};
use super::{VERIFIER, text};

/// What a proof is refused with at the token endpoint.
const BAD_PROOF: [&str; 3] = ["invalid_request", "invalid_grant", "invalid_dpop_proof"];

/// OIDC Core section 5.1.
const STANDARD_CLAIMS: [&str; 20] = [
    "sub",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "email_verified",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "phone_number_verified",
    "address",
    "updated_at",
];

#[test]
fn fapi2_security_profile_final_discovery_end_point_verification() {
    let fapi = Fapi::start();
    let metadata = &fapi.suite.metadata;
    assert_eq!(metadata["issuer"], ISSUER);
    let fresh = fapi.suite.ask("/.well-known/openid-configuration").expect(200).json();
    for list in [
        "id_token_signing_alg_values_supported",
        "userinfo_signing_alg_values_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "dpop_signing_alg_values_supported",
    ] {
        let strong = ["PS256", "ES256", "EdDSA", "Ed25519"];
        assert!(strong.iter().any(|algorithm| checks::has(&fresh[list], algorithm)), "{list}: {fresh}");
    }
    assert!(checks::has(&metadata["token_endpoint_auth_methods_supported"], "private_key_jwt"));
    assert!(checks::has(&metadata["code_challenge_methods_supported"], "S256"));
    assert!(checks::has(&metadata["response_types_supported"], "code"));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    for name in ["pushed_authorization_request_endpoint", "token_endpoint", "authorization_endpoint"] {
        assert_eq!(Url::parse(text(metadata, name)).unwrap().scheme(), "https", "{name}");
    }
}

#[test]
fn fapi2_security_profile_final_happy_flow() {
    let mut fapi = Fapi::start();
    for (rp, length) in [(fapi.first.clone(), 10), (fapi.second.clone(), 128)] {
        let state = fapi.suite.fresh(length);
        let request = fapi.request_of(&rp.app).with("state", &state);
        let tokens = fapi.flow_as(&rp, &request);
        // Bound tokens are good in no other way.
        assert_eq!(fapi.ask("Bearer", tokens.access_token(), &[]).status, 401);
        assert_eq!(fapi.ask("DPoP", tokens.access_token(), &[]).status, 401);
    }
}

#[test]
fn fapi2_security_profile_final_user_rejects_authentication() {
    let mut fapi = Fapi::start();
    fapi.suite.browser.consents = false;
    let request = fapi.request();
    let reference = reference(&fapi.push(&request));
    let app = fapi.first.app.clone();
    let visit = fapi.visit(&app, &reference);
    assert!(visit.showed(Page::Consent));
    fapi.suite.error(&visit, &request, &["access_denied"]);
}

#[test]
fn fapi2_security_profile_final_ensure_authorization_request_without_state_success() {
    let mut fapi = Fapi::start();
    let request = fapi.request().without("state");
    fapi.flow(&request);
}

#[test]
fn fapi2_security_profile_final_ensure_authorization_request_without_nonce_success() {
    let mut fapi = Fapi::start();
    let request = fapi.request().without("nonce");
    fapi.flow(&request);
}

/// Goes through the flow with a parameter of some length.
fn flow_with_long(name: &str, length: usize) {
    let mut fapi = Fapi::start();
    let value = fapi.suite.fresh(length);
    let request = fapi.request().with(name, &value);
    fapi.flow(&request);
}

#[test]
fn fapi2_security_profile_final_ensure_authorization_request_with_64_char_nonce_success() {
    flow_with_long("nonce", 64);
}

#[test]
fn fapi2_security_profile_final_ensure_authorization_request_with_long_nonce() {
    flow_with_long("nonce", 384);
}

#[test]
fn fapi2_security_profile_final_ensure_authorization_request_with_long_state() {
    flow_with_long("state", 1000);
}

#[test]
fn fapi2_security_profile_final_ensure_other_scope_order_succeeds() {
    let mut fapi = Fapi::start();
    let request = fapi.request().with("scope", "email openid");
    let tokens = fapi.flow(&request);
    let rp = fapi.first.clone();
    assert_eq!(fapi.userinfo(&rp, &tokens)["email"], "ada@example.org");
}

#[test]
fn fapi2_security_profile_final_access_token_type_header_case_sensitivity() {
    let mut fapi = Fapi::start();
    let request = fapi.request();
    let tokens = fapi.flow(&request);
    for scheme in ["dpop", "DPOP", "dPoP"] {
        let key = fapi.first.dpop.clone();
        let proof = fapi.proof(&key, "GET", USERINFO, Some(tokens.access_token())).sign(&key);
        let answer = fapi.ask(scheme, tokens.access_token(), &[&proof]);
        fapi.suite.check_userinfo(&answer, &tokens);
    }
}

/// Everything that is listed, in every form of asking, at both places; and what nobody knows is passed over.
#[test]
fn fapi2_security_profile_final_test_claims_parameter_identity_claims() {
    let mut fapi = Fapi::start();
    let listed = fapi.suite.metadata["claims_supported"].as_array().unwrap().clone();
    let names: Vec<&str> = listed.iter().map(|name| name.as_str().unwrap()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| STANDARD_CLAIMS.contains(name)).collect();
    assert_eq!(names.len(), STANDARD_CLAIMS.len(), "all of OIDC Core section 5.1 are listed: {names:?}");
    let forms = [Value::Null, json!({ "essential": true }), json!({ "essential": false }), json!({})];
    let wishes: Value = names
        .iter()
        .zip(forms.iter().cycle())
        .map(|(name, form)| ((*name).to_owned(), form.clone()))
        .collect();
    let mut wish = json!({ "id_token": wishes, "userinfo": wishes, "aB3dE6gH9j": { "kL2nO5qR8t": null } });
    wish["userinfo"]["uV1xY4zA7c"] = json!({ "essential": true, "value": "x", "more": [1] });
    let request = fapi.request().with("claims", &wish.to_string());
    let tokens = fapi.flow(&request);
    let rp = fapi.first.clone();
    let info = fapi.userinfo(&rp, &tokens);
    for name in names {
        assert!(tokens.id_token.get(name).is_some(), "no {name} in the id_token");
        assert!(info.get(name).is_some(), "no {name} in userinfo");
    }
    let is_known = |name: &String| STANDARD_CLAIMS.contains(&name.as_str());
    assert!(info.as_object().unwrap().keys().all(is_known), "more than was asked for: {info}");
    // And only where it was asked for.
    let wish = json!({ "id_token": { "given_name": null }, "userinfo": { "family_name": null } });
    let request = fapi.request().with("claims", &wish.to_string());
    let tokens = fapi.flow(&request);
    let info = fapi.userinfo(&rp, &tokens);
    assert_eq!((&tokens.id_token["given_name"], &info["family_name"]), (&json!("Ada"), &json!("Lovelace")));
    assert!(tokens.id_token.get("family_name").is_none() && info.get("given_name").is_none());
}

/// A flow in which proofs are changed before they are signed, at the token endpoint and at userinfo.
fn flow_with_proofs(change: impl Fn(&mut Draft, u64)) {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    let now = fapi.suite.now().as_secs();
    let mut proof = fapi.proof(&rp.dpop, "POST", TOKEN, None);
    change(&mut proof, now);
    let answer = fapi.exchange_with(&rp, &code, VERIFIER, Some(&proof.sign(&rp.dpop)));
    let tokens = fapi.check_tokens(&answer, &request);
    let mut proof = fapi.proof(&rp.dpop, "GET", USERINFO, Some(tokens.access_token()));
    change(&mut proof, now);
    let answer = fapi.ask("DPoP", tokens.access_token(), &[&proof.sign(&rp.dpop)]);
    fapi.suite.check_userinfo(&answer, &tokens);
}

#[test]
fn fapi2_security_profile_final_check_dpop_proof_nbf_exp() {
    flow_with_proofs(|proof, now| {
        proof.claims["nbf"] = json!(now);
        proof.claims["exp"] = json!(now + 300);
    });
}

#[test]
fn fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_before_succeeds() {
    flow_with_proofs(|proof, now| proof.claims["iat"] = json!(now - 10));
}

#[test]
fn fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_after_succeeds() {
    flow_with_proofs(|proof, now| proof.claims["iat"] = json!(now + 10));
}

#[test]
fn fapi2_security_profile_final_ensure_mismatched_dpop_jkt_fails() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let other = new_key(SigningAlgorithm::Es256);
    let request = fapi.request().with("dpop_jkt", thumbprint(&other));
    let proof = fapi.proof(&rp.dpop, "POST", PAR, None).sign(&rp.dpop);
    let answer = fapi.push_as(&rp, &request, Some(&proof));
    checks::refusal(&answer, 400, &["invalid_request", "invalid_dpop_proof"]);
}

/// A code is bound to the key that was named or proven when its request was pushed.
fn bound_code(by_proof: bool, is_right_key: bool) {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let (request, proof) = if by_proof {
        (request, Some(fapi.proof(&rp.dpop, "POST", PAR, None).sign(&rp.dpop)))
    } else {
        (request.with("dpop_jkt", thumbprint(&rp.dpop)), None)
    };
    let code = fapi.authorize_as(&rp, &request, proof.as_deref());
    let key = if is_right_key { rp.dpop.clone() } else { new_key(SigningAlgorithm::Es256) };
    let proof = fapi.proof(&key, "POST", TOKEN, None).sign(&key);
    let answer = fapi.exchange_with(&rp, &code, VERIFIER, Some(&proof));
    if is_right_key {
        let tokens = fapi.check_tokens(&answer, &request);
        fapi.userinfo(&rp, &tokens);
    } else {
        checks::refusal(&answer, 400, &BAD_PROOF);
    }
}

#[test]
fn fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt() {
    bound_code(true, false);
}

#[test]
fn fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_jkt() {
    bound_code(false, false);
}

#[test]
fn fapi2_security_profile_final_ensure_dpopproof_at_par_endpoint_binding_success() {
    bound_code(true, true);
}

#[test]
fn fapi2_security_profile_final_ensure_dpop_auth_code_binding_success() {
    bound_code(false, true);
}

/// Pushes a request and adds a parameter in the address; what was pushed counts.
fn flow_with_outer(inner: impl FnOnce(Request) -> Request, name: &str, value: &str) {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = inner(fapi.request());
    let reference = reference(&fapi.push(&request));
    let visit = fapi.suite.visit(&short(&rp.app, &reference).with(name, value));
    let code = fapi.suite.code(&visit, &request);
    let answer = fapi.exchange(&rp, &code);
    fapi.check_tokens(&answer, &request);
}

#[test]
fn fapi2_security_profile_final_ensure_different_nonce_inside_and_outside_request_object() {
    flow_with_outer(|request| request, "nonce", "another");
}

#[test]
fn fapi2_security_profile_final_ensure_different_state_inside_and_outside_request_object() {
    flow_with_outer(|request| request, "state", "another");
}

#[test]
fn fapi2_security_profile_final_state_only_outside_request_object_not_used() {
    flow_with_outer(|request| request.without("state"), "state", "another");
}

#[test]
fn fapi2_security_profile_final_ensure_client_id_in_token_endpoint() {
    let mut fapi = Fapi::start();
    let (rp, other) = (fapi.first.clone(), fapi.second.app.clone());
    let request = fapi.request();
    let code = fapi.authorize(&request);
    // The second client's name, under an assertion of the first, and under one in its own name that the first signed.
    let liar = Rp { app: other.clone(), ..rp.clone() };
    for client in [&rp, &liar] {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", request.get("redirect_uri").unwrap()),
            ("code_verifier", VERIFIER),
            ("client_id", &other.id),
        ];
        let proof = fapi.proof(&rp.dpop, "POST", TOKEN, None).sign(&rp.dpop);
        checks::refusal(&fapi.post(client, TOKEN, &fields, Some(&proof)), 401, &["invalid_client"]);
    }
    // And nobody lost anything by it.
    let answer = fapi.exchange(&rp, &code);
    fapi.check_tokens(&answer, &request);
}

#[test]
fn fapi2_security_profile_final_ensure_authorization_code_is_bound_to_client() {
    let mut fapi = Fapi::start();
    let (rp, other) = (fapi.first.clone(), fapi.second.clone());
    let request = fapi.request();
    let code = fapi.authorize(&request);
    checks::refusal(&fapi.exchange(&other, &code), 400, &["invalid_grant"]);
    let answer = fapi.exchange(&rp, &code);
    fapi.check_tokens(&answer, &request);
}

#[test]
fn fapi2_security_profile_final_ensure_holder_of_key_required() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    checks::refusal(&fapi.exchange_with(&rp, &code, VERIFIER, None), 400, &BAD_PROOF);
}

#[test]
fn fapi2_security_profile_final_attempt_reuse_authorization_code_after_one_second() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    let answer = fapi.exchange(&rp, &code);
    let tokens = fapi.check_tokens(&answer, &request);
    fapi.userinfo(&rp, &tokens);
    fapi.suite.wait(1);
    checks::refusal(&fapi.exchange(&rp, &code), 400, &["invalid_grant"]);
    let proof = fapi.proof(&rp.dpop, "GET", USERINFO, Some(tokens.access_token())).sign(&rp.dpop);
    assert_eq!(fapi.ask("DPoP", tokens.access_token(), &[&proof]).status, 401, "the token still works");
}

#[test]
fn fapi2_security_profile_final_ensure_token_endpoint_fails_with_expired_auth_code() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let code = fapi.authorize(&request);
    fapi.suite.wait(61);
    checks::refusal(&fapi.exchange(&rp, &code), 400, &["invalid_grant"]);
}

/// Asks userinfo with proofs that are wrong in one way each.
struct Negative {
    fapi: Fapi,
    rp: Rp,
    tokens: Tokens,
}

impl Negative {
    fn proof(&mut self) -> Draft {
        self.fapi.proof(&self.rp.dpop, "GET", USERINFO, Some(self.tokens.access_token()))
    }

    fn changed(&mut self, change: impl FnOnce(&mut Draft)) -> String {
        let mut proof = self.proof();
        change(&mut proof);
        proof.sign(&self.rp.dpop)
    }

    /// RFC 9449 section 7.1: 401, and the challenge says what is wrong.
    #[track_caller]
    fn refuses(&self, proofs: &[&str]) {
        let answer = self.fapi.ask("DPoP", self.tokens.access_token(), proofs);
        assert_eq!(answer.status, 401, "{}", answer.text());
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("DPoP ") && challenge.contains("algs="), "{challenge}");
        assert!(
            challenge.contains("error=\"invalid_dpop_proof\"")
                || challenge.contains("error=\"invalid_token\"")
        );
    }

    #[track_caller]
    fn accepts(&self, proof: &str) {
        let answer = self.fapi.ask("DPoP", self.tokens.access_token(), &[proof]);
        self.fapi.suite.check_userinfo(&answer, &self.tokens);
    }
}

fn unsigned(mut draft: Draft, algorithm: &str) -> String {
    draft.header["alg"] = json!(algorithm);
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.", part(&draft.header), part(&draft.claims))
}

#[test]
fn fapi2_security_profile_final_dpop_negative_tests() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let tokens = fapi.flow(&request);
    let mut test = Negative { fapi, rp, tokens };
    let (first, second) = (test.changed(|_| {}), test.changed(|_| {}));
    test.refuses(&[&first, &second]);
    test.refuses(&["not.a.jwt"]);
    let whole = test.changed(|_| {});
    test.refuses(&[whole.rsplit_once('.').unwrap().0]);
    for name in ["typ", "alg", "jwk", "jti", "htm", "htu", "iat", "ath"] {
        let proof = test.changed(|proof| proof.remove(name));
        test.refuses(&[&proof]);
    }
    let now = test.fapi.suite.now().as_secs();
    let wrong: [(&str, Value); 6] = [
        ("htm", json!("PUT")),
        ("htu", json!("https://other.example.org/userinfo")),
        ("htu", json!(format!("{ISSUER}{TOKEN}"))),
        ("iat", json!(now + 3600)),
        ("iat", json!(now - 3600)),
        ("ath", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ];
    for (name, value) in wrong {
        let proof = test.changed(|proof| proof.claims[name] = value);
        test.refuses(&[&proof]);
    }
    let beyond = format!("{ISSUER}{USERINFO}else");
    let elsewhere = test.changed(|proof| proof.claims["htu"] = json!(beyond));
    test.refuses(&[&elsewhere]);
    for (name, value) in [("typ", "dpop+jwt+x"), ("typ", "JWT"), ("alg", "RS256"), ("alg", "HS256")] {
        let proof = test.changed(|proof| proof.header[name] = json!(value));
        test.refuses(&[&proof]);
    }
    let none = unsigned(test.proof(), "none");
    test.refuses(&[&none]);
    let broken = test.changed(|_| {});
    let (signed, _) = broken.rsplit_once('.').unwrap();
    let (_, other) = first.rsplit_once('.').unwrap();
    test.refuses(&[&format!("{signed}.{other}")]);
    let private =
        test.changed(|proof| proof.header["jwk"]["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    test.refuses(&[&private]);
    let stranger = new_key(SigningAlgorithm::Es256);
    let by_stranger = test.proof().sign(&stranger);
    test.refuses(&[&by_stranger]);
    let of_stranger = test.fapi.proof(&stranger, "GET", USERINFO, Some(test.tokens.access_token()));
    test.refuses(&[&of_stranger.sign(&stranger)]);
    let good = test.changed(|_| {});
    test.accepts(&good);
    test.refuses(&[&good]);
    let last = test.changed(|_| {});
    let answer = test.fapi.ask("Bearer", test.tokens.access_token(), &[&last]);
    assert_eq!(answer.status, 401, "a bound token as a bearer token");
}

/// The part of the same module in which the proof is unusual and good.
#[test]
fn fapi2_security_profile_final_dpop_negative_tests_accepts_what_must_be_ignored() {
    let mut fapi = Fapi::start();
    let rp = fapi.first.clone();
    let request = fapi.request();
    let tokens = fapi.flow(&request);
    let mut test = Negative { fapi, rp, tokens };
    let capital = test.changed(|_| {});
    let authorization = format!("DPoP {}", test.tokens.access_token());
    let caller = test.fapi.suite.caller().with_header("Authorization", &authorization);
    let answer = caller.with_header("DPOP", &capital).get_json(USERINFO);
    test.fapi.suite.check_userinfo(&answer, &test.tokens);
    let with_extras = test.changed(|proof| {
        proof.header["tx_id"] = json!(1_800_003_600);
        proof.claims["tx_id_key"] = json!({ "claim": [1] });
    });
    test.accepts(&with_extras);
    for address in [
        format!("{ISSUER}{USERINFO}?a=b#c"),
        format!("HTTPS://ID.EXAMPLE.ORG{USERINFO}"),
        format!("{ISSUER}:443{USERINFO}"),
    ] {
        let proof = test.changed(|proof| proof.claims["htu"] = json!(address));
        test.accepts(&proof);
    }
}

#[test]
fn fapi2_security_profile_final_refresh_token() {
    let mut fapi = Fapi::start();
    let refresh = |fapi: &mut Fapi, rp: &Rp, token: &str, is_proven: bool| {
        let proof = is_proven.then(|| fapi.proof(&rp.dpop, "POST", TOKEN, None).sign(&rp.dpop));
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "openid offline_access")];
        fapi.post(rp, TOKEN, &fields, proof.as_deref())
    };
    let mut kept = Vec::new();
    for rp in [fapi.first.clone(), fapi.second.clone()] {
        let request = fapi.request_of(&rp.app);
        let request = request.with("scope", "openid offline_access").with("prompt", "consent");
        let tokens = fapi.flow_as(&rp, &request);
        fapi.suite.wait(30);
        let answer = refresh(&mut fapi, &rp, tokens.text("refresh_token"), true);
        let body = checks::tokens(&answer, "DPoP");
        assert_eq!(
            body["refresh_token"], tokens.body["refresh_token"],
            "FAPI 2.0 section 5.3.2.1: no rotation"
        );
        assert_ne!(text(&body, "access_token"), tokens.access_token());
        let id_token = fapi.suite.check_id_token(text(&body, "id_token"), &rp.app.id);
        for name in ["iss", "sub", "aud", "auth_time"] {
            assert_eq!(id_token[name], tokens.id_token[name], "{name}");
        }
        assert_ne!(id_token["iat"], tokens.id_token["iat"]);
        let again = Tokens { body, id_token };
        fapi.userinfo(&rp, &again);
        let unproven = refresh(&mut fapi, &rp, again.text("refresh_token"), false);
        checks::refusal(&unproven, 400, &["invalid_request", "invalid_grant"]);
        kept.push(again);
    }
    // REF-06: who uses it keeps it, although it stays the same; the access tokens of the end live as long as others.
    let rp = fapi.first.clone();
    for _ in 0..5 {
        fapi.suite.wait(5 * 86_400);
        let answer = refresh(&mut fapi, &rp, kept[0].text("refresh_token"), true);
        let body = checks::tokens(&answer, "DPoP");
        fapi.suite.wait(60);
        let again = Tokens { id_token: kept[0].id_token.clone(), body };
        fapi.userinfo(&rp, &again);
    }
    fapi.suite.wait(5 * 86_400 - 660);
    let answer = refresh(&mut fapi, &rp, kept[0].text("refresh_token"), true);
    let last = Tokens { id_token: kept[0].id_token.clone(), body: checks::tokens(&answer, "DPoP") };
    fapi.suite.wait(600);
    fapi.userinfo(&rp, &last);
    let late = refresh(&mut fapi, &rp, kept[0].text("refresh_token"), true);
    checks::refusal(&late, 400, &["invalid_grant"]);
    // The second client's tokens in the hands of the first.
    let first = fapi.first.clone();
    let token = kept[1].access_token().to_owned();
    let proof = fapi.proof(&first.dpop, "GET", USERINFO, Some(&token)).sign(&first.dpop);
    assert_eq!(fapi.ask("DPoP", &token, &[&proof]).status, 401);
    let answer = refresh(&mut fapi, &first, kept[1].text("refresh_token"), true);
    checks::refusal(&answer, 400, &["invalid_grant"]);
}
