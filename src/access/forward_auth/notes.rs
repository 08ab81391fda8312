//! What is told of forward-auth requests: complaints in the log, refused people in the audit log. Both are bounded, so
//! that neither a stranger nor a page that reloads itself can fill them.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Whom an app refused lately, so that a page that reloads itself leaves one event a minute and not a thousand.
pub(in crate::access) struct Denials(quick_cache::sync::Cache<(UserId, Box<str>), Timestamp>);

impl Default for Denials {
    fn default() -> Self {
        Denials(quick_cache::sync::Cache::new(1024))
    }
}

impl Denials {
    pub(super) fn note(&self, audit: &Audit, user: &User, inquiry: &Inquiry<'_>, request: &Request) {
        let key = (user.id, Box::from(&*inquiry.host));
        let is_recent = self.0.get(&key).is_some_and(|then| {
            request.now >= then && request.now.since(then).as_millis() < u128::from(QUIET)
        });
        if is_recent {
            return;
        }
        self.0.insert(key, request.now);
        let event = Event::refused(Kind::AccessDenied).by(user.id, &user.username).on(&inquiry.host);
        let event = event.detail("method", inquiry.method.unwrap_or("unknown")).request(request.id);
        // The address of a proxy would stand there for that of a person.
        audit.note(match request.client.forwarded {
            Some(address) => event.from(address),
            None => event,
        });
    }
}
