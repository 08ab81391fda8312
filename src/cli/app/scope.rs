//! `doorward app scope` and `doorward app registration`: scopes of one's own, and apps that register themselves.

use std::fmt::Write as _;

use clap::Subcommand;

use crate::admin::by::By;
use crate::app::App;
use crate::cli::{Failure, told};

/// What to do with scopes.
#[derive(Subcommand)]
pub(in crate::cli) enum ScopeCommand {
    /// List the scopes that an administrator made up: name, and what they show.
    List,
    /// Make a scope, or change what it shows.
    Put {
        /// The name.
        name: String,
        /// A claim and the attribute that it shows, such as cost_center=cost_center; may be repeated.
        #[arg(long = "claim", value_name = "CLAIM=ATTRIBUTE")]
        claims: Vec<String>,
    },
    /// Remove a scope.
    Remove {
        /// The name.
        name: String,
    },
}

/// What to do with tokens for apps that register themselves.
#[derive(Subcommand)]
pub(in crate::cli) enum RegistrationCommand {
    /// Make a token with which apps may register themselves, and print it.
    Make {
        /// How many apps may use it.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How many days it works.
        #[arg(long, default_value_t = 1)]
        days: u32,
    },
    /// Make every such token useless.
    Drop,
}

pub(super) async fn run(app: &App, command: ScopeCommand) -> Result<String, Failure> {
    match command {
        ScopeCommand::List => {}
        ScopeCommand::Put { name, claims } => {
            let pair = |text: &String| {
                let (claim, attribute) = text.split_once('=').ok_or_else(|| {
                    Failure::usage(format!("Write a claim and its attribute with = between, not “{text}”."))
                })?;
                Ok((claim.to_owned(), attribute.to_owned()))
            };
            let claims = claims.iter().map(pair).collect::<Result<_, Failure>>()?;
            app.admin.put_scope(By::Machine, &name, claims).await.map_err(told)?;
        }
        ScopeCommand::Remove { name } => {
            app.admin.remove_scope(By::Machine, &name).await.map_err(told)?;
        }
    }
    let mut text = String::new();
    for (name, claims) in app.oidc.custom_scopes().iter() {
        let claims: Vec<String> =
            claims.iter().map(|(claim, attribute)| format!("{claim}={attribute}")).collect();
        let _ = writeln!(text, "{name}\t{}", claims.join(" "));
    }
    Ok(text)
}

pub(super) async fn register(app: &App, command: RegistrationCommand) -> Result<String, Failure> {
    match command {
        RegistrationCommand::Make { uses, days } => {
            let (token, until) =
                app.admin.make_registration_token(By::Machine, uses, days).await.map_err(told)?;
            Ok(format!("{}\nThis token works until {}.\n", token.expose(), until.to_rfc3339()))
        }
        RegistrationCommand::Drop => {
            app.admin.drop_registration_tokens(By::Machine).await.map_err(told)?;
            Ok("No such token works any more.\n".to_owned())
        }
    }
}
