//! Everything that the clients, the provider and the upstream share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vestibule::seal::{Keyring, MasterKey};

use super::browser::Browser;
use super::counts::Counts;
use super::dice::Dice;
use super::ledger::Ledger;
use super::pace::Pace;
use super::people::{PEOPLE, everybody};
use super::provider::Provider;
use super::rules::Broken;
use super::session::Store;
use super::settings::{ANONYMOUS, BROWSERS};

/// Where the gateways seem to be.
pub(crate) const HOST: &str = "golden.test";
/// The same as an origin.
pub(crate) const ORIGIN: &str = "https://golden.test";
/// The session cookie.
pub(crate) const SESSION: &str = "__Host-vestibule";

/// What all share.
pub(crate) struct World {
    pub(crate) counts: Counts,
    pub(crate) broken: Broken,
    pub(crate) ledger: Ledger,
    pub(crate) pace: Pace,
    pub(crate) provider: Provider,
    /// By gateway.
    pub(crate) browsers: [Vec<Arc<Browser>>; 2],
    /// The gateways' own, to look into what they seal.
    pub(crate) keyring: Keyring,
    pub(crate) key: MasterKey,
    /// Status codes of answers, and how often.
    statuses: [AtomicU64; 600],
    /// Which browser was given which session cookie, by hash.
    given: Mutex<HashMap<u64, usize>>,
    nonces: AtomicU64,
    over: AtomicBool,
}

impl World {
    /// Before anything has happened.
    pub(crate) fn new(provider: SocketAddr, seed: u64) -> Self {
        let key = MasterKey::random();
        Self {
            counts: Counts::default(),
            broken: Broken::default(),
            ledger: Ledger::default(),
            pace: Pace::default(),
            provider: Provider::new(provider.port(), Dice::new(seed, 1)),
            browsers: Store::BOTH.map(browsers),
            keyring: Keyring::new(std::slice::from_ref(&key)).expect("a key"),
            key,
            statuses: std::array::from_fn(|_| AtomicU64::new(0)),
            given: Mutex::default(),
            // Never the same as in another run, whose requests could linger.
            nonces: AtomicU64::new(Dice::new(seed, 2).roll() >> 16),
            over: AtomicBool::new(false),
        }
    }

    /// Without clients.
    pub(crate) fn for_rules() -> Self {
        Self::new(SocketAddr::from(([127, 0, 0, 1], 1)), 0)
    }

    /// A number that no other request has.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonces.fetch_add(1, Ordering::Relaxed)
    }

    /// No further requests.
    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::Release);
        self.pace.close();
    }

    /// Whether there are no further requests.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// An answer of this status came.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(count) = self.statuses.get(usize::from(status)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers by status.
    pub(crate) fn statuses(&self) -> String {
        let counts = self.statuses.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        let counts = counts.filter(|(_, count)| *count > 0);
        counts.map(|(status, count)| format!("{status}: {count}")).collect::<Vec<_>>().join(", ")
    }

    /// A browser is given a session cookie; whose it was before, if it was another's.
    pub(crate) fn gives(&self, value: &str, browser: usize) -> Option<usize> {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(value);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *given.entry(hash).or_insert(browser);
        (before != browser).then_some(before)
    }
}

fn browsers(store: Store) -> Vec<Arc<Browser>> {
    let of_people = everybody().iter().map(Some).cycle().take(PEOPLE * BROWSERS);
    let all = of_people.chain(std::iter::repeat_n(None, ANONYMOUS));
    // Both gateways' browsers are numbered through.
    let first = store.index() * 10_000;
    all.enumerate().map(|(index, owner)| Arc::new(Browser::new(first + index, store, owner))).collect()
}
