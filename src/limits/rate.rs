//! The generic cell rate algorithm for larger limits: one number a key, `limit` at once and then one each
//! `window / limit`. Over any one window it admits fewer than twice the limit; where the count must be exact, limits
//! are small and [`super::exact`] is used.

use super::table::{Entry, Id};
use super::{TICK_NANOS, ticks_ceil};

/// One key: when its budget will be whole again, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    id: Id,
    /// The theoretical arrival time of the algorithm; 0 marks a free slot.
    pub(super) whole_at: u64,
}

impl Entry for Rate {
    const EMPTY: Self = Rate { id: 0, whole_at: 0 };

    fn is_empty(&self) -> bool {
        self.whole_at == 0
    }

    fn id(&self) -> Id {
        self.id
    }

    fn expires(&self) -> u32 {
        ticks_ceil(self.whole_at)
    }
}

impl Rate {
    /// Starts a key; `whole_at` is in the future.
    pub(super) fn new(id: Id, whole_at: u64) -> Self {
        Rate { id, whole_at: whole_at.max(1) }
    }
}

/// The numbers of one rule, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// What one request costs.
    pub(super) interval: u64,
    /// The whole budget.
    pub(super) budget: u64,
}

impl Pace {
    /// `limit` requests in `window` nanoseconds.
    pub(super) fn new(limit: u32, window: u64) -> Self {
        let interval = (window / u64::from(limit.max(1))).max(1);
        Pace { interval, budget: interval.saturating_mul(u64::from(limit)) }
    }

    /// Returns `whole_at` after one more request at `now`, or how long to wait if there is no budget for it.
    pub(super) fn admit(self, whole_at: u64, now: u64) -> Result<u64, u64> {
        let next = whole_at.max(now).saturating_add(self.interval);
        let excess = (next - now).saturating_sub(self.budget);
        if excess == 0 { Ok(next) } else { Err(excess) }
    }

    /// Returns `whole_at` after one more request whether there is budget for it or not. What is owed never exceeds
    /// the budget by more than one request, so that a flood does not lock its key for days.
    pub(super) fn charge(self, whole_at: u64, now: u64) -> u64 {
        let next = whole_at.max(now).saturating_add(self.interval);
        next.min(now.saturating_add(self.budget).saturating_add(self.interval))
    }

    /// Returns how many requests the budget still has at `now`.
    pub(super) fn remaining(self, whole_at: u64, now: u64) -> u32 {
        let left = self.budget.saturating_sub(whole_at.saturating_sub(now));
        u32::try_from(left / self.interval).unwrap_or(u32::MAX)
    }
}

const _: () = assert!(size_of::<Rate>() == 16 && TICK_NANOS > 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_the_limit_then_one_each_interval() {
        let pace = Pace::new(10, 1000);
        let mut whole_at = 0;
        for index in 0..10 {
            assert_eq!(pace.remaining(whole_at, 5000), 10 - index);
            whole_at = pace.admit(whole_at, 5000).unwrap();
        }
        assert_eq!(pace.remaining(whole_at, 5000), 0);
        assert_eq!(pace.admit(whole_at, 5000), Err(100));
        assert_eq!(pace.admit(whole_at, 5099), Err(1));
        assert!(pace.admit(whole_at, 5100).is_ok());
        assert_eq!(pace.remaining(whole_at, 6000), 10);
    }

    #[test]
    fn debt_is_bounded() {
        let pace = Pace::new(10, 1000);
        let owed = (0..1000).fold(0, |whole_at, _| pace.charge(whole_at, 5000));
        assert_eq!(owed, 5000 + 1000 + 100);
    }
}
