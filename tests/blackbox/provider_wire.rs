//! A provider whose answers come to grief on their way, endpoint by endpoint: slow, cut, huge, no JSON, no
//! answer at all. Nobody is signed in, nobody waits longer than agreed, and nothing else suffers.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::browser::Browser;
use crate::support::provider::{Endpoint, Mishap, Provider};
use crate::support::site::{Site, never_given_a_session};

const CALLBACK: &str = "/.vestibule/callback";
const SIGN_IN: &str = "/.vestibule/sign-in";

/// What a process of this kind takes for a new connection, its thread's stack, a log line: room to breathe.
const GROWTH_KIB: u64 = 8 * 1024;

fn site(mishap: Option<(Endpoint, Mishap)>) -> Site {
    let provider = Provider::start();
    provider.spoil(mishap);
    Site::around(provider, |config, _| {
        config.set("/providers/idp/userinfo", json!("always")).set("/log/format", json!("json"))
    })
}

#[rstest]
#[case::silence(Mishap::Slow, "provider_timeout")]
#[case::byte_by_byte(Mishap::Drips, "provider_timeout")]
#[case::no_answer(Mishap::Closes, "provider_unreachable")]
#[case::cut_off(Mishap::CutOff, "provider_unreachable")]
#[case::announced_shorter(Mishap::AnnouncedShorter, "provider_answer_not_json")]
#[case::out_of_order(Mishap::Status(500), "provider_status")]
#[case::bad_gateway(Mishap::Status(502), "provider_status")]
#[case::not_there(Mishap::Status(404), "provider_unexpected_status")]
#[case::nothing_to_say(Mishap::Status(203), "provider_unexpected_status")]
#[case::redirect(Mishap::Redirect, "provider_redirected")]
#[case::redirect_with_all_that_was_sent(Mishap::Leads(307, "ISSUER/planted"), "provider_redirected")]
#[case::redirect_for_good(Mishap::Leads(308, "ISSUER/planted"), "provider_redirected")]
#[case::a_page(Mishap::Html, "provider_answer_not_json")]
#[case::half_a_document(Mishap::Truncated, "provider_answer_not_json")]
#[case::two_megabytes(Mishap::Huge, "provider_answer_too_long")]
#[case::without_end(Mishap::Endless, "provider_answer_too_long")]
#[case::a_gibibyte(Mishap::Gibibyte, "provider_answer_too_long")]
#[case::very_deep(Mishap::Deep, "provider_answer_not_json")]
#[case::a_member_twice(Mishap::Doubled, "provider_answer_not_json")]
#[case::utf_16(Mishap::Utf16, "provider_answer_not_json")]
#[case::behind_a_mark(Mishap::ByteOrderMark, "provider_answer_not_json")]
#[case::more_behind_it(Mishap::Trailing, "provider_answer_not_json")]
#[case::null(Mishap::Bytes("null"), "provider_answer_not_json")]
#[case::nothing(Mishap::Bytes(""), "provider_answer_not_json")]
#[case::packed(Mishap::Gzip, "provider_answer_not_json")]
fn nobody_is_signed_in_by_a_spoilt_answer(
    #[values(Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo)] endpoint: Endpoint,
    #[case] mishap: Mishap,
    #[case] reason: &str,
) {
    let site = site(Some((endpoint, mishap)));
    let before = site.gateway.status("VmRSS");
    let browser = Browser::new();
    let since = Stopwatch::start();
    let page = site.arrive(&browser, "/private");
    let took = since.elapsed();
    let shown = page.response.everything();
    let path = if endpoint == Endpoint::Discovery { SIGN_IN } else { CALLBACK };
    let reason = match (endpoint, mishap) {
        (Endpoint::Userinfo, Mishap::Bytes("null")) => "userinfo_malformed",
        _ => reason,
    };
    let expected = (path.to_owned(), reason.to_owned());
    assert_eq!(site.reason(&page.response), expected, "{shown}\n{}", site.gateway.logs());
    assert_eq!(page.status(), 503, "{shown}");
    assert!(page.response.fields.has("retry-after"));
    assert_eq!(page.response.fields.text("cache-control"), "no-store");
    assert_eq!(page.response.fields.text("referrer-policy"), "no-referrer");
    assert!(page.response.fields.text("content-security-policy").contains("frame-ancestors 'none'"));
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
    // Two seconds by the configuration, retries among them; and what this machine is busy with.
    assert!(took < Duration::from_secs(6), "took {took:?}");
    let grown = site.gateway.status("VmRSS").saturating_sub(before);
    assert!(grown < GROWTH_KIB, "{grown} KiB more");
    let asked = site.provider.calls(endpoint);
    assert!(asked <= if endpoint == Endpoint::Token { 1 } else { 6 }, "asked {asked} times");
    assert_eq!(site.provider.calls(Endpoint::Planted), 0, "a redirect was followed");
    for secret in site.provider.secrets() {
        assert!(!shown.contains(&secret), "the page shows {secret}");
    }
}

#[rstest]
#[case::metadata(Endpoint::Discovery)]
#[case::keys(Endpoint::Jwks)]
#[case::userinfo(Endpoint::Userinfo)]
fn a_good_document_is_read_under_any_content_type(
    #[case] endpoint: Endpoint,
    #[values("text/plain", "application/octet-stream", "application/jwk-set+json; charset=utf-8")]
    said: &'static str,
) {
    // Keys and metadata come from file servers, too. A signed userinfo is no JSON and never read as one.
    let site = site(Some((endpoint, Mishap::ContentType(said))));
    assert_eq!(site.arrive(&Browser::new(), "/private").status(), 200, "{}", site.gateway.logs());
}

#[rstest]
#[case::seconds("7", "7")]
#[case::absurdly_long("86400", "60")]
#[case::no_number("soon", "5")]
#[case::negative("-1", "5")]
fn the_providers_wish_to_be_left_alone_goes_on_to_the_person(
    #[values(429, 503)] status: u16,
    #[case] said: &'static str,
    #[case] told: &str,
) {
    let site = site(None);
    site.provider.spoil(Some((Endpoint::Token, Mishap::Later(status, said))));
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    assert_eq!(page.response.fields.text("retry-after"), told);
    let reason = if status == 429 { "provider_rate_limit" } else { "provider_status" };
    site.refused_at_callback(&page.response, reason);
    assert_eq!(site.provider.calls(Endpoint::Token), 1, "a code is good for one try");

    // It is kept: the next login doesn't ask.
    let held = matches!(told, "7" | "60");
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 503);
    assert_eq!(site.provider.calls(Endpoint::Token), if held { 1 } else { 2 });
    if held {
        site.refused_at_callback(&page.response, "provider_held_off");
        let after: u64 = page.response.fields.text("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&after), "{after}");
    }
}

#[test]
fn a_silent_provider_holds_up_nobody_else() {
    let site = site(None);
    let signed_in = site.signed_in();
    site.provider.spoil(Some((Endpoint::Token, Mishap::Slow)));
    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..8).map(|_| scope.spawn(|| site.arrive(&Browser::new(), "/private").status())).collect();
        std::thread::sleep(Duration::from_millis(500));
        for turn in 0..20 {
            let since = Stopwatch::start();
            assert_eq!(site.open(&signed_in, &format!("/busy/{turn}")).status, 200);
            assert_eq!(site.gateway.ask("GET /public", "").status, 200);
            assert!(since.elapsed() < Duration::from_secs(1), "took {:?}", since.elapsed());
        }
        for login in waiting {
            assert_eq!(login.join().expect("a login"), 503);
        }
    });
}

#[test]
fn five_failures_open_the_circuit_and_a_provider_that_is_back_closes_it() {
    let site = site(None);
    let signed_in = site.signed_in();
    site.provider.spoil(Some((Endpoint::Token, Mishap::Status(500))));
    for _ in 0..5 {
        let page = site.arrive(&Browser::new(), "/private");
        site.refused_at_callback(&page.response, "provider_status");
    }
    let asked = site.provider.calls(Endpoint::Token);
    let mut said = Vec::new();
    for _ in 0..10 {
        let since = Stopwatch::start();
        let page = site.arrive(&Browser::new(), "/private");
        assert_eq!(page.status(), 503);
        assert!(since.elapsed() < Duration::from_secs(1), "took {:?}", since.elapsed());
        said.push(site.reason(&page.response).1);
    }
    assert!(said.iter().filter(|reason| *reason == "provider_circuit_open").count() >= 9, "{said:?}");
    assert!(site.provider.calls(Endpoint::Token) <= asked + 1, "one probe in five seconds");
    let ready = site.gateway.admin("/readyz").expect("an answer").text();
    assert!(ready.contains("open"), "{ready}");
    assert_eq!(site.open(&signed_in, "/still").status, 200, "who is signed in is not touched");

    site.provider.spoil(None);
    let since = Stopwatch::start();
    loop {
        if site.arrive(&Browser::new(), "/back").status() == 200 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(7), "not back after {:?}", since.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn two_hundred_failing_logins_leave_nothing_behind() {
    let site = site(None);
    site.signed_in();
    site.provider.spoil(Some((Endpoint::Token, Mishap::Closes)));
    site.arrive(&Browser::new(), "/private");
    let (threads, descriptors) = (site.gateway.status("Threads"), site.gateway.descriptors());
    for _ in 0..200 {
        assert_eq!(site.arrive(&Browser::new(), "/private").status(), 503);
    }
    assert!(site.gateway.status("Threads") <= threads + 2, "{} threads", site.gateway.status("Threads"));
    crate::support::eventually("the descriptors to be given back", || {
        (site.gateway.descriptors() <= descriptors + 4).then_some(())
    });
}
