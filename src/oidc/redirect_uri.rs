//! Redirect URIs: which may be registered, and which a request may name (RFC 9700 section 4.1.3, RFC 8252 section 7).
//! Pure.

use url::{Host, Url};

use crate::words::{Said, said};

/// The longest URI.
pub const LONGEST: usize = 1024;

/// Schemes that run or show something in the browser instead of leading to an app. Anything without a dot that browsers
/// give a meaning of their own is here.
const DANGEROUS: [&str; 16] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "view-source",
    "ws",
    "wss",
    "ftp",
    "filesystem",
    "intent",
    "mailto",
    "tel",
    "sms",
    "chrome",
];

/// Checks a URI before it is registered (OA-02). `is_lab` allows plain http for every host: Doorward itself is reached
/// without TLS there.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check(uri: &str, is_lab: bool) -> Result<(), Said> {
    let is_graphic = uri.bytes().all(|byte| byte.is_ascii_graphic());
    let is_sound = !uri.is_empty() && uri.len() <= LONGEST && is_graphic;
    let url = Url::parse(uri);
    let uri_shown = shown(uri);
    if !is_sound {
        return Err(said(move |t| t.apps_uri_bad(&uri_shown)));
    }
    if uri.contains(['#', '\\', '*', '"', '<', '>', '`', '{', '}', '|', '^']) {
        return Err(said(move |t| t.apps_uri_wild(&uri_shown)));
    }
    let Ok(url) = url else { return Err(said(move |t| t.apps_uri_relative(&uri_shown))) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(said(move |t| t.apps_uri_user(&uri_shown)));
    }
    match url.scheme() {
        "https" if has_plain_host(&url, uri) => Ok(()),
        "http" if has_plain_host(&url, uri) && (is_lab || is_loopback(&url)) => Ok(()),
        "http" => Err(said(move |t| t.apps_uri_http(&uri_shown))),
        "https" => Err(said(move |t| t.apps_uri_host(&uri_shown))),
        scheme if DANGEROUS.contains(&scheme) => Err(said(move |t| t.apps_uri_scheme(&uri_shown))),
        // Custom schemes of apps on phones and desktops.
        _ => Ok(()),
    }
}

fn shown(uri: &str) -> String {
    let text: String = uri.chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("“{text}”")
}

/// The text and the parser must agree on the host: no escapes, no other spelling, no missing slashes.
fn has_plain_host(url: &Url, text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some(host) = url.host_str() else { return false };
    let host_in_text = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => authority.get(..at).unwrap_or_default(),
        _ => authority,
    };
    // The URL standard lets a host hold `;`, `'` and more. No name of an app does.
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    host_in_text.eq_ignore_ascii_case(host) && host.bytes().all(is_plain)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Tells whether a request may name `requested`: the very text that is registered; for native apps on a loopback
/// address the port may differ (OA-01, RFC 8252 section 7.3).
pub fn is_registered(registered: &[String], requested: &str, is_native: bool) -> bool {
    registered.iter().any(|own| own == requested || is_native && is_same_but_for_port(own, requested))
}

fn is_same_but_for_port(registered: &str, requested: &str) -> bool {
    match (loopback_parts(registered), loopback_parts(requested)) {
        (Some(own), Some(asked)) => own == asked,
        _ => false,
    }
}

/// Splits `http://127.0.0.1:PORT/REST` into the host and the rest, without the port.
fn loopback_parts(uri: &str) -> Option<(&'static str, &str)> {
    for host in ["http://127.0.0.1", "http://[::1]"] {
        let Some(rest) = uri.strip_prefix(host) else { continue };
        let rest = match rest.strip_prefix(':') {
            None => rest,
            Some(after) => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                let (port, rest) = after.split_at_checked(digits)?;
                port.parse::<u16>().ok().filter(|port| *port > 0)?;
                rest
            }
        };
        let is_whole = rest.is_empty() || rest.starts_with(['/', '?']);
        return is_whole.then_some((host, rest));
    }
    None
}

/// Returns the source by which a Content-Security-Policy allows a form to lead to `uri`: an origin, or the scheme of an
/// app.
pub fn form_target(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    Some(match url.scheme() {
        "https" | "http" => url.origin().ascii_serialization(),
        scheme => format!("{scheme}:"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OA-02
    #[test]
    fn only_addresses_of_apps_can_be_registered() {
        for good in [
            "https://app.example.org/callback",
            "https://app.example.org:8443/a?foo=bar",
            "https://APP.example.org/",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:5/cb",
            "app.immich:///oauth-callback",
            "audiobookshelf://oauth",
            "com.example.app:/oauth2",
        ] {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "app.example.org/callback",
            "http://app.example.org/cb",
            "https://app.example.org/cb#x",
            "https://user@app.example.org/cb",
            "https://user:pw@app.example.org/cb",
            "https://ok.example.org@evil.example/",
            "https://*.example.org/cb",
            "https://app.example.org\\@evil.example/",
            "https:app.example.org/cb",
            "https:///app.example.org",
            "https://app%2eexample.org/",
            "https://0x7f.1/",
            "https://app.example.org'/",
            "https://app.example.org;x/",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "DATA:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://app.example.org/x",
            "view-source:https://app.example.org",
            "intent://x",
            "https://app.example.org/a b",
            "https://app.example.org/\u{e4}",
            "https://app.example.org/\n",
            &format!("https://app.example.org/{}", "a".repeat(1024)),
        ] {
            assert!(check(bad, false).is_err(), "{bad}");
        }
        assert!(check("http://app.lan/cb", true).is_ok());
        assert!(check("javascript:alert(1)", true).is_err());
    }

    /// OA-01: the very text, and nothing that only looks alike.
    #[test]
    fn a_request_names_the_very_text_that_is_registered() {
        let registered = ["https://app.example.org/cb".to_owned(), "http://127.0.0.1/cb".to_owned()];
        let is = |uri: &str, native| is_registered(&registered, uri, native);
        assert!(is("https://app.example.org/cb", false));
        for other in [
            "https://app.example.org/cb/",
            "https://app.example.org/cb?x=1",
            "https://app.example.org/CB",
            "https://APP.example.org/cb",
            "https://app.example.org:443/cb",
            "https://app.example.org/cb#",
            "https://app.example.org/x/../cb",
            "https://app.example.org/%63b",
            "https://app.example.org/cb2",
            "https://app.example.org",
            "https://app-example.org/cb",
            "https://app.example.org.evil.example/cb",
            "https://app.example.org@evil.example/cb",
            "http://app.example.org/cb",
            "http://127.0.0.1:8080/cb",
        ] {
            assert!(!is(other, false), "{other}");
        }
    }

    /// OA-01, RFC 8252 section 7.3: only the port, only of a loopback address, only for native apps.
    #[test]
    fn a_native_app_may_listen_on_any_port() {
        let registered = ["http://127.0.0.1/cb".to_owned(), "http://[::1]:1/cb".to_owned()];
        let is = |uri: &str| is_registered(&registered, uri, true);
        for good in
            ["http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", "http://[::1]:65535/cb", "http://[::1]/cb"]
        {
            assert!(is(good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:8080/other",
            "http://127.0.0.1:8080/cb?x",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:80@evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.2:8080/cb",
            "http://localhost:8080/cb",
            "https://127.0.0.1:8080/cb",
            "http://[::1]:8080@evil.example/cb",
        ] {
            assert!(!is(bad), "{bad}");
        }
        let of_a_name = ["http://localhost/cb".to_owned()];
        assert!(!is_registered(&of_a_name, "http://localhost:8080/cb", true));
    }

    #[test]
    fn forms_lead_to_the_origin_or_the_scheme() {
        assert_eq!(form_target("https://app.example.org:8443/cb?x").unwrap(), "https://app.example.org:8443");
        assert_eq!(form_target("app.immich:///oauth-callback").unwrap(), "app.immich:");
    }
}
