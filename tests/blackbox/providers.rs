//! The same sign-on cases at every provider that isn't a fake of these tests: the certified one, Keycloak, and the
//! local PingOne.
//!
//! A case sees a gateway of its own; the provider is shared, as it would be, and remembers nobody: every case has
//! browsers of its own.

use serde_json::{Value, json};
use url::Url;

use crate::support::browser::{ADA, Browser, Errand, GRACE, Page, User};
use crate::support::config::Config;
use crate::support::emulator::LocalPingOne;
use crate::support::gateway::Gateway;
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::OidcProvider;
use crate::support::provider::{CLIENT_ID, POSTING_CLIENT_ID};
use crate::support::site::{SESSION, certificate, holds_session, never_given_a_session};
use crate::support::upstream::Upstream;

const CALLBACK: &str = "/.vestibule/callback";

/// Where a gateway stands while a case holds it to account.
struct Stand {
    gateway: Gateway,
    upstream: Upstream,
    /// Of a gateway that speaks TLS.
    certificate: Option<String>,
}

/// One case, at a gateway with this configuration.
struct Case {
    name: &'static str,
    /// Over TLS.
    tls: bool,
    client_id: &'static str,
    edit: fn(Config, &Upstream) -> Config,
    holds: fn(&mut Stand),
}

const CASES: [Case; 17] = [
    Case::new("signs in and out, the session in memory", memory, signs_in_and_out),
    Case::new("signs in and out, the session in the cookie", cookie, signs_in_and_out),
    Case { tls: true, ..Case::new("signs in by form post", form_post, signs_in) },
    Case {
        client_id: POSTING_CLIENT_ID,
        ..Case::new("proves itself in the body", secret_in_the_body, signs_in)
    },
    Case::new("asks the userinfo endpoint", userinfo, signs_in),
    Case::new("a max_age is proved by auth_time", max_age, signs_in),
    Case::new("two people are never mixed up", plain, two_people),
    Case::new("tabs land where they began", plain, tabs),
    Case::new("a third party starts a login", plain, third_party),
    Case::new("an answer is good for its own browser alone", plain, other_browser),
    Case::new("an answer is used once", plain, used_once),
    Case::new("an altered answer signs nobody in", plain, altered),
    Case::new("codes of two people that change places sign nobody in", plain, swapped),
    Case::new("an issuer that is another's, or is gone, signs nobody in", plain, other_issuer),
    Case::new("a wrong secret signs nobody in", wrong_secret, refused),
    Case::new("who is signed in nowhere isn't signed in silently", silent_route, silently),
    Case::new("signing in again after a sign-out may be somebody else", memory, somebody_else),
];

impl Case {
    const fn new(name: &'static str, edit: fn(Config, &Upstream) -> Config, holds: fn(&mut Stand)) -> Self {
        Self { name, tls: false, client_id: CLIENT_ID, edit, holds }
    }
}

fn plain(config: Config, _: &Upstream) -> Config {
    config.set("/log/format", json!("json"))
}

fn memory(config: Config, upstream: &Upstream) -> Config {
    plain(config, upstream).set("/providers/idp/after_sign_out", json!("/public/bye"))
}

fn cookie(config: Config, upstream: &Upstream) -> Config {
    memory(config, upstream).set("/sessions/store", json!("cookie"))
}

fn form_post(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/response_mode", json!("form_post"))
}

fn secret_in_the_body(config: Config, upstream: &Upstream) -> Config {
    plain(config, upstream).set("/providers/idp/client_auth", json!("client_secret_post"))
}

fn userinfo(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/userinfo", json!("always"))
}

fn max_age(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/authorize", json!({ "max_age": 3600 }))
}

fn wrong_secret(config: Config, upstream: &Upstream) -> Config {
    plain(config, upstream)
        .set("/providers/idp/client_secret", json!({ "value": "not-the-one-that-was-agreed-on" }))
}

/// `/silent` lets the provider ask nothing.
fn silent_route(config: Config, upstream: &Upstream) -> Config {
    memory(config, upstream).route(json!({
        "id": "silent", "match": { "path": "/silent" }, "auth": { "session": "idp" },
        "authorize": { "prompt": "none" }, "upstream": upstream.url(),
    }))
}

impl Stand {
    fn url(&self, target: &str) -> String {
        self.gateway.url(target)
    }

    fn browser(&self) -> Browser {
        self.certificate.as_deref().map_or_else(Browser::new, Browser::trusting)
    }

    /// The name of the session's cookie.
    fn session(&self) -> String {
        if self.certificate.is_some() { format!("__Host-{SESSION}") } else { SESSION.to_owned() }
    }

    /// The address at which a login for `target` begins that is meant for `user`.
    fn start(&self, target: &str, user: User) -> String {
        self.url(&format!("/.vestibule/sign-in?login_hint={}&return_to={target}", user.name))
    }

    /// Signs somebody in for a page, and says as whom the upstream saw them.
    #[track_caller]
    fn sign_in(&self, browser: &Browser, target: &str, user: User) -> String {
        let page = browser.sign_in(&self.start(target, user), user);
        assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), self.gateway.logs());
        assert_eq!(page.target(), target);
        let seen = self.upstream.last(target);
        assert_eq!(seen.header("x-forwarded-preferred-username"), Some(user.name));
        assert!(browser.cookie(&self.url("/"), &self.session()).is_some());
        seen.header("x-forwarded-user").expect("sub is always there").to_owned()
    }

    /// Signs somebody in at the provider, and stops on the way back: the callback's address.
    #[track_caller]
    fn callback(&self, browser: &Browser, target: &str, user: User) -> Url {
        let stops = browser.stopping_before(&self.url(CALLBACK));
        let page = stops.sign_in(&self.start(target, user), user);
        assert_eq!(page.url.path(), CALLBACK, "{}", page.response.everything());
        page.url
    }

    /// Asserts that opening this callback signs nobody in, for this reason.
    #[track_caller]
    fn refuses(&self, browser: &Browser, callback: &Url, reason: &str) {
        self.refuses_for_one_of(browser, callback, &[reason]);
    }

    #[track_caller]
    fn refuses_for_one_of(&self, browser: &Browser, callback: &Url, reasons: &[&str]) {
        let answer = browser.open(callback.as_str());
        let (path, reason) = self.gateway.reason(&answer);
        assert_eq!(path, CALLBACK);
        assert!(reasons.contains(&reason.as_str()), "{reason} is none of {reasons:?}");
        assert!(matches!(answer.status, 400 | 503), "{}", answer.everything());
        never_given_a_session(browser);
        self.upstream.saw_nothing();
    }
}

/// The address with one parameter changed, or without it.
fn with(url: &Url, name: &str, change: impl Fn(&str) -> Option<String>) -> Url {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs.into_iter().filter_map(|(key, value)| {
        let value = if key == name { change(&value)? } else { value };
        Some((key, value))
    }));
    changed
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The same but for its last letter.
fn altered_text(text: &str) -> String {
    let last = if text.ends_with('A') { "B" } else { "A" };
    let mut text = text.to_owned();
    text.pop();
    text + last
}

fn signs_in(stand: &mut Stand) {
    let browser = stand.browser();
    let sub = stand.sign_in(&browser, "/a/page", ADA);
    let seen = stand.upstream.last("/a/page");
    assert!(seen.header("x-forwarded-email").is_some_and(|email| email.starts_with("ada")));
    assert!(!sub.is_empty());
}

/// Signs in and out again, and restarts the gateway on the way.
fn signs_in_and_out(stand: &mut Stand) {
    let browser = stand.browser();
    let page = browser.sign_in(&stand.url("/a/page?x=1"), ADA);
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), stand.gateway.logs());
    assert_eq!(page.target(), "/a/page?x=1");
    let seen = stand.upstream.only("/a/page");
    assert_eq!(seen.request.target, "/a/page?x=1");
    assert!(!seen.header("x-forwarded-user").unwrap_or_default().is_empty(), "sub is always there");
    assert_eq!(seen.header("x-forwarded-preferred-username"), Some("ada"));
    let mut groups: Vec<_> = seen.header("x-forwarded-groups").unwrap_or_default().split(',').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["finance", "staff"]);
    assert!(seen.header("x-forwarded-email").is_some_and(|email| email.starts_with("ada")));
    assert_eq!(seen.header("cookie"), None, "our cookies never reach an upstream");

    let kept_by_the_browser = browser.cookie(&stand.url("/"), SESSION).is_some_and(|value| value.len() > 100);
    stand.gateway.restart();
    stand.upstream.forget();
    let again = browser.open(&stand.url("/a/page"));
    if kept_by_the_browser {
        assert_eq!(again.status, 200, "a sealed session outlives the process");
        let seen = stand.upstream.only("/a/page");
        assert_eq!(seen.header("x-forwarded-preferred-username"), Some("ada"));
    } else {
        assert_eq!(again.status, 302, "a session in memory doesn't outlive the process");
        stand.upstream.saw_nothing();
        browser.sign_in(&stand.url("/a/page"), ADA);
    }

    stand.upstream.forget();
    let page = signs_out(stand, &browser);
    assert_eq!((page.status(), page.target().as_str()), (200, "/public/bye"));
    assert_eq!(browser.cookie(&stand.url("/"), SESSION), None);
    assert_eq!(browser.open(&stand.url("/a/page")).status, 302);
    assert_eq!(stand.upstream.requests_to("/a/page").len(), 0);
}

fn signs_out(stand: &Stand, browser: &Browser) -> Page {
    let page = browser.walk(Errand::typed(&stand.url("/.vestibule/sign-out")).from(&stand.url("/a/page")));
    browser.run_script(&page).unwrap_or(page)
}

fn two_people(stand: &mut Stand) {
    let (ada, grace) = (stand.browser(), stand.browser());
    let subs = [stand.sign_in(&ada, "/start", ADA), stand.sign_in(&grace, "/start", GRACE)];
    assert_ne!(subs[0], subs[1]);
    for turn in 0..10 {
        for ((browser, user), sub) in [(&ada, ADA), (&grace, GRACE)].into_iter().zip(&subs) {
            let path = format!("/{turn}/{}", user.name);
            assert_eq!(browser.open(&stand.url(&path)).status, 200);
            let seen = stand.upstream.only(&path);
            assert_eq!(seen.header("x-forwarded-preferred-username"), Some(user.name));
            assert_eq!(seen.header("x-forwarded-user"), Some(sub.as_str()));
        }
    }
}

fn tabs(stand: &mut Stand) {
    let browser = stand.browser();
    // All have been to the provider before the first comes back, and the last comes back first.
    let begun: Vec<_> = (0..5).map(|tab| format!("/tab/{tab}")).collect();
    let begun: Vec<_> = begun.iter().map(|target| (target, stand.callback(&browser, target, ADA))).collect();
    for (target, callback) in begun.iter().rev() {
        let page = browser.visit(callback.as_str());
        assert_eq!((page.status(), &page.target()), (200, *target), "{}", stand.gateway.logs());
        assert_eq!(stand.upstream.only(target).header("x-forwarded-preferred-username"), Some("ada"));
    }
    let sessions = browser.cookie_names(&stand.url("/")).iter().filter(|name| holds_session(name)).count();
    assert_eq!(sessions, 1);
}

fn third_party(stand: &mut Stand) {
    let browser = stand.browser();
    let challenge = browser.open(&stand.url("/learns/the/issuer"));
    let authorize = Url::parse(challenge.location()).expect("an address");
    let callback = stand.callback(&browser, "/learns/the/issuer", ADA);
    // The issuer as the provider itself says it, where it does (RFC 9207); else where its paths hang.
    let issuer = parameter(&callback, "iss")
        .unwrap_or_else(|| authorize.as_str().split("/authorize").next().expect("an address").to_owned());
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("iss", issuer.as_str()), ("login_hint", "grace"), ("target_link_uri", "/third")])
        .finish();
    let browser = stand.browser();
    let page = browser.sign_in(&stand.url(&format!("/.vestibule/sign-in?{query}")), GRACE);
    assert_eq!((page.status(), page.target().as_str()), (200, "/third"), "{}", page.response.everything());
    assert_eq!(stand.upstream.only("/third").header("x-forwarded-preferred-username"), Some("grace"));
}

fn other_browser(stand: &mut Stand) {
    let (attacker, victim) = (stand.browser(), stand.browser());
    let callback = stand.callback(&attacker, "/their/page", ADA);
    stand.refuses(&victim, &callback, "login_cookie_lost");
    // It is still good where it belongs.
    let page = attacker.visit(callback.as_str());
    assert_eq!((page.status(), page.target().as_str()), (200, "/their/page"));
}

fn used_once(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/once", ADA);
    let first = browser.visit(callback.as_str());
    assert_eq!((first.status(), first.target().as_str()), (200, "/once"));
    let again = browser.visit(callback.as_str());
    assert_eq!(
        (again.status(), again.target().as_str()),
        (200, "/once"),
        "a live session goes on to the page"
    );
    browser.jar().remove(SESSION);
    let line = browser.open(callback.as_str());
    assert_eq!(line.status, 400, "{}", line.everything());
    assert_eq!(browser.cookie(&stand.url("/"), SESSION), None);
}

fn altered(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/altered", ADA);
    stand.refuses(&browser, &with(&callback, "state", |text| Some(altered_text(text))), "state_unknown");
    stand.refuses(&browser, &with(&callback, "state", |_| None), "state_missing");
    stand.refuses(&browser, &with(&callback, "code", |_| None), "code_missing");
    stand.refuses(&browser, &with(&callback, "code", |text| Some(altered_text(text))), "invalid_grant");
}

fn swapped(stand: &mut Stand) {
    let (ada, grace) = (stand.browser(), stand.browser());
    let to_ada = stand.callback(&ada, "/swapped", ADA);
    let to_grace = stand.callback(&grace, "/swapped", GRACE);
    let code = |of: &Url| parameter(of, "code").expect("a code");
    for (browser, callback, other) in [(&ada, &to_ada, code(&to_grace)), (&grace, &to_grace, code(&to_ada))] {
        let callback = with(callback, "code", |_| Some(other.clone()));
        stand.refuses(browser, &callback, "invalid_grant");
    }
}

fn other_issuer(stand: &mut Stand) {
    let elsewhere = |callback: &Url| {
        let mut changed = with(callback, "iss", |_| None);
        changed.query_pairs_mut().append_pair("iss", "https://elsewhere.test");
        changed
    };
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/issuer", ADA);
    stand.refuses(&browser, &elsewhere(&callback), "iss_mismatch");
    // Not every provider says who it is; one that does is missed when it doesn't.
    if parameter(&callback, "iss").is_some() {
        let browser = stand.browser();
        let callback = stand.callback(&browser, "/issuer", ADA);
        stand.refuses(&browser, &with(&callback, "iss", |_| None), "iss_missing");
    }
}

fn refused(stand: &mut Stand) {
    let browser = stand.browser();
    let callback = stand.callback(&browser, "/refused", ADA);
    // The standard's word, and Keycloak's.
    stand.refuses_for_one_of(&browser, &callback, &["invalid_client", "unauthorized_client"]);
}

fn silently(stand: &mut Stand) {
    let browser = stand.browser();
    let declined = |browser: &Browser| {
        let page = browser.visit(&stand.url("/silent"));
        assert_eq!(page.status(), 403, "{}", page.response.everything());
        assert_eq!(page.url.path(), CALLBACK);
        assert!(page.response.text().contains("login_required"), "{}", page.response.text());
        assert_eq!(stand.upstream.requests_to("/silent").len(), 0);
    };
    declined(&browser);
    // Signed in at the provider, and no longer here.
    stand.sign_in(&browser, "/page", ADA);
    browser.jar().remove(SESSION);
    let page = browser.visit(&stand.url("/silent"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/silent"), "{}", page.response.everything());
    assert_eq!(stand.upstream.only("/silent").header("x-forwarded-preferred-username"), Some("ada"));
    stand.upstream.forget();
    // A sign-out is one at the provider, too.
    assert_eq!(signs_out(stand, &browser).target(), "/public/bye");
    declined(&browser);
}

fn somebody_else(stand: &mut Stand) {
    let browser = stand.browser();
    let ada = stand.sign_in(&browser, "/page", ADA);
    let old = browser.cookie(&stand.url("/"), SESSION).expect("a session");
    assert_eq!(signs_out(stand, &browser).target(), "/public/bye");
    let grace = stand.sign_in(&browser, "/page", GRACE);
    assert_ne!(ada, grace);
    stand.upstream.forget();
    assert_eq!(stand.gateway.ask("GET /private", &format!("Cookie: {SESSION}={old}\r\n")).status, 401);
    stand.upstream.saw_nothing();
}

/// Holds every case at the provider that `start` makes for these origins, and takes the provider away in the end.
fn every_case<P>(start: impl FnOnce(&[&str]) -> Option<P>, entry: impl Fn(&P) -> Value) {
    let (certificate, key) = certificate();
    let grounds: Vec<_> = CASES
        .iter()
        .map(|case| {
            let upstream = Upstream::start();
            let config = Config::new(&json!(null), &upstream);
            let config = if case.tls { config.tls(&certificate, &key) } else { config };
            (case, upstream, config)
        })
        .collect();
    let origins: Vec<_> = grounds.iter().map(|(_, _, config)| config.origin().to_owned()).collect();
    let origins: Vec<_> = origins.iter().map(String::as_str).collect();
    let Some(provider) = start(&origins) else { return };
    let mut last = None;
    for (case, upstream, config) in grounds {
        println!("case: {}", case.name);
        let config = config
            .set("/providers/idp", entry(&provider))
            .set("/providers/idp/client_id", json!(case.client_id))
            .set("/providers/idp/timeouts/total", json!("10s"));
        let gateway = Gateway::start((case.edit)(config, &upstream));
        let certificate = case.tls.then(|| certificate.clone());
        let mut stand = Stand { gateway, upstream, certificate };
        (case.holds)(&mut stand);
        last = Some(stand);
    }
    println!("case: a provider that is gone signs nobody in, and who is signed in stays so");
    let stand = last.expect("there are cases");
    let (signed_in, under_way) = (stand.browser(), stand.browser());
    stand.sign_in(&signed_in, "/stays", ADA);
    let callback = stand.callback(&under_way, "/late", ADA);
    drop(provider);
    stand.upstream.forget();
    stand.refuses(&under_way, &callback, "provider_unreachable");
    assert_eq!(signed_in.open(&stand.url("/stays")).status, 200);
    assert_eq!(stand.upstream.only("/stays").header("x-forwarded-preferred-username"), Some("ada"));
}

#[test]
fn every_case_holds_at_the_certified_provider() {
    every_case(
        |origins| Some(OidcProvider::start(origins)),
        |provider| {
            let mut entry = provider.entry();
            entry["scopes"] = json!(["openid", "profile", "email", "groups"]);
            entry
        },
    );
}

#[test]
fn every_case_holds_at_the_local_pingone() {
    every_case(|_| Some(LocalPingOne::start()), LocalPingOne::entry);
}

#[test]
fn every_case_holds_at_keycloak() {
    every_case(Keycloak::start, Keycloak::entry);
}
