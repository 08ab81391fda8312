//! Every preset against the provider as it is.

use std::collections::BTreeMap;

use doorward::oidc::client::ClientKind;
use doorward::oidc::presets::{self, check_against_discovery};
use doorward::oidc::{AddError, ClientId};
use serde_json::Value;

use super::*;

const AT: &str = "https://app.home.example";

fn discovery(provider: &Provider) -> Value {
    provider.browser().get_json("/.well-known/openid-configuration").expect(200).json()
}

/// OA-01, OA-02: a client made from a preset passes every check, and the discovery document offers what the app needs,
/// also where it looks for pushed requests.
#[test]
fn every_preset_makes_a_client_and_finds_what_it_needs() {
    for advertise_par in [false, true] {
        let provider = Provider::start_with(|options| options.oidc.advertise_par = advertise_par);
        let oidc = &provider.server.app().oidc;
        let mut faults = Vec::new();
        for preset in presets::list() {
            let settings = preset.settings(AT, &BTreeMap::new()).unwrap();
            let id = ClientId::parse(&preset.id).unwrap();
            let added = provider.server.block_on(oidc.add_client(Some(id), settings, |_, _| {}));
            match added {
                Ok(added) => {
                    let is_public = preset.client.kind == ClientKind::Public;
                    assert_eq!(added.secret.is_none(), is_public, "{}", preset.id);
                    let settings = &added.client.settings;
                    assert_eq!(settings.initials, preset.logo);
                    assert!(!settings.redirect_uris.is_empty(), "{}", preset.id);
                }
                Err(AddError::Objections(objections)) => {
                    faults.push(format!("{}: {objections:?}", preset.id));
                }
                Err(other) => panic!("{}: {other:?}", preset.id),
            }
        }
        let discovery = discovery(&provider);
        assert_eq!(discovery.get("pushed_authorization_request_endpoint").is_some(), advertise_par);
        for preset in presets::list() {
            faults.extend(check_against_discovery(preset, &discovery).iter().map(ToString::to_string));
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert_eq!(discovery, oidc.metadata());
    }
}

#[test]
fn parameters_of_a_preset_are_known_ones() {
    let words = |name: &str, word: &str| BTreeMap::from([(name.to_owned(), word.to_owned())]);
    let jellyfin = presets::find("jellyfin").unwrap();
    let settings = jellyfin.settings(AT, &words("provider", "house")).unwrap();
    assert_eq!(settings.redirect_uris, [format!("{AT}/sso/OID/redirect/house")]);
    assert!(jellyfin.settings(AT, &words("provider", "../x")).is_err());
    assert!(jellyfin.settings(AT, &words("providr", "x")).unwrap_err().english().contains("provider"));
    assert!(presets::find("grafana").unwrap().settings(AT, &words("provider", "x")).is_err());
    assert!(jellyfin.settings("tv", &BTreeMap::new()).is_err());
}
