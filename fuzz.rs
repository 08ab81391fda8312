
/// What a browser says of a passkey: nothing passes that the passkey did not sign, and what is kept of a new one stands
/// in what was sent (PK-02, PK-04, PK-08).
fn passkey(bytes: &[u8]) {
    let (challenge, origin, rp_id) = ([0; 16], "https://auth.example.org", "auth.example.org");
    let expected = webauthn::Expected { challenge: &challenge, origin, rp_id };
    let client_data = |ceremony: &str| {
        let challenge = BASE64URL_NOPAD.encode(&challenge);
        format!(r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
            .into_bytes()
    };
    let (create, get) = (client_data("webauthn.create"), client_data("webauthn.get"));
    let present = [sha256(rp_id).as_slice(), &[1], &[0; 4]].concat();
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    // As an attestation object.
    if let Ok(new) = webauthn::verify_registration(&create, bytes, &expected) {
        assert!((1..=webauthn::LONGEST_CREDENTIAL_ID).contains(&new.id.len()) && new.key.len() <= 1024);
        assert!(holds(&sha256(rp_id)) && holds(&new.id) && holds(&new.key));
        assert!(!new.report.is_backed_up || new.report.is_backup_eligible);
        assert!(webauthn::verify_registration(&get, bytes, &expected).is_err(), "a sign-in is no registration");
        assert!(webauthn::verify_assertion(&get, &present, bytes, &new.key, &expected).is_err());
    }
    // As what an authenticator says and signs with the key of seed 7.
    let signer = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let head = [0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32];
    let key = [head.as_slice(), signer.verifying_key().as_bytes()].concat();
    let sign = |data: &[u8], client: &[u8]| signer.sign(&[data, &sha256(client)].concat()).to_bytes();
    let signature = sign(bytes, &get);
    if let Ok(report) = webauthn::verify_assertion(&get, bytes, &signature, &key, &expected) {
        assert!(bytes.starts_with(&sha256(rp_id)) && bytes[32] & 1 == 1);
        assert_eq!(report.is_user_verified, bytes[32] & 4 != 0);
        assert_eq!(report.counter.to_be_bytes(), bytes[33..37]);
        assert!(webauthn::verify_assertion(&create, bytes, &sign(bytes, &create), &key, &expected).is_err());
    }
    // As client data.
    let _ = webauthn::unverified_challenge(bytes);
    if webauthn::verify_assertion(bytes, &present, &sign(&present, bytes), &key, &expected).is_ok() {
        let said: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!((said["type"].as_str(), said["origin"].as_str()), (Some("webauthn.get"), Some(origin)));
        assert!(said.get("topOrigin").is_none() && said["crossOrigin"] != true);
    }
    // As a signature, and as a key.
    assert!(webauthn::verify_assertion(&get, &present, bytes, &key, &expected).is_err(), "nobody signed");
    assert!(webauthn::verify_assertion(&get, &present, &[0; 64], bytes, &expected).is_err());
}
