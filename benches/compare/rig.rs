//! Everything that runs: bare proxies, gateways, peers.

use std::path::Path;

use crate::peers::{self, Absent, Peer};
use crate::stage::{self, Bare, Gateway, Kind, Stage};
use crate::{Plan, Result};

/// All processes.
pub(crate) struct Rig {
    pub(crate) bare: Bare,
    /// A second process of the same program: what it differs by is noise.
    pub(crate) control: Bare,
    pub(crate) ours: Build,
    /// Another build of the gateway, to compare.
    pub(crate) other: Option<Build>,
    pub(crate) peers: Vec<Peer>,
    /// Peers that were asked for and can't be had.
    pub(crate) absent: Vec<Absent>,
    // The last to go.
    pub(crate) stage: Stage,
}

/// Gateways of one program.
pub(crate) struct Build {
    pub(crate) memory: Gateway,
    pub(crate) sealed: Gateway,
    pub(crate) secure: Gateway,
}

impl Rig {
    /// Starts everything and signs in everywhere.
    pub(crate) fn start(plan: &Plan, stage: Stage) -> Result<Self> {
        let this = std::env::current_exe()?;
        let bare = |name| stage.bare(stage.pins.proxy(&this), name);
        let (peers, absent) = if plan.peers { peers::start(&stage) } else { (Vec::new(), Vec::new()) };
        Ok(Self {
            bare: bare("bare")?,
            control: bare("control")?,
            ours: Build::start(&stage, &plan.vestibule, "vestibule")?,
            other: plan.beside.as_ref().map(|other| Build::start(&stage, other, "other")).transpose()?,
            peers,
            absent,
            stage,
        })
    }
}

impl Rig {
    /// New processes in the place of the bare proxies and the gateways. Where a process lies in memory, and
    /// so in the caches, is chance, and makes up to a twentieth of its time: no run is to be judged by one
    /// such chance.
    pub(crate) fn renew(&mut self, plan: &Plan) -> Result<()> {
        let this = std::env::current_exe()?;
        let Self { stage, .. } = self;
        let bare = |name| stage.bare(stage.pins.proxy(&this), name);
        self.bare = bare("bare")?;
        self.control = bare("control")?;
        self.ours = Build::start(stage, &plan.vestibule, "vestibule")?;
        self.other = plan.beside.as_ref().map(|other| Build::start(stage, other, "other")).transpose()?;
        Ok(())
    }
}

impl Build {
    pub(crate) fn start(stage: &Stage, vestibule: &Path, name: &str) -> Result<Self> {
        let start = |kind: Kind<'_>, what: &str| {
            stage.gateway(stage.pins.proxy(vestibule), kind, &format!("{name}-{what}"))
        };
        Ok(Self {
            memory: start(Kind::Memory, "memory")?,
            sealed: start(Kind::Sealed(&stage::key(vestibule)?), "sealed")?,
            secure: start(Kind::Secure, "tls")?,
        })
    }

    /// Asks them to stop and waits until they have: a build that counts its own steps writes the counts
    /// then.
    pub(crate) fn stop(self) -> Result<()> {
        let Self { memory, sealed, secure } = self;
        [memory, sealed, secure].into_iter().try_for_each(|gateway| gateway.server.stop())
    }
}
