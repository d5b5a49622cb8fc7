//! The configuration: one YAML file (or the sidecar's environment), read whole, every fault told.
//!
//! Features own small `Config` types beside their code; this folder fills them. Nothing else
//! imports `crate::config` but the process floor.
//!
//! [`load`] reads YAML to a tree that knows where everything stands (`tree`), the tree to the
//! file's types (`decode`, `file`), and these to a [`Config`] by the rules of meaning (`resolve`).
//! No fault hides another.

mod decode;
mod fault;
mod file;
mod key;
mod nearest;
mod resolve;
mod schema;
pub mod sidecar;
mod tree;
mod values;

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::gateway::EndpointPaths;
use crate::route::Route;
use crate::route::origin::Origin;
use crate::{admin, edge, oidc, pages, server, session, telemetry};
use key::{KeyPath, Position};
use resolve::Resolver;

pub use fault::{Fault, Warning};
pub use schema::schema;

/// A configuration without faults: typed, secrets loaded.
#[derive(Debug)]
pub struct Config {
    /// `origins`.
    pub origins: Vec<Origin>,
    /// `danger_plain_http`.
    pub danger_plain_http: bool,
    /// `trusted_proxies`.
    pub trusted_proxies: Vec<IpNet>,
    /// `listeners`.
    pub listeners: Vec<edge::ListenerConfig>,
    /// `admin`.
    pub admin: admin::Config,
    /// `endpoints`.
    pub endpoints: EndpointPaths,
    /// `threads`; `auto` is the number of cores.
    pub threads: usize,
    /// `shutdown`.
    pub shutdown: server::ShutdownConfig,
    /// `limits`, `http2`.
    pub limits: edge::Limits,
    /// `log`.
    pub log: telemetry::Config,
    /// `pages`.
    pub pages: pages::Config,
    /// `providers`, in the order of the file.
    pub providers: Vec<oidc::Config>,
    /// `sessions`.
    pub sessions: session::Config,
    /// `routes`.
    pub routes: Vec<Route>,
}

/// Where a configuration is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a file; paths in it are relative to its folder.
    File(PathBuf),
    /// In a text.
    Text {
        /// What faults call it.
        name: String,
        /// The YAML.
        text: String,
        /// What paths in it are relative to.
        base_dir: PathBuf,
    },
}

/// What loading gives.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, exactly when there are no faults.
    pub config: Option<Config>,
    /// Faults in the order of the file.
    pub faults: Vec<Fault>,
    /// Warnings in the order of the file.
    pub warnings: Vec<Warning>,
}

/// How a variable of the environment is looked up.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Loads a configuration: every fault is told, not just the first.
#[must_use]
pub fn load(source: &Source) -> Loaded {
    load_with(source, &environment)
}

/// A variable of the process's environment; the one place that reads it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The same with another environment.
#[must_use]
pub fn load_with(source: &Source, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let (name, text, folder) = match source {
        Source::Text { name, text, base_dir } => (name.clone(), Ok(text.clone()), base_dir.as_path()),
        Source::File(path) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            (path.display().to_string(), std::fs::read_to_string(path), folder)
        }
    };
    let parsed = match text {
        Ok(text) => tree::parse(&text).map_err(|error| {
            let write = "YAML; what is wrong may stand in the line before";
            (error.at, format!("is not YAML: {}", error.why), write)
        }),
        Err(error) => {
            let write = "the path of a YAML file that this user may read";
            Err((Position::START, format!("the file can't be read: {error}"), write))
        }
    };
    match parsed {
        Ok((tree, duplicates)) => loaded(&name, folder, environment, tree, &duplicates),
        Err((at, why, write)) => {
            let fault = fault_at(&name, &KeyPath::root(), at, why, write.into());
            Loaded { config: None, faults: vec![fault], warnings: Vec::new() }
        }
    }
}

fn loaded(
    name: &str,
    folder: &Path,
    environment: Environment<'_>,
    mut tree: tree::Node,
    duplicates: &[tree::Duplicate],
) -> Loaded {
    let (file, misfits) = decode::decode::<file::File>(&mut tree);
    let mut faults = Vec::new();
    for found in duplicates {
        let why = format!("stands here twice: line {} has it already", found.first.line);
        faults.push(fault_at(name, &found.path, found.at, why, "the key once".into()));
    }
    let mut reported: Vec<_> = duplicates.iter().map(|found| found.path.clone()).collect();
    for misfit in misfits {
        faults.push(fault_at(name, &misfit.path, misfit.at, misfit.why, misfit.what_to_write));
        reported.push(misfit.path);
        reported.extend(misfit.meant);
    }
    let mut resolver =
        Resolver { tree: &tree, file: name, folder, environment, reported, faults, warnings: Vec::new() };
    let config = resolver.config(&file);
    let Resolver { mut faults, mut warnings, .. } = resolver;
    faults.sort_by_key(|a| (a.line, a.column));
    warnings.sort_by_key(|a| (a.line, a.column));
    Loaded { config, faults, warnings }
}

fn fault_at(file: &str, key: &KeyPath, at: Position, why: String, what_to_write: String) -> Fault {
    let Position { line, column } = at;
    Fault { file: file.to_owned(), line, column, key: key.to_string(), why, what_to_write }
}
