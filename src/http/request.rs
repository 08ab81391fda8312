//! A request as handlers see it: body read and bounded, client address decided, nothing ambient.

use bytes::Bytes;
use http::{HeaderName, Method, Uri};

use super::address::Client;
use super::request_headers::ascii;
use super::{Problem, RequestHeaders};
use crate::kernel::ids::RequestId;
use crate::kernel::time::Timestamp;
use crate::words::{Lang, Words};

/// One request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as it was sent.
    pub uri: Uri,
    /// All header fields, but those with an underscore in their names.
    pub headers: RequestHeaders,
    /// The body, already read within the route's limit.
    pub body: Bytes,
    /// Who is at the other end, as far as addresses tell.
    pub client: Client,
    /// For the log and for people who report a problem.
    pub id: RequestId,
    /// When the request arrived, by the wall clock.
    pub now: Timestamp,
    /// The values of `{name}` segments of the route, percent-decoded.
    pub params: Vec<(String, String)>,
}

/// A header that was sent twice, or holds bytes that are not visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Request {
    /// Returns the path as it was sent.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the value of a `{name}` segment, or an empty text.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns the first query parameter with this name, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.uri.query()?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns a header that may be sent at most once, as visible ASCII.
    pub fn header(&self, name: &HeaderName) -> Result<Option<&str>, Ambiguous> {
        self.headers.only(name)
    }

    /// Returns the cookie with this name. Two of them are refused: a sibling app may have tossed one in (SES-11).
    pub fn cookie(&self, name: &str) -> Result<Option<&str>, Ambiguous> {
        super::cookies::find(&self.headers, name)
    }

    /// Returns the language that an app asked for (OpenID Connect Core section 3.1.2.1): in its own request, or in the one
    /// that waits for the sign-in.
    pub fn asked_language(&self) -> Option<Lang> {
        let own = self.query("ui_locales").or_else(|| {
            let rd = self.query("rd").filter(|rd| rd.starts_with('/'))?;
            let (_, query) = rd.split_once('?')?;
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == "ui_locales").map(|(_, locales)| locales.into_owned())
        });
        own.and_then(|locales| Lang::from_locales(&locales))
    }

    /// Returns the texts in the language of whoever asks: their choice, what the app they come from asked for
    /// (`ui_locales`), what their browser asks for, else English.
    pub fn words(&self) -> Words {
        let chosen = self.cookie(Lang::COOKIE).ok().flatten().and_then(Lang::from_tag);
        let asked = || self.asked_language();
        let accepted =
            || self.header(&http::header::ACCEPT_LANGUAGE).ok().flatten().and_then(Lang::from_header);
        Words::of(chosen.or_else(asked).or_else(accepted).unwrap_or_default())
    }

    /// Tells whether the client would rather see a page than JSON.
    pub fn wants_html(&self) -> bool {
        self.headers
            .get_all(http::header::ACCEPT)
            .filter_map(ascii)
            .any(|accept| accept.contains("text/html"))
    }

    /// Parses the body as JSON: right content type (WEB-05), UTF-8, bounded depth, no duplicate and no unknown keys (INP-05).
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        super::json::parse(&self.headers, &self.body)
    }

    /// Parses the body as a form (`application/x-www-form-urlencoded`, UTF-8, each field at most once, boxes aside).
    pub fn form(&self) -> Result<super::form::Form, Problem> {
        super::form::parse(&self.headers, &self.body)
    }
}
