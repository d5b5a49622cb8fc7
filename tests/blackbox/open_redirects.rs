//! Values that have led browsers astray elsewhere: two public lists, and thousands put together here. At the
//! sign-in, the callback, the sign-out and a third party's start each ends on this origin; so does each that is a
//! path and asked for as one, and every link of the pages that it comes to stand on.
//!
//! The judge is the `url` crate, which reads addresses as browsers do (WHATWG URL).

use std::collections::BTreeSet;
use std::thread;

use rstest::rstest;
use url::Url;

use crate::support::browser::{Browser, Errand};
use crate::support::html;
use crate::support::message::{Response, pairs, value};
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

/// Asserts that a redirect stays here.
#[track_caller]
fn home(site: &Site, from: &str, value: &str, response: &Response) -> Url {
    let Some(to) = led(site, from, value, response) else { panic!("{value:?}: {}", response.everything()) };
    assert_eq!(to.origin().ascii_serialization(), site.url(""), "{value:?} at {from}");
    to
}

/// Asserts that a form is answered by a redirect to the provider, which the form itself doesn't follow.
#[track_caller]
fn away(site: &Site, from: &str, value: &str, response: &Response) -> Url {
    assert_eq!(response.status, 303, "{value:?} at {from}: {}", response.everything());
    let to = led(site, from, value, response).expect("a redirect");
    assert_eq!(to.origin().ascii_serialization(), site.provider.issuer(), "{value:?} at {from}");
    to
}

/// Asks for a value everywhere. Whether it was taken for a page.
fn try_everywhere(site: &Site, session: &str, value: &str) -> bool {
    let asked = encoded(value);
    let page = "Accept: text/html\r\n";
    // Signed in: straight on.
    let response =
        site.gateway.ask(&format!("GET /.vestibule/sign-in?return_to={asked}"), &format!("{page}{session}"));
    let to = home(site, "/.vestibule/sign-in", value, &response);
    // Signed out already.
    let own = format!("{page}Sec-Fetch-Site: same-origin\r\n");
    let response = site.gateway.ask(&format!("GET /.vestibule/sign-out?return_to={asked}"), &own);
    home(site, "/.vestibule/sign-out", value, &response);
    let landed = through_the_provider(site, value);
    assert_eq!(landed, to, "{value:?} is one page before and after a login");
    to.as_str() != site.url("/")
}

/// A third party's form, the provider, the callback; then the sign-out, over the provider and back. Where the login
/// ended.
fn through_the_provider(site: &Site, value: &str) -> Url {
    let browser = Browser::new();
    let form = format!("iss={}&target_link_uri={}", encoded(&site.provider.issuer()), encoded(value));
    let start = browser.send(&Errand::post(&site.url("/.vestibule/sign-in"), &form, "https://portal.test/"));
    let back = browser.open(away(site, "/.vestibule/sign-in", value, &start).as_str());
    let landed = home(site, "/.vestibule/callback", value, &browser.open(back.location()));

    let form = format!("return_to={}", encoded(value));
    let out = browser.send(&Errand::post(&site.url("/.vestibule/sign-out"), &form, &site.url("/")));
    let back = browser.open(away(site, "/.vestibule/sign-out", value, &out).as_str());
    let end = browser.open(back.location());
    if let Some(to) = led(site, "/.vestibule/signed-out", value, &end) {
        assert_eq!(to.origin().ascii_serialization(), site.url(""), "{value:?}");
    }
    landed
}

fn site() -> Site {
    let site = Site::start();
    // Nothing but the session itself ends it: others sign out meanwhile.
    site.provider.claim(&serde_json::json!({ "sid": null }));
    site
}

/// How many of the values have this said of them; asked by four hands.
fn count(site: &Site, values: &BTreeSet<String>, says: impl Fn(&str) -> bool + Sync) -> usize {
    let values: Vec<_> = values.iter().map(|value| value.replace("SELF", &site.gateway.host())).collect();
    thread::scope(|scope| {
        let hands: Vec<_> = values
            .chunks(values.len().div_ceil(4))
            .map(|part| {
                let says = &says;
                scope.spawn(move || part.iter().filter(|value| says(value)).count())
            })
            .collect();
        hands.into_iter().map(|hand| hand.join().expect("no value leads astray")).sum()
    })
}

/// All values; how many were taken for pages.
fn none_leads_off_the_origin(values: &BTreeSet<String>) -> usize {
    let site = site();
    let session = site.session_line(&site.signed_in());
    count(&site, values, |value| try_everywhere(&site, &session, value))
}

#[test]
fn no_value_of_the_public_lists_leads_off_the_origin() {
    let values: BTreeSet<_> = public("SELF").into_iter().collect();
    assert!(values.len() > 550, "{}", values.len());
    let taken = none_leads_off_the_origin(&values);
    assert!(taken > 20, "{taken} of them are pages of ours");
}

#[test]
fn no_value_put_together_leads_off_the_origin() {
    let values: BTreeSet<_> = composed("SELF").into_iter().collect();
    assert!(values.len() >= 5_000, "{}", values.len());
    let taken = none_leads_off_the_origin(&values);
    assert!(taken > 200, "{taken} of them are pages of ours");
}

/// Asks for a path as it stands and comes back to it over the provider. Whether there was a page to come back to.
fn comes_back_to(site: &Site, path: &str) -> bool {
    let start = site.gateway.ask(&format!("GET {path}"), "Accept: text/html\r\n");
    let Some(provider) = led(site, "/", path, &start) else { return false };
    assert_eq!(provider.origin().ascii_serialization(), site.provider.issuer(), "{path:?}");
    let browser = Browser::new();
    let at = Url::parse(&site.url("/")).expect("an address");
    for line in start.fields.all("set-cookie") {
        browser.jar().take(&at, line);
    }
    let back = browser.open(provider.as_str());
    home(site, "/.vestibule/callback", path, &browser.open(back.location()));
    true
}

#[test]
fn no_path_leads_off_the_origin_by_its_challenge() {
    let mut values: BTreeSet<_> = public("SELF").into_iter().chain(composed("SELF")).collect();
    // What a request line can hold.
    values.retain(|value| value.starts_with('/') && value.bytes().all(|byte| byte.is_ascii_graphic()));
    values.retain(|value| !value.contains('#'));
    assert!(values.len() > 1_000, "{}", values.len());
    let site = site();
    let pages = count(&site, &values, |path| comes_back_to(&site, path));
    assert!(pages > 15, "{pages} of them are pages of ours");
}

/// Whether a page has a way on; each must be one of this origin, and so must the page that it is to lead back to.
fn has_good_ways(site: &Site, value: &str, page: &Response) -> bool {
    assert!(page.status < 500 && !page.fields.has("location"), "{value:?}: {}", page.everything());
    let text = page.text();
    let ways =
        html::links(&text).into_iter().chain(html::forms(&text).into_iter().map(|form| form.address()));
    let base = Url::parse(&site.url("/.vestibule/")).expect("an address");
    let mut found = false;
    for way in ways {
        let to = base.join(&way.replace("&amp;", "&")).unwrap_or_else(|e| panic!("{way}: {e}"));
        let back = pairs(to.query().unwrap_or_default());
        let back = base.join(self::value(&back, "return_to")).unwrap_or_else(|e| panic!("{way}: {e}"));
        for url in [&to, &back] {
            assert_eq!(url.origin().ascii_serialization(), site.url(""), "{value:?}: {way}");
            assert!(url.username().is_empty(), "{value:?}: {way}");
        }
        found = true;
    }
    found
}

#[rstest]
#[case::in_a_frame("sign-in", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n")]
#[case::before_a_sign_out("sign-out", "Sec-Fetch-Site: cross-site\r\nAccept: text/html\r\n")]
fn no_page_has_a_way_off_the_origin(#[case] endpoint: &str, #[case] lines: &str) {
    let site = site();
    let values: BTreeSet<_> = public("SELF").into_iter().collect();
    let ask = |value: &str| {
        let target = format!("/.vestibule/{endpoint}?return_to={}", encoded(value));
        has_good_ways(&site, value, &site.gateway.ask(&format!("GET {target}"), lines))
    };
    assert_eq!(count(&site, &values, ask), values.len(), "each page has its way on");
}

/// Words for the way back elsewhere, and such as look like ours.
const OTHER_WORDS: [&str; 14] = [
    "next",
    "rd",
    "url",
    "redirect",
    "redirect_uri",
    "returnUrl",
    "RelayState",
    "continue",
    "state",
    "post_logout_redirect_uri",
    "after_sign_out",
    "Return_To",
    "return_to[]",
    "return_to%00",
];

#[rstest]
fn no_other_word_leads_anywhere(#[values("sign-in", "sign-out", "signed-out")] endpoint: &str) {
    let site = site();
    let session = site.session_line(&site.signed_in());
    let lines = format!("Accept: text/html\r\nSec-Fetch-Site: none\r\n{session}");
    for name in OTHER_WORDS {
        for value in ["https://evil.test/", "//evil.test/", "/elsewhere"] {
            let target = format!("/.vestibule/{endpoint}?{name}={}", encoded(value));
            let response = site.gateway.ask(&format!("GET {target}"), &lines);
            let to = led(&site, "/.vestibule/", value, &response);
            let path = to.as_ref().map_or("", Url::path);
            assert!(!path.contains("elsewhere"), "{target} leads to {path}");
            assert!(!response.location().contains("evil.test"), "{}", response.everything());
        }
    }
}

#[rstest]
#[case::sign_in("sign-in")]
#[case::sign_out("sign-out")]
fn the_address_of_a_form_has_no_say(#[case] endpoint: &str) {
    let site = site();
    let (browser, stranger) = (site.signed_in(), Browser::new());
    // Signed in, a sign-in leads straight on; signed out, a sign-out does.
    let browser = if endpoint == "sign-in" { browser } else { stranger };
    for said in ["https://evil.test/", "//evil.test/", "/elsewhere"] {
        let address = site.url(&format!("/.vestibule/{endpoint}?return_to={}", encoded(said)));
        let response = browser.send(&Errand::post(&address, "return_to=%2Fpublic%2Fhere", &site.url("/")));
        assert_eq!(home(&site, "/.vestibule/", said, &response).path(), "/public/here");
    }
}
