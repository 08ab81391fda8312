//! The little DER (ITU-T X.690) that private keys are written in: SEQUENCE, INTEGER, OCTET STRING, OBJECT IDENTIFIER.
//! Only minimal, definite lengths are read, so a key has one spelling.

use zeroize::Zeroizing;

/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(super) const OID: u8 = 0x06;
/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, where an ECPrivateKey names its curve.
pub(super) const PARAMETERS: u8 = 0xa0;

/// Reads the elements of one level, one after the other.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// Takes the next element, which must have this tag, and returns its content.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (bytes, rest) = rest.split_at_checked(2)?;
                (usize::from(u16::from_be_bytes(bytes.try_into().ok()?)), rest)
            }
            _ => return None,
        };
        let is_minimal = match first {
            0x81 => length >= 0x80,
            0x82 => length >= 0x100,
            _ => true,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        if found != tag || !is_minimal {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    /// Takes the next element as a small whole number.
    pub(super) fn take_small(&mut self) -> Option<u8> {
        match self.take(INTEGER)? {
            [number @ 0..=0x7f] => Some(*number),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Opens an element that must be the whole of `bytes`.
pub(super) fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes);
    let content = reader.take(tag)?;
    reader.is_empty().then_some(content)
}

/// Appends an element. `None` if it is longer than a private key can be (64 KiB).
pub(super) fn push(out: &mut Zeroizing<Vec<u8>>, tag: u8, content: &[u8]) -> Option<()> {
    out.push(tag);
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend_from_slice(&[0x81, low]),
        _ => out.extend_from_slice(&[0x82, high, low]),
    }
    out.extend_from_slice(content);
    Some(())
}

/// Appends an INTEGER that is not negative, from big-endian bytes with or without leading zeros.
pub(super) fn push_unsigned(out: &mut Zeroizing<Vec<u8>>, big_endian: &[u8]) -> Option<()> {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    let (_, digits) = big_endian.split_at_checked(zeros)?;
    let mut content = Zeroizing::new(Vec::with_capacity(digits.len() + 1));
    // The first bit of an INTEGER is its sign; zero is one zero byte.
    if digits.first().is_none_or(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    push(out, INTEGER, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(bytes: &[u8]) -> Vec<u8> {
        let mut out = Zeroizing::new(Vec::new());
        push_unsigned(&mut out, bytes).unwrap();
        out.to_vec()
    }

    #[test]
    fn integers_are_minimal_and_never_negative() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[1, 0, 1]), [2, 3, 1, 0, 1]);
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7; length];
            let mut out = Zeroizing::new(Vec::new());
            push(&mut out, OCTETS, &content).unwrap();
            assert_eq!(whole(&out, OCTETS).unwrap(), content);
            assert!(whole(&out, SEQUENCE).is_none());
            assert!(whole(&out[..out.len() - 1], OCTETS).is_none());
            out.push(0);
            assert!(whole(&out, OCTETS).is_none(), "something follows");
        }
        assert!(push(&mut Zeroizing::new(Vec::new()), OCTETS, &vec![0; 0x1_0000]).is_none());
    }

    #[test]
    fn lengths_that_are_not_minimal_are_refused() {
        for bad in [
            &[4, 0x81, 1, 9][..],
            &[4, 0x82, 0, 1, 9],
            &[4, 0x83, 0, 0, 1, 9],
            &[4, 0x80, 9, 0, 0],
            &[4, 0xff, 9],
            &[4],
            &[],
        ] {
            assert!(whole(bad, OCTETS).is_none(), "{bad:?}");
        }
        assert_eq!(Reader::new(&[2, 1, 5]).take_small(), Some(5));
        for bad in [&[2, 1, 0x80][..], &[2, 2, 0, 5], &[2, 0]] {
            assert!(Reader::new(bad).take_small().is_none());
        }
    }
}
