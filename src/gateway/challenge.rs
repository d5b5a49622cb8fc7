//! The one place that turns a failure into HTTP: failure and kind of client → the right answer.

use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::client_kind::ClientKind;
use super::{Answer, Gateway, Inbound, Outcome};
use crate::login::SignIn;
use crate::login::attempt::Previous;
use crate::login::return_to::ReturnTo;
use crate::login::start::{self, Wish};
use crate::pages::{self, Asked, Page, Problem, problem_json};
use crate::reply::{OwedCookies, Reply};
use crate::route::{ChallengeStyle, Route};
use crate::session::cookie::pairs;
use crate::telemetry::RequestId;
use crate::telemetry::labels::{Decision, LoginOutcome, Refusal};

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// What `grpc-message` holds as it is: visible ASCII and blanks but `%`
/// ([PROTOCOL-HTTP2, Responses](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses)).
const GRPC_MESSAGE_ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// More cookies of ours than any browser has unless somebody made them up.
const CLEARED_AT_MOST: usize = 32;

impl Gateway {
    /// A request that isn't served, whoever asks.
    pub(super) fn refuse(&self, inbound: &Inbound<'_>, problem: Problem) -> Outcome {
        Outcome::Reply(Box::new(self.refuse_at_edge(inbound.parts, inbound.request_id, problem)))
    }

    /// The same for the edge, which refuses before there is an [`Inbound`].
    #[must_use]
    pub fn refuse_at_edge(&self, parts: &Parts, request_id: &RequestId, problem: Problem) -> Answer {
        self.metrics.refused(Refusal::of_reason(problem.reason()));
        let decision = if problem.status().is_server_error() { Decision::Failed } else { Decision::Refused };
        let mut reply = self.problem(parts, request_id, problem);
        if problem == Problem::HeadTooLarge {
            reply = reply.cookies(self.clear_own_cookies(parts));
        }
        Answer { reply, decision, route: None }
    }

    /// Takes all our cookies from a browser whose requests have become too large to be read: it
    /// would never get better by itself.
    fn clear_own_cookies(&self, parts: &Parts) -> OwedCookies {
        let sign_ins = || self.origins.iter().flat_map(|origin| &origin.sign_ins);
        let clearing = |(name, _): (&str, &str)| {
            // Providers have the names of login cookies in common. What is cleared as a cookie that crosses
            // sites is cleared wherever the answer is read.
            let owners = sign_ins().filter(|sign_in| sign_in.owns_cookie(name));
            Some(owners.max_by_key(|sign_in| sign_in.is_answered_across_sites())?.clear_cookie(name))
        };
        let mut owed = OwedCookies::none();
        for cookie in pairs(&parts.headers).filter_map(clearing).take(CLEARED_AT_MOST) {
            owed.owe(&cookie);
        }
        owed
    }

    /// A failure after the decision, on the way to or from the upstream.
    #[must_use]
    pub fn failed(
        &self,
        parts: &Parts,
        request_id: &RequestId,
        problem: Problem,
        reason: &'static str,
    ) -> Answer {
        let mut reply = self.problem(parts, request_id, problem);
        reply.reason = reason;
        Answer { reply, decision: Decision::Failed, route: None }
    }

    pub(super) fn method_not_allowed(&self, inbound: &Inbound<'_>, allow: &[Method]) -> Outcome {
        let mut answer = self.refuse_at_edge(inbound.parts, inbound.request_id, Problem::MethodNotAllowed);
        let allow = allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(allow) = HeaderValue::from_str(&allow) {
            answer.reply.headers.insert(ALLOW, allow);
        }
        Outcome::Reply(Box::new(answer))
    }

    /// Nobody can say who is asking: 503, never anonymous, never a login loop.
    pub(super) fn unknowable(&self, inbound: &Inbound<'_>, route: Option<&Arc<Route>>) -> Outcome {
        let reply = self.problem(inbound.parts, inbound.request_id, Problem::Unavailable);
        Outcome::Reply(Box::new(Answer { reply, decision: Decision::Failed, route: route.cloned() }))
    }

    /// Somebody is signed in and may not pass, or can't be told to the upstream.
    pub(super) fn deny(
        &self,
        inbound: &Inbound<'_>,
        route: &Arc<Route>,
        problem: Problem,
        reason: &'static str,
    ) -> Outcome {
        let mut reply = self.problem(inbound.parts, inbound.request_id, problem);
        reply.reason = reason;
        let decision = if problem.status().is_server_error() { Decision::Failed } else { Decision::Denied };
        Outcome::Reply(Box::new(Answer { reply, decision, route: Some(Arc::clone(route)) }))
    }

    /// Nobody is signed in: by the design's table.
    pub(super) fn challenge(
        &self,
        inbound: &Inbound<'_>,
        sign_in: &Arc<SignIn>,
        route: &Arc<Route>,
        why: &'static str,
        previous: Option<Previous>,
    ) -> Outcome {
        let kind = ClientKind::of(&inbound.parts.method, &inbound.parts.headers);
        let redirect = match route.challenge {
            ChallengeStyle::Auto => kind == ClientKind::Navigation,
            // Nothing that can't sign in there gets a login cookie, whatever the style.
            ChallengeStyle::Redirect => {
                inbound.parts.method == Method::GET
                    && matches!(kind, ClientKind::Navigation | ClientKind::Program)
                    && !inbound.parts.headers.contains_key(UPGRADE)
            }
            ChallengeStyle::Unauthorized => false,
        };
        let mut reply = if redirect {
            self.redirect_to_sign_in(inbound, sign_in, route, previous)
        } else {
            self.sign_in_required(inbound, sign_in, kind)
        };
        if reply.reason == Problem::SignInRequired.reason() || reply.status == StatusCode::FOUND {
            reply.reason = why;
        }
        let decision = if reply.status.is_server_error() { Decision::Failed } else { Decision::Challenged };
        Outcome::Reply(Box::new(Answer { reply, decision, route: Some(Arc::clone(route)) }))
    }

    /// 302 to the provider; through our own sign-in where starting needs a call to the provider.
    fn redirect_to_sign_in(
        &self,
        inbound: &Inbound<'_>,
        sign_in: &Arc<SignIn>,
        route: &Route,
        previous: Option<Previous>,
    ) -> Reply {
        let return_to = self.return_to_this(inbound, sign_in);
        let Some(metadata) = sign_in.provider.metadata() else {
            let address = self
                .pages
                .sign_in_address(pages::SignIn::of(Some(&sign_in.scope.provider), Some(return_to.as_str())));
            let location = HeaderValue::from_str(&address).unwrap_or(HeaderValue::from_static("/"));
            return Reply::redirect(StatusCode::FOUND, location, "sign_in");
        };
        let wish = Wish { return_to, login_hint: None, prompt: None, previous, authorize: &route.authorize };
        let (headers, now) = (&inbound.parts.headers, self.clock.now());
        match start::start(sign_in, &metadata, &self.keyring, headers, &wish, now) {
            Ok(started) => {
                self.metrics.login(LoginOutcome::Started);
                Reply::redirect(StatusCode::FOUND, started.location, "sign_in").cookies(started.cookies)
            }
            Err(_) => self.going_round(inbound, sign_in, &wish.return_to),
        }
    }

    /// The loop guard's page.
    pub(super) fn going_round(&self, inbound: &Inbound<'_>, sign_in: &SignIn, return_to: &ReturnTo) -> Reply {
        self.metrics.login(LoginOutcome::Loop);
        let offer = pages::SignIn::of(Some(&sign_in.scope.provider), Some(return_to.as_str()));
        self.show(inbound, &Page::LoginLoop(offer))
    }

    fn sign_in_required(&self, inbound: &Inbound<'_>, sign_in: &SignIn, kind: ClientKind) -> Reply {
        let return_to = self.return_to_this(inbound, sign_in);
        let provider = Some(&sign_in.scope.provider);
        match kind {
            ClientKind::Head => Reply::empty(StatusCode::UNAUTHORIZED, Problem::SignInRequired.reason()),
            ClientKind::Grpc => self.problem(inbound.parts, inbound.request_id, Problem::SignInRequired),
            ClientKind::FrameOrPrefetch | ClientKind::Navigation => {
                let offer = pages::SignIn::of(provider, Some(return_to.as_str()));
                self.show(inbound, &Page::SignInRequired(Asked::InFrame, offer))
            }
            ClientKind::NavigationByOtherMethod => {
                let offer = pages::SignIn::of(provider, Some(return_to.as_str()));
                self.show(inbound, &Page::SignInRequired(Asked::WithBody, offer))
            }
            ClientKind::Program => {
                // What a program asked for is no page: where to return is for the application to say.
                let path = self.pages.sign_in_address(pages::SignIn::of(provider, None));
                let address = format!("{}{path}", sign_in.scope.origin);
                problem_json(Problem::SignInRequired, inbound.request_id, Some(&address))
            }
        }
    }

    /// The page that this request asks for, as a place to come back to.
    fn return_to_this(&self, inbound: &Inbound<'_>, sign_in: &SignIn) -> ReturnTo {
        let target = match inbound.query {
            Some(query) => format!("{}?{query}", inbound.path),
            None => inbound.path.to_owned(),
        };
        ReturnTo::parse(&target, &sign_in.origin, &self.own_paths()).unwrap_or_else(|_| ReturnTo::root())
    }

    /// Paths that nobody is ever sent back to.
    pub(super) fn own_paths(&self) -> [&str; 2] {
        [&self.paths.prefix, &self.paths.callback]
    }

    /// A page in the language of whoever asks.
    pub(super) fn show(&self, inbound: &Inbound<'_>, page: &Page<'_>) -> Reply {
        self.pages.show(page, self.pages.reader(&inbound.parts.headers, inbound.request_id))
    }

    /// A problem in the form that this client can read.
    pub(super) fn problem(&self, parts: &Parts, request_id: &RequestId, problem: Problem) -> Reply {
        let kind = ClientKind::of(&parts.method, &parts.headers);
        let reply = if let Some(status) = grpc_status(problem).filter(|_| kind == ClientKind::Grpc) {
            grpc(problem, status)
        } else if kind.shows_pages() {
            self.pages.show(&Page::Problem(problem), self.pages.reader(&parts.headers, request_id))
        } else {
            problem_json(problem, request_id, None)
        };
        // Where requests can't be told apart any more, nothing further is read from the connection.
        if matches!(
            problem,
            Problem::Framing | Problem::MalformedHost | Problem::HeadTooLarge | Problem::TargetTooLong
        ) {
            return reply.closing();
        }
        reply
    }
}

/// Seconds in `Retry-After`, at least one.
pub(super) fn retry_after(reply: &mut Reply, after: std::time::Duration) {
    reply.headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
}

/// The [gRPC status code](https://grpc.github.io/grpc/core/md_doc_statuscodes.html) of a problem, more
/// exact than what a client would
/// [make of the status](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md) by itself;
/// none for a request that isn't served at all, whoever sends it: that one keeps its status.
fn grpc_status(problem: Problem) -> Option<&'static str> {
    match problem.status() {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Some("4"),
        StatusCode::FORBIDDEN => Some("7"),
        StatusCode::PAYLOAD_TOO_LARGE => Some("8"),
        StatusCode::NOT_IMPLEMENTED => Some("12"),
        StatusCode::INTERNAL_SERVER_ERROR => Some("13"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            Some("14")
        }
        StatusCode::UNAUTHORIZED => Some("16"),
        _ => None,
    }
}

/// A gRPC answer without messages: status 200, the outcome in what would be trailers
/// ([PROTOCOL-HTTP2, Responses](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses)).
fn grpc(problem: Problem, status: &'static str) -> Reply {
    let message = format!("{}: {}", problem.reason(), problem.sentence().english());
    let message = utf8_percent_encode(&message, GRPC_MESSAGE_ENCODED).to_string();
    let reply = Reply::empty(StatusCode::OK, problem.reason())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(GRPC_STATUS.clone(), HeaderValue::from_static(status));
    match HeaderValue::try_from(message) {
        Ok(message) => reply.header(GRPC_MESSAGE.clone(), message),
        Err(_) => reply,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    #[test]
    fn a_problem_is_a_grpc_status_with_a_readable_message_or_keeps_its_own() {
        for problem in Problem::ALL.iter().copied() {
            let Some(status) = grpc_status(problem) else {
                assert!(
                    matches!(problem.status().as_u16(), 400 | 404 | 405 | 414 | 421 | 431),
                    "{problem:?}"
                );
                continue;
            };
            let reply = grpc(problem, status);
            assert_eq!(
                (reply.status, &reply.headers[&GRPC_STATUS]),
                (StatusCode::OK, &HeaderValue::from_static(status))
            );
            let message = reply.headers[&GRPC_MESSAGE].to_str().unwrap();
            assert!(message.starts_with(problem.reason()) && !message.contains('%'), "{message}");
            assert!(reply.body.is_empty());
        }
    }

    #[test]
    fn a_message_is_encoded_as_the_protocol_says() {
        // A blank stays, `%` and what isn't ASCII doesn't.
        let encoded = utf8_percent_encode("100 % – ok\n", GRPC_MESSAGE_ENCODED).to_string();
        assert_eq!(encoded, "100 %25 %E2%80%93 ok%0A");
    }

    #[rstest]
    #[case(Problem::RequestTimeout, Some("4"))]
    #[case(Problem::GatewayTimeout, Some("4"))]
    #[case(Problem::Denied, Some("7"))]
    #[case(Problem::BodyTooLarge, Some("8"))]
    #[case(Problem::NoWebSocket, Some("12"))]
    #[case(Problem::Internal, Some("13"))]
    #[case(Problem::TooManyRequests, Some("14"))]
    #[case(Problem::BadGateway, Some("14"))]
    #[case(Problem::Unavailable, Some("14"))]
    #[case(Problem::SignInRequired, Some("16"))]
    #[case(Problem::NotFound, None)]
    fn a_problem_has_the_code_that_grpc_knows_it_by(#[case] problem: Problem, #[case] code: Option<&str>) {
        assert_eq!(grpc_status(problem), code);
    }

    #[rstest]
    #[case(Duration::ZERO, "1")]
    #[case(Duration::from_millis(900), "1")]
    #[case(Duration::from_secs(17), "17")]
    fn nobody_is_told_to_come_back_at_once(#[case] after: Duration, #[case] seconds: &str) {
        let mut reply = Reply::empty(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
        retry_after(&mut reply, after);
        assert_eq!(reply.headers[RETRY_AFTER], seconds);
    }
}
