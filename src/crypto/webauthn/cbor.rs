//! The part of CBOR that authenticators write (CTAP 2.2 section 8, RFC 8949): lengths up front, numbers in their shortest
//! form, at most four levels. What is nested is stepped over; only maps at the top are read.

/// The most entries of a map or array.
const MOST_ENTRIES: u64 = 64;
/// The most levels: an attestation statement holds an array of certificates.
const MOST_LEVELS: u8 = 4;

/// The name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Number(i64),
    Text(&'a str),
}

/// The value of an entry, as far as anybody here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Other,
}

/// A map whose names occur once.
#[derive(Debug)]
pub(super) struct Map<'a>(Vec<(Key<'a>, Value<'a>)>);

impl<'a> Map<'a> {
    pub(super) fn get(&self, key: Key<'_>) -> Option<Value<'a>> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub(super) fn number(&self, key: i64) -> Option<i64> {
        match self.get(Key::Number(key)) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, key: Key<'_>) -> Option<&'a [u8]> {
        match self.get(key) {
            Some(Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

/// Reads the map that `bytes` begin with, and returns what follows it.
pub(super) fn map(bytes: &[u8]) -> Option<(Map<'_>, &[u8])> {
    let mut reader = Reader { rest: bytes };
    let (5, count) = reader.head()? else { return None };
    if count > MOST_ENTRIES {
        return None;
    }
    let mut entries: Vec<(Key<'_>, Value<'_>)> = Vec::new();
    for _ in 0..count {
        let key = match reader.value(1)? {
            Value::Number(number) => Key::Number(number),
            Value::Text(text) => Key::Text(text),
            Value::Bytes(_) | Value::Other => return None,
        };
        if entries.iter().any(|(other, _)| *other == key) {
            return None;
        }
        entries.push((key, reader.value(1)?));
    }
    Some((Map(entries), reader.rest))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads the major type and its argument.
    fn head(&mut self) -> Option<(u8, u64)> {
        let [first] = *self.take(1)? else { return None };
        let (width, least) = match first & 31 {
            small @ 0..24 => return Some((first >> 5, u64::from(small))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return None,
        };
        let number = self.take(width)?.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        (number >= least && first >> 5 != 7).then_some((first >> 5, number))
    }

    fn value(&mut self, level: u8) -> Option<Value<'a>> {
        if level > MOST_LEVELS {
            return None;
        }
        let (major, argument) = self.head()?;
        let number = || i64::try_from(argument).ok();
        match major {
            0 => Some(Value::Number(number()?)),
            1 => Some(Value::Number(-1 - number()?)),
            2 => Some(Value::Bytes(self.take(argument)?)),
            3 => Some(Value::Text(std::str::from_utf8(self.take(argument)?).ok()?)),
            4 | 5 if argument <= MOST_ENTRIES => {
                for _ in 0..argument * u64::from(major - 3) {
                    self.value(level + 1)?;
                }
                Some(Value::Other)
            }
            // False, true, null.
            7 if (20..=22).contains(&argument) => Some(Value::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_map_is_read_and_what_follows_is_left() {
        let bytes = [0xa3, 0x01, 0x02, 0x20, 0x42, 7, 8, 0x61, b'a', 0x82, 0xf5, 0xa1, 0x01, 0x38, 0x18, 9];
        let (map, rest) = map(&bytes).unwrap();
        assert_eq!(map.number(1), Some(2));
        assert_eq!(map.bytes(Key::Number(-1)), Some(&[7, 8][..]));
        assert_eq!(map.get(Key::Text("a")), Some(Value::Other));
        assert_eq!((map.number(5), rest), (None, &[9][..]));
    }

    /// PK-08: twice the same name, open lengths, long forms, too deep, too many, cut short: refused.
    #[test]
    fn what_no_authenticator_writes_is_refused() {
        let cases: [&[u8]; 10] = [
            &[],
            &[0xa2, 1, 1, 1, 2],
            &[0xbf, 1, 1, 0xff],
            &[0xa1, 0x18, 1, 1],
            &[0xa1, 1, 0x81, 0x81, 0x81, 0x81, 0x80],
            &[0xb8, 65],
            &[0xa1, 1],
            &[0xa1, 1, 0x5b, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0x81, 1],
            &[0xa1, 1, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in cases {
            assert!(map(bytes).is_none(), "{bytes:02x?}");
        }
    }

    proptest! {
        /// PK-08: no bytes take the process down.
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = map(&bytes);
            let _ = map(&[&[0xa8], bytes.as_slice()].concat());
        }
    }
}
