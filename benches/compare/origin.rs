//! Where a server is, and connections to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::Result;

/// An address, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    /// Over TLS, if there is a client for it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// A connection, whatever it is made of.
pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Origin {
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    pub(crate) const fn secure(address: SocketAddr, client: Arc<ClientConfig>) -> Self {
        Self { address, tls: Some(client) }
    }

    pub(crate) const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.address)
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(config) => Box::new(StreamOwned::new(handshake(config, self.address)?, stream)),
        })
    }
}

/// A handshake to come.
pub(crate) fn handshake(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<ClientConnection> {
    Ok(ClientConnection::new(Arc::clone(config), ServerName::from(address.ip()))?)
}
