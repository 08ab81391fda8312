use serde_json::json;

use super::*;
use crate::crypto::client_jws::tests::Client;

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://door.example.org/oauth2/token";
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
/// SHA-256 of `TOKEN`, RFC 9449 section 7.1.
const HASH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";

fn expected() -> ExpectedProof<'static> {
    ExpectedProof { method: "POST", url: URL, access_token: None, now: Timestamp::from_secs(NOW) }
}

fn with_token() -> ExpectedProof<'static> {
    ExpectedProof { access_token: Some(TOKEN), ..expected() }
}

fn claims() -> Value {
    json!({ "jti": "j", "htm": "POST", "htu": URL, "iat": NOW, "ath": HASH })
}

fn header(client: &Client, algorithm: ClientAlgorithm) -> Value {
    json!({ "typ": "dpop+jwt", "alg": algorithm.as_str(), "jwk": client.jwk(algorithm) })
}

fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    object[name] = value.into();
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

#[test]
fn the_proof_of_rfc_9449_section_4_1_verifies() {
    let proof = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs",
        "cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2",
        "In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2V",
        "uIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37x",
        "RZT3Lg"
    );
    let now = Timestamp::from_secs(1_562_262_618);
    let expected = ExpectedProof { url: "https://server.example.com/token", now, ..expected() };
    let found = verify_proof(proof, &expected).unwrap();
    assert_eq!(found.jkt, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!((found.jti.as_str(), found.nonce), ("-BwC3ESc6acc2lTc", None));
    assert_eq!(found.iat, Timestamp::from_secs(1_562_262_616));
}

#[test]
fn every_allowed_algorithm_verifies_and_names_its_key() {
    let client = Client::new();
    for algorithm in ALGORITHMS {
        let header = header(&client, algorithm);
        let proof = client.token(algorithm, &header, &claims());
        let found = verify_proof(&proof, &with_token()).unwrap();
        let key = PublicJwk::parse(header["jwk"].as_object().unwrap()).unwrap();
        assert_eq!(found.jkt, key.thumbprint());
    }
}

#[test]
fn headers_that_are_wrong_are_refused() {
    use ProofError::{BadKey, Malformed, WrongAlgorithm, WrongType};
    let client = Client::new();
    let (rs, es, ed) = (ClientAlgorithm::Rs256, ClientAlgorithm::Es256, ClientAlgorithm::EdDsa);
    let good = header(&client, es);
    let mut small_order = [0; 32];
    small_order[0] = 1;
    let small_order = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL_NOPAD.encode(&small_order) });
    for (header, error) in [
        (without(good.clone(), "typ"), WrongType),
        (with(good.clone(), "typ", "JWT"), WrongType),
        (with(good.clone(), "typ", "DPoP+jwt"), WrongType),
        (with(good.clone(), "typ", "at+jwt"), WrongType),
        (with(good.clone(), "typ", 1), Malformed),
        (without(good.clone(), "alg"), WrongAlgorithm),
        (with(good.clone(), "alg", "none"), WrongAlgorithm),
        (with(good.clone(), "alg", "HS256"), WrongAlgorithm),
        (with(good.clone(), "alg", "RS256"), WrongAlgorithm),
        (header(&client, rs), WrongAlgorithm),
        (with(good.clone(), "alg", "ES384"), WrongAlgorithm),
        (with(good.clone(), "alg", "EdDSA"), WrongAlgorithm),
        (with(good.clone(), "alg", "PS256"), WrongAlgorithm),
        (with(good.clone(), "alg", json!(null)), Malformed),
        (without(good.clone(), "jwk"), BadKey),
        (with(good.clone(), "jwk", "https://evil.example/key"), BadKey),
        (with(good.clone(), "jwk", json!({})), BadKey),
        (with(good.clone(), "jwk", json!([client.jwk(es)])), BadKey),
        (with(good.clone(), "jwk", with(client.jwk(es), "d", "AQ")), BadKey),
        (with(good.clone(), "jwk", json!({ "kty": "oct", "k": "AQ" })), BadKey),
        (with(good.clone(), "jwk", without(client.jwk(es), "y")), BadKey),
        (with(good.clone(), "jwk", with(client.jwk(es), "y", "AQ")), BadKey),
        (with(with(good.clone(), "jwk", small_order), "alg", "EdDSA"), BadKey),
        (with(good.clone(), "crit", json!(["jwk"])), Malformed),
        (with(good.clone(), "jku", "https://evil.example"), Malformed),
        (with(good.clone(), "x5c", json!([])), Malformed),
        (with(good.clone(), "x5u", "https://evil.example"), Malformed),
        (with(good.clone(), "b64", false), Malformed),
        (with(good.clone(), "zip", "DEF"), Malformed),
        (with(good.clone(), "enc", "A256GCM"), Malformed),
        (with(good.clone(), "kid", 1), Malformed),
        (with(good.clone(), "jwk", client.jwk(ed)), WrongAlgorithm),
    ] {
        let signer = if header["alg"] == "RS256" { rs } else { es };
        let proof = client.token(signer, &header, &claims());
        assert_eq!(verify_proof(&proof, &with_token()), Err(error), "{header}");
        assert!(error.to_string().ends_with('.'));
    }
    let named = client.token(es, &with(good.clone(), "kid", "my key"), &claims());
    assert!(verify_proof(&named, &with_token()).is_ok(), "a name is tolerated");
    let more = client.token(es, &with(good, "tx_id", 1_800_003_600), &claims());
    assert!(verify_proof(&more, &with_token()).is_ok(), "RFC 9449 section 4.2: others are passed over");
}

#[test]
fn signatures_of_other_keys_are_refused() {
    let (client, thief) = (Client::new(), Client::new());
    for algorithm in [ClientAlgorithm::Es256, ClientAlgorithm::EdDsa] {
        let stolen = thief.token(algorithm, &header(&client, algorithm), &claims());
        assert_eq!(verify_proof(&stolen, &with_token()), Err(ProofError::BadSignature));
    }
    let algorithm = ClientAlgorithm::Es256;
    let good = client.token(algorithm, &header(&client, algorithm), &claims());
    let (message, _) = good.rsplit_once('.').unwrap();
    assert_eq!(verify_proof(&format!("{message}."), &with_token()), Err(ProofError::BadSignature));
    for at in (0..good.len()).step_by(5) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(verify_proof(std::str::from_utf8(&bytes).unwrap(), &with_token()).is_err());
    }
    for text in ["", ".", "..", "a.b.c", &good[1..], &format!("{good}, {good}"), &format!("{good}=")] {
        assert!(verify_proof(text, &with_token()).is_err(), "{text}");
    }
    let doubled = r#"{"jti":"j","jti":"k"}"#;
    let proof = client.text(algorithm, &header(&client, algorithm).to_string(), doubled);
    assert_eq!(verify_proof(&proof, &expected()), Err(ProofError::Malformed));
}

/// The rows of the conformance suite's negative tests that a proof alone decides.
#[test]
fn claims_that_are_wrong_are_refused() {
    use ProofError::{MissingClaim, OutOfTime, WrongMethod, WrongToken, WrongUrl};
    let client = Client::new();
    let algorithm = ClientAlgorithm::EdDsa;
    for (claims, error) in [
        (without(claims(), "jti"), MissingClaim),
        (with(claims(), "jti", ""), MissingClaim),
        (with(claims(), "jti", 1), MissingClaim),
        (with(claims(), "jti", "j".repeat(257)), MissingClaim),
        (without(claims(), "htm"), MissingClaim),
        (with(claims(), "htm", "GET"), WrongMethod),
        (with(claims(), "htm", "post"), WrongMethod),
        (with(claims(), "htm", ""), WrongMethod),
        (with(claims(), "htm", json!(["POST"])), MissingClaim),
        (without(claims(), "htu"), MissingClaim),
        (with(claims(), "htu", ""), WrongUrl),
        (with(claims(), "htu", "/oauth2/token"), WrongUrl),
        (with(claims(), "htu", "http://door.example.org/oauth2/token"), WrongUrl),
        (with(claims(), "htu", "https://door.example.org:8443/oauth2/token"), WrongUrl),
        (with(claims(), "htu", "https://door.example.org.evil.example/oauth2/token"), WrongUrl),
        (with(claims(), "htu", "https://user@door.example.org/oauth2/token"), WrongUrl),
        (with(claims(), "htu", "https://door.example.org/oauth2/Token"), WrongUrl),
        (with(claims(), "htu", "https://door.example.org/oauth2/token/"), WrongUrl),
        (with(claims(), "htu", "https://door.example.org/oauth2/par"), WrongUrl),
        (with(claims(), "htu", "https://door.example.org"), WrongUrl),
        (without(claims(), "iat"), MissingClaim),
        (with(claims(), "iat", NOW.to_string()), MissingClaim),
        (with(claims(), "iat", -1), MissingClaim),
        (with(claims(), "iat", NOW - 61), OutOfTime),
        (with(claims(), "iat", NOW - 3600), OutOfTime),
        (with(claims(), "iat", NOW + 16), OutOfTime),
        (with(claims(), "iat", NOW + 3600), OutOfTime),
        (with(claims(), "iat", u64::MAX), OutOfTime),
        (without(claims(), "ath"), WrongToken),
        (with(claims(), "ath", ""), WrongToken),
        (with(claims(), "ath", format!("{HASH}=")), WrongToken),
        (with(claims(), "ath", BASE64URL_NOPAD.encode(&mac::sha256("another token"))), WrongToken),
        (with(claims(), "ath", TOKEN), WrongToken),
        (with(claims(), "ath", json!(null)), WrongToken),
    ] {
        let proof = client.token(algorithm, &header(&client, algorithm), &claims);
        assert_eq!(verify_proof(&proof, &with_token()), Err(error), "{claims}");
        assert!(error.to_string().ends_with('.'));
    }
}

#[test]
fn what_the_standard_leaves_free_is_accepted() {
    let client = Client::new();
    let algorithm = ClientAlgorithm::Ps256;
    for claims in [
        claims(),
        with(claims(), "htu", "HTTPS://DOOR.example.org/oauth2/token"),
        with(claims(), "htu", "https://door.example.org:443/oauth2/token"),
        with(claims(), "htu", "https://door.example.org/oauth2/token?a=b&c"),
        with(claims(), "htu", "https://door.example.org/oauth2/token#part"),
        with(claims(), "htu", "https://door.example.org/x/../oauth2/./token"),
        with(claims(), "iat", NOW - 60),
        with(claims(), "iat", NOW - 10),
        with(claims(), "iat", NOW + 10),
        with(claims(), "nbf", NOW + 3600),
        with(claims(), "exp", NOW - 3600),
        with(claims(), "more", json!({ "a": [1, 2] })),
        with(claims(), "jti", "j".repeat(256)),
        with(claims(), "nonce", "n"),
    ] {
        let proof = client.token(algorithm, &header(&client, algorithm), &claims);
        let found = verify_proof(&proof, &with_token()).unwrap();
        assert_eq!(found.nonce.as_deref(), claims.get("nonce").and_then(Value::as_str));
    }
    // Where no token comes along, a hash says nothing.
    for claims in [claims(), without(claims(), "ath"), with(claims(), "ath", "x")] {
        let proof = client.token(algorithm, &header(&client, algorithm), &claims);
        assert!(verify_proof(&proof, &expected()).is_ok());
    }
    let proof = client.token(algorithm, &header(&client, algorithm), &claims());
    for url in ["https://door.example.org/oauth2/token?x=1", "https://Door.Example.org:443/oauth2/token"] {
        assert!(verify_proof(&proof, &ExpectedProof { url, ..expected() }).is_ok());
    }
}

#[test]
fn the_nonce_of_a_proof_is_told_as_it_is() {
    let client = Client::new();
    let algorithm = ClientAlgorithm::EdDsa;
    for (claims, nonce) in [
        (with(claims(), "nonce", "n1"), Some("n1")),
        (with(claims(), "nonce", ""), Some("")),
        (with(claims(), "nonce", 1), None),
        (claims(), None),
    ] {
        let proof = client.token(algorithm, &header(&client, algorithm), &claims);
        assert_eq!(verify_proof(&proof, &expected()).unwrap().nonce.as_deref(), nonce);
    }
}
