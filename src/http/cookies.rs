//! Cookies: read strictly, written with safe defaults (SES-04, SES-11).

use std::fmt::Write as _;
use std::time::Duration;

use http::header;

use super::byte_set::ByteSet;
use super::request::Ambiguous;
use super::request_headers::RequestHeaders;

/// Returns the value of the cookie `name`. Two cookies of that name are refused, even with equal values: a sibling
/// app on the same parent domain may have tossed one in (SES-11). Other cookies may hold any bytes.
pub fn find<'a>(headers: &'a RequestHeaders, name: &str) -> Result<Option<&'a str>, Ambiguous> {
    let mut found = None;
    for line in headers.get_all(header::COOKIE) {
        let mut rest = line;
        while !rest.is_empty() {
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            let (pair, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            rest = after.get(1..).unwrap_or_default();
            let pair = pair.trim_ascii();
            let Some(value) = pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
            else {
                continue;
            };
            if found.is_some() || !VALUE_BYTES.has_all(value) {
                return Err(Ambiguous);
            }
            found = Some(std::str::from_utf8(value).map_err(|_| Ambiguous)?);
        }
    }
    Ok(found)
}

/// `cookie-octet` of RFC 6265 section 4.1.1: visible ASCII without quote, comma, semicolon, backslash.
const VALUE_BYTES: ByteSet =
    ByteSet::of(b"!").and_range(b'#', b'+').and_range(b'-', b':').and_range(b'<', b'[').and_range(b']', b'~');

/// Returns the name under which a host-only cookie goes: `__Host-dw` over HTTPS or on localhost, plain `dw` where
/// browsers would drop a `__Host-` cookie because the page is not secure.
pub fn cookie_name(base: &str, secure: bool) -> String {
    if secure { format!("__Host-{base}") } else { base.to_owned() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SameSite {
    Lax,
    Strict,
}

/// A cookie to set. Always HttpOnly; Secure, `Path=/` and `SameSite=Lax` unless changed.
#[derive(Clone, Debug)]
pub struct SetCookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    same_site: SameSite,
    is_secure: bool,
}

impl SetCookie {
    /// A cookie of this host alone (SES-04): Secure, HttpOnly, `Path=/`, `SameSite=Lax`, gone when the browser
    /// closes. `name` is complete; see [`cookie_name`]. `value` must be made of RFC 6265 value bytes; anything else
    /// is dropped from it.
    pub fn host_only(name: impl Into<String>, value: &str) -> Self {
        SetCookie {
            name: name.into(),
            value: value.bytes().filter(|byte| VALUE_BYTES.has(*byte)).map(char::from).collect(),
            path: "/".to_owned(),
            domain: None,
            max_age: None,
            same_site: SameSite::Lax,
            is_secure: true,
        }
    }

    /// Deletes the cookie. Path and domain must be the ones it was set with.
    pub fn expired(name: impl Into<String>) -> Self {
        SetCookie::host_only(name, "").max_age(Duration::ZERO)
    }

    /// Limits the cookie to a path. A `__Host-` cookie must keep `/`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Keeps the cookie this long, in whole seconds.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Shares the cookie with every host below `domain`; for forward-auth alone (SES-05). Not with `__Host-`.
    pub fn domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_ascii_lowercase());
        self
    }

    /// Sends the cookie on same-site requests only.
    pub fn same_site_strict(mut self) -> Self {
        self.same_site = SameSite::Strict;
        self
    }

    /// Lets the cookie travel over plain HTTP, and takes a `__Host-` or `__Secure-` prefix off its name, which
    /// browsers would refuse without Secure.
    pub fn insecure(mut self) -> Self {
        self.is_secure = false;
        for prefix in ["__Host-", "__Secure-"] {
            if let Some(rest) = self.name.strip_prefix(prefix) {
                self.name = rest.to_owned();
            }
        }
        self
    }

    /// Returns the value of the `Set-Cookie` header.
    pub fn to_header(&self) -> String {
        let mut text = format!("{}={}; Path={}; HttpOnly", self.name, self.value, self.path);
        if self.is_secure {
            text.push_str("; Secure");
        }
        text.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
        });
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        if let Some(age) = self.max_age {
            // Writing to a String cannot fail.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&[u8]]) -> RequestHeaders {
        lines.iter().map(|line| (header::COOKIE, *line)).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let found =
            |lines: &[&[u8]]| find(&headers(lines), "__Host-dw").map(|value| value.map(str::to_owned));
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&[b"a=b"]), Ok(None));
        assert_eq!(found(&[b"__Host-dw=x"]), Ok(Some("x".into())));
        assert_eq!(found(&[b"a=b; __Host-dw=x=y; c=d"]), Ok(Some("x=y".into())));
        assert_eq!(found(&[b"a=b", b"__Host-dw=x"]), Ok(Some("x".into())));
        assert_eq!(found(&[b"other=\xc3\xa4\xff;__Host-dw=x"]), Ok(Some("x".into())));
        assert_eq!(found(&[b"x__Host-dw=x; __Host-dw2=y; __host-dw=z; __Host-dw"]), Ok(None));
        assert_eq!(found(&[b"__Host-dw="]), Ok(Some(String::new())));
    }

    /// SES-11: two cookies of our name are refused, wherever they stand.
    #[test]
    fn two_cookies_of_one_name_are_refused() {
        for lines in [
            &[&b"__Host-dw=x; __Host-dw=y"[..]][..],
            &[b"__Host-dw=x; __Host-dw=x"],
            &[b"__Host-dw=x", b"a=b; __Host-dw=y"],
            &[b"__Host-dw=\xff"],
            &[b"__Host-dw=\"x\""],
        ] {
            assert_eq!(find(&headers(lines), "__Host-dw"), Err(Ambiguous), "{lines:?}");
        }
    }

    /// SES-04: host-only, Secure, HttpOnly, Lax by default.
    #[test]
    fn a_session_cookie_has_every_protection() {
        assert_eq!(
            SetCookie::host_only(cookie_name("dw", true), "abc").to_header(),
            "__Host-dw=abc; Path=/; HttpOnly; Secure; SameSite=Lax"
        );
        assert_eq!(
            SetCookie::host_only(cookie_name("dw", true), "abc").insecure().to_header(),
            "dw=abc; Path=/; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            SetCookie::host_only("__Secure-dw_fa", "abc")
                .domain("Example.org")
                .max_age(Duration::from_secs(60))
                .to_header(),
            "__Secure-dw_fa=abc; Path=/; HttpOnly; Secure; SameSite=Lax; Domain=example.org; Max-Age=60"
        );
        assert_eq!(
            SetCookie::expired("dw_setup").path("/setup").same_site_strict().to_header(),
            "dw_setup=; Path=/setup; HttpOnly; Secure; SameSite=Strict; Max-Age=0"
        );
    }

    #[test]
    fn a_value_cannot_add_attributes() {
        assert_eq!(
            SetCookie::host_only("dw", "a; Domain=evil\r\nx: y").to_header(),
            "dw=aDomain=evilx:y; Path=/; HttpOnly; Secure; SameSite=Lax"
        );
    }
}
