//! `sessions`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::values::{Later, List, Period, Size};
use super::Secret;

/// Where signed-in browsers are remembered, and for how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sessions {
    /// Default: memory.
    pub(crate) store: Option<Store>,
    /// 32 bytes in base64url each (`vestibule key` makes one): the first seals, all open. Required but
    /// for the memory store. One secret may hold several, separated by commas.
    pub(crate) keys: Option<List<Secret>>,
    /// Signed out after so long without a request. Default: 30m.
    pub(crate) idle_timeout: Option<Period>,
    /// Signed out after so long, whatever happens. Default: 10h; at most 12h in cookies.
    pub(crate) absolute_timeout: Option<Period>,
    /// The memory store.
    pub(crate) memory: Option<Memory>,
    /// The session's cookie.
    pub(crate) cookie: Option<Cookie>,
    /// (later) The redis store.
    pub(crate) redis: Option<Later>,
    /// (later) The file store.
    pub(crate) file: Option<Later>,
    /// (later) Ended sessions that replicas tell each other.
    pub(crate) revocations: Option<Later>,
}

/// Where sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Store {
    /// In this process.
    Memory,
    /// Sealed into the browser's cookie.
    Cookie,
    /// (later)
    File,
    /// (later)
    Redis,
}

/// The memory store.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    /// Sessions kept; the least recently used leave first. Default: 100000.
    pub(crate) capacity: Option<u64>,
}

/// The session's cookie.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cookie {
    /// Its name; the prefix __Host- is added. Default: vestibule.
    pub(crate) name: Option<String>,
    /// The most that a sealed session may take, all chunks together. Default and most: 7KiB.
    pub(crate) max_size: Option<Size>,
    /// Adds Partitioned, for pages in frames of other sites. Default: false.
    pub(crate) partitioned: Option<bool>,
}
