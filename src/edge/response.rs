//! What comes back: the upstream's answer, kept from shared caches, with the cookies we owe.

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
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
        self.drop_own_cookies(response, forward)?;
        // 100 and 103 only announce; 101 is the answer.
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
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
