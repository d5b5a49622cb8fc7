//! Signing in: one attempt from the first redirect to a session.
//!
//! A login lives in one sealed cookie per attempt and in the `state` parameter, which is sealed
//! too: a callback whose cookie is gone still knows the page it was for. S256 PKCE, state and nonce
//! always. Nothing here restarts a login by itself.

pub mod attempt;
pub mod callback;
pub mod loop_guard;
pub mod rate;
pub mod return_to;
pub mod sign_out;
pub mod start;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cookie::SameSite;

use crate::oidc::ResponseMode;
use crate::oidc::provider::Provider;
use crate::reply::SetCookie;
use crate::route::origin::Origin;
use crate::session::{self, Scope};

/// Where people sign in: one provider at one origin.
#[derive(Debug)]
pub struct SignIn {
    /// The origin.
    pub origin: Origin,
    /// The session that a login there makes.
    pub scope: Scope,
    /// The provider.
    pub provider: Arc<Provider>,
    /// Where the authorization response comes back to, built from the origin alone.
    pub redirect_uri: String,
    /// What login cookies are named before their id: `__Host-vestibule-login-`.
    pub cookie_prefix: String,
    /// The loop guard's cookie.
    pub loop_cookie: String,
}

impl SignIn {
    /// The place for `provider` at `origin`, with its callback at `callback_path`.
    #[must_use]
    pub fn new(
        origin: &Origin,
        scope: Scope,
        provider: Arc<Provider>,
        callback_path: &str,
        cookie_name: &str,
    ) -> Self {
        let prefix = session::prefix(scope.transport);
        Self {
            redirect_uri: format!("{origin}{callback_path}"),
            cookie_prefix: format!("{prefix}{cookie_name}-login-"),
            // A dot can't stand in a provider's name, so no session cookie has this one.
            loop_cookie: format!("{prefix}{cookie_name}.loop"),
            origin: origin.clone(),
            scope,
            provider,
        }
    }

    /// Whether the authorization response is a form that another site posts.
    #[must_use]
    pub fn is_answered_across_sites(&self) -> bool {
        self.provider.config().response_mode == ResponseMode::FormPost
    }

    /// What a login needs comes back with the authorization response. Where that crosses sites a Lax cookie
    /// stays behind.
    fn login_same_site(&self) -> SameSite {
        if self.is_answered_across_sites() { SameSite::None } else { SameSite::Lax }
    }

    fn set_login_cookie(&self, name: &str, value: &str) -> SetCookie {
        SetCookie::new(name, value, self.scope.transport, self.login_same_site())
            .max_age(attempt::LIFETIME.as_secs())
            .partitioned(self.scope.partitioned)
    }

    fn clear_login_cookie(&self, name: &str) -> SetCookie {
        SetCookie::clear(name, self.scope.transport, self.login_same_site())
            .partitioned(self.scope.partitioned)
    }

    /// What takes a cookie of this name, which must be one of ours here, from the browser.
    #[must_use]
    pub fn clear_cookie(&self, name: &str) -> SetCookie {
        if session::cookie::is_own(name, &self.scope) {
            return session::cookie::clearing(&self.scope, name);
        }
        self.clear_login_cookie(name)
    }

    /// Whether a cookie of this name is one of ours here.
    #[must_use]
    pub fn owns_cookie(&self, name: &str) -> bool {
        name.starts_with(&self.cookie_prefix)
            || name == self.loop_cookie
            || session::cookie::is_own(name, &self.scope)
    }
}
