//! The wire rules of a provider: discovery, authorization, token, ID token, userinfo, sign-out.
//!
//! `openidconnect` reads metadata and verifies signatures, `oauth2` below it makes the token
//! requests; the files here add what they leave out. [`provider::Provider`] is the only one that
//! does I/O.

mod answer;
pub mod authorization;
pub mod authorization_response;
pub mod circuit;
mod client_auth;
pub mod discovery;
pub mod error;
pub mod id_token;
pub mod json;
pub mod jwks;
mod jws;
mod kept;
mod logout;
pub mod provider;
mod retry;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;
mod userinfo;

pub use authorization::{AuthorizationParams, AuthorizationRequest, code_challenge};
pub use authorization_response::{AuthorizationResponse, Code, ProviderError};
pub use discovery::Metadata;
pub use error::{Error, Misbehaved, Rejected, Unavailable};
pub use id_token::ValidatedIdToken;
pub use jwks::Budget;
pub use provider::{Provider, ProviderStatus};
pub use token::TokenSet;

use std::time::Duration;

use openidconnect::core::CoreJwsSigningAlgorithm;
use secrecy::SecretString;

use crate::http_client;
use crate::identity::{ClaimNames, ProviderName};

/// One of `providers`, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name.
    pub name: ProviderName,
    /// Issuer, compared byte by byte.
    pub issuer: String,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`; none for public clients.
    pub client_secret: Option<SecretString>,
    /// `client_auth`.
    pub client_auth: ClientAuth,
    /// `scopes`, `openid` among them.
    pub scopes: Vec<String>,
    /// `response_mode`.
    pub response_mode: ResponseMode,
    /// `authorize`: further authorization request parameters.
    pub authorize: Vec<(String, String)>,
    /// `id_token_algorithms`; never `none`, never one that the client secret could forge.
    pub id_token_algorithms: Vec<SigningAlgorithm>,
    /// `clock_skew`.
    pub clock_skew: Duration,
    /// `userinfo`.
    pub userinfo: Userinfo,
    /// `claims`.
    pub claims: ClaimNames,
    /// `sign_out`.
    pub sign_out: SignOut,
    /// `after_sign_out`: a path of the origin signed out from.
    pub after_sign_out: String,
    /// `timeouts`, `tls`, `http_proxy`.
    pub http: http_client::Config,
    /// `login_rate`: logins per second that cost a provider call.
    pub login_rate: u32,
}

/// How the gateway proves itself at the token endpoint
/// ([RFC 6749 §2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// A public client: PKCE alone.
    None,
}

/// How the authorization response comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query.
    Query,
    /// As a form, posted across sites.
    FormPost,
}

/// Algorithms an ID token may be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5, SHA-256.
    Rs256,
    /// RSASSA-PSS, SHA-256.
    Ps256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// Its name in the `alg` of a header
    /// ([RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1),
    /// [RFC 8037 §3.1](https://www.rfc-editor.org/rfc/rfc8037#section-3.1)).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    const fn core(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
        }
    }
}

/// When the userinfo endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Userinfo {
    /// Never.
    Never,
    /// At every login.
    Always,
    /// When a claim that some route maps or requires is absent from the ID token.
    WhenMissing,
}

/// How far a sign-out goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignOut {
    /// On to the provider's end_session_endpoint.
    Browser,
    /// Here alone.
    Local,
}
