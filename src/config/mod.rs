//! The configuration: one YAML file (or the sidecar's environment), read whole, every fault told.
//!
//! Features own small `Config` types beside their code; this folder fills them. Nothing else
//! imports `crate::config` but the process floor.

use ipnet::IpNet;

use crate::gateway::EndpointPaths;
use crate::route::Route;
use crate::route::origin::Origin;
use crate::{admin, edge, oidc, pages, server, session, telemetry};

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
