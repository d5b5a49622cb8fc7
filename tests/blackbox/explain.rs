//! `vestibule explain`: what it tells, and that it is what happens.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::json;

use crate::support::config::Config;
use crate::support::gateway::PROGRAM;
use crate::support::provider::{Endpoint, Provider};
use crate::support::site::Site;
use crate::support::upstream::Upstream;

const CONFIG: &str = "\
origins: [https://app.example.com, https://other.example.com]
listeners: [{ address: 127.0.0.1:4180 }]
trusted_proxies: [10.0.0.0/8]
providers:
  main: { issuer: https://idp.example.com, client_id: app, client_secret: { env: SECRET } }
routes:
  - { id: public, match: { path: /public }, auth: public, upstream: http://127.0.0.1:3000 }
  - { id: probe, match: { path: /healthz, exact: true, any_host: true }, auth: public, upstream: http://127.0.0.1:3000 }
  - id: pay
    match: { path: /pay, methods: [GET, POST] }
    auth: { session: main }
    require: [{ groups: [finance, hr] }, { domains: [example.com] }]
    upstream: http://127.0.0.1:3001
  - { id: rest, auth: { session: main }, upstream: http://127.0.0.1:3000 }
";

const KIM: &str =
    r#"{ "sub": "4711", "groups": ["finance"], "email": "kim@example.com", "email_verified": true }"#;

/// Runs it with this on standard input.
pub(crate) fn run(file: &str, arguments: &[&str], claims: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(["explain", "-c", file])
        .args(arguments)
        .env("SECRET", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever asks for nothing to be read doesn't read.
    let _ = child.stdin.take().unwrap().write_all(claims.as_bytes());
    child.wait_with_output().unwrap()
}

fn explain(arguments: &[&str], claims: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.yaml");
    std::fs::write(&file, CONFIG).unwrap();
    run(file.to_str().unwrap(), arguments, claims)
}

#[track_caller]
fn told(arguments: &[&str], claims: &str) -> String {
    let output = explain(arguments, claims);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tells_what_an_anonymous_request_meets() {
    assert_snapshot!(told(&["GET", "https://app.example.com/pay/x?y=1"], ""));
}

#[test]
fn tells_which_rule_fails() {
    let claims =
        r#"{ "sub": "4712", "groups": ["hr"], "email": "joe@elsewhere.test", "email_verified": true }"#;
    assert_snapshot!(told(&["GET", "https://app.example.com/pay", "--claims", "-"], claims));
}

#[test]
fn tells_what_the_upstream_sees_of_a_request_that_passes() {
    let arguments = [
        "POST",
        "https://app.example.com/pay?y=1",
        "--claims",
        "-",
        "-H",
        "Cookie: theme=dark; __Host-vestibule-login-x=1",
        "-H",
        "X-Forwarded-User: mallory",
        "-H",
        "X_Forwarded_Email: mallory",
        "-H",
        "Authorization: Bearer x",
        "--from",
        "203.0.113.7",
    ];
    assert_snapshot!(told(&arguments, KIM));
}

#[test]
fn tells_how_else_a_path_could_be_read() {
    assert_snapshot!(told(&["GET", "https://app.example.com/public;x=1/%2561/..;/"], ""));
    assert_snapshot!(told(&["GET", "https://app.example.com/Pay;x=1//%2561", "--anonymous"], ""));
}

/// Routes of every kind.
const ROUTES: &str = "  - { id: other, match: { host: other.example.com, path: /only, exact: true }, auth: public, upstream: http://127.0.0.1:3001 }
  - { id: stripped, match: { path: /api }, auth: public, upstream: { servers: [\"http://127.0.0.1:3002\"], strip_prefix: /api } }
  - { id: maybe, match: { path: /maybe }, auth: { session: main, required: false }, upstream: http://127.0.0.1:3003 }
  - { id: calls, match: { path: /calls }, auth: public, upstream: { servers: [\"http://127.0.0.1:3004\"], protocol: h2c } }
  - id: edited
    match: { path: /edited }
    auth: public
    request_headers: { set: { X-Env: prod }, remove: [X-Debug] }
    upstream: http://127.0.0.1:3005
";

#[rstest]
#[case::by_host("https://other.example.com/only", &[
    "route      other: /only alone, host other.example.com", "auth       public: nobody is asked",
    "upstream   http://127.0.0.1:3001", "host: other.example.com",
])]
#[case::no_prefix_of_the_exact("https://other.example.com/only/x", &["route      rest: / and below"])]
#[case::stripped("https://app.example.com/api/x?y=1", &[
    "route      stripped: /api and below", "upstream   http://127.0.0.1:3002", "GET /x?y=1", "x-forwarded-prefix: /api",
])]
#[case::optional("https://app.example.com/maybe", &[
    "auth       a session of main, if there is one", "identity   nobody", "answer     forwarded",
])]
#[case::http2("https://app.example.com/calls", &["upstream   http://127.0.0.1:3004, HTTP/2"])]
#[case::edited("https://app.example.com/edited", &["upstream   http://127.0.0.1:3005", "x-env: prod"])]
fn tells_which_route_and_what_it_changes(#[case] url: &str, #[case] parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.yaml");
    std::fs::write(&file, CONFIG.replace("routes:\n", &format!("routes:\n{ROUTES}"))).unwrap();
    let output = run(file.to_str().unwrap(), &["GET", url, "-H", "X-Debug: seen-by-nobody"], "");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!url.ends_with("/edited") || !text.contains("seen-by-nobody"), "{text}");
}

#[test]
fn tells_of_what_no_route_decides() {
    for (name, method, url) in [
        ("own_endpoint", "GET", "https://app.example.com/.vestibule/sign-in"),
        ("another_host", "GET", "https://nowhere.example.com/"),
        ("probe", "GET", "https://nowhere.example.com/healthz"),
        ("method", "DELETE", "https://app.example.com/pay"),
        ("no_TLS_from_elsewhere", "GET", "http://app.example.com/public"),
    ] {
        let from = if url.starts_with("http:") { "203.0.113.7" } else { "10.0.0.1" };
        assert_snapshot!(name, told(&[method, url, "--from", from], ""));
    }
}

#[rstest]
#[case::not_whole(&["GET", "app.example.com/x"], "write it as a browser has it")]
#[case::another_scheme(&["GET", "ftp://app.example.com/x"], "write it as a browser has it")]
#[case::a_blank(&["GET", "https://app.example.com/a b"], "%20")]
#[case::no_host(&["GET", "https:///x"], "not a host")]
#[case::no_header(&["GET", "https://app.example.com/", "-H", "nonsense"], "write 'Name: value'")]
#[case::a_header_with_a_line_break(&["GET", "https://app.example.com/", "-H", "A: b\r\nC: d"], "write 'Name: value'")]
#[case::no_file(&["GET", "https://app.example.com/", "--claims", "/nowhere"], "/nowhere")]
#[case::no_claims(&["GET", "https://app.example.com/", "--claims", "-"], "one JSON object")]
#[case::two_people(&["GET", "https://app.example.com/", "--claims", "-", "--anonymous"], "--anonymous")]
fn wrong_usage_is_told_with_what_to_write(#[case] arguments: &[&str], #[case] said: &str) {
    let output = explain(arguments, "[]");
    let everything = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{everything}");
    assert!(everything.contains(said), "{everything}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_faulty_configuration_is_told_as_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.yaml");
    std::fs::write(&file, CONFIG.replace("auth: public", "auht: public")).unwrap();
    let output = run(file.to_str().unwrap(), &["GET", "https://app.example.com/"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("auht"));
}

/// The lines under `upstream`, without what is another one each time.
fn explained_head(text: &str) -> Vec<String> {
    let head = text.lines().skip_while(|line| !line.starts_with("upstream")).skip(1);
    let mut lines: Vec<_> = head.map(|line| line.trim().to_ascii_lowercase()).collect();
    lines.retain(|line| !line.starts_with("x-request-id"));
    lines.sort();
    lines
}

#[rstest]
#[case::plain("GET /a/b?c=d", &[])]
#[case::public("GET /public/x", &["X-Forwarded-User: mallory", "Accept-Language: en"])]
#[case::cookies("GET /a", &["Cookie: theme=dark; a=b", "Accept: text/html"])]
#[case::nominated("GET /a", &["Connection: x-mine, keep-alive", "X-Mine: 1", "X-Other: 2"])]
#[case::forwarded("DELETE /a", &["X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4"])]
#[case::credentials("GET /a", &["Authorization: Basic eDp5", "Proxy-Authorization: Basic eDp5", "TE: trailers"])]
fn what_is_explained_is_what_the_upstream_gets(#[case] line: &str, #[case] headers: &[&str]) {
    let site = Site::start();
    let browser = site.signed_in();
    let session = site.session_line(&browser);
    let more: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    assert_eq!(site.gateway.ask(line, &format!("{more}{session}")).status, 200);
    let (method, target) = line.split_once(' ').unwrap();
    let seen = site.upstream.last(target.split('?').next().unwrap());
    let mut got: Vec<_> =
        seen.request.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    got.push(format!("{method} {}", seen.request.target));
    let mut got: Vec<_> = got.into_iter().map(|line| line.to_ascii_lowercase()).collect();
    got.retain(|line| !line.starts_with("x-request-id"));
    got.sort();

    let claims = json!({
        "sub": "ada", "email": "ada@example.com", "preferred_username": "ada", "groups": ["staff", "finance"],
    });
    let url = site.url(target);
    let mut arguments = vec![method, &url, "--claims", "-"];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
    let output = run(&site.gateway.file(), &arguments, &claims.to_string());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(explained_head(&text), got, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nothing_is_sent_anywhere() {
    let (provider, upstream) = (Provider::start(), Upstream::start());
    let config = Config::new(&provider.entry(), &upstream);
    let (file, origin) = (config.write(), config.origin().to_owned());
    for target in ["/a", "/public/x", "/.vestibule/sign-in", "/.vestibule/callback?code=x&state=y"] {
        let output = run(file.to_str().unwrap(), &["GET", &format!("{origin}{target}")], "");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Authorize, Endpoint::Token] {
        assert_eq!(provider.calls(endpoint), 0);
    }
    upstream.saw_nothing();
}
