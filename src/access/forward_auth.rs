//! How reverse proxies ask, and how they are answered. Paths, headers, statuses and the redirect are the ones that
//! recipes for the Authelia endpoints of the same names expect; where we depart, it says so here:
//!
//! * A 200 always carries the four `Remote-*` headers, empty for an anonymous caller: a proxy that merges headers
//!   would let the client's own copies through (FWD-08).
//! * The nginx endpoint answers 200, 401 or 403 and nothing else: nginx turns the rest into a 500.
//! * `Authorization` is not read: whatever an app sends there is the app's own business, and the cookie decides.
//! * Each dialect reads its own headers and ignores the other's; a doubled one is refused (FWD-04).
//! * Only trusted proxies and this machine are answered (FWD-03).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::domain::{is_local, normal_host, split_authority};
use super::{Access, Caller, Outcome};
use crate::accounts::User;
use crate::audit::{Audit, Event, Kind};
use crate::http::path::{self, PathError};
use crate::http::{Reply, Request};
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::sessions::handoff::{self, Arrival};
use crate::sessions::{Principal, Sessions};
use crate::site::Site;

static X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
static REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
static REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");
static REMOTE_NAME: HeaderName = HeaderName::from_static("remote-name");
static REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");

/// What may stand bare in a query value (RFC 3986 section 2.3).
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Most bytes of a request method.
const LONGEST_METHOD: usize = 20;
/// How long a complaint of one kind is not repeated in the log, in milliseconds.
const QUIET: u64 = 60_000;

/// How a proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx `auth_request`: `X-Original-URL` and `X-Original-Method`.
    AuthRequest,
    /// Traefik, Caddy, HAProxy: `X-Forwarded-Proto`, `-Host`, `-Uri` and `-Method`.
    ForwardAuth,
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
    pub target: &'a str,
    /// The canonical path, which rules see; an error if it is ambiguous (FWD-06).
    pub path: Result<Cow<'a, str>, PathError>,
    /// The method, letters A to Z.
    pub method: &'a str,
}

impl Inquiry<'_> {
    /// Returns the address of the request in one form, as a return address.
    pub fn url(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}{}", self.host, self.target),
            None => format!("{scheme}://{}{}", self.host, self.target),
        }
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
}

impl Refusal {
    fn status(self, dialect: Dialect) -> StatusCode {
        match (self, dialect) {
            (Refusal::UntrustedPeer, _) => StatusCode::FORBIDDEN,
            (Refusal::PlainHttp | Refusal::UnknownHost, Dialect::AuthRequest) => StatusCode::FORBIDDEN,
            (_, Dialect::AuthRequest) => StatusCode::UNAUTHORIZED,
            (_, Dialect::ForwardAuth) => StatusCode::BAD_REQUEST,
        }
    }

    fn kind(self) -> usize {
        match self {
            Refusal::UntrustedPeer => 0,
            Refusal::Missing(_) => 1,
            Refusal::Doubled(_) => 2,
            Refusal::Invalid(_) => 3,
            Refusal::PlainHttp => 4,
            Refusal::UnknownHost => 5,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UntrustedPeer => f.write_str(
                "it does not come from a trusted proxy; if this is your reverse proxy, add its address to server.trusted_proxies",
            ),
            Refusal::Missing(name) => write!(f, "the proxy did not send the header {name}"),
            Refusal::Doubled(name) => write!(f, "the header {name} came with several values"),
            Refusal::Invalid(name) => write!(f, "the header {name} is not understood"),
            Refusal::PlainHttp => f.write_str(
                "the app is reached over plain HTTP; serve it over HTTPS, or set server.insecure_http in a lab",
            ),
            Refusal::UnknownHost => {
                f.write_str("the host is not below the protected domain (or it is Doorward itself)")
            }
        }
    }
}

/// Lets one complaint of each kind into the log every minute, so that a stranger cannot fill it.
#[derive(Debug, Default)]
pub(super) struct Complaints([AtomicU64; 6]);

impl Complaints {
    fn is_due(&self, refusal: Refusal, now: Timestamp) -> bool {
        let Some(last) = self.0.get(refusal.kind()) else { return true };
        let (now, then) = (now.as_millis(), last.load(Ordering::Relaxed));
        // Due as well when the clock was set back.
        let is_due = then == 0 || now < then || now >= then.saturating_add(QUIET);
        is_due && last.compare_exchange(then, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Whom an app refused lately, so that a page that reloads itself leaves one event a minute and not a thousand.
pub(super) struct Denials(quick_cache::sync::Cache<(UserId, Box<str>), Timestamp>);

impl Default for Denials {
    fn default() -> Self {
        Denials(quick_cache::sync::Cache::new(1024))
    }
}

impl Denials {
    fn note(&self, audit: &Audit, user: &User, inquiry: &Inquiry<'_>, request: &Request) {
        let key = (user.id, Box::from(&*inquiry.host));
        let is_recent = self.0.get(&key).is_some_and(|then| {
            request.now >= then && request.now.since(then).as_millis() < u128::from(QUIET)
        });
        if is_recent {
            return;
        }
        self.0.insert(key, request.now);
        let event = Event::refused(Kind::AccessDenied).by(user.id, &user.username).on(&inquiry.host);
        audit.note(event.detail("method", inquiry.method).from(request.client.ip).request(request.id));
    }
}

/// What proxies are told of users, made once for each state of a user.
pub(super) struct Identities(quick_cache::sync::Cache<UserId, Arc<Identity>>);

struct Identity {
    user: Arc<User>,
    headers: HeaderMap,
}

impl Default for Identities {
    fn default() -> Self {
        Identities(quick_cache::sync::Cache::new(1024))
    }
}

impl Identities {
    /// Returns the headers of a 200 for `user`.
    fn of(&self, user: &Arc<User>) -> HeaderMap {
        // A user is replaced as a whole when anything of them changes, and one that is held here cannot make room for
        // another at the same address.
        if let Some(known) = self.0.get(&user.id).filter(|known| Arc::ptr_eq(&known.user, user)) {
            return known.headers.clone();
        }
        let headers = identity_headers(Some(user));
        self.0.insert(user.id, Arc::new(Identity { user: user.clone(), headers: headers.clone() }));
        headers
    }
}

/// Reads a header that is there once and holds UTF-8 without spaces and controls.
fn one<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Refusal::Missing(name.as_str()))?;
    if values.next().is_some() {
        return Err(Refusal::Doubled(name.as_str()));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Refusal::Invalid(name.as_str()))?;
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
fn one_plain<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> Result<&'a str, Refusal> {
    let text = one(headers, name)?;
    if text.contains(',') { Err(Refusal::Doubled(name.as_str())) } else { Ok(text) }
}

/// Reads the headers of nginx `auth_request`.
///
/// # Errors
/// If a header is missing, doubled or not understood.
pub fn parse_auth_request(headers: &HeaderMap) -> Result<Inquiry<'_>, Refusal> {
    let method = method(headers, &X_ORIGINAL_METHOD)?;
    let url = one(headers, &X_ORIGINAL_URL)?;
    parse_url(url, method)
}

/// Reads an absolute address of an app, such as `https://photos.home.example/a?b`.
///
/// # Errors
/// If it is none: another scheme, user info, no path, spaces or controls.
pub fn parse_url<'a>(url: &'a str, method: &'a str) -> Result<Inquiry<'a>, Refusal> {
    let invalid = Refusal::Invalid("x-original-url");
    let (scheme, rest) = url.split_once(':').ok_or(invalid)?;
    let rest = rest.strip_prefix("//").ok_or(invalid)?;
    // `https://host?x` and `https://host` have no path; proxies always send one.
    let slash = rest.find('/').ok_or(invalid)?;
    let (authority, target) = rest.split_at_checked(slash).ok_or(invalid)?;
    let raw_path = target.split_once('?').map_or(target, |(path, _)| path);
    if raw_path.contains(',') && (raw_path.contains(",http://") || raw_path.contains(",https://")) {
        return Err(Refusal::Doubled("x-original-url"));
    }
    if has_space(url) {
        return Err(invalid);
    }
    assemble(scheme, authority, target, method).ok_or(invalid)
}

/// Reads the headers of Traefik, Caddy and HAProxy.
///
/// # Errors
/// If a header is missing, doubled or not understood.
pub fn parse_forward_auth(headers: &HeaderMap) -> Result<Inquiry<'_>, Refusal> {
    let method = method(headers, &X_FORWARDED_METHOD)?;
    let scheme = one_plain(headers, &X_FORWARDED_PROTO)?;
    let authority = one_plain(headers, &X_FORWARDED_HOST)?;
    let target = one(headers, &X_FORWARDED_URI)?;
    if !target.starts_with('/') {
        return Err(Refusal::Invalid("x-forwarded-uri"));
    }
    let raw_path = target.split_once('?').map_or(target, |(path, _)| path);
    if raw_path.contains(",/") {
        return Err(Refusal::Doubled("x-forwarded-uri"));
    }
    assemble(scheme, authority, target, method).ok_or(Refusal::Invalid("x-forwarded-host"))
}

fn assemble<'a>(scheme: &str, authority: &'a str, target: &'a str, method: &'a str) -> Option<Inquiry<'a>> {
    let is_secure = match scheme {
        "https" | "wss" => true,
        "http" | "ws" => false,
        _ => return None,
    };
    let (host, port) = split_authority(authority)?;
    let host = normal_host(host)?;
    let default_port = if is_secure { 443 } else { 80 };
    let raw_path = target.split_once('?').map_or(target, |(path, _)| path);
    Some(Inquiry {
        is_secure,
        host,
        port: port.filter(|port| *port != default_port),
        target,
        path: path::canonical(raw_path),
        method,
    })
}

fn method<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> Result<&'a str, Refusal> {
    let method = one_plain(headers, name)?;
    let is_method = method.len() <= LONGEST_METHOD && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_method { Ok(method) } else { Err(Refusal::Invalid(name.as_str())) }
}

/// Tells whether the client wants a page: no XMLHttpRequest, and HTML among what it accepts; `*/*` counts only in
/// front, because scripts put it behind `application/json`.
fn expects_page(headers: &HeaderMap) -> bool {
    let is_script = headers
        .get(&X_REQUESTED_WITH)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"));
    let mut accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split_once(';').map_or(range, |(kind, _)| kind).trim())
        .enumerate();
    !is_script && accepted.any(|(index, kind)| kind == "text/html" || (index == 0 && kind == "*/*"))
}

/// Checks that the inquiry is about an app that is protected here, over a channel that its cookie may travel on.
///
/// # Errors
/// [`Refusal::PlainHttp`] or [`Refusal::UnknownHost`].
pub(super) fn admit(inquiry: &Inquiry<'_>, site: &Site) -> Result<(), Refusal> {
    if !site.is_protected_host(&inquiry.host) {
        return Err(Refusal::UnknownHost);
    }
    if !inquiry.is_secure && !site.allows_insecure_http() && !is_local(&inquiry.host) {
        return Err(Refusal::PlainHttp);
    }
    Ok(())
}

/// Answers a proxy whose inquiry was decided. `user` is who is signed in, if anyone; `portal_origin` is where people
/// sign in, without a slash at the end. `headers` tell whether a page is expected, so that a redirect makes sense.
pub fn answer(
    dialect: Dialect,
    inquiry: &Inquiry<'_>,
    headers: &HeaderMap,
    outcome: Outcome,
    user: Option<&User>,
    portal_origin: &str,
) -> Reply {
    match outcome {
        Outcome::Allow => allowed(identity_headers(user)),
        Outcome::Forbidden => {
            Reply::bytes(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", FORBIDDEN.as_bytes())
        }
        Outcome::NeedSignIn { .. } => {
            let status = match (dialect, expects_page(headers), inquiry.method) {
                (Dialect::AuthRequest, _, _) | (_, false, _) => StatusCode::UNAUTHORIZED,
                (_, _, "GET" | "HEAD" | "OPTIONS") => StatusCode::FOUND,
                _ => StatusCode::SEE_OTHER,
            };
            to_sign_in(status, inquiry, portal_origin)
        }
    }
}

const FORBIDDEN: &str = "You may not open this page. If you should, ask the person who runs this server.\n";

fn to_sign_in(status: StatusCode, inquiry: &Inquiry<'_>, portal_origin: &str) -> Reply {
    let rd = utf8_percent_encode(&inquiry.url(), QUERY_VALUE).to_string();
    let method = inquiry.method;
    // Only letters, digits, `-._~%` and the origin itself reach the page, so there is nothing to escape but `&`.
    let body = format!("<a href=\"{portal_origin}/?rd={rd}&amp;rm={method}\">Sign in</a>\n");
    let location = format!("{portal_origin}/?rd={rd}&rm={method}");
    let mut reply = Reply::bytes(status, "text/html; charset=utf-8", body);
    if let Ok(location) = HeaderValue::from_maybe_shared(Bytes::from(location)) {
        reply.set(header::LOCATION, location);
    }
    reply
}

/// Answers 200 with the headers that name the user.
fn allowed(identity: HeaderMap) -> Reply {
    let mut reply = Reply::empty(StatusCode::OK);
    reply.is_for_proxy = true;
    reply.headers = identity;
    reply
}

/// Returns the four headers, empty for an anonymous caller (FWD-08).
fn identity_headers(user: Option<&User>) -> HeaderMap {
    let mut groups = String::new();
    for group in user.iter().flat_map(|user| user.groups.iter()) {
        if !groups.is_empty() {
            groups.push(',');
        }
        groups.push_str(group.as_str());
    }
    // UTF-8 as it is; a control character would end the header or be refused (FWD-10).
    let display_name = user.map_or("", |user| user.display_name.as_str());
    let name: String = display_name.chars().filter(|character| !character.is_control()).collect();
    let email = user.and_then(|user| user.email.as_ref()).map_or("", |email| email.as_str());
    let mut headers = HeaderMap::with_capacity(5);
    for (header, text) in [
        (&REMOTE_USER, user.map_or("", |user| user.username.as_str())),
        (&REMOTE_GROUPS, &groups),
        (&REMOTE_NAME, &name),
        (&REMOTE_EMAIL, email),
    ] {
        // What cannot be a header value becomes an empty one: the header itself must never be missing.
        let value = HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""));
        headers.insert(header.clone(), value);
    }
    headers
}

/// Answers a proxy whose inquiry was not decided.
pub fn refuse(dialect: Dialect, refusal: Refusal) -> Reply {
    Reply::empty(refusal.status(dialect))
}

/// Answers a forward-auth request: who may ask (FWD-03), what is asked (FWD-04, FWD-05), who is signed in by the
/// forward-auth cookie (which slides the session, so the answer needs no cookie), and what the rules say. `None` for a
/// browser that arrives from the portal: [`arrive`] answers, and may have to wait for the store.
pub fn check(access: &Access, sessions: &Sessions, request: &Request, dialect: Dialect) -> Option<Reply> {
    let identify = |host: &str| sessions.identify_forward(&access.shared.site, request, host, request.now);
    let mut reply = decide(access, request, dialect, identify)?;
    if request.method == Method::HEAD {
        reply.body = Bytes::new();
    }
    Some(reply)
}

/// Answers for an app where [`check`] did not: gives the browser a mark or a cookie of the app's host.
pub async fn arrive(access: &Access, sessions: &Sessions, request: &Request, dialect: Dialect) -> Reply {
    let site = &access.shared.site;
    let inquiry = match inquire(request, dialect, site) {
        Ok(inquiry) => inquiry,
        Err(refusal) => return refuse(dialect, refusal),
    };
    let (Some(domain), Ok(path)) = (site.protected_domain_of(&inquiry.host), &inquiry.path) else {
        return refuse(dialect, Refusal::UnknownHost);
    };
    let arrival = Arrival {
        request,
        method: inquiry.method,
        path,
        query: inquiry.target.split_once('?').map_or("", |(_, query)| query),
        host: &inquiry.host,
        domain: &domain,
        redirect: match dialect {
            Dialect::AuthRequest => StatusCode::UNAUTHORIZED,
            Dialect::ForwardAuth => StatusCode::FOUND,
        },
    };
    handoff::arrive(sessions, arrival).await
}

fn decide(
    access: &Access,
    request: &Request,
    dialect: Dialect,
    identify: impl FnOnce(&str) -> Option<Principal>,
) -> Option<Reply> {
    let site = &access.shared.site;
    let inquiry = match inquire(request, dialect, site) {
        Ok(inquiry) => inquiry,
        Err(refusal) => {
            if access.shared.complaints.is_due(refusal, request.now) {
                tracing::warn!(peer = %request.client.peer, "forward-auth request refused: {refusal}");
            }
            return Some(refuse(dialect, refusal));
        }
    };
    // Before the rules: no app ever sees these paths.
    if inquiry.path.as_deref().is_ok_and(handoff::is_path) {
        return None;
    }
    let caller = identify(&inquiry.host);
    let decision = access.decide(&inquiry, request.client.ip, caller.as_ref().map(Caller::person));
    if let (Some(caller), Outcome::Allow) = (&caller, decision.outcome) {
        return Some(allowed(access.shared.identities.of(&caller.user)));
    }
    let user = caller.as_ref().map(|caller| &*caller.user);
    if let (Some(user), Outcome::Forbidden) = (user, decision.outcome) {
        access.shared.denials.note(&access.shared.audit, user, &inquiry, request);
    }
    // Only who must sign in is sent to the portal; an answer of 200 copies no address.
    let portal = match decision.outcome {
        Outcome::NeedSignIn { .. } => site.portal_for(&inquiry.host),
        Outcome::Allow | Outcome::Forbidden => String::new(),
    };
    Some(answer(dialect, &inquiry, &request.headers, decision.outcome, user, &portal))
}

fn inquire<'a>(request: &'a Request, dialect: Dialect, site: &Site) -> Result<Inquiry<'a>, Refusal> {
    if !request.client.is_trusted_peer && !request.client.peer.is_loopback() {
        return Err(Refusal::UntrustedPeer);
    }
    let inquiry = match dialect {
        Dialect::AuthRequest => parse_auth_request(&request.headers)?,
        Dialect::ForwardAuth => parse_forward_auth(&request.headers)?,
    };
    admit(&inquiry, site)?;
    Ok(inquiry)
}

#[cfg(test)]
#[path = "forward_auth_tests.rs"]
mod tests;
