//! The gateway as others meet it: the real binary between a browser, a provider and an upstream
//! that keeps every byte.
//!
//! Every test of a protected path asks the upstream what it saw. `support/` holds the fakes.

#[cfg(test)]
mod support;

#[cfg(test)]
mod aborts;
#[cfg(test)]
mod announcements;
#[cfg(test)]
mod callback;
#[cfg(test)]
mod challenges;
#[cfg(test)]
mod chromium;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod draining;
#[cfg(test)]
mod early_data;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod explained_answers;
#[cfg(test)]
mod fail_closed;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod issuer_identification;
#[cfg(test)]
mod key_rotation;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod mix_up;
#[cfg(test)]
mod open_redirects;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod own_pages;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod people;
#[cfg(test)]
mod provider_documents;
#[cfg(test)]
mod provider_metadata;
#[cfg(test)]
mod provider_outages;
#[cfg(test)]
mod provider_tls;
#[cfg(test)]
mod provider_token;
#[cfg(test)]
mod provider_wire;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod relying_party;
#[cfg(test)]
mod removed_headers;
#[cfg(test)]
mod return_to;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod session;
#[cfg(test)]
mod session_keys;
#[cfg(test)]
mod sidecar;
#[cfg(test)]
mod sign_on;
#[cfg(test)]
mod sign_out;
#[cfg(test)]
mod slow_clients;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tails;
#[cfg(test)]
mod third_party;
#[cfg(test)]
mod upstream_clock;
#[cfg(test)]
mod upstream_defects;
#[cfg(test)]
mod upstream_http2;
#[cfg(test)]
mod upstream_tls;
#[cfg(test)]
mod upstreams;
