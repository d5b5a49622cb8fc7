//! What comes back: the upstream's answer, kept from shared caches, with the cookies we owe.

use http::header::{CACHE_CONTROL, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType};

use super::hygiene::caching::{PrivateCaching, private_cache_control};
use super::hygiene::cookies::is_own_set_cookie;
use super::{Edge, websocket};
use crate::gateway::Forward;
use crate::route::ResponseCache;

/// The most 1xx responses before the final one. Each costs us work and the client a head; an hour of
/// `102 Processing` has fewer.
const ANNOUNCEMENTS: u32 = 200;

/// Whether another response follows: 100 and 103 only announce it, 101 is the answer.
pub(super) fn only_announces(response: &ResponseHeader) -> bool {
    response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS
}

/// Refuses a head that clients could read differently from us, or that never comes to the point;
/// `announcements` is the number of 1xx so far.
///
/// # Errors
/// `InvalidHTTPHeader`: the upstream's fault.
pub(super) fn check(
    request: &RequestHeader,
    response: &ResponseHeader,
    announcements: u32,
) -> pingora::Result<()> {
    if announcements > ANNOUNCEMENTS {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "too many 1xx responses");
    }
    if response.status == StatusCode::SWITCHING_PROTOCOLS && !websocket::is_agreed_to(request, response) {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "a 101 that doesn't answer this request");
    }
    // Nothing but chunks was asked for. Where they aren't the last coding the answer ends with the
    // connection (RFC 9112 §6.3), and not every client knows.
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || codings.next().is_some() {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "a transfer coding that wasn't asked for");
    }
    Ok(())
}

impl Edge {
    pub(super) fn write_response(
        &self,
        request: &RequestHeader,
        response: &mut ResponseHeader,
        forward: &Forward,
    ) -> pingora::Result<()> {
        self.drop_own_cookies(response, forward)?;
        if only_announces(response) {
            return Ok(());
        }
        let route = &forward.route;
        for name in &route.response_headers.remove {
            response.remove_header(name);
        }
        for (name, value) in &route.response_headers.set {
            response.insert_header(name.clone(), value.clone())?;
        }
        if forward.is_protected() && route.cache == ResponseCache::Private {
            let private = private_cache_control(&response.headers);
            response.insert_header(CACHE_CONTROL, private.cache_control)?;
            response.insert_header("vary", private.vary)?;
            let for_shared_caches: Vec<HeaderName> =
                response.headers.keys().filter(|name| PrivateCaching::removes(name)).cloned().collect();
            for name in &for_shared_caches {
                response.remove_header(name);
            }
        }
        let gateway = &self.gateway;
        let owed = forward.owed_cookies(&request.headers, gateway.store.as_ref(), gateway.clock.now());
        if !owed.is_empty() {
            let mut headers = HeaderMap::new();
            owed.write(&mut headers);
            for value in headers.get_all(SET_COOKIE) {
                response.append_header(SET_COOKIE, value.clone())?;
            }
            if let Some(no_store) = headers.get(CACHE_CONTROL) {
                response.insert_header(CACHE_CONTROL, no_store.clone())?;
            }
        }
        Ok(())
    }
}

impl Edge {
    /// An upstream can't set a cookie of ours: it could put its own session in the place of a
    /// person's.
    fn drop_own_cookies(&self, response: &mut ResponseHeader, forward: &Forward) -> pingora::Result<()> {
        let own = |value: &HeaderValue| is_own_set_cookie(value, |name| self.owns_cookie(forward, name));
        if !response.headers.get_all(SET_COOKIE).iter().any(own) {
            return Ok(());
        }
        tracing::warn!(route = %forward.route.id, "an upstream tried to set a cookie of the gateway's: dropped");
        let kept: Vec<_> =
            response.headers.get_all(SET_COOKIE).iter().filter(|value| !own(value)).cloned().collect();
        response.remove_header(&SET_COOKIE);
        for value in kept {
            response.append_header(SET_COOKIE, value)?;
        }
        Ok(())
    }
}
