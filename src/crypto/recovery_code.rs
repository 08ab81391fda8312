//! Recovery codes: ten one-time codes of 120 random bits, stored as SHA-256 (OTP-09).

use crate::crypto::{crockford, mac};
use crate::kernel::random::Random;

/// How many codes a set has.
pub const CODES: usize = 10;

const BYTES: usize = 15;
const CHARACTERS: usize = 24;

/// Makes a set of codes as they are shown: 24 characters in six groups of four, `xxxx-xxxx-xxxx-xxxx-xxxx-xxxx`.
pub fn generate(random: &Random) -> Vec<String> {
    (0..CODES).map(|_| shown(&random.bytes())).collect()
}

fn shown(bytes: &[u8; BYTES]) -> String {
    let mut number = [0; 16];
    number.iter_mut().skip(1).zip(bytes).for_each(|(to, from)| *to = *from);
    crockford::shown(number, CHARACTERS)
}

/// Brings a typed code to its one canonical form; `None` if it cannot be a code.
pub fn normalize(typed: &str) -> Option<String> {
    crockford::normalize(typed, CHARACTERS)
}

/// Returns what is stored of a code: a hash that is bound to the user, so that a stored code is worth nothing in
/// another account. `normalized` comes from [`normalize`].
pub fn digest(user: &[u8; 16], normalized: &str) -> [u8; 32] {
    mac::hmac_sha256(b"doorward recovery code v1", &[user, normalized.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// OTP-09: ten different codes of at least 112 bits.
    #[test]
    fn a_set_has_ten_different_codes_of_120_bits() {
        let codes = generate(&Random::os());
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), CODES);
        const { assert!(BYTES * 8 >= 112) };
        for code in &codes {
            assert_eq!(code.len(), 29);
            assert_eq!(code.split('-').map(str::len).collect::<Vec<_>>(), [4; 6]);
            assert_eq!(normalize(code).unwrap(), code.replace('-', ""));
        }
    }

    #[test]
    fn every_bit_of_the_randomness_is_in_the_code() {
        let zero = shown(&[0; BYTES]);
        let mut seen = HashSet::from([zero]);
        for bit in 0..BYTES * 8 {
            let mut bytes = [0; BYTES];
            bytes[bit / 8] = 1 << (bit % 8);
            assert!(seen.insert(shown(&bytes)), "bit {bit}");
        }
        assert_eq!(shown(&[0xff; BYTES]), "zzzz-zzzz-zzzz-zzzz-zzzz-zzzz");
    }

    #[test]
    fn typing_is_forgiving_and_guessing_is_not() {
        let canonical = "0123456789abcdefghjkmnpq";
        for typed in [
            "0123-4567-89ab-cdef-ghjk-mnpq",
            " O I23 4567 89AB CDEF GHJK MNPQ ",
            "0l2345 6789abcdefghjkmnpq",
            "0123\u{2013}4567-89ab-cdef-ghjk-mnpq\n",
        ] {
            assert_eq!(normalize(typed).as_deref(), Some(canonical), "{typed}");
        }
        for bad in [
            "",
            "0123",
            &canonical[1..],
            &format!("{canonical}0"),
            "u123456789abcdefghjkmnpq",
            &"-".repeat(500),
        ] {
            assert_eq!(normalize(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_digest_belongs_to_one_user() {
        assert_ne!(digest(&[1; 16], "a"), digest(&[2; 16], "a"));
        assert_ne!(digest(&[1; 16], "a"), digest(&[1; 16], "b"));
    }
}
