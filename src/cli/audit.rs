//! `doorward audit`: the audit log, as lines to read and as a file.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::input::Input;
use super::{Failure, control};
use crate::admin::audit::{Format, Question};
use crate::app::App;
use crate::audit::{AuditRow, Event, Kind, LARGEST_PAGE};
use crate::config::Settings;
use crate::http::Problem;

/// How long a part of an export gets, in bytes, before the next one is asked for.
const LONGEST_PART: usize = 8 * 1024 * 1024;

/// What to do with the audit log.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Print events, newest first.
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
    },
    /// Write every event that fits to a file. The export is written down.
    Export {
        /// The new file; `-` writes to standard output.
        file: PathBuf,
        /// How it is written.
        #[arg(long, default_value = "jsonl", value_parser = ["jsonl", "csv"])]
        format: String,
        #[command(flatten)]
        filter: FilterArgs,
    },
}

/// Which events.
#[derive(Args)]
pub(super) struct FilterArgs {
    /// Events that this user did, or that were done to them.
    #[arg(long, value_name = "USERNAME", default_value = "", hide_default_value = true)]
    who: String,
    /// Kinds that begin so, such as sign_in.
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: String,
    /// Events on this app (its id) or host.
    #[arg(long, default_value = "", hide_default_value = true)]
    app: String,
    /// succeeded, refused or failed.
    #[arg(long, default_value = "", hide_default_value = true)]
    outcome: String,
    /// The first day or moment, such as 2026-11-12 or 2026-11-12T14:00:00Z.
    #[arg(long, value_name = "DAY", default_value = "", hide_default_value = true)]
    from: String,
    /// The last day, or the moment before which.
    #[arg(long, value_name = "DAY", default_value = "", hide_default_value = true)]
    to: String,
}

impl FilterArgs {
    fn question(self) -> Question {
        let FilterArgs { who, kind, app, outcome, from, to } = self;
        Question { who, kind, app, outcome, from, to }
    }
}

/// A part of an export, as it comes back.
#[derive(Serialize, Deserialize)]
struct Part {
    text: String,
    next_cursor: Option<String>,
}

fn refused(problem: &Problem) -> Failure {
    Failure::new(problem.detail.to_string())
}

/// Writes an export to `file`, part by part: the command travels with the place where the next one begins.
pub(super) fn export(
    file: &Path,
    words: &[String],
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let unwritable =
        |error: std::io::Error| Failure::new(format!("{} cannot be written: {error}", file.display()));
    let mut target: Box<dyn Write + '_> = if file == Path::new("-") {
        Box::new(out)
    } else {
        use std::os::unix::fs::OpenOptionsExt as _;
        let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        Box::new(std::io::BufWriter::new(open.map_err(unwritable)?))
    };
    let mut input = Input::default();
    loop {
        let mut answer = Vec::new();
        control::run(control::Order::Command { words: words.to_vec(), input }, settings, &mut answer)?;
        let part: Part = serde_json::from_slice(&answer).map_err(|error| Failure::new(error.to_string()))?;
        target.write_all(part.text.as_bytes()).map_err(unwritable)?;
        match part.next_cursor {
            Some(next) => input = Input::of(next),
            None => return target.flush().map_err(unwritable),
        }
    }
}

/// Carries the command out where the data is; of an export, one part.
pub(super) async fn run(app: &App, command: AuditCommand, input: &Input) -> Result<String, Failure> {
    match command {
        AuditCommand::List { filter, limit } => {
            let filter = filter.question().filter().map_err(|problem| refused(&problem))?;
            let limit = usize::from(limit).min(LARGEST_PAGE);
            let page = app.audit.page(&filter, None, limit).await;
            let page = page.map_err(|error| Failure::new(error.to_string()))?;
            Ok(page.rows.iter().map(line).collect())
        }
        AuditCommand::Export { filter, format, .. } => {
            let format = Format::parse(&format).unwrap_or_default();
            let event = Event::succeeded(Kind::AuditExported).by_system("cli");
            let cursor = input.text.clone();
            let export = app.admin.export_events(&filter.question(), format, cursor, event).await;
            let mut export = export.map_err(|problem| refused(&problem))?;
            let mut text = Vec::new();
            while text.len() < LONGEST_PART
                && let Some(lines) = export.read_on().map_err(|problem| refused(&problem))?
            {
                text.extend(lines);
                // A long export gives other requests their turn.
                tokio::task::yield_now().await;
            }
            let part =
                Part { text: String::from_utf8_lossy(&text).into_owned(), next_cursor: export.next_cursor };
            serde_json::to_string(&part).map_err(|error| Failure::new(error.to_string()))
        }
    }
}

fn line(row: &AuditRow) -> String {
    let mut line = format!("{}  {:<9}  {:<28}  {}", row.at, row.outcome.as_str(), row.kind, row.actor);
    // Writing to a String cannot fail.
    for on in row.user.iter().chain(&row.target) {
        let _ = write!(line, "  on {on}");
    }
    if let Some(place) = &row.place {
        let _ = write!(line, "  from {place}");
    }
    for (key, value) in &row.details {
        let _ = write!(line, "  {key}={value}");
    }
    line.push('\n');
    line
}
