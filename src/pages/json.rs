//! The same problems for programs: `application/problem+json`, in English.

use http::HeaderValue;
use http::header::{REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use super::Problem;
use crate::reply::Reply;
use crate::telemetry::RequestId;

/// Problem details ([RFC 9457 §3](https://www.rfc-editor.org/rfc/rfc9457#section-3)). The type is a
/// `tag:` URI, since there is no page to look at; its last part is [`Problem::reason`].
#[derive(Serialize)]
struct Details<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<&'a str>,
}

/// The answer to a program. `sign_in` is the whole address where a person could sign in.
#[must_use]
pub fn problem_json(problem: Problem, request_id: &RequestId, sign_in: Option<&str>) -> Reply {
    let details = Details {
        r#type: format!("tag:vestibule,2026:{}", problem.reason()),
        title: problem.title().english(),
        status: problem.status().as_u16(),
        detail: problem.sentence().english(),
        request_id: request_id.as_str(),
        sign_in,
    };
    // Text and a number can always be written as JSON.
    let body = serde_json::to_vec(&details).unwrap_or_default();
    let reply = Reply::with_body(problem.status(), "application/problem+json", body, problem.reason())
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match problem.retry_after() {
        Some(seconds) => reply.header(RETRY_AFTER, HeaderValue::from(seconds)),
        None => reply,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CACHE_CONTROL, CONTENT_TYPE};
    use serde_json::{Value, json};

    use super::*;

    fn id() -> RequestId {
        crate::pages::tests::request_id()
    }

    #[test]
    fn says_what_is_wrong_and_where_to_sign_in() {
        let url = "https://app.example.com/.vestibule/sign-in?return_to=/a";
        let reply = problem_json(Problem::SignInRequired, &id(), Some(url));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "tag:vestibule,2026:sign_in_required",
                "title": "Sign in to continue",
                "status": 401,
                "detail": "You need to sign in to open this page.",
                "request_id": "req-1",
                "sign_in": url,
            })
        );
        assert_eq!(reply.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
        assert_eq!(reply.reason, "sign_in_required");
    }

    #[test]
    fn leaves_the_address_out_where_signing_in_wouldn_t_help() {
        let reply = problem_json(Problem::Denied, &id(), None);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(body.get("sign_in").is_none());
    }

    #[test]
    fn not_knowing_is_retried_later() {
        let reply = problem_json(Problem::Unavailable, &id(), None);
        assert_eq!((reply.status.as_u16(), &reply.headers[RETRY_AFTER]), (503, &HeaderValue::from(5)));
    }
}
