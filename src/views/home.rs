//! The page of a signed-in person: `/`.

use askama::Template;

use super::account::Strip;
use super::frame::Frame;
use super::parts::{When, initials};

/// An app the person may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppTile {
    /// Name or host.
    pub name: String,
    /// One or two letters in place of a logo.
    pub initials: String,
    /// Host, for the second line.
    pub host: String,
    /// Where it lives.
    pub url: String,
    /// Whether it asks for a second factor first, which the session has not proven.
    pub asks_more: bool,
}

impl AppTile {
    /// Names an app by the first part of its host: `photos.home.example` is `Photos`.
    pub fn of_host(host: String, asks_more: bool) -> Self {
        let mut letters = host.split('.').next().unwrap_or_default().chars();
        let name = letters
            .next()
            .map_or_else(String::new, |letter| letter.to_uppercase().collect::<String>() + letters.as_str());
        AppTile { initials: initials(&name), name, url: format!("https://{host}/"), host, asks_more }
    }
}

/// `GET /`: hello, and the apps to open.
///
/// Form: GET `/`, field `q`, where there are many apps.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct Home {
    /// Common parts.
    pub frame: Frame,
    /// Display name, for the greeting.
    pub display_name: String,
    /// Security summary, if there is something to do.
    pub strip: Option<Strip>,
    /// Apps this person may open and looked for; by name.
    pub apps: Vec<AppTile>,
    /// Whether there are so many that a search is offered.
    pub has_search: bool,
    /// What is searched for; may be empty.
    pub query: String,
    /// The sign-in before this one.
    pub last_sign_in: Option<When>,
    /// Where it came from; may be empty.
    pub last_sign_in_from: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_are_named_by_their_host() {
        let tile = AppTile::of_host("photos.home.example".to_owned(), false);
        assert_eq!((tile.name.as_str(), tile.initials.as_str()), ("Photos", "P"));
        assert_eq!(tile.url, "https://photos.home.example/");
    }
}
