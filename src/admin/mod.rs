//! The admin listener: health, readiness, metrics. Never the public one.

mod health;

pub use health::{Health, Readiness};

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

/// `admin`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `address`: /healthz, /readyz and /metrics.
    pub address: AdminAddress,
    /// `probes`: the same and never more, for a listener that others reach; absent means not listening.
    pub probes: Option<SocketAddr>,
}

/// Where the admin listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAddress {
    /// Written by the operator; failing to bind it ends the process.
    Chosen(SocketAddr),
    /// 127.0.0.1:9900, which nobody asked for: when it is taken, the gateway warns and goes on.
    Default(SocketAddr),
}

/// Answers on an admin listener.
pub struct Admin {
    health: Arc<Health>,
}

impl Admin {
    /// Answers from this.
    #[must_use]
    pub const fn new(health: Arc<Health>) -> Self {
        Self { health }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let head = request.method == Method::HEAD;
        if !head && request.method != Method::GET {
            return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
        }
        let path = request.uri.path().to_owned();
        let mut response = match path.as_str() {
            "/healthz" => answer(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".into()),
            "/readyz" => {
                let (status, body) = self.health.ready().await;
                answer(status, "application/json", body)
            }
            "/metrics" => {
                answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.health.metrics())
            }
            _ => answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "not found\n".into()),
        };
        if head {
            response.body_mut().clear();
        }
        response
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status;
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(http::header::CONTENT_LENGTH, length.into());
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
