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

use super::{Config, Error, HttpClient, MAX_BODY};

const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// reqwest, held to the limits: no redirects, no environment proxy, a bounded body, one time limit.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    client: reqwest::Client,
    total_timeout: Duration,
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
            let proxy = reqwest::Proxy::all(proxy.as_str()).map_err(|error| text(error))?;
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = &config.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| text(error))?;
            if certificates.is_empty() {
                return Err("the CA file has no certificate".to_owned());
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| text(error))?;
        Ok(Self { client, total_timeout: config.total_timeout })
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
            "http" => is_loopback(request.url()),
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
