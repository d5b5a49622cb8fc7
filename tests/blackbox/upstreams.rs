//! What is behind: streams, sockets, stale connections, failures, caches.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::config::Config;
use crate::support::listener::free_port;
use crate::support::message::Ending;
use crate::support::raw::{Closed, Raw, exchange};
use crate::support::site::Site;
use crate::support::upstream::{Behaviour, Upstream};
use crate::support::websocket;

#[test]
fn a_websocket_carries_frames_both_ways() {
    let site = Site::start();
    site.upstream.at("/socket", Behaviour::WebsocketEcho);
    let session = site.session_line(&site.signed_in());
    let origin = format!("{session}Origin: {}\r\nX-Forwarded-User: mallory\r\n", site.url(""));
    let mut raw = Raw::connect(site.gateway.port());
    let response = raw.send(websocket::request(&site.gateway.host(), "/socket", &origin)).response().unwrap();
    assert_eq!(response.status, 101, "{}", response.everything());
    assert_eq!(response.fields.text("sec-websocket-accept"), websocket::accept(websocket::KEY));
    for text in ["hello", "and again"] {
        let answer = websocket::answer(text);
        assert_eq!(raw.send(websocket::frame(text)).bytes(answer.len()), answer);
    }
    let seen = site.upstream.only("/socket");
    assert_eq!(seen.header("x-forwarded-user"), Some("ada"));
    assert!(!site.upstream.bytes().contains("mallory"));
    assert!(!site.upstream.bytes().contains("vestibule="));
}

#[rstest]
#[case::another_site("Origin: https://evil.test\r\n")]
#[case::another_port("Origin: http://localhost:1\r\n")]
#[case::another_scheme("Origin: https://HOST\r\n")]
#[case::opaque("Origin: null\r\n")]
fn a_websocket_of_another_origin_is_403(#[case] lines: &str) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let lines = lines.replace("HOST", &site.gateway.host());
    let request = websocket::request(&site.gateway.host(), "/socket", &format!("{session}{lines}"));
    let answers = exchange(site.gateway.port(), request);
    assert_eq!(answers.status(), 403, "{answers:?}");
    site.upstream.saw_nothing();
}

#[test]
fn a_route_can_name_further_origins_for_websockets() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "socket", "match": { "path": "/socket" }, "auth": { "session": "idp" },
            "websocket": { "origins": ["https://spa.example.com"] }, "upstream": upstream.url(),
        }))
    });
    site.upstream.at("/socket", Behaviour::WebsocketEcho);
    let session = site.session_line(&site.signed_in());
    let lines = format!("{session}Origin: https://spa.example.com\r\n");
    let request = websocket::request(&site.gateway.host(), "/socket", &lines);
    assert_eq!(Raw::connect(site.gateway.port()).send(request).response().unwrap().status, 101);
}

#[test]
fn events_arrive_when_they_happen() {
    let site = Site::start();
    site.upstream.at("/public/events", Behaviour::ServerSentEvents);
    let mut raw = Raw::connect(site.gateway.port());
    let since = Stopwatch::start();
    raw.send(format!(
        "GET /public/events HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
        site.gateway.host()
    ));
    let mut text = String::new();
    while !text.contains("data: one") {
        let more = raw.bytes(1);
        assert!(!more.is_empty(), "no event: {text}");
        text.push(char::from(more[0]));
    }
    assert!(since.elapsed() < Duration::from_millis(600), "the first event waited for the second");
    while !text.contains("data: two") {
        let more = raw.bytes(1);
        assert!(!more.is_empty(), "no second event: {text}");
        text.push(char::from(more[0]));
    }
}

#[test]
fn bodies_stream_both_ways() {
    let site = Site::start();
    site.upstream.at("/public/stream", Behaviour::StreamsBack);
    let mut raw = Raw::connect(site.gateway.port());
    let head = format!(
        "POST /public/stream HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        site.gateway.host()
    );
    raw.send(head);
    for word in ["one", "two", "three"] {
        raw.send(format!("{:x}\r\n{word}\r\n", word.len()));
        let mut text = String::new();
        while !text.ends_with(word) {
            let more = raw.bytes(1);
            assert!(!more.is_empty(), "{word} didn't come back: {text}");
            text.push(char::from(more[0]));
        }
    }
    raw.send("0\r\n\r\n");
    assert!(raw.rest().0.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_large_body_arrives_whole() {
    let site = Site::start();
    let body = "0123456789abcdef".repeat(64 * 1024);
    let head = format!(
        "POST /public/large HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        site.gateway.host(),
        body.len()
    );
    let response = Raw::connect(site.gateway.port()).send(head + &body).response().unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["body"], json!(body));
    let seen = site.upstream.only("/public/large");
    assert!(seen.request.complete && seen.request.body == body.as_bytes());
}

#[rstest]
#[case::by_length("Content-Length: 2000\r\n\r\n")]
#[case::chunked("Transfer-Encoding: chunked\r\n\r\n7d0\r\n")]
fn a_body_over_the_limit_is_413(#[case] framing: &str) {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "small", "match": { "path": "/small" }, "auth": "public", "limits": { "body": "1KiB" },
            "upstream": upstream.url(),
        }))
    });
    let request =
        format!("POST /small HTTP/1.1\r\nHost: {}\r\n{framing}{}", site.gateway.host(), "x".repeat(2_000));
    let answers = exchange(site.gateway.port(), request + "\r\n0\r\n\r\n");
    assert_eq!(answers.status(), 413, "{answers:?}");
    assert_eq!(answers.closed, Closed::Yes);
    assert!(site.upstream.requests().iter().all(|seen| !seen.request.complete));
}

#[test]
fn an_early_413_of_the_upstream_reaches_the_client() {
    let site = Site::start();
    site.upstream.at("/public/early", Behaviour::Early413);
    let head = format!(
        "POST /public/early HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\n0123456789",
        site.gateway.host()
    );
    let answers = exchange(site.gateway.port(), head);
    assert!(matches!(answers.status(), 413 | 502), "{answers:?}");
    assert_eq!(site.upstream.requests_to("/public/early").len(), 1, "a POST is never sent twice");
}

#[test]
fn a_stale_connection_is_retried_for_get_alone() {
    let site = Site::start();
    site.upstream.at("/public/stale", Behaviour::CloseStaleKeepalive);
    for _ in 0..4 {
        let response = site.gateway.ask("GET /public/stale", "");
        assert_eq!(response.status, 200, "{}", response.everything());
    }
    // Four answers, and at least one request that met a closing connection and was sent again.
    assert!(site.upstream.requests_to("/public/stale").len() > 4);

    site.upstream.forget();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(site.gateway.ask("POST /public/stale", "Content-Length: 0\r\n").status);
    }
    assert!(statuses.contains(&502), "{statuses:?}");
    assert_eq!(
        site.upstream.requests_to("/public/stale").len(),
        4,
        "a POST is never sent twice: {statuses:?}"
    );
}

/// Asserts a failure page that tells nothing about the inside.
#[track_caller]
fn is_discreet(site: &Site, response: &crate::support::message::Response) {
    let text = response.everything();
    for inside in [
        "127.0.0.1",
        &site.upstream.port().to_string(),
        "pingora",
        "Pingora",
        "src/",
        ".rs",
        "ConnectionRefused",
    ] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
    assert_eq!(response.fields.text("cache-control"), "no-store");
}

#[test]
fn an_upstream_that_is_down_is_502() {
    let port = free_port();
    let site = Site::with(|config, _| {
        config.route(json!({
            "id": "down", "match": { "path": "/down" }, "auth": "public", "upstream": format!("http://127.0.0.1:{port}"),
        }))
    });
    for accept in ["text/html", "application/json"] {
        let response = site.gateway.ask("GET /down", &format!("Accept: {accept}\r\n"));
        assert_eq!(response.status, 502, "{}", response.everything());
        assert!(!response.everything().contains(&port.to_string()));
        is_discreet(&site, &response);
    }
}

#[test]
fn an_upstream_that_never_answers_is_504() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "slow", "match": { "path": "/slow" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "timeouts": { "first_byte": "1s", "connect": "1s" } },
        }))
    });
    site.upstream.at("/slow", Behaviour::NeverAnswers);
    let since = Stopwatch::start();
    let response = site.gateway.ask("GET /slow", "Accept: text/html\r\n");
    assert_eq!(response.status, 504, "{}", response.everything());
    assert!(since.elapsed() < Duration::from_secs(4), "took {:?}", since.elapsed());
    is_discreet(&site, &response);
}

#[test]
fn a_slow_first_byte_is_waited_for() {
    let site = Site::start();
    site.upstream.at("/public/slow", Behaviour::SlowFirstByte(Duration::from_millis(1_200)));
    assert_eq!(site.gateway.ask("GET /public/slow", "").status, 200);
}

#[test]
fn a_truncated_answer_is_never_delivered_as_whole() {
    let site = Site::start();
    site.upstream.at("/public/cut", Behaviour::ResetMidBody);
    let response = Raw::connect(site.gateway.port())
        .send(format!("GET /public/cut HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()))
        .response();
    if let Some(response) = response {
        assert!(response.status == 502 || response.ending == Ending::Cut, "{response:?}");
    }
    assert_eq!(site.gateway.ask("GET /public/canary", "").status, 200);
}

#[test]
fn an_answer_until_close_arrives_whole() {
    let site = Site::start();
    site.upstream.at("/public/half", Behaviour::HalfClose);
    let response = site.gateway.ask("GET /public/half", "");
    assert_eq!(
        (response.status, response.text().as_str(), response.ending),
        (200, "until close", Ending::Complete)
    );
}

fn answering(site: &Site, path: &str, headers: &str) {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{headers}\r\nok");
    site.upstream.at(path, Behaviour::Says(answer.into_bytes()));
}

#[rstest]
#[case::public("Cache-Control: public, max-age=600, s-maxage=900\r\n")]
#[case::shared_age_alone("Cache-Control: s-maxage=900\r\n")]
#[case::nothing("")]
#[case::several("Cache-Control: public\r\nCache-Control: max-age=600\r\nVary: Accept-Encoding\r\n")]
#[case::private_already("Cache-Control: private, no-cache\r\n")]
#[case::odd_case("Cache-Control: PUBLIC, S-MaxAge=900\r\n")]
fn no_shared_cache_keeps_a_protected_answer(#[case] headers: &str) {
    let site = Site::start();
    answering(&site, "/cached", headers);
    let session = site.session_line(&site.signed_in());
    let response = site.gateway.ask("GET /cached", &session);
    assert_eq!(response.status, 200, "{}", response.everything());
    let cache = response.fields.all("cache-control").join(", ").to_lowercase();
    assert!(cache.contains("private"), "{cache}");
    assert!(!cache.contains("public") && !cache.contains("s-maxage"), "{cache}");
    assert_eq!(cache.contains("max-age=600"), headers.contains("max-age=600"), "{cache}");
    let vary = response.fields.all("vary").join(", ").to_lowercase();
    assert!(vary.contains("cookie") && vary.contains("authorization"), "{vary}");
    assert_eq!(vary.contains("accept-encoding"), headers.contains("Accept-Encoding"), "{vary}");
}

#[test]
fn a_public_answer_keeps_its_cache_rules() {
    let site = Site::start();
    answering(&site, "/public/cached", "Cache-Control: public, s-maxage=900\r\n");
    let response = site.gateway.ask("GET /public/cached", "");
    assert_eq!(response.fields.all("cache-control"), ["public, s-maxage=900"]);
    assert!(!response.fields.has("vary"));
}

#[test]
fn a_route_can_leave_the_cache_rules_to_its_upstream() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "cached", "match": { "path": "/cached" }, "auth": { "session": "idp" }, "cache": "upstream",
            "upstream": upstream.url(),
        }))
    });
    answering(&site, "/cached", "Cache-Control: public, s-maxage=900\r\n");
    let session = site.session_line(&site.signed_in());
    assert_eq!(
        site.gateway.ask("GET /cached", &session).fields.all("cache-control"),
        ["public, s-maxage=900"]
    );
}

#[rstest]
#[case::below("/console/users?x=1", "/users?x=1")]
#[case::itself("/console", "/")]
#[case::a_slash("/console/", "/")]
#[case::a_query("/console?x=1", "/?x=1")]
#[case::bytes("/console/a%20b//c", "/a%20b//c")]
fn a_prefix_is_stripped_by_whole_segments(#[case] target: &str, #[case] expected: &str) {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "console", "match": { "path": "/console" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "strip_prefix": "/console" },
        }))
    });
    assert_eq!(site.gateway.ask(&format!("GET {target}"), "X-Forwarded-Prefix: /evil\r\n").status, 200);
    let seen = site.upstream.requests().remove(0);
    assert_eq!(seen.request.target, expected);
    assert_eq!(seen.request.fields.all("x-forwarded-prefix"), ["/console"]);
}

#[rstest]
#[case::preserved("preserve", None)]
#[case::the_server("server", Some("127.0.0.1:PORT"))]
#[case::a_name("wiki.internal", Some("wiki.internal"))]
fn the_upstream_sees_the_host_it_is_meant_to(#[case] host: &str, #[case] expected: Option<&str>) {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "named", "match": { "path": "/named" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "host": host },
        }))
    });
    site.gateway.ask("GET /named", "");
    let expected =
        expected.map_or(site.gateway.host(), |e| e.replace("PORT", &site.upstream.port().to_string()));
    assert_eq!(site.upstream.only("/named").request.fields.all("host"), [expected]);
}

#[test]
fn an_upstream_over_tls_is_verified() {
    let site = Site::with(|config: Config, upstream: &Upstream| {
        // It speaks plain HTTP, so that a gateway which asked for TLS can't be satisfied by it.
        let url = upstream.url().replace("http://", "https://");
        let tls = json!({ "servers": [url], "tls": { "server_name": "app.internal" } });
        config.route(json!({ "id": "tls", "match": { "path": "/tls" }, "auth": "public", "upstream": tls }))
    });
    let response = site.gateway.ask("GET /tls", "");
    // It may take the greeting for the beginning of a request and wait for more.
    assert!(matches!(response.status, 502 | 504), "{}", response.everything());
    assert!(site.upstream.requests().is_empty());
}
