//! Exercise for builds that count their own steps, for profile-guided optimisation: a gateway, and this
//! program as the bare proxy.

use std::path::PathBuf;

use crate::cases::{self, BARE, Case};
use crate::rig::Build;
use crate::stage::Stage;
use crate::{Result, say};

/// What is exercised, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The build
    #[arg(long)]
    vestibule: PathBuf,
    /// Seconds of each kind of request
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Does all that is measured, once, and ends the gateways in peace: they write their counts then.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let stage = Stage::set(1)?;
    let exercise = |case: Case| -> Result<()> {
        let counted =
            case.with_request(|load, request| load.run(&stage, request, (64, arguments.seconds)))?;
        say(&format!("{}: {} requests {}", case.name(), counted.requests, counted.faults.join("; ")));
        Ok(())
    };
    let bare = stage.bare(stage.pins.proxy(std::env::current_exe()?), "trained bare proxy")?;
    cases::bare_cases(&bare, BARE).into_iter().try_for_each(exercise)?;
    bare.server.stop()?;
    let build = Build::start(&stage, &arguments.vestibule, "trained")?;
    cases::own_cases(&build, &stage.emulator.issuer()).into_iter().try_for_each(exercise)?;
    build.stop()
}
