//! What arrives here of the doctor's own requests: the questions of the proxy about them, and what of them reaches an
//! app, where the app is Doorward itself. Each run has a token that nobody else knows and that is worth nothing: it
//! opens no door. In memory, bounded, and gone after the run.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use data_encoding::BASE32_NOPAD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use parking_lot::Mutex;

use crate::access::Dialect;
use crate::access::forward_auth::{Question, Refusal, read};
use crate::http::{Reply, Request, RequestHeaders};
use crate::kernel::random::Random;

/// Runs at once; more are refused.
const MOST_RUNS: usize = 4;
/// Arrivals that are kept of one run.
const MOST_ARRIVALS: usize = 64;
/// The path of a doctor's request begins so; the token follows.
const PATH: &str = "/doorward-probe-";
/// Carries the token where a proxy loses the path. Deliberately a header that means nothing to anybody.
pub(super) static PROBE: HeaderName = HeaderName::from_static("doorward-probe");
/// The cookie that an answer to a doctor's request sets, to see whether it gets through. It is deleted at once.
pub(super) const COOKIE: &str = "doorward_probe";

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The client's headers that Doorward must be told of, in the order of the flags in [`Asked::told`].
pub(super) const TOLD: [&HeaderName; 4] =
    [&header::COOKIE, &header::AUTHORIZATION, &header::ACCEPT, &X_REQUESTED_WITH];

/// A question of a proxy about a request of the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) dialect: Dialect,
    /// What it asked about, or why that is not understood.
    pub(super) about: Result<About, Refusal>,
    /// The visitor, by the headers of the proxy.
    pub(super) client: IpAddr,
    pub(super) peer: IpAddr,
    pub(super) is_trusted_peer: bool,
    pub(super) names_visitor: bool,
    /// Which of [`TOLD`] came along.
    pub(super) told: [bool; 4],
    /// How it was answered.
    pub(super) status: StatusCode,
}

/// An address that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) is_secure: bool,
    pub(super) host: String,
    pub(super) url: String,
    pub(super) target: String,
    pub(super) method: String,
}

/// What arrived of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The proxy asked.
    Question(Asked),
    /// It came as far as the app.
    App(RequestHeaders),
}

struct Run {
    token: String,
    arrivals: Vec<(usize, Arrival)>,
}

/// All runs that are under way.
#[derive(Default)]
pub(super) struct Probes {
    count: AtomicUsize,
    runs: Mutex<Vec<Run>>,
}

impl Probes {
    /// Begins a run and returns its token; `None` if there are too many.
    pub(super) fn begin(&self, random: &Random) -> Option<String> {
        let token = BASE32_NOPAD.encode(&random.bytes::<20>()).to_ascii_lowercase();
        let mut runs = self.runs.lock();
        if runs.len() >= MOST_RUNS {
            return None;
        }
        runs.push(Run { token: token.clone(), arrivals: Vec::new() });
        self.count.store(runs.len(), Ordering::Release);
        Some(token)
    }

    /// Ends a run.
    pub(super) fn end(&self, token: &str) {
        let mut runs = self.runs.lock();
        runs.retain(|run| run.token != token);
        self.count.store(runs.len(), Ordering::Release);
    }

    /// Returns what arrived of the request with this number.
    pub(super) fn arrivals(&self, token: &str, number: usize) -> Vec<Arrival> {
        let runs = self.runs.lock();
        let of_run = runs.iter().find(|run| run.token == token).into_iter().flat_map(|run| &run.arrivals);
        of_run.filter(|(of, _)| *of == number).map(|(_, arrival)| arrival.clone()).collect()
    }

    /// Notes the question of a proxy and how it was answered. Costs nothing while no run is under way.
    pub(super) fn note_question(&self, dialect: Dialect, request: &Request, reply: &mut Reply) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let question = Question::of(request);
        let headers = &request.headers;
        let texts = [
            Some(question.target),
            headers.text(&X_ORIGINAL_URL),
            headers.text(&X_FORWARDED_URI),
            headers.text(&PROBE),
        ];
        let arrival = || {
            let is_asked_by_us = request.client.is_trusted_peer || request.client.peer.is_loopback();
            let about = match read(dialect, question) {
                Ok(inquiry) if is_asked_by_us => Ok(About {
                    is_secure: inquiry.is_secure,
                    url: inquiry.url(),
                    host: inquiry.host.into_owned(),
                    target: inquiry.target.into_owned(),
                    method: inquiry.method.unwrap_or("an unknown method for").to_owned(),
                }),
                Err(refusal) if is_asked_by_us => Err(refusal),
                _ => Err(Refusal::UntrustedPeer),
            };
            Arrival::Question(Asked {
                dialect,
                about,
                client: request.client.ip,
                peer: request.client.peer,
                is_trusted_peer: request.client.is_trusted_peer,
                names_visitor: headers.contains_key(&X_FORWARDED_FOR),
                told: TOLD.map(|name| headers.get(name).is_some_and(|value| !value.is_empty())),
                status: reply.status,
            })
        };
        let is_ours = self.note(texts.into_iter().flatten(), arrival);
        if is_ours && reply.status != StatusCode::OK {
            let cookie = HeaderValue::from_static("doorward_probe=; Path=/; Max-Age=0; Secure; HttpOnly");
            reply.headers.append(header::SET_COOKIE, cookie);
        }
    }

    /// Notes a request that the proxy passed on to the app, where the app is Doorward; `None` if it is none of ours.
    pub(super) fn note_app(&self, request: &Request) -> Option<Reply> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let is_ours = self.note([request.path()].into_iter(), || Arrival::App(request.headers.clone()));
        // Nothing of what was seen goes back this way.
        is_ours.then(|| Reply::empty(StatusCode::NO_CONTENT))
    }

    fn note<'a>(&self, mut texts: impl Iterator<Item = &'a str>, arrival: impl FnOnce() -> Arrival) -> bool {
        let mut runs = self.runs.lock();
        let found = texts.find_map(|text| {
            let (_, rest) = text.split_once(PATH)?;
            let (token, number) = rest.split_once('/')?;
            let digits = number.split(|letter: char| !letter.is_ascii_digit()).next()?;
            let index = runs.iter().position(|run| run.token == token)?;
            Some((index, digits.parse::<usize>().ok()?))
        });
        let Some((run, number)) = found.and_then(|(index, number)| Some((runs.get_mut(index)?, number)))
        else {
            return false;
        };
        if run.arrivals.len() < MOST_ARRIVALS {
            run.arrivals.push((number, arrival()));
        }
        true
    }
}

/// Returns the path of a request of the doctor.
pub(super) fn path(token: &str, number: usize) -> String {
    format!("{PATH}{token}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_bounded_and_end() {
        let (probes, random) = (Probes::default(), Random::os());
        let tokens: Vec<String> = (0..MOST_RUNS).map(|_| probes.begin(&random).unwrap()).collect();
        assert_eq!(probes.begin(&random), None);
        let first = tokens.first().unwrap();
        let own = format!("https://photos.home.example{}/x?y", path(first, 7));
        let seen = || Arrival::App(RequestHeaders::default());
        assert!(probes.note([own.as_str()].into_iter(), seen));
        assert!(!probes.note(
            ["/doorward-probe-unknown/7", "/", "/doorward-probe-", "doorward-probe-x"].into_iter(),
            seen
        ));
        assert_eq!(probes.arrivals(first, 7).len(), 1);
        assert_eq!(probes.arrivals(first, 8).len(), 0);
        for _ in 0..2 * MOST_ARRIVALS {
            probes.note([own.as_str()].into_iter(), seen);
        }
        assert_eq!(probes.arrivals(first, 7).len(), MOST_ARRIVALS);
        probes.end(first);
        assert!(!probes.note([own.as_str()].into_iter(), seen));
        assert!(probes.begin(&random).is_some());
    }
}
