//! The judge of request heads. hyper is lenient where RFC 9112 lets it be (bare LF, Content-Length beside
//! Transfer-Encoding, two Hosts) and answers what it does refuse without our security headers; so every head is
//! judged here first, and only of sound ones hyper gets to know what frames them (INP-02, INP-03, WEB-08).

use std::iter;
use std::ops::Range;

use super::byte_set::ByteSet;
use super::request_headers::{Line, RequestHeaders};

/// A head larger than this is refused.
pub(super) const MAX_HEAD: usize = 32 * 1024;
/// A request target longer than this is refused. `/signin?rd=` carries another target of ours, whose escapes are escaped.
pub(super) const MAX_TARGET: usize = 16 * 1024;
/// More header lines than this are refused.
pub(super) const MAX_HEADERS: usize = 100;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400: not HTTP/1.x as RFC 9112 writes it, or two readings are possible.
    Malformed,
    /// 405: TRACE or CONNECT (INP-04).
    Method,
    /// 414: the target is too long.
    TargetTooLong,
    /// 431: the head is too large or has too many lines.
    HeadTooLarge,
    /// 505: another version of HTTP.
    Version,
}

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A body of this many bytes, then the next head.
    Length(u64),
    /// A chunked body. What follows it is not read: the connection closes after the answer.
    Chunked,
}

/// A sound head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How many bytes it takes, with its empty line.
    pub length: usize,
    /// How many of them the request line takes, with its CRLF.
    pub request_line: usize,
    /// How long the method is, and, behind a space, the target.
    pub method: usize,
    pub target: usize,
    /// Whether this is HTTP/1.1, where a connection stays open unless somebody says otherwise.
    pub is_http_11: bool,
    /// What follows.
    pub framing: Framing,
}

impl Head {
    /// Returns method and target. `head` is what it was read from.
    pub(super) fn request_line<'a>(&self, head: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (method, rest) = head.split_at_checked(self.method)?;
        Some((method, rest.get(1..=self.target)?))
    }

    /// Returns where in the head stands what hyper has to know of it, the last piece first. `headers` are its fields.
    pub(super) fn pieces_from_the_end(&self, headers: &RequestHeaders) -> impl Iterator<Item = Range<usize>> {
        let request_line = iter::once(0..self.request_line);
        let empty_line = iter::once(self.length - 2..self.length);
        empty_line.chain(headers.framing_from_the_end()).chain(request_line)
    }
}

/// Reads the head at the front of `bytes`, of which the first `seen` did not make a whole one, and its fields into
/// `headers`. Returns `None` if more is needed. What is wrong is refused when all of the head is there, or the answer would
/// be lost to what is still under way.
pub(super) fn read(bytes: &[u8], seen: usize, headers: &mut RequestHeaders) -> Result<Option<Head>, Refusal> {
    headers.clear();
    // So whoever sends single bytes has each line judged as often as there are lines, and not as there are bytes.
    let has_new_line = memchr::memchr(b'\n', bytes.get(seen..).unwrap_or_default()).is_some();
    let head = if has_new_line { judge(bytes, headers) } else { Ok(None) };
    match head {
        Ok(Some(head)) if head.length > MAX_HEAD => Err(Refusal::HeadTooLarge),
        Ok(Some(head)) => Ok(Some(head)),
        _ if bytes.len() >= MAX_HEAD => Err(head.err().unwrap_or_else(|| too_large(bytes))),
        Err(refusal) if has_end(bytes, seen) => Err(refusal),
        _ => Ok(None),
    }
}

/// Tells whether the head at the front of `bytes`, which had not ended with the first `seen` of them, has ended: by an empty
/// line, or by a bare LF, behind which nothing can be told any more.
pub(super) fn has_end(bytes: &[u8], seen: usize) -> bool {
    memchr::memchr_iter(b'\n', bytes.get(seen..).unwrap_or_default()).any(|at| {
        let before = bytes.get(..seen + at).unwrap_or_default();
        !before.ends_with(b"\r") || before.ends_with(b"\r\n\r")
    })
}

/// A head that does not end is usually one overlong target.
fn too_large(bytes: &[u8]) -> Refusal {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) if at <= MAX_TARGET => Refusal::HeadTooLarge,
        _ => Refusal::TargetTooLong,
    }
}

/// Judges the lines of a head one by one, until the empty one.
fn judge(bytes: &[u8], headers: &mut RequestHeaders) -> Result<Option<Head>, Refusal> {
    let mut lines = Lines { bytes, next: 0 };
    let Some((_, line)) = lines.take()? else { return Ok(None) };
    let RequestLine { method, target, is_http_11 } = request_line(line)?;
    let request_line = lines.next;
    let mut fields = FramingFields::default();
    let mut count = 0;
    loop {
        let Some((start, line)) = lines.take()? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > MAX_HEADERS {
            return Err(Refusal::HeadTooLarge);
        }
        let field = fields.take(line)?;
        if field.is_underscored {
            headers.had_underscores = true;
            continue;
        }
        headers.push(Line {
            start: place(start)?,
            end: place(lines.next)?,
            name: place(field.name)?,
            value: place(start + field.value.start)?,
            value_end: place(start + field.value.end)?,
            is_framing: field.is_framing,
        });
    }
    let framing = fields.framing(is_http_11)?;
    check_host(target, fields.host, is_http_11)?;
    headers.set_text(bytes.get(..lines.next).unwrap_or_default());
    Ok(Some(Head { length: lines.next, request_line, method, target: target.len(), is_http_11, framing }))
}

fn place(at: usize) -> Result<u16, Refusal> {
    u16::try_from(at).map_err(|_| Refusal::HeadTooLarge)
}

/// The lines of a head.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next one starts.
    next: usize,
}

impl<'a> Lines<'a> {
    /// Takes the next line: where it starts, and what stands before its CRLF; `None` if it has not ended yet. A bare LF is
    /// refused here, a bare CR by whatever judges the line.
    fn take(&mut self) -> Result<Option<(usize, &'a [u8])>, Refusal> {
        let start = self.next;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
        let line = rest.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Refusal::Malformed)?;
        self.next = start + end + 1;
        Ok(Some((start, line)))
    }
}

struct RequestLine<'a> {
    /// How long the method is.
    method: usize,
    target: &'a [u8],
    is_http_11: bool,
}

fn request_line(line: &[u8]) -> Result<RequestLine<'_>, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    if method.is_empty() || method.len() > 32 || !TOKEN_BYTES.has_all(method) {
        return Err(Refusal::Malformed);
    }
    let is_http_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ if version.starts_with(b"HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::Malformed),
    };
    if method == b"TRACE" || method == b"CONNECT" {
        return Err(Refusal::Method);
    }
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if target.is_empty() || !TARGET_BYTES.has_all(target) {
        return Err(Refusal::Malformed);
    }
    Ok(RequestLine { method: method.len(), target, is_http_11 })
}

/// A header line, taken apart.
struct Field {
    /// How long its name is.
    name: usize,
    /// Where its value stands in the line, without the spaces around it.
    value: Range<usize>,
    is_underscored: bool,
    is_framing: bool,
}

#[derive(Default)]
struct FramingFields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    is_chunked: bool,
}

impl<'a> FramingFields<'a> {
    /// Takes one header line.
    fn take(&mut self, line: &'a [u8]) -> Result<Field, Refusal> {
        // No colon, a space before it, or a folded line: the name is no token.
        let mut is_underscored = false;
        let is_colon = |byte: &u8| {
            is_underscored |= *byte == b'_';
            !TOKEN_BYTES.has(*byte)
        };
        let colon = line.iter().position(is_colon).ok_or(Refusal::Malformed)?;
        let (name, rest) = line.split_at_checked(colon).ok_or(Refusal::Malformed)?;
        let rest = rest.strip_prefix(b":").ok_or(Refusal::Malformed)?;
        if name.is_empty() || !is_value(rest) {
            return Err(Refusal::Malformed);
        }
        let value = rest.trim_ascii_start();
        let start = line.len() - value.len();
        let value = value.trim_ascii_end();
        let is_framing = match name.len() {
            4 if is_name(name, b"host") => {
                once(self.host.replace(value))?;
                false
            }
            14 if is_name(name, b"content-length") => {
                let length = decimal(value).ok_or(Refusal::Malformed)?;
                once(self.length.replace(length))?;
                true
            }
            17 if is_name(name, b"transfer-encoding") => {
                if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Malformed);
                }
                self.is_chunked = true;
                true
            }
            10 => is_name(name, b"connection"),
            6 => is_name(name, b"expect"),
            _ => false,
        };
        Ok(Field { name: name.len(), value: start..start + value.len(), is_underscored, is_framing })
    }

    fn framing(&self, is_http_11: bool) -> Result<Framing, Refusal> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Refusal::Malformed),
            (true, None) if !is_http_11 => Err(Refusal::Malformed),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Tells whether a name is `wanted`, which is in lower case. Most that are as long differ in the first letter.
fn is_name(name: &[u8], wanted: &[u8]) -> bool {
    name.first().map(u8::to_ascii_lowercase) == wanted.first().copied() && name.eq_ignore_ascii_case(wanted)
}

/// Refuses a field that was there before.
fn once<T>(before: Option<T>) -> Result<(), Refusal> {
    if before.is_some() { Err(Refusal::Malformed) } else { Ok(()) }
}

/// HTTP/1.1 has exactly one Host (RFC 9112 section 3.2), and an absolute target names the same one.
fn check_host(target: &[u8], host: Option<&[u8]>, is_http_11: bool) -> Result<(), Refusal> {
    if is_http_11 && host.is_none() {
        return Err(Refusal::Malformed);
    }
    if host.is_some_and(|host| !host.iter().all(|byte| byte.is_ascii_graphic())) {
        return Err(Refusal::Malformed);
    }
    if target.starts_with(b"/") || target == b"*" {
        return Ok(());
    }
    let text = std::str::from_utf8(target).map_err(|_| Refusal::Malformed)?;
    let uri = text.parse::<http::Uri>().map_err(|_| Refusal::Malformed)?;
    let authority = uri.authority().ok_or(Refusal::Malformed)?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_same = host.is_none_or(|host| host.eq_ignore_ascii_case(authority.as_str().as_bytes()));
    if is_web && is_same && !authority.as_str().contains('@') { Ok(()) } else { Err(Refusal::Malformed) }
}

/// Decimal digits alone, without sign, list or more than 18 of them.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `tchar` of RFC 9110 section 5.6.2.
const TOKEN_BYTES: ByteSet =
    ByteSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&'*+-.^_`|~");

/// Visible ASCII but `#` (a target has no fragment) and the few that no URL holds.
const TARGET_BYTES: ByteSet =
    ByteSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!$%&'()*+,-./:;=?@[]_{|}~");

/// Tells whether a value is made of visible characters, spaces, tabs and bytes beyond ASCII (RFC 9110 section 5.5). Values
/// are most of a head, so eight bytes are judged at once.
fn is_value(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    // Spaces make up for what is missing.
    let mut last = [b' '; 8];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    // All of them whatever the first ones say, so that the compiler can take several at a time.
    words.iter().chain([&last]).fold(true, |sound, word| sound & holds_value(u64::from_ne_bytes(*word)))
}

/// Judges eight bytes. The additions carry a byte's answer into its highest bit and, as that was clear, never beyond it:
/// set where the byte is a space or greater, no tab, no DEL.
fn holds_value(word: u64) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let low = word & each(0x7f);
    let from_space = low + each(0x80 - b' ');
    let no_tab = (low ^ each(b'\t')) + each(0x7f);
    let no_del = (low ^ each(0x7f)) + each(0x7f);
    (word | (from_space | !no_tab) & no_del) & each(0x80) == each(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::buffer::Buffer;
    use proptest::prelude::*;

    fn read(bytes: &[u8], seen: usize) -> Result<Option<Head>, Refusal> {
        super::read(bytes, seen, &mut RequestHeaders::default())
    }

    fn check(head: &[u8]) -> Result<Head, Refusal> {
        read(head, 0).map(|head| head.expect("the head ends"))
    }

    #[test]
    fn each_byte_of_a_value_is_judged_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_sound = matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
            for (length, at) in (1..20).flat_map(|length| (0..length).map(move |at| (length, at))) {
                for around in *b"\ta \xff" {
                    let mut value = vec![around; length];
                    value[at] = byte;
                    assert_eq!(is_value(&value), is_sound, "{byte} at {at} of {value:?}");
                }
            }
        }
        assert!(is_value(b""));
    }

    #[test]
    fn sound_heads_pass() {
        for (head, framing) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            ("GET /a?b=c[]&d={}| HTTP/1.1\r\nhost:a\r\n\r\n", Framing::Length(0)),
            ("GET / HTTP/1.0\r\n\r\n", Framing::Length(0)),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            ("GET http://A:80/x HTTP/1.1\r\nHost: a:80\r\n\r\n", Framing::Length(0)),
            ("PROPFIND /dav HTTP/1.1\r\nHost: a\r\nDepth: 1\r\n\r\n", Framing::Length(0)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:  12 \r\n\r\n", Framing::Length(12)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked),
            ("GET / HTTP/1.1\r\nHost:\r\nX: ä\t \r\nY:\r\n\r\n", Framing::Length(0)),
        ] {
            assert_eq!(check(head.as_bytes()).map(|head| head.framing), Ok(framing), "{head}");
        }
    }

    /// INP-03: everything that two parsers may read differently is refused.
    #[test]
    fn heads_that_smuggle_are_refused() {
        use Refusal::{HeadTooLarge, Malformed, Method, TargetTooLong, Version};
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(17_000));
        let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40_000));
        let endless = "GET /".to_owned() + &"a".repeat(40_000);
        for (head, refusal) in [
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                Malformed,
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                Malformed,
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", Malformed),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Malformed,
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", Malformed),
            ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\nHost: a\n\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nX: y\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", Malformed),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /\\x HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", Malformed),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /\r\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Version),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Method),
            (&many, HeadTooLarge),
            (&long, TargetTooLong),
            (&huge, HeadTooLarge),
            (&endless, TargetTooLong),
        ] {
            assert_eq!(check(head.as_bytes()), Err(refusal), "{}", head.get(..90).unwrap_or(head));
        }
    }

    /// FWD-09: a name with an underscore is none of a request.
    #[test]
    fn the_fields_are_told_without_those_of_underscored_names() {
        let head = b"POST /a HTTP/1.1\r\nRemote_User: a\r\nHost:a\r\nX_: b\r\nX-Empty:\t \r\nExpect: 100-continue\r\n\
            CONNECTION: close\r\nCookie: \ta=b; c= \xe4 \r\nContent-Length: 3\r\n\r\nabcX: y\r\n\r\n";
        let mut headers: RequestHeaders = [("left", "over")].into_iter().collect();
        let sound = super::read(head, 0, &mut headers).unwrap().unwrap();
        assert_eq!((sound.request_line, sound.length), (18, head.len() - 11));
        assert!(headers.had_underscores);
        let all: Vec<_> = headers.iter().collect();
        let expected: [(&str, &[u8]); 6] = [
            ("host", b"a"),
            ("x-empty", b""),
            ("expect", b"100-continue"),
            ("connection", b"close"),
            ("cookie", b"a=b; c= \xe4"),
            ("content-length", b"3"),
        ];
        assert_eq!(all, expected);
        let framing: Vec<_> = headers.framing_from_the_end().map(|range| &head[range]).collect();
        assert_eq!(
            framing,
            [&b"Content-Length: 3\r\n"[..], b"CONNECTION: close\r\n", b"Expect: 100-continue\r\n"]
        );
        super::read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, &mut headers).unwrap().unwrap();
        assert!(!headers.had_underscores && headers.iter().count() == 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, 0);
            let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
            head.extend(&bytes);
            head.extend(b"\r\n\r\n");
            let _ = read(&head, 0);
        }

        #[test]
        fn the_end_is_found_however_the_bytes_arrive(cut in 0usize..33) {
            let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nbody\n";
            prop_assert_eq!(read(&head[..cut], 0), Ok(None));
            prop_assert_eq!(read(head, cut).map(|head| head.map(|head| head.length)), Ok(Some(33)));
        }

        /// The answer to a head of which some is still under way would be lost with the connection.
        #[test]
        fn a_wrong_head_is_refused_when_it_has_ended(cut in 1usize..60) {
            let head = b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: y\r\nX: a long value\r\n\r\n";
            let cut = cut.min(head.len() - 1);
            prop_assert_eq!(read(&head[..cut], 0), Ok(None));
            prop_assert_eq!(read(head, cut), Err(Refusal::Malformed));
        }

        /// Whatever comes in whatever pieces, the outcome is that of the whole.
        #[test]
        fn pieces_make_no_difference(
            lines in prop::collection::vec("(GET / HTTP/1.1|Host: a|X_y: z|X: \t|Content-Length: 3|\\PC{0,9}|)(\r\n|\n|\r|)", 0..9),
            cuts in prop::collection::vec(1usize..30, 0..20),
        ) {
            let bytes = lines.concat().into_bytes();
            let whole = read(&bytes, 0);
            let (mut seen, mut in_pieces) = (0, Ok(None));
            for cut in cuts.into_iter().chain([bytes.len()]) {
                let end = (seen + cut).min(bytes.len());
                in_pieces = read(&bytes[..end], seen);
                if in_pieces != Ok(None) {
                    break;
                }
                seen = end;
            }
            prop_assert_eq!(in_pieces, whole);
        }

        /// Nobody but the judge reads the fields, so they are compared with what the parser of hyper makes of them; and what hyper
        /// is given it must take whole, or it would answer without our headers (WEB-08).
        #[test]
        fn the_parser_of_hyper_reads_the_same(
            lines in prop::collection::vec(
                "(Content-Length: 3|Transfer-Encoding: chunked|[cC]onnection: (close|x, keep-alive)|Expect: 100-continue\
                |(X|x-y|Cookie|a_b|Content_Length):[ \t]{0,2}[ -~\u{e4}\t]{0,9}[ \t]{0,2})", 0..9),
            target in "/[a-z?=%]{0,20}",
            behind in "[ -~\r\n]{0,20}",
        ) {
            let mut head = format!("POST {target} HTTP/1.1\r\nHost: a\r\n");
            lines.iter().for_each(|line| head.extend([line, "\r\n"]));
            let bytes = head + "\r\n" + &behind;
            let mut headers = RequestHeaders::default();
            let Ok(Some(sound)) = super::read(bytes.as_bytes(), 0, &mut headers) else { return Ok(()) };

            let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut whole = httparse::Request::new(&mut space);
            prop_assert_eq!(whole.parse(bytes.as_bytes()), Ok(httparse::Status::Complete(sound.length)));
            let theirs: Vec<_> = whole.headers.iter().filter(|field| !field.name.contains('_')).collect();
            prop_assert_eq!(headers.had_underscores, theirs.len() < whole.headers.len());
            prop_assert_eq!(headers.iter().count(), theirs.len());
            for ((name, value), theirs) in headers.iter().zip(&theirs) {
                prop_assert_eq!((name, value), (&*theirs.name.to_ascii_lowercase(), theirs.value));
            }

            let mut buffer = Buffer::default();
            buffer.room()[..bytes.len()].copy_from_slice(bytes.as_bytes());
            buffer.add(bytes.len());
            let kept = buffer.keep(sound.length, sound.pieces_from_the_end(&headers));
            prop_assert_eq!(&buffer.waiting()[kept..], behind.as_bytes());
            let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut seen = httparse::Request::new(&mut space);
            prop_assert_eq!(seen.parse(buffer.waiting()), Ok(httparse::Status::Complete(kept)));
            prop_assert_eq!((seen.method, seen.path, seen.version), (whole.method, whole.path, whole.version));
            let is_framing = |name: &str| {
                let framing = ["connection", "content-length", "expect", "transfer-encoding"];
                framing.iter().any(|own| name.eq_ignore_ascii_case(own))
            };
            let framing: Vec<_> = theirs.into_iter().filter(|field| is_framing(field.name)).collect();
            prop_assert_eq!(seen.headers.iter().collect::<Vec<_>>(), framing);
        }

        /// What is judged sound must never fail in hyper, which would answer without our headers (WEB-08).
        #[test]
        fn every_sound_target_is_a_uri_for_hyper(target in "/[ -~]{0,12}") {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            if check(head.as_bytes()).is_ok() {
                prop_assert!(target.parse::<http::Uri>().is_ok(), "{}", target);
            }
        }
    }
}
