//! What a client says that only a proxy or the gateway may say: none of it reaches an upstream, by no way.

use rstest::rstest;

use crate::support::http2_client::TlsSite;
use crate::support::site::Site;
use crate::support::upstream::Seen;

const MANUAL: &str = include_str!("../../docs/reference/headers.md");
/// A value that nobody has.
const LIE: &str = "said-by-mallory";

/// What the gateway says of Ada.
const ADA: [(&str, &str); 4] = [
    ("x-forwarded-user", "ada"),
    ("x-forwarded-email", "ada@example.com"),
    ("x-forwarded-preferred-username", "ada"),
    ("x-forwarded-groups", "staff,finance"),
];

/// The names that the manual says are removed, spelt as they go.
fn removed() -> Vec<String> {
    let (_, rest) = MANUAL.split_once("\n## What is removed from requests\n").expect("the section");
    let table = rest.split("\n## ").next().unwrap_or_default();
    let mut names = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.split('|').nth(1).unwrap_or_default().trim();
        let said = cell.split('`').skip(1).step_by(2);
        if cell.starts_with("names that begin like") {
            names.extend(said.flat_map(|name| [name.to_owned(), format!("{name}-Anything")]));
        } else if cell.starts_with("odd spellings") {
            names.extend(said.map(|name| name.replace('-', "_") + "_"));
        } else {
            // Those that go from some routes, with some values or in one spelling have tests of their own.
            let always = said.filter(|name| !["Authorization", "Upgrade", "HTTP2-Settings"].contains(name));
            names.extend(always.map(str::to_owned));
        }
    }
    names
}

#[test]
fn what_the_manual_says_is_removed_is_removed() {
    let names = removed();
    for some in
        ["X-Forwarded-Anything", "True-Client-IP", "X-HTTP-Method-Override", "Proxy", "Content_Length_"]
    {
        assert!(names.iter().any(|name| name == some), "{some} should be in {names:?}");
    }
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let mut passed = 0;
    for name in &names {
        for (path, credentials) in [("/public/x", ""), ("/a", session.as_str())] {
            for spelling in [name.clone(), name.to_ascii_lowercase(), name.replace('-', "_")] {
                site.upstream.forget();
                let line = format!("{credentials}{spelling}: {LIE}\r\n");
                let response = site.gateway.ask(&format!("GET {path}"), &line);
                let bytes = site.upstream.bytes().to_ascii_lowercase();
                assert!(!bytes.contains(LIE), "{path} {spelling}: {bytes}");
                // What could be read as framing or as credentials may be refused.
                assert!(matches!(response.status, 200 | 400), "{spelling}: {}", response.everything());
                assert_eq!(site.upstream.requests().len(), usize::from(response.status == 200), "{spelling}");
                passed += usize::from(response.status == 200);
            }
        }
    }
    assert!(passed > names.len() * 5, "{passed} of {} names, 6 times each", names.len());
}

/// Every identity header, in spellings that some backend takes for it.
fn lies() -> String {
    let spellings = [
        "X-Forwarded-User",
        "x_forwarded_user",
        "X-FORWARDED-EMAIL",
        "XForwardedEmail",
        "X-Forwarded_Groups",
        "x.forwarded.groups",
        "X-Forwarded-Preferred-Username",
        "X-Forwarded-Preferred_Username-",
    ];
    let lines = spellings.iter().map(|name| [name, ": ", LIE, "\r\n", name, ": ada, ", LIE, "\r\n"].concat());
    lines.collect()
}

#[track_caller]
fn says(seen: &Seen, expected: &[(&str, &str)]) {
    let mut known: Vec<_> = seen
        .request
        .fields
        .iter()
        .filter(|(name, _)| {
            let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            ADA.iter().any(|(known, _)| known.replace('-', "") == letters.to_ascii_lowercase())
        })
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    let mut expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    known.sort();
    expected.sort();
    assert_eq!(known, expected);
}

#[rstest]
#[case::a_page("GET", "Accept: text/html\r\n")]
#[case::a_form("POST", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n")]
#[case::head("HEAD", "")]
#[case::an_odd_method("PROPFIND", "")]
#[case::a_preflight("OPTIONS", "Origin: https://spa.example.com\r\nAccess-Control-Request-Method: GET\r\n")]
#[case::grpc("POST", "Content-Type: application/grpc+proto\r\nTE: trailers\r\nContent-Length: 0\r\n")]
#[case::a_web_socket(
    "GET",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)]
#[case::an_event_stream("GET", "Accept: text/event-stream\r\n")]
fn no_way_to_an_upstream_carries_an_identity_of_the_clients(#[case] method: &str, #[case] lines: &str) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let lies = lies();
    for (path, credentials, expected) in
        [("/a", session.as_str(), ADA.as_slice()), ("/public/x", "", &[]), ("/public/x", &session, &[])]
    {
        site.upstream.forget();
        let answer = site.gateway.ask(&format!("{method} {path}"), &format!("{credentials}{lies}{lines}"));
        let seen = site.upstream.only(path);
        assert_eq!(seen.request.method, method, "{}", answer.everything());
        says(&seen, expected);
        assert!(!site.upstream.bytes().contains(LIE), "{}", site.upstream.bytes());
    }
    // Nobody is somebody by saying so.
    site.upstream.forget();
    let answer = site.gateway.ask(&format!("{method} /a"), &format!("{lies}{lines}"));
    assert!(!answer.everything().contains(LIE), "{}", answer.everything());
    site.upstream.saw_nothing();
}

#[test]
fn our_own_endpoints_believe_no_identity_of_the_clients() {
    let site = Site::start();
    let lies = lies();
    for (target, status) in [
        ("/.vestibule/session", 401),
        ("/.vestibule/callback?code=x&state=y", 400),
        ("/.vestibule/sign-out", 200),
        ("/.vestibule/signed-out", 200),
        ("/.vestibule/nothing", 404),
    ] {
        let answer = site.gateway.ask(&format!("GET {target}"), &format!("Accept: text/html\r\n{lies}"));
        assert_eq!(answer.status, status, "{target}: {}", answer.everything());
        assert!(!answer.everything().contains(LIE), "{}", answer.everything());
    }
    site.upstream.saw_nothing();
}

#[test]
fn over_http2_neither() {
    let house = TlsSite::with(|config, _| config);
    let names = ["x-forwarded-user", "x_forwarded_user", "xforwardeduser", "x-forwarded_groups"];
    let lies: Vec<_> = names.iter().flat_map(|name| [(*name, LIE), (*name, "ada")]).collect();
    for (path, cookie, expected) in [
        ("/a", house.cookie.as_str(), ADA.as_slice()),
        ("/public/x", "a=1", &[]),
        ("/public/x", &house.cookie, &[]),
    ] {
        house.site.upstream.forget();
        let headers = [&[("cookie", cookie)][..], &lies].concat();
        let answer = house.client.send(house.request("GET", path, &headers), &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        says(&house.site.upstream.only(path), expected);
        assert!(!house.site.upstream.bytes().contains(LIE), "{path}");
    }
}

#[rstest]
#[case::http2("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n")]
#[case::not_nominated("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")]
#[case::another("Upgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n")]
#[case::a_web_socket_and_more("Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n")]
fn no_upstream_is_asked_for_another_protocol(#[case] lines: &str) {
    let site = Site::start();
    let answer = site.gateway.ask("GET /public/x", lines);
    assert!(matches!(answer.status, 200 | 400), "{}", answer.everything());
    let seen = site.upstream.requests();
    assert_eq!(seen.len(), usize::from(answer.status == 200));
    assert!(seen.iter().all(|seen| seen.header("upgrade").is_none()), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.header("http2-settings").is_none()), "{seen:?}");
}
