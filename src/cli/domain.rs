//! `doorward domain`: the root domains of the apps behind forward-auth.

use std::fmt::Write as _;

use clap::Subcommand;

use super::{Failure, told};
use crate::admin::domains::{DomainChange, TypedDomain};
use crate::app::App;
use crate::audit::{Event, Kind};

/// What to do with protected domains.
#[derive(Subcommand)]
pub(super) enum DomainCommand {
    /// List the domains.
    List,
    /// Protect one more domain.
    Add {
        /// The domain, such as home.example.
        domain: String,
        /// A host below it that leads to Doorward too, if people sign in at another domain.
        #[arg(long, value_name = "HOST")]
        portal: Option<String>,
        /// One cookie for all apps of the domain, or one for each host.
        #[arg(long, value_name = "KIND", default_value = "domain", value_parser = ["domain", "host"])]
        cookie: String,
    },
    /// Change portal and cookie of a domain; what is left out becomes what a new domain has.
    Change {
        /// The domain.
        domain: String,
        /// A host below it that leads to Doorward too, if people sign in at another domain.
        #[arg(long, value_name = "HOST")]
        portal: Option<String>,
        /// One cookie for all apps of the domain, or one for each host.
        #[arg(long, value_name = "KIND", default_value = "domain", value_parser = ["domain", "host"])]
        cookie: String,
    },
    /// Protect a domain no longer.
    Remove {
        /// The domain.
        domain: String,
    },
}

pub(super) async fn run(app: &App, command: DomainCommand) -> Result<String, Failure> {
    let change = match command {
        DomainCommand::List => return Ok(list(app)),
        DomainCommand::Add { domain, portal, cookie } => {
            let typed = TypedDomain { domain, portal, cookie: Some(cookie) };
            DomainChange::Add(typed.judge().map_err(told)?)
        }
        DomainCommand::Change { domain, portal, cookie } => {
            let typed = TypedDomain { domain, portal, cookie: Some(cookie) };
            DomainChange::Change(typed.judge().map_err(told)?)
        }
        DomainCommand::Remove { domain } => {
            if !app.site.protected_domains().iter().any(|own| own.domain == domain) {
                return Err(Failure::new(format!("“{domain}” is not protected.")));
            }
            DomainChange::Remove(domain)
        }
    };
    let event = Event::succeeded(Kind::SettingChanged).by_system("cli");
    app.admin.change_domains(change, event).await.map_err(told)?;
    Ok(list(app))
}

fn list(app: &App) -> String {
    let mut text = String::new();
    for own in app.site.protected_domains() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{own}");
    }
    if text.is_empty() {
        text.push_str("No domain is protected yet.\n");
    }
    text
}
