//! What Doorward sees of a request: for whoever sets a reverse proxy up. Cookies and whatever proves who somebody is are
//! never shown, not even to themself: people send such pages to those who help.

use serde::Serialize;

use crate::http::Request;

/// Parts of names of headers whose values are hidden: those of ours, and those of proxies, tunnels and clouds, such as
/// `cf-access-jwt-assertion` or `x-amzn-oidc-data`.
const HIDDEN_PARTS: [&str; 16] = [
    "cookie",
    "auth",
    "token",
    "secret",
    "key",
    "jwt",
    "dpop",
    "session",
    "password",
    "assertion",
    "credential",
    "ticket",
    "oidc",
    "saml",
    "signature",
    "csrf",
];

/// One header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenHeader {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it is hidden.
    pub value: Option<String>,
    /// How long the value is, in bytes.
    pub length: usize,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The client's address.
    pub address: String,
    /// The other end of the connection.
    pub peer: String,
    /// Whether the other end is a trusted proxy.
    pub is_trusted_proxy: bool,
    /// Whether the browser came by https, as far as is known.
    pub is_https: bool,
    /// The host that was asked for.
    pub host: Option<String>,
    /// All headers, in the order in which they came.
    pub headers: Vec<SeenHeader>,
}

/// Says what is seen of a request.
pub fn look(request: &Request) -> Seen {
    let client = &request.client;
    let header = |(name, value): (&str, &[u8])| {
        let is_hidden = HIDDEN_PARTS.iter().any(|part| name.contains(part));
        let text = String::from_utf8_lossy(value).into_owned();
        SeenHeader { name: name.to_owned(), length: value.len(), value: (!is_hidden).then_some(text) }
    };
    Seen {
        address: client.ip.to_string(),
        peer: client.peer.to_string(),
        is_trusted_proxy: client.is_trusted_peer,
        is_https: client.is_https,
        host: client.host.clone(),
        headers: request.headers.iter().map(header).collect(),
    }
}
