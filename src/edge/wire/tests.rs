use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID,
};
use proptest::prelude::*;
use rstest::rstest;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};

use super::*;

const HEAD: &[u8] = b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client, the stream that Pingora has, and the connection that the edge has.
struct Line {
    client: DuplexStream,
    stream: Stream,
    connection: Arc<Connection>,
    metrics: Arc<Metrics>,
}

impl Line {
    fn open() -> Self {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (stream, metrics) = guard(server);
        let connection = found(&stream).unwrap();
        Self { client, stream, connection, metrics }
    }

    async fn says(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// The next read of Pingora's.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        let length = self.stream.read(&mut bytes).await?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// A whole head has been read, and this follows.
    async fn begins(&mut self, framing: &str) {
        self.says(HEAD).await;
        assert_eq!(self.read().await.unwrap(), HEAD);
        assert_eq!(head_read(&self.connection, framing), Behind::Nothing);
    }

    fn closed(&self, why: ConnectionEnd) -> bool {
        let line = format!("vestibule_connections_closed_total{{reason=\"{}\"}} 1", why.as_str());
        self.metrics.render().contains(&line)
    }
}

fn guard(stream: impl IO + 'static) -> (Stream, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(&[]).unwrap());
    (Wire::new(Limits::default(), Arc::clone(&metrics)).guard(stream, None), metrics)
}

fn found(stream: &Stream) -> Option<Arc<Connection>> {
    Connection::of(Some(&Digest { proxy_digest: stream.get_proxy_digest(), ..Digest::default() }))
}

/// A request with this one header.
fn request(header: &str) -> RequestHeader {
    let mut request = RequestHeader::build("POST", b"/x", None).unwrap();
    for line in header.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        request.append_header(name.to_owned(), value).unwrap();
    }
    request
}

fn head_read(connection: &Connection, header: &str) -> Behind {
    let request = request(header);
    connection.head_read(&request, Traits::of(&request))
}

fn seconds(start: Instant) -> u64 {
    start.elapsed().as_secs()
}

async fn half_close(client: &mut DuplexStream) {
    tokio::io::AsyncWriteExt::shutdown(client).await.unwrap();
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_answered_408_in_time() {
    let mut line = Line::open();
    let start = Instant::now();
    let mut client = std::mem::replace(&mut line.client, tokio::io::duplex(1).0);
    let drip = tokio::spawn(async move {
        for byte in HEAD.iter().cycle().filter(|byte| **byte != b'\r') {
            if client.write_all(&[*byte, b'x']).await.is_err() {
                break;
            }
            sleep(3).await;
            if seconds(start) > 30 {
                break;
            }
        }
        client
    });
    let mut read = Vec::new();
    loop {
        let bytes = line.read().await.unwrap();
        if bytes.is_empty() {
            break;
        }
        read.extend(bytes);
    }
    assert_eq!(seconds(start), 10);
    assert_eq!(read.len(), 8);
    assert!(line.closed(ConnectionEnd::HeadTimeout));
    drop(line);
    let mut answer = String::new();
    drip.await.unwrap().read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_told_nothing() {
    let mut line = Line::open();
    let start = Instant::now();
    assert_eq!(line.read().await.unwrap(), b"");
    assert_eq!(seconds(start), 10);
    assert_eq!(line.read().await.unwrap(), b"", "it stays ended");
    let Line { mut client, stream, .. } = line;
    drop(stream);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test(start_paused = true)]
async fn the_time_between_requests_is_no_head() {
    let mut line = Line::open();
    for _ in 0..3 {
        line.begins("X: 1").await;
        line.connection.request_over();
        // Pingora may ask, give up and ask again.
        for _ in 0..2 {
            let silent = tokio::time::timeout(std::time::Duration::from_secs(30), line.read()).await;
            assert!(silent.is_err(), "it is kept for 75 s");
        }
    }
    line.says(b"GET").await;
    let start = Instant::now();
    assert_eq!(line.read().await.unwrap(), b"GET");
    assert_eq!(line.read().await.unwrap(), b"");
    assert_eq!(seconds(start), 10);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_ends_without_a_word_when_nothing_comes() {
    let mut line = Line::open();
    line.begins("X: 1").await;
    line.connection.request_over();
    let start = Instant::now();
    assert_eq!(line.read().await.unwrap(), b"");
    assert_eq!((seconds(start), line.connection.fault()), (75, None));
    let Line { mut client, stream, .. } = line;
    drop(stream);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_has_its_time_for_each_piece() {
    use tokio::io::AsyncWriteExt as _;
    let mut line = Line::open();
    line.begins("X: 1").await;
    let start = Instant::now();
    let written = line.stream.write_all(&vec![b'a'; 8 << 20]).await;
    assert_eq!((written.unwrap_err().kind(), seconds(start)), (io::ErrorKind::TimedOut, 30));
    assert!(line.closed(ConnectionEnd::WriteTimeout));

    let mut line = Line::open();
    line.begins("X: 1").await;
    for _ in 0..3 {
        let piece = vec![b'a'; 2 << 20];
        let (mut taken, client) = (vec![0; piece.len()], &mut line.client);
        let slowly = async {
            tokio::time::sleep(std::time::Duration::from_secs(29)).await;
            client.read_exact(&mut taken).await.unwrap();
        };
        let (written, ()) = tokio::join!(line.stream.write_all(&piece), slowly);
        written.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_comes_alone_and_its_body_after_it() {
    let mut line = Line::open();
    line.says(&[HEAD, b"hello"].concat()).await;
    assert_eq!(line.read().await.unwrap(), HEAD);
    assert_eq!(head_read(&line.connection, "Content-Length: 5"), Behind::Nothing);
    assert_eq!(line.read().await.unwrap(), b"hello");
    line.connection.request_over();
    line.begins("X: 1").await;
}

#[tokio::test(start_paused = true)]
async fn what_lies_behind_a_request_is_never_another_one() {
    let mut line = Line::open();
    line.says(&[HEAD, b"GET /next HTTP/1.1\r\n\r\n"].concat()).await;
    assert_eq!(line.read().await.unwrap(), HEAD);
    assert_eq!(head_read(&line.connection, "X: 1"), Behind::Bytes);
    line.says(b"more").await;
    assert!(line.read().now_or_never().is_none(), "Pingora would take it for an error");
    line.connection.request_over();
    assert_eq!(line.read().await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_client_shows_behind_its_bytes() {
    let mut line = Line::open();
    line.begins("Content-Length: 2").await;
    line.says(b"okGET").await;
    assert_eq!(line.read().await.unwrap(), b"ok");
    assert!(line.read().now_or_never().is_none());
    half_close(&mut line.client).await;
    assert_eq!(line.read().await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_enough_is_kept_behind_a_request() {
    let mut line = Line::open();
    line.begins("X: 1").await;
    line.says(&vec![b'x'; 200 * 1024]).await;
    assert!(line.read().now_or_never().is_none());
    assert!(line.read().now_or_never().is_none());
    let unread = line.client.write(&vec![b'x'; 1 << 20]).await.unwrap();
    assert!(unread < (1 << 20) - 100 * 1024, "the rest wasn't read: {unread}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_its_whole_body_is_the_last() {
    let mut line = Line::open();
    line.begins("Content-Length: 10").await;
    line.says(b"hello").await;
    assert_eq!(line.read().await.unwrap(), b"hello");
    line.connection.request_over();
    line.says(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(line.read().await.unwrap(), b"");
}

#[rstest]
#[case::length("Content-Length: 100000", &b"hello"[..])]
#[case::chunked("Transfer-Encoding: chunked", &b"5\r\nhel"[..])]
#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_an_error_in_time(#[case] framing: &str, #[case] start_of_it: &[u8]) {
    let mut line = Line::open();
    line.begins(framing).await;
    line.says(start_of_it).await;
    assert_eq!(line.read().await.unwrap(), start_of_it);
    let start = Instant::now();
    assert_eq!(line.read().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(seconds(start), 10);
    assert_eq!(line.connection.fault(), Some(Fault::BodyRate));
    assert_eq!(line.read().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(line.closed(ConnectionEnd::BodyRate));
}

#[rstest]
#[case::too_slow(100, Some(11))]
#[case::fast_enough(1100, None)]
#[tokio::test(start_paused = true)]
async fn the_average_of_a_body_counts(#[case] bytes_a_second: usize, #[case] ends_after: Option<u64>) {
    let mut line = Line::open();
    line.begins("Content-Length: 10000000").await;
    let start = Instant::now();
    let mut client = std::mem::replace(&mut line.client, tokio::io::duplex(1).0);
    tokio::spawn(async move {
        while client.write_all(&vec![b'x'; bytes_a_second]).await.is_ok() {
            sleep(1).await;
        }
    });
    let mut ended = None;
    while ended.is_none() && seconds(start) < 100 {
        if line.read().await.is_err() {
            ended = Some(seconds(start));
        }
    }
    assert_eq!(ended, ends_after);
}

#[tokio::test(start_paused = true)]
async fn only_time_spent_waiting_for_the_client_counts() {
    let mut line = Line::open();
    line.begins("Content-Length: 100").await;
    for _ in 0..20 {
        line.says(b"x").await;
        assert_eq!(line.read().await.unwrap(), b"x");
        // The upstream takes nothing, so that nobody reads.
        sleep(60).await;
    }
    // Somebody waits; then a response is being written, which the client may not read.
    for _ in 0..5 {
        assert!(line.read().now_or_never().is_none());
        sleep(1).await;
        line.stream.write_all(b"part of a response").await.unwrap();
        sleep(60).await;
    }
    let start = Instant::now();
    assert_eq!(line.read().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(seconds(start), 5);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_100_continue_is_not_slow() {
    let mut line = Line::open();
    line.begins("Content-Length: 100\nExpect: 100-continue").await;
    let silent = tokio::time::timeout(std::time::Duration::from_secs(50), line.read()).await;
    assert!(silent.is_err());
    line.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    let start = Instant::now();
    assert_eq!(line.read().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(seconds(start), 10);
}

#[tokio::test(start_paused = true)]
async fn a_switched_protocol_passes_untimed_and_untouched() {
    let mut line = Line::open();
    line.says(&[HEAD, b"early"].concat()).await;
    assert_eq!(line.read().await.unwrap(), HEAD);
    head_read(&line.connection, "Upgrade: websocket");
    line.connection.switch();
    assert_eq!(line.read().await.unwrap(), b"early");
    for _ in 0..3 {
        let silent = tokio::time::timeout(std::time::Duration::from_hours(1), line.read()).await;
        assert!(silent.is_err());
        line.says(b"\r\n\r\n0\r\n\r\n\n\n").await;
        assert_eq!(line.read().await.unwrap(), b"\r\n\r\n0\r\n\r\n\n\n");
    }
    line.says(b"last").await;
    half_close(&mut line.client).await;
    assert_eq!(line.read().await.unwrap(), b"last");
    assert_eq!(line.read().await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_bad_chunk_ends_the_connection_for_good() {
    let mut line = Line::open();
    line.begins("Transfer-Encoding: chunked").await;
    line.says(b"5\r\nhello\r\n\r\n0\r\n\r\n").await;
    assert_eq!(line.read().await.unwrap(), b"5\r\nhello\r\n");
    assert_eq!(line.read().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(line.connection.fault(), Some(Fault::Chunk));
    line.connection.request_over();
    line.connection.switch();
    line.says(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(line.read().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(line.closed(ConnectionEnd::Chunk));
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_must_begin_in_time() {
    let (stream, metrics) = guard(Pieces::stalling(ALPN::H2, b"PRI * HTTP/2.0\r\n\r\nSM"));
    let mut stream = stream;
    let start = Instant::now();
    let mut read = Vec::new();
    let error = stream.read_to_end(&mut read).await.unwrap_err();
    assert_eq!((error.kind(), seconds(start)), (io::ErrorKind::TimedOut, 10));
    assert_eq!(read, b"PRI * HTTP/2.0\r\n\r\nSM");
    assert!(metrics.render().contains("vestibule_connections_closed_total{reason=\"head_timeout\"} 1"));
}

/// A stream that reads these pieces, one at a time.
#[derive(Debug)]
struct Pieces {
    left: VecDeque<Vec<u8>>,
    alpn: ALPN,
    /// Behind them is silence, not an end.
    stalls: bool,
}

impl Pieces {
    fn stalling(alpn: ALPN, bytes: &[u8]) -> Self {
        Self { left: VecDeque::from([bytes.to_vec()]), alpn, stalls: true }
    }

    fn ending(bytes: &[u8], size: usize) -> Self {
        Self { left: bytes.chunks(size).map(<[u8]>::to_vec).collect(), alpn: ALPN::H1, stalls: false }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.left.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.left.push_front(rest);
            }
        } else if self.stalls {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Pieces {
    async fn shutdown(&mut self) {}
}
impl UniqueID for Pieces {
    fn id(&self) -> i32 {
        0
    }
}
impl Ssl for Pieces {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(self.alpn.clone())
    }
}
impl GetTimingDigest for Pieces {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}
impl GetProxyDigest for Pieces {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}
impl GetSocketDigest for Pieces {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
impl Peek for Pieces {}

/// Reads until an end or an error, this many bytes at a time.
fn read_all(stream: &mut Stream, size: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
    let (mut all, mut part) = (Vec::new(), vec![0; size]);
    loop {
        match stream.read(&mut part).now_or_never().expect("nothing is waited for") {
            Ok(0) => return (all, None),
            Ok(length) => all.extend_from_slice(&part[..length]),
            Err(error) => return (all, Some(error.kind())),
        }
    }
}

/// Reads exactly the head, this many bytes at a time.
fn read_head(stream: &mut Stream, size: usize) {
    let (mut head, mut part) = (Vec::new(), vec![0; size]);
    while head.len() < HEAD.len() {
        let length = stream.read(&mut part).now_or_never().unwrap().unwrap();
        head.extend_from_slice(&part[..length]);
    }
    assert_eq!(head, HEAD);
}

/// A body of well-formed chunks.
fn chunks(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    [&body[..], b"0\r\n\r\n"].concat()
}

proptest! {
    #[test]
    fn whatever_is_well_formed_passes_unchanged_however_it_is_cut(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..5),
        sent in 1_usize..80,
        read in 1_usize..80,
    ) {
        let body = chunks(&parts);
        let all = [HEAD, &body].concat();
        let (mut stream, _) = guard(Pieces::ending(&all, sent));
        let connection = found(&stream).unwrap();
        read_head(&mut stream, read);
        head_read(&connection, "Transfer-Encoding: chunked");
        prop_assert_eq!(read_all(&mut stream, read), (body, None));
    }

    #[test]
    fn no_byte_behind_a_fault_passes_however_it_is_cut(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..5),
        at in any::<prop::sample::Index>(),
        put in prop::sample::select(vec!["\n", "\r", "\r\n", "0x", "+", " ", "g", "\0", ";\n", "!!"]),
        sent in 1_usize..80,
        read in 1_usize..80,
    ) {
        let mut body = chunks(&parts);
        let at = at.index(body.len());
        body.splice(at..at, put.bytes());
        let expected = match chunked::Chunks::new().check(&body) {
            chunked::Checked::Fault(at) => (body[..at].to_vec(), Some(io::ErrorKind::InvalidData)),
            chunked::Checked::End(at) => (body[..at].to_vec(), None),
            chunked::Checked::Valid => (body.clone(), None),
        };
        let all = [HEAD, &body].concat();
        let (mut stream, _) = guard(Pieces::ending(&all, sent));
        let connection = found(&stream).unwrap();
        read_head(&mut stream, read);
        head_read(&connection, "Transfer-Encoding: chunked");
        prop_assert_eq!(read_all(&mut stream, read), expected);
    }

    #[test]
    fn a_length_is_kept_to_the_byte(
        body in prop::collection::vec(any::<u8>(), 0..100),
        behind in prop::collection::vec(any::<u8>(), 0..100),
        sent in 1_usize..80,
        read in 1_usize..80,
    ) {
        let all = [HEAD, &body, &behind].concat();
        let (mut stream, _) = guard(Pieces::ending(&all, sent));
        let connection = found(&stream).unwrap();
        read_head(&mut stream, read);
        head_read(&connection, &format!("Content-Length: {}", body.len()));
        prop_assert_eq!(read_all(&mut stream, read), (body, None));
    }
}

#[tokio::test(start_paused = true)]
async fn each_client_is_introduced_as_itself() {
    let line = Line::open();
    let (one, other) = (IpAddr::from([203, 0, 113, 7]), IpAddr::from([203, 0, 113, 8]));
    let clients = [(one, vec![]), (other, vec![]), (other, vec![one]), (one, vec![other]), (one, vec![])];
    for (address, proxies) in clients {
        let client = Client { address, proxies, host: None };
        assert_eq!(
            *line.connection.introduce(&client, None),
            forwarded::outgoing(&client, None),
            "{client:?}"
        );
    }
}

#[tokio::test]
async fn what_a_client_takes_back_counts_against_what_it_lets_be_answered() {
    let Line { connection, .. } = Line::open();
    let taken_back = || {
        let (mut under_way, number) = UnderWay::enter(&connection);
        under_way.taken_back();
        number
    };
    assert_eq!((taken_back(), taken_back(), connection.taken_back()), (1, 1, 2));
    let (one, first) = UnderWay::enter(&connection);
    let (other, second) = UnderWay::enter(&connection);
    assert_eq!((first, second, connection.taken_back()), (1, 2, 2));
    drop((one, other));
    assert_eq!(connection.taken_back(), 0);
    drop(UnderWay::enter(&connection));
    assert_eq!((connection.taken_back(), taken_back()), (0, 1), "nobody saves up for later");
}
