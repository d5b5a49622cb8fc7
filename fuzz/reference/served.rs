//! The real edge in front of a real gateway, driven as Pingora drives it, with no socket anywhere.
//!
//! What Pingora does between the phases and keeps private is done here by its documentation: it
//! removes connection headers before `upstream_request_filter` and frames the body after it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::proxy::{ProxyHttp, Session as Downstream};
use tokio::runtime::Runtime;
use vestibule::config::{Source, load_with};
use vestibule::edge::Edge;
use vestibule::gateway::Gateway;
use vestibule::telemetry::AccessLog;

use crate::connection::Connection;
use crate::names;

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
    let (connection, answer) = Connection::new(sent, peer);
    let mut down = Downstream::new_h1(Box::new(connection));
    SERVED.runtime.block_on(async {
        // As Pingora's application for HTTP/1 connections begins.
        down.as_downstream_mut().set_keepalive(Some(60));
        if !matches!(down.as_downstream_mut().read_request().await, Ok(true)) {
            return Outcome::Unread;
        }
        if asks_the_provider(down.req_header()) {
            return Outcome::Unread;
        }
        match forwarded(&mut down).await {
            Ok(Some(head)) => Outcome::Forwarded(head),
            Ok(None) | Err(_) => Outcome::Answered(answer.bytes()),
        }
    })
}

/// A login is started with a call to the provider, and there is no network here.
fn asks_the_provider(request: &RequestHeader) -> bool {
    request.uri.path().to_ascii_lowercase().contains("sign-in")
}

async fn forwarded(down: &mut Downstream) -> pingora::Result<Option<Vec<u8>>> {
    let edge = &SERVED.edge;
    let mut ctx = edge.new_ctx();
    edge.early_request_filter(down, &mut ctx).await?;
    if edge.request_filter(down, &mut ctx).await? {
        return Ok(None);
    }
    let mut request = down.req_header().clone();
    let received = request.version;
    request.set_version(Version::HTTP_11);
    remove_connection_headers(&mut request, received)?;
    edge.upstream_request_filter(down, &mut request, &mut ctx).await?;
    let framed =
        request.headers.contains_key(CONTENT_LENGTH) || request.headers.contains_key(TRANSFER_ENCODING);
    if !down.as_downstream_mut().is_body_empty() && !framed {
        request.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(http_req_header_to_wire(&request).map(|head| head.to_vec()))
}

fn remove_connection_headers(request: &mut RequestHeader, received: Version) -> pingora::Result<()> {
    let web_socket = received == Version::HTTP_11
        && request.headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let options: Vec<String> = request
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
        .collect();
    let names: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
    for name in names {
        if options.contains(&name) || names::is_hop_by_hop(&name) {
            request.remove_header(name.as_str());
        }
    }
    if web_socket {
        request.insert_header(CONNECTION, "Upgrade")?;
        request.insert_header(UPGRADE, "websocket")?;
    }
    Ok(())
}
