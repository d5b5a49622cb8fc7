//! The service behind a route.

use std::net::SocketAddr;
use std::sync::Arc;
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
    /// `strip_prefix`: whole segments cut from the path after the decision.
    pub strip_prefix: Option<String>,
    /// `timeouts`.
    pub timeouts: Timeouts,
    /// `retries`.
    pub retries: Retries,
    /// `tls`, for an https server.
    pub tls: Option<UpstreamTls>,
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
