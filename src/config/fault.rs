//! What `vestibule check` prints: where, which key, why, and what to write instead.

use std::fmt;

/// Something in the configuration that keeps the gateway from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file as the operator named it.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The key: `routes[1].upstream.tls.server_name`; empty for the whole file.
    pub key: String,
    /// What is wrong, and why that matters.
    pub why: String,
    /// What to write instead.
    pub what_to_write: String,
}

/// A setting that works but deserves a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file as the operator named it.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The key; empty for the whole file.
    pub key: String,
    /// What may go wrong.
    pub why: String,
    /// What to write instead.
    pub what_to_write: String,
}

/// How the `why` of a key begins whose feature isn't built yet.
pub(crate) const COMES_LATER: &str = "comes later";

impl Fault {
    /// Whether the key is part of the configuration but its feature isn't built yet.
    #[must_use]
    pub fn comes_later(&self) -> bool {
        self.why.starts_with(COMES_LATER)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, why, what_to_write } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        say(f, key, why, what_to_write)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, why, what_to_write } = self;
        write!(f, "{file}:{line}:{column}: warning: ")?;
        say(f, key, why, what_to_write)
    }
}

fn say(f: &mut fmt::Formatter<'_>, key: &str, why: &str, what_to_write: &str) -> fmt::Result {
    if !key.is_empty() {
        write!(f, "{key}: ")?;
    }
    write!(f, "{why}\n    write: {what_to_write}")
}
