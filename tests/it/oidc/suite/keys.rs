//! Signatures, verified with the published keys and `ring` alone, as an app would that knows nothing of Doorward.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

/// Decodes a part of a token or a key.
#[track_caller]
pub(crate) fn decode(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .unwrap_or_else(|_| panic!("not base64url without padding: {text}"))
}

fn member(key: &Value, name: &str) -> Vec<u8> {
    decode(key[name].as_str().unwrap_or_else(|| panic!("no {name}: {key}")))
}

/// Verifies a token with the key that its header names and returns header and claims.
#[track_caller]
pub(crate) fn verify(token: &str, keys: &[Value]) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("not a signed token: {token}") };
    let signed = &token[..header.len() + 1 + claims.len()];
    let (header, claims, signature) = (decode(header), decode(claims), decode(signature));
    let header: Value = serde_json::from_slice(&header).unwrap();
    let kid = header["kid"].as_str().expect("the header has a kid");
    let algorithm = header["alg"].as_str().expect("the header has an alg");
    let key = keys.iter().find(|key| key["kid"] == kid).unwrap_or_else(|| panic!("no key {kid}"));
    assert_eq!(key["alg"], algorithm, "the key is for another algorithm");
    assert_eq!(key["use"], "sig");
    let is_good = match algorithm {
        "RS256" => {
            let key = RsaPublicKeyComponents { n: member(key, "n"), e: member(key, "e") };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).is_ok()
        }
        "ES256" => {
            let point = [vec![4], member(key, "x"), member(key, "y")].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(signed.as_bytes(), &signature).is_ok()
        }
        "EdDSA" => {
            UnparsedPublicKey::new(&ED25519, member(key, "x")).verify(signed.as_bytes(), &signature).is_ok()
        }
        other => panic!("{other} is not signed with here"),
    };
    assert!(is_good, "the signature does not verify");
    (header, serde_json::from_slice(&claims).unwrap())
}
