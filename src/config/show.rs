//! Settings for people: the effective values with their origins, and the table of the documentation.

use std::fmt::Write as _;

use super::keys::{KEYS, Key};
use super::{Origin, Settings, Shape};
use crate::words::Words;

/// A setting in effect, as it may be shown: secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The key.
    pub key: &'static Key,
    /// The value as text; empty for none.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl Settings {
    /// Returns every setting in the order of the documentation. Secrets are masked.
    pub fn shown_all(&self) -> Vec<Shown> {
        let shown = |key: &'static Key| Shown {
            key,
            value: self.value_of(key),
            origin: self.origin(key.name).unwrap_or(&Origin::Default).clone(),
        };
        KEYS.iter().map(shown).collect()
    }

    /// Returns the effective value of `key` as text; secrets are masked. `None` for an unknown key.
    pub fn shown(&self, key: &str) -> Option<String> {
        super::find(key).map(|key| self.value_of(key))
    }

    fn value_of(&self, key: &Key) -> String {
        let text = self.found.get(key.name).map_or(key.default, |found| found.text.as_str());
        match (key.is_secret, text) {
            (_, "") => String::new(),
            (true, _) => "••••••••".to_owned(),
            (false, text) => text.to_owned(),
        }
    }

    /// Returns all settings as TOML. Secrets are masked.
    pub fn show(&self) -> String {
        self.write_all(false)
    }

    /// Returns all settings as TOML, each with its origin as a comment. Secrets are masked.
    pub fn show_with_origin(&self) -> String {
        self.write_all(true)
    }

    fn write_all(&self, with_origin: bool) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in KEYS.iter() {
            let Some((of, name)) = key.name.split_once('.') else { continue };
            if of != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{gap}[{of}]");
                section = of;
            }
            let line = format!("{name} = {}", as_toml(key.shape, &self.value_of(key)));
            let origin = self.origin(key.name).unwrap_or(&Origin::Default);
            let _ =
                if with_origin { writeln!(text, "{line:<44} # {origin}") } else { writeln!(text, "{line}") };
        }
        text
    }
}

fn as_toml(shape: Shape, text: &str) -> String {
    match shape {
        Shape::Integer | Shape::Switch => text.to_owned(),
        Shape::IntegerOrText if text.parse::<u64>().is_ok() => text.to_owned(),
        Shape::Text | Shape::IntegerOrText => quoted(text),
        Shape::List => {
            let items: Vec<String> =
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// A JSON string is a TOML string too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the table of all settings in Markdown, for the manual.
pub fn documentation_table() -> String {
    let mut text =
        String::from("| Setting | Environment | Default | Allowed | What it does |\n|---|---|---|---|---|\n");
    for key in KEYS.iter() {
        let default = if key.default.is_empty() { "none".to_owned() } else { format!("`{}`", key.default) };
        let file = if key.is_secret { " (or `…_FILE`)" } else { "" };
        let _ = writeln!(
            text,
            "| `{}` | `{}`{file} | {default} | {} | {} |",
            key.name,
            key.variable(),
            key.allowed.replace('|', "\\|"),
            (key.help)(Words::ENGLISH)
        );
    }
    text
}
