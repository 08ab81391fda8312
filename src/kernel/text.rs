//! Text that people choose, as types that can only be made by parsing (INP-06).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::Words;

/// Why a text was refused: a sentence for the person who typed it, shown in English.
#[derive(Clone, Copy)]
pub struct TextError(pub fn(Words) -> &'static str);

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((self.0)(Words::ENGLISH))
    }
}

impl fmt::Debug for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt((self.0)(Words::ENGLISH), f)
    }
}

impl PartialEq for TextError {
    fn eq(&self, other: &Self) -> bool {
        (self.0)(Words::ENGLISH) == (other.0)(Words::ENGLISH)
    }
}

impl Eq for TextError {}

/// Makes a type of text that can only be made by parsing.
#[macro_export]
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $crate::text!($(#[$doc])* $name, $parse, stored: $parse);
    };
    // What was stored by an older rule is still read by it.
    ($(#[$doc:meta])* $name:ident, $parse:expr, stored: $stored:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses what a person typed.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                let parse: fn(&str) -> Result<String, TextError> = $parse;
                parse(text).map(|text| $name(text.into_boxed_str()))
            }

            /// Returns the canonical text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                let read: fn(&str) -> Result<String, TextError> = $stored;
                read(&text).map(|text| $name(text.into_boxed_str()))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0.into_string()
            }
        }
    };
}

pub use text;

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
}

text!(
    /// A sign-in name: `[a-z0-9._-]{1,64}`; upper case is folded while parsing (LIM-02).
    Username,
    |text| {
        let folded = text.to_ascii_lowercase();
        if folded.is_empty() || folded.len() > 64 {
            return Err(TextError(Words::accounts_username_length));
        }
        if !folded.bytes().all(is_name_byte) {
            return Err(TextError(Words::accounts_username_letters));
        }
        Ok(folded)
    }
);

text!(
    /// A group name: `[a-z0-9._-]{1,64}`, so that a comma-separated `Remote-Groups` is never ambiguous (FWD-10).
    GroupName,
    |text| {
        let folded = text.to_ascii_lowercase();
        if folded.is_empty() || folded.len() > 64 || !folded.bytes().all(is_name_byte) {
            return Err(TextError(Words::accounts_group_name));
        }
        Ok(folded)
    }
);

/// Tells whether a character reorders, hides or breaks text where it is shown.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Tells whether a character leaves no mark of its own: what Unicode lets fonts leave out (Default_Ignorable_Code_Point),
/// and the empty Braille pattern.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Tells whether a text holds a character that is not seen. A symbol may be followed by the one that colors it.
fn has_unseen(text: &str) -> bool {
    let mut before = ' ';
    text.chars().any(|character| {
        let is_symbol = matches!(before, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
        before = character;
        is_unseen(character) && !(character == '\u{fe0f}' && is_symbol)
    })
}

/// Returns a display name as it was taken before invisible letters were refused.
fn display_name(text: &str) -> Result<String, TextError> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 100 {
        return Err(TextError(Words::accounts_display_name_length));
    }
    if trimmed.chars().any(is_deceptive) {
        return Err(TextError(Words::accounts_display_name_letters));
    }
    Ok(trimmed.to_owned())
}

text!(
    /// The name shown to people and apps: 1 to 100 characters, no control, invisible or direction-changing ones.
    DisplayName,
    |text| {
        let name = display_name(text)?;
        if has_unseen(&name) { Err(TextError(Words::accounts_display_name_letters)) } else { Ok(name) }
    },
    stored: display_name
);

text!(
    /// An e-mail address as far as Doorward needs to know: one `@`, printable ASCII without spaces, a dotted or
    /// single-label domain, at most 254 bytes (RFC 5321 section 4.5.3.1). The domain is folded to lower case.
    Email,
    |text| {
        const SHAPE: TextError = TextError(Words::accounts_email_shape);
        if text.len() > 254 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SHAPE);
        }
        let (local, domain) = text.split_once('@').ok_or(SHAPE)?;
        let domain_is_sound = !domain.is_empty()
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        let local_is_sound = !local.is_empty()
            && local.len() <= 64
            && !local.bytes().any(|byte| matches!(byte, b'@' | b',' | b';' | b':' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'\\' | b'"'));
        if !domain_is_sound || !local_is_sound {
            return Err(SHAPE);
        }
        Ok(format!("{local}@{}", domain.to_ascii_lowercase()))
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_folded_and_narrow() {
        assert_eq!(Username::parse("Ada.Lovelace").unwrap().as_str(), "ada.lovelace");
        for bad in
            ["", "a b", " ada", "ada ", "a\0b", "аda", "ada\u{200b}", "a@b", "a/b", "a,b", &"a".repeat(65)]
        {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn emails_have_one_at_sign() {
        assert_eq!(Email::parse("Ada@Example.ORG").unwrap().as_str(), "Ada@example.org");
        for bad in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b..c", "a@-b", "a@b\r\nx", "a,b@c", "ä@b"]
        {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn display_names_refuse_what_deceives() {
        assert_eq!(DisplayName::parse("  Ada Lovelace ").unwrap().as_str(), "Ada Lovelace");
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "\u{feff}"] {
            assert!(DisplayName::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// INP-06: nobody is called like somebody else but for a letter that is not seen, and nobody is called nothing.
    #[test]
    fn display_names_refuse_what_is_not_seen() {
        let invisible = [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180b}',
            '\u{180e}',
            '\u{180f}',
            '\u{200d}',
            '\u{2060}',
            '\u{2065}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{fff8}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{e0fff}',
        ];
        for letter in invisible {
            for name in
                [letter.to_string(), format!("Ada{letter}"), format!("A{letter}da"), format!("{letter}Ada")]
            {
                assert!(DisplayName::parse(&name).is_err(), "{name:?}");
            }
        }
        // A symbol may say that it wants colors.
        for good in ["Ada Łovelace", "李 雷", "홍길동", "ศรี", "Oma \u{2764}\u{fe0f}", "عائشة", "Nguyễn", "é"]
        {
            assert_eq!(DisplayName::parse(good).unwrap().as_str(), good);
        }
        assert!(DisplayName::parse("Oma \u{2764}\u{fe0f}\u{fe0f}").is_err());
    }

    /// Names of before are read as they were written, or the store would not open.
    #[test]
    fn a_stored_display_name_stays_readable() {
        let read = |text: &str| serde_json::from_value::<DisplayName>(text.into());
        for old in ["A\u{ad}da", "\u{3164}", "Ada"] {
            assert_eq!(read(old).unwrap().as_str(), old);
        }
        for bad in ["", "a\nb", "a\u{202e}b"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
