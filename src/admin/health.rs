//! Ready means: listeners bound, configuration loaded, keys present, session store reachable, not
//! stopping. Providers are shown and don't turn it red: the gateway serves sessions without them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use serde_json::json;

use crate::edge::Traffic;
use crate::gateway::Gateway;
use crate::oidc::circuit::CircuitState;
use crate::oidc::{Provider, ProviderStatus};
use crate::telemetry::metrics::Metrics;

/// What changes while the process lives.
#[derive(Debug, Default)]
pub struct Readiness {
    listening: AtomicBool,
    stopping: AtomicBool,
}

impl Readiness {
    /// All listeners answer.
    pub fn listening(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// The process has been told to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// What probes and scrapers are told.
#[derive(Debug)]
pub struct Health {
    readiness: Arc<Readiness>,
    gateway: Arc<Gateway>,
    providers: Vec<Arc<Provider>>,
    metrics: Arc<Metrics>,
    traffic: Arc<Traffic>,
}

impl Health {
    /// Looks at these parts whenever it is asked.
    #[must_use]
    pub const fn new(
        readiness: Arc<Readiness>,
        gateway: Arc<Gateway>,
        providers: Vec<Arc<Provider>>,
        metrics: Arc<Metrics>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self { readiness, gateway, providers, metrics, traffic }
    }

    pub(super) async fn ready(&self) -> (StatusCode, String) {
        let listening = self.readiness.listening.load(Ordering::Acquire);
        let stopping = self.readiness.stopping.load(Ordering::Acquire);
        let store = self.gateway.store.ping().await.is_ok();
        let ready = listening && store && !stopping;
        let providers: serde_json::Map<_, _> = self
            .providers
            .iter()
            .map(|provider| (provider.config().name.to_string(), described(provider.status())))
            .collect();
        let body = json!({
            "ready": ready,
            "listening": listening,
            "stopping": stopping,
            "session_store": if store { "reachable" } else { "unreachable" },
            "providers": providers,
        });
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, format!("{body}\n"))
    }

    pub(super) fn metrics(&self) -> String {
        self.metrics.in_flight(self.traffic.in_flight());
        self.metrics.render()
    }
}

fn described(status: ProviderStatus) -> serde_json::Value {
    json!({
        "metadata_age_seconds": status.metadata_age.map(|age| age.as_secs()),
        "keys_age_seconds": status.keys_age.map(|age| age.as_secs()),
        "keys": status.keys,
        "circuit": match status.circuit {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
        },
        "last_error": status.last_error,
    })
}
