//! Stopping: readiness off, `delay` still accepting, then as soon as nothing is left and at most
//! `grace`. A second signal ends the process at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ShutdownConfig;
use crate::admin::Readiness;
use crate::edge::Traffic;
use crate::telemetry::AccessLog;

/// How often the drain looks whether anything is left.
const LOOK: Duration = Duration::from_millis(50);
/// How long after the listeners close a request just accepted may take to show.
const SETTLE: Duration = Duration::from_millis(250);
/// How long after the last request HTTP/2 clients may take to fetch what they were answered and to say
/// goodbye. One that has vanished says nothing.
const DELIVERY: Duration = Duration::from_secs(5);

/// What the process knows about its own end.
#[derive(Debug)]
pub(super) struct Lifecycle {
    config: ShutdownConfig,
    readiness: Arc<Readiness>,
    traffic: Arc<Traffic>,
    access_log: Arc<AccessLog>,
}

impl Lifecycle {
    pub(super) fn new(config: ShutdownConfig, access_log: Arc<AccessLog>) -> Self {
        Self { config, readiness: Arc::default(), traffic: Arc::default(), access_log }
    }

    pub(super) fn readiness(&self) -> Arc<Readiness> {
        Arc::clone(&self.readiness)
    }

    pub(super) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn exit(&self, status: i32) -> ! {
        self.access_log.close();
        std::process::exit(status)
    }

    async fn drain(self: Arc<Self>) {
        tokio::time::sleep(SETTLE).await;
        let mut waited = SETTLE;
        let mut delivering = Duration::ZERO;
        while waited < self.config.grace {
            if self.traffic.in_flight() == 0 {
                if self.traffic.lingering() == 0 || delivering >= DELIVERY {
                    tracing::info!("drained");
                    self.exit(0);
                }
                delivering += LOOK;
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
        if self.traffic.in_flight() == 0 {
            self.exit(0);
        }
        tracing::warn!(in_flight = self.traffic.in_flight(), "the grace period is over");
        self.exit(1);
    }
}

/// SIGTERM and SIGINT, as Pingora asks for them.
pub(super) struct Signals(Arc<Lifecycle>);

impl Signals {
    pub(super) fn new(lifecycle: Arc<Lifecycle>) -> Self {
        Self(lifecycle)
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals can't be received");
            return ShutdownSignal::FastShutdown;
        };
        let delay = tokio::select! {
            _ = terminate.recv() => self.0.config.delay,
            // Somebody at a terminal: no load balancer has to notice first.
            _ = interrupt.recv() => Duration::ZERO,
        };
        tracing::info!(?delay, grace = ?self.0.config.grace, "stopping");
        self.0.readiness.stop();
        let again = Arc::clone(&self.0);
        tokio::spawn(async move { second(&mut terminate, &mut interrupt, &again).await });
        tokio::time::sleep(delay).await;
        tokio::spawn(Arc::clone(&self.0).drain());
        // Once we return Pingora blocks the main thread; the drain goes on on this runtime's worker.
        ShutdownSignal::GracefulTerminate
    }
}

async fn second(terminate: &mut Signal, interrupt: &mut Signal, lifecycle: &Lifecycle) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("a second signal: exiting at once");
    lifecycle.exit(1);
}
