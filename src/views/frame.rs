//! What surrounds every page: title, instance name, viewer, navigation, notice.

use super::assets::{Assets, assets};
use super::navigation::{ACCOUNT, ADMIN, Entry, holds};
use crate::words::{Lang, Words};

/// The colors a visitor chose; `Auto` follows the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Follow the device.
    #[default]
    Auto,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// The name of the cookie in which the choice is kept. It holds no secret.
    pub const COOKIE: &'static str = "dw_theme";

    /// Takes the value of the cookie [`Theme::COOKIE`]; anything unknown is `Auto`.
    pub fn from_cookie(value: &str) -> Self {
        match value {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::Auto,
        }
    }

    /// Returns `light`, `dark` or `auto`.
    pub fn as_str(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// How a message, badge or strip feels: it picks the color and the icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Good: something worked.
    Ok,
    /// Neutral.
    Info,
    /// Needs attention, nothing is broken.
    Warn,
    /// Refused, broken or dangerous.
    Danger,
}

impl Kind {
    /// Returns the CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Ok => "ok",
            Kind::Info => "info",
            Kind::Warn => "warn",
            Kind::Danger => "danger",
        }
    }
}

/// One message at the top of a page, such as "Password changed".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Color and icon.
    pub kind: Kind,
    /// A full sentence.
    pub text: String,
}

/// The signed-in person, as the header shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Display name, else the username.
    pub display_name: String,
    /// One or two letters; see [`super::initials`].
    pub initials: String,
    /// Shows the Admin entry of the navigation.
    pub is_admin: bool,
}

/// What every page needs besides its own content.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Page title and, on most pages, the heading.
    pub title: String,
    /// The name the owner gave this Doorward.
    pub instance_name: String,
    /// Value of the hidden field `csrf`; empty leaves the field out.
    pub csrf: String,
    /// The signed-in person; `None` when anonymous.
    pub viewer: Option<Viewer>,
    /// Which navigation entry is current: `home`, a name of `navigation`, or empty.
    pub current: &'static str,
    /// One message above the content.
    pub notice: Option<Notice>,
    /// Colors, from the cookie [`Theme::COOKIE`].
    pub theme: Theme,
    /// The texts, in the language of the visitor.
    pub t: Words,
    /// Where the switch of language and colors leads back to: path and query of the page. Empty where there is none.
    pub here: String,
    /// Hashed asset addresses.
    pub assets: &'static Assets,
}

impl Frame {
    /// Makes the frame of an anonymous page; set the other fields as needed.
    pub fn new(title: impl Into<String>, instance_name: impl Into<String>) -> Self {
        Frame {
            title: title.into(),
            instance_name: instance_name.into(),
            csrf: String::new(),
            viewer: None,
            current: "",
            notice: None,
            theme: Theme::Auto,
            t: Words::ENGLISH,
            here: "/".to_owned(),
            assets: assets(),
        }
    }

    /// Sets the CSRF field.
    #[must_use]
    pub fn with_csrf(mut self, csrf: impl Into<String>) -> Self {
        self.csrf = csrf.into();
        self
    }

    /// Forgets the query of the page's address, for a page that shows a secret: text of somebody else's choice beside it
    /// would tell of it by the length of the compressed page (BREACH).
    #[must_use]
    pub fn without_query(mut self) -> Self {
        let path = self.here.split('?').next().unwrap_or_default().len();
        self.here.truncate(path);
        self
    }

    /// Sets the signed-in person and the current navigation entry.
    #[must_use]
    pub fn for_viewer(mut self, viewer: Viewer, current: &'static str) -> Self {
        self.viewer = Some(viewer);
        self.current = current;
        self
    }

    /// Sets the message above the content.
    #[must_use]
    pub fn with_notice(mut self, kind: Kind, text: impl Into<String>) -> Self {
        self.notice = Some(Notice { kind, text: text.into() });
        self
    }

    /// Whether the current page belongs to the admin part.
    pub fn is_admin_page(&self) -> bool {
        holds(ADMIN, self.current)
    }

    /// Whether the current page belongs to the account part.
    pub fn is_account_page(&self) -> bool {
        holds(ACCOUNT, self.current)
    }

    /// The pages of the part that the current page belongs to.
    pub fn side(&self) -> &'static [Entry] {
        match (self.is_account_page(), self.is_admin_page()) {
            (true, _) => ACCOUNT,
            (_, true) => ADMIN,
            _ => &[],
        }
    }

    /// The languages of the switch.
    pub fn other_languages(&self) -> impl Iterator<Item = Lang> {
        let own = self.t.lang();
        Lang::ALL.into_iter().filter(move |lang| *lang != own)
    }

    /// Where administration begins.
    pub fn admin_path(&self) -> &'static str {
        ADMIN.first().map_or("/", |entry| entry.path)
    }
}
