//! Origins: scheme, host and port as a browser knows them, and the Host header that names one.
//!
//! The only source of redirect URIs, cookies and outward URLs. What a client says of its own host
//! picks an origin out of the configured ones and never becomes part of an answer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A host in its one form: lower case, no trailing dot, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// Scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain; loopback only unless the operator insists.
    Http,
    /// TLS.
    Https,
}

/// One of `origins`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: Host,
    /// Port, also where it is the scheme's default.
    pub port: u16,
}

/// A Host header or `:authority`, read: a host, and a port where one was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Host.
    pub host: Host,
    /// Port, if written.
    pub port: Option<u16>,
}

/// Why a text is not a host, an authority or an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrigin {
    /// No scheme of ours.
    #[error("an origin begins with https:// (or http:// on loopback)")]
    Scheme,
    /// No host, or one with bytes that no host has.
    #[error("the host is missing or malformed")]
    Host,
    /// Not a port.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A path, a query, a fragment or user information.
    #[error("an origin is scheme, host and port only: no path, no user")]
    More,
}

impl Host {
    /// Reads a host: a DNS name of letters, digits, `-`, `_` and dots, an IPv4 address, or an IPv6
    /// address in brackets.
    ///
    /// # Errors
    /// [`NotAnOrigin::Host`].
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let _ = text;
        unimplemented!()
    }

    /// The host as compared and written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the host is `localhost`, in 127.0.0.0/8, or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let _: Option<IpAddr> = None;
        unimplemented!()
    }
}

impl Authority {
    /// Reads a Host header ([RFC 9110 §7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)):
    /// host, and optionally `:` and a port from 1 to 65535. User information, a comma, a slash,
    /// blanks and anything else make it malformed.
    ///
    /// # Errors
    /// [`NotAnOrigin`].
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let _ = text;
        unimplemented!()
    }
}

impl Origin {
    /// Reads an origin as written in the configuration.
    ///
    /// # Errors
    /// [`NotAnOrigin`].
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let _ = text;
        unimplemented!()
    }

    /// Whether `authority` names this origin: same host, and the same port, where an absent one
    /// means the scheme's default.
    #[must_use]
    pub fn is_named_by(&self, authority: &Authority) -> bool {
        let _ = authority;
        unimplemented!()
    }

    /// Host, and the port unless it is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        unimplemented!()
    }
}

impl fmt::Display for Origin {
    /// As a browser writes it: `https://app.example.com`, the default port left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        unimplemented!()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
