//! A recording upstream on raw TCP: it keeps every byte it was sent and every request it could
//! read, and it can misbehave by name.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;
use serde_json::json;

use super::eventually;
use super::listener::Listener;
use super::message::{Request, read_head, read_request_body, request_of};
use super::websocket;

/// What the upstream does with requests to a path.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// 200 and a JSON body with method, target and headers.
    Echo,
    /// Exactly these bytes, and the connection stays open.
    Says(Vec<u8>),
    /// Echo, but only after this long.
    SlowFirstByte(Duration),
    /// Promises 1,000 bytes, sends ten, resets the connection.
    ResetMidBody,
    /// Answers the first request of a connection and closes when the second has come.
    CloseStaleKeepalive,
    /// Accepts a WebSocket and sends every text frame back.
    WebsocketEcho,
    /// One event at once, another after 700 ms.
    ServerSentEvents,
    /// Sends every chunk of the body back as soon as it is there.
    StreamsBack,
    /// Takes the request and never says a word.
    NeverAnswers,
    /// 413 before the body was read, then closes.
    Early413,
    /// Answers until close, ending its side of the connection alone.
    HalfClose,
    /// A chunked body of this many pieces of 1,000 bytes, one after each pause.
    Drips(usize, Duration),
    /// Ends its side of the connection without a word.
    EndsSilently,
    /// Promises 1,000 bytes, sends ten, and throws the connection away (RST).
    Resets,
    /// Reads the head and nothing of the body, for 30 s.
    NeverReads,
    /// Sends what the test hands over, piece by piece, and closes when the test lets go.
    Script(Script),
}

/// What an upstream still has to say.
pub(crate) type Script = Arc<Mutex<mpsc::Receiver<Vec<u8>>>>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which connection it came on.
    pub(crate) connection: usize,
    /// The request.
    pub(crate) request: Request,
}

impl Seen {
    /// The first value of a header; none when the upstream wasn't sent it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.fields.first(name)
    }
}

#[derive(Debug, Default)]
struct Record {
    bytes: HashMap<usize, Vec<u8>>,
    seen: Vec<Seen>,
    behaviours: Vec<(String, Behaviour)>,
}

type Shared = Arc<Mutex<Record>>;

fn lock(record: &Shared) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The upstream; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    listener: Listener,
    record: Shared,
}

impl Upstream {
    /// Starts on a free port and echoes.
    pub(crate) fn start() -> Self {
        let record = Shared::default();
        let kept = Arc::clone(&record);
        let listener = Listener::start(move |stream, connection| {
            // A connection that ends in the middle is what some tests are about.
            let _ = serve(stream, connection, &kept);
        });
        Self { listener, record }
    }

    /// From now on requests to this path are treated so.
    pub(crate) fn at(&self, path: &str, behaviour: Behaviour) {
        lock(&self.record).behaviours.insert(0, (path.to_owned(), behaviour));
    }

    /// The next request to this path is answered with what is sent here, when it is sent.
    pub(crate) fn script(&self, path: &str) -> mpsc::Sender<Vec<u8>> {
        let (say, script) = mpsc::channel();
        self.at(path, Behaviour::Script(Arc::new(Mutex::new(script))));
        say
    }

    /// Its address as a configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Its port.
    pub(crate) const fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Every request seen so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        lock(&self.record).seen.clone()
    }

    /// The requests for this path.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.request.path() == path).collect()
    }

    /// The one request for this path.
    pub(crate) fn only(&self, path: &str) -> Seen {
        let mut seen = self.requests_to(path);
        assert_eq!(seen.len(), 1, "the upstream should have seen one request for {path}");
        seen.remove(0)
    }

    /// The last request for this path, waiting for it a little.
    pub(crate) fn last(&self, path: &str) -> Seen {
        eventually("a request at the upstream", || self.requests_to(path).pop())
    }

    /// All bytes received, of every connection, as Latin-1.
    pub(crate) fn bytes(&self) -> String {
        lock(&self.record).bytes.values().flatten().map(|byte| char::from(*byte)).collect()
    }

    /// Asserts that no request and no byte arrived.
    #[track_caller]
    pub(crate) fn saw_nothing(&self) {
        let record = lock(&self.record);
        let seen: Vec<_> = record.seen.iter().map(|s| &s.request.target).collect();
        assert!(seen.is_empty(), "the upstream saw {seen:?}");
        let bytes: usize = record.bytes.values().map(Vec::len).sum();
        assert_eq!(bytes, 0, "the upstream was sent {bytes} bytes");
    }

    /// Forgets what it saw.
    pub(crate) fn forget(&self) {
        let mut record = lock(&self.record);
        record.seen.clear();
        record.bytes.clear();
    }
}

/// Reads from a connection and keeps a copy of every byte.
struct Tee {
    stream: TcpStream,
    connection: usize,
    record: Shared,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        lock(&self.record).bytes.entry(self.connection).or_default().extend_from_slice(read);
        Ok(count)
    }
}

fn serve(stream: TcpStream, connection: usize, record: &Shared) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(Tee { stream, connection, record: Arc::clone(record) });
    let mut served = 0;
    while let Some(head) = read_head(&mut reader)? {
        let mut request = request_of(&head);
        let behaviour = {
            let record = lock(record);
            let found = record.behaviours.iter().find(|(path, _)| path == request.path());
            found.map_or(Behaviour::Echo, |(_, behaviour)| behaviour.clone())
        };
        let seen = lock(record).seen.len();
        lock(record).seen.push(Seen { connection, request: request.clone() });
        match behaviour {
            Behaviour::WebsocketEcho => return websocket::serve(&request, &mut reader, &mut out),
            Behaviour::StreamsBack => {
                streams_back(&mut reader, &mut out)?;
                continue;
            }
            Behaviour::Early413 => {
                out.write_all(
                    b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                )?;
                return out.shutdown(Shutdown::Both);
            }
            Behaviour::NeverReads => {
                thread::sleep(Duration::from_secs(30));
                return Ok(());
            }
            _ => {}
        }
        let mut body = Vec::new();
        request.complete = read_request_body(&mut reader, &request.fields, &mut body);
        request.body = body;
        if let Some(kept) = lock(record).seen.get_mut(seen) {
            kept.request.clone_from(&request);
        }
        match behaviour {
            Behaviour::Says(bytes) => out.write_all(&bytes)?,
            Behaviour::SlowFirstByte(wait) => {
                thread::sleep(wait);
                out.write_all(&echo(&request))?;
            }
            Behaviour::ResetMidBody => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")?;
                return out.shutdown(Shutdown::Both);
            }
            Behaviour::CloseStaleKeepalive if served > 0 => return out.shutdown(Shutdown::Both),
            Behaviour::ServerSentEvents => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")?;
                thread::sleep(Duration::from_millis(700));
                out.write_all(b"data: two\n\n")?;
                return out.shutdown(Shutdown::Both);
            }
            Behaviour::NeverAnswers => {
                let mut nothing = [0];
                while reader.read(&mut nothing)? > 0 {}
                return Ok(());
            }
            Behaviour::HalfClose => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil close")?;
                out.shutdown(Shutdown::Write)?;
            }
            Behaviour::Drips(pieces, pause) => {
                out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for _ in 0..pieces {
                    thread::sleep(pause);
                    out.write_all(format!("3e8\r\n{}\r\n", "d".repeat(1_000)).as_bytes())?;
                }
                out.write_all(b"0\r\n\r\n")?;
            }
            Behaviour::EndsSilently => {
                out.shutdown(Shutdown::Write)?;
                while reader.read(&mut [0])? > 0 {}
                return Ok(());
            }
            Behaviour::Resets => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")?;
                // What was sent is meant to arrive first.
                thread::sleep(Duration::from_millis(100));
                let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&out, Linger, &at_once)?;
                return Ok(());
            }
            Behaviour::Script(script) => {
                let script = script.lock().unwrap_or_else(PoisonError::into_inner);
                while let Ok(piece) = script.recv() {
                    out.write_all(&piece)?;
                }
                return out.shutdown(Shutdown::Both);
            }
            _ => out.write_all(&echo(&request))?,
        }
        served += 1;
    }
    Ok(())
}

fn echo(request: &Request) -> Vec<u8> {
    let headers: Vec<_> = request.fields.iter().collect();
    let body = json!({
        "method": request.method,
        "target": request.target,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
    })
    .to_string();
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    if request.method != "HEAD" {
        bytes.push_str(&body);
    }
    bytes.into_bytes()
}

fn streams_back(reader: &mut impl io::BufRead, out: &mut TcpStream) -> io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        out.write_all(line.as_bytes())?;
        out.write_all(&chunk)?;
        if size == 0 {
            return Ok(());
        }
    }
}
