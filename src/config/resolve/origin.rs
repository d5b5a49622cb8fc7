//! `origins`, `danger_plain_http`, `trusted_proxies`.

use ipnet::IpNet;

use super::super::file::File;
use super::super::key::KeyPath;
use super::super::values::Network;
use super::Resolver;
use crate::route::origin::{Host, NotAnOrigin, Origin, Scheme};

/// What browsers type, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) origins: Vec<Origin>,
    /// Whether every entry could be read; only then is a host outside them a fault.
    pub(crate) whole: bool,
    pub(crate) danger_plain_http: bool,
}

impl Site {
    /// Each host once.
    pub(crate) fn hosts(&self) -> Vec<&Host> {
        let mut hosts: Vec<_> = self.origins.iter().map(|origin| &origin.host).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

impl Resolver<'_> {
    pub(super) fn site(&mut self, file: &File) -> Site {
        let root = KeyPath::root();
        let danger_plain_http = file.danger_plain_http.unwrap_or(false);
        if danger_plain_http {
            self.warn(
                &root.key("danger_plain_http"),
                "origins and issuers may be plain http beyond loopback: whoever sees it can take sessions",
                "false, and https origins",
            );
        }
        let mut site = Site { origins: Vec::new(), whole: true, danger_plain_http };
        let Some(origins) = file.origins.as_ref().filter(|origins| !origins.is_empty()) else {
            self.missing(&root, "origins", "nobody could be let in", "origins: [https://app.example.com]");
            site.whole = false;
            return site;
        };
        site.whole = origins.items().count() == origins.len();
        for (index, text) in origins.items() {
            let at = root.key("origins").item(index);
            match self.origin(&at, text, danger_plain_http) {
                Some(origin) => {
                    self.refuse_second_scheme(&at, &site.origins, &origin);
                    site.origins.push(origin);
                }
                None => site.whole = false,
            }
        }
        site
    }

    /// One origin; plain http only where nobody can listen in.
    pub(super) fn origin(&mut self, at: &KeyPath, text: &str, danger_plain_http: bool) -> Option<Origin> {
        let origin = match Origin::parse(text) {
            Ok(origin) => origin,
            Err(error) => {
                let write = match error {
                    NotAnOrigin::Scheme => {
                        format!("https://{}", text.split("://").last().unwrap_or_default())
                    }
                    NotAnOrigin::Host => {
                        "one host in full, without wildcards: https://app.example.com".to_owned()
                    }
                    NotAnOrigin::Port => "https://app.example.com, or with a port behind a colon".to_owned(),
                    NotAnOrigin::More => "scheme, host and port alone: https://app.example.com".to_owned(),
                };
                self.fault(at, format!("`{}`: {error}", text.escape_debug()), write);
                return None;
            }
        };
        if origin.scheme == Scheme::Http && !origin.host.is_loopback() && !danger_plain_http {
            self.fault(
                at,
                "is plain http beyond loopback: whoever sees the traffic could take sessions",
                format!("https://{}, or danger_plain_http: true to accept that", origin.host),
            );
        }
        Some(origin)
    }

    fn refuse_second_scheme(&mut self, at: &KeyPath, earlier: &[Origin], origin: &Origin) {
        if earlier.contains(origin) {
            self.fault(at, format!("{origin} stands here twice"), "each origin once");
        } else if let Some(other) =
            earlier.iter().find(|other| other.host == origin.host && other.scheme != origin.scheme)
        {
            self.fault(
                at,
                format!("one host has one scheme, and {other} stands here too: its cookies would be shared"),
                "only one of the two",
            );
        }
    }

    pub(super) fn trusted_proxies(&mut self, file: &File) -> Vec<IpNet> {
        let Some(networks) = &file.trusted_proxies else { return Vec::new() };
        let mut trusted = Vec::new();
        for (index, &Network(network)) in networks.items() {
            let at = KeyPath::root().key("trusted_proxies").item(index);
            let widest = match network {
                IpNet::V4(_) => 16,
                IpNet::V6(_) => 32,
            };
            let mapped = matches!(network, IpNet::V6(v6) if v6.network().to_ipv4_mapped().is_some());
            if mapped {
                self.fault(
                    &at,
                    "is an IPv4 network in IPv6 clothes",
                    "the IPv4 network itself, such as 10.4.0.0/24",
                );
            } else if network.prefix_len() == 0 {
                self.fault(
                    &at,
                    format!("{network} trusts everybody: any client could forge its address and scheme"),
                    "the networks of your own proxies alone, such as 10.4.0.0/24",
                );
            } else if network.prefix_len() < widest {
                self.warn(
                    &at,
                    format!("is wider than /{widest}: every machine in it can forge client addresses"),
                    "the networks of your own proxies alone",
                );
            }
            trusted.push(network);
        }
        trusted
    }
}
