//! The exact sliding log: up to six moments, so that never more than the limit fall into any window.

use super::table::{Entry, Id};

/// The largest limit that is counted exactly.
pub(super) const MAX_LIMIT: u32 = 6;
const PLACES: usize = MAX_LIMIT as usize;

/// The moments of one key, oldest first, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    id: Id,
    times: [u32; PLACES],
    window: u32,
    count: u32,
}

impl Entry for Log {
    const EMPTY: Self = Log { id: (0, 0), times: [0; PLACES], window: 0, count: 0 };

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn id(&self) -> Id {
        self.id
    }

    fn expires(&self) -> u32 {
        self.newest().saturating_add(self.window)
    }
}

impl Log {
    /// Starts a log with one moment.
    pub(super) fn new(id: Id, window: u32, now: u32) -> Self {
        let mut log = Log { id, window, ..Self::EMPTY };
        log.push(now);
        log
    }

    fn recorded(&self) -> &[u32] {
        self.times.get(..self.count as usize).unwrap_or(&[])
    }

    fn newest(&self) -> u32 {
        self.recorded().last().copied().unwrap_or(0)
    }

    /// Returns the moments that count at `now`: those in `(now - window, now]`.
    pub(super) fn live(&self, now: u32) -> &[u32] {
        let gone = self.recorded().iter().take_while(|time| time.saturating_add(self.window) <= now).count();
        self.recorded().get(gone..).unwrap_or(&[])
    }

    /// Records a moment. Two threads may come out of order, so time does not go backwards here. A seventh moment
    /// pushes the oldest out. Returns the moment as recorded.
    pub(super) fn push(&mut self, now: u32) -> u32 {
        let now = now.max(self.newest());
        let mut kept = self.live(now).len();
        if kept == PLACES {
            kept -= 1;
        }
        let start = self.count as usize - kept;
        self.times.copy_within(start..start + kept, 0);
        if let Some(place) = self.times.get_mut(kept) {
            *place = now;
        }
        self.count = u32::try_from(kept + 1).unwrap_or(MAX_LIMIT);
        now
    }

    /// Takes one recorded moment back.
    pub(super) fn take_back(&mut self, moment: u32) {
        let Some(index) = self.recorded().iter().position(|time| *time == moment) else { return };
        self.times.copy_within(index + 1..self.count as usize, index);
        self.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_48_bytes() {
        assert_eq!(size_of::<Log>(), 48);
    }

    #[test]
    fn a_moment_counts_for_exactly_its_window() {
        let mut log = Log::new((1, 1), 10, 100);
        log.push(105);
        assert_eq!(log.live(109), [100, 105]);
        assert_eq!(log.live(110), [105]);
        assert!(log.live(115).is_empty());
        assert_eq!(log.expires(), 115);
        assert_eq!(log.push(90), 105, "time does not go backwards");
        log.take_back(105);
        assert_eq!(log.live(109), [100, 105]);
        log.take_back(7);
        assert_eq!(log.live(109), [100, 105]);
    }

    #[test]
    fn a_seventh_moment_pushes_the_oldest_out() {
        let mut log = Log::new((1, 1), 100, 1);
        for time in 2..=8 {
            log.push(time);
        }
        assert_eq!(log.live(8), [3, 4, 5, 6, 7, 8]);
    }
}
