//! `doorward user sessions`: where a person is signed in, and ending one session.

use std::fmt::Write as _;

use clap::Subcommand;

use super::find;
use crate::admin::by::By;
use crate::app::App;
use crate::cli::{Failure, told};
use crate::sessions::labels::device_name;
use crate::words::Words;

/// What to do with sessions.
#[derive(Subcommand)]
pub(in crate::cli) enum SessionCommand {
    /// List the sessions of a person: handle, since when, last seen, place, device.
    List {
        /// The username.
        username: String,
    },
    /// End a session.
    End {
        /// The username.
        username: String,
        /// The handle that `list` shows; it may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        handle: String,
    },
}

pub(super) async fn run(app: &App, command: SessionCommand) -> Result<String, Failure> {
    match command {
        SessionCommand::List { username } => list(app, &username),
        SessionCommand::End { username, handle } => {
            let user = find(app, &username)?;
            app.admin.end_person_session(By::Machine, &user, &handle).await.map_err(told)?;
            Ok("The session has ended.\n".to_owned())
        }
    }
}

fn list(app: &App, name: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    let mut text = String::new();
    for view in app.sessions.list(&user.id).map_err(|error| Failure::new(error.to_string()))? {
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}",
            view.id,
            view.started_at.to_rfc3339(),
            view.last_seen.to_rfc3339(),
            view.place,
            device_name(&view.label, Words::ENGLISH)
        );
    }
    Ok(text)
}
