//! As many requests at once as the machine can take: sessions last seconds here, so answers must not
//! take as long.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::settings::{CONNECTIONS, STREAMS};

/// What an answer may take on average.
const WANTED: u64 = 300;
/// How often the number is thought over.
pub(crate) const THOUGHT: Duration = Duration::from_millis(100);
/// As many as there are streams and connections without.
const MOST: usize = CONNECTIONS / 2 * (STREAMS + 1);
/// On the slowest machine.
const LEAST: usize = 16;

/// How many requests may be under way at once.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: AtomicUsize,
    under_way: AtomicUsize,
    /// Milliseconds that answers took since the last thought, and how many there were.
    took: AtomicU64,
    answers: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: AtomicUsize::new(200),
            under_way: AtomicUsize::new(0),
            took: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        }
    }
}

impl Pace {
    /// Whether there is room for one more; if so, it is taken.
    pub(crate) fn begin(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let room = |now: usize| (now < limit).then_some(now + 1);
        self.under_way.fetch_update(Ordering::AcqRel, Ordering::Relaxed, room).is_ok()
    }

    /// There was nothing to do, or it is done.
    pub(crate) fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    /// An answer took so long.
    pub(crate) fn note(&self, took: Duration) {
        self.took.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Fewer when answers take too long, else more.
    pub(crate) fn think(&self) {
        let (took, answers) = (self.took.swap(0, Ordering::Relaxed), self.answers.swap(0, Ordering::Relaxed));
        let limit = self.limit.load(Ordering::Relaxed);
        let next = if answers == 0 || took / answers > WANTED { limit * 9 / 10 } else { limit + 20 };
        self.limit.store(next.clamp(LEAST, MOST), Ordering::Relaxed);
    }

    /// How many may be under way.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_slower_when_answers_take_long_and_faster_when_not() {
        let pace = Pace::default();
        let before = pace.limit();
        pace.note(Duration::from_millis(50));
        pace.think();
        assert!(pace.limit() > before);
        for _ in 0..100 {
            pace.note(Duration::from_secs(2));
            pace.think();
        }
        assert_eq!(pace.limit(), LEAST);
        assert!((0..LEAST).all(|_| pace.begin()) && !pace.begin());
        pace.end();
        assert!(pace.begin());
    }
}
