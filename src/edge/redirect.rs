//! Listeners that only say: the same address, over https.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::traits::Traits;
use super::wire::Connection;
use crate::gateway::Gateway;
use crate::route::origin::Authority;
use crate::route::path;

/// Answers 308 to the https origin of the host, 421 for a host that isn't ours.
pub struct RedirectToHttps {
    gateway: Arc<Gateway>,
}

impl RedirectToHttps {
    /// Redirects to the origins of `gateway`.
    #[must_use]
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    fn target(&self, session: &ServerSession) -> Result<String, StatusCode> {
        let request = session.req_header();
        let mut hosts = request.headers.get_all(http::header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(StatusCode::BAD_REQUEST) };
        let host = host.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
        let authority = Authority::parse(host).map_err(|_| StatusCode::BAD_REQUEST)?;
        let origin = self.gateway.origins.https_of(&authority.host).ok_or(StatusCode::MISDIRECTED_REQUEST)?;
        path::refuse_malformed(request.uri.path()).map_err(|_| StatusCode::BAD_REQUEST)?;
        let target = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok(format!("{}{target}", origin.text))
    }
}

#[async_trait]
impl ServeHttp for RedirectToHttps {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if let Some(connection) = Connection::of(session.digest()) {
            connection.head_read(session.req_header(), Traits::of(session.req_header()));
        }
        // Whoever follows it goes to another port: nothing more is expected here.
        session.set_keepalive(None);
        let mut response = Response::new(Vec::new());
        match self.target(session).map(|target| HeaderValue::from_str(&target)) {
            Ok(Ok(target)) => {
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(http::header::LOCATION, target);
            }
            Ok(Err(_)) => *response.status_mut() = StatusCode::BAD_REQUEST,
            Err(status) => *response.status_mut() = status,
        }
        response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    }
}
