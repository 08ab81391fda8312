//! Text with emphasis, code and links. Its tags come from `web/i18n` alone; every value in it is escaped.

use std::fmt;

use askama::filters::{Escaper, Html, HtmlSafe};

/// Markup for a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rich(String);

impl Rich {
    pub(super) fn new() -> Self {
        Rich(String::new())
    }

    /// Adds text, escaped.
    pub(super) fn text(&mut self, text: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = Html.write_escaped_str(&mut self.0, &text.to_string());
    }

    /// Adds a tag of ours.
    pub(super) fn tag(&mut self, tag: &'static str) {
        self.0.push_str(tag);
    }

    /// Begins a link. What is no path of ours, web address or key of an authenticator app leads nowhere.
    pub(super) fn link(&mut self, target: impl fmt::Display) {
        const SCHEMES: [&str; 3] = ["https://", "http://", "otpauth://"];
        let target = target.to_string();
        // Browsers read `/\host` as `//host`, and leave tabs and line ends out before they look.
        let is_plain = !target.bytes().any(|byte| byte <= b' ' || byte == b'\\');
        let is_own = (target.starts_with('/') && !target.starts_with("//")) || target.starts_with('#');
        let is_sound = is_plain && (is_own || SCHEMES.iter().any(|scheme| target.starts_with(scheme)));
        self.0.push_str("<a href=\"");
        self.text(if is_sound { target.as_str() } else { "#" });
        self.0.push_str("\">");
    }
}

impl fmt::Display for Rich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Rich {}
