//! The keys with which Doorward signs as an OpenID provider: RS256, because every client knows it (OpenID Connect Core
//! section 15.1), ES256 and EdDSA for clients that want them. RSA and P-256 are ring's, Ed25519 is ed25519-dalek's.
//!
//! [`super::jws`] keeps the tokens of Doorward's own API, whose one algorithm no registration can change.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::Signer as _;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair, RsaPublicKeyComponents,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::compact::Opened;
use super::jws::{self, TokenError};
use super::key_ring::{RingKey, RingMember};
use super::public_jwk::{ClientAlgorithm, P256Public, PublicJwk, RsaPublic};
use super::{private_key_file, rsa_key};
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// How Doorward signs (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519. The name is `EdDSA`, not the `Ed25519` of RFC 9864, which few clients know.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningAlgorithm {
    /// Every algorithm; RS256 first, for clients that take the first key of a set.
    pub const ALL: [SigningAlgorithm; 3] =
        [SigningAlgorithm::Rs256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa];

    /// Returns the name in JOSE headers and metadata.
    pub fn as_str(self) -> &'static str {
        self.verified_as().as_str()
    }

    /// Takes the exact name. `None` for anything else (TOK-01).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    fn verified_as(self) -> ClientAlgorithm {
        match self {
            SigningAlgorithm::Rs256 => ClientAlgorithm::Rs256,
            SigningAlgorithm::Es256 => ClientAlgorithm::Es256,
            SigningAlgorithm::EdDsa => ClientAlgorithm::EdDsa,
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no key; a sentence for an administrator. It never repeats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError(pub(super) &'static str);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyError {}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// The claims do not serialize to JSON.
    Claims,
    /// The key did not sign: its parts do not belong together, or the system gave no randomness.
    Key,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignError::Claims => "The claims of a token cannot be written as JSON.",
            SignError::Key => "A signing key does not work. Replace the signing keys.",
        })
    }
}

impl std::error::Error for SignError {}

/// A private key with its name and its public half. A clone shares the key.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    public: PublicKey,
    /// What [`PrivateKey::to_bytes`] gives.
    bytes: Zeroizing<Vec<u8>>,
    signer: Signer,
}

// ring does not wipe its keys on drop. They live as long as the process, so nothing is lost by that.
enum Signer {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.algorithm()).field(&self.kid()).finish()
    }
}

impl PrivateKey {
    /// Makes a fresh key. RSA has 2048 bits and takes from a tenth of a second to several seconds on a small machine:
    /// call this on a thread of its own, never while a request waits.
    ///
    /// # Errors
    /// [`KeyError`] if no key came out; try again.
    pub fn generate(algorithm: SigningAlgorithm, random: &Random) -> Result<Self, KeyError> {
        const FAILED: KeyError = KeyError("No signing key could be made. Try again.");
        match algorithm {
            SigningAlgorithm::Rs256 => Self::rsa(rsa_key::generate(random).map_err(|_| FAILED)?),
            SigningAlgorithm::Es256 => {
                let system = SystemRandom::new();
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &system);
                Self::p256(Zeroizing::new(document.map_err(|_| FAILED)?.as_ref().to_vec()))
            }
            SigningAlgorithm::EdDsa => Ok(Self::ed25519(&Zeroizing::new(random.bytes()))),
        }
    }

    /// Takes a key as [`PrivateKey::to_bytes`] gave it: RSA as PKCS#1 (or PKCS#8) DER, P-256 as PKCS#8 DER with its
    /// public key, Ed25519 as its seed of 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] if it is no such key, if its size is not supported, or if its parts do not belong together.
    pub fn from_bytes(algorithm: SigningAlgorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        match algorithm {
            SigningAlgorithm::Rs256 => {
                Self::rsa(Zeroizing::new(private_key_file::unwrap_rsa(bytes).unwrap_or(bytes).to_vec()))
            }
            SigningAlgorithm::Es256 => Self::p256(Zeroizing::new(bytes.to_vec())),
            SigningAlgorithm::EdDsa => bytes
                .try_into()
                .map(|seed| Self::ed25519(&Zeroizing::new(seed)))
                .map_err(|_| KeyError("An Ed25519 key must have a seed of 32 bytes.")),
        }
    }

    /// Takes a key from a PEM file: RSA of 2048, 3072 or 4096 bits as PKCS#8 or PKCS#1, P-256 or Ed25519 as PKCS#8, not
    /// encrypted.
    ///
    /// # Errors
    /// [`KeyError`] with a sentence that says what to do.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (algorithm, bytes) = private_key_file::parse(text)?;
        Self::from_bytes(algorithm, &bytes)
    }

    /// Returns the private key for sealed storage; [`PrivateKey::from_bytes`] takes it back.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.bytes.clone()
    }

    fn rsa(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_der(&bytes).map_err(|_| {
            KeyError(
                "This is not a sound RSA key of 2048, 3072 or 4096 bits with an exponent of 65537 or more.",
            )
        })?;
        let components = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = RsaPublic::new(components.n, components.e)
            .map_err(|_| KeyError("The RSA key must have 2048 to 4096 bits and a usual exponent."))?;
        let key =
            Self::new(SigningAlgorithm::Rs256, PublicJwk::Rsa(public), bytes, Signer::Rsa(Box::new(pair)));
        // ring leaves some parts unchecked until the first signature.
        let proof =
            key.sign(b"proof").map_err(|_| KeyError("The parts of the RSA key do not belong together."))?;
        if key.public().verify(b"proof", &proof) {
            Ok(key)
        } else {
            Err(KeyError("The RSA key does not verify what it signs."))
        }
    }

    fn p256(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &SystemRandom::new())
            .map_err(|_| {
                KeyError(
                    "This is not a P-256 key in PKCS#8 with its public key in it, as `openssl genpkey` writes it.",
                )
            })?;
        let public = P256Public::from_point(pair.public_key().as_ref())
            .ok_or(KeyError("The public key of the P-256 key is not on its curve."))?;
        Ok(Self::new(SigningAlgorithm::Es256, PublicJwk::P256(public), bytes, Signer::P256(Box::new(pair))))
    }

    fn ed25519(seed: &Zeroizing<[u8; 32]>) -> Self {
        let public = PublicJwk::Ed25519(jws::SigningKey::from_seed(seed).verifying_key());
        let signer = Signer::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)));
        Self::new(SigningAlgorithm::EdDsa, public, Zeroizing::new(seed.to_vec()), signer)
    }

    fn new(algorithm: SigningAlgorithm, key: PublicJwk, bytes: Zeroizing<Vec<u8>>, signer: Signer) -> Self {
        let public = PublicKey(Arc::new(PublicInner { algorithm, kid: key.thumbprint(), key }));
        PrivateKey(Arc::new(Inner { public, bytes, signer }))
    }

    /// Returns the name of the key, which is the thumbprint of its public half (RFC 7638): 43 characters.
    pub fn kid(&self) -> &str {
        self.0.public.kid()
    }

    /// Returns the one algorithm of the key.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.0.public.algorithm()
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        self.0.public.clone()
    }

    /// Returns the public half as published (RFC 7517): the numbers of the key, `kid`, `alg` and `use`.
    pub fn public_jwk(&self) -> Value {
        self.0.public.to_jwk()
    }

    /// Signs a message: the bytes of a JWS signature (RFC 7518 sections 3.3 and 3.4, RFC 8037 section 3.1).
    ///
    /// # Errors
    /// [`SignError::Key`] if the key does not work.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.0.signer {
            Signer::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out)
                    .map_err(|_| SignError::Key)?;
                Ok(out)
            }
            Signer::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| SignError::Key)?;
                Ok(signature.as_ref().to_vec())
            }
            Signer::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
        }
    }
}

impl RingMember for PrivateKey {
    type Public = PublicKey;

    fn kid(&self) -> &str {
        PrivateKey::kid(self)
    }

    fn public(&self) -> PublicKey {
        PrivateKey::public(self)
    }

    fn public_jwk(&self) -> Value {
        PrivateKey::public_jwk(self)
    }
}

/// A key of a provider's ring as it is stored, sealed. It holds the private key and must reach nothing but the store.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct StoredKey {
    #[zeroize(skip)]
    algorithm: SigningAlgorithm,
    #[zeroize(skip)]
    created: Timestamp,
    #[zeroize(skip)]
    activates: Timestamp,
    key: Vec<u8>,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredKey")
    }
}

impl StoredKey {
    /// Returns the algorithm of the key, which says what ring it belongs to.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Takes a key of a ring. At most 2.4 KiB in the store (RSA of 4096 bits).
    pub fn from_ring(key: &RingKey<PrivateKey>) -> Self {
        StoredKey {
            algorithm: key.key().algorithm(),
            created: key.created(),
            activates: key.activates(),
            key: key.key().to_bytes().to_vec(),
        }
    }

    /// Returns the key for its ring. The name of the key follows from the key.
    ///
    /// # Errors
    /// [`KeyError`] if what was stored is no key.
    pub fn to_ring(&self) -> Result<RingKey<PrivateKey>, KeyError> {
        let key = PrivateKey::from_bytes(self.algorithm, &self.key)?;
        Ok(RingKey::new(key, self.created, self.activates))
    }
}

/// The public half of one of our keys. A clone shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Arc<PublicInner>);

#[derive(Debug, PartialEq, Eq)]
struct PublicInner {
    algorithm: SigningAlgorithm,
    kid: String,
    key: PublicJwk,
}

impl PublicKey {
    /// Returns the name of the key.
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// Returns the one algorithm of the key.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.0.algorithm
    }

    /// Returns the key as published (RFC 7517).
    pub fn to_jwk(&self) -> Value {
        let mut members = self.0.key.to_json();
        for (name, text) in [("kid", self.kid()), ("alg", self.algorithm().as_str()), ("use", "sig")] {
            members.insert(name.to_owned(), text.into());
        }
        Value::Object(members)
    }

    /// Tells whether `signature` is one of this key over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.key.verify(self.0.algorithm.verified_as(), message, signature)
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
}

/// Signs `claims`, which must serialize to an object, as a JWS in compact form (RFC 7515 section 3.1) whose header
/// holds `alg`, `kid` and, if given, `typ`.
///
/// # Errors
/// [`SignError`] if `claims` do not serialize or the key does not work.
pub fn sign_compact(
    key: &PrivateKey,
    typ: Option<&str>,
    claims: &impl Serialize,
) -> Result<String, SignError> {
    let header = Header { alg: key.algorithm().as_str(), kid: key.kid(), typ };
    let mut token = String::with_capacity(1024);
    BASE64URL_NOPAD.encode_append(&serde_json::to_vec(&header).map_err(|_| SignError::Claims)?, &mut token);
    token.push('.');
    BASE64URL_NOPAD.encode_append(&serde_json::to_vec(claims).map_err(|_| SignError::Claims)?, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut token);
    Ok(token)
}

/// A token that one of our keys signed. What it says, and until when, is for the caller to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnToken {
    /// The kind of token, if it says so. Compare it: kinds exclude each other (TOK-04).
    pub typ: Option<String>,
    /// The name of the key.
    pub kid: String,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Verifies form and signature of a token that one of our own keys should have signed, such as an `id_token_hint`,
/// and nothing else: it may have expired long ago. `find` looks a `kid` up among our keys, the retired ones too.
///
/// # Errors
/// [`TokenError::Malformed`] if it is no such token by its form or its algorithm is not the key's;
/// [`TokenError::BadSignature`] if no key of ours made it.
pub fn verify_own(token: &str, find: impl Fn(&str) -> Option<PublicKey>) -> Result<OwnToken, TokenError> {
    let mut opened = Opened::new(token)?;
    let (algorithm, kid, typ) = (opened.take("alg")?, opened.take("kid")?, opened.take("typ")?);
    opened.nothing_else()?;
    let algorithm = algorithm.and_then(|name| SigningAlgorithm::parse(&name)).ok_or(TokenError::Malformed)?;
    let kid = kid.filter(|kid| jws::is_kid(kid)).ok_or(TokenError::Malformed)?;
    let key = find(&kid).filter(|key| key.kid() == kid).ok_or(TokenError::BadSignature)?;
    if key.algorithm() != algorithm {
        return Err(TokenError::Malformed);
    }
    let claims = opened.claims(|message, signature| key.verify(message, signature))?;
    Ok(OwnToken { typ, kid, claims })
}

#[cfg(test)]
pub(super) mod tests;
