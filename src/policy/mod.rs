//! Who may pass: `require`, decided over an identity. Pure.
//!
//! In one entry different keys must all hold; `groups`, `emails` and `domains` mean any of. All
//! entries must hold. Without an entry any signed-in identity passes.

use crate::identity::Identity;

/// `routes[].require`, resolved. Empty means any signed-in identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// All must hold.
    pub entries: Vec<Requirement>,
}

/// One entry of `require`: every list that isn't empty must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Any of these groups, compared byte by byte.
    pub groups: Vec<String>,
    /// Any of these addresses, domain part in any case.
    pub emails: Vec<String>,
    /// Any of these domains of a verified address.
    pub domains: Vec<String>,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Allow,
    /// It doesn't; the name of the key that failed, for the log.
    Deny(&'static str),
}

impl Policy {
    /// Decides for one identity.
    #[must_use]
    pub fn evaluate(&self, identity: &Identity) -> Verdict {
        let _ = identity;
        unimplemented!()
    }
}
