//! As many requests at once as the machine can take: sessions last seconds here, so answers must not
//! take as long.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::settings::{CONNECTIONS, STREAMS};

/// What an answer may take on average.
const WANTED: u64 = 300;
/// How often the number is thought over.
pub(crate) const THOUGHT: Duration = Duration::from_millis(100);
/// As many as there are streams and connections without.
const MOST: usize = CONNECTIONS / 2 * (STREAMS + 1);
/// To begin with.
const FIRST: usize = 200;
/// On the slowest machine.
const LEAST: usize = 16;

/// How many requests may be under way at once.
#[derive(Debug)]
pub(crate) struct Pace {
    room: Semaphore,
    limit: AtomicUsize,
    /// Never more.
    most: AtomicUsize,
    /// Places that are given up once they are free.
    owed: AtomicUsize,
    /// Milliseconds that answers took since the last thought, and how many there were.
    took: AtomicU64,
    answers: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            room: Semaphore::new(FIRST),
            limit: AtomicUsize::new(FIRST),
            most: AtomicUsize::new(MOST),
            owed: AtomicUsize::new(0),
            took: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        }
    }
}

impl Pace {
    /// Waits for room for one more. False once there is never room again.
    pub(crate) async fn begin(&self) -> bool {
        self.room.acquire().await.map(SemaphorePermit::forget).is_ok()
    }

    /// There was nothing to do, or it is done.
    pub(crate) fn end(&self) {
        let one_less = |owed: usize| owed.checked_sub(1);
        if self.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_err() {
            self.room.add_permits(1);
        }
    }

    /// No further requests.
    pub(crate) fn close(&self) {
        self.room.close();
    }

    /// An answer took so long.
    pub(crate) fn note(&self, took: Duration) {
        self.took.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Fewer when answers take too long, else more.
    pub(crate) fn think(&self) {
        let (took, answers) = (self.took.swap(0, Ordering::Relaxed), self.answers.swap(0, Ordering::Relaxed));
        let before = self.limit();
        let next = if answers == 0 || took / answers > WANTED { before * 9 / 10 } else { before + 20 };
        let next = next.clamp(LEAST, self.most.load(Ordering::Relaxed));
        self.limit.store(next, Ordering::Relaxed);
        for _ in before..next {
            self.end();
        }
        self.owed.fetch_add(before.saturating_sub(next), Ordering::AcqRel);
    }

    /// Never more than now: what grows from here on does so by itself.
    pub(crate) fn hold(&self) {
        self.most.store(self.limit(), Ordering::Relaxed);
    }

    /// How many may be under way.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn goes_slower_when_answers_take_long_and_faster_when_not() {
        let pace = Pace::default();
        pace.note(Duration::from_millis(50));
        pace.think();
        assert_eq!((pace.limit(), pace.room.available_permits()), (FIRST + 20, FIRST + 20));
        for _ in 0..FIRST + 20 {
            assert!(pace.begin().await);
        }
        for _ in 0..100 {
            pace.note(Duration::from_secs(2));
            pace.think();
        }
        assert_eq!((pace.limit(), pace.room.available_permits()), (LEAST, 0));
        for _ in 0..FIRST + 20 {
            pace.end();
        }
        assert_eq!(pace.room.available_permits(), LEAST);
        pace.close();
        assert!(!pace.begin().await);
    }
}
