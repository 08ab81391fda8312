use crypto_bigint::{NonZero, Resize as _};
use data_encoding::HEXLOWER;
use ring::agreement::PublicKey;

use super::*;
use crate::crypto::der;
use crate::crypto::jwk::ClientKeys;
use crate::crypto::public_jwk::tests::{ec, okp, rsa};
use crate::crypto::signing::tests::rfc_7515;
use crate::crypto::signing::{PrivateKey, SigningAlgorithm};

fn parse(value: &Value) -> PublicJwk {
    PublicJwk::parse(value.as_object().unwrap()).unwrap()
}

/// The five parts of a compact JWE, decoded, and the first as it stands.
fn open(token: &str) -> (Map<String, Value>, [Vec<u8>; 4], String) {
    let parts: Vec<&str> = token.split('.').collect();
    let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let header = serde_json::from_slice(&decode(parts[0])).unwrap();
    let rest: Vec<Vec<u8>> = parts[1..].iter().map(|part| decode(part)).collect();
    (header, rest.try_into().unwrap(), parts[0].to_owned())
}

fn decrypt_content(key: &[u8], token: &str) -> Option<Vec<u8>> {
    let (_, [_, iv, text, tag], head) = open(token);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut data = [text, tag].concat();
    let nonce = Nonce::try_assume_unique_for_key(&iv).unwrap();
    key.open_in_place(nonce, Aad::from(head.as_bytes()), &mut data).ok().map(|plain| plain.to_vec())
}

/// RSADP with the key of RFC 7515, and EME-OAEP decoding as RFC 8017 section 7.1.2 has it. For tests alone: it takes
/// no care of its time.
fn unwrap_rsa(encrypted: &[u8]) -> Option<Vec<u8>> {
    let pkcs1 = rfc_7515();
    let mut reader = der::Reader::new(der::whole(&pkcs1, der::SEQUENCE).unwrap());
    let numbers: Vec<BoxedUint> = (0..4)
        .map(|_| BoxedUint::from_be_slice_vartime(reader.take(der::INTEGER).unwrap()).resize(2048))
        .collect();
    let [_, n, _, d] = numbers.try_into().unwrap();
    let message = BoxedUint::from_be_slice(encrypted, 2048).unwrap();
    let padded = message.pow_mod(&d, &Odd::new(n).unwrap()).to_be_bytes();
    let (zero, rest) = padded.split_first().unwrap();
    let (seed, block) = rest.split_at(HASH_BYTES);
    let (mut seed, mut block) = (seed.to_vec(), block.to_vec());
    mask(&mut seed, &block);
    mask(&mut block, &seed);
    let (label, rest) = block.split_at(HASH_BYTES);
    let at = rest.iter().position(|byte| *byte != 0)?;
    (*zero == 0 && label == mac::sha256([]) && rest[at] == 1).then(|| rest[at + 1..].to_vec())
}

fn rsa_recipient() -> PublicJwk {
    let key = PrivateKey::from_bytes(SigningAlgorithm::Rs256, &rfc_7515()).unwrap();
    parse(&key.public_jwk())
}

/// The other side of an agreement: a key that can be used once.
fn ec_recipient() -> (EphemeralPrivateKey, PublicJwk) {
    let key = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
    let public: PublicKey = key.compute_public_key().unwrap();
    (key, PublicJwk::P256(P256Public::from_point(public.as_ref()).unwrap()))
}

fn seal(plaintext: &[u8], key: &PublicJwk) -> Result<String, JweError> {
    let algorithm = KeyManagement::ALL.into_iter().find(|algorithm| algorithm.fits(key));
    encrypt(plaintext, &registered(key, None), algorithm.unwrap_or(KeyManagement::EcdhEs), None)
}

/// The key as a client registers it.
fn registered(key: &PublicJwk, kid: Option<&str>) -> ClientKey {
    let mut jwk = Value::Object(key.to_json());
    if let Some(kid) = kid {
        jwk["kid"] = kid.into();
    }
    let keys = ClientKeys::from_value(&serde_json::json!({ "keys": [jwk] })).unwrap();
    keys.keys()[0].clone()
}

/// RFC 7518 appendix C.
#[test]
fn the_derivation_matches_rfc_7518_appendix_c() {
    let shared = [
        158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218,
        128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
    ];
    let key = concat_kdf(&shared, "A128GCM", b"Alice", b"Bob", 16);
    assert_eq!(BASE64URL_NOPAD.encode(&key), "VqqN6vgjbSBcIijNcacQGg");
}

#[test]
fn mgf1_gives_its_known_bytes() {
    let mut data = [0; 50];
    mask(&mut data, b"bar");
    assert_eq!(
        HEXLOWER.encode(&data),
        "382576a7841021cc28fc4c0948753fb8312090cea942ea4c4e735d10dc724b155f9f6069f289d61daca0cb814502ef04eae1"
    );
}

/// The key pair and the decryption of these tests read what another implementation (the Python package
/// `cryptography`) encrypted, so what they read of ours means something.
#[test]
fn a_message_made_elsewhere_is_read() {
    let token = concat!(
        "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIn0.mzSQRNeepKTYFzh9u_vXRZhyfZBMywIjlurLd2QfjydtFef_",
        "1Q_w_Yg0sAzu5fpJQnpP-op5ySLvJzkdMxvQXvC2U68jSlMnu2hJFsqOBIfWdpxuFnA8vlCq1slC-rZSQgqJevVEhEOwBOcZJDf3",
        "tZ_jyOByGmrYGVoCeFUXhr4XqR8XwJY1KN_v_0osgKcjqH76f4LdVlerqaZGTwwHwgyNf6NAhxZz5i-KLfucnZc8wWl_KM5tZvMo",
        "fIM0TKpQ0uZP7hePNGU6kDdJXr5VJd-ub0A1ImUt2qcOv9H4pxJfU4crJpKBL-WWlsevYcv-CLuDyZsL6z6aCiM4uGSaOg.w-b_D",
        "bd4Z7Oh2_Ja.IHWwKIbSHLV20W7gyTU.qULi07dfmS_fy_JbMY6PPg"
    );
    let key = unwrap_rsa(&open(token).1[0]).unwrap();
    assert_eq!(decrypt_content(&key, token).unwrap(), b"made elsewhere");
}

#[test]
fn what_is_encrypted_to_an_rsa_key_is_read_with_it() {
    let key = rsa_recipient();
    for plaintext in [&b""[..], b"x", &[7; 5000]] {
        let token = encrypt(plaintext, &registered(&key, Some("k1")), KeyManagement::RsaOaep256, Some("JWT"))
            .unwrap();
        let (header, [wrapped, iv, text, tag], _) = open(&token);
        let expected =
            serde_json::json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k1", "cty": "JWT" });
        assert_eq!(Value::Object(header), expected);
        assert_eq!((wrapped.len(), iv.len(), text.len(), tag.len()), (256, 12, plaintext.len(), 16));
        let key = unwrap_rsa(&wrapped).unwrap();
        assert_eq!(key.len(), 32);
        assert_eq!(decrypt_content(&key, &token).unwrap(), plaintext);
        // The header is sealed with the content.
        let forged = token.replacen(token.split('.').next().unwrap(), "e30", 1);
        assert_eq!(decrypt_content(&key, &forged), None);
    }
}

#[test]
fn what_is_encrypted_to_a_p256_key_is_read_with_it() {
    let (private, key) = ec_recipient();
    let token = seal(b"hello", &key).unwrap();
    let (header, [wrapped, ..], _) = open(&token);
    let mut names: Vec<&str> = header.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "enc", "epk"]);
    assert_eq!((&header["alg"], &header["enc"]), (&"ECDH-ES".into(), &"A256GCM".into()));
    assert!(wrapped.is_empty(), "the key is agreed upon, not sent");
    let PublicJwk::P256(sent) = parse(&header["epk"]) else { panic!() };
    let peer = UnparsedPublicKey::new(&ECDH_P256, sent.0);
    let key = agree_ephemeral(private, &peer, |shared| concat_kdf(shared, "A256GCM", b"", b"", 32)).unwrap();
    assert_eq!(decrypt_content(&key, &token).unwrap(), b"hello");
}

#[test]
fn no_message_is_encrypted_twice_the_same() {
    for key in [rsa_recipient(), ec_recipient().1] {
        let [one, two] = [(); 2].map(|()| seal(b"same", &key).unwrap());
        let ((_, one, _), (_, two, _)) = (open(&one), open(&two));
        for part in 1..4 {
            assert_ne!(one[part], two[part]);
        }
    }
}

/// TOK-14
#[test]
fn the_plaintext_is_bounded_and_the_key_must_fit() {
    let key = parse(&rsa());
    assert!(seal(&vec![0; MAX_PLAINTEXT], &key).is_ok());
    assert_eq!(seal(&vec![0; MAX_PLAINTEXT + 1], &key), Err(JweError::TooLong));
    assert_eq!(seal(b"x", &parse(&okp())), Err(JweError::WrongKey));
    assert!(seal(b"x", &parse(&ec())).is_ok());
    let other = encrypt(b"x", &registered(&parse(&ec()), None), KeyManagement::RsaOaep256, None);
    assert_eq!(other, Err(JweError::WrongKey));
    let other = encrypt(b"x", &registered(&key, None), KeyManagement::EcdhEs, None);
    assert_eq!(other, Err(JweError::WrongKey));
    for error in [JweError::TooLong, JweError::WrongKey, JweError::Failed] {
        assert!(error.to_string().ends_with('.'));
    }
}

#[test]
fn keys_whose_length_is_no_whole_number_of_limbs_work() {
    for bits in [2048_usize, 2049, 2055, 2056, 2057, 3000, 3072, 4096] {
        let length = bits.div_ceil(8);
        let mut n = vec![0x5b; length];
        n[0] = 1 << ((bits - 1) % 8);
        n[length - 1] = 0xff;
        let key = RsaPublic::new(n.clone(), vec![1, 0, 1]).unwrap();
        assert_eq!(raw_rsa(&key, &n), None, "not below the modulus");
        let mut two = vec![0; length];
        two[length - 1] = 2;
        // 2^65537 mod n, once more by squaring.
        let power = raw_rsa(&key, &two).unwrap();
        let width = u32::try_from(length * 8).unwrap();
        let modulus = NonZero::new(BoxedUint::from_be_slice(&n, width).unwrap()).unwrap();
        let mut expected = BoxedUint::from_be_slice(&two, width).unwrap();
        for _ in 0..16 {
            expected = expected.square_mod(&modulus);
        }
        let expected = expected.mul_mod(&BoxedUint::from_be_slice(&two, width).unwrap(), &modulus);
        assert_eq!(BoxedUint::from_be_slice(&power, width).unwrap(), expected, "{bits}");
        let wrapped = wrap(&key).unwrap();
        assert_eq!(wrapped.encrypted.len(), length);
    }
}

#[test]
fn oaep_has_its_shape_and_its_limit() {
    let padded = oaep(&[9; 32], &[3; 32], 256).unwrap();
    assert_eq!((padded.len(), padded[0]), (256, 0));
    assert!(oaep(&[9; 190], &[3; 32], 256).is_some());
    assert!(oaep(&[9; 191], &[3; 32], 256).is_none());
}

#[test]
fn algorithms_are_named_exactly() {
    for algorithm in KeyManagement::ALL {
        assert_eq!(KeyManagement::parse(algorithm.as_str()), Some(algorithm));
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
    }
    for name in ["", "RSA1_5", "RSA-OAEP", "dir", "PBES2-HS256+A128KW", "ECDH-ES+A256KW", "A256KW", "ecdh-es"]
    {
        assert_eq!(KeyManagement::parse(name), None, "{name}");
    }
}
