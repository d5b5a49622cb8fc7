//! A local PingOne, for the demo, the tests and the benches.
//!
//! It stands in for one environment: keys, users, applications, a hosted sign-on
//! page and the endpoints under `/as`, in both of PingOne's sets of addresses. Where Ping's
//! documentation is silent it does what the standards say, and nothing should be concluded from it.
//!
//! A code flow, top to bottom:
//!
//! 1. `server` reads a request and finds its `endpoint`; `discovery` says where they are.
//! 2. `authorize` checks the `authorization_request` (pushed before by `par`, or not). A live one
//!    of the `sessions` answers at once; else one of the `flows` begins.
//! 3. `sign_on` asks for name and password and sets the session's cookie, `/as/resume` ends the flow,
//!    and the `authorization_response` goes back with a code.
//! 4. `token` exchanges it, once, for tokens that `mint` makes and `keys` signs; `grants`
//!    remembers them for `userinfo`, `introspection` and `revocation`.
//! 5. `signoff` ends the session, and with it the refresh tokens.
//!
//! Not emulated: `pi.flow`, DaVinci, device codes, CIBA, hybrid and implicit responses, signed requests.
//! It must never be reachable from elsewhere: its passwords are public.

mod addresses;
mod answer;
mod authorization_request;
mod authorization_response;
mod authorize;
mod client;
mod client_auth;
mod discovery;
mod endpoint;
mod environment;
mod faults;
mod flows;
mod grants;
mod html;
mod introspection;
mod keys;
mod mint;
mod options;
mod par;
mod parameters;
mod pkce;
mod redirects;
mod revocation;
mod scope;
mod server;
mod sessions;
mod sign_on;
mod signoff;
mod store;
mod token;
mod user;
mod userinfo;
mod uuid;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::oneshot;

use crate::clock::Clock;
use addresses::{Addresses, Shape};
use environment::Environment;

pub use client::{
    Client, GrantType, IdpSignoff, OfflineAccess, ParRequirement, PkceEnforcement, RefreshPolicy,
    ReplayProtection, Resource, TokenEndpointAuthMethod,
};
pub use endpoint::RequestCounts;
pub use faults::{AccessTokenTyp, AuthTime, Faults};
pub use keys::KeyFailed;
pub use options::{Options, Region, UnusableOptions};
pub use redirects::Redirects;
pub use user::User;

/// A running emulator; it stops when dropped.
pub struct Emulator {
    address: SocketAddr,
    environment: Arc<Environment>,
    /// Nothing is ever sent: that it goes is the signal.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// The emulator can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options make no environment.
    #[error(transparent)]
    Options(#[from] UnusableOptions),
    /// The address is taken or not ours.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("start a thread")]
    Thread(#[source] io::Error),
    /// No signing key.
    #[error(transparent)]
    Key(#[from] KeyFailed),
}

impl Emulator {
    /// Starts on a thread with a runtime of its own, so that callers may be async or not, and returns
    /// as soon as connections are taken.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        options.check()?;
        let wanted = options.listen;
        let refused = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let addresses = Addresses::new(address, &options.environment);
        let environment = Arc::new(Environment::new(options, addresses, clock)?);

        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("emulator")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(refused)?
        };
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&environment);
        let thread = std::thread::Builder::new()
            .name("emulator".to_owned())
            .spawn(move || runtime.block_on(server::serve(listener, shared, stopped)))
            .map_err(StartError::Thread)?;
        Ok(Self { address, environment, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The issuer: `http://127.0.0.1:PORT/{environment}/as`.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.environment.addresses.issuer(Shape::Environment)
    }

    /// The issuer of the same environment under its custom domain: `http://127.0.0.1:PORT/as`.
    #[must_use]
    pub fn custom_domain_issuer(&self) -> String {
        self.environment.addresses.issuer(Shape::CustomDomain)
    }

    /// Signs with a fresh key, of a fresh `kid`, from now on. The one before stays published.
    ///
    /// # Panics
    /// When no RSA key can be made, although one could at the start.
    #[expect(clippy::expect_used, reason = "a test that rotates keys can't go on with the old one")]
    pub fn rotate_signing_key(&self) {
        self.environment.keys.rotate().expect("a key is made as at the start");
    }

    /// Publishes the keys that signed before no longer.
    pub fn withdraw_old_keys(&self) {
        self.environment.keys.withdraw_retired();
    }

    /// How often each endpoint was asked.
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.environment.counters.snapshot()
    }

    /// The switches that hold from the next token on.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.environment.faults
    }

    /// The options it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.environment.options
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The port is free once the thread is gone. Had it panicked, there is nothing left to do.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
