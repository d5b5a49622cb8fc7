//! Calls to providers: bounded in time and size, never following a redirect.

mod guarded;

pub use guarded::{GuardedClient, is_loopback};

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Largest body accepted from a provider, after decoding.
pub const MAX_BODY: usize = 1024 * 1024;

/// Sends one request and reads the whole answer.
#[async_trait]
pub trait HttpClient: Send + Sync + std::fmt::Debug {
    /// Sends `request`; any status is an answer.
    ///
    /// # Errors
    /// [`Error`] when there is no usable answer in time.
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Bytes>, Error>;
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("reach the provider: {0}")]
    Unreachable(String),
    /// No whole answer within the limits.
    #[error("hear from the provider within {0:?}")]
    TimedOut(Duration),
    /// A body over [`MAX_BODY`].
    #[error("read the provider's answer: it is longer than {MAX_BODY} bytes")]
    TooLarge,
}

/// How calls to one provider are made (`providers.X.timeouts`, `tls`, `http_proxy`).
#[derive(Clone)]
pub struct Config {
    /// Limit for the connection.
    pub connect_timeout: Duration,
    /// Limit for the whole call.
    pub total_timeout: Duration,
    /// PEM certificates trusted instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Where plain http is spoken.
    pub plain_http: PlainHttp,
    /// An HTTP proxy on the way out; the environment's proxy settings are not looked at.
    pub proxy: Option<url::Url>,
}

impl std::fmt::Debug for Config {
    /// Without the proxy, whose address may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("connect_timeout", &self.connect_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("plain_http", &self.plain_http)
            .finish_non_exhaustive()
    }
}

/// Where a provider may be spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// On this machine alone.
    LoopbackOnly,
    /// Anywhere: the operator insists (`danger_plain_http`).
    DangerAnywhere,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            total_timeout: Duration::from_secs(5),
            ca_pem: None,
            plain_http: PlainHttp::LoopbackOnly,
            proxy: None,
        }
    }
}
