//! Attempts and the loop guard, as a browser that keeps every cookie sees them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use rstest::rstest;
use url::Url;

use super::SignIn;
use super::attempt::{self, Attempt, State};
use super::loop_guard::{self, GoingRound};
use super::return_to::ReturnTo;
use super::start::{self, Wish};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::http_client::{self, HttpClient};
use crate::identity::{ClaimNames, ProviderName};
use crate::oidc::{self, ClientAuth, Metadata, Provider, ResponseMode, SignOut, SigningAlgorithm, Userinfo};
use crate::reply::{OwedCookies, Transport};
use crate::route::origin::Origin;
use crate::seal::{Keyring, MasterKey};
use crate::session::Scope;

/// Nothing here asks a provider.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl HttpClient for Silent {
    async fn send(&self, _: http::Request<Vec<u8>>) -> Result<http::Response<Bytes>, http_client::Error> {
        Err(http_client::Error::Unreachable("nobody is asked".to_owned()))
    }
}

struct House {
    sign_in: SignIn,
    keyring: Keyring,
    clock: ManualClock,
}

fn house(origin: &str) -> House {
    house_where(origin, |_| ())
}

fn house_where(origin: &str, change: impl FnOnce(&mut oidc::Config)) -> House {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let name = ProviderName::parse("idp").unwrap();
    let mut config = oidc::Config {
        name: name.clone(),
        issuer: "https://idp.example.com".to_owned(),
        client_id: "app".to_owned(),
        client_secret: None,
        client_auth: ClientAuth::None,
        scopes: vec!["openid".to_owned()],
        response_mode: ResponseMode::Query,
        authorize: Vec::new(),
        id_token_algorithms: vec![SigningAlgorithm::Rs256],
        clock_skew: Duration::from_mins(1),
        userinfo: Userinfo::Never,
        claims: ClaimNames::default(),
        sign_out: SignOut::Browser,
        after_sign_out: "/".to_owned(),
        http: http_client::Config::default(),
        login_rate: 20,
    };
    change(&mut config);
    let origin = Origin::parse(origin).unwrap();
    let scope = Scope {
        cookie: "__Host-vestibule".into(),
        origin: origin.to_string(),
        provider: name,
        names: Arc::new(ClaimNames::default()),
        transport: Transport::Tls,
        partitioned: false,
    };
    let provider = Arc::new(Provider::new(config, Arc::new(Silent), Arc::new(clock.clone())));
    let sign_in = SignIn::new(&origin, scope, provider, "/.vestibule/callback", "vestibule");
    House { sign_in, keyring: Keyring::new(&[MasterKey::random()]).unwrap(), clock }
}

/// A browser's cookies after these `Set-Cookie`s.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn take(&mut self, owed: &OwedCookies) {
        for value in owed.values() {
            let text = value.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !text.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn headers(&self) -> HeaderMap {
        let line: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::new();
        if !line.is_empty() {
            headers.insert(COOKIE, HeaderValue::from_str(&line.join("; ")).unwrap());
        }
        headers
    }
}

#[test]
fn of_twenty_attempts_the_eight_youngest_are_kept() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let mut jar = Jar::default();
    let mut attempts = Vec::new();
    for _ in 0..20 {
        clock.advance(Duration::from_secs(1));
        let attempt = Attempt::fresh(clock.now(), None, None);
        jar.take(&attempt.owe(&sign_in, &keyring, &jar.headers()));
        attempts.push(attempt);
    }
    assert_eq!(jar.0.len(), 8);
    let bytes: usize = jar.0.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= 8 * 1024);
    assert!(jar.0.iter().all(|(name, value)| name.len() + value.len() <= 1000));
    for (index, attempt) in attempts.iter().enumerate() {
        let found = Attempt::find(&sign_in, &keyring, &jar.headers(), &attempt.id);
        assert_eq!(found.is_some(), index >= 12, "{index}");
        assert!(found.is_none_or(|found| found.nonce == attempt.nonce));
    }
}

#[test]
fn two_attempts_share_neither_nonce_nor_verifier() {
    let now = Timestamp::from_secs(1);
    let (one, two) = (Attempt::fresh(now, None, None), Attempt::fresh(now, None, None));
    assert_ne!(one.nonce, two.nonce);
    assert_ne!(one.code_verifier, two.code_verifier);
    assert_ne!(one.id, two.id);
    assert_eq!(one.code_verifier.len(), 43);
}

#[test]
fn an_attempt_moved_to_another_cookie_is_none() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let (one, two) = (Attempt::fresh(clock.now(), None, None), Attempt::fresh(clock.now(), None, None));
    let mut jar = Jar::default();
    jar.take(&one.owe(&sign_in, &keyring, &jar.headers()));
    let value = jar.0.first().unwrap().1.clone();
    let mut headers = HeaderMap::new();
    let moved = format!("{}{}={value}", sign_in.cookie_prefix, two.id.as_str());
    headers.insert(COOKIE, HeaderValue::from_str(&moved).unwrap());
    assert!(Attempt::find(&sign_in, &keyring, &headers, &two.id).is_none());
    assert!(Attempt::find(&sign_in, &keyring, &headers, &one.id).is_none());
}

#[test]
fn the_cookie_of_a_finished_attempt_is_cleared_and_no_other() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let mut jar = Jar::default();
    let (one, two) = (Attempt::fresh(clock.now(), None, None), Attempt::fresh(clock.now(), None, None));
    for attempt in [&one, &two] {
        jar.take(&attempt.owe(&sign_in, &keyring, &jar.headers()));
    }
    jar.take(&attempt::clear(&sign_in, &jar.headers(), &one.id));
    assert!(Attempt::find(&sign_in, &keyring, &jar.headers(), &one.id).is_none());
    assert!(Attempt::find(&sign_in, &keyring, &jar.headers(), &two.id).is_some());
    assert!(attempt::clear(&sign_in, &jar.headers(), &one.id).is_empty(), "it is gone already");
    assert!(!attempt::clear(&sign_in, &jar.headers(), &two.id).is_empty());
}

#[test]
fn a_state_opens_at_its_origin_alone_and_reads_its_target_anew() {
    let here = house("https://app.test");
    let origin = &here.sign_in.origin;
    let attempt = Attempt::fresh(here.clock.now(), None, None);
    let state = State {
        attempt: attempt.id,
        provider: here.sign_in.scope.provider.clone(),
        return_to: ReturnTo::parse("/payslip?month=5", origin, &[]).unwrap(),
        at: here.clock.now(),
    };
    let sealed = state.seal(&here.sign_in, &here.keyring);
    let own = ["/.vestibule"];
    assert_eq!(State::open(&sealed, origin, &own, &here.keyring), Some(state.clone()));
    let there = Origin::parse("https://other.test").unwrap();
    assert_eq!(State::open(&sealed, &there, &own, &here.keyring), None);
    // What has become an own endpoint since is no target any more.
    let opened = State::open(&sealed, origin, &["/payslip"], &here.keyring).unwrap();
    assert_eq!(opened.return_to, ReturnTo::root());
    assert!(!state.is_stale(here.clock.now().plus(attempt::LIFETIME)));
    assert!(state.is_stale(here.clock.now().plus(attempt::LIFETIME + Duration::from_millis(1))));
}

#[test]
fn a_browser_that_goes_round_is_stopped_at_the_fourth_redirect() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let mut jar = Jar::default();
    assert!(loop_guard::on_redirect(&sign_in, &keyring, &jar.headers(), clock.now()).is_ok());
    for turn in 1..=4 {
        jar.take(&loop_guard::on_callback(&sign_in, &keyring, &jar.headers(), clock.now()));
        clock.advance(Duration::from_secs(2));
        match loop_guard::on_redirect(&sign_in, &keyring, &jar.headers(), clock.now()) {
            Ok(owed) if turn <= 3 => jar.take(&owed),
            other => assert_eq!((turn, other), (4, Err(GoingRound))),
        }
    }
}

#[test]
fn only_a_redirect_right_after_a_callback_counts() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let mut jar = Jar::default();
    for _ in 0..20 {
        // Tabs that are opened without ever coming back.
        let owed = loop_guard::on_redirect(&sign_in, &keyring, &jar.headers(), clock.now()).unwrap();
        assert!(owed.is_empty());
    }
    for _ in 0..20 {
        jar.take(&loop_guard::on_callback(&sign_in, &keyring, &jar.headers(), clock.now()));
        clock.advance(Duration::from_secs(11));
        let owed = loop_guard::on_redirect(&sign_in, &keyring, &jar.headers(), clock.now()).unwrap();
        assert!(owed.is_empty(), "a person who works for a while and signs in again");
    }
    jar.take(&loop_guard::forget(&sign_in, &jar.headers()));
    assert!(jar.0.is_empty());
}

#[rstest]
#[case::a_session("__Host-vestibule", true)]
#[case::a_further_part_of_one("__Host-vestibule.1", true)]
#[case::an_attempt("__Host-vestibule-login-0123", true)]
#[case::the_loop_guard("__Host-vestibule.loop", true)]
#[case::a_longer_name("__Host-vestibule2", false)]
#[case::without_the_prefix("vestibule.loop", false)]
#[case::of_a_service("session", false)]
fn owns_its_cookies_and_no_others(#[case] name: &str, #[case] own: bool) {
    assert_eq!(house("https://app.test").sign_in.owns_cookie(name), own);
}

#[test]
fn an_attempt_whose_cookie_comes_twice_is_none() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let attempt = Attempt::fresh(clock.now(), None, None);
    let mut jar = Jar::default();
    jar.take(&attempt.owe(&sign_in, &keyring, &jar.headers()));
    assert!(Attempt::find(&sign_in, &keyring, &jar.headers(), &attempt.id).is_some());
    let again = jar.0[0].clone();
    jar.0.push(again);
    assert!(Attempt::find(&sign_in, &keyring, &jar.headers(), &attempt.id).is_none());
}

#[test]
fn attempts_that_take_too_much_together_leave_the_oldest_first() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let name = |second: u32| format!("{}{second:08x}{}", sign_in.cookie_prefix, "a".repeat(12));
    let jar = Jar([1, 2, 3].map(|second| (name(second), "x".repeat(3000))).to_vec());
    let owed = Attempt::fresh(clock.now(), None, None).owe(&sign_in, &keyring, &jar.headers());
    let texts = owed.values().map(|value| value.to_str().unwrap());
    let cleared: Vec<_> = texts.filter(|text| text.contains("Max-Age=0")).collect();
    // Beside a new one there is room for two of them.
    assert_eq!(cleared.len(), 1);
    assert!(cleared[0].starts_with(&format!("{}=;", name(1))), "{}", cleared[0]);
}

#[rstest]
#[case::an_attempt("00000001aaaaaaaaaaaa", true)]
#[case::of_every_kind_of_sign("00000001aZ0-_aaaaaaa", true)]
#[case::too_short("00000001aaaaaaaaaaa", false)]
#[case::with_another_sign("00000001aaaaaaaaaaa!", false)]
fn only_what_is_named_like_an_attempt_counts_as_one(#[case] id: &str, #[case] counts: bool) {
    let House { sign_in, keyring, clock } = house("https://app.test");
    // More than all attempts may take together: one that counts is cleared.
    let jar = Jar(vec![(format!("{}{id}", sign_in.cookie_prefix), "x".repeat(9000))]);
    let owed = Attempt::fresh(clock.now(), None, None).owe(&sign_in, &keyring, &jar.headers());
    assert_eq!(owed.values().count(), if counts { 2 } else { 1 });
}

#[test]
fn an_attempt_shows_its_id_and_nothing_secret() {
    let attempt = Attempt::fresh(Timestamp::from_secs(1), None, None);
    let shown = format!("{attempt:?}");
    assert!(shown.contains(attempt.id.as_str()), "{shown}");
    assert!(!shown.contains(&attempt.nonce) && !shown.contains(&attempt.code_verifier), "{shown}");
}

#[test]
fn a_redirect_ten_seconds_after_a_callback_still_counts() {
    let House { sign_in, keyring, clock } = house("https://app.test");
    let mut jar = Jar::default();
    jar.take(&loop_guard::on_callback(&sign_in, &keyring, &jar.headers(), clock.now()));
    clock.advance(Duration::from_secs(10));
    let owed = loop_guard::on_redirect(&sign_in, &keyring, &jar.headers(), clock.now()).unwrap();
    assert!(!owed.is_empty());
}

fn metadata() -> Metadata {
    let url = |path: &str| Url::parse(&format!("https://idp.example.com{path}")).unwrap();
    Metadata {
        issuer: "https://idp.example.com".to_owned(),
        authorization_endpoint: url("/authorize"),
        token_endpoint: url("/token"),
        userinfo_endpoint: None,
        end_session_endpoint: None,
        jwks_uri: url("/jwks"),
        authorization_response_iss_parameter_supported: false,
        code_challenge_methods_supported: Vec::new(),
    }
}

#[rstest]
#[case::nothing_said(&[], &[], None)]
#[case::by_the_provider(&[("max_age", "600")], &[], Some(600))]
#[case::the_route_over_the_provider(&[("max_age", "600")], &[("max_age", "60")], Some(60))]
#[case::the_last_of_two(&[], &[("max_age", "60"), ("max_age", "30")], Some(30))]
#[case::another_parameter(&[], &[("x", "60")], None)]
fn an_attempt_keeps_the_max_age_that_its_request_has(
    #[case] provider: &[(&str, &str)],
    #[case] route: &[(&str, &str)],
    #[case] max_age: Option<u64>,
) {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let House { sign_in, keyring, clock } =
        house_where("https://app.test", |config| config.authorize = owned(provider));
    let authorize = owned(route);
    let wish = Wish {
        return_to: ReturnTo::root(),
        login_hint: None,
        prompt: None,
        previous: None,
        authorize: &authorize,
    };
    let started =
        start::start(&sign_in, &metadata(), &keyring, &HeaderMap::new(), &wish, clock.now()).unwrap();
    let location = Url::parse(started.location.to_str().unwrap()).unwrap();
    let said = |wanted: &str| {
        location.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let state = State::open(&said("state").unwrap(), &sign_in.origin, &[], &keyring).unwrap();
    let mut jar = Jar::default();
    jar.take(&started.cookies);
    let attempt = Attempt::find(&sign_in, &keyring, &jar.headers(), &state.attempt).unwrap();
    assert_eq!(attempt.max_age, max_age);
    assert_eq!(said("max_age").and_then(|age| age.parse::<u64>().ok()), max_age);
}
