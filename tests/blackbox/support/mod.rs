//! What the tests stand on: the real binary, and the fakes around it.

pub(crate) mod address;
pub(crate) mod browser;
pub(crate) mod config;
pub(crate) mod cookies;
pub(crate) mod emulator;
pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod html;
pub(crate) mod http2_client;
pub(crate) mod http2_upstream;
pub(crate) mod jwt;
pub(crate) mod keycloak;
pub(crate) mod listener;
pub(crate) mod message;
pub(crate) mod oidc_provider;
pub(crate) mod provider;
pub(crate) mod raw;
pub(crate) mod site;
pub(crate) mod upstream;
pub(crate) mod wall_clock;
pub(crate) mod websocket;

mod itself;

use std::thread;
use std::time::Duration;

use vestibule::clock::Stopwatch;

/// Asks until there is an answer, at most 10 s.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(10), what, ask)
}

/// Asks until there is an answer, at most so long.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Stopwatch::start();
    while since.elapsed() < limit {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: not within {limit:?}");
}
