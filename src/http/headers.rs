//! The headers no response leaves without (WEB-07, WEB-08), and what else pages may do.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, header};

use super::rate::RateStanding;
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

/// What is written by hyper, or by `answer`.
const FRAMING: [&str; 6] =
    ["connection", "content-length", "date", "trailer", "transfer-encoding", "upgrade"];

const EMBEDDING: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Headers that were written once for many answers.
#[derive(Debug, Default)]
pub struct WrittenHeaders {
    fields: Fields,
    text: Vec<u8>,
}

impl From<Fields> for WrittenHeaders {
    fn from(fields: Fields) -> Self {
        let mut text = Vec::new();
        fields.write(&mut text);
        WrittenHeaders { fields, text }
    }
}

impl WrittenHeaders {
    /// Returns the first value of a header.
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.fields.get(name)
    }
}

/// The headers of an answer but those of its framing. The wire writes them as text behind the status line, which is much
/// less work than to put them into a map and to encode them from it.
#[derive(Debug, Default)]
pub(super) struct AnswerHeaders {
    bits: u8,
    content_type: Option<&'static str>,
    rate: Option<RateStanding>,
    identity: Option<Arc<WrittenHeaders>>,
    own: Fields,
}

impl AnswerHeaders {
    const IS_DUE: u8 = 1;
    const IS_PAGE: u8 = 1 << 1;
    const IS_DATA: u8 = 1 << 2;
    const IS_HTTPS: u8 = 1 << 3;
    const MAY_BE_KEPT: u8 = 1 << 4;
    const MAY_BE_EMBEDDED: u8 = 1 << 5;
    const HAS_OWN_POLICY: u8 = 1 << 6;

    /// Takes out of a reply the headers that its answer must have.
    pub(super) fn of(reply: &mut Reply, is_https: bool) -> Self {
        let kept = bit(Self::MAY_BE_KEPT, reply.headers.contains_key(header::CACHE_CONTROL));
        // An answer of 200 to a reverse proxy ends at the proxy, which reads the identity out of it; no browser sees it.
        let browsers = if reply.identity.is_some() { 0 } else { for_browsers(reply, is_https) };
        let policy = own_policy(reply, browsers);
        let mut headers = AnswerHeaders {
            bits: Self::IS_DUE | kept | browsers | bit(Self::HAS_OWN_POLICY, policy.is_some()),
            content_type: reply.content_type,
            rate: reply.rate.take(),
            identity: reply.identity.take(),
            own: std::mem::take(&mut reply.headers),
        };
        debug_assert!(!headers.has_any_twice(), "{:?}", headers.own);
        if let Some(policy) = policy {
            headers.own.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        headers
    }

    /// What the answer to a request that was no HTTP has.
    pub(super) fn of_refusal() -> Self {
        AnswerHeaders { bits: Self::IS_DUE | Self::IS_PAGE, ..AnswerHeaders::default() }
    }

    /// Tells whether an answer is to be sent.
    pub(super) fn is_due(&self) -> bool {
        self.has(Self::IS_DUE)
    }

    fn has(&self, bits: u8) -> bool {
        self.bits & bits != 0
    }

    /// Tells whether the reply sets a header that would then stand twice.
    fn has_any_twice(&self) -> bool {
        let mut text = Vec::new();
        self.write_standing(&mut text);
        let text = String::from_utf8_lossy(&text);
        let standing = text.lines().filter_map(|line| line.split_once(':').map(|(name, _)| name));
        standing.chain(FRAMING).any(|name| self.own.contains_key(name))
    }

    /// Writes the lines, each with its CRLF.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        self.own.write(text);
        self.write_standing(text);
    }

    /// Writes those that the reply does not set.
    fn write_standing(&self, text: &mut Vec<u8>) {
        let mut put = |line: &str, is_needed: bool| {
            if is_needed {
                text.extend_from_slice(line.as_bytes());
            }
        };
        let (is_page, is_for_browsers) = (self.has(Self::IS_PAGE), self.has(Self::IS_PAGE | Self::IS_DATA));
        let content_type = self.content_type.unwrap_or_default();
        for part in ["content-type: ", content_type, "\r\n"] {
            put(part, self.content_type.is_some());
        }
        put(NOT_KEPT, !self.has(Self::MAY_BE_KEPT));
        put(ALWAYS, is_for_browsers);
        put(NOT_EMBEDDED, is_for_browsers && !self.has(Self::MAY_BE_EMBEDDED));
        put(DATA, self.has(Self::IS_DATA));
        put(PAGE, is_page);
        for part in ["content-security-policy: ", POLICY_START, POLICY_END, "\r\n"] {
            put(part, is_page && !self.has(Self::HAS_OWN_POLICY));
        }
        put(HSTS, self.has(Self::IS_HTTPS));
        if let Some(rate) = &self.rate {
            rate.write(text);
        }
        if let Some(identity) = &self.identity {
            text.extend_from_slice(&identity.text);
        }
    }
}

/// Turns a reply into a response for hyper, and into the headers that it must have.
pub(super) fn finish(mut reply: Reply, is_https: bool) -> (Response<Payload>, AnswerHeaders) {
    let headers = AnswerHeaders::of(&mut reply, is_https);
    let mut response = Response::new(Payload::new(reply.body, reply.rest));
    *response.status_mut() = reply.status;
    (response, headers)
}

/// Tells what any other answer must have.
fn for_browsers(reply: &Reply, is_https: bool) -> u8 {
    let kind = if reply.is_data() { AnswerHeaders::IS_DATA } else { AnswerHeaders::IS_PAGE };
    kind | bit(AnswerHeaders::IS_HTTPS, is_https && !reply.is_for_other_host)
        | bit(AnswerHeaders::MAY_BE_EMBEDDED, reply.headers.contains_key(EMBEDDING))
}

const fn bit(bit: u8, is_set: bool) -> u8 {
    if is_set { bit } else { 0 }
}

/// Returns the content policy of a page that needs another one than all pages.
fn own_policy(reply: &Reply, bits: u8) -> Option<HeaderValue> {
    let is_special = !reply.form_targets.is_empty() || !reply.connect_targets.is_empty() || reply.runs_wasm;
    let is_page = bits & AnswerHeaders::IS_PAGE != 0;
    (is_page && is_special).then(|| HeaderValue::from_str(&policy_of(reply)).ok()).flatten()
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
    use http::{HeaderMap, StatusCode};

    /// Every header of an answer as it will be on the wire.
    fn told(reply: Reply, is_https: bool) -> HeaderMap {
        let (response, headers) = finish(reply, is_https);
        assert!(headers.is_due() && response.headers().is_empty());
        let mut text = Vec::new();
        headers.write(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("\r\n"));
        let mut told = HeaderMap::new();
        for line in text.split_terminator("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            told.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        told
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
        let (mut identity, mut expected) = (Fields::default(), HeaderMap::new());
        for (name, value) in [("remote-user", "ada"), ("remote-groups", ""), ("remote-name", "Ädä")] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            identity.insert(HeaderName::from_static(name), value.clone());
            expected.insert(name, value);
        }
        let mut word = Reply::empty(StatusCode::OK);
        word.identity = Some(Arc::new(identity.into()));
        let mut word = told(word, true);
        assert_eq!(word.remove(header::CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(word, expected);
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

    #[test]
    #[should_panic(expected = "content-length")]
    fn a_reply_cannot_set_what_hyper_writes() {
        told(Reply::no_content().with(header::CONTENT_LENGTH, HeaderValue::from_static("3")), false);
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
