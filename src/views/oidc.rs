//! What people see while an app signs them in through OpenID Connect.

use askama::Template;

use super::frame::Frame;
use super::parts::Hidden;

/// Something that an app would learn or may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// In plain words: "Your e-mail address".
    pub text: String,
    /// What it would read: "ana@home.example"; may be empty.
    pub value: String,
}

impl From<&str> for Item {
    fn from(text: &str) -> Self {
        Item { text: text.to_owned(), value: String::new() }
    }
}

/// May the app? (OIDC Core section 3.1.2.4.)
///
/// Form: POST `action`, fields `csrf`, `request`, `question`, `decision`: `allow` or `deny`.
#[derive(Debug, Template)]
#[template(path = "oidc/consent.html")]
pub struct Consent {
    /// Common parts; the title is the question.
    pub frame: Frame,
    /// The name of the app.
    pub client_name: String,
    /// One or two letters in place of a logo.
    pub initials: String,
    /// The host that the browser is sent to.
    pub leads_to: String,
    /// Whether the app registered itself, so that nobody here vouches for its name.
    pub registered_itself: bool,
    /// Who is signed in.
    pub display_name: String,
    /// Their username.
    pub username: String,
    /// What the app would learn or may do.
    pub items: Vec<Item>,
    /// Whether the person is asked this once.
    pub is_asked_once: bool,
    /// The APIs it may use in the name of the person.
    pub resources: Vec<String>,
    /// Where the form goes.
    pub action: String,
    /// The request, to be judged again.
    pub request: String,
    /// What the page asks, to be compared with what is asked when the answer comes.
    pub question: String,
    /// Where "Use another account" leads.
    pub switch_url: String,
}

/// Takes an answer to an app by POST (Form Post Response Mode). Sends itself; without scripts there is a button.
#[derive(Debug, Template)]
#[template(path = "oidc/form_post.html")]
pub struct FormPost {
    /// Common parts.
    pub frame: Frame,
    /// The redirect URI.
    pub action: String,
    /// The answer.
    pub fields: Vec<Hidden>,
}

/// An app wishes that the person signs out (RP-Initiated Logout section 2).
///
/// Form: POST `/logout`, fields `csrf` and everything in `hidden`.
#[derive(Debug, Template)]
#[template(path = "oidc/logout.html")]
pub struct Logout {
    /// Common parts.
    pub frame: Frame,
    /// The wish, to be judged again.
    pub hidden: Vec<Hidden>,
    /// The app, if it said which.
    pub client_name: Option<String>,
    /// Who is signed in.
    pub display_name: String,
}

/// The code that a device shows (RFC 8628 section 3.3).
///
/// Form: POST `/device`, fields `csrf`, `user_code`.
#[derive(Debug, Template)]
#[template(path = "oidc/device_code.html")]
pub struct DeviceCode {
    /// Common parts.
    pub frame: Frame,
    /// What was typed.
    pub user_code: String,
    /// What was wrong with it.
    pub error: Option<String>,
}

/// May the device?
///
/// Form: POST `/device`, fields `csrf`, `user_code`, `decision`: `allow` or `deny`.
#[derive(Debug, Template)]
#[template(path = "oidc/device_confirm.html")]
pub struct DeviceConfirm {
    /// Common parts; the title is the question.
    pub frame: Frame,
    /// The name of the app.
    pub client_name: String,
    /// One or two letters in place of a logo.
    pub initials: String,
    /// The code, to compare with the device.
    pub user_code: String,
    /// Where the device asked from.
    pub place: String,
    /// Who is signed in.
    pub display_name: String,
    /// Whether the app registered itself, so that nobody here vouches for it.
    pub registered_itself: bool,
    /// What the app would learn or may do.
    pub items: Vec<Item>,
    /// The APIs where it would act for the person.
    pub resources: Vec<String>,
}

/// The device is in, or not.
#[derive(Debug, Template)]
#[template(path = "oidc/device_done.html")]
pub struct DeviceDone {
    /// Common parts.
    pub frame: Frame,
    /// The name of the app.
    pub client_name: String,
    /// What the person decided.
    pub is_allowed: bool,
}
