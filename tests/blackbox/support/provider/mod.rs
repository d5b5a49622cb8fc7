//! A small OpenID provider that signs everybody in at once and can make one mistake by name.
//!
//! It is strict about what the client sends: whatever a careful provider would refuse is kept in
//! [`Provider::mistakes`]. Its own mistakes are the rows of the OpenID Foundation's relying-party
//! modules and of the security recommendations ([`Fault`]).

mod endpoints;
mod fault;
mod id_token;
mod mishap;

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};

pub(crate) use fault::Fault;
pub(crate) use mishap::Mishap;

use super::jwt::Key;
use super::listener::{Listener, free_port};
use super::message::read_request;

/// The client's id.
pub(crate) const CLIENT_ID: &str = "vestibule-tests";
/// The id of a client that proves itself in the body (`client_secret_post`), where a provider has one way for each.
pub(crate) const POSTING_CLIENT_ID: &str = "vestibule-tests-posting";
/// The secret of both: unreserved characters and two that client_secret_basic must encode.
pub(crate) const CLIENT_SECRET: &str = "a secret/with=signs-0123456789-abcdef";

/// The endpoints that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `/jwks`.
    Jwks,
    /// `/authorize`.
    Authorize,
    /// `/token`.
    Token,
    /// `/userinfo`.
    Userinfo,
    /// `/end-session`.
    EndSession,
    /// Where a token's header points to when it lies.
    Planted,
}

/// What a code stands for.
#[derive(Debug, Clone, Default)]
struct Grant {
    subject: String,
    nonce: String,
    code_challenge: String,
    redirect_uri: String,
}

struct State {
    issuer: String,
    /// How it speaks TLS, if it does.
    tls: Option<Arc<ServerConfig>>,
    /// Those over TLS, until the certificate changes.
    connections: Vec<TcpStream>,
    fault: Fault,
    mishap: Option<(Endpoint, Mishap)>,
    claims: Map<String, Value>,
    codes: HashMap<String, Grant>,
    tokens: HashMap<String, String>,
    counts: HashMap<Endpoint, usize>,
    mistakes: Vec<String>,
    /// Which key signs, and under which name.
    signing: (&'static Key, &'static str),
    /// What `/jwks` answers.
    published: Vec<Value>,
    issued: u32,
    authorization_requests: Vec<Vec<(String, String)>>,
    sign_outs: Vec<Vec<(String, String)>>,
    secrets: Vec<String>,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The provider; it stops when dropped.
pub(crate) struct Provider {
    state: Shared,
    _listener: Listener,
}

impl Provider {
    /// Starts on a free port, without a fault.
    pub(crate) fn start() -> Self {
        Self::start_at(free_port())
    }

    /// The same on this port.
    pub(crate) fn start_at(port: u16) -> Self {
        Self::serving(port, format!("http://127.0.0.1:{port}"), None)
    }

    /// The same over TLS, as `https://localhost:PORT`, with this certificate and its key (PEM).
    pub(crate) fn over_tls(certificate: &str, key: &str) -> Self {
        let port = free_port();
        Self::serving(port, format!("https://localhost:{port}"), Some(speaking_tls(certificate, key)))
    }

    fn serving(port: u16, issuer: String, tls: Option<Arc<ServerConfig>>) -> Self {
        let state = Arc::new(Mutex::new(State {
            issuer,
            tls,
            connections: Vec::new(),
            fault: Fault::None,
            mishap: None,
            claims: ordinary_claims(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            counts: HashMap::new(),
            mistakes: Vec::new(),
            signing: (Key::first(), "first"),
            published: vec![Key::first().jwk("first")],
            issued: 0,
            authorization_requests: Vec::new(),
            sign_outs: Vec::new(),
            secrets: vec![CLIENT_SECRET.to_owned()],
        }));
        let shared = Arc::clone(&state);
        let listener = Listener::start_at(port, move |stream, _| accept(stream, &shared));
        Self { state, _listener: listener }
    }

    /// Presents this certificate (PEM) from now on; connections that are open end.
    pub(crate) fn present(&self, certificate: &str, key: &str) {
        let mut state = lock(&self.state);
        state.tls = Some(speaking_tls(certificate, key));
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Waits for a request in the clear from now on, where clients shake hands.
    pub(crate) fn drop_tls(&self) {
        lock(&self.state).tls = None;
    }

    /// The same with a fault from the start.
    pub(crate) fn with(fault: Fault) -> Self {
        let provider = Self::start();
        provider.make(fault);
        provider
    }

    /// From now on the answers of this endpoint come to grief; of no endpoint with `None`.
    pub(crate) fn spoil(&self, mishap: Option<(Endpoint, Mishap)>) {
        lock(&self.state).mishap = mishap;
    }

    /// The issuer.
    pub(crate) fn issuer(&self) -> String {
        lock(&self.state).issuer.clone()
    }

    /// From now on this mistake is made.
    pub(crate) fn make(&self, fault: Fault) {
        lock(&self.state).fault = fault;
        if fault == Fault::KidAbsentMultipleJwks {
            lock(&self.state).published = vec![Key::second().jwk("second"), Key::first().jwk("first")];
        }
        if fault == Fault::JwksEmpty {
            lock(&self.state).published.clear();
        }
    }

    /// Claims of ID tokens and userinfo, over the ordinary ones; `null` removes one.
    pub(crate) fn claim(&self, claims: &Value) {
        let mut state = lock(&self.state);
        for (name, value) in claims.as_object().into_iter().flatten() {
            if value.is_null() {
                state.claims.remove(name);
            } else {
                state.claims.insert(name.clone(), value.clone());
            }
        }
    }

    /// Signs with another key from now on and publishes that one alone.
    pub(crate) fn rotate_keys(&self) {
        self.sign_with(Key::second(), "second");
        self.publish(vec![Key::second().jwk("second")]);
    }

    /// Signs with this key under this name from now on.
    pub(crate) fn sign_with(&self, key: &'static Key, kid: &'static str) {
        lock(&self.state).signing = (key, kid);
    }

    /// From now on these are the keys.
    pub(crate) fn publish(&self, keys: Vec<Value>) {
        lock(&self.state).published = keys;
    }

    /// How often an endpoint was called.
    pub(crate) fn calls(&self, endpoint: Endpoint) -> usize {
        lock(&self.state).counts.get(&endpoint).copied().unwrap_or(0)
    }

    /// What the client did that a provider would refuse.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        lock(&self.state).mistakes.clone()
    }

    /// The parameters of each authorization request.
    pub(crate) fn authorization_requests(&self) -> Vec<Vec<(String, String)>> {
        lock(&self.state).authorization_requests.clone()
    }

    /// The parameters of each request to end the session.
    pub(crate) fn sign_outs(&self) -> Vec<Vec<(String, String)>> {
        lock(&self.state).sign_outs.clone()
    }

    /// Every code, token and secret that was ever used: none may be seen by anyone else.
    pub(crate) fn secrets(&self) -> Vec<String> {
        lock(&self.state).secrets.clone()
    }

    /// The entry of `providers` that names this one.
    pub(crate) fn entry(&self) -> Value {
        entry(&self.issuer())
    }
}

/// An entry of `providers` for an issuer that knows the client of these tests.
pub(crate) fn entry(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": { "file": "client-secret" },
        "timeouts": { "connect": "1s", "total": "2s" },
        "login_rate": "1000/s",
    })
}

fn ordinary_claims() -> Map<String, Value> {
    let claims = json!({
        "email": "ada@example.com",
        "email_verified": true,
        "preferred_username": "ada",
        "name": "Ada Lovelace",
        "groups": ["staff", "finance"],
        "sid": "session-1",
    });
    claims.as_object().cloned().unwrap_or_default()
}

fn speaking_tls(certificate: &str, key: &str) -> Arc<ServerConfig> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a PEM certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a PEM key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    Arc::new(config.expect("a certificate and its key"))
}

fn accept(stream: TcpStream, state: &Shared) {
    // Under one lock: none keeps a certificate that has changed meanwhile.
    let mut locked = lock(state);
    let Some(tls) = locked.tls.clone() else {
        drop(locked);
        return serve(stream, state);
    };
    let (Ok(kept), Ok(connection)) = (stream.try_clone(), ServerConnection::new(tls)) else { return };
    locked.connections.push(kept);
    drop(locked);
    serve(StreamOwned::new(connection, stream), state);
}

fn serve(stream: impl Read + Write, state: &Shared) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = read_request(&mut reader) {
        let Some(answer) = endpoints::answer(&request, state) else { return };
        let (mishap, elsewhere) = {
            let state = lock(state);
            let endpoint = endpoints::endpoint(&request, state.fault);
            let mishap = state.mishap.filter(|(at, _)| endpoint == Some(*at)).map(|(_, mishap)| mishap);
            (mishap, format!("{}/planted", state.issuer))
        };
        let out = reader.get_mut();
        let goes_on = match mishap {
            Some(mishap) => mishap.send(out, &answer, &elsewhere),
            None => out.write_all(&answer).and_then(|()| out.flush()).is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}
