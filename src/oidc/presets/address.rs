//! Addresses of apps: where codes, browsers and logout tokens go.

use std::borrow::Cow;

use url::{Host, Url};

use super::template;

/// Longer than any address that people type.
const LONGEST: usize = 500;

/// Schemes that run code, read files or mean nothing outside one page. Never a redirect URI (RFC 8252 section 8.4 asks
/// for schemes of the app's own).
const REFUSED_SCHEMES: &[&str] = &["about", "blob", "data", "file", "javascript", "vbscript", "view-source"];

/// Where an app lives.
#[derive(Debug)]
pub(super) struct AppAddress {
    /// Without slash at the end: `https://photos.home.example`.
    pub(super) base: String,
    /// The same with its port in any case: `https://photos.home.example:443`.
    pub(super) base_with_port: String,
}

impl AppAddress {
    /// Reads an address as people type it.
    ///
    /// # Errors
    /// A sentence, if it is no plain web address.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = &*with_scheme(text.trim());
        let shown: String = text.chars().filter(|character| !character.is_control()).take(80).collect();
        let refuse = |what: &str| format!("The address of the app, {shown}, {what}.");
        if text.is_empty() {
            return Err("Give the address of the app, such as https://app.home.example.".to_owned());
        }
        let odd = |character: char| {
            character.is_whitespace() || character.is_control() || "*{}\\|^`<>\"".contains(character)
        };
        if text.len() > LONGEST || text.contains(odd) {
            return Err(refuse("is not a web address"));
        }
        let url = Url::parse(text).map_err(|_| refuse("must be whole, such as https://app.home.example"))?;
        let is_web =
            matches!(url.scheme(), "https" | "http") && url.host_str().is_some_and(|host| !host.is_empty());
        if !is_web || is_open_http(&url) {
            return Err(refuse("must begin with https://; only localhost may do without"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("must not hold a name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("must not hold a ? or #"));
        }
        let (host, path) = (url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'));
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let known = url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(AppAddress {
            base: format!("{}://{host}{port}{path}", url.scheme()),
            base_with_port: format!("{}://{host}{known}{path}", url.scheme()),
        })
    }
}

/// Puts `https://` before an address that was typed without it, as `photos.home.example` or `nas:8443/photos`.
pub fn with_scheme(text: &str) -> Cow<'_, str> {
    let begins_with_host = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    let has_port_at_most = match host.rsplit_once(':') {
        Some((name, port)) => {
            (name.ends_with(']') || !name.contains(':')) && port.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => host.contains('.') || host == "localhost",
    };
    match begins_with_host && has_port_at_most && !text.contains("://") {
        true => Cow::Owned(format!("https://{text}")),
        false => Cow::Borrowed(text),
    }
}

/// Returns whether codes would travel in clear to another machine (OA-02).
fn is_open_http(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_loopback
}

/// Returns whether an address of a preset is the same for every installation of the app.
pub(super) fn is_absolute(path: &str) -> bool {
    !path.starts_with('/') && !path.starts_with("{app_url")
}

/// Returns whether `value` may stand in an address.
pub(super) fn is_parameter(value: &str) -> bool {
    (1..=64).contains(&value.len())
        && value.chars().all(|character| character.is_ascii_alphanumeric() || "._-".contains(character))
}

/// Makes the address of one app out of an address of its preset. `word` gives the parameters.
pub(super) fn resolve(path: &str, app: Option<&AppAddress>, word: impl Fn(&str) -> Option<String>) -> String {
    let base = app.map_or("", |app| app.base.as_str());
    let filled = template::fill(path, |name| match name {
        "app_url" => Some(base.to_owned()),
        "app_url_with_port" => app.map(|app| app.base_with_port.clone()),
        _ => word(name),
    });
    if path.starts_with('/') { format!("{base}{}", filled.expose()) } else { filled.expose().clone() }
}

/// Says what is wrong with a whole address, if anything is.
pub(super) fn problem(address: &str) -> Option<String> {
    let Ok(url) = Url::parse(address) else { return Some(format!("{address} is not an address")) };
    if REFUSED_SCHEMES.contains(&url.scheme()) {
        return Some(format!("{address} has a scheme that is never allowed"));
    }
    if is_open_http(&url) {
        return Some(format!("{address} needs https"));
    }
    if url.fragment().is_some() {
        return Some(format!("{address} has a fragment (RFC 6749 section 3.1.2)"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some(format!("{address} holds a name or password"));
    }
    if address.contains(|character: char| character.is_whitespace() || "*{}\\".contains(character)) {
        return Some(format!("{address} holds a character that no exact address has"));
    }
    None
}
