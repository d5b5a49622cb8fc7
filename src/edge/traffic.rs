//! What is under way, so that a stopping process knows when nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts requests and streams, and connections that may hold more than their requests know of.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicUsize,
    lingering: AtomicUsize,
}

impl Traffic {
    /// One more request, until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }

    /// One more HTTP/2 connection: an answer given to it is in its buffers until the client takes
    /// it, and by then the request is over.
    pub(super) fn linger(self: &Arc<Self>) -> Lingering {
        self.lingering.fetch_add(1, Ordering::AcqRel);
        Lingering(Arc::clone(self))
    }

    /// How many requests and streams there are.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    /// How many connections may still have answers to deliver.
    #[must_use]
    pub fn lingering(&self) -> usize {
        self.lingering.load(Ordering::Acquire)
    }
}

/// One request or stream under way.
#[derive(Debug)]
pub struct InFlight(Arc<Traffic>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One connection that may have answers to deliver.
#[derive(Debug)]
pub(super) struct Lingering(Arc<Traffic>);

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::AcqRel);
    }
}
