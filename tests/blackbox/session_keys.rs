//! Session keys that are replaced while people work: a new key beside the old one, then the old one gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use vestibule::clock::{Clock as _, SystemClock};
use vestibule::identity::{ClaimNames, Claims, ProviderName};
use vestibule::reply::Transport;
use vestibule::seal::{Keyring, MasterKey};
use vestibule::session::{Config, CookieStore, Scope, Session, SessionStore as _, StoreKind};

use crate::support::browser::Browser;
use crate::support::config::KEY;
use crate::support::gateway::Gateway;
use crate::support::message::Response;
use crate::support::provider::Provider;
use crate::support::raw::Raw;
use crate::support::site::{SESSION, Site};

const NEW_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
const SESSIONS: usize = 10_000;

/// One origin: the first gateway's. Others stand behind the same name at ports of their own.
struct House {
    first: Site,
}

impl House {
    fn open() -> Self {
        Self { first: Site::with(|config, _| config.set("/sessions/store", json!("cookie"))) }
    }

    /// A gateway of the same origin, provider and upstream, with these keys.
    fn gateway(&self, keys: &[&str]) -> Gateway {
        let files = keys.iter().map(|name| json!({ "file": name })).collect::<Vec<_>>();
        let (origin, upstream, entry) =
            (self.first.url(""), self.first.upstream.url(), self.first.provider.entry());
        let other = Site::around(Provider::start(), |config, _| {
            config.file("session-key-new", NEW_KEY);
            config
                .set("/providers/idp", entry)
                .set("/origins", json!([origin]))
                .set("/sessions", json!({ "store": "cookie", "keys": files }))
                .set("/routes/0/upstream", json!(upstream))
                .set("/routes/1/upstream", json!(upstream))
        });
        other.gateway
    }

    fn request(&self, target: &str, cookie: &str) -> String {
        let host = self.first.gateway.host();
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nCookie: {cookie}\r\n\r\n")
    }
}

/// Sessions as the first gateway would seal them: thousands of sign-ins take too long.
fn minted(house: &House, count: usize) -> Vec<String> {
    let key = MasterKey::parse(KEY).expect("a key");
    let config = Config {
        store: StoreKind::Cookie,
        keys: vec![key],
        idle_timeout: Duration::from_mins(30),
        absolute_timeout: Duration::from_hours(10),
        memory_capacity: 1,
        cookie_name: SESSION.to_owned(),
        cookie_max_size: 7 * 1024,
        cookie_partitioned: false,
    };
    let keyring = Arc::new(Keyring::new(&config.keys).expect("a keyring"));
    let store = CookieStore::new(&config, None, keyring, Arc::new(SystemClock));
    let provider = ProviderName::parse("idp").expect("a name");
    let scope = Scope {
        cookie: SESSION.to_owned(),
        origin: house.first.url(""),
        provider: provider.clone(),
        names: Arc::new(ClaimNames::default()),
        transport: Transport::Plain,
        partitioned: false,
    };
    let now = SystemClock.now();
    let session = |number: usize| Session {
        origin: scope.origin.clone(),
        provider: provider.clone(),
        claims: Claims::new(json!({ "sub": person(number) }).as_object().cloned().unwrap_or_default()),
        id_token: None,
        replaces: None,
        created_at: now,
        last_seen: now,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let seal = |number| runtime.block_on(store.create(&scope, session(number))).expect("a session");
    (0..count).map(seal).collect()
}

fn person(number: usize) -> String {
    format!("person-{number}")
}

/// The session that an answer gives anew, if it does.
fn sealed_anew(response: &Response) -> Option<String> {
    let lines = response.fields.all("set-cookie");
    let value = lines.iter().find_map(|line| line.strip_prefix(SESSION)?.strip_prefix('='))?;
    value.split(';').next().map(str::to_owned)
}

/// Asks once with each of these cookies, by four hands; what each holds afterwards. Nobody is lost, nobody is
/// somebody else.
fn ask_all(house: &House, port: u16, round: &str, sessions: &[String]) -> Vec<String> {
    let answered = AtomicUsize::new(0);
    let kept: Vec<String> = thread::scope(|scope| {
        let hands: Vec<_> = sessions
            .chunks(sessions.len().div_ceil(4))
            .enumerate()
            .map(|(hand, part)| {
                let (answered, first) = (&answered, hand * sessions.len().div_ceil(4));
                scope.spawn(move || {
                    let mut raw = Raw::connect(port);
                    let ask = |(index, session): (usize, &String)| {
                        let number = first + index;
                        let target = format!("/{round}/{number}");
                        let request = house.request(&target, &format!("{SESSION}={session}"));
                        let response = raw.send(request).response().expect("an answer");
                        assert_eq!(response.status, 200, "{target}: {}", response.everything());
                        answered.fetch_add(1, Ordering::Relaxed);
                        sealed_anew(&response).unwrap_or_else(|| session.clone())
                    };
                    part.iter().enumerate().map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        hands.into_iter().flat_map(|hand| hand.join().expect("nobody is lost")).collect()
    });
    assert_eq!(answered.load(Ordering::Relaxed), sessions.len());
    let seen = house.first.upstream.requests();
    assert_eq!(seen.len(), sessions.len());
    for request in seen {
        let number = request.request.path().rsplit('/').next().and_then(|number| number.parse().ok());
        let number: usize = number.expect("a number in the path");
        assert_eq!(request.header("x-forwarded-user"), Some(person(number).as_str()));
    }
    house.first.upstream.forget();
    kept
}

#[test]
fn nobody_is_signed_out_by_a_new_key() {
    let house = House::open();
    let sealed = minted(&house, SESSIONS);
    let old = ask_all(&house, house.first.gateway.port(), "one", &sealed);
    assert_eq!(old, sealed, "nothing is sealed anew without need");

    let both = house.gateway(&["session-key-new", "session-key"]);
    let renewed = ask_all(&house, both.port(), "two", &sealed);
    let unchanged = renewed.iter().zip(&sealed).filter(|(new, old)| new == old).count();
    assert_eq!(unchanged, 0, "each is sealed with the new key");
    let again = ask_all(&house, both.port(), "three", &renewed);
    assert_eq!(again, renewed, "and once is enough");
    drop(both);

    let alone = house.gateway(&["session-key-new"]);
    ask_all(&house, alone.port(), "four", &renewed);
    // Who didn't come by meanwhile signs in again; nobody gets an error.
    let mut raw = Raw::connect(alone.port());
    for session in sealed.iter().take(50) {
        let response = raw.send(house.request("/five", &format!("{SESSION}={session}"))).response();
        assert_eq!(response.map(|response| response.status), Some(302));
    }
    house.first.upstream.saw_nothing();
}

/// A login that is begun at the first gateway: its cookie, and the callback's path and query.
fn begin(house: &House) -> (String, String) {
    let browser = Browser::new();
    let callback = house.first.callback(&browser, "/private");
    let names = browser.cookie_names(&house.first.url("/"));
    let cookies: Vec<_> = names
        .iter()
        .map(|name| format!("{name}={}", browser.cookie(&house.first.url("/"), name).unwrap_or_default()))
        .collect();
    let target = callback.strip_prefix(&house.first.url("")).expect("the callback of the origin").to_owned();
    (cookies.join("; "), target)
}

#[test]
fn a_login_under_way_ends_well_while_its_key_is_known_and_visibly_afterwards() {
    let house = House::open();
    let (one, two) = (begin(&house), begin(&house));
    let both = house.gateway(&["session-key-new", "session-key"]);
    let response =
        Raw::connect(both.port()).send(house.request(&one.1, &one.0)).response().expect("an answer");
    assert_eq!(response.status, 303, "{}", response.everything());
    assert!(sealed_anew(&response).is_some());

    let alone = house.gateway(&["session-key-new"]);
    let response =
        Raw::connect(alone.port()).send(house.request(&two.1, &two.0)).response().expect("an answer");
    assert_eq!(response.status, 400, "{}", response.everything());
    assert_eq!(sealed_anew(&response), None);
}
