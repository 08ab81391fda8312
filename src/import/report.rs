//! What a move tells: what was carried over, what not, and why. Holds no secret.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried over; in a dry run, it would be.
    Carried,
    /// It is here already, the same.
    AlreadyHere,
    /// Something else is in its place here, which was not touched.
    Conflict,
    /// It cannot be carried over.
    NotCarried,
}

impl Outcome {
    fn heading(self, is_applied: bool) -> &'static str {
        match self {
            Outcome::Carried if is_applied => "Carried over",
            Outcome::Carried => "Would be carried over",
            Outcome::AlreadyHere => "Here already",
            Outcome::Conflict => "In conflict with what is here, not touched",
            Outcome::NotCarried => "Not carried over",
        }
    }
}

/// One thing and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What kind of thing: `user`, `app`, `rule`, `rules`, `key`, `domain`, `setting`, `passkey`, `subject`, `totp`, `file`.
    pub kind: String,
    /// Which one.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, or what to know about it, in plain sentences; may be empty.
    pub why: String,
}

impl Line {
    /// Makes a line. Control characters, which files may hold, are escaped.
    pub fn new(kind: &str, name: impl Into<String>, outcome: Outcome, why: impl Into<String>) -> Self {
        let tidy = |text: String| {
            let mut tidied = String::with_capacity(text.len());
            for character in text.chars().take(500) {
                if character.is_control() {
                    tidied.extend(character.escape_default());
                } else {
                    tidied.push(character);
                }
            }
            tidied
        };
        Line { kind: kind.to_owned(), name: tidy(name.into()), outcome, why: tidy(why.into()) }
    }

    /// Makes a line about something that cannot be carried over.
    pub fn not_carried(kind: &str, name: impl Into<String>, why: impl Into<String>) -> Self {
        Line::new(kind, name, Outcome::NotCarried, why)
    }
}

/// Everything that a move tells.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Whether anything was changed, or only looked at.
    pub is_applied: bool,
    /// The lines, in the order in which things were looked at.
    pub lines: Vec<Line>,
}

impl Report {
    /// Returns how many lines have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.lines.iter().filter(|line| line.outcome == outcome).count()
    }

    /// Writes the report for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for outcome in [Outcome::Carried, Outcome::AlreadyHere, Outcome::Conflict, Outcome::NotCarried] {
            let count = self.count(outcome);
            if count == 0 {
                continue;
            }
            let _ = writeln!(text, "{} ({count}):", outcome.heading(self.is_applied));
            for line in self.lines.iter().filter(|line| line.outcome == outcome) {
                let _ = match line.why.as_str() {
                    "" => writeln!(text, "  {} {}", line.kind, line.name),
                    why => writeln!(text, "  {} {}: {why}", line.kind, line.name),
                };
            }
            text.push('\n');
        }
        text.push_str(if self.is_applied {
            "Done.\n"
        } else {
            "Nothing was changed. Run it again with --apply to carry this over.\n"
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_groups_by_outcome_and_escapes() {
        let report = Report {
            is_applied: false,
            lines: vec![
                Line::new("user", "ada\u{1b}[31m", Outcome::Carried, ""),
                Line::not_carried("setting", "smtp", "There is no mail here."),
            ],
        };
        let text = report.to_text();
        assert!(text.starts_with("Would be carried over (1):\n  user ada\\u{1b}[31m\n"), "{text}");
        assert!(text.contains("Not carried over (1):\n  setting smtp: There is no mail here.\n"));
        assert!(text.ends_with("with --apply to carry this over.\n"));
    }
}
