//! The service behind a route.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;

/// `routes[].upstream`, resolved.
#[derive(Debug)]
pub struct Upstream {
    /// The server; a service has one in this release.
    pub server: Server,
    /// `host`: what the upstream sees as Host.
    pub host: HostHeader,
    /// `protocol`: what is spoken with it.
    pub protocol: Protocol,
    /// `strip_prefix`: whole segments cut from the path after the decision.
    pub strip_prefix: Option<String>,
    /// `timeouts`.
    pub timeouts: Timeouts,
    /// `retries`.
    pub retries: Retries,
    /// `tls`, for an https server.
    pub tls: Option<UpstreamTls>,
    /// What the edge has made of all this.
    pub prepared: Prepared,
}

/// What is spoken with an upstream. Nothing else is ever fallen back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1, the only one that carries WebSockets here.
    #[default]
    Http1,
    /// HTTP/2 as agreed on in the TLS handshake
    /// ([RFC 9113 §3.2](https://www.rfc-editor.org/rfc/rfc9113#section-3.2)).
    H2,
    /// HTTP/2 without TLS, known to be spoken
    /// ([RFC 9113 §3.3](https://www.rfc-editor.org/rfc/rfc9113#section-3.3)).
    H2c,
}

impl Protocol {
    /// Whether one connection carries the requests of many.
    #[must_use]
    pub const fn is_http2(self) -> bool {
        matches!(self, Self::H2 | Self::H2c)
    }
}

/// A place for what is made of an upstream once and used by each request to it, in a type that this
/// floor doesn't know.
#[derive(Default)]
pub struct Prepared(OnceLock<Box<dyn Any + Send + Sync>>);

impl Prepared {
    /// What is there, made when it is asked for first; none if that was of another type.
    pub fn get_or_make<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.0.get_or_init(|| Box::new(make())).downcast_ref()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "Prepared" } else { "Unprepared" })
    }
}

/// One server of an upstream.
#[derive(Debug)]
pub struct Server {
    /// Host name or address as written.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The address in use, found by the resolver; the last good one is kept.
    pub address: ArcSwapOption<SocketAddr>,
}

impl Server {
    /// A server by name or address. An address needs no resolver.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let address = literal.map(|ip| Arc::new(SocketAddr::new(ip, port)));
        Self { host: host.to_owned(), port, address: ArcSwapOption::from(address) }
    }

    /// Whether the host is a name that the resolver must look up.
    #[must_use]
    pub fn needs_resolving(&self) -> bool {
        self.host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_err()
    }
}

/// What the upstream sees as Host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// What the browser typed.
    Preserve,
    /// The server's own name.
    Server,
    /// This name.
    Name(HeaderValue),
}

/// How the upstream is trusted over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that the certificate must carry; never empty, since an empty one would switch
    /// verification off.
    pub server_name: String,
    /// PEM certificates trusted instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// `upstream.timeouts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Limit for the connection.
    pub connect: Duration,
    /// Limit until the response's first byte.
    pub first_byte: Duration,
    /// Limit between bytes of the response.
    pub between_bytes: Duration,
    /// The same for WebSockets and event streams.
    pub stream_idle: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_mins(1),
            between_bytes: Duration::from_mins(1),
            stream_idle: Duration::from_hours(1),
            keep_alive: Duration::from_secs(30),
        }
    }
}

/// `upstream.retries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Further attempts to connect.
    pub connect: u32,
    /// Further attempts when a kept connection turns out dead; idempotent requests only.
    pub stale_connection: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { connect: 2, stale_connection: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_prepared_is_made_once() {
        let prepared = Prepared::default();
        assert_eq!(prepared.get_or_make(|| 1_u32), Some(&1));
        assert_eq!(prepared.get_or_make(|| 2_u32), Some(&1));
        assert_eq!(prepared.get_or_make(|| "another type"), None);
        assert_eq!(format!("{prepared:?} {:?}", Prepared::default()), "Prepared Unprepared");
    }
}
