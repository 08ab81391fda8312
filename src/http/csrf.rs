//! Cross-site request forgery: where the request comes from, and a token bound to the session (WEB-01, WEB-02, WEB-03).

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, header};
use sha2::Sha256;

use super::RequestHeaders;

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

/// Returns a token of a session: HMAC-SHA-256 over the session's secret behind `mask`, and the mask, in base64url. With
/// another mask for each page no two pages say the same, so that the length of a compressed page, which may hold text of
/// an attacker's choice beside it, tells nothing of the token (BREACH).
pub fn token(key: &[u8; 32], session: &[u8], mask: &[u8; 32]) -> String {
    let Some(mac) = mac(key, session) else { return String::new() };
    let tag = mac.finalize().into_bytes();
    let masked = tag.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
    let bytes: Vec<u8> = mask.iter().copied().chain(masked).collect();
    BASE64URL_NOPAD.encode(&bytes)
}

/// Checks a token in constant time.
pub fn verify(key: &[u8; 32], session: &[u8], token: &str) -> Result<(), CsrfError> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| CsrfError::BadToken)?;
    let (mask, masked) = bytes.split_at_checked(32).ok_or(CsrfError::BadToken)?;
    if masked.len() != mask.len() {
        return Err(CsrfError::BadToken);
    }
    let tag: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    mac(key, session).ok_or(CsrfError::BadToken)?.verify_slice(&tag).map_err(|_| CsrfError::BadToken)
}

/// Checks that a write was made by a page of `expected_origin` (`https://auth.example.org`, no trailing slash).
///
/// `Sec-Fetch-Site` must be `same-origin`; `same-site` is refused because protected apps are siblings, `none` because
/// no person types a write into the address bar. Without it (old browsers, plain HTTP) `Origin` must be there. An
/// `Origin` that is there must match exactly: `null`, another port or another scheme is refused (WEB-03).
pub fn check_origin(headers: &RequestHeaders, expected_origin: &str) -> Result<(), CsrfError> {
    let origin = single(headers, &header::ORIGIN)?;
    let is_ours = |origin: &str| origin == expected_origin;
    match single(headers, &SEC_FETCH_SITE)? {
        Some("same-origin") if origin.is_none_or(is_ours) => Ok(()),
        None if origin.is_some_and(is_ours) => Ok(()),
        _ => Err(CsrfError::ForeignOrigin),
    }
}

fn single<'a>(headers: &'a RequestHeaders, name: &HeaderName) -> Result<Option<&'a str>, CsrfError> {
    headers.only(name).map_err(|_| CsrfError::ForeignOrigin)
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
            let site_field = site.map(|site| (SEC_FETCH_SITE.clone(), site));
            let headers =
                site_field.into_iter().chain(origin.map(|origin| (header::ORIGIN, origin))).collect();
            assert_eq!(check_origin(&headers, ours).is_ok(), allowed, "{site:?} {origin:?}");
        }
        let twice = [(header::ORIGIN, ours), (header::ORIGIN, ours)].into_iter().collect();
        assert!(check_origin(&twice, ours).is_err());
    }

    /// WEB-02: a token opens only the session it was made for.
    #[test]
    fn a_token_belongs_to_one_session_and_key() {
        let (key, other_key) = ([1; 32], [2; 32]);
        let good = token(&key, b"session-a", &[7; 32]);
        assert_eq!(good.len(), 86);
        assert_eq!(verify(&key, b"session-a", &good), Ok(()));
        assert!(verify(&key, b"session-b", &good).is_err());
        assert!(verify(&other_key, b"session-a", &good).is_err());
        let cut = &good[..84];
        let longer = format!("{good}AA");
        for bad in ["", "session-a", &good[..43], cut, &good[..85], &longer, &format!("{good}=")] {
            assert!(verify(&key, b"session-a", bad).is_err(), "{bad}");
        }
        for at in [0, 50] {
            let mut turned = good.clone().into_bytes();
            turned[at] = if turned[at] == b'A' { b'B' } else { b'A' };
            assert!(verify(&key, b"session-a", std::str::from_utf8(&turned).unwrap()).is_err(), "{at}");
        }
    }

    /// BREACH: no part of a token stays the same from page to page.
    #[test]
    fn tokens_of_a_session_have_nothing_in_common() {
        let (one, other) = (token(&[1; 32], b"a", &[7; 32]), token(&[1; 32], b"a", &[8; 32]));
        assert!(
            one.bytes().zip(other.bytes()).filter(|(one, other)| one == other).count() < 12,
            "{one} {other}"
        );
        assert_eq!((verify(&[1; 32], b"a", &one), verify(&[1; 32], b"a", &other)), (Ok(()), Ok(())));
    }
}
