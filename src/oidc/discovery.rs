//! Provider metadata
//! ([OpenID Connect Discovery 1.0 §4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response};
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata, UserInfoUrl};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::answer;
use super::error::{Error, Misbehaved};
use crate::http_client::is_loopback;

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// How much of a foreign issuer is worth a log line.
const SHOWN: usize = 200;

/// Where a provider is and what it does, from its own document, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `issuer`, equal to the configured one byte by byte.
    pub issuer: String,
    /// `authorization_endpoint`.
    pub authorization_endpoint: Url,
    /// `token_endpoint`.
    pub token_endpoint: Url,
    /// `userinfo_endpoint`.
    pub userinfo_endpoint: Option<Url>,
    /// `end_session_endpoint` (RP-Initiated Logout 1.0 §2.1).
    pub end_session_endpoint: Option<Url>,
    /// `jwks_uri`.
    pub jwks_uri: Url,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 §3).
    pub authorization_response_iss_parameter_supported: bool,
    /// `code_challenge_methods_supported` (RFC 8414 §2). Informative: we send S256 in any case, so
    /// that metadata can't talk us out of PKCE.
    pub code_challenge_methods_supported: Vec<String>,
}

/// Asks for the metadata of an issuer; one `/` at its end is dropped before the path is appended
/// (§4.1).
pub(super) fn request(issuer: &str) -> Result<Request<Vec<u8>>, Misbehaved> {
    let address = format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer));
    let mut request =
        Request::get(address).body(Vec::new()).map_err(|_| Misbehaved::MetadataEndpoint("issuer"))?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// Reads the metadata of `issuer`, and of no other: the comparison is of bytes (§4.3), so neither a
/// slash nor a letter's case may differ.
pub(super) fn process(response: &Response<Bytes>, issuer: &str) -> Result<Metadata, Error> {
    let document = answer::object(response)?;
    let found = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if found != issuer {
        let found = found.chars().take(SHOWN).collect();
        return Err(Misbehaved::MetadataIssuer { expected: issuer.to_owned(), found }.into());
    }
    let document: Document = serde_json::from_value(Value::Object(document))
        .map_err(|error| Misbehaved::Metadata(error.to_string().chars().take(SHOWN).collect()))?;
    let issuer_url = document.issuer().url();
    let endpoint = |url: &Url, name| checked(url, name, issuer_url);
    let optional = |url: Option<&Url>, name| url.map(|url| checked(url, name, issuer_url)).transpose();
    let extra = document.additional_metadata();
    let token_endpoint =
        document.token_endpoint().ok_or_else(|| Misbehaved::Metadata("no token_endpoint".to_owned()))?;
    Ok(Metadata {
        issuer: issuer.to_owned(),
        authorization_endpoint: endpoint(document.authorization_endpoint().url(), "authorization_endpoint")?,
        token_endpoint: endpoint(token_endpoint.url(), "token_endpoint")?,
        userinfo_endpoint: optional(document.userinfo_endpoint().map(UserInfoUrl::url), "userinfo_endpoint")?,
        end_session_endpoint: optional(extra.end_session_endpoint.as_ref(), "end_session_endpoint")?,
        jwks_uri: endpoint(document.jwks_uri().url(), "jwks_uri")?,
        authorization_response_iss_parameter_supported: extra
            .authorization_response_iss_parameter_supported
            .unwrap_or(false),
        code_challenge_methods_supported: extra.code_challenge_methods_supported.clone().unwrap_or_default(),
    })
}

type Document = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What the crate's metadata has no field for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Extra {
    end_session_endpoint: Option<Url>,
    authorization_response_iss_parameter_supported: Option<bool>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl AdditionalProviderMetadata for Extra {}

/// An endpoint is an https address without user and fragment; plain http passes only on loopback,
/// and only for an issuer that is there too.
fn checked(url: &Url, name: &'static str, issuer: &Url) -> Result<Url, Misbehaved> {
    let protected = match url.scheme() {
        "https" => url.has_host(),
        // An issuer beyond loopback has http only if the operator insists.
        "http" => issuer.scheme() == "http" && (is_loopback(url) || !is_loopback(issuer)),
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if protected && plain && url.as_str().parse::<http::Uri>().is_ok() {
        Ok(url.clone())
    } else {
        Err(Misbehaved::MetadataEndpoint(name))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::testing::{self, ISSUER};
    use super::*;

    fn changed(name: &str, value: Value) -> Result<Metadata, Error> {
        let mut document = testing::metadata();
        document[name] = value;
        process(&testing::json(&document), ISSUER)
    }

    #[test]
    fn reads_what_a_login_needs() {
        let metadata = process(&testing::json(&testing::metadata()), ISSUER).unwrap();
        assert_eq!(metadata.token_endpoint.as_str(), "https://idp.example.com/as/token");
        assert!(metadata.authorization_response_iss_parameter_supported);
        assert_eq!(metadata.code_challenge_methods_supported, ["S256"]);
        assert!(metadata.end_session_endpoint.is_some());
    }

    #[rstest]
    #[case::plain("https://idp.example.com/as")]
    #[case::with_a_slash("https://idp.example.com/as/")]
    fn asks_below_the_issuer(#[case] issuer: &str) {
        let asked = request(issuer).unwrap().uri().to_string();
        assert_eq!(asked, "https://idp.example.com/as/.well-known/openid-configuration");
    }

    #[rstest]
    #[case::a_slash("https://idp.example.com/as/")]
    #[case::the_case_of_the_host("https://IDP.example.com/as")]
    #[case::the_case_of_the_path("https://idp.example.com/AS")]
    #[case::the_default_port("https://idp.example.com:443/as")]
    #[case::http("http://idp.example.com/as")]
    #[case::a_blank("https://idp.example.com/as ")]
    #[case::another("https://evil.example")]
    fn refuses_an_issuer_that_differs_by(#[case] found: &str) {
        assert_eq!(changed("issuer", json!(found)).unwrap_err().reason(), "metadata_issuer");
    }

    #[test]
    fn refuses_metadata_without_issuer() {
        assert_eq!(changed("issuer", Value::Null).unwrap_err().reason(), "metadata_issuer");
    }

    #[rstest]
    #[case::http("token_endpoint", "http://idp.example.com/token")]
    #[case::http_on_loopback("jwks_uri", "http://127.0.0.1/jwks")]
    #[case::a_script("authorization_endpoint", "javascript:alert(1)")]
    #[case::a_user("userinfo_endpoint", "https://me:secret@idp.example.com/")]
    #[case::a_fragment("end_session_endpoint", "https://idp.example.com/#x")]
    fn refuses_endpoints_that_are_not_https(#[case] name: &'static str, #[case] address: &str) {
        assert_eq!(changed(name, json!(address)), Err(Misbehaved::MetadataEndpoint(name).into()));
    }

    #[rstest]
    #[case("authorization_endpoint")]
    #[case("token_endpoint")]
    #[case("jwks_uri")]
    fn refuses_metadata_without(#[case] name: &str) {
        let mut document = testing::metadata();
        document.as_object_mut().unwrap().remove(name);
        let error = process(&testing::json(&document), ISSUER).unwrap_err();
        assert_eq!(error.reason(), "metadata_incomplete");
    }

    #[test]
    fn a_loopback_issuer_may_use_plain_http_on_loopback_alone() {
        let issuer = "http://localhost:9000";
        let document = testing::metadata().to_string().replace(ISSUER, issuer);
        let read = process(&testing::answer(200, &document), issuer).unwrap();
        assert_eq!(read.jwks_uri.as_str(), "http://localhost:9000/jwks");
        let elsewhere = document.replace("http://localhost:9000/jwks", "http://idp.example.com/jwks");
        let error = process(&testing::answer(200, &elsewhere), issuer).unwrap_err();
        assert_eq!(error, Misbehaved::MetadataEndpoint("jwks_uri").into());
    }

    #[rstest]
    #[case::a_redirect(302, "", "provider_redirected")]
    #[case::html(200, "<html>", "provider_answer_not_json")]
    #[case::two_issuers(200, r#"{"issuer":"a","issuer":"b"}"#, "provider_answer_not_json")]
    #[case::not_found(404, "{}", "provider_unexpected_status")]
    fn refuses_answers_that_are_no_metadata(#[case] status: u16, #[case] body: &str, #[case] reason: &str) {
        assert_eq!(process(&testing::answer(status, body), ISSUER).unwrap_err().reason(), reason);
    }

    #[test]
    fn takes_extensions_for_what_they_are() {
        let modes = json!(["query", "form_post", "pi.flow"]);
        assert!(changed("response_modes_supported", modes).is_ok());
        assert!(changed("mtls_endpoint_aliases", json!({ "token_endpoint": "x" })).is_ok());
    }
}
