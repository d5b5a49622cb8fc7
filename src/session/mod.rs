//! Signed-in browsers.
//!
//! A session belongs to one origin and one provider; a mismatch is no session. Ids are 256 random
//! bits, kept as their SHA-256, new at every login.

use std::time::Duration;

use crate::seal::MasterKey;

/// `sessions`, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// `store`.
    pub store: StoreKind,
    /// `keys`: the first seals, all open. Random at start when the memory store has none.
    pub keys: Vec<MasterKey>,
    /// `idle_timeout`.
    pub idle_timeout: Duration,
    /// `absolute_timeout`.
    pub absolute_timeout: Duration,
    /// `memory.capacity`: sessions kept, the least recently used leave first.
    pub memory_capacity: u64,
    /// `cookie.name`, without prefix.
    pub cookie_name: String,
    /// `cookie.max_size` in bytes, all chunks together.
    pub cookie_max_size: usize,
    /// `cookie.partitioned`.
    pub cookie_partitioned: bool,
}

/// Where sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In this process.
    Memory,
    /// Sealed whole into the browser's cookie.
    Cookie,
}
