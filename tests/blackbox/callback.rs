//! Where the provider leads back to: who may use an answer, how often, and where it ends.

use std::thread;

use rstest::rstest;

use crate::support::browser::{Browser, Errand};
use crate::support::html;
use crate::support::provider::{Endpoint, Fault};
use crate::support::site::{LOGIN, SESSION, Site};

fn tokens(site: &Site) -> usize {
    site.provider.calls(Endpoint::Token)
}

#[rstest]
#[case::no_state("?code=abc")]
#[case::nothing("")]
#[case::wrong_state("?code=abc&state=never-sealed-by-us")]
#[case::empty_state("?code=abc&state=")]
#[case::two_states("?code=abc&state=a&state=b")]
#[case::line_breaks("?state=%0d%0aX-Evil:1&error=%0d%0aX-Evil:1&error_description=%0d%0aX-Evil:1")]
#[case::markup("?state=<script>&error=x&error_description=<script>alert(1)</script>")]
fn an_answer_nobody_asked_for_is_400(#[case] query: &str) {
    let site = Site::start();
    let browser = Browser::new();
    let encoded = query.replace('<', "%3C").replace('>', "%3E");
    let response = site.open(&browser, &format!("/.vestibule/callback{encoded}"));
    assert_eq!(response.status, 400, "{}", response.everything());
    assert!(!response.fields.has("location"), "never an automatic restart");
    assert!(!response.fields.has("x-evil"));
    assert!(!response.text().contains("<script>"), "{}", response.text());
    assert_eq!(response.fields.text("cache-control"), "no-store");
    assert_eq!(response.fields.text("x-content-type-options"), "nosniff");
    assert!(response.fields.text("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(response.fields.text("referrer-policy"), "no-referrer");
    site.has_no_session(&browser);
    assert_eq!(tokens(&site), 0);
    site.upstream.saw_nothing();
}

#[test]
fn an_answer_of_another_browser_is_400_with_a_way_on() {
    let site = Site::start();
    let (attacker, victim) = (Browser::new(), Browser::new());
    let callback = site.callback(&attacker, "/their/page");
    let response = victim.open(&callback);
    assert_eq!(response.status, 400, "{}", response.everything());
    assert_eq!(tokens(&site), 0);
    site.has_no_session(&victim);
    site.upstream.saw_nothing();
    // One button signs in again for the page that the sealed state names.
    let text = response.text();
    let ways =
        html::links(&text).into_iter().chain(html::forms(&text).into_iter().map(|form| form.address()));
    let again: Vec<_> = ways.filter(|way| way.contains("/.vestibule/sign-in")).collect();
    assert_eq!(again.len(), 1, "{text}");
    assert!(again[0].contains("their"), "{again:?}");

    // The answer is still good where it belongs.
    let page = attacker.visit(&callback);
    assert_eq!((page.status(), page.target().as_str()), (200, "/their/page"));
}

#[test]
fn an_answer_is_used_once() {
    let site = Site::start();
    let browser = Browser::new();
    let callback = site.callback(&browser, "/once");
    let first = browser.open(&callback);
    assert!(matches!(first.status, 302 | 303), "{}", first.everything());
    let again = browser.visit(&callback);
    assert_eq!(
        (again.status(), again.target().as_str()),
        (200, "/once"),
        "a live session goes on to the page"
    );
    assert_eq!(tokens(&site), 1);

    let stranger = Browser::new();
    assert_eq!(stranger.open(&callback).status, 400);
    assert_eq!(tokens(&site), 1);
    site.has_no_session(&stranger);
}

#[test]
fn the_code_leaves_the_address_bar() {
    let site = Site::start();
    let browser = Browser::new();
    let callback = site.callback(&browser, "/quiet?x=1");
    let response = browser.open(&callback);
    assert!(matches!(response.status, 302 | 303));
    assert!(!response.location().contains("code="), "{}", response.location());
    assert_eq!(response.fields.text("cache-control"), "no-store");
}

#[test]
fn copies_in_flight_make_one_token_call() {
    // Slow enough that all copies are there before the first is done.
    let site = Site::faulty(Fault::TokenAfterAPause, |config, _| config);
    let browser = Browser::new();
    let callback = site.callback(&browser, "/copied");
    let url = url::Url::parse(&callback).unwrap();
    let cookies: Vec<_> = {
        let jar = browser.jar();
        jar.seen_by(&url).iter().map(|c| format!("{}={}", c.name, c.value)).collect()
    };
    let line = format!("Cookie: {}\r\n", cookies.join("; "));
    let target = format!("{}?{}", url.path(), url.query().unwrap());
    let statuses: Vec<_> = thread::scope(|scope| {
        let ask =
            || site.gateway.ask(&format!("GET {target}"), &format!("Accept: text/html\r\n{line}")).status;
        let copies: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        copies.into_iter().map(|copy| copy.join().unwrap()).collect()
    });
    assert_eq!(tokens(&site), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 302 | 303)), "{statuses:?}");
}

#[test]
fn state_and_code_of_two_logins_do_not_mix() {
    let site = Site::start();
    let browser = Browser::new();
    let (one, two) = (site.callback(&browser, "/one"), site.callback(&browser, "/two"));
    let part = |url: &str, name: &str| {
        let url = url::Url::parse(url).unwrap();
        url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned()
    };
    let mut mixed = url::Url::parse(&one).unwrap();
    mixed
        .query_pairs_mut()
        .clear()
        .append_pair("state", &part(&one, "state"))
        .append_pair("code", &part(&two, "code"))
        .append_pair("iss", &site.provider.issuer());
    let response = browser.open(mixed.as_str());
    assert!((400..600).contains(&response.status), "{}", response.everything());
    site.has_no_session(&browser);
    site.upstream.saw_nothing();
}

#[test]
fn twenty_tabs_land_where_they_began() {
    let site = Site::start();
    let browser = Browser::new();
    let callbacks: Vec<_> = (0..20)
        .map(|tab| {
            let target = format!("/tab/{tab}");
            (site.callback(&browser, &target), target)
        })
        .collect();
    let names = browser.cookie_names(&site.url("/"));
    let logins: Vec<_> = names.iter().filter(|name| name.starts_with(LOGIN)).collect();
    assert!(logins.len() <= 8, "{} login cookies", logins.len());
    let bytes: usize =
        logins.iter().filter_map(|name| browser.cookie(&site.url("/"), name)).map(|v| v.len()).sum();
    assert!(bytes <= 8 * 1024, "login cookies of {bytes} bytes");

    // Tab 19 has its own cookie and comes first; of the others, 12 lean on the session it makes.
    for turn in 0..20 {
        let (callback, target) = &callbacks[(turn * 7 + 19) % 20];
        let page = browser.visit(callback);
        assert_eq!((page.status(), &page.target()), (200, target), "{}", page.response.everything());
        assert_eq!(site.upstream.only(target).header("x-forwarded-user"), Some("ada"));
    }
    assert!(tokens(&site) <= 8);
}

#[test]
fn parallel_tabs_that_finish_at_once_all_land() {
    let site = Site::start();
    let browser = Browser::new();
    thread::scope(|scope| {
        for tab in 0..8 {
            let (site, browser) = (&site, browser.clone());
            scope.spawn(move || {
                let target = format!("/at-once/{tab}");
                let page = site.visit(&browser, &target);
                assert_eq!((page.status(), page.target()), (200, target));
            });
        }
    });
    assert!(browser.cookie(&site.url("/"), SESSION).is_some());
}

#[test]
fn a_browser_that_keeps_no_session_is_told_so() {
    let site = Site::start();
    let browser = Browser::new();
    let mut last = None;
    for _ in 0..8 {
        let challenge = site.open(&browser, "/loop");
        if challenge.status != 302 {
            last = Some(challenge);
            break;
        }
        let back = browser.open(challenge.location());
        browser.open(back.location());
        browser.jar().remove(SESSION);
    }
    let page = last.expect("the circle should be broken");
    assert!((400..600).contains(&page.status), "{}", page.everything());
    assert!(page.text().contains("cookie"), "the page names likely causes: {}", page.text());
    // The first redirect follows no callback; three that do are let through.
    assert_eq!(site.provider.calls(Endpoint::Authorize), 4);
    site.upstream.saw_nothing();
}

#[test]
fn starting_often_without_coming_back_is_no_loop() {
    let site = Site::start();
    let browser = Browser::new();
    for _ in 0..12 {
        assert_eq!(site.open(&browser, "/again").status, 302);
    }
    assert_eq!(site.visit(&browser, "/again").status(), 200);
}

#[test]
fn an_answer_for_another_method_is_refused() {
    let site = Site::start();
    let browser = Browser::new();
    let callback = site.callback(&browser, "/x");
    for method in ["PUT", "DELETE", "PATCH"] {
        let path = callback.strip_prefix(&site.url("")).unwrap();
        assert_eq!(site.gateway.ask(&format!("{method} {path}"), "").status, 405, "{method}");
    }
    assert_eq!(tokens(&site), 0);
}

#[test]
fn a_body_over_64_kib_is_refused() {
    let site = Site::start();
    let body = format!("state={}", "x".repeat(70 * 1024));
    let response =
        Browser::new().send(&Errand::post(&site.url("/.vestibule/callback"), &body, &site.provider.issuer()));
    assert_eq!(response.status, 413, "{}", response.everything());
    assert_eq!(tokens(&site), 0);
}
