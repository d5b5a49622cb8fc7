//! What `vestibule explain` says of a request is what the gateway does with it; and it says no secret.

use std::process::Output;

use rstest::rstest;
use serde_json::json;

use crate::explain::run;
use crate::support::config::KEY;
use crate::support::provider::CLIENT_SECRET;
use crate::support::raw;
use crate::support::site::{SESSION, Site};

/// Ada, as the ordinary provider describes her.
const ADA: &str = r#"{ "sub": "ada", "email": "ada@example.com", "email_verified": true,
    "preferred_username": "ada", "groups": ["staff", "finance"] }"#;

const HTML: &str = "Accept: text/html";
const JSON: &str = "Accept: application/json";

fn site() -> Site {
    Site::with(|config, upstream| {
        let route = |id: &str, more: serde_json::Value| {
            let mut route = json!({
                "id": id, "match": { "path": format!("/{id}") }, "auth": { "session": "idp" },
                "upstream": upstream.url(),
            });
            for (key, value) in more.as_object().into_iter().flatten() {
                route[key] = value.clone();
            }
            route
        };
        let both = json!([{ "groups": ["staff"] }, { "domains": ["example.org"] }]);
        let one = json!({ "X-Groups": { "claim": "groups", "as": "text" } });
        config
            .set("/log/format", json!("json"))
            .route(route("denied", json!({ "require": both })))
            .route(route("shape", json!({ "identity": { "headers": one } })))
            .route(route("large", json!({ "identity": { "max_bytes": "16B" } })))
            .route(route("reading", json!({ "match": { "path": "/reading", "methods": ["GET"] } })))
            .route(route("redirected", json!({ "challenge": "redirect" })))
            .route(route("refused", json!({ "challenge": "unauthorized" })))
    })
}

/// The answer that is told: status and reason.
#[track_caller]
fn answer(output: &Output) -> (u16, String) {
    let text = String::from_utf8_lossy(&output.stdout);
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{all}");
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("answer")).collect();
    assert_eq!(lines.len(), 1, "one answer is enough where it is said who asks: {all}");
    let said = lines[0].trim();
    if said == "forwarded" {
        return (200, said.to_owned());
    }
    let (status, reason) = said.split_once(' ').unwrap_or_else(|| panic!("{all}"));
    (status.parse().unwrap(), reason.split(',').next().unwrap_or_default().to_owned())
}

/// Asks the gateway, and has it explained: both must say this.
#[track_caller]
fn is_explained(site: &Site, line: &str, headers: &[&str], claims: Option<&str>, expected: (u16, &str)) {
    let (method, target) = line.split_once(' ').unwrap();
    let named = headers.iter().any(|header| header.starts_with("Host:"));
    let host = if named { String::new() } else { format!("Host: {}\r\n", site.gateway.host()) };
    let session = claims.map(|_| site.session_line(&site.signed_in())).unwrap_or_default();
    let more: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let done = raw::ask(site.gateway.port(), &format!("{line} HTTP/1.1\r\n{host}{session}{more}\r\n"));
    assert_eq!(done.status, expected.0, "{}", done.everything());
    if expected.1 != "forwarded" {
        assert_eq!(site.reason(&done).1, expected.1, "{}", done.everything());
    }

    let url = site.url(target);
    let mut arguments = vec![method, url.as_str()];
    arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
    if claims.is_some() {
        arguments.extend(["--claims", "-"]);
    }
    let output = run(&site.gateway.file(), &arguments, claims.unwrap_or_default());
    let (status, reason) = answer(&output);
    assert_eq!((status, reason.as_str()), expected, "{}", String::from_utf8_lossy(&output.stdout));
}

const SOCKET: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

#[rstest]
#[case::a_page("GET /private?x=1", &[HTML], (302, "no_session"))]
#[case::a_script("GET /private", &[JSON], (401, "no_session"))]
#[case::head("HEAD /private", &[HTML], (401, "no_session"))]
#[case::a_form("POST /private", &[HTML], (401, "no_session"))]
#[case::a_frame("GET /private", &["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"], (401, "no_session"))]
#[case::a_prefetch("GET /private", &[HTML, "Sec-Purpose: prefetch"], (401, "no_session"))]
#[case::grpc("POST /private", &["Content-Type: application/grpc"], (200, "no_session"))]
#[case::a_web_socket("GET /private", &SOCKET, (401, "no_session"))]
#[case::a_style_that_redirects("GET /redirected", &[JSON], (302, "no_session"))]
#[case::a_style_that_never_does("GET /refused", &[HTML], (401, "no_session"))]
#[case::an_unknown_session("GET /private", &[JSON, "Cookie: vestibule=AAAA"], (401, "unknown"))]
#[case::a_public_page("GET /public/x", &[HTML], (200, "forwarded"))]
#[case::a_method("POST /reading", &[HTML], (405, "method_not_allowed"))]
#[case::an_ambiguous_path("GET /PUBLIC", &[HTML], (400, "ambiguous_path"))]
#[case::an_encoded_slash("GET /a%2Fb", &[HTML], (400, "encoded_slash"))]
#[case::a_malformed_path("GET /a/%2e%2e/b", &[HTML], (400, "malformed_path"))]
#[case::another_host("GET /private", &["Host: evil.test"], (421, "misdirected"))]
#[case::a_nomination("GET /private", &["Connection: x-forwarded-user"], (400, "framing"))]
#[case::two_credentials("GET /private", &["Authorization: a", "Authorization: b"], (400, "framing"))]
#[case::two_lengths("POST /private", &["Content-Length: 0", "Transfer-Encoding: chunked"], (400, "framing"))]
fn what_nobody_meets_is_what_is_explained(
    #[case] line: &str,
    #[case] headers: &[&str],
    #[case] expected: (u16, &str),
) {
    is_explained(&site(), line, headers, None, expected);
}

#[test]
fn limits_are_explained() {
    let site = site();
    let cookies = format!("Cookie: a={}", "x".repeat(33 * 1024));
    is_explained(&site, "GET /public/x", &[&cookies], None, (431, "head_too_large"));
    let line = format!("GET /public/{}", "x".repeat(17 * 1024));
    is_explained(&site, &line, &[], None, (414, "target_too_long"));
}

#[rstest]
#[case::whoever_is_signed_in("GET /private", &[], (200, "forwarded"))]
#[case::a_script("DELETE /private", &[JSON], (200, "forwarded"))]
#[case::the_rule_that_fails("GET /denied", &[HTML], (403, "domains"))]
#[case::the_same_for_grpc("POST /denied", &["Content-Type: application/grpc"], (200, "domains"))]
#[case::a_claim_of_another_shape("GET /shape", &[HTML], (500, "claim_shape"))]
#[case::too_much_of_a_person("GET /large", &[JSON], (403, "identity_too_large"))]
#[case::a_method_comes_first("POST /reading", &[JSON], (405, "method_not_allowed"))]
#[case::a_foreign_web_socket(
    "GET /private",
    &[SOCKET[0], SOCKET[1], SOCKET[2], SOCKET[3], "Origin: https://evil.test"],
    (403, "foreign_origin")
)]
fn what_ada_meets_is_what_is_explained(
    #[case] line: &str,
    #[case] headers: &[&str],
    #[case] expected: (u16, &str),
) {
    is_explained(&site(), line, headers, Some(ADA), expected);
}

#[test]
fn claims_are_read_from_a_file_and_no_secret_is_told() {
    let site = site();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ada.json");
    std::fs::write(&file, ADA).unwrap();
    let (url, cookie) = (site.url("/private"), format!("Cookie: theme=dark; {SESSION}=s3cret-session; a=b"));
    let arguments = ["GET", &url, "--claims", file.to_str().unwrap(), "-H", &cookie];
    let output = run(&site.gateway.file(), &arguments, "");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["identity   sub ada, of idp", "rules      none", "cookie: theme=dark; a=b"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for secret in ["s3cret-session", KEY, CLIENT_SECRET] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
