//! `doorward user {add,change}`.

use super::{accepted_hash, find, parse_groups, parse_role};
use crate::admin::by::By;
use crate::admin::people::{Link, NewPerson, PersonChange};
use crate::app::App;
use crate::cli::{Failure, told};
use crate::kernel::text::{DisplayName, Email, TextError, Username};

/// What `user add` was given.
pub(super) struct Added {
    pub(super) username: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) groups: Vec<String>,
    pub(super) role: String,
    pub(super) reuse_username: bool,
}

/// What `user change` was given.
pub(super) struct Changed {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) role: Option<String>,
    pub(super) groups: Option<Vec<String>>,
}

fn wrong(error: TextError) -> Failure {
    Failure::usage(error.to_string())
}

fn parse_email(text: &str) -> Result<Option<Email>, Failure> {
    if text.is_empty() { Ok(None) } else { Email::parse(text).map(Some).map_err(wrong) }
}

/// Says what to do with a link.
pub(super) fn link_text(username: &Username, link: &Link) -> String {
    format!(
        "{}\nThis link lets {username} choose a password, once, until {}.\n",
        link.url,
        link.expires_at.to_rfc3339()
    )
}

/// Makes an account; without a password there is a link.
pub(super) async fn add(app: &App, added: Added, password: Option<&str>) -> Result<String, Failure> {
    let username = Username::parse(&added.username).map_err(wrong)?;
    let shown = if added.name.is_empty() { username.as_str() } else { &added.name };
    let display_name = DisplayName::parse(shown).map_err(wrong)?;
    let email = parse_email(&added.email)?;
    let (role, groups) = (parse_role(&added.role)?, parse_groups(&added.groups)?);
    let password_hash = match password {
        Some(password) => {
            let email = email.as_ref().map(Email::as_str);
            Some(accepted_hash(app, password, role, username.as_str(), email).await?)
        }
        None => None,
    };
    let new = NewPerson {
        username,
        reuse_username: added.reuse_username,
        display_name,
        email,
        email_verified: true,
        role,
        groups,
        password_hash,
    };
    let made = app.admin.create_person(By::Machine, new).await;
    let (user, link) = made.map_err(|problem| match problem.code {
        "username_used_before" => Failure::new(
            "Somebody who was deleted had this username. Access rules and apps may still know them by it. To give it \
             away all the same, add --reuse-username.",
        ),
        _ => told(problem),
    })?;
    Ok(match link {
        Some(link) => link_text(&user.username, &link),
        None => format!("{} was added.\n", user.username),
    })
}

/// Changes an account.
pub(super) async fn change(app: &App, name: &str, changed: Changed) -> Result<String, Failure> {
    let user = find(app, name)?;
    let change = PersonChange {
        display_name: changed.name.as_deref().map(DisplayName::parse).transpose().map_err(wrong)?,
        email: changed.email.as_deref().map(parse_email).transpose()?,
        email_verified: None,
        role: changed.role.as_deref().map(parse_role).transpose()?,
        groups: changed.groups.as_deref().map(parse_groups).transpose()?,
        revision: None,
    };
    app.admin.change_person(By::Machine, &user, change).await.map_err(told)?;
    Ok(format!("{} is changed.\n", user.username))
}
