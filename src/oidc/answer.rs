//! What every answer of the provider goes through before anyone reads it.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::error::{Cause, Error, Misbehaved, Unavailable};
use super::json;
use super::retry::retry_after;
use crate::clock::Timestamp;
use crate::http_client::MAX_BODY;

/// Tells a provider that serves us from one that is down (5xx) or wants us to slow down (429).
pub(super) fn served(response: Response<Bytes>, now: Timestamp) -> Result<Response<Bytes>, Unavailable> {
    let status = response.status();
    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
        return Ok(response);
    }
    let because = Unavailable::because(Cause::Status(status.as_u16()));
    Err(match retry_after(response.headers(), now) {
        Some(retry_after) => Unavailable { retry_after, ..because },
        None => because,
    })
}

/// The JSON object of an answer that must be 200. Redirects are not followed: whoever can send us
/// elsewhere could serve us the document.
pub(super) fn object(response: &Response<Bytes>) -> Result<Map<String, Value>, Error> {
    match response.status() {
        StatusCode::OK => body(response),
        status if status.is_redirection() => Err(Misbehaved::Redirected(status.as_u16()).into()),
        status => Err(Misbehaved::Status(status.as_u16()).into()),
    }
}

/// The JSON object of an answer, whatever its status.
pub(super) fn body(response: &Response<Bytes>) -> Result<Map<String, Value>, Error> {
    if response.body().len() > MAX_BODY {
        return Err(Misbehaved::TooLong.into());
    }
    json::parse_object(response.body()).map_err(|fault| Misbehaved::NotJson(fault).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    fn answer(status: u16, body: &[u8]) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::copy_from_slice(body)).unwrap()
    }

    #[rstest]
    #[case::moved(302, Misbehaved::Redirected(302))]
    #[case::not_modified(304, Misbehaved::Redirected(304))]
    #[case::not_found(404, Misbehaved::Status(404))]
    #[case::created(201, Misbehaved::Status(201))]
    fn takes_only_200(#[case] status: u16, #[case] why: Misbehaved) {
        assert_eq!(object(&answer(status, b"{}")), Err(why.into()));
    }

    #[test]
    fn refuses_a_body_over_the_limit() {
        let mut long = b"{}".to_vec();
        long.resize(MAX_BODY + 1, b' ');
        assert_eq!(object(&answer(200, &long)), Err(Misbehaved::TooLong.into()));
        assert!(object(&answer(200, long.get(..MAX_BODY).unwrap())).is_ok());
    }

    #[rstest]
    #[case(500)]
    #[case(503)]
    #[case(429)]
    fn is_not_served_by_a_provider_in_trouble(#[case] status: u16) {
        let now = Timestamp::from_secs(1);
        let mut response = answer(status, b"");
        let refused = served(response.clone(), now).unwrap_err();
        assert_eq!(refused.cause, Cause::Status(status));
        response.headers_mut().insert("retry-after", "31".parse().unwrap());
        assert_eq!(served(response, now).unwrap_err().retry_after, Duration::from_secs(31));
    }
}
