//! The userinfo endpoint
//! ([Core §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).
//!
//! Plain JSON alone; aggregated and distributed claims stay what they are, and no address in them
//! is ever fetched.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, Response};
use serde_json::Value;
use url::Url;

use super::answer;
use super::error::{Error, Misbehaved, Rejected};
use super::token::is_visible;
use crate::identity::Claims;

/// Asks with the access token in the header
/// ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
pub(super) fn request(userinfo_endpoint: &Url, access_token: &str) -> Result<Request<Vec<u8>>, Misbehaved> {
    let unusable = Misbehaved::TokenResponse("access_token");
    if !is_visible(access_token) {
        return Err(unusable);
    }
    let mut credentials = HeaderValue::try_from(format!("Bearer {access_token}")).map_err(|_| unusable)?;
    credentials.set_sensitive(true);
    let mut request = Request::get(userinfo_endpoint.as_str())
        .body(Vec::new())
        .map_err(|_| Misbehaved::MetadataEndpoint("userinfo_endpoint"))?;
    request.headers_mut().insert(AUTHORIZATION, credentials);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// Reads the claims of the person `sub`, and of nobody else (§5.3.2: the two `sub` must be equal,
/// or the answer must not be used).
pub(super) fn process(response: &Response<Bytes>, sub: &str) -> Result<Claims, Error> {
    let members = answer::object(response).map_err(|error| match error {
        Error::ProviderMisbehaved(Misbehaved::NotJson(super::json::NotJson::NotAnObject)) => {
            Misbehaved::Userinfo.into()
        }
        other => other,
    })?;
    match members.get("sub") {
        Some(Value::String(found)) if found == sub => Ok(Claims::new(members)),
        _ => Err(Rejected::UserinfoSubject.into()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::testing;
    use super::*;

    fn endpoint() -> Url {
        testing::read_metadata().userinfo_endpoint.unwrap()
    }

    #[test]
    fn sends_the_token_in_the_header_and_hides_it() {
        let request = request(&endpoint(), "at-canary").unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer at-canary");
        assert!(!format!("{:?}", request.headers()).contains("canary"));
        assert!(!request.uri().to_string().contains("canary"));
    }

    #[rstest]
    #[case::a_line_break("a\nb")]
    #[case::beyond_ascii("tökén")]
    #[case::a_blank("a b")]
    #[case::empty("")]
    fn never_sends_a_token_that_is_no_token(#[case] token: &str) {
        assert_eq!(request(&endpoint(), token).err(), Some(Misbehaved::TokenResponse("access_token")));
    }

    #[rstest]
    #[case::another_person(r#"{"sub":"mallory"}"#, "userinfo_sub")]
    #[case::nobody(r#"{"email":"a@example.com"}"#, "userinfo_sub")]
    #[case::a_number(r#"{"sub":1}"#, "userinfo_sub")]
    #[case::two_people(r#"{"sub":"ann","sub":"mallory"}"#, "provider_answer_not_json")]
    #[case::a_list(r#"[{"sub":"ann"}]"#, "userinfo_malformed")]
    #[case::a_signed_answer("eyJhbGciOiJub25lIn0.e30.", "provider_answer_not_json")]
    fn refuses(#[case] body: &str, #[case] reason: &str) {
        assert_eq!(process(&testing::answer(200, body), "ann").unwrap_err().reason(), reason);
    }

    #[test]
    fn returns_every_claim() {
        let claims = process(&testing::answer(200, r#"{"sub":"ann","groups":["a"]}"#), "ann").unwrap();
        assert_eq!(claims.text("sub"), Some("ann"));
        assert!(claims.members().contains_key("groups"));
    }
}
