//! The whole way in: anonymous, the provider, the callback, the upstream.

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{ADA, Browser, Errand};
use crate::support::config::Config;
use crate::support::gateway::Gateway;
use crate::support::html;
use crate::support::provider::{Endpoint, Provider};
use crate::support::site::{LOGIN, Site, certificate};
use crate::support::upstream::Upstream;

#[test]
fn asks_for_s256_state_and_nonce_fresh_each_time() {
    let site = Site::start();
    for _ in 0..5 {
        site.signed_in();
    }
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
    let requests = site.provider.authorization_requests();
    assert_eq!(requests.len(), 5);
    for name in ["state", "nonce", "code_challenge"] {
        let mut values: Vec<_> =
            requests.iter().flatten().filter(|(n, _)| n == name).map(|(_, v)| v).collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 5, "{name} repeats");
    }
    let redirect = requests.iter().flatten().find(|(name, _)| name == "redirect_uri").unwrap();
    assert_eq!(redirect.1, site.url("/.vestibule/callback"));
}

#[test]
fn the_redirect_uri_is_never_taken_from_the_request() {
    let site = Site::start();
    let evil = [
        ("Host: evil.test\r\nAccept: text/html\r\n", 421),
        ("X-Forwarded-Host: evil.test\r\n", 302),
        ("Forwarded: host=evil.test;proto=https\r\n", 302),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\n", 302),
    ];
    for (lines, status) in evil {
        let host = if lines.starts_with("Host") {
            String::new()
        } else {
            format!("Host: {}\r\n", site.gateway.host())
        };
        let request = format!("GET /x HTTP/1.1\r\n{host}Accept: text/html\r\n{lines}\r\n");
        let response = crate::support::raw::ask(site.gateway.port(), &request);
        assert_eq!(response.status, status, "{lines}");
        assert!(!response.everything().contains("evil.test"), "{}", response.everything());
        if status == 302 {
            let redirect_uri = urlencoded(&site.url("/.vestibule/callback"));
            assert!(response.location().contains(&redirect_uri), "{}", response.location());
        }
    }
    site.upstream.saw_nothing();
}

fn urlencoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn says_who_the_caller_is_without_a_token() {
    let site = Site::start();
    let anonymous = site.open(&Browser::new(), "/.vestibule/session");
    assert_eq!(anonymous.status, 401);
    let browser = site.signed_in();
    let session = browser.send(&Errand::fetch(&site.url("/.vestibule/session")));
    assert_eq!(session.status, 200);
    assert_eq!(session.fields.text("cache-control"), "no-store");
    let text = session.text();
    assert!(text.contains("ada@example.com"), "{text}");
    for secret in site.provider.secrets() {
        assert!(!session.everything().contains(&secret), "{text}");
    }
}

#[test]
fn a_live_session_skips_the_provider_unless_told_to_prompt() {
    let site = Site::start();
    let browser = site.signed_in();
    let calls = site.provider.calls(Endpoint::Authorize);
    let response = site.open(&browser, "/.vestibule/sign-in?return_to=/there");
    assert_eq!((response.status, site_path(&site, response.location())), (303, "/there".to_owned()));
    assert_eq!(site.provider.calls(Endpoint::Authorize), calls);

    let page = site.visit(&browser, "/.vestibule/sign-in?return_to=/there&prompt=login");
    assert_eq!((page.status(), page.target().as_str()), (200, "/there"));
    assert_eq!(site.provider.calls(Endpoint::Authorize), calls + 1);
}

fn site_path(site: &Site, location: &str) -> String {
    let url = url::Url::parse(&site.url("/")).unwrap().join(location).unwrap();
    assert_eq!(url.origin().ascii_serialization(), site.url(""));
    url.path().to_owned()
}

#[rstest]
#[case::unknown_issuer("/.vestibule/sign-in?iss=https://evil.test&target_link_uri=/x")]
#[case::unknown_provider("/.vestibule/sign-in?provider=nobody")]
fn a_third_party_start_names_a_provider_we_know(#[case] target: &str) {
    let site = Site::start();
    assert_eq!(site.open(&Browser::new(), target).status, 400);
    assert_eq!(site.provider.calls(Endpoint::Authorize), 0);
}

#[test]
fn a_third_party_starts_a_login_by_issuer() {
    let site = Site::start();
    let issuer = urlencoded(&site.provider.issuer());
    let target = format!("/.vestibule/sign-in?iss={issuer}&login_hint=grace&target_link_uri=/third");
    let page = site.visit(&Browser::new(), &target);
    assert_eq!((page.status(), page.target().as_str()), (200, "/third"));
    assert_eq!(site.upstream.only("/third").header("x-forwarded-user"), Some("grace"));
}

#[test]
fn several_providers_and_no_choice_make_a_chooser_page() {
    let upstream = Upstream::start();
    let (one, two) = (Provider::start(), Provider::start());
    let config = Config::new(&one.entry(), &upstream).set("/providers/partners", two.entry()).route(json!({
        "id": "partners", "match": { "path": "/partners" }, "auth": { "session": "partners" }, "upstream": upstream.url(),
    }));
    let gateway = Gateway::start(config);
    let browser = Browser::new();
    // The way back is open to everyone, so that it decides nothing.
    let page = browser.open(&gateway.url("/.vestibule/sign-in?return_to=/public"));
    assert_eq!(page.status, 200, "{}", page.everything());
    let text = page.text();
    let choices =
        html::links(&text).into_iter().chain(html::forms(&text).into_iter().map(|form| form.address()));
    assert!(
        choices.filter(|choice| choice.contains("idp") || choice.contains("partners")).count() >= 2,
        "{text}"
    );

    // A route that names its provider asks nobody.
    let landed = browser.visit(&gateway.url("/there"));
    assert_eq!(landed.status(), 200, "{}", landed.response.everything());
    assert_eq!(upstream.only("/there").header("x-forwarded-user"), Some("ada"));
    assert!(browser.cookie(&gateway.url("/"), "vestibule-idp").is_some(), "the cookie names the provider");
    assert!(
        one.authorization_requests().concat().iter().any(|(_, v)| v.ends_with("/.vestibule/callback/idp"))
    );
    assert_eq!(two.calls(Endpoint::Authorize), 0);
}

#[rstest]
#[case::query("query", "Lax")]
#[case::form_post("form_post", "None")]
fn signs_in_over_tls(#[case] mode: &str, #[case] same_site: &str) {
    let (certificate, key) = certificate();
    let site_config = |config: Config, _: &Upstream| {
        config.tls(&certificate, &key).set("/providers/idp/response_mode", json!(mode))
    };
    let (provider, upstream) = (Provider::start(), Upstream::start());
    let config = site_config(Config::new(&provider.entry(), &upstream), &upstream);
    let gateway = Gateway::start(config);
    let browser = Browser::trusting(&certificate);

    let challenge = browser.open(&gateway.url("/over/tls"));
    assert_eq!(challenge.status, 302, "{}", challenge.everything());
    let cookie = challenge.fields.text("set-cookie").to_owned();
    assert!(cookie.starts_with(&format!("__Host-{LOGIN}")), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "Path=/", &format!("SameSite={same_site}")] {
        assert!(cookie.contains(attribute), "{attribute} in {cookie}");
    }

    let page = browser.sign_in(&gateway.url("/over/tls"), ADA);
    assert_eq!((page.status(), page.target().as_str()), (200, "/over/tls"), "{}", gateway.logs());
    let seen = upstream.only("/over/tls");
    assert_eq!(seen.header("x-forwarded-user"), Some("ada"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert!(browser.cookie(&gateway.url("/"), "__Host-vestibule").is_some());
    assert_eq!(provider.calls(Endpoint::Token), 1);
    assert_eq!(provider.mistakes(), Vec::<String>::new());
}

#[test]
fn an_error_that_is_posted_is_shown() {
    use crate::support::provider::Fault;
    let (certificate, key) = certificate();
    let (provider, upstream) = (Provider::with(Fault::AccessDenied), Upstream::start());
    let config = Config::new(&provider.entry(), &upstream)
        .tls(&certificate, &key)
        .set("/providers/idp/response_mode", json!("form_post"));
    let gateway = Gateway::start(config);
    let browser = Browser::trusting(&certificate);
    let page = browser.sign_in(&gateway.url("/x"), ADA);
    assert!((400..500).contains(&page.status()), "{}", page.response.everything());
    assert_eq!(browser.cookie(&gateway.url("/"), "__Host-vestibule"), None);
    assert_eq!(provider.calls(Endpoint::Token), 0);
    upstream.saw_nothing();
}
