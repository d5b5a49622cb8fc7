//! `/as/token`: codes, refresh tokens and client credentials for tokens.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, json};

use super::addresses::Shape;
use super::answer::{self, Answer, OAuthError};
use super::client::{Client, GrantType, OfflineAccess, ReplayProtection};
use super::client_auth;
use super::endpoint::Inbound;
use super::environment::Environment;
use super::grants::{Grant, RefreshToken, Use};
use super::mint::{self, IdTokenFor};
use super::scope::Scope;
use crate::clock::Timestamp;

/// Answers a token request.
pub(super) fn token(environment: &Environment, inbound: &Inbound) -> Answer {
    match exchange(environment, inbound) {
        Ok(answer) => answer,
        Err(error) => error.answer(),
    }
}

fn exchange(environment: &Environment, inbound: &Inbound) -> Result<Answer, OAuthError> {
    let client = client_auth::authenticate(environment, inbound)?;
    let grant_type = match inbound.parameters.get("grant_type") {
        Some("authorization_code") => GrantType::AuthorizationCode,
        Some("refresh_token") => GrantType::RefreshToken,
        Some("client_credentials") => GrantType::ClientCredentials,
        Some(_) => return Err(OAuthError::new("unsupported_grant_type", "Grant type is not supported")),
        None => return Err(OAuthError::new("invalid_request", "grant_type is required")),
    };
    if !client.allows(grant_type) {
        return Err(OAuthError::new("unauthorized_client", "Grant type is not allowed"));
    }
    let issue = match grant_type {
        GrantType::AuthorizationCode => by_code(environment, client, inbound)?,
        GrantType::RefreshToken => by_refresh_token(environment, client, inbound)?,
        GrantType::ClientCredentials => by_client_credentials(environment, client, inbound)?,
    };
    issue.answer(environment, client, inbound.shape)
}

/// What a token request was found to be worth.
struct Issue {
    grant: Arc<Grant>,
    scope: Scope,
    nonce: Option<String>,
    /// The refresh token that is replaced.
    previous: Option<Arc<RefreshToken>>,
    now: Timestamp,
}

fn invalid_grant(description: &str) -> OAuthError {
    OAuthError::new("invalid_grant", description)
}

/// [RFC 6749 §4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3).
fn by_code(environment: &Environment, client: &Client, inbound: &Inbound) -> Result<Issue, OAuthError> {
    let now = environment.now();
    let parameters = &inbound.parameters;
    let code =
        parameters.get("code").ok_or_else(|| OAuthError::new("invalid_request", "code is required"))?;
    let code = environment
        .codes
        .spend(code, &client.id, now)
        .ok_or_else(|| invalid_grant("The code is invalid, expired or was used before"))?;
    // A code presented with a wrong proof may be stolen; it stays spent.
    if parameters.get("redirect_uri") != Some(&code.redirect_uri) {
        return Err(invalid_grant("redirect_uri is not that of the authorization request"));
    }
    match (&code.challenge, parameters.get("code_verifier")) {
        (None, None) => {}
        (Some(challenge), Some(verifier)) if challenge.is_answered_by(verifier) => {}
        // RFC 9700 §2.1.1: a verifier without a challenge hints at a downgrade.
        _ => return Err(invalid_grant("code_verifier does not match code_challenge")),
    }
    let (grant, nonce) = (Arc::clone(&code.grant), code.nonce.clone());
    Ok(Issue { scope: grant.scope.clone(), grant, nonce, previous: None, now })
}

/// [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6), with PingOne's rotation.
fn by_refresh_token(
    environment: &Environment,
    client: &Client,
    inbound: &Inbound,
) -> Result<Issue, OAuthError> {
    let refused = || invalid_grant("The refresh token is invalid, expired or revoked");
    let now = environment.now();
    let text = inbound
        .parameters
        .get("refresh_token")
        .ok_or_else(|| OAuthError::new("invalid_request", "refresh_token is required"))?;
    let token = environment
        .tokens
        .refresh(text)
        .filter(|token| token.grant.client_id == client.id && token.is_live(now))
        .ok_or_else(refused)?;
    // A refresh token dies with its session.
    let sid = token.grant.subject.as_ref().map(|subject| subject.sid.as_str());
    if sid.is_some_and(|sid| environment.sessions.by_sid(sid, now).is_none()) {
        return Err(refused());
    }
    let scope = match inbound.parameters.get("scope").map(Scope::parse) {
        None => token.grant.scope.clone(),
        Some(narrower) if narrower.is_within(&token.grant.scope) => narrower,
        Some(_) => return Err(OAuthError::new("invalid_scope", "The scope exceeds what was granted")),
    };
    if token.present(client.refresh.grace_period, now) == Use::Replay {
        if client.refresh.replay_protection == ReplayProtection::On {
            token.revoke();
        }
        return Err(refused());
    }
    // OpenID Connect Core 1.0 §12.2: an ID token from a refresh should have no nonce.
    Ok(Issue { grant: Arc::clone(&token.grant), scope, nonce: None, previous: Some(token), now })
}

/// [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4): scopes of PingOne's API or of
/// custom resources, never those of OpenID, since there is no user.
fn by_client_credentials(
    environment: &Environment,
    client: &Client,
    inbound: &Inbound,
) -> Result<Issue, OAuthError> {
    let asked = Scope::parse(inbound.parameters.get("scope").unwrap_or_default());
    let scope = asked
        .granted(&environment.options, client)
        .filter(|scope| !scope.is_about_a_user())
        .ok_or_else(|| OAuthError::new("invalid_scope", "At least one scope is not allowed"))?;
    let now = environment.now();
    let grant = Arc::new(Grant::new(&client.id, None, scope.clone(), now));
    Ok(Issue { grant, scope, nonce: None, previous: None, now })
}

impl Issue {
    /// [RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1).
    fn answer(self, environment: &Environment, client: &Client, shape: Shape) -> Result<Answer, OAuthError> {
        let Self { grant, scope, nonce, previous, now } = self;
        let failed = |_| OAuthError::server();
        let access_token =
            mint::access_token(environment, shape, &grant, scope.clone(), now).map_err(failed)?;
        let mut body = Map::new();
        body.insert("access_token".to_owned(), json!(access_token));
        body.insert("token_type".to_owned(), json!("Bearer"));
        body.insert("expires_in".to_owned(), json!(environment.options.access_token_lifetime.as_secs()));
        if wants_refresh_token(client, &grant) {
            let times = (now, refresh_expiry(client, &grant, now));
            let text = environment.tokens.issue_refresh(&grant, previous.as_deref(), times);
            body.insert("refresh_token".to_owned(), json!(text));
        }
        if !scope.is_empty() {
            body.insert("scope".to_owned(), json!(scope.to_string()));
        }
        if let Some(subject) = grant.subject.as_ref().filter(|_| scope.has("openid")) {
            let about = IdTokenFor {
                client_id: &client.id,
                scope: &scope,
                nonce: nonce.as_deref(),
                access_token: &access_token,
            };
            let id_token = mint::id_token(environment, shape, subject, about, now).map_err(failed)?;
            body.insert("id_token".to_owned(), json!(id_token));
        }
        Ok(answer::json(StatusCode::OK, &body.into()))
    }
}

/// With `offline_access` in the application's grant a refresh token comes when asked for; without,
/// always.
fn wants_refresh_token(client: &Client, grant: &Grant) -> bool {
    let asked = match client.offline_access {
        OfflineAccess::Granted => grant.scope.has("offline_access"),
        OfflineAccess::NotGranted => true,
    };
    client.allows(GrantType::RefreshToken) && grant.subject.is_some() && asked
}

fn refresh_expiry(client: &Client, grant: &Grant, now: Timestamp) -> Timestamp {
    let own = now.plus(client.refresh.duration);
    match client.refresh.rolling_duration {
        Some(rolling) => own.min(grant.given_at.plus(rolling)),
        None => own,
    }
}
