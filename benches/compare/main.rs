//! What the gateway adds to a request, measured against a bare Pingora proxy and, where they are
//! installed, beside other proxies.
//!
//! `cargo bench --bench compare`; `docs/performance.md` says how to read the table. This one program is
//! the bare proxy and the upstream too (`compare bare`, `compare upstream`), so that both proxies come
//! from the same crates, profile and allocator: cargo builds the `vestibule` binary beside it under the
//! same profile. `compare instructions` counts instead of measuring, `compare train` does the work
//! that a profile is taken from.
//!
//! Needs Linux (`/proc`), `wrk`, `h2load` and `taskset`. Everything stays on 127.0.0.1.

mod bare;
mod bars;
mod browser;
mod cases;
mod child;
mod idle;
mod instructions;
mod load;
mod origin;
mod peers;
mod pins;
mod plot;
mod process;
mod report;
mod rig;
mod rounds;
mod session;
mod stage;
mod statistics;
mod tls;
mod train;
mod turns;
mod upstream;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bars::Verdict;
use crate::report::Run;

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
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Be the bare proxy
    Bare(bare::Arguments),
    /// Be the service behind the proxies
    Upstream { listen: SocketAddr },
    /// Count instructions per request and compare them with those kept
    Instructions(instructions::Arguments),
    /// Make a build that counts its own steps do what is measured
    Train(train::Arguments),
}

/// What is measured, and how much.
#[derive(Debug, clap::Args)]
struct Plan {
    /// Rounds; every case is measured once in each
    #[arg(long, default_value_t = bars::ROUNDS)]
    rounds: usize,
    /// Seconds of load per case and round
    #[arg(long, default_value_t = bars::SECONDS)]
    seconds: u64,
    /// Seconds of load before each measurement, not counted
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Connections that HTTP/1.1 comes by
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Threads of each proxy
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Measure only the cases whose name contains this, and what they are compared with
    #[arg(long)]
    only: Option<String>,
    /// Measure the other proxies that are installed, too
    #[arg(long)]
    peers: bool,
    /// Measure this gateway instead of the one built beside
    #[arg(long, default_value = env!("CARGO_BIN_EXE_vestibule"))]
    vestibule: PathBuf,
    /// Measure another build of the gateway, too
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Where the figures of every round go
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/../compare.json"))]
    json: PathBuf,
    /// Write the table and the picture into this folder: `docs`
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.mode {
        Some(Mode::Bare(arguments)) => bare::serve(&arguments),
        Some(Mode::Upstream { listen }) => upstream::serve(listen),
        Some(Mode::Instructions(arguments)) => with_tls(|| instructions::run(&arguments)),
        Some(Mode::Train(arguments)) => with_tls(|| train::run(&arguments).map(|()| ExitCode::SUCCESS)),
        None if arguments.bench => with_tls(|| compare(&arguments.plan)),
        None => Ok(ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        say(&format!("failed to {error}"));
        ExitCode::FAILURE
    })
}

/// With the provider of cryptography that the gateway has, too.
fn with_tls(act: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    load::find()?;
    act()
}

fn compare(plan: &Plan) -> Result<ExitCode> {
    let stage = stage::Stage::set(plan.threads)?;
    let idle = idle::measure(&stage, &plan.vestibule)?;
    let mut rig = rig::Rig::start(plan, stage)?;
    for peers::Absent { name, why } in &rig.absent {
        say(&format!("not measured: {name}: {why}"));
    }
    let measured = rounds::measure(plan, &mut rig)?;
    let summary = report::summarize(&measured);
    let verdict = bars::judge(&summary, &idle, (plan.rounds, plan.seconds));
    let run = Run { plan, stage: &rig.stage, absent: &rig.absent, idle, measured, summary, verdict };
    let table = run.table();
    say(&format!("\n{table}"));
    run.write_json()?;
    say(&format!("every round: {}", plan.json.canonicalize()?.display()));
    if let Some(folder) = &plan.write {
        write(folder, &table, &plot::draw(&run.summary))?;
    }
    Ok(if run.verdict == Verdict::Holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The page and the picture of the manual.
fn write(folder: &Path, table: &str, picture: &str) -> Result<()> {
    let (page, drawing) = (folder.join("performance-results.md"), folder.join("performance.svg"));
    let text = format!(
        "# Performance: what was measured\n\n\
         `cargo bench --bench compare -- --peers --write docs` writes this page and the picture; [performance](performance.md) says\n\
         what is measured and how to read it.\n\n\
         <img src=\"performance.svg\" width=\"840\" alt=\"Processor time of a request, by what is asked and who answers; the figures are in the table below.\">\n\n\
         {table}"
    );
    fs::write(&page, text)?;
    fs::write(&drawing, picture)?;
    say(&format!("written: {} and {}", page.display(), drawing.display()));
    Ok(())
}

/// Prints a line. A reader that has gone away is no fault of ours.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
