//! `doorward user`: people, from the machine itself. Works also when nobody can sign in.

mod app_token;
mod changes;
mod consents;
mod passkeys;
mod sessions;

use std::fmt::Write as _;

use clap::Subcommand;

use super::input::{self, Input};
use super::{Failure, told};
use crate::accounts::profile::{Edit, EditFault};
use crate::accounts::records::{LinkPurpose, Role};
use crate::accounts::users::AccountError;
use crate::accounts::{ProfileRecord, User};
use crate::admin::by::By;
use crate::admin::invitations::{Invitation, USUAL_DAYS, WaitingLink};
use crate::admin::people_search::{Search, Which};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::crypto::password::Ticket;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::kernel::text::{Email, GroupName};
use crate::my_account::profile_api::{fault, known_claims};

/// What to do with people.
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// List people.
    List {
        /// Part of a name, username, address or group.
        query: Option<String>,
        /// Only some: admins, no-second-factor, suspended, disabled or invited.
        #[arg(long)]
        filter: Option<String>,
    },
    /// Add a person and print a one-time link for choosing a password.
    Add {
        /// The username.
        username: String,
        /// The name shown to people.
        #[arg(long, default_value = "")]
        name: String,
        /// The e-mail address.
        #[arg(long, default_value = "")]
        email: String,
        /// A group; may be repeated.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// member, admin or owner.
        #[arg(long, default_value = "member")]
        role: String,
        /// Give a username away that somebody who was deleted had. Access rules and apps may still know them by it.
        #[arg(long)]
        reuse_username: bool,
        /// Read the password from standard input instead of making a link.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change a person: what is left out stays. Another role ends all sessions and links of the person.
    Change {
        /// The username.
        username: String,
        /// The name shown to people.
        #[arg(long)]
        name: Option<String>,
        /// The e-mail address; an empty one removes it.
        #[arg(long)]
        email: Option<String>,
        /// member, admin or owner.
        #[arg(long)]
        role: Option<String>,
        /// A group, in place of those before; may be repeated.
        #[arg(long = "group", conflicts_with = "no_groups")]
        groups: Vec<String>,
        /// Take the person out of every group.
        #[arg(long)]
        no_groups: bool,
    },
    /// Set a password, read from standard input. Ends all sessions and links of the person.
    Passwd {
        /// The username.
        username: String,
    },
    /// Lift the pauses of sign-in, wherever, and the delay that failures earned.
    Unlock {
        /// The username.
        username: String,
        /// Lift only the pause with this handle, as the detail of a person in the API names it.
        #[arg(long, allow_hyphen_values = true)]
        handle: Option<String>,
    },
    /// Disable an account; its sessions and links end at once.
    Disable {
        /// The username.
        username: String,
        /// Why, for other administrators; it stands in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Enable an account again.
    Enable {
        /// The username.
        username: String,
    },
    /// Delete an account with everything that speaks for it. It cannot be undone.
    Remove {
        /// The username.
        username: String,
    },
    /// Remove every second factor: authenticator app, passkeys and recovery codes.
    #[command(name = "reset-2fa")]
    ResetSecondFactor {
        /// The username.
        username: String,
    },
    /// Sign a person out everywhere; app tokens end as well.
    SignOut {
        /// The username.
        username: String,
    },
    /// Sessions of a person, one by one.
    Sessions {
        #[command(subcommand)]
        command: sessions::SessionCommand,
    },
    /// What a person allowed apps.
    Consents {
        #[command(subcommand)]
        command: consents::ConsentCommand,
    },
    /// Print a link by which somebody makes an account of their own, with this role and these groups.
    Invite {
        /// Whom it is for, to tell links apart.
        #[arg(long, default_value = "")]
        note: String,
        /// member, admin or owner.
        #[arg(long, default_value = "member")]
        role: String,
        /// A group of the new account; may be repeated.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// How many days it works.
        #[arg(long, default_value_t = USUAL_DAYS)]
        days: u32,
    },
    /// List the links that wait to be used: handle, what for, until when, note.
    Links,
    /// Withdraw a link that was not used yet.
    Withdraw {
        /// The handle that `links` shows; it may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        handle: String,
    },
    /// Show or change what apps may be told of a person.
    Profile {
        /// The username.
        username: String,
        /// Set a claim, such as given_name=Ada, address.locality=London, attributes.quota=5 or email_verified=true; may be
        /// repeated.
        #[arg(long = "claim", value_name = "KEY=VALUE")]
        claims: Vec<String>,
        /// Remove a claim; may be repeated.
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
    },
    /// Tokens for programs that cannot sign in by themselves.
    AppToken {
        #[command(subcommand)]
        command: app_token::AppTokenCommand,
    },
    /// Passkeys of a person.
    Passkeys {
        #[command(subcommand)]
        command: passkeys::PasskeyCommand,
    },
    /// Print a one-time link for choosing a new password. Earlier links of the person end.
    Link {
        /// The username.
        username: String,
    },
}

impl UserCommand {
    /// Reads what the command takes from standard input, before it travels.
    pub(super) fn input(&self) -> Result<Input, Failure> {
        match self {
            UserCommand::Add { password_stdin: true, .. } | UserCommand::Passwd { .. } => {
                Ok(Input::of(input::read_password()?))
            }
            _ => Ok(Input::default()),
        }
    }
}

pub(super) async fn run(app: &App, command: UserCommand, input: &Input) -> Result<String, Failure> {
    match command {
        UserCommand::List { query, filter } => list(app, query, filter.as_deref()),
        UserCommand::Add { username, name, email, groups, role, reuse_username, password_stdin } => {
            let new = changes::Added { username, name, email, groups, role, reuse_username };
            let password = if password_stdin { Some(input.text()?) } else { None };
            changes::add(app, new, password).await
        }
        UserCommand::Change { username, name, email, role, groups, no_groups } => {
            let groups = if no_groups || !groups.is_empty() { Some(groups) } else { None };
            changes::change(app, &username, changes::Changed { name, email, role, groups }).await
        }
        UserCommand::Passwd { username } => passwd(app, &username, input.text()?).await,
        UserCommand::Profile { username, claims, unset } => profile(app, &username, &claims, &unset).await,
        UserCommand::AppToken { command } => app_token::run(app, command).await,
        UserCommand::Passkeys { command } => passkeys::run(app, command).await,
        UserCommand::Sessions { command } => sessions::run(app, command).await,
        UserCommand::Consents { command } => consents::run(app, command).await,
        UserCommand::Invite { note, role, groups, days } => {
            let invitation =
                Invitation { role: parse_role(&role)?, groups: parse_groups(&groups)?, note, days };
            let link = app.admin.invite(By::Machine, invitation).await.map_err(told)?;
            Ok(format!(
                "{}\nThis link makes one account. It works until {}.\n",
                link.url,
                link.expires_at.to_rfc3339()
            ))
        }
        UserCommand::Links => links(app),
        UserCommand::Withdraw { handle } => {
            app.admin.withdraw_link(By::Machine, &handle).await.map_err(told)?;
            Ok("The link is withdrawn.\n".to_owned())
        }
        UserCommand::Unlock { username, handle } => {
            let user = find(app, &username)?;
            app.admin.lift_suspension(By::Machine, &user, handle.as_deref()).await.map_err(told)?;
            Ok(format!("{} may try to sign in again.\n", user.username))
        }
        UserCommand::Disable { username, reason } => {
            let user = find(app, &username)?;
            app.admin.disable_person(By::Machine, &user, &reason).await.map_err(told)?;
            Ok(format!("{} is disabled.\n", user.username))
        }
        UserCommand::Enable { username } => {
            let user = find(app, &username)?;
            app.admin.enable_person(By::Machine, &user).await.map_err(told)?;
            Ok(format!("{} is enabled.\n", user.username))
        }
        UserCommand::Remove { username } => {
            let user = find(app, &username)?;
            app.admin.delete_person(By::Machine, &user).await.map_err(told)?;
            Ok(format!("{} is deleted.\n", user.username))
        }
        UserCommand::ResetSecondFactor { username } => {
            let user = find(app, &username)?;
            app.admin.reset_second_factor(By::Machine, &user).await.map_err(told)?;
            Ok(format!("The second factor of {} is removed; all sessions have ended.\n", user.username))
        }
        UserCommand::SignOut { username } => {
            let user = find(app, &username)?;
            app.admin.sign_person_out(By::Machine, &user).await.map_err(told)?;
            Ok(format!("{} is signed out everywhere; app tokens have ended.\n", user.username))
        }
        UserCommand::Link { username } => {
            let user = find(app, &username)?;
            let link = app.admin.make_person_link(By::Machine, &user).await.map_err(told)?;
            Ok(changes::link_text(&user.username, &link))
        }
    }
}

fn list(app: &App, query: Option<String>, filter: Option<&str>) -> Result<String, Failure> {
    let which = Which::parse(filter.unwrap_or_default()).ok_or_else(|| {
        Failure::usage("A filter is admins, no-second-factor, suspended, disabled or invited.")
    })?;
    let search = Search { q: query.unwrap_or_default(), which, ..Search::default() };
    let mut text = String::new();
    for user in app.admin.find_people(&search, usize::MAX).people {
        let groups: Vec<&str> = user.groups.iter().map(GroupName::as_str).collect();
        let state = if user.is_active() { "active" } else { "disabled" };
        let factor = if user.has_second_factor() { "2fa" } else { "-" };
        let _ = writeln!(
            text,
            "{}\t{}\t{state}\t{factor}\t{}\t{}",
            user.username,
            user.role.as_str(),
            user.display_name,
            groups.join(",")
        );
    }
    Ok(text)
}

fn links(app: &App) -> Result<String, Failure> {
    let mut text = String::new();
    for WaitingLink { link, user } in app.admin.waiting_links().map_err(told)? {
        let purpose = match (&user, &link.record.purpose) {
            (Some(user), _) => format!("password of {}", user.username),
            (None, LinkPurpose::Invite { role, groups }) => {
                let groups: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
                format!("invitation\t{}\t{}", role.as_str(), groups.join(","))
            }
            (None, LinkPurpose::ResetPassword(_)) => continue,
        };
        let until = link.record.expires_at.to_rfc3339();
        let _ = writeln!(text, "{}\t{purpose}\t{until}\t{}", link.handle, link.record.note);
    }
    Ok(text)
}

pub(super) fn find(app: &App, name: &str) -> Result<std::sync::Arc<User>, Failure> {
    let found = app.accounts.resolve(name).map_err(|error| Failure::new(error.to_string()))?;
    found.ok_or_else(|| Failure::new(format!("There is no user “{name}”. `doorward user list` shows all.")))
}

fn refused(error: AccountError) -> Failure {
    told(Problem::from(error))
}

fn parse_role(text: &str) -> Result<Role, Failure> {
    Role::parse(text).ok_or_else(|| Failure::usage("A role is member, admin or owner."))
}

fn parse_groups(names: &[String]) -> Result<Vec<GroupName>, Failure> {
    let parsed: Result<Vec<GroupName>, _> = names.iter().map(|name| GroupName::parse(name)).collect();
    parsed.map_err(|error| Failure::usage(error.to_string()))
}

async fn accepted_hash(
    app: &App,
    password: &str,
    role: Role,
    username: &str,
    email: Option<&str>,
) -> Result<String, Failure> {
    let password = SecretText::new(password.to_owned());
    app.accounts
        .check_password(&password, role, username, email)
        .map_err(|error| Failure::usage(error.to_string()))?;
    app.accounts
        .hash_password(&password, Ticket::default())
        .await
        .map_err(|_| Failure::new("The server is busy hashing passwords; try again."))
}

async fn passwd(app: &App, name: &str, password: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    let email = user.email.as_ref().map(Email::as_str);
    let phc = accepted_hash(app, password, user.role, user.username.as_str(), email).await?;
    app.accounts
        .set_password(user.id, &phc, |batch, record| {
            app.sign_in.stage_end_everything(batch, user.id);
            let event =
                Event::succeeded(Kind::PasswordReset).by_system("cli").on_user(user.id, &record.username);
            app.audit.write(batch, event);
        })
        .await
        .map_err(refused)?;
    Ok(format!("The password of {} is set; all sessions have ended.\n", user.username))
}

async fn profile(app: &App, name: &str, claims: &[String], unset: &[String]) -> Result<String, Failure> {
    let user = find(app, name)?;
    let mut edits = Vec::with_capacity(claims.len() + unset.len());
    for text in claims {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("Write a claim and its value, such as given_name=Ada, not “{text}”."))
        })?;
        edits.push(edit(key, Some(value))?);
    }
    for key in unset {
        edits.push(edit(key, None)?);
    }
    let profile = if edits.is_empty() {
        app.accounts.profile(&user.id).map_err(refused)?.unwrap_or_default()
    } else {
        app.admin.change_claims(By::Machine, &user, &edits).await.map_err(told)?
    };
    Ok(lines_of(&profile))
}

fn edit(key: &str, value: Option<&str>) -> Result<Edit, Failure> {
    Edit::parse(key, value).map_err(|error| {
        let is_unknown = error == EditFault::Unknown;
        let mut failure = told(fault(key, error));
        if is_unknown {
            let _ = write!(failure.text, " There are: {}.", known_claims());
        }
        failure
    })
}

/// Writes a profile as `--claim` takes it, one claim a line.
fn lines_of(profile: &ProfileRecord) -> String {
    let mut text = String::new();
    let known = profile.texts().into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (key, value) in known {
        let _ = writeln!(text, "{key}={value}");
    }
    for (part, value) in profile.address.parts() {
        let _ = writeln!(text, "address.{part}={}", value.replace('\n', ", "));
    }
    for (name, value) in &profile.attributes {
        let _ = writeln!(text, "attributes.{name}={value}");
    }
    if let Some(subject) = &profile.subject {
        let _ = writeln!(text, "subject={subject}");
    }
    let _ = writeln!(text, "phone_number_verified={}", profile.phone_number_verified);
    let _ = writeln!(text, "email_verified={}", profile.email_verified);
    text
}
