//! What this replica knows to have ended although the browser still holds the record.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::Session;
use super::live::Handle;
use crate::clock::{Deadline, Stopwatch, Timestamp};
use crate::identity::ProviderName;

/// How far a wall clock may be set back without an ended session's record outliving what is known of it.
const SET_BACK: Duration = Duration::from_hours(24);

/// Ended sessions, each remembered until its record would be too old anyway: by a clock that nobody
/// sets, or a step of the wall clock could bring one back.
#[derive(Debug)]
pub(super) struct Revocations {
    /// How long an end is remembered.
    keep: Duration,
    /// When the youngest session that was seen here began, in milliseconds.
    youngest: AtomicU64,
    sessions: Expiring<Handle, Deadline>,
    sids: Expiring<(ProviderName, String), SidEnd>,
}

/// The end of all sessions of one `sid` that had begun.
#[derive(Debug, Clone)]
struct SidEnd {
    /// They began by then, as far as clocks can be trusted.
    by: Timestamp,
    /// Those that began afterwards although clocks say otherwise; none where no clock was ahead.
    since: Vec<Handle>,
}

impl Revocations {
    /// For records that last at most as long as `absolute`.
    pub(super) fn new(absolute: Duration) -> Self {
        Self {
            keep: absolute.saturating_add(SET_BACK),
            youngest: AtomicU64::new(0),
            sessions: Expiring::default(),
            sids: Expiring::default(),
        }
    }

    /// Notes that a session is there.
    pub(super) fn seen(&self, session: &Session) {
        self.youngest.fetch_max(session.created_at.as_millis(), Ordering::Relaxed);
    }

    /// Notes that a session begins here, after whatever has ended before.
    pub(super) fn begun(&self, handle: Handle, session: &Session) {
        self.seen(session);
        if let Some(sid) = session.sid().filter(|_| !self.sids.is_empty()) {
            self.sids.amend(&(session.provider.clone(), sid.to_owned()), |end| {
                if session.created_at <= end.by {
                    end.since.push(handle);
                }
            });
        }
    }

    /// One session, dead from `at`.
    pub(super) fn end(&self, handle: Handle, at: Deadline) {
        // The earlier end stands.
        self.sessions.note(handle, self.keep, at, |known| *known = known.min(at));
    }

    /// All sessions of a provider's session that began by `now`: or, where a clock was ahead of ours, as far
    /// as sessions were seen here.
    pub(super) fn end_sid(&self, provider: &ProviderName, sid: &str, now: Timestamp) {
        let youngest = Timestamp::from_millis(self.youngest.load(Ordering::Relaxed));
        let by = now.max(youngest.min(now.plus(SET_BACK)));
        self.sids.note(
            (provider.clone(), sid.to_owned()),
            self.keep,
            SidEnd { by, since: Vec::new() },
            // A provider's session may outlive a sign-out here: the later end covers more.
            |known| *known = SidEnd { by: known.by.max(by), since: Vec::new() },
        );
    }

    /// Whether this session's end is settled, now or later.
    pub(super) fn is_ending(&self, handle: &Handle) -> bool {
        self.sessions.with(handle, |_| ()).is_some()
    }

    /// Whether this session has been ended.
    pub(super) fn covers(&self, handle: &Handle, session: &Session, now: Timestamp) -> bool {
        if self.sessions.with(handle, |at| at.has_passed(now)) == Some(true) {
            return true;
        }
        let Some(sid) = session.sid().filter(|_| !self.sids.is_empty()) else { return false };
        let of_sid = (session.provider.clone(), sid.to_owned());
        let ended = |end: &SidEnd| session.created_at <= end.by && !end.since.contains(handle);
        self.sids.with(&of_sid, ended) == Some(true)
    }
}

/// Keys with what is known of their end; one is dropped once nothing it could concern is good any more. Grows
/// with sign-outs, which need a session each.
#[derive(Debug)]
struct Expiring<K, V>(RwLock<HashMap<K, (V, Stopwatch)>>);

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V> Expiring<K, V> {
    fn note(&self, key: K, keep: Duration, end: V, again: impl FnOnce(&mut V)) {
        let now = Stopwatch::start();
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if map.len() == map.capacity() {
            map.retain(|_, (_, noted)| now.since(noted) < keep);
        }
        match map.get_mut(&key) {
            Some((known, noted)) => {
                again(known);
                *noted = now;
            }
            None => {
                map.insert(key, (end, now));
            }
        }
    }

    fn amend(&self, key: &K, change: impl FnOnce(&mut V)) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = map.get_mut(key) {
            change(known);
        }
    }

    fn with<T>(&self, key: &K, look: impl FnOnce(&V) -> T) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).map(|(known, _)| look(known))
    }

    fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_record_outlives_is_forgotten_when_room_is_needed() {
        let noted = Expiring::default();
        for key in 0..1000 {
            noted.note(key, Duration::ZERO, (), |()| ());
        }
        assert!(noted.0.read().unwrap().len() < 10, "{:?}", noted.0.read().unwrap().len());
        for key in 0..1000 {
            noted.note(key, Duration::from_mins(1), (), |()| ());
        }
        assert_eq!(noted.0.read().unwrap().len(), 1000);
    }

    #[test]
    fn nothing_is_looked_through_while_there_is_room() {
        let noted = Expiring::default();
        let note = |key: usize| noted.note(key, Duration::ZERO, (), |()| ());
        note(0);
        let room = noted.0.read().unwrap().capacity();
        (1..room).for_each(note);
        assert_eq!(noted.0.read().unwrap().len(), room);
        note(room);
        assert_eq!(noted.0.read().unwrap().len(), 1);
    }

    #[test]
    fn an_end_is_remembered_however_many_follow() {
        let ended = Revocations::new(Duration::from_hours(10));
        let handle = |number: u16| crate::seal::sha256(&number.to_be_bytes());
        let now = Timestamp::from_secs(1_800_000_000);
        for number in 0..1000 {
            ended.end(handle(number), Deadline::after(now, Duration::ZERO));
        }
        assert!((0..1000).all(|number| ended.is_ending(&handle(number))));
    }
}
