use std::time::Instant;

use crypto_bigint::U1024;
use data_encoding::BASE64;
use serde_json::json;

use super::*;
use crate::crypto::key_ring::{KeyRing, Schedule};

/// The primes of RFC 7515 appendix A.2.1.
const P: &str = concat!(
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2",
    "KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
);
const Q: &str = concat!(
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_",
    "HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
);
const N: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ",
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2",
    "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
    "TW9gb54h4FRWyuXpoQ"
);
/// A P-256 key as `openssl genpkey` writes it, and its point.
const EC_PEM: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEzvBWR/odO2sAVDa
8fGMYXGyGDCouTuUGhItyshdqyOhRANCAASFRojENLE7argFKo3XmkDeGiXfYesl
hIypz+B7IH/8yQPoGLEbtVnpz2DASOJHmcDdbRAxe18Yx8ZrCrwPlkfZ
-----END PRIVATE KEY-----
";
const EC_POINT: &str =
    "hUaIxDSxO2q4BSqN15pA3hol32HrJYSMqc_geyB__MkD6BixG7VZ6c9gwEjiR5nA3W0QMXtfGMfGawq8D5ZH2Q";
/// RFC 8410 section 10.3: without and with attributes and a public key.
const ED25519_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const ED25519_LONG_PEM: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
const ED25519_PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";

fn prime(text: &str) -> U1024 {
    U1024::from_be_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap())
}

/// The key of RFC 7515 appendix A.2 as PKCS#1.
pub(in crate::crypto) fn rfc_7515() -> Zeroizing<Vec<u8>> {
    rsa_key::from_primes(&prime(P), &prime(Q)).unwrap()
}

fn keys() -> Vec<PrivateKey> {
    SigningAlgorithm::ALL
        .into_iter()
        .map(|algorithm| match algorithm {
            SigningAlgorithm::Rs256 => PrivateKey::from_bytes(algorithm, &rfc_7515()).unwrap(),
            _ => PrivateKey::generate(algorithm, &Random::os()).unwrap(),
        })
        .collect()
}

fn pem(label: &str, bytes: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(bytes))
}

fn pkcs8(key: &[u8]) -> Vec<u8> {
    // The AlgorithmIdentifier of rsaEncryption.
    let identifier = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let mut body = vec![2, 1, 0];
    body.extend_from_slice(&identifier);
    body.extend_from_slice(&[4, 0x82]);
    body.extend_from_slice(&u16::try_from(key.len()).unwrap().to_be_bytes());
    body.extend_from_slice(key);
    let mut out = vec![0x30, 0x82];
    out.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&body);
    out
}

#[test]
fn the_rsa_signature_of_rfc_7515_appendix_a_2_matches() {
    let key = PrivateKey::from_bytes(SigningAlgorithm::Rs256, &rfc_7515()).unwrap();
    assert_eq!(key.public_jwk()["n"], N);
    assert_eq!(key.public_jwk()["e"], "AQAB");
    let message = concat!(
        "eyJhbGciOiJSUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    );
    let signature = concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb",
        "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383",
        "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy",
        "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    assert_eq!(BASE64URL_NOPAD.encode(&key.sign(message.as_bytes()).unwrap()), signature);
}

#[test]
fn the_ed25519_signature_of_rfc_8037_appendix_a_4_matches() {
    let seed = BASE64URL_NOPAD.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = PrivateKey::from_bytes(SigningAlgorithm::EdDsa, &seed).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    assert_eq!(
        BASE64URL_NOPAD.encode(&signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

/// The whole of it, with the clock running: on a small machine this is the time a key takes.
#[test]
fn a_fresh_rsa_key_signs_and_is_named_by_its_thumbprint() {
    #[expect(clippy::disallowed_methods, reason = "the time is printed, nothing depends on it")]
    let started = Instant::now();
    let key = PrivateKey::generate(SigningAlgorithm::Rs256, &Random::os()).unwrap();
    println!("{:?}", started.elapsed());
    let signature = key.sign(b"message").unwrap();
    assert_eq!(signature.len(), 256);
    assert!(key.public().verify(b"message", &signature));
    assert_eq!(key.kid().len(), 43);
    assert!(key.to_bytes().len() < 1300);
}

#[test]
fn every_key_survives_its_bytes_and_signs_under_the_same_name() {
    for key in keys() {
        let back = PrivateKey::from_bytes(key.algorithm(), &key.to_bytes()).unwrap();
        assert_eq!((back.kid(), back.public_jwk()), (key.kid(), key.public_jwk()));
        assert!(key.public().verify(b"m", &back.sign(b"m").unwrap()));
        assert_eq!(back.public(), key.public());
    }
}

#[test]
fn a_signature_fits_one_message_and_one_key() {
    let all = keys();
    for key in &all {
        let mut signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), if key.algorithm() == SigningAlgorithm::Rs256 { 256 } else { 64 });
        for other in &all {
            assert_eq!(other.public().verify(b"message", &signature), other.kid() == key.kid());
        }
        assert!(!key.public().verify(b"massage", &signature));
        assert!(!key.public().verify(b"message", &signature[1..]));
        assert!(!key.public().verify(b"message", &[]));
        signature[20] ^= 1;
        assert!(!key.public().verify(b"message", &signature));
    }
}

/// TOK-15: what is published holds the public numbers and nothing else.
#[test]
fn the_published_key_has_exactly_the_public_members() {
    let members = [
        &["alg", "e", "kid", "kty", "n", "use"][..],
        &["alg", "crv", "kid", "kty", "use", "x", "y"],
        &["alg", "crv", "kid", "kty", "use", "x"],
    ];
    for (key, members) in keys().iter().zip(members) {
        let jwk = key.public_jwk();
        let mut names: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, members);
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["alg"], key.algorithm().as_str());
        assert_eq!(PublicJwk::parse(jwk.as_object().unwrap()).unwrap().thumbprint(), key.kid());
    }
}

/// KEY-05
#[test]
fn debug_output_holds_no_private_part() {
    let key = PrivateKey::from_bytes(SigningAlgorithm::EdDsa, &[7; 32]).unwrap();
    assert_eq!(format!("{key:?}"), format!("PrivateKey(EdDsa, {:?})", key.kid()));
    let ring = RingKey::new(key, Timestamp::ZERO, Timestamp::ZERO);
    assert_eq!(format!("{:?}", StoredKey::from_ring(&ring)), "StoredKey");
}

#[test]
fn a_key_survives_its_record() {
    for key in keys() {
        let ring = RingKey::new(key, Timestamp::from_secs(5), Timestamp::from_secs(9));
        let bytes = postcard::to_allocvec(&StoredKey::from_ring(&ring)).unwrap();
        assert!(bytes.len() < 1400, "fits a row of the store");
        let stored: StoredKey = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(stored.algorithm(), ring.key().algorithm());
        let back = stored.to_ring().unwrap();
        assert_eq!(
            (back.kid(), back.created(), back.activates()),
            (ring.kid(), ring.created(), ring.activates())
        );
        let torn = StoredKey { key: stored.key[1..].to_vec(), ..stored.clone() };
        assert!(torn.to_ring().is_err());
    }
}

#[test]
fn a_ring_holds_provider_keys_as_it_holds_the_keys_of_the_api() {
    for key in keys() {
        let mut ring = KeyRing::default();
        let now = Timestamp::from_secs(1_800_000_000);
        ring.apply(ring.plan_rotation(now, &Schedule::default(), || key.clone()));
        assert_eq!(ring.signing_key(now).unwrap().kid(), key.kid());
        let token = sign_compact(ring.signing_key(now).unwrap(), None, &json!({ "sub": "u" })).unwrap();
        assert_eq!(verify_own(&token, |kid| ring.find(kid)).unwrap().claims["sub"], "u");
        assert_eq!(ring.public_jwks(), json!({ "keys": [key.public_jwk()] }));
    }
}

#[test]
fn algorithms_are_named_exactly() {
    for algorithm in SigningAlgorithm::ALL {
        assert_eq!(SigningAlgorithm::parse(algorithm.as_str()), Some(algorithm));
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
    }
    for name in ["", "none", "HS256", "rs256", "PS256", "Ed25519", "EDDSA"] {
        assert_eq!(SigningAlgorithm::parse(name), None, "{name}");
    }
}

#[test]
fn pem_files_of_every_supported_form_are_read() {
    let der = rfc_7515();
    for text in [pem("RSA PRIVATE KEY", &der), pem("PRIVATE KEY", &pkcs8(&der))] {
        let key = PrivateKey::from_pem(&text).unwrap();
        assert_eq!((key.algorithm(), &key.public_jwk()["n"]), (SigningAlgorithm::Rs256, &json!(N)));
        assert_eq!(*key.to_bytes(), *der, "PKCS#1 is what is kept");
    }
    assert!(PrivateKey::from_bytes(SigningAlgorithm::Rs256, &pkcs8(&der)).is_ok());
    for text in [ED25519_PEM, ED25519_LONG_PEM] {
        let key = PrivateKey::from_pem(text).unwrap();
        assert_eq!(key.algorithm(), SigningAlgorithm::EdDsa);
        assert_eq!(key.public_jwk()["x"], ED25519_PUBLIC);
    }
    let key = PrivateKey::from_pem(EC_PEM).unwrap();
    assert_eq!(key.algorithm(), SigningAlgorithm::Es256);
    let point = BASE64URL_NOPAD.decode(EC_POINT.as_bytes()).unwrap();
    assert_eq!(key.public_jwk()["x"], BASE64URL_NOPAD.encode(&point[..32]));
    assert_eq!(key.public_jwk()["y"], BASE64URL_NOPAD.encode(&point[32..]));
    let back = PrivateKey::from_bytes(SigningAlgorithm::Es256, &key.to_bytes()).unwrap();
    assert_eq!(back.kid(), key.kid());
}

#[test]
fn pem_files_that_cannot_be_used_say_what_to_do() {
    let der = rfc_7515();
    for (text, hint) in [
        (String::new(), "BEGIN line"),
        (pem("EC PRIVATE KEY", &[1]), "openssl pkcs8 -topk8"),
        (pem("ENCRYPTED PRIVATE KEY", &[1]), "has a password"),
        (pem("PUBLIC KEY", &[1]), "public part"),
        (pem("CERTIFICATE", &[1]), "public part"),
        (pem("OPENSSH PRIVATE KEY", &[1]), "openssl genpkey"),
        (pem("PRIVATE KEY", &[0x30, 0]), "openssl genpkey"),
        (pem("PRIVATE KEY", &der), "openssl genpkey"),
        (pem("RSA PRIVATE KEY", &der[..der.len() - 1]), "sound RSA key"),
        (pem("RSA PRIVATE KEY", &pkcs8(&der)[..200]), "sound RSA key"),
        // Ed448, and X25519.
        (ED25519_PEM.replace("K2Vw", "K2Vx"), "openssl genpkey"),
        (ED25519_PEM.replace("K2Vw", "K2Vu"), "openssl genpkey"),
    ] {
        let error = PrivateKey::from_pem(&text).unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn rsa_keys_whose_parts_do_not_belong_together_are_refused() {
    let good = rfc_7515();
    let mut refused = 0;
    // Every 16th byte, and so each of the eight numbers, changed by one bit. `d` alone is not used by ring.
    for at in (8..good.len()).step_by(16) {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        refused += usize::from(PrivateKey::from_bytes(SigningAlgorithm::Rs256, &bad).is_err());
    }
    assert!(refused >= (good.len() - 260 - 8) / 16, "{refused}");
    // ring's parser takes numbers that are no primes; the first signature shows them.
    let p = U1024::MAX;
    let no_primes = rsa_key::from_primes(&p, &p.wrapping_sub(&U1024::from_u32(2))).unwrap();
    assert!(PrivateKey::from_bytes(SigningAlgorithm::Rs256, &no_primes).is_err());
    for algorithm in SigningAlgorithm::ALL {
        for bad in [&[][..], &[0; 31], &[0x30, 0]] {
            assert!(PrivateKey::from_bytes(algorithm, bad).is_err());
        }
    }
}

fn segments(header: &Value, claims: &str, key: &PrivateKey) -> String {
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let message = format!("{}.{}", encode(&header.to_string()), encode(claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign(message.as_bytes()).unwrap());
    format!("{message}.{signature}")
}

#[test]
fn a_token_comes_back_as_it_was_signed_expired_or_not() {
    for key in keys() {
        for typ in [None, Some("JWT"), Some("logout+jwt")] {
            let claims = json!({ "sub": "u", "exp": 1, "aud": ["a", "b"] });
            let token = sign_compact(&key, typ, &claims).unwrap();
            let own = verify_own(&token, |_| Some(key.public())).unwrap();
            assert_eq!((own.typ.as_deref(), own.kid.as_str()), (typ, key.kid()));
            assert_eq!(Value::Object(own.claims), claims);
        }
        let bare = sign_compact(&key, None, &json!({})).unwrap();
        let header = BASE64URL_NOPAD.decode(bare.split('.').next().unwrap().as_bytes()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({ "alg": key.algorithm().as_str(), "kid": key.kid() }));
    }
}

/// TOK-01, TOK-02, TOK-03: nothing in a header chooses key or algorithm but a `kid` of ours.
#[test]
fn headers_that_say_more_or_otherwise_are_refused() {
    let [rsa, ec, ed] = keys().try_into().unwrap();
    let all = [rsa.public(), ec.public(), ed.public()];
    let find = |kid: &str| all.iter().find(|key| key.kid() == kid).cloned();
    for key in [&rsa, &ec, &ed] {
        let good = json!({ "alg": key.algorithm().as_str(), "kid": key.kid() });
        assert!(verify_own(&segments(&good, "{}", key), find).is_ok());
        for (name, value) in [
            ("crit", json!([])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
            ("jku", json!("https://evil.example/keys")),
            ("jwk", key.public_jwk()),
            ("x5c", json!([])),
            ("x5u", json!("https://evil.example")),
            ("x", json!(null)),
            ("typ", json!(null)),
            ("typ", json!(1)),
            ("alg", json!("none")),
            ("alg", json!("None")),
            ("alg", json!("HS256")),
            ("alg", json!("PS256")),
            ("alg", json!("Ed25519")),
            ("alg", json!("rs256")),
            ("alg", json!(["RS256"])),
            ("alg", json!(null)),
            ("kid", json!(null)),
            ("kid", json!("")),
            ("kid", json!("../../key")),
            ("kid", json!("a".repeat(65))),
        ] {
            let mut header = good.clone();
            header[name] = value;
            assert_eq!(
                verify_own(&segments(&header, "{}", key), find),
                Err(TokenError::Malformed),
                "{header}"
            );
        }
        for name in ["alg", "kid"] {
            let mut header = good.clone();
            header.as_object_mut().unwrap().remove(name);
            assert_eq!(verify_own(&segments(&header, "{}", key), find), Err(TokenError::Malformed));
        }
        for other in [&rsa, &ec, &ed].into_iter().filter(|other| other.kid() != key.kid()) {
            // The algorithm of another key of ours, and the name of another key of ours.
            let header = json!({ "alg": other.algorithm().as_str(), "kid": key.kid() });
            assert_eq!(verify_own(&segments(&header, "{}", other), find), Err(TokenError::Malformed));
            let header = json!({ "alg": other.algorithm().as_str(), "kid": other.kid() });
            assert_eq!(verify_own(&segments(&header, "{}", key), find), Err(TokenError::BadSignature));
        }
        let token = segments(&good, "{}", key);
        assert_eq!(verify_own(&token, |_| None), Err(TokenError::BadSignature));
        // A look-up that answers for a name that is not the key's.
        assert!(
            verify_own(&segments(&json!({ "alg": "EdDSA", "kid": "x" }), "{}", &ed), |_| Some(ed.public()))
                .is_err()
        );
    }
}

/// TOK-08
#[test]
fn tokens_of_another_shape_are_refused() {
    let key = PrivateKey::from_bytes(SigningAlgorithm::EdDsa, &[7; 32]).unwrap();
    let find = |_: &str| Some(key.public());
    let good = sign_compact(&key, None, &json!({ "a": 1 })).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        message.to_owned(),
        format!("{good}."),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!(".{good}"),
        format!("{message}.{signature}A"),
        good.replacen('.', "..", 1),
    ] {
        assert!(verify_own(&bad, find).is_err(), "{bad}");
    }
    assert_eq!(verify_own(&format!("{message}."), find), Err(TokenError::BadSignature));
    let header = json!({ "alg": "EdDSA", "kid": key.kid() });
    for claims in ["", "[]", "1", "null", r#"{"a":1,"a":2}"#, "{} x", "{\"a\":"] {
        assert_eq!(
            verify_own(&segments(&header, claims, &key), find),
            Err(TokenError::Malformed),
            "{claims}"
        );
    }
    let long = json!({ "a": "x".repeat(jws::MAX_TOKEN_BYTES) });
    assert_eq!(verify_own(&sign_compact(&key, None, &long).unwrap(), find), Err(TokenError::Malformed));
    let doubled = format!(r#"{{"alg":"EdDSA","kid":"{0}","kid":"{0}"}}"#, key.kid());
    let message = format!("{}.e30", BASE64URL_NOPAD.encode(doubled.as_bytes()));
    let signature = BASE64URL_NOPAD.encode(&key.sign(message.as_bytes()).unwrap());
    assert_eq!(verify_own(&format!("{message}.{signature}"), find), Err(TokenError::Malformed));
}

#[test]
fn claims_that_are_no_json_are_not_signed() {
    let key = PrivateKey::from_bytes(SigningAlgorithm::EdDsa, &[7; 32]).unwrap();
    let odd = std::collections::HashMap::from([((1, 2), 3)]);
    assert_eq!(sign_compact(&key, None, &odd), Err(SignError::Claims));
}
