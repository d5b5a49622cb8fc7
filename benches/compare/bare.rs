//! The floor: a Pingora proxy that does nothing but forward.

use std::net::SocketAddr;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora::proxy::{ProxyHttp, Session as Downstream, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::upstreams::peer::HttpPeer;

/// Everything is Pingora's default; the address is parsed once, which makes the floor lower.
struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _down: &mut Downstream, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Serves on one thread, as the gateway under test does, until killed.
pub(crate) fn serve(listen: SocketAddr, upstream: SocketAddr) -> crate::Result<ExitCode> {
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever();
}
