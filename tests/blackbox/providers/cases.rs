//! What each case configures, and what must hold then.

use serde_json::json;
use url::Url;

use super::{CALLBACK, Stand};
use crate::support::address::{parameter, with_parameter};
use crate::support::browser::{ADA, Browser, Errand, GRACE, Page};
use crate::support::config::Config;
use crate::support::site::{SESSION, holds_session};
use crate::support::upstream::Upstream;

pub(super) fn plain(config: Config, _: &Upstream) -> Config {
    config.set("/log/format", json!("json"))
}

pub(super) fn memory(config: Config, upstream: &Upstream) -> Config {
    plain(config, upstream).set("/providers/idp/after_sign_out", json!("/public/bye"))
}

pub(super) fn cookie(config: Config, upstream: &Upstream) -> Config {
    memory(config, upstream).set("/sessions/store", json!("cookie"))
}

pub(super) fn form_post(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/response_mode", json!("form_post"))
}

pub(super) fn secret_in_the_body(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/client_auth", json!("client_secret_post"))
}

pub(super) fn userinfo(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/userinfo", json!("always"))
}

pub(super) fn max_age(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/authorize", json!({ "max_age": 3600 }))
}

pub(super) fn wrong_secret(config: Config, upstream: &Upstream) -> Config {
    plain(config, upstream)
        .set("/providers/idp/client_secret", json!({ "value": "not-the-one-that-was-agreed-on" }))
}

/// `/silent` lets the provider ask nothing.
pub(super) fn silent_route(config: Config, upstream: &Upstream) -> Config {
    memory(config, upstream).route(json!({
        "id": "silent", "match": { "path": "/silent" }, "auth": { "session": "idp" },
        "authorize": { "prompt": "none" }, "upstream": upstream.url(),
    }))
}

/// The same but for its last letter.
fn altered_text(text: &str) -> String {
    let last = if text.ends_with('A') { "B" } else { "A" };
    let mut text = text.to_owned();
    text.pop();
    text + last
}

/// What the gateway asks the provider when somebody begins to sign in.
fn asked(stand: &Stand) -> Url {
    let begun = stand.browser().open(&stand.start("/asked", ADA));
    Url::parse(begun.location()).expect("the provider's address")
}

pub(super) fn signs_in(stand: &mut Stand) {
    stand.sign_in(&stand.browser(), "/a/page", ADA);
    let seen = stand.upstream.last("/a/page");
    assert!(seen.header("x-forwarded-email").is_some_and(|email| email.starts_with("ada")));
}

pub(super) fn signs_in_by_form_post(stand: &mut Stand) {
    signs_in(stand);
    assert_eq!(parameter(&asked(stand), "response_mode"), "form_post");
}

pub(super) fn signs_in_within_a_max_age(stand: &mut Stand) {
    signs_in(stand);
    assert_eq!(parameter(&asked(stand), "max_age"), "3600");
}

/// What a restart of the gateway does to its sessions.
enum Restart {
    Ends,
    Keeps,
}

pub(super) fn signs_in_and_out_in_memory(stand: &mut Stand) {
    signs_in_and_out(stand, &Restart::Ends);
}

pub(super) fn signs_in_and_out_by_cookie(stand: &mut Stand) {
    signs_in_and_out(stand, &Restart::Keeps);
}

/// Signs in and out again, and restarts the gateway on the way.
fn signs_in_and_out(stand: &mut Stand, restart: &Restart) {
    let browser = stand.browser();
    let page = browser.sign_in(&stand.url("/a/page?x=1"), ADA);
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), stand.gateway.logs());
    assert_eq!(page.target(), "/a/page?x=1");
    let seen = stand.upstream.only("/a/page");
    assert_eq!(seen.request.target, "/a/page?x=1");
    assert!(!seen.header("x-forwarded-user").unwrap_or_default().is_empty(), "sub is always there");
    assert_eq!(seen.header("x-forwarded-preferred-username"), Some("ada"));
    let mut groups: Vec<_> = seen.header("x-forwarded-groups").unwrap_or_default().split(',').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["finance", "staff"]);
    assert!(seen.header("x-forwarded-email").is_some_and(|email| email.starts_with("ada")));
    assert_eq!(seen.header("cookie"), None, "our cookies never reach an upstream");

    stand.gateway.restart();
    stand.upstream.forget();
    let again = browser.open(&stand.url("/a/page"));
    match restart {
        Restart::Keeps => {
            assert_eq!(again.status, 200, "a sealed session outlives the process");
            let seen = stand.upstream.only("/a/page");
            assert_eq!(seen.header("x-forwarded-preferred-username"), Some("ada"));
        }
        Restart::Ends => {
            assert_eq!(again.status, 302, "a session in memory doesn't outlive the process");
            stand.upstream.saw_nothing();
            browser.sign_in(&stand.url("/a/page"), ADA);
        }
    }

    stand.upstream.forget();
    let page = signs_out(stand, &browser);
    assert_eq!((page.status(), page.target().as_str()), (200, "/public/bye"));
    assert_eq!(browser.cookie(&stand.url("/"), SESSION), None);
    assert_eq!(browser.open(&stand.url("/a/page")).status, 302);
    assert_eq!(stand.upstream.requests_to("/a/page").len(), 0);
}

fn signs_out(stand: &Stand, browser: &Browser) -> Page {
    let page = browser.walk(Errand::typed(&stand.url("/.vestibule/sign-out")).from(&stand.url("/a/page")));
    browser.run_script(&page).unwrap_or(page)
}

pub(super) fn two_people(stand: &mut Stand) {
    let (ada, grace) = (stand.browser(), stand.browser());
    let subs = [stand.sign_in(&ada, "/start", ADA), stand.sign_in(&grace, "/start", GRACE)];
    assert_ne!(subs[0], subs[1]);
    for turn in 0..10 {
        for ((browser, user), sub) in [(&ada, ADA), (&grace, GRACE)].into_iter().zip(&subs) {
            let path = format!("/{turn}/{}", user.name);
            assert_eq!(browser.open(&stand.url(&path)).status, 200);
            let seen = stand.upstream.only(&path);
            assert_eq!(seen.header("x-forwarded-preferred-username"), Some(user.name));
            assert_eq!(seen.header("x-forwarded-user"), Some(sub.as_str()));
        }
    }
}

pub(super) fn tabs(stand: &mut Stand) {
    let browser = stand.browser();
    // All have been to the provider before the first comes back, and the last comes back first.
    let begun: Vec<_> = (0..5).map(|tab| format!("/tab/{tab}")).collect();
    let begun: Vec<_> = begun.iter().map(|target| (target, stand.callback(&browser, target, ADA))).collect();
    for (target, callback) in begun.iter().rev() {
        let page = browser.visit(callback.as_str());
        assert_eq!((page.status(), &page.target()), (200, *target), "{}", stand.gateway.logs());
        assert_eq!(stand.upstream.only(target).header("x-forwarded-preferred-username"), Some("ada"));
    }
    let sessions = browser.cookie_names(&stand.url("/")).iter().filter(|name| holds_session(name)).count();
    assert_eq!(sessions, 1);
}

pub(super) fn third_party(stand: &mut Stand) {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("iss", stand.issuer.as_str()),
            ("login_hint", "grace"),
            ("target_link_uri", "/third"),
        ])
        .finish();
    let page = stand.browser().sign_in(&stand.url(&format!("/.vestibule/sign-in?{query}")), GRACE);
    assert_eq!((page.status(), page.target().as_str()), (200, "/third"), "{}", page.response.everything());
    assert_eq!(stand.upstream.only("/third").header("x-forwarded-preferred-username"), Some("grace"));
}

pub(super) fn other_browser(stand: &mut Stand) {
    let (attacker, victim) = (stand.browser(), stand.browser());
    let callback = stand.callback(&attacker, "/their/page", ADA);
    stand.refuses(&victim, &callback, "login_cookie_lost");
    // It is still good where it belongs.
    let page = attacker.visit(callback.as_str());
    assert_eq!((page.status(), page.target().as_str()), (200, "/their/page"));
}

pub(super) fn used_once(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/once", ADA);
    for _ in 0..2 {
        // The second time a live session goes on to the page.
        let page = browser.visit(callback.as_str());
        assert_eq!((page.status(), page.target().as_str()), (200, "/once"));
    }
    browser.jar().remove(SESSION);
    let answer = browser.open(callback.as_str());
    assert_eq!(answer.status, 400, "{}", answer.everything());
    assert_eq!(stand.gateway.reason(&answer), (CALLBACK.to_owned(), "login_cookie_lost".to_owned()));
    assert_eq!(browser.cookie(&stand.url("/"), SESSION), None);
}

pub(super) fn altered(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/altered", ADA);
    for (name, reason) in [("state", "state_missing"), ("code", "code_missing")] {
        stand.refuses(&browser, &with_parameter(&callback, name, None), reason);
    }
    for (name, reason) in [("state", "state_unknown"), ("code", "invalid_grant")] {
        let other = altered_text(&parameter(&callback, name));
        stand.refuses(&browser, &with_parameter(&callback, name, Some(&other)), reason);
    }
}

pub(super) fn swapped(stand: &mut Stand) {
    let (ada, grace) = (stand.browser(), stand.browser());
    let to_ada = stand.callback(&ada, "/swapped", ADA);
    let to_grace = stand.callback(&grace, "/swapped", GRACE);
    for (browser, callback, other) in [(&ada, &to_ada, &to_grace), (&grace, &to_grace, &to_ada)] {
        let callback = with_parameter(callback, "code", Some(&parameter(other, "code")));
        stand.refuses(browser, &callback, "invalid_grant");
    }
}

pub(super) fn other_issuer(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/issuer", ADA);
    let mut elsewhere = with_parameter(&callback, "iss", None);
    elsewhere.query_pairs_mut().append_pair("iss", "https://elsewhere.test");
    stand.refuses(&browser, &elsewhere, "iss_mismatch");
    // Not every provider says who it is; one that does is missed when it doesn't.
    if !parameter(&callback, "iss").is_empty() {
        let browser = stand.browser();
        let callback = stand.callback(&browser, "/issuer", ADA);
        stand.refuses(&browser, &with_parameter(&callback, "iss", None), "iss_missing");
    }
}

pub(super) fn refused(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/refused", ADA);
    // The standard's word, and Keycloak's.
    stand.refuses_for_one_of(&browser, &callback, &["invalid_client", "unauthorized_client"]);
}

pub(super) fn silently(stand: &mut Stand) {
    let browser = stand.browser();
    let declined = |browser: &Browser| {
        let page = browser.visit(&stand.url("/silent"));
        assert_eq!(page.status(), 403, "{}", page.response.everything());
        assert_eq!(page.url.path(), CALLBACK);
        assert!(page.response.text().contains("login_required"), "{}", page.response.text());
        assert_eq!(stand.upstream.requests_to("/silent").len(), 0);
    };
    declined(&browser);
    // Signed in at the provider, and no longer here.
    stand.sign_in(&browser, "/page", ADA);
    browser.jar().remove(SESSION);
    let page = browser.visit(&stand.url("/silent"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/silent"), "{}", page.response.everything());
    assert_eq!(stand.upstream.only("/silent").header("x-forwarded-preferred-username"), Some("ada"));
    stand.upstream.forget();
    // A sign-out is one at the provider, too.
    assert_eq!(signs_out(stand, &browser).target(), "/public/bye");
    declined(&browser);
}

pub(super) fn somebody_else(stand: &mut Stand) {
    let browser = stand.browser();
    let ada = stand.sign_in(&browser, "/page", ADA);
    let old = browser.cookie(&stand.url("/"), SESSION).expect("a session");
    assert_eq!(signs_out(stand, &browser).target(), "/public/bye");
    let grace = stand.sign_in(&browser, "/page", GRACE);
    assert_ne!(ada, grace);
    stand.upstream.forget();
    assert_eq!(stand.gateway.ask("GET /private", &format!("Cookie: {SESSION}={old}\r\n")).status, 401);
    stand.upstream.saw_nothing();
}
