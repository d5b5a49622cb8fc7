//! The golden invariant under concurrency: no request reaches a protected upstream path without a
//! valid, matching identity, and nothing ever carries another person's.
//!
//! 64 people and 16 anonymous clients share 200 connections to two gateways, one with each kind of
//! session store. They sign in, ask, sign out, let sessions expire, change places at one browser and
//! hang up, while the provider rotates keys and stalls and the upstream resets connections. Every
//! request has a nonce; `rules` says what must be true of each, the moment it is known.
//!
//! `make golden` builds it optimised and runs it for a minute, `make soak` for half an hour, `make mutants`
//! shows that it notices faults. A plain `cargo test` runs it for a few seconds. It reads `GOLDEN_SECONDS`,
//! `GOLDEN_SEED` and `GOLDEN_VESTIBULE` (the program to test).

#[cfg(test)]
mod acts;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod dice;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod given;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod message;
#[cfg(test)]
mod moment;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod people;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod run;
#[cfg(test)]
mod session;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod world;

/// The product's own: half of the machine is the gateway's.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
