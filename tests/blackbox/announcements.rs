//! Responses before the response: 100, 101 and 103, and floods of them.

use rstest::rstest;

use crate::support::eventually;
use crate::support::raw::{Raw, exchange};
use crate::support::site::Site;
use crate::support::websocket;

fn post(site: &Site, path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n{more}\r\n", site.gateway.host())
}

/// Reads one head.
fn head(raw: &mut Raw) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let more = raw.bytes(1);
        assert!(!more.is_empty(), "no head: {head:?}");
        head.push(char::from(more[0]));
    }
    head
}

#[test]
fn the_100_of_an_upstream_is_passed_on() {
    // The usual upstream reads the body first; a 100 must come before.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let site = Site::with(|config, _| {
        config.route(serde_json::json!({
            "id": "expects", "match": { "path": "/expects" }, "auth": "public", "upstream": url,
        }))
    });
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(post(&site, "/expects", "Expect: 100-continue\r\n"));
    let (mut upstream, _) = listener.accept().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut upstream, &mut byte).unwrap();
        seen.push(byte[0]);
    }
    assert!(String::from_utf8_lossy(&seen).to_lowercase().contains("expect: 100-continue"));
    // Nobody but the upstream asks for the body.
    assert!(raw.rest().0.is_empty(), "the gateway asked for the body by itself");
    std::io::Write::write_all(&mut upstream, b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert!(head(&mut raw).starts_with("HTTP/1.1 100"));
    raw.send("body");
    let mut body = [0; 4];
    std::io::Read::read_exact(&mut upstream, &mut body).unwrap();
    assert_eq!(&body, b"body");
    std::io::Write::write_all(&mut upstream, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(raw.response().unwrap().status, 201);
}

#[test]
fn own_endpoints_ask_for_the_body_themselves() {
    let site = Site::start();
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(post(
        &site,
        "/.vestibule/sign-out",
        "Expect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    ));
    assert!(head(&mut raw).starts_with("HTTP/1.1 100"));
    assert!(raw.send("a=bc").response().unwrap().status >= 200);
}

#[test]
fn a_refusal_comes_instead_of_100() {
    let site = Site::start();
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(post(&site, "/private", "Expect: 100-continue\r\n"));
    assert!(head(&mut raw).starts_with("HTTP/1.1 401"));
    site.upstream.saw_nothing();
}

#[test]
fn early_hints_are_passed_on() {
    let site = Site::start();
    let say = site.upstream.script("/public/hints");
    say.send(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            .to_vec(),
    )
    .unwrap();
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /public/hints HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()));
    let hints = head(&mut raw);
    assert!(hints.starts_with("HTTP/1.1 103") && hints.contains("</a.css>"), "{hints}");
    assert_eq!(raw.response().unwrap().text(), "ok");
}

#[test]
fn a_flood_of_announcements_is_cut_off() {
    let site = Site::start();
    let say = site.upstream.script("/public/flood");
    let hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    say.send(hint.repeat(100_000)).unwrap();
    say.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()).unwrap();
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /public/flood HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()));
    let mut hints = 0;
    let last = loop {
        let head = head(&mut raw);
        if !head.starts_with("HTTP/1.1 103") {
            break head;
        }
        hints += 1;
        assert!(hints < 1_000, "the flood goes on");
    };
    assert!(last.starts_with("HTTP/1.1 502"), "{last}");
    eventually("the reason in the log", || site.gateway.logs().contains("kind=\"protocol\"").then_some(()));
    assert_eq!(site.gateway.ask("GET /public/canary", "").status, 200);
}

#[rstest]
#[case::no_accept("Connection: Upgrade\r\nUpgrade: websocket\r\n")]
#[case::another_accept(
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
)]
#[case::another_protocol(
    "Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)]
fn a_101_that_does_not_answer_this_request_opens_no_tunnel(#[case] lines: &str) {
    let site = Site::start();
    let say = site.upstream.script("/public/socket");
    say.send(format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n").into_bytes()).unwrap();
    let mut request = websocket::request(&site.gateway.host(), "/public/socket", "");
    request.push_str("GET /secret HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answers = exchange(site.gateway.port(), request);
    assert!(matches!(answers.status(), 400 | 502), "{answers:?}");
    assert!(!site.upstream.bytes().contains("/secret"), "the tail went through");
}

#[test]
fn a_101_that_nobody_asked_for_is_502() {
    let site = Site::start();
    let say = site.upstream.script("/public/eager");
    say.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
    )
    .unwrap();
    assert_eq!(site.gateway.ask("GET /public/eager", "").status, 502);
}

/// The tail of an upgrade that the upstream answers with 200 is no request of anybody who was asked.
#[rstest]
#[case::websocket("websocket")]
#[case::another("foo")]
fn what_follows_a_refused_upgrade_goes_nowhere(#[case] protocol: &str) {
    let site = Site::start();
    let request =
        websocket::request(&site.gateway.host(), "/public/plain", "").replace("websocket", protocol);
    exchange(site.gateway.port(), request + "GET /secret HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!site.upstream.bytes().contains("/secret"), "the tail went through");
}
