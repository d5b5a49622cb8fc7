//! The environment at run time: everything the endpoints share.

use std::sync::Arc;

use super::addresses::Addresses;
use super::client::Client;
use super::endpoint::Counters;
use super::faults::Faults;
use super::flows::Flows;
use super::grants::{Codes, Tokens};
use super::keys::{KeyFailed, Keys};
use super::options::Options;
use super::par::PushedRequests;
use super::sessions::Sessions;
use super::user::User;
use crate::clock::{Clock, Timestamp};

/// One environment.
pub(super) struct Environment {
    pub(super) options: Options,
    pub(super) addresses: Addresses,
    pub(super) clock: Arc<dyn Clock>,
    /// Stands for when users last changed.
    pub(super) started_at: Timestamp,
    pub(super) keys: Keys,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
    pub(super) sessions: Sessions,
    pub(super) flows: Flows,
    pub(super) codes: Codes,
    pub(super) tokens: Tokens,
    pub(super) pushed: PushedRequests,
}

impl Environment {
    pub(super) fn new(
        options: Options,
        addresses: Addresses,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyFailed> {
        Ok(Self {
            addresses,
            started_at: clock.now(),
            clock,
            keys: Keys::new(options.signing_kid.clone())?,
            faults: Faults::new(options.auth_time, options.access_token_typ),
            counters: Counters::default(),
            sessions: Sessions::new(),
            flows: Flows::new(),
            codes: Codes::new(),
            tokens: Tokens::new(),
            pushed: PushedRequests::new(),
            options,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.options.clients.iter().find(|client| client.id == id)
    }

    pub(super) fn user(&self, sub: &str) -> Option<&User> {
        self.options.users.iter().find(|user| user.sub == sub)
    }
}
