//! The real edge in front of a real gateway, with no socket anywhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use pingora::protocols::http::v1::client::http_req_header_to_wire;
use tokio::runtime::Runtime;
use vestibule::config::{Source, load_with};
use vestibule::edge::Edge;
use vestibule::edge::rehearsal::End;
use vestibule::gateway::Gateway;
use vestibule::reply::Transport;
use vestibule::telemetry::AccessLog;

/// An https origin, reached over a plain listener from loopback, as behind a TLS terminator; public,
/// optional and protected routes inside one another.
const CONFIG: &str = r#"
origins: ["https://app.test", "https://other.test:8443"]
listeners: [{ address: "127.0.0.1:8080" }]
trusted_proxies: [10.0.0.0/8]
log: { access: { output: off } }
providers:
  idp: { issuer: "http://127.0.0.1:9", client_id: fuzz, client_secret: { env: SECRET } }
routes:
  - { id: all, auth: { session: idp }, upstream: "http://127.0.0.1:9000", identity: { headers: { X-Remote-User: sub } } }
  - { id: public, match: { path: /public }, auth: public, upstream: "http://127.0.0.1:9000" }
  - { id: inside, match: { path: /public/inside }, auth: { session: idp }, upstream: "http://127.0.0.1:9000" }
  - { id: optional, match: { path: /optional }, auth: { session: idp, required: false }, upstream: "http://127.0.0.1:9000" }
  - { id: probe, match: { path: /healthz, exact: true, any_host: true }, auth: public, upstream: "http://127.0.0.1:9000" }
"#;

/// Paths whose routes let anybody pass.
pub const OPEN: [&str; 3] = ["/public", "/optional", "/healthz"];
/// Paths within these that don't.
pub const CLOSED: [&str; 1] = ["/public/inside"];
/// The origins that are served.
pub const AUTHORITIES: [&str; 2] = ["app.test", "other.test:8443"];

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Pingora found no request in it.
    Unread,
    /// The gateway answered this.
    Answered(Vec<u8>),
    /// This head goes upstream.
    Forwarded(Vec<u8>),
}

struct Served {
    edge: Edge,
    gateway: Arc<Gateway>,
    runtime: Runtime,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().expect("nobody else installs one");
    let source = Source::Text { name: "fuzz.yaml".into(), text: CONFIG.into(), base_dir: PathBuf::from(".") };
    let loaded = load_with(&source, &|name| (name == "SECRET").then(|| "secret".to_owned()));
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    let mut config = loaded.config.expect("there are no faults");
    let gateway = vestibule::server::gateway(&mut config).expect("the parts can be built");
    let log = Arc::new(AccessLog::new(&config.log));
    let edge = Edge::new(Arc::clone(&gateway), config.limits, config.trusted_proxies, log, Arc::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Served { edge, gateway, runtime }
});

/// The gateway behind the edge.
pub fn gateway() -> &'static Gateway {
    &SERVED.gateway
}

/// Sends these bytes to the edge as a client's connection.
pub fn exchange(sent: &[u8], peer: SocketAddr) -> Outcome {
    if asks_the_provider(sent) {
        return Outcome::Unread;
    }
    match SERVED.runtime.block_on(SERVED.edge.rehearse(sent, peer, Transport::Plain)).end {
        End::Unread => Outcome::Unread,
        End::Answered(bytes) => Outcome::Answered(bytes),
        End::Forwarded(head) => match http_req_header_to_wire(&head) {
            Some(head) => Outcome::Forwarded(head.to_vec()),
            None => Outcome::Unread,
        },
    }
}

/// A login is started with a call to the provider, and there is no network here.
fn asks_the_provider(sent: &[u8]) -> bool {
    let line = sent.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    line.is_some_and(|line| line.to_ascii_lowercase().windows(7).any(|part| part == b"sign-in"))
}
