//! `endpoints`, `threads`, `shutdown`, `limits`, `http2`, `log`, `pages`.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::super::file::{self, Aliases};
use super::super::key::KeyPath;
use super::super::nearest::suggestion;
use super::super::values::{Count, List, Period};
use super::Resolver;
use crate::edge::connection::ConnectionLimits;
use crate::gateway::EndpointPaths;
use crate::pages::Language;
use crate::telemetry::{AccessOutput, ClientAddress, LogFormat};
use crate::{edge, pages, server, telemetry};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Endpoints under the prefix whose place the callback can't take.
const OWN_ENDPOINTS: [&str; 4] = ["/sign-in", "/sign-out", "/signed-out", "/session"];

impl Resolver<'_> {
    pub(super) fn endpoints(&mut self, endpoints: Option<&file::Endpoints>) -> Option<EndpointPaths> {
        let at = KeyPath::root().key("endpoints");
        let Some(endpoints) = endpoints else { return Some(EndpointPaths::default()) };
        if endpoints.aliases == Some(Aliases::Oauth2Proxy) {
            self.later(&at.key("aliases"), "none");
        }
        let prefix = match &endpoints.prefix {
            Some(written) => self.own_path(&at.key("prefix"), written),
            None => Some(EndpointPaths::default().prefix),
        };
        let callback = match &endpoints.callback {
            Some(written) => self.own_path(&at.key("callback"), written),
            None => prefix.as_ref().map(|prefix| format!("{prefix}/callback")),
        };
        let (prefix, callback) = (prefix?, callback?);
        if callback == prefix {
            self.fault(&at.key("callback"), "is the prefix itself", format!("{prefix}/callback"));
        }
        let own = callback.strip_prefix(&prefix).is_some_and(|rest| OWN_ENDPOINTS.contains(&rest));
        if own {
            self.fault(&at.key("callback"), "is another endpoint of ours", format!("{prefix}/callback"));
        }
        Some(EndpointPaths { prefix, callback })
    }

    fn own_path(&mut self, at: &KeyPath, written: &str) -> Option<String> {
        let path = self.url_path(at, written, "/.vestibule")?;
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            self.fault(at, "would take the whole origin", "a path of its own, such as /.vestibule");
            return None;
        }
        Some(path.to_owned())
    }

    pub(super) fn threads(threads: Option<Count>) -> usize {
        match threads {
            Some(Count::Exactly(count)) => usize::try_from(count).unwrap_or(usize::MAX),
            Some(Count::Auto) | None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    pub(super) fn shutdown(shutdown: Option<&file::Shutdown>) -> server::ShutdownConfig {
        let default = server::ShutdownConfig::default();
        let Some(shutdown) = shutdown else { return default };
        // Nothing at all is fine here: then the gateway stops at once.
        let or = |value: Option<Period>, default| value.map_or(default, |Period(duration)| duration);
        server::ShutdownConfig {
            delay: or(shutdown.delay, default.delay),
            grace: or(shutdown.grace, default.grace),
        }
    }

    pub(super) fn limits(
        &mut self,
        limits: Option<&file::Limits>,
        http2: Option<&file::Http2>,
    ) -> edge::Limits {
        let mut resolved = edge::Limits::default();
        if let Some(limits) = limits {
            let at = KeyPath::root().key("limits");
            if let Some(head) = &limits.head {
                let at = at.key("head");
                resolved.head_size = self.length(&at, "size", head.size, resolved.head_size);
                let fields = u32::try_from(resolved.head_fields).unwrap_or(u32::MAX);
                resolved.head_fields = self.count(&at, "fields", head.fields, fields) as usize;
                resolved.head_time = self.period(&at, "time", head.time, resolved.head_time);
            }
            resolved.target = self.length(&at, "target", limits.target, resolved.target);
            resolved.body = self.size(&at, "body", limits.body, resolved.body);
            if let Some(rate) = &limits.body_rate {
                let (at, default) = (at.key("body_rate"), resolved.body_rate);
                let min = rate.min.map_or(default.min, |min| min.0);
                if min == 0 {
                    self.fault(&at.key("min"), "is nothing, so that no body would be under it", "1KiB");
                }
                resolved.body_rate =
                    edge::BodyRate { min, after: self.period(&at, "after", rate.after, default.after) };
            }
            resolved.idle = self.period(&at, "idle", limits.idle, resolved.idle);
            resolved.write = self.period(&at, "write", limits.write, resolved.write);
            resolved.connections = self.connections(&at, limits.connections.as_ref());
        }
        if let Some(http2) = http2 {
            let at = KeyPath::root().key("http2");
            resolved.http2_streams = self.count(&at, "streams", http2.streams, resolved.http2_streams);
            resolved.http2_idle = self.period(&at, "idle", http2.idle, resolved.http2_idle);
        }
        resolved
    }

    fn connections(
        &mut self,
        parent: &KeyPath,
        connections: Option<&file::ConnectionLimits>,
    ) -> ConnectionLimits {
        let mut resolved = ConnectionLimits::default();
        let Some(connections) = connections else { return resolved };
        let at = parent.key("connections");
        let count = |this: &mut Self, key, value, default: usize| {
            let default = u32::try_from(default).unwrap_or(u32::MAX);
            this.count(&at, key, value, default) as usize
        };
        resolved.total = count(self, "total", connections.total, resolved.total);
        resolved.per_address = count(self, "per_address", connections.per_address, resolved.per_address);
        if resolved.per_address > resolved.total && connections.per_address.is_some() {
            self.warn(
                &at.key("per_address"),
                "is more than the total, so that one address can take every connection",
                format!("less than {}", resolved.total),
            );
        }
        resolved
    }

    /// A size that is held in memory.
    pub(super) fn length(
        &mut self,
        parent: &KeyPath,
        key: &str,
        value: Option<super::Size>,
        default: usize,
    ) -> usize {
        let bytes = self.size(parent, key, value, u64::try_from(default).unwrap_or(u64::MAX));
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn log(&mut self, log: Option<&file::Log>) -> Option<telemetry::Config> {
        let at = KeyPath::root().key("log");
        let level = match log.and_then(|log| log.level.as_deref()) {
            Some(written) => self.level(&at.key("level"), written),
            None => Some("info".to_owned()),
        };
        let access = log.and_then(|log| log.access.as_ref());
        let claims = access.and_then(|access| access.claims.as_ref());
        Some(telemetry::Config {
            format: match log.and_then(|log| log.format) {
                Some(file::LogFormat::Text) => LogFormat::Text,
                Some(file::LogFormat::Json) | None => LogFormat::Json,
            },
            level: level?,
            access: match access.and_then(|access| access.output) {
                Some(file::AccessOutput::Off) => AccessOutput::Off,
                Some(file::AccessOutput::Stdout) | None => AccessOutput::Stdout,
            },
            access_claims: claims.map_or_else(
                || vec!["sub".to_owned()],
                |claims| claims.items().map(|(_, claim)| claim.clone()).collect(),
            ),
            client_address: match access.and_then(|access| access.client_address) {
                Some(file::ClientAddress::Truncated) => ClientAddress::Truncated,
                Some(file::ClientAddress::Full) | None => ClientAddress::Full,
            },
        })
    }

    fn level(&mut self, at: &KeyPath, written: &str) -> Option<String> {
        // A lone word that is no level would be read as the name of a module.
        let lone = !written.contains(['=', ',']);
        let known = LEVELS.contains(&written.to_ascii_lowercase().as_str());
        if (lone && !known) || EnvFilter::builder().parse(written).is_err() {
            self.fault(
                at,
                format!("unknown level `{}`", written.escape_debug()),
                suggestion(written, &LEVELS),
            );
            return None;
        }
        Some(written.to_owned())
    }

    pub(super) fn pages(&mut self, pages: Option<&file::Pages>) -> Option<pages::Config> {
        let at = KeyPath::root().key("pages");
        let Some(pages) = pages else { return Some(pages::Config::default()) };
        let languages = match &pages.languages {
            Some(languages) => self.languages(&at.key("languages"), languages),
            None => Some(pages::Config::default().languages),
        };
        let support = match &pages.support {
            Some(written) => self.support(&at.key("support"), written).map(Some),
            None => Some(None),
        };
        let replacements = match &pages.directory {
            Some(written) => self.page_templates(&at.key("directory"), written),
            None => Some(Vec::new()),
        };
        let config = pages::Config { support: support?, languages: languages?, replacements: replacements? };
        if let Err(error) = pages::Pages::new(&config, "/prefix") {
            let why = match error {
                pages::Error::Template(error) => error.to_string(),
                other => other.to_string(),
            };
            let write =
                "a template that uses only what its page has; `docs/reference/error-pages.md` lists it";
            self.fault(&at.key("directory"), why, write);
            return None;
        }
        Some(config)
    }

    fn languages(&mut self, at: &KeyPath, written: &List<String>) -> Option<Vec<Language>> {
        let tags: Vec<&str> = Language::ALL.iter().map(|language| language.tag()).collect();
        let mut languages = Vec::new();
        for (index, tag) in written.items() {
            match Language::of_tag(tag) {
                Some(language) if languages.contains(&language) => {
                    self.fault(&at.item(index), "is there already", "each language once");
                }
                Some(language) => languages.push(language),
                None => {
                    let unknown = format!("there are no pages in `{}`", tag.escape_debug());
                    self.fault(&at.item(index), unknown, tags.join(" or "));
                }
            }
        }
        if written.items().next().is_none() {
            self.fault(at, "names no language", tags.join(" or "));
        }
        (!languages.is_empty()).then_some(languages)
    }

    fn support(&mut self, at: &KeyPath, written: &str) -> Option<Url> {
        match Url::parse(written) {
            Ok(url) if matches!(url.scheme(), "https" | "http" | "mailto") => Some(url),
            _ => {
                self.fault(
                    at,
                    "is not an address that a page could link to",
                    "https://help.example.com or mailto:help@example.com",
                );
                None
            }
        }
    }
}
