//! A session record, and the same while requests use it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::clock::{Deadline, Timestamp};
use crate::identity::headers::{HeaderMapping, Rendered, Unsendable};
use crate::identity::{Claims, Identity, ProviderName};
use crate::seal;

/// What is known of a signed-in browser. Holds no access token and no refresh token.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The origin it belongs to.
    pub origin: String,
    /// The provider that signed the person in.
    pub provider: ProviderName,
    /// What it says of them.
    pub claims: Claims,
    /// The ID token, for `id_token_hint` at sign-out; left out where a cookie has no room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// The session that this one has taken the place of, and that may live out its grace: it ends
    /// with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Handle>,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// When it was last used, as far as the record knows.
    pub last_seen: Timestamp,
}

impl Session {
    /// The provider's own session, shared by all sign-ins of one browser there.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.claims.text("sid")
    }

    /// Whether the record was made for this scope.
    #[must_use]
    pub fn belongs_to(&self, scope: &Scope) -> bool {
        self.origin == scope.origin && self.provider == scope.provider
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("origin", &self.origin)
            .field("provider", &self.provider)
            .field("created_at", &self.created_at)
            .field("last_seen", &self.last_seen)
            .finish_non_exhaustive()
    }
}

/// Names a session without opening it: SHA-256 of its id.
pub type Handle = [u8; 32];

type RenderedFor = (Arc<HeaderMapping>, Arc<Result<Rendered, Unsendable>>);

/// How a sealed record came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The id inside it.
    pub id: String,
    /// Which key had sealed it.
    pub key: SealedBy,
}

/// Which key sealed a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedBy {
    /// The one that seals now.
    CurrentKey,
    /// One that only opens: the record is sealed anew at the next response.
    OlderKey,
}

/// What is fixed about a session in use: shared where one record serves many requests.
pub(super) struct Record {
    session: Session,
    handle: Handle,
    identity: Identity,
    /// What a sealed record needs to be sealed again.
    sealing: Option<Sealing>,
    /// Headers rendered once per mapping.
    rendered: ArcSwap<Vec<RenderedFor>>,
}

impl Record {
    /// A record known by the hash of its id.
    pub(super) fn new(session: Session, handle: Handle, scope: &Scope, sealing: Option<Sealing>) -> Self {
        let identity = Identity {
            provider: session.provider.clone(),
            names: Arc::clone(&scope.names),
            claims: session.claims.clone(),
        };
        Self { rendered: ArcSwap::default(), sealing, session, handle, identity }
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A session in use.
pub struct Live {
    record: Arc<Record>,
    last_seen: AtomicU64,
    /// When it ends whatever the time-outs say, by the wall's clock and by the one that only runs, in
    /// milliseconds; `u64::MAX` while nothing has ended it.
    dies_at: AtomicU64,
    dies_after: AtomicU64,
}

impl Live {
    /// A session in use. What becomes of it is its own: another one of the same record knows nothing
    /// of it.
    #[must_use]
    pub(super) fn new(record: Arc<Record>) -> Self {
        Self {
            last_seen: AtomicU64::new(record.session.last_seen.as_millis()),
            dies_at: AtomicU64::new(u64::MAX),
            dies_after: AtomicU64::new(u64::MAX),
            record,
        }
    }

    /// How the sealed record came in, if it was one.
    #[must_use]
    pub fn sealing(&self) -> Option<&Sealing> {
        self.record.sealing.as_ref()
    }

    /// The record as it was stored.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.record.session
    }

    /// The hash of its id.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.record.handle
    }

    /// Who is signed in.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.record.identity
    }

    /// When it was last used.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// Notes a use; never moves backwards.
    pub fn seen(&self, now: Timestamp) {
        self.last_seen.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// Ends it at `at`; an earlier end stands.
    pub fn end_at(&self, at: Deadline) {
        let running = u64::try_from(at.running.as_millis()).unwrap_or(u64::MAX);
        self.dies_after.fetch_min(running, Ordering::AcqRel);
        self.dies_at.fetch_min(at.wall.as_millis(), Ordering::AcqRel);
    }

    /// Whether something has ended it by `now`.
    #[must_use]
    pub fn ended_by(&self, now: Timestamp) -> bool {
        let at = self.dies_at.load(Ordering::Acquire);
        if at == u64::MAX {
            return false;
        }
        let running = Duration::from_millis(self.dies_after.load(Ordering::Acquire));
        Deadline { wall: Timestamp::from_millis(at), running }.has_passed(now)
    }

    /// The identity as headers, rendered at the first use of each mapping.
    #[must_use]
    pub fn headers(&self, mapping: &Arc<HeaderMapping>) -> Arc<Result<Rendered, Unsendable>> {
        let rendered = &self.record.rendered;
        let known = rendered.load();
        if let Some((_, headers)) = known.iter().find(|(of, _)| Arc::ptr_eq(of, mapping)) {
            return Arc::clone(headers);
        }
        let headers = Arc::new(mapping.render(&self.record.identity));
        rendered.rcu(|known| {
            let mut more = Vec::with_capacity(known.len() + 1);
            more.extend(known.iter().cloned());
            more.push((Arc::clone(mapping), Arc::clone(&headers)));
            more
        });
        headers
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("record", &self.record).finish_non_exhaustive()
    }
}

/// A fresh session id: 256 random bits in base64url, and its hash.
#[must_use]
pub(super) fn fresh_id() -> (String, Handle) {
    let id = seal::random_token::<32>();
    let handle = seal::sha256(id.as_bytes());
    (id, handle)
}
