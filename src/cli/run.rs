//! `vestibule run`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAULTY, complain, print};
use crate::config::sidecar::{Flags, Settings};
use crate::config::{Config, Loaded, Source, environment, load};
use crate::{server, telemetry};

/// Serves until told to stop.
pub(super) fn serve(file: Option<PathBuf>, flags: &Flags) -> ExitCode {
    let loaded = match file {
        Some(_) if flags.any() => {
            complain(&"with --config FILE the file alone counts: leave the other flags out, or the file");
            return ExitCode::from(FAULTY);
        }
        Some(file) => load(&Source::File(file)),
        None => match settings(flags) {
            Ok(settings) => settings.load(&environment),
            Err(status) => return status,
        },
    };
    match started(loaded) {
        Ok(config) => start(config),
        Err(status) => status,
    }
}

/// Serves a configuration that holds.
pub(super) fn start(config: Config) -> ExitCode {
    match server::run(config) {
        Err(error) => {
            tracing::error!(%error, "not started");
            complain(&format!("failed to {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Logs from now on, says what is wrong, and what deserves a second look.
pub(super) fn started(loaded: Loaded) -> Result<Config, ExitCode> {
    let Some(config) = loaded.config else {
        for fault in &loaded.faults {
            complain(fault);
        }
        return Err(ExitCode::from(FAULTY));
    };
    if let Err(error) = telemetry::logs::init(&config.log, environment("RUST_LOG").as_deref()) {
        complain(&format!("failed to {error}"));
        return Err(ExitCode::from(FAULTY));
    }
    for warning in &loaded.warnings {
        tracing::warn!(key = %warning.key, line = warning.line, "{}", warning.why);
    }
    Ok(config)
}

/// Prints the YAML that a sidecar's environment and flags stand for; a file as it is.
pub(super) fn print_config(file: Option<PathBuf>, flags: &Flags) -> ExitCode {
    let yaml = match file {
        Some(path) => std::fs::read_to_string(&path).map_err(|error| {
            complain(&format!("failed to read {}: {error}", path.display()));
            ExitCode::from(FAULTY)
        }),
        None => settings(flags).map(|settings| settings.to_yaml()),
    };
    match yaml {
        Ok(yaml) => print(yaml.trim_end()),
        Err(status) => status,
    }
}

/// The sidecar's settings: flags stand before variables.
fn settings(flags: &Flags) -> Result<Settings, ExitCode> {
    Settings::from_env(|name| flags.value(name).or_else(|| environment(name))).map_err(|faults| {
        complain(&"no configuration: give a file with --config FILE, or set these");
        for fault in &faults {
            complain(fault);
        }
        ExitCode::from(FAULTY)
    })
}
