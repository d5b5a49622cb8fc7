//! Request parameters, from a query or a form.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use url::form_urlencoded;

/// Parameters by name, each at most once.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl std::fmt::Debug for Parameters {
    /// Names alone: the values may be passwords and codes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A parameter came twice: two readers could take different ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the parameter `{0}`: it came more than once")]
pub(super) struct Repeated(pub(super) String);

impl Parameters {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// [RFC 6749 §3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1): a parameter without a value
    /// counts as absent, and none may come more than once.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Repeated> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if value.is_empty() {
                continue;
            }
            match parameters.entry(name.into_owned()) {
                Entry::Vacant(free) => free.insert(value.into_owned()),
                Entry::Occupied(taken) => return Err(Repeated(taken.key().clone())),
            };
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Puts a value in place.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_and_drops_what_is_empty() {
        let parameters = Parameters::parse(b"scope=openid+email&state=a%26b&nonce=&x").unwrap();
        assert_eq!(parameters.get("scope"), Some("openid email"));
        assert_eq!(parameters.get("state"), Some("a&b"));
        assert_eq!(parameters.get("nonce"), None);
        assert_eq!(parameters.get("x"), None);
    }

    #[test]
    fn refuses_a_repetition() {
        let repeated = Parameters::parse(b"client_id=a&state=s&client_id=b");
        assert_eq!(repeated, Err(Repeated("client_id".to_owned())));
    }
}
