//! The page of a signed-in person: `/`.

use askama::Template;

use super::account::Strip;
use super::frame::Frame;
use super::parts::When;

/// An app the person may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppTile {
    /// Name or host.
    pub name: String,
    /// Host, for the second line.
    pub host: String,
    /// Where it lives.
    pub url: String,
}

/// `GET /`.
#[derive(Debug, Template)]
#[template(path = "home.html", config = "web/askama.toml")]
pub struct Home {
    /// Common parts.
    pub frame: Frame,
    /// Display name, for the greeting.
    pub display_name: String,
    /// Security summary.
    pub strip: Strip,
    /// Apps this person may open; may be empty.
    pub apps: Vec<AppTile>,
    /// The sign-in before this one.
    pub last_sign_in: Option<When>,
    /// Where it came from; may be empty.
    pub last_sign_in_from: String,
}
