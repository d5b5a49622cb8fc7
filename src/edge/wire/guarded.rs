//! The stream that Pingora reads in place of the client's own.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::http1::Gate;
use super::http2::Frames;
use super::{Connection, Fault, Wire};
use crate::telemetry::labels::ConnectionEnd;
use crate::telemetry::metrics::Metrics;

/// The whole answer to a head that takes too long. No phase of ours has run, and no page is read by
/// whoever sends a head like that.
const HEAD_TIME_OUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The same to one that is far too large.
const HEAD_TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A client's stream under guard.
pub(super) struct Guarded<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Carries the connection to the phases of each request.
    digest: Arc<ProxyDigest>,
    /// Of an HTTP/2 connection.
    frames: Option<Frames>,
    alarm: Alarm,
    write: WriteClock,
    metrics: Arc<Metrics>,
    /// A write must stop the clock of a body.
    heeds_writes: bool,
}

/// `limits.write`: how long the client may take to take one piece of what is written, whole. Over HTTP/2 each
/// stream has its own, too, which is Pingora's: what waits for a window isn't written yet.
struct WriteClock {
    time: Duration,
    /// Since a write had to wait.
    due: Option<Instant>,
    alarm: Alarm,
}

/// How much of what there was to write has been taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Whole,
    Part,
}

impl<S: IO> Guarded<S> {
    /// A guard over a connection that speaks HTTP/2 if there are `frames`, HTTP/1 if not.
    pub(super) fn new(stream: S, connection: Arc<Connection>, frames: Option<Frames>, wire: &Wire) -> Self {
        // Pingora means it for the answer of a CONNECT proxy; there was none.
        let (parts, ()) = http::Response::new(()).into_parts();
        let user_data: Box<dyn std::any::Any + Send + Sync> = Box::new(Arc::clone(&connection));
        let digest = ProxyDigest::new(Box::new(ResponseHeader::from(parts)), Some(user_data));
        Self {
            stream,
            connection,
            digest: Arc::new(digest),
            frames,
            alarm: Alarm::default(),
            write: WriteClock { time: wire.limits.write, due: None, alarm: Alarm::default() },
            metrics: Arc::clone(&wire.metrics),
            heeds_writes: false,
        }
    }

    fn read_http2(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(frames) = &mut self.frames else { return Poll::Ready(Ok(())) };
        if self.connection.given_up.load(Ordering::Acquire) {
            return Poll::Ready(Err(Fault::BodyRate.into()));
        }
        let before = buf.filled().len();
        let in_time = match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => frames.pass(buf.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => match frames.due() {
                _ if self.connection.is_given_up_after(cx.waker()) => {
                    return Poll::Ready(Err(Fault::BodyRate.into()));
                }
                None => return Poll::Pending,
                Some(due) => {
                    ready!(self.alarm.poll(due, cx));
                    false
                }
            },
        };
        if in_time {
            return Poll::Ready(Ok(()));
        }
        buf.set_filled(before);
        self.metrics.connection_closed(Fault::HeadTime.into());
        Poll::Ready(Err(Fault::HeadTime.into()))
    }

    fn read_http1(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, connection, alarm, metrics, heeds_writes, .. } = self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(mut http1) = connection.http1() else { return Poll::Ready(Ok(())) };
        loop {
            match http1.gate() {
                Gate::Open => {}
                Gate::Behind => {
                    let mut behind = [MaybeUninit::uninit(); 512];
                    let mut behind = ReadBuf::uninit(&mut behind);
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut behind))?;
                    if behind.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    http1.hold(behind.filled());
                    connection.tell(&http1);
                    continue;
                }
                // Nobody wakes this read; the end of the request does away with it.
                Gate::Full => return Poll::Pending,
                Gate::Ended(Some(fault @ (Fault::Chunk | Fault::BodyRate))) => {
                    return Poll::Ready(Err(fault.into()));
                }
                Gate::Ended(Some(Fault::HeadTime | Fault::HeadSize) | None) => return Poll::Ready(Ok(())),
            }
            let before = buf.filled().len();
            if http1.has_held() {
                http1.release(buf.remaining(), |bytes| buf.put_slice(bytes));
                connection.tell(&http1);
            } else if let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(cx, buf) {
                read?;
                let fresh = buf.filled().get(before..).unwrap_or_default();
                if fresh.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let passed = http1.pass(fresh);
                if let Some(rest) = fresh.get(passed..).filter(|rest| !rest.is_empty()) {
                    http1.hold(rest);
                    buf.set_filled(before + passed);
                }
                connection.tell(&http1);
            } else {
                let due = http1.waits();
                *heeds_writes = http1.heeds_writes();
                let Some(due) = due else { return Poll::Pending };
                ready!(alarm.poll(due, cx));
                http1.expire();
            }
            if let Some(fault) = http1.fault() {
                metrics.connection_closed(fault.into());
                match fault {
                    Fault::HeadTime if http1.has_begun() => refuse_head(stream, cx, HEAD_TIME_OUT),
                    Fault::HeadSize => refuse_head(stream, cx, HEAD_TOO_LARGE),
                    Fault::HeadTime | Fault::BodyRate | Fault::Chunk => {}
                }
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// After a write: `taken` if something was.
    fn time_write<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        taken: Taken,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let Self { write: WriteClock { time, due, alarm }, metrics, connection, frames, .. } = self;
        if written.is_pending() {
            connection.blocked.store(frames.is_none(), Ordering::Relaxed);
            let due = *due.get_or_insert_with(|| Instant::now() + *time);
            ready!(alarm.poll(due, cx));
            metrics.connection_closed(ConnectionEnd::WriteTimeout);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if taken == Taken::Whole && due.take().is_some() {
            connection.blocked.store(false, Ordering::Relaxed);
        }
        written
    }

    /// Before a write.
    fn writes(&mut self) {
        if self.heeds_writes {
            self.heeds_writes = false;
            if let Some(mut http1) = self.connection.http1() {
                http1.writes();
            }
        }
        // Pingora answers by itself what it can't read, and tells nobody else.
        if self.connection.answers_unseen() {
            self.metrics.connection_closed(ConnectionEnd::Unreadable);
        }
    }
}

/// Says why, if the client takes it at once: nobody waits for a client that is too slow.
fn refuse_head(stream: &mut impl IO, cx: &mut Context<'_>, answer: &[u8]) {
    let mut stream = Pin::new(stream);
    if matches!(stream.as_mut().poll_write(cx, answer), Poll::Ready(Ok(_))) {
        let _ = stream.poll_flush(cx);
    }
}

impl<S: IO> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.frames.is_some() { this.read_http2(cx, buf) } else { this.read_http1(cx, buf) }
    }
}

impl<S: IO> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        let whole = matches!(written, Poll::Ready(Ok(count)) if count == buf.len());
        this.time_write(written, if whole { Taken::Whole } else { Taken::Part }, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        let whole = matches!(written, Poll::Ready(Ok(count)) if count == all);
        this.time_write(written, if whole { Taken::Whole } else { Taken::Part }, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.time_write(flushed, Taken::Whole, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: IO> std::fmt::Debug for Guarded<S> {
    /// The stream alone: what a client has sent is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Guarded").field(&self.stream).finish()
    }
}

#[async_trait]
impl<S: IO> Shutdown for Guarded<S> {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut self.stream).await;
    }
}

impl<S: IO> UniqueID for Guarded<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl<S: IO> Ssl for Guarded<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl<S: IO> GetTimingDigest for Guarded<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl<S: IO> GetProxyDigest for Guarded<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream.set_proxy_digest(digest);
    }
}

impl<S: IO> GetSocketDigest for Guarded<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}

/// Nothing is peeked at: it would pass the guard.
impl<S: IO> Peek for Guarded<S> {}
