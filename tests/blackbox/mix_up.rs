//! Two providers behind one origin: what belongs to one is good for nothing at the other
//! ([RFC 9700 §4.4](https://www.rfc-editor.org/rfc/rfc9700#section-4.4)).

use rstest::rstest;
use serde_json::json;
use url::Url;

use crate::support::address::{parameter, with_parameter};
use crate::support::browser::{Browser, Errand};
use crate::support::config::Config;
use crate::support::gateway::Gateway;
use crate::support::message::{Response, value};
use crate::support::provider::{CLIENT_ID, Endpoint, Fault, Mishap, Provider};
use crate::support::site::never_given_a_session;
use crate::support::upstream::Upstream;

/// `/` for the first provider, `/partners` for the second.
struct Site {
    gateway: Gateway,
    idp: Provider,
    partners: Provider,
    upstream: Upstream,
}

impl Site {
    fn start() -> Self {
        Self::with(|config| config)
    }

    fn with(edit: impl FnOnce(Config) -> Config) -> Self {
        Self::around(Provider::start(), edit)
    }

    fn around(idp: Provider, edit: impl FnOnce(Config) -> Config) -> Self {
        Self::between(idp, Provider::start(), edit)
    }

    fn between(idp: Provider, partners: Provider, edit: impl FnOnce(Config) -> Config) -> Self {
        let upstream = Upstream::start();
        let config = Config::new(&idp.entry(), &upstream)
            .set("/log/format", json!("json"))
            .set("/providers/partners", partners.entry())
            .route(json!({
                "id": "partners", "match": { "path": "/partners" },
                "auth": { "session": "partners" }, "upstream": upstream.url(),
            }));
        Self { gateway: Gateway::start(edit(config)), idp, partners, upstream }
    }

    fn open(&self, browser: &Browser, target: &str) -> Response {
        browser.open(&self.gateway.url(target))
    }

    /// What a provider answers a login for this page with: the address of the callback.
    fn answer(&self, browser: &Browser, target: &str) -> Url {
        let challenge = self.open(browser, target);
        let back = browser.open(challenge.location());
        Url::parse(back.location()).expect("an address")
    }

    fn asked_for_tokens(&self) -> usize {
        self.idp.calls(Endpoint::Token) + self.partners.calls(Endpoint::Token)
    }
}

#[test]
fn each_provider_has_its_callback_and_its_session() {
    let site = Site::start();
    let browser = Browser::new();
    assert_eq!(browser.visit(&site.gateway.url("/page")).status(), 200);
    assert_eq!(site.partners.calls(Endpoint::Authorize), 0);
    site.upstream.forget();
    // A session of one is none for a route of the other.
    let challenge = site.open(&browser, "/partners/page");
    assert_eq!(challenge.status, 302);
    assert!(challenge.location().starts_with(&site.partners.issuer()), "{}", challenge.location());
    site.upstream.saw_nothing();
    site.partners.claim(&json!({ "preferred_username": "ada-of-partners" }));
    assert_eq!(browser.visit(&site.gateway.url("/partners/page")).status(), 200);
    let seen = site.upstream.only("/partners/page");
    assert_eq!(seen.header("x-forwarded-preferred-username"), Some("ada-of-partners"));
    assert_eq!(browser.visit(&site.gateway.url("/page")).status(), 200);
    assert_eq!(site.upstream.only("/page").header("x-forwarded-preferred-username"), Some("ada"));
}

#[rstest]
#[case::whole_answer_at_the_other_callback("path", 400, "provider_mismatch")]
#[case::code_of_one_with_the_state_of_the_other("code", 400, "invalid_grant")]
#[case::iss_of_the_other("iss", 400, "iss_mismatch")]
#[case::no_provider_in_the_path("plain", 404, "not_found")]
#[case::a_provider_nobody_knows("unknown", 404, "not_found")]
fn an_answer_of_another_provider_is_refused(#[case] how: &str, #[case] status: u16, #[case] reason: &str) {
    let site = Site::start();
    let browser = Browser::new();
    let honest = site.answer(&browser, "/page");
    let attack = site.answer(&browser, "/partners/page");
    let mut url = match how {
        "code" => with_parameter(&honest, "code", Some(&parameter(&attack, "code"))),
        "iss" => with_parameter(&honest, "iss", Some(&site.partners.issuer())),
        _ => honest.clone(),
    };
    match how {
        "path" => url.set_path("/.vestibule/callback/partners"),
        "plain" => url.set_path("/.vestibule/callback"),
        "unknown" => url.set_path("/.vestibule/callback/nobody"),
        _ => {}
    }
    let response = browser.open(url.as_str());
    assert_eq!(response.status, status, "{}", response.everything());
    assert_eq!(site.gateway.reason(&response).1, reason, "{}", site.gateway.logs());
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
    // A foreign code goes to the provider of the state, which knows nothing of it; nothing else goes anywhere.
    assert_eq!(site.asked_for_tokens(), usize::from(how == "code"));
    assert_eq!(site.partners.calls(Endpoint::Token), 0);
}

#[rstest]
#[case::a_code(Fault::None)]
#[case::a_code_without_iss(Fault::IssParamAbsentUnadvertised)]
#[case::an_error(Fault::AccessDenied)]
fn an_answer_is_good_at_its_own_providers_callback_alone(#[case] fault: Fault) {
    let site = Site::between(Provider::with(fault), Provider::with(fault), |config| config);
    let browser = Browser::new();
    for (page, other) in [("/page", "partners"), ("/partners/page", "idp")] {
        let mut url = site.answer(&browser, page);
        url.set_path(&format!("/.vestibule/callback/{other}"));
        let response = browser.open(url.as_str());
        assert_eq!(response.status, 400, "{}", response.everything());
        assert_eq!(site.gateway.reason(&response).1, "provider_mismatch");
    }
    assert_eq!(site.asked_for_tokens(), 0);
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[test]
fn a_code_of_the_honest_provider_never_comes_to_the_attackers() {
    // RFC 9700 §4.4.1: the attacker's metadata sends people to the honest provider.
    let (idp, partners) = (Provider::start(), Provider::start());
    let honest: &'static str = format!("\"{}/authorize\"", idp.issuer()).leak();
    partners.spoil(Some((Endpoint::Discovery, Mishap::Member("authorization_endpoint", honest))));
    let site = Site::between(idp, partners, |config| config);
    let browser = Browser::new();
    let answer = site.answer(&browser, "/partners/page");
    assert!(!parameter(&answer, "code").is_empty(), "{answer}");
    // An honest provider would go no further: where the attacker's logins end is not registered with it.
    let asked = site.idp.authorization_requests().concat();
    assert_eq!(value(&asked, "redirect_uri"), site.gateway.url("/.vestibule/callback/partners"));
    let response = browser.open(answer.as_str());
    assert_eq!(response.status, 400, "{}", response.everything());
    assert_eq!(site.gateway.reason(&response).1, "iss_mismatch");
    assert_eq!(site.asked_for_tokens(), 0);
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[test]
fn a_plain_callback_is_the_only_one_of_an_only_provider() {
    let site = crate::support::site::Site::start();
    let browser = Browser::new();
    let url = site.callback(&browser, "/page").replace("/.vestibule/callback?", "/.vestibule/callback/idp?");
    assert_eq!(browser.open(&url).status, 404);
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
}

#[test]
fn a_code_of_another_login_is_refused_by_its_nonce_alone() {
    // The victim's code, which an attacker has got hold of, in the attacker's own login; the provider knows
    // nothing of PKCE (RFC 9700 §4.5).
    let site = crate::support::site::Site::faulty(Fault::PkceIgnored, |config, _| {
        config.set("/log/format", json!("json"))
    });
    let (victim, attacker) = (Browser::new(), Browser::new());
    let stolen = Url::parse(&site.callback(&victim, "/private")).expect("an address");
    let own = Url::parse(&site.callback(&attacker, "/private")).expect("an address");
    let response = attacker.open(with_parameter(&own, "code", Some(&parameter(&stolen, "code"))).as_str());
    assert_eq!(response.status, 400, "{}", response.everything());
    site.refused_at_callback(&response, "id_token_nonce");
    never_given_a_session(&attacker);
    site.upstream.saw_nothing();
}

#[test]
fn one_sign_out_ends_the_sessions_of_both() {
    let site = Site::start();
    let browser = Browser::new();
    browser.visit(&site.gateway.url("/page"));
    browser.visit(&site.gateway.url("/partners/page"));
    let cookies = browser.jar().clone();
    site.upstream.forget();
    let out = Errand::post(&site.gateway.url("/.vestibule/sign-out"), "", &site.gateway.url("/page"));
    assert_eq!(browser.send(&out).status, 303);
    *browser.jar() = cookies;
    for page in ["/page", "/partners/page"] {
        assert_eq!(browser.send(&Errand::fetch(&site.gateway.url(page))).status, 401, "{page}");
    }
    site.upstream.saw_nothing();
}

#[rstest]
#[case::of_both("browser", Fault::None, [1, 1])]
#[case::not_of_one_that_is_left_alone("local", Fault::None, [1, 0])]
#[case::not_of_one_that_has_none("browser", Fault::NoEndSession, [0, 1])]
#[case::no_further_than_the_first_that_keeps_the_state("browser", Fault::EndSessionNoState, [1, 0])]
fn a_sign_out_is_one_at_every_provider(
    #[values(Some("%2Fpublic%2Fbye"), None)] return_to: Option<&str>,
    #[case] there: &str,
    #[case] here: Fault,
    #[case] calls: [usize; 2],
) {
    let site =
        Site::around(Provider::with(here), |config| config.set("/providers/partners/sign_out", json!(there)));
    let browser = Browser::new();
    for page in ["/page", "/partners/page"] {
        assert_eq!(browser.visit(&site.gateway.url(page)).status(), 200);
    }
    let form = return_to.map_or(String::new(), |target| format!("return_to={target}"));
    let sign_out = site.gateway.url("/.vestibule/sign-out");
    let page = browser.walk(Errand::post(&sign_out, &form, &site.gateway.url("/page")));
    // Without the state nobody knows where they wanted to go.
    let target = return_to.filter(|_| here != Fault::EndSessionNoState);
    let target = target.map_or("/.vestibule/signed-out", |_| "/public/bye");
    assert_eq!((page.status(), page.url.path()), (200, target), "{:?}", page.trail);
    assert_eq!([&site.idp, &site.partners].map(|provider| provider.calls(Endpoint::EndSession)), calls);
    // The first that is visited is told by an ID token whose session it is, those behind it by name.
    let visited = [&site.idp, &site.partners].into_iter().flat_map(Provider::sign_outs);
    for (turn, asked) in visited.enumerate() {
        assert_eq!(value(&asked, "post_logout_redirect_uri"), site.gateway.url("/.vestibule/signed-out"));
        assert_eq!(value(&asked, "client_id"), CLIENT_ID);
        assert_eq!(value(&asked, "id_token_hint").is_empty(), turn > 0, "{asked:?}");
        assert_eq!(value(&asked, "logout_hint"), if turn > 0 { "ada" } else { "" });
    }
    for page in ["/page", "/partners/page"] {
        assert_eq!(browser.send(&Errand::fetch(&site.gateway.url(page))).status, 401, "{page}");
    }
}

#[test]
fn the_same_sid_at_another_provider_is_another_session() {
    let site = Site::start();
    // Both providers call it `session-1`.
    let (here, there) = (Browser::new(), Browser::new());
    here.visit(&site.gateway.url("/page"));
    there.visit(&site.gateway.url("/partners/page"));
    site.upstream.forget();
    let out = Errand::post(&site.gateway.url("/.vestibule/sign-out"), "", &site.gateway.url("/page"));
    here.send(&out);
    assert_eq!(site.open(&there, "/partners/page").status, 200);
    assert_eq!(site.upstream.only("/partners/page").header("x-forwarded-user"), Some("ada"));
}

#[test]
fn each_provider_has_its_own_names_for_claims() {
    let site = Site::with(|config| {
        config
            .set("/providers/partners/claims", json!({ "groups": "realm_access.roles", "email": "mail" }))
            .set("/routes/0/require", json!([{ "groups": ["auditor"] }]))
    });
    site.partners.claim(&json!({
        "groups": ["staff"], "email": "ada@example.com", "mail": "ada@partners.test",
        "realm_access": { "roles": ["auditor", "guest"] },
    }));
    let browser = Browser::new();
    assert_eq!(browser.visit(&site.gateway.url("/partners/page")).status(), 200);
    let seen = site.upstream.only("/partners/page");
    assert_eq!(seen.header("x-forwarded-groups"), Some("auditor,guest"));
    assert_eq!(seen.header("x-forwarded-email"), Some("ada@partners.test"));
    assert_eq!(browser.visit(&site.gateway.url("/page")).status(), 200);
    assert_eq!(site.upstream.only("/page").header("x-forwarded-groups"), Some("staff,finance"));
}
