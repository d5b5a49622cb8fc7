//! Credentials in the request → who is asking. The only place where a proxied request waits.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::Gateway;
use crate::login::attempt::Previous;
use crate::session::cookie::{self, Presented};
use crate::session::lifecycle::{Freshness, assess};
use crate::session::{Ending, Error, Live, Scope};
use crate::telemetry::labels::{SessionEnd, SessionRefusal};

/// What the credentials say.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// There are none.
    Anonymous,
    /// Good ones.
    Identified(Arc<Live>),
    /// Some that don't count, and why, for the log: to the client it is as if there were none.
    Rejected(SessionRefusal),
    /// Nobody can say now: 503, never anonymous.
    Unknowable,
}

impl Gateway {
    /// Reads the session of `scope`. Several cookies of the name are a sign of tossing: they count
    /// only if exactly one of them is good.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
        scope: &Scope,
        idle: Option<Duration>,
    ) -> Authentication {
        let found = self.read_session(headers, scope, idle).await;
        match &found {
            Authentication::Rejected(why) => self.metrics.session_refused(*why),
            Authentication::Identified(live) => live.seen(self.clock.now()),
            Authentication::Anonymous | Authentication::Unknowable => {}
        }
        found
    }

    /// The session that a login here would take the place of; looking at it is no use of it.
    pub(super) async fn previous(&self, headers: &HeaderMap, scope: &Scope) -> Option<Previous> {
        match self.read_session(headers, scope, None).await {
            Authentication::Identified(live) => Some(Previous::of(&live)),
            _ => None,
        }
    }

    async fn read_session(
        &self,
        headers: &HeaderMap,
        scope: &Scope,
        idle: Option<Duration>,
    ) -> Authentication {
        let values = match cookie::presented(headers, scope) {
            Presented::Nothing => return Authentication::Anonymous,
            Presented::Broken => return Authentication::Rejected(SessionRefusal::Chunks),
            Presented::Values(values) => values,
        };
        let mut good = None;
        let mut why = SessionRefusal::Unknown;
        for value in &values {
            match self.load_fresh(scope, value, idle).await {
                Ok(Ok(_)) if good.is_some() => return Authentication::Rejected(SessionRefusal::Duplicate),
                Ok(Ok(live)) => good = Some(live),
                Ok(Err(reason)) => why = reason,
                Err(_) => return Authentication::Unknowable,
            }
        }
        match good {
            Some(live) => Authentication::Identified(live),
            None => Authentication::Rejected(why),
        }
    }

    async fn load_fresh(
        &self,
        scope: &Scope,
        value: &str,
        idle: Option<Duration>,
    ) -> Result<Result<Arc<Live>, SessionRefusal>, Error> {
        let Some(live) = self.store.load(scope, value).await? else {
            return Ok(Err(SessionRefusal::Unknown));
        };
        let now = self.clock.now();
        if live.ended_by(now) {
            return Ok(Err(SessionRefusal::Ended));
        }
        let created_at = live.session().created_at;
        let (why, end) = match assess(created_at, live.last_seen(), now, self.limits) {
            Freshness::Live => {
                // A route's shorter limit asks for a new sign-in there; elsewhere the session is good.
                let here = assess(created_at, live.last_seen(), now, self.limits.with_idle(idle));
                return Ok(if here == Freshness::Live { Ok(live) } else { Err(SessionRefusal::Idle) });
            }
            Freshness::Idle => (SessionRefusal::Idle, SessionEnd::Idle),
            Freshness::TooOld => (SessionRefusal::Absolute, SessionEnd::Absolute),
        };
        // What a sealed cookie says of the last use was true when it was sealed: a later one may say more, and
        // an old one that comes late, or is played back, must not end the session of who goes on with that.
        if why != SessionRefusal::Idle || live.sealing().is_none() {
            self.store.end(&live, Ending::AtOnce, now).await?;
        }
        self.metrics.session_ended(end);
        Ok(Err(why))
    }
}
