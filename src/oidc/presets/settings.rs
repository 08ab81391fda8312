//! The client that a preset makes.

use std::collections::BTreeMap;

use super::address::AppAddress;
use super::{Consent, Pkce, Preset};
use crate::oidc::client::{ClientSettings, ConsentMode, Demand};
use crate::oidc::scopes::Scopes;
use crate::words::{Said, english_only};

impl Preset {
    /// Returns the settings of a client for the app at `app_url`; `parameters` by name go before the defaults.
    ///
    /// # Errors
    /// A sentence, if `app_url` is no web address, or a parameter does not exist or holds what it may not.
    pub fn settings(
        &self,
        app_url: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<ClientSettings, Said> {
        if let Some(name) = parameters.keys().find(|name| self.parameter(name).is_none()) {
            let known: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            return Err(english_only(match known.as_slice() {
                [] => format!("{} has no parameters, so there is no {name}.", self.name),
                _ => format!("{} has no parameter {name}, but {}.", self.name, known.join(", ")),
            }));
        }
        let own = &self.client;
        let is_loopback = |path: &String| {
            ["http://127.0.0.1", "http://[::1]"].iter().any(|loopback| path.starts_with(loopback))
        };
        Ok(ClientSettings {
            name: self.name.clone(),
            initials: self.logo.clone(),
            kind: own.kind,
            is_native: own.redirect_paths.iter().any(is_loopback),
            redirect_uris: distinct(self.redirect_uris_with(app_url, parameters)?),
            post_logout_redirect_uris: distinct(self.post_logout_uris(app_url, parameters)?),
            backchannel_logout_uri: self.backchannel_logout_uri(app_url, parameters)?,
            auth_method: own.auth_method,
            pkce: match own.pkce {
                Pkce::Required => Demand::Required,
                Pkce::Optional | Pkce::Off => Demand::Optional,
            },
            grants: own.grants.clone(),
            scopes: Scopes::new(own.scopes.iter().cloned()),
            id_token_alg: own.id_token_alg,
            claims_in_id_token: own.claims_in_id_token,
            consent: match own.consent {
                Consent::FirstPartySkip => ConsentMode::Skip,
                Consent::Ask => ConsentMode::Once,
            },
            launch_url: AppAddress::parse(app_url).ok().map(|app| format!("{}/", app.base)),
            ..ClientSettings::default()
        })
    }
}

/// Drops what stands there twice, and keeps the order: the first address is the one that is shown.
fn distinct(uris: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(uris.len());
    for uri in uris {
        if !kept.contains(&uri) {
            kept.push(uri);
        }
    }
    kept
}
