//! The closed lists that label values of metrics come from, so that no client can make a metric grow.

/// Declares an enum whose variants are the values of one label.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// Every value as written, in the same order.
            pub const TEXTS: &'static [&'static str] = &[$($text,)+];

            /// The value as written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

labels! {
    /// What became of a request.
    Decision {
        /// It went upstream.
        Forwarded => "forwarded",
        /// Nobody was signed in: it was answered by a challenge.
        Challenged => "challenged",
        /// Somebody was signed in and may not.
        Denied => "denied",
        /// One of our own endpoints answered it.
        Answered => "answered",
        /// It was malformed, too large, or for nobody here.
        Refused => "refused",
        /// It could not be decided or not be served: a 5xx of ours.
        Failed => "failed",
    }
}

labels! {
    /// First digit of a response's status.
    StatusClass {
        /// 1xx.
        Informational => "1xx",
        /// 2xx.
        Successful => "2xx",
        /// 3xx.
        Redirection => "3xx",
        /// 4xx.
        ClientError => "4xx",
        /// 5xx.
        ServerError => "5xx",
        /// The client was gone before there was a status.
        None => "none",
    }
}

impl StatusClass {
    /// The class of a status; `None` where there was none.
    #[must_use]
    pub fn of(status: Option<http::StatusCode>) -> Self {
        match status.map(|status| status.as_u16() / 100) {
            Some(1) => Self::Informational,
            Some(2) => Self::Successful,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
            None => Self::None,
        }
    }
}

labels! {
    /// How an upstream failed.
    UpstreamError {
        /// No address for its name.
        Resolve => "resolve",
        /// No connection.
        Connect => "connect",
        /// No connection in time.
        ConnectTimeout => "connect_timeout",
        /// No trust: certificate or handshake.
        Tls => "tls",
        /// No bytes in time.
        Timeout => "timeout",
        /// The connection broke.
        Closed => "closed",
        /// What it said is not HTTP.
        Protocol => "protocol",
        /// Anything else.
        Other => "other",
    }
}

labels! {
    /// Why a connection of a client was ended before the client wanted it.
    ConnectionEnd {
        /// No whole request head came in time.
        HeadTimeout => "head_timeout",
        /// A request head was far over its limit before it was whole.
        HeadSize => "head_size",
        /// A request body came too slowly.
        BodyRate => "body_rate",
        /// A chunk of a request body wasn't one.
        Chunk => "chunk",
        /// A head that Pingora couldn't read, or a CONNECT: answered before the gateway saw it.
        Unreadable => "unreadable",
        /// The client didn't take what was written.
        WriteTimeout => "write_timeout",
        /// Requests of streams that the client had reset were too many.
        TakenBack => "taken_back",
    }
}

labels! {
    /// Steps and ends of logins.
    LoginOutcome {
        /// A browser was sent to the provider.
        Started => "started",
        /// A session was made.
        Completed => "completed",
        /// The provider or the person said no, or the provider could not be asked.
        Failed => "failed",
        /// The answer was stale, foreign, replayed or didn't verify.
        Rejected => "rejected",
        /// The loop guard stopped it.
        Loop => "loop",
    }
}

labels! {
    /// Why a session ended.
    SessionEnd {
        /// The person signed out.
        SignedOut => "signed_out",
        /// Another login took its place.
        Replaced => "replaced",
        /// It was idle for too long.
        Idle => "idle",
        /// It reached its absolute limit.
        Absolute => "absolute",
    }
}

labels! {
    /// Why a session cookie was not taken.
    SessionRefusal {
        /// No such session, or not one of ours, or of another origin or provider.
        Unknown => "unknown",
        /// It was ended before.
        Ended => "ended",
        /// It was idle for too long.
        Idle => "idle",
        /// It is past its absolute limit.
        Absolute => "absolute",
        /// The cookie came more than once.
        Duplicate => "duplicate",
        /// Its chunks are missing, too many or too large.
        Chunks => "chunks",
    }
}

labels! {
    /// A call to a provider.
    ProviderCall {
        /// Metadata.
        Metadata => "metadata",
        /// Keys.
        Keys => "keys",
        /// Code exchange.
        Token => "token",
        /// Userinfo.
        Userinfo => "userinfo",
    }
}

labels! {
    /// How a call to a provider went.
    CallOutcome {
        /// A usable answer.
        Ok => "ok",
        /// The provider said no in its protocol's words.
        Refused => "refused",
        /// The answer breaks the protocol.
        Invalid => "invalid",
        /// No answer.
        Unavailable => "unavailable",
    }
}

labels! {
    /// How a TLS handshake with a client went.
    HandshakeOutcome {
        /// Done in full.
        Full => "full",
        /// Done by resuming an earlier session.
        Resumed => "resumed",
        /// They didn't agree, or the client left.
        Failed => "failed",
        /// It took too long.
        Timeout => "timeout",
    }
}

labels! {
    /// Why a request was refused before anyone was asked who they are.
    Refusal {
        /// It can't be read in one way only.
        BadRequest => "bad_request",
        /// Framing that two parsers could read differently.
        Framing => "framing",
        /// Host missing, doubled or malformed.
        MalformedHost => "malformed_host",
        /// A Host that isn't one of `origins`.
        Misdirected => "misdirected",
        /// A path that is refused everywhere.
        MalformedPath => "malformed_path",
        /// `%2f`.
        EncodedSlash => "encoded_slash",
        /// A path whose readings disagree.
        AmbiguousPath => "ambiguous_path",
        /// No route.
        NotFound => "not_found",
        /// No route takes the method.
        MethodNotAllowed => "method_not_allowed",
        /// Head too large or with too many fields.
        HeadTooLarge => "head_too_large",
        /// Request target too long.
        TargetTooLong => "target_too_long",
        /// Body too large.
        BodyTooLarge => "body_too_large",
        /// A connection over the total.
        Connections => "connections",
        /// A connection over what one address may have.
        ConnectionsOfAddress => "connections_of_address",
        /// A request from a page of a foreign origin.
        ForeignOrigin => "foreign_origin",
        /// Too many logins that cost a provider call.
        TooManyRequests => "too_many_requests",
        /// The client was too slow.
        RequestTimeout => "request_timeout",
        /// Anything else.
        Other => "other",
    }
}

impl Refusal {
    /// The refusal that a reply's reason word names; [`Refusal::Other`] for a word not listed.
    #[must_use]
    pub fn of_reason(reason: &str) -> Self {
        Self::ALL.iter().copied().find(|refusal| refusal.as_str() == reason).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::switching(Some(StatusCode::SWITCHING_PROTOCOLS), "1xx")]
    #[case::ok(Some(StatusCode::OK), "2xx")]
    #[case::found(Some(StatusCode::FOUND), "3xx")]
    #[case::unauthorized(Some(StatusCode::UNAUTHORIZED), "4xx")]
    #[case::unavailable(Some(StatusCode::SERVICE_UNAVAILABLE), "5xx")]
    #[case::gone(None, "none")]
    fn a_status_has_one_class(#[case] status: Option<StatusCode>, #[case] class: &str) {
        assert_eq!(StatusClass::of(status).as_str(), class);
    }

    #[test]
    fn a_reason_word_finds_its_refusal() {
        assert_eq!(Refusal::of_reason("ambiguous_path"), Refusal::AmbiguousPath);
        assert_eq!(Refusal::of_reason("signed_out"), Refusal::Other);
    }

    #[test]
    fn the_position_of_a_value_is_that_of_its_text() {
        for (index, decision) in Decision::ALL.iter().enumerate() {
            assert_eq!(*decision as usize, index);
            assert_eq!(Decision::TEXTS[index], decision.as_str());
        }
    }
}
