//! Small values that several pages share.

use std::fmt;

use super::frame::Kind;
pub use crate::kernel::when::When;
use crate::words::{Said, Words};

/// Messages about form fields, shown beside the field and in a summary with links on top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(&'static str, String)>);

impl FieldErrors {
    /// No errors.
    pub const fn none() -> Self {
        FieldErrors(Vec::new())
    }

    /// Makes one error: the id of the field (equal to its name in every form here) and a full sentence.
    pub fn one(field: &'static str, text: impl Into<String>) -> Self {
        FieldErrors(vec![(field, text.into())])
    }

    /// Takes the fields of a refusal, in the language of the visitor.
    pub fn said(words: Words, fields: &[(&'static str, Said)]) -> Self {
        FieldErrors(fields.iter().map(|(field, said)| (*field, said.in_words(words))).collect())
    }

    /// Adds an error.
    pub fn push(&mut self, field: &'static str, text: impl Into<String>) {
        self.0.push((field, text.into()));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first message for `field`, or an empty string.
    pub fn of(&self, field: &str) -> &str {
        self.0.iter().find(|(name, _)| *name == field).map_or("", |(_, text)| text.as_str())
    }

    /// Returns every field id with its message, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(field, text)| (*field, text.as_str()))
    }

    /// Returns how many fields are wrong.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// "Not now": a pause that ends. The page counts down; the text says everything without a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// A full sentence such as "Too many attempts. Try again in 4 minutes." It must read the same for unknown names.
    pub text: String,
    /// Seconds left, rounded up.
    pub seconds: u64,
}

impl Wait {
    /// Makes the message of a rate limit: "Too many attempts from here. Try again in 4 minutes."
    pub fn rate_limited(t: Words, seconds: u64) -> Self {
        Wait { text: t.ui_too_many_attempts(duration(t, seconds)), seconds }
    }

    /// Makes the message of a suspension: "Sign-in is paused here until … (after too many failures)".
    /// The same for unknown names (LIM-07).
    pub fn suspended(t: Words, until: &When, seconds: u64) -> Self {
        Wait { text: t.ui_paused_here(until.in_words(&t)), seconds }
    }
}

/// Returns `45 seconds`, `4 minutes` or `12 hours`, rounded up.
fn duration(t: Words, seconds: u64) -> String {
    match seconds {
        0..=90 => t.ui_seconds(seconds.max(1)),
        91..=5400 => t.ui_minutes(seconds.div_ceil(60)),
        _ => t.ui_hours(seconds.div_ceil(3600)),
    }
}

/// What a visitor wants to open: "to continue to Grafana (grafana.home.example)".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// The name of an app, or a host.
    pub name: String,
    /// The host that the app is at; empty if the name is the host.
    pub host: String,
}

impl From<&str> for Goal {
    fn from(name: &str) -> Self {
        Goal { name: name.to_owned(), host: String::new() }
    }
}

/// A hidden form field, such as the address to continue to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Field name.
    pub name: &'static str,
    /// Field value.
    pub value: String,
}

/// One option of a select, a group of radio buttons or a group of checkboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is posted.
    pub value: String,
    /// What people read.
    pub label: String,
    /// One more sentence; may be empty.
    pub hint: String,
    /// Whether it is chosen.
    pub selected: bool,
}

impl Choice {
    /// Makes a choice without a hint.
    pub fn new(value: impl Into<String>, label: impl Into<String>, selected: bool) -> Self {
        Choice { value: value.into(), label: label.into(), hint: String::new(), selected }
    }
}

/// A name and its value in a list of facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Such as `Address`.
    pub label: String,
    /// Such as `https://auth.home.example`.
    pub value: String,
}

impl Fact {
    /// Makes a fact.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Fact { label: label.into(), value: value.into() }
    }
}

/// A small colored word beside a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Color.
    pub kind: Kind,
    /// One or two words.
    pub text: String,
}

impl Badge {
    /// Makes a badge.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Badge { kind, text: text.into() }
    }
}

/// What a live check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// Fine.
    Pass,
    /// Something to change.
    Fix,
    /// Something to know; nothing has to be changed.
    Note,
    /// Could not be looked at (yet).
    Skipped,
}

/// One line of a list of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was found.
    pub state: CheckState,
    /// What was looked at: "HTTPS".
    pub label: String,
    /// One sentence: what was seen, and if it needs a fix, how.
    pub sentence: String,
    /// Lines to copy into a configuration file; empty if none.
    pub snippet: String,
}

impl Check {
    /// Makes a check without a snippet.
    pub fn new(state: CheckState, label: impl Into<String>, sentence: impl Into<String>) -> Self {
        Check { state, label: label.into(), sentence: sentence.into(), snippet: String::new() }
    }

    /// Whether it could not be looked at.
    pub fn is_skipped(&self) -> bool {
        self.state == CheckState::Skipped
    }

    /// Returns how many of a list could not be looked at.
    pub fn skipped(list: &[Check]) -> usize {
        list.iter().filter(|check| check.is_skipped()).count()
    }
}

/// One line of a timeline or of somebody's activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub when: When,
    /// Color and icon: `Ok` for success, `Danger` for a refusal, `Warn` for a change worth noticing.
    pub kind: Kind,
    /// In plain words: "Signed in with password and code".
    pub text: String,
    /// Device or place: "Firefox on Linux · 192.168.1.x"; may be empty.
    pub detail: String,
}

/// One browser session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Random handle that ends the session; never its secret (SES-10).
    pub handle: String,
    /// Such as `Firefox on Linux`.
    pub device: String,
    /// Shortened address, such as `192.168.1.x`; may be empty.
    pub place: String,
    /// When it began.
    pub since: When,
    /// When it was last used.
    pub last_seen: When,
    /// Whether this is the session that looks at the page.
    pub is_current: bool,
}

/// A one-time link that was just made: an invitation or a new password. It is shown once, with a picture to scan
/// (`ui::one_time_link`, with the script `copy.js`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeLink {
    /// Whom it is for; empty if anybody may use it.
    pub name: String,
    /// Whether it opens a new account; else it replaces a password.
    pub is_invite: bool,
    /// The whole address.
    pub url: String,
    /// Until when it works.
    pub expires: When,
    /// QR code of the address.
    pub qr: Option<Svg>,
}

impl OneTimeLink {
    /// Makes the part for a link, with its picture.
    pub fn new(name: impl Into<String>, is_invite: bool, url: String, expires: impl Into<When>) -> Self {
        OneTimeLink {
            name: name.into(),
            is_invite,
            qr: super::qr::qr_svg(&url),
            url,
            expires: expires.into(),
        }
    }
}

/// The links below a long list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pager {
    /// Such as `1–50 of 312`; may be empty.
    pub label: String,
    /// Address of the page before, if there is one.
    pub previous: Option<String>,
    /// Address of the page after, if there is one.
    pub next: Option<String>,
    /// Whether the newest stand first, and the page before is the first one.
    pub is_by_time: bool,
}

impl Pager {
    /// The links below a list whose newest entries stand first.
    pub fn by_time() -> Self {
        Pager { is_by_time: true, ..Pager::default() }
    }

    /// Whether there is anything to show.
    pub fn is_needed(&self) -> bool {
        self.previous.is_some() || self.next.is_some() || !self.label.is_empty()
    }
}

/// Markup made by this room alone; the only text that reaches a page unescaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// Takes markup that contains no foreign text.
    pub(super) fn new(markup: String) -> Self {
        Svg(markup)
    }

    /// Gives a picture the name that a screen reader says.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Self {
        let label: String =
            label.chars().filter(|letter| letter.is_alphanumeric() || " -".contains(*letter)).collect();
        Svg(self.0.replacen("role=\"img\"", &format!("role=\"img\" aria-label=\"{label}\""), 1))
    }

    /// Returns the markup, for an API answer.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Svg {}

/// Returns the first letters of the first and last word, in upper case; `?` for an empty name.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().and_then(|word| word.chars().next());
    let last = words.next_back().and_then(|word| word.chars().next());
    let letters: String = first.into_iter().chain(last).flat_map(char::to_uppercase).take(2).collect();
    if letters.is_empty() { "?".to_owned() } else { letters }
}
