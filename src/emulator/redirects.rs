//! Where a browser may be sent back to.

use url::{Host, Url};

/// The redirect URIs of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirects {
    /// These, compared as strings
    /// ([RFC 9700 §2.1](https://www.rfc-editor.org/rfc/rfc9700#section-2.1): exact matching).
    Exact(Vec<String>),
    /// Any http or https address on this machine, for demos whose ports are not known before.
    AnyLoopback,
}

impl Redirects {
    /// Whether `uri` is one of them. What passes is fit for a `Location` header.
    pub(super) fn allow(&self, uri: &str) -> bool {
        // `Url` drops line breaks and tabs where the header would keep them.
        if uri.is_empty() || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return false;
        }
        match self {
            Self::Exact(registered) => registered.iter().any(|known| known == uri),
            Self::AnyLoopback => Url::parse(uri).is_ok_and(|uri| is_loopback(&uri)),
        }
    }
}

fn is_loopback(uri: &Url) -> bool {
    let here = match uri.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // RFC 6761 §6.3: `localhost` and all below it resolve to loopback.
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let plain = uri.username().is_empty() && uri.password().is_none() && uri.fragment().is_none();
    here && plain && matches!(uri.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same("https://app.example.com/cb", true)]
    #[case::a_trailing_slash("https://app.example.com/cb/", false)]
    #[case::a_query_more("https://app.example.com/cb?x=1", false)]
    #[case::another_case("https://APP.example.com/cb", false)]
    #[case::nothing("", false)]
    fn compares_registered_uris_as_strings(#[case] uri: &str, #[case] allowed: bool) {
        let registered = Redirects::Exact(vec!["https://app.example.com/cb".to_owned()]);
        assert_eq!(registered.allow(uri), allowed);
    }

    #[rstest]
    #[case::ipv4("http://127.0.0.1:4711/.vestibule/callback", true)]
    #[case::ipv6("http://[::1]:4711/cb", true)]
    #[case::localhost("http://localhost:4711/cb", true)]
    #[case::below_localhost("http://app.localhost/cb", true)]
    #[case::elsewhere("http://192.0.2.1/cb", false)]
    #[case::a_name_that_only_starts_so("http://localhost.example.com/cb", false)]
    #[case::userinfo("http://127.0.0.1@example.com/cb", false)]
    #[case::own_userinfo("http://me@127.0.0.1/cb", false)]
    #[case::a_fragment("http://127.0.0.1/cb#x", false)]
    #[case::script("javascript://localhost/%0aalert(1)", false)]
    #[case::a_line_break("http://127.0.0.1/cb\r\nSet-Cookie: a=b", false)]
    fn any_loopback_is_this_machine_only(#[case] uri: &str, #[case] allowed: bool) {
        assert_eq!(Redirects::AnyLoopback.allow(uri), allowed);
    }
}
