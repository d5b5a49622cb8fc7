//! Sessions sealed whole into the browser's cookie: nothing to run, nothing to lose.
//!
//! The record carries an id of its own, so that ending it can be remembered here until it would be
//! too old anyway: at once on this replica, at the absolute limit on others. Records opened lately are
//! kept opened ([`Opened`]); whether one is still good is asked every time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::lifecycle::Limits;
use super::live::{Record, SealedBy, Sealing, fresh_id};
use super::opened::Opened;
use super::revocations::Revocations;
use super::{Config, Ending, Error, Handle, Live, Scope, Session, SessionStore};
use crate::clock::{Clock, Timestamp};
use crate::identity::ProviderName;
use crate::seal::{self, Binding, Keyring, Purpose};

/// Seals and opens session records.
#[derive(Debug)]
pub struct CookieStore {
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    /// How stale the last use in a cookie may get.
    granularity: Duration,
    max_size: usize,
    revocations: Revocations,
    opened: Opened,
}

/// What is sealed: the record under a short id.
#[derive(Serialize, Deserialize)]
struct Sealed {
    id: String,
    session: Session,
}

impl CookieStore {
    /// A store that seals with the first key of `keyring`. `shortest_idle` is the shortest idle limit
    /// that a route asks for, if one does: cookies must be fresh enough for it.
    #[must_use]
    pub fn new(
        config: &Config,
        shortest_idle: Option<Duration>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limits = Limits { idle: config.idle_timeout, absolute: config.absolute_timeout };
        Self {
            granularity: limits.with_idle(shortest_idle).granularity(),
            keyring,
            clock,
            max_size: config.cookie_max_size,
            revocations: Revocations::new(config.absolute_timeout),
            opened: Opened::new(),
        }
    }

    fn binding(scope: &Scope) -> Binding<'_> {
        Binding { purpose: Purpose::Session, name: &scope.cookie, origin: &scope.origin }
    }

    /// The record in a value that was sealed by us for this place.
    fn open(&self, scope: &Scope, presented: &str) -> Option<Arc<Record>> {
        let plain = self.keyring.open(Self::binding(scope), presented).ok()?;
        let Sealed { id, session } = serde_json::from_slice(&plain).ok()?;
        let handle = seal::sha256(id.as_bytes());
        let current = self.keyring.is_current(Purpose::Session, presented);
        let key = if current { SealedBy::CurrentKey } else { SealedBy::OlderKey };
        Some(Arc::new(Record::new(session, handle, scope, Some(Sealing { id, key }))))
    }

    fn seal(&self, scope: &Scope, sealed: &Sealed) -> Result<String, Error> {
        let plain = serde_json::to_vec(sealed).map_err(|_| Error::Unavailable)?;
        let value = self.keyring.seal(Self::binding(scope), &plain);
        if value.is_empty() {
            return Err(Error::Unavailable);
        }
        let size = value.len();
        if size > self.max_size { Err(Error::TooLarge { size, limit: self.max_size }) } else { Ok(value) }
    }
}

#[async_trait]
impl SessionStore for CookieStore {
    async fn create(&self, scope: &Scope, session: Session) -> Result<String, Error> {
        let (id, handle) = fresh_id();
        let mut sealed = Sealed { id, session };
        let value = match self.seal(scope, &sealed) {
            // The hint only spares a question at sign-out; the person's claims must fit.
            Err(Error::TooLarge { .. }) if sealed.session.id_token.is_some() => {
                sealed.session.id_token = None;
                self.seal(scope, &sealed)
            }
            other => other,
        }?;
        self.revocations.begun(handle, &sealed.session);
        Ok(value)
    }

    async fn load(&self, scope: &Scope, presented: &str) -> Result<Option<Arc<Live>>, Error> {
        if presented.len() > self.max_size {
            return Ok(None);
        }
        let found = self.opened.find(scope, presented);
        let known = found.is_some();
        let Some(record) = found.or_else(|| self.open(scope, presented)) else { return Ok(None) };
        if !record.session().belongs_to(scope) {
            return Ok(None);
        }
        if self.revocations.covers(record.handle(), record.session(), self.clock.now()) {
            self.opened.forget(presented);
            return Ok(None);
        }
        if !known {
            self.revocations.seen(record.session());
            self.opened.keep(scope, presented, &record);
        }
        Ok(Some(Arc::new(Live::new(record))))
    }

    fn renew(&self, scope: &Scope, live: &Live, now: Timestamp) -> Option<String> {
        let (session, sealing) = (live.session(), live.sealing()?);
        let stale = live.last_seen().since(session.last_seen) >= self.granularity;
        if !stale && sealing.key == SealedBy::CurrentKey {
            return None;
        }
        // One that lives out its grace must not be written over the session that has replaced it.
        if self.revocations.is_ending(live.handle()) || self.revocations.covers(live.handle(), session, now) {
            return None;
        }
        let session = Session { last_seen: live.last_seen(), ..session.clone() };
        self.seal(scope, &Sealed { id: sealing.id.clone(), session }).ok()
    }

    async fn end(&self, live: &Live, ending: Ending, now: Timestamp) -> Result<(), Error> {
        let at = ending.at(now);
        live.end_at(at);
        self.revocations.end(*live.handle(), at);
        self.opened.forget_session(live.handle());
        Ok(())
    }

    async fn end_known(&self, handle: &Handle, ending: Ending, now: Timestamp) -> Result<(), Error> {
        self.revocations.end(*handle, ending.at(now));
        self.opened.forget_session(handle);
        Ok(())
    }

    async fn end_by_sid(&self, provider: &ProviderName, sid: &str, now: Timestamp) -> Result<u64, Error> {
        self.revocations.end_sid(provider, sid, now);
        self.opened.forget_sid(provider, sid);
        Ok(0)
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}
