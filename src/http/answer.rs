//! An answer as text, for what is answered at once. Any other one is hyper's to frame.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use httpdate::HttpDate;

use super::Reply;
use super::headers::AnswerHeaders;
use crate::kernel::time::Timestamp;

/// The largest body that is copied behind its head.
const LARGEST: usize = 32 * 1024;

/// Tells whether a reply can be written as a whole. One that is no final answer would have another one behind it.
pub(super) fn is_short(reply: &Reply) -> bool {
    reply.rest.is_none() && reply.body.len() <= LARGEST && !reply.status.is_informational()
}

/// Writes the answer to a request: its head, and its body, unless the request was a HEAD (RFC 9110 section 9.3.2). `reply` is
/// one that [`is_short`].
pub(super) fn write(
    text: &mut Vec<u8>,
    mut reply: Reply,
    method: &Method,
    is_https: bool,
    date: &mut Date,
    now: Timestamp,
) {
    let headers = AnswerHeaders::of(&mut reply, is_https);
    let status = reply.status;
    if status == StatusCode::OK {
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"]
        {
            text.extend_from_slice(part.as_bytes());
        }
    }
    headers.write(text);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_head = *method == Method::HEAD;
    // A length never stands at 204; at 304 and in an answer to HEAD it speaks of the body that a GET would have been given,
    // which is not known if there is none (RFC 9110 section 8.6).
    if has_body && !(is_head && reply.body.is_empty()) {
        text.extend_from_slice(b"content-length: ");
        text.extend_from_slice(itoa::Buffer::new().format(reply.body.len()).as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"date: ");
    text.extend_from_slice(date.at(now).as_bytes());
    text.extend_from_slice(b"\r\n\r\n");
    if has_body && !is_head {
        text.extend_from_slice(&reply.body);
    }
}

/// The Date of the answers of one connection, which is written once a second (RFC 9110 section 5.6.7).
#[derive(Default)]
pub(super) struct Date {
    second: u64,
    text: String,
}

impl Date {
    /// The last second of the year 9999. There is no way to write a later one.
    const LAST: u64 = 253_402_300_799;

    fn at(&mut self, now: Timestamp) -> &str {
        let second = now.as_secs().min(Self::LAST);
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            // To write into a text cannot fail.
            let _ = write!(self.text, "{}", HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)));
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: Reply, method: &Method) -> String {
        let mut text = Vec::new();
        let now = Timestamp::from_secs(784_111_777);
        write(&mut text, reply, method, false, &mut Date::default(), now);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn an_answer_has_its_framing_once() {
        let reply = || Reply::json(StatusCode::NOT_FOUND, &"ä");
        let whole = written(reply(), &Method::GET);
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n"), "{head}");
        assert!(head.ends_with("\r\ncontent-length: 4\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT"), "{head}");
        assert_eq!(body, "\"ä\"");
        assert_eq!(written(reply(), &Method::HEAD), format!("{head}\r\n\r\n"));
        let empty = written(Reply::empty(StatusCode::OK), &Method::GET);
        assert!(
            empty.starts_with("HTTP/1.1 200 OK\r\n") && empty.contains("\r\ncontent-length: 0\r\n"),
            "{empty}"
        );
        let empty = written(Reply::empty(StatusCode::UNAUTHORIZED), &Method::HEAD);
        assert!(!empty.contains("content-length") && empty.ends_with(" GMT\r\n\r\n"), "{empty}");
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            assert!(!written(Reply::empty(status), &Method::GET).contains("content-length"), "{status}");
        }
    }

    #[test]
    fn long_answers_are_left_to_hyper() {
        let of = |length| Reply::bytes(StatusCode::OK, "text/plain", vec![b'a'; length]);
        assert!(is_short(&of(LARGEST)) && !is_short(&of(LARGEST + 1)));
        assert!(!is_short(&of(1).followed_by(|| Ok(None))));
        assert!(!is_short(&Reply::empty(StatusCode::CONTINUE)));
    }

    #[test]
    fn the_date_is_that_of_the_answer() {
        let mut date = Date::default();
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
            (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (u64::MAX / 2000, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date.at(Timestamp::from_secs(second)), text);
        }
    }
}
