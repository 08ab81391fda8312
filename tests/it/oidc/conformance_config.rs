//! `oidcc-config-certification-test-plan`: the metadata, member by member.

use serde_json::Value;
use url::Url;

use super::suite::{ISSUER, Mode, Suite, checks};

/// What members are (RFC 8414 section 2, OIDC Discovery section 3 and the specifications that register more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Address,
    Texts,
    Switch,
}

/// Every name that the suite knows and a provider of our kind may publish.
const MEMBERS: [(&str, Kind); 58] = [
    ("issuer", Kind::Address),
    ("authorization_endpoint", Kind::Address),
    ("token_endpoint", Kind::Address),
    ("userinfo_endpoint", Kind::Address),
    ("jwks_uri", Kind::Address),
    ("registration_endpoint", Kind::Address),
    ("introspection_endpoint", Kind::Address),
    ("revocation_endpoint", Kind::Address),
    ("end_session_endpoint", Kind::Address),
    ("device_authorization_endpoint", Kind::Address),
    ("pushed_authorization_request_endpoint", Kind::Address),
    ("check_session_iframe", Kind::Address),
    ("service_documentation", Kind::Address),
    ("op_policy_uri", Kind::Address),
    ("op_tos_uri", Kind::Address),
    ("scopes_supported", Kind::Texts),
    ("claims_supported", Kind::Texts),
    ("response_types_supported", Kind::Texts),
    ("response_modes_supported", Kind::Texts),
    ("grant_types_supported", Kind::Texts),
    ("subject_types_supported", Kind::Texts),
    ("acr_values_supported", Kind::Texts),
    ("prompt_values_supported", Kind::Texts),
    ("display_values_supported", Kind::Texts),
    ("claim_types_supported", Kind::Texts),
    ("ui_locales_supported", Kind::Texts),
    ("claims_locales_supported", Kind::Texts),
    ("code_challenge_methods_supported", Kind::Texts),
    ("id_token_signing_alg_values_supported", Kind::Texts),
    ("id_token_encryption_alg_values_supported", Kind::Texts),
    ("id_token_encryption_enc_values_supported", Kind::Texts),
    ("userinfo_signing_alg_values_supported", Kind::Texts),
    ("userinfo_encryption_alg_values_supported", Kind::Texts),
    ("userinfo_encryption_enc_values_supported", Kind::Texts),
    ("request_object_signing_alg_values_supported", Kind::Texts),
    ("request_object_encryption_alg_values_supported", Kind::Texts),
    ("request_object_encryption_enc_values_supported", Kind::Texts),
    ("authorization_signing_alg_values_supported", Kind::Texts),
    ("token_endpoint_auth_methods_supported", Kind::Texts),
    ("token_endpoint_auth_signing_alg_values_supported", Kind::Texts),
    ("introspection_endpoint_auth_methods_supported", Kind::Texts),
    ("introspection_endpoint_auth_signing_alg_values_supported", Kind::Texts),
    ("revocation_endpoint_auth_methods_supported", Kind::Texts),
    ("revocation_endpoint_auth_signing_alg_values_supported", Kind::Texts),
    ("dpop_signing_alg_values_supported", Kind::Texts),
    ("authorization_details_types_supported", Kind::Texts),
    ("claims_parameter_supported", Kind::Switch),
    ("request_parameter_supported", Kind::Switch),
    ("request_uri_parameter_supported", Kind::Switch),
    ("require_request_uri_registration", Kind::Switch),
    ("require_pushed_authorization_requests", Kind::Switch),
    ("require_signed_request_object", Kind::Switch),
    ("authorization_response_iss_parameter_supported", Kind::Switch),
    ("backchannel_logout_supported", Kind::Switch),
    ("backchannel_logout_session_supported", Kind::Switch),
    ("frontchannel_logout_supported", Kind::Switch),
    ("frontchannel_logout_session_supported", Kind::Switch),
    ("tls_client_certificate_bound_access_tokens", Kind::Switch),
];

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("not a list: {list}"));
    list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("not a text: {text}"))).collect()
}

/// Every member is known, of its kind, and names no address but one by https.
fn is_well_formed(metadata: &Value) {
    for (name, value) in metadata.as_object().unwrap() {
        let known = MEMBERS.iter().find(|(own, _)| own == name);
        let (_, kind) = known.unwrap_or_else(|| panic!("{name} is not registered"));
        match kind {
            Kind::Address => {
                let url = Url::parse(value.as_str().unwrap_or_else(|| panic!("{name}: {value}"))).unwrap();
                assert_eq!(url.scheme(), "https", "{name}");
                assert!(url.fragment().is_none() && url.username().is_empty(), "{name}: {url}");
            }
            Kind::Texts => {
                let mut list = texts(value);
                assert!(!list.is_empty(), "{name} is empty: it should be left out");
                assert!(list.iter().all(|text| !text.is_empty()), "{name}: {value}");
                let count = list.len();
                list.sort_unstable();
                list.dedup();
                assert_eq!(list.len(), count, "{name} names something twice");
            }
            Kind::Switch => assert!(value.is_boolean(), "{name}: {value}"),
        }
    }
}

/// What the suite looks at in the metadata of a provider with clients registered by hand.
fn discovery_endpoint_verification(suite: &Suite) {
    let metadata = &suite.metadata;
    is_well_formed(metadata);
    let issuer = Url::parse(ISSUER).unwrap();
    assert!(issuer.query().is_none() && issuer.fragment().is_none());
    assert_eq!(metadata["issuer"], ISSUER, "the prefix of the address of the document");
    let list = |name: &str| texts(&metadata[name]);
    let response_types =
        ["code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"];
    assert!(list("response_types_supported").iter().any(|kind| response_types.contains(kind)));
    assert_eq!(list("response_types_supported"), ["code"], "OA-06");
    assert!(list("response_modes_supported").iter().all(|mode| ["query", "form_post"].contains(mode)));
    assert!(list("subject_types_supported").iter().any(|kind| ["public", "pairwise"].contains(kind)));
    assert!(list("id_token_signing_alg_values_supported").contains(&"RS256"));
    assert!(!list("id_token_signing_alg_values_supported").contains(&"none"));
    let grants = list("grant_types_supported");
    assert!(grants.contains(&"authorization_code"));
    assert!(!grants.contains(&"implicit") && !grants.contains(&"password"), "OA-06: {grants:?}");
    for name in ["userinfo_endpoint", "claims_supported", "scopes_supported"] {
        assert!(metadata.get(name).is_some(), "{name} is missing");
    }
    assert!(list("claims_supported").contains(&"sub"));
    let scopes = list("scopes_supported");
    assert!(scopes.contains(&"openid"));
    let is_scope = |letter: char| matches!(letter, '!' | '#'..='[' | ']'..='~');
    assert!(scopes.iter().all(|scope| scope.chars().all(is_scope)), "RFC 6749 section 3.3: {scopes:?}");
    assert_eq!(list("ui_locales_supported"), ["en", "de"]);
    for name in ["ui_locales_supported", "claims_locales_supported"] {
        let Some(locales) = metadata.get(name) else { continue };
        let is_language = |locale: &str| {
            let language = locale.split('-').next().unwrap();
            (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase())
        };
        assert!(texts(locales).into_iter().all(is_language), "{name}: {locales}");
    }
    assert_eq!(list("code_challenge_methods_supported"), ["S256"], "OA-05");
    if let Some(algorithms) = metadata.get("request_object_signing_alg_values_supported") {
        assert!(checks::has(algorithms, "RS256"));
    }
    assert!(suite.keys.iter().any(|key| key["alg"] == "RS256"));
}

#[test]
fn oidcc_discovery_endpoint_verification() {
    discovery_endpoint_verification(&Suite::start(Mode::Default));
}

/// The same with everything that settings add to the metadata.
#[test]
fn oidcc_discovery_endpoint_verification_with_everything_switched_on() {
    let settings = serde_json::json!({ "id_token_alg": "ES256" });
    let suite = Suite::start_with(Mode::Default, settings, |options| {
        options.oidc.advertise_par = true;
        options.oidc.registration = true;
    });
    discovery_endpoint_verification(&suite);
    assert!(suite.metadata.get("pushed_authorization_request_endpoint").is_some());
    assert!(checks::has(&suite.metadata["id_token_signing_alg_values_supported"], "ES256"));
    assert!(suite.keys.iter().any(|key| key["alg"] == "ES256"));
    let twin = suite.ask("/.well-known/oauth-authorization-server").expect(200).json();
    assert_eq!(twin, suite.metadata, "RFC 8414");
}
