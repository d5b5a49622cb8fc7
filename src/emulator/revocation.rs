//! `/as/revoke` ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)), with PingOne's limits: tokens for
//! PingOne's own API stay good, since that API never introspects, and so do those without a session.

use http::StatusCode;

use super::answer::{self, Answer, OAuthError};
use super::client_auth;
use super::endpoint::Inbound;
use super::environment::Environment;
use super::grants::Grant;

/// Revokes a token where it can be. The answer is 200 either way
/// ([RFC 7009 §2.2](https://www.rfc-editor.org/rfc/rfc7009#section-2.2)).
pub(super) fn revoke(environment: &Environment, inbound: &Inbound) -> Answer {
    match withdraw(environment, inbound) {
        Ok(()) => answer::empty(StatusCode::OK),
        Err(error) => error.answer(),
    }
}

fn withdraw(environment: &Environment, inbound: &Inbound) -> Result<(), OAuthError> {
    let client = client_auth::authenticate(environment, inbound)?;
    let text = inbound
        .parameters
        .get("token")
        .ok_or_else(|| OAuthError::new("invalid_request", "token is required"))?;
    let revocable = |grant: &Grant, audiences: &[String]| {
        let for_pingone = audiences.contains(&environment.options.region.api_audience());
        grant.client_id == client.id && grant.subject.is_some() && !for_pingone
    };
    if let Some(token) = environment.tokens.access(text, environment.now())
        && revocable(&token.grant, &token.audiences)
    {
        token.revoke();
    }
    if let Some(token) = environment.tokens.refresh(text)
        && revocable(&token.grant, &token.grant.scope.audiences(&environment.options))
    {
        token.revoke();
    }
    Ok(())
}
