//! Administration of apps that sign people in through OpenID Connect.

use askama::Template;

use super::frame::Frame;
use super::parts::{Badge, Choice, Fact, FieldErrors};

/// One app in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRow {
    /// Address of the detail page: `/admin/apps/{id}`.
    pub url: String,
    /// The client id.
    pub id: String,
    /// The name.
    pub name: String,
    /// One or two letters.
    pub initials: String,
    /// Such as `Switched off`.
    pub badges: Vec<Badge>,
}

/// `GET /admin/apps`.
#[derive(Debug, Template)]
#[template(path = "admin/apps.html", config = "web/askama.toml")]
pub struct Apps {
    /// Common parts.
    pub frame: Frame,
    /// All apps.
    pub rows: Vec<AppRow>,
}

/// `GET /admin/apps/new`.
///
/// Form: POST `/admin/apps/new`, fields `csrf`, `name`, `redirect_uris` (one per line), `kind` (radio).
#[derive(Debug, Template)]
#[template(path = "admin/app_new.html", config = "web/askama.toml")]
pub struct AppNew {
    /// Common parts.
    pub frame: Frame,
    /// Prefilled name.
    pub name: String,
    /// Prefilled addresses, one per line.
    pub redirect_uris: String,
    /// Whether it can keep a secret.
    pub kinds: Vec<Choice>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// One value to copy into the app's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What apps call it.
    pub label: &'static str,
    /// The value.
    pub value: String,
}

/// `GET /admin/apps/{id}`.
///
/// Forms, POST below `url`: itself (`csrf` and the fields of the settings), `/secret`, `/drop-secret`, `/switch`,
/// `/remove` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/app.html", config = "web/askama.toml")]
pub struct App {
    /// Common parts.
    pub frame: Frame,
    /// `/admin/apps/{id}`.
    pub url: String,
    /// One or two letters.
    pub initials: String,
    /// The name as it is.
    pub shown_name: String,
    /// Such as `Switched off`.
    pub badges: Vec<Badge>,
    /// A secret that was just made; shown once.
    pub secret: Option<String>,
    /// What the app's own form asks for.
    pub values: Vec<Copied>,
    /// How many secrets are good.
    pub secrets: usize,
    /// Whether the app proves itself by secret.
    pub has_secret: bool,
    /// Whether it is switched off.
    pub is_disabled: bool,
    /// What is said about it, such as when it was added.
    pub facts: Vec<Fact>,
    /// The name as typed.
    pub name: String,
    /// One per line.
    pub redirect_uris: String,
    /// One per line.
    pub post_logout_redirect_uris: String,
    /// May be empty.
    pub backchannel_logout_uri: String,
    /// Separated by spaces.
    pub scopes: String,
    /// Who may use it.
    pub groups: Vec<Choice>,
    /// What people must have proven.
    pub levels: Vec<Choice>,
    /// When people are asked.
    pub consents: Vec<Choice>,
    /// How the app proves itself.
    pub auth_methods: Vec<Choice>,
    /// How its id_tokens are signed.
    pub algorithms: Vec<Choice>,
    /// Whether it must use PKCE.
    pub needs_pkce: bool,
    /// Whether that can be chosen.
    pub may_choose_pkce: bool,
    /// Whether claims stand in the id_token too.
    pub claims_in_id_token: bool,
    /// Errors on the fields.
    pub errors: FieldErrors,
}
