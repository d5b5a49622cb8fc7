//! Refusals, sign-off and what isn't emulated.

use http::StatusCode;
use http::header::ALLOW;
use rstest::rstest;

use super::browser::{Application, Browser};
use super::*;

#[rstest]
#[case::unknown_client("client_id", "2b1e9f04-aaaa-4bbb-8ccc-1234567890ab", "unknown in this environment")]
#[case::foreign_redirect("redirect_uri", "https://evil.example/cb", "not registered")]
#[case::foreign_request_uri("request_uri", "https://evil.example/request.jwt", "must come from")]
#[tokio::test]
async fn what_is_not_trusted_ends_on_our_own_page(
    #[case] name: &str,
    #[case] value: &str,
    #[case] says: &str,
) {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let refused = browser.get(application.authorize(&[(name, value)])).await;
    assert_eq!(refused.status, StatusCode::FOUND);
    let signon = application.issuer.replace("/as", "/signon/");
    assert!(refused.location().as_str().starts_with(&signon));
    let error: serde_json::Value = serde_json::from_str(&refused.parameter("error").unwrap()).unwrap();
    assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    let page = browser.get(refused.location()).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.body.contains(says));
}

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let request = application.authorize(&[]) + "&client_id=other";
    let refused = Browser::new().get(&request).await;
    assert!(refused.parameter("error").unwrap().contains("client_id"));
    let form = [("grant_type", "client_credentials"), ("grant_type", "client_credentials")];
    let refused = application.post("token", &form).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (StatusCode::BAD_REQUEST, &"invalid_request".into())
    );
}

#[tokio::test]
async fn pi_flow_is_refused_by_name() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let refused = Browser::new().get(application.authorize(&[("response_mode", "pi.flow")])).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let detail = &refused.json()["details"][0];
    assert_eq!(detail["target"], "response_mode");
    assert!(detail["message"].as_str().unwrap().contains("not supported"));
}

#[rstest]
#[case::outside("/", StatusCode::NOT_FOUND)]
#[case::unknown("/as/device_authorization", StatusCode::NOT_FOUND)]
#[case::another_environment("/00000000-0000-4000-8000-000000000000/as/jwks", StatusCode::NOT_FOUND)]
#[case::wrong_method("/as/token", StatusCode::METHOD_NOT_ALLOWED)]
#[tokio::test]
async fn knows_its_paths_and_methods(#[case] path: &str, #[case] expected: StatusCode) {
    let (emulator, _) = started(Options::demo());
    let seen = Browser::new().get(format!("http://{}{path}", emulator.address())).await;
    assert_eq!(seen.status, expected);
    let allowed = seen.headers.get(ALLOW).map(|value| value.to_str().unwrap());
    assert_eq!(allowed, (expected == StatusCode::METHOD_NOT_ALLOWED).then_some("POST"));
}

#[tokio::test]
async fn a_form_has_a_bound() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let long = "x".repeat(64 * 1024);
    let refused = application.post("token", &[("grant_type", &long)]).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[rstest]
#[case::another_uri("post_logout_redirect_uri", "https://evil.example/")]
#[case::another_client("client_id", "other")]
#[case::no_hint_of_ours("id_token_hint", "e30.e30.e30")]
#[tokio::test]
async fn a_faulty_signoff_changes_nothing(#[case] name: &str, #[case] value: &str) {
    let mut options = Options::demo();
    options.clients.push(Client::public("other"));
    let (emulator, _) = started(options);
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let tokens = application.tokens(&mut browser, &[]).await;
    let usual = [
        ("id_token_hint", tokens["id_token"].as_str().unwrap()),
        ("client_id", Options::DEMO_CLIENT_ID),
        ("post_logout_redirect_uri", "http://localhost:9/bye"),
    ];
    let form = usual.map(|(own, usual)| if own == name { (own, value) } else { (own, usual) });
    let signoff = format!("{}/signoff", application.issuer);
    assert_eq!(browser.post(&signoff, &form).await.status, StatusCode::BAD_REQUEST);
    assert!(browser.get(application.authorize(&[])).await.parameter("code").is_some());
    assert_eq!(browser.post(&signoff, &usual).await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn signing_off_with_a_hint_of_the_other_addresses_is_refused() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let tokens = application.tokens(&mut browser, &[]).await;
    let form = [("id_token_hint", tokens["id_token"].as_str().unwrap())];
    let custom = format!("{}/signoff", emulator.custom_domain_issuer());
    assert_eq!(browser.post(custom, &form).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn signing_off_without_a_word_shows_a_page() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    application.tokens(&mut browser, &[]).await;
    let page = browser.get(format!("{}/signoff", application.issuer)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Signed off"));
    assert_eq!(browser.cookie("ST"), None);
}

#[rstest]
#[case::allowed(IdpSignoff::Enabled, StatusCode::NO_CONTENT, false)]
#[case::not_allowed(IdpSignoff::Disabled, StatusCode::BAD_REQUEST, true)]
#[tokio::test]
async fn a_server_signs_off_by_id_token(
    #[case] idp_signoff: IdpSignoff,
    #[case] status: StatusCode,
    #[case] lives: bool,
) {
    let mut options = Options::demo();
    options.clients[0].idp_signoff = idp_signoff;
    let (emulator, _) = started(options);
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let tokens = application.tokens(&mut browser, &[]).await;
    let id_token = tokens["id_token"].as_str().unwrap();
    let request = format!("{}/idpSignoff?id_token_hint={id_token}", application.issuer);
    assert_eq!(Browser::new().get(request).await.status, status);
    assert_eq!(browser.get(application.authorize(&[])).await.parameter("code").is_some(), lives);
}
