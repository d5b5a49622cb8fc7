//! The token endpoint's answer to an authorization code
//! ([RFC 6749 §4.1.3 and §5](https://www.rfc-editor.org/rfc/rfc6749#section-5),
//! [Core §3.1.3.3](https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse)).
//!
//! `oauth2` builds the request and reads the answer. `check` stands between the two: it tells apart
//! who is at fault, and lets only strict JSON with well-formed members through. The ID token stays
//! text here, since which of its claims have which types is for `id_token` to judge.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{ExtraTokenFields, RequestTokenError, StandardTokenResponse, TokenResponse as _};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer;
use super::error::{Error, Misbehaved, Rejected};
use super::jws;

/// The tokens of one login. `Debug` shows none of them.
#[derive(Debug, Clone)]
pub struct TokenSet {
    /// The ID token, not validated yet; also the `id_token_hint` of a sign-out.
    pub id_token: SecretString,
    /// The access token: visible ASCII.
    pub access_token: SecretString,
    /// The refresh token, where the provider gives one: visible ASCII.
    pub refresh_token: Option<SecretString>,
    /// Lifetime of the access token.
    pub expires_in: Option<Duration>,
}

/// A token response with the ID token as it came.
pub(super) type TokenResponse = StandardTokenResponse<IdTokenField, BasicTokenType>;

/// The member that OpenID Connect adds to a token response.
#[derive(Serialize, Deserialize)]
pub(super) struct IdTokenField {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

impl fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenField").finish_non_exhaustive()
    }
}

/// Lets an answer through that is a good token response.
pub(super) fn check(response: &Response<Bytes>) -> Result<(), Error> {
    match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refusal(response)),
        _ => well_formed(&answer::object(response)?),
    }
}

/// Reads what the crate made of a checked answer.
pub(super) fn process(
    answer: Result<TokenResponse, RequestTokenError<Error, BasicErrorResponse>>,
) -> Result<TokenSet, Error> {
    let response = answer.map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(_) => Misbehaved::TokenError("token_error").into(),
        // All members have been checked, so the crate has no reason to refuse one of them.
        RequestTokenError::Parse(..) => Misbehaved::TokenResponse("members").into(),
        RequestTokenError::Other(_) => Misbehaved::TokenResponse("content type").into(),
    })?;
    let id_token = response.extra_fields().id_token.clone();
    Ok(TokenSet {
        id_token: id_token.ok_or(Misbehaved::TokenResponse("id_token"))?.into(),
        access_token: response.access_token().secret().clone().into(),
        refresh_token: response.refresh_token().map(|token| token.secret().clone().into()),
        expires_in: response.expires_in(),
    })
}

/// Whether a token can stand in a header: visible ASCII, at least one character, of bounded length.
pub(super) fn is_visible(token: &str) -> bool {
    (1..=jws::MAX_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
}

fn well_formed(members: &Map<String, Value>) -> Result<(), Error> {
    let token = |name| members.get(name).and_then(Value::as_str).filter(|token| is_visible(token));
    let fault = |name| Err(Misbehaved::TokenResponse(name).into());
    if token("access_token").is_none() {
        return fault("access_token");
    }
    // A token that is bound to a key is of no use to us, and sent as a bearer token it is a mistake.
    if !token("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
        return fault("token_type");
    }
    let absent = |name| members.get(name).is_none_or(Value::is_null);
    if !absent("refresh_token") && token("refresh_token").is_none() {
        return fault("refresh_token");
    }
    if !absent("expires_in") && members.get("expires_in").and_then(Value::as_u64).is_none() {
        return fault("expires_in");
    }
    if !absent("scope") && !members.get("scope").is_some_and(Value::is_string) {
        return fault("scope");
    }
    let Some(id_token) = members.get("id_token").and_then(Value::as_str) else { return fault("id_token") };
    jws::parse(id_token).map_err(Rejected::from)?;
    Ok(())
}

/// An error response ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)): the code
/// is at fault, or our registration. Its description isn't kept; it may repeat what we sent.
fn refusal(response: &Response<Bytes>) -> Error {
    let unexpected = Misbehaved::Status(response.status().as_u16());
    let Ok(members) = answer::body(response) else { return unexpected.into() };
    match members.get("error").and_then(Value::as_str) {
        Some("invalid_grant") => Rejected::InvalidGrant.into(),
        Some("invalid_client") => Misbehaved::TokenError("invalid_client").into(),
        Some("invalid_request") => Misbehaved::TokenError("invalid_request").into(),
        Some("invalid_scope") => Misbehaved::TokenError("invalid_scope").into(),
        Some("unauthorized_client") => Misbehaved::TokenError("unauthorized_client").into(),
        Some("unsupported_grant_type") => Misbehaved::TokenError("unsupported_grant_type").into(),
        Some(_) => Misbehaved::TokenError("token_error").into(),
        None => unexpected.into(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::testing;
    use super::*;

    const UNSIGNED: &str = "eyJhbGciOiJub25lIn0.e30.";

    fn with(name: &str, value: Value) -> Response<Bytes> {
        let mut members = json!({
            "access_token": "at", "token_type": "Bearer", "expires_in": 3600, "id_token": UNSIGNED,
        });
        members[name] = value;
        testing::json(&members)
    }

    #[rstest]
    #[case::nothing_odd("scope", json!("openid"))]
    #[case::another_spelling("token_type", json!("bearer"))]
    #[case::no_lifetime("expires_in", Value::Null)]
    #[case::a_refresh_token("refresh_token", json!("rt"))]
    #[case::something_new("issued_token_type", json!({ "a": 1 }))]
    fn lets_good_answers_through(#[case] name: &str, #[case] value: Value) {
        assert_eq!(check(&with(name, value)), Ok(()));
    }

    #[rstest]
    #[case::control_characters("access_token", json!("at\r\nX-Evil: 1"))]
    #[case::an_empty_token("access_token", json!(""))]
    #[case::no_string("access_token", json!(1))]
    #[case::dpop("token_type", json!("DPoP"))]
    #[case::a_lifetime_in_words("expires_in", json!("3600"))]
    #[case::a_negative_lifetime("expires_in", json!(-1))]
    #[case::refresh_with_blanks("refresh_token", json!("r t"))]
    #[case::a_list_of_scopes("scope", json!(["openid"]))]
    #[case::no_id_token("id_token", Value::Null)]
    fn refuses_malformed_members(#[case] name: &'static str, #[case] value: Value) {
        assert_eq!(check(&with(name, value)), Err(Misbehaved::TokenResponse(name).into()));
    }

    #[rstest]
    #[case::not_a_jwt(json!("token"), Rejected::IdTokenMalformed)]
    #[case::encrypted(json!("e30.AA.AA.AA.AA"), Rejected::IdTokenEncrypted)]
    #[case::endless(json!("A".repeat(70_000)), Rejected::IdTokenTooLong)]
    fn refuses_what_is_no_id_token(#[case] token: Value, #[case] why: Rejected) {
        assert_eq!(check(&with("id_token", token)), Err(why.into()));
    }

    #[test]
    fn refuses_a_member_named_twice() {
        let body = format!(
            r#"{{"access_token":"a","access_token":"b","token_type":"Bearer","id_token":"{UNSIGNED}"}}"#
        );
        let error = check(&testing::answer(200, &body)).unwrap_err();
        assert_eq!(error.reason(), "provider_answer_not_json");
    }

    #[rstest]
    #[case::a_used_code(400, r#"{"error":"invalid_grant","error_description":"used"}"#, "invalid_grant")]
    #[case::a_wrong_secret(401, r#"{"error":"invalid_client"}"#, "invalid_client")]
    #[case::an_unknown_error(400, r#"{"error":"lunch_break"}"#, "token_error")]
    #[case::no_json(400, "<html>", "provider_unexpected_status")]
    #[case::a_redirect(302, "", "provider_redirected")]
    #[case::not_found(404, "", "provider_unexpected_status")]
    #[case::html_with_200(200, "<html>", "provider_answer_not_json")]
    fn tells_who_is_at_fault(#[case] status: u16, #[case] body: &str, #[case] reason: &str) {
        let error = check(&testing::answer(status, body)).unwrap_err();
        assert_eq!(error.reason(), reason);
        assert_eq!(error.retry_after().is_none(), reason == "invalid_grant");
    }

    #[test]
    fn shows_no_token_when_debugged() {
        let tokens = TokenSet {
            id_token: "idt-canary".into(),
            access_token: "at-canary".into(),
            refresh_token: Some("rt-canary".into()),
            expires_in: None,
        };
        assert!(!format!("{tokens:?}").contains("canary"));
    }
}
