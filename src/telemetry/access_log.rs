//! The access log: one line a request, on standard output, written off the request path.
//!
//! A request pays for one attempt to queue what its line is to say; it is written out elsewhere. When
//! standard output is too slow the line is dropped and counted, so that a full disk never stops the
//! gateway. A line never has a query, a fragment, a cookie or a token: only what is listed in [`Entry`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Version};

use super::access_line::Unwritten;
use super::labels::Decision;
use super::line_queue::LineQueue;
use super::{AccessOutput, ClientAddress, Config, RequestId};
use crate::clock::Timestamp;
use crate::identity::{ClaimPath, Identity};

/// Lines that may wait for standard output; of usual length about 8 MiB.
const QUEUED_LINES: usize = 32 * 1024;
/// How long closing waits for standard output.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one line says.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// When the request's head was read.
    pub time: Timestamp,
    /// Its id.
    pub request_id: &'a RequestId,
    /// The client's address, as far as trusted proxies tell it.
    pub client: Option<IpAddr>,
    /// Method.
    pub method: &'a Method,
    /// Host, as received.
    pub host: &'a str,
    /// Path, as received. A query is cut off.
    pub path: &'a str,
    /// Protocol of the client's connection.
    pub protocol: Version,
    /// Status; none when the client was gone before.
    pub status: Option<StatusCode>,
    /// The route's id.
    pub route: Option<&'a str>,
    /// What became of it.
    pub decision: Decision,
    /// Why: a short word of ours.
    pub reason: &'static str,
    /// Who asked; only claims in `log.access.claims` are written.
    pub identity: Option<&'a Identity>,
    /// The server that it went to.
    pub upstream: Option<SocketAddr>,
    /// From the request's head to the end of the response.
    pub total: Duration,
    /// From the upstream request to the upstream's response head.
    pub upstream_time: Option<Duration>,
    /// Bytes of the response body sent.
    pub bytes_out: u64,
}

/// The access log of this process.
#[derive(Debug)]
pub struct AccessLog {
    queue: Option<LineQueue<Unwritten>>,
    claims: Arc<[ClaimPath]>,
    client_address: ClientAddress,
}

/// How many lines were dropped.
#[derive(Debug, Clone)]
pub struct DroppedLines(LineQueue<Unwritten>);

impl DroppedLines {
    /// Since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.dropped()
    }
}

impl AccessLog {
    /// Starts the access log and the thread that writes it.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        match config.access {
            AccessOutput::Stdout => Self::to(config, std::io::stdout(), QUEUED_LINES),
            AccessOutput::Off => {
                Self { queue: None, claims: Arc::default(), client_address: config.client_address }
            }
        }
    }

    fn to(config: &Config, output: impl std::io::Write + Send + 'static, lines: usize) -> Self {
        let claims: Arc<[_]> = config.access_claims.iter().map(|name| ClaimPath::new(name)).collect();
        let (names, format) = (Arc::clone(&claims), config.format);
        let queue =
            LineQueue::start("access-log", output, lines, move |unwritten: &mut Unwritten, out, over| {
                unwritten.write(format, &names, out, over);
            });
        Self { queue: Some(queue), claims, client_address: config.client_address }
    }

    /// Queues one line. Never waits.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(queue) = &self.queue else { return };
        let client = entry.client.map(|address| shown(address, self.client_address));
        queue.push(|unwritten| {
            unwritten.put(entry, client, &self.claims);
            unwritten.bytes()
        });
    }

    /// Writes out what is queued and stops; waits about a second at most. Later lines are dropped.
    pub fn close(&self) {
        if let Some(queue) = &self.queue {
            queue.close(PATIENCE);
        }
    }

    /// The number of dropped lines, unless the log is off.
    #[must_use]
    pub fn dropped(&self) -> Option<DroppedLines> {
        self.queue.clone().map(DroppedLines)
    }
}

/// An address as `log.access.client_address` wants it: whole, or without the part that is one
/// subscriber's (the last byte of IPv4, all but the first 48 bits of IPv6).
fn shown(address: IpAddr, detail: ClientAddress) -> IpAddr {
    match (address.to_canonical(), detail) {
        (address, ClientAddress::Full) => address,
        (IpAddr::V4(v4), ClientAddress::Truncated) => Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00).into(),
        (IpAddr::V6(v6), ClientAddress::Truncated) => Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex as StdMutex};

    use rstest::rstest;

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<StdMutex<Vec<u8>>>);

    impl std::io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// An output that takes nothing until told to.
    struct Stuck(mpsc::Receiver<()>);

    impl std::io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn entry(request_id: &RequestId) -> Entry<'_> {
        Entry {
            time: Timestamp::from_secs(0),
            request_id,
            client: Some(IpAddr::from([203, 0, 113, 77])),
            method: &Method::GET,
            host: "app.example.com",
            path: "/a",
            protocol: Version::HTTP_11,
            status: Some(StatusCode::OK),
            route: Some("app"),
            decision: Decision::Forwarded,
            reason: "forwarded",
            identity: None,
            upstream: None,
            total: Duration::from_millis(1),
            upstream_time: None,
            bytes_out: 0,
        }
    }

    #[test]
    fn what_was_written_is_out_once_closed() {
        let output = Output::default();
        let log = AccessLog::to(&Config::default(), output.clone(), 100);
        let id = RequestId::random();
        for _ in 0..50 {
            log.write(&entry(&id));
        }
        log.close();
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 50);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }

    #[test]
    fn a_stuck_output_drops_lines_and_counts_them() {
        let (release, stuck) = mpsc::channel();
        let log = AccessLog::to(&Config::default(), Stuck(stuck), 8);
        let metrics = super::super::Metrics::new(&[]).unwrap();
        metrics.watch(&log);
        let id = RequestId::random();
        for _ in 0..100 {
            log.write(&entry(&id));
        }
        let dropped = log.dropped().unwrap().total();
        // Eight wait, one is in the writer's hands at most.
        assert!((91..=92).contains(&dropped), "{dropped}");
        let expected = format!("vestibule_access_log_dropped_total {dropped}\n");
        assert!(metrics.render().contains(&expected));
        assert!(metrics.render().contains(&expected), "a second look counts nothing twice");
        drop(release);
    }

    #[test]
    fn writes_nothing_when_off() {
        let log = AccessLog::new(&Config { access: AccessOutput::Off, ..Config::default() });
        log.write(&entry(&RequestId::random()));
        assert!(log.dropped().is_none());
    }

    #[rstest]
    #[case::v4("203.0.113.77", "203.0.113.0")]
    #[case::v6("2001:db8:1:2:3:4:5:6", "2001:db8:1::")]
    #[case::v4_in_v6("::ffff:203.0.113.77", "203.0.113.0")]
    fn truncates_addresses(#[case] address: IpAddr, #[case] expected: IpAddr) {
        assert_eq!(shown(address, ClientAddress::Truncated), expected);
        assert_eq!(shown(address, ClientAddress::Full), address.to_canonical());
    }
}
