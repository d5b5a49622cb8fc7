//! Signing off: `/as/signoff` in the browser, `/as/idpSignoff` from server to server, and the stub of
//! `/as/checksession`.

use http::StatusCode;
use url::form_urlencoded;

use super::addresses::Shape;
use super::answer::{self, Answer, PlatformError};
use super::client::{Client, IdpSignoff};
use super::endpoint::Inbound;
use super::environment::Environment;
use super::html::Page;
use super::sessions::clear_cookies;

/// What a sign-off request says wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum SignoffError {
    #[error("The id_token_hint was not issued here to an application of this environment")]
    Hint,
    #[error("The id_token_hint belongs to another application than client_id")]
    AnotherClient,
    #[error("The id_token_hint belongs to another user than the session")]
    AnotherUser,
    #[error("The client_id is unknown in this environment")]
    UnknownClient,
    #[error("The post_logout_redirect_uri is not registered for the application")]
    RedirectUri,
    #[error("The application may not sign users off by ID token alone")]
    NotAllowed,
}

/// An ID token that was issued here, expired or not.
struct Hint<'e> {
    client: &'e Client,
    sub: String,
    sid: String,
}

/// Ends the browser's session
/// ([OpenID Connect RP-Initiated Logout 1.0](https://openid.net/specs/openid-connect-rpinitiated-1_0.html)).
pub(super) fn signoff(environment: &Environment, inbound: &Inbound) -> Answer {
    let next = match check(environment, inbound) {
        Ok(next) => next,
        Err(error) => {
            let page = Page::refusal("You could not be signed off", &error.to_string(), "INVALID_REQUEST");
            return answer::page(StatusCode::BAD_REQUEST, &page);
        }
    };
    let now = environment.now();
    // A browser may have a session for each set of addresses.
    while let Some(session) = environment.sessions.of(&inbound.headers, now) {
        environment.sessions.end(&session);
    }
    let answer = match next {
        Some(location) => answer::redirect(&location),
        None => answer::page(
            StatusCode::OK,
            &Page::notice("Signed off", "You are signed off. You can close this window."),
        ),
    };
    answer::with_cookies(answer, &clear_cookies(environment.addresses.cookie_path(inbound.shape)))
}

/// Where the browser goes, or why it stays signed on.
fn check(environment: &Environment, inbound: &Inbound) -> Result<Option<String>, SignoffError> {
    let parameters = &inbound.parameters;
    let hint =
        parameters.get("id_token_hint").map(|jwt| Hint::read(environment, inbound.shape, jwt)).transpose()?;
    let named = match parameters.get("client_id") {
        Some(id) => Some(environment.client(id).ok_or(SignoffError::UnknownClient)?),
        None => None,
    };
    if let (Some(hint), Some(named)) = (&hint, named)
        && hint.client.id != named.id
    {
        return Err(SignoffError::AnotherClient);
    }
    let session = environment.sessions.of(&inbound.headers, environment.now());
    if let (Some(hint), Some(session)) = (&hint, session)
        && hint.sub != session.sub
    {
        return Err(SignoffError::AnotherUser);
    }
    let Some(uri) = parameters.get("post_logout_redirect_uri") else { return Ok(None) };
    let client = named.or(hint.map(|hint| hint.client)).ok_or(SignoffError::RedirectUri)?;
    if !client.post_logout_redirect_uris.allow(uri) {
        return Err(SignoffError::RedirectUri);
    }
    Ok(Some(match parameters.get("state") {
        Some(state) => {
            let separator = if uri.contains('?') { '&' } else { '?' };
            let state = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
            format!("{uri}{separator}{state}")
        }
        None => uri.to_owned(),
    }))
}

/// Ends the session that an ID token names, without the browser. Whether it still lived isn't told.
pub(super) fn idp_signoff(environment: &Environment, inbound: &Inbound) -> Answer {
    let hint = inbound.parameters.get("id_token_hint").ok_or(SignoffError::Hint);
    let hint = hint.and_then(|jwt| Hint::read(environment, inbound.shape, jwt)).and_then(|hint| {
        let allowed = hint.client.idp_signoff == IdpSignoff::Enabled;
        if allowed { Ok(hint) } else { Err(SignoffError::NotAllowed) }
    });
    match hint {
        Ok(hint) => {
            if let Some(session) = environment.sessions.by_sid(&hint.sid, environment.now()) {
                environment.sessions.end(&session);
            }
            answer::empty(StatusCode::NO_CONTENT)
        }
        Err(error) => PlatformError::invalid("id_token_hint", error.to_string()).answer(),
    }
}

/// The frame of OpenID Connect Session Management, which says nothing here: no `session_state` is given.
pub(super) fn check_session() -> Answer {
    answer::page(StatusCode::OK, &Page::notice("Session", "Session management is not emulated."))
}

impl<'e> Hint<'e> {
    /// Signature, issuer and audience hold; the expiry doesn't matter
    /// ([RP-Initiated Logout 1.0 §4](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#ValidationAndErrorHandling)).
    /// The issuer is the one of the addresses in use, as PingOne demands.
    fn read(environment: &'e Environment, shape: Shape, jwt: &str) -> Result<Self, SignoffError> {
        let claims = environment.keys.verify(jwt).ok_or(SignoffError::Hint)?;
        let text =
            |name: &str| claims.get(name).and_then(serde_json::Value::as_str).ok_or(SignoffError::Hint);
        if text("iss")? != environment.addresses.issuer(shape) {
            return Err(SignoffError::Hint);
        }
        let client = environment.client(text("aud")?).ok_or(SignoffError::Hint)?;
        Ok(Self { client, sub: text("sub")?.to_owned(), sid: text("sid")?.to_owned() })
    }
}
