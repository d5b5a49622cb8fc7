//! What must stay secret, looked for everywhere it could come out: both logs at every level, metrics, health,
//! pages, the upstream, and what the commands print.

use std::process::Command;

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand};
use crate::support::config::KEY;
use crate::support::gateway::PROGRAM;
use crate::support::provider::{CLIENT_SECRET, Fault};
use crate::support::site::{Mode, Site};

/// Every value that somebody could do something with: of the provider's, and of ours.
fn secrets(site: &Site, browser: &Browser) -> Vec<String> {
    let mut secrets = site.provider.secrets();
    secrets.extend([CLIENT_SECRET.to_owned(), KEY.to_owned()]);
    let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    secrets.push(encoded);
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

/// Signs in, is known, is refused, signs out; meets a fault, and a cookie that was changed.
fn live_a_day(site: &Site, browser: &Browser) -> String {
    let mut shown = String::new();
    let mut look = |page: &crate::support::browser::Page| shown += &page.response.text();
    look(&site.arrive(browser, "/private?token=in-the-query"));
    look(&site.arrive(browser, "/denied"));
    look(&site.arrive(browser, "/down"));
    look(&site.arrive(browser, "/.vestibule/session"));
    for fault in
        [Fault::NonceInvalid, Fault::AccessDenied, Fault::Token500, Fault::InvalidSigRs256, Fault::Down]
    {
        site.provider.make(fault);
        look(&site.arrive(browser, "/.vestibule/sign-in?prompt=login&return_to=/private"));
    }
    site.provider.make(Fault::None);
    browser
        .send(&Errand::fetch(&site.url("/private")).header("Cookie", "vestibule=changed-cookie-0123456789"));
    let out = Errand::post(&site.url("/.vestibule/sign-out"), "return_to=/public", &site.url("/private"));
    shown += &browser.walk(out).response.text();
    shown
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
    let shown = live_a_day(&site, &browser);
    let secrets = secrets(&site, &browser);
    assert!(secrets.len() > 15, "{}", secrets.len());
    crate::support::eventually("the sign-out in the access log", || {
        site.gateway.access_log().contains("/.vestibule/sign-out").then_some(())
    });
    let admin = |path: &str| site.gateway.admin(path).map(|answer| answer.everything()).unwrap_or_default();
    let places = [
        ("the log", site.gateway.logs()),
        ("the access log", site.gateway.access_log()),
        ("the metrics", admin("/metrics")),
        ("the readiness", admin("/readyz")),
        ("the health", admin("/healthz")),
        ("the pages", shown),
        ("the upstream", site.upstream.bytes()),
    ];
    for (place, content) in &places {
        assert!(!content.is_empty(), "{place} has nothing to look at");
        for secret in &secrets {
            let found = content.find(secret.as_str());
            let around = found.map(|at| content.get(at.saturating_sub(200)..at + 40).unwrap_or_default());
            assert_eq!(around, None, "{secret} is in {place}");
        }
    }
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
