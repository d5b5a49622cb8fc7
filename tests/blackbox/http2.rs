//! HTTP/2 over TLS: the same decisions, the same headers upstream.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Version};

use crate::support::browser::Browser;
use crate::support::site::Site;

/// A site over TLS, a browser that is signed in there, and an HTTP/2 client that trusts it.
struct House {
    site: Site,
    cookie: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn open() -> Self {
        // The tests have one TLS provider, as the gateway has.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let site = Site::with(|config, _| config.tls(&certificate, &key));
        let browser = Browser::trusting(&certificate);
        site.sign_in(&browser);
        let session = browser.cookie(&site.url("/"), "__Host-vestibule").expect("a session");
        let client = Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { site, cookie: format!("__Host-vestibule={session}"), client, runtime }
    }

    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = self.client.request(method, self.site.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            response.status()
        })
    }
}

#[test]
fn a_session_passes_over_http2_and_split_cookies_are_joined() {
    let house = House::open();
    let split = [("cookie", "a=1"), ("cookie", house.cookie.as_str()), ("cookie", "b=2; c=3")];
    assert_eq!(house.ask(Method::GET, "/over/http2", &split), 200);
    let seen = house.site.upstream.only("/over/http2");
    assert_eq!(seen.header("x-forwarded-user"), Some("ada"));
    assert_eq!(seen.request.fields.all("cookie"), ["a=1; b=2; c=3"]);
    assert_eq!(seen.header("host"), Some(house.site.gateway.host().as_str()));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn nobody_passes_over_http2_without_a_session() {
    let house = House::open();
    for headers in [&[][..], &[("cookie", "__Host-vestibule=garbage")], &[("x-forwarded-user", "root")]] {
        assert_eq!(house.ask(Method::GET, "/secret", headers), 401);
        assert_eq!(house.ask(Method::HEAD, "/secret", headers), 401);
        assert_eq!(house.ask(Method::POST, "/secret", headers), 401);
    }
    let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(house.ask(Method::GET, "/secret", &navigation), 302);
    assert!(house.site.upstream.requests_to("/secret").is_empty());
}

#[test]
fn requests_of_two_people_on_one_connection_are_told_apart() {
    let house = House::open();
    house.runtime.block_on(async {
        let mut asked = Vec::new();
        for turn in 0..40 {
            let mut request = house.client.get(house.site.url(&format!("/shared/{turn}")));
            if turn % 2 == 0 {
                request = request.header("cookie", &house.cookie);
            }
            asked.push(async move { (turn, request.send().await.unwrap().status().as_u16()) });
        }
        for (turn, status) in futures_util::future::join_all(asked).await {
            assert_eq!(status, if turn % 2 == 0 { 200 } else { 401 }, "{turn}");
        }
    });
    let seen = house.site.upstream.requests();
    let shared: Vec<_> = seen.iter().filter(|seen| seen.request.target.starts_with("/shared/")).collect();
    assert_eq!(shared.len(), 20);
    assert!(shared.iter().all(|seen| seen.header("x-forwarded-user") == Some("ada")));
}
