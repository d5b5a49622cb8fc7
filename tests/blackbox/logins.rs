//! How logins begin: what is asked of the provider, how often, and what it must prove.

use std::collections::HashSet;

use rstest::rstest;
use serde_json::{Value, json};
use url::Url;
use vestibule::clock::Stopwatch;

use crate::support::address::parameter;
use crate::support::browser::{Browser, Errand};
use crate::support::config::Config;
use crate::support::html;
use crate::support::message::value;
use crate::support::provider::{Endpoint, Fault, Provider};
use crate::support::site::{LOGIN, Mode, SESSION, Site, never_given_a_session};
use crate::support::upstream::Upstream;

/// Adds `max_age` to the login of one page, or of all.
fn a_minute(of: &str) -> impl FnOnce(Config, &Upstream) -> Config {
    let pointer = if of == "route" { "/routes/1/authorize" } else { "/providers/idp/authorize" };
    move |config, _| config.set(pointer, json!({ "max_age": 60 }))
}

#[rstest]
#[case::signed_in_just_now(Fault::None)]
#[case::within_the_skew(Fault::AuthTimeWithinSkew)]
fn who_has_signed_in_lately_enough_passes(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[values("provider", "route")] of: &str,
    #[case] fault: Fault,
) {
    let (site, browser) = Site::answering(mode, fault, a_minute(of));
    let page = site.arrive(&browser, "/private");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(value(&site.provider.authorization_requests().concat(), "max_age"), "60");
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
}

#[rstest]
#[case::without_a_time(Fault::AuthTimeMissing)]
#[case::long_ago(Fault::AuthTimeOld)]
#[case::in_the_future(Fault::AuthTimeFuture)]
fn a_max_age_must_be_proved(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[values("provider", "route")] of: &str,
    #[case] fault: Fault,
) {
    let (site, browser) = Site::answering(mode, fault, a_minute(of));
    let page = site.arrive(&browser, "/private");
    assert_eq!(page.status(), 400, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "id_token_auth_time");
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[test]
fn no_two_logins_of_a_thousand_have_anything_in_common() {
    let site = Site::start();
    // From here on the provider's documents are known, and a login begins at once.
    assert_eq!(site.visit(&Browser::new(), "/private").status(), 200);
    site.upstream.forget();
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let challenge = Browser::new().open(&site.url("/private"));
        let asked = Url::parse(challenge.location()).expect("an address");
        let cookie = challenge.fields.text("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let (name, sealed) = cookie.split_once('=').expect("the cookie of the login");
        let id = name.strip_prefix(LOGIN).expect("a name of ours").to_owned();
        let values = ["state", "nonce", "code_challenge"].map(|name| parameter(&asked, name));
        for value in values.into_iter().chain([sealed.to_owned(), id]) {
            // The cookie's id is the shortest.
            assert!(value.len() >= 20, "{value}");
            assert!(seen.insert(value.clone()), "{value} repeats");
        }
    }
    assert_eq!(seen.len(), 5000);
    site.upstream.saw_nothing();
}

#[test]
fn logins_beyond_what_a_provider_may_be_asked_are_429() {
    let site = Site::around(Provider::with(Fault::Down), |config, _| {
        config.set("/providers/idp/login_rate", json!("3/s")).set("/log/format", json!("json"))
    });
    let since = Stopwatch::start();
    let answers: Vec<_> =
        (0..40).map(|_| site.open(&Browser::new(), "/.vestibule/sign-in?return_to=/private")).collect();
    let most = 3 + 3 * usize::try_from(since.elapsed().as_secs() + 1).unwrap();
    let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(of(503) + of(429), 40);
    assert!((3..=most).contains(&of(503)), "{} of at most {most}", of(503));
    let Some(refused) = answers.iter().find(|answer| answer.status == 429) else {
        panic!("forty in {:?} were not too many", since.elapsed())
    };
    assert_eq!(refused.fields.text("retry-after"), "5");
    assert_eq!(site.reason(refused).1, "too_many_requests");
    assert!(refused.text().contains("<html"), "people see a page: {}", refused.text());
    assert_eq!(refused.fields.all("set-cookie"), Vec::<&str>::new());
}

#[test]
fn logins_that_cost_the_provider_nothing_are_as_many_as_there_are_people() {
    let site = Site::with(|config, _| config.set("/providers/idp/login_rate", json!("1/s")));
    // From here on its documents are known.
    assert_eq!(site.visit(&Browser::new(), "/private").status(), 200);
    for _ in 0..50 {
        assert_eq!(site.open(&Browser::new(), "/.vestibule/sign-in?return_to=/private").status, 302);
    }
}

#[test]
fn a_login_whose_provider_is_not_known_yet_begins_at_an_address_of_ours() {
    let site = Site::around(Provider::with(Fault::Down), |config, _| config);
    let browser = Browser::new();
    let challenge = site.open(&browser, "/private/page?x=1");
    assert_eq!(challenge.status, 302, "{}", challenge.everything());
    let location = Url::parse(&site.url("/")).unwrap().join(challenge.location()).unwrap();
    assert_eq!(
        (location.origin().ascii_serialization(), location.path()),
        (site.url(""), "/.vestibule/sign-in")
    );
    assert_eq!(challenge.fields.all("set-cookie"), Vec::<&str>::new(), "nothing has begun");
    assert_eq!(challenge.fields.text("cache-control"), "no-store");
    // Back, it leads to the page that was wanted.
    site.provider.make(Fault::None);
    let page = crate::support::eventually("the provider to be asked again", || {
        let page = browser.visit(location.as_str());
        (page.status() == 200).then_some(page)
    });
    assert_eq!(page.target(), "/private/page?x=1");
    assert_eq!(site.upstream.only("/private/page").header("x-forwarded-user"), Some("ada"));
}

#[rstest]
#[case::none("")]
#[case::garbage("vestibule=AAAA")]
#[case::ended("ENDED")]
fn a_session_that_does_not_count_is_challenged_like_none(
    #[values("memory", "cookie")] store: &str,
    #[case] cookie: &str,
) {
    let site = Site::with(|config, _| config.set("/sessions/store", json!(store)));
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), "", &site.url("/private")));
    let line = match cookie {
        "" => String::new(),
        "ENDED" => session,
        other => format!("Cookie: {other}\r\n"),
    };
    let document = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let rows: [(&str, String, u16); 10] = [
        ("GET", document.to_owned(), 302),
        ("HEAD", document.to_owned(), 401),
        ("POST", format!("{document}Content-Length: 0\r\n"), 401),
        ("GET", document.replace("document", "iframe"), 401),
        ("GET", format!("{document}Sec-Purpose: prefetch\r\n"), 401),
        ("GET", "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nAccept: */*\r\n".to_owned(), 401),
        ("GET", "Accept: text/event-stream\r\n".to_owned(), 401),
        ("OPTIONS", "Origin: https://elsewhere.test\r\nAccess-Control-Request-Method: GET\r\n".to_owned(), 401),
        ("POST", "Content-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 0\r\n".to_owned(), 200),
        (
            "GET",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                .to_owned(),
            401,
        ),
    ];
    for (method, lines, status) in rows {
        site.upstream.forget();
        let answer = site.gateway.ask(&format!("{method} /private"), &format!("{line}{lines}"));
        assert_eq!(answer.status, status, "{method} {lines}\n{}", answer.everything());
        assert!(answer.fields.text("cache-control").contains("no-store"), "{}", answer.everything());
        let begins = answer.fields.all("set-cookie").iter().any(|cookie| cookie.starts_with(LOGIN));
        assert_eq!(begins, status == 302, "{method} {lines}\n{}", answer.everything());
        if lines.contains("grpc") {
            assert_eq!(answer.fields.text("grpc-status"), "16");
        }
        site.upstream.saw_nothing();
    }
}

#[test]
fn a_link_of_another_site_finds_the_session_and_a_form_does_not() {
    let site = Site::start();
    let browser = site.signed_in();
    let elsewhere = "https://elsewhere.test/page";
    // `SameSite=Lax`: with a link the cookie comes.
    let linked = browser.send(&Errand::typed(&site.url("/private")).from(elsewhere));
    assert_eq!(linked.status, 200);
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    site.upstream.forget();
    // With a form it doesn't, and what was sent is neither forwarded nor kept.
    let posted = browser.send(&Errand::post(&site.url("/private"), "amount=1000", elsewhere));
    assert_eq!(posted.status, 401, "{}", posted.everything());
    assert_eq!(posted.fields.all("set-cookie"), Vec::<&str>::new());
    site.upstream.saw_nothing();
    assert!(browser.cookie(&site.url("/"), SESSION).is_some());
    assert_eq!(site.open(&browser, "/private").status, 200, "the session lives on");
}

#[test]
fn everything_works_under_a_prefix_and_a_callback_of_ones_own() {
    let site = Site::with(|config, _| {
        config
            .set("/endpoints", json!({ "prefix": "/-/auth", "callback": "/oauth2/callback" }))
            .set("/providers/idp/after_sign_out", json!("/public/bye"))
    });
    let browser = Browser::new();
    let page = site.visit(&browser, "/private");
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{}", site.gateway.logs());
    assert!(page.trail.iter().any(|url| url.path() == "/oauth2/callback"), "{:?}", page.trail);
    let who = browser.send(&Errand::fetch(&site.url("/-/auth/session")));
    assert_eq!(who.status, 200, "{}", who.everything());
    let page = browser.walk(Errand::post(&site.url("/-/auth/sign-out"), "", &site.url("/private")));
    assert_eq!((page.status(), page.target().as_str()), (200, "/public/bye"));
    assert!(page.trail.iter().any(|url| url.path() == "/-/auth/signed-out"), "{:?}", page.trail);
    site.has_no_session(&browser);
    // What was ours elsewhere is an ordinary path here.
    let who = browser.send(&Errand::fetch(&site.url("/.vestibule/session")));
    let problem: Value = who.json();
    assert_eq!((who.status, problem["type"].as_str()), (401, Some("tag:vestibule,2026:sign_in_required")));
    assert!(problem["sign_in"].as_str().is_some_and(|url| url.contains("/-/auth/sign-in")), "{problem}");
}

#[test]
fn a_page_of_a_failed_login_has_one_way_on_and_it_works() {
    let (site, browser) = Site::answering(Mode::Query, Fault::AccessDenied, |config, _| config);
    let page = site.arrive(&browser, "/private");
    assert_eq!(page.status(), 403, "{}", page.response.everything());
    let text = page.response.text();
    let ways: Vec<_> = html::links(&text)
        .into_iter()
        .chain(html::forms(&text).into_iter().map(|form| form.address()))
        .filter(|way| way.contains("/.vestibule/"))
        .collect();
    assert_eq!(ways.len(), 1, "{text}");
    site.provider.make(Fault::None);
    let page = browser.visit(&site.url(&ways[0].replace("&amp;", "&")));
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{ways:?}");
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
}
