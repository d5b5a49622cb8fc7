//! The floor: a Pingora proxy that does nothing but forward.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session as Downstream, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::upstreams::peer::HttpPeer;

/// What it needs to know.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    listen: SocketAddr,
    listen_tls: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    upstream: SocketAddr,
    threads: usize,
}

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

/// Serves as the gateway under test does, on as many threads, until killed.
pub(crate) fn serve(arguments: &Arguments) -> crate::Result<ExitCode> {
    let Arguments { listen, listen_tls, certificate, key, upstream, threads } = arguments;
    // The gateway's own, before Pingora installs another.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let conf = ServerConf {
        threads: *threads,
        // Told to stop, it is in no hurry else.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { upstream: *upstream });
    service.add_tcp(&listen.to_string());
    let mut tls = TlsSettings::intermediate(&certificate.to_string_lossy(), &key.to_string_lossy())?;
    tls.enable_h2();
    service.add_tls_with_settings(&listen_tls.to_string(), None, tls);
    server.add_service(service);
    server.run_forever();
}
