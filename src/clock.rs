//! Time, taken from one place.
//!
//! Nothing else in the crate asks the operating system for the time, so that tests own it.
//! Clippy bans `SystemTime::now` and `Instant::now` everywhere but here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
///
/// Written to records and cookies as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The given number of milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The given number of seconds after the epoch (`NumericDate` of RFC 7519, without fractions).
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This time and `duration` more, at most the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The operating system's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(start.0)))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock back, as a time server may.
    pub fn set_back(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A point in time by two clocks: the wall's, which people and time servers set, and one that only runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// By the wall clock.
    pub wall: Timestamp,
    /// Since this process first asked.
    pub running: Duration,
}

impl Deadline {
    /// So much after `now`; nothing after it is past already, by every clock.
    #[must_use]
    pub fn after(now: Timestamp, duration: Duration) -> Self {
        let wall = if duration.is_zero() { Timestamp(0) } else { now.plus(duration) };
        Self { wall, running: running().saturating_add(duration) }
    }

    /// Whether either clock has come to it: one that is set back brings nothing back.
    #[must_use]
    pub fn has_passed(self, now: Timestamp) -> bool {
        self.wall <= now || self.running <= running()
    }

    /// What comes first by each clock.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), running: self.running.min(other.running) }
    }
}

/// Time since this process first asked.
fn running() -> Duration {
    static START: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
    START.elapsed()
}

/// A stopwatch for durations that must not jump with the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// How much later than `earlier` it was started: one look at the time for all who need it now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_goes_on_and_back_as_it_is_told() {
        let clock = ManualClock::at(Timestamp::from_secs(100));
        let seen = clock.clone();
        clock.advance(Duration::from_secs(30));
        assert_eq!(seen.now(), Timestamp::from_secs(130));
        clock.set_back(Duration::from_secs(50));
        assert_eq!(seen.now(), Timestamp::from_secs(80));
    }

    #[test]
    fn a_stopwatch_says_how_much_later_it_was_started() {
        let earlier = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(2));
        let later = Stopwatch::start();
        assert!(later.since(&earlier) >= Duration::from_millis(2));
        assert_eq!(earlier.since(&later), Duration::ZERO);
    }
}
