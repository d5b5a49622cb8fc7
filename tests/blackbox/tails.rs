//! What comes behind a head: it is that request's body, or nothing. It never becomes a request of its
//! own, and never a part of the head.

use rstest::rstest;

use crate::support::raw::{Answers, exchange};
use crate::support::site::Site;

/// A body that reads like a request.
const TAIL: &str = "GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: 1\r\n\r\n";

fn send(site: &Site, request: &str) -> Answers {
    exchange(site.gateway.port(), request.replace("HOST", &format!("Host: {}", site.gateway.host())))
}

/// At most one request arrived, whole, with this body, and another client gets its own answer.
#[track_caller]
fn is_one_request_at_most(site: &Site, sent: &str, body: &str) {
    assert_eq!(
        site.gateway.ask("GET /public/canary", "").json()["target"],
        "/public/canary",
        "after {sent:?}"
    );
    let seen = site.upstream.requests();
    let seen: Vec<_> = seen.iter().filter(|seen| seen.request.target != "/public/canary").collect();
    assert!(seen.len() <= 1, "{sent:?} became {seen:?}");
    for seen in seen {
        assert_eq!(seen.request.target, "/public/x", "{sent:?}");
        assert!(!seen.request.fields.has("x-smuggled"), "{sent:?}");
        assert!(!seen.request.complete || seen.request.body == body.as_bytes(), "{sent:?}: {seen:?}");
    }
    site.upstream.forget();
}

#[rstest]
#[case::as_it_should_be("Expect: 100-continue")]
#[case::behind_a_blank("Expect:  100-continue")]
#[case::in_capitals("EXPECT: 100-CONTINUE")]
#[case::behind_a_word("Expect: y 100-continue")]
#[case::among_others("Expect: 100-continue, y")]
#[case::twice("Expect: 100-continue\r\nExpect: 100-continue")]
#[case::something_else("Expect: y")]
#[case::nothing("Expect:")]
fn a_body_that_did_not_wait_is_a_body(#[case] line: &str) {
    let site = Site::start();
    for method in ["POST", "GET", "OPTIONS"] {
        let request = format!(
            "{method} /public/x HTTP/1.1\r\nHOST\r\n{line}\r\nContent-Length: {}\r\n\r\n{TAIL}",
            TAIL.len()
        );
        let answers = send(&site, &request);
        assert_eq!(answers.responses.len(), 1, "{answers:?}");
        assert!(matches!(answers.status(), 200 | 400 | 417), "{answers:?}");
        is_one_request_at_most(&site, &request, TAIL);
    }
}

#[rstest]
#[case::get("GET")]
#[case::head("HEAD")]
#[case::options("OPTIONS")]
#[case::delete("DELETE")]
fn a_method_that_seldom_has_a_body_may_have_one(#[case] method: &str) {
    let site = Site::start();
    for framed in [
        format!("Content-Length: {}\r\n\r\n{TAIL}", TAIL.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{TAIL}\r\n0\r\n\r\n", TAIL.len()),
    ] {
        let request = format!("{method} /public/x HTTP/1.1\r\nHOST\r\nConnection: close\r\n{framed}");
        let answers = send(&site, &request);
        assert!(matches!(answers.status(), 200 | 400), "{answers:?}");
        if method == "HEAD" {
            assert!(
                answers.responses.iter().all(|response| response.body.is_empty() || response.status == 200)
            );
        }
        is_one_request_at_most(&site, &request, TAIL);
    }
}

#[rstest]
#[case::no_page("POST /.vestibule/nothing")]
#[case::no_session("POST /private")]
#[case::our_own("GET /.vestibule/session")]
#[case::no_method("TRACE /public/x")]
#[case::no_path("POST /public/../x")]
fn a_body_of_what_we_answer_ourselves_is_no_request(#[case] line: &str) {
    let site = Site::start();
    let request = format!("{line} HTTP/1.1\r\nHOST\r\nContent-Length: {}\r\n\r\n{TAIL}", TAIL.len());
    let answers = send(&site, &request);
    assert_eq!(answers.responses.len(), 1, "{answers:?}");
    assert!(answers.status() >= 400, "{answers:?}");
    site.upstream.saw_nothing();
}

#[rstest]
#[case::a_length_on_the_next_line("Content-Length: \n7")]
#[case::a_length_behind_a_tab("Content-Length\t: 7")]
#[case::a_length_in_a_folded_line("Content-Length:\r\n 7")]
#[case::a_length_with_a_vertical_tab("Content-Length: \x0b7")]
fn a_length_that_some_do_not_see_is_refused(#[case] line: &str) {
    let site = Site::start();
    let request = format!("POST /public/x HTTP/1.1\r\nHOST\r\n{line}\r\n\r\n{TAIL}");
    let answers = send(&site, &request);
    assert_eq!((answers.status(), answers.responses.len()), (400, 1), "{answers:?}");
    site.upstream.saw_nothing();
}

#[rstest]
#[case::line_feeds_alone("GET /public/x HTTP/1.1\nHOST\nX-A: 1\n\n")]
#[case::one_line_feed_alone("GET /public/x HTTP/1.1\r\nHOST\r\nX-A: 1\nX-Forwarded-User: admin\r\n\r\n")]
#[case::a_carriage_return_before_a_name(
    "GET /public/x HTTP/1.1\r\nHOST\r\n\rX-Forwarded-User: admin\r\n\r\n"
)]
#[case::a_blank_before_the_first_name("GET /public/x HTTP/1.1\r\n X-Forwarded-User: admin\r\nHOST\r\n\r\n")]
#[case::a_tab_before_the_first_name("GET /public/x HTTP/1.1\r\n\tHOST\r\nHOST\r\n\r\n")]
#[case::two_blanks_in_the_first_line("GET  /public/x  HTTP/1.1\r\nHOST\r\n\r\n")]
fn lines_that_end_or_begin_oddly_tell_an_upstream_nothing(#[case] request: &str) {
    let site = Site::start();
    let answers = send(&site, request);
    assert!(matches!(answers.status(), 0 | 200 | 400), "{answers:?}");
    let bytes = site.upstream.bytes();
    assert!(!bytes.contains("admin"), "{bytes}");
    assert_eq!(bytes.matches('\n').count(), bytes.matches("\r\n").count(), "sent on with whole line ends");
    is_one_request_at_most(&site, request, "");
}

#[test]
fn fields_behind_a_chunked_body_are_dropped() {
    let site = Site::start();
    for trailer in ["X-Forwarded-User: admin", "Content-Length: 5", "Host: admin.test", "X-Smuggled: admin"] {
        let request = format!(
            "POST /public/x HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"
        );
        let answers = send(&site, &request);
        assert!(matches!(answers.status(), 200 | 400), "{answers:?}");
        assert!(!site.upstream.bytes().contains("admin"), "{trailer}: {}", site.upstream.bytes());
        is_one_request_at_most(&site, &request, "hello");
    }
}
