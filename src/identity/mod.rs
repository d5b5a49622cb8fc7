//! Who is asking, and how we know.
//!
//! An [`Identity`] is made only from a validated ID token (with userinfo merged in where the
//! provider's configuration says so). [`headers`] turns it into what an upstream sees.

pub mod headers;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name of a provider in the configuration (`providers.NAME`).
///
/// One to 32 characters of `a-z`, `0-9`, `_` and `-`, since it becomes part of cookie names and paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderName(Arc<str>);

/// Why a text is not a provider name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a provider's name has 1 to 32 characters of a-z, 0-9, _ and -")]
pub struct NotAProviderName;

impl ProviderName {
    /// Reads a provider's name.
    ///
    /// # Errors
    /// [`NotAProviderName`] for other lengths or characters.
    pub fn parse(text: &str) -> Result<Self, NotAProviderName> {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(known) {
            return Err(NotAProviderName);
        }
        Ok(Self(text.into()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a provider says of a person: the claims of a validated ID token, with userinfo merged in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Takes the members of a JSON object.
    #[must_use]
    pub const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// The claim a path names; null counts as absent.
    #[must_use]
    pub fn get(&self, path: &ClaimPath) -> Option<&Value> {
        let found = match self.0.get(path.as_str()) {
            // A claim whose own name has dots (`p1.region`) wins over a path into an object.
            Some(value) => value,
            None => {
                let mut names = path.as_str().split('.');
                let first = self.0.get(names.next()?)?;
                names.try_fold(first, |value, name| value.as_object()?.get(name))?
            }
        };
        (!found.is_null()).then_some(found)
    }

    /// The top-level claim of this name, if it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// All members.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Takes out the members of these names.
    pub fn remove(&mut self, names: &[&str]) {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
    }

    /// Takes out the claim that a path names, in both of its readings (see [`Claims::get`]).
    fn remove_path(&mut self, path: &ClaimPath) {
        self.remove(&[path.as_str()]);
        let Some((parents, name)) = path.as_str().rsplit_once('.') else { return };
        let mut holder = &mut self.0;
        for parent in parents.split('.') {
            let Some(object) = holder.get_mut(parent).and_then(Value::as_object_mut) else { return };
            holder = object;
        }
        holder.remove(name);
    }

    /// Adds the members of `other` that are not here yet; what an ID token says stands. An address and
    /// whether it is verified are one statement: they are never taken from two documents.
    pub fn fill_from(&mut self, mut other: Self, names: &ClaimNames) {
        if let EmailVerified::Claim(verified) = &names.email_verified {
            let (here, there) = (self.get(&names.email).cloned(), other.get(&names.email).cloned());
            match (here, there) {
                (Some(here), Some(there)) if here == there => {}
                (Some(_), _) => other.remove_path(verified),
                (None, Some(_)) => self.remove_path(verified),
                (None, None) => {}
            }
        }
        for (name, value) in other.0 {
            if self.0.get(&name).is_none_or(Value::is_null) {
                self.0.insert(name, value);
            }
        }
    }
}

/// Where a claim is found: a name, or names joined by dots that reach into objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimPath(Arc<str>);

impl ClaimPath {
    /// Takes a path as written in the configuration.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// The path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a provider keeps the claims that rules and default headers ask for
/// (`providers.X.claims`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Groups of the person; `groups` unless told otherwise.
    pub groups: ClaimPath,
    /// The person's e-mail address; `email` unless told otherwise.
    pub email: ClaimPath,
    /// How we know that the address is theirs.
    pub email_verified: EmailVerified,
}

/// How an e-mail address is known to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailVerified {
    /// This claim must be `true`.
    Claim(ClaimPath),
    /// The operator vouches for the provider (`email_verified: assume`).
    Assume,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            groups: ClaimPath::new("groups"),
            email: ClaimPath::new("email"),
            email_verified: EmailVerified::Claim(ClaimPath::new("email_verified")),
        }
    }
}

/// Who is asking, and which provider says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The provider that signed the person in.
    pub provider: ProviderName,
    /// Where this provider keeps well-known claims.
    pub names: Arc<ClaimNames>,
    /// What it says of them.
    pub claims: Claims,
}

impl Identity {
    /// The stable key of the person at this provider.
    #[must_use]
    pub fn sub(&self) -> Option<&str> {
        self.claims.text("sub")
    }

    /// The groups of the person; one string is a list of one; anything else is no group.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let value = self.claims.get(&self.names.groups);
        let one = value.and_then(Value::as_str);
        let many = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        one.into_iter().chain(many)
    }

    /// The e-mail address, only if the provider has verified it (or the operator vouches for that).
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        let verified = match &self.names.email_verified {
            EmailVerified::Assume => true,
            // Some providers send the boolean as a string; nothing but true counts.
            EmailVerified::Claim(path) => match self.claims.get(path) {
                Some(Value::Bool(verified)) => *verified,
                Some(Value::String(text)) => text == "true",
                _ => false,
            },
        };
        self.claims.get(&self.names.email).and_then(Value::as_str).filter(|_| verified)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn claims(members: &Value) -> Claims {
        Claims::new(members.as_object().unwrap().clone())
    }

    /// A person whom the provider `workforce` has signed in.
    pub(crate) fn identity(members: &Value) -> Identity {
        Identity {
            provider: ProviderName::parse("workforce").unwrap(),
            names: Arc::new(ClaimNames::default()),
            claims: claims(members),
        }
    }

    #[rstest]
    #[case("a", true)]
    #[case("work_force-2", true)]
    #[case("", false)]
    #[case("Workforce", false)]
    #[case("work.force", false)]
    #[case("work/force", false)]
    #[case("wörk", false)]
    #[case("a b", false)]
    #[case("a=b;", false)]
    fn a_provider_name_fits_cookie_names_and_paths(#[case] name: &str, #[case] fits: bool) {
        assert_eq!(ProviderName::parse(name).is_ok(), fits);
    }

    #[test]
    fn a_provider_name_has_at_most_32_characters() {
        assert!(ProviderName::parse(&"a".repeat(32)).is_ok());
        assert_eq!(ProviderName::parse(&"a".repeat(33)), Err(NotAProviderName));
    }

    #[rstest]
    #[case::name("sub", Some(json!("7")))]
    #[case::inside("address.city", Some(json!("Delft")))]
    #[case::deep("a.b.c", Some(json!(1)))]
    #[case::own_name_with_a_dot("p1.region", Some(json!("eu")))]
    #[case::null("nothing", None)]
    #[case::null_inside("address.street", None)]
    #[case::absent("other", None)]
    #[case::below_a_string("sub.x", None)]
    #[case::below_a_list("list.0", None)]
    #[case::empty("", None)]
    fn a_path_reaches_into_objects(#[case] path: &str, #[case] found: Option<Value>) {
        let claims = claims(&json!({
            "sub": "7", "nothing": null, "list": [1], "a": {"b": {"c": 1}},
            "address": {"city": "Delft", "street": null}, "p1.region": "eu", "p1": {"region": "na"},
        }));
        assert_eq!(claims.get(&ClaimPath::new(path)), found.as_ref());
    }

    #[test]
    fn what_the_id_token_says_stands() {
        let mut id_token = claims(&json!({ "sub": "7", "email": "a@b.test", "name": null }));
        id_token.fill_from(
            claims(&json!({ "sub": "8", "email": "x@y.test", "name": "Kim", "zone": "CET" })),
            &ClaimNames::default(),
        );
        assert_eq!(
            id_token,
            claims(&json!({ "sub": "7", "email": "a@b.test", "name": "Kim", "zone": "CET" }))
        );
    }

    #[rstest]
    #[case(json!(["a", "b"]), &["a", "b"])]
    #[case(json!("a b"), &["a b"])]
    #[case(json!(["a", 1, null, ["b"]]), &["a"])]
    #[case(json!({"a": 1}), &[])]
    #[case(json!(1), &[])]
    fn groups_are_strings(#[case] groups: Value, #[case] read: &[&str]) {
        assert_eq!(identity(&json!({ "groups": groups })).groups().collect::<Vec<_>>(), read);
    }

    #[rstest]
    #[case(json!({"email": "a@b.test", "email_verified": true}), Some("a@b.test"))]
    #[case(json!({"email": "a@b.test", "email_verified": "true"}), Some("a@b.test"))]
    #[case(json!({"email": "a@b.test", "email_verified": "false"}), None)]
    #[case(json!({"email": "a@b.test", "email_verified": "True"}), None)]
    #[case(json!({"email": "a@b.test", "email_verified": 1}), None)]
    #[case(json!({"email": "a@b.test"}), None)]
    #[case(json!({"email": ["a@b.test"], "email_verified": true}), None)]
    fn nothing_but_true_verifies_an_address(#[case] claims: Value, #[case] email: Option<&str>) {
        assert_eq!(identity(&claims).verified_email(), email);
    }

    #[rstest]
    #[case::another_address(json!({ "email": "boss@a.test" }), json!({ "email": "kim@b.test", "email_verified": true }), None)]
    #[case::the_same_address(json!({ "email": "kim@a.test" }), json!({ "email": "kim@a.test", "email_verified": true }), Some("kim@a.test"))]
    #[case::no_address_yet(json!({ "email_verified": true }), json!({ "email": "kim@a.test" }), None)]
    #[case::all_from_userinfo(json!({}), json!({ "email": "kim@a.test", "email_verified": true }), Some("kim@a.test"))]
    #[case::only_the_word(json!({ "email": "kim@a.test" }), json!({ "email_verified": true }), None)]
    fn an_address_is_verified_by_its_own_document_alone(
        #[case] id_token: Value,
        #[case] userinfo: Value,
        #[case] verified: Option<&str>,
    ) {
        let names = ClaimNames::default();
        let mut merged = claims(&id_token);
        merged.fill_from(claims(&userinfo), &names);
        let identity = Identity {
            provider: ProviderName::parse("idp").unwrap(),
            names: Arc::new(names),
            claims: merged,
        };
        assert_eq!(identity.verified_email(), verified);
    }

    #[rstest]
    #[case::inside_an_object(json!({ "mail": { "checks": { "verified": true } } }))]
    #[case::by_a_name_with_dots(json!({ "mail.checks.verified": true }))]
    #[case::both(json!({ "mail.checks.verified": true, "mail": { "checks": { "verified": true } } }))]
    fn a_verification_elsewhere_in_userinfo_is_for_its_own_address(#[case] userinfo: Value) {
        let email_verified = EmailVerified::Claim(ClaimPath::new("mail.checks.verified"));
        let names = Arc::new(ClaimNames { email_verified, ..ClaimNames::default() });
        for (here, there, verified) in [
            (json!("boss@a.test"), json!("kim@b.test"), None),
            (json!("boss@a.test"), json!(null), None),
            (json!("kim@b.test"), json!("kim@b.test"), Some("kim@b.test")),
            (json!(null), json!("kim@b.test"), Some("kim@b.test")),
        ] {
            let mut merged = claims(&json!({ "email": here }));
            let mut said = claims(&userinfo);
            said.0.insert("email".into(), there);
            merged.fill_from(said, &names);
            let provider = ProviderName::parse("idp").unwrap();
            let identity = Identity { provider, names: Arc::clone(&names), claims: merged };
            assert_eq!(identity.verified_email(), verified);
        }
    }
}
