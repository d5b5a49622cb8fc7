//! How the gateway proves itself at the token endpoint
//! ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
//!
//! `client_secret_basic` form-encodes id and secret before they go into the header, so that a secret
//! with `:` or `%` arrives whole; `client_secret_post` and `none` put `client_id` into the body.

use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AuthType, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet, StandardRevocableToken, TokenUrl,
};
use secrecy::ExposeSecret as _;

use super::discovery::Metadata;
use super::token::TokenResponse;
use super::{ClientAuth, Config};

/// `oauth2`'s client, as far as the token endpoint needs it.
pub(super) type TokenClient = Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The client that builds and authenticates token requests.
pub(super) fn client(config: &Config, metadata: &Metadata) -> TokenClient {
    let client = Client::new(ClientId::new(config.client_id.clone()))
        .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
    let (auth_type, secret) = match config.client_auth {
        ClientAuth::Basic => (AuthType::BasicAuth, config.client_secret.as_ref()),
        ClientAuth::Post => (AuthType::RequestBody, config.client_secret.as_ref()),
        ClientAuth::None => (AuthType::RequestBody, None),
    };
    let client = client.set_auth_type(auth_type);
    match secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    }
}
