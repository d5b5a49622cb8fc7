//! What each endpoint answers.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fault::Fault;
use super::id_token::id_token;
use super::{CLIENT_ID, CLIENT_SECRET, Endpoint, Grant, Shared, State, lock, mishap};
use crate::support::jwt;
use crate::support::message::{Request, value};

type Pairs = Vec<(String, String)>;

/// Where the endpoints are of a provider that has them at unusual paths.
const ELSEWHERE: &str = "/tenants/7f";

/// The endpoint that a request is for.
pub(super) fn endpoint(request: &Request, fault: Fault) -> Option<Endpoint> {
    let path = request.path();
    Some(match path.strip_prefix(if fault == Fault::EndpointsElsewhere { ELSEWHERE } else { "" }) {
        Some("/jwks") => Endpoint::Jwks,
        Some("/authorize") => Endpoint::Authorize,
        Some("/token") => Endpoint::Token,
        Some("/userinfo") => Endpoint::Userinfo,
        Some("/end-session") => Endpoint::EndSession,
        _ if matches!(path, "/.well-known/openid-configuration" | "/elsewhere") => Endpoint::Discovery,
        _ if path == "/planted" => Endpoint::Planted,
        _ => return None,
    })
}

/// The bytes of an answer; none when the connection is to be closed instead.
pub(super) fn answer(request: &Request, shared: &Shared) -> Option<Vec<u8>> {
    let mut state = lock(shared);
    let Some(endpoint) = endpoint(request, state.fault) else {
        return Some(reply(404, "text/plain", "no such endpoint", ""));
    };
    *state.counts.entry(endpoint).or_default() += 1;
    if let Some(repeated) = mishap::beforehand(request, endpoint, &mut state) {
        return Some(repeated);
    }
    if state.fault == Fault::Down || (state.fault == Fault::DiscoveryDown && endpoint == Endpoint::Discovery)
    {
        return None;
    }
    if state.fault == Fault::TokenSlow && endpoint == Endpoint::Token {
        drop(state);
        thread::sleep(Duration::from_secs(6));
        return None;
    }
    if state.fault == Fault::TokenAfterAPause && endpoint == Endpoint::Token {
        drop(state);
        thread::sleep(Duration::from_millis(700));
        state = lock(shared);
    }
    Some(match endpoint {
        Endpoint::Discovery => discovery(request, &state),
        Endpoint::Jwks => jwks(&state),
        Endpoint::Authorize => authorize(request, &mut state),
        Endpoint::Token => token(request, &mut state),
        Endpoint::Userinfo => userinfo(request, &state),
        Endpoint::EndSession => end_session(request, &mut state),
        Endpoint::Planted => json_reply(&json!({ "keys": [jwt::Key::second().jwk("planted")] })),
    })
}

fn discovery(request: &Request, state: &State) -> Vec<u8> {
    let base = if state.fault == Fault::EndpointsElsewhere { ELSEWHERE } else { "" };
    let at = |path: &str| format!("{}{base}{path}", state.issuer);
    let issuer = match state.fault {
        Fault::DiscoveryIssuerMismatch => "https://issuer.invalid".to_owned(),
        Fault::DiscoveryIssuerSlash => at("/"),
        _ => state.issuer.clone(),
    };
    match state.fault {
        Fault::DiscoveryRedirect if request.path() != "/elsewhere" => {
            return reply(302, "text/plain", "", &format!("Location: {}\r\n", at("/elsewhere")));
        }
        Fault::DiscoveryHtml => return reply(200, "text/html", "<html>It works!</html>", ""),
        _ => {}
    }
    let advertised =
        !matches!(state.fault, Fault::IssParamWrongUnadvertised | Fault::IssParamAbsentUnadvertised);
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "end_session_endpoint": at("/end-session"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "RS512", "HS256", "none"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": ["openid", "profile", "email"],
        "authorization_response_iss_parameter_supported": advertised,
    });
    if state.fault == Fault::DiscoveryHuge {
        metadata["padding"] = Value::from("x".repeat(2 << 20));
    }
    if state.fault == Fault::NoEndSession {
        metadata.as_object_mut().map(|members| members.shift_remove("end_session_endpoint"));
    }
    json_reply(&metadata)
}

fn jwks(state: &State) -> Vec<u8> {
    match state.fault {
        Fault::JwksHtml => reply(200, "text/html", "<html>It works!</html>", ""),
        Fault::Jwks500 => reply(500, "text/plain", "no keys today", ""),
        _ => json_reply(&json!({ "keys": state.published })),
    }
}

/// Signs in at once, as `login_hint` or `ada`, and leads back.
fn authorize(request: &Request, state: &mut State) -> Vec<u8> {
    let asked = request.query();
    for (name, expected) in
        [("response_type", "code"), ("client_id", CLIENT_ID), ("code_challenge_method", "S256")]
    {
        if value(&asked, name) != expected {
            state.mistakes.push(format!("authorization request with {name}={:?}", value(&asked, name)));
        }
    }
    for (name, least) in [("state", 22), ("nonce", 22), ("code_challenge", 43), ("redirect_uri", 1)] {
        if value(&asked, name).len() < least {
            state.mistakes.push(format!("authorization request with {name}={:?}", value(&asked, name)));
        }
        if asked.iter().filter(|(n, _)| n == name).count() > 1 {
            state.mistakes.push(format!("authorization request with two {name}"));
        }
    }
    if !value(&asked, "scope").split(' ').any(|scope| scope == "openid") {
        state.mistakes.push("authorization request without the scope openid".to_owned());
    }
    let subject = Some(value(&asked, "login_hint")).filter(|hint| !hint.is_empty()).unwrap_or("ada");
    state.issued += 1;
    let code = format!("code-{}-{}", state.issued, jwt::s256(&format!("{}{}", state.issuer, state.issued)));
    let grant = Grant {
        subject: subject.to_owned(),
        nonce: value(&asked, "nonce").to_owned(),
        code_challenge: value(&asked, "code_challenge").to_owned(),
        redirect_uri: value(&asked, "redirect_uri").to_owned(),
    };
    let back = grant.redirect_uri.clone();
    state.codes.insert(code.clone(), grant);
    state.secrets.push(code.clone());
    let answer = authorization_response(state, &code, value(&asked, "state"));
    let form_post =
        (value(&asked, "response_mode") == "form_post") != (state.fault == Fault::OtherResponseMode);
    state.authorization_requests.push(asked);
    if form_post { form_page(&back, &answer) } else { redirect(&back, &answer) }
}

fn authorization_response(state: &State, code: &str, asked_state: &str) -> Pairs {
    let mut answer: Vec<(&str, String)> = match state.fault {
        Fault::AccessDenied | Fault::IssParamWrongOnError => {
            vec![("error", "access_denied".to_owned()), ("error_description", "<b>no</b>".to_owned())]
        }
        Fault::LoginRequired => vec![("error", "login_required".to_owned())],
        Fault::InvalidScope => vec![("error", "invalid_scope".to_owned())],
        Fault::TemporarilyUnavailable => vec![("error", "temporarily_unavailable".to_owned())],
        Fault::CodeAndError => {
            vec![("code", code.to_owned()), ("error", "access_denied".to_owned())]
        }
        Fault::CodeMissing => Vec::new(),
        _ => vec![("code", code.to_owned())],
    };
    match state.fault {
        Fault::StateWrong => answer.push(("state", "another-state".to_owned())),
        Fault::StateMissing => {}
        _ => answer.push(("state", asked_state.to_owned())),
    }
    let issuer = state.issuer.clone();
    match state.fault {
        Fault::IssParamWrong | Fault::IssParamWrongUnadvertised | Fault::IssParamWrongOnError => {
            answer.push(("iss", "https://issuer.invalid".to_owned()));
        }
        Fault::IssParamMissingThoughAdvertised | Fault::IssParamAbsentUnadvertised => {}
        Fault::IssParamEmpty => answer.push(("iss", String::new())),
        Fault::IssParamTrailingSlash => answer.push(("iss", issuer + "/")),
        Fault::IssParamTwice => {
            answer.push(("iss", issuer.clone()));
            answer.push(("iss", issuer));
        }
        _ => answer.push(("iss", issuer)),
    }
    answer.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn redirect(back: &str, answer: &Pairs) -> Vec<u8> {
    let Ok(mut url) = url::Url::parse(back) else { return reply(400, "text/plain", "bad redirect_uri", "") };
    if !answer.is_empty() {
        url.query_pairs_mut().extend_pairs(answer);
    }
    reply(302, "text/plain", "", &format!("Location: {url}\r\n"))
}

fn form_page(back: &str, answer: &Pairs) -> Vec<u8> {
    let input = |(name, value): &(String, String)| {
        let value = value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        format!(r#"<input type="hidden" name="{name}" value="{value}">"#)
    };
    let inputs: String = answer.iter().map(input).collect();
    let page = format!(
        r#"<body onload="document.forms[0].submit()"><form method="post" action="{back}">{inputs}</form></body>"#
    );
    reply(200, "text/html", &page, "")
}

fn token(request: &Request, state: &mut State) -> Vec<u8> {
    let form = request.form();
    if let Some(mistake) = client_mistake(request, &form, state.fault) {
        state.mistakes.push(mistake);
        return error_reply(401, "invalid_client");
    }
    match state.fault {
        Fault::Token500 => return reply(500, "text/plain", "out of order", ""),
        Fault::TokenHtml => return reply(200, "text/html", "<html>It works!</html>", ""),
        _ => {}
    }
    let Some(grant) = state.codes.remove(value(&form, "code")) else {
        return error_reply(400, "invalid_grant");
    };
    for (what, found, expected) in [
        ("grant_type", value(&form, "grant_type").to_owned(), "authorization_code"),
        ("redirect_uri", value(&form, "redirect_uri").to_owned(), &grant.redirect_uri),
        ("code_verifier", jwt::s256(value(&form, "code_verifier")), &grant.code_challenge),
    ] {
        if found != expected && !(what == "code_verifier" && state.fault == Fault::PkceIgnored) {
            state.mistakes.push(format!("token request with another {what}"));
            return error_reply(400, "invalid_grant");
        }
    }
    // RFC 7636 §4.1.
    let verifier = value(&form, "code_verifier");
    if !(43..=128).contains(&verifier.len()) {
        state.mistakes.push(format!("token request with a code_verifier of {} characters", verifier.len()));
    }
    let access_token = format!("access-{}", jwt::s256(value(&form, "code")));
    state.tokens.insert(access_token.clone(), grant.subject.clone());
    let id_token = id_token(state, &grant, &access_token);
    let refresh_token = format!("refresh-{}", jwt::s256(&access_token));
    state.secrets.extend([
        access_token.clone(),
        refresh_token.clone(),
        id_token.clone(),
        verifier.to_owned(),
    ]);
    let token_type = match state.fault {
        Fault::TokenTypeOddCase => "bEARER",
        Fault::TokenTypeOther => "mac",
        _ => "Bearer",
    };
    let mut answer = json!({
        "access_token": access_token, "token_type": token_type, "expires_in": 300, "id_token": id_token,
        "refresh_token": refresh_token,
    });
    if state.fault == Fault::NoExpiresIn {
        answer.as_object_mut().map(|a| a.shift_remove("expires_in"));
    }
    if state.fault == Fault::TokenMissingIdToken {
        answer.as_object_mut().map(|a| a.shift_remove("id_token"));
    }
    if state.fault == Fault::TokenTruncated {
        let text = answer.to_string();
        return reply(200, "application/json", text.get(..text.len() / 2).unwrap_or_default(), "");
    }
    json_reply(&answer)
}

/// What is wrong with how the client proves itself; by header or body, not both.
fn client_mistake(request: &Request, form: &Pairs, fault: Fault) -> Option<String> {
    if request.method != "POST" {
        return Some(format!("token request by {}", request.method));
    }
    let header = request.fields.text("authorization");
    if (fault == Fault::BasicOnly && header.is_empty()) || (fault == Fault::PostOnly && !header.is_empty()) {
        return Some("client credentials where they aren't taken".to_owned());
    }
    if header.is_empty() {
        let sent = (value(form, "client_id"), value(form, "client_secret"));
        return (sent != (CLIENT_ID, CLIENT_SECRET))
            .then(|| "wrong client credentials in the body".to_owned());
    }
    if !value(form, "client_secret").is_empty() {
        return Some("client credentials in header and body".to_owned());
    }
    // RFC 6749 §2.3.1: each half is form-urlencoded before Basic.
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let decoded = STANDARD.decode(header.strip_prefix("Basic ").unwrap_or_default()).unwrap_or_default();
    let text = String::from_utf8_lossy(&decoded).replace("%20", "+");
    let expected = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    (text != expected).then(|| "wrong client credentials in the header".to_owned())
}

fn userinfo(request: &Request, state: &State) -> Vec<u8> {
    let token = request.fields.text("authorization").strip_prefix("Bearer ").unwrap_or_default();
    if state.fault == Fault::UserinfoBearerBodyOnly {
        return error_reply(401, "invalid_token");
    }
    let Some(subject) = state.tokens.get(token) else { return error_reply(401, "invalid_token") };
    if state.fault == Fault::UserinfoFails {
        return reply(500, "text/plain", "out of order", "");
    }
    let mut claims = state.claims.clone();
    let subject = if state.fault == Fault::UserinfoInvalidSub { "mallory" } else { subject };
    claims.insert("sub".to_owned(), json!(subject));
    if state.fault == Fault::UserinfoMissingSub {
        claims.shift_remove("sub");
    }
    match state.fault {
        Fault::UserinfoList => json_reply(&json!([claims])),
        _ => json_reply(&Value::Object(claims)),
    }
}

fn end_session(request: &Request, state: &mut State) -> Vec<u8> {
    let asked = if request.method == "POST" { request.form() } else { request.query() };
    let back = value(&asked, "post_logout_redirect_uri").to_owned();
    let pass = match state.fault {
        Fault::EndSessionNoState => Vec::new(),
        Fault::EndSessionOtherState => vec![("state".to_owned(), "another-state".to_owned())],
        _ => vec![("state".to_owned(), value(&asked, "state").to_owned())],
    };
    state.sign_outs.push(asked);
    if back.is_empty() { reply(200, "text/html", "signed out", "") } else { redirect(&back, &pass) }
}

fn error_reply(status: u16, error: &str) -> Vec<u8> {
    reply(status, "application/json", &json!({ "error": error }).to_string(), "")
}

fn json_reply(value: &Value) -> Vec<u8> {
    reply(200, "application/json", &value.to_string(), "Cache-Control: no-store\r\n")
}

fn reply(status: u16, content_type: &str, body: &str, more: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )
    .into_bytes()
}
