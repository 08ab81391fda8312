//! `identity_providers.oidc.clients`: apps, with the hashes of their secrets.

use std::collections::HashMap;

use super::template::UNREAD;
use crate::crypto::mac::sha256;
use crate::crypto::signing::SigningAlgorithm;
use crate::import::found::{FoundClient, FoundSecret};
use crate::import::yaml::{Fields, Node};
use crate::kernel::text::GroupName;
use crate::oidc::client::{AuthMethod, ClientKind, ClientSettings, ConsentMode, Demand, GrantType};
use crate::oidc::scopes::{KNOWN, Scopes};
use crate::sessions::Level;

/// What an authorization policy comes to here: who may use the app, and with what level.
pub(super) struct AppPolicy {
    level: Level,
    groups: Vec<GroupName>,
}

/// Policies by name; `None` for one that cannot be said here.
pub(super) type Policies = HashMap<String, Option<AppPolicy>>;

/// Reads `authorization_policies`.
pub(super) fn read_policies(node: Node) -> Policies {
    let named = node.fields().unwrap_or_default().rest();
    named.into_iter().map(|(name, policy)| (name, policy.fields().and_then(policy_of))).collect()
}

fn level(policy: &str) -> Option<Level> {
    match policy {
        "one_factor" => Some(Level::OneFactor),
        "two_factor" => Some(Level::TwoFactor),
        _ => None,
    }
}

/// Only "everybody else is refused, these groups are not" can be said here: no order of rules, no single people.
fn policy_of(mut fields: Fields) -> Option<AppPolicy> {
    let rules = fields.take("rules")?.list()?;
    if fields.text("default_policy")? != "deny" || rules.is_empty() {
        return None;
    }
    let mut found: Option<AppPolicy> = None;
    for rule in rules {
        let mut rule = rule.fields()?;
        let level = level(&rule.text("policy")?)?;
        let subjects = match rule.take("subject")? {
            Node::List(list) => list,
            node => vec![node],
        };
        if rule.take("networks").is_some_and(|networks| !networks.is_nothing()) {
            return None;
        }
        let groups = subjects.iter().map(|subject| match subject.texts()?.as_slice() {
            [one] => GroupName::parse(one.strip_prefix("group:")?).ok(),
            _ => None,
        });
        let groups: Vec<GroupName> = groups.collect::<Option<_>>()?;
        // An app without groups is for everybody.
        if groups.is_empty() {
            return None;
        }
        let so_far = found.get_or_insert(AppPolicy { level, groups: Vec::new() });
        if so_far.level != level {
            return None;
        }
        so_far.groups.extend(groups);
    }
    found
}

/// What holds for all apps.
pub(super) struct Common<'a> {
    pub(super) policies: &'a Policies,
    pub(super) is_pkce_always: bool,
}

/// Reads an app. The error is a sentence.
pub(super) fn read(node: Node, common: &Common<'_>) -> Result<FoundClient, (String, String)> {
    let malformed = |id: &str| (id.to_owned(), "It is not in the form that Authelia reads.".to_owned());
    let mut fields = node.fields().ok_or_else(|| malformed("?"))?;
    let id = either(&mut fields, "client_id", "id").ok_or_else(|| malformed("?"))?;
    let mut notes = Vec::new();
    let read = read_settings(&mut fields, &id, common, &mut notes).ok_or_else(|| malformed(&id))?;
    let settings = read.map_err(|why| (id.clone(), why))?;
    let secret = either(&mut fields, "client_secret", "secret").ok_or_else(|| malformed(&id))?;
    let secret = match secret.strip_prefix("$plaintext$") {
        Some(plain) if !plain.is_empty() => FoundSecret::Sha256(sha256(plain)),
        Some(_) => FoundSecret::Nothing,
        None if secret.is_empty() => FoundSecret::Nothing,
        None if secret == UNREAD => {
            notes.push(
                "Its secret comes from a template that cannot be read here; make a new one with doorward app secret."
                    .to_owned(),
            );
            FoundSecret::Nothing
        }
        // Until 4.38 a secret could stand there as it is.
        None if !secret.starts_with('$') => FoundSecret::Sha256(sha256(&secret)),
        None => FoundSecret::Hash(secret),
    };
    tell_what_is_left(fields, &mut notes);
    Ok(FoundClient { id, settings, secret, notes })
}

/// The key of today, or the one of earlier versions.
fn either(fields: &mut Fields, name: &str, former: &str) -> Option<String> {
    let (new, old) = (fields.text(name)?, fields.text(former)?);
    Some(if new.is_empty() { old } else { new })
}

/// `None` if a value is not of its kind; an error if the app cannot be carried over.
fn read_settings(
    fields: &mut Fields,
    id: &str,
    common: &Common<'_>,
    notes: &mut Vec<String>,
) -> Option<Result<ClientSettings, String>> {
    let mut settings = ClientSettings::default();
    let name = either(fields, "client_name", "description")?;
    settings.name = if name.is_empty() { id.to_owned() } else { name };
    let is_public = fields.truth("public")?;
    settings.kind = if is_public { ClientKind::Public } else { ClientKind::Confidential };
    settings.redirect_uris = fields.texts("redirect_uris")?;
    settings.auth_method = match fields.text("token_endpoint_auth_method")?.as_str() {
        _ if is_public => AuthMethod::None,
        "none" => AuthMethod::None,
        "" => AuthMethod::Any,
        "client_secret_basic" => AuthMethod::Basic,
        "client_secret_post" => AuthMethod::Post,
        other => {
            let why = format!(
                "It proves itself by {other}, which needs more than a hash of its secret. Add it by hand."
            );
            return Some(Err(why));
        }
    };
    if settings.auth_method == AuthMethod::None {
        settings.kind = ClientKind::Public;
    }
    if fields.truth("allow_multiple_auth_methods")? && settings.kind == ClientKind::Confidential {
        settings.auth_method = AuthMethod::Any;
    }
    let must = fields.truth("require_pkce")? || fields.truth("enforce_pkce")? || common.is_pkce_always;
    let has_method = !fields.text("pkce_challenge_method")?.is_empty();
    settings.pkce = if must || has_method { Demand::Required } else { Demand::Optional };
    read_scopes(fields, &mut settings, notes)?;
    read_policy(fields, common, &mut settings, notes)?;
    settings.consent =
        consent(&fields.text("consent_mode")?, fields.take("pre_configured_consent_duration"), notes);
    settings.id_token_alg =
        algorithm(&fields.text("id_token_signed_response_alg")?, notes).unwrap_or(SigningAlgorithm::Rs256);
    let userinfo = fields.text("userinfo_signed_response_alg")?;
    settings.userinfo_alg = if userinfo == "none" { None } else { algorithm(&userinfo, notes) };
    let (audiences, others): (Vec<String>, Vec<String>) =
        fields.texts("audience")?.into_iter().partition(|text| crate::oidc::client::is_resource(text));
    settings.audiences = audiences;
    if !others.is_empty() {
        notes.push(format!("These audiences are no addresses and were left out: {}.", others.join(", ")));
    }
    Some(Ok(settings))
}

/// By default, and as `auto`, people are asked each time, unless their consent is kept for a while.
fn consent(mode: &str, duration: Option<Node>, notes: &mut Vec<String>) -> ConsentMode {
    let has_duration = duration
        .is_some_and(|node| !node.is_nothing() && node.text().is_none_or(|text| !matches!(text, "" | "0")));
    match mode {
        "implicit" => ConsentMode::Skip,
        "pre-configured" => once(notes),
        "" | "auto" if has_duration => once(notes),
        _ => ConsentMode::Always,
    }
}

fn once(notes: &mut Vec<String>) -> ConsentMode {
    notes.push("Consent does not end here after a while: people are asked once.".to_owned());
    ConsentMode::Once
}

fn algorithm(name: &str, notes: &mut Vec<String>) -> Option<SigningAlgorithm> {
    if name.is_empty() {
        return None;
    }
    let found = SigningAlgorithm::parse(name);
    if found.is_none() {
        notes.push(format!("Tokens are not signed with {name} here; it gets RS256."));
    }
    found
}

fn read_scopes(fields: &mut Fields, settings: &mut ClientSettings, notes: &mut Vec<String>) -> Option<()> {
    let scopes = fields.texts("scopes")?;
    if !scopes.is_empty() {
        let (known, unknown): (Vec<String>, Vec<String>) =
            scopes.into_iter().partition(|scope| KNOWN.contains(&scope.as_str()));
        settings.scopes = Scopes::new(known);
        if !unknown.is_empty() {
            notes.push(format!("These scopes do not exist here and were left out: {}.", unknown.join(", ")));
        }
    } else {
        settings.scopes = Scopes::new(["openid", "groups", "profile", "email"].map(str::to_owned));
    }
    let mut grants = Vec::new();
    for grant in fields.texts("grant_types")? {
        match GrantType::parse(&grant) {
            Some(grant) => grants.push(grant),
            None => notes.push(format!("The grant type {grant} does not exist here.")),
        }
    }
    if grants.is_empty() {
        grants.push(GrantType::AuthorizationCode);
    }
    settings.grants = grants;
    for response in fields.texts("response_types")? {
        if response != "code" {
            notes.push(format!(
                "The response type “{response}” does not exist here; the app has to use code."
            ));
        }
    }
    Some(())
}

fn read_policy(
    fields: &mut Fields,
    common: &Common<'_>,
    settings: &mut ClientSettings,
    notes: &mut Vec<String>,
) -> Option<()> {
    let name = fields.text("authorization_policy")?;
    match name.as_str() {
        "" => settings.level = Level::TwoFactor,
        name if level(name).is_some() => settings.level = level(name)?,
        name => match common.policies.get(name) {
            Some(Some(policy)) => {
                settings.level = policy.level;
                settings.groups = policy.groups.clone();
            }
            _ => {
                // Nobody gets in whom the policy might have refused.
                settings.level = Level::TwoFactor;
                settings.is_disabled = true;
                notes.push(format!(
                    "It is switched off, because its policy {name} cannot be said here: choose the groups that may use \
                     it, then switch it on."
                ));
            }
        },
    }
    Some(())
}

/// Keys that say nothing that would be different here.
const SETTLED: [&str; 13] = [
    "response_modes",
    "requested_audience_mode",
    "authorization_signed_response_alg",
    "authorization_signed_response_key_id",
    "id_token_signed_response_key_id",
    "access_token_signed_response_alg",
    "access_token_signed_response_key_id",
    "userinfo_signed_response_key_id",
    "introspection_signed_response_alg",
    "introspection_signed_response_key_id",
    "token_endpoint_auth_signing_alg",
    "request_object_signing_alg",
    "request_uris",
];

fn tell_what_is_left(fields: Fields, notes: &mut Vec<String>) {
    for (key, value) in fields.rest() {
        let is_nothing =
            value.is_nothing() || value.text().is_some_and(|text| matches!(text, "" | "false" | "none"));
        if is_nothing || SETTLED.contains(&key.as_str()) {
            continue;
        }
        notes.push(match key.as_str() {
            "sector_identifier_uri" | "sector_identifier" => {
                "People had a sub of their own for this app; it will take them for somebody new.".to_owned()
            }
            "lifespan" => "Its own lifespans are not carried over.".to_owned(),
            "claims_policy" => "Its claims policy is not carried over.".to_owned(),
            other => format!("Its {other} is not carried over."),
        });
    }
}
