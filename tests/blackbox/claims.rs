//! What providers say of people, in all the shapes they say it in, and what the upstream is told.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::config::Config;
use crate::support::provider::{Endpoint, Fault, Provider};
use crate::support::site::{Site, never_given_a_session};
use crate::support::upstream::Seen;

/// A site whose route `/claims` maps these headers.
fn site(claims: &Value, headers: &Value, edit: impl FnOnce(Config) -> Config) -> Site {
    let provider = Provider::start();
    provider.claim(claims);
    Site::around(provider, |config, upstream| {
        let route = json!({
            "id": "mapped", "match": { "path": "/claims" }, "auth": { "session": "idp" },
            "upstream": upstream.url(), "identity": { "headers": headers },
        });
        edit(config.set("/log/format", json!("json")).route(route))
    })
}

#[track_caller]
fn told(site: &Site) -> Seen {
    let page = site.visit(&Browser::new(), "/claims");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
    site.upstream.only("/claims")
}

#[track_caller]
fn refused(site: &Site, status: u16, reason: &str) {
    let page = site.visit(&Browser::new(), "/claims");
    assert_eq!(page.status(), status, "{}", page.response.everything());
    assert_eq!(site.reason(&page.response), ("/claims".to_owned(), reason.to_owned()));
    site.upstream.saw_nothing();
}

#[rstest]
#[case::inside(json!({ "realm_access": { "roles": ["a", "b"] } }), "realm_access.roles", Some("a,b"))]
#[case::deep(json!({ "a": { "b": { "c": { "d": "e" } } } }), "a.b.c.d", Some("e"))]
#[case::a_name_with_dots(json!({ "https://example.com/tier": "gold" }), "https://example.com/tier", Some("gold"))]
#[case::the_whole_name_first(json!({ "a.b": "whole", "a": { "b": "inside" } }), "a.b", Some("whole"))]
#[case::nothing_there(json!({ "a": { "c": 1 } }), "a.b", None)]
#[case::not_an_object(json!({ "a": "text" }), "a.b", None)]
#[case::into_a_list(json!({ "a": ["b"] }), "a.0", None)]
fn a_path_reaches_inside(#[case] claims: Value, #[case] path: &str, #[case] expected: Option<&str>) {
    let site = site(&claims, &json!({ "X-Claim": path }), |config| config);
    assert_eq!(told(&site).header("x-claim"), expected);
}

#[rstest]
#[case::text_of_a_number(json!(4711), "text", Some("4711"))]
#[case::text_of_a_fraction(json!(1.5), "text", Some("1.5"))]
#[case::text_of_the_largest(json!(u64::MAX), "text", Some("18446744073709551615"))]
#[case::list_of_one(json!("one"), "list", Some("one"))]
#[case::list_of_kinds(json!(["a", 1, true]), "list", Some("a,1,true"))]
#[case::list_with_holes(json!(["a", null, "", "b"]), "list", Some("a,b"))]
#[case::list_of_nothing(json!([null, ""]), "list", None)]
#[case::json_of_an_object(json!({ "a": ["é"] }), "json", Some(r#"{"a":["%C3%A9"]}"#))]
#[case::json_of_a_text(json!("a"), "json", Some("\"a\""))]
#[case::base64url_of_a_text(json!("Zoë"), "base64url", Some("Wm_Dqw"))]
#[case::base64url_of_an_object(json!({ "a": 1 }), "base64url", Some("eyJhIjoxfQ"))]
#[case::marks_that_turn_text_round(json!("a\u{202e}b"), "text", Some("a%E2%80%AEb"))]
#[case::escape_and_delete(json!("a\u{1b}[31m\u{7f}"), "text", Some("a%1B[31m%7F"))]
fn the_mapping_decides_the_form(#[case] claim: Value, #[case] form: &str, #[case] expected: Option<&str>) {
    let headers = json!({ "X-Claim": { "claim": "badge", "as": form } });
    let site = site(&json!({ "badge": claim }), &headers, |config| config);
    let seen = told(&site);
    assert_eq!(seen.header("x-claim"), expected);
    assert!(seen.request.fields.all("x-claim").len() <= 1);
}

#[rstest]
#[case::a_list_of_lists(json!([["a"]]), "list")]
#[case::a_list_of_objects(json!([{ "name": "a" }]), "list")]
#[case::an_object(json!({ "a": 1 }), "text")]
#[case::a_list(json!(["a"]), "text")]
#[case::a_rounded_number(json!(1e300), "text")]
fn what_a_form_cannot_carry_is_refused(#[case] claim: Value, #[case] form: &str) {
    let headers = json!({ "X-Claim": { "claim": "badge", "as": form } });
    let site = site(&json!({ "badge": claim }), &headers, |config| config);
    refused(&site, 500, "claim_shape");
}

#[test]
fn a_header_that_the_person_has_no_claim_for_is_not_the_clients_to_fill() {
    let site = site(
        &json!({ "badge": null, "roles": [] }),
        &json!({ "X-Badge": "badge", "X-Roles": "roles" }),
        |c| c,
    );
    let browser = Browser::new();
    site.visit(&browser, "/claims");
    site.upstream.forget();
    let errand = crate::support::browser::Errand::typed(&site.url("/claims"))
        .header("X-Badge", "admin")
        .header("x_badge", "admin")
        .header("X-Roles", "root");
    assert_eq!(browser.send(&errand).status, 200);
    let seen = site.upstream.only("/claims");
    for name in ["x-badge", "x_badge", "x-roles"] {
        assert_eq!(seen.header(name), None);
    }
}

#[rstest]
#[case::alone(json!("finance"), 200)]
#[case::in_a_list(json!(["staff", "finance"]), 200)]
#[case::two_in_one_text(json!("staff,finance"), 403)]
#[case::two_in_one_member(json!(["staff finance"]), 403)]
#[case::in_another_case(json!(["Finance"]), 403)]
#[case::the_start_of_a_name(json!(["finance-guests"]), 403)]
#[case::blanks_around_it(json!([" finance "]), 403)]
#[case::a_name_of_an_object(json!({ "finance": true }), 403)]
#[case::a_list_in_a_list(json!([["finance"]]), 403)]
#[case::none(json!([]), 403)]
#[case::absent(json!(null), 403)]
fn a_group_is_a_whole_member_of_the_claim(#[case] groups: Value, #[case] status: u16) {
    let site = site(&json!({ "groups": groups }), &json!({}), |config| {
        config.set("/routes/0/require", json!([{ "groups": ["finance"] }]))
    });
    let page = site.visit(&Browser::new(), "/claims");
    assert_eq!(page.status(), status, "{}", page.response.everything());
    assert_eq!(site.upstream.requests().len(), usize::from(status == 200));
}

#[rstest]
#[case::letters_beyond_ascii("Zoë Łukasz 北京", "Zo%C3%AB %C5%81ukasz %E5%8C%97%E4%BA%AC")]
#[case::a_face("\u{1F600}", "%F0%9F%98%80")]
#[case::letters_put_together("e\u{301}", "e%CC%81")]
#[case::a_blank_of_another_width("a\u{a0}b\u{3000}c", "a%C2%A0b%E3%80%80c")]
#[case::a_line_of_unicode("a\u{2028}b\u{85}c", "a%E2%80%A8b%C2%85c")]
#[case::a_mark_of_byte_order("\u{feff}admin", "%EF%BB%BFadmin")]
#[case::nothing_that_is_seen("ad\u{200b}min", "ad%E2%80%8Bmin")]
#[case::tabs_and_bells("a\tb\u{7}c", "a%09b%07c")]
#[case::a_comma_and_a_percent("100%, really", "100%25, really")]
fn any_text_arrives_as_one_line_of_ascii(#[case] claim: &str, #[case] expected: &str) {
    let headers = json!({ "X-Text": "badge", "X-List": { "claim": "badges", "as": "list" } });
    let site = site(&json!({ "badge": claim, "badges": [claim, "b"] }), &headers, |config| config);
    let seen = told(&site);
    assert_eq!(seen.header("x-text"), Some(expected));
    // In a list a comma of a member's own can't be taken for the one between two.
    let list = format!("{},b", expected.replace(',', "%2C"));
    assert_eq!(seen.header("x-list"), Some(list.as_str()));
    assert!(site.upstream.bytes().is_ascii());
}

#[rstest]
fn five_hundred_groups_arrive_whole_where_there_is_room(#[values("memory", "cookie")] store: &str) {
    let groups: Vec<String> = (0..500).map(|n| format!("g{n:03}")).collect();
    let site = site(&json!({ "groups": groups }), &json!({ "X-Groups": "groups" }), |config| {
        config.set("/sessions/store", json!(store))
    });
    assert_eq!(told(&site).header("x-groups"), Some(groups.join(",").as_str()));
}

#[rstest]
#[case::all_of_it(0, true)]
#[case::one_byte_more(1, false)]
fn the_budget_is_counted_to_the_byte(#[case] more: usize, #[case] fits: bool) {
    // Names and values together: `x-claim` has seven bytes.
    let claim = "a".repeat(8 * 1024 - "x-claim".len() + more);
    let site = site(&json!({ "badge": claim }), &json!({ "X-Claim": "badge" }), |config| config);
    if fits {
        assert_eq!(told(&site).header("x-claim").map(str::len), Some(claim.len()));
    } else {
        refused(&site, 403, "identity_too_large");
    }
}

#[test]
fn a_route_may_have_a_budget_of_its_own() {
    let claim = "a".repeat(100);
    let site = site(&json!({ "badge": claim }), &json!({ "X-Claim": "badge" }), |config| {
        config.set("/routes/0/identity/max_bytes", json!("64B"))
    });
    refused(&site, 403, "identity_too_large");
}

#[rstest]
#[case::true_(json!(true), "email_verified", 200)]
#[case::as_text(json!("true"), "email_verified", 200)]
#[case::as_another_text(json!("yes"), "email_verified", 403)]
#[case::as_a_number(json!(1), "email_verified", 403)]
#[case::false_(json!(false), "email_verified", 403)]
#[case::absent(json!(null), "email_verified", 403)]
#[case::under_another_name(json!(false), "mail_checked", 200)]
#[case::assumed(json!(null), "assume", 200)]
fn an_address_counts_when_it_is_verified(#[case] verified: Value, #[case] claim: &str, #[case] status: u16) {
    let claims = json!({ "email_verified": verified, "mail_checked": true });
    let site = site(&claims, &json!({}), |config| {
        config
            .set("/routes/0/require", json!([{ "domains": ["example.com"] }]))
            .set("/providers/idp/claims", json!({ "email_verified": claim }))
    });
    let page = site.visit(&Browser::new(), "/claims");
    assert_eq!(page.status(), status, "{}", page.response.everything());
}

#[rstest]
#[case::always("always", true, Some("ada@example.com"))]
#[case::when_missing("when_missing", true, Some("ada@example.com"))]
#[case::never("never", false, None)]
fn userinfo_fills_in_what_the_id_token_lacks(
    #[case] userinfo: &str,
    #[case] asked: bool,
    #[case] expected: Option<&str>,
) {
    let site = site(&json!({}), &json!({ "X-Email": "email" }), |config| {
        config.set("/providers/idp/userinfo", json!(userinfo))
    });
    site.provider.make(Fault::ClaimsInUserinfoOnly);
    assert_eq!(told(&site).header("x-email"), expected);
    assert_eq!(site.provider.calls(Endpoint::Userinfo), usize::from(asked));
}

#[test]
fn userinfo_is_not_asked_when_nothing_is_missing() {
    let site = site(&json!({}), &json!({ "X-Email": "email" }), |config| {
        config.set("/providers/idp/userinfo", json!("when_missing"))
    });
    assert_eq!(told(&site).header("x-email"), Some("ada@example.com"));
    assert_eq!(site.provider.calls(Endpoint::Userinfo), 0);
}

#[test]
fn a_session_without_room_for_its_claims_is_refused_at_the_sign_in() {
    let groups = vec!["a-rather-long-role-name"; 900];
    let site = site(&json!({ "groups": groups }), &json!({}), |config| {
        config.set("/sessions/store", json!("cookie"))
    });
    let browser = Browser::new();
    let page = site.visit(&browser, "/claims");
    assert_eq!(page.status(), 403, "{}", page.response.everything());
    site.refused_at_callback(&page.response, "session_too_large");
    assert!(page.response.text().contains("more information"), "{}", page.response.text());
    never_given_a_session(&browser);
}
