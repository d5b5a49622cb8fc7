//! `/as/userinfo`
//! ([OpenID Connect Core 1.0 §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).

use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::{Map, json};

use super::answer::{self, Answer, OAuthError};
use super::endpoint::Inbound;
use super::environment::Environment;

/// Says who the access token is about.
pub(super) fn userinfo(environment: &Environment, inbound: &Inbound) -> Answer {
    match claims(environment, inbound) {
        Ok(claims) => answer::json(StatusCode::OK, &claims.into()),
        Err(error) => error.answer(),
    }
}

fn claims(
    environment: &Environment,
    inbound: &Inbound,
) -> Result<Map<String, serde_json::Value>, OAuthError> {
    let bearer = inbound.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((_, text)) = bearer
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    else {
        return Err(refused(
            StatusCode::UNAUTHORIZED,
            "invalid_request",
            "Bearer",
            "Access token is required",
        ));
    };
    let token = environment.tokens.access(text.trim(), environment.now()).ok_or_else(invalid_token)?;
    let subject = token.grant.subject.as_ref().ok_or_else(invalid_token)?;
    if !token.scope.has("openid") {
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"openid\"";
        return Err(refused(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            challenge,
            "Scope openid is required",
        ));
    }
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(subject.sub));
    claims.insert("env".to_owned(), json!(environment.options.environment));
    claims.insert("org".to_owned(), json!(environment.options.organization));
    claims.insert("p1.region".to_owned(), json!(environment.options.region.code()));
    if let Some(user) = environment.user(&subject.sub) {
        user.describe(&token.scope, environment.started_at, &mut claims);
    }
    Ok(claims)
}

fn invalid_token() -> OAuthError {
    let challenge = "Bearer error=\"invalid_token\"";
    refused(StatusCode::UNAUTHORIZED, "invalid_token", challenge, "The access token is invalid")
}

/// [RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3).
fn refused(
    status: StatusCode,
    error: &'static str,
    challenge: &'static str,
    description: &str,
) -> OAuthError {
    OAuthError { status, challenge: Some(challenge), ..OAuthError::new(error, description) }
}
