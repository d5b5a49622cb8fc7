//! Who is in front of us, by way of proxies we trust, and what we say of it further on.
//!
//! A client's own `X-Forwarded-*` count for nothing. A trusted proxy's count as far as the chain of
//! trust reaches. What goes upstream is built anew, with the scheme, host and port of the matched
//! origin alone.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::route::origin::{Authority, NotAnOrigin};
use crate::route::origin_headers::OriginHeaders;
use crate::telemetry::address;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The client, and what trusted proxies say of how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The right-most address that isn't a trusted proxy's.
    pub address: IpAddr,
    /// The trusted proxies between the client and us, the one we see last. Empty when the client is
    /// the peer itself.
    pub proxies: Vec<IpAddr>,
    /// `X-Forwarded-Host` of a trusted proxy: counts instead of Host.
    pub host: Option<Authority>,
}

/// Finds the client. Peers that aren't in `trusted` are the client, whatever they say.
///
/// `X-Forwarded-For` is read from the right: trusted proxies are passed over and the first other
/// address is the client's. What isn't an address ends the walk at the proxy that wrote it.
///
/// # Errors
/// [`NotAnOrigin`] when a trusted proxy's `X-Forwarded-Host` is malformed or says two things.
pub fn client(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> Result<Client, NotAnOrigin> {
    // A listener for both families sees IPv4 peers as ::ffff:a.b.c.d.
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = Client { address: peer, proxies: Vec::new(), host: None };
    if !is_trusted(&peer) {
        return Ok(client);
    }
    let fields: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    let entries = fields.iter().rev().flat_map(|field| field.as_bytes().rsplit(|&byte| byte == b','));
    for address in entries.map_while(address) {
        client.proxies.push(client.address);
        client.address = address;
        if !is_trusted(&address) {
            break;
        }
    }
    client.proxies.reverse();
    client.host = host(headers)?;
    Ok(client)
}

/// An address, maybe with a port, an IPv6 one maybe in brackets. A zone means something on one machine
/// alone, so nobody else's address has one.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim_ascii();
    if entry.contains('%') {
        return None;
    }
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok();
    let plain = entry.parse::<IpAddr>().ok().or_else(|| bracketed().map(IpAddr::V6));
    let address = plain.or_else(|| entry.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()));
    address.map(|address| address.to_canonical())
}

/// Every value of a header, cut at commas.
fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// The host, if there is one and all values agree on it.
fn host(headers: &HeaderMap) -> Result<Option<Authority>, NotAnOrigin> {
    let mut hosts = said(headers, &X_FORWARDED_HOST)
        .map(|said| Authority::parse(std::str::from_utf8(said).map_err(|_| NotAnOrigin::Host)?));
    let Some(first) = hosts.next().transpose()? else { return Ok(None) };
    for host in hosts {
        if host? != first {
            return Err(NotAnOrigin::Host);
        }
    }
    Ok(Some(first))
}

/// As many of them are there at most.
pub(super) const MOST_FIELDS: usize = 6;

/// The forwarding headers to set upstream; whatever came under these names is removed before.
///
/// `X-Forwarded-For` and `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)) begin with
/// the client and go on with the proxies we trust: what lies beyond them is hearsay. Without an
/// origin (a probe for any Host) nothing is said of scheme, host and port.
#[must_use]
pub fn outgoing(client: &Client, origin: Option<&OriginHeaders>) -> Vec<(HeaderName, HeaderValue)> {
    // Every request pays for this: no formatting, and one buffer for all of it.
    let mut text = Vec::with_capacity(128);
    address::write_ip(&mut text, client.address);
    let real_ip = value(&text);
    let mut chain = real_ip.clone();
    if !client.proxies.is_empty() {
        for &proxy in &client.proxies {
            text.extend_from_slice(b", ");
            address::write_ip(&mut text, proxy);
        }
        chain = value(&text);
    }
    text.clear();
    write_node(&mut text, client.address);
    text.extend_from_slice(origin.map_or("", |origin| &origin.forwarded).as_bytes());
    for &proxy in &client.proxies {
        text.extend_from_slice(b", ");
        write_node(&mut text, proxy);
    }
    let written = [(X_FORWARDED_FOR, chain), (X_REAL_IP, real_ip), (FORWARDED, value(&text))];
    let mut headers = Vec::with_capacity(MOST_FIELDS);
    headers.extend(written.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if let Some(origin) = origin {
        headers.push((X_FORWARDED_HOST, origin.host.clone()));
        headers.push((X_FORWARDED_PORT, origin.port.clone()));
        headers.push((X_FORWARDED_PROTO, origin.proto.clone()));
    }
    headers
}

fn value(text: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text).ok()
}

fn write_node(text: &mut Vec<u8>, address: IpAddr) {
    let (before, after) = if address.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    text.extend_from_slice(before.as_bytes());
    address::write_ip(text, address);
    text.extend_from_slice(after.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::route::origin::Origin;

    const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

    fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn seen(peer: &str, fields: &[(&'static str, &str)]) -> Result<Client, NotAnOrigin> {
        let trusted = TRUSTED.map(|network| network.parse().unwrap());
        client(peer.parse().unwrap(), &trusted, &head(fields))
    }

    #[rstest]
    #[case::alone("203.0.113.7", &[], "203.0.113.7")]
    #[case::untrusted_says("203.0.113.7", &["1.1.1.1"], "203.0.113.7")]
    #[case::trusted_says_nothing("10.0.0.1", &[], "10.0.0.1")]
    #[case::trusted_says("10.0.0.1", &["203.0.113.7"], "203.0.113.7")]
    #[case::spoofed_in_front("10.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7")]
    #[case::two_proxies("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7")]
    #[case::two_fields("10.0.0.1", &["1.1.1.1, 203.0.113.7", "10.0.0.2"], "203.0.113.7")]
    #[case::all_trusted("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3")]
    #[case::with_port("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7")]
    #[case::ipv6("10.0.0.1", &["2001:db8::1"], "2001:db8::1")]
    #[case::ipv6_in_brackets("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1")]
    #[case::ipv6_with_port("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1")]
    #[case::mapped_peer("::ffff:10.0.0.1", &["203.0.113.7"], "203.0.113.7")]
    #[case::mapped_entry("10.0.0.1", &["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7")]
    #[case::unknown("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1")]
    #[case::hidden("10.0.0.1", &["203.0.113.7, _hidden, 10.0.0.2"], "10.0.0.2")]
    #[case::open_bracket("10.0.0.1", &["[::1"], "10.0.0.1")]
    #[case::bad_port("10.0.0.1", &["1.2.3.4:99999"], "10.0.0.1")]
    #[case::empty_entry("10.0.0.1", &["203.0.113.7, "], "10.0.0.1")]
    #[case::empty_field("10.0.0.1", &[""], "10.0.0.1")]
    #[case::octal("10.0.0.1", &["0203.0.113.7"], "10.0.0.1")]
    #[case::no_text("10.0.0.1", &["ÿ"], "10.0.0.1")]
    #[case::zone("10.0.0.1", &["fe80::1%1"], "10.0.0.1")]
    #[case::zone_and_port("10.0.0.1", &["[fe80::1%1]:80"], "10.0.0.1")]
    fn the_client_is_the_right_most_we_do_not_trust(
        #[case] peer: &str,
        #[case] fields: &[&str],
        #[case] address: &str,
    ) {
        let fields: Vec<_> = fields.iter().map(|&value| ("x-forwarded-for", value)).collect();
        assert_eq!(seen(peer, &fields).unwrap().address.to_string(), address);
    }

    #[test]
    fn ten_thousand_entries_are_read_like_two() {
        let chain = format!("203.0.113.7{}", ", 10.0.0.2".repeat(10_000));
        let client = seen("10.0.0.1", &[("x-forwarded-for", &chain)]).unwrap();
        assert_eq!(client.address.to_string(), "203.0.113.7");
        assert_eq!(client.proxies.len(), 10_001);
    }

    #[rstest]
    #[case("10.0.0.1", &["App.test"], Ok(Some("app.test")))]
    #[case("10.0.0.1", &["app.test, APP.test."], Ok(Some("app.test")))]
    #[case("10.0.0.1", &["app.test", "evil.test"], Err(NotAnOrigin::Host))]
    #[case("10.0.0.1", &["evil.test, app.test"], Err(NotAnOrigin::Host))]
    #[case("10.0.0.1", &["a/b"], Err(NotAnOrigin::Host))]
    #[case("10.0.0.1", &["app.test:0"], Err(NotAnOrigin::Port))]
    #[case("10.0.0.1", &[], Ok(None))]
    #[case("203.0.113.7", &["evil.test"], Ok(None))]
    #[case("203.0.113.7", &["a/b"], Ok(None))]
    fn only_a_trusted_proxy_names_the_host(
        #[case] peer: &str,
        #[case] fields: &[&str],
        #[case] host: Result<Option<&str>, NotAnOrigin>,
    ) {
        let fields: Vec<_> = fields.iter().map(|&value| ("x-forwarded-host", value)).collect();
        let seen = seen(peer, &fields).map(|client| client.host.map(|host| host.host.to_string()));
        assert_eq!(seen, host.map(|host| host.map(str::to_owned)));
    }

    fn told(peer: &str, chain: &str, origin: &str) -> Vec<(String, String)> {
        let client = seen(peer, &[("x-forwarded-for", chain)]).unwrap();
        let origin = OriginHeaders::new(&Origin::parse(origin).unwrap());
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        outgoing(&client, Some(&origin)).into_iter().map(|(n, v)| (n.to_string(), text(v))).collect()
    }

    #[rstest]
    #[case::untrusted(
        "203.0.113.7", "1.1.1.1", "https://app.test",
        ["203.0.113.7", "203.0.113.7", "for=203.0.113.7;host=app.test;proto=https", "app.test", "443", "https"],
    )]
    #[case::trusted(
        "10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", "http://localhost:8080",
        [
            "203.0.113.7, 10.0.0.2, 10.0.0.1", "203.0.113.7",
            "for=203.0.113.7;host=\"localhost:8080\";proto=http, for=10.0.0.2, for=10.0.0.1",
            "localhost:8080", "8080", "http",
        ],
    )]
    #[case::ipv6(
        "2001:db8::1", "", "https://[::1]:8443",
        ["2001:db8::1", "2001:db8::1", "for=\"[2001:db8::1]\";host=\"[::1]:8443\";proto=https", "[::1]:8443", "8443", "https"],
    )]
    fn upstreams_are_told_what_we_know(
        #[case] peer: &str,
        #[case] chain: &str,
        #[case] origin: &str,
        #[case] values: [&str; 6],
    ) {
        let names = [
            "x-forwarded-for",
            "x-real-ip",
            "forwarded",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
        ];
        let expected: Vec<_> =
            names.iter().zip(values).map(|(n, v)| ((*n).to_owned(), v.to_owned())).collect();
        assert_eq!(told(peer, chain, origin), expected);
    }

    #[test]
    fn without_an_origin_nothing_is_said_of_it() {
        let client = seen("203.0.113.7", &[]).unwrap();
        let names: Vec<_> = outgoing(&client, None).into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["x-forwarded-for", "x-real-ip", "forwarded"]);
    }

    proptest! {
        #[test]
        fn what_an_untrusted_peer_says_changes_nothing(said in "[ -~]{0,40}") {
            let fields = [("x-forwarded-for", &*said), ("x-forwarded-proto", &said), ("x-forwarded-host", &said)];
            prop_assert_eq!(seen("203.0.113.7", &fields), seen("203.0.113.7", &[]));
        }

        #[test]
        fn no_chain_panics_and_its_left_end_never_matters(left in "[0-9a-f:., \\[\\]_]{0,30}") {
            let chain = format!("{left}, 203.0.113.7, 10.0.0.2");
            let client = seen("10.0.0.1", &[("x-forwarded-for", &chain)]).unwrap();
            prop_assert_eq!(client.address.to_string(), "203.0.113.7");
            prop_assert!(!outgoing(&client, None).is_empty());
            prop_assert!(seen("10.0.0.1", &[("x-forwarded-for", &left)]).is_ok());
        }
    }
}
