//! What reviews have found, each as the request that showed it.

use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::raw;
use crate::support::site::Site;
use crate::support::upstream::Behaviour;

/// A site whose `/probe` is public for any Host.
fn with_probe() -> Site {
    Site::with(|config, upstream| {
        config.route(json!({
            "id": "probe", "match": { "path": "/probe", "exact": true, "methods": ["GET"], "any_host": true },
            "auth": "public", "upstream": upstream.url(),
        }))
    })
}

fn by_any_host(site: &Site, lines: &str) -> crate::support::message::Response {
    raw::ask(site.gateway.port(), &format!("GET /probe HTTP/1.1\r\nHost: 10.1.2.3:81\r\n{lines}\r\n"))
}

#[test]
fn a_probe_by_any_host_carries_no_cookie_of_ours() {
    let site = with_probe();
    assert_eq!(by_any_host(&site, "Cookie: vestibule=SECRET; a=1\r\n").status, 200);
    assert_eq!(site.upstream.only("/probe").header("cookie"), Some("a=1"));
    assert!(!site.upstream.bytes().contains("SECRET"));
}

#[test]
fn a_service_behind_a_probe_sets_no_cookie_of_ours() {
    let site = with_probe();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: vestibule=stolen; Path=/\r\nSet-Cookie: theirs=1\r\n\r\n";
    site.upstream.at("/probe", Behaviour::Says(answer.into()));
    assert_eq!(by_any_host(&site, "").fields.all("set-cookie"), ["theirs=1"]);
}

#[rstest]
#[case::something("Upgrade: x\r\nConnection: Upgrade\r\n")]
#[case::a_web_socket_by_post("Upgrade: websocket\r\nConnection: Upgrade\r\n")]
#[case::nothing("")]
fn an_upgrade_lifts_no_body_limit(#[case] lines: &str) {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "small", "match": { "path": "/small" }, "auth": "public", "limits": { "body": "1KiB" },
            "upstream": upstream.url(),
        }))
    });
    let chunk = "a".repeat(4096);
    let request = format!(
        "POST /small HTTP/1.1\r\nHost: {}\r\n{lines}Transfer-Encoding: chunked\r\n\r\n1000\r\n{chunk}\r\n1000\r\n{chunk}\r\n0\r\n\r\n",
        site.gateway.host()
    );
    let response = raw::ask(site.gateway.port(), &request);
    assert_eq!(response.status, 413, "{}", response.everything());
    assert!(site.upstream.requests().iter().all(|seen| !seen.request.complete));
}

#[rstest]
#[case::plain("")]
#[case::event_stream("Accept: text/event-stream\r\n")]
#[case::web_socket(
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)]
fn the_first_byte_is_waited_for_no_longer_than_allowed(#[case] lines: &str) {
    let site = Site::with(|config, upstream| {
        let slow =
            json!({ "servers": [upstream.url()], "timeouts": { "first_byte": "1s", "between_bytes": "1s" } });
        config
            .route(json!({ "id": "slow", "match": { "path": "/slow" }, "auth": "public", "upstream": slow }))
    });
    site.upstream.at("/slow", Behaviour::NeverAnswers);
    let started = vestibule::clock::Stopwatch::start();
    assert_eq!(site.gateway.ask("GET /slow", lines).status, 504);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn a_routes_idle_limit_has_no_other_spelling(#[case] store: &str) {
    let site = Site::with(|config, upstream| {
        let config = if store == "cookie" { config.set("/sessions/store", json!("cookie")) } else { config };
        config.route(json!({
            "id": "bank", "match": { "path": "/bank" }, "auth": { "session": "idp" },
            "session": { "idle_timeout": "1s" }, "upstream": upstream.url(),
        }))
    });
    let line = site.session_line(&site.signed_in());
    thread::sleep(Duration::from_millis(1_500));
    site.upstream.forget();
    for path in ["/bank", "/BANK", "//bank", "/bank;x", "/%62ank"] {
        let status = site.gateway.ask(&format!("GET {path}"), &line).status;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    site.upstream.saw_nothing();
}

#[test]
fn a_sealed_session_in_use_stays_good_on_a_route_with_a_short_idle_limit() {
    let site = Site::with(|config, upstream| {
        config.set("/sessions/store", json!("cookie")).route(json!({
            "id": "bank", "match": { "path": "/bank" }, "auth": { "session": "idp" },
            "session": { "idle_timeout": "2s" }, "upstream": upstream.url(),
        }))
    });
    let browser = site.signed_in();
    for turn in 0..5 {
        assert_eq!(site.open(&browser, "/bank").status, 200, "{turn}");
        thread::sleep(Duration::from_millis(900));
    }
}

#[test]
fn a_stripped_path_never_begins_like_a_host() {
    let site = Site::with(|config, upstream| {
        let api = json!({ "servers": [upstream.url()], "strip_prefix": "/api" });
        config.route(json!({ "id": "api", "match": { "path": "/api" }, "auth": "public", "upstream": api }))
    });
    for (asked, seen) in [("/api//evil", "/evil"), ("/api", "/"), ("/api?x=1", "/?x=1"), ("/api/a", "/a")] {
        site.upstream.forget();
        assert_eq!(site.gateway.ask(&format!("GET {asked}"), "").status, 200, "{asked}");
        assert_eq!(site.upstream.requests()[0].request.target, seen);
        assert_eq!(site.upstream.requests()[0].header("x-forwarded-prefix"), Some("/api"));
    }
}

#[test]
fn a_whole_url_as_target_is_its_path() {
    let site = Site::start();
    let host = site.gateway.host();
    let ask = |target: &str| {
        raw::ask(site.gateway.port(), &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    assert_eq!(ask(&format!("http://{host}/public/a?x=1")), 200);
    assert_eq!(site.upstream.only("/public/a").request.target, "/public/a?x=1");
    assert_eq!(ask(&format!("http://{host}/private")), 401);
    assert_eq!(ask("http://evil.test/public/a"), 400);
    assert_eq!(ask(&format!("http://{host}/public/../private")), 400);
}

#[test]
fn deeper_paths_under_a_callback_of_ones_own_are_routes() {
    let site = Site::with(|config, upstream| {
        config.set("/endpoints", json!({ "callback": "/login/cb" })).route(json!({
            "id": "help", "match": { "path": "/login/cb/help" }, "auth": "public", "upstream": upstream.url(),
        }))
    });
    assert_eq!(site.gateway.ask("GET /login/cb/help", "").status, 200);
    for spelling in ["/LOGIN/cb", "//login/cb", "/login/cb;x", "/login/cb%20"] {
        let status = site.gateway.ask(&format!("GET {spelling}?code=c&state=s"), "").status;
        assert_eq!(status, 400, "{spelling}");
    }
    assert!(!site.upstream.bytes().contains("code=c"));
}

#[test]
fn a_grpc_client_is_told_in_its_words_only_what_concerns_the_person() {
    let site = Site::start();
    let grpc = "Content-Type: application/grpc\r\n";
    assert_eq!(site.gateway.ask("POST /private", grpc).status, 200);
    assert_eq!(site.gateway.ask("POST /.vestibule/nothing", grpc).status, 404);
    assert_eq!(site.gateway.ask(&format!("POST /{}", "a".repeat(20_000)), grpc).status, 414);
    site.upstream.saw_nothing();
}

#[test]
fn a_sign_out_ends_every_session_that_is_presented() {
    let site = Site::start();
    let (one, two) = (site.session_line(&site.signed_in()), site.session_line(&site.signed_in()));
    let value = |line: &str| line.trim_start_matches("Cookie: ").trim().to_owned();
    let both = format!("Cookie: {}; {}\r\n", value(&one), value(&two));
    assert_eq!(site.gateway.ask("GET /private", &both).status, 401, "two sessions are none");
    let response = site.gateway.ask("GET /.vestibule/sign-out", &format!("{both}Sec-Fetch-Site: none\r\n"));
    assert_eq!(response.status, 303);
    for line in [&one, &two] {
        assert_eq!(site.gateway.ask("GET /private", line).status, 401);
    }
}

#[test]
fn a_head_that_is_too_large_takes_our_cookies_from_the_browser() {
    let site = Site::start();
    let padding = "x".repeat(70 * 1024);
    let response = site.gateway.ask("GET /private", &format!("Cookie: vestibule=a; theirs={padding}\r\n"));
    assert_eq!(response.status, 431);
    let cleared = response.fields.all("set-cookie");
    assert!(cleared.len() == 1 && cleared[0].starts_with("vestibule=;"), "{cleared:?}");
}

#[test]
fn signing_in_by_form_post_ends_the_session_of_the_person_before() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let site = Site::with(|config, _| {
        config.tls(&certificate, &key).set("/providers/idp/response_mode", json!("form_post"))
    });
    let browser = Browser::trusting(&certificate);
    let sign_in = |query: &str| {
        let page = site.visit(&browser, &format!("/.vestibule/sign-in?return_to=/start&{query}"));
        browser.run_script(&page).expect("the provider's form posts itself");
    };
    sign_in("login_hint=grace");
    let before = browser.cookie(&site.url("/"), "__Host-vestibule").expect("grace's session");
    sign_in("login_hint=ada&prompt=login");
    let after = browser.cookie(&site.url("/"), "__Host-vestibule").expect("ada's session");
    assert_ne!(before, after);
    let fresh = Browser::trusting(&certificate);
    fresh.jar().plant(&url::Url::parse(&site.url("/")).unwrap(), "__Host-vestibule", &before);
    assert_eq!(site.open(&fresh, "/private").status, 302, "grace's session has ended");
}

#[test]
fn a_service_may_be_given_by_name() {
    let site = Site::with(|config, upstream| {
        let named = upstream.url().replace("127.0.0.1", "localhost");
        let nowhere = "http://nowhere.invalid:81";
        config
            .route(json!({ "id": "named", "match": { "path": "/named" }, "auth": "public", "upstream": named }))
            .route(json!({ "id": "nowhere", "match": { "path": "/nowhere" }, "auth": "public", "upstream": nowhere }))
    });
    assert_eq!(site.gateway.ask("GET /named/x", "").status, 200);
    assert_eq!(site.upstream.only("/named/x").header("host"), Some(site.gateway.host().as_str()));
    let response = site.gateway.ask("GET /nowhere", "");
    assert_eq!(response.status, 502);
    assert!(!response.everything().contains("nowhere.invalid"), "the person is told nothing internal");
    crate::support::eventually("the operator is told why", || {
        site.gateway.logs().contains("nowhere.invalid").then_some(())
    });
}

#[test]
fn a_web_socket_stays_open_however_quick_its_upstream_is() {
    use crate::support::websocket;
    let site = Site::start();
    site.upstream.at("/public/socket", Behaviour::WebsocketEcho);
    let mut sockets: Vec<_> = (0..100)
        .map(|_| {
            let mut raw = raw::Raw::connect(site.gateway.port());
            let opening = websocket::request(&site.gateway.host(), "/public/socket", "");
            assert_eq!(raw.send(opening).response().expect("an answer").status, 101);
            raw
        })
        .collect();
    for socket in &mut sockets {
        let answer = websocket::answer("hello");
        assert_eq!(socket.send(websocket::frame("hello")).bytes(answer.len()), answer);
    }
}
