use data_encoding::HEXLOWER;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://door.example.org";
const AUDIENCE: &str = "https://door.example.org/api";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn expected() -> Expected<'static> {
    Expected {
        typ: "at+jwt",
        issuer: ISSUER,
        audience: AUDIENCE,
        now: Timestamp::from_secs(NOW),
        leeway: LEEWAY,
        max_lifetime: Duration::from_secs(1800),
    }
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "u", "exp": NOW + 900, "iat": NOW, "jti": "j" })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn check(token: &str) -> Result<Value, TokenError> {
    verify(token, |kid| (kid == key().kid()).then(|| key().verifying_key()), &expected())
}

fn signed_text(header: &str, payload: &str) -> String {
    let message = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(payload.as_bytes())
    );
    let signature = key().try_sign(message.as_bytes()).unwrap();
    format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key().kid() })
}

fn good() -> String {
    sign(&key(), "at+jwt", &claims()).unwrap()
}

#[test]
fn a_token_comes_back_as_it_was_signed() {
    assert_eq!(check(&good()).unwrap(), claims());
    assert_eq!(check(&signed_text(&header().to_string(), &claims().to_string())).unwrap(), claims());
    let head = good().split('.').next().unwrap().to_owned();
    let head: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(head.as_bytes()).unwrap()).unwrap();
    assert_eq!(head, header());
}

#[test]
fn the_key_and_signature_of_rfc_8037_appendix_a_match() {
    let seed = BASE64URL_NOPAD.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = SigningKey::from_seed(&seed.try_into().unwrap());
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key.verifying_key().to_jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let signature = key.try_sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    assert_eq!(
        BASE64URL_NOPAD.encode(&signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

/// TOK-01: one algorithm, spelt exactly; a public key is not a shared secret.
#[test]
fn every_other_algorithm_is_refused() {
    for algorithm in ["none", "None", "", "eddsa", "EDDSA", "Ed25519", "HS256", "RS256", "ES256", "PS256"] {
        let mut header = header();
        header["alg"] = json!(algorithm);
        assert_eq!(
            check(&signed_text(&header.to_string(), &claims().to_string())),
            Err(TokenError::Malformed)
        );
        let message = signed_text(&header.to_string(), &claims().to_string());
        let message = message.rsplit_once('.').unwrap().0;
        assert_eq!(check(&format!("{message}.")), Err(TokenError::Malformed), "{algorithm}");
        // HS256 with the public key as its secret.
        let mut mac = mac::hmac_sha256_start(&key().verifying_key().to_bytes());
        hmac::Mac::update(&mut mac, message.as_bytes());
        let forged = BASE64URL_NOPAD.encode(&hmac::Mac::finalize(mac).into_bytes());
        assert_eq!(check(&format!("{message}.{forged}")), Err(TokenError::Malformed), "{algorithm}");
    }
    let mut header = header();
    for algorithm in [json!(null), json!(["EdDSA"]), json!(1)] {
        header["alg"] = algorithm;
        assert_eq!(
            check(&signed_text(&header.to_string(), &claims().to_string())),
            Err(TokenError::Malformed)
        );
    }
}

/// TOK-02: a key is found by exact `kid` in our own set and in no other way.
#[test]
fn a_key_that_is_not_ours_is_not_used() {
    let stranger = SigningKey::from_seed(&[8; 32]);
    let token = sign(&stranger, "at+jwt", &claims()).unwrap();
    assert_eq!(check(&token), Err(TokenError::BadSignature));
    let mut impostor = stranger.clone();
    impostor.kid = key().kid().to_owned();
    assert_eq!(check(&sign(&impostor, "at+jwt", &claims()).unwrap()), Err(TokenError::BadSignature));
    for kid in ["", "a b", "../key", "k'--", &"k".repeat(65), "\u{e9}"] {
        let mut header = header();
        header["kid"] = json!(kid);
        assert_eq!(
            check(&signed_text(&header.to_string(), &claims().to_string())),
            Err(TokenError::Malformed)
        );
    }
    let mut header = header();
    header["kid"] = json!(key().kid().to_ascii_lowercase());
    assert_eq!(
        check(&signed_text(&header.to_string(), &claims().to_string())),
        Err(TokenError::BadSignature)
    );
}

/// TOK-02, TOK-03: nothing in a header but `alg`, `typ` and `kid` is accepted, whatever it says.
#[test]
fn every_further_header_member_is_refused() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jku", json!("https://evil.example/keys")),
        ("jwk", SigningKey::from_seed(&[8; 32]).verifying_key().to_jwk()),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("anything", json!(null)),
    ] {
        let mut header = header();
        header[name] = value;
        let token = signed_text(&header.to_string(), &claims().to_string());
        assert_eq!(check(&token), Err(TokenError::Malformed), "{name}");
    }
    for name in ["alg", "typ", "kid"] {
        let mut header = header();
        header.as_object_mut().unwrap().remove(name);
        assert_eq!(
            check(&signed_text(&header.to_string(), &claims().to_string())),
            Err(TokenError::Malformed)
        );
    }
}

#[test]
fn repeated_members_are_refused_in_header_and_claims() {
    let header = header().to_string();
    let claims = claims().to_string();
    let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    assert_eq!(check(&signed_text(&twice(&header, r#""alg":"EdDSA""#), &claims)), Err(TokenError::Malformed));
    assert_eq!(check(&signed_text(&header, &twice(&claims, r#""sub":"root""#))), Err(TokenError::Malformed));
    assert_eq!(
        check(&signed_text(&header, &twice(&claims, r#""\u0073ub":"root""#))),
        Err(TokenError::Malformed)
    );
}

/// TOK-04: kinds of tokens exclude each other.
#[test]
fn a_token_of_another_kind_is_refused() {
    for typ in ["JWT", "AT+JWT", "application/at+jwt", "logout+jwt", "at+jwt "] {
        assert_eq!(check(&sign(&key(), typ, &claims()).unwrap()), Err(TokenError::WrongType), "{typ}");
    }
}

/// TOK-05: every claim a decision rests on is required, with its exact type.
#[test]
fn absent_and_mistyped_claims_are_refused() {
    for name in ["iss", "aud", "sub", "exp", "iat", "jti"] {
        let mut absent = claims();
        absent.as_object_mut().unwrap().remove(name);
        assert_eq!(
            check(&sign(&key(), "at+jwt", &absent).unwrap()),
            Err(TokenError::InvalidClaims),
            "no {name}"
        );
        let right = claims()[name].clone();
        for wrong in [
            json!(null),
            json!(true),
            json!({}),
            json!([right.clone()]),
            json!([right.clone(), "evil"]),
            if right.is_number() { json!(right.to_string()) } else { json!(5) },
            json!(1.5),
            json!(-1),
        ] {
            let token = sign(&key(), "at+jwt", &with(name, wrong.clone())).unwrap();
            assert!(check(&token).is_err(), "{name} = {wrong}");
        }
    }
    assert_eq!(
        check(&sign(&key(), "at+jwt", &with("sub", json!(""))).unwrap()),
        Err(TokenError::InvalidClaims)
    );
    assert_eq!(
        check(&sign(&key(), "at+jwt", &with("jti", json!(""))).unwrap()),
        Err(TokenError::InvalidClaims)
    );
    let near = format!("{ISSUER}/");
    assert_eq!(
        check(&sign(&key(), "at+jwt", &with("iss", json!(near))).unwrap()),
        Err(TokenError::WrongIssuer)
    );
    assert_eq!(
        check(&sign(&key(), "at+jwt", &with("aud", json!(ISSUER))).unwrap()),
        Err(TokenError::WrongAudience)
    );
    for payload in ["[]", "1", "null", "\"x\"", ""] {
        assert_eq!(
            check(&signed_text(&header().to_string(), payload)),
            Err(TokenError::Malformed),
            "{payload}"
        );
    }
}

/// TOK-06: expiry, start, issue time and length of life are all checked, with five seconds of leeway.
#[test]
fn times_are_checked_to_the_second() {
    let at = |claims: Value| check(&sign(&key(), "at+jwt", &claims).unwrap()).err();
    let times = |iat: u64, exp: u64| {
        let mut claims = claims();
        claims["iat"] = json!(iat);
        claims["exp"] = json!(exp);
        claims
    };
    assert_eq!(at(times(NOW - 900, NOW - 4)), None);
    assert_eq!(at(times(NOW - 900, NOW - 5)), Some(TokenError::Expired));
    assert_eq!(at(times(NOW + 5, NOW + 900)), None);
    assert_eq!(at(times(NOW + 6, NOW + 900)), Some(TokenError::NotYetValid));
    assert_eq!(at(times(NOW, NOW + 1800)), None);
    assert_eq!(at(times(NOW, NOW + 1801)), Some(TokenError::InvalidClaims));
    assert_eq!(at(times(NOW, NOW)), Some(TokenError::InvalidClaims));
    assert_eq!(at(times(NOW, NOW - 1)), Some(TokenError::InvalidClaims));
    assert_eq!(at(times(0, u64::MAX)), Some(TokenError::InvalidClaims));
    assert_eq!(at(times(u64::MAX - 1, u64::MAX)), Some(TokenError::NotYetValid));
    assert_eq!(at(with("nbf", json!(NOW + 5))), None);
    assert_eq!(at(with("nbf", json!(NOW + 6))), Some(TokenError::NotYetValid));
    assert_eq!(at(with("nbf", json!("0"))), Some(TokenError::InvalidClaims));
    assert_eq!(at(with("nbf", json!(null))), Some(TokenError::InvalidClaims));
    assert_eq!(at(with("exp", json!((NOW + 900).to_string()))), Some(TokenError::InvalidClaims));
}

/// TOK-08: size, alphabet and shape are checked before anything is parsed; a token has one spelling.
#[test]
fn tokens_of_another_form_are_refused() {
    let good = good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        "..".to_owned(),
        "...".to_owned(),
        message.to_owned(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        good.replace('.', ".."),
        good.replacen('.', "\u{ff0e}", 1),
        format!("{message}.{signature}A"),
        format!("{message}."),
        "a".repeat(MAX_TOKEN_BYTES + 1),
        sign(&key(), "at+jwt", &with("pad", json!("x".repeat(MAX_TOKEN_BYTES)))).unwrap(),
    ] {
        assert!(matches!(check(&bad), Err(TokenError::Malformed | TokenError::BadSignature)), "{bad:.80}");
    }
    // 64 bytes leave four unused bits in the last character; only the spelling with zeros is a signature.
    for last in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
        let mut other = good.clone();
        other.pop();
        other.push(char::from(*last));
        assert_eq!(check(&other).is_ok(), other == good, "{other}");
    }
}

#[test]
fn no_changed_byte_of_a_token_verifies() {
    let good = good();
    for index in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(check(std::str::from_utf8(&changed).unwrap()).is_err(), "byte {index}");
    }
}

/// TOK-10: adding the group order to S gives a second valid-looking signature; it is refused.
#[test]
fn a_malleable_signature_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let good = good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(
        check(&format!("{message}.{}", BASE64URL_NOPAD.encode(&bytes))),
        Err(TokenError::BadSignature)
    );
}

/// TOK-10: under a key of small order one signature fits every message; such a key is not taken.
#[test]
fn keys_of_small_order_are_not_taken() {
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        let bytes: [u8; 32] = HEXLOWER.decode(point.as_bytes()).unwrap().try_into().unwrap();
        assert!(VerifyingKey::from_bytes(&bytes).is_none(), "{point}");
        // The universal signature under the identity key: R = identity, S = 0.
        let Ok(weak) = ed25519_dalek::VerifyingKey::from_bytes(&bytes) else { continue };
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!VerifyingKey(weak).is_signature_of(b"any message", &signature));
    }
}

#[test]
fn the_codes_tell_four_kinds_of_refusal_apart() {
    assert_eq!(TokenError::Malformed.code(), "token_malformed");
    assert_eq!(TokenError::BadSignature.code(), "token_bad_signature");
    assert_eq!(TokenError::Expired.code(), "token_expired");
    for error in
        [TokenError::WrongType, TokenError::WrongAudience, TokenError::WrongIssuer, TokenError::NotYetValid]
    {
        assert_eq!(error.code(), "token_invalid_claims");
    }
}

/// TOK-07: the jsonwebtoken crate, used by itself, has our algorithm and no other, and an unknown one does not panic.
#[test]
fn the_crate_wide_provider_knows_ed25519_only() {
    install();
    install();
    let public = key().verifying_key().to_bytes();
    let verify = |algorithm, key: &DecodingKey| {
        let good = good();
        let (message, signature) = good.rsplit_once('.').unwrap();
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm)
    };
    assert!(verify(Algorithm::EdDSA, &DecodingKey::from_ed_der(&public)).unwrap());
    assert!(verify(Algorithm::EdDSA, &DecodingKey::from_ed_der(&public[1..])).is_err());
    assert!(verify(Algorithm::HS256, &DecodingKey::from_secret(&public)).is_err());
    assert!(verify(Algorithm::RS256, &DecodingKey::from_rsa_raw_components(&public, &[3])).is_err());
}

/// KEY-05
#[test]
fn debug_output_of_a_private_key_is_its_name() {
    assert_eq!(format!("{:?}", key()), format!("SigningKey({:?})", key().kid()));
}

proptest::proptest! {
    /// TOK-08: whatever arrives, it is refused and nothing panics, also when our own key signed it.
    #[test]
    fn arbitrary_text_is_refused(token in "\\PC{0,60}", header in "[\\x20-\\x7e]{0,60}", payload in "[\\x20-\\x7e]{0,60}") {
        proptest::prop_assert!(check(&token).is_err());
        proptest::prop_assert!(check(&signed_text(&header, &payload)).is_err());
        proptest::prop_assert!(check(&signed_text(&self::header().to_string(), &payload)).is_err());
    }
}
