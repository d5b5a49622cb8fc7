//! Whatever is sent instead of a session: it is none.

use rstest::rstest;
use serde_json::json;

use crate::support::raw::{Raw, exchange};
use crate::support::site::Site;

fn cookies() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "garbage",
        "",
        "\"\"",
        "\"garbage\"",
        "=",
        "====",
        "AAAA",
        "!!!not-base64!!!",
        "..",
        "null",
        "undefined",
        "true",
        "0",
        "-1",
        "{}",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.",
        "%00",
        "%0d%0aX: 1",
        "../../etc/passwd",
    ]
    .iter()
    .map(|value| value.as_bytes().to_vec())
    .collect();
    values.push(b"a\0b".to_vec());
    values.push(b"\xff\xfe".to_vec());
    values.push("%".repeat(4 * 1024).into_bytes());
    values.push("A".repeat(4 * 1024).into_bytes());
    values.push("A".repeat(43).into_bytes());
    values.push("_".repeat(22).into_bytes());
    values
}

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn garbage_is_no_session(#[case] store: &str) {
    let site = Site::with(|config, _| config.set("/sessions/store", json!(store)));
    for value in cookies() {
        let shown = value.escape_ascii().to_string();
        for form in [
            &[b"Cookie: vestibule=", value.as_slice()].concat(),
            &[b"Cookie: vestibule=", value.as_slice(), b"; vestibule=", &value].concat(),
            &[b"Cookie: a=1; vestibule=", value.as_slice(), b"; vestibule.1=", &value, b"; vestibule.2=x"]
                .concat(),
        ] {
            for (accept, expected) in [("text/html", 302), ("application/json", 401)] {
                let head =
                    format!("GET /private HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n", site.gateway.host());
                let request = [head.as_bytes(), form.as_slice(), b"\r\n\r\n"].concat();
                let answers = exchange_once(site.gateway.port(), &request);
                assert!(answers == expected || answers == 400, "{shown}: {answers} instead of {expected}");
            }
        }
    }
    site.upstream.saw_nothing();
}

fn exchange_once(port: u16, request: &[u8]) -> u16 {
    Raw::connect(port).send(request).response().map_or(0, |response| response.status)
}

#[test]
fn many_chunks_are_no_session_and_no_trouble() {
    let site = Site::with(|config, _| config.set("/sessions/store", json!("cookie")));
    for chunks in [
        (1..=200).map(|n| format!("vestibule.{n}=A")).collect::<Vec<_>>().join("; "),
        "vestibule.999999=A; vestibule.18446744073709551616=A; vestibule.-1=A; vestibule.=A".to_owned(),
        "vestibule=A; vestibule.9=A".to_owned(),
        "vestibule=999999.AAAA".to_owned(),
    ] {
        let response = site.gateway.ask("GET /private", &format!("Cookie: {chunks}\r\n"));
        assert!(matches!(response.status, 400 | 401 | 431), "{}", response.everything());
    }
    site.upstream.saw_nothing();
}

#[rstest]
#[case::kubelet("User-Agent: kube-probe/1.0\r\n")]
#[case::google("User-Agent: GoogleHC/1.0\r\n")]
#[case::elb("User-Agent: ELB-HealthChecker/2.0\r\n")]
#[case::health_header("X-Health: 1\r\n")]
#[case::internal_header("X-Internal: true\r\nX-Forwarded-User: ada\r\n")]
#[case::bearer("Authorization: Bearer x\r\n")]
#[case::bearer_jwt("Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.\r\n")]
#[case::basic("Authorization: Basic YWRhOmFkYQ==\r\n")]
#[case::bearer_cookie("Cookie: BearerToken=x\r\n")]
#[case::method_override("X-HTTP-Method-Override: OPTIONS\r\n")]
#[case::trusted_address("X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n")]
fn no_header_opens_a_protected_path(#[case] lines: &str) {
    let site = Site::start();
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let response = site.gateway.ask(&format!("{method} /private"), lines);
        assert!(matches!(response.status, 401 | 405), "{method} {lines}: {}", response.status);
    }
    site.upstream.saw_nothing();
}

#[test]
fn a_preflight_is_a_request_like_any_other() {
    let site = Site::start();
    let lines = "Origin: https://spa.example.com\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: X-Forwarded-User\r\n";
    let response = site.gateway.ask("OPTIONS /private", lines);
    assert_eq!(response.status, 401);
    assert!(!response.fields.has("access-control-allow-origin"));
    site.upstream.saw_nothing();
    let response = site.gateway.ask("OPTIONS /public/x", &format!("{lines}X-Forwarded-User: ada\r\n"));
    assert_eq!(response.status, 200);
    assert_eq!(site.upstream.only("/public/x").header("x-forwarded-user"), None);
}

#[test]
fn a_token_in_the_address_is_no_credential() {
    let site = Site::start();
    assert_eq!(site.gateway.ask("GET /private?access_token=abc", "").status, 401);
    site.upstream.saw_nothing();
}

#[test]
fn a_session_ends_with_its_request() {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let host = site.gateway.host();
    let mut raw = Raw::connect(site.gateway.port());
    let with = format!("GET /one HTTP/1.1\r\nHost: {host}\r\n{session}\r\n");
    let without = format!("GET /two HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(raw.send(&with).response().unwrap().status, 200);
    assert_eq!(raw.send(&without).response().unwrap().status, 401, "the same connection, nobody's request");
    assert_eq!(raw.send(&with).response().unwrap().status, 200);
    assert_eq!(site.upstream.requests_to("/two").len(), 0);
}

#[test]
fn optional_identity_passes_without_and_with_a_session() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "optional", "match": { "path": "/optional" }, "auth": { "session": "idp", "required": false },
            "upstream": upstream.url(),
        }))
    });
    let spoof = "X-Forwarded-User: mallory\r\n";
    assert_eq!(site.gateway.ask("GET /optional", spoof).status, 200);
    assert_eq!(site.upstream.only("/optional").header("x-forwarded-user"), None);
    let session = site.session_line(&site.signed_in());
    assert_eq!(site.gateway.ask("GET /optional", &format!("{session}{spoof}")).status, 200);
    assert_eq!(site.upstream.only("/optional").header("x-forwarded-user"), Some("ada"));
    // What is no session is nobody, not somebody.
    site.upstream.forget();
    assert_eq!(site.gateway.ask("GET /optional", "Cookie: vestibule=garbage\r\n").status, 200);
    assert_eq!(site.upstream.only("/optional").header("x-forwarded-user"), None);
}

#[test]
fn a_host_without_a_route_is_not_served() {
    let site = Site::with(|config, upstream| {
        let routes = json!([{ "id": "open", "match": { "path": "/public" }, "auth": "public", "upstream": upstream.url() }]);
        config.set("/routes", routes)
    });
    for path in ["/", "/private", "/publicly"] {
        assert_eq!(site.gateway.ask(&format!("GET {path}"), "").status, 404, "{path}");
    }
    site.upstream.saw_nothing();
}

#[test]
fn any_host_is_for_one_public_path_and_method() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "health", "match": { "path": "/healthz", "exact": true, "methods": ["GET"], "any_host": true },
            "auth": "public", "upstream": upstream.url(),
        }))
    });
    let port = site.gateway.port();
    let ask = |line: &str| exchange(port, format!("{line} HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n\r\n")).status();
    assert_eq!(ask("GET /healthz"), 200);
    for line in ["GET /healthz/x", "GET /private", "GET /public", "POST /healthz", "GET /.vestibule/session"]
    {
        assert_eq!(ask(line), 421, "{line}");
    }
    assert_eq!(site.upstream.requests().len(), 1);
}
