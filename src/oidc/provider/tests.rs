//! The provider against a fake one that fails by name, with a clock that tests own.

use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::testing::{self, Act, FakeProvider, ISSUER, NOW, SigningKey};
use super::super::{ClientAuth, authorization_response::AuthorizationResponse};
use super::*;
use crate::clock::ManualClock;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT_URI: &str = "https://app.example.com/.vestibule/callback";

struct Bench {
    fake: Arc<FakeProvider>,
    clock: ManualClock,
    provider: Provider,
}

impl Bench {
    fn new() -> Self {
        Self::with(testing::config())
    }

    fn with(config: Config) -> Self {
        let fake = Arc::new(FakeProvider::new());
        let clock = ManualClock::at(NOW);
        let http: Arc<dyn HttpClient> = Arc::clone(&fake) as _;
        let provider = Provider::new(config, http, Arc::new(clock.clone()));
        Self { fake, clock, provider }
    }

    fn after(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn keep_fresh(&self) -> Duration {
        self.provider.keep_fresh(self.fake.as_ref()).await
    }

    async fn exchange(&self) -> Result<TokenSet, Error> {
        self.provider.exchange(&code(), VERIFIER, REDIRECT_URI).await
    }

    async fn validate(&self, key: &SigningKey, kid: &str) -> Result<ValidatedIdToken, Error> {
        self.provider.validate_id_token(&tokens(&self.id_token(key, kid)), "n-1").await
    }

    /// A good token, issued now.
    fn id_token(&self, key: &SigningKey, kid: &str) -> String {
        let mut claims = testing::claims();
        claims["iat"] = json!(self.clock.now().as_secs());
        claims["exp"] = json!(self.clock.now().as_secs() + 3600);
        key.sign(&json!({ "alg": "RS256", "kid": kid }), &claims.to_string())
    }
}

fn code() -> Code {
    let pairs = [("code", "c-1"), ("state", "s")].map(|(name, value)| (name.into(), value.into()));
    AuthorizationResponse::parse(pairs).unwrap().outcome().unwrap().clone()
}

fn tokens(id_token: &str) -> TokenSet {
    TokenSet { id_token: id_token.into(), access_token: "at".into(), refresh_token: None, expires_in: None }
}

fn token_response(id_token: &str) -> Response<Bytes> {
    testing::json(&json!({
        "access_token": "at-1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt-1",
        "scope": "openid profile", "id_token": id_token,
    }))
}

fn asked(seconds: &'static str, status: u16) -> Response<Bytes> {
    let mut answer = testing::answer(status, "");
    answer.headers_mut().insert("retry-after", http::HeaderValue::from_static(seconds));
    answer
}

#[tokio::test(start_paused = true)]
async fn a_flood_before_the_first_metadata_makes_one_call() {
    let bench = Bench::new();
    assert!(bench.provider.metadata().is_none());
    let ready = || bench.provider.ready();
    let (a, b, c, d) = tokio::join!(ready(), ready(), ready(), ready());
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    bench.provider.ready().await.unwrap();
    assert_eq!(bench.fake.calls(Endpoint::Metadata), 1);
    assert_eq!(bench.provider.metadata().unwrap().issuer, ISSUER);
}

#[tokio::test(start_paused = true)]
async fn a_flood_while_the_provider_is_down_makes_few_calls() {
    let bench = Bench::new();
    bench.fake.is_down();
    let ready = || bench.provider.ready();
    let (a, b, c) = tokio::join!(ready(), ready(), ready());
    for outcome in [a, b, c] {
        assert_eq!(outcome.unwrap_err().reason(), "provider_unreachable");
    }
    // One attempt and two retries, shared by all; then nothing for a second.
    assert_eq!(bench.fake.calls(Endpoint::Metadata), 3);
    assert!(ready().await.is_err());
    assert_eq!(bench.fake.calls(Endpoint::Metadata), 3);
    bench.after(1);
    assert!(ready().await.unwrap_err().retry_after().is_some());
    assert!(bench.fake.calls(Endpoint::Metadata) > 3);
}

#[rstest]
#[case::a_redirect(testing::answer(302, ""), "provider_redirected")]
#[case::html(testing::answer(200, "<html>"), "provider_answer_not_json")]
#[case::another_issuer(testing::json(&json!({ "issuer": "https://evil.example" })), "metadata_issuer")]
#[tokio::test(start_paused = true)]
async fn metadata_that_is_none_is_asked_for_once(#[case] answer: Response<Bytes>, #[case] reason: &str) {
    let bench = Bench::new();
    bench.fake.answers(Endpoint::Metadata, answer);
    let error = bench.provider.ready().await.unwrap_err();
    assert_eq!(error.reason(), reason);
    assert!(error.retry_after().is_some());
    assert_eq!(bench.fake.calls(Endpoint::Metadata), 1);
    assert_eq!(bench.provider.status().last_error, Some(error.reason()));
}

#[tokio::test(start_paused = true)]
async fn a_stalling_provider_costs_no_more_than_the_time_limit() {
    let bench = Bench::new();
    bench.fake.does(Endpoint::Metadata, Act::Stall);
    let start = tokio::time::Instant::now();
    assert_eq!(bench.provider.ready().await.unwrap_err().reason(), "provider_timeout");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_after_five_failures_and_probes_every_five_seconds() {
    let bench = Bench::new();
    bench.provider.ready().await.unwrap();
    bench.fake.is_down();
    for _ in 0..5 {
        assert_eq!(bench.exchange().await.unwrap_err().reason(), "provider_unreachable");
    }
    let error = bench.exchange().await.unwrap_err();
    assert_eq!(error.reason(), "provider_circuit_open");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    assert_eq!(bench.provider.status().circuit, CircuitState::Open);
    assert_eq!(bench.fake.calls(Endpoint::Token), 5);

    bench.after(5);
    assert_eq!(bench.exchange().await.unwrap_err().reason(), "provider_unreachable");
    assert_eq!(bench.exchange().await.unwrap_err().reason(), "provider_circuit_open");
    assert_eq!(bench.fake.calls(Endpoint::Token), 6);

    bench.after(5);
    let id_token = bench.id_token(SigningKey::rsa(), "k");
    bench.fake.answers(Endpoint::Token, token_response(&id_token));
    assert!(bench.exchange().await.is_ok());
    assert!(bench.exchange().await.is_ok());
    assert_eq!(bench.provider.status().circuit, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn stalled_calls_open_the_circuit_too() {
    let bench = Bench::new();
    bench.provider.ready().await.unwrap();
    bench.fake.does(Endpoint::Token, Act::Stall);
    for _ in 0..5 {
        assert_eq!(bench.exchange().await.unwrap_err().reason(), "provider_timeout");
    }
    assert_eq!(bench.exchange().await.unwrap_err().reason(), "provider_circuit_open");
}

#[rstest]
#[case::unavailable(503, "provider_status")]
#[case::too_many_requests(429, "provider_rate_limit")]
#[tokio::test(start_paused = true)]
async fn stays_away_for_as_long_as_the_provider_asks(#[case] status: u16, #[case] reason: &str) {
    let bench = Bench::new();
    bench.provider.ready().await.unwrap();
    bench.fake.answers(Endpoint::Token, asked("20", status));
    let error = bench.exchange().await.unwrap_err();
    assert_eq!((error.reason(), error.retry_after()), (reason, Some(Duration::from_secs(20))));
    bench.after(15);
    let error = bench.exchange().await.unwrap_err();
    assert_eq!((error.reason(), error.retry_after()), ("provider_held_off", Some(Duration::from_secs(5))));
    assert_eq!(bench.fake.calls(Endpoint::Token), 1);
    bench.after(5);
    let _ = bench.exchange().await;
    assert_eq!(bench.fake.calls(Endpoint::Token), 2);
}

#[tokio::test(start_paused = true)]
async fn believes_no_more_than_a_minute_of_retry_after() {
    let bench = Bench::new();
    bench.fake.answers(Endpoint::Metadata, asked("86400", 503));
    let error = bench.provider.ready().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_mins(1)));
    assert_eq!(bench.fake.calls(Endpoint::Metadata), 1, "a provider that asks for a pause gets it");
}

#[rstest]
#[case::refused(Act::RefuseConnection)]
#[case::in_trouble(Act::Answer(testing::answer(500, "")))]
#[tokio::test(start_paused = true)]
async fn sends_a_code_once_whatever_happens(#[case] act: Act) {
    let bench = Bench::new();
    bench.provider.ready().await.unwrap();
    bench.fake.does(Endpoint::Token, act);
    assert!(bench.exchange().await.unwrap_err().retry_after().is_some());
    assert_eq!(bench.fake.calls(Endpoint::Token), 1);
}

#[tokio::test(start_paused = true)]
async fn exchanges_a_code_and_proves_itself_with_basic() {
    let bench = Bench::new();
    let id_token = bench.id_token(SigningKey::rsa(), "k");
    bench.fake.answers(Endpoint::Token, token_response(&id_token));
    let tokens = bench.exchange().await.unwrap();
    assert_eq!(tokens.id_token.expose_secret(), id_token);
    assert_eq!(tokens.access_token.expose_secret(), "at-1");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "rt-1");
    assert_eq!(tokens.expires_in, Some(Duration::from_hours(1)));

    let request = bench.fake.last_request();
    assert_eq!(request.method(), http::Method::POST);
    // base64("app:s3%3Acret%25"): id and secret are form-encoded first.
    assert_eq!(request.headers()["authorization"], "Basic YXBwOnMzJTNBY3JldCUyNQ==");
    let body = String::from_utf8(request.into_body()).unwrap();
    assert_eq!(
        body,
        format!(
            "grant_type=authorization_code&code=c-1&code_verifier={VERIFIER}\
             &redirect_uri=https%3A%2F%2Fapp.example.com%2F.vestibule%2Fcallback"
        )
    );
}

#[rstest]
#[case::post(ClientAuth::Post, Some("s3:cret%"))]
#[case::public(ClientAuth::None, None)]
#[tokio::test(start_paused = true)]
async fn proves_itself_in_the_body(#[case] client_auth: ClientAuth, #[case] secret: Option<&str>) {
    let bench = Bench::with(Config { client_auth, ..testing::config() });
    let _ = bench.exchange().await;
    let request = bench.fake.last_request();
    assert!(!request.headers().contains_key("authorization"));
    let value = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(request.body());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    assert_eq!(value("client_id").as_deref(), Some("app"));
    assert_eq!(value("client_secret").as_deref(), secret);
}

#[tokio::test(start_paused = true)]
async fn a_refused_code_is_the_responses_fault() {
    let bench = Bench::new();
    assert_eq!(bench.exchange().await.unwrap_err(), Rejected::InvalidGrant.into());
    assert_eq!(bench.provider.status().circuit, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_id_token_of_two_minds_is_rejected_at_once() {
    let bench = Bench::new();
    let odd = SigningKey::rsa().sign(&json!({ "alg": "RS256", "kid": "k" }), r#"{"iss":7,"iss":8}"#);
    bench.fake.answers(Endpoint::Token, token_response(&odd));
    assert_eq!(bench.exchange().await.unwrap_err(), Rejected::IdTokenMalformed.into());
}

#[tokio::test(start_paused = true)]
async fn validates_an_id_token_with_the_providers_keys() {
    let bench = Bench::new();
    assert_eq!(bench.validate(SigningKey::rsa(), "k").await.unwrap().sub(), "ann");
    bench.validate(SigningKey::rsa(), "k").await.unwrap();
    assert_eq!(bench.fake.calls(Endpoint::Keys), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_wrong_anyway_causes_no_call() {
    let bench = Bench::new();
    let token = bench.id_token(SigningKey::rsa(), "unknown");
    let error = bench.provider.validate_id_token(&tokens(&token), "n-2").await.unwrap_err();
    assert_eq!(error, Rejected::IdTokenNonce.into());
    assert_eq!(bench.fake.calls(Endpoint::Keys) + bench.fake.calls(Endpoint::Metadata), 0);
}

#[rstest]
#[case::with_overlap(&[(SigningKey::rsa(), "k"), (SigningKey::other_rsa(), "k2")], "k2")]
#[case::without_overlap(&[(SigningKey::other_rsa(), "k2")], "k2")]
#[case::under_the_same_kid(&[(SigningKey::other_rsa(), "k")], "k")]
#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_used_at_once(#[case] keys: &[(&SigningKey, &str)], #[case] kid: &str) {
    let bench = Bench::new();
    bench.validate(SigningKey::rsa(), "k").await.unwrap();
    bench.fake.publishes(keys);
    let validate = || bench.validate(SigningKey::other_rsa(), kid);
    let (a, b, c) = tokio::join!(validate(), validate(), validate());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(bench.fake.calls(Endpoint::Keys), 2);
}

#[tokio::test(start_paused = true)]
async fn every_login_may_fetch_keys_once() {
    let bench = Bench::new();
    bench.validate(SigningKey::rsa(), "k").await.unwrap();
    for fetches in 2..5 {
        let error = bench.validate(SigningKey::other_rsa(), "k").await.unwrap_err();
        assert_eq!(error, Rejected::IdTokenSignature.into());
        assert_eq!(bench.fake.calls(Endpoint::Keys), fetches);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_fetched_after_the_token_came_are_not_fetched_again() {
    let bench = Bench::new();
    let error = bench.validate(SigningKey::rsa(), "unknown").await.unwrap_err();
    assert_eq!(error, Rejected::IdTokenKeyUnknown.into());
    assert_eq!(bench.fake.calls(Endpoint::Keys), 1);
}

#[tokio::test(start_paused = true)]
async fn not_knowing_a_key_while_the_provider_is_down_is_not_a_rejection() {
    let bench = Bench::new();
    bench.validate(SigningKey::rsa(), "k").await.unwrap();
    bench.fake.is_down();
    let error = bench.validate(SigningKey::other_rsa(), "k2").await.unwrap_err();
    assert_eq!(error.reason(), "provider_unreachable");
    assert!(bench.validate(SigningKey::rsa(), "k").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_kids_makes_one_fetch_in_thirty_seconds() {
    let bench = Bench::new();
    bench.keep_fresh().await;
    let unknown = |kid| bench.provider.keys_for(Some(kid), SigningAlgorithm::Rs256, Budget::Bearer);
    let _ = tokio::join!(unknown("a"), unknown("b"), unknown("c"));
    for kid in ["d", "e", "f"] {
        assert!(!unknown(kid).await.unwrap().knows(Some(kid), SigningAlgorithm::Rs256));
    }
    assert_eq!(bench.fake.calls(Endpoint::Keys), 2);
    assert!(unknown("k").await.unwrap().knows(Some("k"), SigningAlgorithm::Rs256));
    // The flood takes nothing from logins.
    bench.fake.publishes(&[(SigningKey::other_rsa(), "k2")]);
    assert!(bench.validate(SigningKey::other_rsa(), "k2").await.is_ok());
    assert_eq!(bench.fake.calls(Endpoint::Keys), 3);
    bench.after(30);
    let _ = unknown("g").await;
    assert_eq!(bench.fake.calls(Endpoint::Keys), 4);
}

#[tokio::test(start_paused = true)]
async fn upkeep_fetches_what_is_five_minutes_old() {
    let bench = Bench::new();
    let pause = bench.keep_fresh().await;
    assert!(pause <= Duration::from_mins(5) && pause > Duration::from_secs(270), "{pause:?}");
    bench.keep_fresh().await;
    assert_eq!((bench.fake.calls(Endpoint::Metadata), bench.fake.calls(Endpoint::Keys)), (1, 1));
    bench.clock.advance(pause);
    bench.keep_fresh().await;
    assert_eq!((bench.fake.calls(Endpoint::Metadata), bench.fake.calls(Endpoint::Keys)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_refused_after_the_next_upkeep() {
    let bench = Bench::new();
    let pause = bench.keep_fresh().await;
    bench.fake.publishes(&[(SigningKey::other_rsa(), "k2")]);
    bench.clock.advance(pause);
    bench.keep_fresh().await;
    let error = bench.validate(SigningKey::rsa(), "k").await.unwrap_err();
    assert_eq!(error, Rejected::IdTokenKeyUnknown.into());
}

#[rstest]
#[case::emptied(Act::Answer(testing::json(&json!({ "keys": [] }))))]
#[case::html(Act::Answer(testing::answer(200, "<html>")))]
#[case::in_trouble(Act::Answer(testing::answer(500, "")))]
#[case::gone(Act::RefuseConnection)]
#[case::stalling(Act::Stall)]
#[tokio::test(start_paused = true)]
async fn the_last_good_keys_serve_for_a_day(#[case] act: Act) {
    let bench = Bench::new();
    bench.keep_fresh().await;
    bench.fake.does(Endpoint::Keys, act);
    bench.after(300);
    let pause = bench.keep_fresh().await;
    assert!(pause <= RETRY_STALE, "{pause:?}");
    assert!(bench.validate(SigningKey::rsa(), "k").await.is_ok());
    bench.after(24 * 3600 - 301);
    bench.keep_fresh().await;
    assert!(bench.validate(SigningKey::rsa(), "k").await.is_ok());
    bench.after(1);
    assert_eq!(bench.provider.status().keys, 0);
    assert!(bench.validate(SigningKey::rsa(), "k").await.unwrap_err().retry_after().is_some());
}

#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_never_replaces_the_good_one() {
    let bench = Bench::new();
    bench.keep_fresh().await;
    let mut other = testing::metadata();
    other["issuer"] = json!("https://idp.example.com/as/");
    bench.fake.answers(Endpoint::Metadata, testing::json(&other));
    bench.after(300);
    bench.keep_fresh().await;
    assert_eq!(bench.provider.metadata().unwrap().issuer, ISSUER);
    assert_eq!(bench.provider.status().metadata_age, Some(Duration::from_mins(5)));
}

#[tokio::test(start_paused = true)]
async fn upkeep_comes_back_soon_while_nothing_is_known() {
    let bench = Bench::new();
    bench.fake.is_down();
    let pause = bench.keep_fresh().await;
    assert!(pause <= RETRY_MISSING, "{pause:?}");
    assert_eq!(bench.provider.status().metadata_age, None);
    assert_eq!(bench.provider.status().last_error, Some("provider_unreachable"));
}

#[tokio::test(start_paused = true)]
async fn asks_userinfo_about_one_person() {
    let bench = Bench::new();
    let token = SecretString::from("at-1");
    let claims = bench.provider.userinfo(&token, "ann").await.unwrap();
    assert_eq!(claims.text("email"), Some("ann@example.com"));
    assert_eq!(bench.fake.last_request().headers()["authorization"], "Bearer at-1");
    let error = bench.provider.userinfo(&token, "bob").await.unwrap_err();
    assert_eq!(error, Rejected::UserinfoSubject.into());
}

#[rstest]
#[case::gone(Act::RefuseConnection, "provider_unreachable")]
#[case::stalling(Act::Stall, "provider_timeout")]
#[case::in_trouble(Act::Answer(testing::answer(500, "")), "provider_status")]
#[case::overrun(Act::Answer(testing::answer(429, "")), "provider_rate_limit")]
#[case::refusing(Act::Answer(testing::answer(401, "")), "provider_unexpected_status")]
#[case::elsewhere(Act::Answer(testing::answer(302, "")), "provider_redirected")]
#[case::html(Act::Answer(testing::answer(200, "<html>")), "provider_answer_not_json")]
#[case::a_list(Act::Answer(testing::answer(200, "[]")), "userinfo_malformed")]
#[case::another_person(Act::Answer(testing::answer(200, r#"{"sub":"bob"}"#)), "userinfo_sub")]
#[tokio::test(start_paused = true)]
async fn a_failing_userinfo_says_so(#[case] act: Act, #[case] reason: &str) {
    let bench = Bench::new();
    bench.fake.does(Endpoint::Userinfo, act);
    let error = bench.provider.userinfo(&SecretString::from("at-1"), "ann").await.unwrap_err();
    assert_eq!(error.reason(), reason);
    assert!(error.to_string().contains("userinfo"), "{error}");
}

#[rstest]
#[case::gone(Act::RefuseConnection, "provider_unreachable")]
#[case::stalling(Act::Stall, "provider_timeout")]
#[case::in_trouble(Act::Answer(testing::answer(500, "")), "provider_status")]
#[case::not_found(Act::Answer(testing::answer(404, "")), "provider_unexpected_status")]
#[case::html(Act::Answer(testing::answer(200, "<html>")), "provider_answer_not_json")]
#[case::a_used_code(Act::Answer(testing::answer(400, r#"{"error":"invalid_grant"}"#)), "invalid_grant")]
#[case::a_wrong_secret(Act::Answer(testing::answer(401, r#"{"error":"invalid_client"}"#)), "invalid_client")]
#[case::no_tokens(Act::Answer(testing::answer(200, "{}")), "token_response")]
#[tokio::test(start_paused = true)]
async fn a_failing_token_request_says_so(#[case] act: Act, #[case] reason: &str) {
    let bench = Bench::new();
    bench.fake.does(Endpoint::Token, act);
    let error = bench.exchange().await.unwrap_err();
    assert_eq!(error.reason(), reason);
    assert!(error.to_string().contains("token endpoint"), "{error}");
}

#[rstest]
#[case::metadata(Endpoint::Metadata, "metadata: it answered 404")]
#[case::keys(Endpoint::Keys, "keys: it answered 404")]
#[tokio::test(start_paused = true)]
async fn a_failing_document_is_not_taken_for_another(#[case] endpoint: Endpoint, #[case] said: &str) {
    let bench = Bench::new();
    let id_token = bench.id_token(SigningKey::rsa(), "k");
    bench.fake.answers(Endpoint::Token, token_response(&id_token));
    bench.fake.answers(endpoint, testing::answer(404, ""));
    let login = async {
        let tokens = bench.exchange().await?;
        bench.provider.validate_id_token(&tokens, "n-1").await
    };
    let error = login.await.unwrap_err().to_string();
    assert!(error.ends_with(said), "{error}");
}

#[rstest]
#[case::a_name_that_is_a_number("preferred_username", json!(4711), Ok(()))]
#[case::an_address_in_one_line("address", json!("1 Main Street"), Ok(()))]
#[case::no_sub("sub", Value::Null, Err("id_token_sub"))]
#[case::no_time_of_issue("iat", Value::Null, Err("id_token_iat"))]
#[case::no_expiry("exp", Value::Null, Err("id_token_exp"))]
#[case::no_audience("aud", Value::Null, Err("id_token_audience"))]
#[case::no_issuer("iss", json!(1), Err("id_token_issuer"))]
#[tokio::test(start_paused = true)]
async fn a_login_judges_the_claims_of_the_protocol_alone(
    #[case] claim: &str,
    #[case] value: Value,
    #[case] expected: Result<(), &str>,
) {
    let bench = Bench::new();
    let mut claims = testing::claims();
    claims[claim] = value;
    let id_token = SigningKey::rsa().sign(&json!({ "alg": "RS256", "kid": "k" }), &claims.to_string());
    bench.fake.answers(Endpoint::Token, token_response(&id_token));
    let tokens = bench.exchange().await.unwrap();
    assert_eq!(tokens.id_token.expose_secret(), id_token);
    let outcome = bench.provider.validate_id_token(&tokens, "n-1").await;
    assert_eq!(outcome.map(|_| ()).map_err(|error| error.reason()), expected);
}

#[tokio::test(start_paused = true)]
async fn userinfo_without_an_endpoint_fails() {
    let bench = Bench::new();
    let mut metadata = testing::metadata();
    metadata["userinfo_endpoint"] = Value::Null;
    bench.fake.answers(Endpoint::Metadata, testing::json(&metadata));
    let error = bench.provider.userinfo(&SecretString::from("at"), "ann").await.unwrap_err();
    assert_eq!(error.reason(), "metadata_incomplete");
}

#[test]
fn its_futures_can_move_between_threads() {
    fn assert_send<T: Send>(_: &T) {}
    let bench = Bench::new();
    let (code, tokens) = (code(), tokens("x"));
    assert_send(&bench.provider.ready());
    assert_send(&bench.provider.exchange(&code, VERIFIER, REDIRECT_URI));
    assert_send(&bench.provider.validate_id_token(&tokens, "n"));
    assert_send(&bench.provider.userinfo(&tokens.access_token, "ann"));
    assert_send(&bench.provider.keep_fresh(bench.fake.as_ref()));
}

#[test]
fn shows_no_secret_when_debugged() {
    let shown = format!("{:?} {:?}", Bench::new().provider, testing::config());
    assert!(!shown.contains("s3:cret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_access_token_causes_no_fetch_of_keys() {
    let bench = Bench::new();
    bench.validate(SigningKey::rsa(), "k").await.unwrap();
    let mut claims = testing::claims();
    claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    let token = SigningKey::rsa().sign(&json!({ "alg": "RS256", "kid": "k" }), &claims.to_string());
    let error = bench.provider.validate_id_token(&tokens(&token), "n-1").await.unwrap_err();
    assert_eq!(error, Rejected::IdTokenAccessTokenHash.into());
    assert_eq!(bench.fake.calls(Endpoint::Keys), 1);
}

#[test]
fn sends_a_browser_on_to_end_its_session_at_the_provider() {
    let (provider, metadata) = (Bench::new().provider, testing::read_metadata());
    let back = "https://app.example.com/.vestibule/signed-out";
    let url = provider.end_session_url(&metadata, Some("e30.e30.AA"), Some("ann"), back, "s").unwrap();
    assert_eq!(
        url.as_str(),
        "https://idp.example.com/as/signoff?id_token_hint=e30.e30.AA&logout_hint=ann&client_id=app\
         &post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F.vestibule%2Fsigned-out&state=s"
    );
}

#[tokio::test(start_paused = true)]
async fn upkeep_comes_back_soon_while_the_keys_alone_are_missing() {
    let bench = Bench::new();
    bench.fake.answers(Endpoint::Keys, testing::answer(404, ""));
    let pause = bench.keep_fresh().await;
    assert!(bench.provider.metadata().is_some());
    assert!(pause <= RETRY_MISSING, "{pause:?}");
}
