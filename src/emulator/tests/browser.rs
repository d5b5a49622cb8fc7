//! A browser without redirects of its own, and an application's calls.

use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::super::{Emulator, Options};

pub(super) const CALLBACK: &str = "http://127.0.0.1:9/callback";
/// RFC 7636 Appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn location(&self) -> Url {
        let location = self.headers.get(LOCATION).unwrap_or_else(|| panic!("no Location: {self:?}"));
        location.to_str().unwrap().parse().unwrap()
    }

    /// A parameter of the address it redirects to.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.location().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A browser with cookies by name; every test stays in one set of addresses.
pub(super) struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { http: http.unwrap(), cookies: BTreeMap::new() }
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(super) async fn get(&mut self, url: impl AsRef<str>) -> Seen {
        let request = self.http.get(url.as_ref());
        self.send(request).await
    }

    pub(super) async fn post(&mut self, url: impl AsRef<str>, form: &[(&str, &str)]) -> Seen {
        let request = self.http.post(url.as_ref());
        self.send(with_form(request, form)).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Seen {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let seen = read(request.header(COOKIE, cookies.join("; "))).await;
        for cookie in seen.headers.get_all(SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        seen
    }

    /// Goes through the sign-on page of `authorize` to the redirect with the answer.
    pub(super) async fn sign_on(&mut self, authorize: &str, username: &str, password: &str) -> Seen {
        let page = self.get(authorize).await.location();
        let flow = page.query_pairs().find(|(name, _)| name == "flowId").unwrap().1.into_owned();
        let form = [("flowId", flow.as_str()), ("username", username), ("password", password)];
        let resume = self.post(page, &form).await.location();
        self.get(resume).await
    }
}

/// What the demo's application does, at one issuer.
pub(super) struct Application {
    pub(super) issuer: String,
    http: reqwest::Client,
}

impl Application {
    pub(super) fn at(issuer: String) -> Self {
        Self { issuer, http: Browser::new().http }
    }

    pub(super) fn of(emulator: &Emulator) -> Self {
        Self::at(emulator.issuer())
    }

    /// An authorization request with these parameters on top.
    pub(super) fn authorize(&self, more: &[(&str, &str)]) -> String {
        let usual = [
            ("client_id", Options::DEMO_CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "st a&te"),
            ("nonce", "n-0S6_WzA2Mj"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let kept = usual.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept.chain(more)).finish();
        format!("{}/authorize?{query}", self.issuer)
    }

    /// A form for an endpoint, with the demo's secret in the header.
    pub(super) async fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Seen {
        self.post_as((Options::DEMO_CLIENT_ID, Options::DEMO_CLIENT_SECRET), endpoint, form).await
    }

    pub(super) async fn post_as(
        &self,
        (id, secret): (&str, &str),
        endpoint: &str,
        form: &[(&str, &str)],
    ) -> Seen {
        let request = self.http.post(format!("{}/{endpoint}", self.issuer)).basic_auth(id, Some(secret));
        read(with_form(request, form)).await
    }

    /// A form without credentials in the header.
    pub(super) async fn post_openly(&self, endpoint: &str, form: &[(&str, &str)]) -> Seen {
        read(with_form(self.http.post(format!("{}/{endpoint}", self.issuer)), form)).await
    }

    pub(super) async fn redeem(&self, code: &str) -> Seen {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post("token", &form).await
    }

    pub(super) async fn refresh(&self, refresh_token: &str) -> Seen {
        self.post("token", &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    pub(super) async fn userinfo(&self, access_token: &str) -> Seen {
        read(self.http.get(format!("{}/userinfo", self.issuer)).bearer_auth(access_token)).await
    }

    pub(super) async fn document(&self, path: &str) -> Value {
        let seen = read(self.http.get(format!("{}/{path}", self.issuer))).await;
        assert_eq!(seen.status, StatusCode::OK);
        seen.json()
    }

    /// `ada`'s tokens, by a sign-on in `browser`.
    pub(super) async fn tokens(&self, browser: &mut Browser, more: &[(&str, &str)]) -> Value {
        let back = browser.sign_on(&self.authorize(more), "ada", "lovelace-1843").await;
        let seen = self.redeem(&back.parameter("code").unwrap()).await;
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        seen.json()
    }
}

fn with_form(request: reqwest::RequestBuilder, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}

async fn read(request: reqwest::RequestBuilder) -> Seen {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Seen { status, headers, body: response.text().await.unwrap() }
}
