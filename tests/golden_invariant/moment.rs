//! One clock for all: what was sent, answered and logged is put in order by it.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vestibule::clock::Stopwatch;

/// Microseconds since the first look at the clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl Moment {
    /// Before everything.
    pub(crate) const START: Self = Self(0);

    /// Now.
    pub(crate) fn now() -> Self {
        static START: OnceLock<Stopwatch> = OnceLock::new();
        Self(micros(START.get_or_init(Stopwatch::start).elapsed()))
    }

    /// Later by this much.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// How long ago `earlier` was; zero when it is yet to come.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The first time that something happened, if it has.
pub(crate) struct First(AtomicU64);

impl fmt::Debug for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.load(Ordering::Acquire) {
            u64::MAX => f.write_str("never"),
            moment => Moment(moment).fmt(f),
        }
    }
}

impl Default for First {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl First {
    /// It happens at `moment`.
    pub(crate) fn note(&self, moment: Moment) {
        self.0.fetch_min(moment.0, Ordering::AcqRel);
    }

    /// Whether it has happened by `moment`.
    pub(crate) fn is_by(&self, moment: Moment) -> bool {
        self.0.load(Ordering::Acquire) <= moment.0
    }
}

/// The last time that something happened.
#[derive(Debug)]
pub(crate) struct Last(AtomicU64);

impl Last {
    /// It happened at `moment`.
    pub(crate) const fn at(moment: Moment) -> Self {
        Self(AtomicU64::new(moment.0))
    }

    /// It happens again.
    pub(crate) fn note(&self, moment: Moment) {
        self.0.fetch_max(moment.0, Ordering::AcqRel);
    }

    /// When it happened.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.0.load(Ordering::Acquire))
    }
}
