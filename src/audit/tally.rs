//! Counts of the last day by hour and kind, kept in memory, so that a glance at an overview reads nothing of the log.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::{Hour, Kind, Outcome};
use crate::kernel::time::Timestamp;

/// How many hours are counted, the running one with them.
pub const HOURS: usize = 24;

const HOUR: u64 = 3600;
const KINDS: usize = Kind::ALL.len();

/// Succeeded, and refused or failed.
type Pair = [u32; 2];

struct Counted {
    hour: u64,
    kinds: Box<[Pair; KINDS]>,
}

/// The counts. Bounded: [`HOURS`] times the number of kinds.
pub(super) struct Tally(Mutex<VecDeque<Counted>>);

impl Tally {
    pub(super) fn new() -> Self {
        Tally(Mutex::new(VecDeque::with_capacity(HOURS + 1)))
    }

    /// Counts an event at `now`. One of an hour that is over by more than a day, or that has not begun, is passed over.
    pub(super) fn count(&self, now: Timestamp, at: Timestamp, kind: Kind, outcome: Outcome) {
        let (running, hour) = (now.as_secs() / HOUR, at.as_secs() / HOUR);
        if hour > running || hour.saturating_add(HOURS as u64) <= running {
            return;
        }
        let mut hours = self.0.lock();
        // The clock was ahead and is right again.
        while hours.back().is_some_and(|counted| counted.hour > running) {
            hours.pop_back();
        }
        let place = hours.partition_point(|counted| counted.hour < hour);
        if hours.get(place).is_none_or(|counted| counted.hour != hour) {
            hours.insert(place, Counted { hour, kinds: Box::new([[0; 2]; KINDS]) });
        }
        let slot = usize::from(outcome != Outcome::Succeeded);
        let counted = hours.get_mut(place).and_then(|counted| counted.kinds.get_mut(kind as usize));
        if let Some(count) = counted.and_then(|pair| pair.get_mut(slot)) {
            *count = count.saturating_add(1);
        }
        while hours.len() > HOURS {
            hours.pop_front();
        }
    }

    /// Returns the last [`HOURS`] hours, the one of `now` last, with the counts of the wanted kinds and outcomes.
    pub(super) fn hours(&self, now: Timestamp, is_wanted: impl Fn(Kind, bool) -> bool) -> Vec<Hour> {
        let running = now.as_secs() / HOUR;
        let first = running.saturating_sub(HOURS as u64 - 1);
        let hours = self.0.lock();
        (first..=running)
            .map(|hour| {
                let mut sum = Hour { start: Timestamp::from_secs(hour * HOUR), succeeded: 0, refused: 0 };
                let Some(counted) = hours.iter().find(|counted| counted.hour == hour) else { return sum };
                for (kind, [succeeded, refused]) in Kind::ALL.iter().zip(counted.kinds.iter()) {
                    if is_wanted(*kind, true) {
                        sum.succeeded = sum.succeeded.saturating_add(*succeeded);
                    }
                    if is_wanted(*kind, false) {
                        sum.refused = sum.refused.saturating_add(*refused);
                    }
                }
                sum
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn ago(hours: u64) -> Timestamp {
        Timestamp::from_secs(NOW.as_secs() - hours * HOUR)
    }

    #[test]
    fn events_are_counted_by_hour_kind_and_outcome() {
        let tally = Tally::new();
        tally.count(NOW, NOW, Kind::SignInSucceeded, Outcome::Succeeded);
        tally.count(NOW, NOW, Kind::SignInFailed, Outcome::Refused);
        tally.count(NOW, ago(5), Kind::SignInFailed, Outcome::Failed);
        tally.count(NOW, ago(5), Kind::RuleChanged, Outcome::Succeeded);
        let all = tally.hours(NOW, |_, _| true);
        assert_eq!(all.len(), HOURS);
        assert_eq!((all[23].succeeded, all[23].refused), (1, 1));
        assert_eq!((all[18].succeeded, all[18].refused), (1, 1));
        let refused = tally.hours(NOW, |kind, is_done| kind == Kind::SignInFailed && !is_done);
        assert_eq!(refused.iter().map(|hour| hour.refused).sum::<u32>(), 2);
        assert_eq!(refused.iter().map(|hour| hour.succeeded).sum::<u32>(), 0);
    }

    #[test]
    fn what_is_over_goes_and_a_clock_that_jumps_fills_no_memory() {
        let tally = Tally::new();
        for hour in (0..200).rev() {
            tally.count(ago(hour), ago(hour), Kind::SignInSucceeded, Outcome::Succeeded);
        }
        assert_eq!(tally.0.lock().len(), HOURS);
        // One that comes late finds its hour; one of last week finds none.
        tally.count(NOW, ago(3), Kind::SignInSucceeded, Outcome::Succeeded);
        tally.count(NOW, ago(150), Kind::SignInSucceeded, Outcome::Succeeded);
        let hours = tally.hours(NOW, |_, _| true);
        assert_eq!(hours.iter().map(|hour| hour.succeeded).sum::<u32>(), 25);
        assert_eq!(hours[20].succeeded, 2);
    }
}
