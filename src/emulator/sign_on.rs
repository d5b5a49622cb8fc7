//! `/signon/`: the hosted page that asks for name and password.

use http::StatusCode;

use super::answer::{self, Answer};
use super::endpoint::Inbound;
use super::environment::Environment;
use super::flows::Flow;
use super::html::{Page, SignOnForm};
use super::sessions::issue_cookies;
use super::user::User;

/// The same for an unknown name and a wrong password: the page is no oracle for names.
const WRONG: &str = "The username or password you entered is incorrect.";

/// Shows the form of a flow, or an error of `/as/authorize`.
pub(super) fn show(environment: &Environment, inbound: &Inbound) -> Answer {
    if let Some(error) = inbound.parameters.get("error") {
        return show_error(error);
    }
    let Some(flow) = find(environment, inbound) else { return expired() };
    let username = flow.request.login_hint.as_deref().unwrap_or_default();
    form(environment, inbound, &flow, username, None)
}

/// Checks what was typed and goes on to `/as/resume`.
pub(super) fn check(environment: &Environment, inbound: &Inbound) -> Answer {
    let Some(flow) = find(environment, inbound) else { return expired() };
    let username = inbound.parameters.get("username").unwrap_or_default();
    let password = inbound.parameters.get("password").unwrap_or_default();
    let Some(user) = User::check(&environment.options.users, username, password) else {
        return form(environment, inbound, &flow, username, Some(WRONG));
    };
    let now = environment.now();
    // A form that is sent twice stays in the session that its first copy began.
    let begun = flow.completed_by().and_then(|st| environment.sessions.by_st(&st, now));
    let previous = begun.or_else(|| environment.sessions.of(&inbound.headers, now));
    let session = environment.sessions.sign_on(previous, &user.sub, &flow.request.policy, now);
    flow.complete(&session.st);

    let addresses = &environment.addresses;
    let resume = format!("{}/as/resume?flowId={}", addresses.base(inbound.shape), flow.id);
    let cookies = issue_cookies(&session.st, addresses.cookie_path(inbound.shape));
    answer::with_cookies(answer::redirect(&resume), &cookies)
}

fn find(environment: &Environment, inbound: &Inbound) -> Option<std::sync::Arc<Flow>> {
    environment.flows.find(inbound.parameters.get("flowId")?, environment.now())
}

fn form(
    environment: &Environment,
    inbound: &Inbound,
    flow: &Flow,
    username: &str,
    problem: Option<&str>,
) -> Answer {
    let page = Page::sign_on(&SignOnForm {
        application: &flow.request.application,
        action: &format!("{}/signon/", environment.addresses.base(inbound.shape)),
        flow_id: &flow.id,
        username,
        problem,
    });
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    answer::page(status, &page)
}

fn expired() -> Answer {
    let text = "It took too long, or it was finished before. Go back to the application and start again.";
    answer::page(StatusCode::NOT_FOUND, &Page::refusal("This sign-on is over", text, "NOT_FOUND"))
}

/// Shows `{code, message}`; whatever else the address carries is never shown.
fn show_error(error: &str) -> Answer {
    let error: serde_json::Value = serde_json::from_str(error).unwrap_or_default();
    let text = |name: &str| error.get(name).and_then(serde_json::Value::as_str).unwrap_or("unknown");
    let page = Page::refusal("The application can't sign you on", text("message"), text("code"));
    answer::page(StatusCode::BAD_REQUEST, &page)
}
