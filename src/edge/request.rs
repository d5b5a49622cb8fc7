//! From Pingora's request to a decision: hygiene, the client, the origin, the gateway.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::Version;
use http::uri::{PathAndQuery, Scheme as HttpScheme};
use pingora::http::RequestHeader;
use pingora::proxy::Session as Downstream;

use super::context::Context;
use super::forwarded::{self, Client};
use super::traits::{Trait, Traits};
use super::wire::RequestLine;
use super::{Edge, hygiene, is_refused_method};
use crate::gateway::{Inbound, Outcome, ServedOrigin};
use crate::pages::Problem;
use crate::route::origin::{Authority, Host, Scheme};
use crate::telemetry::{RequestId, Sender};

/// Largest body of a request to an own endpoint.
const OWN_BODY: usize = 64 * 1024;
/// How long such a body may take.
const OWN_BODY_TIME: Duration = Duration::from_secs(5);
/// Most bytes of cookies, joined. More are a mistake or an attack, and our answer takes ours from the
/// browser, so that it gets out of it.
const COOKIES: usize = 32 * 1024;
/// Most fields that HTTP/2 may split them into: each costs far more here than the byte it takes on the
/// wire, and browsers keep fewer cookies for a site.
const COOKIE_FIELDS: usize = 512;

/// What the edge has found out about a request head.
struct Read<'a> {
    client: Client,
    origin: Option<&'a Arc<ServedOrigin>>,
}

impl Edge {
    /// Reads the request and asks the gateway. A panic on the way costs this request alone, and it is
    /// never forwarded.
    pub(super) async fn decide(&self, down: &mut Downstream, ctx: &mut Context) -> pingora::Result<Outcome> {
        to_origin_form(down.req_header_mut());
        let read = match self.read(down, ctx) {
            Ok(read) => read,
            Err(problem) => {
                let refusal = self.refused(down, ctx, problem);
                if problem == Problem::HeadTooLarge && down.req_header().version == Version::HTTP_2 {
                    // The client decides how long the answer takes to be written.
                    forget_fields(down.req_header_mut())?;
                }
                return Ok(refusal);
            }
        };
        if down.req_header().version == Version::HTTP_2 {
            self.still_wanted(down, ctx, &read.client).await?;
        }
        let mut body = Bytes::new();
        if self.gateway.wants_body(&inbound(down.req_header(), &read, ctx, Bytes::new())) {
            body = match Box::pin(own_body(down)).await? {
                Ok(body) => body,
                Err(problem) => return Ok(self.refused(down, ctx, problem)),
            };
        }
        let inbound = inbound(down.req_header(), &read, ctx, body);
        let decided = AssertUnwindSafe(self.gateway.handle(&inbound)).catch_unwind().await;
        let outcome = decided.unwrap_or_else(|_| {
            self.gateway.metrics.panic();
            tracing::error!(request_id = ctx.request_id.as_str(), "a decision panicked");
            self.refused(down, ctx, Problem::Internal)
        });
        ctx.client_chain = Some(read.client);
        Ok(outcome)
    }

    fn refused(&self, down: &Downstream, ctx: &Context, problem: Problem) -> Outcome {
        Outcome::Reply(Box::new(self.gateway.refuse_at_edge(down.req_header(), &ctx.request_id, problem)))
    }

    fn read(&self, down: &Downstream, ctx: &mut Context) -> Result<Read<'_>, Problem> {
        let request = down.req_header();
        // Every TCP connection has a peer; without one nobody could be trusted.
        let peer = down.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        let peer = peer.ok_or(Problem::BadRequest)?;
        ctx.client = Some(peer);
        let trusted = self.is_trusted(peer);
        ctx.request_id = if trusted {
            RequestId::of(request.headers.get(RequestId::HEADER), Sender::TrustedProxy)
        } else {
            RequestId::of(None, Sender::Anyone)
        };
        self.check_limits(request, ctx.traits)?;
        if ctx.connection.as_ref().is_some_and(|connection| connection.request_line() == RequestLine::Odd) {
            return Err(Problem::MalformedPath);
        }
        self.check_framing(down, ctx.traits)?;
        let client = forwarded::client(peer, &self.trusted_proxies, &request.headers)
            .map_err(|_| Problem::MalformedHost)?;
        ctx.client = Some(client.address);
        let is_for = |host: &Host| trusted || ctx.connection.as_ref().is_none_or(|c| c.is_for(host));
        let origin = self.origin(request, client.host.as_ref(), is_for)?;
        let over_tls = down.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        if let Some(served) = origin {
            let fits = match served.origin.scheme {
                // TLS ended in front of us: only those who may say so are believed.
                Scheme::Https => over_tls || trusted || peer.to_canonical().is_loopback(),
                Scheme::Http => !over_tls,
            };
            if !fits {
                return Err(Problem::Misdirected);
            }
        }
        Ok(Read { client, origin })
    }

    /// The origin that the request names, or that a trusted proxy says the browser typed. One host's
    /// connection is no way to another, since their TLS may differ; a proxy in front names us.
    fn origin(
        &self,
        request: &RequestHeader,
        typed: Option<&Authority>,
        is_for: impl Fn(&Host) -> bool,
    ) -> Result<Option<&Arc<ServedOrigin>>, Problem> {
        let origins = &self.gateway.origins;
        let spelt = hygiene::only_host(&request.uri, &request.headers).filter(|_| typed.is_none());
        let (origin, may_ask) = match spelt.and_then(|host| origins.spelt(host)) {
            Some(served) => (Some(served), is_for(&served.origin.host)),
            None => {
                let asked = hygiene::read_host(&request.uri, &request.headers);
                let asked = asked.map_err(|_| Problem::MalformedHost)?;
                (origins.named_by(typed.unwrap_or(&asked)), is_for(&asked.host))
            }
        };
        if origin.is_some() && !may_ask {
            return Err(Problem::Misdirected);
        }
        Ok(origin)
    }

    pub(super) fn is_trusted(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    fn check_limits(&self, request: &RequestHeader, traits: Traits) -> Result<(), Problem> {
        if request.raw_path().len() > self.limits.target {
            return Err(Problem::TargetTooLong);
        }
        let size: usize =
            request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        // HTTP/2 splits cookies as it likes; they are one field, joined by two bytes.
        let (mut parts, mut bytes) = (0_usize, 0_usize);
        if traits.have(Trait::Cookie) {
            for value in request.headers.get_all(http::header::COOKIE) {
                (parts, bytes) = (parts + 1, bytes + value.len() + 2);
            }
        }
        let fields = request.headers.len().saturating_sub(parts.saturating_sub(1));
        let cookies_fit = bytes <= COOKIES + 2 && parts <= COOKIE_FIELDS;
        if size > self.limits.head_size || fields > self.limits.head_fields || !cookies_fit {
            return Err(Problem::HeadTooLarge);
        }
        Ok(())
    }

    fn check_framing(&self, down: &Downstream, traits: Traits) -> Result<(), Problem> {
        let request = down.req_header();
        if is_refused_method(&request.method) {
            return Err(Problem::MethodNotAllowed);
        }
        hygiene::refuse(request.version, &request.headers, &self.managed).map_err(
            |malformed| match malformed {
                hygiene::Malformed::Host => Problem::MalformedHost,
                _ => Problem::Framing,
            },
        )?;
        if request.version != Version::HTTP_2 {
            // Pingora has cleaned up what it parsed; what it cleaned away shows in the raw head alone.
            let doubtful = traits.have(Trait::TransferEncoding)
                || request.uri.path().contains('%')
                || down.get_keepalive().is_none();
            if doubtful && let Some(session) = down.as_downstream().as_http1() {
                let raw = session.get_headers_raw_bytes();
                hygiene::refuse_raw_framing(&raw).map_err(|_| Problem::Framing)?;
                let line = raw.split(|&byte| byte == b'\n').next().unwrap_or_default();
                if line.iter().any(|&byte| byte >= 0x80) {
                    return Err(Problem::MalformedPath);
                }
            }
        }
        if !is_served_target(request) {
            return Err(Problem::MalformedPath);
        }
        Ok(())
    }
}

/// Turns a whole URL as target into its path and query, which is what is decided on and sent on. A
/// server must accept that form ([RFC 9112 §3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2));
/// one whose authority isn't the Host stays as it is, and is refused.
fn to_origin_form(request: &mut RequestHeader) {
    let raw = request.raw_path();
    let begins =
        |scheme: &[u8]| raw.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !(begins(b"http://") || begins(b"https://")) || raw.contains(&b'#') {
        return;
    }
    let Ok(uri) = http::Uri::try_from(raw) else { return };
    if hygiene::read_host(&uri, &request.headers).is_err() {
        return;
    }
    let target = match uri.path_and_query().map(PathAndQuery::as_str) {
        None | Some("") => Ok(PathAndQuery::from_static("/")),
        Some(target) if target.starts_with('/') => PathAndQuery::try_from(target),
        // A query alone: the path is the root (RFC 9112 §3.2.1).
        Some(target) => PathAndQuery::try_from(format!("/{target}")),
    };
    if let Ok(target) = target {
        request.set_uri(http::Uri::from(target));
    }
}

/// Leaves of a request what its line in the log needs. A thousand fields may have come as a thousand
/// bytes, and take a hundred times as much while they wait.
fn forget_fields(request: &mut RequestHeader) -> pingora::Result<()> {
    let mut kept = RequestHeader::build_no_case(request.method.clone(), b"/", Some(1))?;
    kept.set_uri(request.uri.clone());
    kept.set_version(request.version);
    if let Some(host) = request.headers.get(http::header::HOST) {
        kept.insert_header(http::header::HOST, host.clone())?;
    }
    *request = kept;
    Ok(())
}

/// Whether the target is a path that the URI represents whole. What it can't (bytes that aren't text) is
/// refused: it would be sent on as received. A fragment the parser has dropped: it is neither decided on
/// nor sent on.
fn is_served_target(request: &RequestHeader) -> bool {
    let uri = &request.uri;
    let recovered = uri.path_and_query().map(|target| target.as_str().as_bytes());
    let whole = if request.version == Version::HTTP_2 {
        // It carries scheme and authority beside the path.
        uri.scheme().is_some_and(|scheme| *scheme == HttpScheme::HTTPS || *scheme == HttpScheme::HTTP)
    } else {
        recovered == Some(request.raw_path())
    };
    // The path of `?x` alone is read as `/`, and another would be sent on.
    let rooted = uri.path_and_query().is_some_and(|target| target.as_str().starts_with('/'));
    request.raw_path_is_utf8() && rooted && whole
}

fn inbound<'a>(request: &'a RequestHeader, read: &'a Read<'_>, ctx: &'a Context, body: Bytes) -> Inbound<'a> {
    Inbound {
        parts: request,
        path: request.uri.path(),
        query: request.uri.query(),
        origin: read.origin,
        request_id: &ctx.request_id,
        body,
    }
}

/// Whether the client sends its body only once it is told to
/// ([RFC 9110 §10.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1)).
pub(super) fn waits_for_continue(request: &RequestHeader) -> bool {
    let expect = request.headers.get(http::header::EXPECT);
    request.version == Version::HTTP_11
        && expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads the body of a request to an own endpoint, within limits of size and time.
async fn own_body(down: &mut Downstream) -> pingora::Result<Result<Bytes, Problem>> {
    let announced = down.req_header().headers.get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > OWN_BODY) {
        return Ok(Err(Problem::BodyTooLarge));
    }
    if waits_for_continue(down.req_header()) {
        down.as_downstream_mut().write_continue_response().await?;
    }
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = down.as_downstream_mut().read_request_body().await? {
            if body.len() + chunk.len() > OWN_BODY {
                return Ok(Err(Problem::BodyTooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Ok(body.freeze()))
    };
    match tokio::time::timeout(OWN_BODY_TIME, reading).await {
        Ok(read) => read,
        Err(_) => Ok(Err(Problem::RequestTimeout)),
    }
}
