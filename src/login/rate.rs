//! How many logins may cost the provider a call (`login_rate`).

use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;

/// A token bucket of one second's worth.
#[derive(Debug)]
pub struct LoginRate {
    per_second: u32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a login.
    millilogins: u64,
    filled_at: Timestamp,
}

impl LoginRate {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u32, now: Timestamp) -> Self {
        let bucket = Bucket { millilogins: u64::from(per_second) * 1000, filled_at: now };
        Self { per_second, bucket: Mutex::new(bucket) }
    }

    /// Takes one login out of the bucket, if there is one.
    #[must_use]
    pub fn take(&self, now: Timestamp) -> Option<Permit> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = u64::try_from(now.since(bucket.filled_at).as_millis()).unwrap_or(u64::MAX);
        let full = u64::from(self.per_second) * 1000;
        bucket.millilogins =
            bucket.millilogins.saturating_add(elapsed.saturating_mul(self.per_second.into())).min(full);
        bucket.filled_at = now;
        bucket.millilogins = bucket.millilogins.checked_sub(1000)?;
        Some(Permit(()))
    }
}

/// Leave to make one login call.
#[derive(Debug)]
#[must_use = "a permit is for a call that follows"]
pub struct Permit(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_a_burst_through_and_then_the_rate() {
        let at = Timestamp::from_millis;
        let rate = LoginRate::new(20, at(0));
        let burst = (0..30).filter(|_| rate.take(at(0)).is_some()).count();
        assert_eq!(burst, 20);
        assert!(rate.take(at(49)).is_none());
        assert!(rate.take(at(100)).is_some());
        let second = (0..30).filter(|_| rate.take(at(10_000)).is_some()).count();
        assert_eq!(second, 20, "it never holds more than a second's worth");
    }
}
