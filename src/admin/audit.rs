//! Questions to the audit log, as a query string asks them, and its export.

use std::time::Duration;

use super::Admin;
use crate::accounts::wording::refused as refused_text;
use crate::audit::{Audit, Event, Filter, Kind, LARGEST_PAGE, Outcome, csv};
use crate::http::{Problem, Request};
use crate::kernel::text::Username;
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::Visit;
use crate::words::{Said, Words};

const DAY: Duration = Duration::from_secs(86_400);

/// A question to the log, as it was typed.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// A username.
    pub who: String,
    /// The beginning of a kind, such as `sign_in.`.
    pub kind: String,
    /// What it was done to: an app by its id, a host.
    pub app: String,
    /// An outcome.
    pub outcome: String,
    /// The first day or moment.
    pub from: String,
    /// The last day, or the moment before which.
    pub to: String,
}

impl Question {
    /// Reads `who`, `kind`, `app`, `outcome`, `from` and `to` of the query.
    pub fn of(request: &Request) -> Self {
        let text = |name| request.query(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        Question {
            who: text("who"),
            kind: text("kind"),
            app: text("app"),
            outcome: text("outcome"),
            from: text("from"),
            to: text("to"),
        }
    }

    /// Returns the filter.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn filter(&self) -> Result<Filter, Problem> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let who =
            given(&self.who).map(|who| Username::parse(&who)).transpose().map_err(refused_text("who"))?;
        let outcome = given(&self.outcome)
            .map(|outcome| {
                Outcome::parse(&outcome).ok_or_else(|| refused("outcome", Words::audit_bad_outcome))
            })
            .transpose()?;
        let day = Words::audit_bad_moment;
        let moment = |field, text: &str| {
            given(text).map(|text| parse_moment(&text).ok_or_else(|| refused(field, day))).transpose()
        };
        let until = moment("to", &self.to)?.map(|(at, is_day)| if is_day { at.plus(DAY) } else { at });
        Ok(Filter {
            kind_prefix: given(&self.kind),
            target: given(&self.app),
            user: None,
            name: who.map(String::from),
            outcome,
            from: moment("from", &self.from)?.map(|(at, _)| at),
            until,
        })
    }

    /// Returns the question as a query string, empty for the one that wants everything.
    pub fn to_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("who", &self.who),
            ("kind", &self.kind),
            ("app", &self.app),
            ("outcome", &self.outcome),
            ("from", &self.from),
            ("to", &self.to),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

fn refused(field: &'static str, sentence: fn(Words) -> &'static str) -> Problem {
    Problem::unprocessable(field, "invalid_value", Said::of(sentence))
}

/// Parses `YYYY-MM-DD` (true) or `YYYY-MM-DDTHH:MM:SSZ` (false, RFC 3339), both UTC.
fn parse_moment(text: &str) -> Option<(Timestamp, bool)> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time.strip_suffix('Z')?)),
        None => (text, None),
    };
    let number = |text: &str, digits: usize| -> Option<u64> {
        let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().ok() } else { None }
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let (hour, minute, second) = match time {
        None => (0, 0, 0),
        Some(time) => {
            let mut parts = time.splitn(3, ':');
            (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?)
        }
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let at = Timestamp::of_civil_date(year, month, day)?;
    Some((at.plus(Duration::from_secs(hour * 3600 + minute * 60 + second)), time.is_none()))
}

/// How an export is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON Lines: one object a line.
    #[default]
    Jsonl,
    /// Comma-separated values (RFC 4180), for spreadsheets.
    Csv,
}

impl Format {
    /// Both.
    pub const ALL: [Format; 2] = [Format::Jsonl, Format::Csv];

    /// Returns the word that the query and the command line take, which is the ending of the file too.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
        }
    }

    /// Parses the word.
    pub fn parse(text: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// Reads `format` of the query; JSON Lines without one.
    ///
    /// # Errors
    /// 422.
    pub fn of(request: &Request) -> Result<Format, Problem> {
        match request.query("format") {
            None => Ok(Format::Jsonl),
            Some(text) => Format::parse(&text).ok_or_else(|| refused("format", Words::audit_bad_format)),
        }
    }
}

/// An export under way, newest first. It keeps no more than a page at a time, however long the log is.
pub struct Export {
    /// How it is written.
    pub format: Format,
    /// Where it goes on, if there is more.
    pub next_cursor: Option<String>,
    audit: Audit,
    filter: Filter,
    is_over: bool,
    head: &'static str,
}

impl Export {
    /// Returns the next events as lines, none once all were told. There may be no line and still more to come.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn read_on(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        if self.is_over {
            return Ok(None);
        }
        let mut lines = std::mem::take(&mut self.head).as_bytes().to_vec();
        let page = self.audit.part(&self.filter, self.next_cursor.as_deref(), LARGEST_PAGE)?;
        for row in &page.rows {
            match self.format {
                Format::Csv => csv::write(row, &mut lines),
                Format::Jsonl => {
                    serde_json::to_writer(&mut lines, row)
                        .map_err(|error| Problem::internal(error.to_string()))?;
                    lines.push(b'\n');
                }
            }
        }
        self.is_over = page.next_cursor.is_none();
        self.next_cursor = page.next_cursor;
        Ok(Some(lines))
    }
}

impl Admin {
    /// Exports the events that a question wants. The export is in the log before it is answered. Needs a fresh proof
    /// (ADM-01).
    ///
    /// # Errors
    /// `step_up_required`, a question that cannot be understood.
    pub async fn export_audit(
        &self,
        actor: &Principal,
        question: &Question,
        format: Format,
        visit: &Visit<'_>,
    ) -> Result<Export, Problem> {
        self.require_fresh(actor)?;
        self.export_events(question, format, None, self.event(Kind::AuditExported, actor, visit)).await
    }

    /// The same for somebody who has shown that they may: `event` tells who. It goes on at `cursor`, where there is one.
    ///
    /// # Errors
    /// A question that cannot be understood.
    pub async fn export_events(
        &self,
        question: &Question,
        format: Format,
        cursor: Option<String>,
        event: Event,
    ) -> Result<Export, Problem> {
        let filter = question.filter()?;
        let mut batch = self.store.batch();
        let event = event.detail("query", question.to_query()).detail("format", format.as_str());
        self.audit.write(&mut batch, event);
        self.store.commit(batch).await?;
        let has_head = format == Format::Csv && cursor.is_none();
        Ok(Export {
            format,
            next_cursor: cursor,
            audit: self.audit.clone(),
            filter,
            is_over: false,
            head: if has_head { csv::HEADER } else { "" },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_days_or_whole_seconds() {
        let at = |text: &str| parse_moment(text).map(|(at, is_day)| (at.to_rfc3339(), is_day));
        assert_eq!(at("2026-11-12"), Some(("2026-11-12T00:00:00Z".to_owned(), true)));
        assert_eq!(at("2024-02-29T23:59:59Z"), Some(("2024-02-29T23:59:59Z".to_owned(), false)));
        assert_eq!(at("1970-01-01"), Some(("1970-01-01T00:00:00Z".to_owned(), true)));
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
            "2026-1-1",
            "2026-01-01T25:00:00Z",
            "2026-01-01T10:00:00",
            "2026-01-01T10:00:00+01:00",
            "+026-01-01",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_question_comes_back_as_its_query() {
        let question = Question { who: "ada".into(), kind: "sign_in.".into(), ..Question::default() };
        assert_eq!(question.to_query(), "who=ada&kind=sign_in.");
        assert_eq!(Question::default().to_query(), "");
        let filter = Question { to: "2026-11-12".into(), ..question }.filter().unwrap();
        assert_eq!(filter.until.unwrap().to_rfc3339(), "2026-11-13T00:00:00Z");
        assert_eq!(filter.name.as_deref(), Some("ada"));
    }
}
