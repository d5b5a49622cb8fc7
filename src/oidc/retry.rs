//! When to try again: `Retry-After`, pauses between attempts, and how long ago is long enough.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::clock::Timestamp;
use crate::seal::fill_random;

/// Attempts after the first one; for GET alone, since a code is spent by its first use.
pub(super) const MAX_RETRIES: u32 = 2;
/// Longest `Retry-After` that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What the provider asks for, in seconds or as a date, at most a minute
/// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds are still "a long time".
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
        Timestamp::from_millis(u64::try_from(at).ok()?).since(now)
    };
    Some(asked.min(MAX_RETRY_AFTER))
}

/// The pause before the next attempt: 50 to 100 ms, then 100 to 200 ms.
pub(super) fn backoff(retries: u32) -> Duration {
    jittered(FIRST_PAUSE.saturating_mul(1 << retries.min(8)))
}

/// Between half of `most` and `most`, so that replicas that failed together don't come back together.
pub(super) fn jittered(most: Duration) -> Duration {
    let mut random = [0; 2];
    fill_random(&mut random);
    let half = most / 2;
    half + half.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX))
}

/// Whether `period` has passed since `then`.
///
/// A wall clock that was set back counts as passed: asking once too often is better than waiting
/// for the clock to catch up.
pub(super) fn has_passed(period: Duration, then: Timestamp, now: Timestamp) -> bool {
    now < then || now.since(then) >= period
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::seconds("17", Some(17))]
    #[case::at_once("0", Some(0))]
    #[case::too_long("86400", Some(60))]
    #[case::absurd("99999999999999999999999", Some(60))]
    #[case::a_date("Sun, 06 Nov 1994 08:49:37 GMT", Some(30))]
    #[case::a_past_date("Sun, 06 Nov 1994 08:00:00 GMT", Some(0))]
    #[case::negative("-1", None)]
    #[case::empty("", None)]
    #[case::words("soon", None)]
    fn reads_retry_after(#[case] text: &'static str, #[case] seconds: Option<u64>) {
        let now = Timestamp::from_secs(784_111_747); // 08:49:07 on that day
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs));
    }

    #[test]
    fn pauses_grow_and_stay_below_their_limit() {
        for _ in 0..100 {
            assert!((50..=100).contains(&backoff(0).as_millis()));
            assert!((100..=200).contains(&backoff(1).as_millis()));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_never_makes_us_wait() {
        let (noon, later) = (Timestamp::from_secs(1000), Timestamp::from_secs(1030));
        let period = Duration::from_secs(30);
        assert!(has_passed(period, noon, later));
        assert!(!has_passed(period, noon, Timestamp::from_secs(1029)));
        assert!(has_passed(period, later, noon));
    }
}
