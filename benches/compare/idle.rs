//! Memory of processes that nobody has asked anything yet.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::stage::{Kind, Stage};
use crate::{Result, process};

/// Starts of each.
const STARTS: usize = 3;
/// How long they are left alone.
const REST: Duration = Duration::from_secs(5);

/// Resident memory in MiB; the largest of some starts.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Idle {
    pub(crate) bare_mib: f64,
    pub(crate) vestibule_mib: f64,
}

/// Starts them as they are measured, waits, and looks.
pub(crate) fn measure(stage: &Stage, vestibule: &Path) -> Result<Idle> {
    let this = std::env::current_exe()?;
    let (mut bare, mut gateways) = (Vec::new(), Vec::new());
    for start in 0..STARTS {
        bare.push(stage.bare(stage.pins.proxy(&this), &format!("idle-bare-{start}"))?.server);
        let command = stage.pins.proxy(vestibule);
        gateways.push(stage.idle_gateway(command, Kind::Memory, &format!("idle-{start}"))?.0);
    }
    std::thread::sleep(REST);
    let largest = |servers: &[crate::child::Server]| {
        servers
            .iter()
            .try_fold(0.0, |most: f64, server| process::resident_mib(server.pid()).map(|own| most.max(own)))
    };
    Ok(Idle { bare_mib: largest(&bare)?, vestibule_mib: largest(&gateways)? })
}
