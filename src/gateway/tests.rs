//! Decisions, by a gateway whose clock tests own and whose provider nobody asks.

use std::time::Duration;

use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::identity::Claims;
use crate::login::attempt::Previous;
use crate::oidc::provider::Provider;
use crate::oidc::testing::{self, FakeProvider, NOW};
use crate::oidc::{self, ResponseMode};
use crate::pages;
use crate::route::origin::Origin;
use crate::route::{self, ChallengeStyle};
use crate::session::{self, CookieStore, MemoryStore, Scope, Session, StoreKind};

const IDLE: Duration = Duration::from_mins(30);
const ABSOLUTE: Duration = Duration::from_hours(10);

type Said = &'static [(&'static str, &'static str)];
const PAGE: Said = &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
const FRAME: Said = &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
const PROGRAM: Said = &[("accept", "*/*")];
const WEB_SOCKET: Said = &[("upgrade", "websocket")];
const GRPC: Said = &[("content-type", "application/grpc")];

struct House {
    gateway: Gateway,
    origin: Arc<ServedOrigin>,
    clock: ManualClock,
}

fn house(kind: StoreKind) -> House {
    house_with(kind, vec![testing::config()])
}

fn house_with(kind: StoreKind, providers: Vec<oidc::Config>) -> House {
    let clock = ManualClock::at(NOW);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let config = session::testing::config(kind);
    let keyring = Arc::new(Keyring::new(&config.keys).unwrap());
    let store: Arc<dyn SessionStore> = match kind {
        StoreKind::Memory => Arc::new(MemoryStore::new(&config)),
        StoreKind::Cookie => {
            Arc::new(CookieStore::new(&config, None, Arc::clone(&keyring), Arc::clone(&shared)))
        }
    };
    let origin = Origin::parse("https://app.test").unwrap();
    let names: Vec<_> = providers.iter().map(|provider| provider.name.clone()).collect();
    let sign_in = |provider: oidc::Config| {
        let scope =
            Scope::new(&config, &origin, &provider.name, Arc::new(ClaimNames::default()), names.len());
        let provider = Provider::new(provider, Arc::new(FakeProvider::new()), Arc::clone(&shared));
        Arc::new(SignIn::new(&origin, scope, Arc::new(provider), "/back", "vestibule"))
    };
    let sign_ins = providers.into_iter().map(sign_in).collect();
    let metrics = Arc::new(Metrics::new(&names).unwrap());
    let callbacks = Callbacks::new(
        Arc::clone(&keyring),
        Arc::clone(&store),
        Arc::clone(&shared),
        Arc::clone(&metrics),
        std::iter::empty(),
    );
    let gateway = Gateway {
        origins: ServedOrigins::new(vec![ServedOrigin::new(origin.clone(), sign_ins)]),
        routes: RouteTable::new(Vec::new(), "/.vestibule", std::slice::from_ref(&origin.host)),
        paths: EndpointPaths { callback: "/back".into(), ..EndpointPaths::default() },
        store,
        limits: Limits { idle: IDLE, absolute: ABSOLUTE },
        keyring,
        callbacks: Arc::new(callbacks),
        login_rates: vec![LoginRate::new(20, clock.now())],
        pages: Pages::new(&pages::Config::default(), "/.vestibule").unwrap(),
        clock: shared,
        metrics,
    };
    let origin = Arc::clone(gateway.origins.iter().next().unwrap());
    House { gateway, origin, clock }
}

impl House {
    fn sign_in(&self) -> &Arc<SignIn> {
        &self.origin.sign_ins[0]
    }

    fn scope(&self) -> &Scope {
        &self.sign_in().scope
    }

    fn inbound<'a>(&'a self, parts: &'a Parts, request_id: &'a RequestId) -> Inbound<'a> {
        Inbound {
            parts,
            path: parts.uri.path(),
            query: parts.uri.query(),
            origin: Some(&self.origin),
            request_id,
            body: Bytes::new(),
        }
    }

    /// A session of `sub` that begins now: what the browser presents.
    async fn session(&self, sub: &str) -> String {
        let now = self.clock.now();
        let session = Session {
            origin: self.scope().origin.clone(),
            provider: self.scope().provider.clone(),
            claims: Claims::new(json!({ "sub": sub }).as_object().cloned().unwrap()),
            id_token: None,
            replaces: None,
            created_at: now,
            last_seen: now,
        };
        self.gateway.store.create(self.scope(), session).await.unwrap()
    }

    /// Who presents these, or why nobody does.
    async fn who(&self, values: &[&str], idle: Option<Duration>) -> String {
        match self.gateway.authenticate(&cookies(values), self.scope(), idle).await {
            Authentication::Identified(live) => live.identity().sub().unwrap_or_default().to_owned(),
            Authentication::Rejected(why) => why.as_str().to_owned(),
            Authentication::Anonymous => "nobody".to_owned(),
            Authentication::Unknowable => "unknowable".to_owned(),
        }
    }
}

fn cookies(values: &[&str]) -> HeaderMap {
    let pairs: Vec<_> = values.iter().map(|value| format!("__Host-vestibule={value}")).collect();
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
    headers
}

fn request(method: Method, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn route(challenge: ChallengeStyle) -> Arc<Route> {
    let auth = Auth::Session { provider: testing::config().name, required: Required::Yes };
    Arc::new(Route { auth, challenge, ..route::testing::public("page", "/") })
}

#[rstest]
#[tokio::test]
async fn of_several_sessions_exactly_one_must_be_good(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let house = house(kind);
    let (ann, bob) = (house.session("ann").await, house.session("bob").await);
    assert_eq!(house.who(&[], None).await, "nobody");
    assert_eq!(house.who(&["made-up"], None).await, "unknown");
    assert_eq!(house.who(&[&ann], None).await, "ann");
    assert_eq!(house.who(&["made-up", &ann], None).await, "ann");
    assert_eq!(house.who(&[&ann, &bob], None).await, "duplicate");
}

#[tokio::test]
async fn a_route_that_wants_a_fresher_session_ends_none() {
    let house = house(StoreKind::Memory);
    let value = house.session("ann").await;
    house.clock.advance(Duration::from_mins(10));
    assert_eq!(house.who(&[&value], Some(Duration::from_mins(5))).await, "idle");
    assert_eq!(house.who(&[&value], None).await, "ann");
}

#[rstest]
#[case::idle(StoreKind::Memory, IDLE, "idle")]
#[case::too_old(StoreKind::Memory, ABSOLUTE, "absolute")]
#[case::sealed_and_too_old(StoreKind::Cookie, ABSOLUTE, "absolute")]
#[tokio::test]
async fn what_was_found_over_is_over_when_the_clock_is_set_back(
    #[case] kind: StoreKind,
    #[case] after: Duration,
    #[case] why: &str,
) {
    let house = house(kind);
    let value = house.session("ann").await;
    house.clock.advance(after);
    assert_eq!(house.who(&[&value], None).await, why);
    house.clock.set_back(after);
    assert_eq!(house.who(&[&value], None).await, "unknown");
}

#[tokio::test]
async fn an_old_cookie_ends_no_session_that_goes_on_with_a_newer_one() {
    let house = house(StoreKind::Cookie);
    let old = house.session("ann").await;
    house.clock.advance(Duration::from_mins(20));
    let live = house.gateway.store.load(house.scope(), &old).await.unwrap().unwrap();
    live.seen(house.clock.now());
    let new = house.gateway.store.renew(house.scope(), &live, house.clock.now()).unwrap();
    house.clock.advance(Duration::from_mins(20));
    assert_eq!(house.who(&[&old], None).await, "idle");
    assert_eq!(house.who(&[&new], None).await, "ann");
}

#[tokio::test]
async fn a_login_knows_the_session_that_it_replaces_and_does_not_use_it() {
    let house = house(StoreKind::Memory);
    let value = house.session("ann").await;
    let live = house.gateway.store.load(house.scope(), &value).await.unwrap().unwrap();
    house.clock.advance(Duration::from_mins(1));
    let previous = house.gateway.previous(&cookies(&[&value]), house.scope()).await;
    assert_eq!(previous, Some(Previous { handle: *live.handle(), sub: Some("ann".to_owned()) }));
    assert_eq!(live.last_seen(), NOW);
    assert_eq!(house.gateway.previous(&cookies(&["made-up"]), house.scope()).await, None);
}

#[rstest]
#[case::a_page("/page", "/page")]
#[case::the_sign_out("/.vestibule/sign-out", "/")]
#[case::the_callback("/back", "/")]
#[tokio::test]
async fn nobody_is_sent_back_to_an_endpoint_of_ours(#[case] wanted: &str, #[case] found: &str) {
    let house = house(StoreKind::Memory);
    let cookie = format!("__Host-vestibule={}", house.session("ann").await);
    let target = format!("/.vestibule/sign-in?return_to={wanted}");
    let (parts, id) = (request(Method::GET, &target, &[("cookie", cookie.as_str())]), RequestId::random());
    let Outcome::Reply(answer) = house.gateway.handle(&house.inbound(&parts, &id)).await else {
        panic!("it went upstream")
    };
    assert_eq!((answer.reply.status, answer.reply.reason), (StatusCode::SEE_OTHER, "already_signed_in"));
    assert_eq!(answer.reply.headers[LOCATION], found);
}

#[rstest]
#[case::a_page(ChallengeStyle::Auto, Method::GET, PAGE, 302)]
#[case::a_program(ChallengeStyle::Auto, Method::GET, PROGRAM, 401)]
#[case::a_form(ChallengeStyle::Auto, Method::POST, PAGE, 401)]
#[case::always_a_page(ChallengeStyle::Redirect, Method::GET, PAGE, 302)]
#[case::always_a_program(ChallengeStyle::Redirect, Method::GET, PROGRAM, 302)]
#[case::but_no_program_that_sends(ChallengeStyle::Redirect, Method::POST, PROGRAM, 401)]
#[case::but_no_frame(ChallengeStyle::Redirect, Method::GET, FRAME, 401)]
#[case::but_no_web_socket(ChallengeStyle::Redirect, Method::GET, WEB_SOCKET, 401)]
#[case::never(ChallengeStyle::Unauthorized, Method::GET, PAGE, 401)]
fn only_who_can_sign_in_there_is_redirected(
    #[case] style: ChallengeStyle,
    #[case] method: Method,
    #[case] headers: Said,
    #[case] status: u16,
) {
    let house = house(StoreKind::Memory);
    let (parts, id) = (request(method, "/page?q=1", headers), RequestId::random());
    let inbound = house.inbound(&parts, &id);
    let outcome = house.gateway.challenge(&inbound, house.sign_in(), &route(style), "no_session", None);
    let Outcome::Reply(answer) = outcome else { panic!("it went upstream") };
    assert_eq!((answer.reply.status.as_u16(), answer.reply.reason), (status, "no_session"));
    let location = answer.reply.headers.get(LOCATION).map(|location| location.to_str().unwrap());
    let address = "/.vestibule/sign-in?provider=workforce&return_to=/page%3Fq%3D1";
    assert_eq!(location, (status == 302).then_some(address));
}

/// What a browser that has sent `cookies` is told to forget.
fn cleared(house: &House, cookies: &str, problem: Problem) -> Vec<String> {
    let parts = request(Method::GET, "/", &[("cookie", cookies)]);
    let answer = house.gateway.refuse_at_edge(&parts, &RequestId::random(), problem);
    let values = answer.reply.headers.get_all(SET_COOKIE).iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_head_that_is_too_large_costs_the_browser_our_cookies_and_no_others() {
    let house = house(StoreKind::Memory);
    let sent = "theirs=z; __Host-vestibule=x; __Host-vestibule-login-1=y";
    assert_eq!(
        cleared(&house, sent, Problem::HeadTooLarge),
        [
            "__Host-vestibule=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
            "__Host-vestibule-login-1=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
        ]
    );
    assert_eq!(cleared(&house, sent, Problem::BadRequest), Vec::<String>::new());
}

#[rstest]
#[case::by_form_alone(&["forms"])]
#[case::by_form_at_one_of_two(&["forms", "workforce"])]
#[case::in_whatever_order(&["workforce", "forms"])]
fn a_cookie_of_a_login_that_crosses_sites_is_cleared_as_it_was_set(#[case] providers: &[&str]) {
    let config = |&name: &&str| {
        let response_mode = if name == "forms" { ResponseMode::FormPost } else { ResponseMode::Query };
        oidc::Config { name: ProviderName::parse(name).unwrap(), response_mode, ..testing::config() }
    };
    let house = house_with(StoreKind::Memory, providers.iter().map(config).collect());
    let session = &house.sign_in().scope.cookie;
    assert_eq!(
        cleared(&house, &format!("{session}=x; __Host-vestibule-login-1=y"), Problem::HeadTooLarge),
        [
            format!("{session}=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"),
            "__Host-vestibule-login-1=; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=0".to_owned(),
        ]
    );
}

#[rstest]
#[case::grpc(GRPC, 200, "application/grpc")]
#[case::a_page(PAGE, 503, "text/html; charset=utf-8")]
#[case::a_frame(FRAME, 503, "text/html; charset=utf-8")]
#[case::a_program(PROGRAM, 503, "application/problem+json")]
fn a_problem_is_told_in_a_form_that_the_client_reads(
    #[case] headers: Said,
    #[case] status: u16,
    #[case] content_type: &str,
) {
    let house = house(StoreKind::Memory);
    let parts = request(Method::GET, "/", headers);
    let reply = house.gateway.problem(&parts, &RequestId::random(), Problem::Unavailable);
    assert_eq!(reply.status.as_u16(), status);
    assert_eq!(reply.headers[CONTENT_TYPE], content_type);
}
