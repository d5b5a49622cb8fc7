//! Scopes: what a client asked for and was granted.

use super::client::{Client, OfflineAccess};
use super::options::Options;

/// The OpenID scopes that discovery lists.
pub(super) const OPENID_SCOPES: [&str; 5] = ["openid", "profile", "email", "address", "phone"];

/// A set of scopes in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Scope(Vec<String>);

impl Scope {
    /// Reads a list separated by blanks
    /// ([RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)).
    pub(super) fn parse(text: &str) -> Self {
        let mut scopes: Vec<String> = Vec::new();
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Self(scopes)
    }

    pub(super) fn has(&self, scope: &str) -> bool {
        self.0.iter().any(|known| known == scope)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these is about a user.
    pub(super) fn is_about_a_user(&self) -> bool {
        self.has("offline_access") || OPENID_SCOPES.iter().any(|scope| self.has(scope))
    }

    /// Whether every one of these is in `wider`.
    pub(super) fn is_within(&self, wider: &Self) -> bool {
        self.0.iter().all(|scope| wider.has(scope))
    }

    /// What `client` gets of these on a user's behalf; [`None`] when one is unknown.
    ///
    /// `offline_access` is dropped when the application's grant doesn't have it: then the refresh
    /// token comes anyway.
    pub(super) fn granted(mut self, options: &Options, client: &Client) -> Option<Self> {
        if client.offline_access == OfflineAccess::NotGranted {
            self.0.retain(|scope| scope != "offline_access");
        }
        let known = |scope: &str| {
            OPENID_SCOPES.contains(&scope)
                || scope == "offline_access"
                || scope.starts_with("p1:")
                || options.resources.iter().any(|resource| resource.scopes.iter().any(|own| own == scope))
        };
        self.0.iter().all(|scope| known(scope)).then_some(self)
    }

    /// Audiences of an access token with these scopes: the custom resources whose scopes it has,
    /// else PingOne's API.
    pub(super) fn audiences(&self, options: &Options) -> Vec<String> {
        let of_ours = |scopes: &[String]| scopes.iter().any(|scope| self.has(scope));
        let custom: Vec<String> = options
            .resources
            .iter()
            .filter(|resource| of_ours(&resource.scopes))
            .map(|resource| resource.audience.clone())
            .collect();
        if custom.is_empty() { vec![options.region.api_audience()] } else { custom }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::client::Resource;

    fn options() -> Options {
        let orders = Resource {
            id: "orders".to_owned(),
            secret: "s".into(),
            audience: "orders-api".to_owned(),
            scopes: vec!["orders:read".to_owned()],
        };
        Options { resources: vec![orders], ..Options::demo() }
    }

    #[test]
    fn drops_repetitions_and_blanks() {
        assert_eq!(Scope::parse(" openid  email openid ").to_string(), "openid email");
        assert!(Scope::parse("  ").is_empty());
    }

    #[test]
    fn an_unknown_scope_spoils_the_request() {
        let client = Client::public("c");
        assert_eq!(Scope::parse("openid everything").granted(&options(), &client), None);
    }

    #[test]
    fn offline_access_is_granted_only_where_the_grant_has_it() {
        let without = Client::public("c");
        let with = Client { offline_access: OfflineAccess::Granted, ..Client::public("c") };
        let asked = Scope::parse("openid offline_access");
        let granted = |client| asked.clone().granted(&options(), client).map(|scope| scope.to_string());
        assert_eq!(granted(&without).as_deref(), Some("openid"));
        assert_eq!(granted(&with).as_deref(), Some("openid offline_access"));
    }

    #[test]
    fn custom_scopes_decide_the_audience() {
        assert_eq!(Scope::parse("openid").audiences(&options()), ["https://api.pingone.com"]);
        assert_eq!(Scope::parse("openid orders:read").audiences(&options()), ["orders-api"]);
    }
}
