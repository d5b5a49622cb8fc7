//! A request that may pass: what the edge needs to send it on.

use std::sync::Arc;

use http::header::{ORIGIN, UPGRADE};
use http::request::Parts;

use super::origins::ServedOrigin;
use crate::clock::Clock;
use crate::identity::headers::{Rendered, Unsendable};
use crate::login::SignIn;
use crate::reply::OwedCookies;
use crate::route::origin::Origin;
use crate::route::{Auth, Route};
use crate::session::{Live, SessionStore, cookie};

/// Leave to pass. Only [`super::Gateway::handle`] makes one.
#[derive(Debug)]
pub struct Forward {
    /// The route.
    pub route: Arc<Route>,
    /// The origin it was asked at; none for probes by any Host.
    pub origin: Option<Arc<ServedOrigin>>,
    identified: Option<Identified>,
}

#[derive(Debug)]
struct Identified {
    live: Arc<Live>,
    sign_in: Arc<SignIn>,
    headers: Option<Arc<Result<Rendered, Unsendable>>>,
}

impl Forward {
    /// Nobody is named.
    pub(super) const fn public(route: Arc<Route>, origin: Option<Arc<ServedOrigin>>) -> Self {
        Self { route, origin, identified: None }
    }

    /// Somebody is.
    ///
    /// # Errors
    /// [`Unsendable`] when the route's headers can't carry them.
    pub(super) fn identified(
        route: Arc<Route>,
        origin: Arc<ServedOrigin>,
        sign_in: Arc<SignIn>,
        live: Arc<Live>,
    ) -> Result<Self, Unsendable> {
        let headers = route.identity.as_ref().map(|mapping| live.headers(mapping));
        if let Some(Err(error)) = headers.as_deref() {
            return Err(error.clone());
        }
        let identified = Some(Identified { live, sign_in, headers });
        Ok(Self { route, origin: Some(origin), identified })
    }

    /// The identity headers to write, names and values ready.
    #[must_use]
    pub fn identity_headers(&self) -> &[(http::HeaderName, http::HeaderValue)] {
        match self.identified.as_ref().and_then(|identified| identified.headers.as_deref()) {
            Some(Ok(rendered)) => rendered,
            _ => &[],
        }
    }

    /// The session behind it.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Live>> {
        self.identified.as_ref().map(|identified| &identified.live)
    }

    /// Whether the route asks who is there.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.route.auth != Auth::Public
    }

    /// Cookies that the response owes: a session sealed anew, unless it has been ended meanwhile.
    pub fn owed_cookies(
        &self,
        request: &http::HeaderMap,
        store: &dyn SessionStore,
        clock: &dyn Clock,
    ) -> OwedCookies {
        let Some(Identified { live, sign_in, .. }) = &self.identified else { return OwedCookies::none() };
        let now = clock.now();
        if live.ended_by(now) {
            return OwedCookies::none();
        }
        match store.renew(&sign_in.scope, live, now) {
            Some(value) => cookie::issue(request, &sign_in.scope, &value),
            None => OwedCookies::none(),
        }
    }
}

/// Whether a page of another origin opens a WebSocket: a browser sends our cookies along and lets
/// the page read the answers, so the origin is all that protects the person
/// ([RFC 6455 §10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)).
pub(super) fn is_foreign_websocket(parts: &Parts, served: &ServedOrigin, route: &Route) -> bool {
    if !parts.headers.contains_key(UPGRADE) {
        return false;
    }
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let Some(first) = origins.next() else { return false };
    let Some(from) = first.to_str().ok().and_then(|text| Origin::parse(text).ok()) else { return true };
    let known = from == served.origin || route.websocket_origins.contains(&from);
    !known || origins.next().is_some()
}
