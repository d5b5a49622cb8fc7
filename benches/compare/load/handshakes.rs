//! New TLS 1.3 connections, one for every request, none of them resumed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, HandshakeKind, StreamOwned};
use vestibule::clock::Stopwatch;

use super::{Counted, Request};
use crate::Result;
use crate::browser::{self, Response};
use crate::origin::handshake;
use crate::statistics::percentile;

/// Connections under way at a time.
const ABREAST: usize = 16;

/// Threads of this process, which is pinned as a load is.
pub(super) fn load(request: &Request<'_>, seconds: u64) -> Result<Counted> {
    let visitor = Visitor::of(request)?;
    let watch = Stopwatch::start();
    let limit = Duration::from_secs(seconds);
    let results: Vec<std::result::Result<Vec<f64>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ABREAST)
            .map(|_| {
                scope.spawn(|| {
                    let mut took = Vec::new();
                    while watch.elapsed() < limit {
                        let own = Stopwatch::start();
                        visitor.visit().map_err(|error| error.to_string())?;
                        took.push(own.elapsed().as_secs_f64() * 1e3);
                    }
                    Ok(took)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("panicked".to_owned())))
            .collect()
    });
    let seconds = watch.elapsed().as_secs_f64();

    let (mut took, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(times) => took.extend(times),
            Err(fault) => faults.push(fault),
        }
    }
    took.sort_by(f64::total_cmp);
    Ok(Counted {
        requests: f64::from(u32::try_from(took.len())?),
        seconds,
        p50_ms: percentile(&took, 50),
        p99_ms: percentile(&took, 99),
        faults,
    })
}

/// Makes so many connections, one after the other.
pub(crate) fn connections(request: &Request<'_>, count: usize) -> Result<()> {
    let visitor = Visitor::of(request)?;
    (0..count).try_for_each(|_| visitor.visit())
}

struct Visitor<'a> {
    request: &'a Request<'a>,
    text: String,
    tls: &'a Arc<ClientConfig>,
}

impl<'a> Visitor<'a> {
    fn of(request: &'a Request<'a>) -> Result<Self> {
        let tls = request.to.tls.as_ref().ok_or("use TLS where there is none")?;
        let mut text = browser::head("GET", request.to.address, request.path, request.headers);
        text.push_str("Connection: close\r\n\r\n");
        Ok(Self { request, text, tls })
    }

    /// Connects, asks, and reads until the server closes.
    fn visit(&self) -> Result<()> {
        let socket = TcpStream::connect(self.request.to.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut stream = StreamOwned::new(handshake(self.tls, self.request.to.address)?, socket);
        stream.write_all(self.text.as_bytes())?;
        let mut received = Vec::new();
        match stream.read_to_end(&mut received) {
            // It went without `close_notify`; that the answer is whole is seen below.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            other => drop(other?),
        }
        if stream.conn.handshake_kind() != Some(HandshakeKind::Full) {
            return Err("make a full handshake".into());
        }
        match browser::read(&received) {
            Some(Response { status, body, .. })
                if (status, body.len()) == (self.request.status, self.request.body) =>
            {
                Ok(())
            }
            other => Err(format!("get the right answer: {other:?}").into()),
        }
    }
}
