//! What is done with foreign bytes, and what must hold whatever they are. libFuzzer runs these functions
//! (`tests/fuzz/run`), and so does an ordinary test with the checked-in seeds.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use doorward::access::forward_auth::{self, Dialect, Inquiry, Question};
use doorward::access::{domain, rule_text};
use doorward::crypto::client_assertion::{self, Expected};
use doorward::crypto::client_jws::{ClientAlgorithm, unverified_issuer, verify_client};
use doorward::crypto::dpop::{self, ExpectedProof};
use doorward::crypto::foreign::ForeignHash;
use doorward::crypto::jwe::{self, KeyManagement};
use doorward::crypto::jwk::ClientKeys;
use doorward::crypto::jws;
use doorward::crypto::mac::sha256;
use doorward::crypto::webauthn;
use doorward::http::path::canonical;
use doorward::http::redirect::safe_return_target;
use doorward::http::{Client, RequestHeaders, SetCookie, TrustedProxies, cookies, form, json};
use doorward::import::{Found, MOST_USERS, Outcome, SourceFile, authelia, pocket_id, tinyauth};
use doorward::kernel::text::{DisplayName, Email, GroupName, Username};
use doorward::kernel::time::Timestamp;
use doorward::oidc::client_auth::read_basic;
use doorward::oidc::params::Params;
use doorward::oidc::request::{AuthorizationRequest, Destination};
use doorward::oidc::{self, ClientId, ClientSettings, redirect_uri};
use doorward::programs::header::{self as authorization_header, Authorization};
use doorward::store::export;
use ed25519_dalek::Signer;
use http::{HeaderName, HeaderValue, header};

/// The name of a target and its function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: &[Target] = &[
    ("cookie", cookie),
    ("token", token),
    ("json_body", json_body),
    ("form_body", form_body),
    ("forwarded_headers", forwarded_headers),
    ("app_request", app_request),
    ("ext_authz", ext_authz),
    ("redirect_target", redirect_target),
    ("path_normalisation", path_normalisation),
    ("rule_line", rule_line),
    ("names", names),
    ("export", export),
    ("client_assertion", client_assertion),
    ("dpop_proof", dpop_proof),
    ("jwks", jwks),
    ("authorize_query", authorize_query),
    ("token_form", token_form),
    ("redirect_matching", redirect_matching),
    ("import_files", import_files),
    ("authorization", authorization),
    ("passkey", passkey),
];

/// Runs the target of this name.
pub(crate) fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(other, _)| *other == name).expect("a target of this name");
    target(bytes);
}

/// Reads lines of `name: value` as a request head would hold them; what HTTP forbids is left out.
fn headers_of(bytes: &[u8]) -> RequestHeaders {
    let field = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    bytes.split(|byte| *byte == b'\n').take(40).filter_map(field).collect()
}

/// The `Authorization` header of an app's request: at most one reading of at most one header; what is taken for a name,
/// a password or a token stands in it, whole, and nothing else is taken for one.
fn authorization(bytes: &[u8]) {
    let values =
        bytes.split(|byte| *byte == b'\n').take(3).filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers: RequestHeaders = values.map(|value| (header::AUTHORIZATION, value)).collect();
    let count = headers.get_all(header::AUTHORIZATION).count();
    let text = headers.text(header::AUTHORIZATION).unwrap_or_default();
    let scheme = text.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    let decoded = || {
        let rest = text.split_once(' ').map_or("", |(_, rest)| rest.trim_matches(' '));
        let plain = rest.trim_end_matches('=');
        String::from_utf8(BASE64_NOPAD.decode(plain.as_bytes()).unwrap()).unwrap()
    };
    let found = authorization_header::read(&headers);
    match &found {
        Authorization::None => assert_eq!(count, 0),
        Authorization::Unknown => assert!(count > 0),
        _ => assert_eq!(count, 1),
    }
    match found {
        Authorization::None | Authorization::Unknown => {}
        Authorization::NoPassword => assert_eq!(scheme, "basic"),
        Authorization::Bearer(token) => {
            assert!(scheme == "bearer" && text.contains(token) && !token.starts_with("dwa_"));
        }
        Authorization::AppToken { token, name } => {
            assert!(token.expose().starts_with("dwa_"));
            if scheme == "bearer" {
                assert!(name.is_empty() && text.contains(token.expose().as_str()));
            } else {
                assert!(decoded().ends_with(&format!(":{}", token.expose())), "{name}");
            }
        }
        Authorization::Password { name, password } => {
            let (all, password) = (decoded(), password.expose());
            assert!(scheme == "basic" && !name.contains(':') && password.len() <= 1024);
            assert!(all.ends_with(&format!(":{password}")) && all.trim_start().starts_with(&name));
            assert!(!all.chars().any(char::is_control));
        }
    }
}

/// Cookies: one value of plain bytes or none; two of one name are refused (SES-11).
fn cookie(bytes: &[u8]) {
    let values = bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers: RequestHeaders = values.map(|value| (header::COOKIE, value)).collect();
    let ours: Vec<Vec<u8>> = headers
        .get_all(header::COOKIE)
        .flat_map(|line| line.split(|byte| *byte == b';').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .filter_map(|pair| pair.trim_ascii().strip_prefix(b"__Host-dw=").map(<[u8]>::to_vec))
        .collect();
    match cookies::find(&headers, "__Host-dw") {
        Ok(None) => assert!(ours.is_empty()),
        Ok(Some(value)) => {
            assert_eq!(ours, [value.as_bytes()]);
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)));
            let set = SetCookie::host_only("__Host-dw", value).to_header();
            assert_eq!(set, format!("__Host-dw={value}; Path=/; HttpOnly; Secure; SameSite=Lax"));
        }
        Err(_) => assert!(!ours.is_empty()),
    }
    let text = String::from_utf8_lossy(bytes);
    let set = SetCookie::host_only("dw", &text).to_header();
    assert_eq!(set.matches(';').count(), 4, "a value adds no attribute");
    assert!(set.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
    let _ = doorward::sessions::refresh_session(&text);
}

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LIFE: Duration = Duration::from_secs(1800);

/// Access tokens. A text that we did not sign never passes; header and claims of any kind, signed with our own key,
/// pass only in the one sound form (TOK-01 to TOK-08).
fn token(bytes: &[u8]) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let public = jws::SigningKey::from_seed(&[7; 32]);
    let expected = jws::Expected {
        typ: "at+jwt",
        issuer: "https://auth.example.org",
        audience: "https://auth.example.org/api",
        now: NOW,
        leeway: jws::LEEWAY,
        max_lifetime: LIFE,
    };
    let verify = |token: &str| {
        let find = |kid: &str| (kid == public.kid()).then(|| public.verifying_key());
        jws::verify::<serde_json::Map<String, serde_json::Value>>(token, find, &expected)
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(verify(text).is_err(), "nobody can sign with our key");
    }
    // `%KID%` lets the fuzzer name the key without knowing it.
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let header = parts.next().unwrap_or_default().to_vec();
    let claims = parts.next().unwrap_or_default();
    let header = match std::str::from_utf8(&header) {
        Ok(text) => text.replace("%KID%", public.kid()).into_bytes(),
        Err(_) => header,
    };
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(&header), BASE64URL_NOPAD.encode(claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).to_bytes());
    let Ok(claims) = verify(&format!("{signed}.{signature}")) else { return };
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header).unwrap();
    assert_eq!(header.len(), 3);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("EdDSA"), Some("at+jwt")));
    let (issued, expires) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(issued <= NOW.as_secs() + 5 && expires + 5 > NOW.as_secs() && expires - issued <= LIFE.as_secs());
    assert!(claims.get("nbf").is_none_or(|start| start.as_u64().unwrap() <= NOW.as_secs() + 5));
    assert_eq!(claims["iss"], "https://auth.example.org");
    assert_eq!(claims["aud"], "https://auth.example.org/api");
    assert!(claims["sub"].as_str().is_some_and(|sub| !sub.is_empty()));
    assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
}

/// The first line as header and the rest as claims, signed with the key of seed 7; `%JWK%` stands for its public part.
fn signed_with_seven(bytes: &[u8]) -> Option<(String, serde_json::Value, serde_json::Value)> {
    let (header, claims) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    let jwk = jws::SigningKey::from_seed(&[7; 32]).verifying_key().to_jwk();
    let header = header.replace("%JWK%", &jwk.to_string());
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).sign(message.as_bytes());
    let token = format!("{message}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()));
    // What cannot be read here must not be read there either; the value is looked at only if it was.
    let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
    Some((token, read(&header), read(claims)))
}

/// Client assertions. A text that the client did not sign never passes; what it signed passes in the one sound form
/// alone (OA-10, TOK-01 to TOK-04).
fn client_assertion(bytes: &[u8]) {
    let jwk = jws::SigningKey::from_seed(&[7; 32]).verifying_key().to_jwk();
    let keys = ClientKeys::from_value(&serde_json::json!({ "keys": [jwk] })).unwrap();
    let expected =
        Expected { client_id: "wiki", issuer: "https://auth.example.org", audiences: &[], now: NOW };
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = unverified_issuer(text);
        assert!(verify_client(text, &keys, &ClientAlgorithm::ALL).is_err(), "nobody can sign with that key");
    }
    let Some((token, header, claims)) = signed_with_seven(bytes) else { return };
    assert!(verify_client(&token, &keys, &[ClientAlgorithm::Rs256, ClientAlgorithm::Es256]).is_err());
    let Ok(verified) = verify_client(&token, &keys, &ClientAlgorithm::ALL) else { return };
    let header = header.as_object().unwrap();
    assert!(header.keys().all(|name| ["alg", "kid", "typ"].contains(&name.as_str())));
    assert_eq!(header["alg"], "EdDSA");
    let lenient = client_assertion::check(
        &verified,
        &Expected { audiences: &["https://auth.example.org/oauth2/token"], ..expected },
    );
    let Ok(found) = client_assertion::check(&verified, &expected) else { return };
    assert_eq!(unverified_issuer(&token).as_deref(), Some("wiki"));
    assert_eq!(lenient.as_ref(), Ok(&found), "strict is the stricter one");
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("wiki"), Some("wiki")));
    assert_eq!(claims["aud"], "https://auth.example.org");
    assert_eq!(claims["jti"].as_str(), Some(found.jti.as_str()));
    assert!((1..=256).contains(&found.jti.len()));
    let now = NOW.as_secs();
    assert!((now - 9..=now + 310).contains(&claims["exp"].as_u64().unwrap()));
    for name in ["nbf", "iat"] {
        assert!(claims.get(name).is_none_or(|start| start.as_u64().unwrap() <= now + 10));
    }
}

/// DPoP proofs: what passes was made for this method, this address, this token and now (RFC 9449 section 4.3).
fn dpop_proof(bytes: &[u8]) {
    let expected = ExpectedProof {
        method: "POST",
        url: "https://auth.example.org/oauth2/token",
        access_token: Some("token"),
        now: NOW,
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = dpop::verify_proof(text, &expected);
    }
    let Some((token, header, claims)) = signed_with_seven(bytes) else { return };
    let Ok(proof) = dpop::verify_proof(&token, &expected) else { return };
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("dpop+jwt"), Some("EdDSA")));
    assert!(header["jwk"].get("d").is_none() && header.get("crit").is_none());
    assert_eq!(proof.jkt, jws::SigningKey::from_seed(&[7; 32]).kid());
    assert_eq!(claims["jti"].as_str(), Some(proof.jti.as_str()));
    assert_eq!(claims["htm"], "POST");
    let url = url::Url::parse(claims["htu"].as_str().unwrap()).unwrap();
    assert_eq!(
        (url.origin().ascii_serialization().as_str(), url.path()),
        ("https://auth.example.org", "/oauth2/token")
    );
    let issued = proof.iat.as_secs();
    assert!(issued + 60 >= NOW.as_secs() && issued <= NOW.as_secs() + 15);
    assert_eq!(claims["ath"], BASE64URL_NOPAD.encode(&doorward::crypto::mac::sha256("token")));
    let other = ExpectedProof { access_token: Some("another"), ..expected };
    assert!(dpop::verify_proof(&token, &other).is_err());
}

/// Key sets of clients: what is taken is bounded, public, written as it is read, and can be used.
fn jwks(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let keys = match ClientKeys::parse(text) {
        Ok(keys) => keys,
        Err(error) => return assert!(is_plain_sentence(&error.to_string()), "{error}"),
    };
    assert!((1..=16).contains(&keys.keys().len()));
    let json = keys.to_json();
    assert_eq!(ClientKeys::from_value(&json).as_ref(), Ok(&keys));
    for (key, shown) in keys.keys().iter().zip(json["keys"].as_array().unwrap()) {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(shown.get(name).is_none(), "{name}");
        }
        assert_eq!(key.key().thumbprint().len(), 43);
        for algorithm in ClientAlgorithm::ALL {
            assert!(!key.key().verify(algorithm, b"message", &[0; 64]), "nothing was signed");
        }
    }
    for algorithm in KeyManagement::ALL {
        if let Some(key) = keys.find_for_encryption(algorithm, None) {
            let token = jwe::encrypt(b"x", key, algorithm, None).expect("a sound key can be encrypted to");
            assert_eq!(token.matches('.').count(), 4);
        }
    }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn is_plain_sentence(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.len() < 2000
}

/// JSON bodies: bounded depth, no duplicates; refusals are 400 or 422 in printable text (INP-05).
fn json_body(bytes: &[u8]) {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        username: Username,
        password: String,
        #[serde(default)]
        remember: bool,
    }
    match json::parse_body::<serde_json::Value>(bytes) {
        Ok(value) => {
            assert!(depth(&value) <= json::MAX_DEPTH);
            // Long fractions may lose a digit; nothing else changes.
            let again = serde_json::to_vec(&value).unwrap();
            assert!(json::parse_body::<serde_json::Value>(&again).is_ok());
        }
        Err(problem) => {
            assert!(matches!(problem.status.as_u16(), 400 | 422), "{problem:?}");
            assert!(is_plain_sentence(&problem.detail.english()), "{problem:?}");
        }
    }
    match json::parse_body::<Login>(bytes) {
        Ok(login) => assert!(
            login.username.as_str().len() <= 64 && login.password.len() <= bytes.len(),
            "{}",
            login.remember
        ),
        Err(problem) => {
            assert!(matches!(problem.status.as_u16(), 400 | 422), "{problem:?}");
            assert!(is_plain_sentence(&problem.detail.english()), "{problem:?}");
        }
    }
}

/// Forms: each field once, bounded (INP-05).
fn form_body(bytes: &[u8]) {
    let Ok(form) = form::parse_body(bytes) else { return };
    let names: Vec<&str> = form.fields().map(|(name, _)| name).collect();
    assert!(names.len() <= form::MAX_FIELDS);
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1);
        assert_eq!(form.get(name), form.fields().find(|(other, _)| other == name).map(|(_, value)| value));
    }
}

fn is_host(host: &str) -> bool {
    host.len() <= 260
        && host
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte))
}

/// Forwarding headers: believed from trusted peers alone, and never what a client put in front (FWD-01, FWD-02).
fn forwarded_headers(bytes: &[u8]) {
    let headers = headers_of(bytes);
    let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    let stranger: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let client = Client::resolve(stranger, &headers, &trusted);
    assert_eq!((client.ip, client.peer), (stranger.ip(), stranger.ip()));
    assert!(!client.is_https && !client.is_trusted_peer);
    let host = headers.get(header::HOST).map(<[u8]>::to_ascii_lowercase);
    assert!(client.host.is_none_or(|found| is_host(&found) && Some(found.into_bytes()) == host));

    let proxy: SocketAddr = "[::ffff:10.0.0.1]:9".parse().unwrap();
    let client = Client::resolve(proxy, &headers, &trusted);
    assert!(client.is_trusted_peer && client.peer == "10.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(client.ip, client.ip.to_canonical());
    assert!(client.host.as_deref().is_none_or(is_host));
    assert!(!client.is_https || headers.contains_key("x-forwarded-proto"));
    // Whatever a client puts to the left of what the proxies appended changes nothing.
    let hops = ["198.51.100.66", "10.6.6.6, 127.0.0.1", "garbage"];
    let hops = hops.iter().map(|hop| ("x-forwarded-for", hop.as_bytes()));
    let forged: RequestHeaders = hops.chain(headers.iter()).collect();
    if !trusted.contains(client.ip) {
        assert_eq!(Client::resolve(proxy, &forged, &trusted), client);
    } else {
        let ip = Client::resolve(proxy, &forged, &trusted).ip;
        assert!(trusted.contains(ip), "{ip} was put in by the client");
    }
}

/// What reverse proxies ask by headers: a sound host, path and method, or nothing (FWD-04 to FWD-06).
fn app_request(bytes: &[u8]) {
    let headers = headers_of(bytes);
    for dialect in [Dialect::AuthRequest, Dialect::ForwardAuth, Dialect::Legacy] {
        let question = Question { headers: &headers, method: "GET", target: "/api/verify" };
        if let Ok(inquiry) = forward_auth::read(dialect, question) {
            is_a_sound_request(&inquiry);
        }
    }
}

/// What proxies ask by a path, and by anything else: method and target on the first line, headers below.
fn ext_authz(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let Ok(line) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let headers = headers_of(parts.next().unwrap_or_default());
    for dialect in [Dialect::ExtAuthz, Dialect::Legacy] {
        let Ok(inquiry) = forward_auth::read(dialect, Question { headers: &headers, method, target }) else {
            continue;
        };
        // The server lets no other character into a target.
        if target.bytes().all(|byte| byte.is_ascii_graphic()) {
            is_a_sound_request(&inquiry);
        }
        if dialect == Dialect::ExtAuthz {
            let behind = target.strip_prefix(forward_auth::EXT_AUTHZ).expect("our own path in front");
            assert!(inquiry.target.len() <= behind.len() + 1 && behind.ends_with(&inquiry.target[1..]));
        }
    }
}

fn is_a_sound_request(inquiry: &Inquiry<'_>) {
    assert_eq!(domain::normal_host(&inquiry.host).as_deref(), Some(&*inquiry.host), "in normal form");
    let method = inquiry.method.unwrap_or("GET");
    assert!(method.len() <= 20 && method.bytes().all(|byte| byte.is_ascii_uppercase()));
    assert!(inquiry.target.starts_with('/'));
    if let Ok(path) = &inquiry.path {
        assert_eq!(canonical(path).as_ref(), Ok(path));
    }
    let shown = inquiry.url();
    let again = match forward_auth::parse_url(&shown, method) {
        // Some proxies join two addresses by a comma; one address that looks like two is refused in that form.
        Err(forward_auth::Refusal::Doubled(_)) => return,
        again => again.expect("our own form is sound"),
    };
    assert_eq!(
        (again.host, again.port, again.target),
        (inquiry.host.clone(), inquiry.port, inquiry.target.clone())
    );
}

/// Return addresses: our own origin or a protected host, whatever a browser makes of the text (WEB-11).
fn redirect_target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let is_protected = |host: &str| host == "example.org" || host.ends_with(".example.org");
    let check = |text: &str| safe_return_target(text, "https://auth.example.org", is_protected);
    let Some(url) = check(text) else { return };
    let sent = url.as_str();
    assert!(sent.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{sent:?}");
    let rest = sent.strip_prefix("https://").expect("https alone");
    // Read as plainly as any browser does.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    assert!(is_protected(host) && port.parse::<u16>().is_ok(), "{sent}");
    assert!(!rest[authority.len()..].starts_with("//"), "{sent}");
    assert_eq!(check(sent).as_ref(), Some(&url), "what is sent is accepted again");
    // The same text, resolved by a browser on the sign-in page, leads to the same place.
    let base = url::Url::parse("https://auth.example.org/signin").unwrap();
    assert_eq!(base.join(text).ok().map(|url| url.origin()), Some(url.origin()), "{text:?}");
}

/// Paths: one canonical form, reached in one step (FWD-06).
fn path_normalisation(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(path) = canonical(text) else { return };
    assert_eq!(canonical(&path).as_ref(), Ok(&path), "idempotent");
    assert!(path.starts_with('/') && !path.contains("//"));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    assert!(!path.contains(['\\', ';', '#', '?', '\0']) && !path.chars().any(char::is_control));
    assert!(path.len() <= text.len() + 1);
    // Every byte written as an escape is the same path, unless the escape hides a separator.
    let encoded: String =
        text.bytes().map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02X}") }).collect();
    if !text.contains('%') {
        assert_eq!(canonical(&encoded).as_ref(), Ok(&path));
    }
}

/// Access rules: what is shown is read as the same rule.
fn rule_line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(rule) = rule_text::parse_line(text) {
        let line = rule.to_string();
        let again = rule_text::parse_line(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!(again.to_string(), line);
        assert_eq!(format!("{:?}", again.parts()), format!("{:?}", rule.parts()));
        assert!(!doorward::access::rule_words::sentence(&rule, doorward::words::Words::ENGLISH).is_empty());
        if let Some(path) = rule.path() {
            let _ = path.matches("/a/b");
        }
    }
    if let Ok(tests) = rule_text::parse_tests(text) {
        assert!(!tests.is_empty());
    }
    if let Ok(rules) = rule_text::parse_file(text) {
        let _ = doorward::access::rules::shadowed(&rules);
    }
}

/// Names that people choose: canonical, bounded, without hidden characters (INP-06).
fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = Username::parse(text) {
        let name = name.as_str();
        assert!((1..=64).contains(&name.len()), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)));
        assert_eq!(Username::parse(name).unwrap().as_str(), name);
    }
    if let Ok(email) = Email::parse(text) {
        let email = email.as_str();
        assert_eq!(email.matches('@').count(), 1);
        assert!(!email.chars().any(|c| c.is_control() || c.is_whitespace()), "{email:?}");
        assert_eq!(Email::parse(email).unwrap().as_str(), email);
    }
    if let Ok(name) = DisplayName::parse(text) {
        let name = name.as_str();
        assert!(!name.is_empty() && !name.chars().any(char::is_control), "{name:?}");
        assert_eq!(DisplayName::parse(name).unwrap().as_str(), name);
    }
    if let Ok(group) = GroupName::parse(text) {
        assert!(!group.as_str().contains([',', ' ', '\n']));
        assert_eq!(GroupName::parse(group.as_str()).unwrap(), group);
    }
    if let Ok(origin) = doorward::site::Origin::parse(text) {
        assert_eq!(doorward::site::Origin::parse(&origin.text).as_ref(), Ok(&origin));
        assert!(HeaderValue::from_str(&origin.text).is_ok());
    }
    if let Some(code) = doorward::crypto::totp::canonical_code(text) {
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    }
    if let Some(code) = doorward::crypto::recovery_code::normalize(text) {
        assert_eq!(doorward::crypto::recovery_code::normalize(&code), Some(code));
    }
}

/// Exports: whole ones are read, damaged ones are refused, and salvage never stops half-way in a panic (BAK-04).
fn export(bytes: &[u8]) {
    let _ = export::verify(bytes, None);
    for salvage in [false, true] {
        let leniency = export::Leniency { salvage, skip_unknown: salvage };
        let Ok(reader) = export::Reader::new(bytes, leniency) else { continue };
        let mut taken = 0;
        let report = reader.read(None, &mut |key, value| {
            assert!(!key.is_empty() && key.len() + value.len() <= bytes.len());
            taken += 1;
            Ok(())
        });
        if let Ok(report) = report {
            assert_eq!(report.counts.values().sum::<u64>(), taken);
        }
    }
}

/// The query of an authorization request: whatever it says, an answer goes to a registered address and covers no more
/// than the client may ask for (OA-01, OA-03).
fn authorize_query(bytes: &[u8]) {
    let settings = ClientSettings {
        name: "App".to_owned(),
        redirect_uris: vec!["https://app.example.org/cb".to_owned(), "http://127.0.0.1/cb".to_owned()],
        is_native: true,
        pkce: oidc::client::Demand::Optional,
        audiences: vec!["https://api.example.org/".to_owned()],
        ..ClientSettings::default()
    };
    let client = oidc::Client::trial(ClientId::parse("app").unwrap(), settings);
    let Ok(params) = Params::parse(bytes) else { return };
    let Ok(destination) = Destination::read(&client, &params) else { return };
    let uri = &destination.redirect_uri;
    assert!(uri == "https://app.example.org/cb" || uri.starts_with("http://127.0.0.1"), "{uri}");
    assert!(HeaderValue::from_str(uri).is_ok());
    match AuthorizationRequest::read(&client, destination, &params, false) {
        Ok(request) => {
            assert!(client.settings.scopes.covers(&request.scopes));
            assert!(request.challenge.is_none_or(|challenge| challenge.len() == 43));
            assert!(request.resources.iter().all(|resource| client.settings.audiences.contains(resource)));
            assert!(request.nonce.is_none_or(|nonce| nonce.len() <= 512));
            assert!(!(request.prompt.none && (request.prompt.login || request.prompt.consent)));
        }
        // RFC 6749 section 4.1.2.1: what a description may hold.
        Err(error) => {
            let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            assert!(error.description.bytes().all(is_plain), "{}", error.description);
        }
    }
}

/// A request to the token endpoint: the first line is its `Authorization`, the rest its form (OA-08, OA-09).
fn token_form(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, body) = bytes.split_at(end);
    if let Some((_, secrets)) = std::str::from_utf8(header).ok().and_then(read_basic) {
        assert!((1..=2).contains(&secrets.len()));
    }
    let Ok(params) = Params::parse(body.strip_prefix(b"\n").unwrap_or(body)) else { return };
    let again = Params::parse(params.to_query().as_bytes()).unwrap();
    assert!(params.pairs().eq(again.pairs()), "a form that is written again says something else");
    if params.refuse_duplicates().is_ok() {
        for (name, value) in params.pairs().filter(|(name, _)| *name != "resource") {
            assert_eq!(params.once(name), Some(value));
        }
    }
}

/// A registered redirect URI in the first line and a requested one in the second: no two texts count as the same but a
/// native app's loopback addresses that differ in the port (OA-01, OA-02).
fn redirect_matching(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    let list = [registered.to_owned()];
    assert_eq!(redirect_uri::is_registered(&list, requested, false), registered == requested);
    if redirect_uri::is_registered(&list, requested, true) && registered != requested {
        let (own, asked) = (url::Url::parse(registered).unwrap(), url::Url::parse(requested).unwrap());
        assert_eq!(own.host_str(), asked.host_str());
        assert!(matches!(asked.host_str(), Some("127.0.0.1" | "[::1]")), "{requested}");
        assert_eq!((own.scheme(), own.path(), own.query()), (asked.scheme(), asked.path(), asked.query()));
    }
    if redirect_uri::check(registered, false).is_ok() {
        let url = url::Url::parse(registered).unwrap();
        assert!(
            !matches!(url.scheme(), "javascript" | "data" | "vbscript" | "file" | "blob"),
            "{registered}"
        );
        assert!(url.username().is_empty() && url.fragment().is_none(), "{registered}");
        assert!(HeaderValue::from_str(registered).is_ok());
        let target = redirect_uri::form_target(registered).unwrap();
        assert!(!target.contains([' ', ';', ',', '\'', '"']), "{target}");
    }
}

/// Files of other sign-in servers: whatever is in them, what comes out is bounded, told without control characters, and
/// has either all rules or none and a word why.
fn import_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let file = || SourceFile { name: "file".to_owned(), text: text.clone().into_owned() };
    let named = |_: &str| Some("from a file".to_owned());
    let judge = |found: Found| {
        assert!(found.users.len() <= MOST_USERS);
        for line in &found.lines {
            assert_eq!(line.outcome, Outcome::NotCarried, "a reader carries nothing over");
            assert!(!line.name.chars().chain(line.why.chars()).any(char::is_control));
        }
        let built = found.rules.iter().filter(|rule| doorward::access::Rule::build(rule).is_ok()).count();
        assert_eq!(built, found.rules.len());
        assert!(found.rules.is_empty() || !found.lines.iter().any(|line| line.kind == "rules"));
        let pieces = found.without_doubles().into_pieces(7);
        let names: Vec<&str> =
            pieces.iter().flat_map(|piece| &piece.users).map(|user| user.username.as_str()).collect();
        let mut folded: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        folded.sort();
        folded.dedup();
        assert_eq!(folded.len(), names.len(), "no two people have one name");
    };
    judge(authelia::read(&[file()], &named));
    judge(authelia::read(&[file()], &|_| None));
    judge(pocket_id::read(&file()));
    let people = tinyauth::read(&file());
    assert!(people.users.len() <= MOST_USERS);
    for line in text.lines() {
        if let Ok(hash) = ForeignHash::parse(line) {
            assert!(line.starts_with('$') && line.len() <= 512);
            assert_eq!(hash.kind(), hash.decoy().kind());
        }
    }
}

/// What a browser says of a passkey: nothing passes that the passkey did not sign, and what is kept of a new one stands
/// in what was sent (PK-02, PK-04, PK-08).
fn passkey(bytes: &[u8]) {
    let (challenge, origin, rp_id) = ([0; 16], "https://auth.example.org", "auth.example.org");
    let expected = webauthn::Expected { challenge: &challenge, origin, rp_id };
    let client_data = |ceremony: &str| {
        let challenge = BASE64URL_NOPAD.encode(&challenge);
        format!(
            r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        )
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
        assert!(
            webauthn::verify_registration(&get, bytes, &expected).is_err(),
            "a sign-in is no registration"
        );
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
