//! Upkeep of providers: metadata and keys fetched at start and kept fresh, off the request path.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::StartError;
use crate::http_client::GuardedClient;
use crate::oidc::provider::Provider;

/// How long the start waits for providers. One that is slow or down is fetched later.
const PATIENCE_AT_START: Duration = Duration::from_secs(1);

/// The first fetch, before the listeners open, so that the first person is not sent round through our
/// own sign-in. A provider that is down holds up nothing: the gateway starts without it.
pub(super) fn fetch_once(providers: &[Arc<Provider>]) -> Result<(), StartError> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Ok(());
    };
    let upkeep = Upkeep::new(providers)?;
    runtime.block_on(async {
        let fetches = upkeep.0.iter().map(|(provider, client)| provider.keep_fresh(client.as_ref()));
        // What isn't there in time is fetched by the upkeep that follows.
        let _ = tokio::time::timeout(PATIENCE_AT_START, futures_util::future::join_all(fetches)).await;
    });
    runtime.shutdown_background();
    Ok(())
}

/// Keeps all providers fresh, each in a task of its own.
pub(super) struct Upkeep(Vec<(Arc<Provider>, Arc<GuardedClient>)>);

impl Upkeep {
    /// A client of its own for each: kept connections belong to the runtime that opened them.
    pub(super) fn new(providers: &[Arc<Provider>]) -> Result<Self, StartError> {
        let pair = |provider: &Arc<Provider>| {
            let client = GuardedClient::new(&provider.config().http).map_err(StartError::Part)?;
            Ok((Arc::clone(provider), Arc::new(client)))
        };
        providers.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }
}

#[async_trait]
impl BackgroundService for Upkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        for (provider, client) in &self.0 {
            let (provider, client) = (Arc::clone(provider), Arc::clone(client));
            tokio::spawn(async move {
                loop {
                    let pause = provider.keep_fresh(client.as_ref()).await;
                    tokio::time::sleep(pause).await;
                }
            });
        }
        // Tasks end with this service's runtime.
        let _ = shutdown.changed().await;
    }
}
