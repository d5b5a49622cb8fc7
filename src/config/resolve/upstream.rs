//! `routes[].upstream`: the service behind.

use http::HeaderValue;
use url::{Host, Url};

use super::super::file::route::{Protocol, Retries, Upstream as UpstreamFile, UpstreamTimeouts, UpstreamTls};
use super::super::key::KeyPath;
use super::super::values::Short;
use super::Resolver;
use crate::route::origin::Authority;
use crate::route::upstream::{self, HostHeader, Prepared, Server, Timeouts, Upstream};

/// The most attempts that make sense before a client gives up.
const MOST_RETRIES: u64 = 10;

/// A server as written, for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Resolver<'_> {
    /// The server as written, and the whole upstream if nothing is wrong with it.
    pub(super) fn upstream(
        &mut self,
        at: &KeyPath,
        written: &Short<UpstreamFile>,
    ) -> (Option<ServerAddress>, Option<Upstream>) {
        let absent = UpstreamFile::default();
        let (url, upstream) = match written {
            Short::Text(url) => (self.server(at, url), &absent),
            Short::Full(upstream) => (self.only_server(at, upstream), upstream),
        };
        let host = self.host_header(&at.key("host"), upstream.host.as_deref());
        let strip_prefix = match &upstream.strip_prefix {
            None => Some(None),
            Some(prefix) => self.url_path(&at.key("strip_prefix"), prefix, "/app").map(|prefix| {
                Some(prefix.trim_end_matches('/').to_owned()).filter(|prefix| !prefix.is_empty())
            }),
        };
        let timeouts = self.upstream_timeouts(&at.key("timeouts"), upstream.timeouts.as_ref());
        let retries = self.retries(&at.key("retries"), upstream.retries.as_ref());
        let Some(url) = url else { return (None, None) };
        let protocol = self.protocol(&at.key("protocol"), &url, upstream.protocol);
        let tls = self.upstream_tls(at, &url, upstream.tls.as_ref());
        let address = ServerAddress {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
        };
        let resolved = (|| {
            Some(Upstream {
                server: Server::new(&address.host, address.port),
                host: host?,
                protocol,
                strip_prefix: strip_prefix?,
                timeouts,
                retries,
                tls: tls?,
                prepared: Prepared::default(),
            })
        })();
        (Some(address), resolved)
    }

    fn only_server(&mut self, at: &KeyPath, upstream: &UpstreamFile) -> Option<Url> {
        let servers_at = at.key("servers");
        let Some(servers) = upstream.servers.as_ref().filter(|servers| !servers.is_empty()) else {
            self.missing(at, "servers", "requests must go somewhere", "servers: [http://127.0.0.1:3000]");
            return None;
        };
        if servers.len() > 1 {
            self.later(&servers_at, "one server");
        }
        let mut urls = servers.items().map(|(index, url)| self.server(&servers_at.item(index), url));
        let first = urls.next().flatten();
        // The others are read for their faults alone.
        urls.for_each(drop);
        first
    }

    fn server(&mut self, at: &KeyPath, written: &str) -> Option<Url> {
        let Some(url) =
            Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        else {
            self.fault(
                at,
                format!("`{}` is not the URL of a server", written.escape_debug()),
                "scheme, host and port: http://127.0.0.1:3000",
            );
            return None;
        };
        let user = !url.username().is_empty() || url.password().is_some();
        let more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        if user || more {
            let why = if user {
                "has a user, which would never be sent"
            } else {
                "has a path, query or fragment, but requests are forwarded with their own"
            };
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            self.fault(at, why, format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default()));
        }
        if url.port() == Some(0) {
            self.fault(at, "has port 0", "the port that the service listens on");
        }
        Some(url)
    }

    /// HTTP/2 is agreed on in the TLS handshake, or known to be spoken without one: the URL and the
    /// protocol must tell the same story.
    fn protocol(&mut self, at: &KeyPath, url: &Url, written: Option<Protocol>) -> upstream::Protocol {
        match (written, url.scheme()) {
            (None | Some(Protocol::Http1), _) => upstream::Protocol::Http1,
            (Some(Protocol::H2), "https") => upstream::Protocol::H2,
            (Some(Protocol::H2c), "http") => upstream::Protocol::H2c,
            (Some(Protocol::H2), _) => {
                self.fault(
                    at,
                    "h2 is agreed on over TLS, and the server's URL begins with http://",
                    "h2c, or an https:// URL",
                );
                upstream::Protocol::H2
            }
            (Some(Protocol::H2c), _) => {
                self.fault(
                    at,
                    "h2c is HTTP/2 without TLS, and the server's URL begins with https://",
                    "h2, or an http:// URL",
                );
                upstream::Protocol::H2c
            }
        }
    }

    fn host_header(&mut self, at: &KeyPath, written: Option<&str>) -> Option<HostHeader> {
        match written {
            None | Some("preserve") => Some(HostHeader::Preserve),
            Some("server") => Some(HostHeader::Server),
            Some(name) => {
                let value = Authority::parse(name).ok().and_then(|_| HeaderValue::from_str(name).ok());
                if value.is_none() {
                    let why = format!("`{}` is not a host", name.escape_debug());
                    self.fault(at, why, "preserve, server, or a name such as app.internal");
                }
                value.map(HostHeader::Name)
            }
        }
    }

    fn upstream_timeouts(&mut self, at: &KeyPath, written: Option<&UpstreamTimeouts>) -> Timeouts {
        let mut timeouts = Timeouts::default();
        let Some(written) = written else { return timeouts };
        timeouts.connect = self.period(at, "connect", written.connect, timeouts.connect);
        timeouts.first_byte = self.period(at, "first_byte", written.first_byte, timeouts.first_byte);
        timeouts.between_bytes =
            self.period(at, "between_bytes", written.between_bytes, timeouts.between_bytes);
        timeouts.stream_idle = self.period(at, "stream_idle", written.stream_idle, timeouts.stream_idle);
        // Nothing is fine here: then no connection is kept.
        timeouts.keep_alive = written.keep_alive.map_or(timeouts.keep_alive, |period| period.0);
        timeouts
    }

    fn retries(&mut self, at: &KeyPath, written: Option<&Retries>) -> upstream::Retries {
        let mut retries = upstream::Retries::default();
        let Some(written) = written else { return retries };
        for (key, value, slot) in [
            ("connect", written.connect, &mut retries.connect),
            ("stale_connection", written.stale_connection, &mut retries.stale_connection),
        ] {
            match value.map(|value| (value <= MOST_RETRIES, u32::try_from(value))) {
                None => {}
                Some((true, Ok(count))) => *slot = count,
                Some(_) => {
                    self.fault(&at.key(key), "is more than a client waits for", "a number from 0 to 10");
                }
            }
        }
        retries
    }

    /// `None` for a fault; `Some(None)` for a plain server.
    #[expect(clippy::option_option, reason = "faulty, plain and TLS are three answers")]
    fn upstream_tls(
        &mut self,
        at: &KeyPath,
        url: &Url,
        written: Option<&UpstreamTls>,
    ) -> Option<Option<upstream::UpstreamTls>> {
        let tls_at = at.key("tls");
        if url.scheme() == "http" {
            if written.is_some() {
                self.fault_of_key(
                    &tls_at,
                    "the server's URL begins with http://, so nothing would be encrypted",
                    "an https:// URL, or no tls",
                );
            }
            return Some(None);
        }
        let ca = written.and_then(|tls| tls.ca.as_deref());
        let ca_pem = ca.map(|written| self.trusted_certificates(&tls_at.key("ca"), written));
        let name = written.and_then(|tls| tls.server_name.as_deref());
        let server_name = self.server_name(at, url, name);
        let ca_pem = match ca_pem {
            None => None,
            Some(read) => Some(read?),
        };
        Some(Some(upstream::UpstreamTls { server_name: server_name?, ca_pem }))
    }

    fn server_name(&mut self, at: &KeyPath, url: &Url, written: Option<&str>) -> Option<String> {
        let tls_at = at.key("tls");
        let name_at = tls_at.key("server_name");
        match (written, url.host()) {
            (Some(""), _) => self.fault(
                &name_at,
                "is empty, which would switch the check of the certificate off",
                "the name in the server's certificate, such as app.internal",
            ),
            (Some(name), _) => {
                if rustls_pki_types::ServerName::try_from(name).is_ok() {
                    return Some(name.to_owned());
                }
                let why = format!("`{}` can't be the name in a certificate", name.escape_debug());
                self.fault(&name_at, why, "a host name such as app.internal");
            }
            (None, Some(Host::Domain(name))) => return Some(name.to_owned()),
            (None, _) if self.is_reported(&name_at) => {}
            (None, _) => {
                let parent = if self.tree.find(&tls_at).is_some() { &tls_at } else { at };
                let position = self.tree.locate_key(parent).unwrap_or_else(|| self.tree.locate(parent));
                self.push(
                    &name_at,
                    position,
                    "is required: the server is given by its address, and certificates carry names"
                        .to_owned(),
                    "tls: { server_name: app.internal }".to_owned(),
                );
            }
        }
        None
    }
}
