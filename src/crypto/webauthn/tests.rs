//! The test vectors of Web Authentication Level 3 ("ES256 Credential with No Attestation"), and what is refused.

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const CREATED: &str = "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941774a544c453551227d";
const OBJECT: &str = "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220";
const ID: &str = "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4";
const GOT: &str = "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d";
const DATA: &str = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000";
const SIGNATURE: &str = "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87";

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn expected(challenge: &[u8]) -> Expected<'_> {
    Expected { challenge, origin: "https://example.org", rp_id: "example.org" }
}

fn registered() -> NewCredential {
    let (client_data, object) = (hex(CREATED), hex(OBJECT));
    let challenge = unverified_challenge(&client_data).unwrap();
    verify_registration(&client_data, &object, &expected(&challenge)).unwrap()
}

#[test]
fn the_vectors_of_the_standard() {
    let new = registered();
    assert_eq!(new.id, hex(ID));
    let synced = Report { counter: 0, is_user_verified: false, is_backup_eligible: true, is_backed_up: true };
    assert_eq!(new.report, synced);
    let client_data = hex(GOT);
    let challenge = unverified_challenge(&client_data).unwrap();
    let report = verify_assertion(&client_data, &hex(DATA), &hex(SIGNATURE), &new.key, &expected(&challenge));
    assert_eq!(report, Ok(synced));
}

/// PK-02: another type, challenge, origin or relying party; nobody present; a changed byte.
#[test]
fn what_is_about_something_else_is_refused() {
    let key = registered().key;
    let (client_data, data, signature) = (hex(GOT), hex(DATA), hex(SIGNATURE));
    let challenge = unverified_challenge(&client_data).unwrap();
    let right = expected(&challenge);
    let judge = |client_data: &[u8], data: &[u8], expected: &Expected<'_>| {
        verify_assertion(client_data, data, &signature, &key, expected).unwrap_err()
    };
    assert_eq!(judge(&hex(CREATED), &data, &right), Refusal::Type);
    assert_eq!(judge(&client_data, &data, &Expected { challenge: b"other", ..right }), Refusal::Challenge);
    for origin in
        ["https://badexample.org", "https://example.org:8443", "http://example.org", "https://a.example.org"]
    {
        assert_eq!(judge(&client_data, &data, &Expected { origin, ..right }), Refusal::Origin);
    }
    assert_eq!(judge(&client_data, &data, &Expected { rp_id: "org", ..right }), Refusal::RpId);
    for (flags, refusal) in [
        (0x18, Refusal::NotPresent),
        (0x11, Refusal::Flags),
        (0x59, Refusal::Malformed),
        (0x1d, Refusal::Signature),
    ] {
        let mut other = data.clone();
        other[32] = flags;
        assert_eq!(judge(&client_data, &other, &right), refusal, "{flags:x}");
    }
    let text = String::from_utf8(client_data.clone()).unwrap();
    for (more, refusal) in [
        (r#""crossOrigin":true"#, Refusal::Origin),
        (r#""crossOrigin":false,"topOrigin":"https://evil.example""#, Refusal::Origin),
        (r#""crossOrigin":false,"type":"webauthn.get""#, Refusal::Malformed),
        (r#""crossOrigin":false,"more":1"#, Refusal::Signature),
    ] {
        let framed = text.replace(r#""crossOrigin":false"#, more);
        assert_eq!(judge(framed.as_bytes(), &data, &right), refusal, "{more}");
    }
    assert_eq!(judge(b"{}", &data, &right), Refusal::Malformed);
    assert_eq!(judge(&client_data, &[data.as_slice(), &[0]].concat(), &right), Refusal::Malformed);
}

/// PK-04: only what was offered is a key, in its own form.
#[test]
fn keys_that_were_not_offered_are_refused() {
    let key = registered().key;
    assert!(CoseKey::read(&key).is_some());
    // ES384; another curve; a point that is none; another kind.
    for (at, byte) in [(4, 0x38), (6, 2), (12, 0xff), (2, 1)] {
        let mut other = key.clone();
        other[at] = byte;
        assert!(CoseKey::read(&other).is_none(), "{at}");
    }
}

/// PK-04: EdDSA is offered, so it works.
#[test]
fn an_ed25519_passkey_signs() {
    let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap();
    let key = [&hex("a4010103272006215820"), pair.public_key().as_ref()].concat();
    let client_data = hex(GOT);
    let data = hex(DATA);
    let signature = pair.sign(&[data.as_slice(), &sha256(&client_data)].concat());
    let challenge = unverified_challenge(&client_data).unwrap();
    let judge = |signature: &[u8]| {
        verify_assertion(&client_data, &data, signature, &key, &expected(&challenge)).is_ok()
    };
    assert!(judge(signature.as_ref()));
    assert!(!judge(&signature.as_ref()[1..]) && !judge(&[0; 64]) && !judge(&hex(SIGNATURE)));
}

proptest! {
    /// PK-08: no bytes in the place of any part take the process down.
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..200) {
        let client_data = hex(CREATED);
        let challenge = unverified_challenge(&client_data).unwrap();
        let mut object = hex(OBJECT);
        let end = object.len().min(at + bytes.len());
        let count = end.saturating_sub(at);
        if count > 0 {
            object[at..end].copy_from_slice(&bytes[..count]);
        }
        let _ = verify_registration(&client_data, &object, &expected(&challenge));
        let _ = verify_registration(&client_data, &bytes, &expected(&challenge));
        let _ = verify_assertion(&hex(GOT), &bytes, &bytes, &bytes, &expected(&challenge));
        let _ = unverified_challenge(&bytes);
    }
}
