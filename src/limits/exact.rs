//! The exact sliding log: up to six moments, so that never more than the limit fall into any window.

use super::table::{Entry, Id};

/// The largest limit that is counted exactly.
pub(super) const MAX_LIMIT: u32 = 6;
const PLACES: usize = MAX_LIMIT as usize;

/// The moments of one key, oldest first, each as the tick at which it stops to count; 0 marks a place without one. Two
/// logs fill a cache line, and none lies across two.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Log {
    id: Id,
    ends: [u32; PLACES],
}

impl Entry for Log {
    const EMPTY: Self = Log { id: 0, ends: [0; PLACES] };

    fn is_empty(&self) -> bool {
        self.ends.first() == Some(&0)
    }

    fn id(&self) -> Id {
        self.id
    }

    fn expires(&self) -> u32 {
        self.newest()
    }
}

impl Log {
    /// Starts a log with one moment, which counts until the tick `end`.
    pub(super) fn new(id: Id, end: u32) -> Self {
        let mut log = Log { id, ..Self::EMPTY };
        log.push(0, end);
        log
    }

    fn recorded(&self) -> &[u32] {
        let count = self.ends.iter().take_while(|end| **end != 0).count();
        self.ends.get(..count).unwrap_or(&[])
    }

    fn newest(&self) -> u32 {
        self.recorded().last().copied().unwrap_or(0)
    }

    /// Returns the ends of the moments that count at `now`: those whose window has not passed.
    pub(super) fn live(&self, now: u32) -> &[u32] {
        let recorded = self.recorded();
        let gone = recorded.iter().take_while(|end| **end <= now).count();
        recorded.get(gone..).unwrap_or(&[])
    }

    /// Records that a moment at `now` counts until `end`. Two threads may come out of order, so time does not go
    /// backwards here. A seventh moment pushes the oldest out. Returns the end as recorded.
    pub(super) fn push(&mut self, now: u32, end: u32) -> u32 {
        let end = end.max(self.newest()).max(1);
        let recorded = self.recorded().len();
        let kept = self.live(now).len().min(PLACES - 1);
        self.ends.copy_within(recorded - kept..recorded, 0);
        for (index, place) in self.ends.iter_mut().enumerate().skip(kept) {
            *place = if index == kept { end } else { 0 };
        }
        end
    }

    /// Takes one recorded moment back.
    pub(super) fn take_back(&mut self, end: u32) {
        let Some(index) = self.recorded().iter().position(|recorded| *recorded == end) else { return };
        self.ends.copy_within(index + 1.., index);
        if let Some(last) = self.ends.last_mut() {
            *last = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_32_bytes() {
        assert_eq!(size_of::<Log>(), 32);
    }

    #[test]
    fn a_moment_counts_for_exactly_its_window() {
        let mut log = Log::new(1, 110);
        log.push(105, 115);
        assert_eq!(log.live(109), [110, 115]);
        assert_eq!(log.live(110), [115]);
        assert!(log.live(115).is_empty());
        assert_eq!(log.expires(), 115);
        assert_eq!(log.push(90, 100), 115, "time does not go backwards");
        log.take_back(115);
        assert_eq!(log.live(109), [110, 115]);
        log.take_back(7);
        assert_eq!(log.live(109), [110, 115]);
    }

    #[test]
    fn a_seventh_moment_pushes_the_oldest_out() {
        let mut log = Log::new(1, 101);
        for time in 2..=8 {
            log.push(time, time + 100);
        }
        assert_eq!(log.live(8), [103, 104, 105, 106, 107, 108]);
        log.take_back(108);
        assert_eq!(log.live(8), [103, 104, 105, 106, 107]);
    }
}
