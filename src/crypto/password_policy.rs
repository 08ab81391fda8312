//! Which new passwords are accepted (PWD-01 to PWD-04). Pure: no user, no store, no network.
//!
//! Length is the one rule about form. Beyond it a password is refused only for being guessable: on the embedded list
//! of common passwords, a pattern, or made of words that belong to the account.

use std::fmt;

use xorf::{BinaryFuse16Ref, Filter as _, FilterRef as _};

use super::mac;
use super::password::normalize;

/// The longest password in characters.
pub const MAX_CHARACTERS: usize = 256;
/// The longest password in bytes.
pub const MAX_BYTES: usize = 1024;
/// Length from which a common word with an ornament at its end is no longer looked for.
const ORNAMENT_LIMIT: usize = 12;
/// What must be left of a password when the words of the account are taken out of it.
const OWN_CHARACTERS: usize = 8;
/// Shorter words of the account occur in other words by chance.
const MIN_CONTEXT_WORD: usize = 4;
const PRODUCT: &str = "doorward";

/// How hard a password is to guess, roughly. Feedback while typing; acceptance does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    /// From 0 (very weak) to 4 (strong).
    pub score: u8,
    /// The score as words.
    pub label: &'static str,
}

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// It has fewer characters than `minimum`.
    TooShort {
        /// The least number of characters.
        minimum: usize,
    },
    /// It has more than [`MAX_CHARACTERS`] characters or [`MAX_BYTES`] bytes.
    TooLong,
    /// It is on the list of common passwords, or a simple pattern.
    Common,
    /// It is mostly made of the name, the address or the server.
    Contextual,
}

impl PolicyError {
    /// Returns the stable code for answers.
    pub fn code(self) -> &'static str {
        match self {
            PolicyError::TooShort { .. } => "password_too_short",
            PolicyError::TooLong => "password_too_long",
            PolicyError::Common => "password_common",
            PolicyError::Contextual => "password_contextual",
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::TooShort { minimum } => {
                write!(f, "Choose a password of at least {minimum} characters. A few random words work well.")
            }
            PolicyError::TooLong => write!(f, "A password has at most {MAX_CHARACTERS} characters."),
            PolicyError::Common => f.write_str(
                "This password is on lists that attackers try first, or follows a simple pattern. Choose another one.",
            ),
            PolicyError::Contextual => {
                f.write_str("This password is mostly your name, your address or the name of this server. Choose another one.")
            }
        }
    }
}

impl std::error::Error for PolicyError {}

/// Checks a new password. `minimum` is the least number of characters (15 if the password is all there is, 8 if a
/// second factor is required, PWD-01); `context` holds words of the account: username, local part of the e-mail
/// address, host name.
///
/// # Errors
/// [`PolicyError`] with a sentence for the person and a code for the program.
pub fn check(password: &str, minimum: usize, context: &[&str]) -> Result<Strength, PolicyError> {
    if password.len() > MAX_BYTES || password.chars().count() > MAX_CHARACTERS {
        return Err(PolicyError::TooLong);
    }
    let normalized = normalize(password);
    // A ligature that normalizes to many characters was typed as one.
    if password.chars().count().min(normalized.chars().count()) < minimum {
        return Err(PolicyError::TooShort { minimum });
    }
    let folded = zeroize::Zeroizing::new(normalized.to_lowercase());
    if is_contextual(&folded, context) {
        return Err(PolicyError::Contextual);
    }
    if is_common(&folded) || is_pattern(&folded) {
        return Err(PolicyError::Common);
    }
    Ok(strength(password))
}

/// Estimates how hard a password is to guess.
pub fn strength(password: &str) -> Strength {
    let characters: Vec<char> = password.chars().take(MAX_CHARACTERS).collect();
    // Runs (aaaa, 1234, dcba) count as two characters.
    let mut effective = characters.len().min(2);
    for three in characters.windows(3) {
        if let [a, b, c] =
            three.iter().map(|character| i64::from(u32::from(*character))).collect::<Vec<_>>()[..]
        {
            let (first, second) = (b - a, c - b);
            effective += usize::from(first != second || first.abs() > 1);
        }
    }
    let classes = [
        characters.iter().any(|character| character.is_lowercase()),
        characters.iter().any(|character| character.is_uppercase()),
        characters.iter().any(|character| character.is_numeric()),
        characters.iter().any(|character| !character.is_alphanumeric() && *character != ' '),
    ];
    // Tenths of a bit for each character: words are far from random, mixtures less so.
    let tenths = match classes.iter().filter(|is_used| **is_used).count() {
        0 | 1 => 25,
        2 => 38,
        3 => 46,
        _ => 52,
    };
    let score = match effective * tenths / 10 {
        0..25 => 0,
        25..35 => 1,
        35..45 => 2,
        45..65 => 3,
        _ => 4,
    };
    let label = match score {
        0 => "very weak",
        1 => "weak",
        2 => "fair",
        3 => "good",
        _ => "strong",
    };
    Strength { score, label }
}

/// Whether `folded` is one of the words of the account, or little more than them.
fn is_contextual(folded: &str, context: &[&str]) -> bool {
    let words: Vec<String> =
        context.iter().map(|word| normalize(word).to_lowercase()).chain([PRODUCT.to_owned()]).collect();
    if words.iter().any(|word| word == folded) {
        return true;
    }
    let mut rest = zeroize::Zeroizing::new(folded.to_owned());
    // Longest first: `ada.lovelace` before `ada`.
    let mut parts: Vec<&str> = words
        .iter()
        .flat_map(|word| std::iter::once(word.as_str()).chain(word.split(|c: char| !c.is_alphanumeric())))
        .filter(|word| word.chars().count() >= MIN_CONTEXT_WORD)
        .collect();
    parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.len()));
    for part in parts {
        if rest.contains(part) {
            *rest = rest.replace(part, "");
        }
    }
    rest.len() < folded.len() && rest.chars().count() < OWN_CHARACTERS
}

/// Whether `folded` is on the list, as it is or, if short, without the ornament at its end (`password1!`).
fn is_common(folded: &str) -> bool {
    if is_listed(folded) {
        return true;
    }
    let stem = folded.trim_end_matches(|character: char| !character.is_alphabetic());
    folded.chars().count() < ORNAMENT_LIMIT
        && stem.len() < folded.len()
        && stem.chars().count() >= 6
        && is_listed(stem)
}

/// Whether `folded` is one character or a short or common unit over and over, or runs along the alphabet or the digits.
fn is_pattern(folded: &str) -> bool {
    let characters: Vec<char> = folded.chars().collect();
    let length = characters.len();
    for unit in 1..=length / 2 {
        let repeats = characters.iter().zip(characters.iter().cycle().skip(unit)).take(length - unit);
        let is_repeated =
            repeats.zip(characters.iter().skip(unit)).all(|((before, _), after)| before == after);
        let start: String = characters.iter().take(unit).collect();
        if is_repeated && (unit <= 4 || is_listed(&start)) {
            return true;
        }
    }
    let steps: Vec<i64> = characters
        .windows(2)
        .map(|pair| match pair {
            [a, b] => i64::from(u32::from(*b)) - i64::from(u32::from(*a)),
            _ => i64::MAX,
        })
        .collect();
    // `12345678901234567890` breaks its run now and then; `abcabc` is caught above.
    let in_run = |direction| steps.iter().filter(|step| **step == direction).count() * 10 >= steps.len() * 8;
    !steps.is_empty() && (in_run(1) || in_run(-1) || in_run(0))
}

/// Binary fuse filter of 16-bit fingerprints: descriptor (20 bytes), then the fingerprints, little endian.
/// `blocklist.md` says what is in it and how to rebuild it.
static BLOCKLIST: &Aligned<[u8]> = &Aligned(*include_bytes!("blocklist.bin"));
const DESCRIPTOR_LENGTH: usize = 20;

/// The filter reads 16-bit words in place.
#[repr(C, align(4))]
struct Aligned<T: ?Sized>(T);

#[cfg(target_endian = "big")]
compile_error!("the embedded blocklist is little endian");

/// Whether `folded`, in lower case and normalized, is on the embedded list. One in 65,536 other texts is mistaken
/// for a listed one.
fn is_listed(folded: &str) -> bool {
    let Some((descriptor, fingerprints)) = BLOCKLIST.0.split_at_checked(DESCRIPTOR_LENGTH) else {
        return false;
    };
    BinaryFuse16Ref::from_dma(descriptor, fingerprints).contains(&blocklist_key(folded))
}

/// Returns the key of a text in the embedded list: the first eight bytes of its SHA-256, big endian. The text is
/// normalized (NFKC) and in lower case.
pub fn blocklist_key(folded: &str) -> u64 {
    mac::sha256(folded).first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str, minimum: usize) -> &'static str {
        match check(password, minimum, &["ada.lovelace", "ada", "auth.example.org"]) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }

    /// PWD-01: length is counted in characters, not in bytes.
    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(code("vG7-kq", 8), "password_too_short");
        assert_eq!(code("öäüßöñé", 8), "password_too_short");
        assert_eq!(code("öüñéåøłđ", 8), "ok");
        assert_eq!(code("\u{fdfa}", 8), "password_too_short");
        assert_eq!(code("yellow harbour", 15), "password_too_short");
        assert_eq!(code("yellow harbours", 15), "ok");
    }

    /// PWD-02: 256 characters and 1024 bytes are accepted, one more is not.
    #[test]
    fn long_passwords_are_accepted_up_to_the_bound() {
        let long: String = (0..256_u32).filter_map(|index| char::from_u32(0x4e00 + index * 37)).collect();
        assert_eq!(code(&long, 15), "ok");
        assert_eq!(code(&format!("{long}x"), 15), "password_too_long");
        let wide: String = (0..256_u32).filter_map(|index| char::from_u32(0x1f300 + index * 3)).collect();
        assert_eq!(wide.len(), MAX_BYTES);
        assert_eq!(code(&wide, 15), "ok");
    }

    /// PWD-03: nothing is asked of the kinds of characters.
    #[test]
    fn there_are_no_composition_rules() {
        for password in
            ["purple giraffe lantern", "zxmqkwvptrhd", "correct\thorse\tbattery", "ключ под ковриком дома"]
        {
            assert_eq!(code(password, 8), "ok", "{password}");
        }
    }

    /// PWD-04: common passwords are refused in every case and with an ornament at the end.
    #[test]
    fn common_passwords_are_refused() {
        for password in [
            "password",
            "PASSWORD",
            "Password1",
            "password!",
            "iloveyou",
            "qwertyuiop",
            "1qaz2wsx",
            "sunshine",
            "trustno1",
            "letmein123",
            "football99",
            "Princess026",
            "12345678",
            "123456789012345",
            "1q2w3e4r5t",
            "aaaaaaaaaaaaaaa",
            "abababababababab",
            "passwordpassword",
            "qwertyqwertyqwerty",
            "abcdefghijklmno",
            "zyxwvutsrqponml",
            "ｐａｓｓｗｏｒｄ",
        ] {
            assert_eq!(code(password, 8), "password_common", "{password}");
        }
    }

    /// PWD-04: words of the account, the server and the product are no passwords.
    #[test]
    fn words_of_the_account_are_refused() {
        for password in [
            "ada.lovelace",
            "Lovelace1815",
            "doorward2026!",
            "auth.example.org",
            "example-lovelace",
            "Doorward-Doorward-1",
        ] {
            assert_eq!(code(password, 8), "password_contextual", "{password}");
        }
        assert_eq!(code("canadian blanket", 8), "ok", "a short word inside another one");
        assert_eq!(code("lovelace kw8 tunnel quartz", 8), "ok", "enough is left");
    }

    #[test]
    fn the_embedded_list_is_well_formed_and_rarely_mistaken() {
        assert!((100_000..=300_000).contains(&BLOCKLIST.0.len()));
        let mistaken =
            (0..100_000).filter(|number| is_listed(&format!("not a listed password {number}"))).count();
        assert!(mistaken < 20, "{mistaken} of 100,000");
    }

    #[test]
    fn the_meter_rises_with_length_and_variety() {
        let scores: Vec<u8> = [
            "aaaaaaaa",
            "abcdefgh12",
            "yellow harbour",
            "yellow harbour lantern",
            "yellow Harbour 7 lantern!",
        ]
        .iter()
        .map(|password| strength(password).score)
        .collect();
        assert!(scores.is_sorted(), "{scores:?}");
        assert_eq!((scores[0], scores[4]), (0, 4));
        assert_eq!(strength("").score, 0);
    }
}
