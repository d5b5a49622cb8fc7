//! A document of the provider that is kept, refreshed, and outlives the provider's bad days.
//!
//! Readers never wait: the last good document is a snapshot. Whoever needs another one fetches it,
//! one at a time; all others wait for that fetch and share what came of it. A failed fetch changes
//! nothing that is kept, and its error answers everyone for a second, so that a flood of requests
//! is not a flood of calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, MutexGuard};

use super::error::Error;
use super::retry::has_passed;
use crate::clock::{Clock, Timestamp};

/// Age at which a document is fetched again in the background: with the jitter of the upkeep, none
/// gets older than five minutes, nor does a key that was withdrawn.
pub(super) const REFRESH_AFTER: Duration = Duration::from_secs(270);
/// Age at which a document is no longer believed.
const USABLE_FOR: Duration = Duration::from_hours(24);
/// How long the error of a fetch answers others.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(1);

/// One fetch, not begun. Boxed, so that whoever may have to wait for one stays small.
pub(super) type Fetch<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

#[derive(Debug)]
pub(super) struct Kept<T> {
    last_good: ArcSwapOption<Fetched<T>>,
    /// Held while a fetch is under way.
    flight: Mutex<Option<Failure>>,
    /// Fetches begun so far.
    begun: AtomicU64,
}

#[derive(Debug)]
struct Fetched<T> {
    document: Arc<T>,
    at: Timestamp,
}

#[derive(Debug)]
struct Failure {
    error: Error,
    at: Timestamp,
}

/// A moment in the order of fetches; only a fetch begun after it can bring what was missed then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl<T> Kept<T> {
    pub(super) fn empty() -> Self {
        Self { last_good: ArcSwapOption::empty(), flight: Mutex::new(None), begun: AtomicU64::new(0) }
    }

    /// The last good document, while it may be used.
    pub(super) fn usable(&self, now: Timestamp) -> Option<Arc<T>> {
        let fetched = self.last_good.load();
        let fetched = fetched.as_ref()?;
        (now.since(fetched.at) < USABLE_FOR).then(|| Arc::clone(&fetched.document))
    }

    /// Age of the last good document.
    pub(super) fn age(&self, now: Timestamp) -> Option<Duration> {
        self.last_good.load().as_ref().map(|fetched| now.since(fetched.at))
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.last_good.load().as_ref().is_none_or(|fetched| has_passed(REFRESH_AFTER, fetched.at, now))
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.begun.load(Ordering::Acquire))
    }

    /// A usable document: what one shared fetch brings, if nobody else's has brought it meanwhile.
    pub(super) async fn get(&self, clock: &dyn Clock, fetch: Fetch<'_, T>) -> Result<Arc<T>, Error> {
        let mut flight = self.flight.lock().await;
        let now = clock.now();
        if let Some(document) = self.usable(now) {
            return Ok(document);
        }
        if let Some(error) = recent(flight.as_ref(), now) {
            return Err(error);
        }
        self.run(&mut flight, clock, fetch).await
    }

    /// A document other than `seen`, in which something was missed at the moment `missed`.
    ///
    /// `None` when there is none: `permitted` says no, or a fetch begun since has brought `seen`.
    pub(super) async fn newer(
        &self,
        seen: &Arc<T>,
        missed: Moment,
        clock: &dyn Clock,
        permitted: impl FnOnce(Timestamp) -> bool + Send,
        fetch: Fetch<'_, T>,
    ) -> Result<Option<Arc<T>>, Error> {
        let mut flight = self.flight.lock().await;
        let now = clock.now();
        if let Some(current) = self.usable(now)
            && !Arc::ptr_eq(&current, seen)
        {
            return Ok(Some(current));
        }
        if let Some(error) = recent(flight.as_ref(), now) {
            return Err(error);
        }
        if self.begun.load(Ordering::Acquire) > missed.0 || !permitted(now) {
            return Ok(None);
        }
        self.run(&mut flight, clock, fetch).await.map(Some)
    }

    /// Fetches when it is time to.
    pub(super) async fn refresh(&self, clock: &dyn Clock, fetch: Fetch<'_, T>) -> Result<(), Error> {
        let mut flight = self.flight.lock().await;
        if !self.is_due(clock.now()) {
            return Ok(());
        }
        self.run(&mut flight, clock, fetch).await.map(drop)
    }

    async fn run(
        &self,
        flight: &mut MutexGuard<'_, Option<Failure>>,
        clock: &dyn Clock,
        fetch: Fetch<'_, T>,
    ) -> Result<Arc<T>, Error> {
        self.begun.fetch_add(1, Ordering::AcqRel);
        match fetch.await {
            Ok(document) => {
                let document = Arc::new(document);
                let fetched = Fetched { document: Arc::clone(&document), at: clock.now() };
                self.last_good.store(Some(Arc::new(fetched)));
                **flight = None;
                Ok(document)
            }
            Err(error) => {
                **flight = Some(Failure { error: error.clone(), at: clock.now() });
                Err(error)
            }
        }
    }
}

fn recent(failure: Option<&Failure>, now: Timestamp) -> Option<Error> {
    failure.filter(|failure| !has_passed(FAILURE_REMEMBERED, failure.at, now)).map(|f| f.error.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::error::Misbehaved;
    use super::*;
    use crate::clock::ManualClock;

    struct Bench {
        kept: Kept<usize>,
        clock: ManualClock,
        fetches: AtomicUsize,
    }

    impl Bench {
        fn new() -> Self {
            let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
            Self { kept: Kept::empty(), clock, fetches: AtomicUsize::new(0) }
        }

        fn fetch(&self) -> Fetch<'_, usize> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(self.fetches.fetch_add(1, Ordering::SeqCst) + 1)
            })
        }

        fn fail(&self) -> Fetch<'_, usize> {
            Box::pin(async {
                self.fetch().await?;
                Err(Misbehaved::NoUsableKeys.into())
            })
        }

        async fn newer_than(&self, seen: &Arc<usize>) -> Option<usize> {
            let missed = self.kept.now();
            let newer = self.kept.newer(seen, missed, &self.clock, |_| true, self.fetch()).await;
            newer.unwrap().map(|document| *document)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_need_it_share_one_fetch() {
        let bench = Bench::new();
        let get = || bench.kept.get(&bench.clock, bench.fetch());
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!((*a.unwrap(), *b.unwrap(), *c.unwrap()), (1, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_fail_share_one_error_for_a_second() {
        let bench = Bench::new();
        let get = || bench.kept.get(&bench.clock, bench.fail());
        let (a, b) = tokio::join!(get(), get());
        assert_eq!(a.unwrap_err(), b.unwrap_err());
        bench.clock.advance(Duration::from_millis(999));
        assert!(get().await.is_err());
        assert_eq!(bench.fetches.load(Ordering::SeqCst), 1);
        bench.clock.advance(Duration::from_millis(1));
        assert!(bench.kept.get(&bench.clock, bench.fetch()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_fetch_to_the_next() {
        let bench = Bench::new();
        let given_up = bench.kept.get(&bench.clock, bench.fetch());
        assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
        assert!(bench.kept.get(&bench.clock, bench.fetch()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_one_outlives_failures_for_a_day() {
        let bench = Bench::new();
        bench.kept.get(&bench.clock, bench.fetch()).await.unwrap();
        bench.clock.advance(REFRESH_AFTER);
        assert!(bench.kept.refresh(&bench.clock, bench.fail()).await.is_err());
        bench.clock.advance(USABLE_FOR.saturating_sub(REFRESH_AFTER + Duration::from_millis(1)));
        assert_eq!(bench.kept.usable(bench.clock.now()).as_deref(), Some(&1));
        bench.clock.advance(Duration::from_millis(1));
        assert_eq!(bench.kept.usable(bench.clock.now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn refreshes_only_when_due() {
        let bench = Bench::new();
        bench.kept.refresh(&bench.clock, bench.fetch()).await.unwrap();
        bench.clock.advance(REFRESH_AFTER.saturating_sub(Duration::from_millis(1)));
        bench.kept.refresh(&bench.clock, bench.fetch()).await.unwrap();
        assert_eq!(bench.fetches.load(Ordering::SeqCst), 1);
        bench.clock.advance(Duration::from_millis(1));
        bench.kept.refresh(&bench.clock, bench.fetch()).await.unwrap();
        assert_eq!(bench.fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_missed_the_same_shares_one_newer_document() {
        let bench = Bench::new();
        let seen = bench.kept.get(&bench.clock, bench.fetch()).await.unwrap();
        let newer = || bench.newer_than(&seen);
        let (a, b, c) = tokio::join!(newer(), newer(), newer());
        assert_eq!((a, b, c), (Some(2), Some(2), Some(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_begun_after_the_miss_is_enough() {
        let bench = Bench::new();
        bench.kept.get(&bench.clock, bench.fetch()).await.unwrap();
        let missed = bench.kept.now();
        bench.clock.advance(REFRESH_AFTER);
        bench.kept.refresh(&bench.clock, bench.fetch()).await.unwrap();
        let seen = bench.kept.usable(bench.clock.now()).unwrap();
        let newer = bench.kept.newer(&seen, missed, &bench.clock, |_| true, bench.fetch()).await.unwrap();
        assert_eq!(newer, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_makes_a_refresh_due() {
        let bench = Bench::new();
        bench.kept.refresh(&bench.clock, bench.fetch()).await.unwrap();
        assert!(bench.kept.is_due(Timestamp::from_secs(5)));
        assert!(bench.kept.usable(Timestamp::from_secs(5)).is_some());
    }
}
