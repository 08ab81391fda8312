//! Scopes that administrators make up, and apps that register themselves.

use askama::Template;

use super::frame::Frame;
use super::parts::{FieldErrors, When};

/// A scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRow {
    /// Name.
    pub name: String,
    /// What it shows.
    pub claims: String,
}

/// A token with which apps may register themselves, shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub text: String,
    /// Until when it works.
    pub until: When,
}

/// `GET /admin/scopes`.
///
/// Forms, POST: `/admin/scopes` (`csrf`, `name`, `claims`: one `claim=attribute` a line), `/admin/scopes/remove` (`csrf`,
/// `name`), `/admin/registration-tokens` (`csrf`, `uses`, `days`), `/admin/registration-tokens/drop` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/scopes.html")]
pub struct Scopes {
    /// Common parts.
    pub frame: Frame,
    /// The scopes by name.
    pub rows: Vec<ScopeRow>,
    /// Prefilled name.
    pub name: String,
    /// Prefilled claims.
    pub claims: String,
    /// Prefilled number of apps.
    pub uses: String,
    /// Prefilled number of days.
    pub days: String,
    /// A token that was just made.
    pub token: Option<Token>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}
