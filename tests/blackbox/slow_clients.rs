//! Clients that hold on to a connection at no cost: heads, bodies and frames that drip or stop.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::config::Config;
use crate::support::eventually;
use crate::support::listener::free_port;
use crate::support::raw::{Closed, Raw};
use crate::support::site::Site;
use crate::support::upstream::Behaviour;
use crate::support::websocket;

/// The limits of these tests: a head in a second, a body at 1 KiB/s after a second.
fn hurried() -> Site {
    Site::with(|config, _| {
        config
            .set("/limits/head/time", json!("1s"))
            .set("/limits/body_rate", json!({ "min": "1KiB", "after": "1s" }))
    })
}

/// After the limit, and not a multiple of it, on a machine that does much else.
#[track_caller]
fn is_about_a_second(watch: Stopwatch) {
    let elapsed = watch.elapsed();
    assert!(elapsed > Duration::from_millis(900) && elapsed < Duration::from_secs(15), "{elapsed:?}");
}

#[track_caller]
fn others_are_served(site: &Site) {
    assert_eq!(site.gateway.ask("GET /public/canary", "").json()["target"], "/public/canary");
}

fn closed(site: &Site, reason: &str) -> bool {
    let metrics = site.gateway.admin("/metrics").expect("metrics").text();
    metrics.contains(&format!("vestibule_connections_closed_total{{reason=\"{reason}\"}} 1\n"))
}

/// Sends this again and again, slowly, for some seconds or until nobody takes it.
fn drip(mut to: impl Write + Send + 'static, bytes: &'static [u8]) {
    std::thread::spawn(move || {
        for _ in 0..100 {
            sleep(Duration::from_millis(100));
            if to.write_all(bytes).and_then(|()| to.flush()).is_err() {
                break;
            }
        }
    });
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, site.gateway.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn all_from(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // A reset ends it as well as an end does.
    let _ = stream.read_to_end(&mut bytes);
    bytes.into_iter().map(char::from).collect()
}

#[test]
fn a_head_that_drips_is_answered_408() {
    let site = hurried();
    let watch = Stopwatch::start();
    let mut stream = connect(&site);
    stream.write_all(b"GET /public/x HTTP/1.1\r\n").unwrap();
    drip(stream.try_clone().unwrap(), b"X: 1\r\n");
    let answer = all_from(stream);
    is_about_a_second(watch);
    assert_eq!(answer, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    site.upstream.saw_nothing();
    assert!(closed(&site, "head_timeout"));
    others_are_served(&site);
}

#[test]
fn a_client_that_says_nothing_is_left() {
    let site = hurried();
    let watch = Stopwatch::start();
    assert_eq!(all_from(connect(&site)), "");
    is_about_a_second(watch);
}

#[test]
fn a_kept_connection_may_be_silent_and_its_next_head_may_not_drip() {
    let site = hurried();
    let mut raw = Raw::connect(site.gateway.port());
    let head = format!("GET /public/x HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host());
    for _ in 0..2 {
        assert_eq!(raw.send(&head).response().expect("an answer").status, 200);
        sleep(Duration::from_millis(1500));
    }
    let watch = Stopwatch::start();
    raw.send("GET /public/next HTTP/1.1\r\n");
    assert_eq!(raw.response().expect("an answer").status, 408);
    is_about_a_second(watch);
    assert_eq!(raw.rest().1, Closed::Yes);
    assert_eq!(site.upstream.requests_to("/public/next").len(), 0);
}

#[test]
fn many_requests_pass_on_one_connection() {
    let site = hurried();
    let mut raw = Raw::connect(site.gateway.port());
    let host = site.gateway.host();
    for turn in 0..100 {
        let path = format!("/public/{turn}");
        raw.send(match turn % 3 {
            0 => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            1 => format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello"),
            _ => format!(
                "PUT {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ),
        });
        let response = raw.response().expect("an answer");
        assert_eq!(response.json()["target"], path, "{}", response.everything());
        let body: &[u8] = if turn % 3 == 0 { b"" } else { b"hello" };
        assert_eq!(site.upstream.only(&path).request.body, body);
    }
}

#[test]
fn a_body_that_drips_is_answered_408() {
    let site = hurried();
    let host = site.gateway.host();
    for (line, bytes) in
        [("Content-Length: 100000", &b"x"[..]), ("Transfer-Encoding: chunked", b"1\r\nx\r\n")]
    {
        let watch = Stopwatch::start();
        let mut stream = connect(&site);
        stream
            .write_all(format!("POST /public/x HTTP/1.1\r\nHost: {host}\r\n{line}\r\n\r\n").as_bytes())
            .unwrap();
        drip(stream.try_clone().unwrap(), bytes);
        let answer = all_from(stream);
        is_about_a_second(watch);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("request_timeout"), "{answer}");
        assert!(site.upstream.requests().iter().all(|s| !s.request.complete));
        others_are_served(&site);
        site.upstream.forget();
    }
    let log =
        eventually("the access log", || Some(site.gateway.access_log()).filter(|log| log.contains(" 408 ")));
    assert!(log.contains("reason=request_timeout"), "{log}");
}

#[test]
fn a_body_that_comes_fast_enough_passes() {
    let site = hurried();
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!(
        "POST /public/x HTTP/1.1\r\nHost: {}\r\nContent-Length: 30000\r\n\r\n",
        site.gateway.host()
    ));
    for _ in 0..30 {
        sleep(Duration::from_millis(100));
        raw.send([b'x'; 1000]);
    }
    assert_eq!(raw.response().expect("an answer").status, 200);
    assert_eq!(site.upstream.only("/public/x").request.body.len(), 30_000);
}

#[test]
fn a_slow_upstream_is_not_the_fault_of_the_client() {
    let site = hurried();
    site.upstream.at("/public/slow", Behaviour::SlowFirstByte(Duration::from_secs(3)));
    let body = format!("Content-Length: 5\r\nHost: {}\r\n\r\nhello", site.gateway.host());
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("POST /public/slow HTTP/1.1\r\n{body}"));
    assert_eq!(raw.response().expect("an answer").status, 200);
}

#[test]
fn a_client_that_waits_for_100_continue_is_waited_for() {
    let site = hurried();
    let mut raw = Raw::connect(site.gateway.port());
    let lines = format!("Host: {}\r\nContent-Length: 5\r\nExpect: 100-continue", site.gateway.host());
    raw.send(format!("POST /public/x HTTP/1.1\r\n{lines}\r\n\r\n"));
    sleep(Duration::from_millis(2500));
    raw.send("hello");
    assert_eq!(raw.response().expect("an answer").status, 200);
    assert_eq!(site.upstream.only("/public/x").request.body, b"hello");
}

#[test]
fn a_web_socket_may_be_silent() {
    let site = hurried();
    site.upstream.at("/public/socket", Behaviour::WebsocketEcho);
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(websocket::request(&site.gateway.host(), "/public/socket", ""));
    assert_eq!(raw.response().expect("an answer").status, 101);
    for text in ["one", "two"] {
        sleep(Duration::from_millis(2500));
        raw.send(websocket::frame(text));
        let expected = websocket::answer(text);
        assert_eq!(raw.bytes(expected.len()), expected);
    }
}

/// A site over TLS, and what its clients need to trust it.
struct House {
    site: Site,
    certificate: String,
}

type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

impl House {
    fn open() -> Self {
        Self::with(|config| config)
    }

    fn with(edit: impl FnOnce(Config) -> Config) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let site = Site::with(|config, _| {
            let config = config
                .tls(&certificate, &key)
                .set("/limits/head/time", json!("1s"))
                .set("/limits/body_rate", json!({ "min": "1KiB", "after": "1s" }));
            edit(config)
        });
        Self { site, certificate }
    }

    /// Shakes hands for this protocol.
    fn speak(&self, protocol: &str) -> Tls {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = connect(&self.site);
        client.complete_io(&mut stream).unwrap();
        Tls::new(client, stream)
    }
}

#[test]
fn a_listener_that_only_redirects_has_the_same_clock() {
    let plain = free_port();
    let house = House::with(|config| {
        let tls = config.listener();
        let redirect = json!({ "address": format!("127.0.0.1:{plain}"), "redirect_to_https": true });
        config.set("/listeners", json!([tls, redirect]))
    });
    let head = format!("GET /public/x HTTP/1.1\r\nHost: {}\r\n\r\n", house.site.gateway.host());
    let mut raw = Raw::connect(plain);
    let response = raw.send(&head).response().expect("an answer");
    assert_eq!((response.status, raw.rest().1), (308, Closed::Yes), "{}", response.everything());
    let watch = Stopwatch::start();
    let mut raw = Raw::connect(plain);
    assert_eq!(raw.send("GET /public/x HTTP/1.1\r\n").response().expect("an answer").status, 408);
    is_about_a_second(watch);
}

#[test]
fn heads_and_bodies_that_stop_are_ended_over_tls() {
    let house = House::open();
    let host = house.site.gateway.host();
    for (sent, status) in [
        ("GET /public/x HTT".to_owned(), "HTTP/1.1 408 "),
        (format!("POST /public/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nx"), "HTTP/1.1 408 "),
        (
            format!("POST /public/x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n"),
            "HTTP/1.1 400 ",
        ),
    ] {
        let mut tls = house.speak("http/1.1");
        tls.write_all(sent.as_bytes()).unwrap();
        let answer = all_from(tls);
        assert!(answer.starts_with(status), "{sent}: {answer}");
    }
    assert!(house.site.upstream.requests().iter().all(|s| !s.request.complete));
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame on stream 1, or on the connection.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend_from_slice(payload);
    frame
}

/// `POST PATH` as a header block ([RFC 7541 §6](https://www.rfc-editor.org/rfc/rfc7541#section-6)).
fn post(host: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87];
    for (name, value) in [(0x04, path), (0x01, host)] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

#[test]
fn an_http2_connection_that_does_not_begin_is_ended() {
    let house = House::open();
    for sent in [&b""[..], &PREFACE[..10], PREFACE, &[PREFACE, &frame(4, 0, 0, &[])[..5]].concat()] {
        let watch = Stopwatch::start();
        let mut tls = house.speak("h2");
        tls.write_all(sent).unwrap();
        all_from(tls);
        is_about_a_second(watch);
    }
}

#[test]
fn an_http2_header_block_without_an_end_is_ended() {
    let house = House::open();
    let mut tls = house.speak("h2");
    tls.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).unwrap();
    sleep(Duration::from_millis(2500));
    let watch = Stopwatch::start();
    let block = post(&house.site.gateway.host(), "/public/x");
    tls.write_all(&frame(1, 0, 1, &block)).expect("an open connection may be silent");
    all_from(tls);
    is_about_a_second(watch);
    house.site.upstream.saw_nothing();
}

#[test]
fn an_http2_body_that_stops_is_answered_408() {
    let house = House::open();
    let mut tls = house.speak("h2");
    let block = post(&house.site.gateway.host(), "/public/x");
    let begin = [PREFACE, &frame(4, 0, 0, &[]), &frame(1, 4, 1, &block), &frame(0, 0, 1, b"hello")].concat();
    let watch = Stopwatch::start();
    tls.write_all(&begin).unwrap();
    let log =
        eventually("an answer", || Some(house.site.gateway.access_log()).filter(|log| log.contains("POST")));
    is_about_a_second(watch);
    assert!(log.contains(" 408 POST"), "{log}");
    assert!(house.site.upstream.requests().iter().all(|s| !s.request.complete));
    // The connection has other streams.
    tls.write_all(&frame(1, 4 | 1, 3, &post(&house.site.gateway.host(), "/public/next"))).unwrap();
    eventually("the next request", || house.site.upstream.requests_to("/public/next").pop());
}

#[test]
fn an_http2_body_that_stops_behind_its_answer_costs_the_connection() {
    let house = House::open();
    house.site.upstream.at("/public/early", Behaviour::Early413);
    let mut tls = house.speak("h2");
    let block = post(&house.site.gateway.host(), "/public/early");
    let begin = [PREFACE, &frame(4, 0, 0, &[]), &frame(1, 4, 1, &block), &frame(0, 0, 1, b"hello")].concat();
    let watch = Stopwatch::start();
    tls.write_all(&begin).unwrap();
    // The rate's second, and five more in which a request whose answer isn't through would have failed.
    all_from(tls);
    let elapsed = watch.elapsed();
    assert!(elapsed > Duration::from_secs(5) && elapsed < Duration::from_secs(16), "{elapsed:?}");
    eventually("the request's end", || {
        let metrics = house.site.gateway.admin("/metrics")?.text();
        metrics.contains("vestibule_requests_in_flight 0\n").then_some(())
    });
}
