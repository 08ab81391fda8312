//! Encrypting a token to a key that a client registered: JWE in compact form (RFC 7516), with one way of encrypting the
//! content, A256GCM, and two of giving the client its key (TOK-14). Doorward never decrypts anything from outside, so
//! there is nothing here that could be asked to.

use std::fmt;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::jwk::ClientKey;
use super::mac;
use super::public_jwk::{P256Public, PublicJwk, RsaPublic};

/// The longest plaintext (TOK-14).
pub const MAX_PLAINTEXT: usize = 250 * 1024;
/// The one way in which content is encrypted.
pub const ENCRYPTION: &str = "A256GCM";
/// What one hash of SHA-256 has, and with it a key for A256GCM.
const HASH_BYTES: usize = 32;

/// How the key of a message reaches the client (RFC 7518 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyManagement {
    /// Agreed upon with an ephemeral key on P-256 (RFC 7518 section 4.6).
    #[serde(rename = "ECDH-ES")]
    EcdhEs,
    /// Encrypted by RSA with OAEP and SHA-256 (RFC 7518 section 4.3).
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
}

impl KeyManagement {
    /// Every algorithm.
    pub const ALL: [KeyManagement; 2] = [KeyManagement::EcdhEs, KeyManagement::RsaOaep256];

    /// Returns the name in JOSE headers and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyManagement::EcdhEs => "ECDH-ES",
            KeyManagement::RsaOaep256 => "RSA-OAEP-256",
        }
    }

    /// Takes the exact name. `None` for every other algorithm, RSA1_5, `dir` and PBES2 among them (TOK-14).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Tells whether a key is of the algorithm's kind.
    pub fn fits(self, key: &PublicJwk) -> bool {
        matches!(
            (self, key),
            (KeyManagement::EcdhEs, PublicJwk::P256(_)) | (KeyManagement::RsaOaep256, PublicJwk::Rsa(_))
        )
    }
}

impl fmt::Display for KeyManagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JweError {
    /// The plaintext is longer than [`MAX_PLAINTEXT`].
    TooLong,
    /// The key is not of the kind that the algorithm needs.
    WrongKey,
    /// The key does not work, or the system gave no randomness.
    Failed,
}

impl fmt::Display for JweError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JweError::TooLong => "What should be encrypted is longer than 250 KiB.",
            JweError::WrongKey => {
                "The client's key does not fit the algorithm: ECDH-ES takes P-256, RSA-OAEP-256 takes RSA."
            }
            JweError::Failed => "Encrypting to the client's key failed.",
        })
    }
}

impl std::error::Error for JweError {}

/// The key of one message, and what the client needs to get it.
struct ContentKey {
    key: Zeroizing<[u8; HASH_BYTES]>,
    encrypted: Vec<u8>,
    ephemeral: Option<P256Public>,
}

/// Encrypts `plaintext` to a key of a client. `cty` is `JWT` for a signed token inside (RFC 7519 section 5.2). Nothing
/// is compressed. The randomness is the system's, by ring, whose ephemeral keys take no other.
///
/// # Errors
/// [`JweError`]
pub fn encrypt(
    plaintext: &[u8],
    key: &ClientKey,
    algorithm: KeyManagement,
    cty: Option<&str>,
) -> Result<String, JweError> {
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(JweError::TooLong);
    }
    let content_key = match (algorithm, key.key()) {
        (KeyManagement::EcdhEs, PublicJwk::P256(key)) => agree(key)?,
        (KeyManagement::RsaOaep256, PublicJwk::Rsa(key)) => wrap(key)?,
        _ => return Err(JweError::WrongKey),
    };
    let mut header = Map::new();
    header.insert("alg".to_owned(), algorithm.as_str().into());
    header.insert("enc".to_owned(), ENCRYPTION.into());
    for (name, text) in [("kid", key.kid()), ("cty", cty)] {
        if let Some(text) = text {
            header.insert(name.to_owned(), text.into());
        }
    }
    if let Some(point) = content_key.ephemeral {
        header.insert("epk".to_owned(), PublicJwk::P256(point).to_json().into());
    }
    let header = Value::Object(header).to_string();

    let mut token = String::with_capacity(plaintext.len() / 3 * 4 + 1024);
    BASE64URL_NOPAD.encode_append(header.as_bytes(), &mut token);
    // One key encrypts one message, so any nonce would do.
    let iv: [u8; 12] = random()?;
    let mut text = plaintext.to_vec();
    let key = UnboundKey::new(&AES_256_GCM, content_key.key.as_slice()).map_err(|_| JweError::Failed)?;
    let tag = LessSafeKey::new(key)
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(token.as_bytes()), &mut text)
        .map_err(|_| JweError::Failed)?;
    for part in [content_key.encrypted.as_slice(), &iv, &text, tag.as_ref()] {
        token.push('.');
        BASE64URL_NOPAD.encode_append(part, &mut token);
    }
    Ok(token)
}

fn random<const N: usize>() -> Result<[u8; N], JweError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| JweError::Failed)?;
    Ok(bytes)
}

/// Direct key agreement with a fresh key (RFC 7518 section 4.6). ring has the system's randomness only.
fn agree(recipient: &P256Public) -> Result<ContentKey, JweError> {
    let own =
        EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| JweError::Failed)?;
    let public = own.compute_public_key().map_err(|_| JweError::Failed)?;
    let ephemeral = P256Public::from_point(public.as_ref()).ok_or(JweError::Failed)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, recipient.0);
    let key = agree_ephemeral(own, &peer, |shared| concat_kdf(shared, ENCRYPTION, b"", b"", HASH_BYTES))
        .map_err(|_| JweError::Failed)?;
    let key = key.as_slice().try_into().map(Zeroizing::new).map_err(|_| JweError::Failed)?;
    Ok(ContentKey { key, encrypted: Vec::new(), ephemeral: Some(ephemeral) })
}

/// The one-step derivation of NIST SP 800-56A section 5.8.2.1 with SHA-256, as RFC 7518 section 4.6.2 fills it in. At
/// most one hash of output.
fn concat_kdf(shared: &[u8], algorithm: &str, apu: &[u8], apv: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    for part in [algorithm.as_bytes(), apu, apv] {
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.update(u32::try_from(length * 8).unwrap_or(u32::MAX).to_be_bytes());
    let mut key = Zeroizing::new(hash.finalize().to_vec());
    key.truncate(length);
    key
}

/// Makes a key and encrypts it with RSAES-OAEP (RFC 8017 section 7.1.1).
fn wrap(recipient: &RsaPublic) -> Result<ContentKey, JweError> {
    let key = Zeroizing::new(random()?);
    let seed = Zeroizing::new(random()?);
    let padded = oaep(key.as_slice(), &seed, recipient.n.len()).ok_or(JweError::Failed)?;
    let encrypted = raw_rsa(recipient, &padded).ok_or(JweError::Failed)?;
    Ok(ContentKey { key, encrypted, ephemeral: None })
}

/// EME-OAEP with SHA-256, MGF1 with SHA-256 and an empty label (RFC 8017 section 7.1.1 step 2) into `length` bytes.
fn oaep(message: &[u8], seed: &[u8; HASH_BYTES], length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let zeros = length.checked_sub(message.len() + 2 * HASH_BYTES + 2)?;
    let mut block = Zeroizing::new(Vec::with_capacity(length));
    block.extend_from_slice(&mac::sha256([]));
    block.resize(HASH_BYTES + zeros, 0);
    block.push(1);
    block.extend_from_slice(message);
    mask(&mut block, seed);
    let mut masked_seed = Zeroizing::new(*seed);
    mask(masked_seed.as_mut_slice(), &block);
    let mut padded = Zeroizing::new(Vec::with_capacity(length));
    padded.push(0);
    padded.extend_from_slice(masked_seed.as_slice());
    padded.extend_from_slice(&block);
    Some(padded)
}

/// Masks `data` with MGF1 of `seed` (RFC 8017 appendix B.2.1).
fn mask(data: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(data.chunks_mut(HASH_BYTES)) {
        let hash = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        for (byte, mask) in chunk.iter_mut().zip(hash) {
            *byte ^= mask;
        }
    }
}

/// RSAEP (RFC 8017 section 5.1.1): `message ^ e mod n`, as many bytes as the modulus has. What time it takes depends on
/// the exponent, which is public, not on the message.
fn raw_rsa(key: &RsaPublic, message: &[u8]) -> Option<Vec<u8>> {
    let bits = u32::try_from(key.n.len()).ok()?.checked_mul(8)?;
    let modulus = BoxedUint::from_be_slice(&key.n, bits).ok()?;
    let exponent = BoxedUint::from_be_slice_vartime(&key.e);
    let message = Zeroizing::new(BoxedUint::from_be_slice(message, bits).ok()?);
    if *message >= modulus {
        return None;
    }
    let params = BoxedMontyParams::new(Odd::new(modulus).into_option()?);
    let power = BoxedMontyForm::new(BoxedUint::clone(&message), &params)
        .pow_bounded_exp(&exponent, exponent.bit_width());
    let bytes = power.retrieve().to_be_bytes();
    // The bytes of whole limbs, of which a modulus of odd length fills a part.
    let (zeros, digits) = bytes.split_at_checked(bytes.len().checked_sub(key.n.len())?)?;
    zeros.iter().all(|byte| *byte == 0).then(|| digits.to_vec())
}

#[cfg(test)]
mod tests;
