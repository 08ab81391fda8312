//! Forged, twisted and misplaced access tokens over real HTTP: at `POST /api/v1/auth/validate` and as a bearer of a
//! route. Each must be refused with the right code; one signed the right way must pass.

use data_encoding::{BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use doorward::accounts::records::Role;
use doorward::crypto::jws::SigningKey;
use doorward::crypto::key_ring::{KeyRing, RingKey, RingKeyRecord};
use doorward::kernel::time::Clock;
use doorward::store::{Record, Table};
use ed25519_dalek::Signer;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::harness::{ORIGIN, Server};

/// The signing key as the store has it; only a test takes it out.
#[derive(Clone, Serialize, Deserialize)]
struct KeyRow(RingKeyRecord);

impl Record for KeyRow {
    const TABLE: Table = Table::SIGNING_KEY;
    const VERSION: u8 = 1;
}

/// A server, one honest token, and the means to forge.
struct Forge {
    server: Server,
    seed: [u8; 32],
    kid: String,
    honest: String,
    claims: Map<String, Value>,
}

impl Forge {
    fn new() -> Forge {
        let server = Server::start_with(|options| options.api_rule.limit = 1_000_000);
        let ada = server.add_bare_user("ada", Role::Admin);
        let honest = server.access_token(ada);
        let rows = server.app().store().scan::<KeyRow>(&[], None, 100).unwrap();
        let ring = KeyRing::new(rows.iter().map(|(_, row)| RingKey::from_record(&row.value.0)).collect());
        let key: &SigningKey = ring.signing_key(server.clock.now()).unwrap();
        let (seed, kid) = (*key.expose_seed(), key.kid().to_owned());
        let payload = BASE64URL_NOPAD.decode(honest.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let claims = serde_json::from_slice(&payload).unwrap();
        Forge { server, seed, kid, honest, claims }
    }

    fn now(&self) -> u64 {
        self.server.clock.now().as_secs()
    }

    fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": self.kid})
    }

    fn key(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.seed)
    }

    /// Signs any two texts with the real key.
    fn sign_raw(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(payload));
        let signature = self.key().sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn sign(&self, header: &Value, claims: &Map<String, Value>) -> String {
        self.sign_raw(header.to_string().as_bytes(), Value::Object(claims.clone()).to_string().as_bytes())
    }

    /// An honest header with something added or changed.
    fn with_header(&self, change: Value) -> String {
        let mut header = self.header();
        for (name, value) in change.as_object().unwrap() {
            header[name] = value.clone();
        }
        self.sign(&header, &self.claims)
    }

    /// Honest claims with some changed; `null` takes one away.
    fn with_claims(&self, change: Value) -> String {
        let mut claims = self.claims.clone();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        self.sign(&self.header(), &claims)
    }

    /// Asks both doors and returns the code of the refusal, or `active`.
    #[track_caller]
    fn ask(&self, token: &str) -> String {
        let answer =
            self.server.client().post("/api/v1/auth/validate", json!({"token": token})).expect(200).json();
        let code = match answer["active"].as_bool() {
            Some(true) => "active".to_owned(),
            _ => answer["code"].as_str().unwrap().to_owned(),
        };
        // What cannot stand in a header, or would arrive there trimmed, is not asked there.
        let is_plain = !token.is_empty()
            && token.trim() == token
            && token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !is_plain || token.len() > 20_000 {
            return code;
        }
        let mut client = self.server.client().with_bearer(token);
        let bearer = client.post("/api/v1/auth/step-up", json!({}));
        if code == "active" {
            assert_eq!(bearer.expect(422).code(), "missing_field");
        } else {
            let bearer = bearer.expect(401);
            assert_eq!(
                bearer.header("www-authenticate"),
                Some("Bearer error=\"invalid_token\""),
                "{token:?}"
            );
            assert_eq!(bearer.code(), code, "both doors say the same: {token}");
        }
        code
    }

    #[track_caller]
    fn refuses(&self, what: &str, token: &str, code: &str) {
        assert_eq!(self.ask(token), code, "{what}: {token}");
    }
}

const MALFORMED: &str = "token_malformed";
const SIGNATURE: &str = "token_bad_signature";
const CLAIMS: &str = "token_invalid_claims";
const EXPIRED: &str = "token_expired";

/// The control: without it the refusals below would prove nothing.
#[test]
fn a_token_signed_the_right_way_passes() {
    let forge = Forge::new();
    assert_eq!(forge.ask(&forge.honest), "active");
    assert_eq!(forge.ask(&forge.with_claims(json!({"jti": "another"}))), "active");
    assert_eq!(forge.ask(&forge.with_claims(json!({"nbf": forge.now()}))), "active");
    assert_eq!(
        forge.ask(&forge.with_claims(json!({"iat": forge.now() - 1700, "exp": forge.now() + 100}))),
        "active"
    );
}

/// TOK-01: one algorithm, whatever the header asks for.
#[test]
fn other_algorithms_are_refused() {
    let forge = Forge::new();
    for algorithm in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES256K",
        "ES512",
        "Ed25519",
        "Ed448",
        "eddsa",
        "EDDSA",
        "EdDSA ",
        " EdDSA",
        "EdDSA\u{0}",
        "",
    ] {
        let header = json!({"typ": "at+jwt", "alg": algorithm, "kid": forge.kid});
        forge.refuses(algorithm, &forge.sign(&header, &forge.claims), MALFORMED);
        let unsigned = forge.sign(&header, &forge.claims);
        let unsigned = &unsigned[..unsigned.rfind('.').unwrap()];
        forge.refuses(algorithm, &format!("{unsigned}."), MALFORMED);
        forge.refuses(algorithm, unsigned, MALFORMED);
    }
    for alg in [json!(null), json!(1), json!(["EdDSA"]), json!({"alg": "EdDSA"}), json!(true)] {
        forge.refuses("alg", &forge.with_header(json!({"alg": alg})), MALFORMED);
    }
    // The public key as the secret of an HMAC, in every spelling that a library might take it in.
    let public = forge.key().verifying_key().to_bytes();
    let jwk = forge.server.app().sessions.tokens().public_keys().to_string();
    for secret in [public.to_vec(), BASE64URL_NOPAD.encode(&public).into_bytes(), jwk.into_bytes()] {
        let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": forge.kid});
        let signed = forge.sign(&header, &forge.claims);
        let signed = &signed[..signed.rfind('.').unwrap()];
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&secret).unwrap();
        mac.update(signed.as_bytes());
        let tag = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
        forge.refuses("HS256 with the public key", &format!("{signed}.{tag}"), MALFORMED);
        // And under an honest header.
        let honest = &forge.honest[..forge.honest.rfind('.').unwrap()];
        forge.refuses("an HMAC under EdDSA", &format!("{honest}.{tag}"), SIGNATURE);
    }
}

/// TOK-02, TOK-03: nothing in a token names a key but the exact `kid`, and nothing else may stand in a header.
#[test]
fn headers_that_bring_a_key_or_a_condition_are_refused() {
    let forge = Forge::new();
    let own = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let x = BASE64URL_NOPAD.encode(own.verifying_key().as_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA"});
    for extra in [
        json!({"jwk": jwk}),
        json!({"jku": "http://127.0.0.1:9/keys"}),
        json!({"x5u": "http://127.0.0.1:9/cert"}),
        json!({"x5c": ["MIIB"]}),
        json!({"x5t": "AAAA"}),
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"zip": "DEF"}),
        json!({"cty": "JWT"}),
        json!({"enc": "A256GCM"}),
        json!({"iss": ORIGIN}),
        json!({"kid ": "x"}),
    ] {
        forge.refuses("extra header", &forge.with_header(extra), MALFORMED);
    }
    // Signed with a key of one's own that is sent along.
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": forge.kid, "jwk": jwk}).to_string();
    let payload = Value::Object(forge.claims.clone()).to_string();
    let by_own_key = |header: &str| {
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(header.as_bytes()),
            BASE64URL_NOPAD.encode(payload.as_bytes())
        );
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&own.sign(signed.as_bytes()).to_bytes()))
    };
    forge.refuses("own key", &by_own_key(&header), MALFORMED);
    forge.refuses("own key, our kid", &by_own_key(&forge.header().to_string()), SIGNATURE);
    let own_kid = SigningKey::from_seed(&[3; 32]).kid().to_owned();
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": own_kid}).to_string();
    forge.refuses("own key, own kid", &by_own_key(&header), SIGNATURE);
    for (kid, code) in [
        (json!(""), MALFORMED),
        (json!("../../../../dev/null"), MALFORMED),
        (json!("' OR 1=1 --"), MALFORMED),
        (json!("a".repeat(65)), MALFORMED),
        (json!("unknown"), SIGNATURE),
        (json!(format!("{}A", forge.kid)), SIGNATURE),
        (json!(forge.kid[1..]), SIGNATURE),
        (json!(forge.kid.to_lowercase()), SIGNATURE),
        (json!([forge.kid]), MALFORMED),
        (json!(1), MALFORMED),
        (json!(null), MALFORMED),
    ] {
        forge.refuses("kid", &forge.with_header(json!({"kid": kid})), code);
    }
    for gone in ["alg", "typ", "kid"] {
        let mut header = forge.header();
        header.as_object_mut().unwrap().remove(gone);
        forge.refuses(gone, &forge.sign(&header, &forge.claims), MALFORMED);
    }
}

/// TOK-04: kinds of tokens exclude each other.
#[test]
fn tokens_of_another_kind_are_refused() {
    let forge = Forge::new();
    for typ in [
        "JWT",
        "jwt",
        "id_token",
        "logout+jwt",
        "application/at+jwt",
        "AT+JWT",
        "at+JWT",
        "at+jwt ",
        "mfa+jwt",
        "refresh+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "",
    ] {
        forge.refuses(typ, &forge.with_header(json!({"typ": typ})), CLAIMS);
    }
    for typ in [json!(null), json!(1), json!(["at+jwt"])] {
        forge.refuses("typ", &forge.with_header(json!({"typ": typ})), MALFORMED);
    }
}

/// TOK-05: every claim is required, in its exact type and value.
#[test]
fn missing_and_twisted_claims_are_refused() {
    let forge = Forge::new();
    for name in ["iss", "aud", "sub", "exp", "iat", "jti", "sid", "client_id", "scope"] {
        forge.refuses(name, &forge.with_claims(json!({name: null})), CLAIMS);
        let text = forge.claims[name].clone();
        for wrong in [json!([text]), json!({"a": text}), json!(true), json!(1.5), json!(-1), json!("")] {
            forge.refuses(name, &forge.with_claims(json!({ name: wrong })), CLAIMS);
        }
        if let Some(text) = text.as_str() {
            for wrong in [format!("{text} "), format!(" {text}"), format!("{text}/"), format!("{text}\u{0}")]
            {
                if name != "jti" {
                    forge.refuses(name, &forge.with_claims(json!({ name: wrong })), CLAIMS);
                }
            }
        }
    }
    let api = format!("{ORIGIN}/api");
    for (name, value) in [
        ("aud", json!([api, "https://evil.example"])),
        ("aud", json!(ORIGIN)),
        ("aud", json!("forward-auth")),
        ("aud", json!("some-client")),
        ("aud", json!(5)),
        ("iss", json!([ORIGIN, "https://evil.example"])),
        ("iss", json!("https://localhost")),
        ("iss", json!("http://localhost:80")),
        ("iss", json!("http://LOCALHOST")),
        ("iss", json!("https://evil.example")),
        ("sub", json!("ada")),
        ("sub", json!("' OR ''='")),
        ("sid", json!("x")),
        ("client_id", json!("some-client")),
        ("scope", json!("account admin")),
        ("scope", json!("openid")),
    ] {
        forge.refuses(name, &forge.with_claims(json!({ name: value })), CLAIMS);
    }
    // Well-formed ids of nobody: the signature is ours, the session is not.
    let nobody = "AAAAAAAAAAAAAAAAAAAAAA";
    forge.refuses("sid", &forge.with_claims(json!({"sid": nobody})), "token_revoked");
}

/// The subject is not believed when it is not the owner of the session.
#[test]
fn the_subject_must_own_the_session() {
    let forge = Forge::new();
    let bob = forge.server.add_bare_user("bob", Role::Member).to_string();
    for sub in [bob.as_str(), "AAAAAAAAAAAAAAAAAAAAAA"] {
        let code = forge.ask(&forge.with_claims(json!({"sub": sub})));
        assert_eq!(code, CLAIMS, "{sub}");
    }
}

/// TOK-06: no token from the future, none without end, none past its time.
#[test]
fn times_are_checked_in_both_directions() {
    let forge = Forge::new();
    let now = forge.now();
    for (what, change, code) in [
        ("expired", json!({"iat": now - 100, "exp": now - 6}), EXPIRED),
        ("just expired", json!({"iat": now - 100, "exp": now}), EXPIRED),
        ("iat in the future", json!({"iat": now + 6, "exp": now + 100}), CLAIMS),
        ("iat far in the future", json!({"iat": now + 1_000_000, "exp": now + 1_000_100}), CLAIMS),
        ("nbf in the future", json!({"nbf": now + 6}), CLAIMS),
        ("nbf huge", json!({"nbf": u64::MAX}), CLAIMS),
        ("nbf text", json!({"nbf": now.to_string()}), CLAIMS),
        ("nbf float", json!({"nbf": 1.5}), CLAIMS),
        ("nbf negative", json!({"nbf": -1}), CLAIMS),
        ("nbf list", json!({"nbf": [now]}), CLAIMS),
        ("life too long", json!({"iat": now, "exp": now + 1801}), CLAIMS),
        ("life of a century", json!({"iat": now, "exp": now + 3_000_000_000_u64}), CLAIMS),
        ("exp huge", json!({"exp": u64::MAX}), CLAIMS),
        ("exp text", json!({"exp": (now + 100).to_string()}), CLAIMS),
        ("exp float", json!({"exp": 1_800_000_100.5}), CLAIMS),
        ("exp exponent", json!({"exp": 1.8e9}), CLAIMS),
        ("exp negative", json!({"exp": -1}), CLAIMS),
        ("exp zero", json!({"exp": 0}), CLAIMS),
        ("exp before iat", json!({"iat": now, "exp": now - 1}), CLAIMS),
        ("exp equals iat", json!({"iat": now, "exp": now}), CLAIMS),
        ("iat text", json!({"iat": now.to_string()}), CLAIMS),
        ("iat negative", json!({"iat": -5}), CLAIMS),
        ("iat huge", json!({"iat": u64::MAX}), CLAIMS),
        ("iat zero", json!({"iat": 0}), CLAIMS),
    ] {
        forge.refuses(what, &forge.with_claims(change), code);
    }
    let raw = |text: &str| {
        let mut claims = Value::Object(forge.claims.clone());
        claims["exp"] = json!("EXP");
        forge.sign_raw(
            forge.header().to_string().as_bytes(),
            claims.to_string().replace("\"EXP\"", text).as_bytes(),
        )
    };
    for text in ["1e400", "99999999999999999999999999", "0x7fffffff", "NaN", "Infinity", "01800000100", "+1"]
    {
        let code = forge.ask(&raw(text));
        assert!(code == MALFORMED || code == CLAIMS, "{text}: {code}");
    }
    // A token that was verified and remembered ends at the same moment.
    assert_eq!(forge.ask(&forge.honest), "active");
    forge.server.clock.advance(std::time::Duration::from_secs(1800));
    assert_eq!(forge.ask(&forge.honest), EXPIRED);
}

/// The order of the group of Ed25519, little-endian (RFC 8032 section 5.1).
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// TOK-10, RFC 8032 section 5.1.7: a signature has one form, and a key of small order opens nothing.
#[test]
fn twisted_signatures_are_refused() {
    let forge = Forge::new();
    let (signed, signature) = forge.honest.rsplit_once('.').unwrap();
    let signature: [u8; 64] = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap().try_into().unwrap();
    let with = |bytes: &[u8]| format!("{signed}.{}", BASE64URL_NOPAD.encode(bytes));
    // S + L is the same scalar to whoever forgets to look.
    let mut added = signature;
    let mut carry = 0_u16;
    for (byte, add) in added[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    forge.refuses("S + L", &with(&added), SIGNATURE);
    for bit in [0, 7, 200, 255, 256, 300, 509, 510, 511] {
        let mut turned = signature;
        turned[bit / 8] ^= 1 << (bit % 8);
        forge.refuses("one bit", &with(&turned), SIGNATURE);
    }
    for length in [0, 1, 32, 63] {
        forge.refuses("short", &with(&signature[..length]), SIGNATURE);
    }
    forge.refuses("long", &with(&[signature.as_slice(), &[0]].concat()), SIGNATURE);
    forge.refuses("zeros", &with(&[0; 64]), SIGNATURE);
    forge.refuses("ones", &with(&[0xff; 64]), SIGNATURE);
    // R = the neutral element, S = 0: good for any message under a key of small order, if one takes such a key.
    let mut universal = [0; 64];
    universal[0] = 1;
    forge.refuses("universal", &with(&universal), SIGNATURE);
    for public in [[0_u8; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let kid = BASE64URL_NOPAD.encode(&doorward::crypto::mac::sha256(
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64URL_NOPAD.encode(&public))
                .as_bytes(),
        ));
        let token = forge.with_header(json!({ "kid": kid }));
        let (signed, _) = token.rsplit_once('.').unwrap();
        forge.refuses("small order", &format!("{signed}.{}", BASE64URL_NOPAD.encode(&universal)), SIGNATURE);
    }
}

/// TOK-10: a token that was accepted a moment ago lends its signature to no other text, wherever the two differ.
#[test]
fn a_verified_token_vouches_for_no_other_text_with_its_signature() {
    let forge = Forge::new();
    let (signed, signature) = forge.honest.rsplit_once('.').unwrap();
    let other_claims = forge.with_claims(json!({"jti": "another"}));
    let (other_signed, other_signature) = other_claims.rsplit_once('.').unwrap();
    let half = signature.len() / 2;
    let forgeries = [
        format!("{other_signed}.{signature}"),
        format!("{signed}.{}{}", &other_signature[..half], &signature[half..]),
        format!("{signed}.{}{}", &signature[..half], &other_signature[half..]),
    ];
    for round in ["before", "after"] {
        for forgery in &forgeries {
            forge.refuses(round, forgery, SIGNATURE);
        }
        assert_eq!(forge.ask(&forge.honest), "active");
        assert_eq!(forge.ask(&other_claims), "active");
    }
}

/// TOK-08: size, alphabet and number of segments come first; a token has one spelling.
#[test]
fn other_spellings_of_a_good_token_are_refused() {
    let forge = Forge::new();
    let honest = &forge.honest;
    let parts: Vec<&str> = honest.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three segments") };
    // The last character of 64 bytes carries four bits that mean nothing.
    let last = signature.chars().last().unwrap();
    let sloppy = char::from(last as u8 + 1);
    let mut trailing = honest.clone();
    trailing.pop();
    let standard = |segment: &str| BASE64_NOPAD.encode(&BASE64URL_NOPAD.decode(segment.as_bytes()).unwrap());
    let padded = |segment: &str| BASE64URL.encode(&BASE64URL_NOPAD.decode(segment.as_bytes()).unwrap());
    for (what, token) in [
        ("trailing bits", format!("{trailing}{sloppy}")),
        ("padding", format!("{honest}==")),
        ("padded segments", format!("{}.{}.{}", padded(header), padded(payload), padded(signature))),
        ("percent padding", format!("{honest}%3D%3D")),
        ("space after", format!("{honest} ")),
        ("space before the dot", format!("{header} .{payload}.{signature}")),
        ("newline", format!("{honest}\n")),
        ("newline inside", format!("{header}.\n{payload}.{signature}")),
        ("tab", format!("{header}.{payload}\t.{signature}")),
        ("NUL", format!("{honest}\u{0}")),
        ("no-break space", format!("{honest}\u{a0}")),
        ("four segments", format!("{honest}.")),
        ("four segments", format!("{honest}.{signature}")),
        ("five segments, as a JWE", format!("{header}.{payload}.{payload}.{payload}.{signature}")),
        ("two segments", format!("{header}.{payload}")),
        ("one segment", header.to_owned()),
        ("dots", "..".to_owned()),
        ("many dots", ".".repeat(5000)),
        ("empty", String::new()),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("quotes", format!("\"{honest}\"")),
        ("the word Bearer", format!("Bearer {honest}")),
        ("a list", format!("{honest},{honest}")),
        (
            "JSON form",
            format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
        ),
        ("oversized", format!("{header}.{}.{signature}", "A".repeat(9000))),
        ("standard alphabet", format!("{header}.{payload}.{}+/", &signature[..signature.len() - 2])),
    ] {
        forge.refuses(what, &token, MALFORMED);
    }
    let standard = format!("{}.{}.{}", standard(header), standard(payload), standard(signature));
    if standard != *honest {
        forge.refuses("standard alphabet", &standard, MALFORMED);
    }
    // An honest signature over an oversized token: the size comes first.
    let fat = forge.with_claims(json!({"jti": "x".repeat(9000)}));
    forge.refuses("oversized and signed", &fat, MALFORMED);
    for (what, token) in [
        ("upper case", honest.to_uppercase()),
        ("a segment swapped", format!("{payload}.{header}.{signature}")),
    ] {
        assert_ne!(forge.ask(&token), "active", "{what}");
    }
    assert_eq!(forge.ask(honest), "active");
}

/// TOK-05, INP-05: a name that stands twice has two readings, so it has none.
#[test]
fn ambiguous_json_is_refused() {
    let forge = Forge::new();
    let header = forge.header().to_string();
    let payload = Value::Object(forge.claims.clone()).to_string();
    let twice = |text: &str, extra: &str| format!("{{{extra},{}", &text[1..]);
    for (what, header, payload) in [
        ("alg twice", twice(&header, r#""alg":"none""#), payload.clone()),
        ("kid twice", twice(&header, r#""kid":"x""#), payload.clone()),
        ("alg twice, escaped", twice(&header, r#""\u0061lg":"none""#), payload.clone()),
        ("aud twice", header.clone(), twice(&payload, r#""aud":"https://evil.example""#)),
        ("aud twice, escaped", header.clone(), twice(&payload, r#""a\u0075d":"https://evil.example""#)),
        ("exp twice", header.clone(), twice(&payload, r#""exp":9999999999"#)),
        ("unknown twice", header.clone(), twice(&payload, r#""x":{"a":1,"a":2}"#)),
        ("trailing comma", header.clone(), payload.replace('}', ",}")),
        ("comment", header.clone(), payload.replace('{', "{/**/")),
        ("two documents", header.clone(), format!("{payload}{payload}")),
        ("BOM", header.clone(), format!("\u{feff}{payload}")),
        ("a list", header.clone(), format!("[{payload}]")),
        ("null", header.clone(), "null".to_owned()),
        ("text", header.clone(), "\"x\"".to_owned()),
        ("nothing", header.clone(), " ".to_owned()),
        ("no JSON", header.clone(), "iss=x".to_owned()),
        ("deep", header.clone(), format!("{}1{}", "[".repeat(2000), "]".repeat(2000))),
        ("header a list", format!("[{header}]"), payload.clone()),
        ("header null", "null".to_owned(), payload.clone()),
    ] {
        forge.refuses(what, &forge.sign_raw(header.as_bytes(), payload.as_bytes()), MALFORMED);
    }
    let mut bad = payload.clone().into_bytes();
    bad.insert(2, 0xff);
    forge.refuses("not UTF-8", &forge.sign_raw(header.as_bytes(), &bad), MALFORMED);
}

/// TOK-12, OTP-07, REF-11: whatever else Doorward gives out is no access token.
#[test]
fn other_secrets_of_ours_are_no_access_tokens() {
    let forge = Forge::new();
    let server = &forge.server;
    server.add_user("bob", Role::Member, &[]);
    let body = json!({"username": "bob", "password": crate::harness::PASSWORD});
    let answer = server.client().post("/api/v1/auth/login/api", body).expect(200).json();
    let bob = server.add_bare_user("carol", Role::Member);
    let web = server.web_session(bob);
    for secret in [answer["refresh_token"].as_str().unwrap(), &web.cookie, &web.app_cookie, &web.csrf] {
        forge.refuses("a secret of another kind", secret, MALFORMED);
    }
    // And an access token is none of them.
    let access = answer["access_token"].as_str().unwrap();
    server.client().post("/api/v1/auth/refresh/api", json!({"refresh_token": access})).expect(401);
    for name in ["dw", "dw_fa", "dw_pending", "dw_refresh"] {
        let mut client = server.client();
        client.cookies.push((name.to_owned(), access.to_owned()));
        client.post("/api/v1/auth/logout", json!({})).expect(401);
        client.post("/api/v1/auth/mfa/web", json!({"otp": "000000"})).expect(401);
        client.post("/api/v1/auth/refresh/web", json!({})).expect(401);
    }
}

/// TOK-15: a replacement that is on disk is in force, though nobody waits for it any more.
#[test]
fn a_replacement_holds_when_whoever_asked_is_gone() {
    let forge = Forge::new();
    let app = forge.server.app();
    assert_eq!(forge.ask(&forge.honest), "active");
    forge.server.block_on(async {
        {
            let mut replacing = std::pin::pin!(app.sessions.replace_keys(|_| {}));
            std::future::poll_fn(|cx| {
                let _ = replacing.as_mut().poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        let mut batch = app.store().batch();
        app.site.stage_set(&mut batch, doorward::site::Setting::InstanceName, "Later");
        app.store().commit(batch).await.unwrap();
    });
    forge.refuses("the old key is out of force", &forge.honest, SIGNATURE);
    let keys = app.sessions.tokens().public_keys();
    let kids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str()).collect();
    assert_eq!(kids.len(), 1);
    assert_ne!(kids, [Some(&*forge.kid)]);
}
