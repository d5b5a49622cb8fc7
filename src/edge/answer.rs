//! Writing an answer of ours, and the line that every request leaves.

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method};
use pingora::http::ResponseHeader;
use pingora::protocols::http::server::Session as HttpSession;
use pingora::proxy::Session as Downstream;

use super::Edge;
use super::context::Context;
use crate::clock::Stopwatch;
use crate::reply::{Connection, Reply};
use crate::telemetry::{Entry, RequestId};

impl Edge {
    /// Writes `reply` downstream. Holds the only `Ok(true)`: the request has been answered.
    pub(super) async fn answer(
        &self,
        down: &mut Downstream,
        ctx: &mut Context,
        reply: Reply,
    ) -> pingora::Result<bool> {
        ctx.status = Some(reply.status);
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = reply.status;
        parts.headers = reply.headers;
        parts.headers.insert(RequestId::HEADER, ctx.request_id.header_value());
        // Without a length Pingora would close the connection after every answer.
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
        // Names are ours: without a spelling of its own beside it each is written as it would be with one.
        let head = ResponseHeader::from(parts);
        if reply.connection == Connection::Close {
            down.set_keepalive(None);
        }
        let bodyless = down.req_header().method == Method::HEAD || reply.body.is_empty();
        match down.as_downstream_mut() {
            // Pingora would end the stream by a frame of its own, and a gRPC client reads a status in the
            // only frame there is or nowhere.
            HttpSession::H2(stream) if bodyless => stream.write_response_header(Box::new(head), true)?,
            _ => down.write_response_header(Box::new(head), bodyless).await?,
        }
        if !bodyless {
            down.write_response_body(Some(reply.body), true).await?;
        }
        Ok(true)
    }

    /// The access log line, and the counters, of a request that is over `now`.
    pub(super) fn log(&self, down: &Downstream, ctx: &Context, now: Stopwatch) {
        let request = down.req_header();
        let status = down.response_written().map(|head| head.status).or(ctx.status);
        let total = now.since(&ctx.watch);
        self.gateway.metrics.request(ctx.decision, status, total);
        let host = request
            .headers
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| request.uri.authority().map(http::uri::Authority::as_str));
        self.access_log.write(&Entry {
            time: ctx.time,
            request_id: &ctx.request_id,
            client: ctx.client,
            method: &request.method,
            host: host.unwrap_or_default(),
            path: request.uri.path(),
            protocol: request.version,
            status,
            route: ctx.route().map(|route| &*route.id),
            decision: ctx.decision,
            reason: ctx.reason,
            identity: ctx.forwarding().and_then(|forward| forward.session()).map(|live| live.identity()),
            upstream: ctx.upstream,
            total,
            upstream_time: ctx.upstream_time,
            bytes_out: down.body_bytes_sent() as u64,
        });
    }
}
