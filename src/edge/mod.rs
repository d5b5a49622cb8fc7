//! The edge: listeners, and every phase of a proxied request. The only folder but `server/` and
//! `admin/` that names Pingora.

pub mod forwarded;
pub mod hygiene;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One of `listeners`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it does.
    pub kind: ListenerKind,
}

/// What a listener does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// Serves without TLS: http origins to anyone, https origins to loopback and trusted proxies.
    Plain,
    /// Serves with TLS; certificates are chosen by SNI, the first is the default.
    Tls(Vec<CertificateFiles>),
    /// Answers 308 to the same address over https.
    RedirectToHttps,
}

/// PEM files of one certificate chain and its key. Both were read and matched at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `certificate`.
    pub certificate: PathBuf,
    /// `key`.
    pub key: PathBuf,
}

/// `limits` and `http2`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `head.size` in bytes: 431 above.
    pub head_size: usize,
    /// `head.fields`: 431 above.
    pub head_fields: usize,
    /// `target` in bytes: 414 above.
    pub target: usize,
    /// `body` in bytes: 413 above; a route may say otherwise.
    pub body: u64,
    /// `idle`: how long a kept connection may wait for the next request.
    pub idle: Duration,
    /// `write`: how long a client may refuse to read.
    pub write: Duration,
    /// `http2.streams`.
    pub http2_streams: u32,
    /// `http2.idle`.
    pub http2_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_size: 64 * 1024,
            head_fields: 100,
            target: 16 * 1024,
            body: 100 * 1024 * 1024,
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            http2_streams: 100,
            http2_idle: Duration::from_mins(5),
        }
    }
}
