//! A provider over TLS: whom the gateway believes to be the provider, and what it says to the operator of one that
//! it doesn't believe.

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::eventually;
use crate::support::provider::{Endpoint, Provider};
use crate::support::site::{Site, never_given_a_session};

/// A certificate and its key, PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn of(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, format!("a test for {name}"));
        edit(&mut parameters);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        Self { certificate, key: key.serialize_pem() }
    }

    fn right() -> Self {
        Self::of("localhost", |_| {})
    }

    fn of_another_host() -> Self {
        Self::of("elsewhere.test", |_| {})
    }

    fn expired() -> Self {
        Self::of("localhost", |parameters| {
            (parameters.not_before, parameters.not_after) =
                (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        })
    }

    fn not_yet_valid() -> Self {
        Self::of("localhost", |parameters| {
            (parameters.not_before, parameters.not_after) =
                (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
        })
    }

    fn provider(&self) -> Provider {
        Provider::over_tls(&self.certificate, &self.key)
    }
}

/// Whom the gateway trusts to vouch for its provider.
enum Trusted {
    /// Whomever the system trusts.
    System,
    /// These certificates alone.
    These(Vec<Identity>),
}

fn site(provider: Provider, trusted: &Trusted) -> Site {
    Site::around(provider, |config, _| {
        let config = config.set("/log/format", json!("json"));
        let Trusted::These(identities) = trusted else { return config };
        let bundle: String = identities.iter().map(|identity| identity.certificate.as_str()).collect();
        config.file("ca.pem", &bundle);
        let path = config.path("ca.pem");
        config.set("/providers/idp/tls", json!({ "ca": path }))
    })
}

/// Asserts that a login can't begin, that the operator reads why, and that the provider was told nothing.
fn refuses(site: &Site, reason: &str, why: &str) {
    let browser = Browser::new();
    let answer = site.visit(&browser, "/private").response;
    assert_eq!(answer.status, 503, "{}", answer.everything());
    assert_eq!(site.reason(&answer).1, reason, "{}", site.gateway.logs());
    assert!(answer.fields.has("retry-after"));
    is_logged(site, why);
    assert!(!answer.text().contains(why), "that is for the operator: {}", answer.text());
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Discovery), 0);
    site.upstream.saw_nothing();
}

fn is_logged(site: &Site, why: &str) {
    eventually(&format!("{why:?} in the log"), || site.gateway.logs().contains(why).then_some(()));
}

#[test]
fn a_provider_of_an_own_authority_signs_in() {
    let right = Identity::right();
    let (provider, browser) = (right.provider(), Browser::trusting(&right.certificate));
    let site = site(provider, &Trusted::These(vec![Identity::of_another_host(), right]));
    let page = browser.visit(&site.url("/private"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{}", site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
}

#[rstest]
#[case::that_the_system_does_not_know(Identity::right(), Trusted::System, "UnknownIssuer")]
#[case::of_another_key_by_the_same_name(
    Identity::right(), Trusted::These(vec![Identity::right()]), "BadSignature"
)]
#[case::that_is_not_in_our_bundle(
    Identity::right(), Trusted::These(vec![Identity::of_another_host()]), "UnknownIssuer"
)]
fn a_certificate_that_nobody_vouches_for_is_never_believed(
    #[case] presented: Identity,
    #[case] trusted: Trusted,
    #[case] why: &str,
) {
    refuses(&site(presented.provider(), &trusted), "provider_unreachable", why);
}

#[rstest]
#[case::of_another_host(Identity::of_another_host(), "not valid for name")]
#[case::expired(Identity::expired(), "expired")]
#[case::not_yet_valid(Identity::not_yet_valid(), "not valid yet")]
fn a_certificate_that_is_not_good_here_and_now_is_never_believed(
    #[case] presented: Identity,
    #[case] why: &str,
) {
    let provider = presented.provider();
    refuses(&site(provider, &Trusted::These(vec![presented])), "provider_unreachable", why);
}

#[test]
fn a_provider_that_never_answers_the_handshake_is_given_up_in_time() {
    let right = Identity::right();
    let provider = right.provider();
    provider.drop_tls();
    refuses(&site(provider, &Trusted::These(vec![right])), "provider_timeout", "no answer within");
}

#[rstest]
#[case::to_somebody_elses(Identity::right(), "BadSignature")]
#[case::to_another_hosts(Identity::of_another_host(), "UnknownIssuer")]
#[case::to_one_that_has_expired(Identity::expired(), "expired")]
fn a_certificate_that_has_changed_gets_no_code(#[case] later: Identity, #[case] why: &str) {
    let right = Identity::right();
    let (provider, browser) = (right.provider(), Browser::trusting(&right.certificate));
    let (certificate, key) = (right.certificate.clone(), right.key.clone());
    let site = site(provider, &Trusted::These(vec![right]));
    let callback = site.callback(&browser, "/private");
    site.provider.present(&later.certificate, &later.key);
    let answer = browser.open(&callback);
    assert_eq!(answer.status, 503, "{}", answer.everything());
    site.refused_at_callback(&answer, "provider_unreachable");
    is_logged(&site, why);
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    site.upstream.saw_nothing();
    // Another login with the right one again is nobody's loss.
    site.provider.present(&certificate, &key);
    let page = browser.visit(&site.url("/private"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{}", site.gateway.logs());
}
