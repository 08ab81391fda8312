//! Does this provider offer what a preset needs?

use serde_json::Value;

use super::{AuthMethod, Pkce, Preset};
use crate::words::{Said, said};

/// Returns what `preset` needs and `discovery` (Discovery section 3, RFC 8414 section 2) does not offer: one sentence
/// each, none if the app can connect.
pub fn check_against_discovery(preset: &'static Preset, discovery: &Value) -> Vec<Said> {
    let (client, name) = (&preset.client, preset.name.as_str());
    let mut missing = Vec::new();
    let mut need = |member: &str, word: &str, unless_said: &[&str]| {
        let offers = match discovery.get(member).and_then(Value::as_array) {
            Some(words) => words.iter().any(|offered| offered.as_str() == Some(word)),
            None => unless_said.contains(&word),
        };
        if !offers {
            let (member, word) = (member.to_owned(), word.to_owned());
            missing.push(said(move |t| t.apps_lacks(&member, name, &word)));
        }
    };
    need("response_types_supported", "code", &[]);
    let methods = match &client.auth_method {
        AuthMethod::Any => &[AuthMethod::Basic, AuthMethod::Post][..],
        one => std::slice::from_ref(one),
    };
    for method in methods {
        need("token_endpoint_auth_methods_supported", method.as_str(), &["client_secret_basic"]);
    }
    for grant in &client.grants {
        need("grant_types_supported", grant.as_str(), &["authorization_code"]);
    }
    for scope in &client.scopes {
        need("scopes_supported", scope, &["openid"]);
    }
    need("id_token_signing_alg_values_supported", client.id_token_alg.as_str(), &[]);
    if client.pkce != Pkce::Off {
        need("code_challenge_methods_supported", "S256", &[]);
    }
    let is_true = |member: &str| discovery.get(member).and_then(Value::as_bool) == Some(true);
    if client.backchannel_logout_path.is_some() && !is_true("backchannel_logout_supported") {
        missing.push(said(move |t| t.apps_lacks_backchannel(name)));
    }
    let named = |member: &str| discovery.get(member).is_some_and(Value::is_string);
    for member in ["issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        if !named(member) {
            missing.push(said(move |t| t.apps_lacks_member(member, name)));
        }
    }
    if !client.post_logout_paths.is_empty() && !named("end_session_endpoint") {
        missing.push(said(move |t| t.apps_lacks_logout(name)));
    }
    missing
}
