//! What this installation is called and where it lives: instance name, public origin, protected domains, trusted
//! proxies. A value from the configuration is fixed; otherwise an administrator's choice is kept in the store
//! (decision 16). Links, issuer and cookie rules come from here, never from a request's Host (WEB-12).

mod domains;

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

pub use crate::config::{CookieScope, MOST_DOMAINS, ProtectedDomain};
use crate::config::{WebOrigin, check_reach, parse_cookie_domain, parse_network};
use crate::http::address::{TrustedProxies, host_matches};
use crate::store::{Batch, Record, Store, StoreError, Table};
use crate::words::{Said, said};

use domains::Domains;

/// A setting in the store. Row: key name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettingRecord {
    /// The value as text.
    pub value: String,
}

impl Record for SettingRecord {
    const TABLE: Table = Table::SETTING;
    const VERSION: u8 = 1;
}

/// A setting that an administrator may change in the UI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The name shown on every page.
    InstanceName,
    /// Scheme, host and port under which people open Doorward.
    PublicOrigin,
    /// The root domains of the protected apps, separated by commas.
    ProtectedDomain,
    /// Networks whose forwarded headers are believed, separated by commas.
    TrustedProxies,
}

impl Setting {
    const ALL: [Setting; 4] =
        [Setting::InstanceName, Setting::PublicOrigin, Setting::ProtectedDomain, Setting::TrustedProxies];

    /// The key of the one protected domain, before there could be several. Still read, never written.
    pub const ONE_DOMAIN: &'static str = "protect.domain";

    /// Returns the key in the store and in the configuration.
    pub fn key(self) -> &'static str {
        match self {
            Setting::InstanceName => "instance.name",
            Setting::PublicOrigin => "server.public_origin",
            Setting::ProtectedDomain => "protect.domains",
            Setting::TrustedProxies => "server.trusted_proxies",
        }
    }
}

/// Values that the configuration fixes.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    /// The public origin.
    pub public_origin: Option<String>,
    /// The protected domain, where there is but one (`protect.domain`).
    pub protected_domain: Option<String>,
    /// The protected domains, as they are written (`protect.domains`).
    pub protected_domains: Vec<String>,
    /// Trusted proxies.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Sign-in over plain HTTP from other machines is allowed (SES-06).
    pub insecure_http: bool,
    /// The origin until one is set, such as `http://localhost:8080`.
    pub default_origin: String,
}

/// Scheme, host and port in the form of an `Origin` header (RFC 6454 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The whole text, such as `https://auth.home.example`.
    pub text: String,
    /// The host without port, lower-case.
    pub host: String,
    /// Whether the scheme is https.
    pub is_https: bool,
}

impl Origin {
    /// Parses an origin; the sentence says what is wrong with it.
    pub fn parse(text: &str) -> Result<Origin, Said> {
        let origin = WebOrigin::parse(text.trim()).map_err(|_| {
            let text = text.to_owned();
            said(move |t| t.setup_address_bad(&text))
        })?;
        Ok(Origin::from(&origin))
    }
}

impl From<&WebOrigin> for Origin {
    fn from(origin: &WebOrigin) -> Self {
        Origin { text: origin.to_text(), host: origin.host().to_owned(), is_https: origin.is_https() }
    }
}

/// Why it is not known where this installation lives.
#[derive(Debug)]
pub enum SiteError {
    /// The store could not be read.
    Store(StoreError),
    /// A setting is not understood, or contradicts another; nothing is guessed in its place (FAIL-05).
    Refused {
        /// The key that the configuration can set to go on.
        key: &'static str,
        /// Sentences for the administrator.
        why: String,
    },
}

impl std::fmt::Display for SiteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SiteError::Store(error) => write!(f, "The store could not be read: {error}"),
            SiteError::Refused { why, .. } => f.write_str(why),
        }
    }
}

impl std::error::Error for SiteError {}

impl From<StoreError> for SiteError {
    fn from(error: StoreError) -> Self {
        SiteError::Store(error)
    }
}

/// A value that was understood.
enum Value {
    Name(String),
    Origin(Origin),
    Domains(Vec<ProtectedDomain>),
    Proxies(Vec<ipnet::IpNet>),
}

impl Value {
    /// Reads a value by the rules of the configuration. The error is the end of a sentence, or empty.
    fn read(setting: Setting, text: &str) -> Result<Value, String> {
        Ok(match setting {
            Setting::InstanceName => Value::Name(text.to_owned()),
            Setting::PublicOrigin => Value::Origin(Origin::from(&WebOrigin::parse(text)?)),
            Setting::ProtectedDomain => {
                Value::Domains(ProtectedDomain::parse_list(text).map_err(|why| why.english())?)
            }
            Setting::TrustedProxies => {
                Value::Proxies(networks_in(text).map(parse_network).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Reads what an administrator chose once, and has under `key`. A network that is not understood is left out, which
    /// trusts fewer.
    fn read_stored(setting: Setting, key: &'static str, text: &str) -> Result<Value, SiteError> {
        if setting == Setting::TrustedProxies {
            let understood = networks_in(text).filter_map(|network| {
                parse_network(network)
                    .map_err(|why| tracing::error!(key, why, "a stored network is not trusted"))
                    .ok()
            });
            return Ok(Value::Proxies(understood.collect()));
        }
        Value::read(setting, text).map_err(|why| {
            let why = not_allowed(key, text, "the store", &why);
            SiteError::Refused { key, why: format!("{why} Set {key} in the configuration, which wins.") }
        })
    }
}

fn networks_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|network| !network.is_empty())
}

fn not_allowed(key: &str, text: &str, place: &str, why: &str) -> String {
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    format!("{key} is “{}” in {place}, which is not allowed{why}.", text.escape_debug())
}

struct State {
    name: String,
    origin: Origin,
    is_origin_set: bool,
    domains: Domains,
}

/// The installation as every room sees it. Cheap to clone.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    state: ArcSwap<State>,
    proxies: TrustedProxies,
    fixed: Fixed,
}

impl Site {
    /// Joins the configuration with what is in the store. What is configured wins, and what is stored in its place is
    /// not even read.
    ///
    /// # Errors
    /// If a value is not understood, or address and domain do not fit together.
    pub fn open(store: &Store, fixed: Fixed) -> Result<Site, SiteError> {
        let origin = Origin::parse(&fixed.default_origin).map_err(|why| StoreError::Failed(why.english()))?;
        for network in &fixed.trusted_proxies {
            let (key, text) = (Setting::TrustedProxies.key(), network.to_string());
            parse_network(&text).map_err(|why| refused(key, &text, &why))?;
        }
        let proxies = TrustedProxies::new(fixed.trusted_proxies.clone());
        let name = "Doorward".to_owned();
        let state = State { name, origin, is_origin_set: false, domains: Domains::default() };
        let site = Site(Arc::new(Inner { state: ArcSwap::from_pointee(state), proxies, fixed }));
        for setting in Setting::ALL {
            if let Some((key, text)) = site.configured(setting) {
                let value = match key {
                    // What is written for one domain is no list.
                    Setting::ONE_DOMAIN => parse_cookie_domain(&text).map(|_| ()),
                    _ => Ok(()),
                };
                let value = value.and_then(|()| Value::read(setting, &text));
                site.adopt(value.map_err(|why| refused(key, &text, &why))?);
            } else if let Some((key, text)) = stored(store, setting)? {
                site.adopt(Value::read_stored(setting, key, &text)?);
            }
        }
        site.refuse_an_address_outside_the_domain()?;
        Ok(site)
    }

    /// Returns what the configuration says, and under which key.
    fn configured(&self, setting: Setting) -> Option<(&'static str, Cow<'_, str>)> {
        let fixed = &self.0.fixed;
        match setting {
            Setting::InstanceName | Setting::TrustedProxies => None,
            Setting::PublicOrigin => {
                fixed.public_origin.as_deref().map(|text| (setting.key(), Cow::Borrowed(text)))
            }
            Setting::ProtectedDomain => match &fixed.protected_domain {
                Some(domain) => Some((Setting::ONE_DOMAIN, Cow::Borrowed(domain.as_str()))),
                None if fixed.protected_domains.is_empty() => None,
                None => Some((setting.key(), Cow::Owned(fixed.protected_domains.join(",")))),
            },
        }
    }

    /// The wizard judges address and domain together, and so does the configuration; here one of each may meet.
    /// Browsers refuse a cookie for a domain that the address does not lie below.
    fn refuse_an_address_outside_the_domain(&self) -> Result<(), SiteError> {
        let is_judged = self.is_fixed(Setting::PublicOrigin) && self.is_fixed(Setting::ProtectedDomain);
        let state = self.0.state.load();
        if is_judged || !state.is_origin_set {
            return Ok(());
        }
        check_reach(state.domains.listed(), &state.origin.host).map_err(|why| {
            let why = format!(
                "server.public_origin is {} and protect.domains is “{}”: {why}. Set both in the configuration.",
                state.origin.text, state.domains,
            );
            SiteError::Refused { key: Setting::PublicOrigin.key(), why }
        })
    }

    fn adopt(&self, value: Value) {
        let old = self.0.state.load();
        let mut state = State {
            name: old.name.clone(),
            origin: old.origin.clone(),
            is_origin_set: old.is_origin_set,
            domains: old.domains.clone(),
        };
        match value {
            Value::Name(name) => state.name = name,
            Value::Origin(origin) => {
                state.origin = origin;
                state.is_origin_set = true;
            }
            Value::Domains(domains) => state.domains = Domains::new(domains),
            Value::Proxies(more) => {
                let mut networks = self.0.fixed.trusted_proxies.clone();
                networks.extend(more);
                self.0.proxies.set(networks);
            }
        }
        self.0.state.store(Arc::new(state));
    }

    /// Tells whether the configuration fixes a setting, so that the UI cannot change it.
    pub fn is_fixed(&self, setting: Setting) -> bool {
        self.configured(setting).is_some()
    }

    /// Adds a change to `batch`; it is in force from the moment of the commit. A value that is not understood, which
    /// the caller should have refused, fails the commit.
    pub fn stage_set(&self, batch: &mut Batch, setting: Setting, text: &str) {
        let value = match Value::read(setting, text) {
            Ok(value) => value,
            Err(why) => {
                batch.fail(StoreError::Failed(not_allowed(setting.key(), text, "this change", &why)));
                return;
            }
        };
        batch.put(setting.key().as_bytes(), &SettingRecord { value: text.to_owned() });
        if setting == Setting::ProtectedDomain {
            batch.remove::<SettingRecord>(Setting::ONE_DOMAIN.as_bytes());
        }
        if self.is_fixed(setting) {
            return;
        }
        let site = self.clone();
        batch.after(move || site.adopt(value));
    }

    /// Returns the name shown on pages.
    pub fn name(&self) -> String {
        self.0.state.load().name.clone()
    }

    /// Returns the public origin.
    pub fn origin(&self) -> Origin {
        self.0.state.load().origin.clone()
    }

    /// Tells whether a `Host` header names the public origin.
    pub fn is_own_host(&self, host: &str) -> bool {
        let state = self.0.state.load();
        let scheme = if state.origin.is_https { "https://" } else { "http://" };
        // Nearly always it is the very same text.
        state.origin.text.strip_prefix(scheme) == Some(host) || host_matches(&state.origin.text, host)
    }

    /// Tells whether `text` is the public origin.
    pub fn is_origin(&self, text: &str) -> bool {
        self.0.state.load().origin.text == text
    }

    /// Tells whether someone chose the public origin; until then it is a guess for this machine.
    pub fn is_origin_set(&self) -> bool {
        self.0.state.load().is_origin_set
    }

    /// Returns the protected domains in the order in which they were named.
    pub fn protected_domains(&self) -> Vec<ProtectedDomain> {
        self.0.state.load().domains.listed().to_vec()
    }

    /// Returns the protected domain that the public address belongs to, else the first one.
    pub fn protected_domain(&self) -> Option<String> {
        let state = self.0.state.load();
        state.domains.main(&state.origin.host).map(|own| own.domain.clone())
    }

    /// Names the protected domains in a sentence: `home.example or other.example`.
    pub fn domain_names(&self) -> Option<String> {
        let state = self.0.state.load();
        let names: Vec<&str> = state.domains.listed().iter().map(|own| own.domain.as_str()).collect();
        (!names.is_empty()).then(|| names.join(" or "))
    }

    /// Tells whether there can be protected apps below `above`, a host in normal form.
    pub fn has_apps_below(&self, above: &str) -> bool {
        let state = self.0.state.load();
        let is_around = |own: &ProtectedDomain| {
            own.covers(above) || own.domain.strip_suffix(above).is_some_and(|head| head.ends_with('.'))
        };
        state.domains.find(is_around).is_some()
    }

    /// Returns the protected domain that an app belongs to; `None` if `host` (no port) is no protected app: outside of
    /// all domains, or one under which Doorward itself is reached.
    pub fn protected_domain_of(&self, host: &str) -> Option<Arc<ProtectedDomain>> {
        let state = self.0.state.load();
        state.domains.of_app(host, &state.origin.host).cloned()
    }

    /// Tells whether `host` (no port) is a protected app.
    pub fn is_protected_host(&self, host: &str) -> bool {
        let state = self.0.state.load();
        state.domains.of_app(host, &state.origin.host).is_some()
    }

    /// Returns the domain whose cookie our own pages can set: the one that the public address lies below.
    pub fn own_domain(&self) -> Option<Arc<ProtectedDomain>> {
        let state = self.0.state.load();
        state.domains.own(&state.origin.host).cloned()
    }

    /// Returns where the cookie of an app of `domain` can be set.
    pub fn place_of(&self, domain: &ProtectedDomain) -> Place {
        if domain.cookie == CookieScope::Host {
            return Place::App;
        }
        let state = self.0.state.load();
        let is_own = domain.covers(&state.origin.host);
        match domain.portal.as_deref().filter(|_| !is_own) {
            None => Place::Here,
            Some(portal) => {
                let scheme = if state.origin.is_https { "https" } else { "http" };
                Place::Portal(format!("{scheme}://{portal}"))
            }
        }
    }

    /// Returns the domain whose portal a `Host` header names.
    pub fn domain_of_portal(&self, host: &str) -> Option<Arc<ProtectedDomain>> {
        let state = self.0.state.load();
        let scheme = if state.origin.is_https { "https" } else { "http" };
        let is_named = |portal: &str| host_matches(&format!("{scheme}://{portal}"), host);
        state.domains.find(|own| own.portal.as_deref().is_some_and(is_named)).cloned()
    }

    /// Tells whether two apps lie below the same protected domain.
    pub fn share_domain(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.protected_domain_of(one), self.protected_domain_of(other));
        one.is_some_and(|one| other.is_some_and(|other| one.domain == other.domain))
    }

    /// Tells whether `host` (no port) is the portal of the domain that the app `app` belongs to.
    pub fn is_portal_of(&self, host: &str, app: &str) -> bool {
        let domain = self.protected_domain_of(app);
        domain.is_some_and(|own| own.portal_host().is_some_and(|portal| portal.eq_ignore_ascii_case(host)))
    }

    /// The networks whose forwarded headers are believed.
    pub fn trusted_proxies(&self) -> &TrustedProxies {
        &self.0.proxies
    }

    /// Tells whether sign-in over plain HTTP from other machines is allowed.
    pub fn allows_insecure_http(&self) -> bool {
        self.0.fixed.insecure_http
    }

    /// Tells whether cookies carry `Secure`: whenever people come by https.
    pub fn has_secure_cookies(&self) -> bool {
        self.0.state.load().origin.is_https
    }
}

/// Where the cookie of an app can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By our own pages: the public address lies below the domain.
    Here,
    /// By the portal of the domain, whose origin this is.
    Portal(String),
    /// By the app's own host alone, where forward-auth answers for it.
    App,
}

/// Returns what the store has of a setting, and under which key.
fn stored(store: &Store, setting: Setting) -> Result<Option<(&'static str, String)>, StoreError> {
    let keys = match setting {
        Setting::ProtectedDomain => [setting.key(), Setting::ONE_DOMAIN],
        _ => [setting.key(); 2],
    };
    for key in keys {
        if let Some(found) = store.get::<SettingRecord>(key.as_bytes())? {
            return Ok(Some((key, found.value.value)));
        }
    }
    Ok(None)
}

fn refused(key: &'static str, text: &str, why: &str) -> SiteError {
    SiteError::Refused { key, why: not_allowed(key, text, "the configuration", why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_scheme_host_and_port_only() {
        assert_eq!(Origin::parse("https://Auth.Home.Example/").unwrap().text, "https://auth.home.example");
        assert_eq!(Origin::parse("http://localhost:8080").unwrap().text, "http://localhost:8080");
        for bad in
            ["", "auth.home.example", "https://a/b", "https://a?x", "ftp://a", "https://u@a", "javascript:1"]
        {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
