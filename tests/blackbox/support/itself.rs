//! The fakes tested by themselves: what they can't do, no test of the gateway can rely on.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use url::Url;
use vestibule::clock::Stopwatch;

use super::browser::{ADA, Browser, Errand, GRACE};
use super::emulator::LocalPingOne;
use super::gateway::listens;
use super::jwt;
use super::message::{Ending, pairs, value};
use super::oidc_provider::OidcProvider;
use super::provider::{CLIENT_ID, CLIENT_SECRET, Endpoint, Fault, Provider};
use super::raw::{Closed, Raw, ask, exchange};
use super::upstream::{Behaviour, Upstream};
use super::websocket;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const BACK: &str = "http://127.0.0.1:9/callback";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: up.test\r\n\r\n")
}

#[test]
fn the_upstream_keeps_bytes_and_requests_as_they_came() {
    let upstream = Upstream::start();
    let bytes = "POST /a%2Fb?x=1 HTTP/1.1\r\nHost: up.test\r\nX-One:  two \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: up.test\r\n\r\n";
    let answers = exchange(upstream.port(), bytes);
    assert_eq!(answers.responses.len(), 2);
    assert_eq!(answers.closed, Closed::No);
    assert_eq!(answers.responses[0].json()["target"], "/a%2Fb?x=1");
    let seen = upstream.only("/a%2Fb");
    assert_eq!((seen.header("x-one"), seen.request.body.as_slice()), (Some("two"), b"abc".as_slice()));
    assert_eq!(upstream.only("/next").connection, seen.connection);
    assert_eq!(upstream.bytes(), bytes);
    upstream.forget();
    upstream.saw_nothing();
}

#[test]
fn the_upstream_waits_before_a_slow_first_byte() {
    let upstream = Upstream::start();
    upstream.at("/", Behaviour::SlowFirstByte(Duration::from_millis(300)));
    let since = Stopwatch::start();
    assert_eq!(ask(upstream.port(), &get("/")).status, 200);
    assert!(since.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_response_cut_in_the_middle_is_seen_as_cut() {
    let upstream = Upstream::start();
    upstream.at("/", Behaviour::ResetMidBody);
    assert_eq!(ask(upstream.port(), &get("/")).ending, Ending::Cut);
}

#[test]
fn a_stale_connection_closes_on_its_second_request() {
    let upstream = Upstream::start();
    upstream.at("/", Behaviour::CloseStaleKeepalive);
    let mut raw = Raw::connect(upstream.port());
    assert!(raw.send(get("/")).response().is_some());
    assert!(raw.send(get("/")).response().is_none());
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_half_closed_answer_ends_with_the_connection() {
    let upstream = Upstream::start();
    upstream.at("/", Behaviour::HalfClose);
    let response = ask(upstream.port(), &get("/"));
    assert_eq!((response.text().as_str(), response.ending), ("until close", Ending::Complete));
}

#[test]
fn an_early_413_comes_before_the_body() {
    let upstream = Upstream::start();
    upstream.at("/", Behaviour::Early413);
    let head = "POST / HTTP/1.1\r\nHost: up.test\r\nContent-Length: 100000\r\n\r\n";
    assert_eq!(ask(upstream.port(), head).status, 413);
}

#[test]
fn the_upstream_can_stay_silent() {
    let upstream = Upstream::start();
    upstream.at("/", Behaviour::NeverAnswers);
    let (bytes, closed) = Raw::connect(upstream.port()).send(get("/")).rest();
    assert_eq!((bytes.len(), closed), (0, Closed::No));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn chunks_and_events_come_one_by_one() {
    let upstream = Upstream::start();
    upstream.at("/chunks", Behaviour::StreamsBack);
    upstream.at("/events", Behaviour::ServerSentEvents);
    let mut raw = Raw::connect(upstream.port());
    raw.send("POST /chunks HTTP/1.1\r\nHost: up.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw.send("3\r\none\r\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(raw.bytes(head.len() + 8), [head.as_bytes(), b"3\r\none\r\n"].concat());
    raw.send("0\r\n\r\n");
    assert_eq!(raw.bytes(5), b"0\r\n\r\n");
    assert_eq!(ask(upstream.port(), &get("/events")).text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn the_upstream_speaks_websocket() {
    // The example of RFC 6455 §1.3.
    assert_eq!(websocket::accept(websocket::KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let upstream = Upstream::start();
    upstream.at("/socket", Behaviour::WebsocketEcho);
    let mut raw = Raw::connect(upstream.port());
    let response = raw.send(websocket::request("up.test", "/socket", "")).response().unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.fields.text("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(raw.send(websocket::frame("hello")).bytes(7), websocket::answer("hello"));
}

#[test]
fn a_dropped_fake_lets_go_of_its_port() {
    let upstream = Upstream::start();
    let port = upstream.port();
    assert!(listens(port));
    drop(upstream);
    super::eventually("the port to be closed", || (!listens(port)).then_some(()));
}

/// Signs in by hand, as a client without a fault of its own would.
fn code_flow(provider: &Provider, more: &str) -> (Vec<(String, String)>, serde_json::Value) {
    let challenge = jwt::s256(VERIFIER);
    let url = format!(
        "{}/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={BACK}&scope=openid&state=a-state-of-22-characters&nonce=a-nonce-of-22-characters&code_challenge={challenge}&code_challenge_method=S256{more}",
        provider.issuer()
    );
    let browser = Browser::new();
    let answer = pairs(Url::parse(browser.open(&url).location()).unwrap().query().unwrap());
    let form = format!(
        "grant_type=authorization_code&code={}&redirect_uri={BACK}&code_verifier={VERIFIER}&client_id={CLIENT_ID}&client_secret={}",
        value(&answer, "code"),
        CLIENT_SECRET.replace(' ', "+").replace('=', "%3D"),
    );
    let token =
        browser.send(&Errand::post(&format!("{}/token", provider.issuer()), &form, &provider.issuer()));
    (answer, token.json())
}

fn claims(token: &serde_json::Value) -> serde_json::Value {
    use base64::Engine as _;
    let token = token["id_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

#[test]
fn the_provider_signs_in_a_client_without_fault() {
    let provider = Provider::start();
    provider.claim(&json!({ "groups": ["night"], "name": null }));
    let (answer, token) = code_flow(&provider, "&login_hint=grace");
    assert_eq!(provider.mistakes(), Vec::<String>::new());
    assert_eq!(value(&answer, "state"), "a-state-of-22-characters");
    assert_eq!(value(&answer, "iss"), provider.issuer());
    let claims = claims(&token);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("grace"), &json!(CLIENT_ID)));
    assert_eq!((&claims["groups"], &claims["name"]), (&json!(["night"]), &json!(null)));
    assert_eq!((provider.calls(Endpoint::Authorize), provider.calls(Endpoint::Token)), (1, 1));
}

#[test]
fn the_provider_notices_what_a_client_does_wrong() {
    let provider = Provider::start();
    let url = format!(
        "{}/authorize?response_type=token&client_id=x&redirect_uri={BACK}&state=short",
        provider.issuer()
    );
    Browser::new().open(&url);
    let found = provider.mistakes().join("\n");
    for what in [
        "response_type=\"token\"",
        "client_id=\"x\"",
        "code_challenge_method",
        "state=\"short\"",
        "nonce=\"\"",
        "openid",
    ] {
        assert!(found.contains(what), "{what} isn't in {found}");
    }
}

#[rstest]
#[case::iss(Fault::InvalidIss, "iss")]
#[case::sub(Fault::MissingSub, "sub")]
#[case::aud(Fault::InvalidAud, "aud")]
#[case::no_aud(Fault::MissingAud, "aud")]
#[case::extra_aud(Fault::ExtraAud, "aud")]
#[case::azp(Fault::AzpOther, "azp")]
#[case::iat(Fault::MissingIat, "iat")]
#[case::iat_future(Fault::IatFuture, "iat")]
#[case::exp(Fault::ExpPast, "exp")]
#[case::no_exp(Fault::MissingExp, "exp")]
#[case::nonce(Fault::NonceInvalid, "nonce")]
#[case::no_nonce(Fault::NonceMissing, "nonce")]
#[case::at_hash(Fault::AtHashWrong, "at_hash")]
fn a_claim_fault_changes_its_claim(#[case] fault: Fault, #[case] claim: &str) {
    let provider = Provider::start();
    let (_, right) = code_flow(&provider, "");
    provider.make(fault);
    let (_, wrong) = code_flow(&provider, "");
    let (right, wrong) = (claims(&right), claims(&wrong));
    let kept = |c: &serde_json::Value| (c["sub"].clone(), c["email"].clone());
    let moved = match (right[claim].as_u64(), wrong[claim].as_u64()) {
        (Some(a), Some(b)) => a.abs_diff(b) > 60,
        _ => right[claim] != wrong[claim],
    };
    assert!(moved, "{claim}: {right} and {wrong}");
    assert!(claim == "sub" || kept(&right) == kept(&wrong));
}

#[rstest]
#[case::wrong(Fault::IssParamWrong, "iss", Some("https://issuer.invalid"))]
#[case::missing(Fault::IssParamMissingThoughAdvertised, "iss", None)]
#[case::another_state(Fault::StateWrong, "state", Some("another-state"))]
#[case::no_state(Fault::StateMissing, "state", None)]
#[case::refused(Fault::AccessDenied, "error", Some("access_denied"))]
fn a_response_fault_changes_its_parameter(
    #[case] fault: Fault,
    #[case] parameter: &str,
    #[case] expected: Option<&str>,
) {
    let (answer, _) = code_flow(&Provider::with(fault), "");
    let found = answer.iter().find(|(name, _)| name == parameter).map(|(_, value)| value.as_str());
    assert_eq!(found, expected);
}

#[test]
fn the_certified_provider_signs_in_and_out_without_asking() {
    let origin = "http://127.0.0.1:9";
    let provider = OidcProvider::start(&[origin]);
    let entry = provider.entry();
    let issuer = entry["issuer"].as_str().unwrap();
    assert!(issuer.ends_with("/as"));
    let browser = Browser::new();
    let url = format!(
        "{issuer}/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={origin}/.vestibule/callback&scope=openid+email&state=s&nonce=n&code_challenge={}&code_challenge_method=S256",
        jwt::s256(VERIFIER)
    );
    let mut step = browser.open(&url);
    while !step.location().starts_with(origin) {
        assert!(matches!(step.status, 302 | 303), "{}", step.everything());
        step = browser.open(Url::parse(issuer).unwrap().join(step.location()).unwrap().as_str());
    }
    assert!(step.location().contains("code="));
    let page = browser.visit(&format!("{issuer}/signoff?client_id={CLIENT_ID}"));
    assert!(browser.run_script(&page).unwrap().response.text().contains("signed out"));
}

#[test]
fn the_browser_fills_in_a_sign_on_page() {
    let upstream = Upstream::start();
    let page = r#"<form method="post" action="/in?x=1&amp;y=2"><input type="hidden" name="flow" value="7"><input name="username"><input name="password" type="password"></form>"#;
    let length = page.len();
    let bytes = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: p=1; Path=/\r\nContent-Length: {length}\r\n\r\n{page}"
    );
    upstream.at("/", Behaviour::Says(bytes.into_bytes()));
    let landed = Browser::new().sign_in(&upstream.url(), ADA);
    assert_eq!(landed.target(), "/in?x=1&y=2");
    let seen = upstream.only("/in");
    assert_eq!(pairs(&String::from_utf8_lossy(&seen.request.body)).len(), 3);
    assert_eq!(value(&seen.request.form(), "password"), ADA.password);
    assert_eq!((seen.header("cookie"), seen.header("sec-fetch-site")), (Some("p=1"), Some("same-origin")));
}

#[test]
fn the_local_pingone_asks_for_a_password_and_leads_back() {
    let pingone = LocalPingOne::start();
    let entry = pingone.entry();
    // Where it leads back to: an upstream of ours, since a browser goes there.
    let back = Upstream::start();
    let url = format!(
        "{}/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={}/callback&scope=openid&state=s&nonce=n&code_challenge={}&code_challenge_method=S256",
        entry["issuer"].as_str().unwrap(),
        back.url(),
        jwt::s256(VERIFIER)
    );
    let page = Browser::new().sign_in(&url, GRACE);
    assert_eq!(page.status(), 200, "{}", page.response.everything());
    let answer = back.only("/callback").request.query();
    assert_eq!(value(&answer, "state"), "s");
    assert!(!value(&answer, "code").is_empty());
}
