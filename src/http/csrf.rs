//! Cross-site request forgery: where the request comes from, and a token bound to the session (WEB-01, WEB-02, WEB-03).

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, header};
use sha2::Sha256;

/// The header a token comes in.
pub static TOKEN_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// The form field a token comes in.
pub const TOKEN_FIELD: &str = "csrf";

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const LABEL: &[u8] = b"doorward csrf v1\0";

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrfError {
    /// The request was not made by a page of ours.
    ForeignOrigin,
    /// The token is missing, or belongs to another session.
    BadToken,
}

fn mac(key: &[u8; 32], session: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    mac.update(LABEL);
    mac.update(session);
    Some(mac)
}

/// Returns the token of a session: HMAC-SHA-256 over the session's secret, in base64url.
pub fn token(key: &[u8; 32], session: &[u8]) -> String {
    let Some(mac) = mac(key, session) else { return String::new() };
    BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
}

/// Checks a token in constant time.
pub fn verify(key: &[u8; 32], session: &[u8], token: &str) -> Result<(), CsrfError> {
    let tag = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| CsrfError::BadToken)?;
    mac(key, session).ok_or(CsrfError::BadToken)?.verify_slice(&tag).map_err(|_| CsrfError::BadToken)
}

/// Checks that a write was made by a page of `expected_origin` (`https://auth.example.org`, no trailing slash).
///
/// `Sec-Fetch-Site` must be `same-origin`; `same-site` is refused because protected apps are siblings, `none` because
/// no person types a write into the address bar. Without it (old browsers, plain HTTP) `Origin` must be there. An
/// `Origin` that is there must match exactly: `null`, another port or another scheme is refused (WEB-03).
pub fn check_origin(headers: &HeaderMap, expected_origin: &str) -> Result<(), CsrfError> {
    let origin = single(headers, &header::ORIGIN)?;
    let is_ours = |origin: &str| origin == expected_origin;
    match single(headers, &SEC_FETCH_SITE)? {
        Some("same-origin") if origin.is_none_or(is_ours) => Ok(()),
        None if origin.is_some_and(is_ours) => Ok(()),
        _ => Err(CsrfError::ForeignOrigin),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, CsrfError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| CsrfError::ForeignOrigin),
        _ => Err(CsrfError::ForeignOrigin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WEB-01, WEB-03: only a page of our own origin may write.
    #[test]
    fn writes_come_from_our_own_pages() {
        let ours = "https://auth.example.org";
        for (site, origin, allowed) in [
            (Some("same-origin"), Some(ours), true),
            (Some("same-origin"), None, true),
            (None, Some(ours), true),
            (Some("same-origin"), Some("https://evil.example"), false),
            (Some("same-origin"), Some("null"), false),
            (Some("same-site"), Some(ours), false),
            (Some("cross-site"), Some(ours), false),
            (Some("none"), Some(ours), false),
            (Some("none"), None, false),
            (Some(""), Some(ours), false),
            (Some("Same-Origin"), Some(ours), false),
            (None, None, false),
            (None, Some("null"), false),
            (None, Some(""), false),
            (None, Some("http://auth.example.org"), false),
            (None, Some("https://auth.example.org:8443"), false),
            (None, Some("https://auth.example.org.evil.example"), false),
            (None, Some("https://auth.example.org/"), false),
            (None, Some("https://app.example.org"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert(&SEC_FETCH_SITE, site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(check_origin(&headers, ours).is_ok(), allowed, "{site:?} {origin:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::ORIGIN, ours.parse().unwrap());
        twice.append(header::ORIGIN, ours.parse().unwrap());
        assert!(check_origin(&twice, ours).is_err());
    }

    /// WEB-02: a token opens only the session it was made for.
    #[test]
    fn a_token_belongs_to_one_session_and_key() {
        let (key, other_key) = ([1; 32], [2; 32]);
        let good = token(&key, b"session-a");
        assert_eq!(good.len(), 43);
        assert_eq!(verify(&key, b"session-a", &good), Ok(()));
        assert!(verify(&key, b"session-b", &good).is_err());
        assert!(verify(&other_key, b"session-a", &good).is_err());
        for bad in ["", "session-a", &good[..42], &format!("{good}A"), &format!("{good}=")] {
            assert!(verify(&key, b"session-a", bad).is_err(), "{bad}");
        }
    }
}
