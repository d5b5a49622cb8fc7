//! The provider: signs people in at a word, rotates its keys all the time, and stalls now and then.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use url::{Url, form_urlencoded};
use vestibule::clock::{Clock as _, SystemClock};

use super::counts::Event;
use super::dice::Dice;
use super::message::{Head, Reader};
use super::people::Person;
use super::world::World;

/// `client_id`.
pub(crate) const CLIENT: &str = "golden";
/// `client_secret`.
pub(crate) const SECRET: &str = "not-a-secret-here";
/// How long a key signs, if it signs at all.
const KEY_LASTS: Duration = Duration::from_millis(28);
/// Keys that stay published.
const PUBLISHED: usize = 50;
/// Of a thousand tokens, how many take their time.
const STALLS: usize = 400;

/// A provider.
#[derive(Debug)]
pub(crate) struct Provider {
    issuer: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: VecDeque<Key>,
    codes: HashMap<String, Grant>,
    dice: Dice,
    made: u64,
}

/// A signing key, the newest signs.
#[derive(Debug)]
struct Key {
    kid: String,
    pair: Arc<EcdsaKeyPair>,
    signed: u64,
}

/// What a code is for.
#[derive(Debug)]
struct Grant {
    person: &'static Person,
    sid: String,
    nonce: String,
    code_challenge: String,
    redirect_uri: String,
}

/// Where the provider sends a browser back to.
#[derive(Debug, Clone)]
pub(crate) struct SignedOn {
    /// Path and query of the callback.
    pub(crate) target: String,
    /// The provider's session.
    pub(crate) sid: String,
}

impl Provider {
    /// A provider that will be at this port.
    pub(crate) fn new(port: u16, dice: Dice) -> Self {
        let mut state = State { keys: VecDeque::new(), codes: HashMap::new(), dice, made: 0 };
        state.add_key();
        Self { issuer: format!("http://127.0.0.1:{port}"), state: Mutex::new(state) }
    }

    /// `issuer`.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody signs on, which takes them no time: the authorization response to the request at `url`.
    pub(crate) fn sign_on(&self, url: &Url, person: &'static Person) -> Option<SignedOn> {
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let mut state = self.state();
        state.made += 1;
        let chance = state.dice.roll();
        let (code, sid) = (format!("code-{:x}-{chance:x}", state.made), format!("sid-{:x}", state.made));
        let redirect_uri = asked.get("redirect_uri")?.clone();
        let back =
            Url::parse_with_params(&redirect_uri, [("code", &code), ("state", asked.get("state")?)]).ok()?;
        let right = asked.get("client_id")? == CLIENT && asked.get("code_challenge_method")? == "S256";
        let grant = Grant {
            person,
            sid: sid.clone(),
            nonce: asked.get("nonce")?.clone(),
            code_challenge: asked.get("code_challenge")?.clone(),
            redirect_uri,
        };
        state.codes.insert(code, grant);
        right.then(|| SignedOn {
            target: format!("{}?{}", back.path(), back.query().unwrap_or_default()),
            sid,
        })
    }

    /// Goes on to another key again and again.
    pub(crate) async fn rotate(world: Arc<World>) {
        while !world.is_over() {
            tokio::time::sleep(KEY_LASTS).await;
            let mut state = world.provider.state();
            if state.keys.back().is_some_and(|key| key.signed > 0) {
                state.add_key();
                world.counts.note(Event::KeyRotation);
            }
        }
    }

    /// Answers the gateways.
    pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                // A gateway that ends a connection is no fault.
                let _ = serve(&world, stream).await;
            });
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
        })
    }

    fn jwks(&self) -> Value {
        let state = self.state();
        json!({ "keys": state.keys.iter().map(Key::jwk).collect::<Vec<_>>() })
    }

    /// Tokens for a code, once.
    fn token(&self, head: &Head, form: &[u8]) -> Result<Value, &'static str> {
        let form: HashMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:{SECRET}"));
        if head.field("authorization") != Some(&format!("Basic {basic}")) {
            return Err("invalid_client");
        }
        let mut state = self.state();
        let grant = state.codes.remove(field("code")).ok_or("invalid_grant")?;
        let challenge = digest::digest(&digest::SHA256, field("code_verifier").as_bytes());
        if grant.code_challenge != URL_SAFE_NO_PAD.encode(challenge)
            || grant.redirect_uri != field("redirect_uri")
        {
            return Err("invalid_grant");
        }
        let now = SystemClock.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300,
            "nonce": grant.nonce, "sid": grant.sid,
        });
        grant.person.claims(&mut claims);
        let id_token = state.sign(&claims).ok_or("server_error")?;
        Ok(
            json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": id_token }),
        )
    }
}

impl State {
    fn add_key(&mut self) {
        self.made += 1;
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
        self.keys.push_back(Key { kid: format!("key-{:x}", self.made), pair: Arc::new(pair), signed: 0 });
        if self.keys.len() > PUBLISHED {
            self.keys.pop_front();
        }
    }

    fn sign(&mut self, claims: &Value) -> Option<String> {
        let key = self.keys.back_mut()?;
        key.signed += 1;
        let header = json!({ "alg": "ES256", "kid": key.kid, "typ": "JWT" }).to_string();
        let input =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = key.pair.sign(&SystemRandom::new(), input.as_bytes()).ok()?;
        Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Key {
    fn jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": part(1..33), "y": part(33..65) })
    }
}

async fn serve(world: &World, mut stream: TcpStream) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut reader = Reader::new(read);
    let provider = &world.provider;
    while let Some(head) = reader.head().await? {
        let body = reader.body(head.length().unwrap_or(0)).await?;
        let (status, answer) = match head.word(1) {
            "/.well-known/openid-configuration" => ("200 OK", provider.metadata()),
            "/jwks" => ("200 OK", provider.jwks()),
            "/token" => {
                let (stalls, pause) = {
                    let dice = &mut provider.state().dice;
                    (dice.of_thousand(STALLS), dice.millis(40, 250))
                };
                if stalls {
                    world.counts.note(Event::ProviderStall);
                    tokio::time::sleep(pause).await;
                }
                match provider.token(&head, &body) {
                    Ok(tokens) => ("200 OK", tokens),
                    Err(error) => ("400 Bad Request", json!({ "error": error })),
                }
            }
            _ => ("404 Not Found", json!({})),
        };
        let answer = answer.to_string();
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {length}\r\n\r\n"
        );
        write.write_all((head + &answer).as_bytes()).await?;
    }
    Ok(())
}
