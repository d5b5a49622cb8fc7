//! A provider that is gone, takes no connection, stays silent, stumbles or asks to be left alone: what that costs whom,
//! in time and in calls.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use vestibule::clock::{Clock as _, Stopwatch, SystemClock};

use crate::support::browser::Browser;
use crate::support::config::Config;
use crate::support::gateway::listens;
use crate::support::listener::free_port;
use crate::support::provider::{Endpoint, Fault, Mishap, Provider};
use crate::support::site::{Site, never_given_a_session};
use crate::support::{eventually, within};

/// A login that the provider holds up nobody for.
const AT_ONCE: Duration = Duration::from_secs(1);
/// After a provider is back it is asked within five seconds; a login takes its time, too.
const BACK: Duration = Duration::from_millis(5_500);

fn site_at(port: u16, edit: impl FnOnce(Config) -> Config) -> Site {
    Site::around(Provider::start_at(port), |config, _| edit(config).set("/log/format", json!("json")))
}

/// With userinfo asked for at every login.
fn site() -> Site {
    site_at(free_port(), |config| config.set("/providers/idp/userinfo", json!("always")))
}

/// Nothing listens where the provider was, and connections that were kept end with their next request.
fn takes_leave(provider: Provider, port: u16) {
    provider.make(Fault::Down);
    drop(provider);
    eventually("the provider to be gone", || (!listens(port)).then_some(()));
}

#[test]
fn a_provider_that_is_gone_takes_nothing_from_whoever_is_in() {
    let port = free_port();
    let site = site_at(port, |config| config);
    let session = site.session_line(&site.signed_in());
    let logins: Vec<_> = (0..14)
        .map(|_| {
            let browser = Browser::new();
            let callback = site.callback(&browser, "/private");
            (browser, callback)
        })
        .collect();
    let Site { gateway, provider, upstream } = site;
    takes_leave(provider, port);
    let (threads, descriptors) = (gateway.status("Threads"), gateway.descriptors());

    // Seven seconds: five failures, the circuit open, a probe that fails, and open again.
    let mut asked = 0;
    for (browser, callback) in &logins {
        let since = Stopwatch::start();
        let answer = browser.open(callback);
        assert!(since.elapsed() < AT_ONCE, "took {:?}", since.elapsed());
        assert_eq!(answer.status, 503, "{}", answer.everything());
        assert!(answer.fields.has("retry-after"), "{}", answer.everything());
        let (_, reason) = gateway.reason(&answer);
        assert!(matches!(reason.as_str(), "provider_unreachable" | "provider_circuit_open"), "{reason}");
        never_given_a_session(browser);
        // Where the way in leads is known from before.
        assert_eq!(Browser::new().open(&gateway.url("/private")).status, 302);
        while since.elapsed() < Duration::from_millis(500) {
            assert_eq!(gateway.ask("GET /live", &session).status, 200);
            asked += 1;
        }
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), asked, "nothing but the session's own requests");
    assert!(seen.iter().all(|request| request.header("x-forwarded-user") == Some("ada")));
    assert!(gateway.status("Threads") <= threads + 2, "{} threads", gateway.status("Threads"));
    eventually("the descriptors to be given back", || {
        (gateway.descriptors() <= descriptors + 4).then_some(())
    });

    let _provider = Provider::start_at(port);
    within(BACK, "a login at the provider that is back", || {
        (Browser::new().visit(&gateway.url("/back")).status() == 200).then_some(())
    });
    assert_eq!(upstream.only("/back").header("x-forwarded-user"), Some("ada"));
}

/// A port at which connections are asked for in vain: its queue is full, and nobody takes from it.
struct BlackHole {
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    fn at(port: u16) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        listener.set_reuse_address(true).expect("an option of a socket");
        listener.bind(&address.into()).and_then(|()| listener.listen(1)).expect("a port that is free");
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(stream);
            assert!(queue.len() < 64, "its queue has no end");
        }
        Self { _listener: listener, _queue: queue }
    }
}

#[test]
fn a_provider_that_takes_no_connection_is_waited_for_two_seconds() {
    let port = free_port();
    let site = site_at(port, |config| config.unset("/providers/idp/timeouts"));
    let browser = Browser::new();
    let callback = site.callback(&browser, "/private");
    let Site { gateway, provider, upstream } = site;
    takes_leave(provider, port);
    let _hole = BlackHole::at(port);
    let since = Stopwatch::start();
    let answer = browser.open(&callback);
    let took = since.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.everything());
    assert_eq!(gateway.reason(&answer).1, "provider_timeout", "{}", gateway.logs());
    assert!((1_800..3_500).contains(&took.as_millis()), "took {took:?}");
    never_given_a_session(&browser);
    upstream.saw_nothing();
}

#[rstest]
#[case::for_a_token(Endpoint::Token)]
#[case::for_userinfo(Endpoint::Userinfo)]
fn a_provider_that_stays_silent_is_waited_for_five_seconds(#[case] endpoint: Endpoint) {
    let site = site_at(free_port(), |config| {
        config.unset("/providers/idp/timeouts").set("/providers/idp/userinfo", json!("always"))
    });
    let browser = Browser::new();
    let callback = site.callback(&browser, "/private");
    site.provider.spoil(Some((endpoint, Mishap::Slow)));
    let since = Stopwatch::start();
    let answer = browser.open(&callback);
    let took = since.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.everything());
    site.refused_at_callback(&answer, "provider_timeout");
    // After six it would have closed the connection.
    assert!((4_800..5_900).contains(&took.as_millis()), "took {took:?}");
    assert_eq!(site.provider.calls(endpoint), 1, "no time is left for another try");
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[rstest]
#[case::metadata(Endpoint::Discovery)]
#[case::keys(Endpoint::Jwks)]
#[case::userinfo(Endpoint::Userinfo)]
fn who_stumbles_twice_is_asked_a_third_time(#[case] endpoint: Endpoint) {
    let provider = Provider::start();
    provider.spoil(Some((endpoint, Mishap::Hiccups(2))));
    let site = Site::around(provider, |config, _| config.set("/providers/idp/userinfo", json!("always")));
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    // Documents are fetched at the start, too, and anew where that took more than a second.
    let (asked, at_login) = (site.provider.calls(endpoint), endpoint == Endpoint::Userinfo);
    assert!(if at_login { asked == 3 } else { asked >= 3 }, "asked {asked} times");
}

#[rstest]
#[case::three_times(Endpoint::Userinfo, 3, 3)]
#[case::four_times(Endpoint::Userinfo, 4, 3)]
#[case::once_where_a_code_is_spent(Endpoint::Token, 1, 1)]
fn who_stumbles_too_often_makes_no_session(
    #[case] endpoint: Endpoint,
    #[case] times: usize,
    #[case] calls: usize,
) {
    let site = site();
    site.provider.spoil(Some((endpoint, Mishap::Hiccups(times))));
    let browser = Browser::new();
    let page = site.arrive(&browser, "/private");
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "provider_status");
    assert_eq!(site.provider.calls(endpoint), calls);
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[rstest]
fn a_pause_that_one_endpoint_asks_for_is_kept_there_alone(#[values(429, 503)] status: u16) {
    let site = site();
    site.provider.spoil(Some((Endpoint::Userinfo, Mishap::Later(status, "9"))));
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    assert_eq!(page.response.fields.text("retry-after"), "9");
    let reason = if status == 429 { "provider_rate_limit" } else { "provider_status" };
    site.refused_at_callback(&page.response, reason);
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 1, "tried again though asked not to");

    site.provider.spoil(None);
    let page = site.arrive(&Browser::new(), "/private");
    site.refused_at_callback(&page.response, "provider_held_off");
    let calls = [Endpoint::Token, Endpoint::Userinfo].map(|endpoint| site.provider.calls(endpoint));
    assert_eq!(calls, [2, 1], "tokens may be had, userinfo not yet");
    site.upstream.saw_nothing();
}

#[test]
fn a_pause_until_a_time_of_day_is_kept_until_then() {
    let site = site();
    let then = i64::try_from(SystemClock.now().as_secs() + 30).expect("a time");
    let then = jiff::Timestamp::from_second(then).expect("a time");
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&then);
    let date: &'static str = date.expect("a date").leak();
    site.provider.spoil(Some((Endpoint::Token, Mishap::Later(503, date))));
    let page = site.arrive(&Browser::new(), "/private");
    let after = page.response.fields.text("retry-after").parse::<u64>().expect("seconds");
    assert!((15..=30).contains(&after), "{after} s until {date}");
    let page = site.arrive(&Browser::new(), "/private");
    site.refused_at_callback(&page.response, "provider_held_off");
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
}
