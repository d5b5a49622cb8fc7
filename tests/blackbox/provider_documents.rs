//! The provider's documents: how large and how deep they may be, and that good ones stay in use when what comes
//! later is not good, for as long as agreed.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::jwt::Key;
use crate::support::provider::{Endpoint, Fault, Mishap, Provider};
use crate::support::site::{Site, never_given_a_session};
use crate::support::wall_clock::WallClock;
use crate::support::{eventually, within};

const MEBIBYTE: usize = 1 << 20;
const MINUTE: i64 = 60;

fn site(mishap: Option<(Endpoint, Mishap)>) -> Site {
    let provider = Provider::start();
    provider.spoil(mishap);
    Site::around(provider, |config, _| {
        config.set("/providers/idp/userinfo", json!("always")).set("/log/format", json!("json"))
    })
}

#[track_caller]
fn signs_in(site: &Site) {
    let page = site.arrive(&Browser::new(), "/private");
    assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), site.gateway.logs());
}

/// Asserts that a login comes to this end, wherever on its way.
#[track_caller]
fn refuses(site: &Site, status: u16, reason: &str) {
    let browser = Browser::new();
    let page = site.arrive(&browser, "/private");
    assert_eq!(site.reason(&page.response).1, reason, "{}", site.gateway.logs());
    assert_eq!(page.status(), status, "{}", page.response.everything());
    never_given_a_session(&browser);
}

#[rstest]
fn a_document_has_a_mebibyte_at_most(
    #[values(Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo)] endpoint: Endpoint,
) {
    signs_in(&site(Some((endpoint, Mishap::Padded(MEBIBYTE)))));
    let site = site(Some((endpoint, Mishap::Padded(MEBIBYTE + 1))));
    refuses(&site, 503, "provider_answer_too_long");
    site.upstream.saw_nothing();
}

#[rstest]
fn a_document_has_sixty_four_levels_at_most(
    #[values(Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token)] endpoint: Endpoint,
) {
    signs_in(&site(Some((endpoint, Mishap::Levels(64)))));
    let site = site(Some((endpoint, Mishap::Levels(65))));
    refuses(&site, 503, "provider_answer_not_json");
    site.upstream.saw_nothing();
}

#[rstest]
#[case::out_of_order(Mishap::Status(500), "provider_status")]
#[case::not_there(Mishap::Status(404), "provider_unexpected_status")]
#[case::elsewhere(Mishap::Leads(302, "ISSUER/planted"), "provider_redirected")]
#[case::no_answer(Mishap::Closes, "provider_unreachable")]
#[case::cut_off(Mishap::CutOff, "provider_unreachable")]
#[case::a_page(Mishap::Html, "provider_answer_not_json")]
#[case::half_a_document(Mishap::Truncated, "provider_answer_not_json")]
#[case::very_deep(Mishap::Deep, "provider_answer_not_json")]
#[case::a_member_twice(Mishap::Doubled, "provider_answer_not_json")]
#[case::utf_16(Mishap::Utf16, "provider_answer_not_json")]
#[case::without_end(Mishap::Endless, "provider_answer_too_long")]
#[case::no_keys(Mishap::Member("keys", "[]"), "keys_unusable")]
#[case::no_list(Mishap::Member("keys", "{}"), "keys_unusable")]
#[case::nothing_at_all(Mishap::Says(200, "{}"), "keys_unusable")]
#[case::secrets_alone(Mishap::Member("keys", r#"[{"kty":"oct","k":"c2VjcmV0"}]"#), "keys_unusable")]
fn keys_that_were_good_stay_in_use(#[case] mishap: Mishap, #[case] reason: &str) {
    let site = site(None);
    signs_in(&site);
    let fetched = site.provider.calls(Endpoint::Jwks);
    site.provider.spoil(Some((Endpoint::Jwks, mishap)));
    // A token by a key that isn't known makes them be asked for.
    site.provider.sign_with(Key::second(), "second");
    refuses(&site, 503, reason);
    assert!(site.provider.calls(Endpoint::Jwks) > fetched, "they were not asked for");
    assert_eq!(site.provider.calls(Endpoint::Planted), 0, "a redirect was followed");
    site.provider.sign_with(Key::first(), "first");
    signs_in(&site);
}

/// A site whose gateway goes by a clock of ours. As long as it has no keys, it looks after the provider's documents
/// every two seconds.
fn without_keys() -> (Site, WallClock) {
    let (clock, provider) = (WallClock::right(), Provider::with(Fault::JwksHtml));
    provider.publish(vec![Key::first().jwk("first"), Key::second().jwk("second")]);
    let site = Site::in_environment(provider, clock.environment(), |config, _| {
        config.set("/log/format", json!("json"))
    });
    (site, clock)
}

/// How loud the gateway says that what it has of this document stays in use; not at all with none.
fn alarm(site: &Site, document: &str) -> Option<String> {
    let logs = site.gateway.logs();
    let mut lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| {
        let said = line["message"].as_str().unwrap_or_default();
        line["document"] == document && line["age"].is_u64() && said.contains("the last good one stays")
    })?;
    Some(line["level"].as_str()?.to_owned())
}

#[rstest]
#[case::no_answer(Mishap::Closes, "WARN")]
#[case::out_of_order(Mishap::Status(503), "WARN")]
#[case::a_page(Mishap::Html, "ERROR")]
#[case::half_a_document(Mishap::Truncated, "ERROR")]
#[case::of_another_issuer(Mishap::Member("issuer", r#""https://issuer.invalid""#), "ERROR")]
#[case::with_an_endpoint_in_the_clear(
    Mishap::Member("token_endpoint", r#""http://provider.invalid/""#),
    "ERROR"
)]
fn metadata_that_was_good_stays_in_use_with_an_alarm(#[case] mishap: Mishap, #[case] level: &str) {
    let (site, clock) = without_keys();
    let fetched = site.provider.calls(Endpoint::Discovery);
    site.provider.spoil(Some((Endpoint::Discovery, mishap)));
    // It is older than it may get, and asked for.
    clock.set(5 * MINUTE);
    let said = eventually("an alarm", || alarm(&site, "metadata"));
    assert_eq!(said, level, "{}", site.gateway.logs());
    assert!(site.provider.calls(Endpoint::Discovery) > fetched);
    // A login begins all the same, where it always did.
    let challenge = site.open(&Browser::new(), "/private");
    assert_eq!(challenge.status, 302, "{}", challenge.everything());
    let way_in = format!("{}/authorize?", site.provider.issuer());
    assert!(challenge.location().starts_with(&way_in), "{}", challenge.location());

    clock.set(0);
    site.provider.make(Fault::None);
    site.provider.spoil(None);
    eventually("a login", || (site.arrive(&Browser::new(), "/private").status() == 200).then_some(()));
}

/// How many keys the gateway has, by its own word.
fn keys(site: &Site) -> Option<u64> {
    site.gateway.admin("/readyz")?.json()["providers"]["idp"]["keys"].as_u64()
}

/// Waits for the upkeep to have found this many keys: while something fails it comes round twice a minute.
#[track_caller]
fn finds_keys(site: &Site, expected: u64) {
    within(Duration::from_secs(40), &format!("{expected} keys"), || {
        (keys(site) == Some(expected)).then_some(())
    });
}

#[test]
fn a_withdrawn_key_is_refused_after_five_minutes() {
    let (site, clock) = without_keys();
    // Metadata that fails keeps the upkeep awake, which else sleeps for minutes that no test can move.
    site.provider.spoil(Some((Endpoint::Discovery, Mishap::Html)));
    clock.set(5 * MINUTE);
    site.provider.make(Fault::None);
    finds_keys(&site, 2);
    clock.set(0);
    // Whoever took the second key away has no say until the keys are asked for again.
    site.provider.publish(vec![Key::first().jwk("first")]);
    site.provider.sign_with(Key::second(), "second");
    let fetched = site.provider.calls(Endpoint::Jwks);
    signs_in(&site);
    assert_eq!(site.provider.calls(Endpoint::Jwks), fetched, "it is known, and nobody asks");

    clock.set(10 * MINUTE);
    finds_keys(&site, 1);
    clock.set(0);
    refuses(&site, 400, "id_token_key_unknown");
    site.provider.sign_with(Key::first(), "first");
    signs_in(&site);
}
