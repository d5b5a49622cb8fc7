//! A request gone through without a network: the phases of the real edge in front of the real gateway,
//! driven as Pingora drives them. Nothing goes to an upstream.
//!
//! What Pingora does between the phases and keeps private is done here by its documentation: it
//! removes connection headers before `upstream_request_filter` and frames the body after it.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;

use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use pingora::http::RequestHeader;
use pingora::proxy::{ProxyHttp as _, Session as Downstream};

use super::Edge;
use super::context::Context;
use super::upstream_request::HOP_BY_HOP;
use crate::reply::Transport;
use crate::route::Route;
use crate::telemetry::labels::Decision;
use connection::Connection;

/// What becomes of a request.
#[derive(Debug)]
pub struct Rehearsal {
    /// What would be written, and to whom.
    pub end: End,
    /// As the access log would have it.
    pub decision: Decision,
    /// The word for it in the access log.
    pub reason: &'static str,
    /// The route, if one was found.
    pub route: Option<Arc<Route>>,
}

/// Where a request ends.
#[derive(Debug)]
pub enum End {
    /// Pingora finds no request in it.
    Unread,
    /// The client is answered by us, in these bytes.
    Answered(Vec<u8>),
    /// It goes to the route's upstream with this head.
    Forwarded(Box<RequestHeader>),
}

impl Edge {
    /// Goes through the HTTP/1 request in `sent`, as if a client at `peer` had sent it and then nothing
    /// more.
    ///
    /// An own endpoint does what it does: starting a login may ask the provider for its metadata.
    pub async fn rehearse(&self, sent: &[u8], peer: SocketAddr, transport: Transport) -> Rehearsal {
        let (connection, answer) = Connection::new(sent, peer, transport);
        let mut down = Downstream::new_h1(Box::new(connection));
        // As Pingora's application for HTTP/1 connections begins.
        down.as_downstream_mut().set_keepalive(Some(60));
        let mut ctx = self.new_ctx();
        let end = if matches!(down.as_downstream_mut().read_request().await, Ok(true)) {
            match self.go_through(&mut down, &mut ctx).await {
                Ok(Some(head)) => End::Forwarded(Box::new(head)),
                Ok(None) | Err(_) => End::Answered(answer.bytes()),
            }
        } else {
            End::Unread
        };
        Rehearsal { end, decision: ctx.decision, reason: ctx.reason, route: ctx.route().cloned() }
    }

    /// The head for the upstream, unless the client is answered.
    async fn go_through(
        &self,
        down: &mut Downstream,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Option<RequestHeader>> {
        self.early_request_filter(down, ctx).await?;
        if self.request_filter(down, ctx).await? {
            return Ok(None);
        }
        let mut request = down.req_header().clone();
        let received = request.version;
        let http2 = ctx.forwarding().is_some_and(|forward| forward.route.upstream.protocol.is_http2());
        request.set_version(if http2 { Version::HTTP_2 } else { Version::HTTP_11 });
        remove_connection_headers(&mut request, received);
        self.upstream_request_filter(down, &mut request, ctx).await?;
        let framed =
            request.headers.contains_key(CONTENT_LENGTH) || request.headers.contains_key(TRANSFER_ENCODING);
        if !http2 && !down.as_downstream_mut().is_body_empty() && !framed {
            request.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
        Ok(Some(request))
    }
}

fn remove_connection_headers(request: &mut RequestHeader, received: Version) {
    let web_socket = received == Version::HTTP_11
        && request.headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let nominated: Vec<HeaderName> = request
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .collect();
    // What is expected of us passes.
    for name in HOP_BY_HOP.iter().filter(|name| **name != EXPECT).chain(&nominated) {
        request.remove_header(name);
    }
    if web_socket {
        let pairs = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket")];
        for (name, value) in pairs {
            // Nothing about these two can be refused.
            let _ = request.insert_header(name, HeaderValue::from_static(value));
        }
    }
}
