//! Tokens that a client signed with a key it registered: client assertions.
//!
//! The key is looked up among the client's own and nowhere else; the algorithm must be one that the caller allows, and
//! one that the key was registered for. What the claims mean, times included, is for the caller.

use serde_json::{Map, Value};

pub use super::public_jwk::ClientAlgorithm;

use super::compact::Opened;
use super::jwk::{ClientKeys, is_client_kid};
use super::jws::{self, TokenError};
use super::strict_json;

/// A token whose signature is one of the client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientJws {
    /// How it is signed.
    pub algorithm: ClientAlgorithm,
    /// The name of the key, if the token gives one.
    pub kid: Option<String>,
    /// The kind of token, if it says so. Kinds exclude each other (TOK-04).
    pub typ: Option<String>,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Verifies form and signature of a token that a client should have signed; `keys` are those of this client. The
/// header may hold `alg`, `kid` and `typ` (TOK-01 to TOK-03, TOK-10).
///
/// # Errors
/// [`TokenError::Malformed`] if it is no such token by its form, or its algorithm is not allowed;
/// [`TokenError::BadSignature`] if no key of the client made it.
pub fn verify_client(
    token: &str,
    keys: &ClientKeys,
    allowed: &[ClientAlgorithm],
) -> Result<ClientJws, TokenError> {
    let mut opened = Opened::new(token)?;
    let (algorithm, kid, typ) = (opened.take("alg")?, opened.take("kid")?, opened.take("typ")?);
    opened.nothing_else()?;
    let algorithm = algorithm
        .and_then(|name| ClientAlgorithm::parse(&name))
        .filter(|algorithm| allowed.contains(algorithm))
        .ok_or(TokenError::Malformed)?;
    if kid.as_deref().is_some_and(|kid| !is_client_kid(kid)) {
        return Err(TokenError::Malformed);
    }
    let key = keys.find_for_signature(kid.as_deref(), algorithm).ok_or(TokenError::BadSignature)?;
    let claims = opened.claims(|message, signature| key.key().verify(algorithm, message, signature))?;
    Ok(ClientJws { algorithm, kid, typ, claims })
}

/// Returns the `iss` of a token before anything of it is believed: RFC 7523 lets a client leave out its `client_id`,
/// and this says whose keys to try. Nothing else may rest on it.
pub fn unverified_issuer(token: &str) -> Option<String> {
    let parts = jws::split(token).ok()?;
    match strict_json::object(&jws::decode(parts.payload).ok()?)?.remove("iss") {
        Some(Value::String(issuer)) => Some(issuer),
        _ => None,
    }
}

/// Returns the `typ` of a token before anything of it is believed: whether to look at it at all. Nothing else may rest on
/// it.
pub fn unverified_type(token: &str) -> Option<String> {
    let parts = jws::split(token).ok()?;
    match strict_json::object(&jws::decode(parts.header).ok()?)?.remove("typ") {
        Some(Value::String(typ)) => Some(typ),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
