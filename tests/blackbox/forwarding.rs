//! `X-Forwarded-*` and its kind: what anybody says counts for nothing, what a trusted proxy says as far as it
//! can be trusted.

use rstest::rstest;
use serde_json::json;

use crate::support::site::Site;

const FORWARDING: [&str; 17] = [
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 444",
    "X-Forwarded-Prefix: /evil.test",
    "X-Forwarded-Uri: /public",
    "X-Forwarded-Method: OPTIONS",
    "X-Forwarded-Server: evil.test",
    "X_Forwarded_For: 203.0.113.9",
    "Forwarded: for=203.0.113.9;host=evil.test;proto=https",
    "X-Real-IP: 203.0.113.9",
    "X-Original-URL: /public/evil.test",
    "X-Rewrite-URL: /public/evil.test",
    "X-Original-URI: /public/evil.test",
    "X-Envoy-Original-Path: /public/evil.test",
    "True-Client-IP: 203.0.113.9",
    "CF-Connecting-IP: 203.0.113.9",
];

#[test]
fn forwarding_headers_of_anybody_change_nothing() {
    let site = Site::start();
    for line in FORWARDING {
        assert_eq!(site.gateway.ask("GET /admin", &format!("{line}\r\n")).status, 401, "{line}");
    }
    site.upstream.saw_nothing();
    for line in FORWARDING {
        site.upstream.forget();
        assert_eq!(site.gateway.ask("GET /public/x", &format!("{line}\r\n")).status, 200, "{line}");
        let seen = site.upstream.only("/public/x");
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{line}");
        assert_eq!(seen.header("x-forwarded-host"), Some(site.gateway.host().as_str()), "{line}");
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "{line}");
        assert_eq!(seen.header("x-forwarded-port"), Some(site.gateway.port().to_string().as_str()), "{line}");
        let bytes = site.upstream.bytes();
        assert!(!bytes.contains("evil.test") && !bytes.contains("203.0.113.9"), "{line}: {bytes}");
        assert!(!seen.request.fields.has("x-forwarded-uri"), "{line}");
        assert!(!seen.request.fields.has("x-forwarded-method"), "{line}");
    }
}

/// Two networks of proxies: the one that the tests come from, and one behind it.
fn behind_proxies() -> Site {
    Site::with(|config, _| config.set("/trusted_proxies", json!(["127.0.0.1/32", "10.0.0.0/8"])))
}

#[rstest]
#[case::says_nothing("", "127.0.0.1")]
#[case::one("203.0.113.9", "203.0.113.9, 127.0.0.1")]
#[case::spoofed_in_front("198.51.100.1, 203.0.113.9", "203.0.113.9, 127.0.0.1")]
#[case::two_proxies("198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9, 10.0.0.2, 127.0.0.1")]
#[case::two_fields("203.0.113.9\r\nX-Forwarded-For: 10.0.0.2", "203.0.113.9, 10.0.0.2, 127.0.0.1")]
#[case::with_a_port("203.0.113.9:4711", "203.0.113.9, 127.0.0.1")]
#[case::ipv6("[2001:db8::1]:4711", "2001:db8::1, 127.0.0.1")]
#[case::junk_behind("203.0.113.9, unknown", "127.0.0.1")]
#[case::junk_before("_hidden, 10.0.0.2", "10.0.0.2, 127.0.0.1")]
fn the_client_is_the_right_most_that_no_trusted_proxy_is(#[case] said: &str, #[case] chain: &str) {
    let site = behind_proxies();
    let line = if said.is_empty() { String::new() } else { format!("X-Forwarded-For: {said}\r\n") };
    assert_eq!(site.gateway.ask("GET /public/x", &line).status, 200);
    let seen = site.upstream.only("/public/x");
    assert_eq!(seen.request.fields.all("x-forwarded-for"), [chain]);
    let client = chain.split(", ").next();
    assert_eq!(seen.header("x-real-ip"), client);
    let address = client.unwrap_or_default();
    let node = if address.contains(':') { format!("for=\"[{address}]\"") } else { format!("for={address}") };
    let forwarded = seen.header("forwarded").unwrap_or_default();
    assert!(forwarded.starts_with(&format!("{node};")), "{forwarded}");
}

#[test]
fn a_trusted_proxy_does_not_say_what_the_origin_is() {
    let site = behind_proxies();
    let lines = "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\nForwarded: for=6.6.6.6;proto=https\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\n";
    assert_eq!(site.gateway.ask("GET /public/x", lines).status, 200);
    let seen = site.upstream.only("/public/x");
    assert_eq!(seen.header("x-forwarded-host"), Some(site.gateway.host().as_str()));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-port"), Some(site.gateway.port().to_string().as_str()));
    let bytes = site.upstream.bytes();
    assert!(!bytes.contains("6.6.6.6") && !bytes.contains("/evil"), "{bytes}");
}

#[rstest]
#[case::another("X-Forwarded-Host: evil.test\r\n", 421)]
#[case::two("X-Forwarded-Host: evil.test, HOST\r\n", 400)]
#[case::no_host("X-Forwarded-Host: a/b\r\n", 400)]
#[case::ours("X-Forwarded-Host: HOST\r\n", 200)]
fn a_trusted_proxy_names_one_of_our_hosts(#[case] line: &str, #[case] status: u16) {
    let site = behind_proxies();
    let line = line.replace("HOST", &site.gateway.host());
    let answer = site.gateway.ask("GET /public/x", &line);
    assert_eq!(answer.status, status, "{}", answer.everything());
    assert_eq!(site.upstream.requests().len(), usize::from(status == 200));
    assert!(!site.upstream.bytes().contains("evil.test"));
}

#[rstest]
#[case::unknown("unknown")]
#[case::hidden("_hidden")]
#[case::half_an_address("[::1")]
#[case::a_port_too_large("1.2.3.4:99999")]
#[case::many(&"1.2.3.4,".repeat(2_000))]
fn junk_from_a_trusted_proxy_harms_nobody(#[case] value: &str) {
    let site = behind_proxies();
    let response = site.gateway.ask("GET /public/x", &format!("X-Forwarded-For: {value}\r\n"));
    assert!(matches!(response.status, 200 | 400 | 431), "{}", response.everything());
    assert_eq!(site.gateway.ask("GET /public/canary", "").status, 200);
}
