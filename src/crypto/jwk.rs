//! The public keys that a client registers (RFC 7517 section 5), and which of them counts for what.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};

pub use super::public_jwk::{ClientAlgorithm, JwkError, PublicJwk};

use super::jwe::KeyManagement;
use super::strict_json;

/// The longest set that is looked at.
pub const MAX_SET_BYTES: usize = 32 * 1024;
/// The most keys in a set.
pub const MAX_KEYS: usize = 16;
/// The longest name of a key.
pub const MAX_CLIENT_KID: usize = 256;
const MAX_ALGORITHM: usize = 64;

/// Why a set is not taken; a sentence for whoever registers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetError(String);

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeySetError {}

/// What a key may be used for (RFC 7517 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Signature,
    Encryption,
}

/// One registered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    key: PublicJwk,
    kid: Option<String>,
    usage: Option<Use>,
    algorithm: Option<String>,
    operations: Vec<String>,
}

impl ClientKey {
    /// Returns the key itself.
    pub fn key(&self) -> &PublicJwk {
        &self.key
    }

    /// Returns the name that the client gave it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn parse(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let key = PublicJwk::parse(members)?;
        let usage = match text(members, "use")? {
            None => None,
            Some("sig") => Some(Use::Signature),
            Some("enc") => Some(Use::Encryption),
            Some(_) => return Err(JwkError("The \"use\" of a key must be \"sig\" or \"enc\".")),
        };
        let algorithm = text(members, "alg")?;
        if algorithm.is_some_and(|name| name.len() > MAX_ALGORITHM) {
            return Err(JwkError("The \"alg\" of a key is too long."));
        }
        let kid = text(members, "kid")?;
        if kid.is_some_and(|kid| !is_client_kid(kid)) {
            return Err(JwkError("The \"kid\" of a key must have 1 to 256 printable characters."));
        }
        let operations = operations(members)?;
        Ok(ClientKey {
            key,
            kid: kid.map(str::to_owned),
            usage,
            algorithm: algorithm.map(str::to_owned),
            operations,
        })
    }

    fn to_json(&self) -> Value {
        let mut members = self.key.to_json();
        let usage = self.usage.map(|usage| match usage {
            Use::Signature => "sig",
            Use::Encryption => "enc",
        });
        for (name, text) in [("kid", self.kid()), ("use", usage), ("alg", self.algorithm.as_deref())] {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.into());
            }
        }
        if !self.operations.is_empty() {
            members.insert("key_ops".to_owned(), self.operations.clone().into());
        }
        Value::Object(members)
    }

    fn is_named(&self, kid: &str) -> bool {
        match &self.kid {
            Some(own) => own == kid,
            // Many libraries name a key by its thumbprint without writing that into the set.
            None => self.key.thumbprint() == kid,
        }
    }

    fn allows(&self, usage: Use, algorithms: &[&str], operations: &[&str]) -> bool {
        self.usage.is_none_or(|own| own == usage)
            && self.algorithm.as_deref().is_none_or(|own| algorithms.contains(&own))
            && (self.operations.is_empty()
                || self.operations.iter().any(|own| operations.contains(&own.as_str())))
    }

    fn verifies(&self, algorithm: ClientAlgorithm) -> bool {
        // RFC 9864 renames EdDSA in keys; in headers the old name is the one in use.
        let names: &[&str] = match algorithm {
            ClientAlgorithm::EdDsa => &["EdDSA", "Ed25519"],
            other => &[other.as_str()],
        };
        self.key.fits(algorithm) && self.allows(Use::Signature, names, &["verify"])
    }

    fn encrypts(&self, algorithm: KeyManagement) -> bool {
        let operations: &[&str] = match algorithm {
            KeyManagement::EcdhEs => &["deriveKey", "deriveBits"],
            KeyManagement::RsaOaep256 => &["wrapKey", "encrypt"],
        };
        algorithm.fits(&self.key) && self.allows(Use::Encryption, &[algorithm.as_str()], operations)
    }
}

/// The keys of a client, checked. Serializes to a JWK set; in binary formats to the text of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKeys(Vec<ClientKey>);

impl ClientKeys {
    /// Reads a JWK set. Members that do not matter here (`x5c`, `ext`, ...) are dropped; nothing is ever fetched.
    ///
    /// # Errors
    /// [`KeySetError`] if it is no set of 1 to 16 keys within 32 KiB, or if any key is not sound: one bad key refuses
    /// the whole set, so that nobody believes it to be in use.
    pub fn parse(text: &str) -> Result<Self, KeySetError> {
        if text.len() > MAX_SET_BYTES {
            return Err(too_long());
        }
        let set = strict_json::object(text.as_bytes()).ok_or_else(|| {
            KeySetError("The key set is not JSON: give {\"keys\": [...]} (RFC 7517).".to_owned())
        })?;
        Self::from_members(&set)
    }

    /// Reads a JWK set that has been parsed already, by a parser that refuses repeated names.
    ///
    /// # Errors
    /// As [`ClientKeys::parse`].
    pub fn from_value(value: &Value) -> Result<Self, KeySetError> {
        let Value::Object(set) = value else {
            return Err(KeySetError(
                "The key set must be an object: {\"keys\": [...]} (RFC 7517).".to_owned(),
            ));
        };
        if value.to_string().len() > MAX_SET_BYTES {
            return Err(too_long());
        }
        Self::from_members(set)
    }

    fn from_members(set: &Map<String, Value>) -> Result<Self, KeySetError> {
        let Some(Value::Array(list)) = set.get("keys") else {
            return Err(KeySetError("The key set lacks the list \"keys\" (RFC 7517 section 5).".to_owned()));
        };
        if list.is_empty() || list.len() > MAX_KEYS {
            return Err(KeySetError(format!("A key set must hold 1 to {MAX_KEYS} keys.")));
        }
        let mut keys: Vec<ClientKey> = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let members = value.as_object().ok_or(JwkError("It is not an object."));
            let key = members
                .and_then(ClientKey::parse)
                .map_err(|error| KeySetError(format!("Key {}: {error}", index + 1)))?;
            if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeySetError(format!("Key {}: Another key has the same \"kid\".", index + 1)));
            }
            keys.push(key);
        }
        Ok(ClientKeys(keys))
    }

    /// Returns the keys as they were registered, in their order.
    pub fn keys(&self) -> &[ClientKey] {
        &self.0
    }

    /// Returns the set as JSON.
    pub fn to_json(&self) -> Value {
        json!({ "keys": self.0.iter().map(ClientKey::to_json).collect::<Vec<_>>() })
    }

    /// Returns the one key under which a signature counts. With a `kid` it is the key of that name; without one the
    /// only key that fits, and none if several do (OpenID Connect Core section 10.1).
    pub fn find_for_signature(&self, kid: Option<&str>, algorithm: ClientAlgorithm) -> Option<&ClientKey> {
        let mut fitting =
            self.0.iter().filter(|key| key.verifies(algorithm) && kid.is_none_or(|kid| key.is_named(kid)));
        let first = fitting.next();
        if fitting.next().is_some() { None } else { first }
    }

    /// Returns the key to encrypt to: the first that fits, one that says `"use": "enc"` before others, or the one of
    /// the name asked for.
    pub fn find_for_encryption(&self, algorithm: KeyManagement, kid: Option<&str>) -> Option<&ClientKey> {
        let fitting = || {
            self.0
                .iter()
                .filter(move |key| key.encrypts(algorithm) && kid.is_none_or(|kid| key.is_named(kid)))
        };
        fitting().find(|key| key.usage == Some(Use::Encryption)).or_else(|| fitting().next())
    }
}

impl Serialize for ClientKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.to_json().serialize(serializer)
        } else {
            serializer.serialize_str(&self.to_json().to_string())
        }
    }
}

impl<'de> Deserialize<'de> for ClientKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            ClientKeys::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            ClientKeys::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}

fn too_long() -> KeySetError {
    KeySetError("The key set is longer than 32 KiB. Leave out certificates and old keys.".to_owned())
}

/// Tells whether a client may name a key so.
pub(super) fn is_client_kid(kid: &str) -> bool {
    (1..=MAX_CLIENT_KID).contains(&kid.len()) && !kid.chars().any(char::is_control)
}

/// A member that is a text if it is there at all.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, JwkError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError("The members \"kid\", \"use\" and \"alg\" of a key must be texts.")),
    }
}

/// The operations a key allows (RFC 7517 section 4.3). Browsers export keys for ECDH with an empty list, so an empty
/// list says nothing.
fn operations(members: &Map<String, Value>) -> Result<Vec<String>, JwkError> {
    const ERROR: JwkError = JwkError("The \"key_ops\" of a key must be a short list of texts.");
    let Some(value) = members.get("key_ops") else { return Ok(Vec::new()) };
    let list = value.as_array().filter(|list| list.len() <= 8).ok_or(ERROR)?;
    list.iter()
        .map(|item| item.as_str().filter(|text| text.len() <= MAX_ALGORITHM).map(str::to_owned).ok_or(ERROR))
        .collect()
}

#[cfg(test)]
mod tests;
