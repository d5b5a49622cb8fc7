//! Putting the parts together, starting and stopping.
//!
//! [`run`] is the composition root: configuration → stores, providers, gateway → Pingora's server,
//! its listeners and the background work. Everything is built before the first listener opens.

mod certificates;
mod compose;
mod drain;
mod listeners;
mod providers;
mod resolver;

use std::sync::Arc;
use std::time::Duration;

use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;

use crate::admin;
use crate::config::Config;
use crate::edge::Edge;
use crate::gateway::Gateway;
use crate::telemetry::AccessLog;

/// `shutdown`, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// `delay`: not ready any more, still accepting.
    pub delay: Duration,
    /// `grace`: the most that draining takes after that.
    pub grace: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), grace: Duration::from_secs(20) }
    }
}

/// Why the gateway doesn't start. All of them end the process with exit status 1.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address can't be had.
    #[error("listen on {address}: {source}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A part can't be built from what the configuration names.
    #[error("{0}")]
    Part(String),
}

/// The gateway of a configuration alone, without listeners or background work: for what drives an
/// [`Edge`] without a network.
///
/// # Errors
/// [`StartError::Part`].
pub fn gateway(config: &mut Config) -> Result<Arc<Gateway>, StartError> {
    compose::compose(config).map(|parts| parts.gateway)
}

/// Serves until told to stop; the process then ends with the exit status of the design.
///
/// # Errors
/// [`StartError`] before the first request is served.
pub fn run(mut config: Config) -> Result<std::convert::Infallible, StartError> {
    let mut claimed = listeners::claim(&config)?;
    let admin_address = claimed.admin.take();
    let access_log = Arc::new(AccessLog::new(&config.log));
    let parts = compose::compose(&mut config)?;
    parts.metrics.watch(&access_log);
    resolver::resolve_once(&parts.upstreams);
    providers::fetch_once(&parts.providers)?;

    let conf = ServerConf {
        threads: config.threads,
        // One thread has nobody to take work from, and is quicker without looking.
        work_stealing: config.threads > 1,
        // We end the process ourselves, as soon as nothing is left; Pingora would sleep it out.
        grace_period_seconds: Some(config.shutdown.grace.as_secs() + 60),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    server.bootstrap();

    let lifecycle = Arc::new(drain::Lifecycle::new(config.shutdown, Arc::clone(&access_log)));
    let edge = Edge::new(
        Arc::clone(&parts.gateway),
        config.limits.clone(),
        config.trusted_proxies.clone(),
        access_log,
        lifecycle.traffic(),
    );
    let certificates = listeners::add(&mut server, &config, claimed, edge, &parts, &lifecycle)?;
    let health = Arc::new(admin::Health::new(
        lifecycle.readiness(),
        parts.gateway,
        parts.providers.clone(),
        parts.metrics,
        lifecycle.traffic(),
    ));
    listeners::add_admin(&mut server, admin_address, config.admin.probes, &health);
    server.add_service(background_service("providers", providers::Upkeep::new(&parts.providers)?));
    server.add_service(background_service("certificates", certificates::Renewal::new(certificates)));
    server.add_service(background_service("upstream names", resolver::Resolver::new(parts.upstreams)));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    server.run(RunArgs { shutdown_signal: Box::new(drain::Signals::new(lifecycle)) });
    // `run` returns only when Pingora's own, longer grace period is over.
    std::process::exit(1)
}
