//! The emulator of the crate, in this process: a local PingOne with its hosted sign-on page.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use vestibule::clock::SystemClock;
use vestibule::emulator::{Client, Emulator, Options, Redirects, TokenEndpointAuthMethod};

use super::provider::{CLIENT_ID, CLIENT_SECRET, POSTING_CLIENT_ID, entry};

/// A running emulator with the demo's users and the clients of these tests.
pub(crate) struct LocalPingOne(Emulator);

impl LocalPingOne {
    /// Starts on a free port.
    pub(crate) fn start() -> Self {
        let mut options = Options::demo();
        let client = |id, token_endpoint_auth_method| Client {
            token_endpoint_auth_method,
            redirect_uris: Redirects::AnyLoopback,
            post_logout_redirect_uris: Redirects::AnyLoopback,
            ..Client::confidential(id, SecretString::from(CLIENT_SECRET))
        };
        options.clients.push(client(CLIENT_ID, TokenEndpointAuthMethod::ClientSecretBasic));
        options.clients.push(client(POSTING_CLIENT_ID, TokenEndpointAuthMethod::ClientSecretPost));
        Self(Emulator::start(options, Arc::new(SystemClock)).expect("the emulator starts"))
    }

    /// The entry of `providers` that names it.
    pub(crate) fn entry(&self) -> Value {
        entry(&self.0.issuer())
    }
}
