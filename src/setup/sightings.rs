//! What was seen to arrive while the wizard waits for it: a probe of the public address by the visitor's own browser,
//! and the questions of a reverse proxy about the first app. In memory and bounded.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{StatusCode, header};
use parking_lot::Mutex;

use super::echo::Told;
use crate::access::forward_auth::{Question, read};
use crate::access::{Dialect, Refusal};
use crate::crypto::mac::sha256;
use crate::http::{Reply, Request};
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// Probes that are waited for at once; the oldest makes room (RES-03).
const MOST_PROBES: usize = 32;
/// How long a probe is waited for.
const PROBE_LIFETIME: Duration = Duration::from_secs(1800);

/// A request that came in by a probe's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) host: Option<String>,
    pub(super) is_https: bool,
    pub(super) client: IpAddr,
    pub(super) peer: IpAddr,
    pub(super) is_trusted_peer: bool,
    /// It carried headers that only proxies write.
    pub(super) is_forwarded: bool,
    /// One of them says who the visitor is.
    pub(super) names_visitor: bool,
}

struct Probe {
    nonce: String,
    origin: String,
    expires_at: Duration,
    arrival: Option<Arrival>,
}

/// Addresses that a browser was asked to try.
#[derive(Default)]
pub(super) struct Probes(Mutex<VecDeque<Probe>>);

impl Probes {
    /// Returns the nonce under which `origin` is tried, and what arrived by it so far.
    pub(super) fn prepare(&self, origin: &str, random: &Random, now: Duration) -> (String, Option<Arrival>) {
        let mut probes = self.0.lock();
        probes.retain(|probe| probe.expires_at > now);
        if let Some(probe) = probes.iter().find(|probe| probe.origin == origin) {
            return (probe.nonce.clone(), probe.arrival.clone());
        }
        if probes.len() >= MOST_PROBES {
            probes.pop_front();
        }
        let nonce = BASE64URL_NOPAD.encode(&random.bytes::<16>());
        probes.push_back(Probe {
            nonce: nonce.clone(),
            origin: origin.to_owned(),
            expires_at: now + PROBE_LIFETIME,
            arrival: None,
        });
        (nonce, None)
    }

    /// Tells whether anybody waits for this nonce.
    pub(super) fn is_awaited(&self, nonce: &str, now: Duration) -> bool {
        self.0.lock().iter().any(|probe| probe.nonce == nonce && probe.expires_at > now)
    }

    /// Tells whether a request came in by this nonce.
    pub(super) fn has_arrived(&self, nonce: &str) -> bool {
        self.0.lock().iter().any(|probe| probe.nonce == nonce && probe.arrival.is_some())
    }

    /// Notes that a request came in by `nonce`. Unknown ones are forgotten at once.
    pub(super) fn arrived(&self, nonce: &str, request: &Request) {
        let mut probes = self.0.lock();
        let Some(probe) = probes.iter_mut().find(|probe| probe.nonce == nonce) else { return };
        let client = &request.client;
        probe.arrival = Some(Arrival {
            host: client.host.clone(),
            is_https: client.is_https,
            client: client.ip,
            peer: client.peer,
            is_trusted_peer: client.is_trusted_peer,
            is_forwarded: super::is_forwarded(request),
            names_visitor: super::names_visitor(request),
        });
    }

    /// Tells whether a probe came through a proxy at `peer` that is not trusted.
    pub(super) fn came_through(&self, peer: IpAddr) -> bool {
        let is_it =
            |arrival: &Arrival| arrival.is_forwarded && !arrival.is_trusted_peer && arrival.peer == peer;
        self.0.lock().iter().any(|probe| probe.arrival.as_ref().is_some_and(is_it))
    }

    /// Forgets what arrived: it would look different now.
    pub(super) fn forget_arrivals(&self) {
        for probe in self.0.lock().iter_mut() {
            probe.arrival = None;
        }
    }
}

/// What a reverse proxy has asked about the first app so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// When a sound question about the app came.
    pub(super) at: Option<Timestamp>,
    /// How the last question of somebody who is not signed in was answered, and whether that answer leads to the
    /// sign-in page.
    pub(super) anonymous: Option<(StatusCode, bool)>,
    /// Somebody who is signed in was let in.
    pub(super) let_in: bool,
    /// The last question that was no good, as a sentence.
    pub(super) refusal: Option<Refusal>,
    /// Another host that was asked about.
    pub(super) other_host: Option<String>,
    /// The last sound question came through a trusted proxy and named its visitor.
    pub(super) names_visitor: bool,
    /// The host that the sign-in page would lead the last stranger back to.
    pub(super) back: Option<String>,
    /// What the test app was told, if it was opened.
    pub(super) told: Option<Told>,
}

impl Asked {
    /// Returns a word that changes with every finding that follows from this, and not with every question.
    pub(super) fn state(&self) -> String {
        let Asked { at, anonymous, let_in, refusal, other_host, names_visitor, back, told } = self;
        let state = format!(
            "{} {anonymous:?} {let_in} {refusal:?} {other_host:?} {names_visitor} {back:?} {told:?}",
            at.is_some()
        );
        BASE64URL_NOPAD.encode(sha256(state.as_bytes()).get(..8).unwrap_or_default())
    }
}

/// Returns the host of the address that a redirect to the sign-in page would lead back to.
fn back_of(location: &str) -> Option<String> {
    let url = url::Url::parse(location).ok()?;
    let (_, target) = url.query_pairs().find(|(name, _)| name == "rd")?;
    Some(url::Url::parse(&target).ok()?.host_str()?.to_owned())
}

/// The app that is watched, if any.
#[derive(Default)]
pub(super) struct Watch(Mutex<Option<(String, Asked)>>);

impl Watch {
    /// Watches for questions about `host`; a change of the host starts anew.
    pub(super) fn start(&self, host: &str) {
        let mut watched = self.0.lock();
        if watched.as_ref().is_none_or(|(old, _)| old != host) {
            *watched = Some((host.to_owned(), Asked::default()));
        }
    }

    /// Returns what was asked about `host` so far.
    pub(super) fn seen(&self, host: &str) -> Asked {
        match self.0.lock().as_ref() {
            Some((watched, asked)) if watched == host => asked.clone(),
            _ => Asked::default(),
        }
    }

    /// Returns the app that is watched.
    pub(super) fn host(&self) -> Option<String> {
        self.0.lock().as_ref().map(|(host, _)| host.clone())
    }

    /// Notes what the test app at `host` was told.
    pub(super) fn app_told(&self, host: &str, note: impl FnOnce(&mut Told)) {
        let mut watched = self.0.lock();
        if let Some((_, asked)) = watched.as_mut().filter(|(watched, _)| watched == host) {
            note(asked.told.get_or_insert_default());
        }
    }

    /// Notes a question of a proxy and how it was answered. `portal` is where people sign in.
    pub(super) fn note(&self, dialect: Dialect, request: &Request, reply: &Reply, portal: &str) {
        let mut watched = self.0.lock();
        let Some((host, asked)) = watched.as_mut() else { return };
        match read(dialect, Question::of(request)) {
            Err(refusal) => asked.refusal = Some(refusal),
            Ok(inquiry) if *inquiry.host != **host => asked.other_host = Some(inquiry.host.into_owned()),
            Ok(_) if !request.client.is_trusted_peer && !request.client.peer.is_loopback() => {
                asked.refusal = Some(Refusal::UntrustedPeer);
            }
            Ok(inquiry) if !inquiry.is_secure && is_refusal(reply) => {
                asked.refusal = Some(Refusal::PlainHttp);
            }
            Ok(_) => {
                asked.at = Some(request.now);
                let names_visitor = request.headers.contains_key("x-forwarded-for");
                asked.names_visitor = names_visitor && request.client.is_trusted_peer;
                let has_user = reply.header("remote-user").is_some_and(|user| !user.is_empty());
                if has_user {
                    asked.let_in = true;
                } else {
                    let location = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
                    let leads_home = location.is_some_and(|location| location.starts_with(portal));
                    asked.back = location.and_then(back_of);
                    asked.anonymous = Some((reply.status, leads_home));
                }
            }
        }
    }
}

/// Tells whether a question was turned away as such, rather than decided by the rules.
fn is_refusal(reply: &Reply) -> bool {
    matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) && reply.body.is_empty()
}
