//! What the token endpoint answers: which answers make a session, and whose fault the others are
//! ([RFC 6749 §5](https://www.rfc-editor.org/rfc/rfc6749#section-5)).

use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::provider::{Endpoint, Mishap};
use crate::support::site::{Site, never_given_a_session};

fn site(mishap: Mishap) -> Site {
    let site = Site::with(|config, _| {
        config.set("/providers/idp/userinfo", json!("always")).set("/log/format", json!("json"))
    });
    site.provider.spoil(Some((Endpoint::Token, mishap)));
    site
}

/// Asserts that an answer makes no session, for this reason, that the code was sent once, and that nothing of the
/// answer went anywhere.
#[track_caller]
fn refuses(mishap: Mishap, status: u16, reason: &str) {
    let site = site(mishap);
    let browser = Browser::new();
    let page = site.arrive(&browser, "/private");
    let shown = page.response.everything();
    site.refused_at_callback(&page.response, reason);
    assert_eq!(page.status(), status, "{shown}");
    assert_eq!(page.response.fields.has("retry-after"), status == 503, "{shown}");
    assert_eq!(page.response.fields.text("cache-control"), "no-store");
    assert_eq!(page.response.fields.text("referrer-policy"), "no-referrer");
    assert!(page.response.fields.text("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(!shown.contains("x-evil"), "{shown}");
    never_given_a_session(&browser);
    assert_eq!(site.provider.calls(Endpoint::Token), 1, "a code is good for one try");
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 0, "asked on with a bad answer");
    assert_eq!(site.provider.calls(Endpoint::Planted), 0, "a redirect was followed");
    site.upstream.saw_nothing();
}

#[rstest]
#[case::no_access_token("access_token", "")]
#[case::an_empty_access_token("access_token", r#""""#)]
#[case::an_access_token_of_two_lines("access_token", r#""a\r\nx-evil: 1""#)]
#[case::an_access_token_with_a_blank("access_token", r#""a b""#)]
#[case::an_access_token_beyond_ascii("access_token", r#""\u00fc""#)]
#[case::a_number_for_an_access_token("access_token", "1")]
#[case::no_token_type("token_type", "")]
#[case::a_token_bound_to_a_key("token_type", r#""DPoP""#)]
#[case::a_list_of_types("token_type", r#"["Bearer"]"#)]
#[case::a_lifetime_in_words("expires_in", r#""300""#)]
#[case::a_negative_lifetime("expires_in", "-1")]
#[case::half_a_second("expires_in", "0.5")]
#[case::a_refresh_token_that_is_none("refresh_token", "{}")]
#[case::a_refresh_token_of_two_lines("refresh_token", r#""r\nx-evil: 1""#)]
#[case::a_list_of_scopes("scope", r#"["openid"]"#)]
#[case::no_id_token("id_token", "")]
#[case::null_for_an_id_token("id_token", "null")]
#[case::an_id_token_in_a_list("id_token", r#"["e30.e30.AA"]"#)]
fn a_member_that_is_none_makes_no_session(#[case] name: &'static str, #[case] value: &'static str) {
    refuses(Mishap::Member(name, value), 503, "token_response");
}

#[rstest]
#[case::text("text/plain")]
#[case::a_page("text/html; charset=utf-8")]
#[case::a_form("application/x-www-form-urlencoded")]
#[case::a_token("application/jwt")]
fn tokens_come_as_json(#[case] content_type: &'static str) {
    refuses(Mishap::ContentType(content_type), 503, "token_response");
}

#[rstest]
#[case::in_other_letters(Mishap::ContentType("Application/JSON"))]
#[case::with_a_charset(Mishap::ContentType("application/json;charset=UTF-8"))]
#[case::with_a_scope(Mishap::Member("scope", r#""openid email""#))]
#[case::without_a_lifetime(Mishap::Member("expires_in", "null"))]
#[case::without_a_refresh_token(Mishap::Member("refresh_token", ""))]
#[case::with_something_new(Mishap::Member("urn:example:new", r#"{"a":[null]}"#))]
fn a_good_answer_makes_a_session(#[case] mishap: Mishap) {
    let site = site(mishap);
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    assert_eq!(site.upstream.only("/private").header("x-forwarded-user"), Some("ada"));
}

#[rstest]
#[case::the_code_is_used_or_old(400, r#"{"error":"invalid_grant"}"#, 400, "invalid_grant")]
#[case::the_code_is_used_or_old_says_403(403, r#"{"error":"invalid_grant"}"#, 400, "invalid_grant")]
#[case::our_secret(401, r#"{"error":"invalid_client"}"#, 503, "invalid_client")]
#[case::our_registration(400, r#"{"error":"unauthorized_client"}"#, 503, "unauthorized_client")]
#[case::our_grant_type(400, r#"{"error":"unsupported_grant_type"}"#, 503, "unsupported_grant_type")]
#[case::our_request(400, r#"{"error":"invalid_request"}"#, 503, "invalid_request")]
#[case::our_scope(400, r#"{"error":"invalid_scope"}"#, 503, "invalid_scope")]
#[case::a_word_of_its_own(400, r#"{"error":"x-evil"}"#, 503, "token_error")]
#[case::a_number(400, r#"{"error":1}"#, 503, "provider_unexpected_status")]
#[case::two_errors(400, r#"{"error":"invalid_grant","error":"x"}"#, 503, "provider_unexpected_status")]
#[case::nothing(400, "{}", 503, "provider_unexpected_status")]
#[case::no_json(401, "<html>", 503, "provider_unexpected_status")]
#[case::an_error_said_with_200(200, r#"{"error":"invalid_grant"}"#, 503, "token_response")]
#[case::created(201, "{}", 503, "provider_unexpected_status")]
#[case::gone(410, r#"{"error":"invalid_grant"}"#, 503, "provider_unexpected_status")]
#[case::no_method(405, "{}", 503, "provider_unexpected_status")]
#[case::its_own_fault(503, r#"{"error":"invalid_grant"}"#, 503, "provider_status")]
fn an_error_says_whose_fault_it_is(
    #[case] answered: u16,
    #[case] says: &'static str,
    #[case] status: u16,
    #[case] reason: &str,
) {
    refuses(Mishap::Says(answered, says), status, reason);
}

#[rstest]
fn a_code_is_never_sent_on(#[values(301, 302, 303, 307, 308)] status: u16) {
    // 307 and 308 would have the body, and the secret with it, sent again.
    refuses(Mishap::Leads(status, "ISSUER/planted"), 503, "provider_redirected");
}
