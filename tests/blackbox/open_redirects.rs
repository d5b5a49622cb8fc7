//! Values that have led browsers astray elsewhere: two public lists, and thousands put together here. At the
//! sign-in, the callback, the sign-out and a third party's start each ends on this origin.
//!
//! The judge is the `url` crate, which reads addresses as browsers do (WHATWG URL).

use std::collections::BTreeSet;
use std::thread;

use url::Url;

use crate::support::browser::{Browser, Errand};
use crate::support::message::Response;
use crate::support::site::Site;

const PUBLIC: [&str; 2] = [
    include_str!("../data/open-redirect/openredirects.txt"),
    include_str!("../data/open-redirect/open-redirect-payload-list.txt"),
];

/// The lists' lines; where they name a host that is trusted, ours stands.
fn public(host: &str) -> Vec<String> {
    let lines = PUBLIC.iter().flat_map(|list| list.lines()).filter(|line| !line.is_empty());
    lines.map(|line| line.replace("www.whitelisteddomain.tld", host)).collect()
}

/// A beginning, what parts it from a host, the host, and an end.
fn composed(host: &str) -> Vec<String> {
    let begins = ["", "/", "//", "/.", "/./", "/..", "/%2e%2e/", "/a/..", " /", "\u{1}/", "/;", "/%00"];
    let parts = ["/", "\\", "//", "%2f", "%5c", "\t/", "%09/", "\n/", "%0d%0a/", "\u{2044}", "/\u{ad}"];
    let hosts = [
        "evil.test".to_owned(),
        "evil.test:443".to_owned(),
        format!("{host}@evil.test"),
        format!("{host}.evil.test"),
        format!("evil.test\\@{host}"),
        "[::1]".to_owned(),
        "3627734734".to_owned(),
        "\u{ff45}vil.test".to_owned(),
    ];
    let ends = ["", "/", "/..", "?x=/", "#/"];
    let mut values = Vec::new();
    for begin in begins {
        for part in parts {
            for host in &hosts {
                values.extend(ends.map(|end| format!("{begin}{part}{host}{end}")));
            }
        }
    }
    values
}

fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Where a redirect leads, which must be this origin or, on the way, the provider's.
#[track_caller]
fn led(site: &Site, from: &str, value: &str, response: &Response) -> Option<Url> {
    assert!(response.status < 500, "{value:?}: {}", response.everything());
    assert!(response.fields.all("location").len() <= 1, "{value:?}: {}", response.everything());
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let base = Url::parse(&site.url(from)).expect("an address");
    let to = base.join(response.location()).unwrap_or_else(|e| panic!("{value:?}: {e}"));
    let origin = to.origin().ascii_serialization();
    let fine = origin == site.url("") || origin == site.provider.issuer();
    assert!(fine && to.username().is_empty(), "{value:?} at {from} leads to {to}");
    Some(to)
}

/// Asks for a value everywhere. Whether it was taken for a page.
fn try_everywhere(site: &Site, session: &str, value: &str) -> bool {
    let asked = encoded(value);
    let page = "Accept: text/html\r\n";
    // Signed in: straight on.
    let response =
        site.gateway.ask(&format!("GET /.vestibule/sign-in?return_to={asked}"), &format!("{page}{session}"));
    let to = led(site, "/.vestibule/sign-in", value, &response).expect("a redirect");
    assert_eq!(to.origin().ascii_serialization(), site.url(""), "{value:?}");
    // Signed out already.
    let own = format!("{page}Sec-Fetch-Site: same-origin\r\n");
    let response = site.gateway.ask(&format!("GET /.vestibule/sign-out?return_to={asked}"), &own);
    led(site, "/.vestibule/sign-out", value, &response).expect("a redirect");
    let taken = to.as_str() != site.url("/");
    if taken {
        through_the_provider(site, value);
    }
    taken
}

/// A third party's form, the provider, the callback; then the sign-out, over the provider and back.
fn through_the_provider(site: &Site, value: &str) {
    let browser = Browser::new();
    let issuer = site.provider.issuer();
    let form = format!("iss={}&target_link_uri={}", encoded(&issuer), encoded(value));
    let start = browser.send(&Errand::post(&site.url("/.vestibule/sign-in"), &form, "https://portal.test/"));
    let provider = led(site, "/.vestibule/sign-in", value, &start).expect("a redirect");
    let back = browser.open(provider.as_str());
    let end = browser.open(back.location());
    let to = led(site, "/.vestibule/callback", value, &end).expect("a redirect");
    assert_eq!(to.origin().ascii_serialization(), site.url(""), "{value:?}");

    let form = format!("return_to={}", encoded(value));
    let out = browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), &form, &site.url("/")));
    let provider = led(site, "/.vestibule/sign-out", value, &out).expect("a redirect");
    assert_eq!(provider.origin().ascii_serialization(), issuer, "{value:?}");
    let back = browser.open(provider.as_str());
    let end = browser.open(back.location());
    if let Some(to) = led(site, "/.vestibule/signed-out", value, &end) {
        assert_eq!(to.origin().ascii_serialization(), site.url(""), "{value:?}");
    }
}

/// All values, by four hands; how many were taken for pages.
fn none_leads_off_the_origin(values: &BTreeSet<String>) -> usize {
    let site = Site::start();
    // Nothing but the session itself ends it: others sign out meanwhile.
    site.provider.claim(&serde_json::json!({ "sid": null }));
    let session = site.session_line(&site.signed_in());
    let values: Vec<_> = values.iter().map(|value| value.replace("SELF", &site.gateway.host())).collect();
    thread::scope(|scope| {
        let hands: Vec<_> = values
            .chunks(values.len().div_ceil(4))
            .map(|part| {
                let (site, session) = (&site, &session);
                scope.spawn(move || part.iter().filter(|value| try_everywhere(site, session, value)).count())
            })
            .collect();
        hands.into_iter().map(|hand| hand.join().expect("no value leads astray")).sum()
    })
}

#[test]
fn no_value_of_the_public_lists_leads_off_the_origin() {
    let values: BTreeSet<_> = public("SELF").into_iter().collect();
    assert!(values.len() > 550, "{}", values.len());
    let taken = none_leads_off_the_origin(&values);
    assert!(taken > 20, "{taken} of them are pages of ours, and are walked to the end");
}

#[test]
fn no_value_put_together_leads_off_the_origin() {
    let values: BTreeSet<_> = composed("SELF").into_iter().collect();
    assert!(values.len() >= 5_000, "{}", values.len());
    let taken = none_leads_off_the_origin(&values);
    assert!(taken > 200, "{taken} of them are pages of ours, and are walked to the end");
}
