//! Loads, and what they have counted.

mod h2load;
mod handshakes;
mod wrk;

use crate::Result;
use crate::browser::Headers;
use crate::origin::Origin;
use crate::pins::Pins;
use crate::stage::Stage;

pub(crate) use h2load::requests as http2_requests;
pub(crate) use handshakes::connections;

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// HTTP/1.1 on connections that stay open.
    KeepAlive,
    /// Each on a new TLS 1.3 connection.
    NewConnections,
    /// HTTP/2 over TLS: 16 connections that stay open, 8 streams each.
    Http2,
}

/// A request to repeat, and what the answer to it must be.
pub(crate) struct Request<'a> {
    pub(crate) to: &'a Origin,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a Headers,
    /// Status of every answer.
    pub(crate) status: u16,
    /// Length of every body.
    pub(crate) body: usize,
    /// Length of a head and a body together, about.
    pub(crate) size: usize,
}

/// What one run has counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    /// Responses read to their end.
    pub(crate) requests: f64,
    /// Length of the run in seconds.
    pub(crate) seconds: f64,
    /// Median latency in milliseconds.
    pub(crate) p50_ms: f64,
    /// The latency in milliseconds that one request in a hundred exceeded.
    pub(crate) p99_ms: f64,
    /// What makes the run worthless.
    pub(crate) faults: Vec<String>,
}

/// Makes sure that there are the programs.
pub(crate) fn find() -> Result<()> {
    wrk::find()?;
    h2load::find()
}

impl Load {
    /// Repeats a request for so many seconds, on so many connections where they stay open.
    pub(crate) fn run(
        self,
        stage: &Stage,
        request: &Request<'_>,
        (connections, seconds): (usize, u64),
    ) -> Result<Counted> {
        let pins: Pins = stage.pins;
        match self {
            Self::KeepAlive => wrk::load(pins, request, (connections, seconds)),
            Self::NewConnections => handshakes::load(request, seconds),
            Self::Http2 => h2load::load(pins, stage.scratch(), request, seconds),
        }
    }
}
