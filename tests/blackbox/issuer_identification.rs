//! `iss` in the authorization response: there where it was promised, once, and the provider's to the letter, with a
//! code as with an error ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).

use rstest::rstest;
use serde_json::json;
use url::Url;

use crate::support::browser::Browser;
use crate::support::message::pairs;
use crate::support::provider::{Endpoint, Fault};
use crate::support::site::{Site, never_given_a_session};

fn site(fault: Fault) -> Site {
    Site::faulty(fault, |config, _| config.set("/log/format", json!("json")))
}

/// The address of a callback whose `iss` are these, in which `ISSUER` is the provider's own and `AUTHORITY` the same
/// without its scheme.
fn naming(site: &Site, callback: &str, issuers: &[&str]) -> Url {
    let mut url = Url::parse(callback).expect("an address");
    let issuer = site.provider.issuer();
    let authority = issuer.split_once("://").map_or("", |(_, authority)| authority);
    let mut kept = pairs(url.query().unwrap_or_default());
    kept.retain(|(name, _)| name != "iss");
    for issuer in issuers.iter().map(|said| said.replace("ISSUER", &issuer).replace("AUTHORITY", authority)) {
        kept.push(("iss".to_owned(), issuer));
    }
    url.query_pairs_mut().clear().extend_pairs(kept);
    url
}

#[rstest]
#[case::none(&[], "iss_missing")]
#[case::empty(&[""], "parameter_malformed")]
#[case::of_another(&["https://issuer.invalid"], "iss_mismatch")]
#[case::with_a_slash(&["ISSUER/"], "iss_mismatch")]
#[case::in_capitals(&["HTTP://AUTHORITY"], "iss_mismatch")]
#[case::by_another_scheme(&["https://AUTHORITY"], "iss_mismatch")]
#[case::at_another_port(&["http://127.0.0.1:1"], "iss_mismatch")]
#[case::with_a_query(&["ISSUER?"], "iss_mismatch")]
#[case::with_a_blank(&["ISSUER "], "iss_mismatch")]
#[case::with_a_line_break(&["ISSUER\n"], "parameter_malformed")]
#[case::encoded_once_more(&["http%3A%2F%2FAUTHORITY"], "iss_mismatch")]
#[case::twice(&["ISSUER", "ISSUER"], "parameter_repeated")]
#[case::and_another(&["ISSUER", "https://issuer.invalid"], "parameter_repeated")]
#[case::behind_another(&["https://issuer.invalid", "ISSUER"], "parameter_repeated")]
fn an_answer_names_its_issuer_to_the_letter(
    #[values(Fault::None, Fault::AccessDenied)] outcome: Fault,
    #[case] issuers: &[&str],
    #[case] reason: &str,
) {
    let site = site(outcome);
    let browser = Browser::new();
    let url = naming(&site, &site.callback(&browser, "/private"), issuers);
    let response = browser.open(url.as_str());
    assert_eq!(response.status, 400, "{}", response.everything());
    site.refused_at_callback(&response, reason);
    assert!(!response.fields.has("location"), "never an automatic restart");
    assert_eq!(site.provider.calls(Endpoint::Token), 0);
    never_given_a_session(&browser);
    site.upstream.saw_nothing();
}

#[rstest]
#[case::none(&[], None)]
#[case::its_own(&["ISSUER"], None)]
#[case::of_another(&["https://issuer.invalid"], Some("iss_mismatch"))]
#[case::with_a_slash(&["ISSUER/"], Some("iss_mismatch"))]
#[case::empty(&[""], Some("parameter_malformed"))]
fn an_issuer_that_was_not_promised_counts_where_it_comes(
    #[case] issuers: &[&str],
    #[case] refused: Option<&str>,
) {
    let site = site(Fault::IssParamAbsentUnadvertised);
    let browser = Browser::new();
    let url = naming(&site, &site.callback(&browser, "/private"), issuers);
    let response = browser.open(url.as_str());
    if let Some(reason) = refused {
        assert_eq!(response.status, 400, "{}", response.everything());
        site.refused_at_callback(&response, reason);
        never_given_a_session(&browser);
    } else {
        assert_eq!(response.status, 303, "{}\n{}", response.everything(), site.gateway.logs());
    }
    assert_eq!(site.provider.calls(Endpoint::Token), usize::from(refused.is_none()));
    site.upstream.saw_nothing();
}
