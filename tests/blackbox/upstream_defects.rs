//! Answers that two readers could take differently: the client gets one clean answer or 502, and the
//! connection they came on is never used again.

use std::thread;
use std::time::Duration;

use rstest::rstest;

use crate::support::message::Ending;
use crate::support::raw::{Raw, exchange};
use crate::support::site::Site;
use crate::support::upstream::Behaviour;

/// Asks for an answer of these bytes, then for another page, on one connection as far as it lasts.
fn after(bytes: &[u8]) -> (Site, u16) {
    let site = Site::start();
    site.upstream.at("/public/odd", Behaviour::Says(bytes.to_vec()));
    let answers = exchange(
        site.gateway.port(),
        format!("GET /public/odd HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()),
    );
    assert!(answers.responses.len() <= 1, "one answer for one request: {answers:?}");
    let text = format!("{answers:?}");
    assert!(!text.contains("smuggled"), "{text}");
    // Who comes next gets an answer of their own, on another connection.
    thread::sleep(Duration::from_millis(100));
    let next = site.gateway.ask("GET /public/next", "");
    assert_eq!((next.status, &next.json()["target"]), (200, &"/public/next".into()), "{}", next.everything());
    (site, answers.status())
}

fn is_not_reused(site: &Site) {
    let (odd, next) = (site.upstream.only("/public/odd"), site.upstream.only("/public/next"));
    assert_ne!(odd.connection, next.connection, "the connection was used again");
}

#[rstest]
#[case::two_lengths(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 8\r\n\r\noksmuggled")]
#[case::a_list_of_lengths(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 8\r\n\r\noksmuggled")]
#[case::a_signed_length(b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\noksmuggled")]
#[case::a_huge_length(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok")]
#[case::no_http(b"220 mail.example.com ESMTP\r\n\r\n")]
#[case::another_version(b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok")]
#[case::a_nul(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok")]
#[case::a_bare_cr(b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\nok")]
#[case::a_name_with_a_blank_inside(b"HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 2\r\n\r\nok")]
fn what_can_be_read_in_two_ways_is_502(#[case] bytes: &[u8]) {
    let (site, status) = after(bytes);
    assert_eq!(status, 502);
    is_not_reused(&site);
}

#[rstest]
#[case::after_204(
    b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nX-A: smuggled\r\nContent-Length: 0\r\n\r\n",
    204
)]
#[case::after_304(b"HTTP/1.1 304 Not Modified\r\n\r\nsmuggled", 304)]
#[case::after_a_length(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-A: smuggled\r\nContent-Length: 0\r\n\r\n", 200)]
#[case::after_the_last_chunk(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nX-A: smuggled\r\nContent-Length: 0\r\n\r\n", 200)]
fn garbage_after_an_answer_ends_its_connection(#[case] bytes: &[u8], #[case] expected: u16) {
    let (site, status) = after(bytes);
    assert_eq!(status, expected);
    is_not_reused(&site);
}

#[test]
fn garbage_that_comes_later_ends_its_connection() {
    let site = Site::start();
    let say = site.upstream.script("/public/odd");
    say.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()).unwrap();
    assert_eq!(site.gateway.ask("GET /public/odd", "").text(), "ok");
    say.send(b"HTTP/1.1 200 OK\r\nX-A: smuggled\r\nContent-Length: 0\r\n\r\n".to_vec()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let next = site.gateway.ask("GET /public/next", "");
    assert_eq!(next.json()["target"], "/public/next", "{}", next.everything());
    is_not_reused(&site);
}

#[test]
fn a_length_beside_chunks_is_dropped() {
    let (_, status) = after(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    assert_eq!(status, 200);
}

#[test]
fn a_line_that_ends_in_lf_alone_is_a_line() {
    let site = Site::start();
    let bytes = b"HTTP/1.1 200 OK\r\nX-A: a\nX-B: b\r\nContent-Length: 2\r\n\r\nok";
    site.upstream.at("/public/odd", Behaviour::Says(bytes.to_vec()));
    let mut raw = Raw::connect(site.gateway.port());
    let response = raw
        .send(format!("GET /public/odd HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()))
        .response()
        .unwrap();
    if response.status == 200 {
        // Two fields for every reader behind us, never one with a line break inside.
        assert_eq!((response.fields.all("x-a"), response.fields.all("x-b")), (vec!["a"], vec!["b"]));
    } else {
        assert_eq!(response.status, 502);
    }
}

#[rstest]
#[case::not_chunked_last(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n")]
#[case::a_size_that_is_none(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2x\r\nok\r\n0\r\n\r\n")]
#[case::a_size_too_large(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n"
)]
#[case::no_line_end_after_a_chunk(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n")]
fn broken_chunks_are_never_whole(#[case] bytes: &[u8]) {
    let site = Site::start();
    site.upstream.at("/public/odd", Behaviour::Says(bytes.to_vec()));
    let head = format!("GET /public/odd HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host());
    if let Some(response) = Raw::connect(site.gateway.port()).send(head).response() {
        let whole = response.status < 500 && response.ending == Ending::Complete && response.text() == "ok";
        assert!(!whole, "{response:?}");
    }
    assert_eq!(site.gateway.ask("GET /public/next", "").json()["target"], "/public/next");
}

/// Everything that comes back for a request of an HTTP/1.0 client that would keep its connection.
fn said_to_http_1_0(bytes: &[u8]) -> String {
    let site = Site::start();
    site.upstream.at("/public/new", Behaviour::Says(bytes.to_vec()));
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!(
        "GET /public/new HTTP/1.0\r\nHost: {}\r\nConnection: keep-alive\r\n\r\n",
        site.gateway.host()
    ));
    let said: String = raw.bytes(10_000).into_iter().map(char::from).collect();
    said.to_lowercase()
}

#[rstest]
#[case::chunks(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")]
#[case::an_announcement(
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
)]
fn an_http_1_0_client_gets_what_it_can_read(#[case] bytes: &[u8]) {
    let said = said_to_http_1_0(bytes);
    assert!(said.starts_with("http/1.1 200"), "{said}");
    assert!(said.ends_with("\r\n\r\nhello"), "{said}");
    assert!(!said.contains("transfer-encoding") && !said.contains("early hints"), "{said}");
}

#[rstest]
#[case::a_list("Connection: keep-alive, X-Hop, content-length\r\nX-Hop: 1\r\n")]
#[case::two_lists("Connection: Keep-Alive\r\nConnection: X-Hop\r\nX-Hop: 1\r\n")]
#[case::only_what_goes_anyway("Connection: Keep-Alive\r\n")]
#[case::nothing("")]
fn what_an_upstream_says_of_its_own_connection_stays_here(
    #[case] said: &str,
    #[values("", "Keep-Alive: timeout=300\r\n", "Proxy-Connection: keep-alive\r\n")] anyway: &str,
) {
    let site = Site::start();
    let said = format!("HTTP/1.1 200 OK\r\n{said}{anyway}X-Kept: 1\r\nContent-Length: 2\r\n\r\nok");
    site.upstream.at("/public/hop", Behaviour::Says(said.into_bytes()));
    let response = site.gateway.ask("GET /public/hop", "");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    for gone in ["keep-alive", "proxy-connection", "x-hop"] {
        assert!(!response.fields.has(gone), "{}", response.everything());
    }
    assert!(response.fields.has("x-kept") && response.fields.has("content-length"));
}
