//! An upstream as Pingora's peer: address, trust, time-outs.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use pingora::{Error, ErrorType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::route::upstream::Upstream;

/// The error of an upstream whose name has no address yet.
pub(super) const NO_ADDRESS: ErrorType = ErrorType::Custom("UpstreamNameUnresolved");

/// The peer for one attempt.
///
/// # Errors
/// When the upstream's name has never been resolved.
pub(super) fn of(upstream: &Upstream, request: &RequestHeader) -> pingora::Result<Box<HttpPeer>> {
    let Some(address) = upstream.server.address.load_full() else {
        return Err(Error::explain(NO_ADDRESS, "the upstream's name has no address").into_up());
    };
    let tls = upstream.tls.as_ref();
    // An empty server name would switch verification off; the configuration has none.
    let server_name = tls.map(|tls| tls.server_name.clone()).unwrap_or_default();
    let mut peer = HttpPeer::new(*address, tls.is_some(), server_name);
    // Pingora pools connections by address and name alone: the key keeps trust apart.
    peer.group_key = group_key(upstream);
    let timeouts = &upstream.timeouts;
    let options = &mut peer.options;
    options.alpn = ALPN::H1;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect.saturating_mul(2));
    options.idle_timeout = Some(timeouts.keep_alive);
    // Pingora has one limit for every read: the longer of the two, or what a stream may be silent for.
    // A watch of ours keeps a shorter `first_byte`.
    let read = if is_stream(request) {
        timeouts.stream_idle
    } else {
        timeouts.first_byte.max(timeouts.between_bytes)
    };
    options.read_timeout = Some(read);
    options.write_timeout = Some(timeouts.between_bytes.max(Duration::from_secs(1)));
    if let Some(pem) = tls.and_then(|tls| tls.ca_pem.as_deref()) {
        options.ca = Some(certificates(pem));
    }
    Ok(Box::new(peer))
}

fn is_stream(request: &RequestHeader) -> bool {
    let accepts_events = request
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    accepts_events || asks_for_web_socket(request)
}

/// Whether the request can only be the opening of a WebSocket
/// ([RFC 6455 §4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)): GET, one `Upgrade`, no body.
pub(super) fn asks_for_web_socket(request: &RequestHeader) -> bool {
    let mut upgrades = request.headers.get_all(UPGRADE).iter();
    let one = upgrades.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let body =
        || request.headers.contains_key(CONTENT_LENGTH) || request.headers.contains_key(TRANSFER_ENCODING);
    one && upgrades.next().is_none() && request.method == Method::GET && !body()
}

fn group_key(upstream: &Upstream) -> u64 {
    let Some(tls) = &upstream.tls else { return 0 };
    // Fixed seeds: the same trust must give the same key in every request.
    let mut hasher = foldhash::quality::FixedState::with_seed(0x7665_7374).build_hasher();
    tls.server_name.hash(&mut hasher);
    tls.ca_pem.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

fn certificates(pem: &[u8]) -> Arc<[WrappedX509]> {
    // Read and checked at load; what isn't a certificate would have been a fault there.
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509))
        .collect()
}
