//! Requests that two parsers could cut differently: one request in is at most one request out.
//!
//! Safe is: 4xx (or 501) and the upstream saw nothing; or the upstream saw exactly one request,
//! unambiguously framed. After each, another client still gets its own answer.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::message::Request;
use crate::support::raw::{Answers, Closed, Raw, exchange};
use crate::support::site::Site;
use crate::support::upstream::Behaviour;

/// The smuggled request that no upstream may see.
const TAIL: &str = "GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: 1\r\n\r\n";

fn send(site: &Site, request: &str) -> Answers {
    exchange(site.gateway.port(), request.replace("HOST", &format!("Host: {}", site.gateway.host())))
}

/// Exactly one way to read where the body ends.
fn is_unambiguous(request: &Request) -> bool {
    let lengths = request.fields.all("content-length");
    let codings = request.fields.all("transfer-encoding");
    request.complete && lengths.len() + codings.len() <= 1 && codings.iter().all(|c| *c == "chunked")
}

#[track_caller]
fn is_safe(site: &Site, sent: &str) {
    let seen = site.upstream.requests();
    assert!(seen.len() <= 1, "{sent:?} became {} requests", seen.len());
    assert!(seen.iter().all(|s| is_unambiguous(&s.request)), "{sent:?} was forwarded as {seen:?}");
    assert!(
        !site.upstream.bytes().contains("smuggled") || sent.is_empty(),
        "{sent:?}: {}",
        site.upstream.bytes()
    );
    site.upstream.forget();
    assert_eq!(
        site.gateway.ask("GET /public/canary", "").json()["target"],
        "/public/canary",
        "after {sent:?}"
    );
    site.upstream.forget();
}

/// Refused, and the connection is not used again.
#[track_caller]
fn is_refused(site: &Site, sent: &str, statuses: &[u16]) {
    let answers = send(site, sent);
    assert!(statuses.contains(&answers.status()), "{sent:?}: {answers:?}");
    assert_eq!(answers.responses.len(), 1, "{sent:?}: {answers:?}");
    assert_eq!(answers.closed, Closed::Yes, "{sent:?}: what follows can't be trusted");
    site.upstream.saw_nothing();
    is_safe(site, sent);
}

#[rstest]
#[case::cl_te(
    "POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)]
#[case::te_cl(
    "POST /public/x HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n"
)]
#[case::two_lengths("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")]
#[case::a_list_of_lengths("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 5, 6\r\n\r\nhello")]
#[case::plus("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: +5\r\n\r\nhello")]
#[case::hex("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 0x5\r\n\r\nhello")]
#[case::underscore("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 1_0\r\n\r\nhellohello")]
#[case::minus("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: -0\r\n\r\n")]
#[case::two_numbers("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 5 5\r\n\r\nhello")]
#[case::no_number("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length:\r\n\r\n")]
#[case::twenty_digits("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length: 99999999999999999999\r\n\r\n")]
#[case::blank_before_the_colon("POST /public/x HTTP/1.1\r\nHOST\r\nContent-Length : 5\r\n\r\nhello")]
fn a_body_with_two_ends_is_refused(#[case] request: &str) {
    let site = Site::start();
    is_refused(&site, &format!("{request}{TAIL}"), &[400]);
}

#[test]
fn odd_transfer_codings_are_refused() {
    let site = Site::start();
    let values = [
        "xchunked",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "gzip, chunked",
        "identity",
        "chunked;q=1",
        "\x0bchunked",
        "\u{a0}chunked",
        " chunked\x00",
        "\r\n chunked",
        "",
    ];
    for value in values {
        let request =
            format!("POST /public/x HTTP/1.1\r\nHOST\r\nTransfer-Encoding:{value}\r\n\r\n0\r\n\r\n{TAIL}");
        is_refused(&site, &request, &[400, 501]);
    }
    for lines in ["Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding : chunked"] {
        let request = format!("POST /public/x HTTP/1.1\r\nHOST\r\n{lines}\r\n\r\n0\r\n\r\n{TAIL}");
        is_refused(&site, &request, &[400, 501]);
    }
}

#[test]
fn an_underscore_makes_no_transfer_coding() {
    let site = Site::start();
    let request =
        "POST /public/x HTTP/1.1\r\nHOST\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello";
    let answers = send(&site, request);
    assert!(matches!(answers.status(), 200 | 400), "{answers:?}");
    assert!(site.upstream.requests().iter().all(|s| !s.request.fields.has("transfer_encoding")));
    is_safe(&site, request);
}

#[test]
fn http_1_0_has_no_transfer_codings() {
    let site = Site::start();
    let request =
        format!("POST /public/x HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{TAIL}");
    is_refused(&site, &request, &[400, 501, 505]);
}

#[test]
fn an_http_1_0_body_without_a_length_is_no_second_request() {
    let site = Site::start();
    let request = format!("POST /public/x HTTP/1.0\r\nHOST\r\nConnection: keep-alive\r\n\r\n{TAIL}");
    let answers = send(&site, &request);
    assert!(answers.responses.len() <= 2);
    let seen = site.upstream.requests();
    assert!(seen.len() <= 2 && seen.iter().all(|s| is_unambiguous(&s.request)), "{seen:?}");
    // What came behind is either not read at all or judged as a request of its own, never as a body.
    assert!(seen.iter().all(|s| s.request.body.is_empty()), "{seen:?}");
}

#[rstest]
#[case::foo("Upgrade: foo")]
#[case::h2c("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk")]
#[case::websocket_without_a_key("Upgrade: websocket")]
fn what_follows_a_refused_upgrade_is_no_tunnel(#[case] lines: &str) {
    let site = Site::start();
    let request = format!(
        "GET /public/up HTTP/1.1\r\nHOST\r\nConnection: Upgrade\r\n{lines}\r\n\r\nGET /admin HTTP/1.1\r\nHOST\r\nX-Smuggled: 1\r\n\r\n"
    );
    let answers = send(&site, &request);
    assert!(answers.status() != 101, "{answers:?}");
    // The tail is dropped or judged on its own; /admin is behind a session.
    assert!(site.upstream.requests().len() <= 1);
    assert!(!site.upstream.bytes().contains("X-Smuggled"), "{}", site.upstream.bytes());
    let upgraded = site.upstream.requests().iter().any(|s| s.request.fields.has("upgrade"));
    assert!(!upgraded || lines.contains("websocket"), "only a WebSocket may be asked for");
    is_safe(&site, "");
}

#[test]
fn a_websocket_that_the_upstream_declines_is_no_tunnel() {
    let site = Site::start();
    let request = crate::support::websocket::request(&site.gateway.host(), "/public/up", "")
        + &TAIL.replace("smuggled", "tail");
    let answers = exchange(site.gateway.port(), request);
    assert_eq!(answers.status(), 200, "{answers:?}");
    let bytes = site.upstream.bytes();
    let up: Vec<_> = site.upstream.requests_to("/public/up");
    let tails = site.upstream.requests_to("/public/tail");
    assert_eq!(up.len(), 1);
    assert!(tails.is_empty(), "the tail reached the upstream: {bytes}");
}

#[rstest]
#[case::none("GET /public/x HTTP/1.1\r\n\r\n", 400)]
#[case::two("GET /public/x HTTP/1.1\r\nHOST\r\nHost: evil.test\r\n\r\n", 400)]
#[case::the_same_twice("GET /public/x HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n", 400)]
#[case::empty("GET /public/x HTTP/1.1\r\nHost:\r\n\r\n", 400)]
#[case::a_list("GET /public/x HTTP/1.1\r\nHost: localhost, evil.test\r\n\r\n", 400)]
#[case::a_path("GET /public/x HTTP/1.1\r\nHost: localhost/x\r\n\r\n", 400)]
#[case::userinfo("GET /public/x HTTP/1.1\r\nHost: evil@localhost\r\n\r\n", 400)]
#[case::a_port_too_large("GET /public/x HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", 400)]
#[case::a_blank("GET /public/x HTTP/1.1\r\nHost: local host\r\n\r\n", 400)]
#[case::foreign("GET /public/x HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421)]
#[case::another_port("GET /public/x HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 421)]
#[case::no_port("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 421)]
fn a_host_is_one_of_our_origins(#[case] request: &str, #[case] status: u16) {
    let site = Site::start();
    let answers = send(&site, request);
    assert_eq!(answers.status(), status, "{answers:?}");
    assert_eq!(answers.responses.len(), 1);
    site.upstream.saw_nothing();
    is_safe(&site, "");
}

#[test]
fn a_target_that_names_another_host_is_refused() {
    let site = Site::start();
    for target in ["http://other.test/public/x", "http://other.test/admin", "https://localhost/public/x"] {
        let answers = send(&site, &format!("GET {target} HTTP/1.1\r\nHOST\r\n\r\n"));
        assert!(matches!(answers.status(), 400 | 421), "{target}: {answers:?}");
    }
    site.upstream.saw_nothing();
}

#[test]
fn a_host_is_compared_in_one_form() {
    let site = Site::start();
    let port = site.gateway.port();
    for host in [format!("LOCALHOST:{port}"), format!("localhost.:{port}")] {
        let answers = exchange(port, format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answers.status(), 200, "{host}: {answers:?}");
    }
}

#[rstest]
#[case::connect("CONNECT localhost:443 HTTP/1.1\r\nHOST\r\n\r\n")]
#[case::trace("TRACE /public/x HTTP/1.1\r\nHOST\r\nCookie: secret=1\r\n\r\n")]
#[case::options_of_all("OPTIONS * HTTP/1.1\r\nHOST\r\n\r\n")]
fn a_method_that_is_no_request_for_a_page_is_refused(#[case] request: &str) {
    let site = Site::start();
    let answers = send(&site, request);
    assert!(matches!(answers.status(), 400 | 405 | 501), "{answers:?}");
    assert!(answers.responses.iter().all(|r| !r.everything().contains("secret=1")));
    site.upstream.saw_nothing();
}

#[rstest]
#[case::bare_cr("X-A: a\rX-Forwarded-User: admin")]
#[case::nul("X-A: a\0b")]
#[case::folded("X-A: a\r\n X-Forwarded-User: admin")]
#[case::no_colon("X-A")]
#[case::no_name(": x")]
#[case::blank_before_the_colon("X-Forwarded-User : admin")]
fn a_head_that_is_not_well_formed_is_refused(#[case] line: &str) {
    let site = Site::start();
    is_refused(&site, &format!("GET /public/x HTTP/1.1\r\nHOST\r\n{line}\r\n\r\n"), &[400]);
}

#[test]
fn a_chunk_that_is_none_is_refused_and_never_makes_a_whole_request() {
    let site = Site::start();
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(64 * 1024));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "X-Trailer: 1\r\n".repeat(100));
    let bodies = [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "\r\n\r\n",
        ";x\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "5\r\r;ABCD\r\nhello\r\n0\r\n\r\n",
        &extension,
        "5\nhello\n0\n\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!!\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX-Trailer : 1\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Trailer: 1\n\r\n",
        &trailers,
    ];
    for body in bodies {
        let sent =
            format!("POST /public/x HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n{body}{TAIL}");
        let sent = sent.as_str();
        let answers = send(&site, sent);
        assert_eq!(answers.status(), 400, "{sent:?}: {answers:?}");
        assert_eq!(answers.responses.len(), 1, "{sent:?}: {answers:?}");
        assert_eq!(answers.closed, Closed::Yes, "{sent:?}: {answers:?}");
        let canary = site.gateway.ask("GET /public/canary", "").json();
        assert_eq!(canary["target"], "/public/canary", "after {sent:?}");
    }
    // What went upstream in part is noticed there when its connection ends, a moment later.
    std::thread::sleep(Duration::from_secs(1));
    let (seen, bytes) = (site.upstream.requests_to("/public/x"), site.upstream.bytes());
    assert!(seen.iter().all(|s| !s.request.complete), "{seen:?}");
    assert!(!bytes.contains("\r\n0\r\n\r\n"), "a last chunk: {bytes}");
    assert!(!bytes.contains("smuggled"), "{bytes}");
}

#[test]
fn a_chunked_body_passes_however_it_is_cut() {
    let site = Site::start();
    let head =
        format!("POST /public/x HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n", site.gateway.host());
    let mut raw = Raw::connect(site.gateway.port());
    for turn in 0..3 {
        raw.send(format!("{head}X-Turn: {turn}\r\n\r\n5"));
        for piece in
            ["\r", "\nhel", "lo", "\r", "\n6;ext=1\r\n world\r\n", "0", "\r\n", "X-Trailer: 1\r\n\r", "\n"]
        {
            std::thread::sleep(Duration::from_millis(15));
            raw.send(piece);
        }
        let response = raw.response().expect("an answer");
        assert_eq!(response.status, 200, "{}", response.everything());
        let seen = site.upstream.last("/public/x");
        assert_eq!(seen.request.body, b"hello world");
        assert_eq!(seen.header("x-turn"), Some(turn.to_string().as_str()));
        assert!(!seen.request.fields.has("x-trailer"));
    }
}

#[test]
fn requests_in_a_row_are_judged_one_by_one() {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let host = format!("Host: {}", site.gateway.host());
    let row = format!(
        "GET /a HTTP/1.1\r\n{host}\r\n{session}\r\nGET /b HTTP/1.1\r\n{host}\r\n\r\nGET /public/c HTTP/1.1\r\n{host}\r\n\r\n"
    );
    let answers = exchange(site.gateway.port(), row);
    let statuses: Vec<_> = answers.responses.iter().map(|r| r.status).collect();
    assert_eq!(statuses.first(), Some(&200), "{answers:?}");
    assert!(
        statuses.iter().skip(1).zip([401, 200]).all(|(found, expected)| *found == expected),
        "{statuses:?}"
    );
    let first = answers.responses.first().expect("a first answer");
    assert_eq!(first.fields.first("connection"), Some("close"), "what lies behind it isn't read");
    assert_eq!((statuses.len(), answers.closed), (1, Closed::Yes), "{answers:?}");
    assert_eq!(site.upstream.only("/a").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.upstream.requests_to("/b").len(), 0, "no identity is carried over");
    assert!(site.upstream.requests_to("/public/c").iter().all(|s| s.header("x-forwarded-user").is_none()));
}

#[rstest]
#[case::two_framings(
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)]
#[case::two_lengths("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")]
#[case::garbage_behind(
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nX-Stolen: 1\r\nContent-Length: 0\r\n\r\n"
)]
#[case::no_http("garbage\r\n\r\n")]
fn a_bad_answer_of_an_upstream_poisons_nobody(#[case] answer: &str) {
    let site = Site::start();
    site.upstream.at("/public/bad", Behaviour::Says(answer.into()));
    let first = send(&site, "GET /public/bad HTTP/1.1\r\nHOST\r\n\r\n");
    assert!(matches!(first.status(), 0 | 200 | 502), "{first:?}");
    for turn in 0..5 {
        let path = format!("/public/next/{turn}");
        let next = site.gateway.ask(&format!("GET {path}"), "");
        assert_eq!(next.json()["target"], json!(path), "{}", next.everything());
        assert!(!next.fields.has("x-stolen"));
    }
}

#[test]
fn heads_have_a_limit() {
    let site = Site::start();
    let fields = |count: usize| "X-Many: 1\r\n".repeat(count);
    assert_eq!(site.gateway.ask("GET /public/x", &fields(80)).status, 200);
    assert_eq!(site.gateway.ask("GET /public/x", &fields(120)).status, 431);
    let large = format!("X-Large: {}\r\n", "a".repeat(70 * 1024));
    assert_eq!(site.gateway.ask("GET /public/x", &large).status, 431);
}
