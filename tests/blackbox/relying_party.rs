//! The OpenID Foundation's relying-party modules and the further defects of a provider: which ones
//! make a session and which ones never do.
//!
//! The suite calls a token refused when nothing is asked after it. Here, too: after a bad ID token
//! no userinfo request, after a bad authorization response no token request. And: no session
//! cookie, no request at the upstream, no further redirect to the provider, a reason in the log.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::browser::{Browser, Page};
use crate::support::config::Config;
use crate::support::eventually;
use crate::support::provider::{Endpoint, Fault};
use crate::support::site::Site;
use crate::support::upstream::Upstream;

fn asking_userinfo(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/userinfo", json!("always"))
}

/// Walks into a faulty provider and asserts that nothing came of it but a page.
fn refused(fault: Fault, words: &[&str]) -> (Site, Page) {
    let site = Site::faulty(fault, asking_userinfo);
    let browser = Browser::new();
    let page = site.visit(&browser, "/private");
    let shown = page.response.everything();
    assert!((400..600).contains(&page.status()), "{fault:?}: {shown}\n{}", site.gateway.logs());
    assert_eq!(page.response.fields.text("cache-control"), "no-store");
    site.has_no_session(&browser);
    site.upstream.saw_nothing();
    assert!(site.provider.calls(Endpoint::Authorize) <= 1, "{fault:?}: signed in again by itself");
    for secret in site.provider.secrets() {
        assert!(!shown.contains(&secret), "{fault:?}: the page shows {secret}");
    }
    eventually(&format!("{fault:?}: one of {words:?} in the log"), || {
        let log = (site.gateway.logs() + &site.gateway.access_log()).to_lowercase();
        words.iter().any(|word| log.contains(word)).then_some(())
    });
    (site, page)
}

/// Signs in at a provider with this peculiarity and asserts that it went well.
fn accepted(fault: Fault) -> Site {
    let site = Site::faulty(fault, asking_userinfo);
    let page = site.visit(&Browser::new(), "/private");
    assert_eq!(page.status(), 200, "{fault:?}: {}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
    site
}

#[rstest]
#[case::oidcc_client_test(Fault::None)]
#[case::kid_absent_single_jwks(Fault::KidAbsentSingleJwks)]
#[case::expired_within_the_clock_skew(Fault::ExpWithinSkew)]
#[case::token_type_case_insensitivity(Fault::TokenTypeOddCase)]
fn accepts(#[case] fault: Fault) {
    let site = accepted(fault);
    assert_eq!((site.provider.calls(Endpoint::Token), site.provider.calls(Endpoint::Userinfo)), (1, 1));
}

#[rstest]
#[case::invalid_iss(Fault::InvalidIss, &["iss"])]
#[case::missing_sub(Fault::MissingSub, &["sub"])]
#[case::invalid_aud(Fault::InvalidAud, &["aud"])]
#[case::missing_aud(Fault::MissingAud, &["aud"])]
#[case::invalid_secondary_aud(Fault::ExtraAud, &["aud"])]
#[case::azp_of_another_client(Fault::AzpOther, &["azp", "authorized party"])]
#[case::missing_iat(Fault::MissingIat, &["iat", "issue"])]
#[case::iat_in_the_future(Fault::IatFuture, &["iat", "future", "issue"])]
#[case::nbf_in_the_future(Fault::NbfFuture, &["nbf", "not valid yet", "not yet valid"])]
#[case::missing_exp(Fault::MissingExp, &["exp"])]
#[case::invalid_expired_exp(Fault::ExpPast, &["exp"])]
#[case::nonce_invalid(Fault::NonceInvalid, &["nonce"])]
#[case::missing_nonce(Fault::NonceMissing, &["nonce"])]
#[case::invalid_athash(Fault::AtHashWrong, &["at_hash", "access token hash", "access token"])]
#[case::duplicate_members(Fault::DuplicateMembers, &["duplicate", "twice", "id token"])]
#[case::idtoken_sig_none(Fault::SigNone, &["alg", "sign"])]
#[case::invalid_sig_rs256(Fault::InvalidSigRs256, &["sign"])]
#[case::invalid_alternate_alg(Fault::WrongAlg, &["alg", "sign"])]
#[case::hs256_with_the_public_key(Fault::Hs256WithPublicKey, &["alg", "sign"])]
#[case::hs256_with_the_client_secret(Fault::Hs256WithSecret, &["alg", "sign"])]
#[case::a_key_in_the_header(Fault::EmbeddedKey, &["key", "sign"])]
#[case::unknown_crit(Fault::Crit, &["crit"])]
#[case::not_a_token(Fault::TokenGarbage, &["token"])]
fn refuses_the_id_token(#[case] fault: Fault, #[case] words: &[&str]) {
    let (site, _) = refused(fault, words);
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 0, "asked on with a bad ID token");
    assert_eq!(site.provider.calls(Endpoint::Planted), 0, "fetched what a token pointed to");
}

#[test]
fn kid_absent_multiple_jwks() {
    let site = Site::faulty(Fault::KidAbsentMultipleJwks, |config, _| config);
    let browser = Browser::new();
    let page = site.visit(&browser, "/private");
    if page.status() == 200 {
        assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    } else {
        assert!((400..600).contains(&page.status()), "{}", page.response.everything());
        site.has_no_session(&browser);
        site.upstream.saw_nothing();
    }
}

#[rstest]
#[case::iss_of_another(Fault::IssParamWrong, &["iss"])]
#[case::iss_missing_though_advertised(Fault::IssParamMissingThoughAdvertised, &["iss"])]
#[case::iss_wrong_though_not_advertised(Fault::IssParamWrongUnadvertised, &["iss"])]
#[case::iss_with_a_slash(Fault::IssParamTrailingSlash, &["iss"])]
#[case::iss_twice(Fault::IssParamTwice, &["parameter_repeated"])]
#[case::iss_of_another_on_an_error(Fault::IssParamWrongOnError, &["iss", "access_denied"])]
#[case::invalid_state(Fault::StateWrong, &["state"])]
#[case::missing_state(Fault::StateMissing, &["state"])]
#[case::access_denied(Fault::AccessDenied, &["access_denied"])]
fn refuses_the_authorization_response(#[case] fault: Fault, #[case] words: &[&str]) {
    let (site, page) = refused(fault, words);
    assert_eq!(site.provider.calls(Endpoint::Token), 0, "asked for a token all the same");
    assert!((400..500).contains(&page.status()), "{}", page.status());
    assert!(!page.response.text().contains("<b>no</b>"), "the provider's words must be escaped");
}

#[rstest]
#[case::userinfo_invalid_sub(Fault::UserinfoInvalidSub, &["userinfo", "sub"])]
#[case::userinfo_fails(Fault::UserinfoFails, &["userinfo", "user info"])]
fn refuses_the_login_for_its_userinfo(#[case] fault: Fault, #[case] words: &[&str]) {
    let (site, _) = refused(fault, words);
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 1);
}

#[rstest]
#[case::discovery_issuer_mismatch(Fault::DiscoveryIssuerMismatch)]
#[case::issuer_with_a_slash(Fault::DiscoveryIssuerSlash)]
#[case::metadata_elsewhere(Fault::DiscoveryRedirect)]
#[case::metadata_of_html(Fault::DiscoveryHtml)]
#[case::metadata_of_two_megabytes(Fault::DiscoveryHuge)]
#[case::no_metadata(Fault::DiscoveryDown)]
#[case::everything_down(Fault::Down)]
fn refuses_the_metadata(#[case] fault: Fault) {
    let (site, page) = refused(fault, &["metadata", "discover", "provider", "issuer"]);
    assert_eq!(site.provider.calls(Endpoint::Authorize), 0, "sent someone there all the same");
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    assert!(page.response.fields.has("retry-after"));
}

#[rstest]
#[case::no_keys(Fault::JwksEmpty)]
#[case::keys_of_html(Fault::JwksHtml)]
#[case::keys_fail(Fault::Jwks500)]
#[case::token_endpoint_fails(Fault::Token500)]
#[case::token_endpoint_of_html(Fault::TokenHtml)]
#[case::token_response_cut(Fault::TokenTruncated)]
#[case::token_response_without_id_token(Fault::TokenMissingIdToken)]
#[case::token_type_of_another_kind(Fault::TokenTypeOther)]
fn refuses_a_login_that_cannot_be_finished(#[case] fault: Fault) {
    let (site, _) = refused(fault, &["token", "key", "provider"]);
    assert!(site.provider.calls(Endpoint::Token) <= 1, "a code is good for one try");
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 0);
}

#[rstest]
#[case::keys_fail(Fault::Jwks500)]
#[case::token_endpoint_fails(Fault::Token500)]
fn a_failing_provider_is_503_with_a_time_to_try_again(#[case] fault: Fault) {
    let (_, page) = refused(fault, &["token", "key", "provider"]);
    assert_eq!(page.status(), 503);
    assert!(page.response.fields.has("retry-after"));
}

#[test]
fn a_stalling_token_endpoint_is_given_up_in_time() {
    let since = Stopwatch::start();
    let (site, page) = refused(Fault::TokenSlow, &["token", "time", "provider"]);
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
    // The configuration says 2 s in all; starting the gateway takes its time, too.
    assert!(since.elapsed() < Duration::from_secs(10), "took {:?}", since.elapsed());
}

#[test]
fn signing_key_rotation() {
    let site = accepted(Fault::None);
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.rotate_keys();
    let page = site.visit(&Browser::new(), "/after");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(site.upstream.only("/after").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1, "one refetch is enough");
}

#[test]
fn signing_key_rotation_just_before_signing() {
    let site = accepted(Fault::None);
    let browser = Browser::new();
    let callback = site.callback(&browser, "/after");
    site.provider.rotate_keys();
    let page = browser.visit(&callback);
    assert_eq!((page.status(), page.target().as_str()), (200, "/after"), "{}", site.gateway.logs());
}

#[rstest]
#[case::client_secret_basic("client_secret_basic")]
#[case::client_secret_post("client_secret_post")]
fn proves_itself_as(#[case] client_auth: &str) {
    // The provider takes either and keeps every mistake; the secret has characters to encode.
    let site = Site::with(|config, _| config.set("/providers/idp/client_auth", json!(client_auth)));
    site.signed_in();
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
}

#[test]
fn scope_userinfo_claims() {
    let site = Site::with(|config, _| {
        config
            .set("/providers/idp/scopes", json!(["openid", "profile", "email", "phone"]))
            .set("/providers/idp/userinfo", json!("always"))
    });
    site.signed_in();
    let scopes: Vec<_> = site.provider.authorization_requests().concat();
    assert!(scopes.contains(&("scope".to_owned(), "openid profile email phone".to_owned())));
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 1);
}

#[test]
fn the_access_token_goes_to_userinfo_in_the_header_alone() {
    // The provider refuses it anywhere else, and a userinfo that fails fails the login.
    let site = accepted(Fault::None);
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 1);
    for secret in site.provider.secrets() {
        assert!(!site.upstream.bytes().contains(&secret), "the upstream was sent {secret}");
    }
}
