//! The bytes of a client connection, between TLS and Pingora.
//!
//! Pingora reads a head for as long as bytes drip, and takes chunks that another server would cut
//! differently. So each accepted stream is put under guard: a head must be whole in time, a body must
//! come at a rate, chunks must be what the grammar makes. Pingora gets a head and nothing behind it,
//! so that the edge can say what follows before it is read; no byte is ever changed.
//!
//! The phases of a request find their connection again through the session's digest ([`Connection`]).

mod alarm;
mod chunked;
mod guarded;
mod head_end;
mod http1;
mod http2;
mod pace;
#[cfg(test)]
mod tests;

pub use pace::BodyRate;
pub(super) use pace::Pace;

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use pingora::protocols::{ALPN, Digest, IO, Stream};
use tokio::time::Instant;

use super::Limits;
use super::forwarded::{self, Client};
use super::traits::{Trait, Traits};
use crate::gateway::ServedOrigin;
use crate::route::origin::{Authority, Host};
use crate::telemetry::labels::ConnectionEnd;
use crate::telemetry::metrics::Metrics;
use guarded::Guarded;
pub(super) use head_end::RequestLine;
use http1::Http1;
use http2::Frames;

/// Puts accepted streams under guard.
#[derive(Debug, Clone)]
pub struct Wire {
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Wire {
    /// A guard with these limits.
    #[must_use]
    pub const fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { limits, metrics }
    }

    /// The stream that Pingora is to read in place of this one, whose handshake, if any, asked for
    /// `server_name`. Its time begins now.
    #[must_use]
    pub fn guard(&self, stream: impl IO + 'static, server_name: Option<&str>) -> Stream {
        let now = Instant::now();
        let (head_time, body_rate) = (self.limits.head_time, self.limits.body_rate);
        let server_name = ServerName::read(server_name);
        let connection = |http1| Connection {
            server_name,
            announced: AtomicBool::new(false),
            said: Said::default(),
            blocked: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            taken_back: AtomicUsize::new(0),
            reader: AtomicWaker::new(),
            introduced: OnceLock::new(),
            http1,
        };
        let (connection, frames) = if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            (connection(None), Some(Frames::new(head_time, body_rate, now)))
        } else {
            (connection(Some(Mutex::new(Http1::new(&self.limits, now)))), None)
        };
        Box::new(Guarded::new(stream, Arc::new(connection), frames, self))
    }
}

/// The name that a client asked for in its TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ServerName {
    /// It asked for none, or there was no handshake.
    None,
    /// This host's.
    Host(Host),
    /// One that no host has.
    NoHost,
}

impl ServerName {
    fn read(name: Option<&str>) -> Self {
        match name.map(Authority::parse) {
            None => Self::None,
            Some(Ok(authority)) => Self::Host(authority.host),
            Some(Err(_)) => Self::NoHost,
        }
    }
}

/// A guarded connection, as the phases of a request know it.
pub(super) struct Connection {
    server_name: ServerName,
    /// The edge has seen the head of the request under way.
    announced: AtomicBool,
    /// What has become of the request under way, for the guard to take up when it is asked for more: who
    /// reads and who answers are one task, and a lock for each word would cost every request.
    said: Said,
    /// A write of an HTTP/1 connection has to wait.
    blocked: AtomicBool,
    /// Nothing more is read from the client.
    given_up: AtomicBool,
    /// Requests of an HTTP/2 connection.
    under_way: AtomicUsize,
    /// How many more of them the client has taken back than it has let be answered.
    taken_back: AtomicUsize,
    /// Who reads from an HTTP/2 connection, while there is nothing to read.
    reader: AtomicWaker,
    /// What upstreams have been told of the client, if it stays as it was.
    introduced: OnceLock<Introduction>,
    /// What is known of an HTTP/1 connection.
    http1: Option<Mutex<Http1>>,
}

/// What the edge and the guard of an HTTP/1 connection tell each other.
#[derive(Default)]
struct Said {
    /// The edge: this request has no body.
    whole: AtomicBool,
    /// The edge: this request has been answered and logged.
    over: AtomicBool,
    /// The guard: the request line came as [`RequestLine::Odd`].
    odd: AtomicBool,
    /// The guard: bytes lie behind what was let through.
    behind: AtomicBool,
}

impl Said {
    /// Whether this has been said, once.
    fn take(said: &AtomicBool) -> bool {
        let is_said = said.load(Ordering::Relaxed);
        if is_said {
            said.store(false, Ordering::Relaxed);
        }
        is_said
    }
}

/// What upstreams are told at one origin of a client that came without proxies of ours. On its
/// connection it is the same for every request.
struct Introduction {
    address: IpAddr,
    origin: Option<Arc<ServedOrigin>>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Introduction {
    fn of(client: &Client, origin: Option<&Arc<ServedOrigin>>) -> Self {
        let fields = forwarded::outgoing(client, origin.map(|origin| &origin.said));
        Self { address: client.address, origin: origin.cloned(), fields }
    }
}

impl Connection {
    /// The connection that a request came on.
    pub(super) fn of(digest: Option<&Digest>) -> Option<Arc<Self>> {
        let user_data = digest?.proxy_digest.as_ref()?.user_data.as_ref()?;
        user_data.downcast_ref::<Arc<Self>>().cloned()
    }

    /// Pingora has read this head: what follows is its body, and nothing else.
    pub(super) fn head_read(&self, request: &RequestHeader, traits: Traits) -> Behind {
        self.announced.store(true, Ordering::Relaxed);
        if self.http1.is_none() {
            return Behind::Nothing;
        }
        let framing = Framing::of(request, traits);
        let behind = if framing == Framing::None {
            self.said.whole.store(true, Ordering::Relaxed);
            self.said.behind.load(Ordering::Relaxed)
        } else {
            let waits = traits.have(Trait::WaitsForContinue);
            let expectation = if waits { Expectation::Continue } else { Expectation::None };
            self.http1().is_some_and(|mut http1| http1.head_read(framing, expectation))
        };
        if behind { Behind::Bytes } else { Behind::Nothing }
    }

    /// The protocol is switched: from here on bytes pass as they come.
    pub(super) fn switch(&self) {
        if let Some(mut http1) = self.http1() {
            http1.switch();
        }
    }

    /// The request has been answered and logged.
    pub(super) fn request_over(&self) {
        if self.http1.is_some() {
            self.announced.store(false, Ordering::Relaxed);
            self.said.over.store(true, Ordering::Relaxed);
        }
    }

    /// Ends an HTTP/2 connection, with all that is under way on it: one of its streams can't be ended by
    /// itself. Whether it was going on until now.
    pub(super) fn give_up(&self) -> bool {
        let given_up = self.given_up.swap(true, Ordering::AcqRel);
        self.reader.wake();
        !given_up
    }

    /// How many more requests the client has taken back, over HTTP/2, than it has let be answered.
    pub(super) fn taken_back(&self) -> usize {
        self.taken_back.load(Ordering::Relaxed)
    }

    /// Why no more of the request comes, if that is the guard's doing.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.http1().and_then(|http1| http1.fault())
    }

    /// How the request line came. Pingora changes what it can't parse before anyone sees it.
    pub(super) fn request_line(&self) -> RequestLine {
        if self.said.odd.load(Ordering::Relaxed) { RequestLine::Odd } else { RequestLine::Plain }
    }

    /// Whether this connection was made for `host`. One that names no host was made for any
    /// ([RFC 9110 §7.4](https://www.rfc-editor.org/rfc/rfc9110#section-7.4): a request for another is
    /// misdirected).
    pub(super) fn is_for(&self, host: &Host) -> bool {
        match &self.server_name {
            ServerName::None => true,
            ServerName::Host(name) => name == host,
            ServerName::NoHost => false,
        }
    }

    /// The forwarding headers for a request of `client` to `origin`. A proxy brings other clients with
    /// every request: nothing of theirs is kept.
    pub(super) fn introduce(
        &self,
        client: &Client,
        origin: Option<&Arc<ServedOrigin>>,
    ) -> Cow<'_, [(HeaderName, HeaderValue)]> {
        if client.proxies.is_empty() {
            let known = self.introduced.get_or_init(|| Introduction::of(client, origin));
            let same_origin = known.origin.as_ref().map(Arc::as_ptr) == origin.map(Arc::as_ptr);
            if same_origin && known.address == client.address {
                return Cow::Borrowed(&known.fields);
            }
        }
        Cow::Owned(Introduction::of(client, origin).fields)
    }

    /// Whether the client has yet to take what was written for it.
    pub(super) fn is_taking_its_time(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether what is written now answers a request that the edge hasn't seen: true once for each.
    fn answers_unseen(&self) -> bool {
        // Looked at before it is changed: a swap costs every write more than all the rest here.
        self.http1.is_some()
            && !self.announced.load(Ordering::Relaxed)
            && !self.announced.swap(true, Ordering::Relaxed)
    }

    /// Whether it has been given up; if it is later, `waker` is woken.
    fn is_given_up_after(&self, waker: &Waker) -> bool {
        self.reader.register(waker);
        self.given_up.load(Ordering::Acquire)
    }

    /// The HTTP/1 connection as it stands after all that the edge has said.
    fn http1(&self) -> Option<MutexGuard<'_, Http1>> {
        let mut http1 = self.http1.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if Said::take(&self.said.whole) {
            http1.head_read(Framing::None, Expectation::None);
        }
        if Said::take(&self.said.over) {
            http1.request_over();
        }
        Some(http1)
    }

    /// Tells the edge what it asks about a head.
    fn tell(&self, http1: &Http1) {
        self.said.odd.store(http1.request_line() == RequestLine::Odd, Ordering::Relaxed);
        self.said.behind.store(http1.has_held(), Ordering::Relaxed);
    }
}

/// A request under way on an HTTP/2 connection, until dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    connection: Arc<Connection>,
    taken_back: bool,
}

impl UnderWay {
    /// One more request on `connection`, and how many there are now.
    pub(super) fn enter(connection: &Arc<Connection>) -> (Self, usize) {
        let others = connection.under_way.fetch_add(1, Ordering::Relaxed);
        (Self { connection: Arc::clone(connection), taken_back: false }, others + 1)
    }

    /// The client no longer wants it.
    pub(super) const fn taken_back(&mut self) {
        self.taken_back = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Connection { under_way, taken_back, .. } = &*self.connection;
        under_way.fetch_sub(1, Ordering::Relaxed);
        if self.taken_back {
            taken_back.fetch_add(1, Ordering::Relaxed);
        } else if taken_back.load(Ordering::Relaxed) > 0 {
            let _ =
                taken_back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| number.checked_sub(1));
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Whether bytes lie behind a request that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// They do, and are never taken for a request: the connection ends with the response.
    Bytes,
    /// They don't, so far.
    Nothing,
}

/// How a body is framed ([RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)), as
/// Pingora has understood it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

impl Framing {
    /// Pingora has refused what it couldn't read, so that one word is enough here; the edge refuses
    /// every coding but `chunked` before any of the body goes upstream.
    fn of(request: &RequestHeader, traits: Traits) -> Self {
        if traits.have(Trait::TransferEncoding) {
            return Self::Chunked;
        }
        if !traits.have(Trait::ContentLength) {
            return Self::None;
        }
        let length = request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        // What isn't a number is a list of equal ones: the edge refuses it, and no body is read.
        length.and_then(|length| length.trim().parse().ok()).map_or(Self::None, Self::Length)
    }
}

/// Whether the client waits for a word before it sends the body
/// ([RFC 9110 §10.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expectation {
    None,
    Continue,
}

/// Why the guard lets nothing more through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// A head wasn't whole in time.
    #[error("a request head was not whole in time")]
    HeadTime,
    /// A head is far larger than any that is served.
    #[error("a request head was too large")]
    HeadSize,
    /// A body came too slowly.
    #[error("a request body came too slowly")]
    BodyRate,
    /// A chunk isn't one.
    #[error("a malformed chunk")]
    Chunk,
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match fault {
            Fault::HeadTime | Fault::BodyRate => io::ErrorKind::TimedOut,
            Fault::HeadSize | Fault::Chunk => io::ErrorKind::InvalidData,
        };
        Self::new(kind, fault)
    }
}

impl From<Fault> for ConnectionEnd {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::HeadTime => Self::HeadTimeout,
            Fault::HeadSize => Self::HeadSize,
            Fault::BodyRate => Self::BodyRate,
            Fault::Chunk => Self::Chunk,
        }
    }
}
