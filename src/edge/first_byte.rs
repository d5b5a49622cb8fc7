//! `timeouts.first_byte` where it is shorter than `between_bytes`.
//!
//! Pingora has one limit for every read of an upstream. A watch ends the upstream connection when
//! no response head has come in time; the bytes of a request that is still being sent give it more.
//!
//! Never for HTTP/2: that connection carries the requests of others.

use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use filedescriptor::FileDescriptor;
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
    /// The connection, until its response head is here. A descriptor of our own for it: Pingora's is
    /// closed before we hear of a failure, and its number may name another connection by then.
    connection: Mutex<Option<FileDescriptor>>,
    expired: AtomicBool,
}

impl FirstByteWatch {
    /// Starts watching a connection that the request now goes out on, and that nobody else uses.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(super) fn start(connection: RawFd, limit: Duration) -> Result<Self, filedescriptor::Error> {
        let shared = Arc::new(Shared {
            limit,
            started: Stopwatch::start(),
            progress: AtomicU64::new(0),
            connection: Mutex::new(Some(FileDescriptor::dup(&connection)?)),
            expired: AtomicBool::new(false),
        });
        let task = tokio::spawn(Arc::clone(&shared).watch()).abort_handle();
        Ok(Self { shared, task })
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
    fn connection(&self) -> std::sync::MutexGuard<'_, Option<FileDescriptor>> {
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
                if let Err(error) = shutdown(connection.as_raw_fd(), Shutdown::Both) {
                    tracing::debug!(%error, "the upstream connection was gone already");
                }
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_connection_without_a_response_is_ended() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let watch = FirstByteWatch::start(ours.as_raw_fd(), Duration::from_millis(20)).unwrap();
        while !watch.expired() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_took_over_the_number_is_left_alone() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let number = ours.as_raw_fd();
        let watch = FirstByteWatch::start(number, Duration::from_millis(50)).unwrap();
        drop((ours, theirs));
        // The lowest free number is given out first: one of a few is the old one, unless another thread
        // has it.
        let mut taken: Vec<_> = (0..32).map(|_| UnixStream::pair().unwrap()).collect();
        while !watch.expired() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for (one, other) in &mut taken {
            one.write_all(b"x").unwrap();
            other.read_exact(&mut [0]).unwrap();
        }
    }

    #[tokio::test]
    async fn a_response_in_time_leaves_the_connection_alone() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let watch = FirstByteWatch::start(ours.as_raw_fd(), Duration::from_millis(20)).unwrap();
        watch.disarm();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!watch.expired());
        ours.write_all(b"x").unwrap();
        theirs.read_exact(&mut [0]).unwrap();
    }
}
