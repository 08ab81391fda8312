//! What every preset must keep to.

use super::address::{self, AppAddress};
use super::{AuthMethod, ClientKind, Consent, GrantType, Pkce, Preset, template};

/// The scopes that every provider knows (OpenID Connect Core section 5.4, section 11) and `groups`.
const SCOPES: &[&str] = &["openid", "profile", "email", "address", "phone", "groups", "offline_access"];

/// Returns what is wrong with `preset`, one sentence each.
pub(super) fn problems(preset: &Preset) -> Vec<String> {
    let mut found = Vec::new();
    texts(preset, &mut found);
    client(preset, &mut found);
    addresses(preset, &mut found);
    placeholders(preset, &mut found);
    found.into_iter().map(|what| format!("{}: {what}.", preset.id)).collect()
}

fn texts(preset: &Preset, found: &mut Vec<String>) {
    let is_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if preset.id.is_empty() || !preset.id.bytes().all(is_id) {
        found.push("the file name is not of lower-case letters, digits and dashes".to_owned());
    }
    if preset.name.trim().is_empty() || preset.name.len() > 40 {
        found.push("the name is empty or long".to_owned());
    }
    let letters = preset.logo.chars().count();
    if !(1..=2).contains(&letters) || !preset.logo.chars().all(char::is_alphanumeric) {
        found.push("the logo is not one or two letters".to_owned());
    }
    if !preset.website.starts_with("https://") || AppAddress::parse(&preset.website).is_err() {
        found.push("the website is not an https address".to_owned());
    }
    if preset.notes.len() != preset.notes_de.len() {
        found.push("there are other notes in German (notes_de) than in English".to_owned());
    }
    for sentence in preset.notes.iter().chain(&preset.notes_de).chain([&preset.source]) {
        if !sentence.ends_with('.') || sentence.trim() != sentence || sentence.contains('\n') {
            found.push(format!("“{sentence}” is not one plain sentence"));
        }
    }
    if preset.rows.is_empty() {
        found.push("there is nothing to paste".to_owned());
    }
    let rows = preset.rows.iter().flat_map(|row| [&row.label, &row.value]);
    if rows.chain(preset.parameters.iter().map(|parameter| &parameter.label)).any(|text| text.is_empty()) {
        found.push("a label or value is empty".to_owned());
    }
}

fn client(preset: &Preset, found: &mut Vec<String>) {
    let client = &preset.client;
    let is_public = client.kind == ClientKind::Public;
    if is_public != (client.auth_method == AuthMethod::None) {
        found.push("public clients have the auth_method none, and only they".to_owned());
    }
    if is_public && client.pkce != Pkce::Required {
        found.push("public clients must use PKCE (RFC 9700 section 2.1.1)".to_owned());
    }
    if is_public && client.consent != Consent::Ask {
        found.push("public clients must ask for consent (RFC 8252 section 8.6)".to_owned());
    }
    if client.auth_method == AuthMethod::PrivateKeyJwt {
        found.push("nobody can paste the key that private_key_jwt needs".to_owned());
    }
    if client.grants.contains(&GrantType::ClientCredentials) {
        found.push("client_credentials signs nobody in".to_owned());
    }
    if !client.grants.contains(&GrantType::AuthorizationCode) {
        found.push("the grant authorization_code is missing".to_owned());
    }
    if client.scopes.first().map(String::as_str) != Some("openid") {
        found.push("the first scope is not openid".to_owned());
    }
    let refreshes = client.grants.contains(&GrantType::RefreshToken);
    if refreshes != client.scopes.iter().any(|scope| scope == "offline_access") {
        found.push("offline_access and the grant refresh_token go together".to_owned());
    }
    for scope in client.scopes.iter().filter(|scope| !SCOPES.contains(&scope.as_str())) {
        if !preset.notes.iter().any(|note| note.contains(scope.as_str())) {
            found.push(format!("no note tells of the scope {scope}"));
        }
    }
}

fn addresses(preset: &Preset, found: &mut Vec<String>) {
    let client = &preset.client;
    if client.redirect_paths.is_empty() {
        found.push("there is no redirect path".to_owned());
    }
    let app = AppAddress::parse("https://app.home.example").ok();
    let word = |name: &str| preset.parameter(name).map(|parameter| parameter.default.clone());
    for path in preset.addresses() {
        // What is neither a path nor an address of the app must be whole; what nobody fills in keeps its braces and
        // is found here too.
        found.extend(address::problem(&address::resolve(path, app.as_ref(), word)));
        let behind = path.strip_prefix("{app_url_with_port}").or_else(|| path.strip_prefix("{app_url}"));
        if behind.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) || path.starts_with("//") {
            found.push(format!("{path} leaves the app"));
        }
    }
}

fn placeholders(preset: &Preset, found: &mut Vec<String>) {
    for parameter in &preset.parameters {
        if !template::is_name(&parameter.name) || template::PLACEHOLDERS.contains(&parameter.name.as_str()) {
            found.push(format!("the parameter {} has no name of its own", parameter.name));
        }
        if !address::is_parameter(&parameter.default) {
            found.push(format!("the default of {} cannot stand in an address", parameter.name));
        }
    }
    let templates = preset.rows.iter().map(|row| &row.value);
    for text in templates.chain(preset.config.as_ref().map(|snippet| &snippet.text)) {
        for name in template::names(text) {
            if !template::PLACEHOLDERS.contains(&name) && preset.parameter(name).is_none() {
                found.push(format!("nothing stands for {{{name}}}"));
            }
            if name == "client_secret" && preset.client.kind == ClientKind::Public {
                found.push("a public client has no secret to paste".to_owned());
            }
        }
    }
}
