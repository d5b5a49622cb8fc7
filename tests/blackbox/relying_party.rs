//! The OpenID Foundation's relying-party modules and the further defects of a provider: which ones
//! make a session and which ones never do, by query and by form post.
//!
//! Cases have the names of the suite's modules where there is one. The suite calls a token refused when
//! nothing is asked after it. Here, too: after a bad ID token no userinfo request, after a bad
//! authorization response no token request. And: no session cookie, taken by the browser or not; no
//! request at the upstream, no further redirect to the provider, the very reason in the access log.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use vestibule::clock::Stopwatch;

use crate::support::browser::{Browser, Page};
use crate::support::config::Config;
use crate::support::provider::{Endpoint, Fault};
use crate::support::site::{Mode, Site, never_given_a_session};
use crate::support::upstream::Upstream;

const CALLBACK: &str = "/.vestibule/callback";
const SIGN_IN: &str = "/.vestibule/sign-in";

fn asking_userinfo(config: Config, _: &Upstream) -> Config {
    config.set("/providers/idp/userinfo", json!("always"))
}

/// Walks into a faulty provider and asserts that nothing came of it but a page, for this reason.
#[track_caller]
fn refused(mode: Mode, fault: Fault, status: u16, reason: &str) -> (Site, Page) {
    refused_by(mode, fault, status, CALLBACK, reason, asking_userinfo)
}

#[track_caller]
fn refused_by(
    mode: Mode,
    fault: Fault,
    status: u16,
    path: &str,
    reason: &str,
    edit: impl FnOnce(Config, &Upstream) -> Config,
) -> (Site, Page) {
    let (site, browser) = Site::answering(mode, fault, edit);
    let page = site.arrive(&browser, "/private");
    let shown = page.response.everything();
    let expected = (path.to_owned(), reason.to_owned());
    assert_eq!(site.reason(&page.response), expected, "{shown}\n{}", site.gateway.logs());
    assert_eq!(page.status(), status, "{shown}");
    assert_eq!(page.response.fields.text("cache-control"), "no-store");
    assert_eq!(page.response.fields.has("retry-after"), status == 503, "{shown}");
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
    assert!(site.provider.calls(Endpoint::Authorize) <= 1, "signed in again by itself");
    for secret in site.provider.secrets() {
        assert!(!shown.contains(&secret), "the page shows {secret}");
        let logged = site.gateway.logs() + &site.gateway.access_log();
        assert!(!logged.contains(&secret), "the log has {secret}");
    }
    (site, page)
}

/// Signs in at a provider with this peculiarity and asserts that it went well.
#[track_caller]
fn accepted(mode: Mode, fault: Fault) -> (Site, Browser) {
    accepted_by(mode, fault, asking_userinfo)
}

#[track_caller]
fn accepted_by(mode: Mode, fault: Fault, edit: impl FnOnce(Config, &Upstream) -> Config) -> (Site, Browser) {
    let (site, browser) = Site::answering(mode, fault, edit);
    let page = site.arrive(&browser, "/private");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
    (site, browser)
}

#[rstest]
#[case::oidcc_client_test(Fault::None)]
#[case::oidcc_client_test_idtoken_sig_rs256(Fault::None)]
#[case::oidcc_client_test_kid_absent_single_jwks(Fault::KidAbsentSingleJwks)]
#[case::oidcc_client_test_userinfo_bearer_header(Fault::None)]
#[case::discovery_openid_config(Fault::EndpointsElsewhere)]
#[case::discovery_jwks_uri_keys(Fault::EndpointsElsewhere)]
#[case::aggregated_and_distributed_claims(Fault::DistributedClaims)]
#[case::valid_aud_as_array(Fault::AudAsArray)]
#[case::no_at_hash(Fault::AtHashMissing)]
#[case::expired_within_the_clock_skew(Fault::ExpWithinSkew)]
#[case::token_type_case_insensitivity(Fault::TokenTypeOddCase)]
#[case::token_endpoint_response_without_expires_in(Fault::NoExpiresIn)]
#[case::no_iss_where_none_is_promised(Fault::IssParamAbsentUnadvertised)]
#[case::no_end_session_endpoint(Fault::NoEndSession)]
fn accepts(#[values(Mode::Query, Mode::FormPost)] mode: Mode, #[case] fault: Fault) {
    let (site, browser) = accepted(mode, fault);
    assert_eq!((site.provider.calls(Endpoint::Token), site.provider.calls(Endpoint::Userinfo)), (1, 1));
    assert_eq!(site.provider.calls(Endpoint::Planted), 0, "fetched what a token pointed to");
    // Nobody but the provider sees a token, a code or a verifier; the refresh token isn't even kept.
    let held = format!("{:?}", browser.told());
    for secret in site.provider.secrets() {
        assert!(!site.upstream.bytes().contains(&secret), "the upstream was sent {secret}");
        assert!(!site.gateway.logs().contains(&secret), "the log has {secret}");
        assert!(!site.gateway.access_log().contains(&secret), "the access log has {secret}");
        assert!(!held.contains(&secret), "a cookie has {secret}");
    }
}

#[rstest]
#[case::oidcc_client_test_invalid_iss(Fault::InvalidIss, "issuer")]
#[case::missing_iss(Fault::MissingIss, "issuer")]
#[case::oidcc_client_test_missing_sub(Fault::MissingSub, "sub")]
#[case::oidcc_client_test_invalid_aud(Fault::InvalidAud, "audience")]
#[case::missing_aud(Fault::MissingAud, "audience")]
#[case::invalid_secondary_aud(Fault::ExtraAud, "audience")]
#[case::azp_of_another_client(Fault::AzpOther, "azp")]
#[case::oidcc_client_test_missing_iat(Fault::MissingIat, "iat")]
#[case::iat_in_the_future(Fault::IatFuture, "iat")]
#[case::nbf_in_the_future(Fault::NbfFuture, "nbf")]
#[case::missing_exp(Fault::MissingExp, "exp")]
#[case::expired(Fault::ExpPast, "expired")]
#[case::oidcc_client_test_nonce_invalid(Fault::NonceInvalid, "nonce")]
#[case::missing_nonce(Fault::NonceMissing, "nonce")]
#[case::invalid_athash(Fault::AtHashWrong, "at_hash")]
#[case::duplicate_members(Fault::DuplicateMembers, "malformed")]
#[case::oidcc_client_test_idtoken_sig_none(Fault::SigNone, "algorithm")]
#[case::idtoken_sig_none_in_capitals(Fault::SigNoneShouted, "algorithm")]
#[case::oidcc_client_test_invalid_sig_rs256(Fault::InvalidSigRs256, "signature")]
#[case::oidcc_client_test_kid_absent_multiple_jwks(Fault::KidAbsentMultipleJwks, "key_ambiguous")]
#[case::kid_absent_and_another_key(Fault::KidAbsentBadSignature, "signature")]
#[case::invalid_alternate_alg(Fault::WrongAlg, "algorithm")]
#[case::hs256_with_the_public_key(Fault::Hs256WithPublicKey, "algorithm")]
#[case::hs256_with_the_client_secret(Fault::Hs256WithSecret, "algorithm")]
#[case::a_key_in_jwk(Fault::EmbeddedJwk, "key_unknown")]
#[case::a_key_at_jku(Fault::EmbeddedJku, "key_unknown")]
#[case::a_certificate_at_x5u(Fault::EmbeddedX5u, "key_unknown")]
#[case::a_certificate_in_x5c(Fault::EmbeddedX5c, "key_unknown")]
#[case::unknown_crit(Fault::Crit, "critical")]
#[case::an_access_token(Fault::TypAccessToken, "type")]
#[case::encrypted(Fault::Encrypted, "encrypted")]
#[case::seventy_kilobytes(Fault::TokenHuge, "too_long")]
#[case::not_a_token(Fault::TokenGarbage, "malformed")]
fn refuses_the_id_token(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[case] fault: Fault,
    #[case] check: &str,
) {
    let (site, _) = refused(mode, fault, 400, &format!("id_token_{check}"));
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 0, "asked on with a bad ID token");
    assert_eq!(site.provider.calls(Endpoint::Planted), 0, "fetched what a token pointed to");
    assert!(site.provider.calls(Endpoint::Jwks) <= 2, "keys are fetched anew once at most");
}

#[rstest]
#[case::iss_of_another(Fault::IssParamWrong, 400, "iss_mismatch")]
#[case::iss_missing_though_advertised(Fault::IssParamMissingThoughAdvertised, 400, "iss_missing")]
#[case::iss_wrong_though_not_advertised(Fault::IssParamWrongUnadvertised, 400, "iss_mismatch")]
#[case::iss_with_a_slash(Fault::IssParamTrailingSlash, 400, "iss_mismatch")]
#[case::iss_twice(Fault::IssParamTwice, 400, "parameter_repeated")]
#[case::iss_empty(Fault::IssParamEmpty, 400, "parameter_malformed")]
#[case::iss_of_another_on_an_error(Fault::IssParamWrongOnError, 400, "iss_mismatch")]
#[case::invalid_state(Fault::StateWrong, 400, "state_unknown")]
#[case::missing_state(Fault::StateMissing, 400, "state_missing")]
#[case::code_and_error(Fault::CodeAndError, 400, "code_and_error")]
#[case::code_missing(Fault::CodeMissing, 400, "code_missing")]
#[case::other_response_mode(Fault::OtherResponseMode, 400, "response_mode")]
#[case::access_denied(Fault::AccessDenied, 403, "login_declined")]
#[case::oidcc_client_test_form_post_error(Fault::LoginRequired, 403, "login_declined")]
#[case::invalid_scope(Fault::InvalidScope, 502, "provider_error")]
#[case::temporarily_unavailable(Fault::TemporarilyUnavailable, 503, "provider_unavailable")]
fn refuses_the_authorization_response(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[case] fault: Fault,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let (site, page) = refused(mode, fault, status, reason);
    assert_eq!(site.provider.calls(Endpoint::Token), 0, "asked for a token all the same");
    assert!(!page.response.text().contains("<b>no</b>"), "the provider's words must be escaped");
}

#[rstest]
#[case::oidcc_client_test_userinfo_invalid_sub(Fault::UserinfoInvalidSub, 400, "userinfo_sub")]
#[case::userinfo_without_sub(Fault::UserinfoMissingSub, 400, "userinfo_sub")]
#[case::userinfo_of_a_list(Fault::UserinfoList, 503, "userinfo_malformed")]
#[case::oidcc_client_test_userinfo_bearer_body(
    Fault::UserinfoBearerBodyOnly,
    503,
    "provider_unexpected_status"
)]
#[case::userinfo_fails(Fault::UserinfoFails, 503, "provider_status")]
fn refuses_the_login_for_its_userinfo(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[case] fault: Fault,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let (site, _) = refused(mode, fault, status, reason);
    // A GET that fails may be tried again, twice at most.
    assert!((1..=3).contains(&site.provider.calls(Endpoint::Userinfo)));
}

#[rstest]
#[case::discovery_issuer_mismatch(Fault::DiscoveryIssuerMismatch, "metadata_issuer")]
#[case::issuer_with_a_slash(Fault::DiscoveryIssuerSlash, "metadata_issuer")]
#[case::metadata_elsewhere(Fault::DiscoveryRedirect, "provider_redirected")]
#[case::metadata_of_html(Fault::DiscoveryHtml, "provider_answer_not_json")]
#[case::metadata_of_two_megabytes(Fault::DiscoveryHuge, "provider_answer_too_long")]
#[case::no_metadata(Fault::DiscoveryDown, "provider_unreachable")]
#[case::everything_down(Fault::Down, "provider_unreachable")]
fn refuses_the_metadata(#[case] fault: Fault, #[case] reason: &str) {
    let (site, _) = refused_by(Mode::Query, fault, 503, SIGN_IN, reason, asking_userinfo);
    assert_eq!(site.provider.calls(Endpoint::Authorize), 0, "sent someone there all the same");
}

#[rstest]
#[case::no_keys(Fault::JwksEmpty, "keys_unusable")]
#[case::keys_of_html(Fault::JwksHtml, "provider_answer_not_json")]
#[case::keys_fail(Fault::Jwks500, "provider_status")]
#[case::token_endpoint_fails(Fault::Token500, "provider_status")]
#[case::token_endpoint_of_html(Fault::TokenHtml, "provider_answer_not_json")]
#[case::token_response_cut(Fault::TokenTruncated, "provider_answer_not_json")]
#[case::token_response_without_id_token(Fault::TokenMissingIdToken, "token_response")]
#[case::token_type_of_another_kind(Fault::TokenTypeOther, "token_response")]
#[case::the_secret_in_the_body_alone(Fault::PostOnly, "invalid_client")]
fn refuses_a_login_that_cannot_be_finished(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[case] fault: Fault,
    #[case] reason: &str,
) {
    let (site, _) = refused(mode, fault, 503, reason);
    assert!(site.provider.calls(Endpoint::Token) <= 1, "a code is good for one try");
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 0);
}

#[test]
fn a_stalling_token_endpoint_is_given_up_in_time() {
    let since = Stopwatch::start();
    let (site, _) = refused(Mode::Query, Fault::TokenSlow, 503, "provider_timeout");
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
    // The configuration says 2 s in all; starting the gateway takes its time, too.
    assert!(since.elapsed() < Duration::from_secs(10), "took {:?}", since.elapsed());
}

#[rstest]
fn oidcc_client_test_signing_key_rotation(#[values(Mode::Query, Mode::FormPost)] mode: Mode) {
    let (site, browser) = accepted(mode, Fault::None);
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.rotate_keys();
    browser.jar().remove(if mode == Mode::Query { "vestibule" } else { "__Host-vestibule" });
    let since = Stopwatch::start();
    let page = site.arrive(&browser, "/after");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert!(since.elapsed() < Duration::from_secs(2), "took {:?}", since.elapsed());
    assert_eq!(site.upstream.only("/after").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1, "one refetch is enough");
}

#[test]
fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let (site, _) = accepted(Mode::Query, Fault::None);
    let fetched = site.provider.calls(Endpoint::Jwks);
    let browser = Browser::new();
    let callback = site.callback(&browser, "/after");
    site.provider.rotate_keys();
    let page = browser.visit(&callback);
    assert_eq!((page.status(), page.target().as_str()), (200, "/after"), "{}", site.gateway.logs());
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched + 1, "one refetch is enough");
}

#[rstest]
#[case::oidcc_client_test_client_secret_basic("client_secret_basic", Fault::BasicOnly)]
#[case::oidcc_client_test_client_secret_post("client_secret_post", Fault::PostOnly)]
fn proves_itself_as(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[case] client_auth: &str,
    #[case] fault: Fault,
) {
    // The provider keeps every mistake; the secret has characters to encode.
    accepted_by(mode, fault, |config, _| config.set("/providers/idp/client_auth", json!(client_auth)));
}

#[rstest]
fn oidcc_client_test_scope_userinfo_claims(#[values(Mode::Query, Mode::FormPost)] mode: Mode) {
    let scopes = ["openid", "profile", "email", "address", "phone"];
    let (site, _) = accepted_by(mode, Fault::ClaimsInUserinfoOnly, |config, _| {
        config.set("/providers/idp/scopes", json!(scopes)).set("/providers/idp/userinfo", json!("always"))
    });
    let asked: Vec<_> = site.provider.authorization_requests().concat();
    assert!(asked.contains(&("scope".to_owned(), scopes.join(" "))));
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 1);
    let seen = site.upstream.only("/private");
    assert_eq!(seen.header("x-forwarded-email"), Some("ada@example.com"), "userinfo alone has it");
    assert_eq!(seen.header("x-forwarded-groups"), Some("staff,finance"));
}
