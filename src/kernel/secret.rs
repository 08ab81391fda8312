//! Secrets as a type: no Debug, no Display, no Serialize, wiped on drop, compared in constant time (GEN-07, KEY-05).

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A value that must not be printed, logged or serialised.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps `value`, which is wiped when the secret is dropped.
    pub fn new(value: T) -> Self {
        Secret(Zeroizing::new(value))
    }

    /// Gives the value to code that must use it. Every call is a place to look at in review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares with `other` in time that depends only on the lengths.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        ct_eq(self.0.as_ref(), other)
    }
}

/// A secret text, such as a password as it was typed.
pub type SecretText = Secret<String>;

/// A 256-bit key.
pub type SecretKey = Secret<[u8; 32]>;

/// Compares two byte strings in time that depends only on their lengths (PWD-10).
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_is_whole() {
        let secret = Secret::new(*b"0123456789");
        assert!(secret.ct_eq(b"0123456789"));
        assert!(!secret.ct_eq(b"012345678"));
        assert!(!secret.ct_eq(b"0123456788"));
        assert!(!secret.ct_eq(b""));
    }
}
