//! `listeners` and `admin`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::values::{Later, List};

/// One address to listen on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Address and port: 0.0.0.0:443, [::]:443. (unix: comes later)
    #[schemars(required)]
    pub(crate) address: Option<String>,
    /// Serves with TLS.
    pub(crate) tls: Option<ListenerTls>,
    /// Answers 308 to the same address over https. Default: false.
    pub(crate) redirect_to_https: Option<bool>,
    /// (later) Proxies that speak the PROXY protocol.
    pub(crate) proxy_protocol: Option<Later>,
}

/// TLS of a listener: one pair of files, or several in `certificates`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenerTls {
    /// PEM file of the certificate chain, for one pair.
    pub(crate) certificate: Option<String>,
    /// PEM file of its private key.
    pub(crate) key: Option<String>,
    /// Several pairs; chosen by SNI, the first is the default. Reloaded when the files change.
    pub(crate) certificates: Option<List<Pair>>,
    /// (later) Authorities for client certificates.
    pub(crate) client_ca: Option<Later>,
    /// (later) Whether client certificates are asked for.
    pub(crate) client_auth: Option<Later>,
}

/// A certificate chain and its key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    /// PEM file of the certificate chain.
    #[schemars(required)]
    pub(crate) certificate: Option<String>,
    /// PEM file of its private key; others must not read it.
    #[schemars(required)]
    pub(crate) key: Option<String>,
}

/// Health, readiness and metrics.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// /healthz, /readyz and /metrics. Default: 127.0.0.1:9900.
    pub(crate) address: Option<String>,
    /// The same paths alone, for a kubelet or a load balancer. Default: not listening.
    pub(crate) probes: Option<String>,
    /// (later) Token of the sessions API.
    pub(crate) token: Option<Later>,
}
