//! Bytes that have arrived and were not handed on yet.

use std::ops::Range;

/// The room that a connection keeps while it waits.
const USUAL: usize = 4 * 1024;

/// A queue of bytes in one piece.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Returns the bytes that wait.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes the first `count` of them away.
    pub(super) fn advance(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Returns room behind the last byte: at least 4 KiB. Not all of it has to be filled: see [`Buffer::add`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // What one long head needed is not kept for the life of the connection.
            self.bytes.truncate(USUAL);
            self.bytes.shrink_to(USUAL);
        } else if self.start > 0 && self.bytes.len() - self.end < USUAL {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < USUAL {
            self.bytes.resize(self.end + USUAL, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that the first `count` bytes of the room have been filled.
    pub(super) fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Keeps of the first `length` bytes that wait only these pieces of them, given from the last to the first. Returns how
    /// many bytes that is.
    pub(super) fn keep(
        &mut self,
        length: usize,
        pieces_from_the_end: impl Iterator<Item = Range<usize>>,
    ) -> usize {
        let waiting = self.bytes.get_mut(self.start..self.end).unwrap_or_default();
        let end = length.min(waiting.len());
        let mut first = end;
        // Moved towards the end, as what stands behind may be more.
        for piece in pieces_from_the_end {
            first -= piece.len();
            waiting.copy_within(piece, first);
        }
        self.start += first;
        end - first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        for piece in bytes.chunks(USUAL) {
            buffer.room()[..piece.len()].copy_from_slice(piece);
            buffer.add(piece.len());
        }
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = Buffer::default();
        let sent: Vec<u8> =
            (0..40_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
        let mut came = Vec::new();
        for (turn, piece) in sent.chunks(3000).enumerate() {
            put(&mut buffer, piece);
            // Now less than came in, now all that waits.
            let count = if turn % 4 == 3 { buffer.waiting().len() } else { 1000 };
            came.extend_from_slice(&buffer.waiting()[..count]);
            buffer.advance(count);
        }
        came.extend_from_slice(buffer.waiting());
        assert_eq!(came, sent);
    }

    #[test]
    fn what_is_kept_stands_in_front_of_the_rest() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"gone0123456789");
        buffer.advance(4);
        assert_eq!(buffer.keep(8, [6..8, 3..5, 0..2].into_iter()), 6);
        assert_eq!(buffer.waiting(), b"01346789");
        assert_eq!(buffer.keep(6, std::iter::once(0..6)), 6);
        assert_eq!(buffer.waiting(), b"01346789");
        assert_eq!(buffer.keep(3, std::iter::empty()), 0);
        assert_eq!(buffer.waiting(), b"46789");
        put(&mut buffer, b"!");
        assert_eq!(buffer.waiting(), b"46789!");
    }

    #[test]
    fn room_that_one_long_head_needed_is_given_back() {
        let mut buffer = Buffer::default();
        put(&mut buffer, &[1; 36 * 1024]);
        assert!(buffer.bytes.capacity() > 36 * 1024);
        buffer.advance(36 * 1024);
        assert_eq!(buffer.room().len(), USUAL);
        assert_eq!(buffer.bytes.capacity(), USUAL);
    }
}
