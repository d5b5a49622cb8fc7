//! The discovery document, as PingOne writes it, less what isn't emulated: `pi.flow`.
//!
//! It lists more than any one application may do: an emulated application has the response type
//! `code` alone, and device codes and signed requests are refused.

use serde_json::json;

use super::addresses::Shape;
use super::answer::{self, Answer};
use super::authorization_response::ResponseMode;
use super::environment::Environment;
use super::scope::OPENID_SCOPES;

/// [OpenID Connect Discovery 1.0 §4.2](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationResponse).
pub(super) fn answer(environment: &Environment, shape: Shape) -> Answer {
    let issuer = environment.addresses.issuer(shape);
    let signing = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512"];
    let request_signing = ["none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512"];
    answer::public_json(&json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/signoff"),
        "check_session_iframe": format!("{issuer}/checksession"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "device_authorization_endpoint": format!("{issuer}/device_authorization"),
        "claims_parameter_supported": false,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "require_pushed_authorization_requests": false,
        "scopes_supported": OPENID_SCOPES,
        "response_types_supported":
            ["code", "id_token", "token id_token", "code id_token", "code token", "code token id_token"],
        "response_modes_supported": ResponseMode::NAMES,
        "grant_types_supported": [
            "authorization_code", "implicit", "client_credentials", "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code"
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "userinfo_signing_alg_values_supported": ["none"],
        "request_object_signing_alg_values_supported": request_signing,
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": signing,
        "claim_types_supported": ["normal"],
        "claims_supported": [
            "sub", "iss", "auth_time", "acr", "name", "given_name", "family_name", "middle_name",
            "preferred_username", "profile", "picture", "zoneinfo", "phone_number", "updated_at",
            "address", "email", "locale"
        ],
        "code_challenge_methods_supported": ["plain", "S256"],
    }))
}
