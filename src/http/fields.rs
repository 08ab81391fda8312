//! The header fields that an answer sets itself: a handful, so a list is quicker to make than a table.

use http::{HeaderName, HeaderValue};

/// Header fields in the order in which they were set.
#[derive(Debug, Default)]
pub struct Fields(Vec<(HeaderName, HeaderValue)>);

impl Fields {
    /// Sets a field; values that it had before are gone.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|(own, _)| *own != name);
        self.0.push((name, value));
    }

    /// Adds a value to those that the field has.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Returns the first value of a field.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&HeaderValue> {
        self.0.iter().find(|(own, _)| own.as_str() == name.as_ref()).map(|(_, value)| value)
    }

    /// Tells whether a field is set.
    pub fn contains_key(&self, name: impl AsRef<str>) -> bool {
        self.get(name).is_some()
    }

    /// Writes the lines, each with its CRLF. Neither names nor values of these types can hold a line end.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{SET_COOKIE, VARY};

    #[test]
    fn a_value_that_is_set_takes_the_place_of_those_before() {
        let value = HeaderValue::from_static;
        let mut own = Fields::default();
        own.append(SET_COOKIE, value("gone"));
        own.append(SET_COOKIE, value("too"));
        own.insert(SET_COOKIE, value("a=1"));
        own.append(VARY, value("Origin"));
        own.append(SET_COOKIE, value("b=2"));
        assert_eq!(own.get("set-cookie"), Some(&value("a=1")));
        assert!(own.contains_key(VARY) && !own.contains_key("varied"));
        let mut text = Vec::new();
        own.write(&mut text);
        assert_eq!(text, b"set-cookie: a=1\r\nvary: Origin\r\nset-cookie: b=2\r\n");
    }
}
