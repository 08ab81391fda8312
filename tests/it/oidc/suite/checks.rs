//! The checks that the suite makes of every answer.

use std::collections::HashSet;

use doorward::kernel::time::Timestamp;
use serde_json::Value;
use url::Url;

use super::browser::{Arrival, Params};
use super::keys::decode;
use super::{CALLBACK, ISSUER, Mode, Request};
use crate::harness::Answer;

/// The names of members that only private and shared keys have.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

#[track_caller]
fn is_json(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.header("content-type").expect("a type");
    assert_eq!(kind.split(';').next(), Some("application/json"));
    answer.json()
}

/// Metadata, as far as every module looks at them.
pub(crate) fn metadata(answer: &Answer) -> Value {
    let metadata = is_json(answer, 200);
    assert_eq!(metadata["issuer"], ISSUER);
    for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let url = Url::parse(metadata[name].as_str().unwrap_or_else(|| panic!("no {name}"))).unwrap();
        assert_eq!(url.scheme(), "https", "{name}");
    }
    for method in ["client_secret_basic", "client_secret_post"] {
        assert!(has(&metadata["token_endpoint_auth_methods_supported"], method), "{method}");
    }
    metadata
}

/// Tells whether a list holds a text.
pub(crate) fn has(list: &Value, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|own| own == text))
}

/// Published keys: public halves alone, well written, each with a name of its own.
pub(crate) fn keys(answer: &Answer) -> Vec<Value> {
    let document = is_json(answer, 200);
    let keys = document["keys"].as_array().expect("keys").clone();
    assert!(!keys.is_empty());
    let mut names = HashSet::new();
    for key in &keys {
        assert!(PRIVATE.iter().all(|name| key.get(name).is_none()), "not public: {key}");
        let parts: &[&str] = match key["kty"].as_str().expect("kty") {
            "RSA" => &["n", "e"],
            "EC" => &["x", "y"],
            "OKP" => &["x"],
            other => panic!("keys of {other} are known to few"),
        };
        for name in parts {
            assert!(!decode(key[name].as_str().unwrap_or_else(|| panic!("no {name}"))).is_empty());
        }
        if key["kty"] == "RSA" {
            assert!(decode(key["n"].as_str().unwrap()).len() >= 256, "RSA of less than 2048 bits");
        } else {
            assert!(matches!(key["crv"].as_str(), Some("P-256" | "Ed25519")), "{key}");
        }
        let kid = key["kid"].as_str().expect("kid");
        assert!(!kid.trim().is_empty());
        assert!(names.insert(kid.to_owned()), "two keys are called {kid}");
        assert_eq!(key["use"], "sig");
        assert!(key["alg"].is_string());
    }
    keys
}

/// The authorization response as a whole: where and how it came, state, issuer. Returns its parameters.
#[track_caller]
pub(crate) fn response(arrival: &Arrival, request: &Request, mode: Mode) -> Params {
    assert_eq!(arrival.to, CALLBACK);
    let answer = match mode {
        Mode::Default => {
            assert_eq!(arrival.method, "GET");
            assert!(arrival.form.is_empty());
            &arrival.query
        }
        Mode::FormPost => {
            assert_eq!(arrival.method, "POST");
            assert!(arrival.query.is_empty(), "nothing in the address: {arrival:?}");
            &arrival.form
        }
    };
    assert_eq!(answer.get("state").map(String::as_str), request.get("state"), "state");
    assert_eq!(answer.get("iss").map(String::as_str), Some(ISSUER), "RFC 9207");
    answer.clone()
}

/// A value that nobody guesses.
#[track_caller]
pub(crate) fn is_unguessable(value: &str) {
    assert!(value.len() * 8 >= 128, "shorter than 128 bits: {value}");
    assert!(entropy(value) > 96.0, "{} bits of entropy: {value}", entropy(value));
}

/// Shannon's entropy of a text times its length.
fn entropy(text: &str) -> f64 {
    let length = text.chars().count() as f64;
    let letters: HashSet<char> = text.chars().collect();
    let of = |letter: char| {
        let share = text.chars().filter(|own| *own == letter).count() as f64 / length;
        -share * share.log2()
    };
    letters.into_iter().map(of).sum::<f64>() * length
}

/// The code of a response that has nothing else in it.
#[track_caller]
pub(crate) fn code(answer: &Params) -> String {
    let code = answer.get("code").unwrap_or_else(|| panic!("no code: {answer:?}"));
    for name in answer.keys() {
        assert!(["code", "state", "iss", "session_state"].contains(&name.as_str()), "unexpected: {name}");
    }
    is_unguessable(code);
    code.clone()
}

/// The error of a response that has no code.
#[track_caller]
pub(crate) fn error(answer: &Params, allowed: &[&str]) {
    let error = answer.get("error").unwrap_or_else(|| panic!("no error: {answer:?}"));
    assert!(allowed.contains(&error.as_str()), "{answer:?}");
    for name in answer.keys() {
        let known = ["error", "error_description", "error_uri", "state", "session_state", "iss"];
        assert!(known.contains(&name.as_str()), "unexpected: {name}");
    }
    description(answer.get("error_description").map(String::as_str));
}

/// RFC 6749 section 4.1.2.1, without line breaks and tabs.
#[track_caller]
fn description(text: Option<&str>) {
    let allowed = |letter: char| matches!(letter, ' '..='!' | '#'..='[' | ']'..='~');
    assert!(text.is_none_or(|text| text.chars().all(allowed)), "{text:?}");
}

/// A refusal of the token endpoint or one like it (RFC 6749 section 5.2).
#[track_caller]
pub(crate) fn refusal(answer: &Answer, status: u16, allowed: &[&str]) {
    let body = is_json(answer, status);
    let error = body["error"].as_str().unwrap_or_else(|| panic!("no error: {body}"));
    assert!(allowed.contains(&error), "{body}");
    for name in body.as_object().unwrap().keys() {
        assert!(["error", "error_description", "error_uri"].contains(&name.as_str()), "unexpected: {name}");
    }
    description(body["error_description"].as_str());
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")));
}

/// A token response with an id_token. Returns its body.
#[track_caller]
pub(crate) fn tokens(answer: &Answer, kind: &str) -> Value {
    let body = is_json(answer, 200);
    let cache = answer.header("cache-control").expect("Cache-Control");
    assert!(cache.contains("no-store"), "{cache}");
    assert_eq!(body["token_type"], kind);
    let seconds = body["expires_in"].as_u64().expect("expires_in is a number");
    assert!((1..=366 * 86_400).contains(&seconds), "{seconds}");
    assert!(body["id_token"].is_string(), "no id_token: {body}");
    is_unguessable(body["access_token"].as_str().expect("access_token"));
    for (name, value) in body.as_object().unwrap() {
        assert!(!value.is_null() && value != "", "{name} is empty");
    }
    if let Some(token) = body.get("refresh_token") {
        is_unguessable(token.as_str().unwrap());
    }
    body
}

/// The standard checks of an id_token, apart from signature and nonce.
#[track_caller]
pub(crate) fn id_token(claims: &Value, client_id: &str, now: Timestamp) {
    let (now, at) =
        (now.as_secs(), |name: &str| claims[name].as_u64().unwrap_or_else(|| panic!("no {name}: {claims}")));
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["aud"] == client_id || has(&claims["aud"], client_id), "aud: {claims}");
    assert!(claims.get("azp").is_none_or(|azp| azp == client_id), "azp: {claims}");
    assert!(at("exp") > now && at("exp") < now + 50 * 366 * 86_400, "exp: {claims}");
    assert!(at("iat").abs_diff(now) <= 300, "iat: {claims}");
    if claims.get("auth_time").is_some() {
        assert!(at("auth_time") <= now && at("auth_time") + 366 * 86_400 > now, "auth_time: {claims}");
    }
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_u64().is_some_and(|nbf| nbf <= now)), "nbf: {claims}");
    if let Some(acr) = claims.get("acr") {
        assert!(acr.as_str().is_some_and(|acr| !acr.is_empty()), "acr: {claims}");
    }
    if let Some(amr) = claims.get("amr") {
        assert!(amr.as_array().is_some_and(|amr| !amr.is_empty() && amr.iter().all(Value::is_string)));
    }
    standard_claims(claims, now);
}

/// `sub` and the claims of OIDC Core section 5.1, of the types they have there.
#[track_caller]
pub(crate) fn standard_claims(claims: &Value, now: u64) {
    let sub = claims["sub"].as_str().expect("sub");
    assert!((1..=255).contains(&sub.len()) && sub.bytes().all(|byte| byte.is_ascii_graphic()), "sub: {sub}");
    for (name, value) in claims.as_object().expect("an object") {
        assert!(!value.is_null() && value != "", "{name} is empty: it should be left out");
        match name.as_str() {
            "email_verified" | "phone_number_verified" => assert!(value.is_boolean(), "{name}: {value}"),
            "updated_at" => {
                let at = value.as_u64().unwrap_or_else(|| panic!("{name}: {value}"));
                assert!((631_152_000..=now).contains(&at), "{name}: {value}");
            }
            "birthdate" => {
                let date = value.as_str().unwrap();
                let is_date = |(at, letter): (usize, char)| match at {
                    4 | 7 => letter == '-',
                    _ => letter.is_ascii_digit(),
                };
                assert!(matches!(date.len(), 4 | 10) && date.chars().enumerate().all(is_date), "{date}");
            }
            "address" => {
                let parts = value.as_object().expect("address is an object");
                assert!(!parts.is_empty());
                let known = ["formatted", "street_address", "locality", "region", "postal_code", "country"];
                for (part, text) in parts {
                    assert!(known.contains(&part.as_str()), "address: {part}");
                    assert!(text.as_str().is_some_and(|text| !text.is_empty()), "address: {part}: {text}");
                }
            }
            "profile" | "picture" | "website" => {
                let url = Url::parse(value.as_str().unwrap()).unwrap();
                assert!(matches!(url.scheme(), "https" | "http"), "{name}: {value}");
            }
            "email" => assert!(value.as_str().unwrap().contains('@'), "{name}: {value}"),
            "name" | "given_name" | "family_name" | "middle_name" | "nickname" | "preferred_username"
            | "gender" | "zoneinfo" | "locale" | "phone_number" => {
                assert!(value.is_string(), "{name}: {value}")
            }
            _ => {}
        }
    }
}

/// An answer of userinfo about the person of the id_token. Returns it.
#[track_caller]
pub(crate) fn userinfo(answer: &Answer, id_token: &Value, now: Timestamp) -> Value {
    let claims = is_json(answer, 200);
    assert_eq!(claims["sub"], id_token["sub"], "userinfo speaks of somebody else");
    standard_claims(&claims, now.as_secs());
    claims
}

/// An error that is shown on a page because the app may not be told (OA-03).
#[track_caller]
pub(crate) fn error_page(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("refresh"), None);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let text = answer.text();
    assert!(text.contains(words), "{text}");
    assert!(!text.contains("http-equiv=\"refresh\""));
}
