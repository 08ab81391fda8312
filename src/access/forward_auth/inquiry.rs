//! What a proxy asks about: the request of somebody to an app, read from headers or from a path. Each dialect reads
//! its own headers and is blind to those of the others (FWD-04); what is missing, doubled or not understood is refused
//! (FWD-05).

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, StatusCode, header};

use super::endpoint::Dialect;
use crate::access::domain::{normal_host, split_at_byte, split_authority};
use crate::http::path::{self, PathError};
use crate::http::{Request, RequestHeaders};
use crate::words::Words;

static X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Most bytes of a request method.
const LONGEST_METHOD: usize = 20;

/// The path of the endpoint that carries the app's path behind its own.
pub const EXT_AUTHZ: &str = "/api/authz/ext-authz";

/// What a proxy sends: as much of its request as an inquiry may stand in.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The headers.
    pub headers: &'a RequestHeaders,
    /// The method of the proxy's own request.
    pub method: &'a str,
    /// The path and query of the proxy's own request.
    pub target: &'a str,
}

impl<'a> Question<'a> {
    /// Returns the question that a request puts.
    pub fn of(request: &'a Request) -> Self {
        Question {
            headers: &request.headers,
            method: request.method.as_str(),
            target: request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
        }
    }
}

/// The request that a proxy asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry<'a> {
    /// Whether the browser speaks TLS to the proxy.
    pub is_secure: bool,
    /// The host in normal form, without a port.
    pub host: Cow<'a, str>,
    /// The port, unless it is the default of the scheme.
    pub port: Option<u16>,
    /// Path and query as they were sent.
    pub target: Cow<'a, str>,
    /// The canonical path, which rules see; an error if it is ambiguous (FWD-06).
    pub path: Result<Cow<'a, str>, PathError>,
    /// The method, letters A to Z; `None` if the proxy does not say it, which only the old endpoint takes.
    pub method: Option<&'a str>,
}

impl Inquiry<'_> {
    /// Returns the origin of the app: scheme, host, and the port unless it is the default.
    pub fn origin(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }

    /// Returns the address of the request in one form, as a return address.
    pub fn url(&self) -> String {
        let mut url = self.origin();
        url.push_str(&self.target);
        url
    }

    /// Returns the query as it was sent, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

/// Why an inquiry was not decided by the rules. Never answered with 200 (FWD-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer is no trusted proxy.
    UntrustedPeer,
    /// The header is missing.
    Missing(&'static str),
    /// The header occurs twice or holds several values.
    Doubled(&'static str),
    /// The header holds no such thing.
    Invalid(&'static str),
    /// The app is reached over plain HTTP, where its cookie would be readable on the way.
    PlainHttp,
    /// The host is not below the protected domain, or is Doorward itself.
    UnknownHost,
    /// The header says something else than `X-Original-URL`, so one of the two comes from the client.
    Contradicts(&'static str),
    /// The address of the sign-in page in the proxy's configuration is neither ours nor below the domain of the app.
    ForeignPortal,
    /// A rule by network came to decide, and no trusted proxy says who the visitor is.
    UnknownVisitor,
    /// A rule by method came to decide, and the proxy does not say the method.
    UnknownMethod,
}

impl Refusal {
    /// Every kind, for what is kept of each.
    pub(super) const KINDS: usize = 10;

    /// Returns the status that the proxy is answered with. nginx makes a 500 of everything but 200, 401 and 403, so its
    /// endpoint answers nothing else if `is_plain_for_nginx` (decision 11 of the house).
    pub(super) fn status(self, dialect: Dialect, is_plain_for_nginx: bool) -> StatusCode {
        match (self, dialect) {
            (Refusal::UntrustedPeer | Refusal::UnknownVisitor | Refusal::UnknownMethod, _) => {
                StatusCode::FORBIDDEN
            }
            (Refusal::PlainHttp | Refusal::UnknownHost, Dialect::AuthRequest) if is_plain_for_nginx => {
                StatusCode::FORBIDDEN
            }
            (_, Dialect::AuthRequest) if is_plain_for_nginx => StatusCode::UNAUTHORIZED,
            (_, Dialect::Legacy) => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn kind(self) -> usize {
        match self {
            Refusal::UntrustedPeer => 0,
            Refusal::Missing(_) => 1,
            Refusal::Doubled(_) => 2,
            Refusal::Invalid(_) => 3,
            Refusal::PlainHttp => 4,
            Refusal::UnknownHost => 5,
            Refusal::Contradicts(_) => 6,
            Refusal::ForeignPortal => 7,
            Refusal::UnknownVisitor => 8,
            Refusal::UnknownMethod => 9,
        }
    }
}

impl Refusal {
    /// Says why, as the end of a sentence.
    pub fn in_words(self, t: Words) -> String {
        match self {
            Refusal::UntrustedPeer => t.access_refused_peer().to_owned(),
            Refusal::Missing(name) => t.access_refused_missing(name),
            Refusal::Doubled(name) => t.access_refused_doubled(name),
            Refusal::Invalid(name) => t.access_refused_invalid(name),
            Refusal::PlainHttp => t.access_refused_plain_http().to_owned(),
            Refusal::UnknownHost => t.access_refused_host().to_owned(),
            Refusal::Contradicts(name) => t.access_refused_contradiction(name),
            Refusal::ForeignPortal => t.access_refused_portal().to_owned(),
            Refusal::UnknownVisitor => t.access_refused_visitor().to_owned(),
            Refusal::UnknownMethod => t.access_refused_method().to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Words::ENGLISH))
    }
}

/// Reads a header that is there once and holds UTF-8 without spaces and controls.
pub(super) fn one<'a>(headers: &'a RequestHeaders, name: &'static HeaderName) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name);
    let value = values.next().ok_or(Refusal::Missing(name.as_str()))?;
    if values.next().is_some() {
        return Err(Refusal::Doubled(name.as_str()));
    }
    let text = std::str::from_utf8(value).map_err(|_| Refusal::Invalid(name.as_str()))?;
    if text.is_empty() || has_space(text) {
        // A proxy that appends to a header joins values by a comma and a space.
        let is_joined = text.contains(", ");
        return Err(if is_joined {
            Refusal::Doubled(name.as_str())
        } else {
            Refusal::Invalid(name.as_str())
        });
    }
    Ok(text)
}

/// Tells whether a text holds a space or a control character. Looks at every byte, which is quicker than stopping.
fn has_space(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte <= b' ') | (byte == 0x7f))
}

/// Reads a header that may hold no comma.
fn one_plain<'a>(headers: &'a RequestHeaders, name: &'static HeaderName) -> Result<&'a str, Refusal> {
    let text = one(headers, name)?;
    if text.as_bytes().contains(&b',') { Err(Refusal::Doubled(name.as_str())) } else { Ok(text) }
}

/// Makes of a missing header another value, and leaves every other mistake.
fn or<'a>(found: Result<&'a str, Refusal>, other: &'a str) -> Result<&'a str, Refusal> {
    match found {
        Err(Refusal::Missing(_)) => Ok(other),
        found => found,
    }
}

/// Reads a question in a dialect.
///
/// # Errors
/// If something is missing, doubled or not understood.
pub fn read<'a>(dialect: Dialect, question: Question<'a>) -> Result<Inquiry<'a>, Refusal> {
    match dialect {
        Dialect::AuthRequest => {
            let method = method(one_plain(question.headers, &X_ORIGINAL_METHOD)?, "x-original-method")?;
            parse_url(one(question.headers, &X_ORIGINAL_URL)?, method)
        }
        Dialect::ForwardAuth => {
            let method = method(one_plain(question.headers, &X_FORWARDED_METHOD)?, "x-forwarded-method")?;
            forwarded(question.headers, Some(method))
        }
        Dialect::ExtAuthz => ext_authz(question),
        Dialect::Legacy => legacy(question),
    }
}

/// Reads an absolute address of an app, such as `https://photos.home.example/a?b`.
///
/// # Errors
/// If it is none: another scheme, user info, no path, spaces or controls.
pub fn parse_url<'a>(url: &'a str, method: &'a str) -> Result<Inquiry<'a>, Refusal> {
    parse(url, Some(method))
}

fn parse<'a>(url: &'a str, method: Option<&'a str>) -> Result<Inquiry<'a>, Refusal> {
    let invalid = Refusal::Invalid("x-original-url");
    let (scheme, rest) = split_at_byte(url, b':').ok_or(invalid)?;
    let rest = rest.strip_prefix("//").ok_or(invalid)?;
    // `https://host?x` and `https://host` have no path; proxies always send one.
    let slash = rest.bytes().position(|byte| byte == b'/').ok_or(invalid)?;
    let (authority, target) = rest.split_at_checked(slash).ok_or(invalid)?;
    let raw_path = path_of(target);
    if raw_path.as_bytes().contains(&b',')
        && (raw_path.contains(",http://") || raw_path.contains(",https://"))
    {
        return Err(Refusal::Doubled("x-original-url"));
    }
    if has_space(url) {
        return Err(invalid);
    }
    assemble(scheme, authority, Cow::Borrowed(target), method).ok_or(invalid)
}

/// Reads `X-Forwarded-Proto`, `-Host` and `-Uri`.
fn forwarded<'a>(headers: &'a RequestHeaders, method: Option<&'a str>) -> Result<Inquiry<'a>, Refusal> {
    let scheme = scheme(headers)?;
    let authority = one_plain(headers, &X_FORWARDED_HOST)?;
    let target = one(headers, &X_FORWARDED_URI)?;
    if !target.starts_with('/') {
        return Err(Refusal::Invalid("x-forwarded-uri"));
    }
    if path_of(target).contains(",/") {
        return Err(Refusal::Doubled("x-forwarded-uri"));
    }
    assemble(scheme, authority, Cow::Borrowed(target), method).ok_or(Refusal::Invalid("x-forwarded-host"))
}

/// Reads what Envoy and Istio send: the app's own request with a path of ours in front of its path.
fn ext_authz<'a>(question: Question<'a>) -> Result<Inquiry<'a>, Refusal> {
    let method = method(question.method, "method")?;
    let scheme = scheme(question.headers)?;
    let authority = one_plain(question.headers, &header::HOST)?;
    let target = sub_target(question.target).ok_or(Refusal::Invalid("path"))?;
    assemble(scheme, authority, target, Some(method)).ok_or(Refusal::Invalid("host"))
}

/// Returns the app's path and query from behind our own path. Envoy puts its prefix, which ends with a slash, before a
/// path that begins with one.
fn sub_target(target: &str) -> Option<Cow<'_, str>> {
    let rest = target.strip_prefix(EXT_AUTHZ)?;
    Some(match rest.as_bytes() {
        [] => Cow::Borrowed("/"),
        [b'?', ..] => Cow::Owned(format!("/{rest}")),
        [b'/', b'/', ..] => Cow::Borrowed(rest.get(1..)?),
        [b'/', ..] => Cow::Borrowed(rest),
        _ => return None,
    })
}

/// Reads what proxies sent to the endpoint that there was before the others: `X-Original-URL`, else `X-Forwarded-*`.
/// Only one of the two families is set by the proxy, and a client may have made up the other. nginx recipes set both
/// and they agree; where they do not, nobody can tell which is the client's, so it is refused.
fn legacy<'a>(question: Question<'a>) -> Result<Inquiry<'a>, Refusal> {
    let headers = question.headers;
    let method = legacy_method(question)?;
    if !headers.contains_key(&X_ORIGINAL_URL) {
        return forwarded(headers, method);
    }
    let inquiry = parse(one(headers, &X_ORIGINAL_URL)?, method)?;
    if headers.contains_key(&X_FORWARDED_HOST) {
        let authority = one_plain(headers, &X_FORWARDED_HOST)?;
        let host = split_authority(authority).and_then(|(host, _)| normal_host(host));
        if host.as_deref() != Some(&*inquiry.host) {
            return Err(Refusal::Contradicts("x-forwarded-host"));
        }
    }
    if headers.contains_key(&X_FORWARDED_URI) && one(headers, &X_FORWARDED_URI)? != inquiry.target {
        return Err(Refusal::Contradicts("x-forwarded-uri"));
    }
    Ok(inquiry)
}

/// Reads the method for the old endpoint. Proxies ask by GET or HEAD whatever the browser does, so a method beside the
/// address counts before that of the question, and without it these two say nothing: a rule by method then refuses.
fn legacy_method<'a>(question: Question<'a>) -> Result<Option<&'a str>, Refusal> {
    let headers = question.headers;
    let forwarded = one_plain(headers, &X_FORWARDED_METHOD);
    if headers.contains_key(&X_ORIGINAL_URL) && headers.contains_key(&X_ORIGINAL_METHOD) {
        let original = method(one_plain(headers, &X_ORIGINAL_METHOD)?, "x-original-method")?;
        return match or(forwarded, original)? {
            same if same == original => Ok(Some(original)),
            _ => Err(Refusal::Contradicts("x-forwarded-method")),
        };
    }
    if matches!(forwarded, Err(Refusal::Missing(_))) && matches!(question.method, "GET" | "HEAD") {
        return Ok(None);
    }
    method(or(forwarded, question.method)?, "x-forwarded-method").map(Some)
}

/// Returns the scheme that the browser speaks, as the proxy says; without a word of it, the one that we were asked by,
/// which is always plain.
fn scheme(headers: &RequestHeaders) -> Result<&str, Refusal> {
    or(one_plain(headers, &X_FORWARDED_PROTO), "http")
}

fn path_of(target: &str) -> &str {
    split_at_byte(target, b'?').map_or(target, |(path, _)| path)
}

fn assemble<'a>(
    scheme: &str,
    authority: &'a str,
    target: Cow<'a, str>,
    method: Option<&'a str>,
) -> Option<Inquiry<'a>> {
    let is_secure = match scheme {
        "https" | "wss" => true,
        "http" | "ws" => false,
        _ => return None,
    };
    let (host, port) = split_authority(authority)?;
    let host = normal_host(host)?;
    let default_port = if is_secure { 443 } else { 80 };
    let path = match &target {
        Cow::Borrowed(target) => path::canonical(path_of(target)),
        Cow::Owned(target) => path::canonical(path_of(target)).map(|path| Cow::Owned(path.into_owned())),
    };
    Some(Inquiry { is_secure, host, port: port.filter(|port| *port != default_port), target, path, method })
}

fn method<'a>(method: &'a str, place: &'static str) -> Result<&'a str, Refusal> {
    if is_method(method) { Ok(method) } else { Err(Refusal::Invalid(place)) }
}

/// Tells whether a text is a request method as rules know them: letters A to Z.
pub fn is_method(text: &str) -> bool {
    (1..=LONGEST_METHOD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}
