//! The routes of a configuration, and which of them takes a request.

use std::sync::Arc;

use http::Method;

use super::Route;
use super::origin::Host;
use super::path::Refused;

/// All routes, ordered for look-up.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
}

/// What a look-up finds.
#[derive(Debug, Clone)]
pub enum Found {
    /// This route takes the request.
    Route(Arc<Route>),
    /// A route has the path, none of them the method: 405 with these.
    MethodNotAllowed(Vec<Method>),
    /// No route has the path.
    Nothing,
}

impl RouteTable {
    /// Builds the table. `own_prefix` is `endpoints.prefix`, which readings must not slip into.
    #[must_use]
    pub fn new(routes: Vec<Route>, own_prefix: &str, hosts: &[Host]) -> Self {
        let _ = (own_prefix, hosts);
        Self { routes: routes.into_iter().map(Arc::new).collect() }
    }

    /// The route for a request: host before no host, then the longest path, then the method.
    /// The path must have passed `refuse_malformed`.
    ///
    /// # Errors
    /// [`Refused::Ambiguous`] when another reading of the path would choose a route (or own
    /// endpoint) with different auth, rules or upstream; [`Refused::EncodedSlash`].
    pub fn find(&self, host: &Host, path: &str, method: &Method) -> Result<Found, Refused> {
        let _ = (host, path, method);
        unimplemented!()
    }

    /// The route that takes this path for any Host, if one does: `any_host`, public and exact.
    #[must_use]
    pub fn find_any_host(&self, path: &str, method: &Method) -> Option<Arc<Route>> {
        let _ = (path, method);
        unimplemented!()
    }

    /// Every route, in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }
}
