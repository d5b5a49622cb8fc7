//! `listeners` and `admin`.

use std::net::{IpAddr, SocketAddr};

use super::super::file::listener::{Admin, Listener, ListenerTls};
use super::super::key::KeyPath;
use super::super::values::List;
use super::Resolver;
use crate::admin::{self, AdminAddress};
use crate::edge::{CertificateFiles, ListenerConfig, ListenerKind};

/// Where health and metrics are when nobody says otherwise.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9900);

impl Resolver<'_> {
    pub(super) fn listeners(&mut self, listeners: Option<&List<Listener>>) -> Vec<(KeyPath, ListenerConfig)> {
        let root = KeyPath::root();
        let Some(listeners) = listeners.filter(|listeners| !listeners.is_empty()) else {
            self.missing(
                &root,
                "listeners",
                "nobody could connect",
                "listeners: [{ address: 0.0.0.0:8080 }]",
            );
            return Vec::new();
        };
        let at = root.key("listeners");
        listeners.items().filter_map(|(index, listener)| self.listener(&at.item(index), listener)).collect()
    }

    fn listener(&mut self, at: &KeyPath, listener: &Listener) -> Option<(KeyPath, ListenerConfig)> {
        let address_at = at.key("address");
        let address = if let Some(written) = &listener.address {
            self.address(&address_at, written)
        } else {
            self.missing(at, "address", "a listener needs one", "address: 0.0.0.0:8080");
            None
        };
        let redirect = listener.redirect_to_https == Some(true);
        let kind = match &listener.tls {
            Some(_) if redirect => {
                self.fault_of_key(
                    &at.key("redirect_to_https"),
                    "this listener speaks TLS, so whoever gets here is on https already",
                    "tls here, and redirect_to_https on a listener of its own (port 80)",
                );
                None
            }
            Some(tls) => self.certificates(&at.key("tls"), tls).map(ListenerKind::Tls),
            None if redirect => Some(ListenerKind::RedirectToHttps),
            None => Some(ListenerKind::Plain),
        };
        Some((address_at, ListenerConfig { address: address?, kind: kind? }))
    }

    fn certificates(&mut self, at: &KeyPath, tls: &ListenerTls) -> Option<Vec<CertificateFiles>> {
        let pair = tls.certificate.is_some() || tls.key.is_some();
        let Some(certificates) = &tls.certificates else {
            if !pair && !self.is_reported(at) {
                self.fault_of_key(
                    at,
                    "names no certificate",
                    "tls: { certificate: FILE.crt, key: FILE.key }",
                );
                return None;
            }
            let files = self.certificate_files(at, tls.certificate.as_deref(), tls.key.as_deref());
            return files.map(|files| vec![files]);
        };
        let at = at.key("certificates");
        if pair {
            self.fault_of_key(
                &at,
                "certificate and key stand beside it",
                "all pairs in certificates, or one pair without it",
            );
        }
        if certificates.is_empty() {
            self.fault(
                &at,
                "names no certificate",
                "certificates: [{ certificate: FILE.crt, key: FILE.key }]",
            );
            return None;
        }
        let mut all = Some(Vec::new());
        for (index, pair) in certificates.items() {
            let files =
                self.certificate_files(&at.item(index), pair.certificate.as_deref(), pair.key.as_deref());
            all = all.zip(files).map(|(mut all, files)| {
                all.push(files);
                all
            });
        }
        all
    }

    fn address(&mut self, at: &KeyPath, written: &str) -> Option<SocketAddr> {
        if written.starts_with("unix:") {
            self.later(at, "an address and a port: 127.0.0.1:8080");
            return None;
        }
        let address = written.parse().ok();
        if address.is_none() {
            self.fault(
                at,
                format!("`{}` is not an address and a port", written.escape_debug()),
                "0.0.0.0:8080 for every network, 127.0.0.1:8080 for this machine, [::]:8080 for IPv6",
            );
        }
        address
    }

    pub(super) fn admin(&mut self, admin: Option<&Admin>) -> Option<admin::Config> {
        let at = KeyPath::root().key("admin");
        let address = match admin.and_then(|admin| admin.address.as_deref()) {
            None => Some(AdminAddress::Default(ADMIN)),
            Some(written) => self.address(&at.key("address"), written).map(AdminAddress::Chosen),
        };
        if let Some(AdminAddress::Chosen(chosen)) = address
            && !chosen.ip().is_loopback()
        {
            self.warn(
                &at.key("address"),
                "is reachable from other machines, and what it tells is meant for operators",
                "127.0.0.1:9900, and probes: for a kubelet or load balancer",
            );
        }
        let probes = match admin.and_then(|admin| admin.probes.as_deref()) {
            None => None,
            Some(written) => Some(self.address(&at.key("probes"), written)?),
        };
        Some(admin::Config { address: address?, probes })
    }

    /// Two listeners can't have one address. A port of 0 is another one each time.
    pub(super) fn refuse_shared_addresses(
        &mut self,
        listeners: &[(KeyPath, ListenerConfig)],
        admin: Option<&admin::Config>,
    ) {
        let at = KeyPath::root().key("admin");
        let mut taken: Vec<_> =
            listeners.iter().map(|(path, listener)| (path.clone(), listener.address)).collect();
        if let Some(AdminAddress::Chosen(address)) = admin.map(|admin| admin.address) {
            taken.push((at.key("address"), address));
        }
        if let Some(probes) = admin.and_then(|admin| admin.probes) {
            taken.push((at.key("probes"), probes));
        }
        for (index, (path, address)) in taken.iter().enumerate() {
            let other = taken.iter().take(index).find(|(_, other)| overlap(*address, *other));
            if let Some((other, theirs)) = other {
                let why = format!("{address} is taken by {other} ({theirs})");
                self.fault(path, why, "an address or a port of its own");
            }
        }
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let every = |ip: IpAddr, other: IpAddr| {
        // `[::]` takes IPv4 along.
        ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4())
    };
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || every(a.ip(), b.ip()) || every(b.ip(), a.ip()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0.0.0.0:80", "127.0.0.1:80", true)]
    #[case("127.0.0.1:80", "127.0.0.1:80", true)]
    #[case("[::]:80", "127.0.0.1:80", true)]
    #[case("0.0.0.0:80", "[::1]:80", false)]
    #[case("127.0.0.1:80", "127.0.0.2:80", false)]
    #[case("0.0.0.0:80", "0.0.0.0:443", false)]
    #[case("127.0.0.1:0", "127.0.0.1:0", false)]
    fn knows_which_addresses_overlap(#[case] a: SocketAddr, #[case] b: SocketAddr, #[case] shared: bool) {
        assert_eq!(overlap(a, b), shared);
        assert_eq!(overlap(b, a), shared);
    }
}
