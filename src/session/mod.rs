//! Signed-in browsers.
//!
//! A session belongs to one origin and one provider; a mismatch is no session. Ids are 256 random
//! bits, kept as their SHA-256, new at every login. [`SessionStore`] is the seam: the memory store
//! keeps records here and gives the browser an id, the cookie store seals the record into the
//! browser. One contract suite runs against both.

pub mod cookie;
pub mod lifecycle;
mod live;
mod memory;
mod opened;
mod revocations;
mod sealed;
mod store;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod testing;

pub use live::{Handle, Live, Session};
pub use memory::MemoryStore;
pub use sealed::CookieStore;
pub use store::{Ending, Error, SessionStore};

use std::sync::Arc;
use std::time::Duration;

use crate::identity::{ClaimNames, ProviderName};
use crate::reply::Transport;
use crate::route::origin::{Origin, Scheme};
use crate::seal::MasterKey;

/// `sessions`, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// `store`.
    pub store: StoreKind,
    /// `keys`: the first seals, all open. Random at start when the memory store has none.
    pub keys: Vec<MasterKey>,
    /// `idle_timeout`.
    pub idle_timeout: Duration,
    /// `absolute_timeout`.
    pub absolute_timeout: Duration,
    /// `memory.capacity`: sessions kept, the least recently used leave first.
    pub memory_capacity: u64,
    /// `cookie.name`, without prefix.
    pub cookie_name: String,
    /// `cookie.max_size` in bytes, all chunks together.
    pub cookie_max_size: usize,
    /// `cookie.partitioned`.
    pub cookie_partitioned: bool,
}

/// Where sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In this process.
    Memory,
    /// Sealed whole into the browser's cookie.
    Cookie,
}

/// Where a session is good: one provider at one origin, under one cookie name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The cookie's whole name, prefix included.
    pub cookie: String,
    /// The origin as a browser writes it.
    pub origin: String,
    /// The provider.
    pub provider: ProviderName,
    /// Where the provider keeps well-known claims.
    pub names: Arc<ClaimNames>,
    /// Whether the origin's cookies are bound to TLS.
    pub transport: Transport,
    /// Whether the cookie is kept apart for each top-level site.
    pub partitioned: bool,
}

impl Scope {
    /// The scope of `provider` at `origin`. With several providers the cookie's name ends in the
    /// provider's.
    #[must_use]
    pub fn new(
        config: &Config,
        origin: &Origin,
        provider: &ProviderName,
        names: Arc<ClaimNames>,
        providers: usize,
    ) -> Self {
        let transport = transport(origin);
        let mut cookie = format!("{}{}", prefix(transport), config.cookie_name);
        if providers > 1 {
            cookie.push('-');
            cookie.push_str(provider.as_str());
        }
        Self {
            cookie,
            origin: origin.to_string(),
            provider: provider.clone(),
            names,
            transport,
            partitioned: config.cookie_partitioned,
        }
    }
}

/// Whether the cookies of an origin are bound to TLS.
#[must_use]
pub const fn transport(origin: &Origin) -> Transport {
    match origin.scheme {
        Scheme::Https => Transport::Tls,
        Scheme::Http => Transport::Plain,
    }
}

/// What our cookie names begin with: a browser keeps a `__Host-` cookie to one host, over TLS, for
/// all paths ([RFC 6265bis §4.1.3.2](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2)).
#[must_use]
pub const fn prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Tls => "__Host-",
        Transport::Plain => "",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::over_tls("https://app.example.com", 1, Transport::Tls, "__Host-vestibule")]
    #[case::one_of_two_providers("https://app.example.com", 2, Transport::Tls, "__Host-vestibule-idp")]
    #[case::on_loopback("http://localhost:8080", 1, Transport::Plain, "vestibule")]
    #[case::one_of_two_on_loopback("http://localhost:8080", 2, Transport::Plain, "vestibule-idp")]
    fn a_cookie_is_bound_to_its_host_wherever_there_is_tls(
        #[case] origin: &str,
        #[case] providers: usize,
        #[case] transport: Transport,
        #[case] cookie: &str,
    ) {
        let config = Config { cookie_partitioned: true, ..testing::config(StoreKind::Memory) };
        let (at, provider) = (Origin::parse(origin).unwrap(), ProviderName::parse("idp").unwrap());
        let names = Arc::new(ClaimNames::default());
        let scope = Scope::new(&config, &at, &provider, Arc::clone(&names), providers);
        let (cookie, origin) = (cookie.to_owned(), origin.to_owned());
        assert_eq!(scope, Scope { cookie, origin, provider, names, transport, partitioned: true });
    }
}
