//! A provider without a network: it answers as on an ordinary day, but for what a target makes it say.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use vestibule::clock::{Clock, Timestamp};
use vestibule::config::{Source, load_with};
use vestibule::http_client::{Error, HttpClient};
use vestibule::oidc::{AuthorizationResponse, Code, Config, Provider};

/// Who it is.
pub const ISSUER: &str = "https://idp.test/as";
/// Our name there.
pub const CLIENT_ID: &str = "fuzz";
/// The nonce of its ID token.
pub const NONCE: &str = "n-1";
/// The key that its ID token is signed with, and that nobody has any more.
pub const KEYS: &str = include_str!("honest/keys.json");
/// The one ID token that it has ever signed; good at [`NOW`].
pub const ID_TOKEN: &str = include_str!("honest/id_token");
/// The time, always.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const CONFIG: &str = r#"
origins: ["https://app.test"]
listeners: [{ address: "127.0.0.1:8080" }]
providers:
  idp: { issuer: "https://idp.test/as", client_id: fuzz, client_secret: { env: SECRET } }
routes: [{ id: all, auth: { session: idp }, upstream: "http://127.0.0.1:9000" }]
"#;

/// What it says at each of its endpoints.
#[derive(Debug, Clone)]
pub struct Says {
    /// Its metadata.
    pub metadata: Vec<u8>,
    /// Its keys.
    pub keys: Vec<u8>,
    /// The token response.
    pub tokens: Vec<u8>,
    /// The userinfo response.
    pub userinfo: Vec<u8>,
}

impl Default for Says {
    fn default() -> Self {
        let tokens =
            json!({ "access_token": "a-1", "token_type": "Bearer", "expires_in": 60, "id_token": ID_TOKEN });
        Self {
            metadata: metadata().to_string().into(),
            keys: KEYS.into(),
            tokens: tokens.to_string().into(),
            userinfo: json!({ "sub": "ada" }).to_string().into(),
        }
    }
}

/// Its metadata on an ordinary day.
pub fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.test/as/authorize",
        "token_endpoint": "https://idp.test/as/token",
        "userinfo_endpoint": "https://idp.test/as/userinfo",
        "jwks_uri": "https://idp.test/as/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

#[async_trait]
impl HttpClient for Says {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Error> {
        let body = match request.uri().path() {
            "/as/jwks" => &self.keys,
            "/as/token" => &self.tokens,
            "/as/userinfo" => &self.userinfo,
            _ => &self.metadata,
        };
        let answer = Response::builder().header("content-type", "application/json");
        answer.body(Bytes::copy_from_slice(body)).map_err(|error| Error::Unreachable(error.to_string()))
    }
}

#[derive(Debug)]
struct Always;

impl Clock for Always {
    fn now(&self) -> Timestamp {
        NOW
    }
}

static CONFIGURED: LazyLock<Config> = LazyLock::new(|| {
    let source = Source::Text { name: "fuzz.yaml".into(), text: CONFIG.into(), base_dir: PathBuf::from(".") };
    let loaded = load_with(&source, &|name| (name == "SECRET").then(|| "secret".to_owned()));
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    let config = loaded.config.expect("there are no faults");
    config.providers.into_iter().next().expect("there is a provider")
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// The gateway's side of it.
pub fn provider(says: Says) -> Provider {
    Provider::new(CONFIGURED.clone(), Arc::new(says), Arc::new(Always))
}

/// A code that it might have given out.
pub fn code() -> Code {
    let pairs = [("state", "s"), ("code", "c")].map(|(name, value)| (name.into(), value.into()));
    let response = AuthorizationResponse::parse(pairs).expect("a response");
    response.outcome().expect("a code").clone()
}

/// Runs what it is asked to its end.
pub fn run<T>(asked: impl Future<Output = T>) -> T {
    RUNTIME.block_on(asked)
}

/// A second reading of a JSON object, by a parser that takes what it is given: the last of several
/// members of a name.
pub fn members(bytes: &[u8]) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}
