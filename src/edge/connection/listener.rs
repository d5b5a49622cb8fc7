//! Accepting connections.

use std::net::{SocketAddr, TcpListener as BoundListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Ssl as _};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::net::{TcpListener, TcpStream};

use super::{Admission, Handshake, Transport};
use crate::edge::{Traffic, Wire};

/// Rest after an accept that failed for want of descriptors or memory: others must go first.
const REST: Duration = Duration::from_millis(100);

/// An address that is ours already, and what is spoken there.
#[derive(Debug)]
pub struct Address {
    /// Bound and listening.
    pub listener: BoundListener,
    /// TLS, if it is spoken.
    pub handshake: Option<Handshake>,
}

/// What every connection passes, whatever it was accepted for.
#[derive(Debug, Clone)]
pub struct Entrance {
    admission: Arc<Admission>,
    wire: Wire,
    traffic: Arc<Traffic>,
}

impl Entrance {
    /// Room as `admission` has it, bytes under the guard of `wire`, told to `traffic`.
    #[must_use]
    pub fn new(admission: Admission, wire: Wire, traffic: Arc<Traffic>) -> Self {
        Self { admission: Arc::new(admission), wire, traffic }
    }
}

/// Called for each address, once connections are accepted there.
pub type Accepting = Arc<dyn Fn() + Send + Sync>;

/// Accepts connections on its addresses and hands them to `app`.
pub struct Listener<A> {
    name: &'static str,
    accepting: Accepting,
    app: Arc<A>,
    entrance: Entrance,
    addresses: Vec<Address>,
}

impl<A> Listener<A> {
    /// A service that accepts once it is started.
    #[must_use]
    pub fn new(
        name: &'static str,
        app: A,
        entrance: Entrance,
        addresses: Vec<Address>,
        accepting: Accepting,
    ) -> Self {
        Self { name, app: Arc::new(app), entrance, addresses, accepting }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for Listener<A> {
    async fn start_service(&mut self, _fds: Option<ListenFds>, shutdown: ShutdownWatch, _per_fd: usize) {
        let accepting = self.addresses.drain(..).filter_map(|Address { listener, handshake }| {
            let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
            match listener {
                Ok(listener) => {
                    let door = Door {
                        app: Arc::clone(&self.app),
                        entrance: self.entrance.clone(),
                        handshake: handshake.map(Arc::new),
                        shutdown: shutdown.clone(),
                    };
                    let accepting = Arc::clone(&self.accepting);
                    Some(tokio::spawn(async move {
                        accepting();
                        door.accept_from(listener).await;
                    }))
                }
                Err(error) => {
                    tracing::error!(%error, "a listener can't be used: exiting");
                    std::process::exit(1)
                }
            }
        });
        let accepting: Vec<_> = accepting.collect();
        for door in accepting {
            if let Err(error) = door.await {
                // Without its listener the process is of no use; somebody restarts it.
                tracing::error!(%error, "a listener failed: exiting");
                std::process::exit(1);
            }
        }
        self.app.cleanup().await;
    }

    fn name(&self) -> &str {
        self.name
    }
}

/// One address, open.
struct Door<A> {
    app: Arc<A>,
    entrance: Entrance,
    handshake: Option<Arc<Handshake>>,
    shutdown: ShutdownWatch,
}

impl<A: ServerApp + Send + Sync + 'static> Door<A> {
    /// Accepts until the process stops.
    async fn accept_from(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                changed = self.shutdown.changed() => match changed {
                    Ok(()) if !*self.shutdown.borrow() => continue,
                    _ => return,
                },
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        // Over a limit it is closed at once: an answer would cost more than the client paid.
        let Some(admitted) = self.entrance.admission.admit(peer.ip()) else { return };
        let (app, handshake) = (Arc::clone(&self.app), self.handshake.clone());
        let (entrance, shutdown) = (self.entrance.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            if let Some(transport) = transport(stream, peer, handshake).await {
                let http2 = matches!(transport.selected_alpn_proto(), Some(ALPN::H2));
                let _lingering = http2.then(|| entrance.traffic.linger());
                let server_name = transport.server_name().map(str::to_owned);
                let mut stream = Some(entrance.wire.guard(transport, server_name.as_deref()));
                while let Some(next) = stream.take() {
                    stream = app.process_new(next, &shutdown).await;
                }
            }
            drop(admitted);
        });
    }
}

async fn transport(
    stream: TcpStream,
    peer: SocketAddr,
    handshake: Option<Arc<Handshake>>,
) -> Option<Transport> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke at once");
        return None;
    }
    match handshake {
        None => Some(Transport::plain(stream, peer)),
        Some(handshake) => handshake.shake(stream).await.map(|stream| Transport::tls(stream, peer)),
    }
}
