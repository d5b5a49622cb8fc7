//! A recording upstream over HTTP/2, with or without TLS, that can misbehave by name.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::eventually;

/// What the upstream does with requests to a path.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// 200, the request's body, and a trailer `x-checksum`.
    EchoWithTrailers,
    /// Every piece of the body goes back as soon as it is there, then a trailer.
    StreamsBack,
    /// This final status, headers and trailers around this body.
    Says(u16, &'static [(&'static str, &'static str)], &'static [u8]),
    /// Takes the request and never says a word.
    NeverAnswers,
    /// A head, ten bytes, then silence.
    StallsMidBody,
    /// A head, ten bytes, then RST_STREAM.
    ResetsMidBody,
    /// A head that promises 1,000 bytes, ten of them, then the end.
    EndsShort,
    /// The first stream of each connection is refused, untouched.
    RefusesFirst,
    /// 204, and the connection takes no further request.
    GoesAway,
    /// RST_STREAM with this reason, once the head is read.
    Resets(Reason),
    /// So many 103 before the answer.
    Announces(usize),
    /// 413 at once; the body is never read.
    Early413,
    /// Reads nothing of the body and never answers.
    NeverReads,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which connection it came on.
    pub(crate) connection: usize,
    pub(crate) head: Arc<http::request::Parts>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(crate) complete: bool,
    /// Whether the stream was reset by the gateway.
    pub(crate) reset: Option<Reason>,
}

impl Seen {
    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// `:authority`.
    pub(crate) fn authority(&self) -> &str {
        self.head.uri.authority().map_or("", http::uri::Authority::as_str)
    }
}

#[derive(Debug, Default)]
struct Record {
    seen: Vec<Seen>,
    acts: Vec<(String, Act)>,
    connections: usize,
    refused: Vec<usize>,
}

type Shared = Arc<Mutex<Record>>;

fn lock(record: &Shared) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The upstream; it stops when dropped.
pub(crate) struct Http2Upstream {
    port: u16,
    scheme: &'static str,
    record: Shared,
    runtime: Option<Runtime>,
}

impl Http2Upstream {
    /// Without TLS.
    pub(crate) fn plain() -> Self {
        Self::start(None, "http")
    }

    /// With this certificate and key (PEM), agreeing to these protocols alone.
    pub(crate) fn tls(certificate: &str, key: &str, protocols: &[&str]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.expect("a certificate"), key)
            .expect("a certificate and its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), "https")
    }

    fn start(tls: Option<TlsAcceptor>, scheme: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        listener.set_nonblocking(true).expect("a listener that doesn't block");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let record = Shared::default();
        let kept = Arc::clone(&record);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, kept) = (tls.clone(), Arc::clone(&kept));
                let number = {
                    let mut record = lock(&kept);
                    record.connections += 1;
                    record.connections
                };
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, number, kept).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, number, kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, scheme, record, runtime: Some(runtime) }
    }

    /// From now on requests to this path are treated so.
    pub(crate) fn at(&self, path: &str, act: Act) {
        lock(&self.record).acts.insert(0, (path.to_owned(), act));
    }

    /// Its address as a configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The requests for this path.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Seen> {
        lock(&self.record).seen.iter().filter(|seen| seen.head.uri.path() == path).cloned().collect()
    }

    /// The one request for this path, once its body has come to an end.
    #[track_caller]
    pub(crate) fn only(&self, path: &str) -> Seen {
        let mut seen = eventually("a whole request at the upstream", || {
            Some(self.requests_to(path)).filter(|seen| seen.iter().any(|seen| seen.complete))
        });
        assert_eq!(seen.len(), 1, "the upstream should have seen one request for {path}");
        seen.remove(0)
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.record).connections
    }
}

impl Drop for Http2Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(1)));
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, connection: usize, record: Shared) {
    // 64 KiB for a stream, as the protocol starts: who doesn't read is felt soon.
    let Ok(mut open) = h2::server::Builder::new().handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = open.accept().await {
        let act = {
            let record = lock(&record);
            let found = record.acts.iter().find(|(path, _)| path == request.uri().path());
            found.map_or(Act::EchoWithTrailers, |(_, act)| act.clone())
        };
        let leaves = matches!(act, Act::GoesAway);
        tokio::spawn(answer(request, respond, connection, act, Arc::clone(&record)));
        if leaves {
            open.graceful_shutdown();
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: usize,
    act: Act,
    record: Shared,
) {
    let (received, mut body) = request.into_parts();
    let index = {
        let mut record = lock(&record);
        if matches!(act, Act::RefusesFirst) && !record.refused.contains(&connection) {
            record.refused.push(connection);
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        record.seen.push(Seen {
            connection,
            head: Arc::new(received),
            body: Vec::new(),
            complete: false,
            reset: None,
        });
        record.seen.len() - 1
    };
    match act {
        Act::Early413 => {
            // What is left of the body is refused when it is let go of: RST_STREAM(NO_ERROR).
            let _ = respond.send_response(head(413, &[]), true);
            return;
        }
        Act::NeverReads => {
            // Held, not read: nothing more may be sent once the window is full.
            std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok();
            drop(body);
            return;
        }
        Act::StreamsBack => {
            let Ok(mut out) = respond.send_response(head(200, &[]), false) else { return };
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                if out.send_data(piece, false).is_err() {
                    return;
                }
            }
            let _ = out.send_trailers(trailers(&[("x-checksum", "streamed")]));
            return;
        }
        _ => {}
    }
    let mut whole = Vec::new();
    let mut complete = true;
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                let _ = body.flow_control().release_capacity(piece.len());
                whole.extend_from_slice(&piece);
            }
            Err(error) => {
                complete = false;
                lock(&record).seen[index].reset = error.reason();
            }
        }
        if !complete {
            break;
        }
    }
    {
        let mut record = lock(&record);
        record.seen[index].body.clone_from(&whole);
        record.seen[index].complete = complete;
    }
    if complete {
        finish(respond, act, whole, &record, index).await;
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut head = Response::builder().status(status);
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    head.body(()).expect("a head")
}

/// What is done once the whole request is there.
async fn finish(mut respond: SendResponse<Bytes>, act: Act, whole: Vec<u8>, record: &Shared, index: usize) {
    match act {
        Act::NeverAnswers => note_reset(&mut respond, record, index).await,
        Act::GoesAway => drop(respond.send_response(head(204, &[]), true)),
        Act::Resets(reason) => respond.send_reset(reason),
        Act::Says(status, headers, said) => {
            if let Ok(mut out) = respond.send_response(head(status, headers), said.is_empty()) {
                let _ = out.send_data(Bytes::from_static(said), true);
            }
        }
        Act::EndsShort | Act::StallsMidBody | Act::ResetsMidBody => {
            let promise: &[_] =
                if matches!(act, Act::EndsShort) { &[("content-length", "1000")] } else { &[] };
            let Ok(mut out) = respond.send_response(head(200, promise), false) else { return };
            let _ = out.send_data(Bytes::from_static(b"0123456789"), matches!(act, Act::EndsShort));
            if matches!(act, Act::ResetsMidBody) {
                // Whatever was sent is meant to arrive first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                out.send_reset(Reason::INTERNAL_ERROR);
            }
            if matches!(act, Act::StallsMidBody) {
                note_stream_reset(&mut out, record, index).await;
            }
        }
        Act::Announces(count) => {
            for _ in 0..count {
                if respond.send_informational(head(103, &[("link", "</a.css>")])).is_err() {
                    return;
                }
            }
            let _ = respond.send_response(head(204, &[]), true);
        }
        _ => {
            let Ok(mut out) = respond.send_response(head(200, &[]), false) else { return };
            let _ = out.send_data(Bytes::from(whole), false);
            let _ = out.send_trailers(trailers(&[("x-checksum", "right"), ("x-other", "too")]));
        }
    }
}

async fn note_reset(respond: &mut SendResponse<Bytes>, record: &Shared, index: usize) {
    let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok();
    lock(record).seen[index].reset = reason;
}

async fn note_stream_reset(out: &mut SendStream<Bytes>, record: &Shared, index: usize) {
    let reason = std::future::poll_fn(|cx| out.poll_reset(cx)).await.ok();
    lock(record).seen[index].reset = reason;
}

fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
        .collect()
}
