//! The file's shape to a [`Config`]: defaults, secrets, files, and the rules of meaning.
//!
//! Every fault is told by its key; the tree knows where that key stands. What `decode` has told
//! already is not told again.

mod file;
mod header;
mod identity;
mod listener;
mod origin;
mod provider;
mod require;
mod route;
mod route_set;
mod secret;
mod session;
mod setting;
mod upstream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{COMES_LATER, Fault, Warning};
use super::file::File;
use super::key::{KeyPath, Position};
use super::tree::Node;
use super::values::{List, Period, Size};
use super::{Config, Environment};

/// What is known while resolving, and what is found.
pub(crate) struct Resolver<'a> {
    pub(crate) tree: &'a Node,
    pub(crate) file: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) environment: Environment<'a>,
    /// Values that were faulty in shape: what follows from them is not told.
    pub(crate) reported: Vec<KeyPath>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Warning>,
}

impl Resolver<'_> {
    /// Resolves everything; without faults there is a configuration.
    pub(crate) fn config(&mut self, file: &File) -> Option<Config> {
        let root = KeyPath::root();
        let site = self.site(file);
        let trusted_proxies = self.trusted_proxies(file);
        let listeners = self.listeners(file.listeners.as_ref());
        let admin = self.admin(file.admin.as_ref());
        self.refuse_shared_addresses(&listeners, admin.as_ref());
        let endpoints = self.endpoints(file.endpoints.as_ref());
        let threads = Self::threads(file.threads);
        let shutdown = Self::shutdown(file.shutdown.as_ref());
        let limits = self.limits(file.limits.as_ref(), file.http2.as_ref());
        let log = self.log(file.log.as_ref());
        let pages = self.pages(file.pages.as_ref());
        let providers = self.providers(file.providers.as_ref(), &site);
        let sessions = self.sessions(file.sessions.as_ref());
        let outlines = if let Some(routes) = &file.routes {
            self.routes(routes, &site, &providers, sessions.as_ref())
        } else {
            self.missing(
                &root,
                "routes",
                "nothing would be served",
                "routes: [{ id: …, auth: …, upstream: … }]",
            );
            Vec::new()
        };
        self.check_routes(&outlines, &site, endpoints.as_ref(), &providers);
        if !self.faults.is_empty() {
            return None;
        }
        Some(Config {
            origins: site.origins,
            danger_plain_http: site.danger_plain_http,
            trusted_proxies,
            listeners: listeners.into_iter().map(|(_, listener)| listener).collect(),
            admin: admin?,
            endpoints: endpoints?,
            threads,
            shutdown,
            limits,
            log: log?,
            pages: pages?,
            providers: providers.into_iter().map(|(_, config)| config).collect::<Option<_>>()?,
            sessions: sessions?,
            routes: outlines.into_iter().map(|outline| outline.route).collect::<Option<_>>()?,
        })
    }

    /// Records a fault of the value at a path.
    fn fault(&mut self, at: &KeyPath, why: impl Into<String>, what_to_write: impl Into<String>) {
        if !self.reported.iter().any(|reported| reported.holds(at)) {
            let position = self.tree.locate(at);
            self.push(at, position, why.into(), what_to_write.into());
        }
    }

    /// Records a fault of the key itself, whatever its value.
    fn fault_of_key(&mut self, at: &KeyPath, why: impl Into<String>, what_to_write: impl Into<String>) {
        if !self.is_reported(at) {
            let position = self.tree.locate_key(at).unwrap_or_else(|| self.tree.locate(at));
            self.push(at, position, why.into(), what_to_write.into());
        }
    }

    /// Records that a required key isn't there, unless something about it was told already.
    fn missing(&mut self, parent: &KeyPath, key: &str, why: &str, what_to_write: &str) {
        let at = parent.key(key);
        if !self.is_reported(&at) {
            let position = self.tree.locate_key(parent).unwrap_or(Position::START);
            self.push(&at, position, format!("is required: {why}"), what_to_write.to_owned());
        }
    }

    /// Records a value whose feature isn't built yet.
    fn later(&mut self, at: &KeyPath, what_to_write: &str) {
        let written = match self.tree.find(at).map(|node| &node.kind) {
            Some(super::tree::Kind::Text(text)) if text.len() <= 40 => format!("`{}`", text.escape_debug()),
            _ => "it".to_owned(),
        };
        self.fault(at, format!("{COMES_LATER}: this release doesn't have {written} yet"), what_to_write);
    }

    fn warn(&mut self, at: &KeyPath, why: impl Into<String>, what_to_write: impl Into<String>) {
        let Position { line, column } = self.tree.locate(at);
        self.warnings.push(Warning {
            file: self.file.to_owned(),
            line,
            column,
            key: at.to_string(),
            why: why.into(),
            what_to_write: what_to_write.into(),
        });
    }

    fn push(&mut self, at: &KeyPath, position: Position, why: String, what_to_write: String) {
        let Position { line, column } = position;
        let (file, key) = (self.file.to_owned(), at.to_string());
        self.faults.push(Fault { file, line, column, key, why, what_to_write });
    }

    /// Whether this value, something within it or something around it was told already.
    fn is_reported(&self, at: &KeyPath) -> bool {
        self.reported.iter().any(|reported| reported.holds(at) || at.holds(reported))
    }

    /// A duration that must be longer than nothing.
    fn period(&mut self, parent: &KeyPath, key: &str, value: Option<Period>, default: Duration) -> Duration {
        let Some(Period(duration)) = value else { return default };
        if duration.is_zero() {
            self.fault(
                &parent.key(key),
                "is nothing, so that it would always be over",
                Period(default).to_string(),
            );
        }
        duration
    }

    /// A size that must be more than nothing.
    fn size(&mut self, parent: &KeyPath, key: &str, value: Option<Size>, default: u64) -> u64 {
        let Some(Size(bytes)) = value else { return default };
        if bytes == 0 {
            self.fault(
                &parent.key(key),
                "is nothing, so that everything would be over it",
                "a size such as 64KiB",
            );
        }
        bytes
    }

    /// A whole number that must be more than nothing and fit.
    fn count(&mut self, parent: &KeyPath, key: &str, value: Option<u64>, default: u32) -> u32 {
        let Some(count) = value else { return default };
        if let Ok(count @ 1..) = u32::try_from(count) {
            return count;
        }
        self.fault(&parent.key(key), "is out of reach", format!("a number from 1 up, such as {default}"));
        default
    }

    /// A path as written in the file: relative to the file's own folder.
    fn resolve_path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// A path of URLs: from `/` on, without query, and well-formed.
    fn url_path(&mut self, at: &KeyPath, written: &str, example: &str) -> Option<String> {
        let well_formed = written.starts_with('/')
            && !written.contains(['?', '#', ' '])
            && crate::route::path::refuse_malformed(written).is_ok();
        if !well_formed {
            self.fault(
                at,
                format!("`{}` is not a path that a request could have", written.escape_debug()),
                format!("a path from / on, such as {example}"),
            );
            return None;
        }
        Some(written.to_owned())
    }
}
