//! Connections: how many there may be, TLS as it is spoken, certificates that change.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use rustls::client::{ClientConnection, Resumption};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;

use crate::support::raw::Raw;
use crate::support::site::Site;

/// How long something may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(20);

fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let since = vestibule::clock::Stopwatch::start();
    while since.elapsed() < patience {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Opens connections that each ask once and stay, until one is refused; how many got an answer.
fn hold(site: &Site, most: usize) -> Vec<Raw> {
    let mut held = Vec::new();
    for _ in 0..most {
        let mut raw = Raw::connect(site.gateway.port());
        raw.send(format!("GET /public/held HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()));
        match raw.response() {
            Some(response) => assert_eq!(response.status, 200),
            None => return held,
        }
        held.push(raw);
    }
    held
}

#[rstest]
#[case::in_all(json!({ "total": 6 }), "connections")]
#[case::of_one_address(json!({ "per_address": 6 }), "connections_of_address")]
fn connections_over_a_limit_are_closed_at_accept(#[case] limits: serde_json::Value, #[case] why: &str) {
    let site = Site::with(|config, _| config.set("/limits/connections", limits));
    // What asked whether it listens may not have been noticed as gone yet.
    let quiet =
        || site.gateway.admin("/metrics").is_some_and(|m| m.text().contains("vestibule_connections 0\n"));
    assert!(within(PATIENCE, quiet));
    let held = hold(&site, 20);
    assert_eq!(held.len(), 6);
    let refused = format!("vestibule_refused_total{{why=\"{why}\"}} 1\n");
    let metrics = site.gateway.admin("/metrics").expect("metrics").text();
    assert!(metrics.contains(&refused) && metrics.contains("vestibule_connections 6\n"), "{metrics}");
    let told = || site.gateway.logs().contains("limits.connections");
    assert!(within(PATIENCE, told), "{}", site.gateway.logs());
    drop(held);
    assert!(within(PATIENCE, || hold(&site, 1).len() == 1), "there is room again");
}

#[test]
fn connections_of_a_trusted_proxy_are_not_held_to_one_address() {
    let site = Site::with(|config, _| {
        config
            .set("/limits/connections", json!({ "per_address": 2 }))
            .set("/trusted_proxies", json!(["127.0.0.1"]))
    });
    assert_eq!(hold(&site, 8).len(), 8);
}

/// A site with TLS, and the certificate to trust.
fn over_tls() -> (Site, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let site = Site::with(|config, _| config.tls(&certificate, &made.signing_key.serialize_pem()));
    (site, certificate)
}

fn client(trusted: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(site: &Site, config: &Arc<ClientConfig>) -> std::io::Result<Tls> {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, site.gateway.port()))?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp);
    // One exchange, so that the handshake is done and tickets have come.
    answers(site, &mut tls)?;
    Ok(tls)
}

fn answers(site: &Site, tls: &mut Tls) -> std::io::Result<()> {
    write!(tls, "GET /public/tls HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host())?;
    let mut start = [0; 15];
    tls.read_exact(&mut start)?;
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    // The rest of this answer is read with the next one's start, if there is one.
    let mut rest = vec![0; 4096];
    let _ = tls.read(&mut rest)?;
    Ok(())
}

#[rstest]
#[case::newest(&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
#[case::oldest(&rustls::version::TLS12, ProtocolVersion::TLSv1_2)]
fn a_client_that_comes_back_resumes_its_session(
    #[case] version: &'static rustls::SupportedProtocolVersion,
    #[case] spoken: ProtocolVersion,
) {
    let (site, certificate) = over_tls();
    let config = client(&certificate, &[version]);
    let first = connect(&site, &config).unwrap();
    assert_eq!(first.conn.protocol_version(), Some(spoken));
    assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
    let second = connect(&site, &config).unwrap();
    assert_eq!(second.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    let metrics = site.gateway.admin("/metrics").expect("metrics").text();
    for line in [
        "vestibule_tls_handshakes_total{outcome=\"full\"} 1\n",
        "vestibule_tls_handshakes_total{outcome=\"resumed\"} 1\n",
        "vestibule_tls_handshake_seconds_count 2\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// A ClientHello of this version ([RFC 5246 §7.4.1.2](https://www.rfc-editor.org/rfc/rfc5246#section-7.4.1.2))
/// with one cipher suite, and extensions for curves, point formats and signatures.
fn client_hello(version: u8) -> Vec<u8> {
    let extensions =
        [&[0, 10, 0, 4, 0, 2, 0, 0x1d][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]].concat();
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    hello
}

#[test]
fn tls_before_1_2_is_refused_with_an_alert() {
    let (site, _) = over_tls();
    let answer = |version| {
        let mut raw = Raw::connect(site.gateway.port());
        raw.send(client_hello(version));
        raw.bytes(7)
    };
    assert_eq!(answer(3).first(), Some(&0x16), "1.2 is answered by a handshake");
    for older in [0, 1, 2] {
        let alert = answer(older);
        // A fatal alert: protocol_version.
        assert_eq!((alert.first(), alert.get(5..)), (Some(&0x15), Some(&[2, 70][..])), "{alert:x?}");
    }
}

#[test]
fn new_certificate_files_answer_and_open_connections_go_on() {
    let (site, old) = over_tls();
    let mut open = connect(&site, &client(&old, rustls::ALL_VERSIONS)).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let new = made.cert.pem();
    site.gateway.write_file("tls.crt", &new);
    site.gateway.write_file("tls.key", &made.signing_key.serialize_pem());
    // A client of its own each time: a resumed session shows no certificate.
    let trusts = |certificate: &str| connect(&site, &client(certificate, rustls::ALL_VERSIONS)).is_ok();
    assert!(within(PATIENCE, || trusts(&new)), "{}", site.gateway.logs());
    assert!(!trusts(&old));
    answers(&site, &mut open).expect("the open connection goes on");
}

#[test]
fn a_connection_made_for_one_host_is_no_way_to_another() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "other.localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let site = Site::with(|config, _| {
        let config = config.tls(&certificate, &made.signing_key.serialize_pem());
        let port = config.port();
        let origins = ["localhost", "other.localhost"].map(|host| format!("https://{host}:{port}"));
        config.set("/origins", json!(origins))
    });
    let config = client(&certificate, rustls::ALL_VERSIONS);
    let ask = |server_name: &str, host: &str| {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, site.gateway.port())).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(&config), name).unwrap(), tcp);
        write!(tls, "GET /public/x HTTP/1.1\r\nHost: {host}:{}\r\n\r\n", site.gateway.port()).unwrap();
        let mut start = [0; 12];
        tls.read_exact(&mut start).unwrap();
        String::from_utf8_lossy(&start).into_owned()
    };
    assert_eq!(ask("localhost", "localhost"), "HTTP/1.1 200");
    assert_eq!(ask("other.localhost", "OTHER.localhost."), "HTTP/1.1 200");
    assert_eq!(ask("other.localhost", "localhost"), "HTTP/1.1 421");
    assert_eq!(ask("localhost", "other.localhost"), "HTTP/1.1 421");
    assert_eq!(site.upstream.requests_to("/public/x").len(), 2);
}
