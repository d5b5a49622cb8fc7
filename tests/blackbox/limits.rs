//! How much a request may be: each limit from both sides.

use reqwest::Version;
use rstest::rstest;

use crate::support::raw::{Closed, Raw, exchange};
use crate::support::site::Site;

const KIB: usize = 1024;

/// The status for a request on a public path with these lines, which also tells whether it got through.
#[track_caller]
fn status(site: &Site, target: &str, lines: &str) -> u16 {
    site.upstream.forget();
    let host = site.gateway.host();
    let answers = exchange(
        site.gateway.port(),
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"),
    );
    assert_eq!(answers.closed, Closed::Yes);
    assert_eq!(site.upstream.requests().len(), usize::from(answers.status() == 200));
    answers.status()
}

#[rstest]
#[case::all_the_cookies_there_may_be(32 * KIB, 200)]
#[case::one_byte_more(32 * KIB + 1, 431)]
fn cookies_have_a_limit_of_their_own(#[case] bytes: usize, #[case] expected: u16) {
    let site = Site::start();
    let cookie = format!("a={}", "x".repeat(bytes - 2));
    assert_eq!(status(&site, "/public/x", &format!("Cookie: {cookie}\r\n")), expected);
}

#[test]
fn too_many_cookies_lose_the_browser_ours_so_that_it_gets_out_of_it() {
    let site = Site::start();
    let cookie = format!("vestibule=a; theirs={}; vestibule-login-x=b", "x".repeat(33 * KIB));
    let response = site.gateway.ask("GET /private", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(response.status, 431);
    let cleared = response.fields.all("set-cookie");
    for name in ["vestibule=;", "vestibule-login-x=;"] {
        assert!(cleared.iter().any(|line| line.starts_with(name)), "{name} {cleared:?}");
    }
    assert_eq!(cleared.len(), 2, "only ours: {cleared:?}");
    site.upstream.saw_nothing();
}

#[rstest]
#[case::as_large_as_may_be(64 * KIB, 200)]
#[case::one_byte_more(64 * KIB + 1, 431)]
fn a_head_has_a_size(#[case] bytes: usize, #[case] expected: u16) {
    let site = Site::start();
    // Names, values and four bytes for each line.
    let others = "Host".len() + site.gateway.host().len() + 4 + "Connection".len() + "close".len() + 4;
    let large = "x".repeat(bytes - others - "X-Large".len() - 4);
    assert_eq!(status(&site, "/public/x", &format!("X-Large: {large}\r\n")), expected);
}

#[rstest]
#[case::as_many_as_may_be(100, 200)]
#[case::one_more(101, 431)]
fn a_head_has_a_number_of_fields(#[case] fields: usize, #[case] expected: u16) {
    let site = Site::start();
    assert_eq!(status(&site, "/public/x", &"X-Many: 1\r\n".repeat(fields - 2)), expected);
}

#[rstest]
#[case::as_long_as_may_be(16 * KIB, 200)]
#[case::one_byte_more(16 * KIB + 1, 414)]
fn a_target_has_a_length(#[case] bytes: usize, #[case] expected: u16) {
    let site = Site::start();
    let path = "/public/";
    assert_eq!(status(&site, &format!("{path}{}", "x".repeat(bytes - path.len())), ""), expected);
    let query = "/public?";
    assert_eq!(status(&site, &format!("{query}{}", "x".repeat(bytes - query.len())), ""), expected);
}

#[test]
fn the_same_holds_over_http2() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let site = Site::with(|config, _| config.tls(&certificate, &key));
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |target: &str, lines: &[(&str, String)]| {
        let mut request = client.get(site.url(target));
        for (name, value) in lines {
            request = request.header(*name, value);
        }
        runtime.block_on(async {
            let response = request.send().await.expect("an answer, not a reset");
            assert_eq!(response.version(), Version::HTTP_2);
            response.status().as_u16()
        })
    };
    // In as many pieces as a browser likes, they are one line of cookies.
    let crumbs = |count: usize| vec![("cookie", format!("a={}", "x".repeat(61))); count];
    assert_eq!(ask("/public/x", &crumbs(504)), 200, "32,758 bytes once joined");
    assert_eq!(ask("/public/x", &crumbs(505)), 431, "32,823 bytes once joined");
    assert_eq!(ask("/public/x", &vec![("x-many", "1".to_owned()); 95]), 200);
    assert_eq!(ask("/public/x", &vec![("x-many", "1".to_owned()); 101]), 431);
    assert_eq!(ask("/public/x", &[("x-large", "x".repeat(65 * KIB))]), 431);
    assert_eq!(ask(&format!("/public/{}", "x".repeat(16 * KIB)), &[]), 414);
    assert_eq!(site.upstream.requests().len(), 2);
}

#[test]
fn a_head_that_grows_without_an_end_is_cut_off() {
    let site = Site::start();
    let mut raw = Raw::connect(site.gateway.port());
    // Twice what a head and its target may have.
    raw.send("GET /public/x HTTP/1.1\r\nX-Large: ");
    for _ in 0..20 {
        raw.send("x".repeat(8 * KIB));
    }
    assert_eq!(raw.response().expect("an answer").status, 431);
    assert_eq!(raw.rest().1, Closed::Yes);
    let metrics = site.gateway.admin("/metrics").expect("metrics").text();
    assert!(metrics.contains("vestibule_connections_closed_total{reason=\"head_size\"} 1\n"), "{metrics}");
    site.upstream.saw_nothing();
}
