//! How the gateway proves itself at the token endpoint
//! ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
//!
//! `client_secret_basic` form-encodes id and secret before they go into the header, so that a secret
//! with `:` or `%` arrives whole; `client_secret_post` and `none` put `client_id` into the body.

use openidconnect::core::CoreClient;
use openidconnect::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, IssuerUrl, JsonWebKeySet, TokenUrl,
};
use secrecy::ExposeSecret as _;

use super::discovery::Metadata;
use super::error::Misbehaved;
use super::{ClientAuth, Config};

/// openidconnect's client, as far as the token endpoint needs it.
pub(super) type TokenClient =
    CoreClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet, EndpointNotSet>;

/// The client that builds and authenticates token requests.
pub(super) fn client(config: &Config, metadata: &Metadata) -> Result<TokenClient, Misbehaved> {
    let issuer =
        IssuerUrl::new(metadata.issuer.clone()).map_err(|_| Misbehaved::MetadataEndpoint("issuer"))?;
    let client_id = ClientId::new(config.client_id.clone());
    let client = CoreClient::new(client_id, issuer, JsonWebKeySet::default())
        .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
    let (auth_type, secret) = match config.client_auth {
        ClientAuth::Basic => (AuthType::BasicAuth, config.client_secret.as_ref()),
        ClientAuth::Post => (AuthType::RequestBody, config.client_secret.as_ref()),
        ClientAuth::None => (AuthType::RequestBody, None),
    };
    let client = client.set_auth_type(auth_type);
    Ok(match secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    })
}
