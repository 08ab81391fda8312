//! What stands in an `Authorization` header. Pure.

use data_encoding::{BASE64, BASE64_NOPAD};
use http::header;
use zeroize::Zeroizing;

use crate::http::RequestHeaders;
use crate::kernel::secret::SecretText;
use crate::sessions::app_tokens;

/// A longer header is not looked at.
const LONGEST: usize = 8192 + 16;
/// The longest name that is looked at, in bytes: an e-mail address.
const LONGEST_NAME: usize = 254;
/// The longest password that is looked at, in bytes (PWD-02).
const LONGEST_PASSWORD: usize = 1024;

/// An `Authorization` header, taken apart. Nothing of it is proven.
pub enum Authorization<'a> {
    /// There is none.
    None,
    /// Not for us by its form: an unknown scheme, or nothing that could be read in one way.
    Unknown,
    /// An app token, as bearer or in the place of a password.
    AppToken {
        /// The token.
        token: SecretText,
        /// The name that came with it; empty for none.
        name: String,
    },
    /// Some other bearer token (RFC 6750 section 2.1).
    Bearer(&'a str),
    /// A name and a password (RFC 7617).
    Password {
        /// The name.
        name: String,
        /// The password.
        password: SecretText,
    },
    /// `Basic`, but with nothing that could be a name and a password of ours.
    NoPassword,
}

/// Takes the `Authorization` header apart. Two of them are none of ours: nobody can tell which one the app would read.
pub fn read(headers: &RequestHeaders) -> Authorization<'_> {
    let text = match headers.only(header::AUTHORIZATION) {
        Ok(None) => return Authorization::None,
        Ok(Some(text)) if text.len() <= LONGEST => text,
        _ => return Authorization::Unknown,
    };
    let Some((scheme, rest)) = text.split_once(' ') else { return Authorization::Unknown };
    let rest = rest.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return read_bearer(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Authorization::Unknown;
    }
    match read_basic(rest) {
        Some((name, token)) if token.expose().starts_with(app_tokens::PREFIX) => {
            Authorization::AppToken { token, name }
        }
        Some((name, password)) => Authorization::Password { name, password },
        None => Authorization::NoPassword,
    }
}

fn read_bearer(token: &str) -> Authorization<'_> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(is_token) {
        return Authorization::Unknown;
    }
    if token.starts_with(app_tokens::PREFIX) {
        return Authorization::AppToken { token: SecretText::new(token.to_owned()), name: String::new() };
    }
    Authorization::Bearer(token)
}

/// Reads name and password: base64 with or without padding, UTF-8, no control characters (RFC 7617 section 2).
fn read_basic(encoded: &str) -> Option<(String, SecretText)> {
    let encoding = if encoded.len().is_multiple_of(4) { &BASE64 } else { &BASE64_NOPAD };
    let bytes = Zeroizing::new(encoding.decode(encoded.as_bytes()).ok()?);
    let text = std::str::from_utf8(&bytes).ok().filter(|text| !text.chars().any(char::is_control))?;
    let (name, password) = text.split_once(':')?;
    let is_short = name.len() <= LONGEST_NAME && password.len() <= LONGEST_PASSWORD;
    is_short.then(|| (name.trim().to_owned(), SecretText::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[&str]) -> String {
        let headers = values.iter().map(|value| (header::AUTHORIZATION, *value)).collect();
        match read(&headers) {
            Authorization::None => "none".to_owned(),
            Authorization::Unknown => "unknown".to_owned(),
            Authorization::AppToken { token, name } => format!("app {} of {name}", token.expose()),
            Authorization::Bearer(token) => format!("bearer {token}"),
            Authorization::Password { name, password } => format!("{name} with {}", password.expose()),
            Authorization::NoPassword => "no password".to_owned(),
        }
    }

    #[test]
    fn each_kind_is_told_from_the_others() {
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        for (header, expected) in [
            (basic("ada:pl:um"), "ada with pl:um"),
            (basic(" Ada :plum "), "Ada with plum "),
            (basic(":"), " with "),
            (basic("ada:dwa_x"), "app dwa_x of ada"),
            (basic(":dwa_x"), "app dwa_x of "),
            (format!("basic {}", BASE64_NOPAD.encode(b"ada:plum-2")), "ada with plum-2"),
            ("bEARER  dwa_x".to_owned(), "app dwa_x of "),
            ("Bearer a.b.c".to_owned(), "bearer a.b.c"),
            ("Token abc".to_owned(), "unknown"),
            ("Bearer a b".to_owned(), "unknown"),
            ("Bearer ".to_owned(), "unknown"),
            ("Bearer".to_owned(), "unknown"),
            ("DPoP a.b.c".to_owned(), "unknown"),
            ("Digest username=\"ada\"".to_owned(), "unknown"),
            ("Basic".to_owned(), "unknown"),
            ("Basic !!!!".to_owned(), "no password"),
            (basic("ada"), "no password"),
            (basic("ada:a\nb"), "no password"),
            (basic(&format!("ada:{}", "x".repeat(1025))), "no password"),
            (format!("Bearer {}", "x".repeat(LONGEST)), "unknown"),
        ] {
            assert_eq!(shown(&[&header]), expected, "{header}");
        }
        assert_eq!(shown(&[]), "none");
        assert_eq!(shown(&["Bearer dwa_x", "Bearer dwa_x"]), "unknown");
        let latin = format!("Basic {}", BASE64.encode(b"ada:\xe4"));
        assert_eq!(shown(&[&latin]), "no password");
    }
}
