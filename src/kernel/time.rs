//! Time, passed in and never ambient.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC, in whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Timestamp = Timestamp(0);

    /// Takes milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis)
    }

    /// Takes seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Timestamp(secs.saturating_mul(1000))
    }

    /// Returns milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch (a JWT NumericDate, RFC 7519 section 2).
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the moment `duration` later; saturates.
    pub fn plus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the moment `duration` earlier; saturates at the epoch.
    pub fn minus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns how long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, UTC).
    pub fn to_rfc3339(self) -> String {
        let (year, month, day) = self.civil_date();
        let second = self.as_secs() % 86_400;
        let mut text = String::with_capacity(20);
        push_two_digits(&mut text, year / 100);
        for (number, end) in [
            (year % 100, '-'),
            (month, '-'),
            (day, 'T'),
            (second / 3600, ':'),
            (second / 60 % 60, ':'),
            (second % 60, 'Z'),
        ] {
            push_two_digits(&mut text, number);
            text.push(end);
        }
        text
    }

    /// Returns the beginning of a day in UTC, by Howard Hinnant's `days_from_civil`. `None` for a day that is in no
    /// calendar, or before 1970.
    pub fn of_civil_date(year: u64, month: u64, day: u64) -> Option<Timestamp> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day > 31 {
            return None;
        }
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
        let at = Timestamp::from_secs(days * 86_400);
        // 30 February and its like come back as another day.
        (at.civil_date() == (year, month, day)).then_some(at)
    }

    /// Returns year, month (1..=12) and day (1..=31) in UTC, by Howard Hinnant's `civil_from_days`.
    pub fn civil_date(self) -> (u64, u64, u64) {
        let days = self.as_secs() / 86_400 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        (year, month, day)
    }
}

/// Writes a number below a hundred, or a longer one as it is. Cheaper than `format!`, which counts where a list has
/// many moments.
fn push_two_digits(text: &mut String, number: u64) {
    match u8::try_from(number) {
        Ok(number @ 0..100) => {
            text.push(char::from(b'0' + number / 10));
            text.push(char::from(b'0' + number % 10));
        }
        _ => text.push_str(itoa::Buffer::new().format(number)),
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// The two clocks of a machine.
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall clock. It may be stepped by an administrator or NTP.
    fn now(&self) -> Timestamp;
    /// Returns time since an arbitrary start. It never goes backwards.
    fn monotonic(&self) -> Duration;
    /// Returns the time of [`Clock::monotonic`] as of the last tick of the kernel, at most ten milliseconds ago. Much
    /// cheaper to read; rate windows use it.
    fn monotonic_tick(&self) -> Duration {
        self.monotonic()
    }
}

/// A clock shared by every room.
pub type SharedClock = Arc<dyn Clock>;

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
    started_tick: Duration,
}

impl SystemClock {
    /// Starts the monotonic clock now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clocks")]
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock { started: std::time::Instant::now(), started_tick: tick() })
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clocks")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn monotonic_tick(&self) -> Duration {
        tick().saturating_sub(self.started_tick)
    }
}

fn tick() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::try_from(now).unwrap_or_default()
}

/// A clock that a test moves by hand. Both clocks move together unless the wall clock is set.
#[derive(Debug)]
pub struct TestClock {
    wall_millis: AtomicU64,
    monotonic_millis: AtomicU64,
}

impl TestClock {
    /// Starts at `now`.
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(TestClock { wall_millis: AtomicU64::new(now.0), monotonic_millis: AtomicU64::new(0) })
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.wall_millis.fetch_add(millis, Ordering::SeqCst);
        self.monotonic_millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an administrator or NTP would.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall_millis.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_millis.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_millis.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_matches_known_dates() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_772_323_199, "2026-02-28T23:59:59Z"),
            (1_772_323_200, "2026-03-01T00:00:00Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_secs(secs).to_rfc3339(), text);
        }
    }

    #[test]
    fn the_tick_follows_the_clock() {
        let clock = SystemClock::shared();
        let end = clock.monotonic() + Duration::from_millis(30);
        while clock.monotonic() < end {
            let (before, tick) = (clock.monotonic(), clock.monotonic_tick());
            // The start of the count may itself lie a tick before the start of the clock.
            let (earliest, latest) =
                (before.saturating_sub(Duration::from_millis(20)), before + Duration::from_millis(20));
            assert!((earliest..=latest).contains(&tick), "{tick:?} at {before:?}");
        }
    }

    #[test]
    fn differences_saturate() {
        let early = Timestamp::from_secs(1);
        let late = Timestamp::from_secs(3);
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.minus(Duration::from_secs(9)), Timestamp::ZERO);
    }
}
