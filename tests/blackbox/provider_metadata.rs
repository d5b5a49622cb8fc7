//! What a provider says of itself: the metadata that a login begins with, and the metadata that it never begins with
//! ([OpenID Connect Discovery 1.0 §4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
//!
//! Cases have the names of the OpenID Foundation's Config modules where there is one.

use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::jwt::Key;
use crate::support::message::value;
use crate::support::provider::{Endpoint, Mishap, Provider};
use crate::support::site::{Site, never_given_a_session};

fn site(mishap: Mishap) -> Site {
    let provider = Provider::start();
    provider.spoil(Some((Endpoint::Discovery, mishap)));
    Site::around(provider, |config, _| config.set("/log/format", json!("json")))
}

/// Asserts that a login doesn't begin, for this reason, and that nobody is sent anywhere.
#[track_caller]
fn refuses(site: &Site, reason: &str) {
    let browser = Browser::new();
    let page = site.arrive(&browser, "/private");
    let shown = page.response.everything();
    let expected = ("/.vestibule/sign-in".to_owned(), reason.to_owned());
    assert_eq!(site.reason(&page.response), expected, "{shown}\n{}", site.gateway.logs());
    assert_eq!(page.status(), 503, "{shown}");
    assert!(page.response.fields.has("retry-after"), "{shown}");
    assert!(browser.told().is_empty(), "nothing has begun: {:?}", browser.told());
    never_given_a_session(&browser);
    for endpoint in [Endpoint::Jwks, Endpoint::Authorize, Endpoint::Token, Endpoint::Planted] {
        assert_eq!(site.provider.calls(endpoint), 0, "{endpoint:?}");
    }
    site.upstream.saw_nothing();
}

#[track_caller]
fn signs_in(site: &Site) {
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
    assert_eq!(site.provider.mistakes(), Vec::<String>::new());
}

#[rstest]
#[case::oidcc_client_test_discovery_issuer_mismatch(r#""https://issuer.invalid""#)]
#[case::with_a_slash(r#""ISSUER/""#)]
#[case::in_capitals(r#""HTTP://AUTHORITY""#)]
#[case::by_another_scheme(r#""https://AUTHORITY""#)]
#[case::at_another_port(r#""http://127.0.0.1:1""#)]
#[case::of_a_tenant(r#""ISSUER/tenant""#)]
#[case::with_a_user(r#""http://ada@AUTHORITY""#)]
#[case::with_a_query(r#""ISSUER?""#)]
#[case::with_a_blank(r#""ISSUER ""#)]
#[case::empty(r#""""#)]
#[case::null("null")]
#[case::a_number("1")]
#[case::in_a_list(r#"["ISSUER"]"#)]
#[case::none("")]
fn metadata_of_another_issuer_begins_no_login(#[case] issuer: &'static str) {
    refuses(&site(Mishap::Member("issuer", issuer)), "metadata_issuer");
}

#[rstest]
#[case::with_a_slash("http://127.0.0.1:PORT/")]
#[case::by_name("http://localhost:PORT")]
#[case::in_capitals("HTTP://127.0.0.1:PORT")]
fn an_issuer_is_written_as_the_provider_writes_it(#[case] written: &str) {
    // The document is the same, and says another address than the one that is configured.
    let provider = Provider::start();
    let issuer = provider.issuer();
    let written = written.replace("PORT", issuer.rsplit(':').next().unwrap_or_default());
    let site = Site::around(provider, |config, _| {
        config.set("/providers/idp/issuer", json!(written)).set("/log/format", json!("json"))
    });
    refuses(&site, "metadata_issuer");
    assert!(site.provider.calls(Endpoint::Discovery) > 0, "the document was read");
    let logs = site.gateway.logs();
    assert!(logs.contains(&issuer) && logs.contains(&written), "the operator reads both: {logs}");
}

#[rstest]
fn metadata_that_is_elsewhere_is_not_fetched_from_there(#[values(301, 302, 303, 307, 308)] status: u16) {
    let elsewhere = Provider::start();
    let address: &'static str = format!("{}/.well-known/openid-configuration", elsewhere.issuer()).leak();
    refuses(&site(Mishap::Leads(status, address)), "provider_redirected");
    assert_eq!(elsewhere.calls(Endpoint::Discovery), 0);
}

#[rstest]
#[case::absent("", "metadata_incomplete")]
#[case::null("null", "metadata_incomplete")]
#[case::a_number("1", "metadata_incomplete")]
#[case::a_path(r#""/somewhere""#, "metadata_incomplete")]
#[case::a_script(r#""javascript:alert(1)""#, "metadata_endpoint")]
#[case::of_another_scheme(r#""ftp://AUTHORITY/""#, "metadata_endpoint")]
#[case::in_the_clear_beyond_this_machine(r#""http://provider.invalid/""#, "metadata_endpoint")]
#[case::with_a_user(r#""http://ada:lovelace@AUTHORITY/""#, "metadata_endpoint")]
#[case::with_a_fragment(r#""ISSUER/#here""#, "metadata_endpoint")]
fn metadata_without_a_good_endpoint_begins_no_login(
    #[values("authorization_endpoint", "token_endpoint", "jwks_uri")] name: &'static str,
    #[case] address: &'static str,
    #[case] reason: &str,
) {
    refuses(&site(Mishap::Member(name, address)), reason);
}

#[rstest]
#[case::a_script(r#""javascript:alert(1)""#)]
#[case::in_the_clear_beyond_this_machine(r#""http://provider.invalid/""#)]
#[case::with_a_user(r#""http://ada:lovelace@AUTHORITY/""#)]
#[case::with_a_fragment(r#""ISSUER/#here""#)]
fn an_endpoint_that_need_not_be_there_is_a_good_one_where_it_is(
    #[values("userinfo_endpoint", "end_session_endpoint")] name: &'static str,
    #[case] address: &'static str,
) {
    refuses(&site(Mishap::Member(name, address)), "metadata_endpoint");
}

#[test]
fn oidcc_client_test_discovery_jwks_uri_keys() {
    // Its keys are at another address than usual, and none that would do are at the usual one.
    let provider = Provider::start();
    provider.sign_with(Key::second(), "planted");
    provider.spoil(Some((Endpoint::Discovery, Mishap::Member("jwks_uri", r#""ISSUER/planted""#))));
    let site = Site::around(provider, |config, _| config);
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), 0);
    assert!(site.provider.calls(Endpoint::Planted) > 0);
}

#[rstest]
#[case::oidcc_client_test_mtls_endpoint_aliases(
    "mtls_endpoint_aliases",
    r#"{"token_endpoint":"http://127.0.0.1:1/token"}"#
)]
#[case::no_word_of_pkce("code_challenge_methods_supported", "")]
#[case::pkce_by_plain_alone("code_challenge_methods_supported", r#"["plain"]"#)]
#[case::tokens_signed_by_nobody("id_token_signing_alg_values_supported", r#"["none"]"#)]
#[case::other_ways_to_prove_oneself("token_endpoint_auth_methods_supported", r#"["private_key_jwt"]"#)]
#[case::no_word_of_modes("response_modes_supported", "")]
#[case::modes_of_its_own("response_modes_supported", r#"["query","pi.flow"]"#)]
#[case::something_new("urn:example:new", r#"{"a":[1,null,{"b":true}]}"#)]
fn what_metadata_offers_beside_changes_nothing(#[case] name: &'static str, #[case] says: &'static str) {
    // The provider notes a request without S256, and credentials by another way than the configured one.
    let site = site(Mishap::Member(name, says));
    signs_in(&site);
    let asked = site.provider.authorization_requests().concat();
    assert_eq!(value(&asked, "code_challenge_method"), "S256");
    assert_eq!(site.provider.calls(Endpoint::Token), 1);
}

#[test]
fn an_authorization_endpoint_keeps_its_query() {
    let site = site(Mishap::Member("authorization_endpoint", r#""ISSUER/authorize?tenant=7%2F8&x""#));
    signs_in(&site);
    let asked = site.provider.authorization_requests().concat();
    assert_eq!(value(&asked, "tenant"), "7/8");
    assert!(asked.contains(&("x".to_owned(), String::new())), "{asked:?}");
}

#[test]
fn who_must_ask_for_userinfo_cannot_do_without_its_endpoint() {
    let provider = Provider::start();
    provider.spoil(Some((Endpoint::Discovery, Mishap::Member("userinfo_endpoint", ""))));
    let site = Site::around(provider, |config, _| {
        config.set("/providers/idp/userinfo", json!("always")).set("/log/format", json!("json"))
    });
    let browser = Browser::new();
    let page = site.arrive(&browser, "/private");
    assert_eq!(page.status(), 503, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "metadata_incomplete");
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}
