//! The answer to a request that may not pass, by the kind of client that sent it.

use rstest::rstest;
use serde_json::json;
use url::Url;

use crate::support::browser::{Browser, Errand};
use crate::support::html;
use crate::support::message::{Response, value};
use crate::support::provider::{CLIENT_ID, Endpoint};
use crate::support::raw::Raw;
use crate::support::site::{LOGIN, Site};
use crate::support::websocket;

const NAVIGATE: &str = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-User: ?1\r\nAccept: text/html\r\n";

#[track_caller]
fn is_no_store(site: &Site, response: &Response) {
    assert_eq!(response.fields.text("cache-control"), "no-store", "{}", response.everything());
    site.upstream.saw_nothing();
}

/// 401 without a login cookie.
#[track_caller]
fn is_plain_401(site: &Site, response: &Response) {
    assert_eq!(response.status, 401, "{}", response.everything());
    assert_eq!(response.fields.all("set-cookie"), Vec::<&str>::new());
    assert!(!response.fields.has("location"));
    is_no_store(site, response);
    assert_eq!(site.provider.calls(Endpoint::Authorize), 0);
}

/// A page whose one link leads to the sign-in, in the whole window.
#[track_caller]
fn is_page_with_the_way_in(site: &Site, response: &Response, target: &str) {
    is_plain_401(site, response);
    let text = response.text();
    assert_eq!(response.fields.text("content-type"), "text/html; charset=utf-8", "{text}");
    let way = format!("/.vestibule/sign-in?provider=idp&return_to={target}");
    assert_eq!(html::links(&text), [way], "{text}");
    assert!(text.contains("target=\"_top\""), "{text}");
}

/// A problem that says where to sign in.
#[track_caller]
fn is_json_with_the_way_in(site: &Site, response: &Response) {
    is_plain_401(site, response);
    assert_eq!(response.fields.text("content-type"), "application/problem+json");
    let problem = response.json();
    assert_eq!(problem["status"], 401, "{problem}");
    assert_eq!(problem["type"], "tag:vestibule,2026:sign_in_required", "{problem}");
    assert_eq!(problem["sign_in"], site.url("/.vestibule/sign-in?provider=idp"), "{problem}");
    assert_eq!(problem["request_id"], response.fields.text("x-request-id"), "{problem}");
}

#[rstest]
#[case::a_browser(NAVIGATE)]
#[case::an_old_browser("Accept: text/html,application/xhtml+xml\r\n")]
#[case::a_link_from_another_site(
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: */*\r\n"
)]
fn a_navigation_is_led_to_the_provider(#[case] lines: &str) {
    let site = Site::start();
    let response = site.gateway.ask("GET /private?x=1", lines);
    assert_eq!(response.status, 302, "{}", response.everything());
    is_no_store(&site, &response);
    let to = Url::parse(response.location()).unwrap();
    assert_eq!(to[..url::Position::AfterPath], format!("{}/authorize", site.provider.issuer()));
    let asked: Vec<_> = to.query_pairs().into_owned().collect();
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", &site.url("/.vestibule/callback")),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(value(&asked, name), expected);
    }
    assert_eq!(value(&asked, "code_challenge").len(), 43);
    assert!(value(&asked, "state").len() >= 22 && value(&asked, "nonce").len() >= 22);
    assert!(!response.location().contains("private"), "the target stays sealed: {}", response.location());
    let cookies = response.fields.all("set-cookie");
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].starts_with(LOGIN), "{cookies:?}");
}

#[rstest]
#[case::prefetch("Sec-Purpose: prefetch\r\n")]
#[case::prerender("Sec-Purpose: prefetch;prerender\r\n")]
#[case::old_prefetch("Purpose: prefetch\r\n")]
#[case::preview("Purpose: preview\r\n")]
#[case::older_prefetch("X-Moz: prefetch\r\n")]
fn a_prefetch_gets_a_page_and_no_cookie(#[case] lines: &str) {
    let site = Site::start();
    let response = site.gateway.ask("GET /private", &format!("{NAVIGATE}{lines}"));
    is_page_with_the_way_in(&site, &response, "/private");
}

#[rstest]
#[case::iframe("iframe")]
#[case::frame("frame")]
#[case::embed("embed")]
#[case::object("object")]
#[case::fenced_frame("fencedframe")]
fn a_frame_gets_a_link_that_opens_the_top_window(#[case] dest: &str) {
    let site = Site::start();
    let response = site.gateway.ask("GET /private", &NAVIGATE.replace("document", dest));
    is_page_with_the_way_in(&site, &response, "/private");
    // The page it stands in may be of another site: it has to be shown there.
    assert!(!response.fields.has("x-frame-options"));
    assert!(!response.fields.text("content-security-policy").contains("frame-ancestors"));
}

#[rstest]
#[case::a_browser(NAVIGATE)]
#[case::a_program("")]
fn head_gets_401_without_a_cookie_or_a_body(#[case] lines: &str) {
    let site = Site::start();
    is_plain_401(&site, &site.gateway.ask("HEAD /private", lines));
    let mut raw = Raw::connect(site.gateway.port());
    let host = site.gateway.host();
    raw.send(format!("HEAD /private HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"));
    let all = String::from_utf8(raw.bytes(64 * 1024)).unwrap();
    assert!(all.starts_with("HTTP/1.1 401") && all.ends_with("\r\n\r\n"), "{all}");
    assert_eq!(all.matches("\r\n\r\n").count(), 1, "{all}");
}

#[rstest]
#[case::a_form("POST", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n")]
#[case::an_upload("PUT", "Content-Length: 0\r\n")]
#[case::by_the_method_alone("DELETE", "")]
fn a_form_that_was_sent_is_not_lost_silently(#[case] method: &str, #[case] lines: &str) {
    let site = Site::start();
    let response = site.gateway.ask(&format!("{method} /private?x=1"), &format!("{NAVIGATE}{lines}"));
    is_page_with_the_way_in(&site, &response, "/private%3Fx%3D1");
    let text = response.text();
    assert!(text.contains("What you sent was not taken") && text.contains("send it again"), "{text}");
}

#[rstest]
#[case::fetch(
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nAccept: */*\r\n"
)]
#[case::fetch_of_a_page("Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nAccept: text/html\r\n")]
#[case::xhr("X-Requested-With: XMLHttpRequest\r\nAccept: text/html\r\n")]
#[case::json("Accept: application/json\r\n")]
#[case::event_source("Accept: text/event-stream\r\n")]
#[case::image("Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\nAccept: image/*\r\n")]
#[case::nothing_said("")]
#[case::curl("User-Agent: curl/8\r\nAccept: */*\r\n")]
fn a_script_gets_json_with_the_way_in(#[case] lines: &str) {
    let site = Site::start();
    for method in ["GET", "POST", "DELETE", "OPTIONS"] {
        let response = site.gateway.ask(&format!("{method} /private"), lines);
        is_json_with_the_way_in(&site, &response);
    }
}

#[test]
fn a_websocket_gets_401() {
    let site = Site::start();
    let request =
        websocket::request(&site.gateway.host(), "/private", &format!("Origin: {}\r\n", site.url("")));
    is_json_with_the_way_in(&site, &crate::support::raw::ask(site.gateway.port(), &request));
}

#[test]
fn grpc_gets_its_own_status() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "finance", "match": { "path": "/finance" }, "auth": { "session": "idp" },
            "require": [{ "groups": ["directors"] }], "upstream": upstream.url(),
        }))
    });
    let lines = "Content-Type: application/grpc+proto\r\nTE: trailers\r\nContent-Length: 0\r\n";
    let anonymous = site.gateway.ask("POST /private", lines);
    assert_eq!((anonymous.status, anonymous.fields.text("grpc-status")), (200, "16"));
    is_no_store(&site, &anonymous);
    let session = site.session_line(&site.signed_in());
    let denied = site.gateway.ask("POST /finance", &format!("{session}{lines}"));
    assert_eq!((denied.status, denied.fields.text("grpc-status")), (200, "7"));
    is_no_store(&site, &denied);
}

#[rstest]
#[case::always_redirected("redirect", "Accept: application/json\r\n", 302)]
#[case::never_redirected("unauthorized", NAVIGATE, 401)]
fn a_route_can_say_how_it_challenges(#[case] style: &str, #[case] lines: &str, #[case] expected: u16) {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "styled", "match": { "path": "/styled" }, "auth": { "session": "idp" },
            "challenge": style, "upstream": upstream.url(),
        }))
    });
    let response = site.gateway.ask("GET /styled", lines);
    assert_eq!(response.status, expected, "{}", response.everything());
    is_no_store(&site, &response);
}

#[rstest]
#[case::head("HEAD", NAVIGATE)]
#[case::a_form("POST", NAVIGATE)]
#[case::a_script_that_posts("POST", "Accept: application/json\r\n")]
#[case::a_frame("GET", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n")]
#[case::a_prefetch("GET", "Accept: text/html\r\nSec-Purpose: prefetch\r\n")]
#[case::a_web_socket(
    "GET",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)]
fn a_route_that_redirects_begins_nothing_where_nobody_can_sign_in(#[case] method: &str, #[case] lines: &str) {
    let site = Site::with(|config, _| config.set("/routes/1/challenge", json!("redirect")));
    is_plain_401(&site, &site.gateway.ask(&format!("{method} /private"), lines));
}

fn with_rule(rule: &serde_json::Value) -> Site {
    Site::with(|config, upstream| {
        config.set("/log/format", json!("json")).route(json!({
            "id": "ruled", "match": { "path": "/ruled" }, "auth": { "session": "idp" }, "require": rule,
            "upstream": upstream.url(),
        }))
    })
}

#[rstest]
#[case::one_of_the_groups(json!([{ "groups": ["directors", "finance"] }]), 200)]
#[case::none_of_the_groups(json!([{ "groups": ["directors"] }]), 403)]
#[case::both_entries_hold(json!([{ "groups": ["staff"] }, { "groups": ["finance"] }]), 200)]
#[case::one_entry_fails(json!([{ "groups": ["staff"] }, { "groups": ["directors"] }]), 403)]
#[case::both_keys_hold(json!([{ "groups": ["staff"], "domains": ["example.com"] }]), 200)]
#[case::one_key_fails(json!([{ "groups": ["staff"], "domains": ["example.org"] }]), 403)]
#[case::the_email(json!([{ "emails": ["ada@example.com"] }]), 200)]
#[case::another_email(json!([{ "emails": ["grace@example.com"] }]), 403)]
#[case::a_domain_that_only_ends_alike(json!([{ "domains": ["ample.com"] }]), 403)]
fn rules_decide_who_may_pass(#[case] rule: serde_json::Value, #[case] expected: u16) {
    let site = with_rule(&rule);
    let session = site.session_line(&site.signed_in());
    let response = site.gateway.ask("GET /ruled", &session);
    assert_eq!(response.status, expected, "{}", response.everything());
    assert_eq!(site.upstream.requests().len(), usize::from(expected == 200));
}

#[test]
fn an_unverified_email_is_no_email() {
    let provider = crate::support::provider::Provider::start();
    provider.claim(&json!({ "email_verified": false }));
    let site = Site::around(provider, |config, upstream| {
        config.route(json!({
            "id": "ruled", "match": { "path": "/ruled" }, "auth": { "session": "idp" },
            "require": [{ "domains": ["example.com"] }], "upstream": upstream.url(),
        }))
    });
    let session = site.session_line(&site.signed_in());
    assert_eq!(site.gateway.ask("GET /ruled", &session).status, 403);
    site.upstream.saw_nothing();
}

#[test]
fn a_denied_person_gets_a_page_and_a_script_gets_json() {
    let site = with_rule(&json!([{ "groups": ["directors"] }]));
    let browser = site.signed_in();
    let page = site.open(&browser, "/ruled");
    assert_eq!(page.status, 403, "{}", page.everything());
    assert!(page.fields.text("content-type").starts_with("text/html"));
    assert!(!page.text().contains("directors"), "the page doesn't say who may");
    is_no_store(&site, &page);

    let json = browser.send(&Errand::fetch(&site.url("/ruled")).header("Accept", "application/json"));
    assert_eq!(json.status, 403);
    assert!(
        json.fields.text("content-type").starts_with("application/problem+json"),
        "{}",
        json.everything()
    );
    assert_eq!(json.json()["status"], 403);
    assert_eq!(json.json()["type"], "tag:vestibule,2026:denied");
    assert_eq!(json.json()["sign_in"], json!(null), "signing in again would change nothing");
    // The id that a person reads out is the one in the log, beside the rule that doesn't hold.
    for answer in [&page, &json] {
        let id = answer.fields.text("x-request-id");
        assert!(id.len() == 32 && answer.text().contains(id), "{}", answer.everything());
        assert_eq!(site.reason(answer), ("/ruled".to_owned(), "groups".to_owned()));
    }
}

#[test]
fn a_method_nobody_takes_is_405_before_anyone_signs_in() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "reading", "match": { "path": "/reading", "methods": ["GET"] }, "auth": { "session": "idp" },
            "upstream": upstream.url(),
        }))
    });
    for (request, expected) in [("POST /reading", 405), ("HEAD /reading", 401), ("DELETE /reading/x", 405)] {
        assert_eq!(site.gateway.ask(request, NAVIGATE).status, expected, "{request}");
    }
    site.upstream.saw_nothing();
}

#[test]
fn signing_in_from_the_401_leads_back_to_the_page() {
    let site = Site::start();
    let response = site.gateway.ask("GET /private?x=1", "Accept: application/json\r\n");
    let text = response.text();
    let at = text.find("/.vestibule/sign-in").expect("the way in");
    let target: String = text[at..].chars().take_while(|c| !matches!(c, '"' | '\\' | ' ')).collect();
    let page = site.visit(&Browser::new(), &target);
    assert_eq!(page.status(), 200, "{}", page.response.everything());
    assert_eq!(site.upstream.requests().len(), 1);
    assert_eq!(site.upstream.requests()[0].header("x-forwarded-user"), Some("ada"));
}
