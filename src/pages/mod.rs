//! What people see: sign-in chooser, errors, sign-out. Escaped, with a policy that allows no script.
//!
//! Every sentence is fixed. What comes from outside (a path to return to, an error code) appears only
//! where a page needs it, bounded and escaped; what a provider says in words is never shown. Every
//! page names the request's id, by which an operator finds it in the log.

mod json;
mod problem;
mod render;
mod sign_in;

pub use json::problem_json;
pub use problem::Problem;
pub use sign_in::{Asked, SignIn, SignInFailure, Stale};

use http::StatusCode;
use minijinja::{Value, context};

use crate::identity::ProviderName;
use crate::reply::Reply;
use crate::telemetry::RequestId;
use render::{Head, Kind, Renderer};

/// `pages`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `support`: where a page sends people who are stuck.
    pub support: Option<url::Url>,
}

/// Why pages can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template is broken.
    #[error("read a page template: {0}")]
    Template(#[from] minijinja::Error),
    /// A policy that is no header value.
    #[error("write the pages' content security policy: {0}")]
    Policy(#[from] http::header::InvalidHeaderValue),
    /// A support address that a browser would run or not understand.
    #[error("link to pages.support: an address begins with https:, http: or mailto:, not {0}:")]
    Support(String),
}

/// The pages of one configuration.
#[derive(Debug)]
pub struct Pages {
    renderer: Renderer,
    prefix: String,
    support: Option<String>,
}

impl Pages {
    /// Reads the templates. `prefix` is `endpoints.prefix`, without a trailing slash.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(config: &Config, prefix: &str) -> Result<Self, Error> {
        if let Some(support) = &config.support
            && !matches!(support.scheme(), "https" | "http" | "mailto")
        {
            return Err(Error::Support(support.scheme().to_owned()));
        }
        Ok(Self {
            renderer: Renderer::new()?,
            prefix: prefix.to_owned(),
            support: config.support.as_ref().map(url::Url::to_string),
        })
    }

    /// Path and query that begin a sign-in.
    #[must_use]
    pub fn sign_in_address(&self, sign_in: SignIn<'_>) -> String {
        sign_in.address(&self.prefix)
    }

    /// A problem. For 405 the caller adds `Allow`; for 431, cookies that clear ours.
    #[must_use]
    pub fn error(&self, problem: Problem, request_id: &RequestId) -> Reply {
        let sign_out = problem.is_about_the_account().then(|| format!("{}/sign-out", self.prefix));
        let head = Head {
            kind: Kind::Still,
            status: problem.status(),
            reason: problem.reason(),
            title: problem.title(),
            sentence: problem.sentence(),
            retry_after: problem.retry_after(),
        };
        self.page("error.html", head, request_id, context! { sign_out })
    }

    /// 401 for a browser that can't be redirected. The link opens the top window.
    #[must_use]
    pub fn sign_in_required(&self, asked: Asked, sign_in: SignIn<'_>, request_id: &RequestId) -> Reply {
        let head = Head {
            kind: match asked {
                Asked::InFrame => Kind::Framed,
                Asked::WithBody => Kind::Still,
            },
            status: StatusCode::UNAUTHORIZED,
            reason: Problem::SignInRequired.reason(),
            title: Problem::SignInRequired.title(),
            sentence: asked.sentence(),
            retry_after: None,
        };
        self.offer("sign_in_required.html", head, sign_in, request_id)
    }

    /// 400 for a callback that comes too late, too often or to the wrong browser: one button that
    /// begins again for the same page. Nothing restarts by itself.
    #[must_use]
    pub fn sign_in_again(&self, stale: Stale, sign_in: SignIn<'_>, request_id: &RequestId) -> Reply {
        let head = still(StatusCode::BAD_REQUEST, stale.reason(), stale.title(), stale.sentence());
        self.offer("sign_in_again.html", head, sign_in, request_id)
    }

    /// A login that failed for good. `code` is the provider's `error`
    /// ([RFC 6749 §4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)), shown if it
    /// looks like a code; its description never is.
    #[must_use]
    pub fn sign_in_failed(
        &self,
        failure: SignInFailure,
        code: Option<&str>,
        sign_in: SignIn<'_>,
        request_id: &RequestId,
    ) -> Reply {
        let head = still(failure.status(), failure.reason(), failure.title(), failure.sentence());
        let code = code.and_then(sign_in::error_code);
        let content = context! { sign_in => self.sign_in_address(sign_in), code };
        self.page("sign_in_failed.html", head, request_id, content)
    }

    /// 400 when the loop guard has stopped a browser; names what usually is behind it.
    #[must_use]
    pub fn login_loop(&self, sign_in: SignIn<'_>, request_id: &RequestId) -> Reply {
        let sentence = "You were signed in several times in a row, and each time the service didn't see it. So we stopped.";
        let head = still(StatusCode::BAD_REQUEST, "login_loop", "Signing in goes round in circles", sentence);
        self.offer("login_loop.html", head, sign_in, request_id)
    }

    /// The choice between several providers.
    #[must_use]
    pub fn chooser(
        &self,
        providers: &[ProviderName],
        return_to: Option<&str>,
        request_id: &RequestId,
    ) -> Reply {
        let head = still(StatusCode::OK, "chooser", "Sign in to continue", "Choose how you want to sign in.");
        let choice = |provider: &ProviderName| {
            let sign_in = SignIn { provider: Some(provider), return_to };
            context! { name => provider.as_str(), sign_in => self.sign_in_address(sign_in) }
        };
        let choices: Vec<Value> = providers.iter().map(choice).collect();
        self.page("chooser.html", head, request_id, context! { choices })
    }

    /// One button that signs out by POST; shown to a GET that may come from another site.
    #[must_use]
    pub fn sign_out_confirm(&self, return_to: Option<&str>, request_id: &RequestId) -> Reply {
        let sentence = "You will have to sign in again to go on working.";
        let head = Head { kind: Kind::Form, ..still(StatusCode::OK, "sign_out_page", "Sign out?", sentence) };
        let action = format!("{}/sign-out", self.prefix);
        self.page("sign_out.html", head, request_id, context! { action, return_to })
    }

    /// The end of a sign-out. `continue_to` is a path of this origin; anything else is left out.
    #[must_use]
    pub fn signed_out(&self, continue_to: Option<&str>, request_id: &RequestId) -> Reply {
        let sentence = "To be safe on a shared device, close the browser as well.";
        let head = still(StatusCode::OK, "signed_out", "You are signed out", sentence);
        let continue_to = continue_to.filter(|path| is_local(path));
        self.page("signed_out.html", head, request_id, context! { continue_to })
    }

    fn offer(&self, template: &str, head: Head, sign_in: SignIn<'_>, request_id: &RequestId) -> Reply {
        self.page(template, head, request_id, context! { sign_in => self.sign_in_address(sign_in) })
    }

    fn page(&self, template: &str, head: Head, request_id: &RequestId, content: Value) -> Reply {
        let content =
            context! { request_id => request_id.as_str(), support => self.support.as_deref(), ..content };
        self.renderer.page(template, head, content)
    }
}

const fn still(
    status: StatusCode,
    reason: &'static str,
    title: &'static str,
    sentence: &'static str,
) -> Head {
    Head { kind: Kind::Still, status, reason, title, sentence, retry_after: None }
}

/// Whether a browser stays on this origin. The gateway has parsed the target long before; this only
/// keeps a mistake there from becoming a link to elsewhere.
fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.bytes().any(|b| b == b'\\' || b.is_ascii_control())
}

#[cfg(test)]
mod tests;
