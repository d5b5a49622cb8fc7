//! What an upstream learns of an identity: claims as header values.
//!
//! The mapping decides the form, never the JSON type found.

use http::{HeaderName, HeaderValue};

use super::{ClaimPath, Identity};

/// `identity.headers` of a route, resolved, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMapping {
    /// Header, claim and form.
    pub headers: Vec<MappedHeader>,
    /// `identity.max_bytes`: names and values together.
    pub max_bytes: usize,
}

/// One mapped header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedHeader {
    /// The header.
    pub name: HeaderName,
    /// The claim.
    pub claim: ClaimPath,
    /// How its value is written.
    pub form: Form,
}

/// How a claim becomes a header value (`as`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// String, number or boolean as text.
    Text,
    /// Strings, numbers and booleans joined by `,`; one alone is a list of one.
    List,
    /// The JSON of the claim.
    Json,
    /// base64url of the text, or of the JSON of anything else.
    Base64url,
}

/// Why an identity can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The claim has a shape that the form can't write: 500 `claim_shape`.
    #[error("claim_shape")]
    ClaimShape {
        /// The claim.
        claim: ClaimPath,
    },
    /// Over `max_bytes`: 403 `identity_too_large`, never cut.
    #[error("identity_too_large")]
    TooLarge {
        /// What it would take.
        bytes: usize,
    },
}

/// Headers ready to send, rendered once per session and mapping.
pub type Rendered = Vec<(HeaderName, HeaderValue)>;

impl Form {
    /// The form a claim has when the mapping names none: `list` for groups, roles, scope, amr and
    /// entitlements, else `text`.
    #[must_use]
    pub fn default_for(claim: &ClaimPath) -> Self {
        let _ = claim;
        unimplemented!()
    }
}

impl HeaderMapping {
    /// The default mapping: `X-Forwarded-User` (sub), `-Email`, `-Preferred-Username`, `-Groups`.
    #[must_use]
    pub fn standard(names: &super::ClaimNames, max_bytes: usize) -> Self {
        let _ = (names, max_bytes);
        unimplemented!()
    }

    /// Renders the headers for one identity. Absent, null and empty claims give no header.
    ///
    /// # Errors
    /// [`Unsendable`].
    pub fn render(&self, identity: &Identity) -> Result<Rendered, Unsendable> {
        let _ = identity;
        unimplemented!()
    }
}
