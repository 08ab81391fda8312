//! Administration: how a protected host looks from outside.

use askama::Template;

use super::frame::Frame;
use super::parts::{Check, CheckState, Choice, FieldErrors};

/// `GET /admin/doctor`.
///
/// Form: POST `/admin/doctor`, fields `csrf`, `host`, `proxy` (one of `proxies`).
#[derive(Debug, Template)]
#[template(path = "admin/doctor.html")]
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
        self.frame.t.doctor_host_hint(&self.example_host)
    }

    /// How many checks ask for a change.
    fn to_change(&self) -> usize {
        self.checks.iter().filter(|check| check.state == CheckState::Fix).count()
    }
}
