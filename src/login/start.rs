//! The first redirect.

use http::{HeaderMap, HeaderValue};

use super::attempt::{Attempt, Previous, State};
use super::loop_guard::{self, GoingRound};
use super::{SignIn, return_to::ReturnTo};
use crate::clock::Timestamp;
use crate::oidc::authorization::{AuthorizationParams, code_challenge};
use crate::oidc::discovery::Metadata;
use crate::reply::OwedCookies;
use crate::seal::Keyring;

/// What the login is for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Where to go afterwards.
    pub return_to: ReturnTo,
    /// Whom the provider may expect.
    pub login_hint: Option<&'a str>,
    /// Whether the provider must ask again although it knows the person.
    pub prompt: Option<&'a str>,
    /// The session that the browser has with the provider.
    pub previous: Option<Previous>,
    /// Further parameters of the route, over the provider's.
    pub authorize: &'a [(String, String)],
}

/// A login under way. Not `Debug`: the location holds state and nonce.
pub struct Started {
    /// The authorization request.
    pub location: HeaderValue,
    /// The attempt's cookie, and what the limits clear.
    pub cookies: OwedCookies,
}

/// Starts a login. Needs no call to the provider.
///
/// # Errors
/// [`GoingRound`].
pub fn start(
    sign_in: &SignIn,
    metadata: &Metadata,
    keyring: &Keyring,
    headers: &HeaderMap,
    wish: &Wish<'_>,
    now: Timestamp,
) -> Result<Started, GoingRound> {
    let mut cookies = loop_guard::on_redirect(sign_in, keyring, headers, now)?;
    let attempt = Attempt::fresh(now, max_age(sign_in, wish), wish.previous.clone());
    let state = State {
        attempt: attempt.id.clone(),
        provider: sign_in.scope.provider.clone(),
        return_to: wish.return_to.clone(),
        at: now,
    }
    .seal(sign_in, keyring);
    let request = sign_in.provider.authorization_request(
        metadata,
        AuthorizationParams {
            redirect_uri: &sign_in.redirect_uri,
            state: &state,
            nonce: &attempt.nonce,
            code_challenge: &code_challenge(&attempt.code_verifier),
            login_hint: wish.login_hint,
            prompt: wish.prompt,
            extra: wish.authorize,
        },
    );
    cookies.extend(attempt.owe(sign_in, keyring, headers));
    // A URL is ASCII without control bytes, so it is always a header value.
    let location = HeaderValue::try_from(request.url).unwrap_or_else(|_| HeaderValue::from_static("/"));
    Ok(Started { location, cookies })
}

/// The `max_age` that the request will have: the route's, else the provider's.
fn max_age(sign_in: &SignIn, wish: &Wish<'_>) -> Option<u64> {
    let of = |parameters: &[(String, String)]| {
        parameters.iter().rev().find(|(name, _)| name == "max_age").and_then(|(_, value)| value.parse().ok())
    };
    of(wish.authorize).or_else(|| of(&sign_in.provider.config().authorize))
}
