//! Putting the parts together, starting and stopping.

use std::time::Duration;

/// `shutdown`, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// `delay`: not ready any more, still accepting.
    pub delay: Duration,
    /// `grace`: the most that draining takes after that.
    pub grace: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), grace: Duration::from_secs(20) }
    }
}
