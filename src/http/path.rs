//! The canonical path that access rules see (FWD-06): decoded once, without dot segments and doubled slashes. What a
//! server behind us might read differently is refused rather than guessed.

use std::borrow::Cow;

use super::byte_set::ByteSet;

/// Why a path has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not start with a slash.
    NotAbsolute,
    /// It holds an encoded slash, backslash or NUL, or an escape inside an escape.
    HiddenSeparator,
    /// It holds a control character, backslash, `;`, `#` or `?`, or an empty segment with a `..` after it.
    Ambiguous,
    /// It is not UTF-8 once decoded.
    NotUtf8,
}

/// Returns the canonical form of a raw path (no query). A trailing slash stays; case stays.
pub fn canonical(raw_path: &str) -> Result<Cow<'_, str>, PathError> {
    if !raw_path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_plainly_canonical(raw_path.as_bytes()) {
        return Ok(Cow::Borrowed(raw_path));
    }
    let decoded = decode_once(raw_path)?;
    let mut segments: Vec<&str> = Vec::new();
    let (mut is_folder, mut has_empty) = (true, false);
    for segment in decoded.split('/').skip(1) {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" => has_empty = true,
            "." => {}
            // To a file system a doubled slash is one; by RFC 3986 section 5.2.4 `..` takes away the empty segment between.
            ".." if has_empty => return Err(PathError::Ambiguous),
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut path = String::with_capacity(decoded.len());
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if is_folder || path.is_empty() {
        path.push('/');
    }
    Ok(Cow::Owned(path))
}

/// Letters, digits and signs that stand for themselves in every reading of a path.
const PLAIN: ByteSet =
    ByteSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_~!$&'()*+,=:@./");

/// Tells whether an absolute path is its own canonical form at a glance: nothing to decode, and no segment that is
/// empty or begins with a dot. Most paths are.
fn is_plainly_canonical(path: &[u8]) -> bool {
    PLAIN.has_all(path) && path.windows(2).all(|pair| !matches!(pair, b"//" | b"/."))
}

fn decode_once(raw: &str) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let byte = match (byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
                let value = hex(*high) << 4 | hex(*low);
                if matches!(value, b'/' | b'\\' | 0) {
                    return Err(PathError::HiddenSeparator);
                }
                value
            }
            _ => byte,
        };
        if byte.is_ascii_control() || matches!(byte, b'\\' | b';' | b'#' | b'?') {
            return Err(PathError::Ambiguous);
        }
        decoded.push(byte);
    }
    // What still looks like an escape would be decoded by somebody who decodes twice.
    if decoded
        .windows(3)
        .any(|three| matches!(three, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
    {
        return Err(PathError::HiddenSeparator);
    }
    let text = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
    // C1 controls and the line separators hide as well as the ASCII ones.
    if text.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')) {
        return Err(PathError::Ambiguous);
    }
    Ok(text)
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// FWD-06: every spelling of a path is one path.
    #[test]
    fn spellings_of_one_path_are_one_path() {
        for (raw, path) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../a", "/a"),
            ("/%61dmin", "/admin"),
            ("/public/%2e%2e/admin", "/admin"),
            ("/public/%2E./admin", "/admin"),
            ("/a%20b", "/a b"),
            ("/%C3%A4", "/ä"),
            ("/ä", "/ä"),
            ("/...", "/..."),
            ("/a..", "/a.."),
            ("/100%25", "/100%"),
            ("/100%", "/100%"),
            ("/A", "/A"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(path), "{raw}");
        }
    }

    /// FWD-06: what two parsers may read differently is refused.
    #[test]
    fn ambiguous_paths_are_refused() {
        for raw in [
            "",
            "a",
            "*",
            "http://a/",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%5Cb",
            "/a%00b",
            "/a\0b",
            "/a\\b",
            "/a;b=c",
            "/a%3bb",
            "/a#b",
            "/a%23b",
            "/a?b",
            "/a%3fb",
            "/%252e%252e/a",
            "/a%252fb",
            "/%%32%66",
            "/%%32f",
            "/a\nb",
            "/a%0ab",
            "/a%0d%0ab",
            "/a\tb",
            "/a%7f",
            "/%ff",
            "/%c0%ae%c0%ae/",
            "/a%c2%85b",
            "/a%e2%80%a8b",
            // RFC 3986 5.2.4 lets `..` take the empty segment, a file system the one before it.
            "/a//../b",
            "/a//%2e%2e/b",
            "/a//b/../../c",
            "//../a",
        ] {
            assert!(canonical(raw).is_err(), "{raw:?} {:?}", canonical(raw));
        }
    }

    proptest! {
        #[test]
        fn canonical_is_idempotent(raw in "/[a-c%/.25eEfF;ä]{0,24}") {
            if let Ok(path) = canonical(&raw) {
                prop_assert!(canonical(&path).is_ok_and(|again| again == path));
                prop_assert!(path.starts_with('/') && !path.contains("//"));
                prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
            }
        }

        /// What is passed at a glance is what the long way makes of it: an escape in the query's place forces the long
        /// way by the letter that it stands for.
        #[test]
        fn a_glance_sees_what_the_long_way_sees(raw in "/[a-zA-Z0-9._~!$&'()*+,=:@/-]{0,16}") {
            let long = format!("/%61{raw}");
            let Ok(short) = canonical(&raw) else {
                prop_assert!(raw.contains("//") && raw.contains(".."), "{raw}");
                prop_assert_eq!(canonical(&long), Err(PathError::Ambiguous));
                return Ok(());
            };
            let expected = format!("/a{short}");
            let is_same = canonical(&long).as_deref() == Ok(&*expected);
            // A path that climbs out of its root would take the letter in front along.
            prop_assert!(is_same || raw.contains(".."), "{} {}", raw, expected);
            if is_plainly_canonical(raw.as_bytes()) {
                prop_assert!(is_same);
            }
        }

        #[test]
        fn encoding_any_letter_changes_nothing(raw in "/[a-z/.]{0,16}", at in 0usize..16) {
            let mut encoded = String::new();
            for (index, character) in raw.char_indices() {
                if index == at && character != '/' {
                    encoded.push_str(&format!("%{:02x}", u32::from(character)));
                } else {
                    encoded.push(character);
                }
            }
            prop_assert_eq!(canonical(&encoded), canonical(&raw));
        }
    }
}
