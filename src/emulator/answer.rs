//! Answers, and the two shapes of errors among them.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, PRAGMA, REFERRER_POLICY, SET_COOKIE,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::html::Page;
use super::uuid;

/// What goes back to the client.
pub(super) type Answer = Response<Full<Bytes>>;

/// Our addresses carry flow ids and whole requests; the origin alone may be told. (`no-referrer` would
/// make the `Origin` of a form post `null`, too.)
const REFERRER: HeaderValue = HeaderValue::from_static("strict-origin");

/// An answer without a body that nobody keeps.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A JSON document that nobody keeps
/// ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1) wants both headers).
pub(super) fn json(status: StatusCode, document: &Value) -> Answer {
    let mut answer = public_json(document);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

/// A JSON document that anybody may keep.
pub(super) fn public_json(document: &Value) -> Answer {
    let mut answer = Response::new(Full::from(document.to_string()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A page.
pub(super) fn page(status: StatusCode, page: &Page) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = Full::from(page.html());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, REFERRER);
    // The policy is ASCII that we wrote.
    if let Ok(policy) = HeaderValue::try_from(page.content_security_policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// A redirect.
pub(super) fn redirect(location: &str) -> Answer {
    let Ok(location) = HeaderValue::try_from(location) else {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut answer = empty(StatusCode::FOUND);
    answer.headers_mut().insert(LOCATION, location);
    answer.headers_mut().insert(REFERRER_POLICY, REFERRER);
    answer
}

/// Adds cookies.
pub(super) fn with_cookies(mut answer: Answer, cookies: &[String]) -> Answer {
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    answer
}

/// An error of the OAuth endpoints
/// ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
    /// `WWW-Authenticate`.
    pub(super) challenge: Option<&'static str>,
}

impl OAuthError {
    /// A 400.
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into(), challenge: None }
    }

    /// The emulator itself failed.
    pub(super) fn server() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, ..Self::new("server_error", "The request could not be completed") }
    }

    /// The answer; as PingOne does, the description ends with an id by which support finds the request.
    pub(super) fn answer(&self) -> Answer {
        let correlation = uuid::random();
        let description = format!("{} (Correlation ID: {correlation})", self.description);
        let mut answer = json(self.status, &json!({ "error": self.error, "error_description": description }));
        if let Ok(correlation) = HeaderValue::try_from(correlation) {
            answer.headers_mut().insert("correlation-id", correlation);
        }
        if let Some(challenge) = self.challenge {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        answer
    }
}

/// An error in PingOne's own shape: `{id, code, message, details}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlatformError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Code, target and message of the one detail.
    pub(super) detail: Option<(&'static str, &'static str, String)>,
}

impl PlatformError {
    /// An error without details.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: None }
    }

    /// A 400 about one value of the request.
    pub(super) fn invalid(target: &'static str, message: impl Into<String>) -> Self {
        let general =
            "The request could not be completed. One or more validation errors were in the request.";
        let detail = Some(("INVALID_VALUE", target, message.into()));
        Self { detail, ..Self::new(StatusCode::BAD_REQUEST, "INVALID_DATA", general) }
    }

    /// The document.
    pub(super) fn json(&self) -> Value {
        let mut document = json!({ "id": uuid::random(), "code": self.code, "message": self.message });
        if let (Some((code, target, message)), Some(members)) = (&self.detail, document.as_object_mut()) {
            let detail = json!({ "code": code, "target": target, "message": message });
            members.insert("details".to_owned(), json!([detail]));
        }
        document
    }

    /// The answer.
    pub(super) fn answer(&self) -> Answer {
        json(self.status, &self.json())
    }
}
