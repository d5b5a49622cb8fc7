//! What goes upstream: the client's request without what only we may say, and what we say.
//!
//! Runs once per attempt on a fresh clone, after Pingora has removed what `Connection` names: an
//! identity header written earlier could be nominated away by the client.

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr as _};

use super::context::Context;
use super::hygiene::cookies::without_own_cookies;
use super::traits::Trait;
use super::{Edge, forwarded, peer};
use crate::gateway::Forward;
use crate::route::upstream::{HostHeader, Upstream};
use crate::telemetry::RequestId;

const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Fields that are added beside identity, introduction and those of the configuration: Host, a prefix, an
/// id.
const ADDED: usize = 3;

/// Fields for one connection only, and `Expect`, which we have answered.
pub(super) static HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    EXPECT,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl Edge {
    pub(super) fn write_upstream_request(
        &self,
        received: &RequestHeader,
        request: &mut RequestHeader,
        forward: &Forward,
        ctx: &Context,
    ) -> pingora::Result<()> {
        if forward.route.upstream.protocol.is_http2() && request.version != Version::HTTP_2 {
            return Err(Error::explain(peer::NOT_HTTP2, "the upstream didn't agree to HTTP/2").into_up());
        }
        // What goes wrong from here on leaves an empty request behind, which is never sent.
        let mut parts = Parts::from(std::mem::replace(request, empty()));
        self.write_parts(received, &mut parts, forward, ctx)?;
        *request = parts.into();
        Ok(())
    }

    fn write_parts(
        &self,
        received: &RequestHeader,
        parts: &mut Parts,
        forward: &Forward,
        ctx: &Context,
    ) -> pingora::Result<()> {
        let headers = &mut parts.headers;
        for name in self.managed.spoofed(headers) {
            headers.remove(&name);
        }
        let route = &forward.route;
        let identity = forward.identity_headers();
        // Room for all of them at once, and for no more: it is made for every request.
        headers.reserve(ADDED + forwarded::MOST_FIELDS + identity.len() + route.request_headers.set.len());
        if route.upstream.protocol.is_http2() {
            fit_for_http2(headers);
        }
        write_target(parts, received, &route.upstream)?;
        let headers = &mut parts.headers;
        if ctx.traits.have(Trait::Cookie) {
            self.write_cookies(headers, forward);
        }
        if ctx.traits.have(Trait::Authorization) && forward.is_protected() && !route.forward_authorization {
            headers.remove(AUTHORIZATION);
        }
        for name in &route.request_headers.remove {
            headers.remove(name);
        }
        for (name, value) in &route.request_headers.set {
            headers.insert(name.clone(), value.clone());
        }
        write_host(headers, received, forward)?;
        let Some(client) = &ctx.client_chain else {
            return Err(Error::explain(ErrorType::InternalError, "a forwarded request without a client"));
        };
        let origin = forward.origin.as_ref();
        let introduction = match &ctx.connection {
            Some(connection) => connection.introduce(client, origin),
            None => forwarded::outgoing(client, origin.map(|origin| &origin.said)).into(),
        };
        for (name, value) in introduction.iter() {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(RequestId::HEADER, ctx.request_id.header_value());
        for (name, value) in identity {
            headers.insert(name.clone(), value.clone());
        }
        Ok(())
    }
}

/// A request without a field, to stand in for one that is being written.
fn empty() -> RequestHeader {
    http::Request::new(()).into_parts().0.into()
}

/// Forgets how the client spelt the names of its fields: they mean the same in every spelling
/// ([RFC 9110 §5.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.1)), and go upstream in lower case but for
/// the commonest. Pingora would keep, copy and search a second map beside each head.
///
/// The target must be one that the URI represents whole.
pub(super) fn forget_spelling(request: &mut RequestHeader) {
    if request.has_case() {
        *request = Parts::from(std::mem::replace(request, empty())).into();
    }
}

/// What may not stand in an HTTP/2 request
/// ([RFC 9113 §8.2.2](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2)) goes, with what is meant for
/// us alone: Pingora takes it from HTTP/1 requests only. `TE: trailers` stays, which gRPC needs.
fn fit_for_http2(headers: &mut HeaderMap) {
    let trailers = headers.get(TE).is_some_and(|value| value == "trailers");
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The target as decided on, in origin form; a prefix is cut by whole segments, nothing else changes.
fn write_target(parts: &mut Parts, received: &RequestHeader, upstream: &Upstream) -> pingora::Result<()> {
    let target = received.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let Some(prefix) = &upstream.strip_prefix else {
        if received.uri.authority().is_some() {
            parts.uri = parsed(target)?;
        }
        return Ok(());
    };
    let prefix = prefix.trim_end_matches('/');
    let rest = target.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    // `//host` would be read as an authority by some, so one slash is left of many. Another spelling
    // of the prefix doesn't begin with it: then nothing is cut.
    let stripped =
        rest.map_or_else(|| target.to_owned(), |rest| format!("/{}", rest.trim_start_matches('/')));
    parts.uri = parsed(&stripped)?;
    if rest.is_some() && !prefix.is_empty() {
        let value = HeaderValue::from_str(prefix).or_err(ErrorType::InternalError, "strip_prefix")?;
        parts.headers.insert(X_FORWARDED_PREFIX, value);
    }
    Ok(())
}

fn parsed(target: &str) -> pingora::Result<Uri> {
    Uri::builder().path_and_query(target).build().or_err(ErrorType::InternalError, "request target")
}

impl Edge {
    /// Own cookies stay here; others keep order and bytes, in one field: HTTP/2 may have split them.
    fn write_cookies(&self, headers: &mut HeaderMap, forward: &Forward) {
        let own = |name: &str| self.owns_cookie(forward, name);
        match without_own_cookies(headers.get_all(COOKIE), own) {
            Some(kept) => headers.insert(COOKIE, kept),
            None => headers.remove(COOKIE),
        };
    }

    /// Whether a cookie is ours: at the origin asked, or at any where none was.
    pub(super) fn owns_cookie(&self, forward: &Forward, name: &str) -> bool {
        match &forward.origin {
            Some(origin) => origin.owns_cookie(name),
            None => self.gateway.origins.owns_cookie(name),
        }
    }
}

fn write_host(headers: &mut HeaderMap, received: &RequestHeader, forward: &Forward) -> pingora::Result<()> {
    let upstream = &forward.route.upstream;
    let host = match (&upstream.host, &forward.origin) {
        (HostHeader::Preserve, Some(origin)) => origin.said.host.clone(),
        // A probe by any Host keeps what it said.
        (HostHeader::Preserve, None) => match received.headers.get(HOST) {
            Some(host) => host.clone(),
            None => return Ok(()),
        },
        (HostHeader::Server, _) => {
            let server = &upstream.server;
            HeaderValue::from_str(&format!("{}:{}", server.host, server.port))
                .or_err(ErrorType::InternalError, "upstream host")?
        }
        (HostHeader::Name(name), _) => name.clone(),
    };
    headers.insert(HOST, host);
    Ok(())
}
