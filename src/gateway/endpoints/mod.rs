//! Own endpoints: one table of paths and methods, one handler each. Everything else under the
//! prefix is our 404.

mod callback;
mod parameters;
mod session;
mod sign_in;
mod sign_out;

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::{Answer, Gateway, Inbound, Outcome, ServedOrigin};
use crate::identity::ProviderName;
use crate::pages::Problem;
use crate::reply::Reply;
use crate::route::path::{self, Refused, readings};
use crate::telemetry::labels::{Decision, Refusal};

/// What an own path is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    SignIn,
    /// With several providers each has a path of its own, so that a response can't be taken for
    /// another provider's ([RFC 9700 §4.4.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.4.2)).
    Callback(Option<ProviderName>),
    SignOut,
    SignedOut,
    Session,
    Unknown,
}

impl Endpoint {
    /// Its path under the prefix, as the documentation has it.
    const fn name(&self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Callback(_) => "callback",
            Self::SignOut => "sign-out",
            Self::SignedOut => "signed-out",
            Self::Session => "session",
            Self::Unknown => "nothing",
        }
    }

    /// The methods it takes.
    const fn methods(&self) -> &'static [Method] {
        match self {
            Self::SignIn | Self::Callback(_) | Self::SignOut => &[Method::GET, Method::POST],
            Self::SignedOut | Self::Session => &[Method::GET, Method::HEAD],
            Self::Unknown => &[],
        }
    }
}

impl Gateway {
    /// The name of the own endpoint at a path that is one of ours, without asking it anything.
    #[must_use]
    pub fn own_endpoint(&self, path: &str) -> Option<&'static str> {
        path::refuse_malformed(path).ok()?;
        Some(self.endpoint(path).ok()??.name())
    }

    /// The own endpoint that a path names, if it is one of ours.
    ///
    /// # Errors
    /// When the path is ours in one reading and not in another.
    pub(super) fn endpoint(&self, path: &str) -> Result<Option<Endpoint>, Refused> {
        if let Some(callback) = self.callback_endpoint(path) {
            return Ok(Some(callback));
        }
        // Another spelling of the callback must reach no service: it carries a code.
        if readings(path).skip(1).any(|reading| self.callback_endpoint(&reading).is_some()) {
            return Err(Refused::Ambiguous);
        }
        if !self.routes.owns(path)? {
            return Ok(None);
        }
        let endpoint = match path.strip_prefix(self.paths.prefix.as_str()).unwrap_or_default() {
            "/sign-in" => Endpoint::SignIn,
            "/sign-out" => Endpoint::SignOut,
            "/signed-out" => Endpoint::SignedOut,
            "/session" => Endpoint::Session,
            _ => Endpoint::Unknown,
        };
        Ok(Some(endpoint))
    }

    fn callback_endpoint(&self, path: &str) -> Option<Endpoint> {
        let rest = path.strip_prefix(self.paths.callback.as_str())?;
        if rest.is_empty() {
            return Some(Endpoint::Callback(None));
        }
        // With a callback of the operator's choice, other deeper paths may be a route's.
        let provider = ProviderName::parse(rest.strip_prefix('/')?).ok()?;
        let has_its_own = self
            .origins
            .iter()
            .any(|origin| origin.sign_ins.len() > 1 && origin.sign_in(&provider).is_some());
        has_its_own.then_some(Endpoint::Callback(Some(provider)))
    }

    pub(super) async fn answer(
        &self,
        inbound: &Inbound<'_>,
        origin: &Arc<ServedOrigin>,
        endpoint: Endpoint,
    ) -> Outcome {
        let method = &inbound.parts.method;
        if endpoint == Endpoint::Unknown {
            return self.refuse(inbound, Problem::NotFound);
        }
        if !endpoint.methods().contains(method) {
            return self.method_not_allowed(inbound, endpoint.methods());
        }
        let reply = match endpoint {
            Endpoint::SignIn => self.sign_in(inbound, origin).await,
            Endpoint::Callback(provider) => self.callback(inbound, origin, provider.as_ref()).await,
            Endpoint::SignOut => self.sign_out(inbound, origin).await,
            Endpoint::SignedOut => self.signed_out(inbound, origin),
            Endpoint::Session => self.session(inbound, origin).await,
            Endpoint::Unknown => return self.refuse(inbound, Problem::NotFound),
        };
        Outcome::Reply(Box::new(self.answered(reply)))
    }

    fn answered(&self, mut reply: Reply) -> Answer {
        // None of ours is ever cached.
        reply.headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let decision = match reply.status.as_u16() {
            500.. => Decision::Failed,
            401 => Decision::Challenged,
            400..=499 => {
                self.metrics.refused(Refusal::of_reason(reply.reason));
                Decision::Refused
            }
            _ => Decision::Answered,
        };
        Answer { reply, decision, route: None }
    }
}
