//! Connections that last: silence that is meant, events that aren't held back, ends on one side.

use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::eventually;
use crate::support::message::Ending;
use crate::support::raw::{Closed, Raw};
use crate::support::site::Site;
use crate::support::upstream::Behaviour;
use crate::support::websocket;

/// A route `/stream` with these time-outs.
fn site(timeouts: &serde_json::Value) -> Site {
    Site::with(|config, upstream| {
        config.route(json!({
            "id": "stream", "match": { "path": "/stream" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "timeouts": timeouts },
        }))
    })
}

fn open_socket(site: &Site) -> Raw {
    site.upstream.at("/stream/socket", Behaviour::WebsocketEcho);
    let mut raw = Raw::connect(site.gateway.port());
    let request = websocket::request(&site.gateway.host(), "/stream/socket", "");
    assert_eq!(raw.send(request).response().unwrap().status, 101);
    raw
}

fn echoes(raw: &mut Raw, text: &str) {
    let answer = websocket::answer(text);
    assert_eq!(raw.send(websocket::frame(text)).bytes(answer.len()), answer);
}

#[test]
fn a_silent_websocket_outlives_the_limit_of_answers() {
    let site = site(&json!({ "first_byte": "1s", "between_bytes": "1s" }));
    let mut raw = open_socket(&site);
    echoes(&mut raw, "before");
    thread::sleep(Duration::from_secs(3));
    echoes(&mut raw, "after");
}

#[test]
fn a_websocket_that_is_silent_for_too_long_ends() {
    let site = site(&json!({ "first_byte": "1s", "between_bytes": "1s", "stream_idle": "2s" }));
    let mut raw = open_socket(&site);
    let since = Stopwatch::start();
    assert!(raw.bytes(1).is_empty());
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
}

/// The request for events, and their head.
fn open_events(site: &Site, accept: &str) -> (Raw, std::sync::mpsc::Sender<Vec<u8>>) {
    let say = site.upstream.script("/stream/events");
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /stream/events HTTP/1.1\r\nHost: {}\r\n{accept}\r\n", site.gateway.host()));
    say.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec()).unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let more = raw.bytes(1);
        assert!(!more.is_empty(), "no head: {head}");
        head.push(char::from(more[0]));
    }
    (raw, say)
}

/// One event, as one chunk.
fn next_event(raw: &mut Raw, number: usize) {
    let event = format!("data: {number}\n\n");
    let chunk = format!("{:X}\r\n{event}\r\n", event.len());
    let got = raw.bytes(chunk.len());
    assert!(got.eq_ignore_ascii_case(chunk.as_bytes()), "{:?}", String::from_utf8_lossy(&got));
}

#[test]
fn events_may_be_silent_for_longer_than_answers() {
    let site = site(&json!({ "first_byte": "1s", "between_bytes": "1s" }));
    let (mut raw, say) = open_events(&site, "Accept: text/event-stream\r\n");
    for number in 0..2 {
        thread::sleep(Duration::from_millis(2_500));
        say.send(format!("data: {number}\n\n").into_bytes()).unwrap();
        next_event(&mut raw, number);
    }
}

#[test]
fn an_answer_that_stalls_is_cut_short() {
    let site = site(&json!({ "first_byte": "1s", "between_bytes": "1s" }));
    let (mut raw, say) = open_events(&site, "Accept: */*\r\n");
    say.send(b"data: 0\n\n".to_vec()).unwrap();
    next_event(&mut raw, 0);
    let since = Stopwatch::start();
    let rest = raw.bytes(100);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut body looks whole");
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
    drop(say);
}

#[test]
fn every_event_arrives_before_the_next_is_sent() {
    let site = site(&json!({}));
    let (mut raw, say) = open_events(&site, "Accept: text/event-stream\r\n");
    for number in 0..2_000 {
        say.send(format!("data: {number}\n\n").into_bytes()).unwrap();
        next_event(&mut raw, number);
    }
    drop(say);
    assert_eq!(raw.bytes(5), b"0\r\n\r\n");
}

/// Requests that the gateway is still busy with.
fn busy(site: &Site) -> Option<String> {
    let metrics = site.gateway.admin("/metrics")?.text();
    metrics.lines().find_map(|line| line.strip_prefix("vestibule_requests_in_flight ").map(str::to_owned))
}

/// Who closes its side after the request is taken for gone, as nginx and Envoy do: there is no telling
/// it from somebody who left, and event streams would be kept up for nobody.
#[rstest]
#[case::a_slow_answer(Behaviour::NeverAnswers)]
#[case::at_once(Behaviour::Echo)]
fn a_client_that_ends_its_side_is_answered_whole_or_not_at_all(#[case] behaviour: Behaviour) {
    let site = site(&json!({}));
    let answers = matches!(behaviour, Behaviour::Echo);
    site.upstream.at("/stream/half", behaviour);
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /stream/half HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host())).end();
    match raw.response() {
        Some(response) => {
            assert_eq!((response.status, response.ending, answers), (200, Ending::Complete, true));
        }
        None => assert_eq!(raw.rest(), (Vec::new(), Closed::Yes)),
    }
    eventually("nothing in flight", || (busy(&site)? == "0").then_some(()));
    assert_eq!(site.gateway.ask("GET /stream/canary", "").status, 200);
}

#[test]
fn an_own_page_is_sent_to_who_has_ended_its_side() {
    let site = Site::start();
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /private HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host())).end();
    assert_eq!(raw.response().unwrap().status, 401);
}

#[test]
fn an_upstream_that_ends_without_a_word_is_502() {
    let site = site(&json!({}));
    site.upstream.at("/stream/mute", Behaviour::EndsSilently);
    assert_eq!(site.gateway.ask("GET /stream/mute", "").status, 502);
    assert_eq!(site.upstream.requests_to("/stream/mute").len(), 1, "a fresh connection isn't stale");
}

#[test]
fn an_upstream_that_never_reads_ends_in_time() {
    let site = site(&json!({ "first_byte": "1s", "between_bytes": "1s" }));
    site.upstream.at("/stream/deaf", Behaviour::NeverReads);
    let length = 20_000_000;
    let mut raw = Raw::connect(site.gateway.port());
    let since = Stopwatch::start();
    raw.send(format!(
        "POST /stream/deaf HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
        site.gateway.host()
    ));
    let response = raw.send(vec![b'x'; length]).response();
    // Who is still sending may find the connection closed before the answer.
    assert!(response.is_none_or(|response| matches!(response.status, 502 | 504)));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    eventually("nothing in flight", || (busy(&site)? == "0").then_some(()));
}

/// The 101 of a fast upstream must never be taken for the end of what has just begun.
#[test]
fn a_websocket_lasts_from_the_first_moment() {
    let site = Site::start();
    site.upstream.at("/public/socket", Behaviour::WebsocketEcho);
    for turn in 0..150 {
        let mut raw = Raw::connect(site.gateway.port());
        let request = websocket::request(&site.gateway.host(), "/public/socket", "");
        assert_eq!(raw.send(request).response().unwrap().status, 101);
        let answer = websocket::answer("at once");
        assert_eq!(raw.send(websocket::frame("at once")).bytes(answer.len()), answer, "socket {turn}");
    }
}
