//! What is known of every request, by its nonce.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::moment::Moment;
use super::session::{Cookie, Session, Store};

/// How long a request that is over is remembered: what an upstream is sent later is unknown to it.
const REMEMBERED: Duration = Duration::from_secs(30);
const SHARDS: usize = 32;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Open to all, tells nobody's name.
    Public,
    /// Open to all, tells who is signed in.
    Optional,
    /// For who is signed in, with the headers that are sent by default.
    Standard,
    /// The same, with headers of its own.
    Mapped,
    /// For a group.
    Staff,
}

impl Route {
    /// Those that nobody passes without a session.
    pub(crate) const PROTECTED: [Self; 3] = [Self::Standard, Self::Mapped, Self::Staff];

    /// Its path.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Public => "/public",
            Self::Optional => "/maybe",
            Self::Standard => "/app",
            Self::Mapped => "/mapped",
            Self::Staff => "/staff",
        }
    }

    /// Whether only who is signed in may pass.
    pub(crate) fn is_protected(self) -> bool {
        Self::PROTECTED.contains(&self)
    }
}

/// By what right a request may pass.
#[derive(Debug, Clone)]
pub(crate) enum Right {
    /// None: nobody is signed in, or certainly no longer.
    None(&'static str),
    /// As the owner of a session that may be good.
    Of(Arc<Session>, Cookie),
}

/// A request.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) nonce: u64,
    pub(crate) store: Store,
    pub(crate) route: Route,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) right: Right,
    pub(crate) sent: Moment,
    pub(crate) logged: AtomicU8,
    pub(crate) resets: AtomicU8,
}

impl Record {
    /// One that is about to be sent.
    pub(crate) const fn new(
        nonce: u64,
        store: Store,
        route: Route,
        method: &'static str,
        target: String,
        right: Right,
        sent: Moment,
    ) -> Self {
        let (logged, resets) = (AtomicU8::new(0), AtomicU8::new(0));
        Self { nonce, store, route, method, target, right, sent, logged, resets }
    }

    /// Whether it may be sent twice ([RFC 9110 §9.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2)).
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }

    /// It has come to the upstream; which time this is, and how often it was reset before.
    pub(crate) fn arrives(&self) -> (u8, u8) {
        (self.logged.fetch_add(1, Ordering::AcqRel) + 1, self.resets.load(Ordering::Acquire))
    }

    /// How often it has come to the upstream.
    pub(crate) fn arrivals(&self) -> u8 {
        self.logged.load(Ordering::Acquire)
    }

    /// The upstream is about to close the connection instead of answering.
    pub(crate) fn reset(&self) {
        self.resets.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Debug, Default)]
struct Shard {
    records: HashMap<u64, Arc<Record>>,
    over: VecDeque<(Moment, u64)>,
}

/// All requests that are under way or were a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Ledger([Mutex<Shard>; SHARDS]);

impl Ledger {
    fn shard(&self, nonce: u64) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(nonce % SHARDS as u64).unwrap_or_default();
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request goes out.
    pub(crate) fn enter(&self, record: Record) -> Arc<Record> {
        let record = Arc::new(record);
        self.shard(record.nonce).records.insert(record.nonce, Arc::clone(&record));
        record
    }

    /// The request of a nonce.
    pub(crate) fn find(&self, nonce: u64) -> Option<Arc<Record>> {
        self.shard(nonce).records.get(&nonce).cloned()
    }

    /// A request is over.
    pub(crate) fn close(&self, nonce: u64, now: Moment) {
        let mut shard = self.shard(nonce);
        shard.over.push_back((now, nonce));
        while let Some((at, old)) = shard.over.front().copied() {
            if now.since(at) < REMEMBERED {
                break;
            }
            shard.over.pop_front();
            shard.records.remove(&old);
        }
    }
}
