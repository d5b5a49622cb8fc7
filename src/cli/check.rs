//! `vestibule check`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAULTY, print};
use crate::config::{Source, load};

/// Prints every fault and every warning, in the order of the file.
pub(super) fn check(file: PathBuf) -> ExitCode {
    let name = file.display().to_string();
    let loaded = load(&Source::File(file));
    for warning in &loaded.warnings {
        print(&warning.to_string());
    }
    for fault in &loaded.faults {
        print(&fault.to_string());
    }
    let (faults, warnings) = (loaded.faults.len(), loaded.warnings.len());
    print(&format!("{name}: {}, {}", count(faults, "fault"), count(warnings, "warning")));
    if loaded.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAULTY) }
}

fn count(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
