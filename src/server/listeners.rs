//! Listeners: bound before anything else is built. The process is ready once all of them accept.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::socket::{Backlog, listen};
use pingora::apps::HttpServerOptions;
use pingora::apps::http_app::HttpServer;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::Server;
use pingora::services::listening::Service;

use super::StartError;
use super::compose::Parts;
use super::drain::Lifecycle;
use crate::admin::{Admin, AdminAddress, Health, Readiness};
use crate::config::Config;
use crate::edge::connection::{Accepting, Address, Admission, Entrance, Handshake, Listener};
use crate::edge::{Certificates, Edge, Limits, ListenerKind, RedirectToHttps, Wire};

/// Addresses that are ours from the start: what can't be had is told before anything else happens,
/// and nobody else can take them while the rest is built.
pub(super) struct Claimed {
    /// In the order of `listeners`.
    listeners: Vec<TcpListener>,
    /// Where the admin listener goes.
    pub(super) admin: Option<SocketAddr>,
}

/// Binds every address. Pingora, which opens the admin listeners, would find out in a task, panic
/// there and live on without the listener: theirs are tried. A default admin address that is taken
/// is given up.
pub(super) fn claim(config: &Config) -> Result<Claimed, StartError> {
    let bind = |address: SocketAddr| {
        TcpListener::bind(address).map_err(|source| StartError::Bind { address, source })
    };
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        let bound = bind(listener.address)?;
        // As many as the system allows may wait to be accepted.
        listen(&bound, Backlog::MAXALLOWABLE)
            .map_err(|error| StartError::Bind { address: listener.address, source: error.into() })?;
        listeners.push(bound);
    }
    let probes = config.admin.probes.map(bind).transpose()?;
    let admin = match config.admin.address {
        AdminAddress::Chosen(address) => bind(address).map(|_| Some(address))?,
        AdminAddress::Default(address) => match TcpListener::bind(address) {
            Ok(_) => Some(address),
            Err(error) => {
                tracing::warn!(%address, %error, "the default admin address is taken: going on without an admin listener; set admin.address");
                None
            }
        },
    };
    drop(probes);
    Ok(Claimed { listeners, admin })
}

/// Adds the edge with its listeners, and those that only redirect. Returns the certificates that the
/// TLS listeners answer with.
pub(super) fn add(
    server: &mut Server,
    config: &Config,
    claimed: Claimed,
    edge: Edge,
    parts: &Parts,
    lifecycle: &Lifecycle,
) -> Result<Vec<Arc<Certificates>>, StartError> {
    let limits = &config.limits;
    let admission =
        Admission::new(limits.connections, config.trusted_proxies.clone(), Arc::clone(&parts.metrics));
    let wire = Wire::new(limits.clone(), Arc::clone(&parts.metrics));
    let entrance = Entrance::new(admission, wire, lifecycle.traffic());
    let accepting = once_all_accept(claimed.listeners.len(), lifecycle.readiness());
    let (mut edges, mut redirected, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (listener, bound) in config.listeners.iter().zip(claimed.listeners) {
        let plain = |listener| Address { listener, handshake: None };
        match &listener.kind {
            ListenerKind::Plain => edges.push(plain(bound)),
            ListenerKind::RedirectToHttps => redirected.push(plain(bound)),
            ListenerKind::Tls(files) => {
                let certificates = Arc::new(Certificates::load(files).map_err(StartError::Part)?);
                let metrics = Arc::clone(&parts.metrics);
                let handshake = Handshake::new(Arc::clone(&certificates), limits.head_time, metrics);
                edges
                    .push(Address { listener: bound, handshake: Some(handshake.map_err(StartError::Part)?) });
                all.push(certificates);
            }
        }
    }
    let proxy = proxy(server, limits, edge);
    server.add_service(Listener::new("edge", proxy, entrance.clone(), edges, Arc::clone(&accepting)));
    if !redirected.is_empty() {
        let app = HttpServer::new_app(RedirectToHttps::new(Arc::clone(&parts.gateway)));
        server.add_service(Listener::new("redirect to https", app, entrance, redirected, accepting));
    }
    Ok(all)
}

/// Bytes of an answer that wait in one HTTP/2 stream until the connection takes them.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// How many streams of one HTTP/2 connection may be reset for what the client did wrong, in its whole life. A reset
/// stream's place among the open ones is free again at once, so nothing else would bound them. Data that still
/// comes for a request that we have refused may count, too.
const H2_FAULTY_STREAMS: usize = 100;

/// The edge as an application of Pingora's.
fn proxy(server: &Server, limits: &Limits, edge: Edge) -> HttpProxy<Edge> {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(limits.http2_idle);
    let mut proxy = http_proxy(&server.configuration, edge);
    proxy.server_options = Some(options);
    // Pingora's bounds, then ours.
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(limits.http2_streams);
    // HTTP/2 counts 32 bytes more for each field (RFC 9113 §6.5.2) and can only break off: the edge's
    // own check, whose answer takes the cookies from the browser, must come first.
    let head = 2 * limits.head_size + 32 * (limits.head_fields + 64);
    h2.max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX));
    // What a stream's client may leave lying here: its window can be set to gigabytes.
    h2.max_send_buffer_size(H2_SEND_BUFFER);
    h2.max_local_error_reset_streams(Some(H2_FAULTY_STREAMS));
    proxy.h2_options = Some(h2);
    proxy
}

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

/// Says that the process listens once connections are accepted on every address.
fn once_all_accept(addresses: usize, readiness: Arc<Readiness>) -> Accepting {
    let left = AtomicUsize::new(addresses);
    Arc::new(move || {
        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
            readiness.listening();
        }
    })
}
