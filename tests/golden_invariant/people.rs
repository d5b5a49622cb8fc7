//! Who signs in, and what an upstream must be told of them.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// People with an account.
pub(crate) const PEOPLE: usize = 64;

/// Somebody with an account. Not everybody has every claim: where one is missing, nothing may stand in.
#[derive(Debug)]
pub(crate) struct Person {
    /// Place in the list.
    pub(crate) index: usize,
    /// `sub`.
    pub(crate) sub: String,
    /// `preferred_username`.
    pub(crate) name: String,
    /// `email`.
    pub(crate) email: Option<String>,
    /// `groups`.
    pub(crate) groups: Vec<String>,
}

static EVERYBODY: LazyLock<Vec<Person>> = LazyLock::new(|| (0..PEOPLE).map(Person::new).collect());

/// All of them.
pub(crate) fn everybody() -> &'static [Person] {
    &EVERYBODY
}

impl Person {
    fn new(index: usize) -> Self {
        let groups = match index % 5 {
            0 => Vec::new(),
            1 | 2 => vec!["staff".to_owned(), format!("team-{}", index % 8)],
            _ => vec![format!("team-{}", index % 8)],
        };
        Self {
            index,
            sub: format!("person-{index:02}"),
            name: format!("name-{index:02}"),
            email: (index % 4 != 3).then(|| format!("person-{index:02}@example.com")),
            groups,
        }
    }

    /// Whether the route that asks for the group takes them.
    pub(crate) fn is_staff(&self) -> bool {
        self.groups.iter().any(|group| group == "staff")
    }

    /// Adds what the provider says of them to an ID token.
    pub(crate) fn claims(&self, token: &mut Value) {
        token["sub"] = json!(self.sub);
        token["preferred_username"] = json!(self.name);
        if let Some(email) = &self.email {
            token["email"] = json!(email);
            token["email_verified"] = json!(true);
        }
        if !self.groups.is_empty() {
            token["groups"] = json!(self.groups);
        }
    }

    /// The identity headers of a route without a mapping of its own.
    pub(crate) fn standard_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-forwarded-preferred-username", self.name.clone()),
            ("x-forwarded-user", self.sub.clone()),
        ];
        headers.extend(self.email.clone().map(|email| ("x-forwarded-email", email)));
        if !self.groups.is_empty() {
            headers.push(("x-forwarded-groups", self.groups.join(",")));
        }
        headers
    }

    /// Those of the route that maps them.
    pub(crate) fn mapped_headers(&self, sid: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![("x-golden-sid", sid.to_owned()), ("x-golden-user", self.sub.clone())];
        headers.extend(self.email.clone().map(|email| ("x-golden-mail", email)));
        headers
    }
}
