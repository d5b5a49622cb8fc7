//! What people do with browsers: tabs in any order, the back button, bookmarks, reloads, cookies switched off.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use url::Url;

use crate::support::browser::{Browser, Errand, Page};
use crate::support::eventually;
use crate::support::html;
use crate::support::provider::{Endpoint, Fault};
use crate::support::site::{LOGIN, Mode, SESSION, Site, never_given_a_session};

fn site() -> Site {
    Site::with(|config, _| config.set("/log/format", json!("json")))
}

/// Presses the one button of a page.
fn press(browser: &Browser, page: &Page) -> Page {
    let text = page.response.text();
    let link = html::links(&text).into_iter().find(|link| link.contains("/.vestibule/"));
    let address = page.url.join(&link.expect("a button")).expect("an address");
    browser.walk(Errand::typed(address.as_str()).from(page.url.as_str()))
}

/// The order in which people come back to their tabs: as chance has it, and told when it fails.
fn shuffled(count: usize, mut seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(seed >> 33).unwrap_or_default() % (last + 1);
        order.swap(last, other);
    }
    order
}

#[rstest]
fn twenty_tabs_land_in_any_order(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[values("memory", "cookie")] store: &str,
    #[values(1, 2, 3, 4, 5)] seed: u64,
) {
    let (site, browser) =
        Site::answering(mode, Fault::None, |config, _| config.set("/sessions/store", json!(store)));
    // Each tab stands at the provider's page, about to come back.
    let tabs: Vec<_> = (0..20)
        .map(|tab| {
            let target = format!("/tab/{tab}?x={tab}");
            let challenge = browser.open(&site.url(&target));
            assert_eq!(challenge.status, 302, "{}", challenge.everything());
            (challenge.location().to_owned(), target)
        })
        .collect();
    let held = browser.cookie_names(&site.url("/")).into_iter().filter(|name| name.contains(LOGIN)).count();
    assert!(held <= 8, "{held} logins at once");
    for tab in shuffled(20, seed) {
        let (at_the_provider, target) = &tabs[tab];
        let mut page = browser.walk(Errand::typed(at_the_provider).from(&site.url(target)));
        while let Some(next) = browser.run_script(&page) {
            page = next;
        }
        if page.status() == 400 {
            // The login was the thirteenth from the last, and nobody is signed in yet: one button goes on.
            page = press(&browser, &page);
            while let Some(next) = browser.run_script(&page) {
                page = next;
            }
        }
        let landed = (page.status(), page.target());
        assert_eq!(landed, (200, target.clone()), "seed {seed}: {}", page.response.everything());
    }
    for seen in site.upstream.requests() {
        assert_eq!(seen.header("x-forwarded-user"), Some("ada"));
    }
}

#[test]
fn the_back_button_after_a_sign_out_signs_nobody_in() {
    let site = site();
    let browser = Browser::new();
    let callback = site.callback(&browser, "/page");
    assert_eq!(browser.visit(&callback).status(), 200);
    browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/page")));
    let asked = (site.provider.calls(Endpoint::Token), site.provider.calls(Endpoint::Authorize));
    site.upstream.forget();
    let page = browser.visit(&callback);
    assert_eq!(page.status(), 400, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "login_cookie_lost");
    assert_eq!((site.provider.calls(Endpoint::Token), site.provider.calls(Endpoint::Authorize)), asked);
    site.has_no_session(&browser);
    site.upstream.saw_nothing();
    // A button of ours begins again, for the same page.
    let page = press(&browser, &page);
    assert_eq!((page.status(), page.target().as_str()), (200, "/page"));
}

#[test]
fn a_callback_that_was_answered_and_whose_session_is_lost_says_so() {
    let site = site();
    let browser = Browser::new();
    let callback = site.callback(&browser, "/page");
    let cookies = browser.jar().clone();
    assert_eq!(browser.visit(&callback).status(), 200);
    // As if the answer had never come: the login's cookie is there, the session is not.
    *browser.jar() = cookies;
    let page = browser.visit(&callback);
    assert_eq!(page.status(), 400, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "callback_used_before");
    assert_eq!(site.provider.calls(Endpoint::Token), 1, "a code is good for one try");
    assert_eq!(press(&browser, &page).status(), 200);
}

#[rstest]
#[case::sign_in("/.vestibule/sign-in", "/")]
#[case::sign_in_for_a_page("/.vestibule/sign-in?return_to=/bookmarked", "/bookmarked")]
#[case::the_page_itself("/bookmarked?x=1#part", "/bookmarked?x=1")]
fn a_bookmark_works_signed_in_and_signed_out(#[case] bookmark: &str, #[case] target: &str) {
    let site = site();
    let browser = Browser::new();
    for _ in 0..2 {
        let page = site.visit(&browser, bookmark);
        assert_eq!((page.status(), page.target().as_str()), (200, target), "{}", site.gateway.logs());
    }
    assert_eq!(site.provider.calls(Endpoint::Authorize), 1);
}

#[test]
fn a_bookmark_of_the_providers_page_leads_to_a_button() {
    let site = site();
    let first = Browser::new();
    let challenge = site.open(&first, "/page");
    let bookmark = challenge.location().to_owned();
    // Another day, another browser: the provider leads to a callback that nobody here has begun.
    let browser = Browser::new();
    let page = browser.visit(&bookmark);
    assert_eq!(page.status(), 400, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "login_cookie_lost");
    never_given_a_session(&browser);
    let page = press(&browser, &page);
    assert_eq!((page.status(), page.target().as_str()), (200, "/page"));
}

#[rstest]
fn without_cookies_a_page_says_so_and_nothing_goes_round(
    #[values("/page", "/.vestibule/sign-in?return_to=/page")] start: &str,
) {
    let site = site();
    let browser = Browser::refusing_cookies();
    let mut page = site.visit(&browser, start);
    for turn in 1..4 {
        assert_eq!(page.status(), 400, "{}", page.response.everything());
        assert!(page.response.text().contains("cookie"), "{}", page.response.text());
        site.refused_at_callback(&page.response, "login_cookie_lost");
        assert_eq!(site.provider.calls(Endpoint::Authorize), turn, "once for each time somebody asks");
        page = press(&browser, &page);
    }
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    site.upstream.saw_nothing();
}

#[test]
fn a_browser_that_goes_away_in_the_middle_finds_its_session_when_it_reloads() {
    let site = Site::faulty(Fault::TokenAfterAPause, |config, _| config);
    let browser = Browser::new();
    let callback = Url::parse(&site.callback(&browser, "/page")).expect("an address");
    let cookies: Vec<_> =
        browser.jar().seen_by(&callback).iter().map(|c| format!("{}={}", c.name, c.value)).collect();
    let target = &callback[url::Position::BeforePath..];
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nCookie: {}\r\n\r\n",
        site.gateway.host(),
        cookies.join("; ")
    );
    let mut gone = TcpStream::connect(("127.0.0.1", site.gateway.port())).expect("a connection");
    gone.write_all(request.as_bytes()).expect("the request can be sent");
    thread::sleep(Duration::from_millis(200));
    drop(gone);
    // The reload comes while the code is being exchanged, and shares what comes of it.
    let page = browser.visit(callback.as_str());
    assert_eq!((page.status(), page.target().as_str()), (200, "/page"), "{}", page.response.everything());
    assert_eq!(site.provider.calls(Endpoint::Token), 1, "a code is good for one try");
}

#[test]
fn an_answer_that_comes_after_another_tab_has_signed_in_goes_on_with_that_session() {
    let site = site();
    let browser = Browser::new();
    let callbacks: Vec<_> = (0..12).map(|tab| site.callback(&browser, &format!("/tab/{tab}"))).collect();
    assert_eq!(browser.visit(&callbacks[11]).status(), 200);
    // Four have lost their cookies to the later ones, and lean on the session.
    for (tab, callback) in callbacks.iter().enumerate() {
        let page = browser.visit(callback);
        assert_eq!((page.status(), page.target()), (200, format!("/tab/{tab}")));
    }
    assert!(site.provider.calls(Endpoint::Token) <= 8);
}

#[test]
fn a_sign_out_in_one_tab_ends_the_others() {
    let site = site();
    let (one, two) = {
        let browser = site.signed_in();
        (browser.clone(), browser)
    };
    one.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/")));
    let response = two.send(&Errand::fetch(&site.url("/private")));
    assert_eq!(response.status, 401);
    assert_eq!(two.cookie(&site.url("/"), SESSION), None);
    // Its next page signs in anew, for the same page.
    let page = site.visit(&two, "/private?draft=7");
    assert_eq!((page.status(), page.target().as_str()), (200, "/private?draft=7"));
}

#[test]
fn somebody_else_at_the_same_browser_is_never_taken_for_the_first() {
    let site = site();
    let browser = site.signed_in();
    let first = browser.cookie(&site.url("/"), SESSION).expect("a session");
    let page = site.visit(&browser, "/.vestibule/sign-in?prompt=login&login_hint=grace&return_to=/private");
    assert_eq!(page.status(), 200);
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("grace"));
    // A request of the first person's tab, still on its way with the old cookie, is nobody's.
    eventually("the old session to be over", || {
        let response = site.gateway.ask("GET /late", &format!("Cookie: {SESSION}={first}\r\n"));
        (response.status == 401).then_some(())
    });
    assert!(site.upstream.requests_to("/late").is_empty());
}
