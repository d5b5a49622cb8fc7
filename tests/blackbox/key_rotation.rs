//! Keys of a provider that come, go and change under their names.

use std::thread;
use std::time::Duration;

use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::browser::Browser;
use crate::support::config::Config;
use crate::support::gateway::Gateway;
use crate::support::jwt::Key;
use crate::support::provider::{Endpoint, Fault, Mishap, Provider};
use crate::support::site::{Site, never_given_a_session};
use crate::support::upstream::Upstream;

fn site() -> Site {
    let site = Site::with(|config, _| config.set("/log/format", json!("json")));
    assert_eq!(site.visit(&Browser::new(), "/first").status(), 200);
    site
}

#[track_caller]
fn signs_in(site: &Site) {
    let since = Stopwatch::start();
    let page = site.visit(&Browser::new(), "/again");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert!(since.elapsed() < Duration::from_secs(2), "took {:?}", since.elapsed());
}

#[track_caller]
fn is_refused(site: &Site, status: u16, reason: &str) {
    site.upstream.forget();
    let browser = Browser::new();
    let page = site.visit(&browser, "/again");
    site.refused_at_callback(&page.response, reason);
    assert_eq!(page.status(), status, "{}", page.response.everything());
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[test]
fn with_an_overlap_nobody_notices() {
    let site = site();
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.publish(vec![Key::first().jwk("first"), Key::second().jwk("second")]);
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched, "the key in use is known");
    site.provider.sign_with(Key::second(), "second");
    signs_in(&site);
    site.provider.publish(vec![Key::second().jwk("second")]);
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1, "one refetch for one new key");
}

#[test]
fn another_key_under_the_same_name_is_used_at_once() {
    let site = site();
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.sign_with(Key::second(), "first");
    site.provider.publish(vec![Key::second().jwk("first")]);
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1);
    // What the old one signs under that name is good for nothing any more.
    site.provider.sign_with(Key::first(), "first");
    is_refused(&site, 400, "id_token_signature");
}

#[test]
fn without_an_overlap_the_new_key_is_used_at_once_and_the_old_one_never_again() {
    let site = site();
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.rotate_keys();
    signs_in(&site);
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1, "one refetch for one new key");
    site.provider.sign_with(Key::first(), "first");
    is_refused(&site, 400, "id_token_key_unknown");
}

#[test]
fn a_new_key_is_found_where_tokens_name_none() {
    let site = site();
    site.provider.make(Fault::KidAbsentSingleJwks);
    signs_in(&site);
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.rotate_keys();
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1);
}

#[test]
fn a_new_key_is_found_though_the_provider_stumbles() {
    let site = site();
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.rotate_keys();
    site.provider.spoil(Some((Endpoint::Jwks, Mishap::Hiccups(2))));
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 3);
}

#[test]
fn two_keys_of_one_name_are_none() {
    let site = site();
    site.provider.publish(vec![Key::first().jwk("first"), Key::second().jwk("first")]);
    site.provider.sign_with(Key::second(), "first");
    is_refused(&site, 400, "id_token_key_ambiguous");
    // Neither counts from here on, until the provider says which one it is.
    site.provider.sign_with(Key::first(), "first");
    is_refused(&site, 400, "id_token_key_ambiguous");
    site.provider.publish(vec![Key::second().jwk("first")]);
    site.provider.sign_with(Key::second(), "first");
    signs_in(&site);
}

#[test]
fn a_set_that_is_emptied_leaves_the_last_good_one_in_use() {
    let site = site();
    site.provider.publish(Vec::new());
    signs_in(&site);
    // A key that nobody publishes is known to nobody, however often it is asked for.
    site.provider.sign_with(Key::second(), "second");
    is_refused(&site, 503, "keys_unusable");
    let logs = site.gateway.logs();
    assert!(logs.contains("no usable key"), "{logs}");
}

#[test]
fn a_login_fetches_keys_anew_once_and_no_more() {
    let site = site();
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.sign_with(Key::second(), "unpublished");
    for login in 1..=5 {
        is_refused(&site, 400, "id_token_key_unknown");
        assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + login);
    }
}

#[test]
fn twenty_logins_that_meet_a_new_key_fetch_it_once() {
    let site = site();
    let fetched = site.provider.calls(Endpoint::Jwks);
    let callbacks: Vec<_> = (0..20)
        .map(|_| {
            let browser = Browser::new();
            let callback = site.callback(&browser, "/again");
            (browser, callback)
        })
        .collect();
    site.provider.rotate_keys();
    thread::scope(|scope| {
        let landed: Vec<_> = callbacks
            .iter()
            .map(|(browser, callback)| scope.spawn(|| browser.visit(callback).status()))
            .collect();
        for status in landed {
            assert_eq!(status.join().expect("a login"), 200);
        }
    });
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1);
}

#[test]
fn junk_beside_the_good_key_does_no_harm_and_verifies_nothing() {
    let site = site();
    let good = Key::second().jwk("second");
    let with = |name: &str, value: serde_json::Value| {
        let mut key = Key::first().jwk("junk");
        key[name] = value;
        key
    };
    site.provider.publish(vec![
        json!({ "kty": "oct", "kid": "second", "k": "c2VjcmV0" }),
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("alg", json!("RSA-OAEP")),
        with("n", json!("AQAB")),
        with("e", json!("AQ")),
        with("n", json!("x".repeat(4000))),
        with("kty", json!("RSB")),
        json!({ "kty": "EC", "crv": "P-256", "kid": "second", "x": "AA", "y": "AA" }),
        json!({ "kid": "no kind" }),
        good,
    ]);
    site.provider.sign_with(Key::second(), "second");
    signs_in(&site);
    site.provider.sign_with(Key::first(), "junk");
    is_refused(&site, 400, "id_token_key_unknown");
}

#[test]
fn two_providers_may_call_different_keys_alike() {
    let (one, two, upstream) = (Provider::start(), Provider::start(), Upstream::start());
    // Both sign as `first`, each with its own key.
    two.sign_with(Key::second(), "first");
    two.publish(vec![Key::second().jwk("first")]);
    let config = Config::new(&one.entry(), &upstream).set("/providers/partners", two.entry()).route(json!({
        "id": "partners", "match": { "path": "/partners" }, "auth": { "session": "partners" }, "upstream": upstream.url(),
    }));
    let gateway = Gateway::start(config);
    for page in ["/page", "/partners/page", "/page", "/partners/page"] {
        assert_eq!(Browser::new().visit(&gateway.url(page)).status(), 200, "{page}: {}", gateway.logs());
    }
    // The one's key is good for nothing at the other.
    one.sign_with(Key::second(), "first");
    let browser = Browser::new();
    assert_eq!(browser.visit(&gateway.url("/page")).status(), 400);
    never_given_a_session(&browser);
}
