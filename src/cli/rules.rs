//! `doorward rules`: the access rules as lines of text.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::access::rule_text;
use crate::access::{Access, ChangeError};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::http::Problem;

const LONGEST_FILE: u64 = 1024 * 1024;

/// What to do with access rules.
#[derive(Subcommand, Serialize, Deserialize)]
pub(super) enum RulesCommand {
    /// List the rules in order; the first that fits decides, and what fits none is refused.
    List,
    /// Replace all rules by the lines of a file.
    Apply {
        /// The file; `-` reads standard input.
        file: PathBuf,
        #[arg(skip)]
        #[serde(default)]
        text: String,
    },
    /// Add a rule at the end, such as: allow two_factor domain=app.home.example group=family
    Add {
        /// The rule, in words.
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Remove the rule with this number.
    Remove {
        /// The number that `list` shows.
        number: usize,
    },
}

impl RulesCommand {
    /// Reads the file, before the command travels.
    pub(super) fn with_input(mut self) -> Result<Self, Failure> {
        if let RulesCommand::Apply { file, text } = &mut self {
            let unreadable =
                |error: std::io::Error| Failure::new(format!("{} cannot be read: {error}", file.display()));
            if file.as_os_str() == "-" {
                std::io::stdin().lock().take(LONGEST_FILE).read_to_string(text).map_err(unreadable)?;
            } else {
                *text = std::fs::read_to_string(&file).map_err(unreadable)?;
            }
        }
        Ok(self)
    }
}

pub(super) async fn run(app: &App, command: RulesCommand) -> Result<String, Failure> {
    let access = &app.access;
    let event = Event::succeeded(Kind::RuleChanged).by_system("cli");
    let seen = access.list().version();
    match command {
        RulesCommand::List => return Ok(list(access)),
        RulesCommand::Apply { text, .. } => {
            let rules = rule_text::parse_file(&text)
                .map_err(|(line, error)| Failure::usage(format!("Line {line}: {error}")))?;
            access.replace_all(rules, seen, event).await.map_err(refused)?;
        }
        RulesCommand::Add { words } => {
            let rule =
                rule_text::parse_line(&words.join(" ")).map_err(|error| Failure::usage(error.to_string()))?;
            access.add(rule, None, seen, event).await.map_err(refused)?;
        }
        RulesCommand::Remove { number } => {
            access.remove(number, seen, event).await.map_err(refused)?;
        }
    }
    Ok(list(access))
}

fn refused(error: ChangeError) -> Failure {
    Failure::new(Problem::from(error).detail)
}

fn list(access: &Access) -> String {
    let mut text = String::new();
    for (index, rule) in access.list().rules().iter().enumerate() {
        let _ = writeln!(text, "{}\t{rule}", index + 1);
    }
    text.push_str("\tEverything else is refused.\n");
    text
}
