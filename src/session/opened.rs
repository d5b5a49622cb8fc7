//! Sealed records that were opened lately.
//!
//! Opening and reading a record costs more than all else the gateway does for a request. What is kept
//! is the record and nothing that was decided about it: every request judges it anew, and notes its
//! use in a [`Live`](super::Live) of its own, since what it presents says when the session was last
//! used.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::live::Record;
use super::{Handle, Scope};
use crate::identity::ProviderName;

/// What they may take together, as far as it is counted; the least recently used leave first.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// A record that isn't asked for is forgotten: it holds what the browser alone should keep.
const IDLE: Duration = Duration::from_mins(1);
/// Text, claims twice, rendered headers: roughly so many times what was presented.
const TIMES: usize = 4;

/// Records by what was presented, to the last byte.
pub(super) struct Opened(Cache<Box<str>, Entry, foldhash::quality::RandomState>);

#[derive(Clone)]
struct Entry {
    /// The cookie that it is sealed for.
    cookie: Arc<str>,
    record: Arc<Record>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("records", &self.0.entry_count()).finish()
    }
}

impl Opened {
    pub(super) fn new() -> Self {
        let cache = Cache::<Box<str>, Entry>::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|presented, _| {
                let bytes = presented.len().saturating_mul(TIMES).saturating_add(1024);
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE);
        Self(cache.build_with_hasher(foldhash::quality::RandomState::default()))
    }

    /// The record that was opened from these very bytes for this very place: cookie, origin, provider.
    pub(super) fn find(&self, scope: &Scope, presented: &str) -> Option<Arc<Record>> {
        let entry = self.0.get(presented)?;
        let here = *entry.cookie == *scope.cookie && entry.record.session().belongs_to(scope);
        here.then_some(entry.record)
    }

    /// Keeps a record that was opened from `presented` in `scope`.
    pub(super) fn keep(&self, scope: &Scope, presented: &str, record: &Arc<Record>) {
        let entry = Entry { cookie: scope.cookie.as_str().into(), record: Arc::clone(record) };
        self.0.insert(presented.into(), entry);
    }

    /// Forgets what was presented.
    pub(super) fn forget(&self, presented: &str) {
        self.0.invalidate(presented);
    }

    /// Forgets a session, by whatever it was presented.
    pub(super) fn forget_session(&self, handle: &Handle) {
        self.forget_all(|record| record.handle() == handle);
    }

    /// Forgets all sessions of a provider's session.
    pub(super) fn forget_sid(&self, provider: &ProviderName, sid: &str) {
        self.forget_all(|record| {
            record.session().provider == *provider && record.session().sid() == Some(sid)
        });
    }

    /// Looks at a few thousand records at most, once a sign-out.
    fn forget_all(&self, gone: impl Fn(&Record) -> bool) {
        for (presented, entry) in &self.0 {
            if gone(&entry.record) {
                self.0.invalidate(&**presented);
            }
        }
        // What was taken out waits in a queue of the cache's otherwise, until somebody uses it.
        self.0.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::session::testing;

    fn scope() -> Scope {
        testing::scope("https://app.test", "idp")
    }

    fn record(number: u8, sid: &str) -> Arc<Record> {
        let session = testing::session(&scope(), "ann", sid, Timestamp::from_secs(1));
        Arc::new(Record::new(session, [number; 32], &scope(), None))
    }

    #[test]
    fn a_session_is_forgotten_by_whatever_it_was_presented() {
        let opened = Opened::new();
        let (one, two) = (record(1, "s"), record(2, "s"));
        opened.keep(&scope(), "old", &one);
        opened.keep(&scope(), "new", &one);
        opened.keep(&scope(), "other", &two);
        opened.forget_session(one.handle());
        assert!(opened.find(&scope(), "old").is_none() && opened.find(&scope(), "new").is_none());
        assert!(opened.find(&scope(), "other").is_some());
    }

    #[test]
    fn all_of_a_providers_session_are_forgotten() {
        let opened = Opened::new();
        for (number, sid) in [(1, "s"), (2, "s"), (3, "t")] {
            opened.keep(&scope(), sid, &record(number, sid));
        }
        opened.forget_sid(&scope().provider, "s");
        assert!(opened.find(&scope(), "s").is_none());
        opened.forget_sid(&ProviderName::parse("another").unwrap(), "t");
        assert!(opened.find(&scope(), "t").is_some());
    }

    #[test]
    fn however_many_are_presented_few_are_kept() {
        let opened = Opened::new();
        let record = record(1, "s");
        for number in 0..3000 {
            opened.keep(&scope(), &format!("{number:07000}"), &record);
        }
        opened.0.run_pending_tasks();
        assert!(opened.0.weighted_size() <= MAX_BYTES);
        assert!((100..1000).contains(&opened.0.entry_count()), "{}", opened.0.entry_count());
    }

    #[test]
    fn what_was_presented_is_forgotten_and_nothing_beside_it() {
        let opened = Opened::new();
        let record = record(1, "s");
        opened.keep(&scope(), "old", &record);
        opened.keep(&scope(), "new", &record);
        opened.forget("old");
        assert!(opened.find(&scope(), "old").is_none());
        assert!(opened.find(&scope(), "new").is_some());
    }
}
