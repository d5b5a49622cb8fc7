//! The routes of a configuration, and which of them takes a request.
//!
//! The path as received chooses. Every other reading of it must choose a route that asks for the
//! same and leads to the same service, or the request is refused. Hosts whose routes all agree are
//! found at load and pay nothing for this.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::{HeaderName, Method};

use crate::route::origin::Host;
use crate::route::own::OwnPrefix;
use crate::route::path::{
    Refused, check_encoded_slash, has_encoded_slash, lies_under, without_trailing_slashes,
};
use crate::route::reading::{self, Reading};
use crate::route::upstream::Upstream;
use crate::route::{Auth, EncodedSlash, Methods, Route};

/// All routes, ordered for look-up.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    hosts: HashMap<Host, HostTable, RandomState>,
    /// For hosts that no route and no origin names.
    elsewhere: HostTable,
    own: OwnPrefix,
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

/// One way to read a path, unlike the path as received.
#[derive(Debug, Clone)]
pub struct OtherReading {
    /// What is read.
    pub path: String,
    /// The route that it would choose.
    pub route: Option<Arc<Route>>,
}

impl OtherReading {
    fn leads_to(&self, other: &Self) -> bool {
        match (&self.route, &other.route) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Default for RouteTable {
    /// No routes.
    fn default() -> Self {
        Self::new(Vec::new(), "/.vestibule", &[])
    }
}

impl RouteTable {
    /// Builds the table. `own_prefix` is `endpoints.prefix`, which readings must not slip into.
    #[must_use]
    pub fn new(routes: Vec<Route>, own_prefix: &str, hosts: &[Host]) -> Self {
        let routes: Vec<Arc<Route>> = routes.into_iter().map(Arc::new).collect();
        let candidates = candidates(&routes);
        let named = routes.iter().filter_map(|route| route.host.as_ref());
        let hosts = hosts
            .iter()
            .chain(named)
            .map(|host| (host.clone(), HostTable::new(&candidates, Some(host))))
            .collect();
        let elsewhere = HostTable::new(&candidates, None);
        Self { hosts, elsewhere, own: OwnPrefix::new(own_prefix), routes }
    }

    /// The route for a request: host before no host, then the longest path, then the method.
    /// The path must have passed `refuse_malformed`.
    ///
    /// A path under our own prefix is never a route's.
    ///
    /// # Errors
    /// [`Refused::Ambiguous`] when another reading of the path would choose a route (or own
    /// endpoint) with different auth, rules or upstream; [`Refused::EncodedSlash`].
    pub fn find(&self, host: &Host, path: &str, method: &Method) -> Result<Found, Refused> {
        let table = self.hosts.get(host).unwrap_or(&self.elsewhere);
        let Some(place) = table.as_received.covering(path) else { return Ok(Found::Nothing) };
        if self.own.holds(path) {
            return Ok(Found::Nothing);
        }
        let Some(chosen) = place.taking(method).next() else {
            return Ok(Found::MethodNotAllowed(place.methods()));
        };
        check_encoded_slash(path, chosen.route.encoded_slash)?;
        self.own.refuse_ambiguous(path)?;
        if !table.agrees && !table.readings_agree(path, method, chosen) {
            return Err(Refused::Ambiguous);
        }
        Ok(Found::Route(Arc::clone(&chosen.route)))
    }

    /// The other ways to read a path that [`RouteTable::find`] compares, each with the route that it would
    /// choose. The path must have passed `refuse_malformed`.
    #[must_use]
    pub fn other_readings(&self, host: &Host, path: &str, method: &Method) -> Vec<OtherReading> {
        let table = self.hosts.get(host).unwrap_or(&self.elsewhere);
        let mut others: Vec<OtherReading> = Vec::new();
        let mut add = |read: &str, view: &View| {
            let chosen = view.covering(read).and_then(|place| place.taking(method).next());
            let other =
                OtherReading { path: read.to_owned(), route: chosen.map(|chosen| Arc::clone(&chosen.route)) };
            if read != path && !others.iter().any(|known| known.path == read && known.leads_to(&other)) {
                others.push(other);
            }
        };
        if table.views.is_empty() {
            for read in reading::other_readings(path) {
                add(&read, &table.as_received);
            }
        } else {
            for (reading, view) in &table.views {
                add(&reading.read(path), view);
            }
        }
        others
    }

    /// The route that takes this path for any Host, if one does: `any_host`, public and exact, for
    /// GET and HEAD. Other methods need a Host in `origins`.
    #[must_use]
    pub fn find_any_host(&self, path: &str, method: &Method) -> Option<Arc<Route>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let takes = |route: &&Arc<Route>| {
            route.any_host
                && route.path.is_exact()
                && route.auth == Auth::Public
                && route.path.covers(path)
                && route.methods.takes(method)
        };
        self.routes.iter().find(takes).cloned()
    }

    /// Whether the path is an own endpoint's: under `endpoints.prefix`, by whole segments, as
    /// received. The path must have passed `refuse_malformed`.
    ///
    /// # Errors
    /// [`Refused::Ambiguous`] when another reading says otherwise.
    pub fn owns(&self, path: &str) -> Result<bool, Refused> {
        self.own.refuse_ambiguous(path)?;
        Ok(self.own.holds(path))
    }

    /// Every route, in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The names of all mapped identity headers of all routes; some more than once.
    pub fn mapped_header_names(&self) -> impl Iterator<Item = &HeaderName> {
        let mappings = self.routes.iter().filter_map(|route| route.identity.as_deref());
        mappings.flat_map(|mapping| mapping.headers.iter().map(|header| &header.name))
    }
}

/// A route, and what it decides.
#[derive(Debug, Clone)]
struct Candidate {
    route: Arc<Route>,
    /// Routes with the same number ask for the same and lead to the same service.
    decision: usize,
    /// Whether the reading at hand leaves the route's path as written.
    written: Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    AsIs,
    Changed,
}

fn candidates(routes: &[Arc<Route>]) -> Vec<Candidate> {
    let decision =
        |route: &Arc<Route>| routes.iter().position(|other| decide_alike(other, route)).unwrap_or(0);
    let candidate = |route: &Arc<Route>| Candidate {
        route: Arc::clone(route),
        decision: decision(route),
        written: Written::AsIs,
    };
    routes.iter().map(candidate).collect()
}

fn decide_alike(one: &Route, other: &Route) -> bool {
    one.auth == other.auth
        && one.require == other.require
        // These decide who passes, too: a shorter time-out, who opens a WebSocket, whose credentials.
        && one.idle_timeout == other.idle_timeout
        && one.websocket_origins == other.websocket_origins
        && one.forward_authorization == other.forward_authorization
        && leads_alike(&one.upstream, &other.upstream)
}

/// Whether two upstreams are the same service: timeouts and retries make no difference.
fn leads_alike(one: &Upstream, other: &Upstream) -> bool {
    one.server.host == other.server.host
        && one.server.port == other.server.port
        && one.host == other.host
        && one.strip_prefix == other.strip_prefix
        && one.tls == other.tls
}

/// The routes that one host can reach.
#[derive(Debug)]
struct HostTable {
    as_received: View,
    /// The routes' paths as each reading has them; empty where they all have them as written.
    views: Vec<(Reading, View)>,
    /// Whether no reading of any path could make a difference.
    agrees: bool,
}

impl HostTable {
    fn new(candidates: &[Candidate], host: Option<&Host>) -> Self {
        let serves = |c: &&Candidate| c.route.host.is_none() || c.route.host.as_ref() == host;
        let reached: Vec<_> = candidates.iter().filter(serves).cloned().collect();
        let alike = |one: &Candidate, other: &Candidate| {
            one.decision == other.decision
                && one.route.encoded_slash == other.route.encoded_slash
                && one.route.methods == Methods::Any
        };
        let agrees = reached.first().is_none_or(|first| reached.iter().all(|c| alike(c, first)));
        let is_plain = reached.iter().all(|c| reading::is_plain(c.route.path.as_str()));
        let views = if agrees || is_plain {
            Vec::new()
        } else {
            Reading::all().map(|reading| (reading, View::new(&reached, reading))).collect()
        };
        Self { as_received: View::new(&reached, Reading::AS_RECEIVED), views, agrees }
    }

    fn readings_agree(&self, path: &str, method: &Method, chosen: &Candidate) -> bool {
        // An encoded slash got here only because the chosen route allows it.
        let slash = chosen.route.encoded_slash == EncodedSlash::Allow && has_encoded_slash(path);
        let alike = |other: &Candidate| {
            other.decision == chosen.decision && !(slash && other.route.encoded_slash == EncodedSlash::Refuse)
        };
        if !self.views.is_empty() {
            return self.views.iter().all(|(reading, view)| view.agrees(&reading.read(path), method, alike));
        }
        reading::is_plain(path)
            || reading::other_readings(path).iter().all(|path| self.as_received.agrees(path, method, alike))
    }
}

/// Routes by path, in the order in which they are tried: those that name the host first, then the
/// longest path.
#[derive(Debug)]
struct View(Vec<Slot>);

/// The routes at one path.
#[derive(Debug)]
struct Slot {
    rank: Rank,
    path: String,
    /// Single paths first.
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    NamesTheHost,
    AnyHost,
}

impl View {
    fn new(candidates: &[Candidate], reading: Reading) -> Self {
        let mut slots: Vec<Slot> = Vec::new();
        for candidate in candidates {
            let written = candidate.route.path.as_str();
            let read = reading.read(written);
            let exact = candidate.route.path.is_exact();
            let path = if exact { &*read } else { without_trailing_slashes(&read) };
            let candidate = Candidate {
                written: if path == written { Written::AsIs } else { Written::Changed },
                ..candidate.clone()
            };
            let rank = if candidate.route.host.is_some() { Rank::NamesTheHost } else { Rank::AnyHost };
            match slots.iter_mut().find(|slot| slot.rank == rank && slot.path == path) {
                Some(slot) => slot.candidates.push(candidate),
                None => slots.push(Slot { rank, path: path.to_owned(), candidates: vec![candidate] }),
            }
        }
        for slot in &mut slots {
            slot.candidates.sort_by_key(|candidate| !candidate.route.path.is_exact());
        }
        slots.sort_by_key(|slot| (slot.rank, std::cmp::Reverse(slot.path.len())));
        Self(slots)
    }

    fn covering(&self, path: &str) -> Option<Place<'_>> {
        self.0.iter().find_map(|slot| {
            if slot.path == path {
                return Some(Place { candidates: &slot.candidates });
            }
            // Single paths stand first and don't cover what lies below.
            let single = slot.candidates.partition_point(|candidate| candidate.route.path.is_exact());
            let candidates = slot.candidates.get(single..).filter(|prefixes| !prefixes.is_empty())?;
            lies_under(path, &slot.path).then_some(Place { candidates })
        })
    }

    /// Whether this reading of the path chooses nothing, or what is `alike`.
    fn agrees(&self, path: &str, method: &Method, alike: impl Fn(&Candidate) -> bool) -> bool {
        let Some(place) = self.covering(path) else { return true };
        // A route that is written as the path is read is meant; otherwise all of them could be.
        if let Some(meant) = place.taking(method).find(|candidate| candidate.written == Written::AsIs) {
            return alike(meant);
        }
        // A reading that no route takes would be refused: then so is the request.
        place.taking(method).next().is_some() && place.taking(method).all(alike)
    }
}

/// The routes at the longest path that covers a request's.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    candidates: &'a [Candidate],
}

impl<'a> Place<'a> {
    fn taking(self, method: &Method) -> impl Iterator<Item = &'a Candidate> {
        self.candidates.iter().filter(|candidate| candidate.route.methods.takes(method))
    }

    /// All methods that are taken here, each once.
    fn methods(self) -> Vec<Method> {
        let mut all: Vec<Method> = Vec::new();
        for candidate in self.candidates {
            let Methods::Only(methods) = &candidate.route.methods else { continue };
            for method in methods {
                if !all.contains(method) {
                    all.push(method.clone());
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
