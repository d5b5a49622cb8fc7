//! Whole logins, by a provider that answers what it is told.

use async_trait::async_trait;
use http::HeaderValue;
use http::header::COOKIE;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::http_client::HttpClient;
use crate::oidc::circuit::Endpoint;
use crate::oidc::provider::Provider;
use crate::oidc::testing::{self, FakeProvider, ISSUER, NOW, SigningKey};
use crate::route::origin::Origin;
use crate::seal::MasterKey;
use crate::session::{Handle, MemoryStore, Scope, StoreKind};

struct House {
    callbacks: Arc<Callbacks>,
    sign_in: Arc<SignIn>,
    keyring: Arc<Keyring>,
    store: Arc<dyn SessionStore>,
    clock: ManualClock,
    fake: Arc<FakeProvider>,
}

impl House {
    fn new() -> Self {
        Self::with(Arc::new(MemoryStore::new(&session::testing::config(StoreKind::Memory))))
    }

    fn with(store: Arc<dyn SessionStore>) -> Self {
        let clock = ManualClock::at(NOW);
        let config = testing::config();
        let name = config.name.clone();
        let fake = Arc::new(FakeProvider::new());
        let http: Arc<dyn HttpClient> = Arc::clone(&fake) as _;
        let provider = Arc::new(Provider::new(config, http, Arc::new(clock.clone())));
        let origin = Origin::parse("https://app.test").unwrap();
        let scope = session::testing::scope("https://app.test", name.as_str());
        let sign_in = Arc::new(SignIn::new(&origin, scope, provider, "/.vestibule/callback", "vestibule"));
        let keyring = Arc::new(Keyring::new(&[MasterKey::random()]).unwrap());
        let metrics = Arc::new(Metrics::new(std::slice::from_ref(&name)).unwrap());
        let wanted = std::iter::once((name, HashSet::new()));
        let callbacks = Callbacks::new(
            Arc::clone(&keyring),
            Arc::clone(&store),
            Arc::new(clock.clone()),
            metrics,
            wanted,
        );
        Self { callbacks: Arc::new(callbacks), sign_in, keyring, store, clock, fake }
    }

    /// A login that begins now: its attempt, its state, and what the browser sends from then on.
    fn begins(&self) -> (Attempt, State, HeaderMap) {
        let now = self.clock.now();
        let attempt = Attempt::fresh(now, None, None);
        let state = State {
            attempt: attempt.id.clone(),
            provider: self.sign_in.scope.provider.clone(),
            return_to: ReturnTo::root(),
            at: now,
        };
        let owed = attempt.owe(&self.sign_in, &self.keyring, &HeaderMap::new());
        let cookie = owed.values().next().unwrap().to_str().unwrap().split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        (attempt, state, headers)
    }

    /// From now on the provider gives out a good ID token of `sub` for this attempt.
    fn signs(&self, sub: &str, attempt: &Attempt) {
        let mut claims = testing::claims();
        claims["sub"] = json!(sub);
        claims["nonce"] = json!(attempt.nonce);
        let id_token = SigningKey::rsa().sign(&json!({ "alg": "RS256", "kid": "k" }), &claims.to_string());
        let tokens = json!({ "access_token": "at-1", "token_type": "Bearer", "id_token": id_token });
        self.fake.answers(Endpoint::Token, testing::json(&tokens));
    }

    async fn finishes(
        &self,
        state: State,
        headers: &HeaderMap,
        previous: Option<Arc<Live>>,
    ) -> Result<SignedIn, Failed> {
        let pairs = [("code", "c-1"), ("state", "s"), ("iss", ISSUER)];
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        let response = AuthorizationResponse::parse(pairs).unwrap();
        self.callbacks.finish(&self.sign_in, response, state, headers, previous).await
    }

    /// A whole login of `sub`, and the session that its cookie presents.
    async fn logs_in(&self, sub: &str, previous: Option<Arc<Live>>) -> Arc<Live> {
        let (attempt, state, headers) = self.begins();
        self.signs(sub, &attempt);
        let signed_in = self.finishes(state, &headers, previous).await.unwrap();
        self.store.load(&self.sign_in.scope, &presented(&signed_in)).await.unwrap().unwrap()
    }
}

/// The session that a browser presents from now on.
fn presented(signed_in: &SignedIn) -> String {
    let mut texts = signed_in.cookies.values().map(|value| value.to_str().unwrap());
    let value = texts.find_map(|text| text.strip_prefix("__Host-vestibule=")).unwrap();
    value.split(';').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_login_makes_the_session_that_its_cookie_presents() {
    let house = House::new();
    let live = house.logs_in("ann", None).await;
    assert_eq!(live.identity().sub(), Some("ann"));
    assert_eq!((live.session().created_at, live.session().replaces), (house.clock.now(), None));
}

#[rstest]
#[case::the_same_person("ann", true)]
#[case::somebody_else("bob", false)]
#[tokio::test(start_paused = true)]
async fn only_ones_own_old_session_lives_out_its_grace(#[case] sub: &str, #[case] own: bool) {
    let house = House::new();
    let old = house.logs_in("ann", None).await;
    let new = house.logs_in(sub, Some(Arc::clone(&old))).await;
    assert_eq!(new.identity().sub(), Some(sub));
    assert_eq!(old.ended_by(house.clock.now()), !own);
    assert_eq!(new.session().replaces, own.then_some(*old.handle()));
    house.clock.advance(GRACE);
    assert!(old.ended_by(house.clock.now()));
    assert!(!new.ended_by(house.clock.now()));
}

#[tokio::test(start_paused = true)]
async fn a_code_is_exchanged_once_however_often_its_callback_comes() {
    let house = House::new();
    let (attempt, state, headers) = house.begins();
    house.signs("ann", &attempt);
    let (one, other) = tokio::join!(
        house.finishes(state.clone(), &headers, None),
        house.finishes(state.clone(), &headers, None),
    );
    assert_eq!(presented(&one.unwrap()), presented(&other.unwrap()));
    let later = house.finishes(state, &headers, None).await;
    assert!(matches!(later, Err(Failed::Stale { why: Staleness::Spent, .. })), "{later:?}");
    assert_eq!(house.fake.calls(Endpoint::Token), 1);
}

/// A store with a fault of ours in it.
#[derive(Debug)]
struct Faulty;

#[async_trait]
impl SessionStore for Faulty {
    async fn create(&self, _: &Scope, _: Session) -> Result<String, session::Error> {
        panic!("a fault of ours")
    }

    async fn load(&self, _: &Scope, _: &str) -> Result<Option<Arc<Live>>, session::Error> {
        Ok(None)
    }

    fn renew(&self, _: &Scope, _: &Live, _: Timestamp) -> Option<String> {
        None
    }

    async fn end(&self, _: &Live, _: Ending, _: Timestamp) -> Result<(), session::Error> {
        Ok(())
    }

    async fn end_known(&self, _: &Handle, _: Ending, _: Timestamp) -> Result<(), session::Error> {
        Ok(())
    }

    async fn end_by_sid(&self, _: &ProviderName, _: &str, _: Timestamp) -> Result<u64, session::Error> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), session::Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a fault of ours")]
async fn a_fault_of_ours_is_no_stale_login() {
    let house = House::with(Arc::new(Faulty));
    let (attempt, state, headers) = house.begins();
    house.signs("ann", &attempt);
    let _ = house.finishes(state, &headers, None).await;
}
