//! The way out: who may start it, what ends, and where it leads.

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand};
use crate::support::html;
use crate::support::message::value;
use crate::support::provider::{CLIENT_ID, Endpoint, Fault};
use crate::support::site::{SESSION, Site};

const SIGN_OUT: &str = "/.vestibule/sign-out";

#[rstest]
#[case::memory("memory")]
#[case::cookie("cookie")]
fn a_sign_out_ends_the_session_here_and_at_the_provider(#[case] store: &str) {
    let site = Site::with(|config, _| config.set("/sessions/store", json!(store)));
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    assert!(site.is_alive(&session));
    let errand = Errand::post(&site.url(SIGN_OUT), "return_to=%2Fpublic%2Fbye", &site.url("/private"));
    let first = browser.send(&errand);
    assert_eq!(first.status, 303, "{}", first.everything());
    assert!(first.location().starts_with(&format!("{}/end-session?", site.provider.issuer())));
    assert_eq!(browser.cookie(&site.url("/"), SESSION), None);
    assert!(!site.is_alive(&session), "the old cookie is dead at once");

    let page = browser.walk(Errand::typed(first.location()).from(&site.url("/private")));
    let asked = site.provider.sign_outs().remove(0);
    assert_eq!(value(&asked, "post_logout_redirect_uri"), site.url("/.vestibule/signed-out"));
    assert!(!value(&asked, "state").is_empty());
    let hinted = !value(&asked, "id_token_hint").is_empty();
    let named = value(&asked, "client_id") == CLIENT_ID;
    assert!(hinted || named, "{asked:?}");
    assert!(page.trail.iter().any(|url| url.path() == "/.vestibule/signed-out"), "{:?}", page.trail);
    assert_eq!((page.status(), page.target().as_str()), (200, "/public/bye"));
}

#[rstest]
#[case::link_of_our_own("same-origin", true)]
#[case::typed("none", true)]
#[case::another_site("cross-site", false)]
#[case::a_sibling("same-site", false)]
fn a_link_ends_the_session_only_from_our_own_pages(#[case] site_value: &str, #[case] ends: bool) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let lines = format!(
        "{session}Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: {site_value}\r\n"
    );
    let response = site.gateway.ask(&format!("GET {SIGN_OUT}"), &lines);
    assert_eq!(site.is_alive(&session), !ends, "{}", response.everything());
    if ends {
        assert!(matches!(response.status, 302 | 303), "{}", response.everything());
    } else {
        assert_eq!(response.status, 200, "{}", response.everything());
        let forms = html::forms(&response.text());
        assert_eq!(forms.len(), 1, "a page with one button: {}", response.text());
        assert_eq!(forms[0].method, "POST");
        assert!(!response.text().contains("<script"));
        assert!(response.fields.text("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(response.fields.all("set-cookie"), Vec::<&str>::new());
    }
    assert_eq!(site.provider.calls(Endpoint::EndSession), 0);
}

#[rstest]
#[case::loaded_ahead("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Purpose: prefetch\r\n")]
#[case::rendered_ahead(
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Purpose: prefetch;prerender\r\n"
)]
#[case::loaded_ahead_by_an_old_browser("Purpose: prefetch\r\n")]
#[case::as_an_image("Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n")]
#[case::in_a_frame("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n")]
#[case::as_a_script("Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n")]
#[case::prefetched_by_a_link("Sec-Purpose: prefetch\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\n")]
fn a_link_that_nobody_has_chosen_ends_nothing(#[case] lines: &str) {
    // On a page of our own, where a stranger may have put it.
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let lines = format!("{session}Sec-Fetch-Site: same-origin\r\n{lines}");
    let response = site.gateway.ask(&format!("GET {SIGN_OUT}"), &lines);
    assert_eq!(response.status, 200, "{}", response.everything());
    assert_eq!(response.fields.all("set-cookie"), Vec::<&str>::new());
    assert!(site.is_alive(&session));
}

/// Where a browser is after it has signed out for `/public/bye`, over a provider with this peculiarity.
fn signed_out_over(fault: Fault) -> (Site, crate::support::browser::Page) {
    let site = Site::start();
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    site.provider.make(fault);
    let errand = Errand::post(&site.url(SIGN_OUT), "return_to=%2Fpublic%2Fbye", &site.url("/private"));
    let page = browser.walk(errand);
    assert_eq!(page.status(), 200, "{}", page.response.everything());
    assert_eq!(site.provider.calls(Endpoint::EndSession), 1);
    assert_eq!(browser.cookie(&site.url("/"), SESSION), None);
    assert!(!site.is_alive(&session));
    (site, page)
}

#[rstest]
#[case::oidcc_client_test_rp_init_logout(Fault::None, "/public/bye")]
#[case::oidcc_client_test_rp_init_logout_no_state(Fault::EndSessionNoState, "/.vestibule/signed-out")]
#[case::oidcc_client_test_rp_init_logout_other_state(
    Fault::EndSessionOtherState,
    "/.vestibule/signed-out?state=another-state"
)]
fn comes_back_from_the_provider(#[case] fault: Fault, #[case] target: &str) {
    let (site, page) = signed_out_over(fault);
    assert_eq!(page.target(), target);
    let asked = site.provider.sign_outs().concat();
    for name in ["id_token_hint", "post_logout_redirect_uri", "state"] {
        assert!(!value(&asked, name).is_empty(), "{name} in {asked:?}");
    }
}

#[test]
fn a_provider_without_a_sign_out_of_its_own_is_passed_over() {
    let site = Site::faulty(Fault::NoEndSession, |config, _| config);
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    let errand = Errand::post(&site.url(SIGN_OUT), "return_to=%2Fpublic%2Fbye", &site.url("/private"));
    let page = browser.walk(errand);
    assert_eq!((page.status(), page.target().as_str()), (200, "/public/bye"));
    assert_eq!(site.provider.calls(Endpoint::EndSession), 0);
    assert!(!site.is_alive(&session));
}

#[test]
fn a_link_in_a_frame_of_our_own_that_was_clicked_ends_the_session() {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let lines = format!(
        "{session}Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\nSec-Fetch-User: ?1\r\n"
    );
    assert_eq!(site.gateway.ask(&format!("GET {SIGN_OUT}"), &lines).status, 303);
    assert!(!site.is_alive(&session));
}

#[rstest]
#[case::another_method("PUT", "", 405)]
#[case::deletes("DELETE", "", 405)]
#[case::not_a_form("POST", "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 400)]
fn a_request_that_is_no_sign_out_ends_nothing(#[case] method: &str, #[case] more: &str, #[case] status: u16) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let (lines, body) = more.split_once("\r\n\r\n").unwrap_or((more, ""));
    let lines = if body.is_empty() { lines.to_owned() } else { format!("{lines}\r\n") };
    let head = format!("{session}Origin: {}\r\n{lines}", site.url(""));
    let request =
        format!("{method} {SIGN_OUT} HTTP/1.1\r\nHost: {}\r\n{head}\r\n{body}", site.gateway.host());
    let response = crate::support::raw::ask(site.gateway.port(), &request);
    assert_eq!(response.status, status, "{}", response.everything());
    assert!(site.is_alive(&session));
}

#[rstest]
#[case::our_page(Some("SELF/private"), true)]
#[case::another_site(Some("https://evil.test/"), false)]
#[case::one_that_begins_like_ours(Some("SELF.evil.test/"), false)]
#[case::none(None, false)]
fn an_old_browser_is_judged_by_its_referer(#[case] referer: Option<&str>, #[case] ends: bool) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let referer =
        referer.map_or(String::new(), |r| format!("Referer: {}\r\n", r.replace("SELF", &site.url(""))));
    site.gateway.ask(&format!("GET {SIGN_OUT}"), &format!("{session}Accept: text/html\r\n{referer}"));
    assert_eq!(site.is_alive(&session), !ends);
}

#[rstest]
#[case::our_origin("SELF", true)]
#[case::another("https://evil.test", false)]
#[case::opaque("null", false)]
#[case::another_scheme("https://HOST", false)]
fn a_form_ends_the_session_only_from_our_own_origin(#[case] origin: &str, #[case] ends: bool) {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let origin = origin.replace("SELF", &site.url("")).replace("HOST", &site.gateway.host());
    let lines = format!("{session}Origin: {origin}\r\nContent-Length: 0\r\n");
    let response = site.gateway.ask(&format!("POST {SIGN_OUT}"), &lines);
    assert_eq!(response.status, if ends { 303 } else { 403 }, "{}", response.everything());
    assert_eq!(site.is_alive(&session), !ends);
}

#[test]
fn a_form_without_an_origin_is_refused() {
    let site = Site::start();
    let session = site.session_line(&site.signed_in());
    let response = site.gateway.ask(&format!("POST {SIGN_OUT}"), &format!("{session}Content-Length: 0\r\n"));
    assert_eq!(response.status, 403);
    assert!(site.is_alive(&session));
}

#[test]
fn the_button_of_the_page_works() {
    let site = Site::start();
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    let page = browser.walk(Errand::typed(&site.url(SIGN_OUT)).from("https://elsewhere.test/"));
    let form = html::forms(&page.response.text()).remove(0);
    let end = browser.submit(&page, &form);
    assert!((200..300).contains(&end.status()) || end.status() == 401, "{}", end.response.everything());
    assert!(!site.is_alive(&session));
    assert_eq!(site.provider.calls(Endpoint::EndSession), 1);
}

#[test]
fn a_provider_that_is_down_keeps_no_session() {
    let site = Site::start();
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    site.provider.make(Fault::Down);
    let response = browser.send(&Errand::post(&site.url(SIGN_OUT), "", &site.url("/")));
    assert!(response.status < 500, "{}", response.everything());
    assert_eq!(browser.cookie(&site.url("/"), SESSION), None);
    assert!(!site.is_alive(&session));
}

#[test]
fn a_local_sign_out_asks_the_provider_nothing() {
    let site = Site::with(|config, _| {
        config
            .set("/providers/idp/sign_out", json!("local"))
            .set("/providers/idp/after_sign_out", json!("/public/bye"))
    });
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    let page = browser.walk(Errand::post(&site.url(SIGN_OUT), "", &site.url("/")));
    assert!(!site.is_alive(&session));
    assert_eq!(site.provider.calls(Endpoint::EndSession), 0);
    assert_eq!((page.status(), page.target().as_str()), (200, "/public/bye"));
    assert!(
        page.trail.iter().all(|url| url.origin().ascii_serialization() == site.url("")),
        "{:?}",
        page.trail
    );
}

#[test]
fn all_sessions_of_one_provider_session_end_together() {
    let site = Site::start();
    // The ordinary claims give both the same `sid`.
    let (here, there) = (site.signed_in(), site.signed_in());
    let (here_line, there_line) = (site.session_line(&here), site.session_line(&there));
    here.send(&Errand::post(&site.url(SIGN_OUT), "", &site.url("/")));
    assert!(!site.is_alive(&here_line));
    assert!(!site.is_alive(&there_line), "the same sid");
}

#[test]
fn sessions_of_another_provider_session_live_on() {
    let site = Site::start();
    let here = site.signed_in();
    site.provider.claim(&json!({ "sid": "session-2" }));
    let there = site.signed_in();
    let there_line = site.session_line(&there);
    here.send(&Errand::post(&site.url(SIGN_OUT), "", &site.url("/")));
    assert!(site.is_alive(&there_line));
}

#[test]
fn signing_out_twice_does_no_harm() {
    let site = Site::start();
    let browser = site.signed_in();
    for _ in 0..2 {
        let page = browser.walk(Errand::post(&site.url(SIGN_OUT), "", &site.url("/")));
        assert!(page.status() < 500, "{}", page.response.everything());
    }
    let anonymous = Browser::new().walk(Errand::post(&site.url(SIGN_OUT), "", &site.url("/")));
    assert!(anonymous.status() < 500, "{}", anonymous.response.everything());
}

#[rstest]
#[case::another_state("?state=another")]
#[case::no_state("")]
#[case::markup("?state=%3Cscript%3E&error=%3Cscript%3E")]
fn the_state_that_comes_back_is_trusted_for_nothing(#[case] query: &str) {
    let site = Site::start();
    let response = Browser::new().open(&site.url(&format!("/.vestibule/signed-out{query}")));
    assert!(matches!(response.status, 200 | 302 | 303 | 400), "{}", response.everything());
    if response.fields.has("location") {
        let to = url::Url::parse(&site.url("/")).unwrap().join(response.location()).unwrap();
        assert_eq!(to.as_str(), site.url("/"));
    }
    assert!(!response.text().contains("<script>"));
    assert_eq!(response.fields.text("cache-control"), "no-store");
}
