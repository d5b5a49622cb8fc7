//! From a configuration to the parts that serve.

use std::sync::Arc;

use super::StartError;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::gateway::{Gateway, ServedOrigin, ServedOrigins, wanted_claims};
use crate::http_client::GuardedClient;
use crate::login::SignIn;
use crate::login::callback::Callbacks;
use crate::login::rate::LoginRate;
use crate::oidc::provider::Provider;
use crate::pages::Pages;
use crate::route::table::RouteTable;
use crate::route::upstream::Upstream;
use crate::seal::{Keyring, MasterKey};
use crate::session::lifecycle::Limits;
use crate::session::{CookieStore, MemoryStore, Scope, SessionStore, StoreKind};
use crate::telemetry::metrics::Metrics;

/// The parts that serve.
pub(super) struct Parts {
    pub(super) gateway: Arc<Gateway>,
    pub(super) providers: Vec<Arc<Provider>>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) metrics: Arc<Metrics>,
}

/// Builds everything that a request may need.
pub(super) fn compose(config: &mut Config) -> Result<Parts, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keyring = keyring(config)?;
    let names: Vec<_> = config.providers.iter().map(|provider| provider.name.clone()).collect();
    let metrics = Arc::new(Metrics::new(&names).map_err(|error| StartError::Part(error.to_string()))?);
    let providers = providers(config, &clock, &metrics)?;
    let store: Arc<dyn SessionStore> = match config.sessions.store {
        StoreKind::Memory => Arc::new(MemoryStore::new(&config.sessions)),
        StoreKind::Cookie => {
            let shortest_idle = config.routes.iter().filter_map(|route| route.idle_timeout).min();
            let (keyring, clock) = (Arc::clone(&keyring), Arc::clone(&clock));
            Arc::new(CookieStore::new(&config.sessions, shortest_idle, keyring, clock))
        }
    };
    let hosts: Vec<_> = config.origins.iter().map(|origin| origin.host.clone()).collect();
    let routes = RouteTable::new(std::mem::take(&mut config.routes), &config.endpoints.prefix, &hosts);
    let callbacks = Callbacks::new(
        Arc::clone(&keyring),
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&metrics),
        config.providers.iter().map(|provider| {
            (provider.name.clone(), wanted_claims(routes.routes(), &provider.name, &provider.claims))
        }),
    );
    let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
    for route in routes.routes() {
        if !upstreams.iter().any(|known| Arc::ptr_eq(known, &route.upstream)) {
            upstreams.push(Arc::clone(&route.upstream));
        }
    }
    let gateway = Gateway {
        origins: origins(config, &providers),
        routes,
        paths: config.endpoints.clone(),
        store,
        limits: Limits { idle: config.sessions.idle_timeout, absolute: config.sessions.absolute_timeout },
        keyring,
        callbacks: Arc::new(callbacks),
        login_rates: config.providers.iter().map(|p| LoginRate::new(p.login_rate, clock.now())).collect(),
        pages: Pages::new(&config.pages, &config.endpoints.prefix)
            .map_err(|error| StartError::Part(error.to_string()))?,
        clock,
        metrics: Arc::clone(&metrics),
    };
    Ok(Parts { gateway: Arc::new(gateway), providers, upstreams, metrics })
}

fn keyring(config: &Config) -> Result<Arc<Keyring>, StartError> {
    let random;
    let keys = if config.sessions.keys.is_empty() {
        tracing::info!("no session key is configured: a random one is used, sessions end with this process");
        random = [MasterKey::random()];
        &random
    } else {
        config.sessions.keys.as_slice()
    };
    Keyring::new(keys).map(Arc::new).map_err(|error| StartError::Part(error.to_string()))
}

fn providers(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Vec<Arc<Provider>>, StartError> {
    let build = |provider: &crate::oidc::Config| {
        let client = GuardedClient::new(&provider.http).map_err(StartError::Part)?;
        let provider = Provider::new(provider.clone(), Arc::new(client), Arc::clone(clock));
        Ok(Arc::new(provider.counted_by(Arc::clone(metrics))))
    };
    config.providers.iter().map(build).collect()
}

fn origins(config: &Config, providers: &[Arc<Provider>]) -> ServedOrigins {
    let serve = |origin: &crate::route::origin::Origin| {
        let sign_in = |provider: &Arc<Provider>| {
            let name = &provider.config().name;
            let names = Arc::new(provider.config().claims.clone());
            let scope = Scope::new(&config.sessions, origin, name, names, providers.len());
            let callback = match providers {
                [_] => config.endpoints.callback.clone(),
                _ => format!("{}/{name}", config.endpoints.callback),
            };
            let cookie_name = &config.sessions.cookie_name;
            Arc::new(SignIn::new(origin, scope, Arc::clone(provider), &callback, cookie_name))
        };
        ServedOrigin::new(origin.clone(), providers.iter().map(sign_in).collect())
    };
    ServedOrigins::new(config.origins.iter().map(serve).collect())
}
