//! `routes[].identity`: which claims become which headers.

use http::HeaderName;

use super::super::file::route::{Form as FormFile, MappedClaim, RouteIdentity};
use super::super::key::KeyPath;
use super::super::values::{Named, Short};
use super::Resolver;
use super::header::{folded, reserved};
use crate::identity::headers::{Form, HeaderMapping, MappedHeader};
use crate::identity::{ClaimNames, ClaimPath};

const MAX_BYTES: usize = 8 * 1024;
/// Claims that people can change themselves at many providers.
const CHANGEABLE: [&str; 10] = [
    "email",
    "preferred_username",
    "username",
    "name",
    "nickname",
    "given_name",
    "family_name",
    "phone_number",
    "profile",
    "picture",
];

impl Resolver<'_> {
    /// The mapping of a protected route, without the headers that are faulty.
    pub(super) fn identity(
        &mut self,
        at: &KeyPath,
        identity: Option<&RouteIdentity>,
        names: &ClaimNames,
    ) -> HeaderMapping {
        let max_bytes = identity.and_then(|identity| identity.max_bytes);
        let max_bytes = self.length(at, "max_bytes", max_bytes, MAX_BYTES);
        match identity.and_then(|identity| identity.headers.as_ref()) {
            None => HeaderMapping::standard(names, max_bytes),
            Some(headers) => {
                HeaderMapping { headers: self.mapped_headers(&at.key("headers"), headers), max_bytes }
            }
        }
    }

    fn mapped_headers(&mut self, at: &KeyPath, headers: &Named<Short<MappedClaim>>) -> Vec<MappedHeader> {
        let mut mapped = Vec::new();
        for (written, claim) in headers.entries() {
            let at = at.key(written);
            let name = self.identity_header(&at, written);
            let claim = self.claim(&at, claim);
            if let (Some(name), Some((claim, form))) = (name, claim) {
                self.warn_of_changeable(&at, written, &claim);
                mapped.push(MappedHeader { name, claim, form });
            }
        }
        mapped
    }

    fn identity_header(&mut self, at: &KeyPath, written: &str) -> Option<HeaderName> {
        if let Some(reserved) = reserved(written) {
            let why = format!("{written} {}: it can't carry an identity", reserved.why());
            self.fault_of_key(at, why, "a name of its own, such as X-Remote-User");
            return None;
        }
        self.header_name(at, written)
    }

    fn claim(&mut self, at: &KeyPath, claim: &Short<MappedClaim>) -> Option<(ClaimPath, Form)> {
        let (at, written, form) = match claim {
            Short::Text(claim) => (at.clone(), Some(claim), None),
            Short::Full(full) => (at.key("claim"), full.claim.as_ref(), full.form),
        };
        let Some(written) = written else {
            self.fault(&at, "is required: the header's value comes from it", "{ claim: groups, as: list }");
            return None;
        };
        if written.split('.').any(str::is_empty) {
            self.fault(&at, "is not the name of a claim", "a claim such as sub, or names joined by dots");
            return None;
        }
        let claim = ClaimPath::new(written);
        let form = match form {
            Some(FormFile::Text) => Form::Text,
            Some(FormFile::List) => Form::List,
            Some(FormFile::Json) => Form::Json,
            Some(FormFile::Base64url) => Form::Base64url,
            None => Form::default_for(&claim),
        };
        Some((claim, form))
    }

    fn warn_of_changeable(&mut self, at: &KeyPath, written: &str, claim: &ClaimPath) {
        let (name, claim_name) = (folded(written), folded(claim.as_str()));
        let looks_like_id = ["user", "uid", "login"].iter().any(|word| name.contains(word));
        // X-User-Email says what it is.
        let says_which = name.ends_with(&claim_name);
        if looks_like_id && !says_which && CHANGEABLE.contains(&claim.as_str()) {
            self.warn(
                at,
                format!("is named like a user id, but people can change their {}", claim.as_str()),
                "sub, the only stable key, or a name that says which claim it is",
            );
        }
    }
}
