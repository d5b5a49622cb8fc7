//! A user, and what tokens and userinfo say of one.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use super::scope::Scope;
use crate::clock::Timestamp;
use crate::seal::sha256;

/// A user of the environment.
#[derive(Debug, Clone)]
pub struct User {
    /// What is typed in; compared without regard to case, as PingOne does.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// `sub`: the user's id, a UUID.
    pub sub: String,
    /// First name.
    pub given_name: String,
    /// Last name.
    pub family_name: String,
    /// Address.
    pub email: String,
    /// Whether the address was confirmed.
    pub email_verified: bool,
    /// `groups`: an attribute mapping of the application; absent from tokens when empty.
    pub groups: Vec<String>,
    /// Further attribute mappings. They add claims and replace none.
    pub claims: Map<String, Value>,
}

impl User {
    /// `ada`, of staff and finance.
    #[must_use]
    pub fn ada() -> Self {
        Self {
            username: "ada".to_owned(),
            password: "lovelace-1843".into(),
            sub: "1f0a9d37-6c52-4b8e-8a43-e5d7c2b19064".to_owned(),
            given_name: "Ada".to_owned(),
            family_name: "Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            email_verified: true,
            groups: vec!["staff".to_owned(), "finance".to_owned()],
            claims: Map::new(),
        }
    }

    /// `grace`, of staff.
    #[must_use]
    pub fn grace() -> Self {
        Self {
            username: "grace".to_owned(),
            password: "hopper-1952".into(),
            sub: "9b62e4f8-15d0-4c7a-b3e9-06a8f1d57c24".to_owned(),
            given_name: "Grace".to_owned(),
            family_name: "Hopper".to_owned(),
            email: "grace@example.com".to_owned(),
            email_verified: true,
            groups: vec!["staff".to_owned()],
            claims: Map::new(),
        }
    }

    /// The one of `users` whom these credentials prove.
    pub(super) fn check<'u>(users: &'u [Self], username: &str, password: &str) -> Option<&'u Self> {
        let typed = sha256(password.as_bytes());
        // Every password is compared, so that an unknown name takes as long as a known one.
        users.iter().fold(None, |found, user| {
            let stored = sha256(user.password.expose_secret().as_bytes());
            let proven = bool::from(stored.ct_eq(&typed)) & user.username.eq_ignore_ascii_case(username);
            if proven { Some(user) } else { found }
        })
    }

    /// Adds to `claims` what `scope` lets an application see; what is there already stays.
    pub(super) fn describe(&self, scope: &Scope, updated_at: Timestamp, claims: &mut Map<String, Value>) {
        let mut add = |name: &str, value: Value| {
            claims.entry(name).or_insert(value);
        };
        if scope.has("profile") {
            add("preferred_username", json!(self.username));
            add("given_name", json!(self.given_name));
            add("family_name", json!(self.family_name));
            add("name", json!(format!("{} {}", self.given_name, self.family_name)));
            add("updated_at", json!(updated_at.as_secs()));
        }
        if scope.has("email") {
            add("email", json!(self.email));
            add("email_verified", json!(self.email_verified));
        }
        if !self.groups.is_empty() {
            add("groups", json!(self.groups));
        }
        for (name, value) in &self.claims {
            add(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::right("ada", "lovelace-1843", Some("ada"))]
    #[case::another_case("ADA", "lovelace-1843", Some("ada"))]
    #[case::wrong_password("ada", "lovelace-1844", None)]
    #[case::anothers_password("ada", "hopper-1952", None)]
    #[case::unknown("bob", "lovelace-1843", None)]
    #[case::nothing("", "", None)]
    fn proves_a_user(#[case] username: &str, #[case] password: &str, #[case] expected: Option<&str>) {
        let users = [User::ada(), User::grace()];
        let proven = User::check(&users, username, password).map(|user| user.username.as_str());
        assert_eq!(proven, expected);
    }

    #[test]
    fn scopes_decide_the_claims_and_mappings_replace_none() {
        let mut user = User::ada();
        user.claims.insert("sub".to_owned(), json!("someone-else"));
        user.claims.insert("cost_centre".to_owned(), json!(4711));
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), json!(user.sub));
        user.describe(&Scope::parse("openid email"), Timestamp::from_secs(1), &mut claims);

        assert_eq!(claims.get("sub"), Some(&json!(user.sub)));
        assert_eq!(claims.get("email_verified"), Some(&json!(true)));
        assert_eq!(claims.get("groups"), Some(&json!(["staff", "finance"])));
        assert_eq!(claims.get("cost_centre"), Some(&json!(4711)));
        assert_eq!(claims.get("given_name"), None);
    }
}
