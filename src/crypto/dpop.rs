//! DPoP proofs (RFC 9449): the holder of a key shows with each request that they hold it. Pure; whether a proof was
//! seen before is [`super::replay`]'s part.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use url::Url;

use super::compact::Opened;
use super::mac;
use super::public_jwk::{ClientAlgorithm, PublicJwk};
use crate::kernel::time::Timestamp;

/// How proofs may be signed; RS256 is not among them (FAPI 2.0 section 5.4.1).
pub const ALGORITHMS: [ClientAlgorithm; 3] =
    [ClientAlgorithm::Ps256, ClientAlgorithm::Es256, ClientAlgorithm::EdDsa];
/// How old a proof may be (RFC 9449 section 11.1).
pub const MAX_AGE: Duration = Duration::from_secs(60);
/// How far the clock of the client may be ahead.
pub const MAX_AHEAD: Duration = Duration::from_secs(15);
const MAX_JTI: usize = 256;

/// What is known of the request that carries the proof.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedProof<'a> {
    /// Its method, as sent.
    pub method: &'a str,
    /// Its address: scheme, host and path as the client sees them. Query and fragment are not looked at.
    pub url: &'a str,
    /// The access token that comes with it, if one does.
    pub access_token: Option<&'a str>,
    /// The wall clock.
    pub now: Timestamp,
}

/// A proof that is sound. It may be used once: remember `jkt` and `jti` together for as long as `iat` is in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of the key (RFC 9449 section 6.1), to which tokens are bound.
    pub jkt: String,
    /// The name of the proof, unique for the key.
    pub jti: String,
    /// When it was made.
    pub iat: Timestamp,
    /// The nonce in it, which is the caller's to judge.
    pub nonce: Option<String>,
}

/// Why a proof was refused; the client learns `invalid_dpop_proof`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// It is no JWS of the right form.
    Malformed,
    /// Its `typ` is not `dpop+jwt`.
    WrongType,
    /// Its algorithm is not one of [`ALGORITHMS`], or not its key's.
    WrongAlgorithm,
    /// It holds no public key, an unsound or a private one.
    BadKey,
    /// Its signature is not of its key.
    BadSignature,
    /// A claim is missing or of the wrong type.
    MissingClaim,
    /// It was made for another method.
    WrongMethod,
    /// It was made for another address.
    WrongUrl,
    /// It is too old, or from the future.
    OutOfTime,
    /// It was made for another access token, or for none.
    WrongToken,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProofError::Malformed => "The DPoP proof is not a JWS with the header members typ, alg and jwk.",
            ProofError::WrongType => "The typ of a DPoP proof must be dpop+jwt.",
            ProofError::WrongAlgorithm => "A DPoP proof must be signed with ES256, PS256 or EdDSA.",
            ProofError::BadKey => {
                "The jwk of a DPoP proof must be a sound public key without private members."
            }
            ProofError::BadSignature => "The signature of the DPoP proof is not of its key.",
            ProofError::MissingClaim => "A DPoP proof must have jti, htm, htu and iat.",
            ProofError::WrongMethod => "The htm of the DPoP proof is not the method of the request.",
            ProofError::WrongUrl => "The htu of the DPoP proof is not the address of the request.",
            ProofError::OutOfTime => "The iat of the DPoP proof is not now. Check the clock of the client.",
            ProofError::WrongToken => "The ath of the DPoP proof is not the hash of the access token.",
        })
    }
}

impl std::error::Error for ProofError {}

/// Checks a proof as RFC 9449 section 4.3 says, except that there must be one header of it, which the caller sees.
///
/// # Errors
/// [`ProofError`] for the first rule that it breaks.
pub fn verify_proof(proof: &str, expected: &ExpectedProof<'_>) -> Result<Proof, ProofError> {
    let malformed = |_| ProofError::Malformed;
    let mut opened = Opened::new(proof).map_err(malformed)?;
    if opened.take("typ").map_err(malformed)?.as_deref() != Some("dpop+jwt") {
        return Err(ProofError::WrongType);
    }
    let algorithm = opened.take("alg").map_err(malformed)?.and_then(|name| ClientAlgorithm::parse(&name));
    let algorithm = algorithm.filter(|found| ALGORITHMS.contains(found)).ok_or(ProofError::WrongAlgorithm)?;
    let Some(Value::Object(jwk)) = opened.header.remove("jwk") else { return Err(ProofError::BadKey) };
    // Some libraries name the key as well. The name means nothing here.
    opened.take("kid").map_err(malformed)?;
    // RFC 9449 section 4.2: there may be others, which deployments agreed on among themselves.
    opened.nothing_risky().map_err(malformed)?;
    // A key of small order is refused with the others that are unsound (TOK-10).
    let key = PublicJwk::parse(&jwk).map_err(|_| ProofError::BadKey)?;
    if !key.fits(algorithm) {
        return Err(ProofError::WrongAlgorithm);
    }
    let claims =
        opened.claims(|message, signature| key.verify(algorithm, message, signature)).map_err(|error| {
            match error {
                super::jws::TokenError::BadSignature => ProofError::BadSignature,
                _ => ProofError::Malformed,
            }
        })?;
    check_claims(&claims, expected, key.thumbprint())
}

fn check_claims(
    claims: &Map<String, Value>,
    expected: &ExpectedProof<'_>,
    jkt: String,
) -> Result<Proof, ProofError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let required = |name: &str| text(name).ok_or(ProofError::MissingClaim);
    let jti = required("jti")?;
    if !(1..=MAX_JTI).contains(&jti.len()) {
        return Err(ProofError::MissingClaim);
    }
    if required("htm")? != expected.method {
        return Err(ProofError::WrongMethod);
    }
    if !is_same_address(required("htu")?, expected.url) {
        return Err(ProofError::WrongUrl);
    }
    let issued = claims.get("iat").and_then(Value::as_u64).ok_or(ProofError::MissingClaim)?;
    let issued = Timestamp::from_secs(issued);
    if issued.plus(MAX_AGE) < expected.now || issued > expected.now.plus(MAX_AHEAD) {
        return Err(ProofError::OutOfTime);
    }
    if let Some(token) = expected.access_token {
        let hash = BASE64URL_NOPAD.encode(&mac::sha256(token));
        if text("ath") != Some(hash.as_str()) {
            return Err(ProofError::WrongToken);
        }
    }
    Ok(Proof { jkt, jti: jti.to_owned(), iat: issued, nonce: text("nonce").map(str::to_owned) })
}

/// Compares two addresses without query and fragment, after the normalization of RFC 3986 sections 6.2.2 and 6.2.3
/// that parsing makes: case of scheme and host, dot segments, the default port.
fn is_same_address(given: &str, ours: &str) -> bool {
    let (Ok(given), Ok(ours)) = (Url::parse(given), Url::parse(ours)) else { return false };
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none()
    };
    is_plain(&given)
        && is_plain(&ours)
        && given.scheme() == ours.scheme()
        && given.host_str() == ours.host_str()
        && given.port_or_known_default() == ours.port_or_known_default()
        && given.path() == ours.path()
}

#[cfg(test)]
mod tests;
