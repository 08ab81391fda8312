//! JSON bodies, parsed strictly (INP-05): the right content type, UTF-8, bounded depth, no duplicate keys at any
//! depth, nothing after the document. Unknown keys are refused by `deny_unknown_fields` on every DTO.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Problem, RequestHeaders};
use crate::words::english_only;

/// Objects and arrays nest at most this deep.
pub const MAX_DEPTH: usize = 16;

/// Parses a body, which must be an object. Errors: 415 `unsupported_media_type`, 400 `malformed_json`, 400 `unknown_field`, 422
/// `missing_field`, 422 `invalid_field`.
pub fn parse<T: DeserializeOwned>(headers: &RequestHeaders, body: &[u8]) -> Result<T, Problem> {
    read(check_object(headers, body)?)
}

/// Parses a document whose content type has been checked.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    read(check_sound(body)?)
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, Problem> {
    serde_json::from_str(body).map_err(|error| refused(&error))
}

/// Checks what holds of every body, whatever it is read as.
fn check_object<'a>(headers: &RequestHeaders, body: &'a [u8]) -> Result<&'a str, Problem> {
    if !has_content_type(headers, "application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            english_only("This address takes JSON (Content-Type: application/json)."),
        )
        .with_header(header::ACCEPT, http::HeaderValue::from_static("application/json")));
    }
    // serde would read a list as the members of an object in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad_request("malformed_json", english_only("The JSON must be an object, {…}.")));
    }
    check_sound(body)
}

fn check_sound(body: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::bad_request("malformed_json", english_only("The JSON must be UTF-8.")))?;
    let mut walk = serde_json::Deserializer::from_str(text);
    let walked = Sound { depth: 0 }.deserialize(&mut walk).and_then(|()| walk.end());
    walked.map(|()| text).map_err(|error| malformed(&error))
}

/// Tells whether the one `Content-Type` header is `wanted`, with no parameter but `charset=utf-8`.
pub fn has_content_type(headers: &RequestHeaders, wanted: &str) -> bool {
    let Ok(Some(value)) = headers.only(header::CONTENT_TYPE) else { return false };
    let mut parts = value.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
        && parts.all(|parameter| {
            parameter.is_empty()
                || parameter.split_once('=').is_some_and(|(name, charset)| {
                    name.eq_ignore_ascii_case("charset")
                        && charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
                })
        })
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request(
        "malformed_json",
        english_only(format!("The JSON cannot be read: {}.", printable(&error.to_string()))),
    )
}

/// Turns serde's message into a sentence. Values that were sent are not repeated: they may be passwords.
fn refused(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let message = message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.is_syntax() || error.is_eof() {
        return malformed(error);
    }
    if message.starts_with("unknown field") {
        let detail = format!("{}.", capitalised(&printable(message)));
        return Problem::bad_request("unknown_field", english_only(detail));
    }
    if message.starts_with("missing field") {
        let detail = format!("{}.", capitalised(&printable(message)));
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_field", english_only(detail));
    }
    let detail = match message.split_once(", expected ") {
        Some((_, expected)) => {
            format!("A value is not as expected ({place}): expected {}.", printable(expected))
        }
        // A rule of ours (kernel::text and its like): the message is a sentence.
        None => format!("{} ({place})", printable(message)),
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", english_only(detail))
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// The key of a value, where it stands in the document unless it has escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Walks a document without keeping it, and refuses depth and duplicate keys.
struct Sound {
    depth: usize,
}

impl Sound {
    fn deeper<E: de::Error>(&self) -> Result<Sound, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("it nests too deep"));
        }
        Ok(Sound { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Sound {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper::<A::Error>()?.depth;
        while items.next_element_seed(Sound { depth: inner })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper::<A::Error>()?.depth;
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<Key<'de>>()? {
            if seen.contains(&key) {
                return Err(de::Error::custom(format_args!("the key “{}” is there twice", key.0)));
            }
            seen.insert(key);
            entries.next_value_seed(Sound { depth: inner })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        username: crate::kernel::text::Username,
        #[serde(default)]
        remember: bool,
        #[serde(default)]
        extra: Option<serde_json::Value>,
    }

    fn code(body: &str) -> (&'static str, String) {
        let problem = parse_body::<Login>(body.as_bytes()).unwrap_err();
        (problem.code, problem.detail.english())
    }

    #[test]
    fn a_sound_document_is_read() {
        let login: Login =
            parse_body(br#" {"username":"Ada","remember":true,"extra":{"a":[1,null,1.5]}} "#).unwrap();
        assert_eq!(login.username.as_str(), "ada");
        assert!(login.remember && login.extra.is_some());
    }

    /// INP-05: duplicate keys, unknown keys, depth, trailing bytes and bytes that are not UTF-8 are refused.
    #[test]
    fn unsound_documents_are_refused() {
        for bad in [
            "",
            "{",
            "nul",
            r#"{"username":"a"} x"#,
            r#"{"username":"a"}{"username":"a"}"#,
            r#"{"username":"a","username":"b"}"#,
            r#"{"username":"a","user\u006eame":"b"}"#,
            r#"{"username":"a","extra":{"x":[{"y":1,"y":2}]}}"#,
            r#"{"username":"a","extra":1e999}"#,
            r#"{"username":"a",}"#,
            "{\"username\":\"a\nb\"}",
        ] {
            assert_eq!(code(bad).0, "malformed_json", "{bad}");
        }
        assert_eq!(parse_body::<Login>(b"{\"username\":\"\xff\"}").unwrap_err().code, "malformed_json");
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_body::<serde_json::Value>(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse_body::<serde_json::Value>(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse_body::<serde_json::Value>(nested(50_000).as_bytes()).is_err());
    }

    #[test]
    fn messages_name_the_field_and_repeat_no_value() {
        let (unknown, detail) = code(r#"{"username":"a","is_admin":true}"#);
        assert_eq!(unknown, "unknown_field");
        assert!(detail.contains("is_admin"), "{detail}");
        let (missing, detail) = code(r#"{"remember":true}"#);
        assert_eq!(missing, "missing_field");
        assert!(detail.contains("username"), "{detail}");
        let (wrong, detail) = code(r#"{"username":"a","remember":"hunter2"}"#);
        assert_eq!(wrong, "invalid_field");
        assert!(detail.contains("expected a boolean") && !detail.contains("hunter2"), "{detail}");
        let (rule, detail) = code(r#"{"username":"a b"}"#);
        assert_eq!(rule, "invalid_field");
        assert!(detail.starts_with("A username holds only"), "{detail}");
    }

    /// INP-05: a list is no object, whatever its items.
    #[test]
    fn a_list_is_not_taken_for_an_object() {
        let headers = RequestHeaders::from_iter([(header::CONTENT_TYPE, "application/json")]);
        assert!(super::parse::<Login>(&headers, br#" {"username":"ada"}"#).is_ok());
        for bad in [&br#"["ada"]"#[..], br#" ["ada",true]"#, b"", b"null", br#""ada""#] {
            assert_eq!(super::parse::<Login>(&headers, bad).unwrap_err().code, "malformed_json");
        }
    }

    /// WEB-05: only application/json is JSON.
    #[test]
    fn the_content_type_must_be_json() {
        let parse = |kinds: &[&str]| {
            let headers: RequestHeaders = kinds.iter().map(|kind| (header::CONTENT_TYPE, *kind)).collect();
            super::parse::<serde_json::Value>(&headers, b"{}").map_err(|problem| problem.status)
        };
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(parse(&[good]).is_ok(), "{good}");
        }
        for bad in [
            &[][..],
            &["text/plain"],
            &["application/x-www-form-urlencoded"],
            &["application/jsonx"],
            &["application/json, text/plain"],
            &["application/json; charset=latin1"],
            &["application/json; boundary=x"],
            &["application/json", "application/json"],
        ] {
            assert_eq!(parse(bad).unwrap_err(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{bad:?}");
        }
    }
}
