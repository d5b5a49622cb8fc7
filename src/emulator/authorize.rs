//! `/as/authorize` and `/as/resume`: from an application's request to its answer.

use http::StatusCode;
use url::form_urlencoded;

use super::addresses::Shape;
use super::answer::{self, Answer, PlatformError};
use super::authorization_request::{AuthorizationRequest, Channel, Prompt, Rejection};
use super::endpoint::Inbound;
use super::environment::Environment;
use super::grants::{Grant, Subject};
use super::par;
use super::sessions::{Session, session_cookies};

/// Answers an authorization request: from the browser's session when that will do, else by way of the
/// sign-on page.
pub(super) fn authorize(environment: &Environment, inbound: &Inbound) -> Answer {
    let request = match request(environment, inbound) {
        Ok(request) => request,
        Err(Rejection::PiFlow) => return pi_flow().answer(),
        Err(Rejection::Untrusted { code, message }) => {
            return refuse(environment, inbound.shape, code, &message);
        }
        Err(Rejection::Returned { target, error, description }) => {
            return target.failure(error, &description);
        }
    };
    let now = environment.now();
    let session = environment.sessions.of(&inbound.headers, now);
    if let Some(session) = session.filter(|session| request.is_satisfied_by(session, now)) {
        return complete(environment, &request, &session);
    }
    if request.prompt == Prompt::None {
        return request.target.failure("login_required", "User authentication is required");
    }
    let flow = environment.flows.start(request, now);
    answer::redirect(&format!("{}/signon/?flowId={}", environment.addresses.base(inbound.shape), flow.id))
}

/// Ends a flow: back to the application, in the browser that signed on.
pub(super) fn resume(environment: &Environment, inbound: &Inbound) -> Answer {
    let now = environment.now();
    let found = inbound.parameters.get("flowId").and_then(|id| environment.flows.find(id, now));
    let Some(flow) = found else {
        let message = "The requested flow does not exist or has expired.";
        return PlatformError::new(StatusCode::NOT_FOUND, "NOT_FOUND", message).answer();
    };
    // The code goes only to the browser that typed the password: else whoever lures a user to a
    // flow's sign-on page could fetch its answer.
    let own = flow.completed_by().filter(|st| session_cookies(&inbound.headers).any(|cookie| cookie == st));
    let Some(session) = own.and_then(|st| environment.sessions.by_st(&st, now)) else {
        return PlatformError::invalid("ST", "The flow has not been completed in this session").answer();
    };
    match environment.flows.finish(&flow) {
        Some(flow) => complete(environment, &flow.request, &session),
        // Another request was faster; a flow is resumed once.
        None => {
            PlatformError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "The flow was resumed before.").answer()
        }
    }
}

/// Shows an error that may not go to the application, since client or redirect URI aren't trusted: the
/// sign-on page with the error as JSON in its query, as PingOne does.
pub(super) fn refuse(environment: &Environment, shape: Shape, code: &'static str, message: &str) -> Answer {
    let error = PlatformError::new(StatusCode::BAD_REQUEST, code, message).json().to_string();
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("error", &error).finish();
    // Ping's own page reads it by `decodeURIComponent`, which leaves `+` alone.
    let query = query.replace('+', "%20");
    answer::redirect(&format!("{}/signon/?{query}", environment.addresses.base(shape)))
}

fn complete(environment: &Environment, request: &AuthorizationRequest, session: &Session) -> Answer {
    let subject = Subject::of(session, &request.policy);
    let grant = Grant::new(&request.client_id, Some(subject), request.scope.clone(), environment.now());
    let code = environment.codes.issue(
        grant,
        request.target.redirect_uri.clone(),
        request.nonce.clone(),
        request.code_challenge.clone(),
    );
    request.target.success(&code)
}

/// Reads the request itself, or finds the one that was pushed before.
fn request(environment: &Environment, inbound: &Inbound) -> Result<AuthorizationRequest, Rejection> {
    let parameters = &inbound.parameters;
    let Some(request_uri) = parameters.get("request_uri") else {
        return AuthorizationRequest::read(&environment.options, parameters, Channel::Front);
    };
    let untrusted =
        |message: &str| Rejection::Untrusted { code: "INVALID_REQUEST", message: message.to_owned() };
    if !request_uri.starts_with(par::URN) {
        return Err(untrusted("request_uri must come from the pushed authorization request endpoint"));
    }
    let client_id = parameters.get("client_id").ok_or_else(|| untrusted("client_id is required"))?;
    let mut request = environment
        .pushed
        .take(request_uri, client_id, environment.now())
        .ok_or_else(|| untrusted("request_uri is unknown, expired or was used before"))?;
    // The one parameter that may accompany a pushed request.
    if parameters.get("prompt").is_some() {
        request.prompt = Prompt::read(parameters).map_err(|description| Rejection::Returned {
            target: request.target.clone(),
            error: "invalid_request",
            description: description.to_owned(),
        })?;
    }
    Ok(request)
}

/// What a request for `pi.flow` is told.
pub(super) fn pi_flow() -> PlatformError {
    PlatformError::invalid("response_mode", "response_mode=pi.flow is not supported by the emulator")
}
