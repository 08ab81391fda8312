//! What a client assertion must say (private_key_jwt: RFC 7523 section 3, OpenID Connect Core section 9, FAPI 2.0
//! section 5.3.2). Whether its signature is the client's is [`super::client_jws`]'s part; whether its `jti` was seen
//! before is the store's.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::client_jws::ClientJws;
use crate::kernel::time::Timestamp;

/// The longest life that an assertion may still have (OA-10).
pub const MAX_LIFE: Duration = Duration::from_secs(300);
/// How far the clocks of client and server may differ.
pub const LEEWAY: Duration = Duration::from_secs(10);
/// The longest `jti`.
pub const MAX_JTI: usize = 256;

/// What is known of the client and of us.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The client that the request is for.
    pub client_id: &'a str,
    /// Our issuer identifier.
    pub issuer: &'a str,
    /// Further audiences for clients of old, such as the address of the token endpoint; with any, a list of one passes
    /// as well. With none the audience must be exactly the issuer as a text (FAPI 2.0, draft-ietf-oauth-rfc7523bis): an
    /// address of an endpoint or a list could have been made for another server.
    pub audiences: &'a [&'a str],
    /// The wall clock.
    pub now: Timestamp,
}

/// An assertion that is sound. It may be used once: remember `jti` until `expires_at` plus [`LEEWAY`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Its name, unique for the client.
    pub jti: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why an assertion was refused. For the log; the client learns `invalid_client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionError {
    /// It is a token of another kind.
    WrongType,
    /// `iss` or `sub` is not the client.
    WrongClient,
    /// It was made for someone else.
    WrongAudience,
    /// It has no end, or one too far away.
    TooLong,
    /// It has ended.
    Expired,
    /// It has not begun, or comes from the future.
    NotYetValid,
    /// It has no `jti`, or one too long.
    NoId,
}

impl fmt::Display for AssertionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AssertionError::WrongType => "The client assertion is a token of another kind.",
            AssertionError::WrongClient => {
                "The iss and sub of the client assertion must both be the client_id."
            }
            AssertionError::WrongAudience => {
                "The aud of the client assertion must be the issuer of this server."
            }
            AssertionError::TooLong => {
                "The client assertion must have an exp, in whole seconds and at most five minutes away."
            }
            AssertionError::Expired => "The client assertion has expired. Check the clock of the client.",
            AssertionError::NotYetValid => {
                "The client assertion is not valid yet. Check the clock of the client."
            }
            AssertionError::NoId => "The client assertion must have a jti of 1 to 256 characters.",
        })
    }
}

impl std::error::Error for AssertionError {}

/// Checks the claims of a verified client assertion (OA-10).
///
/// # Errors
/// [`AssertionError`] for the first rule that it breaks.
pub fn check(token: &ClientJws, expected: &Expected<'_>) -> Result<Assertion, AssertionError> {
    // TOK-04: absent or JWT in RFC 7523, a kind of its own in its successor.
    let is_assertion = token.typ.as_deref().is_none_or(|typ| {
        typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("client-authentication+jwt")
    });
    if !is_assertion {
        return Err(AssertionError::WrongType);
    }
    let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.client_id) || text("sub") != Some(expected.client_id) {
        return Err(AssertionError::WrongClient);
    }
    if !is_audience(token.claims.get("aud"), expected) {
        return Err(AssertionError::WrongAudience);
    }
    let expires = seconds(token, "exp").ok_or(AssertionError::TooLong)?;
    let expires = Timestamp::from_secs(expires.ok_or(AssertionError::TooLong)?);
    if expires > expected.now.plus(MAX_LIFE).plus(LEEWAY) {
        return Err(AssertionError::TooLong);
    }
    if expected.now >= expires.plus(LEEWAY) {
        return Err(AssertionError::Expired);
    }
    for name in ["nbf", "iat"] {
        let start = seconds(token, name).ok_or(AssertionError::NotYetValid)?;
        if start.is_some_and(|start| Timestamp::from_secs(start) > expected.now.plus(LEEWAY)) {
            return Err(AssertionError::NotYetValid);
        }
    }
    let jti = text("jti").filter(|jti| (1..=MAX_JTI).contains(&jti.len())).ok_or(AssertionError::NoId)?;
    Ok(Assertion { jti: jti.to_owned(), expires_at: expires })
}

/// A time that is absent (`Some(None)`), sound, or of another form (`None`).
fn seconds(token: &ClientJws, name: &str) -> Option<Option<u64>> {
    match token.claims.get(name) {
        None => Some(None),
        Some(value) => value.as_u64().map(Some),
    }
}

fn is_audience(audience: Option<&Value>, expected: &Expected<'_>) -> bool {
    let is_ours = |text: &str| text == expected.issuer || expected.audiences.contains(&text);
    match audience {
        Some(Value::String(text)) => is_ours(text),
        Some(Value::Array(list)) if !expected.audiences.is_empty() => {
            matches!(list.as_slice(), [Value::String(text)] if is_ours(text))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crypto::client_jws::ClientAlgorithm;

    const NOW: u64 = 1_800_000_000;
    const ISSUER: &str = "https://door.example.org";
    const TOKEN: &str = "https://door.example.org/oauth2/token";
    const PAR: &str = "https://door.example.org/oauth2/par";

    fn expected(strict: bool) -> Expected<'static> {
        Expected {
            client_id: "wiki",
            issuer: ISSUER,
            audiences: if strict { &[] } else { &[TOKEN] },
            now: Timestamp::from_secs(NOW),
        }
    }

    fn claims() -> Value {
        json!({ "iss": "wiki", "sub": "wiki", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "j" })
    }

    fn token(claims: Value) -> ClientJws {
        let Value::Object(claims) = claims else { panic!() };
        ClientJws { algorithm: ClientAlgorithm::Es256, kid: None, typ: None, claims }
    }

    fn with(name: &str, value: impl Into<Value>) -> Value {
        let mut claims = claims();
        claims[name] = value.into();
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    fn verdict(claims: Value) -> Result<Assertion, AssertionError> {
        let strict = check(&token(claims.clone()), &expected(true));
        assert_eq!(check(&token(claims), &expected(false)), strict);
        strict
    }

    #[test]
    fn a_sound_assertion_gives_its_name_and_its_end() {
        let found = verdict(claims()).unwrap();
        assert_eq!(found, Assertion { jti: "j".to_owned(), expires_at: Timestamp::from_secs(NOW + 60) });
        assert!(verdict(without("iat")).is_ok());
        assert!(verdict(with("more", json!({ "a": [1] }))).is_ok());
    }

    /// OA-10: every claim is required, with its exact value and type.
    #[test]
    fn every_broken_claim_is_refused() {
        use AssertionError::{Expired, NoId, NotYetValid, TooLong, WrongAudience, WrongClient};
        for (claims, error) in [
            (without("iss"), WrongClient),
            (with("iss", "other"), WrongClient),
            (with("iss", ISSUER), WrongClient),
            (with("iss", "Wiki"), WrongClient),
            (with("iss", json!(["wiki"])), WrongClient),
            (without("sub"), WrongClient),
            (with("sub", "other"), WrongClient),
            (with("sub", Value::Null), WrongClient),
            (without("aud"), WrongAudience),
            (with("aud", ""), WrongAudience),
            (with("aud", 1), WrongAudience),
            (with("aud", json!([])), WrongAudience),
            (with("aud", json!([ISSUER, "https://evil.example"])), WrongAudience),
            (with("aud", json!([ISSUER, ISSUER])), WrongAudience),
            (with("aud", json!([[ISSUER]])), WrongAudience),
            (with("aud", format!("{ISSUER}/")), WrongAudience),
            (with("aud", ISSUER.to_uppercase()), WrongAudience),
            (with("aud", "https://evil.example"), WrongAudience),
            (with("aud", PAR), WrongAudience),
            (without("exp"), TooLong),
            (with("exp", (NOW + 60).to_string()), TooLong),
            (with("exp", 1.5), TooLong),
            (with("exp", -1), TooLong),
            (with("exp", Value::Null), TooLong),
            (with("exp", NOW + 311), TooLong),
            (with("exp", NOW + 3600), TooLong),
            (with("exp", u64::MAX), TooLong),
            (with("exp", NOW - 10), Expired),
            (with("exp", NOW - 300), Expired),
            (with("exp", 0), Expired),
            (with("nbf", NOW + 11), NotYetValid),
            (with("nbf", NOW + 60), NotYetValid),
            (with("nbf", "0"), NotYetValid),
            (with("iat", NOW + 60), NotYetValid),
            (with("iat", Value::Null), NotYetValid),
            (without("jti"), NoId),
            (with("jti", ""), NoId),
            (with("jti", 7), NoId),
            (with("jti", "j".repeat(257)), NoId),
        ] {
            let text = claims.to_string();
            assert_eq!(verdict(claims), Err(error), "{text}");
            assert!(error.to_string().ends_with('.'));
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        for claims in [
            with("nbf", NOW + 8),
            with("nbf", NOW + 10),
            with("iat", NOW + 8),
            with("nbf", 0),
            with("exp", NOW + 310),
            with("exp", NOW + 1),
            with("exp", NOW - 9),
            with("jti", "j".repeat(256)),
        ] {
            assert!(verdict(claims.clone()).is_ok(), "{claims}");
        }
    }

    /// FAPI 2.0: a list and the addresses of endpoints are refused; for others only what the caller names passes.
    #[test]
    fn the_audience_of_a_strict_client_is_the_issuer_as_a_text() {
        for (audience, lenient) in [
            (json!([ISSUER]), true),
            (json!(TOKEN), true),
            (json!([TOKEN]), true),
            (json!(PAR), false),
            (json!([PAR]), false),
            (json!([TOKEN, ISSUER]), false),
        ] {
            let token = token(with("aud", audience.clone()));
            assert_eq!(check(&token, &expected(true)), Err(AssertionError::WrongAudience), "{audience}");
            assert_eq!(check(&token, &expected(false)).is_ok(), lenient, "{audience}");
        }
    }

    /// TOK-04: other tokens that a client can sign are no assertions.
    #[test]
    fn other_kinds_of_token_are_refused() {
        for (typ, passes) in [
            ("JWT", true),
            ("jwt", true),
            ("client-authentication+jwt", true),
            ("dpop+jwt", false),
            ("at+jwt", false),
            ("oauth-authz-req+jwt", false),
            ("", false),
        ] {
            let token = ClientJws { typ: Some(typ.to_owned()), ..token(claims()) };
            assert_eq!(check(&token, &expected(true)).is_ok(), passes, "{typ}");
        }
    }
}
