//! `doorward group`: groups, and who is in them.

use std::fmt::Write as _;

use clap::Subcommand;

use super::user::find;
use super::{Failure, told};
use crate::admin::by::By;
use crate::admin::people_search::Search;
use crate::app::App;
use crate::kernel::text::GroupName;

/// What to do with groups.
#[derive(Subcommand)]
pub(super) enum GroupCommand {
    /// List the groups: name, people, access rules and apps that name it.
    List,
    /// Make a group that nobody is in yet.
    Add {
        /// The name.
        name: String,
    },
    /// Give a group another name, in access rules and apps as well.
    Rename {
        /// The name.
        name: String,
        /// The new name.
        new_name: String,
    },
    /// Delete a group that nobody is in and nothing names.
    Remove {
        /// The name.
        name: String,
    },
    /// List the people in a group.
    Members {
        /// The name.
        name: String,
    },
    /// Put a person into a group.
    Join {
        /// The name of the group.
        name: String,
        /// The username.
        username: String,
    },
    /// Take a person out of a group.
    Leave {
        /// The name of the group.
        name: String,
        /// The username.
        username: String,
    },
}

fn parse(name: &str) -> Result<GroupName, Failure> {
    GroupName::parse(name).map_err(|error| Failure::usage(error.to_string()))
}

pub(super) async fn run(app: &App, command: GroupCommand) -> Result<String, Failure> {
    let admin = &app.admin;
    match command {
        GroupCommand::List => return list(app),
        GroupCommand::Members { name } => return members(app, &name),
        GroupCommand::Add { name } => admin.create_group(By::Machine, &parse(&name)?).await,
        GroupCommand::Rename { name, new_name } => {
            admin.rename_group(By::Machine, &parse(&name)?, &parse(&new_name)?).await
        }
        GroupCommand::Remove { name } => admin.delete_group(By::Machine, &parse(&name)?).await,
        GroupCommand::Join { name, username } => {
            admin.put_in_group(By::Machine, &*find(app, &username)?, &parse(&name)?).await
        }
        GroupCommand::Leave { name, username } => {
            admin.take_out_of_group(By::Machine, &*find(app, &username)?, &parse(&name)?).await
        }
    }
    .map_err(told)?;
    list(app)
}

fn list(app: &App) -> Result<String, Failure> {
    let mut text = String::new();
    for group in app.admin.list_groups().map_err(told)? {
        let _ = writeln!(text, "{}\t{}\t{}\t{}", group.name, group.members, group.rules, group.apps);
    }
    Ok(text)
}

fn members(app: &App, name: &str) -> Result<String, Failure> {
    let name = parse(name)?;
    app.admin.group(&name).map_err(told)?;
    let search = Search { group: Some(name), ..Search::default() };
    let mut text = String::new();
    for user in app.admin.find_people(&search, usize::MAX).people {
        let _ = writeln!(text, "{}\t{}", user.username, user.display_name);
    }
    Ok(text)
}
