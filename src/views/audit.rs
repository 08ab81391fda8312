//! Administration: the audit log.

use askama::Template;

use super::chart::Chart;
use super::frame::Frame;
use super::parts::{Badge, Choice, Fact, Pager, When};
use super::people::FilterLink;

/// One audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// When it happened.
    pub when: When,
    /// Sequence number in the log.
    pub seq: u64,
    /// Who; `—` if nobody.
    pub actor: String,
    /// The events of whoever did it; empty if nobody is known.
    pub actor_url: String,
    /// In words: "Signed in."
    pub action: String,
    /// On whom or what; may be empty.
    pub target: String,
    /// Outcome color and word: `Ok`/"ok", `Danger`/"refused".
    pub outcome: Badge,
    /// Shortened address; may be empty.
    pub place: String,
    /// More facts, such as the request id and the user agent.
    pub facts: Vec<Fact>,
}

/// `GET /admin/audit`; the filter form sends GET `/admin/audit?who=…&kind=…&app=…&outcome=…&from=…&to=…`.
#[derive(Debug, Template)]
#[template(path = "admin/audit.html")]
pub struct Audit {
    /// Common parts.
    pub frame: Frame,
    /// Filters that are asked for often.
    pub filters: Vec<FilterLink>,
    /// Filter: person.
    pub who: String,
    /// Filter: kinds of event, "all" first.
    pub kinds: Vec<Choice>,
    /// Filter: apps and hosts, "all" first.
    pub apps: Vec<Choice>,
    /// Filter: outcomes, "all" first.
    pub outcomes: Vec<Choice>,
    /// Filter: first day, `YYYY-MM-DD`; may be empty.
    pub from: String,
    /// Filter: last day; may be empty.
    pub to: String,
    /// The events of one day by hour.
    pub chart: Chart,
    /// Events, newest first.
    pub rows: Vec<AuditRow>,
    /// Older pages, and the newest.
    pub pager: Pager,
    /// Such as "Addresses are shortened and dropped after 30 days."
    pub retention: String,
    /// Address of the JSON Lines export with the same filters.
    pub jsonl_url: String,
    /// Address of the CSV export with the same filters.
    pub csv_url: String,
}
