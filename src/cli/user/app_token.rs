//! `doorward user app-token`: tokens for programs of a person.

use std::fmt::Write as _;

use clap::Subcommand;

use super::find;
use crate::admin::by::By;
use crate::app::App;
use crate::cli::{Failure, told};
use crate::programs::app_tokens::{self, Wish};
use crate::sessions::{Factors, Level};

/// What to do with app tokens.
#[derive(Subcommand)]
pub(in crate::cli) enum AppTokenCommand {
    /// Make a token for a program and print it, once.
    Add {
        /// The username.
        username: String,
        /// What the token is for.
        name: String,
        /// A host that it opens, such as photos.home.example or *.home.example; may be repeated. Without one it opens
        /// every app that the person may open.
        #[arg(long = "host")]
        hosts: Vec<String>,
        /// After how many days it expires; without it, when it is revoked.
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        /// Let it open apps that ask for two factors too.
        #[arg(long)]
        two_factor: bool,
    },
    /// List the tokens of a person.
    List {
        /// The username.
        username: String,
    },
    /// Revoke a token; what uses it is kept out at once.
    Remove {
        /// The username.
        username: String,
        /// The handle that `list` shows; it may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        handle: String,
    },
}

pub(super) async fn run(app: &App, command: AppTokenCommand) -> Result<String, Failure> {
    match command {
        AppTokenCommand::Add { username, name, hosts, days, two_factor } => {
            add(app, &username, &Wish { name, hosts, days }, two_factor).await
        }
        AppTokenCommand::List { username } => list(app, &username),
        AppTokenCommand::Remove { username, handle } => remove(app, &username, &handle).await,
    }
}

async fn add(app: &App, name: &str, wish: &Wish, two_factor: bool) -> Result<String, Failure> {
    let user = find(app, name)?;
    let sound = wish.parse(app.now()).map_err(|problem| Failure::usage(problem.detail.english()))?;
    let factors = if two_factor { Factors::PASSWORD.with(Factors::TOTP) } else { Factors::PASSWORD };
    let made = app_tokens::make_for(&app.sign_in, (user.id, &user.username), factors, sound).await.map_err(
        |problem| match problem.code {
            "sign_in_expired" => Failure::new(format!("{} is disabled.", user.username)),
            _ => Failure::new(problem.detail.english()),
        },
    )?;
    Ok(format!("{}\nThis token is shown only now. Its handle is {}.\n", made.token.expose(), made.id))
}

fn list(app: &App, name: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    let mut text = String::new();
    for token in app.sessions.app_tokens_of(&user.id) {
        let hosts = if token.hosts.is_empty() { "*".to_owned() } else { token.hosts.join(",") };
        let level = if token.factors.level() == Level::TwoFactor { "two_factor" } else { "one_factor" };
        let moment = |at: Option<crate::kernel::time::Timestamp>| {
            at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339())
        };
        let _ = writeln!(
            text,
            "{}\t{}\t{hosts}\t{level}\texpires {}\tlast used {}",
            token.id,
            token.name,
            moment(token.expires_at),
            moment(token.last_used())
        );
    }
    Ok(text)
}

async fn remove(app: &App, name: &str, handle: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    app.admin.revoke_app_token(By::Machine, &user, handle).await.map_err(told)?;
    Ok("The token is revoked.\n".to_owned())
}
