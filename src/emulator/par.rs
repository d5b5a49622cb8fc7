//! `/as/par`: pushed authorization requests
//! ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use moka::sync::Cache;
use serde_json::json;

use super::answer::{self, Answer, OAuthError};
use super::authorization_request::{AuthorizationRequest, Channel, Rejection};
use super::client_auth;
use super::endpoint::Inbound;
use super::environment::Environment;
use super::store::bounded;
use super::uuid;
use crate::clock::Timestamp;

/// How every `request_uri` starts.
pub(super) const URN: &str = "urn:ietf:params:oauth:request_uri:";
/// `parTimeout`.
const LIFETIME: Duration = Duration::from_mins(1);

/// Requests that wait to be used.
pub(super) struct PushedRequests(Cache<String, Arc<Pushed>>);

#[derive(Debug)]
struct Pushed {
    request: AuthorizationRequest,
    expires_at: Timestamp,
}

impl PushedRequests {
    pub(super) fn new() -> Self {
        // Twice as long as a request lives by the emulator's clock, which decides.
        Self(bounded(10_000, LIFETIME * 2))
    }

    fn keep(&self, request: AuthorizationRequest, now: Timestamp) -> String {
        let request_uri = format!("{URN}{}", uuid::random());
        self.0.insert(request_uri.clone(), Arc::new(Pushed { request, expires_at: now.plus(LIFETIME) }));
        request_uri
    }

    /// Takes the client's request out: it is used once. Another client's stays.
    pub(super) fn take(
        &self,
        request_uri: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Option<AuthorizationRequest> {
        self.0.get(request_uri).filter(|pushed| pushed.request.client_id == client_id)?;
        let pushed = self.0.remove(request_uri)?;
        (now < pushed.expires_at).then(|| pushed.request.clone())
    }
}

/// Keeps a request and answers with its `request_uri`.
pub(super) fn push(environment: &Environment, inbound: &Inbound) -> Answer {
    match accept(environment, inbound) {
        Ok(answer) => answer,
        Err(error) => error.answer(),
    }
}

fn accept(environment: &Environment, inbound: &Inbound) -> Result<Answer, OAuthError> {
    let client = client_auth::authenticate(environment, inbound)?;
    // RFC 9126 §2.1: a request can't be pushed by reference.
    if inbound.parameters.get("request_uri").is_some() {
        return Err(OAuthError::new("invalid_request", "request_uri is not allowed here"));
    }
    let mut parameters = inbound.parameters.clone();
    // A client that authenticates by header may leave it out of the form.
    parameters.set("client_id", &client.id);
    let request = AuthorizationRequest::read(&environment.options, &parameters, Channel::Pushed).map_err(
        |rejection| match rejection {
            Rejection::PiFlow => {
                OAuthError::new("invalid_request", "response_mode=pi.flow is not supported by the emulator")
            }
            Rejection::Untrusted { message, .. } => OAuthError::new("invalid_request", message),
            Rejection::Returned { error, description, .. } => OAuthError::new(error, description),
        },
    )?;
    let request_uri = environment.pushed.keep(request, environment.now());
    let body = json!({ "request_uri": request_uri, "expires_in": LIFETIME.as_secs() });
    Ok(answer::json(StatusCode::CREATED, &body))
}
