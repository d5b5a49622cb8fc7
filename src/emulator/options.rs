//! What the emulated environment holds, and where it listens.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::client::{Client, Resource, TokenEndpointAuthMethod};
use super::faults::{AccessTokenTyp, AuthTime};
use super::user::User;

/// One PingOne environment and where it listens.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on: loopback only, since the passwords are no secrets. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Id of the environment, a UUID.
    pub environment: String,
    /// Id of the organization, a UUID.
    pub organization: String,
    /// The region whose top-level domain stands in the API's audience.
    pub region: Region,
    /// Who can sign on.
    pub users: Vec<User>,
    /// The applications.
    pub clients: Vec<Client>,
    /// Custom resources, beside PingOne's own API.
    pub resources: Vec<Resource>,
    /// Names of the sign-on policies that a password satisfies; the first is the default.
    ///
    /// The first name of `acr_values` that stands here becomes `acr`. `Multi_Factor` isn't among the
    /// demo's: a password doesn't satisfy it, so that asking for it yields `Single_Factor`.
    pub sign_on_policies: Vec<String>,
    /// How long access tokens are good for.
    pub access_token_lifetime: Duration,
    /// How long ID tokens are good for.
    pub id_token_lifetime: Duration,
    /// `kid` of the first signing key; random when absent. PingOne's may literally be `default`.
    pub signing_kid: Option<String>,
    /// How `auth_time` is written at first; see [`Faults`](super::Faults).
    pub auth_time: AuthTime,
    /// `typ` of access tokens at first; see [`Faults`](super::Faults).
    pub access_token_typ: AccessTokenTyp,
}

impl Options {
    /// `client_id` of the demo's application.
    pub const DEMO_CLIENT_ID: &'static str = "8d3f6a52-0c7e-4b19-a1d4-52e9c07b6f31";
    /// Its secret: public, and good for nothing but the emulator.
    pub const DEMO_CLIENT_SECRET: &'static str = "local-pingone-demo-application";

    /// Two users and one application whose callbacks may be anywhere on loopback, on a free port.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            environment: "5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835".to_owned(),
            organization: "c1a7e0d4-3b52-4e68-9f10-2d86b57c4ae9".to_owned(),
            region: Region::NorthAmerica,
            users: vec![User::ada(), User::grace()],
            clients: vec![Client::demo()],
            resources: Vec::new(),
            sign_on_policies: vec!["Single_Factor".to_owned()],
            access_token_lifetime: Duration::from_hours(1),
            id_token_lifetime: Duration::from_hours(1),
            signing_kid: None,
            auth_time: AuthTime::Seconds,
            access_token_typ: AccessTokenTyp::AtJwt,
        }
    }

    /// Whether the parts fit together.
    pub(super) fn check(&self) -> Result<(), UnusableOptions> {
        if !self.listen.ip().is_loopback() {
            return Err(UnusableOptions::BeyondLoopback(self.listen));
        }
        if !is_uuid(&self.environment) {
            return Err(UnusableOptions::Environment(self.environment.clone()));
        }
        if self.sign_on_policies.is_empty() {
            return Err(UnusableOptions::NoPolicy);
        }
        let mut ids = BTreeSet::new();
        for client in &self.clients {
            let needs_secret = client.token_endpoint_auth_method != TokenEndpointAuthMethod::None;
            if needs_secret && client.secret.is_none() || !ids.insert(&client.id) {
                return Err(UnusableOptions::Client(client.id.clone()));
            }
        }
        if let Some(twice) = self.resources.iter().find(|resource| !ids.insert(&resource.id)) {
            return Err(UnusableOptions::Client(twice.id.clone()));
        }
        Ok(())
    }
}

/// Options that make no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableOptions {
    /// The passwords are public.
    #[error("listen on {0}: the emulator stays on loopback")]
    BeyondLoopback(SocketAddr),
    /// The environment's id would be a path segment.
    #[error("use `{0}` as an environment id: it isn't a UUID")]
    Environment(String),
    /// No `acr` could be given.
    #[error("sign anyone on without a sign-on policy")]
    NoPolicy,
    /// Twice the same id, or no secret where the method needs one.
    #[error("register client {0}: its id is taken, or its secret is missing")]
    Client(String),
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// Where an environment's data lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// North America without Canada.
    NorthAmerica,
    /// Canada.
    Canada,
    /// Europe.
    Europe,
    /// Australia.
    Australia,
    /// Singapore.
    Singapore,
    /// Asia-Pacific, for customers of old.
    AsiaPacific,
}

impl Region {
    /// The code in the claim `p1.region`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NorthAmerica => "NA",
            Self::Canada => "CA",
            Self::Europe => "EU",
            Self::Australia => "AU",
            Self::Singapore => "SG",
            Self::AsiaPacific => "AP",
        }
    }

    /// The top-level domain of PingOne's hosts.
    #[must_use]
    pub const fn tld(self) -> &'static str {
        match self {
            Self::NorthAmerica => "com",
            Self::Canada => "ca",
            Self::Europe => "eu",
            Self::Australia => "com.au",
            Self::Singapore => "sg",
            Self::AsiaPacific => "asia",
        }
    }

    /// Audience of the access tokens that plain OpenID scopes give.
    #[must_use]
    pub fn api_audience(self) -> String {
        format!("https://api.pingone.{}", self.tld())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_fits_together() {
        assert_eq!(Options::demo().check(), Ok(()));
    }

    #[test]
    fn stays_on_loopback() {
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let options = Options { listen, ..Options::demo() };
        assert_eq!(options.check(), Err(UnusableOptions::BeyondLoopback(listen)));
    }

    #[rstest::rstest]
    #[case::empty("")]
    #[case::a_path("../../../../../../../../../../../../..")]
    #[case::without_dashes("5b8a3c1e094d704f020b6e107c20d9f4a835")]
    fn refuses_an_environment_that_is_no_uuid(#[case] environment: &str) {
        let options = Options { environment: environment.to_owned(), ..Options::demo() };
        assert_eq!(options.check(), Err(UnusableOptions::Environment(environment.to_owned())));
    }

    #[test]
    fn refuses_two_clients_of_one_id_and_one_without_its_secret() {
        let mut options = Options::demo();
        options.clients.push(Client::public(Options::DEMO_CLIENT_ID));
        let id = Options::DEMO_CLIENT_ID.to_owned();
        assert_eq!(options.check(), Err(UnusableOptions::Client(id)));

        let forgetful = Client { secret: None, ..Client::confidential("forgetful", "") };
        let options = Options { clients: vec![forgetful], ..Options::demo() };
        assert_eq!(options.check(), Err(UnusableOptions::Client("forgetful".to_owned())));
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let shown = format!("{:?}", Options::demo());
        assert!(!shown.contains(Options::DEMO_CLIENT_SECRET));
        assert!(!shown.contains("lovelace-1843"));
    }
}
