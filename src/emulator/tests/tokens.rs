//! What codes, tokens and keys are good for, and for how long.

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use rstest::rstest;
use serde_json::Value;

use super::browser::{Application, Browser, CALLBACK, VERIFIER};
use super::*;

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The demo with another demo application.
fn demo(change: impl FnOnce(&mut Client)) -> Options {
    let mut options = Options::demo();
    change(&mut options.clients[0]);
    options
}

async fn code(application: &Application) -> String {
    let request = application.authorize(&[]);
    let back = Browser::new().sign_on(&request, "ada", "lovelace-1843").await;
    back.parameter("code").unwrap()
}

#[rstest]
#[case::another_verifier(CALLBACK, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX")]
#[case::no_verifier(CALLBACK, "")]
#[case::another_redirect_uri("http://127.0.0.1:9/other", VERIFIER)]
#[case::no_redirect_uri("", VERIFIER)]
#[tokio::test]
async fn a_code_needs_its_proofs(#[case] redirect_uri: &str, #[case] verifier: &str) {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let code = code(&application).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    let refused = application.post("token", &form).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"], "invalid_grant");
    // It stays spent.
    assert_eq!(application.redeem(&code).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_code_redeemed_twice_revokes_what_it_gave() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let code = code(&application).await;
    let tokens = application.redeem(&code).await.json();
    assert_eq!(application.redeem(&code).await.json()["error"], "invalid_grant");
    assert_eq!(application.refresh(text(&tokens, "refresh_token")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(application.userinfo(text(&tokens, "access_token")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_expires() {
    let (emulator, clock) = started(Options::demo());
    let application = Application::of(&emulator);
    let code = code(&application).await;
    clock.advance(Duration::from_mins(1));
    assert_eq!(application.redeem(&code).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_replay_after_the_grace_period_kills_the_line() {
    let (emulator, clock) = started(demo(|client| client.refresh.grace_period = Duration::from_secs(10)));
    let application = Application::of(&emulator);
    let first = application.tokens(&mut Browser::new(), &[]).await;
    let second = application.refresh(text(&first, "refresh_token")).await.json();
    assert_ne!(text(&first, "refresh_token"), text(&second, "refresh_token"));
    let claims = emulator.environment.keys.verify(text(&second, "id_token")).unwrap();
    assert!(!claims.contains_key("nonce"));

    clock.advance(Duration::from_secs(9));
    assert_eq!(application.refresh(text(&first, "refresh_token")).await.status, StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    assert_eq!(application.refresh(text(&first, "refresh_token")).await.json()["error"], "invalid_grant");
    assert_eq!(application.refresh(text(&second, "refresh_token")).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn without_replay_protection_only_the_replay_fails() {
    let (emulator, _) = started(demo(|client| client.refresh.replay_protection = ReplayProtection::Off));
    let application = Application::of(&emulator);
    let first = application.tokens(&mut Browser::new(), &[]).await;
    let second = application.refresh(text(&first, "refresh_token")).await.json();
    assert_eq!(application.refresh(text(&first, "refresh_token")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(application.refresh(text(&second, "refresh_token")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_never_widen_it() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let tokens = application.tokens(&mut Browser::new(), &[("scope", "openid email")]).await;
    let refresh = |token: String, scope: &'static str| {
        let application = &application;
        async move {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", scope)];
            application.post("token", &form).await.json()
        }
    };
    let token = text(&tokens, "refresh_token").to_owned();
    assert_eq!(refresh(token.clone(), "openid profile").await["error"], "invalid_scope");
    let narrowed = refresh(token, "openid").await;
    assert_eq!(narrowed["scope"], "openid");
    // RFC 6749 §6: the new refresh token has the scope of the old.
    let widened = refresh(text(&narrowed, "refresh_token").to_owned(), "openid email").await;
    assert_eq!(widened["scope"], "openid email");
}

#[rstest]
#[case::granted_and_asked(OfflineAccess::Granted, "openid offline_access", true)]
#[case::granted_and_not_asked(OfflineAccess::Granted, "openid", false)]
#[case::not_granted(OfflineAccess::NotGranted, "openid", true)]
#[tokio::test]
async fn offline_access_decides_whether_a_refresh_token_comes(
    #[case] offline_access: OfflineAccess,
    #[case] scope: &str,
    #[case] comes: bool,
) {
    let (emulator, _) = started(demo(|client| client.offline_access = offline_access));
    let tokens = Application::of(&emulator).tokens(&mut Browser::new(), &[("scope", scope)]).await;
    assert_eq!(tokens.get("refresh_token").is_some(), comes);
}

#[tokio::test]
async fn the_wrong_method_is_refused_in_pingones_words() {
    let (emulator, _) = started(Options::demo());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", Options::DEMO_CLIENT_ID),
        ("client_secret", Options::DEMO_CLIENT_SECRET),
    ];
    let refused = Application::of(&emulator).post_openly("token", &form).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json()["error"], "invalid_client");
    let description = text(&refused.json(), "error_description").to_owned();
    let correlation = refused.headers["correlation-id"].to_str().unwrap();
    assert_eq!(
        description,
        format!("Request denied: Unsupported authentication method (Correlation ID: {correlation})")
    );
}

#[tokio::test]
async fn a_client_on_its_own_behalf_gets_no_user_and_no_refresh_token() {
    let (emulator, _) = started(Options::demo());
    let application = Application::of(&emulator);
    let tokens = application.post("token", &[("grant_type", "client_credentials")]).await.json();
    assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none());
    let refused = application.userinfo(text(&tokens, "access_token")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers[WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
    let openid = [("grant_type", "client_credentials"), ("scope", "openid")];
    assert_eq!(application.post("token", &openid).await.json()["error"], "invalid_scope");
}

#[tokio::test]
async fn only_tokens_of_custom_resources_are_revoked() {
    let orders = Resource {
        id: "orders".to_owned(),
        secret: "orders-secret".into(),
        audience: "orders-api".to_owned(),
        scopes: vec!["orders:read".to_owned()],
    };
    let (emulator, _) = started(Options { resources: vec![orders], ..Options::demo() });
    let application = Application::of(&emulator);
    let mut browser = Browser::new();
    let plain = application.tokens(&mut browser, &[]).await;
    let custom = [("scope", "openid orders:read"), ("prompt", "login")];
    let custom = application.tokens(&mut browser, &custom).await;
    for tokens in [&plain, &custom] {
        for kind in ["access_token", "refresh_token"] {
            let seen = application.post("revoke", &[("token", text(tokens, kind))]).await;
            assert_eq!(seen.status, StatusCode::OK);
        }
    }
    let active = |credentials: (&'static str, &'static str), token: String| {
        let application = &application;
        async move {
            let seen = application.post_as(credentials, "introspect", &[("token", &token)]).await;
            seen.json()["active"].as_bool().unwrap()
        }
    };
    let demo = (Options::DEMO_CLIENT_ID, Options::DEMO_CLIENT_SECRET);
    assert!(active(demo, text(&plain, "access_token").to_owned()).await);
    assert!(active(demo, text(&plain, "refresh_token").to_owned()).await);
    assert!(!active(demo, text(&custom, "access_token").to_owned()).await);
    assert!(!active(demo, text(&custom, "refresh_token").to_owned()).await);

    // A resource sees the tokens that are for it, and no others.
    let fresh = [("scope", "openid orders:read"), ("prompt", "login")];
    let fresh = application.tokens(&mut browser, &fresh).await;
    let resource = ("orders", "orders-secret");
    assert!(active(resource, text(&fresh, "access_token").to_owned()).await);
    assert!(!active(resource, text(&fresh, "refresh_token").to_owned()).await);
    assert!(!active(resource, text(&plain, "access_token").to_owned()).await);
}

#[tokio::test]
async fn an_access_token_expires() {
    let (emulator, clock) = started(Options::demo());
    let application = Application::of(&emulator);
    let tokens = application.tokens(&mut Browser::new(), &[]).await;
    clock.advance(Duration::from_hours(1));
    assert_eq!(application.userinfo(text(&tokens, "access_token")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn keys_rotate_and_are_withdrawn() {
    let (emulator, _) = started(Options { signing_kid: Some("default".to_owned()), ..Options::demo() });
    let application = Application::of(&emulator);
    let kids = |jwks: &Value| -> Vec<String> {
        jwks["keys"].as_array().unwrap().iter().map(|key| text(key, "kid").to_owned()).collect()
    };
    let before = kids(&application.document("jwks").await);
    assert!(before.contains(&"default".to_owned()));
    emulator.rotate_signing_key();
    let rotated = kids(&application.document("jwks").await);
    assert!(before.iter().all(|kid| rotated.contains(kid)) && rotated.len() == before.len() + 1);
    emulator.withdraw_old_keys();
    let after = kids(&application.document("jwks").await);
    assert!(!after.contains(&"default".to_owned()) && after.len() == before.len());
}
