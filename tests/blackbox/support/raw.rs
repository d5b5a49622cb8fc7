//! A client that sends exactly the bytes it is given.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::message::{Response, read_response};

/// How long a first byte may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this much silence nothing more is expected on a connection that stays open.
const SILENCE: Duration = Duration::from_millis(500);

/// One connection to 127.0.0.1.
pub(crate) struct Raw(BufReader<TcpStream>);

impl Raw {
    /// Connects.
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the port listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        stream.set_nodelay(true).expect("no delay can be set");
        Self(BufReader::new(stream))
    }

    /// Sends bytes. A peer that has closed already is no failure: what it said before can be read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.0.get_mut().write_all(bytes.as_ref());
        self
    }

    /// Ends our side of the connection alone.
    pub(crate) fn end(&mut self) -> &mut Self {
        let _ = self.0.get_mut().shutdown(std::net::Shutdown::Write);
        self
    }

    /// The next final response; none when the connection ended, failed or stayed silent.
    pub(crate) fn response(&mut self) -> Option<Response> {
        self.response_to("GET")
    }

    /// The same, to a request of this method.
    pub(crate) fn response_to(&mut self, method: &str) -> Option<Response> {
        read_response(&mut self.0, method).ok().flatten()
    }

    /// Reads this many bytes, fewer when the connection ends or falls silent.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = (&mut self.0).take(count as u64).read_to_end(&mut bytes);
        bytes
    }

    /// Reads whatever still comes until the connection ends or falls silent; whether it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Closed) {
        self.0.get_mut().set_read_timeout(Some(SILENCE)).expect("a time-out can be set");
        let mut bytes = Vec::new();
        // A time-out is silence; an end, or any other failure, is the end of the connection.
        let silent = self.0.read_to_end(&mut bytes).is_err_and(|e| matches!(e.kind(), WouldBlock | TimedOut));
        let closed = if silent { Closed::No } else { Closed::Yes };
        (bytes, closed)
    }
}

/// Whether the other side closed the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It did.
    Yes,
    /// It is open and silent.
    No,
}

/// What came back for some bytes.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The final responses, in order.
    pub(crate) responses: Vec<Response>,
    /// Whether the connection was closed afterwards.
    pub(crate) closed: Closed,
}

impl Answers {
    /// The status of the first response; 0 when the connection was closed without one.
    pub(crate) fn status(&self) -> u16 {
        self.responses.first().map_or(0, |r| r.status)
    }
}

/// Sends bytes on a fresh connection and reads all that comes.
pub(crate) fn exchange(port: u16, bytes: impl AsRef<[u8]>) -> Answers {
    let mut raw = Raw::connect(port);
    raw.send(bytes);
    let mut responses = Vec::new();
    if let Some(first) = raw.response() {
        responses.push(first);
    }
    let (rest, closed) = raw.rest();
    let mut rest = rest.as_slice();
    while let Ok(Some(response)) = read_response(&mut rest, "GET") {
        responses.push(response);
    }
    Answers { responses, closed }
}

/// Sends one request without a body and reads its answer.
pub(crate) fn ask(port: u16, head: &str) -> Response {
    let method = head.split(' ').next().unwrap_or_default().to_owned();
    Raw::connect(port).send(head).response_to(&method).expect("an answer")
}
