//! Sets of ASCII characters, for judging the bytes of every request.

/// A set of ASCII characters, one bit each.
pub(super) struct AsciiSet(u128);

impl AsciiSet {
    pub(super) const fn of(wanted: &[u8]) -> Self {
        let mut bits = 0;
        let mut rest = wanted;
        while let [byte, tail @ ..] = rest {
            bits |= 1 << *byte;
            rest = tail;
        }
        AsciiSet(bits)
    }

    pub(super) fn has(&self, byte: u8) -> bool {
        byte.is_ascii() && self.0 >> byte & 1 == 1
    }

    /// Tells whether all of `bytes` are in the set.
    pub(super) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.has(*byte))
    }
}

/// Tells whether `is_wanted` holds for some byte. Looks at every byte rather than stopping at the first hit, which the
/// compiler turns into a few vector instructions.
pub(super) fn has_any(bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |found, byte| found | is_wanted(*byte))
}
