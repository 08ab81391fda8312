//! The header fields of a request as they were sent, with a list of where each stands: made while the head is judged, and
//! read by comparing the few names of a request rather than by a table of owned ones.

use std::ops::Range;

use super::request::Ambiguous;

/// The most memory that is kept for the next request, in bytes: what the head of almost any takes.
const USUAL: usize = 4 * 1024;

/// Header fields in the order in which they were sent. Names are lower-case, however they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeaders {
    /// The head, with its names in lower case. Places in it fit into 16 bits: see `head::MAX_HEAD`.
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Whether there were names with an underscore. Gateways read it as a hyphen (`Remote_User`), so those lines are not
    /// among the others (FWD-09).
    pub had_underscores: bool,
}

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it starts, and where the next one does.
    pub start: u16,
    pub end: u16,
    /// How long its name is.
    pub name: u16,
    /// Where its value starts and ends.
    pub value: u16,
    pub value_end: u16,
    /// Whether it says where the message or the connection ends, which is what hyper has to know.
    pub is_framing: bool,
}

impl Line {
    fn name_range(&self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.name)
    }

    /// Returns all of it, with its CRLF.
    pub(super) fn range(&self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl RequestHeaders {
    /// Forgets everything, but keeps the memory, unless it is that of a long head.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(USUAL);
        self.lines.clear();
        self.had_underscores = false;
    }

    /// Adds a line of the head that [`RequestHeaders::set_text`] is going to set.
    pub(super) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Takes the head that the lines are in.
    pub(super) fn set_text(&mut self, head: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(head);
        for line in &self.lines {
            if let Some(name) = self.text.get_mut(line.name_range()) {
                name.make_ascii_lowercase();
            }
        }
    }

    /// Tells whether there is memory to read a head into.
    pub(super) fn has_room(&self) -> bool {
        self.text.capacity() > 0
    }

    /// Tells whether there is a line that hyper has to know.
    pub(super) fn has_framing(&self) -> bool {
        self.lines.iter().any(|line| line.is_framing)
    }

    /// Returns the lines that hyper has to know, the last one first.
    pub(super) fn framing_from_the_end(&self) -> impl Iterator<Item = Range<usize>> {
        self.lines.iter().rev().filter(|line| line.is_framing).map(Line::range)
    }

    fn name(&self, line: &Line) -> &[u8] {
        self.text.get(line.name_range()).unwrap_or_default()
    }

    fn is_named(&self, line: &Line, name: &str) -> bool {
        debug_assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name}");
        usize::from(line.name) == name.len() && self.name(line) == name.as_bytes()
    }

    fn value(&self, line: &Line) -> &[u8] {
        self.text.get(usize::from(line.value)..usize::from(line.value_end)).unwrap_or_default()
    }

    /// Returns the values of a field, whose name is given in lower case, in the order in which they were sent.
    pub fn get_all<'a, N: AsRef<str>>(
        &'a self,
        name: N,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, N> {
        self.lines.iter().filter(move |line| self.is_named(line, name.as_ref())).map(|line| self.value(line))
    }

    /// Returns the first value of a field.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.lines.iter().find(|line| self.is_named(line, name)).map(|line| self.value(line))
    }

    /// Returns the first value of a field, if it is ASCII.
    pub fn text(&self, name: impl AsRef<str>) -> Option<&str> {
        self.get(name).and_then(ascii)
    }

    /// Returns the value of a field that may be sent at most once, as ASCII.
    ///
    /// # Errors
    /// If it was sent more often, or holds other bytes.
    pub fn only(&self, name: impl AsRef<str>) -> Result<Option<&str>, Ambiguous> {
        let mut values = self.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => ascii(value).map(Some).ok_or(Ambiguous),
            _ => Err(Ambiguous),
        }
    }

    /// Tells whether a field was sent.
    pub fn contains_key(&self, name: impl AsRef<str>) -> bool {
        self.get(name).is_some()
    }

    /// Returns all names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines
            .iter()
            .map(|line| (std::str::from_utf8(self.name(line)).unwrap_or_default(), self.value(line)))
    }
}

/// Reads a value as text. No header holds control characters but tabs, so all that is to be seen is whether it is ASCII.
pub fn ascii(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.is_ascii())
}

/// Fields that a sound head would have, for tests. What does not fit into 64 KiB is left out.
impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for RequestHeaders {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = RequestHeaders::default();
        // Checked below, so nothing is cut.
        let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        for (name, value) in fields {
            let (name, value) = (name.as_ref(), value.as_ref());
            let start = headers.text.len();
            if start + name.len() + value.len() + 4 > usize::from(u16::MAX) {
                break;
            }
            for part in [name.to_ascii_lowercase().as_bytes(), b": ", value, b"\r\n"] {
                headers.text.extend_from_slice(part);
            }
            let value_start = start + name.len() + 2;
            headers.lines.push(Line {
                start: place(start),
                end: place(headers.text.len()),
                name: place(name.len()),
                value: place(value_start),
                value_end: place(value_start + value.len()),
                is_framing: false,
            });
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> RequestHeaders {
        [("Host", "a"), ("X-Twice", "1"), ("cookie", "ä"), ("x-twice", "2"), ("X-Empty", "")]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_field_is_found_however_its_name_was_written() {
        let headers = headers();
        assert_eq!(headers.get("host"), Some(&b"a"[..]));
        assert_eq!(headers.only(http::header::HOST), Ok(Some("a")));
        assert_eq!(headers.get_all("x-twice").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(headers.get_all("x-twice").next_back(), Some(&b"2"[..]));
        assert_eq!(headers.get("x-empty"), Some(&b""[..]));
        assert!(!headers.contains_key("hos") && !headers.contains_key("hosts") && !headers.contains_key(""));
        let all: Vec<_> = headers.iter().map(|(name, value)| (name, value.len())).collect();
        assert_eq!(all, [("host", 1), ("x-twice", 1), ("cookie", 2), ("x-twice", 1), ("x-empty", 0)]);
    }

    #[test]
    fn what_may_be_sent_once_is_refused_when_it_was_sent_twice_or_is_no_text() {
        let headers = headers();
        assert_eq!(headers.only("x-none"), Ok(None));
        assert_eq!(headers.only("x-twice"), Err(Ambiguous));
        assert_eq!(headers.only("cookie"), Err(Ambiguous));
        assert_eq!((headers.text("cookie"), headers.text("x-twice")), (None, Some("1")));
    }

    #[test]
    fn nothing_is_left_for_the_next_request() {
        let mut headers: RequestHeaders = [("x", "y".repeat(30_000))].into_iter().collect();
        headers.had_underscores = true;
        headers.clear();
        assert!(headers.text.capacity() <= USUAL && !headers.had_underscores);
        assert_eq!((headers.iter().count(), headers.get("x")), (0, None));
    }
}
