//! The headers no response leaves without (WEB-07, WEB-08), and what else pages may do.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::reply::Payload;
use super::{Fields, Reply};

/// Every answer: it must not be guessed at, framed or watched from a window that opened it.
///
/// Not `no-referrer`: with it browsers send `Origin: null` along with our own forms, which CSRF protection refuses (Fetch
/// standard, "append a request Origin header"). No other site learns anything from this one either.
const ALWAYS: &str = "x-content-type-options: nosniff\r\n\
    x-frame-options: DENY\r\n\
    referrer-policy: same-origin\r\n\
    cross-origin-opener-policy: same-origin\r\n";

/// An answer that does not say otherwise: it must not be kept, or embedded elsewhere.
const NOT_KEPT: &str = "cache-control: no-store\r\n";
const NOT_EMBEDDED: &str = "cross-origin-resource-policy: same-origin\r\n";

/// What pages have besides, and a content policy.
const PAGE: &str = "x-permitted-cross-domain-policies: none\r\n\
    x-robots-tag: noindex, nofollow\r\n\
    permissions-policy: accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), \
    gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=(), \
    publickey-credentials-create=(self), publickey-credentials-get=(self)\r\n";

/// What pages may load, send and do, unless the reply needs more.
const POLICY_START: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'";
const POLICY_END: &str = "; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What an answer that is no page has besides. The long lists of [`PAGE`] govern documents and say nothing about data, so
/// data carries the short form of them.
const DATA: &str = "permissions-policy: fullscreen=()\r\n\
    content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

const HSTS: &str = "strict-transport-security: max-age=31536000\r\n";

const EMBEDDING: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The most that is kept of the memory of a map: what the headers of any answer of ours need.
const MOST_ROOM: usize = 64;

/// Headers that were written once for many answers.
#[derive(Debug, Default)]
pub struct WrittenHeaders {
    headers: HeaderMap,
    text: Vec<u8>,
}

impl From<HeaderMap> for WrittenHeaders {
    fn from(headers: HeaderMap) -> Self {
        let mut text = Vec::new();
        // Neither names nor values of these types can hold a line end.
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        WrittenHeaders { headers, text }
    }
}

impl WrittenHeaders {
    /// Returns the first value of a header.
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.get(name)
    }
}

/// What an answer has besides the headers that hyper encodes. The wire writes it as text behind the status line: to put the
/// same names and values into a map and to encode them for every answer would be a fifteenth of the whole work for it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    bits: u8,
    identity: Option<Arc<WrittenHeaders>>,
}

impl Standing {
    const IS_DUE: u8 = 1;
    const IS_PAGE: u8 = 1 << 1;
    const IS_DATA: u8 = 1 << 2;
    const IS_HTTPS: u8 = 1 << 3;
    const MAY_BE_KEPT: u8 = 1 << 4;
    const MAY_BE_EMBEDDED: u8 = 1 << 5;
    const HAS_OWN_POLICY: u8 = 1 << 6;

    /// What the answer to a request that was no HTTP has.
    pub(super) fn of_refusal() -> Self {
        Standing { bits: Self::IS_DUE | Self::IS_PAGE, identity: None }
    }

    /// Tells whether an answer is to be sent.
    pub(super) fn is_due(&self) -> bool {
        self.has(Self::IS_DUE)
    }

    fn has(&self, bits: u8) -> bool {
        self.bits & bits != 0
    }

    /// Tells whether a header of it is set by the reply too, so that it would stand twice.
    fn has_any_of(&self, own: &Fields) -> bool {
        let mut text = Vec::new();
        self.write(&mut text);
        let text = String::from_utf8_lossy(&text);
        text.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| own.contains_key(name))
    }

    /// Writes the lines, each with its CRLF.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        let mut put = |line: &str, is_needed: bool| {
            if is_needed {
                text.extend_from_slice(line.as_bytes());
            }
        };
        let (is_page, is_for_browsers) = (self.has(Self::IS_PAGE), self.has(Self::IS_PAGE | Self::IS_DATA));
        put(NOT_KEPT, !self.has(Self::MAY_BE_KEPT));
        put(ALWAYS, is_for_browsers);
        put(NOT_EMBEDDED, is_for_browsers && !self.has(Self::MAY_BE_EMBEDDED));
        put(DATA, self.has(Self::IS_DATA));
        put(PAGE, is_page);
        for part in ["content-security-policy: ", POLICY_START, POLICY_END, "\r\n"] {
            put(part, is_page && !self.has(Self::HAS_OWN_POLICY));
        }
        put(HSTS, self.has(Self::IS_HTTPS));
        if let Some(identity) = &self.identity {
            text.extend_from_slice(&identity.text);
        }
    }
}

/// Turns a reply into a response, and says what it must have besides. What the reply sets itself wins. `old` is a map that
/// nobody needs any more, such as the one of the request: its memory serves again, because to get some and to give it
/// back would take longer than to fill it.
pub(super) fn finish(reply: Reply, is_https: bool, mut old: HeaderMap) -> (Response<Payload>, Standing) {
    if old.capacity() > MOST_ROOM {
        old = HeaderMap::new();
    }
    old.clear();
    let bits = Standing::IS_DUE
        | bit(Standing::MAY_BE_KEPT, reply.headers.contains_key(header::CACHE_CONTROL))
        // An answer of 200 to a reverse proxy ends at the proxy, which reads the identity out of it; no browser sees it.
        | if reply.identity.is_some() { 0 } else { for_browsers(&reply, is_https, &mut old) };
    let standing = Standing { bits, identity: reply.identity };
    debug_assert!(!standing.has_any_of(&reply.headers), "{:?}", reply.headers);
    reply.headers.set_in(&mut old);
    let mut response = Response::new(Payload::new(reply.body, reply.rest));
    *response.status_mut() = reply.status;
    *response.headers_mut() = old;
    (response, standing)
}

/// Tells what any other answer must have, and puts into `headers` what of it no other has.
fn for_browsers(reply: &Reply, is_https: bool, headers: &mut HeaderMap) -> u8 {
    let is_data = reply.is_data();
    let own = own_policy(reply).filter(|_| !is_data).and_then(|policy| HeaderValue::from_str(&policy).ok());
    let bits = bit(Standing::IS_HTTPS, is_https && !reply.is_for_other_host)
        | bit(Standing::MAY_BE_EMBEDDED, reply.headers.contains_key(EMBEDDING))
        | bit(Standing::HAS_OWN_POLICY, own.is_some());
    if let Some(own) = own {
        headers.insert(header::CONTENT_SECURITY_POLICY, own);
    }
    bits | if is_data { Standing::IS_DATA } else { Standing::IS_PAGE }
}

const fn bit(bit: u8, is_set: bool) -> u8 {
    if is_set { bit } else { 0 }
}

/// Returns the content policy of a page that needs another one than all pages.
fn own_policy(reply: &Reply) -> Option<String> {
    let is_special = !reply.form_targets.is_empty() || !reply.connect_targets.is_empty() || reply.runs_wasm;
    is_special.then(|| policy_of(reply))
}

fn policy_of(reply: &Reply) -> String {
    let mut policy = POLICY_START.to_owned();
    for target in reply.form_targets.iter().filter(|target| is_source(target)) {
        policy.push(' ');
        policy.push_str(target);
    }
    for target in reply.connect_targets.iter().filter(|target| is_source(target)) {
        policy = policy.replacen("connect-src 'self'", &format!("connect-src 'self' {target}"), 1);
    }
    if reply.runs_wasm {
        policy = policy.replacen("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", 1);
    }
    policy.push_str(POLICY_END);
    policy
}

/// Tells whether `source` is an origin (`https://app.example.org:8443`) or a scheme (`com.example.app:`), and so
/// cannot add a directive. A bare `javascript:` or `data:` and a wildcard are never sources of ours.
fn is_source(source: &str) -> bool {
    let Some((scheme, rest)) = source.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_script = ["javascript", "data", "blob", "vbscript", "filesystem", "about"]
        .iter()
        .any(|bad| scheme.eq_ignore_ascii_case(bad));
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_authority = rest.strip_prefix("//").is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
            })
    });
    is_scheme && !is_script && (is_authority || (rest.is_empty() && !is_web))
}

/// Adds `Clear-Site-Data: "storage"`, for sign-out (SES-08). Not `"cookies"`: browsers would drop those of every app below
/// the same domain and the mark of a known device; our own session cookies are expired one by one.
pub fn clear_site_data(reply: &mut Reply) {
    reply.set(HeaderName::from_static("clear-site-data"), HeaderValue::from_static(r#""storage""#));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    /// Every header of an answer as it will be on the wire.
    fn told(reply: Reply, is_https: bool) -> HeaderMap {
        told_with(reply, is_https, HeaderMap::new())
    }

    fn told_with(reply: Reply, is_https: bool, old: HeaderMap) -> HeaderMap {
        let (response, standing) = finish(reply, is_https, old);
        let mut headers = response.headers().clone();
        assert!(standing.is_due());
        for (name, value) in lines(&standing) {
            headers.append(name, value);
        }
        headers
    }

    fn lines(standing: &Standing) -> Vec<(HeaderName, HeaderValue)> {
        let mut text = Vec::new();
        standing.write(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("\r\n"));
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse().unwrap(), value.parse().unwrap())
        };
        text.split_terminator("\r\n").map(pair).collect()
    }

    /// WEB-07, WEB-08: every response has every header, whatever its status.
    #[test]
    fn every_response_has_every_header() {
        for status in [
            StatusCode::OK,
            StatusCode::BAD_REQUEST,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::INTERNAL_SERVER_ERROR,
        ] {
            let headers = told(Reply::empty(status), true);
            let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "cache-control",
                    "content-security-policy",
                    "cross-origin-opener-policy",
                    "cross-origin-resource-policy",
                    "permissions-policy",
                    "referrer-policy",
                    "strict-transport-security",
                    "x-content-type-options",
                    "x-frame-options",
                    "x-permitted-cross-domain-policies",
                    "x-robots-tag",
                ]
            );
            assert_eq!(names.len(), headers.len());
            for (name, value) in [
                ("cache-control", "no-store"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("referrer-policy", "same-origin"),
                ("strict-transport-security", "max-age=31536000"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("x-permitted-cross-domain-policies", "none"),
                ("x-robots-tag", "noindex, nofollow"),
            ] {
                assert_eq!(headers[name], value);
            }
            assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=(), "));
            let policy = headers["content-security-policy"].to_str().unwrap();
            for part in [
                "default-src 'none'",
                "form-action 'self';",
                "base-uri 'none'",
                "frame-ancestors 'none'",
                "object-src 'none'",
            ] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(!policy.contains("unsafe"));
        }
        assert!(!told(Reply::no_content(), false).contains_key("strict-transport-security"));
        assert!(!told(Reply::no_content().for_other_host(), true).contains_key("strict-transport-security"));
    }

    /// WEB-08: data cannot be sniffed, framed, embedded or run either; a word to a proxy carries no more than it needs.
    #[test]
    fn data_carries_the_short_form() {
        let data = told(Reply::json(StatusCode::NOT_FOUND, &1), true);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            (
                "content-security-policy",
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "fullscreen=()"),
            ("referrer-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(data[name], value);
        }
        assert_eq!(data.len(), 10);
        let identity = [("remote-user", "ada"), ("remote-groups", ""), ("remote-name", "Ädä")];
        let identity: HeaderMap = identity
            .into_iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect();
        let mut word = Reply::empty(StatusCode::OK);
        word.identity = Some(Arc::new(identity.clone().into()));
        let mut word = told(word, true);
        assert_eq!(word.remove(header::CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(word, identity);
    }

    /// A map that served before leaves nothing behind, neither fields nor more memory than answers need.
    #[test]
    fn nothing_of_an_old_map_is_told() {
        let old = |count: usize| -> HeaderMap {
            (0..count)
                .map(|number| {
                    let name = HeaderName::try_from(format!("x-{number}")).unwrap();
                    (name, HeaderValue::from_static("secret"))
                })
                .chain([(header::COOKIE, HeaderValue::from_static("secret"))])
                .collect()
        };
        for count in [0, 5, 99] {
            for reply in [Reply::json(StatusCode::OK, &1), Reply::no_content()] {
                let (response, _) = finish(reply, true, old(count));
                assert!(response.headers().values().all(|value| value != "secret"), "{response:?}");
                assert!(response.headers().capacity() <= MOST_ROOM);
            }
        }
    }

    #[test]
    fn a_reply_may_set_its_own_cache_control_and_many_cookies() {
        let reply = Reply::no_content()
            .with(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"))
            .with_cookie(super::super::SetCookie::host_only("a", "1"))
            .with_cookie(super::super::SetCookie::host_only("b", "2"));
        let headers = told(reply, false);
        assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().count(), 1);
        assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(headers.get_all(header::SET_COOKIE).iter().count(), 2);
    }

    #[test]
    fn what_others_may_embed_says_so_once() {
        for reply in [Reply::json(StatusCode::OK, &1), Reply::no_content()] {
            let headers = told(reply.with(EMBEDDING, HeaderValue::from_static("cross-origin")), true);
            assert_eq!(headers.get_all(EMBEDDING).iter().collect::<Vec<_>>(), ["cross-origin"]);
        }
    }

    #[test]
    #[should_panic(expected = "x-frame-options")]
    fn a_reply_cannot_set_what_would_then_stand_twice() {
        told(Reply::no_content().with(header::X_FRAME_OPTIONS, HeaderValue::from_static("x")), false);
    }

    fn policy_told(reply: Reply) -> String {
        let headers = told(reply, false);
        assert_eq!(headers.get_all(header::CONTENT_SECURITY_POLICY).iter().count(), 1);
        headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
    }

    /// WEB-07: a page's forms lead to one more origin, and to no more than that.
    #[test]
    fn form_targets_cannot_add_directives() {
        let policy = |targets: &[&str]| {
            let reply = targets
                .iter()
                .fold(Reply::no_content(), |reply, target| reply.with_form_target((*target).to_owned()));
            policy_told(reply)
        };
        let plain = policy(&[]);
        assert!(
            policy(&["https://app.example.org:8443"])
                .contains("form-action 'self' https://app.example.org:8443; base-uri")
        );
        for scheme in ["com.example.app:", "app.immich:", "web+x:"] {
            assert!(
                policy(&[scheme]).contains(&format!("form-action 'self' {scheme}; base-uri")),
                "{scheme}"
            );
        }
        // Programs on the person's own machine listen there (RFC 8252 section 7.3).
        for local in ["http://127.0.0.1:1234", "http://[::1]:1234", "http://localhost:8080"] {
            assert!(policy(&[local]).contains(&format!("form-action 'self' {local}; base-uri")), "{local}");
        }
        for bad in [
            "*",
            "https:",
            "http://",
            "https://*",
            "https://a b",
            "https://a; script-src *",
            "javascript:",
            "data:",
            "https://a/x",
            "'unsafe-inline'",
            "",
            "https://a\r\nx: y",
            "app.immich: *",
            "app.immich:;",
            "app.immich:,",
            "app.immich:'self'",
            "app.immich:\"",
            "app.immich:x",
            "app.immich:/",
            "app.immich://",
            "app immich:",
            "app;immich:",
            "app,immich:",
            "'app':",
            "1app:",
            ":",
            "app",
            "http:",
            "http://127.0.0.1:1234/callback",
            "http://127.0.0.1:1234;x",
            "http://127.0.0.1:1234,x",
            "http://127.0.0.1:*",
            "http://127.0.0.1:1234 https://evil.example",
            "http://'none'",
            "blob:",
            "about:",
            "filesystem:",
            "VBScript:",
        ] {
            assert_eq!(policy(&[bad]), plain, "{bad}");
        }
        let reply = Reply::no_content().with_connect_target("https://new.example.org".to_owned()).with_wasm();
        let both = policy_told(reply);
        assert!(both.contains("connect-src 'self' https://new.example.org;"));
        assert!(both.contains("script-src 'self' 'wasm-unsafe-eval';"));
    }
}
