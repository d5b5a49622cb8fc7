//! Hosts, authorities and origins as clients write them: one canonical form, in agreement with the
//! reader that browsers have, and nothing in it that isn't a host.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use url::Url;
use vestibule::edge::hygiene::read_host;
use vestibule::route::origin::{Authority, Host, Origin, Scheme};
use vestibule::route::origin_headers::OriginHeaders;

fuzz_target!(|text: &str| {
    if let Ok(authority) = Authority::parse(text) {
        well_formed(text, &authority);
        one_form(text, &authority);
        as_browsers_read(text, &authority);
    }
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Authority::parse(text), Ok(Authority { host, port: None }));
    }
    if let Ok(origin) = Origin::parse(text) {
        well_formed_origin(text, &origin);
    }
    header(text);
});

/// Nothing that ends a host, begins another or is invisible.
fn well_formed(text: &str, authority: &Authority) {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    assert!(!text.is_empty() && text.bytes().all(known), "{text:?}");
    let host = authority.host.as_str();
    assert!(!host.is_empty() && !host.starts_with('.') && !host.ends_with('.') && !host.contains(".."));
    assert!(host.bytes().all(|byte| !byte.is_ascii_uppercase()));
    assert!(host.starts_with('[') == host.contains(':'));
    assert_ne!(authority.port, Some(0));
}

/// Reading what we write changes nothing; case, the last dot and the default port make no difference.
fn one_form(text: &str, authority: &Authority) {
    let host = &authority.host;
    assert_eq!(Host::parse(host.as_str()).as_ref(), Ok(host));
    for text in [text.to_ascii_uppercase(), text.to_ascii_lowercase()] {
        assert_eq!(Authority::parse(&text).as_ref(), Ok(authority), "{text}");
    }
    if !host.as_str().starts_with('[') {
        assert_eq!(Host::parse(&format!("{host}.")).as_ref(), Ok(host));
        assert!(Host::parse(&format!("{host}..")).is_err());
    }
    let bare = Authority { host: host.clone(), port: None };
    for scheme in [Scheme::Http, Scheme::Https] {
        let port = authority.port.unwrap_or(scheme.default_port());
        let origin = Origin { scheme, host: host.clone(), port };
        assert!(origin.is_named_by(authority));
        assert!(origin.is_named_by(&Authority { host: host.clone(), port: Some(port) }));
        assert_eq!(origin.is_named_by(&bare), port == scheme.default_port());
        assert_eq!(Origin::parse(&origin.to_string()), Ok(origin.clone()));
        assert_eq!(Authority::parse(&origin.authority()).map(|read| origin.is_named_by(&read)), Ok(true));
        let said = OriginHeaders::new(&origin);
        assert_eq!(said.host.to_str().ok(), Some(origin.authority().as_str()), "told whole");
    }
}

/// Where the `url` crate, which reads as browsers do, finds a host at all, it finds this one.
fn as_browsers_read(text: &str, authority: &Authority) {
    let Ok(url) = Url::parse(&format!("https://{text}/")) else { return };
    let read = url.host_str().expect("https has a host");
    let read = read.strip_suffix('.').unwrap_or(read);
    match read.strip_prefix('[').and_then(|read| read.strip_suffix(']')) {
        Some(read) => {
            let ours = authority.host.as_str().trim_matches(['[', ']']);
            assert_eq!(ours.parse::<Ipv6Addr>().ok(), read.parse().ok(), "{text}");
        }
        None => assert_eq!(authority.host.as_str(), read, "{text}"),
    }
    assert_eq!(authority.port.unwrap_or(443), url.port_or_known_default().expect("https has a port"));
    assert!(url.username().is_empty() && url.password().is_none() && url.path() == "/");
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    };
    assert_eq!(authority.host.is_loopback(), loopback, "{text}");
    // What a browser takes for an address must be written like one.
    let address = matches!(url.host(), Some(url::Host::Ipv4(_)));
    assert_eq!(address, authority.host.as_str().parse::<Ipv4Addr>().is_ok(), "{text}");
}

fn well_formed_origin(text: &str, origin: &Origin) {
    let (scheme, rest) = text.split_once("://").expect("it has a scheme");
    assert!(scheme.eq_ignore_ascii_case(origin.scheme.as_str()));
    let authority = Authority::parse(rest).expect("the rest is an authority");
    assert!(origin.is_named_by(&authority));
    assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Ok(origin));
}

/// The Host header, alone, doubled and beside a whole URL, is read as the authority or not at all.
fn header(text: &str) {
    let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { return };
    let mut headers = HeaderMap::new();
    headers.append(HOST, value.clone());
    let path = Uri::from_static("/x");
    let read = read_host(&path, &headers).ok();
    assert_eq!(read, Authority::parse(text).ok());
    if let Ok(whole) = Uri::try_from(format!("https://{text}/x"))
        && whole.path() == "/x"
        && let Some(read) = &read
    {
        assert_eq!(read_host(&whole, &headers).as_ref(), Ok(read));
        assert_eq!(read_host(&whole, &HeaderMap::new()).as_ref(), Ok(read));
        let other = HeaderMap::from_iter([(HOST, HeaderValue::from_static("elsewhere.invalid"))]);
        let same = read.host.as_str() == "elsewhere.invalid" && read.port.is_none();
        assert_eq!(read_host(&whole, &other).is_ok(), same);
    }
    headers.append(HOST, value);
    assert!(read_host(&path, &headers).is_err(), "two are one");
}
