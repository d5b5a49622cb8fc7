//! A client's connection, from accept to close.
//!
//! The listeners are ours, so that a connection is counted from the moment it is accepted until it
//! is closed, has a clock while it shakes hands, and is handed to Pingora as a stream of ours.
//! [`Listener`] accepts, [`Admission`] says whether there is room, `handshake` speaks TLS, and
//! [`Transport`] is what Pingora reads and writes.

mod admission;
mod handshake;
mod listener;
mod transport;

pub(super) use admission::subscriber;
pub use admission::{Admission, Admitted};
pub use handshake::Handshake;
pub use listener::{Accepting, Address, Entrance, Listener};
pub use transport::Transport;

/// `limits.connections`, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `total`: connections of all listeners together; further ones are closed at accept.
    pub total: usize,
    /// `per_address`: connections of one client address (of one /64 network over IPv6). Trusted
    /// proxies speak for many and aren't held to it.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 20_000, per_address: 500 }
    }
}
