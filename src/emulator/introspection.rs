//! `/as/introspect` ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): the core claims alone.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer, OAuthError};
use super::client_auth::{self, Caller};
use super::endpoint::Inbound;
use super::environment::Environment;
use super::grants::{AccessToken, Grant, RefreshToken};
use crate::clock::Timestamp;

/// Says whether a token is good, and for what.
pub(super) fn introspect(environment: &Environment, inbound: &Inbound) -> Answer {
    match describe(environment, inbound) {
        Ok(description) => answer::json(StatusCode::OK, &description),
        Err(error) => error.answer(),
    }
}

fn describe(environment: &Environment, inbound: &Inbound) -> Result<Value, OAuthError> {
    let caller = client_auth::authenticate_introspector(environment, inbound)?;
    let text = inbound
        .parameters
        .get("token")
        .ok_or_else(|| OAuthError::new("invalid_request", "token is required"))?;
    let now = environment.now();
    if let Some(token) = environment.tokens.access(text, now).filter(|token| caller.may_see(token)) {
        return Ok(access(environment, &token));
    }
    let refresh = environment.tokens.refresh(text).filter(|token| caller.owns(token));
    if let Some(token) = refresh.filter(|token| is_usable(environment, token, now)) {
        return Ok(refresh_token(environment, &token));
    }
    // RFC 7662 §2.2: nothing else is said of what is unknown, dead or another's.
    Ok(json!({ "active": false }))
}

impl Caller<'_> {
    /// An access token is shown to its client and to the resources it is for.
    fn may_see(self, token: &AccessToken) -> bool {
        match self {
            Self::Client(client) => token.grant.client_id == client.id,
            Self::Resource(resource) => token.audiences.contains(&resource.audience),
        }
    }

    /// A refresh token is shown to its client.
    fn owns(self, token: &RefreshToken) -> bool {
        matches!(self, Self::Client(client) if token.grant.client_id == client.id)
    }
}

fn is_usable(environment: &Environment, token: &RefreshToken, now: Timestamp) -> bool {
    let sid = token.grant.subject.as_ref().map(|subject| subject.sid.as_str());
    token.is_current(now) && sid.is_none_or(|sid| environment.sessions.by_sid(sid, now).is_some())
}

fn access(environment: &Environment, token: &AccessToken) -> Value {
    let mut claims = active(environment, &token.grant);
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("scope", json!(token.scope.to_string()));
    add("token_type", json!("Bearer"));
    add("exp", json!(token.expires_at.as_secs()));
    add("iat", json!(token.issued_at.as_secs()));
    add("aud", json!(token.audiences));
    add("iss", json!(token.issuer));
    claims.into()
}

fn refresh_token(environment: &Environment, token: &RefreshToken) -> Value {
    let mut claims = active(environment, &token.grant);
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("scope", json!(token.grant.scope.to_string()));
    add("exp", json!(token.expires_at.as_secs()));
    add("iat", json!(token.issued_at.as_secs()));
    claims.into()
}

fn active(environment: &Environment, grant: &Grant) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("active".to_owned(), json!(true));
    claims.insert("client_id".to_owned(), json!(grant.client_id));
    if let Some(subject) = &grant.subject {
        claims.insert("sub".to_owned(), json!(subject.sub));
        if let Some(user) = environment.user(&subject.sub) {
            claims.insert("username".to_owned(), json!(user.username));
        }
    }
    claims
}
