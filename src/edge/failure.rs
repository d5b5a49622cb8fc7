//! A request that fails on the way: what the person sees, and what the operator reads.

use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session as Downstream};
use pingora::{Error, ErrorSource, ErrorType};

use super::context::Context;
use super::wire::Fault;
use super::{Edge, peer};
use crate::pages::Problem;
use crate::telemetry::labels::UpstreamError;

/// What a failure means.
enum Meaning {
    /// The client is gone: nobody to tell.
    ClientGone,
    /// The client's fault.
    Client(Problem),
    /// The upstream's.
    Upstream(Problem, UpstreamError),
    /// Ours.
    Own,
}

impl Meaning {
    const fn of(fault: Fault) -> Self {
        match fault {
            Fault::HeadTime | Fault::BodyRate => Self::Client(Problem::RequestTimeout),
            Fault::HeadSize => Self::Client(Problem::HeadTooLarge),
            Fault::Chunk => Self::Client(Problem::Framing),
        }
    }
}

impl Edge {
    /// Answers if an answer is still possible. The operator is told why, the person nothing internal.
    pub(super) async fn fail(&self, down: &mut Downstream, error: &Error, ctx: &mut Context) -> FailToProxy {
        let route = ctx.route().map(|route| route.id.to_string());
        // What the guard of the connection has stopped looks like a failed read.
        let fault = ctx.connection.as_ref().and_then(|connection| connection.fault());
        let (problem, reason) = match fault.map_or_else(|| meaning(error), Meaning::of) {
            Meaning::ClientGone => {
                ctx.reason = "client_gone";
                if let Some(under_way) = &mut ctx.under_way {
                    under_way.taken_back();
                }
                return FailToProxy { error_code: 0, can_reuse_downstream: false };
            }
            Meaning::Client(problem) => (problem, problem.reason()),
            Meaning::Upstream(problem, kind) => {
                self.gateway.metrics.upstream_error(kind);
                tracing::warn!(
                    request_id = ctx.request_id.as_str(),
                    route,
                    upstream = ctx.upstream.map(tracing::field::display),
                    kind = kind.as_str(),
                    error = error.etype().as_str(),
                    context = error.context.as_ref().map(pingora::ImmutStr::as_str),
                    "the upstream failed"
                );
                (problem, kind.as_str())
            }
            Meaning::Own => {
                tracing::error!(request_id = ctx.request_id.as_str(), route, %error, "a request failed");
                (Problem::Internal, Problem::Internal.reason())
            }
        };
        let status = problem.status().as_u16();
        // A 1xx only announced an answer; a 101 was one.
        let announced = |head: &ResponseHeader| head.status.is_informational() && !ctx.upgraded;
        if down.response_written().is_some_and(|head| !announced(head)) {
            // A head is out: the connection is closed without an end, so that a cut body never looks whole.
            ctx.reason = reason;
            return FailToProxy { error_code: status, can_reuse_downstream: false };
        }
        let answer = self.gateway.failed(down.req_header(), &ctx.request_id, problem, reason);
        ctx.decision = answer.decision;
        ctx.reason = answer.reply.reason;
        if let Err(error) = self.answer(down, ctx, answer.reply.closing()).await {
            tracing::debug!(%error, "the client left before it was told");
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }
}

fn meaning(error: &Error) -> Meaning {
    use UpstreamError as Kind;
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(413), _) => Meaning::Client(Problem::BodyTooLarge),
        (ErrorType::HTTPStatus(400), _) => Meaning::Client(Problem::Framing),
        (kind, _) if *kind == peer::NO_ADDRESS => Meaning::Upstream(Problem::BadGateway, Kind::Resolve),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => Meaning::Client(Problem::RequestTimeout),
        (ErrorType::InvalidHTTPHeader, ErrorSource::Downstream) => Meaning::Client(Problem::Framing),
        (_, ErrorSource::Downstream) => Meaning::ClientGone,
        (ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout, _) => {
            Meaning::Upstream(Problem::GatewayTimeout, Kind::ConnectTimeout)
        }
        (
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError
            | ErrorType::BindError,
            _,
        ) => Meaning::Upstream(Problem::BadGateway, Kind::Connect),
        (ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert, _) => {
            Meaning::Upstream(Problem::BadGateway, Kind::Tls)
        }
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, ErrorSource::Upstream) => {
            Meaning::Upstream(Problem::GatewayTimeout, Kind::Timeout)
        }
        (
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::H2Error,
            ErrorSource::Upstream,
        ) => Meaning::Upstream(Problem::BadGateway, Kind::Closed),
        (
            ErrorType::InvalidHTTPHeader
            | ErrorType::H1Error
            | ErrorType::InvalidH2
            | ErrorType::H2Downgrade
            | ErrorType::HandshakeError,
            ErrorSource::Upstream,
        ) => Meaning::Upstream(Problem::BadGateway, Kind::Protocol),
        (kind, _) if *kind == peer::NOT_HTTP2 => Meaning::Upstream(Problem::BadGateway, Kind::Protocol),
        (_, ErrorSource::Upstream) => Meaning::Upstream(Problem::BadGateway, Kind::Other),
        _ => Meaning::Own,
    }
}
