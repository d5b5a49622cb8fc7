//! A login that another site starts, by a link or by a form
//! ([OpenID Connect Core §4](https://openid.net/specs/openid-connect-core-1_0.html#ThirdPartyInitiatedLogin)).

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand, Page};
use crate::support::provider::{Endpoint, Fault};
use crate::support::site::{Mode, Site, never_given_a_session};

const SIGN_IN: &str = "/.vestibule/sign-in";
const PORTAL: &str = "https://portal.test/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Link,
    Form,
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Sends the browser from the portal, with these parameters, and follows to the end.
fn start(site: &Site, browser: &Browser, by: By, pairs: &[(&str, &str)]) -> Page {
    let mut page = browser.walk(errand(site, by, pairs));
    while let Some(next) = browser.run_script(&page) {
        page = next;
    }
    page
}

fn errand(site: &Site, by: By, pairs: &[(&str, &str)]) -> Errand {
    let parameters = encoded(pairs);
    match by {
        By::Link => Errand::typed(&site.url(&format!("{SIGN_IN}?{parameters}"))).from(PORTAL),
        By::Form => Errand::post(&site.url(SIGN_IN), &parameters, PORTAL),
    }
}

#[rstest]
fn oidcc_client_test_3rd_party_init_login(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[values(By::Link, By::Form)] by: By,
) {
    let (site, browser) = Site::answering(mode, Fault::None, |config, _| config);
    let issuer = site.provider.issuer();
    let pairs = [("iss", issuer.as_str()), ("login_hint", "grace"), ("target_link_uri", "/third?x=1")];
    let page = start(&site, &browser, by, &pairs);
    assert_eq!((page.status(), page.target().as_str()), (200, "/third?x=1"), "{}", site.gateway.logs());
    assert_eq!(site.upstream.only("/third").header("x-forwarded-user"), Some("grace"));
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());

    // Who is signed in goes straight on.
    let page = start(&site, &browser, by, &pairs);
    assert_eq!((page.status(), page.target().as_str()), (200, "/third?x=1"));
    assert_eq!(
        site.provider.calls(Endpoint::Authorize),
        if mode == Mode::Query && by == By::Form { 2 } else { 1 }
    );
}

#[rstest]
fn somebody_elses_session_ends_however_the_login_began(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[values(By::Link, By::Form)] by: By,
    #[values("memory", "cookie")] store: &str,
) {
    let (site, browser) =
        Site::answering(mode, Fault::None, |config, _| config.set("/sessions/store", json!(store)));
    site.provider.claim(&json!({ "sid": null }));
    site.arrive(&browser, "/private");
    let cookies = browser.jar().clone();
    site.upstream.forget();
    let issuer = site.provider.issuer();
    let pairs = [
        ("iss", issuer.as_str()),
        ("login_hint", "grace"),
        ("prompt", "login"),
        ("target_link_uri", "/third"),
    ];
    let page = start(&site, &browser, by, &pairs);
    assert_eq!(page.status(), 200, "{}", page.response.everything());
    assert_eq!(site.upstream.only("/third").header("x-forwarded-user"), Some("grace"));

    // What Ada's browser held is good for nothing any more.
    *browser.jar() = cookies;
    site.upstream.forget();
    let page = browser.send(&Errand::fetch(&site.url("/private")));
    assert_eq!(page.status, 401, "{}", page.everything());
    site.upstream.saw_nothing();
}

#[rstest]
#[case::unknown("https://other.test")]
#[case::with_a_slash("ISSUER/")]
#[case::in_capitals("HTTP://127.0.0.1:PORT")]
#[case::another_port("http://127.0.0.1:1")]
#[case::empty("")]
#[case::one_that_begins_alike("ISSUER.evil.test")]
fn an_issuer_that_is_not_ours_starts_nothing(#[values(By::Link, By::Form)] by: By, #[case] issuer: &str) {
    let site = Site::start();
    let ours = site.provider.issuer();
    let port = ours.rsplit(':').next().unwrap_or_default();
    let issuer = issuer.replace("ISSUER", &ours).replace("PORT", port);
    // Whoever is signed in or not.
    for browser in [Browser::new(), site.signed_in()] {
        let response = browser.send(&errand(&site, by, &[("iss", &issuer), ("target_link_uri", "/x")]));
        assert_eq!(response.status, 400, "{issuer}: {}", response.everything());
        assert!(!response.fields.has("location"));
        assert_eq!(response.fields.all("set-cookie"), Vec::<&str>::new());
    }
    site.upstream.saw_nothing();
}

#[rstest]
fn two_issuers_are_none(#[values(By::Link, By::Form)] by: By) {
    let site = Site::start();
    let issuer = site.provider.issuer();
    let browser = Browser::new();
    for pairs in [
        vec![("iss", issuer.as_str()), ("iss", issuer.as_str())],
        vec![("iss", issuer.as_str()), ("iss", "https://other.test")],
        vec![("iss", "https://other.test"), ("provider", "idp")],
    ] {
        let response = browser.send(&errand(&site, by, &pairs));
        assert_eq!(response.status, 400, "{pairs:?}: {}", response.everything());
    }
    assert_eq!(site.provider.calls(Endpoint::Authorize), 0);
    never_given_a_session(&browser);
}

#[rstest]
fn nothing_else_that_a_link_says_reaches_the_provider(#[values(By::Link, By::Form)] by: By) {
    let site = Site::start();
    let issuer = site.provider.issuer();
    let long = "x".repeat(257);
    let chosen = [
        ("iss", issuer.as_str()),
        ("login_hint", long.as_str()),
        ("prompt", "none"),
        ("scope", "openid admin"),
        ("acr_values", "low"),
        ("redirect_uri", "https://evil.test/"),
        ("response_type", "token"),
        ("state", "chosen"),
        ("nonce", "chosen"),
        ("client_id", "evil"),
        ("request_uri", "https://evil.test/"),
    ];
    start(&site, &Browser::new(), by, &chosen);
    let asked = site.provider.authorization_requests().concat();
    for (name, said) in chosen {
        assert!(!asked.iter().any(|(n, value)| n == name && value == said), "{name}={said} went on");
    }
    for name in ["login_hint", "prompt", "acr_values", "request_uri"] {
        assert!(!asked.iter().any(|(n, _)| n == name), "{name} in {asked:?}");
    }
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
}

#[rstest]
#[case::rendered_ahead(
    "Sec-Purpose: prefetch;prerender\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
)]
#[case::loaded_ahead("Sec-Purpose: prefetch\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\n")]
#[case::loaded_ahead_by_an_old_browser("Purpose: prefetch\r\nAccept: text/html\r\n")]
#[case::in_a_frame("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\nSec-Fetch-User: ?1\r\n")]
#[case::as_an_image("Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\nAccept: image/*\r\n")]
fn a_link_that_nobody_has_chosen_starts_nothing(#[case] lines: &str) {
    let upstream = crate::support::upstream::Upstream::start();
    let several = crate::support::provider::Provider::start();
    let one = Site::start();
    let two = Site::with(|config, _| {
        config.set("/log/format", json!("json")).set("/providers/partners", several.entry()).route(json!({
            "id": "partners", "match": { "path": "/partners" }, "auth": { "session": "partners" },
            "upstream": upstream.url(),
        }))
    });
    for site in [&one, &two] {
        let response = site.gateway.ask(&format!("GET {SIGN_IN}?return_to=/public/later"), lines);
        assert_eq!(response.status, 401, "{}", response.everything());
        assert_eq!(response.fields.all("set-cookie"), Vec::<&str>::new());
        assert!(response.text().contains("/public/later"), "a link leads on: {}", response.text());
        assert!(!response.fields.has("x-frame-options"), "it can be seen where it was asked for");
        assert_eq!(site.provider.calls(Endpoint::Authorize), 0);
    }
    let metrics = two.gateway.admin("/metrics").expect("the metrics").text();
    assert!(!metrics.contains("vestibule_refused_total{why=\"other\"} 1"), "{metrics}");
}

#[test]
fn a_hint_is_the_same_at_the_provider_after_the_bounce() {
    let (site, browser) = Site::answering(Mode::FormPost, Fault::None, |config, _| config);
    let hint = "ada+tag&x=1 %41/?#@example.com";
    let pairs = [("login_hint", hint), ("return_to", "/a?b=c&d=%20e")];
    let page = start(&site, &browser, By::Form, &pairs);
    assert_eq!((page.status(), page.target().as_str()), (200, "/a?b=c&d=%20e"), "{}", site.gateway.logs());
    let asked = site.provider.authorization_requests().concat();
    assert_eq!(crate::support::message::value(&asked, "login_hint"), hint);
}
