//! Starting, stopping, being watched, and living through what the provider does.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::browser::{Browser, Errand};
use crate::support::config::Config;
use crate::support::eventually;
use crate::support::gateway::{Gateway, listens};
use crate::support::listener::free_port;
use crate::support::provider::{Fault, Provider, entry};
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::upstream::{Behaviour, Upstream};

#[test]
fn health_readiness_and_metrics_are_the_admin_listeners() {
    let site = Site::start();
    site.signed_in();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(site.gateway.admin(path).unwrap().status, 200, "{path}");
    }
    let metrics = site.gateway.admin("/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("vestibule_"), "{}", metrics.text());
    assert!(!metrics.text().contains("\"ada"), "no person is a label");
    assert_eq!(site.gateway.admin("/anything").unwrap().status, 404);
    // None of it on the public side.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(site.gateway.ask(&format!("GET {path}"), "").status, 401, "{path}");
    }
    site.upstream.saw_nothing();
}

#[test]
fn probes_have_a_listener_of_their_own() {
    let probes = free_port();
    let site = Site::with(|config, _| config.set("/admin/probes", json!(format!("127.0.0.1:{probes}"))));
    let ask = |path: &str| {
        crate::support::raw::ask(probes, &format!("GET {path} HTTP/1.1\r\nHost: probe\r\n\r\n")).status
    };
    assert_eq!((ask("/healthz"), ask("/readyz"), ask("/metrics")), (200, 200, 200));
    assert_eq!(site.gateway.admin("/readyz").unwrap().status, 200);
}

#[rstest]
#[case::text("text")]
#[case::json("json")]
fn the_access_log_tells_what_was_asked_and_keeps_what_is_secret(#[case] format: &str) {
    let site = Site::with(|config, _| config.set("/log", json!({ "format": format, "level": "debug" })));
    let browser = Browser::new();
    let page = site.visit(&browser, "/logged/page?token=query-secret");
    assert_eq!(page.status(), 200);
    site.gateway
        .ask("GET /logged/other", "Authorization: Bearer header-secret\r\nCookie: a=cookie-secret\r\n");
    site.gateway.ask("POST /public/form", "Content-Length: 11\r\n\r\nbody-secret");
    browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/")));
    let session = eventually("the requests in the access log", || {
        let log = site.gateway.access_log();
        ["/logged/page", "/logged/other", "/public/form", "/.vestibule/callback", "/.vestibule/sign-out"]
            .iter()
            .all(|path| log.contains(path))
            .then_some(log)
    });
    for word in ["GET", "POST", "200", "302", "401"] {
        assert!(session.contains(word), "{word}: {session}");
    }
    if format == "json" {
        for line in session.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v.is_object()), "{line}");
        }
    }
    let everything = site.gateway.logs() + &site.gateway.access_log();
    let mut secrets = site.provider.secrets();
    secrets.extend(["query-secret", "header-secret", "cookie-secret", "body-secret"].map(str::to_owned));
    secrets.extend(
        site.provider
            .authorization_requests()
            .concat()
            .into_iter()
            .filter_map(|(name, value)| matches!(name.as_str(), "state" | "nonce").then_some(value)),
    );
    for secret in secrets {
        assert!(!everything.contains(&secret), "{secret} is in the log");
    }
    for name in ["code=", "vestibule-login-"] {
        assert!(!site.gateway.access_log().contains(name), "{name} is in the access log");
    }
}

#[test]
fn a_session_cookie_is_never_logged() {
    for store in ["memory", "cookie"] {
        let site = Site::with(|config, _| {
            config.set("/sessions/store", json!(store)).set("/log/level", json!("debug"))
        });
        let browser = site.signed_in();
        let value = browser.cookie(&site.url("/"), "vestibule").unwrap();
        site.open(&browser, "/logged");
        site.gateway.ask("GET /logged", &format!("Cookie: vestibule={value}x\r\n"));
        eventually("the requests in the access log", || {
            site.gateway.access_log().contains("/logged").then_some(())
        });
        let everything = site.gateway.logs() + &site.gateway.access_log();
        assert!(!everything.contains(&value), "{store}");
    }
}

#[test]
fn a_line_break_in_a_request_makes_no_line_of_its_own() {
    let site = Site::start();
    site.gateway.ask("GET /public/%0aforged", "User-Agent: x\r\n");
    site.gateway.ask("GET /public/logged?x=%0aforged", "User-Agent: a%0aforged\r\n");
    let log = eventually("the request in the access log", || {
        let log = site.gateway.access_log();
        log.contains("/public/logged").then_some(log)
    });
    assert!(log.lines().all(|line| !line.starts_with("forged")), "{log}");
}

#[test]
fn what_is_under_way_at_the_end_is_finished() {
    let site = Site::with(|config, _| config.set("/shutdown", json!({ "delay": "1s", "grace": "8s" })));
    let Site { mut gateway, upstream, provider: _provider } = site;
    upstream.at("/public/slow", Behaviour::SlowFirstByte(Duration::from_secs(3)));
    let mut slow = Raw::connect(gateway.port());
    slow.send(format!("GET /public/slow HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.host()));
    eventually("the slow request at the upstream", || (!upstream.requests().is_empty()).then_some(()));

    let since = Stopwatch::start();
    gateway.sigterm();
    eventually("readiness to end", || gateway.admin("/readyz").is_none_or(|r| r.status == 503).then_some(()));
    assert!(
        since.elapsed() < Duration::from_millis(800),
        "readiness ends at once, not after {:?}",
        since.elapsed()
    );
    assert_eq!(gateway.ask("GET /public/during-the-delay", "").status, 200, "still accepting");

    let response = slow.response().expect("the slow answer");
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["target"], "/public/slow");
    drop(slow);
    assert_eq!(gateway.exits_within(Duration::from_secs(6)), Some(0), "{}", gateway.logs());
    assert!(!listens(gateway.port()));
}

#[test]
fn without_work_it_ends_after_the_delay() {
    let mut site = Site::with(|config, _| config.set("/shutdown", json!({ "delay": "0s", "grace": "20s" })));
    site.gateway.sigterm();
    assert_eq!(site.gateway.exits_within(Duration::from_secs(5)), Some(0), "{}", site.gateway.logs());
}

#[test]
fn what_is_under_way_too_long_is_cut_and_told() {
    let mut site = Site::with(|config, _| config.set("/shutdown", json!({ "delay": "0s", "grace": "1s" })));
    site.upstream.at("/public/never", Behaviour::NeverAnswers);
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /public/never HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()));
    eventually("the request at the upstream", || (!site.upstream.requests().is_empty()).then_some(()));
    site.gateway.sigterm();
    assert_eq!(site.gateway.exits_within(Duration::from_secs(5)), Some(1), "{}", site.gateway.logs());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut site = Site::with(|config, _| config.set("/shutdown", json!({ "delay": "20s", "grace": "20s" })));
    site.gateway.sigterm();
    eventually("readiness to end", || {
        site.gateway.admin("/readyz").is_none_or(|r| r.status == 503).then_some(())
    });
    let since = Stopwatch::start();
    site.gateway.sigterm();
    assert_eq!(site.gateway.exits_within(Duration::from_secs(3)), Some(1), "{}", site.gateway.logs());
    assert!(since.elapsed() < Duration::from_secs(2));
}

#[test]
fn an_address_in_use_ends_the_process() {
    let (provider, upstream) = (Provider::start(), Upstream::start());
    let config = Config::new(&provider.entry(), &upstream);
    let _occupied = TcpListener::bind(("127.0.0.1", config.port())).unwrap();
    let port = config.port();
    let mut gateway = Gateway::launch(config);
    assert_eq!(gateway.exits_within(Duration::from_secs(20)), Some(1), "{}", gateway.logs());
    eventually("the address in the log", || gateway.logs().contains(&port.to_string()).then_some(()));
}

#[test]
fn starts_without_its_provider_and_recovers() {
    let (port, upstream) = (free_port(), Upstream::start());
    let config = Config::new(&entry(&format!("http://127.0.0.1:{port}")), &upstream);
    let gateway = Gateway::start(config);
    assert!(gateway.is_ready(), "a provider doesn't turn readiness red");
    assert_eq!(gateway.ask("GET /public/x", "").status, 200);
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/private"));
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    assert!(page.response.fields.has("retry-after"));
    assert_eq!(upstream.requests_to("/private").len(), 0);

    let _provider = Provider::start_at(port);
    let page = eventually("the gateway to find its provider", || {
        let page = browser.visit(&gateway.url("/private"));
        (page.status() == 200).then_some(page)
    });
    assert_eq!(page.target(), "/private");
    assert_eq!(upstream.only("/private").header("x-forwarded-user"), Some("ada"));
}

#[test]
fn live_sessions_outlast_a_provider_that_is_down() {
    let site = Site::start();
    let browser = site.signed_in();
    site.provider.make(Fault::Down);
    for turn in 0..20 {
        let path = format!("/live/{turn}");
        assert_eq!(site.open(&browser, &path).status, 200);
        assert_eq!(site.upstream.only(&path).header("x-forwarded-user"), Some("ada"));
    }
    // With its metadata known, the way in is still the redirect; what can't be known is 503.
    let stranger = Browser::new();
    let callback = {
        site.provider.make(Fault::None);
        let callback = site.callback(&stranger, "/private");
        site.provider.make(Fault::Down);
        callback
    };
    assert_eq!(site.open(&Browser::new(), "/private").status, 302);
    let response = stranger.open(&callback);
    assert_eq!(response.status, 503, "{}", response.everything());
    assert!(response.fields.has("retry-after"));
    site.has_no_session(&stranger);
    assert_eq!(site.upstream.requests_to("/private").len(), 0);
}

#[test]
fn many_clients_at_once_each_get_their_own() {
    let site = Site::start();
    let people: Vec<_> = ["ada", "grace", "katherine", "dorothy"]
        .into_iter()
        .map(|name| {
            let browser = Browser::new();
            site.visit(&browser, &format!("/.vestibule/sign-in?login_hint={name}"));
            (name, site.session_line(&browser))
        })
        .collect();
    site.upstream.forget();
    thread::scope(|scope| {
        for (name, session) in &people {
            let site = &site;
            scope.spawn(move || {
                for turn in 0..50 {
                    let response = site.gateway.ask(&format!("GET /{name}/{turn}"), session);
                    assert_eq!(response.json()["target"], json!(format!("/{name}/{turn}")));
                }
            });
        }
    });
    let seen = site.upstream.requests();
    assert_eq!(seen.len(), 200);
    for request in seen {
        let name = request.request.path().split('/').nth(1).unwrap().to_owned();
        assert_eq!(request.header("x-forwarded-user"), Some(name.as_str()));
    }
}

#[test]
fn a_plain_listener_can_send_everyone_to_https() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let plain = free_port();
    let site = Site::with(|config, _| {
        let config = config.tls(&made.cert.pem(), &made.signing_key.serialize_pem());
        let port = config.port();
        config
            .set(
                "/listeners",
                json!([
                    { "address": format!("127.0.0.1:{port}"), "tls": null },
                    { "address": format!("127.0.0.1:{plain}"), "redirect_to_https": true },
                ]),
            )
            .unset("/listeners/0/tls")
            .tls(&made.cert.pem(), &made.signing_key.serialize_pem())
    });
    let ask =
        |host: &str| crate::support::raw::ask(plain, &format!("GET /x?y=1 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let response = ask(&site.gateway.host());
    assert_eq!((response.status, response.location()), (308, site.url("/x?y=1").as_str()));
    assert_eq!(ask("evil.test").status, 421);
    site.upstream.saw_nothing();
}
