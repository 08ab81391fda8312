use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use serde_json::json;

use super::*;
use crate::crypto::jwk::PublicJwk;
use crate::crypto::jws::MAX_TOKEN_BYTES;
use crate::crypto::signing::tests::rfc_7515;
use crate::crypto::signing::{PrivateKey, SigningAlgorithm};
use crate::kernel::random::Random;

/// The private keys of a client, and how they sign.
pub(in crate::crypto) struct Client(Vec<(ClientAlgorithm, PrivateKey)>);

impl Client {
    pub(in crate::crypto) fn new() -> Self {
        let rsa = PrivateKey::from_bytes(SigningAlgorithm::Rs256, &rfc_7515()).unwrap();
        let make = |algorithm| PrivateKey::generate(algorithm, &Random::os()).unwrap();
        Client(vec![
            (ClientAlgorithm::Rs256, rsa.clone()),
            (ClientAlgorithm::Ps256, rsa),
            (ClientAlgorithm::Es256, make(SigningAlgorithm::Es256)),
            (ClientAlgorithm::EdDsa, make(SigningAlgorithm::EdDsa)),
        ])
    }

    fn key(&self, algorithm: ClientAlgorithm) -> &PrivateKey {
        &self.0.iter().find(|(own, _)| *own == algorithm).unwrap().1
    }

    /// The public key without a name.
    pub(in crate::crypto) fn jwk(&self, algorithm: ClientAlgorithm) -> Value {
        let jwk = self.key(algorithm).public_jwk();
        Value::Object(PublicJwk::parse(jwk.as_object().unwrap()).unwrap().to_json())
    }

    pub(in crate::crypto) fn keys(&self) -> ClientKeys {
        let keys: Vec<Value> = self
            .0
            .iter()
            .filter(|(algorithm, _)| *algorithm != ClientAlgorithm::Ps256)
            .map(|(algorithm, _)| {
                let mut jwk = self.jwk(*algorithm);
                jwk["kid"] = kid(*algorithm).into();
                jwk
            })
            .collect();
        ClientKeys::from_value(&json!({ "keys": keys })).unwrap()
    }

    fn sign(&self, algorithm: ClientAlgorithm, message: &[u8]) -> Vec<u8> {
        if algorithm != ClientAlgorithm::Ps256 {
            return self.key(algorithm).sign(message).unwrap();
        }
        let pair = ring::rsa::KeyPair::from_der(&rfc_7515()).unwrap();
        let mut out = vec![0; pair.public().modulus_len()];
        pair.sign(&ring::signature::RSA_PSS_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
        out
    }

    pub(in crate::crypto) fn token(
        &self,
        algorithm: ClientAlgorithm,
        header: &Value,
        claims: &Value,
    ) -> String {
        self.text(algorithm, &header.to_string(), &claims.to_string())
    }

    pub(in crate::crypto) fn text(&self, algorithm: ClientAlgorithm, header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64URL_NOPAD.encode(&self.sign(algorithm, message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn kid(algorithm: ClientAlgorithm) -> &'static str {
    match algorithm {
        ClientAlgorithm::Rs256 | ClientAlgorithm::Ps256 => "rsa",
        ClientAlgorithm::Es256 => "ec",
        ClientAlgorithm::EdDsa => "ed",
    }
}

fn header(algorithm: ClientAlgorithm) -> Value {
    json!({ "alg": algorithm.as_str(), "kid": kid(algorithm) })
}

#[test]
fn every_algorithm_verifies_with_and_without_a_name() {
    let client = Client::new();
    let keys = client.keys();
    for algorithm in ClientAlgorithm::ALL {
        for (header, name, typ) in [
            (header(algorithm), Some(kid(algorithm)), None),
            (json!({ "alg": algorithm.as_str() }), None, None),
            (json!({ "alg": algorithm.as_str(), "typ": "JWT" }), None, Some("JWT")),
        ] {
            let token = client.token(algorithm, &header, &json!({ "a": 1 }));
            let found = verify_client(&token, &keys, &ClientAlgorithm::ALL).unwrap();
            assert_eq!((found.algorithm, found.kid.as_deref(), found.typ.as_deref()), (algorithm, name, typ));
            assert_eq!(found.claims["a"], 1);
        }
    }
}

/// TOK-01: what is not allowed is refused whatever key there is, and no key takes another algorithm's signature.
#[test]
fn algorithms_that_are_not_allowed_or_not_the_keys_are_refused() {
    let client = Client::new();
    let keys = client.keys();
    for algorithm in ClientAlgorithm::ALL {
        let token = client.token(algorithm, &header(algorithm), &json!({}));
        let others: Vec<_> = ClientAlgorithm::ALL.into_iter().filter(|other| *other != algorithm).collect();
        assert_eq!(verify_client(&token, &keys, &others), Err(TokenError::Malformed));
        assert_eq!(verify_client(&token, &keys, &[]), Err(TokenError::Malformed));
        for other in others {
            // Signed in one way, said to be in another.
            let said = json!({ "alg": other.as_str(), "kid": kid(algorithm) });
            let lie = client.token(algorithm, &said, &json!({}));
            assert_eq!(
                verify_client(&lie, &keys, &ClientAlgorithm::ALL),
                Err(TokenError::BadSignature),
                "{said}"
            );
        }
    }
    for name in ["none", "None", "", "HS256", "HS512", "RS384", "ES512", "Ed25519", "rs256"] {
        let header = json!({ "alg": name, "kid": "rsa" });
        let token = client.token(ClientAlgorithm::Rs256, &header, &json!({}));
        assert_eq!(verify_client(&token, &keys, &ClientAlgorithm::ALL), Err(TokenError::Malformed), "{name}");
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        assert!(verify_client(&format!("{unsigned}."), &keys, &ClientAlgorithm::ALL).is_err());
    }
}

/// TOK-02, TOK-03: a token cannot bring its key, name an address of one, or ask for extensions.
#[test]
fn headers_that_say_more_are_refused() {
    let client = Client::new();
    let keys = client.keys();
    for (name, value) in [
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("jwk", client.jwk(ClientAlgorithm::EdDsa)),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["MII"])),
        ("x5t#S256", json!("AA")),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("", json!(null)),
        ("kid", json!(1)),
        ("kid", json!(null)),
        ("kid", json!("")),
        ("kid", json!("a\u{0}")),
        ("typ", json!(["JWT"])),
        ("alg", json!(["EdDSA"])),
    ] {
        let mut header = header(ClientAlgorithm::EdDsa);
        header[name] = value;
        let token = client.token(ClientAlgorithm::EdDsa, &header, &json!({}));
        assert_eq!(
            verify_client(&token, &keys, &ClientAlgorithm::ALL),
            Err(TokenError::Malformed),
            "{header}"
        );
    }
    for text in [r#"{"alg":"EdDSA","alg":"EdDSA"}"#, "[]", "null", "", "{}", r#"{"kid":"ed"}"#] {
        let token = client.text(ClientAlgorithm::EdDsa, text, "{}");
        assert_eq!(verify_client(&token, &keys, &ClientAlgorithm::ALL), Err(TokenError::Malformed), "{text}");
    }
}

#[test]
fn keys_of_other_clients_and_changed_tokens_are_refused() {
    let (client, other) = (Client::new(), Client::new());
    let keys = client.keys();
    let check = |token: &str| verify_client(token, &keys, &ClientAlgorithm::ALL);
    for algorithm in [ClientAlgorithm::Es256, ClientAlgorithm::EdDsa] {
        let token = other.token(algorithm, &header(algorithm), &json!({}));
        assert_eq!(check(&token), Err(TokenError::BadSignature));
        let unknown = json!({ "alg": algorithm.as_str(), "kid": "rsa" });
        assert_eq!(check(&client.token(algorithm, &unknown, &json!({}))), Err(TokenError::BadSignature));
    }
    for algorithm in ClientAlgorithm::ALL {
        let good = client.token(algorithm, &header(algorithm), &json!({ "a": 1 }));
        assert!(check(&good).is_ok());
        for at in (0..good.len()).step_by(7) {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(check(std::str::from_utf8(&bytes).unwrap()).is_err());
            assert!(check(&good[..at]).is_err());
        }
    }
}

/// TOK-10: under a key of small order one signature would fit every message; such a key cannot even be registered.
#[test]
fn a_small_order_key_is_no_key() {
    let identity = BASE64URL_NOPAD.encode(&{
        let mut point = [0; 32];
        point[0] = 1;
        point
    });
    let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": identity }] });
    assert!(ClientKeys::from_value(&set).is_err());
}

/// TOK-08, INP-05
#[test]
fn tokens_of_another_shape_are_refused() {
    let client = Client::new();
    let keys = client.keys();
    let good = client.token(ClientAlgorithm::EdDsa, &header(ClientAlgorithm::EdDsa), &json!({}));
    for bad in
        [String::new(), "..".to_owned(), format!("{good}="), format!("{good}.e30"), good.replacen('.', "", 1)]
    {
        assert!(verify_client(&bad, &keys, &ClientAlgorithm::ALL).is_err());
    }
    for claims in ["", "[]", "1", r#"{"aud":"a","aud":"b"}"#] {
        let token = client.text(ClientAlgorithm::EdDsa, &header(ClientAlgorithm::EdDsa).to_string(), claims);
        assert_eq!(verify_client(&token, &keys, &ClientAlgorithm::ALL), Err(TokenError::Malformed));
    }
    let long = json!({ "a": "x".repeat(MAX_TOKEN_BYTES) });
    let token = client.token(ClientAlgorithm::EdDsa, &header(ClientAlgorithm::EdDsa), &long);
    assert_eq!(verify_client(&token, &keys, &ClientAlgorithm::ALL), Err(TokenError::Malformed));
}

#[test]
fn the_issuer_is_read_before_a_key_is_known() {
    let client = Client::new();
    let header = header(ClientAlgorithm::EdDsa);
    let read = |claims: &Value| unverified_issuer(&client.token(ClientAlgorithm::EdDsa, &header, claims));
    assert_eq!(read(&json!({ "iss": "wiki", "sub": "other" })).as_deref(), Some("wiki"));
    for claims in
        [json!({}), json!({ "iss": 1 }), json!({ "iss": null }), json!({ "iss": ["wiki"] }), json!([])]
    {
        assert_eq!(read(&claims), None);
    }
    for text in ["", "..", "a.b.c", "e30.e30", "e30.eyJpc3MiOiJ3IiwiaXNzIjoidiJ9.AA"] {
        assert_eq!(unverified_issuer(text), None, "{text}");
    }
    assert_eq!(unverified_issuer("e30.eyJpc3MiOiJ3In0.AA").as_deref(), Some("w"));
}
