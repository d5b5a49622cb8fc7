//! Where sessions are kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Handle, Live, Scope, Session};
use crate::clock::{Deadline, Timestamp};
use crate::identity::ProviderName;

/// Keeps sessions. What a browser presents is opaque here: an id, or a sealed record.
#[async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Keeps a new session and returns what the browser is to present.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it doesn't fit; [`Error::Unavailable`].
    async fn create(&self, scope: &Scope, session: Session) -> Result<String, Error>;

    /// The session of a presented value, if there is one. Whether it is too old or idle is for
    /// [`super::lifecycle`] to say, whether its grace is over for [`Live::ended_by`]. Malformed, foreign
    /// and ended all look alike.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then nobody knows, and nobody may pass.
    async fn load(&self, scope: &Scope, presented: &str) -> Result<Option<Arc<Live>>, Error>;

    /// What the browser is to present from now on, if that changes: called when a response's head is
    /// written, so that a session ended meanwhile isn't sealed anew.
    fn renew(&self, scope: &Scope, live: &Live, now: Timestamp) -> Option<String>;

    /// Ends a session.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn end(&self, live: &Live, ending: Ending, now: Timestamp) -> Result<(), Error>;

    /// Ends the session of a handle, whose record isn't at hand.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn end_known(&self, handle: &Handle, ending: Ending, now: Timestamp) -> Result<(), Error>;

    /// Ends all sessions that share the provider's own session; returns how many are known to have
    /// been live (a store that can't count says 0).
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn end_by_sid(&self, provider: &ProviderName, sid: &str, now: Timestamp) -> Result<u64, Error>;

    /// Whether the store can be reached.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn ping(&self) -> Result<(), Error>;
}

/// When an ended session stops being good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Now.
    AtOnce,
    /// A little later, so that other tabs, whose requests still carry the old value, don't trip.
    After(Duration),
}

impl Ending {
    /// From when on it is dead.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Deadline {
        let grace = match self {
            Self::AtOnce => Duration::ZERO,
            Self::After(grace) => grace,
        };
        Deadline::after(now, grace)
    }
}

/// Why a store can't do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record doesn't fit where it has to go.
    #[error("keep a session of {size} bytes: at most {limit} fit the cookie")]
    TooLarge {
        /// What it takes.
        size: usize,
        /// What there is.
        limit: usize,
    },
    /// The store can't be reached.
    #[error("reach the session store")]
    Unavailable,
}
