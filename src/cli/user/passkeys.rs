//! `doorward user passkeys`: what passkeys a person has, and removing one.

use std::fmt::Write as _;

use clap::Subcommand;

use super::find;
use crate::admin::by::By;
use crate::app::App;
use crate::cli::{Failure, told};

/// What to do with passkeys.
#[derive(Subcommand)]
pub(in crate::cli) enum PasskeyCommand {
    /// List the passkeys of a person: handle, when added, when last used, name.
    List {
        /// The username.
        username: String,
    },
    /// Remove a passkey; all sessions of the person end.
    Remove {
        /// The username.
        username: String,
        /// The handle that `list` shows; it may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        handle: String,
    },
}

pub(super) async fn run(app: &App, command: PasskeyCommand) -> Result<String, Failure> {
    match command {
        PasskeyCommand::List { username } => list(app, &username),
        PasskeyCommand::Remove { username, handle } => remove(app, &username, &handle).await,
    }
}

fn list(app: &App, name: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    let found = app.accounts.passkeys(user.id).map_err(|error| Failure::new(error.to_string()))?;
    let mut text = String::new();
    for passkey in found {
        let record = &passkey.seen.value;
        let used = record.last_used.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339());
        let _ = writeln!(text, "{}\t{}\t{used}\t{}", passkey.id, record.created_at, record.name);
    }
    Ok(text)
}

async fn remove(app: &App, name: &str, handle: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    app.admin.remove_passkey(By::Machine, &user, handle).await.map_err(told)?;
    Ok(format!("The passkey of {} is removed; all sessions have ended.\n", user.username))
}
