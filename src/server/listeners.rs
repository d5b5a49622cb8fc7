//! Listeners: claimed before anything starts, opened by Pingora, then asked whether they answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::http_app::HttpServer;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::Stream;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::http_proxy;
use pingora::server::{Server, ShutdownWatch};
use pingora::services::background::BackgroundService;
use pingora::services::listening::Service;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::StartError;
use crate::admin::{Admin, AdminAddress, Health, Readiness};
use crate::config::Config;
use crate::edge::{Certificates, Edge, ListenerKind, RedirectToHttps, Wire};
use crate::gateway::Gateway;

/// Finds out whether every address can be had. Pingora would find out in a task, panic there and
/// live on without the listener. A default admin address that is taken is given up.
pub(super) fn claim(config: &Config) -> Result<Option<SocketAddr>, StartError> {
    let (admin, chosen_admin) = match config.admin.address {
        AdminAddress::Chosen(address) => (address, Some(address)),
        AdminAddress::Default(address) => (address, None),
    };
    let chosen = config.listeners.iter().map(|listener| listener.address).chain(config.admin.probes);
    let mut held = Vec::new();
    for address in chosen.chain(chosen_admin) {
        held.push(TcpListener::bind(address).map_err(|source| StartError::Bind { address, source })?);
    }
    if chosen_admin.is_none()
        && let Err(error) = TcpListener::bind(admin)
    {
        tracing::warn!(address = %admin, %error, "the default admin address is taken: going on without an admin listener; set admin.address");
        return Ok(None);
    }
    Ok(Some(admin))
}

/// Adds the edge with its listeners, and those that only redirect. Returns the certificates that the
/// TLS listeners answer with.
pub(super) fn add(
    server: &mut Server,
    config: &Config,
    edge: Edge,
    gateway: &Arc<Gateway>,
) -> Result<Vec<Arc<Certificates>>, StartError> {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(config.limits.http2_idle);
    let mut proxy = http_proxy(&server.configuration, edge);
    proxy.server_options = Some(options);
    // Pingora's bounds, then ours.
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(config.limits.http2_streams);
    // HTTP/2 counts 32 bytes more for each field (RFC 9113 §6.5.2) and can only break off: the edge's
    // own check, whose answer takes the cookies from the browser, must come first.
    let head = 2 * config.limits.head_size + 32 * (config.limits.head_fields + 64);
    h2.max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX));
    proxy.h2_options = Some(h2);
    let wire = Wire::new(config.limits.clone(), Arc::clone(&gateway.metrics));
    let mut service = Service::new("edge".to_owned(), OnTheWire { app: Arc::new(proxy), wire: wire.clone() });
    let mut redirect = Service::new(
        "redirect to https".to_owned(),
        OnTheWire { app: Arc::new(HttpServer::new_app(RedirectToHttps::new(Arc::clone(gateway)))), wire },
    );
    let mut redirects = false;
    let mut all = Vec::new();
    for listener in &config.listeners {
        let address = listener.address.to_string();
        match &listener.kind {
            ListenerKind::Plain => service.add_tcp(&address),
            ListenerKind::Tls(files) => {
                let certificates = Arc::new(Certificates::load(files).map_err(StartError::Part)?);
                let mut tls = TlsSettings::with_callbacks(Box::new(NoCallbacks))
                    .map_err(|error| StartError::Part(error.to_string()))?;
                tls.set_cert_resolver(Arc::clone(&certificates) as _);
                tls.enable_h2();
                service.add_tls_with_settings(&address, None, tls);
                all.push(certificates);
            }
            ListenerKind::RedirectToHttps => {
                redirects = true;
                redirect.add_tcp(&address);
            }
        }
    }
    server.add_service(service);
    if redirects {
        server.add_service(redirect);
    }
    Ok(all)
}

/// An app whose clients' streams are under guard.
struct OnTheWire<A> {
    app: Arc<A>,
    wire: Wire,
}

#[async_trait]
impl<A: ServerApp + Send + Sync> ServerApp for OnTheWire<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.app.process_new(self.wire.guard(stream), shutdown).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// Pingora takes settings without certificate files only together with callbacks; ours do nothing.
struct NoCallbacks;

#[async_trait]
impl TlsAccept for NoCallbacks {}

/// Adds the admin listeners.
pub(super) fn add_admin(
    server: &mut Server,
    whole: Option<SocketAddr>,
    probes: Option<SocketAddr>,
    health: &Arc<Health>,
) {
    for address in whole.into_iter().chain(probes) {
        let app = HttpServer::new_app(Admin::new(Arc::clone(health)));
        let mut service = Service::new("admin".to_owned(), app);
        service.threads = Some(1);
        service.add_tcp(&address.to_string());
        server.add_service(service);
    }
}

/// Asks every listener until it answers, and only then says that they are bound.
pub(super) struct Probe {
    addresses: Vec<SocketAddr>,
    readiness: Arc<Readiness>,
}

/// After this long without a listener the process is of no use.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(20);

impl Probe {
    pub(super) fn new(config: &Config, readiness: Arc<Readiness>) -> Self {
        let addresses = config.listeners.iter().map(|listener| reachable(listener.address)).collect();
        Self { addresses, readiness }
    }
}

#[async_trait]
impl BackgroundService for Probe {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        for &address in &self.addresses {
            let answers = async {
                while TcpStream::connect(address).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
            };
            if timeout(PATIENCE, answers).await.is_err() {
                tracing::error!(%address, "the listener doesn't answer: exiting");
                std::process::exit(1);
            }
        }
        self.readiness.listening();
        let _ = shutdown.changed().await;
    }
}

/// The address under which this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
