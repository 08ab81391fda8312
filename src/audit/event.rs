//! One event on its way into the log. Text from outside is cut and escaped here, so that no caller can forget (AUD-05).

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::kernel::ids::{RequestId, UserId};
use crate::kernel::text::Username;

/// The longest text of one field, in bytes after escaping.
const LONGEST_TEXT: usize = 200;

/// The largest number of details of one event; more are left out.
const MOST_DETAILS: usize = 8;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// Somebody was not allowed to, or proved nothing.
    Refused,
    /// It was allowed, but could not be done.
    Failed,
}

impl Outcome {
    /// Returns the name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }

    /// Parses the name used in the API.
    pub fn parse(text: &str) -> Option<Outcome> {
        [Outcome::Succeeded, Outcome::Refused, Outcome::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// Nobody who is known: an anonymous request.
    Nobody,
    /// A part of the system itself, such as `cli`, `setup` or `server`.
    System(String),
    /// A user.
    User(UserId, Username),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Nobody => f.write_str("nobody"),
            Actor::System(part) => write!(f, "({part})"),
            Actor::User(_, name) => name.fmt(f),
        }
    }
}

/// An event that is about to be logged. Holds no secret, and must be given none (AUD-04).
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    pub(super) actor: Actor,
    pub(super) user: Option<(UserId, Username)>,
    pub(super) target: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) request: Option<RequestId>,
    pub(super) details: Vec<(String, String)>,
}

impl Event {
    /// Starts an event by nobody, on nothing.
    pub fn new(kind: Kind, outcome: Outcome) -> Self {
        Event {
            kind,
            outcome,
            actor: Actor::Nobody,
            user: None,
            target: None,
            address: None,
            request: None,
            details: Vec::new(),
        }
    }

    /// Starts an event that was done.
    pub fn succeeded(kind: Kind) -> Self {
        Event::new(kind, Outcome::Succeeded)
    }

    /// Starts an event that was refused.
    pub fn refused(kind: Kind) -> Self {
        Event::new(kind, Outcome::Refused)
    }

    /// Tells how it ended after all.
    pub fn ended(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Names the user who did it.
    pub fn by(mut self, user: UserId, name: &Username) -> Self {
        self.actor = Actor::User(user, name.clone());
        self
    }

    /// Names the part of the system that did it: `cli`, `setup`, `server`.
    pub fn by_system(mut self, part: &'static str) -> Self {
        self.actor = Actor::System(part.to_owned());
        self
    }

    /// Names the user it was done to.
    pub fn on_user(mut self, user: UserId, name: &Username) -> Self {
        self.user = Some((user, name.clone()));
        self
    }

    /// Names anything else it was done to: a rule, a setting, a link. Cut to 200 bytes and escaped.
    pub fn on(mut self, target: impl fmt::Display) -> Self {
        self.target = Some(tidy(target));
        self
    }

    /// Tells where it came from. Only a pseudonym and a shortened prefix of the address are stored (PRI-01).
    pub fn from(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Tells which request it was part of.
    pub fn request(mut self, request: RequestId) -> Self {
        self.request = Some(request);
        self
    }

    /// Adds a detail. Cut to 200 bytes and escaped; at most eight are kept. Never a password, code, token or cookie.
    pub fn detail(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        if self.details.len() < MOST_DETAILS {
            self.details.push((key.to_owned(), tidy(value)));
        }
        self
    }
}

/// A writer that escapes what would break a line or deceive a reader, and stops at the limit.
struct Tidy {
    text: String,
    is_cut: bool,
}

impl fmt::Write for Tidy {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let before = self.text.len();
            if is_plain(character) {
                self.text.push(character);
            } else {
                // Writing to a String cannot fail.
                let _ = write!(self.text, "\\u{{{:x}}}", u32::from(character));
            }
            if self.text.len() > LONGEST_TEXT {
                self.text.truncate(before);
                self.is_cut = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

fn is_plain(character: char) -> bool {
    let deceives = matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    !character.is_control() && !deceives
}

/// Returns the text of `value`, escaped, and cut to [`LONGEST_TEXT`] bytes; a cut text ends in `…`.
fn tidy(value: impl fmt::Display) -> String {
    let mut tidy = Tidy { text: String::new(), is_cut: false };
    // The only error is our own stop at the limit.
    let _ = write!(tidy, "{value}");
    if tidy.is_cut {
        tidy.text.push('…');
    }
    tidy.text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUD-05: a value cannot start a new line, turn the reading direction, or fill the log.
    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(tidy("a\r\nb"), "a\\u{d}\\u{a}b");
        assert_eq!(tidy("a\u{202e}b\0"), "a\\u{202e}b\\u{0}");
        assert_eq!(tidy("ä".repeat(100)), "ä".repeat(100));
        let long = tidy("ä".repeat(101));
        assert_eq!(long, format!("{}…", "ä".repeat(100)));
        assert!(tidy("\n".repeat(500)).len() <= LONGEST_TEXT + '…'.len_utf8());
    }

    #[test]
    fn an_event_keeps_at_most_eight_details() {
        let mut event = Event::succeeded(Kind::SettingChanged);
        for _ in 0..20 {
            event = event.detail("key", "value");
        }
        assert_eq!(event.details.len(), MOST_DETAILS);
    }

    #[test]
    fn outcomes_are_found_by_their_names() {
        for outcome in [Outcome::Succeeded, Outcome::Refused, Outcome::Failed] {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::parse("ok"), None);
    }
}
