//! Reading the log: pages, newest first, and counts by hour.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::records::{self, AuditRecord};
use super::{Actor, Audit, HOURS, Kind, Outcome};
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::store::StoreError;
use crate::words::Words;

/// The largest number of rows of one page (INP-07).
pub const LARGEST_PAGE: usize = 200;

/// The largest number of events that one question looks at; a page that stops there says where to go on.
const MOST_VISITED: usize = 10_000;

/// How many events are read at a time.
const CHUNK: usize = 500;

const HOUR: Duration = Duration::from_secs(3600);

/// Which events are wanted. The default wants all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Kinds whose name starts with this, such as `sign_in.`.
    pub kind_prefix: Option<String>,
    /// Events that this user did, or that were done to this user.
    pub user: Option<UserId>,
    /// Events that a user of this name did, or that were done to one; also after the user was deleted.
    pub name: Option<String>,
    /// Events on this: an app by its id, a host, a rule.
    pub target: Option<String>,
    /// Events that ended so.
    pub outcome: Option<Outcome>,
    /// Events at this moment or later.
    pub from: Option<Timestamp>,
    /// Events before this moment.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Wants the events that this user did, or that were done to this user.
    pub fn of_user(user: UserId) -> Self {
        Filter { user: Some(user), ..Filter::default() }
    }

    fn accepts(&self, record: &AuditRecord) -> bool {
        let is_of_user = |user: UserId| {
            matches!(record.actor, Actor::User(id, _) if id == user)
                || record.user.as_ref().is_some_and(|(id, _)| *id == user)
        };
        self.kind_prefix.as_ref().is_none_or(|prefix| record.kind.starts_with(prefix.as_str()))
            && self.user.is_none_or(is_of_user)
            && self.name.as_ref().is_none_or(|name| is_named(record, name))
            && self.target.as_ref().is_none_or(|target| record.target.as_ref() == Some(target))
            && self.outcome.is_none_or(|outcome| outcome == record.outcome)
    }
}

fn is_named(record: &AuditRecord, name: &str) -> bool {
    matches!(&record.actor, Actor::User(_, actor) if actor.as_str() == name)
        || record.user.as_ref().is_some_and(|(_, user)| user.as_str() == name)
}

/// One event as people and the API see it.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRow {
    /// When it happened.
    #[serde(serialize_with = "as_rfc3339")]
    pub at: Timestamp,
    /// Grows with every event, across restarts; gaps mean nothing.
    pub sequence: u64,
    /// The name of the kind.
    pub kind: String,
    /// The sentence of the kind; empty if this version does not know the kind.
    pub sentence: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The name of who did it; `nobody`, or a part of the system in parentheses.
    pub actor: String,
    /// The user who did it.
    pub actor_id: Option<UserId>,
    /// The name of the user it was done to.
    pub user: Option<String>,
    /// The user it was done to.
    pub user_id: Option<UserId>,
    /// Anything else it was done to.
    pub target: Option<String>,
    /// Where it came from.
    pub place: Option<String>,
    /// The request it was part of.
    pub request: Option<String>,
    /// Keys and values.
    pub details: Vec<(String, String)>,
}

fn as_rfc3339<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339())
}

impl AuditRow {
    /// Returns the sentence of the kind in a language, or the name of a kind that this version does not know.
    pub fn said(&self, words: Words) -> String {
        Kind::parse(&self.kind).map_or_else(|| self.kind.clone(), |kind| kind.said(words).to_owned())
    }

    /// Returns the id of the app it is about, if it is about one.
    pub fn app(&self) -> Option<&str> {
        let is_about_app = ["app.", "client."].iter().any(|area| self.kind.starts_with(area));
        self.target.as_deref().filter(|_| is_about_app)
    }

    fn new(at: Timestamp, sequence: u64, record: AuditRecord) -> Self {
        let actor_id = match &record.actor {
            Actor::User(id, _) => Some(*id),
            Actor::Nobody | Actor::System(_) => None,
        };
        AuditRow {
            at,
            sequence,
            sentence: Kind::parse(&record.kind).map_or("", Kind::sentence),
            kind: record.kind,
            outcome: record.outcome,
            actor: record.actor.to_string(),
            actor_id,
            user_id: record.user.as_ref().map(|(id, _)| *id),
            user: record.user.map(|(_, name)| name.to_string()),
            target: record.target,
            place: record.place,
            request: record.request.map(|request| request.to_string()),
            details: record.details,
        }
    }
}

/// A page of events, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// The events.
    pub rows: Vec<AuditRow>,
    /// Where the next, older page begins; `None` at the end. A page may be short and still have a next one.
    pub next_cursor: Option<String>,
}

/// The events of one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Hour {
    /// When the hour began.
    #[serde(serialize_with = "as_rfc3339")]
    pub start: Timestamp,
    /// How many succeeded.
    pub succeeded: u32,
    /// How many were refused or failed.
    pub refused: u32,
}

impl Audit {
    /// Returns the newest events that `filter` accepts and that are older than the cursor `before`.
    /// `limit` is brought into 1..=[`LARGEST_PAGE`]; a cursor that we did not make means the newest page. Looks at up to
    /// 10,000 events, which may take a tenth of a second on a small machine, so other requests get their turns meanwhile.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn page(
        &self,
        filter: &Filter,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut search = Search::new(self, filter, before, limit);
        while search.go_on()? && search.visited < MOST_VISITED {
            tokio::task::yield_now().await;
        }
        Ok(search.page())
    }

    /// Returns a page like [`Audit::page`], but looks at no more than 500 events, for who asks again and again.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn part(&self, filter: &Filter, before: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let mut search = Search::new(self, filter, before, limit);
        search.go_on()?;
        Ok(search.page())
    }

    /// Returns the events that `filter` accepts, counted by hour: the last [`HOURS`] hours before its end, oldest first.
    /// `None` if there are more than 10,000 events to look at. Other requests get their turns meanwhile.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn hours(&self, filter: &Filter) -> Result<Option<Vec<Hour>>, StoreError> {
        let end = filter.until.map_or(self.shared.clock.now(), |until| until.minus(Duration::from_millis(1)));
        let last = end.as_secs() / HOUR.as_secs();
        let first = last.saturating_sub(HOURS as u64 - 1);
        let mut hours: Vec<Hour> = (first..=last)
            .map(|hour| Hour { start: Timestamp::from_secs(hour * HOUR.as_secs()), succeeded: 0, refused: 0 })
            .collect();
        let mut before = filter.until.map(|until| records::row(until, 0));
        let mut visited = 0;
        while visited < MOST_VISITED {
            let chunk = self.read_back(before, CHUNK)?;
            let is_last = chunk.len() < CHUNK;
            for (row, at, _, record) in chunk {
                before = Some(row);
                visited += 1;
                let index = (at.as_secs() / HOUR.as_secs()).checked_sub(first);
                let Some(index) = index.filter(|_| filter.from.is_none_or(|from| at >= from)) else {
                    return Ok(Some(hours));
                };
                let hour = usize::try_from(index).ok().and_then(|index| hours.get_mut(index));
                if let (Some(hour), true) = (hour, filter.accepts(&record)) {
                    match record.outcome {
                        Outcome::Succeeded => hour.succeeded += 1,
                        Outcome::Refused | Outcome::Failed => hour.refused += 1,
                    }
                }
            }
            if is_last {
                return Ok(Some(hours));
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// Calls `visit` with each event from the newest on, until it returns false or `most` were visited.
    pub(super) fn visit_back(
        &self,
        most: usize,
        mut visit: impl FnMut(Timestamp, &AuditRecord) -> bool,
    ) -> Result<(), StoreError> {
        let (mut before, mut visited) = (None, 0);
        while visited < most {
            let chunk = self.read_back(before, CHUNK)?;
            let is_last = chunk.len() < CHUNK;
            for (row, at, _, record) in chunk {
                before = Some(row);
                visited += 1;
                if !visit(at, &record) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the newest events that are older than the row `before`.
    fn read_back(&self, before: Option<[u8; 16]>, limit: usize) -> Result<Vec<Found>, StoreError> {
        let before = before.as_ref().map(<[u8; 16]>::as_slice);
        let mut found = Vec::new();
        for (row, record) in self.shared.store.scan::<AuditRecord>(&[], before, limit)? {
            let damaged = StoreError::Corrupt { table: "audit" };
            let (at, sequence) = records::split_row(&row).ok_or(damaged.clone())?;
            found.push((row.try_into().map_err(|_| damaged)?, at, sequence, record.value));
        }
        Ok(found)
    }
}

/// A search on its way from the newest event to the oldest.
struct Search<'a> {
    audit: &'a Audit,
    filter: &'a Filter,
    limit: usize,
    /// The row of the event that was looked at last, or where the search begins.
    before: Option<[u8; 16]>,
    visited: usize,
    rows: Vec<AuditRow>,
    is_over: bool,
}

impl<'a> Search<'a> {
    fn new(audit: &'a Audit, filter: &'a Filter, before: Option<&str>, limit: usize) -> Self {
        let end = filter.until.map(|until| records::row(until, 0));
        let before = match (before.and_then(parse_cursor), end) {
            // The older of the two.
            (Some(cursor), Some(end)) => Some(cursor.max(end)),
            (cursor, end) => cursor.or(end),
        };
        let limit = limit.clamp(1, LARGEST_PAGE);
        Search { audit, filter, limit, before, visited: 0, rows: Vec::new(), is_over: false }
    }

    /// Looks at the next events. `false` once the page is full or no event is left.
    fn go_on(&mut self) -> Result<bool, StoreError> {
        let chunk = self.audit.read_back(self.before, CHUNK)?;
        self.is_over = chunk.len() < CHUNK;
        for (row, at, sequence, record) in chunk {
            if self.filter.from.is_some_and(|from| at < from) {
                self.is_over = true;
                break;
            }
            self.before = Some(row);
            self.visited += 1;
            if self.filter.accepts(&record) {
                self.rows.push(AuditRow::new(at, sequence, record));
            }
            if self.rows.len() == self.limit {
                self.is_over = false;
                return Ok(false);
            }
        }
        Ok(!self.is_over)
    }

    fn page(self) -> Page {
        let next = self.before.filter(|_| !self.is_over);
        Page { rows: self.rows, next_cursor: next.map(|row| BASE64URL_NOPAD.encode(&row)) }
    }
}

type Found = ([u8; 16], Timestamp, u64, AuditRecord);

fn parse_cursor(text: &str) -> Option<[u8; 16]> {
    if text.len() != 22 {
        return None;
    }
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}
