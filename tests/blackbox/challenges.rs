//! The answer to a request that may not pass, by the kind of client that sent it.

use rstest::rstest;
use serde_json::json;
use url::Url;

use crate::support::browser::{Browser, Errand};
use crate::support::html;
use crate::support::message::{Response, value};
use crate::support::provider::{CLIENT_ID, Endpoint};
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

#[track_caller]
fn points_to_sign_in(text: &str) {
    assert!(text.contains("/.vestibule/sign-in"), "{text}");
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
fn a_prefetch_gets_a_page_and_no_cookie(#[case] lines: &str) {
    let site = Site::start();
    let response = site.gateway.ask("GET /private", &format!("{NAVIGATE}{lines}"));
    is_plain_401(&site, &response);
    points_to_sign_in(&response.text());
}

#[rstest]
#[case::iframe("iframe")]
#[case::frame("frame")]
#[case::embed("embed")]
#[case::object("object")]
fn a_frame_gets_a_link_that_opens_the_top_window(#[case] dest: &str) {
    let site = Site::start();
    let response = site.gateway.ask("GET /private", &NAVIGATE.replace("document", dest));
    is_plain_401(&site, &response);
    let text = response.text();
    assert!(html::links(&text).iter().any(|link| link.contains("/.vestibule/sign-in")), "{text}");
    assert!(text.contains("_top"), "{text}");
}

#[test]
fn head_gets_401_without_a_cookie_or_a_body() {
    let site = Site::start();
    let response = site.gateway.ask("HEAD /private", NAVIGATE);
    is_plain_401(&site, &response);
}

#[test]
fn a_form_that_was_sent_is_not_lost_silently() {
    let site = Site::start();
    let response = site.gateway.ask("POST /private", &format!("{NAVIGATE}Content-Length: 3\r\n"));
    assert_eq!(response.status, 401, "{}", response.everything());
    assert!(response.fields.text("content-type").starts_with("text/html"));
    points_to_sign_in(&response.text());
    is_no_store(&site, &response);
}

#[rstest]
#[case::fetch(
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nAccept: */*\r\n"
)]
#[case::xhr("X-Requested-With: XMLHttpRequest\r\nAccept: text/html\r\n")]
#[case::json("Accept: application/json\r\n")]
#[case::event_source("Accept: text/event-stream\r\n")]
#[case::image("Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\nAccept: image/*\r\n")]
#[case::nothing_said("")]
#[case::curl("User-Agent: curl/8\r\nAccept: */*\r\n")]
fn a_script_gets_json_with_the_way_in(#[case] lines: &str) {
    let site = Site::start();
    let response = site.gateway.ask("GET /private", lines);
    is_plain_401(&site, &response);
    assert!(
        response.fields.text("content-type").starts_with("application/problem+json"),
        "{}",
        response.everything()
    );
    assert_eq!(response.json()["status"], 401, "{}", response.text());
    points_to_sign_in(&response.text());
}

#[test]
fn a_websocket_gets_401() {
    let site = Site::start();
    let request =
        websocket::request(&site.gateway.host(), "/private", &format!("Origin: {}\r\n", site.url("")));
    let response = crate::support::raw::ask(site.gateway.port(), &request);
    is_plain_401(&site, &response);
    points_to_sign_in(&response.text());
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

fn with_rule(rule: &serde_json::Value) -> Site {
    Site::with(|config, upstream| {
        config.route(json!({
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
    // The id that a person reads out is the one in the log.
    let text = page.text();
    crate::support::eventually("the page's request id in the access log", || {
        let log = site.gateway.access_log();
        let mut words = log.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words
            .any(|word| word.len() >= 8 && word.bytes().any(|b| b.is_ascii_digit()) && text.contains(word))
            .then_some(())
    });
}

#[test]
fn a_method_nobody_takes_is_405_before_anyone_signs_in() {
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "reading", "match": { "path": "/reading", "methods": ["GET"] }, "auth": { "session": "idp" },
            "upstream": upstream.url(),
        }))
    });
    for (request, expected) in [("POST /reading", 405), ("DELETE /reading", 405), ("HEAD /reading", 401)] {
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
