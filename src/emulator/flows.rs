//! Sign-ons under way, between the authorization request and its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::authorization_request::AuthorizationRequest;
use super::store::bounded;
use super::uuid;
use crate::clock::Timestamp;

/// How long a flow waits for the user's next step.
const LIFETIME: Duration = Duration::from_mins(15);

/// One sign-on under way.
pub(super) struct Flow {
    pub(super) id: String,
    pub(super) request: AuthorizationRequest,
    progress: Mutex<Progress>,
}

struct Progress {
    expires_at: Timestamp,
    /// The session in which the user signed on.
    completed_by: Option<String>,
}

/// All flows of the environment.
pub(super) struct Flows(Cache<String, Arc<Flow>>);

impl Flows {
    pub(super) fn new() -> Self {
        // The expiry slides, so that the memory holds a flow for longer than one step.
        Self(bounded(10_000, LIFETIME * 8))
    }

    pub(super) fn start(&self, request: AuthorizationRequest, now: Timestamp) -> Arc<Flow> {
        let progress = Progress { expires_at: now.plus(LIFETIME), completed_by: None };
        let flow = Arc::new(Flow { id: uuid::random(), request, progress: Mutex::new(progress) });
        self.0.insert(flow.id.clone(), Arc::clone(&flow));
        flow
    }

    /// The flow with this id, unless it expired; finding it gives it its time again.
    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<Arc<Flow>> {
        let flow = self.0.get(id)?;
        let mut progress = flow.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= progress.expires_at {
            return None;
        }
        progress.expires_at = now.plus(LIFETIME);
        drop(progress);
        Some(flow)
    }

    /// Takes a flow out, for the one caller that gets [`Some`].
    pub(super) fn finish(&self, flow: &Flow) -> Option<Arc<Flow>> {
        self.0.remove(&flow.id)
    }
}

impl Flow {
    /// Cookie of the session in which the user signed on.
    pub(super) fn completed_by(&self) -> Option<String> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).completed_by.clone()
    }

    /// Records that session.
    pub(super) fn complete(&self, st: &str) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).completed_by = Some(st.to_owned());
    }
}
