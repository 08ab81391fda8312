//! Codes that people copy by hand: Crockford's base32 in groups of four.

/// No i, l, o or u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const GROUP: usize = 4;
/// A longer text is not even looked at.
const LONGEST_TYPED: usize = 200;

/// Returns the lowest `5 * characters` bits of a big-endian number as text in groups of four: `xxxx-xxxx-xx`.
pub fn shown(bytes: [u8; 16], characters: usize) -> String {
    let value = u128::from_be_bytes(bytes);
    let mut text = String::with_capacity(characters + characters / GROUP);
    for written in 0..characters {
        if written > 0 && written.is_multiple_of(GROUP) {
            text.push('-');
        }
        let place = (characters - 1 - written) * 5;
        let digit = usize::try_from(value >> place & 31).unwrap_or_default();
        text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
    }
    text
}

/// Brings a typed code to its one canonical form: so many lower-case characters without hyphens. Case, spaces and
/// hyphens do not matter; `o` is read as 0, `i` and `l` as 1. `None` if it cannot be a code.
pub fn normalize(typed: &str, characters: usize) -> Option<String> {
    if typed.len() > LONGEST_TYPED {
        return None;
    }
    let mut text = String::with_capacity(characters);
    for character in typed.chars() {
        let folded = match character.to_ascii_lowercase() {
            '-' | '\u{2010}'..='\u{2015}' => continue,
            space if space.is_whitespace() => continue,
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        if !ALPHABET.iter().any(|known| char::from(*known) == folded) {
            return None;
        }
        text.push(folded);
    }
    (text.len() == characters).then_some(text)
}
