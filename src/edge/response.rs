//! What comes back: the upstream's answer, kept from shared caches, with the cookies we owe.

use http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use http::{HeaderMap, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

use super::Edge;
use super::hygiene::caching::{PrivateCaching, private_cache_control};
use super::hygiene::cookies::is_own_set_cookie;
use crate::gateway::Forward;
use crate::route::ResponseCache;

impl Edge {
    pub(super) fn write_response(
        &self,
        request: &RequestHeader,
        response: &mut ResponseHeader,
        forward: &Forward,
    ) -> pingora::Result<()> {
        // 100 and 103 only announce; 101 is the answer.
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        drop_own_cookies(response, forward)?;
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
            response.insert_header(VARY, private.vary)?;
            for name in &PrivateCaching::REMOVED {
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

/// An upstream can't set a cookie of ours: it could put its own session in the place of a person's.
fn drop_own_cookies(response: &mut ResponseHeader, forward: &Forward) -> pingora::Result<()> {
    let Some(origin) = &forward.origin else { return Ok(()) };
    let own = |name: &str| origin.owns_cookie(name);
    if !response.headers.get_all(SET_COOKIE).iter().any(|value| is_own_set_cookie(value, own)) {
        return Ok(());
    }
    tracing::warn!(route = %forward.route.id, "an upstream tried to set a cookie of the gateway's: dropped");
    let kept: Vec<_> = response
        .headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !is_own_set_cookie(value, own))
        .cloned()
        .collect();
    response.remove_header(&SET_COOKIE);
    for value in kept {
        response.append_header(SET_COOKIE, value)?;
    }
    Ok(())
}
