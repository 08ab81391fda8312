//! The headers no response leaves without (WEB-07, WEB-08), and what else pages may do.

use std::fmt::Write as _;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::Reply;
use super::reply::Payload;

const POLICY_START: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'";
const POLICY_END: &str = "; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Every response: it must not be kept, guessed at, framed or embedded. `Cache-Control` gives way to one that the reply
/// sets.
const ALWAYS: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, NO_STORE),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not `no-referrer`: with it browsers send `Origin: null` along with our own forms, which CSRF protection refuses
    // (Fetch standard, "append a request Origin header"). No other site learns anything from this one either.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// What pages have besides, and a content policy.
const PAGE: [(HeaderName, HeaderValue); 3] = [
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
             magnetometer=(), microphone=(), midi=(), payment=(), usb=(), \
             publickey-credentials-create=(self), publickey-credentials-get=(self)",
        ),
    ),
];

/// What an answer that is no page has besides. The long lists of [`PAGE`] govern documents and say nothing about data, so
/// data carries the short form of them.
const DATA: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static("fullscreen=()")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
];

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What pages may load, send and do, unless the reply needs more.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = HeaderValue::from_str(&format!("{POLICY_START}{POLICY_END}"));
    policy.unwrap_or(const { HeaderValue::from_static("default-src 'none'") })
});

/// The most that is kept of the memory of a map: what the headers of any answer of ours need.
const MOST_ROOM: usize = 64;

/// Writes the security headers as HTTP/1.1 text, for answers to requests that were no HTTP.
pub(super) fn as_text() -> String {
    let mut text = String::new();
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY.clone())];
    for (name, value) in ALWAYS.into_iter().chain(PAGE).chain(policy) {
        // Writing to a String cannot fail; the values above are ASCII.
        let _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    text
}

/// Turns a reply into a response with every header it must have. What the reply sets itself wins. `old` is a map that
/// nobody needs any more, such as the one of the request: its memory serves again, because to get some and to give it
/// back would take longer than to fill it.
pub fn finish(reply: Reply, is_https: bool, mut old: HeaderMap) -> Response<Payload> {
    let is_https = is_https && !reply.is_for_other_host;
    let headers = if let Some(identity) = reply.identity {
        for_proxy(*identity)
    } else {
        if old.capacity() > MOST_ROOM {
            old = HeaderMap::new();
        }
        old.clear();
        security_headers(&reply, is_https, old)
    };
    let mut response = Response::new(Payload::new(reply.body, reply.rest));
    *response.status_mut() = reply.status;
    *response.headers_mut() = headers;
    reply.headers.set_in(response.headers_mut());
    response
}

/// An answer of 200 to a reverse proxy ends at the proxy, which reads the identity out of it; no browser sees it, and
/// it carries `Cache-Control` alone.
fn for_proxy(mut headers: HeaderMap) -> HeaderMap {
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    headers
}

/// Puts what any other answer must have into an empty map.
fn security_headers(reply: &Reply, is_https: bool, mut headers: HeaderMap) -> HeaderMap {
    headers.extend(ALWAYS);
    if reply.is_data() {
        headers.extend(DATA);
    } else {
        headers.extend(PAGE);
        let own = own_policy(reply).and_then(|policy| HeaderValue::from_str(&policy).ok());
        headers.insert(header::CONTENT_SECURITY_POLICY, own.unwrap_or_else(|| POLICY.clone()));
    }
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    headers
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

    fn finish(reply: Reply, is_https: bool) -> Response<Payload> {
        super::finish(reply, is_https, HeaderMap::new())
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
            let response = finish(Reply::empty(status), true);
            assert_eq!(response.status(), status);
            for (name, value) in ALWAYS.into_iter().chain(PAGE) {
                assert_eq!(response.headers()[&name], value);
            }
            assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
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
            assert!(response.headers().get("server").is_none());
        }
        assert!(finish(Reply::no_content(), false).headers().get("strict-transport-security").is_none());
        assert!(
            finish(Reply::no_content().for_other_host(), true)
                .headers()
                .get("strict-transport-security")
                .is_none()
        );
    }

    /// WEB-08: data cannot be sniffed, framed, embedded or run either; a word to a proxy carries no more than it needs.
    #[test]
    fn data_carries_the_short_form() {
        let data = finish(Reply::json(StatusCode::NOT_FOUND, &1), true);
        for (name, value) in ALWAYS.into_iter().chain(DATA) {
            assert_eq!(data.headers()[&name], value);
        }
        assert!(data.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
        let mut word = Reply::empty(StatusCode::OK);
        word.identity = Some(Box::default());
        let word = finish(word, false);
        assert_eq!(word.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(word.headers().len(), 1);
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
                let response = super::finish(reply, true, old(count));
                assert!(response.headers().values().all(|value| value != "secret"), "{response:?}");
                assert!(response.headers().capacity() <= MOST_ROOM);
                assert_eq!(response.headers()[header::CACHE_CONTROL], NO_STORE);
            }
        }
    }

    #[test]
    fn a_reply_may_set_its_own_cache_control_and_many_cookies() {
        let reply = Reply::no_content()
            .with(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"))
            .with_cookie(super::super::SetCookie::host_only("a", "1"))
            .with_cookie(super::super::SetCookie::host_only("b", "2"));
        let response = finish(reply, false);
        assert_eq!(response.headers().get_all(header::CACHE_CONTROL).iter().count(), 1);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(response.headers().get_all(header::SET_COOKIE).iter().count(), 2);
    }

    /// WEB-07: a page's forms lead to one more origin, and to no more than that.
    #[test]
    fn form_targets_cannot_add_directives() {
        let policy = |targets: &[&str]| {
            let reply = targets
                .iter()
                .fold(Reply::no_content(), |reply, target| reply.with_form_target((*target).to_owned()));
            finish(reply, false).headers()["content-security-policy"].to_str().unwrap().to_owned()
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
        let both = finish(reply, false).headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(both.contains("connect-src 'self' https://new.example.org;"));
        assert!(both.contains("script-src 'self' 'wasm-unsafe-eval';"));
    }
}
