//! Header names that only we may say, in every spelling a backend could take for them.
//!
//! CGI, WSGI and friends turn `-` and `_` (some every other byte too) into the same byte and ignore
//! case. Two names are the same here once all but letters and digits is dropped and case is folded.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST,
    IF_NONE_MATCH, ORIGIN, REFERER, UPGRADE, UPGRADE_INSECURE_REQUESTS, USER_AGENT,
};
use http::{HeaderMap, HeaderName};

/// Identity headers, mapped on any route or default.
const IDENTITY: [&str; 4] =
    ["xforwardeduser", "xforwardedemail", "xforwardedpreferredusername", "xforwardedgroups"];

/// Names that begin so carry what a proxy in front of the upstream says: about the forwarding,
/// the client's certificate, its own directives, us.
const SPOKEN_FOR: [&str; 6] =
    ["xforwarded", "xaccel", "xsslclient", "sslclient", "xclientcert", "xvestibule"];

/// The same, as whole names: the client's address, the real path or method, its certificate, and
/// `Proxy`, which CGI turns into the environment variable that names an outgoing proxy.
const NEVER_FROM_CLIENTS: [&str; 23] = [
    "forwarded",
    "xrealip",
    "xclientip",
    "xclusterclientip",
    "trueclientip",
    "cfconnectingip",
    "cfconnectingipv6",
    "fastlyclientip",
    "xoriginalurl",
    "xoriginaluri",
    "xoriginalmethod",
    "xoriginalhost",
    "xoriginalforwardedfor",
    "xrewriteurl",
    "xenvoyoriginalpath",
    "xenvoyexternaladdress",
    "xenvoyinternal",
    "xhttpmethodoverride",
    "xhttpmethod",
    "xmethodoverride",
    "clientcert",
    "clientcertchain",
    "proxy",
];

/// Names that clients do send; every other spelling of them goes.
const ONLY_AS_WRITTEN: [&str; 12] = [
    "host",
    "cookie",
    "authorization",
    "proxy-authorization",
    "content-length",
    "transfer-encoding",
    "content-type",
    "expect",
    "connection",
    "upgrade",
    "te",
    "trailer",
];

/// Those of them that `Connection` may name.
const NOMINABLE: [&str; 4] = ["connection", "upgrade", "te", "trailer"];

/// Names that pass as they are, unless a configuration gives one a meaning of its own.
const USUAL: [HeaderName; 13] = [
    HOST,
    COOKIE,
    USER_AGENT,
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    REFERER,
    ORIGIN,
    CACHE_CONTROL,
    UPGRADE_INSECURE_REQUESTS,
    IF_NONE_MATCH,
];

/// What becomes of a name from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A header that we write from an identity.
    Managed,
    /// A header that only a proxy may say.
    SpokenFor,
    /// It passes in this spelling alone.
    OnlyAsWritten(&'static str),
}

/// The names of all identity headers of all routes, and whatever else clients may not say.
#[derive(Debug, Clone)]
pub struct ManagedNames {
    /// What nearly every request has, and what is nobody's here: needn't be spelt out.
    usual: Vec<HeaderName>,
    kinds: HashMap<Box<[u8]>, Kind, RandomState>,
}

impl ManagedNames {
    /// The given names (all mapped identity headers of all routes), and the default ones.
    pub fn new(mapped: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut kinds = HashMap::default();
        for written in ONLY_AS_WRITTEN {
            squeezed(written, |name| kinds.insert(name.into(), Kind::OnlyAsWritten(written)));
        }
        for name in NEVER_FROM_CLIENTS {
            kinds.insert(name.as_bytes().into(), Kind::SpokenFor);
        }
        for name in IDENTITY {
            kinds.insert(name.as_bytes().into(), Kind::Managed);
        }
        for name in mapped {
            squeezed(name.as_str(), |name| kinds.insert(name.into(), Kind::Managed));
        }
        let mut names = Self { usual: Vec::new(), kinds };
        let is_ours =
            |name: &HeaderName| matches!(names.kind(name.as_str()), Some(Kind::Managed | Kind::SpokenFor));
        names.usual = USUAL.into_iter().filter(|name| !is_ours(name)).collect();
        names
    }

    /// Whether a backend could confuse `name` with an identity header of any route.
    #[must_use]
    pub fn is_alias(&self, name: &str) -> bool {
        self.kind(name) == Some(Kind::Managed)
    }

    /// The names in a request head that must be removed before it is sent on, whatever their values.
    /// `Upgrade` is among them unless it asks for a WebSocket.
    #[must_use]
    pub fn spoofed(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        let may_not_pass = |name: &&HeaderName| match self.kind(name.as_str()) {
            Some(Kind::Managed | Kind::SpokenFor) => true,
            Some(Kind::OnlyAsWritten(written)) => {
                name.as_str() != written || (*name == UPGRADE && !asks_for_web_socket(headers))
            }
            None => *name == "http2-settings",
        };
        headers.keys().filter(|name| !self.usual.contains(name)).filter(may_not_pass).cloned().collect()
    }

    /// Whether `Connection` may not name this header.
    pub(super) fn may_not_be_nominated(&self, name: &str) -> bool {
        match self.kind(name) {
            Some(Kind::OnlyAsWritten(written)) => !NOMINABLE.contains(&written),
            Some(Kind::Managed | Kind::SpokenFor) => true,
            None => false,
        }
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        squeezed(name, |name| {
            let spoken_for = || SPOKEN_FOR.iter().any(|start| name.starts_with(start.as_bytes()));
            self.kinds.get(name).copied().or_else(|| spoken_for().then_some(Kind::SpokenFor))
        })
    }
}

fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(UPGRADE).iter();
    let one = values.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    one && values.next().is_none()
}

/// Gives the letters and digits of a name, in lower case; names of usual length cost no allocation.
fn squeezed<T>(name: &str, then: impl FnOnce(&[u8]) -> T) -> T {
    let mut kept = name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    let mut short = [0; 64];
    if name.len() > short.len() {
        return then(&kept.collect::<Vec<_>>());
    }
    let mut length = 0;
    for (place, byte) in short.iter_mut().zip(&mut kept) {
        *place = byte;
        length += 1;
    }
    then(short.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn names() -> ManagedNames {
        let long = format!("x-{}-user", "long-".repeat(20));
        ManagedNames::new([HeaderName::from_static("x-remote-user"), HeaderName::try_from(long).unwrap()])
    }

    fn removed(name: &str, value: &'static str) -> bool {
        let name = HeaderName::try_from(name).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), HeaderValue::from_static(value));
        names().spoofed(&headers) == [name]
    }

    #[rstest]
    #[case("X-Forwarded-User")]
    #[case("x-forwarded-user")]
    #[case("X_Forwarded_User")]
    #[case("X-FORWARDED_USER")]
    #[case("x.forwarded.user")]
    #[case("XForwardedUser")]
    #[case("x--forwarded--user")]
    #[case("x-forwarded-user-")]
    #[case("X-Forwarded-Email")]
    #[case("X_Forwarded-Groups")]
    #[case("X-Forwarded-Preferred_Username")]
    #[case("X-Remote-User")]
    #[case("x_remote_user")]
    #[case("X~Remote!User")]
    fn an_identity_header_never_passes_in_any_spelling(#[case] name: &str) {
        assert!(names().is_alias(name));
        assert!(removed(name, "admin"));
        assert!(removed(name, ""));
    }

    #[test]
    fn a_long_mapped_name_has_aliases_too() {
        let alias = format!("X_{}User", "Long_".repeat(20));
        assert!(names().is_alias(&alias));
        assert!(!names().is_alias(&format!("{alias}2")));
    }

    #[rstest]
    #[case("X-Forwarded-For")]
    #[case("X_Forwarded_For")]
    #[case("X-Forwarded-Host")]
    #[case("X-Forwarded-Proto")]
    #[case("X-Forwarded-Port")]
    #[case("X-Forwarded-Prefix")]
    #[case("X-Forwarded-Uri")]
    #[case("X-Forwarded-Method")]
    #[case("X-Forwarded-Client-Cert")]
    #[case("Forwarded")]
    #[case("X-Real-IP")]
    #[case("x_real_ip")]
    #[case("True-Client-IP")]
    #[case("CF-Connecting-IP")]
    #[case("X-Original-URL")]
    #[case("X-Rewrite-URL")]
    #[case("X-Original-URI")]
    #[case("X-Envoy-Original-Path")]
    #[case("X-HTTP-Method-Override")]
    #[case("X-Method-Override")]
    #[case("X-HTTP-Method")]
    #[case("X-Accel-Redirect")]
    #[case("Client-Cert")]
    #[case("X-Client-Cert")]
    #[case("X-SSL-Client-Verify")]
    #[case("X-Vestibule-Assertion")]
    #[case("Proxy")]
    #[case("Transfer_Encoding")]
    #[case("Content_Length")]
    #[case("contentlength")]
    #[case("Author_ization")]
    #[case("Cookie_")]
    #[case("T-E")]
    #[case("Http2-Settings")]
    fn what_only_a_proxy_may_say_never_passes(#[case] name: &str) {
        assert!(removed(name, "x"));
        assert!(!names().is_alias(name));
    }

    #[rstest]
    #[case("Host")]
    #[case("Cookie")]
    #[case("Authorization")]
    #[case("Content-Length")]
    #[case("Content-Type")]
    #[case("Accept")]
    #[case("Origin")]
    #[case("X-Requested-With")]
    #[case("X-Remote-User-Agent")]
    #[case("X-Forward")]
    #[case("Traceparent")]
    #[case("TE")]
    #[case("Sec-WebSocket-Key")]
    fn other_headers_pass(#[case] name: &str) {
        assert!(!removed(name, "x"));
    }

    #[rstest]
    #[case("websocket", false)]
    #[case("WebSocket", false)]
    #[case("h2c", true)]
    #[case("websocket, h2c", true)]
    #[case("foo", true)]
    #[case("", true)]
    fn only_a_web_socket_may_be_asked_for(#[case] value: &'static str, #[case] goes: bool) {
        assert_eq!(removed("Upgrade", value), goes);
    }

    proptest! {
        #[test]
        fn any_other_byte_between_letters_makes_an_alias(fill in proptest::collection::vec("[-_.~!*+^|]{0,2}", 13)) {
            let name: String = "xremoteuser".chars().zip(fill).flat_map(|(c, fill)| fill.chars().chain([c]).collect::<Vec<_>>()).collect();
            prop_assert!(names().is_alias(&name));
        }

        #[test]
        fn names_with_other_letters_are_no_aliases(name in "[a-w-]{1,80}") {
            // Without an x no identity header can be spelled.
            prop_assert!(!names().is_alias(&name));
        }
    }
}
