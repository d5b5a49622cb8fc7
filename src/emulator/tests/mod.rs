//! Whole flows over real sockets, as a browser and an application see them.

mod browser;
mod code_flow;
mod edges;
mod tokens;

use std::time::Duration;

use super::*;
use crate::clock::{ManualClock, SystemClock, Timestamp};

/// An environment without a server.
pub(super) fn environment(options: Options) -> Environment {
    let addresses = Addresses::new(SocketAddr::from(([127, 0, 0, 1], 4711)), &options.environment);
    Environment::new(options, addresses, Arc::new(clock())).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_secs(1_800_000_000))
}

/// A server of these options at a time that stands still.
fn started(options: Options) -> (Emulator, ManualClock) {
    let clock = clock();
    (Emulator::start(options, Arc::new(clock.clone())).unwrap(), clock)
}

#[test]
fn dropping_it_frees_the_port() {
    let first = Emulator::start(Options::demo(), Arc::new(SystemClock)).unwrap();
    let listen = first.address();
    let again = || Emulator::start(Options { listen, ..Options::demo() }, Arc::new(SystemClock));
    assert!(matches!(again(), Err(StartError::Listen { .. })));
    drop(first);
    assert_eq!(again().unwrap().address(), listen);
}

#[tokio::test]
async fn starts_and_stops_inside_a_runtime() {
    let emulator = Emulator::start(Options::demo(), Arc::new(SystemClock)).unwrap();
    let issuer = emulator.issuer();
    assert!(issuer.ends_with("/5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835/as"), "{issuer}");
    let before = crate::clock::Stopwatch::start();
    drop(emulator);
    assert!(before.elapsed() < Duration::from_secs(5));
}
