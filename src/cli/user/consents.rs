//! `doorward user consents`: what a person allowed apps, and taking it back.

use std::fmt::Write as _;

use clap::Subcommand;

use super::find;
use crate::admin::by::By;
use crate::app::App;
use crate::cli::{Failure, told};

/// What to do with consents.
#[derive(Subcommand)]
pub(in crate::cli) enum ConsentCommand {
    /// List the apps that a person let do something: client id, since when, scopes.
    List {
        /// The username.
        username: String,
    },
    /// Take back what a person allowed an app; its tokens for them end at once.
    Revoke {
        /// The username.
        username: String,
        /// The client id of the app.
        client: String,
    },
}

pub(super) async fn run(app: &App, command: ConsentCommand) -> Result<String, Failure> {
    match command {
        ConsentCommand::List { username } => {
            let user = find(app, &username)?;
            let mut text = String::new();
            for consent in app.oidc.consents(&user.id).map_err(|error| Failure::new(error.to_string()))? {
                let given_at = consent.given_at.to_rfc3339();
                let _ = writeln!(text, "{}\t{given_at}\t{}", consent.client.as_str(), consent.scopes);
            }
            Ok(text)
        }
        ConsentCommand::Revoke { username, client } => {
            let user = find(app, &username)?;
            app.admin.revoke_consent(By::Machine, &user, &client).await.map_err(told)?;
            Ok("What the app was allowed is taken back.\n".to_owned())
        }
    }
}
