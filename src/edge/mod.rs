//! The edge: listeners, and every phase of a proxied request.
//!
//! Reads a request, refuses what two parsers could read differently, asks the gateway, and carries
//! out what it says. The only folder but `server/` and `admin/` that names Pingora; its login
//! session type is called [`Downstream`] here.

mod answer;
mod certificates;
pub mod connection;
mod context;
mod failure;
pub mod forwarded;
pub mod hygiene;
mod opening;
mod peer;
mod redirect;
pub mod rehearsal;
mod request;
mod reset;
mod response;
mod slow_stream;
mod traffic;
mod traits;
mod upstream_clock;
mod upstream_request;
mod websocket;
mod wire;

pub use certificates::{Certificates, Reload};
pub use redirect::RedirectToHttps;
pub use traffic::Traffic;
pub use wire::{BodyRate, Wire};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::{ALPN, Digest};
use pingora::proxy::{FailToProxy, ProxyHttp, Session as Downstream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr as _, RetryType};

use crate::clock::Stopwatch;
use crate::gateway::{Answer, Gateway, Outcome};
use crate::identity::headers::HeaderMapping;
use crate::pages::Problem;
use crate::telemetry::AccessLog;
use crate::telemetry::labels::ConnectionEnd;
use connection::ConnectionLimits;
use context::{Context, Progress};
use hygiene::ManagedNames;
use opening::HeldOpening;
use reset::Distrusted;
use slow_stream::SlowStreamWatch;
use traits::{Trait, Traits};
use upstream_clock::{Exchange, Standing, UpstreamClock};
use wire::{Behind, Connection};

/// One of `listeners`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it does.
    pub kind: ListenerKind,
}

/// What a listener does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// Serves without TLS: http origins to anyone, https origins to loopback and trusted proxies.
    Plain,
    /// Serves with TLS; certificates are chosen by SNI, the first is the default.
    Tls(Vec<CertificateFiles>),
    /// Answers 308 to the same address over https.
    RedirectToHttps,
}

/// PEM files of one certificate chain and its key. Both were read and matched at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `certificate`.
    pub certificate: PathBuf,
    /// `key`.
    pub key: PathBuf,
}

/// `limits` and `http2`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `head.size` in bytes: 431 above.
    pub head_size: usize,
    /// `head.fields`: 431 above.
    pub head_fields: usize,
    /// `head.time`: how long a whole head may take.
    pub head_time: Duration,
    /// `target` in bytes: 414 above.
    pub target: usize,
    /// `body` in bytes: 413 above; a route may say otherwise.
    pub body: u64,
    /// `body_rate`: the slowest body.
    pub body_rate: BodyRate,
    /// `idle`: how long a kept connection may wait for the next request.
    pub idle: Duration,
    /// `write`: how long a client may refuse to read.
    pub write: Duration,
    /// `http2.streams`.
    pub http2_streams: u32,
    /// `http2.idle`.
    pub http2_idle: Duration,
    /// `connections`.
    pub connections: ConnectionLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_size: 64 * 1024,
            head_fields: 100,
            head_time: Duration::from_secs(10),
            target: 16 * 1024,
            body: 100 * 1024 * 1024,
            body_rate: BodyRate::default(),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            http2_streams: 100,
            http2_idle: Duration::from_mins(5),
            connections: ConnectionLimits::default(),
        }
    }
}

/// The proxy as Pingora drives it.
pub struct Edge {
    gateway: Arc<Gateway>,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    managed: ManagedNames,
    access_log: Arc<AccessLog>,
    traffic: Arc<Traffic>,
    upstream_clock: Arc<UpstreamClock>,
    distrusted: Distrusted,
}

impl Edge {
    /// An edge in front of `gateway`.
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        limits: Limits,
        trusted_proxies: Vec<IpNet>,
        access_log: Arc<AccessLog>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let standard = HeaderMapping::standard(&crate::identity::ClaimNames::default(), usize::MAX);
        let managed = gateway
            .routes
            .mapped_header_names()
            .cloned()
            .chain(standard.headers.into_iter().map(|mapped| mapped.name));
        let (managed, upstream_clock) = (ManagedNames::new(managed), UpstreamClock::new());
        let distrusted = Distrusted::default();
        Self { gateway, limits, trusted_proxies, managed, access_log, traffic, upstream_clock, distrusted }
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    /// In a box: Pingora moves what it is given, with all that a request may need, several times.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.gateway.clock.now(), self.traffic.enter()))
    }

    /// No modules: the default one would cost every request a boxed value for compression we don't do.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        down: &mut Downstream,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        ctx.traits = Traits::of(down.req_header());
        ctx.connection = Connection::of(down.digest());
        if let Some(connection) = &ctx.connection
            && connection.head_read(down.req_header(), ctx.traits) == Behind::Bytes
        {
            down.set_keepalive(None);
        }
        // Pingora has turned keep-alive off where framing is doubtful: it is never turned on here. How long a
        // connection is kept, and how long a write may wait, the guard of HTTP/1 knows: a timer of
        // Pingora's for each would cost every request.
        match down.req_header().version {
            Version::HTTP_2 => down.set_write_timeout(Some(self.limits.write)),
            // It would take an announcement for the answer (RFC 9110 §15.2).
            Version::HTTP_10 => down.as_downstream_mut().set_ignore_info_resp(true),
            _ => {}
        }
        Ok(())
    }

    async fn request_filter(&self, down: &mut Downstream, ctx: &mut Box<Context>) -> pingora::Result<bool> {
        match self.decide(down, ctx).await? {
            Outcome::Forward(forward) => {
                ctx.forward(forward);
                match self.prepare(down, ctx)? {
                    Prepared::Goes => Ok(false),
                    // In boxes: the room that an answer needs isn't carried by every request.
                    Prepared::Refused(answer) => Box::pin(self.answer(down, ctx, answer.reply)).await,
                    Prepared::Awaited => {
                        Box::pin(down.as_downstream_mut().write_continue_response()).await?;
                        Ok(false)
                    }
                }
            }
            Outcome::Reply(answer) => {
                ctx.answered(&answer);
                Box::pin(self.answer(down, ctx, answer.reply)).await
            }
        }
    }

    async fn upstream_peer(
        &self,
        down: &mut Downstream,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Box<HttpPeer>> {
        if ctx.connect_attempts + ctx.stale_retries > 0 {
            // An attempt takes its time.
            reset::check(down)?;
        }
        let Progress::Forwarding(forward) = &ctx.progress else { return never_forwarded() };
        let mut peer = peer::of(&forward.route.upstream, down.req_header().version, ctx.traits)?;
        ctx.opening = ctx.traits.have(Trait::WebSocket).then(|| HeldOpening::prepare(&mut peer));
        ctx.upstream = peer._address.as_inet().copied();
        ctx.upstream_watch = Some(Stopwatch::start());
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        down: &mut Downstream,
        reused: bool,
        peer: &HttpPeer,
        connection: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        // Another attempt sends the body again, and waits for another answer.
        (ctx.body_received, ctx.upstream_time) = (0, None);
        if let Some(opening) = &ctx.opening {
            opening.hold();
        }
        let Progress::Forwarding(forward) = &ctx.progress else { return never_forwarded() };
        // An HTTP/2 connection carries the requests of others, and is never ended for one of them.
        if !forward.route.upstream.protocol.is_http2() {
            let (limit, client) =
                (peer::patience(&forward.route.upstream, ctx.traits).0, ctx.connection.clone());
            // To connect has taken its time.
            let now = ctx.upstream_watch.filter(|_| reused).unwrap_or_else(Stopwatch::start);
            let exchange = self.upstream_clock.begin(connection, reused, now, limit, client);
            ctx.exchange = Some(exchange.map_err(|unusable| {
                let mut error = Error::because(UNUSABLE, "an upstream connection", unusable);
                // Nothing has been sent: any method may go again, on another connection.
                error.set_retry(reused);
                error.into_up()
            })?);
        }
        // HTTP/1 bodies are timed where they come in. An HTTP/2 upstream has its connection in common.
        let shared = down.req_header().version == Version::HTTP_2;
        let alone = matches!(peer.options.alpn, ALPN::H1);
        if shared && alone && !down.as_downstream_mut().is_body_done() {
            let watch = SlowStreamWatch::start(connection, ctx.connection.clone(), self.limits.body_rate);
            ctx.slow_stream =
                Some(watch.or_err(ErrorType::InternalError, "no descriptor left to watch with")?);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        down: &mut Downstream,
        request: &mut RequestHeader,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        let Progress::Forwarding(forward) = &ctx.progress else { return never_forwarded() };
        self.write_upstream_request(down.req_header(), request, forward, ctx)
    }

    async fn request_body_filter(
        &self,
        _down: &mut Downstream,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        let Progress::Forwarding(forward) = &ctx.progress else { return never_forwarded() };
        if let Some(exchange) =
            ctx.exchange.as_mut().filter(|_| ctx.upstream_time.is_none() && body.is_some())
        {
            let (first_byte, _) = peer::patience(&forward.route.upstream, ctx.traits);
            self.upstream_clock.progress(exchange, Stopwatch::start(), first_byte);
        }
        if let Some(opening) = ctx.opening.as_ref().filter(|_| end) {
            opening.release_soon();
        }
        let received = body.as_ref().map_or(0, Bytes::len);
        match &ctx.slow_stream {
            Some(watch) if end => watch.disarm(),
            Some(watch) => watch.received(received),
            None => {}
        }
        ctx.body_received += received as u64;
        if !ctx.upgraded && ctx.body_received > forward.route.body_limit.unwrap_or(self.limits.body) {
            return Err(Error::explain(ErrorType::HTTPStatus(413), "request body over its limit").into_down());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        down: &mut Downstream,
        response: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        ctx.announcements += u32::from(response.status.is_informational());
        response::check(down.req_header(), response, ctx.announcements).map_err(Error::into_up)?;
        let only_announces = response::only_announces(response.status);
        // From here on frames go both ways, and no body limit is meant for them.
        ctx.upgraded = response.status == StatusCode::SWITCHING_PROTOCOLS;
        if let Some(connection) = ctx.connection.as_ref().filter(|_| ctx.upgraded) {
            connection.switch();
        }
        let now = Stopwatch::start();
        if let Some(watch) = ctx.upstream_watch.as_ref().filter(|_| !only_announces) {
            ctx.upstream_time.get_or_insert(now.since(watch));
        }
        let Progress::Forwarding(forward) = &ctx.progress else { return never_forwarded() };
        if let Some(exchange) = ctx.exchange.as_mut().filter(|_| !only_announces) {
            match ctx.connection {
                Some(_) if down.req_header().version != Version::HTTP_2 => {
                    let (_, between_bytes) = peer::patience(&forward.route.upstream, ctx.traits);
                    self.upstream_clock.progress(exchange, now, between_bytes)
                }
                _ => exchange.leave(),
            };
        }
        self.write_response(down.req_header(), response, forward)?;
        if down.req_header().version == Version::HTTP_10
            && response.remove_header(&TRANSFER_ENCODING).is_some()
        {
            // It doesn't know chunks (RFC 9112 §6.1): the end of the connection is the end of the answer.
            down.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        down: &mut Downstream,
        _body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Option<Duration>> {
        let Some(exchange) = &mut ctx.exchange else { return Ok(None) };
        let standing = if end && down.as_downstream_mut().is_body_done() {
            exchange.standing()
        } else if end {
            // Whole: what may still be sent of the request is timed elsewhere.
            exchange.leave()
        } else {
            let Progress::Forwarding(forward) = &ctx.progress else { return never_forwarded() };
            let (_, between_bytes) = peer::patience(&forward.route.upstream, ctx.traits);
            self.upstream_clock.progress(exchange, Stopwatch::start(), between_bytes)
        };
        // What we have ended looks like the end of a body that has no other.
        match (standing, &ctx.slow_stream) {
            (Standing::Expired, _) => {
                Err(Error::explain(ErrorType::ReadTimedout, "the upstream fell silent").into_up())
            }
            (Standing::Runs, Some(watch)) if watch.expired() => {
                Err(Error::explain(ErrorType::ReadTimedout, "the request came too slowly").into_down())
            }
            (Standing::Runs, _) => Ok(None),
        }
    }

    fn fail_to_connect(
        &self,
        _down: &mut Downstream,
        _peer: &HttpPeer,
        ctx: &mut Box<Context>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing has been sent, so trying again is always safe.
        let allowed = ctx.forwarding().map_or(0, |forward| forward.route.upstream.retries.connect);
        error.set_retry(ctx.connect_attempts < allowed);
        ctx.connect_attempts += 1;
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        down: &mut Downstream,
        mut error: Box<Error>,
        ctx: &mut Box<Context>,
        reused: bool,
    ) -> Box<Error> {
        if error.etype == UNUSABLE {
            return error;
        }
        if ctx.exchange.as_ref().is_some_and(Exchange::expired) {
            // What looks like a broken connection is our own doing.
            error.etype = ErrorType::ReadTimedout;
            error.set_retry(false);
            return error.into_up();
        }
        if let Some(watch) = ctx.slow_stream.take() {
            watch.disarm();
            if watch.expired() {
                self.gateway.metrics.connection_closed(ConnectionEnd::BodyRate);
                error.etype = ErrorType::ReadTimedout;
                error.set_retry(false);
                return error.into_down();
            }
        }
        let allowed = ctx.forwarding().map_or(0, |forward| forward.route.upstream.retries.stale_connection);
        // Only HTTP/2 can say that nothing of a request was looked at: then any method may go again
        // (RFC 9113 §8.7). What became of one on a connection that broke is unknown.
        let untouched = error.retry == RetryType::Decided(true);
        let harmless = down.req_header().method.is_idempotent() && reused;
        let whole = !down.as_ref().retry_buffer_truncated();
        error.retry.decide_reuse(reused);
        let spent = ctx.stale_retries >= allowed || down.response_written().is_some();
        if !(untouched || harmless) || !whole || spent {
            error.set_retry(false);
        }
        if error.retry() {
            ctx.stale_retries += 1;
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        down: &mut Downstream,
        error: &Error,
        ctx: &mut Box<Context>,
    ) -> FailToProxy {
        self.fail(down, error, ctx).await
    }

    fn suppress_error_log(&self, _down: &Downstream, _ctx: &Box<Context>, _error: &Error) -> bool {
        // `fail` has said what an operator needs, without query or addresses of people.
        true
    }

    fn request_summary(&self, down: &Downstream, _ctx: &Box<Context>) -> String {
        // Never the query: it may hold a code or a token.
        let request = down.req_header();
        format!("{} {}", request.method, request.uri.path())
    }

    async fn logging(&self, down: &mut Downstream, _error: Option<&Error>, ctx: &mut Box<Context>) {
        let now = Stopwatch::start();
        if let (Some(exchange), Progress::Forwarding(forward)) = (&mut ctx.exchange, &ctx.progress) {
            self.upstream_clock.keep(exchange, now, forward.route.upstream.timeouts.keep_alive);
        }
        self.log(down, ctx, now);
        if let Some(connection) = &ctx.connection {
            connection.request_over();
        }
    }
}

impl Edge {
    /// What must hold before a request that may pass goes on: a body within the limit, and time-outs
    /// that fit a stream.
    fn prepare(&self, down: &mut Downstream, ctx: &mut Context) -> pingora::Result<Prepared> {
        let Some(forward) = ctx.forwarding() else { return never_forwarded() };
        let limit = forward.route.body_limit.unwrap_or(self.limits.body);
        let upstream = &forward.route.upstream;
        let (stream_idle, http2) = (upstream.timeouts.stream_idle, upstream.protocol.is_http2());
        let headers = &down.req_header().headers;
        let announced = ctx.traits.have(Trait::ContentLength).then(|| headers.get(CONTENT_LENGTH)).flatten();
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let web_socket = ctx.traits.have(Trait::WebSocket);
        let problem = if announced.is_some_and(|length| length > limit) {
            Some(Problem::BodyTooLarge)
        } else if web_socket && http2 {
            Some(Problem::NoWebSocket)
        } else {
            None
        };
        if let Some(problem) = problem {
            let answer = self.gateway.refuse_at_edge(down.req_header(), &ctx.request_id, problem);
            ctx.answered(&answer);
            return Ok(Prepared::Refused(Box::new(Answer { reply: answer.reply.closing(), ..answer })));
        }
        if web_socket {
            // The default of a minute is for bodies, not for a socket that may be silent.
            down.set_read_timeout(Some(stream_idle));
        }
        let waits = ctx.traits.have(Trait::WaitsForContinue);
        upstream_request::forget_spelling(down.req_header_mut());
        // An upstream's own 100 would be lost: Pingora hears none over HTTP/2.
        Ok(if http2 && waits { Prepared::Awaited } else { Prepared::Goes })
    }
}

/// What is left to do before a request that may pass goes on.
enum Prepared {
    /// Nothing.
    Goes,
    /// It goes nowhere.
    Refused(Box<Answer>),
    /// The client waits to be told to send the body.
    Awaited,
}

/// The error of a kept connection that had just been ended.
const UNUSABLE: ErrorType = ErrorType::Custom("UpstreamConnectionUnusable");

/// A phase that only a forwarded request can reach was reached by another one: fail closed.
fn never_forwarded<T>() -> pingora::Result<T> {
    Error::e_explain(ErrorType::HTTPStatus(500), "not a forwarded request")
}

/// Whether the method is one that has no meaning here.
fn is_refused_method(method: &Method) -> bool {
    method == Method::TRACE || method == Method::CONNECT
}
