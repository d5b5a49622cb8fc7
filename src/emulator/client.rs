//! An application and its rules, and the APIs it may call.
//!
//! The names are those of PingOne's application model (`tokenEndpointAuthMethod`,
//! `pkceEnforcement`, `parRequirement`, …), so that a test reads like the console.

use std::time::Duration;

use secrecy::SecretString;

use super::options::Options;
use super::redirects::Redirects;

const DAY: Duration = Duration::from_hours(24);

/// An application. It has one response type, `code`.
#[derive(Debug, Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// Shown on the sign-on page.
    pub name: String,
    /// `client_secret`; needed unless the method is `None`.
    pub secret: Option<SecretString>,
    /// The one way it authenticates; every other is refused.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// What the token endpoint gives it.
    pub grant_types: Vec<GrantType>,
    /// Where codes may go.
    pub redirect_uris: Redirects,
    /// Where a sign-off may return to.
    pub post_logout_redirect_uris: Redirects,
    /// Whether requests need PKCE.
    pub pkce_enforcement: PkceEnforcement,
    /// Whether requests must be pushed.
    pub par_requirement: ParRequirement,
    /// How long refresh tokens live and what a replay does.
    pub refresh: RefreshPolicy,
    /// Whether the resource grant has the scope `offline_access`.
    pub offline_access: OfflineAccess,
    /// Whether it may end sessions by `/as/idpSignoff`.
    pub idp_signoff: IdpSignoff,
}

impl Client {
    /// A confidential application with a code flow, refresh tokens and PingOne's defaults.
    #[must_use]
    pub fn confidential(id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            id,
            secret: Some(secret.into()),
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            redirect_uris: Redirects::Exact(Vec::new()),
            post_logout_redirect_uris: Redirects::Exact(Vec::new()),
            pkce_enforcement: PkceEnforcement::Optional,
            par_requirement: ParRequirement::Optional,
            refresh: RefreshPolicy::default(),
            offline_access: OfflineAccess::NotGranted,
            idp_signoff: IdpSignoff::Disabled,
        }
    }

    /// An application without a secret; S256 is required of it.
    #[must_use]
    pub fn public(id: impl Into<String>) -> Self {
        Self {
            secret: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::None,
            pkce_enforcement: PkceEnforcement::S256Required,
            ..Self::confidential(id, "")
        }
    }

    pub(super) fn demo() -> Self {
        Self {
            name: "Vestibule demo".to_owned(),
            grant_types: vec![
                GrantType::AuthorizationCode,
                GrantType::RefreshToken,
                GrantType::ClientCredentials,
            ],
            redirect_uris: Redirects::AnyLoopback,
            post_logout_redirect_uris: Redirects::AnyLoopback,
            pkce_enforcement: PkceEnforcement::S256Required,
            idp_signoff: IdpSignoff::Enabled,
            ..Self::confidential(Options::DEMO_CLIENT_ID, Options::DEMO_CLIENT_SECRET)
        }
    }

    pub(super) fn allows(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }
}

/// `tokenEndpointAuthMethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenEndpointAuthMethod {
    /// A public client: `client_id` alone.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// `client_id` and `client_secret` in the form.
    ClientSecretPost,
}

/// `grantTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantType {
    /// Codes.
    AuthorizationCode,
    /// Refresh tokens; without it none is given.
    RefreshToken,
    /// The client on its own behalf.
    ClientCredentials,
}

/// `pkceEnforcement`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PkceEnforcement {
    /// Checked when used.
    Optional,
    /// Plain or S256.
    Required,
    /// S256 only.
    S256Required,
}

/// `parRequirement`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParRequirement {
    /// Either way.
    Optional,
    /// Only pushed requests.
    Required,
}

/// Whether the application's resource grant has `offline_access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineAccess {
    /// A refresh token comes only when the request asks for it.
    Granted,
    /// A refresh token always comes.
    NotGranted,
}

/// `idpSignoff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdpSignoff {
    /// Sessions end by ID token alone, server to server.
    Enabled,
    /// Refused.
    Disabled,
}

/// The rules of refresh tokens; they rotate at every use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// `refreshTokenDuration`: how long one lives.
    pub duration: Duration,
    /// `refreshTokenRollingDuration`: how long all that follow from one sign-on live; absent is forever.
    pub rolling_duration: Option<Duration>,
    /// `refreshTokenRollingGracePeriodDuration`: how long a used one may be used again.
    pub grace_period: Duration,
    /// `additionalRefreshTokenReplayProtectionEnabled`.
    pub replay_protection: ReplayProtection,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            duration: DAY * 30,
            rolling_duration: None,
            grace_period: Duration::ZERO,
            replay_protection: ReplayProtection::On,
        }
    }
}

/// What a replay after the grace period does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayProtection {
    /// Revokes the replayed token and all its descendants.
    On,
    /// Refuses the replayed token alone.
    Off,
}

/// A custom resource: an API with scopes of its own.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its id, as `client_id` at the introspection endpoint.
    pub id: String,
    /// Its secret at the introspection endpoint.
    pub secret: SecretString,
    /// What its tokens carry as `aud`.
    pub audience: String,
    /// Its scopes, open to every application.
    pub scopes: Vec<String>,
}
