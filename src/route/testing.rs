//! A route of tests.

use std::sync::Arc;

use super::path::PathPrefix;
use super::upstream::{HostHeader, Prepared, Protocol, Retries, Server, Timeouts, Upstream};
use super::{Auth, ChallengeStyle, EncodedSlash, HeaderEdits, Methods, ResponseCache, Route};
use crate::policy::Policy;

/// Open to everyone, at this path and below.
pub(crate) fn public(id: &str, path: &str) -> Route {
    Route {
        id: id.into(),
        host: None,
        path: PathPrefix::new(path, false).unwrap(),
        methods: Methods::Any,
        any_host: false,
        auth: Auth::Public,
        require: Policy::default(),
        challenge: ChallengeStyle::Auto,
        authorize: Vec::new(),
        idle_timeout: None,
        body_limit: None,
        encoded_slash: EncodedSlash::Refuse,
        forward_authorization: false,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        cache: ResponseCache::Private,
        websocket_origins: Vec::new(),
        identity: None,
        upstream: Arc::new(Upstream {
            server: Server::new("127.0.0.1", 9000),
            host: HostHeader::Preserve,
            strip_prefix: None,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            tls: None,
            protocol: Protocol::default(),
            prepared: Prepared::default(),
        }),
    }
}
