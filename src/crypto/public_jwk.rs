//! A public key as a JWK (RFC 7517, RFC 7518 section 6, RFC 8037): RSA of 2048 to 4096 bits, P-256 and Ed25519. All
//! keys that others give us go through here, and so do our own when they are published.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::jws::VerifyingKey;
use super::{mac, p256};

/// The members that only a private or a shared key has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The algorithms under which a signature of others is accepted (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClientAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl ClientAlgorithm {
    /// Every algorithm.
    pub const ALL: [ClientAlgorithm; 4] =
        [ClientAlgorithm::Rs256, ClientAlgorithm::Ps256, ClientAlgorithm::Es256, ClientAlgorithm::EdDsa];

    /// Returns the name in JOSE headers and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientAlgorithm::Rs256 => "RS256",
            ClientAlgorithm::Ps256 => "PS256",
            ClientAlgorithm::Es256 => "ES256",
            ClientAlgorithm::EdDsa => "EdDSA",
        }
    }

    /// Takes the exact name. `None` for every other algorithm, `none` and `HS256` among them (TOK-01).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for ClientAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a JWK is not taken; a sentence for whoever registered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwkError(pub(super) &'static str);

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for JwkError {}

/// A public key that has been checked: of a sound size, on its curve, and not of small order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicJwk {
    /// RSA.
    Rsa(RsaPublic),
    /// ECDSA or ECDH on P-256.
    P256(P256Public),
    /// Ed25519.
    Ed25519(VerifyingKey),
}

/// Modulus and exponent, big-endian without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    pub(super) n: Vec<u8>,
    pub(super) e: Vec<u8>,
}

/// A point of P-256, uncompressed (SEC 1 section 2.3.3): 4, x, y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P256Public(pub(super) [u8; 65]);

impl P256Public {
    /// Takes an uncompressed point. `None` if it does not lie on the curve.
    pub(super) fn from_point(point: &[u8]) -> Option<Self> {
        let (prefix, coordinates) = point.split_first()?;
        let (x, y) = coordinates.split_at_checked(32)?;
        let is_sound = *prefix == 4 && p256::is_on_curve(x.try_into().ok()?, y.try_into().ok()?);
        if is_sound { Some(P256Public(point.try_into().ok()?)) } else { None }
    }

    fn coordinates(&self) -> (&[u8], &[u8]) {
        let (_, coordinates) = self.0.split_at(1);
        coordinates.split_at(32)
    }
}

impl PublicJwk {
    /// Reads the key of a JWK. Members that do not belong to the key itself (`kid`, `use`, ...) are left to the caller.
    ///
    /// # Errors
    /// [`JwkError`] if the key is of another kind, holds a private member, or is not sound.
    pub fn parse(members: &Map<String, Value>) -> Result<Self, JwkError> {
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return Err(JwkError(
                "A key holds its private part. Make a new key pair, and register the public part alone.",
            ));
        }
        let kty = members.get("kty").and_then(Value::as_str);
        let curve = members.get("crv").and_then(Value::as_str);
        match (kty, curve) {
            (Some("RSA"), None) => RsaPublic::parse(members).map(PublicJwk::Rsa),
            (Some("EC"), Some("P-256")) => {
                let mut point = vec![4];
                point.extend_from_slice(&bytes32(members, "x")?);
                point.extend_from_slice(&bytes32(members, "y")?);
                let point = P256Public::from_point(&point);
                point.map(PublicJwk::P256).ok_or(JwkError("An EC key is no point of the curve P-256."))
            }
            (Some("OKP"), Some("Ed25519")) => VerifyingKey::from_bytes(&bytes32(members, "x")?)
                .map(PublicJwk::Ed25519)
                .ok_or(JwkError("An Ed25519 key is no point of the curve, or one of small order.")),
            (Some("oct"), _) => Err(JwkError("A key is a shared secret (oct). Register a public key.")),
            (None, _) => Err(JwkError("A key has no \"kty\".")),
            _ => Err(JwkError("A key is of a kind that is not supported. Use RSA, EC P-256 or OKP Ed25519.")),
        }
    }

    /// Returns the members that make up the key (RFC 7518 section 6, RFC 8037 section 2), without a name.
    pub fn to_json(&self) -> Map<String, Value> {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let value = match self {
            PublicJwk::Rsa(key) => json!({ "kty": "RSA", "n": encode(&key.n), "e": encode(&key.e) }),
            PublicJwk::P256(key) => {
                let (x, y) = key.coordinates();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            PublicJwk::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&key.to_bytes()) })
            }
        };
        match value {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// Returns the SHA-256 thumbprint (RFC 7638 section 3, RFC 8037 section 2): 43 characters of base64url.
    pub fn thumbprint(&self) -> String {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let text = match self {
            PublicJwk::Rsa(key) => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(&key.e), encode(&key.n))
            }
            PublicJwk::P256(key) => {
                let (x, y) = key.coordinates();
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
            }
            PublicJwk::Ed25519(key) => return key.kid(),
        };
        BASE64URL_NOPAD.encode(&mac::sha256(text))
    }

    /// Tells whether a key of this kind can make signatures of `algorithm`.
    pub fn fits(&self, algorithm: ClientAlgorithm) -> bool {
        matches!(
            (self, algorithm),
            (PublicJwk::Rsa(_), ClientAlgorithm::Rs256 | ClientAlgorithm::Ps256)
                | (PublicJwk::P256(_), ClientAlgorithm::Es256)
                | (PublicJwk::Ed25519(_), ClientAlgorithm::EdDsa)
        )
    }

    /// Tells whether `signature` is one of this key over `message` under `algorithm`. `false` also if the key is not
    /// of the algorithm's kind, so a signature never decides how it is verified (TOK-01).
    pub fn verify(&self, algorithm: ClientAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (PublicJwk::Rsa(key), ClientAlgorithm::Rs256) => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (PublicJwk::Rsa(key), ClientAlgorithm::Ps256) => {
                key.verify(&signature::RSA_PSS_2048_8192_SHA256, message, signature)
            }
            (PublicJwk::P256(key), ClientAlgorithm::Es256) => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &key.0);
                key.verify(message, signature).is_ok()
            }
            (PublicJwk::Ed25519(key), ClientAlgorithm::EdDsa) => key.is_signature_of(message, signature),
            _ => false,
        }
    }
}

impl RsaPublic {
    fn parse(members: &Map<String, Value>) -> Result<Self, JwkError> {
        Self::new(bytes(members, "n")?, bytes(members, "e")?)
    }

    /// Takes modulus and exponent, and checks what can be seen of them from outside.
    pub(super) fn new(n: Vec<u8>, e: Vec<u8>) -> Result<Self, JwkError> {
        // RFC 7518 section 6.3.1: no leading zeros. Otherwise one key had several thumbprints.
        if n.first() == Some(&0) || e.first() == Some(&0) {
            return Err(JwkError("Modulus or exponent of an RSA key begins with zeros. Leave them out."));
        }
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !(2048..=4096).contains(&bits) {
            return Err(JwkError("An RSA key must have 2048 to 4096 bits."));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let exponent = e.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        // ring takes no exponent of more than 33 bits.
        if e.len() > 5 || !(65_537..1 << 33).contains(&exponent) || !is_odd(&e) {
            return Err(JwkError("The exponent of an RSA key must be odd and from 65537 to 33 bits."));
        }
        if !is_odd(&n) {
            return Err(JwkError("The modulus of an RSA key is even, so it is no product of two primes."));
        }
        Ok(RsaPublic { n, e })
    }

    fn verify(
        &self,
        parameters: &'static signature::RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = RsaPublicKeyComponents { n: &self.n, e: &self.e };
        key.verify(parameters, message, signature).is_ok()
    }
}

/// A member in base64url without padding and without bits left over (RFC 7515 section 2).
fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JwkError> {
    let text = members.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
        .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
        .ok_or(JwkError("A key lacks a member of its kind, or one is not base64url without padding."))
}

fn bytes32(members: &Map<String, Value>, name: &str) -> Result<[u8; 32], JwkError> {
    let bytes = bytes(members, name)?;
    bytes.try_into().map_err(|_| JwkError("A coordinate of a key must have exactly 32 bytes."))
}

#[cfg(test)]
pub(super) mod tests;
