//! Several origins behind one gateway, and several gateways on one host: sessions don't cross, sign-outs do.

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand};
use crate::support::provider::Endpoint;
use crate::support::site::{SESSION, Site, never_given_a_session};

/// One gateway for `localhost` and `127.0.0.1`: two hosts to a browser.
struct Two {
    site: Site,
    other: String,
}

impl Two {
    fn start(store: &str) -> Self {
        let mut other = String::new();
        let site = Site::with(|config, _| {
            other = format!("http://127.0.0.1:{}", config.port());
            let origins = json!([config.origin(), other]);
            config
                .set("/origins", origins)
                .set("/sessions/store", json!(store))
                .set("/log/format", json!("json"))
        });
        Self { site, other }
    }

    fn other(&self, target: &str) -> String {
        format!("{}{target}", self.other)
    }

    /// Signs in at both, as people do: at the second without being asked.
    fn signed_in_at_both(&self) -> Browser {
        let browser = self.site.signed_in();
        let page = browser.visit(&self.other("/there"));
        assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), self.site.gateway.logs());
        assert_eq!(page.url.as_str(), self.other("/there"));
        self.site.upstream.forget();
        browser
    }

    fn is_alive(&self, browser: &Browser, url: &str) -> bool {
        self.site.upstream.forget();
        let status = browser.send(&Errand::fetch(url)).status;
        assert!(matches!(status, 200 | 401), "{status}");
        assert_eq!(self.site.upstream.requests().len(), usize::from(status == 200));
        status == 200
    }
}

#[rstest]
fn a_sign_out_at_one_origin_ends_the_sessions_at_all(#[values("memory", "cookie")] store: &str) {
    let two = Two::start(store);
    let browser = two.signed_in_at_both();
    let elsewhere = two.signed_in_at_both();
    let here = two.site.url("/private");
    assert!(two.is_alive(&browser, &here) && two.is_alive(&browser, &two.other("/private")));
    let out = Errand::post(&two.site.url("/.vestibule/sign-out"), "", &here);
    assert_eq!(browser.send(&out).status, 303);
    assert!(!two.is_alive(&browser, &here));
    assert!(
        !two.is_alive(&browser, &two.other("/private")),
        "the other origin's cookie is still in the browser"
    );
    // Another browser of the same provider session, too; the provider gives all of them one `sid`.
    assert!(!two.is_alive(&elsewhere, &here) && !two.is_alive(&elsewhere, &two.other("/private")));
}

#[rstest]
fn a_session_of_another_sign_in_at_the_other_origin_lives_on(#[values("memory", "cookie")] store: &str) {
    let two = Two::start(store);
    let browser = two.site.signed_in();
    two.site.provider.claim(&json!({ "sid": "session-2" }));
    assert_eq!(browser.visit(&two.other("/there")).status(), 200);
    browser.send(&Errand::post(&two.site.url("/.vestibule/sign-out"), "", &two.site.url("/private")));
    assert!(!two.is_alive(&browser, &two.site.url("/private")));
    assert!(two.is_alive(&browser, &two.other("/private")));
}

#[test]
fn a_login_ends_at_the_origin_where_it_began() {
    let two = Two::start("memory");
    let browser = Browser::new();
    let callback = two.site.callback(&browser, "/private");
    // With all cookies of that login, as a host that can be reached under both names would get them.
    let cookies = browser
        .jar()
        .seen_by(&url::Url::parse(&callback).unwrap())
        .iter()
        .map(|cookie| format!("{}={}", cookie.name, cookie.value))
        .collect::<Vec<_>>();
    let moved = callback.replace("http://localhost:", "http://127.0.0.1:");
    assert_ne!(moved, callback);
    let answer = browser.send(&Errand::typed(&moved).header("Cookie", &cookies.join("; ")));
    assert_eq!(answer.status, 400, "{}", answer.everything());
    two.site.refused_at_callback(&answer, "state_unknown");
    never_given_a_session(&browser);
    assert_eq!(two.site.provider.calls(Endpoint::Token), 0);
    two.site.upstream.saw_nothing();
    assert_eq!(browser.visit(&callback).status(), 200, "it is still good where it began");
}

#[test]
fn the_cookie_of_a_neighbour_on_the_same_host_is_neither_taken_nor_cleared() {
    // Ports have their cookies in common.
    let (one, two) = (Site::start(), Site::start());
    let browser = one.signed_in();
    let kept = browser.cookie(&one.url("/"), SESSION);
    let challenge = browser.open(&two.url("/private"));
    assert_eq!(challenge.status, 302, "{}", challenge.everything());
    assert_eq!(browser.cookie(&one.url("/"), SESSION), kept);
    assert_eq!(browser.open(&one.url("/private")).status, 200);
    two.upstream.saw_nothing();
}

#[test]
fn neighbours_whose_cookies_have_names_of_their_own_live_side_by_side() {
    let named =
        |name: &'static str| Site::with(move |config, _| config.set("/sessions/cookie/name", json!(name)));
    let (one, two) = (named("one"), named("two"));
    let browser = Browser::new();
    for _ in 0..2 {
        for site in [&one, &two] {
            assert_eq!(browser.visit(&site.url("/private")).status(), 200);
            assert_eq!(site.upstream.last("/private").header("x-forwarded-user"), Some("ada"));
        }
    }
    for (site, own) in [(&one, "one="), (&two, "two=")] {
        assert_eq!(site.provider.calls(Endpoint::Token), 1, "one sign-in was enough");
        let sent = site.upstream.last("/private").header("cookie").unwrap_or_default().to_owned();
        assert!(!sent.contains(own), "its own cookie stays with each: {sent}");
    }
}
