//! The admin listener: health, readiness, metrics. Never the public one.

use std::net::SocketAddr;

/// `admin`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `address`: /healthz, /readyz and /metrics.
    pub address: AdminAddress,
    /// `probes`: /healthz and /readyz alone; absent means not listening.
    pub probes: Option<SocketAddr>,
}

/// Where the admin listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAddress {
    /// Written by the operator; failing to bind it ends the process.
    Chosen(SocketAddr),
    /// 127.0.0.1:9900, which nobody asked for: when it is taken, the gateway warns and goes on.
    Default(SocketAddr),
}
