//! The certificate of the public address, as a visitor sees it: when it ends, or why it is not believed. It is with the
//! reverse proxy, so the server opens its own address now and then and looks.

use std::time::Duration;

use http::Method;
use tokio::sync::watch;
use url::Url;

use super::System;
use crate::http::outgoing::{OutgoingError, Visit, certificate};
use crate::kernel::time::Timestamp;
use crate::site::Origin;

/// How often a certificate that was seen is looked at again.
const EVERY: Duration = Duration::from_secs(12 * 3600);
/// How soon after a look that saw nothing.
const SOON: Duration = Duration::from_secs(1800);
/// How often somebody asks whether it is time.
const TICK: Duration = Duration::from_secs(60);

/// What a look at the public address saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// There is none: the address has no HTTPS.
    None,
    /// It is believed, and ends then, if that can be read.
    Good(Option<Timestamp>),
    /// It has ended.
    Ended,
    /// This machine does not believe it.
    NotBelieved(String),
    /// The address was not reached.
    NotReached(String),
}

impl Certificate {
    /// Returns how many days it is still good for, if that is known.
    pub fn days_left(&self, now: Timestamp) -> Option<u64> {
        match self {
            Certificate::Good(Some(ends)) => Some(ends.since(now).as_secs() / 86_400),
            _ => None,
        }
    }

    fn of_error(error: OutgoingError) -> Self {
        match error {
            OutgoingError::Expired => Certificate::Ended,
            OutgoingError::NotTrusted(why) => Certificate::NotBelieved(why),
            other => Certificate::NotReached(other.to_string().trim_end_matches('.').to_owned()),
        }
    }
}

/// The last look.
#[derive(Clone, Debug)]
pub(super) struct Look {
    at: Timestamp,
    origin: String,
    seen: Certificate,
}

impl Look {
    /// Tells whether it is time for another one.
    fn is_over(&self, now: Timestamp, origin: &str) -> bool {
        let holds = match self.seen {
            Certificate::Good(_) | Certificate::None => EVERY,
            _ => SOON,
        };
        // A clock that went back makes it over too.
        self.origin != origin || self.at > now || now.since(self.at) >= holds
    }
}

impl System {
    /// Returns what the last look at the present public address saw.
    pub fn certificate(&self) -> Option<Certificate> {
        let origin = self.site.origin();
        if !origin.is_https {
            return Some(Certificate::None);
        }
        let look = self.0.certificate.lock().clone()?;
        (look.origin == origin.text).then_some(look.seen)
    }

    /// Looks now.
    pub async fn look_at_certificate(&self) -> Certificate {
        let origin = self.site.origin();
        let seen = if origin.is_https { self.visit(&origin).await } else { Certificate::None };
        let look = Look { at: self.clock.now(), origin: origin.text, seen: seen.clone() };
        *self.0.certificate.lock() = Some(look);
        seen
    }

    async fn visit(&self, origin: &Origin) -> Certificate {
        let Ok(url) = Url::parse(&origin.text) else { return Certificate::None };
        let authority = origin.text.split_once("://").map_or("", |(_, authority)| authority);
        let visit = Visit {
            name: origin.host.trim_matches(['[', ']']),
            port: url.port_or_known_default().unwrap_or(443),
            address: None,
            method: Method::GET,
            target: "/healthz",
            host: authority,
            headers: &[],
        };
        match self.0.parts.outgoing.visit(&visit).await {
            Ok(visited) => Certificate::Good(certificate::not_after(&visited.certificate)),
            Err(error) => Certificate::of_error(error),
        }
    }

    /// Looks at the certificate whenever it is time, until the server stops.
    pub async fn watch_certificate(self, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
                () = tokio::time::sleep(TICK) => {}
            }
            let last = self.0.certificate.lock().clone();
            let origin = self.site.origin().text;
            if last.is_none_or(|look| look.is_over(self.clock.now(), &origin)) {
                self.look_at_certificate().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_holds_for_a_while() {
        let now = Timestamp::from_secs(1_800_000_000);
        let look = |seen| Look { at: now, origin: "https://a.example".to_owned(), seen };
        let good = look(Certificate::Good(None));
        let hours = |count: u64| now.plus(Duration::from_secs(count * 3600));
        assert!(!good.is_over(hours(11), "https://a.example"));
        assert!(good.is_over(hours(12), "https://a.example"));
        assert!(good.is_over(now, "https://b.example"));
        assert!(good.is_over(now.minus(TICK), "https://a.example"));
        let unseen = look(Certificate::NotReached("no".to_owned()));
        assert!(unseen.is_over(hours(1), "https://a.example"));
        assert!(!unseen.is_over(now, "https://a.example"));
    }

    #[test]
    fn days_are_whole() {
        let now = Timestamp::from_secs(1_800_000_000);
        let ends = |seconds| Certificate::Good(Some(now.plus(Duration::from_secs(seconds)))).days_left(now);
        assert_eq!((ends(86_399), ends(86_400), ends(200_000)), (Some(0), Some(1), Some(2)));
        assert_eq!(Certificate::Ended.days_left(now), None);
    }
}
