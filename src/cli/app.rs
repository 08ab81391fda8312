//! `doorward app`: apps that sign people in with OpenID Connect.
//!
//! Presets are part of the program, so looking at them needs neither a server nor a store; everything else travels to
//! the server as `doorward rules` does.

mod apply;
mod change;
mod presets;
mod scope;
mod shown;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::input::Input;
use super::{Failure, control};
use crate::app::App;
use crate::oidc::Client;
use crate::oidc::presets::find_or_suggest;

/// What to do with apps.
#[derive(Subcommand)]
pub(super) enum AppCommand {
    /// List the presets: id, name and category.
    Presets,
    /// Show what an app needs and what its admin copies where.
    Preset {
        /// The id that `presets` shows, such as immich.
        id: String,
        /// Where the app lives, such as https://photos.home.example: shows its redirect URIs in full.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// List the apps: id, kind, state and name.
    List,
    /// Show an app as `apply` takes it.
    Show {
        /// The client id.
        id: String,
    },
    /// Add an app and print its client id, its secret, and with a preset what to paste where. The secret is never shown
    /// again.
    Add(AddArgs),
    /// Change settings of an app: those that are named, and nothing else.
    Set {
        /// The client id.
        id: String,
        /// Such as name=Photos, groups=family,friends or launch_url=https://photos.home.example; the names are those that
        /// `show` prints. An empty value takes the usual one.
        #[arg(required = true, value_name = "SETTING=VALUE")]
        settings: Vec<String>,
    },
    /// Show what an app would be told of a person.
    Claims {
        /// The client id.
        id: String,
        /// The username.
        user: String,
        /// A scope that the app asks for, in place of all that it may; may be repeated.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Make a new secret and print it. The one before stays good until it is dropped, so that nobody is locked out
    /// meanwhile.
    Secret {
        /// The client id.
        id: String,
        /// Drop the older of two secrets instead.
        #[arg(long)]
        drop_old: bool,
    },
    /// Remove an app; everything that people let it do ends at once.
    Remove {
        /// The client id.
        id: String,
    },
    /// Let people use an app again.
    Enable {
        /// The client id.
        id: String,
    },
    /// Switch an app off: nobody signs in to it, and its tokens are refused.
    Disable {
        /// The client id.
        id: String,
    },
    /// Scopes of your own, which show attributes of people.
    Scope {
        #[command(subcommand)]
        command: scope::ScopeCommand,
    },
    /// Tokens with which apps may register themselves.
    Registration {
        #[command(subcommand)]
        command: scope::RegistrationCommand,
    },
    /// Make apps as a TOML file says: adds and changes what differs, and does nothing the second time.
    Apply {
        /// The file, with a table [[app]] for each app; `-` reads standard input.
        file: PathBuf,
        /// Remove the apps that are not in the file, except those that registered themselves.
        #[arg(long)]
        prune: bool,
    },
}

/// What `app add` takes.
#[derive(Args)]
pub(super) struct AddArgs {
    /// Take what a well-known app needs from its preset; `presets` lists them.
    #[arg(long, value_name = "ID", required_unless_present = "name")]
    preset: Option<String>,
    /// Where the app lives, such as https://photos.home.example.
    #[arg(long, value_name = "URL", requires = "preset")]
    url: Option<String>,
    /// A word that the preset leaves open, such as provider=house; may be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE", requires = "preset")]
    params: Vec<String>,
    /// The client id; else that of the preset, or one is made up.
    #[arg(long)]
    id: Option<String>,
    /// The name that people see.
    #[arg(long)]
    name: Option<String>,
    /// Where the app takes codes; may be repeated.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// Where people may return to after signing out; may be repeated.
    #[arg(long = "post-logout-uri", value_name = "URI")]
    post_logout_uris: Vec<String>,
    /// Where the app is told that somebody signed out.
    #[arg(long, value_name = "URI")]
    backchannel_uri: Option<String>,
    /// The app cannot keep a secret: it runs in a browser, on a phone or on a desktop.
    #[arg(long)]
    public: bool,
    /// A scope that the app may ask for, in place of the usual ones; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A group that may use the app, in place of everyone; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// How id_tokens are signed: RS256, ES256 or EdDSA.
    #[arg(long, value_name = "ALGORITHM")]
    alg: Option<String>,
}

impl AppCommand {
    /// Reads the files of the command, before it travels: the server may not be allowed to.
    pub(super) fn input(&self) -> Result<Input, Failure> {
        match self {
            AppCommand::Apply { file, .. } => apply::read(file),
            _ => Ok(Input::default()),
        }
    }

    /// Answers what is about presets alone; `None` to everything else, which travels.
    pub(super) fn answer_here(&self) -> Option<Result<String, Failure>> {
        match self {
            AppCommand::Presets => Some(Ok(presets::list())),
            AppCommand::Preset { id, url } => Some(
                find_or_suggest(id)
                    .map_err(Failure::new)
                    .and_then(|preset| presets::show(preset, url.as_deref()).map_err(Failure::usage)),
            ),
            _ => None,
        }
    }
}

/// Carries out a command that has travelled.
pub(super) async fn run(app: &App, command: AppCommand, input: &Input) -> Result<String, Failure> {
    match command {
        AppCommand::Presets | AppCommand::Preset { .. } => Err(control::other_version()),
        AppCommand::List => Ok(shown::list(app)),
        AppCommand::Show { id } => Ok(shown::client(&*find(app, &id)?)),
        AppCommand::Add(args) => change::add(app, args).await,
        AppCommand::Set { id, settings } => change::set(app, &id, &settings).await,
        AppCommand::Claims { id, user, scopes } => shown::claims(app, &*find(app, &id)?, &user, &scopes),
        AppCommand::Secret { id, drop_old: false } => change::renew_secret(app, &id).await,
        AppCommand::Secret { id, drop_old: true } => change::drop_old_secret(app, &id).await,
        AppCommand::Remove { id } => change::remove(app, &id).await,
        AppCommand::Enable { id } => change::switch(app, &id, true).await,
        AppCommand::Disable { id } => change::switch(app, &id, false).await,
        AppCommand::Scope { command } => scope::run(app, command).await,
        AppCommand::Registration { command } => scope::register(app, command).await,
        AppCommand::Apply { prune, .. } => apply::run(app, input, prune).await,
    }
}

fn find(app: &App, id: &str) -> Result<std::sync::Arc<Client>, Failure> {
    app.oidc
        .client(id)
        .ok_or_else(|| Failure::new(format!("There is no app “{id}”. `doorward app list` shows all.")))
}
