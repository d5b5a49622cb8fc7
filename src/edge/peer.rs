//! An upstream as Pingora's peer: address, trust, protocol, time-outs.

use std::hash::{BuildHasher, Hash};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Version;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use pingora::{Error, ErrorType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::traits::{Trait, Traits};
use crate::route::upstream::{Protocol, Timeouts, Upstream};

/// The error of an upstream whose name has no address yet.
pub(super) const NO_ADDRESS: ErrorType = ErrorType::Custom("UpstreamNameUnresolved");
/// The error of an upstream that was to speak HTTP/2 and didn't agree to it.
pub(super) const NOT_HTTP2: ErrorType = ErrorType::Custom("UpstreamWithoutHttp2");

/// Requests at a time on one HTTP/2 connection; for more, another one is opened.
const STREAMS: usize = 100;
/// What an upstream may send ahead for one request over HTTP/2, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a whole connection: enough for all its streams, so that clients who don't read hold
/// up nobody but themselves.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;

/// The peer for one attempt.
///
/// # Errors
/// When the upstream's name has never been resolved.
pub(super) fn of(upstream: &Upstream, version: Version, traits: Traits) -> pingora::Result<Box<HttpPeer>> {
    let address = upstream.server.address.load();
    let Some(address) = address.as_deref() else {
        return Err(Error::explain(NO_ADDRESS, "the upstream's name has no address").into_up());
    };
    let Some(prepared) = upstream.prepared.get_or_make(|| prepare(upstream)) else {
        return Err(Error::explain(ErrorType::InternalError, "an upstream prepared by somebody else"));
    };
    let mut peer = Box::new(HttpPeer::clone(prepared));
    peer._address = (*address).into();
    let web_socket = traits.have(Trait::WebSocket);
    if upstream.protocol.is_http2() || version == Version::HTTP_2 {
        // Pingora has one limit for every read: the longer of the two, or what a stream may be silent for. It
        // counts only while it reads, so that a client who takes its time isn't held against the upstream.
        let Timeouts { first_byte, between_bytes, stream_idle, .. } = upstream.timeouts;
        let longer = first_byte.max(between_bytes);
        peer.options.read_timeout = Some(if traits.have(Trait::Stream) { stream_idle } else { longer });
    }
    if has_no_body(version, traits) && !web_socket {
        // All of it leaves in one write, and what waits for the answer has its own limit.
        peer.options.write_timeout = None;
    }
    if web_socket {
        // A connection of its own, opened by the thread that uses it and never kept.
        peer.group_key = peer.group_key.wrapping_add(1);
        peer.options.idle_timeout = Some(Duration::ZERO);
    }
    Ok(peer)
}

/// How long an answer may take to begin, and how long it may be silent then.
pub(super) fn patience(upstream: &Upstream, traits: Traits) -> (Duration, Duration) {
    let timeouts = &upstream.timeouts;
    let silent = if traits.have(Trait::Stream) { timeouts.stream_idle } else { timeouts.between_bytes };
    (timeouts.first_byte, silent)
}

/// All that is the same for every request: certificates are parsed and keys hashed here alone.
fn prepare(upstream: &Upstream) -> HttpPeer {
    let tls = upstream.tls.as_ref();
    // An empty server name would switch verification off; the configuration has none.
    let server_name = tls.map(|tls| tls.server_name.clone()).unwrap_or_default();
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut peer = HttpPeer::new(nowhere, tls.is_some(), server_name);
    // Pingora pools connections by address and name alone: the key keeps trust and protocol apart.
    peer.group_key = group_key(upstream);
    let timeouts = &upstream.timeouts;
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect.saturating_mul(2));
    if upstream.protocol.is_http2() {
        options.idle_timeout = Some(timeouts.keep_alive);
    }
    options.write_timeout = Some(timeouts.between_bytes.max(Duration::from_secs(1)));
    if let Some(pem) = tls.and_then(|tls| tls.ca_pem.as_deref()) {
        options.ca = Some(certificates(pem));
    }
    options.alpn = ALPN::H1;
    if upstream.protocol.is_http2() {
        // Nothing older is offered, so nothing older is fallen back to.
        options.alpn = ALPN::H2;
        options.max_h2_streams = STREAMS;
        options.h2_stream_window_size = Some(STREAM_WINDOW);
        options.h2_connection_window_size = Some(CONNECTION_WINDOW);
        // A dead connection is found out by TCP. gRPC servers end connections that PING more often than
        // every five minutes, and with them the calls of everybody.
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            user_timeout: Duration::ZERO,
        });
    }
    peer
}

/// Whether the head is all there is of an HTTP/1 request
/// ([RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)).
fn has_no_body(version: Version, traits: Traits) -> bool {
    let framed = traits.have(Trait::ContentLength) || traits.have(Trait::TransferEncoding);
    version != Version::HTTP_2 && !framed
}

/// What keeps pooled connections apart that differ in more than address and name.
fn group_key(upstream: &Upstream) -> u64 {
    if upstream.tls.is_none() && upstream.protocol == Protocol::Http1 {
        return 0;
    }
    // Fixed seeds: the same trust must give the same key whenever the configuration is read.
    let mut hasher = foldhash::quality::FixedState::with_seed(0x7665_7374).build_hasher();
    upstream.protocol.hash(&mut hasher);
    if let Some(tls) = &upstream.tls {
        tls.server_name.hash(&mut hasher);
        tls.ca_pem.hash(&mut hasher);
    }
    std::hash::Hasher::finish(&hasher)
}

fn certificates(pem: &[u8]) -> Arc<[WrappedX509]> {
    // Read and checked at load; what isn't a certificate would have been a fault there.
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509))
        .collect()
}

#[cfg(test)]
mod tests {
    use pingora::http::RequestHeader;
    use pingora::upstreams::peer::Peer as _;
    use rstest::rstest;

    use super::*;
    use crate::route::upstream::{HostHeader, Prepared, Retries, Server, UpstreamTls};

    fn upstream(protocol: Protocol, tls: impl Into<Option<UpstreamTls>>) -> Upstream {
        Upstream {
            server: Server::new("127.0.0.1", 9000),
            host: HostHeader::Preserve,
            protocol,
            strip_prefix: None,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            tls: tls.into(),
            prepared: Prepared::default(),
        }
    }

    fn trusting(name: &str, ca_pem: Option<&[u8]>) -> UpstreamTls {
        UpstreamTls { server_name: name.to_owned(), ca_pem: ca_pem.map(<[u8]>::to_vec) }
    }

    fn of(upstream: &Upstream, headers: &[(&'static str, &'static str)]) -> pingora::Result<Box<HttpPeer>> {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in headers {
            request.insert_header(*name, *value).unwrap();
        }
        super::of(upstream, request.version, Traits::of(&request))
    }

    #[test]
    fn connections_of_another_trust_or_protocol_are_never_shared() {
        let ways = [
            upstream(Protocol::Http1, None),
            upstream(Protocol::H2c, None),
            upstream(Protocol::Http1, trusting("a.test", None)),
            upstream(Protocol::H2, trusting("a.test", None)),
            upstream(Protocol::H2, trusting("b.test", None)),
            upstream(Protocol::H2, trusting("a.test", Some(b"one"))),
            upstream(Protocol::H2, trusting("a.test", Some(b"another"))),
            upstream(Protocol::Http1, trusting("a.test", Some(b"one"))),
        ];
        let keys: std::collections::HashSet<_> =
            ways.iter().map(|way| of(way, &[]).unwrap().reuse_hash()).collect();
        assert_eq!(keys.len(), ways.len());
    }

    #[test]
    fn a_web_socket_has_a_connection_of_its_own() {
        let upstream = upstream(Protocol::Http1, None);
        let socket = of(&upstream, &[("upgrade", "websocket")]).unwrap();
        assert_ne!(socket.reuse_hash(), of(&upstream, &[]).unwrap().reuse_hash());
        assert_eq!(socket.options.idle_timeout, Some(Duration::ZERO));
    }

    #[test]
    fn the_same_trust_shares_connections_between_routes() {
        let hash =
            || of(&upstream(Protocol::H2, trusting("a.test", Some(b"one"))), &[]).unwrap().reuse_hash();
        assert_eq!(hash(), hash());
    }

    #[test]
    fn an_address_that_changes_is_used_at_once() {
        let upstream = upstream(Protocol::Http1, None);
        assert_eq!(of(&upstream, &[]).unwrap()._address.to_string(), "127.0.0.1:9000");
        upstream.server.address.store(Some(Arc::new(SocketAddr::from(([127, 0, 0, 2], 9001)))));
        assert_eq!(of(&upstream, &[]).unwrap()._address.to_string(), "127.0.0.2:9001");
        upstream.server.address.store(None);
        assert_eq!(of(&upstream, &[]).unwrap_err().etype, NO_ADDRESS);
    }

    #[rstest]
    #[case::a_page(&[("accept", "text/html")], 60)]
    #[case::events(&[("accept", "text/event-stream")], 3600)]
    #[case::grpc(&[("content-type", "application/grpc+proto")], 3600)]
    #[case::grpc_web(&[("content-type", "application/grpc-web")], 60)]
    #[case::a_web_socket(&[("upgrade", "websocket")], 3600)]
    fn a_stream_may_be_silent_for_longer(
        #[case] headers: &[(&'static str, &'static str)],
        #[case] seconds: u64,
    ) {
        let limit = Duration::from_secs(seconds);
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in headers {
            request.insert_header(*name, *value).unwrap();
        }
        let traits = Traits::of(&request);
        let first_byte = Duration::from_mins(1);
        assert_eq!(patience(&upstream(Protocol::Http1, None), traits), (first_byte, limit));
        let peer = super::of(&upstream(Protocol::H2c, None), request.version, traits).unwrap();
        assert_eq!(peer.options.read_timeout, Some(limit));
    }

    #[test]
    fn what_our_own_clock_times_pingora_does_not() {
        let peer = of(&upstream(Protocol::Http1, None), &[]).unwrap();
        assert_eq!((peer.options.read_timeout, peer.options.idle_timeout), (None, None));
        let peer = of(&upstream(Protocol::H2c, None), &[]).unwrap();
        assert!(peer.options.read_timeout.is_some() && peer.options.idle_timeout.is_some());
    }

    #[test]
    fn http2_offers_nothing_older() {
        let peer = of(&upstream(Protocol::H2, trusting("a.test", None)), &[]).unwrap();
        assert_eq!(peer.options.alpn.get_min_http_version(), 2);
        let peer = of(&upstream(Protocol::Http1, trusting("a.test", None)), &[]).unwrap();
        assert_eq!(peer.options.alpn.get_max_http_version(), 1);
    }
}
