//! `doorward user`: people, from the machine itself. Works also when nobody can sign in.

mod app_token;
mod passkeys;

use std::fmt::Write as _;
use std::io::Read;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::accounts::links::{INVITE_LIFETIME, RESET_LIFETIME};
use crate::accounts::passwords::end_of_sessions;
use crate::accounts::profile::{Edit, EditFault};
use crate::accounts::records::{LinkPurpose, Role, Status, UserRecord};
use crate::accounts::users::{AccountError, NewUser};
use crate::accounts::{Accounts, ProfileRecord, User};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::crypto::password::Ticket;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::my_account::claims_of;
use crate::my_account::profile_api::known_claims;
use crate::store::Batch;

/// The longest password that standard input is read for.
const LONGEST_INPUT: u64 = 4096;

/// What to do with people.
#[derive(Subcommand, Serialize, Deserialize)]
pub(super) enum UserCommand {
    /// List everyone.
    List,
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
        #[serde(default)]
        reuse_username: bool,
        /// Read the password from standard input instead of making a link.
        #[arg(long)]
        password_stdin: bool,
        #[arg(skip)]
        #[serde(default)]
        password: String,
    },
    /// Set a password, read from standard input. Ends all sessions and links of the person.
    Passwd {
        /// The username.
        username: String,
        #[arg(skip)]
        #[serde(default)]
        password: String,
    },
    /// Lift suspensions.
    Unlock {
        /// The username.
        username: String,
    },
    /// Disable an account; its sessions and links end at once.
    Disable {
        /// The username.
        username: String,
    },
    /// Enable an account again.
    Enable {
        /// The username.
        username: String,
    },
    /// Remove every second factor: authenticator app, passkeys and recovery codes.
    #[command(name = "reset-2fa")]
    ResetSecondFactor {
        /// The username.
        username: String,
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
    pub(super) fn with_input(mut self) -> Result<Self, Failure> {
        match &mut self {
            UserCommand::Add { password_stdin: true, password, .. }
            | UserCommand::Passwd { password, .. } => {
                *password = read_password()?;
            }
            _ => {}
        }
        Ok(self)
    }
}

/// Reads one line from standard input.
pub(super) fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("The password cannot be read: {error}")))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage(
            "Give the password on standard input, such as: doorward user passwd ada < file",
        ));
    }
    Ok(line.to_owned())
}

pub(super) async fn run(app: &App, command: UserCommand) -> Result<String, Failure> {
    match command {
        UserCommand::List => Ok(list(&app.accounts)),
        UserCommand::Add { username, name, email, groups, role, password, reuse_username, .. } => {
            let new = Added { username: &username, name: &name, email: &email, groups: &groups, role: &role };
            add(app, new, password, reuse_username).await
        }
        UserCommand::Passwd { username, password } => passwd(app, &username, password).await,
        UserCommand::Unlock { username } => unlock(app, &username).await,
        UserCommand::Disable { username } => set_status(app, &username, Status::Disabled).await,
        UserCommand::Enable { username } => set_status(app, &username, Status::Active).await,
        UserCommand::ResetSecondFactor { username } => reset_second_factor(app, &username).await,
        UserCommand::Profile { username, claims, unset } => profile(app, &username, &claims, &unset).await,
        UserCommand::AppToken { command } => app_token::run(app, command).await,
        UserCommand::Passkeys { command } => passkeys::run(app, command).await,
        UserCommand::Link { username } => {
            let user = find(app, &username)?;
            link(app, &user, RESET_LIFETIME).await
        }
    }
}

fn list(accounts: &Accounts) -> String {
    let mut text = String::new();
    for user in accounts.directory().list(|_| true) {
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
    text
}

fn find(app: &App, name: &str) -> Result<std::sync::Arc<User>, Failure> {
    let found = app.accounts.resolve(name).map_err(|error| Failure::new(error.to_string()))?;
    found.ok_or_else(|| Failure::new(format!("There is no user “{name}”. `doorward user list` shows all.")))
}

fn refused(error: AccountError) -> Failure {
    Failure::new(Problem::from(error).detail.english())
}

/// What `user add` was given.
struct Added<'a> {
    username: &'a str,
    name: &'a str,
    email: &'a str,
    groups: &'a [String],
    role: &'a str,
}

async fn add(
    app: &App,
    Added { username, name, email, groups, role }: Added<'_>,
    password: String,
    reuse_username: bool,
) -> Result<String, Failure> {
    let wrong = |error: crate::kernel::text::TextError| Failure::usage(error.to_string());
    let username = Username::parse(username).map_err(wrong)?;
    let display_name =
        DisplayName::parse(if name.is_empty() { username.as_str() } else { name }).map_err(wrong)?;
    let email = if email.is_empty() { None } else { Some(Email::parse(email).map_err(wrong)?) };
    let groups =
        groups.iter().map(|group| GroupName::parse(group)).collect::<Result<_, _>>().map_err(wrong)?;
    let role = Role::parse(role).ok_or_else(|| Failure::usage("A role is member, admin or owner."))?;
    let password_hash = if password.is_empty() {
        None
    } else {
        let email = email.as_ref().map(Email::as_str);
        Some(accepted_hash(app, password, role, username.as_str(), email).await?)
    };
    let (has_password, has_email) = (password_hash.is_some(), email.is_some());
    let mut batch = app.store().batch();
    let new = NewUser { username: username.clone(), display_name, email, groups, role, password_hash };
    let id = app.accounts.stage_create_knowingly(&mut batch, new, reuse_username).map_err(|error| match error {
        AccountError::UsernameUsedBefore => Failure::new(
            "Somebody who was deleted had this username. Access rules and apps may still know them by it. To give it \
             away all the same, add --reuse-username.",
        ),
        other => refused(other),
    })?;
    if has_email {
        let profile = ProfileRecord { email_verified: true, ..ProfileRecord::default() };
        app.accounts.stage_new_profile(&mut batch, id, profile).map_err(refused)?;
    }
    app.audit.write(&mut batch, Event::succeeded(Kind::UserCreated).by_system("cli").on_user(id, &username));
    app.store().commit(batch).await.map_err(|error| Failure::new(error.to_string()))?;
    if has_password {
        return Ok(format!("{username} was added.\n"));
    }
    let user = app.accounts.user(&id).ok_or_else(|| Failure::new("The user vanished."))?;
    link(app, &user, INVITE_LIFETIME).await
}

async fn accepted_hash(
    app: &App,
    password: String,
    role: Role,
    username: &str,
    email: Option<&str>,
) -> Result<String, Failure> {
    let password = SecretText::new(password);
    app.accounts
        .check_password(&password, role, username, email)
        .map_err(|error| Failure::usage(error.to_string()))?;
    app.accounts
        .hash_password(&password, Ticket::default())
        .await
        .map_err(|_| Failure::new("The server is busy hashing passwords; try again."))
}

async fn passwd(app: &App, name: &str, password: String) -> Result<String, Failure> {
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

async fn unlock(app: &App, name: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    let mut batch = app.store().batch();
    let count = app.sign_in.lockout().stage_lift(&mut batch, user.id, None);
    let event = Event::succeeded(Kind::SuspensionLifted).by_system("cli").on_user(user.id, &user.username);
    app.audit.write(&mut batch, event);
    app.store().commit(batch).await.map_err(|error| Failure::new(error.to_string()))?;
    Ok(format!("{count} suspensions of {} were lifted.\n", user.username))
}

async fn set_status(app: &App, name: &str, status: Status) -> Result<String, Failure> {
    let user = find(app, name)?;
    let is_active = status == Status::Active;
    app.accounts
        .change(
            user.id,
            |record| {
                record.status = status;
                if !is_active {
                    record.not_before = end_of_sessions(record.not_before, app.now());
                }
                Ok(())
            },
            |batch, record| {
                let kind = if is_active { Kind::UserEnabled } else { Kind::UserDisabled };
                if !is_active {
                    app.sign_in.stage_end_everything(batch, user.id);
                }
                app.audit
                    .write(batch, Event::succeeded(kind).by_system("cli").on_user(user.id, &record.username));
            },
        )
        .await
        .map_err(refused)?;
    Ok(format!("{} is {}.\n", user.username, if is_active { "enabled" } else { "disabled" }))
}

async fn reset_second_factor(app: &App, name: &str) -> Result<String, Failure> {
    let user = find(app, name)?;
    app.accounts
        .reset_second_factor(
            user.id,
            |record| {
                record.not_before = end_of_sessions(record.not_before, app.now());
                record.notice =
                    Some("An administrator removed your second factor. Set it up again.".to_owned());
            },
            |batch, record| {
                app.sign_in.stage_end_everything(batch, user.id);
                let event = Event::succeeded(Kind::SecondFactorReset)
                    .by_system("cli")
                    .on_user(user.id, &record.username);
                app.audit.write(batch, event);
            },
        )
        .await
        .map_err(refused)?;
    Ok(format!("The second factor of {} is removed; all sessions have ended.\n", user.username))
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
        let change = |profile: &mut ProfileRecord, _: &UserRecord| {
            profile.apply(&edits);
            Ok(())
        };
        let also = |batch: &mut Batch, record: &UserRecord| {
            let event =
                Event::succeeded(Kind::UserChanged).by_system("cli").on_user(user.id, &record.username);
            app.audit.write(batch, event.detail("fields", claims_of(&edits)));
        };
        app.accounts.change_profile(user.id, change, also).await.map_err(refused)?
    };
    Ok(lines_of(&profile))
}

fn edit(key: &str, value: Option<&str>) -> Result<Edit, Failure> {
    Edit::parse(key, value).map_err(|fault| match fault {
        EditFault::Unknown => {
            Failure::usage(format!("There is no claim “{key}”. There are: {}.", known_claims()))
        }
        EditFault::Value(_, error) => Failure::usage(format!("{key}: {error}")),
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

async fn link(app: &App, user: &User, lifetime: std::time::Duration) -> Result<String, Failure> {
    let event = Event::succeeded(Kind::LinkCreated).by_system("cli").on_user(user.id, &user.username);
    let mut batch = app.store().batch();
    if app.accounts.stage_withdraw_links(&mut batch, user.id) > 0 {
        let event = Event::succeeded(Kind::LinkWithdrawn).by_system("cli").on_user(user.id, &user.username);
        app.audit.write(&mut batch, event);
    }
    let purpose = LinkPurpose::ResetPassword(user.id);
    let (secret, _) = app.accounts.stage_make_link(&mut batch, purpose, lifetime);
    app.audit.write(&mut batch, event);
    app.store().commit(batch).await.map_err(|error| Failure::new(error.to_string()))?;
    let origin = app.site.origin().text;
    let hours = lifetime.as_secs() / 3600;
    Ok(format!(
        "{origin}/link/{secret}\nThis link lets {} choose a password, once, within {hours} hours.\n",
        user.username
    ))
}
