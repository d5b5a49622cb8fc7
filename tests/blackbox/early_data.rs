//! What comes before a TLS handshake is done may be played again by anybody on the way
//! ([RFC 8446 §8](https://www.rfc-editor.org/rfc/rfc8446#section-8)), so no client is offered to send it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::support::site::{Site, certificate};

/// A client that would send its request with its first bytes, if it were let.
fn eager(trusted: &str) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    Arc::new(config)
}

/// One request on a connection of its own: how its handshake went, and whether more could be sent before it.
fn ask(site: &Site, config: &Arc<ClientConfig>) -> (HandshakeKind, bool) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let offered = connection.early_data().is_some();
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, site.gateway.port())).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut tls = StreamOwned::new(connection, tcp);
    let host = site.gateway.host();
    write!(tls, "GET /public/early HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // Tickets come with the answer; a close without a word is no matter here.
    let _ = tls.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
    (tls.conn.handshake_kind().unwrap(), offered)
}

#[test]
fn nothing_can_be_sent_before_the_handshake_is_done() {
    let (certificate, key) = certificate();
    let site = Site::with(|config, _| config.tls(&certificate, &key));
    let config = eager(&certificate);
    assert_eq!(ask(&site, &config), (HandshakeKind::Full, false));
    // It comes back with a ticket, with which a server may offer it.
    assert_eq!(ask(&site, &config), (HandshakeKind::Resumed, false));
}
