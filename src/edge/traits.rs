//! What is out of the ordinary about a request, found in one look over its fields.
//!
//! Every phase asks whether there is a body, a cookie, a WebSocket; most requests have little of it,
//! and a look-up for each question would cost more than all the answers.

use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, TRANSFER_ENCODING, UPGRADE,
};
use pingora::http::RequestHeader;

use super::{request, websocket};
use crate::gateway::is_grpc;

/// Something that a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trait {
    /// `Authorization`, once or more.
    Authorization = 1,
    /// `Cookie`, once or more.
    Cookie = 1 << 1,
    /// `Content-Length`, whatever it says.
    ContentLength = 1 << 2,
    /// `Transfer-Encoding`, whatever it says.
    TransferEncoding = 1 << 3,
    /// The client sends its body only once it is told to.
    WaitsForContinue = 1 << 4,
    /// It asks for a WebSocket, and can ask for nothing else.
    WebSocket = 1 << 5,
    /// Silence is part of what it asks for: events, sockets, and gRPC, where nothing in the request
    /// tells a stream of messages from one.
    Stream = 1 << 6,
}

/// All that one request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits(u8);

impl Traits {
    /// Nobody has looked yet, so it may have anything.
    pub(super) const UNREAD: Self = Self(u8::MAX);

    /// Looks at a head as received.
    pub(super) fn of(request: &RequestHeader) -> Self {
        let mut traits = Self(0);
        for (name, value) in &request.headers {
            if *name == COOKIE {
                traits.add(Trait::Cookie, true);
            } else if *name == ACCEPT {
                let value = value.to_str().is_ok_and(|accept| accept.contains("text/event-stream"));
                traits.add(Trait::Stream, value);
            } else if *name == AUTHORIZATION {
                traits.add(Trait::Authorization, true);
            } else if *name == CONTENT_LENGTH {
                traits.add(Trait::ContentLength, true);
            } else if *name == TRANSFER_ENCODING {
                traits.add(Trait::TransferEncoding, true);
            } else if *name == CONTENT_TYPE {
                traits.add(Trait::Stream, is_grpc(&request.headers));
            } else if *name == EXPECT {
                traits.add(Trait::WaitsForContinue, request::waits_for_continue(request));
            } else if *name == UPGRADE {
                let asked = websocket::is_asked_for(request);
                traits.add(Trait::WebSocket, asked);
                traits.add(Trait::Stream, asked);
            }
        }
        traits
    }

    /// Whether it has this.
    pub(super) const fn have(self, one: Trait) -> bool {
        self.0 & one as u8 != 0
    }

    const fn add(&mut self, one: Trait, has: bool) {
        if has {
            self.0 |= one as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ALL: [Trait; 7] = [
        Trait::Authorization,
        Trait::Cookie,
        Trait::ContentLength,
        Trait::TransferEncoding,
        Trait::WaitsForContinue,
        Trait::WebSocket,
        Trait::Stream,
    ];

    #[rstest]
    #[case::nothing(&[], &[])]
    #[case::a_page(&[("host", "a.test"), ("accept", "text/html"), ("user-agent", "x")], &[])]
    #[case::cookies(&[("cookie", "a=1"), ("cookie", "b=2")], &[Trait::Cookie])]
    #[case::a_token(&[("authorization", "Bearer x")], &[Trait::Authorization])]
    #[case::a_body(&[("content-length", "5"), ("content-type", "text/plain")], &[Trait::ContentLength])]
    #[case::chunks(&[("transfer-encoding", "chunked")], &[Trait::TransferEncoding])]
    #[case::a_body_on_demand(
        &[("content-length", "5"), ("expect", "100-Continue")],
        &[Trait::ContentLength, Trait::WaitsForContinue],
    )]
    #[case::another_expectation(&[("expect", "a-miracle")], &[])]
    #[case::events(&[("accept", "text/html"), ("accept", "text/event-stream")], &[Trait::Stream])]
    #[case::grpc(&[("content-type", "application/grpc+proto")], &[Trait::Stream])]
    #[case::grpc_web(&[("content-type", "application/grpc-web")], &[])]
    #[case::a_socket(&[("upgrade", "websocket")], &[Trait::WebSocket, Trait::Stream])]
    #[case::a_socket_with_a_body(&[("upgrade", "websocket"), ("content-length", "0")], &[Trait::ContentLength])]
    #[case::another_protocol(&[("upgrade", "h2c")], &[])]
    fn a_request_has_what_its_fields_say(
        #[case] fields: &[(&'static str, &'static str)],
        #[case] expected: &[Trait],
    ) {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for &(name, value) in fields {
            request.append_header(name, value).unwrap();
        }
        let traits = Traits::of(&request);
        let found: Vec<_> = ALL.into_iter().filter(|&one| traits.have(one)).collect();
        assert_eq!(found, expected);
    }
}
