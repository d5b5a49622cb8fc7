//! Origins: scheme, host and port as a browser knows them, and the Host header that names one.
//!
//! The only source of redirect URIs, cookies and outward URLs. What a client says of its own host
//! picks an origin out of the configured ones and never becomes part of an answer.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A host in its one form: lower case, no trailing dot, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// Scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain; loopback only unless the operator insists.
    Http,
    /// TLS.
    Https,
}

/// One of `origins`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: Host,
    /// Port, also where it is the scheme's default.
    pub port: u16,
}

/// A Host header or `:authority`, read: a host, and a port where one was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Host.
    pub host: Host,
    /// Port, if written.
    pub port: Option<u16>,
}

/// Why a text is not a host, an authority or an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrigin {
    /// No scheme of ours.
    #[error("an origin begins with https:// (or http:// on loopback)")]
    Scheme,
    /// No host, or one with bytes that no host has.
    #[error("the host is missing or malformed")]
    Host,
    /// Not a port.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A path, a query, a fragment or user information.
    #[error("an origin is scheme, host and port only: no path, no user")]
    More,
}

impl Scheme {
    /// As written in front of `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that an address without one means.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Host {
    /// Reads a host: a DNS name of letters, digits, `-`, `_` and dots, an IPv4 address, or an IPv6
    /// address in brackets.
    ///
    /// A name whose last label is a number must be a dotted quad, since browsers read `0x7f.1` and
    /// `1.2.3` as addresses ([URL, "ends in a number"](https://url.spec.whatwg.org/#ends-in-a-number-checker)).
    ///
    /// # Errors
    /// [`NotAnOrigin::Host`].
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(NotAnOrigin::Host)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| NotAnOrigin::Host)?;
            return Ok(Self(format!("[{address}]").into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // 253 characters in all and 63 a label: RFC 1035 section 2.3.4.
        if name.len() > 253 {
            return Err(NotAnOrigin::Host);
        }
        // Every request names a host: its bytes are looked at once.
        let mut label = 0;
        let mut folded = true;
        for byte in name.bytes() {
            match byte {
                b'.' if label == 0 => return Err(NotAnOrigin::Host),
                b'.' => {
                    label = 0;
                    continue;
                }
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
                b'A'..=b'Z' => folded = false,
                _ => return Err(NotAnOrigin::Host),
            }
            label += 1;
            if label > 63 {
                return Err(NotAnOrigin::Host);
            }
        }
        let last = name.get(name.len() - label..).filter(|last| !last.is_empty()).ok_or(NotAnOrigin::Host)?;
        if is_number(last) && name.parse::<Ipv4Addr>().is_err() {
            return Err(NotAnOrigin::Host);
        }
        Ok(Self(if folded { name.into() } else { name.to_ascii_lowercase().into() }))
    }

    /// The host as compared and written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the host is `localhost`, in 127.0.0.0/8, or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = |text: &str| text.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        matches!(&*self.0, "localhost" | "[::1]") || address(&self.0)
    }
}

/// Whether a browser takes the label for a number, and so the host for an IPv4 address.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        || label.bytes().all(|byte| byte.is_ascii_digit())
}

impl Authority {
    /// Reads a Host header ([RFC 9110 §7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)):
    /// host, and optionally `:` and a port from 1 to 65535. User information, a comma, a slash,
    /// blanks and anything else make it malformed.
    ///
    /// # Errors
    /// [`NotAnOrigin`].
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        // The colons of an IPv6 address stand before its bracket.
        let after_address = memchr::memrchr(b']', text.as_bytes()).unwrap_or(0);
        let colon = text.as_bytes().get(after_address..).and_then(|rest| memchr::memchr(b':', rest));
        let Some((host, port)) = colon.and_then(|at| text.split_at_checked(after_address + at)) else {
            return Ok(Self { host: Host::parse(text)?, port: None });
        };
        let host = Host::parse(host)?;
        let port = parse_port(port.strip_prefix(':').unwrap_or(port))?;
        Ok(Self { host, port: Some(port) })
    }
}

/// Digits without a sign or a zero in front: nothing that two parsers could read differently.
fn parse_port(text: &str) -> Result<u16, NotAnOrigin> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotAnOrigin::Port);
    }
    text.parse().map_err(|_| NotAnOrigin::Port)
}

impl Origin {
    /// Reads an origin as written in the configuration.
    ///
    /// # Errors
    /// [`NotAnOrigin`].
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin::Scheme)?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.as_str()))
            .ok_or(NotAnOrigin::Scheme)?;
        if rest.contains(['/', '\\', '?', '#', '@']) {
            return Err(NotAnOrigin::More);
        }
        let Authority { host, port } = Authority::parse(rest)?;
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.default_port()) })
    }

    /// Whether `authority` names this origin: same host, and the same port, where an absent one
    /// means the scheme's default.
    #[must_use]
    pub fn is_named_by(&self, authority: &Authority) -> bool {
        self.port == authority.port.unwrap_or(self.scheme.default_port()) && self.host == authority.host
    }

    /// Host, and the port unless it is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            return self.host.to_string();
        }
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Origin {
    /// As a browser writes it: `https://app.example.com`, the default port left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("app.example.com", "app.example.com")]
    #[case::upper_case("App.Example.COM", "app.example.com")]
    #[case::trailing_dot("app.example.com.", "app.example.com")]
    #[case::one_label("localhost", "localhost")]
    #[case::underscore("my_app.test", "my_app.test")]
    #[case::number_in_front("1.example", "1.example")]
    #[case::ipv4("10.0.0.1", "10.0.0.1")]
    #[case::ipv4_with_dot("10.0.0.1.", "10.0.0.1")]
    #[case::ipv6("[2001:DB8:0:0::1]", "[2001:db8::1]")]
    #[case::ipv6_loopback("[0:0:0:0:0:0:0:1]", "[::1]")]
    fn a_host_has_one_form(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Ok(canonical));
    }

    #[rstest]
    #[case::empty("")]
    #[case::dot(".")]
    #[case::two_dots("app.test..")]
    #[case::leading_dot(".app.test")]
    #[case::list("a, b")]
    #[case::list_without_blank("a,b")]
    #[case::path("app.test/x")]
    #[case::back_slash("app.test\\x")]
    #[case::user("evil@app.test")]
    #[case::user_and_port("app.test:443@evil.test")]
    #[case::port_too_large("app.test:99999")]
    #[case::port_zero("app.test:0")]
    #[case::port_empty("app.test:")]
    #[case::port_signed("app.test:+443")]
    #[case::port_with_zero("app.test:0443")]
    #[case::port_word("app.test:https")]
    #[case::two_ports("app.test:443:443")]
    #[case::blank("app.test ")]
    #[case::blank_inside("app test")]
    #[case::tab("app.test\t")]
    #[case::control("app.test\u{7f}")]
    #[case::line_break("app.test\r\nX: y")]
    #[case::nul("app.test\0")]
    #[case::beyond_ascii("äpp.test")]
    #[case::full_width_dot("app．test")]
    #[case::escape("app%2etest")]
    #[case::query("app.test?x")]
    #[case::fragment("app.test#x")]
    #[case::ipv6_without_brackets("::1")]
    #[case::ipv6_open("[::1")]
    #[case::ipv6_closed_only("::1]")]
    #[case::ipv6_tail("[::1]x")]
    #[case::ipv6_tail_and_port("[::1]x:443")]
    #[case::ipv6_twice("[::1][::1]")]
    #[case::ipv6_zone("[fe80::1%25eth0]")]
    #[case::ipv6_empty("[]")]
    #[case::ipv6_bad("[12345::]")]
    #[case::name_in_brackets("[app.test]")]
    #[case::hexadecimal_address("0x7f.1")]
    #[case::hexadecimal_upper_case("0X7F.0.0.0X1")]
    #[case::hexadecimal_without_digits("1.0x")]
    #[case::short_address("1.2.3")]
    #[case::octal_address("01.2.3.4")]
    #[case::decimal_address("2130706433")]
    #[case::long_address("1.2.3.4.5")]
    #[case::number_last("app.1")]
    #[case::large_part("1.2.3.256")]
    fn refuses_a_malformed_host_header(#[case] text: &str) {
        assert!(Authority::parse(text).is_err(), "{text:?}");
    }

    #[test]
    fn refuses_labels_and_names_that_dns_has_no_room_for() {
        assert!(Host::parse(&"a".repeat(63)).is_ok());
        assert!(Host::parse(&"a".repeat(64)).is_err());
        assert!(Host::parse(&["a"; 127].join(".")).is_ok());
        assert!(Host::parse(&["a"; 128].join(".")).is_err());
    }

    #[rstest]
    #[case("app.test", "app.test", None)]
    #[case("app.test.:8443", "app.test", Some(8443))]
    #[case("[::1]:65535", "[::1]", Some(65535))]
    #[case("[::1]", "[::1]", None)]
    #[case("127.0.0.1:1", "127.0.0.1", Some(1))]
    fn reads_host_and_port(#[case] text: &str, #[case] host: &str, #[case] port: Option<u16>) {
        let authority = Authority::parse(text).unwrap();
        assert_eq!((authority.host.as_str(), authority.port), (host, port));
    }

    #[rstest]
    #[case("https://app.example.com", "https://app.example.com", "app.example.com", 443)]
    #[case("HTTPS://App.Example.com.:443", "https://app.example.com", "app.example.com", 443)]
    #[case("https://app.example.com:8443", "https://app.example.com:8443", "app.example.com:8443", 8443)]
    #[case("http://localhost:80", "http://localhost", "localhost", 80)]
    #[case("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080", 8080)]
    #[case("https://a.test:80", "https://a.test:80", "a.test:80", 80)]
    fn an_origin_is_written_as_a_browser_does(
        #[case] text: &str,
        #[case] written: &str,
        #[case] authority: &str,
        #[case] port: u16,
    ) {
        let origin = Origin::parse(text).unwrap();
        assert_eq!(origin.to_string(), written);
        assert_eq!(origin.authority(), authority);
        assert_eq!(origin.port, port);
    }

    #[rstest]
    #[case("app.example.com", NotAnOrigin::Scheme)]
    #[case("ftp://app.example.com", NotAnOrigin::Scheme)]
    #[case("https:app.example.com", NotAnOrigin::Scheme)]
    #[case("https://", NotAnOrigin::Host)]
    #[case("https://:443", NotAnOrigin::Host)]
    #[case("https://app.example.com/", NotAnOrigin::More)]
    #[case("https://app.example.com?x", NotAnOrigin::More)]
    #[case("https://user@app.example.com", NotAnOrigin::More)]
    #[case("https://app.example.com:0", NotAnOrigin::Port)]
    fn refuses_what_is_more_or_less_than_an_origin(#[case] text: &str, #[case] why: NotAnOrigin) {
        assert_eq!(Origin::parse(text), Err(why));
    }

    #[rstest]
    #[case("https://app.test", "app.test", true)]
    #[case("https://app.test", "APP.test.", true)]
    #[case("https://app.test", "app.test:443", true)]
    #[case("https://app.test", "app.test:80", false)]
    #[case("https://app.test", "app.test:8443", false)]
    #[case("https://app.test:8443", "app.test", false)]
    #[case("https://app.test:8443", "app.test:8443", true)]
    #[case("http://localhost", "localhost:80", true)]
    #[case("https://app.test", "x.app.test", false)]
    fn another_port_is_another_origin(#[case] origin: &str, #[case] host: &str, #[case] named: bool) {
        let authority = Authority::parse(host).unwrap();
        assert_eq!(Origin::parse(origin).unwrap().is_named_by(&authority), named);
    }

    #[rstest]
    #[case("localhost", true)]
    #[case("LOCALHOST.", true)]
    #[case("127.0.0.1", true)]
    #[case("127.255.0.9", true)]
    #[case("[::1]", true)]
    #[case("128.0.0.1", false)]
    #[case("[::2]", false)]
    #[case("localhost.evil.test", false)]
    #[case("127.0.0.1.nip.io", false)]
    fn knows_loopback(#[case] host: &str, #[case] loopback: bool) {
        assert_eq!(Host::parse(host).unwrap().is_loopback(), loopback);
    }

    /// The rule as one would say it: labels of known characters, none empty, none too long.
    fn is_name(text: &str) -> bool {
        let name = text.strip_suffix('.').unwrap_or(text);
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(known);
        let last = name.rsplit('.').next().unwrap();
        name.len() <= 253
            && name.split('.').all(is_label)
            && (!is_number(last) || name.parse::<Ipv4Addr>().is_ok())
    }

    proptest! {
        #[test]
        fn a_host_is_a_name_of_labels(text in "[a-cXx0-2._-]{0,12}|([a-z]{60,66}\\.?){1,4}|[a-c.]{250,256}|[^\\[]{0,8}") {
            match Host::parse(&text) {
                Ok(host) => {
                    prop_assert!(is_name(&text));
                    let name = text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase();
                    prop_assert_eq!(host.as_str(), name);
                }
                Err(_) => prop_assert!(!is_name(&text)),
            }
        }

        #[test]
        fn a_read_authority_is_read_again_as_itself(text in "[\\[\\]a-fA-F0-9xX:.,@/ _-]{0,24}") {
            if let Ok(authority) = Authority::parse(&text) {
                let written = match authority.port {
                    Some(port) => format!("{}:{port}", authority.host),
                    None => authority.host.to_string(),
                };
                prop_assert_eq!(Authority::parse(&written), Ok(authority));
            }
        }

        #[test]
        fn no_input_panics(text in ".*") {
            let _ = Authority::parse(&text);
            let _ = Origin::parse(&text);
        }
    }
}
