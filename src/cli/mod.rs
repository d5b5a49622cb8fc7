//! The commands.
//!
//! Exit status: 0 fine, 1 failure while running, 2 wrong usage or configuration.

mod check;
#[cfg(feature = "emulator")]
mod demo;
#[cfg(feature = "emulator")]
mod echo;
mod explain;
mod run;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config;
use crate::config::sidecar::Flags;
use crate::seal::MasterKey;

/// Wrong usage or configuration.
const FAULTY: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "vestibule",
    version,
    about = "Signs people in before they reach services that know nothing of sign-on"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve; without a file, as a sidecar from environment variables and flags
    Run {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print the configuration as YAML and don't serve
        #[arg(long)]
        print_config: bool,
        #[command(flatten)]
        flags: Box<Flags>,
    },
    /// Print every fault of a configuration: where, why, and what to write
    Check {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell what becomes of a request and why: route, rules, answer, what the upstream sees. Sends nothing
    Explain {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        asked: Box<explain::Asked>,
    },
    /// Try it: a local provider, an echo service and the gateway, all on this machine
    #[cfg(feature = "emulator")]
    Demo {
        /// Port of the gateway; another one is taken when it is in use
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// The local PingOne alone
    #[cfg(feature = "emulator")]
    Emulator {
        /// Address and port
        #[arg(long, default_value = "127.0.0.1:9400")]
        listen: std::net::SocketAddr,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print a fresh session key
    Key,
}

/// Runs the command that was asked for.
#[must_use]
pub fn main() -> ExitCode {
    // Wrong usage ends here with status 2.
    match Arguments::parse().command {
        Command::Run { config, print_config: false, flags } => run::serve(config, &flags),
        Command::Run { config, print_config: true, flags } => run::print_config(config, &flags),
        Command::Check { config } => check::check(config),
        Command::Explain { config, asked } => explain::explain(config, &asked),
        #[cfg(feature = "emulator")]
        Command::Demo { port } => demo::demo(port),
        #[cfg(feature = "emulator")]
        Command::Emulator { listen } => demo::emulator(listen),
        Command::Schema => match serde_json::to_string_pretty(&config::schema()) {
            Ok(schema) => print(&schema),
            Err(_) => ExitCode::FAILURE,
        },
        Command::Key => print(&MasterKey::random().to_base64url()),
    }
}

/// Prints a line to standard output. A reader that has gone away is no fault of ours.
fn print(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on standard error why nothing is served.
fn complain(text: &dyn std::fmt::Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
