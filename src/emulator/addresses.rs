//! The two sets of addresses of one environment.
//!
//! PingOne serves an environment under `auth.pingone.{tld}/{environment}` and, once it has a custom
//! domain, under that domain without the id. Both are valid at once, and what comes out of one names
//! it as the issuer.

use std::net::SocketAddr;

/// Which of the two sets a request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `/{environment}/as/…`
    Environment,
    /// `/as/…`
    CustomDomain,
}

/// Where the emulator is.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    origin: String,
    /// `/{environment}`
    prefix: String,
}

impl Addresses {
    pub(super) fn new(address: SocketAddr, environment: &str) -> Self {
        Self { origin: format!("http://{address}"), prefix: format!("/{environment}") }
    }

    /// What stands in front of `/as`.
    pub(super) fn base(&self, shape: Shape) -> String {
        match shape {
            Shape::Environment => format!("{}{}", self.origin, self.prefix),
            Shape::CustomDomain => self.origin.clone(),
        }
    }

    /// The issuer.
    pub(super) fn issuer(&self, shape: Shape) -> String {
        format!("{}/as", self.base(shape))
    }

    /// The path of the session's cookies.
    pub(super) fn cookie_path(&self, shape: Shape) -> &str {
        match shape {
            Shape::Environment => &self.prefix,
            Shape::CustomDomain => "/",
        }
    }

    /// Takes the environment off a path.
    pub(super) fn split<'p>(&self, path: &'p str) -> (Shape, &'p str) {
        match path.strip_prefix(&self.prefix) {
            Some(rest) if rest.starts_with('/') => (Shape::Environment, rest),
            _ => (Shape::CustomDomain, path),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn addresses() -> Addresses {
        Addresses::new(SocketAddr::from(([127, 0, 0, 1], 4711)), "5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835")
    }

    #[rstest]
    #[case("/5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835/as/token", Shape::Environment, "/as/token")]
    #[case("/as/token", Shape::CustomDomain, "/as/token")]
    #[case(
        "/5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835x/as",
        Shape::CustomDomain,
        "/5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835x/as"
    )]
    #[case("/another/as/token", Shape::CustomDomain, "/another/as/token")]
    fn splits_paths(#[case] path: &str, #[case] shape: Shape, #[case] rest: &str) {
        assert_eq!(addresses().split(path), (shape, rest));
    }

    #[test]
    fn each_set_has_its_issuer() {
        let addresses = addresses();
        assert_eq!(
            addresses.issuer(Shape::Environment),
            "http://127.0.0.1:4711/5b8a3c1e-94d7-4f02-b6e1-7c20d9f4a835/as"
        );
        assert_eq!(addresses.issuer(Shape::CustomDomain), "http://127.0.0.1:4711/as");
    }
}
