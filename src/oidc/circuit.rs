//! The circuit breaker of one provider.
//!
//! After five failures in a row nobody waits for the provider any more: calls fail at once, but for
//! one every five seconds that finds out whether it is back. A `Retry-After` of the provider holds
//! off calls to that endpoint alone, since a limit on userinfo says nothing of tokens.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{Cause, Unavailable};
use super::retry::has_passed;
use crate::clock::Timestamp;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// Time between two probes of an open circuit.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The endpoints that we call ourselves; `Display` names them in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Where the provider metadata is.
    Metadata,
    /// `jwks_uri`.
    Keys,
    /// `token_endpoint`.
    Token,
    /// `userinfo_endpoint`.
    Userinfo,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "metadata",
            Self::Keys => "keys",
            Self::Token => "token endpoint",
            Self::Userinfo => "userinfo endpoint",
        })
    }
}

/// Whether calls to the provider are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// All calls go out.
    Closed,
    /// One call in five seconds goes out, the others fail at once.
    Open,
}

#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    probed: Option<Timestamp>,
    held: [Option<Held>; 4],
}

#[derive(Debug, Clone, Copy)]
struct Held {
    since: Timestamp,
    period: Duration,
}

impl Circuit {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one call through, or says when to come back.
    pub(super) fn admit(&self, endpoint: Endpoint, now: Timestamp) -> Result<(), Unavailable> {
        let mut state = self.state();
        let held = state.held.get(endpoint as usize).copied().flatten();
        if let Some(Held { since, period }) = held
            && !has_passed(period, since, now)
        {
            let retry_after = period.saturating_sub(now.since(since));
            return Err(Unavailable { endpoint: Some(endpoint), cause: Cause::HeldOff, retry_after });
        }
        if state.failures < FAILURES {
            return Ok(());
        }
        if let Some(probed) = state.probed
            && !has_passed(PROBE_EVERY, probed, now)
        {
            let retry_after = PROBE_EVERY.saturating_sub(now.since(probed));
            return Err(Unavailable { endpoint: Some(endpoint), cause: Cause::CircuitOpen, retry_after });
        }
        // This call is the probe. The next one may go five seconds from now, whatever becomes of it; from its
        // failure, if it fails.
        state.probed = Some(now);
        Ok(())
    }

    /// The provider answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.probed = None;
    }

    /// The provider failed, and perhaps asked not to be called for a while.
    pub(super) fn failed(&self, endpoint: Endpoint, hold_off: Option<Duration>, now: Timestamp) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.probed = Some(now);
        }
        if let (Some(period), Some(held)) = (hold_off, state.held.get_mut(endpoint as usize)) {
            *held = Some(Held { since: now, period });
        }
    }

    pub(super) fn is(&self) -> CircuitState {
        if self.state().failures < FAILURES { CircuitState::Closed } else { CircuitState::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_000_000);

    fn after(seconds: u64) -> Timestamp {
        NOON.plus(Duration::from_secs(seconds))
    }

    fn open() -> Circuit {
        let circuit = Circuit::default();
        for _ in 0..FAILURES {
            circuit.admit(Endpoint::Token, NOON).unwrap();
            circuit.failed(Endpoint::Token, None, NOON);
        }
        circuit
    }

    #[test]
    fn the_pause_begins_with_the_failure_that_opens_the_circuit() {
        let circuit = Circuit::default();
        for failure in 0..FAILURES {
            circuit.failed(Endpoint::Token, None, after(10 * u64::from(failure)));
        }
        let refused = circuit.admit(Endpoint::Token, after(41)).unwrap_err();
        assert_eq!((refused.cause, refused.retry_after), (Cause::CircuitOpen, Duration::from_secs(4)));
    }

    #[test]
    fn opens_after_five_failures_in_a_row() {
        let circuit = Circuit::default();
        for _ in 0..4 {
            circuit.failed(Endpoint::Token, None, NOON);
        }
        assert!(circuit.admit(Endpoint::Token, NOON).is_ok());
        circuit.succeeded();
        for _ in 0..4 {
            circuit.failed(Endpoint::Token, None, NOON);
        }
        assert!(circuit.admit(Endpoint::Token, NOON).is_ok());
        circuit.failed(Endpoint::Token, None, NOON);
        let refused = circuit.admit(Endpoint::Token, NOON).unwrap_err();
        assert_eq!(refused.cause, Cause::CircuitOpen);
        assert_eq!(refused.retry_after, Duration::from_secs(5));
        assert_eq!(circuit.is(), CircuitState::Open);
    }

    #[test]
    fn lets_one_probe_through_every_five_seconds() {
        let circuit = open();
        assert!(circuit.admit(Endpoint::Token, after(4)).is_err());
        assert!(circuit.admit(Endpoint::Keys, after(5)).is_ok());
        assert!(circuit.admit(Endpoint::Token, after(5)).is_err());
        // A probe that was never answered, since its caller went away, blocks no later one.
        assert!(circuit.admit(Endpoint::Token, after(10)).is_ok());
    }

    #[test]
    fn closes_as_soon_as_a_probe_is_answered() {
        let circuit = open();
        circuit.admit(Endpoint::Token, after(5)).unwrap();
        circuit.succeeded();
        assert_eq!(circuit.is(), CircuitState::Closed);
        assert!(circuit.admit(Endpoint::Token, after(5)).is_ok());
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_out() {
        let circuit = open();
        assert!(circuit.admit(Endpoint::Token, Timestamp::from_secs(10)).is_ok());
    }

    #[test]
    fn holds_off_one_endpoint_for_as_long_as_it_asked() {
        let circuit = Circuit::default();
        circuit.failed(Endpoint::Userinfo, Some(Duration::from_secs(20)), NOON);
        let refused = circuit.admit(Endpoint::Userinfo, after(5)).unwrap_err();
        assert_eq!((refused.cause, refused.retry_after), (Cause::HeldOff, Duration::from_secs(15)));
        assert!(circuit.admit(Endpoint::Token, after(5)).is_ok());
        assert!(circuit.admit(Endpoint::Userinfo, after(20)).is_ok());
    }
}
