//! The story of a request. Read [`Gateway::handle`] first.
//!
//! own endpoint? → route → authenticate → authorize → forward, or the right answer for this kind of
//! client. A proxied request waits at most for the session store; everything else is pure. Knows
//! `http` types only.

mod authenticate;
mod challenge;
mod client_kind;
mod endpoints;
mod forward;
mod origins;

pub use authenticate::Authentication;
pub use client_kind::is_grpc;
pub use forward::Forward;
pub use origins::{ServedOrigin, ServedOrigins};

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;

use crate::clock::Clock;
use crate::identity::headers::Unsendable;
use crate::identity::{ClaimNames, ClaimPath, EmailVerified, ProviderName};
use crate::login::SignIn;
use crate::login::callback::Callbacks;
use crate::login::rate::LoginRate;
use crate::pages::{Pages, Problem};
use crate::policy::Verdict;
use crate::reply::Reply;
use crate::route::path::{self, Refused};
use crate::route::table::{Found, RouteTable};
use crate::route::{Auth, Required, Route};
use crate::seal::Keyring;
use crate::session::lifecycle::Limits;
use crate::session::{Live, SessionStore};
use crate::telemetry::RequestId;
use crate::telemetry::labels::Decision;
use crate::telemetry::metrics::Metrics;

/// `endpoints`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPaths {
    /// `prefix`: `/.vestibule`, without a trailing slash.
    pub prefix: String,
    /// `callback`: any path, for an existing registration.
    pub callback: String,
}

impl Default for EndpointPaths {
    fn default() -> Self {
        Self { prefix: "/.vestibule".into(), callback: "/.vestibule/callback".into() }
    }
}

/// A request as the edge has read it: hygiene done, origin found.
pub struct Inbound<'a> {
    /// Method, URI, headers.
    pub parts: &'a Parts,
    /// The path as received; what is decided on is what is forwarded.
    pub path: &'a str,
    /// The query as received.
    pub query: Option<&'a str>,
    /// The origin that the Host names; none only on routes for any host.
    pub origin: Option<&'a Arc<ServedOrigin>>,
    /// The request's id.
    pub request_id: &'a RequestId,
    /// The body, read for own endpoints alone.
    pub body: Bytes,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// It goes to an upstream.
    Forward(Box<Forward>),
    /// We answer.
    Reply(Box<Answer>),
}

/// An answer of ours, and what kind of decision it is.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub reply: Reply,
    /// For the access log and the metrics.
    pub decision: Decision,
    /// The route that was found, for the access log.
    pub route: Option<Arc<Route>>,
}

/// Everything a decision needs. Built once per configuration, shared by all requests.
#[derive(Debug)]
pub struct Gateway {
    /// What browsers type, with the sign-ins there.
    pub origins: ServedOrigins,
    /// Where requests go.
    pub routes: RouteTable,
    /// Own paths.
    pub paths: EndpointPaths,
    /// Sessions.
    pub store: Arc<dyn SessionStore>,
    /// How long they last.
    pub limits: Limits,
    /// Sealing of logins and states.
    pub keyring: Arc<Keyring>,
    /// Logins on their way back.
    pub callbacks: Arc<Callbacks>,
    /// Logins that cost a provider a call, per provider in the order of the configuration.
    pub login_rates: Vec<LoginRate>,
    /// What people see.
    pub pages: Pages,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Gateway {
    /// Decides. Never panics on what a client sends; should it, the edge answers 500.
    pub async fn handle(&self, inbound: &Inbound<'_>) -> Outcome {
        if path::refuse_malformed(inbound.path).is_err() {
            return self.refuse(inbound, Problem::MalformedPath);
        }
        let Some(origin) = inbound.origin else { return self.handle_any_host(inbound) };
        match self.endpoint(inbound.path) {
            // In a box: the room that signing in needs isn't carried by every request.
            Ok(Some(endpoint)) => return Box::pin(self.answer(inbound, origin, endpoint)).await,
            Ok(None) => {}
            Err(refused) => return self.refuse_path(inbound, refused),
        }
        match self.routes.find(&origin.origin.host, inbound.path, &inbound.parts.method) {
            Ok(Found::Route(route)) => self.handle_route(inbound, origin, route).await,
            Ok(Found::MethodNotAllowed(allow)) => self.method_not_allowed(inbound, &allow),
            Ok(Found::Nothing) => self.refuse(inbound, Problem::NotFound),
            Err(refused) => self.refuse_path(inbound, refused),
        }
    }

    /// A Host outside our origins: only what is public for any host.
    fn handle_any_host(&self, inbound: &Inbound<'_>) -> Outcome {
        match self.routes.find_any_host(inbound.path, &inbound.parts.method) {
            Some(route) => Outcome::Forward(Box::new(Forward::public(route, None))),
            None => self.refuse(inbound, Problem::Misdirected),
        }
    }

    async fn handle_route(
        &self,
        inbound: &Inbound<'_>,
        origin: &Arc<ServedOrigin>,
        route: Arc<Route>,
    ) -> Outcome {
        let Auth::Session { provider, required } = &route.auth else {
            return Outcome::Forward(Box::new(Forward::public(route, Some(Arc::clone(origin)))));
        };
        let Some(sign_in) = origin.sign_in(provider) else {
            // The configuration was checked: every route's provider exists.
            return self.refuse(inbound, Problem::Internal);
        };
        if forward::is_foreign_websocket(inbound.parts, origin, &route) {
            return self.refuse(inbound, Problem::ForeignOrigin);
        }
        let why = match self.authenticate(&inbound.parts.headers, &sign_in.scope, route.idle_timeout).await {
            Authentication::Identified(live) => {
                let sign_in = Arc::clone(sign_in);
                return self.authorize(inbound, origin, sign_in, &route, live);
            }
            Authentication::Unknowable => return self.unknowable(inbound, Some(&route)),
            Authentication::Anonymous => "no_session",
            Authentication::Rejected(refusal) => refusal.as_str(),
        };
        match required {
            Required::Optional => {
                Outcome::Forward(Box::new(Forward::public(route, Some(Arc::clone(origin)))))
            }
            Required::Yes => {
                let previous = self.previous(&inbound.parts.headers, &sign_in.scope).await;
                self.challenge(inbound, sign_in, &route, why, previous)
            }
        }
    }

    fn authorize(
        &self,
        inbound: &Inbound<'_>,
        origin: &Arc<ServedOrigin>,
        sign_in: Arc<SignIn>,
        route: &Arc<Route>,
        live: Arc<Live>,
    ) -> Outcome {
        if let Verdict::Deny(rule) = route.require.evaluate(live.identity()) {
            return self.deny(inbound, route, Problem::Denied, rule);
        }
        match Forward::identified(Arc::clone(route), Arc::clone(origin), sign_in, live) {
            Ok(forward) => Outcome::Forward(Box::new(forward)),
            Err(Unsendable::TooLarge { .. }) => {
                self.deny(inbound, route, Problem::IdentityTooLarge, "identity_too_large")
            }
            Err(Unsendable::ClaimShape { claim }) => {
                tracing::warn!(route = %route.id, claim = claim.as_str(), "a claim has a shape that its header can't carry");
                self.deny(inbound, route, Problem::ClaimShape, "claim_shape")
            }
        }
    }

    fn refuse_path(&self, inbound: &Inbound<'_>, refused: Refused) -> Outcome {
        let problem = match refused {
            Refused::Malformed => Problem::MalformedPath,
            Refused::EncodedSlash => Problem::EncodedSlash,
            Refused::Ambiguous => Problem::AmbiguousPath,
        };
        self.refuse(inbound, problem)
    }

    /// Whether the edge must read this request's body for us.
    #[must_use]
    pub fn wants_body(&self, inbound: &Inbound<'_>) -> bool {
        inbound.parts.method == http::Method::POST
            && inbound.origin.is_some()
            && path::refuse_malformed(inbound.path).is_ok()
            && matches!(self.endpoint(inbound.path), Ok(Some(_)))
    }
}

/// The claims that some route of a provider maps or requires, by which `userinfo: when_missing`
/// decides.
#[must_use]
pub fn wanted_claims(
    routes: &[Arc<Route>],
    provider: &ProviderName,
    names: &ClaimNames,
) -> HashSet<ClaimPath> {
    let mut wanted = HashSet::new();
    let asks = |route: &&Arc<Route>| matches!(&route.auth, Auth::Session { provider: asked, .. } if asked == provider);
    for route in routes.iter().filter(asks) {
        for mapped in route.identity.iter().flat_map(|mapping| &mapping.headers) {
            wanted.insert(mapped.claim.clone());
        }
        for entry in &route.require.entries {
            if !entry.groups.is_empty() {
                wanted.insert(names.groups.clone());
            }
            if !entry.emails.is_empty() || !entry.domains.is_empty() {
                wanted.insert(names.email.clone());
                if let EmailVerified::Claim(claim) = &names.email_verified {
                    wanted.insert(claim.clone());
                }
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
