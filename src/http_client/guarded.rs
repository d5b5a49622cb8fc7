//! The real client.
//!
//! Redirects aren't followed, the environment's proxy settings aren't looked at, nothing is retried,
//! nothing is decompressed (no bomb can inflate), and a body is given up as soon as it is too long.
//! Errors say what failed; they never hold the address with its query, or a byte of a body.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use url::{Host, Url};

use super::{Config, Error, HttpClient, MAX_BODY, PlainHttp};

const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_mins(1);

/// reqwest, held to the limits: no redirects, no environment proxy, a bounded body, one time limit.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    client: reqwest::Client,
    total_timeout: Duration,
    plain_http: PlainHttp,
}

impl GuardedClient {
    /// Builds a client. Its kept connections belong to the runtime that opened them.
    ///
    /// # Errors
    /// A fault in the certificates or the proxy, as text.
    pub fn new(config: &Config) -> Result<Self, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err("no TLS provider is installed".to_owned());
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(config.connect_timeout)
            .timeout(config.total_timeout)
            .pool_idle_timeout(IDLE)
            .no_proxy();
        if let Some(proxy) = &config.proxy {
            let proxy = reqwest::Proxy::all(proxy.as_str()).map_err(text)?;
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = &config.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(text)?;
            if certificates.is_empty() {
                return Err("the CA file has no certificate".to_owned());
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(text)?;
        Ok(Self { client, total_timeout: config.total_timeout, plain_http: config.plain_http })
    }

    fn fault(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() { Error::TimedOut(self.total_timeout) } else { Error::Unreachable(text(error)) }
    }
}

#[async_trait]
impl HttpClient for GuardedClient {
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Bytes>, Error> {
        let request = reqwest::Request::try_from(request).map_err(|error| self.fault(error))?;
        let protected = match request.url().scheme() {
            "https" => true,
            "http" => self.plain_http == PlainHttp::DangerAnywhere || is_loopback(request.url()),
            _ => false,
        };
        if !protected {
            return Err(Error::Unreachable("the address is neither https nor on loopback".to_owned()));
        }
        let mut answer = self.client.execute(request).await.map_err(|error| self.fault(error))?;
        if announced(&answer).is_some_and(|length| length > MAX_BODY as u64) {
            return Err(Error::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.fault(error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = http::Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.version_mut() = answer.version();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

fn announced(answer: &reqwest::Response) -> Option<u64> {
    answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The error and its causes, without the address: its query may hold what isn't for logs.
fn text(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Whether an address is this machine: `localhost`, 127.0.0.0/8 or `::1`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;

    use rstest::rstest;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    fn config() -> Config {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Config { total_timeout: Duration::from_secs(2), ..Config::default() }
    }

    /// Answers each connection with the same bytes, once the request's head is read.
    fn serve(answer: impl Fn(&mut TcpStream) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                answer(&mut stream);
            }
        });
        address
    }

    fn serve_bytes(answer: &'static [u8]) -> SocketAddr {
        serve(move |stream| stream.write_all(answer).unwrap())
    }

    async fn get(config: &Config, address: &str) -> Result<http::Response<Bytes>, Error> {
        let client = GuardedClient::new(config).unwrap();
        client.send(http::Request::get(address).body(Vec::new()).unwrap()).await
    }

    #[tokio::test]
    async fn brings_status_headers_and_body() {
        let address = serve_bytes(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nhello");
        let answer = get(&config(), &format!("http://{address}/")).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "7");
        assert_eq!(answer.body().as_ref(), b"hello");
    }

    #[tokio::test]
    async fn never_follows_a_redirect() {
        let target = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        let address = serve(move |stream| {
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        });
        let answer = get(&config(), &format!("http://{address}/")).await.unwrap();
        assert_eq!(answer.status(), 302);
    }

    #[rstest]
    #[case::announced("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")]
    #[case::unannounced("HTTP/1.1 200 OK\r\n\r\n")]
    #[tokio::test]
    async fn gives_up_a_body_that_is_too_long(#[case] head: &'static str) {
        let address = serve(move |stream| {
            let chunk = vec![b' '; 64 * 1024];
            let _ = stream.write_all(head.as_bytes());
            for _ in 0..64 {
                if stream.write_all(&chunk).is_err() {
                    return;
                }
            }
        });
        let error = get(&config(), &format!("http://{address}/")).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge), "{error:?}");
    }

    #[tokio::test]
    async fn takes_a_body_of_the_largest_size() {
        let address = serve(|stream| {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {MAX_BODY}\r\n\r\n").unwrap();
            stream.write_all(&vec![b' '; MAX_BODY]).unwrap();
        });
        let answer = get(&config(), &format!("http://{address}/")).await.unwrap();
        assert_eq!(answer.body().len(), MAX_BODY);
    }

    #[rstest]
    #[case::before_the_head(b"")]
    #[case::within_the_body(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")]
    #[tokio::test]
    async fn waits_no_longer_than_the_limit(#[case] start: &'static [u8]) {
        let address = serve(move |stream| {
            stream.write_all(start).unwrap();
            std::thread::sleep(Duration::from_secs(5));
        });
        let config = Config { total_timeout: Duration::from_millis(200), ..config() };
        let error = get(&config, &format!("http://{address}/")).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut(limit) if limit.as_millis() == 200), "{error:?}");
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_none() {
        let address = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}");
        let error = get(&config(), &format!("http://{address}/")).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    }

    #[tokio::test]
    async fn an_error_holds_neither_query_nor_body() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = GuardedClient::new(&config()).unwrap();
        let request = http::Request::post(format!("http://{closed}/?code=canary-1"));
        let error = client.send(request.body(b"code=canary-2".to_vec()).unwrap()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("refused"), "{text}");
    }

    #[rstest]
    #[case::http_elsewhere("http://192.0.2.1/")]
    #[case::a_name_like_localhost("http://localhost.example.com/")]
    #[case::another_scheme("ftp://127.0.0.1/")]
    #[tokio::test]
    async fn speaks_plain_http_on_loopback_alone(#[case] address: &str) {
        let error = get(&config(), address).await.unwrap_err();
        assert!(matches!(&error, Error::Unreachable(_)), "{error:?}");
    }

    #[rstest]
    #[case("http://localhost:8080/", true)]
    #[case("http://LOCALHOST/", true)]
    #[case("http://127.8.9.1/", true)]
    #[case("http://[::1]:1/", true)]
    #[case("http://0.0.0.0/", false)]
    #[case("http://10.0.0.1/", false)]
    #[case("http://localhost.evil.example/", false)]
    fn knows_loopback(#[case] address: &str, #[case] expected: bool) {
        assert_eq!(is_loopback(&Url::parse(address).unwrap()), expected);
    }

    /// A TLS server on loopback that answers 204, and its certificate in PEM.
    fn serve_tls() -> (SocketAddr, Vec<u8>) {
        let _ = config();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from(cert.der().to_vec())];
        let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let tls = Arc::new(tls);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                let mut head = [0; 1024];
                if stream.read(&mut head).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                }
            }
        });
        (address, cert.pem().into_bytes())
    }

    #[tokio::test]
    async fn trusts_the_given_certificates_and_no_others() {
        let (address, pem) = serve_tls();
        let (_, other_pem) = serve_tls();
        let url = format!("https://localhost:{}/", address.port());
        let trusting = Config { ca_pem: Some(pem), ..config() };
        assert_eq!(get(&trusting, &url).await.unwrap().status(), 204);
        let by_address = format!("https://{address}/");
        assert!(matches!(get(&trusting, &by_address).await, Err(Error::Unreachable(_))), "a wrong name");
        for ca_pem in [Some(other_pem), None] {
            let error = get(&Config { ca_pem, ..config() }, &url).await.unwrap_err();
            assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
        }
    }

    #[rstest]
    #[case::empty(b"")]
    #[case::no_pem(b"certificate")]
    fn refuses_a_ca_file_without_certificates(#[case] pem: &[u8]) {
        assert!(GuardedClient::new(&Config { ca_pem: Some(pem.to_vec()), ..config() }).is_err());
    }

    #[tokio::test]
    async fn goes_through_the_proxy_it_is_given() {
        let proxy = serve_bytes(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
        let url = Url::parse(&format!("http://{proxy}/")).unwrap();
        let config = Config { proxy: Some(url), ..config() };
        let error = get(&config, "https://idp.example.com/").await.unwrap_err();
        assert!(matches!(&error, Error::Unreachable(why) if why.contains("proxy")), "{error:?}");
    }
}
