//! What the upstream learns of the caller, and what a client can't make it believe.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::provider::Provider;
use crate::support::site::Site;
use crate::support::upstream::{Behaviour, Seen};

/// What the ordinary provider makes of Ada.
const EXPECTED: [(&str, &str); 4] = [
    ("x-forwarded-user", "ada"),
    ("x-forwarded-email", "ada@example.com"),
    ("x-forwarded-preferred-username", "ada"),
    ("x-forwarded-groups", "staff,finance"),
];

/// A name as a careless backend could read it.
fn careless(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Asserts that every header a backend could take for identity is ours, or that there is none.
#[track_caller]
fn says_only(seen: &Seen, expected: &[(&str, &str)]) {
    for (name, _) in EXPECTED {
        let found: Vec<_> =
            seen.request.fields.iter().filter(|(n, _)| careless(n) == careless(name)).collect();
        let wanted = expected.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        match (wanted, found.as_slice()) {
            (None, []) => {}
            (Some(value), [(n, v)]) if n.eq_ignore_ascii_case(name) && v == value => {}
            (wanted, found) => panic!("{name}: expected {wanted:?}, the upstream saw {found:?}"),
        }
    }
}

/// Spellings of every identity header, with a value that nobody has.
fn spoofs() -> Vec<String> {
    let mut lines = Vec::new();
    for (name, _) in EXPECTED {
        let title: String = name
            .split('-')
            .map(|word| word[..1].to_ascii_uppercase() + &word[1..])
            .collect::<Vec<_>>()
            .join("-");
        for spelling in [
            name.to_owned(),
            name.to_ascii_uppercase(),
            title.clone(),
            title.replace('-', "_"),
            name.replace('-', "_"),
            title.replace('-', "."),
            title.replace('-', ""),
            title.replacen('-', "_", 1),
            format!("{title}-"),
            format!("_{title}"),
        ] {
            lines.push(format!("{spelling}: mallory\r\n"));
            lines.push(format!("{spelling}:\r\n"));
            lines.push(format!("{spelling}: ada\r\n{spelling}: mallory\r\n"));
        }
    }
    lines
}

#[test]
fn no_spelling_of_an_identity_header_passes() {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    for line in spoofs() {
        for (request, more, expected) in [
            ("GET /public/a", "", [].as_slice()),
            ("OPTIONS /public/a", "Access-Control-Request-Method: GET\r\n", &[]),
            ("GET /public/a", session.as_str(), &[]),
            ("GET /a", &session, &EXPECTED),
            ("POST /a", &session, &EXPECTED),
        ] {
            site.upstream.forget();
            let response = site.gateway.ask(request, &format!("{more}{line}"));
            let seen = site.upstream.requests();
            if response.status == 400 {
                assert!(seen.is_empty(), "{line}");
                continue;
            }
            assert_eq!(
                (response.status, seen.len()),
                (200, 1),
                "{request} {line}: {}",
                response.everything()
            );
            says_only(&seen[0], expected);
            assert!(!site.upstream.bytes().contains("mallory"), "{line}: {}", site.upstream.bytes());
        }
    }
}

#[test]
fn an_anonymous_request_with_identity_headers_is_anonymous() {
    let site = Site::start();
    for line in spoofs() {
        assert_eq!(site.gateway.ask("GET /a", &line).status, 401, "{line}");
    }
    site.upstream.saw_nothing();
}

#[test]
fn a_header_that_one_route_manages_passes_on_none() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "remote", "match": { "path": "/remote" }, "auth": { "session": "idp" },
            "upstream": upstream.url(),
            "identity": { "headers": { "X-Remote-User": "sub", "X-Remote-Groups": { "claim": "groups", "as": "json" } } },
        }))
    });
    let session = site.session_line(&site.signed_in());
    for line in ["X-Remote-User: mallory\r\n", "x_remote_user: mallory\r\n", "XRemoteUser: mallory\r\n"] {
        for path in ["/remote", "/a", "/public"] {
            site.upstream.forget();
            assert_eq!(site.gateway.ask(&format!("GET {path}"), &format!("{session}{line}")).status, 200);
            assert!(!site.upstream.bytes().contains("mallory"), "{path} {line}");
        }
    }
    site.upstream.forget();
    site.gateway.ask("GET /remote", &session);
    let seen = site.upstream.only("/remote");
    assert_eq!(seen.header("x-remote-user"), Some("ada"));
    assert_eq!(seen.header("x-remote-groups"), Some(r#"["staff","finance"]"#));
    says_only(&seen, &[]);
}

#[rstest]
#[case::user("X-Forwarded-User")]
#[case::email("x-forwarded-email")]
#[case::groups("X-Forwarded-Groups")]
#[case::client("X-Forwarded-For")]
#[case::proto("X-Forwarded-Proto")]
#[case::host("Host")]
#[case::cookie("Cookie")]
#[case::several("close, X-Forwarded-User, X-Forwarded-Email")]
#[case::twice("X-Forwarded-User, X-Forwarded-User")]
fn a_client_cannot_nominate_our_headers_as_hop_by_hop(#[case] nominated: &str) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let response = site.gateway.ask("GET /a", &format!("{session}Connection: {nominated}\r\n"));
    if response.status == 400 {
        site.upstream.saw_nothing();
        return;
    }
    assert_eq!(response.status, 200, "{}", response.everything());
    let seen = site.upstream.only("/a");
    says_only(&seen, &EXPECTED);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
}

#[test]
fn our_cookies_stay_and_others_pass_untouched() {
    let site = Site::start();
    let browser = site.signed_in();
    let value = browser.cookie(&site.url("/"), "vestibule").unwrap();
    let line = format!(
        "Cookie: a=1; vestibule={value}; b=\"x y\"; vestibule-login-abc=zzz; c; vestibule.1=zzz; d==;  e=1\r\n"
    );
    assert_eq!(site.gateway.ask("GET /a", &line).status, 200);
    let seen = site.upstream.only("/a");
    let cookies: Vec<_> = seen.header("cookie").unwrap_or_default().split(';').map(str::trim).collect();
    assert_eq!(cookies, ["a=1", "b=\"x y\"", "c", "d==", "e=1"]);
    assert!(!site.upstream.bytes().contains(&value));

    // The same on a public route; and no empty header where only ours were sent.
    site.upstream.forget();
    site.gateway.ask("GET /public/x", &format!("Cookie: vestibule={value}\r\n"));
    assert_eq!(site.upstream.only("/public/x").header("cookie"), None);
    assert!(!site.upstream.bytes().contains(&value));
}

#[test]
fn a_cookie_whose_name_only_begins_like_ours_passes() {
    let site = Site::start();
    site.gateway.ask("GET /public/x", "Cookie: vestibuled=1; xvestibule=2; vestibule_x=3\r\n");
    let seen = site.upstream.only("/public/x");
    assert_eq!(seen.header("cookie"), Some("vestibuled=1; xvestibule=2; vestibule_x=3"));
}

#[test]
fn a_session_cookie_from_an_upstream_is_dropped() {
    let site = Site::start();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: vestibule=stolen; Path=/\r\nSet-Cookie: theirs=1\r\nSet-Cookie: vestibule-login-x=1; Path=/\r\n\r\n";
    site.upstream.at("/public/x", Behaviour::Says(answer.into()));
    let response = site.gateway.ask("GET /public/x", "");
    assert_eq!(response.fields.all("set-cookie"), ["theirs=1"]);
}

#[test]
fn credentials_stay_on_protected_routes_and_pass_on_public_ones() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "basic", "match": { "path": "/basic" }, "auth": { "session": "idp" },
            "forward_authorization": true, "upstream": upstream.url(),
        }))
    });
    let line = site.session_line(&site.signed_in()) + "Authorization: Basic dTpw\r\n";
    for (path, passes) in [("/a", false), ("/basic", true), ("/public/x", true)] {
        assert_eq!(site.gateway.ask(&format!("GET {path}"), &line).status, 200, "{path}");
        assert_eq!(site.upstream.only(path).request.fields.has("authorization"), passes, "{path}");
    }
}

/// A site that maps the claims `badge` and `roles`, which no standard gives a type.
fn mapping(claims: &Value) -> Site {
    let provider = Provider::start();
    provider.claim(claims);
    Site::around(provider, |config, upstream| {
        config.route(json!({
            "id": "mapped", "match": { "path": "/claims" }, "auth": { "session": "idp" }, "upstream": upstream.url(),
            "identity": { "headers": { "X-User": "sub", "X-Badge": "badge", "X-Roles": "roles" } },
        }))
    })
}

/// What one header becomes for a claim.
fn header_for(claims: &Value, header: &str) -> Option<String> {
    let site = mapping(claims);
    let page = site.visit(&Browser::new(), "/claims");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    let seen = site.upstream.only("/claims");
    assert_eq!(seen.header("x-user"), Some("ada"), "the rest stands");
    assert!(seen.request.fields.all(header).len() <= 1);
    assert!(!seen.request.fields.has("x-forwarded-user"), "only what the route maps");
    seen.header(header).map(str::to_owned)
}

#[rstest]
#[case::line_break(json!("a\r\nX-Forwarded-User: root"), Some("a%0D%0AX-Forwarded-User: root"))]
#[case::nul(json!("a\0b"), Some("a%00b"))]
#[case::utf8(json!("Zoë 🙂"), Some("Zo%C3%AB %F0%9F%99%82"))]
#[case::percent(json!("100%"), Some("100%25"))]
#[case::comma(json!("Lovelace, Ada"), Some("Lovelace, Ada"))]
#[case::outer_blanks(json!(" ada "), Some("%20ada%20"))]
#[case::number(json!(4711), Some("4711"))]
#[case::boolean(json!(true), Some("true"))]
#[case::empty(json!(""), None)]
#[case::null(json!(null), None)]
fn a_text_claim_becomes_one_safe_header(#[case] claim: Value, #[case] expected: Option<&str>) {
    let found = header_for(&json!({ "badge": claim }), "x-badge");
    assert_eq!(found.as_deref(), expected);
}

#[rstest]
#[case::several(json!(["staff", "finance"]), Some("staff,finance"))]
#[case::one(json!("staff"), Some("staff"))]
#[case::commas_inside(json!(["a,b", "c"]), Some("a%2Cb,c"))]
#[case::line_break(json!(["a\r\nb"]), Some("a%0D%0Ab"))]
#[case::inner_blank(json!(["night shift"]), Some("night shift"))]
#[case::none(json!([]), None)]
fn a_list_claim_becomes_one_unambiguous_header(#[case] claim: Value, #[case] expected: Option<&str>) {
    let found = header_for(&json!({ "roles": claim }), "x-roles");
    assert_eq!(found.as_deref(), expected);
}

#[rstest]
#[case::too_large(json!({ "roles": vec!["a-rather-long-role-name"; 900] }), 403, "identity_too_large")]
#[case::an_object(json!({ "badge": { "colour": "red" } }), 500, "claim_shape")]
#[case::a_list_for_a_text(json!({ "badge": ["red"] }), 500, "claim_shape")]
fn an_identity_that_cannot_be_told_is_not_forwarded(
    #[case] claims: Value,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let site = mapping(&claims);
    let page = site.visit(&Browser::new(), "/claims");
    assert_eq!(page.status(), status, "{}", page.response.everything());
    site.upstream.saw_nothing();
    crate::support::eventually("the reason in the log", || {
        (site.gateway.access_log() + &site.gateway.logs()).contains(reason).then_some(())
    });
}

#[test]
fn static_header_edits_apply() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "edited", "match": { "path": "/edited" }, "auth": "public", "upstream": upstream.url(),
            "request_headers": { "set": { "X-Env": "prod" }, "remove": ["X-Debug"] },
            "response_headers": { "set": { "X-Frame-Options": "DENY" }, "remove": ["Content-Type"] },
        }))
    });
    let response = site.gateway.ask("GET /edited", "X-Debug: 1\r\nX-Env: test\r\n");
    let seen = site.upstream.only("/edited");
    assert_eq!((seen.request.fields.all("x-env"), seen.header("x-debug")), (vec!["prod"], None));
    assert_eq!(response.fields.text("x-frame-options"), "DENY");
    assert!(!response.fields.has("content-type"));
}
