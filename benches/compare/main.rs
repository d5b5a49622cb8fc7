//! What the gateway adds to a request, measured against a bare Pingora proxy.
//!
//! `cargo bench --bench compare -- --rounds 15 --seconds 5`; `docs/performance.md` says how to read
//! the table. This one program is the bare proxy and the upstream too (`compare bare`, `compare
//! upstream`), so that both proxies come from the same crates, profile and allocator: cargo builds the
//! `vestibule` binary beside it under the same profile.
//!
//! Needs Linux (`/proc`), `wrk` and `taskset`. Everything stays on 127.0.0.1.

mod bare;
mod browser;
mod cases;
mod process;
mod report;
mod rig;
mod rounds;
mod statistics;
mod upstream;
mod wrk;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The product's own allocator: an eighth of a request is allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A bench has no caller that could tell failures apart: whoever reads the terminal can.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Parser)]
#[command(name = "compare", about = "Measures the gateway against a bare Pingora proxy")]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    plan: Plan,
    /// Given by `cargo bench`; without it `cargo test --all-targets` would measure
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Be the bare proxy
    Bare { listen: SocketAddr, upstream: SocketAddr },
    /// Be the service behind the proxies
    Upstream { listen: SocketAddr },
}

/// How much is measured.
#[derive(Debug, clap::Args)]
struct Plan {
    /// Rounds; every case is measured once in each
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Seconds of load per case and round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Seconds of load before each measurement, not counted
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Connections that the load comes by
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Measure only the cases whose name contains this, and what they are compared with
    #[arg(long)]
    only: Option<String>,
    /// Measure this gateway instead of the one built beside
    #[arg(long, default_value = env!("CARGO_BIN_EXE_vestibule"))]
    vestibule: PathBuf,
    /// Where the figures of every round go
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/../compare.json"))]
    json: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.mode {
        Some(Mode::Bare { listen, upstream }) => bare::serve(listen, upstream),
        Some(Mode::Upstream { listen }) => upstream::serve(listen),
        None if arguments.bench => compare(&arguments.plan),
        None => Ok(ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        say(&format!("failed to {error}"));
        ExitCode::FAILURE
    })
}

fn compare(plan: &Plan) -> Result<ExitCode> {
    wrk::find()?;
    // The emulator and the scripted browser use no TLS, but their client is built for it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let rig = rig::Rig::start(&plan.vestibule)?;
    let cases = cases::chosen(plan.only.as_deref())?;
    let measured = rounds::measure(plan, &rig, &cases)?;
    let summary = report::summarize(&measured);
    say(&report::table(&rig, &summary));
    report::write_json(plan, &rig, &measured, &summary)?;
    say(&format!("every round: {}", plan.json.canonicalize()?.display()));
    let valid = measured.iter().all(|case| case.rounds.iter().all(|round| round.faults.is_empty()));
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line. A reader that has gone away is no fault of ours.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
