//! The gateway as others meet it: the real binary between a browser, a provider and an upstream
//! that keeps every byte.
//!
//! Every test of a protected path asks the upstream what it saw. `support/` holds the fakes.

#[cfg(test)]
mod support;
