//! Wall clocks that are set while the gateway runs, and gateways whose clocks differ.

use std::thread;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand};
use crate::support::provider::{Endpoint, Fault, Provider};
use crate::support::site::{SESSION, Site, never_given_a_session};
use crate::support::wall_clock::WallClock;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A site whose gateway goes by a clock of ours; the provider's is right. A `null` claim of `sid`: nothing
/// but the session itself ends it.
fn site(store: &str) -> (Site, WallClock) {
    let (clock, provider) = (WallClock::right(), Provider::start());
    provider.claim(&json!({ "sid": null }));
    let site = Site::in_environment(provider, clock.environment(), |config, _| {
        config.set("/sessions/store", json!(store)).set("/log/format", json!("json"))
    });
    (site, clock)
}

/// Whether the browser's session is still good.
#[track_caller]
fn is_known(site: &Site, browser: &Browser) -> bool {
    let response = browser.send(&Errand::fetch(&site.url("/private")));
    assert!(matches!(response.status, 200 | 401), "{}", response.everything());
    response.status == 200
}

#[rstest]
#[case::a_minute_ahead(58, None)]
#[case::a_minute_behind(-58, None)]
#[case::more_than_a_minute_behind(-70, Some("id_token_iat"))]
#[case::an_hour_behind(-HOUR, Some("id_token_iat"))]
#[case::an_hour_ahead(HOUR, Some("id_token_expired"))]
#[case::a_day_ahead(25 * HOUR, Some("id_token_expired"))]
fn a_login_bears_a_minute_of_difference(#[case] offset: i64, #[case] refused: Option<&str>) {
    let (site, clock) = site("memory");
    clock.set(offset);
    let browser = Browser::new();
    let page = site.visit(&browser, "/private");
    match refused {
        None => assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs()),
        Some(reason) => {
            assert_eq!(page.status(), 400, "{}", page.response.everything());
            site.refused_at_callback(&page.response, reason);
            never_given_a_session(&browser);
        }
    }
}

#[rstest]
#[case::within_it(Fault::ExpWithinSkew, 24, true)]
#[case::beyond_it(Fault::ExpWithinSkew, 32, false)]
fn an_id_token_is_good_for_a_minute_after_its_end(
    #[case] fault: Fault,
    #[case] offset: i64,
    #[case] good: bool,
) {
    // It ended 30 s ago by the provider's clock.
    let (site, clock) = site("memory");
    site.provider.make(fault);
    clock.set(offset);
    let page = site.visit(&Browser::new(), "/private");
    assert_eq!(page.status(), if good { 200 } else { 400 }, "{}", page.response.everything());
}

#[rstest]
fn a_step_of_a_minute_ends_no_session(#[values("memory", "cookie")] store: &str) {
    let (site, clock) = site(store);
    let browser = site.signed_in();
    for offset in [60, 0, -60, 0, -60, 60, 0] {
        clock.set(offset);
        assert!(is_known(&site, &browser), "at {offset}");
    }
}

#[rstest]
#[case::memory("memory", 0)]
#[case::cookie("cookie", 60)]
fn a_session_ends_after_half_an_hour_without_use(#[case] store: &str, #[case] early: i64) {
    let (site, clock) = site(store);
    let (early_one, late_one) = (site.signed_in(), site.signed_in());
    clock.set(30 * MINUTE - early - 15);
    assert!(is_known(&site, &early_one), "by so much it may end early, and no more");
    clock.set(30 * MINUTE + 1);
    assert!(!is_known(&site, &late_one), "never late");
    assert!(is_known(&site, &early_one), "it was used");
}

#[rstest]
fn a_session_ends_after_ten_hours_however_much_it_is_used(#[values("memory", "cookie")] store: &str) {
    let (site, clock) = site(store);
    let browser = site.signed_in();
    for minutes in (20..600).step_by(20) {
        clock.set(minutes * MINUTE);
        assert!(is_known(&site, &browser), "after {minutes} minutes");
    }
    clock.set(10 * HOUR - 30);
    assert!(is_known(&site, &browser));
    clock.set(10 * HOUR + 1);
    assert!(!is_known(&site, &browser));
}

#[rstest]
fn a_clock_that_is_set_back_brings_no_ended_session_back(
    #[values("memory", "cookie")] store: &str,
    #[values("signed out", "somebody else")] how: &str,
) {
    let (site, clock) = site(store);
    let browser = site.signed_in();
    let cookies = browser.jar().clone();
    clock.set(10 * MINUTE);
    if how == "signed out" {
        browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/")));
    } else {
        // The provider's clock is behind ours by now, and its tokens would be too old.
        clock.set(30);
        let page =
            site.visit(&browser, "/.vestibule/sign-in?login_hint=grace&prompt=login&return_to=/private");
        assert_eq!(page.status(), 200, "{}", page.response.everything());
    }
    *browser.jar() = cookies;
    site.upstream.forget();
    assert!(!is_known(&site, &browser));
    for offset in [0, -5 * MINUTE, -HOUR] {
        clock.set(offset);
        assert!(!is_known(&site, &browser), "alive again at {offset}");
    }
    site.upstream.saw_nothing();
}

#[rstest]
fn a_sign_out_after_a_clock_was_set_back_ends_what_began_before(#[values("memory", "cookie")] store: &str) {
    let (site, clock) = site(store);
    site.provider.claim(&json!({ "sid": "one" }));
    clock.set(55);
    let (here, there) = (site.signed_in(), site.signed_in());
    clock.set(-55);
    here.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/")));
    assert!(!is_known(&site, &there), "the same sid, begun by a clock that was ahead");
    // Whoever signs in again is in, and not sent round.
    assert_eq!(site.visit(&here, "/private").status(), 200, "{}", site.gateway.logs());
    assert!(is_known(&site, &here));
}

#[test]
fn a_login_of_more_than_an_hour_begins_again_by_a_button() {
    let (site, clock) = site("memory");
    let browser = Browser::new();
    let callback = site.callback(&browser, "/the/page");
    clock.set(HOUR + MINUTE);
    let response = browser.open(&callback);
    assert_eq!(response.status, 400, "{}", response.everything());
    site.refused_at_callback(&response, "login_expired");
    assert!(response.text().contains("/.vestibule/sign-in?provider=idp&amp;return_to=/the/page"));
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    never_given_a_session(&browser);
}

#[test]
fn steps_of_a_day_make_nothing_spin_and_nothing_fall() {
    let (site, clock) = site("memory");
    for offset in [25 * HOUR, 0, -25 * HOUR, 0] {
        clock.set(offset);
        let before = site.gateway.processor_time();
        thread::sleep(Duration::from_secs(1));
        let spent = site.gateway.processor_time() - before;
        assert!(spent < 30, "{spent} hundredths of a second at {offset}");
        assert_eq!(site.gateway.ask("GET /public", "").status, 200);
    }
    assert_eq!(site.visit(&Browser::new(), "/private").status(), 200, "{}", site.gateway.logs());
}

#[test]
fn documents_of_yesterday_are_fetched_anew_and_not_believed() {
    let (site, clock) = site("memory");
    let fetched = site.provider.calls(Endpoint::Discovery);
    site.provider.make(Fault::Down);
    clock.set(25 * HOUR);
    let page = site.visit(&Browser::new(), "/private");
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    site.provider.make(Fault::None);
    let browser = Browser::new();
    crate::support::eventually("the provider to be asked again", || {
        (browser.open(&site.url("/.vestibule/sign-in")).status == 302).then_some(())
    });
    assert!(site.provider.calls(Endpoint::Discovery) > fetched);
}

#[test]
fn gateways_whose_clocks_differ_by_two_minutes_share_sessions_and_logins() {
    // One origin on two gateways, as behind a load balancer: told apart by their listeners' ports.
    let (ahead, behind) = (WallClock::right(), WallClock::right());
    ahead.set(60);
    behind.set(-60);
    let provider = Provider::start();
    let entry = provider.entry();
    let one = Site::in_environment(provider, ahead.environment(), |config, _| {
        config.set("/sessions/store", json!("cookie"))
    });
    let origin = one.url("");
    let two = Site::in_environment(Provider::start(), behind.environment(), |config, _| {
        config
            .set("/providers/idp", entry.clone())
            .set("/origins", json!([origin]))
            .set("/sessions/store", json!("cookie"))
    });
    let host = one.gateway.host();
    let ask = |site: &Site, target: &str, cookies: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n{cookies}\r\n");
        crate::support::raw::ask(site.gateway.port(), &request)
    };
    for (begins, ends) in [(&one, &two), (&two, &one)] {
        let start = ask(begins, "/private", "");
        assert_eq!(start.status, 302, "{}", start.everything());
        let login = start.fields.text("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let back = Browser::new().open(start.location()).location().to_owned();
        let target = back.strip_prefix(&origin).expect("the callback of the origin");
        let end = ask(ends, target, &format!("Cookie: {login}\r\n"));
        assert_eq!(end.status, 303, "{}\n{}", end.everything(), ends.gateway.logs());
        let cookies = end.fields.all("set-cookie");
        let session =
            cookies.iter().find(|line| line.starts_with(&format!("{SESSION}="))).expect("a session");
        let session = format!("Cookie: {}\r\n", session.split(';').next().unwrap_or_default());
        for site in [begins, ends, begins] {
            assert_eq!(ask(site, "/private", &session).status, 200);
        }
    }
}
