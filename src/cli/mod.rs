//! The command line: one file a subcommand.
//!
//! Commands that change or read live data (`user`, `group`, `rules`, `domain`, `app`, `keys`, `audit`, `config set`) are
//! functions over the application. If a server runs over the same data directory they travel to it, as they were typed,
//! through a socket that only its user can open; else the command opens the store itself ([`control`]). Files and
//! standard input are read before ([`input`]), and files are written by the command, not by the server.

mod app;
mod as_owner;
mod audit;
mod config;
mod control;
mod doctor;
mod domain;
mod generate;
mod group;
mod handed_out;
mod health;
mod import;
mod input;
mod keys;
mod proxy_snippet;
mod restore;
mod rules;
pub mod serve;
mod setup;
pub mod store;
mod user;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use self::input::Input;
use crate::app::{App, Front};
use crate::config::{Settings, Sources, parse_assignment};
use crate::http::Problem;

/// Wrong use of the command line or a wrong configuration (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
/// The most words of a command that travels: parsing takes several times their room.
const MOST_WORDS: usize = 4096;
/// The most bytes of one of them. What stands for an option that there is none of is compared with all there are.
const LONGEST_WORD: usize = 16 * 1024;

/// The sign-in appliance for homelabs, families and small teams.
#[derive(Parser)]
#[command(name = "doorward", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every subcommand takes.
#[derive(Clone, Args)]
pub struct Global {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// A setting, such as accounts.registration=open; may be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Show the token that claims a new installation.
    SetupToken(setup::SetupTokenArgs),
    /// Set up without a browser.
    Setup(setup::SetupArgs),
    /// Manage people.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Manage groups.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Manage access rules.
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Manage the root domains of the apps behind forward-auth.
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    /// Manage apps that sign people in with OpenID Connect.
    #[command(subcommand)]
    App(app::AppCommand),
    /// Read and export the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Manage signing keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Move here from Authelia, Pocket ID or tinyauth.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Export, import and check the store.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Check and show the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the configuration for a reverse proxy in front of an app.
    ProxySnippet(proxy_snippet::ProxySnippetArgs),
    /// Check this installation and say what to mend.
    Doctor(doctor::DoctorArgs),
    /// Ask the running server whether it is ready.
    Health,
    /// Write man page or shell completions.
    #[command(subcommand)]
    Generate(generate::GenerateCommand),
}

/// Why a command failed: a sentence for standard error, and the exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// Something did not work: exit code 1.
    pub fn new(text: impl Into<String>) -> Self {
        Failure { code: 1, text: text.into() }
    }

    /// Wrong use: exit code 64.
    pub fn usage(text: impl Into<String>) -> Self {
        Failure { code: USAGE, text: text.into() }
    }
}

/// Says why something was refused, in the words of the API and the pages.
fn told(problem: Problem) -> Failure {
    let mut lines = vec![problem.detail.to_string()];
    lines.extend(problem.fields.iter().map(|(_, sentence)| sentence.to_string()));
    lines.dedup();
    Failure::new(lines.join("\n"))
}

impl Global {
    fn settings(&self, more: Vec<(String, String, String)>) -> Result<Settings, Failure> {
        let mut flags = Vec::new();
        if let Some(data) = &self.data {
            flags.push(("--data".to_owned(), "data.directory".to_owned(), data.clone()));
        }
        for text in &self.set {
            let (key, value) = parse_assignment(text).map_err(Failure::usage)?;
            flags.push((format!("--set {key}"), key, value));
        }
        flags.extend(more);
        let sources = Sources::of_process(self.config.as_deref(), flags)
            .map_err(|error| Failure::usage(error.to_string()))?;
        Settings::load(&sources).map_err(|error| Failure::usage(error.to_string()))
    }
}

/// Runs the command line and returns the exit code: 0, 1 for a failure, 2 for findings, 64 for wrong use.
pub fn run(arguments: impl IntoIterator<Item = OsString>, front: Front) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let is_refusal = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if is_refusal { USAGE } else { 0 });
        }
    };
    // What is no text now is the name of a file, and files are opened here alone.
    let words = without_settings(arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()));
    let mut out = std::io::stdout().lock();
    let result = match cli.command {
        Some(command) => dispatch(command, words, &cli.global, front, &mut out),
        None => {
            let _ = writeln!(out, "{}", Cli::command().render_help());
            return ExitCode::from(USAGE);
        }
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "doorward: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(
    command: Command,
    words: Vec<String>,
    global: &Global,
    front: Front,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let done = ExitCode::SUCCESS;
    let settings = || global.settings(Vec::new());
    match command {
        Command::Serve(args) => return serve::run(&args, global, front),
        Command::SetupToken(args) => setup::token(&args, &settings()?, out),
        Command::Setup(args) => setup::run(&args, &settings()?, out),
        Command::User(command) => travel(words, command.input()?, global, out),
        Command::Rules(command) => match command.output() {
            None => travel(words, command.input()?, global, out),
            Some(file) => {
                let mut text = Vec::new();
                travel(words, Input::default(), global, &mut text)?;
                let unwritable =
                    |error| Failure::new(format!("{} cannot be written: {error}", file.display()));
                std::fs::write(file, text).map_err(unwritable)
            }
        },
        Command::App(command) => match command.answer_here() {
            Some(text) => out.write_all(text?.as_bytes()).map_err(|error| Failure::new(error.to_string())),
            None => travel(words, command.input()?, global, out),
        },
        Command::Keys(command) => travel(words, command.input()?, global, out),
        Command::Audit(audit::AuditCommand::Export { file, .. }) => {
            audit::export(&file, &words, &settings()?, out)
        }
        Command::Group(_)
        | Command::Domain(_)
        | Command::Audit(_)
        | Command::Config(config::ConfigCommand::Set { .. }) => travel(words, Input::default(), global, out),
        Command::Import(command) => import::run(command, settings, out),
        Command::Store(command) => handed_out::run(command, &settings()?, out),
        Command::Config(command) => config::run(command, settings, out),
        Command::ProxySnippet(args) => proxy_snippet::run(&args, &settings()?, out),
        Command::Doctor(args) => return doctor::run(&args, &settings()?, out),
        Command::Health => health::run(&settings()?, out),
        Command::Generate(command) => generate::run(&command, &mut Cli::command(), out),
    }
    .map(|()| done)
}

/// Takes out `--set KEY=VALUE`: a server has settings of its own, and a value may be a secret.
fn without_settings(words: impl Iterator<Item = String>) -> Vec<String> {
    let (mut words, mut kept) = (words, Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--" => {
                kept.push(word);
                kept.extend(words);
                break;
            }
            "--set" => drop(words.next()),
            _ if word.starts_with("--set=") => {}
            _ => kept.push(word),
        }
    }
    kept
}

/// Has a command carried out where the data is.
fn travel(words: Vec<String>, input: Input, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
    control::run(control::Order::Command { words, input }, &global.settings(Vec::new())?, out)
}

/// Carries out a command that has travelled. Options of all commands and files among its words are the business of whoever
/// typed them: none of them is looked at here.
async fn carry_out(app: &App, words: Vec<String>, input: &Input) -> Result<String, Failure> {
    if words.len() > MOST_WORDS {
        return Err(Failure::usage(format!("This command has more than {MOST_WORDS} words.")));
    }
    if words.iter().any(|word| word.len() > LONGEST_WORD) {
        let longest = LONGEST_WORD / 1024;
        return Err(Failure::usage(format!(
            "One of the words of this command is longer than {longest} KiB."
        )));
    }
    let words = std::iter::once("doorward".to_owned()).chain(words);
    let arguments: Vec<OsString> = words.map(OsString::from).collect();
    let command = Cli::try_parse_from(&arguments).ok().and_then(|cli| cli.command);
    match command {
        Some(Command::User(command)) => user::run(app, command, input).await,
        Some(Command::Group(command)) => group::run(app, command).await,
        Some(Command::Rules(command)) => rules::run(app, command, input).await,
        Some(Command::Domain(command)) => domain::run(app, command).await,
        Some(Command::App(command)) => app::run(app, command, input).await,
        Some(Command::Keys(command)) => keys::run(app, command, input).await,
        Some(Command::Audit(command)) => audit::run(app, command, input).await,
        Some(Command::Config(config::ConfigCommand::Set { key, value })) => {
            config::set(app, &key, &value).await
        }
        _ => Err(control::other_version()),
    }
}

#[cfg(test)]
mod tests {
    use super::without_settings;

    #[test]
    fn settings_do_not_travel() {
        for (typed, kept) in [
            ("--set a=b user list", "user list"),
            ("user --set=a=b list --set c=--data", "user list"),
            ("--data d user add ada --set", "--data d user add ada"),
            ("user add -- --set a", "user add -- --set a"),
            ("app change x --settle y", "app change x --settle y"),
        ] {
            assert_eq!(without_settings(typed.split(' ').map(str::to_owned)).join(" "), kept, "{typed}");
        }
    }
}
