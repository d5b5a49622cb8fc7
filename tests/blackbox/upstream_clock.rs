//! Limits of time towards HTTP/1 upstreams that the gateway keeps by a clock of its own.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::clock::Stopwatch;

use crate::support::message::{Ending, read_head};
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::upstream::Behaviour;

/// A public route to this upstream with these time-outs.
fn site(url: &str, timeouts: &Value) -> Site {
    let upstream = json!({ "servers": [url], "timeouts": timeouts });
    Site::with(|config, _| config.set("/routes/0/upstream", upstream))
}

fn request(site: &Site, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host())
}

#[test]
fn a_client_that_takes_its_time_is_not_held_against_the_upstream() {
    const SIZE: usize = 24 * 1024 * 1024;
    let big = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
    let site = Site::with(|config, upstream| {
        upstream.at("/public/big", Behaviour::Says([big, vec![b'x'; SIZE]].concat()));
        let timeouts = json!({ "first_byte": "1s", "between_bytes": "1s" });
        config.set("/routes/0/upstream", json!({ "servers": [upstream.url()], "timeouts": timeouts }))
    });
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(request(&site, "/public/big"));
    let mut read = Vec::new();
    for pause in [2_500, 1_100, 1_970] {
        // Longer than the upstream may be silent; it isn't, it is held up.
        thread::sleep(Duration::from_millis(pause));
        read.extend(raw.bytes(SIZE / 6));
    }
    let head = read.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    read.extend(raw.bytes(head + SIZE - read.len()));
    assert_eq!(read.len(), head + SIZE);
}

#[test]
fn an_answer_without_a_length_that_stalls_is_never_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stalls = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        read_head(&mut BufReader::new(connection.try_clone().unwrap())).unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of it").unwrap();
        // Until the gateway has had enough.
        connection.read(&mut [0]).map_or(0, |read| read)
    });
    let site = site(&url, &json!({ "first_byte": "1s", "between_bytes": "1s" }));
    let since = Stopwatch::start();
    let response = Raw::connect(site.gateway.port()).send(request(&site, "/public/half")).response();
    assert!(response.is_none_or(|response| response.ending == Ending::Cut), "half an answer looks whole");
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
    assert_eq!(stalls.join().unwrap(), 0);
}

/// An upstream that answers every request, and hears of the end of its connections: how long each had been
/// idle.
fn keeper() -> (String, std::sync::mpsc::Receiver<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (ended, idle) = std::sync::mpsc::channel();
    thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            let ended = ended.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let mut since = Stopwatch::start();
                while let Ok(Some(_)) = read_head(&mut reader) {
                    (&connection).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                    since = Stopwatch::start();
                }
                let _ = ended.send(since.elapsed());
            });
        }
    });
    (url, idle)
}

#[test]
fn a_kept_connection_is_ended_when_its_time_is_over() {
    let (url, idle) = keeper();
    let site = site(&url, &json!({ "keep_alive": "1s" }));
    assert_eq!(site.gateway.ask("GET /public/x", "").status, 200);
    let idle = idle.recv_timeout(Duration::from_secs(20)).expect("the connection ends");
    assert!(idle > Duration::from_millis(900), "{idle:?}");
}

#[rstest]
fn a_request_that_comes_at_that_moment_is_served(#[values("GET", "POST")] method: &str) {
    let (url, idle) = keeper();
    let site = site(&url, &json!({ "keep_alive": "200ms" }));
    for round in 0..60_u64 {
        let response = site.gateway.ask(&format!("{method} /public/x"), "Content-Length: 0\r\n");
        assert_eq!(response.status, 200, "{}", response.everything());
        // Around the moment at which it is ended.
        thread::sleep(Duration::from_millis(190 + round));
    }
    assert!(idle.try_iter().count() > 10, "too few were ended to say anything");
}

#[test]
fn an_announcement_is_no_answer_and_an_upload_behind_it_has_its_time() {
    const PIECES: usize = 15;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let takes_its_time = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        read_head(&mut reader).unwrap();
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = vec![0; PIECES];
        reader.read_exact(&mut body).unwrap();
        connection.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let site = site(&url, &json!({ "first_byte": "1s", "between_bytes": "1s" }));
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!(
        "PUT /public/x HTTP/1.1\r\nHost: {}\r\nContent-Length: {PIECES}\r\nExpect: 100-continue\r\n\r\n",
        site.gateway.host()
    ));
    let announced = b"HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(raw.bytes(announced.len()), announced);
    // Longer than the answer may take to begin once all has been sent.
    for _ in 0..PIECES {
        thread::sleep(Duration::from_millis(200));
        raw.send("x");
    }
    assert_eq!(raw.response().expect("an answer").status, 201, "{}", site.gateway.logs());
    takes_its_time.join().unwrap();
}
