use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use rstest::rstest;

use super::*;
use crate::telemetry::Sender;

pub(super) fn request_id() -> RequestId {
    RequestId::of(Some(&HeaderValue::from_static("req-1")), Sender::TrustedProxy)
}

fn pages() -> Pages {
    let support = Some(url::Url::parse("https://help.example.com/?a=1&b=2").unwrap());
    Pages::new(&Config { support }, "/.vestibule").unwrap()
}

fn provider(name: &str) -> ProviderName {
    ProviderName::parse(name).unwrap()
}

/// Every page, with `hostile` wherever something from outside may stand.
fn every_page(hostile: &str) -> Vec<(String, Reply)> {
    let pages = pages();
    let id = request_id();
    let workforce = provider("workforce");
    let sign_in = SignIn { provider: Some(&workforce), return_to: Some(hostile) };
    let mut all: Vec<(String, Reply)> = Problem::ALL
        .iter()
        .map(|problem| (format!("error_{}", problem.reason()), pages.error(*problem, &id)))
        .collect();
    for asked in [Asked::InFrame, Asked::WithBody] {
        let name = format!("sign_in_required_{asked:?}").to_lowercase();
        all.push((name, pages.sign_in_required(asked, sign_in, &id)));
    }
    for stale in [Stale::Expired, Stale::CookieLost, Stale::UsedBefore] {
        all.push((stale.reason().to_owned(), pages.sign_in_again(stale, sign_in, &id)));
    }
    for failure in [
        SignInFailure::Declined,
        SignInFailure::ProviderError,
        SignInFailure::Rejected,
        SignInFailure::SessionTooLarge,
    ] {
        let name = failure.reason().to_owned();
        all.push((name, pages.sign_in_failed(failure, Some(hostile), sign_in, &id)));
    }
    let providers = [workforce.clone(), provider("partners")];
    all.push(("login_loop".into(), pages.login_loop(sign_in, &id)));
    all.push(("chooser".into(), pages.chooser(&providers, Some(hostile), &id)));
    all.push(("sign_out".into(), pages.sign_out_confirm(Some(hostile), &id)));
    all.push(("signed_out".into(), pages.signed_out(Some(hostile), &id)));
    all
}

fn html(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

/// The page without its style, which is the same everywhere.
fn without_style(html: &str) -> String {
    let (before, rest) = html.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    format!("{before}<style>…</style>{after}")
}

#[test]
fn every_page_looks_as_agreed() {
    for (name, reply) in every_page("/reports?year=2026&q=\"a\"") {
        insta::assert_snapshot!(name, format!("{}\n{}", reply.status, without_style(html(&reply))));
    }
}

#[test]
fn the_style_is_one_for_all() {
    for (name, reply) in every_page("/") {
        assert!(html(&reply).contains(include_str!("templates/style.css")), "{name}");
    }
}

#[test]
fn every_page_is_whole_and_has_no_script() {
    for (name, reply) in every_page("/reports") {
        let html = html(&reply);
        for part in
            ["<!doctype html>", "<html lang=\"en\">", "<title>", "<main>", "</main>", "</html>", "req-1"]
        {
            assert_eq!(html.matches(part).count(), 1, "{name}: {part}");
        }
        assert_eq!(html.matches("<h1>").count(), 1, "{name}");
        assert!(html.contains("href=\"https://help.example.com/?a=1&amp;b=2\""), "{name}");
        let lower = html.to_lowercase();
        for never in ["<script", "javascript:", " on", "style=\"", "<img", "<iframe", "http-equiv"] {
            let tags = lower.split('<').map(|tag| tag.split('>').next().unwrap_or_default());
            let found = tags.map(|tag| format!("<{tag}")).any(|tag| tag.contains(never));
            assert!(!found, "{name}: {never}");
        }
        assert_eq!(balance(html), Vec::<String>::new(), "{name}");
    }
}

/// Elements left open, or closed without being open.
fn balance(html: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "input", "!doctype"];
    let mut open: Vec<String> = Vec::new();
    for tag in html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if tag.starts_with('/') {
            if open.pop().as_deref() != Some(name) {
                return vec![format!("</{name}> closes nothing")];
            }
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    open
}

#[rstest]
#[case::markup("\"><script>alert(1)</script>")]
#[case::attribute("' onmouseover='alert(1)")]
#[case::lines("a\r\nSet-Cookie: x=1\r\n\r\n<b>")]
#[case::entity("&#x22;&gt;&lt;script&gt;")]
#[case::template("{{ 7*7 }}{% for %}")]
#[case::scheme("javascript:alert(1)")]
#[case::foreign("//evil.example")]
fn hostile_text_stays_text(#[case] hostile: &str) {
    // The same pages with harmless text have the same tags, attributes and headers.
    let skeleton = |html: &str| -> Vec<String> {
        html.split('<')
            .skip(1)
            .map(|tag| tag.split('>').next().unwrap_or_default())
            .map(|tag| tag.split('"').step_by(2).collect::<String>())
            .collect()
    };
    for ((name, harmless), (_, reply)) in every_page("/x").into_iter().zip(every_page(hostile)) {
        // What can't be linked to or shown at all is left out with its element.
        if name != "signed_out" && !html(&harmless).contains("called it") {
            assert_eq!(skeleton(html(&reply)), skeleton(html(&harmless)), "{name}");
        }
        assert_eq!(reply.headers, harmless.headers, "{name}");
        for never in ["<script", "href=\"//", "href=\"javascript:", "action=\"//"] {
            assert!(!html(&reply).contains(never), "{name}: {never}");
        }
    }
}

#[test]
fn every_page_has_its_headers() {
    for (name, reply) in every_page("/reports") {
        let headers = &reply.headers;
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8", "{name}");
        assert_eq!(headers[CACHE_CONTROL], "no-store", "{name}");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{name}");
        let referrer = if name == "sign_out" { "same-origin" } else { "no-referrer" };
        assert_eq!(headers[REFERRER_POLICY], referrer, "{name}");
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{name}");
        assert!(policy.contains("base-uri 'none'") && !policy.contains("unsafe"), "{name}");
        let framed = name == "sign_in_required_inframe";
        assert_eq!(headers.contains_key(X_FRAME_OPTIONS), !framed, "{name}");
        assert_eq!(policy.contains("frame-ancestors 'none'"), !framed, "{name}");
        let form = if name == "sign_out" { "form-action 'self' https: " } else { "form-action 'none'" };
        assert!(policy.contains(form), "{name}: {policy}");
    }
}

#[test]
fn the_policy_names_the_style_that_the_page_has() {
    use base64::Engine as _;
    let reply = pages().error(Problem::NotFound, &request_id());
    let (_, rest) = html(&reply).split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(crate::seal::sha256(style.as_bytes()));
    let policy = reply.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains(&format!("style-src 'sha256-{hash}';")));
}

#[test]
fn not_knowing_is_retried_later() {
    let reply = pages().error(Problem::Unavailable, &request_id());
    assert_eq!((reply.status.as_u16(), &reply.headers[RETRY_AFTER]), (503, &HeaderValue::from(5)));
}

#[test]
fn only_a_problem_of_the_account_offers_to_sign_out() {
    for problem in Problem::ALL {
        let reply = pages().error(*problem, &request_id());
        let offered = html(&reply).contains("href=\"/.vestibule/sign-out\"");
        assert_eq!(offered, problem.status() == StatusCode::FORBIDDEN && *problem != Problem::ForeignOrigin);
    }
}

#[rstest]
#[case::other_origin("//evil.example/")]
#[case::backslash("/\\evil.example/")]
#[case::tab("/\t/evil.example/")]
#[case::scheme("https://evil.example/")]
fn a_signed_out_page_links_nowhere_else(#[case] target: &str) {
    let reply = pages().signed_out(Some(target), &request_id());
    assert!(!html(&reply).contains("Continue"));
}

#[test]
fn a_support_address_must_be_one_that_a_browser_only_opens() {
    for (address, fine) in
        [("javascript:alert(1)", false), ("data:text/html,x", false), ("mailto:help@example.com", true)]
    {
        let support = Some(url::Url::parse(address).unwrap());
        assert_eq!(Pages::new(&Config { support }, "/.vestibule").is_ok(), fine, "{address}");
    }
}
