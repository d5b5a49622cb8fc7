//! Hygiene: a request head that two parsers could read differently goes no further, and names that
//! only we may use are taken from it.
//!
//! [`refuse`] and [`read_host`] judge the head as received, for HTTP/1 and HTTP/2 alike;
//! [`ManagedNames::spoofed`] tells what to remove; [`cookies`] and [`caching`] keep our cookies from
//! upstreams and people's answers from shared caches. Everything is pure over `http` types.

pub mod caching;
pub mod cookies;
mod names;

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

pub use names::ManagedNames;

use crate::route::origin::Authority;

/// Why a request head is answered with 400 and its connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its end could be found in two places.
    #[error("ambiguous_framing")]
    Framing,
    /// A header value with control bytes.
    #[error("malformed_header")]
    Value,
    /// `Connection` names a header that must not be removed on the way.
    #[error("connection_nomination")]
    Nomination,
    /// More than one `Authorization`.
    #[error("several_authorizations")]
    Authorization,
    /// Host missing, doubled, malformed, or at odds with the request target.
    #[error("malformed_host")]
    Host,
}

/// Headers that belong to one connection and don't exist in HTTP/2.
const CONNECTION_SPECIFIC: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// From as many tokens Pingora refuses to send a request on; better to say so at once.
const NOMINATIONS: usize = 10;

/// Refuses heads whose framing, values, `Connection` nominations or credentials could be read in two
/// ways. Stricter than [RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3), which
/// lets `Transfer-Encoding` override `Content-Length`: both together are refused, and so is any
/// coding but a single `chunked`.
///
/// # Errors
/// [`Malformed`]; the answer is 400 and the connection is closed.
pub fn refuse(version: Version, headers: &HeaderMap, names: &ManagedNames) -> Result<(), Malformed> {
    // Without a way out in the middle the compiler looks at many bytes at once.
    let has_control =
        |value: &HeaderValue| value.as_bytes().iter().fold(false, |found, &byte| found | is_control(byte));
    // Most heads have none of these: a look at all names costs less than looking for each.
    let (mut control, mut framing, mut connection, mut authorization) = (false, false, false, false);
    for (name, value) in headers {
        control |= has_control(value);
        framing |= *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
        connection |= *name == CONNECTION;
        authorization |= *name == AUTHORIZATION;
    }
    if control {
        return Err(Malformed::Value);
    }
    if framing || version >= Version::HTTP_2 {
        refuse_framing(version, headers)?;
    }
    if connection {
        refuse_nominations(headers, names)?;
    }
    if authorization && headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Malformed::Authorization);
    }
    Ok(())
}

const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

fn refuse_framing(version: Version, headers: &HeaderMap) -> Result<(), Malformed> {
    if version >= Version::HTTP_2 {
        // https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2: MUST be treated as malformed.
        let te_is_fine =
            headers.get_all(TE).iter().all(|value| trimmed(value).eq_ignore_ascii_case(b"trailers"));
        if !te_is_fine || CONNECTION_SPECIFIC.iter().any(|name| headers.contains_key(name)) {
            return Err(Malformed::Framing);
        }
    }
    let lengths = headers.get_all(CONTENT_LENGTH);
    let codings = headers.get_all(TRANSFER_ENCODING);
    match (lengths.iter().count(), codings.iter().count()) {
        (0, 0) => Ok(()),
        (1, 0) if lengths.iter().all(is_length) => Ok(()),
        (0, 1) if version == Version::HTTP_11 && codings.iter().all(is_chunked) => Ok(()),
        _ => Err(Malformed::Framing),
    }
}

/// Digits alone, few enough for a 64-bit number in every language.
fn is_length(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

fn is_chunked(value: &HeaderValue) -> bool {
    trimmed(value).eq_ignore_ascii_case(b"chunked")
}

fn trimmed(value: &HeaderValue) -> &[u8] {
    value.as_bytes().trim_ascii()
}

/// Refuses `Connection` options by which a client would have a header removed that we, or the
/// upstream, rely on ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1) has
/// intermediaries remove every nominated header).
fn refuse_nominations(headers: &HeaderMap, names: &ManagedNames) -> Result<(), Malformed> {
    let options = headers.get_all(CONNECTION);
    let options = options.iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let options = options.map(<[u8]>::trim_ascii).filter(|option| !option.is_empty());
    for (index, option) in options.enumerate() {
        let option = std::str::from_utf8(option).map_err(|_| Malformed::Nomination)?;
        if index + 1 >= NOMINATIONS || !option.bytes().all(is_token) || names.may_not_be_nominated(option) {
            return Err(Malformed::Nomination);
        }
    }
    Ok(())
}

/// `tchar` of [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Refuses an HTTP/1 head, as it came over the wire, that has both `Content-Length` and
/// `Transfer-Encoding`. Pingora drops the former before anyone sees it, so heads with
/// `Transfer-Encoding` must be looked at in the raw.
///
/// # Errors
/// [`Malformed::Framing`].
pub fn refuse_raw_framing(head: &[u8]) -> Result<(), Malformed> {
    let has = |name: &str| {
        head.split(|&byte| byte == b'\n').skip(1).any(|line| {
            line.split(|&byte| byte == b':')
                .next()
                .is_some_and(|found| found.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    if has("content-length") && has("transfer-encoding") { Err(Malformed::Framing) } else { Ok(()) }
}

/// Reads which host a request is for: `:authority` or an absolute target, else the one Host header.
///
/// Stricter than [RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2), which lets an
/// absolute target override Host: where both are there they must be the same.
///
/// # Errors
/// [`Malformed::Host`] when there is none, more than one, or one that isn't a host.
pub fn read_host(target: &Uri, headers: &HeaderMap) -> Result<Authority, Malformed> {
    let parse = |text: &str| Authority::parse(text).map_err(|_| Malformed::Host);
    let target = target.authority().map(|authority| parse(authority.as_str())).transpose()?;
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().map(|value| parse(value.to_str().map_err(|_| Malformed::Host)?)).transpose()?;
    if hosts.next().is_some() {
        return Err(Malformed::Host);
    }
    match (target, host) {
        (Some(target), Some(host)) if target != host => Err(Malformed::Host),
        (target, host) => target.or(host).ok_or(Malformed::Host),
    }
}

/// The host as it is spelt, where it is named once; [`read_host`] reads any other way.
pub fn only_host<'a>(target: &'a Uri, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let mut hosts = headers.get_all(HOST).iter();
    match (target.authority(), hosts.next(), hosts.next()) {
        (None, Some(host), None) => Some(host.as_bytes()),
        (Some(authority), None, None) => Some(authority.as_str().as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
