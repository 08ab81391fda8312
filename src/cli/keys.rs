//! `doorward keys`: the signing keys of access tokens.

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::app::App;
use crate::audit::{Event, Kind};

/// What to do with signing keys.
#[derive(Subcommand, Serialize, Deserialize)]
pub(super) enum KeysCommand {
    /// Replace all signing keys now, because one became known to others. Every access token is void; programs get new
    /// ones with their refresh tokens.
    Rotate,
    /// Print the public keys.
    List,
}

pub(super) async fn run(app: &App, command: KeysCommand) -> Result<String, Failure> {
    let tokens = app.sessions.tokens();
    match command {
        KeysCommand::Rotate => {
            let event = Event::succeeded(Kind::KeysRotated).by_system("cli");
            tokens
                .replace_keys(|batch| app.audit.write(batch, event))
                .await
                .map_err(|error| Failure::new(error.to_string()))?;
            Ok("New signing keys are in use; every access token issued so far is void.\n".to_owned())
        }
        KeysCommand::List => serde_json::to_string_pretty(&tokens.public_keys())
            .map(|text| text + "\n")
            .map_err(|e| Failure::new(e.to_string())),
    }
}
