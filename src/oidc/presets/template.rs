//! Templates: text with `{placeholders}`.
//!
//! Only lower-case letters, digits and underscores between braces make a placeholder; any other brace is text, so that
//! JSON and the templates of other programs can stand in a snippet.

use std::collections::BTreeMap;

use super::address::AppAddress;
use crate::kernel::secret::{Secret, SecretText};

/// The placeholders that every template may hold, beside the parameters of its preset.
pub(super) const PLACEHOLDERS: &[&str] = &[
    "issuer",
    "client_id",
    "client_secret",
    "discovery_url",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
    "app_url",
    "scopes",
    "redirect_uri",
];

/// Stands for a secret that is shown no more.
const NO_SECRET: &str = "THE-CLIENT-SECRET";

/// What placeholders stand for.
#[derive(Clone)]
pub struct Values {
    /// This installation, as discovery spells it.
    pub issuer: String,
    /// The discovery document (Discovery section 4).
    pub discovery_url: String,
    /// Where sign-ins begin.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where claims are.
    pub userinfo_endpoint: String,
    /// Where the keys are.
    pub jwks_uri: String,
    /// Where sign-outs begin.
    pub end_session_endpoint: String,
    /// The client.
    pub client_id: String,
    /// Its secret, while it is known; afterwards a word that stands for it.
    pub client_secret: Option<SecretText>,
    /// Where the app lives, without slash at the end.
    pub app_url: String,
    /// What the admin of the app chose instead of a preset's defaults.
    pub parameters: BTreeMap<String, String>,
}

impl Values {
    /// Derives the addresses from the issuer.
    pub fn new(issuer: &str, client_id: &str, client_secret: Option<SecretText>, app_url: &str) -> Self {
        let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
        let app_url = AppAddress::parse(app_url)
            .map_or_else(|_| app_url.trim().trim_end_matches('/').to_owned(), |address| address.base);
        Values {
            issuer: issuer.to_owned(),
            discovery_url: at("/.well-known/openid-configuration"),
            authorization_endpoint: at("/oauth2/authorize"),
            token_endpoint: at("/oauth2/token"),
            userinfo_endpoint: at("/oauth2/userinfo"),
            jwks_uri: at("/jwks.json"),
            end_session_endpoint: at("/logout"),
            client_id: client_id.to_owned(),
            client_secret,
            app_url,
            parameters: BTreeMap::new(),
        }
    }

    /// Values that leave every placeholder as it stands, for showing a preset before there is a client.
    pub fn unfilled() -> Self {
        let same = |name: &str| format!("{{{name}}}");
        Values {
            issuer: same("issuer"),
            discovery_url: same("discovery_url"),
            authorization_endpoint: same("authorization_endpoint"),
            token_endpoint: same("token_endpoint"),
            userinfo_endpoint: same("userinfo_endpoint"),
            jwks_uri: same("jwks_uri"),
            end_session_endpoint: same("end_session_endpoint"),
            client_id: same("client_id"),
            client_secret: Some(Secret::new(same("client_secret"))),
            app_url: same("app_url"),
            parameters: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        Some(match name {
            "issuer" => &self.issuer,
            "discovery_url" => &self.discovery_url,
            "authorization_endpoint" => &self.authorization_endpoint,
            "token_endpoint" => &self.token_endpoint,
            "userinfo_endpoint" => &self.userinfo_endpoint,
            "jwks_uri" => &self.jwks_uri,
            "end_session_endpoint" => &self.end_session_endpoint,
            "client_id" => &self.client_id,
            "client_secret" => {
                self.client_secret.as_ref().map_or(NO_SECRET, |secret| secret.expose().as_str())
            }
            "app_url" => &self.app_url,
            _ => self.parameters.get(name)?,
        })
    }
}

/// One value, ready to paste.
pub struct Pasted {
    /// What the app's own form calls it.
    pub label: String,
    /// The value; it may hold the client secret.
    pub value: SecretText,
    /// Whether it does.
    pub is_secret: bool,
}

/// Fills `template` in with `values`. A placeholder that they do not know stays as it stands.
pub fn render(template: &str, values: &Values) -> SecretText {
    fill(template, |name| values.get(name).map(str::to_owned))
}

pub(super) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> SecretText {
    let mut filled = String::with_capacity(template.len() * 2);
    for part in parts(template) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name(name) => match value(name) {
                Some(value) => filled.push_str(&value),
                None => {
                    filled.push('{');
                    filled.push_str(name);
                    filled.push('}');
                }
            },
        }
    }
    Secret::new(filled)
}

/// Returns the names of the placeholders in `template`.
pub(super) fn names(template: &str) -> impl Iterator<Item = &str> {
    parts(template).into_iter().filter_map(|part| match part {
        Part::Name(name) => Some(name),
        Part::Text(_) => None,
    })
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        found.push(Part::Text(before));
        rest = match after.split_once('}') {
            Some((name, behind)) if is_name(name) => {
                found.push(Part::Name(name));
                behind
            }
            _ => {
                found.push(Part::Text("{"));
                after
            }
        };
    }
    found.push(Part::Text(rest));
    found
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
