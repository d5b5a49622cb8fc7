//! What operators see: logs, the access log, metrics, and the id that ties them together.
//!
//! Nothing here may slow a request down or name a person to a metric: access-log lines are written
//! by a thread of their own and dropped (and counted) when it can't keep up, metrics are counters
//! held since the start, and every label value comes from a closed list.

mod access_line;
pub mod access_log;
pub mod address;
pub mod labels;
mod line_queue;
pub mod logs;
pub mod metrics;
pub mod request_id;

pub use access_log::{AccessLog, Entry};
pub use metrics::Metrics;
pub use request_id::{RequestId, Sender};

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

impl Default for Config {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: "info".to_owned(),
            access: AccessOutput::Stdout,
            access_claims: vec!["sub".to_owned()],
            client_address: ClientAddress::Full,
        }
    }
}
