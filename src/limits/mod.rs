//! Rate limits in memory: exact for small limits, paced for large ones, bounded always (LIM-01 to LIM-11).
//!
//! A [`Rule`] says how often; a [`Key`] says who, as a keyed hash of the rule and a subject. A small limit (at most
//! six, such as failed sign-ins) is counted exactly: an attempt is admitted if and only if fewer than `limit` were
//! recorded in the window that ends now. A larger one is paced by the generic cell rate algorithm.
//!
//! Both tables have a fixed capacity. When one is full, only what has expired makes room, so that nobody can flush
//! out their own count; a key that finds no room shares a bucket with its part of the network. Below the capacity no
//! key ever pays for another. Time is the monotonic clock's alone (LIM-09). There are no exempt addresses (LIM-08).

mod exact;
mod place;
mod rate;
mod table;

use std::fmt;
use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

pub use place::Place;

use crate::kernel::random::Random;
use crate::kernel::time::SharedClock;
use exact::Log;
use rate::{Pace, Rate};
use table::{Id, Table};

/// The resolution of exact limits: a tenth of a second. A `u32` of ticks lasts 13 years.
const TICK_NANOS: u64 = 100_000_000;
const SHARDS: usize = 64;
/// Shared buckets for keys that find their table full.
const BUCKETS: usize = 4096;
/// How many times the limit of one key a shared bucket has.
const BUCKET_WEIGHT: u32 = 4;

fn ticks_ceil(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(TICK_NANOS)).unwrap_or(u32::MAX)
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name: part of every key, and shown in the response fields. One name a rule.
    pub name: &'static str,
    /// How many in a window; at least 1.
    pub limit: u32,
    /// The length of the window.
    pub window: Duration,
    /// What stands for the name in keys.
    tag: u64,
}

impl Rule {
    /// Makes a rule.
    pub const fn new(name: &'static str, limit: u32, window: Duration) -> Self {
        Rule { name, limit, window, tag: tag_of(name.as_bytes()) }
    }

    fn times(self, weight: u32) -> Self {
        Rule { limit: self.limit.saturating_mul(weight), ..self }
    }
}

/// FNV-1a: names are few, constant and ours, so that nobody can look for two that are equal.
const fn tag_of(name: &[u8]) -> u64 {
    let (mut tag, mut rest) = (0xcbf2_9ce4_8422_2325, name);
    while let [byte, tail @ ..] = rest {
        tag = (tag ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
        rest = tail;
    }
    tag
}

/// Who a rule is applied to: a hash of rule and subject, under a key that is new in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    id: Id,
    bucket: u16,
}

/// A place in a budget that was taken by [`Limits::acquire`] and can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation(Held);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    /// The end of a moment in a log.
    Moment(u32),
    Interval,
}

impl Reservation {
    /// Holds nothing; giving it back changes nothing.
    pub const NONE: Reservation = Reservation(Held::Nothing);
}

/// What a rule says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// Whether this attempt is admitted.
    pub allowed: bool,
    /// The limit that was applied.
    pub limit: u32,
    /// How many more attempts are admitted now.
    pub remaining: u32,
    /// How long to wait until one more is admitted; zero if one is admitted now.
    pub retry_after: Duration,
    /// How long until the whole limit is available again.
    pub reset_after: Duration,
    /// The window of the rule.
    pub window: Duration,
    /// What to give back with [`Limits::release`] if the attempt should not count.
    pub reservation: Reservation,
}

/// What a rule says about a place and the wider places around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct PlaceVerdict {
    /// The verdict of the level with the least left, or of the level that refused.
    pub verdict: Verdict,
    /// What to give back with [`Limits::release_place`] if the attempt should not count.
    pub reservation: PlaceReservation,
}

/// The places in the budgets of all levels that one attempt took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceReservation([Option<(Key, u32, Reservation)>; LEVELS]);

/// The most levels an address has: /64, /56, /48.
const LEVELS: usize = 3;

/// The size of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Keys of exact limits (at most six in a window) that are held at a time; 32 bytes each and up to 40 % air.
    pub exact_capacity: usize,
    /// Keys of paced limits that are held at a time; 16 bytes each and up to 40 % air.
    pub paced_capacity: usize,
    /// For how long after the start limits are halved, because the counts of the last run are lost.
    pub caution_after_start: Duration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings {
            exact_capacity: 65_536,
            paced_capacity: 65_536,
            caution_after_start: Duration::from_secs(60),
        }
    }
}

/// What the tables hold and have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitStats {
    /// Keys in the exact table.
    pub exact_keys: usize,
    /// Keys in the paced table.
    pub paced_keys: usize,
    /// Memory of both tables in bytes.
    pub bytes: usize,
    /// Attempts that were refused.
    pub refused: u64,
    /// Attempts that found a table full and were judged by a shared bucket.
    pub overflowed: u64,
}

/// All rate counters of the process. Share it behind an `Arc`; every method takes `&self` and locks one of 64 shards
/// for well under a microsecond.
pub struct Limits {
    clock: SharedClock,
    hasher: SipHasher13,
    bucket_key: u64,
    started: u64,
    caution: u64,
    exact: Box<[Mutex<Table<Log>>]>,
    paced: Box<[Mutex<Table<Rate>>]>,
    buckets: Box<[AtomicU64]>,
    refused: AtomicU64,
    overflowed: AtomicU64,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Limits").field(&self.stats()).finish()
    }
}

/// One rule at one moment.
#[derive(Clone, Copy)]
struct Moment {
    nanos: u64,
    tick: u32,
    window: u64,
    window_ticks: u32,
    limit: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Peek,
    Acquire,
    Record,
}

impl Limits {
    /// Makes empty tables that grow to the capacities of `settings` and no further.
    pub fn new(settings: LimitSettings, clock: SharedClock, random: &Random) -> Self {
        let started = nanos(clock.monotonic_tick());
        Limits {
            hasher: SipHasher13::new_with_key(&random.bytes()),
            bucket_key: u64::from_ne_bytes(random.bytes()) | 1,
            started,
            caution: nanos(settings.caution_after_start),
            exact: shards(settings.exact_capacity),
            paced: shards(settings.paced_capacity),
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            refused: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            clock,
        }
    }

    /// Returns the key of `subject` under `rule`. The subject is whatever tells one from another: a user id, a client
    /// id, a token's hash; join several parts unambiguously.
    pub fn key(&self, rule: &Rule, subject: &[u8]) -> Key {
        let id = self.hash(rule.tag, None, subject);
        Key { id, bucket: bucket_of(id) }
    }

    /// Returns the key of a place under `rule`, alone (`extra` empty) or together with a further subject.
    pub fn place_key(&self, rule: &Rule, place: Place, extra: &[u8]) -> Key {
        let id = self.hash(rule.tag, Some(place), extra);
        Key { id, bucket: self.bucket_of_place(rule, place) }
    }

    /// Returns a number for a place that means nothing outside this process, for queues that count by place.
    pub fn place_hash(&self, place: Place) -> u64 {
        self.hash(0, Some(place), b"")
    }

    /// Says what `rule` would say to one more attempt of `key`, and changes nothing.
    pub fn peek(&self, rule: &Rule, key: &Key) -> Verdict {
        self.apply(rule, key, Action::Peek)
    }

    /// Counts an attempt that has happened, whether it is within the limit or not. `allowed` tells whether it was.
    pub fn record(&self, rule: &Rule, key: &Key) -> Verdict {
        self.apply(rule, key, Action::Record)
    }

    /// Admits and counts an attempt in one step, so that of any number of parallel attempts no more than the limit
    /// are admitted (LIM-03). A refused attempt is not counted.
    pub fn acquire(&self, rule: &Rule, key: &Key) -> Verdict {
        self.apply(rule, key, Action::Acquire)
    }

    /// Gives back what [`Limits::acquire`] took: the attempt did not count after all (LIM-11: success does not burn
    /// the budget for failures).
    pub fn release(&self, rule: &Rule, key: &Key, reservation: Reservation) {
        match reservation.0 {
            Held::Nothing => {}
            Held::Moment(end) => {
                let Some(shard) = self.exact.get(shard_of(key.id)) else { return };
                let mut table = shard.lock();
                // A log that becomes empty would look like a free slot; it is removed instead.
                let is_last = table.get(key.id).is_some_and(|log| log.live(0) == [end]);
                if is_last {
                    table.remove(key.id);
                } else {
                    table.shorten(key.id, |log| log.take_back(end));
                }
            }
            Held::Interval => {
                let Some(shard) = self.paced.get(shard_of(key.id)) else { return };
                let moment = self.moment(rule);
                let interval = Pace::new(moment.limit, moment.window).interval;
                let mut table = shard.lock();
                let Some(rate) = table.get(key.id) else { return };
                let whole_at = rate.whole_at.saturating_sub(interval);
                if whole_at > moment.nanos {
                    table.shorten(key.id, |rate| rate.whole_at = whole_at);
                } else {
                    table.remove(key.id);
                }
            }
        }
    }

    /// Forgets everything that was counted for `key`.
    pub fn clear(&self, rule: &Rule, key: &Key) {
        if rule.limit <= exact::MAX_LIMIT {
            if let Some(shard) = self.exact.get(shard_of(key.id)) {
                shard.lock().remove(key.id);
            }
        } else if let Some(shard) = self.paced.get(shard_of(key.id)) {
            shard.lock().remove(key.id);
        }
    }

    /// Admits and counts an attempt from `address` at every level of its place: the wider ones, with their multiple of
    /// the limit, first. If one level refuses, nothing is counted at the others. `extra` is a further subject, such
    /// as a user id, or empty.
    pub fn acquire_place(&self, rule: &Rule, address: IpAddr, extra: &[u8]) -> PlaceVerdict {
        let mut levels = [None; LEVELS];
        let finest = Place::of(address);
        for (slot, place) in
            levels.iter_mut().zip(std::iter::successors(Some(finest), |place| place.coarser()))
        {
            *slot = Some(place);
        }
        let mut held = PlaceReservation([None; LEVELS]);
        let mut tightest: Option<Verdict> = None;
        for (slot, place) in held.0.iter_mut().zip(levels.into_iter().rev().flatten()) {
            let level_rule = rule.times(place.weight());
            let key = self.place_key(rule, place, extra);
            // Each level is a subject of its own, because the bits of the prefix are part of the key.
            let verdict = self.apply(&level_rule, &key, Action::Acquire);
            *slot = Some((key, place.weight(), verdict.reservation));
            if tightest
                .is_none_or(|seen| (verdict.allowed, verdict.remaining) <= (seen.allowed, seen.remaining))
            {
                tightest = Some(verdict);
            }
            if !verdict.allowed {
                break;
            }
        }
        let verdict = tightest.unwrap_or_else(|| self.peek(rule, &self.place_key(rule, finest, extra)));
        if !verdict.allowed {
            self.release_place(rule, held);
            held = PlaceReservation([None; LEVELS]);
        }
        PlaceVerdict { verdict, reservation: held }
    }

    /// Gives back what [`Limits::acquire_place`] took, at every level.
    pub fn release_place(&self, rule: &Rule, reservation: PlaceReservation) {
        for (key, weight, held) in reservation.0.into_iter().flatten() {
            self.release(&rule.times(weight), &key, held);
        }
    }

    /// Returns what the tables hold and have done.
    pub fn stats(&self) -> LimitStats {
        let mut stats = LimitStats {
            refused: self.refused.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            ..LimitStats::default()
        };
        for shard in &self.exact {
            let table = shard.lock();
            stats.exact_keys += table.len();
            stats.bytes += table.bytes();
        }
        for shard in &self.paced {
            let table = shard.lock();
            stats.paced_keys += table.len();
            stats.bytes += table.bytes();
        }
        stats
    }

    fn apply(&self, rule: &Rule, key: &Key, action: Action) -> Verdict {
        let moment = self.moment(rule);
        let verdict = if rule.limit <= exact::MAX_LIMIT {
            self.apply_exact(rule, moment, key, action)
        } else {
            self.apply_paced(rule, moment, key, action)
        };
        if !verdict.allowed && action != Action::Peek {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    fn apply_exact(&self, rule: &Rule, moment: Moment, key: &Key, action: Action) -> Verdict {
        let Some(shard) = self.exact.get(shard_of(key.id)) else {
            return self.overflow(rule, moment, key, action);
        };
        let end = moment.tick.saturating_add(moment.window_ticks);
        let mut table = shard.lock();
        let Some(log) = table.get_mut(key.id) else {
            if action == Action::Peek {
                return verdict_of_log(rule, moment, &[], true, Reservation::NONE);
            }
            let log = Log::new(key.id, end);
            if !table.insert(log, moment.tick) {
                drop(table);
                return self.overflow(rule, moment, key, action);
            }
            return verdict_of_log(rule, moment, &[end], true, Reservation(Held::Moment(end)));
        };
        let allowed = log.live(moment.tick).len() < moment.limit as usize;
        let mut reservation = Reservation::NONE;
        if action == Action::Record || (action == Action::Acquire && allowed) {
            reservation = Reservation(Held::Moment(log.push(moment.tick, end)));
        }
        verdict_of_log(rule, moment, log.live(moment.tick), allowed, reservation)
    }

    fn apply_paced(&self, rule: &Rule, moment: Moment, key: &Key, action: Action) -> Verdict {
        let Some(shard) = self.paced.get(shard_of(key.id)) else {
            return self.overflow(rule, moment, key, action);
        };
        let pace = Pace::new(moment.limit, moment.window);
        let mut table = shard.lock();
        let before = table.get(key.id).map_or(0, |rate| rate.whole_at);
        let admitted = pace.admit(before, moment.nanos);
        let after = match (action, admitted) {
            (Action::Peek, _) | (Action::Acquire, Err(_)) => before,
            (Action::Acquire, Ok(next)) => next,
            (Action::Record, _) => pace.charge(before, moment.nanos),
        };
        if after != before {
            if let Some(rate) = table.get_mut(key.id) {
                rate.whole_at = after;
            } else if !table.insert(Rate::new(key.id, after), moment.tick) {
                drop(table);
                return self.overflow(rule, moment, key, action);
            }
        }
        drop(table);
        let reservation = if after == before { Reservation::NONE } else { Reservation(Held::Interval) };
        verdict_of_pace(rule, moment, pace, after, admitted.is_ok(), reservation)
    }

    /// Judges a key for which there is no room by the bucket of its part of the network (LIM-10): closed for those
    /// who share it, not for everyone.
    fn overflow(&self, rule: &Rule, moment: Moment, key: &Key, action: Action) -> Verdict {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        let limit = moment.limit.saturating_mul(BUCKET_WEIGHT);
        let pace = Pace::new(limit, moment.window);
        let moment = Moment { limit, ..moment };
        let Some(bucket) = self.buckets.get(usize::from(key.bucket)) else {
            return verdict_of_pace(rule, moment, pace, u64::MAX, false, Reservation::NONE);
        };
        let mut admitted = true;
        let change = |whole_at| {
            let next = pace.admit(whole_at, moment.nanos);
            admitted = next.is_ok();
            match action {
                Action::Peek => None,
                Action::Acquire => next.ok(),
                Action::Record => Some(pace.charge(whole_at, moment.nanos)),
            }
        };
        let result = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        let whole_at = match result {
            Ok(_) => bucket.load(Ordering::Acquire),
            Err(unchanged) => unchanged,
        };
        verdict_of_pace(rule, moment, pace, whole_at, admitted, Reservation::NONE)
    }

    fn moment(&self, rule: &Rule) -> Moment {
        let now = nanos(self.clock.monotonic_tick());
        let is_cautious = now - self.started.min(now) < self.caution;
        let limit = if is_cautious { rule.limit.div_ceil(2) } else { rule.limit };
        let window = nanos(rule.window).max(1);
        Moment {
            nanos: now,
            // Counted from one, so that a moment is never zero.
            tick: u32::try_from(now / TICK_NANOS + 1).unwrap_or(u32::MAX),
            window,
            window_ticks: ticks_ceil(window),
            limit,
        }
    }

    fn hash(&self, tag: u64, place: Option<Place>, subject: &[u8]) -> u64 {
        // Always as long, so that no subject can pass for part of it.
        let mut start = [0; 8 + Place::SHORT];
        let (first, rest) = start.split_at_mut(8);
        first.copy_from_slice(&tag.to_le_bytes());
        rest.copy_from_slice(&place.map_or([0; Place::SHORT], Place::to_short));
        let mut hasher = self.hasher;
        hasher.write(&start);
        if !subject.is_empty() {
            hasher.write(subject);
        }
        hasher.finish()
    }

    /// Chooses the shared bucket of a part of the network. Keyed, so that nobody can look for an address that shares
    /// a bucket with somebody else's; cheap, as it is rarely used.
    fn bucket_of_place(&self, rule: &Rule, place: Place) -> u16 {
        let rule = rule.window.as_secs() << 32 ^ u64::from(rule.limit);
        let mixed = (place.neighborhood() ^ rule.rotate_left(17)).wrapping_mul(self.bucket_key);
        // The upper bits of a product depend on all of its factors.
        bucket_of(mixed.rotate_left(32).wrapping_mul(self.bucket_key) >> 46)
    }
}

fn shards<E: table::Entry>(capacity: usize) -> Box<[Mutex<Table<E>>]> {
    // Hashing spreads keys unevenly; with six standard deviations of room, no shard is full before the whole is.
    let mean = capacity.div_ceil(SHARDS);
    let max = mean + 6 * mean.isqrt() + 1;
    (0..SHARDS).map(|_| Mutex::new(Table::new(max))).collect()
}

/// The upper bits of the hash order the entries within a shard; the lowest choose the shard, and those above it the bucket.
fn shard_of(hash: u64) -> usize {
    usize::try_from(hash % SHARDS as u64).unwrap_or(0)
}

fn bucket_of(hash: u64) -> u16 {
    u16::try_from(hash / SHARDS as u64 % BUCKETS as u64).unwrap_or(0)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn verdict_of_log(
    rule: &Rule,
    moment: Moment,
    live: &[u32],
    allowed: bool,
    reservation: Reservation,
) -> Verdict {
    // Ticks count from one.
    let until = |end: u32| {
        let end = u64::from(end).saturating_sub(1).saturating_mul(TICK_NANOS);
        Duration::from_nanos(end.saturating_sub(moment.nanos))
    };
    let count = live.len();
    let limit = moment.limit as usize;
    // One more is admitted as soon as fewer than `limit` are left.
    let blocking = count.checked_sub(limit).and_then(|index| live.get(index));
    Verdict {
        allowed,
        limit: moment.limit,
        remaining: u32::try_from(limit.saturating_sub(count)).unwrap_or(0),
        retry_after: blocking.map_or(Duration::ZERO, |tick| until(*tick)),
        reset_after: live.last().map_or(Duration::ZERO, |tick| until(*tick)),
        window: rule.window,
        reservation,
    }
}

fn verdict_of_pace(
    rule: &Rule,
    moment: Moment,
    pace: Pace,
    whole_at: u64,
    allowed: bool,
    reservation: Reservation,
) -> Verdict {
    let retry = pace.admit(whole_at, moment.nanos).err().unwrap_or(0);
    Verdict {
        allowed,
        limit: moment.limit,
        remaining: pace.remaining(whole_at, moment.nanos),
        retry_after: Duration::from_nanos(retry),
        reset_after: Duration::from_nanos(whole_at.saturating_sub(moment.nanos)),
        window: rule.window,
        reservation,
    }
}

#[cfg(test)]
mod tests;
