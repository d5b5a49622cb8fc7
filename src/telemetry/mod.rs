//! What operators see: logs, the access log, metrics.

/// `log`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `format`.
    pub format: LogFormat,
    /// `level`: what `RUST_LOG` takes; the environment wins.
    pub level: String,
    /// `access.output`.
    pub access: AccessOutput,
    /// `access.claims`: claims of the identity written to the access log.
    pub access_claims: Vec<String>,
    /// `access.client_address`.
    pub client_address: ClientAddress,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where the access log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessOutput {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
}

/// How much of a client's address is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// All of it.
    Full,
    /// The last byte of an IPv4 address, the last 80 bits of an IPv6 address are zero.
    Truncated,
}
