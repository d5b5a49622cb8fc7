//! How long, from which seed, with which program.

use std::path::PathBuf;
use std::time::Duration;

/// Connections to both gateways together.
pub(crate) const CONNECTIONS: usize = 200;
/// Streams under way at once on each connection that has some.
pub(crate) const STREAMS: usize = 20;
/// Clients that never sign in.
pub(crate) const ANONYMOUS: usize = 16;
/// Browsers of each person at each gateway.
pub(crate) const BROWSERS: usize = 4;

/// `sessions.idle_timeout`.
pub(crate) const IDLE: Duration = Duration::from_secs(2);
/// `sessions.absolute_timeout`.
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(5);
/// What a limit may be late by.
pub(crate) const LATE: Duration = Duration::from_secs(1);

/// What the run is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long at least.
    pub(crate) time: Duration,
    /// Where chance begins.
    pub(crate) seed: u64,
    /// The program.
    pub(crate) vestibule: PathBuf,
    /// Requests that must have been made.
    pub(crate) requests: u64,
    /// How often each event must have happened.
    pub(crate) events: u64,
}

impl Settings {
    /// What the environment says, else a minute, or some seconds where nothing is optimised.
    pub(crate) fn read() -> Self {
        let slow = cfg!(debug_assertions);
        let seconds = number("GOLDEN_SECONDS").unwrap_or(if slow { 6 } else { 60 });
        let share = seconds.min(60);
        let (requests, events) =
            if slow { (share * 100, share) } else { (share * 10_000 / 3, share * 50 / 3) };
        Self {
            time: Duration::from_secs(seconds),
            seed: number("GOLDEN_SEED").unwrap_or_else(|| {
                let mut bytes = [0; 4];
                vestibule::seal::fill_random(&mut bytes);
                u64::from(u32::from_be_bytes(bytes))
            }),
            vestibule: variable("GOLDEN_VESTIBULE")
                .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_vestibule")), PathBuf::from),
            requests,
            events,
        }
    }

    /// A slow machine gets more time to reach the numbers.
    pub(crate) fn patience(&self) -> Duration {
        self.time + (self.time * 4).min(Duration::from_mins(4))
    }
}

fn number(name: &str) -> Option<u64> {
    let text = variable(name)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} should be a number, not {text:?}")))
}

#[expect(clippy::disallowed_methods, reason = "the settings of a test run, not of the gateway")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
