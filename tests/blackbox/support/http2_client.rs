//! A client that speaks HTTP/2 and nothing else, frame by frame, and a site over TLS for it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, SendStream};
use http::{HeaderMap, Request};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::browser::Browser;
use super::config::Config;
use super::site::Site;
use super::upstream::Upstream;

/// How long anything may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(20);

/// A self-signed certificate for these names, and its key (PEM).
pub(crate) fn certificate(names: &[&str]) -> (String, String) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A site over TLS, somebody's session there, and a connection to it.
pub(crate) struct TlsSite {
    pub(crate) site: Site,
    /// `name=value`.
    pub(crate) cookie: String,
    pub(crate) client: Http2Client,
    /// PEM.
    pub(crate) certificate: String,
}

impl TlsSite {
    /// With an edited configuration, and Ada signed in.
    pub(crate) fn with(edit: impl FnOnce(Config, &Upstream) -> Config) -> Self {
        // The tests have one TLS provider, as the gateway has.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (certificate, key) = certificate(&["localhost"]);
        let site = Site::with(|config, upstream| edit(config.tls(&certificate, &key), upstream));
        let browser = Browser::trusting(&certificate);
        site.sign_in(&browser);
        let session = browser.cookie(&site.url("/"), "__Host-vestibule").expect("a session");
        let client = Http2Client::connect(site.gateway.port(), &certificate);
        Self { site, cookie: format!("__Host-vestibule={session}"), client, certificate }
    }

    /// A request for a path of this site.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(self.site.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// How the stream ended: by END_STREAM, or not.
    pub(crate) end: Result<(), Option<Reason>>,
}

impl Answer {
    /// A header, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// One connection.
pub(crate) struct Http2Client {
    pub(crate) runtime: Runtime,
    pub(crate) sender: SendRequest<Bytes>,
}

impl Http2Client {
    /// Connects to `localhost` at this port, trusting this certificate (PEM).
    pub(crate) fn connect(port: u16, certificate: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut roots = rustls::RootCertStore::empty();
        let trusted = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        roots.add(trusted).expect("a certificate");
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the port listens");
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
            let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(async move {
                let _ = connection.await;
            });
            sender
        });
        Self { runtime, sender }
    }

    /// Sends a request with a body in these pieces, and reads its answer to the end.
    pub(crate) fn send(&self, request: Request<()>, body: &[&[u8]]) -> Answer {
        self.exchange(request, body, None)
    }

    /// The same, with trailers after the body.
    pub(crate) fn exchange(
        &self,
        request: Request<()>,
        body: &[&[u8]],
        trailers: Option<HeaderMap>,
    ) -> Answer {
        self.runtime.block_on(async {
            let mut sender = self.sender.clone().ready().await.expect("a stream");
            let bare = body.is_empty() && trailers.is_none();
            let (response, mut out) = sender.send_request(request, bare).expect("a request that can be sent");
            for (index, piece) in body.iter().enumerate() {
                let last = index + 1 == body.len() && trailers.is_none();
                // The answer may be there, and the stream gone, before everything was sent.
                if write(&mut out, piece, last).await.is_err() {
                    break;
                }
            }
            if let Some(trailers) = trailers {
                let _ = out.send_trailers(trailers);
            }
            let answer = read(response);
            tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")
        })
    }
}

/// Sends one piece as flow control lets it.
pub(crate) async fn write(out: &mut SendStream<Bytes>, piece: &[u8], last: bool) -> Result<(), h2::Error> {
    let mut left = Bytes::copy_from_slice(piece);
    if left.is_empty() {
        return out.send_data(left, last);
    }
    while !left.is_empty() {
        out.reserve_capacity(left.len());
        match std::future::poll_fn(|cx| out.poll_capacity(cx)).await {
            Some(room) => {
                let part = left.split_to(room?.min(left.len()));
                out.send_data(part, last && left.is_empty())?;
            }
            None => return Err(Reason::STREAM_CLOSED.into()),
        }
    }
    Ok(())
}

/// Reads an answer to its end; status 0 when the stream ended without one.
pub(crate) async fn read(response: h2::client::ResponseFuture) -> Answer {
    let response = match response.await {
        Ok(response) => response,
        Err(error) => {
            return Answer {
                status: 0,
                headers: HeaderMap::new(),
                body: Vec::new(),
                trailers: None,
                end: Err(error.reason()),
            };
        }
    };
    let (head, mut stream) = response.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Vec::new(),
        trailers: None,
        end: Ok(()),
    };
    while let Some(piece) = stream.data().await {
        match piece {
            Ok(piece) => {
                let _ = stream.flow_control().release_capacity(piece.len());
                answer.body.extend_from_slice(&piece);
            }
            Err(error) => {
                answer.end = Err(error.reason());
                return answer;
            }
        }
    }
    match stream.trailers().await {
        Ok(trailers) => answer.trailers = trailers,
        Err(error) => answer.end = Err(error.reason()),
    }
    answer
}
