//! The opening of a WebSocket, held until Pingora is ready for its answer.
//!
//! Pingora takes the end of a request's body and the upstream's answer in whichever order they come.
//! When a 101 is taken first, the end of the (empty) body that follows is taken for the end of the
//! tunnel, and the socket is closed as it opens: about one in fifty behind an upstream on the same
//! machine. So the kernel keeps the request's bytes until the end of its body has been taken.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;
use socket2::SockRef;

/// From the end of the body to when it has been taken there is no more than a poll; a busy machine may
/// take a while over it. The kernel lets go by itself after 200 ms.
const HOLD: Duration = Duration::from_millis(5);

/// One attempt to open a WebSocket upstream.
#[derive(Debug)]
pub(super) struct HeldOpening(Arc<Mutex<Option<OwnedFd>>>);

impl HeldOpening {
    /// Prepares an attempt. Its connection is a new one (`peer::of` sees to that), and its socket ours.
    pub(super) fn prepare(peer: &mut HttpPeer) -> Self {
        let socket = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&socket);
        peer.options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |tcp| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = tcp.as_fd().try_clone_to_owned().ok();
            Ok(())
        }));
        Self(socket)
    }

    /// The connection is there and nothing of the request is on it: from now on its bytes are held.
    pub(super) fn hold(&self) {
        if let Some(socket) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            cork(socket, Corked::Yes);
        }
    }

    /// The body has ended: in a moment that has been taken, and the request may go.
    pub(super) fn release_soon(&self) {
        let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        tokio::spawn(async move {
            tokio::time::sleep(HOLD).await;
            cork(&socket, Corked::No);
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Corked {
    Yes,
    No,
}

fn cork(socket: &OwnedFd, corked: Corked) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(socket).set_tcp_cork(corked == Corked::Yes) {
        tracing::debug!(%error, "the upstream connection is gone");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (SockRef::from(socket), corked);
}
