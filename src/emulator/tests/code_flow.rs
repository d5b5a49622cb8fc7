//! The code flow, in both sets of addresses.

use http::StatusCode;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use openidconnect::core::{CoreIdTokenVerifier, CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Nonce};
use rstest::rstest;
use serde_json::json;

use super::browser::{Application, Browser, CALLBACK};
use super::*;

type IdToken = openidconnect::core::CoreIdToken;

#[rstest]
#[case::environment(Emulator::issuer, "/5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835")]
#[case::custom_domain(Emulator::custom_domain_issuer, "/")]
#[tokio::test]
async fn a_user_signs_on_stays_signed_on_and_signs_off(
    #[case] issuer: fn(&Emulator) -> String,
    #[case] cookie_path: &str,
) {
    let emulator = Emulator::start(Options::demo(), Arc::new(SystemClock)).unwrap();
    let application = Application::at(issuer(&emulator));
    let mut browser = Browser::new();

    // A client of another hand takes the document and the keys.
    let document = application.document(".well-known/openid-configuration").await;
    let metadata: CoreProviderMetadata = serde_json::from_value(document).unwrap();
    assert_eq!(metadata.issuer().as_str(), application.issuer);
    let jwks: CoreJsonWebKeySet = serde_json::from_value(application.document("jwks").await).unwrap();
    assert_eq!(jwks.keys().len(), 2);

    // Without a session: the page, which knows the hint and tells nothing of who exists.
    let page = browser.get(application.authorize(&[("login_hint", "ada")])).await;
    assert_eq!(page.status, StatusCode::FOUND);
    let flow = page.parameter("flowId").unwrap();
    let page = page.location();
    let shown = browser.get(&page).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(shown.body.contains("value=\"ada\"") && shown.body.contains("Vestibule demo"));
    let credentials =
        |username, password| [("flowId", flow.as_str()), ("username", username), ("password", password)];
    let wrong = browser.post(&page, &credentials("ada", "wrong")).await;
    let unknown = browser.post(&page, &credentials("eve", "wrong")).await;
    assert_eq!((wrong.status, unknown.status), (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST));
    assert!(wrong.body.contains("incorrect"));
    assert_eq!(wrong.body.replace("\"ada\"", "\"eve\""), unknown.body);
    assert_eq!(browser.cookie("ST"), None);

    let accepted = browser.post(&page, &credentials("ada", "lovelace-1843")).await;
    for cookie in accepted.headers.get_all(SET_COOKIE) {
        let expected = format!("; Path={cookie_path}; Max-Age=2592000; HttpOnly; SameSite=Lax");
        assert!(cookie.to_str().unwrap().ends_with(&expected), "{cookie:?}");
    }
    assert_eq!(browser.cookie("ST"), browser.cookie("ST-NO-SS"));

    // The flow ends in that browser only, and once.
    let resume = accepted.location();
    let stolen = Browser::new().get(&resume).await;
    assert_eq!(stolen.status, StatusCode::BAD_REQUEST);
    assert_eq!(stolen.json()["code"], "INVALID_DATA");
    let back = browser.get(&resume).await;
    assert!(back.location().as_str().starts_with(CALLBACK));
    assert_eq!(back.parameter("state").as_deref(), Some("st a&te"));
    assert_eq!(browser.get(&resume).await.status, StatusCode::NOT_FOUND);

    let answer = application.redeem(&back.parameter("code").unwrap()).await;
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["scope"], "openid profile email");
    let verifier = CoreIdTokenVerifier::new_confidential_client(
        ClientId::new(Options::DEMO_CLIENT_ID.to_owned()),
        ClientSecret::new(Options::DEMO_CLIENT_SECRET.to_owned()),
        IssuerUrl::new(application.issuer.clone()).unwrap(),
        jwks,
    );
    let id_token: IdToken = tokens["id_token"].as_str().unwrap().parse().unwrap();
    let claims = id_token.claims(&verifier, &Nonce::new("n-0S6_WzA2Mj".to_owned())).unwrap();
    assert_eq!(claims.subject().as_str(), User::ada().sub);
    assert_eq!(claims.auth_context_ref().map(|acr| acr.as_str()), Some("Single_Factor"));
    assert_eq!(claims.email_verified(), Some(true));

    let access_token = tokens["access_token"].as_str().unwrap();
    let userinfo = application.userinfo(access_token).await.json();
    assert_eq!(userinfo["sub"], User::ada().sub);
    assert_eq!(userinfo["name"], "Ada Lovelace");
    assert_eq!(userinfo["groups"], json!(["staff", "finance"]));
    let introspected = application.post("introspect", &[("token", access_token)]).await.json();
    assert_eq!(introspected["active"], true);
    assert_eq!(introspected["iss"], application.issuer);

    // The second time nobody is asked.
    let silent = browser.get(application.authorize(&[("prompt", "none")])).await;
    assert!(silent.parameter("code").is_some());

    // Signing off ends the session, and the refresh token with it.
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let refreshed = application.refresh(refresh_token).await.json();
    let signoff = format!(
        "{}/signoff?id_token_hint={}&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fbye&state=s",
        application.issuer,
        tokens["id_token"].as_str().unwrap()
    );
    let off = browser.get(&signoff).await;
    assert_eq!(off.location().as_str(), "http://localhost:9/bye?state=s");
    assert_eq!(browser.cookie("ST"), None);
    let dead = application.refresh(refreshed["refresh_token"].as_str().unwrap()).await;
    assert_eq!(dead.json()["error"], "invalid_grant");
    let asked = browser.get(application.authorize(&[("prompt", "none")])).await;
    assert_eq!(asked.parameter("error").as_deref(), Some("login_required"));

    let requests = emulator.requests();
    assert_eq!((requests.discovery, requests.jwks, requests.userinfo), (1, 1, 1));
    assert_eq!((requests.token, requests.introspect, requests.signoff), (3, 1, 1));
    assert_eq!((requests.authorize, requests.sign_on, requests.resume), (3, 4, 3));
}

#[tokio::test]
async fn a_posted_request_gets_a_posted_answer() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let request: url::Url = application.authorize(&[("response_mode", "form_post")]).parse().unwrap();
    let pairs: Vec<(String, String)> = request.query_pairs().into_owned().collect();
    let form: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = browser.post(format!("{}/authorize", application.issuer), &form).await.location();
    let flow = page.query_pairs().next().unwrap().1.into_owned();
    let form = [("flowId", flow.as_str()), ("username", "grace"), ("password", "hopper-1952")];
    let resume = browser.post(page, &form).await.location();
    let answer = browser.get(resume).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains(&format!("<form method=\"post\" action=\"{CALLBACK}\">")), "{answer:?}");
    assert!(answer.body.contains("name=\"state\" value=\"st a&amp;te\""));
    let (_, code) = answer.body.split_once("name=\"code\" value=\"").unwrap();
    let (code, _) = code.split_once('"').unwrap();
    assert_eq!(application.redeem(code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_pushed_request_is_used_once() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let request: url::Url = application.authorize(&[]).parse().unwrap();
    let pairs: Vec<(String, String)> = request.query_pairs().into_owned().collect();
    let form: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let pushed = application.post("par", &form).await;
    assert_eq!(pushed.status, StatusCode::CREATED);
    assert_eq!(pushed.json()["expires_in"], 60);
    let request_uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    assert!(request_uri.starts_with("urn:ietf:params:oauth:request_uri:"));

    let authorize = format!(
        "{}/authorize?client_id={}&request_uri={request_uri}",
        application.issuer,
        Options::DEMO_CLIENT_ID
    );
    let back = browser.sign_on(&authorize, "ada", "lovelace-1843").await;
    assert_eq!(back.parameter("state").as_deref(), Some("st a&te"));
    assert_eq!(application.redeem(&back.parameter("code").unwrap()).await.status, StatusCode::OK);
    let again = browser.get(&authorize).await;
    assert!(again.parameter("error").unwrap().contains("used before"));
}

#[tokio::test]
async fn a_session_too_old_for_the_request_is_renewed_and_keeps_its_sid() {
    let (emulator, clock) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let sid = |tokens: &serde_json::Value| {
        let claims = emulator.environment.keys.verify(tokens["id_token"].as_str().unwrap()).unwrap();
        (claims["sid"].clone(), claims["auth_time"].as_u64().unwrap())
    };
    let first = sid(&application.tokens(&mut browser, &[]).await);
    clock.advance(Duration::from_secs(61));
    let quiet = browser.get(application.authorize(&[("prompt", "none"), ("max_age", "60")])).await;
    assert_eq!(quiet.parameter("error").as_deref(), Some("login_required"));
    let second = sid(&application.tokens(&mut browser, &[("max_age", "60")]).await);
    assert_eq!(second, (first.0, first.1 + 61));
}

#[tokio::test]
async fn a_flow_waits_fifteen_minutes_for_the_next_step() {
    let (emulator, clock) = started(Options::demo());
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let page = browser.get(application.authorize(&[])).await.location();
    clock.advance(Duration::from_mins(14));
    assert_eq!(browser.get(&page).await.status, StatusCode::OK);
    clock.advance(Duration::from_mins(14));
    assert_eq!(browser.get(&page).await.status, StatusCode::OK);
    clock.advance(Duration::from_mins(15));
    assert_eq!(browser.get(&page).await.status, StatusCode::NOT_FOUND);
}
