//! HTTP/2 requests that were taken back before anybody looked at them.
//!
//! A client can open a stream and have it reset in one segment, by a frame of its own or by a fault that we must
//! answer with one ([RFC 9113 §5.4.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.4.2)). Its place among the
//! open streams is free again by then, so that no limit holds it, and Pingora would ask the upstream all the same
//! ([CVE-2023-44487](https://www.cve.org/CVERecord?id=CVE-2023-44487)).

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pingora::protocols::http::server::Session as HttpSession;
use pingora::proxy::Session as Downstream;
use pingora::{Error, ErrorType};

/// Goes on unless the request's stream has been reset already.
///
/// # Errors
/// A failure of the client: nobody waits for an answer, and nothing is done for the request.
pub(super) fn check(down: &mut Downstream) -> pingora::Result<()> {
    let HttpSession::H2(stream) = down.as_downstream_mut() else { return Ok(()) };
    // Whoever waits for a reset later says so anew: this one is only asked whether it has come.
    match pin!(stream.idle()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Ok(()),
        Poll::Ready(_) => {
            Err(Error::explain(ErrorType::H2Error, "the stream was reset before its request was read")
                .into_down())
        }
    }
}
