//! A software authenticator with its browser: makes passkeys and signs with them, and lies where a test wants it to.

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::mac::sha256;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::harness::ORIGIN;

/// Somebody touched it.
pub(crate) const PRESENT: u8 = 1;
/// It made sure who that is.
pub(crate) const VERIFIED: u8 = 4;

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub(crate) fn decode(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// One passkey. What is public may be changed to lie.
pub(crate) struct SoftwareKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    pub(crate) id: Vec<u8>,
    pub(crate) handle: Vec<u8>,
    pub(crate) counter: u32,
    pub(crate) flags: u8,
    pub(crate) origin: String,
    pub(crate) rp_id: String,
    /// Members that the browser adds to what is signed, such as `,"topOrigin":"…"`.
    pub(crate) more: String,
}

impl SoftwareKey {
    pub(crate) fn new() -> SoftwareKey {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random).unwrap();
        let mut id = vec![0; 32];
        random.fill(&mut id).unwrap();
        SoftwareKey {
            pair,
            random,
            id,
            handle: Vec::new(),
            counter: 0,
            flags: PRESENT | VERIFIED,
            origin: ORIGIN.to_owned(),
            rp_id: "localhost".to_owned(),
            more: String::new(),
        }
    }

    fn client_data(&self, ceremony: &str, challenge: &str) -> Vec<u8> {
        let (origin, more) = (&self.origin, &self.more);
        format!(r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false{more}}}"#)
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        [sha256(&self.rp_id).as_slice(), &[flags], &self.counter.to_be_bytes()].concat()
    }

    /// Answers `navigator.credentials.create`.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        self.handle = decode(&options["user"]["id"]);
        let client_data = self.client_data("webauthn.create", options["challenge"].as_str().unwrap());
        let point = self.pair.public_key().as_ref();
        let mut data = self.data(self.flags | 64);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        data.extend_from_slice(&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend_from_slice(&point[1..33]);
        data.extend_from_slice(&[0x22, 0x58, 32]);
        data.extend_from_slice(&point[33..]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend_from_slice(&data);
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(&client_data), "attestationObject": encode(&object),
                "transports": ["internal", "telepathy"], "publicKeyAlgorithm": -7,
            },
        })
    }

    /// Answers `navigator.credentials.get`.
    pub(crate) fn get(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options["challenge"].as_str().unwrap());
        let data = self.data(self.flags);
        let message = [data.as_slice(), &sha256(&client_data)].concat();
        let signature = self.pair.sign(&self.random, &message).unwrap();
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(&client_data), "authenticatorData": encode(&data),
                "signature": encode(signature.as_ref()), "userHandle": encode(&self.handle),
            },
        })
    }
}
