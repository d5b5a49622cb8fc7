//! What this replica knows to have ended although the browser still holds the record.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::Session;
use super::live::Handle;
use crate::clock::Timestamp;
use crate::identity::ProviderName;

/// Ended sessions, each remembered until its record would be too old anyway.
#[derive(Debug)]
pub(super) struct Revocations {
    /// How long a record lasts at most.
    absolute: Duration,
    sessions: Expiring<Handle>,
    sids: Expiring<(ProviderName, String)>,
}

impl Revocations {
    pub(super) fn new(absolute: Duration) -> Self {
        Self { absolute, sessions: Expiring::default(), sids: Expiring::default() }
    }

    /// One session, dead from `at`.
    pub(super) fn end(&self, handle: Handle, at: Timestamp, now: Timestamp) {
        // The earlier end stands.
        self.sessions.note(handle, at, now, self.absolute, Timestamp::min);
    }

    /// All sessions of a provider's session that began by `now`.
    pub(super) fn end_sid(&self, provider: &ProviderName, sid: &str, now: Timestamp) {
        // A provider's session may outlive a sign-out here: the later end covers more.
        self.sids.note((provider.clone(), sid.to_owned()), now, now, self.absolute, Timestamp::max);
    }

    /// Whether this session's end is settled, now or later.
    pub(super) fn is_ending(&self, handle: &Handle) -> bool {
        self.sessions.of(handle).is_some()
    }

    /// Whether this session has been ended.
    pub(super) fn covers(&self, handle: &Handle, session: &Session, now: Timestamp) -> bool {
        if self.sessions.of(handle).is_some_and(|at| at <= now) {
            return true;
        }
        let Some(sid) = session.sid().filter(|_| !self.sids.is_empty()) else { return false };
        let ended = self.sids.of(&(session.provider.clone(), sid.to_owned()));
        ended.is_some_and(|at| session.created_at <= at)
    }
}

/// Keys with a time; one is dropped once nothing it could concern is good any more. Grows with
/// sign-outs alone, which need a session each.
#[derive(Debug)]
struct Expiring<K>(RwLock<HashMap<K, Timestamp>>);

impl<K> Default for Expiring<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash> Expiring<K> {
    fn note(
        &self,
        key: K,
        at: Timestamp,
        now: Timestamp,
        keep: Duration,
        merge: fn(Timestamp, Timestamp) -> Timestamp,
    ) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if map.len() == map.capacity() {
            map.retain(|_, noted| now.since(*noted) < keep);
        }
        map.entry(key).and_modify(|noted| *noted = merge(*noted, at)).or_insert(at);
    }

    fn of(&self, key: &K) -> Option<Timestamp> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
