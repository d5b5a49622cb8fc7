//! What the tests of this folder share: a provider that says what a test tells it to, keys that
//! really sign, and the documents of an ordinary day.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::circuit::Endpoint;
use super::discovery::{self, Metadata};
use super::{ClientAuth, Config, ResponseMode, SignOut, SigningAlgorithm, Userinfo};
use crate::clock::Timestamp;
use crate::http_client::{self, HttpClient};
use crate::identity::ProviderName;

pub(crate) const ISSUER: &str = "https://idp.example.com/as";
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn config() -> Config {
    Config {
        name: ProviderName::parse("workforce").unwrap(),
        issuer: ISSUER.to_owned(),
        client_id: "app".to_owned(),
        client_secret: Some("s3:cret%".into()),
        client_auth: ClientAuth::Basic,
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        response_mode: ResponseMode::Query,
        authorize: Vec::new(),
        id_token_algorithms: vec![
            SigningAlgorithm::Rs256,
            SigningAlgorithm::Ps256,
            SigningAlgorithm::Es256,
            SigningAlgorithm::EdDsa,
        ],
        clock_skew: Duration::from_mins(1),
        userinfo: Userinfo::Never,
        claims: crate::identity::ClaimNames::default(),
        sign_out: SignOut::Browser,
        after_sign_out: "/".to_owned(),
        http: http_client::Config::default(),
        login_rate: 20,
    }
}

pub(crate) fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}/token"),
        "userinfo_endpoint": format!("{ISSUER}/userinfo"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "end_session_endpoint": format!("{ISSUER}/signoff"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

pub(crate) fn read_metadata() -> Metadata {
    discovery::process(&json(&metadata()), ISSUER).unwrap()
}

pub(crate) fn answer(status: u16, body: &str) -> Response<Bytes> {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

pub(crate) fn json(body: &Value) -> Response<Bytes> {
    answer(200, &body.to_string())
}

/// Claims that pass every check at [`NOW`].
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "app",
        "sub": "ann",
        "exp": NOW.as_secs() + 3600,
        "iat": NOW.as_secs(),
        "nonce": "n-1",
    })
}

/// A key that signs.
pub(crate) enum SigningKey {
    Rsa(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn rsa() -> &'static Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn other_rsa() -> &'static Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn es256() -> &'static Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn ed25519() -> &'static Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| Self::Ed25519(Ed25519KeyPair::generate().unwrap()))
    }

    /// The public half.
    pub(crate) fn jwk(&self, kid: &str) -> Map<String, Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = match self {
            Self::Rsa(pair) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Self::Es256(pair) => {
                // An uncompressed point: 0x04, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        let Value::Object(mut key) = key else { unreachable!() };
        key.insert("kid".to_owned(), kid.into());
        key.insert("use".to_owned(), "sig".into());
        key
    }

    /// Signs a token; `alg` in the header says how.
    pub(crate) fn sign(&self, header: &Value, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let padding: &'static dyn RsaEncoding =
            if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        format!("{signed}.{}", self.sign_as(padding, &signed))
    }

    /// A signature by itself; `padding` is how an RSA key makes it.
    pub(crate) fn sign_as(&self, padding: &'static dyn RsaEncoding, signed: &str) -> String {
        let random = SystemRandom::new();
        URL_SAFE_NO_PAD.encode(match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Es256(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        })
    }
}

/// Modulus and exponent of a DER `RSAPublicKey`: a sequence of two integers (RFC 8017, A.1.1).
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    fn value(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, rest) = match der[1] {
            short @ ..0x80 => (usize::from(short), &der[2..]),
            long => {
                let (digits, rest) = der[2..].split_at(usize::from(long & 0x7f));
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
        };
        rest.split_at(length)
    }
    let (sequence, _) = value(der);
    let (modulus, rest) = value(sequence);
    (modulus, value(rest).0)
}

/// What an endpoint does when it is called.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer(Response<Bytes>),
    RefuseConnection,
    Stall,
}

/// A provider that does what a test tells it to, and remembers what it was asked.
#[derive(Debug)]
pub(crate) struct FakeProvider {
    acts: Mutex<[Act; 4]>,
    calls: Mutex<Vec<(Endpoint, Request<Vec<u8>>)>>,
}

impl FakeProvider {
    /// An ordinary provider with one RSA key called `k`.
    pub(crate) fn new() -> Self {
        let keys = json!({ "keys": [SigningKey::rsa().jwk("k")] });
        let acts = [
            Act::Answer(json(&metadata())),
            Act::Answer(json(&keys)),
            Act::Answer(answer(400, r#"{"error":"invalid_grant"}"#)),
            Act::Answer(json(&json!({ "sub": "ann", "email": "ann@example.com" }))),
        ];
        Self { acts: Mutex::new(acts), calls: Mutex::new(Vec::new()) }
    }

    pub(crate) fn does(&self, endpoint: Endpoint, act: Act) {
        self.acts.lock().unwrap()[endpoint as usize] = act;
    }

    pub(crate) fn answers(&self, endpoint: Endpoint, answer: Response<Bytes>) {
        self.does(endpoint, Act::Answer(answer));
    }

    pub(crate) fn publishes(&self, keys: &[(&SigningKey, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(key, kid)| key.jwk(kid)).collect();
        self.answers(Endpoint::Keys, json(&json!({ "keys": keys })));
    }

    pub(crate) fn is_down(&self) {
        *self.acts.lock().unwrap() = [const { Act::RefuseConnection }; 4];
    }

    pub(crate) fn calls(&self, endpoint: Endpoint) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| *called == endpoint).count()
    }

    pub(crate) fn last_request(&self) -> Request<Vec<u8>> {
        self.calls.lock().unwrap().last().unwrap().1.clone()
    }
}

#[async_trait]
impl HttpClient for FakeProvider {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, http_client::Error> {
        let endpoint = match request.uri().path() {
            "/as/.well-known/openid-configuration" => Endpoint::Metadata,
            "/as/jwks" => Endpoint::Keys,
            "/as/token" => Endpoint::Token,
            "/as/userinfo" => Endpoint::Userinfo,
            other => panic!("unknown endpoint {other}"),
        };
        self.calls.lock().unwrap().push((endpoint, request));
        let act = self.acts.lock().unwrap()[endpoint as usize].clone();
        // Long enough for others to come while this call is under way.
        tokio::time::sleep(Duration::from_millis(10)).await;
        match act {
            Act::Answer(answer) => Ok(answer),
            Act::RefuseConnection => Err(http_client::Error::Unreachable("connection refused".to_owned())),
            Act::Stall => std::future::pending().await,
        }
    }
}
