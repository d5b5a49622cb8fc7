//! `providers`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::values::{Later, List, Named, Period, Rate, Scalar};
use super::Secret;

/// One OpenID provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// The issuer, exactly as the provider writes it. This or pingone.
    pub(crate) issuer: Option<String>,
    /// A PingOne environment instead of an issuer.
    pub(crate) pingone: Option<PingOne>,
    /// The client as registered at the provider.
    #[schemars(required)]
    pub(crate) client_id: Option<String>,
    /// Its secret; none with client_auth: none.
    pub(crate) client_secret: Option<Secret>,
    /// Default: client_secret_basic.
    pub(crate) client_auth: Option<ClientAuth>,
    /// (later) For private_key_jwt.
    pub(crate) client_key: Option<Later>,
    /// openid among them. Default: [openid, profile, email].
    pub(crate) scopes: Option<List<String>>,
    /// Default: code; others come later.
    pub(crate) response_type: Option<String>,
    /// Default: query.
    pub(crate) response_mode: Option<ResponseMode>,
    /// Default: get.
    pub(crate) authorize_method: Option<AuthorizeMethod>,
    /// Pushed authorization requests. Default: never.
    pub(crate) par: Option<Par>,
    /// Further parameters of the authorization request.
    pub(crate) authorize: Option<Named<Scalar>>,
    /// RS256, PS256, ES256, EdDSA. Default: all four.
    pub(crate) id_token_algorithms: Option<List<String>>,
    /// Accepted `typ` of JWT access tokens. Default: [at+jwt]; others come later.
    pub(crate) access_token_typ: Option<List<String>>,
    /// By how much the provider's clock may differ. Default: 60s.
    pub(crate) clock_skew: Option<Period>,
    /// When the userinfo endpoint is asked. Default: never.
    pub(crate) userinfo: Option<Userinfo>,
    /// Where this provider keeps well-known claims.
    pub(crate) claims: Option<ClaimNames>,
    /// (later) Whether sessions are refreshed.
    pub(crate) refresh: Option<Refresh>,
    /// How far a sign-out goes. Default: browser.
    pub(crate) sign_out: Option<SignOut>,
    /// Where people are sent once signed out: a path of the origin. Default: /.
    pub(crate) after_sign_out: Option<String>,
    /// Limits of each call.
    pub(crate) timeouts: Option<Timeouts>,
    /// Whom to trust over TLS.
    pub(crate) tls: Option<Tls>,
    /// An HTTP proxy on the way to the provider.
    pub(crate) http_proxy: Option<String>,
    /// Logins that cost a call to the provider, such as 20/s. Default: 20/s.
    pub(crate) login_rate: Option<Rate>,
    /// (later) Introspection of access tokens.
    pub(crate) introspection: Option<Later>,
}

/// A PingOne environment: environment and region, or a custom domain.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingOne {
    /// The environment's UUID.
    pub(crate) environment: Option<String>,
    /// Its region.
    pub(crate) region: Option<Region>,
    /// The environment's custom domain, such as auth.example.com.
    pub(crate) domain: Option<String>,
}

/// PingOne regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Region {
    /// North America.
    Na,
    /// Canada.
    Ca,
    /// Europe.
    Eu,
    /// Australia.
    Au,
    /// Singapore.
    Sg,
    /// Asia-Pacific, for customers of old.
    Ap,
}

/// How the client proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuth {
    /// The secret in the Authorization header.
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
    /// A public client: PKCE alone.
    None,
    /// (later)
    ClientSecretJwt,
    /// (later)
    PrivateKeyJwt,
    /// (later)
    #[serde(rename = "tls_client_auth")]
    Tls,
}

/// How the authorization response comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum ResponseMode {
    /// In the query.
    #[serde(rename = "query")]
    Query,
    /// As a posted form; https only.
    #[serde(rename = "form_post")]
    FormPost,
    /// (later)
    #[serde(rename = "fragment")]
    Fragment,
    /// (later)
    #[serde(rename = "pi.flow")]
    PiFlow,
}

/// How the authorization request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthorizeMethod {
    /// As a redirect.
    Get,
    /// (later)
    Post,
}

/// Pushed authorization requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Par {
    /// Not used.
    Never,
    /// (later)
    Auto,
    /// (later)
    Require,
}

/// When the userinfo endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Userinfo {
    /// Never.
    Never,
    /// At every login.
    Always,
    /// When a claim that some route maps or requires is absent from the ID token.
    WhenMissing,
}

/// Whether sessions are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refresh {
    /// (later)
    Auto,
    /// Never, as in this release.
    Never,
}

/// How far a sign-out goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignOut {
    /// On to the provider, in the browser.
    Browser,
    /// Here alone.
    Local,
    /// (later)
    Idp,
}

/// Where a provider keeps well-known claims; dots reach into objects.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimNames {
    /// Default: groups.
    pub(crate) groups: Option<String>,
    /// Default: email.
    pub(crate) email: Option<String>,
    /// The claim that must be true, or `assume` where the provider is known to verify every address.
    /// Default: email_verified.
    pub(crate) email_verified: Option<String>,
}

/// Limits of each call to the provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    /// Default: 2s.
    pub(crate) connect: Option<Period>,
    /// Default: 5s.
    pub(crate) total: Option<Period>,
}

/// Whom to trust over TLS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file of certificates trusted instead of the system's.
    pub(crate) ca: Option<String>,
}
