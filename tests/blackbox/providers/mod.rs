//! The same sign-on cases at every provider that isn't a fake of these tests: the certified one, Keycloak, and the
//! local PingOne.
//!
//! A case sees a gateway of its own. The provider is shared, as it would be, and knows every browser by itself.

mod cases;

use serde_json::{Value, json};
use url::Url;

use crate::support::browser::{ADA, Browser, User};
use crate::support::config::Config;
use crate::support::emulator::LocalPingOne;
use crate::support::gateway::Gateway;
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::OidcProvider;
use crate::support::provider::{CLIENT_ID, POSTING_CLIENT_ID};
use crate::support::site::{SESSION, certificate, never_given_a_session};
use crate::support::upstream::Upstream;

const CALLBACK: &str = "/.vestibule/callback";

/// One case, at a gateway with this configuration.
struct Case {
    name: &'static str,
    edit: fn(Config, &Upstream) -> Config,
    holds: fn(&mut Stand),
    /// Over TLS.
    tls: bool,
    client_id: &'static str,
}

const CASES: [Case; 17] = [
    case("signs in and out, the session in memory", cases::memory, cases::signs_in_and_out_in_memory),
    case("signs in and out, the session in the cookie", cases::cookie, cases::signs_in_and_out_by_cookie),
    Case { tls: true, ..case("signs in by form post", cases::form_post, cases::signs_in_by_form_post) },
    Case {
        client_id: POSTING_CLIENT_ID,
        ..case("signs in with the secret in the body", cases::secret_in_the_body, cases::signs_in)
    },
    case("signs in with the claims of userinfo, too", cases::userinfo, cases::signs_in),
    case("a max_age is asked for and proved", cases::max_age, cases::signs_in_within_a_max_age),
    case("two people are never mixed up", cases::plain, cases::two_people),
    case("tabs land where they began", cases::plain, cases::tabs),
    case("a third party starts a login", cases::plain, cases::third_party),
    case("an answer is good for its own browser alone", cases::plain, cases::other_browser),
    case("an answer is used once", cases::plain, cases::used_once),
    case("an altered answer signs nobody in", cases::plain, cases::altered),
    case("codes of two people that change places sign nobody in", cases::plain, cases::swapped),
    case("an issuer that is another's, or is gone, signs nobody in", cases::plain, cases::other_issuer),
    case("a wrong secret signs nobody in", cases::wrong_secret, cases::refused),
    case("who is signed in nowhere isn't signed in silently", cases::silent_route, cases::silently),
    case("signing in again after a sign-out may be somebody else", cases::memory, cases::somebody_else),
];

const fn case(name: &'static str, edit: fn(Config, &Upstream) -> Config, holds: fn(&mut Stand)) -> Case {
    Case { name, edit, holds, tls: false, client_id: CLIENT_ID }
}

/// Where a gateway stands while a case holds it to account.
struct Stand {
    gateway: Gateway,
    upstream: Upstream,
    /// Of a gateway that speaks TLS.
    certificate: Option<String>,
    /// The provider's.
    issuer: String,
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
    let entry = entry(&provider);
    let mut last = None;
    for (case, upstream, config) in grounds {
        println!("case: {}", case.name);
        let config = config
            .set("/providers/idp", entry.clone())
            .set("/providers/idp/client_id", json!(case.client_id))
            .set("/providers/idp/timeouts/total", json!("10s"));
        let gateway = Gateway::start((case.edit)(config, &upstream));
        let certificate = case.tls.then(|| certificate.clone());
        let issuer = entry["issuer"].as_str().expect("an issuer").to_owned();
        let mut stand = Stand { gateway, upstream, certificate, issuer };
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
