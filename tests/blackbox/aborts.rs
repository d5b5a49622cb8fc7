//! Clients and upstreams that leave anywhere: nothing is left behind, and no part is taken for the whole.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;
use rstest::rstest;

use crate::support::eventually;
use crate::support::http2_client::TlsSite;
use crate::support::message::Ending;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::upstream::Behaviour;

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    /// FIN.
    Closing,
    /// RST.
    Resetting,
}

impl Leave {
    fn now(self, stream: TcpStream) {
        if matches!(self, Self::Resetting) {
            setsockopt(&stream, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        }
        drop(stream);
    }
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, site.gateway.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Asserts that the gateway is done with everything, and serves on.
#[track_caller]
fn is_healthy(site: &Site) {
    eventually("nothing in flight", || {
        let metrics = site.gateway.admin("/metrics")?.text();
        metrics.lines().any(|line| line == "vestibule_requests_in_flight 0").then_some(())
    });
    let metrics = site.gateway.admin("/metrics").unwrap().text();
    assert!(metrics.contains("vestibule_panics_total 0"), "{metrics}");
    assert_eq!(site.gateway.ask("GET /public/canary", "").status, 200, "{}", site.gateway.logs());
}

#[rstest]
#[case::length_closing("Content-Length: 60\r\n\r\n", Leave::Closing)]
#[case::length_resetting("Content-Length: 60\r\n\r\n", Leave::Resetting)]
#[case::chunked_closing("Transfer-Encoding: chunked\r\n\r\n", Leave::Closing)]
#[case::chunked_resetting("Transfer-Encoding: chunked\r\n\r\n", Leave::Resetting)]
fn a_request_cut_anywhere_is_never_taken_for_whole(#[case] framing: &str, #[case] leave: Leave) {
    let site = Site::start();
    let body = if framing.starts_with("Content") {
        "0123456789".repeat(6)
    } else {
        format!("{}0\r\n\r\n", "a\r\n0123456789\r\n".repeat(6))
    };
    let request = format!("POST /public/cut HTTP/1.1\r\nHost: {}\r\n{framing}{body}", site.gateway.host());
    for length in (0..request.len()).step_by(3).chain([request.len() - 1]) {
        let mut stream = connect(&site);
        stream.write_all(&request.as_bytes()[..length]).unwrap();
        leave.now(stream);
    }
    is_healthy(&site);
    for seen in site.upstream.requests_to("/public/cut") {
        assert!(!seen.request.complete, "a cut request was whole: {:?}", seen.request);
    }
}

#[rstest]
#[case::closing(Leave::Closing)]
#[case::resetting(Leave::Resetting)]
fn an_answer_that_nobody_reads_is_let_go(#[case] leave: Leave) {
    let site = Site::start();
    let body = "x".repeat(4_000_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    site.upstream.at("/public/large", Behaviour::Says(answer.into_bytes()));
    for length in [0, 1, 17, 100, 300, 1_000, 5_000, 65_536, 65_537, 500_000, 3_000_000] {
        let mut stream = connect(&site);
        write!(stream, "GET /public/large HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()).unwrap();
        let mut read = vec![0; length];
        stream.read_exact(&mut read).unwrap();
        leave.now(stream);
    }
    is_healthy(&site);
    // What was given up never reaches the next one.
    let response = site.gateway.ask("GET /public/canary", "");
    assert_eq!(response.json()["target"], "/public/canary");
}

#[test]
fn streams_reset_at_any_time_leave_nothing_behind() {
    let house = TlsSite::with(|config, _| config);
    house.site.upstream.at("/public/never", Behaviour::NeverAnswers);
    for turn in 0..60_u64 {
        let path = if turn % 2 == 0 { "/public/never" } else { "/public/quick" };
        let request = house.request("POST", path, &[]);
        house.client.runtime.block_on(async {
            let mut sender = house.client.sender.clone().ready().await.unwrap();
            let (response, mut out) = sender.send_request(request, false).unwrap();
            out.send_data("part of a body".into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(turn % 7)).await;
            out.send_reset(h2::Reason::CANCEL);
            drop(response);
        });
    }
    is_healthy_over_tls(&house);
    for path in ["/public/never", "/public/quick"] {
        assert!(house.site.upstream.requests_to(path).iter().all(|seen| !seen.request.complete));
    }
}

#[track_caller]
fn is_healthy_over_tls(house: &TlsSite) {
    eventually("nothing in flight", || {
        let metrics = house.site.gateway.admin("/metrics")?.text();
        metrics.lines().any(|line| line == "vestibule_requests_in_flight 0").then_some(())
    });
    assert_eq!(house.client.send(house.request("GET", "/public/canary", &[]), &[]).status, 200);
}

#[rstest]
#[case::reset(Behaviour::Resets)]
#[case::closed(Behaviour::ResetMidBody)]
#[case::chunked_closed(Behaviour::Says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\na\r\n0123456789\r\n".to_vec()))]
fn an_upstream_that_breaks_off_is_never_whole(#[case] behaviour: Behaviour) {
    let house = TlsSite::with(|config, upstream| {
        config.route(serde_json::json!({
            "id": "cut", "match": { "path": "/cut" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "timeouts": { "first_byte": "1s", "between_bytes": "1s" } },
        }))
    });
    house.site.upstream.at("/cut", behaviour.clone());
    let answer = house.client.send(house.request("GET", "/cut", &[]), &[]);
    assert!(answer.status >= 500 || answer.end.is_err(), "{answer:?}");
    assert!(answer.status >= 500 || answer.body.len() <= 10);
    is_healthy_over_tls(&house);

    let site = Site::with(|config, upstream| {
        config.route(serde_json::json!({
            "id": "cut", "match": { "path": "/cut" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "timeouts": { "first_byte": "1s", "between_bytes": "1s" } },
        }))
    });
    site.upstream.at("/cut", behaviour);
    let head = format!("GET /cut HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host());
    if let Some(response) = Raw::connect(site.gateway.port()).send(head).response() {
        assert!(response.status >= 500 || response.ending == Ending::Cut, "{response:?}");
    }
    is_healthy(&site);
}
