//! Public keys as authenticators write them (RFC 9052 section 7, RFC 9053, RFC 8230): ES256, EdDSA and RS256, the three
//! that are offered, and each exactly in its own form.

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::super::jws::VerifyingKey;
use super::super::public_jwk::{ClientAlgorithm, P256Public, PublicJwk, RsaPublic};
use super::cbor::{self, Key};

/// The algorithms that are offered, in the order of preference (COSE numbers).
pub const OFFERED: [i64; 3] = [ES256, EDDSA, RS256];

const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// The longest key: RSA of 4096 bits.
const LONGEST: usize = 1024;

/// A public key of an authenticator. Its algorithm was offered, and it is sound.
#[derive(Debug)]
pub(super) struct CoseKey(PublicJwk);

impl CoseKey {
    /// Reads the key that `bytes` begin with, and returns what follows it.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (map, rest) = cbor::map(bytes)?;
        if bytes.len() - rest.len() > LONGEST {
            return None;
        }
        let bytes = |label| map.bytes(Key::Number(label));
        let bytes32 = |label| <[u8; 32]>::try_from(bytes(label)?).ok();
        let (kind, algorithm, curve) = (map.number(1)?, map.number(3)?, map.number(-1));
        let key = match (kind, algorithm, curve) {
            (2, ES256, Some(1)) => {
                let point = [[4].as_slice(), bytes32(-2)?.as_slice(), bytes32(-3)?.as_slice()].concat();
                PublicJwk::P256(P256Public::from_point(&point)?)
            }
            (1, EDDSA, Some(6)) => PublicJwk::Ed25519(VerifyingKey::from_bytes(&bytes32(-2)?)?),
            (3, RS256, None) => {
                PublicJwk::Rsa(RsaPublic::new(bytes(-1)?.to_vec(), bytes(-2)?.to_vec()).ok()?)
            }
            _ => return None,
        };
        Some((CoseKey(key), rest))
    }

    /// Tells whether `signature` is one of this key over `message`. ECDSA signatures are in DER here.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            PublicJwk::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point.0).verify(message, signature).is_ok()
            }
            PublicJwk::Ed25519(_) => self.0.verify(ClientAlgorithm::EdDsa, message, signature),
            PublicJwk::Rsa(_) => self.0.verify(ClientAlgorithm::Rs256, message, signature),
        }
    }
}
