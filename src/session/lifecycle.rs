//! Whether a session is still good. Pure: the time is given.

use std::time::Duration;

use crate::clock::Timestamp;

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Since its last use.
    pub idle: Duration,
    /// Since sign-in, whatever happens.
    pub absolute: Duration,
}

impl Limits {
    /// These, with a shorter idle limit where a route asks for one.
    #[must_use]
    pub fn with_idle(self, idle: Option<Duration>) -> Self {
        Self { idle: idle.map_or(self.idle, |idle| idle.min(self.idle)), ..self }
    }

    /// How stale the last use in a sealed cookie may get: a twentieth of the idle limit, at most a
    /// minute. By so much a cookie session may end early, never late.
    #[must_use]
    pub fn granularity(self) -> Duration {
        (self.idle / 20).min(Duration::from_mins(1))
    }
}

/// What the clock says of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Good.
    Live,
    /// Not used for too long.
    Idle,
    /// Signed in too long ago.
    TooOld,
}

/// Judges by the two limits. A session from the future (another replica's clock) is good.
#[must_use]
pub fn assess(created_at: Timestamp, last_seen: Timestamp, now: Timestamp, limits: Limits) -> Freshness {
    if now.since(created_at) >= limits.absolute {
        Freshness::TooOld
    } else if now.since(last_seen) >= limits.idle {
        Freshness::Idle
    } else {
        Freshness::Live
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LIMITS: Limits = Limits { idle: Duration::from_mins(30), absolute: Duration::from_hours(10) };

    #[rstest]
    #[case::fresh(0, 0, 1, Freshness::Live)]
    #[case::used_a_moment_before_the_idle_limit(0, 100, 100 + 1799, Freshness::Live)]
    #[case::idle_to_the_second(0, 100, 100 + 1800, Freshness::Idle)]
    #[case::old_to_the_second(0, 35_999, 36_000, Freshness::TooOld)]
    #[case::old_although_just_used(0, 36_000, 36_000, Freshness::TooOld)]
    #[case::made_by_a_replica_whose_clock_is_ahead(60, 60, 0, Freshness::Live)]
    fn judges(#[case] created: u64, #[case] seen: u64, #[case] now: u64, #[case] expected: Freshness) {
        let at = Timestamp::from_secs;
        assert_eq!(assess(at(created), at(seen), at(now), LIMITS), expected);
    }

    #[test]
    fn a_route_may_shorten_the_idle_limit_and_never_lengthen_it() {
        assert_eq!(LIMITS.with_idle(Some(Duration::from_mins(5))).idle, Duration::from_mins(5));
        assert_eq!(LIMITS.with_idle(Some(Duration::from_hours(5))).idle, LIMITS.idle);
        assert_eq!(LIMITS.with_idle(None), LIMITS);
    }

    #[test]
    fn a_cookie_is_early_by_a_twentieth_and_at_most_a_minute() {
        assert_eq!(Limits { idle: Duration::from_mins(10), ..LIMITS }.granularity(), Duration::from_secs(30));
        assert_eq!(Limits { idle: Duration::from_hours(10), ..LIMITS }.granularity(), Duration::from_mins(1));
    }
}
