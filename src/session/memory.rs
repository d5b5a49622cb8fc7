//! Sessions in this process, the least recently used leaving first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::live::{Handle, Record, fresh_id};
use super::{Config, Ending, Error, Live, Scope, Session, SessionStore};
use crate::clock::Timestamp;
use crate::identity::ProviderName;
use crate::seal;

/// Sessions by the SHA-256 of their id.
pub struct MemoryStore {
    sessions: Cache<Handle, Arc<Live>, foldhash::fast::RandomState>,
    by_sid: Arc<SidIndex>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.sessions.entry_count()).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store. Its own expiry only frees memory: what a session may still do is judged by
    /// [`super::lifecycle`], on our clock.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let by_sid = Arc::new(SidIndex::default());
        let index = Arc::clone(&by_sid);
        let sessions = Cache::builder()
            .max_capacity(config.memory_capacity)
            // The default policy may refuse a new key when full: somebody would sign in for nothing.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(config.absolute_timeout)
            .time_to_idle(config.idle_timeout + std::time::Duration::from_mins(1))
            .eviction_listener(move |handle, live: Arc<Live>, _| index.forget(&handle, &live))
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { sessions, by_sid }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create(&self, scope: &Scope, session: Session) -> Result<String, Error> {
        let (id, handle) = fresh_id();
        let live = Arc::new(Live::new(Arc::new(Record::new(session, handle, scope, None))));
        self.sessions.insert(handle, Arc::clone(&live));
        // Noted when it is there: who ends the sid finds either nothing or the whole session.
        self.by_sid.note(&live);
        Ok(id)
    }

    async fn load(&self, scope: &Scope, presented: &str) -> Result<Option<Arc<Live>>, Error> {
        // 32 bytes in base64url have 43 characters; nothing else is hashed.
        if presented.len() != 43 {
            return Ok(None);
        }
        let live = self.sessions.get(&seal::sha256(presented.as_bytes()));
        Ok(live.filter(|live| live.session().belongs_to(scope)))
    }

    fn renew(&self, _scope: &Scope, _live: &Live, _now: Timestamp) -> Option<String> {
        None
    }

    async fn end(&self, live: &Live, ending: Ending, now: Timestamp) -> Result<(), Error> {
        live.end_at(ending.at(now));
        if ending == Ending::AtOnce {
            self.sessions.invalidate(live.handle());
        }
        Ok(())
    }

    async fn end_known(&self, handle: &Handle, ending: Ending, now: Timestamp) -> Result<(), Error> {
        match self.sessions.get(handle) {
            Some(live) => self.end(&live, ending, now).await,
            None => Ok(()),
        }
    }

    async fn end_by_sid(&self, provider: &ProviderName, sid: &str, now: Timestamp) -> Result<u64, Error> {
        let mut ended = 0;
        for handle in self.by_sid.take(provider, sid) {
            if let Some(live) = self.sessions.remove(&handle) {
                live.end_at(Ending::AtOnce.at(now));
                ended += 1;
            }
        }
        Ok(ended)
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

type Sids = HashMap<(ProviderName, String), Vec<Handle>>;

/// Which sessions share a provider's own session.
#[derive(Default)]
struct SidIndex(Mutex<Sids>);

impl SidIndex {
    fn with<T>(&self, change: impl FnOnce(&mut Sids) -> T) -> T {
        // Nothing can panic under the lock; a poisoned one still holds a whole map.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, live: &Live) {
        let session = live.session();
        if let Some(sid) = session.sid() {
            let key = (session.provider.clone(), sid.to_owned());
            self.with(|sids| sids.entry(key).or_default().push(*live.handle()));
        }
    }

    fn forget(&self, handle: &Handle, live: &Live) {
        let session = live.session();
        let Some(sid) = session.sid() else { return };
        let key = (session.provider.clone(), sid.to_owned());
        self.with(|sids| {
            if let Some(handles) = sids.get_mut(&key) {
                handles.retain(|known| known != handle);
                if handles.is_empty() {
                    sids.remove(&key);
                }
            }
        });
    }

    fn take(&self, provider: &ProviderName, sid: &str) -> Vec<Handle> {
        self.with(|sids| sids.remove(&(provider.clone(), sid.to_owned())).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::live::Record;
    use super::super::testing;
    use super::*;

    fn live(number: u8) -> Live {
        let scope = testing::scope("https://app.test", "idp");
        let session = testing::session(&scope, "ann", "s", Timestamp::from_secs(1));
        Live::new(Arc::new(Record::new(session, [number; 32], &scope, None)))
    }

    #[test]
    fn a_session_that_leaves_is_forgotten_and_no_other_of_its_sid() {
        let index = SidIndex::default();
        let (one, two) = (live(1), live(2));
        index.note(&one);
        index.note(&two);
        index.forget(one.handle(), &one);
        let known: Vec<Handle> = index.with(|sids| sids.values().flatten().copied().collect());
        assert_eq!(known, vec![*two.handle()]);
        index.forget(two.handle(), &two);
        assert_eq!(index.with(|sids| sids.len()), 0, "a sid without sessions takes no room");
    }
}
