//! `doorward user passkeys`: what passkeys a person has, and removing one.

use std::fmt::Write as _;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::{Failure, find, refused};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::kernel::ids::PasskeyId;

/// What to do with passkeys.
#[derive(Subcommand, Serialize, Deserialize)]
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
    let id = PasskeyId::parse(handle).ok_or_else(|| {
        Failure::usage("That is no handle of a passkey. `doorward user passkeys list` shows them.")
    })?;
    let notice = "An administrator removed one of your passkeys.";
    app.accounts
        .remove_passkey(user.id, id, Some(notice), |batch, record| {
            app.sign_in.stage_end_everything(batch, user.id);
            let event = Event::succeeded(Kind::PasskeyRemoved).by_system("cli").detail("passkey", id);
            app.audit.write(batch, event.on_user(user.id, &record.username));
        })
        .await
        .map_err(refused)?;
    Ok(format!("The passkey of {} is removed; all sessions have ended.\n", user.username))
}
