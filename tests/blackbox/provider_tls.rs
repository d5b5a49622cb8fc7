//! A provider over TLS: whom the gateway believes to be the provider, and what it says to the operator of one that
//! it doesn't believe.

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
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
        parameters.distinguished_name.push(DnType::CommonName, name);
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
}

/// A gateway that trusts these certificates alone for its provider; the system's with none.
fn site(provider: Provider, trusted: &[&Identity]) -> Site {
    Site::around(provider, |config, _| {
        let config = config.set("/log/format", json!("json"));
        if trusted.is_empty() {
            return config;
        }
        let bundle: String = trusted.iter().map(|identity| identity.certificate.as_str()).collect();
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
    let log = site.gateway.logs();
    assert!(log.contains(why), "{why:?} in {log}");
    assert!(!answer.text().contains(why), "that is for the operator: {}", answer.text());
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Discovery), 0);
    site.upstream.saw_nothing();
}

#[test]
fn a_provider_of_an_own_authority_signs_in() {
    let (right, other) = (Identity::right(), Identity::of_another_host());
    let site = site(Provider::over_tls(&right.certificate, &right.key), &[&other, &right]);
    let browser = Browser::trusting(&right.certificate);
    let page = browser.visit(&site.url("/private"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{}", site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
}

#[rstest]
#[case::signed_by_nobody_the_system_knows(Identity::right(), None, "invalid peer certificate")]
#[case::of_another_key_by_the_same_name(Identity::right(), Some(Identity::right()), "BadSignature")]
#[case::not_in_our_bundle(Identity::right(), Some(Identity::of_another_host()), "UnknownIssuer")]
#[case::of_another_host(Identity::of_another_host(), None, "not valid for name")]
#[case::expired(Identity::expired(), None, "xpired")]
#[case::not_yet_valid(Identity::not_yet_valid(), None, "not valid yet")]
fn a_certificate_that_is_not_the_providers_is_never_believed(
    #[case] presented: Identity,
    #[case] trusted: Option<Identity>,
    #[case] why: &str,
) {
    let provider = Provider::over_tls(&presented.certificate, &presented.key);
    let by_the_system = why == "invalid peer certificate";
    let trusted: Vec<_> =
        if by_the_system { Vec::new() } else { vec![trusted.as_ref().unwrap_or(&presented)] };
    refuses(&site(provider, &trusted), "provider_unreachable", why);
}

#[test]
fn a_provider_that_speaks_no_tls_is_never_believed() {
    let right = Identity::right();
    let provider = Provider::over_tls(&right.certificate, &right.key);
    provider.drop_tls();
    refuses(&site(provider, &[&right]), "provider_timeout", "no answer within");
}

#[rstest]
#[case::of_somebody_else(Identity::right())]
#[case::of_another_host(Identity::of_another_host())]
#[case::expired(Identity::expired())]
fn a_certificate_that_has_changed_gets_no_code(#[case] later: Identity) {
    let right = Identity::right();
    let site = site(Provider::over_tls(&right.certificate, &right.key), &[&right]);
    let browser = Browser::trusting(&right.certificate);
    let callback = site.callback(&browser, "/private");
    site.provider.present(&later.certificate, &later.key);
    let answer = browser.open(&callback);
    assert_eq!(answer.status, 503, "{}", answer.everything());
    site.refused_at_callback(&answer, "provider_unreachable");
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    site.upstream.saw_nothing();
    // Another login with the right one again is nobody's loss.
    site.provider.present(&right.certificate, &right.key);
    let page = browser.visit(&site.url("/private"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{}", site.gateway.logs());
}
