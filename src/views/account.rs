//! My account: profile, security, sessions, activity.

use askama::Template;

use super::frame::{Frame, Kind};
use super::parts::{Choice, Event, FieldErrors, Pager, SessionRow, Svg, When};

/// How well an account is protected, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    /// `Ok`: good. `Warn`: could be better. `Danger`: at risk.
    pub kind: Kind,
    /// One sentence: what is good, or what could be better.
    pub text: String,
    /// Where that is done.
    pub todo: Option<Todo>,
}

/// What would make an account safer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Todo {
    /// What to do, such as "Add a passkey".
    pub label: String,
    /// Where.
    pub url: &'static str,
}

/// `GET /account`: who I am.
///
/// Form: POST `/account`, fields `csrf`, `display_name`, `email`. Deleting leads to `/account/delete`.
#[derive(Debug, Template)]
#[template(path = "account/profile.html")]
pub struct Profile {
    /// Common parts.
    pub frame: Frame,
    /// Username; cannot be changed here.
    pub username: String,
    /// Display name.
    pub display_name: String,
    /// E-mail address; may be empty.
    pub email: String,
    /// Role in words: `Owner`, `Admin`, `Member`.
    pub role: String,
    /// Group names.
    pub groups: Vec<String>,
    /// Since when the account exists.
    pub since: When,
    /// Why the account cannot be deleted (the owner's), or `None` if it can.
    pub cannot_delete: Option<String>,
    /// Errors on `display_name`, `email`.
    pub errors: FieldErrors,
}

/// `GET /account/export`: one's own data as a file.
///
/// Form: POST `/account/export`, field `csrf`; answers with the file.
#[derive(Debug, Template)]
#[template(path = "account/export.html")]
pub struct Export {
    /// Common parts.
    pub frame: Frame,
    /// Whether the file can be had without confirming first who is there.
    pub is_fresh: bool,
}

/// `GET /account/delete`.
///
/// Form: POST `/account/delete`, fields `csrf`, `confirm_username`.
#[derive(Debug, Template)]
#[template(path = "account/delete.html")]
pub struct Delete {
    /// Common parts.
    pub frame: Frame,
    /// What must be typed.
    pub username: String,
    /// How many passkeys end.
    pub passkeys: usize,
    /// How many app tokens end.
    pub app_tokens: usize,
    /// Errors on `confirm_username`.
    pub errors: FieldErrors,
}

/// The authenticator app of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpState {
    /// When it was added.
    pub added: When,
    /// When a code was last accepted.
    pub last_used: Option<When>,
}

/// `GET /account/security`: password, authenticator app, recovery codes.
///
/// Forms: POST `/account/password` (`csrf`, `current_password`, `new_password`); POST `/account/totp/remove` (`csrf`);
/// POST `/account/recovery-codes` (`csrf`) makes ten new codes. Enrolment starts at GET `/account/totp`.
#[derive(Debug, Template)]
#[template(path = "account/security.html")]
pub struct Security {
    /// Common parts.
    pub frame: Frame,
    /// Username, for password managers.
    pub username: String,
    /// Summary line.
    pub strip: Strip,
    /// When the password was last changed.
    pub password_changed: Option<When>,
    /// Fewest characters of a password.
    pub min_length: u32,
    /// The authenticator app, if there is one.
    pub totp: Option<TotpState>,
    /// Why the app cannot be removed ("Your admin asks for a second factor"), or `None` if it can.
    pub cannot_remove_totp: Option<String>,
    /// Unused recovery codes.
    pub recovery_left: u32,
    /// Size of a set of recovery codes, 10.
    pub recovery_total: u32,
    /// The passkeys.
    pub passkeys: Vec<PasskeyRow>,
    /// Why no passkey works at this address, or `None` if they do.
    pub passkeys_unavailable: Option<&'static str>,
    /// How many devices and programs are signed in.
    pub sessions: usize,
    /// How many apps have access.
    pub apps: usize,
    /// How many app tokens there are.
    pub app_tokens: usize,
    /// Errors on `current_password`, `new_password`.
    pub errors: FieldErrors,
}

/// A passkey in the list.
#[derive(Clone, Debug)]
pub struct PasskeyRow {
    /// Its handle.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub added: When,
    /// When it was last used.
    pub last_used: Option<When>,
    /// Whether it was copied to other devices.
    pub is_synced: bool,
    /// Whether it ever made sure who is there; else it stands beside a password alone.
    pub is_verified: bool,
}

/// `GET /account/passkeys`: add a passkey.
///
/// Form: POST `/account/passkeys`, fields `csrf`, `name`, `credential` (what the browser answered, as JSON).
#[derive(Debug, Template)]
#[template(path = "account/passkey.html")]
pub struct NewPasskey {
    /// Common parts.
    pub frame: Frame,
    /// What the browser needs, as JSON.
    pub options: String,
    /// The name so far.
    pub name: String,
    /// Why no passkey works at this address, or `None` if they do.
    pub unavailable: Option<&'static str>,
    /// Errors on `name`.
    pub errors: FieldErrors,
}

/// `GET /account/totp`: add or replace the authenticator app.
///
/// Form: POST `/account/totp`, fields `csrf`, `code`.
#[derive(Debug, Template)]
#[template(path = "account/totp.html")]
pub struct Totp {
    /// Common parts.
    pub frame: Frame,
    /// QR code of the otpauth URI.
    pub qr: Svg,
    /// The secret in base32, in groups of four.
    pub secret_text: String,
    /// The otpauth URI, for a link on the same device.
    pub otpauth_uri: String,
    /// Whether it replaces an app in use (which works until the new code is confirmed).
    pub replaces: bool,
    /// Errors on `code`.
    pub errors: FieldErrors,
}

/// Ten new recovery codes, shown once.
///
/// No form: "Done" leads back to `/account/security`.
#[derive(Debug, Template)]
#[template(path = "account/recovery_codes.html")]
pub struct RecoveryCodes {
    /// Common parts.
    pub frame: Frame,
    /// Username, for the heading of the saved file.
    pub username: String,
    /// The codes.
    pub codes: Vec<String>,
}

/// `GET /account/sessions`: devices, programs and apps that are signed in.
///
/// Forms: POST `/account/sessions/end` (`csrf`, `handle`); POST `/account/sessions/end-others` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "account/sessions.html")]
pub struct Sessions {
    /// Common parts.
    pub frame: Frame,
    /// Browsers, the current one first.
    pub rows: Vec<SessionRow>,
    /// Programs that signed in by the API.
    pub programs: Vec<ProgramRow>,
    /// Apps that stay signed in while nobody is there.
    pub stays: Vec<AppStay>,
}

/// A program that signed in by the API: a family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRow {
    /// The session.
    pub session: SessionRow,
    /// When it ends at the latest unless it is used.
    pub ends: When,
}

/// An app that stays signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppStay {
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: When,
    /// When it last used that.
    pub last_used: Option<When>,
}

/// An app that has access to the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRow {
    /// Value of the field `client`.
    pub client: String,
    /// Its name.
    pub name: String,
    /// One or two letters in place of a logo.
    pub initials: String,
    /// What it may see and do, in plain words.
    pub items: Vec<String>,
    /// Since when.
    pub since: When,
    /// When it last used it.
    pub last_used: Option<When>,
    /// Whether it is signed in at the moment.
    pub is_signed_in: bool,
    /// Whether it stays so while the person is away.
    pub stays_signed_in: bool,
    /// Whether it has to ask again after this.
    pub asks_again: bool,
}

/// `GET /account/apps`: the apps with access to the account.
///
/// Form: POST `/account/apps/revoke` (`csrf`, `client`).
#[derive(Debug, Template)]
#[template(path = "account/apps.html")]
pub struct AppsWithAccess {
    /// Common parts.
    pub frame: Frame,
    /// All of them, by name.
    pub rows: Vec<AppRow>,
}

impl Sessions {
    /// Whether there are sessions besides the current one.
    pub fn has_others(&self) -> bool {
        !self.programs.is_empty() || self.rows.iter().any(|row| !row.is_current)
    }
}

/// `GET /account/activity`: what happened with my account.
#[derive(Debug, Template)]
#[template(path = "account/activity.html")]
pub struct Activity {
    /// Common parts.
    pub frame: Frame,
    /// Newest first.
    pub events: Vec<Event>,
    /// Older pages, and the newest.
    pub pager: Pager,
}

/// An app token that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAppToken {
    /// What its owner calls it.
    pub name: String,
    /// The token itself, shown once.
    pub token: String,
}

/// An app token in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppTokenRow {
    /// Value of the field `handle`.
    pub handle: String,
    /// What its owner calls it.
    pub name: String,
    /// The hosts that it opens; empty for every app of the owner.
    pub hosts: String,
    /// When it was made.
    pub made: When,
    /// When it expires by itself.
    pub expires: Option<When>,
    /// Whether it has expired.
    pub is_expired: bool,
    /// When it was last used.
    pub last_used: Option<When>,
    /// Whether it opens apps that ask for two factors.
    pub proves_two: bool,
}

/// `GET /account/app-tokens`: tokens for programs that cannot sign in by themselves.
///
/// Forms: POST `/account/app-tokens` (`csrf`, `name`, `hosts`, `expires_in_days`); POST `/account/app-tokens/revoke`
/// (`csrf`, `handle`).
#[derive(Debug, Template)]
#[template(path = "account/app_tokens.html")]
pub struct AppTokens {
    /// Common parts.
    pub frame: Frame,
    /// Username, for programs that ask for one.
    pub username: String,
    /// The token that was just made.
    pub made: Option<NewAppToken>,
    /// All tokens, the newest first.
    pub rows: Vec<AppTokenRow>,
    /// Whether a token can be made without confirming first who is there.
    pub is_fresh: bool,
    /// Whether a token that is made now opens apps that ask for two factors.
    pub proves_two: bool,
    /// What was typed as the name.
    pub name: String,
    /// What was typed as the hosts.
    pub hosts: String,
    /// How long it may live.
    pub lives: Vec<Choice>,
    /// Errors on `name`, `hosts`.
    pub errors: FieldErrors,
}
