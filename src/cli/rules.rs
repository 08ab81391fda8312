//! `doorward rules`: the access rules as lines of text.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::Failure;
use super::input::{self, Input};
use crate::access::api::{CheckDto, check_rules, warnings};
use crate::access::rule_text;
use crate::access::{Access, ChangeError, Edit, Rule, Step};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::http::Problem;
use crate::sessions::Level;
use crate::words::Words;

/// The largest file of rules, in bytes.
const LONGEST_FILE: u64 = 3 * 1024 * 1024;

/// What to do with access rules.
#[derive(Subcommand)]
pub(super) enum RulesCommand {
    /// List the rules in order; the first that fits decides, and what fits none is refused.
    List,
    /// Tell which rule decides a request, and why each rule before it does not.
    Check(CheckOptions),
    /// Replace all rules by the lines of a file.
    Apply {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// A list that is worked on beside the one in force.
    Draft {
        #[command(subcommand)]
        command: DraftCommand,
    },
    /// Write the rules as a file that `apply` reads.
    Export {
        /// The file; standard output if left out.
        file: Option<PathBuf>,
    },
    /// Add a rule, such as: allow two_factor domain=app.home.example group=family
    Add {
        /// Put it before the rule with this number instead of at the end.
        #[arg(long)]
        before: Option<usize>,
        /// The rule, in words.
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Put another rule in the place of the one with this number.
    Change {
        /// The number that `list` shows.
        number: usize,
        /// The rule, in words.
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Move the rule with this number by one place.
    Move {
        /// The number that `list` shows.
        number: usize,
        /// Towards the start or the end of the list.
        direction: Direction,
    },
    /// Remove the rule with this number.
    Remove {
        /// The number that `list` shows.
        number: usize,
    },
}

/// Where a rule moves.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Direction {
    /// Towards the start.
    Up,
    /// Towards the end.
    Down,
}

/// What to do with the draft.
#[derive(Subcommand)]
pub(super) enum DraftCommand {
    /// Show the draft as `put` reads it.
    Show,
    /// Replace the draft, or open one, by the lines of a file.
    Put {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// Put the draft in force.
    Apply,
    /// Drop the draft.
    Discard,
}

/// The request that `check` is about.
#[derive(Args)]
pub(super) struct CheckOptions {
    /// The host of the app, such as photos.home.example.
    #[arg(long)]
    host: String,
    /// The path, with the query if there is one.
    #[arg(long, default_value = "/")]
    path: String,
    /// The request method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Who asks, by username; somebody who is not signed in if left out.
    #[arg(long)]
    user: Option<String>,
    /// The OAuth client that asks, alone or for that person.
    #[arg(long)]
    client: Option<String>,
    /// Where the request comes from.
    #[arg(long)]
    address: Option<IpAddr>,
    /// As if two factors had been proven.
    #[arg(long)]
    two_factor: bool,
    /// Ask the draft instead of the rules in force.
    #[arg(long)]
    draft: bool,
}

impl RulesCommand {
    /// Reads the file, before the command travels.
    pub(super) fn input(&self) -> Result<Input, Failure> {
        match self {
            RulesCommand::Apply { file } | RulesCommand::Draft { command: DraftCommand::Put { file } } => {
                Ok(Input::of(input::read_file(file, LONGEST_FILE)?))
            }
            _ => Ok(Input::default()),
        }
    }

    /// Returns the file that the answer goes to, if not to standard output.
    pub(super) fn output(&self) -> Option<&Path> {
        match self {
            RulesCommand::Export { file } => file.as_deref(),
            _ => None,
        }
    }
}

pub(super) async fn run(app: &App, command: RulesCommand, input: &Input) -> Result<String, Failure> {
    let access = &app.access;
    let event = Event::succeeded(Kind::RuleChanged).by_system("cli");
    let seen = access.list().version();
    match command {
        RulesCommand::List => {}
        RulesCommand::Check(options) => return check(app, options),
        RulesCommand::Export { .. } => return Ok(rule_text::write_file(access.list().rules())),
        RulesCommand::Draft { command } => return draft(app, command, input).await,
        RulesCommand::Apply { .. } => {
            access.replace_all(rules_of(input)?, seen, event).await.map_err(refused)?;
        }
        RulesCommand::Add { before, words } => {
            access.edit(Edit::Add(rule_of(&words)?, before), seen, event).await.map_err(refused)?;
        }
        RulesCommand::Change { number, words } => {
            access.edit(Edit::Change(number, rule_of(&words)?), seen, event).await.map_err(refused)?;
        }
        RulesCommand::Move { number, direction } => {
            let step = match direction {
                Direction::Up => Step::Up,
                Direction::Down => Step::Down,
            };
            access.edit(Edit::Move(number, step), seen, event).await.map_err(refused)?;
        }
        RulesCommand::Remove { number } => {
            access.edit(Edit::Remove(number), seen, event).await.map_err(refused)?;
        }
    }
    Ok(list(access))
}

fn rule_of(words: &[String]) -> Result<Rule, Failure> {
    let line = rule_text::join_words(words);
    rule_text::parse_line(&line).map_err(|error| Failure::usage(error.to_string()))
}

fn rules_of(input: &Input) -> Result<Vec<Rule>, Failure> {
    rule_text::parse_file(input.text()?)
        .map_err(|(line, error)| Failure::usage(format!("Line {line}: {error}")))
}

fn refused(error: ChangeError) -> Failure {
    Failure::new(Problem::from(error).detail.english())
}

async fn draft(app: &App, command: DraftCommand, input: &Input) -> Result<String, Failure> {
    let access = &app.access;
    let seen = access.draft_state();
    let event = |kind| Event::succeeded(kind).by_system("cli");
    match command {
        DraftCommand::Show => {}
        DraftCommand::Put { .. } => {
            access.put_draft(rules_of(input)?, seen, event(Kind::RuleDrafted)).await.map_err(refused)?;
        }
        DraftCommand::Apply => {
            let event = event(Kind::RuleChanged).detail("change", "applied");
            access.apply_draft(seen.version, event).await.map_err(refused)?;
            return Ok(list(access));
        }
        DraftCommand::Discard => {
            let event = event(Kind::RuleDrafted).detail("change", "discarded");
            access.discard_draft(seen.version, event).await.map_err(refused)?;
            return Ok("The draft is dropped.\n".to_owned());
        }
    }
    match access.draft() {
        Some(draft) => Ok(rule_text::write_file(draft.rules())),
        None => Err(refused(ChangeError::NoDraft)),
    }
}

fn list(access: &Access) -> String {
    let mut text = String::new();
    let list = access.list();
    for (index, rule) in list.rules().iter().enumerate() {
        let _ = writeln!(text, "{}\t{rule}", index + 1);
    }
    text.push_str("\tEverything else is refused.\n");
    for warning in warnings(access, list.rules(), Words::ENGLISH) {
        let _ = writeln!(text, "Note: {warning}");
    }
    if access.draft().is_some() {
        text.push_str("Note: There is a draft that is not in force yet.\n");
    }
    text
}

fn check(app: &App, options: CheckOptions) -> Result<String, Failure> {
    let user = match &options.user {
        Some(name) => app.accounts.resolve(name).map_err(|error| Failure::new(error.to_string()))?,
        None => None,
    };
    let CheckOptions { host, path, method, user: username, client, address, two_factor, draft } = options;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let level = Some(if two_factor { Level::TwoFactor } else { Level::OneFactor });
    let question = CheckDto {
        url: format!("https://{host}{slash}{path}"),
        method: Some(method),
        username,
        client,
        level,
        address,
        draft,
    };
    let answer = check_rules(&app.access, &question, user.as_ref(), Words::ENGLISH).map_err(|problem| {
        let detail = problem.fields.first().map(|(_, sentence)| sentence);
        Failure::usage(detail.unwrap_or(&problem.detail).english())
    })?;
    let mut text = String::new();
    for line in answer.trail {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{}", answer.sentence);
    Ok(text)
}
