//! How proxies are answered: the statuses, the redirect and the challenge of each dialect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::endpoint::Dialect;
use super::inquiry::Inquiry;
use crate::http::headers::WrittenHeaders;
use crate::http::problem::seconds_rounded_up;
use crate::http::request_headers::ascii;
use crate::http::{Reply, RequestHeaders};
use crate::words::Words;

static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What may stand bare in a query value (RFC 3986 section 2.3).
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Tells whether the client wants a page: no XMLHttpRequest, and HTML among what it accepts; `*/*` counts only in
/// front, because scripts put it behind `application/json`.
pub(super) fn expects_page(headers: &RequestHeaders) -> bool {
    let is_script =
        headers.get(&X_REQUESTED_WITH).is_some_and(|value| value.eq_ignore_ascii_case(b"XMLHttpRequest"));
    let mut accepted = headers
        .get_all(header::ACCEPT)
        .filter_map(ascii)
        .flat_map(|value| value.split(','))
        .map(|range| range.split_once(';').map_or(range, |(kind, _)| kind).trim())
        .enumerate();
    !is_script && accepted.any(|(index, kind)| kind == "text/html" || (index == 0 && kind == "*/*"))
}

/// Answers 200 with the headers that name who asks.
pub(super) fn allowed(identity: Arc<WrittenHeaders>) -> Reply {
    let mut reply = Reply::empty(StatusCode::OK);
    reply.identity = Some(identity);
    reply
}

/// Answers 403.
pub(super) fn forbidden(t: Words) -> Reply {
    let text = format!("{}\n", t.access_forbidden());
    Reply::bytes(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", text)
}

/// Asks a program for a name and a password (RFC 7617). There is no page for it to go to.
pub(super) fn challenge() -> Reply {
    let challenge = HeaderValue::from_static("Basic realm=\"Authorization Required\"");
    Reply::empty(StatusCode::UNAUTHORIZED).with(header::WWW_AUTHENTICATE, challenge)
}

/// Answers that no more passwords can be looked at for the moment. nginx, which asks at the old endpoint too, makes a broken
/// server of anything but 401 and 403.
pub(super) fn busy(dialect: Dialect, retry_after: Duration) -> Reply {
    if matches!(dialect, Dialect::AuthRequest | Dialect::Legacy) {
        return Reply::empty(StatusCode::FORBIDDEN);
    }
    let wait = HeaderValue::from(seconds_rounded_up(retry_after).max(1));
    Reply::empty(StatusCode::SERVICE_UNAVAILABLE).with(header::RETRY_AFTER, wait)
}

/// Sends people to `portal`, an address without query; `None` is the old endpoint without one, which only says no.
pub(super) fn to_sign_in(
    dialect: Dialect,
    inquiry: &Inquiry<'_>,
    headers: &RequestHeaders,
    portal: Option<&str>,
) -> Reply {
    let Some(portal) = portal else { return Reply::empty(StatusCode::UNAUTHORIZED) };
    let status = match (dialect, expects_page(headers), inquiry.method) {
        (Dialect::AuthRequest, _, _) | (_, false, _) => StatusCode::UNAUTHORIZED,
        (_, _, None | Some("GET" | "HEAD" | "OPTIONS")) => StatusCode::FOUND,
        _ => StatusCode::SEE_OTHER,
    };
    let rd = utf8_percent_encode(&inquiry.url(), QUERY_VALUE).to_string();
    let (named, method) = inquiry.method.map_or(("", ""), |method| ("&rm=", method));
    let location = format!("{portal}?rd={rd}{named}{method}");
    // A portal comes out of a parser that escapes quotes and brackets, and the rest is letters, digits and `-._~%`.
    let body = format!("<a href=\"{}\">Sign in</a>\n", location.replace('&', "&amp;"));
    let mut reply = Reply::bytes(status, "text/html; charset=utf-8", body);
    if let Ok(location) = HeaderValue::from_maybe_shared(Bytes::from(location)) {
        reply.set(header::LOCATION, location);
    }
    reply
}
