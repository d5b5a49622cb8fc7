//! The wire rules of a provider: discovery, authorization, token, ID token, userinfo, sign-out.
//!
//! `openidconnect` does discovery, requests, code exchange and ID token verification; the files
//! here add what it leaves out. [`provider::Provider`] is the only one that does I/O.

pub mod provider;

use std::time::Duration;

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
