//! Names of upstreams: looked up at start and every ten seconds, the last good address kept.
//!
//! Pingora would look a name up on the request path, blocking, and panic when there is none.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::route::upstream::Upstream;

const EVERY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);
/// At start a slow name must not hold up the others for longer.
const PATIENCE_AT_START: Duration = Duration::from_secs(2);

/// Keeps the addresses of named upstreams.
pub(super) struct Resolver(Vec<Arc<Upstream>>);

impl Resolver {
    pub(super) fn new(upstreams: Vec<Arc<Upstream>>) -> Self {
        let named = upstreams.into_iter().filter(|upstream| upstream.server.needs_resolving());
        Self(named.collect())
    }
}

#[async_trait]
impl BackgroundService for Resolver {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        while !self.0.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = shutdown.changed() => return,
            }
            for upstream in &self.0 {
                look_up(upstream, PATIENCE).await;
            }
        }
    }
}

/// The first look-up, before anything is served. What isn't found now is tried again later.
pub(super) fn resolve_once(upstreams: &[Arc<Upstream>]) {
    if !upstreams.iter().any(|upstream| upstream.server.needs_resolving()) {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let look_ups = upstreams
            .iter()
            .filter(|upstream| upstream.server.needs_resolving())
            .map(|upstream| look_up(upstream, PATIENCE_AT_START));
        futures_util::future::join_all(look_ups).await;
    });
    // A look-up that hangs in the system's resolver must not hold up the start.
    runtime.shutdown_background();
}

async fn look_up(upstream: &Upstream, patience: Duration) {
    let server = &upstream.server;
    let found = timeout(patience, lookup_host((server.host.as_str(), server.port))).await;
    match found {
        Ok(Ok(addresses)) => {
            // IPv4 first: an upstream that listens on one family mostly listens on that.
            let mut addresses: Vec<_> = addresses.collect();
            addresses.sort_by_key(std::net::SocketAddr::is_ipv6);
            let current = server.address.load();
            let kept = current.as_deref().is_some_and(|current| addresses.contains(current));
            if let Some(first) = addresses.first().filter(|_| !kept) {
                tracing::info!(host = %server.host, address = %first, "upstream address");
                server.address.store(Some(Arc::new(*first)));
            }
        }
        Ok(Err(error)) => {
            tracing::warn!(host = %server.host, %error, "upstream name not found; keeping the last address");
        }
        Err(_) => {
            tracing::warn!(host = %server.host, "upstream name look-up timed out; keeping the last address");
        }
    }
}
