//! What has happened, and how often.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A request was answered, given up or lost.
    Request,
    /// A request reached the upstream.
    Logged,
    /// An upstream's answer came back, right in every respect.
    Echoed,
    /// A sign-on made a session.
    SignIn,
    /// A sign-out was answered.
    SignOut,
    /// A session was refused since its time was up.
    Expiry,
    /// The provider went on to another key, after signing with the one before.
    KeyRotation,
    /// The provider took its time over a token.
    ProviderStall,
    /// The upstream closed a kept connection instead of answering.
    UpstreamReset,
    /// A request came a second time on another connection after that.
    Retry,
    /// A client hung up on a request.
    ClientAbort,
    /// Somebody signed in over their own session.
    Renewal,
    /// Somebody signed in over another person's session.
    Takeover,
    /// A session was sealed anew.
    Reseal,
    /// The cookie of a session that was over was sent again, and refused.
    Replay,
    /// A request named itself somebody.
    Spoof,
    /// A request was sent to sign in, or refused, as nobody.
    Challenge,
    /// A callback made no session.
    FailedSignIn,
    /// The gateway said that the upstream had failed.
    BadGateway,
    /// A connection ended under a request.
    Lost,
}

/// Events that must each happen often enough.
const REQUIRED: [Event; 8] = [
    Event::SignIn,
    Event::SignOut,
    Event::Expiry,
    Event::KeyRotation,
    Event::ProviderStall,
    Event::UpstreamReset,
    Event::Retry,
    Event::ClientAbort,
];

const FURTHER: [Event; 12] = [
    Event::Request,
    Event::Logged,
    Event::Echoed,
    Event::Renewal,
    Event::Takeover,
    Event::Reseal,
    Event::Replay,
    Event::Spoof,
    Event::Challenge,
    Event::FailedSignIn,
    Event::BadGateway,
    Event::Lost,
];

/// A counter for each.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU64; REQUIRED.len() + FURTHER.len()]);

impl Counts {
    /// It happens.
    pub(crate) fn note(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has happened.
    pub(crate) fn of(&self, event: Event) -> u64 {
        self.0[event as usize].load(Ordering::Relaxed)
    }

    /// What has not happened often enough.
    pub(crate) fn missing(&self, requests: u64, events: u64) -> Vec<String> {
        let wanted = REQUIRED.into_iter().map(|event| (event, events)).chain([(Event::Echoed, requests / 4)]);
        [(Event::Request, requests)]
            .into_iter()
            .chain(wanted)
            .filter(|(event, least)| self.of(*event) < *least)
            .map(|(event, least)| format!("{event:?}: {} of {least}", self.of(event)))
            .collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, event) in FURTHER[..3].iter().chain(&REQUIRED).chain(&FURTHER[3..]).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{event:?} {}", self.of(*event))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing_until_nothing_is() {
        let counts = Counts::default();
        assert_eq!(counts.missing(1, 1).len(), REQUIRED.len() + 1);
        for event in REQUIRED.into_iter().chain(FURTHER) {
            counts.note(event);
        }
        assert_eq!(counts.missing(1, 1), Vec::<String>::new());
        assert_eq!(counts.missing(2, 1), ["Request: 1 of 2"]);
    }
}
