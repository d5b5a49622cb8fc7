//! Names of headers: which are refused, and which a backend could confuse.

use http::{HeaderName, HeaderValue};

use super::super::file::route::HeaderEdits;
use super::super::key::KeyPath;
use super::super::values::Scalar;
use super::Resolver;
use crate::route;

/// What a header name is taken for already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// It frames the message on this connection.
    Framing,
    /// It carries credentials.
    Credential,
    /// It says who forwarded the request.
    Forwarding,
}

const FRAMING: [&str; 11] = [
    "connection",
    "contentlength",
    "expect",
    "host",
    "http2settings",
    "keepalive",
    "te",
    "trailer",
    "trailers",
    "transferencoding",
    "upgrade",
];
const CREDENTIAL: [&str; 3] = ["authorization", "cookie", "setcookie"];
const FORWARDING: [&str; 15] = [
    "forwarded",
    "trueclientip",
    "via",
    "xclientip",
    "xforwardedby",
    "xforwardedfor",
    "xforwardedhost",
    "xforwardedport",
    "xforwardedprefix",
    "xforwardedproto",
    "xforwardedscheme",
    "xforwardedserver",
    "xforwardedssl",
    "xoriginalurl",
    "xrealip",
];

/// A name as a careless backend reads it: letters and digits alone, case folded.
pub(crate) fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What the name is taken for, in whatever spelling.
pub(crate) fn reserved(name: &str) -> Option<Reserved> {
    let folded = folded(name);
    let is_in = |list: &[&str]| list.contains(&folded.as_str());
    let lower = name.to_ascii_lowercase();
    if is_in(&FRAMING) || lower.starts_with("proxy-") || lower.starts_with("proxy_") {
        Some(Reserved::Framing)
    } else if is_in(&CREDENTIAL) {
        Some(Reserved::Credential)
    } else if is_in(&FORWARDING) {
        Some(Reserved::Forwarding)
    } else {
        None
    }
}

impl Reserved {
    /// Why it can't be had.
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Framing => "frames messages between servers, and a wrong one lets requests be smuggled",
            Self::Credential => "carries credentials",
            Self::Forwarding => "says who forwarded the request, and the gateway writes it",
        }
    }
}

/// Which way edited headers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the upstream.
    Request,
    /// To the client.
    Response,
}

impl Resolver<'_> {
    pub(super) fn header_name(&mut self, at: &KeyPath, written: &str) -> Option<HeaderName> {
        let name = HeaderName::from_bytes(written.as_bytes()).ok();
        if name.is_none() {
            let why = format!("`{}` can't be the name of a header", written.escape_debug());
            self.fault_of_key(at, why, "letters, digits and -, such as X-Env");
        }
        name
    }

    pub(super) fn header_edits(
        &mut self,
        at: &KeyPath,
        edits: Option<&HeaderEdits>,
        direction: Direction,
    ) -> route::HeaderEdits {
        let mut resolved = route::HeaderEdits::default();
        let Some(edits) = edits else { return resolved };
        for (index, written) in edits.remove.iter().flat_map(super::super::values::List::items) {
            let at = at.key("remove").item(index);
            let name = self.header_name(&at, written);
            // An upstream's cookies may be taken away; ours are added later.
            let cookie = direction == Direction::Response && folded(written) == "setcookie";
            if !cookie {
                self.refuse_reserved(&at, written);
            }
            resolved.remove.extend(name);
        }
        for (written, Scalar(value)) in edits.set.iter().flat_map(super::super::values::Named::entries) {
            let at = at.key("set").key(written);
            let name = self.header_name(&at, written);
            self.refuse_reserved(&at, written);
            let value = HeaderValue::from_str(value).ok();
            if value.is_none() {
                self.fault(&at, "has characters that no header may have", "one line of printable characters");
            }
            resolved.set.extend(name.zip(value));
        }
        resolved
    }

    fn refuse_reserved(&mut self, at: &KeyPath, written: &str) {
        if let Some(reserved @ (Reserved::Framing | Reserved::Credential)) = reserved(written) {
            let why = format!("{written} {}: it can't be set or removed here", reserved.why());
            self.fault_of_key(at, why, "another header, or none");
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Content-Length", Some(Reserved::Framing))]
    #[case("content_length", Some(Reserved::Framing))]
    #[case("Proxy-Authorization", Some(Reserved::Framing))]
    #[case("TE", Some(Reserved::Framing))]
    #[case("Authorization", Some(Reserved::Credential))]
    #[case("Cookie", Some(Reserved::Credential))]
    #[case("X_Forwarded_For", Some(Reserved::Forwarding))]
    #[case("X-Real-IP", Some(Reserved::Forwarding))]
    #[case("X-Forwarded-User", None)]
    #[case("X-Remote-User", None)]
    #[case("ProxyUser", None)]
    fn knows_reserved_names_in_any_spelling(#[case] name: &str, #[case] what: Option<Reserved>) {
        assert_eq!(reserved(name), what);
    }
}
