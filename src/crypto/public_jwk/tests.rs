use data_encoding::HEXLOWER;

use super::*;

/// The modulus of RFC 7638 section 3.1.
pub(in crate::crypto) const N_7638: &str = concat!(
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3",
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA",
    "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-",
    "kEgU8awapJzKnqDKgw"
);
/// The key of RFC 7515 appendix A.3.
pub(in crate::crypto) const X_7515: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub(in crate::crypto) const Y_7515: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// The key of RFC 8037 appendix A.
pub(in crate::crypto) const X_8037: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

pub(in crate::crypto) fn rsa() -> Value {
    json!({ "kty": "RSA", "n": N_7638, "e": "AQAB" })
}

pub(in crate::crypto) fn ec() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": X_7515, "y": Y_7515 })
}

pub(in crate::crypto) fn okp() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": X_8037 })
}

fn parse(value: &Value) -> Result<PublicJwk, JwkError> {
    PublicJwk::parse(value.as_object().unwrap())
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn decode(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

#[test]
fn thumbprints_match_rfc_7638_and_rfc_8037() {
    let with_more = with(with(rsa(), "alg", "RS256"), "kid", "2011-04-29");
    assert_eq!(parse(&with_more).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(parse(&okp()).unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // RFC 9449 section 6.1, the key of figure 2.
    let dpop = json!({
        "kty": "EC", "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    });
    assert_eq!(parse(&dpop).unwrap().thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

#[test]
fn a_key_is_written_as_it_was_read() {
    for key in [rsa(), ec(), okp()] {
        assert_eq!(Value::Object(parse(&key).unwrap().to_json()), key);
    }
}

/// A client that registers its private key by mistake is told so, and the key is not kept.
#[test]
fn private_and_shared_keys_are_refused() {
    for key in [rsa(), ec(), okp()] {
        for name in PRIVATE_MEMBERS {
            let error = parse(&with(key.clone(), name, "AQ")).unwrap_err();
            assert!(error.to_string().contains("private"), "{error}");
            assert!(parse(&with(key.clone(), name, Value::Null)).is_err());
        }
    }
    assert!(parse(&json!({ "kty": "oct" })).unwrap_err().to_string().contains("shared secret"));
}

#[test]
fn other_kinds_and_curves_are_refused() {
    for key in [
        json!({}),
        with(rsa(), "kty", 1),
        with(rsa(), "kty", "rsa"),
        with(rsa(), "crv", "P-256"),
        with(ec(), "crv", "P-384"),
        with(ec(), "crv", "secp256k1"),
        with(ec(), "crv", "Ed25519"),
        with(ec(), "crv", Value::Null),
        with(okp(), "crv", "X25519"),
        with(okp(), "crv", "Ed448"),
        with(okp(), "kty", "EC"),
        with(okp(), "kty", "AKP"),
    ] {
        assert!(parse(&key).is_err(), "{key}");
    }
}

#[test]
fn numbers_have_one_spelling() {
    let padded = format!("{X_8037}=");
    let loose = X_8037.replace("URo", "URp");
    let short = BASE64URL_NOPAD.encode(&decode(X_8037)[1..]);
    for x in ["", "!", &padded, &loose, &short, &X_8037.replace('_', "/"), &format!("{X_8037}AA")] {
        assert!(parse(&with(okp(), "x", x)).is_err(), "{x}");
        assert!(parse(&with(ec(), "x", x)).is_err(), "{x}");
    }
    assert!(parse(&with(okp(), "x", 5)).is_err());
    let mut zero_first = decode(N_7638);
    zero_first.insert(0, 0);
    assert!(parse(&with(rsa(), "n", BASE64URL_NOPAD.encode(&zero_first))).is_err());
    assert!(parse(&with(rsa(), "e", "AAEAAQ")).is_err());
}

#[test]
fn rsa_keys_have_a_sound_size_and_exponent() {
    let modulus = |bytes: usize, first: u8, last: u8| {
        let mut n = vec![0x5a; bytes];
        n[0] = first;
        *n.last_mut().unwrap() = last;
        parse(&with(rsa(), "n", BASE64URL_NOPAD.encode(&n)))
    };
    assert!(modulus(256, 0x80, 1).is_ok());
    assert!(modulus(512, 0xff, 1).is_ok());
    assert!(modulus(256, 0x7f, 1).is_err(), "2047 bits");
    assert!(modulus(128, 0xff, 1).is_err());
    assert!(modulus(513, 1, 1).is_err(), "4097 bits");
    assert!(modulus(1024, 0xff, 1).is_err());
    assert!(modulus(256, 0xff, 2).is_err(), "even");
    let exponent = |e: &[u8]| parse(&with(rsa(), "e", BASE64URL_NOPAD.encode(e)));
    for good in [&[1, 0, 1][..], &[1, 0, 3], &[0xff, 0xff, 0xff, 0xff], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert!(exponent(good).is_ok(), "{good:?}");
    }
    for bad in [
        &[][..],
        &[1],
        &[3],
        &[17],
        &[0xff, 0xff],
        &[1, 0, 0],
        &[1, 0, 2],
        &[2, 0, 0, 0, 1],
        &[1, 0, 0, 0, 0, 1],
        &[0xff; 256],
    ] {
        assert!(exponent(bad).is_err(), "{bad:?}");
    }
}

/// TOK-10: points off the curve, and keys under which one signature fits every message.
#[test]
fn points_are_checked() {
    assert!(parse(&with(ec(), "y", X_7515)).is_err());
    assert!(parse(&with(ec(), "x", BASE64URL_NOPAD.encode(&[0; 32]))).is_err());
    assert!(P256Public::from_point(&[]).is_none());
    assert!(P256Public::from_point(&[0]).is_none(), "infinity");
    let PublicJwk::P256(key) = parse(&ec()).unwrap() else { panic!() };
    assert!(P256Public::from_point(&key.0[..33]).is_none());
    let mut compressed = key.0;
    compressed[0] = 2;
    assert!(P256Public::from_point(&compressed).is_none());
    for small in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        let x = BASE64URL_NOPAD.encode(&HEXLOWER.decode(small.as_bytes()).unwrap());
        assert!(parse(&with(okp(), "x", x)).is_err(), "{small}");
    }
}

#[test]
fn the_signatures_of_rfc_7515_verify_and_only_under_their_algorithm() {
    // Appendix A.3.
    let message = concat!(
        "eyJhbGciOiJFUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    );
    let signature =
        decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    let key = parse(&ec()).unwrap();
    for algorithm in ClientAlgorithm::ALL {
        let fits = algorithm == ClientAlgorithm::Es256;
        assert_eq!(key.verify(algorithm, message.as_bytes(), &signature), fits);
        assert_eq!(key.fits(algorithm), fits);
    }
    assert!(!key.verify(ClientAlgorithm::Es256, b"another message", &signature));
    assert!(!key.verify(ClientAlgorithm::Es256, message.as_bytes(), &signature[..63]));
    assert!(!key.verify(ClientAlgorithm::Es256, message.as_bytes(), &[0; 64]));
    for algorithm in ClientAlgorithm::ALL {
        assert!(!parse(&rsa()).unwrap().verify(algorithm, message.as_bytes(), &signature));
        assert!(!parse(&okp()).unwrap().verify(algorithm, message.as_bytes(), &signature));
    }
}

#[test]
fn algorithms_are_named_exactly() {
    for algorithm in ClientAlgorithm::ALL {
        assert_eq!(ClientAlgorithm::parse(algorithm.as_str()), Some(algorithm));
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
    }
    for name in ["", "none", "HS256", "rs256", "EDDSA", "Ed25519", "RS512", "ES256K", " ES256"] {
        assert_eq!(ClientAlgorithm::parse(name), None, "{name}");
    }
}
