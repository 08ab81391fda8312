//! What a passkey is asked for, and the challenge that says so. Pure: key, randomness and time come in.
//!
//! A challenge carries its end, a nonce and a MAC over both and the ceremony, so asking for one writes nothing (RES-03),
//! and an answer to one ceremony is worth nothing in another (PK-01). Answering it writes a row that must not be there.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::accounts::passkeys::known_transports;
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::random::Random;
use crate::kernel::secret::{SecretKey, ct_eq};
use crate::kernel::time::Timestamp;

/// How long a challenge may be answered (PK-01).
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(300);

const END: usize = 8;
const NONCE: usize = 24;

/// What is going on, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony<'a> {
    /// A session adds a passkey to its account.
    Register(UserId, SessionId),
    /// A sign-in, or the setup wizard, may not go on without a second factor and adds a passkey; this is its token.
    Enrol(UserId, &'a str),
    /// Somebody signs in without a name.
    SignIn,
    /// A sign-in waits for its second factor; this is its token.
    SecondFactor(UserId, &'a str),
    /// A session proves again who is there.
    StepUp(UserId, SessionId),
}

impl Ceremony<'_> {
    /// Returns whose passkeys may answer; `None` if that is to be found out.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Ceremony::SignIn => None,
            Ceremony::Register(user, _)
            | Ceremony::Enrol(user, _)
            | Ceremony::SecondFactor(user, _)
            | Ceremony::StepUp(user, _) => Some(*user),
        }
    }

    fn mac(&self, key: &SecretKey, head: &[u8]) -> [u8; 32] {
        let (name, user, to): (&[u8], &[u8], [u8; 32]) = match self {
            Ceremony::Register(user, session) => (b"register", user.as_bytes(), sha256(session.as_bytes())),
            Ceremony::Enrol(user, token) => (b"enrol", user.as_bytes(), sha256(token)),
            Ceremony::SignIn => (b"sign in", b"", [0; 32]),
            Ceremony::SecondFactor(user, token) => (b"second factor", user.as_bytes(), sha256(token)),
            Ceremony::StepUp(user, session) => (b"step up", user.as_bytes(), sha256(session.as_bytes())),
        };
        hmac_sha256(key.expose(), &[name, user, &to, head])
    }

    /// Makes a challenge.
    pub fn challenge(&self, key: &SecretKey, random: &Random, now: Timestamp) -> Vec<u8> {
        let end = now.plus(CHALLENGE_LIFETIME).as_millis().to_be_bytes();
        let mut challenge = [end.as_slice(), &random.bytes::<NONCE>()].concat();
        challenge.extend_from_slice(&self.mac(key, &challenge));
        challenge
    }

    /// Returns when a challenge of this ceremony dies; `None` if it is none, or dead.
    pub fn end_of(&self, key: &SecretKey, challenge: &[u8], now: Timestamp) -> Option<Timestamp> {
        let (head, mac) = challenge.split_at_checked(END + NONCE)?;
        if !ct_eq(mac, &self.mac(key, head)) {
            return None;
        }
        let end = Timestamp::from_millis(u64::from_be_bytes(*head.first_chunk()?));
        // A clock that was set back does not let a challenge live on.
        (now < end && end <= now.plus(CHALLENGE_LIFETIME)).then_some(end)
    }
}

/// What `navigator.credentials` answered, as `toJSON()` writes it (section 5.1). Browsers add members of their own, so
/// what is not known here is left alone.
#[derive(Deserialize)]
pub struct Credential {
    #[serde(rename = "rawId")]
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(default, rename = "attestationObject")]
    attestation_object: Option<String>,
    #[serde(default)]
    transports: Option<Vec<String>>,
    #[serde(default, rename = "authenticatorData")]
    authenticator_data: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default, rename = "userHandle")]
    user_handle: Option<String>,
}

/// A new credential, not judged yet.
pub(super) struct Attested {
    pub(super) id: Vec<u8>,
    pub(super) client_data: Vec<u8>,
    pub(super) attestation_object: Vec<u8>,
    pub(super) transports: Vec<String>,
}

/// An answer of a known credential, not judged yet.
pub(super) struct Asserted {
    pub(super) id: Vec<u8>,
    pub(super) client_data: Vec<u8>,
    pub(super) authenticator_data: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) user_handle: Option<Vec<u8>>,
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

impl Credential {
    /// Reads the text that a form carries.
    pub fn parse(text: &str) -> Option<Credential> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn attested(&self) -> Option<Attested> {
        let response = &self.response;
        let attestation_object = bytes(response.attestation_object.as_deref()?)?;
        let (id, client_data) = (self.id()?, bytes(&response.client_data)?);
        let transports = known_transports(response.transports.as_deref().unwrap_or_default());
        Some(Attested { id, client_data, attestation_object, transports })
    }

    pub(super) fn asserted(&self) -> Option<Asserted> {
        let response = &self.response;
        let user_handle = match response.user_handle.as_deref() {
            None | Some("") => None,
            Some(text) => Some(bytes(text)?),
        };
        Some(Asserted {
            id: self.id()?,
            client_data: bytes(&response.client_data)?,
            authenticator_data: bytes(response.authenticator_data.as_deref()?)?,
            signature: bytes(response.signature.as_deref()?)?,
            user_handle,
        })
    }

    fn id(&self) -> Option<Vec<u8>> {
        if self.kind == "public-key" { bytes(&self.raw_id) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::secret::Secret;

    /// PK-01: a challenge belongs to one ceremony of one account, session or waiting sign-in, under one key, for five
    /// minutes, and also a clock that was set back does not let it live longer.
    #[test]
    fn a_challenge_is_of_one_ceremony_alone_and_dies() {
        let (key, other_key) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let now = Timestamp::from_secs(1_800_000_000);
        let (ada, bob) = (UserId([1; 16]), UserId([2; 16]));
        let (here, there) = (SessionId([3; 16]), SessionId([4; 16]));
        let all = [
            Ceremony::SignIn,
            Ceremony::Register(ada, here),
            Ceremony::Register(ada, there),
            Ceremony::Register(bob, here),
            Ceremony::StepUp(ada, here),
            Ceremony::Enrol(ada, "token"),
            Ceremony::Enrol(ada, "other"),
            Ceremony::Enrol(bob, "token"),
            Ceremony::SecondFactor(ada, "token"),
            Ceremony::SecondFactor(ada, "other"),
        ];
        for one in all {
            let challenge = one.challenge(&key, &Random::os(), now);
            for other in all {
                assert_eq!(other.end_of(&key, &challenge, now).is_some(), one == other, "{one:?} {other:?}");
            }
            assert!(one.end_of(&other_key, &challenge, now).is_none());
            let last = now.plus(CHALLENGE_LIFETIME).minus(Duration::from_millis(1));
            assert!(one.end_of(&key, &challenge, last).is_some());
            assert!(one.end_of(&key, &challenge, now.plus(CHALLENGE_LIFETIME)).is_none());
            assert!(one.end_of(&key, &challenge, now.minus(Duration::from_secs(1))).is_none());
            for at in 0..challenge.len() {
                let mut changed = challenge.clone();
                changed[at] ^= 1;
                assert!(one.end_of(&key, &changed, now).is_none());
                assert!(one.end_of(&key, &challenge[..at], now).is_none());
            }
        }
    }
}
