//! A client's connection that lives in memory: what it sends is there at once, then it ends.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reply::Transport;

/// The gateway's end of the connection.
#[derive(Debug)]
pub(super) struct Connection {
    sends: Vec<u8>,
    taken: usize,
    peer: SocketAddr,
    transport: Transport,
    answer: Answer,
}

/// What the gateway has written, kept beyond the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer(Arc<Mutex<Vec<u8>>>);

impl Answer {
    /// The bytes so far.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().map(|bytes| bytes.clone()).unwrap_or_default()
    }
}

impl Connection {
    /// A connection from `peer` that sends these bytes and then ends.
    pub(super) fn new(sends: &[u8], peer: SocketAddr, transport: Transport) -> (Self, Answer) {
        let answer = Answer::default();
        (Self { sends: sends.to_vec(), taken: 0, peer, transport, answer: answer.clone() }, answer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.sends.get(self.taken..).unwrap_or_default();
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..taken).unwrap_or_default());
        self.taken += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Ok(mut bytes) = self.answer.0.lock() {
            bytes.extend_from_slice(buf);
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Connection {
    fn id(&self) -> i32 {
        0
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        match self.transport {
            Transport::Tls => Some(Arc::new(SslDigest::new("", "TLSv1.3", None, None, Vec::new()))),
            Transport::Plain => None,
        }
    }
}

#[async_trait]
impl Peek for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<pingora::protocols::raw_connect::ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        // No socket is ever asked: the one answer it could give is written in.
        let digest = SocketDigest::from_raw_fd(-1);
        let peer = pingora::protocols::l4::socket::SocketAddr::Inet(self.peer);
        digest.peer_addr.set(Some(peer)).ok()?;
        Some(Arc::new(digest))
    }
}
