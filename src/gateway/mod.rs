//! The story of a request: own endpoint? route, authenticate, authorize, challenge or forward.

/// `endpoints`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPaths {
    /// `prefix`: `/.vestibule`, without a trailing slash.
    pub prefix: String,
    /// `callback`: any path, for an existing registration.
    pub callback: String,
}

impl Default for EndpointPaths {
    fn default() -> Self {
        Self { prefix: "/.vestibule".into(), callback: "/.vestibule/callback".into() }
    }
}
