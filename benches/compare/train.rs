//! Exercise for a build that counts its own steps, for profile-guided optimisation.

use std::path::PathBuf;

use crate::cases;
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
    let build = Build::start(&stage, &arguments.vestibule, "trained")?;
    for case in cases::own_cases(&build, &stage.emulator.issuer()) {
        let counted =
            case.with_request(|load, request| load.run(&stage, request, (64, arguments.seconds)))?;
        say(&format!("{}: {} requests {}", case.name(), counted.requests, counted.faults.join("; ")));
    }
    build.stop()
}
