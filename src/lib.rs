//! Vestibule: a reverse-proxy authentication gateway.
//!
//! It stands in front of services that know nothing of sign-on, signs people in at an `OpenID`
//! provider, keeps their sessions, decides who may pass and tells the service behind it who is
//! asking. Two sentences hold at all times:
//!
//! * N1: no request reaches a protected upstream path without a valid, matching identity;
//! * N2: no request, response or cached result ever carries another person's identity.
//!
//! The path of a request, top to bottom, is the list of modules: [`edge`] reads it and refuses
//! what two parsers could read differently, [`gateway`] decides, with [`route`] (where it goes),
//! [`session`] (who is asking), [`policy`] (who may), [`login`] (how to sign in), [`pages`] (what
//! people see) and [`oidc`] (the wire rules of the provider). `ARCHITECTURE.md` has the floors.

// The process floor: the only code that names Pingora, files and the environment.
pub mod admin;
pub mod cli;
pub mod config;
pub mod edge;
pub mod server;

// The story of a request.
pub mod gateway;

// Features.
pub mod login;
pub mod pages;
pub mod policy;
pub mod route;
pub mod session;

// Wire rules.
pub mod oidc;

// Ground.
pub mod clock;
pub mod http_client;
pub mod identity;
pub mod reply;
pub mod seal;
pub mod telemetry;

// Beside.
#[cfg(feature = "emulator")]
pub mod emulator;
