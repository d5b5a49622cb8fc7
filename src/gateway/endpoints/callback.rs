//! `/callback`: the authorization response.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::super::challenge::retry_after;
use super::super::{Authentication, Gateway, Inbound, ServedOrigin};
use super::parameters::Parameters;
use super::sign_in::location;
use crate::identity::ProviderName;
use crate::login::SignIn;
use crate::login::attempt::State;
use crate::login::callback::{Failed, Staleness};
use crate::login::return_to::ReturnTo;
use crate::oidc::{self, AuthorizationResponse, ResponseMode};
use crate::pages::{self, Page, Problem, SignInFailure, Stale};
use crate::reply::{OwedCookies, Reply};
use crate::session;
use crate::session::Live;
use crate::telemetry::labels::LoginOutcome;

impl Gateway {
    pub(super) async fn callback(
        &self,
        inbound: &Inbound<'_>,
        origin: &Arc<ServedOrigin>,
        provider: Option<&ProviderName>,
    ) -> Reply {
        let Some(sign_in) = callback_of(origin, provider) else {
            return self.problem(inbound.parts, inbound.request_id, Problem::NotFound);
        };
        let mode = sign_in.provider.config().response_mode;
        let Ok(parameters) = Parameters::of(inbound) else { return self.reject(inbound, "not_a_form") };
        let posted = inbound.parts.method == Method::POST;
        if (mode == ResponseMode::FormPost) != posted {
            let bounced = !posted && parameters.only("state");
            return match parameters.one("state").filter(|_| bounced) {
                Some(state) => self.bounced(inbound, origin, sign_in, state).await,
                None => self.reject(inbound, "response_mode"),
            };
        }
        let response = match AuthorizationResponse::parse(parameters.into_pairs()) {
            Ok(response) => response,
            Err(rejected) => return self.reject(inbound, rejected.reason()),
        };
        let own = self.own_paths();
        let Some(state) = State::open(response.state(), &origin.origin, &own, &self.keyring) else {
            return self.reject(inbound, "state_unknown");
        };
        if state.provider != sign_in.scope.provider {
            return self.reject(inbound, "provider_mismatch");
        }
        let previous = match self.authenticate(&inbound.parts.headers, &sign_in.scope, None).await {
            Authentication::Identified(live) => Some(live),
            Authentication::Anonymous | Authentication::Rejected(_) => None,
            Authentication::Unknowable => {
                return self.problem(inbound.parts, inbound.request_id, Problem::Unavailable);
            }
        };
        let headers = &inbound.parts.headers;
        let text = response.state().to_owned();
        match self.callbacks.finish(sign_in, response, state, headers, previous.clone()).await {
            // A form posted across sites came without the session's cookie. A GET of our own brings it.
            Err(Failed::Stale { .. }) if posted => {
                let state: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
                let back = location(&format!("{}?state={state}", inbound.path));
                Reply::redirect(StatusCode::SEE_OTHER, back, "callback_bounced")
            }
            Ok(signed_in) => {
                let location = signed_in.return_to.location();
                Reply::redirect(StatusCode::SEE_OTHER, location, "signed_in").cookies(signed_in.cookies)
            }
            Err(failed) => self.callback_failed(inbound, sign_in, failed, previous.as_deref()),
        }
    }

    /// What has become of a posted response whose attempt is gone: on with the session that another tab
    /// has made, or a page.
    async fn bounced(
        &self,
        inbound: &Inbound<'_>,
        origin: &ServedOrigin,
        sign_in: &SignIn,
        state: &str,
    ) -> Reply {
        let Some(state) = State::open(state, &origin.origin, &self.own_paths(), &self.keyring) else {
            return self.reject(inbound, "state_unknown");
        };
        if state.provider != sign_in.scope.provider {
            return self.reject(inbound, "provider_mismatch");
        }
        let why = if state.is_stale(self.clock.now()) { Staleness::Expired } else { Staleness::CookieGone };
        let failed = Failed::Stale { return_to: state.return_to, why };
        match self.authenticate(&inbound.parts.headers, &sign_in.scope, None).await {
            Authentication::Identified(live) => self.callback_failed(inbound, sign_in, failed, Some(&live)),
            Authentication::Unknowable => {
                self.problem(inbound.parts, inbound.request_id, Problem::Unavailable)
            }
            _ => self.callback_failed(inbound, sign_in, failed, None),
        }
    }

    /// A response that belongs to no login of ours: 400, and the page says nothing of why.
    fn reject(&self, inbound: &Inbound<'_>, reason: &'static str) -> Reply {
        self.metrics.login(LoginOutcome::Rejected);
        tracing::info!(request_id = inbound.request_id.as_str(), reason, "callback refused");
        let mut reply = self.problem(inbound.parts, inbound.request_id, Problem::BadRequest);
        reply.reason = reason;
        reply
    }

    fn callback_failed(
        &self,
        inbound: &Inbound<'_>,
        sign_in: &SignIn,
        failed: Failed,
        previous: Option<&Live>,
    ) -> Reply {
        let id = inbound.request_id;
        let again = |return_to: &ReturnTo| return_to.as_str().to_owned();
        match failed {
            Failed::Stale { return_to, .. } if previous.is_some() => {
                // Another tab has signed in: this one only has to go on.
                Reply::redirect(StatusCode::SEE_OTHER, return_to.location(), "already_signed_in")
            }
            Failed::Stale { return_to, why } => {
                self.metrics.login(LoginOutcome::Rejected);
                let stale = match why {
                    Staleness::Expired => Stale::Expired,
                    Staleness::CookieGone => Stale::CookieLost,
                    Staleness::Spent => Stale::UsedBefore,
                };
                let target = pages::SignIn::of(Some(&sign_in.scope.provider), Some(return_to.as_str()));
                self.show(inbound, &Page::SignInAgain(stale, target))
            }
            Failed::ProviderSaid { error, return_to, cookies } => {
                self.metrics.login(LoginOutcome::Failed);
                tracing::info!(request_id = id.as_str(), provider = %sign_in.scope.provider, error, "the provider refused a login");
                let target = again(&return_to);
                match error.as_str() {
                    // The provider says itself that it can't be asked now.
                    "temporarily_unavailable" | "server_error" => {
                        self.unavailable(inbound, cookies, "provider_unavailable")
                    }
                    "access_denied" | "login_required" | "interaction_required" | "consent_required" => self
                        .login_failed_page(inbound, sign_in, SignInFailure::Declined, Some(&error), &target)
                        .cookies(cookies),
                    _ => self
                        .login_failed_page(
                            inbound,
                            sign_in,
                            SignInFailure::ProviderError,
                            Some(&error),
                            &target,
                        )
                        .cookies(cookies),
                }
            }
            Failed::Oidc { error, return_to, cookies } => {
                let reason = error.reason();
                tracing::warn!(request_id = id.as_str(), provider = %sign_in.scope.provider, reason, %error, "a login failed");
                let outcome = match *error {
                    oidc::Error::ResponseRejected(_) => LoginOutcome::Rejected,
                    _ => LoginOutcome::Failed,
                };
                self.metrics.login(outcome);
                let target = again(&return_to);
                // The provider's fault: nobody can know who is asking, and trying again may help.
                let mut reply = match error.retry_after() {
                    Some(after) => {
                        let mut reply = self.unavailable(inbound, cookies, reason);
                        retry_after(&mut reply, after);
                        reply
                    }
                    None => self
                        .login_failed_page(inbound, sign_in, SignInFailure::Rejected, None, &target)
                        .cookies(cookies),
                };
                reply.reason = reason;
                reply
            }
            Failed::Store { error: session::Error::TooLarge { size, limit }, cookies } => {
                self.metrics.login(LoginOutcome::Failed);
                tracing::warn!(
                    request_id = id.as_str(),
                    size,
                    limit,
                    "a session doesn't fit its cookie; map fewer claims at the provider or use another store"
                );
                self.login_failed_page(inbound, sign_in, SignInFailure::SessionTooLarge, None, "/")
                    .cookies(cookies)
            }
            Failed::Store { error: session::Error::Unavailable, cookies } => {
                self.metrics.login(LoginOutcome::Failed);
                self.unavailable(inbound, cookies, "session_store")
            }
        }
    }

    fn login_failed_page(
        &self,
        inbound: &Inbound<'_>,
        sign_in: &SignIn,
        failure: SignInFailure,
        code: Option<&str>,
        return_to: &str,
    ) -> Reply {
        let offer = pages::SignIn::of(Some(&sign_in.scope.provider), Some(return_to));
        self.show(inbound, &Page::SignInFailed(failure, code, offer))
    }

    fn unavailable(&self, inbound: &Inbound<'_>, cookies: OwedCookies, reason: &'static str) -> Reply {
        let mut reply =
            self.problem(inbound.parts, inbound.request_id, Problem::Unavailable).cookies(cookies);
        reply.reason = reason;
        reply
    }
}

/// The sign-in whose callback this path is. Several providers: each has its own path. One: the plain
/// path alone.
fn callback_of<'a>(origin: &'a ServedOrigin, provider: Option<&ProviderName>) -> Option<&'a Arc<SignIn>> {
    match (origin.sign_ins.as_slice(), provider) {
        ([only], None) => Some(only),
        ([_], Some(_)) | (_, None) => None,
        (_, Some(name)) => origin.sign_in(name),
    }
}
