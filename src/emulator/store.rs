//! Bounded memory.

use std::hash::Hash;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// A map that forgets: the least recently used beyond `capacity`, and everything after `lifetime` of
/// the machine's own time.
///
/// Entries carry their expiry too, since the emulator's clock may be a test's.
pub(super) fn bounded<K, V>(capacity: u64, lifetime: Duration) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(capacity)
        .time_to_live(lifetime)
        // The default policy may refuse what is new when full; a login must not vanish at birth.
        .eviction_policy(EvictionPolicy::lru())
        .build()
}
