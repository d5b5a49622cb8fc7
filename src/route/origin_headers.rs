//! What upstreams are told of an origin, written once.

use http::HeaderValue;

use super::origin::Origin;

/// The values of the forwarding headers for one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginHeaders {
    /// Host, and the port unless it is the default: a preserved Host and `X-Forwarded-Host`.
    pub host: HeaderValue,
    /// `X-Forwarded-Port`.
    pub port: HeaderValue,
    /// `X-Forwarded-Proto`.
    pub proto: HeaderValue,
    /// `;host=…;proto=…` of `Forwarded`.
    pub forwarded: String,
}

impl OriginHeaders {
    /// The headers for one origin.
    #[must_use]
    pub fn new(origin: &Origin) -> Self {
        let authority = origin.authority();
        // A value with a colon must be quoted: https://www.rfc-editor.org/rfc/rfc7239#section-4
        let host = if authority.contains(':') { format!("\"{authority}\"") } else { authority.clone() };
        Self {
            forwarded: format!(";host={host};proto={}", origin.scheme),
            host: kept(authority),
            port: kept(origin.port.to_string()),
            proto: HeaderValue::from_static(origin.scheme.as_str()),
        }
    }
}

/// A value that is never given back. Every request has several, and to count who has one would cost
/// more than the few bytes that origins are.
fn kept(text: String) -> HeaderValue {
    // A host has no byte that a header couldn't carry.
    if HeaderValue::from_str(&text).is_err() {
        return HeaderValue::from_static("");
    }
    HeaderValue::from_static(text.leak())
}
