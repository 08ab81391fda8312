//! Looking at an address from this machine: where its name leads, and what answers there. Asked for by the person who sets
//! Doorward up, about their own address and their own app; TLS alone, and of an answer nothing but the head is read.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::Setup;
use crate::http::address::is_loopback_name;
use crate::http::outgoing::{NO_ADDRESS, NO_ANSWER, OutgoingError, Visit, certificate, reason};
use crate::site::Origin;
use crate::words::{Said, Words, said};

const PATIENCE: Duration = Duration::from_secs(3);
const DAY: Duration = Duration::from_secs(86_400);

/// What answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    /// How long the certificate is good for, if that can be read.
    pub(super) days_left: Option<u64>,
    /// Headers of ours that did not come back.
    pub(super) lost_headers: Vec<&'static str>,
}

/// Why nothing was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// The certificate is not trusted here.
    NotTrusted(Said),
    /// There was no answer.
    NotReached(Said),
}

impl From<OutgoingError> for Unseen {
    fn from(error: OutgoingError) -> Self {
        match error {
            OutgoingError::NotTrusted(why) => Unseen::NotTrusted(said(move |t| reason(&why, t))),
            OutgoingError::Expired => Unseen::NotTrusted(Said::of(Words::errors_why_expired)),
            other => Unseen::NotReached(said(move |t| other.in_words(t).trim_end_matches('.').to_owned())),
        }
    }
}

/// Returns where the name of an origin leads; `None` for numbers and for this machine itself.
pub(super) async fn names(origin: &Origin) -> Option<Result<Vec<IpAddr>, String>> {
    let host = origin.host.trim_matches(['[', ']']);
    if host.parse::<IpAddr>().is_ok() || is_loopback_name(host) {
        return None;
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 443))).await;
    Some(match found {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() { Err(NO_ADDRESS.to_owned()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => {
            let why = error.to_string();
            Err(why.strip_prefix("failed to lookup address information: ").unwrap_or(&why).to_owned())
        }
        Err(_) => Err(NO_ANSWER.to_owned()),
    })
}

/// Returns the port of an origin.
fn port_of(origin: &Origin) -> u16 {
    url::Url::parse(&origin.text).ok().and_then(|url| url.port_or_known_default()).unwrap_or(443)
}

impl Setup {
    /// Visits `path` of a public address; `None` without HTTPS.
    pub(super) async fn look_at(&self, origin: &Origin, path: &str) -> Option<Result<Seen, Unseen>> {
        if !origin.is_https {
            return None;
        }
        let (_, authority) = origin.text.split_once("://")?;
        let visit = Visit {
            name: origin.host.trim_matches(['[', ']']),
            port: port_of(origin),
            address: None,
            method: Method::GET,
            target: path,
            host: authority,
            headers: &[],
        };
        let visited = match tokio::time::timeout(PATIENCE, self.outgoing.visit(&visit)).await {
            Ok(visited) => visited,
            Err(_) => Err(OutgoingError::TooSlow),
        };
        Some(visited.map_err(Unseen::from).map(|visited| {
            Seen {
                status: visited.status,
                days_left: certificate::not_after(&visited.certificate)
                    .map(|end| end.since(self.sign_in.clock.now()).as_secs() / DAY.as_secs()),
                lost_headers: lost(&visited.headers),
            }
        }))
    }

    /// Visits an app as somebody who is not signed in and claims to be somebody; `None` without HTTPS.
    pub(super) async fn visit_app(&self, host: &str) -> Option<Result<StatusCode, Unseen>> {
        let origin = self.sign_in.site.origin();
        if !origin.is_https {
            return None;
        }
        // Apps are served where Doorward is.
        let port = port_of(&origin);
        let authority = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        let visit = Visit {
            name: host,
            port,
            address: None,
            method: Method::GET,
            target: "/",
            host: &authority,
            headers: &[
                ("accept", "text/html,*/*;q=0.8"),
                ("remote-user", "doorward-setup"),
                ("remote-groups", "doorward-setup"),
            ],
        };
        let visited = match tokio::time::timeout(PATIENCE, self.outgoing.visit(&visit)).await {
            Ok(visited) => visited,
            Err(_) => Err(OutgoingError::TooSlow),
        };
        Some(visited.map(|visited| visited.status).map_err(Unseen::from))
    }
}

/// Returns which of our headers are missing in an answer to a probe.
fn lost(headers: &HeaderMap) -> Vec<&'static str> {
    static POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let own = [
        (&header::CONTENT_SECURITY_POLICY, "Content-Security-Policy"),
        (&header::X_CONTENT_TYPE_OPTIONS, "X-Content-Type-Options"),
        (&header::REFERRER_POLICY, "Referrer-Policy"),
        (&POLICY, "Cross-Origin-Resource-Policy"),
        (&header::CACHE_CONTROL, "Cache-Control"),
    ];
    own.iter().filter(|(name, _)| !headers.contains_key(*name)).map(|(_, shown)| *shown).collect()
}
