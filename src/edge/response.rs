//! What comes back: the upstream's answer, kept from shared caches, with the cookies we owe.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING, VARY};
use http::response::Parts;
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

/// What an upstream says of its own connection. `Connection` itself is Pingora's to write.
const OF_THE_CONNECTION: [HeaderName; 2] =
    [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")];

/// Whether another response follows: 100 and 103 only announce it, 101 is the answer.
pub(super) fn only_announces(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
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
    /// Writes what the client is to know. Names of fields go on in lower case but for the commonest, as
    /// they do upstream: Pingora would keep and search a second map for their spelling.
    pub(super) fn write_response(
        &self,
        request: &RequestHeader,
        response: &mut ResponseHeader,
        forward: &Forward,
    ) -> pingora::Result<()> {
        let usual = response.status.canonical_reason();
        let phrase = response.get_reason_phrase().filter(|&said| usual != Some(said)).map(str::to_owned);
        let nothing = ResponseHeader::from(http::Response::new(()).into_parts().0);
        let mut parts = Parts::from(std::mem::replace(response, nothing));
        self.write_fields(request, &mut parts, forward);
        *response = parts.into();
        if phrase.is_some() {
            response.set_reason_phrase(phrase.as_deref())?;
        }
        Ok(())
    }

    fn write_fields(&self, request: &RequestHeader, response: &mut Parts, forward: &Forward) {
        let headers = &mut response.headers;
        if response.status != StatusCode::SWITCHING_PROTOCOLS {
            drop_hop_by_hop(headers);
        }
        self.drop_own_cookies(headers, forward);
        if only_announces(response.status) {
            return;
        }
        let route = &forward.route;
        for name in &route.response_headers.remove {
            headers.remove(name);
        }
        for (name, value) in &route.response_headers.set {
            headers.insert(name.clone(), value.clone());
        }
        if forward.is_protected() && route.cache == ResponseCache::Private {
            let private = private_cache_control(headers);
            headers.insert(CACHE_CONTROL, private.cache_control);
            headers.insert(VARY, private.vary);
            let for_shared_caches: Vec<HeaderName> =
                headers.keys().filter(|name| PrivateCaching::removes(name)).cloned().collect();
            for name in &for_shared_caches {
                headers.remove(name);
            }
        }
        let gateway = &self.gateway;
        let owed = forward.owed_cookies(&request.headers, gateway.store.as_ref(), gateway.clock.as_ref());
        owed.write(headers);
    }

    /// An upstream can't set a cookie of ours: it could put its own session in the place of a
    /// person's.
    fn drop_own_cookies(&self, headers: &mut HeaderMap, forward: &Forward) {
        let own = |value: &HeaderValue| is_own_set_cookie(value, |name| self.owns_cookie(forward, name));
        if !headers.get_all(SET_COOKIE).iter().any(own) {
            return;
        }
        tracing::warn!(route = %forward.route.id, "an upstream tried to set a cookie of the gateway's: dropped");
        let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().filter(|value| !own(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for value in kept {
            headers.append(SET_COOKIE, value);
        }
    }
}

/// Removes what is about the connection with the upstream: what its `Connection` names
/// ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)) but for framing, and what is always
/// meant so.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    // What most upstreams say names one field, which goes anyway and hardly ever came.
    let is_one = |(name, value): (&HeaderName, &HeaderValue)| {
        let of_the_connection = OF_THE_CONNECTION.contains(name);
        of_the_connection || *name == CONNECTION && !value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
    };
    if !headers.iter().any(is_one) {
        return;
    }
    let options = headers.get_all(CONNECTION).iter();
    let options = options.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let named: Vec<_> = options
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
        .collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
}
