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
            // A host has no byte that a header couldn't carry.
            host: HeaderValue::try_from(authority).unwrap_or(HeaderValue::from_static("")),
            port: HeaderValue::from(origin.port),
            proto: HeaderValue::from_static(origin.scheme.as_str()),
        }
    }
}
