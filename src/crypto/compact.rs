//! Opening a JWS in compact form (RFC 7515 section 7.1) whose key is not one of [`super::jws`]: the strict shape of
//! those tokens, but the header is for the caller to read.

use serde_json::{Map, Value};

use super::jws::{self, Parts, TokenError};
use super::strict_json;

/// Header members that name a key or change how a token is read.
const RISKY: [&str; 8] = ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"];

/// A token taken apart, with its header read.
pub(super) struct Opened<'a> {
    pub(super) header: Map<String, Value>,
    parts: Parts<'a>,
}

impl<'a> Opened<'a> {
    /// Checks size, alphabet and segments (TOK-08), then reads the header.
    pub(super) fn new(token: &'a str) -> Result<Self, TokenError> {
        let parts = jws::split(token)?;
        let header = strict_json::object(&jws::decode(parts.header)?).ok_or(TokenError::Malformed)?;
        Ok(Opened { header, parts })
    }

    /// Takes a header member that is a text if it is there at all.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, TokenError> {
        match self.header.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::Malformed),
        }
    }

    /// Refuses a header that holds anything beside what was taken: `crit`, `jku`, `x5u`, `b64`, ... (TOK-02, TOK-03).
    pub(super) fn nothing_else(&self) -> Result<(), TokenError> {
        if self.header.is_empty() { Ok(()) } else { Err(TokenError::Malformed) }
    }

    /// Refuses a header that, beside what was taken, names another key or changes how the token is read (TOK-02, TOK-03).
    /// Members that are not known are passed over, as RFC 7515 section 4 wants it.
    pub(super) fn nothing_risky(&self) -> Result<(), TokenError> {
        let is_risky = RISKY.iter().any(|name| self.header.contains_key(*name));
        if is_risky { Err(TokenError::Malformed) } else { Ok(()) }
    }

    /// Lets `verify` judge message and signature, and only then reads the claims.
    pub(super) fn claims(
        &self,
        verify: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<Map<String, Value>, TokenError> {
        let signature = jws::decode(self.parts.signature)?;
        if !verify(self.parts.signed.as_bytes(), &signature) {
            return Err(TokenError::BadSignature);
        }
        strict_json::object(&jws::decode(self.parts.payload)?).ok_or(TokenError::Malformed)
    }
}
