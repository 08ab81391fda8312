//! Remembering what may be used once, in memory and within bounds: the `jti` of DPoP proofs.
//!
//! After a restart it remembers nothing; what it keeps is dead a few minutes later anyway.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;

/// What a memory says of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It is seen for the first time, and remembered.
    New,
    /// It was seen before, or is over already.
    Seen,
    /// There is no room for it: something new is refused rather than something old forgotten.
    Full,
}

/// The things seen so far. At most 100 bytes each.
pub struct Replay {
    capacity: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    keys: HashSet<[u8; 32]>,
    ends: BinaryHeap<Reverse<(Duration, [u8; 32])>>,
}

impl Seen {
    fn forget_until(&mut self, now: Duration) {
        while let Some(Reverse((until, key))) = self.ends.peek() {
            if *until > now {
                break;
            }
            self.keys.remove(key);
            self.ends.pop();
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replay")
    }
}

impl Default for Replay {
    fn default() -> Self {
        Self::new()
    }
}

impl Replay {
    /// How much is remembered unless said otherwise.
    pub const CAPACITY: usize = 100_000;

    /// Remembers at most [`Replay::CAPACITY`] things.
    pub fn new() -> Self {
        Self::with_capacity(Self::CAPACITY)
    }

    /// Remembers at most `capacity` things.
    pub fn with_capacity(capacity: usize) -> Self {
        Replay { capacity, seen: Mutex::default() }
    }

    /// Tells whether `key` is seen for the first time, and remembers it until `until`. Of any number of parallel calls
    /// with one key exactly one gets [`Novelty::New`]. Both times are of [`crate::kernel::time::Clock::monotonic`], so setting
    /// the clock brings nothing back.
    ///
    /// Ask only after everything else about the request was found sound, and limit how often one client may ask.
    #[must_use]
    pub fn first_time(&self, key: [u8; 32], until: Duration, now: Duration) -> Novelty {
        let mut seen = self.seen.lock();
        seen.forget_until(now);
        // What is over already could not be remembered, and would be taken as often as it comes.
        if until <= now || seen.keys.contains(&key) {
            return Novelty::Seen;
        }
        if seen.keys.len() >= self.capacity {
            return Novelty::Full;
        }
        seen.keys.insert(key);
        seen.ends.push(Reverse((until, key)));
        Novelty::New
    }

    /// Returns how many things are remembered, for a metric. Counts what is over until the next question.
    pub fn len(&self) -> usize {
        self.seen.lock().keys.len()
    }

    /// Tells whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Novelty::{Full, New, Seen};
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn key(number: usize) -> [u8; 32] {
        crate::crypto::mac::sha256(number.to_be_bytes())
    }

    #[test]
    fn a_thing_is_new_once_and_again_when_its_time_is_over() {
        let replay = Replay::default();
        assert!(replay.is_empty());
        assert_eq!(replay.first_time(key(1), at(60), at(0)), New);
        assert_eq!(replay.first_time(key(1), at(60), at(0)), Seen);
        let again = replay.first_time(key(1), at(500), at(59));
        assert_eq!(again, Seen, "it is not remembered longer by asking again");
        assert_eq!(replay.first_time(key(2), at(60), at(59)), New);
        assert_eq!(replay.first_time(key(1), at(120), at(60)), New);
        assert_eq!(replay.len(), 1, "what was over was forgotten");
        assert_eq!(replay.first_time(key(3), at(60), at(60)), Seen, "it is over already");
    }

    /// RES: bounded, and a flood makes nobody forget what was seen.
    #[test]
    fn a_full_memory_refuses_what_is_new_and_forgets_nothing() {
        let replay = Replay::with_capacity(100);
        for number in 0..100 {
            assert_eq!(replay.first_time(key(number), at(60 + number as u64), at(0)), New);
        }
        assert_eq!(replay.first_time(key(100), at(60), at(0)), Full);
        assert_eq!(replay.len(), 100);
        for number in 0..100 {
            assert_eq!(replay.first_time(key(number), at(60), at(1)), Seen);
        }
        assert_eq!(replay.first_time(key(100), at(120), at(60)), New, "one place became free");
        assert_eq!(replay.first_time(key(101), at(120), at(60)), Full);
        assert_eq!(replay.first_time(key(101), at(1000), at(500)), New);
        assert_eq!(replay.len(), 1);
    }

    #[test]
    fn of_many_at_once_one_is_the_first() {
        let replay = Replay::default();
        let wins: Vec<AtomicUsize> = (0..200).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for (number, wins) in wins.iter().enumerate() {
                        if replay.first_time(key(number), at(60), at(1)) == New {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(wins.iter().all(|wins| wins.load(Ordering::Relaxed) == 1));
    }
}
