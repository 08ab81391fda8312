//! Where Doorward lives: the public address, the domain of the apps, and the reverse proxy in front.

use std::net::IpAddr;

use super::Setup;
use crate::access::validate_parent_domain;
use crate::audit::Kind;
use crate::config::{as_sentence, check_reach};
use crate::http::Problem;
use crate::http::address::{is_loopback_name, parse_network};
use crate::kernel::ids::UserId;
use crate::sign_in::Visit;
use crate::site::{Origin, Setting, SettingRecord};
use crate::store::{CommitError, Versioned};
use crate::words::{Said, Words, english_only, said};

const DOMAINS: Setting = Setting::ProtectedDomain;

/// An address and a domain that fit together.
pub(super) struct Address {
    pub(super) origin: Origin,
    pub(super) protected_domain: Option<String>,
    /// The setting of the domains that it was judged by.
    domains: Option<Versioned<SettingRecord>>,
}

impl Setup {
    /// Returns the address that passkeys were made at, if there are any.
    pub(super) fn passkeys_at(&self) -> Option<String> {
        let has_any = !self.sign_in.accounts.directory().list(|user| user.passkeys > 0).is_empty();
        has_any.then(|| self.sign_in.site.origin().text)
    }

    /// Checks the typed address and domain. What the configuration fixes is taken from there.
    ///
    /// # Errors
    /// 422 that names the fields `origin` and `cookie_domain`.
    pub(super) fn judge_address(
        &self,
        origin: &str,
        domain: &str,
        accepts_insecure: bool,
    ) -> Result<Address, Problem> {
        let site = &self.sign_in.site;
        let domains = self.sign_in.store.get(DOMAINS.key().as_bytes()).map_err(CommitError::Store)?;
        let refuse = |field, sentence: Said| Problem::unprocessable(field, "invalid_value", sentence);
        let origin = if site.is_fixed(Setting::PublicOrigin) {
            site.origin()
        } else {
            Origin::parse(origin).map_err(|sentence| refuse("origin", sentence))?
        };
        let is_safe = origin.is_https || is_loopback_name(&origin.host) || site.allows_insecure_http();
        if !is_safe && !accepts_insecure {
            let sentence = Said::of(Words::setup_address_needs_https);
            return Err(Problem::unprocessable("origin", "invalid_value", sentence));
        }
        if site.is_fixed(Setting::ProtectedDomain) {
            // The address must fit the domains that the configuration fixes, too: the next start would refuse it.
            if !site.is_fixed(Setting::PublicOrigin) {
                check_reach(&site.protected_domains(), &origin.host)
                    .map_err(|why| refuse("origin", as_sentence(why)))?;
            }
            return Ok(Address { origin, protected_domain: site.protected_domain(), domains });
        }
        let domain = domain.trim();
        // The wizard knows of one domain, and must not drop the others.
        let has_more = site.protected_domains().len() > 1;
        let main = site.protected_domain().unwrap_or_default();
        let refuse_one = || refuse("cookie_domain", said(move |t| t.setup_address_more_domains(&main)));
        if domain.is_empty() {
            return if has_more {
                Err(refuse_one())
            } else {
                Ok(Address { origin, protected_domain: None, domains })
            };
        }
        let domain = validate_parent_domain(domain, &origin.host)
            .map_err(|sentence| refuse("cookie_domain", sentence))?;
        if site.protected_domain().as_deref() == Some(domain.as_str()) {
            check_reach(&site.protected_domains(), &origin.host)
                .map_err(|why| refuse("origin", as_sentence(why)))?;
        } else if has_more {
            return Err(refuse_one());
        }
        Ok(Address { origin, protected_domain: Some(domain.to_string()), domains })
    }

    /// Keeps an address that was judged.
    pub(super) async fn set_address(
        &self,
        address: &Address,
        by: Option<UserId>,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let domain = address.protected_domain.as_deref().unwrap_or_default();
        let values =
            [(Setting::PublicOrigin, address.origin.text.as_str()), (Setting::ProtectedDomain, domain)];
        let result = self
            .commit_progress(
                |record| record.is_addressed = true,
                |batch| {
                    for (setting, value) in values {
                        // There may be more about the domain, and more domains, than the wizard knows of.
                        let is_known = setting == Setting::ProtectedDomain
                            && self.sign_in.site.protected_domain().as_deref() == Some(value);
                        if self.sign_in.site.is_fixed(setting) || is_known {
                            continue;
                        }
                        self.sign_in.site.stage_set(batch, setting, value);
                        let event = self.event(Kind::SettingChanged, by, visit).on(setting.key());
                        self.sign_in.audit.write(batch, event.detail("value", value));
                    }
                    match &address.domains {
                        Some(seen) => batch.require(DOMAINS.key().as_bytes(), seen),
                        None => batch.require_absent::<SettingRecord>(DOMAINS.key().as_bytes()),
                    };
                    Ok(())
                },
            )
            .await;
        result.map_err(Problem::from)
    }

    /// Believes from now on what the proxy at `peer`, and it alone, says about visitors.
    pub(super) async fn trust_proxy(
        &self,
        peer: IpAddr,
        by: Option<UserId>,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let refuse = |sentence: String| Problem::bad_request("invalid_proxy", english_only(sentence));
        let network = parse_network(&peer.to_string()).map_err(refuse)?;
        let setting = Setting::TrustedProxies;
        let result = self
            .commit_progress(
                |_| {},
                |batch| {
                    let store = &self.sign_in.store;
                    let seen =
                        store.get::<SettingRecord>(setting.key().as_bytes()).map_err(CommitError::Store)?;
                    let mut networks: Vec<String> = seen
                        .iter()
                        .flat_map(|seen| seen.value.value.split(','))
                        .map(|text| text.trim().to_owned())
                        .filter(|text| parse_network(text).is_ok())
                        .collect();
                    if !networks.contains(&network.to_string()) {
                        networks.push(network.to_string());
                    }
                    self.sign_in.site.stage_set(batch, setting, &networks.join(","));
                    let event = self.event(Kind::SettingChanged, by, visit).on(setting.key());
                    self.sign_in.audit.write(batch, event.detail("value", network));
                    Ok(())
                },
            )
            .await;
        result.map_err(Problem::from)
    }
}
