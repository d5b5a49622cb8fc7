//! A request head as the edge reads it: Pingora's parser, hygiene, the decision, and the head that
//! goes upstream. What is forwarded must be one request to a second, stricter reader, before and
//! after, and carry nothing that only the gateway may say.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::head::{self, Framing, Head};
use vestibule_fuzz::served::{self, Outcome};
use vestibule_fuzz::{cookies, names, path};

/// Loopback, which nobody trusts to speak for others; and a trusted proxy.
const PEERS: [&str; 2] = ["127.0.0.1:50000", "10.0.0.1:50000"];

fuzz_target!(|bytes: &[u8]| {
    for peer in PEERS {
        match served::exchange(bytes, peer.parse().expect("an address")) {
            Outcome::Unread => {}
            Outcome::Answered(answer) => answered(bytes, &answer),
            Outcome::Forwarded(upstream) => forwarded(bytes, &upstream, peer == PEERS[1]),
        }
    }
});

/// A head that could be read in two ways is refused and the connection closed behind it.
fn answered(sent: &[u8], answer: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    let status = text.get(9..12).and_then(|status| status.parse::<u16>().ok());
    let Some(status) = status else {
        // Nobody is there any more.
        return assert!(answer.is_empty(), "{text}");
    };
    let Ok(head) = head::read(sent) else { return };
    if head.framing().is_err() {
        assert!((400..500).contains(&status), "{status} for {head:?}");
        assert!(text.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "kept open: {text}");
    }
}

fn forwarded(sent: &[u8], upstream: &[u8], by_proxy: bool) {
    let received = head::read(sent).unwrap_or_else(|why| panic!("forwarded although {why}"));
    unambiguous(&received);
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(upstream), Ok(httparse::Status::Complete(upstream.len())));
    let written = head::read(upstream).unwrap_or_else(|why| panic!("wrote {why}"));
    assert_eq!(request.method.map(str::as_bytes), Some(written.method));
    assert_eq!(request.path.map(str::as_bytes), Some(written.target));
    assert_eq!(request.headers.len(), written.fields.len());
    assert_eq!((received.method, 1), (written.method, written.minor));
    target(&received, &written);
    framing(&received, &written);
    says_nothing_of_others(&received, &written, by_proxy);
    keeps_the_rest(&received, &written);
}

/// Everything that must be there once is there once, and nothing is nominated that counts.
fn unambiguous(head: &Head<'_>) {
    head.framing().unwrap_or_else(|why| panic!("forwarded with {why}"));
    head.host().unwrap_or_else(|why| panic!("forwarded with {why}"));
    assert!(head.all("authorization").len() <= 1);
    for option in head.members("connection") {
        assert!(!names::may_not_be_nominated(&option), "{option} is nominated");
    }
    assert!(!matches!(head.method, b"CONNECT" | b"TRACE"));
}

/// What was decided on is what is forwarded, and nobody needed a session for it.
fn target(received: &Head<'_>, written: &Head<'_>) {
    let sent = received.path_and_query().expect("a path");
    // A fragment decides nothing and goes nowhere.
    let sent = sent.split(|&byte| byte == b'#').next().unwrap_or_default();
    let escaped: Vec<u8> = sent.iter().flat_map(|&byte| escaped(byte)).collect();
    assert!(written.target == sent || written.target == escaped, "{sent:?} became {:?}", written.target);
    let target = String::from_utf8_lossy(written.target);
    let asked = target.split('?').next().unwrap_or_default();
    assert!(!path::is_refused(asked), "{asked} is refused on every route");
    for reading in path::readings(asked) {
        let under = |prefixes: &[&str]| prefixes.iter().any(|prefix| path::lies_under(&reading, prefix));
        assert!(under(&served::OPEN) && !under(&served::CLOSED), "{asked} reads as {reading}");
    }
}

/// Pingora writes what no target may hold as an escape, before anybody decides.
fn escaped(byte: u8) -> Vec<u8> {
    match byte {
        0..=0x20 | b'"' | b'<' | b'>' | 0x7f.. => format!("%{byte:02X}").into_bytes(),
        _ => vec![byte],
    }
}

fn framing(received: &Head<'_>, written: &Head<'_>) {
    let (before, after) = (received.framing(), written.framing());
    let web_socket = !received.all("upgrade").is_empty();
    assert!(before == after || (web_socket && after == Ok(Framing::Chunked)), "{before:?} became {after:?}");
}

fn says_nothing_of_others(received: &Head<'_>, written: &Head<'_>, by_proxy: bool) {
    for (name, value) in &written.fields {
        // All open routes go without identity headers.
        assert!(!names::is_identity(name), "{name}");
        assert!(!names::is_disguised(name), "{name}");
        let ours = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];
        if names::is_proxys(name) {
            assert!(
                ours.contains(&&**name) || matches!(&**name, "forwarded" | "x-real-ip"),
                "{name}: {value:?}"
            );
        }
    }
    for name in ["host", "x-forwarded-for", "x-real-ip", "forwarded", "x-request-id"] {
        assert_eq!(written.all(name).len(), 1, "{name}");
    }
    let host = written.host().expect("a host");
    let known = served::AUTHORITIES.contains(&host.as_str());
    // A probe for any host is told what was asked, and nothing else is said of it.
    assert!(known || written.target.starts_with(b"/healthz"), "{host}");
    let proto: &[&[u8]] = if written.all("x-forwarded-proto").is_empty() { &[] } else { &[b"https"] };
    assert_eq!(written.all("x-forwarded-proto"), proto);
    if known {
        let said = written.all("x-forwarded-host");
        // Where a proxy names another host than its own request does, a probe goes on as one for any.
        let probe = by_proxy && written.target.starts_with(b"/healthz") && said.is_empty();
        assert!(probe || said == [host.as_bytes()], "{host}: {said:?}");
    }
    if !by_proxy {
        assert_eq!(written.all("x-forwarded-for"), [b"127.0.0.1"]);
        assert_eq!(written.all("x-real-ip"), [b"127.0.0.1"]);
        let asked = received.host().expect("a host");
        let asked = asked.strip_suffix(":443").unwrap_or(&asked);
        let canonical = |host: &str| host.replacen(".:", ":", 1).trim_end_matches('.').to_owned();
        assert_eq!(canonical(asked), canonical(host.strip_suffix(":443").unwrap_or(&host)));
    }
    let own = |part: &Vec<u8>| served::gateway().origins.owns_cookie(&cookies::name(part));
    let sent: Vec<_> =
        cookies::parts(&received.all("cookie")).into_iter().filter(|part| !own(part)).collect();
    assert_eq!(cookies::parts(&written.all("cookie")), sent);
    assert!(written.all("cookie").len() <= 1);
}

/// Every other header passes with its values in their order, and none is invented.
fn keeps_the_rest(received: &Head<'_>, written: &Head<'_>) {
    let nominated = received.members("connection");
    let passes = |name: &str| {
        let rewritten = matches!(name, "host" | "cookie" | "x-request-id");
        !rewritten
            && !names::is_hop_by_hop(name)
            && !names::is_proxys(name)
            && !nominated.contains(&name.to_owned())
    };
    let by_name = |head: &Head<'_>| {
        let mut fields: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (name, value) in head.fields.iter().filter(|(name, _)| passes(name)) {
            fields.entry(name.clone()).or_default().push(value.to_vec());
        }
        fields
    };
    let mut sent = by_name(received);
    let after = by_name(written);
    // Where a session is asked for, if only by the way, a token isn't handed on.
    let kept_here = |name: &str| name == "authorization" && written.target.starts_with(b"/optional");
    sent.retain(|name, _| after.contains_key(name) || (is_expected_to_pass(name) && !kept_here(name)));
    assert_eq!(sent, after);
}

/// Names of which nobody could say that they are another one in disguise.
fn is_expected_to_pass(name: &str) -> bool {
    let sure = ["accept", "user-agent", "content-length", "content-type", "authorization", "origin", "range"];
    sure.contains(&name) || name.starts_with("x-custom")
}
