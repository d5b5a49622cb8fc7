use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use rstest::rstest;

use super::*;
use crate::telemetry::Sender;

pub(super) fn request_id() -> RequestId {
    RequestId::of(Some(&HeaderValue::from_static("req-1")), Sender::TrustedProxy)
}

fn config() -> Config {
    let support = Some(url::Url::parse("https://help.example.com/?a=1&b=2").unwrap());
    Config { support, languages: Language::ALL.to_vec(), ..Config::default() }
}

fn pages() -> Pages {
    Pages::new(&config(), "/.vestibule").unwrap()
}

fn shown(page: &Page<'_>) -> Reply {
    pages().show(page, Reader { request_id: &request_id(), language: Language::En })
}

fn provider(name: &str) -> ProviderName {
    ProviderName::parse(name).unwrap()
}

/// Every page, with `hostile` wherever something from outside may stand.
fn every_page(hostile: &str) -> Vec<(String, Reply)> {
    every_page_in(&pages(), Language::En, hostile)
}

fn every_page_in(pages: &Pages, language: Language, hostile: &str) -> Vec<(String, Reply)> {
    let providers = [provider("workforce"), provider("partners")];
    let sign_in = SignIn::of(providers.first(), Some(hostile));
    let problems =
        Problem::ALL.iter().map(|&problem| (format!("error_{}", problem.reason()), Page::Problem(problem)));
    let mut all: Vec<(String, Page<'_>)> = problems.collect();
    for &asked in Asked::ALL {
        let name = format!("sign_in_required_{asked:?}").to_lowercase();
        all.push((name, Page::SignInRequired(asked, sign_in)));
    }
    for &stale in Stale::ALL {
        all.push((stale.reason().to_owned(), Page::SignInAgain(stale, sign_in)));
    }
    for &failure in SignInFailure::ALL {
        all.push((failure.reason().to_owned(), Page::SignInFailed(failure, Some(hostile), sign_in)));
    }
    all.push(("login_loop".into(), Page::LoginLoop(sign_in)));
    all.push(("chooser".into(), Page::Chooser(&providers, hostile)));
    all.push(("sign_out".into(), Page::SignOut(Some(hostile))));
    all.push(("signed_out".into(), Page::SignedOut(Some(hostile))));
    let reader = Reader { request_id: &request_id(), language };
    all.into_iter().map(|(name, page)| (name, pages.show(&page, reader))).collect()
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
fn every_page_looks_as_agreed_in_german() {
    for (name, reply) in every_page_in(&pages(), Language::De, "/reports?year=2026&q=\"a\"") {
        assert_eq!(reply.headers[CONTENT_LANGUAGE], "de", "{name}");
        assert!(html(&reply).contains("<html lang=\"de\">"), "{name}");
        insta::assert_snapshot!(
            format!("{name}_de"),
            format!("{}\n{}", reply.status, without_style(html(&reply)))
        );
    }
}

#[test]
fn a_page_differs_between_languages_in_nothing_but_words() {
    let tags = |reply: &Reply| -> Vec<String> {
        let tags = html(reply).split('<').skip(1);
        tags.map(|tag| tag.split('>').next().unwrap_or_default().replace("\"de\"", "\"en\"")).collect()
    };
    for ((name, english), (_, german)) in
        every_page("/x").into_iter().zip(every_page_in(&pages(), Language::De, "/x"))
    {
        assert_eq!((english.status, english.reason), (german.status, german.reason), "{name}");
        assert_eq!(tags(&english), tags(&german), "{name}");
        let heading = |reply: &Reply| {
            html(reply).split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap().to_owned()
        };
        assert_ne!(heading(&english), heading(&german), "{name}");
    }
}

fn with(name: &'static str, source: &str) -> Result<Pages, Error> {
    let replacements = vec![Replacement { name, source: source.to_owned() }];
    Pages::new(&Config { replacements, ..config() }, "/.vestibule")
}

#[test]
fn a_template_of_ones_own_takes_the_place_of_ours() {
    let source = "{% extends \"base.html\" %}{% block content %}<p>Call 555 about {{ reason }}, {{ status }}.</p>{% endblock %}";
    let pages = with("error.html", source).unwrap();
    let reader = Reader { request_id: &request_id(), language: Language::En };
    let reply = pages.show(&Page::Problem(Problem::Denied), reader);
    assert!(html(&reply).contains("<p>Call 555 about denied, 403.</p>"), "{}", html(&reply));
    assert!(html(&reply).contains("req-1"), "the frame is still ours");
    let reply = pages.show(&Page::SignedOut(None), reader);
    assert!(html(&reply).contains("You are signed out"), "what isn't replaced stays");
}

#[test]
fn a_style_of_ones_own_is_the_one_that_the_policy_names() {
    use base64::Engine as _;
    let pages = with("style.css", "body { color: teal }").unwrap();
    let reader = Reader { request_id: &request_id(), language: Language::En };
    let reply = pages.show(&Page::SignedOut(None), reader);
    assert!(html(&reply).contains("<style>body { color: teal }</style>"));
    let hash = base64::engine::general_purpose::STANDARD.encode(crate::seal::sha256(b"body { color: teal }"));
    assert!(reply.headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains(&hash));
}

#[test]
fn a_style_is_hashed_as_a_browser_reads_it() {
    use base64::Engine as _;
    let pages = with("style.css", "a {}\r\nb {}\rc {}").unwrap();
    let reader = Reader { request_id: &request_id(), language: Language::En };
    let reply = pages.show(&Page::SignedOut(None), reader);
    assert!(html(&reply).contains("<style>a {}\nb {}\nc {}</style>"));
    let hash = base64::engine::general_purpose::STANDARD.encode(crate::seal::sha256(b"a {}\nb {}\nc {}"));
    assert!(reply.headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains(&hash));
}

#[test]
fn a_template_of_ones_own_escapes_as_ours_do() {
    let pages =
        with("sign_out.html", "<p title=\"{{ return_to or '' }}\">{{ return_to or '' }}</p>").unwrap();
    let reader = Reader { request_id: &request_id(), language: Language::En };
    let reply = pages.show(&Page::SignOut(Some("/\"><script>alert(1)</script>")), reader);
    assert!(!html(&reply).contains("<script"), "{}", html(&reply));
}

#[rstest]
#[case::not_closed("error.html", "{% if sign_out %}", "error.html, line 1: ")]
#[case::a_value_of_another_page("error.html", "\n{{ choices }}", "error.html, line 2: ")]
#[case::in_one_of_two_cases(
    "sign_in_failed.html",
    "{% if code %}{{ cod }}{% endif %}",
    "sign_in_failed.html, line 1: "
)]
#[case::in_the_second_of_two(
    "chooser.html",
    "{% for c in choices %}{% if not loop.last %}{{ typo }}{% endif %}{% endfor %}",
    "chooser.html, line 1: "
)]
#[case::a_style_that_ends_itself("style.css", "a{}</STYLE ><p>", "style.css has `</style` in it")]
#[case::a_style_with_more_around_it(
    "base.html",
    "<style>\n{{ style|safe }}\n</style>{{ title }}",
    "error.html: write {{ style|safe }} alone"
)]
#[case::a_style_of_its_own(
    "signed_out.html",
    "<style>a{}</style>",
    "signed_out.html: write {{ style|safe }} alone"
)]
#[case::a_page_that_never_ends(
    "base.html",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "base.html, line 1: "
)]
fn a_template_that_could_fail_before_a_person_fails_at_load(
    #[case] name: &'static str,
    #[case] source: &str,
    #[case] told: &str,
) {
    let error = with(name, source).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with(&format!("read a page template: {told}")), "{error}");
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
    let reply = shown(&Page::Problem(Problem::NotFound));
    let (_, rest) = html(&reply).split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(crate::seal::sha256(style.as_bytes()));
    let policy = reply.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains(&format!("style-src 'sha256-{hash}';")));
}

#[test]
fn not_knowing_is_retried_later() {
    let reply = shown(&Page::Problem(Problem::Unavailable));
    assert_eq!((reply.status.as_u16(), &reply.headers[RETRY_AFTER]), (503, &HeaderValue::from(5)));
}

#[test]
fn only_a_problem_of_the_account_offers_to_sign_out() {
    for problem in Problem::ALL {
        let reply = shown(&Page::Problem(*problem));
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
    let reply = shown(&Page::SignedOut(Some(target)));
    assert!(!html(&reply).contains("Continue"));
}

#[test]
fn a_support_address_must_be_one_that_a_browser_only_opens() {
    for (address, fine) in
        [("javascript:alert(1)", false), ("data:text/html,x", false), ("mailto:help@example.com", true)]
    {
        let support = Some(url::Url::parse(address).unwrap());
        assert_eq!(Pages::new(&Config { support, ..config() }, "/.vestibule").is_ok(), fine, "{address}");
    }
}
