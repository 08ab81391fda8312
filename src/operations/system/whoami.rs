//! What Doorward sees of a request: for whoever sets a reverse proxy up. Cookies and whatever proves who somebody is are
//! never shown, not even to themself: people send such pages to those who help.

use serde::Serialize;

use crate::http::Request;

/// Headers whose values are hidden.
const HIDDEN: [&str; 8] = [
    "cookie",
    "set-cookie",
    "authorization",
    "proxy-authorization",
    "x-csrf-token",
    "x-api-key",
    "dpop",
    "remote-assertion",
];

/// Parts of names of headers that hold secrets of proxies and tunnels.
const HIDDEN_PARTS: [&str; 7] = ["token", "secret", "key", "jwt", "session", "password", "assertion"];

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
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let name = name.as_str();
        let is_hidden = HIDDEN.contains(&name) || HIDDEN_PARTS.iter().any(|part| name.contains(part));
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
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
