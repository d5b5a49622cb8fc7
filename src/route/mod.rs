//! Where a request goes: the origin it was typed at, the route that takes it, the upstream behind.
//!
//! Everything here is pure. Nothing is rewritten: what is decided on is what is forwarded.

pub mod origin;
pub mod origin_headers;
mod own;
pub mod path;
mod reading;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod upstream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::identity::ProviderName;
use crate::identity::headers::HeaderMapping;
use crate::policy::Policy;
use origin::{Host, Origin};
use path::PathPrefix;
use upstream::Upstream;

/// One entry of `routes`, resolved.
#[derive(Debug)]
pub struct Route {
    /// `id`: unique, in logs and metrics.
    pub id: Arc<str>,
    /// `match.host`; without it every origin's host.
    pub host: Option<Host>,
    /// `match.path`.
    pub path: PathPrefix,
    /// `match.methods`; GET brings HEAD.
    pub methods: Methods,
    /// `match.any_host`: taken for any Host, for load-balancer probes. Public exact routes only.
    pub any_host: bool,
    /// `auth`.
    pub auth: Auth,
    /// `require`.
    pub require: Policy,
    /// `challenge`.
    pub challenge: ChallengeStyle,
    /// `authorize`: further authorization request parameters, over the provider's.
    pub authorize: Vec<(String, String)>,
    /// `session.idle_timeout`: shorter than the general one.
    pub idle_timeout: Option<Duration>,
    /// `limits.body` in bytes, over the general one.
    pub body_limit: Option<u64>,
    /// `encoded_slash`.
    pub encoded_slash: EncodedSlash,
    /// `forward_authorization`: whether a client's `Authorization` passes on a protected route.
    pub forward_authorization: bool,
    /// `request_headers`.
    pub request_headers: HeaderEdits,
    /// `response_headers`.
    pub response_headers: HeaderEdits,
    /// `cache`.
    pub cache: ResponseCache,
    /// `websocket.origins`: origins beside the route's own that may open a WebSocket.
    pub websocket_origins: Vec<Origin>,
    /// `identity.headers`, or the default ones; `None` on public routes.
    pub identity: Option<Arc<HeaderMapping>>,
    /// `upstream`.
    pub upstream: Arc<Upstream>,
}

/// How a route learns who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Nobody is asked, nobody is named.
    Public,
    /// A session of this provider.
    Session {
        /// The provider.
        provider: ProviderName,
        /// Whether a request without one is challenged.
        required: Required,
    },
}

/// Whether an identity must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// Without one: a challenge.
    Yes,
    /// Without one the request passes without identity headers.
    Optional,
}

/// How an anonymous request is answered (`challenge`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChallengeStyle {
    /// By the kind of client.
    #[default]
    Auto,
    /// Every GET is redirected.
    Redirect,
    /// Never redirected: 401.
    Unauthorized,
}

/// Whether `%2f` may stand in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// 400.
    #[default]
    Refuse,
    /// It passes as it is.
    Allow,
}

/// Whether a protected response may be kept by shared caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseCache {
    /// `public` and `s-maxage` go, `private` and `Vary` come.
    #[default]
    Private,
    /// As the upstream says.
    Upstream,
}

/// Header names to remove and headers to set, in that order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Names to remove.
    pub remove: Vec<HeaderName>,
    /// Headers to set; earlier values go.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// The methods a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// All of them.
    Any,
    /// These alone; GET has brought HEAD already.
    Only(Vec<Method>),
}

impl Methods {
    /// These methods, and HEAD where GET is one of them.
    #[must_use]
    pub fn only(mut methods: Vec<Method>) -> Self {
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        Self::Only(methods)
    }

    /// Whether `method` is among them.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.contains(method),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}
