//! Sets of bytes, for judging the bytes of every request.

/// A set of bytes. A table, because one load for each byte is quick without the help of vector instructions.
pub(super) struct ByteSet([bool; 256]);

impl ByteSet {
    pub(super) const fn of(wanted: &[u8]) -> Self {
        let mut set = ByteSet([false; 256]);
        let mut rest = wanted;
        while let [byte, tail @ ..] = rest {
            set = set.and_range(*byte, *byte);
            rest = tail;
        }
        set
    }

    /// This set and every byte from `first` to `last`.
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    pub(super) const fn and_range(mut self, first: u8, last: u8) -> Self {
        let mut byte = first as usize;
        while byte <= last as usize {
            self.0[byte] = true;
            byte += 1;
        }
        self
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    /// Tells whether all of `bytes` are in the set.
    pub(super) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.has(*byte))
    }
}
