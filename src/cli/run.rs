//! `vestibule run`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAULTY, complain, print};
use crate::config::sidecar::{Flags, Settings};
use crate::config::{Config, Loaded, Source, environment, load};
use crate::{server, telemetry};

/// Serves until told to stop.
pub(super) fn serve(file: Option<PathBuf>, flags: &Flags) -> ExitCode {
    let source = match source(file, flags) {
        Ok(source) => source,
        Err(status) => return status,
    };
    match started(load(&source)) {
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
    match source(file, flags) {
        Ok(Source::Text { text, .. }) => print(text.trim_end()),
        Ok(Source::File(path)) => match std::fs::read_to_string(&path) {
            Ok(text) => print(text.trim_end()),
            Err(error) => {
                complain(&format!("failed to read {}: {error}", path.display()));
                ExitCode::from(FAULTY)
            }
        },
        Err(status) => status,
    }
}

fn source(file: Option<PathBuf>, flags: &Flags) -> Result<Source, ExitCode> {
    if let Some(file) = file {
        return Ok(Source::File(file));
    }
    match Settings::from_env(|name| flags.value(name).or_else(|| environment(name))) {
        Ok(settings) => Ok(Source::Text {
            name: "environment".to_owned(),
            text: settings.to_yaml(),
            base_dir: PathBuf::from("."),
        }),
        Err(faults) => {
            complain(&"no configuration: give a file with --config FILE, or set these");
            for fault in &faults {
                complain(fault);
            }
            Err(ExitCode::from(FAULTY))
        }
    }
}
