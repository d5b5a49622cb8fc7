//! The clients' connections: HTTP/1.1 kept alive, in the clear or over TLS, and HTTP/2 with many streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::acts::{Act, Patience, Protocol, Purpose, Request};
use super::dice::Dice;
use super::judge::{Answer, Outcome};
use super::message::Reader;
use super::moment::Moment;
use super::session::Store;
use super::settings::STREAMS;
use super::world::{HOST, World};

/// Nothing takes so long, on whatever machine.
const HUNG: Duration = Duration::from_mins(1);
/// How long a client waits that has nothing to do.
const REST: Duration = Duration::from_millis(10);

/// One connection's place: when it ends, another one takes it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) world: Arc<World>,
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) dice: Dice,
}

/// A client that trusts this certificate alone.
pub(crate) fn trusting(certificate: &CertificateDer<'static>, protocol: Protocol) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    Arc::new(config)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Place {
    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(HOST).expect("a name");
        Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
    }

    /// Something to do, once there is room for it.
    async fn next(&mut self, protocol: Protocol) -> Option<Act> {
        while self.world.pace.begin().await {
            let act = self.world.next(self.store, protocol, &mut self.dice);
            if act.is_some() {
                return act;
            }
            self.world.pace.end();
            tokio::time::sleep(REST).await;
        }
        None
    }

    fn settle(&mut self, act: &Act, outcome: &Outcome) {
        self.world.pace.end();
        // What waits for the provider says nothing of the machine.
        if matches!((&act.purpose, outcome), (Purpose::Ask(_), Outcome::Answered(_))) {
            self.world.pace.note(Moment::now().since(act.sent));
        }
        self.world.settle(act, outcome, &mut self.dice);
    }

    /// One request after the other, until the run is over.
    pub(crate) async fn http1(mut self) {
        while !self.world.is_over() {
            let Ok(stream) = self.connect().await else {
                tokio::time::sleep(REST).await;
                continue;
            };
            let mut reader = Reader::new(stream);
            while !self.world.is_over() {
                let Some(act) = self.next(Protocol::Http1).await else { return };
                let (outcome, goes_on) = ask(&mut reader, &act).await;
                self.settle(&act, &outcome);
                if !goes_on {
                    break;
                }
            }
        }
    }

    /// Many at once, until the run is over.
    pub(crate) async fn http2(mut self) {
        while !self.world.is_over() {
            let Ok(stream) = self.connect().await else {
                tokio::time::sleep(REST).await;
                continue;
            };
            let Ok((send, connection)) = h2::client::handshake(stream).await else { continue };
            let connection = tokio::spawn(connection);
            let mut streams = JoinSet::new();
            for _ in 0..STREAMS {
                let dice = Dice::new(self.dice.roll(), 0);
                streams.spawn(Self { dice, ..self.clone() }.streams(send.clone()));
            }
            while streams.join_next().await.is_some() {}
            drop(send);
            connection.abort();
        }
    }

    /// One stream after the other, as long as the connection lasts.
    async fn streams(mut self, mut send: SendRequest<Bytes>) {
        while !self.world.is_over() {
            let Ok(ready) = send.ready().await else { return };
            send = ready;
            let Some(act) = self.next(Protocol::Http2).await else { return };
            let outcome = stream(&mut send, &act).await;
            self.settle(&act, &outcome);
        }
    }
}

/// One exchange, and whether the connection can be used again.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(reader: &mut Reader<S>, act: &Act) -> (Outcome, bool) {
    let (patience, hung) = limit(act.patience);
    let asking = async {
        reader.inner().write_all(&head(&act.request)).await.ok()?;
        let head = reader.head().await.ok()??;
        if act.patience == Patience::FirstBytes {
            return Some(None);
        }
        let status: u16 = head.word(1).parse().ok()?;
        let body = match act.request.method {
            "HEAD" => Vec::new(),
            _ => reader.body(head.length()?).await.ok()?,
        };
        let goes_on = head.field("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
        Some(Some((Answer { status, fields: head.fields, body }, goes_on)))
    };
    match timeout(patience, asking).await {
        Ok(Some(Some((answer, goes_on)))) => (Outcome::Answered(answer), goes_on),
        Ok(Some(None)) => (Outcome::GivenUp, false),
        Ok(None) => (Outcome::Lost, false),
        Err(_) => (hung, false),
    }
}

fn limit(patience: Patience) -> (Duration, Outcome) {
    match patience {
        Patience::Until(limit) => (limit, Outcome::GivenUp),
        Patience::Whole | Patience::FirstBytes => (HUNG, Outcome::Hung),
    }
}

fn head(request: &Request) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {HOST}\r\n", request.method, request.target);
    for (name, value) in &request.fields {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if let Some(body) = &request.body {
        text.push_str("content-type: application/x-www-form-urlencoded\r\n");
        text.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n", body]);
    } else {
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// One exchange on a stream of its own.
async fn stream(send: &mut SendRequest<Bytes>, act: &Act) -> Outcome {
    let (patience, hung) = limit(act.patience);
    let mut request = http::Request::builder()
        .method(act.request.method)
        .uri(format!("https://{HOST}{}", act.request.target))
        .version(http::Version::HTTP_2);
    for (name, value) in &act.request.fields {
        request = request.header(*name, value);
    }
    if let Some(body) = &act.request.body {
        request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-length", body.len());
    }
    let request = request.body(()).expect("a request");
    let asking = async {
        let (response, mut sending) = send.send_request(request, act.request.body.is_none()).ok()?;
        if let Some(body) = &act.request.body {
            sending.send_data(Bytes::from(body.clone()), true).ok()?;
        }
        let (head, mut receiving) = response.await.ok()?.into_parts();
        if act.patience == Patience::FirstBytes {
            return Some(None);
        }
        let mut body = Vec::new();
        while let Some(part) = receiving.data().await {
            let part = part.ok()?;
            body.extend_from_slice(&part);
            receiving.flow_control().release_capacity(part.len()).ok()?;
        }
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Some(Some(Answer { status: head.status.as_u16(), fields, body }))
    };
    match timeout(patience, asking).await {
        Ok(Some(Some(answer))) => Outcome::Answered(answer),
        Ok(Some(None)) => Outcome::GivenUp,
        Ok(None) => Outcome::Lost,
        Err(_) => hung,
    }
}
