//! What Pingora reads from and writes to: TCP, or TLS over it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// What is collected before it is written: a head and a small body leave in one packet, and in one
/// TLS record.
const WRITE_BUFFER: usize = 4 * 1024;
/// How long a peer may take to let us say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// A client's connection once it speaks HTTP.
#[derive(Debug)]
pub struct Transport {
    stream: BufWriter<Bytes>,
    socket: Arc<SocketDigest>,
    tls: Option<Tls>,
}

/// The bytes of a connection.
#[derive(Debug)]
enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What was agreed on.
#[derive(Debug)]
struct Tls {
    digest: Arc<SslDigest>,
    protocol: ALPN,
}

impl Transport {
    /// A connection without TLS.
    #[must_use]
    pub fn plain(stream: TcpStream, peer: SocketAddr) -> Self {
        let socket = socket(&stream, peer);
        Self { stream: BufWriter::with_capacity(WRITE_BUFFER, Bytes::Plain(stream)), socket, tls: None }
    }

    /// A connection after its handshake.
    #[must_use]
    pub fn tls(stream: TlsStream<TcpStream>, peer: SocketAddr) -> Self {
        let (tcp, session) = stream.get_ref();
        let socket = socket(tcp, peer);
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let version = session.protocol_version().and_then(|version| version.as_str());
        let digest = SslDigest::new(cipher.unwrap_or(""), version.unwrap_or(""), None, None, Vec::new());
        let protocol = if session.alpn_protocol() == Some(b"h2") { ALPN::H2 } else { ALPN::H1 };
        let tls = Some(Tls { digest: Arc::new(digest), protocol });
        Self { stream: BufWriter::with_capacity(WRITE_BUFFER, Bytes::Tls(Box::new(stream))), socket, tls }
    }

    /// The name that the client asked for in its handshake
    /// ([RFC 6066 §3](https://www.rfc-editor.org/rfc/rfc6066#section-3)), in lower case.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        match self.stream.get_ref() {
            Bytes::Plain(_) => None,
            Bytes::Tls(stream) => stream.get_ref().1.server_name(),
        }
    }
}

fn socket(stream: &TcpStream, peer: SocketAddr) -> Arc<SocketDigest> {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // Just made, so nothing is in it: it can't fail.
    let _ = digest.peer_addr.set(Some(peer.into()));
    Arc::new(digest)
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl AsyncRead for Bytes {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[async_trait]
impl Shutdown for Transport {
    async fn shutdown(&mut self) {
        // A peer that reads nothing doesn't get to keep the connection.
        if let Ok(Err(error)) = timeout(GOODBYE, self.stream.shutdown()).await {
            tracing::debug!(%error, "the client was gone before goodbye");
        }
    }
}

impl UniqueID for Transport {
    fn id(&self) -> i32 {
        match self.stream.get_ref() {
            Bytes::Plain(stream) => stream.as_raw_fd(),
            Bytes::Tls(stream) => stream.get_ref().0.as_raw_fd(),
        }
    }
}

impl Ssl for Transport {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.digest))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.tls.as_ref().map(|tls| tls.protocol.clone())
    }
}

impl GetTimingDigest for Transport {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Transport {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Transport {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}

impl Peek for Transport {}
