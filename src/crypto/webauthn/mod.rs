//! What a browser says of a passkey, verified (Web Authentication Level 3, sections 7.1 and 7.2): type, challenge, exact
//! origin, relying party, presence, flags, key and signature (PK-02, PK-04). Attestation is asked of nobody, so what
//! comes of it is stepped over and never believed.
//!
//! Whether the challenge is one of ours, whose the credential is and what its counter means is for the caller to judge.

mod cbor;
mod cose;

#[cfg(test)]
mod tests;

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::mac::sha256;
use super::strict_json;
use crate::kernel::secret::ct_eq;
use cbor::Key;
use cose::CoseKey;

pub use cose::OFFERED;

/// The longest credential id (section 4).
pub const LONGEST_CREDENTIAL_ID: usize = 1023;
/// More than any browser sends.
const LONGEST_CLIENT_DATA: usize = 4096;

/// Why something is refused; for the log and for tests, never for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be read.
    Malformed,
    /// It belongs to another ceremony: a registration is no sign-in.
    Type,
    /// Another challenge was answered.
    Challenge,
    /// It was made on a page of another origin, or inside a frame.
    Origin,
    /// It was made for another relying party.
    RpId,
    /// Nobody touched the authenticator.
    NotPresent,
    /// The flags contradict each other.
    Flags,
    /// The key is of a kind that was not offered, or not sound.
    Key,
    /// The signature is not one of the key.
    Signature,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Malformed => "malformed",
            Refusal::Type => "type",
            Refusal::Challenge => "challenge",
            Refusal::Origin => "origin",
            Refusal::RpId => "rp_id",
            Refusal::NotPresent => "not_present",
            Refusal::Flags => "flags",
            Refusal::Key => "key",
            Refusal::Signature => "signature",
        })
    }
}

/// What a ceremony has to be about.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The challenge, as it was sent.
    pub challenge: &'a [u8],
    /// Scheme, host and port of our pages, exactly.
    pub origin: &'a str,
    /// The relying party: our host.
    pub rp_id: &'a str,
}

/// What an authenticator says of itself and of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many signatures it has made; zero if it does not count.
    pub counter: u32,
    /// Whether it made sure who the person is: by a PIN, a finger, a face.
    pub is_user_verified: bool,
    /// Whether the passkey may be copied to other devices.
    pub is_backup_eligible: bool,
    /// Whether it was.
    pub is_backed_up: bool,
}

/// A credential that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredential {
    /// Its id.
    pub id: Vec<u8>,
    /// Its public key, in COSE form.
    pub key: Vec<u8>,
    /// What the authenticator says.
    pub report: Report,
}

/// Returns the challenge that was answered, before anything of it is believed: whose it is has to be found out first.
pub fn unverified_challenge(client_data: &[u8]) -> Option<Vec<u8>> {
    let members = client_data_members(client_data)?;
    BASE64URL_NOPAD.decode(members.get("challenge")?.as_str()?.as_bytes()).ok()
}

fn client_data_members(bytes: &[u8]) -> Option<serde_json::Map<String, Value>> {
    if bytes.len() > LONGEST_CLIENT_DATA { None } else { strict_json::object(bytes) }
}

/// Section 7.1 without attestation.
///
/// # Errors
/// [`Refusal`]
pub fn verify_registration(
    client_data: &[u8],
    attestation_object: &[u8],
    expected: &Expected<'_>,
) -> Result<NewCredential, Refusal> {
    check_client_data(client_data, "webauthn.create", expected)?;
    let (object, rest) = cbor::map(attestation_object).ok_or(Refusal::Malformed)?;
    let is_whole = rest.is_empty() && matches!(object.get(Key::Text("fmt")), Some(cbor::Value::Text(_)));
    let data = object.bytes(Key::Text("authData")).filter(|_| is_whole).ok_or(Refusal::Malformed)?;
    let data = AuthenticatorData::read(data, expected)?;
    let (id, key) = data.credential.ok_or(Refusal::Malformed)?;
    Ok(NewCredential { id: id.to_vec(), key: key.to_vec(), report: data.report })
}

/// Section 7.2 up to the counter; `key` is what [`verify_registration`] returned.
///
/// # Errors
/// [`Refusal`]
pub fn verify_assertion(
    client_data: &[u8],
    authenticator_data: &[u8],
    signature: &[u8],
    key: &[u8],
    expected: &Expected<'_>,
) -> Result<Report, Refusal> {
    check_client_data(client_data, "webauthn.get", expected)?;
    let data = AuthenticatorData::read(authenticator_data, expected)?;
    if data.credential.is_some() {
        return Err(Refusal::Malformed);
    }
    let (key, rest) = CoseKey::read(key).ok_or(Refusal::Key)?;
    let message = [authenticator_data, &sha256(client_data)].concat();
    if !rest.is_empty() || !key.verify(&message, signature) {
        return Err(Refusal::Signature);
    }
    Ok(data.report)
}

fn check_client_data(bytes: &[u8], ceremony: &str, expected: &Expected<'_>) -> Result<(), Refusal> {
    let members = client_data_members(bytes).ok_or(Refusal::Malformed)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).ok_or(Refusal::Malformed);
    if text("type")? != ceremony {
        return Err(Refusal::Type);
    }
    let challenge = BASE64URL_NOPAD.decode(text("challenge")?.as_bytes()).map_err(|_| Refusal::Malformed)?;
    if !ct_eq(&challenge, expected.challenge) {
        return Err(Refusal::Challenge);
    }
    let is_framed = !matches!(members.get("crossOrigin"), None | Some(Value::Bool(false)));
    if text("origin")? != expected.origin || is_framed || members.contains_key("topOrigin") {
        return Err(Refusal::Origin);
    }
    Ok(())
}

/// Section 6.1.
struct AuthenticatorData<'a> {
    report: Report,
    /// Id and key.
    credential: Option<(&'a [u8], &'a [u8])>,
}

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

impl<'a> AuthenticatorData<'a> {
    fn read(bytes: &'a [u8], expected: &Expected<'_>) -> Result<Self, Refusal> {
        let (rp_id_hash, rest) = bytes.split_at_checked(32).ok_or(Refusal::Malformed)?;
        let (flags, rest) = rest.split_first().ok_or(Refusal::Malformed)?;
        let (counter, mut rest) = rest.split_first_chunk::<4>().ok_or(Refusal::Malformed)?;
        if !ct_eq(rp_id_hash, &sha256(expected.rp_id)) {
            return Err(Refusal::RpId);
        }
        let has = |flag: u8| flags & flag != 0;
        if !has(USER_PRESENT) {
            return Err(Refusal::NotPresent);
        }
        if has(BACKED_UP) && !has(BACKUP_ELIGIBLE) {
            return Err(Refusal::Flags);
        }
        let mut credential = None;
        if has(HAS_CREDENTIAL) {
            let (id, after_id) = credential_id(rest).ok_or(Refusal::Malformed)?;
            let (_, after_key) = CoseKey::read(after_id).ok_or(Refusal::Key)?;
            let key = after_id.get(..after_id.len() - after_key.len()).ok_or(Refusal::Malformed)?;
            (credential, rest) = (Some((id, key)), after_key);
        }
        if has(HAS_EXTENSIONS) {
            (_, rest) = cbor::map(rest).ok_or(Refusal::Malformed)?;
        }
        if !rest.is_empty() {
            return Err(Refusal::Malformed);
        }
        let report = Report {
            counter: u32::from_be_bytes(*counter),
            is_user_verified: has(USER_VERIFIED),
            is_backup_eligible: has(BACKUP_ELIGIBLE),
            is_backed_up: has(BACKED_UP),
        };
        Ok(AuthenticatorData { report, credential })
    }
}

/// Steps over the model of the authenticator and reads the id that follows its length (section 6.5.1).
fn credential_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_model, rest) = bytes.split_at_checked(16)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if !(1..=LONGEST_CREDENTIAL_ID).contains(&length) {
        return None;
    }
    rest.split_at_checked(length)
}
