//! Paths that two parsers could read differently: none of them is a way around a rule.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::raw::exchange;
use crate::support::site::Site;
use crate::support::upstream::Upstream;

/// Refused on every route, whatever it is.
const REFUSED: &[&str] = &[
    // Dot segments, in any spelling.
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/.%2e/admin",
    "/public/%2E./admin",
    "/public/x/%2e%2e/%2e%2e/admin",
    "/./admin",
    "/admin/.",
    "/admin/..",
    "/public/%252e%252e/admin",
    // Encoded slashes and back slashes.
    "/public/..%2fadmin",
    "/public/%2e%2e%2fadmin",
    "/admin/..%2fpublic",
    "/public%2f..%2fadmin",
    "/public/a%2Fb",
    "/public\\..\\admin",
    "/public/%5c..%5cadmin",
    "/public\\admin",
    // Parameters that hide dots.
    "/public/..;/admin",
    "/public/;/../admin",
    "/public/..;x=1/admin",
    // What is no path.
    "/%u0061dmin",
    "/%",
    "/%4",
    "/%zz",
    "/public/%00",
    "/admin%00",
    "/admin%0a",
    "/admin%0d%0a",
    "/public/..%00/admin",
    "/%c0%afadmin",
    "/%c0%ae%c0%ae/admin",
    "/%ff",
];

/// Read by somebody as `/admin`, so that nobody may get through who isn't allowed there.
const AMBIGUOUS: &[&str] = &[
    "//admin",
    "///admin",
    "/;/admin",
    "/admin;x=1",
    "/admin;x=1/",
    "/;a/admin/x",
    "/ADMIN",
    "/Admin/x",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/%2561dmin",
    "/admin%20",
    "/admin%09",
    "/admin%20/x",
    "/admin.",
    "/admin./x",
    "/%41DMIN;x//",
    "//ADMIN;x=1",
];

/// Bytes that a request line can't hold, or that no URL has.
const RAW: &[&[u8]] = &[
    b"/\xff",
    b"/\xef\xbd\x81dmin",
    b"/admin\t",
    b"/admin\x0b",
    b"/admin\x7f",
    b"/adm\x00in",
    b"*",
    b"http:/admin",
    b"admin",
    b"",
    b"/admin\r/x",
];

/// Everything under `/` is open but `/admin`.
fn mostly_open(upstream: &Upstream) -> Value {
    json!([
        { "id": "admin", "match": { "path": "/admin" }, "auth": { "session": "idp" }, "upstream": upstream.url() },
        { "id": "rest", "auth": "public", "upstream": upstream.url() },
    ])
}

/// Only `/public` is open, `/admin` is behind a session, nothing else is there.
fn mostly_closed(upstream: &Upstream) -> Value {
    json!([
        { "id": "admin", "match": { "path": "/admin" }, "auth": { "session": "idp" }, "upstream": upstream.url() },
        { "id": "open", "match": { "path": "/public" }, "auth": "public", "upstream": upstream.url() },
    ])
}

type Routes = fn(&Upstream) -> Value;

fn site(routes: Routes) -> Site {
    Site::with(|config, upstream| {
        let routes = routes(upstream);
        config.set("/routes", routes)
    })
}

fn status(site: &Site, target: &[u8]) -> u16 {
    let lines = format!(
        " HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
        site.gateway.host()
    );
    exchange(site.gateway.port(), [b"GET ", target, lines.as_bytes()].concat()).status()
}

#[rstest]
#[case::mostly_closed(mostly_closed)]
#[case::mostly_open(mostly_open)]
fn no_spelling_of_a_protected_path_gets_through(#[case] routes: Routes) {
    let site = site(routes);
    for path in REFUSED {
        assert_eq!(status(&site, path.as_bytes()), 400, "{path}");
    }
    for path in AMBIGUOUS {
        let status = status(&site, path.as_bytes());
        assert!(matches!(status, 302 | 400 | 401 | 404), "{path}: {status}");
    }
    for target in RAW {
        let status = status(&site, target);
        assert!(matches!(status, 0 | 400 | 404), "{:?}: {status}", target.escape_ascii().to_string());
    }
    site.upstream.saw_nothing();
    assert_eq!(site.gateway.ask("GET /public/canary", "").status, 200);
}

#[test]
fn readings_that_disagree_are_called_ambiguous() {
    let site = site(mostly_open);
    for path in AMBIGUOUS {
        let response = site.gateway.ask(&format!("GET {path}"), "Accept: application/json\r\n");
        assert_eq!(response.status, 400, "{path}: {}", response.everything());
    }
    site.upstream.saw_nothing();
    crate::support::eventually("the reason in the log", || {
        (site.gateway.access_log() + &site.gateway.logs()).contains("ambiguous_path").then_some(())
    });
}

#[rstest]
#[case::query("/admin?/public")]
#[case::query_with_a_path("/admin?x=/public")]
#[case::below("/admin/x")]
#[case::a_slash("/admin/")]
#[case::twice("/admin//x")]
#[case::encoded_below("/admin/%61")]
fn a_protected_path_stays_protected(#[case] path: &str) {
    for routes in [mostly_closed, mostly_open] {
        let site = site(routes);
        let status = status(&site, path.as_bytes());
        assert!(matches!(status, 302 | 400), "{path}: {status}");
        site.upstream.saw_nothing();
    }
}

#[test]
fn a_session_does_not_open_what_is_refused() {
    let site = site(mostly_open);
    let browser = Browser::new();
    assert_eq!(site.visit(&browser, "/admin").status(), 200);
    let line = site.session_line(&browser);
    site.upstream.forget();
    for path in REFUSED {
        if path.is_ascii() {
            assert_eq!(site.gateway.ask(&format!("GET {path}"), &line).status, 400, "{path}");
        }
    }
    site.upstream.saw_nothing();
}

#[rstest]
#[case::a_prefix_of_a_word("/administrator", 200)]
#[case::a_word_behind("/x/admin", 200)]
#[case::parameters("/a;jsessionid=1", 200)]
#[case::slashes("/x//y", 200)]
#[case::encoded("/x%20y/%C3%BC", 200)]
#[case::dots_in_a_name("/file..txt", 200)]
#[case::case("/Some/Case", 200)]
#[case::hidden_file("/.well-known/x", 200)]
fn harmless_spellings_pass_byte_for_byte(#[case] path: &str, #[case] expected: u16) {
    let site = site(mostly_open);
    assert_eq!(status(&site, path.as_bytes()), expected, "{path}");
    assert_eq!(site.upstream.only(path).request.target, path);
}

#[test]
fn a_prefix_takes_whole_segments() {
    let site = site(mostly_closed);
    for (path, expected) in
        [("/public", 200), ("/public/", 200), ("/public/x", 200), ("/publicly", 404), ("/pub", 404)]
    {
        assert_eq!(status(&site, path.as_bytes()), expected, "{path}");
    }
    assert_eq!(site.upstream.requests().len(), 3);
}

#[test]
fn an_encoded_slash_passes_where_a_route_allows_it() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "files", "match": { "path": "/files" }, "auth": "public", "encoded_slash": "allow",
            "upstream": upstream.url(),
        }))
    });
    assert_eq!(status(&site, b"/files/a%2Fb"), 200);
    assert_eq!(site.upstream.only("/files/a%2Fb").request.target, "/files/a%2Fb");
    assert_eq!(status(&site, b"/public/a%2Fb"), 400);
}

#[rstest]
#[case::eight_kib(8, &[200])]
#[case::twenty_kib(20, &[414])]
#[case::more_than_a_head_may_have(80, &[400, 414, 431])]
fn a_long_path_has_an_end(#[case] kib: usize, #[case] expected: &[u16]) {
    let site = site(mostly_open);
    let path = format!("/{}", "a".repeat(kib * 1024));
    let status = status(&site, path.as_bytes());
    assert!(expected.contains(&status), "{status}");
    assert_eq!(site.upstream.requests().len(), usize::from(status == 200));
}

#[test]
fn a_target_that_is_not_visible_ascii_is_refused_as_it_came() {
    let site = site(mostly_open);
    let targets: [&[u8]; 8] = [
        b"/admin ",
        b"/ad min",
        b"/x /admin",
        b"/x\rHost: evil",
        b"/x?a=\r",
        b"/x\x7f",
        b"/x?a=\xe9",
        b"/x\ty",
    ];
    for target in targets {
        assert_eq!(status(&site, target), 400, "{:?}", String::from_utf8_lossy(target));
    }
    site.upstream.saw_nothing();
}

#[test]
fn our_own_endpoints_cannot_be_spelled_past() {
    let site = Site::start();
    for path in [
        "/.vestibule/nothing",
        "/.VESTIBULE/session",
        "/%2evestibule/session",
        "//.vestibule/session",
        "/.vestibule;x/session",
    ] {
        let status = status(&site, path.as_bytes());
        assert!(matches!(status, 302 | 400 | 401 | 404), "{path}: {status}");
    }
    assert_eq!(status(&site, b"/.vestibule/nothing"), 404);
    site.upstream.saw_nothing();
}

#[test]
fn the_longest_path_decides_and_its_methods_are_final() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "readable", "match": { "path": "/docs/read", "methods": ["GET"] }, "auth": "public",
            "upstream": upstream.url(),
        }))
        .route(json!({ "id": "docs", "match": { "path": "/docs" }, "auth": "public", "upstream": upstream.url() }))
    });
    assert_eq!(site.gateway.ask("GET /docs/read/x", "").status, 200);
    assert_eq!(site.gateway.ask("HEAD /docs/read/x", "").status, 200);
    assert_eq!(site.gateway.ask("DELETE /docs/write", "").status, 200);
    let refused = site.gateway.ask("DELETE /docs/read/x", "");
    assert_eq!(refused.status, 405, "never a shorter prefix");
    assert!(refused.fields.text("allow").contains("GET"), "{}", refused.everything());
    assert_eq!(site.upstream.requests().len(), 3);
}

/// `?x` has an empty path: it would be decided on as the root, and sent on as it is.
#[test]
fn a_query_without_a_path_is_refused_or_becomes_the_roots() {
    let site = Site::start();
    let host = site.gateway.host();
    let asked = |target: &str| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        exchange(site.gateway.port(), head).status()
    };
    assert_eq!(asked("?x=1"), 400);
    site.upstream.saw_nothing();
    let browser = site.signed_in();
    let head =
        format!("GET http://{host}?x=1 HTTP/1.1\r\nHost: {host}\r\n{}\r\n", site.session_line(&browser));
    assert_eq!(exchange(site.gateway.port(), head).status(), 200);
    assert_eq!(site.upstream.last("/").request.target, "/?x=1");
}

/// It is no part of a request: it is cut off, or the request is refused, and it decides nothing.
#[test]
fn a_fragment_opens_nothing() {
    for routes in [mostly_closed, mostly_open] {
        let site = site(routes);
        for path in ["/admin#/public", "/admin/x#", "/admin#?/public/x", "//admin#/public"] {
            let status = status(&site, path.as_bytes());
            assert!(matches!(status, 302 | 400 | 404), "{path}: {status}");
        }
        site.upstream.saw_nothing();
        for path in ["/public/x#/../../admin", "/public/x#/admin"] {
            let status = status(&site, path.as_bytes());
            let seen: Vec<_> = site.upstream.requests().into_iter().map(|seen| seen.request.target).collect();
            assert_eq!(seen, vec!["/public/x"; usize::from(status == 200)], "{path}: {status}");
            assert!(matches!(status, 200 | 400), "{path}: {status}");
            site.upstream.forget();
        }
    }
}
