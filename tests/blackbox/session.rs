//! Sessions: what their cookies look like, what ends them, and what can't be made of them.

use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand};
use crate::support::message::Response;
use crate::support::site::{LOGIN, SESSION, Site, holds_session, never_given_a_session};

fn with_store(store: &str) -> Site {
    Site::with(|config, _| config.set("/sessions/store", json!(store)))
}

/// The session cookie as the browser holds it: name and value, chunks included.
fn session_cookies(site: &Site, browser: &Browser) -> Vec<(String, String)> {
    let at = site.url("/");
    let names = browser.cookie_names(&at);
    let ours = names.into_iter().filter(|name| holds_session(name));
    ours.map(|name| (name.clone(), browser.cookie(&at, &name).unwrap_or_default())).collect()
}

fn with_cookie(site: &Site, cookie: &str) -> Response {
    site.gateway.ask("GET /private", &format!("Accept: application/json\r\nCookie: {cookie}\r\n"))
}

fn value(site: &Site, browser: &Browser) -> String {
    browser.cookie(&site.url("/"), SESSION).expect("a session cookie")
}

#[track_caller]
fn has_attributes(line: &str, expected: &[&str], unwanted: &[&str]) {
    let attributes: Vec<_> = line.split(';').skip(1).map(|part| part.trim().to_ascii_lowercase()).collect();
    for attribute in expected {
        assert!(attributes.iter().any(|a| a == &attribute.to_ascii_lowercase()), "{attribute} in {line}");
    }
    for attribute in unwanted {
        let unwanted = attribute.to_ascii_lowercase();
        assert!(!attributes.iter().any(|a| a.starts_with(&unwanted)), "{attribute} in {line}");
    }
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn every_cookie_has_its_attributes(#[case] store: &str) {
    let site = with_store(store);
    let browser = Browser::new();
    let challenge = site.open(&browser, "/private");
    let back = browser.open(challenge.location());
    let callback = browser.open(back.location());
    let sign_out = browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/")));
    let mut seen = (0, 0, 0);
    for response in [&challenge, &callback, &sign_out] {
        assert_eq!(response.fields.text("cache-control"), "no-store", "{}", response.everything());
        for line in response.fields.all("set-cookie") {
            has_attributes(line, &["HttpOnly", "Path=/", "SameSite=Lax"], &["Domain", "Secure"]);
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            assert!(!name.starts_with("__"), "a browser drops {name} on plain http");
            assert!(value.len() <= 4096, "{name}");
            match (name.starts_with(LOGIN), value.is_empty()) {
                (true, false) => {
                    assert!(line.len() <= 1_000, "a login cookie of {} bytes", line.len());
                    has_attributes(line, &["Max-Age=3600"], &[]);
                    seen.0 += 1;
                }
                (false, false) => seen.1 += 1,
                (false, true) => {
                    has_attributes(line, &["Max-Age=0"], &[]);
                    seen.2 += 1;
                }
                (true, true) => has_attributes(line, &["Max-Age=0"], &[]),
            }
        }
    }
    assert!(seen.0 == 1 && seen.1 >= 1 && seen.2 >= 1, "login, session and cleared cookies: {seen:?}");
}

#[test]
fn on_https_every_cookie_is_bound_to_host_and_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let site = Site::with(|config, _| config.tls(&certificate, &key));
    let browser = Browser::trusting(&certificate);
    let challenge = site.open(&browser, "/private");
    let back = browser.open(challenge.location());
    let callback = browser.open(back.location());
    let sign_out = browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/")));
    let mut count = 0;
    for line in [&challenge, &callback, &sign_out].iter().flat_map(|r| r.fields.all("set-cookie")) {
        assert!(line.starts_with("__Host-vestibule"), "{line}");
        has_attributes(line, &["Secure", "HttpOnly", "Path=/", "SameSite=Lax"], &["Domain"]);
        count += 1;
    }
    assert!(count >= 3);
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn a_login_makes_a_new_session_and_the_planted_one_dies(#[case] store: &str) {
    let site = with_store(store);
    let (attacker, victim) = (Browser::new(), Browser::new());
    site.visit(&attacker, "/.vestibule/sign-in?login_hint=grace&return_to=/start");
    let planted = session_cookies(&site, &attacker);
    let at = url::Url::parse(&site.url("/")).unwrap();
    for (name, value) in &planted {
        victim.jar().plant(&at, name, value);
    }
    let page = site.visit(&victim, "/.vestibule/sign-in?login_hint=ada&prompt=login&return_to=/mine");
    assert_eq!(page.status(), 200, "{}", page.response.everything());
    assert_eq!(site.upstream.only("/mine").header("x-forwarded-user"), Some("ada"));
    assert_ne!(session_cookies(&site, &victim), planted, "the id is new");
    // Another person's session ends at once where one signs in over it.
    let old: Vec<_> = planted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(with_cookie(&site, &old.join("; ")).status, 401);
    assert_eq!(site.upstream.requests_to("/private").len(), 0);
}

#[test]
fn signing_in_again_keeps_the_old_id_for_a_moment_only() {
    let site = Site::start();
    let browser = site.signed_in();
    let old = format!("{SESSION}={}", value(&site, &browser));
    site.visit(&browser, "/.vestibule/sign-in?prompt=login&return_to=/again");
    let new = format!("{SESSION}={}", value(&site, &browser));
    assert_ne!(old, new);
    assert_eq!(with_cookie(&site, &new).status, 200);
    assert_eq!(with_cookie(&site, &old).status, 200, "another tab's request under the old id");
    thread::sleep(Duration::from_secs(12));
    assert_eq!(with_cookie(&site, &old).status, 401);
    assert_eq!(with_cookie(&site, &new).status, 200);
}

#[test]
fn a_session_belongs_to_one_origin() {
    for store in ["memory", "cookie"] {
        let site = Site::with(|config, _| {
            let origins = json!([config.origin(), format!("http://127.0.0.1:{}", config.port())]);
            config.set("/origins", origins).set("/sessions/store", json!(store))
        });
        let session = site.session_line(&site.signed_in());
        let port = site.gateway.port();
        let request = format!("GET /private HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{session}\r\n");
        assert_eq!(crate::support::raw::ask(port, &request).status, 401, "{store}");
        site.upstream.saw_nothing();
    }
}

#[test]
fn a_session_of_one_key_is_none_under_another() {
    let (one, two) = (
        with_store("cookie"),
        Site::with(|config, _| {
            config.file("session-key", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8");
            config.set("/sessions/store", json!("cookie"))
        }),
    );
    let session = one.session_line(&one.signed_in());
    assert_eq!(two.gateway.ask("GET /private", &session).status, 401);
    two.upstream.saw_nothing();
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn a_cookie_tossed_in_by_a_sibling_makes_nobody_somebody_else(#[case] store: &str) {
    let site = with_store(store);
    let (ada, grace) = (Browser::new(), Browser::new());
    site.visit(&ada, "/.vestibule/sign-in?login_hint=ada");
    site.visit(&grace, "/.vestibule/sign-in?login_hint=grace");
    let (ada, grace) = (value(&site, &ada), value(&site, &grace));
    site.upstream.forget();
    for (cookies, status) in [
        // Two good ones are an attack, not a choice; of several the only good one counts.
        (format!("{SESSION}={grace}; {SESSION}={ada}"), 401),
        (format!("{SESSION}={ada}; {SESSION}={grace}"), 401),
        (format!("{SESSION}=garbage; {SESSION}={ada}"), 200),
        (format!("{SESSION}={ada}; {SESSION}=garbage"), 200),
        (format!("a=1; {SESSION}=; {SESSION}={ada}"), 200),
        (format!("{SESSION}={ada}; {SESSION}={ada}"), 200),
    ] {
        site.upstream.forget();
        let response = with_cookie(&site, &cookies);
        assert_eq!(response.status, status, "{cookies}: {}", response.everything());
        assert_eq!(site.upstream.requests().len(), usize::from(status == 200));
        for seen in site.upstream.requests() {
            assert_eq!(seen.header("x-forwarded-user"), Some("ada"));
        }
    }
    // A cookie under the name that https would use counts for nothing here.
    assert_eq!(with_cookie(&site, &format!("__Host-{SESSION}={ada}")).status, 401);
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn an_idle_session_ends_in_time(#[case] store: &str) {
    let site = Site::with(|config, _| {
        config.set("/sessions/store", json!(store)).set("/sessions/idle_timeout", json!("3s"))
    });
    let browser = site.signed_in();
    // Used every second it outlives its idle time.
    for _ in 0..5 {
        thread::sleep(Duration::from_secs(1));
        assert_eq!(site.open(&browser, "/private").status, 200);
    }
    thread::sleep(Duration::from_millis(4_200));
    site.upstream.forget();
    assert_eq!(site.open(&browser, "/private").status, 302);
    site.upstream.saw_nothing();
}

#[test]
fn an_old_copy_of_a_sealed_session_does_not_end_the_one_in_use() {
    let site = Site::with(|config, _| {
        config.set("/sessions/store", json!("cookie")).set("/sessions/idle_timeout", json!("5s"))
    });
    let browser = site.signed_in();
    let old = value(&site, &browser);
    for _ in 0..6 {
        thread::sleep(Duration::from_secs(1));
        assert_eq!(site.open(&browser, "/private").status, 200);
    }
    // It says that it was last used six seconds ago; the browser's own says otherwise.
    assert_eq!(with_cookie(&site, &format!("{SESSION}={old}")).status, 401);
    assert_eq!(site.open(&browser, "/private").status, 200);
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn no_session_lives_longer_than_its_absolute_time(#[case] store: &str) {
    let site = Site::with(|config, _| {
        config
            .set("/sessions/store", json!(store))
            .set("/sessions/idle_timeout", json!("3s"))
            .set("/sessions/absolute_timeout", json!("5s"))
    });
    let browser = site.signed_in();
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        assert_eq!(site.open(&browser, "/private").status, 200);
    }
    thread::sleep(Duration::from_millis(1_500));
    site.open(&browser, "/private");
    thread::sleep(Duration::from_millis(1_700));
    site.upstream.forget();
    assert_eq!(site.open(&browser, "/private").status, 302);
    site.upstream.saw_nothing();
}

#[test]
fn a_route_can_ask_for_a_shorter_idle_time() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "strict", "match": { "path": "/strict" }, "auth": { "session": "idp" },
            "session": { "idle_timeout": "1s" }, "upstream": upstream.url(),
        }))
    });
    let browser = site.signed_in();
    assert_eq!(site.open(&browser, "/strict").status, 200);
    thread::sleep(Duration::from_millis(2_300));
    assert_eq!(site.open(&browser, "/strict").status, 302);
    assert_eq!(site.open(&browser, "/other").status, 200, "the general limit is longer");
}

#[test]
fn a_session_too_large_for_its_cookies_fails_the_login_visibly() {
    let provider = crate::support::provider::Provider::start();
    provider.claim(&json!({ "groups": vec!["0123456789abcdef0123456789abcdef"; 600] }));
    let site = Site::around(provider, |config, _| config.set("/sessions/store", json!("cookie")));
    let browser = Browser::new();
    let page = site.visit(&browser, "/private");
    assert_eq!(page.status(), 403, "{}", page.response.everything());
    crate::support::eventually("the reason in the access log", || {
        site.gateway.access_log().contains("session_too_large").then_some(())
    });
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[test]
fn a_large_session_is_cut_into_cookies_that_only_fit_together() {
    let provider = crate::support::provider::Provider::start();
    let groups: Vec<_> = (0..200).map(|n| format!("group-number-{n:04}")).collect();
    provider.claim(&json!({ "groups": groups }));
    let site = Site::around(provider, |config, _| config.set("/sessions/store", json!("cookie")));
    let (one, two) = (site.signed_in(), Browser::new());
    site.visit(&two, "/.vestibule/sign-in?login_hint=grace");
    let (one, two) = (session_cookies(&site, &one), session_cookies(&site, &two));
    assert!(one.len() > 1 && one.len() == two.len(), "{} and {} cookies", one.len(), two.len());
    assert!(one.iter().all(|(name, value)| name.len() + value.len() <= 4096));
    let line = |cookies: &[&(String, String)]| {
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    };
    let all: Vec<_> = one.iter().collect();
    assert_eq!(with_cookie(&site, &line(&all)).status, 200);
    let backwards: Vec<_> = one.iter().rev().collect();
    assert_eq!(with_cookie(&site, &line(&backwards)).status, 200, "browsers promise no order");
    site.upstream.forget();
    let swapped = [(one[0].0.clone(), one[1].1.clone()), (one[1].0.clone(), one[0].1.clone())];
    let extra = (format!("{SESSION}.9"), one[0].1.clone());
    for cookies in [
        line(&[&one[0]]),
        line(&[&one[1]]),
        line(&[&one[0], &two[1]]),
        line(&[&two[0], &one[1]]),
        line(&swapped.iter().collect::<Vec<_>>()),
        line(&[&one[0], &one[0], &one[1], &two[1]]),
    ] {
        assert_eq!(with_cookie(&site, &cookies).status, 401);
    }
    assert!(matches!(with_cookie(&site, &line(&[&one[0], &one[1], &extra])).status, 200 | 401));
    for seen in site.upstream.requests() {
        assert_eq!(seen.header("x-forwarded-user"), Some("ada"));
    }
}

#[test]
fn the_back_button_finds_nothing_kept() {
    let site = Site::start();
    let browser = site.signed_in();
    let page = site.open(&browser, "/private");
    assert!(page.fields.text("cache-control").contains("private"), "{}", page.everything());
    browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/private")));
    site.upstream.forget();
    assert_eq!(site.open(&browser, "/private").status, 302);
    site.upstream.saw_nothing();
}
