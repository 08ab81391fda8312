//! The audit log: who did what to whom, when, from where and how it ended (AUD-01).
//!
//! An event of a change is part of the commit that makes the change, so neither exists without the other
//! ([`Audit::write`]). An event without a change (a failed sign-in, a refusal) is queued and written within a second,
//! many in one commit ([`Audit::note`]); when more come than the queue holds, they are counted in one event (AUD-06).

pub mod csv;
mod event;
mod kinds;
mod pseudonym;
mod reading;
mod records;
mod tally;
#[cfg(test)]
mod tests;

pub use event::{Actor, Event, Outcome};
pub use kinds::Kind;
pub use pseudonym::{Pseudonyms, place_in_words};
pub use reading::{AuditRow, Filter, Hour, LARGEST_PAGE, Page};
pub use records::AuditRecord;
pub use tally::HOURS;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use records::SequenceRecord;
use tally::Tally;

use crate::kernel::random::Random;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{Batch, CommitError, Store, StoreError, Table};

/// How long events are kept unless configured otherwise (PRI-02).
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// The largest number of events that wait for the next flush.
const LONGEST_QUEUE: usize = 1024;

/// The largest number of events in one commit.
const LARGEST_COMMIT: usize = 256;

/// How many sequence numbers one reservation covers; it is renewed after a quarter of them.
const RESERVATION: u64 = 1024;

/// How often queued events are written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The most events that are read at the start, to count those of the last day.
const MOST_COUNTED_AT_START: usize = 20_000;

/// How often old events are deleted, in flushes.
const PURGE_EVERY: u32 = 600;

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    clock: SharedClock,
    retention: Duration,
    pseudonyms: Pseudonyms,
    tally: Tally,
    next_sequence: AtomicU64,
    queue: Mutex<VecDeque<(Timestamp, Event)>>,
    dropped: AtomicU64,
}

impl Audit {
    /// Opens the log of `store`. Events and address pseudonyms are kept for `retention`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(
        store: Store,
        clock: SharedClock,
        random: Random,
        retention: Duration,
    ) -> Result<Audit, StoreError> {
        let reserved =
            store.get::<SequenceRecord>(SequenceRecord::ROW)?.map_or(0, |record| record.value.reserved);
        let newest = store.engine().scan(&Table::AUDIT.key(&[]), None, 1)?;
        let newest = newest
            .first()
            .and_then(|(key, _)| Table::AUDIT.row(key))
            .and_then(records::split_row)
            .map_or(0, |(_, sequence)| sequence.saturating_add(1));
        let pseudonyms = Pseudonyms::open(&store, clock.clone(), random)?;
        let audit = Audit {
            shared: Arc::new(Shared {
                store,
                clock,
                retention,
                pseudonyms,
                tally: Tally::new(),
                // The first event after a start finds a multiple of a quarter, and so renews the reservation.
                next_sequence: AtomicU64::new(reserved.max(newest).next_multiple_of(RESERVATION / 4)),
                queue: Mutex::new(VecDeque::new()),
                dropped: AtomicU64::new(0),
            }),
        };
        audit.count_last_day();
        Ok(audit)
    }

    /// Counts what is in the log of the last day, from the newest on. A damaged event ends it: that keeps nobody from
    /// starting.
    fn count_last_day(&self) {
        let day = Duration::from_secs(HOURS as u64 * 3600);
        let now = self.shared.clock.now();
        let start = now.minus(day);
        let counted = self.visit_back(MOST_COUNTED_AT_START, |at, record| {
            if let Some(kind) = Kind::parse(&record.kind) {
                self.shared.tally.count(now, at, kind, record.outcome);
            }
            at >= start
        });
        if let Err(error) = counted {
            tracing::warn!(%error, "the events of the last day could not be counted");
        }
    }

    /// Returns the last [`HOURS`] hours, the running one last, with the counts of the kinds and outcomes (true: it was
    /// done) that are wanted. Reads nothing.
    pub fn last_day(&self, is_wanted: impl Fn(Kind, bool) -> bool) -> Vec<Hour> {
        self.shared.tally.hours(self.shared.clock.now(), is_wanted)
    }

    /// Adds `event` to `batch`: the change and its event become one commit. The event is logged once it is on disk.
    pub fn write(&self, batch: &mut Batch, event: Event) {
        self.write_at(batch, self.shared.clock.now(), event);
    }

    /// Queues an event that has no change of its own. It is on disk within a second or two; when the queue is full,
    /// the event is only counted.
    pub fn note(&self, event: Event) {
        let now = self.shared.clock.now();
        let mut queue = self.shared.queue.lock();
        if queue.len() < LONGEST_QUEUE {
            queue.push_back((now, event));
        } else {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes everything that is queued. Events that could not be written stay queued, as far as there is room.
    ///
    /// # Errors
    /// If the store takes no writes.
    pub async fn flush(&self) -> Result<(), CommitError> {
        loop {
            let events = self.take_queued();
            let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
            if events.is_empty() && dropped == 0 {
                return Ok(());
            }
            let mut batch = self.shared.store.batch();
            for (at, event) in &events {
                self.write_at(&mut batch, *at, event.clone());
            }
            if dropped > 0 {
                let event = Event::new(Kind::EventsDropped, Outcome::Failed)
                    .by_system("server")
                    .detail("count", dropped);
                self.write(&mut batch, event);
            }
            if let Err(error) = self.shared.store.commit(batch).await {
                self.shared.dropped.fetch_add(dropped, Ordering::Relaxed);
                self.requeue(events);
                return Err(error);
            }
        }
    }

    /// Flushes every second and deletes old events every ten minutes, until `shutdown` turns true; then flushes once
    /// more.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut flushes: u32 = 0;
        loop {
            let is_over = tokio::select! {
                biased;
                // An error means that the sender is gone, which is a shutdown too.
                _ = shutdown.wait_for(|is_over| *is_over) => true,
                () = tokio::time::sleep(FLUSH_EVERY) => false,
            };
            if let Err(error) = self.flush().await {
                tracing::error!(%error, "audit events could not be written; they stay queued");
            }
            if is_over {
                return;
            }
            if flushes.is_multiple_of(PURGE_EVERY)
                && let Err(error) = self.purge(self.shared.clock.now()).await
            {
                tracing::error!(%error, "old audit events could not be deleted");
            }
            flushes = flushes.wrapping_add(1);
        }
    }

    /// Deletes events and pseudonym keys that are older than the retention. Returns how many events were deleted.
    ///
    /// # Errors
    /// If the store cannot be read or takes no writes.
    pub async fn purge(&self, now: Timestamp) -> Result<usize, CommitError> {
        let horizon = Table::AUDIT.key(&records::row(now.minus(self.shared.retention), 0));
        let mut deleted = 0;
        loop {
            // Keys alone decide, so that a damaged event goes like any other.
            let older =
                self.shared.store.engine().scan(&Table::AUDIT.key(&[]), Some(&horizon), LARGEST_COMMIT)?;
            let mut batch = self.shared.store.batch();
            let mut found = 0;
            for row in older.iter().filter_map(|(key, _)| Table::AUDIT.row(key)) {
                batch.remove::<AuditRecord>(row);
                found += 1;
            }
            let is_last = found < LARGEST_COMMIT;
            let keys = if is_last {
                self.shared.pseudonyms.remove_old(&mut batch, now, self.shared.retention)
            } else {
                0
            };
            if found + keys > 0 {
                self.shared.store.commit(batch).await?;
            }
            deleted += found;
            if is_last {
                return Ok(deleted);
            }
        }
    }

    /// Returns what may be stored of an address; see [`Pseudonyms::place`].
    pub fn place(&self, address: IpAddr) -> String {
        self.shared.pseudonyms.place(address)
    }

    /// Returns how long events are kept.
    pub fn retention(&self) -> Duration {
        self.shared.retention
    }

    /// Returns the maker of address pseudonyms.
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.shared.pseudonyms
    }

    /// Returns how many events wait for the next flush, for metrics.
    pub fn queued(&self) -> usize {
        self.shared.queue.lock().len()
    }

    fn take_queued(&self) -> Vec<(Timestamp, Event)> {
        let mut queue = self.shared.queue.lock();
        let count = queue.len().min(LARGEST_COMMIT);
        queue.drain(..count).collect()
    }

    fn requeue(&self, events: Vec<(Timestamp, Event)>) {
        let mut queue = self.shared.queue.lock();
        for event in events.into_iter().rev() {
            if queue.len() < LONGEST_QUEUE {
                queue.push_front(event);
            } else {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn write_at(&self, batch: &mut Batch, at: Timestamp, event: Event) {
        let sequence = self.shared.next_sequence.fetch_add(1, Ordering::Relaxed);
        if sequence.is_multiple_of(RESERVATION / 4) {
            let reserved = sequence.saturating_add(RESERVATION);
            batch.put(SequenceRecord::ROW, &SequenceRecord { reserved });
        }
        let place = event.address.map(|address| self.shared.pseudonyms.place_in(batch, address, at));
        let record = AuditRecord {
            kind: event.kind.name().to_owned(),
            outcome: event.outcome,
            actor: event.actor,
            user: event.user,
            target: event.target,
            place,
            request: event.request,
            details: event.details,
        };
        batch.put(&records::row(at, sequence), &record);
        let (shared, kind) = (self.shared.clone(), event.kind);
        batch.after(move || {
            shared.tally.count(shared.clock.now(), at, kind, record.outcome);
            log(&record);
        });
    }
}

/// Writes the event to the log of the process. No more goes there than into the store.
fn log(record: &AuditRecord) {
    let user = record.user.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default();
    let request = record.request.map(|request| request.to_string()).unwrap_or_default();
    let details: Vec<String> = record.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    tracing::info!(
        target: "audit",
        kind = record.kind,
        outcome = record.outcome.as_str(),
        actor = %record.actor,
        user,
        on = record.target.as_deref().unwrap_or_default(),
        place = record.place.as_deref().unwrap_or_default(),
        request,
        details = details.join(" "),
        "audit"
    );
}
