//! `doorward config`: check, show, list, and change what is kept in the store.

use std::io::Write;

use clap::Subcommand;

use super::Failure;
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::config::{Settings, documentation_table};

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Read the configuration and say what is wrong with it.
    Check,
    /// Show the settings in effect. Secrets are hidden.
    Show {
        /// Say where each value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// List every setting with its default, as Markdown.
    List,
    /// Change what is kept in the store: instance.name to a name, or checklist to hidden, which puts the list of open
    /// steps away.
    Set {
        /// The key.
        key: String,
        /// The new value.
        value: String,
    },
}

/// Carries a change out where the data is.
pub(super) async fn set(app: &App, key: &str, value: &str) -> Result<String, Failure> {
    let event = Event::succeeded(Kind::SettingChanged).by_system("cli");
    let changed = match key {
        "instance.name" => app.system.rename_instance(value, event).await,
        "checklist" if value == "hidden" => app.setup.hide_checklist(event).await,
        "checklist" => return Err(Failure::usage("The checklist can be put away: its value is hidden.")),
        other => {
            let text = match crate::config::find(other) {
                Some(key) => {
                    format!("{other} is set in the configuration file, by {} or by --set.", key.variable())
                }
                None => format!("There is no setting {other}."),
            };
            return Err(Failure::usage(text));
        }
    };
    changed.map_err(|problem| Failure::new(problem.detail.to_string()))?;
    Ok(format!("{key} is set.\n"))
}

/// Runs `command` and writes to `out`. `load` reads the settings; `List` works without them, so that a wrong
/// configuration does not keep anyone from looking a setting up.
///
/// # Errors
/// What `load` says, or that `out` takes no more.
pub(super) fn run(
    command: ConfigCommand,
    load: impl FnOnce() -> Result<Settings, Failure>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let text = match command {
        ConfigCommand::Check => load().map(|_| "The configuration is sound.\n".to_owned())?,
        ConfigCommand::Show { origin: true } => load()?.show_with_origin(),
        ConfigCommand::Show { origin: false } => load()?.show(),
        ConfigCommand::List => documentation_table(),
        ConfigCommand::Set { .. } => return Err(Failure::usage("This needs the data.")),
    };
    out.write_all(text.as_bytes()).map_err(|error| Failure::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn say(command: ConfigCommand, key: &str, value: &str) -> Result<String, String> {
        let flags = vec![("--set".to_owned(), key.to_owned(), value.to_owned())];
        let sources = Sources { flags, ..Sources::default() };
        let mut out = Vec::new();
        let load = || Settings::load(&sources).map_err(|error| Failure::usage(error.to_string()));
        run(command, load, &mut out).map_err(|failure| failure.text)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn settings_are_checked_shown_and_listed() {
        let (key, value) = ("log.level", "debug");
        assert_eq!(say(ConfigCommand::Check, key, value).unwrap(), "The configuration is sound.\n");
        let shown = say(ConfigCommand::Show { origin: true }, key, value).unwrap();
        assert!(shown.contains("level = \"debug\"") && shown.contains("# flag --set"), "{shown}");
        let plain = say(ConfigCommand::Show { origin: false }, key, value).unwrap();
        assert!(plain.contains("level = \"debug\"\n") && !plain.contains('#'), "{plain}");
        assert!(say(ConfigCommand::Check, key, "loud").unwrap_err().contains("one of error, warn"));
        assert!(say(ConfigCommand::List, key, "loud").unwrap().starts_with("| Setting |"));
    }
}
