//! Sessions of browsers with the provider: what makes the second sign-on silent.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE;
use moka::sync::Cache;

use super::store::bounded;
use super::uuid;
use crate::clock::Timestamp;

/// How long a session lives after its last sign-on, in seconds; PingOne's idle time, not configurable.
const MAX_AGE: u64 = 2_592_000;
const LIFETIME: Duration = Duration::from_secs(MAX_AGE);
/// The cookie and its twin for browsers that mishandle `SameSite=None`.
const COOKIES: [&str; 2] = ["ST", "ST-NO-SS"];

/// A browser's session.
#[derive(Clone)]
pub(super) struct Session {
    /// The cookie's value. It stands in no token.
    pub(super) st: String,
    /// The session's public name, in tokens.
    pub(super) sid: String,
    /// Whose it is.
    pub(super) sub: String,
    /// When the user last proved that.
    pub(super) auth_time: Timestamp,
    /// Which policies were completed in it.
    pub(super) policies: Vec<String>,
}

/// All sessions of the environment.
pub(super) struct Sessions {
    by_st: Cache<String, Arc<Session>>,
    st_by_sid: Cache<String, String>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self { by_st: bounded(100_000, LIFETIME), st_by_sid: bounded(100_000, LIFETIME) }
    }

    /// The live session of a browser. It may send several cookies, one for each set of addresses.
    pub(super) fn of(&self, headers: &HeaderMap, now: Timestamp) -> Option<Arc<Session>> {
        session_cookies(headers).find_map(|st| self.by_st(st, now))
    }

    /// The live session with this cookie.
    pub(super) fn by_st(&self, st: &str, now: Timestamp) -> Option<Arc<Session>> {
        self.by_st.get(st).filter(|session| now.since(session.auth_time) < LIFETIME)
    }

    /// The live session with this `sid`.
    pub(super) fn by_sid(&self, sid: &str, now: Timestamp) -> Option<Arc<Session>> {
        self.by_st(&self.st_by_sid.get(sid)?, now)
    }

    /// Records that `sub` signed on.
    ///
    /// Over a session of the same user that one is renewed and keeps its `sid`; over another user's,
    /// that one ends.
    pub(super) fn sign_on(
        &self,
        previous: Option<Arc<Session>>,
        sub: &str,
        policy: &str,
        now: Timestamp,
    ) -> Arc<Session> {
        let mut session = match previous {
            Some(own) if own.sub == sub => Arc::unwrap_or_clone(own),
            other => {
                if let Some(other) = other {
                    self.end(&other);
                }
                let sub = sub.to_owned();
                let (st, sid) = (uuid::random(), uuid::random());
                Session { st, sid, sub, auth_time: now, policies: Vec::new() }
            }
        };
        session.auth_time = now;
        if !session.policies.iter().any(|known| known == policy) {
            session.policies.push(policy.to_owned());
        }
        let session = Arc::new(session);
        self.st_by_sid.insert(session.sid.clone(), session.st.clone());
        self.by_st.insert(session.st.clone(), Arc::clone(&session));
        session
    }

    /// Ends a session, and with it its refresh tokens.
    pub(super) fn end(&self, session: &Session) {
        self.by_st.invalidate(&session.st);
        self.st_by_sid.invalidate(&session.sid);
    }
}

/// Values of the session cookies a request carries.
pub(super) fn session_cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| COOKIES.contains(name))
        .map(|(_, value)| value)
}

/// `Set-Cookie` values that give a browser its session.
///
/// PingOne's have `Secure; SameSite=None`. The emulator speaks plain http, where browsers refuse
/// `Secure`, and `None` without it; `Lax` does, since every port of loopback is the same site.
pub(super) fn issue_cookies(st: &str, path: &str) -> [String; 2] {
    COOKIES.map(|name| format!("{name}={st}; Path={path}; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax"))
}

/// `Set-Cookie` values that take it away.
pub(super) fn clear_cookies(path: &str) -> [String; 2] {
    COOKIES.map(|name| format!("{name}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Lax"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn cookies(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn finds_the_live_one_among_several_cookies() {
        let sessions = Sessions::new();
        let session = sessions.sign_on(None, "ada", "Single_Factor", NOW);
        let headers = cookies(&format!("ST=stale; other=1; ST-NO-SS={}", session.st));
        assert_eq!(sessions.of(&headers, NOW).map(|found| found.sid.clone()), Some(session.sid.clone()));
        assert!(sessions.of(&cookies(&format!("XST={}", session.st)), NOW).is_none());
        assert!(sessions.of(&cookies(&format!("ST={}", session.sid)), NOW).is_none());
    }

    #[test]
    fn the_same_user_renews_and_another_replaces() {
        let sessions = Sessions::new();
        let first = sessions.sign_on(None, "ada", "Single_Factor", NOW);
        let later = NOW.plus(Duration::from_mins(1));
        let renewed = sessions.sign_on(Some(Arc::clone(&first)), "ada", "Step_Up", later);
        assert_eq!(renewed.sid, first.sid);
        assert_eq!(renewed.auth_time, later);
        assert_eq!(renewed.policies, ["Single_Factor", "Step_Up"]);

        let other = sessions.sign_on(Some(renewed), "grace", "Single_Factor", later);
        assert_ne!(other.sid, first.sid);
        assert!(sessions.by_sid(&first.sid, later).is_none());
    }

    #[test]
    fn dies_thirty_days_after_the_last_sign_on() {
        let sessions = Sessions::new();
        let session = sessions.sign_on(None, "ada", "Single_Factor", NOW);
        assert!(sessions.by_sid(&session.sid, NOW.plus(Duration::from_secs(MAX_AGE - 1))).is_some());
        assert!(sessions.by_sid(&session.sid, NOW.plus(LIFETIME)).is_none());
    }
}
