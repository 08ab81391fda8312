//! Forms (`application/x-www-form-urlencoded`): UTF-8, each field at most once except groups of boxes, bounded.

use http::{StatusCode, header};
use percent_encoding::percent_decode;
use zeroize::Zeroize;

use super::{Problem, RequestHeaders};
use crate::words::{Said, Words};

/// More fields than this are refused.
pub const MAX_FIELDS: usize = 64;
/// The fields that may come several times: groups of boxes to tick.
const LISTS: [&str; 2] = ["group", "method"];

/// The fields of a form, in the order they came. Wiped when dropped: forms carry passwords.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Returns the value of a field, if it was sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a field, or an empty text.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// Returns every value of a group of boxes, in the order they came.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Tells whether a checkbox was ticked: the field is there and neither empty nor `false`, `off` or `0`.
    pub fn is_ticked(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "" | "false" | "off" | "0"))
    }

    /// Returns all fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            value.zeroize();
        }
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

/// Parses a body. Errors are 415 and 400 problems.
pub fn parse(headers: &RequestHeaders, body: &[u8]) -> Result<Form, Problem> {
    if !super::json::has_content_type(headers, "application/x-www-form-urlencoded") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            Said::of(Words::errors_form_kind),
        )
        .with_header(header::ACCEPT, http::HeaderValue::from_static("application/x-www-form-urlencoded")));
    }
    parse_body(body)
}

/// Parses a body whose content type has been checked. Errors are 400 problems.
pub fn parse_body(body: &[u8]) -> Result<Form, Problem> {
    let mut form = Form(Vec::new());
    for (name, value) in pairs(body)? {
        if form.get(&name).is_some() && !LISTS.contains(&name.as_str()) {
            return Err(Problem::bad_request("malformed_form", Said::of(Words::errors_form_twice)));
        }
        form.0.push((name, value));
    }
    Ok(form)
}

/// Returns the fields of a body or of a query in the order they came, a name as often as it was sent. Errors are 400
/// problems.
pub fn pairs(body: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_FIELDS {
            return Err(Problem::bad_request("malformed_form", Said::of(Words::errors_form_too_many)));
        }
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default()),
            None => (pair, &[][..]),
        };
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

fn decode(text: &[u8]) -> Result<String, Problem> {
    // Tokens are long, and made of bytes that stand for themselves.
    let decoded = if memchr::memchr2(b'+', b'%', text).is_none() {
        text.to_vec()
    } else {
        let mut spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let decoded = percent_decode(&spaced).collect::<Vec<u8>>();
        spaced.zeroize();
        decoded
    };
    String::from_utf8(decoded).map_err(|error| {
        error.into_bytes().zeroize();
        Problem::bad_request("malformed_form", Said::of(Words::errors_form_not_utf8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let form = parse_body(b"username=ada&password=a+b%26c%C3%A4&&empty=&flag&on=on").unwrap();
        assert_eq!(form.get("username"), Some("ada"));
        assert_eq!(parse_body(b"only=%41%zz%").unwrap().get("only"), Some("A%zz%"));
        assert!(parse_body(b"plain=\xff").is_err() && parse_body(b"escaped=%ff").is_err());
        assert_eq!(form.text("password"), "a b&cä");
        assert_eq!(form.get("empty"), Some(""));
        assert_eq!(form.get("flag"), Some(""));
        assert_eq!(form.get("missing"), None);
        assert_eq!(form.text("missing"), "");
        assert!(form.is_ticked("on") && !form.is_ticked("flag") && !form.is_ticked("missing"));
        assert_eq!(format!("{form:?}"), r#"["username", "password", "empty", "flag", "on"]"#);
    }

    #[test]
    fn boxes_of_a_group_come_together() {
        let form = parse_body(b"group=a&name=x&group=b").unwrap();
        assert_eq!(form.all("group").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.all("method").count(), 0);
    }

    /// INP-05: a field twice, bytes that are not UTF-8 and too many fields are refused.
    #[test]
    fn ambiguous_forms_are_refused() {
        let many = (0..65).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
        for bad in [&b"a=1&a=2"[..], b"a=1&%61=2", b"a=%ff", b"%ff=a", many.as_bytes()] {
            assert_eq!(parse_body(bad).unwrap_err().code, "malformed_form");
        }
        let headers = RequestHeaders::from_iter([(header::CONTENT_TYPE, "application/json")]);
        assert_eq!(parse(&headers, b"a=1").unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
