//! Values encrypted at rest, each bound to the place it belongs to (KEY-03).

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::keys::MasterKey;
use super::mac::hmac_sha256;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretKey;

const KEY_VERSION: u32 = 1;
const VERSION_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;

/// How many bytes a sealed value is longer than its plain text.
pub const OVERHEAD: usize = VERSION_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// Where a value belongs. A value sealed for one place does not open in another.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The table.
    pub table: &'a str,
    /// The full key of the row.
    pub row: &'a [u8],
    /// The column.
    pub column: &'a str,
}

impl Context<'_> {
    fn associated_data(&self, version: u32) -> Vec<u8> {
        let mut data = Vec::with_capacity(28 + self.table.len() + self.row.len() + self.column.len());
        for part in [self.table.as_bytes(), self.row, self.column.as_bytes()] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data.extend_from_slice(&version.to_be_bytes());
        data
    }
}

/// Why a sealed value did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The value is too short to be a sealed one.
    Truncated,
    /// The value was sealed under a key version this program does not hold.
    UnknownKeyVersion(u32),
    /// The value was changed, moved from another place, or sealed under another key.
    Damaged,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::Truncated => f.write_str("A sealed value is cut off."),
            SealError::UnknownKeyVersion(version) => {
                write!(f, "A sealed value needs key version {version}, which this program does not have.")
            }
            SealError::Damaged => f.write_str(
                "A sealed value does not open: it was changed or moved, or the key file belongs to another store.",
            ),
        }
    }
}

impl std::error::Error for SealError {}

/// Seals and opens values under the key that is derived from the master key for this purpose alone.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    export_key: SecretKey,
    fingerprint: String,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Derives the sealing key from `master`.
    pub fn new(master: &MasterKey) -> Self {
        let key = master.derive("doorward seal v1");
        Sealer {
            cipher: XChaCha20Poly1305::new(key.expose().into()),
            export_key: master.derive("doorward export v2"),
            fingerprint: master.fingerprint(),
        }
    }

    /// Returns what only a holder of the master key can make of `bytes`: the proof of an export (BAK-02).
    pub fn export_mac(&self, bytes: &[u8]) -> [u8; 32] {
        hmac_sha256(self.export_key.expose(), &[bytes])
    }

    /// Returns the fingerprint of the master key. Safe to print and store.
    pub fn key_fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Encrypts `plain` for `context`. Returns key version (4 bytes, big endian), nonce (24 bytes), ciphertext and
    /// tag; [`OVERHEAD`] bytes longer than `plain`.
    pub fn seal(&self, random: &Random, context: &Context<'_>, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LENGTH] = random.bytes();
        let aad = context.associated_data(KEY_VERSION);
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.extend_from_slice(&KEY_VERSION.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        #[expect(clippy::expect_used, reason = "fails only beyond 256 GiB, which no value in memory reaches")]
        let ciphertext = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .expect("a value is below the cipher's limit");
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// Decrypts what [`Sealer::seal`] made for the same `context`. The result is wiped when dropped.
    ///
    /// # Errors
    /// [`SealError`] if the value was cut, changed, moved, or sealed under another key.
    pub fn open(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (version, rest) = sealed.split_first_chunk::<VERSION_LENGTH>().ok_or(SealError::Truncated)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError::Truncated)?;
        if ciphertext.len() < TAG_LENGTH {
            return Err(SealError::Truncated);
        }
        let version = u32::from_be_bytes(*version);
        if version != KEY_VERSION {
            return Err(SealError::UnknownKeyVersion(version));
        }
        let aad = context.associated_data(version);
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Context<'_> = Context { table: "users", row: b"ada", column: "totp" };

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_value_opens_where_it_was_sealed() {
        let random = Random::os();
        for plain in [&b""[..], b"x", &[9; 5000]] {
            let sealed = sealer(1).seal(&random, &HERE, plain);
            assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            assert_eq!(sealer(1).open(&HERE, &sealed).unwrap().as_slice(), plain);
            assert_ne!(sealed, sealer(1).seal(&random, &HERE, plain), "nonces repeat");
        }
    }

    /// KEY-03: a value cannot be moved to another table, row or column, nor across a boundary between them.
    #[test]
    fn a_value_moved_to_another_place_does_not_open() {
        let sealed = sealer(1).seal(&Random::os(), &HERE, b"seed");
        for elsewhere in [
            Context { table: "user", ..HERE },
            Context { row: b"bob", ..HERE },
            Context { column: "codes", ..HERE },
            Context { table: "usersada", row: b"", ..HERE },
            Context { row: b"adatotp", column: "", ..HERE },
        ] {
            assert_eq!(sealer(1).open(&elsewhere, &sealed).err(), Some(SealError::Damaged), "{elsewhere:?}");
        }
        assert_eq!(sealer(2).open(&HERE, &sealed).err(), Some(SealError::Damaged));
    }

    /// KEY-03: every bit of a sealed value counts, and no prefix of it opens.
    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let sealed = sealer(1).seal(&Random::os(), &HERE, b"seed");
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[index] ^= 1 << bit;
                let error = sealer(1).open(&HERE, &changed).err().unwrap();
                assert_eq!(matches!(error, SealError::UnknownKeyVersion(_)), index < VERSION_LENGTH);
            }
            assert!(sealer(1).open(&HERE, &sealed[..index]).is_err());
        }
    }
}
