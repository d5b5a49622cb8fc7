//! Certificates, read anew when their files change.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use crate::edge::{Certificates, Reload};

/// How often the files are looked at. A mounted secret is replaced by a change of links, which
/// watching the files themselves would miss.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the files of every TLS listener.
pub(super) struct Renewal(Vec<Arc<Certificates>>);

impl Renewal {
    pub(super) const fn new(certificates: Vec<Arc<Certificates>>) -> Self {
        Self(certificates)
    }
}

#[async_trait]
impl BackgroundService for Renewal {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut complained = String::new();
        while !self.0.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = shutdown.changed() => return,
            }
            for certificates in &self.0 {
                // A few small files, on a thread that does nothing else.
                match certificates.reload() {
                    Reload::Changed => {
                        complained.clear();
                        tracing::info!("certificates reloaded");
                    }
                    Reload::Kept(why) if why != complained => {
                        tracing::warn!(why, "new certificates can't be used: the old ones stay");
                        complained = why;
                    }
                    Reload::Unchanged | Reload::Kept(_) => {}
                }
            }
        }
    }
}
