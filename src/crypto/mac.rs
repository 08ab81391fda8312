//! Keyed and plain hashes of byte strings.

use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// Starts HMAC-SHA256 (RFC 2104) with a key of any length.
pub(crate) fn hmac_sha256_start(key: &[u8]) -> Hmac<Sha256> {
    // A key is padded to the block size; a longer one is hashed first (RFC 2104 section 2).
    let mut block = zeroize::Zeroizing::new([0_u8; 64]);
    if let Some(start) = block.get_mut(..key.len()) {
        start.copy_from_slice(key);
    } else {
        let hashed = zeroize::Zeroizing::new(sha256(key));
        if let Some(start) = block.get_mut(..hashed.len()) {
            start.copy_from_slice(hashed.as_slice());
        }
    }
    Hmac::<Sha256>::new((&*block).into())
}

/// Returns HMAC-SHA256 over `parts`, each preceded by its length (8 bytes, big endian), so that no two different
/// lists of parts feed the same bytes.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac_sha256_start(key);
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Returns SHA-256 of `bytes`.
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn hmac_matches_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, expected) in cases {
            let mut mac = hmac_sha256_start(key);
            mac.update(data);
            assert_eq!(HEXLOWER.encode(&mac.finalize().into_bytes()), expected);
        }
    }

    #[test]
    fn moving_a_boundary_between_parts_changes_the_mac() {
        let key = [7; 32];
        assert_ne!(hmac_sha256(&key, &[b"ab", b"c"]), hmac_sha256(&key, &[b"a", b"bc"]));
        assert_ne!(hmac_sha256(&key, &[b"ab"]), hmac_sha256(&key, &[b"ab", b""]));
        assert_eq!(hmac_sha256(&key, &[b"ab", b"c"]), hmac_sha256(&key, &[b"ab", b"c"]));
    }
}
