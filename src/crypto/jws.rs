//! Doorward's own tokens: JWS in compact form, Ed25519 and nothing else (RFC 7515, RFC 8037).
//!
//! The verifier is strict before it is clever: size, alphabet and shape are checked before anything is parsed, the
//! header may hold `alg`, `typ` and `kid` and nothing else, the key is found by exact `kid` in our own set, and every
//! claim that a decision rests on is required with its exact type. jsonwebtoken gives the types of the format and the
//! provider interface; its claim validation, which lets absent claims pass, is not used.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::Signer as _;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind, new_error};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{mac, strict_json};
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;

/// The longest token that is looked at (TOK-08).
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far clocks may differ for our own tokens (TOK-06).
pub const LEEWAY: Duration = Duration::from_secs(5);
const MAX_KID: usize = 64;

/// Installs Ed25519 as the one algorithm of the jsonwebtoken crate in this process. Calling it again does nothing.
///
/// Signing and verifying in this file do not need it; it makes sure that any other use of the crate meets the same
/// strict verifier and that every other algorithm is an error rather than a panic.
pub fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // An error means that a provider is installed already; that can only be this one.
        let _ = PROVIDER.install_default();
    });
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key: &EncodingKey| match algorithm {
        Algorithm::EdDSA => {
            let seed = Zeroizing::new(<[u8; 32]>::try_from(key.as_bytes()).map_err(|_| invalid_key())?);
            Ok(Box::new(SigningKey::from_seed(&seed)))
        }
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    },
    verifier_factory: |algorithm, key: &DecodingKey| match algorithm {
        Algorithm::EdDSA => {
            let bytes = <[u8; 32]>::try_from(key.try_get_as_bytes()?).map_err(|_| invalid_key())?;
            Ok(Box::new(VerifyingKey::from_bytes(&bytes).ok_or_else(invalid_key)?))
        }
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    },
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(invalid_key()),
        rsa_pub_components_from_public_key: |_| Err(invalid_key()),
        ec_pub_components_from_private_key: |_, _| Err(invalid_key()),
        ed_pub_components_from_private_key: |_, _| Err(invalid_key()),
        compute_digest: |_, _| Err(invalid_key()),
    },
};

fn invalid_key() -> JwtError {
    new_error(ErrorKind::InvalidKeyFormat)
}

/// A private key and its name. The name is the RFC 7638 thumbprint of the public key, so it cannot be chosen.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.kid).finish()
    }
}

impl SigningKey {
    /// Makes a fresh key.
    pub fn random(random: &Random) -> Self {
        Self::from_seed(&Zeroizing::new(random.bytes()))
    }

    /// Takes the 32-byte seed of a key (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let kid = thumbprint(key.verifying_key().as_bytes());
        SigningKey { kid, key }
    }

    /// Gives the seed to code that seals it.
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Returns the name of the key: 43 characters of base64url.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the public key.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.key.verifying_key())
    }
}

impl Signer<Vec<u8>> for SigningKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for SigningKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Takes the 32 bytes of a public key. `None` if they are no point of the curve or one of small order, under
    /// which one signature would fit every message (TOK-10).
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).ok()?;
        (!key.is_weak()).then_some(VerifyingKey(key))
    }

    /// Returns the 32 bytes of the key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the name of the key.
    pub fn kid(&self) -> String {
        thumbprint(self.0.as_bytes())
    }

    /// Returns the public JWK (RFC 8037 section 2) as published.
    pub fn to_jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": BASE64URL_NOPAD.encode(self.0.as_bytes()),
            "kid": self.kid(),
            "alg": "EdDSA",
            "use": "sig",
        })
    }

    /// Strictly: under this key exactly one signature form counts, and none of small order (TOK-10).
    pub(super) fn is_signature_of(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(bytes) = <[u8; 64]>::try_from(signature) else { return false };
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
    }
}

impl Verifier<Vec<u8>> for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        if self.is_signature_of(message, signature) { Ok(()) } else { Err(SignatureError::new()) }
    }
}

impl JwtVerifier for VerifyingKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

/// RFC 7638 section 3 over the members that RFC 8037 section 2 names.
fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = BASE64URL_NOPAD.encode(public_key);
    BASE64URL_NOPAD.encode(&mac::sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// The claims are not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignError;

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The claims of a token cannot be written as JSON.")
    }
}

impl std::error::Error for SignError {}

/// Signs `claims`, which must serialise to an object, as a token of type `typ`.
///
/// # Errors
/// [`SignError`] if `claims` do not serialise.
pub fn sign(key: &SigningKey, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(typ.to_owned());
    header.kid = Some(key.kid.clone());
    let mut token = String::with_capacity(768);
    BASE64URL_NOPAD.encode_append(&serde_json::to_vec(&header).map_err(|_| SignError)?, &mut token);
    token.push('.');
    BASE64URL_NOPAD.encode_append(&serde_json::to_vec(claims).map_err(|_| SignError)?, &mut token);
    let signature = key.key.sign(token.as_bytes());
    token.push('.');
    BASE64URL_NOPAD.encode_append(&signature.to_bytes(), &mut token);
    Ok(token)
}

/// What a token must say to be accepted here.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The kind of token, for example `at+jwt`. Kinds exclude each other (TOK-04).
    pub typ: &'a str,
    /// Who must have issued it.
    pub issuer: &'a str,
    /// For whom it must be.
    pub audience: &'a str,
    /// The wall clock.
    pub now: Timestamp,
    /// How far clocks may differ; [`LEEWAY`] for our own tokens.
    pub leeway: Duration,
    /// The longest life a token of this kind may have.
    pub max_lifetime: Duration,
}

/// Why a token was refused. For the log; the one who sent it learns [`TokenError::code`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a token of ours by its form: size, alphabet, JSON, header members or algorithm.
    Malformed,
    /// No key of ours made this signature.
    BadSignature,
    /// It is a token of another kind.
    WrongType,
    /// Another issuer made it.
    WrongIssuer,
    /// It is for someone else.
    WrongAudience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// A required claim is missing, of the wrong type, or against our rules.
    InvalidClaims,
}

impl TokenError {
    /// Returns the stable code for answers.
    pub fn code(self) -> &'static str {
        match self {
            TokenError::Malformed => "token_malformed",
            TokenError::BadSignature => "token_bad_signature",
            TokenError::Expired => "token_expired",
            TokenError::WrongType
            | TokenError::WrongIssuer
            | TokenError::WrongAudience
            | TokenError::NotYetValid
            | TokenError::InvalidClaims => "token_invalid_claims",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Malformed => "This is not a token of this server.",
            TokenError::BadSignature => "The token's signature is not valid.",
            TokenError::WrongType => "The token is of another kind.",
            TokenError::WrongIssuer => "The token was issued elsewhere.",
            TokenError::WrongAudience => "The token is meant for another service.",
            TokenError::Expired => "The token has expired.",
            TokenError::NotYetValid => "The token is not valid yet.",
            TokenError::InvalidClaims => "The token lacks a claim that is required here.",
        })
    }
}

impl std::error::Error for TokenError {}

/// Verifies a token and returns its claims.
///
/// `find_key` looks a `kid` up in our own set; nothing else in a token can name a key (TOK-02).
///
/// # Errors
/// [`TokenError`]; nothing of a refused token is returned.
pub fn verify<C: DeserializeOwned>(
    token: &str,
    find_key: impl Fn(&str) -> Option<VerifyingKey>,
    expected: &Expected<'_>,
) -> Result<C, TokenError> {
    verify_for(token, find_key, expected, |audience| audience == expected.audience)
}

/// As [`verify`], for tokens that may be meant for one of several audiences; `is_audience` judges in place of
/// `expected.audience`.
///
/// # Errors
/// [`TokenError`]; nothing of a refused token is returned.
pub fn verify_for<C: DeserializeOwned>(
    token: &str,
    find_key: impl Fn(&str) -> Option<VerifyingKey>,
    expected: &Expected<'_>,
    is_audience: impl Fn(&str) -> bool,
) -> Result<C, TokenError> {
    let parts = split(token)?;
    let kid = check_header(&parts, expected.typ)?;
    let key = find_key(&kid).ok_or(TokenError::BadSignature)?;
    let signature = decode(parts.signature)?;
    if !key.is_signature_of(parts.signed.as_bytes(), &signature) {
        return Err(TokenError::BadSignature);
    }
    let claims = strict_json::object(&decode(parts.payload)?).ok_or(TokenError::Malformed)?;
    check_claims(&claims, expected, is_audience)?;
    serde_json::from_value(Value::Object(claims)).map_err(|_| TokenError::InvalidClaims)
}

pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: &'a str,
    pub(super) signature: &'a str,
    /// Header and payload with the dot between them.
    pub(super) signed: &'a str,
}

/// Size, alphabet and number of segments, before anything is parsed (TOK-08).
pub(super) fn split(token: &str) -> Result<Parts<'_>, TokenError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.len() > MAX_TOKEN_BYTES || !token.bytes().all(is_plain) {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    if header.is_empty() || payload.is_empty() || payload.contains('.') {
        return Err(TokenError::Malformed);
    }
    Ok(Parts { header, payload, signature, signed })
}

/// Decodes canonical base64url: no padding, no bits left over, so that a token has exactly one spelling.
pub(super) fn decode(segment: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD.decode(segment.as_bytes()).map_err(|_| TokenError::Malformed)
}

/// Accepts exactly `alg`, `typ` and `kid`. Whatever else a header may hold (`crit`, `jku`, `jwk`, `x5u`, `x5c`,
/// `b64`, `zip`, ...) is refused unread (TOK-01, TOK-02, TOK-03). Returns the `kid`.
fn check_header(parts: &Parts<'_>, typ: &str) -> Result<String, TokenError> {
    let mut header = strict_json::object(&decode(parts.header)?).ok_or(TokenError::Malformed)?;
    let mut take = |name| match header.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(TokenError::Malformed),
    };
    let (algorithm, given_typ, kid) = (take("alg")?, take("typ")?, take("kid")?);
    if algorithm != "EdDSA" || !header.is_empty() || !is_kid(&kid) {
        return Err(TokenError::Malformed);
    }
    if given_typ != typ {
        return Err(TokenError::WrongType);
    }
    Ok(kid)
}

pub(super) fn is_kid(kid: &str) -> bool {
    (1..=MAX_KID).contains(&kid.len())
        && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `iss`, `aud`, `sub`, `exp`, `iat` and `jti` are required with their exact types; `nbf` counts if present
/// (TOK-05, TOK-06).
fn check_claims(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    is_audience: impl Fn(&str) -> bool,
) -> Result<(), TokenError> {
    let text = |name| claims.get(name).and_then(Value::as_str).ok_or(TokenError::InvalidClaims);
    let seconds = |name| claims.get(name).and_then(Value::as_u64).ok_or(TokenError::InvalidClaims);
    let (issuer, audience, subject, id) = (text("iss")?, text("aud")?, text("sub")?, text("jti")?);
    let (expires, issued) = (seconds("exp")?, seconds("iat")?);
    let not_before = if claims.contains_key("nbf") { Some(seconds("nbf")?) } else { None };
    if issuer != expected.issuer {
        return Err(TokenError::WrongIssuer);
    }
    if !is_audience(audience) {
        return Err(TokenError::WrongAudience);
    }
    let life = expires.checked_sub(issued).ok_or(TokenError::InvalidClaims)?;
    if subject.is_empty() || id.is_empty() || life == 0 || life > expected.max_lifetime.as_secs() {
        return Err(TokenError::InvalidClaims);
    }
    let latest_start = expected.now.plus(expected.leeway).as_secs();
    if issued > latest_start || not_before.is_some_and(|start| start > latest_start) {
        return Err(TokenError::NotYetValid);
    }
    if expected.now >= Timestamp::from_secs(expires).plus(expected.leeway) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
