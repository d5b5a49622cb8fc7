//! `timeouts.first_byte` where it is shorter than `between_bytes`.
//!
//! Pingora has one limit for every read of an upstream. A watch ends the upstream connection when
//! no response head has come in time; the bytes of a request that is still being sent give it more.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};

use crate::clock::Stopwatch;

/// Watches one attempt. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct FirstByteWatch {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

#[derive(Debug)]
struct Shared {
    limit: Duration,
    started: Stopwatch,
    /// Milliseconds after the start when the request last made progress.
    progress: AtomicU64,
    /// The connection, until its response head is here.
    connection: Mutex<Option<RawFd>>,
    expired: AtomicBool,
}

impl FirstByteWatch {
    /// Starts watching a connection that the request now goes out on.
    pub(super) fn start(connection: RawFd, limit: Duration) -> Self {
        let shared = Arc::new(Shared {
            limit,
            started: Stopwatch::start(),
            progress: AtomicU64::new(0),
            connection: Mutex::new(Some(connection)),
            expired: AtomicBool::new(false),
        });
        let task = tokio::spawn(Arc::clone(&shared).watch()).abort_handle();
        Self { shared, task }
    }

    /// Part of the request has gone out.
    pub(super) fn progress(&self) {
        let elapsed = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.progress.store(elapsed, Ordering::Relaxed);
    }

    /// Whether it has ended the connection.
    pub(super) fn expired(&self) -> bool {
        self.shared.expired.load(Ordering::Acquire)
    }

    /// The response head is here, or the attempt is over: the connection is out of our hands.
    pub(super) fn disarm(&self) {
        self.shared.connection().take();
        self.task.abort();
    }
}

impl Drop for FirstByteWatch {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl Shared {
    fn connection(&self) -> std::sync::MutexGuard<'_, Option<RawFd>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self: Arc<Self>) {
        loop {
            let due = Duration::from_millis(self.progress.load(Ordering::Relaxed)) + self.limit;
            let left = due.saturating_sub(self.started.elapsed());
            if !left.is_zero() {
                tokio::time::sleep(left).await;
                continue;
            }
            // Under the lock, so that a connection which has just been given back isn't touched.
            let mut connection = self.connection();
            if let Some(connection) = connection.take() {
                self.expired.store(true, Ordering::Release);
                if let Err(error) = shutdown(connection, Shutdown::Both) {
                    tracing::debug!(%error, "the upstream connection was gone already");
                }
            }
            return;
        }
    }
}
