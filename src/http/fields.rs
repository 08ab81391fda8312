//! The header fields that an answer sets itself: a handful, so a list is quicker to make than a table.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header fields in the order in which they were set.
#[derive(Debug, Default)]
pub struct Fields(Vec<Field>);

#[derive(Debug)]
struct Field {
    name: HeaderName,
    value: HeaderValue,
    /// Whether the name has a value before this one.
    is_further: bool,
}

impl Fields {
    /// Sets a field; values that it had before are gone.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|field| field.name != name);
        self.0.push(Field { name, value, is_further: false });
    }

    /// Adds a value to those that the field has.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        let is_further = self.contains_key(&name);
        self.0.push(Field { name, value, is_further });
    }

    /// Returns the first value of a field.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&HeaderValue> {
        self.0.iter().find(|field| field.name.as_str() == name.as_ref()).map(|field| &field.value)
    }

    /// Tells whether a field is set.
    pub fn contains_key(&self, name: impl AsRef<str>) -> bool {
        self.get(name).is_some()
    }

    /// Sets all of them in `headers`.
    pub(super) fn set_in(self, headers: &mut HeaderMap) {
        for Field { name, value, is_further } in self.0 {
            if is_further {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{SET_COOKIE, VARY};

    #[test]
    fn they_take_the_place_of_those_that_are_there() {
        let value = HeaderValue::from_static;
        let mut own = Fields::default();
        own.append(SET_COOKIE, value("gone"));
        own.append(SET_COOKIE, value("too"));
        own.insert(SET_COOKIE, value("a=1"));
        own.append(VARY, value("Origin"));
        own.append(SET_COOKIE, value("b=2"));
        assert_eq!(own.get("set-cookie"), Some(&value("a=1")));
        assert!(own.contains_key(VARY) && !own.contains_key("varied"));
        let mut headers = HeaderMap::from_iter([(SET_COOKIE, value("theirs")), (VARY, value("theirs"))]);
        own.set_in(&mut headers);
        let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        assert_eq!(all(SET_COOKIE), [b"a=1", b"b=2"]);
        assert_eq!(all(VARY), [b"Origin"]);
    }
}
