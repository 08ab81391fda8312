//! `doorward keys`: the keys that sign access tokens, and those that apps verify sign-ins with.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::Failure;
use super::input::{self, Input};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::crypto::key_ring::{KeyFacts, Phase};
use crate::crypto::signing::PrivateKey;

/// The largest file that a key is read from, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// What to do with signing keys.
#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Replace all signing keys now, because one became known to others. Every access token is void; programs get new
    /// ones with their refresh tokens.
    Rotate {
        /// Replace the keys that apps verify sign-ins with instead; apps fetch the new ones by themselves.
        #[arg(long)]
        apps: bool,
    },
    /// Print the public keys.
    List {
        /// Print those that apps verify sign-ins with instead.
        #[arg(long)]
        apps: bool,
    },
    /// Tell what each key does, and since when.
    Status,
    /// Let a key from elsewhere sign what apps verify, from now on: the one of the provider that Doorward takes the place
    /// of.
    Import {
        /// A PEM file that is not encrypted: RSA of 2048 to 4096 bits, P-256 or Ed25519; `-` reads standard input.
        file: PathBuf,
    },
}

impl KeysCommand {
    /// Reads the file of the command, before it travels.
    pub(super) fn input(&self) -> Result<Input, Failure> {
        match self {
            KeysCommand::Import { file } => Ok(Input::of(input::read_file(file, LONGEST_FILE)?)),
            _ => Ok(Input::default()),
        }
    }
}

pub(super) async fn run(app: &App, command: KeysCommand, input: &Input) -> Result<String, Failure> {
    let tokens = app.sessions.tokens();
    let failed = |error: crate::store::CommitError| Failure::new(error.to_string());
    let event = Event::succeeded(Kind::KeysRotated).by_system("cli");
    match command {
        KeysCommand::Rotate { apps: false } => {
            app.sessions.replace_keys(|batch| app.audit.write(batch, event)).await.map_err(failed)?;
            Ok("New signing keys are in use; every access token issued so far is void.\n".to_owned())
        }
        KeysCommand::Rotate { apps: true } => {
            let event = event.detail("keys", "apps");
            app.oidc.replace_keys(|batch| app.audit.write(batch, event.clone())).await.map_err(failed)?;
            Ok("New keys sign what apps verify; the old ones are published no more.\n".to_owned())
        }
        KeysCommand::List { apps } => {
            let keys = if apps { app.oidc.public_keys() } else { as_json(&tokens.public_keys())? };
            serde_json::to_string_pretty(&keys)
                .map(|text| text + "\n")
                .map_err(|e| Failure::new(e.to_string()))
        }
        KeysCommand::Status => Ok(status(app)),
        KeysCommand::Import { .. } => {
            let key = PrivateKey::from_pem(input.text()?).map_err(|error| Failure::new(error.to_string()))?;
            let (kid, algorithm) = (key.kid().to_owned(), key.algorithm());
            let event = event.detail("keys", "apps").detail("imported", &kid);
            app.oidc.adopt_key(key, |batch| app.audit.write(batch, event)).await.map_err(failed)?;
            Ok(format!("The key {kid} signs what apps verify with {algorithm} from now on.\n"))
        }
    }
}

fn status(app: &App) -> String {
    let line = |what: &str, algorithm: &str, key: &KeyFacts| {
        let phase = match key.phase {
            Phase::Coming => "coming",
            Phase::Signing => "signs",
            Phase::Retired => "retired",
        };
        format!("{what:<7} {algorithm:<6} {phase:<8} since {}  {}\n", key.activates, key.kid)
    };
    let tokens = app.sessions.tokens().key_facts();
    let tokens = tokens.iter().map(|key| line("tokens", "EdDSA", key));
    let apps = app.oidc.key_facts();
    tokens.chain(apps.iter().map(|(algorithm, key)| line("apps", algorithm.as_str(), key))).collect()
}

fn as_json(keys: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(keys).map_err(|error| Failure::new(error.to_string()))
}
