//! What the gateway has sealed and a browser brings back changed: cookies and `state`.
//!
//! Nothing that isn't byte for byte as it was sealed opens, and a refusal tells nobody how near it was.

use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rstest::rstest;
use serde_json::json;
use url::Url;

use crate::support::address::{parameter, with_parameter};
use crate::support::browser::{Browser, Errand};
use crate::support::message::Response;
use crate::support::provider::Endpoint;
use crate::support::site::{LOGIN, SESSION, Site, never_given_a_session};

fn with_store(store: &str) -> Site {
    Site::with(|config, _| config.set("/sessions/store", json!(store)))
}

fn with_cookie(site: &Site, cookie: &str) -> Response {
    site.gateway.ask("GET /private", &format!("Cookie: {cookie}\r\n"))
}

/// All that an outsider can tell a refusal by: every byte but the request's id and the time.
fn bytes(response: &Response) -> String {
    let id = response.json()["request_id"].as_str().unwrap_or_default().to_owned();
    assert!(!id.is_empty(), "{}", response.everything());
    let fields = response.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date"));
    let head: Vec<_> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{}\n{}\n\n{}", response.status, head.join("\n"), response.text()).replace(&id, "ID")
}

/// Every bit turned over once; every length that is shorter; longer, doubled, and other spellings of the
/// same bytes.
fn changes(good: &str) -> Vec<String> {
    let sealed = URL_SAFE_NO_PAD.decode(good).expect("base64url");
    let mut changes = Vec::new();
    for at in 0..sealed.len() * 8 {
        let mut turned = sealed.clone();
        turned[at / 8] ^= 1 << (at % 8);
        changes.push(URL_SAFE_NO_PAD.encode(turned));
    }
    changes.extend((0..good.len()).map(|length| good[..length].to_owned()));
    changes.extend((1..good.len().min(64)).map(|start| good[start..].to_owned()));
    changes.extend((1..64).map(|more| good.to_owned() + &"A".repeat(more)));
    changes.extend(["=", "==", "%3D", ".", "-", "_", "~", "1.", "%20"].map(|tail| format!("{good}{tail}")));
    changes.extend(["A", "1.", "2.", "=", "."].map(|start| format!("{start}{good}")));
    changes.push(format!("{good}{good}"));
    changes.push(good.to_ascii_lowercase());
    changes.push(good.to_ascii_uppercase());
    // The last character may have bits that stand for nothing.
    if !good.len().is_multiple_of(4) {
        let (rest, last) = good.split_at(good.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = alphabet.find(last).expect("a character of base64url");
        changes.extend(alphabet.get(place + 1..place + 2).map(|other| format!("{rest}{other}")));
    }
    changes.retain(|changed| changed != good && !changed.is_empty());
    changes
}

#[rstest]
#[case::memory("memory", 300)]
#[case::cookie("cookie", 5_000)]
fn every_bit_and_every_length_counts(#[case] store: &str, #[case] at_least: usize) {
    let site = with_store(store);
    let browser = site.signed_in();
    let good = browser.cookie(&site.url("/"), SESSION).expect("a session");
    let usual = bytes(&with_cookie(&site, &format!("{SESSION}=garbage")));
    assert!(usual.starts_with("401"), "{usual}");
    let changes = changes(&good);
    assert!(changes.len() >= at_least, "{}", changes.len());
    thread::scope(|scope| {
        for part in changes.chunks(changes.len().div_ceil(4)) {
            let (site, usual, good) = (&site, &usual, &good);
            scope.spawn(move || {
                for value in part {
                    let response = with_cookie(site, &format!("{SESSION}={value}"));
                    assert_eq!(&bytes(&response), usual, "{good} as {value}");
                }
            });
        }
    });
    site.upstream.saw_nothing();
    assert_eq!(with_cookie(&site, &format!("{SESSION}={good}")).status, 200, "the real one still lives");
}

/// A login that is begun: its cookie, its state, and the answer that the provider gave.
struct Begun {
    cookie: (String, String),
    state: String,
    callback: Url,
}

fn begin(site: &Site, browser: &Browser) -> Begun {
    let callback = Url::parse(&site.callback(browser, "/private")).expect("an address");
    let names = browser.cookie_names(&site.url("/"));
    let name = names.into_iter().find(|name| name.starts_with(LOGIN)).expect("a login's cookie");
    let value = browser.cookie(&site.url("/"), &name).expect("its value");
    let state = callback.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    Begun { cookie: (name, value), state, callback }
}

/// The state of a sign-out that is under way.
fn sign_out_state(site: &Site) -> String {
    let browser = site.signed_in();
    let out =
        browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "return_to=%2Fpublic", &site.url("/")));
    let to = Url::parse(out.location()).expect("an address");
    parameter(&to, "state")
}

#[test]
fn a_sealed_value_is_good_for_its_purpose_alone() {
    let site = with_store("cookie");
    let ada = site.signed_in();
    let session = ada.cookie(&site.url("/"), SESSION).expect("a session");
    let leaving = sign_out_state(&site);
    let browser = Browser::new();
    let Begun { cookie: (name, login), state, callback } = begin(&site, &browser);
    let asked = site.provider.calls(Endpoint::Token);
    site.upstream.forget();
    for (what, value) in [("a login", &login), ("a state", &state), ("a sign-out", &leaving)] {
        assert_eq!(with_cookie(&site, &format!("{SESSION}={value}")).status, 401, "{what} as a session");
    }
    for (what, value) in [("a session", &session), ("a sign-out", &leaving), ("a login", &login)] {
        let response = browser.open(with_parameter(&callback, "state", Some(value)).as_str());
        assert_eq!(response.status, 400, "{what} as a state: {}", response.everything());
    }
    for (what, value) in [("a session", &session), ("a state", &state), ("a sign-out", &leaving)] {
        browser.jar().plant(&Url::parse(&site.url("/")).expect("an address"), &name, value);
        let response = browser.open(callback.as_str());
        assert_eq!(response.status, 400, "{what} as a login's cookie: {}", response.everything());
    }
    for (what, value) in [("a session", &session), ("a state", &state), ("a login", &login)] {
        let response = browser.open(&site.url(&format!("/.vestibule/signed-out?state={value}")));
        assert_eq!(response.status, 200, "{what} as a sign-out's state: {}", response.everything());
    }
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Token), asked, "no code was sent anywhere");
    site.upstream.saw_nothing();
    // As they were, they are still good.
    browser.jar().plant(&Url::parse(&site.url("/")).expect("an address"), &name, &login);
    assert_eq!(browser.open(callback.as_str()).status, 303);
}

#[test]
fn the_cookie_of_one_login_is_good_under_its_own_name_alone() {
    let site = Site::start();
    let (one, two) = (Browser::new(), Browser::new());
    let (first, second) = (begin(&site, &one), begin(&site, &two));
    // The other login's secrets under the name that this state asks for.
    one.jar().plant(&Url::parse(&site.url("/")).expect("an address"), &first.cookie.0, &second.cookie.1);
    let response = one.open(first.callback.as_str());
    assert_eq!(response.status, 400, "{}", response.everything());
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    never_given_a_session(&one);
}

#[test]
fn a_state_that_was_changed_is_no_state() {
    let site = Site::start();
    let browser = Browser::new();
    let begun = begin(&site, &browser);
    let sealed = URL_SAFE_NO_PAD.decode(&begun.state).expect("base64url");
    for at in (0..sealed.len() * 8).step_by(7) {
        let mut turned = sealed.clone();
        turned[at / 8] ^= 1 << (at % 8);
        let changed = with_parameter(&begun.callback, "state", Some(&URL_SAFE_NO_PAD.encode(turned)));
        assert_eq!(browser.open(changed.as_str()).status, 400, "bit {at}");
    }
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    assert_eq!(browser.open(begun.callback.as_str()).status, 303, "as it was, it is still good");
}

#[test]
fn thirty_two_kibibytes_of_our_cookies_are_no_session_and_no_trouble() {
    let site = with_store("cookie");
    let good = site.signed_in().cookie(&site.url("/"), SESSION).expect("a session");
    for (cookies, status) in [
        (vec![format!("{SESSION}={}", "A".repeat(32_000))], 401),
        ((0..1_500).map(|n| format!("{SESSION}={n:08}")).collect(), 401),
        ((1..1_500).map(|n| format!("{SESSION}.{n}=AAAA")).collect(), 401),
        (vec![format!("{SESSION}={}", "A".repeat(33_000))], 431),
    ] {
        let cookies: Vec<String> = cookies;
        let response = with_cookie(&site, &cookies.join("; "));
        assert_eq!(response.status, status, "{}", response.everything());
    }
    site.upstream.saw_nothing();
    assert_eq!(with_cookie(&site, &format!("{SESSION}={good}")).status, 200);
}
