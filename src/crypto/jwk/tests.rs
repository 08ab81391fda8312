use super::*;
use crate::crypto::public_jwk::tests::{ec, okp, rsa};

fn with(mut key: Value, members: &[(&str, Value)]) -> Value {
    for (name, value) in members {
        key[*name] = value.clone();
    }
    key
}

fn set(keys: &[Value]) -> ClientKeys {
    parse(&json!({ "keys": keys })).unwrap()
}

fn parse(value: &Value) -> Result<ClientKeys, KeySetError> {
    let parsed = ClientKeys::parse(&value.to_string());
    assert_eq!(parsed, ClientKeys::from_value(value));
    parsed
}

fn refused(keys: Value) -> String {
    parse(&json!({ "keys": keys })).unwrap_err().to_string()
}

#[test]
fn a_set_comes_back_as_it_was_registered_without_what_does_not_matter() {
    let given = json!({ "keys": [
        with(rsa(), &[("kid", json!("r")), ("use", json!("sig")), ("alg", json!("PS256")), ("x5c", json!(["M"]))]),
        with(ec(), &[("key_ops", json!(["verify"])), ("ext", json!(true))]),
        okp(),
    ], "more": 1 });
    let kept = json!({ "keys": [
        with(rsa(), &[("kid", json!("r")), ("use", json!("sig")), ("alg", json!("PS256"))]),
        with(ec(), &[("key_ops", json!(["verify"]))]),
        okp(),
    ] });
    let keys = parse(&given).unwrap();
    assert_eq!(keys.to_json(), kept);
    assert_eq!(serde_json::to_value(&keys).unwrap(), kept);
    assert_eq!(serde_json::from_value::<ClientKeys>(given).unwrap(), keys);
    let bytes = postcard::to_allocvec(&keys).unwrap();
    assert_eq!(postcard::from_bytes::<ClientKeys>(&bytes).unwrap(), keys);
    assert!(serde_json::from_value::<ClientKeys>(json!({ "keys": [{ "kty": "oct", "k": "AA" }] })).is_err());
}

#[test]
fn what_is_no_set_is_refused_with_a_sentence() {
    for text in
        ["", "{}", "[]", "null", "\"keys\"", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "https://x/jwks"]
    {
        let error = ClientKeys::parse(text).unwrap_err().to_string();
        assert!(error.ends_with('.') && error.contains("key"), "{error}");
    }
    assert!(refused(json!([])).contains("1 to 16"));
    assert!(refused(json!(vec![okp(); 17])).contains("1 to 16"));
    assert_eq!(set(&vec![okp(); 16]).keys().len(), 16);
    assert!(refused(json!([with(okp(), &[("x5c", json!("x".repeat(MAX_SET_BYTES)))])])).contains("32 KiB"));
    assert_eq!(refused(json!([okp(), "x"])), "Key 2: It is not an object.");
}

#[test]
fn one_bad_key_refuses_the_set_and_is_named() {
    for (bad, hint) in [
        (with(rsa(), &[("d", json!("AQ"))]), "private"),
        (json!({ "kty": "oct", "k": "AQ" }), "private"),
        (json!({ "kty": "oct" }), "shared secret"),
        (json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }), "not supported"),
        (with(ec(), &[("crv", json!("P-521"))]), "not supported"),
        (with(okp(), &[("kid", json!(5))]), "must be texts"),
        (with(okp(), &[("kid", json!(""))]), "kid"),
        (with(okp(), &[("kid", json!("a\nb"))]), "kid"),
        (with(okp(), &[("kid", json!("k".repeat(257)))]), "kid"),
        (with(okp(), &[("use", json!("both"))]), "use"),
        (with(okp(), &[("use", json!(null))]), "must be texts"),
        (with(okp(), &[("alg", json!("a".repeat(65)))]), "alg"),
        (with(okp(), &[("key_ops", json!("verify"))]), "key_ops"),
        (with(okp(), &[("key_ops", json!([1]))]), "key_ops"),
        (with(okp(), &[("key_ops", json!(vec!["verify"; 9]))]), "key_ops"),
    ] {
        let error = refused(json!([ec(), bad]));
        assert!(error.starts_with("Key 2: ") && error.contains(hint) && error.ends_with('.'), "{error}");
    }
    let named = |key: Value| with(key, &[("kid", json!("same"))]);
    assert!(refused(json!([named(ec()), named(okp())])).contains("same \"kid\""));
}

#[test]
fn the_key_of_a_signature_is_named_or_the_only_one() {
    use ClientAlgorithm::{EdDsa, Es256, Ps256, Rs256};
    let other = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    let other_y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    let keys = set(&[
        with(rsa(), &[("kid", json!("r"))]),
        with(ec(), &[("kid", json!("e1"))]),
        json!({ "kty": "EC", "crv": "P-256", "x": other, "y": other_y, "kid": "e2" }),
        okp(),
    ]);
    let kid = |kid, algorithm| keys.find_for_signature(kid, algorithm).map(|key| key.key().to_json());
    assert_eq!(kid(Some("r"), Rs256), rsa().as_object().cloned());
    assert_eq!(kid(Some("r"), Ps256), rsa().as_object().cloned());
    assert_eq!(kid(None, Ps256), rsa().as_object().cloned());
    assert_eq!(kid(Some("e1"), Es256), ec().as_object().cloned());
    assert_eq!(kid(None, Es256), None, "two fit");
    assert_eq!(kid(Some("e1"), Rs256), None, "another kind");
    assert_eq!(kid(Some("x"), Es256), None);
    assert_eq!(kid(Some(""), EdDsa), None);
    assert_eq!(kid(None, EdDsa), okp().as_object().cloned());
    // The thumbprint names a key that has no other name, and only such a one.
    assert_eq!(kid(Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), EdDsa), okp().as_object().cloned());
    let thumbprint = keys.keys()[0].key().thumbprint();
    assert_eq!(kid(Some(&thumbprint), Rs256), None);
}

#[test]
fn use_alg_and_key_ops_are_honoured() {
    use ClientAlgorithm::{EdDsa, Es256, Ps256, Rs256};
    use KeyManagement::{EcdhEs, RsaOaep256};
    for (key, signs, encrypts) in [
        (rsa(), &[Rs256, Ps256][..], &[RsaOaep256][..]),
        (with(rsa(), &[("use", json!("sig"))]), &[Rs256, Ps256], &[]),
        (with(rsa(), &[("use", json!("enc"))]), &[], &[RsaOaep256]),
        (with(rsa(), &[("alg", json!("PS256"))]), &[Ps256], &[]),
        (with(rsa(), &[("alg", json!("RSA-OAEP-256"))]), &[], &[RsaOaep256]),
        (with(rsa(), &[("alg", json!("RSA-OAEP"))]), &[], &[]),
        (with(rsa(), &[("key_ops", json!(["verify"]))]), &[Rs256, Ps256], &[]),
        (with(rsa(), &[("key_ops", json!(["wrapKey"]))]), &[], &[RsaOaep256]),
        (with(rsa(), &[("key_ops", json!(["encrypt", "verify"]))]), &[Rs256, Ps256], &[RsaOaep256]),
        (ec(), &[Es256], &[EcdhEs]),
        (with(ec(), &[("key_ops", json!([]))]), &[Es256], &[EcdhEs]),
        (with(ec(), &[("key_ops", json!(["deriveBits"]))]), &[], &[EcdhEs]),
        (with(ec(), &[("alg", json!("ECDH-ES"))]), &[], &[EcdhEs]),
        (with(ec(), &[("alg", json!("ECDH-ES+A128KW"))]), &[], &[]),
        (with(ec(), &[("alg", json!("ES256")), ("use", json!("enc"))]), &[], &[]),
        (okp(), &[EdDsa], &[]),
        (with(okp(), &[("alg", json!("Ed25519"))]), &[EdDsa], &[]),
        (with(okp(), &[("alg", json!("ES256"))]), &[], &[]),
        (with(okp(), &[("use", json!("enc"))]), &[], &[]),
    ] {
        let keys = set(std::slice::from_ref(&key));
        let found = ClientAlgorithm::ALL.into_iter().filter(|a| keys.find_for_signature(None, *a).is_some());
        assert_eq!(found.collect::<Vec<_>>(), signs, "{key}");
        let found = KeyManagement::ALL.into_iter().filter(|a| keys.find_for_encryption(*a, None).is_some());
        assert_eq!(found.collect::<Vec<_>>(), encrypts, "{key}");
    }
}

#[test]
fn encryption_goes_to_the_key_that_is_meant_for_it() {
    let keys = set(&[
        with(ec(), &[("kid", json!("any"))]),
        with(ec(), &[("kid", json!("sig")), ("use", json!("sig"))]),
        with(ec(), &[("kid", json!("enc")), ("use", json!("enc"))]),
    ]);
    let found = |kid| keys.find_for_encryption(KeyManagement::EcdhEs, kid).and_then(ClientKey::kid);
    assert_eq!(found(None), Some("enc"));
    assert_eq!(found(Some("any")), Some("any"));
    assert_eq!(found(Some("sig")), None);
    assert_eq!(found(Some("x")), None);
    assert!(keys.find_for_encryption(KeyManagement::RsaOaep256, None).is_none());
}
