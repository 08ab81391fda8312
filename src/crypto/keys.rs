//! The master key and the keys derived from it (KEY-01).

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::kernel::random::Random;
use crate::kernel::secret::{Secret, SecretKey};

/// The one secret an installation keeps outside its store. Everything else that is secret is derived from it or
/// sealed under a key derived from it.
#[derive(Clone)]
pub struct MasterKey(SecretKey);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// The text of a key file is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTextError;

impl fmt::Display for KeyTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "A key is 64 hexadecimal digits, or 43 characters of base64url, on one line and nothing else.",
        )
    }
}

impl std::error::Error for KeyTextError {}

impl MasterKey {
    /// Makes a fresh key.
    pub fn random(random: &Random) -> Self {
        MasterKey(Secret::new(random.bytes()))
    }

    /// Takes the 32 bytes of a key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        MasterKey(Secret::new(bytes))
    }

    /// Parses the text of a key file: 64 hexadecimal digits or 43 characters of unpadded base64url, with or
    /// without a line end.
    ///
    /// # Errors
    /// [`KeyTextError`] for everything else; the text itself is never repeated in an error.
    pub fn parse_file(text: &str) -> Result<Self, KeyTextError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let decoded = Zeroizing::new(match text.len() {
            64 => data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| KeyTextError)?,
            43 => BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| KeyTextError)?,
            _ => return Err(KeyTextError),
        });
        let mut bytes = Zeroizing::new([0_u8; 32]);
        if decoded.len() != bytes.len() {
            return Err(KeyTextError);
        }
        bytes.copy_from_slice(&decoded);
        Ok(MasterKey(Secret::new(*bytes)))
    }

    /// Returns the text of a key file: 64 lower-case hexadecimal digits and a line end.
    pub fn to_file_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(65));
        HEXLOWER.encode_append(self.0.expose(), &mut text);
        text.push('\n');
        text
    }

    /// Returns 8 hexadecimal digits that tell keys apart and reveal nothing about them. Safe to print and store.
    pub fn fingerprint(&self) -> String {
        let derived = self.derive("doorward fingerprint v1");
        let (start, _) = derived.expose().split_at(4);
        HEXLOWER.encode(start)
    }

    /// Derives the key of one purpose: HKDF-SHA256 (RFC 5869) with `label` as its info and no salt. One label a
    /// purpose, never two purposes a label.
    pub fn derive(&self, label: &'static str) -> SecretKey {
        let mut key = Zeroizing::new([0_u8; 32]);
        let derived = Hkdf::<Sha256>::new(None, self.0.expose()).expand(label.as_bytes(), key.as_mut());
        debug_assert!(derived.is_ok(), "32 bytes is within HKDF's limit of 255 blocks");
        Secret::new(*key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_nothing_else_parses() {
        let key = MasterKey::random(&Random::os());
        let text = key.to_file_text();
        assert_eq!(text.len(), 65);
        for form in [
            text.to_string(),
            text.trim().to_owned(),
            text.trim().to_uppercase(),
            format!("{}\r\n", text.trim()),
            BASE64URL_NOPAD.encode(key.0.expose()),
        ] {
            assert_eq!(MasterKey::parse_file(&form).unwrap().0.expose(), key.0.expose());
        }
        for bad in [
            "",
            "\n",
            &text[1..],
            &format!(" {}", text.trim()),
            &format!("{}\n\n", text.trim()),
            &"g".repeat(64),
        ] {
            assert_eq!(MasterKey::parse_file(bad).err(), Some(KeyTextError), "{bad:?}");
        }
    }

    /// KEY-01: keys of different purposes have nothing in common, and derivation is HKDF of RFC 5869.
    #[test]
    fn purposes_get_different_keys() {
        let key = MasterKey::from_bytes([0x0b; 32]);
        assert_ne!(key.derive("a").expose(), key.derive("b").expose());
        assert_eq!(key.derive("a").expose(), key.derive("a").expose());
        assert_ne!(key.fingerprint(), MasterKey::from_bytes([0x0c; 32]).fingerprint());
        assert_eq!(key.fingerprint().len(), 8);
        // The same derivation written out: PRK = HMAC(0, key), OKM = HMAC(PRK, info || 1).
        let prk = raw_hmac(&[0; 32], &[0x0b; 32]);
        assert_eq!(key.derive("a").expose(), &raw_hmac(&prk, b"a\x01"));
    }

    fn raw_hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
        use hmac::Mac as _;
        let mut mac = crate::crypto::mac::hmac_sha256_start(key);
        mac.update(data);
        mac.finalize().into_bytes().into()
    }

    /// KEY-05
    #[test]
    fn debug_output_holds_no_key() {
        assert_eq!(format!("{:?}", MasterKey::from_bytes([1; 32])), "MasterKey");
    }
}
