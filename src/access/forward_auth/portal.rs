//! Where people are sent to sign in: our own page, unless the proxy's configuration names another address of it.

use std::borrow::Cow;

use http::HeaderName;

use super::endpoint::Dialect;
use super::inquiry::{Inquiry, Question, Refusal, one};
use crate::access::domain::split_at_byte;
use crate::http::redirect::safe_return_target;
use crate::site::Site;

static X_AUTHELIA_URL: HeaderName = HeaderName::from_static("x-authelia-url");

/// Returns the address that the proxy names for the sign-in page, as it stands there.
///
/// # Errors
/// If it is named twice.
pub(super) fn named<'a>(dialect: Dialect, question: Question<'a>) -> Result<Option<Cow<'a, str>>, Refusal> {
    match dialect {
        Dialect::AuthRequest | Dialect::ForwardAuth => parameter(question.target, "authelia_url"),
        // The query of this endpoint is the app's, so a client can write what it likes there.
        Dialect::ExtAuthz => header(question),
        Dialect::Legacy => match parameter(question.target, "rd")? {
            Some(address) => Ok(Some(address)),
            None => header(question),
        },
    }
}

/// Tells whether the proxy asks for a name and a password in place of a page, as the old endpoint does by `?auth=basic`.
pub(super) fn asks_basic(dialect: Dialect, question: Question<'_>) -> bool {
    dialect == Dialect::Legacy
        && parameter(question.target, "auth").ok().flatten().is_some_and(|kind| kind == "basic")
}

fn header(question: Question<'_>) -> Result<Option<Cow<'_, str>>, Refusal> {
    match one(question.headers, &X_AUTHELIA_URL) {
        Ok(address) => Ok(Some(Cow::Borrowed(address))),
        Err(Refusal::Missing(_)) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Returns a parameter of the proxy's own query, decoded; an empty one is none.
fn parameter<'a>(target: &'a str, name: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some((_, query)) = split_at_byte(target, b'?') else { return Ok(None) };
    let mut found =
        form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Refusal::Doubled(name)),
        (found, None) => Ok(found.filter(|value| !value.is_empty())),
    }
}

/// Judges a named address: it must be Doorward's own, or an https address below the domain of the app. Returns it in the
/// form of the parser that judged it, without query and fragment.
pub(super) fn judge(site: &Site, inquiry: &Inquiry<'_>, address: &str) -> Option<String> {
    // A path alone is no address of a page here, although it would be one as a return address.
    if address.starts_with('/') {
        return None;
    }
    let app = &inquiry.host;
    let below = |host: &str| site.share_domain(host, app) || site.is_portal_of(host, app);
    let mut url = safe_return_target(address, &site.origin().text, below)?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url.into())
}
