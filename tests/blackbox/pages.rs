//! The pages of a running gateway: what each answers, in which language, under which policy, and the one way
//! on that it names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use serde_json::json;
use url::Url;
use vestibule::seal::sha256;

use crate::support::address::with_parameter;
use crate::support::browser::{Browser, Errand};
use crate::support::config::Config;
use crate::support::gateway::Gateway;
use crate::support::html;
use crate::support::message::Response;
use crate::support::provider::{Fault, Provider};
use crate::support::site::{SESSION, Site};
use crate::support::upstream::Upstream;

const SUPPORT: &str = "https://help.example.com/?a=1&b=2";
/// Begins a sign-in for the page that every walk here is for.
const SIGN_IN: &str = "/.vestibule/sign-in?provider=idp&return_to=/private/page";

/// What a page may do beyond showing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Nothing,
    PostItsForm,
    BeFramed,
}

/// A page that a browser was led to, and what it should be.
struct Shown {
    name: &'static str,
    status: u16,
    /// In the log.
    reason: &'static str,
    may: May,
    /// Every address of ours that it leads to.
    ways: &'static [&'static str],
    answer: Response,
}

fn with_pages(config: Config) -> Config {
    config
        .set("/log/format", json!("json"))
        .set("/pages", json!({ "languages": ["en", "de"], "support": SUPPORT }))
}

fn site() -> Site {
    Site::with(|config, upstream| {
        with_pages(config).route(json!({
            "id": "denied", "match": { "path": "/denied" }, "auth": { "session": "idp" },
            "require": [{ "groups": ["nobody"] }], "upstream": upstream.url(),
        }))
    })
}

/// A browser that loses its session each time, until it is stopped.
fn going_round(errand: &Errand) -> Response {
    let browser = Browser::new();
    for _ in 0..8 {
        let challenge = browser.send(errand);
        if challenge.status != 302 {
            return challenge;
        }
        let back = browser.open(challenge.location());
        browser.open(back.location());
        browser.jar().remove(SESSION);
    }
    panic!("the circle should be broken");
}

/// What another browser's callback is answered with, and one's own the second time, when its session is lost.
fn late(site: &Site, language: &str) -> [Response; 2] {
    let browser = Browser::new();
    let callback = site.callback(&browser, "/private/page");
    let back = Errand::typed(&callback).header("Accept-Language", language);
    let of_another = Browser::new().send(&back);
    let cookies = browser.jar().clone();
    browser.send(&back);
    *browser.jar() = cookies;
    [of_another, browser.send(&back)]
}

/// Every page that a site with one provider can be made to show within a minute, to who reads this language.
fn all(site: &Site, language: &str) -> Vec<Shown> {
    let typed = |target: &str| Errand::typed(&site.url(target)).header("Accept-Language", language);
    let ask = |errand: Errand| Browser::new().send(&errand);
    let failed = |fault| {
        site.provider.make(fault);
        let page = Browser::new().walk(typed("/private/page"));
        site.provider.make(Fault::None);
        page.response
    };
    let shown = |name, status, reason, may, ways, answer| Shown { name, status, reason, may, ways, answer };
    let form = Errand::post(&site.url("/private/page"), "a=1", &site.url("/public/form"));
    let [lost, used] = late(site, language);
    let nowhere: &[&str] = &[];
    vec![
        shown("not_found", 404, "not_found", May::Nothing, nowhere, ask(typed("/.vestibule/nothing"))),
        shown("malformed_path", 400, "malformed_path", May::Nothing, nowhere, ask(typed("/a%00b"))),
        shown(
            "bad_request",
            400,
            "state_unknown",
            May::Nothing,
            nowhere,
            ask(typed("/.vestibule/callback?code=x&state=y")),
        ),
        shown(
            "denied",
            403,
            "groups",
            May::Nothing,
            &["/.vestibule/sign-out"],
            site.signed_in().send(&typed("/denied")),
        ),
        shown(
            "sign_in_required, in a frame",
            401,
            "no_session",
            May::BeFramed,
            &[SIGN_IN],
            ask(typed("/private/page").header("Sec-Fetch-Dest", "iframe")),
        ),
        shown(
            "sign_in_required, after a form",
            401,
            "no_session",
            May::Nothing,
            &[SIGN_IN],
            ask(form.header("Accept-Language", language)),
        ),
        shown("login_cookie_lost", 400, "login_cookie_lost", May::Nothing, &[SIGN_IN], lost),
        shown("callback_used_before", 400, "callback_used_before", May::Nothing, &[SIGN_IN], used),
        shown(
            "login_loop",
            400,
            "login_loop",
            May::Nothing,
            &[SIGN_IN],
            going_round(&typed("/private/page")),
        ),
        shown("declined", 403, "login_declined", May::Nothing, &[SIGN_IN], failed(Fault::AccessDenied)),
        shown("mistaken", 502, "provider_error", May::Nothing, &[SIGN_IN], failed(Fault::InvalidScope)),
        shown("rejected", 400, "id_token_nonce", May::Nothing, &[SIGN_IN], failed(Fault::NonceInvalid)),
        shown("unavailable", 503, "provider_status", May::Nothing, nowhere, failed(Fault::Token500)),
        shown(
            "sign_out_page",
            200,
            "sign_out_page",
            May::PostItsForm,
            &["/.vestibule/sign-out?return_to=%2Fpublic"],
            ask(typed("/.vestibule/sign-out?return_to=/public").from("https://elsewhere.test/")),
        ),
        shown("signed_out", 200, "signed_out", May::Nothing, nowhere, ask(typed("/.vestibule/signed-out"))),
    ]
}

/// The addresses of ours that a page leads to, by a link or by a form.
fn ways(page: &str) -> Vec<String> {
    let forms = html::forms(page).into_iter();
    let posted = forms.map(|form| if form.fields.is_empty() { form.action } else { form.address() });
    html::links(page).into_iter().chain(posted).filter(|way| way.contains("/.vestibule/")).collect()
}

/// The policy that allows the style of this page, and beyond it what the page may do.
fn policy(page: &str, may: May) -> String {
    let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next());
    let hash = STANDARD.encode(sha256(style.unwrap_or_default().as_bytes()));
    let rest = match may {
        May::Nothing => "form-action 'none'; frame-ancestors 'none'",
        May::PostItsForm => {
            "form-action 'self' https: http://localhost:* http://127.0.0.1:*; frame-ancestors 'none'"
        }
        May::BeFramed => "form-action 'none'",
    };
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; {rest}")
}

#[track_caller]
fn is_whole(gateway: &Gateway, shown: &Shown, language: &str) {
    let Shown { name, answer, .. } = shown;
    let text = answer.text();
    assert_eq!(answer.status, shown.status, "{name}: {}", answer.everything());
    let referrer = if shown.may == May::PostItsForm { "same-origin" } else { "no-referrer" };
    for (field, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", language),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", referrer),
        ("content-security-policy", policy(&text, shown.may).as_str()),
    ] {
        assert_eq!(answer.fields.all(field), [value], "{name}: {field}");
    }
    let framed = answer.fields.first("x-frame-options");
    assert_eq!(framed, (shown.may != May::BeFramed).then_some("DENY"), "{name}");
    assert_eq!(answer.fields.has("retry-after"), shown.status == 503, "{name}");
    assert!(text.contains(&format!("<html lang=\"{language}\">")), "{name}: {text}");
    assert!(html::links(&text).iter().any(|link| link == SUPPORT), "{name}: {text}");
    assert_eq!(ways(&text), shown.ways, "{name}");
    // The reference that a person reads out is that of the answer, and of a line in the log that says why.
    let id = answer.fields.text("x-request-id");
    assert!(id.len() == 32 && text.contains(&format!("<code>{id}</code>")), "{name}: {id}\n{text}");
    assert_eq!(gateway.reason(answer).1, shown.reason, "{name}");
}

#[rstest]
#[case::german("de-AT,de;q=0.9,en;q=0.5", "de")]
#[case::english("en-GB,de;q=0.1", "en")]
#[case::none_of_ours("nl, fr;q=0.5", "en")]
fn every_page_is_whole_and_in_the_language_of_its_reader(#[case] wishes: &str, #[case] language: &str) {
    let site = site();
    let mut headings = std::collections::BTreeSet::new();
    for shown in all(&site, wishes) {
        is_whole(&site.gateway, &shown, language);
        let text = shown.answer.text();
        let heading = text.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next());
        headings.insert(heading.map(str::to_owned));
    }
    assert!(headings.len() >= 10 && !headings.contains(&None), "{headings:?}");
    assert!(site.upstream.requests_to("/private/page").is_empty());
}

#[test]
fn the_choice_between_providers_is_a_page_like_the_others() {
    let upstream = Upstream::start();
    let (one, two) = (Provider::start(), Provider::start());
    let config = with_pages(Config::new(&one.entry(), &upstream)).set("/providers/partners", two.entry());
    let gateway = Gateway::start(config.route(json!({
        "id": "partners", "match": { "path": "/partners" }, "auth": { "session": "partners" },
        "upstream": upstream.url(),
    })));
    let errand = Errand::typed(&gateway.url("/.vestibule/sign-in?return_to=/public"));
    let ways = &[
        "/.vestibule/sign-in?provider=idp&return_to=/public",
        "/.vestibule/sign-in?provider=partners&return_to=/public",
    ];
    let shown = Shown {
        name: "chooser",
        status: 200,
        reason: "chooser",
        may: May::Nothing,
        ways,
        answer: Browser::new().send(&errand.header("Accept-Language", "de")),
    };
    is_whole(&gateway, &shown, "de");
    assert_eq!(shown.answer.fields.all("set-cookie"), Vec::<&str>::new(), "nothing has begun");
    upstream.saw_nothing();
}

/// Elements that our pages are made of.
const ELEMENTS: [&str; 21] = [
    "!doctype", "html", "head", "meta", "title", "style", "body", "main", "svg", "path", "h1", "p", "a",
    "div", "form", "input", "button", "footer", "code", "ul", "li",
];

/// Asserts that a page has no element and no attribute that isn't ours.
#[track_caller]
fn is_only_ours(answer: &Response, sent: &str) {
    let text = answer.text();
    for tag in text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
        // Without what stands between quotes.
        let bare = tag.split('"').step_by(2).collect::<String>().to_lowercase();
        let name = bare.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        assert!(ELEMENTS.contains(&name), "{sent}: <{tag}>\n{text}");
        assert!(!bare.contains(" on") && !bare.contains('\''), "{sent}: <{tag}>\n{text}");
    }
    let mut led = html::links(&text);
    led.extend(html::forms(&text).into_iter().map(|form| form.action));
    for way in led {
        let ours = way.starts_with('/') && !way.starts_with("//") && !way.starts_with("/\\");
        assert!(ours || way == SUPPORT, "{sent} leads to {way}");
    }
    assert!(!answer.fields.has("x-evil") && !answer.fields.has("refresh"), "{}", answer.everything());
}

#[rstest]
#[case::an_element("<script>alert(1)</script>")]
#[case::an_end_of_an_attribute("\"><img src=x onerror=alert(1)>")]
#[case::another_quote("' onmouseover='alert(1)")]
#[case::an_entity("&#x22;&gt;&lt;script&gt;")]
#[case::a_template("{{ 7*7 }}{% include \"base.html\" %}")]
#[case::a_scheme("javascript:alert(1)")]
#[case::another_origin("//evil.test/")]
#[case::lines("x\r\nX-Evil: 1\r\n\r\n<b>")]
fn what_a_stranger_writes_is_text_on_every_page(#[case] evil: &str) {
    let site = site();
    let encoded: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    let encoded = encoded.replace('+', "%20");
    let begun = Browser::new();
    let callback = Url::parse(&site.callback(&begun, &format!("/private/x?q={encoded}"))).unwrap();
    let with_error = with_parameter(&callback, "code", None);
    let refused = format!("{with_error}&error={encoded}&error_description={encoded}&error_uri={encoded}");
    let framed = |target: &str| Errand::typed(&site.url(target)).header("Sec-Fetch-Dest", "iframe");
    let typed = |target: &str| Errand::typed(&site.url(target));
    let linked = |target: &str| typed(target).from("https://elsewhere.test/");
    let (nobody, somebody) = (Browser::new(), site.signed_in());
    let answers = [
        nobody.send(&linked(&format!("/.vestibule/sign-out?return_to={encoded}"))),
        nobody.send(&linked(&format!("/.vestibule/sign-out?return_to=/{encoded}"))),
        nobody.send(&typed(&format!("/.vestibule/signed-out?state={encoded}"))),
        nobody.send(&typed(&format!("/.vestibule/callback?code={encoded}&state={encoded}"))),
        nobody.send(&typed(&format!("/.vestibule/sign-in?provider={encoded}"))),
        nobody.send(&typed(&format!("/.vestibule/{encoded}"))),
        nobody.send(&framed(&format!("/.vestibule/sign-in?return_to=/{encoded}&login_hint={encoded}"))),
        nobody.send(&framed(&format!("/private/{encoded}?q={encoded}"))),
        nobody.send(&Errand::typed(callback.as_str())),
        begun.send(&Errand::typed(&refused)),
        somebody.send(&typed(&format!("/denied/{encoded}?q={encoded}"))),
    ];
    for answer in &answers {
        assert_eq!(answer.fields.text("content-type"), "text/html; charset=utf-8", "{}", answer.everything());
        is_only_ours(answer, evil);
    }
    site.upstream.saw_nothing();
}
