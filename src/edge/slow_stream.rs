//! `limits.body_rate` on an HTTP/2 stream.
//!
//! Several requests share the client's connection there, and Pingora waits for each body without an
//! end. A watch ends the upstream connection of the one that is too slow. It can tell nothing from
//! an upstream that takes nothing, so every body begins with some patience, and what has come buys more.
//!
//! A request whose answer is through notices nothing of that: Pingora reads what is left of it, and there
//! is no way to end one stream. Then the client's connection goes, with all that is on it.

use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use filedescriptor::FileDescriptor;
use nix::sys::socket::{Shutdown, shutdown};

use super::wire::{BodyRate, Connection, Pace};
use crate::clock::Stopwatch;

/// How long a request may take to fail once its upstream connection is gone.
const NOTICED: Duration = Duration::from_secs(5);

/// Watches one body on its way to an HTTP/1 upstream. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct SlowStreamWatch {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

#[derive(Debug)]
struct Shared {
    expired: AtomicBool,
    body: Mutex<Body>,
    /// The connection that the body comes on.
    client: Option<Arc<Connection>>,
}

#[derive(Debug)]
struct Body {
    pace: Pace,
    /// Since the last part.
    since: Stopwatch,
    /// The upstream connection, until the body has been read: by a descriptor of our own, since the
    /// number of Pingora's may name another connection once that is closed.
    connection: Option<FileDescriptor>,
}

impl SlowStreamWatch {
    /// Starts watching a body from `client` that goes out on this connection, which no other request uses.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(super) fn start(
        connection: RawFd,
        client: Option<Arc<Connection>>,
        rate: BodyRate,
    ) -> Result<Self, filedescriptor::Error> {
        let connection = Some(FileDescriptor::dup(&connection)?);
        let body = Body { pace: Pace::new(rate), since: Stopwatch::start(), connection };
        let shared = Arc::new(Shared { expired: AtomicBool::new(false), body: Mutex::new(body), client });
        let task = tokio::spawn(Arc::clone(&shared).watch()).abort_handle();
        Ok(Self { shared, task })
    }

    /// Part of the body has come.
    pub(super) fn received(&self, bytes: usize) {
        let mut body = self.shared.body();
        let since = std::mem::replace(&mut body.since, Stopwatch::start());
        body.pace.waited(since.elapsed());
        body.pace.received(bytes);
    }

    /// Whether it has ended the connection.
    pub(super) fn expired(&self) -> bool {
        self.shared.expired.load(Ordering::Acquire)
    }

    /// The body is whole: the connection is out of our hands.
    pub(super) fn disarm(&self) {
        self.shared.body().connection.take();
        self.task.abort();
    }
}

impl Drop for SlowStreamWatch {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl Shared {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self: Arc<Self>) {
        loop {
            let left = {
                // Under the lock, so that a connection which has just been given back isn't touched.
                let mut body = self.body();
                let left = body.pace.patience().saturating_sub(body.since.elapsed());
                if left.is_zero() {
                    let Some(connection) = body.connection.take() else { return };
                    self.expired.store(true, Ordering::Release);
                    if let Err(error) = shutdown(connection.as_raw_fd(), Shutdown::Both) {
                        tracing::debug!(%error, "the upstream connection was gone already");
                    }
                    break;
                }
                left
            };
            tokio::time::sleep(left).await;
        }
        tokio::time::sleep(NOTICED).await;
        if let Some(client) = &self.client {
            client.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    const RATE: BodyRate = BodyRate { min: 1000, after: Duration::from_millis(200) };

    /// Whether the other end sees the connection end within this time.
    async fn ends(other: UnixStream, within: Duration) -> bool {
        other.set_read_timeout(Some(within)).unwrap();
        tokio::task::spawn_blocking(move || matches!((&other).read(&mut [0]), Ok(0))).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ends_the_connection_of_a_body_that_stalls() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let watch = SlowStreamWatch::start(ours.as_raw_fd(), None, RATE).unwrap();
        watch.received(100);
        assert!(ends(theirs, Duration::from_secs(20)).await);
        assert!(watch.expired());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn leaves_alone_what_has_come_fast_or_whole() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let watch = SlowStreamWatch::start(ours.as_raw_fd(), None, RATE).unwrap();
        watch.received(100_000);
        assert!(!ends(theirs.try_clone().unwrap(), Duration::from_millis(500)).await);
        let whole = SlowStreamWatch::start(ours.as_raw_fd(), None, RATE).unwrap();
        whole.disarm();
        assert!(!ends(theirs, Duration::from_millis(500)).await);
        assert!(!watch.expired() && !whole.expired());
    }
}
