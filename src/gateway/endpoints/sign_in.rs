//! `/sign-in`: starts a login, or goes straight on where there is a session.

use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderValue, Method, StatusCode};

use super::super::challenge::retry_after;
use super::super::client_kind::nobody_is_looking;
use super::super::{Authentication, Gateway, Inbound, ServedOrigin};
use super::parameters::Parameters;
use crate::identity::ProviderName;
use crate::login::SignIn;
use crate::login::return_to::ReturnTo;
use crate::login::start::{self, Wish};
use crate::oidc::ResponseMode;
use crate::pages::{self, Asked, Page, Problem};
use crate::reply::Reply;
use crate::route::table::Found;
use crate::route::{Auth, Route};
use crate::session::cookie::{self, Presented};
use crate::telemetry::labels::LoginOutcome;

/// Which provider a sign-in is for.
enum Choice<'a> {
    With(&'a Arc<SignIn>),
    Ask,
    Unknown,
}

impl Gateway {
    /// Also the `initiate_login_uri` of a login that a third party starts
    /// ([OpenID Connect Core §4](https://openid.net/specs/openid-connect-core-1_0.html#ThirdPartyInitiatedLogin)).
    pub(super) async fn sign_in(&self, inbound: &Inbound<'_>, origin: &Arc<ServedOrigin>) -> Reply {
        let Ok(parameters) = Parameters::of(inbound) else {
            return self.problem(inbound.parts, inbound.request_id, Problem::BadRequest);
        };
        let target = parameters.one("return_to").or_else(|| parameters.one("target_link_uri"));
        let return_to = target
            .and_then(|text| ReturnTo::parse(text, &origin.origin, &self.own_paths()).ok())
            .unwrap_or_else(ReturnTo::root);
        let route = self.route_of(origin, &return_to);
        let sign_in = match choose(origin, &parameters) {
            Choice::With(sign_in) => sign_in,
            Choice::Unknown => return self.problem(inbound.parts, inbound.request_id, Problem::BadRequest),
            Choice::Ask if self.is_signed_in_for(inbound, origin, route.as_deref()).await => {
                return Reply::redirect(StatusCode::SEE_OTHER, return_to.location(), "already_signed_in");
            }
            Choice::Ask if nobody_is_looking(&inbound.parts.headers) => {
                return self.not_begun(inbound, None, &return_to);
            }
            Choice::Ask => {
                let providers: Vec<ProviderName> =
                    origin.sign_ins.iter().map(|sign_in| sign_in.scope.provider.clone()).collect();
                return self.show(inbound, &Page::Chooser(&providers, return_to.as_str()));
            }
        };
        let prompt = parameters.one("prompt").filter(|prompt| *prompt == "login");
        let login_hint = parameters.one("login_hint").filter(|hint| hint.len() <= 256);
        if leaves_its_session_behind(inbound, origin, sign_in) {
            let of = pages::SignIn::of(Some(&sign_in.scope.provider), Some(return_to.as_str()));
            let asked = pages::SignIn { prompt, login_hint, ..of };
            let address = self.pages.sign_in_address(asked);
            return Reply::redirect(StatusCode::SEE_OTHER, location(&address), "sign_in_bounced");
        }
        let found = inbound.redirect_status();
        let route = route.filter(|route| is_of(route, sign_in));
        // A session that the page's route would not take doesn't spare the sign-in.
        let idle = route.as_deref().and_then(|route| route.idle_timeout);
        if prompt.is_none() {
            match self.authenticate(&inbound.parts.headers, &sign_in.scope, idle).await {
                Authentication::Identified(_) => {
                    return Reply::redirect(StatusCode::SEE_OTHER, return_to.location(), "already_signed_in");
                }
                Authentication::Unknowable => {
                    return self.problem(inbound.parts, inbound.request_id, Problem::Unavailable);
                }
                Authentication::Anonymous | Authentication::Rejected(_) => {}
            }
        }
        let authorize = route.as_deref().map(|route| &route.authorize);
        let wish = Wish {
            return_to,
            login_hint,
            prompt,
            previous: self.previous(&inbound.parts.headers, &sign_in.scope).await,
            authorize: authorize.map_or(&[], Vec::as_slice),
        };
        self.start(inbound, origin, sign_in, &wish, found).await
    }

    /// Whether the browser has the session that the page's route asks for: then nobody has to choose.
    async fn is_signed_in_for(
        &self,
        inbound: &Inbound<'_>,
        origin: &ServedOrigin,
        route: Option<&Route>,
    ) -> bool {
        let Some(Auth::Session { provider, .. }) = route.map(|route| &route.auth) else { return false };
        let Some(sign_in) = origin.sign_in(provider) else { return false };
        let idle = route.and_then(|route| route.idle_timeout);
        let found = self.authenticate(&inbound.parts.headers, &sign_in.scope, idle).await;
        matches!(found, Authentication::Identified(_))
    }

    async fn start(
        &self,
        inbound: &Inbound<'_>,
        origin: &ServedOrigin,
        sign_in: &Arc<SignIn>,
        wish: &Wish<'_>,
        found: StatusCode,
    ) -> Reply {
        let headers = &inbound.parts.headers;
        if nobody_is_looking(headers) {
            return self.not_begun(inbound, Some(&sign_in.scope.provider), &wish.return_to);
        }
        let now = self.clock.now();
        if sign_in.provider.metadata().is_none() {
            // Only such a login costs the provider a call.
            let index = origin.sign_ins.iter().position(|known| Arc::ptr_eq(known, sign_in));
            let rate = index.and_then(|index| self.login_rates.get(index));
            if rate.is_some_and(|rate| rate.take(now).is_none()) {
                return self.problem(inbound.parts, inbound.request_id, Problem::TooManyRequests);
            }
        }
        let metadata = match sign_in.provider.ready().await {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::warn!(provider = %sign_in.scope.provider, %error, "a login can't start");
                let mut reply = self.problem(inbound.parts, inbound.request_id, Problem::Unavailable);
                if let Some(after) = error.retry_after() {
                    retry_after(&mut reply, after);
                }
                reply.reason = error.reason();
                return reply;
            }
        };
        match start::start(sign_in, &metadata, &self.keyring, headers, wish, now) {
            Ok(started) => {
                self.metrics.login(LoginOutcome::Started);
                Reply::redirect(found, started.location, "sign_in").cookies(started.cookies)
            }
            Err(_) => self.going_round(inbound, sign_in, &wish.return_to),
        }
    }

    /// Where nobody is looking, or the provider wouldn't show itself: a link that opens the whole window.
    fn not_begun(
        &self,
        inbound: &Inbound<'_>,
        provider: Option<&ProviderName>,
        return_to: &ReturnTo,
    ) -> Reply {
        let offer = pages::SignIn::of(provider, Some(return_to.as_str()));
        self.show(inbound, &Page::SignInRequired(Asked::InFrame, offer))
    }

    /// The route of the page that the login is for: it may add parameters and a shorter idle limit.
    fn route_of(&self, origin: &ServedOrigin, return_to: &ReturnTo) -> Option<Arc<Route>> {
        let path = return_to.as_str().split(['?', '#']).next()?;
        match self.routes.find(&origin.origin.host, path, &Method::GET) {
            Ok(Found::Route(route)) => Some(route),
            _ => None,
        }
    }
}

impl Inbound<'_> {
    /// 302 after GET; 303 after POST, so that the form isn't sent on.
    fn redirect_status(&self) -> StatusCode {
        if self.parts.method == Method::POST { StatusCode::SEE_OTHER } else { StatusCode::FOUND }
    }
}

fn is_of(route: &Route, sign_in: &SignIn) -> bool {
    matches!(&route.auth, Auth::Session { provider, .. } if *provider == sign_in.scope.provider)
}

/// Whether a form of another site asks for a login whose answer is posted, too: neither brings the session's
/// cookie, which is `Lax`, and the session of whoever was signed in before would live on. A GET of our own
/// brings it.
fn leaves_its_session_behind(inbound: &Inbound<'_>, origin: &ServedOrigin, sign_in: &SignIn) -> bool {
    let headers = &inbound.parts.headers;
    inbound.parts.method == Method::POST
        && sign_in.provider.config().response_mode == ResponseMode::FormPost
        && headers.get(ORIGIN).is_none_or(|from| from != origin.text.as_str())
        && cookie::presented(headers, &sign_in.scope) == Presented::Nothing
}

/// By `provider`, else by `iss`, else the only one; else the person is asked.
fn choose<'a>(origin: &'a ServedOrigin, parameters: &Parameters<'_>) -> Choice<'a> {
    let with = |found: Option<&'a Arc<SignIn>>| found.map_or(Choice::Unknown, Choice::With);
    if parameters.has("provider") {
        let name = parameters.one("provider").and_then(|name| ProviderName::parse(name).ok());
        let named = with(name.and_then(|name| origin.sign_in(&name)));
        return match named {
            // Two words on the same matter must agree.
            Choice::With(sign_in) if parameters.has("iss") && !is_issuer(sign_in, parameters) => {
                Choice::Unknown
            }
            other => other,
        };
    }
    if parameters.has("iss") {
        return with(origin.sign_ins.iter().find(|sign_in| is_issuer(sign_in, parameters)));
    }
    match origin.sign_ins.as_slice() {
        [only] => Choice::With(only),
        _ => Choice::Ask,
    }
}

fn is_issuer(sign_in: &SignIn, parameters: &Parameters<'_>) -> bool {
    parameters.one("iss") == Some(sign_in.provider.config().issuer.as_str())
}

/// A location that is known to be one.
pub(super) fn location(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("/"))
}
