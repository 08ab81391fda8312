//! Forms with files (`multipart/form-data`, RFC 7578): every field at most once, bounded, nothing guessed. The parts are
//! slices of the body.

use http::{StatusCode, header};
use memchr::memmem;

use super::{Problem, RequestHeaders};
use crate::words::{Said, Words};

/// More parts than this are refused.
const MAX_PARTS: usize = 8;
/// The longest head of a part.
const LONGEST_HEAD: usize = 1024;
/// The longest boundary (RFC 2046 section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// The parts of a form, in the order they came.
pub struct Multipart<'a>(Vec<(String, &'a [u8])>);

impl<'a> Multipart<'a> {
    /// Returns the content of a part; empty if it was not sent.
    pub fn bytes(&self, name: &str) -> &'a [u8] {
        self.0.iter().find(|(own, _)| own == name).map_or(&[], |(_, bytes)| bytes)
    }

    /// Returns the content of a part as text; empty if it was not sent or is not UTF-8.
    pub fn text(&self, name: &str) -> &'a str {
        std::str::from_utf8(self.bytes(name)).unwrap_or_default()
    }
}

/// Takes a body apart. Errors are 415 and 400 problems.
pub fn parse<'a>(headers: &RequestHeaders, body: &'a [u8]) -> Result<Multipart<'a>, Problem> {
    let boundary = boundary(headers).ok_or_else(|| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            Said::of(Words::errors_form_files),
        )
    })?;
    split(body, &boundary)
        .ok_or_else(|| Problem::bad_request("malformed_form", Said::of(Words::errors_form_damaged)))
}

fn boundary(headers: &RequestHeaders) -> Option<String> {
    let value = headers.only(header::CONTENT_TYPE).ok()??;
    let mut parameters = value.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value.trim_matches('"'))
    })?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let is_sound = (1..=LONGEST_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(is_plain);
    is_sound.then(|| boundary.to_owned())
}

fn split<'a>(body: &'a [u8], boundary: &str) -> Option<Multipart<'a>> {
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(next.as_bytes());
    let mut parts: Vec<(String, &'a [u8])> = Vec::new();
    let mut rest = body.strip_prefix(first.as_bytes())?;
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return matches!(end, b"" | b"\r\n").then_some(Multipart(parts));
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = memmem::find(rest.get(..LONGEST_HEAD.min(rest.len()))?, b"\r\n\r\n")?;
        let (head, content) = (rest.get(..head_end)?, rest.get(head_end + 4..)?);
        let name = name_of(std::str::from_utf8(head).ok()?)?;
        let end = finder.find(content)?;
        if parts.len() == MAX_PARTS || parts.iter().any(|(own, _)| *own == name) {
            return None;
        }
        parts.push((name, content.get(..end)?));
        rest = content.get(end + next.len()..)?;
    }
}

/// Returns the name in `Content-Disposition: form-data; name="..."`.
fn name_of(head: &str) -> Option<String> {
    let mut found = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        if !name.eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        let rest = value.trim_start().strip_prefix("form-data;")?;
        let rest = rest.trim_start().strip_prefix("name=\"")?;
        let (name, _) = rest.split_once('"')?;
        found = Some(name.to_owned());
    }
    found.filter(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(kind: &str) -> RequestHeaders {
        RequestHeaders::from_iter([(header::CONTENT_TYPE, kind)])
    }

    const KIND: &str = "multipart/form-data; boundary=----b0undary";
    const BODY: &str = "------b0undary\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n------b0undary\r\n\
        content-disposition: form-data; name=\"backup\"; filename=\"a\\\"b.txt\"\r\nContent-Type: text/plain\r\n\r\n\
        one\r\n--two\r\n\r\n------b0undary--\r\n";

    #[test]
    fn a_form_with_a_file_is_taken_apart() {
        let form = parse(&headers(KIND), BODY.as_bytes()).unwrap();
        assert_eq!(form.text("csrf"), "abc");
        assert_eq!(form.bytes("backup"), b"one\r\n--two\r\n");
        assert_eq!(form.bytes("missing"), b"");
    }

    /// INP-05: what is cut, doubled or nameless is refused, at every length.
    #[test]
    fn damaged_forms_are_refused() {
        for length in 0..BODY.len() - 2 {
            assert!(parse(&headers(KIND), &BODY.as_bytes()[..length]).is_err(), "{length}");
        }
        let twice = BODY.replace("\"backup\"", "\"csrf\"");
        let nameless = BODY.replace("name=\"csrf\"", "name=\"\"");
        let preamble = format!("x\r\n{BODY}");
        let long = BODY.replace("text/plain", &"x".repeat(2000));
        for bad in [twice, nameless, preamble, long, format!("{BODY}x")] {
            assert_eq!(parse(&headers(KIND), bad.as_bytes()).err().unwrap().code, "malformed_form");
        }
        for kind in [
            "text/plain",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=x",
        ] {
            let refused = parse(&headers(kind), BODY.as_bytes()).err().unwrap();
            assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
    }
}
