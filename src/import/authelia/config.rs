//! `configuration.yml`: what of it is carried over, and why the rest is not.

use std::mem;

use super::Parts;
use super::clients::{self, Common, Policies};
use super::rules::{self, Networks};
use super::template::UNREAD;
use crate::access::rules::MOST_RULES;
use crate::access::{Rule, RuleParts};
use crate::import::MOST_CLIENTS;
use crate::import::found::{FoundDomain, FoundKey};
use crate::import::report::Line;
use crate::import::yaml::{Fields, Node};

/// Why a part of the configuration is not carried over.
const REASONS: [(&str, &str); 22] = [
    ("server", "Address and port belong to the installation: see doorward config."),
    ("log", "The log goes to standard error here."),
    ("telemetry", "Metrics are set with metrics.listen."),
    ("theme", "Pages follow the browser."),
    ("certificates_directory", "There are no connections that would need it."),
    ("default_2fa_method", "People choose."),
    ("default_redirection_url", "People land on their apps."),
    ("jwt_secret", "Doorward has keys of its own."),
    ("identity_validation", "One-time links are made by administrators here."),
    ("ntp", "The clock of the machine is watched, no server is asked."),
    ("password_policy", "Doorward has rules of its own for new passwords."),
    ("privacy_policy", "There is no page for it."),
    ("regulation", "Failed sign-ins are counted for account and place: see doorward config, limits."),
    (
        "storage",
        "Doorward keeps its data itself. Sessions and consents are not carried over: people sign in once more.",
    ),
    ("notifier", "Doorward sends no mail."),
    ("duo_api", "Duo is not supported; those people set up an authenticator app."),
    ("webauthn", "Passkeys need no settings here."),
    (
        "totp",
        "New authenticator apps get SHA1, six digits and 30 seconds, which every app supports. Those that are carried over stay as they are.",
    ),
    (
        "authentication_backend",
        "People are carried over from the file of users; its settings are not needed, and an LDAP directory is not asked.",
    ),
    ("x_authelia_config_filters", "It is not needed here."),
    ("config_filters", "It is not needed here."),
    ("default_redirection_urls", "People land on their apps."),
];

pub(super) fn read(parts: &mut Parts, mut fields: Fields) -> Result<(), String> {
    let mut networks = Networks::new();
    if let Some(definitions) = fields.take("definitions") {
        let mut definitions = definitions.fields().ok_or("Its definitions are no mapping.")?;
        if let Some(node) = definitions.take("network") {
            rules::read_networks(&mut networks, node).ok_or("Its named networks cannot be read.")?;
        }
        for (key, _) in definitions.rest() {
            parts.say(Line::not_carried("setting", format!("definitions.{key}"), "It is not known here."));
        }
    }
    let domains = match fields.take("session") {
        Some(session) => {
            read_session(parts, session).ok_or("Its session is not in the form that Authelia reads.")?
        }
        None => Vec::new(),
    };
    if let Some(control) = fields.take("access_control") {
        read_access_control(parts, control, networks, &domains)?;
    }
    if let Some(providers) = fields.take("identity_providers") {
        let mut providers = providers.fields().ok_or("Its identity_providers are no mapping.")?;
        if let Some(oidc) = providers.take("oidc") {
            read_oidc(parts, oidc)
                .ok_or("Its OpenID Connect provider is not in the form that Authelia reads.")?;
        }
        for (key, _) in providers.rest() {
            parts.say(Line::not_carried(
                "setting",
                format!("identity_providers.{key}"),
                "It is not known here.",
            ));
        }
    }
    for (key, _) in fields.rest() {
        let reason = REASONS.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason);
        parts.say(Line::not_carried("setting", key, reason.unwrap_or("This key is not known here.")));
    }
    Ok(())
}

fn read_session(parts: &mut Parts, session: Node) -> Option<Vec<String>> {
    let mut fields = session.fields()?;
    let mut domains = Vec::new();
    if let Some(cookies) = fields.take("cookies") {
        for cookie in cookies.list()? {
            let mut cookie = cookie.fields()?;
            let (domain, portal) = (cookie.text("domain")?, cookie.text("authelia_url")?);
            if !portal.is_empty() {
                let why = "Give Doorward this same address (server.public_origin), so that bookmarks and apps find it.";
                parts.say(Line::not_carried("portal", &portal, why));
            }
            domains.push(FoundDomain { domain, portal: host_of(&portal) });
        }
    }
    let single = fields.text("domain")?;
    if !single.is_empty() {
        domains.push(FoundDomain { domain: single, portal: String::new() });
    }
    for (key, _) in fields.rest() {
        let why = "Sessions are set with sessions.* and signed in anew.";
        parts.say(Line::not_carried("setting", format!("session.{key}"), why));
    }
    domains.retain(|found| found.domain != UNREAD);
    let names = domains.iter().map(|found| found.domain.clone()).collect();
    parts.found.domains.append(&mut domains);
    Some(names)
}

/// Returns host and port of an address, or nothing.
fn host_of(address: &str) -> String {
    let Ok(url) = url::Url::parse(address) else { return String::new() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// Rules are carried over all or not at all: what one of them refuses, a later one might allow.
fn read_access_control(
    parts: &mut Parts,
    control: Node,
    mut networks: Networks,
    domains: &[String],
) -> Result<(), String> {
    let mut fields = control.fields().ok_or("Its access_control is no mapping.")?;
    if let Some(node) = fields.take("networks") {
        rules::read_networks(&mut networks, node).ok_or("Its named networks cannot be read.")?;
    }
    let default = fields.text("default_policy").ok_or("Its default_policy is no text.")?;
    let listed = fields.take("rules").map_or(Some(Vec::new()), Node::list).ok_or("Its rules are no list.")?;
    for (key, _) in fields.rest() {
        parts.say(Line::not_carried("setting", format!("access_control.{key}"), "It is not known here."));
    }
    let is_second = mem::replace(&mut parts.has_rules, true);
    let mut found = Vec::new();
    let mut faults = Vec::new();
    if is_second {
        faults.push("there are rules in another file too".to_owned());
    }
    if listed.len() >= MOST_RULES {
        faults.push(format!("there are more than {MOST_RULES} of them"));
    }
    for (number, node) in listed.into_iter().take(MOST_RULES).enumerate() {
        let read = rules::read_rule(node, &networks).and_then(|rule| match Rule::build(&rule) {
            Ok(_) => Ok(rule),
            Err(error) => Err(error.to_string()),
        });
        match read {
            Ok(rule) => found.push(rule),
            Err(why) => faults.push(format!("rule {}: {why}", number + 1)),
        }
    }
    match default.as_str() {
        "" | "deny" => {}
        policy if domains.is_empty() => {
            faults.push(format!("the default is {policy}, and no domain tells for which hosts"));
        }
        policy => {
            let rule = RuleParts {
                domains: domains.iter().flat_map(|domain| [domain.clone(), format!("*.{domain}")]).collect(),
                policy: policy.to_owned(),
                note: "The default of Authelia".to_owned(),
                ..RuleParts::default()
            };
            match Rule::build(&rule) {
                Ok(_) => found.push(rule),
                Err(error) => faults.push(format!("default_policy: {error}")),
            }
        }
    }
    if faults.is_empty() {
        parts.found.rules = found;
        return Ok(());
    }
    parts.found.rules.clear();
    for fault in faults {
        let why = "So no rule was carried over: what this one refuses, a later one might allow. Change it, or add the \
                   rules by hand.";
        parts.say(Line::not_carried("rules", fault, why));
    }
    Ok(())
}

fn read_oidc(parts: &mut Parts, oidc: Node) -> Option<()> {
    let mut fields = oidc.fields()?;
    let policies = fields.take("authorization_policies").map_or_else(Policies::new, clients::read_policies);
    let pkce = fields.text("enforce_pkce")?;
    let common = Common { policies: &policies, is_pkce_always: pkce == "always" };
    let clients = fields.take("clients").map_or(Some(Vec::new()), Node::list)?;
    if clients.len() > MOST_CLIENTS {
        return None;
    }
    for client in clients {
        match clients::read(client, &common) {
            Ok(client) => parts.found.clients.push(client),
            Err((id, why)) => parts.say(Line::not_carried("app", id, why)),
        }
    }
    read_keys(parts, &mut fields)?;
    for (key, value) in fields.rest() {
        let why = match key.as_str() {
            "hmac_secret" => "Codes and tokens of Authelia end with it; apps ask for new ones.",
            "cors" => "Which scripts may read answers is set for each app here.",
            "lifespans" => "How long tokens live is set with oidc.* and for each app.",
            "claims_policies" | "scopes" => {
                "Claims beyond the usual ones are set up as scopes here: doorward admin, Apps."
            }
            "minimum_parameter_entropy" | "enable_client_debug_messages" | "enable_pkce_plain_challenge" => {
                "It is not needed here."
            }
            _ if value.is_nothing() || value.text() == Some("false") => continue,
            _ => "It is not known here.",
        };
        parts.say(Line::not_carried("setting", format!("identity_providers.oidc.{key}"), why));
    }
    Some(())
}

/// Authelia signs with the first key of a kind, and here the one that came last signs: so they are turned around.
fn read_keys(parts: &mut Parts, fields: &mut Fields) -> Option<()> {
    let mut keys = Vec::new();
    let single = fields.text("issuer_private_key")?;
    if !single.is_empty() {
        keys.push((String::new(), String::new(), single));
    }
    fields.take("issuer_certificate_chain");
    for name in ["jwks", "issuer_private_keys"] {
        for key in fields.take(name).map_or(Some(Vec::new()), Node::list)? {
            let mut key = key.fields()?;
            keys.push((key.text("key_id")?, key.text("algorithm")?, key.text("key")?));
        }
    }
    for (number, (id, algorithm, pem)) in keys.into_iter().enumerate().rev() {
        let name = if id.is_empty() { format!("number {}", number + 1) } else { id };
        if pem == UNREAD {
            let why =
                "It comes from a template that cannot be read here: doorward keys import takes the file.";
            parts.say(Line::not_carried("key", name, why));
        } else if !matches!(algorithm.as_str(), "" | "RS256" | "ES256") {
            parts.say(Line::not_carried("key", name, format!("Nothing is signed with {algorithm} here.")));
        } else {
            parts.found.keys.push(FoundKey { name, pem });
        }
    }
    Some(())
}
