//! What is under way when the end comes is finished: bodies both ways, sockets, streams. What only
//! waits for more is closed.

use std::thread;
use std::time::Duration;

use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::eventually;
use crate::support::gateway::listens;
use crate::support::message::Ending;
use crate::support::raw::{Closed, Raw};
use crate::support::site::Site;
use crate::support::upstream::Behaviour;
use crate::support::websocket;

const PIECES: usize = 20;
/// Long enough that every body outlasts the signal, on a busy machine, too.
const PAUSE: Duration = Duration::from_millis(150);

/// A site that stops accepting at once and drains for this many seconds, whose `/public/long` takes 3 s.
fn site(grace: u64) -> Site {
    let shutdown = json!({ "delay": "0s", "grace": format!("{grace}s") });
    let site = Site::with(|config, _| config.set("/shutdown", shutdown));
    site.upstream.at("/public/long", Behaviour::Drips(PIECES, PAUSE));
    site.upstream.at("/public/socket", Behaviour::WebsocketEcho);
    site
}

/// A connection on which this was sent.
fn asking(site: &Site, line: &str, more: &str) -> Raw {
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("{line} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", site.gateway.host()));
    raw
}

/// A WebSocket that has been opened.
fn socket(site: &Site) -> Raw {
    let mut raw = Raw::connect(site.gateway.port());
    let opening = websocket::request(&site.gateway.host(), "/public/socket", "");
    assert_eq!(raw.send(opening).response().expect("an answer").status, 101);
    raw
}

#[track_caller]
fn echoes(socket: &mut Raw, text: &str) {
    let answer = websocket::answer(text);
    assert_eq!(socket.send(websocket::frame(text)).bytes(answer.len()), answer);
}

fn until_the_upstream_saw(site: &Site, count: usize) {
    eventually("the requests at the upstream", || (site.upstream.requests().len() >= count).then_some(()));
}

fn until_it_stops_listening(site: &Site) {
    eventually("the listener to close", || (!listens(site.gateway.port())).then_some(()));
}

/// The exit status, which must come in time; a bound for a machine that does much else.
#[track_caller]
fn exits(site: &mut Site, within: u64) -> Option<i32> {
    site.gateway.exits_within(Duration::from_secs(within))
}

#[test]
fn downloads_under_way_arrive_whole() {
    let mut site = site(20);
    let mut downloads: Vec<_> = (0..30).map(|_| asking(&site, "GET /public/long", "")).collect();
    until_the_upstream_saw(&site, 30);
    site.gateway.sigterm();
    for download in &mut downloads {
        let response = download.response().expect("an answer");
        assert_eq!((response.status, response.ending), (200, Ending::Complete));
        assert_eq!(response.body.len(), PIECES * 1_000);
        assert_eq!(download.rest().1, Closed::Yes, "nothing more is taken on it");
    }
    assert_eq!(exits(&mut site, 5), Some(0), "{}", site.gateway.logs());
}

#[test]
fn an_upload_under_way_arrives_whole() {
    let mut site = site(20);
    let mut upload = asking(&site, "POST /public/up", "Content-Length: 40000\r\n");
    upload.send("u".repeat(20_000));
    until_the_upstream_saw(&site, 1);
    site.gateway.sigterm();
    until_it_stops_listening(&site);
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(200));
        upload.send("u".repeat(5_000));
    }
    assert_eq!(upload.response().expect("an answer").status, 200);
    let seen = site.upstream.only("/public/up");
    assert!(seen.request.complete && seen.request.body.len() == 40_000, "{}", seen.request.body.len());
    assert_eq!(exits(&mut site, 5), Some(0), "{}", site.gateway.logs());
}

#[test]
fn a_web_socket_lives_until_its_client_ends_it() {
    let mut site = site(20);
    let mut sockets: Vec<_> = (0..20).map(|_| socket(&site)).collect();
    site.gateway.sigterm();
    until_it_stops_listening(&site);
    for socket in &mut sockets {
        echoes(socket, "still here");
    }
    thread::sleep(Duration::from_secs(1));
    for socket in &mut sockets {
        echoes(socket, "and here");
    }
    assert_eq!(exits(&mut site, 0), None, "sockets are under way");
    drop(sockets);
    assert_eq!(exits(&mut site, 5), Some(0), "{}", site.gateway.logs());
}

#[test]
fn a_web_socket_that_never_ends_is_cut_when_the_grace_is_over() {
    let mut site = site(2);
    let mut socket = socket(&site);
    let since = Stopwatch::start();
    site.gateway.sigterm();
    assert_eq!(exits(&mut site, 8), Some(1), "{}", site.gateway.logs());
    assert!(since.elapsed() >= Duration::from_secs(2), "the grace is granted: {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(5), "and no more: {:?}", since.elapsed());
    assert_eq!(socket.rest().1, Closed::Yes);
}

#[test]
fn kept_connections_are_closed_and_hold_nothing_up() {
    let mut site = site(20);
    let mut kept: Vec<_> = (0..200).map(|_| asking(&site, "GET /public/x", "")).collect();
    for connection in &mut kept {
        let response = connection.response().expect("an answer");
        assert_eq!(response.status, 200);
        assert!(!response.fields.text("connection").contains("close"), "it is kept");
    }
    // While this one is under way the process is there: it is not its end that closes the others.
    let mut long = asking(&site, "GET /public/long", "");
    eventually("the long request", || (!site.upstream.requests_to("/public/long").is_empty()).then_some(()));
    site.gateway.sigterm();
    for connection in &mut kept {
        assert_eq!(connection.rest().1, Closed::Yes);
    }
    assert_eq!(exits(&mut site, 0), None, "the long answer is still under way");
    assert_eq!(long.response().expect("an answer").ending, Ending::Complete);
    assert_eq!(exits(&mut site, 5), Some(0), "{}", site.gateway.logs());
}

#[test]
fn a_connection_that_has_sent_half_a_head_holds_nothing_up() {
    let mut site = site(20);
    let mut half = Raw::connect(site.gateway.port());
    half.send("GET /public/x HTTP/1.1\r\nHo");
    // Another answer shows that the first bytes have been read by now.
    assert_eq!(site.gateway.ask("GET /public/x", "").status, 200);
    site.gateway.sigterm();
    assert_eq!(exits(&mut site, 5), Some(0), "{}", site.gateway.logs());
    assert_eq!(half.rest().1, Closed::Yes);
}

#[test]
fn streams_under_way_over_http2_arrive_whole() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let shutdown = json!({ "delay": "0s", "grace": "20s" });
    let mut site = Site::with(|config, _| config.tls(&certificate, &key).set("/shutdown", shutdown));
    site.upstream.at("/public/long", Behaviour::Drips(PIECES, PAUSE));
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ask = || async { client.get(site.url("/public/long")).send().await.unwrap() };
        let under_way = futures_util::future::join_all((0..10).map(|_| ask())).await;
        site.gateway.sigterm();
        for response in under_way {
            assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2));
            assert_eq!(response.bytes().await.expect("a whole body").len(), PIECES * 1_000);
        }
    });
    drop(client);
    assert_eq!(exits(&mut site, 5), Some(0), "{}", site.gateway.logs());
}
