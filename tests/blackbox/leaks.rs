//! What must stay secret, looked for everywhere it could come out: both logs at every level, metrics, health,
//! pages, the upstream, and what the commands print.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand, Page};
use crate::support::config::KEY;
use crate::support::gateway::PROGRAM;
use crate::support::provider::{CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, Mishap};
use crate::support::site::{Mode, Site, never_given_a_session};

/// What proves us to the provider and to ourselves, as it is and as it is sent.
fn credentials() -> Vec<String> {
    let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{encoded}"));
    vec![CLIENT_SECRET.to_owned(), encoded, basic, KEY.to_owned()]
}

/// Every value that somebody could do something with: of the provider's, and of ours.
fn secrets(site: &Site, browser: &Browser) -> Vec<String> {
    let mut secrets = site.provider.secrets();
    secrets.extend(credentials());
    for (name, value) in site.provider.authorization_requests().concat() {
        if matches!(name.as_str(), "state" | "nonce") {
            secrets.push(value);
        }
    }
    secrets.extend(browser.told().into_iter().map(|(_, value)| value).filter(|value| value.len() > 16));
    secrets.retain(|secret| !secret.is_empty());
    secrets.sort();
    secrets.dedup();
    secrets
}

/// What not even the browser is told: codes and ID tokens pass through it, the others never do.
fn secrets_from_the_browser(site: &Site) -> Vec<String> {
    let mut secrets = site.provider.secrets();
    secrets.retain(|secret| !secret.starts_with("code-") && !secret.starts_with("eyJ"));
    secrets.extend(credentials());
    secrets
}

#[track_caller]
fn is_nowhere(secrets: &[String], places: &[(&str, String)]) {
    for (place, content) in places {
        for secret in secrets {
            let found = content.find(secret.as_str());
            let around = found.map(|at| content.get(at.saturating_sub(200)..at + 40).unwrap_or_default());
            assert_eq!(around, None, "{secret} is in {place}");
        }
    }
}

/// Where the gateway itself could tell a secret.
fn own_words(site: &Site) -> Vec<(&'static str, String)> {
    let admin = |path: &str| site.gateway.admin(path).map(|answer| answer.everything()).unwrap_or_default();
    vec![
        ("the log", site.gateway.logs()),
        ("the access log", site.gateway.access_log()),
        ("the metrics", admin("/metrics")),
        ("the readiness", admin("/readyz")),
        ("the health", admin("/healthz")),
    ]
}

/// What a person saw in a day.
#[derive(Default)]
struct Day {
    /// The pages' text.
    shown: String,
    /// Addresses and heads, too.
    everything: String,
}

impl Day {
    fn look(&mut self, page: &Page) {
        self.shown += &page.response.text();
        self.everything += &page.response.everything();
        self.everything.extend(page.trail.iter().map(|url| format!("{url}\n")));
    }
}

/// Signs in, is known, is refused, signs out; meets a fault, and a cookie that was changed.
fn live_a_day(site: &Site, browser: &Browser) -> Day {
    let mut day = Day::default();
    for path in ["/private?token=in-the-query", "/denied", "/down", "/.vestibule/session"] {
        day.look(&site.arrive(browser, path));
    }
    for fault in
        [Fault::NonceInvalid, Fault::AccessDenied, Fault::Token500, Fault::InvalidSigRs256, Fault::Down]
    {
        site.provider.make(fault);
        day.look(&site.arrive(browser, "/.vestibule/sign-in?prompt=login&return_to=/private"));
    }
    site.provider.make(Fault::None);
    browser
        .send(&Errand::fetch(&site.url("/private")).header("Cookie", "vestibule=changed-cookie-0123456789"));
    let out = Errand::post(&site.url("/.vestibule/sign-out"), "return_to=/public", &site.url("/private"));
    day.look(&browser.walk(out));
    day
}

#[rstest]
fn no_secret_comes_out_anywhere(
    #[values(Mode::Query, Mode::FormPost)] mode: Mode,
    #[values("memory", "cookie")] store: &str,
    #[values("info", "trace")] level: &str,
) {
    let (site, browser) = Site::answering(mode, Fault::None, |config, upstream| {
        let down = format!("http://127.0.0.1:{}", crate::support::listener::free_port());
        config
            .set("/log/level", json!(level))
            .set("/sessions/store", json!(store))
            .set("/providers/idp/userinfo", json!("always"))
            .route(json!({ "id": "down", "match": { "path": "/down" }, "auth": { "session": "idp" }, "upstream": down }))
            .route(json!({
                "id": "denied", "match": { "path": "/denied" }, "auth": { "session": "idp" },
                "require": [{ "groups": ["nobody"] }], "upstream": upstream.url(),
            }))
    });
    let day = live_a_day(&site, &browser);
    let secrets = secrets(&site, &browser);
    assert!(secrets.len() > 15, "{}", secrets.len());
    crate::support::eventually("the sign-out in the access log", || {
        site.gateway.access_log().contains("/.vestibule/sign-out").then_some(())
    });
    let mut places = own_words(&site);
    places.extend([("the pages", day.shown), ("the upstream", site.upstream.bytes())]);
    for (place, content) in &places {
        assert!(!content.is_empty(), "{place} has nothing to look at");
    }
    is_nowhere(&secrets, &places);
    let told: Vec<_> = browser.told().into_iter().map(|(name, value)| name + "=" + &value).collect();
    let kept = secrets_from_the_browser(&site);
    assert!(kept.iter().any(|secret| secret.starts_with("refresh-")), "{kept:?}");
    is_nowhere(&kept, &[("the addresses and heads", day.everything), ("the cookies", told.join("\n"))]);
    let logged = site.gateway.logs() + &site.gateway.access_log();
    assert!(!logged.contains("in-the-query") && !logged.contains("changed-cookie-0123456789"));
    commands_say_nothing(&site, &secrets);
}

fn commands_say_nothing(site: &Site, secrets: &[String]) {
    for arguments in [
        vec!["check", "-c"],
        vec!["explain", "GET", "/private", "--anonymous", "-c"],
        vec!["run", "--no-such-option", "-c"],
    ] {
        let output = Command::new(PROGRAM)
            .args(&arguments)
            .arg(site.gateway.file())
            .output()
            .expect("vestibule can be started");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!said.is_empty(), "{arguments:?}");
        for secret in secrets {
            assert!(!said.contains(secret.as_str()), "{arguments:?} says {secret}");
        }
    }
}

#[rstest]
fn what_a_provider_repeats_of_our_words_goes_no_further(
    #[values(Endpoint::Token, Endpoint::Userinfo)] endpoint: Endpoint,
    #[values(200, 400, 401, 500)] status: u16,
    #[values("info", "trace")] level: &str,
) {
    // Servers put what they were sent into their messages: the code, the verifier, the secret, the token.
    let site = Site::with(|config, _| {
        config
            .set("/log", json!({ "level": level, "format": "json" }))
            .set("/providers/idp/userinfo", json!("always"))
    });
    site.provider.spoil(Some((endpoint, Mishap::Echoes(status))));
    let browser = Browser::new();
    let mut day = Day::default();
    let page = site.arrive(&browser, "/private");
    day.look(&page);
    assert!(matches!(page.status(), 400 | 503), "{}", page.response.everything());
    assert_eq!(site.reason(&page.response).0, "/.vestibule/callback");
    never_given_a_session(&browser);
    assert!(site.provider.calls(endpoint) > 0, "nothing was repeated");
    let mut places = own_words(&site);
    places.push(("the pages", day.shown));
    is_nowhere(&secrets(&site, &browser), &places);
    is_nowhere(&secrets_from_the_browser(&site), &[("the addresses and heads", day.everything)]);
    site.upstream.saw_nothing();
}
