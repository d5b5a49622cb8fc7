//! TLS towards clients: what is spoken, how long shaking hands may take, and how it went.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, crypto::aws_lc_rs::Ticketer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::Stopwatch;
use crate::edge::Certificates;
use crate::telemetry::labels::HandshakeOutcome;
use crate::telemetry::metrics::Metrics;

/// Protocols offered, the preferred first ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301)).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Shakes hands with the clients of one TLS listener.
pub struct Handshake {
    acceptor: TlsAcceptor,
    time: Duration,
    metrics: Arc<Metrics>,
}

impl Handshake {
    /// TLS 1.3 and 1.2, never less, with the certificates as they are at each handshake. A client
    /// that comes back may resume its session by a ticket
    /// ([RFC 8446 §2.2](https://www.rfc-editor.org/rfc/rfc8446#section-2.2)); the keys of tickets are
    /// random, live in this process and change every six hours, and nothing is kept per client.
    /// Early data is off: it could be replayed.
    ///
    /// `time` is the limit for the whole handshake.
    ///
    /// # Errors
    /// When no TLS provider is installed, or it has no randomness.
    pub fn new(
        certificates: Arc<Certificates>,
        time: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let provider = CryptoProvider::get_default().ok_or("no TLS provider is installed")?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), time, metrics })
    }

    /// Shakes hands. `None` when it failed or took too long: the connection is closed, nobody could
    /// be told anything.
    pub(super) async fn shake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let watch = Stopwatch::start();
        let (outcome, stream) = match timeout(self.time, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => (HandshakeOutcome::Resumed, Some(stream)),
                _ => (HandshakeOutcome::Full, Some(stream)),
            },
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                (HandshakeOutcome::Failed, None)
            }
            Err(_) => (HandshakeOutcome::Timeout, None),
        };
        self.metrics.handshake(outcome, watch.elapsed());
        stream
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("time", &self.time).finish_non_exhaustive()
    }
}
