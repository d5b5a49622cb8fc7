//! The gateway in a real browser: its pages, and what only a browser shows of signing in and out. The walks
//! are in `tests/journey/`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vestibule::identity::ProviderName;
use vestibule::pages::{self, Asked, Language, Page, Pages, Problem, Reader, SignIn, SignInFailure, Stale};
use vestibule::telemetry::RequestId;

use crate::support::config::Config;
use crate::support::gateway::Gateway;
use crate::support::listener::free_port;
use crate::support::provider::{Fault, Provider};
use crate::support::site::certificate;
use crate::support::upstream::Upstream;

/// A gateway with TLS in front of providers that each make one mistake, and a route for each.
struct House {
    gateway: Gateway,
    _providers: Vec<Provider>,
    _upstream: Upstream,
}

impl House {
    fn open() -> Self {
        let upstream = Upstream::start();
        let (certificate, key) = certificate();
        let faults = [
            ("idp", Fault::None),
            ("posted", Fault::None),
            ("declined", Fault::AccessDenied),
            ("mistaken", Fault::InvalidScope),
            ("rejected", Fault::NonceInvalid),
            ("dead", Fault::Down),
        ];
        let providers: Vec<_> = faults.iter().map(|(name, fault)| (*name, Provider::with(*fault))).collect();
        let groups: Vec<_> = (0..200).map(|n| format!("group-number-{n:04}")).collect();
        let mut config = Config::new(&json!(null), &upstream)
            .tls(&certificate, &key)
            .unset("/providers/idp")
            .set("/sessions/store", json!("cookie"))
            .set("/log/format", json!("json"))
            .set("/pages", json!({ "languages": ["en", "de"], "support": "https://help.example.com/" }))
            .set("/routes", json!([
                { "id": "open", "match": { "path": "/public" }, "auth": "public", "upstream": upstream.url() },
                { "id": "down", "match": { "path": "/down" }, "auth": "public",
                  "upstream": format!("http://127.0.0.1:{}", free_port()) },
                { "id": "app", "match": { "path": "/app" }, "auth": { "session": "idp" }, "upstream": upstream.url() },
                { "id": "denied", "match": { "path": "/denied" }, "auth": { "session": "idp" },
                  "require": [{ "groups": ["nobody"] }], "upstream": upstream.url() },
            ]));
        for (name, provider) in &providers {
            provider.claim(&json!({ "groups": groups }));
            config = config.set(&format!("/providers/{name}"), provider.entry());
            if *name != "idp" {
                config = config.route(json!({
                    "id": name, "match": { "path": format!("/{name}") }, "auth": { "session": name },
                    "upstream": upstream.url(),
                }));
            }
        }
        let config = config.set("/providers/posted/response_mode", json!("form_post"));
        let providers = providers.into_iter().map(|(_, provider)| provider).collect();
        Self { gateway: Gateway::start(config), _providers: providers, _upstream: upstream }
    }

    /// Walks a script of `tests/journey/` to its end.
    #[track_caller]
    fn walk(&self, script: &str, more: &Value) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("tests/journey");
        assert!(
            folder.join("node_modules").exists(),
            "playwright-core isn't installed: `npm ci` in tests/journey, or `make test`"
        );
        let mut told = more.clone();
        told["origin"] = json!(self.gateway.url(""));
        let output = Command::new("node")
            .arg(folder.join(script))
            .arg(told.to_string())
            .current_dir(root)
            .output()
            .expect("node can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{failed}\n{said}\n{}", self.gateway.logs());
    }
}

/// Writes every page there is, as it would be sent.
fn write_all(folder: &Path) {
    let config = pages::Config { languages: Language::ALL.to_vec(), ..pages::Config::default() };
    let pages = Pages::new(&config, "/.vestibule").expect("our own templates");
    let providers: Vec<_> = ["workforce", "partners"].into_iter().flat_map(ProviderName::parse).collect();
    let sign_in = SignIn::of(providers.first(), Some("/page"));
    let mut all: Vec<(String, Page<'_>)> =
        Problem::ALL.iter().map(|&problem| (problem.reason().to_owned(), Page::Problem(problem))).collect();
    let others = [
        ("frame", Page::SignInRequired(Asked::InFrame, sign_in)),
        ("with_body", Page::SignInRequired(Asked::WithBody, sign_in)),
        ("login_expired", Page::SignInAgain(Stale::Expired, sign_in)),
        ("login_cookie_lost", Page::SignInAgain(Stale::CookieLost, sign_in)),
        ("callback_used_before", Page::SignInAgain(Stale::UsedBefore, sign_in)),
        ("login_declined", Page::SignInFailed(SignInFailure::Declined, Some("access_denied"), sign_in)),
        ("provider_error", Page::SignInFailed(SignInFailure::ProviderError, Some("invalid_scope"), sign_in)),
        ("login_rejected", Page::SignInFailed(SignInFailure::Rejected, None, sign_in)),
        ("session_too_large", Page::SignInFailed(SignInFailure::SessionTooLarge, None, sign_in)),
        ("login_loop", Page::LoginLoop(sign_in)),
        ("chooser", Page::Chooser(&providers, "/page")),
        ("sign_out", Page::SignOut(Some("/page"))),
        ("signed_out", Page::SignedOut(Some("/page"))),
    ];
    all.extend(others.map(|(name, page)| (name.to_owned(), page)));
    let request_id = RequestId::random();
    for &language in Language::ALL {
        for (name, page) in &all {
            let reply = pages.show(page, Reader { request_id: &request_id, language });
            let file = folder.join(format!("{name}-{}.html", language.tag()));
            std::fs::write(file, &reply.body).expect("the page can be written");
        }
    }
}

#[test]
fn every_page_can_be_read_by_everybody() {
    let folder = tempfile::tempdir().expect("a folder");
    write_all(folder.path());
    House::open().walk("pages.mjs", &json!({ "written": folder.path(), "out": "target/pages" }));
}

#[test]
fn a_browser_signs_in_and_out_over_tls() {
    let house = House::open();
    house.walk("sign_on.mjs", &json!({}));
    // The tricks did arrive: each was answered by the page with a button, or refused.
    let log = house.gateway.access_log();
    let of_sign_outs = |reason: &str| {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["path"] == "/.vestibule/sign-out" && line["reason"] == reason).count()
    };
    assert!(of_sign_outs("sign_out_page") >= 7, "{} pages\n{log}", of_sign_outs("sign_out_page"));
    assert!(of_sign_outs("foreign_origin") >= 2, "{} refused", of_sign_outs("foreign_origin"));
}
