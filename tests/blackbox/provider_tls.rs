//! A provider over TLS: whom the gateway believes to be the provider, and what it says to the operator of one that
//! it doesn't believe.

use std::io::{Read as _, Write as _};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::eventually;
use crate::support::listener::Listener;
use crate::support::provider::{Endpoint, Mishap, Provider};
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

    /// Of the right name where nobody looks for it any more.
    fn of_a_common_name() -> Self {
        Self::of("localhost", |parameters| {
            parameters.subject_alt_names.clear();
            parameters.distinguished_name.push(DnType::CommonName, "localhost");
        })
    }

    /// For clients, which a server isn't.
    fn for_clients() -> Self {
        Self::of("localhost", |parameters| {
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// That of an authority, and another that it signs.
    fn of_an_authority() -> (Self, Self) {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("no name");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "an authority of our own");
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        let authority = Self { certificate, key: key.serialize_pem() };
        let issuer = Issuer::new(parameters, key);
        let parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate").pem();
        (authority, Self { certificate, key: key.serialize_pem() })
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

#[test]
fn a_provider_that_an_own_authority_has_signed_signs_in() {
    let (authority, signed) = Identity::of_an_authority();
    let (provider, browser) = (signed.provider(), Browser::trusting(&authority.certificate));
    let site = site(provider, &Trusted::These(vec![authority]));
    let page = browser.visit(&site.url("/private"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/private"), "{}", site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
}

#[test]
fn a_provider_that_another_authority_has_signed_is_never_believed() {
    // Both authorities have the same name.
    let (authority, _) = Identity::of_an_authority();
    let (_, signed) = Identity::of_an_authority();
    refuses(
        &site(signed.provider(), &Trusted::These(vec![authority])),
        "provider_unreachable",
        "invalid peer certificate",
    );
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
#[case::of_a_common_name(Identity::of_a_common_name(), "not valid for")]
#[case::for_clients(Identity::for_clients(), "invalid peer certificate")]
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
#[case::in_the_clear("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "InvalidContentType")]
#[case::by_hanging_up("", "handshake eof")]
#[case::by_an_alert("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}", "HandshakeFailure")]
fn a_handshake_that_is_answered_otherwise_begins_no_login(#[case] answer: &'static str, #[case] why: &str) {
    let (unasked, right) = (Provider::start(), Identity::right());
    let listener = Listener::start(move |mut stream, _| {
        // All of the first flight, so that the connection ends in order.
        let mut hello = [0; 4096];
        if stream.read(&mut hello).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let site = Site::around(unasked, |config, _| {
        config.file("ca.pem", &right.certificate);
        let path = config.path("ca.pem");
        config
            .set("/log/format", json!("json"))
            .set("/providers/idp/issuer", json!(format!("https://localhost:{}", listener.port())))
            .set("/providers/idp/tls", json!({ "ca": path }))
    });
    refuses(&site, "provider_unreachable", why);
}

#[rstest]
#[case::a_token_endpoint_in_the_clear(
    Mishap::Member("token_endpoint", r#""http://localhost:1/token""#),
    "metadata_endpoint"
)]
#[case::keys_in_the_clear(Mishap::Member("jwks_uri", r#""http://127.0.0.1:1/jwks""#), "metadata_endpoint")]
#[case::a_way_in_in_the_clear(
    Mishap::Member("authorization_endpoint", r#""http://localhost:1/authorize""#),
    "metadata_endpoint"
)]
#[case::an_issuer_in_the_clear(Mishap::Member("issuer", r#""http://AUTHORITY""#), "metadata_issuer")]
#[case::a_redirect_into_the_clear(Mishap::Leads(302, "http://127.0.0.1:1/"), "provider_redirected")]
fn nothing_leads_from_a_protected_provider_into_the_clear(#[case] mishap: Mishap, #[case] reason: &str) {
    // Not even to this machine, where a provider of its own may speak plainly.
    let right = Identity::right();
    let provider = right.provider();
    provider.spoil(Some((Endpoint::Discovery, mishap)));
    let site = site(provider, &Trusted::These(vec![right]));
    let browser = Browser::new();
    let answer = site.visit(&browser, "/private").response;
    assert_eq!(answer.status, 503, "{}", answer.everything());
    assert_eq!(site.reason(&answer).1, reason, "{}", site.gateway.logs());
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Authorize), 0);
    site.upstream.saw_nothing();
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
