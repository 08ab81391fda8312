//! What is told of forward-auth requests: complaints in the log, refused people in the audit log. Both are bounded, so
//! that neither a stranger nor a page that reloads itself can fill them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::inquiry::{Inquiry, Refusal};
use crate::accounts::User;
use crate::audit::{Audit, Event, Kind};
use crate::http::Request;
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;

/// How long a complaint of one kind is not repeated in the log, in milliseconds.
const QUIET: u64 = 60_000;

/// Lets one complaint of each kind into the log every minute, so that a stranger cannot fill it.
#[derive(Debug, Default)]
pub(in crate::access) struct Complaints([AtomicU64; Refusal::KINDS]);

impl Complaints {
    pub(super) fn is_due(&self, refusal: Refusal, now: Timestamp) -> bool {
        let Some(last) = self.0.get(refusal.kind()) else { return true };
        let (now, then) = (now.as_millis(), last.load(Ordering::Relaxed));
        // Due as well when the clock was set back.
        let is_due = then == 0 || now < then || now >= then.saturating_add(QUIET);
        is_due && last.compare_exchange(then, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn note(&self, refusal: Refusal, request: &Request) {
        if self.is_due(refusal, request.now) {
            tracing::warn!(peer = %request.client.peer, "forward-auth request refused: {refusal}");
        }
    }
}

/// The most refusals of one person that are written down in a minute, over all hosts.
const MOST_OF_A_PERSON: u32 = 30;
/// How many people and hosts are kept in mind.
const KEPT: usize = 1024;

/// Whom an app refused lately, so that a page that reloads itself leaves one event a minute and not a thousand. Who asks
/// chooses the host, so the events of one person are counted as well (AUD-06).
pub(in crate::access) struct Denials {
    hosts: quick_cache::sync::Cache<(UserId, Box<str>), Timestamp>,
    people: quick_cache::sync::Cache<UserId, Arc<Mutex<Minute>>>,
}

/// What was written down of one person since the minute began.
#[derive(Debug, Default)]
struct Minute {
    began: Timestamp,
    written: u32,
    left_out: u64,
}

impl Minute {
    /// Takes one place in the minute, and returns how many found none since the last one that did; `None` if it is full.
    fn take(&mut self, now: Timestamp) -> Option<u64> {
        if !is_recent(self.began, now) {
            (self.began, self.written) = (now, 0);
        }
        if self.written >= MOST_OF_A_PERSON {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Tells whether less than [`QUIET`] passed since; not when the clock was set back.
fn is_recent(then: Timestamp, now: Timestamp) -> bool {
    now >= then && now.since(then).as_millis() < u128::from(QUIET)
}

impl Default for Denials {
    fn default() -> Self {
        Denials { hosts: quick_cache::sync::Cache::new(KEPT), people: quick_cache::sync::Cache::new(KEPT) }
    }
}

impl Denials {
    pub(super) fn note(&self, audit: &Audit, user: &User, inquiry: &Inquiry<'_>, request: &Request) {
        let key = (user.id, Box::from(&*inquiry.host));
        if self.hosts.get(&key).is_some_and(|then| is_recent(then, request.now)) {
            return;
        }
        let minute = self.people.get_or_insert_with(&user.id, || Ok::<_, Infallible>(Arc::default()));
        let Ok(minute) = minute;
        let Some(left_out) = minute.lock().take(request.now) else { return };
        self.hosts.insert(key, request.now);
        let event = Event::refused(Kind::AccessDenied).by(user.id, &user.username).on(&inquiry.host);
        let event = event.detail("method", inquiry.method.unwrap_or("unknown")).request(request.id);
        let event = if left_out == 0 { event } else { event.detail("left_out", left_out) };
        // The address of a proxy would stand there for that of a person.
        audit.note(match request.client.forwarded {
            Some(address) => event.from(address),
            None => event,
        });
    }
}
