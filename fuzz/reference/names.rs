//! Which header names a client may not say, written from the threat list.

/// Letters and digits, in lower case: how the most forgiving backend reads a name.
pub fn squeezed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Identity headers of the fuzzed configuration and the default ones.
const IDENTITY: [&str; 5] =
    ["xforwardeduser", "xforwardedemail", "xforwardedpreferredusername", "xforwardedgroups", "xremoteuser"];

/// Names that a proxy alone may say, one of each family.
const PROXYS: [&str; 13] = [
    "forwarded",
    "xrealip",
    "trueclientip",
    "cfconnectingip",
    "xoriginalurl",
    "xoriginaluri",
    "xrewriteurl",
    "xenvoyoriginalpath",
    "xhttpmethodoverride",
    "xmethodoverride",
    "xhttpmethod",
    "clientcert",
    "proxy",
];

/// Names that mean something in one spelling only.
const ONLY_AS_WRITTEN: [&str; 8] = [
    "host",
    "cookie",
    "authorization",
    "content-length",
    "transfer-encoding",
    "content-type",
    "connection",
    "upgrade",
];

/// Whether a backend could take the name for an identity header.
pub fn is_identity(name: &str) -> bool {
    IDENTITY.contains(&squeezed(name).as_str())
}

/// Whether the name may only be said by a proxy.
pub fn is_proxys(name: &str) -> bool {
    let squeezed = squeezed(name);
    let starts = ["xforwarded", "xaccel", "xsslclient", "sslclient", "xclientcert", "xvestibule"];
    PROXYS.contains(&squeezed.as_str()) || starts.iter().any(|start| squeezed.starts_with(start))
}

/// Whether the name is another spelling of one that matters.
pub fn is_disguised(name: &str) -> bool {
    let squeezed_name = squeezed(name);
    ONLY_AS_WRITTEN.iter().any(|written| squeezed(written) == squeezed_name && *written != name)
}

/// Whether the field concerns this connection alone.
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Whether `Connection` may not have a header of this name removed.
pub fn may_not_be_nominated(name: &str) -> bool {
    let needed = ["host", "cookie", "authorization", "content-length", "content-type"];
    is_identity(name) || is_proxys(name) || needed.contains(&name)
}
