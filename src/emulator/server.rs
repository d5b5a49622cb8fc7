//! Listening, reading requests and finding their endpoint.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::addresses::Shape;
use super::answer::{self, Answer, OAuthError, PlatformError};
use super::endpoint::{Endpoint, Inbound};
use super::environment::Environment;
use super::parameters::{Parameters, Repeated};
use super::{authorize, discovery, introspection, par, revocation, sign_on, signoff, token, userinfo};

/// The longest form.
const FORM_BYTES: usize = 64 * 1024;
/// How long a client may take over a head, and over a body.
const READ_TIME: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers until the other end of `stop` goes.
pub(super) async fn serve(
    listener: TcpListener,
    environment: Arc<Environment>,
    mut stop: oneshot::Receiver<Infallible>,
) {
    loop {
        tokio::select! {
            _ = &mut stop => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, Arc::clone(&environment)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn converse(stream: TcpStream, environment: Arc<Environment>) {
    // Answers are small; a failure only makes them slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let environment = Arc::clone(&environment);
        async move { Ok::<_, Infallible>(answer(&environment, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the emulator broke");
    }
}

async fn answer(environment: &Environment, request: Request<Incoming>) -> Answer {
    let (shape, path) = environment.addresses.split(request.uri().path());
    let Some(endpoint) = Endpoint::at(path) else {
        let message = "The requested resource was not found.";
        return PlatformError::new(StatusCode::NOT_FOUND, "NOT_FOUND", message).answer();
    };
    environment.counters.count(endpoint);
    if !endpoint.takes(request.method()) {
        let mut answer = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(endpoint.methods()));
        return answer;
    }
    match read(shape, request).await {
        Ok(inbound) => route(environment, endpoint, &inbound),
        Err(Unreadable::Repeated(Repeated(name))) if endpoint == Endpoint::Authorize => {
            let message = format!("The parameter {name} was included more than once");
            authorize::refuse(environment, shape, "INVALID_REQUEST", &message)
        }
        Err(unreadable) => unreadable.answer(),
    }
}

fn route(environment: &Environment, endpoint: Endpoint, inbound: &Inbound) -> Answer {
    match endpoint {
        Endpoint::Discovery => discovery::answer(environment, inbound.shape),
        Endpoint::Jwks => answer::public_json(&environment.keys.jwks()),
        Endpoint::Authorize => authorize::authorize(environment, inbound),
        Endpoint::Par => par::push(environment, inbound),
        Endpoint::SignOn if inbound.method == Method::POST => sign_on::check(environment, inbound),
        Endpoint::SignOn => sign_on::show(environment, inbound),
        Endpoint::Resume => authorize::resume(environment, inbound),
        Endpoint::Token => token::token(environment, inbound),
        Endpoint::UserInfo => userinfo::userinfo(environment, inbound),
        Endpoint::Introspect => introspection::introspect(environment, inbound),
        Endpoint::Revoke => revocation::revoke(environment, inbound),
        Endpoint::Signoff => signoff::signoff(environment, inbound),
        Endpoint::IdpSignoff => signoff::idp_signoff(environment, inbound),
        Endpoint::CheckSession => signoff::check_session(),
    }
}

/// A request that can't be read.
#[derive(Debug, PartialEq, Eq)]
enum Unreadable {
    Repeated(Repeated),
    NotAForm,
    TooLarge,
    Broken,
}

impl Unreadable {
    fn answer(&self) -> Answer {
        let (status, description) = match self {
            Self::Repeated(Repeated(name)) => {
                (StatusCode::BAD_REQUEST, format!("The parameter {name} was included more than once"))
            }
            Self::NotAForm => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The content type must be application/x-www-form-urlencoded".to_owned(),
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The form is too large".to_owned()),
            Self::Broken => (StatusCode::BAD_REQUEST, "The body could not be read".to_owned()),
        };
        OAuthError { status, ..OAuthError::new("invalid_request", description) }.answer()
    }
}

async fn read(shape: Shape, request: Request<Incoming>) -> Result<Inbound, Unreadable> {
    let (parts, body) = request.into_parts();
    let text = if parts.method == Method::POST {
        let body = form(body).await?;
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !body.is_empty() && !content_type.is_some_and(is_form) {
            return Err(Unreadable::NotAForm);
        }
        body
    } else {
        Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes())
    };
    let parameters = Parameters::parse(&text).map_err(Unreadable::Repeated)?;
    Ok(Inbound { shape, method: parts.method, headers: parts.headers, parameters })
}

async fn form(body: Incoming) -> Result<Bytes, Unreadable> {
    match tokio::time::timeout(READ_TIME, Limited::new(body, FORM_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unreadable::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Unreadable::Broken),
    }
}

fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
