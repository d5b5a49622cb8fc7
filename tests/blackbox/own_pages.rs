//! Pages of one's own in the place of ours: taken as they are at the start, or refused before anybody sees one.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use serde_json::json;
use vestibule::seal::sha256;

use crate::support::browser::{Browser, Errand};
use crate::support::config::Config;
use crate::support::gateway::PROGRAM;
use crate::support::message::Response;
use crate::support::provider::entry;
use crate::support::site::Site;
use crate::support::upstream::Upstream;

const ERROR: &str = "{% extends \"base.html\" %}{% block content %}\
    <p class=\"ours\">Call 555: {{ reason }}, {{ status }}, {{ words.sign_out }}</p>{% endblock %}";
const STYLE: &str = "body { color: teal }";

fn write(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).unwrap();
}

/// A page in German, as the browser wishes.
fn german(site: &Site, target: &str) -> Response {
    Browser::new().send(&Errand::typed(&site.url(target)).header("Accept-Language", "de"))
}

#[track_caller]
fn allows(answer: &Response, style: &str) {
    let text = answer.text();
    assert!(text.contains(&format!("<style>{style}</style>")), "{text}");
    let hash = STANDARD.encode(sha256(style.as_bytes()));
    let policy = answer.fields.text("content-security-policy");
    assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{policy}");
}

#[test]
fn templates_of_ones_own_are_shown_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "error.html", ERROR);
    write(folder.path(), "style.css", STYLE);
    let site = Site::with(|config, _| {
        config.set("/pages", json!({ "directory": folder.path(), "languages": ["en", "de"] }))
    });
    let missing = german(&site, "/.vestibule/nothing");
    assert_eq!(missing.status, 404);
    let text = missing.text();
    assert!(text.contains("<p class=\"ours\">Call 555: not_found, 404, Abmelden</p>"), "{text}");
    assert!(text.contains("Hier ist nichts"), "the frame is still ours: {text}");
    assert!(text.contains(missing.fields.text("x-request-id")), "{text}");
    allows(&missing, STYLE);
    let signed_out = german(&site, "/.vestibule/signed-out");
    assert!(signed_out.text().contains("Sie sind abgemeldet"), "{}", signed_out.text());
    allows(&signed_out, STYLE);
    // A program gets what it always gets.
    let problem = site.gateway.ask("GET /.vestibule/nothing", "Accept: application/json\r\n");
    assert_eq!(problem.json()["type"], "tag:vestibule,2026:not_found", "{}", problem.text());

    // What is written later is for the next start.
    write(folder.path(), "error.html", "{{ broken");
    write(folder.path(), "style.css", "body { color: red }");
    let later = german(&site, "/.vestibule/nothing");
    assert!(later.text().contains("Call 555: not_found, 404, Abmelden"), "{}", later.text());
    allows(&later, STYLE);
}

#[rstest]
#[case::it_has_no_end("error.html", "<p>\n{% if sign_out %}", "error.html, line 2: ")]
#[case::a_value_of_another_page(
    "error.html",
    "<p>\n\n{{ choices }}",
    "error.html, line 3: `choices` is undefined"
)]
#[case::in_one_case_of_two(
    "sign_in_failed.html",
    "{% if code %}{{ cod }}{% endif %}",
    "sign_in_failed.html, line 1: "
)]
#[case::a_word_that_nobody_wrote("sign_out.html", "{{ words.logout }}", "sign_out.html, line 1: ")]
#[case::a_file_from_elsewhere("base.html", "{% include \"/etc/passwd\" %}", "base.html, line 1: ")]
#[case::a_page_that_never_ends(
    "base.html",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "base.html, line 1: "
)]
#[case::a_style_that_ends_itself(
    "style.css",
    "a{}</style><script>x</script>",
    "style.css has `</style` in it"
)]
#[case::a_style_that_is_not_allowed(
    "signed_out.html",
    "<style>a{}</style>",
    "signed_out.html: write {{ style|safe }}"
)]
#[case::no_page_of_ours("eror.html", "", "error.html")]
fn a_template_that_could_fail_is_refused_at_the_start(
    #[case] name: &str,
    #[case] source: &str,
    #[case] told: &str,
    #[values("check", "run")] command: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, source);
    let config = Config::new(&entry("http://127.0.0.1:9"), &Upstream::start())
        .set("/pages", json!({ "directory": folder.path() }));
    let output = Command::new(PROGRAM).args([command, "-c"]).arg(config.write()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["vestibule.yaml:", "pages.directory", told] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_refused_at_the_start() {
    let config = Config::new(&entry("http://127.0.0.1:9"), &Upstream::start())
        .set("/pages", json!({ "directory": "/nowhere/pages" }));
    let output = Command::new(PROGRAM).args(["run", "-c"]).arg(config.write()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("/nowhere/pages"), "{said}");
}
