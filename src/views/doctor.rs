//! Administration: how a protected host looks from outside.

use askama::Template;

use super::frame::Frame;
use super::parts::{Check, Choice, FieldErrors};

/// `GET /admin/doctor`.
///
/// Form: POST `/admin/doctor`, fields `csrf`, `host`, `proxy` (one of `proxies`).
#[derive(Debug, Template)]
#[template(path = "admin/doctor.html", config = "web/askama.toml")]
pub struct Doctor {
    /// Common parts.
    pub frame: Frame,
    /// The host that was typed.
    pub host: String,
    /// An example, for the hint.
    pub example_host: String,
    /// Which proxy the lines are for.
    pub proxies: Vec<Choice>,
    /// What was found; empty before a host was looked at.
    pub checks: Vec<Check>,
    /// Errors on `host`.
    pub errors: FieldErrors,
}

impl Doctor {
    fn hint(&self) -> String {
        format!("As it stands in the browser’s address bar, such as {}", self.example_host)
    }
}
