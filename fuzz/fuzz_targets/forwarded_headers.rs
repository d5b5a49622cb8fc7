//! Forwarding headers. Input: the peer's address, then a header a line. A stranger's count for
//! nothing; a trusted proxy's count as far as the chain of trust reaches; what goes upstream is well
//! formed and says no more than that.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use vestibule::edge::forwarded::{Client, client, outgoing};
use vestibule::route::origin::{Authority, Origin};
use vestibule::route::origin_headers::OriginHeaders;

static TRUSTED: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]
        .iter()
        .map(|network| network.parse().expect("a network"))
        .collect()
});

static ORIGINS: LazyLock<Vec<Origin>> = LazyLock::new(|| {
    ["https://app.test", "http://localhost:8080", "https://[::1]:8443"]
        .iter()
        .map(|origin| Origin::parse(origin).expect("an origin"))
        .collect()
});

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let Some(peer) = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse::<IpAddr>().ok())
    else {
        return;
    };
    let headers: HeaderMap = lines.filter_map(header).fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(name, value);
        headers
    });
    let found = client(peer, &TRUSTED, &headers);
    if !is_trusted(peer.to_canonical()) {
        let alone = Client { address: peer.to_canonical(), proxies: Vec::new(), host: None };
        assert_eq!(found, Ok(alone.clone()), "a stranger is believed");
        return told(&alone);
    }
    hosts(&headers, found.as_ref().ok());
    let Ok(found) = found else { return };
    chain(peer.to_canonical(), &headers, &found);
    told(&found);
});

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
    Some((name, HeaderValue::from_bytes(line.get(colon + 1..)?.trim_ascii()).ok()?))
}

fn is_trusted(address: IpAddr) -> bool {
    TRUSTED.iter().any(|network| network.contains(&address))
}

/// Every `X-Forwarded-Host` of a trusted proxy is the host found, or there is none.
fn hosts(headers: &HeaderMap, found: Option<&Client>) {
    let values = headers.get_all("x-forwarded-host").iter();
    let said: Vec<&[u8]> = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).collect();
    let read = |said: &&[u8]| Authority::parse(std::str::from_utf8(said).ok()?.trim_ascii()).ok();
    let hosts: Vec<_> = said.iter().map(read).collect();
    match found {
        Some(found) => assert!(hosts.iter().all(|host| host == &found.host)),
        None => assert!(hosts.iter().any(Option::is_none) || hosts.iter().any(|host| host != &hosts[0])),
    }
    assert!(found.is_none_or(|found| found.host.is_some() != said.is_empty()));
}

/// The client is the right-most address that nobody trusts; its left end never matters.
fn chain(peer: IpAddr, headers: &HeaderMap, found: &Client) {
    let mut entries: Vec<Option<IpAddr>> = vec![];
    for field in headers.get_all("x-forwarded-for") {
        entries.extend(field.as_bytes().split(|&byte| byte == b',').map(address));
    }
    entries.push(Some(peer));
    // Backwards: as long as an address is trusted, the one before it is believed.
    let mut at = entries.len() - 1;
    while at > 0 && entries[at].is_some_and(is_trusted) && entries[at - 1].is_some() {
        at -= 1;
    }
    let expected: Vec<IpAddr> = entries[at..].iter().map(|entry| entry.expect("an address")).collect();
    assert_eq!(found.address, expected[0]);
    assert_eq!(found.proxies, expected[1..]);
    assert!(found.proxies.iter().all(|&proxy| is_trusted(proxy)), "an untrusted proxy in the chain");
    if !is_trusted(found.address) {
        let mut spoofed = HeaderMap::new();
        for said in ["1.1.1.1, unknown", "[::1"] {
            spoofed.append("x-forwarded-for", HeaderValue::from_static(said));
        }
        // All that counts is what stands from the client on.
        let believed: Vec<_> = expected[..expected.len() - 1].iter().map(ToString::to_string).collect();
        let field = HeaderValue::try_from(believed.join(",")).expect("addresses");
        spoofed.append("x-forwarded-for", field);
        for host in headers.get_all("x-forwarded-host") {
            spoofed.append("x-forwarded-host", host.clone());
        }
        if !believed.is_empty() {
            assert_eq!(client(peer, &TRUSTED, &spoofed).as_ref(), Ok(found));
        }
    }
}

/// An address, with or without port and brackets: RFC 7239 section 6 writes IPv6 in brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_ascii();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.contains(':').then_some(())?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None if text.matches(':').count() == 1 => {
            let (host, port) = text.split_once(':')?;
            (host, Some(port))
        }
        None => (text, None),
    };
    if let Some(port) = port {
        // A sign is no digit.
        port.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
        port.parse::<u16>().ok()?;
    }
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What goes upstream can be read back, and says what was found.
fn told(found: &Client) {
    for origin in ORIGINS.iter().map(Some).chain([None]) {
        let said = origin.map(OriginHeaders::new);
        let headers = outgoing(found, said.as_ref());
        let value = |name: &str| {
            let mut values = headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
            let value = values.next().map(|value| value.to_str().expect("visible").to_owned());
            assert!(values.next().is_none(), "{name} twice");
            value
        };
        let all: Vec<IpAddr> = [found.address].into_iter().chain(found.proxies.iter().copied()).collect();
        let chain = value("x-forwarded-for").expect("a chain");
        let read: Vec<IpAddr> = chain.split(", ").map(|entry| entry.parse().expect("an address")).collect();
        assert_eq!(read, all);
        assert_eq!(value("x-real-ip").expect("a client"), found.address.to_string());
        let forwarded = value("forwarded").expect("a chain");
        let nodes: Vec<IpAddr> = forwarded.split(", ").map(node).collect();
        assert_eq!(nodes, all);
        assert_eq!(value("x-forwarded-host"), origin.map(Origin::authority));
        assert_eq!(value("x-forwarded-proto"), origin.map(|origin| origin.scheme.to_string()));
        assert_eq!(value("x-forwarded-port"), origin.map(|origin| origin.port.to_string()));
        if let Some(origin) = origin {
            let authority = origin.authority();
            assert!(forwarded.contains(&authority), "{forwarded}");
        }
    }
}

/// The `for` of an element of `Forwarded`.
fn node(element: &str) -> IpAddr {
    let node = element.split(';').next().and_then(|pair| pair.strip_prefix("for=")).expect("a node");
    let quoted = node.strip_prefix("\"[").and_then(|node| node.strip_suffix("]\""));
    assert_eq!(quoted.is_some(), node.contains(':'), "an IPv6 address is quoted: {node}");
    quoted.unwrap_or(node).parse().expect("an address")
}
