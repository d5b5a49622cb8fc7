//! Where a sign-in or a sign-out may lead: pages of the same origin, whatever was asked for.
//!
//! The judge is the `url` crate, which reads addresses as browsers do (WHATWG URL).

use rstest::rstest;
use url::Url;

use crate::support::browser::{Browser, Errand};
use crate::support::message::Response;
use crate::support::site::Site;

/// The 47 values. `SELF` stands for the origin's host and port.
fn values() -> Vec<String> {
    let listed = [
        "//evil.test",
        "///evil.test",
        "////evil.test/%2e%2e",
        "/\\evil.test",
        "\\/evil.test",
        "\\\\evil.test",
        "/\\/evil.test",
        "/%5cevil.test",
        "/%2f%2fevil.test",
        "/%09/evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\r\\evil.test",
        "/ /evil.test",
        "/./\\evil.test",
        "/../../\\evil.test",
        "/.//evil.test",
        "https://evil.test",
        "HTTPS:evil.test",
        "https:/evil.test",
        "https:///evil.test",
        "http:evil.test",
        "http://SELF@evil.test",
        "http://SELF%40evil.test",
        "http://SELF.evil.test",
        "http://evil-SELF",
        "http://SELF:443@evil.test",
        "http://evil.test#SELF",
        "http://evil.test?SELF",
        "http://evil.test\\@SELF",
        "http://SELF\\.evil.test",
        "http://evil.test%00.SELF",
        "https://[::ffff:1.2.3.4]",
        "http://3627734734",
        "http://0xd8.0x3a.0xd6.0xce",
        "javascript:alert(1)",
        "java%0dscript:alert(1)",
        "%01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "/%0d%0aLocation:https://evil.test",
        "http://localhost:8443/",
        "https://SELF/",
        "http://SELF/redirect?u=https://evil.test",
    ];
    let mut values: Vec<String> = listed.iter().map(|&value| value.to_owned()).collect();
    values.push(format!("/{}", "a".repeat(64 * 1024)));
    values.push("TWICE".to_owned());
    values.push("%252f%252fevil.test".to_owned());
    assert_eq!(values.len(), 47);
    values
}

/// The query for a value: properly encoded, and as it stands where a request line can hold it.
fn queries(site: &Site, value: &str) -> Vec<String> {
    let value = value.replace("SELF", &site.gateway.host());
    if value == "TWICE" {
        return vec![
            "return_to=/a&return_to=//evil.test".into(),
            "return_to=//evil.test&return_to=/a".into(),
        ];
    }
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut queries = vec![format!("return_to={encoded}"), format!("target_link_uri={encoded}")];
    if value.bytes().all(|byte| byte.is_ascii_graphic()) && !value.contains(['#', '&']) {
        queries.push(format!("return_to={value}"));
    }
    queries
}

/// Where a redirect leads a browser; none when the answer is no redirect.
fn destination(site: &Site, from: &str, response: &Response) -> Option<Url> {
    assert!(!response.fields.has("x-evil") && response.fields.all("location").len() <= 1);
    matches!(response.status, 301 | 302 | 303 | 307 | 308)
        .then(|| Url::parse(&site.url(from)).unwrap().join(response.location()).unwrap())
}

#[track_caller]
fn stays(site: &Site, query: &str, to: Option<&Url>) {
    if let Some(to) = to {
        assert_eq!(to.origin().ascii_serialization(), site.url(""), "{query} leads to {to}");
        assert!(!to.path().starts_with("/.vestibule/sign-"), "{query} leads to our own {to}");
    }
}

#[test]
fn no_value_leads_a_signed_in_browser_off_the_origin() {
    let site = Site::start();
    let browser = site.signed_in();
    let line = site.session_line(&browser);
    for value in values() {
        for query in queries(&site, &value) {
            let target = format!("/.vestibule/sign-in?{query}");
            let response =
                site.gateway.ask(&format!("GET {target}"), &format!("Accept: text/html\r\n{line}"));
            assert!(response.status < 500, "{query}: {}", response.status);
            let to = destination(&site, "/.vestibule/sign-in", &response);
            stays(&site, &query, to.as_ref());
        }
    }
}

#[test]
fn no_value_leads_off_the_origin_after_a_login() {
    let site = Site::start();
    let mut landed = 0;
    for value in values() {
        for query in queries(&site, &value) {
            let browser = Browser::new();
            let target = format!("/.vestibule/sign-in?{query}");
            let start = site.gateway.ask(&format!("GET {target}"), "Accept: text/html\r\n");
            assert!(start.status < 500, "{query}: {}", start.status);
            if start.status != 302 && start.status != 303 {
                assert!(start.status >= 400, "{query}: {}", start.everything());
                continue;
            }
            assert!(start.location().starts_with(&site.provider.issuer()), "{query}: {}", start.location());
            let at = Url::parse(&site.url("/")).unwrap();
            for line in start.fields.all("set-cookie") {
                browser.jar().take(&at, line);
            }
            let back = browser.open(start.location());
            let end = browser.open(back.location());
            let to = destination(&site, "/.vestibule/callback", &end);
            assert!(to.is_some(), "{query}: {}", end.everything());
            stays(&site, &query, to.as_ref());
            landed += 1;
        }
    }
    assert!(landed > 40, "only {landed} logins came to their end");
}

#[test]
fn no_value_leads_off_the_origin_after_a_sign_out() {
    let site = Site::start();
    for value in values() {
        for query in queries(&site, &value) {
            // Signed out already, so that the answer shows what becomes of the value.
            let browser = Browser::new();
            let target = site.url(&format!("/.vestibule/sign-out?{query}"));
            if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.len() > 8_000 {
                continue;
            }
            let mut errand = Errand::typed(&target);
            for _ in 0..6 {
                let response = browser.send(&errand);
                assert!(response.status < 500, "{query}: {}", response.status);
                let Some(to) = destination(&site, "/.vestibule/sign-out", &response) else { break };
                if to.as_str().starts_with(&site.provider.issuer()) {
                    let back = to.query_pairs().find(|(name, _)| name == "post_logout_redirect_uri");
                    if let Some((_, back)) = back {
                        assert_eq!(back, site.url("/.vestibule/signed-out"), "{query}");
                    }
                } else {
                    stays(&site, &query, Some(&to));
                }
                errand = Errand::typed(to.as_str());
            }
        }
    }
}

#[rstest]
#[case::root("/", "/")]
#[case::with_everything("/a/b?x=1&y=%2F#frag", "/a/b?x=1&y=%2F#frag")]
#[case::encoded_blank("/a%20b", "/a%20b")]
#[case::umlaut("/%C3%BC", "/%C3%BC")]
#[case::plus("/search?q=a+b", "/search?q=a+b")]
#[case::own_sign_out("/.vestibule/sign-out", "/")]
#[case::own_sign_in("/.vestibule/sign-in?return_to=/x", "/")]
#[case::own_callback("/.vestibule/callback?code=x&state=y", "/")]
fn a_page_of_ours_is_reached(#[case] value: &str, #[case] expected: &str) {
    let site = Site::start();
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let browser = Browser::new();
    let callback = site.callback(&browser, &format!("/.vestibule/sign-in?return_to={encoded}"));
    let end = browser.open(&callback);
    let to = Url::parse(&callback).unwrap().join(end.location()).unwrap();
    assert_eq!(to.as_str(), site.url(expected));
}

#[test]
fn a_long_query_survives() {
    let site = Site::start();
    let query = "q=".to_owned() + &"0123456789abcdef".repeat(128);
    let page = site.visit(&Browser::new(), &format!("/long?{query}"));
    assert_eq!(page.target(), format!("/long?{query}"));
    assert_eq!(site.upstream.only("/long").request.target, format!("/long?{query}"));
}

#[rstest]
#[case::two_slashes("//evil.test/x")]
#[case::three_slashes("///evil.test/x")]
fn a_path_that_reads_as_a_host_is_no_way_out(#[case] path: &str) {
    let site = Site::start();
    let start = site.gateway.ask(&format!("GET {path}"), "Accept: text/html\r\n");
    if start.status != 302 {
        assert!((400..500).contains(&start.status), "{}", start.everything());
        return;
    }
    let browser = Browser::new();
    let at = Url::parse(&site.url("/")).unwrap();
    for line in start.fields.all("set-cookie") {
        browser.jar().take(&at, line);
    }
    let back = browser.open(start.location());
    let end = browser.open(back.location());
    stays(&site, path, destination(&site, "/.vestibule/callback", &end).as_ref());
}
