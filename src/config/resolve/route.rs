//! `routes`, one by one.

use std::sync::Arc;

use http::Method;

use super::super::file::route::{
    Auth as AuthFile, Cache, Challenge, EncodedSlash as EncodedSlashFile, Match, Route as RouteFile,
};
use super::super::key::KeyPath;
use super::super::nearest::nearest;
use super::super::values::{List, Period, Short};
use super::Resolver;
use super::header::Direction;
use super::origin::Site;
use super::provider::Providers;
use super::upstream::ServerAddress;
use crate::identity::headers::HeaderMapping;
use crate::identity::{ClaimNames, ProviderName};
use crate::policy::Policy;
use crate::route::origin::{Host, Origin};
use crate::route::path::PathPrefix;
use crate::route::{
    Auth, ChallengeStyle, EncodedSlash, HeaderEdits, Methods, Required, ResponseCache, Route,
};
use crate::session;

/// A route as far as it could be read, for the rules among routes; whole, if nothing was wrong.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) at: KeyPath,
    pub(crate) id: Option<String>,
    pub(crate) place: Option<Place>,
    pub(crate) auth: Option<Auth>,
    pub(crate) require: Policy,
    pub(crate) server: Option<ServerAddress>,
    pub(crate) identity: Option<Arc<HeaderMapping>>,
    pub(crate) request_headers: HeaderEdits,
    pub(crate) route: Option<Route>,
}

/// What a route matches.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) host: Option<Host>,
    pub(crate) path: PathPrefix,
    pub(crate) methods: Methods,
    pub(crate) any_host: bool,
}

impl Resolver<'_> {
    pub(super) fn routes(
        &mut self,
        routes: &List<RouteFile>,
        site: &Site,
        providers: &Providers,
        sessions: Option<&session::Config>,
    ) -> Vec<Outline> {
        let at = KeyPath::root().key("routes");
        if routes.is_empty() {
            self.fault(&at, "is empty: nothing would be served", "[{ id: …, auth: …, upstream: … }]");
        }
        let outlines = routes
            .items()
            .map(|(index, route)| self.route(&at.item(index), route, site, providers, sessions));
        outlines.collect()
    }

    fn route(
        &mut self,
        at: &KeyPath,
        route: &RouteFile,
        site: &Site,
        providers: &Providers,
        sessions: Option<&session::Config>,
    ) -> Outline {
        let id = route.id.clone().filter(|id| !id.is_empty());
        if id.is_none() {
            self.missing(at, "id", "logs and metrics name the route by it", "id: a name of your own");
        }
        let place = self.place(&at.key("match"), route.matches.as_ref(), site);
        let auth = self.auth(at, route.auth.as_ref());
        let require = self.policy(&at.key("require"), route.require.as_ref());
        self.check_public(at, route, auth.as_ref(), place.as_ref());
        let mapping = match &auth {
            Some(Auth::Session { provider, .. }) => {
                let names = claim_names(providers, provider);
                Some(Arc::new(self.identity(&at.key("identity"), route.identity.as_ref(), &names)))
            }
            _ => None,
        };
        let (server, upstream) = if let Some(upstream) = &route.upstream {
            self.upstream(&at.key("upstream"), upstream)
        } else {
            self.missing(at, "upstream", "requests must go somewhere", "upstream: http://127.0.0.1:3000");
            (None, None)
        };
        let idle_timeout = self.idle_timeout(at, route, sessions);
        let body = route.limits.as_ref().and_then(|limits| limits.body);
        let body_limit = body.map(|body| self.size(&at.key("limits"), "body", Some(body), 1));
        let authorize = self.authorize(&at.key("authorize"), route.authorize.as_ref());
        let request_headers =
            self.header_edits(&at.key("request_headers"), route.request_headers.as_ref(), Direction::Request);
        let response_headers = self.header_edits(
            &at.key("response_headers"),
            route.response_headers.as_ref(),
            Direction::Response,
        );
        let websocket_origins = self.websocket_origins(at, route, site);
        let whole = (|| {
            let Place { host, path, methods, any_host, .. } = place.clone()?;
            let auth = auth.clone()?;
            Some(Route {
                id: id.as_deref()?.into(),
                host,
                path,
                methods,
                any_host,
                auth,
                require: require.clone(),
                challenge: match route.challenge {
                    Some(Challenge::Redirect) => ChallengeStyle::Redirect,
                    Some(Challenge::Unauthorized) => ChallengeStyle::Unauthorized,
                    Some(Challenge::Auto) | None => ChallengeStyle::Auto,
                },
                authorize,
                idle_timeout,
                body_limit,
                encoded_slash: match route.encoded_slash {
                    Some(EncodedSlashFile::Allow) => EncodedSlash::Allow,
                    Some(EncodedSlashFile::Refuse) | None => EncodedSlash::Refuse,
                },
                forward_authorization: route.forward_authorization.unwrap_or(false),
                request_headers: request_headers.clone(),
                response_headers,
                cache: match route.cache {
                    Some(Cache::Upstream) => ResponseCache::Upstream,
                    Some(Cache::Private) | None => ResponseCache::Private,
                },
                websocket_origins,
                identity: mapping.clone(),
                upstream: Arc::new(upstream?),
            })
        })();
        Outline {
            at: at.clone(),
            id,
            place,
            auth,
            require,
            server,
            identity: mapping,
            request_headers,
            route: whole,
        }
    }

    fn place(&mut self, at: &KeyPath, matches: Option<&Match>, site: &Site) -> Option<Place> {
        let absent = Match::default();
        let matches = matches.unwrap_or(&absent);
        let host = match matches.host.as_deref() {
            None => Some(None),
            Some(written) => self.host(&at.key("host"), written, site).map(Some),
        };
        let exact = matches.exact.unwrap_or(false);
        let path_at = at.key("path");
        let path = match matches.path.as_deref() {
            None => PathPrefix::new("/", exact).ok(),
            Some(written) => self.url_path(&path_at, written, "/app").and_then(|written| {
                let prefix = PathPrefix::new(&written, exact).ok();
                if prefix.is_none() {
                    self.fault(&path_at, "is not a path that a request could have", "a path such as /app");
                }
                prefix
            }),
        };
        let methods = self.methods(&at.key("methods"), matches.methods.as_ref());
        // What was told already must not look like the default, which would be wider.
        if self.reported.iter().any(|reported| at.holds(reported)) {
            return None;
        }
        let any_host = matches.any_host.unwrap_or(false);
        Some(Place { host: host?, path: path?, methods: methods?, any_host })
    }

    fn host(&mut self, at: &KeyPath, written: &str, site: &Site) -> Option<Host> {
        let Ok(host) = Host::parse(written) else {
            self.fault(
                at,
                format!("`{}` is not a host", written.escape_debug()),
                "the host of one of the origins, without scheme and port",
            );
            return None;
        };
        let hosts = site.hosts();
        if site.whole && !hosts.contains(&&host) {
            let known: Vec<_> = hosts.iter().map(|host| host.as_str()).collect();
            let near = nearest(host.as_str(), known.iter().copied()).map(str::to_owned);
            self.fault(
                at,
                format!("no origin has the host {host}, so no request could ever get here"),
                near.unwrap_or_else(|| format!("{}, or add https://{host} to origins", known.join(" or "))),
            );
        }
        Some(host)
    }

    fn methods(&mut self, at: &KeyPath, written: Option<&List<String>>) -> Option<Methods> {
        let Some(written) = written else { return Some(Methods::Any) };
        if written.is_empty() {
            self.fault(
                at,
                "is an empty list: no request could ever get here",
                "[GET], or no methods for all",
            );
            return None;
        }
        let mut methods = Some(Vec::new());
        for (index, name) in written.items() {
            let upper = name.to_ascii_uppercase();
            let method = Method::from_bytes(name.as_bytes()).ok().filter(|_| *name == upper);
            if method.is_none() {
                let why = format!("`{}` is not a method; they are written in capitals", name.escape_debug());
                self.fault(&at.item(index), why, upper);
            }
            methods = methods.zip(method).map(|(mut methods, method)| {
                methods.push(method);
                methods
            });
        }
        methods.map(Methods::only)
    }

    fn auth(&mut self, at: &KeyPath, auth: Option<&Short<AuthFile>>) -> Option<Auth> {
        let auth_at = at.key("auth");
        match auth {
            None => {
                self.missing(
                    at,
                    "auth",
                    "a route is public only when it says so",
                    "auth: { session: PROVIDER }, or auth: public",
                );
                None
            }
            Some(Short::Text(text)) if text == "public" => Some(Auth::Public),
            Some(Short::Text(text)) => {
                let why = format!("unknown value `{}`", text.escape_debug());
                self.fault(&auth_at, why, "{ session: PROVIDER }, or public");
                None
            }
            Some(Short::Full(auth)) => {
                let Some(name) = &auth.session else {
                    if !self.is_reported(&auth_at) {
                        self.fault(
                            &auth_at,
                            "doesn't say how people are known",
                            "{ session: PROVIDER }, or public",
                        );
                    }
                    return None;
                };
                let required = if auth.required == Some(false) { Required::Optional } else { Required::Yes };
                let provider = self.known_provider(&auth_at.key("session"), name)?;
                Some(Auth::Session { provider, required })
            }
        }
    }

    fn known_provider(&mut self, at: &KeyPath, name: &str) -> Option<ProviderName> {
        let providers_at = KeyPath::root().key("providers");
        if self.reported.iter().any(|reported| reported.holds(&providers_at)) {
            return None;
        }
        // The tree still has the names of providers that are faulty themselves.
        let providers = self.tree.find(&providers_at);
        let names: Vec<&str> = providers.into_iter().flat_map(super::super::tree::Node::keys).collect();
        if names.contains(&name) {
            return ProviderName::parse(name).ok();
        }
        let near = nearest(name, names.iter().copied()).map(str::to_owned);
        let all = if names.is_empty() {
            format!("providers: {{ {name}: … }} at the top of the file")
        } else {
            format!("{}, or add providers.{name}", names.join(" or "))
        };
        let why = format!("no provider is called `{}`", name.escape_debug());
        self.fault(at, why, near.unwrap_or(all));
        None
    }

    /// What can't be said of a public route, and what only a public one may say.
    fn check_public(&mut self, at: &KeyPath, route: &RouteFile, auth: Option<&Auth>, place: Option<&Place>) {
        let public = auth == Some(&Auth::Public);
        if public && route.require.is_some() {
            self.fault_of_key(
                &at.key("require"),
                "the route is public: nobody is asked who they are, so no rule could hold",
                "auth: { session: PROVIDER }, or no require",
            );
        }
        if public && route.identity.is_some() {
            self.fault_of_key(
                &at.key("identity"),
                "the route is public and carries no identity, whoever asks",
                "auth: { session: PROVIDER, required: false } for an optional one, or no identity",
            );
        }
        let Some(place) = place.filter(|place| place.any_host) else { return };
        let any_host_at = at.key("match").key("any_host");
        if auth.is_some() && !public || !place.path.is_exact() {
            self.fault(
                &any_host_at,
                "only a public exact route may be had under any Host: it is for load-balancer probes",
                "false, or auth: public and exact: true",
            );
        } else if place.host.is_some() {
            self.fault(&any_host_at, "the route names a host beside it", "false, or no host");
        }
    }

    fn idle_timeout(
        &mut self,
        at: &KeyPath,
        route: &RouteFile,
        sessions: Option<&session::Config>,
    ) -> Option<std::time::Duration> {
        let at = at.key("session");
        let written = route.session.as_ref().and_then(|session| session.idle_timeout)?;
        let general_at = KeyPath::root().key("sessions").key("idle_timeout");
        let general =
            sessions.map(|sessions| sessions.idle_timeout).filter(|_| !self.is_reported(&general_at));
        let timeout = self.period(&at, "idle_timeout", Some(written), std::time::Duration::from_mins(15));
        if let Some(general) = general.filter(|general| timeout > *general) {
            self.fault(
                &at.key("idle_timeout"),
                format!(
                    "is longer than sessions.idle_timeout ({}), which ends the session first",
                    Period(general)
                ),
                format!("{} or less", Period(general)),
            );
        }
        Some(timeout)
    }

    fn websocket_origins(&mut self, at: &KeyPath, route: &RouteFile, site: &Site) -> Vec<Origin> {
        let origins = route.websocket.as_ref().and_then(|websocket| websocket.origins.as_ref());
        let at = at.key("websocket").key("origins");
        let mut resolved = Vec::new();
        for (index, text) in origins.iter().flat_map(|origins| origins.items()) {
            resolved.extend(self.origin(&at.item(index), text, site.danger_plain_http));
        }
        resolved
    }
}

fn claim_names(providers: &Providers, name: &ProviderName) -> ClaimNames {
    let config = providers.iter().find(|(other, _)| other == name).and_then(|(_, config)| config.as_ref());
    config.map_or_else(ClaimNames::default, |config| config.claims.clone())
}
