//! `limits.body_rate`: whether a request body comes fast enough.

use std::time::Duration;

/// The slowest body that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRate {
    /// `min`: bytes a second.
    pub min: u64,
    /// `after`: how long a body may be waited for before that counts.
    pub after: Duration,
}

impl Default for BodyRate {
    fn default() -> Self {
        Self { min: 1024, after: Duration::from_secs(10) }
    }
}

/// One body: `after` of patience, and a second more for every `min` bytes that have come. So what
/// counts is the average from the body's start, and only time that was spent waiting for the client.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge) struct Pace {
    rate: BodyRate,
    received: u64,
    waited: Duration,
}

impl Pace {
    /// Before the first byte.
    pub(in crate::edge) const fn new(rate: BodyRate) -> Self {
        Self { rate, received: 0, waited: Duration::ZERO }
    }

    /// Part of the body has come.
    pub(in crate::edge) const fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    /// Time was spent waiting for the client.
    pub(in crate::edge) const fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// How much longer it may be waited; zero when it has been too slow.
    pub(in crate::edge) fn patience(&self) -> Duration {
        let Some(seconds) = self.received.checked_div(self.rate.min) else { return Duration::MAX };
        // Less than a second's worth: no overflow that a rate above 18 GB/s wouldn't need.
        let rest = (self.received % self.rate.min).saturating_mul(1_000_000_000) / self.rate.min;
        let earned = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(rest));
        self.rate.after.saturating_add(earned).saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_bytes_may_take_their_time() {
        let mut pace = Pace::new(BodyRate::default());
        assert_eq!(pace.patience(), secs(10));
        pace.waited(secs(9));
        assert_eq!(pace.patience(), secs(1));
        pace.waited(secs(2));
        assert_eq!(pace.patience(), Duration::ZERO);
    }

    #[test]
    fn a_body_at_the_rate_goes_on_for_ever() {
        let mut pace = Pace::new(BodyRate::default());
        for _ in 0..1000 {
            pace.waited(secs(1));
            pace.received(1024);
            assert_eq!(pace.patience(), secs(10));
        }
    }

    #[test]
    fn half_the_rate_ends_after_twice_the_time() {
        let mut pace = Pace::new(BodyRate { min: 1000, after: secs(10) });
        let mut seconds = 0;
        while !pace.patience().is_zero() {
            pace.waited(secs(1));
            pace.received(500);
            seconds += 1;
        }
        assert_eq!(seconds, 20);
    }

    #[test]
    fn fractions_count() {
        let mut pace = Pace::new(BodyRate { min: 1000, after: Duration::ZERO });
        pace.received(1);
        assert_eq!(pace.patience(), Duration::from_millis(1));
        pace.received(1_999);
        assert_eq!(pace.patience(), secs(2));
    }
}
